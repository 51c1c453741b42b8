//! What `murmurate-sim` prints and with which status it ends.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::process::{Command, Output};

fn murmurate_sim(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

#[test]
fn json_is_one_object_with_all_the_figures() {
    let output = murmurate_sim(&["run", "--nodes", "200", "--messages", "10", "--json"]);
    assert!(output.status.success());
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
    for key in ["nodes", "seed", "events", "events_per_second", "wall_seconds", "peak_rss_bytes"] {
        assert!(!json[key].is_null(), "{key} is missing in {json}");
    }
    let phase = &json["phases"][0];
    for key in [
        "reliability",
        "rmr",
        "ldh",
        "mean_degree",
        "clustering",
        "average_shortest_path",
        "components",
        "asymmetric_links",
        "latency_seconds",
    ] {
        assert!(!phase[key].is_null(), "{key} is missing in {phase}");
    }
    for quantile in ["p50", "p99", "max"] {
        assert!(phase["latency_seconds"][quantile].is_f64(), "{quantile} is missing in {phase}");
    }
    assert_eq!(json["nodes"], 200);
    assert_eq!(phase["reliability"], 1.0);
    assert_eq!(phase["components"], 1);
    assert_eq!(phase["asymmetric_links"], 0);
    assert_eq!(json["digest"].as_str().map(str::len), Some(16));
    let text = String::from_utf8_lossy(&output.stdout);
    for key in ["nodes", "seed", "digest"] {
        assert_eq!(text.matches(&format!("\"{key}\":")).count(), 1, "{key} stands there once");
    }
}

#[test]
fn the_baselines_run_and_reach_most_nodes() {
    for [membership, broadcast] in
        [["hyparview", "gossip"], ["cyclon", "gossip"], ["scamp", "gossip"], ["cyclon", "flood"]]
    {
        let (membership, broadcast) = (["--membership", membership], ["--broadcast", broadcast]);
        let size = ["run", "--nodes", "200", "--messages", "20", "--json"];
        let output = murmurate_sim(&[&size[..], &membership, &broadcast].concat());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let phase = &json["phases"][0];
        assert_eq!(phase["components"], 1, "{membership:?} {broadcast:?}: {phase}");
        let reliability = phase["reliability"].as_f64().expect("a number");
        let least = if broadcast[1] == "flood" { 1.0 } else { 0.9 };
        assert!(reliability >= least, "{membership:?} {broadcast:?}: {phase}");
    }
}

#[test]
fn every_pair_of_strategies_runs() {
    for membership in ["hyparview", "full-mesh", "static"] {
        for broadcast in ["plumtree", "flood"] {
            let output = murmurate_sim(&[
                "run",
                "--nodes",
                "40",
                "--messages",
                "5",
                "--fail",
                "25",
                "--json",
                "--membership",
                membership,
                "--broadcast",
                broadcast,
            ]);
            let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
            assert_eq!(json["phases"][0]["reliability"], 1.0, "{membership} + {broadcast}");
            let after = &json["phases"][1];
            assert_eq!(after["running_nodes"], 30, "{membership} + {broadcast}: {after}");
            assert_eq!(after["components"], 1, "{membership} + {broadcast}: {after}");
            assert_eq!(after["asymmetric_links"], 0, "{membership} + {broadcast}: {after}");
        }
    }
}

#[test]
fn wrong_input_is_one_clear_line_and_status_2() {
    let folder = std::env::temp_dir().join(format!("murmurate-sim-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let hole = folder.join("hole.csv");
    std::fs::write(&hole, "0,10,20\n10,0\n20,30,0\n").expect("a file");
    let matrix = format!("matrix:{}", hole.display());
    for (arguments, expected) in [
        (vec!["--nodes", "0"], ["'0'", "from 1 to 16777216"]),
        (vec!["--nodes", "many"], ["'many'", "from 1 to 16777216"]),
        (vec!["--fail", "101"], ["'101'", "0 to 100%"]),
        (vec!["--fail", "NaN"], ["'NaN'", "0 to 100%"]),
        (vec!["--loss", "1.5"], ["'1.5'", "0 to 1"]),
        (vec!["--latency", "fast"], ["\"fast\"", "constant:10ms"]),
        (vec!["--latency", "constant:0ms"], ["0ms", "20µs to 100s"]),
        (vec!["--latency", "uniform:9ms,3ms"], ["9ms,3ms", "at least the first"]),
        (vec!["--latency", &matrix], ["line 2 has 2 round trips", "expected 3"]),
        (vec!["--latency", "matrix:/nowhere.csv"], ["/nowhere.csv", "No such file"]),
        (vec!["--color-of-the-sky", "blue"], ["--color-of-the-sky", "unexpected"]),
    ] {
        let output = murmurate_sim(&[&["run"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {text}");
        assert!(expected.iter().all(|part| lines[0].contains(part)), "{arguments:?}: {text}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn the_status_of_a_paper_tells_whether_a_figure_was_missed() {
    let output = murmurate_sim(&["paper", "plumtree", "--nodes", "200", "--seeds", "1", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let missed = json["missed"].as_u64().expect("a number");
    assert_eq!(output.status.code(), Some(if missed == 0 { 0 } else { 1 }));
    assert!(json["figures"].as_array().is_some_and(|figures| figures.len() > 20));
}

/// A graph may be as its author wants it, and still not be what a broadcast needs.
#[test]
fn what_a_graph_keeps_from_a_broadcast_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("f.toml");
    let path = path.to_str().expect("UTF-8");
    let says = |nodes: u32, graph: &str| {
        let text = format!(
            "duration = '5s'\nnodes.count = {nodes}\nmembership.strategy = 'static'\n\
             broadcast.strategy = 'flood'\ngraph = {{ {graph} }}\n"
        );
        std::fs::write(path, text).expect("written");
        let checked = murmurate_sim(&["check", path]);
        let checked = String::from_utf8_lossy(&checked.stdout).trim_end().to_owned();
        let told =
            checked.strip_prefix(&format!("{path}: fine, a ")).expect("it is fine").to_owned();
        let ran = murmurate_sim(&["run", path]);
        let ran = String::from_utf8_lossy(&ran.stdout).into_owned();
        assert!(ran.lines().any(|line| line == told), "{told}: {ran}");
        told
    };
    assert_eq!(says(6, "model = 'ring'"), "graph of 6 nodes and 6 links, 2 to 2 a node");
    let far = "; nodes are up to 150 links apart, and with broadcast.hop_limit = 128 no broadcast goes further \
               than 128";
    let ring = "graph of 300 nodes and 300 links, 2 to 2 a node";
    assert_eq!(says(300, "model = 'ring'"), format!("{ring}{far}"));
    std::fs::write(folder.path().join("two.csv"), "0,1\n1,2\n2,0\n3,4\n4,5\n").expect("written");
    let pieces = "graph of 6 nodes and 5 links, 1 to 2 a node, in 2 pieces, the largest of 3 nodes: no broadcast \
                  leaves its piece";
    assert_eq!(says(6, "model = 'file', file = 'two.csv'"), pieces);
}

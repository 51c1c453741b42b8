//! The files that a run leaves behind.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
    run.current_dir(folder).arg("run").args(arguments).output().expect("the binary runs")
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("JSON: {said}"))
}

fn lines(path: &Path) -> Vec<Value> {
    lines_of(&std::fs::read_to_string(path).expect("a trace"))
}

fn lines_of(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

const SMALL: [&str; 6] =
    ["mass-failure", "--set", "nodes.count=60", "--set", "workload.0.pace.rate=1.0", "--json"];

#[test]
fn a_trace_has_what_the_run_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &[&SMALL[..], &["--trace", "all.jsonl"]].concat());
    let (summary, trace) = (json(&output), lines(&folder.path().join("all.jsonl")));
    let untraced = json(&run(folder.path(), &SMALL));
    assert_eq!(summary["digest"], untraced["digest"], "whoever looks changes nothing");

    let of = |kind: &str| trace.iter().filter(|line| line["kind"] == kind).count() as u64;
    let events = of("receive") + of("timer") + of("reset");
    assert_eq!(Some(events), summary["events"].as_u64());
    let sent = summary["messages"].as_array().expect("a list");
    assert_eq!(of("send"), sent.iter().filter_map(|kind| kind["count"].as_u64()).sum::<u64>());
    let bytes = trace
        .iter()
        .filter(|line| line["kind"] == "send")
        .filter_map(|line| line["bytes"].as_u64());
    assert_eq!(
        bytes.sum::<u64>(),
        sent.iter().filter_map(|kind| kind["bytes"].as_u64()).sum::<u64>()
    );
    let series = summary["series"].as_array().expect("a list");
    let total = |key: &str| series.iter().filter_map(|point| point[key].as_u64()).sum::<u64>();
    assert_eq!(of("deliver"), total("deliveries"));
    assert_eq!(of("publish"), total("broadcasts"));
    assert_eq!(
        (of("neighbor_up"), of("neighbor_down")),
        (total("neighbor_ups"), total("neighbor_downs"))
    );
    assert_eq!((of("start"), of("stop"), of("fault")), (60, 30, 1));
    let times: Vec<f64> = trace.iter().filter_map(|line| line["at"].as_f64()).collect();
    assert!(times.is_sorted(), "in the order of time");
}

#[test]
fn a_filter_leaves_the_events_that_it_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let traced = |only: &str| {
        let name = "some.jsonl";
        let more = ["--trace", name, "--trace-only", only];
        assert!(run(folder.path(), &[&SMALL[..], &more].concat()).stderr.is_empty());
        let mut lines = lines(&folder.path().join(name));
        lines.retain(|line| line["fault"].is_null());
        lines
    };
    let some = traced("kind=deliver,kind=publish,node=3..9,broadcast=2,from=30s,until=33s");
    assert!(!some.is_empty());
    for line in &some {
        let node = line["node"].as_u64().expect("a node");
        assert!((3..=9).contains(&node) && line["broadcast"] == 2, "{line}");
        assert!((30.0..33.0).contains(&line["at"].as_f64().expect("a time")), "{line}");
    }
    // Every node but the publisher delivers a broadcast once.
    let deliveries = traced("kind=deliver,broadcast=2");
    let nodes: BTreeSet<u64> = deliveries.iter().filter_map(|line| line["node"].as_u64()).collect();
    assert_eq!((deliveries.len(), nodes.len()), (59, 59));
}

/// As Perfetto needs it: slices of a thread do not overlap, each arrow that ends begins before in a
/// slice, and ends in one.
#[test]
fn a_trace_for_perfetto_holds_together() {
    perfetto_holds_together(&[]);
}

/// When they arrive is not known while they are sent.
#[test]
fn arrows_go_over_shared_lines() {
    let shared =
        "classes=[{name='half', who.share=0.5, shared={up='50 Mbit/s', down='50 Mbit/s'}}]";
    perfetto_holds_together(&["--set", shared]);
}

fn perfetto_holds_together(more: &[&str]) {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = [
        "aws-regions",
        "--set",
        "nodes.count=20",
        "--set",
        "duration=43s",
        "--set",
        "workload.0.until=42s",
    ];
    let output = run(
        folder.path(),
        &[&scenario[..], &["--trace", "t.perfetto.json", "--json"], more].concat(),
    );
    json(&output);
    let text = std::fs::read_to_string(folder.path().join("t.perfetto.json")).expect("a trace");
    let trace: Value = serde_json::from_str(&text).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let of = |phase: &str| events.iter().filter(|e| e["ph"] == phase).collect::<Vec<_>>();
    let number = |e: &Value, key: &str| e[key].as_f64().expect("a number");

    let mut slices: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
    for slice in of("X") {
        let start = number(slice, "ts");
        let thread = slice["tid"].as_u64().expect("a thread");
        slices.entry(thread).or_default().push((start, start + number(slice, "dur")));
    }
    for (thread, slices) in &mut slices {
        slices.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(slices.windows(2).all(|pair| pair[0].1 <= pair[1].0 + 1e-6), "thread {thread}");
    }
    let inside = |event: &Value| {
        let (ts, thread) = (number(event, "ts"), event["tid"].as_u64().expect("a thread"));
        slices[&thread].iter().any(|(start, end)| *start <= ts && ts <= *end)
    };
    let starts: BTreeMap<&str, f64> =
        of("s").iter().map(|e| (e["id"].as_str().expect("an id"), number(e, "ts"))).collect();
    let ends = of("f");
    assert!(ends.len() > 1_000);
    for end in ends {
        let start = starts[end["id"].as_str().expect("an id")];
        assert!(start < number(end, "ts") && inside(end), "{end}");
    }
    assert!(of("s").into_iter().all(inside));
    assert_eq!(of("b").len(), of("e").len(), "broadcasts that begin end");
    let names: BTreeSet<&str> = of("M").iter().filter_map(|e| e["args"]["name"].as_str()).collect();
    assert!(names.contains("sa-east-1") && names.contains("node 19"), "{names:?}");
}

/// What the command line says of a probe counts more than what the scenario does.
#[test]
fn a_probe_is_a_row_a_node_and_look_in_every_format() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = "measure.probe={ figures=['lazy', 'round_trip', 'sent.gossip'], from='30s' }";
    let probed = |file: &str, more: &[&str]| {
        let arguments = [&SMALL[..], &["--set", scenario, "--probe", file], more].concat();
        json(&run(folder.path(), &arguments));
        std::fs::read_to_string(folder.path().join(file)).expect("a table")
    };
    let csv = probed("p.csv", &["--probe-nodes", "3..4", "--probe-every", "5s"]);
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "at,node,lazy,round_trip,sent.gossip");
    let lines = lines_of(&probed("p.jsonl", &["--probe-nodes", "3..4", "--probe-every", "5s"]));
    assert_eq!(rows.len() - 1, lines.len());
    for (row, line) in rows[1..].iter().zip(&lines) {
        let cells: Vec<f64> = row.split(',').map(|cell| cell.parse().unwrap_or(f64::NAN)).collect();
        let number = |key: &str| line[key].as_f64().unwrap_or(f64::NAN);
        let keys = ["at", "node", "lazy", "round_trip", "sent.gossip"];
        for (cell, key) in cells.iter().zip(keys) {
            assert!(*cell == number(key) || cell.is_nan() && line[key].is_null(), "{row} {line}");
        }
        assert!(cells[3].is_nan() && (3.0..=4.0).contains(&cells[1]) && cells[0] >= 30.0, "{row}");
    }
    let figures = probed("q.csv", &["--probe-figures", "active", "--probe-nodes", "all"]);
    assert_eq!(figures.lines().next(), Some("at,node,active"));
}

#[test]
fn what_cannot_be_written_is_told_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, status, said) in [
        (vec!["--export", "x.xls"], 2, "x.xls must end in .graphml, .gexf, .dot, .csv"),
        (vec!["--export", "no/x.csv"], 2, "no/x.csv cannot be written: No such file"),
        (
            vec!["--export", "x.csv", "--export-at", "90s"],
            2,
            "--export-at 1m 30s is behind the end",
        ),
        (vec!["--export", "x.csv", "--export-at", "late"], 2, "\"late\" is not a time"),
        (vec!["--export-at", "9s"], 2, "--export"),
        (vec!["--report", "x.pdf"], 2, "its ending is not .html"),
        (vec!["--report", "no/x.html"], 2, "no/x.html cannot be written: No such file"),
        (vec!["--watch"], 2, "--watch needs a terminal"),
        (vec!["--trace", "x.json"], 2, "must end in .jsonl or .perfetto.json"),
        (vec!["--trace", "no/x.jsonl"], 2, "no/x.jsonl cannot be written"),
        (vec!["--trace", "x.jsonl", "--trace-only", "kind=sent"], 2, "did you mean send?"),
        (
            vec!["--trace", "x.perfetto.json", "--set", "nodes.count=2000"],
            2,
            "2000 nodes are too many",
        ),
    ] {
        assert_eq!(status, refused(folder.path(), &arguments, said));
    }
    // Where there is no room left, it is said, too, though afterwards.
    let output = run(folder.path(), &["--nodes", "50", "--trace", "/dev/full"]);
    assert_eq!(output.status.code(), Some(2));
    let link = folder.path().join("full.jsonl");
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    let output = run(folder.path(), &["--nodes", "50", "--trace", "full.jsonl"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("full.jsonl cannot be written: No space left"), "{text}");
}

/// What a run with wrong options ends with, having said so and left nothing.
fn refused(folder: &Path, arguments: &[&str], said: &str) -> i32 {
    let output = run(folder, &[&["quickstart"][..], arguments].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(said) && output.stdout.is_empty(), "{arguments:?}: {text}");
    assert_eq!(std::fs::read_dir(folder).expect("a folder").count(), 0, "nothing is left");
    output.status.code().expect("a status")
}

#[test]
fn what_a_probe_cannot_show_is_told_before_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, said) in [
        (vec!["--probe", "x.xls"], "x.xls must end in .parquet, .csv or .jsonl"),
        (vec!["--probe", "no/x.csv"], "no/x.csv cannot be written: No such file"),
        (
            vec!["--probe", "x.csv", "--probe-figures", "active,mising"],
            "measure.probe.figures.1: \"mising\" is no figure of these nodes: they are missing, ",
        ),
        (
            vec!["--probe", "x.csv", "--probe-figures", "sent.gosip"],
            "\"sent.gosip\" is no figure of these nodes: they are sent.gossip, ",
        ),
        (vec!["--probe", "x.csv", "--probe-figures", "lazy,lazy"], "\"lazy\" is named twice"),
        (
            vec!["--probe", "x.csv", "--probe-every", "10us"],
            "allowed is a time of at least 1ms, such as 250ms, not \"10us\"",
        ),
        (vec!["--probe", "x.csv", "--probe-nodes", "5..2"], "5..2: the second must be at least"),
        (
            vec!["--probe", "x.csv", "--probe-nodes", "some"],
            "allowed is all, a share such as 10%, indices such as 0..9,42, region=NAME or class=NAME, not \"some\"",
        ),
        (
            vec!["--probe", "x.csv", "--probe-nodes", "3,99999"],
            "measure.probe.nodes.nodes: there is no node 99999: there are ",
        ),
        (
            vec!["--probe", "x.csv", "--probe-nodes", "region=eu"],
            "measure.probe.nodes.region: \"eu\" is not a region: there are none",
        ),
        (vec!["--probe-figures", "active"], "--probe"),
        (
            vec!["--set", "measure.probe={ every='0s' }"],
            "measure.probe.every = \"0s\": allowed is a time",
        ),
        (
            vec!["--set", "measure.probe={ from='5s', until='4s' }"],
            "measure.probe.until: 4s is before from, 5s",
        ),
        (vec!["--set", "measure.probe={ from='1h' }"], "measure.probe.from: 1h is after the end"),
    ] {
        assert_eq!(refused(folder.path(), &arguments, said), 2);
    }
}

/// What was there before stays until the run is over, and the folder is as tidy as before.
#[test]
fn a_run_that_fails_leaves_earlier_files_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = ["page.html", "overlay.graphml", "events.jsonl", "nodes.csv"];
    for file in files {
        std::fs::write(folder.path().join(file), "earlier").expect("written");
    }
    // Within the run: a node that restarts every other second has no 257th name.
    let restless = r#"
duration = "20m"
nodes = { count = 5, joining = "1s" }
[[faults]]
at = "2s"
do.churn = { for = "19m", how.sessions = { up.exponential = { mean = "1s" }, down.exponential = { mean = "1s" } } }
"#;
    std::fs::write(folder.path().join("restless.toml"), restless).expect("written");
    let outputs =
        ["--report", files[0], "--export", files[1], "--trace", files[2], "--probe", files[3]];
    let output = run(folder.path(), &[&["restless.toml"][..], &outputs].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("was to start once more, and a node can start 256 times"), "{text}");
    for file in files {
        let text = std::fs::read_to_string(folder.path().join(file)).expect("it is there");
        assert_eq!(text, "earlier", "{file}");
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, files.len() + 1, "nothing beside them");
    let output =
        run(folder.path(), &[&["quickstart", "--set", "nodes.count=30"][..], &outputs].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for file in files {
        let text = std::fs::read_to_string(folder.path().join(file)).expect("it is there");
        assert!(text.len() > 1_000, "{file}: {text}");
    }
}

#[test]
fn output_that_nobody_can_take_is_an_error_and_no_panic() {
    let folder = tempfile::tempdir().expect("a folder");
    for json in [&["--json"][..], &[]] {
        let full = std::fs::File::create("/dev/full").expect("Linux has it");
        let output = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
            .current_dir(folder.path())
            .args(["run", "--nodes", "20", "--messages", "2"])
            .args(json)
            .stdout(full)
            .output()
            .expect("the binary runs");
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("standard output cannot be written: No space left"), "{text}");
    }
}

/// Large enough that threads share the work.
#[test]
fn every_file_is_the_same_on_any_number_of_threads() {
    let scenario = ["mass-failure", "--set", "nodes.count=600", "--set", "assertions=[]"];
    let files = ["o.graphml", "o.gexf", "o.dot", "o.csv", "r.html", "t.jsonl", "p.jsonl"];
    let written = |threads: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        let mut arguments = scenario.to_vec();
        arguments.extend(["--threads", threads, "--json", "--report", "r.html"]);
        arguments.extend(["--probe", "p.jsonl", "--probe-nodes", "10%"]);
        files[..4].iter().for_each(|file| arguments.extend(["--export", file]));
        arguments.extend([
            "--trace",
            "t.jsonl",
            "--trace-only",
            "kind=send,kind=deliver,from=30s,until=33s",
        ]);
        json(&run(folder.path(), &arguments));
        files.map(|file| std::fs::read(folder.path().join(file)).expect(file))
    };
    let one = written("1");
    assert!(one.iter().all(|file| file.len() > 1_000));
    for threads in ["2", "3"] {
        for ((file, one), other) in files.iter().zip(&one).zip(&written(threads)) {
            assert!(one == other, "{file} on {threads} threads");
        }
    }
}

/// What was exported is the overlay of another run, from every format but Graphviz's.
#[test]
fn an_exported_overlay_is_the_graph_of_another_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let build = |what: &[&str], names: &[String]| {
        let exports = names.iter().flat_map(|name| ["--export", name]);
        let built =
            json(&run(folder.path(), &what.iter().copied().chain(exports).collect::<Vec<_>>()));
        built["phases"].as_array().and_then(|phases| phases.last()).expect("a phase").clone()
    };
    let same = |built: &Value, name: &str, nodes: u32| {
        let file = format!("graph={{ model = \"file\", file = \"{name}\" }}");
        let nodes = format!("nodes.count={nodes}");
        let set =
            ["--json", "--set", "membership.strategy=static", "--set", &file, "--set", &nodes];
        let path = folder.path().join("given.toml");
        std::fs::write(&path, "duration = \"20s\"\n").expect("written");
        let found = json(&run(folder.path(), &[&["given.toml"], &set[..]].concat()));
        for figure in ["degrees", "clustering", "average_shortest_path", "components"] {
            assert_eq!(found["phases"][0][figure], built[figure], "{figure} of {name}");
        }
    };
    let calm = folder.path().join("calm.toml");
    std::fs::write(calm, "duration = \"30s\"\nnodes.count = 60\n").expect("written");
    let names = ["graphml", "gexf", "csv", "parquet"].map(|ending| format!("all.{ending}"));
    let built = build(&["calm.toml", "--json"], &names);
    names.iter().for_each(|name| same(&built, name, 60));
    // Half have failed, and their numbers are missing.
    let names = ["half.graphml".to_owned(), "half.gexf".to_owned()];
    let built = build(&SMALL, &names);
    names.iter().for_each(|name| same(&built, name, 30));
}

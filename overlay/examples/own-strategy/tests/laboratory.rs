//! The laboratory knows the strategies by name, with keys of their own.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use std::process::{Command, Output};

/// The simulator with the strategies, in this crate's folder.
fn laboratory(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own-strategy"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    command.output().expect("the program runs")
}

fn text(of: &[u8]) -> String {
    String::from_utf8_lossy(of).into_owned()
}

#[test]
fn the_scenario_holds_and_comes_out_the_same_on_any_threads() {
    let runs = ["1", "2", "3"].map(|threads| {
        let output = laboratory(&["run", "star.toml", "--threads", threads, "--json"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        digest(&output)
    });
    assert!(runs.iter().all(|digest| *digest == runs[0]), "{runs:?}");
}

#[test]
fn keys_are_known_and_others_refused() {
    let set = |set: &str| {
        let output = laboratory(&["run", "star.toml", "--set", set]);
        (output.status.code(), text(&output.stderr))
    };
    let (code, said) = set("fanout=65");
    assert_eq!(code, Some(2));
    assert!(said.contains("65") && said.contains("1 to 64"), "{said}");
    let (code, said) = set("membership.retries='1s'");
    assert_eq!(code, Some(2));
    assert!(said.contains("retry"), "it names the nearest: {said}");
    let (code, said) = set("membership.strategy='ring'");
    assert_eq!(code, Some(2));
    assert!(said.contains("star") && said.contains("hyparview"), "{said}");
}

#[test]
fn a_strategy_without_storage_cannot_be_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("overlay");
    let save = ["run", "star.toml", "--save-at", "10s", "--save"];
    let output = laboratory(&[&save[..], &[file.to_str().expect("a path")]].concat());
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert_eq!(said, "error: membership.strategy: star cannot be saved: it has no storage\n");
    assert!(!file.exists());
}

/// Metrics of one's own are measured as if the run had never been saved.
#[test]
fn metrics_go_on_from_a_saved_overlay() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let text = "duration = '16s'\nnodes = { count = 30, joining = '2s' }\nassertions = ['hub >= 1 at 4s']\n\
        [[faults]]\nat = '10s'\ndo.crash.who.count = 5\n[measure]\noverlay_every = '2s'\n\
        phases = [{ name = 'early', from = '0s' }, { name = 'late', from = '5s' }]\n";
    std::fs::write(file("f.toml"), text).expect("room");
    let run = |more: &[&str]| {
        let output = laboratory(&[&["run", &file("f.toml"), "--json"], more].concat());
        assert!(output.status.success(), "{}", self::text(&output.stderr));
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one object");
        ["digest", "metrics", "phases", "verdicts"].map(|key| json[key].clone())
    };
    let expected = run(&[]);
    assert!(expected[1][0]["series"].as_array().is_some_and(|series| series.len() > 5));
    let warm = file("warm");
    run(&["--save-at", "8s", "--save", &warm]);
    assert_eq!(run(&["--from", &warm]), expected);
}

#[test]
fn sweeps_vary_its_parameters() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("runs.csv");
    let arguments = ["sweep", "star.toml", "--seeds", "2", "--vary"];
    let vary = "fanout=2,4,8";
    let arguments = [&arguments[..], &[vary, "--out", out.to_str().expect("a path")]].concat();
    let output = laboratory(&arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(Path::new(&out).exists());
}

#[test]
fn the_swarm_draws_them_where_they_are_asked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let swarm = |with: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_own-strategy"));
        command.args(["swarm", "--seeds", "40", "--with", with]).current_dir(&folder);
        let output = command.output().expect("the program runs");
        (output.status.code(), text(&output.stdout))
    };
    assert_eq!(swarm("rumour").0, Some(0));
    let (code, said) = swarm("star");
    assert_eq!(code, Some(1), "whoever dies without a word is not missed");
    assert!(said.contains("dead_links"), "{said}");
}

/// The last rows of a table, cell by cell.
fn table(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).expect("a table");
    text.lines().map(|line| line.split(',').map(ToOwned::to_owned).collect()).collect()
}

#[test]
fn probes_follow_its_figures() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("asked.csv");
    let path = file.to_str().expect("a path");
    let probed = |figures: &str| {
        laboratory(&["run", "star.toml", "--probe", path, "--probe-figures", figures, "--json"])
    };
    let (output, plain) = (probed("asked,active"), laboratory(&["run", "star.toml", "--json"]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(digest(&output), digest(&plain), "looks change nothing");
    let rows = table(&file);
    assert_eq!(rows[0], ["at", "node", "asked", "active"]);
    let asked = |row: &&Vec<String>| row[2].parse::<u64>().expect("a count");
    // The first node has nobody to ask; all others ask once at least.
    assert!(rows[1..].iter().filter(|row| row[1] == "0").all(|row| row[2] == "0"));
    let last = &rows[rows.len() - 1][0];
    let late: Vec<_> = rows[1..].iter().filter(|row| row[0] == *last && row[1] != "0").collect();
    assert!(late.len() > 80 && late.iter().map(asked).all(|count| count >= 1), "{late:?}");
    assert!(late.iter().map(asked).any(|count| count >= 2), "whose contact died asks again");
    let output = probed("aksed");
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("\"aksed\" is no figure of these nodes: they are asked, "), "{said}");
}

fn digest(output: &Output) -> String {
    let json = text(&output.stdout);
    let from = json.find("\"digest\"").expect("a digest");
    json[from..from + 30].to_owned()
}

#[test]
fn metrics_are_asserted_reported_and_swept() {
    let output = laboratory(&["run", "star.toml", "--json"]);
    let json = text(&output.stdout);
    assert!(output.status.success(), "{json}");
    for part in [
        r#""metrics":{"hub":"#,
        r#""metrics":[{"metric":"hub","unit":"links","about":"links of the node that has most","series":[["#,
        r#"{"assertion":"hub < 6 within 10s of crash","holds":true,"found":"#,
    ] {
        assert!(json.contains(part), "{part} in {json}");
    }
    let summary = text(&laboratory(&["run", "star.toml"]).stdout);
    assert!(
        summary.lines().any(|line| line.starts_with("hub ") && line.ends_with(" links")),
        "{summary}"
    );
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("runs.csv");
    let swept = [
        "sweep",
        "star.toml",
        "--seeds",
        "2",
        "--vary",
        "membership.links=4,256",
        "--set",
        "assertions=[]",
    ];
    let swept =
        [&swept[..], &["--figures", "hub", "--out", out.to_str().expect("a path")]].concat();
    let output = laboratory(&swept);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let rows = table(&out);
    let hub = rows[0].iter().position(|name| name == "hub").expect("a column");
    let most = |at: usize| rows[at][hub].parse::<u64>().expect("a number");
    assert!(rows.len() == 5 && (1..3).all(|at| most(at) <= 4) && (3..5).all(|at| most(at) > 4));
}

#[test]
fn an_assertion_about_a_metric_fails_when_it_should() {
    let set = |assertion: &str, more: &[&str]| {
        let set = format!("assertions=['{assertion}']");
        let output = laboratory(&[&["run", "star.toml", "--set", &set], more].concat());
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for (assertion, holds) in [
        ("hub >= 6 at 15s", true),
        ("hub < 6 at 15s", false),
        ("hub < 6 within 10s of crash", true),
        ("hub < 5 within 10s of crash", false),
        ("hub < 6 from 15s", false),
        ("persistence >= 2", true),
        ("persistence < 2", false),
    ] {
        let (code, said) = set(assertion, &[]);
        assert_eq!(code, Some(if holds { 0 } else { 1 }), "{assertion}: {said}");
        assert!(said.contains(if holds { "holds  " } else { "FAILS  " }), "{said}");
    }
    // Where nodes have no such figure, there is nothing, and nothing is asserted of it.
    let other = ["--set", "membership={ strategy='hyparview' }"];
    let (code, said) = set("persistence >= 0", &other);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("FAILS  persistence >= 0 (nothing there at 60.0 s)"), "{said}");
    let (code, said) = set("hubs > 1", &[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("at \"hubs\": expected one of hub, reliability, "), "{said}");
}

#[test]
fn its_figures_are_listed() {
    let said = text(&laboratory(&["figures", "star.toml"]).stdout);
    let line = |name: &str| {
        let line = said.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.unwrap_or_else(|| panic!("{name} in {said}"))
    };
    assert!(line("hub").ends_with("links     links of the node that has most"), "{}", line("hub"));
    assert!(line("asked").ends_with("how often a node asked for a link"), "{said}");
    assert!(line("sent.rumour").contains("messages") && line("retained").contains("broadcasts"));
}

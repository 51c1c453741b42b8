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
        let json = text(&output.stdout);
        let from = json.find("\"digest\"").expect("a digest");
        json[from..from + 30].to_owned()
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

//! A second simulator, in Python and from the papers alone, comes to the same figures.
//!
//! `cargo test -p murmurate-simulator --test reference -- --nocapture` prints both.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]
#![expect(clippy::print_stdout, reason = "what is compared is printed")]

mod debian;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use Apart::{By, Percent};

const SEEDS: u64 = 6;

/// How far the means over the seeds may lie apart.
#[derive(Clone, Copy)]
enum Apart {
    By(f64),
    Percent(f64),
}

/// A phase, a figure in it, and how far apart it may be.
type Row = (&'static str, &'static str, Apart);

const FLOOD: &[Row] =
    &[("many senders", "/reliability", By(0.0)), ("many senders", "/rmr", By(0.02))];

const PLUMTREE: &[Row] = &[("one sender", "/reliability", By(0.0))];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn json(program: &str, output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{program}: {said}"))
}

/// What the second simulator measures, for each seed, and what ours does.
fn both(broadcast: &str, failed: &str) -> [Vec<Value>; 2] {
    let python = Command::new("python3")
        .args(["-B".as_ref(), file("experiment.py").as_os_str()])
        .args(["--broadcast", broadcast, "--failed", failed, "--seeds", &SEEDS.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let ours = (1..=SEEDS).map(|seed| {
        let run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
            .args(["run".as_ref(), file("scenario.toml").as_os_str()])
            .args(["--json", "--seed", &seed.to_string()])
            .args(["--set", &format!("broadcast.strategy={broadcast}")])
            .args(["--set", &format!("faults.0.do.crash.who.share={failed}")])
            .output();
        json("murmurate-sim", &run.expect("the binary runs"))
    });
    let ours = ours.collect();
    let theirs = json("python3", &python.wait_with_output().expect("it ends"));
    [theirs.as_array().expect("a list").clone(), ours]
}

/// The mean of a figure over the seeds.
fn mean(runs: &[Value], phase: &str, figure: &str) -> f64 {
    let of = |run: &Value| {
        let phases = run["phases"].as_array().expect("phases");
        let found = phases.iter().find(|found| found["phase"] == phase).expect("the phase");
        found.pointer(figure).and_then(Value::as_f64).expect("a number")
    };
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

fn compare(broadcast: &str, failed: &str, rows: &[Row]) {
    if !debian::there_is(&["python3"], || {
        debian::succeeds(Command::new("python3").arg("--version"))
    }) {
        return;
    }
    let [theirs, ours] = both(broadcast, failed);
    let mut differ = Vec::new();
    println!("| {broadcast}, {failed} fail | second simulator | Murmurate | apart at most |");
    println!("|---|---|---|---|");
    for &(phase, figure, apart) in rows {
        let [theirs, ours] = [&theirs, &ours].map(|runs| mean(runs, phase, figure));
        let (apart, said) = match apart {
            By(apart) => (apart, format!("{apart}")),
            Percent(percent) => (percent / 100.0 * theirs, format!("{percent} %")),
        };
        let row = format!("| {phase}: {} | {theirs:.4} | {ours:.4} | {said} |", &figure[1..]);
        println!("{row}");
        if (theirs - ours).abs() > apart {
            differ.push(row);
        }
    }
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn a_flood_is_the_second_simulator_s() {
    compare("flood", "80%", FLOOD);
}

#[test]
fn a_tree_is_the_second_simulator_s() {
    compare("plumtree", "50%", PLUMTREE);
}

//! A second simulator, in Python and from the papers alone, comes to the same figures.
//!
//! `cargo test -p murmurate-simulator --test reference -- --nocapture` prints them. Means over the seeds
//! are compared. How far they may lie apart:
//!
//! | figure | at most | why |
//! |---|---|---|
//! | reliability, components before the failure | 0 | everyone is linked, and nothing is lost |
//! | degree, path before it | 0.5 % | one node in a hundred may lack a link; wrong joins make 0.7 % |
//! | RMR before it | 0.02 | that of a tree is 0, that of a flood follows from the degree |
//! | last hop of one sender, of many | 10 %, 5 % | the depth of trees of shortest paths |
//! | clustering | 60 % | some ten triangles, give or take a third by seed; wrong walks make three times as many |
//! | messages | 1 % | sums over many walks and links |
//! | after the failure | see there | about three standard errors: one node in a hundred may find nobody alive |
//!
//! Not compared is what is different here on purpose: how often joins evict somebody (whoever is evicted
//! gets another link at once), and the hops of single broadcasts while the tree is mended. The first broadcast
//! after a failure reaches all or nothing, so it counts as one of three. The scenario turns off the rest of
//! what the papers do not have.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]
#![expect(clippy::print_stdout, reason = "what is compared is printed")]

#[path = "../../overlay/tests/harness/mod.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output, Stdio};

use serde_json::Value;

use Apart::{By, Percent};

const SEEDS: u64 = 6;

/// How far the means over the seeds may lie apart.
#[derive(Clone, Copy)]
enum Apart {
    By(f64),
    Percent(f64),
}

/// Where a figure stands: in a phase, or among the messages of the run. What it is called, and how far
/// apart it may be.
type Row = (&'static str, &'static str, Apart);

const MESSAGES: &str = "messages";

const FLOOD: &[Row] = &[
    ("many senders", "reliability", By(0.0)),
    ("many senders", "rmr", By(0.02)),
    ("many senders", "ldh", Percent(5.0)),
    ("failure", "reliability", By(0.15)),
    ("repaired", "reliability", By(0.04)),
    ("repaired", "rmr", By(0.15)),
    ("repaired", "largest_component", Percent(2.0)),
    ("healed", "reliability", By(0.02)),
    ("healed", "rmr", By(0.15)),
    ("healed", "ldh", Percent(10.0)),
    ("healed", "average_shortest_path", Percent(3.0)),
    ("healed", "largest_component", Percent(1.0)),
    ("healed", "asymmetric_links", By(0.0)),
    (MESSAGES, "gossip", Percent(1.0)),
];

const PLUMTREE: &[Row] = &[
    ("first", "reliability", By(0.0)),
    ("first", "rmr", By(0.02)),
    ("first", "ldh", Percent(10.0)),
    ("one sender", "reliability", By(0.0)),
    ("one sender", "rmr", By(0.02)),
    ("one sender", "ldh", Percent(10.0)),
    ("many senders", "reliability", By(0.0)),
    ("many senders", "rmr", By(0.02)),
    ("many senders", "ldh", Percent(5.0)),
    ("many senders", "mean_degree", Percent(0.5)),
    ("many senders", "clustering", Percent(60.0)),
    ("many senders", "average_shortest_path", Percent(0.5)),
    ("many senders", "asymmetric_links", By(0.0)),
    ("many senders", "components", By(0.0)),
    ("failure", "reliability", By(0.15)),
    ("failure", "rmr", By(0.08)),
    ("repaired", "reliability", By(0.02)),
    ("repaired", "rmr", By(0.02)),
    ("repaired", "mean_degree", Percent(2.0)),
    ("repaired", "clustering", Percent(60.0)),
    ("repaired", "average_shortest_path", Percent(1.0)),
    ("repaired", "largest_component", Percent(0.5)),
    ("healed", "reliability", By(0.0)),
    ("healed", "rmr", By(0.02)),
    ("healed", "mean_degree", Percent(1.0)),
    ("healed", "average_shortest_path", Percent(1.0)),
    ("healed", "components", By(0.0)),
    (MESSAGES, "forward_join", Percent(1.0)),
    (MESSAGES, "shuffle", Percent(1.0)),
    (MESSAGES, "shuffle_reply", Percent(1.0)),
    (MESSAGES, "gossip", Percent(1.0)),
    (MESSAGES, "ihave", Percent(1.0)),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference").join(name)
}

fn json(program: &str, output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{program}: {said}"))
}

/// The experiment with each seed: by the second simulator, and by ours.
fn both(broadcast: &str, failed: &str) -> [Vec<Value>; 2] {
    let python = Command::new("python3")
        .args(["-B".as_ref(), file("experiment.py").as_os_str()])
        .args(["--broadcast", broadcast, "--failed", failed, "--seeds", &SEEDS.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let ours = (1..=SEEDS).map(|seed| {
        let mut run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
        run.args(["run".as_ref(), file("scenario.toml").as_os_str()]);
        run.args(["--json", "--seed", &seed.to_string()]);
        run.args(["--set", &format!("faults.0.do.crash.who.share={failed}")]);
        if broadcast == "flood" {
            run.args(["--set", "broadcast={strategy=\"flood\"}"]);
        }
        json("murmurate-sim", &run.output().expect("the binary runs"))
    });
    let ours = ours.collect();
    let theirs = json("python3", &python.wait_with_output().expect("it ends"));
    [theirs.as_array().expect("a list").clone(), ours]
}

/// The mean of a figure over the seeds.
fn mean(runs: &[Value], part: &str, figure: &str) -> f64 {
    let find = |list: &Value, key: &str, name: &str, figure: &str| {
        let found = list.as_array().expect("a list").iter().find(|one| one[key] == name);
        found.and_then(|one| one[figure].as_f64()).expect("a number")
    };
    let of = |run: &Value| match part {
        MESSAGES => find(&run["messages"], "kind", figure, "count"),
        _ => find(&run["phases"], "phase", part, figure),
    };
    runs.iter().map(of).sum::<f64>() / runs.len() as f64
}

fn compare(broadcast: &str, failed: &str, rows: &[Row]) {
    let [theirs, ours] = both(broadcast, failed);
    let mut table = format!(
        "| {broadcast}, {failed} fail | second simulator | Murmurate | apart at most |\n\
         |---|---|---|---|\n"
    );
    let mut differ = Vec::new();
    for &(part, figure, apart) in rows {
        let [theirs, ours] = [&theirs, &ours].map(|runs| mean(runs, part, figure));
        let (apart, said) = match apart {
            By(apart) => (apart, format!("{apart}")),
            Percent(percent) => (percent / 100.0 * theirs, format!("{percent} %")),
        };
        let row = format!("| {part}: {figure} | {theirs:.4} | {ours:.4} | {said} |");
        table += &format!("{row}\n");
        if (theirs - ours).abs() > apart {
            differ.push(row);
        }
    }
    println!("{table}");
    assert!(differ.is_empty(), "{differ:#?}");
}

fn a_flood_is_the_second_simulator_s() {
    compare("flood", "0.8", FLOOD);
}

fn a_tree_is_the_second_simulator_s() {
    compare("plumtree", "0.5", PLUMTREE);
}

fn main() -> ExitCode {
    let tests =
        harness::tests![a_flood_is_the_second_simulator_s, a_tree_is_the_second_simulator_s];
    harness::run(tests, || {
        let python = || harness::succeeds(Command::new("python3").arg("--version"));
        harness::debian(&["python3"], python)
    })
}

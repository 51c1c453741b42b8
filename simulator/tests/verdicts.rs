//! What assertions are about: these moments, and no other.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use murmurate_simulator::experiment::runner::{self, Verdict};
use murmurate_simulator::experiment::scenario::Document;

/// Half of 50 crash after 10 s, and are back after 18 s; ten broadcasts a second from 5 s on.
const OUTAGE: &str = r#"
duration = "20s"
[nodes]
count = 50
joining = "2s"
[[workload]]
from = "5s"
pace.rate = 10.0
[[faults]]
name = "an outage"
at = "10s"
do.crash = { who.share = "50%" }
[[faults]]
name = "back"
at = "18s"
do.restart = { who = "all" }
"#;

fn verdict_of(assertion: &str) -> Verdict {
    let mut document = Document::parse("outage", OUTAGE).expect("TOML");
    document.set(&format!("assertions=[{assertion:?}]")).expect("an assertion");
    let report = runner::run(&document.scenario().expect("a scenario"), &mut ());
    report.expect("it runs").verdicts.remove(0)
}

#[test]
fn what_comes_within_a_time_of_an_event_comes_after_it() {
    for (assertion, holds, found, at) in [
        // Everybody runs until the event, and nobody of them is looked at.
        ("running_nodes == 50 within 5s of an outage", false, 25.0, 15.0),
        ("running_nodes == 25 within 5s of an outage", true, 25.0, 10.0),
        // All are back at the end of the run, three seconds too late.
        ("running_nodes == 50 within 5s500ms of an outage", false, 25.0, 15.5),
        ("running_nodes == 50 within 7s999ms of an outage", false, 25.0, 17.999),
        ("running_nodes == 50 within 8s of an outage", true, 50.0, 18.0),
        ("running_nodes == 50 within 1s of 9s", true, 50.0, 9.0),
        ("running_nodes == 25 within 1s of 9s", true, 25.0, 10.0),
    ] {
        let verdict = verdict_of(assertion);
        assert_eq!((verdict.holds, verdict.found), (holds, Some(found)), "{verdict:?}");
        assert_eq!(verdict.at, Some(at), "{verdict:?}");
    }
}

#[test]
fn the_ends_of_a_window_are_looked_at() {
    for (assertion, holds, at) in [
        ("running_nodes == 50 from 8s until 9s999ms", true, 9.999),
        ("running_nodes == 50 from 8s until 10s", false, 10.0),
        ("running_nodes == 25 from 10s until 17s999ms", true, 17.999),
        ("running_nodes == 25 from 9s999ms until 12s", false, 9.999),
        ("running_nodes == 25 at 10s", true, 10.0),
        ("running_nodes == 50 at 9s999ms", true, 9.999),
        ("running_nodes == 50", true, 20.0),
    ] {
        let verdict = verdict_of(assertion);
        assert_eq!((verdict.holds, verdict.at), (holds, Some(at)), "{verdict:?}");
    }
}

/// What is counted and what is published within a window is neither that of the instant when it ends nor
/// of the second around it.
#[test]
fn what_is_counted_is_counted_from_border_to_border() {
    let found = |assertion: &str| verdict_of(assertion).found.expect(assertion);
    assert_eq!(found("broadcasts == 0 from 6s until 7s"), 10.0);
    assert_eq!(found("broadcasts == 0 from 6s until 6s500ms"), 5.0);
    let parts = ["from 6s until 6s300ms", "from 6s300ms until 7s100ms", "from 7s100ms until 8s"];
    for figure in ["messages", "broadcasts"] {
        let parts = parts.map(|window| found(&format!("{figure} >= 0 {window}")));
        assert!(parts.iter().all(|part| *part > 0.0), "{figure}: {parts:?}");
        assert_eq!(parts.iter().sum::<f64>(), found(&format!("{figure} >= 0 from 6s until 8s")));
    }
    let latest = |window: &str| found(&format!("latency_max >= 0s {window}"));
    let longest = parts.map(latest).into_iter().fold(0.0, f64::max);
    assert_eq!(longest, latest("from 6s until 8s"));
}

/// What is sent at the instant when a window ends belongs to the next one. A power of two in nanoseconds
/// is where a bucket of the queue begins, so that nothing is sent a little later.
#[test]
fn what_is_published_when_a_window_ends_is_not_in_it() {
    const BORDER: &str = "4s294ms967us296ns";
    let found = |window: &str| {
        let mut document = Document::parse("outage", OUTAGE).expect("TOML");
        document.set(&format!("workload.0.from={BORDER:?}")).expect("a time");
        document.set(&format!("assertions=[\"broadcasts == 0 {window}\"]")).expect("an assertion");
        let report = runner::run(&document.scenario().expect("a scenario"), &mut ());
        report.expect("it runs").verdicts.remove(0).found
    };
    assert_eq!(found(&format!("until {BORDER}")), Some(0.0));
    assert_eq!(found(&format!("from {BORDER} until 4s300ms")), Some(1.0));
}

#[test]
fn comparisons_are_those_of_arithmetic() {
    for (comparison, holds) in [
        (">= 50", true),
        ("> 49", true),
        ("> 50", false),
        ("<= 50", true),
        ("< 51", true),
        ("< 50", false),
        ("== 50", true),
        ("!= 50", false),
    ] {
        assert_eq!(verdict_of(&format!("running_nodes {comparison}")).holds, holds, "{comparison}");
    }
}

#[test]
fn what_was_not_measured_does_not_hold() {
    for assertion in ["latency_p99 <= 10s from 3s until 4s", "reliability >= 0 from 3s until 4s"] {
        let verdict = verdict_of(assertion);
        assert_eq!((verdict.holds, verdict.found), (false, None), "{assertion}");
    }
}

#[test]
fn a_run_holds_if_all_its_assertions_do() {
    let holds = |assertions: &str| {
        let mut document = Document::parse("outage", OUTAGE).expect("TOML");
        document.set(&format!("assertions={assertions}")).expect("assertions");
        runner::run(&document.scenario().expect("a scenario"), &mut ()).expect("it runs").holds()
    };
    let (yes, no) = ("\"running_nodes == 50\"", "\"running_nodes == 49\"");
    assert!(holds("[]") && holds(&format!("[{yes}, {yes}]")));
    assert!(!holds(&format!("[{yes}, {no}]")) && !holds(&format!("[{no}, {yes}]")));
}

/// Nothing arrives for a second: what is broadcast then reaches its publisher only.
#[test]
fn the_least_is_no_mean_and_each_broadcast_has_its_own_share() {
    const SILENCE: &str = r#"
        duration = "10s"
        nodes = { count = 20, joining = "1s" }
        workload = [{ from = "4s", until = "7s", pace.rate = 10.0 }]
        faults = [
            { at = "5s", do.loss.share = "100%" },
            { at = "6s", do.loss.share = 0 },
        ]
    "#;
    let found = |assertion: &str| {
        let mut document = Document::parse("silence", SILENCE).expect("TOML");
        document.set(&format!("assertions=[{assertion:?}]")).expect("an assertion");
        let report = runner::run(&document.scenario().expect("a scenario"), &mut ());
        report.expect("it runs").verdicts.remove(0).found.expect(assertion)
    };
    assert_eq!(found("least_reliability >= 0 from 4s"), 0.05);
    let mean = found("reliability >= 0 from 4s");
    assert!((0.5..0.75).contains(&mean), "{mean}");
    assert_eq!(found("reach >= 0 from 4s until 4s800ms"), 1.0);
    let silent = found("reach >= 0 from 5s100ms until 5s900ms");
    assert!(silent < 0.1, "{silent}");
}

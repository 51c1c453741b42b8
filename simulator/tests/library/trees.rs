//! Trees in the long run: links rotate in a calm network too, and messages are lost.

use murmurate_simulator::experiment::runner::{self, PhaseReport};
use murmurate_simulator::experiment::scenario::Document;

/// What a scenario's last phase measured.
fn at_last(text: &str) -> PhaseReport {
    let scenario = Document::parse("f", text).expect("TOML").scenario().expect("right");
    let report = runner::run(&scenario, &mut ()).expect("it runs");
    report.phases.last().expect("a phase").clone()
}

/// Without a root and trials each replaced link made the tree a little deeper: a p99 of 200 ms and an RMR of 0.09
/// from the third minute on.
#[test]
fn a_tree_stays_shallow_while_links_rotate() {
    let last = at_last(
        r#"
        duration = "6m"
        [nodes]
        count = 100
        joining = "5s"
        [anti_entropy]
        [[workload]]
        from = "10s"
        pace.rate = 20.0
        [measure]
        phases = [{ name = "late", from = "4m" }]
        "#,
    );
    let p99 = last.latency_seconds.expect("deliveries").p99;
    assert!(p99 < 0.14, "p99 {p99} s");
    assert!(last.rmr.is_some_and(|rmr| rmr < 0.02), "RMR {:?}", last.rmr);
}

/// Each lost message grafted a link that only few broadcasts could prune again: an RMR of 0.18, and a p99 of
/// 170 ms.
#[test]
fn lost_messages_leave_few_links_in_the_tree() {
    let last = at_last(
        r#"
        duration = "3m"
        [nodes]
        count = 100
        joining = "5s"
        [links]
        loss = 0.001
        [membership]
        strategy = "hyparview"
        promotion_interval = "off"
        [anti_entropy]
        [[workload]]
        from = "10s"
        pace.rate = 50.0
        [measure]
        phases = [{ name = "late", from = "1m" }]
        "#,
    );
    let p99 = last.latency_seconds.expect("deliveries").p99;
    assert!(p99 < 0.14, "p99 {p99} s");
    assert!(last.rmr.is_some_and(|rmr| rmr < 0.12), "RMR {:?}", last.rmr);
}

//! `murmurate cluster`, as scripts use it.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

fn cluster(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_murmurate"));
    command.arg("cluster").args(arguments).output().expect("it runs")
}

#[test]
fn json_is_one_object_with_all_the_figures() {
    for transport in ["tcp", "quic"] {
        let mut arguments = vec!["--nodes", "16", "--messages", "80", "--size", "100"];
        arguments.extend(["--transport", transport, "--kill", "25", "--json"]);
        let output = cluster(&arguments);
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let report: serde_json::Value = serde_json::from_str(&said).expect("one object");
        assert_eq!((&report["nodes"], &report["transport"]), (&16.into(), &transport.into()));
        for (part, nodes) in [(&report, 16), (&report["after_kill"], 12)] {
            assert_eq!(part["nodes"], nodes);
            assert_eq!((&part["components"], &part["asymmetric_links"]), (&1.into(), &0.into()));
            assert_eq!((&part["sent"], &part["refused"]), (&80.into(), &0.into()));
            assert_eq!(part["expected"], 80 * (nodes - 1));
            assert_eq!(part["delivered"], part["expected"]);
            let figure = |of: &serde_json::Value| of.as_f64().expect("a number");
            for positive in
                ["mean_degree", "deliveries_per_second", "cpu_seconds", "peak_rss_bytes"]
            {
                assert!(figure(&part[positive]) > 0.0, "{positive}: {said}");
            }
            // Links that took the place of those that were lost stay double for some broadcasts.
            assert!(figure(&part["duplicates_per_delivery"]) < 1.0, "{said}");
            let latency = ["p50", "p99", "max"].map(|at| figure(&part["latency_seconds"][at]));
            assert!(latency.is_sorted() && latency[0] > 0.0, "{said}");
            // Each node sends ten messages and five requests.
            let channels = &part["channels"];
            let [sent, delivered, lost] =
                ["sent", "delivered", "lost"].map(|count| channels[count].as_u64());
            assert_eq!(sent, Some(15 * nodes), "{said}");
            assert_eq!(sent, delivered.zip(lost).map(|(one, other)| one + other), "{said}");
            assert!(delivered > Some(10 * nodes), "{said}{errors}");
            for times in ["latency_seconds", "request_seconds"] {
                let times = ["p50", "p99", "max"].map(|at| figure(&channels[times][at]));
                assert!(times.is_sorted() && times[0] > 0.0, "{said}");
            }
            assert!(figure(&channels["connections_peak"]) >= 5.0, "{said}");
        }
        let lost = |part: &serde_json::Value| part["channels"]["lost"].as_u64() > Some(0);
        let any_lost = lost(&report) || lost(&report["after_kill"]);
        assert_eq!(any_lost, errors.contains("messages on channels were lost: "), "{said}{errors}");
        assert_eq!(output.status.success(), !any_lost, "{said}{errors}");
        for took in [&report["joined_seconds"], &report["after_kill"]["repaired_seconds"]] {
            assert!(took.as_f64() > Some(0.0), "{said}");
        }
    }
}

#[test]
fn wrong_arguments_are_named_with_their_range() {
    for (arguments, said) in [
        (["--nodes", "1"], "invalid value '1' for '--nodes <NODES>': 1 is not in 2..=5000"),
        (["--kill", "96"], "invalid value '96' for '--kill <PERCENT>': 96 is not in 0..=95"),
        (["--transport", "tpc"], "invalid value 'tpc' for '--transport <TRANSPORT>'"),
    ] {
        let output = cluster(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(errors.starts_with(&format!("error: {said}")), "{errors}");
        assert_eq!(errors.lines().count(), 1, "{errors}");
    }
}

#[test]
fn every_membership_runs_with_every_broadcast() {
    for membership in ["hyparview", "full-mesh"] {
        for broadcast in ["plumtree", "flood"] {
            let strategies = ["--membership", membership, "--broadcast", broadcast];
            let load = ["--nodes", "12", "--messages", "60", "--size", "100", "--sends", "2"];
            let output = cluster(&[&strategies[..], &load, &["--json"]].concat());
            let said = String::from_utf8_lossy(&output.stdout);
            let report: serde_json::Value = serde_json::from_str(&said).expect("one object");
            for (part, nodes) in [(&report, 12_u64), (&report["after_kill"], 6)] {
                assert_eq!(part["components"], 1, "{said}");
                assert_eq!(part["delivered"], 60 * (nodes - 1), "{said}");
                let degree = part["mean_degree"].as_f64().expect("a number");
                let is_full = degree == (nodes - 1) as f64;
                assert!(is_full || membership == "hyparview", "{degree}: {said}");
            }
        }
    }
}

/// Each node joins through one that was there, and is linked with no other.
#[test]
fn a_static_cluster_is_the_tree_of_its_joins() {
    for broadcast in ["plumtree", "flood"] {
        let strategies = ["--membership", "static", "--broadcast", broadcast, "--kill", "0"];
        let load = ["--nodes", "12", "--messages", "60", "--size", "100", "--sends", "2"];
        let output = cluster(&[&strategies[..], &load, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        let report: serde_json::Value = serde_json::from_str(&said).expect("one object");
        assert_eq!(
            (&report["components"], &report["delivered"]),
            (&1.into(), &660.into()),
            "{said}"
        );
        assert_eq!(report["mean_degree"], 2.0 * 11.0 / 12.0, "{said}");
    }
}

#[test]
fn what_all_nodes_publish_as_fast_as_they_can_reaches_all_through_the_tree() {
    let arguments = ["--nodes", "32", "--messages", "8000", "--rate", "0", "--kill", "0"];
    // So small that all of them are kept: what is missed is fetched, however late.
    let small = ["--size", "256", "--sends", "0", "--json"];
    let output = cluster(&[arguments.as_slice(), &small].concat());
    let said = String::from_utf8_lossy(&output.stdout);
    let report: serde_json::Value = serde_json::from_str(&said).expect("one object");
    assert_eq!((&report["sent"], &report["refused"]), (&8_000.into(), &0.into()), "{said}");
    assert_eq!(report["delivered"], 8_000 * 31, "{said}");
    assert_eq!((&report["lagged"], &report["missed"]), (&0.into(), &0.into()), "{said}");
    // A tree that overload has taken apart brings more than two copies too many of each.
    assert!(report["duplicates_per_delivery"].as_f64() < Some(1.8), "{said}");
    assert!(output.status.success(), "{said}");
}

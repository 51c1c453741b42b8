//! Lookups and relayed datagrams as scenario files ask for them.

use murmurate_simulator::engine::watch::Filter;
use murmurate_simulator::experiment::runner::{Observer, run};
use murmurate_simulator::experiment::scenario::{Document, Scenario, Span};

fn scenario(text: &str) -> Scenario {
    Document::parse("it", text).expect("TOML").scenario().expect("a scenario")
}

#[test]
fn observers_change_nothing() {
    struct Looks;
    impl Observer for Looks {
        fn looks_at(&self) -> Vec<Span> {
            vec![Span::millis(12_345)]
        }

        fn wants_events(&self) -> Option<Filter> {
            Some(Filter::default())
        }
    }
    let text = "duration = '60s'\nnodes = { count = 12, joining = '2s' }\n\
                [[workload]]\nfrom = '10s'\nuntil = '30s'\npace.rate = 5.0\npayload = 100\n\
                look_up = { relay = true }\n";
    let scenario = scenario(text);
    let alone = run(&scenario, &mut ()).expect("it runs");
    let seen = run(&scenario, &mut Looks).expect("it runs");
    assert_eq!((seen.digest, seen.routing), (alone.digest, alone.routing));
}

#[test]
fn a_lookup_of_a_node_that_never_started_finds_nobody() {
    let text = "duration = '60s'\nnodes = { count = 4, joining = '1s' }\n\
                [[workload]]\nfrom = '10s'\ncount = 3\npace.pause = '10s'\n\
                look_up.to.node = 9\n\
                [[faults]]\nat = '59s'\ndo.join.count = 6\n";
    let scenario = scenario(text);
    let routing = run(&scenario, &mut ()).expect("it runs").routing.expect("lookups");
    assert_eq!((routing.lookups, routing.not_found), (3, 3));
}

#[test]
fn a_stopped_process_answers_later() {
    let text = "duration = '198s'\nnodes = { count = 4, joining = '1s' }\n\
                [[workload]]\nfrom = '14500ms'\ncount = 1\n\
                sender.node = 1\nlook_up.to.node = 0\n\
                [[faults]]\nat = '9s'\ndo.crash.who.nodes = [0]\n\
                [[faults]]\nat = '15s'\ndo.stall = { who = { nodes = [1] }, for = '180s' }\n";
    let scenario = scenario(text);
    let report = run(&scenario, &mut ()).expect("it runs");
    assert_eq!(report.violation, None);
}

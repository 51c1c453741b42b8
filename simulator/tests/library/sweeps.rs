//! Comparisons and figures of runs: what `sweep` and `compare` rest on.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use murmurate::membership::Time;
use murmurate_simulator::experiment::runner::{self, Observer};
use murmurate_simulator::experiment::scenario::{Document, Scenario, Span, gallery};
use murmurate_simulator::study::sweep::figures::{names, values};
use murmurate_simulator::study::sweep::{Jobs, compare, estimate};

fn jobs(runs: usize, threads: usize) -> Jobs {
    let some = |n| NonZeroUsize::new(n).expect("some");
    Jobs { runs: some(runs), threads: some(threads) }
}

/// Who runs, and who broadcast when.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    running: Vec<Vec<usize>>,
    broadcasts: Vec<(usize, Time)>,
}

impl Observer for Seen {
    fn looks_at(&self) -> Vec<Span> {
        vec![Span::secs(16), Span::secs(25), Span::secs(29)]
    }

    fn look(&mut self, sim: &dyn runner::View, _: Time) {
        self.running.push(sim.running());
        self.broadcasts = sim.stats().broadcasts.iter().map(|b| (b.origin, b.sent)).collect();
    }
}

/// What `compare` rests on.
#[test]
fn two_configurations_with_the_same_seed_have_the_same_noise() {
    let text = "duration = '30s'\nnodes = { count = 60, joining = '5s' }\n\
        links = { loss = 0.1, latency = { model = 'log-normal', median = '20ms', sigma = 0.5 } }\n\
        [[workload]]\nfrom = '12s'\npace.poisson = 3.0\n\
        [[faults]]\nat = '15s'\ndo.crash.who.share = '30%'\n\
        [[faults]]\nat = '17s'\ndo.churn = { for = '5s', how.poisson.share_per_minute = 3.0 }\n\
        [[faults]]\nat = '26s'\ndo.restart.who.count = 5\n";
    let scenario = |set: &[&str]| {
        let mut document = Document::parse("f", text).expect("it is right");
        set.iter().for_each(|set| document.set(set).expect("it is right"));
        document.scenario().expect("it is right")
    };
    let seen = |scenario: &Scenario| {
        let mut seen = Seen::default();
        let report = runner::run(scenario, &mut seen).expect("it is right");
        (seen, report.digest)
    };
    let one = scenario(&["active_capacity=3"]);
    let other =
        scenario(&["active_capacity=8", "broadcast.strategy=flood", "keepalive_interval=1s"]);
    assert_eq!(compare::unlike(&one, &other), Vec::<&str>::new());
    let ((seen_one, digest_one), (seen_other, digest_other)) = (seen(&one), seen(&other));
    assert_ne!(digest_one, digest_other, "they are not the same");
    assert_eq!(
        seen_one, seen_other,
        "the same victims, newcomers and publishers at the same times"
    );
    let sizes: BTreeSet<usize> = seen_one.running.iter().map(Vec::len).collect();
    assert!(sizes.len() > 1 && !seen_one.broadcasts.is_empty(), "{seen_one:?}");
    let reseeded = Scenario { seed: 2, ..one.clone() };
    assert_ne!(seen(&reseeded).0, seen_one, "another seed is other noise");
    assert_eq!(
        compare::unlike(
            &one,
            &scenario(&["graph={model='ring'}", "classes=[{name='a',who.share=0.5}]"])
        ),
        ["classes", "graph"]
    );
    assert_eq!(
        compare::unlike(&one, &scenario(&["loss=0.2", "nodes.count=50"])),
        ["nodes", "links"]
    );
}

/// A comparison finds what there is, and nothing where there is nothing.
#[test]
fn a_comparison_tells_what_differs_from_what_does_not() {
    let read = |set: &[&str]| {
        let base = [
            "nodes.count=60",
            "duration=25s",
            "workload.0.from=12s",
            "workload.0.count=20",
            "nodes.joining=3s",
            "assertions=[]",
        ];
        let set: Vec<String> = base.iter().chain(set).map(|set| (*set).to_owned()).collect();
        Scenario::read(Path::new("quickstart"), &set).expect("it is right")
    };
    let find = |comparison: &compare::Comparison, name: &str| {
        comparison
            .figures
            .iter()
            .find(|figure| figure.figure == name)
            .cloned()
            .expect("it is right")
    };
    let (plumtree, flood) = (read(&[]), read(&["broadcast.strategy=flood"]));
    let found =
        compare::compare(&plumtree, &flood, 12, &[], jobs(2, 1), &|_| {}).expect("it is right");
    let rmr = find(&found, "rmr");
    assert!(
        rmr.significant && rmr.difference.expect("it is right").ci_low.expect("it is right") > 1.0,
        "{rmr:?}"
    );
    let latency = find(&found, "latency_p50");
    assert!(latency.significant && latency.relative.expect("it is right") <= 0.0, "{latency:?}");
    let reliability = find(&found, "reliability");
    assert_eq!(
        (reliability.p, reliability.significant),
        (Some(1.0), false),
        "both reach everybody"
    );
    assert!(
        find(&found, "rmr").p_holm.expect("it is right")
            > find(&found, "rmr").p.expect("it is right")
    );
    assert_eq!(
        found,
        compare::compare(&plumtree, &flood, 12, &[], jobs(1, 2), &|_| {}).expect("it is right")
    );
    // The time after which a member is forgotten does not matter where nobody fails.
    let patient = read(&["payload_capacity=2048"]);
    let found =
        compare::compare(&plumtree, &patient, 4, &[], jobs(2, 1), &|_| {}).expect("it is right");
    assert!(found.figures.iter().all(|f| f.test == Some(estimate::Test::Equal)), "{found:?}");
    let few = ["rmr".to_owned(), "hops".to_owned()];
    let found =
        compare::compare(&plumtree, &flood, 3, &few, jobs(2, 1), &|_| {}).expect("it is right");
    assert_eq!(found.figures.len(), 2);
}

/// Phases and assertions that only one side has are said.
#[test]
fn what_is_on_one_side_only_is_not_compared() {
    let read = |set: &str| {
        let set = ["nodes.count=20", "duration=15s", "workload=[]", "nodes.joining=3s", set];
        Scenario::read(Path::new("quickstart"), &set.map(str::to_owned)).expect("it is right")
    };
    let (one, other) = (read("assertions=[]"), read("assertions=['components == 1']"));
    let found = compare::compare(&one, &other, 2, &[], jobs(1, 1), &|_| {}).expect("it is right");
    assert_eq!(found.not_compared, ["assertions.0.holds", "assertions.0.found", "assertions.0.at"]);
    let reliability =
        found.figures.iter().find(|figure| figure.figure == "reliability").expect("it is right");
    assert_eq!((reliability.pairs, reliability.difference), (0, None), "nobody broadcasts");
}

#[test]
fn channels_have_figures_of_their_own() {
    let set = ["nodes.count=20", "duration=40s"].map(str::to_owned);
    let text = gallery::find("channels").expect("it is right").text;
    let mut document = Document::parse("channels", text).expect("it is right");
    set.iter().for_each(|set| document.set(set).expect("it is right"));
    document.set("assertions=[]").expect("it is right");
    document.set("faults=[]").expect("it is right");
    document
        .set("workload=[{ from='20s', count=5, send={ channel='ticks' } }]")
        .expect("it is right");
    let scenario = document.scenario().expect("it is right");
    let report = runner::run(&scenario, &mut ()).expect("it is right");
    let (names, values) = (names(&scenario), values(&scenario, &report));
    assert_eq!(names.len(), values.len());
    let at =
        |name: &str| values[names.iter().position(|known| known == name).expect("it is right")];
    assert_eq!(at("channel.ticks.messages"), Some(5.0));
    assert_eq!(at("channel.ticks.delivered"), Some(1.0));
    assert_eq!(at("channel.orders.delivered"), None);
}

#[test]
fn every_figure_has_a_name_and_every_phase_its_figures() {
    for (phases, expected) in [
        ("[]", vec!["all"]),
        ("[{ name = 'a', from = '0s' }, { name = 'b', from = '5s' }]", vec!["a", "b"]),
        ("[{ name = 'b', from = '5s' }]", vec!["before", "b"]),
    ] {
        let set =
            ["nodes.count=20", "duration=20s", "workload.0.from=12s", "assertions=['rmr < 2']"]
                .map(str::to_owned);
        let set = [&set[..], &[format!("measure.phases={phases}")]].concat();
        let scenario = Scenario::read(Path::new("quickstart"), &set).expect("it is right");
        let report = runner::run(&scenario, &mut ()).expect("it is right");
        let found: Vec<_> = report.phases.iter().map(|phase| phase.phase.as_str()).collect();
        assert_eq!(found, expected, "as the report has them");
        let (names, values) = (names(&scenario), values(&scenario, &report));
        assert_eq!(names.len(), values.len());
        let value = |name: &str| names.iter().position(|n| n == name).and_then(|at| values[at]);
        let last = match expected[..] {
            [_] => String::new(),
            [.., last] => format!("{last}."),
            [] => unreachable!(),
        };
        assert_eq!(value(&format!("{last}running_nodes")), Some(20.0));
        assert_eq!(value(&format!("{last}reliability")), Some(1.0));
        assert_eq!(value("assertions.0.holds"), Some(1.0));
        assert_eq!(value("events"), Some(report.events as f64));
    }
}

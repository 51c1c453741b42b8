//! Every scenario of the gallery at a small size: its assertions hold, its run is a function of its
//! seed on any number of threads, its file is listed, and valid under the schema.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use murmurate_simulator::engine::Count;
use murmurate_simulator::engine::watch::Filter;
use murmurate_simulator::experiment::runner::{self, Observer, Probing, Report, View};
use murmurate_simulator::experiment::scenario::{Document, Scenario, Span, gallery};
use murmurate_simulator::observe::node;

use crate::common::Published;

/// So many nodes at most.
const SMALL: u32 = 400;

fn read(name: &str, overrides: &[&str]) -> Scenario {
    let overrides: Vec<String> = overrides.iter().map(|text| (*text).to_owned()).collect();
    Scenario::read(Path::new(name), &overrides).unwrap_or_else(|error| panic!("{error}"))
}

/// A scenario of the gallery as small as it still shows what it shows.
fn small(name: &str) -> Scenario {
    let overrides: &[&str] = match name {
        "a-million" => &["nodes.count=1500"],
        // Says how many nodes run.
        "mass-start" | "mass-failure" | "flash-crowd" | "recorded-churn" => &[],
        _ => {
            let count = read(name, &[]).nodes.count.min(SMALL);
            return read(name, &[&format!("nodes.count={count}")]);
        }
    };
    read(name, overrides)
}

fn run(scenario: &Scenario) -> Report {
    runner::run(scenario, &mut ()).expect("it was checked")
}

/// Shows each scenario, small, to `broken`, on all cores; nothing may be.
fn each(broken: impl Fn(&str, &Scenario) -> Vec<String> + Sync) {
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut found = Vec::new();
        while let Some(exhibit) = gallery::EXHIBITS.get(next.fetch_add(1, Ordering::Relaxed)) {
            found.extend(broken(exhibit.name, &small(exhibit.name)));
        }
        found
    };
    let broken: Vec<_> = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no run panics")).collect()
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// Everything that a scenario can switch on, over whatever each has itself.
const EVERYTHING: &str = "nodes.processor = { message = '20us', rate = '1 Gbit/s' }\n\
    links.connections = { round_trips = 3 }\nlinks.transport = 'streams'\nlinks.jitter = '1ms'\n\
    links.bandwidth = { up = '200 Mbit/s', down = '200 Mbit/s', queue = '8 MiB' }\n\
    [[classes]]\nname = 'nat'\nwho.share = '20%'\nnat = 'reject'\nloss = '5%'\n\
    [[classes]]\nname = 'silent'\nwho.share = '10%'\nnat = 'drop'\nprocessor.message = '200us'\n\
    [[classes]]\nname = 'site'\nwho.share = '25%'\n\
    shared = { up = '20 Mbit/s', down = '40 Mbit/s', queue = '1 MiB' }\n\
    [[classes]]\nname = 'other site'\nwho.share = '25%'\nloss = '1%'\n\
    bandwidth = { up = '50 Mbit/s', down = '100 Mbit/s', queue = '4 MiB' }\n\
    shared = { up = '30 Mbit/s', down = '30 Mbit/s', queue = '1 MiB' }\n\
    [[faults]]\nat = '5s'\n\
    do.latency = { who.class = 'nat', to = 'all', times = 3.0, over = '2s', for = '8s', every = '10s' }\n\
    [[faults]]\nat = '9s'\ndo.latency = { who.share = '30%', times = 1.5 }\n";

#[test]
fn with_everything_on_runs_are_the_same_on_any_number_of_threads() {
    let added = Document::parse("added", EVERYTHING).expect("TOML").scenario().expect("right");
    each(|name, scenario| {
        let mut scenario = scenario.clone();
        scenario.assertions.clear();
        let all = std::mem::replace(&mut scenario.nodes.count, 120);
        if all < 120 || !scenario.check().is_empty() {
            scenario.nodes.count = all;
        }
        scenario.nodes.processor = added.nodes.processor;
        scenario.links.connections = added.links.connections;
        scenario.links.transport = added.links.transport;
        scenario.links.jitter = added.links.jitter;
        scenario.links.bandwidth = scenario.links.bandwidth.or(added.links.bandwidth);
        scenario.classes.clone_from(&added.classes);
        scenario.faults.extend(added.faults.iter().cloned());
        let report = run(&scenario);
        let mut broken: Vec<_> =
            report.violation.iter().map(|broken| format!("{name}: {broken:?}")).collect();
        if report.events < 1_000 || report.dials.is_none_or(|dials| dials.failed == 0) {
            broken.push(format!("{name}: did anything run? {} events", report.events));
        }
        for threads in [2, 3] {
            let threads = NonZeroUsize::new(threads).expect("some");
            let other =
                runner::run_on_threads(threads, &scenario, &mut ()).expect("it was checked");
            if other != report {
                broken.push(format!("{name}: another run on {threads} threads"));
            }
        }
        broken
    });
}

/// Looks as often as nobody would, and wants to hear of everything.
struct Onlooker;

impl Observer for Onlooker {
    fn looks_at(&self) -> Vec<Span> {
        (1..120).map(|count| Span(Duration::from_millis(777) * count)).collect()
    }

    fn overlay_every(&self) -> Option<Span> {
        Some(Span(Duration::from_millis(333)))
    }

    fn wants_events(&self) -> Option<Filter> {
        Some(Filter::default())
    }

    fn wants_probes(&self) -> Option<Probing> {
        let counts = vec![Count::Sent, Count::Deliveries, Count::ReceivedOf("gossip".to_owned())];
        let every = Span(Duration::from_millis(171));
        Some(Probing { from: Span::default(), every, until: None, counts })
    }

    fn probe(&mut self, sim: &dyn View) {
        for node in sim.running() {
            let mut figures = 0;
            sim.each_figure(node, &mut |_, _| figures += 1);
            assert!(figures >= node::OF_ALL.len() && sim.count(node, 2).is_some());
        }
    }
}

/// A run and its verdicts depend on the scenario alone: not on the threads, nor on what else is measured
/// or written.
#[test]
fn every_scenario_shows_what_it_says_on_any_number_of_threads_and_with_any_output() {
    each(|name, scenario| {
        assert!(!scenario.assertions.is_empty(), "{name} asserts nothing");
        let report = run(scenario);
        let fail = report.verdicts.iter().filter(|verdict| !verdict.holds);
        let mut broken: Vec<_> = fail.map(|verdict| format!("{name}: {verdict:?}")).collect();
        let on_threads = |threads, scenario: &Scenario, observer: &mut dyn Observer| {
            let threads = NonZeroUsize::new(threads).expect("some");
            runner::run_on_threads(threads, scenario, observer).expect("it was checked")
        };
        let other = on_threads(3, scenario, &mut ());
        if other.digest != report.digest {
            broken.push(format!("{name}: another digest on 3 threads"));
        } else if other != report {
            broken.push(format!("{name}: another report on 3 threads"));
        }
        let mut measured = scenario.clone();
        measured.measure.load = true;
        let seen = on_threads(2, &measured, &mut Onlooker);
        if (&seen.verdicts, &seen.digest) != (&report.verdicts, &report.digest) {
            let (with, without) = (seen.verdicts, report.verdicts);
            broken.push(format!("{name}: {with:#?} on 2 threads with all outputs, {without:#?}"));
        }
        broken
    });
}

#[test]
fn every_file_is_listed_and_says_what_it_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let files = std::fs::read_dir(folder).expect("the folder").map(|file| file.expect("a file"));
    let mut names: Vec<String> = files
        .filter_map(|file| file.file_name().to_str()?.strip_suffix(".toml").map(ToOwned::to_owned))
        .collect();
    names.sort();
    let mut listed: Vec<_> = gallery::EXHIBITS.iter().map(|exhibit| exhibit.name).collect();
    listed.sort_unstable();
    assert_eq!(listed, names);
    for exhibit in gallery::EXHIBITS {
        assert!(exhibit.text.starts_with("# "), "{} begins with a comment", exhibit.name);
        assert!(!read(exhibit.name, &[]).description.is_empty(), "{} has none", exhibit.name);
    }
}

/// By another implementation of JSON Schema than the one that checks files here.
#[test]
fn the_gallery_is_valid_under_the_schema() {
    let published = Published::schema();
    for exhibit in gallery::EXHIBITS {
        let table: toml::Table = exhibit.text.parse().expect("TOML");
        assert_eq!(published.errors_of(&table), "", "{}", exhibit.name);
    }
}

#[test]
fn what_is_written_is_what_was_read() {
    for exhibit in gallery::EXHIBITS {
        let scenario = read(exhibit.name, &[]);
        let text = scenario.to_toml().expect("it can be written");
        let document = Document::parse("written", &text).expect("TOML");
        let again = document.scenario().unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(again, scenario, "{text}");
    }
    let default = Scenario::default().to_toml().expect("it can be written");
    assert_eq!(default, "", "only what differs is written");
}

#[test]
fn a_run_is_a_function_of_its_scenario() {
    for name in ["churn", "aws-regions", "large-payloads", "clock-drift", "unordered-network"] {
        let scenario = read(name, &["nodes.count=100"]);
        let report = run(&scenario);
        assert_eq!(report, run(&scenario), "{name}");
        let other = Scenario { seed: 2, ..scenario };
        assert_ne!(report.digest, run(&other).digest, "{name}");
    }
}

#[test]
fn regions_are_compared_with_their_shortest_paths() {
    let report = run(&read("aws-regions", &["nodes.count=200"]));
    let phase = report.phases.last().expect("two phases");
    assert_eq!(phase.regions.len(), 6);
    let deliveries: u64 = phase.regions.iter().map(|region| region.deliveries).sum();
    assert_eq!(deliveries, 200 * 199, "as many broadcasts as nodes, each to all others");
    for region in &phase.regions {
        let best = region.best_seconds.expect("the ways are known");
        let taken = region.latency_seconds;
        assert!(best.mean < taken.mean && best.max <= taken.max, "{region:?}");
        let stretch = region.stretch.expect("there were deliveries");
        assert!((1.2..6.0).contains(&stretch), "{region:?}");
    }
    // From ap-southeast-2: 200 ms there and back.
    let virginia = phase.regions.iter().find(|r| r.region == "us-east-1").expect("a region");
    assert!((0.095..=0.105).contains(&virginia.best_seconds.expect("known").max), "{virginia:?}");
}

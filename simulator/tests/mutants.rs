//! The swarm finds deliberate bugs: `cargo test -p murmurate-simulator --features mutants --test
//! mutants`. `murmurate-sim swarm --mutants` tries them all.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::num::NonZeroUsize;

use murmurate_simulator::mutants::Mutant;
use murmurate_simulator::runner;
use murmurate_simulator::scenario::Document;
use murmurate_simulator::swarm::{self, Plan};

/// One of each layer, caught by an invariant, by what an event must do and must not do, by a promise
/// and by a bound.
const SOME: [&str; 8] = [
    "disconnect-ignored",
    "link-numbers-ignored",
    "linked-remembered",
    "passive-tried-once",
    "old-incarnation-asked",
    "shuffle-endless",
    "mesh-silence-ignored",
    "duplicates-delivered",
];

fn jobs(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).expect("some")
}

#[test]
fn mutants_are_caught_shrunk_and_replayed() {
    for name in SOME {
        let mutant = Mutant::find(name);
        assert!(mutant.is_some(), "{name} is a mutant");
        let summary = swarm::run(0..1_000, jobs(2), mutant, || {});
        let (seed, failure) = summary.failed.unwrap_or_else(|| panic!("{name} survived"));
        let shrunk = swarm::shrink(Plan::draw(seed, mutant), failure.clone(), 500);
        assert_eq!(shrunk.failure.rule, failure.rule, "{name} still fails in the same way");
        assert!(shrunk.plan.nodes() <= 20 && shrunk.plan.faults() <= 6, "{name}: {shrunk:?}");

        let text = shrunk.to_file().expect("TOML");
        let document = Document::parse(name, &text).expect("TOML");
        let mut scenario = document.scenario().unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(scenario.mutant.as_deref(), Some(name));
        let replayed = runner::run(&scenario, &mut ()).expect("it was checked");
        assert!(!replayed.holds(), "{name}: the file shows it\n{text}");
        scenario.mutant = None;
        let without = runner::run(&scenario, &mut ()).expect("it was checked");
        assert!(without.holds(), "{name}: and nothing else\n{text}");
    }
}

#[test]
fn the_lowest_seed_that_fails_is_found_by_any_number_of_jobs() {
    let mutant = Mutant::find("disconnect-ignored");
    let of = |count| swarm::run(0..1_000, jobs(count), mutant, || {});
    let one = of(1);
    assert!(one.failed.is_some());
    assert_eq!(one, of(2));
    assert_eq!(one, of(5));
}

//! The swarm: configurations and fates drawn from seeds, hundreds of them; what it found before; and
//! that it finds bugs at all.

use std::num::NonZeroUsize;
use std::path::Path;

use murmurate_simulator::experiment::runner;
use murmurate_simulator::experiment::scenario::Scenario;
use murmurate_simulator::study::swarm;

/// Seeds in CI; `murmurate-sim swarm --seeds 10000` runs more.
const SEEDS: u64 = 300;

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

#[test]
fn swarms_survive_their_faults() {
    let summary = swarm::run(0..SEEDS, cores(), &[], || {});
    if let Some((seed, failure)) = &summary.failed {
        panic!("seed {seed}: {failure:?}\nmurmurate-sim swarm --first {seed} --seeds 1 shrinks it");
    }
    assert_eq!(summary.seeds, SEEDS);
    // The seeds are only worth something while much happens.
    assert!(summary.events > 10_000_000, "{} events", summary.events);
    let unreached: Vec<_> = summary.unreached().collect();
    // Thousands of seeds reach half of these.
    assert!(unreached.len() <= 15, "rarely taken branches that none took: {unreached:?}");
}

#[test]
fn what_comes_of_it_does_not_depend_on_the_number_of_jobs() {
    let of = |jobs| swarm::run(100..120, NonZeroUsize::new(jobs).expect("some"), &[], || {});
    assert_eq!(of(1), of(3));
}

/// Scenarios that the swarm shrank and that failed before what they show was mended.
#[test]
fn what_was_found_before_stays_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    let mut files = 0;
    for file in std::fs::read_dir(folder).expect("the folder") {
        let path = file.expect("a file").path();
        let scenario = Scenario::read(&path, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.assertions.is_empty(), "{} asserts nothing", path.display());
        let report = runner::run(&scenario, &mut ()).expect("it was checked");
        let broken: Vec<_> = report.verdicts.iter().filter(|verdict| !verdict.holds).collect();
        assert!(report.holds(), "{}: {:?}, {broken:?}", path.display(), report.violation);
        files += 1;
    }
    assert!(files > 0, "there are some");
}

//! Channels in trouble: thousands of little worlds with a fate drawn from a seed, and those fates
//! that have a name.
//!
//! While connections break, nodes restart and relays lose, every promise of a kind is checked at every
//! step; when the faults have stopped, every message has its outcome and new ones arrive. A seed that
//! fails is printed with what was drawn from it:
//!
//! ```text
//! SWARM_SEED=17 cargo test -p murmurate-simulator --test library channels
//! SWARM_SEEDS=100000 cargo test --release -p murmurate-simulator --test library channels
//! ```

mod plan;
mod run;
mod scenarios;
mod world;

use std::collections::BTreeSet;

use murmurate::membership::Violation;

use plan::Plan;
use run::Summary;
use world::KINDS;

/// Seeds in CI, each with lanes of all kinds.
const SEEDS: u64 = 2_000;
/// Every so many seeds are run twice: the same seed gives the same run.
const TWICE_EVERY: u64 = 20;

type Outcomes = Vec<(u64, Result<Summary, Violation>)>;

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is not a number")))
}

fn run_seed(seed: u64) -> Result<Summary, Violation> {
    run::run(&Plan::draw(seed))
}

#[test]
fn every_kind_keeps_its_promises_whatever_happens() {
    let seeds = match number("SWARM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SWARM_SEEDS").unwrap_or(SEEDS),
    };
    let middle = seeds.start + (seeds.end - seeds.start) / 2;
    let half = |seeds: std::ops::Range<u64>| -> Outcomes {
        seeds
            .map(|seed| {
                let outcome = run_seed(seed);
                if seed % TWICE_EVERY == 0 {
                    assert_eq!(outcome, run_seed(seed), "seed {seed} gave another run");
                }
                (seed, outcome)
            })
            .collect()
    };
    let outcomes = std::thread::scope(|scope| {
        let first = scope.spawn(|| half(seeds.start..middle));
        let mut second = half(middle..seeds.end);
        let mut outcomes = first.join().expect("no run panics");
        outcomes.append(&mut second);
        outcomes
    });
    report(&outcomes);
}

fn report(outcomes: &Outcomes) {
    for (at, kind) in KINDS.iter().enumerate() {
        let fine = || outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
        let counts = || fine().map(|summary| &summary.kinds[at]);
        let pushed: usize = counts().map(|counts| counts.pushed).sum();
        let again: u64 = counts().map(|counts| counts.retransmitted).sum();
        let how: [usize; 4] =
            std::array::from_fn(|at| counts().map(|counts| counts.outcomes[at]).sum());
        println!(
            "{kind}: {} runs, {pushed} messages, {again} sent again; well, gone, timed out, shed {how:?}",
            fine().count()
        );
        if outcomes.len() as u64 >= SEEDS && fine().count() == outcomes.len() {
            // The plans are only worth something while they try much.
            assert!(how[0] * 6 > pushed, "{how:?} of {pushed} are too few that went well");
            assert!(how[2] * 500 > pushed && how[3] * 100 > pushed, "{how:?} are too harmless");
        }
    }
    let failed = outcomes.iter();
    let failed = failed.filter_map(|(seed, outcome)| Some((*seed, outcome.as_ref().err()?)));
    let failed: Vec<_> = failed.collect();
    if let Some((seed, violation)) = failed.first() {
        let rules: BTreeSet<_> =
            failed.iter().map(|(seed, violation)| (violation.rule, *seed)).collect();
        panic!(
            "{} runs failed: {rules:?}\nSWARM_SEED={seed}: {violation:#?}\n{:#?}",
            failed.len(),
            Plan::draw(*seed)
        );
    }
}

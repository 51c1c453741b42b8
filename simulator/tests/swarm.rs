//! Swarms: whole configurations and timelines of faults drawn from a seed, hundreds of them.
//!
//! While nodes crash, restart, leave and lose sight of each other, nothing bad may happen; when the
//! faults have stopped, the overlay must be whole again within a stated time and every broadcast
//! must reach everyone. A seed that fails is printed with the configuration drawn from it:
//!
//! ```text
//! SWARM_SEED=17 cargo test -p murmurate-simulator --test swarm
//! SWARM_SEEDS=10000 cargo test --release -p murmurate-simulator --test swarm
//! ```

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "clippy takes the helpers of a test for production code"
)]

#[path = "swarm/plan.rs"]
mod plan;
#[path = "swarm/run.rs"]
mod run;

use std::sync::atomic::{AtomicU64, Ordering};

use murmurate::membership::Violation;
use murmurate_simulator::strategy::{hyparview_flood, hyparview_plumtree};

use plan::{Broadcast, Plan};
use run::{BROADCASTS, Outcome};

/// Seeds in CI.
const SEEDS: u64 = 300;
/// Every so many seeds are run twice: the same seed gives the same run.
const TWICE_EVERY: u64 = 20;

fn run_seed(seed: u64) -> Result<Outcome, Violation> {
    let plan = Plan::draw(seed);
    let membership = plan.membership.clone().check().expect("drawn in range");
    match &plan.broadcast {
        Broadcast::Plumtree(parameters) => {
            let config = parameters.clone().check().expect("drawn in range");
            run::run(&plan, hyparview_plumtree(membership, config))
        }
        Broadcast::Flood(config) => run::run(&plan, hyparview_flood(membership, *config)),
    }
}

fn number(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable}={value} is not a number")))
}

#[test]
fn swarms_survive_their_faults() {
    let seeds = match number("SWARM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SWARM_SEEDS").unwrap_or(SEEDS),
    };
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut done = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return done;
            }
            let outcome = run_seed(seed);
            if let (0, Ok(first)) = (seed % TWICE_EVERY, &outcome) {
                let again = run_seed(seed).map(|again| again.digest);
                assert_eq!(again, Ok(first.digest), "seed {seed} gave another run");
            }
            done.push((seed, outcome));
        }
    };
    let mut outcomes: Vec<_> = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no run panics")).collect()
    });
    outcomes.sort_by_key(|(seed, _)| *seed);
    report(&outcomes);
    if outcomes.len() as u64 >= SEEDS {
        worth_something(&outcomes);
    }
}

/// The plans are only worth something while they try much, and most of them promise much.
fn worth_something(outcomes: &[(u64, Result<Outcome, Violation>)]) {
    let fine = || outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
    let whole = outcomes.iter().filter(|(seed, _)| Plan::draw(*seed).must_be_whole()).count();
    assert!(whole * 2 > outcomes.len(), "{whole} of {} must be whole", outcomes.len());
    let reached = fine().map(|outcome| outcome.reached).sum::<usize>();
    let tried = outcomes.len() * BROADCASTS;
    assert!(reached * 50 > tried * 49, "{reached} of {tried} broadcasts prove something");
    let links = fine().map(|outcome| outcome.links).sum::<u64>() / outcomes.len() as u64;
    assert!(links > 500, "{links} links a run");
}

fn report(outcomes: &[(u64, Result<Outcome, Violation>)]) {
    let fine = || outcomes.iter().filter_map(|(_, outcome)| outcome.as_ref().ok());
    let failed: Vec<_> =
        outcomes.iter().filter_map(|(seed, o)| Some((seed, o.as_ref().err()?))).collect();
    println!(
        "{} runs ({} whole), {} events, {} links, {} broadcasts at the end, {} virtual hours, fullest \
         queue {} % of its bound, {} failures",
        outcomes.len(),
        outcomes.iter().filter(|(seed, _)| Plan::draw(*seed).must_be_whole()).count(),
        fine().map(|o| o.events).sum::<u64>(),
        fine().map(|o| o.links).sum::<u64>(),
        fine().map(|o| o.reached).sum::<usize>(),
        fine().map(|o| o.seconds).sum::<u64>() / 3600,
        fine().map(|o| o.peak).max().unwrap_or(0),
        failed.len(),
    );
    for (seed, violation) in &failed {
        let detail: String = violation.detail.chars().take(600).collect();
        println!("SWARM_SEED={seed} ({}): {}: {detail}", Plan::draw(**seed), violation.rule);
    }
    if let Some((seed, violation)) = failed.first() {
        panic!("SWARM_SEED={seed}: {violation}\n{:?}", Plan::draw(**seed));
    }
}

//! The swarm: draws whole configurations from seeds, runs them by the thousand, and shrinks those that
//! fail.
//!
//! While nodes crash, restart, leave and lose contact, invariants must hold. Once the faults are over, the
//! overlay must be whole again within a stated time, and every broadcast must reach all nodes.

mod draw;
mod faults;
mod focus;
mod plan;
mod shrink;
mod template;
mod traffic;

use std::cell::Cell;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use murmurate::Mark;
use serde::Serialize;

pub use focus::Focus;
pub use plan::Plan;
pub use shrink::{Shrunk, shrink};

use crate::engine::marks::Marks;
use crate::experiment::runner::{self, Report};
use crate::experiment::scenario::Share;
use crate::model::dice::Dice;
use crate::strategies::Registry;

/// Whole percents, so that what is written is what was drawn.
fn percent(dice: &mut Dice, least: u32, most: u32) -> Share {
    Share::new(dice.percent(least, most)).unwrap_or_default()
}

/// One of this many seeds is run twice: the same seed must give the same run.
const TWICE_EVERY: u64 = 20;

thread_local! {
    static SEED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// The seed that this thread runs or ran last: for the message of a panic that ends the program.
#[must_use]
pub fn current_seed() -> Option<u64> {
    SEED.get()
}

/// What does not hold in a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// The invariant, or the figure that an assertion is about.
    pub rule: String,
    /// What was found instead.
    pub detail: String,
    /// When; of an assertion, at the end of the run.
    #[serde(skip)]
    pub at: Duration,
    /// Whether the run was stopped there.
    #[serde(skip)]
    pub is_final: bool,
}

/// The outcome of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PlanOutcome {
    /// What does not hold, if anything does not.
    pub failure: Option<Failure>,
    /// Proves that two runs were equal.
    pub digest: String,
    /// Events handled.
    pub events: u64,
    /// Seconds of virtual time.
    pub seconds: f64,
    /// Rarely taken branches that were taken.
    pub marks: Marks,
}

/// Runs a plan.
#[must_use]
pub fn try_plan(plan: &Plan) -> PlanOutcome {
    let scenario = plan.scenario();
    let failed = |rule: &str, detail: String| PlanOutcome {
        failure: Some(Failure { rule: rule.into(), detail, at: Duration::ZERO, is_final: false }),
        ..PlanOutcome::default()
    };
    match catch_unwind(AssertUnwindSafe(|| runner::run(&scenario, &mut ()))) {
        Ok(Ok(report)) => PlanOutcome {
            failure: failure(&report),
            digest: report.digest,
            events: report.events,
            seconds: report.simulated_seconds,
            marks: report.marks,
        },
        Ok(Err(error)) => failed("a plan is a scenario", error.to_string()),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            failed("nothing panics", text.unwrap_or_default())
        }
    }
}

/// Runs the plan of a seed, drawn with this focus, sometimes twice.
#[must_use]
pub fn try_seed(seed: u64, focus: &[Focus]) -> PlanOutcome {
    let plan = Plan::draw(seed, focus);
    let mut outcome = try_plan(&plan);
    if seed.is_multiple_of(TWICE_EVERY) && outcome.failure.is_none() {
        let again = try_plan(&plan).digest;
        if again != outcome.digest {
            outcome.failure = Some(Failure {
                rule: "a run is a function of its seed".into(),
                detail: format!("digest {}, and then {again}", outcome.digest),
                at: Duration::ZERO,
                is_final: false,
            });
        }
    }
    outcome
}

fn failure(report: &Report) -> Option<Failure> {
    let at = Duration::from_secs_f64(report.simulated_seconds);
    if let Some(broken) = &report.violation {
        let (rule, detail) = (broken.rule.to_owned(), broken.detail.clone());
        return Some(Failure { rule, detail, at, is_final: true });
    }
    let broken = report.verdicts.iter().find(|verdict| !verdict.holds)?;
    let found = broken.found.map_or_else(|| "nothing".to_owned(), |found| format!("{found:.6}"));
    let rule = broken.assertion.split(' ').next().unwrap_or_default().to_owned();
    let is_final = ["pending", "messages"].contains(&&*rule);
    Some(Failure { rule, detail: format!("{}: found {found}", broken.assertion), at, is_final })
}

/// The outcome of many seeds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SwarmSummary {
    /// Seeds run, up to the first that fails.
    pub seeds: u64,
    /// Events handled.
    pub events: u64,
    /// Hours of virtual time.
    pub hours: f64,
    /// For each mark how many seeds reached it.
    pub marks: Vec<(Mark, u64)>,
    /// The lowest seed that fails, and how.
    pub failed: Option<(u64, Failure)>,
}

impl SwarmSummary {
    /// Marks that no seed reached.
    pub fn unreached(&self) -> impl Iterator<Item = Mark> + '_ {
        self.marks.iter().filter(|(_, seeds)| *seeds == 0).map(|(mark, _)| *mark)
    }

    fn of(mut outcomes: Vec<(u64, PlanOutcome)>) -> Self {
        outcomes.sort_by_key(|(seed, _)| *seed);
        let marks = Registry::installed().marks();
        let mut summary =
            Self { marks: marks.into_iter().map(|mark| (mark, 0)).collect(), ..Self::default() };
        for (seed, outcome) in outcomes {
            summary.seeds += 1;
            summary.events += outcome.events;
            summary.hours += outcome.seconds / 3_600.0;
            for (mark, seeds) in &mut summary.marks {
                *seeds += u64::from(outcome.marks.has(*mark));
            }
            if let Some(failure) = outcome.failure {
                summary.failed = Some((seed, failure));
                break;
            }
        }
        summary
    }
}

/// Runs seeds, drawn with this focus, on this many threads, up to the lowest that fails. The result does
/// not depend on the number of threads. `done` is called after each seed.
pub fn run(
    seeds: Range<u64>,
    jobs: NonZeroUsize,
    focus: &[Focus],
    done: impl Fn() + Sync,
) -> SwarmSummary {
    run_by(seeds, jobs, |seed| try_seed(seed, focus), done)
}

/// The same, with another way to run a seed.
fn run_by(
    seeds: Range<u64>,
    jobs: NonZeroUsize,
    outcome: impl Fn(u64) -> PlanOutcome + Sync,
    done: impl Fn() + Sync,
) -> SwarmSummary {
    let next = AtomicU64::new(seeds.start);
    let lowest = AtomicU64::new(seeds.end);
    let worker = || {
        let mut outcomes = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= lowest.load(Ordering::Relaxed) {
                return outcomes;
            }
            SEED.set(Some(seed));
            let outcome = outcome(seed);
            if outcome.failure.is_some() {
                lowest.fetch_min(seed, Ordering::Relaxed);
            }
            outcomes.push((seed, outcome));
            done();
        }
    };
    let outcomes = std::thread::scope(|scope| {
        let workers: Vec<_> = (1..jobs.get()).map(|_| scope.spawn(worker)).collect();
        let mut outcomes = worker();
        for worker in workers {
            match worker.join() {
                Ok(more) => outcomes.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        outcomes
    });
    SwarmSummary::of(outcomes)
}

impl Shrunk {
    /// As a file that shows the failure again.
    ///
    /// # Errors
    /// If the scenario cannot be written as TOML.
    pub fn to_file(&self) -> Result<String, toml::ser::Error> {
        let Failure { rule, detail, .. } = &self.failure;
        let detail: String = detail.chars().take(200).collect();
        let text = self.plan.scenario().to_toml()?;
        Ok(format!("# Run it with murmurate-sim. It fails:\n# {rule}: {detail}\n\n{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_seed_that_fails_is_found_by_any_number_of_jobs() {
        // The lower, the longer it takes.
        let outcome = |seed: u64| {
            std::thread::sleep(Duration::from_millis(50 - seed.min(50)));
            let rule = format!("rule of {seed}");
            let failure = (seed >= 11 && !seed.is_multiple_of(2)).then(|| Failure {
                rule,
                detail: String::new(),
                at: Duration::ZERO,
                is_final: true,
            });
            PlanOutcome { failure, events: seed, ..PlanOutcome::default() }
        };
        let of = |jobs| run_by(3..1_000, NonZeroUsize::new(jobs).expect("some"), outcome, || {});
        let one = of(1);
        assert_eq!(
            one.failed.as_ref().map(|(seed, failure)| (*seed, &*failure.rule)),
            Some((11, "rule of 11"))
        );
        assert_eq!((one.seeds, one.events), (9, (3..=11).sum()));
        assert_eq!(one, of(2));
        assert_eq!(one, of(5));
    }
}

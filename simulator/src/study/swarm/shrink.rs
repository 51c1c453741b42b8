//! Shrinks a failing plan as far as it still fails in the same way.
//!
//! Delta debugging: leave something out, run it, and keep it out if the run still fails. First faults, then
//! nodes, then time, then whatever makes the rest simpler to read. A smaller plan promises only what its
//! configuration can keep.

use std::time::Duration;

use murmurate::membership::parameters::{AnyParameters, Parameter, Value, ValueKind};

use super::faults::end;
use super::plan::{Plan, PlanPromise};
use super::traffic::Traffic;
use super::{Failure, try_plan};
use crate::experiment::scenario::{
    Broadcast, Death, LatencyModel, Links, Share, Span, What, Who, Workload,
};
use crate::strategies::Listed as _;

/// How many other random draws are tried at each number of nodes: the same failure with fewer nodes is just
/// as good.
const REDRAWS: u64 = 16;

/// The smallest plan found, how it fails, and how many runs it took.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// The plan.
    pub plan: Plan,
    /// How it fails.
    pub failure: Failure,
    /// Runs that it took.
    pub runs: u32,
}

/// Shrinks a plan that fails like this, in at most this many runs.
#[must_use]
pub fn shrink(plan: Plan, failure: Failure, most_runs: u32) -> Shrunk {
    shrink_by(plan, failure, most_runs, |plan| try_plan(plan).failure)
}

/// The same, with another way to run a plan.
fn shrink_by(
    plan: Plan,
    failure: Failure,
    most_runs: u32,
    fails: impl Fn(&Plan) -> Option<Failure>,
) -> Shrunk {
    let promise = plan.promise;
    let best = Shrunk { plan, failure, runs: 0 };
    let mut shrinker = Shrinker { best, promise, most_runs, fails };
    shrinker.narrow();
    loop {
        let before = shrinker.best.plan.clone();
        shrinker.faults();
        shrinker.capacities();
        shrinker.nodes();
        shrinker.time();
        shrinker.links();
        shrinker.load();
        shrinker.protocols();
        let is_done = shrinker.best.plan == before && !shrinker.redraw();
        if is_done || shrinker.is_tired() {
            return shrinker.best;
        }
    }
}

struct Shrinker<F> {
    best: Shrunk,
    /// What the first plan promised.
    promise: PlanPromise,
    most_runs: u32,
    fails: F,
}

impl<F: Fn(&Plan) -> Option<Failure>> Shrinker<F> {
    fn is_tired(&self) -> bool {
        self.best.runs >= self.most_runs
    }

    /// Tries the best plan with a change; keeps it if it still fails in the same way.
    fn attempt(&mut self, change: impl FnOnce(&mut Plan)) -> bool {
        let mut plan = self.best.plan.clone();
        change(&mut plan);
        if plan == self.best.plan || self.is_tired() {
            return false;
        }
        plan.promise = self.promise.and(PlanPromise::of(&plan));
        plan.recovery = plan.recovery();
        if !plan.scenario().check().is_empty() {
            return false;
        }
        self.best.runs += 1;
        let Some(failure) = (self.fails)(&plan) else { return false };
        if failure.rule != self.best.failure.rule {
            return false;
        }
        (self.best.plan, self.best.failure) = (plan, failure);
        true
    }

    /// Looks at nothing but what fails, and no longer than until it does.
    fn narrow(&mut self) {
        let Failure { rule, at, is_final, .. } = self.best.failure.clone();
        self.attempt(|plan| plan.only = Some(rule.clone()));
        if is_final {
            self.attempt(|plan| plan.end = Some(at));
        }
        self.attempt(|plan| plan.storm = None);
    }

    fn faults(&mut self) {
        // In ever smaller pieces.
        let mut size = self.best.plan.faults.len();
        while size > 0 {
            let mut at = 0;
            while at < self.best.plan.faults.len() {
                let left_out = self.attempt(|plan| {
                    let until = (at + size).min(plan.faults.len());
                    plan.faults.drain(at..until);
                });
                if !left_out {
                    at += size;
                }
            }
            size /= 2;
        }
        for at in 0..self.best.plan.faults.len() {
            self.attempt(|plan| simplify(&mut plan.faults[at].what));
            self.attempt(|plan| {
                if let Some(who) = who(&mut plan.faults[at].what) {
                    *who = Who::Count(1);
                }
            });
            for share in [8, 4, 2] {
                self.attempt(|plan| {
                    if let What::Join { count, .. } = &mut plan.faults[at].what {
                        *count = count.div_ceil(share);
                    }
                });
            }
        }
    }

    fn nodes(&mut self) {
        let count = self.best.plan.nodes.count;
        let sizes = (1..=10).chain((1..).map(|step| 10 + 3 * step * step));
        for size in sizes.take_while(|size| *size < count) {
            if self.attempt(|plan| set_nodes(plan, size)) {
                break;
            }
        }
        self.attempt(|plan| plan.nodes.contacts = 1);
    }

    /// Tries smaller capacities: few nodes can fill them.
    fn capacities(&mut self) {
        for room in [2, 3, 5] {
            if self.attempt(|plan| confine(plan.membership.parameters_mut(), room)) {
                return;
            }
        }
        self.attempt(|plan| tighten(plan.membership.parameters_mut()));
    }

    /// Tries few nodes once more, with other draws of chance. Whether there are fewer now.
    fn redraw(&mut self) -> bool {
        let (count, noise) = (self.best.plan.nodes.count, self.best.plan.noise);
        let sizes = [2, 3, 4, 6, 8, 10, 14, 20].into_iter().take_while(|size| *size < count);
        sizes.into_iter().any(|size| {
            (0..REDRAWS).any(|draw| {
                self.attempt(|plan| {
                    set_nodes(plan, size);
                    plan.noise = noise.wrapping_add(draw);
                })
            })
        })
    }

    fn time(&mut self) {
        if self.best.failure.is_final {
            let at = self.best.failure.at;
            self.attempt(|plan| plan.end = Some(at));
        }
        for share in [0, 1, 2, 3] {
            self.attempt(|plan| {
                let from = plan.nodes.joining.0;
                for fault in &mut plan.faults {
                    let after = fault.at.0.saturating_sub(from) * share / 4;
                    fault.at = Span(rounded(from.min(fault.at.0) + after));
                }
                set_peace(plan);
            });
        }
        self.attempt(|plan| {
            plan.nodes.joining = Span(rounded(plan.nodes.joining.0 / 4));
            set_peace(plan);
        });
        for at in 0..self.best.plan.faults.len() {
            self.attempt(|plan| {
                shorten(&mut plan.faults[at].what);
                set_peace(plan);
            });
        }
        self.attempt(set_peace);
    }

    fn links(&mut self) {
        self.attempt(|plan| {
            plan.links = Links::default();
            plan.regions.clear();
        });
        self.attempt(|plan| {
            plan.links.latency = LatencyModel::Constant { time: Span::millis(10) };
            plan.regions.clear();
        });
        self.attempt(|plan| plan.classes.clear());
        for at in (0..self.best.plan.classes.len()).rev() {
            if !self.attempt(|plan| drop(plan.classes.remove(at))) {
                self.attempt(|plan| plan.classes[at].nat = None);
                self.attempt(|plan| plan.classes[at].loss = None);
                self.attempt(|plan| plan.classes[at].shared = None);
                self.attempt(|plan| plan.classes[at].bandwidth = None);
                self.attempt(|plan| plan.classes[at].processor = None);
            }
        }
        self.attempt(|plan| {
            plan.links.connections = None;
            plan.classes.iter_mut().for_each(|class| class.nat = None);
        });
        let perfect = Links::default();
        self.attempt(|plan| plan.links.jitter = perfect.jitter);
        self.attempt(|plan| plan.links.order = perfect.order);
        self.attempt(|plan| plan.links.loss = perfect.loss);
        self.attempt(|plan| plan.links.bursts = perfect.bursts);
        self.attempt(|plan| plan.links.duplicate = perfect.duplicate);
        self.attempt(|plan| plan.links.reorder = perfect.reorder);
        self.attempt(|plan| plan.links.bandwidth = perfect.bandwidth);
        self.attempt(|plan| plan.links.transport = perfect.transport);
    }

    fn load(&mut self) {
        self.attempt(|plan| plan.traffic = Traffic::default());
        self.attempt(|plan| plan.traffic.lookups = None);
        self.attempt(|plan| {
            if let Some(lookups) = &mut plan.traffic.lookups {
                lookups.count = lookups.count.map(|count| count.min(10));
            }
        });
        for at in (0..self.best.plan.traffic.channels.len()).rev() {
            if !self.attempt(|plan| plan.traffic.without(at)) {
                self.attempt(|plan| {
                    plan.traffic.workload[at].count =
                        plan.traffic.workload[at].count.map(|n| n / 4);
                });
            }
        }
        self.attempt(|plan| plan.load.clear());
        for at in (0..self.best.plan.load.len()).rev() {
            if !self.attempt(|plan| drop(plan.load.remove(at))) {
                self.attempt(|plan| plain(&mut plan.load[at]));
                self.attempt(|plan| plan.load[at].count = Some(1));
            }
        }
        self.attempt(|plan| plan.finale.count = Some(1));
        self.attempt(|plan| plain(&mut plan.finale));
    }

    /// Parameters become the defaults where that changes nothing, unless it takes longer then.
    fn protocols(&mut self) {
        let brief = |plan: &mut Plan, change: &dyn Fn(&mut Plan)| {
            let mut other = plan.clone();
            change(&mut other);
            if other.recovery() <= plan.recovery() {
                *plan = other;
            }
        };
        self.attempt(|plan| {
            brief(plan, &|plan| plan.membership = plan.membership.with_defaults());
        });
        for of in self.best.plan.membership.parameters().parameters() {
            self.attempt(|plan| {
                brief(plan, &|plan| {
                    let default = plan.membership.with_defaults();
                    plainer(plan.membership.parameters_mut(), default.parameters(), of);
                });
            });
        }
        self.attempt(|plan| plan.broadcast = Broadcast::default());
        for of in self.best.plan.broadcast.parameters().parameters() {
            self.attempt(|plan| {
                let default = plan.broadcast.with_defaults();
                plainer(plan.broadcast.parameters_mut(), default.parameters(), of);
            });
        }
    }
}

/// Limits all capacities to this.
fn confine(parameters: &mut dyn AnyParameters, room: usize) {
    for of in parameters.parameters() {
        if of.name.ends_with("_capacity")
            && let (ValueKind::Number { least, .. }, Some(Value::Number(number))) =
                (of.kind, parameters.get(of.name))
        {
            // It is a number, and stays one.
            let _ = parameters.set(of.name, Value::Number(number.min(room.max(least))));
        }
    }
}

/// Lowers each capacity to the least that another one allows.
fn tighten(parameters: &mut dyn AnyParameters) {
    for of in parameters.parameters() {
        if of.name.ends_with("_capacity")
            && let Some(value) = of.at_least.and_then(|other| parameters.get(other))
        {
            let _ = parameters.set(of.name, value);
        }
    }
}

/// As many nodes at the beginning, which join as fast as before.
fn set_nodes(plan: &mut Plan, count: u32) {
    let joining = plan.nodes.joining.0 * count / plan.nodes.count.max(1);
    plan.nodes.count = count;
    plan.nodes.joining = Span(rounded(joining));
}

/// Peace comes when all faults are over.
fn set_peace(plan: &mut Plan) {
    let last = plan.faults.iter().map(end).max().unwrap_or_default();
    plan.peace = rounded(last.max(plan.nodes.joining.0) + Duration::from_secs(1));
}

/// Up to a tenth of a second.
fn rounded(time: Duration) -> Duration {
    Duration::from_millis(time.as_millis().div_ceil(100) as u64 * 100)
}

fn plain(workload: &mut Workload) {
    let Workload { payload, sender, pace, .. } = Workload::default();
    (workload.payload, workload.sender, workload.pace) = (payload, sender, pace);
}

/// What is optional about a fault is left out.
fn simplify(what: &mut What) {
    match what {
        What::Crash { notice, .. } => *notice = Death::Closed,
        What::Leave { linger, .. } => *linger = Span::default(),
        What::Restart { disk, over, .. } => (*disk, *over) = (false, Span::default()),
        What::Join { over, .. } => *over = Span::default(),
        What::Churn { notice, goodbye, .. } => (*notice, *goodbye) = (Death::Closed, Share::NONE),
        What::Partition { one_way, .. } => *one_way = false,
        _ => {}
    }
}

fn who(what: &mut What) -> Option<&mut Who> {
    match what {
        What::Crash { who, .. }
        | What::Leave { who, .. }
        | What::Restart { who, .. }
        | What::Recycle { who }
        | What::Partition { who, .. }
        | What::Flap { who, .. }
        | What::Slow { who, .. }
        | What::Stall { who, .. }
        | What::Withhold { who, .. }
        | What::Eclipse { who, .. }
        | What::ClockDrift { who, .. }
        | What::ClockJump { who, .. } => Some(who),
        _ => None,
    }
}

/// What takes its time takes half of it.
fn shorten(what: &mut What) {
    let time = match what {
        What::Churn { lasting, .. }
        | What::Flap { lasting, .. }
        | What::Slow { lasting, .. }
        | What::Stall { lasting, .. }
        | What::Partition { lasting: Some(lasting), .. }
        | What::Withhold { lasting: Some(lasting), .. }
        | What::ClockDrift { lasting: Some(lasting), .. }
        | What::ClockJump { by: lasting, .. } => lasting,
        What::Join { over, .. } | What::Restart { over, .. } => over,
        _ => return,
    };
    *time = Span(rounded(time.0 / 2));
}

/// One parameter as by default, or off if it can be; and those it is tied to where it must not be
/// alone.
fn plainer(parameters: &mut dyn AnyParameters, default: &dyn AnyParameters, of: &Parameter) {
    let reset = |parameters: &mut dyn AnyParameters, of: &Parameter| {
        let value = default.get(of.name).filter(|_| !of.can_be_off).unwrap_or(Value::Off);
        // Every parameter takes its default, and those that can be off take that.
        let _ = parameters.set(of.name, value);
    };
    reset(parameters, of);
    if parameters.validate().is_err() {
        let tied =
            |one: &&Parameter| one.at_least == Some(of.name) || of.at_least == Some(one.name);
        parameters.parameters().iter().filter(tied).for_each(|one| reset(parameters, one));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails wherever three nodes or more crash, now and then in another way.
    fn failure(plan: &Plan) -> Option<Failure> {
        let crashes = plan.faults.iter().any(|fault| matches!(fault.what, What::Crash { .. }));
        let rule = if plan.nodes.count.is_multiple_of(7) { "seven" } else { "crash" };
        let (rule, detail) = (rule.to_owned(), String::new());
        let failed = Failure { rule, detail, at: Duration::from_secs(1), is_final: false };
        (crashes && plan.nodes.count >= 3).then_some(failed)
    }

    #[test]
    fn what_does_not_matter_is_left_out() {
        let plans = (0..100).map(|seed| Plan::draw(seed, &[]));
        let failed = plans.filter_map(|plan| Some((failure(&plan)?, plan)));
        let mut tried = 0;
        for (failed, plan) in
            failed.filter(|(failed, plan)| failed.rule == "crash" && plan.load.len() > 1)
        {
            let shrunk = shrink_by(plan.clone(), failed.clone(), 1_000, failure);
            assert_eq!(shrunk.failure, failed, "it still fails in the same way");
            assert_eq!((shrunk.plan.nodes.count, shrunk.plan.faults()), (3, 1), "{shrunk:?}");
            assert!(shrunk.plan.load.is_empty() && shrunk.runs < 1_000, "{shrunk:?}");
            let kept = shrink_by(plan.clone(), failed, 0, failure);
            assert_eq!((kept.plan, kept.runs), (plan, 0), "without a run nothing is left out");
            tried += 1;
        }
        assert!(tried > 5, "{tried} plans");
    }
}

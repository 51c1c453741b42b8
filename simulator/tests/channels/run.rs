//! Runs a plan: faults first, then peace, and what must follow from it.

use std::time::Duration;

use murmurate::channel::{Acknowledged, BestEffort, Kind, Latest, Outcome, Request};
use murmurate::membership::{Time, Violation};
use murmurate_simulator::engine::channels::{Conditions, Name, Promises, World};

use crate::plan::{Plan, Step};

/// The kinds that come with the crate.
pub(crate) const KINDS: [&dyn Kind; 4] = [&BestEffort, &Acknowledged, &Latest, &Request];

/// What a run was, beyond its success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) digest: u64,
    pub(crate) pushed: usize,
    pub(crate) retransmitted: u64,
    /// How often each outcome was: good ones, gone, timed out, shed.
    pub(crate) outcomes: [usize; 4],
}

pub(crate) fn promises(kind: &dyn Kind, conditions: Conditions) -> Promises {
    match kind.name() {
        "best-effort" if conditions.relays > 0.0 => Promises::BEST_EFFORT_RELAYED,
        "best-effort" => Promises::BEST_EFFORT,
        "acknowledged" => Promises::ACKNOWLEDGED,
        "latest" => Promises::LATEST,
        _ => Promises::REQUEST,
    }
}

/// Runs `plan` with lanes of `kind`.
///
/// # Errors
/// The first demand that is not met.
pub(crate) fn run(plan: &Plan, kind: &dyn Kind) -> Result<Summary, Violation> {
    let promises = promises(kind, plan.conditions);
    let habits = (plan.conditions, plan.habits);
    let mut world = World::new(plan.seed, plan.nodes, (kind, promises), plan.limits, habits);
    for (from, to) in &plan.lanes {
        let from = from % plan.nodes;
        let to = (from + 1 + to % (plan.nodes - 1)) % plan.nodes;
        world.lane(from, to);
    }
    for (at, step) in &plan.steps {
        world.run_until(Time::ZERO.after(Duration::from_millis(*at)))?;
        strike(&mut world, plan, step)?;
    }
    peace(&mut world, plan, kind)?;
    let mut summary = Summary {
        digest: world.digest(),
        pushed: world.records().len(),
        retransmitted: world.retransmitted(),
        outcomes: [0; 4],
    };
    for record in world.records().values() {
        match record.outcome {
            Some(Outcome::Sent | Outcome::Delivered | Outcome::Answered(_)) => {
                summary.outcomes[0] += 1;
            }
            Some(Outcome::Gone) => summary.outcomes[1] += 1,
            Some(Outcome::TimedOut) => summary.outcomes[2] += 1,
            Some(Outcome::Shed) => summary.outcomes[3] += 1,
            _ => {}
        }
    }
    Ok(summary)
}

fn strike(world: &mut World<'_>, plan: &Plan, step: &Step) -> Result<(), Violation> {
    let (nodes, lanes) = (plan.nodes, world.lanes());
    match *step {
        Step::Push { lane, count, bytes } => {
            for _ in 0..count {
                world.push(lane % lanes, bytes)?;
            }
        }
        Step::Restart(pick) => world.restart(pick % nodes)?,
        Step::Break(pick) => world.break_stream(pick % lanes),
        Step::Switch(pick) => world.switch(pick % lanes),
        Step::Forget(pick) => world.forget(pick % lanes),
        Step::Cut { from, to, one_way } => {
            let (from, to) = (from % nodes, to % nodes);
            world.cut(from, to);
            if !one_way {
                world.cut(to, from);
            }
        }
        Step::Heal => world.heal(),
        Step::Stop(pick) => world.consume(pick % nodes, false)?,
        Step::GoOn(pick) => world.consume(pick % nodes, true)?,
        Step::Loss(loss) => world.set_conditions(Conditions { loss, ..plan.conditions }),
    }
    Ok(())
}

/// The faults stop: every message gets its outcome, and a new one gets where it should.
fn peace(world: &mut World<'_>, plan: &Plan, kind: &dyn Kind) -> Result<(), Violation> {
    world.heal();
    world.set_conditions(Conditions { loss: 0.0, ..plan.conditions });
    for node in 0..plan.nodes {
        world.consume(node, true)?;
    }
    // What a stream holds may keep the application busy for long.
    let backlog = plan.habits.work * (plan.habits.unread + plan.limits.messages) as u32;
    wait(world, plan.limits.timeout + backlog + Duration::from_secs(20))?;
    world.is_complete()?;
    let last: Vec<_> = (0..world.lanes())
        .map(|lane| {
            let name = world.push(lane, 10)?;
            name.ok_or_else(|| Violation { rule: "there is room again", detail: String::new() })
        })
        .collect::<Result<_, _>>()?;
    wait(world, plan.limits.timeout)?;
    world.is_complete()?;
    // The application may take longer than the timeout.
    let slow = plan.habits.work * 2 > plan.limits.timeout;
    last.into_iter().try_for_each(|name| arrived(world, name, kind, slow))
}

fn wait(world: &mut World<'_>, time: Duration) -> Result<(), Violation> {
    world.run_until(world.now().after(time))
}

/// What is pushed in peace gets where it should.
fn arrived(world: &World<'_>, name: Name, kind: &dyn Kind, slow: bool) -> Result<(), Violation> {
    let outcome = world.outcome(name);
    let well = match kind.name() {
        "best-effort" => outcome == Some(&Outcome::Sent),
        "request" => matches!(outcome, Some(Outcome::Answered(_))),
        _ => outcome == Some(&Outcome::Delivered),
    };
    let receiver = world.receiver_of(name.lane);
    let taken = &world.records()[&name].taken;
    Violation::unless(
        (well || slow) && taken.iter().any(|place| place.incarnation == receiver),
        "what is pushed in peace arrives",
        || format!("{name:?}: {:?}", world.records()[&name]),
    )
}

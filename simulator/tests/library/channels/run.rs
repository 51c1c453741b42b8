//! Runs a plan: faults first, then peace, and what must follow from it.

use std::time::Duration;

use murmurate::channel::Outcome;
use murmurate::membership::{Time, Violation};
use murmurate_simulator::engine::lanes::ChannelMessage;

use super::plan::{Plan, Step};
use super::world::{BEST_EFFORT, KINDS, REQUEST, World, is_well, outcome};

/// What a run was, beyond its success.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) digest: u64,
    /// Of each kind.
    pub(crate) kinds: [Counts; KINDS.len()],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) pushed: usize,
    pub(crate) retransmitted: u64,
    /// How often each outcome was: good ones, gone, timed out, shed.
    pub(crate) outcomes: [usize; 4],
}

/// Runs `plan`, on lanes of all kinds.
///
/// # Errors
/// The first demand that is not met.
pub(crate) fn run(plan: &Plan) -> Result<Summary, Violation> {
    let mut world = World::new(plan.seed, plan.nodes, plan.limits, plan.conditions, plan.habits);
    for (from, to) in &plan.lanes {
        let from = from % plan.nodes;
        world.lane(from, (from + 1 + to % (plan.nodes - 1)) % plan.nodes);
    }
    for (at, step) in &plan.steps {
        world.run_until(Time::ZERO.after(Duration::from_millis(*at)))?;
        strike(&mut world, plan, step);
    }
    peace(&mut world, plan)?;
    let mut summary = Summary { digest: world.digest(), ..Summary::default() };
    for (kind, counts) in summary.kinds.iter_mut().enumerate() {
        counts.retransmitted = world.retransmitted(kind);
    }
    for ((channel, ..), happened) in world.messages() {
        let counts = &mut summary.kinds[usize::from(channel)];
        counts.pushed += 1;
        match outcome(&happened) {
            outcome if is_well(outcome.as_ref()) => counts.outcomes[0] += 1,
            Some(Outcome::Gone) => counts.outcomes[1] += 1,
            Some(Outcome::TimedOut) => counts.outcomes[2] += 1,
            Some(Outcome::Shed) => counts.outcomes[3] += 1,
            _ => {}
        }
    }
    Ok(summary)
}

fn strike(world: &mut World, plan: &Plan, step: &Step) {
    let (nodes, lanes) = (plan.nodes, world.lanes());
    match *step {
        Step::Push { kind, lane, count, bytes } => {
            for _ in 0..count {
                world.push(kind, lane % lanes, bytes);
            }
        }
        Step::Restart(pick) => world.restart(pick % nodes),
        Step::Break(pick) => world.break_stream(pick % lanes),
        Step::Switch(pick) => world.switch(pick % lanes),
        Step::Forget(pick) => world.forget(pick % lanes),
        Step::Cut { to, one_way } => world.cut(to % nodes, one_way),
        Step::Heal => world.heal(),
        Step::Stop(pick) => world.stop_taking(pick % nodes, true),
        Step::GoOn(pick) => world.stop_taking(pick % nodes, false),
        Step::Loss(loss) => world.set_loss(loss),
    }
}

/// The faults stop: every message gets its outcome, and a new one gets where it should.
fn peace(world: &mut World, plan: &Plan) -> Result<(), Violation> {
    world.calm();
    for node in 0..plan.nodes {
        world.stop_taking(node, false);
    }
    // What a stream holds may keep the application busy for long.
    let backlog = plan.habits.work * (plan.habits.unread + plan.limits.messages) as u32;
    wait(world, plan.limits.timeout + backlog + Duration::from_secs(20))?;
    world.is_complete()?;
    // The first may find out that its path is no more.
    push_everywhere(world)?;
    wait(world, plan.limits.timeout + Duration::from_secs(5))?;
    world.is_complete()?;
    let last = push_everywhere(world)?;
    wait(world, plan.limits.timeout)?;
    world.is_complete()?;
    // The application may take longer than the timeout.
    let slow = plan.habits.work * 2 > plan.limits.timeout;
    last.into_iter().try_for_each(|message| arrived(world, message, slow))
}

fn push_everywhere(world: &mut World) -> Result<Vec<ChannelMessage>, Violation> {
    let all = (0..KINDS.len()).flat_map(|kind| (0..world.lanes()).map(move |lane| (kind, lane)));
    let pushed = all.collect::<Vec<_>>().into_iter().map(|(kind, lane)| {
        let name = world.push(kind, lane, 10);
        name.ok_or_else(|| {
            let all = world.messages().filter(|(message, _)| usize::from(message.0) == kind);
            let (rule, detail) = ("there is room again", format!("{:#?}", all.last()));
            Violation { rule, detail }
        })
    });
    pushed.collect()
}

fn wait(world: &mut World, time: Duration) -> Result<(), Violation> {
    world.run_until(world.now().after(time))
}

/// What is pushed in peace gets where it should.
fn arrived(world: &World, message: ChannelMessage, slow: bool) -> Result<(), Violation> {
    let outcome = world.outcome(message);
    let well = match usize::from(message.0) {
        BEST_EFFORT => outcome == Some(Outcome::Sent),
        REQUEST => matches!(outcome, Some(Outcome::Answered(_))),
        _ => outcome == Some(Outcome::Delivered),
    };
    Violation::unless(
        (well || slow) && world.is_taken_now(message),
        "what is pushed in peace arrives",
        || format!("{message:?}: {:?}, {:?}", world.happened(message), world.conditions()),
    )
}

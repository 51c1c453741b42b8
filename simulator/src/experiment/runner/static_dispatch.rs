//! The usual pair of strategies, compiled together: their messages are not boxed, which is faster. A run
//! has the same results without this, except for its digest: that depends on how messages are numbered.

use std::num::NonZeroUsize;
use std::sync::Arc;

use murmurate::broadcast::{AntiEntropy, BroadcastStrategy, anti_entropy, plumtree};
use murmurate::membership::{Strategy, hyparview};

use super::{Observer, Report, RunError, run_with};
use crate::engine::strategy::compose;
use crate::experiment::scenario::Scenario;
use crate::model::id::BroadcastId;
use crate::strategies::{Broadcast, Membership, SimulatedBroadcast, SimulatedMembership};

/// Runs a scenario with two strategies.
pub(super) type Run = fn(
    NonZeroUsize,
    &Scenario,
    Option<anti_entropy::Config>,
    &mut dyn Observer,
) -> Result<Report, RunError>;

/// The function that runs these strategies, if they are compiled together.
pub(super) fn of(membership: &Membership, broadcast: &Broadcast) -> Option<Run> {
    pair::<hyparview::Parameters, plumtree::Parameters>(membership, broadcast)
}

fn pair<M: SimulatedMembership, B: SimulatedBroadcast>(
    membership: &Membership,
    broadcast: &Broadcast,
) -> Option<Run> {
    (membership.get::<M>().is_some() && broadcast.get::<B>().is_some()).then_some(run::<M, B>)
}

fn run<M: SimulatedMembership, B: SimulatedBroadcast>(
    threads: NonZeroUsize,
    scenario: &Scenario,
    around: Option<anti_entropy::Config>,
    observer: &mut dyn Observer,
) -> Result<Report, RunError> {
    let (m, b) = (scenario.membership.get::<M>(), scenario.broadcast.get::<B>());
    let (m, b) = (m.cloned().unwrap_or_default(), b.cloned().unwrap_or_default());
    let m = Strategy::check(m).map_err(|error| RunError::of("membership", &error))?;
    let b = Strategy::check(b).map_err(|error| RunError::of("broadcast", &error))?;
    let (m, b) = (Arc::new(m), Arc::new(b));
    let membership = move |me, seed| M::start(&m, me, seed);
    match around.map(Arc::new) {
        None => {
            let broadcast = move |seed| <B as BroadcastStrategy>::start::<_, u32, ()>(&b, seed);
            run_with(threads, scenario, compose(membership, broadcast), observer)
        }
        Some(around) => {
            let inside =
                move |seed| <B as BroadcastStrategy>::start::<_, BroadcastId, ()>(&b, seed);
            let broadcast = move |seed| AntiEntropy::new(inside(seed), Arc::clone(&around));
            run_with(threads, scenario, compose(membership, broadcast), observer)
        }
    }
}

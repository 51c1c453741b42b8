//! Invariants: what must always hold, and what must hold once the faults have stopped.

use murmurate::membership::Violation;

use crate::engine::{SimBroadcast, SimMembership, Simulation};
use crate::overlay;

/// What must hold of a running node at any moment, whatever goes wrong: its own invariants.
///
/// # Errors
/// The first invariant that does not hold.
pub fn node<M: SimMembership, B: SimBroadcast>(
    sim: &Simulation<M, B>,
    index: usize,
) -> Result<(), Violation> {
    let Some(protocols) = sim.protocols(index).filter(|_| sim.is_live(index)) else {
        return Ok(());
    };
    protocols.check().map_err(|violation| Violation {
        detail: format!("node {index}: {}", violation.detail),
        ..violation
    })
}

/// That no peer delivered a broadcast twice, if deliveries are logged.
///
/// # Errors
/// If one did.
pub fn deliveries<M: SimMembership, B: SimBroadcast>(
    sim: &Simulation<M, B>,
) -> Result<(), Violation> {
    let twice = sim.twice_delivered();
    Violation::unless(twice.is_none(), "delivery at most once", || {
        twice.map_or_else(String::new, |(peer, id)| format!("node {peer:?}, broadcast {id}"))
    })
}

/// What looks after every event found, if there are any.
///
/// # Errors
/// The first invariant that did not hold.
pub fn every_event<M: SimMembership, B: SimBroadcast>(
    sim: &Simulation<M, B>,
) -> Result<(), Violation> {
    sim.found_wrong().map_or(Ok(()), Err)
}

/// What must hold at any moment, whatever goes wrong, of all nodes.
///
/// # Errors
/// The first invariant that does not hold.
pub fn safety<M: SimMembership, B: SimBroadcast>(sim: &Simulation<M, B>) -> Result<(), Violation> {
    every_event(sim)?;
    sim.live_nodes().try_for_each(|index| node(sim, index))?;
    deliveries(sim)?;
    sim.check_channels()
}

/// What must hold when the faults have stopped and some time has passed: one overlay, and views
/// that agree.
///
/// # Errors
/// The first expectation that is not met.
pub fn quiescence<M: SimMembership, B: SimBroadcast>(
    sim: &Simulation<M, B>,
) -> Result<(), Violation> {
    safety(sim)?;
    let graph = overlay::graph(sim);
    Violation::unless(graph.asymmetric == 0, "views are symmetric", || {
        format!("{} one-sided links", graph.asymmetric)
    })?;
    let dead = overlay::dead_links(sim).next();
    Violation::unless(dead.is_none(), "no view holds a dead peer", || {
        format!("node and dead neighbour {dead:?}")
    })?;
    let components = graph.components();
    Violation::unless(components.count <= 1, "the overlay is connected", || {
        format!("{} components, the largest of {} nodes", components.count, components.largest)
    })
}

/// A broadcast published now by `index` reaches every running node within `patience`.
///
/// # Errors
/// If it does not.
pub fn reaches_everyone<M: SimMembership, B: SimBroadcast>(
    sim: &mut Simulation<M, B>,
    index: usize,
    patience: std::time::Duration,
) -> Result<(), Violation> {
    let id = sim.publish(index);
    sim.run_until(sim.now().after(patience));
    let broadcast = id.and_then(|id| sim.stats().broadcasts.get(id as usize).copied());
    Violation::unless(
        broadcast.is_some_and(|b| b.delivered == b.eligible),
        "a new broadcast reaches everyone",
        || format!("from node {index}: {broadcast:?}"),
    )
}

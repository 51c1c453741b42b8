//! Invariants: what must always hold, and what must hold once the faults have stopped.

use murmurate::membership::Violation;

use crate::engine::{SimBroadcast, SimMembership, Simulation};
use crate::overlay;

/// What must hold at any moment, whatever goes wrong: each peer's own invariants, and that no
/// peer delivers a broadcast twice (if deliveries are logged), and what channels promise.
///
/// # Errors
/// The first invariant that does not hold.
pub fn safety<M: SimMembership, B: SimBroadcast>(sim: &Simulation<M, B>) -> Result<(), Violation> {
    for index in sim.live_nodes() {
        if let Some(protocols) = sim.protocols(index) {
            protocols.check().map_err(|violation| Violation {
                detail: format!("node {index} at {:?}: {}", sim.now(), violation.detail),
                ..violation
            })?;
        }
    }
    Violation::unless(sim.twice_delivered().is_none(), "delivery at most once", || {
        format!("peer and broadcast {:?}", sim.twice_delivered())
    })?;
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
    let links_to_dead = sim.live_nodes().find_map(|index| {
        let mut active = sim.protocols(index)?.membership().active();
        let dead = active.find(|p| !sim.is_live(p.index()) || sim.peer(p.index()) != Some(*p))?;
        Some((index, dead))
    });
    Violation::unless(links_to_dead.is_none(), "no view holds a dead peer", || {
        format!("node and dead neighbour {links_to_dead:?}")
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

//! Invariants: what must always hold, and what must hold once the faults have stopped.

use std::collections::BTreeMap;
use std::time::Duration;

use murmurate::membership::Violation;

use crate::engine::{SimStack, Simulation};
use crate::model::node::SimPeer;
use crate::observe::overlay;

/// What must hold of a running node at any moment, whatever goes wrong: its own invariants.
///
/// # Errors
/// The first invariant that does not hold.
pub fn node<P: SimStack>(sim: &Simulation<P>, index: usize) -> Result<(), Violation> {
    let Some(stack) = sim.stack(index).filter(|_| sim.is_live(index)) else {
        return Ok(());
    };
    stack.check().map_err(|violation| Violation {
        detail: format!("node {index}: {}", violation.detail),
        ..violation
    })
}

/// Checks that no peer delivered a broadcast twice, if deliveries are logged.
///
/// # Errors
/// If one did.
pub fn deliveries<P: SimStack>(sim: &Simulation<P>) -> Result<(), Violation> {
    let twice = sim.twice_delivered();
    Violation::unless(twice.is_none(), "delivery at most once", || {
        twice.map_or_else(String::new, |(peer, id)| format!("node {peer:?}, broadcast {id}"))
    })
}

/// What looks after every event found, if there are any.
///
/// # Errors
/// The first invariant that did not hold.
pub fn every_event<P: SimStack>(sim: &Simulation<P>) -> Result<(), Violation> {
    sim.found_wrong().map_or(Ok(()), Err)
}

/// What must hold at any moment, whatever goes wrong, of all nodes.
///
/// # Errors
/// The first invariant that does not hold.
pub fn safety<P: SimStack>(sim: &Simulation<P>) -> Result<(), Violation> {
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
pub fn quiescence<P: SimStack>(sim: &Simulation<P>) -> Result<(), Violation> {
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

/// How far nodes must agree on what was broadcast when anti-entropy has had its time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// What a node did not get of an origin, between the first and the last that it got, it was told
    /// of, and of nothing else.
    Told,
    /// The same of what any running node has: for the rest, who never gives up asks until the end.
    Fetched,
    /// What any running node has all have that ran when it was published, and nobody was told of a
    /// loss.
    Complete,
    /// Beside that, nobody has what was published more than ten seconds before its first neighbour.
    Fresh,
}

/// Checks that running nodes agree on what was broadcast since they joined. Deliveries and joins must be
/// logged.
///
/// # Errors
/// If two do not.
pub fn agreement<P: SimStack>(sim: &Simulation<P>, how: Agreement) -> Result<(), Violation> {
    let mut of: BTreeMap<SimPeer, Vec<u32>> = BTreeMap::new();
    for (id, publisher) in sim.publishers().iter().enumerate() {
        of.entry(*publisher).or_default().push(id as u32);
    }
    for (publisher, ids) in of {
        let others: Vec<usize> =
            sim.live_nodes().filter(|index| sim.peer(*index) != Some(publisher)).collect();
        let lives =
            sim.is_live(publisher.index()) && sim.peer(publisher.index()) == Some(publisher);
        let has = |id: u32| others.iter().any(|index| sim.has_delivered(*index, id));
        let lasts = |id: u32| how == Agreement::Told || lives || has(id);
        for &index in &others {
            told(sim, index, publisher, &ids, lasts)?;
        }
        if matches!(how, Agreement::Complete | Agreement::Fresh) {
            complete(sim, &others, publisher, &ids)?;
        }
        if how == Agreement::Fresh {
            others.iter().try_for_each(|index| fresh(sim, *index, publisher, &ids))?;
        }
    }
    Ok(())
}

fn told<P: SimStack>(
    sim: &Simulation<P>,
    index: usize,
    publisher: SimPeer,
    ids: &[u32],
    lasts: impl Fn(u32) -> bool,
) -> Result<(), Violation> {
    let has = |id: &u32| sim.has_delivered(index, *id);
    let (Some(first), Some(last)) = (ids.iter().position(has), ids.iter().rposition(has)) else {
        return Ok(());
    };
    let joined = sim.joined(index).map_or(u32::MAX, |joined| joined.published);
    let lacks = |ids: &[u32]| ids.iter().filter(|id| !has(id)).count() as u64;
    let misses = |id: &u32| *id >= joined && !has(id) && lasts(*id);
    let its_own = ids[first..=last].iter().filter(|id| misses(id)).count() as u64;
    let told = sim.has_missed(index, publisher);
    let detail =
        || format!("node {index} lacks {its_own} of {publisher:?}, and was told of {told}");
    Violation::unless(its_own <= told, "what does not come is told", detail)?;
    Violation::unless(told <= lacks(&ids[..=last]), "nobody is told of what came", detail)
}

fn complete<P: SimStack>(
    sim: &Simulation<P>,
    others: &[usize],
    publisher: SimPeer,
    ids: &[u32],
) -> Result<(), Violation> {
    let lives = sim.is_live(publisher.index()) && sim.peer(publisher.index()) == Some(publisher);
    for &id in ids {
        let has = |index: &&usize| sim.has_delivered(**index, id);
        if !lives && !others.iter().any(|index| has(&index)) {
            continue;
        }
        let in_its_time =
            |index: &&usize| sim.joined(**index).is_some_and(|joined| joined.published <= id);
        let lacking = others.iter().filter(in_its_time).find(|index| !has(index));
        Violation::unless(lacking.is_none(), "what one has, all get", || {
            format!("node {lacking:?} lacks broadcast {id} of {publisher:?}")
        })?;
    }
    Violation::unless(sim.stats().missed == 0, "nothing is lost that is kept", || {
        format!("{} broadcasts were given up", sim.stats().missed)
    })
}

/// A broadcast that is this much older than a node's first neighbour is not for it.
const LONG_AGO: Duration = Duration::from_secs(10);

fn fresh<P: SimStack>(
    sim: &Simulation<P>,
    index: usize,
    publisher: SimPeer,
    ids: &[u32],
) -> Result<(), Violation> {
    let Some(joined) = sim.joined(index) else { return Ok(()) };
    let broadcast = |id: u32| sim.stats().broadcasts.get(id as usize);
    let is_old = |id: &u32| broadcast(*id).is_some_and(|b| b.sent.after(LONG_AGO) < joined.at);
    let old = ids.iter().find(|id| is_old(id) && sim.has_delivered(index, **id));
    Violation::unless(old.is_none(), "nobody gets what was long before it came", || {
        format!("node {index} has broadcast {old:?} of {publisher:?}")
    })
}

/// A broadcast published now by `index` reaches every running node within `limit`.
///
/// # Errors
/// If it does not.
pub fn reaches_everyone<P: SimStack>(
    sim: &mut Simulation<P>,
    index: usize,
    limit: Duration,
) -> Result<(), Violation> {
    let id = sim.publish(index);
    sim.run_until(sim.now().after(limit));
    let broadcast = id.and_then(|id| sim.stats().broadcasts.get(id as usize).copied());
    Violation::unless(
        broadcast.is_some_and(|b| b.delivered == b.eligible),
        "a new broadcast reaches everyone",
        || format!("from node {index}: {broadcast:?}"),
    )
}

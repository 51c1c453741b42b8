//! Figures of a node: those that all nodes have, then those that their strategies offer.

use murmurate::broadcast::Broadcast;
use murmurate::membership::{Membership, NodeFigure};

use crate::engine::{SimStack, Simulation};
use crate::model::node::SimPeer;

/// What says which node figures are of, and when: no figure is called so.
pub const KEYS: [&str; 2] = ["at", "node"];

/// Those that all nodes have, whatever their strategies.
pub const OF_ALL: [NodeFigure; 14] = [
    NodeFigure::new("incarnation", "starts", "how often the node was started again"),
    NodeFigure::new("active", "peers", "peers in the active view: neighbours"),
    NodeFigure::new("passive", "peers", "peers in the passive view"),
    NodeFigure::new("lost", "peers", "peers that fell silent and are tried again"),
    NodeFigure::new("eager", "peers", "neighbours that get payloads at once"),
    NodeFigure::new("lazy", "peers", "neighbours that get announcements"),
    NodeFigure::new("origins", "origins", "origins whose broadcasts the node has seen"),
    NodeFigure::new("clock_offset", "s", "what the node's clock shows beyond the true time"),
    NodeFigure::new(
        "waiting",
        "inputs",
        "messages and timers that wait for the node's access line or its process",
    ),
    NodeFigure::new(
        "outbox_bytes",
        "bytes",
        "bytes that wait to leave over the node's access line",
    ),
    NodeFigure::new(
        "inbox_bytes",
        "bytes",
        "bytes that wait to come in over the node's access line",
    ),
    NodeFigure::new("channel_messages", "messages", "messages on channels without an outcome yet"),
    NodeFigure::new(
        "channel_bytes",
        "bytes",
        "bytes of the messages on channels without an outcome",
    ),
    NodeFigure::new(
        "round_trip",
        "s",
        "round trip in the mean that the node's channels measured over relays; empty without any",
    ),
];

/// Visits the figures of a node that ever ran.
pub fn each_figure<P: SimStack>(
    sim: &Simulation<P>,
    index: usize,
    visit: &mut dyn FnMut(NodeFigure, f64),
) {
    let Some(stack) = sim.stack(index) else { return };
    let (membership, broadcast) = (stack.membership(), stack.broadcast());
    let [leaves, comes] = sim.on_line(index);
    let (depth, round_trip) = sim.on_channels(index).unwrap_or_default();
    let offset = sim.local_time(index).as_nanos() as f64 - sim.now().as_nanos() as f64;
    let values = [
        sim.peer(index).map_or(f64::NAN, |peer| f64::from(SimPeer::incarnation(peer))),
        membership.active().len() as f64,
        membership.passive().len() as f64,
        membership.lost().count() as f64,
        broadcast.eager().count() as f64,
        broadcast.lazy().count() as f64,
        broadcast.seen().origins() as f64,
        offset / 1e9,
        f64::from(sim.waiting(index)),
        leaves as f64,
        comes as f64,
        depth.messages as f64,
        depth.bytes as f64,
        round_trip.map_or(f64::NAN, |time| time.as_secs_f64()),
    ];
    OF_ALL.into_iter().zip(values).for_each(|(figure, value)| visit(figure, value));
    membership.each_figure(visit);
    broadcast.each_figure(visit);
}

/// The figures of nodes with these strategies, in the order in which [`each_figure`] visits them.
pub fn figures(membership: &impl Membership, broadcast: &impl Broadcast) -> Vec<NodeFigure> {
    let mut all = OF_ALL.to_vec();
    membership.each_figure(&mut |figure, _| all.push(figure));
    broadcast.each_figure(&mut |figure, _| all.push(figure));
    all
}

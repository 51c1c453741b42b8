//! What happens twice a second: timeouts, links nobody uses, links too slow, gauges.

use std::time::Duration;

use murmurate_broadcast::Broadcast as _;
use murmurate_membership::Membership as _;
use tokio::time::Instant;

use super::Driver;
use super::connections::Phase;
use crate::node::channels::Hub;
use crate::node::event::Event;
use crate::node::link::LinkEnd;
use crate::node::link::route::{PaceChange, Via};
use crate::node::metrics::{Counters, Level};
use crate::node::state::{Heard, KnownPeer, MAX_PEERS, Snapshot, Store};

pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// How often the state is saved, beside joins and the end; and how soon once the view has changed: who is
/// killed a moment later knows whom to go back to.
const SAVED: Duration = Duration::from_secs(30);
const CHANGED: Duration = Duration::from_secs(1);
/// How long a leaving node waits for its goodbyes to be written.
pub(super) const GOODBYE: Duration = Duration::from_secs(3);

/// The node's share of the gauges.
pub(super) struct Levels {
    active: Level,
    passive: Level,
    eager: Level,
    lazy: Level,
    outbox: Level,
    memory: Level,
    slow: Level,
    connections: Level,
    /// Of each channel.
    queues: Vec<Level>,
}

impl Levels {
    pub(super) fn new(metrics: &Counters, hub: &Hub) -> Self {
        Self {
            active: Level::of(&metrics.active_view),
            passive: Level::of(&metrics.passive_view),
            eager: Level::of(&metrics.eager),
            lazy: Level::of(&metrics.lazy),
            outbox: Level::of(&metrics.outbox_bytes),
            memory: Level::of(&metrics.memory_bytes),
            slow: Level::of(&metrics.slow_links),
            connections: Level::of(&metrics.connections),
            queues: hub.shared.counts.iter().map(|counts| Level::of(&counts.queue)).collect(),
        }
    }
}

/// What is written down, and when.
pub(super) struct Saves {
    store: Option<Store>,
    last: Instant,
    /// The view has changed since.
    changed: bool,
    /// The last ones that were written down: a node that lost everybody, or has just started, still remembers
    /// whom it knew.
    known: Vec<KnownPeer>,
}

impl Saves {
    pub(super) fn new(store: Option<Store>, known: Vec<KnownPeer>) -> Self {
        Self { store, last: Instant::now(), changed: false, known }
    }

    pub(super) fn view_changed(&mut self) {
        self.changed = true;
    }

    fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.last) > if self.changed { CHANGED } else { SAVED }
    }

    fn save(&mut self, mut snapshot: Snapshot) {
        (self.last, self.changed) = (Instant::now(), false);
        let Some(store) = &self.store else { return };
        if snapshot.peers.is_empty() {
            snapshot.peers.clone_from(&self.known);
        } else {
            self.known.clone_from(&snapshot.peers);
        }
        store.save(snapshot);
    }

    /// To be finished: nothing is saved from now on.
    pub(super) fn take(&mut self) -> Option<Store> {
        self.store.take()
    }
}

impl Driver {
    pub(super) fn upkeep(&mut self) {
        let now = Instant::now();
        self.asking.retain(|(_, deadline, _)| *deadline > now);
        self.judge_admission();
        self.end_overdue();
        self.judge_links(now);
        self.retire_idle(now);
        self.touch_known();
        self.hub.inbound.tidy();
        debug_assert_eq!(self.check_connections(), Ok(()));
        self.set_levels();
        let gave_way = self.swarm.behaviour_mut().crowd.gave_way();
        self.host.metrics.gave_way.inc_by(gave_way);
        if self.saves.is_due(now) {
            for connection in self.connections.values().filter(|connection| connection.stands()) {
                self.suspects.answered(&connection.remote);
            }
            self.save();
        }
    }

    /// Has the identity's last start and the peers to go back to written down.
    pub(super) fn save(&mut self) {
        let membership = self.stack.membership();
        let known = membership.active().chain(membership.lost()).chain(membership.passive());
        let known = known.map(|peer| KnownPeer {
            node: peer.node,
            addresses: self.host.book.addresses(peer.node).iter().cloned().collect(),
        });
        let peers = known.filter(|peer| !peer.addresses.is_empty()).take(MAX_PEERS).collect();
        let own = Heard { origin: self.host.me, next: self.ids.used() };
        let heard = std::iter::once(own).chain(self.host.heards.latest()).collect();
        self.saves.save(Snapshot { started: self.host.me.started, peers, heard });
    }

    /// Connections that were not set up, or not finished, in time.
    fn end_overdue(&mut self) {
        let limit = self.limits.handshake_wait;
        let is_overdue =
            |phase, since: Instant| phase != Phase::Standing && since.elapsed() > limit;
        let overdue: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, connection)| is_overdue(connection.phase, connection.since))
            .map(|(id, connection)| (*id, connection.awaits_hello()))
            .collect();
        for (id, awaits_hello) in overdue {
            let why = if awaits_hello {
                "no hello in time: maybe large packets get lost on the way (MTU)"
            } else {
                "no hello, or no goodbye, in time"
            };
            self.end_link(id, LinkEnd::Stalled, Some(why.into()));
        }
    }

    fn judge_links(&mut self, now: Instant) {
        let floor = self.limits.slow_bytes_per_second;
        for (node, route) in &mut self.host.routes {
            let event = match route.judge(now, floor) {
                Some(PaceChange::Slow { waiting }) => {
                    self.host.metrics.links_slow.inc();
                    Event::LinkSlow { node: *node, waiting }
                }
                Some(PaceChange::CaughtUp) => Event::LinkCaughtUp(*node),
                None => continue,
            };
            tracing::warn!(?event, "pace of a link");
            // Nobody listening is fine.
            let _ = self.host.events.send(event);
        }
    }

    /// Retires links to nodes that are no neighbours and to whom nothing was said for a while. Where
    /// something still waits to be sent, it goes on while it comes through, or is lost and told as that.
    fn retire_idle(&mut self, now: Instant) {
        let neighbors: Vec<_> = self.stack.membership().active().map(|peer| peer.node).collect();
        let limit = self.limits.idle_wait;
        let idle: Vec<_> = self
            .host
            .routes
            .iter()
            .filter(|(node, route)| {
                now.duration_since(route.used) > limit && !neighbors.contains(node)
            })
            .map(|(node, route)| {
                let waits = !route.outbox.is_empty();
                (*node, route.peer, route.via, waits, route.is_slow())
            })
            .collect();
        for (node, peer, via, waits, slow) in idle {
            match via {
                Via::Link(_) if waits && !slow => {}
                Via::Pending if waits && self.is_coming(node) => {}
                Via::Pending if waits => self.lose(peer, "nothing leads to it"),
                Via::Link(id) => {
                    self.retire(id, LinkEnd::Idle);
                    if waits {
                        self.lose(peer, "it takes too little");
                    }
                    self.host.routes.remove(&node);
                }
                Via::Pending => drop(self.host.routes.remove(&node)),
            }
        }
    }

    /// The book keeps the peers of both views, and those that are tried again.
    fn touch_known(&mut self) {
        let membership = self.stack.membership();
        for peer in membership.active().chain(membership.lost()).chain(membership.passive()) {
            self.host.book.touch(peer.node);
        }
    }

    fn set_levels(&mut self) {
        let levels = &mut self.levels;
        levels.active.set(self.stack.membership().active().len());
        levels.passive.set(self.stack.membership().passive().len());
        levels.eager.set(self.stack.broadcast().eager().count());
        levels.lazy.set(self.stack.broadcast().lazy().count());
        let routes = self.host.routes.values();
        levels.outbox.set(routes.clone().map(|route| route.outbox.depth().bytes).sum());
        levels.memory.set(self.rules.budget.used());
        levels.slow.set(routes.filter(|route| route.is_slow()).count());
        levels.connections.set(self.connections.len() + self.pool.len());
        for (channel, level) in levels.queues.iter_mut().enumerate() {
            level.set(self.hub.waiting(channel));
        }
    }
}

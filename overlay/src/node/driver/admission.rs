//! Who may speak: what is told of those who may not, and what becomes of connections when that changes.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use tokio::time::Instant;

use super::Driver;
use super::connections::{Connection, Phase};
use super::dials::Dial;
use crate::NodeId;
use crate::node::admission::{Denial, NotAdmitted, Verdict};
use crate::node::authorship::Forged;
use crate::node::clock;
use crate::node::event::Event;
use crate::node::link::LinkEnd;
use crate::node::unreachable::find;

/// How long what is told once is only counted.
const QUIET: Duration = Duration::from_secs(60);
/// So many seconds before its certificate expires a node warns, once a day.
const WEEK: u64 = 7 * 86_400;
const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);
/// Nodes that are asked at a time to prove again that they belong to the cluster.
const ASKED_AT_ONCE: usize = 4;

/// Whom a denial is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Other,
    /// This node: another one that dialled it does not admit it.
    Own,
}

/// Denials of the last minute, by reason: the first of each is told, the others are counted.
#[derive(Default)]
pub(super) struct Denials(BTreeMap<(Who, Denial), (Instant, u64)>);

impl Denials {
    /// Whether this one is to be told.
    fn note(&mut self, who: Who, denial: Denial) -> bool {
        let (_, more) = match self.0.entry((who, denial)) {
            std::collections::btree_map::Entry::Vacant(vacant) => {
                vacant.insert((Instant::now(), 0));
                return true;
            }
            std::collections::btree_map::Entry::Occupied(occupied) => occupied.into_mut(),
        };
        *more = more.saturating_add(1);
        false
    }

    /// Those of which a minute is over, with how many more there were.
    fn over(&mut self) -> Vec<((Who, Denial), u64)> {
        let is_over = |_: &(Who, Denial), (since, _): &mut (Instant, u64)| since.elapsed() >= QUIET;
        let over = self.0.extract_if(.., is_over);
        over.map(|(about, (_, more))| (about, more)).filter(|(_, more)| *more > 0).collect()
    }
}

impl Driver {
    /// An inbound connection failed before it stood.
    pub(super) fn on_inbound_failed(&mut self, error: &(dyn Error + 'static), from: &Multiaddr) {
        tracing::debug!(%error, %from, "an inbound connection failed");
        self.host.metrics.inbound_failed.inc();
        match find::<NotAdmitted>(error) {
            Some(NotAdmitted::Theirs { node, denial }) => self.denied(*node, from, *denial),
            Some(NotAdmitted::Ours { node, denial }) if self.denials.note(Who::Own, *denial) => {
                let reason = denial.of_own();
                tracing::warn!(%node, reason, "a node that dialled this one does not admit it");
            }
            _ => {}
        }
    }

    /// Whoever is at `from` does not belong to the overlay.
    fn denied(&mut self, node: NodeId, from: &Multiaddr, denial: Denial) {
        self.host.metrics.denied.with_label_values(&[denial.label()]).inc();
        if self.denials.note(Who::Other, denial) {
            let reason = denial.of_other();
            tracing::warn!(%node, %from, reason, "a connection is not admitted");
            self.host.tell(Event::NotAdmitted { node, from: from.clone(), denial });
        }
    }

    /// Tells the owner in time that the node's own proof expires.
    fn watch_expiry(&mut self) {
        let expires = self.gate.admission().expires();
        let gauge = i64::try_from(expires.unwrap_or(0)).unwrap_or(i64::MAX);
        self.host.metrics.certificate_expires.set(gauge);
        let left = expires.map(|at| at.saturating_sub(clock::micros_since_1970() / 1_000_000));
        let Some(left) = left.filter(|left| *left < WEEK) else { return };
        let pause = if left == 0 { HOUR } else { DAY };
        if self.expiry_told.is_none_or(|told| told.elapsed() >= pause) {
            self.expiry_told = Some(Instant::now());
            if left == 0 {
                tracing::error!(
                    "the node's certificate has expired, nobody admits the node: renew it"
                );
                return;
            }
            let hours = left / 3_600;
            tracing::warn!(
                hours,
                "the node's certificate expires soon: renew it with `murmurate ca renew`"
            );
        }
    }

    /// Hangs up on those that are no longer admitted, and asks others to prove something newer as long as
    /// they can.
    pub(super) fn judge_admission(&mut self) {
        for ((who, denial), more) in self.denials.over() {
            let reason = match who {
                Who::Other => denial.of_other(),
                Who::Own => denial.of_own(),
            };
            tracing::warn!(more, reason, "more connections were not admitted");
        }
        self.watch_expiry();
        let linked = self.connections.values().filter(|connection| connection.stands());
        let connected: BTreeSet<NodeId> =
            linked.map(|connection| connection.node).chain(self.pool.nodes()).collect();
        self.gate.retain(|node| connected.contains(&node));
        let mut asked = 0;
        for node in connected {
            match self.gate.judge_connected(node, asked < ASKED_AT_ONCE) {
                Verdict::Stays => {}
                Verdict::ProvesAgain => {
                    asked += 1;
                    self.dial_again(node);
                }
                Verdict::Demoted => drop(self.close_lanes(node)),
                Verdict::Goes(denial) => self.hang_up(node, denial),
            }
        }
    }

    /// Closes the connections for channels with a node. Whether there were any.
    fn close_lanes(&mut self, node: NodeId) -> bool {
        let ids = self.pool.end(node);
        for id in &ids {
            self.swarm.close_connection(*id);
        }
        !ids.is_empty()
    }

    /// A node lied: it is hung up on, on all connections, and kept out for a while.
    pub(super) fn put_out(&mut self, by: NodeId, forged: Forged) {
        self.gate.bar(by);
        let Forged { origin } = forged;
        tracing::warn!(%by, %origin, "a node passed on a broadcast that its origin did not sign");
        self.host.tell(Event::Forged { by, origin });
        self.close_lanes(by);
        let links = self.connections.iter().filter(|(_, link)| link.node == by);
        let links: Vec<_> = links.map(|(id, _)| *id).collect();
        for id in links {
            self.end_link(id, LinkEnd::Forged, Some(forged.to_string()));
        }
    }

    fn hang_up(&mut self, node: NodeId, denial: Denial) {
        let reason = denial.of_other();
        let is_up = |link: &Connection| link.node == node && link.phase != Phase::Retiring;
        let links = self.connections.iter().filter(|(_, link)| is_up(link));
        let links: Vec<_> = links.map(|(id, _)| *id).collect();
        // Of those that were hung up on before, the last bytes may still be on their way.
        if !self.close_lanes(node) && links.is_empty() {
            return;
        }
        tracing::warn!(%node, reason, "a connected node is no longer admitted");
        self.host.metrics.denied.with_label_values(&[denial.label()]).inc();
        for id in links {
            self.end_link(id, LinkEnd::NotAdmitted, Some(reason.to_owned()));
        }
    }

    /// Makes a new connection, on which both sides prove themselves anew. It takes the place of the one that
    /// stands, which is read to its end.
    fn dial_again(&mut self, node: NodeId) {
        let addresses = self.host.book.addresses(node);
        if addresses.is_empty() || self.is_coming(node) {
            return;
        }
        let options = DialOpts::peer_id(node.to_peer_id())
            .condition(PeerCondition::Always)
            .addresses(addresses.iter().cloned().collect())
            .build();
        let connection = options.connection_id();
        match self.swarm.dial(options) {
            Ok(()) => drop(self.dials.insert(connection, Dial::Node(node))),
            Err(error) => tracing::debug!(%node, %error, "not asked to prove itself again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_denial_of_a_kind_is_told_and_the_others_are_counted() {
        let mut denials = Denials::default();
        assert!(denials.note(Who::Other, Denial::Secret) && denials.note(Who::Own, Denial::Secret));
        assert!(
            !denials.note(Who::Other, Denial::Secret) && !denials.note(Who::Other, Denial::Secret)
        );
        assert_eq!(denials.over(), []);
        tokio::time::advance(QUIET).await;
        assert_eq!(denials.over(), [((Who::Other, Denial::Secret), 2)]);
        assert!(denials.note(Who::Other, Denial::Secret), "after a minute");
    }
}

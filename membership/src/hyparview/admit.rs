//! Links asked for, accepted, refused and ended: both sides agree before either holds the other.

use super::{HyParView, Message, Priority, Purpose, Timer, marks};
use crate::links::{LinkNumber, my_request_stands};
use crate::protocol::{DownReason, Effects};
use crate::sample::choose_where;
use crate::{Peer, Time};

impl<P: Peer> HyParView<P> {
    /// Whether another request fits the bound on requests under way.
    pub(super) fn may_ask(&self) -> bool {
        self.links.requests().len() < self.config.active_capacity + 2
    }

    /// Opens a request and makes sure that its deadline is noticed.
    pub(super) fn ask(
        &mut self,
        now: Time,
        peer: P,
        purpose: Purpose<P>,
        fx: &mut impl Effects<Self>,
    ) -> LinkNumber {
        let timeout = self.config.request_timeout;
        if !self.links.watched {
            self.links.watched = true;
            fx.arm(timeout, Timer::Request);
        }
        self.links.ask(self.me, peer, purpose, now.after(timeout))
    }

    /// Whether a join through `contact` is under way.
    pub(super) fn is_joining_through(&self, contact: P) -> bool {
        self.links.requests().iter().any(|r| r.peer == contact && r.why == Purpose::Join)
    }

    pub(super) fn ask_for_link(
        &mut self,
        now: Time,
        peer: P,
        purpose: Purpose<P>,
        fx: &mut impl Effects<Self>,
    ) {
        let priority = match purpose {
            Purpose::Exchange { spare } => Priority::Exchange { spare },
            // §4.3: high only if the active view is empty. Else a peer that lost one neighbour would
            // evict another's, and that one the next.
            _ if self.links.active().is_empty() => Priority::High,
            _ => Priority::Low,
        };
        let link = self.ask(now, peer, purpose, fx);
        fx.send(peer, Message::Neighbor { link, priority });
    }

    pub(super) fn on_neighbor(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        priority: Priority<P>,
        fx: &mut impl Effects<Self>,
    ) {
        if self.links.has(from, link) {
            // Said twice, or the answer was lost.
            fx.mark(marks::NEIGHBOR_TWICE);
            return fx.send(from, Message::Accept { link, evicted: None });
        }
        if self.links.is_asked(from) {
            // A join is never refused, and is more than a request for a link: it stands.
            if self.is_joining_through(from) {
                return fx.mark(marks::NEIGHBOR_WHILE_JOINING);
            }
            if my_request_stands(self.me, from) {
                return fx.mark(marks::TIE_MINE);
            }
            fx.mark(marks::TIE_THEIRS);
            self.links.abandon(from);
        }
        if let Some(at) = self.links.position(from) {
            fx.mark(marks::LINK_RENEWED);
            self.drop_link(at, DownReason::Renewed, fx);
        }
        if self.is_full() {
            // Whoever asks has lost neighbours; some of mine may be dead as well.
            self.probe(fx);
        }
        let spare = match priority {
            Priority::Low if self.is_full() => {
                fx.mark(marks::LOW_REFUSED);
                fx.send(from, Message::Reject { link });
                // The freshest peer known, should a slot come free.
                return self.remember(from);
            }
            Priority::Exchange { spare } => spare,
            Priority::High | Priority::Low => from,
        };
        let evicted = self.make_room(from, spare, fx);
        self.accept(now, from, link, evicted, fx);
    }

    /// Says yes before the broadcast layer has its say, so that nothing overtakes the answer.
    pub(super) fn accept(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        evicted: Option<P>,
        fx: &mut impl Effects<Self>,
    ) {
        fx.send(from, Message::Accept { link, evicted });
        self.add_link(now, from, link, fx);
    }

    /// Evicts a random neighbour if the view is full, and introduces it to `spare`: the peer it
    /// makes room for, or one that will have a free slot.
    pub(super) fn make_room(
        &mut self,
        newcomer: P,
        spare: P,
        fx: &mut impl Effects<Self>,
    ) -> Option<P> {
        if !self.is_full() {
            return None;
        }
        let peers = self.links.active().iter().map(|link| link.peer);
        let other = choose_where(peers.clone(), |peer| *peer != spare, &mut self.rng);
        if other.is_none() {
            fx.mark(marks::ONLY_SPARE_LEFT);
        }
        let victim = other.or_else(|| peers.clone().next())?;
        debug_assert!(victim != newcomer, "a newcomer is not linked yet");
        self.evict(victim, (victim != spare).then_some(spare), fx);
        Some(victim)
    }

    fn evict(&mut self, victim: P, instead: Option<P>, fx: &mut impl Effects<Self>) {
        if let Some(at) = self.links.position(victim) {
            let link = self.links.active()[at].number;
            if instead.is_some() {
                fx.mark(marks::EVICTED_INTRODUCED);
            }
            fx.send(victim, Message::Disconnect { link, leaving: false, instead });
            self.drop_link(at, DownReason::Evicted, fx);
            self.remember(victim);
        }
    }

    pub(super) fn on_accept(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        evicted: Option<P>,
        fx: &mut impl Effects<Self>,
    ) {
        let Some(request) = self.links.answered(from, link) else {
            if self.links.has(from, link) {
                return fx.mark(marks::ACCEPT_TWICE);
            }
            fx.mark(marks::ACCEPT_TOO_LATE);
            // Timed out here meanwhile; the other side must not keep half a link.
            return fx.send(from, Message::Disconnect { link, leaving: false, instead: None });
        };
        debug_assert!(!self.links.holds(from), "a request is dropped when a link comes about");
        match request.why {
            Purpose::Join | Purpose::Admit => {
                if self.make_room(from, from, fx).is_some() {
                    fx.mark(marks::JOINED_FULL_VIEW);
                }
            }
            Purpose::Exchange { spare } if self.is_full() && self.links.holds(spare) => {
                fx.mark(marks::EXCHANGE_SWAPPED);
                self.evict(spare, evicted.filter(|peer| !peer.is_same_node(spare)), fx);
            }
            Purpose::Repair | Purpose::Exchange { .. } => {}
        }
        if self.is_full() {
            // The slot was filled meanwhile.
            fx.mark(marks::SLOT_FILLED);
            fx.send(from, Message::Disconnect { link, leaving: false, instead: None });
            return self.remember(from);
        }
        self.add_link(now, from, link, fx);
        self.repair(now, fx);
    }

    pub(super) fn on_reject(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        fx: &mut impl Effects<Self>,
    ) {
        if let Some(request) = self.links.answered(from, link) {
            if request.why == Purpose::Admit {
                // The joiner is well connected already, and alive.
                fx.mark(marks::ADMIT_REFUSED);
                self.remember(from);
            }
            self.repair(now, fx);
        }
    }

    pub(super) fn on_disconnect(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        leaving: bool,
        instead: Option<P>,
        fx: &mut impl Effects<Self>,
    ) {
        // Leaving is final for an incarnation, whatever link it names.
        let ends = |number| leaving || number == link;
        let linked = self.links.active().iter().position(|l| l.peer == from && ends(l.number));
        if let Some(at) = linked {
            let reason = if leaving { DownReason::Left } else { DownReason::Dropped };
            self.drop_link(at, reason, fx);
        } else if self.links.answered(from, link).is_some() {
            fx.mark(marks::REQUEST_DISCONNECTED);
        } else if !leaving {
            return fx.mark(marks::OLD_DISCONNECT);
        }
        if leaving {
            self.passive.remove(from);
            self.find(from, fx);
        } else {
            self.remember(from);
        }
        if let Some(peer) = instead
            && linked.is_some()
            && self.is_stranger(peer)
            && !self.links.is_asked(peer)
            && self.may_ask()
        {
            fx.mark(marks::INTRODUCTION_TAKEN);
            self.ask_for_link(now, peer, Purpose::Repair, fx);
        }
        self.repair(now, fx);
    }

    pub(super) fn on_keepalive(&mut self, from: P, link: LinkNumber, fx: &mut impl Effects<Self>) {
        let known = self.links.has(from, link)
            || self.links.requests().iter().any(|r| r.peer == from && r.number == link);
        if !known {
            fx.mark(marks::UNKNOWN_LINK_KEPT);
            fx.send(from, Message::Disconnect { link, leaving: false, instead: None });
        }
    }
}

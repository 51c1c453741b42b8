//! Links asked for, accepted, refused and ended: both sides agree before either holds the other.
//! The way in and out of the overlay.

use rand::RngExt;

use super::{Contact, Message, Phase, Redial, StaticOverlay, Timer, marks};
use crate::links::{LinkNumber, my_request_stands};
use crate::protocol::{DownReason, Effects};
use crate::{Peer, Time};

impl<P: Peer> StaticOverlay<P> {
    /// Starts, or adds contacts to a peer that has started.
    pub(super) fn join(&mut self, now: Time, contacts: &[P], fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        let me = self.me;
        for &peer in contacts.iter().filter(|contact| !contact.is_same_node(me)) {
            self.add_contact(now, peer, fx);
        }
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            // A random phase for each peer, so that an overlay started at once does not tick at once.
            let first = self.config.keepalive_interval.mul_f64(self.rng.random());
            self.arm(first, Timer::Keepalive, fx);
        }
        self.ask_due(now, fx);
    }

    fn add_contact(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        let redial = Redial::at_once(now);
        if let Some(at) = self.contact_of(peer) {
            if peer.supersedes(self.contacts[at].peer) {
                self.meets(now, peer, fx);
            }
            self.contacts[at].redial = redial;
        } else if self.has_room_for(peer) {
            // What is linked has spoken itself; the host may know an older incarnation.
            let linked = self.links.position_of_node(peer).map(|at| self.links.active()[at].peer);
            let peer = linked.map_or(peer, |linked| linked.max(peer));
            self.contacts.push(Contact { peer, redial, was_linked: linked.is_some() });
            if linked.is_some_and(|linked| peer > linked) {
                self.meets(now, peer, fx);
            }
        } else {
            fx.mark(marks::STATIC_CONTACT_REFUSED);
        }
    }

    /// Says goodbye to neighbours, and to those asked who may be about to become some.
    pub(super) fn leave(&mut self, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.contacts.clear();
        while let Some(request) = self.links.requests().first().copied() {
            self.links.abandon(request.peer);
            fx.send(request.peer, Message::Disconnect { link: request.number, leaving: true });
        }
        while let Some(last) = self.links.active().len().checked_sub(1) {
            self.drop_link(last, DownReason::Leaving, fx);
        }
    }

    pub(super) fn on_hello(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        fx: &mut impl Effects<Self>,
    ) {
        // Otherwise mine is dropped when the link comes about.
        if self.links.is_asked(from) && my_request_stands(self.me, from) {
            return fx.mark(marks::STATIC_TIE);
        }
        if !self.has_room_for(from) {
            fx.mark(marks::STATIC_FULL);
            return fx.send(from, Message::Disconnect { link, leaving: false });
        }
        if let Some(at) = self.links.position(from) {
            if self.links.active()[at].number == link {
                // The host delivered it twice.
                fx.mark(marks::STATIC_HELLO_TWICE);
                return fx.send(from, Message::Accept { link });
            }
            fx.mark(marks::STATIC_RENEWED);
            self.drop_link(at, DownReason::Renewed, fx);
        }
        self.add_link(now, from, link, true, fx);
    }

    pub(super) fn on_accept(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        fx: &mut impl Effects<Self>,
    ) {
        if self.links.answered(from, link).is_some() {
            self.add_link(now, from, link, false, fx);
        } else if !self.links.has(from, link) {
            // Timed out here meanwhile; the other side must not keep half a link.
            fx.mark(marks::STATIC_ACCEPT_TOO_LATE);
            fx.send(from, Message::Disconnect { link, leaving: false });
        }
    }

    pub(super) fn on_disconnect(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        leaving: bool,
        fx: &mut impl Effects<Self>,
    ) {
        if leaving {
            fx.mark(marks::STATIC_LEFT);
            // An incarnation leaves once and for all; its node may come back as another.
            self.links.abandon(from);
            self.failed(now, from);
            self.lose(now, from, DownReason::Left, fx);
        } else if self.links.has(from, link) {
            self.lose(now, from, DownReason::Dropped, fx);
        } else if self.links.answered(from, link).is_some() {
            self.failed(now, from);
        }
    }

    pub(super) fn on_keepalive(&self, from: P, link: LinkNumber, fx: &mut impl Effects<Self>) {
        // Asked and not answered yet: the Accept may still come.
        let asked = self.links.requests().iter().any(|r| r.peer == from && r.number == link);
        if !asked && !self.links.has(from, link) {
            fx.mark(marks::STATIC_UNKNOWN_LINK);
            fx.send(from, Message::Disconnect { link, leaving: false });
        }
    }
}

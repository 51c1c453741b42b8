//! Links asked for, accepted, refused and ended: both sides agree before either holds the other.
//! The way in and out of the overlay.

use super::{Contact, FullMesh, Message, Phase, Redial, Timer, marks};
use crate::links::{LinkNumber, my_request_stands};
use crate::protocol::{DownReason, Effects};
use crate::{Peer, Time, shared};

impl<P: Peer> FullMesh<P> {
    /// Starts, or adds contacts to a peer that has started.
    pub(super) fn join(&mut self, now: Time, contacts: &[P], fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        for &contact in contacts.iter().filter(|contact| !contact.is_same_node(self.me)) {
            let redial = Redial::at_once(now);
            if let Some(held) = self.contacts.iter_mut().find(|c| c.peer.is_same_node(contact)) {
                *held = Contact { peer: contact.max(held.peer), redial };
            } else {
                if self.contacts.len() >= self.config.contacts_capacity {
                    // What the host found last is the likeliest to live.
                    fx.mark(shared::CONTACT_REPLACED);
                    self.contacts.remove(0);
                }
                self.contacts.push(Contact { peer: contact, redial });
            }
        }
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            // A random phase for each peer, so that an overlay started at once does not tick at once.
            let (gossip, keepalive) = (self.config.gossip_interval, self.config.keepalive_interval);
            let gossip = self.fraction(gossip);
            self.arm(gossip, Timer::Gossip, fx);
            let keepalive = self.fraction(keepalive);
            self.arm(keepalive, Timer::Keepalive, fx);
        }
    }

    /// Says goodbye to neighbours, and to those asked who may be about to become some.
    pub(super) fn leave(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.known.clear();
        self.departed.clear();
        self.contacts.clear();
        while let Some(request) = self.links.requests().first().copied() {
            self.links.abandon(request.peer);
            fx.send(request.peer, Message::Disconnect { link: request.number, leaving: true });
        }
        while let Some(last) = self.links.active().len().checked_sub(1) {
            self.drop_link(now, last, DownReason::Leaving, fx);
        }
    }

    /// Tells a peer that holds or hopes for a link that there is none. Who has left says so to
    /// everyone, so that no late gossip brings it back as a ghost.
    pub(super) fn refuse(&self, from: P, message: &Message<P>, fx: &mut impl Effects<Self>) {
        let leaving = self.phase == Phase::Left;
        let gossip = matches!(message, Message::Members(_));
        let claims = message.claims().or((leaving && gossip).then_some(0));
        if let Some(link) = claims {
            fx.send(from, Message::Disconnect { link, leaving });
        }
    }

    pub(super) fn ask(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        let timeout = self.config.request_timeout;
        let link = self.links.ask(self.me, peer, (), now.after(timeout));
        if !self.armed[Timer::Request as usize] {
            self.arm(timeout, Timer::Request, fx);
        }
        fx.send(peer, Message::Hello { link });
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
            return fx.mark(marks::MESH_TIE);
        }
        if let Some(at) = self.links.position(from) {
            if self.links.active()[at].number == link {
                // The host delivered it twice.
                fx.mark(marks::MESH_HELLO_TWICE);
                return fx.send(from, Message::Accept { link });
            }
            fx.mark(marks::MESH_RENEWED);
            self.drop_link(now, at, DownReason::Renewed, fx);
        }
        if self.is_full() {
            fx.mark(marks::MESH_FULL);
            return fx.send(from, Message::Disconnect { link, leaving: false });
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
        if self.links.answered(from, link).is_none() {
            if !self.holds_link(from, link) {
                // Timed out here meanwhile; the other side must not keep half a link.
                fx.mark(marks::MESH_ACCEPT_TOO_LATE);
                fx.send(from, Message::Disconnect { link, leaving: false });
            }
        } else if self.is_full() {
            fx.mark(marks::MESH_FILLED);
            self.failed(now, from);
            fx.send(from, Message::Disconnect { link, leaving: false });
        } else {
            self.add_link(now, from, link, false, fx);
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
            self.on_goodbye(now, from, fx);
        } else if self.holds_link(from, link) {
            self.lose(now, from, DownReason::Dropped, fx);
        } else if self.links.answered(from, link).is_some() {
            self.failed(now, from);
        }
    }

    /// An incarnation leaves once and for all: whatever link is held or asked for ends with it.
    fn on_goodbye(&mut self, now: Time, from: P, fx: &mut impl Effects<Self>) {
        fx.mark(marks::MESH_BURIED);
        self.links.abandon(from);
        self.known.forget_node(from);
        let until = now.after(self.config.forget_after);
        self.departed.bury(from, until, self.config.members_capacity);
        if let Some(at) = self.links.position(from) {
            self.drop_link(now, at, DownReason::Left, fx);
        }
        self.failed(now, from);
    }

    pub(super) fn on_keepalive(&self, from: P, link: LinkNumber, fx: &mut impl Effects<Self>) {
        // Asked and not answered yet: the Accept may still come.
        let asked = self.links.requests().iter().any(|r| r.peer == from && r.number == link);
        if !asked && !self.holds_link(from, link) {
            fx.mark(marks::MESH_UNKNOWN_LINK);
            fx.send(from, Message::Disconnect { link, leaving: false });
        }
    }

    fn holds_link(&self, peer: P, link: LinkNumber) -> bool {
        self.links.active().iter().any(|held| held.peer == peer && held.number == link)
    }
}

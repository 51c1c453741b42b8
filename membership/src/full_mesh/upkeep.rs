//! The mesh kept whole: gossip, keep-alives, failed peers, who is asked next.

use alloc::vec::Vec;

use rand::RngExt;
use thin_vec::ThinVec;

use super::{FullMesh, MAX_GOSSIP_LENGTH, Message, Phase, Timer, marks};
use crate::protocol::{DownReason, Effects};
use crate::sample::{choose, sample_into};
use crate::{Peer, Time};

impl<P: Peer> FullMesh<P> {
    /// Asks whose turn it is, as many as may be asked at once: contacts first, so that no number
    /// of dead members keeps a peer out.
    pub(super) fn ask_due(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let under_way = self.links.requests().len();
        let free = self.config.requests_capacity.saturating_sub(under_way);
        if free == 0 || self.is_full() {
            return;
        }
        let contacts = self.contacts.iter().filter(|contact| contact.redial.is_due(now));
        let contacts = contacts.map(|contact| contact.peer);
        let members = self.known.members().len();
        // Not everyone begins with the same one.
        let start = if members == 0 { 0 } else { self.rng.random_range(0..members) };
        let due = contacts.chain(self.known.due(start, now)).filter(|peer| self.may_ask(*peer));
        let due: Vec<P> = due.take(free).collect();
        for peer in due {
            // A contact may be a member, too.
            if self.may_ask(peer) {
                self.ask(now, peer, fx);
            }
        }
    }

    fn may_ask(&self, peer: P) -> bool {
        !self.links.requests().iter().any(|request| request.peer.is_same_node(peer))
            && self.links.position_of_node(peer).is_none()
    }

    /// `peer` was asked in vain, or its link was lost: it is asked again after a pause.
    pub(super) fn failed(&mut self, now: Time, peer: P) {
        self.known.failed(peer, now, &self.config, &mut self.rng);
        for contact in self.contacts.iter_mut().filter(|c| c.peer.is_same_node(peer)) {
            let (base, longest) = (self.config.request_timeout, self.config.redial_pause);
            contact.redial.failed(now, base, longest, &mut self.rng);
        }
    }

    /// Drops the link to `peer`, if there is one, and remembers it.
    pub(super) fn lose(
        &mut self,
        now: Time,
        peer: P,
        reason: DownReason,
        fx: &mut impl Effects<Self>,
    ) {
        if let Some(at) = self.links.position(peer) {
            self.drop_link(now, at, reason, fx);
            self.known.hear(peer, now);
            self.failed(now, peer);
        }
    }

    pub(super) fn on_link_down(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        if self.links.abandon(peer).is_some() {
            self.failed(now, peer);
        }
        self.lose(now, peer, DownReason::Failed, fx);
    }

    /// The host found a later incarnation of a node than the one something was sent to.
    pub(super) fn on_restarted(&mut self, now: Time, peer: P, fx: &mut impl Effects<Self>) {
        let counts = !peer.is_same_node(self.me) && !self.departed.covers(peer);
        if self.phase == Phase::Running && counts {
            self.meets(now, peer, fx);
        }
    }

    pub(super) fn on_request_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        while let Some(request) = self.links.overdue(now) {
            fx.mark(marks::MESH_OVERDUE);
            self.failed(now, request.peer);
            // It may have accepted, and the answer was lost: no half link is left behind.
            let link = request.number;
            fx.send(request.peer, Message::Disconnect { link, leaving: false });
        }
        if let Some(deadline) = self.links.deadline() {
            self.arm(deadline.since(now), Timer::Request, fx);
        }
    }

    pub(super) fn on_keepalive_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let mut at = 0;
        while let Some(link) = self.links.active_mut().get_mut(at) {
            let (peer, number) = (link.peer, link.number);
            if link.silent >= self.config.keepalive_misses {
                fx.mark(marks::MESH_SILENT);
                self.lose(now, peer, DownReason::Silent, fx);
                continue;
            }
            link.silent = link.silent.saturating_add(1);
            fx.send(peer, Message::Keepalive { link: number });
            at += 1;
        }
        if self.known.reap(now, self.config.forget_after) {
            fx.mark(marks::MESH_FORGOTTEN);
        }
        self.departed.reap(now);
        self.arm(self.config.keepalive_interval, Timer::Keepalive, fx);
    }

    /// Anti-entropy: whatever two peers missed of each other, a neighbour of both will tell.
    pub(super) fn on_gossip_timer(&mut self, fx: &mut impl Effects<Self>) {
        self.arm(self.config.gossip_interval, Timer::Gossip, fx);
        if let Some(link) = choose(self.links.active(), &mut self.rng).copied() {
            self.tell_members(link.peer, fx);
        }
    }

    /// Tells `peer` of some neighbours. Not of those known only: nobody vouches for them, and the
    /// names of the dead would go round for ever.
    pub(super) fn tell_members(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        let mut members = ThinVec::new();
        let active = self.links.active().iter().map(|link| link.peer);
        sample_into(&mut members, active, self.config.gossip_length, &mut self.rng);
        members.retain(|member| *member != peer);
        if !members.is_empty() {
            fx.send(peer, Message::Members(members));
        }
    }

    pub(super) fn on_members(
        &mut self,
        now: Time,
        from: P,
        members: &[P],
        fx: &mut impl Effects<Self>,
    ) {
        if !self.links.holds(from) {
            return;
        }
        for &peer in members.iter().take(MAX_GOSSIP_LENGTH) {
            if !peer.is_same_node(self.me)
                && self.links.position_of_node(peer).is_none()
                && !self.departed.covers(peer)
            {
                if self.known.has_node(peer) || self.has_room(true) {
                    self.known.hint(peer, now);
                } else {
                    fx.mark(marks::MESH_HINT_IGNORED);
                }
            }
        }
    }
}

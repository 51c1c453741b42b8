//! The way in and out: join, forward join, contacts, leave.

use alloc::vec::Vec;
use core::time::Duration;

use rand::RngExt;
use thin_vec::ThinVec;

use super::reunion::When;
use super::{HyParView, Message, Phase, Purpose, Timer, marks};
use crate::links::{Link, LinkNumber, my_request_stands};
use crate::protocol::{DownReason, Effects};
use crate::sample::choose_where;
use crate::{Peer, Time, shared};

/// Rounds over the contacts after which the pause between them doubles no more.
const LONGEST_ROUND: usize = 16;

impl<P: Peer> HyParView<P> {
    /// Starts, or adds contacts to a peer that has started.
    pub(super) fn join(&mut self, now: Time, contacts: &[P], fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        for &contact in contacts {
            if contact.is_same_node(self.me) {
                continue;
            }
            if let Some(held) = self.contacts.iter_mut().find(|c| c.is_same_node(contact)) {
                *held = contact.max(*held);
            } else {
                if self.contacts.len() >= self.config.contacts_capacity {
                    // What the host found last is the likeliest to live.
                    fx.mark(shared::CONTACT_REPLACED);
                    self.contacts.remove(0);
                }
                self.contacts.reserve_exact(1);
                self.contacts.push(contact);
            }
            if !self.links.active().is_empty() {
                // The host says that it answers: maybe for another overlay.
                self.miss(now, contact, When::IfApart, Duration::ZERO, fx);
            }
        }
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            // A random phase for each peer, so that an overlay started at once does not tick at once.
            fx.arm(self.fraction(self.config.shuffle_interval), Timer::Shuffle);
            fx.arm(self.fraction(self.config.keepalive_interval), Timer::Keepalive);
            self.plan_promotion(now);
        }
        self.repair(now, fx);
        if self.rejoin_armed && self.links.active().is_empty() && self.links.requests().is_empty() {
            // The host has found them just now: they need not wait for the pause between rounds.
            if let Some(&contact) = contacts.iter().find(|contact| !contact.is_same_node(self.me)) {
                fx.mark(marks::FOUND_WHILE_WAITING);
                let link = self.ask(now, contact, Purpose::Join, fx);
                fx.send(contact, Message::Join { link });
            }
        }
    }

    /// A uniform share of `interval`.
    pub(super) fn fraction(&mut self, interval: Duration) -> Duration {
        interval.mul_f64(self.rng.random())
    }

    /// Asks the next contact. After each round over all of them the pause before the next doubles.
    ///
    /// HyParView says nothing of a contact that does not answer; without retries over several
    /// contacts, joins at the same moment leave islands.
    pub(super) fn ask_contact(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        if self.rejoin_armed || self.contacts.is_empty() {
            return;
        }
        let mut attempt = usize::from(self.join_attempts);
        if attempt >= LONGEST_ROUND * self.contacts.len() {
            // The pause grows no further: count whole rounds back, or the count would end one day.
            fx.mark(marks::CONTACTS_FOR_LONG);
            attempt -= self.contacts.len();
        }
        if attempt == 0 {
            let first = self.rng.random_range(0..self.contacts.len());
            self.contacts.rotate_left(first);
        }
        let contact = self.contacts[attempt % self.contacts.len()];
        self.join_attempts = (attempt + 1).try_into().unwrap_or(0);
        if (attempt + 1).is_multiple_of(self.contacts.len()) {
            // From now on a failure waits for the timer, not for the next contact.
            fx.mark(marks::CONTACTS_IN_VAIN);
            self.arm_rejoin(attempt / self.contacts.len(), fx);
        }
        let link = self.ask(now, contact, Purpose::Join, fx);
        fx.send(contact, Message::Join { link });
    }

    fn arm_rejoin(&mut self, rounds: usize, fx: &mut impl Effects<Self>) {
        let doubled = self.config.request_timeout.saturating_mul(2 << rounds.min(LONGEST_ROUND));
        let pause = doubled.min(self.config.rejoin_pause);
        let jittered = (pause / 2).saturating_add(self.fraction(pause));
        self.rejoin_armed = true;
        fx.arm(jittered, Timer::Rejoin);
    }

    /// §4.2: the contact takes the joiner even if it has to drop a random neighbour for it, and sends
    /// a forward join to all its other neighbours.
    pub(super) fn on_join(
        &mut self,
        now: Time,
        from: P,
        link: LinkNumber,
        fx: &mut impl Effects<Self>,
    ) {
        if self.links.has(from, link) {
            fx.mark(marks::JOIN_TWICE);
            return fx.send(from, Message::Accept { link, evicted: None });
        }
        if self.is_joining_through(from) && my_request_stands(self.me, from) {
            // Both are each other's contact and asked at once: one link comes of it.
            return fx.mark(marks::JOINS_CROSSED);
        }
        self.links.abandon(from);
        if let Some(at) = self.links.position(from) {
            fx.mark(marks::JOIN_RENEWED);
            self.drop_link(at, DownReason::Renewed, fx);
        }
        let evicted = self.make_room(from, from, fx);
        self.accept(now, from, link, evicted, fx);
        let ttl = self.config.active_walk_length;
        let others: Vec<P> = self.links.active().iter().map(|l| l.peer).collect();
        for peer in others.into_iter().filter(|peer| *peer != from) {
            fx.send(peer, Message::ForwardJoin { joiner: from, ttl });
        }
        self.repair(now, fx);
    }

    /// §4.2: at the end of the walk the joiner enters the active view, at PRWL the passive one.
    pub(super) fn on_forward_join(
        &mut self,
        now: Time,
        from: P,
        joiner: P,
        ttl: u8,
        fx: &mut impl Effects<Self>,
    ) {
        if !self.is_stranger(joiner) {
            return fx.mark(marks::WALK_KNOWN);
        }
        let ttl = ttl.min(self.config.active_walk_length);
        if ttl == self.config.passive_walk_length {
            self.remember(joiner);
        }
        let next = choose_where(
            self.links.active().iter().map(|link| link.peer),
            |peer| *peer != from && *peer != joiner,
            &mut self.rng,
        );
        match next {
            Some(next) if ttl > 0 && self.links.active().len() > 1 => {
                fx.send(next, Message::ForwardJoin { joiner, ttl: ttl - 1 });
            }
            _ => {
                if ttl > 0 {
                    fx.mark(marks::WALK_STUCK);
                }
                if !self.links.is_asked(joiner) && self.may_ask() {
                    self.ask_for_link(now, joiner, Purpose::Admit, fx);
                }
            }
        }
    }

    /// Says goodbye; each neighbour is introduced to the next, so that none loses a link by it.
    pub(super) fn leave(&mut self, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.contacts = ThinVec::new();
        self.lost = ThinVec::new();
        let peers: Vec<P> = self.links.active().iter().map(|link| link.peer).collect();
        for at in (0..peers.len()).rev() {
            // Pairs: 0 with 1, 2 with 3; of an odd number the last goes without.
            let instead = peers.get(at ^ 1).copied();
            let Link { peer, number: link, .. } = self.links.active()[at];
            fx.send(peer, Message::Disconnect { link, leaving: true, instead });
            self.drop_link(at, DownReason::Leaving, fx);
        }
    }

    /// A peer that has left refuses every link, so that no late gossip brings it back as a ghost.
    pub(super) fn refuse_after_leaving(
        &mut self,
        from: P,
        message: &Message<P>,
        fx: &mut impl Effects<Self>,
    ) {
        if let Message::Join { link }
        | Message::Neighbor { link, .. }
        | Message::Accept { link, .. }
        | Message::Keepalive { link } = *message
        {
            fx.mark(marks::REFUSED_AFTER_LEAVING);
            fx.send(from, Message::Disconnect { link, leaving: true, instead: None });
        }
    }
}

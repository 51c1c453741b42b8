//! The way in (§2.1): a subscription goes to a contact, from there in copies over the views, and each
//! copy ends in one view.

use core::time::Duration;

use rand::RngExt;

use super::{Message, Phase, Scamp, Timer, marks};
use crate::protocol::Effects;
use crate::sample::{choose, choose_where};
use crate::{Peer, Time, contacts, shared};

impl<P: Peer> Scamp<P> {
    /// Starts, or adds contacts to a peer that has started.
    pub(super) fn join(&mut self, given: &[P], fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        for contact in given.iter().filter(|contact| !contact.is_same_node(self.me)) {
            let capacity = self.config.contacts_capacity;
            if contacts::remember(&mut self.contacts, *contact, capacity) {
                fx.mark(shared::CONTACT_REPLACED);
            }
        }
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            // A random phase for each peer, so that an overlay started at once does not tick at once.
            let first = self.config.heartbeat_interval.mul_f64(self.rng.random());
            fx.arm(first, Timer::Heartbeat);
            fx.arm(self.config.lease, Timer::Lease);
        }
        self.seek(fx);
    }

    /// Asks a contact if the view is empty, and again until it is not.
    pub(super) fn seek(&mut self, fx: &mut impl Effects<Self>) {
        if self.join_armed || !self.view.is_empty() || self.phase != Phase::Running {
            return;
        }
        let Some(&contact) = choose(&self.contacts, &mut self.rng) else { return };
        let pause = self.config.rejoin_pause;
        let jittered = (pause / 2).saturating_add(pause.mul_f64(self.rng.random()));
        self.join_armed = true;
        self.waits = true;
        fx.arm(jittered, Timer::Join);
        fx.send(contact, Message::Subscribe { renewed: false });
    }

    pub(super) fn on_join_timer(&mut self, fx: &mut impl Effects<Self>) {
        self.join_armed = false;
        if self.view.is_empty() {
            fx.mark(marks::SCAMP_JOIN_AGAIN);
        }
        self.seek(fx);
    }

    /// Subscribes anew, through a random peer of the view: when the lease is over and when no heartbeat
    /// comes. The view stays as it is.
    pub(super) fn resubscribe(&mut self, renewed: bool, fx: &mut impl Effects<Self>) {
        match self.next_hop(self.me) {
            Some(contact) => fx.send(contact, Message::Subscribe { renewed }),
            None => self.seek(fx),
        }
    }

    /// A random peer of the view but the subscriber.
    fn next_hop(&mut self, subscriber: P) -> Option<P> {
        let peers = self.view.iter().map(|entry| entry.peer);
        choose_where(peers, |peer| !peer.is_same_node(subscriber), &mut self.rng)
    }

    /// §4.1: the contact that is asked passes the subscription on to a random peer, which acts as the
    /// contact. Otherwise a contact that many know would have a large view, and so would they.
    ///
    /// All peers must be as likely, although some are in many views. The paper weighs links for that. Here
    /// the walk takes links in both directions, and goes back from a peer with more links than the last
    /// one with a probability that makes up for them (Metropolis and Hastings).
    pub(super) fn on_indirect(
        &mut self,
        now: Time,
        from: P,
        (subscriber, renewed, ttl, degree): (P, bool, u8, u16),
        fx: &mut impl Effects<Self>,
    ) {
        self.drop_expired(now, fx);
        let mine = self.degree();
        let ttl = ttl.min(self.config.indirection_length);
        if degree > 0 && self.rng.random_range(0..mine.max(1)) >= degree {
            return fx.send(from, Message::Indirect { subscriber, renewed, ttl, degree: 0 });
        }
        let links = self.view.iter().map(|entry| entry.peer).chain(self.in_view.iter().copied());
        let next = choose_where(links, |peer| !peer.is_same_node(subscriber), &mut self.rng);
        match next.filter(|_| ttl > 0) {
            Some(next) => {
                let ttl = ttl - 1;
                fx.send(next, Message::Indirect { subscriber, renewed, ttl, degree: mine });
            }
            None if subscriber.is_same_node(self.me) => {}
            None => self.act_as_contact(now, subscriber, renewed, fx),
        }
    }

    /// Links of this peer, in both directions.
    fn degree(&self) -> u16 {
        u16::try_from(self.view.len() + self.in_view.len()).unwrap_or(u16::MAX)
    }

    /// §2.1: a copy to each peer of the view, and c to random ones. Those c are only for new subscriptions:
    /// otherwise views would grow by c with each lease.
    fn act_as_contact(
        &mut self,
        now: Time,
        subscriber: P,
        renewed: bool,
        fx: &mut impl Effects<Self>,
    ) {
        if !renewed {
            fx.send(subscriber, Message::Accept);
        }
        let copy = Message::Forward { subscriber, ttl: self.config.walk_length };
        if self.next_hop(subscriber).is_none() {
            // Nobody else is there to keep it.
            return self.keep(now, subscriber, self.config.lease, fx);
        }
        for entry in self.view.iter().filter(|entry| !entry.peer.is_same_node(subscriber)) {
            fx.send(entry.peer, copy.clone());
        }
        let more = if renewed { 0 } else { self.config.copies };
        for _ in 0..more {
            if let Some(next) = self.next_hop(subscriber) {
                fx.send(next, copy.clone());
            }
        }
    }

    /// §2.1: a subscription is kept with a probability of 1 / (1 + view), unless it is in the view
    /// already, and passed on otherwise.
    pub(super) fn on_forward(
        &mut self,
        now: Time,
        subscriber: P,
        ttl: u16,
        fx: &mut impl Effects<Self>,
    ) {
        self.drop_expired(now, fx);
        let ttl = ttl.min(self.config.walk_length).saturating_sub(1);
        let is_me = subscriber.is_same_node(self.me);
        let known = self
            .view
            .iter()
            .any(|entry| entry.peer.is_same_node(subscriber) && !subscriber.supersedes(entry.peer));
        if !is_me && !known && self.rng.random_range(0..=self.view.len()) == 0 {
            return self.keep(now, subscriber, self.config.lease, fx);
        }
        match self.next_hop(subscriber).filter(|_| ttl > 0) {
            Some(next) => fx.send(next, Message::Forward { subscriber, ttl }),
            None => fx.mark(marks::SCAMP_DROPPED),
        }
    }

    /// Takes a peer into the view for as long as its lease lasts, and tells it so.
    pub(super) fn keep(
        &mut self,
        now: Time,
        peer: P,
        lease: Duration,
        fx: &mut impl Effects<Self>,
    ) {
        if self.add(peer, now.after(lease), fx) {
            fx.send(peer, Message::Kept);
        }
    }

    /// §2.1: the view of a new peer is its contact.
    pub(super) fn on_accept(&mut self, now: Time, from: P, fx: &mut impl Effects<Self>) {
        if !core::mem::take(&mut self.waits) {
            return fx.mark(marks::SCAMP_UNASKED);
        }
        self.keep(now, from, self.config.lease, fx);
    }
}

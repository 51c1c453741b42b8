//! The way in and out (§2.3): walks from a contact, each of which ends in a shuffle of one entry.

use alloc::vec::Vec;

use rand::RngExt;

use super::{Cyclon, Entry, Message, Phase, Timer, marks};
use crate::protocol::{DownReason, Effects};
use crate::sample::{choose, choose_where};
use crate::{Peer, contacts, shared};

impl<P: Peer> Cyclon<P> {
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
            // A random phase for each peer, so that an overlay started at once does not shuffle at once.
            let first = self.config.shuffle_interval.mul_f64(self.rng.random());
            fx.arm(first, Timer::Shuffle);
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
        self.welcomes = self.config.view_capacity;
        fx.arm(jittered, Timer::Join);
        fx.send(contact, Message::Join);
    }

    pub(super) fn on_join_timer(&mut self, fx: &mut impl Effects<Self>) {
        self.join_armed = false;
        if self.view.is_empty() {
            fx.mark(marks::CYCLON_JOIN_AGAIN);
        }
        self.seek(fx);
    }

    /// §2.3: the contact starts as many walks as the joiner's view has places. It does not take the
    /// joiner itself, unless it knows nobody else.
    pub(super) fn on_join(&mut self, joiner: P, fx: &mut impl Effects<Self>) {
        if self.next_hop(joiner).is_none() {
            return self.admit(joiner, fx);
        }
        for _ in 0..self.config.view_capacity {
            if let Some(next) = self.next_hop(joiner) {
                fx.send(next, Message::Walk { joiner, ttl: self.config.walk_length });
            }
        }
    }

    pub(super) fn on_walk(&mut self, joiner: P, ttl: u8, fx: &mut impl Effects<Self>) {
        let ttl = ttl.min(self.config.walk_length).saturating_sub(1);
        match self.next_hop(joiner).filter(|_| ttl > 0) {
            Some(next) => fx.send(next, Message::Walk { joiner, ttl }),
            None if joiner.is_same_node(self.me) => {}
            None => self.admit(joiner, fx),
        }
    }

    fn next_hop(&mut self, joiner: P) -> Option<P> {
        let peers = self.view.iter().map(|entry| entry.peer);
        choose_where(peers, |peer| !peer.is_same_node(joiner), &mut self.rng)
    }

    /// §2.3: where a walk ends, the joiner takes the place of a random entry, which it gets in return: a
    /// shuffle of one entry each. So nobody's in-degree changes but the joiner's.
    fn admit(&mut self, joiner: P, fx: &mut impl Effects<Self>) {
        if self.position_of_node(joiner).is_some() {
            fx.mark(marks::CYCLON_WALK_KNOWN);
        }
        let others = self.view.iter().copied();
        let other = choose_where(others, |of| !of.peer.is_same_node(joiner), &mut self.rng);
        let entry = other.unwrap_or(Entry::new(self.me));
        fx.send(joiner, Message::Welcome { entry });
        self.merge(&[Entry::new(joiner)], &mut [entry.peer].into_iter().collect(), fx);
    }

    /// Fills the view of a peer that asked for it.
    pub(super) fn on_welcome(&mut self, entry: Entry<P>, fx: &mut impl Effects<Self>) {
        let Some(left) = self.welcomes.checked_sub(1) else {
            return fx.mark(marks::CYCLON_UNASKED);
        };
        self.welcomes = left;
        self.merge(&[entry], &mut thin_vec::ThinVec::new(), fx);
    }

    /// The paper has no word for it: whoever shuffles with a peer that left finds out.
    pub(super) fn leave(&mut self, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.contacts.clear();
        self.sent.clear();
        self.partner = None;
        let peers: Vec<P> = self.view.drain(..).map(|entry| entry.peer).collect();
        for peer in peers {
            fx.neighbor_down(peer, DownReason::Leaving);
        }
    }
}

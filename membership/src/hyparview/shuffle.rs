//! Passive views kept fresh: samples exchanged over random walks (§4.4).

use thin_vec::ThinVec;

use super::{HyParView, Message, Timer, marks};
use crate::protocol::Effects;
use crate::sample::{choose_where, sample_into};
use crate::{Peer, Time};

impl<P: Peer> HyParView<P> {
    pub(super) fn on_shuffle_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        fx.arm(self.config.shuffle_interval, Timer::Shuffle);
        self.passive.retry();
        self.passive.refills = 0;
        self.splice_in(now, fx);
        self.repair(now, fx);
        self.shuffle(fx);
    }

    /// Starts a walk with a sample of both views.
    pub(super) fn shuffle(&mut self, fx: &mut impl Effects<Self>) {
        self.passive.lost = false;
        let active = self.links.active().iter().map(|link| link.peer);
        let Some(first) = choose_where(active.clone(), |_| true, &mut self.rng) else {
            return;
        };
        let sample = self.sample();
        self.sent = sample.clone();
        let ttl = self.config.shuffle_walk_length;
        fx.send(first, Message::Shuffle { origin: self.me, ttl, sample });
    }

    /// §4.4: its own id (the origin), k_a of its active and k_p of its passive view.
    pub(super) fn sample(&mut self) -> ThinVec<P> {
        let mut sample =
            ThinVec::with_capacity(self.config.shuffle_active + self.config.shuffle_passive);
        let active = self.links.active().iter().map(|link| link.peer);
        sample_into(&mut sample, active, self.config.shuffle_active, &mut self.rng);
        let passive = self.passive.peers().iter().copied();
        sample_into(&mut sample, passive, self.config.shuffle_passive, &mut self.rng);
        sample
    }

    pub(super) fn on_shuffle(
        &mut self,
        now: Time,
        from: P,
        (origin, ttl, sample): (P, u8, ThinVec<P>),
        fx: &mut impl Effects<Self>,
    ) {
        if origin.is_same_node(self.me) {
            return fx.mark(marks::SHUFFLE_CAME_HOME);
        }
        let ttl = ttl.min(self.config.shuffle_walk_length).saturating_sub(1);
        if ttl > 0 {
            let next = choose_where(
                self.links.active().iter().map(|link| link.peer),
                |peer| *peer != from && *peer != origin,
                &mut self.rng,
            );
            if let Some(next) = next {
                // No longer than an honest one, whatever came in.
                let mut sample = sample;
                sample.truncate(self.config.passive_capacity);
                return fx.send(next, Message::Shuffle { origin, ttl, sample });
            }
            fx.mark(marks::SHUFFLE_STUCK);
        }
        // The reply goes to the origin of the walk, not to its last hop, with as many passive ids
        // as were received.
        let mut reply = ThinVec::new();
        let passive = self.passive.peers().iter().copied();
        sample_into(&mut reply, passive, sample.len() + 1, &mut self.rng);
        let mut sent = reply.clone();
        fx.send(origin, Message::ShuffleReply { sample: reply });
        self.integrate(core::iter::once(origin).chain(sample), &mut sent);
        self.repair(now, fx);
    }

    pub(super) fn on_shuffle_reply(
        &mut self,
        now: Time,
        from: P,
        sample: &[P],
        fx: &mut impl Effects<Self>,
    ) {
        self.meet(now, from, sample, fx);
        let mut sent = core::mem::take(&mut self.sent);
        self.integrate(sample.iter().copied(), &mut sent);
        self.repair(now, fx);
    }

    /// §4.4: what was sent to the peer makes room first, and only then random ones.
    fn integrate(&mut self, peers: impl Iterator<Item = P>, sent: &mut ThinVec<P>) {
        let capacity = self.config.passive_capacity;
        for peer in peers.take(capacity) {
            if self.is_stranger(peer) {
                self.passive.add(peer, capacity, sent, &mut self.rng);
            }
        }
    }
}

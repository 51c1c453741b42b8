//! Leases (§4.2), heartbeats (§2.3) and the way out (§2.2).

use alloc::vec::Vec;

use super::{Message, Phase, Scamp, Timer, marks};
use crate::protocol::{DownReason, Effects};
use crate::{Peer, Time};

impl<P: Peer> Scamp<P> {
    /// §4.2: a subscription ends in all views at the same time, and a new one takes its place.
    pub(super) fn on_lease_timer(&mut self, fx: &mut impl Effects<Self>) {
        fx.arm(self.config.lease, Timer::Lease);
        self.in_view.clear();
        self.resubscribe(true, fx);
    }

    /// §2.3: who hears no heartbeat for long is in no view, and subscribes anew.
    pub(super) fn on_heartbeat_timer(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        fx.arm(self.config.heartbeat_interval, Timer::Heartbeat);
        self.drop_expired(now, fx);
        for entry in &self.view {
            fx.send(entry.peer, Message::Heartbeat);
        }
        self.silent = self.silent.saturating_add(1);
        if self.silent > self.config.heartbeat_misses && !self.view.is_empty() {
            fx.mark(marks::SCAMP_ISOLATED);
            self.silent = 0;
            self.resubscribe(false, fx);
        }
    }

    pub(super) fn drop_expired(&mut self, now: Time, fx: &mut impl Effects<Self>) {
        let mut at = 0;
        while let Some(entry) = self.view.get(at) {
            if entry.expires > now {
                at += 1;
                continue;
            }
            fx.mark(marks::SCAMP_EXPIRED);
            self.remove(at, DownReason::Silent, fx);
        }
    }

    /// §2.2: those that have this peer in their views take its neighbours instead, all but c + 1 of
    /// them: so the views shrink as they would have grown.
    pub(super) fn leave(&mut self, fx: &mut impl Effects<Self>) {
        if self.phase == Phase::Left {
            return;
        }
        self.phase = Phase::Left;
        self.contacts.clear();
        let peers: Vec<P> = self.view.drain(..).map(|entry| entry.peer).collect();
        let in_view = core::mem::take(&mut self.in_view);
        let replaced = in_view.len().saturating_sub(usize::from(self.config.copies) + 1);
        for (at, peer) in in_view.into_iter().enumerate() {
            let other = peers.get(at % peers.len().max(1)).filter(|_| at < replaced);
            let instead = other.copied().filter(|other| !other.is_same_node(peer));
            fx.send(peer, Message::Unsubscribe { instead });
        }
        for peer in peers {
            fx.neighbor_down(peer, DownReason::Leaving);
        }
    }

    /// §2.2: another one takes the place, for as long as the lease would have lasted.
    pub(super) fn on_unsubscribe(
        &mut self,
        now: Time,
        from: P,
        instead: Option<P>,
        fx: &mut impl Effects<Self>,
    ) {
        self.in_view.retain(|peer| *peer != from);
        let Some(at) = self.view.iter().position(|entry| entry.peer == from) else { return };
        let left = self.view[at].expires.since(now);
        if let Some(peer) = instead.filter(|peer| !peer.is_same_node(self.me)) {
            fx.mark(marks::SCAMP_REPLACED);
            // Before the other leaves: a view that is full makes room first.
            self.remove(at, DownReason::Left, fx);
            return self.keep(now, peer, left, fx);
        }
        self.remove(at, DownReason::Left, fx);
    }
}

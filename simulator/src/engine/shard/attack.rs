//! The nodes of a shard that want to be the only neighbours of all others.

use std::sync::Arc;

use murmurate::membership::{Membership, Time, Wire as _};
use murmurate::stack::{Message, Timer};

use super::Shard;
use crate::engine::event::What;
use crate::engine::strategy::SimStack;
use crate::model::eclipse::Eclipse;
use crate::model::network::Network;
use crate::model::node::SimPeer;

impl<P: SimStack> Shard<P> {
    /// From now on these nodes attack. Its own begin, each after a part of the pause of its own.
    pub(crate) fn eclipse(&mut self, network: &Network, now: Time, eclipse: &Arc<Eclipse>) {
        self.eclipse = Some(Arc::clone(eclipse));
        for attacker in eclipse.attackers() {
            if self.sharding.shard(attacker.index()) == self.shard {
                let place = self.sharding.place(attacker.index());
                let (_, _, mut host) = self.host(network, place, now, 0);
                host.begin_attack(eclipse);
            }
        }
    }

    /// What reaches a node, unless it is an attacker and this is about its membership: then the attack takes
    /// it.
    #[inline(always)]
    pub(super) fn unless_attacker(
        &mut self,
        network: &Network,
        place: usize,
        when: (Time, u64),
        about: (SimPeer, SimPeer, u32),
        what: What<P>,
    ) -> Option<What<P>> {
        if self.eclipse.is_none() {
            return Some(what);
        }
        self.run_attacker(network, place, when, about, what)
    }

    #[inline(never)]
    fn run_attacker(
        &mut self,
        network: &Network,
        place: usize,
        when: (Time, u64),
        (from, to, sequence): (SimPeer, SimPeer, u32),
        what: What<P>,
    ) -> Option<What<P>> {
        if !self.eclipse.as_ref().is_some_and(|eclipse| eclipse.has(to)) {
            return Some(what);
        }
        let time = when.0.as_nanos();
        match what {
            What::Message(Message::Membership(message)) => {
                self.common.stats.note(time, from, to, sequence, message.kind() as u64);
                self.attack(network, place, when, Some((from, &message)));
            }
            What::Attack => {
                self.common.stats.note(time, from, to, sequence, 0x500);
                self.attack(network, place, when, None);
            }
            What::Timer(Timer::Membership(_)) => {}
            what => return Some(what),
        }
        None
    }

    /// An attacker speaks: to whom it heard from, or of its own accord, and then again later.
    fn attack(
        &mut self,
        network: &Network,
        place: usize,
        (now, end): (Time, u64),
        heard: Option<(SimPeer, &<P::Membership as Membership>::Message)>,
    ) {
        let Some(eclipse) = self.eclipse.clone() else { return };
        let (stack, _, mut host) = self.host(network, place, now, end);
        host.attack(&eclipse, stack.membership(), heard);
    }
}

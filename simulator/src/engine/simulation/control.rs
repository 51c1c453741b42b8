//! Operations on the machines of a simulation: slow them down, stop them, change their clocks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::nanos;

use super::Simulation;
use crate::engine::connections::Dialling;
use crate::engine::journal::Operation;
use crate::engine::strategy::SimStack;
use crate::model::eclipse::Eclipse;
use crate::model::machine::{ProcessorModel, Withholding};
use crate::model::node::SimPeer;

impl<P: SimStack> Simulation<P> {
    /// Sets how long nodes take to work and to connect. Call it before any node starts. By default both
    /// take no time.
    pub fn equip(&mut self, processor: Option<ProcessorModel>, dialling: Option<Dialling>) {
        self.shards.all_mut().iter_mut().for_each(|shard| shard.equip(processor, dialling));
    }

    /// Nodes of the network's classes work like this, where there is something. Call it before any node
    /// starts.
    pub fn equip_classes(&mut self, processors: &[Option<ProcessorModel>]) {
        self.shards.all_mut().iter_mut().for_each(|shard| shard.equip_classes(processors));
    }

    /// From now on node `index` needs this much time for each input, one after the other. The default is
    /// zero.
    pub fn set_work(&mut self, index: usize, work: Duration) {
        self.note(|| Operation::Other("slow"));
        if let Some(machine) = self.machine_mut(index) {
            machine.set_work(nanos(work));
        }
    }

    /// Node `index` does nothing for this long, but its connections stay. It handles what reaches it
    /// meanwhile afterwards, in order.
    pub fn stall(&mut self, index: usize, lasting: Duration) {
        self.note_of(index, || Operation::Stall(index, lasting));
        let until = self.now().after(lasting).as_nanos();
        if let Some(machine) = self.machine_mut(index) {
            machine.stall(until);
        }
    }

    /// From now on node `index` keeps this to itself of the broadcasts of others, as a liar does. It still
    /// says its own.
    pub fn withhold(&mut self, index: usize, what: Withholding) {
        self.note(|| Operation::Other("withhold"));
        if let Some(machine) = self.machine_mut(index) {
            machine.withholding = what;
        }
    }

    /// From now on these nodes want to be the only neighbours of all others: each of them does as
    /// [`Watched::eclipse`](crate::engine::strategy::Watched::eclipse) says, `rate` times a second and when it
    /// is spoken to.
    pub fn eclipse(&mut self, nodes: &[usize], rate: f64) {
        self.note(|| Operation::Other("eclipse"));
        let nodes: BTreeSet<usize> = nodes.iter().copied().collect();
        let running: Vec<SimPeer> = self.live_nodes().filter_map(|at| self.peer(at)).collect();
        let eclipse = Eclipse::new(&running, |peer| nodes.contains(&peer.index()), rate);
        let (eclipse, now) = (Arc::new(eclipse), self.now);
        for shard in self.shards.all_mut() {
            shard.eclipse(&self.network, now, &eclipse);
        }
        self.eclipse = Some(eclipse);
    }

    /// Whether nodes attack others.
    pub fn has_attackers(&self) -> bool {
        self.eclipse.is_some()
    }

    /// Whether a node attacks others.
    pub fn attacks(&self, peer: SimPeer) -> bool {
        self.eclipse.as_ref().is_some_and(|eclipse| eclipse.has(peer))
    }

    /// From now on the clocks of these nodes run at this speed, above 0: their seconds in a true second. It
    /// also applies to timers that are set already.
    pub fn set_clock_rate(&mut self, nodes: &[usize], rate: f64) {
        self.note(|| Operation::Other("clock-drift"));
        let now = self.now();
        let factors = nodes
            .iter()
            .filter_map(|&index| Some((index, self.machine_mut(index)?.clock.run_at(rate, now))));
        let factors: BTreeMap<usize, f64> = factors.collect();
        self.retime(
            |index| factors.contains_key(&index),
            |index, left| (left as f64 * factors.get(&index).copied().unwrap_or(1.0)) as u64,
        );
    }

    /// The clocks of these nodes jump ahead. Timers that were due by then go off at once.
    pub fn jump_clocks(&mut self, nodes: &[usize], by: Duration) {
        self.note(|| Operation::Other("clock-jump"));
        let now = self.now();
        let jumps = nodes.iter().filter_map(|&index| {
            Some((index, self.machine_mut(index)?.clock.jump(nanos(by), now)))
        });
        let jumps: BTreeMap<usize, u64> = jumps.collect();
        self.retime(
            |index| jumps.contains_key(&index),
            |index, left| left.saturating_sub(jumps.get(&index).copied().unwrap_or(0)),
        );
    }

    /// Sets the timers of the nodes for which `is_struck` holds to other times: `retimed` says by
    /// how much later than now one goes off, given how much later it would.
    fn retime(&mut self, is_struck: impl Fn(usize) -> bool, retimed: impl Fn(usize, u64) -> u64) {
        let now = self.now.as_nanos();
        for shard in self.shards.all_mut() {
            shard.common.queue.retime(
                |event| event.what.is_timer() && is_struck(event.to.index()),
                |event| {
                    let left = event.time.saturating_sub(now);
                    now.saturating_add(retimed(event.to.index(), left))
                },
            );
        }
    }
}

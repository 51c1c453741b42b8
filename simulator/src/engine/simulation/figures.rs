//! What one can see of a single node.

use std::time::Duration;

use murmurate::channel::Depth;
use murmurate::membership::Time;

use super::Simulation;
use crate::engine::counts::{Count, Counts};
use crate::engine::strategy::SimStack;
use crate::model::machine::Machine;

impl<P: SimStack> Simulation<P> {
    /// From now on counts these of each node, for [`Simulation::count`]. They take 8 bytes each of a node.
    /// Call it after [`Simulation::open_channels`].
    pub fn watch_counts(&mut self, counts: &[Count]) {
        for shard in self.shards.all_mut() {
            let counts = Counts::new(counts, &shard.common.stats.messages);
            shard.common.watch.get_or_insert_default().counts = Some(Box::new(counts));
        }
    }

    /// Counts what nodes sent, handled and delivered in a simulation that this one goes on from, as far as
    /// their loads and deliveries tell: what is of one kind of messages they do not. Call it after
    /// [`Simulation::watch_counts`], with the same counts.
    pub(crate) fn recall_counts(&mut self, wanted: &[Count]) {
        for index in 0..self.len {
            let load = self.load(index).unwrap_or_default();
            for (column, count) in wanted.iter().enumerate() {
                let so_far = match count {
                    Count::Sent => load.sent,
                    Count::BytesSent => load.bytes_sent,
                    Count::Received => load.received,
                    Count::Deliveries => self.delivered(index),
                    Count::SentOf(_) | Count::ReceivedOf(_) => continue,
                };
                self.shards.of_mut(index).set_count(index, column, so_far);
            }
        }
    }

    /// From now on does not count each node's messages.
    pub(crate) fn forget_loads(&mut self) {
        for watch in self.shards.all_mut().iter_mut().filter_map(|s| s.common.watch.as_mut()) {
            watch.loads = None;
        }
    }

    /// How many broadcasts node `index` delivered in its present incarnation.
    fn delivered(&self, index: usize) -> u64 {
        (0..self.published() as u32).filter(|id| self.has_delivered(index, *id)).count() as u64
    }

    /// What was counted of node `index`: the count in this place of those that
    /// [`Simulation::watch_counts`] was told. `None` if nothing is counted.
    pub fn count(&self, index: usize, place: usize) -> Option<u64> {
        self.shards.of(index).count(index, place)
    }

    /// What the clock of node `index` shows now.
    pub fn local_time(&self, index: usize) -> Time {
        self.machine(index).map_or(self.now, |machine| machine.clock.local(self.now))
    }

    /// Messages and timers that wait for the process of node `index`.
    pub fn waiting(&self, index: usize) -> u32 {
        self.machine(index).map_or(0, Machine::waiting)
    }

    /// Bytes that wait for the access line of node `index`: to leave, and to come in.
    pub fn on_line(&self, index: usize) -> [u64; 2] {
        let port = self.machine(index).and_then(|machine| machine.port.as_ref());
        let line = self.network.way(index, index);
        port.zip(line).map_or([0; 2], |(port, line)| port.waiting(self.now.as_nanos(), line))
    }

    /// Messages that node `index` sends on channels and whose outcome is open, and the round trip of its
    /// lanes in the mean, if they measured any: over relays. `None` without channels.
    pub fn on_channels(&self, index: usize) -> Option<(Depth, Option<Duration>)> {
        self.shards.of(index).on_lanes(index)
    }

    fn machine(&self, index: usize) -> Option<&Machine> {
        self.shards.of(index).machine(index)
    }
}

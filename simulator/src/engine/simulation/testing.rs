//! For tests of the simulator: they steer the lanes of channels by hand, and look at what a run does not report.

use std::collections::BTreeMap;

use super::Simulation;
use crate::engine::lanes::{Act, ChannelMessage, MessageEvent};
use crate::engine::strategy::SimStack;
use crate::model::node::SimPeer;

/// # For tests
impl<P: SimStack> Simulation<P> {
    /// From now on all that happens to messages on channels is kept, for
    /// [`Simulation::channel_messages`].
    pub fn keep_channel_messages(&mut self) {
        let shards = self.shards.all_mut().iter_mut();
        shards.filter_map(|shard| shard.lanes.as_mut()).for_each(|lanes| lanes.keep_all());
    }

    /// What happened to messages since [`Simulation::keep_channel_messages`]. On several threads what
    /// happened at the sender comes before what happened at the receiver, or after it.
    pub fn channel_messages(&self) -> BTreeMap<ChannelMessage, Vec<MessageEvent>> {
        let mut all = BTreeMap::<_, Vec<_>>::new();
        for lanes in self.shards.all().iter().filter_map(|shard| shard.lanes.as_ref()) {
            for (message, happened) in lanes.accounting().all() {
                all.entry(*message).or_default().extend_from_slice(happened);
            }
        }
        all
    }

    /// Messages that a start of a node has sent on a channel to a node, since
    /// [`Simulation::keep_channel_messages`].
    pub fn channel_sent(&self, channel: usize, from: SimPeer, to: usize) -> u64 {
        let lanes = self.shards.of(from.index()).lanes.as_ref();
        lanes.map_or(0, |lanes| lanes.accounting().sent_on((channel as u16, from, to as u32)))
    }

    /// From now on the applications of a node take no messages from its channels, or take them again.
    pub fn stop_taking(&mut self, index: usize, stops: bool) {
        self.act_on_lanes(index, Act::Stop(stops));
    }

    /// The streams of channels between two nodes break, with what is under way. Their ends notice within
    /// 3 s.
    pub fn break_streams(&mut self, one: usize, other: usize) {
        self.act_on_lanes(one, Act::Break { peer: other as u32 });
        self.act_on_lanes(other, Act::Break { peer: one as u32 });
    }

    /// The channels of a node look for another path to a node, as if they doubted the one they have.
    pub fn switch_paths(&mut self, from: usize, to: usize) {
        self.act_on_lanes(from, Act::Switch { to: to as u32 });
    }

    /// A node forgets the receiving halves that have no path, as one does that needs the room.
    pub fn forget_lanes(&mut self, index: usize) {
        self.act_on_lanes(index, Act::Forget);
    }

    /// Buckets that were run by more than one thread: the others were too short for it.
    pub fn shared_buckets(&self) -> u64 {
        self.shards.shared_buckets()
    }
}

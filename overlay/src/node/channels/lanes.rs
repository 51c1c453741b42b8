//! The sending ends that a node has: of each channel the lanes to each node.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use super::declare::Carries;
use super::error::SendError;
use super::lane::Lane;
use super::shared::Shared;
use super::wire::{BATCH, HEADER};
use crate::NodeId;
use crate::channel::session::{SenderSession, Timeouts};
use crate::node::limits::Limits;
use crate::node::transport::{Slot, Traffic};

/// Messages without a key that are larger than this do not hold up others.
const LARGE: usize = 64 << 10;

/// The lanes that somebody sends on: those of a [`Destination`](super::Destination), and those whose task
/// runs. The last to let go of them removes them.
type Held = Mutex<BTreeMap<(NodeId, usize), Weak<Lanes>>>;

fn lock(held: &Held) -> MutexGuard<'_, BTreeMap<(NodeId, usize), Weak<Lanes>>> {
    // Nothing panics while it holds the lock; if it did, the map would still be whole.
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All sending ends of a node.
#[derive(Debug)]
pub(super) struct OutboundLanes {
    shared: Arc<Shared>,
    held: Arc<Held>,
}

/// The lanes of a channel to one node.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) to: NodeId,
    channel: usize,
    shared: Arc<Shared>,
    held: Arc<Held>,
    /// The channel's own, and as many on connections for bulk.
    lanes: Vec<OnceLock<Arc<Lane>>>,
    /// Bytes of all messages without a key: they say where the next one goes.
    spread: AtomicUsize,
}

impl OutboundLanes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, held: Arc::default() }
    }

    /// The lanes of a channel to a node.
    pub(super) fn to(&self, node: NodeId, channel: usize) -> Arc<Lanes> {
        let mut held = lock(&self.held);
        let lanes = held.entry((node, channel)).or_default();
        lanes.upgrade().unwrap_or_else(|| {
            let (shared, held) = (Arc::clone(&self.shared), Arc::clone(&self.held));
            let new = Arc::new(Lanes::new(node, channel, shared, held));
            *lanes = Arc::downgrade(&new);
            new
        })
    }

    /// All that are held. Not under the lock: dropping one takes it.
    fn all(&self) -> Vec<Arc<Lanes>> {
        lock(&self.held).values().filter_map(Weak::upgrade).collect()
    }

    /// Messages of a channel that have no outcome.
    pub(super) fn waiting(&self, channel: usize) -> usize {
        let all = self.all();
        let of_channel = all.iter().filter(|lanes| lanes.channel == channel);
        of_channel.flat_map(|lanes| lanes.used()).map(|lane| lane.waiting()).sum()
    }

    /// The node leaves: nothing more is taken.
    pub(super) fn leave(&self) {
        self.all().iter().flat_map(|lanes| lanes.used()).for_each(|lane| lane.leave());
    }

    /// The node has ended.
    pub(super) fn end(&self) {
        for lanes in self.all() {
            lanes.used().for_each(|lane| lane.fail(SendError::Ended));
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        let mut held = lock(&self.held);
        // Others may have taken its place meanwhile.
        if let Entry::Occupied(entry) = held.entry((self.to, self.channel))
            && entry.get().strong_count() == 0
        {
            entry.remove();
        }
    }
}

impl Lanes {
    fn new(to: NodeId, channel: usize, shared: Arc<Shared>, held: Arc<Held>) -> Self {
        let count = 2 * usize::from(shared.declared[channel].options.parallelism);
        let lanes = (0..count).map(|_| OnceLock::new()).collect();
        Self { to, channel, shared, held, lanes, spread: AtomicUsize::new(0) }
    }

    /// Those that something was sent on.
    fn used(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.iter().filter_map(OnceLock::get)
    }

    /// The lane for a message: by its key, which keeps its order, or else any.
    pub(super) fn lane(&self, key: Option<u64>, size: usize) -> &Arc<Lane> {
        let declared = &self.shared.declared[self.channel];
        let parallelism = usize::from(declared.options.parallelism);
        let at = match key {
            Some(hash) => (hash % parallelism as u64) as usize,
            None if parallelism == 1 => 0,
            // Small ones that follow each other share what is written at a time.
            None => {
                let before = self.spread.fetch_add(size + HEADER, Ordering::Relaxed);
                before / BATCH % parallelism
            }
        };
        let large = key.is_none() && size > LARGE && declared.traffic == Traffic::Small;
        self.at(if large { parallelism + at } else { at })
    }

    fn at(&self, index: usize) -> &Arc<Lane> {
        self.lanes[index].get_or_init(|| {
            let shared = &self.shared;
            let declared = &shared.declared[self.channel];
            let parallelism = usize::from(declared.options.parallelism);
            let traffic = if index < parallelism { declared.traffic } else { Traffic::Bulk };
            let slot = Slot { traffic, index: (index % parallelism) as u16 };
            let Carries::Messages(kind) = &declared.carries else {
                unreachable!("channels of bytes have no lanes");
            };
            let Limits { handshake_wait, idle_wait, .. } = shared.limits;
            let timeouts = Timeouts { handshake: handshake_wait, idle: idle_wait };
            let sending = kind.sending(declared.limits());
            let session = SenderSession::new(sending, timeouts, shared.new_epoch());
            let (index, acknowledges) = (index as u16, kind.acknowledges());
            let shared = Arc::clone(shared);
            Arc::new(Lane::new(shared, self.to, self.channel, index, slot, session, acknowledges))
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::node::admission::{Admission, Gate};
    use crate::node::authorship::Authorship;
    use crate::node::budget::Budget;
    use crate::node::channels::hub::Hub;
    use crate::{Channel, Incarnation, Metrics};

    #[tokio::test]
    async fn lanes_that_nobody_holds_are_forgotten() {
        let node = |of: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&of.to_le_bytes());
            NodeId::from_bytes(bytes)
        };
        let (commands, _) = mpsc::channel(1);
        let me = Incarnation { node: node(u64::MAX), started: 1 };
        let declared = vec![Channel::acknowledged("orders")];
        let counters = Metrics::default().counters();
        let gate = Arc::new(Gate::new(me.node, "test", Admission::Open));
        let hub = Hub::new(
            me,
            (gate, Authorship::open()),
            (Limits::default(), Budget::plenty()),
            declared,
            &commands,
            &counters.channels,
        );
        let outbound = &hub.outbound;
        let all: Vec<_> = (0..10_000).map(|of| outbound.to(node(of), 0)).collect();
        let again = outbound.to(node(7), 0);
        assert!(Arc::ptr_eq(&all[7], &again), "who sends meanwhile finds the same ones");
        drop(all);
        assert_eq!(lock(&outbound.held).len(), 1);
        drop(again);
        assert!(lock(&outbound.held).is_empty());
    }
}

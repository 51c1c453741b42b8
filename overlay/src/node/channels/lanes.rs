//! The sending ends that a node has: of each channel the lanes to each node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

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

/// All sending ends of a node.
#[derive(Debug)]
pub(super) struct OutboundLanes {
    shared: Arc<Shared>,
    lanes: Mutex<BTreeMap<(NodeId, usize), Arc<Lanes>>>,
}

/// The lanes of a channel to one node.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) to: NodeId,
    channel: usize,
    shared: Arc<Shared>,
    /// The channel's own, and as many on connections for bulk.
    lanes: Vec<OnceLock<Arc<Lane>>>,
    /// Bytes of all messages without a key: they say where the next one goes.
    spread: AtomicUsize,
}

impl OutboundLanes {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, lanes: Mutex::default() }
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<(NodeId, usize), Arc<Lanes>>> {
        // Nothing panics while it holds the lock; if it did, the map would still be whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lanes of a channel to a node.
    pub(super) fn to(&self, node: NodeId, channel: usize) -> Arc<Lanes> {
        let mut lanes = self.lanes();
        let to_node = lanes
            .entry((node, channel))
            .or_insert_with(|| Arc::new(Lanes::new(node, channel, Arc::clone(&self.shared))));
        Arc::clone(to_node)
    }

    /// Forgets lanes that have nothing to do and that nobody holds.
    pub(super) fn forget_unused(&self, lane: &Lane) {
        let mut lanes = self.lanes();
        let key = (lane.to, lane.channel);
        let unused = lanes.get(&key).is_some_and(|to_node| {
            Arc::strong_count(to_node) == 1 && to_node.used().all(|lane| lane.is_unused())
        });
        if unused {
            lanes.remove(&key);
        }
    }

    /// Messages of a channel that have no outcome.
    pub(super) fn waiting(&self, channel: usize) -> usize {
        let lanes = self.lanes();
        let of_channel = lanes.values().filter(|lanes| lanes.channel == channel);
        of_channel.flat_map(|lanes| lanes.used()).map(|lane| lane.waiting()).sum()
    }

    /// The node leaves: nothing more is taken.
    pub(super) fn leave(&self) {
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        lanes.iter().flat_map(|lanes| lanes.used()).for_each(|lane| lane.leave());
    }

    /// The node has ended.
    pub(super) fn end(&self) {
        for lanes in std::mem::take(&mut *self.lanes()).into_values() {
            lanes.used().for_each(|lane| lane.fail(SendError::Ended));
        }
    }
}

impl Lanes {
    fn new(to: NodeId, channel: usize, shared: Arc<Shared>) -> Self {
        let count = 2 * usize::from(shared.declared[channel].options.parallelism);
        let lanes = (0..count).map(|_| OnceLock::new()).collect();
        Self { to, channel, shared, lanes, spread: AtomicUsize::new(0) }
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

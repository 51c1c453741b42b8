//! Cuts between nodes: partitions, one-way or both ways, and links that go up and down.

use super::{Placement, mix};
use crate::model::node::SimPeer;

/// Some of the nodes.
#[derive(Debug, Clone)]
pub enum Side {
    /// All of them, also those that join later.
    All,
    /// Those for which this holds, by index.
    Nodes(Vec<bool>),
    /// The nodes in a region, including those that join later.
    Region(usize),
    /// Those of a class, also who joins later.
    Class(usize),
}

impl Side {
    /// The nodes, of this many, for which `is_in` holds.
    pub fn of(nodes: usize, is_in: impl Fn(usize) -> bool) -> Self {
        Self::Nodes((0..nodes).map(is_in).collect())
    }

    pub(super) fn has(&self, peer: SimPeer, placement: &Placement) -> bool {
        match self {
            Self::All => true,
            Self::Nodes(nodes) => nodes.get(peer.index()).copied().unwrap_or(false),
            Self::Region(region) => placement.of(peer.index()) == *region,
            Self::Class(class) => placement.class(peer.index()) == Some(*class),
        }
    }
}

/// When a link is down.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// As long as the cut stands, both ways or towards the side only.
    Always { one_way: bool },
    /// Repeatedly, each link at its own times: up for some nanoseconds, then down.
    Flapping { up: u64, down: u64, seed: u64 },
}

/// The cuts that stand.
#[derive(Debug, Clone, Default)]
pub(super) struct Cuts {
    cuts: Vec<(u32, Side, When)>,
    next: u32,
}

impl Cuts {
    pub(super) fn is_empty(&self) -> bool {
        self.cuts.is_empty()
    }

    pub(super) fn add(&mut self, side: Side, when: When) -> u32 {
        let number = self.number();
        self.cuts.push((number, side, when));
        number
    }

    /// A number by which something ends that was not there before.
    pub(super) fn number(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    pub(super) fn end(&mut self, number: u32) {
        self.cuts.retain(|(cut, ..)| *cut != number);
    }

    /// Ends partitions; flapping links go on.
    pub(super) fn heal(&mut self) {
        self.cuts.retain(|(_, _, when)| matches!(when, When::Flapping { .. }));
    }

    pub(super) fn sever(
        &self,
        from: SimPeer,
        to: SimPeer,
        now: u64,
        placement: &Placement,
    ) -> bool {
        self.cuts.iter().any(|(_, side, when)| {
            let (near, far) = (side.has(from, placement), side.has(to, placement));
            match *when {
                When::Always { one_way } => near != far && (!one_way || far),
                When::Flapping { up, down, seed } => {
                    (near || far) && is_down(from, to, now, (up, down), seed)
                }
            }
        })
    }
}

/// Both directions of a link flap together, and no two links at the same time.
fn is_down(from: SimPeer, to: SimPeer, now: u64, (up, down): (u64, u64), seed: u64) -> bool {
    let (low, high) = (from.index().min(to.index()), from.index().max(to.index()));
    let period = up.saturating_add(down).max(1);
    let phase = mix(seed ^ mix((low as u64) << 32 | high as u64)) % period;
    (now % period + phase) % period >= up
}

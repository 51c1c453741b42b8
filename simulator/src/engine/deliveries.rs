//! Which nodes delivered which broadcasts.

use std::collections::BTreeMap;

use murmurate::membership::Time;

use crate::model::node::SimPeer;

/// A bit for each node of a shard and each broadcast.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeliveryLog {
    /// By broadcast, a bit for each place; as long as the last one that delivered it needs.
    delivered: Vec<Vec<u64>>,
    /// Of all repeated deliveries, the one with the lowest broadcast and peer, in whatever order they
    /// happened.
    twice: Option<(u32, SimPeer)>,
    /// By node and publisher, how many broadcasts the node was told it will never get.
    missed: BTreeMap<(SimPeer, SimPeer), u64>,
    /// When each peer had its first neighbour, if that is logged.
    joined: Option<BTreeMap<SimPeer, Joined>>,
}

/// When a peer had its first neighbour.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub(crate) struct Joined {
    /// By its clock.
    pub(crate) at: Time,
    /// How many broadcasts there had been.
    pub(crate) published: u32,
}

impl DeliveryLog {
    /// `peer`, the node at `place`, delivered broadcast `id`.
    pub(crate) fn note(&mut self, place: usize, peer: SimPeer, id: u32) {
        let id_at = id as usize;
        if self.delivered.len() <= id_at {
            self.delivered.resize(id_at + 1, Vec::new());
        }
        let bits = &mut self.delivered[id_at];
        let (word, bit) = (place / 64, 1 << (place % 64));
        if bits.len() <= word {
            bits.resize(word + 1, 0);
        }
        if bits[word] & bit != 0 {
            let first = self.twice.unwrap_or((id, peer));
            self.twice = Some(first.min((id, peer)));
        }
        bits[word] |= bit;
    }

    /// Whether the node at `place` delivered broadcast `id` in its present incarnation.
    pub(crate) fn has(&self, place: usize, id: u32) -> bool {
        let word = self.delivered.get(id as usize).and_then(|bits| bits.get(place / 64));
        word.is_some_and(|word| word & (1 << (place % 64)) != 0)
    }

    /// The node at `place` starts again and remembers nothing.
    pub(crate) fn forget(&mut self, place: usize) {
        for bits in &mut self.delivered {
            if let Some(word) = bits.get_mut(place / 64) {
                *word &= !(1 << (place % 64));
            }
        }
    }

    /// From now on notes when a peer has its first neighbour.
    pub(crate) fn log_joins(&mut self) {
        self.joined.get_or_insert_default();
    }

    /// A peer has a neighbour, at this time and after this many broadcasts.
    pub(crate) fn linked(&mut self, peer: SimPeer, at: Time, published: usize) {
        if let Some(joined) = &mut self.joined {
            joined.entry(peer).or_insert(Joined { at, published: published as u32 });
        }
    }

    /// When a peer had its first neighbour.
    pub(crate) fn joined(&self, peer: SimPeer) -> Option<Joined> {
        self.joined.as_ref()?.get(&peer).copied()
    }

    /// A node was told that it will never get this many broadcasts of this publisher.
    pub(crate) fn missed(&mut self, node: SimPeer, publisher: SimPeer, count: u64) {
        *self.missed.entry((node, publisher)).or_default() += count;
    }

    /// How many broadcasts that is so far.
    pub(crate) fn has_missed(&self, node: SimPeer, publisher: SimPeer) -> u64 {
        self.missed.get(&(node, publisher)).copied().unwrap_or(0)
    }

    /// Of all publishers of which there are some.
    pub(crate) fn all_missed(&self, node: SimPeer) -> Vec<(SimPeer, u64)> {
        let from = self.missed.range((node, SimPeer::new(0, 0))..);
        let of_node = from.take_while(|((missing, _), _)| *missing == node);
        of_node.map(|((_, publisher), count)| (*publisher, *count)).collect()
    }

    /// Broadcasts up to the last one that was delivered.
    pub(crate) fn broadcasts(&self) -> usize {
        self.delivered.len()
    }

    /// Whether somebody wants to know when peers join.
    pub(crate) fn has_joins(&self) -> bool {
        self.joined.is_some()
    }

    /// What was noted of a node before.
    pub(crate) fn restore(
        &mut self,
        me: SimPeer,
        joined: Option<Joined>,
        missed: Vec<(SimPeer, u64)>,
    ) {
        self.missed.extend(missed.into_iter().map(|(publisher, count)| ((me, publisher), count)));
        if let (Some(all), Some(joined)) = (&mut self.joined, joined) {
            all.insert(me, joined);
        }
    }

    /// A broadcast that was delivered twice, and by whom.
    pub(crate) fn twice(&self) -> Option<(u32, SimPeer)> {
        self.twice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_delivery_is_noticed_unless_the_node_started_again() {
        let (first, second) = (SimPeer::new(70, 0), SimPeer::new(70, 1));
        let mut log = DeliveryLog::default();
        log.note(70, first, 3);
        assert!(log.has(70, 3) && !log.has(70, 2) && !log.has(71, 3) && !log.has(700, 3));
        log.forget(70);
        assert!(!log.has(70, 3));
        log.note(70, second, 3);
        assert_eq!(log.twice(), None);
        log.note(70, second, 4);
        log.note(70, second, 4);
        log.note(70, second, 3);
        assert_eq!(log.twice(), Some((3, second)), "the lowest");
    }
}

//! The address book: where peers may be dialled.
//!
//! Whatever it says is a hint; connections are authenticated. What a node says of itself stands
//! before what others say of it, and the book forgets whom nobody spoke of for longest.

use std::collections::BTreeMap;

use super::wire::Addresses;
use crate::id::NodeId;

/// Nodes a book remembers beside those of the views, which are touched to be kept.
const CAPACITY: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<NodeId, Entry>,
    /// Counts what the book was told, to tell old entries from new ones.
    spoken: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// What the node says of itself, and whether it does.
    addresses: Addresses,
    first_hand: bool,
    last_spoken: u64,
    /// The start that greeted last, and the one before it.
    started: Option<u64>,
    before: Option<u64>,
    /// The last connection it dialled: of which start, and its number.
    dialled: (u64, u64),
}

impl Book {
    /// The node itself says where it can be dialled.
    pub(crate) fn hear_first_hand(&mut self, node: NodeId, addresses: &Addresses) {
        let entry = self.entry(node);
        if !addresses.is_empty() {
            entry.addresses = addresses.clone();
            entry.first_hand = true;
        }
    }

    /// A start of a node greets. Whether one greeted before that it had followed: a process that was
    /// followed by another start of its node has ended, so two run.
    pub(crate) fn greets(&mut self, node: NodeId, started: u64) -> bool {
        let entry = self.entry(node);
        if entry.started == Some(started) {
            return false;
        }
        let returned = entry.before == Some(started);
        entry.before = entry.started.replace(started);
        returned
    }

    /// A start of a node greets on a connection that it dialled.
    pub(crate) fn hear_dial(&mut self, node: NodeId, started: u64, number: u64) {
        let entry = self.entry(node);
        entry.dialled = entry.dialled.max((started, number));
    }

    /// The last one it was heard of.
    pub(crate) fn last_dial(&self, node: NodeId) -> (u64, u64) {
        self.entries.get(&node).map(|entry| entry.dialled).unwrap_or_default()
    }

    /// Somebody says where a node can be dialled.
    pub(crate) fn hear(&mut self, node: NodeId, addresses: &Addresses) {
        let entry = self.entry(node);
        if entry.first_hand || addresses.is_empty() {
            return;
        }
        // The newest first: a node that moved is found, a liar is forgotten.
        entry.addresses = addresses.iter().chain(entry.addresses.iter()).collect();
    }

    /// Somebody still has use for what the book knows of a node.
    pub(crate) fn touch(&mut self, node: NodeId) {
        if self.entries.contains_key(&node) {
            self.entry(node);
        }
    }

    /// A dial to what the book says failed: the next that speaks of the node is believed.
    pub(crate) fn doubt(&mut self, node: NodeId) {
        if let Some(entry) = self.entries.get_mut(&node) {
            entry.first_hand = false;
        }
    }

    pub(crate) fn addresses(&self, node: NodeId) -> Addresses {
        self.entries.get(&node).map(|entry| entry.addresses.clone()).unwrap_or_default()
    }

    fn entry(&mut self, node: NodeId) -> &mut Entry {
        self.spoken += 1;
        if self.entries.len() >= CAPACITY && !self.entries.contains_key(&node) {
            self.forget_half();
        }
        let entry = self.entries.entry(node).or_default();
        entry.last_spoken = self.spoken;
        entry
    }

    /// Forgets the half nobody spoke of for longest: rare, so that each word costs little.
    fn forget_half(&mut self) {
        let mut ages: Vec<u64> = self.entries.values().map(|entry| entry.last_spoken).collect();
        let (_, &mut median, _) = ages.select_nth_unstable(CAPACITY / 2);
        self.entries.retain(|_, entry| entry.last_spoken > median);
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;

    use super::*;

    fn addresses(ports: impl IntoIterator<Item = u16>) -> Addresses {
        let all: Vec<Multiaddr> = ports
            .into_iter()
            .map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().expect("an address"))
            .collect();
        all.iter().collect()
    }

    fn node(n: u32) -> NodeId {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_be_bytes());
        NodeId::from_bytes(key)
    }

    #[test]
    fn a_node_is_believed_about_itself_until_it_is_not_there() {
        let mut book = Book::default();
        book.hear(node(1), &addresses([1]));
        book.hear_first_hand(node(1), &addresses([2]));
        book.hear(node(1), &addresses([3]));
        assert_eq!(book.addresses(node(1)), addresses([2]));
        book.doubt(node(1));
        book.hear(node(1), &addresses([3]));
        assert_eq!(book.addresses(node(1)), addresses([3, 2]));
    }

    #[test]
    fn a_start_that_comes_back_is_one_of_two() {
        let mut book = Book::default();
        let mut greets = |starts: &[u64]| -> Vec<bool> {
            starts.iter().map(|started| book.greets(node(1), *started)).collect()
        };
        assert_eq!(greets(&[5, 5, 7, 7, 9]), [false; 5], "it was started again twice");
        assert_eq!(greets(&[3]), [false], "its clock was wrong");
        assert_eq!(greets(&[9, 9, 3]), [true, false, true]);
    }

    #[test]
    fn few_addresses_the_newest_first() {
        let mut book = Book::default();
        for port in 1..=9 {
            book.hear(node(1), &addresses([port]));
        }
        assert_eq!(book.addresses(node(1)), addresses([9, 8, 7, 6]));
    }

    #[test]
    fn the_book_is_bounded_and_keeps_whom_it_heard_of_last() {
        let mut book = Book::default();
        for n in 0..5_000 {
            book.hear(node(n), &addresses([1]));
            book.hear(node(0), &addresses([1]));
            assert!(book.entries.len() <= CAPACITY);
        }
        assert!(!book.addresses(node(4_999)).is_empty());
        assert!(!book.addresses(node(0)).is_empty());
        assert!(book.addresses(node(1)).is_empty());
    }
}

//! Names of broadcasts.

use core::fmt::Debug;
use core::hash::Hash;

use murmurate_membership::Peer;

/// A broadcast's name: its origin, and its number among those of the origin, from 0.
///
/// Unique in the overlay; small, because every peer remembers thousands. Ordered by origin, then by
/// sequence. [`MessageId`] is the one for real nodes.
pub trait Id: Copy + Ord + Hash + Debug + Send + Sync + 'static {
    /// What numbers broadcasts: a publisher in one incarnation.
    type Origin: Copy + Ord + Hash + Debug + Send + Sync + 'static;

    /// Whose broadcast it is.
    fn origin(self) -> Self::Origin;

    /// How many broadcasts its origin published before it.
    fn sequence(self) -> u64;
}

/// For hosts that number all broadcasts in one sequence, whoever publishes them.
impl Id for u32 {
    type Origin = ();

    fn origin(self) {}

    fn sequence(self) -> u64 {
        self.into()
    }
}

/// A broadcast's name: who published it, in which incarnation, and its number among that one's.
///
/// The origin includes its incarnation, so a restarted node cannot use a name again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MessageId<P> {
    /// The publisher.
    pub origin: P,
    /// Counts the publisher's broadcasts from 0.
    pub sequence: u64,
}

impl<P: Peer + Hash> Id for MessageId<P> {
    type Origin = P;

    fn origin(self) -> P {
        self.origin
    }

    fn sequence(self) -> u64 {
        self.sequence
    }
}

/// Names the broadcasts of one incarnation of a peer.
#[derive(Debug, Clone)]
pub struct MessageIds<P> {
    origin: P,
    next: u64,
}

impl<P: Peer> MessageIds<P> {
    /// The names for an `origin` that has not published anything yet.
    #[must_use]
    pub fn new(origin: P) -> Self {
        Self { origin, next: 0 }
    }

    /// How many names were given.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.next
    }
}

impl<P: Peer> Iterator for MessageIds<P> {
    type Item = MessageId<P>;

    /// The next unused name; `None` after 2⁶⁴ − 1 of them.
    fn next(&mut self) -> Option<MessageId<P>> {
        let sequence = self.next;
        self.next = sequence.checked_add(1)?;
        Some(MessageId { origin: self.origin, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    struct Node(u32, u32);
    impl Peer for Node {
        type Node = u32;
        fn node(self) -> u32 {
            self.0
        }
    }

    #[test]
    fn a_restart_cannot_use_an_id_again() {
        let before: Vec<_> = MessageIds::new(Node(7, 1)).take(100).collect();
        let after: Vec<_> = MessageIds::new(Node(7, 2)).take(100).collect();
        assert!(after.iter().all(|id| !before.contains(id)));
        assert!(before.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn ids_end_rather_than_repeat() {
        let mut ids = MessageIds { origin: Node(7, 1), next: u64::MAX };
        assert_eq!(ids.next(), None);
        assert_eq!(ids.next(), None);
    }
}

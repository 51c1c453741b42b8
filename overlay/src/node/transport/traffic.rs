//! Which connection between two nodes: by the kind of traffic, and a number.

/// Which connections a channel uses: small messages must not wait behind large ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Traffic {
    /// Connections for messages that should arrive soon. Large messages without a key use the others
    /// even so.
    Small,
    /// Connections for large transfers. They run on threads of their own, with lower priority, which all
    /// nodes of a process share, so messages that should arrive soon do not wait for them.
    Bulk,
    /// Connections for streams of bytes. They run on the application's runtime, because it reads and
    /// writes them itself. A stream that is kept full takes turns with everything else there.
    Bytes,
}

/// Which connection between two nodes: by traffic and, for parallel lanes, a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) traffic: Traffic,
    pub(crate) index: u16,
}

impl Traffic {
    /// In their order.
    pub(super) const ALL: [Self; 3] = [Self::Small, Self::Bulk, Self::Bytes];

    /// The protocol's name and version, as streams negotiate it; both sides learn from it which traffic a
    /// connection is for.
    pub(super) const fn protocol(self) -> &'static str {
        match self {
            Self::Small => "/murmurate/channel/6",
            Self::Bulk => "/murmurate/bulk/6",
            Self::Bytes => "/murmurate/bytes/6",
        }
    }
}

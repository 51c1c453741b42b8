//! What access lines carry.

/// An access line. It belongs to a node, not to a link: real networks have their bottlenecks there, and a
/// node that sends to many peers pays for each copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BandwidthModel {
    /// Bits a second that a node sends.
    pub up: u64,
    /// Bits a second that a node receives.
    pub down: u64,
    /// Bytes that may wait at either end; what does not fit is shed.
    pub queue: u64,
}

//! How a message reaches everyone.
//!
//! Broadcast strategies as pure state machines over the neighbours that a membership strategy
//! announces: no I/O, no clock, no ambient randomness.
//!
//! - [`Plumtree`] pushes payloads along a tree and announces them on all other links, so that the
//!   tree repairs itself (SRDS 2007).
//! - [`Flood`] pushes every payload on every link: the baseline.
//! - [`Gossip`] pushes every payload to a few neighbours chosen at random: the baseline of other papers.
//! - [`AntiEntropy`] wraps any of them: neighbours compare what they have, and fetch what they missed.
//!
//! The types of the seam ([`Input`], [`Sight`], messages, timers) are exhaustive on purpose: a strategy
//! and its host must handle every case. So are parameters, as in `murmurate_membership`.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod anti_entropy;
mod cache;
mod compact;
pub mod flood;
pub mod gossip;
mod id;
pub mod plumtree;
mod progress;
mod protocol;
mod seen;
pub mod shared;
mod strategy;

pub use anti_entropy::AntiEntropy;
pub use flood::Flood;
pub use gossip::Gossip;
pub use id::{Id, MessageId, MessageIds};
pub use murmurate_membership::{Mark, NodeFigure};
pub use plumtree::{Announcement, Plumtree};
pub use protocol::{Broadcast, Carries, Effects, Input, Origin, Payload};
pub use seen::{Seen, SeenBounds, Sight};
pub use strategy::BroadcastStrategy;

/// The example of the README compiles and holds.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

//! How a message reaches everyone.
//!
//! Broadcast strategies as pure state machines over the neighbours that a membership strategy
//! announces: no I/O, no clock, no randomness.
//!
//! - [`Plumtree`] pushes payloads along a tree and announces them on all other links, so that the
//!   tree repairs itself (SRDS 2007).
//! - [`Flood`] pushes every payload on every link: the baseline.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod flood;
mod id;
mod mark;
mod mutant;
pub mod plumtree;
mod protocol;
mod thrift;
mod window;

pub use flood::Flood;
pub use id::{MessageId, MessageIds};
pub use mark::Mark;
pub use mutant::Mutant;
pub use plumtree::{Announcement, Plumtree};
pub use protocol::{Broadcast, Carries, Effects, Id, Input, Payload};

//! Murmurate: a partial-view gossip overlay.
//!
//! [`Peer`] composes a membership strategy with a broadcast strategy into one pure state machine:
//! the code that ships is the code that is simulated.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod peer;

pub use peer::{Effects, Input, Message, Peer, Timer};

pub use murmurate_broadcast as broadcast;
pub use murmurate_membership as membership;

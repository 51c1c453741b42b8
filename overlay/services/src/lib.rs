//! Replicated state for clusters on [murmurate]: who is here, who is in which group, who has which name, and
//! values, flags, counters and sets that all nodes share.
//!
//! A [`Cluster`] is a [service](murmurate::service): a state machine without I/O that a node runs, and a
//! simulation too. Every node has a replica of all state and reads it without asking anybody. What a node writes
//! reaches the others as a broadcast; what is lost on the way they find when they compare. Nodes that a partition
//! separates go on on both sides, and agree again when it has healed.

#![cfg_attr(not(any(test, feature = "node")), no_std)]

extern crate alloc;

mod clock;
mod cluster;
mod command;
mod compare;
mod config;
mod delta;
mod dot;
mod key;
#[cfg(feature = "node")]
mod node;
mod roster;
mod store;
#[cfg(test)]
mod tests;
mod values;
mod views;

pub use clock::{Clock, Drift, Stamp};
pub use cluster::{Cluster, Counts, Message, Timer};
pub use command::{Action, Command, Done, Event, Quorum, Refused};
pub use config::Config;
pub use delta::{Context, Delta, Nonsense, Written};
pub use dot::{Dot, VersionVector};
pub use key::{Key, Space};
#[cfg(feature = "node")]
pub use node::{ClusterError, ClusterHandle, Held, SERVICE};
pub use roster::{Liveness, Member, News, Record, Roster};
pub use store::{Change, DeltaState, Full, Joined, Limits, Put, Store, Version, Writer};
pub use values::{Entry, Flag};

/// The examples of the guide compile.
#[cfg(all(doctest, feature = "node"))]
#[doc = include_str!("../../../docs/state.md")]
mod guide {}

/// So does that of the README.
#[cfg(all(doctest, feature = "node"))]
#[doc = include_str!("../README.md")]
mod readme {}

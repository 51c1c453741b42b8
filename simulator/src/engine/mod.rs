//! Runs nodes in virtual time: their protocols, their channels, the events between them, and what is
//! counted and recorded on the way.

mod codec;
mod connections;
mod counts;
mod deliveries;
pub mod erased;
mod event;
mod handshake;
mod host;
mod journal;
pub mod lanes;
mod lines;
pub mod marks;
mod queue;
mod shard;
mod shards;
mod simulation;
pub mod snapshot;
pub mod stats;
pub mod storage;
pub mod strategy;
mod strict;
pub mod watch;
mod watched;
mod wheel;
mod workers;

pub use connections::Dialling;
pub use counts::Count;
pub use journal::{Journal, Operation};
pub use simulation::{Census, Simulation, bucket};
pub use stats::SIZES;
pub use strategy::{Make, SimStack, StackOf};

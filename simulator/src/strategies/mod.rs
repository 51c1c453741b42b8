//! Strategies that experiments choose from: a file for each, and a line in [`Registry::ours`].
//!
//! A strategy of one's own comes in by [`Registry::membership`] or [`Registry::broadcast`] and
//! [`Registry::install`]; then scenario files name it, with keys of its own.

pub mod broadcast;
mod choice;
mod flood;
mod full_mesh;
mod hyparview;
pub mod membership;
mod plumtree;
mod registry;
mod static_overlay;

pub use broadcast::{Broadcast, SimulatedBroadcast};
pub use choice::{Choice, Chosen, Listed};
pub use membership::{Membership, SimulatedMembership};
pub use registry::{Registry, RegistryError};

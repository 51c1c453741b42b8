//! Strategies that experiments can choose: each has a file, and a line in [`Registry::ours`].
//!
//! To add your own strategy, use [`Registry::membership`] or [`Registry::broadcast`], then
//! [`Registry::install`]. Scenario files can then name it, with its own keys.

pub mod broadcast;
mod choice;
mod cyclon;
mod flood;
mod full_mesh;
mod gossip;
mod hyparview;
pub mod membership;
mod plumtree;
mod registry;
mod scamp;
mod static_overlay;

pub use broadcast::{Broadcast, SimulatedBroadcast};
pub use choice::{Choice, Chosen, Listed};
pub use membership::{Membership, SimulatedMembership};
pub use registry::{Registry, RegistryError};

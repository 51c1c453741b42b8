//! Which peers are neighbours.
//!
//! Membership strategies as pure state machines: no I/O, no clock, no ambient randomness. A host
//! feeds a strategy its [`Input`]s and performs its [`Effects`]. The libp2p node and the simulator are
//! two hosts of the same code.
//!
//! - [`HyParView`] keeps a small symmetric active view and a larger passive view (DSN 2007).
//! - [`FullMesh`] links everyone with everyone: the baseline, and the right choice below some 50
//!   nodes.
//! - [`StaticOverlay`] keeps to the contacts that it is given: the graph is yours.
//! - [`Cyclon`] shuffles one directed view: a baseline (JNSM 2005).
//! - [`Scamp`] has directed views that grow with the overlay: a baseline (IEEE ToC 2003).
//!
//! The types of the seam ([`Input`], [`DownReason`], [`Notice`], messages, timers) are exhaustive on
//! purpose: a strategy and its host must handle every case. So are parameters, which are written as
//! `Parameters { .., ..Default::default() }`. Errors may grow.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(feature = "serde")]
pub mod bounded;
mod contacts;
pub mod cyclon;
mod either;
mod figure;
pub mod full_mesh;
pub mod hyparview;
mod links;
mod marks;
pub mod parameters;
mod peer;
mod protocol;
mod range;
mod redial;
mod sample;
pub mod scamp;
pub mod shared;
#[cfg(feature = "serde")]
pub mod snapshot;
pub mod static_overlay;
mod strategy;
#[cfg(test)]
mod testing;
mod time;

pub use cyclon::Cyclon;
pub use figure::NodeFigure;
pub use full_mesh::FullMesh;
pub use hyparview::HyParView;
pub use marks::Mark;
pub use parameters::ConfigError;
pub use peer::Peer;
pub use protocol::{
    DownReason, Effects, FRAME_HEADER, Input, Membership, Notice, Sizes, Violation, Wire,
};
pub use range::{LEAST_TIME, OutOfRange};
pub use scamp::Scamp;
pub use static_overlay::StaticOverlay;
pub use strategy::{MembershipStrategy, Strategy};
pub use time::{Time, nanos};

/// The example of the README compiles and holds.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

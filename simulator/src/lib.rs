//! A deterministic simulator for Murmurate.
//!
//! It runs the very protocol code that ships, by the thousand and the million, under a virtual
//! clock: a run is a function of its seed, and ends with a digest that proves it.

pub mod check;
pub mod engine;
pub mod experiment;
pub mod graph;
mod host;
pub mod matrix;
pub mod memory;
pub mod network;
mod node;
pub mod overlay;
pub mod paper;
pub mod stats;
pub mod strategy;
mod wheel;

pub use engine::Simulation;
pub use node::Peer;

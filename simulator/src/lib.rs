//! A deterministic simulator for Murmurate.
//!
//! It runs the very protocol code that ships, by the thousand and the million, under a virtual
//! clock: a run is a function of its seed, and ends with a digest that proves it.
//!
//! ```
//! use std::time::Duration;
//! use murmurate::{broadcast::plumtree, membership::hyparview};
//! use murmurate_simulator::network::{Latency, Network};
//! use murmurate_simulator::{Simulation, check, strategy};
//!
//! let network = Network::new(7, Latency::Constant(Duration::from_millis(10)), 0.0)?;
//! let nodes = strategy::hyparview_plumtree(hyparview::Config::default(), plumtree::Config::default());
//! let mut sim = Simulation::new(7, network, nodes);
//! sim.start(&[]);
//! for index in 1..100 {
//!     sim.start(&[index / 2]);
//! }
//! sim.run_until(sim.now().after(Duration::from_secs(30)));
//! check::quiescence(&sim)?;
//! check::reaches_everyone(&mut sim, 42, Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod check;
mod control;
mod crew;
mod deliveries;
pub mod engine;
pub mod experiment;
pub mod export;
pub mod faults;
pub mod graph;
mod host;
mod id;
pub mod lanes;
mod machine;
pub mod marks;
pub mod matrix;
pub mod memory;
pub mod mutants;
pub mod network;
mod node;
pub mod overlay;
pub mod paper;
mod part;
mod parts;
#[cfg(feature = "plot")]
pub mod plot;
mod queue;
pub mod reach;
pub mod regional;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod stats;
pub mod strategy;
mod strict;
pub mod swarm;
pub mod sweep;
pub mod topology;
pub mod trace;
pub mod watch;
mod watched;
mod wheel;

pub use engine::Simulation;
pub use id::{BroadcastId, SimId};
pub use node::Peer;

//! A deterministic simulator for Murmurate.
//!
//! It runs the very protocol code that ships, by the thousand and the million, under a virtual
//! clock: a run is a function of its seed, and ends with a digest that proves it.
//!
//! ```
//! use std::time::Duration;
//! use murmurate::{broadcast::plumtree, membership::hyparview};
//! use murmurate_simulator::Simulation;
//! use murmurate_simulator::engine::strategy;
//! use murmurate_simulator::model::network::{Latency, Network};
//! use murmurate_simulator::observe::check;
//!
//! let network = Network::new(7, Latency::Constant(Duration::from_millis(10)), 0.0)?;
//! let nodes = strategy::nodes(hyparview::Parameters::default(), plumtree::Parameters::default())?;
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
//!
//! # Rooms
//!
//! The modules lie in eight rooms, each built on those before it and on none behind it:
//!
//! - [`model`]: the simulated world: peers, the network between them, their machines and where they stand.
//! - [`engine`]: runs the nodes' protocols and channels in virtual time, and counts and records what they do.
//! - [`observe`]: looks at a simulation from outside: its overlay, whom broadcasts reach, what must always hold.
//! - [`strategies`]: those that experiments choose from, by name.
//! - [`experiment`]: reads a scenario, does what it says to a simulation, and reports what came of it.
//! - [`study`]: runs many experiments: sweeps over parameters, random ones, those of the papers.
//! - [`present`]: shows results: pages, charts, traces and files for other tools.
//! - [`cli`]: the program, for those who have strategies of their own.

pub mod cli;
pub mod engine;
pub mod experiment;
pub mod model;
pub mod observe;
pub mod present;
pub mod strategies;
pub mod study;

pub use engine::Simulation;
pub use model::id::{BroadcastId, SimId};
pub use model::node::SimPeer;

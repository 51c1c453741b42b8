//! One experiment: a scenario, what it does to a simulation, and the report of what came of it.

pub mod faults;
mod graph;
pub mod runner;
pub mod scenario;
mod standard;

pub use standard::Experiment;

//! One experiment: a scenario, how it is run on a simulation, and the report.

pub mod faults;
mod graph;
pub mod runner;
pub mod scenario;
mod standard;

pub use standard::Experiment;

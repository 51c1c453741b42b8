//! One experiment: a scenario, how it is run on a simulation, and the report.

pub mod faults;
pub mod runner;
pub mod scenario;
mod standard;

pub use standard::Experiment;

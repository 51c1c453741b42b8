//! Many experiments: sweeps over parameters and seeds, experiments drawn at random, and those of the papers.

pub(crate) mod draft;
pub mod paper;
pub mod swarm;
pub mod sweep;

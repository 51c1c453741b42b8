//! Many experiments: sweeps over parameters and seeds, experiments drawn at random, those of the papers,
//! and deliberate bugs to try the checks on.

pub(crate) mod draft;
pub mod mutants;
pub mod paper;
pub mod swarm;
pub mod sweep;

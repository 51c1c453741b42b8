//! Looks at a simulation from outside: its overlay as a graph, whom broadcasts reach, and what must
//! always hold.

pub mod check;
pub mod graph;
pub mod memory;
pub mod overlay;
pub mod reach;
pub mod topology;

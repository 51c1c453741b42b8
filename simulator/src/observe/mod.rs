//! Observes a simulation from outside: its overlay as a graph, the nodes that broadcasts reach, and
//! invariants.

pub mod check;
pub mod figure;
pub mod graph;
pub mod memory;
pub mod metric;
pub mod node;
pub mod overlay;
pub mod reach;
pub mod topology;
pub mod view;

//! Tests of the simulator's library. They are one program: each would compile the engine anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod channels;
mod classes;
mod common;
mod coverage;
mod defects_broadcast;
mod defects_links;
mod defects_membership;
mod defects_timeouts;
mod determinism;
mod gallery;
mod graph_oracle;
mod journal;
mod lanes;
mod lines;
mod lookups;
mod machines;
mod parameters;
mod probes;
mod reach;
mod reunion;
mod router;
mod saved;
mod scenario_errors;
mod services;
mod static_overlay;
mod swarm;
mod sweeps;
mod threads;
mod trees;
mod warm;
mod warm_models;

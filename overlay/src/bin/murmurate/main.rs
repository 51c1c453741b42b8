//! The `murmurate` agent.
fn main() {}

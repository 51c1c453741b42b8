//! Two strategies of one's own: who is whose neighbour, and how a message reaches everyone; and a metric that
//! tells how well they do.
//!
//! They are pure state machines, so real nodes run them (`cargo run -p own-strategy --bin nodes`) and
//! so does the simulator, with its whole command line (`cargo run -p own-strategy -- run star.toml`).

pub mod metrics;
pub mod rumour;
pub mod star;

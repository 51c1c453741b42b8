//! The simulated world: how peers and broadcasts are named, the network between them, their machines
//! and where they stand. It knows nothing of protocols.

pub mod dice;
pub(crate) mod id;
pub mod machine;
pub mod matrix;
pub mod network;
pub(crate) mod node;
pub mod regional;

//! The simulated world: the ids of peers and broadcasts, the network, the nodes' machines and locations. It
//! does not depend on any protocol.

pub mod dice;
pub mod eclipse;
pub(crate) mod id;
pub mod machine;
pub mod matrix;
pub mod network;
pub(crate) mod node;
pub mod regional;

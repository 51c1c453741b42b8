//! The node: the composed peer on real connections.

pub(crate) mod id;
pub mod state;

//! What a contestant must be able to do.

use std::future::Future;
use std::sync::Arc;

use anyhow::Result;
use bytes::Bytes;

use crate::recorder::Recorder;

/// One implementation of broadcast: a number of nodes in this process, on loopback.
///
/// Node 0 publishes. Every other node calls [`Recorder::delivered`] for each payload handed to its
/// application.
pub(crate) trait Contestant: Send + Sync + Sized {
    /// Starts the nodes and connects them. Resolves when a publication reaches everyone.
    fn start(nodes: usize, recorder: Arc<Recorder>) -> impl Future<Output = Result<Self>> + Send;

    /// Publishes from node 0. Resolves when the implementation has accepted the payload.
    fn publish(&self, payload: Bytes) -> impl Future<Output = Result<()>> + Send;

    /// Payloads that arrived over the network so far, at all nodes, duplicates included.
    ///
    /// `None` where the implementation does not tell.
    fn arrived(&self) -> Option<u64>;
}

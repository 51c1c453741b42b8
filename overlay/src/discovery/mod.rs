//! Where first contacts come from.
//!
//! What a source finds is a hint: an address to try while this node has no neighbour. A live peer
//! is never dropped because a source forgot it.

use std::error::Error;

use futures::stream::BoxStream;
use libp2p::Multiaddr;

use crate::NodeId;

/// A source of contacts.
pub trait Discovery: Send + 'static {
    /// What kind of source this is, as logs and metrics label it: one lower-case word.
    fn name(&self) -> &'static str;

    /// Looks around for as long as the stream is polled. Each item is all that is known now, or
    /// why nothing is; an error ends nothing, the source goes on looking. The stream ends when
    /// there is nothing more to find.
    fn watch(self: Box<Self>, me: Announcement) -> BoxStream<'static, Finding>;
}

/// What a source found: addresses, each at most once, or why it could not look.
pub type Finding = Result<Vec<Multiaddr>, Box<dyn Error + Send + Sync>>;

/// What a node says of itself, to sources that tell others.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Which overlay it belongs to.
    pub network: String,
    /// Who it is.
    pub node: NodeId,
    /// Where it listens.
    pub addresses: Vec<Multiaddr>,
}

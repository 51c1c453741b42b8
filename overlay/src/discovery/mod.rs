//! Where first contacts come from.
//!
//! What a source finds is a hint: an address to try until it answers once. A live peer is never
//! dropped because a source forgot it.

mod contact;
#[cfg(feature = "dns")]
mod dns;
mod file;
mod fixed;
#[cfg(feature = "mdns")]
mod mdns;

use std::collections::BTreeSet;
use std::error::Error;

use futures::stream::BoxStream;
use libp2p::Multiaddr;

use crate::NodeId;

pub(crate) use contact::MAX_BYTES as MAX_ADDRESS_BYTES;
pub(crate) use contact::can_listen;
pub use contact::{ContactError, parse_contact};
#[cfg(feature = "dns")]
pub use dns::{Dns, DnsError, Transport};
pub use file::{BadLines, File, FileError, LineError};
pub use fixed::Fixed;
#[cfg(feature = "mdns")]
pub use mdns::{Mdns, MdnsError};

/// A source of contacts.
pub trait Discovery: Send + 'static {
    /// What kind of source this is, as logs and metrics label it: one lower-case word.
    fn name(&self) -> &'static str;

    /// Looks for contacts for as long as the stream is polled. Each item is all that is known now, or
    /// why nothing is. An error ends nothing: the source goes on looking. The stream ends when there is
    /// nothing more to find.
    ///
    /// # Cancel safety
    /// Between two items the stream may be left unpolled for as long as the node is busy, and it is
    /// dropped when the node ends. A future of `next` may be dropped without losing an item.
    fn watch(self: Box<Self>, me: Announcement) -> BoxStream<'static, Finding>;
}

/// What a source found: addresses, each at most once, or why it could not look.
pub type Finding = Result<Vec<Multiaddr>, Box<dyn Error + Send + Sync>>;

/// What a node says of itself, for sources that announce it to others.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Which overlay it belongs to.
    pub network: String,
    /// Who it is.
    pub node: NodeId,
    /// Where it listens.
    pub addresses: Vec<Multiaddr>,
}

/// The addresses in their order, each once.
fn distinct(addresses: impl IntoIterator<Item = Multiaddr>) -> Vec<Multiaddr> {
    let mut seen = BTreeSet::new();
    addresses.into_iter().filter(|address| seen.insert(address.clone())).collect()
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;

    use super::*;

    /// Somebody, for sources that do not care.
    pub(crate) fn me() -> Announcement {
        let node = NodeId::try_from(&Keypair::generate_ed25519().public()).expect("an ed25519 key");
        Announcement { network: "test".into(), node, addresses: Vec::new() }
    }
}

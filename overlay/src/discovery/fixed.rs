//! Contacts that are known beforehand.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use libp2p::Multiaddr;

use super::{Announcement, Discovery, Finding, distinct};

/// A list that does not change.
#[derive(Debug, Clone)]
pub struct Fixed {
    addresses: Vec<Multiaddr>,
}

impl Fixed {
    /// Finds these addresses, in this order.
    pub fn new(addresses: impl IntoIterator<Item = Multiaddr>) -> Self {
        Self { addresses: distinct(addresses) }
    }
}

impl Discovery for Fixed {
    fn name(&self) -> &'static str {
        "fixed"
    }

    fn watch(self: Box<Self>, _me: Announcement) -> BoxStream<'static, Finding> {
        stream::iter([Ok(self.addresses)]).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::me;

    #[tokio::test]
    async fn a_list_is_found_once_without_repetitions() {
        let address = |port: u16| format!("/ip4/192.0.2.1/tcp/{port}").parse().expect("valid");
        let list = Fixed::new([address(2), address(1), address(2)]);
        let found: Vec<Finding> = Box::new(list).watch(me()).collect().await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].as_ref().ok(), Some(&vec![address(2), address(1)]));
    }
}

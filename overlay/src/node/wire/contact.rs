//! A peer as it travels: its name and where it may be dialled.

use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use murmurate_membership::bounded;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};
use thin_vec::ThinVec;

use crate::id::{Incarnation, NodeId};

/// A peer and the addresses somebody knows of it: hints, whoever says them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Contact {
    pub(crate) peer: Incarnation,
    pub(crate) addresses: Addresses,
}

/// A few addresses of one node, each once and none longer than [`Addresses::MAX_BYTES`], without
/// the node's id at the end: wherever they come from, the wire included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Addresses(ThinVec<Multiaddr>);

impl Addresses {
    /// Addresses of one node that are remembered and passed on.
    pub(crate) const MAX: usize = 4;
    /// Bytes of one address: a DNS name of 253 fits.
    pub(crate) const MAX_BYTES: usize = 300;

    /// Adds an address at the end unless it is known, unusable, or there is no room.
    pub(crate) fn add(&mut self, address: &Multiaddr) {
        let mut address = address.clone();
        while matches!(address.iter().last(), Some(Protocol::P2p(_))) {
            address.pop();
        }
        // Of those that stand for others nobody knows how many.
        let stands_for_others = matches!(address.iter().next(), Some(Protocol::Dnsaddr(_)));
        let fits =
            self.0.len() < Self::MAX && address.len() <= Self::MAX_BYTES && !stands_for_others;
        if fits && !address.is_empty() && !self.0.contains(&address) {
            self.0.push(address);
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Multiaddr> {
        self.0.iter()
    }

    /// Those that everybody can dial.
    pub(crate) fn public(&self) -> Self {
        self.iter().filter(|address| is_public(address)).collect()
    }

    /// The same with the node's id at the end, for those who do not know it.
    pub(crate) fn full(&self, node: NodeId) -> Vec<Multiaddr> {
        let id = Protocol::P2p(node.to_peer_id());
        self.iter().map(|address| address.clone().with(id.clone())).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Whether an address means the same wherever it is dialled from, and everybody can reach it.
pub(crate) fn is_public(address: &Multiaddr) -> bool {
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(ip.to_canonical()),
        _ => None,
    });
    match ip {
        // A name.
        None => true,
        Some(IpAddr::V4(ip)) => {
            let [first, second, ..] = ip.octets();
            // RFC 6598: behind the NAT of a provider.
            let is_shared = first == 100 && second & 0xc0 == 64;
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || is_shared)
        }
        Some(IpAddr::V6(ip)) => {
            !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

impl<'a> FromIterator<&'a Multiaddr> for Addresses {
    fn from_iter<T: IntoIterator<Item = &'a Multiaddr>>(addresses: T) -> Self {
        let mut few = Self::default();
        for address in addresses {
            few.add(address);
        }
        few
    }
}

/// What of a peer's words can be used. Too many or too long ones no node sends; those that this
/// version cannot read are left out, so that a later one can speak of new transports.
impl<'de> Deserialize<'de> for Addresses {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let said: ThinVec<Hint> = bounded::deserialize::<_, _, { Self::MAX }>(from)?;
        Ok(said.iter().filter_map(|Hint(address)| address.as_ref()).collect())
    }
}

/// One address from the wire, unless it cannot be read.
struct Hint(Option<Multiaddr>);

impl<'de> Deserialize<'de> for Hint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = <&[u8]>::deserialize(from)?;
        if bytes.len() > Addresses::MAX_BYTES {
            return Err(D::Error::invalid_length(bytes.len(), &"at most 300 bytes"));
        }
        Ok(Self(Multiaddr::try_from(bytes.to_vec()).ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_something_else_elsewhere_are_not_public() {
        let is = |address: &str| is_public(&address.parse().expect("an address"));
        for public in ["/ip4/100.63.0.1/tcp/1", "/ip4/100.128.0.1/tcp/1", "/ip6/2600::1/tcp/1"] {
            assert!(is(public), "{public}");
        }
        assert!(is("/dns/roost.example/tcp/1"));
        for private in [
            "/ip4/10.1.2.3/tcp/1",
            "/ip4/172.31.0.1/tcp/1",
            "/ip4/192.168.0.1/udp/1/quic-v1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/169.254.1.1/tcp/1",
            "/ip4/100.64.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/fd00::1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::ffff:10.0.0.1/tcp/1",
        ] {
            assert!(!is(private), "{private}");
        }
    }

    #[test]
    fn an_address_that_stands_for_others_is_left_out() {
        let all = ["/dnsaddr/roost.example", "/dns/roost.example/tcp/1"];
        let all = all.map(|address| address.parse().expect("an address"));
        assert_eq!(all.iter().collect::<Addresses>().iter().collect::<Vec<_>>(), [&all[1]]);
    }
}

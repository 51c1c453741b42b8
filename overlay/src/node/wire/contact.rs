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

    /// The same with the node's id at the end, for those who do not know it.
    pub(crate) fn full(&self, node: NodeId) -> Vec<Multiaddr> {
        let id = Protocol::P2p(node.to_peer_id());
        self.iter().map(|address| address.clone().with(id.clone())).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A network whose addresses mean something else elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    Everywhere,
    Loopback,
    LinkLocal,
    /// Behind the NAT of a provider: RFC 6598.
    Shared,
    /// RFC 1918, with the first byte, and RFC 4193.
    Private(u8),
}

impl Scope {
    fn of(address: &Multiaddr) -> Self {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(ip.to_canonical()),
            _ => None,
        });
        match ip {
            Some(ip) if ip.is_loopback() => Self::Loopback,
            Some(IpAddr::V4(ip)) if ip.is_link_local() => Self::LinkLocal,
            Some(IpAddr::V4(ip)) if ip.is_private() => Self::Private(ip.octets()[0]),
            Some(IpAddr::V4(ip)) if ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64 => {
                Self::Shared
            }
            Some(IpAddr::V6(ip)) if ip.is_unicast_link_local() => Self::LinkLocal,
            Some(IpAddr::V6(ip)) if ip.is_unique_local() => Self::Private(ip.octets()[0]),
            // A name, too.
            _ => Self::Everywhere,
        }
    }
}

/// Whether a node with these addresses of its own is in the network where an address means what it says: others
/// must not make a node look around in networks that are none of theirs. A node that listens nowhere may be
/// anywhere.
pub(crate) fn is_near(address: &Multiaddr, own: &[Multiaddr]) -> bool {
    let scope = Scope::of(address);
    scope == Scope::Everywhere || own.is_empty() || own.iter().any(|own| Scope::of(own) == scope)
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
    fn addresses_that_mean_something_else_elsewhere_are_for_those_who_are_there() {
        let at = |address: &str| address.parse::<Multiaddr>().expect("an address");
        let own = |address: &str| [at(address)];
        for everywhere in [
            "/ip4/100.63.0.1/tcp/1",
            "/ip4/100.128.0.1/tcp/1",
            "/ip6/2600::1/tcp/1",
            "/dns/roost.example/tcp/1",
        ] {
            assert!(is_near(&at(everywhere), &own("/ip4/198.51.100.1/tcp/1")), "{everywhere}");
        }
        for (private, near) in [
            ("/ip4/10.1.2.3/tcp/1", "/ip4/10.200.0.1/tcp/1"),
            ("/ip4/172.31.0.1/tcp/1", "/ip4/172.16.0.1/tcp/1"),
            ("/ip4/192.168.0.1/udp/1/quic-v1", "/ip4/192.168.9.9/tcp/1"),
            ("/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1"),
            ("/ip4/169.254.1.1/tcp/1", "/ip6/fe80::2/tcp/1"),
            ("/ip4/100.64.0.1/tcp/1", "/ip4/100.127.0.1/tcp/1"),
            ("/ip6/fd00::1/tcp/1", "/ip6/fd12::1/tcp/1"),
            ("/ip6/::ffff:10.0.0.1/tcp/1", "/ip4/10.0.0.2/tcp/1"),
        ] {
            let (private, far) = (at(private), "/ip4/198.51.100.1/tcp/1");
            assert!(is_near(&private, &own(near)) && is_near(&private, &[]), "{private}");
            assert!(!is_near(&private, &own(far)), "{private}");
            assert!(is_near(&private, &[at(far), at(near)]), "{private}");
        }
        assert!(!is_near(&at("/ip4/10.1.2.3/tcp/1"), &own("/ip4/192.168.0.1/tcp/1")));
    }

    #[test]
    fn an_address_that_stands_for_others_is_left_out() {
        let all = ["/dnsaddr/roost.example", "/dns/roost.example/tcp/1"];
        let all = all.map(|address| address.parse().expect("an address"));
        assert_eq!(all.iter().collect::<Addresses>().iter().collect::<Vec<_>>(), [&all[1]]);
    }
}

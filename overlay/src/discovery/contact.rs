//! What people write when they name a contact.

use std::net::{Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use crate::{NodeId, NodeIdError};

/// Why something does not name a contact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContactError {
    /// Nothing, or only spaces.
    #[error("the contact is empty: {ALLOWED}")]
    Empty,
    /// Longer than any address: more than 512 bytes.
    #[error("a contact of {0} bytes is too long: at most {MAX_BYTES} are allowed")]
    TooLong(usize),
    /// Begins with a slash, but libp2p cannot read it.
    #[error("{value:?} is not a multiaddr ({reason}): {ALLOWED}")]
    NotAMultiaddr {
        /// What was given.
        value: String,
        /// Why it is not one.
        reason: String,
    },
    /// A multiaddr that this node's transports cannot dial.
    #[error("{0:?} is not an address this node can dial: {ALLOWED}")]
    NotDialable(String),
    /// The unspecified address or port 0: one can listen there, but not dial.
    #[error("{0:?} is where a node may listen, not where it can be dialled: {ALLOWED}")]
    Unspecified(String),
    /// The id at the end of the multiaddr is not a node's.
    #[error("{value:?} does not end with the id of a node: {source}")]
    NodeId {
        /// What was given.
        value: String,
        /// What is wrong with the id.
        source: NodeIdError,
    },
    /// Neither a host name nor an IP address before the port.
    #[error("{host:?} in {value:?} is neither a host name nor an IP address: {ALLOWED}")]
    Host {
        /// What was given.
        value: String,
        /// The part of it that is wrong.
        host: String,
    },
    /// An IPv6 address and a port without brackets: nobody can tell where the port begins.
    #[error("{0:?} looks like an IPv6 address, which needs brackets and a port: [::1]:7400")]
    Brackets(String),
    /// No port, or not a number from 1 to 65535.
    #[error("{0:?} has no port from 1 to 65535 at its end: {ALLOWED}")]
    Port(String),
}

const ALLOWED: &str = "write HOST:PORT, 192.0.2.1:7400, [2001:db8::1]:7400, or a multiaddr such as \
    /ip4/192.0.2.1/tcp/7400 or /dns/HOST/udp/7400/quic-v1, which /p2p/NODE-ID may follow";

/// The longest address in bytes: a host name has at most 253, a node id 52.
pub(crate) const MAX_BYTES: usize = 512;

/// Reads a contact: a multiaddr over TCP or QUIC with or without the node's id, or `host:port`,
/// `192.0.2.1:7400`, `[2001:db8::1]:7400`, which mean TCP. Space around it is ignored.
///
/// # Errors
/// [`ContactError`] names the value, what is wrong with it, and what is allowed.
///
/// ```
/// use murmurate::discovery::parse_contact;
///
/// let contact = parse_contact("roost.example:7400")?;
/// assert_eq!(contact.to_string(), "/dns/roost.example/tcp/7400");
/// assert!(parse_contact("roost.example").is_err());
/// # Ok::<(), murmurate::discovery::ContactError>(())
/// ```
pub fn parse_contact(text: &str) -> Result<Multiaddr, ContactError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ContactError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(ContactError::TooLong(text.len()));
    }
    if text.starts_with('/') { multiaddr(text) } else { shorthand(text) }
}

fn multiaddr(text: &str) -> Result<Multiaddr, ContactError> {
    let address: Multiaddr = text.parse().map_err(|error: libp2p::multiaddr::Error| {
        ContactError::NotAMultiaddr { value: text.into(), reason: error.to_string() }
    })?;
    let (shape, node) = dissect(&address).ok_or_else(|| ContactError::NotDialable(text.into()))?;
    if let Some(node) = node {
        node.map_err(|source| ContactError::NodeId { value: text.into(), source })?;
    }
    if let Host::Name(host) = &shape.host
        && !is_host_name(host)
    {
        return Err(ContactError::Host { value: text.into(), host: host.clone() });
    }
    if shape.port == 0 || shape.host.is_unspecified() {
        return Err(ContactError::Unspecified(text.into()));
    }
    Ok(address)
}

fn shorthand(text: &str) -> Result<Multiaddr, ContactError> {
    let no_port = || ContactError::Port(text.into());
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or_else(no_port)?;
        (host, port.strip_prefix(':').ok_or_else(no_port)?)
    } else {
        let (host, port) = text.rsplit_once(':').ok_or_else(no_port)?;
        if host.contains(':') {
            return Err(ContactError::Brackets(text.into()));
        }
        (host, port)
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port: u16 = port.parse().ok().filter(|port| digits && *port != 0).ok_or_else(no_port)?;

    let bad_host = || ContactError::Host { value: text.into(), host: host.into() };
    let host = if text.starts_with('[') {
        Host::V6(host.parse().map_err(|_| bad_host())?)
    } else if let Ok(ip) = host.parse() {
        Host::V4(ip)
    } else if is_host_name(host) {
        Host::Name(host.into())
    } else {
        return Err(bad_host());
    };
    if host.is_unspecified() {
        return Err(ContactError::Unspecified(text.into()));
    }
    let first = match host {
        Host::V4(ip) => Protocol::Ip4(ip),
        Host::V6(ip) => Protocol::Ip6(ip),
        Host::Name(name) => Protocol::Dns(name.into()),
    };
    Ok(Multiaddr::empty().with(first).with(Protocol::Tcp(port)))
}

pub(crate) enum Host {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Name(String),
}

impl Host {
    pub(crate) fn is_unspecified(&self) -> bool {
        match self {
            Self::V4(ip) => ip.is_unspecified(),
            Self::V6(ip) => ip.is_unspecified(),
            Self::Name(_) => false,
        }
    }
}

/// An address of this node's transports, taken apart.
pub(crate) struct Shape {
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// The parts of an address over TCP or QUIC, and the id at its end if there is one.
pub(crate) fn dissect(address: &Multiaddr) -> Option<(Shape, Option<Result<NodeId, NodeIdError>>)> {
    let mut parts = address.iter();
    let host = match parts.next()? {
        Protocol::Ip4(ip) => Host::V4(ip),
        Protocol::Ip6(ip) => Host::V6(ip),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
            Host::Name(name.into_owned())
        }
        _ => return None,
    };
    let port = match parts.next()? {
        Protocol::Tcp(port) => port,
        Protocol::Udp(port) => matches!(parts.next(), Some(Protocol::QuicV1)).then_some(port)?,
        _ => return None,
    };
    let node = match parts.next() {
        None => None,
        Some(Protocol::P2p(peer)) => Some(NodeId::try_from(peer)),
        Some(_) => return None,
    };
    parts.next().is_none().then_some((Shape { host, port }, node))
}

/// Whether this node's transports can listen there.
pub(crate) fn can_listen(address: &Multiaddr) -> bool {
    dissect(address).is_some_and(|(shape, _)| !matches!(shape.host, Host::Name(_)))
}

/// Whether it can be a host's name: labels of letters, digits, hyphens and, since many networks
/// have them, underscores (RFC 1123, section 2.1). A last label of digits is a mistyped IPv4
/// address.
pub(crate) fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len())
            && label.bytes().all(allowed)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253
        && name.split('.').all(label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn contacts_are_read() {
        let id = Keypair::generate_ed25519().public().to_peer_id();
        let whole = format!("/ip4/192.0.2.1/tcp/7400/p2p/{id}");
        for (text, address) in [
            ("host:7400", "/dns/host/tcp/7400"),
            ("  host.example.:65535\n", "/dns/host.example./tcp/65535"),
            ("n_1.example:1", "/dns/n_1.example/tcp/1"),
            ("1.2.3.4:7400", "/ip4/1.2.3.4/tcp/7400"),
            ("[::1]:7400", "/ip6/::1/tcp/7400"),
            ("/ip6/::1/udp/7400/quic-v1", "/ip6/::1/udp/7400/quic-v1"),
            ("/dns4/host/tcp/7400", "/dns4/host/tcp/7400"),
            (&whole, &whole),
        ] {
            let read = parse_contact(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), address);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let rsa = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        let foreign = format!("/ip4/192.0.2.1/tcp/7400/p2p/{rsa}");
        let long = "a".repeat(600);
        for (text, word) in [
            (" ", "empty"),
            (long.as_str(), "600 bytes"),
            ("host", "no port"),
            ("host:", "no port"),
            ("host:0", "no port"),
            ("host:+80", "no port"),
            ("host:65536", "no port"),
            ("[::1]", "no port"),
            ("[::1", "no port"),
            ("::1:7400", "brackets"),
            ("1.2.3.400:7400", "neither a host name"),
            ("1.2.3:7400", "neither a host name"),
            ("[1.2.3.4]:7400", "neither a host name"),
            ("two words:7400", "neither a host name"),
            ("-a.example:7400", "neither a host name"),
            ("a..example:7400", "neither a host name"),
            (":7400", "neither a host name"),
            ("/dns/1.2.3.400/tcp/1", "neither a host name"),
            ("0.0.0.0:7400", "may listen"),
            ("[::]:7400", "may listen"),
            ("/ip4/0.0.0.0/tcp/7400", "may listen"),
            ("/ip4/1.2.3.4/tcp/0", "may listen"),
            ("/ip4/1.2.3.4", "can dial"),
            ("/ip4/1.2.3.4/udp/7400", "can dial"),
            ("/ip4/1.2.3.4/tcp/7400/ws", "can dial"),
            ("/memory/5", "can dial"),
            ("/ip4/1.2.3.4/tcp/x", "not a multiaddr"),
            ("/nonsense", "not a multiaddr"),
            (&foreign, "ed25519"),
        ] {
            let error = parse_contact(text).expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
            assert!(text.len() > MAX_BYTES || error.contains(text.trim()), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,80}", mark in "[/:.\\[\\]a-z0-9]{0,40}") {
            let _ = parse_contact(&text);
            let _ = parse_contact(&mark);
        }

        #[test]
        fn what_is_read_is_read_again(host in "[a-z0-9.-]{1,20}", port: u16) {
            if let Ok(address) = parse_contact(&format!("{host}:{port}")) {
                prop_assert_eq!(parse_contact(&address.to_string()), Ok(address));
            }
        }
    }
}

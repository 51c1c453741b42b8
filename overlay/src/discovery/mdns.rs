//! Contacts on the local network.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use mdns_sd::{DaemonEvent, Receiver, ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use tokio::time::sleep;

use super::contact::{Host, dissect};
use super::{Announcement, Discovery, Finding, distinct};
use crate::NodeId;
use crate::id::NetworkHash;

/// What nodes announce themselves as (RFC 6763, section 7).
const SERVICE: &str = "_murmurate._tcp.local.";
/// The version of the announcement's form. Others are ignored.
const VERSION: &str = "2";
/// The most addresses a node announces, and the most bytes they take: a TXT record should fit into
/// a packet (RFC 6763, section 6.2).
const MAX_ANNOUNCED: usize = 8;
const MAX_ANNOUNCED_BYTES: usize = 800;
/// The most addresses believed of a node.
const MAX_ADDRESSES: usize = 16;
/// The most nodes remembered. Those that come later wait until one of them leaves.
const MAX_NODES: usize = 256;
/// How long until mDNS is tried again after it stopped.
const RETRY: Duration = Duration::from_secs(30);
/// How long dropping the stream waits until the goodbye is sent, at most.
const GOODBYE: Duration = Duration::from_millis(100);

/// Multicast DNS: announces this node on the local network, and finds the others there that belong
/// to the same overlay.
///
/// The service is `_murmurate._tcp.local.`, one TXT record says the hash of the network, the node's id and up
/// to eight addresses it listens at. What is found ends in `/p2p/NODE-ID`. Loopback and IPv6
/// link-local addresses are left out: elsewhere they lead nowhere. Dropping the stream takes the
/// announcement back; this takes some milliseconds, and 100 ms at most.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Mdns {}

/// Why the local network tells nothing, or is told nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MdnsError {
    /// mDNS does not work. It is tried again.
    #[error("mDNS failed: {0}")]
    Failed(String),
    /// It stopped, or too much was announced at once. It is started again.
    #[error("mDNS stopped; it is started again in {RETRY:?}")]
    Stopped,
    /// This node listens nowhere that others could reach, so it only looks for others.
    #[error(
        "this node has no address to announce by mDNS: it listens on loopback or link-local addresses only"
    )]
    NoAddress,
}

impl Mdns {
    /// On all interfaces.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Discovery for Mdns {
    fn name(&self) -> &'static str {
        "mdns"
    }

    fn watch(self: Box<Self>, me: Announcement) -> BoxStream<'static, Finding> {
        let announced = announced(&me.addresses);
        let alone = announced.is_empty().then(|| Err(MdnsError::NoAddress.into()));
        let watching = Watching { me, announced, running: None, again: false, known: Known::new() };
        let findings = stream::unfold(watching, |mut watching| async {
            let finding = watching.next().await.map_err(Into::into);
            Some((finding, watching))
        });
        stream::iter(alone).chain(findings).boxed()
    }
}

struct Watching {
    me: Announcement,
    announced: Vec<Multiaddr>,
    running: Option<Running>,
    again: bool,
    known: Known,
}

/// Who is there, by the full name of its service.
type Known = BTreeMap<String, Vec<Multiaddr>>;

impl Watching {
    async fn next(&mut self) -> Result<Vec<Multiaddr>, MdnsError> {
        loop {
            let running = match self.running.take() {
                Some(running) => self.running.insert(running),
                None => {
                    if self.again {
                        sleep(RETRY).await;
                    }
                    self.again = true;
                    let started = Running::start(&self.me, &self.announced);
                    self.running.insert(started.map_err(|e| MdnsError::Failed(e.to_string()))?)
                }
            };
            let event = tokio::select! {
                event = running.events.recv_async() => event,
                word = running.words.recv_async() => match word {
                    Ok(DaemonEvent::Error(error)) => {
                        return Err(MdnsError::Failed(error.to_string()));
                    }
                    Ok(_) => continue,
                    Err(_) => Err(mdns_sd::RecvError::Disconnected),
                },
            };
            let Ok(event) = event else {
                self.running = None;
                self.known.clear();
                return Err(MdnsError::Stopped);
            };
            if hear(&mut self.known, &self.me, event) {
                return Ok(distinct(self.known.values().flatten().cloned()));
            }
        }
    }
}

/// The daemon: a thread with sockets of its own.
struct Running {
    daemon: ServiceDaemon,
    events: Receiver<ServiceEvent>,
    words: Receiver<DaemonEvent>,
}

impl Running {
    fn start(me: &Announcement, announced: &[Multiaddr]) -> mdns_sd::Result<Self> {
        let daemon = ServiceDaemon::new()?;
        let started = |daemon: &ServiceDaemon| {
            let words = daemon.monitor()?;
            if !announced.is_empty() {
                daemon.register(service(me, announced)?)?;
            }
            Ok((daemon.browse(SERVICE)?, words))
        };
        match started(&daemon) {
            Ok((events, words)) => Ok(Self { daemon, events, words }),
            Err(error) => {
                let _ = daemon.shutdown();
                Err(error)
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Takes the announcement back, too. Should the process end at once, it has been sent.
        if let Ok(done) = self.daemon.shutdown() {
            let _ = done.recv_timeout(GOODBYE);
        }
    }
}

/// The addresses worth telling others, without the id.
fn announced(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut bytes = 0;
    let told = addresses.iter().filter_map(bare).filter(|address| {
        bytes += address.to_string().len();
        bytes <= MAX_ANNOUNCED_BYTES
    });
    distinct(told).into_iter().take(MAX_ANNOUNCED).collect()
}

/// An address that others on the network can use, or the unspecified one, without the id.
fn bare(address: &Multiaddr) -> Option<Multiaddr> {
    let (shape, _) = dissect(address)?;
    let useful = match shape.host {
        Host::V4(ip) => ip.is_unspecified() || is_reachable(&ip.into()),
        Host::V6(ip) => ip.is_unspecified() || is_reachable(&ip.into()),
        Host::Name(_) => true,
    };
    let without_id = address.iter().filter(|part| !matches!(part, Protocol::P2p(_)));
    (useful && shape.port != 0).then(|| without_id.collect())
}

/// An IPv6 link-local address would need the name of the interface, which differs between nodes.
fn is_reachable(ip: &IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast() && !link_local
}

fn service(me: &Announcement, announced: &[Multiaddr]) -> mdns_sd::Result<ServiceInfo> {
    let node = me.node.to_string();
    let mut text = vec![
        ("v".to_owned(), VERSION.to_owned()),
        ("net".to_owned(), NetworkHash::of(&me.network).to_string()),
        ("id".to_owned(), node.clone()),
    ];
    let addresses = announced.iter().enumerate();
    text.extend(addresses.map(|(at, address)| (format!("a{at}"), address.to_string())));
    let port = announced.first().and_then(dissect).map_or(0, |(shape, _)| shape.port);
    let host = format!("{node}.local.");
    // The daemon fills in each interface's own addresses.
    Ok(ServiceInfo::new(SERVICE, &node, &host, "", port, text.as_slice())?.enable_addr_auto())
}

/// Takes an event in. Whether what is known has changed.
fn hear(known: &mut Known, me: &Announcement, event: ServiceEvent) -> bool {
    match event {
        ServiceEvent::ServiceResolved(service) => {
            let text = |key: &str| service.get_property_val_str(key);
            // Its interfaces' addresses may come after its text.
            let told = told(me, text, &interfaces(&service)).filter(|found| !found.is_empty());
            let Some(addresses) = told else {
                return known.remove(&service.fullname).is_some();
            };
            if !known.contains_key(&service.fullname) && known.len() >= MAX_NODES {
                return false;
            }
            let before = known.insert(service.fullname.clone(), addresses);
            before.as_ref() != known.get(&service.fullname)
        }
        ServiceEvent::ServiceRemoved(_, fullname) => known.remove(&fullname).is_some(),
        _ => false,
    }
}

/// The addresses of the interfaces that a node announces itself on, sorted.
fn interfaces(service: &ResolvedService) -> Vec<IpAddr> {
    let addresses = service.get_addresses().iter().map(mdns_sd::ScopedIp::to_ip_addr);
    let mut ips: Vec<IpAddr> = addresses.filter(is_reachable).collect();
    ips.sort_unstable();
    ips
}

/// What another node of this network says of itself: none if it is no such node.
fn told<'a>(
    me: &Announcement,
    text: impl Fn(&str) -> Option<&'a str>,
    interfaces: &[IpAddr],
) -> Option<Vec<Multiaddr>> {
    let network = NetworkHash::of(&me.network).to_string();
    if text("v") != Some(VERSION) || text("net") != Some(&network) {
        return None;
    }
    let node: NodeId = text("id")?.parse().ok().filter(|node| *node != me.node)?;
    let mut found = Vec::new();
    for at in 0..MAX_ANNOUNCED {
        let address = text(&format!("a{at}")).and_then(|text| text.parse::<Multiaddr>().ok());
        let Some(address) = address.as_ref().and_then(bare) else { continue };
        let unspecified = match address.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_unspecified(),
            Some(Protocol::Ip6(ip)) => ip.is_unspecified(),
            _ => false,
        };
        if !unspecified {
            found.push(address);
            continue;
        }
        // It listens on all interfaces of that family.
        let four = matches!(address.iter().next(), Some(Protocol::Ip4(_)));
        for ip in interfaces.iter().filter(|ip| ip.is_ipv4() == four) {
            found.push(Multiaddr::from(*ip).into_iter().chain(address.iter().skip(1)).collect());
        }
    }
    found.truncate(MAX_ADDRESSES);
    let peer = Protocol::P2p(node.to_peer_id());
    Some(found.into_iter().map(|address| address.with(peer.clone())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::me;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn heard(me: &Announcement, text: &[(&str, &str)]) -> Option<Vec<String>> {
        let ips = ["10.0.0.9", "10.1.0.9", "fd00::9"].map(|ip| ip.parse().expect("an address"));
        let get = |key: &str| text.iter().find(|(this, _)| *this == key).map(|(_, value)| *value);
        told(me, get, &ips)
            .map(|addresses| addresses.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn only_others_of_the_same_network_are_believed() {
        let (me, other) = (me(), me().node.to_string());
        let net = NetworkHash::of("test").to_string();
        let own = me.node.to_string();
        let good = [("v", "2"), ("net", &net), ("id", &other), ("a0", "/ip4/10.0.0.2/tcp/1")];
        let found = heard(&me, &good);
        assert_eq!(found, Some(vec![format!("/ip4/10.0.0.2/tcp/1/p2p/{other}")]));
        for (at, bad) in [(0, "1"), (1, "test"), (2, own.as_str()), (2, "starling"), (2, "")] {
            let mut text = good;
            text[at].1 = bad;
            assert_eq!(heard(&me, &text), None, "{text:?}");
            text[at].0 = "-";
            assert_eq!(heard(&me, &text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_are_checked_and_completed() {
        let (me, other) = (me(), me().node.to_string());
        let net = NetworkHash::of("test").to_string();
        let foreign = format!("/ip4/10.0.0.4/tcp/4/p2p/{}", me.node);
        let text = [
            ("v", "2"),
            ("net", &net),
            ("id", &other),
            ("a0", "/ip4/0.0.0.0/udp/1/quic-v1"),
            ("a1", "/ip6/::/tcp/2"),
            ("a2", "/ip4/127.0.0.1/tcp/3"),
            ("a3", "/ip6/fe80::1/tcp/3"),
            ("a4", "nonsense"),
            ("a5", &foreign),
            ("a6", "/ip4/10.0.0.4/tcp/0"),
            ("a8", "/ip4/10.0.0.5/tcp/5"),
        ];
        let expected = [
            "/ip4/10.0.0.9/udp/1/quic-v1",
            "/ip4/10.1.0.9/udp/1/quic-v1",
            "/ip6/fd00::9/tcp/2",
            "/ip4/10.0.0.4/tcp/4",
        ];
        let expected = expected.map(|address| format!("{address}/p2p/{other}"));
        assert_eq!(heard(&me, &text), Some(expected.to_vec()));
    }

    #[test]
    fn an_announcement_fits_a_packet() {
        let me = me();
        let long = "a".repeat(60);
        let mut addresses: Vec<Multiaddr> = (1..=20)
            .map(|n| address(&format!("/dns/{long}.{long}.{long}.{n}.example/udp/{n}/quic-v1")))
            .collect();
        addresses.insert(0, address("/ip4/127.0.0.1/tcp/1"));
        let few = announced(&addresses);
        assert_eq!(few, addresses[1..4]);
        let info = service(&me, &few).expect("fits");
        let size: usize = info
            .get_properties()
            .iter()
            .map(|property| property.key().len() + property.val_str().len() + 2)
            .sum();
        assert!((700..1300).contains(&size), "{size}");

        let many: Vec<Multiaddr> =
            (1..=20).map(|port| address(&format!("/ip4/10.0.0.1/tcp/{port}"))).collect();
        assert_eq!(announced(&many), many[..8]);
        assert!(announced(&[address("/ip4/127.0.0.1/tcp/1")]).is_empty());
    }

    #[test]
    fn nodes_are_bounded() {
        let me = me();
        let resolved = |n: usize| {
            let other = crate::discovery::tests::me();
            let info = service(&other, &[address("/ip4/10.0.0.1/tcp/1")]).expect("fits");
            let mut service = info.as_resolved_service();
            service.fullname = n.to_string();
            ServiceEvent::ServiceResolved(Box::new(service))
        };
        let mut known = Known::new();
        let info = service(&crate::discovery::tests::me(), &[address("/ip4/0.0.0.0/tcp/1")]);
        let service = info.expect("fits").as_resolved_service();
        let nowhere_yet = ServiceEvent::ServiceResolved(Box::new(service));
        assert!(!hear(&mut known, &me, nowhere_yet));
        for n in 0..MAX_NODES {
            assert!(hear(&mut known, &me, resolved(n)));
        }
        assert!(!hear(&mut known, &me, resolved(MAX_NODES)));
        assert!(hear(&mut known, &me, resolved(0)), "a known one may change");
        let gone = ServiceEvent::ServiceRemoved(SERVICE.into(), "7".into());
        assert!(hear(&mut known, &me, gone.clone()));
        assert!(!hear(&mut known, &me, gone));
        assert!(hear(&mut known, &me, resolved(MAX_NODES)));
        assert_eq!(known.len(), MAX_NODES);
    }
}

//! Which of its own addresses a node tells others: few, so the likeliest first.
//!
//! One that listens everywhere has an address for each interface, and most of them lead nowhere for
//! others: a machine with containers has a bridge for each of their networks. What connections used is
//! known to work, then comes what the machine itself would use, and what is only local comes last.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::wire::Addresses;

/// Addresses that worked, remembered.
const PROVEN: usize = 64;

/// What is known of a node's own addresses.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Connections came in at these, or left from them.
    proven: BTreeSet<IpAddr>,
    /// Those that nobody was told.
    left_out: Vec<Multiaddr>,
}

/// How likely others can use an address, the likeliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Proven,
    /// Where the machine's own way out begins.
    Default,
    Global,
    Private,
    /// Of a bridge of this machine.
    Bridge,
    LinkLocal,
}

/// What the machine says of its interfaces.
#[derive(Debug, Default)]
struct Machine {
    defaults: Vec<IpAddr>,
    /// The networks of its bridges: address and mask.
    bridges: Vec<(u32, u32)>,
}

impl Reach {
    /// A connection came in at this address of the node. Whether that is news.
    pub(crate) fn came_in(&mut self, local: &Multiaddr) -> bool {
        ip(local).is_some_and(|ip| self.prove(ip))
    }

    /// A connection to this address of another node stands. Whether that is news.
    pub(crate) fn went_out(&mut self, remote: &Multiaddr) -> bool {
        ip(remote).and_then(way_out).is_some_and(|ip| self.prove(ip))
    }

    fn prove(&mut self, ip: IpAddr) -> bool {
        !ip.is_unspecified() && self.proven.len() < PROVEN && self.proven.insert(ip)
    }

    /// The addresses to tell, of those listened on: those of loopback only if there are no others.
    pub(crate) fn choose<'a>(
        &mut self,
        listened: impl Iterator<Item = &'a Multiaddr>,
    ) -> Addresses {
        let (told, left_out) = self.ranked(listened, &Machine::ask());
        if !left_out.is_empty() && left_out != self.left_out {
            tracing::warn!(
                ?told,
                ?left_out,
                "there are more addresses than others are told; to choose, set what to advertise"
            );
        }
        self.left_out = left_out;
        told.iter().collect()
    }

    fn ranked<'a>(
        &self,
        listened: impl Iterator<Item = &'a Multiaddr>,
        machine: &Machine,
    ) -> (Vec<Multiaddr>, Vec<Multiaddr>) {
        let is_loopback = |address: &&Multiaddr| ip(address).is_some_and(|ip| ip.is_loopback());
        let (loopback, others): (Vec<_>, Vec<_>) = listened.partition(is_loopback);
        let mut told: Vec<_> = if others.is_empty() { loopback } else { others };
        // Stable: equals stay in the order of the listeners.
        told.sort_by_key(|address| ip(address).map(|ip| self.rank(ip, machine)));
        let mut told: Vec<_> = told.into_iter().cloned().collect();
        let left_out = told.split_off(told.len().min(Addresses::MAX));
        (told, left_out)
    }

    fn rank(&self, ip: IpAddr, machine: &Machine) -> Rank {
        if self.proven.contains(&ip) {
            return Rank::Proven;
        }
        if machine.defaults.contains(&ip) {
            return Rank::Default;
        }
        match ip {
            IpAddr::V4(ip) if machine.is_bridge(ip) => Rank::Bridge,
            IpAddr::V4(ip) if ip.is_link_local() => Rank::LinkLocal,
            IpAddr::V4(ip) if ip.is_private() || is_shared(ip) => Rank::Private,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Rank::LinkLocal,
            IpAddr::V6(ip) if ip.is_unique_local() => Rank::Private,
            _ => Rank::Global,
        }
    }
}

/// Of a carrier's own network (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    first == 100 && second & 0xc0 == 64
}

fn ip(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// The address from which the machine would speak to another one: asked of the kernel, nothing is sent.
fn way_out(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(to, 9)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

impl Machine {
    fn ask() -> Self {
        // Addresses of nobody, for documentation (RFC 5737, RFC 3849): the way there is the default.
        let nobody: [IpAddr; 2] = [
            Ipv4Addr::new(192, 0, 2, 1).into(),
            Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
        ];
        let table = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let is_bridge =
            |name: &str| std::path::Path::new("/sys/class/net").join(name).join("bridge").exists();
        Self {
            defaults: nobody.into_iter().filter_map(way_out).collect(),
            bridges: networks(&table)
                .filter(|(name, ..)| is_bridge(name))
                .map(|(_, of)| of)
                .collect(),
        }
    }

    fn is_bridge(&self, ip: Ipv4Addr) -> bool {
        self.bridges.iter().any(|(network, mask)| u32::from(ip) & mask == *network)
    }
}

/// The networks that Linux's table of routes says interfaces are in: names, addresses and masks.
fn networks(table: &str) -> impl Iterator<Item = (&str, (u32, u32))> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next()?;
        // As the machine has them in memory.
        let mut number = |at| u32::from_str_radix(fields.nth(at)?, 16).ok().map(u32::to_be);
        let (network, gateway, mask) = (number(0)?, number(0)?, number(4)?);
        (gateway == 0 && mask != 0).then_some((name, (network, mask)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(ip: &str) -> Multiaddr {
        let ip: IpAddr = ip.parse().expect("an address");
        Multiaddr::from(ip).with(Protocol::Tcp(7400))
    }

    fn told(reach: &Reach, machine: &Machine, listened: &[&str]) -> Vec<String> {
        let listened: Vec<_> = listened.iter().map(|ip| tcp(ip)).collect();
        let (told, left_out) = reach.ranked(listened.iter(), machine);
        assert_eq!(told.len() + left_out.len(), listened.len(), "no loopback");
        told.iter().filter_map(ip).map(|ip| ip.to_string()).collect()
    }

    const MANY: [&str; 6] =
        ["172.17.0.1", "172.18.0.1", "169.254.3.4", "172.19.0.1", "172.20.0.1", "10.0.0.1"];

    #[test]
    fn the_likeliest_are_told() {
        let (mut reach, mut machine) = Default::default();
        assert_eq!(
            told(&reach, &machine, &["fe80::1", "10.0.0.1", "100.64.0.1", "2a00::1", "8.8.8.8"]),
            ["2a00::1", "8.8.8.8", "10.0.0.1", "100.64.0.1"]
        );
        let private = ["172.17.0.1", "172.18.0.1", "172.19.0.1", "172.20.0.1"];
        assert_eq!(told(&reach, &machine, &MANY), private, "nothing tells them apart");
        machine.bridges =
            (17..=20).map(|n| (u32::from(Ipv4Addr::new(172, n, 0, 0)), 0xffff_0000)).collect();
        assert_eq!(told(&reach, &machine, &MANY)[0], "10.0.0.1");
        machine.bridges.clear();
        machine.defaults = vec![Ipv4Addr::new(10, 0, 0, 1).into()];
        assert_eq!(told(&reach, &machine, &MANY)[0], "10.0.0.1");
        machine.defaults.clear();
        assert!(reach.came_in(&tcp("10.0.0.1")));
        assert!(!reach.came_in(&tcp("10.0.0.1")), "that is no news");
        assert!(!reach.came_in(&tcp("0.0.0.0")));
        assert_eq!(told(&reach, &machine, &MANY)[0], "10.0.0.1");
        for n in 0..1_000 {
            reach.came_in(&tcp(&Ipv4Addr::from(n).to_string()));
        }
        assert_eq!(reach.proven.len(), PROVEN);
    }

    #[test]
    fn loopback_is_told_if_there_is_nothing_else() {
        let (reach, machine) = Default::default();
        assert_eq!(told(&reach, &machine, &["127.0.0.1"]), ["127.0.0.1"]);
        let both = [tcp("127.0.0.1"), tcp("10.0.0.1")];
        let (told, left_out) = reach.ranked(both.iter(), &machine);
        assert_eq!((told, left_out), (vec![tcp("10.0.0.1")], vec![]));
    }

    #[test]
    fn the_kernels_table_is_read() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     br1\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     half a line\n";
        let network = u32::from_ne_bytes([0xac, 0x11, 0, 0]).to_be();
        let found: Vec<_> = networks(table).collect();
        if cfg!(target_endian = "little") {
            assert_eq!(found, [("br1", (network, 0xffff_0000))]);
        }
    }
}

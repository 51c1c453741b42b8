//! Contacts from a DNS name.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::stream::{self, BoxStream};
use futures::{StreamExt, future};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::RData;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::time::{sleep, timeout};

use super::contact::is_host_name;
use super::{Announcement, Discovery, Finding, distinct};

/// The most addresses taken from an answer.
const MAX_ADDRESSES: usize = 64;
/// The most services of a name whose hosts are looked up.
const MAX_SERVICES: usize = 32;
/// How much the time between two looks varies, so that nodes started together do not ask together.
const JITTER: f64 = 0.1;

/// A DNS name that is looked up again and again: either hosts, all listening at a known port, or
/// services, whose records name hosts and ports.
///
/// Each look makes a finding: up to 64 addresses, a random choice if there are more. If some of a
/// name's services could not be resolved there are two, an error and the addresses of the others.
/// Nothing is remembered between looks, neither records nor the system's configuration, so a change
/// is found at the next look after the name server knows of it.
#[derive(Debug, Clone)]
pub struct Dns {
    name: String,
    look: Look,
    transport: Transport,
    server: Option<SocketAddr>,
    interval: Duration,
    timeout: Duration,
}

#[derive(Debug, Clone, Copy)]
enum Look {
    Hosts { port: u16 },
    Services,
}

/// What the nodes that a name leads to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Transport {
    /// TCP: `/tcp/PORT`.
    Tcp,
    /// QUIC: `/udp/PORT/quic-v1`.
    Quic,
}

/// Why a name does not give contacts, or not all of them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DnsError {
    /// Not a name that could be looked up.
    #[error("{0:?} is not a DNS name")]
    NotAName(String),
    /// No node listens at port 0.
    #[error("{0:?} needs a port from 1 to 65535")]
    Port(String),
    /// The service's name says another protocol than the transport.
    #[error("the service {name:?} needs {label} as its second label for this transport")]
    Service {
        /// The name of the service.
        name: String,
        /// The label it should have.
        label: &'static str,
    },
    /// The system's configuration of name servers cannot be read.
    #[error("the system's name servers could not be read: {0}")]
    System(#[source] Box<dyn Error + Send + Sync>),
    /// There is no such name, or it has no such records.
    #[error("DNS has no {kind} for {name:?}")]
    Nothing {
        /// The name looked up.
        name: String,
        /// What was asked for.
        kind: &'static str,
    },
    /// Asking failed.
    #[error("{name:?} could not be looked up: {source}")]
    Failed {
        /// The name looked up.
        name: String,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// No answer in time.
    #[error("no name server answered for {name:?} within {after:?}")]
    Timeout {
        /// The name looked up.
        name: String,
        /// The time it had.
        after: Duration,
    },
}

impl Transport {
    fn label(self) -> &'static str {
        match self {
            Self::Tcp => "_tcp",
            Self::Quic => "_udp",
        }
    }

    fn address(self, ip: IpAddr, port: u16) -> Multiaddr {
        let host = Multiaddr::from(ip);
        match self {
            Self::Tcp => host.with(Protocol::Tcp(port)),
            Self::Quic => host.with(Protocol::Udp(port)).with(Protocol::QuicV1),
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic-v1",
        })
    }
}

impl Dns {
    /// Finds the hosts that `name` has A and AAAA records of, all listening at `port`.
    ///
    /// # Errors
    /// [`DnsError::NotAName`] if `name` is not a host name, and [`DnsError::Port`] if `port` is 0.
    pub fn hosts(
        name: impl Into<String>,
        port: u16,
        transport: Transport,
    ) -> Result<Self, DnsError> {
        let name = name.into();
        if port == 0 {
            return Err(DnsError::Port(name));
        }
        Self::new(name, Look::Hosts { port }, transport)
    }

    /// Finds the services that `name` has SRV records of, in the order that RFC 2782 gives them: by
    /// priority, then drawn by weight. A name without a service, such as `roost.example`, stands for
    /// `_murmurate._tcp.roost.example` (`_udp` for QUIC). `_gossip._tcp.roost.example` is used as it is.
    ///
    /// # Errors
    /// [`DnsError::NotAName`] if `name` is not a name, and [`DnsError::Service`] if it is a service of
    /// another protocol than `transport` needs.
    pub fn services(name: impl Into<String>, transport: Transport) -> Result<Self, DnsError> {
        let (mut name, label) = (name.into(), transport.label());
        if !name.starts_with('_') {
            name = format!("_murmurate.{label}.{name}");
        } else if name.split('.').nth(1).is_none_or(|second| !second.eq_ignore_ascii_case(label)) {
            return Err(DnsError::Service { name, label });
        }
        Self::new(name, Look::Services, transport)
    }

    fn new(name: String, look: Look, transport: Transport) -> Result<Self, DnsError> {
        if !is_host_name(&name) {
            return Err(DnsError::NotAName(name));
        }
        let (interval, timeout) = (Duration::from_secs(30), Duration::from_secs(10));
        Ok(Self { name, look, transport, server: None, interval, timeout })
    }

    /// Asks only this name server, by UDP and, for long answers, TCP. Names are then taken to be
    /// complete, and the system's `hosts` file is not read. By default the system's configuration
    /// names the servers.
    #[must_use]
    pub fn server(mut self, server: SocketAddr) -> Self {
        self.server = Some(server);
        self
    }

    /// How often to look, give or take a tenth. 30 s by default, at least 10 ms.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(10));
        self
    }

    /// How long a look may take, including all its queries and retries. 10 s by default, at least 10 ms.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.max(Duration::from_millis(10));
        self
    }

    async fn look(&self) -> Vec<Finding> {
        let looked = timeout(self.timeout, async {
            let resolver = self.resolver()?;
            match self.look {
                Look::Hosts { port } => self.look_for_hosts(&resolver, port).await,
                Look::Services => self.look_for_services(&resolver).await,
            }
        });
        let late = |_| Err(DnsError::Timeout { name: self.name.clone(), after: self.timeout });
        match looked.await.unwrap_or_else(late) {
            Err(error) => vec![Err(error.into())],
            Ok((addresses, error)) => {
                let error = error.map(|error| Err(error.into()));
                error.into_iter().chain([Ok(addresses)]).collect()
            }
        }
    }

    /// A new one for each look: it remembers nothing, and knows today's name servers.
    fn resolver(&self) -> Result<TokioResolver, DnsError> {
        let system = |error: NetError| DnsError::System(error.into());
        let mut builder = match self.server {
            None => TokioResolver::builder_tokio().map_err(system)?,
            Some(server) => {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            }
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.edns0 = true;
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Two tries in the time there is, each by UDP and perhaps by TCP.
        options.attempts = 1;
        options.timeout = options.timeout.min(self.timeout / 4);
        if self.server.is_some() {
            options.use_hosts_file = ResolveHosts::Never;
        }
        builder.build().map_err(system)
    }

    async fn look_for_hosts(&self, resolver: &TokioResolver, port: u16) -> Result<Found, DnsError> {
        let name = absolute(&self.name, self.server);
        let mut hosts = addresses(resolver, &name).await?;
        sample(&mut hosts);
        let addresses = hosts.into_iter().map(|ip| self.transport.address(ip, port));
        Ok((distinct(addresses), None))
    }

    async fn look_for_services(&self, resolver: &TokioResolver) -> Result<Found, DnsError> {
        let name = absolute(&self.name, self.server);
        let answer = resolver.srv_lookup(name.as_str()).await;
        let answer = answer.map_err(|error| failed(&name, "services (SRV records)", error))?;
        let services = answer.answers().iter().filter_map(|record| match &record.data {
            // A target that is the root says that there is no such service.
            RData::SRV(srv) if !srv.target.is_root() && srv.port != 0 => Some(Service {
                priority: srv.priority,
                weight: srv.weight,
                target: srv.target.to_string(),
                port: srv.port,
            }),
            _ => None,
        });
        let mut services = ordered(services.collect(), |bound| rand::rng().random_range(..bound));
        services.truncate(MAX_SERVICES);
        if services.is_empty() {
            return Ok((Vec::new(), None));
        }
        let looks = services.iter().map(|service| addresses(resolver, &service.target));
        let (mut found, mut error) = (Vec::new(), None);
        for (service, ips) in services.iter().zip(future::join_all(looks).await) {
            match ips {
                Ok(ips) => {
                    let address = |ip| self.transport.address(ip, service.port);
                    found.extend(ips.into_iter().map(address));
                }
                Err(this) => error = error.or(Some(this)),
            }
        }
        let mut found = distinct(found);
        found.truncate(MAX_ADDRESSES);
        match error {
            Some(error) if found.is_empty() => Err(error),
            error => Ok((found, error)),
        }
    }
}

/// Addresses, and what went wrong with others.
type Found = (Vec<Multiaddr>, Option<DnsError>);

impl Discovery for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn watch(self: Box<Self>, _me: Announcement) -> BoxStream<'static, Finding> {
        stream::unfold((self, true), |(dns, first)| async move {
            if !first {
                let factor = rand::rng().random_range(1.0 - JITTER..1.0 + JITTER);
                sleep(dns.interval.mul_f64(factor)).await;
            }
            let found = dns.look().await;
            Some((stream::iter(found), (dns, false)))
        })
        .flatten()
        .boxed()
    }
}

/// With a name server of its own there is no list of domains to try.
fn absolute(name: &str, server: Option<SocketAddr>) -> String {
    if server.is_none() || name.ends_with('.') { name.into() } else { format!("{name}.") }
}

async fn addresses(resolver: &TokioResolver, name: &str) -> Result<Vec<IpAddr>, DnsError> {
    let answer = resolver.lookup_ip(name).await;
    let answer = answer.map_err(|error| failed(name, "addresses (A or AAAA records)", error))?;
    Ok(answer.iter().collect())
}

fn failed(name: &str, kind: &'static str, error: NetError) -> DnsError {
    let name = name.into();
    if error.is_nx_domain() || error.is_no_records_found() {
        return DnsError::Nothing { name, kind };
    }
    DnsError::Failed { name, source: error.into() }
}

/// Of too many, a random choice: else everybody would know the same few.
fn sample(hosts: &mut Vec<IpAddr>) {
    if hosts.len() > MAX_ADDRESSES {
        hosts.shuffle(&mut rand::rng());
        hosts.truncate(MAX_ADDRESSES);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Service {
    priority: u16,
    weight: u16,
    target: String,
    port: u16,
}

/// By priority, and within one drawn by weight (RFC 2782, page 3). `draw` gives a number below its
/// bound. Weights count one more than they say: so one of 0 has its very small chance, too.
fn ordered(mut services: Vec<Service>, mut draw: impl FnMut(u32) -> u32) -> Vec<Service> {
    services.sort_by_key(|service| service.priority);
    let weight = |service: &Service| u32::from(service.weight).saturating_add(1);
    let mut rest = services.as_mut_slice();
    while let Some(first) = rest.first() {
        let priority = first.priority;
        let peers = rest.partition_point(|service| service.priority == priority);
        let total = rest[..peers].iter().map(weight).fold(0, u32::saturating_add);
        let mut drawn = draw(total);
        let chosen = rest[..peers].iter().position(|service| {
            let here = drawn < weight(service);
            drawn = drawn.saturating_sub(weight(service));
            here
        });
        rest[..=chosen.unwrap_or(0)].rotate_right(1);
        rest = &mut rest[1..];
    }
    services
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use tokio::time::Instant;

    use super::*;
    use crate::discovery::tests::me;

    fn service(priority: u16, weight: u16, port: u16) -> Service {
        Service { priority, weight, target: "nest.example.".into(), port }
    }

    #[test]
    fn services_come_by_priority_then_by_weight() {
        let all = vec![
            service(20, 0, 1),
            service(10, 0, 2),
            service(10, 30, 3),
            service(10, 66, 4),
            service(0, 5, 5),
        ];
        // How often each comes first among its equals, for every number that can be drawn.
        let mut first = [0; 6];
        for drawn in 0..99 {
            let mut draws = 0;
            let draw = |bound: u32| {
                draws += 1;
                if draws == 2 { drawn } else { bound / 2 }
            };
            let ports: Vec<u16> = ordered(all.clone(), draw).iter().map(|s| s.port).collect();
            assert_eq!((ports[0], ports[4]), (5, 1), "{ports:?}");
            let mut middle = ports[1..4].to_vec();
            middle.sort_unstable();
            assert_eq!(middle, [2, 3, 4]);
            first[usize::from(ports[1])] += 1;
        }
        assert_eq!(first, [0, 0, 1, 31, 67, 0]);
    }

    #[test]
    fn names_are_checked() {
        for name in ["", "two words", "a..b", "10.0.0.1", "-a"] {
            assert!(matches!(Dns::hosts(name, 1, Transport::Tcp), Err(DnsError::NotAName(_))));
        }
        assert!(matches!(Dns::hosts("a", 0, Transport::Tcp), Err(DnsError::Port(_))));
        let mistaken = Dns::services("_x._udp.a", Transport::Tcp).expect_err("not TCP");
        assert!(mistaken.to_string().contains("_tcp"), "{mistaken}");
        for (name, transport, full) in [
            ("a.example", Transport::Tcp, "_murmurate._tcp.a.example"),
            ("a.example.", Transport::Quic, "_murmurate._udp.a.example."),
            ("_x._tcp.a.example", Transport::Tcp, "_x._tcp.a.example"),
        ] {
            assert_eq!(Dns::services(name, transport).expect("a service").name, full);
        }
    }

    #[test]
    fn everybody_gets_a_choice_of_many() {
        let host: Vec<IpAddr> = (0..100u8).map(|last| [10, 0, 0, last].into()).collect();
        let (mut one, mut other) = (host.clone(), host);
        sample(&mut one);
        sample(&mut other);
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_up_in_time() {
        let silent = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let dns = Dns::hosts("flock.test", 7400, Transport::Tcp).expect("a name");
        let dns = dns.server(silent.local_addr().expect("bound"));
        let (limit, begun) = (dns.timeout, Instant::now());
        let finding = Box::new(dns).watch(me()).next().await.expect("goes on");
        let error = finding.expect_err("nobody answers").downcast().expect("of this source");
        assert!(matches!(*error, DnsError::Failed { .. } | DnsError::Timeout { .. }), "{error}");
        assert!(begun.elapsed() <= limit + Duration::from_millis(1), "{:?}", begun.elapsed());
    }
}

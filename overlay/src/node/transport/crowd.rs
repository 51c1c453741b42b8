//! How many connections there may be, and who makes room when there are too many.
//!
//! Whoever has one address has all of its neighbourhood: so inbound connections are counted by prefix, a /24
//! of IPv4 or a /48 of IPv6. Of those that are being set up, over TCP and over QUIC, one prefix has at most half: of QUIC
//! the address is not proven then. Of those that stand,
//! all places may be taken, except for a share for nodes that this one dials. When they are, a newcomer from a prefix
//! that has fewer takes the place of one from the prefix that has most, unless that is a neighbour's. Who comes from
//! loopback is the machine's own, and has no prefix.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{
    CloseConnection, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, ListenFailure,
    NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

/// The first bytes of an address that one owner has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Prefix {
    V4([u8; 3]),
    V6([u16; 3]),
}

impl Prefix {
    fn of(address: &Multiaddr) -> Option<Self> {
        let ip = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
            Protocol::Ip6(ip) => Some(ip.to_canonical()),
            _ => None,
        })?;
        match ip {
            ip if ip.is_loopback() => None,
            IpAddr::V4(ip) => {
                let [first, second, third, _] = ip.octets();
                Some(Self::V4([first, second, third]))
            }
            IpAddr::V6(ip) => {
                let [first, second, third, ..] = ip.segments();
                Some(Self::V6([first, second, third]))
            }
        }
    }
}

/// An inbound connection that stands.
#[derive(Debug)]
struct Inbound {
    prefix: Option<Prefix>,
    peer: PeerId,
}

/// There is no room for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Crowded {
    #[error("too many connections are being set up")]
    Pending,
    #[error("too many connections from its network are being set up")]
    Prefix,
    #[error("all connections are taken")]
    Full,
}

/// The connections of a node, as far as they are counted.
#[derive(Debug)]
pub(crate) struct Crowd {
    most: usize,
    /// Inbound ones that are being set up, and whether over UDP.
    pending: BTreeMap<ConnectionId, (bool, Option<Prefix>)>,
    inbound: BTreeMap<ConnectionId, Inbound>,
    outbound: BTreeSet<ConnectionId>,
    /// Whose connections do not make room.
    neighbors: BTreeSet<PeerId>,
    /// To be closed.
    closing: VecDeque<(PeerId, ConnectionId)>,
    /// Those that made room, and have not ended yet: whoever does not read may take its time.
    going: BTreeSet<ConnectionId>,
    /// Those that made room, since it was last asked.
    gave_way: u64,
}

impl Crowd {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            pending: BTreeMap::new(),
            inbound: BTreeMap::new(),
            outbound: BTreeSet::new(),
            neighbors: BTreeSet::new(),
            closing: VecDeque::new(),
            going: BTreeSet::new(),
            gave_way: 0,
        }
    }

    /// These are the neighbours from now on.
    pub(crate) fn keep(&mut self, neighbors: impl Iterator<Item = PeerId>) {
        self.neighbors = neighbors.collect();
    }

    /// How many connections made room since it was last asked.
    pub(crate) fn gave_way(&mut self) -> u64 {
        std::mem::take(&mut self.gave_way)
    }

    /// Of all connections, those that others may take.
    fn most_inbound(&self) -> usize {
        self.most - self.most / 8
    }

    fn knock(&mut self, id: ConnectionId, from: &Multiaddr) -> Result<(), Crowded> {
        let is_udp = from.iter().any(|part| matches!(part, Protocol::Udp(_)));
        let (prefix, most) = (Prefix::of(from), self.most.div_ceil(2));
        let alike = self.pending.values().filter(|(udp, _)| *udp == is_udp);
        if alike.clone().count() >= most {
            return Err(Crowded::Pending);
        }
        let same = alike.filter(|(_, other)| *other == prefix).count();
        if prefix.is_some() && same >= most.div_ceil(2) {
            return Err(Crowded::Prefix);
        }
        self.pending.insert(id, (is_udp, prefix));
        Ok(())
    }

    fn enter(&mut self, id: ConnectionId, peer: PeerId, from: &Multiaddr) -> Result<(), Crowded> {
        self.pending.remove(&id);
        let prefix = Prefix::of(from);
        let is_full = self.inbound.len() >= self.most_inbound()
            || self.inbound.len() + self.outbound.len() >= self.most;
        if is_full && !self.make_room(prefix) {
            return Err(Crowded::Full);
        }
        self.inbound.insert(id, Inbound { prefix, peer });
        Ok(())
    }

    /// Closes a connection from the prefix that has most, if it has more than this one. Whether it did.
    fn make_room(&mut self, newcomer: Option<Prefix>) -> bool {
        if self.going.len() >= self.most.div_ceil(8) {
            return false;
        }
        let mut counts = BTreeMap::<Prefix, (usize, Option<ConnectionId>)>::new();
        for (id, inbound) in &self.inbound {
            let Some(prefix) = inbound.prefix else { continue };
            let (count, yields) = counts.entry(prefix).or_default();
            *count += 1;
            if !self.neighbors.contains(&inbound.peer) {
                // The one that has stood longest.
                yields.get_or_insert(*id);
            }
        }
        let own = newcomer.and_then(|prefix| counts.get(&prefix)).map_or(0, |(count, _)| *count);
        let most = counts.values().filter(|(count, _)| *count > own + 1);
        let yields = most.filter_map(|(count, yields)| Some((*count, (*yields)?)));
        let Some((_, id)) = yields.max_by_key(|(count, _)| *count) else { return false };
        let Some(inbound) = self.inbound.remove(&id) else { return false };
        self.closing.push_back((inbound.peer, id));
        self.going.insert(id);
        self.gave_way += 1;
        true
    }

    fn dialled(&mut self, id: ConnectionId) -> Result<(), Crowded> {
        if self.inbound.len() + self.outbound.len() >= self.most && !self.make_room(None) {
            return Err(Crowded::Full);
        }
        self.outbound.insert(id);
        Ok(())
    }

    fn forget(&mut self, id: ConnectionId) {
        self.pending.remove(&id);
        self.inbound.remove(&id);
        self.outbound.remove(&id);
        self.going.remove(&id);
    }
}

impl NetworkBehaviour for Crowd {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.knock(id, remote).map_err(ConnectionDenied::new)
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.enter(id, peer, remote).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        _peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.dialled(id).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.forget(connection_id);
            }
            // Another behaviour may have refused it after this one agreed.
            FromSwarm::DialFailure(failure) => self.forget(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(
        &mut self,
        _context: &mut Context<'_>,
    ) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // The swarm asks again after each connection that was let in.
        match self.closing.pop_front() {
            Some((peer_id, id)) => Poll::Ready(ToSwarm::CloseConnection {
                peer_id,
                connection: CloseConnection::One(id),
            }),
            None => Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn from(address: &str) -> Multiaddr {
        address.parse().expect("an address")
    }

    impl Crowd {
        /// Those that made room end.
        fn settle(&mut self) {
            while let Some((_, id)) = self.closing.pop_front() {
                self.forget(id);
            }
        }
    }

    /// The host with this number in a /24.
    fn host(network: u8, number: usize) -> Multiaddr {
        from(&format!("/ip4/192.0.{network}.{}/tcp/{}", number % 250, 1_000 + number))
    }

    #[test]
    fn a_prefix_is_of_one_owner() {
        let prefix = |address: &str| Prefix::of(&from(address));
        assert_eq!(prefix("/ip4/192.0.2.1/tcp/1"), prefix("/ip4/192.0.2.255/udp/9/quic-v1"));
        assert_ne!(prefix("/ip4/192.0.2.1/tcp/1"), prefix("/ip4/192.0.3.1/tcp/1"));
        assert_eq!(prefix("/ip6/2001:db8::1/tcp/1"), prefix("/ip6/2001:db8:0:1::1/tcp/1"));
        assert_ne!(prefix("/ip6/2001:db8::1/tcp/1"), prefix("/ip6/2001:db8:1::1/tcp/1"));
        assert_eq!(prefix("/ip4/192.0.2.1/tcp/1"), prefix("/ip6/::ffff:192.0.2.9/tcp/1"));
        for own in ["/ip4/127.1.2.3/tcp/1", "/ip6/::1/tcp/1", "/ip6/::ffff:127.0.0.1/tcp/1"] {
            assert_eq!(prefix(own), None);
        }
    }

    #[test]
    fn of_those_being_set_up_one_prefix_has_half() {
        let mut crowd = Crowd::new(32);
        let came = |crowd: &mut Crowd, network, first: usize| {
            (first..first + 100).filter(|n| crowd.knock(id(*n), &host(network, *n)).is_ok()).count()
        };
        assert_eq!(came(&mut crowd, 1, 0), 8);
        assert_eq!(crowd.knock(id(100), &host(1, 1)), Err(Crowded::Prefix));
        assert_eq!(came(&mut crowd, 2, 200), 8);
        assert_eq!(crowd.knock(id(300), &host(3, 1)), Err(Crowded::Pending));
        let quic = from("/ip4/192.0.3.1/udp/1/quic-v1");
        assert_eq!(crowd.knock(id(301), &quic), Ok(()), "whose addresses may be made up");
        crowd.forget(id(0));
        assert_eq!(crowd.knock(id(300), &host(3, 1)), Ok(()));
        // The machine's own are not held to it.
        let mut crowd = Crowd::new(32);
        let own = from("/ip4/127.0.0.1/tcp/1");
        assert_eq!((0..100).filter(|n| crowd.knock(id(*n), &own).is_ok()).count(), 16);
    }

    /// Whoever takes all places from one network keeps nobody else out, and no neighbour goes.
    #[test]
    fn the_prefix_that_has_most_makes_room_and_neighbours_stay() {
        let mut crowd = Crowd::new(64);
        let neighbor = PeerId::random();
        assert_eq!(crowd.enter(id(0), neighbor, &host(1, 0)), Ok(()));
        crowd.keep([neighbor].into_iter());
        let flood = |crowd: &mut Crowd, network: u8, first: usize| {
            let all = first..first + 2_000;
            let mut enters = |n: &usize| {
                crowd.settle();
                crowd.enter(id(*n), PeerId::random(), &host(network, *n)).is_ok()
            };
            all.filter(|n| enters(n)).count()
        };
        assert_eq!(flood(&mut crowd, 1, 1), 55, "a share stays for those that this node dials");
        for newcomer in 5_000..5_020 {
            let from = host((newcomer - 5_000) as u8 + 2, 1);
            crowd.settle();
            assert_eq!(crowd.enter(id(newcomer), PeerId::random(), &from), Ok(()));
        }
        assert_eq!(crowd.gave_way(), 20);
        assert!(crowd.inbound.contains_key(&id(0)));
        assert_eq!(crowd.inbound.len(), 56);
        // Another network gets as many as the first one, and not more.
        let more = flood(&mut crowd, 99, 10_000);
        let of = |network| {
            let prefix = Prefix::of(&host(network, 0));
            crowd.inbound.values().filter(|inbound| inbound.prefix == prefix).count()
        };
        assert!(more >= 17 && of(99).abs_diff(of(1)) <= 1, "{more}, {}, {}", of(99), of(1));
        assert!(crowd.inbound.contains_key(&id(0)));
        assert_eq!(crowd.inbound.len(), 56);
    }

    #[test]
    fn a_node_dials_whatever_others_do() {
        let mut crowd = Crowd::new(16);
        for n in 0..100 {
            let _ = crowd.enter(id(n), PeerId::random(), &host(1, n));
        }
        assert_eq!(crowd.inbound.len(), 14);
        let mut dials = |n: &usize| {
            crowd.settle();
            crowd.dialled(id(*n)).is_ok()
        };
        let dialled = (1_000..1_100).filter(|n| dials(n)).count();
        assert_eq!(dialled, 15, "two places were free, and one of its network stays");
        assert_eq!(crowd.inbound.len() + crowd.outbound.len(), 16);
    }

    #[test]
    fn those_that_do_not_end_are_few() {
        let mut crowd = Crowd::new(64);
        for n in 0..56 {
            assert_eq!(crowd.enter(id(n), PeerId::random(), &host(1, n)), Ok(()));
        }
        let came = |network: &u8| {
            crowd
                .enter(id(100 + usize::from(*network)), PeerId::random(), &host(*network, 1))
                .is_ok()
        };
        assert_eq!((2..50).filter(came).count(), 8);
    }

    #[test]
    fn a_cluster_in_one_network_is_refused_when_all_is_taken() {
        let mut crowd = Crowd::new(16);
        let came = (0..100).filter(|n| crowd.enter(id(*n), PeerId::random(), &host(1, *n)).is_ok());
        assert_eq!(came.count(), 14);
        assert_eq!(crowd.gave_way(), 0);
        crowd.forget(id(3));
        assert_eq!(crowd.enter(id(200), PeerId::random(), &host(1, 200)), Ok(()));
    }
}

//! Places where others say that nodes are, and nobody has answered yet.
//!
//! A liar may name one place in the addresses of any number of nodes, to have everybody dial it. So at a place
//! where no connection came about a few nodes are dialled, and more after a pause that doubles. Where somebody has
//! answered, any number of nodes may be.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::time::Instant;

/// The pause after the first dial in vain, and the longest.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// For so long after a connection a place is one where somebody answers.
const KNOWN: Duration = Duration::from_secs(3_600);
/// Nodes that are dialled there before such a pause.
const TRIES: u8 = 4;
/// Places that are remembered.
const CAPACITY: usize = 1_024;

/// Where an address leads to, whichever the port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Ip(IpAddr),
    Name(Box<str>),
}

impl Place {
    fn of(address: &Multiaddr) -> Option<Self> {
        address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(Self::Ip(ip.into())),
            Protocol::Ip6(ip) => Some(Self::Ip(IpAddr::V6(ip).to_canonical())),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => {
                Some(Self::Name(name.into()))
            }
            _ => None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Known {
    /// Somebody answered there.
    Answered(Instant),
    /// Dialled in vain, or under way.
    Suspect {
        /// No more than so many nodes are dialled there until then.
        left: u8,
        until: Instant,
        /// How long that is.
        pause: Duration,
    },
}

impl Known {
    /// Until when it is of any use.
    fn ends(self) -> Instant {
        match self {
            Self::Answered(at) => at + KNOWN,
            Self::Suspect { until, .. } => until + LONGEST,
        }
    }
}

/// What is known of places.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<Place, Known>);

impl Suspects {
    /// Those of a node's addresses that may be dialled now because others named them. They are dialled then.
    pub(super) fn may_dial<'a>(
        &mut self,
        addresses: impl Iterator<Item = &'a Multiaddr>,
    ) -> Vec<Multiaddr> {
        let mut judged = BTreeMap::new();
        let may_dial = |address: &&Multiaddr| {
            let Some(place) = Place::of(address) else { return true };
            *judged.entry(place).or_insert_with_key(|place| self.may_try(place))
        };
        addresses.filter(may_dial).cloned().collect()
    }

    fn may_try(&mut self, place: &Place) -> bool {
        let now = Instant::now();
        let known = self.0.get(place).copied().filter(|known| now < known.ends());
        let (left, until, pause) = match known {
            Some(Known::Answered(_)) => return true,
            Some(Known::Suspect { left: 0, until, .. }) if now < until => return false,
            Some(Known::Suspect { left, until, pause }) if now < until => (left - 1, until, pause),
            Some(Known::Suspect { pause, .. }) => {
                let pause = (pause * 2).min(LONGEST);
                (TRIES - 1, now + pause, pause)
            }
            None => (TRIES - 1, now + FIRST, FIRST),
        };
        self.note(place.clone(), Known::Suspect { left, until, pause });
        true
    }

    /// Somebody answered there.
    pub(super) fn answered(&mut self, address: &Multiaddr) {
        if let Some(place) = Place::of(address) {
            self.note(place, Known::Answered(Instant::now()));
        }
    }

    fn note(&mut self, place: Place, known: Known) {
        if self.0.len() >= CAPACITY && !self.0.contains_key(&place) {
            let now = Instant::now();
            self.0.retain(|_, known| known.ends() > now);
            let first = self.0.iter().min_by_key(|(_, known)| known.ends());
            if self.0.len() >= CAPACITY
                && let Some(first) = first.map(|(place, _)| place.clone())
            {
                self.0.remove(&first);
            }
        }
        self.0.insert(place, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> Multiaddr {
        address.parse().expect("an address")
    }

    /// Whether a node that is said to be there is dialled.
    fn tries(suspects: &mut Suspects, address: &str) -> bool {
        !suspects.may_dial([at(address)].iter()).is_empty()
    }

    #[tokio::test(start_paused = true)]
    async fn a_made_up_target_is_dialled_ever_more_rarely_whatever_its_ports() {
        let mut suspects = Suspects::default();
        let mut dialled = Vec::new();
        let begun = Instant::now();
        for port in 1..=12_000_u16 {
            if tries(&mut suspects, &format!("/ip4/192.0.2.7/tcp/{port}")) {
                dialled.push(begun.elapsed().as_secs());
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        let each = [0, 1, 3, 7, 15, 31, 61, 91];
        assert_eq!(dialled, each.map(|second| [second; TRIES as usize]).concat());
        assert!(tries(&mut suspects, "/ip4/192.0.2.8/tcp/1"), "another place");
        for _ in 0..TRIES {
            assert!(tries(&mut suspects, "/dns/roost.example/tcp/1"));
        }
        assert!(!tries(&mut suspects, "/dns4/roost.example/udp/2/quic-v1"));
        tokio::time::advance(10 * LONGEST).await;
        for _ in 0..2 {
            assert!(tries(&mut suspects, "/ip4/192.0.2.7/tcp/1"), "long ago: as at first");
            tokio::time::advance(FIRST).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_addresses_of_a_node_are_tried() {
        let mut suspects = Suspects::default();
        let all = ["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.7/udp/1/quic-v1", "/ip4/192.0.2.8/tcp/1"];
        let all = all.map(at);
        for _ in 0..TRIES {
            assert_eq!(suspects.may_dial(all.iter()), all);
        }
        assert_eq!(suspects.may_dial(all.iter()), []);
    }

    #[tokio::test(start_paused = true)]
    async fn where_somebody_answers_any_number_of_nodes_may_be() {
        let mut suspects = Suspects::default();
        suspects.answered(&at("/ip4/192.0.2.7/tcp/1"));
        let mut all = (1..1_000).map(|port| format!("/ip4/192.0.2.7/tcp/{port}"));
        assert!(all.all(|address| tries(&mut suspects, &address)));
        tokio::time::advance(KNOWN).await;
        let few = (0..9).filter(|_| tries(&mut suspects, "/ip4/192.0.2.7/tcp/1")).count();
        assert_eq!(few, usize::from(TRIES));
        suspects.answered(&at("/ip6/::ffff:192.0.2.7/tcp/1"));
        assert!(tries(&mut suspects, "/ip4/192.0.2.7/tcp/1"));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_bounded_and_those_that_answered_stay() {
        let mut suspects = Suspects::default();
        suspects.answered(&at("/ip4/203.0.113.1/tcp/1"));
        for n in 0..5_000_u32 {
            let [.., third, fourth] = n.to_be_bytes();
            let _ = tries(&mut suspects, &format!("/ip4/198.18.{third}.{fourth}/tcp/1"));
            assert!(suspects.0.len() <= CAPACITY);
        }
        assert!((0..9).all(|_| tries(&mut suspects, "/ip4/203.0.113.1/tcp/1")));
    }
}

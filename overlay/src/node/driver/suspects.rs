//! Places where others say that nodes are, and nobody has answered yet.
//!
//! A liar may name one place in the addresses of any number of nodes, to have everybody dial it. So a place
//! where no connection came about is dialled once, and again after a pause that doubles.

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
    /// Dialled in vain, or under way: until when to leave it alone, and for how long next time.
    Suspect(Instant, Duration),
}

impl Known {
    /// Until when it is of any use.
    fn ends(self) -> Instant {
        match self {
            Self::Answered(at) => at + KNOWN,
            Self::Suspect(until, _) => until + LONGEST,
        }
    }
}

/// What is known of places.
#[derive(Debug, Default)]
pub(super) struct Suspects(BTreeMap<Place, Known>);

impl Suspects {
    /// Whether an address may be dialled now because others named it. Then it is dialled.
    pub(super) fn may_dial(&mut self, address: &Multiaddr) -> bool {
        let Some(place) = Place::of(address) else { return true };
        let now = Instant::now();
        let pause = match self.0.get(&place) {
            Some(Known::Answered(at)) if now < *at + KNOWN => return true,
            Some(Known::Suspect(until, _)) if now < *until => return false,
            Some(Known::Suspect(_, pause)) => (*pause * 2).min(LONGEST),
            Some(Known::Answered(_)) | None => FIRST,
        };
        self.note(place, Known::Suspect(now + pause, pause));
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

    #[tokio::test(start_paused = true)]
    async fn a_made_up_target_is_dialled_ever_more_rarely_whatever_its_ports() {
        let mut suspects = Suspects::default();
        let mut dialled = Vec::new();
        let begun = Instant::now();
        for port in 1..=12_000_u16 {
            if suspects.may_dial(&at(&format!("/ip4/192.0.2.7/tcp/{port}"))) {
                dialled.push(begun.elapsed().as_secs());
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert_eq!(dialled, [0, 1, 3, 7, 15, 31, 61, 91]);
        assert!(suspects.may_dial(&at("/ip4/192.0.2.8/tcp/1")), "another place");
        assert!(suspects.may_dial(&at("/dns/roost.example/tcp/1")));
        assert!(!suspects.may_dial(&at("/dns4/roost.example/udp/2/quic-v1")));
    }

    #[tokio::test(start_paused = true)]
    async fn where_somebody_answers_any_number_of_nodes_may_be() {
        let mut suspects = Suspects::default();
        suspects.answered(&at("/ip4/192.0.2.7/tcp/1"));
        assert!(
            (1..1_000).all(|port| suspects.may_dial(&at(&format!("/ip4/192.0.2.7/tcp/{port}"))))
        );
        tokio::time::advance(KNOWN).await;
        assert!(suspects.may_dial(&at("/ip4/192.0.2.7/tcp/1")), "once");
        assert!(!suspects.may_dial(&at("/ip4/192.0.2.7/tcp/1")));
        suspects.answered(&at("/ip6/::ffff:192.0.2.7/tcp/1"));
        assert!(suspects.may_dial(&at("/ip4/192.0.2.7/tcp/1")));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_bounded_and_those_that_answered_stay() {
        let mut suspects = Suspects::default();
        suspects.answered(&at("/ip4/203.0.113.1/tcp/1"));
        for n in 0..5_000_u32 {
            let [.., third, fourth] = n.to_be_bytes();
            let _ = suspects.may_dial(&at(&format!("/ip4/198.18.{third}.{fourth}/tcp/1")));
            assert!(suspects.0.len() <= CAPACITY);
        }
        assert!((0..9).all(|_| suspects.may_dial(&at("/ip4/203.0.113.1/tcp/1"))));
    }
}

//! The way in: whom to dial while there is no neighbour.
//!
//! Contacts come from whoever called join, from discovery and from the disk. All are hints that are
//! tried in rounds, a few at a time, with a growing, jittered pause, for as long as the node has no
//! neighbour. None is ever dropped for not answering, only for newer ones when there are too many.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::Multiaddr;
use rand::seq::IteratorRandom;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Addresses remembered.
const CAPACITY: usize = 256;
/// Addresses dialled in a round.
const ROUND: usize = 4;
/// Callers of join that wait at a time.
const WAITING: usize = 64;
/// The first pause between rounds, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a node did not join. Its contacts are remembered, and tried for as long as it has no
/// neighbour.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Every contact failed.
    #[error("no contact could be reached: {}", list(.0))]
    Unreachable(Vec<(Multiaddr, String)>),
    /// No contact took the node as a neighbour in time.
    #[error("no neighbour within {waited:?}{}", and_list(.failures))]
    TimedOut {
        /// How long it took: the node's `join_wait`.
        waited: Duration,
        /// Contacts that failed meanwhile.
        failures: Vec<(Multiaddr, String)>,
    },
    /// Too many calls wait already; nothing changed.
    #[error("{WAITING} calls to join wait already")]
    Busy,
    /// The node has left or shut down.
    #[error("the node has ended")]
    Ended,
}

fn list(failures: &[(Multiaddr, String)]) -> String {
    let each = failures.iter().map(|(address, reason)| format!("{address}: {reason}"));
    each.collect::<Vec<_>>().join("; ")
}

fn and_list(failures: &[(Multiaddr, String)]) -> String {
    if failures.is_empty() { String::new() } else { format!("; {}", list(failures)) }
}

/// The contacts of a node and those who wait for it to join.
#[derive(Debug)]
pub(crate) struct Contacts {
    known: VecDeque<Multiaddr>,
    joining: Vec<Joining>,
    /// When the next round is due; `None` while there is a neighbour.
    next_round: Option<Instant>,
    pause: Duration,
}

#[derive(Debug)]
struct Joining {
    reply: oneshot::Sender<Result<(), JoinError>>,
    begun: Instant,
    deadline: Instant,
    untried: Vec<Multiaddr>,
    failures: Vec<(Multiaddr, String)>,
}

impl Contacts {
    /// For a node without a neighbour.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            known: VecDeque::new(),
            joining: Vec::new(),
            next_round: Some(now),
            pause: FIRST_PAUSE,
        }
    }

    /// Adds an address to try. Whether it is new.
    pub(crate) fn add(&mut self, address: Multiaddr) -> bool {
        if self.known.contains(&address) {
            return false;
        }
        if self.known.len() == CAPACITY {
            self.known.pop_front();
        }
        self.known.push_back(address);
        true
    }

    /// New hints while isolated are tried at once.
    pub(crate) fn hasten(&mut self, now: Instant) {
        if let Some(next) = &mut self.next_round {
            *next = now;
            self.pause = FIRST_PAUSE;
        }
    }

    /// Somebody waits for the node to join.
    pub(crate) fn wait(
        &mut self,
        contacts: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), JoinError>>,
        now: Instant,
        patience: Duration,
    ) {
        if self.joining.len() == WAITING {
            let _ = reply.send(Err(JoinError::Busy));
            return;
        }
        let (begun, deadline) = (now, now + patience);
        self.joining.push(Joining {
            reply,
            begun,
            deadline,
            untried: contacts,
            failures: Vec::new(),
        });
    }

    /// The first neighbour is there.
    pub(crate) fn joined(&mut self) {
        self.next_round = None;
        for joining in self.joining.drain(..) {
            let _ = joining.reply.send(Ok(()));
        }
    }

    /// The last neighbour is gone.
    pub(crate) fn isolated(&mut self, now: Instant) {
        self.next_round = Some(now);
        self.pause = FIRST_PAUSE;
    }

    /// A contact could not be reached.
    pub(crate) fn failed(&mut self, address: &Multiaddr, reason: &str) {
        for joining in &mut self.joining {
            if let Some(at) = joining.untried.iter().position(|untried| untried == address) {
                joining.untried.swap_remove(at);
                joining.failures.push((address.clone(), reason.to_owned()));
            }
        }
        self.settle(
            |joining| joining.untried.is_empty(),
            |_, failures| JoinError::Unreachable(failures),
        );
    }

    /// Tells those who waited long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        self.settle(
            |joining| joining.deadline <= now,
            |begun, failures| JoinError::TimedOut { waited: now.duration_since(begun), failures },
        );
    }

    fn settle(
        &mut self,
        which: impl Fn(&Joining) -> bool,
        why: impl Fn(Instant, Vec<(Multiaddr, String)>) -> JoinError,
    ) {
        while let Some(at) = self.joining.iter().position(&which) {
            let Joining { reply, begun, failures, .. } = self.joining.swap_remove(at);
            let _ = reply.send(Err(why(begun, failures)));
        }
    }

    /// When to call [`Contacts::round`].
    pub(crate) fn next_round(&self) -> Option<Instant> {
        self.next_round.filter(|_| !self.known.is_empty())
    }

    /// The addresses of a round that is due.
    pub(crate) fn round(&mut self, now: Instant) -> Vec<Multiaddr> {
        if self.next_round().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let mut rng = rand::rng();
        self.next_round = Some(now + self.pause.mul_f64(rand::random_range(0.5..1.5)));
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        self.known.iter().cloned().sample(&mut rng, ROUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_go_on_for_ever_and_ever_more_slowly_until_a_neighbour_is_there() {
        let mut now = Instant::now();
        let mut contacts = Contacts::new(now);
        assert_eq!(contacts.next_round(), None, "nobody to ask");
        for port in 1..=9 {
            assert!(contacts.add(address(port)));
        }
        assert!(!contacts.add(address(3)));
        let mut pauses = Vec::new();
        for _ in 0..1_000 {
            assert_eq!(contacts.round(now).len(), ROUND);
            assert_eq!(contacts.round(now).len(), 0);
            let next = contacts.next_round().expect("another round");
            pauses.push(next.duration_since(now));
            now = next;
        }
        assert!(pauses[0] < Duration::from_secs(1));
        assert!(pauses[100..].iter().all(|pause| *pause >= LONGEST_PAUSE / 2));
        assert!(pauses[100..].iter().all(|pause| *pause < LONGEST_PAUSE * 2));
        contacts.joined();
        assert_eq!(contacts.next_round(), None);
        contacts.isolated(now);
        assert_eq!(contacts.next_round(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_learns_how_it_went() {
        let now = Instant::now();
        let mut contacts = Contacts::new(now);
        let second = Duration::from_secs(1);
        let wait = |contacts: &mut Contacts, ports: &[u16]| {
            let (reply, answer) = oneshot::channel();
            contacts.wait(ports.iter().map(|port| address(*port)).collect(), reply, now, second);
            answer
        };
        let mut first = wait(&mut contacts, &[1, 2]);
        let mut other = wait(&mut contacts, &[2, 3]);
        contacts.failed(&address(1), "refused");
        assert!(first.try_recv().is_err(), "one is left");
        contacts.failed(&address(2), "refused");
        let failures = vec![(address(1), "refused".into()), (address(2), "refused".into())];
        assert_eq!(first.try_recv(), Ok(Err(JoinError::Unreachable(failures))));
        contacts.expire(now + second);
        let failures = vec![(address(2), "refused".into())];
        assert_eq!(other.try_recv(), Ok(Err(JoinError::TimedOut { waited: second, failures })));
        let mut third = wait(&mut contacts, &[4]);
        contacts.joined();
        assert_eq!(third.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn errors_name_the_addresses() {
        let error = JoinError::Unreachable(vec![(address(1), "refused".into())]);
        assert_eq!(error.to_string(), "no contact could be reached: /ip4/10.0.0.1/tcp/1: refused");
    }
}

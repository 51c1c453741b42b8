//! Whom to dial: the way in, and the way to those who may belong to another part of the overlay.
//!
//! Contacts come from whoever called join, from discovery and from the disk. All are hints, tried a few
//! at a time: those that failed least first, and of these the latest that each source found. Without a
//! neighbour rounds follow each other with a growing, jittered pause for as long as it takes. With
//! neighbours they go on, one each reunion interval, for addresses that did not answer since: whoever
//! answers is told to the membership, which exchanges a link with it. So an address is dialled until it
//! answers once, and then not again. One that fails is forgotten a day after it was last named, and at
//! once if the source that named it no longer does.
//!
//! A source tells all nodes of the same newcomer at once. Of those that know each other the one nearest
//! to the address (by rendezvous hashing) dials it first, the others an interval later each, and most
//! leave it to them.

use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::Multiaddr;
use rand::seq::SliceRandom;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::unreachable::DialFailure;
use crate::id::NodeId;

/// Addresses remembered: as many as a file names.
const CAPACITY: usize = 1_024;
/// Addresses dialled in a round, without a neighbour and with some.
const ROUND: usize = 16;
const ROUND_AMONG_NEIGHBORS: usize = 4;
/// Callers of join that wait at a time.
const WAITING: usize = 64;
/// The first pause between rounds, the longest while somebody waits, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE_WAITED: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long an address that fails is tried after it was last named.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Sources that do not say when an address is one no more: callers, the state on disk, and nodes that
/// answered in another's place.
const OWN: [&str; 3] = ["join", "disk", "moved"];
/// Nodes known that are nearer to an address, from which on it is left to them.
const NEARER: u32 = 4;

/// Why a node did not join. Its contacts are remembered, and tried all the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Every contact failed, for as long as the node's `join_wait`.
    #[error("no contact could be reached: {}", list(.0))]
    Unreachable(Vec<(Multiaddr, DialFailure)>),
    /// No contact took the node as a neighbour in time.
    #[error("no contact accepted this node as a neighbour within {waited:?}{}", and_list(.failures))]
    TimedOut {
        /// How long it took: the node's `join_wait`.
        waited: Duration,
        /// Contacts that failed meanwhile.
        failures: Vec<(Multiaddr, DialFailure)>,
    },
    /// Too many calls wait already. This one's contacts are tried all the same.
    #[error("{WAITING} calls to join are waiting already, which is the limit")]
    Busy,
    /// The node has left or shut down.
    #[error("the node has ended")]
    Ended,
}

fn list(failures: &[(Multiaddr, DialFailure)]) -> String {
    let each = failures.iter().map(|(address, reason)| format!("{address}: {reason}"));
    each.collect::<Vec<_>>().join("; ")
}

fn and_list(failures: &[(Multiaddr, DialFailure)]) -> String {
    if failures.is_empty() { String::new() } else { format!("; {}", list(failures)) }
}

/// The contacts of a node and those who wait for it to join.
#[derive(Debug)]
pub(crate) struct Contacts {
    me: NodeId,
    known: BTreeMap<Multiaddr, Entry>,
    joining: Vec<Joining>,
    has_neighbor: bool,
    next_round: Instant,
    pause: Duration,
    /// The longest pause between rounds with neighbours; `None`: there are none.
    reunion: Option<Duration>,
}

#[derive(Debug)]
struct Entry {
    /// Who named it last, and when.
    source: &'static str,
    named: Instant,
    /// The source still names it.
    current: bool,
    /// In a row.
    failures: u32,
    /// It answered since it was named, or since this node was alone; or it is this node's own.
    answered: bool,
}

#[derive(Debug)]
struct Joining {
    reply: oneshot::Sender<Result<(), JoinError>>,
    begun: Instant,
    deadline: Instant,
    contacts: Vec<Multiaddr>,
    failures: Vec<(Multiaddr, DialFailure)>,
}

impl Contacts {
    /// For a node without a neighbour.
    pub(crate) fn new(me: NodeId, reunion: Option<Duration>, now: Instant) -> Self {
        Self {
            me,
            known: BTreeMap::new(),
            joining: Vec::new(),
            has_neighbor: false,
            next_round: now,
            pause: FIRST_PAUSE,
            reunion,
        }
    }

    /// What a source names now, and all it names, if it tells that.
    pub(crate) fn found(&mut self, source: &'static str, found: &[Multiaddr], now: Instant) {
        for entry in self.known.values_mut().filter(|entry| entry.source == source) {
            entry.current = false;
        }
        for address in found {
            self.add(source, address.clone(), now);
        }
    }

    /// Somebody names an address.
    pub(crate) fn add(&mut self, source: &'static str, address: Multiaddr, now: Instant) {
        if let Some(entry) = self.known.get_mut(&address) {
            (entry.source, entry.current) = (source, true);
            return;
        }
        if self.known.len() >= CAPACITY {
            // The least hopeful, and of these the one named longest ago.
            let worst = self.known.iter().max_by_key(|(_, entry)| {
                (!entry.current, entry.failures, std::cmp::Reverse(entry.named))
            });
            if let Some(address) = worst.map(|(address, _)| address.clone()) {
                self.known.remove(&address);
            }
        }
        let entry = Entry { source, named: now, current: true, failures: 0, answered: false };
        self.known.insert(address, entry);
        // It need not wait for the others.
        let within = self.reunion.unwrap_or_default() / 8;
        let wait = if self.has_neighbor { within.mul_f64(rand::random()) } else { Duration::ZERO };
        self.next_round = self.next_round.min(now + wait);
        self.pause = FIRST_PAUSE;
    }

    /// Somebody asks for these, now.
    pub(crate) fn ask(&mut self, contacts: &[Multiaddr], now: Instant) {
        for address in contacts {
            self.known.remove(address);
            self.add("join", address.clone(), now);
        }
    }

    /// Somebody waits for the node to join.
    pub(crate) fn wait(
        &mut self,
        contacts: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), JoinError>>,
        now: Instant,
        limit: Duration,
    ) {
        self.joining.retain(|joining| !joining.reply.is_closed());
        if self.joining.len() == WAITING {
            let _ = reply.send(Err(JoinError::Busy));
            return;
        }
        let (begun, deadline) = (now, now + limit);
        self.joining.push(Joining { reply, begun, deadline, contacts, failures: Vec::new() });
        self.pause = FIRST_PAUSE;
        // Its contacts are dialled by whoever says so; this is for those that fail.
        self.next_round = self.next_round.min(now + FIRST_PAUSE);
    }

    /// The first neighbour is there.
    pub(crate) fn joined(&mut self, now: Instant) {
        self.has_neighbor = true;
        self.plan(now);
        self.tell(|_| true);
    }

    /// The last neighbour is gone.
    pub(crate) fn isolated(&mut self, now: Instant) {
        self.has_neighbor = false;
        self.known.values_mut().for_each(|entry| entry.answered = false);
        self.next_round = now;
        self.pause = FIRST_PAUSE;
    }

    /// Somebody answers there, whom the membership is told of.
    pub(crate) fn answered(&mut self, address: &Multiaddr) {
        if let Some(entry) = self.known.get_mut(address) {
            (entry.answered, entry.failures) = (true, 0);
        }
        if self.has_neighbor {
            self.tell(|joining| joining.contacts.contains(address));
        }
    }

    /// Tells those callers that their join has come to its end.
    fn tell(&mut self, which: impl Fn(&Joining) -> bool) {
        while let Some(at) = self.joining.iter().position(&which) {
            let _ = self.joining.swap_remove(at).reply.send(Ok(()));
        }
    }

    /// This node itself answers there. Whoever listed it meant the others.
    pub(crate) fn is_self(&mut self, address: &Multiaddr) {
        if let Some(entry) = self.known.get_mut(address) {
            // Kept, so that the next that names it is not believed.
            (entry.answered, entry.failures) = (true, u32::MAX);
        }
        for joining in &mut self.joining {
            joining.contacts.retain(|contact| contact != address);
        }
        self.tell(|joining| joining.contacts.is_empty());
    }

    /// A contact could not be reached. Whether that is news.
    pub(crate) fn failed(
        &mut self,
        address: &Multiaddr,
        reason: &DialFailure,
        now: Instant,
    ) -> bool {
        let mut is_news = !self.has_neighbor;
        if let Some(entry) = self.known.get_mut(address) {
            entry.failures = entry.failures.saturating_add(1);
            is_news |= entry.failures == 1;
            let old = now.duration_since(entry.named) > GIVEN_UP_AFTER;
            if !entry.current || (old && OWN.contains(&entry.source)) {
                self.known.remove(address);
            }
        }
        for joining in self.joining.iter_mut().filter(|j| j.contacts.contains(address)) {
            joining.failures.retain(|(failed, _)| failed != address);
            joining.failures.push((address.clone(), reason.clone()));
        }
        is_news
    }

    /// When to call [`Contacts::expire`].
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.joining.iter().map(|joining| joining.deadline).min()
    }

    /// Tells those who waited long enough.
    pub(crate) fn expire(&mut self, now: Instant) {
        while let Some(at) = self.joining.iter().position(|joining| joining.deadline <= now) {
            let Joining { reply, begun, contacts, failures, .. } = self.joining.swap_remove(at);
            let why = if contacts.len() == failures.len() {
                JoinError::Unreachable(failures)
            } else {
                JoinError::TimedOut { waited: now.duration_since(begun), failures }
            };
            let _ = reply.send(Err(why));
        }
    }

    /// When to call [`Contacts::round`].
    pub(crate) fn next_round(&self) -> Option<Instant> {
        let tried =
            |entry: &Entry| entry.failures < u32::MAX && !(self.has_neighbor && entry.answered);
        let goes_on = !self.has_neighbor || self.reunion.is_some();
        (goes_on && self.known.values().any(tried)).then_some(self.next_round)
    }

    fn plan(&mut self, now: Instant) {
        let pause = match self.reunion {
            Some(interval) if self.has_neighbor && self.joining.is_empty() => {
                interval.mul_f64(rand::random_range(0.5..1.0))
            }
            _ => self.pause.mul_f64(rand::random_range(0.5..1.5)),
        };
        self.next_round = now + pause;
    }

    /// The addresses of a round that is due, for a node that knows these others.
    pub(crate) fn round(&mut self, now: Instant, others: &[NodeId]) -> Vec<Multiaddr> {
        if self.next_round().is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.plan(now);
        let mut due: Vec<_> = self
            .known
            .iter()
            .filter(|(address, entry)| self.is_due(address, entry, now, others))
            .collect();
        due.shuffle(&mut rand::rng());
        due.sort_by_key(|(_, entry)| (entry.failures, std::cmp::Reverse(entry.named)));
        // In turn from each source, so that none with many keeps another waiting.
        let mut of_source = BTreeMap::new();
        let mut turns: Vec<_> = due
            .into_iter()
            .map(|(address, entry)| {
                let turn = of_source.entry(entry.source).or_insert(0);
                *turn += 1;
                (entry.failures, *turn, address.clone())
            })
            .collect();
        turns.sort_by_key(|(failures, turn, _)| (*failures, *turn));
        let untried = turns.iter().filter(|(failures, ..)| *failures == 0).count();
        let size = if self.has_neighbor { ROUND_AMONG_NEIGHBORS } else { ROUND };
        if untried <= size {
            let longest = LONGEST_PAUSE.min(self.reunion.unwrap_or(LONGEST_PAUSE));
            let waited = !self.joining.is_empty();
            let longest = if waited { LONGEST_PAUSE_WAITED } else { longest };
            self.pause = (self.pause * 2).min(longest);
        }
        turns.into_iter().take(size).map(|(.., address)| address).collect()
    }

    fn is_due(&self, address: &Multiaddr, entry: &Entry, now: Instant, others: &[NodeId]) -> bool {
        if entry.failures == u32::MAX {
            return false;
        }
        let Some(interval) = self.reunion.filter(|_| self.has_neighbor) else { return true };
        if entry.answered {
            return false;
        }
        let mine = weight(address, &self.me);
        let nearer = others.iter().filter(|other| weight(address, other) < mine).count();
        let nearer = u32::try_from(nearer).unwrap_or(u32::MAX);
        OWN.contains(&entry.source)
            || nearer < NEARER && now.duration_since(entry.named) >= interval * nearer
    }
}

/// The weight of a node for an address in rendezvous hashing (Thaler and Ravishankar 1998), by FNV-1a.
fn weight(address: &Multiaddr, node: &NodeId) -> u64 {
    let key = node.to_bytes();
    let bytes = address.as_ref().iter().chain(&key);
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> Multiaddr {
        format!("/ip4/10.0.0.1/tcp/{port}").parse().expect("an address")
    }

    fn node(n: u8) -> NodeId {
        NodeId::from_bytes([n; 32])
    }

    fn failure(text: &str) -> DialFailure {
        DialFailure::Other(text.into())
    }

    const INTERVAL: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn callers_that_gave_up_leave_their_places_to_others() {
        let now = Instant::now();
        let mut contacts = alone(now);
        for _ in 0..WAITING {
            drop(join(&mut contacts, now));
        }
        let mut waits: Vec<_> = (0..WAITING).map(|_| join(&mut contacts, now)).collect();
        assert!(waits.iter_mut().all(|joined| joined.try_recv().is_err()));
        assert_eq!(join(&mut contacts, now).try_recv(), Ok(Err(JoinError::Busy)));
    }

    fn join(contacts: &mut Contacts, now: Instant) -> oneshot::Receiver<Result<(), JoinError>> {
        let (reply, joined) = oneshot::channel();
        contacts.wait(vec![address(1)], reply, now, INTERVAL);
        joined
    }

    fn alone(now: Instant) -> Contacts {
        Contacts::new(node(0), Some(INTERVAL), now)
    }

    #[tokio::test(start_paused = true)]
    async fn rounds_go_on_for_ever_and_ever_more_slowly_until_a_neighbour_is_there() {
        let mut now = Instant::now();
        let mut contacts = alone(now);
        assert_eq!(contacts.next_round(), None, "nobody to ask");
        for port in 1..=40 {
            contacts.add("file", address(port), now);
        }
        let mut pauses = Vec::new();
        for _ in 0..1_000 {
            let round = contacts.round(now, &[]);
            assert_eq!(round.len(), ROUND);
            for address in &round {
                contacts.failed(address, &failure("refused"), now);
            }
            assert_eq!(contacts.round(now, &[]).len(), 0);
            let next = contacts.next_round().expect("another round");
            pauses.push(next.duration_since(now));
            now = next;
        }
        assert!(pauses[..2].iter().all(|pause| *pause < FIRST_PAUSE * 2), "some are untried");
        assert!(pauses[100..].iter().all(|pause| *pause >= LONGEST_PAUSE / 2));
        assert!(pauses[100..].iter().all(|pause| *pause < LONGEST_PAUSE * 2));
        contacts.isolated(now);
        assert_eq!(contacts.next_round(), Some(now));
    }

    #[tokio::test(start_paused = true)]
    async fn the_latest_of_each_source_come_first_and_what_failed_last() {
        let mut now = Instant::now();
        let mut contacts = alone(now);
        let dead: Vec<_> = (1..=250).map(address).collect();
        contacts.found("file", &dead, now);
        for _ in 0..3 {
            for address in contacts.round(now, &[]) {
                contacts.failed(&address, &failure("refused"), now);
            }
            now = contacts.next_round().expect("another round");
        }
        contacts.found("file", &[address(999)], now);
        contacts.found("dns", &[address(998)], now);
        let round = contacts.round(now, &[]);
        assert!(round[..2].contains(&address(999)) && round[..2].contains(&address(998)));
        for _ in 0..30 {
            now += LONGEST_PAUSE * 2;
            for address in contacts.round(now, &[]) {
                contacts.failed(&address, &failure("refused"), now);
            }
        }
        assert_eq!(contacts.known.len(), 2, "nobody names the dead any more");
    }

    #[tokio::test(start_paused = true)]
    async fn with_neighbours_each_is_tried_until_it_answers_once() {
        let mut now = Instant::now();
        let mut contacts = alone(now);
        contacts.found("file", &[address(1), address(2), address(3)], now);
        contacts.joined(now);
        contacts.answered(&address(1));
        now += INTERVAL;
        let mut round = contacts.round(now, &[]);
        round.sort();
        assert_eq!(round, [address(2), address(3)]);
        contacts.answered(&address(2));
        contacts.failed(&address(3), &failure("refused"), now);
        let next = contacts.next_round().expect("one is left");
        assert!((INTERVAL / 2..=INTERVAL).contains(&next.duration_since(now)));
        assert_eq!(contacts.round(next, &[]), [address(3)]);
        contacts.answered(&address(3));
        contacts.found("file", &[address(1), address(2), address(3)], now);
        assert_eq!(contacts.next_round(), None, "all have answered");
        contacts.ask(&[address(1)], now);
        assert!(contacts.next_round().is_some(), "somebody wants it again");
        contacts.isolated(now);
        assert_eq!(contacts.round(now, &[]).len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_is_dialled_by_the_nearest_first_and_by_few() {
        let begun = Instant::now();
        let nodes: Vec<_> = (0..36).map(node).collect();
        let mut dials = Vec::new();
        for me in &nodes {
            let mut contacts = Contacts::new(*me, Some(INTERVAL), begun);
            contacts.joined(begun);
            contacts.found("dns", &[address(7)], begun);
            let others: Vec<_> = nodes.iter().copied().filter(|other| other != me).collect();
            for interval in 1..40 {
                let now = begun + INTERVAL * interval;
                for address in contacts.round(now, &others) {
                    dials.push(interval);
                    contacts.answered(&address);
                }
            }
        }
        dials.sort_unstable();
        assert_eq!(dials, [1, 1, 2, 3], "the nearest after none and one interval, then one each");
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_learns_how_it_went_once_it_has_waited() {
        let now = Instant::now();
        let mut contacts = alone(now);
        let second = Duration::from_secs(1);
        let wait = |contacts: &mut Contacts, ports: &[u16]| {
            let (reply, answer) = oneshot::channel();
            contacts.wait(ports.iter().map(|port| address(*port)).collect(), reply, now, second);
            answer
        };
        let mut first = wait(&mut contacts, &[1, 2]);
        let mut other = wait(&mut contacts, &[2, 3]);
        let mut own = wait(&mut contacts, &[5]);
        contacts.is_self(&address(5));
        assert_eq!(own.try_recv(), Ok(Ok(())), "whoever lists only itself founds an overlay");
        contacts.failed(&address(1), &failure("refused"), now);
        contacts.failed(&address(2), &failure("refused"), now);
        contacts.failed(&address(2), &failure("reset"), now);
        assert!(first.try_recv().is_err(), "they may come yet");
        contacts.expire(now + second);
        let failures = vec![(address(1), failure("refused")), (address(2), failure("reset"))];
        assert_eq!(first.try_recv(), Ok(Err(JoinError::Unreachable(failures))));
        let failures = vec![(address(2), failure("reset"))];
        assert_eq!(other.try_recv(), Ok(Err(JoinError::TimedOut { waited: second, failures })));
        let mut third = wait(&mut contacts, &[4]);
        contacts.joined(now);
        assert_eq!(third.try_recv(), Ok(Ok(())));
    }

    #[test]
    fn errors_name_the_addresses() {
        let error = JoinError::Unreachable(vec![(address(1), failure("refused"))]);
        assert_eq!(error.to_string(), "no contact could be reached: /ip4/10.0.0.1/tcp/1: refused");
    }
}

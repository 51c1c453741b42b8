//! The peers, payloads and configurations of the hostile lives.

use std::sync::Arc;
use std::time::Duration;

use murmurate::broadcast::anti_entropy::{self, Part, Span, Summary};
use murmurate::broadcast::plumtree::{Announcement, Announcements};
use murmurate::broadcast::{Id, Payload, flood, plumtree};
use murmurate::membership::{self, hyparview};
use proptest::prelude::*;

use super::rules::Tally;

/// A peer as small as they come: node and incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Node(pub(crate) u16, pub(crate) u8);

impl membership::Peer for Node {
    type Node = u16;
    fn node(self) -> u16 {
        self.0
    }
}

/// The peer under test, in the middle of all ids so that ties go both ways.
pub(crate) const ME: Node = Node(6, 2);

/// Names of an origin.
pub(crate) const NAMES: u32 = 512;

/// A broadcast's name. Each origin has [`NAMES`]; what is drawn at random is mostly of another origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(pub(crate) u32);

impl Id for Name {
    type Origin = u32;
    fn origin(self) -> u32 {
        self.0 / NAMES
    }
    fn sequence(self) -> u64 {
        (self.0 % NAMES).into()
    }
}

/// A payload that only has a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) u16);

impl Payload for Blob {
    fn size(&self) -> usize {
        self.0.into()
    }
}

/// What is said to a broadcast layer, before it is put in a strategy's words.
#[derive(Debug, Clone)]
pub(crate) enum Chat {
    Gossip { id: u32, round: u16, size: u16 },
    IHave { first: u32, count: u16, round: u16 },
    Graft { missing: Option<(u32, u16)> },
    Prune,
    Fetch { id: u32, round: u16 },
    Repair { id: u32, round: u16, size: u16 },
    Compare { uptime: u32, parts: Vec<Where> },
    Have { uptime: u32, parts: Vec<Where>, origins: Vec<Run>, sure: u16, answer: bool },
    Want { spans: Vec<Run> },
    Reply { id: u32, round: u16, age: u32, size: u16 },
}

/// A part of all origins, this deep, and what is said to be in it.
pub(crate) type Where = (u8, u8, u64);
/// An origin, and from where to where.
pub(crate) type Run = (u32, u64, u64);

fn part(&(depth, pick, _): &Where) -> Part {
    let deeper = |part: Part| part.split()?.nth(usize::from(pick) % 16);
    (0..depth).try_fold(Part::ALL, |part, _| deeper(part)).unwrap_or(Part::ALL)
}

fn spans(runs: &[Run]) -> thin_vec::ThinVec<Span<u32>> {
    runs.iter().map(|&(origin, from, to)| Span { origin, from, to }).collect()
}

/// What the host must know of a broadcast strategy's messages.
pub(crate) trait Speech: Sized {
    /// `None` if the strategy has no such message.
    fn of(chat: &Chat) -> Option<Self>;
    /// Announcements in it.
    fn announcements(&self) -> usize {
        0
    }
    fn is_graft(&self) -> bool {
        false
    }
    fn is_prune(&self) -> bool {
        false
    }
    /// Where it counts, of what neighbours say to compare.
    fn exchange<'a>(&self, _tally: &'a mut Tally) -> Option<&'a mut usize> {
        None
    }
    /// Whether many payloads may be its answer.
    fn is_want(&self) -> bool {
        false
    }
}

impl<M: Speech> Speech for anti_entropy::Message<M, u32, Name, Blob> {
    fn of(chat: &Chat) -> Option<Self> {
        Some(match chat {
            Chat::Compare { uptime, parts } => {
                let summary = |at: &Where| Summary { part: part(at), digest: at.2.to_le_bytes() };
                Self::Compare { uptime: *uptime, parts: parts.iter().map(summary).collect() }
            }
            Chat::Have { uptime, parts, origins, sure, answer } => Self::Have {
                uptime: *uptime,
                parts: parts.iter().map(part).collect(),
                origins: spans(origins),
                sure: *sure,
                answer: *answer,
            },
            Chat::Want { spans: runs } => Self::Want(spans(runs)),
            &Chat::Reply { id, round, age, size } => {
                Self::Reply { id: Name(id), round, age, payload: Blob(size) }
            }
            chat => Self::Inner(M::of(chat)?),
        })
    }

    fn announcements(&self) -> usize {
        if let Self::Inner(message) = self { message.announcements() } else { 0 }
    }

    fn is_graft(&self) -> bool {
        matches!(self, Self::Inner(message) if message.is_graft())
    }

    fn is_prune(&self) -> bool {
        matches!(self, Self::Inner(message) if message.is_prune())
    }

    fn exchange<'a>(&self, tally: &'a mut Tally) -> Option<&'a mut usize> {
        match self {
            Self::Inner(_) => None,
            Self::Compare { .. } => Some(&mut tally.compares),
            Self::Have { .. } => Some(&mut tally.haves),
            Self::Want(_) => Some(&mut tally.wants),
            Self::Reply { .. } => Some(&mut tally.replies),
        }
    }

    fn is_want(&self) -> bool {
        matches!(self, Self::Want(_))
    }
}

impl Speech for plumtree::Message<Name, Blob> {
    fn of(chat: &Chat) -> Option<Self> {
        Some(match *chat {
            Chat::Gossip { id, round, size } => {
                Self::Gossip { id: Name(id), round, payload: Blob(size) }
            }
            Chat::IHave { first, count, round } => {
                let ids = (0..u32::from(count)).map(|n| first.wrapping_add(n));
                Self::IHave(
                    ids.map(|id| Announcement { id: Name(id), round })
                        .collect::<Announcements<_>>(),
                )
            }
            Chat::Graft { missing } => Self::Graft {
                missing: missing.map(|(id, round)| Announcement { id: Name(id), round }),
            },
            Chat::Prune => Self::Prune,
            Chat::Fetch { id, round } => Self::Fetch(Announcement { id: Name(id), round }),
            Chat::Repair { id, round, size } => {
                Self::Repair { id: Name(id), round, payload: Blob(size) }
            }
            _ => return None,
        })
    }

    fn announcements(&self) -> usize {
        if let Self::IHave(batch) = self { batch.as_slice().len() } else { 0 }
    }

    fn is_graft(&self) -> bool {
        matches!(self, Self::Graft { .. } | Self::Fetch(_))
    }

    fn is_prune(&self) -> bool {
        matches!(self, Self::Prune)
    }
}

impl Speech for flood::Message<Name, Blob> {
    fn of(chat: &Chat) -> Option<Self> {
        match *chat {
            Chat::Gossip { id, round, size } => {
                Some(Self { id: Name(id), round, payload: Blob(size) })
            }
            _ => None,
        }
    }
}

/// A drawn configuration, checked.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) membership: hyparview::Parameters,
    pub(crate) broadcast: plumtree::Parameters,
    pub(crate) anti_entropy: anti_entropy::Parameters,
    pub(crate) seed: u64,
}

impl Setup {
    pub(crate) fn hyparview(&self) -> Arc<hyparview::Config> {
        Arc::new(self.membership.clone().check().expect("drawn within the ranges"))
    }

    pub(crate) fn plumtree(&self) -> Arc<plumtree::Config> {
        Arc::new(self.broadcast.clone().check().expect("drawn within the ranges"))
    }

    pub(crate) fn anti_entropy(&self) -> Arc<anti_entropy::Config> {
        Arc::new(self.anti_entropy.clone().check().expect("drawn within the ranges"))
    }

    pub(crate) fn flood(&self) -> Arc<flood::Config> {
        let parameters = flood::Parameters {
            seen_capacity: self.broadcast.seen_capacity,
            hop_limit: self.broadcast.hop_limit,
            ..flood::Parameters::default()
        };
        Arc::new(parameters.check().expect("drawn within the ranges"))
    }
}

/// Any time a configuration may hold, mostly sensible ones.
fn any_time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        12 => (1..20_000u64).prop_map(Duration::from_millis),
        1 => Just(Duration::from_millis(1)),
        1 => Just(Duration::MAX),
    ]
}

fn any_membership() -> impl Strategy<Value = hyparview::Parameters> {
    let sizes = (1..7usize, 0..8usize, 1..9u8, 0..9u8, 0..6usize, 0..6usize, 1..9u8, 0..10u8);
    let or_off = || proptest::option::of(any_time());
    let times = (any_time(), any_time(), or_off(), any_time(), any_time(), or_off());
    (sizes, times, 1..5u8, 1..5usize).prop_map(|(sizes, times, misses, contacts)| {
        let (active, more, walk, passive_walk, ka, kp, shuffle_walk, reactive) = sizes;
        hyparview::Parameters {
            active_capacity: active,
            passive_capacity: active + more,
            active_walk_length: walk,
            passive_walk_length: passive_walk.min(walk),
            shuffle_active: ka,
            shuffle_passive: kp,
            shuffle_walk_length: shuffle_walk,
            shuffle_interval: times.0,
            reactive_shuffles: reactive,
            keepalive_interval: times.1,
            keepalive_misses: misses,
            promotion_interval: times.2,
            reunion_interval: times.5,
            request_timeout: times.3,
            rejoin_pause: times.4,
            contacts_capacity: contacts,
        }
    })
}

fn any_broadcast() -> impl Strategy<Value = plumtree::Parameters> {
    // Tiny ones, and larger than the names of an origin.
    let seen = prop_oneof![6 => 1..20usize, 6 => 100..300usize, 1 => Just(5_000usize)];
    let interval = prop_oneof![Just(Duration::ZERO), any_time()];
    let missing = prop_oneof![8 => 1..40usize, 1 => Just(3_000usize)];
    let threshold = proptest::option::of(prop_oneof![1..9u16, Just(u16::MAX)]);
    let limits = (seen, 1..300usize, 1..100_000usize, missing);
    let attempts = (prop_oneof![1..9u8, Just(u8::MAX)], any::<bool>(), any_time());
    (limits, any_time(), any_time(), interval, threshold, attempts).prop_map(
        |(
            (seen, payloads, bytes, missing),
            timeout,
            retry,
            interval,
            threshold,
            (attempts, mend, least),
        )| {
            plumtree::Parameters {
                graft_timeout: timeout,
                least_graft_timeout: least.min(timeout),
                graft_retry: retry,
                graft_attempts: attempts,
                mend_at_once: mend,
                ihave_interval: interval,
                optimization_threshold: threshold,
                seen_capacity: seen,
                origins_capacity: 16,
                origin_idle: least,
                hop_limit: 64_000,
                payload_capacity: payloads,
                payload_bytes: bytes,
                missing_capacity: missing,
            }
        },
    )
}

fn any_anti_entropy() -> impl Strategy<Value = anti_entropy::Parameters> {
    let times = (any_time(), any_time(), any_time(), any_time());
    let kept = (1..300usize, 1..1_000_000usize, 1..40usize, 1..1_000_000usize);
    (times, kept, any::<bool>()).prop_map(|(times, kept, catch_up)| anti_entropy::Parameters {
        exchange_interval: times.0,
        fetch_after: times.1,
        give_up_after: times.2,
        retention: times.3.max(times.1),
        retained: kept.0,
        retained_bytes: kept.1,
        batch: kept.2,
        reply_bytes: kept.3,
        catch_up,
    })
}

pub(crate) fn any_setup() -> impl Strategy<Value = Setup> {
    (any_membership(), any_broadcast(), any_anti_entropy(), any::<u64>()).prop_map(
        |(membership, broadcast, anti_entropy, seed)| Setup {
            membership,
            broadcast,
            anti_entropy,
            seed,
        },
    )
}

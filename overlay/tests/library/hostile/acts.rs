//! What happens in a hostile life. Acts name peers, links and timers by their place in the peer's
//! present state, so that lies stand beside words that fit: real links come about.

use std::time::Duration;

use proptest::prelude::*;

use super::setup::{Chat, NAMES, Run, Where};

/// One input, before it is put in terms of the present state.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Join(Vec<Who>),
    /// The peer asked earlier answers with the number of the request.
    Answer {
        pick: u8,
        how: Answer,
    },
    Hear(Who, Talk),
    Chat(Who, Chat),
    /// The timer armed at `pick`, this much too late.
    Expire {
        pick: u8,
        late: Duration,
    },
    LinkDown(Who),
    Publish {
        id: u32,
        size: u16,
    },
    Leave,
    /// Time passes, however many timers are due.
    Pass(Duration),
    /// It is this many nanoseconds before the end of time.
    Doomsday(u64),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    Me {
        incarnation: u8,
    },
    /// A present neighbour, or its incarnation this much later (or earlier).
    Linked {
        pick: u8,
        later: i8,
    },
    Asked {
        pick: u8,
    },
    Node {
        node: u16,
        incarnation: u8,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Accept {
        evicted: Option<Who>,
    },
    Reject,
    Disconnect {
        leaving: bool,
    },
    /// No answer but a request of its own: both asked at once.
    Neighbor {
        link: u16,
    },
}

/// Whose number a message carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Number {
    /// Of the agreed link with the sender.
    Link,
    /// Of the request to the sender.
    Request,
    Any(u16),
}

/// A list of peers, expanded only when it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) len: u16,
    pub(crate) nodes: u16,
    pub(crate) seed: u64,
}

#[derive(Debug, Clone)]
pub(crate) enum Talk {
    Join(Number),
    ForwardJoin { joiner: Who, ttl: u8 },
    Neighbor { link: Number, high: bool, spare: Option<Who> },
    Accept { link: Number, evicted: Option<Who> },
    Reject(Number),
    Disconnect { link: Number, leaving: bool, instead: Option<Who> },
    Shuffle { origin: Who, ttl: u8, sample: Sample },
    ShuffleReply(Sample),
    Keepalive(Number),
}

fn who() -> impl Strategy<Value = Who> + Clone {
    prop_oneof![
        1 => any::<u8>().prop_map(|incarnation| Who::Me { incarnation }),
        8 => any::<u8>().prop_map(|pick| Who::Linked { pick, later: 0 }),
        1 => (any::<u8>(), -2..3i8).prop_map(|(pick, later)| Who::Linked { pick, later }),
        2 => any::<u8>().prop_map(|pick| Who::Asked { pick }),
        8 => (0..12u16, 0..3u8).prop_map(|(node, incarnation)| Who::Node { node, incarnation }),
        1 => (any::<u16>(), any::<u8>())
            .prop_map(|(node, incarnation)| Who::Node { node, incarnation }),
    ]
    .boxed()
}

fn number() -> impl Strategy<Value = Number> + Clone {
    prop_oneof![
        4 => Just(Number::Link),
        2 => Just(Number::Request),
        2 => (0..6u16).prop_map(Number::Any),
        1 => Just(Number::Any(u16::MAX)),
        1 => any::<u16>().prop_map(Number::Any),
    ]
    .boxed()
}

fn ttl() -> impl Strategy<Value = u8> + Clone {
    prop_oneof![4 => 0..8u8, 1 => any::<u8>(), 1 => Just(u8::MAX)].boxed()
}

fn sample() -> impl Strategy<Value = Sample> {
    let len = prop_oneof![8 => 0..12u16, 1 => 0..2_001u16];
    let nodes = prop_oneof![3 => Just(12u16), 2 => Just(40u16), 1 => Just(u16::MAX)];
    (len, nodes, any::<u64>()).prop_map(|(len, nodes, seed)| Sample { len, nodes, seed })
}

fn talk() -> impl Strategy<Value = Talk> {
    let maybe = || proptest::option::of(who());
    prop_oneof![
        3 => number().prop_map(Talk::Join),
        3 => (who(), ttl()).prop_map(|(joiner, ttl)| Talk::ForwardJoin { joiner, ttl }),
        5 => (number(), any::<bool>(), maybe())
            .prop_map(|(link, high, spare)| Talk::Neighbor { link, high, spare }),
        2 => (number(), maybe()).prop_map(|(link, evicted)| Talk::Accept { link, evicted }),
        2 => number().prop_map(Talk::Reject),
        3 => (number(), any::<bool>(), maybe())
            .prop_map(|(link, leaving, instead)| Talk::Disconnect { link, leaving, instead }),
        2 => (who(), ttl(), sample())
            .prop_map(|(origin, ttl, sample)| Talk::Shuffle { origin, ttl, sample }),
        2 => sample().prop_map(Talk::ShuffleReply),
        2 => number().prop_map(Talk::Keepalive),
    ]
}

/// Few names, so that the same broadcast is met again; neighbours forge this peer's as well.
fn id() -> impl Strategy<Value = u32> + Clone {
    prop_oneof![12 => 0..40u32, 2 => 0..400u32, 1 => any::<u32>()].boxed()
}

fn round() -> impl Strategy<Value = u16> + Clone {
    prop_oneof![4 => 0..20u16, 1 => Just(u16::MAX), 1 => any::<u16>()].boxed()
}

fn chat() -> impl Strategy<Value = Chat> {
    let count = prop_oneof![6 => Just(1u16), 3 => 0..30u16, 1 => 0..5_000u16];
    let missing = proptest::option::of((id(), round()));
    prop_oneof![
        8 => (id(), round(), any::<u16>())
            .prop_map(|(id, round, size)| Chat::Gossip { id, round, size }),
        4 => (id(), count, round())
            .prop_map(|(first, count, round)| Chat::IHave { first, count, round }),
        2 => missing.prop_map(|missing| Chat::Graft { missing }),
        2 => Just(Chat::Prune),
        2 => (id(), round()).prop_map(|(id, round)| Chat::Fetch { id, round }),
        4 => (id(), round(), any::<u16>())
            .prop_map(|(id, round, size)| Chat::Repair { id, round, size }),
        6 => exchange(),
    ]
}

fn exchange() -> impl Strategy<Value = Chat> {
    let uptime = || prop_oneof![3 => 0..60_000u32, 1 => Just(u32::MAX), 1 => any::<u32>()];
    let parts = || prop_oneof![3 => places(1..3), 1 => places(0..300)];
    let origins = || prop_oneof![3 => runs(0..4), 1 => runs(0..300)];
    let have = (uptime(), parts(), origins(), 0..400u16, any::<bool>());
    prop_oneof![
        2 => (uptime(), parts()).prop_map(|(uptime, parts)| Chat::Compare { uptime, parts }),
        3 => have.prop_map(|(uptime, parts, origins, sure, answer)| {
            Chat::Have { uptime, parts, origins, sure, answer }
        }),
        2 => origins().prop_map(|spans| Chat::Want { spans }),
        3 => (id(), round(), uptime(), any::<u16>())
            .prop_map(|(id, round, age, size)| Chat::Reply { id, round, age, size }),
    ]
}

fn places(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Where>> {
    let depth = prop_oneof![6 => Just(0u8), 1 => 0..12u8];
    proptest::collection::vec((depth, any::<u8>(), any::<u64>()), count)
}

/// Of the origins that names are drawn from, in order and not.
fn runs(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Run>> {
    let origin = prop_oneof![8 => Just(0u32), 1 => 0..20u32, 1 => any::<u32>()];
    let bound = || prop_oneof![8 => 0..50u64, 1 => 0..600u64, 1 => any::<u64>()];
    proptest::collection::vec((origin, bound(), bound()), count)
}

fn answer() -> impl Strategy<Value = Answer> {
    prop_oneof![
        8 => proptest::option::of(who()).prop_map(|evicted| Answer::Accept { evicted }),
        2 => Just(Answer::Reject),
        1 => any::<bool>().prop_map(|leaving| Answer::Disconnect { leaving }),
        1 => any::<u16>().prop_map(|link| Answer::Neighbor { link }),
    ]
}

fn wait() -> impl Strategy<Value = Duration> + Clone {
    prop_oneof![
        4 => Just(Duration::ZERO),
        4 => (0..3_000u64).prop_map(Duration::from_millis),
        1 => (0..100_000u64).prop_map(Duration::from_secs),
    ]
    .boxed()
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => proptest::collection::vec(who(), 0..8).prop_map(Act::Join),
        16 => (any::<u8>(), answer()).prop_map(|(pick, how)| Act::Answer { pick, how }),
        30 => (who(), talk()).prop_map(|(who, talk)| Act::Hear(who, talk)),
        24 => (who(), chat()).prop_map(|(who, chat)| Act::Chat(who, chat)),
        16 => (any::<u8>(), wait()).prop_map(|(pick, late)| Act::Expire { pick, late }),
        4 => who().prop_map(Act::LinkDown),
        // A peer has one origin.
        3 => (id(), any::<u16>())
            .prop_map(|(id, size)| Act::Publish { id: id % NAMES, size }),
        3 => wait().prop_map(Act::Pass),
    ]
}

/// A life of `inputs` inputs in the mean: most begin by joining, some end by leaving or at the end of time.
pub(crate) fn life(inputs: usize) -> impl Strategy<Value = Vec<Act>> {
    let first =
        prop_oneof![1 => act(), 9 => proptest::collection::vec(who(), 0..8).prop_map(Act::Join)];
    let turn = prop_oneof![
        2 => Just(None),
        1 => Just(Some(Act::Leave)),
        1 => (0..1_000_000_000_000u64).prop_map(|left| Some(Act::Doomsday(left))),
    ];
    let middle = proptest::collection::vec(act(), 1..2 * inputs);
    (first, middle, turn, any::<proptest::sample::Index>()).prop_map(
        |(first, mut acts, turn, at)| {
            acts.insert(0, first);
            if let Some(turn) = turn {
                let at = at.index(acts.len());
                acts[at] = turn;
            }
            acts
        },
    )
}

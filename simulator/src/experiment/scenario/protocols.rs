//! Which protocols the nodes run, with all their parameters.

use std::time::Duration;

use murmurate::broadcast::{anti_entropy, flood, plumtree};
use murmurate::membership::{full_mesh, hyparview};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Span, TimeOrOff, plain_time, time_or_off};

/// Who is whose neighbour.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Membership {
    /// Small symmetric active views, larger passive ones.
    Hyparview(
        #[serde(with = "HyparviewKeys")]
        #[schemars(with = "HyparviewKeys")]
        hyparview::Parameters,
    ),
    /// Everyone linked with everyone.
    FullMesh(
        #[serde(with = "FullMeshKeys")]
        #[schemars(with = "FullMeshKeys")]
        full_mesh::Parameters,
    ),
}

impl Default for Membership {
    fn default() -> Self {
        Self::Hyparview(hyparview::Parameters::default())
    }
}

/// How a message reaches everyone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "strategy", rename_all = "kebab-case")]
pub enum Broadcast {
    /// Payloads along a tree, announcements elsewhere.
    Plumtree(
        #[serde(with = "PlumtreeKeys")]
        #[schemars(with = "PlumtreeKeys")]
        plumtree::Parameters,
    ),
    /// Payloads on every link.
    Flood(
        #[serde(with = "FloodKeys")]
        #[schemars(with = "FloodKeys")]
        flood::Config,
    ),
}

impl Default for Broadcast {
    fn default() -> Self {
        Self::Plumtree(plumtree::Parameters::default())
    }
}

/// HyParView's parameters; see `hyparview::Parameters` for their sources.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "hyparview::Parameters", default = "hyparview::Parameters::default")]
#[serde(deny_unknown_fields)]
struct HyparviewKeys {
    /// Peers in the active view.
    #[schemars(range(min = 1, max = 64))]
    active_capacity: usize,
    /// Peers in the passive view; at least `active_capacity`.
    #[schemars(range(min = 1, max = 1024))]
    passive_capacity: usize,
    /// Hops of a forward join; at least `passive_walk_length`.
    #[schemars(range(min = 1, max = 32))]
    active_walk_length: u8,
    /// Remaining hops at which a forward join also enters the passive view.
    #[schemars(range(min = 0, max = 32))]
    passive_walk_length: u8,
    /// Active peers in a shuffle.
    #[schemars(range(min = 0, max = 64))]
    shuffle_active: usize,
    /// Passive peers in a shuffle.
    #[schemars(range(min = 0, max = 64))]
    shuffle_passive: usize,
    /// Hops of a shuffle's walk.
    #[schemars(range(min = 1, max = 32))]
    shuffle_walk_length: u8,
    /// Time between two shuffles of a peer.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    shuffle_interval: Duration,
    /// Shuffles out of turn between two in turn, when passive peers turn out to be dead.
    reactive_shuffles: u8,
    /// Time between two keep-alives to each neighbour.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    keepalive_interval: Duration,
    /// Keep-alives a neighbour may miss before it is dropped.
    #[schemars(range(min = 1, max = 100))]
    keepalive_misses: u8,
    /// Mean time between two random exchanges, which let split overlays meet again.
    #[serde(with = "time_or_off")]
    #[schemars(with = "TimeOrOff", extend("x-least" = "1ns"))]
    promotion_interval: Option<Duration>,
    /// Longest time between two attempts to reach a peer that fell silent again.
    #[serde(with = "time_or_off")]
    #[schemars(with = "TimeOrOff", extend("x-least" = "1ns"))]
    reunion_interval: Option<Duration>,
    /// How long a request for a link may stay unanswered.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    request_timeout: Duration,
    /// Longest pause between two rounds over the contacts while isolated.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    rejoin_pause: Duration,
    /// Contacts remembered, and as many peers that fell silent.
    #[schemars(range(min = 1, max = 64))]
    contacts_capacity: usize,
}

/// The full mesh's parameters; see `full_mesh::Parameters` for their sources.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "full_mesh::Parameters", default = "full_mesh::Parameters::default")]
#[serde(deny_unknown_fields)]
struct FullMeshKeys {
    /// Members linked and members known, together.
    #[schemars(range(min = 1, max = 16_384))]
    members_capacity: usize,
    /// Time between two messages of members to a random neighbour.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    gossip_interval: Duration,
    /// Members in one message.
    #[schemars(range(min = 1, max = 255))]
    gossip_length: usize,
    /// Time between two keep-alives to each neighbour.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    keepalive_interval: Duration,
    /// Keep-alives a neighbour may miss before it is dropped.
    #[schemars(range(min = 1, max = 100))]
    keepalive_misses: u8,
    /// How long a request for a link may stay unanswered.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    request_timeout: Duration,
    /// Requests for a link under way at once.
    #[schemars(range(min = 1, max = 1024))]
    requests_capacity: usize,
    /// Longest pause between two requests to a member that does not answer.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    redial_pause: Duration,
    /// How long a member that failed is dialled again.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    forget_after: Duration,
    /// Contacts remembered.
    #[schemars(range(min = 1, max = 64))]
    contacts_capacity: usize,
}

/// Plumtree's parameters; see `plumtree::Parameters` for their sources.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "plumtree::Parameters", default = "plumtree::Parameters::default")]
#[serde(deny_unknown_fields)]
struct PlumtreeKeys {
    /// How long to wait at first for an announced payload before asking for it.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    graft_timeout: Duration,
    /// How long at least to wait; at most `graft_timeout`. The same: always so long.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    least_graft_timeout: Duration,
    /// How long to wait before asking the next announcer, unless answers take longer.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    graft_retry: Duration,
    /// How often announcers are asked for one payload before it is given up.
    #[schemars(range(min = 1, max = 255))]
    graft_attempts: u8,
    /// Whether a lazy link takes the place of a lost link of the tree at once.
    mend_at_once: bool,
    /// How long announcements are gathered into a batch.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span")]
    ihave_interval: Duration,
    /// Hops by which an announcement must have been shorter for the tree to change; 0 is never.
    #[serde(with = "hops_or_never")]
    #[schemars(with = "u16", range(min = 0, max = 65_535))]
    optimization_threshold: Option<u16>,
    /// Broadcasts of one origin that are told apart.
    #[schemars(range(min = 1, max = 16_777_216))]
    seen_capacity: usize,
    /// Origins of which is remembered what was seen.
    #[schemars(range(min = 1, max = 16_777_216))]
    origins_capacity: usize,
    /// How long an origin must be silent to be forgotten when there are too many.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    origin_idle: Duration,
    /// Links a broadcast crosses at most.
    #[schemars(range(min = 1, max = 65_535))]
    hop_limit: u16,
    /// Payloads kept for those who ask for them.
    #[schemars(range(min = 1, max = 16_777_216))]
    payload_capacity: usize,
    /// Bytes of payloads kept.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    payload_bytes: usize,
    /// Announced broadcasts waited for at a time.
    #[schemars(range(min = 1, max = 16_777_216))]
    missing_capacity: usize,
}

/// Flood's parameter.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "flood::Config", default = "flood::Config::default")]
#[serde(deny_unknown_fields)]
struct FloodKeys {
    /// Broadcasts of one origin that are told apart.
    #[schemars(range(min = 1, max = 16_777_216))]
    seen_capacity: usize,
    /// Origins of which is remembered what was seen.
    #[schemars(range(min = 1, max = 16_777_216))]
    origins_capacity: usize,
    /// How long an origin must be silent to be forgotten when there are too many.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    origin_idle: Duration,
    /// Links a broadcast crosses at most.
    #[schemars(range(min = 1, max = 65_535))]
    hop_limit: u16,
}

/// Anti-entropy's parameters; see `anti_entropy::Parameters`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(remote = "anti_entropy::Parameters", default = "anti_entropy::Parameters::default")]
#[serde(deny_unknown_fields)]
pub(super) struct AntiEntropyKeys {
    /// Time between two comparisons, each with another neighbour.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    exchange_interval: Duration,
    /// How long what is missed is left to the broadcast before it is asked for.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    patience: Duration,
    /// How long it is asked for before it is given up.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    give_up_after: Duration,
    /// How long broadcasts are kept for those who missed them.
    #[serde(with = "plain_time")]
    #[schemars(with = "Span", extend("x-least" = "1ns"))]
    retention: Duration,
    /// How many are kept.
    #[schemars(range(min = 1, max = 16_777_216))]
    retained: usize,
    /// Bytes of them that are kept.
    #[schemars(range(min = 1, max = 4_294_967_296_u64))]
    retained_bytes: usize,
    /// Broadcasts asked for at a time.
    #[schemars(range(min = 1, max = 65_536))]
    batch: usize,
    /// Bytes of broadcasts that a neighbour may ask for between two comparisons.
    #[schemars(range(min = 1, max = 1_073_741_824))]
    reply_bytes: usize,
    /// Whether a node that starts also gets what is kept from before its start.
    catch_up: bool,
}

/// The same where there may be none.
pub(super) mod anti_entropy_keys {
    use murmurate::broadcast::anti_entropy::Parameters;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::AntiEntropyKeys;

    #[derive(Serialize, Deserialize)]
    #[serde(transparent)]
    struct Keys(#[serde(with = "AntiEntropyKeys")] Parameters);

    pub(crate) fn serialize<S: Serializer>(
        of: &Option<Parameters>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        of.clone().map(Keys).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Parameters>, D::Error> {
        Option::<Keys>::deserialize(d).map(|keys| keys.map(|keys| keys.0))
    }
}

/// TOML has no null, and an optimisation by zero hops is none.
mod hops_or_never {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(hops: &Option<u16>, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_u16(hops.unwrap_or(0))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u16>, D::Error> {
        u16::deserialize(d).map(|hops| (hops > 0).then_some(hops))
    }
}

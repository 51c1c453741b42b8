//! The settings of an agent and their defaults.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use murmurate::broadcast::{anti_entropy, flood, plumtree};
use murmurate::membership::{full_mesh, hyparview};
use murmurate::{BroadcastParameters, Builder, Limits, MembershipParameters, Multiaddr};
use serde::{Deserialize, Serialize};

use super::channels::Channels;
use super::text::{OrOff, Span, addresses, contacts};
use crate::log::LogFormat;

/// Everything an agent can be told. `docs/agent.md` says what each is for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) network: String,
    #[serde(deserialize_with = "addresses")]
    pub(crate) listen: Vec<Multiaddr>,
    #[serde(deserialize_with = "addresses")]
    pub(crate) advertise: Vec<Multiaddr>,
    #[serde(deserialize_with = "contacts")]
    pub(crate) join: Vec<Multiaddr>,
    pub(crate) catch_up: Vec<String>,
    pub(crate) first: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_dir: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity_file: Option<PathBuf>,
    pub(crate) metrics: OrOff<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin: Option<PathBuf>,
    pub(crate) log: Log,
    pub(crate) limits: Bounds,
    pub(crate) strategies: Strategies,
    pub(crate) membership: Membership,
    pub(crate) full_mesh: FullMesh,
    pub(crate) broadcast: Broadcast,
    pub(crate) anti_entropy: Exchange,
    pub(crate) discovery: Discovery,
    #[serde(skip_serializing_if = "Channels::is_empty")]
    pub(crate) channels: Channels,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            network: "murmurate".into(),
            listen: "/ip4/0.0.0.0/tcp/7400".parse().into_iter().collect(),
            advertise: Vec::new(),
            join: Vec::new(),
            catch_up: Vec::new(),
            first: false,
            state_dir: None,
            identity_file: None,
            metrics: OrOff(None),
            admin: None,
            log: Log::default(),
            limits: Limits::default().into(),
            strategies: Strategies::default(),
            membership: Builder::default_membership().into(),
            full_mesh: FullMesh::default(),
            broadcast: plumtree::Parameters::default().into(),
            anti_entropy: Exchange::default(),
            discovery: Discovery::default(),
            channels: Channels::new(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: String,
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Which membership and which broadcast the overlay runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Strategies {
    pub(crate) membership: MembershipStrategy,
    pub(crate) broadcast: BroadcastStrategy,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum MembershipStrategy {
    /// A few neighbours, however many nodes there are.
    #[default]
    #[serde(rename = "hyparview")]
    #[value(name = "hyparview")]
    HyParView,
    /// Every node: for up to some 50.
    FullMesh,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BroadcastStrategy {
    /// Along a tree.
    #[default]
    Plumtree,
    /// On every link.
    Flood,
}

impl Settings {
    /// The parameters of the membership that was chosen.
    pub(crate) fn membership(&self) -> MembershipParameters {
        match self.strategies.membership {
            MembershipStrategy::HyParView => {
                hyparview::Parameters::from(self.membership.clone()).into()
            }
            MembershipStrategy::FullMesh => {
                full_mesh::Parameters::from(self.full_mesh.clone()).into()
            }
        }
    }

    /// The parameters of the broadcast that was chosen. A flood has some of Plumtree's.
    pub(crate) fn broadcast(&self) -> BroadcastParameters {
        let plumtree = plumtree::Parameters::from(self.broadcast.clone());
        match self.strategies.broadcast {
            BroadcastStrategy::Plumtree => plumtree.into(),
            BroadcastStrategy::Flood => flood::Config {
                seen_capacity: plumtree.seen_capacity,
                origins_capacity: plumtree.origins_capacity,
                origin_idle: plumtree.origin_idle,
                hop_limit: plumtree.hop_limit,
            }
            .into(),
        }
    }
}

/// [`Settings`] of one section that are another type's fields, name for name: conversions both ways
/// that do not compile when a field is missing.
macro_rules! mirror {
    ($name:ident, $of:ty { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }
        { $($switch:ident: $through:ty => $wrap:expr, $unwrap:expr,)* }) => {
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$attribute])* pub(crate) $field: $type,)*
            $(pub(crate) $switch: OrOff<$through>,)*
        }

        impl From<$of> for $name {
            fn from(of: $of) -> Self {
                Self {
                    $($field: of.$field,)*
                    $($switch: OrOff(of.$switch.map($wrap)),)*
                }
            }
        }

        impl From<$name> for $of {
            fn from(of: $name) -> Self {
                Self {
                    $($field: of.$field,)*
                    $($switch: of.$switch.0.map($unwrap),)*
                }
            }
        }
    };
}

mirror!(Bounds, Limits {
    max_frame: usize,
    outbox_bytes: usize,
    subscription_capacity: usize,
    #[serde(with = "humantime_serde")]
    publish_wait: Duration,
    #[serde(with = "humantime_serde")]
    join_wait: Duration,
    #[serde(with = "humantime_serde")]
    handshake_wait: Duration,
    #[serde(with = "humantime_serde")]
    stall_wait: Duration,
    #[serde(with = "humantime_serde")]
    idle_wait: Duration,
    #[serde(with = "humantime_serde")]
    leave_wait: Duration,
    slow_bytes_per_second: usize,
    max_connections: usize,
    max_channel_connections: usize,
} {});

mirror!(Membership, hyparview::Parameters {
    active_capacity: usize,
    passive_capacity: usize,
    active_walk_length: u8,
    passive_walk_length: u8,
    shuffle_active: usize,
    shuffle_passive: usize,
    shuffle_walk_length: u8,
    #[serde(with = "humantime_serde")]
    shuffle_interval: Duration,
    reactive_shuffles: u8,
    #[serde(with = "humantime_serde")]
    keepalive_interval: Duration,
    keepalive_misses: u8,
    #[serde(with = "humantime_serde")]
    request_timeout: Duration,
    #[serde(with = "humantime_serde")]
    rejoin_pause: Duration,
    contacts_capacity: usize,
} {
    promotion_interval: Span => Span, |span: Span| span.0,
    reunion_interval: Span => Span, |span: Span| span.0,
});

mirror!(FullMesh, full_mesh::Parameters {
    members_capacity: usize,
    #[serde(with = "humantime_serde")]
    gossip_interval: Duration,
    gossip_length: usize,
    #[serde(with = "humantime_serde")]
    keepalive_interval: Duration,
    keepalive_misses: u8,
    #[serde(with = "humantime_serde")]
    request_timeout: Duration,
    requests_capacity: usize,
    #[serde(with = "humantime_serde")]
    redial_pause: Duration,
    #[serde(with = "humantime_serde")]
    forget_after: Duration,
    contacts_capacity: usize,
} {});

mirror!(Broadcast, plumtree::Parameters {
    #[serde(with = "humantime_serde")]
    graft_timeout: Duration,
    #[serde(with = "humantime_serde")]
    least_graft_timeout: Duration,
    #[serde(with = "humantime_serde")]
    graft_retry: Duration,
    graft_attempts: u8,
    mend_at_once: bool,
    #[serde(with = "humantime_serde")]
    ihave_interval: Duration,
    seen_capacity: usize,
    origins_capacity: usize,
    #[serde(with = "humantime_serde")]
    origin_idle: Duration,
    hop_limit: u16,
    payload_capacity: usize,
    payload_bytes: usize,
    missing_capacity: usize,
} {
    optimization_threshold: u16 => |hops| hops, |hops| hops,
});

mirror!(Exchange, anti_entropy::Parameters {
    #[serde(with = "humantime_serde")]
    exchange_interval: Duration,
    #[serde(with = "humantime_serde")]
    patience: Duration,
    #[serde(with = "humantime_serde")]
    give_up_after: Duration,
    #[serde(with = "humantime_serde")]
    retention: Duration,
    retained: usize,
    retained_bytes: usize,
    batch: usize,
    reply_bytes: usize,
    #[serde(skip)]
    catch_up: bool,
} {});

macro_rules! default_of {
    ($name:ident, $of:expr) => {
        impl Default for $name {
            fn default() -> Self {
                $of.into()
            }
        }
    };
}

default_of!(Bounds, Limits::default());
default_of!(Membership, Builder::default_membership());
default_of!(FullMesh, Builder::default_full_mesh());
default_of!(Broadcast, plumtree::Parameters::default());
default_of!(Exchange, anti_entropy::Parameters::default());

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Discovery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    pub(crate) mdns: bool,
    pub(crate) dns: Dns,
}

/// Contacts from the domain name system; off without a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Dns {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    pub(crate) port: u16,
    pub(crate) srv: bool,
    #[serde(with = "humantime_serde")]
    pub(crate) interval: Duration,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<SocketAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        let interval = Duration::from_secs(30);
        Self { name: None, port: 7400, srv: false, interval, server: None }
    }
}

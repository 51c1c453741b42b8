//! How a node is set up, checked before it starts.

use std::collections::BTreeSet;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use murmurate_broadcast::{anti_entropy, plumtree};
use murmurate_membership::parameters::{self, ParameterSet as _};
use murmurate_membership::{full_mesh, hyparview, static_overlay};

use super::admission::{Admission, AdmissionError};
use super::channels::{self, Channel, DeclarationError};
use super::limits::Limits;
use super::metrics::Metrics;
use super::services::{Declared, NodeService, ServiceError};
use super::stack::{ChosenBroadcast, ChosenMembership, Strategies};
use super::state::StateError;
use super::unreachable::root;
use super::wire::{
    Addresses, MAX_STRATEGIES, NodeBroadcast, NodeMembership, TopicError, topic_length,
};
use crate::discovery::{ContactError, Discovery, can_listen, parse_contact};
use crate::{NodeIdError, router};

/// Bytes of a network id.
const MAX_NETWORK: usize = 64;

/// Sets up a [`Node`](super::Node). Everything has a default; [`Builder::spawn`] checks it all.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let node = murmurate::Node::builder()
///     .network("flock")
///     .listen("/ip4/0.0.0.0/tcp/7400".parse()?)
///     .spawn()
///     .await?;
/// # Ok(()) }
/// ```
#[must_use]
pub struct Builder {
    pub(crate) network: String,
    pub(crate) admission: Admission,
    pub(crate) signed: Option<bool>,
    pub(crate) listen: Vec<Multiaddr>,
    pub(crate) advertise: Vec<Multiaddr>,
    pub(crate) identity: Option<Keypair>,
    pub(crate) state: Option<PathBuf>,
    pub(crate) discovery: Vec<Box<dyn Discovery>>,
    pub(crate) membership: Box<dyn ChosenMembership>,
    pub(crate) broadcast: Box<dyn ChosenBroadcast>,
    pub(crate) anti_entropy: anti_entropy::Parameters,
    pub(crate) catch_up: BTreeSet<Box<str>>,
    pub(crate) limits: Limits,
    pub(crate) metrics: Metrics,
    pub(crate) channels: Vec<Channel>,
    pub(crate) services: Vec<Declared>,
}

/// Why a configuration was refused; nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// One of the [`Limits`].
    #[error(transparent)]
    Limits(parameters::ConfigError),
    /// Connections for channels would leave too few for the neighbours.
    #[error(
        "max_connections = {max_connections} is too small: it must be at least the sum of \
         max_channel_connections = {max_channel_connections} and membership.active_capacity = \
         {active_capacity}"
    )]
    Connections {
        /// [`Limits::max_connections`].
        max_connections: usize,
        /// [`Limits::max_channel_connections`].
        max_channel_connections: usize,
        /// Neighbours, [`Builder::membership`].
        active_capacity: usize,
    },
    /// Broadcasts that are kept for others would leave too little memory for everything else.
    #[error(
        "memory_bytes = {memory_bytes} is too small: it must be at least twice \
         anti_entropy.retained_bytes = {retained_bytes}"
    )]
    Memory {
        /// [`Limits::memory_bytes`].
        memory_bytes: usize,
        /// Of [`Builder::anti_entropy`].
        retained_bytes: usize,
    },
    /// The network id is empty or too long.
    #[error("network = {0:?} is out of range: 1 to 64 bytes")]
    Network(String),
    /// There are more addresses to advertise than others would remember.
    #[error("{0} addresses to advertise are too many: at most 4 are allowed")]
    Advertise(usize),
    /// An address to advertise that nobody can dial.
    #[error("advertise: {0}")]
    Advertised(#[from] ContactError),
    /// An address on which no transport listens.
    #[error(
        "listen: {0} is neither TCP nor QUIC on an IP address: write /ip4/0.0.0.0/tcp/7400 or \
         /ip4/0.0.0.0/udp/7400/quic-v1"
    )]
    Listen(Multiaddr),
    /// What the node is to prove will convince nobody.
    #[error("admission: {0}")]
    Admission(#[from] AdmissionError),
    /// A channel.
    #[error(transparent)]
    Channel(#[from] DeclarationError),
    /// A service.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The names of the strategies are too long, or contain a slash.
    #[error(
        "the strategy names {0:?} are invalid: neither may contain a slash, and together they may \
         have at most 63 bytes"
    )]
    Strategies(String),
    /// A parameter of the membership.
    #[error("membership: {0}")]
    Membership(#[source] parameters::ConfigError),
    /// A parameter of the broadcast.
    #[error("broadcast: {0}")]
    Broadcast(#[source] parameters::ConfigError),
    /// A parameter of anti-entropy.
    #[error("anti_entropy: {0}")]
    AntiEntropy(#[source] parameters::ConfigError),
    /// A topic of [`Builder::catch_up`] is too long.
    #[error("catch_up: {0}")]
    CatchUp(#[source] TopicError),
    /// A parameter of the router.
    #[error("router: {0}")]
    Router(#[source] parameters::ConfigError),
}

/// Why a node did not start. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The identity is not an ed25519 key.
    #[error(transparent)]
    Identity(#[from] NodeIdError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {}", root(source.as_ref()))]
    Listen {
        /// Which.
        address: Multiaddr,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The transports cannot be set up.
    #[error("cannot set up the transports: {}", root(.0.as_ref()))]
    Transport(#[source] Box<dyn Error + Send + Sync>),
}

/// A checked configuration, in parts.
pub(crate) struct Checked {
    pub(crate) strategies: Strategies,
    pub(crate) anti_entropy: Arc<anti_entropy::Config>,
    pub(crate) router: Arc<router::Config>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self {
            network: "murmurate".into(),
            admission: Admission::Open,
            signed: None,
            listen: Vec::new(),
            advertise: Vec::new(),
            identity: None,
            state: None,
            discovery: Vec::new(),
            membership: Box::new(Self::default_membership()),
            broadcast: Box::new(plumtree::Parameters::default()),
            anti_entropy: anti_entropy::Parameters::default(),
            catch_up: BTreeSet::new(),
            limits: Limits::default(),
            metrics: Metrics::default(),
            channels: Vec::new(),
            services: Vec::new(),
        }
    }

    /// HyParView's defaults on real connections: a request covers a dial, a handshake and an
    /// answer over the longest paths, some ten round trips.
    pub fn default_membership() -> hyparview::Parameters {
        hyparview::Parameters {
            request_timeout: Duration::from_secs(3),
            ..hyparview::Parameters::default()
        }
    }

    /// The full mesh's defaults on real connections, for the same reason.
    pub fn default_full_mesh() -> full_mesh::Parameters {
        full_mesh::Parameters {
            request_timeout: Duration::from_secs(3),
            ..full_mesh::Parameters::default()
        }
    }

    /// The static overlay's defaults on real connections, for the same reason.
    pub fn default_static() -> static_overlay::Parameters {
        static_overlay::Parameters {
            request_timeout: Duration::from_secs(3),
            ..static_overlay::Parameters::default()
        }
    }

    /// Which overlay the node belongs to; nodes of different ones never mix. Default `murmurate`.
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = network.into();
        self
    }

    /// Whom the node admits, and what it proves to others: the same in the whole overlay. Default:
    /// [`Admission::Open`].
    pub fn admission(mut self, admission: Admission) -> Self {
        self.admission = admission;
        self
    }

    /// Whether broadcasts, and messages that travel hop by hop, are signed by the node that they come from:
    /// the same in the whole overlay. What is not signed is dropped then, and whoever brings a forged broadcast
    /// is kept out for ten minutes. Default: unless the overlay is [open](Admission::Open).
    ///
    /// Broadcasts that a node publishes at the same moment share a signature.
    pub fn signed(mut self, signed: bool) -> Self {
        self.signed = Some(signed);
        self
    }

    pub(crate) fn signs(&self) -> bool {
        self.signed.unwrap_or(self.admission != Admission::Open)
    }

    /// Also listens on this address: `/ip4/…/tcp/…` or `/ip4/…/udp/…/quic-v1`, with port 0 for any.
    /// Without an address, the node can dial others but nobody can dial it.
    pub fn listen(mut self, address: Multiaddr) -> Self {
        self.listen.push(address);
        self
    }

    /// Tells others to dial this address instead of those it listens on.
    pub fn advertise(mut self, address: Multiaddr) -> Self {
        self.advertise.push(address);
        self
    }

    /// The node's identity, an ed25519 key. Default: the one in the state directory, or else a new one.
    pub fn identity(mut self, identity: Keypair) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Keeps identity and known peers in this directory, so that a restart needs no contacts.
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.state = Some(directory.into());
        self
    }

    /// Also looks for contacts here.
    pub fn discovery(mut self, source: impl Discovery) -> Self {
        self.discovery.push(Box::new(source));
        self
    }

    /// The strategy that chooses the node's neighbours, given by its parameters; the same in the whole
    /// overlay. Default: [`Builder::default_membership`]. With `full_mesh::Parameters` every node is a
    /// neighbour; with `static_overlay::Parameters` only the contacts that it joins through are, and nodes that
    /// join through it. Parameters of your own bring your own strategy.
    pub fn membership<S: NodeMembership>(mut self, parameters: S) -> Self {
        self.membership = Box::new(parameters);
        self
    }

    /// The strategy by which broadcasts reach everyone, given by its parameters; the same in the whole
    /// overlay. Default: Plumtree. With `flood::Parameters` broadcasts go over every link. Parameters of
    /// your own bring your own strategy.
    pub fn broadcast<S: NodeBroadcast>(mut self, parameters: S) -> Self {
        self.broadcast = Box::new(parameters);
        self
    }

    /// How long broadcasts are kept for nodes that missed them, and how the node finds those that it
    /// missed itself. The parameter `catch_up` is ignored: use [`Builder::catch_up`].
    pub fn anti_entropy(mut self, parameters: anti_entropy::Parameters) -> Self {
        self.anti_entropy = parameters;
        self
    }

    /// Also fetches earlier broadcasts on this topic, as far as neighbours still keep them. The first
    /// [`Node::subscribe`](super::Node::subscribe) has everything since the node's start, as far as a
    /// subscription holds it. It need not come before [`Node::join`](super::Node::join).
    pub fn catch_up(mut self, topic: &str) -> Self {
        self.catch_up.insert(topic.into());
        self
    }

    /// What the node allows itself and others.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Counts in these metrics, which several nodes of a process may share.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Declares a channel, which all nodes declare alike.
    pub fn channel(mut self, channel: Channel) -> Self {
        self.channels.push(channel);
        self
    }

    /// Runs this service under a name, which is also the topic of its broadcasts. All nodes that run it
    /// give it the same name. [`Node::service`](super::Node::service) returns a handle to it.
    pub fn service<S: NodeService>(mut self, name: impl Into<String>, service: S) -> Self {
        self.services.push(Declared::new(name.into(), service));
        self
    }

    /// Channels leave the overlay the connections it needs.
    fn check_connections(&self) -> Result<(), ConfigError> {
        let Limits { max_connections, max_channel_connections, .. } = self.limits;
        let active_capacity = self.membership.least_connections();
        if max_channel_connections.saturating_add(active_capacity) > max_connections {
            return Err(ConfigError::Connections {
                max_connections,
                max_channel_connections,
                active_capacity,
            });
        }
        Ok(())
    }

    /// Broadcasts that are kept for others leave room for the rest.
    fn check_memory(&self) -> Result<(), ConfigError> {
        let (memory_bytes, retained_bytes) =
            (self.limits.memory_bytes, self.anti_entropy.retained_bytes);
        if retained_bytes > memory_bytes / 2 {
            return Err(ConfigError::Memory { memory_bytes, retained_bytes });
        }
        Ok(())
    }

    fn check_strategies(&self) -> Result<Strategies, ConfigError> {
        let (membership, broadcast) = (&*self.membership, &*self.broadcast);
        let names = [membership.name(), broadcast.name()];
        if names.iter().any(|name| name.contains('/')) || names.concat().len() >= MAX_STRATEGIES {
            return Err(ConfigError::Strategies(names.join("/")));
        }
        Ok(Strategies::new(
            (membership, membership.check().map_err(ConfigError::Membership)?),
            (broadcast, broadcast.check().map_err(ConfigError::Broadcast)?),
        ))
    }

    pub(crate) fn check(&self) -> Result<Checked, ConfigError> {
        if !(1..=MAX_NETWORK).contains(&self.network.len()) {
            return Err(ConfigError::Network(self.network.clone()));
        }
        if self.advertise.len() > Addresses::MAX {
            return Err(ConfigError::Advertise(self.advertise.len()));
        }
        for address in &self.advertise {
            parse_contact(&address.to_string())?;
        }
        if let Some(address) = self.listen.iter().find(|address| !can_listen(address)) {
            return Err(ConfigError::Listen(address.clone()));
        }
        self.limits.validate().map_err(ConfigError::Limits)?;
        self.check_connections()?;
        channels::check(&self.channels)?;
        Declared::check(&self.services)?;
        for topic in &self.catch_up {
            topic_length(topic).map_err(ConfigError::CatchUp)?;
        }
        let catch_up = !self.catch_up.is_empty();
        let anti_entropy = anti_entropy::Parameters { catch_up, ..self.anti_entropy.clone() };
        let anti_entropy = anti_entropy.check().map_err(ConfigError::AntiEntropy)?;
        self.check_memory()?;
        Ok(Checked {
            strategies: self.check_strategies()?,
            anti_entropy: Arc::new(anti_entropy),
            router: Arc::new(self.limits.router().check().map_err(ConfigError::Router)?),
        })
    }

    /// Checks the configuration without starting anything. [`Builder::spawn`] checks it, too.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting that is out of range or contradicts another.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_settings_are_named_with_their_range() {
        let says =
            |builder: Builder| builder.check().err().map(|e| e.to_string()).unwrap_or_default();
        assert_eq!(says(Builder::new()), "");
        assert_eq!(
            says(Builder::new().network("")),
            "network = \"\" is out of range: 1 to 64 bytes"
        );
        let limits = |limits| Builder::new().limits(limits);
        let wrong = Limits { max_frame: 10, ..Limits::default() };
        assert_eq!(says(limits(wrong)), "max_frame = 10 is out of range: 1024 to 16777215");
        let wrong = Limits { outbox_bytes: 10, ..Limits::default() };
        assert!(
            says(limits(wrong)).starts_with("outbox_bytes = 10 is less than max_frame = 1048576")
        );
        let wrong = Limits { max_connections: 516, ..Limits::default() };
        assert_eq!(
            says(limits(wrong)),
            "max_connections = 516 is too small: it must be at least the sum of \
             max_channel_connections = 512 and membership.active_capacity = 5"
        );
        let enough = Limits { max_connections: 517, ..Limits::default() };
        assert_eq!(says(limits(enough)), "");
        let wrong = Limits { memory_bytes: 100 << 20, ..Limits::default() };
        let expected = "memory_bytes = 104857600 is too small: it must be at least twice \
                        anti_entropy.retained_bytes = 67108864";
        assert_eq!(says(limits(wrong)), expected);
        let wrong = Limits { join_wait: Duration::ZERO, ..Limits::default() };
        assert!(says(limits(wrong)).starts_with("join_wait = 0ns"));
        let wrong = Limits { leave_wait: Duration::ZERO, ..Limits::default() };
        assert!(says(limits(wrong)).starts_with("leave_wait = 0ns"));
        let told = |address: &str| Builder::new().advertise(address.parse().expect("an address"));
        for (address, why) in [
            ("/ip4/0.0.0.0/tcp/7400", "is where a node may listen"),
            ("/ip6/::/udp/7400/quic-v1", "is where a node may listen"),
            ("/ip4/192.0.2.1/tcp/0", "is where a node may listen"),
            ("/ip4/192.0.2.1/udp/7400", "is not an address this node can dial"),
        ] {
            let starts = format!("advertise: {address:?} {why}");
            assert!(says(told(address)).starts_with(&starts), "{}", says(told(address)));
        }
        assert_eq!(says(told("/dns/roost.example/tcp/7400")), "");
        let at = |address: &str| says(Builder::new().listen(address.parse().expect("an address")));
        assert_eq!(at("/ip4/0.0.0.0/tcp/0"), "");
        for address in ["/ip4/0.0.0.0/udp/7400", "/dns/roost.example/tcp/7400"] {
            let starts = format!("listen: {address} is neither TCP nor QUIC on an IP address");
            assert!(at(address).starts_with(&starts), "{}", at(address));
        }
        let wrong = hyparview::Parameters { active_capacity: 0, ..Builder::default_membership() };
        assert!(says(Builder::new().membership(wrong)).starts_with("membership: active_capacity"));
    }
}

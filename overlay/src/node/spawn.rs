//! How a node starts: its state is read, its swarm listens, and its driver runs.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::SelectAll;
use libp2p::Multiaddr;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use murmurate_broadcast::AntiEntropy;
use tokio::sync::{broadcast, mpsc, watch};

use super::admission::{Admission, Gate};
use super::authorship::Authorship;
use super::budget::Budget;
use super::bulletin::{self, Bulletin, Heeded};
use super::channels::Hub;
use super::config::{Builder, ConfigError, SpawnError};
use super::driver::{Driver, Parts, Shown};
use super::event::Event;
use super::heard::Heards;
use super::host::Host;
use super::link::Rules;
use super::reach::Reach;
use super::services::Declared;
use super::state::{KnownPeer, Loaded, State, Store};
use super::topics::Topics;
use super::wire::Addresses;
use super::{Node, clock, stack, transport};
use crate::discovery::Announcement;
use crate::id::{Incarnation, NodeId};
use crate::router::Router;

/// Commands that wait for the driver.
const COMMANDS: usize = 64;
/// Broadcasts that wait for the driver, beside those it holds.
const PUBLISHES: usize = 256;
/// Events an owner may fall behind.
const EVENTS: usize = 256;

/// Files that a process has open beside connections, about.
#[cfg(target_os = "linux")]
const OWN_FILES: usize = 64;

impl Builder {
    /// Starts the node: it listens, and waits to be told to join or to be joined.
    ///
    /// # Errors
    /// [`SpawnError`] if the configuration is wrong, the state cannot be kept, or an address cannot be
    /// listened on. Nothing is left running. An identity that was made for a new state directory stays
    /// in it.
    ///
    /// # Panics
    /// Outside a Tokio runtime with I/O and time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing running, as an error does.
    pub async fn spawn(mut self) -> Result<Node, SpawnError> {
        let checked = self.check()?;
        let catches_up = !self.catch_up.is_empty();
        self.limits = self.limits.finite();
        let (state, kept) = match &self.state {
            Some(directory) => {
                State::open(directory, &self.network).map(|(s, l)| (Some(s), Some(l)))?
            }
            None => (None, None),
        };
        let identity = self
            .identity
            .take()
            .or_else(|| kept.as_ref().map(|kept| kept.keypair.clone()))
            .unwrap_or_else(Keypair::generate_ed25519);
        let node = NodeId::try_from(&identity.public())?;
        let last = kept.as_ref().and_then(|kept| kept.last_started).unwrap_or(0);
        // A clock that went backwards must not make this start an older one.
        let started = (clock::micros_since_1970() / 1_000).max(last.saturating_add(1));
        let me = Incarnation { node, started };
        self.admission.check(node, &self.network).map_err(ConfigError::from)?;
        self.warn_of_strangers();
        self.warn_of_files();
        let key = self.signs().then(|| identity.clone());
        let counters = self.metrics.counters();
        let counters = (counters.forged.clone(), counters.stale.clone());
        let retention = self.anti_entropy.retention;
        let authorship = Authorship::new(me, &self.network, key, retention, counters);
        let authorship = Arc::new(authorship);
        let gate = Arc::new(Gate::new(node, &self.network, self.admission));
        let mut swarm =
            transport::swarm(identity, &self.limits, &gate).map_err(SpawnError::Transport)?;
        for address in &self.listen {
            let failed = |source| SpawnError::Listen { address: address.clone(), source };
            transport::listen(&mut swarm, address).await.map_err(failed)?;
        }
        let advertise: Addresses = self.advertise.iter().collect();
        let mut reach = Reach::default();
        let addresses =
            if advertise.is_empty() { reach.choose(swarm.listeners()) } else { advertise };
        let full = addresses.full(node);

        let strategies = &checked.strategies;
        let membership = (strategies.membership)(me, rand::random());
        let broadcast = (strategies.broadcast)(rand::random());
        let broadcast = AntiEntropy::new(broadcast, checked.anti_entropy);
        let router = Router::new(me, checked.router);
        self.services.push(Declared::new(bulletin::NAME.into(), Bulletin::new(Arc::clone(&gate))));
        Declared::check(&self.services).map_err(ConfigError::from)?;
        let dropped = self.metrics.counters().service_messages_dropped.clone();
        let max_data = self.limits.max_service_data();
        let (running, services) =
            Declared::start(self.services, self.catch_up.clone(), max_data, dropped);
        let stack = crate::Stack::new(membership, broadcast).with_service((router, running));
        let lagged = self.metrics.counters().lagged.clone();
        let topics = Topics::new(self.limits.subscription_capacity, self.catch_up, lagged);
        let events = broadcast::Sender::new(EVENTS);
        let (commands, take_commands) = mpsc::channel(COMMANDS);
        let (publishes, take_publishes) = mpsc::channel(PUBLISHES);
        let refused = self.metrics.counters().memory_refused.clone();
        let retained = self.anti_entropy.retained_bytes;
        let budget = Budget::new(self.limits.memory_bytes, retained, refused);
        let hub = Arc::new(Hub::new(
            me,
            (Arc::clone(&gate), Arc::clone(&authorship)),
            (self.limits.clone(), Arc::clone(&budget)),
            self.channels,
            &commands,
            &self.metrics.counters().channels,
        ));
        let (show_active, active) = watch::channel(Vec::new());
        let (show_addresses, shown_addresses) = watch::channel(full.clone());
        let (show_end, end) = watch::channel(None);
        self.metrics.counters().count_losses(&strategies.losses);
        let mut host = Host::new(
            me,
            addresses,
            (self.limits.outbox_bytes, Arc::clone(&budget)),
            topics.clone(),
            self.metrics.counters(),
            &stack::kinds(&strategies.codec),
            events.clone(),
        );
        // What is not signed proves nothing of how far anybody got.
        let remembers = !catches_up && authorship.signs();
        if let Some(kept) = kept.as_ref().filter(|_| remembers) {
            host.heards = Heards::new(kept.heard.iter().copied());
        }
        let announcement = Announcement { network: self.network.clone(), node, addresses: full };
        let mut discovery = SelectAll::new();
        for source in self.discovery {
            let name = source.name();
            let found = source.watch(announcement.clone());
            discovery.push(found.map(move |found| (name, found)).boxed());
        }
        let (known, contacts) = known(kept.filter(|_| !strategies.keeps_to_contacts));
        let driver = Driver::new(Parts {
            swarm,
            gate: Arc::clone(&gate),
            stack,
            host,
            strategies: Arc::clone(&strategies.name),
            rules: Rules {
                max_frame: self.limits.max_frame,
                stall_wait: self.limits.stall_wait,
                codec: strategies.codec,
                authorship,
                budget,
            },
            limits: self.limits.clone(),
            hub: Arc::clone(&hub),
            reach: self.advertise.is_empty().then_some(reach),
            commands: take_commands,
            publishes: take_publishes,
            shown: Shown { active: show_active, addresses: show_addresses, end: show_end },
            discovery,
            store: state.map(Store::new),
            known,
            reunion: strategies.retry_interval,
        });
        tokio::spawn(driver.run(contacts));
        let node = Node {
            me,
            network: self.network,
            gate,
            limits: self.limits,
            commands,
            publishes,
            topics,
            events,
            active,
            addresses: shown_addresses,
            end,
            metrics: self.metrics,
            services,
            hub,
        };
        let heeded = node.services.get::<Bulletin>(bulletin::NAME, &node.commands);
        if let Ok(bulletin) = heeded {
            tokio::spawn(tell_of_admission(bulletin.events(), node.events.clone()));
        }
        Ok(node)
    }
    /// A connection over TCP needs a file of the process.
    fn warn_of_files(&self) {
        #[cfg(target_os = "linux")]
        if let Some(files) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current
            && files < self.limits.max_connections.saturating_add(OWN_FILES) as u64
        {
            tracing::warn!(
                files,
                max_connections = self.limits.max_connections,
                "the process may not open as many files as connections: raise its limit (ulimit -n, \
                 LimitNOFILE), or lower max_connections"
            );
        }
    }

    /// An open network is for who cannot be reached by strangers.
    fn warn_of_strangers(&self) {
        let is_loopback = |address: &&Multiaddr| match address.iter().next() {
            Some(Protocol::Ip4(ip)) => ip.is_loopback(),
            Some(Protocol::Ip6(ip)) => ip.is_loopback(),
            _ => false,
        };
        if self.admission == Admission::Open
            && let Some(address) = self.listen.iter().find(|address| !is_loopback(address))
        {
            tracing::warn!(
                %address,
                "admission is open: whoever reaches this address can join, read and publish"
            );
        }
    }
}

/// The peers that a node knew, and where to look for them.
fn known(kept: Option<Loaded>) -> (Vec<KnownPeer>, Vec<Multiaddr>) {
    let known = kept.map(|kept| kept.peers).unwrap_or_default();
    let contacts = known.iter().flat_map(|peer| {
        let addresses: Addresses = peer.addresses.iter().collect();
        addresses.full(peer.node)
    });
    let contacts = contacts.collect();
    (known, contacts)
}

/// Tells the owner what other nodes have told the gate, until the node ends.
async fn tell_of_admission(
    mut heeded: broadcast::Receiver<Heeded>,
    events: broadcast::Sender<Event>,
) {
    use broadcast::error::RecvError;
    while let Ok(Heeded) | Err(RecvError::Lagged(_)) = heeded.recv().await {
        // Nobody listening is fine.
        let _ = events.send(Event::AdmissionChanged);
    }
}

//! The driver: the one task that owns the stack.
//!
//! It waits for whatever comes first: the swarm, a link, a caller, a timer. It stamps the time,
//! feeds the stack, performs what the stack says, and never waits for anybody in particular.
//!
//! | room | what |
//! |---|---|
//! | here | the loop, timers, callers |
//! | `admission` | who may speak |
//! | `addresses` | where it listens, and what others are told |
//! | `connections` | connections set up, tied, retired |
//! | `dials` | nodes and contacts dialled |
//! | `frames` | what links bring |
//! | `lanes` | connections for channels |
//! | `publish` | broadcasts that wait for room, and what paces them |
//! | `rivals` | which of two connections goes on |
//! | `routing` | what the router comes to |
//! | `suspects` | places that nobody has answered from |
//! | `twins` | identities that two processes share |
//! | `upkeep` | what happens twice a second |

mod addresses;
mod admission;
mod connections;
mod dials;
mod frames;
mod lanes;
mod publish;
mod rivals;
mod routing;
mod suspects;
mod twins;
mod upkeep;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use either::Either;
use futures::StreamExt;
use futures::stream::SelectAll;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, Swarm};
use murmurate_broadcast::MessageIds;
use murmurate_membership::{Membership as _, Notice, Time};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::admission::Gate;
use super::channels::Hub;
use super::command::{Command, Publish};
use super::contacts::{Contacts, JoinError};
use super::event::Event;
use super::host::Host;
use super::limits::Limits;
use super::link::{Report, Rules};
use super::reach::Reach;
use super::stack::{Input, Stack};
use super::state::{KnownPeer, Store};
use super::transport::{Behaviour, streams};
use super::wire::Views;
use crate::discovery::Finding;
use crate::id::{Incarnation, NodeId};
use admission::Denials;
use connections::Connection;
use dials::{Budget, Dial};
use lanes::Pool;
use publish::{Held, Together};
use suspects::Suspects;
use twins::Twins;
use upkeep::{Levels, Saves};

/// Reports and callers handled before the loop looks at everything else again.
const AT_ONCE: usize = 64;
/// Broadcasts and messages of services that are handled before whoever reads them gets a turn: fewer
/// than most subscriptions hold.
const GIVEN_AT_ONCE: u64 = 256;

/// What a driver is made of; see [`Driver`].
pub(crate) struct Parts {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) stack: Stack,
    pub(crate) host: Host,
    pub(crate) strategies: Arc<str>,
    /// Of all links.
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) hub: Arc<Hub>,
    pub(crate) reach: Option<Reach>,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) publishes: mpsc::Receiver<Publish>,
    pub(crate) shown: Shown,
    pub(crate) discovery: SelectAll<Findings>,
    pub(crate) store: Option<Store>,
    /// What it keeps until there are others.
    pub(crate) known: Vec<KnownPeer>,
    /// The membership's.
    pub(crate) reunion: Option<Duration>,
}

pub(crate) type Findings = futures::stream::BoxStream<'static, (&'static str, Finding)>;

/// What handles can look at without asking.
pub(crate) struct Shown {
    pub(crate) active: watch::Sender<Vec<NodeId>>,
    pub(crate) addresses: watch::Sender<Vec<Multiaddr>>,
    pub(crate) end: watch::Sender<Option<End>>,
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It said goodbye.
    Left,
    /// It was shut down, or nobody holds it any more.
    ShutDown,
}

pub(crate) struct Driver {
    swarm: Swarm<Behaviour>,
    gate: Arc<Gate>,
    denials: Denials,
    /// When it was told last that the node's certificate expires.
    expiry_told: Option<Instant>,
    stack: Stack,
    host: Host,
    /// Their names.
    strategies: Arc<str>,
    rules: Rules,
    limits: Limits,
    hub: Arc<Hub>,
    pool: Pool,
    /// Chooses the addresses to tell others, unless they were given.
    reach: Option<Reach>,
    started: Instant,
    ids: MessageIds<Incarnation>,
    /// Datagrams sent.
    datagrams: u64,
    /// Connections dialled and greeted on.
    greeted: u64,
    connections: BTreeMap<ConnectionId, Connection>,
    dials: BTreeMap<ConnectionId, Dial>,
    budget: Budget,
    suspects: Suspects,
    contacts: Contacts,
    twins: Twins,
    reports: mpsc::Receiver<(ConnectionId, Report)>,
    report_to: mpsc::Sender<(ConnectionId, Report)>,
    commands: mpsc::Receiver<Command>,
    publishes: mpsc::Receiver<Publish>,
    held: Held,
    together: Together,
    /// Who waits for another node's views.
    asking: Vec<(NodeId, Instant, oneshot::Sender<Views>)>,
    discovery: SelectAll<Findings>,
    saves: Saves,
    shown: Shown,
    levels: Levels,
    /// It has said goodbye, and waits no longer than this until all is written.
    leaving: Option<Instant>,
    /// It was told to leave, and publishes nothing more.
    left: bool,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { swarm, stack, host, limits, hub, .. } = parts;
        // Each link reports at most one batch at a time and waits while this is full.
        let (report_to, reports) = mpsc::channel(AT_ONCE);
        Self {
            started: Instant::now(),
            ids: MessageIds::new(host.me),
            // Nobody can say them before this node does.
            datagrams: rand::random::<u64>() / 2,
            greeted: 0,
            connections: BTreeMap::new(),
            dials: BTreeMap::new(),
            budget: Budget::new(),
            suspects: Suspects::default(),
            contacts: Contacts::new(host.me.node, parts.reunion, Instant::now()),
            twins: Twins::default(),
            reports,
            report_to,
            commands: parts.commands,
            publishes: parts.publishes,
            held: Held::default(),
            together: Together::default(),
            asking: Vec::new(),
            discovery: parts.discovery,
            saves: Saves::new(parts.store, parts.known),
            shown: parts.shown,
            levels: Levels::new(&host.metrics, &hub),
            leaving: None,
            left: false,
            reach: parts.reach,
            swarm,
            gate: parts.gate,
            denials: Denials::default(),
            expiry_told: None,
            stack,
            host,
            strategies: parts.strategies,
            rules: parts.rules,
            limits,
            hub,
            pool: Pool::default(),
        }
    }

    fn now(&self) -> Time {
        let since = self.started.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// Runs until it is told to end or all handles are gone.
    pub(crate) async fn run(mut self, known: Vec<Multiaddr>) {
        // Running, without contacts: others may join through this node from now on.
        self.feed(Input::Join(Vec::new()));
        self.contacts.found("disk", &known, Instant::now());
        self.save();
        let mut tick = tokio::time::interval(upkeep::INTERVAL);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut given = 0;
        let end = loop {
            self.drain();
            if self.host.given() - given > GIVEN_AT_ONCE {
                given = self.host.given();
                tokio::task::yield_now().await;
            }
            if self.has_left() {
                break End::Left;
            }
            let next = self.next_due();
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_swarm(event),
                Some((connection, report)) = self.reports.recv() => {
                    self.on_report(connection, report);
                    self.more_reports();
                }
                Some(publish) = self.publishes.recv(), if self.held.has_room() => {
                    self.held.push(publish);
                    self.more_publishes();
                }
                command = self.commands.recv() => match command {
                    None | Some(Command::Shutdown) => break End::ShutDown,
                    Some(command) => self.on_command(command),
                },
                Some((source, found)) = self.discovery.next() => self.on_found(source, found),
                () = sleep_until(next) => self.on_time(),
                _ = tick.tick() => self.upkeep(),
            }
        };
        self.save();
        self.shown.active.send_replace(Vec::new());
        let (store, shown) = (self.saves.take(), self.shown.end.clone());
        // Dropping the swarm closes every connection.
        drop(self);
        if let Some(store) = store {
            store.finish().await;
        }
        shown.send_replace(Some(end));
    }

    /// When something is to be done although nothing comes.
    fn next_due(&self) -> Option<Instant> {
        let contacts = [self.contacts.next_round(), self.contacts.next_deadline()];
        let own = [self.host.next_timer(), self.next_publish(), self.leaving];
        contacts.into_iter().chain(own).flatten().min()
    }

    /// Feeds the stack one input, and then whatever went wrong meanwhile.
    fn feed(&mut self, input: Input) {
        let now = self.now();
        self.stack.handle(now, input, &mut self.host);
    }

    /// Does what is left to do after inputs, until nothing is.
    fn drain(&mut self) {
        self.publish_held();
        loop {
            if let Some(input) = self.host.later.pop_front() {
                self.feed(input);
            } else if let Some(event) = self.host.routed.pop_front() {
                self.on_routed(event);
            } else if let Some(node) = self.host.wanted.pop() {
                self.connect(node);
            } else if let Some(node) = self.host.stuck.pop() {
                self.give_up(node);
            } else if !self.host.own.is_empty() {
                self.publish_held();
            } else {
                break;
            }
        }
        self.flush();
        // Before anybody is told that the node has joined: whoever is looks at its view.
        if std::mem::take(&mut self.host.view_changed) {
            let active: Vec<_> = self.stack.membership().active().map(|peer| peer.node).collect();
            let crowd = &mut self.swarm.behaviour_mut().crowd;
            crowd.keep(active.iter().map(|node| node.to_peer_id()));
            self.shown.active.send_replace(active);
            self.saves.view_changed();
        }
        for notice in std::mem::take(&mut self.host.notices) {
            match notice {
                Notice::Joined => {
                    self.contacts.joined(Instant::now());
                    self.save();
                    self.host.tell(Event::Joined);
                }
                Notice::Isolated => {
                    self.contacts.isolated(Instant::now());
                    self.host.tell(Event::Isolated);
                }
            }
        }
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        while let Some(timer) = self.host.expired(now) {
            self.feed(Input::Expired(timer));
        }
        self.contacts.expire(now);
        if self.contacts.next_round().is_some_and(|next| next <= now) {
            let membership = self.stack.membership();
            let others = membership.active().chain(membership.passive());
            let others: Vec<_> = others.map(|peer| peer.node).collect();
            for address in self.contacts.round(now, &others) {
                self.dial_contact(address);
            }
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<streams::Event>) {
        match event {
            SwarmEvent::Behaviour(streams::Event { connection, opened }) => {
                self.on_opened(connection, opened);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.note_reach(&endpoint);
                self.suspects.answered(endpoint.get_remote_address());
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { connection_id, cause, .. } => {
                let cause = cause.map(|cause| cause.to_string());
                self.on_closed(connection_id, cause);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                self.on_inbound_failed(&error, &send_back_addr);
            }
            SwarmEvent::NewListenAddr { address, .. } => self.on_listening(address),
            SwarmEvent::ExpiredListenAddr { .. } | SwarmEvent::ListenerClosed { .. } => {
                self.tell_addresses();
            }
            SwarmEvent::ListenerError { error, .. } => {
                tracing::warn!(%error, "a listener failed to accept");
            }
            _ => {}
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Join { contacts, reply } => self.on_join(contacts, reply),
            Command::Look(reply) => {
                let _ = reply.send(self.look());
            }
            Command::AskViews { of, reply } => self.ask_views(&of, reply),
            Command::Open { node, slot, reply } => self.open_lane(node, slot, reply),
            Command::Serve(command) => self.feed(Input::Command(Either::Right(command))),
            Command::Relay { to, data } => self.relay(to, data),
            Command::Leave if self.left => {}
            Command::Leave => {
                self.left = true;
                tokio::spawn(Arc::clone(&self.hub).leave());
            }
            Command::Goodbye => {
                self.publish_together();
                self.feed(Input::Leave);
                for route in self.host.routes.values() {
                    route.outbox.finish();
                }
                self.leaving = Some(Instant::now() + upkeep::GOODBYE);
            }
            // The loop takes it.
            Command::Shutdown => {}
        }
    }

    fn on_join(
        &mut self,
        mut contacts: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), JoinError>>,
    ) {
        // One list for all nodes names this one, too.
        let me = Protocol::P2p(self.host.me.node.to_peer_id());
        contacts.retain(|address| address.iter().last() != Some(me.clone()));
        self.contacts.ask(&contacts, Instant::now());
        if contacts.is_empty() {
            let _ = reply.send(Ok(()));
        } else {
            let now = Instant::now();
            self.contacts.wait(contacts.clone(), reply, now, self.limits.join_wait);
        }
        for address in contacts.into_iter().take(dials::CONTACTS_AT_ONCE) {
            self.dial_contact(address);
        }
    }

    fn on_found(&mut self, source: &'static str, found: Finding) {
        match found {
            Ok(addresses) => self.contacts.found(source, &addresses, Instant::now()),
            Err(error) => {
                tracing::warn!(source, %error, "discovery failed");
                self.host.metrics.discovery_failed(source);
                let reason = error.to_string();
                self.host.tell(Event::DiscoveryFailed { source, reason });
            }
        }
    }

    /// Whether it said goodbye, and everything it said is written or cannot be in time.
    fn has_left(&self) -> bool {
        let is_speaking = || {
            self.connections.values().any(Connection::is_speaking) || self.hub.shared.is_speaking()
        };
        self.leaving.is_some_and(|deadline| deadline <= Instant::now() || !is_speaking())
    }
}

/// However a driver ends, also by a panic of a service: nobody waits for ever.
impl Drop for Driver {
    fn drop(&mut self) {
        self.host.topics.end();
        self.hub.end();
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

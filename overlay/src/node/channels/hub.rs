//! The channels of a node.

use std::sync::Arc;

use bytes::Bytes;
use libp2p::swarm::Stream;
use prometheus::{IntCounter, IntCounterVec};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use super::counts::Families;
use super::declare::Channel;
use super::demux::Demux;
use super::ends::InboundLanes;
use super::error::{Ended, SendError};
use super::inbox::Inbox;
use super::lanes::OutboundLanes;
use super::shared::Shared;
use super::wire::{self, Answer, Refusal, WireError};
use crate::NodeId;
use crate::channel::session::{End, Welcome};
use crate::id::Incarnation;
use crate::node::admission::Gate;
use crate::node::authorship::Authorship;
use crate::node::budget::Budget;
use crate::node::command::{Command, OpenError, Opened};
use crate::node::limits::Limits;
use crate::node::transport::Slot;
use crate::node::unreachable::Unreachable;

/// Streams of bytes that wait to be accepted, on each channel.
const ACCEPTABLE: usize = 64;

/// All lanes, what waits for the application, and the way to the driver.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) shared: Arc<Shared>,
    /// One for each channel, as are the next.
    pub(super) inboxes: Vec<Inbox>,
    accepts: Vec<Accepts>,
    pub(crate) inbound: InboundLanes,
    pub(super) outbound: OutboundLanes,
    /// Lanes hop by hop.
    pub(super) demux: Demux,
    authorship: Arc<Authorship>,
    /// Where the node runs. Callers may be elsewhere: on a runtime that ends before it, or on none.
    pub(super) runtime: Handle,
    /// A lane does not keep its node running.
    commands: mpsc::WeakSender<Command>,
    pub(super) nonsense: IntCounter,
    /// By the reason.
    pub(super) relayed_dropped: IntCounterVec,
}

/// A way to a node.
pub(super) enum OpenPath {
    Stream(Stream),
    Relayed(Incarnation),
}

/// Why nothing can be sent to a node.
pub(super) struct Failed {
    pub(super) error: SendError,
    /// Somebody said that nobody is there.
    pub(super) refused: bool,
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        Self { error, refused: false }
    }
}

impl Failed {
    /// What a lane's session is told.
    pub(super) fn ended(self) -> Ended {
        let why = match self.error {
            SendError::Unreachable { .. } if self.refused => End::Nobody,
            SendError::Unreachable { .. } => End::Silent,
            _ => End::Refused,
        };
        (why, self.error)
    }
}

/// Streams of bytes on their way to the application.
#[derive(Debug)]
struct Accepts {
    offer: mpsc::Sender<(NodeId, Stream)>,
    take: tokio::sync::Mutex<mpsc::Receiver<(NodeId, Stream)>>,
}

impl Hub {
    pub(crate) fn new(
        me: Incarnation,
        (gate, authorship): (Arc<Gate>, Arc<Authorship>),
        bounds: (Limits, Arc<Budget>),
        declared: Vec<Channel>,
        commands: &mpsc::Sender<Command>,
        metrics: &Families,
    ) -> Self {
        let shared = Arc::new(Shared::new(me, gate, bounds, declared, metrics));
        let channels = shared.declared.iter().zip(&shared.counts);
        let accepts = |_: &Channel| {
            let (offer, take) = mpsc::channel(ACCEPTABLE);
            Accepts { offer, take: tokio::sync::Mutex::new(take) }
        };
        Self {
            inboxes: channels
                .map(|(channel, counts)| {
                    Inbox::new(channel, &shared.budget, counts.delivered.clone())
                })
                .collect(),
            accepts: shared.declared.iter().map(accepts).collect(),
            inbound: InboundLanes::new(Arc::clone(&shared)),
            outbound: OutboundLanes::new(Arc::clone(&shared)),
            demux: Demux::default(),
            shared,
            authorship,
            runtime: Handle::current(),
            commands: commands.downgrade(),
            nonsense: metrics.nonsense.clone(),
            relayed_dropped: metrics.relayed_dropped.clone(),
        }
    }

    /// Messages that have no outcome, or wait for the application, on a channel.
    pub(crate) fn waiting(&self, channel: usize) -> usize {
        self.outbound.waiting(channel) + self.inboxes[channel].depth().0
    }

    /// A way to a node, over a connection of this slot if there can be one.
    pub(super) async fn open(&self, node: NodeId, slot: Slot) -> Result<OpenPath, Failed> {
        let unreachable =
            |reason: Unreachable| SendError::Unreachable { node, reason: reason.into() };
        let failed = |OpenError { reason, refused }| Failed { error: unreachable(reason), refused };
        for _ in 0..2 {
            let commands = self.commands.upgrade().ok_or(SendError::Ended)?;
            let (reply, opened) = oneshot::channel();
            let asked = commands.send(Command::Open { node, slot, reply }).await;
            drop(commands);
            asked.map_err(|_| SendError::Ended)?;
            match opened.await.map_err(|_| SendError::Ended)?.map_err(failed)? {
                Opened::Relayed(peer) => return Ok(OpenPath::Relayed(peer)),
                Opened::Direct(stream) => {
                    // A connection that was about to close is no reason to give up.
                    if let Ok(stream) = stream.await {
                        return Ok(stream
                            .map(OpenPath::Stream)
                            .map_err(|error| unreachable(Unreachable::Failed(error)))?);
                    }
                }
            }
        }
        Err(unreachable(Unreachable::Closes).into())
    }

    /// Sends a datagram along the way to a node.
    pub(super) async fn relay(&self, to: Incarnation, data: Bytes) {
        let data = self.authorship.sign_datagram(to, data);
        if let Some(commands) = self.commands.upgrade() {
            // A node that ended relays nothing.
            let _ = commands.send(Command::Relay { to, data }).await;
        }
    }

    /// Hands a stream of bytes to the application, if it has not too many.
    pub(super) async fn accept_bytes(
        &self,
        channel: usize,
        from: NodeId,
        attempt: u64,
        mut stream: Stream,
    ) -> Result<(), WireError> {
        let shared = &self.shared;
        match self.accepts[channel].offer.try_reserve() {
            Ok(place) => {
                let welcome =
                    Answer::Welcome(Welcome { attempt, half: shared.new_half(), heard: 0 });
                wire::greet(&mut stream, &welcome).await?;
                place.send((from, stream));
                Ok(())
            }
            Err(_) => {
                let name = &shared.declared[channel].name;
                shared.note_refusal(wire::HERE, from, name, &Refusal::Busy);
                wire::greet(&mut stream, &Answer::Refused { attempt, why: Refusal::Busy }).await
            }
        }
    }

    /// The next stream of bytes that somebody opened; `None` once the node has ended.
    pub(super) async fn accepted(&self, channel: usize) -> Option<(NodeId, Stream)> {
        let next = async { self.accepts[channel].take.lock().await.recv().await };
        tokio::select! {
            next = next => next,
            () = self.shared.ended() => None,
        }
    }

    /// Takes nothing more, tells all senders that the node leaves, and lets the lanes end what they
    /// have taken, for a while.
    pub(crate) async fn leave(self: Arc<Self>) {
        self.shared.leave();
        self.outbound.leave();
        self.shared.all_sent().await;
        // After the last datagrams of lanes that are relayed.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Goodbye).await;
        }
    }

    /// The node has ended: whoever waits for something is told.
    pub(crate) fn end(&self) {
        self.shared.end();
        self.inboxes.iter().for_each(Inbox::end);
        self.outbound.end();
    }
}

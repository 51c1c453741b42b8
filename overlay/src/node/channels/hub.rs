//! What the channels of a node share.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use libp2p::swarm::Stream;
use murmurate_membership::Time;
use prometheus::{IntCounter, IntCounterVec};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::counts::{ChannelCounts, Families};
use super::declare::{Carries, Channel};
use super::ends::InboundLanes;
use super::error::SendError;
use super::inbox::Inbox;
use super::lane::Lane;
use super::relay::Relays;
use super::sender::{BATCH, Ended};
use super::wire::{self, Answer, HEADER, Refusal, WireError};
use crate::NodeId;
use crate::channel::session::{End, Half, Met, Patience, SenderSession};
use crate::id::Incarnation;
use crate::node::command::{Command, NoWay, Opening};
use crate::node::limits::Limits;
use crate::node::transport::{Slot, Traffic};

/// Streams of bytes that wait to be accepted, on each channel.
const ACCEPTABLE: usize = 64;
/// Channels refused that are told of.
const DRIFT_TOLD: usize = 256;

/// Everything that lanes need of their node.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) me: Incarnation,
    pub(crate) network: String,
    pub(crate) limits: Limits,
    pub(crate) declared: Vec<Channel>,
    /// One for each channel, as are the next two.
    pub(crate) inboxes: Vec<Inbox>,
    pub(crate) counts: Vec<ChannelCounts>,
    accepts: Vec<Accepts>,
    pub(crate) inbound: InboundLanes,
    pub(super) relays: Relays,
    lanes: Mutex<BTreeMap<(NodeId, usize), Arc<Lanes>>>,
    /// Counts the lanes of this start that send.
    epochs: AtomicU64,
    /// A lane does not keep its node running.
    commands: mpsc::WeakSender<Command>,
    started: Instant,
    phase: watch::Sender<Phase>,
    /// The same, for whoever asks at each message.
    running: AtomicBool,
    /// Streams that are served and have not said goodbye.
    speaking: AtomicUsize,
    /// Lanes that have something to send, or a way that others may still read.
    sending: watch::Sender<usize>,
    pub(crate) nonsense: IntCounter,
    refusals: IntCounterVec,
    /// By the reason.
    pub(super) relayed_dropped: IntCounterVec,
    /// Who refuses whom which channel, as far as it was told.
    drift_told: Mutex<BTreeSet<(&'static str, NodeId, Box<str>)>>,
}

/// A way to a node.
pub(super) enum Way {
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Leaving,
    Ended,
}

/// Streams of bytes on their way to the application.
#[derive(Debug)]
struct Accepts {
    offer: mpsc::Sender<(NodeId, Stream)>,
    take: tokio::sync::Mutex<mpsc::Receiver<(NodeId, Stream)>>,
}

/// The lanes of a channel to one node.
#[derive(Debug)]
pub(crate) struct Lanes {
    pub(crate) to: NodeId,
    channel: usize,
    /// The channel's own, and as many on connections for bulk.
    lanes: Vec<OnceLock<Arc<Lane>>>,
    /// Bytes of all messages without a key: they say where the next one goes.
    spread: AtomicUsize,
}

impl Hub {
    pub(crate) fn new(
        me: Incarnation,
        network: String,
        limits: Limits,
        declared: Vec<Channel>,
        commands: &mpsc::Sender<Command>,
        metrics: &Families,
    ) -> Self {
        let inbox = |channel: &Channel| Inbox::new(channel.queue_messages, channel.queue_bytes);
        let accepts = |_: &Channel| {
            let (offer, take) = mpsc::channel(ACCEPTABLE);
            Accepts { offer, take: tokio::sync::Mutex::new(take) }
        };
        Self {
            me,
            network,
            limits,
            inboxes: declared.iter().map(inbox).collect(),
            counts: declared.iter().map(|channel| metrics.channel(&channel.name)).collect(),
            accepts: declared.iter().map(accepts).collect(),
            declared,
            inbound: InboundLanes::default(),
            relays: Relays::default(),
            lanes: Mutex::default(),
            epochs: AtomicU64::new(0),
            commands: commands.downgrade(),
            started: Instant::now(),
            phase: watch::Sender::new(Phase::Running),
            running: AtomicBool::new(true),
            speaking: AtomicUsize::new(0),
            sending: watch::Sender::new(0),
            nonsense: metrics.nonsense.clone(),
            refusals: metrics.refusals.clone(),
            relayed_dropped: metrics.relayed_dropped.clone(),
            drift_told: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Time {
        let since = self.started.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<(NodeId, usize), Arc<Lanes>>> {
        // Nothing panics while it holds the lock; if it did, the map would still be whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lanes of a channel to a node.
    pub(crate) fn to(&self, node: NodeId, channel: usize) -> Arc<Lanes> {
        let mut lanes = self.lanes();
        let to_node = lanes.entry((node, channel)).or_insert_with(|| {
            let count = 2 * usize::from(self.declared[channel].parallelism);
            let lanes = (0..count).map(|_| OnceLock::new()).collect();
            Arc::new(Lanes { to: node, channel, lanes, spread: AtomicUsize::new(0) })
        });
        Arc::clone(to_node)
    }

    /// Forgets lanes that have nothing to do and that nobody holds.
    pub(super) fn forget_unused(&self, lane: &Lane) {
        let mut lanes = self.lanes();
        let key = (lane.to, lane.channel);
        let unused = lanes.get(&key).is_some_and(|to_node| {
            let all = to_node.lanes.iter().filter_map(OnceLock::get);
            Arc::strong_count(to_node) == 1 && all.clone().all(|lane| lane.is_unused())
        });
        if unused {
            lanes.remove(&key);
        }
    }

    /// Messages that have no outcome, or wait for the application, on a channel.
    pub(crate) fn waiting(&self, channel: usize) -> usize {
        let of_channel = |((_, of), lanes): (&(NodeId, usize), &Arc<Lanes>)| {
            let lanes = lanes.lanes.iter().filter_map(OnceLock::get);
            if *of == channel { lanes.map(|lane| lane.waiting()).sum() } else { 0 }
        };
        let sent: usize = self.lanes().iter().map(of_channel).sum();
        sent + self.inboxes[channel].depth().0
    }

    /// A way to a node, over a connection of this slot if there can be one.
    pub(super) async fn open(&self, node: NodeId, slot: Slot) -> Result<Way, Failed> {
        let unreachable = |reason| SendError::Unreachable { node, reason };
        let no_way = |NoWay { reason, refused }| Failed { error: unreachable(reason), refused };
        for _ in 0..2 {
            let commands = self.commands.upgrade().ok_or(SendError::Ended)?;
            let (reply, opened) = oneshot::channel();
            let asked = commands.send(Command::Open { node, slot, reply }).await;
            drop(commands);
            asked.map_err(|_| SendError::Ended)?;
            match opened.await.map_err(|_| SendError::Ended)?.map_err(no_way)? {
                Opening::Relayed(peer) => return Ok(Way::Relayed(peer)),
                Opening::Direct(stream) => {
                    // A connection that was about to close is no reason to give up.
                    if let Ok(stream) = stream.await {
                        return Ok(stream.map(Way::Stream).map_err(unreachable)?);
                    }
                }
            }
        }
        Err(unreachable("its connections close at once".into()).into())
    }

    /// Sends a datagram along the way to a node.
    pub(super) async fn relay(&self, to: Incarnation, data: Bytes) {
        if let Some(commands) = self.commands.upgrade() {
            // A node that ended relays nothing.
            let _ = commands.send(Command::Relay { to, data }).await;
        }
    }

    /// Another node refuses a lane.
    pub(super) fn refused(&self, node: NodeId, channel: usize, refusal: Refusal) -> SendError {
        let channel = self.declared[channel].name.clone();
        self.note_refusal(wire::THERE, node, &channel, &refusal);
        SendError::Refused { node, channel, refusal: Box::new(refusal) }
    }

    /// Counts a refusal. That two nodes declare a channel differently is told once: it goes on until
    /// somebody mends it.
    pub(super) fn note_refusal(
        &self,
        by: &'static str,
        node: NodeId,
        channel: &str,
        refusal: &Refusal,
    ) {
        self.refusals.with_label_values(&[by, refusal.reason()]).inc();
        if !refusal.is_drift() {
            return;
        }
        let mut told = self.drift_told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < DRIFT_TOLD && told.insert((by, node, channel.into())) {
            tracing::warn!(by, %node, channel, %refusal, "a channel is refused");
        }
    }

    fn patience(&self) -> Patience {
        let Limits { handshake_wait, idle_wait, .. } = self.limits;
        Patience { handshake: handshake_wait, idle: idle_wait }
    }

    /// A name for a receiving half, which nobody guesses.
    pub(super) fn new_half(&self) -> Half {
        Half { started: self.me.started, number: rand::random() }
    }

    /// A number for a sending lane: larger than those before, and guessed by nobody who would greet in
    /// its name before it does.
    fn new_epoch(&self) -> u64 {
        let count = self.epochs.fetch_add(1, Ordering::Relaxed);
        count << 32 | u64::from(rand::random::<u32>())
    }

    /// Hands a stream of bytes to the application, if it has not too many.
    pub(super) async fn accept_bytes(
        &self,
        channel: usize,
        from: NodeId,
        attempt: u64,
        mut stream: Stream,
    ) -> Result<(), WireError> {
        match self.accepts[channel].offer.try_reserve() {
            Ok(place) => {
                let welcome = Answer::Welcome(Met { attempt, half: self.new_half(), heard: 0 });
                wire::greet(&mut stream, &welcome).await?;
                place.send((from, stream));
                Ok(())
            }
            Err(_) => {
                self.note_refusal(wire::HERE, from, &self.declared[channel].name, &Refusal::Busy);
                wire::greet(&mut stream, &Answer::Refused { attempt, why: Refusal::Busy }).await
            }
        }
    }

    /// The next stream of bytes that somebody opened; `None` once the node has ended.
    pub(super) async fn accepted(&self, channel: usize) -> Option<(NodeId, Stream)> {
        let next = async { self.accepts[channel].take.lock().await.recv().await };
        let mut phase = self.phase.subscribe();
        tokio::select! {
            next = next => next,
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => None,
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        !self.running.load(Ordering::Acquire)
    }

    /// Waits until the node leaves.
    pub(super) async fn leaving(&self) {
        let mut phase = self.phase.subscribe();
        // Closed only when the hub is gone, and with it whoever waits here.
        let _ = phase.wait_for(|phase| *phase >= Phase::Leaving).await;
    }

    /// A stream is served for as long as the result lives.
    pub(super) fn speak(&self) -> Speaks<'_> {
        self.speaking.fetch_add(1, Ordering::Relaxed);
        Speaks(self)
    }

    /// Whether somebody may not have heard yet that the node leaves.
    pub(crate) fn is_speaking(&self) -> bool {
        self.speaking.load(Ordering::Relaxed) > 0
    }

    /// A lane's task begins.
    pub(super) fn begins_to_send(&self) {
        self.sending.send_modify(|lanes| *lanes += 1);
    }

    /// A lane's task has ended.
    pub(super) fn ends_to_send(&self) {
        self.sending.send_modify(|lanes| *lanes -= 1);
    }

    /// Takes nothing more, tells all senders that the node leaves, and lets the lanes end what they
    /// have taken, for a while.
    pub(crate) async fn leave(self: Arc<Self>) {
        self.running.store(false, Ordering::Release);
        self.phase.send_if_modified(|phase| {
            let changes = *phase == Phase::Running;
            if changes {
                *phase = Phase::Leaving;
            }
            changes
        });
        let lanes: Vec<_> = self.lanes().values().cloned().collect();
        lanes.iter().flat_map(|lanes| lanes.lanes.iter()).filter_map(OnceLock::get).for_each(
            |lane| {
                lane.leave();
            },
        );
        let mut sending = self.sending.subscribe();
        // Whoever hangs is not waited for.
        let _ = timeout(self.limits.leave_wait, sending.wait_for(|lanes| *lanes == 0)).await;
        // After the last datagrams of lanes that are relayed.
        if let Some(commands) = self.commands.upgrade() {
            let _ = commands.send(Command::Goodbye).await;
        }
    }

    /// The node has ended: whoever waits for something is told.
    pub(crate) fn end(&self) {
        self.running.store(false, Ordering::Release);
        self.phase.send_replace(Phase::Ended);
        self.inboxes.iter().for_each(Inbox::end);
        for lanes in std::mem::take(&mut *self.lanes()).into_values() {
            for lane in lanes.lanes.iter().filter_map(OnceLock::get) {
                lane.fail(self, SendError::Ended);
            }
        }
    }
}

/// See [`Hub::speak`].
pub(super) struct Speaks<'a>(&'a Hub);

impl Drop for Speaks<'_> {
    fn drop(&mut self) {
        self.0.speaking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Messages without a key that are larger than this do not hold up others.
const LARGE: usize = 64 << 10;

impl Lanes {
    /// The lane for a message: by its key, which keeps its order, or else any.
    pub(super) fn lane(&self, hub: &Hub, key: Option<u64>, size: usize) -> &Arc<Lane> {
        let declared = &hub.declared[self.channel];
        let parallelism = usize::from(declared.parallelism);
        let at = match key {
            Some(hash) => (hash % parallelism as u64) as usize,
            None if parallelism == 1 => 0,
            // Small ones that follow each other share what is written at a time.
            None => {
                let before = self.spread.fetch_add(size + HEADER, Ordering::Relaxed);
                before / BATCH % parallelism
            }
        };
        let large = key.is_none() && size > LARGE && declared.traffic == Traffic::Small;
        self.at(hub, if large { parallelism + at } else { at })
    }

    fn at(&self, hub: &Hub, index: usize) -> &Arc<Lane> {
        self.lanes[index].get_or_init(|| {
            let declared = &hub.declared[self.channel];
            let parallelism = usize::from(declared.parallelism);
            let traffic = if index < parallelism { declared.traffic } else { Traffic::Bulk };
            let slot = Slot { traffic, index: (index % parallelism) as u16 };
            let Carries::Messages(kind) = &declared.carries else {
                unreachable!("channels of bytes have no lanes");
            };
            let sending = kind.sending(declared.limits());
            let session = SenderSession::new(sending, hub.patience(), hub.new_epoch());
            let (index, acknowledges) = (index as u16, kind.acknowledges());
            Arc::new(Lane::new(self.to, self.channel, index, slot, session, acknowledges))
        })
    }
}

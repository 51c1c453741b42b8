//! What all lanes of a node share: who it is, its channels, and whether it still runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use futures::AsyncRead;
use murmurate_membership::Time;
use prometheus::IntCounterVec;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::counts::{ChannelCounts, Families};
use super::declare::Channel;
use super::error::SendError;
use super::wire::{self, Declared, FrameReader, Hello, Refusal};
use crate::NodeId;
use crate::channel::session::Half;
use crate::id::Incarnation;
use crate::node::admission::Gate;
use crate::node::budget::Budget;
use crate::node::limits::Limits;

/// Channels refused that are told of.
const DRIFT_TOLD: usize = 256;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: Incarnation,
    gate: Arc<Gate>,
    pub(crate) limits: Limits,
    pub(super) budget: Arc<Budget>,
    pub(crate) declared: Vec<Channel>,
    /// One for each channel.
    pub(crate) counts: Vec<ChannelCounts>,
    /// Counts the lanes of this start that send.
    epochs: AtomicU64,
    started: Instant,
    phase: watch::Sender<Phase>,
    /// The same, for whoever asks at each message.
    running: AtomicBool,
    /// Streams that are served and have not said goodbye.
    speaking: AtomicUsize,
    /// Lanes that have something to send, or a way that others may still read.
    sending: watch::Sender<usize>,
    refusals: IntCounterVec,
    /// Who refuses whom which channel, as far as it was told.
    drift_told: Mutex<BTreeSet<(&'static str, NodeId, Box<str>)>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Running,
    Leaving,
    Ended,
}

impl Shared {
    pub(super) fn new(
        me: Incarnation,
        gate: Arc<Gate>,
        (limits, budget): (Limits, Arc<Budget>),
        declared: Vec<Channel>,
        metrics: &Families,
    ) -> Self {
        Self {
            me,
            gate,
            limits,
            budget,
            counts: declared.iter().map(|channel| metrics.channel(&channel.name)).collect(),
            declared,
            epochs: AtomicU64::new(0),
            started: Instant::now(),
            phase: watch::Sender::new(Phase::Running),
            running: AtomicBool::new(true),
            speaking: AtomicUsize::new(0),
            sending: watch::Sender::new(0),
            refusals: metrics.refusals.clone(),
            drift_told: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Time {
        let since = self.started.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// A name for a receiving half, which nobody guesses.
    pub(super) fn new_half(&self) -> Half {
        Half { started: self.me.started, number: rand::random() }
    }

    /// A number for a sending lane: larger than those before, and guessed by nobody who would greet in
    /// its name before it does.
    pub(super) fn new_epoch(&self) -> u64 {
        let count = self.epochs.fetch_add(1, Ordering::Relaxed);
        count << 32 | u64::from(rand::random::<u32>())
    }

    /// Which channel a lane belongs to, or why it is refused. `by` is who greets on a connection of its own;
    /// nobody has proven a role who greets hop by hop.
    pub(super) fn accepts(&self, by: Option<NodeId>, hello: &Hello<'_>) -> Result<usize, Refusal> {
        if self.has_ended() {
            return Err(Refusal::Leaving);
        }
        let channel = self.declared.iter().position(|declared| declared.name == hello.channel);
        let channel = channel.ok_or(Refusal::UnknownChannel)?;
        let ours = Declared::of(&self.declared[channel]);
        if let Some(refusal) = hello.declared.differs(&ours) {
            return Err(refusal);
        }
        if let Some(role) = &self.declared[channel].role
            && !by.is_some_and(|node| self.gate.has_role(node, role))
        {
            return Err(Refusal::Role(role.clone()));
        }
        if hello.lane >= 2 * self.declared[channel].options.parallelism {
            return Err(Refusal::Busy);
        }
        Ok(channel)
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

    /// Reads the frames of a channel from a stream.
    pub(super) fn reader<S: AsyncRead + Unpin>(&self, stream: S, channel: usize) -> FrameReader<S> {
        let max_message = self.declared[channel].options.max_message;
        FrameReader::new(stream, max_message, self.limits.stall_wait, &self.budget)
    }

    pub(super) fn has_ended(&self) -> bool {
        !self.running.load(Ordering::Acquire)
    }

    /// Waits until the node leaves.
    pub(super) async fn leaving(&self) {
        self.reached(Phase::Leaving).await;
    }

    /// Waits until the node has ended.
    pub(super) async fn ended(&self) {
        self.reached(Phase::Ended).await;
    }

    async fn reached(&self, least: Phase) {
        let mut phase = self.phase.subscribe();
        // Closed only when this is gone, and with it whoever waits here.
        let _ = phase.wait_for(|phase| *phase >= least).await;
    }

    /// Nothing more is taken, and whoever waits for that hears of it.
    pub(super) fn leave(&self) {
        self.running.store(false, Ordering::Release);
        self.phase.send_if_modified(|phase| {
            let changes = *phase == Phase::Running;
            if changes {
                *phase = Phase::Leaving;
            }
            changes
        });
    }

    pub(super) fn end(&self) {
        self.running.store(false, Ordering::Release);
        self.phase.send_replace(Phase::Ended);
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

    /// Waits until no lane's task runs. Whoever hangs is not waited for.
    pub(super) async fn all_sent(&self) {
        let mut sending = self.sending.subscribe();
        let _ = timeout(self.limits.leave_wait, sending.wait_for(|lanes| *lanes == 0)).await;
    }
}

/// See [`Shared::speak`].
pub(super) struct Speaks<'a>(&'a Shared);

impl Drop for Speaks<'_> {
    fn drop(&mut self) {
        self.0.speaking.fetch_sub(1, Ordering::Relaxed);
    }
}

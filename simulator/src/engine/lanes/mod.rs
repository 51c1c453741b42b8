//! Channels in a simulation: the sessions that ship, run by simulated nodes.
//!
//! A lane leads from one node to another for one channel. Its sending end is at the one node, its receiving
//! end at the other, each in the shard of its node, from the first message until the node stops. Their
//! messages travel over the simulated network. On a stream each arrives once and in order, until a cut
//! breaks the stream. On a relay each travels on its own, and can be lost, late or duplicated.
//!
//! The hosts do what [`SenderSession`] and [`ReceiverSession`] decide, as the tasks of a real node do. A
//! dead process answers with a reset. Deadlines follow the node's own clock. Every step checks what the
//! kinds promise, see [`ChannelPromises`].
//!
//! [`SenderSession`]: murmurate::channel::session::SenderSession
//! [`ReceiverSession`]: murmurate::channel::session::ReceiverSession

mod accounting;
mod content;
mod message;
mod promises;
mod receiver;
mod sender;
mod stream;
mod tickets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use murmurate::channel::session::Timeouts;
use murmurate::channel::{Depth, Kind, LaneLimits};
use murmurate::membership::{Time, Violation};

use crate::model::network::mix;
use crate::model::node::SimPeer;
use accounting::Accounting;
pub(crate) use accounting::Audit;
pub use accounting::{ChannelMessage, MessageEvent, Tally, TallyWindow};
pub use content::LEAST_BYTES;
pub use message::KINDS;
pub(crate) use message::LaneMessage;
use message::{Body, Via};
pub use promises::ChannelPromises;
use receiver::Receiver;
use sender::Sender;

/// A channel, as all nodes declare it.
#[derive(Debug, Clone)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// Makes its halves.
    pub kind: Arc<dyn Kind>,
    /// What is checked.
    pub promises: ChannelPromises,
    /// What a half may keep.
    pub limits: LaneLimits,
    /// Bytes of the answer to each message, if the kind has answers; at least [`LEAST_BYTES`].
    pub answer: usize,
    /// The share of paths that are hop by hop. The others are streams.
    pub relayed: f64,
    /// Frames on a stream that the other end has not read, at most.
    pub window: usize,
    /// The longest that the application takes for a message.
    pub work: Duration,
    /// Messages that it works on at a time.
    pub at_once: usize,
    /// A message that does not fit takes the place of the oldest that was not sent. Otherwise it is
    /// refused.
    pub sheds: bool,
}

/// How long a stream's reader may read nothing before it is asked whether it is still there.
const DOUBT: Duration = Duration::from_secs(1);
/// The longest that it takes an end to notice that its stream is broken.
const NOTICE: Duration = Duration::from_secs(3);

/// The host of a node's lanes while they handle one input.
pub(crate) trait LaneHost {
    /// Who it is.
    fn me(&self) -> SimPeer;
    /// The true time.
    fn now(&self) -> Time;
    /// What the node's clock shows.
    fn local(&self) -> Time;
    /// Whether a stream to this node can be opened.
    fn can_dial(&self, node: usize) -> bool;
    /// Puts a message on the network. Returns whether it is on its way, or may be.
    fn send(&mut self, to: SimPeer, message: LaneMessage, bytes: u64) -> bool;
    /// The message comes back after so much time of the node's clock.
    fn wake(&mut self, after: Duration, message: LaneMessage);
}

/// What a half's host deals with while it handles one input.
struct Context<'a> {
    host: &'a mut dyn LaneHost,
    channel: &'a ChannelConfig,
    /// Its place among the channels.
    number: u16,
    accounting: &'a mut Accounting,
    /// The node's applications take nothing.
    is_stopped: bool,
}

/// The lanes of one node. Only what was used is there.
#[derive(Debug, Clone, Default)]
struct NodeLanes {
    /// By channel, and index of the other node.
    sending: BTreeMap<(u16, u32), Sender>,
    receiving: BTreeMap<(u16, u32), Receiver>,
    /// Receiving halves made so far.
    halves: u64,
    /// Its applications take nothing.
    is_stopped: bool,
}

/// The lanes of a shard's nodes.
#[derive(Debug, Clone)]
pub(crate) struct Lanes {
    channels: Arc<[ChannelConfig]>,
    /// By place, up to the last node that uses channels.
    nodes: Vec<Option<Box<NodeLanes>>>,
    accounting: Accounting,
}

/// What happens to lanes from outside.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    /// A message of this many bytes is sent on a channel to a node.
    Push { channel: u16, to: u32, bytes: usize },
    /// The applications of the node take nothing, or go on.
    Stop(bool),
    /// The streams with a node break, with what is under way.
    Break { peer: u32 },
    /// The senders to a node look for another path.
    Switch { to: u32 },
    /// What has no path is forgotten.
    Forget,
}

impl Lanes {
    pub(crate) fn new(channels: Arc<[ChannelConfig]>, watches: Vec<TallyWindow>) -> Self {
        let accounting = Accounting::new(channels.len(), watches);
        Self { channels, nodes: Vec::new(), accounting }
    }

    /// From now on all that happens to messages is kept.
    pub(crate) fn keep_all(&mut self) {
        self.accounting.keep_all();
    }

    /// Something happens to the lanes of the node at `place`.
    pub(crate) fn act(&mut self, place: usize, host: &mut dyn LaneHost, act: Act) {
        let Self { channels, nodes, accounting } = self;
        let lanes = lanes_of(nodes, place);
        let (now, me) = (host.now(), host.me());
        if let Act::Stop(stops) = act {
            lanes.is_stopped = stops;
        }
        let mut context = |channel: u16, act: &mut dyn FnMut(&mut Context<'_>) -> Kept| {
            let is_stopped = lanes.is_stopped;
            let declared = &channels[usize::from(channel)];
            let mut context =
                Context { host, channel: declared, number: channel, accounting, is_stopped };
            let kept = act(&mut context);
            accounting.judge(now, me, kept);
        };
        if let Act::Push { channel, to, bytes } = act {
            let declared = &channels[usize::from(channel)];
            let sender = lanes.sending.entry((channel, to));
            let sender = sender.or_insert_with(|| Sender::new(declared, Timeouts::DEFAULT, to));
            return context(channel, &mut |context| sender.push(context, bytes));
        }
        for ((channel, peer), sender) in &mut lanes.sending {
            context(*channel, &mut |context| match act {
                Act::Break { peer: of } if of == *peer => {
                    sender.break_stream(context);
                    Ok(())
                }
                Act::Switch { to } if to == *peer => sender.switch(context),
                _ => Ok(()),
            });
        }
        for ((channel, peer), receiver) in &mut lanes.receiving {
            context(*channel, &mut |context| match act {
                Act::Break { peer: of } if of == *peer => {
                    receiver.break_stream(context);
                    Ok(())
                }
                Act::Stop(_) => receiver.go_on(context),
                Act::Forget if receiver.path().is_none() => {
                    receiver.forget();
                    Ok(())
                }
                _ => Ok(()),
            });
        }
    }

    /// A message reached the node at `place`.
    pub(crate) fn hear(
        &mut self,
        place: usize,
        host: &mut dyn LaneHost,
        from: SimPeer,
        message: LaneMessage,
    ) {
        let Self { channels, nodes, accounting } = self;
        let LaneMessage { channel, body } = message;
        let lanes = lanes_of(nodes, place);
        let (now, me) = (host.now(), host.me());
        let (declared, is_stopped) = (&channels[usize::from(channel)], lanes.is_stopped);
        let mut context =
            Context { host, channel: declared, number: channel, accounting, is_stopped };
        let kept = lanes.hear(&mut context, from, body);
        accounting.judge(now, me, kept);
    }

    /// The process of the node at `place` ends. Whom its host tells so, where it does.
    pub(crate) fn hang_up(&mut self, place: usize) -> Vec<(SimPeer, LaneMessage)> {
        let Some(lanes) = self.nodes.get_mut(place).and_then(Option::take) else {
            return Vec::new();
        };
        let gone = |channel: u16, path: Option<(Via, SimPeer)>, to_sender| {
            let (via, peer) = path?;
            Some((peer, LaneMessage { channel, body: Body::Gone { via, to_sender } }))
        };
        let sending = lanes.sending.iter();
        let sending = sending.filter_map(|((channel, _), end)| gone(*channel, end.path(), false));
        let receiving = lanes.receiving.iter();
        let receiving =
            receiving.filter_map(|((channel, _), end)| gone(*channel, end.path(), true));
        sending.chain(receiving).collect()
    }

    /// How many channels there are.
    pub(crate) fn channels(&self) -> usize {
        self.channels.len()
    }

    /// What the node at `place` has to send and nobody told the outcome of, and the round trip of its
    /// lanes in the mean, of those that measured one.
    pub(crate) fn depth(&self, place: usize) -> (Depth, Option<Duration>) {
        let lanes = self.nodes.get(place).and_then(Option::as_deref);
        let (mut depth, mut sum, mut measured) = (Depth::default(), Duration::ZERO, 0);
        for sender in lanes.into_iter().flat_map(|lanes| lanes.sending.values()) {
            let (own, round_trip) = sender.depth();
            depth.messages += own.messages;
            depth.bytes += own.bytes;
            sum += round_trip.unwrap_or_default();
            measured += u32::from(round_trip.is_some());
        }
        (depth, sum.checked_div(measured))
    }

    /// What was counted here.
    pub(crate) fn accounting(&self) -> &Accounting {
        &self.accounting
    }

    /// The first invariant of a half that does not hold.
    pub(crate) fn check(&self) -> Result<(), Violation> {
        for lanes in self.nodes.iter().flatten() {
            lanes.sending.values().try_for_each(Sender::check)?;
            lanes.receiving.values().try_for_each(Receiver::check)?;
        }
        Ok(())
    }
}

/// Whether promises are kept.
type Kept = Result<(), Violation>;

fn lanes_of(nodes: &mut Vec<Option<Box<NodeLanes>>>, place: usize) -> &mut NodeLanes {
    if nodes.len() <= place {
        nodes.resize_with(place + 1, || None);
    }
    nodes[place].get_or_insert_default()
}

impl NodeLanes {
    fn hear(&mut self, context: &mut Context<'_>, from: SimPeer, body: Body) -> Kept {
        let node = match body {
            Body::Wake { to, .. } | Body::Doubt { to, .. } => to,
            Body::Notice { peer, .. } => peer,
            Body::Done { from: peer, .. } => peer.index() as u32,
            _ => from.index() as u32,
        };
        let key = (context.number, node);
        if let Body::Hello { greeting, path } = body {
            let receiver = self.receiving.entry(key).or_insert_with(|| Receiver::new(from));
            return receiver.greet(context, from, (greeting, path), &mut self.halves);
        }
        let (sender, receiver) = (self.sending.get_mut(&key), self.receiving.get_mut(&key));
        match (body, sender, receiver) {
            (Body::Wake { turn, .. }, Some(sender), _) => sender.wake(context, turn),
            (Body::Welcome { welcome, via }, Some(sender), _) => {
                sender.welcome(context, from, welcome, via)
            }
            (Body::Back { via, frame }, Some(sender), _) => sender.hear(context, from, via, frame),
            (Body::Read { attempt, frames }, Some(sender), _) => {
                sender.read(context, attempt, frames)
            }
            (Body::Doubt { attempt, .. }, Some(sender), _) => {
                sender.doubt(context, attempt);
                Ok(())
            }
            (Body::Nobody { attempt }, Some(sender), _) => sender.nobody(context, attempt),
            (Body::Gone { via, to_sender: true }, Some(sender), _) => sender.gone(context, via),
            (Body::Notice { attempt, to_sender: true, .. }, Some(sender), _) => {
                sender.gone(context, Via::Stream { attempt, place: 0 })
            }
            (Body::Forth { via, frame }, _, Some(receiver)) => {
                receiver.hear(context, from, via, frame)
            }
            (Body::Forth { via: via @ Via::Relay { .. }, .. }, _, None) => {
                context.unknown(from, via);
                Ok(())
            }
            (Body::Probe { attempt }, _, receiver) => {
                let stands = |end: &mut Receiver| end.is_on(from, attempt);
                if !receiver.is_some_and(stands) {
                    context.unknown(from, Via::Stream { attempt, place: 0 });
                }
                Ok(())
            }
            (Body::Done { from, half, number, name }, _, Some(receiver)) => {
                receiver.done(context, from, half, (number, name))
            }
            (Body::Gone { via, to_sender: false }, _, Some(receiver)) => {
                receiver.gone(context, from, via);
                Ok(())
            }
            (Body::Notice { attempt, to_sender: false, .. }, _, Some(receiver)) => {
                receiver.notice(context, attempt);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Context<'_> {
    /// Sends something to the other end. Returns whether it is on its way, or may be.
    fn send(&mut self, to: SimPeer, body: Body) -> bool {
        let message = LaneMessage { channel: self.number, body };
        let bytes = message.bytes(self.channel);
        self.host.send(to, message, bytes)
    }

    /// This half does not exist here.
    fn unknown(&mut self, to: SimPeer, via: Via) {
        self.send(to, Body::Gone { via, to_sender: true });
    }

    /// An end notices after a while that its stream is broken.
    fn notice(&mut self, peer: u32, attempt: u64, to_sender: bool) {
        let draw = mix(mix(u64::from(self.host.me().bits()) ^ attempt) ^ u64::from(peer));
        let after = NOTICE.mul_f64((draw >> 11) as f64 / (1u64 << 53) as f64);
        let body = Body::Notice { peer, attempt, to_sender };
        self.host.wake(after, LaneMessage { channel: self.number, body });
    }
}

/// An honest half never sends nonsense.
fn honest(outcome: Result<(), murmurate::channel::Nonsense>) -> Kept {
    outcome.map_err(|nonsense| Violation {
        rule: "what an honest half says makes sense",
        detail: nonsense.to_string(),
    })
}

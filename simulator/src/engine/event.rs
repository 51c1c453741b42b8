//! What reaches a node, and when.

use crate::engine::handshake::{HANDSHAKE_BYTES, Handshake, Step};
use crate::engine::lanes::LaneMessage;
use crate::engine::stats::Stats;
use crate::engine::strategy::{IdOf, MessageOf, SimStack, TimerOf};
use crate::model::id::SimId as _;
use crate::model::node::SimPeer;

/// Something that reaches a node at a time.
#[derive(Debug, Clone)]
pub(crate) struct Event<P: SimStack> {
    pub(crate) time: u64,
    pub(crate) what: What<P>,
    pub(crate) to: SimPeer,
    pub(crate) from: SimPeer,
    /// Counts what `from` sent and armed.
    pub(crate) sequence: u32,
}

#[derive(Debug, Clone)]
pub(crate) enum What<P: SimStack> {
    Message(MessageOf<P>),
    Timer(TimerOf<P>),
    /// `from` does not run.
    Reset,
    /// `from` runs, in a later incarnation than the one written to.
    Restarted,
    /// A message about a lane of a channel.
    Lane(Box<LaneMessage>),
    /// A message about a connection that is made.
    Handshake(Handshake),
    /// An attacker tries again.
    Attack,
    /// Something that came earlier and that the node gets to now.
    Late(Box<Self>),
}

impl<P: SimStack> Event<P> {
    /// The order within a bucket: by node, then time. No two events have the same key.
    pub(crate) fn key(&self) -> (u32, u64, u32, u32) {
        (self.to.index() as u32, self.time, self.from.bits(), self.sequence)
    }
}

impl<P: SimStack> What<P> {
    /// The host's answer to a message for a process that is gone.
    pub(crate) fn refusal(&self) -> Option<Self> {
        match self {
            Self::Message(_) | Self::Handshake(Handshake { step: Step::Dial(_), .. }) => {
                Some(Self::Reset)
            }
            Self::Late(what) => what.refusal(),
            Self::Lane(message) => message.refusal().map(|message| Self::Lane(Box::new(message))),
            Self::Timer(_) | Self::Reset | Self::Restarted | Self::Handshake(_) | Self::Attack => {
                None
            }
        }
    }

    /// The broadcast whose payload it carries.
    pub(crate) fn carries(&self) -> Option<u32> {
        match self {
            Self::Message(message) => message.carries().map(IdOf::<P>::index),
            _ => None,
        }
    }

    /// If it is a message that comes over the node's access line: its kind, if those are counted, and its
    /// bytes there.
    pub(crate) fn travels(&self, stats: &Stats) -> Option<(Option<usize>, u64)> {
        match self {
            Self::Message(message) => Some((Some(message.kind()), stats.wire_len::<P>(message))),
            Self::Lane(message) if !message.is_timer() => {
                Some((Some(message.place(stats.messages.len())), message.bytes_on_line()))
            }
            Self::Handshake(Handshake { step: Step::Dial(_) | Step::Answer(_), .. }) => {
                Some((None, HANDSHAKE_BYTES))
            }
            _ => None,
        }
    }

    /// Whether it is sent again until it arrives, however nodes say the rest.
    pub(crate) fn is_on_stream(&self) -> bool {
        match self {
            Self::Lane(message) => message.is_on_stream(),
            Self::Handshake(_) => true,
            _ => false,
        }
    }

    /// Whether it is for any incarnation that runs at the address.
    pub(crate) fn is_for_anyone(&self) -> bool {
        matches!(self, Self::Lane(message) if message.is_hello())
    }

    /// Whether it goes by the clock of the node that set it.
    pub(crate) fn is_timer(&self) -> bool {
        match self {
            Self::Timer(_) | Self::Attack => true,
            Self::Lane(message) => message.is_timer(),
            Self::Handshake(message) => matches!(message.step, Step::TimedOut { .. }),
            _ => false,
        }
    }
}

//! The messages between the ends of a lane, and an end's own timers.

use murmurate::channel::session::{Greeting, Welcome};
use murmurate::channel::{Frame, Path};

use super::ChannelConfig;
use super::content::Name;
use crate::model::node::SimPeer;

/// Bytes before a body: on a stream, and in a datagram with its kind, lane and half.
const FRAME: u64 = 12;
const DATAGRAM: u64 = 1 + 8 + 8;
/// Bytes of a greeting beside the channel's name: of a datagram its kind and lane; the network's name
/// (10), the start (6), what is declared (24), lane, epoch, attempt and base (8).
const HELLO: u64 = 9 + 48;
/// Bytes of its answer: nine, which greeting, the half, its start, and what it has heard.
const WELCOME: u64 = 9 + 13;
/// Bytes that say how much was read, or that there is nothing: about those of an empty TCP segment.
const SEGMENT: u64 = 40;

/// The kinds of messages about lanes, as in statistics.
pub const KINDS: [&str; 6] = [
    "channel_hello",
    "channel_welcome",
    "channel_forth",
    "channel_back",
    "channel_read",
    "channel_gone",
];

/// A message about a lane.
#[derive(Debug, Clone)]
pub(crate) struct LaneMessage {
    /// The index of the channel. The lane is the one between sender and receiver.
    pub(crate) channel: u16,
    pub(crate) body: Body,
}

/// The path that a message came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Via {
    /// The stream that this greeting opened, in this place of its direction.
    Stream { attempt: u64, place: u64 },
    /// Hop by hop, to or from the receiving half of this number.
    Relay { half: u64 },
}

#[derive(Debug, Clone)]
pub(crate) enum Body {
    /// To any incarnation that runs at an address.
    Hello { greeting: Greeting, path: Path },
    /// Its answer.
    Welcome { welcome: Welcome, via: Via },
    /// To the receiving half.
    Forth { via: Via, frame: Frame },
    /// From it.
    Back { via: Via, frame: Frame },
    /// This many frames of the stream were read.
    Read { attempt: u64, frames: usize },
    /// Whether this stream still stands, although its reader has read nothing for a while: as TCP probes
    /// a window that is closed.
    Probe { attempt: u64 },
    /// No node runs there that could answer this greeting.
    Nobody { attempt: u64 },
    /// The other end is gone, or does not know this half.
    Gone { via: Via, to_sender: bool },
    /// To oneself: a deadline of the lane to this node.
    Wake { to: u32, turn: u64 },
    /// To oneself: it is time for a probe of this stream to this node.
    Doubt { to: u32, attempt: u64 },
    /// To oneself: the stream to or from this node is noticed to be broken.
    Notice { peer: u32, attempt: u64, to_sender: bool },
    /// To oneself: the application is done with a message.
    Done { from: SimPeer, half: u64, number: u64, name: Name },
}

impl LaneMessage {
    /// The place of its kind in [`KINDS`], or behind them.
    pub(crate) fn kind(&self) -> usize {
        match self.body {
            Body::Hello { .. } => 0,
            Body::Welcome { .. } => 1,
            Body::Forth { .. } => 2,
            Body::Back { .. } => 3,
            Body::Read { .. } | Body::Probe { .. } => 4,
            Body::Nobody { .. } | Body::Gone { .. } => 5,
            Body::Wake { .. } | Body::Doubt { .. } | Body::Notice { .. } | Body::Done { .. } => 6,
        }
    }

    /// The index of its kind among this many, of which these are the last.
    pub(crate) fn place(&self, kinds: usize) -> usize {
        kinds - KINDS.len() + self.kind()
    }

    /// Whether it is a deadline, and does not travel.
    pub(crate) fn is_timer(&self) -> bool {
        self.kind() == KINDS.len()
    }

    /// Whether it is for any incarnation that runs at the address now.
    pub(crate) fn is_hello(&self) -> bool {
        matches!(self.body, Body::Hello { .. })
    }

    /// Whether a stream begins with it.
    pub(crate) fn opens_stream(&self) -> bool {
        matches!(self.body, Body::Hello { path: Path::Stream, .. })
    }

    /// Whether it is sent again until it arrives.
    pub(crate) fn is_on_stream(&self) -> bool {
        match self.body {
            Body::Hello { path, .. } => path == Path::Stream,
            Body::Welcome { via, .. }
            | Body::Forth { via, .. }
            | Body::Back { via, .. }
            | Body::Gone { via, .. } => matches!(via, Via::Stream { .. }),
            Body::Read { .. } | Body::Probe { .. } => true,
            _ => false,
        }
    }

    /// Its size on the wire.
    pub(crate) fn bytes(&self, channel: &ChannelConfig) -> u64 {
        match &self.body {
            Body::Hello { .. } => HELLO + channel.name.len() as u64,
            _ => self.bytes_on_line(),
        }
    }

    /// Its size on a line, where the channel's name does not matter.
    pub(crate) fn bytes_on_line(&self) -> u64 {
        match &self.body {
            Body::Hello { .. } => HELLO,
            Body::Welcome { .. } => WELCOME,
            Body::Forth { via, frame } | Body::Back { via, frame } => {
                let before = if matches!(via, Via::Relay { .. }) { DATAGRAM } else { 0 };
                before + FRAME + frame.body.len() as u64
            }
            Body::Wake { .. } | Body::Doubt { .. } | Body::Notice { .. } | Body::Done { .. } => 0,
            _ => SEGMENT,
        }
    }

    /// It was sent on a stream and cannot be brought: what its ends notice, if it is of one.
    pub(crate) fn broken(&self, from: SimPeer, to: SimPeer) -> Option<[(SimPeer, Self); 2]> {
        let (attempt, is_from_sender) = match self.body {
            Body::Hello { greeting, path: Path::Stream } => (greeting.attempt, true),
            Body::Forth { via: Via::Stream { attempt, .. }, .. } | Body::Probe { attempt } => {
                (attempt, true)
            }
            Body::Welcome { via: Via::Stream { attempt, .. }, .. }
            | Body::Back { via: Via::Stream { attempt, .. }, .. }
            | Body::Read { attempt, .. } => (attempt, false),
            Body::Gone { via: Via::Stream { attempt, .. }, to_sender } => (attempt, !to_sender),
            _ => return None,
        };
        let notice = |peer: SimPeer, to_sender| {
            let body = Body::Notice { peer: peer.index() as u32, attempt, to_sender };
            Self { body, ..*self }
        };
        Some([(from, notice(to, is_from_sender)), (to, notice(from, !is_from_sender))])
    }

    /// The answer of the host, if the process is gone.
    pub(crate) fn refusal(&self) -> Option<Self> {
        let body = match self.body {
            Body::Hello { greeting, .. } => Body::Nobody { attempt: greeting.attempt },
            Body::Forth { via, .. } => Body::Gone { via, to_sender: true },
            Body::Probe { attempt } => {
                Body::Gone { via: Via::Stream { attempt, place: 0 }, to_sender: true }
            }
            Body::Welcome { via, .. } | Body::Back { via, .. } => {
                Body::Gone { via, to_sender: false }
            }
            _ => return None,
        };
        Some(Self { body, ..*self })
    }
}

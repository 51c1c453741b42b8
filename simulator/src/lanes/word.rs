//! What the hosts of two halves say to each other.

use murmurate::channel::Frame;

use super::Channel;

/// Bytes before a frame's body: a datagram's word and number of the lane, and the frame's header.
const FRAME: u64 = 1 + 8 + 12;
/// Bytes of a greeting beside the channel's name: the datagram's nine, and of the greeting the
/// network's name (10), the start (6), what is declared (24), lane, epoch and base (6).
const HELLO: u64 = 9 + 46;
/// Bytes of its answer: nine, and the receiving half, its start, and what it has heard.
const WELCOME: u64 = 9 + 11;
/// Bytes that say that a way is no more.
const END: u64 = 9 + 1;

/// Words that travel, as statistics call them.
pub(crate) const KINDS: [&str; 5] =
    ["channel_hello", "channel_welcome", "channel_forth", "channel_back", "channel_end"];

/// A word about a lane.
#[derive(Debug, Clone)]
pub(crate) struct Word {
    /// Which channel, by its place among them. The lane's nodes are those who talk.
    pub(crate) channel: u16,
    /// Which of the sending half's attempts to reach the other it belongs to; of a deadline, which
    /// of the deadlines it is.
    pub(crate) way: u64,
    pub(crate) say: Say,
}

#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// To whoever runs at an address: a sending half begins with this number.
    Hello { base: u64 },
    /// Its answer: the number of the receiving half, and what that has heard.
    Welcome { half: u64, heard: u64 },
    /// To the receiving half of this number.
    Forth { half: u64, frame: Frame },
    /// From it.
    Back { half: u64, frame: Frame },
    /// The way is no more.
    End { to_sender: bool },
    /// To oneself: a deadline of the lane to this node.
    Wake { to: u32 },
}

impl Word {
    /// The place of its kind in [`KINDS`], or behind them.
    pub(crate) fn kind(&self) -> usize {
        match self.say {
            Say::Hello { .. } => 0,
            Say::Welcome { .. } => 1,
            Say::Forth { .. } => 2,
            Say::Back { .. } => 3,
            Say::End { .. } => 4,
            Say::Wake { .. } => 5,
        }
    }

    /// The place of its kind among so many, of which these are the last.
    pub(crate) fn place(&self, kinds: usize) -> usize {
        kinds - KINDS.len() + self.kind()
    }

    /// Whether it is a deadline, and does not travel.
    pub(crate) fn is_timer(&self) -> bool {
        matches!(self.say, Say::Wake { .. })
    }

    /// Whether it is for whoever runs at an address now.
    pub(crate) fn is_hello(&self) -> bool {
        matches!(self.say, Say::Hello { .. })
    }

    /// Its size on the wire.
    pub(crate) fn bytes(&self, channel: &Channel) -> u64 {
        match &self.say {
            Say::Hello { .. } => HELLO + channel.name.len() as u64,
            other => other.bytes(),
        }
    }

    /// Its size on a line, where the channel's name does not matter.
    pub(crate) fn bytes_on_line(&self) -> u64 {
        self.say.bytes()
    }

    /// What the host of a process that is gone says instead of it.
    pub(crate) fn refusal(&self) -> Option<Self> {
        let to_sender = match self.say {
            Say::Hello { .. } | Say::Forth { .. } => true,
            Say::Welcome { .. } | Say::Back { .. } => false,
            Say::End { .. } | Say::Wake { .. } => return None,
        };
        Some(Self { say: Say::End { to_sender }, ..*self })
    }
}

impl Say {
    fn bytes(&self) -> u64 {
        match self {
            Self::Hello { .. } => HELLO,
            Self::Welcome { .. } => WELCOME,
            Self::Forth { frame, .. } | Self::Back { frame, .. } => FRAME + frame.body.len() as u64,
            Self::End { .. } => END,
            Self::Wake { .. } => 0,
        }
    }
}

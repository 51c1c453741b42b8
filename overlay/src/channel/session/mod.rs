//! How the two ends of a lane find, keep and change the path between them.
//!
//! A [`SenderSession`] asks its host for a path when something waits, greets the other end over it,
//! repeats the greeting where datagrams get lost, resumes with the receiving half that it knows, notices
//! silence, pauses between attempts, and gives up when nobody is there. A [`ReceiverSession`] answers
//! greetings, and tells those of now from those that come late, twice, or from somebody else.
//!
//! ```text
//! SenderSession                                   ReceiverSession
//!    wants_path ──► the host opens a path
//!    greeting   ─────── Greeting { epoch, attempt, base, proof } ──────►  fit, greet
//!    welcome    ◄────── Welcome { attempt, half, heard } ─────────────
//!    next_frame ─────── half, Frame ─────────────────────────────────►  receive
//!    receive    ◄────── half, Frame ──────────────────────────────────  next_frame
//!    end        ◄────── "no such half here" ──────────────────────────
//! ```
//!
//! Both are pure: the node's tasks and the simulator perform what they decide.

mod receiver;
mod sender;
#[cfg(test)]
mod tests;

pub use receiver::{Fit, ReceiverSession};
pub use sender::{End, Next, SenderSession, Want};

use core::time::Duration;

/// How long the ends of a lane wait for each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the answer to a greeting on a stream.
    pub handshake: Duration,
    /// Until a path that nobody uses is given back.
    pub idle: Duration,
}

impl Timeouts {
    /// Those of a node that is told no others, and of a simulated one.
    pub const DEFAULT: Self =
        Self { handshake: Duration::from_secs(10), idle: Duration::from_secs(10) };
}

/// Names a receiving half. Whether it is the one from before only the sending end can tell, because a
/// greeting's answer may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "libp2p", derive(serde::Serialize, serde::Deserialize))]
pub struct Half {
    /// Which start of its node it belongs to.
    pub started: u64,
    /// A number that others cannot guess.
    pub number: u64,
}

/// What the sending end says first on a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "libp2p", derive(serde::Serialize, serde::Deserialize))]
pub struct Greeting {
    /// Tells this lane from those in its place before and after it: the sending node counts them.
    pub epoch: u64,
    /// The number of the greeting: of those under way only the last one counts.
    pub attempt: u64,
    /// Where a new receiving half starts.
    pub base: u64,
    /// The receiving half that a stream led to last. Only those that carried this greeting know it.
    pub proof: Option<Half>,
}

/// What the receiving end answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "libp2p", derive(serde::Serialize, serde::Deserialize))]
pub struct Welcome {
    /// The greeting's.
    pub attempt: u64,
    /// Who answers.
    pub half: Half,
    /// What the receiving half has [`heard`](super::Receiving::heard).
    pub heard: u64,
}

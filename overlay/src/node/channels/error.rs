//! What can be wrong with sending.

use super::wire::Refusal;
use crate::NodeId;
use crate::channel::session::End;
use crate::node::unreachable::Unreachable;

/// Why a path ended, or there is none; and what is told of messages if the lane gives up by that.
pub(super) type Ended = (End, SendError);

/// Why a message was not queued. Nothing was sent, and later messages are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A node does not send to itself.
    #[error("a node cannot send to itself")]
    Itself,
    /// More than the channel allows.
    #[error("{size} bytes are out of range: 0 to {max} on this channel")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// There is no room for it now.
    #[error("the queue to the receiver is full")]
    Full,
    /// The receiver could not be reached.
    #[error("{node} cannot be reached: {reason}")]
    Unreachable {
        /// Which.
        node: NodeId,
        /// Why.
        #[source]
        reason: Box<Unreachable>,
    },
    /// The receiver refuses the channel.
    #[error("{node} refuses channel {channel:?}: {refusal}")]
    Refused {
        /// Which.
        node: NodeId,
        /// Which channel.
        channel: String,
        /// Why.
        #[source]
        refusal: Box<Refusal>,
    },
    /// The channel carries something else.
    #[error("channel {channel:?} carries {carries}")]
    Carries {
        /// Which channel.
        channel: String,
        /// What it carries.
        carries: &'static str,
    },
    /// This node has left or shut down.
    #[error("the node has ended")]
    Ended,
}

/// Why a message is not known to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undelivered {
    /// The receiving process ended: it may or may not have been delivered, and is not sent again.
    #[error("the receiver is gone: it may or may not have got the message")]
    Gone,
    /// No answer came in time: it may or may not have been delivered, and is not sent again.
    #[error("the receiver did not answer in time: it may or may not have got the message")]
    TimedOut,
    /// The receiving application took it and dropped it without acknowledging or answering it. How far it
    /// got is unknown. It is not sent again.
    #[error("the receiver dropped the message without acknowledging it")]
    Dropped,
    /// A newer message, or the queue's policy, took its place: it was not delivered.
    #[error("the message was not sent: another one took its place")]
    Shed,
    /// It was not queued, or it was queued and could not be sent.
    #[error(transparent)]
    Failed(SendError),
}

/// The node has no channel of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("channel {name:?} is not declared; the node declares: {}", declared.join(", "))]
pub struct UnknownChannel {
    /// The name asked for.
    pub name: String,
    /// The names of those declared.
    pub declared: Vec<String>,
}

//! What a node's handles ask of its driver.

use std::any::Any;
use std::fmt;

use bytes::Bytes;
use libp2p::Multiaddr;
use libp2p::swarm::Stream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::contacts::JoinError;
use super::transport::Slot;
use super::unreachable::Unreachable;
use super::wire::{Contact, Publication, TopicError, Views};
use crate::NodeId;
use crate::id::{Incarnation, MessageId};

/// What handles, services and channels ask.
pub(crate) enum Command {
    Join {
        contacts: Vec<Multiaddr>,
        reply: oneshot::Sender<Result<(), JoinError>>,
    },
    /// The node's own views.
    Look(oneshot::Sender<Look>),
    /// Another node's views.
    AskViews {
        of: Contact,
        reply: oneshot::Sender<Views>,
    },
    /// A stream for a lane.
    Open {
        node: NodeId,
        slot: Slot,
        reply: Reply,
    },
    /// Something of a service.
    Serve(ServiceCommand),
    /// A datagram for a node to which a way was laid.
    Relay {
        to: Incarnation,
        data: Bytes,
    },
    Leave,
    /// Channels have delivered what they could.
    Goodbye,
    Shutdown,
}

/// A broadcast to be published, and whom to tell.
pub(crate) struct Publish {
    pub(crate) publication: Publication,
    pub(crate) deadline: Instant,
    /// There was no room at first.
    pub(crate) waited: bool,
    /// `None`: a service's, which is not told.
    pub(crate) reply: Option<oneshot::Sender<Result<MessageId, BroadcastError>>>,
}

/// Why a broadcast was refused. It was not published, and later ones are not affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastError {
    /// The data is larger than a message may be.
    #[error("{size} bytes of data are out of range: 0 to {max} on this topic")]
    TooLarge {
        /// Bytes given.
        size: usize,
        /// Bytes allowed on this topic.
        max: usize,
    },
    /// The topic is too long.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// There was no neighbour to send it to for as long as `publish_wait`.
    #[error("the node has no neighbour to send the broadcast to")]
    NoNeighbor,
    /// More is published than the overlay can take: there was no room for as long as
    /// `publish_wait`.
    #[error("the overlay cannot take more broadcasts at the moment")]
    Congested,
    /// The node has left or shut down.
    #[error("the node has ended")]
    Ended,
}

/// The node has left or shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node has ended")]
pub struct Ended;

/// A node as it sees itself.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) views: Views,
    pub(crate) passive: Vec<Contact>,
    pub(crate) waiting: usize,
    pub(crate) connections: usize,
}

/// Who waits for a way to a node.
pub(crate) type Reply = oneshot::Sender<Result<Opened, OpenError>>;

/// Why there is no way to a node.
#[derive(Debug, Clone)]
pub(crate) struct OpenError {
    pub(crate) reason: Unreachable,
    /// Somebody said that nobody is there. Otherwise nobody said anything.
    pub(crate) refused: bool,
}

/// A way to a node.
#[derive(Debug)]
pub(crate) enum Opened {
    /// A stream, on a connection, when it comes.
    Direct(oneshot::Receiver<Result<Stream, String>>),
    /// Hop by hop.
    Relayed(Incarnation),
}

/// What is asked of the service in this place.
#[derive(Debug)]
pub(crate) struct ServiceCommand {
    pub(crate) place: usize,
    pub(crate) asked: Asked,
}

/// What a service's handle asks.
pub(crate) enum Asked {
    Command(Box<dyn Any + Send>),
    Look(Box<LookAt>),
}

/// Looks at a service of some type.
pub(crate) type LookAt = dyn FnOnce(&dyn Any) + Send;

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Command(_) => "Command",
            Self::Look(_) => "Look",
        })
    }
}

//! The journal of what was done to a simulation from outside, so that it can be replayed elsewhere.

use std::time::Duration;

use murmurate::membership::Time;

use crate::model::network::Network;

/// An operation from outside. Nodes are given by their index.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Operation {
    /// A node starts, for the first time or again, and joins through its contacts.
    Start {
        /// Which.
        index: usize,
        /// Whom it joins through.
        contacts: Vec<usize>,
    },
    /// A running node is told of contacts.
    Join {
        /// Which.
        index: usize,
        /// Of whom it is told.
        contacts: Vec<usize>,
    },
    /// The process of a node ends, and its host closes the connections.
    Kill(usize),
    /// A node stops without a word.
    Crash(usize),
    /// A node says goodbye and stops.
    Leave(usize),
    /// A node says goodbye, and its process goes on.
    LeaveAndStay(usize),
    /// A node does nothing for so long.
    Stall(usize, Duration),
    /// A node broadcasts.
    Publish {
        /// Which.
        index: usize,
        /// Bytes of content.
        bytes: u32,
        /// Which broadcast of the run it is.
        id: u32,
    },
    /// A node sends a message on a channel.
    Send {
        /// The place of the channel.
        channel: usize,
        /// Who sends.
        from: usize,
        /// To whom, whether it runs or not.
        to: usize,
        /// Bytes of content.
        bytes: u32,
    },
    /// The network is like this from now on.
    Network(Box<Network>),
    /// An operation that only a simulation supports, by name.
    Other(&'static str),
}

/// What was done, and when.
pub type Journal = Vec<(Time, Operation)>;

//! Why a node is not admitted.

use std::io;
use std::time::Duration;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

use crate::NodeId;

/// Why one node does not admit another. Both say it in one line; it travels, and tells a stranger nothing
/// that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
#[non_exhaustive]
pub enum Denial {
    /// It belongs to another network.
    Network,
    /// It asks for another kind of proof: the two nodes have different [`Admission`](super::Admission)s.
    Mode,
    /// It proves none of the secrets that are accepted.
    Secret,
    /// It is not on the list.
    Unlisted,
    /// Its certificate was issued by somebody else than the cluster's authority, or changed since.
    Authority,
    /// Its certificate is that of another node.
    Borrowed,
    /// Its certificate has expired.
    Expired,
    /// Its certificate was withdrawn.
    Revoked,
    /// What it says makes no sense.
    Malformed,
    /// Its certificate was issued later than now.
    Early,
    /// It passed on a broadcast that its origin did not sign, and is kept out for a while.
    Barred,
}

impl Denial {
    /// The reasons as the metric labels them.
    pub(crate) const LABELS: [&str; 11] = [
        "network",
        "mode",
        "secret",
        "unlisted",
        "authority",
        "borrowed",
        "expired",
        "revoked",
        "malformed",
        "early",
        "barred",
    ];

    pub(crate) fn label(self) -> &'static str {
        Self::LABELS[self as usize]
    }

    /// What is wrong with whom this node refuses, and what to do.
    pub(crate) fn of_other(self) -> &'static str {
        match self {
            Self::Network => "it belongs to another network: give both the same network",
            Self::Mode => "its admission mode is another one: give both the same admission.mode",
            Self::Secret => "its secret is not accepted here: install the cluster's secret on it",
            Self::Unlisted => {
                "it is not on this node's allowlist: add it if it belongs to the cluster"
            }
            Self::Authority => {
                "its certificate is not of this cluster's authority: issue it one with `murmurate ca issue`"
            }
            Self::Borrowed => "its certificate is that of another node: give it its own",
            Self::Expired => "its certificate has expired: renew it with `murmurate ca issue`",
            Self::Revoked => "its certificate was revoked",
            Self::Malformed => "it does not speak this version of the protocol",
            Self::Early => "its certificate is not valid yet: compare the clocks",
            Self::Barred => "it passed on a broadcast that its origin did not sign",
        }
    }

    /// What is wrong with this node, which another one refuses, and what to do.
    pub(crate) fn of_own(self) -> &'static str {
        match self {
            Self::Network => "this node belongs to another network: give both the same network",
            Self::Mode => {
                "this node's admission mode is another one: give both the same admission.mode"
            }
            Self::Secret => {
                "this node's secret is not accepted there: install the cluster's secret on this node"
            }
            Self::Unlisted => "this node is not on its allowlist: add it there",
            Self::Authority => {
                "this node's certificate is not of its authority: get one with `murmurate ca issue`"
            }
            Self::Borrowed => "this node's certificate is that of another node: give it its own",
            Self::Expired => {
                "this node's certificate has expired: renew it with `murmurate ca issue`"
            }
            Self::Revoked => "this node's certificate was revoked: ask the cluster's authority",
            Self::Early => "this node's certificate is not valid there yet: compare the clocks",
            Self::Barred => {
                "this node passed on a broadcast that its origin did not sign: look for who runs it"
            }
            Self::Malformed => "it does not understand this node: compare their versions",
        }
    }
}

/// Why a connection was not admitted. Neither side has said anything else on it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAdmitted {
    /// This node refuses the other.
    #[error("{node} is not admitted: {}", denial.of_other())]
    Theirs { node: NodeId, denial: Denial },
    /// The other refuses this node.
    #[error("{node} does not admit this node: {}", denial.of_own())]
    Ours { node: NodeId, denial: Denial },
    /// Nothing was said to it.
    #[error("{0} answers there")]
    Another(PeerId),
    #[error("the identity of the other side is not an ed25519 key")]
    Identity,
    #[error("nothing was proven within {0:?}")]
    Silent(Duration),
    #[error("the connection ended before anything was proven: {0}")]
    Broken(io::ErrorKind),
}

impl From<io::Error> for NotAdmitted {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.kind())
    }
}

/// The same as a cause of its own: libp2p's wrappers show what is inside what they hold, and nothing else.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Cause(#[from] NotAdmitted);

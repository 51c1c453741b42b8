//! Why a node cannot be reached.

use std::error::Error;
use std::io;
use std::iter;

use libp2p::swarm::DialError;
use libp2p::{PeerId, TransportError};

use super::admission::NotAdmitted;

/// Why an address, or all known addresses of a node, could not be dialled, or led to no link. The text
/// names the addresses that were tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialFailure {
    /// The address is one of this node.
    #[error("that is this node itself")]
    Itself,
    /// Another peer is there.
    #[error("{0} answers there")]
    OtherPeer(PeerId),
    /// Nobody listens at any of the addresses.
    #[error("{0}")]
    Refused(String),
    /// Nobody answered in time at one of the addresses.
    #[error("{0}")]
    TimedOut(String),
    /// No network leads to one of the addresses, or no transport of this node.
    #[error("{0}")]
    NoRoute(String),
    /// This node has too many connections.
    #[error("{0}")]
    Denied(String),
    /// It does not admit this node, or this node does not admit it.
    #[error("{0}")]
    NotAdmitted(String),
    /// It runs other strategies, or has another limit of frames.
    #[error("{0}")]
    Mismatch(String),
    /// It answered, and the link ended before it stood.
    #[error("{0}")]
    LinkFailed(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl DialFailure {
    /// The outcome as the metric labels it.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Itself => "self",
            Self::OtherPeer(_) => "wrong_peer",
            Self::Refused(_) => "refused",
            Self::TimedOut(_) => "timeout",
            Self::NoRoute(_) => "unreachable",
            Self::Denied(_) => "denied",
            Self::NotAdmitted(_) => "not_admitted",
            Self::Mismatch(_) | Self::LinkFailed(_) | Self::Other(_) => "other",
        }
    }

    /// Whether somebody said that the node is not there. Otherwise nobody said anything.
    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Itself | Self::OtherPeer(_) | Self::Refused(_))
    }
}

impl From<&DialError> for DialFailure {
    fn from(error: &DialError) -> Self {
        match error {
            DialError::LocalPeerId { .. } => Self::Itself,
            DialError::WrongPeerId { obtained, .. } => Self::OtherPeer(*obtained),
            DialError::Denied { .. } => Self::Denied(error.to_string()),
            DialError::Transport(errors) => {
                let each =
                    errors.iter().map(|(address, error)| format!("{address}: {}", root(error)));
                let text = each.collect::<Vec<_>>().join("; ");
                let each = errors.iter().map(|(_, error)| of_address(error, text.clone()));
                // Nobody is there only if all addresses say so.
                let least_sure = each.max_by_key(|failure| !failure.is_answer());
                least_sure.unwrap_or(Self::Other(text))
            }
            other => Self::Other(other.to_string()),
        }
    }
}

/// What happened at one address, with the text for all.
fn of_address(error: &TransportError<io::Error>, text: String) -> DialFailure {
    match error {
        TransportError::Other(error) => match find(error) {
            Some(NotAdmitted::Another(peer)) => DialFailure::OtherPeer(*peer),
            Some(NotAdmitted::Theirs { .. } | NotAdmitted::Ours { .. }) => {
                DialFailure::NotAdmitted(text)
            }
            Some(NotAdmitted::Silent(_)) => DialFailure::TimedOut(text),
            Some(NotAdmitted::Identity | NotAdmitted::Broken(_)) => DialFailure::Other(text),
            None => of_kind(error, text),
        },
        TransportError::MultiaddrNotSupported(_) => DialFailure::NoRoute(text),
    }
}

fn of_kind(error: &io::Error, text: String) -> DialFailure {
    use io::ErrorKind;
    match root_kind(error) {
        ErrorKind::ConnectionRefused => DialFailure::Refused(text),
        ErrorKind::TimedOut => DialFailure::TimedOut(text),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => DialFailure::NoRoute(text),
        _ if error.to_string().contains("imeout") => DialFailure::TimedOut(text),
        _ => DialFailure::Other(text),
    }
}

/// What is inside an error.
fn inside<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}

/// The error itself or the outermost inside it that is an `E`.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let all = iter::successors(Some(error), |outer| inside(*outer));
    all.into_iter().find_map(|error| error.downcast_ref())
}

/// The innermost message: the outer ones only say that something failed.
pub(crate) fn root(error: &(dyn Error + 'static)) -> String {
    iter::successors(Some(error), |outer| inside(*outer)).last().unwrap_or(error).to_string()
}

/// libp2p wraps the kernel's error several times, and not every wrapper shows what it holds: then
/// the kernel's number at the end of the text tells.
fn root_kind(error: &io::Error) -> io::ErrorKind {
    let text = error.to_string();
    let number = text.rsplit_once("(os error ").and_then(|(_, rest)| rest.split_once(')'));
    match number.and_then(|(number, _)| number.parse().ok()) {
        Some(number) => io::Error::from_raw_os_error(number).kind(),
        None => error.kind(),
    }
}

/// Why messages of a channel cannot be sent to a node now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unreachable {
    /// Its addresses could not be dialled.
    #[error(transparent)]
    Undialled(#[from] DialFailure),
    /// Its addresses could not be dialled, and no neighbour knows a way to it.
    #[error("{0}; and there is no way to it through the overlay")]
    NoWay(DialFailure),
    /// No node of the overlay knows it.
    #[error("no node of the overlay knows it")]
    Unknown,
    /// This node has as many connections for channels as it may have.
    #[error("max_channel_connections = {0} are in use")]
    Busy(usize),
    /// It speaks, but closes its connections at once.
    #[error("its connections close at once")]
    Closes,
    /// It does not answer in time.
    #[error("it does not answer")]
    Silent,
    /// The connection failed, or it said what makes no sense.
    #[error("{0}")]
    Failed(String),
    /// Only other nodes lead to it, and they pass on no streams of bytes.
    #[error("only hop by hop, and streams of bytes are not relayed")]
    OnlyRelayed,
    /// Only other nodes lead to it, and they pass on no message of this size.
    #[error("only hop by hop, which takes {max} bytes, not {size}")]
    TooLargeToRelay {
        /// Bytes of the message.
        size: usize,
        /// Bytes that are passed on.
        max: usize,
    },
    /// The nodes that led to it are gone.
    #[error("the way to it is lost")]
    WayLost,
}

impl Unreachable {
    pub(crate) fn failed(why: &(impl ToString + ?Sized)) -> Self {
        Self::Failed(why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;

    use super::*;

    #[test]
    fn nobody_is_there_only_if_all_addresses_say_so() {
        use io::ErrorKind::{ConnectionRefused, TimedOut};
        let failed = |kinds: &[io::ErrorKind]| {
            let each = kinds
                .iter()
                .map(|kind| (Multiaddr::empty(), TransportError::Other(io::Error::from(*kind))));
            DialFailure::from(&DialError::Transport(each.collect())).label()
        };
        assert_eq!(failed(&[ConnectionRefused, ConnectionRefused]), "refused");
        assert_eq!(failed(&[ConnectionRefused, TimedOut]), "timeout");
        assert_eq!(failed(&[TimedOut, ConnectionRefused]), "timeout");
        assert_eq!(failed(&[]), "other");
    }

    #[test]
    fn the_kernel_error_is_found_in_the_text() {
        let wrapped = io::Error::other("Failed: Connection refused (os error 111): Other");
        assert_eq!(root_kind(&wrapped), io::ErrorKind::ConnectionRefused);
        let timeout = io::Error::new(io::ErrorKind::TimedOut, "too slow");
        assert_eq!(root_kind(&timeout), io::ErrorKind::TimedOut);
    }
}

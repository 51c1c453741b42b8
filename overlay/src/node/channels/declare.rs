//! Channels as they are declared: a name, a kind, options.

use std::sync::Arc;
use std::time::Duration;

use murmurate_membership::OutOfRange;
use murmurate_membership::parameters::ParameterSet as _;

use crate::channel::{Acknowledged, BestEffort, ChannelOptions, Kind, LaneLimits, Latest, Request};
use crate::node::admission::{self, CertificateError};
use crate::node::transport::Traffic;

/// A channel, declared under its name before the node starts. All nodes declare it alike: a node
/// that does not know it, or declares it differently, refuses its messages and says why.
///
/// ```
/// use std::time::Duration;
/// use murmurate::{Channel, Overflow};
///
/// let orders = Channel::acknowledged("orders").parallelism(4).timeout(Duration::from_secs(10));
/// let prices = Channel::latest("prices");
/// let samples = Channel::best_effort("samples").overflow(Overflow::DropOldest).compressed();
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Channel {
    pub(crate) name: String,
    pub(crate) carries: Carries,
    pub(crate) traffic: Traffic,
    pub(crate) overflow: Overflow,
    pub(crate) compressed: bool,
    pub(crate) role: Option<String>,
    pub(crate) options: ChannelOptions,
}

/// What a channel carries.
#[derive(Debug, Clone)]
pub(crate) enum Carries {
    /// Messages, with what their kind promises.
    Messages(Arc<dyn Kind>),
    /// Streams of bytes.
    Bytes,
}

/// What happens to a message when the queue to its receiver is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Overflow {
    /// `send` waits for room; `try_send` refuses the message.
    Wait,
    /// The oldest message that has not been sent yet is dropped to make room.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
}

/// Why a channel cannot be declared like this; nothing was started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeclarationError {
    /// The name is empty or too long.
    #[error("channel {0:?}: its name must have 1 to 64 bytes")]
    Name(String),
    /// Two channels have the same name.
    #[error("channel {0:?} is declared twice")]
    Twice(String),
    /// No certificate can have the role.
    #[error("channel {channel:?}: {role}")]
    Role {
        /// The channel.
        channel: String,
        /// What is wrong with the role.
        #[source]
        role: CertificateError,
    },
    /// There are more channels than a node may have.
    #[error("{0} channels are too many: a node declares at most 32")]
    TooMany(usize),
    /// An option is outside its range.
    #[error("channel {channel:?}: {option}")]
    OutOfRange {
        /// The channel.
        channel: String,
        /// Which option, and its range.
        #[source]
        option: OutOfRange,
    },
}

/// Channels a node may have.
pub(crate) const MAX_CHANNELS: usize = 32;

impl Channel {
    fn new(name: impl Into<String>, carries: Carries) -> Self {
        Self {
            name: name.into(),
            carries,
            traffic: Traffic::Small,
            overflow: Overflow::Wait,
            compressed: false,
            role: None,
            options: ChannelOptions::default(),
        }
    }

    /// Messages in order, each at most once; what a broken connection held is lost.
    pub fn best_effort(name: impl Into<String>) -> Self {
        Self::own(name, BestEffort)
    }

    /// Messages in order, each once, sent again over another connection until the receiving
    /// application has acknowledged them. The sender learns what became of each.
    pub fn acknowledged(name: impl Into<String>) -> Self {
        Self::own(name, Acknowledged)
    }

    /// The latest message only: a newer one replaces one that still waits.
    pub fn latest(name: impl Into<String>) -> Self {
        Self::own(name, Latest)
    }

    /// Messages that are answered within a time-out.
    pub fn request(name: impl Into<String>) -> Self {
        Self::own(name, Request)
    }

    /// Streams of bytes, opened by one node and accepted by the other.
    pub fn bytes(name: impl Into<String>) -> Self {
        Self::new(name, Carries::Bytes).traffic(Traffic::Bytes)
    }

    /// Messages of a kind of your own.
    pub fn own(name: impl Into<String>, kind: impl Kind + 'static) -> Self {
        Self::new(name, Carries::Messages(Arc::new(kind)))
    }

    /// How many lanes there are between two nodes, each on a connection of its own. Messages with the
    /// same key take the same lane. 1 to 16; default 1.
    pub fn parallelism(mut self, lanes: u16) -> Self {
        self.options.parallelism = lanes;
        self
    }

    /// Which connections it uses. Default [`Traffic::Small`]; streams of bytes [`Traffic::Bytes`].
    pub fn traffic(mut self, traffic: Traffic) -> Self {
        self.traffic = traffic;
        self
    }

    /// What happens when the queue to a receiver is full. Default [`Overflow::Wait`].
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// Compresses messages with LZ4 where that makes them smaller.
    pub fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    /// Takes messages only from nodes whose [certificates](crate::admission::Certificate) have this role.
    /// They prove it on connections of their own, so none come hop by hop.
    pub fn role(mut self, role: impl Into<String>) -> Self {
        self.role = Some(role.into());
        self
    }

    /// Bytes of the largest message. 1 to 16,777,215; default 1 MiB.
    pub fn max_message(mut self, bytes: usize) -> Self {
        self.options.max_message = bytes;
        self
    }

    /// How many messages, and how many bytes of them, may wait in a lane for one receiver. As many may
    /// wait at the receiving node for its application. One message always may. 1 to 1,048,576 messages
    /// and 1 byte to 1 GiB; default 4,096 and 4 MiB.
    pub fn queue(mut self, messages: usize, bytes: usize) -> Self {
        self.options.queue_messages = messages;
        self.options.queue_bytes = bytes;
        self
    }

    /// How long a message may be under way before its sender is told that it
    /// [timed out](super::Undelivered::TimedOut). Default 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = timeout;
        self
    }

    /// All that can be told in numbers and times at once.
    pub fn options(mut self, options: ChannelOptions) -> Self {
        self.options = options;
        self
    }

    /// What both ends compare beside the name.
    pub(crate) fn kind_name(&self) -> &str {
        match &self.carries {
            Carries::Messages(kind) => kind.name(),
            Carries::Bytes => "bytes",
        }
    }

    pub(crate) fn limits(&self) -> LaneLimits {
        LaneLimits::from(&self.options)
    }

    fn check(&self) -> Result<(), DeclarationError> {
        if !(1..=64).contains(&self.name.len()) {
            return Err(DeclarationError::Name(self.name.clone()));
        }
        if let Some(Err(role)) = self.role.as_deref().map(admission::check_role) {
            return Err(DeclarationError::Role { channel: self.name.clone(), role });
        }
        let (value, min, max) = (self.kind_name().len(), 1, 32);
        if !(min..=max).contains(&value) {
            let name = "kind's name (bytes)";
            return Err(self.refused(OutOfRange::Number { name, value, min, max }));
        }
        let mut options = self.options.values();
        let checked = options.try_for_each(|(of, value)| of.check(value));
        checked.map_err(|option| self.refused(option))
    }

    fn refused(&self, option: OutOfRange) -> DeclarationError {
        DeclarationError::OutOfRange { channel: self.name.clone(), option }
    }
}

/// Checks all channels of a node.
pub(crate) fn check(channels: &[Channel]) -> Result<(), DeclarationError> {
    if channels.len() > MAX_CHANNELS {
        return Err(DeclarationError::TooMany(channels.len()));
    }
    for (at, channel) in channels.iter().enumerate() {
        channel.check()?;
        if channels[..at].iter().any(|other| other.name == channel.name) {
            return Err(DeclarationError::Twice(channel.name.clone()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_declarations_are_named_with_their_range() {
        let says = |channels: &[Channel]| check(channels).err().map(|e| e.to_string());
        let fine = Channel::acknowledged("a");
        assert_eq!(says(&[fine.clone(), Channel::bytes("b")]), None);
        assert_eq!(
            says(&[fine.clone(), Channel::latest("a")]),
            Some("channel \"a\" is declared twice".into())
        );
        assert_eq!(
            says(&[fine.clone().parallelism(17)]),
            Some("channel \"a\": parallelism = 17 is out of range: 1 to 16".into())
        );
        assert_eq!(
            says(&[fine.clone().max_message(1 << 24)]),
            Some("channel \"a\": max_message = 16777216 is out of range: 1 to 16777215".into())
        );
        assert!(says(&[fine.clone().timeout(Duration::ZERO)]).is_some());
        assert!(says(&[Channel::latest("")]).is_some());
        assert_eq!(
            says(&[fine.role("Writer")]),
            Some("channel \"a\": role \"Writer\": allowed are 1 to 32 lower-case letters, digits, - and _".into())
        );
        let many: Vec<_> = (0..33).map(|n| Channel::latest(n.to_string())).collect();
        assert_eq!(
            says(&many),
            Some("33 channels are too many: a node declares at most 32".into())
        );
    }
}

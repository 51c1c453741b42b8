//! What the bytes on a stream mean. The book's page "The wire protocol" describes them for others.
//!
//! A frame is one byte of kind, three of length (big endian), and so many bytes of body. Whatever
//! a body says of lengths inside itself is checked before anything is allocated for it.

#[cfg(any(test, fuzzing))]
pub(crate) mod check;
mod contact;
mod head;
mod publication;
mod relayed;
mod said;
mod served;
#[cfg(test)]
mod tests;

use murmurate_broadcast::{Carries as _, anti_entropy};
use serde::de::{DeserializeOwned, Deserializer, Error};
use serde::{Deserialize, Serialize};

pub(crate) use contact::{Addresses, Contact, is_near};
pub(crate) use head::Head;
#[cfg(test)]
pub(crate) use publication::Proof;
pub use publication::TopicError;
pub(crate) use publication::{MAX_DEPTH, Publication, SIGNATURE, topic_length};
pub(crate) use relayed::{Relayed, RouteMessage, encode_route};
pub(crate) use said::{Codec, InnerMessage, MembershipMessage};
pub use said::{NodeBroadcast, NodeMembership};
pub(crate) use served::ServiceMessage;

use crate::id::{Incarnation, MessageId};

/// The protocol's name and version, as streams negotiate it.
pub(crate) const PROTOCOL: &str = "/murmurate/overlay/7";
/// Bytes before a body.
pub(crate) const HEADER: usize = 4;
/// Bytes of a body other than a payload: far above the largest shuffle or batch of announcements.
pub(crate) const MAX_CONTROL: usize = 64 << 10;
/// Bytes a body's length can express.
pub(crate) const MAX_BODY: usize = (1 << 24) - 1;
/// Bytes of the frame before a hello: more than two full packets of an Ethernet. A path on which small
/// packets pass and full ones vanish never becomes a link, instead of one that brings keep-alives and
/// no payload (QUIC begins like that: RFC 9000, section 14.1).
pub(crate) const PADDING: usize = 4_096;
/// Neighbours in an answer about views.
pub(crate) const MAX_VIEW: usize = 64;
/// Bytes of the names of both strategies.
pub(crate) const MAX_STRATEGIES: usize = 64;

/// The first frame on every stream: who speaks, and how. That both belong to the same network was proven before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// The names of the membership and broadcast strategies that the overlay runs.
    #[serde(deserialize_with = "short")]
    pub(crate) strategies: String,
    /// Whether the overlay signs broadcasts.
    pub(crate) signed: bool,
    /// Which start of the node this is.
    pub(crate) started: u64,
    /// The largest body the node takes.
    pub(crate) max_frame: u32,
    /// If it dialled the connection. Otherwise nothing of it counts.
    pub(crate) order: Order,
    /// Where others can dial it.
    pub(crate) addresses: Addresses,
}

/// Which of two connections between the same nodes goes on: said by who dialled, and known to both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// How many connections this start has dialled and greeted on, this one included.
    pub(crate) number: u64,
    /// The last one dialled by the other side whose hello had come: of which start, and its number.
    pub(crate) heard: (u64, u64),
}

/// Names of strategies: what no node can have is not even kept for the error that tells of it.
fn short<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = <&str>::deserialize(from)?;
    if text.len() > MAX_STRATEGIES {
        return Err(D::Error::invalid_length(text.len(), &"at most 64 bytes"));
    }
    Ok(text.to_owned())
}

/// What neighbours say to find out what either missed.
pub(crate) type ExchangeMessage = anti_entropy::Message<Never, Incarnation, MessageId, Never>;

/// Content that never occurs: payloads travel as raw bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Never {}

/// A node's views, asked for by whoever draws the overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Views {
    /// The active view, each peer with whether payloads are pushed to it.
    #[serde(deserialize_with = "murmurate_membership::bounded::deserialize::<_, _, MAX_VIEW>")]
    pub(crate) active: thin_vec::ThinVec<(Contact, bool)>,
    /// Peers in the passive view.
    pub(crate) passive: u32,
    /// A digest of the secrets or revocations that the node has; 0 for none.
    pub(crate) notice: u64,
}

/// A frame, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello(Hello),
    /// What the membership says, with the addresses its sender knows of the peers that it names.
    Membership(MembershipMessage, Vec<Addresses>),
    /// What the broadcast strategy says without a payload...
    Control(InnerMessage),
    /// ...and with one.
    Gossip(InnerMessage),
    Exchange(ExchangeMessage),
    /// A broadcast that was asked for after an exchange.
    Reply {
        id: MessageId,
        round: u16,
        /// How long ago it was published, in milliseconds.
        age: u32,
        payload: Publication,
    },
    /// Please tell your views.
    AskViews,
    Views(Views),
    /// About ways to nodes that are not neighbours.
    Route(RouteMessage),
    /// A datagram on such a way.
    Relay(Relayed),
    /// What a service says to its like.
    Service(ServiceMessage),
    /// Nothing follows on this stream, and that is no failure.
    Bye,
    /// Nothing: what it takes up shows that the path carries it.
    Padding,
    /// Please echo the number once all before it is handled.
    Probe(u32),
    Echo(Echo),
}

/// A probe's echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Echo {
    /// The probe's number.
    pub(crate) number: u32,
    /// How long payloads queue on most links of whoever says it, in milliseconds.
    pub(crate) delay: u16,
}

/// A frame's kind: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Hello = 0,
    Membership = 1,
    Control = 2,
    Gossip = 3,
    AskViews = 4,
    Views = 5,
    Bye = 6,
    Route = 7,
    Relay = 8,
    Padding = 9,
    Service = 10,
    Exchange = 11,
    Reply = 12,
    Probe = 13,
    Echo = 14,
}

/// Why bytes are not a frame. Nothing of it was used; the link ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("no frame begins with {0}")]
    UnknownKind(u8),
    #[error("a {kind:?} frame of {length} bytes: at most {limit} are allowed")]
    TooLong { kind: Kind, length: usize, limit: usize },
    #[error("a {0:?} frame with an invalid body")]
    Malformed(Kind),
    #[error("a {0:?} frame that is not allowed here")]
    OutOfPlace(Kind),
}

impl Kind {
    const ALL: [Self; 15] = [
        Self::Hello,
        Self::Membership,
        Self::Control,
        Self::Gossip,
        Self::AskViews,
        Self::Views,
        Self::Bye,
        Self::Route,
        Self::Relay,
        Self::Padding,
        Self::Service,
        Self::Exchange,
        Self::Reply,
        Self::Probe,
        Self::Echo,
    ];

    /// Whether its body is content, and as large as an overlay allows.
    fn is_content(self) -> bool {
        matches!(self, Self::Gossip | Self::Reply | Self::Relay | Self::Service)
    }
}

/// What a header announces: the kind and length of the body, within `max_frame`.
pub(crate) fn header(bytes: [u8; HEADER], max_frame: usize) -> Result<(Kind, usize), FrameError> {
    let [kind, high, middle, low] = bytes;
    let kind = Kind::ALL.get(usize::from(kind)).copied().ok_or(FrameError::UnknownKind(kind))?;
    let length = u32::from_be_bytes([0, high, middle, low]) as usize;
    let limit = if kind.is_content() { max_frame } else { MAX_CONTROL };
    if length > limit {
        return Err(FrameError::TooLong { kind, length, limit });
    }
    Ok((kind, length))
}

fn put_header(kind: Kind, length: usize) -> [u8; HEADER] {
    debug_assert!(length <= MAX_BODY, "{length} bytes");
    let [_, high, middle, low] = (length as u32).to_be_bytes();
    [kind as u8, high, middle, low]
}

impl Frame {
    /// The broadcast that it carries.
    pub(crate) fn broadcast(&self) -> Option<(MessageId, &Publication)> {
        match self {
            Self::Gossip(message) => message.carries().zip(message.payload()),
            Self::Reply { id, payload, .. } => Some((*id, payload)),
            _ => None,
        }
    }

    /// Decodes a body; `codec` knows what the strategies say. Trailing bytes make it malformed.
    pub(crate) fn decode(kind: Kind, body: &[u8], codec: &Codec) -> Result<Self, FrameError> {
        fn whole<T: DeserializeOwned>(kind: Kind, body: &[u8]) -> Result<T, FrameError> {
            match postcard::take_from_bytes(body) {
                Ok((value, [])) => Ok(value),
                Ok(_) | Err(_) => Err(FrameError::Malformed(kind)),
            }
        }
        match kind {
            Kind::Hello => whole(kind, body).map(Self::Hello),
            Kind::Membership => decode_membership(body, codec).ok_or(FrameError::Malformed(kind)),
            Kind::Control => {
                let message = codec.broadcast(body, false);
                message.map(Self::Control).ok_or(FrameError::Malformed(kind))
            }
            Kind::Gossip => {
                let message = codec.broadcast(body, true);
                message.map(Self::Gossip).ok_or(FrameError::Malformed(kind))
            }
            Kind::Reply => head::decode_reply(body).ok_or(FrameError::Malformed(kind)),
            Kind::Exchange => whole(kind, body).map(Self::Exchange),
            Kind::Views => whole(kind, body).map(Self::Views),
            Kind::Route => whole(kind, body).map(Self::Route),
            Kind::Relay => {
                Relayed::decode(body).map(Self::Relay).ok_or(FrameError::Malformed(kind))
            }
            Kind::Service => {
                ServiceMessage::decode(body).map(Self::Service).ok_or(FrameError::Malformed(kind))
            }
            Kind::Padding => Ok(Self::Padding),
            Kind::Probe => whole(kind, body).map(Self::Probe),
            Kind::Echo => whole(kind, body).map(Self::Echo),
            Kind::AskViews if body.is_empty() => Ok(Self::AskViews),
            Kind::Bye if body.is_empty() => Ok(Self::Bye),
            Kind::AskViews | Kind::Bye => Err(FrameError::Malformed(kind)),
        }
    }

    /// A frame whose body is not a payload, whole.
    fn control<T: Serialize>(kind: Kind, body: &T) -> Vec<u8> {
        let mut frame = vec![0; HEADER];
        #[allow(clippy::expect_used, reason = "a vector takes anything")]
        said::write(body, &mut frame).expect("plain data serializes");
        finish(kind, frame)
    }
}

/// A frame whose body is written, behind room for the header.
fn finish(kind: Kind, mut frame: Vec<u8>) -> Vec<u8> {
    let header = put_header(kind, frame.len() - HEADER);
    frame[..HEADER].copy_from_slice(&header);
    frame
}

/// What a membership says, and for each peer that it names a few addresses.
fn decode_membership(body: &[u8], codec: &Codec) -> Option<Frame> {
    let (message, mut rest) = codec.membership(body)?;
    let mut addresses = Vec::new();
    for _ in message.named() {
        let (of_one, after) = postcard::take_from_bytes(rest).ok()?;
        addresses.push(of_one);
        rest = after;
    }
    rest.is_empty().then_some(Frame::Membership(message, addresses))
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Frame::control(Kind::Hello, self)
    }
}

impl Views {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Frame::control(Kind::Views, self)
    }
}

/// What a membership says, with the addresses of those that it names; nothing if nobody would take it.
pub(crate) fn encode_membership(
    message: &MembershipMessage,
    addresses: impl Fn(Incarnation) -> Addresses,
) -> Option<Vec<u8>> {
    let mut frame = vec![0; HEADER];
    message.encode(&mut frame)?;
    for peer in message.named() {
        said::write(&addresses(peer), &mut frame)?;
    }
    fits(&frame).then(|| finish(Kind::Membership, frame))
}

/// Whether a frame without a payload is one that others take.
fn fits(frame: &[u8]) -> bool {
    frame.len() <= HEADER + MAX_CONTROL
}

/// What a broadcast strategy says without a payload; nothing if nobody would take it.
pub(crate) fn encode_control(head: &[u8]) -> Option<Vec<u8>> {
    let frame = [&[0; HEADER], head].concat();
    fits(&frame).then(|| finish(Kind::Control, frame))
}

pub(crate) fn encode_exchange(message: &ExchangeMessage) -> Vec<u8> {
    Frame::control(Kind::Exchange, message)
}

pub(crate) fn encode_probe(number: u32) -> Vec<u8> {
    Frame::control(Kind::Probe, &number)
}

impl Echo {
    pub(crate) fn encode(&self) -> Vec<u8> {
        Frame::control(Kind::Echo, self)
    }
}

/// A frame without a body.
pub(crate) fn encode_empty(kind: Kind) -> [u8; HEADER] {
    put_header(kind, 0)
}

/// What comes before a hello.
pub(crate) fn encode_padding() -> Vec<u8> {
    let mut frame = vec![0; PADDING];
    frame[..HEADER].copy_from_slice(&put_header(Kind::Padding, PADDING - HEADER));
    frame
}

const _: () = assert!(
    anti_entropy::MAX_ORIGINS * (size_of::<anti_entropy::Span<Incarnation>>() + 8)
        + anti_entropy::MAX_PARTS * (size_of::<anti_entropy::Summary>() + 8)
        < MAX_CONTROL,
    "what neighbours say of each other's broadcasts fits a control frame"
);

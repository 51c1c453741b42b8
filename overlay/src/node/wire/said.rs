//! What strategies say, whatever their types. Only what knows them reads it: see [`Codec`].

use std::any::Any;
use std::fmt::{self, Debug};

use murmurate_broadcast::{Broadcast, BroadcastStrategy, Carries};
use murmurate_membership::{Membership, MembershipStrategy, Sizes, Wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{HEADER, Publication};
use crate::id::{Incarnation, MessageId};

/// A membership strategy that nodes can run: its messages can be written and read.
pub trait NodeMembership:
    MembershipStrategy<
    Membership<Incarnation>: Membership<Message: Serialize + DeserializeOwned + PartialEq>,
>
{
}
impl<S> NodeMembership for S where
    S: MembershipStrategy<
        Membership<Incarnation>: Membership<Message: Serialize + DeserializeOwned + PartialEq>,
    >
{
}

/// A broadcast strategy that nodes can run: its messages can be written and read.
pub trait NodeBroadcast:
    BroadcastStrategy<
    Broadcast<Incarnation, MessageId, Publication>: Broadcast<
        Message: Carries<MessageId, Head: Serialize + DeserializeOwned> + PartialEq,
    >,
>
{
}
impl<S> NodeBroadcast for S where
    S: BroadcastStrategy<
        Broadcast<Incarnation, MessageId, Publication>: Broadcast<
            Message: Carries<MessageId, Head: Serialize + DeserializeOwned> + PartialEq,
        >,
    >
{
}

type MessageOfMembership<S> =
    <<S as MembershipStrategy>::Membership<Incarnation> as Membership>::Message;
type MessageOfBroadcast<S> = <<S as BroadcastStrategy>::Broadcast<
    Incarnation,
    MessageId,
    Publication,
> as Broadcast>::Message;
type HeadOf<M> = <M as Carries<MessageId>>::Head;

/// A message of a membership strategy.
pub(crate) struct MembershipMessage(Box<dyn OfMembership>);

/// A message of a broadcast strategy.
pub(crate) struct InnerMessage {
    of: Box<dyn OfBroadcast>,
    /// When what it carries was published, if it was read.
    published: Option<u64>,
}

trait OfMembership: Any + Debug + Send {
    fn kind(&self) -> usize;
    fn copied(&self) -> Box<dyn OfMembership>;
    fn equals(&self, other: &dyn Any) -> bool;
    fn encode(&self, into: &mut Vec<u8>);
    fn named(&self) -> Vec<Incarnation>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

trait OfBroadcast: Any + Debug + Send {
    fn kind(&self) -> usize;
    fn copied(&self) -> Box<dyn OfBroadcast>;
    fn equals(&self, other: &dyn Any) -> bool;
    fn carries(&self) -> Option<MessageId>;
    fn is_repair(&self) -> bool;
    fn split(self: Box<Self>) -> (Vec<u8>, Option<Publication>);
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

/// A message with the strategy that it is of.
struct Of<S, M>(M, std::marker::PhantomData<fn() -> S>);

impl<S, M> Of<S, M> {
    fn new(message: M) -> Self {
        Self(message, std::marker::PhantomData)
    }
}

impl<S, M: Debug> Debug for Of<S, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Appends what postcard makes of it.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) {
    let taken = std::mem::take(into);
    #[allow(clippy::expect_used, reason = "a vector takes anything")]
    let written = postcard::to_extend(value, taken).expect("plain data serializes");
    *into = written;
}

impl<S: NodeMembership> OfMembership for Of<S, MessageOfMembership<S>> {
    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn copied(&self) -> Box<dyn OfMembership> {
        Box::new(Self::new(self.0.clone()))
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn encode(&self, into: &mut Vec<u8>) {
        write(&self.0, into);
    }

    fn named(&self) -> Vec<Incarnation> {
        let mut named = Vec::new();
        S::Membership::<Incarnation>::each_named(&self.0, |peer| named.push(peer));
        named
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

impl<S: NodeBroadcast> OfBroadcast for Of<S, MessageOfBroadcast<S>> {
    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn copied(&self) -> Box<dyn OfBroadcast> {
        Box::new(Self::new(self.0.clone()))
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn carries(&self) -> Option<MessageId> {
        self.0.carries()
    }

    fn is_repair(&self) -> bool {
        self.0.is_repair()
    }

    fn split(self: Box<Self>) -> (Vec<u8>, Option<Publication>) {
        let (head, payload) = self.0.split();
        let mut bytes = Vec::with_capacity(64);
        write(&head, &mut bytes);
        (bytes, payload)
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        Box::new(self.0)
    }
}

impl MembershipMessage {
    /// What a strategy says.
    pub(crate) fn of<S: NodeMembership>(message: MessageOfMembership<S>) -> Self {
        Self(Box::new(Of::<S, _>::new(message)))
    }

    /// The message as its strategy knows it.
    pub(crate) fn own<S: NodeMembership>(self) -> Option<MessageOfMembership<S>> {
        self.0.into_any().downcast().ok().map(|own| *own)
    }

    /// The peers that it names, in order.
    pub(crate) fn named(&self) -> Vec<Incarnation> {
        self.0.named()
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) {
        self.0.encode(into);
    }
}

impl InnerMessage {
    /// What a strategy says.
    pub(crate) fn of<S: NodeBroadcast>(message: MessageOfBroadcast<S>) -> Self {
        Self { of: Box::new(Of::<S, _>::new(message)), published: None }
    }

    /// When what it carries was published by its publisher's clock, of one that was read.
    pub(crate) fn published(&self) -> Option<u64> {
        self.published
    }

    /// The message as its strategy knows it.
    pub(crate) fn own<S: NodeBroadcast>(self) -> Option<MessageOfBroadcast<S>> {
        self.of.into_any().downcast().ok().map(|own| *own)
    }
}

impl Clone for MembershipMessage {
    fn clone(&self) -> Self {
        Self(self.0.copied())
    }
}

impl Clone for InnerMessage {
    fn clone(&self) -> Self {
        Self { of: self.of.copied(), published: self.published }
    }
}

impl Debug for MembershipMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Debug for InnerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.fmt(f)
    }
}

impl PartialEq for MembershipMessage {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(&*other.0 as &dyn Any)
    }
}

impl Eq for MembershipMessage {}

impl PartialEq for InnerMessage {
    fn eq(&self, other: &Self) -> bool {
        self.of.equals(&*other.of as &dyn Any)
    }
}

impl Eq for InnerMessage {}

impl Wire for MembershipMessage {
    /// Their names are the strategy's: see [`Codec::kinds`].
    const KINDS: &'static [&'static str] = &[""; 24];

    fn kind(&self) -> usize {
        self.0.kind()
    }

    /// Without the addresses of those it names.
    fn wire_len(&self, _sizes: &Sizes) -> usize {
        let mut bytes = Vec::new();
        self.0.encode(&mut bytes);
        HEADER + bytes.len()
    }
}

impl Wire for InnerMessage {
    /// Their names are the strategy's: see [`Codec::kinds`].
    const KINDS: &'static [&'static str] = &[""; 12];

    fn kind(&self) -> usize {
        self.of.kind()
    }

    fn wire_len(&self, _sizes: &Sizes) -> usize {
        let (head, payload) = self.of.copied().split();
        HEADER + head.len() + payload.map_or(0, |payload| payload.bytes().len())
    }
}

impl Carries<MessageId> for InnerMessage {
    type Payload = Publication;
    /// Written already.
    type Head = Vec<u8>;

    fn carries(&self) -> Option<MessageId> {
        self.of.carries()
    }

    fn is_repair(&self) -> bool {
        self.of.is_repair()
    }

    fn split(self) -> (Vec<u8>, Option<Publication>) {
        self.of.split()
    }

    /// Only its strategy can: see [`Codec`].
    fn join(_head: Vec<u8>, _payload: Option<Publication>) -> Option<Self> {
        None
    }
}

/// Reads a message, and says what follows it.
type ReadMembership = for<'a> fn(&'a [u8]) -> Option<(MembershipMessage, &'a [u8])>;

/// Reads what two strategies say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Codec {
    membership: ReadMembership,
    broadcast: fn(&[u8], bool) -> Option<InnerMessage>,
    /// The names of the kinds of messages of each.
    pub(crate) kinds: [&'static [&'static str]; 2],
}

impl Codec {
    /// Of a membership strategy; of a broadcast strategy it reads nothing.
    pub(crate) fn of_membership<M: NodeMembership>() -> Self {
        Self {
            membership: membership::<M>,
            broadcast: |_, _| None,
            kinds: [MessageOfMembership::<M>::KINDS, &[]],
        }
    }

    /// The same with a broadcast strategy.
    pub(crate) fn with_broadcast<B: NodeBroadcast>(self) -> Self {
        let [membership, _] = self.kinds;
        let kinds = [membership, MessageOfBroadcast::<B>::KINDS];
        Self { broadcast: broadcast::<B>, kinds, ..self }
    }

    /// A message of the membership, and what follows it.
    pub(super) fn membership<'a>(&self, body: &'a [u8]) -> Option<(MembershipMessage, &'a [u8])> {
        (self.membership)(body)
    }

    /// A message of the broadcast with nothing behind it, or with a payload.
    pub(super) fn broadcast(&self, body: &[u8], has_payload: bool) -> Option<InnerMessage> {
        (self.broadcast)(body, has_payload)
    }
}

fn membership<S: NodeMembership>(body: &[u8]) -> Option<(MembershipMessage, &[u8])> {
    let (message, rest) = postcard::take_from_bytes(body).ok()?;
    Some((MembershipMessage::of::<S>(message), rest))
}

fn broadcast<S: NodeBroadcast>(body: &[u8], has_payload: bool) -> Option<InnerMessage> {
    let (head, rest) = postcard::take_from_bytes::<HeadOf<MessageOfBroadcast<S>>>(body).ok()?;
    let payload = match has_payload {
        true => Some(Publication::decode(rest)?),
        false if rest.is_empty() => None,
        false => return None,
    };
    let published = payload.as_ref().map(Publication::published);
    let message = MessageOfBroadcast::<S>::join(head, payload)?;
    Some(InnerMessage { published, ..InnerMessage::of::<S>(message) })
}

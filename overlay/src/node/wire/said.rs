//! What strategies say, whatever their types. Only what knows them reads it: see [`Codec`].

use std::any::Any;
use std::fmt::{self, Debug};

use dyn_clone::DynClone;
use murmurate_broadcast::{Broadcast, BroadcastStrategy, Carries};
use murmurate_membership::{Membership, MembershipStrategy, Sizes, Wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{HEADER, Publication};
use crate::erased::{
    AnyBroadcastMessage, AnyMembershipMessage, Boxed, ErasedBroadcast, ErasedMembership,
};
use crate::id::{Incarnation, MessageId};

/// A membership strategy that nodes can run: its messages can be written and read.
///
/// Messages travel as [postcard](https://docs.rs/postcard) 1, which does not describe itself: no `untagged`
/// and no `flatten`. Messages from the wire cannot be trusted, so a message bounds its own collections. One
/// that cannot be written, or whose frame would be longer than 64 KiB, is not sent and counts as dropped.
pub trait NodeMembership:
    MembershipStrategy<Membership<Incarnation>: Membership<Message: Serialize + DeserializeOwned>>
{
}
impl<S> NodeMembership for S where
    S: MembershipStrategy<
        Membership<Incarnation>: Membership<Message: Serialize + DeserializeOwned>,
    >
{
}

/// A broadcast strategy that nodes can run: its messages can be written and read.
///
/// As of [`NodeMembership`]. In front of a payload a message takes at most 92 bytes.
pub trait NodeBroadcast:
    BroadcastStrategy<
    Broadcast<Incarnation, MessageId, Publication>: Broadcast<
        Message: Carries<MessageId, Head: Serialize + DeserializeOwned>,
    >,
>
{
}
impl<S> NodeBroadcast for S where
    S: BroadcastStrategy<
        Broadcast<Incarnation, MessageId, Publication>: Broadcast<
            Message: Carries<MessageId, Head: Serialize + DeserializeOwned>,
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
#[derive(Debug, Clone)]
pub(crate) struct MembershipMessage(Box<dyn OfMembership>);

/// A message of a broadcast strategy.
#[derive(Debug, Clone)]
pub(crate) struct InnerMessage(Box<dyn OfBroadcast>);

trait OfMembership: Any + Debug + DynClone + Send {
    fn kind(&self) -> usize;
    fn encode(&self, into: &mut Vec<u8>) -> Option<()>;
    fn named(&self) -> Vec<Incarnation>;
}

trait OfBroadcast: Any + Debug + DynClone + Send {
    fn kind(&self) -> usize;
    fn carries(&self) -> Option<MessageId>;
    fn payload(&self) -> Option<&Publication>;
    fn is_repair(&self) -> bool;
    fn split(self: Box<Self>) -> (Option<Vec<u8>>, Option<Publication>);
}

dyn_clone::clone_trait_object!(OfMembership);
dyn_clone::clone_trait_object!(OfBroadcast);

/// A message of the strategy `S`: only the strategy knows whom it names.
struct Of<S: Membership>(S::Message);

impl<S: Membership> Debug for Of<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Membership> Clone for Of<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// Appends what postcard makes of it; not everything can be written.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Option<()> {
    let taken = std::mem::take(into);
    *into = postcard::to_extend(value, taken).ok()?;
    Some(())
}

impl<S> OfMembership for Of<S>
where
    S: Membership<Peer = Incarnation, Message: Serialize> + 'static,
{
    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn encode(&self, into: &mut Vec<u8>) -> Option<()> {
        write(&self.0, into)
    }

    fn named(&self) -> Vec<Incarnation> {
        let mut named = Vec::new();
        S::each_named(&self.0, |peer| named.push(peer));
        named
    }
}

impl<M> OfBroadcast for M
where
    M: Wire
        + Carries<MessageId, Payload = Publication, Head: Serialize>
        + Clone
        + Debug
        + Send
        + 'static,
{
    fn kind(&self) -> usize {
        Wire::kind(self)
    }

    fn carries(&self) -> Option<MessageId> {
        Carries::carries(self)
    }

    fn payload(&self) -> Option<&Publication> {
        Carries::payload(self)
    }

    fn is_repair(&self) -> bool {
        Carries::is_repair(self)
    }

    fn split(self: Box<Self>) -> (Option<Vec<u8>>, Option<Publication>) {
        let (head, payload) = Carries::split(*self);
        let mut bytes = Vec::with_capacity(64);
        (write(&head, &mut bytes).map(|()| bytes), payload)
    }
}

impl<S> Boxed<S, S::Message> for MembershipMessage
where
    S: Membership<Peer = Incarnation, Message: Serialize> + 'static,
{
    fn new(message: S::Message) -> Self {
        Self(Box::new(Of::<S>(message)))
    }

    fn own(self) -> Option<S::Message> {
        let any: Box<dyn Any> = self.0;
        any.downcast::<Of<S>>().ok().map(|own| own.0)
    }
}

impl<S, M: OfBroadcast> Boxed<S, M> for InnerMessage {
    fn new(message: M) -> Self {
        Self(Box::new(message))
    }

    fn own(self) -> Option<M> {
        let any: Box<dyn Any> = self.0;
        any.downcast().ok().map(|own| *own)
    }
}

impl AnyMembershipMessage for MembershipMessage {
    type Peer = Incarnation;
    type Strategy = dyn ErasedMembership<Self>;

    fn named(&self) -> Vec<Incarnation> {
        self.0.named()
    }
}

impl AnyBroadcastMessage for InnerMessage {
    type Peer = Incarnation;
    type Id = MessageId;
    type Payload = Publication;
    type Strategy = dyn ErasedBroadcast<Self>;
}

impl MembershipMessage {
    /// What a strategy says.
    pub(crate) fn of<S: NodeMembership>(message: MessageOfMembership<S>) -> Self {
        Boxed::<S::Membership<Incarnation>, _>::new(message)
    }

    /// The peers that it names, in order.
    pub(crate) fn named(&self) -> Vec<Incarnation> {
        self.0.named()
    }

    pub(super) fn encode(&self, into: &mut Vec<u8>) -> Option<()> {
        self.0.encode(into)
    }
}

impl InnerMessage {
    /// What a strategy says.
    pub(crate) fn of<S: NodeBroadcast>(message: MessageOfBroadcast<S>) -> Self {
        Self(Box::new(message))
    }
}

/// As far as others can tell.
impl PartialEq for MembershipMessage {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |of: &Self| {
            let mut bytes = Vec::new();
            of.encode(&mut bytes).map(|()| bytes)
        };
        bytes(self) == bytes(other)
    }
}

impl Eq for MembershipMessage {}

/// As far as others can tell.
impl PartialEq for InnerMessage {
    fn eq(&self, other: &Self) -> bool {
        self.clone().split() == other.clone().split()
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
        HEADER + self.0.encode(&mut bytes).map_or(0, |()| bytes.len())
    }
}

impl Wire for InnerMessage {
    /// Their names are the strategy's: see [`Codec::kinds`].
    const KINDS: &'static [&'static str] = &[""; 12];

    fn kind(&self) -> usize {
        self.0.kind()
    }

    fn wire_len(&self, _sizes: &Sizes) -> usize {
        let (head, payload) = self.0.clone().split();
        HEADER
            + head.map_or(0, |head| head.len())
            + payload.map_or(0, |payload| payload.bytes().len())
    }
}

impl Carries<MessageId> for InnerMessage {
    type Payload = Publication;
    /// Written already, if it can be.
    type Head = Option<Vec<u8>>;

    fn carries(&self) -> Option<MessageId> {
        self.0.carries()
    }

    fn payload(&self) -> Option<&Publication> {
        self.0.payload()
    }

    fn is_repair(&self) -> bool {
        self.0.is_repair()
    }

    fn split(self) -> (Option<Vec<u8>>, Option<Publication>) {
        self.0.split()
    }

    /// Only its strategy can: see [`Codec`].
    fn join(_head: Option<Vec<u8>>, _payload: Option<Publication>) -> Option<Self> {
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
        const { assert!(MessageOfMembership::<M>::KINDS.len() <= MembershipMessage::KINDS.len()) };
        Self {
            membership: membership::<M>,
            broadcast: |_, _| None,
            kinds: [MessageOfMembership::<M>::KINDS, &[]],
        }
    }

    /// The same with a broadcast strategy.
    pub(crate) fn with_broadcast<B: NodeBroadcast>(self) -> Self {
        const { assert!(MessageOfBroadcast::<B>::KINDS.len() <= InnerMessage::KINDS.len()) };
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
    MessageOfBroadcast::<S>::join(head, payload).map(InnerMessage::of::<S>)
}

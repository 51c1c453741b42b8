//! How the state of a strategy, what it says and what it is woken for become bytes, and are read back.

use std::marker::PhantomData;

use murmurate::broadcast::{AntiEntropy, Broadcast, Carries, Id, anti_entropy};
use murmurate::membership::Membership;
use murmurate::membership::snapshot::{Snapshot, Stored};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

/// Writes and reads what there is of a strategy `S` that says `M` and is woken for `T`.
pub trait Storage<S, M, T>: Send + Sync {
    /// Writes the state.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save(&self, state: &S, into: &mut Vec<u8>) -> Result<(), Garbled>;
    /// Puts a strategy that was just started with the same parameters in the state that was written.
    ///
    /// # Errors
    /// If the bytes are no such state.
    fn restore(&self, state: &mut S, from: &mut &[u8]) -> Result<(), Garbled>;
    /// Writes a message.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save_message(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Garbled>;
    /// Reads a message.
    ///
    /// # Errors
    /// If the bytes are none.
    fn read_message(&self, from: &mut &[u8]) -> Result<M, Garbled>;
    /// Writes a timer.
    ///
    /// # Errors
    /// If it cannot be written.
    fn save_timer(&self, timer: &T, into: &mut Vec<u8>) -> Result<(), Garbled>;
    /// Reads a timer.
    ///
    /// # Errors
    /// If the bytes are none.
    fn read_timer(&self, from: &mut &[u8]) -> Result<T, Garbled>;
}

/// A [`Storage`] of a membership strategy.
pub type OfMembership<S> =
    Box<dyn Storage<S, <S as Membership>::Message, <S as Membership>::Timer>>;
/// A [`Storage`] of a broadcast strategy.
pub type OfBroadcast<S> = Box<dyn Storage<S, <S as Broadcast>::Message, <S as Broadcast>::Timer>>;

/// Bytes that are not what was looked for in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Garbled(#[from] postcard::Error);

impl Garbled {
    /// Nothing more is known about it.
    #[must_use]
    pub fn somehow() -> Self {
        Self(postcard::Error::DeserializeBadEncoding)
    }
}

/// Writes plain data.
pub(crate) fn save<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) -> Result<(), Garbled> {
    *into = postcard::to_extend(value, std::mem::take(into))?;
    Ok(())
}

/// Reads plain data.
pub(crate) fn read<T: DeserializeOwned>(from: &mut &[u8]) -> Result<T, Garbled> {
    let (value, rest) = postcard::take_from_bytes(from)?;
    *from = rest;
    Ok(value)
}

/// Of a membership strategy that can write its state.
#[must_use]
pub fn of_membership<S>() -> OfMembership<S>
where
    S: Membership<Message: Stored, Timer: Stored> + Snapshot,
{
    Box::new(Whole)
}

/// Of a broadcast strategy that can write its state. The content of broadcasts is not written, and
/// empty when it is read: a simulation only counts it.
#[must_use]
pub fn of_broadcast<S>() -> OfBroadcast<S>
where
    S: Broadcast<Message: Carries<S::Id, Head: Stored>, Timer: Stored, Payload: Default> + Snapshot,
{
    Box::new(Contentless(PhantomData::<fn() -> (S::Id, S::Payload)>))
}

/// Of anti-entropy around a strategy with this storage.
#[must_use]
pub fn around<B>(inside: OfBroadcast<B>) -> OfBroadcast<AntiEntropy<B>>
where
    B: Broadcast<Peer: Stored, Id: Id<Origin: Stored> + Stored, Payload: Default> + 'static,
{
    Box::new(Around(inside))
}

/// A state that serializes.
struct State<'a, S>(&'a S);

impl<S: Snapshot> Serialize for State<'_, S> {
    fn serialize<T: Serializer>(&self, to: T) -> Result<T::Ok, T::Error> {
        self.0.save(to)
    }
}

fn restore<S: Snapshot>(state: &mut S, from: &mut &[u8]) -> Result<(), Garbled> {
    let mut bytes = postcard::Deserializer::from_bytes(from);
    state.restore(&mut bytes)?;
    *from = bytes.finalize()?;
    Ok(())
}

struct Whole;

impl<S: Snapshot, M: Stored, T: Stored> Storage<S, M, T> for Whole {
    fn save(&self, state: &S, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(&State(state), into)
    }

    fn restore(&self, state: &mut S, from: &mut &[u8]) -> Result<(), Garbled> {
        restore(state, from)
    }

    fn save_message(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(message, into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<M, Garbled> {
        read(from)
    }

    fn save_timer(&self, timer: &T, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(timer, into)
    }

    fn read_timer(&self, from: &mut &[u8]) -> Result<T, Garbled> {
        read(from)
    }
}

struct Contentless<I, D>(PhantomData<fn() -> (I, D)>);

impl<S, M, T, I, D> Storage<S, M, T> for Contentless<I, D>
where
    S: Snapshot,
    M: Carries<I, Payload = D, Head: Stored> + Clone,
    T: Stored,
    I: Id,
    D: Default,
{
    fn save(&self, state: &S, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(&State(state), into)
    }

    fn restore(&self, state: &mut S, from: &mut &[u8]) -> Result<(), Garbled> {
        restore(state, from)
    }

    fn save_message(&self, message: &M, into: &mut Vec<u8>) -> Result<(), Garbled> {
        let (head, content) = message.clone().split();
        save(&(content.is_some(), head), into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<M, Garbled> {
        let (has_content, head): (bool, M::Head) = read(from)?;
        M::join(head, has_content.then(D::default)).ok_or_else(Garbled::somehow)
    }

    fn save_timer(&self, timer: &T, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(timer, into)
    }

    fn read_timer(&self, from: &mut &[u8]) -> Result<T, Garbled> {
        read(from)
    }
}

struct Around<B: Broadcast>(OfBroadcast<B>);

/// What anti-entropy itself says.
type Own<B> =
    anti_entropy::Message<(), <<B as Broadcast>::Id as Id>::Origin, <B as Broadcast>::Id, ()>;

impl<B> Storage<AntiEntropy<B>, anti_entropy::MessageOf<B>, anti_entropy::Timer<B::Timer>>
    for Around<B>
where
    B: Broadcast<Peer: Stored, Id: Id<Origin: Stored> + Stored, Payload: Default>,
{
    fn save(&self, state: &AntiEntropy<B>, into: &mut Vec<u8>) -> Result<(), Garbled> {
        save(&State(state), into)?;
        self.0.save(state.inner(), into)
    }

    fn restore(&self, state: &mut AntiEntropy<B>, from: &mut &[u8]) -> Result<(), Garbled> {
        restore(state, from)?;
        self.0.restore(state.inner_mut(), from)
    }

    fn save_message(
        &self,
        message: &anti_entropy::MessageOf<B>,
        into: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        let anti_entropy::Message::Inner(inside) = message else {
            let (head, _) = message.clone().split();
            let own: Own<B> = head.inside(|_| Some(())).ok_or_else(Garbled::somehow)?;
            return save(&own, into);
        };
        save(&Own::<B>::Inner(()), into)?;
        self.0.save_message(inside, into)
    }

    fn read_message(&self, from: &mut &[u8]) -> Result<anti_entropy::MessageOf<B>, Garbled> {
        let own: Own<B> = read(from)?;
        if matches!(own, Own::<B>::Inner(())) {
            return self.0.read_message(from).map(anti_entropy::Message::Inner);
        }
        let content = matches!(own, Own::<B>::Reply { .. }).then(B::Payload::default);
        let head = own.inside(|()| None);
        head.and_then(|head| Carries::join(head, content)).ok_or_else(Garbled::somehow)
    }

    fn save_timer(
        &self,
        timer: &anti_entropy::Timer<B::Timer>,
        into: &mut Vec<u8>,
    ) -> Result<(), Garbled> {
        match timer {
            anti_entropy::Timer::Exchange => save(&false, into),
            anti_entropy::Timer::Inner(timer) => {
                save(&true, into)?;
                self.0.save_timer(timer, into)
            }
        }
    }

    fn read_timer(&self, from: &mut &[u8]) -> Result<anti_entropy::Timer<B::Timer>, Garbled> {
        match read(from)? {
            false => Ok(anti_entropy::Timer::Exchange),
            true => self.0.read_timer(from).map(anti_entropy::Timer::Inner),
        }
    }
}

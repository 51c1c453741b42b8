//! Type-erased strategies: their messages are boxed. Where that costs too much, strategies are compiled
//! together instead, without boxing.

mod broadcast;
mod membership;

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::erased::Armed;
use murmurate::membership::{Sizes, Wire};

use crate::engine::storage::{self, Garbled};

pub use broadcast::{AnyBroadcast, broadcast};
pub use membership::{AnyMembership, membership};

/// A message of a strategy of any type.
trait ErasedMessage: Any + Debug + DynClone + Send {
    fn kind(&self) -> usize;
    fn wire_len(&self, sizes: &Sizes) -> usize;
}

dyn_clone::clone_trait_object!(ErasedMessage);

impl<M: Wire + Clone + Debug + Send + 'static> ErasedMessage for M {
    fn kind(&self) -> usize {
        Wire::kind(self)
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        Wire::wire_len(self, sizes)
    }
}

/// The message with its type; `None` if it is of another strategy.
fn own<M: 'static>(said: Box<dyn ErasedMessage>) -> Option<M> {
    let any: Box<dyn Any> = said;
    any.downcast().ok().map(|own| *own)
}

/// Writes the timers of a strategy, each in its place.
fn save_armed<T>(
    armed: &Armed<T>,
    save: impl Fn(&T, &mut Vec<u8>) -> Result<(), Garbled>,
    into: &mut Vec<u8>,
) -> Result<(), Garbled> {
    storage::save(&armed.places().len(), into)?;
    for place in armed.places() {
        storage::save(&place.is_some(), into)?;
        place.iter().try_for_each(|timer| save(timer, into))?;
    }
    Ok(())
}

/// Reads them.
fn read_armed<T>(
    read: impl Fn(&mut &[u8]) -> Result<T, Garbled>,
    from: &mut &[u8],
) -> Result<Armed<T>, Garbled> {
    let count: usize = storage::read(from)?;
    let mut places = Vec::new();
    for _ in 0..count {
        let is_armed: bool = storage::read(from)?;
        places.push(is_armed.then(|| read(from)).transpose()?);
    }
    Ok(places.into())
}

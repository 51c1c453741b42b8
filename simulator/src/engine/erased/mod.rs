//! Type-erased strategies: their messages are boxed. Where that costs too much, strategies are compiled
//! together instead, without boxing.

mod broadcast;
mod membership;

use std::any::Any;
use std::fmt::Debug;

use dyn_clone::DynClone;
use murmurate::membership::{Sizes, Wire};

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

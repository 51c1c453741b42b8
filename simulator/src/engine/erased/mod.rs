//! Strategies of any type behind one: those that are not compiled together with one another.
//!
//! What they say is boxed. Where that costs too much, strategies are compiled together: then nothing is.

mod broadcast;
mod membership;

use std::any::Any;
use std::fmt::Debug;

use murmurate::membership::{Sizes, Wire};

pub use broadcast::AnyBroadcast;
pub use membership::AnyMembership;

/// A message of a strategy of any type.
trait Said: Any + Debug + Send {
    fn kind(&self) -> usize;
    fn wire_len(&self, sizes: &Sizes) -> usize;
    fn copied(&self) -> Box<dyn Said>;
    fn into_any(self: Box<Self>) -> Box<dyn Any>;
}

impl<M: Wire + Clone + Debug + Send + 'static> Said for M {
    fn kind(&self) -> usize {
        Wire::kind(self)
    }

    fn wire_len(&self, sizes: &Sizes) -> usize {
        Wire::wire_len(self, sizes)
    }

    fn copied(&self) -> Box<dyn Said> {
        Box::new(self.clone())
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// The message as its strategy knows it. One of another strategy is nobody's.
fn own<M: 'static>(said: Box<dyn Said>) -> Option<M> {
    said.into_any().downcast().ok().map(|own| *own)
}

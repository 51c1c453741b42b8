//! Strategies of any type behind one: for hosts that know the type only where they start one.
//!
//! What a strategy says is boxed, and its timers wait behind numbers. A host brings its boxed messages
//! ([`AnyMembershipMessage`], [`AnyBroadcastMessage`]), and these say what else it asks of a strategy.

mod armed;
mod broadcast;
mod membership;

pub use armed::{AnyTimer, Armed};
pub use broadcast::{AnyBroadcast, AnyBroadcastMessage, ErasedBroadcast};
pub use membership::{AnyMembership, AnyMembershipMessage, ErasedMembership};

/// A strategy with its armed timers of type `T`.
#[derive(Debug, Clone)]
pub struct Hosted<S, T> {
    /// The strategy itself.
    pub strategy: S,
    /// Its timers.
    pub timers: Armed<T>,
}

impl<S, T> Hosted<S, T> {
    /// No timer is armed.
    pub fn new(strategy: S) -> Self {
        Self { strategy, timers: Armed::default() }
    }
}

/// A boxed message that can hold what strategies of type `S` say, a `T`.
pub trait Boxed<S, T>: Sized {
    /// Boxes what such a strategy says.
    fn new(message: T) -> Self;

    /// The message as its strategy knows it, unless it is of another.
    fn own(self) -> Option<T>;
}

/// What a strategy itself speaks to: `fx` without its type.
struct Inside<'a, F: ?Sized, T> {
    fx: &'a mut F,
    timers: &'a mut Armed<T>,
}

//! A strategy with its parameters, whatever its type.

use std::any::Any;
use std::fmt;
use std::ops::{Deref, DerefMut};

use dyn_clone::DynClone;
use murmurate::Mark;
use murmurate::membership::Strategy;
use murmurate::membership::parameters::{AnyParameters, ConfigError};

/// A strategy with its parameters, without its type.
pub trait Choice: DynClone + fmt::Debug + Send + Sync + 'static {
    /// The strategy's name.
    fn name(&self) -> &'static str;
    /// What it does, in a sentence.
    fn about(&self) -> &'static str;
    /// Its parameters.
    fn parameters(&self) -> &dyn AnyParameters;
    /// The same to change.
    fn parameters_mut(&mut self) -> &mut dyn AnyParameters;
    /// Its branches that are rarely taken.
    fn marks(&self) -> Vec<Mark>;
    /// Checks every range and relation.
    ///
    /// # Errors
    /// The first one that does not hold.
    fn check(&self) -> Result<(), ConfigError>;
    /// It, for downcasting.
    fn as_any(&self) -> &dyn Any;
    /// The same to change.
    fn as_any_mut(&mut self) -> &mut dyn Any;
    /// Whether it is the same strategy with the same parameters.
    fn equals(&self, other: &dyn Any) -> bool;
}

impl<S: Strategy> Choice for S {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn about(&self) -> &'static str {
        S::ABOUT
    }

    fn parameters(&self) -> &dyn AnyParameters {
        self
    }

    fn parameters_mut(&mut self) -> &mut dyn AnyParameters {
        self
    }

    fn marks(&self) -> Vec<Mark> {
        S::MARKS.concat()
    }

    fn check(&self) -> Result<(), ConfigError> {
        Strategy::check(self.clone()).map(drop)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn equals(&self, other: &dyn Any) -> bool {
        other.downcast_ref() == Some(self)
    }
}

/// A chosen strategy with its parameters, as in scenarios.
pub struct Chosen<C: ?Sized>(pub(super) Box<C>);

/// The list of strategies to choose from.
pub trait Listed: Clone + Deref<Target: Choice> + 'static {
    /// What they are called in schemas and references.
    const TITLE: &'static str;
    /// What they are about, in a sentence.
    const ABOUT: &'static str;

    /// All, each with its defaults; the first is the default.
    fn all() -> &'static [Self];

    /// The one of this name, with its defaults.
    #[must_use]
    fn named(name: &str) -> Option<Self> {
        Self::all().iter().find(|one| one.name() == name).cloned()
    }

    /// The same strategy with its defaults.
    #[must_use]
    fn with_defaults(&self) -> Self {
        Self::named(self.name()).unwrap_or_else(|| self.clone())
    }
}

impl<C: Choice + ?Sized> Chosen<C> {
    /// Its parameters, if they are these.
    #[must_use]
    pub fn get<S: Strategy>(&self) -> Option<&S> {
        self.0.as_any().downcast_ref()
    }

    /// The same to change.
    pub fn get_mut<S: Strategy>(&mut self) -> Option<&mut S> {
        self.0.as_any_mut().downcast_mut()
    }
}

impl<C: ?Sized> Deref for Chosen<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

impl<C: ?Sized> DerefMut for Chosen<C> {
    fn deref_mut(&mut self) -> &mut C {
        &mut self.0
    }
}

impl<C: DynClone + ?Sized> Clone for Chosen<C> {
    fn clone(&self) -> Self {
        Self(dyn_clone::clone_box(&*self.0))
    }
}

impl<C: fmt::Debug + ?Sized> fmt::Debug for Chosen<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<C: Choice + ?Sized> PartialEq for Chosen<C> {
    fn eq(&self, other: &Self) -> bool {
        self.0.equals(other.0.as_any())
    }
}

impl<C: ?Sized> Default for Chosen<C>
where
    Self: Listed,
{
    fn default() -> Self {
        Self::all()[0].clone()
    }
}

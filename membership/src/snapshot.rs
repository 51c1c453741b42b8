//! The state of a machine as data, for hosts that write it down and go on from it later.

use serde::de::{DeserializeOwned, Deserializer};
use serde::{Serialize, Serializer};

/// A state machine whose state can be written down, and put into one that was just started with the same
/// parameters. These are not written, nor is the content of broadcasts.
pub trait Snapshot {
    /// Writes the state.
    ///
    /// # Errors
    /// Those of the serializer.
    fn save<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error>;

    /// Takes on the state that another one wrote. After an error it is as before.
    ///
    /// # Errors
    /// Those of the deserializer.
    fn restore<'de, D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error>;
}

/// What can be written down, and read by whoever keeps nothing of what it was written in.
pub trait Stored: Serialize + DeserializeOwned {}
impl<T: Serialize + DeserializeOwned> Stored for T {}

/// Implements [`Snapshot`](crate::snapshot::Snapshot): names all fields that are written, and behind
/// `but` those that it is started with.
#[macro_export]
macro_rules! snapshot {
    (impl[$($generic:tt)*] $type:ty [$($bound:tt)*] { $($field:ident),+ } but { $($started:ident),* }) => {
        impl<$($generic)*> $crate::snapshot::Snapshot for $type where $($bound)* {
            fn save<Into: serde::Serializer>(&self, to: Into) -> Result<Into::Ok, Into::Error> {
                let Self { $($field,)+ $($started: _,)* } = self;
                serde::Serialize::serialize(&($($field,)+), to)
            }

            fn restore<'de, From: serde::Deserializer<'de>>(
                &mut self,
                from: From,
            ) -> Result<(), From::Error> {
                let Self { $($field,)+ $($started: _,)* } = self;
                ($(*$field,)+) = serde::Deserialize::deserialize(from)?;
                Ok(())
            }
        }
    };
}

//! Parameters, each declared once: name, type, default, range, unit, one sentence, source.
//!
//! [`parameters!`](macro@crate::parameters) makes a struct of a list of them, and the table
//! [`ParameterSet::PARAMETERS`], from which everything else follows: range checks, keys of files,
//! schemas, reference pages.

use core::fmt;
use core::ops::RangeInclusive;
use core::time::Duration;

use crate::range::{LEAST_TIME, OutOfRange};

/// The description of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name: the field's, and the key's in every file.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub about: &'static str,
    /// Where its default comes from, and remarks, line by line.
    pub source: &'static [&'static str],
    /// What it takes.
    pub kind: ValueKind,
    /// Whether it also takes [`Value::Off`].
    pub can_be_off: bool,
    /// What it counts, if the name does not say it.
    pub unit: Option<&'static str>,
    /// Another parameter of the set that it must not be smaller than.
    pub at_least: Option<&'static str>,
}

/// What a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Yes or no.
    Switch,
    /// A whole number from `least` to `most`.
    Number {
        /// The smallest.
        least: usize,
        /// The largest.
        most: usize,
    },
    /// A length of time.
    Time {
        /// The shortest.
        least: Duration,
    },
}

/// The value of a parameter, whatever its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Value {
    /// Yes or no.
    Switch(bool),
    /// A number.
    Number(usize),
    /// A length of time.
    Time(Duration),
    /// It is turned off.
    Off,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Time(time) => fmt::Debug::fmt(time, f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl ValueKind {
    /// A number within this range.
    #[must_use]
    pub const fn within(self, range: RangeInclusive<usize>) -> Self {
        Self::Number { least: *range.start(), most: *range.end() }
    }

    /// A time that may be zero.
    #[must_use]
    pub const fn zero(self) -> Self {
        Self::Time { least: Duration::ZERO }
    }
}

/// As in messages and reference pages: "a whole number from 1 to 64".
impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch => f.write_str("true or false"),
            Self::Number { least, most } => write!(f, "a whole number from {least} to {most}"),
            Self::Time { least: Duration::ZERO } => f.write_str("a time such as \"10s\""),
            Self::Time { least } => write!(f, "a time such as \"10s\", at least {least:?}"),
        }
    }
}

impl Parameter {
    /// Checks that a value is in its range.
    ///
    /// # Errors
    /// [`OutOfRange`] if it is not.
    pub fn check(&self, value: Value) -> Result<(), OutOfRange> {
        let name = self.name;
        match (self.kind, value) {
            (ValueKind::Number { least: min, most: max }, Value::Number(value))
                if !(min..=max).contains(&value) =>
            {
                Err(OutOfRange::Number { name, value, min, max })
            }
            (ValueKind::Time { least }, Value::Time(value)) if value < least => {
                Err(OutOfRange::Time { name, value, least })
            }
            _ => Ok(()),
        }
    }
}

/// What a parameter takes, as in messages.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = if self.can_be_off { ", or \"off\"" } else { "" };
        write!(f, "{}{off}", self.kind)
    }
}

/// Why parameters were refused; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A number or a time outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Two parameters that contradict each other.
    #[error(
        "{smaller} = {smaller_value} is less than {larger} = {larger_value}: it must be at least as \
         large"
    )]
    Relation {
        /// The parameter that must not be the smaller one.
        smaller: &'static str,
        /// Its value.
        smaller_value: Value,
        /// The parameter it is measured against.
        larger: &'static str,
        /// Its value.
        larger_value: Value,
    },
}

impl ConfigError {
    /// The parameter that is to blame.
    #[must_use]
    pub const fn parameter(&self) -> &'static str {
        match self {
            Self::OutOfRange(error) => error.name(),
            Self::Relation { smaller, .. } => smaller,
        }
    }
}

/// Why [`ParameterSet::set`] did nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// There is no such parameter.
    #[error("no parameter has this name")]
    Unknown,
    /// The value does not have the parameter's type.
    #[error("the parameter does not take this value")]
    Unfit,
}

/// Parameters with their table.
pub trait ParameterSet: Clone + Default {
    /// What they belong to: "HyParView".
    const OF: &'static str;
    /// All of them, in the order of their declaration.
    const PARAMETERS: &'static [Parameter];

    /// The value of one.
    fn get(&self, name: &str) -> Option<Value>;

    /// Changes one. [`ParameterSet::validate`] checks the range once all are set.
    ///
    /// # Errors
    /// [`SetError`] if there is no such parameter, or the value has another type. Nothing changed.
    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError>;

    /// All with their values.
    fn values(&self) -> impl Iterator<Item = (&'static Parameter, Value)> {
        Self::PARAMETERS.iter().filter_map(|of| Some((of, self.get(of.name)?)))
    }

    /// The parameter of this name.
    #[must_use]
    fn parameter(name: &str) -> Option<&'static Parameter> {
        Self::PARAMETERS.iter().find(|of| of.name == name)
    }

    /// Checks every range, and then every declared relation.
    ///
    /// # Errors
    /// [`ConfigError`] names the first that does not hold.
    fn validate(&self) -> Result<(), ConfigError> {
        AnyParameters::validate(self)
    }
}

/// [`ParameterSet`]s of any type, behind a reference.
pub trait AnyParameters {
    /// What they belong to.
    fn of(&self) -> &'static str;
    /// All of them.
    fn parameters(&self) -> &'static [Parameter];
    /// See [`ParameterSet::get`].
    fn get(&self, name: &str) -> Option<Value>;
    /// See [`ParameterSet::set`].
    ///
    /// # Errors
    /// [`SetError`] if there is no such parameter, or the value has another type. Nothing changed.
    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError>;

    /// See [`ParameterSet::validate`].
    ///
    /// # Errors
    /// [`ConfigError`] names the first range or relation that does not hold.
    fn validate(&self) -> Result<(), ConfigError> {
        let values = || self.parameters().iter().filter_map(|of| Some((of, self.get(of.name)?)));
        for (of, value) in values() {
            of.check(value)?;
        }
        for (of, smaller_value) in values() {
            let Some(larger) = of.at_least else { continue };
            let Some(larger_value) = self.get(larger) else { continue };
            if smaller_value < larger_value {
                let smaller = of.name;
                return Err(ConfigError::Relation { smaller, smaller_value, larger, larger_value });
            }
        }
        Ok(())
    }
}

impl<P: ParameterSet> AnyParameters for P {
    fn of(&self) -> &'static str {
        P::OF
    }

    fn parameters(&self) -> &'static [Parameter] {
        P::PARAMETERS
    }

    fn get(&self, name: &str) -> Option<Value> {
        ParameterSet::get(self, name)
    }

    fn set(&mut self, name: &str, value: Value) -> Result<(), SetError> {
        ParameterSet::set(self, name, value)
    }
}

/// A type that a parameter can have.
pub trait Field: Sized {
    /// The kind, in the type's whole range.
    const KIND: ValueKind;
    /// Whether it can be [`Value::Off`].
    const CAN_BE_OFF: bool = false;
    /// As a value of any type.
    fn value(&self) -> Value;
    /// From a value, if it has this type.
    fn from_value(value: Value) -> Option<Self>;
}

impl Field for bool {
    const KIND: ValueKind = ValueKind::Switch;
    fn value(&self) -> Value {
        Value::Switch(*self)
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Switch(on) = value { Some(on) } else { None }
    }
}

impl Field for Duration {
    const KIND: ValueKind = ValueKind::Time { least: LEAST_TIME };
    fn value(&self) -> Value {
        Value::Time(*self)
    }
    fn from_value(value: Value) -> Option<Self> {
        if let Value::Time(time) = value { Some(time) } else { None }
    }
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Field for $type {
            const KIND: ValueKind = ValueKind::Number { least: 0, most: <$type>::MAX as usize };
            fn value(&self) -> Value {
                Value::Number((*self).into())
            }
            fn from_value(value: Value) -> Option<Self> {
                if let Value::Number(number) = value { number.try_into().ok() } else { None }
            }
        }
    )*};
}

number!(u8 u16 usize);

/// Zero is off, too, for files that can only hold numbers.
impl<T: Field> Field for Option<T> {
    const KIND: ValueKind = T::KIND;
    const CAN_BE_OFF: bool = true;
    fn value(&self) -> Value {
        self.as_ref().map_or(Value::Off, Field::value)
    }
    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Off | Value::Number(0) => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

/// Declares parameters.
///
/// Each one begins with a line that says what it is; the lines below it say where its default comes
/// from. Behind the default may stand the range of a number with its unit, `or zero` for a time that
/// may be zero, and `>=` another parameter that it must not be smaller than.
///
/// ```
/// use core::time::Duration;
/// use murmurate_membership::parameters::{ConfigError, ParameterSet, Value};
///
/// murmurate_membership::parameters! {
///     /// The knobs of a nest.
///     #[derive(Debug, Clone, PartialEq, Eq)]
///     pub struct Parameters of "Nest", checked as Config {
///         /// Eggs in it.
///         /// Most starlings lay five.
///         eggs: usize = 5, in 1..=9;
///         /// Mouths that are fed at a time.
///         mouths: u8 = 2, in 1..=9;
///         /// Time between two meals.
///         pause: Duration = Duration::from_secs(60), or zero;
///     }
/// }
///
/// let mut nest = Parameters { mouths: 3, ..Parameters::default() };
/// assert_eq!(Parameters::PARAMETERS[0].about, "Eggs in it.");
/// nest.set("eggs", Value::Number(12)).expect("a number");
/// let wrong = nest.check().expect_err("too many");
/// assert_eq!(wrong.to_string(), "eggs = 12 is out of range: 1 to 9");
/// ```
#[macro_export]
macro_rules! parameters {
    (
        $(#[$attribute:meta])*
        pub struct $Set:ident of $strategy:literal
            $(, checked as $Config:ident $(and by $also:ident)?)?
        {$(
            #[doc = $about:literal]
            $(#[doc = $source:literal])*
            $name:ident: $type:ty = $default:expr
                $(, in $range:expr $(, $unit:literal)?)?
                $(, or $zero:ident)?
                $(, >= $least:ident)?;
        )*}
    ) => {
        $(#[$attribute])*
        pub struct $Set {$(
            #[doc = $about]
            #[doc = ""]
            $(#[doc = $source])*
            #[doc = ""]
            #[doc = concat!(
                "Default: `", stringify!($default), "`.",
                $(" Range: `", stringify!($range), "`.",)?
                $(" At least `", stringify!($least), "`.",)?
            )]
            pub $name: $type,
        )*}

        impl Default for $Set {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        impl $crate::parameters::ParameterSet for $Set {
            const OF: &'static str = $strategy;
            const PARAMETERS: &'static [$crate::parameters::Parameter] = &[$(
                $crate::parameters::Parameter {
                    name: stringify!($name),
                    about: $about.trim_ascii(),
                    source: &[$($source.trim_ascii()),*],
                    kind: <$type as $crate::parameters::Field>::KIND
                        $(.within($range))?
                        $(.$zero())?,
                    can_be_off: <$type as $crate::parameters::Field>::CAN_BE_OFF,
                    unit: $crate::parameters!(@option $($($unit)?)?),
                    at_least: $crate::parameters!(@option $(stringify!($least))?),
                },
            )*];

            fn get(&self, name: &str) -> Option<$crate::parameters::Value> {
                match name {
                    $(stringify!($name) => Some($crate::parameters::Field::value(&self.$name)),)*
                    _ => None,
                }
            }

            fn set(
                &mut self,
                name: &str,
                value: $crate::parameters::Value,
            ) -> Result<(), $crate::parameters::SetError> {
                match name {
                    $(stringify!($name) => {
                        self.$name = $crate::parameters::Field::from_value(value)
                            .ok_or($crate::parameters::SetError::Unfit)?;
                    })*
                    _ => return Err($crate::parameters::SetError::Unknown),
                }
                Ok(())
            }
        }

        $(
            #[doc = concat!("Parameters that passed [`", stringify!($Set), "::check`].")]
            #[derive(Debug, Clone, PartialEq, Eq, Default)]
            pub struct $Config($Set);

            impl core::ops::Deref for $Config {
                type Target = $Set;
                fn deref(&self) -> &$Set {
                    &self.0
                }
            }

            impl $Set {
                /// Checks every range and relation.
                ///
                /// # Errors
                /// Names the first one that does not hold.
                pub fn check(self) -> Result<$Config, $crate::ConfigError> {
                    $crate::parameters::ParameterSet::validate(&self)?;
                    $(self.$also()?;)?
                    Ok($Config(self))
                }
            }
        )?
    };
    (@option) => { None };
    (@option $of:expr) => { Some($of) };
}

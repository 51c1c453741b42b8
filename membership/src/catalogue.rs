//! Enumerations that list themselves.

/// An enumeration whose variants each have a name and a line about them.
#[doc(hidden)]
#[macro_export]
macro_rules! catalogue {
    ($(#[$meta:meta])* pub enum $Name:ident {
        $($variant:ident = $name:literal: $about:literal,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $Name {
            $(#[doc = $about] $variant,)+
        }

        impl $Name {
            /// All of them, in their order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// What it is, in a line.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => $about,)+
                }
            }
        }
    };
}

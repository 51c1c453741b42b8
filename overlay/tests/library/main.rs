//! Tests of the library. They are one program: each would compile the node anew.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod admission;
mod channel_hostile;
mod channels;
mod hostile;
#[cfg(feature = "http")]
mod http;
mod leave;
mod leave_channels;
mod node;
mod reunion;
mod router;
mod services;
mod strangers;
mod wait;

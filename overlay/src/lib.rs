//! Murmurate: a partial-view gossip overlay. Each node is linked with a few others, however many there
//! are, and what one node broadcasts reaches all.
//!
//! ```no_run
//! use futures::StreamExt as _;
//! use murmurate::{Channel, Node, NodeId};
//!
//! # #[cfg(feature = "libp2p")]
//! # async fn example(somebody: NodeId) -> Result<(), Box<dyn std::error::Error>> {
//! let node = Node::builder()
//!     .network("roost")
//!     .listen("/ip4/0.0.0.0/tcp/7400".parse()?)
//!     .channel(Channel::acknowledged("orders"))
//!     .spawn()
//!     .await?;
//! node.join(["/dns/first.roost.example/tcp/7400".parse()?]).await?;
//!
//! // To everyone...
//! let mut news = node.subscribe("news")?;
//! node.broadcast("news", "the first swallow").await?;
//! while let Some(Ok(heard)) = news.next().await {
//!     println!("{} says: {:?}", heard.id.origin.node, heard.data);
//! }
//!
//! // ...and to one, who acknowledges it.
//! let sent = node.channel("orders")?.send(somebody, "two coffees").await?;
//! sent.await?;
//! # Ok(())
//! # }
//! ```
//!
//! - [`Node`] and [`Builder`]: the node, its topics, channels, services and events.
//! - [`Channel`]: what a channel promises. The guide has a
//!   [page](https://github.com/murmurate/murmurate/blob/main/docs/channels.md) on them.
//! - [`service`]: what is built on the overlay, as a state machine that is simulated as it ships.
//! - [`membership`] and [`broadcast`]: the strategies, and how to bring your own.
//! - [`Stack`] composes them and services into one pure state machine: the code that ships is the code
//!   that is simulated.
//!
//! The feature `libp2p`, on by default, is the node: the stack on real connections. `dns` and `mdns`
//! add sources of contacts, and `http` serves metrics and health. `serde` reads parameters from files.
//!
//! Errors, events and statistics are `#[non_exhaustive]`: they may grow. The types of the seams (of
//! strategies, services, kinds of channels and sources of contacts) are exhaustive, because their
//! implementers construct them and must handle every case. So are parameters and `Limits`, which are
//! written as `Limits { .., ..Limits::default() }`.

#![cfg_attr(not(any(test, feature = "libp2p", feature = "serde")), no_std)]

extern crate alloc;

pub mod channel;
#[cfg(feature = "libp2p")]
pub mod discovery;
pub mod erased;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "libp2p")]
mod id;
#[cfg(feature = "serde")]
pub mod keys;
#[cfg(feature = "libp2p")]
mod node;
pub mod router;
pub mod service;
pub mod stack;
pub mod testing;

pub use channel::ChannelOptions;
#[cfg(feature = "libp2p")]
pub use id::{Incarnation, MessageId, NodeId, NodeIdError};
#[cfg(feature = "libp2p")]
pub use libp2p::{Multiaddr, PeerId, identity};
pub use murmurate_membership::Mark;
#[cfg(all(fuzzing, feature = "libp2p"))]
#[doc(hidden)]
pub use node::fuzzing;
#[cfg(feature = "libp2p")]
pub use node::{
    AnswerError, BroadcastCounts, BroadcastError, Builder, ByteStream, Channel, ConfigError,
    DeclarationError, Delivery, Destination, DialFailure, Ended, Endpoint, Event, Graph, Info,
    JoinError, Limits, Lost, Metrics, Neighbor, Node, NodeBroadcast, NodeMembership, NodeService,
    Overflow, Receipt, Received, Refusal, SendError, ServiceError, ServiceHandle, SpawnError,
    Subscription, TopicError, Traffic, Undelivered, UnknownChannel, UnknownService, Unreachable,
    admission, state,
};
pub use stack::Stack;

pub use murmurate_broadcast as broadcast;
pub use murmurate_membership as membership;

/// The examples of the guide compile.
#[cfg(all(doctest, feature = "libp2p"))]
#[doc = include_str!("../../docs/channels.md")]
mod guide {}

/// And those of services.
#[cfg(all(doctest, feature = "libp2p"))]
#[doc = include_str!("../../docs/services.md")]
mod services_guide {}

/// So does that of the README.
#[cfg(all(doctest, feature = "libp2p"))]
#[doc = include_str!("../README.md")]
mod readme {}

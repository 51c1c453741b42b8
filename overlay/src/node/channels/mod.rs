//! Channels on real connections.
//!
//! | room | what |
//! |---|---|
//! | `declare` | channels as they are declared |
//! | `endpoint` | what embedders hold |
//! | `hub` | what the channels of a node share |
//! | `lane`, `receipts`, `sender` | the sending end of a lane, what became of its messages, its task |
//! | `inbound`, `inbox` | the receiving end, and what waits for the application |
//! | `ends` | which receiving ends there are, and are remembered |
//! | `relay` | lanes hop by hop |
//! | `wire`, `counts` | the bytes, the metrics |
//!
//! Data goes from the caller's task into its lane's queue, and from there, by the lane's own task,
//! to the lane's own stream: neither the driver nor the swarm sees it.

mod counts;
mod declare;
mod endpoint;
mod ends;
mod error;
mod hub;
mod inbound;
mod inbox;
mod lane;
mod receipts;
mod relay;
mod sender;
mod wire;

pub(crate) use counts::Families;
pub(crate) use declare::check;
pub use declare::{Channel, DeclarationError, Overflow};
pub use endpoint::{ByteStream, Destination, Endpoint};
pub use error::{SendError, Undelivered, UnknownChannel};
pub(crate) use hub::Hub;
pub(crate) use inbound::serve;
pub use inbox::{AnswerError, Received};
pub use lane::Receipt;
pub(crate) use relay::{on_datagram, on_way_lost};
pub use wire::Refusal;

//! Channels on real connections.
//!
//! | room | what |
//! |---|---|
//! | `endpoint` | what embedders hold |
//! | `sender`, `receiver` | the tasks of a lane's two ends, over streams |
//! | `relay` | lanes hop by hop |
//! | `hub` | the channels of a node: all of the following |
//! | `lanes`, `ends` | which sending and which receiving ends there are, and are remembered |
//! | `demux` | which lane a datagram is for |
//! | `inbox` | what waits for the application |
//! | `lane`, `receipts` | the sending end of a lane, and what became of its messages |
//! | `inbound` | the receiving end |
//! | `shared` | what all of them share |
//! | `declare`, `error` | channels as they are declared, and what can be wrong |
//! | `wire`, `counts` | the bytes, the metrics |
//!
//! Data goes from the caller's task into its lane's queue, and from there, by the lane's own task,
//! to the lane's own stream: neither the driver nor the swarm sees it.

mod counts;
mod declare;
mod demux;
mod endpoint;
mod ends;
mod error;
mod hub;
mod inbound;
mod inbox;
mod lane;
mod lanes;
mod receipts;
mod receiver;
mod relay;
mod sender;
mod shared;
mod wire;

pub(crate) use counts::Families;
pub(crate) use declare::check;
pub use declare::{Channel, DeclarationError, Overflow};
pub use endpoint::{ByteStream, Destination, Endpoint};
pub use error::{SendError, Undelivered, UnknownChannel};
pub(crate) use hub::Hub;
pub use inbox::{AnswerError, Received};
pub use lane::Receipt;
pub(crate) use receiver::serve;
pub(crate) use relay::{on_datagram, on_way_lost};
pub use wire::Refusal;

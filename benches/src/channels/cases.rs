//! What can be measured.

use clap::ValueEnum;

use crate::transport::Transport;
use crate::{Error, Figures, lines, pressure, raw};

/// What one run measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Case {
    /// Messages of 1 KiB one way over a raw stream
    RawMessages,
    /// Messages of 1 KiB one way, best effort
    BestEffort,
    /// The same, acknowledged
    Acknowledged,
    /// 64 bytes there and back over a raw stream
    RawPingPong,
    /// Requests of 64 bytes, one after the other
    Request,
    /// Bytes one way over a raw stream
    RawBytes,
    /// A stream of bytes
    Bytes,
    /// Best effort from four tasks over one connection
    Single,
    /// The same over eight
    Parallel,
    /// 100,000 messages of 1 KiB sent back to back
    Burst,
    /// The same with `try_send`
    TryBurst,
    /// 64 bytes there and back beside another connection that is kept full, all raw
    RawIsolation,
    /// Requests and broadcasts beside messages of 8 MiB
    Isolation,
    /// A receiver that stops reading one channel
    Stalled,
}

/// As the command line calls it.
pub(crate) fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    pub(crate) async fn run(self, transport: Transport, seconds: f64) -> Result<Figures, Error> {
        use murmurate::Channel;
        match self {
            Self::RawMessages => raw::messages(transport, seconds).await,
            Self::RawPingPong => raw::ping_pong(transport, seconds).await,
            Self::RawBytes => raw::bytes(transport, seconds).await,
            Self::RawIsolation => raw::isolation(transport, seconds).await,
            Self::BestEffort => {
                lines::one_way(Channel::best_effort("c"), 1, transport, seconds).await
            }
            Self::Acknowledged => {
                lines::one_way(Channel::acknowledged("c"), 1, transport, seconds).await
            }
            Self::Request => lines::request(transport, seconds).await,
            Self::Bytes => lines::bytes(transport, seconds).await,
            Self::Single => lines::one_way(Channel::best_effort("c"), 4, transport, seconds).await,
            Self::Parallel => {
                let channel = Channel::best_effort("c").parallelism(8);
                lines::one_way(channel, 4, transport, seconds).await
            }
            Self::Burst => pressure::burst(transport, false).await,
            Self::TryBurst => pressure::burst(transport, true).await,
            Self::Isolation => pressure::isolation(transport, seconds).await,
            Self::Stalled => pressure::stalled(transport, seconds).await,
        }
    }
}

//! What cases run over.

use clap::ValueEnum;

/// What the connections are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Transport {
    /// TCP, Noise and Yamux
    Tcp,
    /// QUIC
    Quic,
}

impl Transport {
    /// Any port of this machine.
    pub(crate) fn anywhere(self) -> &'static str {
        match self {
            Self::Tcp => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
    }
}

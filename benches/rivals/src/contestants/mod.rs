//! The contestants, and the one place that knows them all.

mod gossipsub;
mod iroh;
mod murmurate;

use anyhow::Result;
use clap::ValueEnum;

use crate::Load;
use crate::worker;
use crate::workload::Sample;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    /// libp2p's gossipsub, over TCP, Noise and Yamux
    Gossipsub,
    /// iroh-gossip, over QUIC
    Iroh,
    /// this project, over TCP, Noise and Yamux
    Murmurate,
}

impl Name {
    /// Everyone, in the order of the first round.
    pub(crate) fn all() -> Vec<Self> {
        Self::value_variants().to_vec()
    }

    /// As it is called on the command line and in the tables.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gossipsub => "gossipsub",
            Self::Iroh => "iroh",
            Self::Murmurate => "murmurate",
        }
    }

    /// Starts this contestant in this process and measures it.
    pub(crate) async fn measure(self, load: Load) -> Result<Vec<Sample>> {
        match self {
            Self::Gossipsub => worker::measure::<gossipsub::Gossipsub>(load).await,
            Self::Iroh => worker::measure::<iroh::Iroh>(load).await,
            Self::Murmurate => worker::measure::<murmurate::Murmurate>(load).await,
        }
    }
}

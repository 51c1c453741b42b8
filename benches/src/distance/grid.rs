//! What is measured.

use clap::{Args, ValueEnum};

use crate::Options;

/// One measurement: what both ends must know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Args)]
pub(crate) struct Cell {
    #[arg(value_enum)]
    pub(crate) through: Through,
    /// Bytes of a payload
    pub(crate) payload: usize,
    /// Microseconds
    pub(crate) round_trip: u64,
    /// Tasks that send a payload and wait for its receipt, again and again
    pub(crate) senders: usize,
    /// Connections that they share
    pub(crate) parallelism: u16,
}

/// What payloads go through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Through {
    /// A channel over TCP, Noise and Yamux
    Tcp,
    /// A channel over QUIC
    Quic,
    /// Plain TCP, filled with bytes in one direction; it is measured beside the others, too
    Raw,
}

impl Through {
    /// As the command line calls it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Cell {
    /// All of a round: what is compared follows each other.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let mut all = Vec::new();
        for millis in &options.rtt {
            let round_trip = (millis * 1e3) as u64;
            let cell = |through, payload, senders, parallelism| Self {
                through,
                payload,
                round_trip,
                senders,
                parallelism,
            };
            let parallel = || options.parallelism.iter().copied();
            all.extend(parallel().map(|count| cell(Through::Raw, 0, 0, count)));
            if options.transport == Through::Raw {
                continue;
            }
            for kibibytes in &options.payload {
                for senders in &options.senders {
                    let channel = |count| cell(options.transport, kibibytes << 10, *senders, count);
                    all.extend(parallel().map(channel));
                }
            }
        }
        all
    }

    /// As the command line of a worker.
    pub(crate) fn arguments(&self) -> [String; 5] {
        let Self { through, payload, round_trip, senders, parallelism } = self;
        [
            through.name(),
            payload.to_string(),
            round_trip.to_string(),
            senders.to_string(),
            parallelism.to_string(),
        ]
    }
}

//! Writes the events of a run as they happen: as lines of JSON, or as a trace for Perfetto and Chrome.

mod filter;
mod perfetto;

use std::io::{self, Write};
use std::path::Path;

use murmurate::membership::Time;
use serde::Serialize;

use crate::engine::watch::Record;
use crate::model::network::Placement;
use perfetto::Perfetto;

/// How a trace is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceFormat {
    /// A JSON object on each line.
    Jsonl,
    /// The trace event format of Chrome, which Perfetto reads.
    Perfetto,
}

impl TraceFormat {
    /// By a file's ending: `.jsonl` or `.perfetto.json`.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let name = path.file_name()?.to_str()?.to_ascii_lowercase();
        match name {
            name if name.ends_with(".jsonl") => Some(Self::Jsonl),
            name if name.ends_with(".perfetto.json") => Some(Self::Perfetto),
            _ => None,
        }
    }
}

/// Writes a trace.
#[derive(Debug)]
pub struct Tracer<W: Write> {
    to: W,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Jsonl,
    Perfetto(Box<Perfetto>),
}

/// A fault, among the records.
#[derive(Serialize)]
struct FaultLine<'a> {
    at: f64,
    kind: &'static str,
    fault: &'a str,
}

impl<W: Write> Tracer<W> {
    /// Begins a trace of nodes placed like this.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn new(mut to: W, format: TraceFormat, placement: &Placement) -> io::Result<Self> {
        let kind = match format {
            TraceFormat::Jsonl => Kind::Jsonl,
            TraceFormat::Perfetto => Kind::Perfetto(Box::new(Perfetto::new(placement, &mut to)?)),
        };
        Ok(Self { to, kind })
    }

    /// Writes records that come after all previous ones.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn records(&mut self, records: &[Record]) -> io::Result<()> {
        match &mut self.kind {
            Kind::Jsonl => records.iter().try_for_each(|record| line(&mut self.to, record)),
            Kind::Perfetto(perfetto) => {
                records.iter().try_for_each(|record| perfetto.record(record, &mut self.to))
            }
        }
    }

    /// Writes that a fault struck, or that it is over.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn fault(&mut self, name: &str, at: Time, is_over: bool) -> io::Result<()> {
        let kind = if is_over { "fault_over" } else { "fault" };
        match &mut self.kind {
            Kind::Jsonl => line(&mut self.to, &FaultLine { at: seconds(at), kind, fault: name }),
            Kind::Perfetto(perfetto) => perfetto.fault(name, kind, at, &mut self.to),
        }
    }

    /// Ends the trace.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> io::Result<W> {
        if let Kind::Perfetto(perfetto) = &mut self.kind {
            perfetto.finish(&mut self.to)?;
        }
        self.to.flush()?;
        Ok(self.to)
    }
}

fn line(to: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *to, value)?;
    to.write_all(b"\n")
}

fn seconds(time: Time) -> f64 {
    time.since(Time::ZERO).as_secs_f64()
}

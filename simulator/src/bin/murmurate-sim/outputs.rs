//! What a run leaves behind beside its summary: files that are opened before it starts, so that what
//! cannot be written is known at once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use murmurate::membership::Time;
use murmurate_simulator::Simulation;
use murmurate_simulator::engine::{SimBroadcast, SimMembership};
use murmurate_simulator::export::{self, About};
use murmurate_simulator::runner::{Observer, Point};
use murmurate_simulator::scenario::{Scenario, Span};
use murmurate_simulator::topology::Topology;
use murmurate_simulator::trace::{self, Tracer};
use murmurate_simulator::watch::{Filter, Record};

/// What to write.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Write overlay and broadcast tree: .graphml, .gexf, .dot, or a list of edges as .csv or
    /// .parquet; can be given several times
    #[arg(long, value_name = "FILE", value_parser = exported)]
    export: Vec<(PathBuf, export::Format)>,
    /// When, in virtual time [default: at the end]
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "export")]
    export_at: Option<Span>,
    /// Write every event: one JSON object a line as .jsonl, or for Perfetto and Chrome as
    /// .perfetto.json
    #[arg(long, value_name = "FILE", value_parser = traced)]
    trace: Option<(PathBuf, trace::Format)>,
    /// Only these events, as in kind=deliver,node=3..9,broadcast=5,from=10s,until=20s
    #[arg(long, value_name = "TERMS", requires = "trace")]
    trace_only: Option<Filter>,
}

fn exported(text: &str) -> Result<(PathBuf, export::Format), String> {
    let format = export::Format::of(Path::new(text)).map_err(|error| error.to_string())?;
    Ok((text.into(), format))
}

fn traced(text: &str) -> Result<(PathBuf, trace::Format), String> {
    let format = trace::Format::of(Path::new(text));
    let format = format.ok_or("it has none of the endings .jsonl and .perfetto.json")?;
    Ok((text.into(), format))
}

fn moment(text: &str) -> Result<Span, String> {
    let time = humantime::parse_duration(text);
    time.map(Span).map_err(|_| format!("{text:?} is no time: write 45s, 250ms or 1m"))
}

/// Nodes that a trace for Perfetto shows at most: it keeps all events in memory.
const MOST_TRACED: u32 = 1_000;

impl OutputArgs {
    /// Opens all files, and has the scenario measure what they need.
    pub(crate) fn open(&self, scenario: &mut Scenario) -> Result<Outputs, String> {
        let end = scenario.duration;
        let at = self.export_at.unwrap_or(end);
        if at.0 > end.0 {
            let (at, end) = (humantime::format_duration(at.0), humantime::format_duration(end.0));
            return Err(format!("--export-at {at} is behind the end of the run, {end}"));
        }
        let about = About { scenario: scenario.name.clone(), seed: scenario.seed };
        let exports = self.export.iter().map(|(path, format)| {
            Ok(Export { file: create(path)?, path: path.clone(), format: *format })
        });
        let exports = exports.collect::<Result<Vec<_>, String>>()?;
        scenario.measure.load |= !exports.is_empty();
        Ok(Outputs { exports, at, about, trace: self.open_trace(scenario)?, failed: None })
    }

    fn open_trace(&self, scenario: &Scenario) -> Result<Option<Trace>, String> {
        let Some((path, format)) = &self.trace else { return Ok(None) };
        let filter = self.trace_only.clone().unwrap_or_default();
        let count = scenario.nodes.count;
        if *format == trace::Format::Perfetto && count > MOST_TRACED && filter.nodes.is_empty() {
            return Err(format!(
                "{}: {count} nodes are too many to look at, allowed are {MOST_TRACED}: narrow it with \
                 --trace-only node=0..99",
                path.display()
            ));
        }
        let network = scenario.network().map_err(|(key, what)| format!("{key}: {what}"))?;
        let tracer = Tracer::new(create(path)?, *format, network.placement())
            .map_err(|error| cannot(path, &error))?;
        Ok(Some(Trace { tracer, filter, path: path.clone() }))
    }
}

/// Files that are open.
pub(crate) struct Outputs {
    exports: Vec<Export>,
    at: Span,
    about: About,
    trace: Option<Trace>,
    /// What could not be written, once.
    failed: Option<String>,
}

struct Export {
    path: PathBuf,
    format: export::Format,
    file: BufWriter<File>,
}

struct Trace {
    path: PathBuf,
    filter: Filter,
    tracer: Tracer<BufWriter<File>>,
}

impl Outputs {
    /// Completes the files.
    pub(crate) fn finish(self) -> Result<(), String> {
        if let Some(trace) = self.trace {
            trace.tracer.finish().map_err(|error| cannot(&trace.path, &error))?;
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn attempt(&mut self, path: &Path, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.get_or_insert(cannot(path, &error));
        }
    }

    fn export(&mut self, topology: &Topology) {
        for mut export in std::mem::take(&mut self.exports) {
            let written = export::write(topology, &self.about, export.format, &mut export.file);
            self.attempt(&export.path, written.and_then(|()| export.file.flush()));
        }
    }

    fn trace(&mut self, write: impl FnOnce(&mut Tracer<BufWriter<File>>) -> io::Result<()>) {
        if let Some(trace) = self.trace.as_mut().filter(|_| self.failed.is_none())
            && let Err(error) = write(&mut trace.tracer)
        {
            self.failed = Some(cannot(&trace.path, &error));
        }
    }
}

impl Observer for Outputs {
    fn looks_at(&self) -> Vec<Span> {
        if self.exports.is_empty() { Vec::new() } else { vec![self.at] }
    }

    fn wants_events(&self) -> Option<Filter> {
        self.trace.as_ref().map(|trace| trace.filter.clone())
    }

    fn events(&mut self, records: &[Record]) {
        self.trace(|tracer| tracer.records(records));
    }

    fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        self.trace(|tracer| tracer.fault(name, at, is_over));
    }

    fn look<M: SimMembership, B: SimBroadcast>(&mut self, sim: &Simulation<M, B>, _: Time) {
        self.export(&Topology::of(sim));
    }

    fn point(&mut self, _: &Point) {}
}

fn create(path: &Path) -> Result<BufWriter<File>, String> {
    File::create(path).map(BufWriter::new).map_err(|error| cannot(path, &error))
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

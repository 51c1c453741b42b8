//! The output files of a run. They are opened before it starts, so that a file that cannot be written is
//! reported at once.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::files::{cannot, create};
use crate::cli::probe::{ProbeArgs, ProbeFile};
use crate::engine::watch::{Filter, Record};
use crate::experiment::runner::{Observer, Probing, Report, View};
use crate::experiment::scenario::{Scenario, Span};
use crate::observe::topology::Topology;
use crate::present::export::{self, GraphInfo};
use crate::present::report::{self, Film};
use crate::present::trace::{self, Tracer};
use crate::study::draft::Draft;
use clap::Args;
use murmurate::membership::Time;

use crate::cli::summary::strategies;

/// What to write.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Show the run on the terminal while it is running; space pauses, q closes the view
    #[cfg(feature = "watch")]
    #[arg(long)]
    pub(crate) watch: bool,
    /// Write an .html page with the verdicts, the charts and the overlay, which opens offline
    #[arg(long, value_name = "FILE", value_parser = reported)]
    report: Option<PathBuf>,
    /// Write the overlay and the broadcast tree as .graphml, .gexf or .dot, or as a list of edges in
    /// .csv or .parquet; can be repeated
    #[arg(long, value_name = "FILE", value_parser = exported)]
    export: Vec<(PathBuf, export::GraphFormat)>,
    /// The virtual time of the export [default: the end]
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "export")]
    export_at: Option<Span>,
    /// Write every event, as .jsonl with one JSON object per line, or as .perfetto.json for Perfetto and
    /// Chrome
    #[arg(long, value_name = "FILE", value_parser = traced)]
    trace: Option<(PathBuf, trace::TraceFormat)>,
    /// Trace only these events, such as kind=deliver,node=3..9,broadcast=5,from=10s,until=20s
    #[arg(long, value_name = "TERMS", requires = "trace")]
    trace_only: Option<Filter>,
    #[command(flatten)]
    probe: ProbeArgs,
}

fn exported(text: &str) -> Result<(PathBuf, export::GraphFormat), String> {
    let format = export::GraphFormat::of(Path::new(text)).map_err(|error| error.to_string())?;
    Ok((text.into(), format))
}

fn traced(text: &str) -> Result<(PathBuf, trace::TraceFormat), String> {
    let format = trace::TraceFormat::of(Path::new(text));
    let format = format.ok_or("it must end in .jsonl or .perfetto.json")?;
    Ok((text.into(), format))
}

fn reported(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_page = ["html", "htm"].contains(&ending.to_ascii_lowercase().as_str());
    is_page.then_some(path).ok_or_else(|| "its ending is not .html".to_owned())
}

pub(crate) fn moment(text: &str) -> Result<Span, String> {
    let time = humantime::parse_duration(text);
    time.map(Span).map_err(|_| format!("{text:?} is not a time: write 45s, 250ms or 1m"))
}

/// The most nodes of a trace for Perfetto, which keeps all events in memory.
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
        let about = GraphInfo { scenario: scenario.name.clone(), seed: scenario.seed };
        let exports = self.export.iter().map(|(path, format)| {
            let (draft, file) = create(path)?;
            Ok(Export { draft: Some(draft), file, path: path.clone(), format: *format })
        });
        let exports = exports.collect::<Result<Vec<_>, String>>()?;
        scenario.measure.load |= !exports.is_empty();
        let trace = self.open_trace(scenario)?;
        let probe = self.probe.open(scenario)?;
        let page = self.open_page(scenario)?;
        Ok(Outputs { exports, at, about, trace, probe, page, failed: None })
    }

    fn open_page(&self, scenario: &mut Scenario) -> Result<Option<Page>, String> {
        let Some(path) = &self.report else { return Ok(None) };
        let about = report::PageInfo {
            command: command(std::env::args()),
            program: concat!("murmurate-sim ", env!("CARGO_PKG_VERSION")).to_owned(),
            strategies: strategies(scenario),
            file: scenario.to_toml().unwrap_or_else(|error| error.to_string()),
        };
        let ((draft, file), film) = (create(path)?, Film::new(scenario));
        scenario.measure.load = true;
        let every = scenario.measure.every.0;
        let steps = scenario.duration.0.div_duration_f64(every) / LOOKS;
        let looks = Span(every.mul_f64(steps.ceil().max(1.0)));
        let looks = scenario.measure.overlay_every.is_none().then_some(looks);
        Ok(Some(Page { path: path.clone(), draft, file, about, film, looks }))
    }

    fn open_trace(&self, scenario: &Scenario) -> Result<Option<Trace>, String> {
        let Some((path, format)) = &self.trace else { return Ok(None) };
        let filter = self.trace_only.clone().unwrap_or_default();
        let count = scenario.nodes.count;
        if *format == trace::TraceFormat::Perfetto && count > MOST_TRACED && filter.nodes.is_empty()
        {
            return Err(format!(
                "{}: {count} nodes are too many to look at, allowed are {MOST_TRACED}: narrow it with \
                 --trace-only node=0..99",
                path.display()
            ));
        }
        let network = scenario.network().map_err(|(key, what)| format!("{key}: {what}"))?;
        let (draft, file) = create(path)?;
        let tracer = Tracer::new(file, *format, network.placement())
            .map_err(|error| cannot(path, &error))?;
        Ok(Some(Trace { tracer, draft, filter, path: path.clone() }))
    }
}

/// How often a report looks at the overlay during a run, if the scenario does not say.
const LOOKS: f64 = 60.0;

/// The command that repeats this run, without its output options.
fn command(arguments: impl Iterator<Item = String>) -> String {
    const VALUES: [&str; 10] = [
        "--export",
        "--export-at",
        "--probe",
        "--probe-every",
        "--probe-figures",
        "--probe-nodes",
        "--report",
        "--threads",
        "--trace",
        "--trace-only",
    ];
    const FLAGS: [&str; 2] = ["--json", "--watch"];
    let mut kept = vec!["murmurate-sim".to_owned()];
    let mut arguments = arguments.skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.split('=').next().unwrap_or_default();
        if VALUES.contains(&name) {
            if name == argument {
                arguments.next();
            }
        } else if !FLAGS.contains(&name) {
            kept.push(argument);
        }
    }
    shlex::try_join(kept.iter().map(String::as_str)).unwrap_or_else(|_| kept.join(" "))
}

/// Files that are open.
pub(crate) struct Outputs {
    exports: Vec<Export>,
    at: Span,
    about: GraphInfo,
    trace: Option<Trace>,
    probe: Option<ProbeFile>,
    page: Option<Page>,
    /// The first write error.
    failed: Option<String>,
}

struct Export {
    path: PathBuf,
    /// Until it is complete.
    draft: Option<Draft>,
    format: export::GraphFormat,
    file: BufWriter<File>,
}

struct Trace {
    path: PathBuf,
    draft: Draft,
    filter: Filter,
    tracer: Tracer<BufWriter<File>>,
}

struct Page {
    path: PathBuf,
    draft: Draft,
    file: BufWriter<File>,
    about: report::PageInfo,
    film: Film,
    /// How often its charts need to look at the overlay, if the scenario does not say.
    looks: Option<Span>,
}

impl Outputs {
    /// Completes the files.
    pub(crate) fn finish(self, run: &Report) -> Result<(), String> {
        if let Some(Page { path, draft, mut file, about, film, .. }) = self.page {
            let page = report::page(run, &about, &film.finish()).map_err(|e| e.to_string())?;
            let written = file.write_all(page.as_bytes()).and_then(|()| file.flush());
            written.and_then(|()| draft.finish()).map_err(|error| cannot(&path, &error))?;
        }
        self.probe.map_or(Ok(()), ProbeFile::finish)?;
        if let Some(trace) = self.trace {
            if let Some(failed) = self.failed {
                return Err(failed);
            }
            let written = trace.tracer.finish().and_then(|_| trace.draft.finish());
            return written.map_err(|error| cannot(&trace.path, &error));
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
            let written = export::write(topology, &self.about, export.format, &mut export.file)
                .and_then(|()| export.file.flush())
                .and_then(|()| export.draft.take().map_or(Ok(()), Draft::finish));
            self.attempt(&export.path, written);
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
        let mut moments = self.page.as_ref().map_or_else(Vec::new, |page| page.film.looks_at());
        if !self.exports.is_empty() {
            moments.push(self.at);
        }
        moments
    }

    fn overlay_every(&self) -> Option<Span> {
        self.page.as_ref().and_then(|page| page.looks)
    }

    fn wants_events(&self) -> Option<Filter> {
        self.trace.as_ref().map(|trace| trace.filter.clone())
    }

    fn wants_probes(&self) -> Option<Probing> {
        self.probe.as_ref().and_then(|probe| probe.prober.wants_probes())
    }

    fn probe(&mut self, sim: &dyn View) {
        self.probe.iter_mut().for_each(|probe| probe.prober.probe(sim));
    }

    fn events(&mut self, records: &[Record]) {
        self.trace(|tracer| tracer.records(records));
    }

    fn fault(&mut self, name: &str, at: Time, is_over: bool) {
        self.trace(|tracer| tracer.fault(name, at, is_over));
    }

    fn look(&mut self, sim: &dyn View, at: Time) {
        if at == Time::ZERO.after(self.at.0) {
            self.export(&sim.topology());
        }
        if let Some(page) = &mut self.page
            && page.film.looks_at().iter().any(|moment| Time::ZERO.after(moment.0) == at)
        {
            page.film.look(sim, at);
        }
    }
}

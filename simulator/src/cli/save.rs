//! `murmurate-sim run --save`: an overlay in a file, for runs that start from it.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::cli::args::Run;
use crate::cli::progress::Progress;
use crate::cli::run::{scenario, timed};
use crate::cli::values::warn_of_more_threads_than_cores;
use crate::experiment::runner::{self, Observer, Report};
use crate::experiment::scenario::{Scenario, Span, saving};
use crate::observe::memory::peak_rss_bytes;
use crate::study::draft::Draft;

/// What is printed with `--json`.
#[derive(Serialize)]
struct Json<'a> {
    saved: &'a str,
    at_seconds: f64,
    bytes: u64,
    nodes: usize,
    seed: u64,
    digest: &'a str,
    events: u64,
    wall_seconds: f64,
    peak_rss_bytes: Option<u64>,
}

/// Where the run is saved to.
struct Saving {
    at: Span,
    file: BufWriter<File>,
}

impl Observer for Saving {
    fn saves_at(&self) -> Option<Span> {
        Some(self.at)
    }

    fn save(&mut self) -> Option<&mut dyn Write> {
        Some(&mut self.file)
    }
}

/// Runs the scenario until it is saved.
pub(crate) fn save(options: &Run) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (Some(path), Some(at)) = (&options.save.save, options.save.save_at) else {
        return Err("--save and --save-at go together".into());
    };
    let scenario = &scenario(options)?;
    warn_of_more_threads_than_cores("--threads", options.threads.get());
    // Before anything is created.
    if let Some((key, what)) = saving(scenario, at).first() {
        return Err(format!("{key}: {what}").into());
    }
    let cannot =
        |error: &dyn std::fmt::Display| format!("{} cannot be written: {error}", path.display());
    let (draft, file) = Draft::create(path).map_err(|error| cannot(&error))?;
    let saving = Saving { at, file: BufWriter::new(file) };
    let until = Scenario { duration: at, ..scenario.clone() };
    let mut observers = (Progress::new(&until), saving);
    let (report, wall) =
        timed(|| runner::run_on_threads(options.threads, scenario, &mut observers));
    let (progress, Saving { file, .. }) = observers;
    drop(progress);
    let report = report?;
    if let Some(broken) = &report.violation {
        return Err(format!("nothing was saved: {}: {}", broken.rule, broken.detail).into());
    }
    let file = file.into_inner().map_err(|error| cannot(error.error()))?;
    let bytes = file.metadata().map_err(|error| cannot(&error))?.len();
    draft.finish().map_err(|error| cannot(&error))?;
    print(options, &report, (&path.display().to_string(), at, bytes), wall)?;
    Ok(ExitCode::SUCCESS)
}

fn print(
    options: &Run,
    report: &Report,
    (file, at, bytes): (&str, Span, u64),
    wall: Duration,
) -> Result<(), serde_json::Error> {
    let nodes = report.started_nodes;
    if options.json {
        let json = Json {
            saved: file,
            at_seconds: at.0.as_secs_f64(),
            bytes,
            nodes,
            seed: report.seed,
            digest: &report.digest,
            events: report.events,
            wall_seconds: wall.as_secs_f64(),
            peak_rss_bytes: peak_rss_bytes(),
        };
        say!("{}", serde_json::to_string(&json)?);
        return Ok(());
    }
    let (size, seconds) = (bytesize::ByteSize(bytes).display().si(), wall.as_secs_f64());
    say!(
        "saved: {file}: {nodes} nodes at {at}, {size}, digest {}, in {seconds:.1} s",
        report.digest
    );
    Ok(())
}

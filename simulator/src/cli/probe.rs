//! `--probe`: figures of nodes over time, as a file.

use std::path::{Path, PathBuf};

use crate::cli::files::{cannot, create};
use crate::experiment::scenario::{Scenario, Share, Span, Who};
use crate::present::probe::{Format, Prober};
use crate::study::draft::Draft;
use clap::Args;

/// What to look at. What the command line says counts, not what the scenario does.
#[derive(Debug, Default, Args)]
pub(crate) struct ProbeArgs {
    /// Write figures of nodes over time as .parquet, .csv or .jsonl: a row for each node and look
    #[arg(long, value_name = "FILE", value_parser = probed)]
    probe: Option<(PathBuf, Format)>,
    /// Which figures, such as active,missing,sent.gossip; the command figures lists them [default: the
    /// scenario's measure.probe, or all but those of one kind of messages]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "probe")]
    probe_figures: Vec<String>,
    /// Of which nodes: all, a share such as 10%, indices such as 0..9,42, region=NAME or class=NAME
    /// [default: the scenario's, or all]
    #[arg(long, value_name = "NODES", value_parser = nodes, requires = "probe")]
    probe_nodes: Option<Who>,
    /// The time between two looks [default: the scenario's, or 1s]
    #[arg(long, value_name = "TIME", value_parser = interval, requires = "probe")]
    probe_every: Option<Span>,
}

fn probed(text: &str) -> Result<(PathBuf, Format), String> {
    let format = Format::of(Path::new(text)).map_err(|error| error.to_string())?;
    Ok((text.into(), format))
}

fn interval(text: &str) -> Result<Span, String> {
    let time = humantime::parse_duration(text).ok();
    let time = time.filter(|time| time.as_millis() >= 1).map(Span);
    time.ok_or_else(|| format!("allowed is a time of at least 1ms, such as 250ms, not {text:?}"))
}

/// Indices that a list names at most.
const MOST_LISTED: usize = 1 << 24;

fn nodes(text: &str) -> Result<Who, String> {
    let wrong = || {
        format!(
            "allowed is all, a share such as 10%, indices such as 0..9,42, region=NAME or class=NAME, not \
             {text:?}"
        )
    };
    if text == "all" {
        return Ok(Who::All);
    }
    if let Some(name) = text.strip_prefix("region=") {
        return Ok(Who::Region(name.to_owned()));
    }
    if let Some(name) = text.strip_prefix("class=") {
        return Ok(Who::Class(name.to_owned()));
    }
    if text.ends_with('%') {
        return text.parse::<Share>().map(Who::Share).map_err(|_| wrong());
    }
    let mut listed = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once("..").unwrap_or((part, part));
        let (first, last): (u32, u32) =
            first.parse().ok().zip(last.parse().ok()).ok_or_else(wrong)?;
        if first > last {
            return Err(format!("{part}: the second must be at least the first"));
        }
        if listed.len() + (last - first) as usize >= MOST_LISTED {
            return Err(format!("{text} are too many: allowed are {MOST_LISTED} nodes"));
        }
        listed.extend(first..=last);
    }
    Ok(Who::Nodes(listed))
}

impl ProbeArgs {
    /// Opens the file, and has the scenario say what is looked at.
    pub(crate) fn open(&self, scenario: &mut Scenario) -> Result<Option<ProbeFile>, String> {
        let Some((path, format)) = &self.probe else { return Ok(None) };
        let probe = scenario.measure.probe.get_or_insert_default();
        if !self.probe_figures.is_empty() {
            probe.figures.clone_from(&self.probe_figures);
        }
        if let Some(nodes) = &self.probe_nodes {
            probe.nodes = nodes.clone();
        }
        if let Some(every) = self.probe_every {
            probe.every = every;
        }
        let wrong =
            scenario.check().into_iter().map(|(key, what)| format!("--probe: {key}: {what}"));
        let wrong: Vec<_> = wrong.collect();
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let (draft, file) = create(path)?;
        let prober = Prober::new(scenario, *format, file).map_err(|error| cannot(path, &error))?;
        Ok(Some(ProbeFile { path: path.clone(), draft, prober }))
    }
}

/// A table that is being written.
pub(crate) struct ProbeFile {
    path: PathBuf,
    draft: Draft,
    pub(crate) prober: Prober,
}

impl ProbeFile {
    pub(crate) fn finish(self) -> Result<(), String> {
        let Self { path, draft, prober } = self;
        let written = prober.finish().and_then(|()| draft.finish());
        written.map_err(|error| cannot(&path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_all_or_some() {
        assert_eq!(nodes("all"), Ok(Who::All));
        assert_eq!(nodes("0..2,9"), Ok(Who::Nodes(vec![0, 1, 2, 9])));
        assert_eq!(nodes("25%"), Ok(Who::Share(Share::new(0.25).expect("a share"))));
        assert_eq!(nodes("region=eu, west"), Ok(Who::Region("eu, west".to_owned())));
        assert_eq!(nodes("class=home"), Ok(Who::Class("home".to_owned())));
        for wrong in ["", "some", "1..", "3..1", "-1", "200%", "0..4294967295", "1.5"] {
            assert!(nodes(wrong).is_err(), "{wrong}");
        }
    }
}

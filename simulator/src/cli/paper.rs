//! `murmurate-sim paper`: a paper's figures beside ours.

use std::process::ExitCode;
use std::time::Duration;

use crate::study::paper::{NODES, Paper as Experiment, PaperFigure, Progress};
use serde::Serialize;

use crate::cli::args::{Paper, PaperKind};
use crate::cli::progress;

#[derive(Serialize)]
struct Json<'a> {
    paper: &'a str,
    nodes: usize,
    seeds: u64,
    figures: &'a [PaperFigure],
    missed: usize,
}

pub(crate) fn paper(options: &Paper) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let (experiment, name) = match options.paper {
        PaperKind::Hyparview => (Experiment::HyParView, "HyParView"),
        PaperKind::Plumtree => (Experiment::Plumtree, "Plumtree"),
    };
    let nodes = usize::try_from(options.nodes)?;
    let figures = with_bar(experiment, name, nodes, options.seeds)?;
    let missed = figures.iter().filter(|figure| !figure.is_met()).count();
    if options.json {
        let json = Json { paper: name, nodes, seeds: options.seeds, figures: &figures, missed };
        say!("{}", serde_json::to_string(&json)?);
    } else {
        print_table(name, nodes, options.seeds, &figures);
        print_side_by_side(&figures);
        match missed {
            0 => say!("\nall figures are within their tolerance"),
            _ => say!("\n{missed} of {} figures missed", figures.len()),
        }
    }
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Runs the experiments on a thread of their own, so that the bar can move.
fn with_bar(
    experiment: Experiment,
    name: &str,
    nodes: usize,
    seeds: u64,
) -> Result<Vec<PaperFigure>, Box<dyn std::error::Error>> {
    let progress = Progress::default();
    let bar = progress::bar(experiment.steps(seeds) as u64, &format!("{name}, {nodes} nodes"));
    let figures = std::thread::scope(|scope| {
        let running = scope.spawn(|| experiment.reproduce(nodes, seeds, &progress));
        while !running.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            bar.set_position(progress.done() as u64);
        }
        running.join()
    });
    bar.finish_and_clear();
    match figures {
        Ok(figures) => Ok(figures?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn print_table(name: &str, nodes: usize, seeds: u64, figures: &[PaperFigure]) {
    say!("{name}, {nodes} nodes, mean of {seeds} seeds");
    if nodes != NODES {
        say!("figures that depend on the number of nodes are checked at {NODES} only");
    }
    say!("");
    say!("{:<58} {:>10} {:>11}  allowed", "", "paper", "Murmurate");
    let mut protocol = figures.first().map_or("", |figure| figure.protocol);
    for figure in figures {
        if figure.protocol != protocol {
            protocol = figure.protocol;
            say!("\n{protocol}");
        }
        let paper = figure.paper.map_or_else(|| "-".to_owned(), short);
        let allowed = match (figure.low, figure.high) {
            (None, None) => String::new(),
            (Some(low), None) => format!("at least {}", short(low)),
            (None, Some(high)) => format!("at most {}", short(high)),
            (Some(low), Some(high)) if low == high => short(low),
            (Some(low), Some(high)) => format!("{} to {}", short(low), short(high)),
        };
        let mark = if figure.is_met() { "" } else { "   MISSED" };
        let ours = short(figure.ours);
        say!("{:<58} {paper:>10} {ours:>11}  {allowed}{mark}", figure.name);
    }
}

/// What was measured of several protocols, each with the paper's figure and ours.
fn print_side_by_side(figures: &[PaperFigure]) {
    let mut protocols: Vec<&str> = figures.iter().map(|figure| figure.protocol).collect();
    protocols.dedup();
    let Some(first) = protocols.first().filter(|_| protocols.len() > 1) else { return };
    let heads: Vec<String> = protocols.iter().map(|of| format!("{of:>18}")).collect();
    say!("\n{:<36}{}", "side by side: paper, Murmurate", heads.concat());
    for figure in figures.iter().filter(|figure| figure.protocol == *first) {
        let of = |protocol: &str| {
            figures.iter().find(|other| other.protocol == protocol && other.name == figure.name)
        };
        if protocols[1..].iter().all(|protocol| of(protocol).is_none()) {
            continue;
        }
        let both = |protocol: &&str| match of(protocol) {
            None => format!("{:>18}", "-"),
            Some(other) => {
                let paper = other.paper.map_or_else(|| "-".to_owned(), short);
                format!("{paper:>9}{:>9}", short(other.ours))
            }
        };
        let row: Vec<String> = protocols.iter().map(both).collect();
        say!("{:<36}{}", figure.name, row.concat());
    }
}

/// As many digits as tell the figures apart.
fn short(value: f64) -> String {
    let digits = match value.abs() {
        0.0 => 0,
        v if v < 0.01 => 5,
        v if v < 10.0 => 3,
        v if v < 1_000.0 => 2,
        _ => 0,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

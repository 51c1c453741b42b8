//! `murmurate-sim compare`: compares two configurations with the same random draws.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::experiment::scenario::{Document, Scenario};
use crate::study::sweep::compare::{self, Compared, Comparison, SIGNIFICANT};
use clap::Args;
use serde::Serialize;

use crate::cli::sweep::{Force, start_from};
use crate::cli::values::whole;
use crate::cli::{progress, summary};

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Compare {
    /// A scenario file, or the name of a scenario from the gallery
    #[arg(value_name = "A")]
    first: PathBuf,
    /// The scenario to compare with [default: the first one, changed by --a and --b]
    #[arg(value_name = "B")]
    second: Option<PathBuf>,
    /// Override a value of the first
    #[arg(long, value_name = "KEY=VALUE")]
    a: Vec<String>,
    /// Override a value of the second
    #[arg(long, value_name = "KEY=VALUE")]
    b: Vec<String>,
    /// Override a value of both
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How many seeds to run both with, starting with that of A
    #[arg(long, default_value = "20", value_parser = |text: &str| whole(text, 2..=100_000))]
    seeds: u64,
    /// Start every run from the overlay in this file, which `run --save` has written
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    #[command(flatten)]
    force: Force,
    /// The figures to compare, such as rmr,latency_p99; with fewer, smaller differences can be detected
    /// [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    figures: Vec<String>,
    /// Print only one JSON object on standard output
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "Examples:
  murmurate-sim compare quickstart --b broadcast.strategy=flood
  murmurate-sim compare churn --a active_capacity=4 --b active_capacity=6
  murmurate-sim compare before.toml after.toml --figures after.reliability

Each seed is run with both configurations, and differences are taken between its two runs (b minus a). \
A difference is significant by a paired t-test with Holm's correction for the number of figures, so \
the chance of even one false alarm is below 5 %.";

#[derive(Serialize)]
struct Json<'a> {
    a: String,
    b: String,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

pub(crate) fn compare(options: &Compare) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let second = options.second.as_ref().unwrap_or(&options.first);
    let a = scenario(options, &options.first, "--a", &options.a)?;
    let b = scenario(options, second, "--b", &options.b)?;
    let b = Scenario { seed: a.seed, ..b };
    let named = Scenario { name: a.name.clone(), description: a.description.clone(), ..b.clone() };
    if named == a {
        return Err(
            "A and B are the same: name another file, or change a value with --a or --b".into()
        );
    }
    let work = compare::work(&a, &b, options.seeds);
    let bar = progress::bar(work, &format!("{} pairs of runs", options.seeds));
    let worked = |work| bar.inc(work);
    let jobs = options.force.jobs();
    let comparison = compare::compare(&a, &b, options.seeds, &options.figures, jobs, &worked)?;
    bar.finish_and_clear();
    let side = |name: &str, changes: &[String]| match changes {
        [] => name.to_owned(),
        _ => format!("{name} with {}", changes.join(", ")),
    };
    let (a, b) = (side(&a.name, &options.a), side(&b.name, &options.b));
    if options.json {
        say!("{}", serde_json::to_string(&Json { a, b, comparison: &comparison })?);
    } else {
        say!("a: {a}\nb: {b}");
        print(&comparison);
    }
    Ok(ExitCode::SUCCESS)
}

fn scenario(
    options: &Compare,
    path: &std::path::Path,
    option: &str,
    own: &[String],
) -> Result<Scenario, Box<dyn std::error::Error>> {
    let mut document = Document::read(path)?;
    for assignment in &options.set {
        document.set(assignment)?;
    }
    start_from(&mut document, options.from.as_deref())?;
    for assignment in own {
        document.assign(option, assignment)?;
    }
    Ok(document.scenario()?)
}

fn print(comparison: &Comparison) {
    let Comparison { seeds, first_seed, unlike, figures, not_compared } = comparison;
    let last = first_seed + seeds - 1;
    say!("{seeds} seeds, {first_seed} to {last}, each on both sides\n");
    let head = ["", "a", "b", "b - a", "95 % interval", "of a", "p (Holm)", ""].map(str::to_owned);
    let rows = figures.iter().map(row);
    summary::columns(&std::iter::once(head.to_vec()).chain(rows).collect::<Vec<_>>(), 1);
    let significant = figures.iter().filter(|figure| figure.significant).count();
    let count = figures.len();
    say!("\n{significant} of {count} figures differ significantly (p < {SIGNIFICANT} with Holm)");
    if !unlike.is_empty() {
        say!("not the same noise on both sides, for these are not the same: {}", unlike.join(", "));
    }
    if !not_compared.is_empty() {
        say!("only on one side: {}", not_compared.join(", "));
    }
}

fn row(compared: &Compared) -> Vec<String> {
    let Compared { figure, a, b, difference, relative, p_holm, significant, .. } = compared;
    let precision = difference.and_then(|d| d.half_width()).unwrap_or(0.0);
    let mean = |mean: Option<f64>| {
        mean.map_or_else(|| "-".to_owned(), |mean| summary::precise(mean, precision))
    };
    let signed = |value: f64| {
        format!("{}{}", if value > 0.0 { "+" } else { "" }, summary::precise(value, precision))
    };
    let (effect, interval) = match difference {
        Some(d) if d.ci_low.zip(d.ci_high).is_some_and(|(low, high)| low != 0.0 || high != 0.0) => {
            (
                d.mean.map_or_else(String::new, signed),
                d.ci_low.zip(d.ci_high).map_or_else(String::new, |(low, high)| {
                    format!("{} to {}", signed(low), signed(high))
                }),
            )
        }
        Some(_) => ("none".to_owned(), String::new()),
        None => ("-".to_owned(), String::new()),
    };
    let relative =
        relative.filter(|r| *r != 0.0).map(|relative| format!("{:+.1} %", 100.0 * relative));
    let p = p_holm.map(|p| if p < 0.0001 { "< 0.0001".to_owned() } else { format!("{p:.4}") });
    vec![
        figure.clone(),
        mean(*a),
        mean(*b),
        effect,
        interval,
        relative.unwrap_or_default(),
        p.unwrap_or_default(),
        if *significant { "differs".to_owned() } else { String::new() },
    ]
}

//! The command line, parsed and checked.

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::SimPeer;
use crate::experiment::scenario::{LatencyModel, Span};
use crate::model::network::MIN_LATENCY;
use crate::strategies::{Broadcast, Choice as _, Listed, Membership};
use crate::study::swarm::Focus;
use clap::builder::{
    NonEmptyStringValueParser, PossibleValue, PossibleValuesParser, TypedValueParser,
};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cli::compare::Compare;
use crate::cli::merge::Merge;
use crate::cli::outputs::{OutputArgs, moment};
use crate::cli::sweep::Sweep;
use crate::cli::values::{threads, whole};

/// Runs Murmurate's membership and broadcast protocols, the same code that ships, on simulated nodes
/// under a virtual clock. A run depends on nothing but its options and its seed.
#[derive(Debug, Parser)]
#[command(name = "murmurate-sim", version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  murmurate-sim                                     run 1,000 nodes
  murmurate-sim scenarios                           list the gallery
  murmurate-sim run mass-failure                    run one of its scenarios
  murmurate-sim run my.toml --set nodes.count=5000  change a value of a file
  murmurate-sim run --nodes 20000 --fail 50         let half of the nodes fail
  murmurate-sim run --nodes 100000 --threads 2      get the same result sooner
  murmurate-sim run --latency uniform:10ms,100ms --loss 0.05
  murmurate-sim run --json | jq '.phases[0].latency_seconds'
  murmurate-sim run mass-failure --export overlay.graphml --export-at 45s
  murmurate-sim run churn --report churn.html       write a page with charts
  murmurate-sim run churn --probe nodes.parquet     write figures of nodes
  murmurate-sim run my.toml --save-at 60s --save warm
                                                    save the settled overlay
  murmurate-sim run my.toml --from warm --seed 2    start from it
  murmurate-sim swarm --seeds 10000                 check 10,000 configurations
  murmurate-sim sweep quickstart --vary active_capacity=3..8 --seeds 10
  murmurate-sim compare quickstart --b broadcast.strategy=flood
  murmurate-sim paper hyparview --seeds 3           compare with the paper

The exit status is 0 on success, 1 if a figure or an assertion was missed or a violation found, \
and 2 for wrong input.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a scenario, or form an overlay, broadcast, let nodes fail, and measure
    Run(Box<Run>),
    /// Draw configurations from seeds, run them, and shrink those that fail
    Swarm(Swarm),
    /// Run a scenario with every combination of some values and several seeds, and write a table
    Sweep(Sweep),
    /// Merge the tables of a sweep's shards
    Merge(Merge),
    /// Run two configurations with the same seeds, and say which differences are significant
    Compare(Compare),
    /// Check scenario files and list what is wrong with them
    Check(Check),
    /// List the scenarios that come with the program
    Scenarios(Scenarios),
    /// Print the JSON schema of scenario files
    Schema(Schema),
    /// List what assertions and probes can look at, with units
    Figures(Figures),
    /// Draw the charts of a result as SVG or PNG
    #[cfg(feature = "plot")]
    Plot(crate::cli::plot::PlotArgs),
    /// Reproduce a paper's experiments and show its figures beside ours
    Paper(Paper),
    /// Print completions for a shell
    Completions(Completions),
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

impl Default for Command {
    fn default() -> Self {
        Self::Run(Box::default())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// A scenario file, or the name of a scenario from the gallery
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
    /// Override a value of the scenario, such as nodes.count=500 or faults.0.at=30s
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The seed of all random choices [default: the scenario's, or 1]
    #[arg(long, value_parser = |text: &str| whole(text, 0..=u64::MAX))]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) experiment: Experiment,
    /// How many threads to run on; the result is always the same
    #[arg(long, default_value = "1", value_parser = threads)]
    pub(crate) threads: NonZeroUsize,
    /// Print only one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
    /// Start from the overlay in this file, which --save has written
    #[arg(long, value_name = "FILE")]
    pub(crate) from: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) save: SaveArgs,
    #[command(flatten)]
    pub(crate) outputs: OutputArgs,
}

/// What to save.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Saved overlays")]
pub(crate) struct SaveArgs {
    /// Run until --save-at, and write the overlay to this file, from which other runs can start
    #[arg(long, value_name = "FILE", requires = "save_at", conflicts_with_all = ["report", "export", "trace", "probe"])]
    pub(crate) save: Option<PathBuf>,
    /// When to save: all nodes have joined, and nothing has gone wrong yet
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "save")]
    pub(crate) save_at: Option<Span>,
}

/// What is run without a scenario.
#[derive(Debug, Args)]
pub(crate) struct Experiment {
    /// How many nodes
    #[arg(long, default_value = "1000", conflicts_with = "scenario", value_parser = |text: &str| whole(text, 1..=SimPeer::MAX_NODES as u64))]
    pub(crate) nodes: u64,
    /// The strategy that chooses neighbours
    #[arg(long, default_value = Membership::default().name(), conflicts_with = "scenario", value_parser = strategy::<Membership>())]
    pub(crate) membership: Membership,
    /// The strategy by which a message reaches everyone
    #[arg(long, default_value = Broadcast::default().name(), conflicts_with = "scenario", value_parser = strategy::<Broadcast>())]
    pub(crate) broadcast: Broadcast,
    /// How many broadcasts, each from a random node; the same number again after a failure
    #[arg(long, default_value = "100", conflicts_with = "scenario", value_parser = |text: &str| whole(text, 0..=1_000_000))]
    pub(crate) messages: u64,
    /// How many percent of the nodes fail at once after the broadcasts
    #[arg(long, default_value = "0", value_name = "PERCENT", conflicts_with = "scenario", value_parser = |text: &str| number(text, 0.0..=100.0, "%"))]
    pub(crate) fail: f64,
    /// The one-way latency: constant:10ms, uniform:10ms,100ms, lognormal:50ms,0.5 (median, and sigma
    /// of the logarithm) or matrix:FILE (round trips in ms as CSV, one row per site)
    #[arg(long, default_value = "constant:10ms", conflicts_with = "scenario", value_parser = NonEmptyStringValueParser::new().try_map(|text| text.parse::<LatencyArg>()))]
    pub(crate) latency: LatencyArg,
    /// The share of all messages that the network loses, from 0 to 1
    #[arg(long, default_value = "0", value_name = "P", conflicts_with = "scenario", value_parser = |text: &str| number(text, 0.0..=1.0, ""))]
    pub(crate) loss: f64,
}

impl Default for Run {
    fn default() -> Self {
        let experiment = Experiment {
            nodes: 1_000,
            membership: Membership::default(),
            broadcast: Broadcast::default(),
            messages: 100,
            fail: 0.0,
            latency: LatencyArg(LatencyModel::Constant { time: Span::millis(10) }),
            loss: 0.0,
        };
        Self {
            scenario: None,
            set: Vec::new(),
            seed: None,
            experiment,
            threads: NonZeroUsize::MIN,
            json: false,
            from: None,
            save: SaveArgs::default(),
            outputs: OutputArgs::default(),
        }
    }
}

/// Draws whole configurations from seeds (strategies and their parameters, links, load, faults,
/// healing) and runs them on all cores until one breaks an invariant or a promise. The lowest such
/// seed is then shrunk to a scenario file that reproduces the failure. Also lists the rarely taken
/// branches of the protocols that no seed reached.
#[derive(Debug, Args)]
pub(crate) struct Swarm {
    /// How many seeds to run
    #[arg(long, default_value = "1000", value_parser = |text: &str| whole(text, 1..=1_000_000_000))]
    pub(crate) seeds: u64,
    /// The first seed
    #[arg(long, default_value = "0", value_parser = |text: &str| whole(text, 0..=1_000_000_000_000))]
    pub(crate) first: u64,
    /// How many seeds to run at a time [default: the number of cores]
    #[arg(long, value_parser = |text: &str| whole(text, 1..=1_024))]
    pub(crate) jobs: Option<u64>,
    /// Always draw these (hyparview, full-mesh, static, cyclon, scamp, plumtree, flood, gossip, anti-entropy), or
    /// draw these more often (pairs, lone, cut, late, crowds, recycled)
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub(crate) with: Vec<Focus>,
    /// How many runs shrinking may take; with 0 a failure is written as it was drawn
    #[arg(long, default_value = "1000", value_parser = |text: &str| whole(text, 0..=1_000_000))]
    pub(crate) shrink: u64,
    /// The directory for the scenario files of failures
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// Print only one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Scenario files, or the names of scenarios from the gallery
    #[arg(required = true, value_name = "SCENARIO")]
    pub(crate) scenarios: Vec<PathBuf>,
    /// Override a value of each scenario, as in run
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Scenarios {
    /// Print the file of this scenario, as a start for your own
    #[arg(long, value_name = "NAME")]
    pub(crate) show: Option<String>,
    /// Print only one JSON array on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Print the reference that is generated from it, as Markdown
    #[arg(long)]
    pub(crate) reference: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Figures {
    /// A scenario file, or the name of one from the gallery: its strategies and channels have figures of
    /// their own
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: Option<PathBuf>,
    /// Override a value of the scenario, as in run
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print only one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Paper {
    /// The paper
    #[arg(value_enum)]
    pub(crate) paper: PaperKind,
    /// How many nodes; the papers' figures were measured with 10000, and are only compared with that
    #[arg(long, default_value = "10000", value_parser = |text: &str| whole(text, 100..=1_000_000))]
    pub(crate) nodes: u64,
    /// How many seeds to average the figures over
    #[arg(long, default_value = "3", value_parser = |text: &str| whole(text, 1..=1_000))]
    pub(crate) seeds: u64,
    /// Print only one JSON object on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// A strategy by its name.
fn strategy<T: Listed + Send + Sync>() -> impl TypedValueParser<Value = T> {
    let one = |one: &T| PossibleValue::new(one.name()).help(one.about().trim_end_matches('.'));
    let names: Vec<_> = T::all().iter().map(one).collect();
    PossibleValuesParser::new(names)
        .map(|name| T::named(&name).unwrap_or_else(|| T::all()[0].clone()))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PaperKind {
    /// Leitão, Pereira, Rodrigues: HyParView, DSN 2007
    Hyparview,
    /// Leitão, Pereira, Rodrigues: Epidemic broadcast trees, SRDS 2007
    Plumtree,
}

/// A latency model as written on the command line.
#[derive(Debug, Clone)]
pub(crate) struct LatencyArg(pub(crate) LatencyModel);

impl FromStr for LatencyArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((kind, value)) = text.split_once(':') else {
            return Err(format!("{text:?} is not a latency model: {MODELS}"));
        };
        let latency = match kind {
            "constant" => LatencyModel::Constant { time: Span(latency(value)?) },
            "uniform" => {
                let (least, most) = pair(value)?;
                let (least, most) = (latency(least)?, latency(most)?);
                if least > most {
                    return Err(format!("{value:?}: the second must be at least the first"));
                }
                LatencyModel::Uniform { from: Span(least), to: Span(most) }
            }
            "lognormal" => {
                let (median, sigma) = pair(value)?;
                let sigma = number(sigma, 0.0..=5.0, "")?;
                LatencyModel::LogNormal { median: Span(latency(median)?), sigma }
            }
            "matrix" => LatencyModel::Matrix { file: value.into() },
            _ => return Err(format!("{kind:?} is not a latency model: {MODELS}")),
        };
        Ok(Self(latency))
    }
}

const MODELS: &str =
    "allowed are constant:10ms, uniform:10ms,100ms, lognormal:50ms,0.5, matrix:FILE";

fn pair(text: &str) -> Result<(&str, &str), String> {
    text.split_once(',').ok_or_else(|| format!("{text:?} needs two values, separated by a comma"))
}

fn latency(text: &str) -> Result<Duration, String> {
    let range = MIN_LATENCY..=Duration::from_secs(100);
    let latency = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a time: write 10ms, 250us or 1s"))?;
    if range.contains(&latency) {
        Ok(latency)
    } else {
        Err(format!("{text} is out of range: {MIN_LATENCY:?} to 100s"))
    }
}

fn number(text: &str, range: RangeInclusive<f64>, unit: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("allowed is {} to {}{unit}", range.start(), range.end()))
}

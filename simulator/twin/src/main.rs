//! `murmurate-twin`: one scenario in two worlds.
//!
//! The scenario is simulated first. A journal records what is done to its nodes from outside: starts and
//! joins, broadcasts, deaths, cuts. The same is then done at the same times to real nodes. Each is a
//! process in a network namespace of its own, and all packets between them pass a switch that has the
//! scenario's network. Both worlds are measured in the same windows.
//!
//! | module | what it does |
//! |---|---|
//! | `error` | what can go wrong |
//! | `netns` | makes network namespaces with `ip` |
//! | `strategies` | the strategies that real nodes run |
//! | `supported` | finds what a scenario asks for that real nodes cannot do |
//! | `protocol` | the messages between the controller and its nodes |
//! | `report` | how a node reports |
//! | `channels` | a node's side of channels |
//! | `node` | a node's process |
//! | `switch` | the switch between the nodes, in real time |
//! | `testbed` | the namespaces of a run, and the switch that connects them |
//! | `observations` | turns what nodes report into figures |
//! | `replay` | does to real nodes what was done to simulated ones |
//! | `table` | prints the figures of both worlds side by side |

#![expect(clippy::disallowed_methods, reason = "the real world has clocks")]

mod channels;
mod error;
mod netns;
mod node;
mod observations;
mod protocol;
mod replay;
mod report;
mod strategies;
mod supported;
mod switch;
mod table;
mod testbed;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use murmurate_simulator::engine::Journal;
use murmurate_simulator::experiment::runner::{self, Report};
use murmurate_simulator::experiment::scenario::Scenario;

use error::Error;

/// Runs a scenario twice, simulated and on real nodes, and prints the figures of both.
///
/// Each real node is a process in a network namespace of its own. Their packets pass through a switch with
/// the scenario's latency, loss, cuts and bandwidth. The run takes as long as the scenario says. It needs
/// Linux and root.
#[derive(Debug, Parser)]
#[command(name = "murmurate-twin", args_conflicts_with_subcommands = true, after_help = HELP)]
struct Options {
    /// Scenario files, or names of scenarios from the simulator's gallery; several run one after the other
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    /// Override a value of the scenario, such as nodes.count=64; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// How many seeds to simulate, starting with the scenario's seed
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// With how many of these seeds real nodes run; each run takes as long as the scenario says
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    runs: u64,
    /// Print only one JSON array on standard output, with an object for each scenario
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run as a node that reads commands on standard input
    #[command(hide = true)]
    Node,
}

const HELP: &str = "Examples:
  murmurate-twin calm.toml
  murmurate-twin partition-and-heal --set nodes.count=64
  murmurate-twin calm.toml --runs 5                run real nodes five times, each with another seed
  murmurate-twin simulator/twin/scenarios/*.toml   run several, with a summary

The exit status is 0 if all assertions hold in both worlds, 1 if one does not, and 2 for wrong input or \
something that real nodes do not support.";

fn main() -> ExitCode {
    let options = Options::parse();
    let outcome = match options.command {
        Some(Command::Node) => node::run().map(|()| ExitCode::SUCCESS),
        None => twins(&options),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

/// Runs the scenarios one after the other. Returns success if all assertions hold.
fn twins(options: &Options) -> Result<ExitCode, Error> {
    if options.runs > options.seeds {
        let (runs, seeds) = (options.runs, options.seeds);
        return Err(format!("--runs {runs}: at most as many as --seeds, which is {seeds}").into());
    }
    let mut scenarios = Vec::new();
    for file in &options.scenarios {
        let mut scenario = Scenario::read(file, &options.set)?;
        supported::check(&scenario).map_err(|error| format!("{}: {error}", file.display()))?;
        // Real nodes always compare what they have.
        scenario.anti_entropy.get_or_insert_default();
        scenarios.push(scenario);
    }
    netns::check(testbed::PREFIX)?;
    let mut all = Vec::new();
    let mut failed = None;
    for scenario in &scenarios {
        match twin(scenario, options) {
            Ok(both) => {
                if !options.json {
                    println!("{both}");
                }
                all.push(both);
            }
            Err(error) => {
                failed = Some(format!("{}: {error}", scenario.name));
                break;
            }
        }
    }
    // What there is, also if something went wrong then.
    if options.json {
        println!("{}", serde_json::to_string(&all)?);
    } else if all.len() > 1 {
        println!("{}", table::Summary(&all));
    }
    if let Some(error) = failed {
        return Err(error.into());
    }
    Ok(if all.iter().all(table::Comparison::hold) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn twin(scenario: &Scenario, options: &Options) -> Result<table::Comparison, Error> {
    let (mut simulated, mut real) = (Vec::new(), Vec::new());
    for more in 0..options.seeds {
        let seed = scenario.seed.checked_add(more).ok_or("the seeds go beyond what there is")?;
        let scenario = Scenario { seed, ..scenario.clone() };
        let (report, journal) = simulate(&scenario)?;
        if more < options.runs {
            real.push(replay::run(&scenario, &journal, report.started_nodes)?);
        }
        simulated.push(report);
    }
    Ok(table::Comparison::new(scenario, &simulated, &real))
}

fn simulate(scenario: &Scenario) -> Result<(Report, Journal), Error> {
    let mut journal = Journal::new();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let report = runner::run_on_threads(threads, scenario, &mut journal)?;
    match &report.violation {
        Some(broken) => {
            let (seed, rule, detail) = (scenario.seed, broken.rule, &broken.detail);
            Err(format!("simulated with seed {seed}: VIOLATION: {rule}: {detail}").into())
        }
        None => Ok((report, journal)),
    }
}

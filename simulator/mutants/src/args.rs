//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Checks whether the swarm and the tests find deliberate bugs.
///
/// Each bug is a patch in simulator/mutants. The sources of this repository are copied, and the patch is
/// applied to the copy. For a bug in the protocols, murmurate-sim is built, and its swarm runs seeds until one
/// fails; the same seed must pass without the patch. For a bug in the code that judges runs (judge-...), tests
/// of the simulator are run, and one must fail.
///
/// To add a bug, change the sources, write the output of git diff to simulator/mutants/NAME.patch, and
/// restore the sources. Put two lines before the diff. The first one says what the bug is. The second one is
/// "Drawn with:" with values of murmurate-sim swarm --with, or "Judged by:" with arguments of cargo test.
#[derive(Debug, Clone, Parser)]
#[command(name = "mutants", after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The bugs to try [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// How many seeds the swarm runs at most for each bug
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// How many runs shrinking may take
    #[arg(long, default_value = "1000", value_name = "RUNS")]
    pub(crate) shrink: u32,
    /// How many seeds to run at a time [default: the number of cores]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) jobs: Option<u64>,
    /// The directory for the scenario files of failures [default: they are not kept]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// The directory for the copy and its build output, which is used again [default: mutants in the target
    /// directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// List the bugs, and build nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Print only one JSON object (with --list, an array) on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "Examples, in the repository, each after
cargo run --release -p murmurate-mutants --
  --list                              list the bugs
  echo join-refused --seeds 20        try two of them
  echo --out found                    write a scenario file that shows it
  > table.txt                         try all; it takes a while

The exit status is 0 if all bugs were caught, 1 if one was not, and 2 for wrong input or a patch that \
does not apply or does not build.";

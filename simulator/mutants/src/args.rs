//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

/// Whether the swarm and the tests find deliberate bugs. Each is a patch in simulator/mutants: the sources
/// of this repository are copied and the patch is applied there. For a bug in the protocols murmurate-sim
/// is built, and its swarm runs seeds until one breaks something; the same seed must be fine without the
/// patch. For a bug in what judges the runs (judge-...) tests of the simulator are run, and one must fail.
///
/// A bug of one's own is tried by writing it into the sources and then
///   git diff > simulator/mutants/NAME.patch; git checkout membership broadcast simulator/src
/// with two lines before the diff: what the bug is, and "Drawn with:" and what of `murmurate-sim swarm
/// --with` it shows in, or "Judged by:" and what `cargo test` is told.
#[derive(Debug, Clone, Parser)]
#[command(name = "mutants", after_help = EXAMPLES, verbatim_doc_comment)]
pub(crate) struct Args {
    /// Which bugs; without one all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// How many seeds the swarm runs of each at most
    #[arg(long, default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: u64,
    /// Runs that it may take to make what was found small
    #[arg(long, default_value = "1000", value_name = "RUNS")]
    pub(crate) shrink: u32,
    /// Seeds run at a time [default: as many as there are cores]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub(crate) jobs: Option<u64>,
    /// Where the scenario files of what is found are kept; otherwise they are not
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Where the copy is, and what is built of it [default: mutants in the target directory]. What is
    /// there already is not built again
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Say which bugs there are, and build nothing
    #[arg(long)]
    pub(crate) list: bool,
    /// Print one JSON object (with --list, an array) on standard output and nothing else there
    #[arg(long)]
    pub(crate) json: bool,
}

const EXAMPLES: &str = "Examples, in the repository, each after
cargo run --release -p murmurate-mutants --
  --list                              what bugs there are
  echo join-refused --seeds 20        two of them
  echo --out found                    and a scenario file that shows it
  > table.txt                         all; it takes a while

Exit status: 0 all were caught, 1 one was not, 2 wrong input, or a patch that does not apply
or cannot be built.";

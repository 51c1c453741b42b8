//! `murmurate-sim`: Murmurate's protocols by the thousand, under a virtual clock.

use std::process::ExitCode;

fn main() -> ExitCode {
    murmurate_simulator::cli::main()
}

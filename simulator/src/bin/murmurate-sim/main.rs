//! `murmurate-sim`: Murmurate's protocols by the thousand, under a virtual clock.

mod args;
mod paper;
mod progress;
mod run;

use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_default();
    let outcome = match command {
        Command::Run(options) => run::run(&options),
        Command::Paper(options) => paper::paper(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

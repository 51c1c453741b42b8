//! The program `murmurate-sim`. A program with its own strategies installs them first and then has all
//! commands, too: see [`Registry`](crate::strategies::Registry).

/// As `println!`. If the reader of standard output is gone, the program ends; any other error is reported.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::say(format_args!($($text)*))
    };
}

mod args;
mod compare;
mod figures;
mod files;
#[cfg(feature = "watch")]
mod live;
mod merge;
mod outputs;
mod paper;
#[cfg(feature = "plot")]
mod plot;
mod probe;
mod progress;
mod run;
mod save;
mod scenarios;
mod summary;
mod swarm;
mod sweep;
mod tables;
mod values;

use std::fmt;
use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser};
use clap_complete::Shell;

use args::{Cli, Command};

/// Reads the command line and runs the command.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command.unwrap_or_default(),
        Err(error) => return refused(&error),
    };
    let outcome = match command {
        Command::Run(options) if options.save.save.is_some() => save::save(&options),
        Command::Run(options) => run::run(&options),
        Command::Swarm(options) => swarm::swarm(&options),
        Command::Sweep(options) => sweep::sweep(&options),
        Command::Merge(options) => merge::merge(&options),
        Command::Compare(options) => compare::compare(&options),
        Command::Check(options) => scenarios::check(&options),
        Command::Scenarios(options) => scenarios::list(&options),
        Command::Schema(options) => scenarios::schema(&options),
        Command::Figures(options) => figures::figures(&options),
        #[cfg(feature = "plot")]
        Command::Plot(options) => plot::plot(&options),
        Command::Paper(options) => paper::paper(&options),
        Command::Completions(options) => completions(options.shell),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn completions(shell: Shell) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "murmurate-sim", &mut text);
    say!("{}", String::from_utf8(text)?.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Writes a line on standard output.
fn say(line: fmt::Arguments<'_>) {
    let Err(error) = writeln!(io::stdout().lock(), "{line}") else { return };
    // `| head` has seen enough.
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    eprintln!("error: standard output cannot be written: {error}");
    std::process::exit(2);
}

/// Help is printed on standard output. Of an error only the first line is printed, which names the value
/// and what is allowed.
fn refused(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        say!("{}", text.trim_end());
        return ExitCode::SUCCESS;
    }
    let line = text.lines().next().unwrap_or_default();
    match error.kind() {
        // What can be said instead stands on the lines below.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::MissingRequiredArgument => {
            eprint!("{text}");
        }
        _ => eprintln!("{line}"),
    }
    ExitCode::from(2)
}

//! The `murmurate` agent, and the commands that talk to one.

mod admin;
mod agent;
mod args;
mod client;
mod cluster;
mod config;
mod credentials;
mod failure;
mod identity;
mod log;
mod progress;
mod secret_file;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use args::{Cli, Command};
use failure::{Outcome, Usage, say};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => failure::status(run(cli.command)),
        Err(error) => refused(&error),
    }
}

fn run(command: Command) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Node(options) => agent::run(&options).await,
            Command::CheckConfig(options) => check_config(&options),
            Command::Cluster(options) => cluster::run(options).await,
            Command::Members(options) => client::members(&options).await,
            Command::Info(options) => client::info(&options).await,
            Command::Broadcast(options) => client::broadcast(&options).await,
            Command::Subscribe(options) => client::subscribe(&options).await,
            Command::Send(options) => client::send(&options).await,
            Command::Request(options) => client::request(&options).await,
            Command::Listen(options) => client::listen(&options).await,
            Command::Graph(options) => client::graph(&options).await,
            Command::Kv(options) => client::kv(options.command).await,
            Command::Flag(options) => client::flag(options).await,
            Command::Groups(options) => client::groups(options).await,
            Command::Presence(options) => client::presence(options).await,
            Command::Names(options) => client::names(&options).await,
            Command::Join(options) => client::join(&options).await,
            Command::Leave(options) => client::leave(&options).await,
            Command::Keygen(options) => credentials::keygen(&options),
            Command::Id(options) => credentials::id(&options),
            Command::Secret(options) => client::secret(&options).await,
            Command::Ca(options) => credentials::ca(options),
            Command::Completions { shell } => {
                let mut text = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "murmurate", &mut text);
                say(String::from_utf8_lossy(&text).trim_end())?;
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    // Whatever still runs has nothing to say any more.
    runtime.shutdown_background();
    outcome
}

fn check_config(options: &args::CheckConfig) -> Outcome {
    let settings = &options.settings;
    let config = config::Config::load(settings.config.as_deref(), &settings.flags());
    let config = config.map_err(Usage::from)?;
    if options.json {
        say(config.to_json())?;
    } else {
        say(config.to_toml().trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Help goes where it was asked for; an error is one line that names the value and what is allowed.
fn refused(error: &clap::Error) -> ExitCode {
    let text = error.to_string();
    if !error.use_stderr() {
        return failure::status(
            say(text.trim_end()).map(|()| ExitCode::SUCCESS).map_err(Into::into),
        );
    }
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => eprint!("{text}"),
        _ => {
            let is_about =
                |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
            let about = text.lines().map(str::trim).take_while(is_about);
            let about: Vec<_> = about.filter(|line| !line.is_empty()).collect();
            eprintln!("{}", about.join("; ").replace(":; ", ": "));
        }
    }
    ExitCode::from(2)
}

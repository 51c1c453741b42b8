//! `murmurate`: the agent, and a whole cluster on one machine to try it with.

mod cluster;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(version, about)]
enum Cli {
    /// Runs many nodes on this machine: they join, broadcast, lose a share, and go on.
    Cluster(cluster::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli::Cluster(options) = Cli::parse();
    match cluster::run(options).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

//! A cluster of nodes in one process, to try things with.

use std::error::Error;
use std::process::ExitCode;

/// What `murmurate cluster` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

/// Runs the cluster until it is told to stop.
pub(crate) async fn run(_options: Options) -> Result<ExitCode, Box<dyn Error>> {
    Err("this build has no cluster".into())
}

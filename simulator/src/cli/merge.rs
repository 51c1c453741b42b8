//! `murmurate-sim merge`: merges the tables of a sweep's shards.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::study::sweep::{self, Shard};
use clap::Args;

use crate::cli::tables::{Output, shown, write};

#[derive(Debug, Args)]
pub(crate) struct Merge {
    /// The tables of all shards of one sweep
    #[arg(required = true, value_name = "TABLE")]
    tables: Vec<PathBuf>,
    #[command(flatten)]
    output: Output,
}

pub(crate) fn merge(options: &Merge) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let output = &options.output;
    let outputs = output.outputs(Shard::WHOLE);
    outputs.check(output.overwrite)?;
    let mut scratch = outputs.tables[0].clone().into_os_string();
    scratch.push(".merging");
    let partial = sweep::merge(&options.tables, Path::new(&scratch))?;
    let shown = match shown(output, partial.layout()) {
        Ok(shown) => shown,
        Err(error) => {
            partial.remove()?;
            return Err(error.into());
        }
    };
    if !output.json {
        say!("sweep {}: {} runs\n", partial.sweep(), partial.len());
    }
    write(output, Shard::WHOLE, &outputs, partial, &shown)
}

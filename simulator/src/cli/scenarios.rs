//! `murmurate-sim check`, `scenarios` and `schema`: scenario files, without running them.

use std::path::Path;
use std::process::ExitCode;

use crate::experiment::scenario::{self, Scenario, gallery};
use serde::Serialize;

use crate::cli::args::{Check, Scenarios, Schema};
use crate::cli::summary::of_graph;

pub(crate) fn check(options: &Check) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut status = ExitCode::SUCCESS;
    for path in &options.scenarios {
        match Scenario::read(path, &options.set) {
            Ok(scenario) => say!("{}: fine{}", path.display(), graph(&scenario)),
            Err(error) => {
                eprintln!("{error}");
                status = ExitCode::from(2);
            }
        }
    }
    Ok(status)
}

/// Of a scenario that has one, what its graph is.
fn graph(scenario: &Scenario) -> String {
    let graph = scenario.contact_graph().ok().flatten();
    graph.map_or_else(String::new, |graph| format!(", a {}", of_graph(scenario, &(&graph).into())))
}

#[derive(Serialize)]
struct Json<'a> {
    name: &'a str,
    description: String,
}

pub(crate) fn list(options: &Scenarios) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if let Some(name) = &options.show {
        let exhibit = gallery::find(name).ok_or_else(|| {
            let names: Vec<_> = gallery::EXHIBITS.iter().map(|exhibit| exhibit.name).collect();
            format!("{name:?} is not a scenario of the gallery: there are {}", names.join(", "))
        })?;
        say!("{}", exhibit.text.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let mut all = Vec::new();
    for exhibit in gallery::EXHIBITS {
        let scenario = Scenario::read(Path::new(exhibit.name), &[])?;
        all.push(Json { name: exhibit.name, description: scenario.description });
    }
    if options.json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    for Json { name, description } in all {
        say!("{name:<22} {description}");
    }
    say!("\nmurmurate-sim run NAME runs one, murmurate-sim scenarios --show NAME prints its file");
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn schema(options: &Schema) -> Result<ExitCode, Box<dyn std::error::Error>> {
    if options.reference {
        print!("{}", scenario::reference());
    } else {
        say!("{}", serde_json::to_string_pretty(&scenario::schema())?);
    }
    Ok(ExitCode::SUCCESS)
}

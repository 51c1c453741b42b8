//! `murmurate-sim figures`: what assertions and probes can look at.

use std::process::ExitCode;

use crate::cli::args::Figures;
use crate::cli::summary::columns;
use crate::experiment::scenario::{Document, Scenario};
use crate::observe::figure::Figure;
use crate::strategies::Registry;
use serde::Serialize;

#[derive(Serialize)]
struct Json {
    /// What assertions can look at.
    assertions: Vec<Described>,
    /// What probes can.
    nodes: Vec<Described>,
}

#[derive(Serialize)]
struct Described {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    about: Option<String>,
}

pub(crate) fn figures(options: &Figures) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let scenario = match &options.scenario {
        Some(path) => Scenario::read(path, &options.set)?,
        None => {
            let mut document = Document::parse("the options", "")?;
            options.set.iter().try_for_each(|assignment| document.set(assignment))?;
            document.scenario()?
        }
    };
    let assertions = Registry::installed().figures().map(of_run).collect();
    let nodes = scenario.node_figures().into_iter().map(|column| Described {
        name: column.name,
        unit: Some(column.unit),
        about: Some(column.about),
    });
    let all = Json { assertions, nodes: nodes.collect() };
    if options.json {
        say!("{}", serde_json::to_string(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    say!("of a run, for assertions (the guide's page on scenarios says what they mean)");
    list(all.assertions);
    say!("\nof a node, for --probe and measure.probe");
    list(all.nodes);
    Ok(ExitCode::SUCCESS)
}

/// The simulator's own are explained in the guide.
fn of_run(figure: Figure) -> Described {
    let name = figure.name().to_owned();
    match figure {
        Figure::Own(metric) => {
            Described { name, unit: Some(metric.unit), about: Some(metric.about.to_owned()) }
        }
        _ => Described { name, unit: None, about: None },
    }
}

fn list(figures: Vec<Described>) {
    let row = |one: Described| {
        let unit = one.unit.unwrap_or_default().to_owned();
        vec![format!("  {}", one.name), unit, one.about.unwrap_or_default()]
    };
    columns(&figures.into_iter().map(row).collect::<Vec<_>>(), 3);
}

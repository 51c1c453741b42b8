//! The table of results.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::mutant::{Finder, Mutant};

/// What `murmurate-sim swarm --json` says, as far as it matters here.
#[derive(Debug, Deserialize)]
pub(crate) struct Said {
    pub(crate) violation: Option<Found>,
}

/// A bug, and what caught it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub(crate) enum Caught {
    Swarm(Found),
    Test(Failed),
}

/// A bug that a test fails with.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Failed {
    pub(crate) mutant: String,
    pub(crate) test: String,
}

impl Caught {
    /// What fails without the bug, too.
    pub(crate) fn without(&self) -> Option<&str> {
        match self {
            Self::Swarm(found) => found.without.as_deref(),
            Self::Test(_) => None,
        }
    }

    /// What caught it.
    pub(crate) fn by(&self) -> String {
        match self {
            Self::Swarm(found) => format!("{} at seed {}", found.rule, found.seed),
            Self::Test(failed) => failed.test.clone(),
        }
    }
}

/// A bug that the swarm finds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Found {
    #[serde(default)]
    pub(crate) mutant: String,
    pub(crate) seed: u64,
    pub(crate) rule: String,
    pub(crate) detail: String,
    pub(crate) nodes: u32,
    pub(crate) faults: usize,
    pub(crate) runs: u32,
    pub(crate) file: PathBuf,
    /// What fails without the bug, too, so that this shows something else.
    #[serde(default)]
    pub(crate) without: Option<String>,
}

/// Why nothing can be said of a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Broken {
    /// The code that it changes is not there any more.
    #[error("DOES NOT APPLY: {0}")]
    Apply(String),
    /// The compiler refuses it.
    #[error("CANNOT BE BUILT:\n{0}")]
    Build(String),
    /// The simulator did not say what came of it.
    #[error("CANNOT BE RUN: {0}")]
    Run(String),
}

/// What came of all.
#[derive(Debug, Serialize)]
pub(crate) struct Table {
    /// Seeds run of each at most.
    seeds: u64,
    caught: Vec<Caught>,
    survived: Vec<String>,
    /// Those of which nothing can be said, and why.
    broken: Vec<(String, String)>,
}

impl Table {
    pub(crate) fn of(seeds: u64) -> Self {
        Self { seeds, caught: Vec::new(), survived: Vec::new(), broken: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, outcome: Result<Option<Caught>, Broken>) {
        match outcome {
            Ok(Some(caught)) => match caught.without() {
                Some(without) => {
                    let why = format!("IT FAILS WITHOUT THE BUG, TOO: {without}");
                    self.broken.push((name.to_owned(), why));
                }
                None => self.caught.push(caught),
            },
            Ok(None) => self.survived.push(name.to_owned()),
            Err(broken) => self.broken.push((name.to_owned(), broken.to_string())),
        }
    }

    /// What the program ends with.
    pub(crate) fn status(&self) -> u8 {
        match (self.broken.is_empty(), self.survived.is_empty()) {
            (false, _) => crate::BROKEN,
            (true, false) => 1,
            (true, true) => 0,
        }
    }

    pub(crate) fn to_json(&self) -> serde_json::Result<String> {
        Ok(format!("{}\n", serde_json::to_string(self)?))
    }

    /// Over what the swarm found, if it found anything.
    fn mean(&self, of: impl Fn(&Found) -> f64) -> Option<f64> {
        let found = self.caught.iter().filter_map(|caught| match caught {
            Caught::Swarm(found) => Some(of(found)),
            Caught::Test(_) => None,
        });
        let found: Vec<f64> = found.collect();
        (!found.is_empty()).then(|| found.iter().sum::<f64>() / found.len() as f64)
    }
}

/// What stands above the rows.
pub(crate) fn head() -> String {
    let [mutant, seed, nodes, faults, runs] = ["mutant", "seed", "nodes", "faults", "runs"];
    format!("{mutant:<24}{seed:>6}{nodes:>7}{faults:>8}{runs:>6}  caught by")
}

/// A row.
impl fmt::Display for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Swarm(Found { mutant, seed, nodes, faults, runs, rule, .. }) => {
                write!(f, "{mutant:<24}{seed:>6}{nodes:>7}{faults:>8}{runs:>6}  {rule}")
            }
            Self::Test(Failed { mutant, test }) => write!(f, "{mutant:<24}{:29}{test}", ""),
        }
    }
}

/// What stands below them.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = self.mean(|one| f64::from(one.nodes));
        if let Some((nodes, faults)) = nodes.zip(self.mean(|one| one.faults as f64)) {
            writeln!(f, "{:<30}{nodes:>7.1}{faults:>8.1}", "mean")?;
        }
        let all = self.caught.len() + self.survived.len() + self.broken.len();
        let (caught, seeds) = (self.caught.len(), self.seeds);
        writeln!(f, "\n{caught} of {all} mutants caught, by the swarm within {seeds} seeds")?;
        for name in &self.survived {
            writeln!(f, "  SURVIVED {name}")?;
        }
        for (name, why) in &self.broken {
            writeln!(f, "  {name}: {why}")?;
        }
        Ok(())
    }
}

/// Which there are.
pub(crate) fn list(mutants: &[Mutant], json: bool) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Listed<'a> {
        mutant: &'a str,
        about: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        with: Option<Vec<&'static str>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tests: Option<&'a [String]>,
    }
    let listed = mutants.iter().map(|mutant| {
        let (with, tests) = match &mutant.finder {
            Finder::Swarm(with) => (Some(with.iter().map(|with| with.name()).collect()), None),
            Finder::Tests(tests) => (None, Some(&tests[..])),
        };
        Listed { mutant: &mutant.name, about: &mutant.about, with, tests }
    });
    if json {
        return Ok(format!("{}\n", serde_json::to_string(&listed.collect::<Vec<_>>())?));
    }
    let line = |one: Listed<'_>| format!("{:<26}{}\n", one.mutant, one.about);
    Ok(listed.map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(without: Option<&str>) -> Caught {
        let text = r#"{"seeds": 4, "violation": {"seed": 3, "rule": "isolated", "detail": "d",
            "nodes": 6, "faults": 1, "runs": 90, "file": "f.toml"}}"#;
        let said: Said = serde_json::from_str(text).expect("as the swarm says it");
        let found = said.violation.expect("one");
        Caught::Swarm(Found { mutant: "echo".into(), without: without.map(Into::into), ..found })
    }

    #[test]
    fn what_was_caught_and_what_not_is_told() {
        let mut table = Table::of(20);
        table.add("echo", Ok(Some(found(None))));
        assert_eq!(table.status(), 0);
        table.add("quiet", Ok(None));
        assert_eq!(table.status(), 1);
        assert_eq!(head(), "mutant                    seed  nodes  faults  runs  caught by");
        let row = found(None).to_string();
        assert_eq!(row, "echo                         3      6       1    90  isolated");
        let text = table.to_string();
        let rows: Vec<_> = text.lines().collect();
        assert_eq!(rows[0], "mean                              6.0     1.0");
        assert_eq!(
            rows[2..],
            ["1 of 2 mutants caught, by the swarm within 20 seeds", "  SURVIVED quiet"]
        );

        let failed = Failed { mutant: "judge-all".into(), test: "verdicts::a_test".into() };
        let row = Caught::Test(failed).to_string();
        assert_eq!(row, "judge-all                                            verdicts::a_test");
        table.add("old", Err(Broken::Apply("old.patch: no".into())));
        assert_eq!(table.status(), 2);
        table.add("other", Ok(Some(found(Some("dead_links")))));
        let text = table.to_string();
        assert!(text.contains("1 of 4 mutants caught"), "{text}");
        assert!(text.contains("  old: DOES NOT APPLY: old.patch: no\n"), "{text}");
        assert!(text.contains("  other: IT FAILS WITHOUT THE BUG, TOO: dead_links\n"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&table.to_json().expect("JSON")).expect("JSON");
        assert_eq!(json["caught"][0]["mutant"], "echo");
        assert_eq!((&json["survived"][0], &json["seeds"]), (&"quiet".into(), &20.into()));
    }
}

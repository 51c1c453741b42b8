//! What a saved overlay was made with, and whether a scenario can start from it.

use std::fs::File;
use std::hash::Hasher as _;
use std::io::{BufReader, Read as _};
use std::path::Path;

use murmurate::membership::Time;
use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use toml::{Table, Value};

use super::{GraphModel, LatencyModel, Measure, Scenario, Span, gallery};
use crate::engine::snapshot::{ReadError, Reader};
use crate::strategies::Registry;

/// The path of a key, and what is wrong with its value.
type Broken = (String, String);

/// Parts of a scenario that decide what an overlay becomes; beside them there is what was broadcast.
pub(super) const DECISIVE: [&str; 8] =
    ["nodes", "regions", "classes", "graph", "membership", "broadcast", "anti_entropy", "links"];

/// What a saved overlay was made with: the first thing in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    program: String,
    at: Time,
    /// The seed that it was made with. Runs that start from it have their own.
    pub seed: u64,
    /// Metrics of one's own that were measured.
    metrics: Vec<String>,
    /// What decided, as TOML.
    scenario: String,
}

impl Scenario {
    /// The seed of what was drawn for the overlay and still holds: the graph, and who is of which class. It
    /// is that of the overlay that it starts with.
    pub(super) fn overlay_seed(&self) -> u64 {
        let origin = self.from.as_ref().and_then(|file| Origin::read(file).ok());
        origin.map_or(self.seed, |origin| origin.seed)
    }
}

impl Origin {
    /// Of an overlay that is saved at this time.
    #[must_use]
    pub fn of(scenario: &Scenario, at: Span) -> Self {
        Self {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            at: Time::ZERO.after(at.0),
            seed: scenario.overlay_seed(),
            metrics: metrics(),
            scenario: decisive(scenario, at).to_string(),
        }
    }

    /// Reads that of a file.
    ///
    /// # Errors
    /// If there is none, or it is of another version of the program.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::open(path).map(|(origin, _)| origin)
    }

    /// The same, with what follows it.
    ///
    /// # Errors
    /// As of [`Origin::read`].
    pub fn open(path: &Path) -> Result<(Self, Reader<BufReader<File>>), String> {
        let read = || -> Result<_, ReadError> {
            let mut reader = Reader::new(BufReader::new(File::open(path)?))?;
            let origin: Self = reader.take()?;
            Ok((origin, reader))
        };
        let (origin, reader) = read().map_err(|error| format!("{}: {error}", path.display()))?;
        let here = env!("CARGO_PKG_VERSION");
        if origin.program != here {
            let (path, program) = (path.display(), &origin.program);
            return Err(format!(
                "{path}: it was saved by version {program} of this program, which is version {here}"
            ));
        }
        Ok((origin, reader))
    }

    /// When it was saved.
    #[must_use]
    pub fn at(&self) -> Span {
        Span(self.at.since(Time::ZERO))
    }
}

/// What keeps a scenario from starting with the file that it names.
pub(super) fn starting(scenario: &Scenario) -> Vec<Broken> {
    let Some(path) = &scenario.from else { return Vec::new() };
    let origin = match Origin::read(path) {
        Ok(origin) => origin,
        Err(message) => return vec![("from".to_owned(), message)],
    };
    let (at, file) = (origin.at(), path.display());
    let mut broken = Vec::new();
    if scenario.duration <= at {
        let message = format!("{} is over at {at}, when {file} was saved", scenario.duration);
        broken.push(("duration".to_owned(), message));
    }
    if origin.metrics != metrics() {
        let none =
            |names: &[String]| if names.is_empty() { "none".into() } else { names.join(", ") };
        let (here, there) = (none(&metrics()), none(&origin.metrics));
        let message =
            format!("metrics of one's own: {here} here, but {file} was made with {there}");
        broken.push(("from".to_owned(), message));
    }
    let was = format!("before {at}, when {file} was saved");
    broken.extend(too_early(scenario, at, &was));
    let made: Table = toml::from_str(&origin.scenario).unwrap_or_default();
    let mut differences = Vec::new();
    let here = Value::Table(decisive(scenario, at));
    differ(String::new(), Some(&Value::Table(made)), Some(&here), &mut differences);
    broken.extend(differences.into_iter().map(|(key, made, here)| {
        let message = format!("{here} here, but {file} was made with {made}");
        (key, message)
    }));
    broken
}

/// What keeps a scenario from being saved at a time.
#[must_use]
pub fn saving(scenario: &Scenario, at: Span) -> Vec<Broken> {
    let mut broken = Vec::new();
    let (joined, end) = (scenario.nodes.joining, scenario.duration);
    if at < joined || at > end || at == Span::default() {
        let message =
            format!("{at}: allowed is from {joined}, when all nodes have joined, to {end}");
        broken.push(("--save-at".to_owned(), message));
    }
    broken.extend(too_early(scenario, at, &format!("before the overlay is saved at {at}")));
    broken
}

/// What would have to be saved and is not.
fn too_early(scenario: &Scenario, at: Span, was: &str) -> Vec<Broken> {
    let mut broken = Vec::new();
    for (number, fault) in scenario.faults.iter().enumerate() {
        if fault.at < at {
            let message = format!("{} is {was}: only an overlay without faults is", fault.at);
            broken.push((format!("faults.{number}.at"), message));
        }
    }
    for (number, workload) in scenario.workload.iter().enumerate() {
        if workload.look_up.is_some() {
            let message = "nodes with routers are not saved".to_owned();
            broken.push((format!("workload.{number}.look_up"), message));
        } else if workload.send.is_some() && workload.from < at {
            let message = format!("{} is {was}: channels are not saved", workload.from);
            broken.push((format!("workload.{number}.from"), message));
        }
    }
    broken
}

/// What of a scenario decides what there is at a time, whatever the seed.
fn decisive(scenario: &Scenario, at: Span) -> Table {
    let agreement = scenario.measure.agreement;
    let part = Scenario {
        seed: 0,
        measure: Measure { agreement, ..Measure::default() },
        ..scenario.clone()
    };
    let mut all = Table::try_from(&part).unwrap_or_default();
    let numbered = |entries: Vec<(usize, Option<Value>)>| {
        let entries = entries.into_iter().filter_map(|(at, value)| Some((at.to_string(), value?)));
        Value::Table(entries.collect())
    };
    let begun = scenario.workload.iter().enumerate().filter(|(_, workload)| workload.from < at);
    let begun = begun.map(|(at, workload)| (at, Value::try_from(workload).ok())).collect();
    let phases = scenario.measure.phases.iter().enumerate().filter(|(_, phase)| phase.from < at);
    let phases = phases.map(|(at, phase)| (at, Value::try_from(phase).ok())).collect();
    let mut measure = Table::new();
    measure.extend(
        all.get("measure")
            .and_then(|m| m.get("agreement"))
            .map(|agreement| ("agreement".to_owned(), agreement.clone())),
    );
    measure.insert("phases".to_owned(), numbered(phases));
    all.retain(|key, _| DECISIVE.contains(&key));
    all.insert("workload".to_owned(), numbered(begun));
    all.insert("measure".to_owned(), Value::Table(measure));
    // What counts is what a file says, not where it lies.
    let put = |table: Option<&mut Value>, file: &Path| {
        if let Some(Value::Table(table)) = table {
            table.insert("file".to_owned(), content(file).into());
        }
    };
    if let LatencyModel::Matrix { file } = &scenario.links.latency {
        put(all.get_mut("links").and_then(|links| links.get_mut("latency")), file);
    }
    if let Some(GraphModel::File { file }) = &scenario.graph {
        put(all.get_mut("graph"), file);
    }
    // So that a difference is told by its place.
    let classes = scenario.classes.iter().enumerate();
    let classes = classes.map(|(at, class)| (at, Value::try_from(class).ok())).collect();
    all.insert("classes".to_owned(), numbered(classes));
    all
}

/// The names of the metrics that are registered.
fn metrics() -> Vec<String> {
    Registry::installed().metrics().iter().map(|metric| metric.name.to_owned()).collect()
}

fn content(path: &Path) -> String {
    let mut bytes = Vec::new();
    match gallery::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => {
            let mut hasher = SipHasher13::new();
            hasher.write(&bytes);
            format!("a file with hash {:016x}", hasher.finish())
        }
        Err(error) => error.to_string(),
    }
}

/// Where two differ: the path, and both values.
fn differ(
    path: String,
    made: Option<&Value>,
    here: Option<&Value>,
    into: &mut Vec<(String, String, String)>,
) {
    if made == here {
        return;
    }
    let tables = match (made, here) {
        (Some(Value::Table(made)), Some(Value::Table(here))) => Some((made, here)),
        _ => None,
    };
    let Some((made_table, here_table)) = tables else {
        let shown = |value: Option<&Value>| match value {
            None => "nothing".to_owned(),
            Some(Value::Table(_)) => "a table".to_owned(),
            Some(value) => value.to_string().replace('\n', " "),
        };
        into.push((path, shown(made), shown(here)));
        return;
    };
    // One that names its shape differs in nothing else that means anything.
    if let (Some((tag, one)), Some((_, other))) =
        (made.and_then(super::shape_of), here.and_then(super::shape_of))
        && one != other
    {
        into.push((format!("{path}.{tag}"), one.to_string(), other.to_string()));
        return;
    }
    let keys: std::collections::BTreeSet<&String> =
        made_table.keys().chain(here_table.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        differ(path, made_table.get(key), here_table.get(key), into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::snapshot::Writer;

    /// A program with other metrics has measured others by then.
    #[test]
    fn other_metrics_do_not_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("overlay");
        let at = Span::secs(10);
        let scenario = Scenario { from: Some(path.clone()), ..Scenario::default() };
        let write = |origin: &Origin| {
            let mut writer = Writer::new(File::create(&path).expect("room")).expect("room");
            writer.put(origin).expect("room");
            writer.finish().expect("room");
            starting(&scenario)
        };
        let origin = Origin::of(&Scenario::default(), at);
        assert_eq!(write(&origin), []);
        let other = Origin { metrics: vec!["hub".into(), "share".into()], ..origin };
        let path = path.display();
        let message =
            format!("metrics of one's own: none here, but {path} was made with hub, share");
        assert_eq!(write(&other), [("from".to_owned(), message)]);
    }
}

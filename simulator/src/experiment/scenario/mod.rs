//! Scenarios: experiments as files.
//!
//! A [`Scenario`] says which nodes run which protocols over which links, who broadcasts what or
//! sends it on channels, what goes wrong and when, and what must hold. It can be built in code, read from TOML
//! ([`Scenario::read`], [`Document`]), written back ([`Scenario::to_toml`]) and compared.

mod assertion;
mod channels;
mod churn_trace;
mod classes;
mod document;
mod faults;
pub mod gallery;
mod graph;
mod keys;
mod links;
mod nearest;
mod origin;
mod probe;
mod protocols;
mod reference;
mod rules;
mod schema;
mod tree;
mod values;
mod workload;

use std::path::{Path, PathBuf};

use murmurate::broadcast::anti_entropy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observe::check::Agreement;
pub use crate::observe::figure::{Figure, Of};
pub use crate::strategies::{Broadcast, Membership};
pub use assertion::{Assertion, AssertionError, ComparisonOperator, Window};
pub use channels::{Channel, ChannelKind, Overflow};
pub use churn_trace::{Change, TraceError, read as read_trace};
pub use classes::{Class, Members, Nat};
pub use document::{Document, Problem, ScenarioError};
pub use faults::{Churn, Death, Fault, Lengths, SessionStart, What, Who, Withheld};
pub use graph::GraphModel;
pub use links::{
    Bandwidth, Bursts, Connections, LatencyModel, Links, Order, Reorder, RoundTrip, Transport,
};
pub(crate) use nearest::{nearest, nearest_first};
pub use origin::{Origin, saving};
pub use probe::{Column, Probe};
pub use reference::reference;
pub use schema::schema;
pub use values::{BitRate, Bytes, Share, Span, Unreadable};
pub use workload::{LookUp, Pace, Send, Sender, To, Workload};

/// An experiment: everything about a run but the machine it runs on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// What reports call it; without it, the file's name.
    pub name: String,
    /// What it shows, in a line.
    pub description: String,
    /// The seed of all random choices.
    #[schemars(range(min = 0, max = i64::MAX))]
    pub seed: u64,
    /// The file with an overlay that it starts with, as `run --save` writes it, relative to the scenario's;
    /// without it, it starts with nothing. Nodes, classes, the graph, protocols and links must be
    /// those that made the overlay, and faults come after the moment at which it was saved. The seed may be
    /// another: it is that of what comes then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<PathBuf>,
    /// How much virtual time it takes.
    #[schemars(extend("x-least" = "1ms"))]
    pub duration: Span,
    /// The nodes at the beginning.
    pub nodes: Nodes,
    /// Where nodes stand, in turn; without any, the sites that the links' latency names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<Region>,
    /// Whom the nodes join through; without it, through random ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphModel>,
    /// Nodes that are not as the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<Class>,
    /// Who is whose neighbour.
    pub membership: Membership,
    /// How a message reaches everyone.
    pub broadcast: Broadcast,
    /// How neighbours find out what either missed; without it they do not.
    #[serde(skip_serializing_if = "Option::is_none", with = "murmurate::keys::optional")]
    #[schemars(with = "Option<protocols::Table<anti_entropy::Parameters>>")]
    pub anti_entropy: Option<anti_entropy::Parameters>,
    /// How messages travel.
    pub links: Links,
    /// What nodes can send to each other on, beside broadcasts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// Who broadcasts what, or sends it on a channel, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workload: Vec<Workload>,
    /// What goes wrong, and when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// What is measured how often.
    pub measure: Measure,
    /// What must hold; what does not hold makes the run fail.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<Assertion>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            seed: 1,
            from: None,
            duration: Span::secs(60),
            nodes: Nodes::default(),
            regions: Vec::new(),
            graph: None,
            classes: Vec::new(),
            membership: Membership::default(),
            broadcast: Broadcast::default(),
            anti_entropy: None,
            links: Links::default(),
            channels: Vec::new(),
            workload: Vec::new(),
            faults: Vec::new(),
            measure: Measure::default(),
            assertions: Vec::new(),
        }
    }
}

/// The nodes at the beginning, and how they join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nodes {
    /// How many.
    #[schemars(range(min = 1, max = 16_777_216))]
    pub count: u32,
    /// They join evenly over this time.
    pub joining: Span,
    /// Random running nodes that each node joins through.
    #[schemars(range(min = 1, max = 64))]
    pub contacts: u32,
    /// How long a node works; without it no time at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processor: Option<Processor>,
}

/// How long a node works, on one thing after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// On each message that it handles or sends, and on each timer.
    pub message: Span,
    /// How fast it handles and sends the bytes of messages, beside that; without it in no time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<BitRate>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { count: 1_000, joining: Span::secs(10), contacts: 3, processor: None }
    }
}

/// Where some of the nodes stand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Nodes here for each node in a region with a weight of 1.
    #[serde(default = "one")]
    #[schemars(range(max = 1e6), extend("x-above" = 0.0))]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// What is measured how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Measure {
    /// Time between two points of the time series.
    #[schemars(extend("x-least" = "1ms"))]
    pub every: Span,
    /// Time between two looks at the overlay's components and degrees; without it, where assertions
    /// ask for them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-least" = "1ms"))]
    pub overlay_every: Option<Span>,
    /// Whether the messages of each node are counted. Takes 24 bytes a node and a little time.
    #[serde(skip_serializing_if = "is_false")]
    pub load: bool,
    /// Whether a node is checked after every event of its own, not now and then: nothing that is wrong
    /// for a moment only is missed then. Takes about three times as long.
    #[serde(skip_serializing_if = "is_false")]
    pub every_event: bool,
    /// How far running nodes must agree at the end on what was broadcast in their time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Agreement>,
    /// Parts of the run that get figures of their own; without any, the whole run is one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<Phase>,
    /// Which figures of which nodes `--probe` writes how often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            every: Span::secs(1),
            overlay_every: None,
            load: false,
            every_event: false,
            agreement: None,
            phases: Vec::new(),
            probe: None,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A part of the run, up to the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// What reports call it.
    pub name: String,
    /// When it begins.
    pub from: Span,
}

impl Scenario {
    /// Reads a file, or the scenario of the gallery with this name, with `overrides` as of
    /// [`Document::set`].
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Self, ScenarioError> {
        let mut document = Document::read(path)?;
        for assignment in overrides {
            document.set(assignment)?;
        }
        document.scenario()
    }

    /// As a file that [`Scenario::read`] reads, without what is as by default.
    ///
    /// # Errors
    /// If a value cannot be written as TOML: a seed above 2⁶³ − 1.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut table = toml::Table::try_from(self)?;
        leave_out(&mut table, &toml::Table::try_from(Self::default())?);
        toml::to_string(&table)
    }

    /// Checks all that follows from no single value: regions that are named but not there, times
    /// behind the end, parameters that contradict each other. The path of a key and what is wrong
    /// with it.
    #[must_use]
    pub fn check(&self) -> Vec<(String, String)> {
        rules::check(self, |_| true)
    }

    /// When the entry of the timeline is that this is the name of, or the time that it is.
    #[must_use]
    pub fn event_time(&self, event: &str) -> Span {
        if let Ok(time) = event.parse() {
            return time;
        }
        let fault = self.faults.iter().find(|fault| fault.label() == event);
        fault.map_or_else(Span::default, |fault| fault.at)
    }

    /// Whether it has a key of that name.
    fn has(key: &str) -> bool {
        schema::SCHEMA["properties"].get(key).is_some()
    }

    /// Names of files become paths from here, not from the scenario's folder.
    fn find_files(&mut self, folder: &Path) {
        self.each_file(|file| *file = folder.join(&*file));
    }

    /// The files that it names.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.clone().each_file(|file| files.push(file.clone()));
        files
    }

    fn each_file(&mut self, mut visit: impl FnMut(&mut PathBuf)) {
        self.from.iter_mut().for_each(&mut visit);
        if let LatencyModel::Matrix { file } = &mut self.links.latency {
            visit(file);
        }
        if let Some(GraphModel::File { file }) = &mut self.graph {
            visit(file);
        }
        for fault in &mut self.faults {
            if let What::Churn { how: Churn::Trace { file }, .. } = &mut fault.what {
                visit(file);
            }
        }
    }

    /// The default as TOML.
    fn default_value() -> toml::Value {
        toml::Value::try_from(Self::default()).unwrap_or_else(|_| toml::Table::new().into())
    }
}

/// Keys that say which shape a table has.
const TAGS: [&str; 2] = ["strategy", "model"];

/// The key that says which shape a table has, and the shape.
fn shape_of(table: &toml::Value) -> Option<(&'static str, &toml::Value)> {
    TAGS.into_iter().find_map(|tag| Some((tag, table.get(tag)?)))
}

/// Removes what is in `defaults` too. A table that names its shape is left as it is, unless it is of
/// the default's shape.
fn leave_out(table: &mut toml::Table, defaults: &toml::Table) {
    let same_shape =
        |a: &toml::Table, b: &toml::Table| TAGS.iter().all(|tag| a.get(*tag) == b.get(*tag));
    table.retain(|key, value| match (value, defaults.get(key)) {
        (toml::Value::Table(inner), Some(toml::Value::Table(defaults)))
            if same_shape(inner, defaults) =>
        {
            let tag = TAGS.into_iter().find(|tag| inner.contains_key(*tag));
            let kept = tag.and_then(|tag| Some((tag.to_owned(), inner.get(tag)?.clone())));
            leave_out(inner, defaults);
            let changed = !inner.is_empty();
            if changed {
                inner.extend(kept);
            }
            changed
        }
        (value, Some(default)) => value != default,
        _ => true,
    });
}

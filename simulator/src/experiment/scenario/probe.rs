//! Which figures of nodes are looked at over time.

use std::sync::Arc;

use murmurate::broadcast::{AntiEntropy, anti_entropy};
use murmurate::membership::{NodeFigure, Wire};
use murmurate::router;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Span;
use super::{Scenario, Who, nearest_first};
use crate::engine::strategy::{Watched as _, WatchedBroadcast as _};
use crate::engine::{Count, lanes};
use crate::model::node::SimPeer;
use crate::observe::node;

/// Figures of nodes over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Probe {
    /// Which figures: `murmurate-sim figures` lists them. Without any, all but those of one kind of
    /// messages.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<String>,
    /// Of which nodes, while they run. A share of all that ever start; a count of those at the beginning.
    pub nodes: Who,
    /// Time between two looks.
    #[schemars(extend("x-least" = "1ms"))]
    pub every: Span,
    /// The first look.
    pub from: Span,
    /// No look comes later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Span>,
}

impl Default for Probe {
    fn default() -> Self {
        Self {
            figures: Vec::new(),
            nodes: Who::All,
            every: Span::secs(1),
            from: Span::default(),
            until: None,
        }
    }
}

/// A figure that a probe can have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub unit: &'static str,
    /// What it means, in a line.
    pub about: String,
    /// What is counted for it; nothing if it is of the node's state.
    pub count: Option<Count>,
}

impl Column {
    fn of(figure: NodeFigure) -> Self {
        let NodeFigure { name, unit, about } = figure;
        Self { name: name.to_owned(), unit, about: about.to_owned(), count: None }
    }

    fn counted(name: impl Into<String>, unit: &'static str, about: String, count: Count) -> Self {
        Self { name: name.into(), unit, about, count: Some(count) }
    }

    /// Whether it is of one kind of messages.
    #[must_use]
    pub fn is_of_kind(&self) -> bool {
        matches!(self.count, Some(Count::SentOf(_) | Count::ReceivedOf(_)))
    }
}

impl Scenario {
    /// The figures that its nodes have: of their state, in the order in which
    /// [`View::each_figure`](crate::observe::view::View::each_figure) visits them, then what can be
    /// counted. None if the parameters of a strategy are wrong.
    #[must_use]
    pub fn node_figures(&self) -> Vec<Column> {
        let (Some(membership), Some(broadcast)) =
            (self.membership.make().ok(), self.broadcast.make_named().ok())
        else {
            return Vec::new();
        };
        let (membership, broadcast) = (membership(SimPeer::new(0, 0), 0), broadcast(0));
        let around = self.anti_entropy.clone().map(anti_entropy::Parameters::check).transpose();
        let Ok(around) = around else { return Vec::new() };
        let (figures, kinds) = match around {
            None => (node::figures(&membership, &broadcast), broadcast.kinds()),
            Some(around) => {
                let broadcast = AntiEntropy::new(broadcast, Arc::new(around));
                (node::figures(&membership, &broadcast), broadcast.kinds())
            }
        };
        let mut columns: Vec<Column> = figures.into_iter().map(Column::of).collect();
        columns.extend(counted());
        columns.extend(self.kinds(membership.kinds(), kinds).into_iter().flat_map(of_kind));
        columns
    }

    /// The names of all kinds of messages that are sent, each once.
    fn kinds(
        &self,
        membership: Vec<&'static str>,
        broadcast: Vec<&'static str>,
    ) -> Vec<&'static str> {
        let routes = self.workload.iter().any(|workload| workload.look_up.is_some());
        let router = <router::Message<SimPeer, u32, bytes::Bytes> as Wire>::KINDS;
        let router = if routes { router } else { &[] };
        let lanes = if self.channels.is_empty() { &[][..] } else { &lanes::KINDS };
        let mut all = [membership, broadcast, router.to_vec(), lanes.to_vec()].concat();
        all.retain(|kind| !kind.is_empty());
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The columns of a probe, in the order in which it names them.
    ///
    /// # Errors
    /// Figures that there are not, or that are named twice: by their places in the list.
    pub fn columns(&self, probe: &Probe) -> Result<Vec<Column>, Vec<(usize, String)>> {
        let all = self.node_figures();
        if probe.figures.is_empty() {
            return Ok(all.into_iter().filter(|column| !column.is_of_kind()).collect());
        }
        let (mut columns, mut wrong) = (Vec::<Column>::new(), Vec::new());
        for (at, name) in probe.figures.iter().enumerate() {
            match all.iter().find(|column| column.name == *name) {
                None => {
                    let names: Vec<_> = all.iter().map(|column| column.name.clone()).collect();
                    let names = nearest_first(name, &names);
                    wrong.push((
                        at,
                        format!("{name:?} is no figure of these nodes: they are {names}"),
                    ));
                }
                Some(_) if columns.iter().any(|column| column.name == *name) => {
                    wrong.push((at, format!("{name:?} is named twice")));
                }
                Some(column) => columns.push(column.clone()),
            }
        }
        if wrong.is_empty() { Ok(columns) } else { Err(wrong) }
    }
}

/// What is counted of a node whatever it says.
fn counted() -> [Column; 4] {
    let counted = |name, unit, about: &str, count| Column::counted(name, unit, about.into(), count);
    [
        counted("sent", "messages", "messages that the node sent so far", Count::Sent),
        counted("bytes_sent", "bytes", "their bytes, without transport overhead", Count::BytesSent),
        counted("received", "messages", "messages that the node handled so far", Count::Received),
        counted(
            "deliveries",
            "broadcasts",
            "broadcasts that the node delivered so far",
            Count::Deliveries,
        ),
    ]
}

/// What is counted of the messages of a kind.
fn of_kind(kind: &'static str) -> [Column; 2] {
    let (sent, received) = (Count::SentOf(kind.to_owned()), Count::ReceivedOf(kind.to_owned()));
    let about = |does: &str| format!("messages of the kind {kind} that the node {does} so far");
    [
        Column::counted(format!("sent.{kind}"), "messages", about("sent"), sent),
        Column::counted(format!("received.{kind}"), "messages", about("handled"), received),
    ]
}

/// What is wrong with the probe of a scenario, by path.
pub(super) fn check(scenario: &Scenario) -> Vec<(String, String)> {
    let Some(probe) = &scenario.measure.probe else { return Vec::new() };
    let mut broken = Vec::new();
    if let Err(wrong) = scenario.columns(probe) {
        let at = |(at, message)| (format!("measure.probe.figures.{at}"), message);
        broken.extend(wrong.into_iter().map(at));
    }
    let Probe { from, until, .. } = probe;
    if let Some(until) = until.filter(|until| until < from) {
        let message = format!("{until} is before from, {from}");
        broken.push(("measure.probe.until".to_owned(), message));
    }
    broken
}

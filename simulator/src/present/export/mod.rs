//! Writes a [`Topology`] as a file that other programs read: graph libraries, Gephi, Graphviz, data
//! frames.
//!
//! All formats have the same attributes. Of the graph: the scenario, its seed and the moment. Of a
//! node: its `region` if regions have names, its `degree`, its `incarnation`, and if messages are
//! counted `load` (sent and handled), `sent`, `received` and `bytes_sent`. Of a link: `tree` (both
//! ends push payloads over it), `eager` (how many ends do) and `mutual` (both views hold it). Lists
//! of edges have no room for nodes, but name the regions of both ends.

mod dot;
mod edges;
mod gexf;
mod graphml;
#[cfg(feature = "parquet")]
mod parquet;

use std::io::{self, Write};
use std::path::Path;

use crate::observe::topology::{Link, Node, Topology};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// GraphML.
    GraphMl,
    /// GEXF 1.2.
    Gexf,
    /// Graphviz.
    Dot,
    /// A list of edges as CSV.
    Csv,
    /// A list of edges as a Parquet table.
    Parquet,
}

/// A file with an unknown format. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphFormatError {
    /// No format has this extension.
    #[error("{0} must end in .graphml, .gexf, .dot, .csv or .parquet")]
    Ending(String),
    /// This program was built without the format.
    #[error("{0}: this program was built without Parquet support: write .csv")]
    LeftOut(String),
}

impl GraphFormat {
    /// By a file's ending.
    ///
    /// # Errors
    /// If there is no such format.
    pub fn of(path: &Path) -> Result<Self, GraphFormatError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let shown = path.display().to_string();
        match ending.to_ascii_lowercase().as_str() {
            "graphml" => Ok(Self::GraphMl),
            "gexf" => Ok(Self::Gexf),
            "dot" => Ok(Self::Dot),
            "csv" => Ok(Self::Csv),
            "parquet" if cfg!(feature = "parquet") => Ok(Self::Parquet),
            "parquet" => Err(GraphFormatError::LeftOut(shown)),
            _ => Err(GraphFormatError::Ending(shown)),
        }
    }
}

/// What a graph shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphInfo {
    /// The scenario's name.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
}

/// Writes a topology.
///
/// # Errors
/// If it cannot be written to `to`.
pub fn write(
    topology: &Topology,
    about: &GraphInfo,
    format: GraphFormat,
    to: &mut (impl Write + Send),
) -> io::Result<()> {
    match format {
        GraphFormat::GraphMl => graphml::write(topology, about, to),
        GraphFormat::Gexf => gexf::write(topology, about, to),
        GraphFormat::Dot => dot::write(topology, about, to),
        GraphFormat::Csv => edges::write(topology, to),
        #[cfg(feature = "parquet")]
        GraphFormat::Parquet => parquet::write(topology, to),
        #[cfg(not(feature = "parquet"))]
        GraphFormat::Parquet => {
            Err(io::Error::other("this program was built without the feature parquet"))
        }
    }
}

/// A value of an attribute.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value<'a> {
    Text(&'a str),
    Whole(u64),
    Real(f64),
    Flag(bool),
}

impl std::fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Whole(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
        }
    }
}

impl Value<'_> {
    /// The type's name in GraphML and GEXF.
    fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Whole(_) => "long",
            Self::Real(_) => "double",
            Self::Flag(_) => "boolean",
        }
    }
}

type Attribute<'a> = (&'static str, Value<'a>);

fn of_graph<'a>(topology: &Topology, about: &'a GraphInfo) -> [Attribute<'a>; 3] {
    [
        ("scenario", Value::Text(&about.scenario)),
        ("seed", Value::Whole(about.seed)),
        ("at", Value::Real(topology.at)),
    ]
}

fn of_node<'a>(topology: &'a Topology, node: &Node) -> impl Iterator<Item = Attribute<'a>> {
    let region = topology.region(node).map(|name| ("region", Value::Text(name)));
    let own = [
        ("degree", Value::Whole(u64::from(node.degree))),
        ("incarnation", Value::Whole(u64::from(node.incarnation))),
    ];
    let load = node.load.map(|load| {
        [
            ("load", Value::Whole(load.messages())),
            ("sent", Value::Whole(load.sent)),
            ("received", Value::Whole(load.received)),
            ("bytes_sent", Value::Whole(load.bytes_sent)),
        ]
    });
    region.into_iter().chain(own).chain(load.into_iter().flatten())
}

fn of_link(link: &Link) -> [Attribute<'static>; 3] {
    let eager = link.eager.iter().filter(|eager| **eager).count();
    [
        ("tree", Value::Flag(link.is_of_tree())),
        ("eager", Value::Whole(eager as u64)),
        ("mutual", Value::Flag(link.held == [true; 2])),
    ]
}

/// The indices of a link's ends.
fn ends(topology: &Topology, link: &Link) -> [u32; 2] {
    link.ends.map(|end| topology.nodes[end as usize].index)
}

/// The attributes of nodes and links, taken from the first of each.
fn declared<'a>(topology: &'a Topology) -> (Vec<Attribute<'a>>, Vec<Attribute<'static>>) {
    let nodes = topology.nodes.first().map(|node| of_node(topology, node).collect());
    let links = topology.links.first().map(|link| of_link(link).to_vec());
    (nodes.unwrap_or_default(), links.unwrap_or_default())
}

#[cfg(test)]
mod tests;

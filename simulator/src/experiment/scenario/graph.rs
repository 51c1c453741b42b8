//! Who is given whom as contacts: a graph.

use std::path::PathBuf;

use rand::SeedableRng;
use rand_xoshiro::SplitMix64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::Share;
use super::{Scenario, gallery};
use crate::experiment::graph::{self, generate};
use crate::observe::graph::Graph;

/// The graph of the nodes at the beginning: each joins through those of its neighbours there that run, and
/// so it does when it starts again. Nodes that come later join through random ones.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "model", rename_all = "kebab-case", deny_unknown_fields)]
pub enum GraphModel {
    /// As a file says, which has as many nodes: GraphML, GEXF, or a list of links (`.csv`, `.parquet`,
    /// `.edgelist`).
    File {
        /// The file.
        file: PathBuf,
    },
    /// A circle.
    Ring {},
    /// A grid of rows and columns.
    Grid {
        /// Nodes in a row; `nodes.count` is a multiple of it.
        #[schemars(range(min = 1, max = 16_777_216))]
        width: u32,
    },
    /// A tree, filled level by level.
    Tree {
        /// Nodes right below each.
        #[schemars(range(min = 1, max = 16_383))]
        branches: u32,
    },
    /// Everyone has as many neighbours, at random.
    RandomRegular {
        /// This many, fewer than there are nodes; an even number if the number of nodes is odd.
        #[schemars(range(min = 1, max = 16_383))]
        degree: u32,
    },
    /// A ring of near neighbours with some links led elsewhere (Watts and Strogatz).
    SmallWorld {
        /// Neighbours in the ring: an even number, fewer than there are nodes.
        #[schemars(range(min = 2, max = 16_382))]
        neighbors: u32,
        /// Share of the links that are led elsewhere.
        rewired: Share,
    },
    /// Everyone that comes links with some of those that are there, rather with those that have many links
    /// (Barabási and Albert).
    PreferentialAttachment {
        /// With so many, fewer than there are nodes.
        #[schemars(range(min = 1, max = 16_383))]
        links: u32,
    },
}

/// So that it draws nothing that others draw.
const SEED: u64 = 0x6772_6170_6873;

impl Scenario {
    /// The graph of contacts, if there is one.
    ///
    /// # Errors
    /// The path of the key that is wrong, and what is wrong with it.
    pub fn contact_graph(&self) -> Result<Option<Graph>, (String, String)> {
        let Some(model) = &self.graph else { return Ok(None) };
        let nodes = self.nodes.count;
        if let Some((key, why)) = model.misfit(nodes) {
            return Err((format!("graph.{key}"), why));
        }
        let rng = &mut SplitMix64::seed_from_u64(self.seed ^ SEED);
        let links = match *model {
            GraphModel::File { ref file } => {
                let wrong = |error: graph::GraphError| {
                    ("graph.file".to_owned(), format!("{}: {error}", file.display()))
                };
                let from = gallery::open(file).map_err(|error| wrong(error.into()))?;
                graph::read(file, from, nodes).map_err(wrong)?
            }
            GraphModel::Ring {} => generate::ring(nodes),
            GraphModel::Grid { width } => generate::grid(nodes, width),
            GraphModel::Tree { branches } => generate::tree(nodes, branches),
            GraphModel::RandomRegular { degree } => generate::random_regular(nodes, degree, rng),
            GraphModel::SmallWorld { neighbors, rewired } => {
                generate::small_world(nodes, neighbors, rewired.get(), rng)
            }
            GraphModel::PreferentialAttachment { links } => {
                generate::preferential_attachment(nodes, links, rng)
            }
        };
        let graph = graph::of(nodes, &links);
        self.check_degrees(&graph)?;
        Ok(Some(graph))
    }

    /// Where contacts are neighbours, all must find a place.
    fn check_degrees(&self, graph: &Graph) -> Result<(), (String, String)> {
        let most = self.membership.links(self.nodes.count as usize);
        let most_there = graph.degrees().len().saturating_sub(1);
        if !self.membership.keeps_to_contacts() || most_there <= most {
            return Ok(());
        }
        let node = (0..self.nodes.count).find(|node| graph.neighbors(*node).len() == most_there);
        let (node, strategy) = (node.unwrap_or_default(), self.membership.name());
        let why = format!(
            "node {node} has {most_there} neighbours in the graph, and with membership.strategy = \
             {strategy:?} a node has at most {most}"
        );
        Err(("graph".to_owned(), why))
    }
}

impl GraphModel {
    /// The key that does not go together with so many nodes, and why.
    fn misfit(&self, nodes: u32) -> Option<(&'static str, String)> {
        self.unfitting(nodes).or_else(|| self.too_many(u64::from(nodes)))
    }

    /// The same of models with more links than a graph may have.
    fn too_many(&self, nodes: u64) -> Option<(&'static str, String)> {
        let most = graph::MOST_LINKS as u64;
        let (key, value, step) = match *self {
            Self::RandomRegular { degree } => ("degree", degree, 1),
            Self::SmallWorld { neighbors, .. } => ("neighbors", neighbors, 2),
            Self::PreferentialAttachment { links } => ("links", links, 1),
            Self::File { .. } | Self::Ring {} | Self::Grid { .. } | Self::Tree { .. } => {
                return None;
            }
        };
        let links = |value: u64| match key {
            "links" => value * (nodes - value),
            _ => value * nodes / 2,
        };
        let value = u64::from(value);
        (links(value) > most).then(|| {
            let fitting = (1..value / step).map(|times| times * step);
            let allowed = fitting.take_while(|value| links(*value) <= most).last();
            let why = format!(
                "graph.{key} = {value}: with nodes.count = {nodes} these are {} links, and a graph has \
                 {most} at most; allowed is {step} to {}",
                links(value),
                allowed.unwrap_or(0),
            );
            (key, why)
        })
    }

    fn unfitting(&self, nodes: u32) -> Option<(&'static str, String)> {
        let fewer = |key, value| {
            let why = format!("graph.{key} = {value}: must be less than nodes.count = {nodes}");
            (value >= nodes).then_some((key, why))
        };
        match *self {
            Self::File { .. } | Self::Ring {} | Self::Tree { .. } => None,
            Self::Grid { width } => (!nodes.is_multiple_of(width)).then(|| {
                ("width", format!("graph.width = {width}: nodes.count = {nodes} is no multiple of it"))
            }),
            Self::RandomRegular { degree } => fewer("degree", degree).or_else(|| {
                (nodes % 2 == 1 && degree % 2 == 1).then(|| {
                    let why = format!(
                        "graph.degree = {degree}: must be even, because nodes.count = {nodes} is odd"
                    );
                    ("degree", why)
                })
            }),
            Self::SmallWorld { neighbors, .. } => fewer("neighbors", neighbors).or_else(|| {
                (neighbors % 2 == 1).then(|| {
                    ("neighbors", format!("graph.neighbors = {neighbors}: must be even"))
                })
            }),
            Self::PreferentialAttachment { links } => fewer("links", links),
        }
    }
}

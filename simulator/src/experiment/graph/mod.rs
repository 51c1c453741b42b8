//! Graphs of contacts: read from files, or drawn.
//!
//! | room | what |
//! |---|---|
//! | `generate` | the usual models, each a function of its parameters and a generator of random numbers |
//! | `read` | files, by their endings |
//! | `lists`, `xml`, `parquet` | the formats |
//! | `listing` | which lists of links are graphs |

pub(crate) mod generate;
mod listing;
mod lists;
#[cfg(feature = "parquet")]
mod parquet;
mod read;
mod xml;

use crate::observe::graph::Graph;

pub(crate) use listing::{GraphError, MOST_LINKS};
pub(crate) use read::read;

/// The two ends of each link, once.
pub(crate) type Links = Vec<(u32, u32)>;

/// As a graph of so many nodes.
pub(crate) fn of(nodes: u32, links: &Links) -> Graph {
    Graph::from_arcs(nodes as usize, links.iter().copied())
}

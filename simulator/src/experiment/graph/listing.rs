//! What a file lists, and whether that is a graph.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use super::Links;

/// The largest file, in bytes.
pub(super) const MOST_BYTES: u64 = 1 << 30;
/// The most links, each of which takes 12 bytes while they are read.
pub(crate) const MOST_LINKS: usize = 100_000_000;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum GraphError {
    #[error("{0}")]
    Unreadable(#[from] io::Error),
    #[error("must end in .graphml, .gexf, .csv, .parquet, .edgelist, .edges or .txt")]
    Ending,
    #[cfg(not(feature = "parquet"))]
    #[error("this program was built without Parquet support: export .csv")]
    NoParquet,
    #[error("is larger than {} MiB, which is the most", MOST_BYTES >> 20)]
    TooLarge,
    #[error("{0}: a graph has {MOST_LINKS} links at most")]
    TooManyLinks(Place),
    #[error("{0}: {1}")]
    Syntax(Place, String),
    #[error("{0}: links have no direction: write an undirected graph")]
    Directed(Place),
    #[error("{0}: node {1} is linked with itself")]
    Loop(Place, String),
    #[error("{0}: {1} and {2} are linked twice")]
    Twice(Place, String, String),
    #[error("{0}: node {1} is listed twice")]
    ListedTwice(Place, String),
    #[error("{0}: {1} is no node of the graph{2}")]
    Unknown(Place, String, Range),
    #[error("has {0} nodes, and nodes.count = {1}: they must be as many")]
    Count(u32, u32),
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Line(u32),
    #[cfg_attr(not(feature = "parquet"), expect(dead_code, reason = "tables have rows"))]
    Row(u32),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}

/// What numbers nodes may have, where they have numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range(Option<u32>);

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nodes) => write!(f, ": 0 to {} are, for nodes.count = {nodes}", nodes - 1),
            None => f.write_str(", whose nodes are listed"),
        }
    }
}

/// What a file lists.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// The nodes by name, numbered in the order of the file.
    numbers: BTreeMap<Box<str>, u32>,
    names: Vec<Box<str>>,
    links: Vec<(u32, u32, Place)>,
    /// Nodes are listed themselves, so that there are no others.
    is_complete: bool,
}

impl Listing {
    /// The file lists all nodes.
    pub(super) fn lists_nodes(&mut self) {
        self.is_complete = true;
    }

    /// A node that the file lists.
    pub(super) fn node(&mut self, name: &str, place: Place) -> Result<(), GraphError> {
        if self.numbers.contains_key(name) {
            return Err(GraphError::ListedTwice(place, name.to_owned()));
        }
        self.number(name);
        Ok(())
    }

    /// A link between two nodes; where nodes are listed, all of them were.
    pub(super) fn link(&mut self, from: &str, to: &str, place: Place) -> Result<(), GraphError> {
        let mut end = |name: &str| match self.numbers.get(name) {
            Some(number) => Ok(*number),
            None if self.is_complete => {
                Err(GraphError::Unknown(place, name.to_owned(), Range(None)))
            }
            None => Ok(self.number(name)),
        };
        let ends = (end(from)?, end(to)?);
        if ends.0 == ends.1 {
            return Err(GraphError::Loop(place, from.to_owned()));
        }
        if self.links.len() == MOST_LINKS {
            return Err(GraphError::TooManyLinks(place));
        }
        self.links.push((ends.0.min(ends.1), ends.0.max(ends.1), place));
        Ok(())
    }

    fn number(&mut self, name: &str) -> u32 {
        let number = self.names.len() as u32;
        self.numbers.insert(name.into(), number);
        self.names.push(name.into());
        number
    }

    /// As links between nodes 0 to `nodes` - 1.
    pub(super) fn links(mut self, nodes: u32) -> Result<Links, GraphError> {
        let own: Option<Vec<u32>> = self.names.iter().map(|name| whole(name)).collect();
        let listed = self.names.len() as u32;
        let (count, of) = match own {
            Some(own) if !self.is_complete => {
                if let Some((.., place)) = self.outside(&own, nodes) {
                    let wrong = own.iter().find(|number| **number >= nodes).copied();
                    let name = wrong.unwrap_or_default().to_string();
                    return Err(GraphError::Unknown(place, name, Range(Some(nodes))));
                }
                (own.iter().max().map_or(0, |most| most + 1), own)
            }
            // What was exported after some had died has gaps.
            Some(own) if own.iter().all(|number| *number < listed) => (listed, own),
            _ => (listed, (0..listed).collect()),
        };
        if count != nodes {
            return Err(GraphError::Count(count, nodes));
        }
        self.links.sort_by_key(|(from, to, _)| (*from, *to));
        if let Some(twice) =
            self.links.windows(2).find(|two| (two[0].0, two[0].1) == (two[1].0, two[1].1))
        {
            let (from, to, place) = twice[1];
            let name = |number: u32| self.names[number as usize].to_string();
            return Err(GraphError::Twice(place, name(from), name(to)));
        }
        Ok(self.links.iter().map(|(a, b, _)| (of[*a as usize], of[*b as usize])).collect())
    }

    /// The first link of a node that there is not.
    fn outside(&self, own: &[u32], nodes: u32) -> Option<(u32, u32, Place)> {
        let is_outside = |number: u32| own[number as usize] >= nodes;
        self.links.iter().find(|(a, b, _)| is_outside(*a) || is_outside(*b)).copied()
    }
}

/// The number that a name is; there is one way to write it.
fn whole(name: &str) -> Option<u32> {
    name.parse().ok().filter(|number: &u32| number.to_string() == name)
}

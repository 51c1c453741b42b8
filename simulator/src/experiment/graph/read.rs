//! Reads a graph from a file, in the formats that overlays are exported in.

use std::io::Read;
use std::path::Path;

use super::listing::{GraphError, Listing, MOST_BYTES};
use super::{Links, lists, xml};

/// Reads the links of a graph of so many nodes.
///
/// Nodes with whole numbers below their count are the nodes of these numbers; others are numbered in the
/// order in which the file lists them.
pub(crate) fn read(path: &Path, from: impl Read, nodes: u32) -> Result<Links, GraphError> {
    let mut bytes = Vec::new();
    from.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(GraphError::TooLarge);
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let mut listing = Listing::default();
    match ending.to_ascii_lowercase().as_str() {
        "graphml" | "gexf" => xml::read(&bytes, &mut listing)?,
        "csv" => lists::csv(&bytes, &mut listing)?,
        "edgelist" | "edges" | "txt" => lists::words(&bytes, &mut listing)?,
        #[cfg(feature = "parquet")]
        "parquet" => super::parquet::read(bytes.into(), &mut listing)?,
        #[cfg(not(feature = "parquet"))]
        "parquet" => return Err(GraphError::NoParquet),
        _ => return Err(GraphError::Ending),
    }
    listing.links(nodes)
}

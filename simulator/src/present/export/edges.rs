//! A list of edges as CSV.

use std::io::{self, Write};

use super::{ends, of_link};
use crate::observe::topology::{Link, Topology};

pub(super) fn write(topology: &Topology, to: &mut impl Write) -> io::Result<()> {
    let mut csv = csv::Writer::from_writer(to);
    csv.write_record([
        "source",
        "target",
        "tree",
        "eager",
        "mutual",
        "source_region",
        "target_region",
    ])?;
    for link in &topology.links {
        let ends = ends(topology, link).map(|end| end.to_string());
        let attributes = of_link(link).map(|(_, value)| value.to_string());
        let regions = regions(topology, link).map(|region| region.unwrap_or_default().to_owned());
        csv.write_record(ends.iter().chain(&attributes).chain(&regions))?;
    }
    csv.flush()
}

/// The names of the regions that a link's ends stand in.
pub(super) fn regions<'a>(topology: &'a Topology, link: &Link) -> [Option<&'a str>; 2] {
    link.ends.map(|end| topology.region(&topology.nodes[end as usize]))
}

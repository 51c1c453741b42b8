//! Graphviz. The tree is drawn in bold.

use std::io::{self, Write};

use super::{Attribute, GraphInfo, Value, ends, of_graph, of_link, of_node};
use crate::observe::topology::Topology;

pub(super) fn write(topology: &Topology, about: &GraphInfo, to: &mut impl Write) -> io::Result<()> {
    writeln!(to, "graph overlay {{")?;
    writeln!(to, "  graph [{}];", list(of_graph(topology, about)))?;
    writeln!(to, "  node [shape=point];")?;
    for node in &topology.nodes {
        writeln!(to, "  {} [{}];", node.index, list(of_node(topology, node)))?;
    }
    for link in &topology.links {
        let [source, target] = ends(topology, link);
        let style = if link.is_of_tree() { "bold" } else { "dotted" };
        let style = ("style", Value::Text(style));
        writeln!(
            to,
            "  {source} -- {target} [{}];",
            list(of_link(link).into_iter().chain([style]))
        )?;
    }
    writeln!(to, "}}")
}

fn list<'a>(attributes: impl IntoIterator<Item = Attribute<'a>>) -> String {
    let one = |(name, value): Attribute<'a>| match value {
        Value::Text(text) => {
            format!("{name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        value => format!("{name}={value}"),
    };
    attributes.into_iter().map(one).collect::<Vec<_>>().join(", ")
}

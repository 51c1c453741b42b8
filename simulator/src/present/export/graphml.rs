//! GraphML, as NetworkX, igraph and Gephi read it.

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Attribute, GraphInfo, declared, ends, of_graph, of_link, of_node};
use crate::observe::topology::Topology;

const NAMESPACE: &str = "http://graphml.graphdrawing.org/xmlns";

pub(super) fn write(topology: &Topology, about: &GraphInfo, to: &mut impl Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(to, b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let root = xml.create_element("graphml").with_attribute(("xmlns", NAMESPACE));
    root.write_inner_content(|xml| {
        let of_graph = of_graph(topology, about);
        let (nodes, links) = declared(topology);
        keys(xml, "graph", &of_graph)?;
        keys(xml, "node", &nodes)?;
        keys(xml, "edge", &links)?;
        let graph = xml.create_element("graph").with_attribute(("edgedefault", "undirected"));
        graph.write_inner_content(|xml| {
            data(xml, "graph", of_graph)?;
            for node in &topology.nodes {
                let id = node.index.to_string();
                let element = xml.create_element("node").with_attribute(("id", id.as_str()));
                element.write_inner_content(|xml| data(xml, "node", of_node(topology, node)))?;
            }
            for link in &topology.links {
                let [source, target] = ends(topology, link).map(|end| end.to_string());
                let attributes = [("source", source.as_str()), ("target", target.as_str())];
                let element = xml.create_element("edge").with_attributes(attributes);
                element.write_inner_content(|xml| data(xml, "edge", of_link(link)))?;
            }
            Ok(())
        })?;
        Ok(())
    })?;
    xml.get_mut().write_all(b"\n")
}

/// Attributes of the graph, of nodes and of links have different keys, even if their names are equal.
fn key(of: &str, name: &str) -> String {
    format!("{of}.{name}")
}

fn keys(xml: &mut Writer<impl Write>, of: &str, attributes: &[Attribute<'_>]) -> io::Result<()> {
    for (name, value) in attributes {
        let id = key(of, name);
        xml.create_element("key")
            .with_attributes([
                ("id", id.as_str()),
                ("for", of),
                ("attr.name", *name),
                ("attr.type", value.kind()),
            ])
            .write_empty()?;
    }
    Ok(())
}

fn data<'a>(
    xml: &mut Writer<impl Write>,
    of: &str,
    attributes: impl IntoIterator<Item = Attribute<'a>>,
) -> io::Result<()> {
    for (name, value) in attributes {
        let id = key(of, name);
        xml.create_element("data")
            .with_attribute(("key", id.as_str()))
            .write_text_content(BytesText::new(&value.to_string()))?;
    }
    Ok(())
}

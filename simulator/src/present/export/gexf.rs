//! GEXF 1.2, as Gephi and NetworkX read it.

use std::io::{self, Write};

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::{Attribute, GraphInfo, declared, ends, of_graph, of_link, of_node};
use crate::observe::topology::Topology;

pub(super) fn write(topology: &Topology, about: &GraphInfo, to: &mut impl Write) -> io::Result<()> {
    let mut xml = Writer::new_with_indent(to, b' ', 1);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let root = [("xmlns", "http://www.gexf.net/1.2draft"), ("version", "1.2")];
    xml.create_element("gexf").with_attributes(root).write_inner_content(|xml| {
        let said = of_graph(topology, about).map(|(name, value)| format!("{name} {value}"));
        xml.create_element("meta").write_inner_content(|xml| {
            let text = said.join(", ");
            xml.create_element("creator").write_text_content(BytesText::new("murmurate-sim"))?;
            xml.create_element("description").write_text_content(BytesText::new(&text))?;
            Ok(())
        })?;
        let kind = [("defaultedgetype", "undirected"), ("mode", "static")];
        xml.create_element("graph").with_attributes(kind).write_inner_content(|xml| {
            let (of_nodes, of_links) = declared(topology);
            attributes(xml, "node", &of_nodes)?;
            attributes(xml, "edge", &of_links)?;
            xml.create_element("nodes").write_inner_content(|xml| nodes(xml, topology))?;
            xml.create_element("edges").write_inner_content(|xml| links(xml, topology))?;
            Ok(())
        })?;
        Ok(())
    })?;
    xml.get_mut().write_all(b"\n")
}

fn nodes(xml: &mut Writer<impl Write>, topology: &Topology) -> io::Result<()> {
    for node in &topology.nodes {
        let id = node.index.to_string();
        xml.create_element("node")
            .with_attributes([("id", id.as_str()), ("label", id.as_str())])
            .write_inner_content(|xml| values(xml, of_node(topology, node)))?;
    }
    Ok(())
}

fn links(xml: &mut Writer<impl Write>, topology: &Topology) -> io::Result<()> {
    for (number, link) in topology.links.iter().enumerate() {
        let [source, target] = ends(topology, link).map(|end| end.to_string());
        let id = number.to_string();
        xml.create_element("edge")
            .with_attributes([("id", &*id), ("source", &*source), ("target", &*target)])
            .write_inner_content(|xml| values(xml, of_link(link).into_iter()))?;
    }
    Ok(())
}

fn attributes(
    xml: &mut Writer<impl Write>,
    of: &str,
    attributes: &[Attribute<'_>],
) -> io::Result<()> {
    let element = xml.create_element("attributes").with_attribute(("class", of));
    element.write_inner_content(|xml| {
        for (name, value) in attributes {
            xml.create_element("attribute")
                .with_attributes([("id", *name), ("title", *name), ("type", value.kind())])
                .write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

fn values<'a>(
    xml: &mut Writer<impl Write>,
    attributes: impl Iterator<Item = Attribute<'a>>,
) -> io::Result<()> {
    xml.create_element("attvalues").write_inner_content(|xml| {
        for (name, value) in attributes {
            let value = value.to_string();
            xml.create_element("attvalue")
                .with_attributes([("for", name), ("value", value.as_str())])
                .write_empty()?;
        }
        Ok(())
    })?;
    Ok(())
}

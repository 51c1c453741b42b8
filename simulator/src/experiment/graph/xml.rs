//! GraphML and GEXF: in both, elements `node` have an `id`, and elements `edge` a `source` and a `target`.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::listing::{GraphError, Listing, Place};

/// Attributes that say which way edges go, of the graph and of an edge, and the words for both ways.
const DIRECTIONS: [&str; 4] = ["edgedefault", "defaultedgetype", "directed", "type"];
const BOTH_WAYS: [&str; 3] = ["undirected", "false", "mutual"];

pub(super) fn read(bytes: &[u8], listing: &mut Listing) -> Result<(), GraphError> {
    let wrong = |place: Place, what: String| GraphError::Syntax(place, what);
    let text = std::str::from_utf8(bytes).map_err(|error| {
        wrong(line_of(bytes, error.valid_up_to()), "is not UTF-8 text".to_owned())
    })?;
    let mut xml = Reader::from_str(text);
    let mut lines = Lines { bytes, at: 0, line: 1 };
    let (mut depth, mut graphs) = (0_u32, 0_u32);
    listing.lists_nodes();
    // Edges may stand before their nodes.
    let mut edges = Vec::new();
    loop {
        let begins = xml.buffer_position();
        let event = xml.read_event();
        let place = lines.at(begins as usize);
        let event = event.map_err(|error| wrong(place, error.to_string()))?;
        match event {
            Event::Start(element) => {
                depth += 1;
                graphs += element_of(&element, place, listing, &mut edges)?;
            }
            Event::Empty(element) => {
                graphs += element_of(&element, place, listing, &mut edges)?;
            }
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Eof => break,
            _ => {}
        }
        if graphs > 1 {
            return Err(wrong(place, "is a second graph in the file".to_owned()));
        }
    }
    let end = lines.at(bytes.len());
    if depth > 0 {
        return Err(wrong(end, "the file ends in the middle".to_owned()));
    }
    if graphs == 0 {
        return Err(wrong(end, "there is no graph in the file".to_owned()));
    }
    for (source, target, place) in edges {
        listing.link(&source, &target, place)?;
    }
    Ok(())
}

/// Takes in an element; returns how many graphs it is.
fn element_of(
    element: &BytesStart<'_>,
    place: Place,
    listing: &mut Listing,
    edges: &mut Vec<(String, String, Place)>,
) -> Result<u32, GraphError> {
    let name = element.local_name();
    let name = name.as_ref();
    if !["graph", "node", "edge", "hyperedge"].contains(&name) {
        return Ok(0);
    }
    let all = attributes(element, place)?;
    let get = |key: &str| {
        let missing = || GraphError::Syntax(place, format!("{name} has no attribute {key}"));
        all.get(key).cloned().ok_or_else(missing)
    };
    let direction = DIRECTIONS.iter().filter(|_| name != "node").find_map(|key| all.get(*key));
    if direction.is_some_and(|said| !BOTH_WAYS.contains(&said.as_str())) {
        return Err(GraphError::Directed(place));
    }
    match name {
        "node" => listing.node(&get("id")?, place)?,
        "edge" => edges.push((get("source")?, get("target")?, place)),
        "hyperedge" => {
            let what = "a hyperedge is no link between two nodes".to_owned();
            return Err(GraphError::Syntax(place, what));
        }
        _ => return Ok(1),
    }
    Ok(0)
}

fn attributes(
    element: &BytesStart<'_>,
    place: Place,
) -> Result<BTreeMap<String, String>, GraphError> {
    let wrong = |error: &dyn std::fmt::Display| GraphError::Syntax(place, error.to_string());
    let mut all = BTreeMap::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| wrong(&error))?;
        let value = attribute.normalized_value(XmlVersion::default());
        let value = value.map_err(|error| wrong(&error))?;
        all.insert(attribute.key.into_inner().to_owned(), value.into_owned());
    }
    Ok(all)
}

/// Lines, told of places that come in order.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl Lines<'_> {
    fn at(&mut self, place: usize) -> Place {
        let passed = self.bytes.get(self.at..place).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u32;
        self.at = self.at.max(place);
        Place::Line(self.line)
    }
}

fn line_of(bytes: &[u8], place: usize) -> Place {
    Lines { bytes, at: 0, line: 1 }.at(place)
}

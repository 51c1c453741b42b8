//! The overlay drawn: DOT, GraphML, and JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::json;

use crate::admin::{Tree, Views};

/// Nodes and the links between them, as their ends tell.
#[derive(Debug, Default)]
pub(super) struct Graph {
    answered: BTreeSet<String>,
    silent: BTreeSet<String>,
    /// By its ends, the lesser first.
    links: BTreeMap<(String, String), Link>,
}

/// What is told of a link.
#[derive(Debug, Default, Clone, Copy)]
struct Link {
    /// Ends that tell of it: 1 or 2.
    told: u8,
    /// Ends that push payloads through it.
    eager: u8,
}

impl Link {
    /// How it is labelled: payloads go both ways, one way, or announcements only.
    fn tree(self) -> &'static str {
        match self.eager {
            0 => "lazy",
            1 => "one-way",
            _ => "eager",
        }
    }
}

impl Graph {
    pub(super) fn add(&mut self, views: Views) {
        for neighbor in views.neighbors {
            let mut ends = (views.node.clone(), neighbor.node);
            if ends.0 > ends.1 {
                ends = (ends.1, ends.0);
            }
            let link = self.links.entry(ends).or_default();
            link.told += 1;
            link.eager += u8::from(neighbor.tree == Tree::Eager);
        }
        self.answered.insert(views.node);
    }

    pub(super) fn add_silent(&mut self, node: String) {
        self.silent.insert(node);
    }

    /// Every node there is word of, and whether it answered.
    fn nodes(&self) -> BTreeMap<&String, bool> {
        let ends = self.links.keys().flat_map(|(one, other)| [one, other]);
        let mut nodes: BTreeMap<_, _> =
            ends.chain(&self.silent).map(|node| (node, false)).collect();
        nodes.extend(self.answered.iter().map(|node| (node, true)));
        nodes
    }

    pub(super) fn to_json(&self) -> String {
        let nodes: Vec<_> = self
            .nodes()
            .into_iter()
            .map(|(node, answered)| json!({ "id": node, "silent": !answered }))
            .collect();
        let edges: Vec<_> = self
            .links
            .iter()
            .map(|((source, target), link)| {
                let (tree, mutual) = (link.tree(), link.told > 1);
                json!({ "source": source, "target": target, "tree": tree, "mutual": mutual })
            })
            .collect();
        let (directed, multigraph) = (false, false);
        json!({ "directed": directed, "multigraph": multigraph, "graph": {}, "nodes": nodes, "edges": edges })
            .to_string()
    }

    pub(super) fn to_dot(&self) -> String {
        let mut text = String::from(
            "graph murmurate {\n  layout=sfdp; overlap=false; splines=true;\n  \
             node [shape=box, style=rounded, fontname=\"monospace\"];\n",
        );
        for (node, answered) in self.nodes() {
            let colour = if answered { "" } else { ", color=red, fontcolor=red" };
            let _ = writeln!(text, "  \"{node}\" [label=\"{}\"{colour}];", short(node));
        }
        for ((one, other), link) in &self.links {
            let look = match link.eager {
                0 => "color=gray",
                1 => "color=blue",
                _ => "color=blue, penwidth=2",
            };
            let dashed = if link.told > 1 { "" } else { ", style=dashed" };
            let tree = link.tree();
            let _ = writeln!(text, "  \"{one}\" -- \"{other}\" [{look}{dashed}, tree=\"{tree}\"];");
        }
        text + "}\n"
    }

    pub(super) fn to_graphml(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n  \
             <key id=\"silent\" for=\"node\" attr.name=\"silent\" attr.type=\"boolean\"/>\n  \
             <key id=\"tree\" for=\"edge\" attr.name=\"tree\" attr.type=\"string\"/>\n  \
             <key id=\"mutual\" for=\"edge\" attr.name=\"mutual\" attr.type=\"boolean\"/>\n  \
             <graph id=\"murmurate\" edgedefault=\"undirected\">\n",
        );
        for (node, answered) in self.nodes() {
            let silent = !answered;
            let _ = writeln!(
                text,
                "    <node id=\"{node}\"><data key=\"silent\">{silent}</data></node>"
            );
        }
        for ((one, other), link) in &self.links {
            let (tree, mutual) = (link.tree(), link.told > 1);
            let _ = writeln!(
                text,
                "    <edge source=\"{one}\" target=\"{other}\"><data key=\"tree\">{tree}</data>\
                 <data key=\"mutual\">{mutual}</data></edge>"
            );
        }
        text + "  </graph>\n</graphml>\n"
    }
}

/// The end of an id: all begin the same.
fn short(node: &str) -> &str {
    node.char_indices().nth_back(7).map_or(node, |(at, _)| &node[at..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Neighbor;

    fn views(node: &str, neighbors: &[(&str, Tree)]) -> Views {
        let neighbor = |(node, tree): &(&str, Tree)| Neighbor {
            node: (*node).into(),
            tree: *tree,
            addresses: Vec::new(),
        };
        Views { node: node.into(), neighbors: neighbors.iter().map(neighbor).collect() }
    }

    #[test]
    fn links_are_told_by_both_ends_and_silent_nodes_are_marked() {
        let mut graph = Graph::default();
        graph.add(views("b", &[("a", Tree::Eager), ("c", Tree::Lazy), ("d", Tree::Eager)]));
        graph.add(views("a", &[("b", Tree::Eager), ("c", Tree::Lazy)]));
        graph.add(views("c", &[("b", Tree::Eager), ("a", Tree::Lazy)]));
        graph.add_silent("d".into());
        let json: serde_json::Value = serde_json::from_str(&graph.to_json()).expect("JSON");
        let edges = json["edges"].as_array().expect("edges");
        let told = |edge: &serde_json::Value| {
            let text = |key: &str| edge[key].as_str().unwrap_or_default().to_owned();
            (text("source") + &text("target"), text("tree"), edge["mutual"] == true)
        };
        let told: Vec<_> = edges.iter().map(told).collect();
        let is = |link: &str, tree: &str, mutual| (link.to_owned(), tree.to_owned(), mutual);
        let expected = [
            is("ab", "eager", true),
            is("ac", "lazy", true),
            is("bc", "one-way", true),
            is("bd", "one-way", false),
        ];
        assert_eq!(told, expected);
        assert_eq!(json["nodes"][3], json!({ "id": "d", "silent": true }));
        let dot = graph.to_dot();
        assert!(dot.contains("\"a\" -- \"b\" [color=blue, penwidth=2, tree=\"eager\"];"), "{dot}");
        assert!(dot.contains("style=dashed"), "{dot}");
        assert!(dot.contains("\"d\" [label=\"d\", color=red, fontcolor=red];"), "{dot}");
        assert_eq!(graph.to_graphml().matches("<edge ").count(), 4);
        assert_eq!(graph.to_graphml().matches("<node ").count(), 4);
    }
}

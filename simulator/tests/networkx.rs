//! NetworkX reads what is exported, and finds the figures of the summary in it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

#[path = "../../overlay/tests/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::{Command, ExitCode};

use serde_json::{Value, json};

/// Debian's, which finds Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

const SCRIPT: &str = r#"
import csv, json, sys
import networkx as nx
from networkx.drawing.nx_pydot import read_dot

folder = sys.argv[1]
graph = nx.read_graphml(folder + "/overlay.graphml")
lengths = [length for _, row in nx.all_pairs_shortest_path_length(graph) for length in row.values() if length]
components = list(nx.connected_components(graph))
links = lambda graph: sorted(tuple(sorted((int(a), int(b)))) for a, b in graph.edges())
trees = lambda graph: sorted(str(d["tree"]).lower() for _, _, d in graph.edges(data=True))
gexf = nx.read_gexf(folder + "/overlay.gexf")
dot = read_dot(folder + "/overlay.dot")
rows = list(csv.DictReader(open(folder + "/overlay.csv")))
edges = nx.Graph([(row["source"], row["target"], {"tree": row["tree"]}) for row in rows])
assert len(rows) == len(graph.edges())
nodes = graph.nodes(data=True)
print(json.dumps({
    "running_nodes": len(graph),
    "clustering": nx.average_clustering(graph),
    "average_shortest_path": sum(lengths) / len(lengths) if lengths else 0.0,
    "components": len(components),
    "largest_component": max(map(len, components)),
    "degrees": nx.degree_histogram(graph),
    "asymmetric_links": sum(not d["mutual"] for _, _, d in graph.edges(data=True)),
    "said_degrees": all(d["degree"] == graph.degree(n) for n, d in nodes),
    "regions": sorted({d.get("region", "") for _, d in nodes}),
    "sent": sum(d["sent"] for _, d in nodes),
    "load": all(d["load"] == d["sent"] + d["received"] for _, d in nodes),
    "attributes": sorted(nodes[next(iter(graph))]),
    "gexf_attributes": sorted(k for k in gexf.nodes[next(iter(gexf))] if k != "label"),
    "tree": sum(d["tree"] for _, _, d in graph.edges(data=True)),
    "graph": graph.graph["scenario"] + " " + str(graph.graph["seed"]),
    "same_links": [links(g) == links(graph) for g in (gexf, dot, edges)],
    "same_trees": [trees(g) == trees(graph) for g in (gexf, dot, edges)],
    # The reader of DOT makes a node of the newline at the end.
    "same_nodes": [sorted(filter(str.isdigit, g)) == sorted(graph) for g in (gexf, dot)],
}))
"#;

/// Runs a scenario with these overrides: its summary, and what NetworkX finds.
fn both(folder: &Path, scenario: &str, overrides: &[&str]) -> (Value, Value) {
    let mut run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
    run.args(["run", scenario, "--json"]);
    for value in overrides {
        run.args(["--set", value]);
    }
    for ending in ["graphml", "gexf", "dot", "csv"] {
        run.arg("--export").arg(folder.join(format!("overlay.{ending}")));
    }
    let run = run.output().expect("the binary runs");
    let said = String::from_utf8_lossy(&run.stderr);
    let summary = serde_json::from_slice(&run.stdout).unwrap_or_else(|_| panic!("JSON: {said}"));
    let python = Command::new(PYTHON).args(["-c", SCRIPT]).arg(folder).output().expect("it runs");
    let said = String::from_utf8_lossy(&python.stderr);
    (summary, serde_json::from_slice(&python.stdout).unwrap_or_else(|_| panic!("JSON: {said}")))
}

fn compare(summary: &Value, found: &Value) {
    let overlay = summary["phases"].as_array().and_then(|phases| phases.last()).expect("a phase");
    figures(overlay, found);
    for yes in ["said_degrees", "load"] {
        assert_eq!(found[yes], true, "{yes}");
    }
    assert_eq!(found["attributes"], found["gexf_attributes"]);
    for all in ["same_links", "same_trees", "same_nodes"] {
        let same = found[all].as_array().expect("a list");
        assert!(same.iter().all(|same| *same == true), "{all}: {same:?}");
    }
}

/// The figures of a graph, here and there.
fn figures(overlay: &Value, found: &Value) {
    for figure in
        ["running_nodes", "components", "largest_component", "degrees", "asymmetric_links"]
    {
        assert_eq!(found[figure], overlay[figure], "{figure}");
    }
    for figure in ["clustering", "average_shortest_path"] {
        let [ours, theirs] =
            [&overlay[figure], &found[figure]].map(|v| v.as_f64().expect("a number"));
        assert!((ours - theirs).abs() < 1e-12, "{figure}: {ours} here, {theirs} there");
    }
}

fn networkx_computes_the_figures_of_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let (summary, found) = both(folder.path(), "aws-regions", &["nodes.count=200"]);
    compare(&summary, &found);
    assert_eq!(found["regions"].as_array().map(Vec::len), Some(6));
    assert_eq!(found["graph"], "aws-regions 1");
    // Everyone still runs, so their messages are all there are.
    let sent = summary["messages"].as_array().expect("a list").iter().map(|m| m["count"].as_u64());
    assert_eq!(found["sent"], json!(sent.sum::<Option<u64>>().expect("counts")));
    // After a hundred broadcasts the links of the tree are about as many as a tree has.
    let tree = found["tree"].as_u64().expect("a number");
    assert!((199..=240).contains(&tree), "{tree} links of the tree");
}

/// While those left of most nodes find each other: pieces, lonely nodes, and views that disagree.
fn networkx_agrees_on_an_overlay_in_pieces() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = folder.path().join("pieces.toml");
    let text = "duration = \"20.04s\"\nnodes.count = 300\n\
                [[faults]]\nat = \"20s\"\ndo.crash = { who.share = \"85%\" }\n";
    std::fs::write(&scenario, text).expect("written");
    let (summary, found) = both(folder.path(), scenario.to_str().expect("a path"), &[]);
    compare(&summary, &found);
    assert!(found["components"].as_u64() > Some(1), "{found}");
    assert_eq!(found["running_nodes"], 45);
}

/// Writes graphs of 60 nodes in each format, and says what it finds in them.
const GRAPHS: &str = r#"
import json, sys
import networkx as nx

folder = sys.argv[1]
graphs = {
    "ring": nx.cycle_graph(60),
    "regular": nx.random_regular_graph(4, 60, seed=1),
    "small-world": nx.watts_strogatz_graph(60, 6, 0.2, seed=2),
    "attachment": nx.barabasi_albert_graph(60, 3, seed=3),
    "grid": nx.grid_2d_graph(6, 10),
    "tree": nx.full_rary_tree(3, 60),
    "pieces": nx.disjoint_union(nx.complete_graph(20), nx.path_graph(40)),
}
found = {}
for name, graph in graphs.items():
    path = folder + "/" + name
    nx.write_graphml(graph, path + ".graphml")
    nx.write_gexf(graph, path + ".gexf")
    plain = nx.convert_node_labels_to_integers(graph)
    nx.write_edgelist(plain, path + ".edgelist")
    with open(path + ".csv", "w") as csv:
        csv.write("source,target\n" + "".join(f"{a},{b}\n" for a, b in plain.edges()))
    lengths = [n for _, row in nx.all_pairs_shortest_path_length(graph) for n in row.values() if n]
    found[name] = {
        "running_nodes": len(graph),
        "degrees": nx.degree_histogram(graph),
        "clustering": nx.average_clustering(graph),
        "average_shortest_path": sum(lengths) / len(lengths),
        "components": nx.number_connected_components(graph),
        "largest_component": max(map(len, nx.connected_components(graph))),
        "asymmetric_links": 0,
        "eccentricity": nx.eccentricity(plain, 0) if nx.is_connected(plain) else None,
    }
print(json.dumps(found))
"#;

/// Each is the overlay, and a flood over it goes as far as NetworkX says.
fn graphs_of_networkx_are_the_overlays_of_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let python = Command::new(PYTHON).args(["-c", GRAPHS]).arg(folder.path()).output();
    let python = python.expect("it runs");
    let said = String::from_utf8_lossy(&python.stderr);
    let found: Value = serde_json::from_slice(&python.stdout).unwrap_or_else(|_| panic!("{said}"));
    let scenario = folder.path().join("static.toml");
    let text = "duration = \"30s\"\nnodes = { count = 60, joining = \"1s\" }\n\
                membership.strategy = \"static\"\nbroadcast.strategy = \"flood\"\n\
                workload = [{ from = \"10s\", count = 3, sender.node = 0 }]\n\
                assertions = [\"missing_links == 0\"]\n\
                graph = { model = \"file\", file = \"?\" }\n";
    std::fs::write(&scenario, text).expect("written");
    for (name, found) in found.as_object().expect("graphs") {
        for ending in ["graphml", "gexf", "edgelist", "csv"] {
            let run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"))
                .arg("run")
                .arg(&scenario)
                .args(["--json", "--set", &format!("graph.file={name}.{ending}")])
                .output()
                .expect("the binary runs");
            let said = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success(), "{name}.{ending}: {said}");
            let summary: Value = serde_json::from_slice(&run.stdout).expect("JSON");
            figures(&summary["phases"][0], found);
            assert_eq!(summary["graph"]["components"], found["components"], "{name}.{ending}");
            if let Some(hops) = found["eccentricity"].as_f64() {
                assert_eq!(summary["phases"][0]["ldh"], hops, "{name}.{ending}");
                assert_eq!(summary["phases"][0]["reliability"], 1.0, "{name}.{ending}");
            }
        }
    }
}

fn main() -> ExitCode {
    let tests = harness::tests![
        networkx_computes_the_figures_of_the_summary,
        networkx_agrees_on_an_overlay_in_pieces,
        graphs_of_networkx_are_the_overlays_of_runs,
    ];
    harness::run(tests, || {
        harness::debian(&["python3-networkx", "python3-pydot"], || {
            harness::succeeds(Command::new(PYTHON).args(["-c", "import networkx, pydot"]))
        })
    })
}

//! Static overlays: the graph that a scenario gives is the overlay, and what theory says of it holds.

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use murmurate_simulator::experiment::runner::{self, Report};
use murmurate_simulator::experiment::scenario::{Document, GraphModel, Scenario, Share};

/// A flood over a graph, from one node, on links that all take as long.
const FLOOD: &str = "
duration = '40s'
nodes.joining = '2s'
graph.model = 'ring'
membership.strategy = 'static'
broadcast.strategy = 'flood'
workload = [{ from = '20s', count = 5, pace.rate = 1.0, sender.node = 0 }]
assertions = ['reliability == 1', 'missing_links == 0 at 19s', 'asymmetric_links == 0 at 19s']
";

fn scenario(text: &str) -> Scenario {
    let document = Document::parse("f", text).expect("TOML");
    document.scenario().unwrap_or_else(|error| panic!("{error}"))
}

fn flood(nodes: u32, graph: GraphModel) -> Scenario {
    let mut scenario = scenario(FLOOD);
    scenario.nodes.count = nodes;
    scenario.graph = Some(graph);
    scenario
}

fn run(scenario: &Scenario) -> Report {
    let report = runner::run(scenario, &mut ()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.violation, None);
    report
}

/// The most links that a delivery crossed, in every broadcast.
fn hops(scenario: &Scenario) -> u32 {
    let report = run(scenario);
    assert!(report.holds(), "{:?}", report.verdicts);
    let hops = report.phases[0].ldh.expect("broadcasts");
    assert_eq!(hops.fract(), 0.0, "each as many");
    hops as u32
}

#[test]
fn a_flood_takes_the_hops_that_theory_says() {
    for nodes in [3, 10, 25, 64] {
        assert_eq!(hops(&flood(nodes, GraphModel::Ring {})), nodes / 2, "a ring of {nodes}");
    }
    for (width, height) in [(1, 9), (4, 3), (7, 7), (20, 5)] {
        let grid = flood(width * height, GraphModel::Grid { width });
        assert_eq!(hops(&grid), width + height - 2, "{width} by {height}, from a corner");
    }
    // From the root of a binary tree of 2^(d+1) - 1 nodes, of one of four branches, of a star.
    for (nodes, branches, depth) in [(63, 2, 5), (21, 4, 2), (40, 39, 1), (8, 1, 7)] {
        assert_eq!(hops(&flood(nodes, GraphModel::Tree { branches })), depth, "a tree of {nodes}");
    }
}

#[test]
fn every_model_is_the_overlay_that_it_says() {
    let share = |share| Share::new(share).expect("a share");
    for (graph, links, least, most) in [
        (GraphModel::RandomRegular { degree: 5 }, 500, 5, 5),
        (GraphModel::SmallWorld { neighbors: 6, rewired: share(0.0) }, 600, 6, 6),
        (GraphModel::SmallWorld { neighbors: 4, rewired: share(1.0) }, 400, 2, 20),
        (GraphModel::PreferentialAttachment { links: 2 }, 396, 2, 100),
    ] {
        let report = run(&flood(200, graph.clone()));
        assert!(report.holds(), "{graph:?}: {:?}", report.verdicts);
        let (given, overlay) = (report.graph.expect("a graph"), &report.phases[0].overlay);
        assert_eq!(given.links, links, "{graph:?}");
        assert!((given.components, overlay.components) == (1, 1), "{graph:?}");
        assert!(given.least_degree >= least && given.most_degree <= most, "{graph:?}: {given:?}");
        assert_eq!(overlay.degrees.iter().position(|n| *n > 0), Some(given.least_degree));
        assert_eq!(overlay.degrees.len(), given.most_degree + 1);
        assert_eq!(overlay.mean_degree, 2.0 * links as f64 / 200.0);
    }
}

/// Nodes crash and start again, and some crash for good.
const TROUBLE: &str = "
duration = '120s'
nodes = { count = 120, joining = '5s' }
graph = { model = 'small-world', neighbors = 4, rewired = 0.2 }
links = { loss = 0.02, latency = { model = 'uniform', from = '5ms', to = '50ms' } }
workload = [{ from = '10s', pace.rate = 2.0 }]
faults = [
    { at = '20s', name = 'crash', do.crash = { who.count = 30 } },
    { at = '40s', name = 'restart', do.restart = { who = 'all', over = '5s' } },
    { at = '60s', name = 'cut', do.partition = { who.share = 0.5, for = '20s' } },
    { at = '90s', name = 'late', do.join = { count = 10, over = '1s' } },
]
[membership]
strategy = 'static'
";

#[test]
fn a_graph_is_repaired_as_far_as_it_is_to_be() {
    let mut repaired = scenario(TROUBLE);
    repaired.links.loss = Share::NONE;
    let judged = |scenario: &Scenario, assertion: &str| {
        let mut scenario = scenario.clone();
        scenario.assertions = vec![assertion.parse().expect("an assertion")];
        let report = run(&scenario);
        assert!(report.holds(), "{:?}", report.verdicts);
        report
    };
    judged(&repaired, "missing_links == 0 at 19s");
    judged(&repaired, "missing_links > 50 at 75s");
    let report = judged(&repaired, "missing_links == 0 from 115s");
    assert_eq!(report.phases[0].overlay.running_nodes, 130, "and ten who joined at random");
    assert_eq!(report.phases[0].overlay.components, 1);
    let mut rigid = repaired;
    let text = TROUBLE.replace("'static'", "'static'\nrepair = false");
    rigid.membership = scenario(&text).membership;
    // Whoever starts again joins as before; what the cut ended is never asked for again.
    judged(&rigid, "missing_links == 0 at 59s");
    judged(&rigid, "missing_links > 50 from 75s");
}

#[test]
fn a_run_is_the_same_on_any_number_of_threads() {
    for repair in ["repair = true", "repair = false"] {
        let scenario = scenario(&format!("{TROUBLE}{repair}"));
        let on = |threads| {
            let threads = NonZeroUsize::new(threads).expect("some");
            runner::run_on_threads(threads, &scenario, &mut ()).expect("a run")
        };
        let one = on(1);
        assert_eq!(one, on(2));
        assert_eq!(one, on(3));
        assert_eq!(one.violation, None);
    }
}

#[test]
fn another_strategy_joins_through_the_graph_and_leaves_it() {
    let text = FLOOD.replace("membership.strategy = 'static'", "membership.strategy = 'hyparview'");
    let mut scenario = scenario(&text.replace("'missing_links == 0 at 19s', ", ""));
    scenario.nodes.count = 100;
    scenario.graph = Some(GraphModel::Ring {});
    let report = run(&scenario);
    assert!(report.holds(), "{:?}", report.verdicts);
    assert!(report.phases[0].overlay.mean_degree > 4.0, "as always");
    assert!(report.overlay_series[0].missing_links > Some(0), "it is no ring any more");
}

#[test]
fn a_graph_in_pieces_is_told_and_no_broadcast_leaves_a_piece() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("pieces.edgelist");
    // Two triangles.
    fs::write(&file, "# two\n0 1 {}\n1 2 {}\n2 0 {}\n3 4\n4 5\n5 3\n").expect("written");
    let mut scenario = flood(6, GraphModel::File { file });
    scenario.assertions = vec!["reliability == 0.5".parse().expect("an assertion")];
    let report = run(&scenario);
    assert!(report.holds(), "{:?}", report.verdicts);
    let given = report.graph.expect("a graph");
    assert_eq!((given.components, given.largest_component), (2, 3));
}

/// What a file with this text is refused with.
fn refused(name: &str, text: &str, nodes: u32) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join(name), text).expect("written");
    let scenario = format!(
        "nodes.count = {nodes}\nmembership.strategy = 'static'\n\
         graph = {{ model = 'file', file = '{name}' }}\n"
    );
    let path = folder.path().join("f.toml");
    fs::write(&path, scenario).expect("written");
    let error = Scenario::read(&path, &[]).map(drop).expect_err("refused").to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn graphml(inner: &str) -> String {
    format!("<graphml>\n<graph edgedefault=\"undirected\">\n{inner}</graph>\n</graphml>\n")
}

#[test]
fn a_file_that_is_no_such_graph_is_refused_with_its_place() {
    let says = |name: &str, text: &str, said: &str| {
        let found = refused(name, text, 3);
        assert_eq!(found, format!("f.toml:3:34: graph.file: {name}: {said}"), "{text}");
    };
    says("g.csv", "0,1\n1,1\n", "line 2: node 1 is linked with itself");
    says("g.csv", "0,1\n1,2\n1,0\n", "line 3: 0 and 1 are linked twice");
    says("g.csv", "0,1\n", "has 2 nodes, and nodes.count = 3: they must be as many");
    let outside = "line 3: 3 is no node of the graph: 0 to 2 are, for nodes.count = 3";
    says("g.csv", "source,target,tree\n0,1,x\n3,0,y\n", outside);
    says("g.csv", "a,b\nb,c\nc,d\n", "has 4 nodes, and nodes.count = 3: they must be as many");
    says("g.csv", "0,1\n2\n", "line 2: must name the two nodes of a link");
    says("g.txt", "0 1\n\n2\n", "line 3: must name the two nodes of a link");
    says("g.txt", "", "has 0 nodes, and nodes.count = 3: they must be as many");
    let ending = "must end in .graphml, .gexf, .csv, .parquet, .edgelist, .edges or .txt";
    says("g.dot", "graph { 0 -- 1; }", ending);
    says("g.parquet", "PAR1", "row 0: EOF: Parquet file too small. Size is 4 but need 8");
    let node = |id: &str| format!("<node id=\"{id}\"/>\n");
    let three = [node("a"), node("b"), node("c")].concat();
    let edge = |from: &str, to: &str| format!("<edge source=\"{from}\" target=\"{to}\"/>\n");
    let with = |more: &str| graphml(&format!("{three}{more}"));
    says(
        "g.graphml",
        &with(&edge("a", "d")),
        "line 6: d is no node of the graph, whose nodes are listed",
    );
    says("g.graphml", &with(&edge("c", "c")), "line 6: node c is linked with itself");
    says("g.graphml", &with(&node("b")), "line 6: node b is listed twice");
    let twice = [edge("a", "b"), edge("b", "a")].concat();
    says("g.graphml", &with(&twice), "line 7: a and b are linked twice");
    says(
        "g.graphml",
        &graphml(&node("a")),
        "has 1 nodes, and nodes.count = 3: they must be as many",
    );
    says("g.graphml", &with("<node/>"), "line 6: node has no attribute id");
    says("g.graphml", &with("<hyperedge/>"), "line 6: a hyperedge is no link between two nodes");
    says("g.graphml", "<graphml>\n", "line 2: the file ends in the middle");
    says("g.graphml", "<graphml/>\n", "line 2: there is no graph in the file");
    says(
        "g.graphml",
        "<graphml>\n<graph/><graph/></graphml>",
        "line 2: is a second graph in the file",
    );
    let directed = "line 2: links have no direction: write an undirected graph";
    says("g.graphml", &with("").replace("undirected", "directed"), directed);
    let gexf = "<gexf><graph defaultedgetype=\"undirected\">\n<edges>\n\
        <edge source=\"0\" target=\"1\" type=\"directed\"/>\n</edges></graph></gexf>";
    says("g.gexf", gexf, "line 3: links have no direction: write an undirected graph");
    let mismatch = refused("g.graphml", "<graphml>\n<graph></graphml>\n", 3);
    assert!(mismatch.contains("g.graphml: line 2: "), "{mismatch}");
    assert!(
        refused("g.csv", "\u{feff}0,1\n1,1\n", 3).contains("line 2: node 1 is linked"),
        "a mark"
    );
}

#[test]
fn what_does_not_fit_is_refused_with_its_key() {
    let says = |text: &str, said: &str| {
        let document = Document::parse("f", text).expect("TOML");
        let error = document.scenario().map(drop).expect_err(text).to_string();
        assert_eq!(error, said, "{text}");
    };
    let regular = "graph = { model = 'random-regular', degree = 5 }\nnodes.count = ";
    says(
        &format!("{regular}5"),
        "f:1:46: graph.degree: graph.degree = 5: must be less than nodes.count = 5",
    );
    says(
        &format!("{regular}7"),
        "f:1:46: graph.degree: graph.degree = 5: must be even, because nodes.count = 7 is odd",
    );
    says(
        "graph = { model = 'small-world', neighbors = 3, rewired = 0.1 }",
        "f:1:46: graph.neighbors: graph.neighbors = 3: must be even",
    );
    says(
        "graph = { model = 'grid', width = 30 }",
        "f:1:35: graph.width: graph.width = 30: nodes.count = 1000 is no multiple of it",
    );
    says(
        "graph = { model = 'preferential-attachment', links = 9 }\nnodes.count = 9",
        "f:1:54: graph.links: graph.links = 9: must be less than nodes.count = 9",
    );
    // As many links as a file may have.
    says(
        "graph = { model = 'random-regular', degree = 16382 }\nnodes.count = 16777216",
        "f:1:46: graph.degree: graph.degree = 16382: with nodes.count = 16777216 these are 137422176256 links, \
         and a graph has 100000000 at most; allowed is 1 to 11",
    );
    says(
        "graph = { model = 'small-world', neighbors = 16382, rewired = 0 }\nnodes.count = 16777216",
        "f:1:46: graph.neighbors: graph.neighbors = 16382: with nodes.count = 16777216 these are 137422176256 \
         links, and a graph has 100000000 at most; allowed is 2 to 10",
    );
    says(
        "graph = { model = 'preferential-attachment', links = 6 }\nnodes.count = 16777216",
        "f:1:54: graph.links: graph.links = 6: with nodes.count = 16777216 these are 100663260 links, and a \
         graph has 100000000 at most; allowed is 1 to 5",
    );
    says(
        "graph = { model = 'grid', width = 0 }",
        "f:1:35: graph.width = 0: allowed is a whole number from 1 to 16777216",
    );
    says(
        "graph = { model = 'tre', branches = 2 }",
        "f:1:19: graph.model = \"tre\": did you mean tree?",
    );
    says(
        "graph = { model = 'tree', branches = 500 }\n[membership]\nstrategy = 'static'\nneighbors_capacity = 400",
        "f:1:9: graph: node 0 has 500 neighbours in the graph, and with membership.strategy = \"static\" a \
         node has at most 400",
    );
    says(
        "assertions = ['missing_links == 0']",
        "f:1:15: assertions.0: missing_links are those of a graph, and there is none: set graph.model",
    );
    says(
        "graph = { model = 'file', file = 'none.csv' }",
        "f:1:34: graph.file: none.csv: No such file or directory (os error 2)",
    );
}

/// Names that are no numbers are numbered in the order of the file.
#[test]
fn nodes_are_found_by_number_or_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let neighbors = |name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("written");
        let graph = flood(3, GraphModel::File { file }).contact_graph().expect("a graph");
        let graph = graph.expect("one");
        (0..3).map(|node| graph.neighbors(node).to_vec()).collect::<Vec<_>>()
    };
    let line = [vec![2], vec![2], vec![0, 1]];
    assert_eq!(neighbors("g.csv", "2,0\n1,2\n"), line);
    assert_eq!(neighbors("g.CSV", "weight, Target, Source\n1, 0, 2\n1, 1, 2\n"), line);
    assert_eq!(neighbors("g.edges", "x z\r\nz y # 9\n"), [vec![1], vec![0, 2], vec![1]]);
    let of = |ids: [&str; 3]| {
        let node = |id: &&str| format!("<node id=\"{id}\"><data>5</data></node>");
        let nodes: String = ids.iter().map(node).collect();
        let [a, b, c] = ids;
        graphml(&format!(
            "<edge source=\"{a}\" target=\"{b}\"/><edge source=\"{b}\" target=\"{c}\"/>{nodes}"
        ))
    };
    assert_eq!(neighbors("g.graphml", &of(["0", "2", "1"])), line, "their own numbers");
    let in_order = [vec![1], vec![0, 2], vec![1]];
    assert_eq!(neighbors("g.graphml", &of(["0", "7", "1"])), in_order, "some have died");
    assert_eq!(neighbors("g.graphml", &of(["n1", "a &lt; b", "n0"])), in_order);
}

#[test]
fn a_scenario_with_a_graph_is_written_and_read_again() {
    let file = Path::new("g.graphml").to_path_buf();
    let share = Share::new(0.25).expect("a share");
    for graph in [
        GraphModel::Ring {},
        GraphModel::File { file },
        GraphModel::SmallWorld { neighbors: 4, rewired: share },
    ] {
        let written = flood(30, graph.clone()).to_toml().expect("TOML");
        assert!(written.contains("[graph]"), "{written}");
        let read = written.parse::<toml::Table>().expect("TOML")["graph"].clone();
        assert_eq!(read.try_into::<GraphModel>().expect("a graph"), graph);
    }
}

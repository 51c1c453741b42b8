//! Keeps the house in order: short files, short functions, a word on top of each file, and modules that
//! build on each other without going round in circles.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

#[path = "tidy/imports.rs"]
mod imports;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use imports::{Circle, Crate, crates, show};

/// Where a file is longer, it mostly has two rooms in it. Less would make neighbours of what belongs
/// together.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const CRATES: [&str; 9] = [
    "membership",
    "broadcast",
    "overlay",
    "overlay/agent",
    "overlay/services",
    "simulator",
    "simulator/mutants",
    "simulator/twin",
    "benches",
];

/// Of a crate and one of its modules, the modules right below that from the bottom to the top: each imports
/// only from itself and from those before it. What the module's own file declares has the module's name.
const LAYERS: &[(&str, &str, &[&str])] = &[
    (
        "membership/src",
        "the root",
        &[
            "snapshot",
            "range",
            "parameters",
            "time",
            "peer",
            "bounded",
            "sample",
            "contacts",
            "marks",
            "figure",
            "shared",
            "protocol",
            "testing",
            "either",
            "strategy",
            "links",
            "redial",
            "hyparview",
            "full_mesh",
            "static_overlay",
            "cyclon",
            "scamp",
        ],
    ),
    (
        "broadcast/src",
        "the root",
        &[
            "shared",
            "id",
            "compact",
            "progress",
            "seen",
            "protocol",
            "strategy",
            "cache",
            "flood",
            "gossip",
            "plumtree",
            "anti_entropy",
        ],
    ),
    (
        "overlay/src",
        "the root",
        &[
            "erased",
            "keys",
            "service",
            "channel",
            "router",
            "stack",
            "testing",
            "id",
            "discovery",
            "node",
            "http",
        ],
    ),
    (
        "overlay/src",
        "node",
        &[
            "spoil",
            "clock",
            "budget",
            "admission",
            "unreachable",
            "event",
            "pressure",
            "state",
            "heard",
            "contacts",
            "wire",
            "authorship",
            "limits",
            "book",
            "reach",
            "topics",
            "transport",
            "link",
            "command",
            "services",
            "bulletin",
            "stack",
            "channels",
            "metrics",
            "config",
            "host",
            "driver",
            "node",
            "crawl",
            "spawn",
            "fuzzing",
        ],
    ),
    (
        "overlay/src",
        "node::admission",
        &["denial", "secret", "certificate", "admission", "notice", "gate", "handshake"],
    ),
    ("overlay/src", "node::authorship", &["batch", "verified", "authorship"]),
    (
        "overlay/src",
        "node::channels",
        &[
            "declare", "wire", "error", "counts", "receipts", "shared", "lane", "lanes", "inbound",
            "ends", "inbox", "demux", "hub", "receiver", "relay", "sender", "endpoint",
        ],
    ),
    (
        "overlay/services/src",
        "the root",
        &[
            "clock", "dot", "key", "delta", "store", "compare", "roster", "config", "values",
            "command", "cluster", "views", "node",
        ],
    ),
    (
        "simulator/src",
        "the root",
        &["model", "engine", "observe", "strategies", "experiment", "study", "present", "cli"],
    ),
    (
        "simulator/twin/src",
        "the root",
        &[
            "error",
            "netns",
            "strategies",
            "supported",
            "protocol",
            "report",
            "channels",
            "node",
            "switch",
            "testbed",
            "observations",
            "replay",
            "table",
        ],
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for member in CRATES {
        for folder in ["src", "tests", "examples"] {
            collect(&root.join(member).join(folder), &mut found);
        }
    }
    assert!(found.len() > 40, "only {} files found: has the layout changed?", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("readable");
            found.push((path, text));
        }
    }
}

/// The functions of a formatted file: name, and length in lines up to the brace that closes them.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let Some((before, after)) = code.split_once("fn ") else { continue };
        let is_word = |word: &str| word.starts_with("pub") || word == "const";
        if !before.split_whitespace().all(is_word) {
            continue;
        }
        let name = after.split(['(', '<']).next().unwrap_or(after);
        let close = format!("{}}}", &line[..line.len() - code.len()]);
        let opens = lines[at..].iter().find(|line| line.ends_with(['{', '}', ';']));
        let has_body = opens.is_some_and(|line| line.ends_with('{'));
        let length = lines[at..].iter().position(|line| *line == close).filter(|_| has_body);
        found.push((name, length.map_or(1, |last| last + 1)));
    }
    found
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut untidy = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            untidy.push(format!("{}: {lines} lines, at most {FILE_LINES}", path.display()));
        }
        if !text.starts_with("//! ") {
            untidy.push(format!("{}: no module documentation on top", path.display()));
        }
    }
    assert!(untidy.is_empty(), "{untidy:#?}");
}

/// Where strategies may be named: in their folders, where they are registered or chosen by default, and where
/// one of them is what it is about.
const NAMES_STRATEGIES: [&str; 26] = [
    "membership/src/hyparview/",
    "membership/src/full_mesh/",
    "membership/src/static_overlay/",
    "membership/src/cyclon/",
    "membership/src/scamp/",
    "membership/src/lib.rs",
    "broadcast/src/plumtree/",
    "broadcast/src/flood.rs",
    "broadcast/src/gossip/",
    "broadcast/src/lib.rs",
    "overlay/src/node/config.rs",
    "overlay/agent/src/config/",
    "overlay/agent/src/cluster/flock.rs",
    "simulator/src/strategies/",
    "simulator/src/experiment/runner/static_dispatch.rs",
    "simulator/src/study/paper/",
    "simulator/src/cli/paper.rs",
    "simulator/twin/src/strategies.rs",
    "benches/src/engine.rs",
    "benches/src/services/flock.rs",
    // Words for people: help, examples of commands.
    "simulator/src/cli/args.rs",
    "simulator/src/cli/compare.rs",
    "overlay/agent/src/cluster/mod.rs",
    // For tests and fuzzers.
    "overlay/src/node/wire/check.rs",
    "/tests",
    "/examples/",
];

#[test]
fn strategies_are_named_where_they_are_registered() {
    let names = [
        "hyparview",
        "plumtree",
        "full_mesh",
        "full-mesh",
        "fullmesh",
        "static_overlay",
        "staticoverlay",
        "cyclon",
        "scamp",
        "flood::",
        "gossip::",
    ];
    let mut untidy = Vec::new();
    for (path, text) in sources() {
        let path = path.display().to_string();
        if NAMES_STRATEGIES.iter().any(|allowed| path.contains(allowed)) {
            continue;
        }
        let product = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code = product.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|line| {
            let line = line.to_lowercase();
            names.iter().any(|name| line.contains(name))
        }) {
            untidy.push(format!("{path}: {}", line.trim()));
        }
    }
    assert!(untidy.is_empty(), "{untidy:#?}");
}

#[test]
fn functions_are_short() {
    let mut untidy = Vec::new();
    let mut seen = 0;
    for (path, text) in sources() {
        for (name, lines) in functions(&text) {
            seen += 1;
            if lines > FUNCTION_LINES {
                untidy.push(format!("{}: fn {name} has {lines} lines", path.display()));
            }
        }
    }
    assert!(seen > 300, "only {seen} functions found: does the search still work?");
    assert!(untidy.is_empty(), "at most {FUNCTION_LINES} lines: {untidy:#?}");
}

#[test]
fn function_lengths_are_measured() {
    let body = "        x();\n".repeat(80);
    let long = format!("impl X {{\n    pub(crate) fn long(\n    ) {{\n{body}    }}\n}}\n");
    assert_eq!(functions(&long), [("long", 83)]);
    let short = "const fn a() {}\nfn b() {\n}\nfn c(\n    x: u8,\n);\n";
    assert_eq!(functions(short), [("a", 1), ("b", 2), ("c", 1)]);
}

fn all_crates() -> Vec<Crate> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let found: Vec<_> =
        CRATES.iter().flat_map(|member| crates(&root, &root.join(member).join("src"))).collect();
    assert!(found.len() > CRATES.len(), "only {} crates found", found.len());
    let imports: usize = found.iter().map(|one| one.imports().len()).sum();
    assert!(imports > 800, "only {imports} imports found: does the search still work?");
    found
}

#[test]
fn modules_side_by_side_import_in_no_circle() {
    let mut untidy = Vec::new();
    for one in all_crates() {
        for Circle { parent, children, imports } in one.circles() {
            untidy.push((one.name.clone(), parent, children, imports));
        }
    }
    assert!(untidy.is_empty(), "circles: {untidy:#?}");
}

#[test]
fn layers_import_only_from_those_below() {
    let crates = all_crates();
    let mut untidy = Vec::new();
    for (name, parent, layers) in LAYERS {
        let of = crates.iter().find(|one| one.name == *name).expect("a crate of this name");
        let children: BTreeSet<_> = of.children(parent);
        let own = parent.rsplit("::").next();
        let listed: BTreeSet<_> = layers.iter().copied().filter(|l| Some(*l) != own).collect();
        assert_eq!(
            children, listed,
            "{name}, {parent}: each module has its layer, each layer is one"
        );
        for [from, to] in of.imports_below(parent) {
            let layer = |of: &str| layers.iter().position(|l| *l == of);
            if layer(&to).is_none_or(|below| Some(below) > layer(&from)) {
                untidy.push(format!("{name}, {parent}: {from} -> {to}"));
            }
        }
    }
    assert!(untidy.is_empty(), "imports from above: {untidy:#?}");
}

/// A crate of these files.
fn crate_of(files: &[(&str, &str)]) -> Crate {
    let module =
        |path: &str| path.split('/').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Crate::new(
        "it".into(),
        files.iter().map(|(path, text)| (module(path), (*text).into())).collect(),
    )
}

#[test]
fn imports_count_for_the_file_that_declares() {
    let of = crate_of(&[
        ("", "pub mod a;\npub mod b;\npub use b::{inner::Deep, Near as Close};\n"),
        (
            "a",
            "//! use crate::b::No;\nuse crate::{\n    Deep,\n    b::{self, Near},\n};\nfn f() { b::g(); }\n",
        ),
        ("b", "pub mod inner;\npub use inner::*;\npub struct Near;\npub fn g() {}\n"),
        ("b/inner", "pub struct Deep;\nmod time {\n    use super::Deep;\n}\n"),
        ("a/own", "use super::*;\nfn f(_: Near) {}\n"),
        (
            "c",
            "use crate::b::Deep;\nfn f(_: crate::Close) {}\n#[cfg(test)]\nmod tests {\n    use crate::a;\n}\n",
        ),
    ]);
    let shown = of.imports().into_iter().map(|(from, to)| format!("{} {}", show(&from), show(&to)));
    let expected = ["a b", "a b::inner", "a::own a", "a::own b", "c b", "c b::inner"];
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn circles_are_found_at_every_level() {
    let of = crate_of(&[
        ("", ""),
        ("a", "use x::Y;\n"),
        ("a/x", "use super::Own;\nuse crate::b;\n"),
        ("a/y", "use super::z::Z;\n"),
        ("a/z", "use crate::a::y;\n"),
        ("b", "use crate::a::x;\n"),
        ("c", "use crate::b;\n"),
    ]);
    let found = of.circles().into_iter().map(|Circle { parent, children, imports }| {
        format!("{parent}: {} by {} imports", children.join(" "), imports.len())
    });
    assert_eq!(found.collect::<Vec<_>>(), ["the root: a b by 2 imports", "a: y z by 2 imports"]);
}

#[test]
fn layers_are_those_of_one_level() {
    let of = crate_of(&[
        ("", "pub use a::x::Y;\npub struct Own;\n"),
        ("a", "pub use x::Y;\npub struct Here;\n"),
        ("a/x", "use super::Here;\nuse crate::b;\npub struct Y;\n"),
        ("a/z", "mod deep;\nmod more;\n"),
        ("a/z/deep", "use crate::a::Y;\nuse super::more::M;\n"),
        ("a/z/more", "pub struct M;\n"),
        ("b", "use crate::Own;\n"),
    ]);
    assert_eq!(of.children("a"), BTreeSet::from(["x", "z"]));
    let shown = |parent| of.imports_below(parent).iter().map(|i| i.join(" ")).collect::<Vec<_>>();
    assert_eq!(shown("the root"), ["a b", "b the root"]);
    assert_eq!(shown("a"), ["x a", "z x"]);
}

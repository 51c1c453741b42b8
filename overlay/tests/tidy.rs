//! Keeps the house in order: short files, short functions, and a word on top of each file.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::fs;
use std::path::{Path, PathBuf};

/// Where a file is longer, it mostly has two rooms in it. Less would make neighbours of what belongs
/// together.
const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
const CRATES: [&str; 6] =
    ["membership", "broadcast", "overlay", "overlay/agent", "simulator", "benches"];

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

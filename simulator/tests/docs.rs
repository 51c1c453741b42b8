//! What is written from the schema is what the schema says.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;

use murmurate_simulator::experiment::scenario::{reference, schema};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    std::fs::read_to_string(path).expect("a file of the documentation")
}

/// `murmurate-sim schema > docs/scenario.schema.json`
#[test]
fn the_published_schema_is_the_one_that_files_are_checked_against() {
    let published: serde_json::Value =
        serde_json::from_str(&read("scenario.schema.json")).expect("JSON");
    assert!(published == schema(), "write the schema again");
}

/// `murmurate-sim schema --reference`, behind the introduction.
#[test]
fn the_reference_is_the_schema_s() {
    assert!(read("scenarios.md").ends_with(&reference()), "write the reference again");
}

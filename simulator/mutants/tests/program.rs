//! The program: what it lists, and what it refuses before it builds anything.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn mutants(folder: &Path, arguments: &[&str]) -> Output {
    let mut mutants = Command::new(env!("CARGO_BIN_EXE_mutants"));
    mutants.args(arguments).current_dir(folder).output().expect("the program runs")
}

#[test]
fn the_program_lists_them() {
    let root = repository();
    let text = String::from_utf8(mutants(&root, &["--list"]).stdout).expect("text");
    let files = root.join("simulator/mutants").read_dir().expect("a folder");
    let patches = files.filter(|file| {
        let path = file.as_ref().expect("readable").path();
        path.extension().is_some_and(|extension| extension == "patch")
    });
    assert_eq!(text.lines().count(), patches.count());
    let json = mutants(&root.join("docs"), &["--list", "--json", "echo"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json[0]["with"][0], "plumtree");
}

/// What goes wrong before anything is built.
#[test]
fn what_cannot_be_tried_is_said_with_status_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let says = |arguments: &[&str]| {
        let output = mutants(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    assert!(says(&[]).contains("call it in the repository"));
    let patches = folder.path().join("simulator/mutants");
    std::fs::create_dir_all(&patches).expect("a folder");
    let patch = "It says no.\nDrawn with: plumtree\n\n--- a/code.rs\n+++ b/code.rs\n\
        @@ -1 +1 @@\n-yes\n+no\n";
    std::fs::write(patches.join("denial.patch"), patch).expect("written");
    std::fs::write(folder.path().join("code.rs"), "maybe\n").expect("written");
    assert!(says(&["denail"]).contains("\"denail\" is not a mutant: did you mean denial?"));
    let said = says(&["--scratch", "scratch"]);
    assert!(said.contains("0 of 1 mutants caught"), "{said}");
    assert!(said.contains("denial: DOES NOT APPLY: denial.patch: error: patch failed"), "{said}");
    std::fs::write(patches.join("denial.patch"), "It says no.\n").expect("written");
    assert!(
        says(&[])
            .contains("denial.patch: the second line must begin with Drawn with: or Judged by:")
    );
}

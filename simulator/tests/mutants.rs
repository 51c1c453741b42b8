//! Deliberate bugs: that each still is one of the code that is there. Whether the swarm finds them takes
//! a build of each: the program `mutants` does it.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use murmurate_simulator::study::mutants::{Finder, Mutant};
use murmurate_simulator::study::swarm::With;

fn all() -> Vec<Mutant> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mutants");
    Mutant::all(&folder).expect("patches")
}

/// The repository, if this is one and not the crate as it is published.
fn repository() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    root.join(".git").exists().then(|| root.to_owned())
}

#[test]
fn every_patch_applies() {
    let Some(root) = repository() else { return };
    for mutant in all() {
        let patch = format!("simulator/mutants/{}.patch", mutant.name);
        let git =
            Command::new("git").args(["apply", "--check", &patch]).current_dir(&root).output();
        let git = git.expect("git");
        assert!(git.status.success(), "{patch}: {}", String::from_utf8_lossy(&git.stderr));
        // From elsewhere git would leave it out and say nothing.
        for file in &mutant.files {
            assert!(root.join(file).is_file(), "{patch}: {}", file.display());
        }
    }
}

#[test]
fn every_patch_says_what_it_is() {
    let all = all();
    assert!(all.len() >= 58 + 23, "{} are left", all.len());
    for Mutant { name, about, finder, files, .. } in all {
        let is_name =
            name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(is_name && name.len() <= 24, "{name}");
        assert!(
            about.len() > 10 && about.starts_with(|c: char| c.is_uppercase()),
            "{name}: {about}"
        );
        let of = |folder: &str| files.iter().all(|file| file.starts_with(folder));
        let part = match &finder {
            Finder::Swarm(with) => match with.first() {
                Some(With::Strategy("hyparview")) => of("membership/src/hyparview"),
                Some(With::Strategy("full-mesh")) => {
                    let files = of("membership/src/full_mesh") || of("membership/src/redial.rs");
                    files && name.starts_with("mesh-")
                }
                Some(With::Strategy("static")) => {
                    of("membership/src/static_overlay") && name.starts_with("static-")
                }
                Some(With::Strategy("plumtree")) => of("broadcast/src/plumtree"),
                Some(With::AntiEntropy) => of("broadcast/src/anti_entropy"),
                _ => false,
            },
            Finder::Tests(_) => of("simulator/src") == name.starts_with("judge-"),
        };
        assert!(part, "{name} is for {finder:?} and changes {files:?}");
    }
}

fn mutants(folder: &Path, arguments: &[&str]) -> Output {
    let mut mutants = Command::new(env!("CARGO_BIN_EXE_mutants"));
    mutants.args(arguments).current_dir(folder).output().expect("the program runs")
}

#[test]
fn the_program_lists_them() {
    let Some(root) = repository() else { return };
    let text = String::from_utf8(mutants(&root, &["--list"]).stdout).expect("text");
    assert_eq!(text.lines().count(), all().len());
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

//! `murmurate-sim run --save` and `--from` from outside: one settled overlay, and many runs that start from
//! it.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The overlay settles, and then somebody fails.
const SCENARIO: &str = "duration = '20s'\nassertions = ['reliability > 0.5 from 10s']\n\
    nodes = { count = 40, joining = '2s' }\n\
    [[workload]]\nfrom = '5s'\ncount = 10\npace.rate = 5.0\n\
    [[workload]]\nfrom = '10s'\npace.rate = 2.0\n\
    [[faults]]\nat = '12s'\ndo.crash.who.share = '20%'\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        std::fs::write(folder.path("f.toml"), SCENARIO).expect("a file");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, arguments: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
        command.args(arguments.split(' ')).current_dir(self.0.path());
        command.output().expect("the binary runs")
    }

    /// Standard output of a run that succeeds.
    fn done(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &str) -> Value {
        serde_json::from_str(&self.done(&format!("{arguments} --json"))).expect("one object")
    }

    /// The only line of standard error of one that is refused.
    fn refused(&self, arguments: &str) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments}");
        assert!(output.stdout.is_empty(), "{arguments}");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(error.lines().count(), 1, "{arguments}: {error}");
        error
    }
}

#[test]
fn a_run_from_a_saved_overlay_is_the_run_itself() {
    let folder = Folder::new();
    let expected = folder.json("run f.toml");
    let saved = folder.json("run f.toml --save-at 8s --save warm --threads 2");
    let size = folder.path("warm").metadata().expect("it is there").len();
    assert_eq!((&saved["saved"], &saved["nodes"]), (&"warm".into(), &40.into()));
    assert_eq!((&saved["bytes"], &saved["at_seconds"]), (&size.into(), &8.0.into()));
    assert!(!folder.path("warm.new").exists(), "it is moved to its place");
    for how in ["--from warm --threads 3", "--set from=warm"] {
        let found = folder.json(&format!("run f.toml {how}"));
        for figure in ["digest", "events", "messages", "phases", "verdicts", "series"] {
            assert_eq!(found[figure], expected[figure], "{figure} with {how}");
        }
    }
    let told = folder.done("run f.toml --save-at 8s --save again");
    assert!(told.starts_with("saved: again: 40 nodes at 8s, "), "{told}");
    let read = |name: &str| std::fs::read(folder.path(name)).expect("a file");
    assert!(read("again") == read("warm"), "the same overlay is the same file");
}

#[test]
fn sweeps_and_comparisons_start_from_one_overlay() {
    let folder = Folder::new();
    folder.done("run f.toml --save-at 8s --save warm");
    folder.done("sweep f.toml --from warm --vary faults.0.do.crash.who.share=20%,50% --seeds 3");
    let table = std::fs::read_to_string(folder.path("sweep.csv")).expect("a table");
    let mut rows = table.lines().map(|row| row.split(',').collect::<Vec<_>>());
    let head = rows.next().expect("a head");
    let at = head.iter().position(|column| *column == "digest").expect("a column");
    let digests: Vec<String> = rows.map(|row| row[at].to_owned()).collect();
    assert_eq!(digests.len(), 6);
    let of = |seed: u32, share: &str| {
        let set = format!("--set faults.0.do.crash.who.share={share}");
        folder.json(&format!("run f.toml --from warm --seed {seed} {set}"))["digest"].clone()
    };
    assert_eq!(digests[0], folder.json("run f.toml")["digest"], "its own seed, unforked");
    assert_eq!(digests[1], of(2, "20%"));
    assert_eq!(digests[5], of(3, "50%"));
    let mut different = digests.clone();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), 6, "{digests:?}");
    let compared = folder.json(
        "compare f.toml --from warm --b faults.0.do.crash.who.share=60% --seeds 3 --figures reliability",
    );
    assert_eq!(compared["seeds"], 3);
    // Another overlay is another sweep.
    let id = |of: &str| of.split(&[' ', ':'][..]).nth(1).map(str::to_owned);
    let one = folder.done("sweep f.toml --from warm --seeds 1 --overwrite");
    folder.done("run f.toml --seed 9 --save-at 8s --save warm");
    let other = folder.done("sweep f.toml --from warm --seeds 1 --overwrite");
    assert_ne!(id(&one), id(&other));
}

#[test]
fn what_does_not_fit_is_one_clear_line() {
    let folder = Folder::new();
    let was = "--save-at: 1s: allowed is from 2s, when all nodes have joined, to 20s";
    assert_eq!(folder.refused("run f.toml --save-at 1s --save warm"), format!("error: {was}\n"));
    let late = folder.refused("run f.toml --save-at 13s --save warm");
    assert!(late.contains("faults.0.at: 12s is before the overlay is saved at 13s"), "{late}");
    assert!(!folder.path("warm").exists() && !folder.path("warm.new").exists());
    assert!(
        folder.refused("run f.toml --save warm --save-at soon").contains("\"soon\" is not a time")
    );
    folder.done("run f.toml --save-at 8s --save warm");
    let other = folder.refused("run f.toml --from warm --set membership.active_capacity=4");
    assert_eq!(other, "error: membership.active_capacity: 4 here, but warm was made with 5\n");
    let none = folder.refused("run f.toml --from f.toml");
    assert_eq!(none, "error: from: f.toml: it is no saved overlay\n");
    let swept = folder.refused("sweep f.toml --from warm --vary nodes.count=40,41 --seeds 1");
    assert!(swept.contains("nodes.count: 41 here, but "), "{swept}");
    let whole = std::fs::read(folder.path("warm")).expect("a file");
    std::fs::write(folder.path("half"), &whole[..whole.len() / 2]).expect("room");
    assert_eq!(folder.refused("run f.toml --from half"), "error: from: half: it is cut off\n");
}

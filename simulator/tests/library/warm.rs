//! Runs that start from a saved overlay: each gives the report of the run that was never saved, and what
//! cannot be is refused by name.

use std::fs;
use std::io::Write;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use murmurate_simulator::experiment::runner::{Observer, RunError, run_on_threads};
use murmurate_simulator::experiment::scenario::{Document, Scenario, Span};
use serde_json::Value;

/// Saves a run in memory.
struct Saving {
    at: Span,
    bytes: Vec<u8>,
}

impl Observer for Saving {
    fn saves_at(&self) -> Option<Span> {
        Some(self.at)
    }

    fn save(&mut self) -> Option<&mut dyn Write> {
        Some(&mut self.bytes)
    }
}

pub(crate) fn scenario(text: &str) -> Scenario {
    let document = Document::parse("test", text).expect("TOML");
    document.scenario().unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn report(threads: usize, scenario: &Scenario) -> Result<Value, RunError> {
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let report = run_on_threads(threads, scenario, &mut ())?;
    Ok(serde_json::to_value(&report).expect("JSON"))
}

pub(crate) fn save(threads: usize, scenario: &Scenario, at: &str) -> Result<Vec<u8>, RunError> {
    let threads = NonZeroUsize::new(threads).expect("at least one");
    let mut saving = Saving { at: at.parse().expect("a time"), bytes: Vec::new() };
    let report = run_on_threads(threads, scenario, &mut saving)?;
    assert_eq!(report.violation, None);
    Ok(saving.bytes)
}

pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn file(&self, bytes: &[u8]) -> PathBuf {
        let path = self.path("overlay");
        fs::write(&path, bytes).expect("room");
        path
    }
}

pub(crate) fn from(file: &Path, scenario: &Scenario) -> Scenario {
    Scenario { from: Some(file.to_owned()), ..scenario.clone() }
}

/// Everybody joins, the tree settles, and then half of the nodes fail, while broadcasts go on.
const CALM: &str = "duration = '40s'
    nodes.count = 60
    nodes.joining = '3s'
    assertions = ['components == 1 at 8s', 'mean_degree > 1 at 40s', 'messages > 10 from 5s',
        'latency_p99 < 10s', 'reliability > 0.1 from 3s until 9s', 'components == 1 within 20s of crash']
    [[workload]]
    from = '4s'
    count = 12
    pace.pause = '150ms'
    [[workload]]
    from = '6s'
    until = '35s'
    pace.poisson = 3.0
    sender = 'one'
    [[workload]]
    from = '20s'
    count = 20
    pace.rate = 4.0
    [[faults]]
    at = '15s'
    do.crash.who.share = '40%'
    [[faults]]
    at = '18s'
    do.churn = { for = '10s', how.sessions = { up.exponential.mean = '4s', down.exponential.mean = '4s' } }
    [measure]
    overlay_every = '2s'
    load = true
    phases = [{ name = 'joining', from = '0s' }, { name = 'calm', from = '5s' },
        { name = 'failure', from = '15s' }]
    ";

/// What else there is to a scenario, and when it is saved.
fn variants() -> Vec<(&'static str, String, &'static str)> {
    let with = |more: &str| format!("{CALM}\n{more}");
    vec![
        ("hyparview and plumtree", with(""), "10s"),
        ("at a moment when much happens", with(""), "15s"),
        (
            "between two looks",
            with("[links]\nlatency = { model = 'uniform', from = '3ms', to = '90ms' }"),
            "9.123s",
        ),
        ("full mesh", with("[membership]\nstrategy = 'full-mesh'"), "10s"),
        ("flood", with("[broadcast]\nstrategy = 'flood'\n[links]\nloss = 0.05"), "10s"),
        (
            "anti-entropy",
            with(
                "[anti_entropy]\nexchange_interval = '1s'\n[broadcast]\nstrategy = 'flood'\n[links]\nloss = 0.2",
            ),
            "10s",
        ),
        (
            "anti-entropy around plumtree",
            with("[anti_entropy]\nexchange_interval = '1s'\n[links]\nloss = 0.1"),
            "10s",
        ),
        (
            "all models",
            with(
                "[links]\nlatency = { model = 'aws' }\njitter = '5ms'\nbandwidth = { up = '10Mbit/s', \
                 down = '20Mbit/s', queue = '256KiB' }\nbursts = { share = 0.05, length = '200ms', loss = 0.5 }\n\
                 transport = 'streams'\nconnections = { round_trips = 2, timeout = '3s', idle = '10s' }\n\
                 [nodes.processor]\nmessage = '200us'\nrate = '100Mbit/s'",
            ),
            "10s",
        ),
        (
            "channels that are used later",
            with(
                "[[channels]]\nname = 'mail'\nkind = 'acknowledged'\n[[workload]]\nfrom = '12s'\n\
                 count = 30\npace.rate = 5.0\nsend = { channel = 'mail', to = 'random' }",
            ),
            "10s",
        ),
    ]
}

#[test]
fn a_run_from_a_file_is_the_run_that_was_never_saved() {
    let folder = Folder::new();
    for (what, text, at) in variants() {
        let one = scenario(&text);
        let expected = report(1, &one).expect("it runs");
        let files: Vec<_> = (1..=3).map(|threads| save(threads, &one, at).expect(what)).collect();
        assert!(files.iter().all(|file| *file == files[0]), "{what}: one file");
        let saved = folder.file(&files[0]);
        for threads in 1..=3 {
            let found = report(threads, &from(&saved, &one)).expect(what);
            assert_eq!(found["digest"], expected["digest"], "{what}, on {threads} threads");
            assert_eq!(found, expected, "{what}, on {threads} threads");
        }
    }
}

#[test]
fn a_run_from_a_file_can_be_saved_again() {
    let folder = Folder::new();
    let one = scenario(CALM);
    let expected = report(1, &one).expect("it runs");
    let first = folder.file(&save(2, &one, "6s").expect("saved"));
    let again = save(3, &from(&first, &one), "12s").expect("saved again");
    assert!(again == save(1, &one, "12s").expect("saved"), "the same file");
    let found = report(2, &from(&folder.file(&again), &one)).expect("it runs");
    assert_eq!(found, expected);
}

#[test]
fn many_runs_start_from_one_file() {
    let folder = Folder::new();
    let one = scenario(CALM);
    let saved = folder.file(&save(1, &one, "10s").expect("saved"));
    let digest = |scenario: &Scenario| {
        report(2, &from(&saved, scenario)).expect("it runs")["digest"].to_string()
    };
    let own = digest(&one);
    let reseeded = Scenario { seed: 2, ..one.clone() };
    let other = digest(&reseeded);
    assert_ne!(other, own, "faults strike others");
    assert_eq!(other, digest(&reseeded), "a run is a function of its seed and its file");
    assert_ne!(other, report(1, &reseeded).expect("it runs")["digest"].to_string());
    let mut calmer = one.clone();
    calmer.faults.clear();
    calmer.workload.truncate(2);
    calmer.assertions.clear();
    calmer.measure.phases.truncate(2);
    assert_ne!(digest(&calmer), own, "nothing goes wrong");
    // What is the same by then is the same.
    let expected = report(1, &calmer).expect("it runs");
    assert_eq!(digest(&calmer), expected["digest"].to_string());
}

#[test]
fn a_scenario_that_does_not_fit_is_told_where() {
    let folder = Folder::new();
    let saved = folder.file(&save(1, &scenario(CALM), "10s").expect("saved"));
    let says = |change: &str, whole: &str| {
        let mut document = Document::parse("test", CALM).expect("TOML");
        if !change.is_empty() {
            document.set(change).expect(change);
        }
        document.set(&format!("from={}", saved.display())).expect("from");
        let said = document.scenario().map(drop).expect_err(change).to_string();
        assert!(
            said.replace(&saved.display().to_string(), "FILE").contains(whole),
            "{change}: {said}"
        );
    };
    says("nodes.count=61", "nodes.count: 61 here, but FILE was made with 60");
    says(
        "membership.active_capacity=4",
        "membership.active_capacity: 4 here, but FILE was made with 5",
    );
    says(
        "broadcast.strategy=flood",
        "broadcast.strategy: \"flood\" here, but FILE was made with \"plumtree\"",
    );
    says("links.loss=0.1", "links.loss: ");
    says("workload.0.count=13", "workload.0.count: 13 here, but FILE was made with 12");
    says("measure.phases.1.from=6s", "measure.phases.1.from: ");
    says("faults.0.at=9s", "faults.0.at: 9s is before 10s, when FILE was saved");
    says("duration=10s", "duration: 10s is over at 10s, when FILE was saved");
    says(
        "anti_entropy.exchange_interval=2s",
        "anti_entropy: a table here, but FILE was made with nothing",
    );
    says("nodes.processor.message=1ms", "nodes.processor: ");
}

#[test]
fn what_nobody_looked_at_is_no_verdict() {
    let folder = Folder::new();
    let bare = scenario("duration = '12s'\nnodes = { count = 20, joining = '2s' }");
    let saved = folder.file(&save(1, &bare, "10s").expect("saved"));
    let says = |assertion: &str| {
        let mut one = from(&saved, &bare);
        one.assertions = vec![assertion.parse().expect("an assertion")];
        report(1, &one)
            .map_or_else(|error| error.to_string(), |report| report["verdicts"].to_string())
    };
    for fine in
        ["messages > 1", "components == 1", "components == 1 at 11s", "messages >= 1 from 10s"]
    {
        assert!(says(fine).contains("\"holds\":true"), "{fine}: {}", says(fine));
    }
    let expected = {
        let mut one = bare.clone();
        one.assertions = vec!["messages > 1".parse().expect("an assertion")];
        report(1, &one).expect("it runs")["verdicts"].to_string()
    };
    assert_eq!(says("messages > 1"), expected, "of the whole run");
    assert_eq!(
        says("messages > 1 from 5s"),
        "assertions.0: its window begins before the overlay was saved, and nobody counted in it at 10s"
    );
    assert_eq!(
        says("components == 1 at 5s"),
        "assertions.0: it is about the overlay at 5s, when nobody looked: it was saved at 10s"
    );
}

#[test]
fn what_cannot_be_saved_is_named() {
    let says = |text: &str, at: &str| match save(1, &scenario(text), at) {
        Ok(_) => "saved".to_owned(),
        Err(error) => error.to_string(),
    };
    let nodes = "nodes = { count = 20, joining = '2s' }\nduration = '20s'\n";
    assert_eq!(says(nodes, "2s"), "saved");
    let range = "allowed is from 2s, when all nodes have joined, to 20s";
    assert_eq!(says(nodes, "1s"), format!("--save-at: 1s: {range}"));
    assert_eq!(says(nodes, "21s"), format!("--save-at: 21s: {range}"));
    let fault = format!("{nodes}[[faults]]\nat = '4s'\ndo.crash.who.count = 1");
    assert_eq!(says(&fault, "4s"), "saved");
    assert_eq!(
        says(&fault, "5s"),
        "faults.0.at: 4s is before the overlay is saved at 5s: only an overlay without faults is"
    );
    let sends = format!(
        "{nodes}channels = [{{ name = 'mail', kind = 'acknowledged' }}]\n[[workload]]\nfrom = '3s'\n\
         count = 3\npace.rate = 5.0\nsend = {{ channel = 'mail', to = 'random' }}"
    );
    assert_eq!(
        says(&sends, "5s"),
        "workload.0.from: 3s is before the overlay is saved at 5s: channels are not saved"
    );
    let looks_up =
        format!("{nodes}[[workload]]\nfrom = '3s'\ncount = 3\npace.rate = 5.0\nlook_up = {{}}");
    assert_eq!(says(&looks_up, "5s"), "workload.0.look_up: nodes with routers are not saved");
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let folder = Folder::new();
    let one = scenario("duration = '12s'\nnodes = { count = 20, joining = '2s' }");
    let bytes = save(1, &one, "10s").expect("saved");
    let says = |bytes: &[u8]| {
        let file = folder.file(bytes);
        let error =
            report(1, &from(&file, &one)).map(drop).expect_err("it is not whole").to_string();
        error.replace(&file.display().to_string(), "FILE")
    };
    assert_eq!(says(b"nodes.count = 3\n"), "from: FILE: it is no saved overlay");
    assert_eq!(says(&bytes[..bytes.len() - 1]), "from: FILE: it is cut off");
    assert_eq!(says(&bytes[..30]), "from: FILE: it is cut off");
    let mut changed = bytes.clone();
    let middle = bytes.len() / 2;
    changed[middle] ^= 1;
    assert_eq!(says(&changed), "from: FILE: it is damaged: piece 1 is not as it was written");
    changed = bytes.clone();
    changed[16] = 99;
    assert_eq!(says(&changed), "from: FILE: its format is 99, and this program reads 9");
    let gone = from(Path::new("/nowhere/overlay"), &one);
    let error = report(1, &gone).map(drop).expect_err("there is none").to_string();
    assert!(error.starts_with("from: /nowhere/overlay: "), "{error}");
}

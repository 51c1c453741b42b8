//! `murmurate-sim sweep`, `merge` and `compare` from outside: the same table however it is made, and
//! what is said about wrong input.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// Two phases, somebody fails, and hardly anything takes time.
const SCENARIO: &str = "duration = '20s'\nassertions = ['reliability > 0.5 from 10s']\n\
    nodes = { count = 30, joining = '2s' }\nlinks.loss = 0.05\n\
    [[workload]]\nfrom = '8s'\npace.rate = 2.0\n\
    [[faults]]\nat = '12s'\nname = 'failure'\ndo.crash.who.share = '20%'\n\
    [measure]\nphases = [{ name = 'before', from = '0s' }, { name = 'after', from = '12s' }]\n";

const SWEEP: [&str; 8] =
    ["sweep", "f.toml", "--vary", "active_capacity=3..4", "--vary", "loss=0,10%", "--seeds", "3"];

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

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the binary runs")
    }

    /// Standard output of a run that succeeds.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// The only line of standard error of one that is refused.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(error.lines().count(), 1, "{arguments:?}: {error}");
        error
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    fn files(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.0.path()).expect("a folder");
        let name = |file: std::io::Result<std::fs::DirEntry>| {
            file.expect("a file").file_name().to_string_lossy().into_owned()
        };
        let mut names: Vec<String> = files.map(name).collect();
        names.sort();
        names
    }
}

fn with<'a>(arguments: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [arguments, more].concat()
}

fn rows(table: &[u8]) -> Vec<csv::StringRecord> {
    csv::Reader::from_reader(table).records().map(|row| row.expect("a row")).collect()
}

fn column(table: &[u8], name: &str) -> Vec<String> {
    let mut reader = csv::Reader::from_reader(table);
    let at = reader.headers().expect("columns").iter().position(|column| column == name);
    let at = at.expect(name);
    reader.records().map(|row| row.expect("a row")[at].to_owned()).collect()
}

#[test]
fn a_table_depends_on_the_sweep_and_on_nothing_else() {
    let folder = Folder::new();
    let printed = folder.done(&with(&SWEEP, &["--jobs", "1", "--summary", "means.csv"]));
    assert!(printed.contains("12 of 12 runs"), "{printed}");
    let (table, means) = (folder.read("sweep.csv"), folder.read("means.csv"));
    assert_eq!(column(&table, "run"), (0..12).map(|run| run.to_string()).collect::<Vec<_>>());
    assert_eq!(column(&table, "membership.active_capacity")[5..7], ["3", "4"]);
    assert_eq!(column(&table, "links.loss")[2..4], ["0", "10%"]);
    assert_eq!(column(&table, "seed")[..4], ["1", "2", "3", "1"]);
    let digests = column(&table, "digest");
    assert_eq!(digests.iter().collect::<std::collections::BTreeSet<_>>().len(), 12, "{digests:?}");
    // As `run` has it.
    let set = ["--set", "active_capacity=4", "--set", "loss=10%", "--seed", "3", "--json"];
    let json: serde_json::Value =
        serde_json::from_str(&folder.done(&with(&["run", "f.toml"], &set))).expect("JSON");
    assert_eq!(json["digest"], digests[11]);
    let rmr = column(&table, "after.rmr")[11].parse::<f64>().expect("a number");
    assert_eq!(json["phases"][1]["rmr"], rmr);

    for force in [["--jobs", "2"], ["--jobs", "5"], ["--threads", "3"]] {
        folder.done(&[&SWEEP, &force[..], &["--out", "again.csv", "--overwrite"]].concat());
        assert!(folder.read("again.csv") == table, "{force:?}");
    }
    for order in [["1", "2", "3", "4", "5"], ["4", "2", "5", "1", "3"]] {
        for shard in order {
            folder.done(&with(&SWEEP, &["--shard", &format!("{shard}/5"), "--overwrite"]));
        }
        let names = order.map(|shard| format!("sweep-{shard}-of-5.csv"));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let output = ["--out", "merged.csv", "--summary", "merged-means.csv", "--overwrite"];
        folder.done(&[&["merge"], &names[..], &output].concat());
        assert!(folder.read("merged.csv") == table, "shards in order {order:?}");
        assert!(folder.read("merged-means.csv") == means, "shards in order {order:?}");
    }
    let left = folder.files().into_iter().find(|name| !name.ends_with(".csv") && name != "f.toml");
    assert_eq!(left, None, "nothing is left behind");
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_says_what_csv_says() {
    let folder = Folder::new();
    let out = ["--out", "t.csv", "--out", "t.parquet", "--summary", "means.parquet"];
    folder.done(&with(&SWEEP, &out));
    for shard in ["1", "2"] {
        folder.done(&with(&SWEEP, &["--shard", &format!("{shard}/2"), "--out", "part.parquet"]));
    }
    let to = ["--out", "m.parquet", "--out", "m.csv", "--summary", "m-means.parquet"];
    folder.done(&with(&["merge", "part-2-of-2.parquet", "part-1-of-2.parquet"], &to));
    assert!(folder.read("m.csv") == folder.read("t.csv"));
    assert!(folder.read("m.parquet") == folder.read("t.parquet"));
    assert!(folder.read("m-means.parquet") == folder.read("means.parquet"));
    // By another reader: types of the columns, and holes.
    use parquet::file::reader::{FileReader, SerializedFileReader};
    let reader =
        SerializedFileReader::try_from(folder.path("t.parquet").as_path()).expect("Parquet");
    let schema = reader.metadata().file_metadata().schema();
    let kind = |name: &str| {
        let field = schema.get_fields().iter().find(|field| field.name() == name).expect(name);
        field.get_physical_type().to_string()
    };
    assert_eq!(kind("membership.active_capacity"), "INT64");
    assert_eq!(kind("links.loss"), "BYTE_ARRAY");
    assert_eq!(kind("after.rmr"), "DOUBLE");
    for count in ["events", "messages", "after.broadcasts", "after.components", "holds"] {
        assert_eq!(kind(count), "INT64", "{count}");
    }
}

#[test]
fn summaries_are_those_of_the_rows() {
    let folder = Folder::new();
    let arguments = with(&SWEEP, &["--summary", "means.csv", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&folder.done(&arguments)).expect("JSON");
    let values: Vec<f64> = column(&folder.read("sweep.csv"), "after.rmr")[3..6]
        .iter()
        .map(|value| value.parse().expect("a number"))
        .collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    let sorted = {
        let mut sorted = values;
        sorted.sort_by(f64::total_cmp);
        sorted
    };
    assert!(sorted[0] < sorted[2]);
    let means = folder.read("means.csv");
    let row = rows(&means)
        .into_iter()
        .find(|row| &row[1] == "3" && &row[2] == "10%" && &row[3] == "after.rmr");
    let row = row.expect("a row");
    let number = |at: usize| row[at].parse::<f64>().expect("a number");
    assert_eq!(&row[4], "3");
    for (found, expected) in
        [(number(5), mean), (number(6), sorted[1]), (number(9), sorted[0]), (number(10), sorted[2])]
    {
        assert!((found - expected).abs() < 1e-8, "{found}, not {expected}");
    }
    assert_eq!((&row[7], &row[8]), ("", ""), "three values have no interval");
    let cell = &json["cells"][1];
    assert_eq!(cell["values"]["membership.active_capacity"], 3);
    let greatest = cell["figures"]["after.rmr"]["greatest"].as_f64().expect("a number");
    // JSON is read to the last digit but one.
    assert!((greatest - number(10)).abs() < 1e-12, "{greatest}, not {}", number(10));
    let figures = rows(&means).len() / 4;
    assert!(figures > 40 && json["cells"].as_array().is_some_and(|cells| cells.len() == 4));
}

#[test]
fn an_interrupted_sweep_goes_on_where_it_was() {
    let folder = Folder::new();
    folder.done(&with(&SWEEP, &["--out", "whole.csv"]));
    let whole = String::from_utf8(folder.read("whole.csv")).expect("text");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    // Rows as they came, one of them marked, and the last one cut off.
    let marked = lines[4].replacen(&column(whole.as_bytes(), "digest")[3], "0123456789abcdef", 1);
    let partial = [lines[0], lines[7], &marked, &lines[9][..30]].concat();
    std::fs::write(folder.path("sweep.csv.partial"), &partial).expect("a file");
    let error = folder.refused(&SWEEP);
    assert!(
        error.contains("sweep.csv.partial: an interrupted sweep left it: continue with --resume"),
        "{error}"
    );
    let printed = folder.done(&with(&SWEEP, &["--resume"]));
    assert!(printed.contains("12 of 12 runs, 2 of them before"), "{printed}");
    let expected = [&lines[..4], &[&marked], &lines[5..]].concat().concat();
    assert_eq!(String::from_utf8(folder.read("sweep.csv")).expect("text"), expected);
    // Once more: nothing to do, and another table of it.
    let again = ["--resume", "--summary", "means.csv"];
    assert!(folder.done(&with(&SWEEP, &again)).contains("12 of them before"));
    assert_eq!(String::from_utf8(folder.read("sweep.csv")).expect("text"), expected);
    // What is of another sweep stays.
    for (name, content) in [("sweep.csv", &expected), ("other.csv.partial", &partial)] {
        std::fs::write(folder.path(name), content).expect("a file");
        let out = name.trim_end_matches(".partial");
        let other = with(&SWEEP[..6], &["--seeds", "4", "--resume", "--out", out]);
        let error = folder.refused(&other);
        assert!(error.contains(&format!("{name}: belongs to sweep ")), "{error}");
        assert!(folder.read(name) == content.as_bytes(), "{name} is as it was");
    }
    assert!(!folder.path("sweep.csv.partial").exists());
}

#[test]
fn a_sweep_that_is_killed_has_lost_nothing_that_was_done() {
    let folder = Folder::new();
    let arguments = ["sweep", "f.toml", "--seeds", "2000", "--jobs", "2"];
    let mut child = folder.command(&arguments).spawn().expect("the binary runs");
    let lines = |name: &str| match std::fs::read(folder.path(name)) {
        Ok(bytes) => bytes.iter().filter(|byte| **byte == b'\n').count(),
        Err(_) => 0,
    };
    // Another process writes it, and wakes nobody: what ends this for certain is its own end.
    while lines("sweep.csv.partial") < 6 {
        assert!(child.try_wait().expect("it can be asked").is_none(), "it has not ended yet");
        std::thread::sleep(Duration::from_millis(5));
    }
    // While it runs nobody else writes there.
    let error = folder.refused(&with(&arguments, &["--resume"]));
    assert!(error.contains("another process writes it"), "{error}");
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let before = lines("sweep.csv.partial");
    // The same sweep has the same seeds: go on with what is there.
    let printed = folder.done(&with(&arguments, &["--resume", "--json"]));
    assert!(printed.contains("\"runs\":2000"), "{printed}");
    assert!(before >= 6 && column(&folder.read("sweep.csv"), "run").len() == 2000);
}

/// Arguments, and what the error says of them.
const WRONG: &[(&[&str], &str)] = &[
    (
        &["sweep", "f.toml", "--vary", "activ_capacity=3"],
        "did you mean membership.active_capacity?",
    ),
    (&["sweep", "f.toml", "--vary", "active_capacity=8..3"], "8..3 is empty"),
    (
        &["sweep", "f.toml", "--vary", "active_capacity=a..b"],
        "membership.active_capacity = \"a..b\": allowed is a whole number from 1 to 64",
    ),
    (
        &["sweep", "f.toml", "--vary", "loss=1..3"],
        "--vary links.loss=2: links.loss = 2: allowed is a share",
    ),
    (
        &["sweep", "f.toml", "--vary", "at=1s,2s", "--vary", "at=1s"],
        "faults.0.at: it is varied already",
    ),
    (&["sweep", "f.toml", "--set", "nodes.count=0"], "--set nodes.count=0: nodes.count = 0"),
    (&["sweep", "f.toml", "--seeds", "0"], "'0'"),
    (&["sweep", "f.toml", "--jobs", "0"], "'0'"),
    (&["sweep", "f.toml", "--shard", "3/2"], "3/2: allowed are 1/2 to 2/2"),
    (&["sweep", "f.toml", "--seeds", "2", "--shard", "3/3"], "--shard 3/3: there are only 2 runs"),
    (&["sweep", "f.toml", "--shard", "1/2", "--summary", "s.csv"], "--summary needs all shards"),
    (
        &["sweep", "f.toml", "--figures", "rmrr"],
        "--figures rmrr: there is no such figure: did you mean",
    ),
    (
        &["sweep", "f.toml", "--out", "nowhere/t.csv"],
        "nowhere/t.csv: cannot be written: No such file",
    ),
    (
        &["sweep", "f.toml", "--out", "t.csv", "--summary", "nowhere/t.csv"],
        "nowhere/t.csv: cannot be written",
    ),
    (&["sweep", "f.toml", "--out", "t.xlsx"], "t.xlsx: must end in .csv or .parquet"),
    (&["sweep", "f.toml", "--out", "there.csv"], "there.csv: exists already"),
    (&["sweep", "f.toml", "--out", "t.csv", "--out", "t.csv"], "t.csv: is to be two tables"),
    (&["sweep", "nothing.toml"], "nothing.toml: cannot be read"),
    (&["merge", "there.csv"], "there.csv: is not a table of a sweep"),
    (&["merge", "nothing.csv"], "nothing.csv: No such file"),
    (&["compare", "f.toml"], "A and B are the same"),
    (
        &["compare", "f.toml", "--b", "nodes.cuont=3"],
        "--b nodes.cuont=3: nodes.cuont is not a key: did you mean count?",
    ),
    (&["compare", "f.toml", "--b", "loss=0", "--seeds", "1"], "from 2 to"),
    (
        &["compare", "f.toml", "--b", "loss=0", "--figures", "speed"],
        "--figures speed: there is no such figure",
    ),
];

#[test]
fn wrong_input_is_one_clear_line_before_anything_runs() {
    let folder = Folder::new();
    std::fs::write(folder.path("there.csv"), "mine").expect("a file");
    let before = folder.files();
    for (arguments, expected) in WRONG {
        let error = folder.refused(arguments);
        assert!(error.contains(expected), "{arguments:?}: {error}");
        assert_eq!(folder.files(), before, "{arguments:?} leaves nothing behind");
    }
    #[cfg(not(feature = "parquet"))]
    {
        let error = folder.refused(&["sweep", "f.toml", "--out", "t.parquet"]);
        assert!(error.contains("built without the feature parquet"), "{error}");
    }
}

#[test]
fn only_all_shards_of_one_sweep_can_be_merged() {
    let folder = Folder::new();
    for shard in 1..=3 {
        folder.done(&with(&SWEEP, &["--shard", &format!("{shard}/3")]));
    }
    folder.done(&with(&SWEEP[..6], &["--seeds", "2", "--out", "foreign.csv"]));
    let tables = ["sweep-1-of-3.csv", "sweep-2-of-3.csv", "sweep-3-of-3.csv"];
    let [one, two, three] = tables;
    let table = String::from_utf8(folder.read(two)).expect("text");
    let cut = table[..table.trim_end().rfind('\n').expect("rows")].to_owned() + "\n";
    std::fs::write(folder.path("cut.csv"), cut).expect("a file");
    std::fs::write(folder.path("torn.csv"), &table[..table.len() - 50]).expect("a file");
    let header = &table[..=table.find('\n').expect("rows")];
    std::fs::write(folder.path("empty.csv"), header).expect("a file");
    std::fs::write(folder.path("columns.csv"), table.replacen("after.rmr", "after.rmR", 1))
        .expect("a file");
    let before = folder.files();
    for (tables, expected) in [
        (&[one, three][..], "4 of 12 runs are missing: those of shard 2/3"),
        (&[two], "8 of 12 runs are missing: those of shard 1/3, 3/3"),
        (
            &[one, two, three, two],
            "sweep-2-of-3.csv: has run 1, as has sweep-2-of-3.csv: is a shard given twice?",
        ),
        (&[one, "cut.csv", three], "1 of 12 runs are missing: the first is 10"),
        (&[one, "torn.csv", three], "torn.csv: CSV error: record 4"),
        (&[one, "empty.csv", three], "4 of 12 runs are missing: those of shard 2/3"),
        (&["empty.csv", one], "empty.csv: has no rows"),
        (&[one, "columns.csv", three], "columns.csv: has other columns"),
        (&[one, "foreign.csv"], "foreign.csv: belongs to sweep "),
        (&[one, "f.toml"], "f.toml: must end in .csv or .parquet"),
    ] {
        let error = folder.refused(&with(&["merge"], tables));
        assert!(error.contains(expected), "{tables:?}: {error}");
        assert_eq!(folder.files(), before, "{tables:?} leave nothing behind");
    }
    folder.done(&with(&["merge"], &tables));
}

#[test]
fn two_configurations_are_compared_seed_by_seed() {
    let folder = Folder::new();
    let options = ["compare", "f.toml", "--b", "broadcast.strategy=flood", "--seeds", "6"];
    let printed = folder.done(&options);
    assert!(printed.contains("b: f with broadcast.strategy=flood"), "{printed}");
    let rmr = printed.lines().find(|line| line.starts_with("before.rmr")).expect("a row");
    assert!(rmr.ends_with("differs"), "{rmr}");
    let json = folder.done(&with(&options, &["--json", "--figures", "rmr", "--jobs", "1"]));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rmr = &json["figures"][0];
    assert_eq!(rmr["figure"], "before.rmr");
    assert_eq!((&rmr["pairs"], &rmr["significant"]), (&6.into(), &true.into()));
    let number = |value: &serde_json::Value| value.as_f64().expect("a number");
    let difference = number(&rmr["b"]) - number(&rmr["a"]);
    assert!((number(&rmr["difference"]["mean"]) - difference).abs() < 1e-12, "{rmr}");
    assert_eq!(json["unlike"], serde_json::json!([]));
    let unlike =
        folder.done(&["compare", "f.toml", "--a", "loss=0", "--b", "loss=10%", "--seeds", "2"]);
    assert!(unlike.contains("not the same noise on both sides"), "{unlike}");
    assert!(Path::new(&folder.path("f.toml")).exists());
}

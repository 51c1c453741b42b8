//! The program: a small scenario in two worlds. It takes root, `ip` and the kernel's `tun`; without them it is
//! reported as ignored.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "../../../overlay/tests/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use serde_json::Value;

/// Twelve nodes, of which four are killed, and one of those comes back; everything is asserted in both worlds.
const SCENARIO: &str = r#"
name = "a kill"
duration = "14s"
assertions = [
  "running_nodes == 12 at 6s",
  "running_nodes == 8 at 8s",
  "running_nodes == 9 at 14s",
  "components == 1 within 5s of the kill",
  "least_reliability == 1 from 4s until 6s",
  "least_reliability == 1 from 12s until 13s",
  "channel.state.delivered == 1 from 4s until 6s",
  "channel.state.delivered == 1 from 11s until 12s",
]
nodes = { count = 12, joining = "1s" }
links = { latency = { model = "constant", time = "5ms" }, transport = "streams", connections = {} }
channels = [{ name = "state", kind = "acknowledged" }]
workload = [
  { from = "3s", until = "13s", pace.rate = 10.0 },
  { from = "3s", until = "12s", pace.rate = 20.0, payload = 100, send.channel = "state" },
]
faults = [
  { at = "7s", name = "the kill", do.crash.who.nodes = [2, 3, 5, 7] },
  { at = "9s", do.restart.who.nodes = [5] },
]
"#;

fn main() -> ExitCode {
    let tests =
        harness::tests![both_worlds_agree, what_cannot_be_is_refused_before_anything_is_made];
    harness::run(tests, || harness::debian(&["iproute2"], works))
}

/// A device in a namespace of its own.
fn works() -> Result<(), String> {
    let name = format!("mmt{:x}-try", std::process::id());
    let ip = |arguments: &[&str]| harness::succeeds(Command::new("ip").args(arguments));
    ip(&["netns", "add", &name])
        .map_err(|why| format!("no network namespaces here, which take root: {why}"))?;
    let device = ip(&["-n", &name, "tuntap", "add", "mode", "tun", "twin0"]);
    let gone = ip(&["netns", "del", &name]);
    device.map_err(|why| format!("no tun devices here: {why}")).and(gone)
}

fn twin(scenario: &Path, arguments: &[&str]) -> Output {
    let mut twin = Command::new(env!("CARGO_BIN_EXE_murmurate-twin"));
    twin.arg(scenario).args(arguments).output().expect("the program runs")
}

fn both_worlds_agree() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("kill.toml");
    std::fs::write(&file, SCENARIO).expect("written");
    let output = twin(&file, &["--json"]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    let both: Value = serde_json::from_str(&said).expect("JSON");
    let figure = |name: &str| {
        let mut rows = both[0]["figures"].as_array().expect("rows").iter();
        rows.find(|row| row["figure"] == name).expect(name)
    };
    for (name, least, most) in [
        ("broadcasts", 1.0, 1.0),
        ("running nodes", 1.0, 1.0),
        ("components", 1.0, 1.0),
        ("reliability", 0.9, 1.1),
        ("messages: join", 0.5, 2.0),
        ("state: messages", 1.0, 1.0),
        ("state: delivered", 0.9, 1.1),
        // As long as the latency says, if not longer: the machine may be busy.
        ("delivery p50, ms", 0.9, f64::INFINITY),
    ] {
        let ratio = figure(name)["ratio"].as_f64().expect(name);
        assert!((least..=most).contains(&ratio), "{name}: {ratio}: {said}");
    }
}

fn what_cannot_be_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("drift.toml");
    let drift = "faults = [{ at = \"1s\", do.clock-drift = { who = \"all\", rate = 2.0 } }]";
    std::fs::write(&file, format!("nodes.count = 9\n{drift}\n")).expect("written");
    let output = twin(&file, &[]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        format!(
            "error: {}: faults.0.do.clock-drift: all processes of a machine have one clock\n",
            file.display()
        )
    );
}

//! A real Prometheus scrapes real nodes. It needs Debian's package `prometheus`, which it installs if
//! it may; otherwise it is reported as ignored.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use agent::{Agent, Process, Signal, comes, eventually, get, text};
use serde_json::Value;

/// A Prometheus that scrapes these every second.
fn prometheus(folder: &Path, targets: &[&Agent]) -> (Process, SocketAddr) {
    let targets: Vec<_> = targets.iter().map(|agent| format!("\"{}\"", agent.metrics)).collect();
    let config = folder.join("prometheus.yml");
    let text = format!(
        "global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\nscrape_configs:\n  - job_name: murmurate\n    \
         static_configs:\n      - targets: [{}]\n",
        targets.join(", ")
    );
    std::fs::write(&config, text).expect("written");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    let log = std::fs::File::create(folder.join("prometheus.log")).expect("a log");
    let started = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={free}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    (Process(started.expect("prometheus runs")), free)
}

/// What a query is at this moment: the values of its series.
fn query(at: SocketAddr, query: &str) -> Option<Vec<String>> {
    std::net::TcpStream::connect(at).ok()?;
    let query: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let answer = get(at, &format!("/api/v1/query?query={query}"));
    let body = &answer[answer.find('{')?..=answer.rfind('}')?];
    let json: Value = serde_json::from_str(body).ok()?;
    let series = json["data"]["result"].as_array()?;
    Some(series.iter().map(|one| one["value"][1].as_str().unwrap_or("").to_owned()).collect())
}

fn prometheus_scrapes_what_nodes_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Agent::start(folder.path(), "one", &["--first"]);
    let two = Agent::start(folder.path(), "two", &["--join", &one.address]);
    let mut three = Agent::start(folder.path(), "three", &["--join", &one.address]);
    for agent in [&one, &two, &three] {
        eventually("they join", || (agent.neighbors().len() == 2).then_some(()));
    }
    assert!(two.command(&["broadcast", "news", "hello"]).status.success());

    let answer = one.get("/metrics");
    let (_, scrape) = answer.split_once("\r\n\r\n").expect("headers and a body");
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    assert!((50..=500).contains(&series), "{series} series");
    let promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut promtool = promtool.expect("promtool runs");
    promtool.stdin.take().expect("piped").write_all(scrape.as_bytes()).expect("written");
    let checked = promtool.wait_with_output().expect("it ends");
    let said = text(&checked.stdout) + &text(&checked.stderr);
    assert!(checked.status.success() && said.is_empty(), "promtool: {said}");

    let (_prometheus, at) = prometheus(folder.path(), &[&one, &two, &three]);
    let is = |what: &str, expected: &[&str]| {
        let mut last = None;
        let is_so = || {
            last = query(at, what);
            last.as_deref().is_some_and(|values| values == expected).then_some(())
        };
        if comes(is_so).is_none() {
            let log = std::fs::read_to_string(folder.path().join("prometheus.log"));
            panic!("{what} is {last:?}, not {expected:?}: {}", log.unwrap_or_default());
        }
    };
    is("up", &["1", "1", "1"]);
    is("sum(murmurate_active_view_peers)", &["6"]);
    is("sum(murmurate_broadcasts_total{outcome=\"delivered\"})", &["2"]);
    is("count(murmurate_build_info)", &["3"]);
    is("count(scrape_samples_scraped > 500) or vector(0)", &["0"]);
    // One leaves: the others count it, and Prometheus sees it gone.
    three.process.signal(Signal::SIGTERM);
    assert!(three.process.ends().success());
    is("sum(up)", &["2"]);
    is("sum(murmurate_active_view_peers)", &["2"]);
}

fn main() -> ExitCode {
    harness::run(harness::tests![prometheus_scrapes_what_nodes_count], || {
        harness::debian(&["prometheus"], || {
            ["prometheus", "promtool"]
                .iter()
                .try_for_each(|program| harness::succeeds(Command::new(program).arg("--version")))
        })
    })
}

//! The report in a real browser: it says nothing on the console, asks nobody for anything, and shows
//! the figures of the run.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod debian;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn chromium() -> bool {
    debian::there_is(&["chromium"], || debian::succeeds(Command::new("chromium").arg("--version")))
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
    run.current_dir(folder).arg("run").args(arguments).output().expect("the binary runs")
}

/// Runs a scenario: what it prints as JSON, and its page.
fn reported(folder: &Path, arguments: &[&str]) -> (Value, String) {
    let output = run(folder, &[arguments, &["--json", "--report", "page.html"]].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("JSON: {said}"));
    (json, std::fs::read_to_string(folder.join("page.html")).expect("a page"))
}

/// Opens a page in a browser that has no network, runs a script in it at last, and returns the value
/// of it, with everything that was said on the console.
fn browse(folder: &Path, page: &str, script: &str) -> (Value, Vec<String>) {
    let probe = format!(
        "<script>(async () => {{ {script} }})().then((found) => {{\
         const element = document.createElement('pre'); element.id = 'found';\
         element.textContent = encodeURIComponent(JSON.stringify(found));\
         document.body.append(element); }});</script></body>"
    );
    let path = folder.join("probed.html");
    std::fs::write(&path, page.replace("</body>", &probe)).expect("written");
    let profile = tempfile::tempdir().expect("a folder");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--enable-logging=stderr", "--virtual-time-budget=60000"])
        .args(["--window-size=1400,3000", "--host-resolver-rules=MAP * ~NOTFOUND"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}", path.display()))
        .output()
        .expect("chromium runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let console = said.lines().filter(|line| line.contains("CONSOLE")).map(ToOwned::to_owned);
    let found = text.split("<pre id=\"found\">").nth(1).and_then(|rest| rest.split('<').next());
    let found = found.map_or(Value::Null, |found| {
        let bytes = percent_decoded(found);
        serde_json::from_slice(&bytes).expect("JSON")
    });
    (found, console.collect())
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next(), rest.next()].map(|digit| digit.expect("two digits"));
            let digits = std::str::from_utf8(&digits).expect("digits").to_owned();
            bytes.push(u8::from_str_radix(&digits, 16).expect("digits"));
        } else {
            bytes.push(byte);
        }
    }
    bytes
}

/// What the charts, the tables and the picture of the overlay show.
const LOOK: &str = r"
    await report.ready;
    const data = {};
    for (const [id, chart] of report.charts) {
        data[id] = Object.fromEntries(chart.getOption().series.map((s) => [s.name, s.data]));
        if (!chart.getDom().querySelector('canvas')) data[id] = 'is not drawn';
    }
    const marks = report.charts.get('healing')?.getOption().series[0].markLine.data.map((m) => [m.xAxis, m.name]);
    const slider = document.getElementById('time');
    const moments = [];
    for (let at = 0; at <= Number(slider.max); at++) {
        slider.value = at;
        slider.dispatchEvent(new Event('input'));
        const series = Object.fromEntries(report.topology.chart.getOption().series.map((s) => [s.name, s.data.length]));
        moments.push([document.getElementById('moment').textContent, document.getElementById('shown').textContent, series]);
    }
    const places = {};
    for (const layout of ['tree', 'forces']) {
        const select = document.getElementById('layout');
        select.value = layout;
        select.dispatchEvent(new Event('input'));
        const nodes = report.topology.chart.getOption().series.find((s) => s.name === 'nodes').data;
        places[layout] = nodes.every((node) => node.value.slice(0, 2).every(Number.isFinite)) ? nodes.length : 'nowhere';
    }
    const canvas = document.querySelector('#topology canvas');
    const text = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
    return { data, marks, moments, places, text: document.body.innerText, note: text('#overlay .note')[0],
        colors: text('#color option'), cells: text('#first td'), drawn: canvas.width > 500 && canvas.height > 300 };
";

fn pairs(series: &Value, key: &str) -> Value {
    let points = series.as_array().expect("a list").iter();
    points.map(|point| json!([point["at"], point[key]])).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|v| v.as_f64().expect("a number")).collect()
}

#[test]
fn the_page_shows_the_figures_of_the_run() {
    if !chromium() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = reported(folder.path(), &["mass-failure", "--set", "nodes.count=500"]);
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");

    let charts = &found["data"];
    assert_eq!(charts["reliability"]["reliability"], pairs(&run["series"], "reliability"));
    assert_eq!(charts["redundancy"]["RMR"], pairs(&run["series"], "rmr"));
    assert_eq!(charts["redundancy"]["last delivery hop"], pairs(&run["series"], "ldh"));
    assert_eq!(charts["healing"]["components"], pairs(&run["overlay_series"], "components"));
    assert_eq!(charts["traffic"]["running nodes"], pairs(&run["series"], "running_nodes"));
    assert!(run["overlay_series"].as_array().map(Vec::len) > Some(50), "the overlay is looked at");
    assert_eq!(found["marks"], json!([[40.0, "mass-failure"]]));
    for phase in run["phases"].as_array().expect("a list") {
        let name = phase["phase"].as_str().expect("a name");
        let curve = charts["latency"][name].as_array().expect("a curve");
        for (shown, point) in
            curve[1..].iter().zip(phase["latency_curve"].as_array().expect("a curve"))
        {
            let ([x, share], [seconds, of]) = (&numbers(shown)[..], &numbers(point)[..]) else {
                panic!("pairs")
            };
            assert!((x - 1e3 * seconds).abs() < 1e-9 && share == of, "{shown} {point}");
        }
        let running = phase["running_nodes"].as_f64().expect("a number");
        let nodes: f64 =
            numbers(&charts["degrees"][name]).iter().map(|share| share * running).sum();
        assert!((nodes - running).abs() < 1e-6, "{nodes} of {running}");
        let degrees = numbers(&phase["degrees"]);
        let shown = numbers(&charts["degrees"][name]);
        let (last, expected) = (shown.last().expect("one"), degrees.last().expect("one") / running);
        assert!(
            shown.len() <= degrees.len() + 3 && (shown.len() < degrees.len() || *last <= 1.0),
            "{last} {expected}"
        );
    }
    let load = &run["load"]["sent"]["curve"];
    assert_eq!(
        charts["load"]["sent"].as_array().expect("a curve")[1..],
        load.as_array().expect("a curve")[..]
    );
    let text = found["text"].as_str().expect("a text");
    for said in [
        run["digest"].as_str().expect("a text"),
        "murmurate-sim run mass-failure --set nodes.count=500",
    ] {
        assert!(text.contains(said), "{said}");
    }
    let cells: Vec<&str> =
        found["cells"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for verdict in run["verdicts"].as_array().expect("a list") {
        let assertion = verdict["assertion"].as_str().expect("a text");
        let at = cells.iter().position(|cell| *cell == assertion).expect("its row");
        let holds = if verdict["holds"] == true { "✓ holds" } else { "✗ fails" };
        assert_eq!(cells[at + 1], holds, "{assertion}");
    }
    overlay(&run, &found);
}

/// The picture of the overlay has as many nodes and links as there are.
fn overlay(run: &Value, found: &Value) {
    assert_eq!(found["note"].as_str().map(|note| note.starts_with("All 500 nodes.")), Some(true));
    assert_eq!(found["drawn"], true);
    let moments = found["moments"].as_array().expect("a list");
    assert_eq!(moments.len(), 48, "the fault is at one of them");
    let phase = run["phases"].as_array().and_then(|phases| phases.last()).expect("a phase");
    let degrees = numbers(&phase["degrees"]);
    let ends: f64 = (0..).zip(&degrees).map(|(degree, nodes)| f64::from(degree) * nodes).sum();
    let last = &moments[47];
    let series = |moment: &Value, name: &str| moment[2][name].as_f64().expect("a number");
    assert!((series(last, "nodes") - degrees.iter().sum::<f64>()).abs() < 0.5, "{last}");
    assert!(
        (series(last, "tree") + series(last, "other links") - ends / 2.0).abs() < 0.5,
        "{last}"
    );
    assert!((series(last, "not running") - 250.0).abs() < 0.5, "{last}");
    // A tree over those that run has a link fewer than nodes; a few more join it now and then.
    assert!((249.0..=275.0).contains(&series(last, "tree")), "{last}");
    let shown = last[1].as_str().expect("a text");
    assert!(
        shown.starts_with("250 run") && shown.ends_with("after mass-failure (40 s)"),
        "{shown}"
    );
    let first = &moments[0];
    assert!(series(first, "nodes") < 200.0, "they join over ten seconds: {first}");
    assert_eq!(found["places"], json!({"tree": 250, "forces": 250}));
}

#[test]
fn regions_stand_beside_the_best_possible() {
    if !chromium() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = reported(folder.path(), &["aws-regions", "--set", "nodes.count=100"]);
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");
    let charts: Vec<&String> = found["data"].as_object().expect("charts").keys().collect();
    let all = [
        "degrees",
        "healing",
        "latency",
        "load",
        "redundancy",
        "regions",
        "reliability",
        "traffic",
    ];
    assert_eq!(charts, all, "there is something about everything");
    let regions = run["phases"][1]["regions"].as_array().expect("a list");
    for (chart, of, quantile) in [
        ("median", "latency_seconds", "p50"),
        ("p99", "latency_seconds", "p99"),
        ("best possible, median", "best_seconds", "p50"),
        ("best possible, p99", "best_seconds", "p99"),
    ] {
        let shown = numbers(&found["data"]["regions"][chart]);
        let expected =
            regions.iter().map(|region| 1e3 * region[of][quantile].as_f64().expect("a number"));
        assert_eq!(shown, expected.collect::<Vec<_>>(), "{chart}");
    }
    assert_eq!(found["colors"], json!(["region", "degree", "load"]));
}

#[test]
fn of_many_nodes_a_sample_is_drawn_and_the_page_says_so() {
    if !chromium() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let many = [
        "quickstart",
        "--set",
        "nodes.count=3000",
        "--set",
        "duration=45s",
        "--set",
        "assertions=[]",
    ];
    let (_, page) = reported(folder.path(), &many);
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");
    let note = found["note"].as_str().expect("a text");
    assert!(
        note.starts_with("A sample: 2,000 of 3,000 nodes, those nearest to node 0 at 1"),
        "{note}"
    );
    let moments = found["moments"].as_array().expect("a list");
    assert_eq!(moments.last().expect("some")[2]["nodes"], 2_000);
}

/// Whoever writes a scenario cannot run scripts in the report of somebody else.
#[test]
fn what_a_scenario_says_stays_text() {
    if !chromium() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let evil = r#"</script><script>document.title = "evil"</script><img src=x onerror='document.title = "evil"'>"#;
    let text = format!(
        "name = '''{evil}'''\ndescription = '''{evil}'''\nduration = \"12s\"\nnodes.count = 20\n\
         [[regions]]\nname = '''a{evil}'''\n[[regions]]\nname = 'b'\n[[workload]]\nfrom = \"11s\"\n\
         [[faults]]\nat = \"5s\"\nname = '''{evil}'''\ndo.crash = {{ who.count = 1 }}\n"
    );
    std::fs::write(folder.path().join("evil.toml"), text).expect("written");
    let (_, page) = reported(folder.path(), &["evil.toml"]);
    let script = "await report.ready; return [document.title, document.querySelector('h1').textContent, \
                  document.images.length];";
    let (found, console) = browse(folder.path(), &page, script);
    assert_eq!(console, [""; 0], "nothing on the console");
    assert_eq!(found, json!([format!("{evil} · murmurate-sim"), evil, 0]));
}

/// The checks above can fail.
#[test]
fn what_goes_wrong_in_a_page_is_noticed() {
    if !chromium() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let page = "<!doctype html><body><script>nothing.there</script></body>";
    let (found, console) = browse(folder.path(), page, "return 1 + 1;");
    assert_eq!(found, 2);
    assert!(console.iter().any(|line| line.contains("nothing is not defined")), "{console:?}");
}

//! The report in a real browser: it says nothing on the console, asks nobody for anything, and shows
//! the figures of the run.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

#[path = "../../overlay/tests/harness/mod.rs"]
mod harness;

use std::path::Path;
use std::process::{Command, ExitCode, Output};

use serde_json::{Value, json};

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
    const zoom = () => report.topology.chart.getOption().dataZoom.map(({ start, end }) => end - start);
    const [whole, box] = [zoom(), canvas.getBoundingClientRect()];
    canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: -300, wheelDeltaY: 300, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, bubbles: true }));
    await new Promise((done) => setTimeout(done, 300));
    const zooms = [whole, zoom()];
    const text = (selector) => [...document.querySelectorAll(selector)].map((e) => e.textContent);
    const tables = {};
    for (const inner of document.querySelectorAll('table')) {
        tables[inner.closest('section').querySelector('h2').textContent] = [...inner.rows].map((row) => [...row.cells].map((cell) => cell.textContent));
    }
    const degrees = report.charts.get('degrees').getOption().xAxis[0].data;
    return { data, marks, zooms, moments, places, tables, degrees, text: document.body.innerText, note: text('#overlay .note')[0],
        colors: text('#color option'), drawn: canvas.width > 500 && canvas.height > 300 };
";

/// Numbers as a browser has them: without a difference between 1 and 1.0.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.iter().map(plain).collect(),
        other => other.clone(),
    }
}

fn pairs(series: &Value, key: &str) -> Value {
    let points = series.as_array().expect("a list").iter();
    points.map(|point| plain(&json!([point["at"], point[key]]))).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn numbers(value: &Value) -> Vec<f64> {
    list(value).iter().map(number).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// Checks numbers that a cell shows, with slashes between, against what they round.
fn shows(cell: &str, expected: &[f64], digits: i32) {
    let shown: Vec<f64> = cell
        .split(" / ")
        .map(|part| part.replace(',', ""))
        .map(|part| part.trim_end_matches(" %").trim_end_matches(" (sampled)").parse())
        .collect::<Result<_, _>>()
        .unwrap_or_else(|_| panic!("numbers: {cell:?}"));
    assert_eq!(shown.len(), expected.len(), "{cell}");
    for (shown, expected) in shown.iter().zip(expected) {
        let rounding = 0.5001 * 10_f64.powi(-digits);
        assert!((shown - expected).abs() < rounding, "{cell:?} for {expected}");
    }
}

/// The rows of the table under this heading, without that of the heads.
fn table<'a>(found: &'a Value, heading: &str) -> Vec<Vec<&'a str>> {
    let rows = list(&found["tables"][heading]).iter();
    rows.skip(1).map(|row| list(row).iter().map(text).collect()).collect()
}

fn the_page_shows_the_figures_of_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = reported(folder.path(), &["mass-failure", "--set", "nodes.count=500"]);
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");

    let charts = &found["data"];
    for (chart, line, series, key) in [
        ("reliability", "reliability", "series", "reliability"),
        ("redundancy", "RMR", "series", "rmr"),
        ("redundancy", "last delivery hop", "series", "ldh"),
        ("healing", "components", "overlay_series", "components"),
        ("traffic", "running nodes", "series", "running_nodes"),
    ] {
        assert_eq!(plain(&charts[chart][line]), pairs(&run[series], key), "{chart}: {line}");
    }
    assert!(list(&run["overlay_series"]).len() >= 40, "the overlay is looked at");
    assert_eq!(found["marks"], json!([[40, "mass-failure"]]));
    for phase in list(&run["phases"]) {
        distributions(phase, &found);
    }
    let load = plain(&run["load"]["sent"]["curve"]);
    assert_eq!(list(&plain(&charts["load"]["sent"]))[1..], list(&load)[..]);
    let said = text(&found["text"]);
    for expected in [text(&run["digest"]), "murmurate-sim run mass-failure --set 'nodes.count=500'"]
    {
        assert!(said.contains(expected), "{expected}");
    }
    verdicts(&run, &found);
    figures(&run, &found);
    overlay(&run, &found);
}

/// So much is lost that figures which are often the same differ, and that assertions fail.
fn figures_of_a_bad_run_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let changes = ["--set", "nodes.count=200", "--set", "links.loss=0.2"];
    let (run, page) = reported(folder.path(), &[&["mass-failure"], &changes[..]].concat());
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");
    for phase in list(&run["phases"]) {
        assert!(number(&phase["least_reliability"]) < number(&phase["reliability"]), "{phase}");
    }
    assert!(list(&run["verdicts"]).iter().any(|verdict| verdict["holds"] == false));
    verdicts(&run, &found);
    figures(&run, &found);
}

/// What became of the assertions.
fn verdicts(run: &Value, found: &Value) {
    let shown = table(found, "Assertions");
    assert_eq!(shown.len(), list(&run["verdicts"]).len());
    for (row, verdict) in shown.iter().zip(list(&run["verdicts"])) {
        let holds = if verdict["holds"] == true { "✓ holds" } else { "✗ fails" };
        assert_eq!(row[..2], [text(&verdict["assertion"]), holds]);
        shows(row[2], &[number(&verdict["found"])], 6);
    }
}

/// Latencies and degrees of a phase.
fn distributions(phase: &Value, found: &Value) {
    let (charts, name) = (&found["data"], text(&phase["phase"]));
    let shown = list(&charts["latency"][name]);
    let expected = list(&phase["latency_curve"]);
    assert_eq!(shown.len(), expected.len() + 1, "it begins at the axis");
    for (shown, point) in shown[1..].iter().zip(expected) {
        let (shown, point) = (numbers(shown), numbers(point));
        assert!((shown[0] - 1e3 * point[0]).abs() < 1e-9, "{shown:?} {point:?}");
        assert!((shown[1] - point[1]).abs() < 1e-12, "{shown:?} {point:?}");
    }
    let running = number(&phase["running_nodes"]);
    let mut nodes = 0.0;
    for (degree, share) in list(&found["degrees"]).iter().zip(numbers(&charts["degrees"][name])) {
        let degree: usize = text(degree).parse().expect("a degree");
        let expected = phase["degrees"][degree].as_f64().unwrap_or(0.0);
        assert!((share * running - expected).abs() < 1e-6, "{degree}: {share} for {expected}");
        nodes += expected;
    }
    assert!((nodes - running).abs() < 1e-6, "no degree is left out: {nodes} of {running}");
}

/// The table of figures, a column a phase.
fn figures(run: &Value, found: &Value) {
    let rows = table(found, "Figures");
    let row = |name: &str| rows.iter().find(|row| row[0] == name).expect("a row");
    for (at, phase) in list(&run["phases"]).iter().enumerate() {
        for (name, key, scale, digits) in [
            ("broadcasts", "broadcasts", 1.0, 0),
            ("reliability", "reliability", 100.0, 4),
            ("least of a broadcast", "least_reliability", 100.0, 4),
            ("redundancy (RMR)", "rmr", 1.0, 4),
            ("last delivery hop", "ldh", 1.0, 2),
            ("running nodes", "running_nodes", 1.0, 0),
            ("mean degree", "mean_degree", 1.0, 3),
            ("clustering", "clustering", 1.0, 5),
            ("average shortest path", "average_shortest_path", 1.0, 3),
            ("components", "components", 1.0, 0),
            ("largest component", "largest_component", 1.0, 0),
            ("asymmetric links", "asymmetric_links", 1.0, 0),
        ] {
            shows(row(name)[at + 1], &[scale * number(&phase[key])], digits);
        }
        shows(
            row("latency p50 / p99 / max, ms")[at + 1],
            &milliseconds(&phase["latency_seconds"]),
            1,
        );
    }
}

fn milliseconds(quantiles: &Value) -> [f64; 3] {
    ["p50", "p99", "max"].map(|key| 1e3 * number(&quantiles[key]))
}

/// The picture of the overlay has as many nodes and links as there are.
fn overlay(run: &Value, found: &Value) {
    assert!(text(&found["note"]).starts_with("All 500 nodes."));
    assert_eq!(found["drawn"], true);
    let moments = list(&found["moments"]);
    assert_eq!(moments.len(), 48, "the fault is at one of them");
    let degrees = numbers(&list(&run["phases"]).last().expect("a phase")["degrees"]);
    let ends: f64 = (0..).zip(&degrees).map(|(degree, nodes)| f64::from(degree) * nodes).sum();
    let last = &moments[47];
    let count = |moment: &Value, name: &str| moment[2][name].as_u64().expect("a number");
    assert_eq!(count(last, "nodes") as f64, degrees.iter().sum::<f64>());
    assert_eq!((count(last, "tree") + count(last, "other links")) as f64, ends / 2.0);
    assert_eq!(count(last, "not running"), 250);
    // A tree over those that run has a link fewer than nodes; a few more join it now and then.
    assert!((249..=275).contains(&count(last, "tree")), "{last}");
    let shown = text(&last[1]);
    assert!(
        shown.starts_with("250 run") && shown.ends_with("after mass-failure (40 s)"),
        "{shown}"
    );
    let first = &moments[0];
    assert!(count(first, "nodes") < 200, "they join over ten seconds: {first}");
    assert_eq!(found["places"], json!({"tree": 250, "forces": 250}));
    let zooms = list(&found["zooms"]);
    assert_eq!(zooms[0], json!([100, 100]), "all of it at first");
    assert!(numbers(&zooms[1]).iter().all(|share| *share < 95.0), "the wheel zooms: {zooms:?}");
}

fn regions_stand_beside_the_best_possible() {
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
    let phase = &run["phases"][1];
    let regions = list(&phase["regions"]);
    for (chart, of, quantile) in [
        ("median", "latency_seconds", "p50"),
        ("p99", "latency_seconds", "p99"),
        ("best possible, median", "best_seconds", "p50"),
        ("best possible, p99", "best_seconds", "p99"),
    ] {
        let shown = numbers(&found["data"]["regions"][chart]);
        let expected = regions.iter().map(|region| 1e3 * number(&region[of][quantile]));
        let expected: Vec<f64> = expected.collect();
        // JSON is read to the last digit but one.
        let same = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-9;
        assert_eq!(shown.len(), expected.len(), "{chart}");
        assert!(shown.iter().zip(&expected).all(same), "{chart}: {shown:?} for {expected:?}");
    }
    let heading = format!("Delivery latency per region, {}", text(&phase["phase"]));
    let rows = table(&found, &heading);
    assert_eq!(rows.len(), regions.len());
    for (row, region) in rows.iter().zip(regions) {
        assert_eq!(row[0], text(&region["region"]));
        shows(row[1], &[number(&region["deliveries"])], 0);
        shows(row[2], &milliseconds(&region["latency_seconds"]), 1);
        shows(row[3], &milliseconds(&region["best_seconds"]), 1);
        shows(row[4], &[number(&region["stretch"])], 2);
        assert!(number(&region["stretch"]) >= 1.0, "nothing is faster than possible: {region}");
    }
    assert_eq!(found["colors"], json!(["region", "degree", "load"]));
}

/// Classes of nodes, a channel and lookups.
const EVERYTHING: &str = r#"
duration = "40s"
nodes = { count = 60, joining = "5s" }
classes = [{ name = "slow", who.share = "30%", loss = "5%" }]
channels = [{ name = "orders", kind = "acknowledged" }]
workload = [
  { from = "10s", until = "30s", pace.rate = 5.0 },
  { from = "10s", until = "30s", pace.rate = 5.0, payload = 100, send.channel = "orders" },
  { from = "10s", until = "30s", pace.rate = 5.0, payload = 100, look_up.relay = true },
]
"#;

fn classes_channels_and_lookups_have_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("everything.toml");
    std::fs::write(&file, EVERYTHING).expect("written");
    let (run, page) = reported(folder.path(), &[file.to_str().expect("a path")]);
    let (found, console) = browse(folder.path(), &page, LOOK);
    assert_eq!(console, [""; 0], "nothing on the console");
    let rows = table(&found, "Classes of nodes");
    let classes = list(&run["classes"]);
    assert_eq!((rows.len(), classes.len()), (2, 2), "{rows:?}");
    for (row, class) in rows.iter().zip(classes) {
        assert_eq!(row[0], text(&class["class"]));
        for (cell, key, digits) in [
            (1, "running_nodes", 0),
            (2, "mean_degree", 3),
            (3, "isolated", 0),
            (4, "deliveries", 0),
        ] {
            shows(row[cell], &[number(&class[key])], digits);
        }
        shows(row[5], &[100.0 * number(&class["reliability"])], 4);
        shows(row[6], &milliseconds(&class["latency_seconds"]), 1);
    }
    let rows = table(&found, "Messages on channels");
    let channel = &run["channels"][0];
    let cell = |rows: &[Vec<&str>], name: &str| {
        rows.iter().find(|row| row[0] == name).expect(name)[1].to_owned()
    };
    for (name, key) in
        [("to send", "messages"), ("delivered", "delivered"), ("acknowledged", "acknowledged")]
    {
        assert!(number(&channel[key]) > 90.0, "{channel}");
        shows(&cell(&rows, name), &[number(&channel[key])], 0);
    }
    shows(&cell(&rows, "there and back"), &milliseconds(&channel["round_trip_seconds"]), 1);
    let rows = table(&found, "Lookups");
    let routing = &run["routing"];
    for (name, key) in [("lookups", "lookups"), ("found", "found"), ("datagrams", "datagrams")] {
        assert!(number(&routing[key]) > 90.0, "{routing}");
        shows(&cell(&rows, name), &[number(&routing[key])], 0);
    }
    shows(&cell(&rows, "time"), &milliseconds(&routing["latency_seconds"]), 1);
}

fn of_many_nodes_a_sample_is_drawn_and_the_page_says_so() {
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
        note.starts_with("A sample: 2,000 of 3,000 nodes, those nearest to node 0 at 28.127 s;"),
        "{note}"
    );
    let moments = found["moments"].as_array().expect("a list");
    assert_eq!(moments.last().expect("some")[2]["nodes"], 2_000);
}

/// Whoever writes a scenario cannot run scripts in the report of somebody else.
fn what_a_scenario_says_stays_text() {
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

/// How a page is on a phone: in a frame as wide as one, for no window of a browser is so narrow.
fn browse_narrow(folder: &Path, page: &str) -> (Value, Vec<String>) {
    const WIDTH: u32 = 390;
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let frame = format!(
        "<!doctype html><body style=\"margin: 0\"><iframe style=\"width: {WIDTH}px; height: 3000px; border: 0\" \
         srcdoc=\"{escaped}\"></iframe></body>"
    );
    let look = r"
        const frame = document.querySelector('iframe');
        if (frame.contentDocument?.readyState !== 'complete' || frame.contentDocument.URL === 'about:blank') {
            await new Promise((done) => frame.addEventListener('load', done));
        }
        await new Promise((done) => setTimeout(done, 3000));
        const inner = frame.contentDocument;
        const width = inner.documentElement.clientWidth;
        // What scrolls on its own may be as wide as it wants. A scroll bar takes some of the window.
        const scrolls = (element) => element && (/auto|scroll/.test(frame.contentWindow.getComputedStyle(element).overflowX) || scrolls(element.parentElement));
        const wide = [...inner.body.querySelectorAll('*')].filter((element) => {
            const box = element.getBoundingClientRect();
            return box.width > 0 && (box.right > width + 0.5 || box.left < -0.5) && !scrolls(element);
        });
        const name = (element) => `${element.tagName.toLowerCase()}#${element.id}.${element.className}`;
        const charts = [...inner.querySelectorAll('.chart canvas')].map((canvas) => canvas.getBoundingClientRect().width);
        return { window: frame.contentWindow.innerWidth, width, scroll: inner.documentElement.scrollWidth, wide: wide.map(name), charts,
            size: Math.min(...[...inner.querySelectorAll('td, dd, p')].map((e) => parseFloat(frame.contentWindow.getComputedStyle(e).fontSize))) };
    ";
    browse(folder, &frame, look)
}

fn a_phone_shows_the_page_without_scrolling_sideways() {
    let folder = tempfile::tempdir().expect("a folder");
    let long = "assertions=['least_reliability >= 0.123456789 from 30s until 1m30s', \
                'components == 1 within 12s345ms of a partition of one half of all nodes from the other half']";
    let named = "faults.0.name='a partition of one half of all nodes from the other half'";
    for scenario in [
        &["partition-and-heal", "--set", named, "--set", long, "--set", "nodes.count=100"][..],
        &["aws-regions", "--set", "nodes.count=100"],
        &["channels"],
    ] {
        let (_, page) = reported(folder.path(), scenario);
        let (found, console) = browse_narrow(folder.path(), &page);
        assert_eq!(console, [""; 0], "nothing on the console");
        assert_eq!(found["window"], 390);
        assert_eq!(found["wide"], json!([]), "{scenario:?}: {found}");
        assert_eq!(found["scroll"], found["width"], "{scenario:?}: {found}");
        assert!(number(&found["size"]) >= 12.0, "{found}");
        let charts = numbers(&found["charts"]);
        assert!(charts.len() >= 4 && charts.iter().all(|width| *width > 300.0), "{found}");
    }
}

/// The checks above can fail.
fn what_goes_wrong_in_a_page_is_noticed() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = "<!doctype html><body><script>nothing.there</script></body>";
    let (found, console) = browse(folder.path(), page, "return 1 + 1;");
    assert_eq!(found, 2);
    assert!(console.iter().any(|line| line.contains("nothing is not defined")), "{console:?}");
    let page = "<!doctype html><body><table class='wide'><td style='min-width: 500px'>x</td></table></body>";
    let (found, _) = browse_narrow(folder.path(), page);
    assert!(list(&found["wide"]).contains(&json!("table#.wide")), "{found}");
}

fn main() -> ExitCode {
    let tests = harness::tests![
        the_page_shows_the_figures_of_the_run,
        figures_of_a_bad_run_are_told_apart,
        regions_stand_beside_the_best_possible,
        classes_channels_and_lookups_have_tables,
        of_many_nodes_a_sample_is_drawn_and_the_page_says_so,
        what_a_scenario_says_stays_text,
        a_phone_shows_the_page_without_scrolling_sideways,
        what_goes_wrong_in_a_page_is_noticed,
    ];
    harness::run(tests, || {
        harness::debian(&["chromium"], || {
            harness::succeeds(Command::new("chromium").arg("--version"))
        })
    })
}

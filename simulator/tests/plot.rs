//! The charts of a result as images.

#![cfg(feature = "plot")]
#![expect(clippy::expect_used, reason = "a test says what it expects")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

fn murmurate_sim(folder: &Path, arguments: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
    run.current_dir(folder).args(arguments).output().expect("the binary runs")
}

/// A folder with a result that has figures for every chart.
fn results() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let run = murmurate_sim(
        folder.path(),
        &[
            "run",
            "aws-regions",
            "--set",
            "nodes.count=60",
            "--set",
            "measure.load=true",
            "--set",
            "measure.overlay_every=1s",
            "--json",
        ],
    );
    std::fs::write(folder.path().join("result.json"), run.stdout).expect("written");
    folder
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn every_chart_is_an_image() {
    let folder = results();
    let output = murmurate_sim(folder.path(), &["plot", "result.json", "-o", "figures"]);
    assert!(output.status.success(), "{}", text(&output));
    let charts = [
        "reliability",
        "redundancy",
        "latency",
        "regions",
        "healing",
        "traffic",
        "degrees",
        "load",
    ];
    for chart in charts {
        let path = folder.path().join("figures").join(format!("{chart}.svg"));
        let svg = std::fs::read_to_string(path).expect(chart);
        let mut reader = quick_xml::Reader::from_str(&svg);
        while !matches!(reader.read_event().expect("XML"), quick_xml::events::Event::Eof) {}
        assert!(svg.starts_with("<svg width=\"720\" height=\"400\""), "{chart}");
        assert!(svg.matches("<path").count() > 5, "{chart} has lines");
        assert!(!svg.contains("NaN") && !svg.contains("undefined"), "{chart}");
    }
    // The axis of the regions names them.
    let regions = folder.path().join("figures/regions.svg");
    let svg = std::fs::read_to_string(regions).expect("a chart");
    for region in ["us-east-1", "sa-east-1", "best possible, median"] {
        assert!(svg.contains(&format!(">{region}</text>")), "{region}");
    }
    let again = murmurate_sim(folder.path(), &["plot", "result.json", "-o", "again"]);
    assert!(again.status.success());
    let read = |name: &str| std::fs::read(folder.path().join(name)).expect("a chart");
    assert_eq!(read("figures/latency.svg"), read("again/latency.svg"), "the same every time");
}

#[test]
fn a_png_has_letters_and_twice_the_pixels() {
    let folder = results();
    let result = std::fs::File::open(folder.path().join("result.json")).expect("a result");
    let mut plot = Command::new(env!("CARGO_BIN_EXE_murmurate-sim"));
    plot.current_dir(folder.path()).stdin(Stdio::from(result));
    plot.args(["plot", "-", "-o", "load.png", "--chart", "load", "--size", "400x300"]);
    let output = plot.output().expect("the binary runs");
    assert!(output.status.success(), "{}", text(&output));
    let png = std::fs::read(folder.path().join("load.png")).expect("an image");
    assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    let side = |at: usize| u32::from_be_bytes([png[at], png[at + 1], png[at + 2], png[at + 3]]);
    assert_eq!((side(16), side(20)), (800, 600));
    // Without its letters the image is less than half as large.
    let svg = murmurate_simulator::present::plot::Plot {
        name: String::new(),
        title: String::new(),
        svg: "<svg xmlns='http://www.w3.org/2000/svg' width='90' height='20'><text x='2' y='15' font-family='sans-serif'>murmurate</text></svg>".to_owned(),
    };
    let [with, without] = [svg.svg.clone(), svg.svg.replace("murmurate<", "<")]
        .map(|svg| murmurate_simulator::present::plot::png(&svg, 1.0).expect("an image").len());
    assert!(with > 2 * without, "{with} bytes with letters, {without} without");
}

#[test]
fn what_cannot_be_drawn_is_told() {
    let folder = results();
    std::fs::write(folder.path().join("other.json"), "{\"phases\": []}").expect("written");
    std::fs::write(folder.path().join("broken.json"), "{\"phases\"").expect("written");
    for (arguments, said) in [
        (vec!["none.json", "-o", "x"], "none.json cannot be read: No such file"),
        (vec!["broken.json", "-o", "x"], "broken.json: this is not JSON"),
        (
            vec!["other.json", "-o", "x"],
            "other.json: this is not a result of run --json: \"series\" is missing",
        ),
        (vec!["result.json", "-o", "x.pdf"], "x.pdf ends in neither .svg nor .png"),
        (
            vec!["result.json", "-o", "x.svg"],
            "room for one chart: choose with --chart one of reliability,",
        ),
        (
            vec!["result.json", "-o", "x", "--chart", "lode"],
            "there is no chart \"lode\", but reliability,",
        ),
        (vec!["result.json", "-o", "x", "--size", "10x10"], "allowed is 200x150 to 8000x8000"),
        (vec!["result.json", "-o", "no/x.svg", "--chart", "load"], "no/x.svg cannot be written"),
    ] {
        let output = murmurate_sim(folder.path(), &[&["plot"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(said), "{arguments:?}: {}", text(&output));
    }
}

//! The formats, read back.

use super::*;
use crate::engine::watch::Load;

/// Three nodes on a path, with names that need quoting.
fn path() -> Topology {
    let node = |index, degree, region| Node {
        index,
        incarnation: 0,
        region,
        degree,
        load: Some(Load { sent: 3, bytes_sent: 300, received: 4 }),
    };
    let link = |ends, eager| Link { ends, held: [true; 2], eager };
    Topology {
        at: 1.5,
        regions: vec!["a<b & \"c\"".to_owned(), "plain".to_owned()],
        nodes: vec![node(0, 1, Some(0)), node(2, 2, Some(1)), node(7, 1, Some(0))],
        links: vec![link([0, 1], [true, true]), link([1, 2], [true, false])],
    }
}

fn written(topology: &Topology, format: GraphFormat) -> String {
    let about = GraphInfo { scenario: "<x>".to_owned(), seed: 9 };
    let mut file = Vec::new();
    write(topology, &about, format, &mut file).expect("a Vec takes it");
    String::from_utf8(file).expect("text")
}

#[test]
fn endings_name_formats() {
    assert_eq!(GraphFormat::of(Path::new("a/b.GraphML")), Ok(GraphFormat::GraphMl));
    let error = GraphFormat::of(Path::new("a/b.xls")).expect_err("no format").to_string();
    assert_eq!(error, "a/b.xls must end in .graphml, .gexf, .dot, .csv or .parquet");
    assert!(GraphFormat::of(Path::new("csv")).is_err(), "a name is no ending");
    assert_eq!(GraphFormat::of(Path::new("b.parquet")).is_ok(), cfg!(feature = "parquet"));
}

#[test]
fn a_list_of_edges_names_ends_tree_and_regions() {
    let csv = written(&path(), GraphFormat::Csv);
    let expected = "source,target,tree,eager,mutual,source_region,target_region
0,2,true,2,true,\"a<b & \"\"c\"\"\",plain
2,7,false,1,true,plain,\"a<b & \"\"c\"\"\"
";
    assert_eq!(csv, expected);
}

#[test]
fn names_are_quoted() {
    let dot = written(&path(), GraphFormat::Dot);
    assert!(
        dot.contains("0 [region=\"a<b & \\\"c\\\"\", degree=1, incarnation=0, load=7,"),
        "{dot}"
    );
    assert!(dot.contains("0 -- 2 [tree=true, eager=2, mutual=true, style=\"bold\"];"), "{dot}");
    for format in [GraphFormat::GraphMl, GraphFormat::Gexf] {
        let xml = written(&path(), format);
        assert!(xml.contains("a&lt;b &amp; ") && !xml.contains("a<b"), "{xml}");
    }
}

#[test]
fn an_empty_overlay_is_a_file_too() {
    let nothing = Topology { at: 0.0, regions: Vec::new(), nodes: Vec::new(), links: Vec::new() };
    for format in [GraphFormat::GraphMl, GraphFormat::Gexf, GraphFormat::Dot, GraphFormat::Csv] {
        assert!(!written(&nothing, format).is_empty());
    }
}

/// Read by the library's own reader.
#[cfg(feature = "parquet")]
#[test]
fn a_parquet_table_has_the_rows_of_the_list() {
    use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
    let about = GraphInfo { scenario: String::new(), seed: 1 };
    let mut file = Vec::new();
    write(&path(), &about, GraphFormat::Parquet, &mut file).expect("a Vec takes it");
    let reader = SerializedFileReader::new(bytes::Bytes::from(file)).expect("a table");
    let rows: Vec<String> = reader
        .get_row_iter(None)
        .expect("rows")
        .map(|row| row.expect("a row").to_string())
        .collect();
    assert_eq!(rows.len(), 2);
    assert!(
        rows[1].starts_with("{source: 2, target: 7, tree: false, eager: 1, mutual: true"),
        "{rows:?}"
    );
}

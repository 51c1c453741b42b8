//! The report of a run: one HTML file with everything in it, which opens offline.
//!
//! The page is made from the files of `assets/`: the data as JSON, the code that draws it, and bundled
//! libraries. `assets/vendor/` says which libraries these are and how to update them.

mod drawn;

use std::fmt::Write as _;

use serde::Serialize;

pub use drawn::{Drawn, Film, Sample};

use crate::experiment::runner::Report;

const PAGE: &str = include_str!("assets/page.html");

/// The parts of the page, by their names in [`PAGE`].
const PARTS: [(&str, &str); 5] = [
    ("page.css", include_str!("assets/page.css")),
    ("vendor.min.js", VENDOR),
    ("charts.js", CHARTS),
    ("topology.js", include_str!("assets/topology.js")),
    ("page.js", include_str!("assets/page.js")),
];

/// The libraries.
pub(crate) const VENDOR: &str = include_str!("assets/vendor.min.js");
/// The charts, as options of these libraries.
pub(crate) const CHARTS: &str = include_str!("assets/charts.js");

/// What the page shows beside the measurements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PageInfo {
    /// The command that repeats the run.
    pub command: String,
    /// The program and its version.
    pub program: String,
    /// The strategies' names.
    pub strategies: String,
    /// The scenario as a file.
    pub file: String,
}

#[derive(Serialize)]
struct Data<'a> {
    run: &'a Report,
    about: &'a PageInfo,
    drawn: &'a Drawn,
}

/// Makes the page. The same input gives the same page.
///
/// # Errors
/// If the data cannot be written as JSON.
pub fn page(run: &Report, about: &PageInfo, drawn: &Drawn) -> serde_json::Result<String> {
    let data = in_script(&serde_json::to_string(&Data { run, about, drawn })?);
    let mut page = String::with_capacity(VENDOR.len() + data.len() + (1 << 16));
    let mut pieces = PAGE.split("{{");
    page.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or((piece, ""));
        let part = PARTS.iter().find(|(part, _)| *part == name);
        page.push_str(part.map_or(data.as_str(), |(_, text)| text));
        page.push_str(rest);
    }
    Ok(page)
}

/// JSON that is safe in a script element: nothing in it ends the element, or a line of a script.
fn in_script(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                // A String takes it.
                let _ = write!(safe, "\\u{:04x}", u32::from(letter));
            }
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_script_that_it_stands_in() {
        let wrong = "</script><script>alert(1)</script><!-- & \u{2028}";
        let safe = in_script(&serde_json::to_string(wrong).expect("JSON"));
        assert!(!safe.contains(['<', '>', '&', '\u{2028}']), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).expect("JSON"), wrong);
    }

    #[test]
    fn every_part_of_the_page_is_there_and_ends_no_script() {
        for (name, text) in PARTS {
            assert!(PAGE.contains(&format!("{{{{{name}}}}}")), "{name}");
            assert!(!text.to_ascii_lowercase().contains("</script"), "{name}");
        }
        assert_eq!(PAGE.matches("{{").count(), PARTS.len() + 1, "and the data");
    }
}

//! The gallery: scenarios that come with the program, and the files they name.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A scenario of the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhibit {
    /// Its name, which stands for its file wherever a file is asked for.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! exhibits {
    ($($name:literal),* $(,)?) => {
        &[$(Exhibit {
            name: $name,
            text: include_str!(concat!("../../../scenarios/", $name, ".toml")),
        }),*]
    };
}

/// All scenarios, the first to be read first.
pub const EXHIBITS: &[Exhibit] = exhibits![
    "quickstart",
    "mass-start",
    "mass-failure",
    "churn",
    "flash-crowd",
    "partition-and-heal",
    "one-way-partition",
    "flapping-links",
    "slow-node",
    "stalled-nodes",
    "liars",
    "eclipse",
    "bursty-loss",
    "unordered-network",
    "large-payloads",
    "shared-uplink",
    "behind-nat",
    "aws-regions",
    "measured-matrix",
    "recycled-addresses",
    "clock-drift",
    "restart-with-disk",
    "restart-without-disk",
    "recorded-churn",
    "many-senders",
    "calm-network",
    "static-overlay",
    "channels",
    "a-million",
    "ten-million",
];

/// Where the files of the gallery seem to be.
const FOLDER: &str = "gallery:";

const FILES: &[(&str, &str)] = &[
    ("round-trips.csv", include_str!("../../../scenarios/round-trips.csv")),
    ("sessions.csv", include_str!("../../../scenarios/sessions.csv")),
];

/// The scenario with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Exhibit> {
    EXHIBITS.iter().find(|exhibit| exhibit.name == name)
}

pub(super) fn folder() -> PathBuf {
    FOLDER.into()
}

/// Opens a text that a scenario names. A byte-order mark, which spreadsheets put in front of UTF-8, is no
/// part of it.
///
/// # Errors
/// As of [`File::open`].
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    const MARK: &[u8] = "\u{feff}".as_bytes();
    if let Ok(name) = path.strip_prefix(FOLDER) {
        let file = FILES.iter().find(|(file, _)| Path::new(file) == name);
        let (_, text) = file.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        return Ok(Box::new(text.as_bytes()));
    }
    let mut file = File::open(path)?;
    let mut start = Vec::new();
    file.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK {
        start.clear();
    }
    Ok(Box::new(io::Cursor::new(start).chain(file)))
}

/// What could have been meant by the name of a file that is not there.
pub(super) fn hint(name: &str) -> String {
    let likeness = |exhibit: &&Exhibit| strsim::jaro_winkler(name, exhibit.name);
    let nearest = EXHIBITS.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest.filter(|exhibit| likeness(exhibit) > 0.75) {
        Some(exhibit) => format!(" (of the gallery, did you mean {}?)", exhibit.name),
        None => String::new(),
    }
}

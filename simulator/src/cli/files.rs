//! Files that a run writes.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;

use crate::study::draft::Draft;

pub(super) fn create(path: &Path) -> Result<(Draft, BufWriter<File>), String> {
    let (draft, file) = Draft::create(path).map_err(|error| cannot(path, &error))?;
    Ok((draft, BufWriter::new(file)))
}

pub(super) fn cannot(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

//! Parquet, where it is not built in.

use std::error::Error;
use std::fs::File;
use std::path::Path;

use csv::StringRecord;

use super::layout::Kind;
use super::rows::{Rows, Sheet};

pub(super) fn built_in() -> Result<(), &'static str> {
    Err("this murmurate-sim is built without the feature parquet: build it with \
        --features parquet, or name a .csv file")
}

pub(super) fn write(_: File, _: &[String], _: &[Kind]) -> Result<Box<dyn Sheet>, Box<dyn Error>> {
    Err(built_in().err().unwrap_or_default().into())
}

pub(super) fn read(_: &Path) -> Result<(StringRecord, Rows), Box<dyn Error>> {
    Err(built_in().err().unwrap_or_default().into())
}

//! A list of links as a Parquet table with columns `source` and `target`.

use bytes::Bytes;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};

use super::listing::{GraphError, Listing, Place};

pub(super) fn read(bytes: Bytes, listing: &mut Listing) -> Result<(), GraphError> {
    let wrong = |row: u32, what: String| GraphError::Syntax(Place::Row(row), what);
    let file = SerializedFileReader::new(bytes).map_err(|error| wrong(0, error.to_string()))?;
    let rows = file.get_row_iter(None).map_err(|error| wrong(0, error.to_string()))?;
    for (at, row) in rows.enumerate() {
        let at = at as u32;
        let row = row.map_err(|error| wrong(at, error.to_string()))?;
        let ends = end(&row, "source").zip(end(&row, "target"));
        let (source, target) = ends.ok_or_else(|| {
            wrong(at, "must have numbers or texts in the columns source and target".to_owned())
        })?;
        listing.link(&source, &target, Place::Row(at))?;
    }
    Ok(())
}

fn end(row: &Row, column: &str) -> Option<String> {
    let (_, field) = row.get_column_iter().find(|(name, _)| name.as_str() == column)?;
    match field {
        Field::Str(text) => Some(text.clone()),
        Field::Byte(_)
        | Field::Short(_)
        | Field::Int(_)
        | Field::Long(_)
        | Field::UByte(_)
        | Field::UShort(_)
        | Field::UInt(_)
        | Field::ULong(_) => Some(field.to_string()),
        _ => None,
    }
}

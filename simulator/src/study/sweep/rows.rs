//! Tables row by row, however they are written.

use std::error::Error;

use csv::StringRecord;

/// The rows of a table.
pub(super) type Rows = Box<dyn Iterator<Item = Result<StringRecord, Box<dyn Error>>>>;

/// Something that takes rows.
pub(super) trait Sheet {
    fn add(&mut self, row: &StringRecord) -> Result<(), Box<dyn Error>>;
    fn finish(self: Box<Self>) -> Result<(), Box<dyn Error>>;
}

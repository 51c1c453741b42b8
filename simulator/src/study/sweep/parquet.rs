//! Tables as Parquet files.

use std::error::Error;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use csv::StringRecord;
use parquet::basic::{LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::reader::SerializedFileReader;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;

use super::layout::Kind;
use super::rows::{Rows, Sheet};

/// Rows that are held before they are written.
const GROUP: usize = 10_000;

pub(super) fn built_in() -> Result<(), &'static str> {
    Ok(())
}

pub(super) fn write(
    file: File,
    columns: &[String],
    kinds: &[Kind],
) -> Result<Box<dyn Sheet>, Box<dyn Error>> {
    let fields = columns.iter().zip(kinds).map(|(name, kind)| field(name, *kind).map(Arc::new));
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    let schema = Arc::new(Type::group_type_builder("sweep").with_fields(fields).build()?);
    let writer = SerializedFileWriter::new(file, schema, Arc::default())?;
    Ok(Box::new(Parquet { writer, kinds: kinds.to_vec(), rows: Vec::new() }))
}

/// Every column may have holes.
fn field(name: &str, kind: Kind) -> Result<Type, ParquetError> {
    let (physical, logical) = match kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Whole => (Physical::INT64, None),
        Kind::Number => (Physical::DOUBLE, None),
    };
    Type::primitive_type_builder(name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical)
        .build()
}

struct Parquet {
    writer: SerializedFileWriter<File>,
    kinds: Vec<Kind>,
    rows: Vec<StringRecord>,
}

impl Parquet {
    fn write_group(&mut self) -> Result<(), Box<dyn Error>> {
        let mut group = self.writer.next_row_group()?;
        for (column, kind) in self.kinds.iter().enumerate() {
            let cells = self.rows.iter().map(|row| &row[column]);
            match kind {
                Kind::Text => {
                    write_column::<ByteArrayType>(&mut group, cells, |cell| Ok(cell.into()))?;
                }
                Kind::Whole => {
                    write_column::<Int64Type>(&mut group, cells, |cell| Ok(cell.parse()?))?;
                }
                Kind::Number => {
                    write_column::<DoubleType>(&mut group, cells, |cell| Ok(cell.parse()?))?;
                }
            }
        }
        group.close()?;
        self.rows.clear();
        Ok(())
    }
}

fn write_column<'c, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    cells: impl Iterator<Item = &'c str>,
    value: impl Fn(&'c str) -> Result<T::T, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let (mut values, mut levels) = (Vec::new(), Vec::new());
    for cell in cells {
        levels.push(i16::from(!cell.is_empty()));
        if !cell.is_empty() {
            values.push(value(cell)?);
        }
    }
    let mut column = group.next_column()?.ok_or("more columns than the schema has")?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    Ok(column.close()?)
}

impl Sheet for Parquet {
    fn add(&mut self, row: &StringRecord) -> Result<(), Box<dyn Error>> {
        self.rows.push(row.clone());
        if self.rows.len() == GROUP { self.write_group() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), Box<dyn Error>> {
        if !self.rows.is_empty() {
            self.write_group()?;
        }
        self.writer.close()?;
        Ok(())
    }
}

pub(super) fn read(path: &Path) -> Result<(StringRecord, Rows), Box<dyn Error>> {
    let reader = SerializedFileReader::new(File::open(path)?)?;
    let columns = {
        use parquet::file::reader::FileReader;
        let schema = reader.metadata().file_metadata().schema().get_fields();
        schema.iter().map(|field| field.name()).collect()
    };
    let rows = reader.into_iter().map(|row| Ok(record(&row?)));
    Ok((columns, Box::new(rows)))
}

fn record(row: &Row) -> StringRecord {
    let text = |(_, field): (&String, &Field)| match field {
        Field::Null => String::new(),
        Field::Str(text) => text.clone(),
        Field::Long(number) => number.to_string(),
        Field::Double(number) => number.to_string(),
        other => other.to_string(),
    };
    row.get_column_iter().map(text).collect::<Vec<_>>().into()
}

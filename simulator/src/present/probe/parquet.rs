//! A table as a Parquet file.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Repetition, Type as Physical};
use ::parquet::data_type::{DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;

use super::Sheet;

/// Rows that are held before they are written: some 10 bytes for each figure of a row.
pub(super) const GROUP: usize = 1 << 16;

pub(super) struct Table<W: Write + Send> {
    writer: SerializedFileWriter<W>,
    at: Vec<f64>,
    nodes: Vec<i64>,
    columns: Vec<Cells>,
}

/// The cells of a column that are there, and which of all are.
#[derive(Debug, Default)]
struct Cells {
    values: Vec<f64>,
    levels: Vec<i16>,
}

impl<W: Write + Send> Table<W> {
    pub(super) fn new(names: &[&str], to: W) -> io::Result<Self> {
        let field = |(at, name): (usize, &&str)| {
            let (physical, repetition) = match at {
                0 => (Physical::DOUBLE, Repetition::REQUIRED),
                1 => (Physical::INT64, Repetition::REQUIRED),
                _ => (Physical::DOUBLE, Repetition::OPTIONAL),
            };
            let field = Type::primitive_type_builder(name, physical);
            field.with_repetition(repetition).build().map(Arc::new)
        };
        let fields: Result<Vec<_>, _> = names.iter().enumerate().map(field).collect();
        let schema = fields.and_then(|fields| {
            Type::group_type_builder("probe").with_fields(fields).build().map(Arc::new)
        });
        let properties = Arc::new(WriterProperties::default());
        let writer = SerializedFileWriter::new(to, schema.map_err(other)?, properties);
        let columns = (2..names.len()).map(|_| Cells::default()).collect();
        let writer = writer.map_err(other)?;
        Ok(Self { writer, at: Vec::new(), nodes: Vec::new(), columns })
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        column::<DoubleType>(&mut group, &self.at, None)?;
        column::<Int64Type>(&mut group, &self.nodes, None)?;
        for Cells { values, levels } in &mut self.columns {
            column::<DoubleType>(&mut group, values, Some(levels))?;
            values.clear();
            levels.clear();
        }
        self.at.clear();
        self.nodes.clear();
        group.close().map(drop)
    }
}

fn column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("more columns than the schema has".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

impl<W: Write + Send> Sheet for Table<W> {
    fn add(&mut self, at: f64, node: usize, values: &[f64]) -> io::Result<()> {
        self.at.push(at);
        self.nodes.push(node as i64);
        for (cells, value) in self.columns.iter_mut().zip(values) {
            cells.levels.push(i16::from(!value.is_nan()));
            cells.values.extend((!value.is_nan()).then_some(*value));
        }
        if self.at.len() < GROUP {
            return Ok(());
        }
        self.write_group().map_err(other)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        if !self.at.is_empty() {
            self.write_group().map_err(other)?;
        }
        let mut to = self.writer.into_inner().map_err(other)?;
        to.flush()
    }
}

/// What went wrong below it, if it was a matter of the file.
fn other(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

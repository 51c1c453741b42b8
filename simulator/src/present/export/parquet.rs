//! A list of edges as a Parquet table.

use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{ConvertedType, Repetition, Type as Physical};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, Int32Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::Type;

use super::edges::regions;
use super::ends;
use crate::observe::topology::{Link, Topology};

/// Rows that are written at a time.
const GROUP: usize = 1 << 20;

pub(super) fn write(topology: &Topology, to: &mut (impl Write + Send)) -> io::Result<()> {
    table(topology, to).map_err(io::Error::other)
}

fn table(topology: &Topology, to: &mut (impl Write + Send)) -> Result<(), ParquetError> {
    let schema = Arc::new(schema()?);
    let mut file = SerializedFileWriter::new(to, schema, Arc::new(WriterProperties::default()))?;
    for links in topology.links.chunks(GROUP) {
        let mut rows = file.next_row_group()?;
        for end in 0..2 {
            let ends = links.iter().map(|link| ends(topology, link)[end] as i32);
            column::<Int32Type>(&mut rows, &ends.collect::<Vec<_>>())?;
        }
        column::<BoolType>(&mut rows, &links.iter().map(Link::is_of_tree).collect::<Vec<_>>())?;
        let eager = |link: &Link| link.eager.iter().filter(|eager| **eager).count() as i32;
        column::<Int32Type>(&mut rows, &links.iter().map(eager).collect::<Vec<_>>())?;
        let mutual = |link: &Link| link.held == [true; 2];
        column::<BoolType>(&mut rows, &links.iter().map(mutual).collect::<Vec<_>>())?;
        for end in 0..2 {
            let region = |link: &Link| ByteArray::from(regions(topology, link)[end].unwrap_or(""));
            column::<ByteArrayType>(&mut rows, &links.iter().map(region).collect::<Vec<_>>())?;
        }
        rows.close()?;
    }
    file.close().map(|_| ())
}

fn schema() -> Result<Type, ParquetError> {
    let columns = [
        ("source", Physical::INT32, ConvertedType::NONE),
        ("target", Physical::INT32, ConvertedType::NONE),
        ("tree", Physical::BOOLEAN, ConvertedType::NONE),
        ("eager", Physical::INT32, ConvertedType::NONE),
        ("mutual", Physical::BOOLEAN, ConvertedType::NONE),
        ("source_region", Physical::BYTE_ARRAY, ConvertedType::UTF8),
        ("target_region", Physical::BYTE_ARRAY, ConvertedType::UTF8),
    ];
    let column = |(name, physical, converted)| {
        Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::REQUIRED)
            .with_converted_type(converted)
            .build()
            .map(Arc::new)
    };
    let fields = columns.into_iter().map(column).collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("edges").with_fields(fields).build()
}

fn column<T: ::parquet::data_type::DataType>(
    rows: &mut SerializedRowGroupWriter<'_, impl Write + Send>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let Some(mut column) = rows.next_column()? else {
        return Err(ParquetError::General("more columns than the schema has".to_owned()));
    };
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

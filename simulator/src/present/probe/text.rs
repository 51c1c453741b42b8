//! Tables as text.

use std::io::{self, Write};

use csv::Writer;

use super::Sheet;

/// Comma-separated values.
pub(super) struct Csv<W: Write>(Writer<W>);

impl<W: Write> Csv<W> {
    pub(super) fn new(names: &[&str], to: W) -> io::Result<Self> {
        let mut writer = Writer::from_writer(to);
        writer.write_record(names)?;
        Ok(Self(writer))
    }
}

impl<W: Write> Sheet for Csv<W> {
    fn add(&mut self, at: f64, node: usize, values: &[f64]) -> io::Result<()> {
        self.0.write_field(at.to_string())?;
        self.0.write_field(node.to_string())?;
        for value in values {
            let cell = if value.is_nan() { String::new() } else { value.to_string() };
            self.0.write_field(cell)?;
        }
        Ok(self.0.write_record(None::<&[u8]>)?)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

/// An object a line.
pub(super) struct JsonLines<W> {
    /// As JSON.
    names: Vec<String>,
    to: W,
}

impl<W: Write> JsonLines<W> {
    pub(super) fn new(names: &[&str], to: W) -> Self {
        let names = names.iter().map(|name| serde_json::Value::from(*name).to_string());
        Self { names: names.collect(), to }
    }
}

impl<W: Write> Sheet for JsonLines<W> {
    fn add(&mut self, at: f64, node: usize, values: &[f64]) -> io::Result<()> {
        let [of_time, of_node, figures @ ..] = &self.names[..] else { return Ok(()) };
        write!(self.to, "{{{of_time}:{at},{of_node}:{node}")?;
        for (name, value) in figures.iter().zip(values).filter(|(_, value)| !value.is_nan()) {
            write!(self.to, ",{name}:{value}")?;
        }
        self.to.write_all(b"}\n")
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.to.flush()
    }
}

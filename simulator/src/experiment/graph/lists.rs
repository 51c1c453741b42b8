//! Lists of links, one a line.

use super::listing::{GraphError, Listing, Place};

/// Comma-separated values, with or without a head that names columns `source` and `target`.
pub(super) fn csv(bytes: &[u8], listing: &mut Listing) -> Result<(), GraphError> {
    let mut csv = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .comment(Some(b'#'))
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let (mut row, mut columns) = (csv::StringRecord::new(), None);
    loop {
        let more = csv.read_record(&mut row).map_err(|error| {
            let line = error.position().map_or(1, csv::Position::line);
            GraphError::Syntax(Place::Line(line as u32), "is not UTF-8 text".to_owned())
        })?;
        if !more {
            return Ok(());
        }
        let line = row.position().map_or(1, csv::Position::line);
        let place = Place::Line(line as u32);
        let Some((source, target)) = columns else {
            let column = |name: &str| row.iter().position(|cell| cell.eq_ignore_ascii_case(name));
            let head = column("source").zip(column("target"));
            columns = Some(head.unwrap_or((0, 1)));
            if head.is_none() {
                link(row.get(0).zip(row.get(1)), place, listing)?;
            }
            continue;
        };
        link(row.get(source).zip(row.get(target)), place, listing)?;
    }
}

/// Two words a line, and then whatever follows; `#` begins a comment. As NetworkX and SNAP write them.
pub(super) fn words(bytes: &[u8], listing: &mut Listing) -> Result<(), GraphError> {
    for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let place = Place::Line(at as u32 + 1);
        let line = std::str::from_utf8(line)
            .map_err(|_| GraphError::Syntax(place, "is not UTF-8 text".to_owned()))?;
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        if let Some(first) = words.next() {
            link(Some(first).zip(words.next()), place, listing)?;
        }
    }
    Ok(())
}

fn link(ends: Option<(&str, &str)>, place: Place, listing: &mut Listing) -> Result<(), GraphError> {
    match ends {
        Some((source, target)) if !source.is_empty() && !target.is_empty() => {
            listing.link(source, target, place)
        }
        _ => Err(GraphError::Syntax(place, "must name the two nodes of a link".to_owned())),
    }
}

//! An axis of a sweep: a key, and the values that it takes.

use super::{MOST_RUNS, SweepError};
use crate::experiment::scenario::Document;

/// A key and its values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The whole path of the key.
    pub key: String,
    /// Its values in the order they were written; no two are the same.
    pub values: Vec<Value>,
}

/// A value of an axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// As it is written in a scenario.
    pub written: String,
    /// As tables show it: numbers in their shortest form, texts without quotes.
    pub label: String,
}

impl Axis {
    /// Reads `key=values`: a list with commas between, of values as `--set` takes them and of ranges
    /// `3..8` and `10ms..50ms:10ms`, whose ends are included.
    ///
    /// # Errors
    /// If there is no such key, or a range has no values.
    pub fn parse(text: &str, document: &Document) -> Result<Self, SweepError> {
        let wrong = |message: String| SweepError::Wrong(format!("--vary {text}: {message}"));
        let (key, values) = text.split_once('=').ok_or_else(|| {
            wrong("is not KEY=VALUES, as in nodes.count=500,1000 or active_capacity=3..8".into())
        })?;
        let key = document.find_key(key.trim()).map_err(wrong)?;
        if key == "seed" {
            return Err(wrong("seeds are varied by --seeds, from the scenario's on".into()));
        }
        let mut all: Vec<Value> = Vec::new();
        for piece in pieces(values) {
            if piece.is_empty() {
                return Err(wrong("a value is missing".into()));
            }
            for written in expanded(piece).map_err(wrong)? {
                let value = Value { label: label(&written), written };
                if value.label.contains(char::is_control) {
                    return Err(wrong(format!("{:?} has a line break in it", value.label)));
                }
                if all.iter().any(|other| other.label == value.label) {
                    return Err(wrong(format!("{} is given twice", value.label)));
                }
                all.push(value);
            }
        }
        Ok(Self { key, values: all })
    }

    /// The key, and the values as tables show them.
    pub(super) fn labels(&self) -> (&str, Vec<&str>) {
        (&self.key, self.values.iter().map(|value| value.label.as_str()).collect())
    }
}

/// What stands between the commas that are neither in quotes nor in brackets.
fn pieces(text: &str) -> Vec<&str> {
    let (mut depth, mut quote, mut start) = (0_usize, None, 0);
    let mut pieces = Vec::new();
    for (at, sign) in text.char_indices() {
        match (sign, quote) {
            (_, Some(open)) if sign == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '\'', None) => quote = Some(sign),
            ('[' | '{', None) => depth += 1,
            (']' | '}', None) => depth = depth.saturating_sub(1),
            (',', None) if depth == 0 => {
                pieces.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(text[start..].trim());
    pieces
}

/// The values of a range, or the value if it is none.
fn expanded(piece: &str) -> Result<Vec<String>, String> {
    let Some((from, rest)) = piece.split_once("..") else { return Ok(vec![piece.to_owned()]) };
    let (to, step) = match rest.split_once(':') {
        Some((to, step)) => (to, Some(step)),
        None => (rest, None),
    };
    // The name of a file can have dots, too.
    if Number::parse(from).is_err() && Number::parse(to).is_err() {
        return Ok(vec![piece.to_owned()]);
    }
    let (from, to) = (Number::parse(from)?, Number::parse(to)?);
    let step = match step.map(Number::parse).transpose()? {
        Some(step) => step,
        None if from.digits + to.digits == 0 => Number { value: 1, digits: 0, unit: "" },
        None => return Err(format!("{piece} needs a step, as in 0.05..0.2:0.05")),
    };
    for part in [&from, &step] {
        if !["", to.unit].contains(&part.unit) {
            let (one, other) = (part.unit, to.unit);
            return Err(format!("{piece} is in {one:?} and {other:?}: write it in one unit"));
        }
    }
    let digits = from.digits.max(to.digits).max(step.digits);
    let scaled = |number: &Number<'_>| number.value * 10_i128.pow(digits - number.digits);
    let (first, last, by) = (scaled(&from), scaled(&to), scaled(&step));
    if by <= 0 {
        return Err(format!("{piece}: the step must be above 0"));
    }
    if first > last {
        return Err(format!("{piece} is empty: the second must be at least the first"));
    }
    let count = (last - first) / by + 1;
    if count > i128::from(MOST_RUNS) {
        return Err(format!("{piece} is {count} values: allowed are {MOST_RUNS}"));
    }
    Ok((0..count).map(|at| decimal(first + at * by, digits) + to.unit).collect())
}

/// A decimal number with what stands behind it.
struct Number<'a> {
    /// Without the point.
    value: i128,
    /// Behind the point.
    digits: u32,
    unit: &'a str,
}

impl<'a> Number<'a> {
    fn parse(text: &'a str) -> Result<Self, String> {
        let text = text.trim();
        let (sign, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (-1, unsigned),
            None => (1, text),
        };
        let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = unsigned.split_at(end.unwrap_or(unsigned.len()));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_number = !whole.is_empty() && !fraction.contains('.') && number.len() <= 18;
        let value = format!("{whole}{fraction}").parse::<i128>().ok().filter(|_| is_number);
        let digits = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        match value {
            Some(value) => Ok(Self { value: sign * value, digits, unit }),
            None => {
                Err(format!("{text:?} is not a number, so it cannot be the end or step of a range"))
            }
        }
    }
}

fn decimal(value: i128, digits: u32) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (value, one) = (value.unsigned_abs(), 10_u128.pow(digits));
    let (whole, fraction) = (value / one, value % one);
    match digits {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{fraction:0width$}", width = digits as usize),
    }
}

fn label(written: &str) -> String {
    if let Ok(number) = written.parse::<i64>() {
        return number.to_string();
    }
    if let Some(number) = written.parse::<f64>().ok().filter(|number| number.is_finite()) {
        return number.to_string();
    }
    let unquoted = |quote| written.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    unquoted('"').or_else(|| unquoted('\'')).unwrap_or(written).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Vec<String>, String> {
        let document = Document::parse("f", "").unwrap();
        let axis = Axis::parse(text, &document).map_err(|error| error.to_string())?;
        Ok(axis.values.into_iter().map(|value| value.label).collect())
    }

    #[test]
    fn values_are_lists_and_ranges_with_their_ends() {
        for (text, expected) in [
            ("active_capacity=3..8", "3 4 5 6 7 8"),
            ("active_capacity=3..9:2", "3 5 7 9"),
            ("active_capacity=3..8:2", "3 5 7"),
            ("active_capacity = 3, 5..6 , 9", "3 5 6 9"),
            ("loss=0,0.05,0.20", "0 0.05 0.2"),
            // No 0.15000000000000002.
            ("loss=0..0.2:0.05", "0 0.05 0.1 0.15 0.2"),
            ("loss=0..20%:10%", "0% 10% 20%"),
            ("links.latency.time=10ms..50ms:20ms", "10ms 30ms 50ms"),
            ("shuffle_interval=1..3s", "1s 2s 3s"),
            ("membership.strategy=\"hyparview\",full-mesh", "hyparview full-mesh"),
            ("links.latency.file=../a.csv,b..c.csv", "../a.csv b..c.csv"),
        ] {
            let found = labels(text).map(|labels| labels.join(" "));
            assert_eq!(found, Ok(expected.into()), "{text}");
        }
        let tables = "latency={ model = 'uniform', from = '1ms', to = '2ms' },{ model = 'aws' }";
        assert_eq!(labels(tables).map(|labels| labels.len()), Ok(2));
    }

    #[test]
    fn what_is_no_axis_is_said() {
        for (text, expected) in [
            ("active_capacity", "is not KEY=VALUES"),
            (
                "activ_capacity=3",
                "activ_capacity is not a key: did you mean membership.active_capacity?",
            ),
            (
                "strategy=a",
                "strategy can be any of broadcast.strategy, membership.strategy: write which",
            ),
            ("active_capacity=", "a value is missing"),
            ("active_capacity=3,,4", "a value is missing"),
            ("active_capacity=8..3", "8..3 is empty: the second must be at least the first"),
            ("active_capacity=3..8:0", "3..8:0: the step must be above 0"),
            (
                "active_capacity=3..many",
                "\"many\" is not a number, so it cannot be the end or step of a range",
            ),
            ("active_capacity=3..=8", "\"=8\" is not a number"),
            ("active_capacity=3..", "\"\" is not a number"),
            ("active_capacity=3..8:two", "\"two\" is not a number"),
            ("loss=0.05..0.2", "0.05..0.2 needs a step, as in 0.05..0.2:0.05"),
            (
                "links.latency.time=500ms..2s",
                "500ms..2s is in \"ms\" and \"s\": write it in one unit",
            ),
            ("active_capacity=3..8,5", "5 is given twice"),
            ("nodes.count=1..16000000", "1..16000000 is 16000000 values: allowed are 1000000"),
            ("seed=1..10", "seeds are varied by --seeds"),
        ] {
            let error = labels(text).expect_err(text);
            assert!(error.starts_with(&format!("--vary {text}: ")), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! Which events a trace has, as a text: `kind=deliver,node=3..9,from=10s`.

use std::str::FromStr;

use murmurate::membership::Time;

use crate::engine::watch::{EventKind, Filter};

const KEYS: [&str; 5] = ["kind", "node", "broadcast", "from", "until"];

impl FromStr for Filter {
    type Err = String;

    /// `key=value` pairs with commas between. Of one key any value will do; the keys must all hold.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut filter = Self::default();
        for term in text.split(',') {
            let Some((key, value)) = term.split_once('=') else {
                return Err(format!("{term:?} is not a key=value; keys are {}", KEYS.join(", ")));
            };
            match key.trim() {
                "kind" => filter.kinds.push(kind(value.trim())?),
                "node" => filter.nodes.push(nodes(value.trim())?),
                "broadcast" => filter.broadcasts.push(number(value.trim())?),
                "from" => filter.from = time(value.trim())?,
                "until" => filter.until = Some(time(value.trim())?),
                other => return Err(unknown(other, "key", &KEYS)),
            }
        }
        match filter.until.filter(|until| *until <= filter.from) {
            Some(_) => Err(format!("{text:?}: until must be after from")),
            None => Ok(filter),
        }
    }
}

fn kind(name: &str) -> Result<EventKind, String> {
    let found = EventKind::NAMES.iter().find(|(known, _)| *known == name);
    let names = EventKind::NAMES.map(|(known, _)| known);
    found.map(|(_, kind)| *kind).ok_or_else(|| unknown(name, "kind of event", &names))
}

fn unknown(word: &str, what: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .max_by(|a, b| strsim::jaro_winkler(a, word).total_cmp(&strsim::jaro_winkler(b, word)));
    let near = near.filter(|near| strsim::jaro_winkler(near, word) > 0.75);
    let hint = near.map_or_else(String::new, |near| format!(" did you mean {near}?"));
    format!("{word:?} is not a {what}:{hint} allowed are {}", known.join(", "))
}

fn nodes(text: &str) -> Result<std::ops::RangeInclusive<u32>, String> {
    let Some((first, last)) = text.split_once("..") else {
        let node = number(text)?;
        return Ok(node..=node);
    };
    let (first, last) = (number(first)?, number(last)?);
    if first > last {
        return Err(format!("{text:?}: the second node must be at least the first"));
    }
    Ok(first..=last)
}

fn number(text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("{text:?} is not a number of a node or broadcast, as 3 or 3..9"))
}

fn time(text: &str) -> Result<Time, String> {
    let span = humantime::parse_duration(text)
        .map_err(|_| format!("{text:?} is not a time: write 10s, 250ms or 1m"))?;
    Ok(Time::ZERO.after(span))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_add_up() {
        let filter: Filter =
            "kind=deliver, kind=send,node=3,node=5..9,broadcast=2,from=1s,until=2500ms"
                .parse()
                .expect("a filter");
        let expected = Filter {
            kinds: vec![EventKind::Deliver, EventKind::Send],
            nodes: vec![3..=3, 5..=9],
            broadcasts: vec![2],
            from: Time::from_nanos(1_000_000_000),
            until: Some(Time::from_nanos(2_500_000_000)),
        };
        assert_eq!(filter, expected);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_allowed() {
        for (text, said) in [
            ("kinds=send", "\"kinds\" is not a key: did you mean kind? allowed are kind, node,"),
            ("kind=delivery", "\"delivery\" is not a kind of event: did you mean deliver?"),
            ("deliver", "\"deliver\" is not a key=value"),
            ("node=9..3", "\"9..3\": the second"),
            ("node=x", "\"x\" is not a number"),
            ("from=soon", "\"soon\" is not a time: write 10s"),
            ("from=2s,until=2s", "until must be after from"),
        ] {
            let error = text.parse::<Filter>().expect_err(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}

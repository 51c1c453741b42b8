//! The keys that a scenario has, and how much of one must be written to name it.

use serde_json::Value as Json;
use toml::Value;

use super::nearest::nearest;
use super::schema::{SCHEMA, Shape, resolved, shape};
use super::tree::{Item, Node};
use super::{Scenario, shape_of};

/// The whole path of a key that is written as a path with dots or as the end of one, in what is written
/// and what stands there by default.
pub(super) fn find(root: &Item, key: &str) -> Result<String, String> {
    let mut keys = Vec::new();
    below(&SCHEMA, Some(root), Some(&Scenario::default_value()), "", &mut keys);
    if keys.iter().any(|known| known == key) {
        return Ok(key.to_owned());
    }
    let ends_so =
        |known: &&String| known.strip_suffix(key).is_some_and(|before| before.ends_with('.'));
    match keys.iter().filter(ends_so).collect::<Vec<_>>()[..] {
        [only] => Ok(only.clone()),
        [] if is_within(key) => Ok(key.to_owned()),
        [] => Err(match nearest(key, &keys) {
            Some(nearest) => format!("{key} is not a key: did you mean {nearest}?"),
            None => format!("{key} is not a key: murmurate-sim schema --reference lists them"),
        }),
        ref several => {
            let names = several.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ");
            Err(format!("{key} can be any of {names}: write which"))
        }
    }
}

/// Whether a path leads somewhere into a scenario. What is wrong further down is told when the
/// scenario is checked.
fn is_within(key: &str) -> bool {
    let first = key.split('.').next().unwrap_or_default();
    SCHEMA["properties"].get(first).is_some() && first != key
}

/// The keys below a value.
fn below(
    schema: &Json,
    item: Option<&Item>,
    default: Option<&Value>,
    path: &str,
    keys: &mut Vec<String>,
) {
    let schema = resolved(&SCHEMA, schema);
    let mut add = |key: &str, schema: &Json, item: Option<&Item>, default: Option<&Value>| {
        let path = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        keys.push(path.clone());
        if item.is_some() || default.is_some() {
            below(schema, item, default, &path, keys);
        }
    };
    let of = |key: &str| (item.and_then(|item| item.get(key)), default.and_then(|d| d.get(key)));
    match shape(schema) {
        Some(Shape::Tagged(tag, shapes)) => {
            let written = item.and_then(|item| item.get(tag)).map(Item::plain);
            let by_default = default.and_then(shape_of).map(|(_, shape)| shape.clone());
            let name = written.or(by_default);
            let chosen =
                shapes.iter().find(|(n, _)| name.as_ref().and_then(Value::as_str) == Some(n));
            for (key, schema) in
                chosen.into_iter().flat_map(|(_, s)| s["properties"].as_object()).flatten()
            {
                let (item, default) = of(key);
                add(key, schema, item, default);
            }
        }
        Some(Shape::Named(shapes)) => {
            for (key, schema) in shapes {
                if let (item @ Some(_), default) = of(key) {
                    add(key, schema.unwrap_or(&Json::Null), item, default);
                }
            }
        }
        None => {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                let (item, default) = of(key);
                add(key, schema, item, default);
            }
            if let Some(Node::List(items)) = item.map(|item| &item.value) {
                for (index, item) in items.iter().enumerate() {
                    add(&index.to_string(), &schema["items"], Some(item), None);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;

    fn find(text: &str, key: &str) -> Result<String, String> {
        Document::parse("f", text).unwrap().find_key(key)
    }

    #[test]
    fn the_end_of_a_key_will_do_where_there_is_only_one_such() {
        for (key, whole) in [
            ("nodes.count", "nodes.count"),
            ("active_capacity", "membership.active_capacity"),
            ("loss", "links.loss"),
            ("latency.time", "links.latency.time"),
            ("latency", "links.latency"),
            ("seed", "seed"),
            ("bursts", "links.bursts"),
            ("strategy", "broadcast.strategy, membership.strategy"),
        ] {
            match find("", key) {
                Ok(found) => assert_eq!(found, whole, "{key}"),
                Err(message) => {
                    assert_eq!(message, format!("{key} can be any of {whole}: write which"));
                }
            }
        }
    }

    #[test]
    fn the_keys_are_those_of_what_is_written() {
        let file = "membership.strategy = 'full-mesh'\nlinks.bursts = { share = 0.1, length = '1s' }\n\
            [[workload]]\npace.rate = 5.0\n[[faults]]\nat = '5s'\ndo.crash.who.share = 0.5\n\
            [[faults]]\nat = '7s'\ndo = 'heal'\n";
        for (key, whole) in [
            ("members_capacity", Ok("membership.members_capacity")),
            ("who.share", Ok("faults.0.do.crash.who.share")),
            ("rate", Ok("workload.0.pace.rate")),
            ("0.at", Ok("faults.0.at")),
            ("at", Err("at can be any of faults.0.at, faults.1.at: write which")),
            ("loss", Err("loss can be any of links.bursts.loss, links.loss: write which")),
            (
                "active_capacity",
                Err("active_capacity is not a key: did you mean membership.requests_capacity?"),
            ),
            ("count", Err("count can be any of nodes.count, workload.0.count: write which")),
            ("xyz", Err("xyz is not a key: murmurate-sim schema --reference lists them")),
            // Checked with the scenario, which knows what is allowed there.
            ("nodes.cuont", Ok("nodes.cuont")),
        ] {
            assert_eq!(find(file, key), whole.map(Into::into).map_err(Into::into), "{key}");
        }
        let wrong = find("", "protocol.active_capacity");
        assert_eq!(
            wrong,
            Err("protocol.active_capacity is not a key: did you mean membership.active_capacity?"
                .into())
        );
    }

    #[test]
    fn what_nobody_wrote_has_its_default_shape_when_a_part_of_it_is_set() {
        let mut document = Document::parse("f", "").unwrap();
        for set in ["active_capacity=7", "links.latency.time=30ms", "broadcast.strategy=flood"] {
            document.set(set).unwrap();
        }
        let expected = "membership = { strategy = 'hyparview', active_capacity = 7 }\n\
            links.latency = { model = 'constant', time = '30ms' }\nbroadcast.strategy = 'flood'\n";
        let expected = Document::parse("f", expected).unwrap();
        assert_eq!(document.scenario().unwrap(), expected.scenario().unwrap());
        assert_eq!(document.canonical(), expected.canonical());
    }
}

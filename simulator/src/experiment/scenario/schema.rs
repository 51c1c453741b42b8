//! The JSON schema of scenario files, and the check of a file against it.
//!
//! The schema follows from the types. It is the only list of keys, ranges and defaults: files are
//! checked against it before `serde` sees them, so that every message has a place, and the
//! reference is written from it.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value as Json;
use toml::Value;

use super::Scenario;
use super::assertion::Assertion;
use super::tree::{Entry, Item, Node, Place};
use super::values::{self, Span};

/// The schema (JSON Schema 2020-12).
#[must_use]
pub fn schema() -> Json {
    SCHEMA.clone()
}

/// Written once, and asked for each of the many scenarios of a sweep.
pub(super) static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Scenario>().to_value();
    put_patterns(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".into(), "A scenario of murmurate-sim".into());
    }
    schema
});

/// Says of each text of a format of ours which texts fit it.
fn put_patterns(schema: &mut Json) {
    match schema {
        Json::Object(object) => {
            let format = object.get("format").and_then(Json::as_str).and_then(values::format);
            if let Some(format) = format {
                object.insert("pattern".into(), format.pattern.into());
            }
            object.values_mut().for_each(put_patterns);
        }
        Json::Array(items) => items.iter_mut().for_each(put_patterns),
        _ => {}
    }
}

/// What a text says which no scenario does.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) place: Place,
    /// The key of the scenario that it is in or under.
    pub(super) section: String,
    pub(super) message: String,
}

/// All that is wrong value by value, in the order of the keys.
pub(super) fn check(root: &Item, text: &str) -> Vec<Wrong> {
    let mut checker = Checker { schema: &SCHEMA, text, section: String::new(), found: Vec::new() };
    checker.check(&SCHEMA, root, "");
    checker.found
}

/// What a `$ref` stands for, and of an optional value what it is when it is there.
pub(super) fn resolved<'s>(root: &'s Json, schema: &'s Json) -> &'s Json {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.strip_prefix("#/$defs/")) {
        return resolved(root, &root["$defs"][name]);
    }
    if let Some(any) = schema["anyOf"].as_array() {
        let is_null = |schema: &&Json| schema["type"] == "null";
        if let Some(some) = any.iter().find(|schema| !is_null(schema)) {
            return resolved(root, some);
        }
    }
    schema
}

/// A choice among several shapes.
pub(super) enum Shape<'s> {
    /// A table with a key that names the shape: `model = "constant"`.
    Tagged(&'s str, Vec<(&'s str, &'s Json)>),
    /// A word, or a table with a single key that names the shape: `"random"`, `{ node = 5 }`.
    Named(Vec<(&'s str, Option<&'s Json>)>),
}

/// How `oneOf` tells its shapes apart, if the schema is a choice.
pub(super) fn shape(schema: &Json) -> Option<Shape<'_>> {
    if let Some(words) = schema["enum"].as_array() {
        return Some(Shape::Named(
            words.iter().filter_map(|w| Some((w.as_str()?, None))).collect(),
        ));
    }
    let choices = schema["oneOf"].as_array()?;
    let tag = choices.iter().find_map(|choice| {
        let keys = choice["properties"].as_object()?;
        keys.iter().find(|(_, value)| value["const"].is_string()).map(|(key, _)| key.as_str())
    });
    if let Some(tag) = tag {
        let name = |c: &'_ Json| c["properties"][tag]["const"].as_str().map(ToOwned::to_owned);
        let named = choices.iter().filter(|choice| name(choice).is_some());
        return Some(Shape::Tagged(
            tag,
            named.filter_map(|c| Some((c["properties"][tag]["const"].as_str()?, c))).collect(),
        ));
    }
    let mut shapes = Vec::new();
    for choice in choices {
        if let Some(word) = choice["const"].as_str() {
            shapes.push((word, None));
        } else if let Some(words) = choice["enum"].as_array() {
            shapes.extend(words.iter().filter_map(|word| Some((word.as_str()?, None))));
        } else if let Some(keys) = choice["properties"].as_object() {
            shapes.extend(keys.iter().map(|(key, value)| (key.as_str(), Some(value))));
        }
    }
    Some(Shape::Named(shapes))
}

/// What a value may be, in a few words.
pub(super) fn allowed(root: &Json, schema: &Json) -> String {
    let schema = resolved(root, schema);
    if let Some(shape) = shape(schema) {
        return match shape {
            Shape::Tagged(tag, shapes) => format!("a table whose {tag} is {}", names(shapes)),
            Shape::Named(shapes) => {
                let (words, keys): (Vec<_>, Vec<_>) = shapes.iter().partition(|s| s.1.is_none());
                let words = words.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>();
                match (words.is_empty(), keys.is_empty()) {
                    (_, true) => words.join(", "),
                    (true, _) => format!("a table with one of {}", names(keys)),
                    _ => format!("{}, or a table with one of {}", words.join(", "), names(keys)),
                }
            }
        };
    }
    if schema["format"] == "assertion" {
        return "an assertion such as \"reliability >= 0.999 from 30s\"".into();
    }
    let format = schema["format"].as_str().and_then(values::format);
    let kind = format.map(|format| format.allowed).unwrap_or_else(|| {
        match schema["type"].as_str().unwrap_or_default() {
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "a table",
            _ => "a text",
        }
    });
    let bound = |key: &str, word: &str| match &schema[key] {
        Json::Null => String::new(),
        Json::String(bound) => format!("{word}{bound}"),
        bound => format!("{word}{bound}"),
    };
    let range = match (bound("minimum", ""), bound("maximum", "")) {
        // Shares and sizes tell theirs themselves.
        _ if matches!(schema["format"].as_str(), Some("share" | "bytes")) => String::new(),
        (min, max) if min.is_empty() && max.is_empty() => String::new(),
        (min, max) if max.is_empty() => format!(" from {min}"),
        (min, max) if min.is_empty() => format!(" up to {max}"),
        (min, max) => format!(" from {min} to {max}"),
    };
    let least = bound("x-least", ", at least ");
    let most = bound("x-most", ", at most ");
    let above = bound("x-above", ", above ");
    let below = bound("x-below", ", below ");
    format!("{kind}{range}{least}{most}{above}{below}")
}

fn names<'s, T>(
    shapes: impl IntoIterator<Item = impl std::borrow::Borrow<(&'s str, T)>>,
) -> String {
    shapes.into_iter().map(|shape| shape.borrow().0).collect::<Vec<_>>().join(", ")
}

/// The known word that is most like this one: "did you mean ...?", or all that there are.
fn instead<'s>(word: &str, known: impl Iterator<Item = &'s str> + Clone) -> String {
    let likeness = |known: &'s str| (strsim::jaro_winkler(word, known), known);
    let nearest = known.clone().map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.75 => format!("did you mean {nearest}?"),
        _ => format!("allowed are {}", known.collect::<Vec<_>>().join(", ")),
    }
}

struct Checker<'a> {
    schema: &'a Json,
    text: &'a str,
    section: String,
    found: Vec<Wrong>,
}

impl Checker<'_> {
    fn blame(&mut self, place: &Place, message: String) {
        let (place, section) = (place.clone(), self.section.clone());
        self.found.push(Wrong { place, section, message });
    }

    /// `path = value: allowed is ...`
    fn wrong_value(&mut self, schema: &Json, item: &Item, path: &str) {
        let value = match &item.value {
            Node::Table(_) => "a table".to_owned(),
            Node::List(_) => "a list".to_owned(),
            Node::Plain(value) => value.to_string(),
        };
        let allowed = allowed(self.schema, schema);
        self.blame(&item.place, format!("{path} = {value}: allowed is {allowed}"));
    }

    fn check(&mut self, schema: &Json, item: &Item, path: &str) {
        let schema = resolved(self.schema, schema);
        if let Some(shape) = shape(schema) {
            return self.check_shape(schema, &shape, item, path);
        }
        match (&item.value, &schema["type"]) {
            (Node::Table(entries), Json::String(kind)) if kind == "object" => {
                self.check_table(schema, entries, item, path);
            }
            (Node::List(items), Json::String(kind)) if kind == "array" => {
                for (index, item) in items.iter().enumerate() {
                    self.check(&schema["items"], item, &format!("{path}.{index}"));
                }
            }
            (Node::Plain(value), kinds) => self.check_plain(schema, kinds, value, item, path),
            _ => self.wrong_value(schema, item, path),
        }
    }

    fn check_table(&mut self, schema: &Json, entries: &[Entry], item: &Item, path: &str) {
        let Some(known) = schema["properties"].as_object() else { return };
        for entry in entries {
            if path.is_empty() {
                self.section.clone_from(&entry.key);
            }
            let path = join(path, &entry.key);
            match known.get(&entry.key) {
                Some(schema) => self.check(schema, &entry.item, &path),
                None => {
                    let instead = instead(&entry.key, known.keys().map(String::as_str));
                    self.blame(&entry.key_place, format!("{path} is not a key: {instead}"));
                }
            }
        }
        let required = schema["required"].as_array().into_iter().flatten();
        for key in required.filter_map(Json::as_str) {
            if !entries.iter().any(|entry| entry.key == key) {
                let allowed = allowed(self.schema, &known[key]);
                let path = join(path, key);
                self.blame(&item.place, format!("{path} is missing: allowed is {allowed}"));
            }
        }
    }

    fn check_shape(&mut self, schema: &Json, shape: &Shape<'_>, item: &Item, path: &str) {
        match (shape, &item.value) {
            (Shape::Tagged(tag, shapes), Node::Table(entries)) => {
                let path_of_tag = join(path, tag);
                let known = names(shapes);
                match item.get(tag).map(|tag| (tag, &tag.value)) {
                    None => {
                        let message = format!("{path_of_tag} is missing: allowed are {known}");
                        self.blame(&item.place, message);
                    }
                    Some((_, Node::Plain(Value::String(name))))
                        if let Some((_, schema)) = shapes.iter().find(|shape| shape.0 == name) =>
                    {
                        self.check_table(schema, entries, item, path);
                    }
                    Some((tag, _)) => {
                        let value = tag.plain();
                        let known = shapes.iter().map(|shape| shape.0);
                        let instead = instead(value.as_str().unwrap_or_default(), known);
                        self.blame(&tag.place, format!("{path_of_tag} = {value}: {instead}"));
                    }
                }
            }
            (Shape::Named(shapes), Node::Plain(Value::String(word))) => {
                if !shapes.iter().any(|(known, inner)| known == word && inner.is_none()) {
                    self.wrong_value(schema, item, path);
                }
            }
            (Shape::Named(shapes), Node::Table(entries))
                if shapes.iter().any(|s| s.1.is_some()) =>
            {
                let known = shapes.iter().filter_map(|(key, inner)| Some((*key, (*inner)?)));
                for entry in entries {
                    let path = join(path, &entry.key);
                    match known.clone().find(|(key, _)| *key == entry.key) {
                        Some((_, schema)) => self.check(schema, &entry.item, &path),
                        None => {
                            let instead = instead(&entry.key, known.clone().map(|(key, _)| key));
                            self.blame(&entry.key_place, format!("{path} is not a key: {instead}"));
                        }
                    }
                }
                if entries.len() != 1 {
                    let keys = names(known);
                    let message =
                        format!("{path} has {} keys: it takes one of {keys}", entries.len());
                    self.blame(&item.place, message);
                }
            }
            _ => self.wrong_value(schema, item, path),
        }
    }

    fn check_plain(&mut self, schema: &Json, kinds: &Json, value: &Value, item: &Item, path: &str) {
        let takes = |kind: &str| {
            kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.iter().any(|k| k == kind))
        };
        let within = match value {
            Value::String(text) if takes("string") => {
                return self.check_text(schema, text, item, path);
            }
            Value::Integer(number) if takes("integer") || takes("number") => {
                is_within(schema, *number as f64)
            }
            Value::Float(number) if takes("number") => is_within(schema, *number),
            Value::Boolean(_) => takes("boolean"),
            _ => false,
        };
        if !within {
            self.wrong_value(schema, item, path);
        }
    }

    fn check_text(&mut self, schema: &Json, text: &str, item: &Item, path: &str) {
        let format = schema["format"].as_str().unwrap_or_default();
        if format == "assertion" {
            if let Err(error) = text.parse::<Assertion>() {
                let place = self.within_text(&item.place, text, error.at);
                self.blame(&place, format!("{path} = {text:?}: {error}"));
            }
            return;
        }
        let right = match values::format(format) {
            None => true,
            Some(format) if !(format.reads)(text) => false,
            Some(_) => text.parse().map_or(true, |time: Span| {
                let bound = |key: &str| schema[key].as_str().and_then(|b| b.parse::<Span>().ok());
                bound("x-least").is_none_or(|least| time >= least)
                    && bound("x-most").is_none_or(|most| time <= most)
            }),
        };
        if !right {
            self.wrong_value(schema, item, path);
        }
    }

    /// A place within a text, unless it is written with escapes.
    fn within_text(&self, place: &Place, text: &str, at: usize) -> Place {
        match place {
            Place::Text(start)
                if self.text.get(start + 1..).is_some_and(|t| t.starts_with(text)) =>
            {
                Place::Text(start + 1 + at)
            }
            place => place.clone(),
        }
    }
}

fn is_within(schema: &Json, number: f64) -> bool {
    let bound = |key: &str| schema[key].as_f64();
    number.is_finite()
        && bound("minimum").is_none_or(|min| number >= min)
        && bound("maximum").is_none_or(|max| number <= max)
        && bound("x-least").is_none_or(|least| number >= least)
        && bound("x-above").is_none_or(|above| number > above)
        && bound("x-below").is_none_or(|below| number < below)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

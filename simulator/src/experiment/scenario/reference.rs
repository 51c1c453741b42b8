//! The reference of scenario files, written from their schema.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::Figure;
use super::schema::{Shape, allowed, resolved, schema, shape};

/// The reference as Markdown: a section for the file and for each kind of table in it.
#[must_use]
pub fn reference() -> String {
    let schema = schema();
    let mut text = String::new();
    section(&mut text, &schema, "The file", &schema);
    if let Some(definitions) = schema["$defs"].as_object() {
        for (name, definition) in definitions {
            if definition["properties"].is_object() || definition["oneOf"].is_array() {
                section(&mut text, &schema, name, definition);
            }
        }
    }
    figures(&mut text);
    text
}

/// Writing to a string does not fail.
macro_rules! put {
    ($text:expr, $($words:tt)*) => { let _ = writeln!($text, $($words)*); };
}

fn section(text: &mut String, root: &Json, name: &str, schema: &Json) {
    put!(text, "### {name}\n");
    if let Some(about) = schema["description"].as_str() {
        put!(text, "{about}\n");
    }
    match shape(schema) {
        None => table(text, root, schema, None),
        Some(Shape::Tagged(tag, shapes)) => {
            for (shape, keys) in shapes {
                put!(text, "**`{tag} = \"{shape}\"`**: {}\n", about(keys));
                table(text, root, keys, Some(tag));
            }
        }
        Some(Shape::Named(shapes)) => {
            for (shape, value) in shapes {
                let words = about_shape(schema, shape);
                let Some(value) = value else {
                    put!(text, "**`\"{shape}\"`**: {words}\n");
                    continue;
                };
                let inner = resolved(root, value);
                put!(text, "**`{{ {shape} = … }}`**: {words}\n");
                if inner["properties"].is_object() {
                    table(text, root, inner, None);
                } else {
                    put!(text, "Allowed is {}.\n", allowed(root, value));
                }
            }
        }
    }
}

fn about(schema: &Json) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What the choice of this name says of itself.
fn about_shape(schema: &Json, name: &str) -> String {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let mut named = choices
        .filter(|choice| choice["const"] == name || choice["properties"].get(name).is_some());
    named.next().map(about).unwrap_or_default()
}

fn table(text: &mut String, root: &Json, schema: &Json, tag: Option<&str>) {
    let keys = schema["properties"].as_object().into_iter().flatten();
    let mut keys = keys.filter(|(key, _)| Some(key.as_str()) != tag).peekable();
    if keys.peek().is_none() {
        return;
    }
    put!(text, "| key | what it is | allowed | default |\n|---|---|---|---|");
    let required = |key: &str| {
        schema["required"].as_array().is_some_and(|keys| keys.iter().any(|other| other == key))
    };
    for (key, value) in keys {
        let words = match about(value) {
            words if words.is_empty() => about(resolved(root, value)),
            words => words,
        };
        let default = match &value["default"] {
            _ if required(key) => "must be given".to_owned(),
            Json::Null => String::new(),
            Json::Object(_) | Json::Array(_) => "see there".to_owned(),
            default => format!("`{default}`"),
        };
        put!(text, "| `{key}` | {words} | {} | {default} |", link(root, value));
    }
    put!(text, "");
}

/// What is allowed, with a link to the section that says more.
fn link(root: &Json, schema: &Json) -> String {
    let name = |schema: &Json| {
        let target = schema["$ref"].as_str().or_else(|| {
            schema["anyOf"].as_array()?.iter().find_map(|choice| choice["$ref"].as_str())
        })?;
        target.strip_prefix("#/$defs/").map(ToOwned::to_owned)
    };
    if let Some(name) = name(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(name) = name(&schema["items"]) {
        return format!("a list of [{name}](#{})", name.to_lowercase());
    }
    // What times and shares look like stands in the introduction.
    let brief = [
        ("a time such as \"10s\", \"250ms\" or \"1m 30s\"", "a time"),
        ("a share from 0 to 1, or a percentage such as \"30%\"", "a share"),
    ];
    brief.iter().fold(allowed(root, schema), |text, (long, short)| text.replace(long, short))
}

fn figures(text: &mut String) {
    let names = Figure::ALL.map(|figure| format!("`{}`", figure.name()));
    put!(text, "### Figures of assertions\n");
    put!(text, "{}.", names.join(", "));
}

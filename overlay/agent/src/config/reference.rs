//! What `murmurate.toml` and `docs/agent.md` say of parameters, written from their tables.
//!
//! `WRITE_REFERENCE=1 cargo test -p murmurate-agent reference` writes it again.

use std::path::Path;
use std::time::Duration;

use murmurate::ChannelOptions;
use murmurate::membership::parameters::{Parameter, ParameterSet as _, ValueKind};
use toml::{Table, Value};

use super::channels::Declared;
use super::{Config, Flags, Settings, keys};

/// In words, where there is any.
fn range(of: &Parameter, table: &[Parameter], quote: &str) -> String {
    let range = match of.kind {
        ValueKind::Number { least: 0, most: usize::MAX } | ValueKind::Switch => None,
        ValueKind::Number { least, most } => Some(format!("{least} to {most}")),
        ValueKind::Time { least } => (!least.is_zero()).then(|| format!("at least {least:?}")),
    };
    let least = of.at_least.map(|other| format!("at least {quote}{other}{quote}"));
    let larger = table.iter().filter(|other| other.at_least == Some(of.name));
    let most = larger.map(|other| format!("at most {quote}{}{quote}", other.name));
    range.into_iter().chain(least).chain(most).collect::<Vec<_>>().join(", ")
}

/// A comment and the default.
fn example(of: &Parameter, table: &[Parameter], default: &Value) -> String {
    let mut range = range(of, table, "");
    if of.can_be_off {
        range += "; \"off\" for none";
    }
    if let Some(first) = range.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let range = if range.is_empty() { range } else { format!(" {range}.") };
    format!("# {}{range}\n{} = {default}\n", of.about, of.name)
}

/// A row of the table of keys.
fn row(section: &str, of: &Parameter, table: &[Parameter], default: &Value) -> String {
    let kind = match of.kind {
        ValueKind::Switch => "boolean",
        ValueKind::Number { .. } => of.unit.unwrap_or("number"),
        ValueKind::Time { .. } => "time",
    };
    let off = if of.can_be_off { " or `\"off\"`" } else { "" };
    let default = match default {
        Value::Integer(number) => number.to_string(),
        other => format!("`{other}`"),
    };
    let mut about = of.about.trim_end_matches('.').to_owned();
    about[..1].make_ascii_lowercase();
    let (name, range) = (of.name, range(of, table, "`"));
    format!("| `{section}.{name}` | {kind}{off} | {default} | {range} | {about} |\n")
}

/// The text with other lines in place of those from `start` on that belong there.
fn replaced(
    text: &str,
    start: impl Fn(&str) -> bool,
    belongs: impl Fn(&str) -> bool,
    new: &str,
) -> String {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let start = lines.iter().position(|line| start(line)).expect("a section");
    let old = lines[start..].iter().take_while(|line| belongs(line)).count();
    format!("{}{new}{}", lines[..start].concat(), lines[start + old..].concat())
}

#[test]
fn the_example_and_the_guide_are_written_from_the_tables() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [folder.join("murmurate.toml"), folder.join("../../docs/agent.md")];
    let [example_of, guide] =
        &files.each_ref().map(|path| std::fs::read_to_string(path).expect("a file"));
    let (mut new_example, mut new_guide) = (example_of.clone(), guide.clone());
    let defaults = Table::try_from(Settings::default()).expect("a table");
    for (section, table) in keys::SECTIONS {
        let with_default = table.iter().map(|of| (of, &defaults[section][of.name]));
        let header = format!("[{section}]\n");
        let lines: String =
            with_default.clone().map(|(of, value)| example(of, table, value)).collect();
        let lines = format!("{header}{lines}");
        new_example = replaced(&new_example, |line| line == header, |line| line != "\n", &lines);
        let rows: String = with_default.map(|(of, value)| row(section, of, table, value)).collect();
        let begin = format!("| `{section}.");
        let is_row = |line: &str| line.starts_with(&begin);
        new_guide = replaced(&new_guide, is_row, is_row, &rows);
    }
    let (section, table) = ("channels.NAME", ChannelOptions::PARAMETERS);
    let defaults = Table::try_from(Declared::default()).expect("a table");
    let rows: String = table.iter().map(|of| row(section, of, table, &defaults[of.name])).collect();
    let is_row =
        |line: &str| table.iter().any(|of| line.starts_with(&format!("| `{section}.{}`", of.name)));
    new_guide = replaced(&new_guide, is_row, is_row, &rows);
    if std::env::var_os("WRITE_REFERENCE").is_some() {
        for (path, text) in files.iter().zip([&new_example, &new_guide]) {
            std::fs::write(path, text).expect("written");
        }
        return;
    }
    let again = "write it again: WRITE_REFERENCE=1 cargo test -p murmurate-agent reference";
    assert!(*example_of == new_example, "murmurate.toml: {again}");
    assert!(*guide == new_guide, "docs/agent.md: {again}");
}

/// What `--set` of a key is refused with.
fn refused(key: &str, value: &str) -> String {
    let mut flags = Flags::default();
    if key.starts_with("full_mesh.") {
        flags.set("strategies.membership", "full-mesh", "--set");
    }
    if key.starts_with("static.") {
        flags.set("strategies.membership", "static", "--set");
    }
    flags.set(key, value, "--set");
    Config::load(None, &flags).map(drop).expect_err(key).to_string()
}

#[test]
fn what_is_just_outside_a_range_is_refused_with_its_name_and_the_range() {
    let mut tried = 0;
    for (section, table) in keys::SECTIONS {
        for of in table {
            let key = format!("{section}.{}", of.name);
            assert!(keys::all().any(|(known, _)| known == key), "{key}");
            let (outside, allowed) = match of.kind {
                ValueKind::Switch
                | ValueKind::Time { least: Duration::ZERO }
                | ValueKind::Number { most: usize::MAX, .. } => {
                    continue;
                }
                ValueKind::Number { least, most } => {
                    // What may be off is so at zero.
                    let below = if of.can_be_off { -1 } else { least as i64 - 1 };
                    let above = most as i64 + 1;
                    (vec![below.to_string(), above.to_string()], format!("{least} to {most}"))
                }
                ValueKind::Time { .. } => (vec!["0s".into(), "1us".into()], "at least 1ms".into()),
            };
            for value in outside {
                let said = refused(&key, &value);
                let number = value.trim_end_matches(['u', 's']);
                for part in [&key, number, &allowed, "--set"] {
                    assert!(said.contains(part), "{part}: {said}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 80, "{tried}");
}

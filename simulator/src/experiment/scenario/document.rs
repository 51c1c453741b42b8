//! A scenario as text: read with the place of every word, changed by `--set`, and turned into a
//! [`Scenario`] or into messages that say where what is wrong.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use super::schema::Wrong;
use super::tree::{Item, Node, Place, entries};
use super::{Scenario, gallery, keys, rules, schema};

/// What is wrong with a scenario, in the order of the text; a line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ScenarioError(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
#[non_exhaustive]
pub struct Problem {
    /// The file, its line and its column, both from 1; or the `--set` that said it.
    pub place: String,
    /// Names the key, its value, and what is allowed.
    pub message: String,
}

/// A scenario's text, taken apart.
#[derive(Debug, Clone)]
pub struct Document {
    /// As messages call it.
    name: String,
    text: Arc<str>,
    /// Where the files are that it names.
    folder: PathBuf,
    root: Item,
}

impl Document {
    /// Takes a text apart; `name` is what messages call it.
    ///
    /// # Errors
    /// If it is not TOML.
    pub fn parse(name: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut document = Self {
            name: name.to_owned(),
            text: text.into(),
            folder: PathBuf::new(),
            root: Item { value: Node::Table(Vec::new()), place: Place::Text(0) },
        };
        let parsed = DeTable::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join("; ");
            document.error(&Place::Text(at), message)
        })?;
        document.root.value = Node::Table(entries(parsed.into_inner(), Place::Text));
        Ok(document)
    }

    /// Reads a file, or the scenario of the gallery with this name.
    ///
    /// # Errors
    /// If there is no such file, or it is not TOML.
    pub fn read(path: &Path) -> Result<Self, ScenarioError> {
        let name = path.display().to_string();
        let (text, folder) = match gallery::find(&name) {
            Some(scenario) if !path.exists() => (scenario.text.to_owned(), gallery::folder()),
            _ => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    let message = format!("cannot be read: {error}{}", gallery::hint(&name));
                    ScenarioError(vec![Problem { place: name.clone(), message }])
                })?;
                (text, path.parent().map_or_else(PathBuf::new, Path::to_path_buf))
            }
        };
        Ok(Self { folder, ..Self::parse(&name, &text)? })
    }

    /// Overrides a value: `key=value`, where the key is a path with dots (`nodes.count`,
    /// `faults.0.at`) or the end of one if there is only one such (`active_capacity`), and the value
    /// is TOML, or a text without its quotes.
    ///
    /// # Errors
    /// If there is no `=`, no such key or more than one, or the path leads into a list behind its
    /// end. Whether the value is allowed is checked by [`Document::scenario`].
    pub fn set(&mut self, assignment: &str) -> Result<(), ScenarioError> {
        self.assign("--set", assignment)
    }

    /// As [`Document::set`], by another option of the command line, which messages name.
    ///
    /// # Errors
    /// As of [`Document::set`].
    pub fn assign(&mut self, option: &str, assignment: &str) -> Result<(), ScenarioError> {
        let place = Place::Set(format!("{option} {assignment}").into());
        let Some((key, value)) = assignment.split_once('=') else {
            return Err(self.error(&place, "is not KEY=VALUE, as in nodes.count=500".into()));
        };
        let key = &self.find_key(key.trim()).map_err(|message| self.error(&place, message))?;
        let value = value.trim();
        let text = format!("v = {value}");
        let parsed =
            DeTable::parse(&text).ok().map(|table| entries(table.into_inner(), |_| Place::Text(0)));
        let mut item = match parsed.as_deref() {
            Some([entry]) => entry.item.clone(),
            _ => Item { value: Node::Plain(Value::String(value.into())), place: place.clone() },
        };
        item.move_to(&place);
        let path: Vec<&str> = key.split('.').collect();
        self.put_default_shapes(&path, &place)
            .and_then(|()| self.root.put(&path, item))
            .map_err(|message| self.error(&place, format!("{key}: {message}")))
    }

    /// The whole path of a key that is written as a path with dots or as the end of one.
    ///
    /// # Errors
    /// If no key ends so, or several do; the message names them, or the nearest.
    pub fn find_key(&self, key: &str) -> Result<String, String> {
        keys::find(&self.root, key)
    }

    /// A table that nobody has written yet is of the shape that it has by default.
    fn put_default_shapes(&mut self, path: &[&str], place: &Place) -> Result<(), String> {
        let default = Scenario::default_value();
        let mut default = Some(&default);
        for depth in 1..path.len() {
            default = default.and_then(|table| table.get(path[depth - 1]));
            let Some((tag, shape)) = default.and_then(super::shape_of) else { continue };
            let path = &path[..depth];
            if path.iter().try_fold(&self.root, |item, key| item.get(key)).is_none() {
                let item = Item { value: Node::Plain(shape.clone()), place: place.clone() };
                self.root.put(&[path, &[tag]].concat(), item)?;
            }
        }
        Ok(())
    }

    /// The scenario it stands for.
    ///
    /// # Errors
    /// All that is wrong with it. How values go together is looked at where each of them is right.
    pub fn scenario(&self) -> Result<Scenario, ScenarioError> {
        let wrong = schema::check(&self.root, &self.text);
        let Value::Table(mut table) = self.root.plain() else {
            return Err(self.error(&Place::Text(0), "is no table".into()));
        };
        let mut problems = Vec::new();
        let mut sections = BTreeSet::new();
        let mut is_known = true;
        for Wrong { place, section, message } in wrong {
            table.remove(&section);
            is_known &= Scenario::has(&section);
            sections.insert(section);
            problems.push((place, message));
        }
        // A key that nobody knows may mean any.
        if is_known {
            let mut scenario = self.convert(table)?;
            scenario.find_files(&self.folder);
            if scenario.name.is_empty() {
                scenario.name = self.stem();
            }
            let broken = rules::check(&scenario, |section| !sections.contains(section));
            problems.extend(
                broken
                    .into_iter()
                    .map(|(path, message)| (self.place_of(&path), format!("{path}: {message}"))),
            );
            if problems.is_empty() {
                return Ok(scenario);
            }
        }
        problems.sort_by_key(|(place, _)| match place {
            Place::Text(at) => *at,
            Place::Set(_) => usize::MAX,
        });
        let problem = |(place, message): (Place, String)| self.problem(&place, message);
        Err(ScenarioError(problems.into_iter().map(problem).collect()))
    }

    fn convert(&self, table: Table) -> Result<Scenario, ScenarioError> {
        Scenario::deserialize(table)
            .map_err(|error| self.error(&Place::Text(0), error.message().to_owned()))
    }

    /// What it says, whatever it looks like: equal for texts that differ in blanks, comments or the
    /// order of keys.
    #[must_use]
    pub fn canonical(&self) -> String {
        self.root.plain().to_string()
    }

    /// The file's name without its ending.
    fn stem(&self) -> String {
        let stem = Path::new(&self.name).file_stem();
        stem.map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
    }

    /// As near as the text comes to a path.
    fn place_of(&self, path: &str) -> Place {
        let mut item = &self.root;
        for key in path.split('.') {
            let Some(next) = item.get(key) else { break };
            item = next;
        }
        item.place.clone()
    }

    fn error(&self, place: &Place, message: String) -> ScenarioError {
        ScenarioError(vec![self.problem(place, message)])
    }

    fn problem(&self, place: &Place, message: String) -> Problem {
        let place = match place {
            Place::Set(option) => option.to_string(),
            Place::Text(at) => {
                let before = self.text.get(..*at).unwrap_or(&self.text);
                let line = before.matches('\n').count() + 1;
                let start = before.rfind('\n').map_or(0, |newline| newline + 1);
                let column = before[start..].chars().count() + 1;
                format!("{}:{line}:{column}", self.name)
            }
        };
        Problem { place, message }
    }
}

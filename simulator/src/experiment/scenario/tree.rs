//! What stands in a scenario's text, with the place of every word.

use std::sync::Arc;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) value: Node,
    pub(super) place: Place,
}

/// A value, with its parts.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Table(Vec<Entry>),
    List(Vec<Item>),
    /// Neither of them.
    Plain(Value),
}

/// A key of a table.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) item: Item,
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// From this byte of the text on.
    Text(usize),
    /// On the command line: the option with its value.
    Set(Arc<str>),
}

impl Item {
    /// The value of a key of a table, or an entry of a list by its index.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Node::Table(entries) => {
                entries.iter().find(|entry| entry.key == key).map(|entry| &entry.item)
            }
            Node::List(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
            Node::Plain(_) => None,
        }
    }

    fn from_text(value: Spanned<DeValue<'_>>, place: impl Fn(usize) -> Place + Copy) -> Self {
        let start = value.span().start;
        let value = match value.into_inner() {
            DeValue::Table(table) => Node::Table(entries(table, place)),
            DeValue::Array(items) => {
                Node::List(items.into_iter().map(|item| Self::from_text(item, place)).collect())
            }
            plain => {
                let plain = Spanned::new(start..start, plain);
                let value = Value::deserialize(toml::de::ValueDeserializer::from(plain));
                // What the parser took for a number can be too large for one.
                Node::Plain(value.unwrap_or_else(|error| Value::String(error.message().into())))
            }
        };
        Self { value, place: place(start) }
    }

    /// Without the places.
    pub(super) fn plain(&self) -> Value {
        match &self.value {
            Node::Table(entries) => Value::Table(
                entries.iter().map(|entry| (entry.key.clone(), entry.item.plain())).collect(),
            ),
            Node::List(items) => Value::Array(items.iter().map(Self::plain).collect()),
            Node::Plain(value) => value.clone(),
        }
    }

    /// Puts a value at the end of a path of keys and indices.
    pub(super) fn put(&mut self, path: &[&str], new: Self) -> Result<(), String> {
        let [key, rest @ ..] = path else {
            *self = new;
            return Ok(());
        };
        match &mut self.value {
            Node::List(items) => {
                let count = items.len();
                let index: usize = key.parse().map_err(|_| format!("{key:?} is not an index"))?;
                match items.get_mut(index) {
                    Some(item) => item.put(rest, new),
                    None => Err(format!("there is no entry {index}: there are {count}, from 0")),
                }
            }
            Node::Table(entries) => match entries.iter_mut().find(|entry| entry.key == *key) {
                Some(entry) => entry.item.put(rest, new),
                None => {
                    let place = new.place.clone();
                    let mut item = Self { value: Node::Table(Vec::new()), place: place.clone() };
                    item.put(rest, new)?;
                    entries.push(Entry { key: (*key).to_owned(), key_place: place, item });
                    Ok(())
                }
            },
            Node::Plain(_) => {
                self.value = Node::Table(Vec::new());
                self.place = new.place.clone();
                self.put(path, new)
            }
        }
    }

    /// Says of all of it that it was said there.
    pub(super) fn move_to(&mut self, place: &Place) {
        self.place = place.clone();
        match &mut self.value {
            Node::Table(entries) => {
                for entry in entries {
                    entry.key_place = place.clone();
                    entry.item.move_to(place);
                }
            }
            Node::List(items) => items.iter_mut().for_each(|item| item.move_to(place)),
            Node::Plain(_) => {}
        }
    }
}

/// In the order of the text.
pub(super) fn entries(table: DeTable<'_>, place: impl Fn(usize) -> Place + Copy) -> Vec<Entry> {
    let entry = |(key, value): (Spanned<_>, _)| Entry {
        key_place: place(key.span().start),
        key: toml::de::DeString::into_owned(key.into_inner()),
        item: Item::from_text(value, place),
    };
    let mut entries: Vec<Entry> = table.into_iter().map(entry).collect();
    entries.sort_by_key(|entry| match entry.key_place {
        Place::Text(at) => at,
        Place::Set(_) => usize::MAX,
    });
    entries
}

//! What is done about an application's commands, and what it is told of changes.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use murmurate::service::Effects;

use crate::command::{Action, Done, Event, Refused};
use crate::dot::Dot;
use crate::key::{Key, Space};
use crate::store::{Version, Writer, owner};
use crate::values::Tally;

use super::{Cluster, Step};

impl<P: Writer, E: Effects<P, Bytes, Cluster<P>>> Step<'_, P, E> {
    pub(super) fn act(&mut self, action: Action<P>) -> Result<Done<P>, Refused<P>> {
        if self.cluster.has_left {
            return Err(Refused::Left);
        }
        let written = match action {
            Action::Describe(record) => self.describe(&record)?,
            Action::Join { scope, group, about } => {
                self.write_own(Key::pair(Space::GROUP, &scope, group.as_bytes()), about, &[])?
            }
            Action::Track { topic, key, about } => {
                self.write_own(Key::pair(Space::PRESENCE, &topic, key.as_bytes()), about, &[])?
            }
            Action::Register { name, about } => self.register(name, about)?,
            Action::Update { entry, about } => {
                let key = self.own(entry)?;
                self.write_own(key, about, &[entry])?
            }
            Action::End { entry } => {
                self.own(entry)?;
                return Ok(self.end(&[entry]));
            }
            Action::Put { key, value, concurrent, expected } => {
                let (key, present) = self.present(key, concurrent);
                if expected.is_some_and(|expected| expected != present.last().copied()) {
                    return Err(Refused::Changed(present.last().copied()));
                }
                self.write(key, value, &present)?
            }
            Action::Delete { key, concurrent, expected } => {
                let (_, present) = self.present(key, concurrent);
                if expected.is_some() && expected != present.last().copied() {
                    return Err(Refused::Changed(present.last().copied()));
                }
                return Ok(self.end(&present));
            }
            Action::Flag { name, flag } => {
                let key = Key::new(Space::FLAG, name);
                let present = self.dots(&key);
                self.write(key, postcard::to_allocvec(&flag).unwrap_or_default().into(), &present)?
            }
            Action::Count { name, by } => self.count_by(name, by)?,
            Action::Insert { set, element } => {
                let key = Key::pair(Space::SET, &set, &element);
                let present = self.dots(&key);
                self.write(key, Bytes::new(), &present)?
            }
            Action::Remove { set, element } => {
                let present = self.dots(&Key::pair(Space::SET, &set, &element));
                return Ok(self.end(&present));
            }
        };
        Ok(Done::Written(written))
    }

    fn end(&mut self, dots: &[Dot<P>]) -> Done<P> {
        if !dots.is_empty() {
            self.erase(dots);
        }
        Done::Removed(dots.len())
    }

    fn dots(&self, key: &Key) -> Vec<Dot<P>> {
        self.cluster.store.get(key).iter().map(|version| version.dot).collect()
    }

    fn present(&self, key: String, concurrent: bool) -> (Key, Vec<Dot<P>>) {
        let key = Key::new(if concurrent { Space::CONCURRENT } else { Space::LATEST }, key);
        let dots = self.dots(&key);
        (key, dots)
    }

    /// The key of an entry of this node that an application may change.
    fn own(&self, entry: Dot<P>) -> Result<Key, Refused<P>> {
        let own = self.cluster.own.get(&entry).filter(|(key, _)| !key.space.is_owned());
        own.map(|(key, _)| key.clone()).ok_or(Refused::NoEntry)
    }

    fn describe(&mut self, record: &crate::Record) -> Result<Dot<P>, Refused<P>> {
        self.cluster.config.record = record.clone();
        let key = Key::new(Space::MEMBER, owner::<P>(self.fx.me().node()));
        let present = self.dots(&key);
        self.write_own(key, postcard::to_allocvec(record).unwrap_or_default().into(), &present)
    }

    fn register(&mut self, name: String, about: Bytes) -> Result<Dot<P>, Refused<P>> {
        let me = self.fx.me();
        let holder = self.cluster.holder(&name).map(|version| version.dot);
        if let Some(dot) = holder.filter(|dot| dot.writer != me) {
            return Err(Refused::Taken(dot.writer));
        }
        // Whoever has it says something else of it.
        let replaces: Vec<Dot<P>> = holder.into_iter().collect();
        self.write_own(Key::new(Space::NAME, name), about, &replaces)
    }

    fn count_by(&mut self, name: String, by: i64) -> Result<Dot<P>, Refused<P>> {
        let (me, key) = (self.fx.me(), Key::new(Space::COUNTER, name));
        let own = self.cluster.store.get(&key).iter().find(|version| version.dot.writer == me);
        let before = own.map(|version| (version.dot, Tally::of(version))).unzip();
        let tally = before.1.unwrap_or_default().and(by);
        let replaces: Vec<Dot<P>> = before.0.into_iter().collect();
        self.write(key, postcard::to_allocvec(&tally).unwrap_or_default().into(), &replaces)
    }
}

/// What an application is told.
impl<P: Writer, E: Effects<P, Bytes, Cluster<P>>> Step<'_, P, E> {
    /// An entry that goes with its writer came or went.
    pub(super) fn tell(&mut self, key: &Key, entry: Dot<P>, is_live: bool) {
        let counts = if is_live {
            self.cluster.is_here(entry.writer)
        } else {
            !self.cluster.hidden.contains(&entry.writer)
        };
        if counts {
            self.tell_of(key, entry, is_live);
        }
    }

    fn tell_of(&mut self, key: &Key, entry: Dot<P>, is_there: bool) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match key.space {
            Space::GROUP => {
                if let Some((scope, group)) = key.names() {
                    let (scope, group) = (scope.into(), text(group));
                    self.fx.emit(Event::Group { scope, group, entry, is_there });
                }
            }
            Space::PRESENCE => {
                if let Some((topic, of)) = key.names() {
                    let (topic, key) = (topic.into(), text(of));
                    self.fx.emit(Event::Presence { topic, key, entry, is_there });
                }
            }
            Space::NAME => self.settle_name(&text(&key.name)),
            _ => {}
        }
    }

    /// Tells who has a name. If this node claims it and another one has it, the claim ends.
    fn settle_name(&mut self, name: &str) {
        let me = self.fx.me();
        let holder = self.cluster.holder(name).map(|version| version.dot);
        self.fx.emit(Event::Name { name: name.into(), holder: holder.map(|dot| dot.writer) });
        let Some(winner) = holder.map(|dot| dot.writer).filter(|winner| *winner != me) else {
            return;
        };
        let key = Key::new(Space::NAME, Bytes::copy_from_slice(name.as_bytes()));
        let claims = self.cluster.store.get(&key).iter().map(|version: &Version<P>| version.dot);
        let claims: Vec<Dot<P>> = claims.filter(|dot| dot.writer == me).collect();
        if !claims.is_empty() {
            self.fx.emit(Event::NameLost { name: name.into(), winner });
            self.erase(&claims);
        }
    }

    /// A member came back or is gone: what goes with it comes and goes, too.
    pub(super) fn appear(&mut self, peer: P, is_there: bool) {
        if is_there {
            self.cluster.hidden.remove(&peer);
        } else {
            self.cluster.hidden.insert(peer);
        }
        let entries = self.cluster.store.written_by(peer);
        let entries: Vec<(Dot<P>, Key)> = entries.map(|(dot, key)| (dot, key.clone())).collect();
        for (dot, key) in entries {
            self.tell_of(&key, dot, is_there);
        }
    }
}

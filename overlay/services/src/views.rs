//! What is read of the state: groups, presence, names, values, flags, counters, sets, and who owns what.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;
use serde::Serialize;

use crate::clock::Stamp;
use crate::cluster::{Cluster, Counts};
use crate::dot::{Dot, VersionVector};
use crate::key::{Key, Space};
use crate::roster::{Member, Roster};
use crate::store::{Store, Version, Writer, digest};
use crate::values::{Entry, Flag, Tally};

impl<P: Writer> Cluster<P> {
    /// This node, once it has joined.
    #[must_use]
    pub fn me(&self) -> Option<P> {
        self.me
    }

    /// All members.
    #[must_use]
    pub fn roster(&self) -> &Roster<P> {
        &self.roster
    }

    /// The replica that everything is read of.
    #[must_use]
    pub fn store(&self) -> &Store<P> {
        &self.store
    }

    /// How often things happened that should not.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How far each node's writes are known here.
    #[must_use]
    pub fn version_vector(&self) -> VersionVector<P> {
        self.store.version_vector()
    }

    /// The latest hybrid logical time known here.
    #[must_use]
    pub fn last_stamp(&self) -> Stamp {
        self.clock.last()
    }

    /// Whether more than half of the expected nodes are here. `None` if it is not known how many are expected.
    #[must_use]
    pub fn has_majority(&self) -> Option<bool> {
        let expected = self.config.expected?;
        Some(self.has_quorum(expected / 2 + 1))
    }

    /// Whether so many nodes are here.
    #[must_use]
    pub fn has_quorum(&self, nodes: usize) -> bool {
        self.roster.live().count() >= nodes
    }

    fn here(&self, key: &Key) -> impl Iterator<Item = Entry<P>> {
        let all = self.store.get(key).iter();
        let here = all.filter(|version| self.is_here(version.dot.writer));
        here.map(|version| Entry { entry: version.dot, about: version.value.clone() })
    }

    /// The second names of all pairs with this first one that somebody here has.
    fn seconds(&self, space: Space, first: &str) -> Vec<String> {
        let prefix = Key::pair(space, first, b"").name;
        let all = self.store.range(space, &prefix);
        let here = all.filter(|(_, all)| all.iter().any(|one| self.is_here(one.dot.writer)));
        let names = here.filter_map(|(key, _)| key.names());
        names.map(|(_, second)| String::from_utf8_lossy(second).into_owned()).collect()
    }
}

/// Groups.
impl<P: Writer> Cluster<P> {
    /// The members of a group on all nodes that have not failed.
    pub fn members(&self, scope: &str, group: &str) -> impl Iterator<Item = Entry<P>> {
        let key = Key::pair(Space::GROUP, scope, group.as_bytes());
        self.here(&key).collect::<Vec<_>>().into_iter()
    }

    /// Those on this node.
    pub fn local_members(&self, scope: &str, group: &str) -> impl Iterator<Item = Entry<P>> {
        let me = self.me;
        self.members(scope, group).filter(move |member| Some(member.entry.writer) == me)
    }

    /// All groups of a scope that have members.
    #[must_use]
    pub fn groups(&self, scope: &str) -> Vec<String> {
        self.seconds(Space::GROUP, scope)
    }
}

/// Presence.
impl<P: Writer> Cluster<P> {
    /// Who is present somewhere: keys and their entries.
    #[must_use]
    pub fn present(&self, topic: &str) -> Vec<(String, Vec<Entry<P>>)> {
        let keys = self.seconds(Space::PRESENCE, topic).into_iter();
        let keys = keys.map(|key| {
            let entries = self.present_as(topic, &key);
            (key, entries)
        });
        keys.collect()
    }

    /// All entries of one key.
    #[must_use]
    pub fn present_as(&self, topic: &str, key: &str) -> Vec<Entry<P>> {
        self.here(&Key::pair(Space::PRESENCE, topic, key.as_bytes())).collect()
    }
}

/// Names.
impl<P: Writer> Cluster<P> {
    /// Who has a name: whoever of those that have not failed took it first.
    pub(crate) fn holder(&self, name: &str) -> Option<&Version<P>> {
        let key = Key::new(Space::NAME, Bytes::copy_from_slice(name.as_bytes()));
        let here = self.store.get(&key).iter().filter(|claim| self.is_here(claim.dot.writer));
        here.min_by_key(|claim| (claim.stamp, claim.dot))
    }

    /// Who has a name, and what it says of it. Two sides of a partition may each have a holder; when they meet,
    /// the one that took the name first keeps it.
    #[must_use]
    pub fn lookup(&self, name: &str) -> Option<Entry<P>> {
        let holder = self.holder(name)?;
        Some(Entry { entry: holder.dot, about: holder.value.clone() })
    }

    /// All names that somebody has.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let all = self.store.range(Space::NAME, b"");
        let here = all.filter(|(_, all)| all.iter().any(|one| self.is_here(one.dot.writer)));
        here.map(|(key, _)| String::from_utf8_lossy(&key.name).into_owned()).collect()
    }
}

/// Values, flags, counters and sets.
impl<P: Writer> Cluster<P> {
    /// The latest value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Version<P>> {
        self.store.get(&Key::new(Space::LATEST, Bytes::copy_from_slice(key.as_bytes()))).first()
    }

    /// All values of a key that were written concurrently and that nobody has overwritten.
    #[must_use]
    pub fn get_all(&self, key: &str) -> &[Version<P>] {
        self.store.get(&Key::new(Space::CONCURRENT, Bytes::copy_from_slice(key.as_bytes())))
    }

    /// The latest values of all keys that begin with `prefix`, in order.
    pub fn scan<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a [u8], &'a Version<P>)> {
        let all = self.store.range(Space::LATEST, prefix.as_bytes());
        all.filter_map(|(key, versions)| Some((&*key.name, versions.first()?)))
    }

    /// What a flag says.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<Flag> {
        let key = Key::new(Space::FLAG, Bytes::copy_from_slice(name.as_bytes()));
        postcard::from_bytes(&self.store.get(&key).first()?.value).ok()
    }

    /// Whether a flag is on for a key. One that nobody set is off.
    #[must_use]
    pub fn is_enabled(&self, name: &str, key: &str) -> bool {
        match self.flag(name) {
            Some(Flag::On) => true,
            Some(Flag::Share(share)) => digest((name, key)) % 10_000 < u128::from(share),
            Some(Flag::Keys(keys)) => keys.iter().any(|one| one == key),
            Some(Flag::Off) | None => false,
        }
    }

    /// What a counter says: all that was added, less all that was taken.
    #[must_use]
    pub fn count(&self, name: &str) -> i128 {
        let key = Key::new(Space::COUNTER, Bytes::copy_from_slice(name.as_bytes()));
        self.store.get(&key).iter().map(|version| Tally::of(version).sum()).sum()
    }

    /// Whether an element is in a set.
    #[must_use]
    pub fn contains(&self, set: &str, element: &[u8]) -> bool {
        !self.store.get(&Key::pair(Space::SET, set, element)).is_empty()
    }

    /// The elements of a set, in order.
    #[must_use]
    pub fn elements(&self, set: &str) -> Vec<Bytes> {
        let prefix = Key::pair(Space::SET, set, b"").name;
        let all = self.store.range(Space::SET, &prefix);
        all.map(|(key, _)| key.name.slice(prefix.len()..)).collect()
    }
}

/// Ownership.
impl<P: Writer> Cluster<P> {
    /// Which of the members that have not failed owns a key, by rendezvous hashing (Thaler, Ravishankar 1998): if
    /// one goes, only its keys get other owners. Nodes that know of different members name different owners, in a
    /// partition for as long as it lasts: where two at a time must not be, use a consensus service's fencing token.
    #[must_use]
    pub fn owner(&self, key: &str) -> Option<&Member<P>> {
        self.roster.live().max_by_key(|member| (weigh(member.peer.node(), key), member.peer))
    }

    /// Which member of a group owns a key, likewise.
    #[must_use]
    pub fn owner_in(&self, scope: &str, group: &str, key: &str) -> Option<Entry<P>> {
        self.members(scope, group)
            .max_by_key(|member| (weigh_entry(member.entry, key), member.entry))
    }
}

/// A node keeps its keys when it restarts.
fn weigh<N: Serialize>(node: N, key: &str) -> u128 {
    digest((postcard::to_allocvec(&node).unwrap_or_default(), key))
}

fn weigh_entry<P: Writer>(entry: Dot<P>, key: &str) -> u128 {
    digest((entry, key))
}

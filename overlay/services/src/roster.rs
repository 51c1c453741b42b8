//! Who is in the cluster, and who of them is alive.
//!
//! Each node writes two entries about itself: a [`Record`], and who its neighbours are. A node's neighbours are
//! its observers: when the connection to it fails, they say so, and it is no neighbour of theirs any more.
//! Whom no path of neighbours leads to is suspected. Any new neighbour refutes that. A suspect has failed if
//! most of its observers say that the connection failed, and they are two at least, or if nobody refuted it for
//! [`Config::suspicion`](crate::Config::suspicion). All nodes come to their verdicts from the same entries.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use murmurate::membership::{Peer, Time};
use serde::{Deserialize, Serialize};

use crate::clock::Stamp;
use crate::dot::Dot;

/// What a node says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Record {
    /// A name for people. It need not be unique.
    pub name: String,
    /// Where it runs: a data centre or a zone.
    pub region: String,
    /// Which program it runs.
    pub version: String,
    /// Where it can be reached.
    pub addresses: Vec<String>,
    /// Anything else, by key.
    pub tags: BTreeMap<String, String>,
}

/// The neighbours of a node, and those of before to whom the connection failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "P: Serialize + serde::de::DeserializeOwned")]
pub(crate) struct Links<P> {
    pub(crate) neighbors: Vec<P>,
    pub(crate) failed: Vec<P>,
}

impl<P> Links<P> {
    /// More are not read of an entry.
    pub(crate) const MOST: usize = 1_024;
}

/// How it is with a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Liveness {
    /// It has neighbours that have neighbours, and so on, that lead here.
    Alive,
    /// It may have failed.
    Suspected,
    /// It has failed, or is cut off.
    Failed,
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<P> {
    /// Its incarnation.
    pub peer: P,
    /// What it says of itself.
    pub record: Record,
    /// How it is with it.
    pub liveness: Liveness,
    /// Since when it is so, on this node's clock.
    pub since: Time,
    /// When it wrote its record.
    pub stamp: Stamp,
    record_dot: Dot<P>,
    links: Option<(Stamp, Links<P>)>,
    /// Since when no path leads to it.
    unreached: Option<Time>,
}

/// What happened to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum News {
    /// It is new.
    Joined,
    /// It says something else of itself.
    Updated,
    /// It left.
    Left,
    /// It may have failed.
    Suspected,
    /// It has failed.
    Failed,
    /// It was suspected or had failed, and is alive.
    Back,
}

/// Which members are reached, by node.
struct Reached<P: Peer> {
    nodes: Vec<P::Node>,
    is_reached: Vec<bool>,
}

impl<P: Peer> Reached<P> {
    fn contains(&self, node: P::Node) -> bool {
        self.nodes.binary_search(&node).is_ok_and(|at| self.is_reached[at])
    }
}

/// How soon verdicts are to be come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Doubt {
    /// Nothing has happened that could lead to others.
    #[default]
    None,
    /// Links came and went.
    Later,
    /// Connections failed.
    Now,
}

/// All members, by node.
#[derive(Debug, Clone)]
pub struct Roster<P: Peer> {
    members: BTreeMap<P::Node, Member<P>>,
    /// Whether something happened since the last verdicts that may lead to others.
    doubt: Doubt,
}

impl<P: Peer> Default for Roster<P> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), doubt: Doubt::None }
    }
}

impl<P: Peer> Roster<P> {
    /// All members in order, also those that failed and are not forgotten yet.
    pub fn iter(&self) -> impl Iterator<Item = &Member<P>> {
        self.members.values()
    }

    /// Those that have not failed.
    pub fn live(&self) -> impl Iterator<Item = &Member<P>> {
        self.iter().filter(|member| member.liveness != Liveness::Failed)
    }

    /// Those that have not failed and have this tag.
    pub fn tagged<'a>(
        &'a self,
        tag: &'a str,
        value: &'a str,
    ) -> impl Iterator<Item = &'a Member<P>> {
        self.live().filter(move |member| member.record.tags.get(tag).is_some_and(|is| is == value))
    }

    /// The member that is this node.
    #[must_use]
    pub fn get(&self, node: P::Node) -> Option<&Member<P>> {
        self.members.get(&node)
    }

    /// Whether this incarnation is a member that has not failed.
    #[must_use]
    pub fn is_live(&self, peer: P) -> bool {
        let member = self.get(peer.node());
        member.is_some_and(|member| member.peer == peer && member.liveness != Liveness::Failed)
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Verdicts are to be come to, this soon.
    pub(crate) fn raise(&mut self, doubt: Doubt) {
        self.doubt = self.doubt.max(doubt);
    }

    /// How soon they are.
    pub(crate) fn doubt(&self) -> Doubt {
        self.doubt
    }

    /// A node's record as it is written now. Returns what is new, and its former incarnation.
    pub(crate) fn recorded(
        &mut self,
        (dot, stamp): (Dot<P>, Stamp),
        record: Record,
        now: Time,
    ) -> (Option<News>, Option<P>) {
        let peer = dot.writer;
        let Some(known) = self.members.get_mut(&peer.node()) else {
            let liveness = Liveness::Alive;
            let (links, unreached) = (None, None);
            let member = Member {
                peer,
                record,
                liveness,
                since: now,
                stamp,
                record_dot: dot,
                links,
                unreached,
            };
            self.members.insert(peer.node(), member);
            self.raise(Doubt::Later);
            return (Some(News::Joined), None);
        };
        if known.record_dot >= dot {
            return (None, None);
        }
        let former = (known.peer != peer).then_some(known.peer);
        let was = known.liveness;
        if former.is_some() {
            (known.peer, known.liveness, known.since) = (peer, Liveness::Alive, now);
            (known.links, known.unreached) = (None, None);
            self.doubt = self.doubt.max(Doubt::Later);
        }
        let differs = known.record != record;
        (known.record, known.stamp, known.record_dot) = (record, stamp, dot);
        let news = match former {
            Some(_) if was == Liveness::Failed => Some(News::Back),
            Some(_) => Some(News::Updated),
            None => differs.then_some(News::Updated),
        };
        (news, former)
    }

    /// A record is gone. Returns whether a member is.
    pub(crate) fn erased(&mut self, dot: Dot<P>) -> bool {
        let node = dot.writer.node();
        let is_gone = self.members.get(&node).is_some_and(|member| member.record_dot == dot);
        if is_gone {
            self.members.remove(&node);
            // Paths led through it.
            self.raise(Doubt::Later);
        }
        is_gone
    }

    /// Who a member's neighbours are.
    pub(crate) fn linked(&mut self, peer: P, stamp: Stamp, mut links: Links<P>) {
        links.neighbors.truncate(Links::<P>::MOST);
        links.failed.truncate(Links::<P>::MOST);
        let Some(member) = self.members.get(&peer.node()) else { return };
        let before = member.links.as_ref();
        if member.peer != peer || before.is_some_and(|(known, _)| *known >= stamp) {
            return;
        }
        let is_new = |failed: &&P| before.is_none_or(|(_, before)| !before.failed.contains(failed));
        let runs = |failed: &P| {
            let member = self.get(failed.node()).filter(|member| member.peer == *failed);
            member.is_some_and(|member| member.liveness != Liveness::Failed)
        };
        if links.failed.iter().filter(is_new).any(runs) {
            self.raise(Doubt::Now);
        } else {
            self.raise(Doubt::Later);
        }
        if let Some(member) = self.members.get_mut(&peer.node()) {
            member.links = Some((stamp, links));
        }
    }

    /// Whether `one` and `other` are neighbours, by what the later of the two says.
    fn are_linked(one: &Member<P>, other: &Member<P>) -> bool {
        let says = |links: &Links<P>, peer| links.neighbors.contains(&peer);
        match (&one.links, &other.links) {
            (Some((at, _)), Some((then, links))) if then > at => says(links, one.peer),
            (Some((_, links)), _) => says(links, other.peer),
            (None, Some((_, links))) => says(links, one.peer),
            (None, None) => false,
        }
    }

    /// All that a path of neighbours leads to from a node with these neighbours.
    fn reached(&self, me: P, neighbors: &BTreeSet<P>) -> Reached<P> {
        let members: Vec<&Member<P>> = self.members.values().collect();
        let nodes: Vec<P::Node> = members.iter().map(|member| member.peer.node()).collect();
        // Either end may be the one that names the other.
        let mut links: Vec<(usize, usize)> = Vec::new();
        for (at, member) in members.iter().enumerate().filter(|(_, member)| member.peer != me) {
            for peer in member.links.iter().flat_map(|(_, links)| &links.neighbors) {
                let Ok(other) = nodes.binary_search(&peer.node()) else { continue };
                if members[other].peer == *peer && Self::are_linked(member, members[other]) {
                    links.extend([(at, other), (other, at)]);
                }
            }
        }
        links.sort_unstable();
        let mut is_reached: Vec<bool> = nodes.iter().map(|node| *node == me.node()).collect();
        let first = neighbors.iter().filter_map(|peer| nodes.binary_search(&peer.node()).ok());
        let mut queue: VecDeque<usize> = first.collect();
        while let Some(at) = queue.pop_front() {
            if core::mem::replace(&mut is_reached[at], true) {
                continue;
            }
            let from = links.partition_point(|(one, _)| *one < at);
            let to = links[from..].iter().take_while(|(one, _)| *one == at);
            queue.extend(to.map(|(_, other)| *other).filter(|other| !is_reached[*other]));
        }
        Reached { nodes, is_reached }
    }

    /// How many that are reached say of each peer that the connection to it failed, after its own last word.
    fn accusers(
        &self,
        me: P,
        failed: &BTreeMap<P, Time>,
        reached: &Reached<P>,
    ) -> BTreeMap<P, usize> {
        let said = |peer: &P| {
            let member = self.get(peer.node()).filter(|member| member.peer == *peer)?;
            member.links.as_ref().map(|(stamp, _)| *stamp)
        };
        let mut accusers: BTreeMap<P, usize> = failed.keys().map(|peer| (*peer, 1)).collect();
        for member in self.members.values().filter(|member| member.peer != me) {
            let Some((stamp, links)) = &member.links else { continue };
            if reached.contains(member.peer.node()) {
                for peer in links.failed.iter().filter(|peer| Some(*stamp) > said(peer)) {
                    *accusers.entry(*peer).or_default() += 1;
                }
            }
        }
        accusers
    }

    /// Comes to verdicts. Returns what is new, and when the next suspect will have failed if nobody refutes it.
    ///
    /// Whom nobody accuses is suspected after `moment`: until then those that it is linked with may not have said
    /// so.
    pub(crate) fn judge(
        &mut self,
        me: P,
        (neighbors, failed): (&BTreeSet<P>, &BTreeMap<P, Time>),
        (moment, suspicion): (Duration, Duration),
        now: Time,
    ) -> (Vec<(News, P)>, Option<Time>) {
        self.doubt = Doubt::None;
        let reached = self.reached(me, neighbors);
        let accusers = self.accusers(me, failed, &reached);
        let (mut news, mut next) = (Vec::new(), None::<Time>);
        for member in self.members.values_mut() {
            let Member { peer, liveness, since, unreached, links, .. } = member;
            if *peer == me || reached.contains(peer.node()) {
                *unreached = None;
                if *liveness != Liveness::Alive {
                    (*liveness, *since) = (Liveness::Alive, now);
                    news.push((News::Back, *peer));
                }
                continue;
            }
            if *liveness == Liveness::Failed {
                continue;
            }
            let unreached = *unreached.get_or_insert(now);
            let accusers = accusers.get(peer).copied().unwrap_or(0);
            let observers = links.iter().flat_map(|(_, links)| &links.neighbors);
            let observers = observers.filter(|peer| reached.contains(peer.node())).count();
            let verdict = unreached.after(suspicion.max(moment));
            if now >= verdict || accusers >= 2 && accusers * 2 > observers {
                (*liveness, *since) = (Liveness::Failed, now);
                news.push((News::Failed, *peer));
                continue;
            }
            let suspected = unreached.after(moment);
            let is_suspect = accusers > 0 || now >= suspected;
            if is_suspect && *liveness == Liveness::Alive {
                (*liveness, *since) = (Liveness::Suspected, now);
                news.push((News::Suspected, *peer));
            }
            let due = if is_suspect { verdict } else { suspected };
            next = Some(next.map_or(due, |next| next.min(due)));
        }
        (news, next)
    }

    /// Those that failed before this time.
    pub(crate) fn failed_before(&self, time: Time) -> impl Iterator<Item = P> {
        let failed = self.iter().filter(|member| member.liveness == Liveness::Failed);
        failed.filter(move |member| member.since < time).map(|member| member.peer)
    }
}

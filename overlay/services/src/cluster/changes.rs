//! What is done about changes of the state: who is alive, who is gone, and what becomes of what they wrote.

use alloc::vec::Vec;

use bytes::Bytes;
use murmurate::membership::{Time, nanos};
use murmurate::service::Effects;

use crate::command::{Event, Quorum};
use crate::dot::Dot;
use crate::key::{Key, Space};
use crate::roster::{Doubt, News};
use crate::store::{Change, Joined, Writer};

use super::exchange::spread_after;
use super::{Cluster, Step, Timer, Urgency, judge_after, links_after};

/// Those that see at most half of all members keep what failed ones wrote for so many times longer.
const MINORITY_KEEPS: u32 = 24;

/// Who is alive.
impl<P: Writer, E: Effects<P, Bytes, Cluster<P>>> Step<'_, P, E> {
    /// Sees to it that verdicts are come to, if there is a doubt.
    pub(super) fn doubt(&mut self) {
        let members = self.cluster.roster.len();
        match self.cluster.roster.doubt() {
            _ if self.cluster.has_left => {}
            Doubt::None => {}
            Doubt::Later => self.arm(links_after(members), Timer::Review),
            Doubt::Now => self.arm(judge_after(members), Timer::Judge),
        }
    }

    pub(super) fn judge(&mut self) {
        let Cluster { roster, neighbors, failed, config, verdict, .. } = &mut *self.cluster;
        let after = judge_after(roster.len());
        // Neither news nor a verdict that is due.
        if roster.doubt() == Doubt::None && verdict.is_none_or(|at| at > self.now) {
            if verdict.is_some() {
                self.arm(after, Timer::Judge);
            }
            return;
        }
        let own = (&*neighbors, &*failed);
        // What is said goes from neighbour to neighbour.
        let told = spread_after(roster.len()).saturating_mul(8);
        let moment = links_after(roster.len()).saturating_add(told);
        let spans = (moment, config.suspicion);
        let (news, next) = roster.judge(self.fx.me(), own, spans, self.now);
        for (what, peer) in news {
            self.fx.emit(Event::Member(what, peer));
            match what {
                News::Failed => self.appear(peer, false),
                News::Back => self.appear(peer, true),
                _ => {}
            }
        }
        self.cluster.verdict = next;
        if next.is_some() {
            self.arm(after, Timer::Judge);
        }
        self.count();
    }

    /// Tells when the cluster has most of its nodes, and when it has not.
    fn count(&mut self) {
        let Some(expected) = self.cluster.config.expected else { return };
        let here = self.cluster.roster.live().count();
        let quorum = match here {
            here if here >= expected => Quorum::Whole,
            here if here > expected / 2 => Quorum::Majority,
            _ => Quorum::Minority,
        };
        if self.cluster.quorum.replace(quorum) != Some(quorum) {
            self.fx.emit(Event::Quorum(quorum));
        }
    }

    /// Forgets those that have been away for too long.
    pub(super) fn forget(&mut self) {
        let now = self.now;
        for orphan in self.orphans() {
            let later = self.cluster.roster.get(orphan.node());
            if later.is_some_and(|member| member.peer > orphan) {
                self.retire(orphan);
            } else {
                // Its record may still come.
                self.cluster.retired.entry(orphan).or_insert(now);
            }
        }
        let mut keep = self.cluster.config.keep_failed;
        // Who sees few of all may be the one that is cut off: then it would tell the others that they are gone.
        let roster = &self.cluster.roster;
        if roster.live().count() * 2 <= roster.len() {
            keep = keep.saturating_mul(MINORITY_KEEPS);
        }
        let Some(since) = now.as_nanos().checked_sub(nanos(keep)) else {
            return;
        };
        let since = Time::from_nanos(since);
        let gone: Vec<P> = self.cluster.roster.failed_before(since).collect();
        for peer in gone {
            self.retire(peer);
        }
        let old = self.cluster.retired.iter().filter(|(_, at)| **at < since).map(|(peer, _)| *peer);
        let old: Vec<P> = old.collect();
        for peer in old {
            if !self.is_member(peer) {
                self.retire(peer);
            }
            self.cluster.retired.remove(&peer);
            self.cluster.store.forget(peer);
        }
    }

    fn is_member(&self, peer: P) -> bool {
        self.cluster.roster.get(peer.node()).is_some_and(|member| member.peer == peer)
    }

    /// Those who are no members, but of whom there is something that goes with its writer: it came late.
    fn orphans(&self) -> Vec<P> {
        let store = &self.cluster.store;
        let has_left =
            |writer: &P| store.written_by(*writer).any(|(_, key)| key.space.goes_with_writer());
        store.writers().filter(|writer| !self.is_member(*writer)).filter(has_left).collect()
    }

    /// What goes with this incarnation goes.
    pub(super) fn retire(&mut self, peer: P) {
        self.cluster.retired.insert(peer, self.now);
        let changes = self.cluster.store.retire(peer);
        self.heed(Joined { changes, refused: 0, is_news: true });
        self.cluster.hidden.remove(&peer);
    }

    /// Acts on what a join or a write changed.
    pub(super) fn heed(&mut self, joined: Joined<P>) {
        self.cluster.counts.refused += joined.refused as u64;
        let mut keys: Vec<Key> = Vec::new();
        for Change { key, dot, is_live } in joined.changes {
            match key.space {
                Space::MEMBER => self.recorded(&key, dot, is_live),
                Space::LINKS if is_live => self.linked(&key, dot),
                Space::LINKS => {}
                _ => {
                    self.tell(&key, dot, is_live);
                    if keys.last() != Some(&key) && !key.space.goes_with_writer() {
                        keys.push(key.clone());
                    }
                }
            }
            if !is_live {
                self.rewrite(dot);
            }
        }
        for key in keys {
            self.fx.emit(Event::Changed(key));
        }
        self.doubt();
    }

    fn recorded(&mut self, key: &Key, dot: Dot<P>, is_live: bool) {
        if !is_live {
            if self.cluster.roster.erased(dot) {
                self.fx.emit(Event::Member(News::Left, dot.writer));
                self.appear(dot.writer, false);
                self.count();
                // Mostly it is gone already.
                self.retire(dot.writer);
            }
            return;
        }
        let version = self.cluster.store.get(key).iter().find(|version| version.dot == dot);
        let Some(version) = version else { return };
        let Ok(record) = postcard::from_bytes(&version.value) else {
            self.cluster.counts.nonsense += 1;
            return;
        };
        let named = (dot, version.stamp);
        let (news, former) = self.cluster.roster.recorded(named, record, self.now);
        if let Some(news) = news {
            self.fx.emit(Event::Member(news, dot.writer));
            // It may have been linked with before it was known.
            let links = Key::new(Space::LINKS, key.name.clone());
            let linked = self.cluster.store.get(&links).iter().map(|version| version.dot).next();
            if let Some(dot) = linked {
                self.linked(&links, dot);
            }
            self.appear(dot.writer, true);
            self.count();
        }
        if let Some(former) = former {
            self.retire(former);
        }
    }

    fn linked(&mut self, key: &Key, dot: Dot<P>) {
        let version = self.cluster.store.get(key).iter().find(|version| version.dot == dot);
        let Some(version) = version else { return };
        match postcard::from_bytes(&version.value) {
            Ok(links) => {
                let stamp = version.stamp;
                self.cluster.roster.linked(dot.writer, stamp, links);
                // It speaks: whatever failed, it was not the node.
                self.cluster.failed.remove(&dot.writer);
            }
            Err(_) => self.cluster.counts.nonsense += 1,
        }
    }

    /// What this node wrote is gone without its doing: it writes it again, as it is alive.
    fn rewrite(&mut self, dot: Dot<P>) {
        if let Some((key, value)) = self.cluster.own.remove(&dot) {
            self.cluster.counts.rewritten += 1;
            self.urgency = Urgency::Soon;
            let present: Vec<Dot<P>> = match key.space {
                Space::MEMBER | Space::LINKS => {
                    self.cluster.store.get(&key).iter().map(|version| version.dot).collect()
                }
                _ => Vec::new(),
            };
            let _ = self.write_own(key, value, &present);
        }
    }
}

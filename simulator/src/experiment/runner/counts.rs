//! Counters at a moment of a run, and their differences.

use crate::engine::stats::Stats;

/// Counters of a part of the run.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) lost: u64,
    pub(super) shed: u64,
    pub(super) ups: u64,
    pub(super) downs: u64,
}

impl Counts {
    pub(super) fn of(stats: &Stats) -> Self {
        Self {
            events: stats.events,
            messages: stats.messages.iter().map(|kind| kind.count).sum(),
            bytes: stats.messages.iter().map(|kind| kind.bytes).sum(),
            lost: stats.lost,
            shed: stats.shed,
            ups: stats.neighbor_ups,
            downs: stats.neighbor_downs.iter().sum(),
        }
    }

    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            events: self.events - before.events,
            messages: self.messages - before.messages,
            bytes: self.bytes - before.bytes,
            lost: self.lost - before.lost,
            shed: self.shed - before.shed,
            ups: self.ups - before.ups,
            downs: self.downs - before.downs,
        }
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.events += more.events;
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.lost += more.lost;
        self.shed += more.shed;
        self.ups += more.ups;
        self.downs += more.downs;
    }
}

//! Observations of a run beyond its counters: the load of each node, and single events. If none are asked
//! for, it costs almost nothing.

use std::ops::RangeInclusive;

use murmurate::membership::{DownReason, Time};
use murmurate::stack::Timer;
use serde::{Deserialize, Serialize, Serializer};

use crate::engine::counts::Counts;
use crate::engine::event::What;
use crate::engine::stats::Stats;
use crate::engine::strategy::{IdOf, SimStack};
use crate::model::id::SimId as _;
use crate::model::node::SimPeer;

/// What was asked for, and what was seen of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Watch {
    pub(crate) loads: Option<Vec<Load>>,
    pub(crate) events: Option<Box<Events>>,
    pub(crate) counts: Option<Box<Counts>>,
}

/// Messages of one node, over all its incarnations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Messages it sent.
    pub sent: u64,
    /// Their bytes, without transport overhead.
    pub bytes_sent: u64,
    /// Messages it handled.
    pub received: u64,
}

impl Load {
    /// Messages sent and handled.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.sent + self.received
    }
}

/// Which events are recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of these kinds; of all if there are none.
    pub kinds: Vec<EventKind>,
    /// At nodes in these ranges; at all if there are none.
    pub nodes: Vec<RangeInclusive<u32>>,
    /// About these broadcasts; about anything if there are none.
    pub broadcasts: Vec<u32>,
    /// From then on.
    pub from: Time,
    /// Before then.
    pub until: Option<Time>,
}

impl Filter {
    fn lets(&self, record: &Record) -> bool {
        let index = record.node.index() as u32;
        (self.kinds.is_empty() || self.kinds.contains(&record.kind))
            && (self.nodes.is_empty() || self.nodes.iter().any(|nodes| nodes.contains(&index)))
            && (self.broadcasts.is_empty()
                || record.broadcast.is_some_and(|id| self.broadcasts.contains(&id)))
            && record.at >= self.from
            && self.until.is_none_or(|until| record.at < until)
    }
}

/// What kind of event something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The node starts.
    Start,
    /// It stops, whether it left or crashed.
    Stop,
    /// It publishes a broadcast.
    Publish,
    /// It delivers one to its application.
    Deliver,
    /// It sends a message.
    Send,
    /// It handles one.
    Receive,
    /// A timer of its own goes off.
    Timer,
    /// It learns that a connection is gone.
    Reset,
    /// It has a new neighbour.
    NeighborUp,
    /// It has lost one.
    NeighborDown,
}

impl EventKind {
    /// All of them, with the names that traces give them.
    pub const NAMES: [(&'static str, Self); 10] = [
        ("start", Self::Start),
        ("stop", Self::Stop),
        ("publish", Self::Publish),
        ("deliver", Self::Deliver),
        ("send", Self::Send),
        ("receive", Self::Receive),
        ("timer", Self::Timer),
        ("reset", Self::Reset),
        ("neighbor_up", Self::NeighborUp),
        ("neighbor_down", Self::NeighborDown),
    ];
}

/// An event at a node. What does not apply is absent.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// When, in seconds of virtual time.
    #[serde(serialize_with = "seconds")]
    pub at: Time,
    /// Where; of a restarted node, also which start of it.
    #[serde(flatten, serialize_with = "node")]
    pub node: SimPeer,
    /// What.
    pub kind: EventKind,
    /// Who else takes part: the sender, the receiver, the neighbour.
    #[serde(serialize_with = "index", skip_serializing_if = "Option::is_none")]
    pub peer: Option<SimPeer>,
    /// The message's kind, as metrics label it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<&'static str>,
    /// The number of the broadcast that is carried, published or delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broadcast: Option<u32>,
    /// Encoded size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Links that a delivery crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hops: Option<u16>,
    /// Counts what its sender sent and armed: finds the two ends of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sequence: Option<u32>,
    /// When what is sent is to arrive.
    #[serde(serialize_with = "seconds_of_some", skip_serializing_if = "Option::is_none")]
    pub arrives: Option<Time>,
    /// Of a message that does not simply arrive: `lost`, `shed`, `twice`, `resent` (some attempts of its stream
    /// were lost) or `shared` (when it arrives depends on what else is on the shared lines). Of a timer: whose
    /// it is. Of a lost neighbour: why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
}

impl Record {
    pub(crate) fn new(at: Time, node: SimPeer, kind: EventKind) -> Self {
        Self {
            at,
            node,
            kind,
            peer: None,
            message: None,
            broadcast: None,
            bytes: None,
            hops: None,
            sequence: None,
            arrives: None,
            detail: None,
        }
    }

    /// Why a neighbour is gone, in a word.
    pub(crate) fn reason(reason: DownReason) -> &'static str {
        match reason {
            DownReason::Failed => "failed",
            DownReason::Silent => "silent",
            DownReason::Evicted => "evicted",
            DownReason::Dropped => "dropped",
            DownReason::Left => "left",
            DownReason::Leaving => "leaving",
            DownReason::Restarted => "restarted",
            DownReason::Renewed => "renewed",
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn seconds<S: Serializer>(time: &Time, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(time.since(Time::ZERO).as_secs_f64())
}

#[expect(clippy::ref_option, reason = "serde hands over references")]
fn seconds_of_some<S: Serializer>(time: &Option<Time>, to: S) -> Result<S::Ok, S::Error> {
    time.map(|time| time.since(Time::ZERO).as_secs_f64()).serialize(to)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over references")]
fn node<S: Serializer>(peer: &SimPeer, to: S) -> Result<S::Ok, S::Error> {
    let incarnation = (peer.incarnation() > 0).then(|| u64::from(peer.incarnation()));
    let entries = [("node", Some(peer.index() as u64)), ("incarnation", incarnation)];
    to.collect_map(entries.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

#[expect(clippy::ref_option, reason = "serde hands over references")]
fn index<S: Serializer>(peer: &Option<SimPeer>, to: S) -> Result<S::Ok, S::Error> {
    peer.map(SimPeer::index).serialize(to)
}

/// Events that were recorded, as the nodes' shards came upon them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Events {
    pub(crate) filter: Filter,
    pub(crate) records: Vec<Record>,
}

impl Watch {
    /// The node at this place sent a message of this kind and this many bytes.
    pub(crate) fn sent(&mut self, place: usize, kind: usize, bytes: u64) {
        if let Some(counts) = &mut self.counts {
            counts.sent(place, kind, bytes);
        }
        if let Some(load) = self.load_mut(place) {
            load.sent += 1;
            load.bytes_sent += bytes;
        }
    }

    /// The node at this place delivered a broadcast.
    pub(crate) fn delivered(&mut self, place: usize) {
        if let Some(counts) = &mut self.counts {
            counts.delivered(place);
        }
    }

    /// What the node at this place sent and handled, if that is counted.
    pub(crate) fn load_of(&self, place: usize) -> Option<Load> {
        Some(self.loads.as_ref()?.get(place).copied().unwrap_or_default())
    }

    /// What the node at this place sent and handled before, if that is counted.
    pub(crate) fn restore_load(&mut self, place: usize, load: Load) {
        if let Some(held) = self.load_mut(place) {
            *held = load;
        }
    }

    fn load_mut(&mut self, place: usize) -> Option<&mut Load> {
        let loads = self.loads.as_mut()?;
        if loads.len() <= place {
            loads.resize(place + 1, Load::default());
        }
        loads.get_mut(place)
    }

    /// An event happens at a node: records it, if it is one of those asked for.
    pub(crate) fn see(
        &mut self,
        at: Time,
        node: SimPeer,
        kind: EventKind,
        of: impl FnOnce(Record) -> Record,
    ) {
        if let Some(events) = &mut self.events {
            let record = of(Record::new(at, node, kind));
            if events.filter.lets(&record) {
                events.records.push(record);
            }
        }
    }

    /// `to`, the node at this place, handles something.
    #[cold]
    pub(crate) fn handled<P: SimStack>(
        &mut self,
        stats: &Stats,
        place: usize,
        time: u64,
        (from, to): (SimPeer, SimPeer),
        sequence: u32,
        what: &What<P>,
    ) {
        let at = Time::from_nanos(time);
        match what {
            What::Message(message) => {
                let said = Said {
                    kind: message.kind(),
                    name: stats.messages[message.kind()].name,
                    broadcast: message.carries().map(IdOf::<P>::index),
                    bytes: stats.wire_len::<P>(message),
                    sequence,
                };
                self.received(place, at, (from, to), &said);
            }
            What::Lane(word) if word.is_timer() => {
                let detail = Some("channel");
                self.see(at, to, EventKind::Timer, |record| Record { detail, ..record });
            }
            What::Lane(word) => {
                let kind = word.place(stats.messages.len());
                let (name, bytes) = (stats.messages[kind].name, word.bytes_on_line());
                let said = Said { kind, name, broadcast: None, bytes, sequence };
                self.received(place, at, (from, to), &said);
            }
            What::Timer(timer) => {
                let is_broadcast = matches!(timer, Timer::Broadcast(_));
                let detail = Some(if is_broadcast { "broadcast" } else { "membership" });
                self.see(at, to, EventKind::Timer, |record| Record { detail, ..record });
            }
            What::Reset | What::Restarted => {
                self.see(at, to, EventKind::Reset, |record| Record { peer: Some(from), ..record });
            }
            What::Handshake(_) | What::Attack | What::Late(_) => {}
        }
    }

    fn received(&mut self, place: usize, at: Time, (from, to): (SimPeer, SimPeer), said: &Said) {
        if let Some(counts) = &mut self.counts {
            counts.received(place, said.kind);
        }
        if let Some(load) = self.load_mut(place) {
            load.received += 1;
        }
        self.see(at, to, EventKind::Receive, |record| Record {
            peer: Some(from),
            message: Some(said.name),
            broadcast: said.broadcast,
            bytes: Some(said.bytes),
            sequence: Some(said.sequence),
            ..record
        });
    }

    /// Takes what was recorded.
    pub(crate) fn take_records(&mut self) -> Vec<Record> {
        self.events.as_mut().map_or_else(Vec::new, |events| std::mem::take(&mut events.records))
    }
}

/// What a record tells of a message.
struct Said {
    kind: usize,
    name: &'static str,
    broadcast: Option<u32>,
    bytes: u64,
    sequence: u32,
}

/// Puts records in order: by time, then node; those of one node at one time as they happened there.
pub(crate) fn in_order(mut records: Vec<Record>) -> Vec<Record> {
    records.sort_by_key(|record| (record.at, record.node.index()));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(at: u64, node: usize, kind: EventKind, broadcast: Option<u32>) -> Record {
        let new = Record::new(Time::from_nanos(at), SimPeer::new(node, 0), kind);
        Record { broadcast, ..new }
    }

    #[test]
    fn a_filter_lets_through_what_meets_all_its_terms() {
        let filter = Filter {
            kinds: vec![EventKind::Deliver, EventKind::Send],
            nodes: vec![3..=3, 5..=7],
            broadcasts: vec![1],
            from: Time::from_nanos(10),
            until: Some(Time::from_nanos(20)),
        };
        let good = record(10, 6, EventKind::Send, Some(1));
        assert!(filter.lets(&good));
        for wrong in [
            record(9, 6, EventKind::Send, Some(1)),
            record(20, 6, EventKind::Send, Some(1)),
            record(10, 4, EventKind::Send, Some(1)),
            record(10, 6, EventKind::Receive, Some(1)),
            record(10, 6, EventKind::Send, Some(2)),
            record(10, 6, EventKind::Send, None),
        ] {
            assert!(!filter.lets(&wrong), "{wrong:?}");
            assert!(Filter::default().lets(&wrong), "nothing asked for is everything");
        }
    }

    #[test]
    fn a_record_is_flat_and_holds_what_applies() {
        let mut record = record(1_500_000_000, 6, EventKind::NeighborDown, None);
        (record.node, record.peer) = (SimPeer::new(6, 1), Some(SimPeer::new(9, 2)));
        record.detail = Some(Record::reason(DownReason::Silent));
        let json = serde_json::to_string(&record).expect("JSON");
        assert_eq!(
            json,
            r#"{"at":1.5,"node":6,"incarnation":1,"kind":"neighbor_down","peer":9,"detail":"silent"}"#
        );
        for (name, kind) in EventKind::NAMES {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), name);
        }
    }
}

//! The trace event format. A region is a process, a node a thread, a handled event a slice, and a message
//! an arrow. Each broadcast has a row from its publication to its last delivery.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use murmurate::membership::Time;
use serde_json::{Value, json};

use crate::engine::watch::{EventKind, Record};
use crate::model::network::Placement;
use crate::model::node::SimPeer;

/// The length of a slice in microseconds, unless the node's next slice begins earlier. An event that takes
/// no virtual time would be invisible otherwise.
const LOOKS: f64 = 100.0;
/// Later slices at the same moment begin this much later, in microseconds.
const APART: f64 = 0.001;
/// The process of rows that belong to no node.
const RUN: u64 = 0;

/// A trace that is being written.
#[derive(Debug)]
pub(super) struct Perfetto {
    placement: Placement,
    named: BTreeSet<u32>,
    /// By node: the slice that goes on, and where it began.
    open: BTreeMap<u32, (f64, Value)>,
    /// By broadcast: its last delivery so far.
    spans: BTreeMap<u32, f64>,
    running: i64,
}

impl Perfetto {
    pub(super) fn new(placement: &Placement, to: &mut impl Write) -> io::Result<Self> {
        let perfetto = Self {
            placement: placement.clone(),
            named: BTreeSet::new(),
            open: BTreeMap::new(),
            spans: BTreeMap::new(),
            running: 0,
        };
        let first =
            json!({"ph": "M", "name": "process_name", "pid": RUN, "args": {"name": "the run"}});
        write!(to, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n{first}")?;
        let regions = perfetto.placement.names().iter().map(String::as_str);
        for (region, name) in regions.chain(["nodes"]).enumerate() {
            let pid = region as u64 + 1;
            event(
                to,
                &json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}}),
            )?;
        }
        Ok(perfetto)
    }

    pub(super) fn record(&mut self, record: &Record, to: &mut impl Write) -> io::Result<()> {
        let node = record.node.index() as u32;
        let (pid, ts) = (self.process(node), micros(record.at));
        if self.named.insert(node) {
            let name = format!("node {node}");
            event(
                to,
                &json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": node, "args": {"name": name}}),
            )?;
        }
        match record.kind {
            EventKind::Start
            | EventKind::Publish
            | EventKind::Receive
            | EventKind::Timer
            | EventKind::Reset => {
                let ts = self.begin(node, ts, record, to)?;
                if record.kind == EventKind::Receive {
                    let arrow = json!({"ph": "f", "bp": "e", "cat": "message", "name": record.message,
                        "id": arrow(record.peer, record.sequence), "pid": pid, "tid": node, "ts": ts});
                    event(to, &arrow)?;
                }
                if record.kind == EventKind::Publish {
                    self.span("b", record.broadcast, ts, to)?;
                }
            }
            EventKind::Send => {
                let ts = self.open.get(&node).map_or(ts, |(began, _)| began.max(ts));
                if !matches!(record.detail, Some("lost" | "shed")) {
                    let arrow = json!({"ph": "s", "cat": "message", "name": record.message,
                        "id": arrow(Some(record.node), record.sequence), "pid": pid, "tid": node, "ts": ts});
                    event(to, &arrow)?;
                } else {
                    self.instant(record, pid, ts, to)?;
                }
            }
            EventKind::Deliver => {
                if let Some(id) = record.broadcast {
                    self.spans.insert(id, ts);
                }
                self.instant(record, pid, ts, to)?;
            }
            EventKind::Stop | EventKind::NeighborUp | EventKind::NeighborDown => {
                self.instant(record, pid, ts, to)?;
            }
        }
        let change =
            i64::from(record.kind == EventKind::Start) - i64::from(record.kind == EventKind::Stop);
        self.running += change;
        if change != 0 {
            let counter = json!({"ph": "C", "name": "running nodes", "pid": RUN, "ts": ts, "args": {"nodes": self.running}});
            event(to, &counter)?;
        }
        Ok(())
    }

    pub(super) fn fault(
        &mut self,
        name: &str,
        kind: &str,
        at: Time,
        to: &mut impl Write,
    ) -> io::Result<()> {
        event(
            to,
            &json!({"ph": "i", "s": "g", "cat": kind, "name": name, "pid": RUN, "tid": 0, "ts": micros(at)}),
        )
    }

    pub(super) fn finish(&mut self, to: &mut impl Write) -> io::Result<()> {
        for (_, (began, slice)) in std::mem::take(&mut self.open) {
            close(began, slice, began + LOOKS, to)?;
        }
        for (id, last) in std::mem::take(&mut self.spans) {
            self.span("e", Some(id), last, to)?;
        }
        to.write_all(b"\n]}\n")
    }

    /// A slice begins, and so the node's one before ends. When it begins.
    fn begin(
        &mut self,
        node: u32,
        ts: f64,
        record: &Record,
        to: &mut impl Write,
    ) -> io::Result<f64> {
        let mut start = ts;
        if let Some((began, slice)) = self.open.remove(&node) {
            start = ts.max(began + APART);
            close(began, slice, start, to)?;
        }
        let name = record.message.map_or_else(|| json!(record.kind), |message| json!(message));
        let slice = json!({"ph": "X", "cat": record.kind, "name": name, "pid": self.process(node),
            "tid": node, "ts": start, "args": record});
        self.open.insert(node, (start, slice));
        Ok(start)
    }

    fn instant(&self, record: &Record, pid: u64, ts: f64, to: &mut impl Write) -> io::Result<()> {
        event(
            to,
            &json!({"ph": "i", "s": "t", "cat": record.kind, "name": record.kind, "pid": pid,
            "tid": record.node.index(), "ts": ts, "args": record}),
        )
    }

    /// The beginning or the end of a broadcast's row.
    fn span(
        &mut self,
        phase: &str,
        id: Option<u32>,
        ts: f64,
        to: &mut impl Write,
    ) -> io::Result<()> {
        let Some(id) = id else { return Ok(()) };
        if phase == "b" {
            self.spans.insert(id, ts);
        }
        let name = format!("broadcast {id}");
        event(
            to,
            &json!({"ph": phase, "cat": "broadcast", "name": name, "id": id, "pid": RUN, "tid": 0, "ts": ts}),
        )
    }

    fn process(&self, node: u32) -> u64 {
        let regions = self.placement.names().len();
        if regions == 0 { 1 } else { self.placement.of(node as usize) as u64 + 1 }
    }
}

fn close(began: f64, mut slice: Value, next: f64, to: &mut impl Write) -> io::Result<()> {
    slice["dur"] = json!((next - began).clamp(0.0, LOOKS));
    event(to, &slice)
}

fn event(to: &mut impl Write, event: &Value) -> io::Result<()> {
    write!(to, ",\n{event}")
}

/// The name of a message, the same at both its ends.
fn arrow(sender: Option<SimPeer>, sequence: Option<u32>) -> String {
    format!("{:?}-{}", sender.unwrap_or(SimPeer::new(0, 0)), sequence.unwrap_or_default())
}

fn micros(time: Time) -> f64 {
    time.as_nanos() as f64 / 1e3
}

//! The experiment behind `murmurate-sim run` without a file: join, settle, broadcast, fail, broadcast
//! again. A scenario like any other.

use std::time::Duration;

use murmurate::membership::Time;

use crate::engine;
use crate::experiment::scenario::{
    Broadcast, Death, Fault, LatencyModel, Links, Measure, Membership, Nodes, Order, Pace, Phase,
    Scenario, Share, Span, What, Who, Workload,
};

/// Nodes join evenly over this time.
const JOINING: Duration = Duration::from_secs(10);
/// Then the overlay settles.
const SETTLING: Duration = Duration::from_secs(30);
/// Time between two broadcasts.
const APART: Duration = Duration::from_millis(100);
/// Time for the last broadcasts to arrive.
const ARRIVING: Duration = Duration::from_secs(10);
/// Earlier nodes that a node joins through.
const CONTACTS: u32 = 3;

/// What the options say.
#[derive(Debug, Clone)]
pub struct Experiment {
    /// How many nodes; at least one.
    pub nodes: u32,
    /// The seed of all random choices.
    pub seed: u64,
    /// Who is whose neighbour.
    pub membership: Membership,
    /// How a message reaches everyone.
    pub broadcast: Broadcast,
    /// Broadcasts, each from a random node.
    pub messages: u32,
    /// Share of the nodes that fails at once after the broadcasts; then there are as many again.
    pub fail: Share,
    /// How long messages travel.
    pub latency: LatencyModel,
    /// Share of messages that the network loses.
    pub loss: Share,
}

impl Experiment {
    /// The scenario.
    ///
    /// # Errors
    /// If the latency is out of range: the path of the key, and what is wrong with it.
    pub fn scenario(&self) -> Result<Scenario, (String, String)> {
        let mut scenario = Scenario {
            name: "run".into(),
            seed: self.seed,
            nodes: Nodes {
                count: self.nodes,
                joining: Span(JOINING),
                contacts: CONTACTS,
                ..Nodes::default()
            },
            membership: self.membership.clone(),
            broadcast: self.broadcast.clone(),
            links: Links {
                latency: self.latency.clone(),
                loss: self.loss,
                // Each message with a latency of its own, as these options always meant it.
                order: Order::Any,
                ..Links::default()
            },
            ..Scenario::default()
        };
        // Broadcasts go out at the border of a bucket, and each waits from there on.
        let bucket = engine::bucket(&scenario.network()?);
        let step = |from: Duration, by: Duration| {
            let nanos = Time::ZERO.after(from + by).as_nanos();
            Duration::from_nanos(nanos.div_ceil(bucket).saturating_mul(bucket))
        };
        let broadcasts = |from: Duration| {
            let workload = Workload {
                from: Span(from),
                count: Some(self.messages),
                pace: Pace::Pause(Span(APART)),
                ..Workload::default()
            };
            let last = (0..self.messages).fold(step(from, Duration::ZERO), |at, _| step(at, APART));
            ((self.messages > 0).then_some(workload), step(last, ARRIVING))
        };
        let phase = |name: &str, from| Phase { name: name.into(), from: Span(from) };
        let (before, failure) = broadcasts(JOINING + SETTLING);
        scenario.workload.extend(before);
        scenario.duration = Span(failure);
        if self.fail > Share::NONE {
            let (after, end) = broadcasts(failure);
            scenario.workload.extend(after);
            scenario.duration = Span(end);
            let what = What::Crash { who: Who::Share(self.fail), notice: Death::Closed };
            scenario.faults.push(Fault { at: Span(failure), name: Some("failure".into()), what });
            scenario.measure = Measure {
                phases: vec![phase("before", Duration::ZERO), phase("after failure", failure)],
                ..Measure::default()
            };
        }
        Ok(scenario)
    }
}

//! The lookups and datagrams of a run: their outcomes, and the rules that these must keep.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use murmurate::membership::{Peer as _, Time, Violation};
use murmurate::router::{self, Command, Event};

use crate::engine::stats;
use crate::engine::strategy::{CommandOf, EventOf};
use crate::engine::{SimStack, Simulation};
use crate::experiment::scenario::{Scenario, Share, What};
use crate::model::node::SimPeer;

/// The content of a datagram: its number in the run, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Datagram {
    number: u64,
    bytes: u32,
}

impl router::Data for Datagram {
    fn size(&self) -> usize {
        self.bytes as usize
    }
}

/// How to talk to the router among a node's services.
pub(super) struct RouterAccess<P: SimStack> {
    pub(super) command: fn(Command<SimPeer, Datagram>) -> CommandOf<P>,
    pub(super) event: fn(EventOf<P>) -> Option<Event<SimPeer, Datagram>>,
}

/// An outcome that is later than allowed by this much is a bug.
const LATE: Duration = Duration::from_secs(60);

/// How long a lookup takes at most, with the scenario's slow clocks and stopped nodes.
fn longest(scenario: &Scenario) -> Duration {
    let (mut rate, mut late) = (1.0_f64, LATE);
    for fault in &scenario.faults {
        match fault.what {
            What::ClockDrift { rate: drifts, .. } => rate = rate.min(drifts),
            What::Slow { lasting, .. } | What::Stall { lasting, .. } => {
                late = late.saturating_add(lasting.0);
            }
            _ => {}
        }
    }
    router::Config::default().lookup_wait().div_f64(rate).saturating_add(late)
}

/// All lookups and datagrams of a run.
pub(super) struct Routing<P: SimStack> {
    routes: Option<RouterAccess<P>>,
    lookups: Vec<Lookup>,
    /// Lookups without an outcome, by the node that asked and the node it looks for.
    open: BTreeMap<(SimPeer, usize), usize>,
    datagrams: Vec<SentDatagram>,
    /// Whether the network duplicates nothing: then a lost datagram was not delivered.
    is_exact: bool,
    limit: Duration,
    broken: Option<Violation>,
}

struct Lookup {
    at: Time,
    /// Bytes to send to the node that it finds.
    then: Option<u32>,
    outcome: Option<(Time, bool)>,
}

struct SentDatagram {
    at: Time,
    from: SimPeer,
    to: SimPeer,
    bytes: u32,
    received: bool,
    lost: bool,
}

/// Counts of the lookups and datagrams in a window of time.
#[derive(Debug, Clone)]
pub(super) struct RoutingCounts {
    pub(super) lookups: u64,
    pub(super) found: u64,
    pub(super) not_found: u64,
    /// In microseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) datagrams: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
}

impl RoutingCounts {
    /// No lookups and no datagrams.
    pub(super) fn none() -> Self {
        Self {
            lookups: 0,
            found: 0,
            not_found: 0,
            latencies: stats::latency_histogram(),
            datagrams: 0,
            delivered: 0,
            lost: 0,
        }
    }
}

impl<P: SimStack> Routing<P> {
    pub(super) fn new(routes: Option<RouterAccess<P>>, scenario: &Scenario) -> Self {
        Self {
            routes,
            lookups: Vec::new(),
            open: BTreeMap::new(),
            datagrams: Vec::new(),
            is_exact: scenario.links.duplicate == Share::NONE,
            limit: longest(scenario),
            broken: None,
        }
    }

    /// A node looks for another one. If it finds it, it sends it `then` bytes. Asked again before there
    /// is an outcome, it is the same lookup.
    pub(super) fn look_up(
        &mut self,
        sim: &mut Simulation<P>,
        from: usize,
        to: usize,
        then: Option<u32>,
    ) {
        let (Some(routes), Some(me)) = (&self.routes, sim.peer(from)) else { return };
        // It may never have started.
        let target = SimPeer::new(to, 0).node();
        if self.open.contains_key(&(me, to)) {
            return;
        }
        let command = Command::Lookup { target, path: then.is_some() };
        if sim.command(from, (routes.command)(command)) {
            self.open.insert((me, to), self.lookups.len());
            self.lookups.push(Lookup { at: sim.now(), then, outcome: None });
        }
    }

    /// Handles the events of routers since the last call.
    pub(super) fn take(&mut self, sim: &mut Simulation<P>) -> Result<(), Violation> {
        let Some(RouterAccess { event, .. }) = &self.routes else { return Ok(()) };
        let event = *event;
        for (at, me, told) in sim.take_events() {
            match event(told) {
                Some(Event::Found { peer, path }) => {
                    let is_there = sim.peer(peer.index()).is_some_and(|runs| peer <= runs);
                    self.rule(is_there, "a lookup finds a node that there is", me);
                    if let Some(bytes) = self.ends(at, me, peer.index(), true) {
                        self.rule(path, "whoever asks for a way gets one", me);
                        self.send(sim, me, peer, bytes);
                    }
                }
                Some(Event::NotFound(node)) => drop(self.ends(at, me, node as usize, false)),
                Some(Event::Received { from, data, .. }) => self.received(me, from, data),
                Some(Event::Lost { to, number }) => self.lost(me, to, number),
                None => {}
            }
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    fn received(&mut self, me: SimPeer, from: SimPeer, Datagram { number, bytes }: Datagram) {
        let datagram = self.datagrams.get_mut(number as usize);
        let Some(datagram) = datagram.filter(|sent| sent.from == from && sent.bytes == bytes)
        else {
            return self.rule(false, "a datagram is one that was sent", me);
        };
        let (right, lost) = (datagram.to == me, datagram.lost);
        let again = std::mem::replace(&mut datagram.received, true);
        self.rule(right, "a datagram goes to whom it is for", me);
        self.rule(!again, "a datagram is delivered at most once", me);
        self.rule(!lost || !self.is_exact, "what is lost is not delivered", me);
    }

    fn lost(&mut self, me: SimPeer, to: SimPeer, number: u64) {
        let datagram = self.datagrams.get_mut(number as usize);
        let Some(datagram) = datagram.filter(|sent| sent.from == me && sent.to == to) else {
            return self.rule(false, "whoever sent a datagram is told that it is lost", me);
        };
        let received = datagram.received;
        let again = std::mem::replace(&mut datagram.lost, true);
        self.rule(!again, "a loss is told once", me);
        self.rule(!received || !self.is_exact, "what is lost is not delivered", me);
    }

    /// The run is over. Every node that asked long ago and still runs must have an answer.
    pub(super) fn end(&mut self, sim: &Simulation<P>) -> Result<(), Violation> {
        let late = self.overdue(sim, self.limit).next();
        Violation::unless(late.is_none(), "a lookup has one outcome, in time", || {
            format!("without one: {late:?}")
        })
    }

    /// Lookups that have had no outcome for `wait`, although the node that asked still runs.
    fn overdue<'a>(
        &'a self,
        sim: &'a Simulation<P>,
        wait: Duration,
    ) -> impl Iterator<Item = (&'a (SimPeer, usize), &'a usize)> {
        let runs =
            |peer: SimPeer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(peer);
        let open = self.open.iter().filter(move |((me, _), _)| runs(*me));
        open.filter(move |(_, at)| self.lookups[**at].at.after(wait) < sim.now())
    }

    fn rule(&mut self, holds: bool, rule: &'static str, at: SimPeer) {
        if !holds && self.broken.is_none() {
            self.broken = Some(Violation { rule, detail: format!("at {at:?}") });
        }
    }

    /// A lookup has an outcome. Returns how many bytes to send now.
    fn ends(&mut self, at: Time, me: SimPeer, node: usize, found: bool) -> Option<u32> {
        let open = self.open.remove(&(me, node));
        self.rule(open.is_some(), "an outcome is one of a lookup", me);
        let lookup = &mut self.lookups[open?];
        lookup.outcome = Some((at, found));
        lookup.then.filter(|_| found)
    }

    fn send(&mut self, sim: &mut Simulation<P>, from: SimPeer, to: SimPeer, bytes: u32) {
        let Some(routes) = &self.routes else { return };
        if sim.peer(from.index()) != Some(from) {
            return;
        }
        let number = self.datagrams.len() as u64;
        let command = Command::Relay { to, number, data: Datagram { number, bytes } };
        if sim.command(from.index(), (routes.command)(command)) {
            let at = sim.now();
            let (received, lost) = (false, false);
            self.datagrams.push(SentDatagram { at, from, to, bytes, received, lost });
        }
    }

    /// Counts what was asked for and sent from `from` until `until`. Leaves out lookups that may still
    /// have an outcome.
    pub(super) fn routed(&self, sim: &Simulation<P>, from: Time, until: Time) -> RoutingCounts {
        let within = |at: Time| from <= at && at < until;
        let mut open: BTreeSet<usize> = self.open.values().copied().collect();
        for (_, at) in self.overdue(sim, router::Config::default().lookup_wait()) {
            open.remove(at);
        }
        let mut routed = RoutingCounts::none();
        for (at, lookup) in self.lookups.iter().enumerate() {
            if !within(lookup.at) || open.contains(&at) {
                continue;
            }
            routed.lookups += 1;
            if let Some((ended, found)) = lookup.outcome {
                routed.found += u64::from(found);
                routed.not_found += u64::from(!found);
                let took = ended.since(lookup.at).as_micros();
                routed.latencies.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
            }
        }
        for datagram in self.datagrams.iter().filter(|datagram| within(datagram.at)) {
            routed.datagrams += 1;
            routed.delivered += u64::from(datagram.received);
            routed.lost += u64::from(datagram.lost && !datagram.received);
        }
        routed
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Arc;

    use murmurate::broadcast::plumtree;
    use murmurate::membership::hyparview;
    use murmurate::router::Router;

    use super::super::{Report, run_nodes};
    use super::*;
    use crate::engine::Make;
    use crate::engine::strategy::nodes;
    use crate::experiment::scenario::{Document, Scenario};

    type Told = Event<SimPeer, Datagram>;

    fn scenario(more: &str) -> Scenario {
        let text = format!(
            "duration = '60s'\nnodes = {{ count = 12, joining = '2s' }}\n{more}\n\
             [[workload]]\nfrom = '10s'\nuntil = '30s'\npace.rate = 5.0\npayload = 100\n\
             look_up = {{ relay = true }}\n"
        );
        Document::parse("it", &text).expect("TOML").scenario().expect("a scenario")
    }

    /// Runs it on nodes whose router events go through `event` first.
    fn told(scenario: &Scenario, event: fn(Told) -> Option<Told>) -> Report {
        let make = nodes(hyparview::Parameters::default(), plumtree::Parameters::default());
        let (make, config) = (make.expect("defaults"), Arc::new(router::Config::default()));
        let make: Make<_> = Arc::new(move |me, seed| {
            make(me, seed).with_service(Router::new(me, Arc::clone(&config)))
        });
        let routes = RouterAccess { command: |command| command, event };
        run_nodes(NonZeroUsize::MIN, scenario, make, Some(routes), &mut ()).expect("it runs")
    }

    fn broken(event: fn(Told) -> Option<Told>) -> Option<&'static str> {
        told(&scenario(""), event).violation.map(|broken| broken.rule)
    }

    #[test]
    fn a_lookup_without_an_outcome_is_one_that_found_nobody() {
        let scenario = scenario("assertions = ['lookup_found == 1 from 10s until 30s']");
        let all = told(&scenario, Some);
        assert!(all.holds(), "{:?}", all.verdicts);
        let some = told(&scenario, |told| match told {
            Event::Found { peer, .. } if peer.index() == 3 => None,
            told => Some(told),
        });
        assert_eq!(some.violation, None, "it is not overdue yet");
        assert!(!some.holds(), "{:?}, {:?}", some.verdicts, some.routing);
    }

    #[test]
    fn an_outcome_of_nothing_is_a_bug() {
        let rule = broken(|told| match told {
            Event::Found { peer, path } if peer.index() == 3 => {
                Some(Event::Found { peer: SimPeer::new(4, 0), path })
            }
            told => Some(told),
        });
        assert_eq!(rule, Some("an outcome is one of a lookup"));
    }

    #[test]
    fn a_datagram_is_what_was_sent() {
        let made_up = |told: Told| match told {
            Event::Received { from, by, data } => {
                let data = Datagram { number: data.number + 1_000, ..data };
                Some(Event::Received { from, by, data })
            }
            told => Some(told),
        };
        assert_eq!(broken(made_up), Some("a datagram is one that was sent"));
        let of_another = |told: Told| match told {
            Event::Received { from, by, data } => {
                let from = SimPeer::new(from.index() + 1, 0);
                Some(Event::Received { from, by, data })
            }
            told => Some(told),
        };
        assert_eq!(broken(of_another), Some("a datagram is one that was sent"));
        let longer = |told: Told| match told {
            Event::Received { from, by, data } => {
                let data = Datagram { bytes: data.bytes + 1, ..data };
                Some(Event::Received { from, by, data })
            }
            told => Some(told),
        };
        assert_eq!(broken(longer), Some("a datagram is one that was sent"));
    }
}

//! Lookups, and datagrams to whom they find: what became of them, and what must not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;
use murmurate::membership::{Peer as _, Time, Violation};
use murmurate::router::{self, Command, Event};

use crate::engine::stats;
use crate::engine::strategy::{CommandOf, EventOf};
use crate::engine::{SimStack, Simulation};
use crate::model::node::Peer;

/// A datagram: which one it is, and its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mail {
    number: u64,
    bytes: u32,
}

impl router::Data for Mail {
    fn size(&self) -> usize {
        self.bytes as usize
    }
}

/// How nodes are asked that have a router among their services.
pub(super) struct Routes<P: SimStack> {
    pub(super) command: fn(Command<Peer, Mail>) -> CommandOf<P>,
    pub(super) event: fn(EventOf<P>) -> Option<Event<Peer, Mail>>,
}

/// How much later than they may take lookups without an outcome are a bug: clocks are slow, and nodes
/// stop for a while.
const LATE: Duration = Duration::from_secs(60);

/// What was asked for and sent, and what became of it.
pub(super) struct Post<P: SimStack> {
    routes: Option<Routes<P>>,
    lookups: Vec<Lookup>,
    /// Those without an outcome, by who asked and for whom.
    open: BTreeMap<(Peer, usize), usize>,
    datagrams: Vec<Datagram>,
    /// Whether the network brings nothing twice: then what is lost was not delivered.
    is_exact: bool,
    broken: Option<Violation>,
}

struct Lookup {
    at: Time,
    /// Bytes to send to whom it finds.
    then: Option<u32>,
    outcome: Option<(Time, bool)>,
}

struct Datagram {
    at: Time,
    to: Peer,
    received: bool,
    lost: bool,
}

/// What the lookups and datagrams of a time came to.
#[derive(Debug, Clone)]
pub(super) struct Routed {
    pub(super) lookups: u64,
    pub(super) found: u64,
    pub(super) not_found: u64,
    /// In microseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) datagrams: u64,
    pub(super) delivered: u64,
    pub(super) lost: u64,
}

impl<P: SimStack> Post<P> {
    pub(super) fn new(routes: Option<Routes<P>>, is_exact: bool) -> Self {
        let (lookups, open, datagrams) = (Vec::new(), BTreeMap::new(), Vec::new());
        Self { routes, lookups, open, datagrams, is_exact, broken: None }
    }

    /// A node looks for another one, and sends so many bytes to it if it is found. Asked again before
    /// there is an outcome, it is the same lookup.
    pub(super) fn look_up(
        &mut self,
        sim: &mut Simulation<P>,
        from: usize,
        to: usize,
        then: Option<u32>,
    ) {
        let (Some(routes), Some(me)) = (&self.routes, sim.peer(from)) else { return };
        let Some(target) = sim.peer(to).map(Peer::node) else { return };
        if self.open.contains_key(&(me, to)) {
            return;
        }
        let command = Command::Lookup { target, path: then.is_some() };
        if sim.command(from, (routes.command)(command)) {
            self.open.insert((me, to), self.lookups.len());
            self.lookups.push(Lookup { at: sim.now(), then, outcome: None });
        }
    }

    /// Takes what the nodes told meanwhile.
    pub(super) fn take(&mut self, sim: &mut Simulation<P>) -> Result<(), Violation> {
        let Some(Routes { event, .. }) = &self.routes else { return Ok(()) };
        let event = *event;
        for (at, me, told) in sim.take_events() {
            match event(told) {
                Some(Event::Found { peer, .. }) => {
                    let is_there = sim.peer(peer.index()).is_some_and(|runs| peer <= runs);
                    self.rule(is_there, "a lookup finds a node that there is", me);
                    if let Some(bytes) = self.ends(at, me, peer.index(), true) {
                        self.send(sim, me, peer, bytes);
                    }
                }
                Some(Event::NotFound(node)) => drop(self.ends(at, me, node as usize, false)),
                Some(Event::Received { data: Mail { number, .. }, .. }) => {
                    let Some(datagram) = self.datagrams.get_mut(number as usize) else { continue };
                    let (right, again) = (datagram.to == me, datagram.received);
                    let lost = datagram.lost;
                    datagram.received = true;
                    self.rule(right, "a datagram goes to whom it is for", me);
                    self.rule(!again, "a datagram is delivered at most once", me);
                    self.rule(!lost || !self.is_exact, "what is lost is not delivered", me);
                }
                Some(Event::Lost { number, .. }) => {
                    let Some(datagram) = self.datagrams.get_mut(number as usize) else { continue };
                    let received = datagram.received;
                    datagram.lost = true;
                    self.rule(!received || !self.is_exact, "what is lost is not delivered", me);
                }
                None => {}
            }
        }
        self.broken.take().map_or(Ok(()), Err)
    }

    /// The run is over: whoever asked long ago and still runs has an answer.
    pub(super) fn end(&mut self, sim: &Simulation<P>) -> Result<(), Violation> {
        let wait = router::Config::default().lookup_wait() * 2 + LATE;
        let runs = |peer: Peer| sim.is_live(peer.index()) && sim.peer(peer.index()) == Some(peer);
        let overdue =
            |(_, at): &(&(Peer, usize), &usize)| self.lookups[**at].at.after(wait) < sim.now();
        let late = self.open.iter().find(|one| overdue(one) && runs(one.0.0));
        Violation::unless(late.is_none(), "a lookup has one outcome, in time", || {
            format!("without one: {late:?}")
        })
    }

    fn rule(&mut self, holds: bool, rule: &'static str, at: Peer) {
        if !holds && self.broken.is_none() {
            self.broken = Some(Violation { rule, detail: format!("at {at:?}") });
        }
    }

    /// A lookup has an outcome. What is to be sent now.
    fn ends(&mut self, at: Time, me: Peer, node: usize, found: bool) -> Option<u32> {
        let open = self.open.remove(&(me, node));
        self.rule(open.is_some(), "an outcome is one of a lookup", me);
        let lookup = &mut self.lookups[open?];
        lookup.outcome = Some((at, found));
        lookup.then.filter(|_| found)
    }

    fn send(&mut self, sim: &mut Simulation<P>, from: Peer, to: Peer, bytes: u32) {
        let Some(routes) = &self.routes else { return };
        if sim.peer(from.index()) != Some(from) {
            return;
        }
        let number = self.datagrams.len() as u64;
        let command = Command::Relay { to, number, data: Mail { number, bytes } };
        if sim.command(from.index(), (routes.command)(command)) {
            let at = sim.now();
            self.datagrams.push(Datagram { at, to, received: false, lost: false });
        }
    }

    /// What those came to that were asked for and sent in a time, but for what nobody waits for any more.
    pub(super) fn routed(&self, from: Time, until: Time) -> Routed {
        let within = |at: Time| from <= at && at <= until;
        let forgotten: BTreeSet<usize> = self.open.values().copied().collect();
        let mut routed = Routed {
            lookups: 0,
            found: 0,
            not_found: 0,
            latencies: stats::latency_histogram(),
            datagrams: 0,
            delivered: 0,
            lost: 0,
        };
        for (at, lookup) in self.lookups.iter().enumerate() {
            if !within(lookup.at) || forgotten.contains(&at) {
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

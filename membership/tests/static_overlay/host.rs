//! Peers under a virtual clock, and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::Flood;
use murmurate::membership::static_overlay::{self, Config, Message, Parameters, StaticOverlay};
use murmurate::membership::{DownReason, Mark, Membership as _, Notice, Peer, Time};
use murmurate::stack::{self, Timer};
use murmurate::testing::{Effect, Host};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id {
    pub(crate) node: u16,
    pub(crate) incarnation: u8,
}

impl Peer for Id {
    type Node = u16;
    fn node(self) -> u16 {
        self.node
    }
}

pub(crate) fn id(node: u16) -> Id {
    Id { node, incarnation: 0 }
}

/// The node after so many restarts.
pub(crate) fn again(node: u16, incarnation: u8) -> Id {
    Id { node, incarnation }
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) type Input = stack::Input<StaticOverlay<Id>, Flood<Id, u32, ()>>;

/// A message arrives.
pub(crate) fn receive(from: Id, message: Message) -> Input {
    Input::Receive { from, message: stack::Message::Membership(message) }
}

/// A timer is due.
pub(crate) fn expired(timer: static_overlay::Timer) -> Input {
    Input::Expired(Timer::Membership(timer))
}

/// One peer, held to its invariants after every input, and what it said so far.
#[derive(Debug)]
pub(crate) struct Hosted {
    host: Host<StaticOverlay<Id>, Flood<Id, u32, ()>>,
    pub(crate) sent: Vec<(Id, Message)>,
    pub(crate) downs: Vec<(Id, DownReason)>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) marks: Vec<Mark>,
    armed: Vec<(Duration, static_overlay::Timer)>,
}

impl Hosted {
    pub(crate) fn new(me: Id, config: &Arc<Config>, seed: u64) -> Self {
        let seed = seed ^ (u64::from(me.node) << 8) ^ u64::from(me.incarnation);
        let overlay = StaticOverlay::new(me, Arc::clone(config), seed);
        Self {
            host: Host::new(Stack::new(overlay, Flood::new(Arc::default()))),
            sent: Vec::new(),
            downs: Vec::new(),
            notices: Vec::new(),
            marks: Vec::new(),
            armed: Vec::new(),
        }
    }

    pub(crate) fn overlay(&self) -> &StaticOverlay<Id> {
        self.host.stack().membership()
    }

    pub(crate) fn active(&self) -> BTreeSet<Id> {
        self.overlay().active().collect()
    }

    pub(crate) fn feed(&mut self, now: Time, input: Input) {
        self.host.delay(now.since(self.host.now()));
        for effect in self.host.feed(input) {
            match effect {
                Effect::Send(to, stack::Message::Membership(message)) => {
                    self.sent.push((to, message));
                }
                Effect::Arm(after, Timer::Membership(timer)) => self.armed.push((after, timer)),
                Effect::NeighborDown(peer, reason) => self.downs.push((peer, reason)),
                Effect::Notify(notice) => self.notices.push(notice),
                Effect::Mark(mark) => self.marks.push(mark),
                _ => {}
            }
        }
    }

    /// What it says to that.
    pub(crate) fn receive(&mut self, now: Time, from: Id, message: Message) -> Vec<(Id, Message)> {
        self.sent.clear();
        self.feed(now, receive(from, message));
        std::mem::take(&mut self.sent)
    }

    /// Whether the timer is outstanding; a stale one is the machine's to ignore.
    pub(crate) fn awaits(&self, timer: static_overlay::Timer) -> bool {
        self.host.armed().iter().any(|(_, armed)| *armed == Timer::Membership(timer))
    }
}

pub(crate) type Lost = Box<dyn FnMut(Id, Id, &Message) -> bool>;

/// Peers and the network between them. What is sent to a node reaches whichever incarnation runs.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) peers: BTreeMap<u16, (Id, Hosted)>,
    /// Whether the network loses a message.
    pub(crate) lost: Lost,
    config: Arc<Config>,
    seed: u64,
    queue: BTreeMap<(Time, u64), (Id, Input)>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(parameters: Parameters, seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            peers: BTreeMap::new(),
            lost: Box::new(|_, _, _| false),
            config: Arc::new(parameters.check().unwrap()),
            seed,
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// Nodes 0, 1, …, each with these as contacts, once all have had time to link.
    pub(crate) fn of(contacts: &[&[u16]], parameters: Parameters, seed: u64) -> Self {
        let mut world = Self::new(parameters, seed);
        for (node, contacts) in (0..).zip(contacts) {
            world.join(id(node), &contacts.iter().map(|node| id(*node)).collect::<Vec<_>>());
        }
        world.run(secs(5));
        world
    }

    /// Starts a peer, or tells one that runs of contacts.
    pub(crate) fn join(&mut self, me: Id, contacts: &[Id]) {
        if self.peers.get(&me.node).is_none_or(|(held, _)| *held != me) {
            let hosted = Hosted::new(me, &self.config, self.seed);
            self.peers.insert(me.node, (me, hosted));
        }
        self.feed(me, Input::Join(contacts.to_vec()));
    }

    /// The process dies; whoever was connected with it hears of that.
    pub(crate) fn crash(&mut self, node: u16) {
        let (gone, _) = self.peers.remove(&node).unwrap();
        let others: Vec<Id> = self.peers.values().map(|(id, _)| *id).collect();
        others.into_iter().for_each(|other| self.feed(other, Input::LinkDown(gone)));
    }

    pub(crate) fn feed(&mut self, to: Id, input: Input) {
        let Some((running, hosted)) = self.peers.get_mut(&to.node) else {
            if let Input::Receive { from, .. } = input {
                self.push(Duration::from_millis(20), from, Input::LinkDown(to));
            }
            return;
        };
        let running = *running;
        if running != to {
            // Nothing sent to another incarnation arrives: the host tells of the one that answers.
            if let Input::Receive { from, .. } = input {
                self.push(Duration::from_millis(20), from, Input::Restarted(running));
            }
            return;
        }
        hosted.feed(self.now, input);
        let sent = std::mem::take(&mut hosted.sent);
        let armed = std::mem::take(&mut hosted.armed);
        for (after, timer) in armed {
            self.push(after, to, expired(timer));
        }
        for (peer, message) in sent {
            if !(self.lost)(to, peer, &message) {
                // Differs by pair and keeps the order within one.
                let latency = 5 + u64::from((to.node * 7 + peer.node * 13) % 50);
                self.push(Duration::from_millis(latency), peer, receive(to, message));
            }
        }
    }

    fn push(&mut self, after: Duration, to: Id, input: Input) {
        self.sequence += 1;
        self.queue.insert((self.now.after(after), self.sequence), (to, input));
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), (to, input)) = entry.remove_entry();
            self.now = at;
            self.feed(to, input);
        }
        self.now = end;
    }

    /// The neighbours of a node, by number.
    pub(crate) fn neighbors(&self, node: u16) -> Vec<u16> {
        self.peers[&node].1.active().into_iter().map(|peer| peer.node).collect()
    }

    pub(crate) fn downs(&self, node: u16) -> Vec<(Id, DownReason)> {
        self.peers[&node].1.downs.clone()
    }

    /// Everybody's neighbours are these, and stay so.
    #[track_caller]
    pub(crate) fn assert_links(&mut self, expected: &[&[u16]]) {
        let all = |world: &Self| {
            let nodes = 0..expected.len() as u16;
            nodes.map(|node| world.neighbors(node)).collect::<Vec<_>>()
        };
        assert_eq!(all(self), expected, "at {:?}", self.now);
        let downs = |world: &Self| {
            world.peers.values().map(|(_, hosted)| hosted.downs.len()).collect::<Vec<_>>()
        };
        let before = downs(self);
        self.run(secs(3));
        assert_eq!(
            (all(self), downs(self)),
            (expected.iter().map(|of| of.to_vec()).collect(), before)
        );
    }
}

//! Peers under a virtual clock, and the network between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use murmurate::Stack;
use murmurate::broadcast::Flood;
use murmurate::membership::full_mesh::{Config, FullMesh, MAX_GOSSIP_LENGTH, Message, Parameters};
use murmurate::membership::{DownReason, Membership as _, Notice, Peer, Time, full_mesh};
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

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) type Said = Message<Id>;
pub(crate) type Input = stack::Input<FullMesh<Id>, Flood<Id, u32, ()>>;

/// A message arrives.
pub(crate) fn receive(from: Id, message: Said) -> Input {
    Input::Receive { from, message: stack::Message::Membership(message) }
}

/// A timer is due.
pub(crate) fn expired(timer: full_mesh::Timer) -> Input {
    Input::Expired(Timer::Membership(timer))
}

/// One peer, and what it said so far.
#[derive(Debug)]
pub(crate) struct Hosted {
    host: Host<FullMesh<Id>, Flood<Id, u32, ()>>,
    pub(crate) sent: Vec<(Id, Said)>,
    pub(crate) downs: Vec<(Id, DownReason)>,
    pub(crate) notices: Vec<Notice>,
    armed: Vec<(Duration, full_mesh::Timer)>,
}

impl Hosted {
    pub(crate) fn new(me: Id, config: &Arc<Config>, seed: u64) -> Self {
        let seed = seed ^ (u64::from(me.node) << 8) ^ u64::from(me.incarnation);
        let mesh = FullMesh::new(me, Arc::clone(config), seed);
        Self {
            host: Host::new(Stack::new(mesh, Flood::new(Arc::default()))),
            sent: Vec::new(),
            downs: Vec::new(),
            notices: Vec::new(),
            armed: Vec::new(),
        }
    }

    pub(crate) fn mesh(&self) -> &FullMesh<Id> {
        self.host.stack().membership()
    }

    pub(crate) fn active(&self) -> BTreeSet<Id> {
        self.mesh().active().collect()
    }

    pub(crate) fn feed(&mut self, now: Time, input: Input) {
        self.host.delay(now.since(self.host.now()));
        for effect in self.host.feed(input) {
            match effect {
                Effect::Send(to, stack::Message::Membership(message)) => {
                    if let Message::Members(members) = &message {
                        assert!(members.len() <= MAX_GOSSIP_LENGTH);
                        assert!(!members.contains(&to));
                    }
                    self.sent.push((to, message));
                }
                Effect::Arm(after, Timer::Membership(timer)) => self.armed.push((after, timer)),
                Effect::NeighborDown(peer, reason) => self.downs.push((peer, reason)),
                Effect::Notify(notice) => self.notices.push(notice),
                _ => {}
            }
        }
    }

    pub(crate) fn receive(&mut self, now: Time, from: Id, message: Said) -> Vec<(Id, Said)> {
        self.sent.clear();
        self.feed(now, receive(from, message));
        std::mem::take(&mut self.sent)
    }

    /// Whether the timer is outstanding; a stale one is the machine's to ignore.
    pub(crate) fn awaits(&self, timer: full_mesh::Timer) -> bool {
        self.host.armed().iter().any(|(_, armed)| *armed == Timer::Membership(timer))
    }
}

type Event = (Id, Input);
pub(crate) type Lost = Box<dyn FnMut(Id, Id, &Said) -> bool>;

/// Peers and the network between them.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) peers: BTreeMap<Id, Hosted>,
    /// Whether the network loses a message.
    pub(crate) lost: Lost,
    /// Whether what is sent to a former incarnation reaches the present one, as it does where the
    /// host dials an address.
    pub(crate) by_address: bool,
    config: Arc<Config>,
    seed: u64,
    queue: BTreeMap<(Time, u64), Event>,
    sequence: u64,
}

impl World {
    pub(crate) fn new(parameters: Parameters, seed: u64) -> Self {
        Self {
            now: Time::ZERO,
            peers: BTreeMap::new(),
            lost: Box::new(|_, _, _| false),
            by_address: false,
            config: Arc::new(parameters.check().unwrap()),
            seed,
            queue: BTreeMap::new(),
            sequence: 0,
        }
    }

    /// A mesh of `count` peers that joined through the first.
    pub(crate) fn mesh(count: u16, parameters: Parameters, seed: u64) -> Self {
        let mut world = Self::new(parameters, seed);
        world.join(id(0), &[]);
        for node in 1..count {
            world.join(id(node), &[id(0)]);
        }
        world.run(secs(5));
        world.assert_full_mesh();
        world
    }

    pub(crate) fn join(&mut self, me: Id, contacts: &[Id]) {
        self.peers.entry(me).or_insert_with(|| Hosted::new(me, &self.config, self.seed));
        self.feed(me, Input::Join(contacts.to_vec()));
    }

    /// The process dies; whoever was connected with it hears of that.
    pub(crate) fn crash(&mut self, who: Id) {
        self.peers.remove(&who);
        let others: Vec<Id> = self.peers.keys().copied().collect();
        for other in others {
            self.feed(other, Input::LinkDown(who));
        }
    }

    pub(crate) fn feed(&mut self, to: Id, input: Input) {
        let newest = self.peers.keys().rev().find(|peer| peer.is_same_node(to)).copied();
        let to = if self.by_address { newest.unwrap_or(to) } else { to };
        let Some(hosted) = self.peers.get_mut(&to) else {
            if let Input::Receive { from, .. } = input {
                self.push(Duration::from_millis(20), from, Input::LinkDown(to));
            }
            return;
        };
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

    pub(crate) fn active(&self, who: Id) -> BTreeSet<Id> {
        self.peers[&who].active()
    }

    pub(crate) fn knows(&self, who: Id, whom: Id) -> bool {
        let mesh = self.peers[&who].mesh();
        mesh.active().chain(mesh.passive()).any(|peer| peer.is_same_node(whom))
    }

    pub(crate) fn is_full_mesh(&self) -> bool {
        let all: BTreeSet<Id> = self.peers.keys().copied().collect();
        self.peers.iter().all(|(me, hosted)| {
            let mut expected = all.clone();
            expected.remove(me);
            hosted.active() == expected
        })
    }

    /// Everybody is linked with everybody, and stays so.
    #[track_caller]
    pub(crate) fn assert_full_mesh(&mut self) {
        let views: Vec<_> = self.peers.iter().map(|(me, hosted)| (me, hosted.active())).collect();
        assert!(self.is_full_mesh(), "at {:?}: {views:?}", self.now);
        // Were a link's ends of two minds about its number, one of them would end it.
        let downs = |world: &Self| {
            let all = world.peers.values().map(|hosted| hosted.downs.clone());
            all.collect::<Vec<_>>()
        };
        let before = downs(self);
        self.run(secs(3));
        assert_eq!(downs(self), before, "at {:?}", self.now);
    }
}

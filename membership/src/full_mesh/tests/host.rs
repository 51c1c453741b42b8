//! A host made of a queue: peers under a virtual clock, and every rule of the seam asserted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::super::{Config, FullMesh, Message, Parameters, Timer};
use crate::{DownReason, Effects, Input, Membership, Notice, Peer, Time};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) node: u16,
    pub(super) incarnation: u8,
}

impl Peer for Id {
    type Node = u16;
    fn node(self) -> u16 {
        self.node
    }
}

pub(super) fn id(node: u16) -> Id {
    Id { node, incarnation: 0 }
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(super) type Said = Message<Id>;

/// What one peer said: views announced exactly once, timers armed at most once.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    pub(super) sent: Vec<(Id, Said)>,
    pub(super) up: BTreeSet<Id>,
    pub(super) ups: Vec<Id>,
    pub(super) downs: Vec<(Id, DownReason)>,
    pub(super) notices: Vec<Notice>,
    armed: Vec<(Duration, Timer)>,
    outstanding: Vec<Timer>,
}

impl Effects<FullMesh<Id>> for Recorder {
    fn send(&mut self, to: Id, message: Said) {
        if let Message::Members(members) = &message {
            assert!(members.len() <= super::super::MAX_GOSSIP_LENGTH);
            assert!(!members.contains(&to));
        }
        self.sent.push((to, message));
    }
    fn arm(&mut self, after: Duration, timer: Timer) {
        assert!(!self.outstanding.contains(&timer), "{timer:?} armed twice");
        self.outstanding.push(timer);
        self.armed.push((after, timer));
    }
    fn neighbor_up(&mut self, peer: Id) {
        assert!(self.up.insert(peer), "{peer:?} is up already");
        self.ups.push(peer);
    }
    fn neighbor_down(&mut self, peer: Id, reason: DownReason) {
        assert!(self.up.remove(&peer), "{peer:?} is down already");
        self.downs.push((peer, reason));
    }
    fn notify(&mut self, notice: Notice) {
        self.notices.push(notice);
    }
}

/// One peer and its host.
#[derive(Debug)]
pub(super) struct Hosted {
    pub(super) mesh: FullMesh<Id>,
    pub(super) said: Recorder,
}

impl Hosted {
    pub(super) fn new(me: Id, config: &Arc<Config>, seed: u64) -> Self {
        let seed = seed ^ (u64::from(me.node) << 8) ^ u64::from(me.incarnation);
        Self { mesh: FullMesh::new(me, Arc::clone(config), seed), said: Recorder::default() }
    }

    pub(super) fn feed(&mut self, now: Time, input: Input<Id, Said, Timer>) {
        if let Input::Expired(timer) = input {
            self.said.outstanding.retain(|armed| *armed != timer);
        }
        self.mesh.handle(now, input, &mut self.said);
        self.mesh.check().unwrap();
        assert_eq!(self.mesh.active().collect::<BTreeSet<_>>(), self.said.up);
    }

    pub(super) fn receive(&mut self, now: Time, from: Id, message: Said) -> Vec<(Id, Said)> {
        self.said.sent.clear();
        self.feed(now, Input::Receive { from, message });
        std::mem::take(&mut self.said.sent)
    }

    /// Whether the timer is outstanding; a stale one is the machine's to ignore.
    pub(super) fn awaits(&self, timer: Timer) -> bool {
        self.said.outstanding.contains(&timer)
    }
}

type Event = (Id, Input<Id, Said, Timer>);
pub(super) type Lost = Box<dyn FnMut(Id, Id, &Said) -> bool>;

/// Peers and the network between them.
pub(super) struct World {
    pub(super) now: Time,
    pub(super) peers: BTreeMap<Id, Hosted>,
    /// Whether the network loses a message.
    pub(super) lost: Lost,
    /// Whether what is sent to a former incarnation reaches the present one, as it does where the
    /// host dials an address.
    pub(super) by_address: bool,
    config: Arc<Config>,
    seed: u64,
    queue: BTreeMap<(Time, u64), Event>,
    sequence: u64,
}

impl World {
    pub(super) fn new(parameters: Parameters, seed: u64) -> Self {
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
    pub(super) fn mesh(count: u16, parameters: Parameters, seed: u64) -> Self {
        let mut world = Self::new(parameters, seed);
        world.join(id(0), &[]);
        for node in 1..count {
            world.join(id(node), &[id(0)]);
        }
        world.run(secs(5));
        world.assert_full_mesh();
        world
    }

    pub(super) fn join(&mut self, me: Id, contacts: &[Id]) {
        self.peers.entry(me).or_insert_with(|| Hosted::new(me, &self.config, self.seed));
        self.feed(me, Input::Join(contacts.to_vec()));
    }

    /// The process dies; whoever was connected with it hears of that.
    pub(super) fn crash(&mut self, who: Id) {
        self.peers.remove(&who);
        let others: Vec<Id> = self.peers.keys().copied().collect();
        for other in others {
            self.feed(other, Input::LinkDown(who));
        }
    }

    pub(super) fn feed(&mut self, to: Id, input: Input<Id, Said, Timer>) {
        let newest = self.peers.keys().rev().find(|peer| peer.is_same_node(to)).copied();
        let to = if self.by_address { newest.unwrap_or(to) } else { to };
        let Some(hosted) = self.peers.get_mut(&to) else {
            if let Input::Receive { from, .. } = input {
                self.push(Duration::from_millis(20), from, Input::LinkDown(to));
            }
            return;
        };
        hosted.feed(self.now, input);
        let sent = std::mem::take(&mut hosted.said.sent);
        let armed = std::mem::take(&mut hosted.said.armed);
        for (after, timer) in armed {
            self.push(after, to, Input::Expired(timer));
        }
        for (peer, message) in sent {
            if !(self.lost)(to, peer, &message) {
                // Differs by pair and keeps the order within one.
                let latency = 5 + u64::from((to.node * 7 + peer.node * 13) % 50);
                let input = Input::Receive { from: to, message };
                self.push(Duration::from_millis(latency), peer, input);
            }
        }
    }

    fn push(&mut self, after: Duration, to: Id, input: Input<Id, Said, Timer>) {
        self.sequence += 1;
        self.queue.insert((self.now.after(after), self.sequence), (to, input));
    }

    pub(super) fn run(&mut self, span: Duration) {
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

    pub(super) fn active(&self, who: Id) -> BTreeSet<Id> {
        self.peers[&who].said.up.clone()
    }

    pub(super) fn knows(&self, who: Id, whom: Id) -> bool {
        let mesh = &self.peers[&who].mesh;
        mesh.active().chain(mesh.passive()).any(|peer| peer.is_same_node(whom))
    }

    pub(super) fn is_full_mesh(&self) -> bool {
        let all: BTreeSet<Id> = self.peers.keys().copied().collect();
        self.peers.iter().all(|(me, hosted)| {
            let mut expected = all.clone();
            expected.remove(me);
            hosted.said.up == expected
        })
    }

    #[track_caller]
    pub(super) fn assert_full_mesh(&self) {
        let views: Vec<_> = self.peers.iter().map(|(me, hosted)| (me, &hosted.said.up)).collect();
        assert!(self.is_full_mesh(), "at {:?}: {views:?}", self.now);
        // Both ends name a link by the same number, else one of them would end it.
        for (me, hosted) in &self.peers {
            for link in hosted.mesh.links.active() {
                let other = self.peers[&link.peer].mesh.links.active();
                let back = other.iter().find(|back| back.peer == *me).unwrap();
                assert_eq!(link.number, back.number, "{me:?} and {:?}", link.peer);
            }
        }
    }
}

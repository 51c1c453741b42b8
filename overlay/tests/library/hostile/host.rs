//! The host of a hostile life: puts acts in terms of the peer's state and performs its effects.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;

use murmurate::Stack;
use murmurate::broadcast::Broadcast;
use murmurate::membership::hyparview::{Message as Talks, Priority, Timer as Wakes};
use murmurate::membership::{HyParView, Membership, Time};
use murmurate::stack::{Input, Message, Timer};
use murmurate::testing::{self, Effect};
use proptest::test_runner::TestCaseError;
use thin_vec::ThinVec;

use super::acts::{Act, Answer, Number, Sample, Talk, Who};
use super::rules::{self, Heard, Tally};
use super::setup::{Blob, ME, Name, Node, Setup, Speech};

pub(crate) type Said<B> = Effect<HyParView<Node>, B>;
pub(crate) type Sent<B> = testing::Message<HyParView<Node>, B>;
type Words<B> = Input<HyParView<Node>, B>;

/// Requests remembered to be answered.
const REMEMBERED: usize = 64;

/// How far the peer has come, as its host knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    Running,
    Left,
}

/// The peer and what its host knows of it.
pub(crate) struct Host<B: Broadcast> {
    pub(crate) setup: Setup,
    pub(crate) peer: testing::Host<HyParView<Node>, B>,
    /// Neighbours announced, each with the number both sides agreed on.
    pub(crate) linked: BTreeMap<Node, u16>,
    /// Links asked for, latest last.
    pub(crate) asked: VecDeque<(Node, u16)>,
    pub(crate) has_contacts: bool,
    pub(crate) phase: Phase,
    /// The broadcasts published or delivered, and when.
    pub(crate) seen: BTreeMap<Name, Time>,
    pub(crate) tally: Tally,
}

impl<B> Host<B>
where
    B: Broadcast<Peer = Node, Id = Name, Payload = Blob, Message: Speech + Clone> + Debug,
    B::Timer: PartialEq,
{
    pub(crate) fn new(setup: &Setup, broadcast: B) -> Self {
        let membership = HyParView::new(ME, setup.hyparview(), setup.seed);
        Self {
            setup: setup.clone(),
            peer: testing::Host::new(Stack::new(membership, broadcast)),
            linked: BTreeMap::new(),
            asked: VecDeque::new(),
            has_contacts: false,
            phase: Phase::Idle,
            seen: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Feeds the peer one act, performs what it says, and holds it to the rules.
    pub(crate) fn perform(&mut self, act: &Act) -> Result<(), TestCaseError> {
        let Some((input, heard)) = self.input(act) else { return Ok(()) };
        let said = self.peer.feed(input);
        let outcome = rules::hold(self, &heard, said);
        outcome.map_err(|reason| TestCaseError::fail(format!("{act:?} as {heard:?}: {reason}")))
    }

    /// The act as an input, and as much of it as the rules need; `None` if it does not fit.
    fn input(&mut self, act: &Act) -> Option<(Words<B>, Heard)> {
        Some(match act {
            Act::Join(contacts) => {
                let contacts: Vec<Node> = contacts.iter().map(|who| self.who(*who)).collect();
                if self.phase != Phase::Left {
                    self.phase = Phase::Running;
                    self.has_contacts |= contacts.iter().any(|contact| contact.0 != ME.0);
                }
                (Input::Join(contacts), Heard::Other)
            }
            Act::Answer { pick, how } => {
                let &(from, link) = pick_of(self.asked.make_contiguous(), *pick)?;
                self.receive(from, self.answer(how, link))
            }
            Act::Hear(who, talk) => {
                let from = self.who(*who);
                self.receive(from, self.talk(from, talk))
            }
            Act::Chat(who, chat) => {
                let message = Message::Broadcast(B::Message::of(chat)?);
                self.receive(self.who(*who), message)
            }
            Act::Expire { pick, late } => {
                let &(due, timer) = pick_of(self.peer.armed(), *pick)?;
                self.peer.delay(due.since(self.peer.now()).saturating_add(*late));
                let heard = match timer {
                    Timer::Broadcast(_) => Heard::BroadcastTimer,
                    Timer::Membership(Wakes::Keepalive) => Heard::Keepalive,
                    Timer::Membership(Wakes::Request) => Heard::RequestTimer,
                    Timer::Membership(_) => Heard::Other,
                };
                (Input::Expired(timer), heard)
            }
            Act::LinkDown(who) => {
                let peer = self.who(*who);
                (Input::LinkDown(peer), Heard::LinkDown(peer))
            }
            Act::Publish { id, size } => {
                self.see(Name(*id));
                (Input::Publish { id: Name(*id), payload: Blob(*size) }, Heard::Other)
            }
            Act::Leave => {
                self.phase = Phase::Left;
                (Input::Leave, Heard::Other)
            }
            Act::Pass(time) => {
                self.peer.delay(*time);
                return None;
            }
            Act::Doomsday(left) => {
                let doom = Time::from_nanos(u64::MAX - left);
                self.peer.delay(doom.since(self.peer.now()));
                return None;
            }
        })
    }

    fn receive(&self, from: Node, message: Sent<B>) -> (Words<B>, Heard) {
        let heard = Heard::of(from, &message);
        (Input::Receive { from, message }, heard)
    }

    fn answer(&self, how: &Answer, link: u16) -> Sent<B> {
        Message::Membership(match how {
            Answer::Accept { evicted } => {
                Talks::Accept { link, evicted: evicted.map(|who| self.who(who)) }
            }
            Answer::Reject => Talks::Reject { link },
            Answer::Disconnect { leaving } => {
                Talks::Disconnect { link, leaving: *leaving, instead: None }
            }
            Answer::Neighbor { link } => Talks::Neighbor { link: *link, priority: Priority::Low },
        })
    }

    fn talk(&self, from: Node, talk: &Talk) -> Sent<B> {
        let number = |number| self.number(from, number);
        let maybe = |who: &Option<Who>| who.map(|who| self.who(who));
        Message::Membership(match talk {
            Talk::Join(link) => Talks::Join { link: number(*link) },
            Talk::ForwardJoin { joiner, ttl } => {
                Talks::ForwardJoin { joiner: self.who(*joiner), ttl: *ttl }
            }
            Talk::Neighbor { link, high, spare } => {
                let priority = match (maybe(spare), high) {
                    (Some(spare), _) => Priority::Exchange { spare },
                    (None, true) => Priority::High,
                    (None, false) => Priority::Low,
                };
                Talks::Neighbor { link: number(*link), priority }
            }
            Talk::Accept { link, evicted } => {
                Talks::Accept { link: number(*link), evicted: maybe(evicted) }
            }
            Talk::Reject(link) => Talks::Reject { link: number(*link) },
            Talk::Disconnect { link, leaving, instead } => Talks::Disconnect {
                link: number(*link),
                leaving: *leaving,
                instead: maybe(instead),
            },
            Talk::Shuffle { origin, ttl, sample } => {
                Talks::Shuffle { origin: self.who(*origin), ttl: *ttl, sample: expand(sample) }
            }
            Talk::ShuffleReply(sample) => Talks::ShuffleReply { sample: expand(sample) },
            Talk::Keepalive(link) => Talks::Keepalive { link: number(*link) },
        })
    }

    fn number(&self, from: Node, number: Number) -> u16 {
        let request = || self.asked.iter().rev().find(|(peer, _)| *peer == from);
        match number {
            Number::Link => self.linked.get(&from).copied().unwrap_or(1),
            Number::Request => request().map_or(0, |(_, number)| *number),
            Number::Any(number) => number,
        }
    }

    fn who(&self, who: Who) -> Node {
        match who {
            Who::Me { incarnation } => Node(ME.0, incarnation),
            Who::Node { node, incarnation } => Node(node, incarnation),
            Who::Linked { pick, later } => {
                let active: Vec<Node> = self.peer.stack().membership().active().collect();
                let Node(node, incarnation) =
                    pick_of(&active, pick).copied().unwrap_or(Node(u16::from(pick) % 12, 1));
                Node(node, incarnation.saturating_add_signed(later))
            }
            Who::Asked { pick } => {
                let at = usize::from(pick) % self.asked.len().max(1);
                self.asked.get(at).map_or(Node(3, 0), |(peer, _)| *peer)
            }
        }
    }

    pub(crate) fn see(&mut self, id: Name) {
        self.seen.insert(id, self.peer.now());
    }

    pub(crate) fn ask(&mut self, to: Node, link: u16) {
        self.asked.push_back((to, link));
        if self.asked.len() > REMEMBERED {
            self.asked.pop_front();
        }
    }
}

fn pick_of<T>(from: &[T], pick: u8) -> Option<&T> {
    from.get(usize::from(pick) % from.len().max(1))
}

/// Peers drawn with repetition: duplicates, this peer, and all incarnations among them.
fn expand(sample: &Sample) -> ThinVec<Node> {
    let mut state = sample.seed;
    (0..sample.len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            Node((state >> 32) as u16 % sample.nodes, (state >> 60) as u8 % 4)
        })
        .collect()
}

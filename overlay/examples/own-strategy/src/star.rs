//! A star: everyone links with the one it joined through, and with nobody else.
//!
//! It shows the seam, no more: whoever dies without its connection breaking is not missed.

use std::sync::Arc;
use std::time::Duration;

use murmurate::membership::{
    ConfigError, DownReason, Effects, Input, Membership, MembershipStrategy, NodeFigure, Notice,
    Peer, Sizes, Strategy, Time, Violation, Wire,
};
use murmurate_simulator::engine::strategy::Watched;
use murmurate_simulator::strategies::SimulatedMembership;
use murmurate_simulator::strategies::membership::{MembershipConditions, MembershipPromises};
use serde::{Deserialize, Serialize};

murmurate::membership::parameters! {
    /// The knobs of a [`Star`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Parameters of "Star", checked as Config {
        /// Links that a node holds at most.
        links: usize = 256, in 1..=1 << 14;
        /// How long an answer is waited for, and between two attempts.
        retry: Duration = Duration::from_secs(1);
    }
}

/// What probes can follow beside what all nodes show.
const ASKED: NodeFigure = NodeFigure::new("asked", "requests", "how often a node asked for a link");

/// One node's star.
#[derive(Debug, Clone)]
pub struct Star<P> {
    me: P,
    config: Arc<Config>,
    contacts: Vec<P>,
    /// Contacts asked so far: the next one is asked next.
    asked: usize,
    links: Vec<P>,
    armed: bool,
    left: bool,
}

/// What stars say to each other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Be my neighbour.
    Hello,
    /// I am.
    Welcome,
    /// I am not, or not any more.
    Goodbye,
}

impl Wire for Message {
    const KINDS: &'static [&'static str] = &["hello", "welcome", "goodbye"];

    fn kind(&self) -> usize {
        match self {
            Self::Hello => 0,
            Self::Welcome => 1,
            Self::Goodbye => 2,
        }
    }

    fn wire_len(&self, _sizes: &Sizes) -> usize {
        murmurate::membership::FRAME_HEADER + 1
    }
}

/// It is time to ask again, unless somebody has answered.
#[derive(Debug, Clone, Copy)]
pub struct Retry;

impl<P: Peer> Star<P> {
    fn up(&mut self, peer: P, fx: &mut impl Effects<Self>) {
        if self.links.contains(&peer) {
            return;
        }
        if let Some(former) = self.links.iter().copied().find(|held| held.is_same_node(peer)) {
            self.down(former, DownReason::Restarted, fx);
        }
        self.links.push(peer);
        fx.neighbor_up(peer);
        if self.links.len() == 1 {
            fx.notify(Notice::Joined);
        }
    }

    fn down(&mut self, peer: P, reason: DownReason, fx: &mut impl Effects<Self>) {
        let before = self.links.len();
        self.links.retain(|held| *held != peer);
        if self.links.len() < before {
            fx.neighbor_down(peer, reason);
        }
    }

    /// Asks the next contact, if nobody is linked.
    fn ask(&mut self, fx: &mut impl Effects<Self>) {
        if self.left || !self.links.is_empty() || self.contacts.is_empty() {
            return;
        }
        let contact = self.contacts[self.asked % self.contacts.len()];
        self.asked += 1;
        fx.send(contact, Message::Hello);
        if !self.armed {
            self.armed = true;
            fx.arm(self.config.retry, Retry);
        }
    }
}

impl<P: Peer> Membership for Star<P> {
    type Peer = P;
    type Message = Message;
    type Timer = Retry;

    fn handle<E: Effects<Self>>(
        &mut self,
        _now: Time,
        input: Input<P, Message, Retry>,
        fx: &mut E,
    ) {
        match input {
            Input::Join(contacts) => {
                self.contacts = contacts.into_iter().filter(|one| *one != self.me).collect();
                self.contacts.truncate(8);
                self.ask(fx);
            }
            Input::Receive { from, message: Message::Hello } => {
                let room = self.links.contains(&from) || self.links.len() < self.config.links;
                if room && !self.left {
                    self.up(from, fx);
                    fx.send(from, Message::Welcome);
                } else {
                    fx.send(from, Message::Goodbye);
                }
            }
            Input::Receive { from, message: Message::Welcome } => {
                if self.contacts.contains(&from) && !self.left {
                    self.up(from, fx);
                }
            }
            Input::Receive { from, message: Message::Goodbye } => {
                self.down(from, DownReason::Dropped, fx);
            }
            Input::Expired(Retry) => self.armed = false,
            Input::LinkDown(peer) => self.down(peer, DownReason::Failed, fx),
            Input::Restarted(peer) => {
                for held in self.links.clone() {
                    if peer.supersedes(held) {
                        self.down(held, DownReason::Restarted, fx);
                    }
                }
                let of_node = self.contacts.iter_mut().filter(|one| one.is_same_node(peer));
                of_node.for_each(|contact| *contact = peer);
            }
            Input::Leave => {
                self.left = true;
                for peer in std::mem::take(&mut self.links) {
                    fx.send(peer, Message::Goodbye);
                    fx.neighbor_down(peer, DownReason::Leaving);
                }
            }
        }
        // A link that was lost is asked for again at the next turn, not at once.
        if self.links.is_empty() && !self.contacts.is_empty() && !self.armed && !self.left {
            self.ask(fx);
        }
    }

    fn me(&self) -> P {
        self.me
    }

    fn active(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        self.links.iter().copied()
    }

    fn passive(&self) -> impl ExactSizeIterator<Item = P> + Clone {
        [].into_iter()
    }

    fn each_figure(&self, visit: &mut dyn FnMut(NodeFigure, f64)) {
        visit(ASKED, self.asked as f64);
    }

    /// Messages name nobody.
    fn each_named(_message: &Message, _visit: impl FnMut(P)) {}

    fn check(&self) -> Result<(), Violation> {
        let links = self.links.len();
        Violation::unless(links <= self.config.links, "links are bounded", || links)
    }
}

impl Strategy for Parameters {
    const NAME: &'static str = "star";
    const ABOUT: &'static str = "Everyone linked with the one it joined through.";
    type Config = Config;

    fn check(self) -> Result<Config, ConfigError> {
        Self::check(self)
    }
}

impl MembershipStrategy for Parameters {
    type Membership<P: Peer> = Star<P>;

    fn start<P: Peer>(config: &Arc<Config>, me: P, _seed: u64) -> Star<P> {
        let config = Arc::clone(config);
        let (contacts, links) = (Vec::new(), Vec::new());
        Star { me, config, contacts, asked: 0, links, armed: false, left: false }
    }

    fn links(&self, peers: usize) -> usize {
        self.links.min(peers.saturating_sub(1))
    }
}

/// Of it checkers know its own invariants only.
impl<P: Peer> Watched for Star<P> {}

/// It promises too much: see what the swarm says of it.
impl SimulatedMembership for Parameters {
    fn promises(&self, _for: &MembershipConditions) -> MembershipPromises {
        MembershipPromises {
            recovery: Some(Duration::from_secs(60)),
            ..MembershipPromises::default()
        }
    }
}

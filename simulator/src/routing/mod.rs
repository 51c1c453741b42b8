//! Messages from any node to any other, over direct connections and over the overlay.
//!
//! Runs [`murmurate::Routed`] peers under a host that dials: what a real node does with its router,
//! without the bytes. A message goes to a neighbour over the link there is; otherwise over a direct
//! connection, to whoever the host knows or a lookup finds; and if the node cannot be dialled, hop by
//! hop along the way that a second lookup lays. The other end says that it came; the sender's timer
//! ends what nothing else does.

mod ledger;
mod post;
mod site;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use murmurate::broadcast::{Flood, flood};
use murmurate::membership::{HyParView, Time, Violation, hyparview};
use murmurate::router::{self, Message, Router};
use murmurate::{Input, Routed};

pub use ledger::{Ledger, Mail, Outcome};
pub use site::{Parcel, SimRouted};

use crate::network::{Network, mix};
use crate::node::Peer;
use crate::strategy::{SimFlood, SimHyParView};
use site::{News, Site, Talk, Wake, Words};

/// How the nodes behave.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Their membership.
    pub membership: hyparview::Config,
    /// Their routers.
    pub router: router::Config,
    /// Direct connections a node has at a time, those being dialled included.
    pub connections: usize,
    /// A connection that nobody used for so long may make room for another.
    pub busy_wait: Duration,
    /// A connection that nobody used for so long is closed.
    pub idle_wait: Duration,
    /// A dial that nobody answered for so long has failed.
    pub dial_wait: Duration,
    /// A message that nobody acknowledged for so long has timed out.
    pub mail_wait: Duration,
    /// How often a message that was lost is sent again.
    pub tries: u32,
    /// Peers a node writes down from what passes through.
    pub book: usize,
    /// The share of nodes that nobody can dial, 0 to 1.
    pub undialable: f64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            membership: hyparview::Config::default(),
            router: router::Config::default(),
            connections: 16,
            busy_wait: Duration::from_secs(1),
            idle_wait: Duration::from_secs(10),
            dial_wait: Duration::from_secs(2),
            mail_wait: Duration::from_secs(60),
            tries: 3,
            book: 64,
            undialable: 0.0,
        }
    }
}

/// Something that reaches a node.
#[derive(Debug, Clone)]
enum What {
    Talk(Talk),
    Wake(Wake),
    /// The other end does not run (in that incarnation).
    Reset,
    Dial,
    Dialled(Answer),
    Parcel(Parcel),
    /// There was no connection for it.
    Returned(Parcel),
    Closed,
}

/// What becomes of a dial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Accepted,
    /// All connections are in use.
    Busy,
    Refused,
}

#[derive(Debug, Clone)]
struct Event {
    /// When, and the how-manieth event of the run it is: no two are equal.
    key: (u64, u64),
    from: Peer,
    to: Peer,
    what: What,
}

impl PartialEq for Event {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}
impl Eq for Event {}
impl PartialOrd for Event {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Event {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// A deterministic run: everything follows from the seed and the calls made.
#[derive(Clone)]
pub struct World {
    seed: u64,
    now: Time,
    setup: Setup,
    membership: Arc<hyparview::Config>,
    router: Arc<router::Config>,
    sites: Vec<Site>,
    queue: BinaryHeap<Reverse<Event>>,
    events: u64,
    network: Network,
    ledger: Ledger,
    /// Routers' messages are lost with this probability, in 2⁶⁴ths: as a full outbox sheds them.
    shed: u64,
}

impl World {
    /// A world without nodes.
    #[must_use]
    pub fn new(seed: u64, network: Network, setup: Setup) -> Self {
        Self {
            seed,
            now: Time::ZERO,
            membership: Arc::new(setup.membership.clone()),
            router: Arc::new(setup.router.clone()),
            setup,
            sites: Vec::new(),
            queue: BinaryHeap::new(),
            events: 0,
            network,
            ledger: Ledger::default(),
            shed: 0,
        }
    }

    /// Starts so many nodes, one every 10 ms through a random earlier one, and lets the overlay settle
    /// for `settle`.
    pub fn grow(&mut self, nodes: usize, settle: Duration) {
        for index in 0..nodes {
            let contact = self.draw(index as u64, 1) as usize % index.max(1);
            self.start(if index == 0 { &[] } else { std::slice::from_ref(&contact) });
            self.run_for(Duration::from_millis(10));
        }
        self.run_for(settle);
    }

    /// Starts a new node that joins through `contacts`.
    pub fn start(&mut self, contacts: &[usize]) -> usize {
        let index = self.sites.len();
        let me = Peer::new(index, 0);
        let share = self.draw(index as u64, 2) as f64 / u64::MAX as f64;
        let site = Site::new(me, self.make(me), share >= self.setup.undialable);
        self.sites.push(site);
        self.join(index, contacts);
        index
    }

    fn make(&self, me: Peer) -> SimRouted {
        let seed = self.draw(u64::from(me.bits()), 3);
        let flood = Arc::new(flood::Config::default());
        Routed::new(
            murmurate::Peer::new(
                HyParView::new(me, Arc::clone(&self.membership), seed),
                Flood::new(flood),
            ),
            Router::new(me, Arc::clone(&self.router)),
        )
    }

    fn join(&mut self, index: usize, contacts: &[usize]) {
        let contacts = contacts.iter().map(|&contact| self.sites[contact].me).collect();
        self.overlay(index, Input::Join(contacts));
    }

    /// Stops node `index` without a word.
    pub fn crash(&mut self, index: usize) {
        self.sites[index].up = false;
    }

    /// Has node `index` say goodbye and stop.
    pub fn leave(&mut self, index: usize) {
        self.overlay(index, Input::Leave);
        self.crash(index);
    }

    /// Starts node `index`, which does not run, as a new incarnation.
    pub fn restart(&mut self, index: usize, contact: usize) {
        let old = self.sites[index].me;
        let me = Peer::new(index, old.incarnation().wrapping_add(1));
        let dialable = self.sites[index].dialable;
        self.sites[index] = Site::new(me, self.make(me), dialable);
        self.join(index, &[contact]);
    }

    /// Has node `from` send a message to node `to`. Returns its id.
    pub fn send(&mut self, from: usize, to: usize) -> u32 {
        let id = self.ledger.mail.len() as u32;
        self.ledger.mail.push(Mail {
            from,
            to,
            sent: self.now,
            delivered: 0,
            dialled: false,
            relayed: 0,
            outcome: None,
            told: 0,
        });
        let wait = self.setup.mail_wait;
        self.wake(from, wait, Wake::Overdue(id));
        self.post(from, to as u32, Parcel::new(id));
        id
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Time {
        self.now
    }

    /// How many nodes ever started.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sites.len()
    }

    /// Whether no node ever started.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sites.is_empty()
    }

    /// The peer of node `index`, to look at.
    #[must_use]
    pub fn routed(&self, index: usize) -> &SimRouted {
        &self.sites[index].routed
    }

    /// The name of node `index`.
    #[must_use]
    pub fn peer(&self, index: usize) -> Peer {
        self.sites[index].me
    }

    /// Whether anybody can dial node `index`.
    #[must_use]
    pub fn is_dialable(&self, index: usize) -> bool {
        self.sites[index].dialable
    }

    /// The neighbours of node `index`.
    pub fn neighbors(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.sites[index].routed.router().neighbors().map(Peer::index)
    }

    /// What was counted so far.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Forgets what was counted so far; no message may be under way.
    pub fn clear_ledger(&mut self) {
        self.ledger = Ledger::default();
    }

    /// The network, to cut and to heal.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }

    /// From now on routers' messages are lost with this probability, and no others.
    pub fn set_shed(&mut self, share: f64) {
        self.shed = (share * u64::MAX as f64) as u64;
    }

    /// A number that follows from the seed, `what` and `salt`.
    #[must_use]
    pub fn draw(&self, what: u64, salt: u64) -> u64 {
        mix(mix(self.seed ^ mix(what)) ^ salt)
    }

    /// Lets so much time pass.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now.after(time);
        while let Some(Reverse(event)) = self.queue.peek()
            && event.key.0 <= end.as_nanos()
        {
            let Some(Reverse(event)) = self.queue.pop() else { return };
            self.now = Time::from_nanos(event.key.0);
            self.run(event);
        }
        self.now = end;
    }

    /// What must hold at any moment.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), Violation> {
        for site in self.sites.iter().filter(|site| site.up) {
            site.routed.check()?;
        }
        let most = self.ledger.most_connections;
        Violation::unless(
            most <= self.setup.connections,
            "direct connections are bounded",
            || most,
        )?;
        self.ledger.check(self.setup.router.most_hops())
    }

    /// What must hold when all timers have run out.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check_over(&self) -> Result<(), Violation> {
        self.check()?;
        self.ledger.check_over(self.setup.router.most_hops())
    }

    fn run(&mut self, event: Event) {
        let Event { from, to, what, .. } = event;
        let index = to.index();
        if !self.sites[index].up || self.sites[index].me != to {
            return self.nobody_there(from, to, &what);
        }
        match what {
            What::Talk(Talk::Overlay(message)) => {
                self.overlay(index, Input::Receive { from, message });
            }
            What::Talk(Talk::Router(message)) => self.routed_word(index, from, message),
            What::Wake(Wake::Overlay(timer)) => self.overlay(index, Input::Expired(timer)),
            What::Wake(Wake::Router(timer)) => self.route(index, router::Input::Expired(timer)),
            What::Wake(Wake::Sweep) => self.sweep(index),
            What::Wake(Wake::Retry(node)) => self.try_again(index, node),
            What::Wake(Wake::Overdue(id)) => {
                if self.ledger.is_open(id) {
                    self.ledger.tell(self.now, id, Outcome::TimedOut);
                }
            }
            What::Reset => self.overlay(index, Input::LinkDown(from)),
            What::Dial => self.on_dial(index, from),
            What::Dialled(answer) => self.on_dialled(index, from, answer),
            What::Parcel(parcel) => self.on_parcel(index, from, parcel),
            What::Returned(parcel) => {
                self.hung_up(index, from);
                self.post(index, self.addressee(parcel), parcel);
            }
            What::Closed => self.hung_up(index, from),
        }
    }

    /// The host of a node that does not run answers for it.
    fn nobody_there(&mut self, from: Peer, to: Peer, what: &What) {
        let answer = match *what {
            What::Talk(_) => What::Reset,
            What::Dial => What::Dialled(Answer::Refused),
            What::Parcel(parcel) => What::Returned(parcel),
            What::Wake(Wake::Overdue(id)) => {
                // Whoever would have waited for it is gone.
                if self.ledger.is_open(id) {
                    self.ledger.tell(self.now, id, Outcome::TimedOut);
                }
                return;
            }
            _ => return,
        };
        let sequence = self.sequence(to.index());
        if let Some(latency) = self.network.carry_reset(to, from, sequence, self.now.as_nanos()) {
            self.push(self.now.as_nanos().saturating_add(latency), to, from, answer);
        }
    }

    fn routed_word(&mut self, index: usize, from: Peer, message: router::MessageOf<Peer, Parcel>) {
        let book = self.setup.book;
        let site = &mut self.sites[index];
        let known = match &message {
            Message::Seek { origin, target, .. } => {
                let known = site.known(*target).filter(|known| !site.has_failed(*known));
                site.hear_of(*origin, book);
                known
            }
            Message::Found { peer, .. } => {
                site.hear_of(*peer, book);
                None
            }
            _ => None,
        };
        self.route(index, router::Input::Receive { from, message, known });
    }

    /// Gives a node's membership an input.
    fn overlay(&mut self, index: usize, input: Input<SimHyParView, SimFlood>) {
        let mut words = Words::default();
        self.sites[index].routed.handle(self.now, input, &mut words);
        self.perform(index, words);
    }

    /// Gives a node's router an input.
    fn route(&mut self, index: usize, input: router::Input<Peer, Parcel>) {
        let mut words = Words::default();
        self.sites[index].routed.route(self.now, input, &mut words);
        self.perform(index, words);
    }

    fn perform(&mut self, index: usize, words: Words) {
        let me = self.sites[index].me;
        for (to, talk) in words.talk {
            let mut shed = 0;
            if let Talk::Router(message) = &talk {
                self.ledger.note_sent(me, to, message);
                shed = self.shed;
            }
            let dropped = shed > 0 && self.draw(self.events, u64::from(me.bits()) + 4) < shed;
            if !dropped {
                self.carry(index, to, What::Talk(talk));
            } else {
                self.events += 1;
            }
        }
        for (after, wake) in words.wakes {
            self.wake(index, after, wake);
        }
        for news in words.news {
            match news {
                News::Found(peer, path) => {
                    self.ledger.found += 1;
                    self.on_found(index, peer, path);
                }
                News::NotFound(target) => {
                    self.ledger.not_found += 1;
                    self.on_not_found(index, target);
                }
                News::Deliver(from, parcel) => self.on_relayed(index, from, parcel),
                News::Lost(to, number) => {
                    self.ledger.lost += 1;
                    self.on_lost(index, to, number);
                }
            }
        }
    }

    fn carry(&mut self, index: usize, to: Peer, what: What) {
        let from = self.sites[index].me;
        let sequence = self.sequence(index);
        if let Some(latency) = self.network.carry(from, to, sequence, self.now.as_nanos()) {
            self.push(self.now.as_nanos().saturating_add(latency), from, to, what);
        }
    }

    fn wake(&mut self, index: usize, after: Duration, wake: Wake) {
        let me = self.sites[index].me;
        self.push(self.now.after(after).as_nanos(), me, me, What::Wake(wake));
    }

    fn push(&mut self, time: u64, from: Peer, to: Peer, what: What) {
        self.events += 1;
        self.queue.push(Reverse(Event { key: (time, self.events), from, to, what }));
    }

    fn sequence(&mut self, index: usize) -> u32 {
        let site = &mut self.sites[index];
        site.sequence = site.sequence.wrapping_add(1);
        site.sequence
    }
}

//! What became of every message, and what no run may show.

use std::collections::{BTreeMap, BTreeSet};

use murmurate::membership::{Time, Violation, Wire};
use murmurate::router::MessageOf;

use super::site::Parcel;
use crate::node::Peer;

/// A message of the application's.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The sender's index.
    pub from: usize,
    /// The index of whom it is for.
    pub to: usize,
    /// When it was given to the sender's host.
    pub sent: Time,
    /// How often the application at the other end got it.
    pub delivered: u32,
    /// Whether it ever went over a direct connection.
    pub dialled: bool,
    /// How often it set out over the overlay.
    pub relayed: u32,
    /// What the sender's application was told, and when.
    pub outcome: Option<(Outcome, Time)>,
    /// How often the sender's application was told.
    pub told: u32,
}

/// What a sender is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The other end said it has it.
    Acknowledged,
    /// No way to the other end, after several tries.
    Lost,
    /// Nobody knows the node.
    NotFound,
    /// Nobody said anything in time.
    TimedOut,
}

/// Everything there is to know of a run.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The application's messages.
    pub mail: Vec<Mail>,
    /// The routers' messages, by kind.
    pub sent: BTreeMap<&'static str, u64>,
    /// Lookups by whether they asked for a way.
    lookups: [BTreeMap<(Peer, u64), u32>; 2],
    /// Outcomes of lookups that the routers spoke: found, and not found.
    pub found: u64,
    /// See [`Ledger::found`].
    pub not_found: u64,
    /// Datagrams that routers called lost.
    pub lost: u64,
    /// Hops of each datagram.
    relays: BTreeMap<(Peer, u64), u32>,
    /// Lookups by the link they went over.
    asked: BTreeSet<(Peer, u64, Peer, Peer)>,
    /// The most direct connections a node had at a time.
    pub most_connections: usize,
    /// Dials.
    pub dials: u64,
    /// The first rule broken.
    broken: Option<Violation>,
}

impl Ledger {
    pub(crate) fn break_rule(&mut self, rule: &'static str, detail: String) {
        self.broken.get_or_insert(Violation { rule, detail });
    }

    /// A router sent something.
    pub(crate) fn note_sent(&mut self, from: Peer, to: Peer, message: &MessageOf<Peer, Parcel>) {
        use murmurate::router::Message as Talk;
        let kinds = <MessageOf<Peer, Parcel> as Wire>::KINDS;
        *self.sent.entry(kinds[message.kind()]).or_default() += 1;
        match *message {
            Talk::Seek { origin, number, path, .. } => {
                *self.lookups[usize::from(path)].entry((origin, number)).or_default() += 1;
                if !self.asked.insert((origin, number, from, to)) {
                    let detail = format!("{number} of {origin:?} from {from:?} to {to:?}");
                    self.break_rule("a lookup goes over a link once", detail);
                }
            }
            Talk::Found { origin, number, .. } => {
                let path = self.lookups[1].contains_key(&(origin, number));
                *self.lookups[usize::from(path)].entry((origin, number)).or_default() += 1;
            }
            Talk::Relay { origin, number, .. } => {
                *self.relays.entry((origin, number)).or_default() += 1;
            }
            Talk::Lost { .. } => {}
        }
    }

    /// The sender's application is told what became of its message.
    pub(crate) fn tell(&mut self, now: Time, id: u32, outcome: Outcome) {
        let mail = &mut self.mail[id as usize];
        mail.told += 1;
        mail.outcome.get_or_insert((outcome, now));
    }

    pub(crate) fn is_open(&self, id: u32) -> bool {
        self.mail[id as usize].outcome.is_none()
    }

    /// Messages with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.mail.iter().filter(|mail| mail.outcome.is_some_and(|(o, _)| o == outcome)).count()
    }

    /// Messages of the routers for lookups that asked for a way, or did not.
    #[must_use]
    pub fn lookup_messages(&self, path: bool) -> u64 {
        self.lookups[usize::from(path)].values().map(|count| u64::from(*count)).sum()
    }

    /// The rings that were sent of lookups that asked for a way, or did not.
    #[must_use]
    pub fn lookup_rings(&self, path: bool) -> usize {
        self.lookups[usize::from(path)].len()
    }

    /// The most hops a datagram went.
    #[must_use]
    pub fn most_hops(&self) -> u32 {
        self.relays.values().copied().max().unwrap_or(0)
    }

    /// Mean hops of a datagram.
    #[must_use]
    pub fn mean_hops(&self) -> f64 {
        let hops: u32 = self.relays.values().sum();
        f64::from(hops) / self.relays.len().max(1) as f64
    }

    /// What must hold at any moment, whatever goes wrong.
    ///
    /// # Errors
    /// The first rule that was broken.
    pub fn check(&self, most_hops: u8) -> Result<(), Violation> {
        if let Some(broken) = &self.broken {
            return Err(broken.clone());
        }
        for (id, mail) in self.mail.iter().enumerate() {
            let detail = || format!("{id}: {mail:?}");
            Violation::unless(mail.delivered <= 1, "delivery at most once", detail)?;
            Violation::unless(mail.told <= 1, "one outcome at most", detail)?;
            let (kept, broken) = match mail.outcome {
                Some((Outcome::Acknowledged, _)) => (mail.delivered == 1, "what is acknowledged"),
                Some((Outcome::Lost | Outcome::NotFound, _)) => {
                    (mail.delivered == 0, "what is lost was not delivered")
                }
                Some((Outcome::TimedOut, _)) | None => (true, ""),
            };
            Violation::unless(kept, broken, detail)?;
        }
        let most = self.most_hops();
        Violation::unless(most <= most_hops.into(), "no datagram goes further than it may", || {
            format!("{most} hops of {most_hops}")
        })
    }

    /// What must hold when all timers have run out: every message has its outcome.
    ///
    /// # Errors
    /// The first message that has none, or the first rule that was broken.
    pub fn check_over(&self, most_hops: u8) -> Result<(), Violation> {
        self.check(most_hops)?;
        let open = self.mail.iter().enumerate().find(|(_, mail)| mail.outcome.is_none());
        Violation::unless(open.is_none(), "every message has an outcome", || format!("{open:?}"))
    }
}

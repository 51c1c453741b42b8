//! An eclipse: nodes that want to be the only neighbours of all others.

use std::time::Duration;

use crate::model::dice::Dice;
use crate::model::node::SimPeer;

/// Who attacks whom, and how often. Attackers know each other and all others.
#[derive(Debug, Clone)]
pub(crate) struct Eclipse {
    attackers: Vec<SimPeer>,
    others: Vec<SimPeer>,
    pause: Duration,
}

impl Eclipse {
    /// Of `running`, those of which `attacks` holds by place attack, each `rate` times a second.
    pub(crate) fn new(running: &[SimPeer], attacks: impl Fn(SimPeer) -> bool, rate: f64) -> Self {
        let (attackers, others) = running.iter().partition(|peer| attacks(**peer));
        let pause = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        Self { attackers, others, pause }
    }

    pub(crate) fn attackers(&self) -> &[SimPeer] {
        &self.attackers
    }

    /// Whether a node attacks; one that starts again does not.
    pub(crate) fn has(&self, peer: SimPeer) -> bool {
        self.attackers.binary_search(&peer).is_ok()
    }

    /// Between two attacks of one attacker.
    pub(crate) fn pause(&self) -> Duration {
        self.pause
    }

    /// One of the attackers, at a moment that `seed` is of.
    pub(crate) fn attacker(&self, me: SimPeer, seed: u64) -> Attacker<'_> {
        Attacker { eclipse: self, me, dice: Dice::new(seed) }
    }
}

/// An attacker that is about to say something.
pub struct Attacker<'a> {
    eclipse: &'a Eclipse,
    me: SimPeer,
    dice: Dice,
}

impl Attacker<'_> {
    /// It.
    #[must_use]
    pub fn me(&self) -> SimPeer {
        self.me
    }

    /// Whether `peer` attacks, too.
    #[must_use]
    pub fn is_accomplice(&self, peer: SimPeer) -> bool {
        self.eclipse.has(peer)
    }

    /// Any number.
    pub fn number(&mut self) -> u16 {
        self.dice.between(0, u16::MAX)
    }

    /// So many attackers, at random.
    pub fn accomplices(&mut self, count: usize) -> impl Iterator<Item = SimPeer> {
        let all = &self.eclipse.attackers;
        (0..count).map(move |_| all[self.dice.between(0, all.len() - 1)])
    }

    /// A node that does not attack, at random, if there is one.
    pub fn victim(&mut self) -> Option<SimPeer> {
        let last = self.eclipse.others.len().checked_sub(1)?;
        Some(self.eclipse.others[self.dice.between(0, last)])
    }
}

//! Templates for plans. Most plans are drawn freely; some follow a template that chance hardly ever makes.

use std::time::Duration;

use super::faults::{ROUND_TRIP, death, fault};
use super::focus::Focus;
use super::percent;
use crate::experiment::scenario::{Fault, Span, What, Who};
use crate::model::dice::Dice;

/// The template of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Template {
    /// Drawn freely.
    Any,
    /// Two nodes that lost contact, or never met, learn of each other at the same moment. There are no
    /// other nodes.
    Pair,
    /// Many nodes die, and one is cut off from the rest. No other node looks for it: it must find its
    /// way back through those of its contacts that still run.
    Lone,
    /// An overlay is cut in two, and nodes of both sides restart meanwhile. When the cut heals, no node
    /// is told of another one.
    Cut,
    /// No faults. Some nodes join late: what was broadcast long before is not for them.
    Late,
}

impl Template {
    pub(super) fn draw(dice: &mut Dice, focus: &[Focus]) -> Self {
        let share = |one, by_itself| if focus.contains(&one) { 50 } else { by_itself };
        let (pairs, lone) = (share(Focus::Pairs, 6), share(Focus::Lone, 6));
        let (cut, late) = (share(Focus::Cut, 10), share(Focus::Late, 4));
        match dice.between(1, 100) {
            roll if roll <= pairs => Self::Pair,
            roll if roll <= pairs + lone => Self::Lone,
            roll if roll <= pairs + lone + cut => Self::Cut,
            roll if roll <= pairs + lone + cut + late => Self::Late,
            _ => Self::Any,
        }
    }

    pub(super) fn count(self, dice: &mut Dice, usual: bool) -> u32 {
        match self {
            Self::Pair => 2,
            Self::Lone | Self::Late => dice.between(10, 20),
            Self::Cut => dice.between(4, 40),
            Self::Any if dice.chance(20) => dice.between(1, 6),
            Self::Any if !usual => dice.between(7, 30),
            Self::Any => dice.between(7, 80),
        }
    }

    /// Draws the faults of the template; `None` if they are drawn freely.
    pub(super) fn faults(
        self,
        dice: &mut Dice,
        count: u32,
        joining: Duration,
    ) -> Option<Vec<Fault>> {
        Some(match self {
            Self::Any => return None,
            Self::Pair => pair_faults(dice),
            Self::Lone => lone_faults(dice, joining),
            Self::Cut => cut_faults(dice, count, joining),
            Self::Late => late_faults(dice),
        })
    }

    /// Time between two joins.
    pub(super) fn pause_ms(self, dice: &mut Dice, gentle: bool) -> u64 {
        match self {
            Self::Pair => 0,
            Self::Lone | Self::Cut => dice.between(1, 200),
            Self::Any | Self::Late if gentle => dice.between(ROUND_TRIP.as_millis() as u64, 600),
            Self::Any if dice.chance(25) => 0,
            Self::Any | Self::Late => dice.between(1, 400),
        }
    }

    pub(super) fn contacts(self, dice: &mut Dice, gentle: bool) -> u32 {
        match self {
            Self::Pair => dice.between(3, 4),
            Self::Lone | Self::Cut => 2,
            Self::Any | Self::Late => dice.between(if gentle { 2 } else { 1 }, 4),
        }
    }
}

/// Two nodes lose contact, often before they have met, for long enough to forget each other.
fn pair_faults(dice: &mut Dice) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut at = if dice.chance(75) { Duration::ZERO } else { dice.millis(1_000, 20_000) };
    for _ in 0..dice.between(1, 2) {
        let lasting = dice.millis(500, 40_000);
        let what = match dice.chance(80) {
            true => {
                let lasting = Some(Span(lasting));
                What::Partition { who: Who::Count(1), one_way: dice.chance(20), lasting }
            }
            false => What::Flap {
                who: Who::Count(1),
                up: Span(dice.millis(500, 8_000)),
                down: Span(dice.millis(300, 6_000)),
                lasting: Span(lasting),
            },
        };
        faults.push(fault(at, what));
        at += lasting + dice.millis(0, 20_000);
    }
    faults
}

/// Some nodes join long after the others.
fn late_faults(dice: &mut Dice) -> Vec<Fault> {
    let count = dice.between(1, 5);
    vec![fault(
        dice.millis(15_000, 40_000),
        What::Join { count, over: Span(ROUND_TRIP * 2 * count) },
    )]
}

/// Two sides lose contact for long enough to replace each other's nodes in their views, and nodes
/// restart meanwhile. Nodes of one side may restart without their disks, those of the other keep them.
fn cut_faults(dice: &mut Dice, count: u32, joining: Duration) -> Vec<Fault> {
    let (side, other): (Vec<u32>, Vec<u32>) = (0..count).partition(|_| dice.chance(50));
    // There must be a node on each side.
    let side = if other.is_empty() { side[1..].to_vec() } else { side };
    let at = joining + dice.millis(5_000, 60_000);
    let parting = What::Partition { who: Who::Nodes(side.clone()), one_way: false, lasting: None };
    let mut faults = vec![fault(at, parting)];
    let (keeps, share) = (dice.chance(50), dice.one_of(&[0, 30, 100]));
    for node in 0..count {
        let disk = keeps || !side.contains(&node);
        if dice.chance(share) {
            let (who, notice) = (Who::Nodes(vec![node]), death(dice));
            let (died, over) = (at + dice.millis(0, 60_000), Span::default());
            faults.push(fault(died, What::Crash { who: who.clone(), notice }));
            let back = died + dice.millis(0, 10_000);
            faults.push(fault(back, What::Restart { who, disk, over }));
        }
    }
    faults
}

/// Many nodes die, then one is cut off. All are told of some that still run, as by a host's discovery,
/// and so is that one. No other node can reach it to tell it more.
fn lone_faults(dice: &mut Dice, joining: Duration) -> Vec<Fault> {
    let died = joining + dice.millis(1_000, 20_000);
    let cut = died + dice.millis(0, 10_000);
    let told = cut + dice.millis(20_000, 40_000);
    let dying = What::Crash { who: Who::Share(percent(dice, 20, 50)), notice: death(dice) };
    let lasting = Some(Span(told - cut + dice.millis(1_000, 20_000)));
    let parting = What::Partition { who: Who::Count(1), one_way: false, lasting };
    let telling = (0..3).map(|count| {
        let at = told + Duration::from_millis(100) * count;
        fault(at, What::Discover { who: Who::All })
    });
    [fault(died, dying), fault(cut, parting)].into_iter().chain(telling).collect()
}

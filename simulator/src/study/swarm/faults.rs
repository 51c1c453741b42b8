//! Draws the faults of a plan.

use std::time::Duration;

use super::focus::Focus;
use super::percent;
use crate::experiment::scenario::{
    Churn, Death, Fault, Lengths, Region, SessionStart, Span, What, Who,
};
use crate::model::dice::Dice;
use crate::strategies::{Listed as _, Membership};

/// At least the longest round trip: joins that are further apart than this do not overlap.
pub(super) const ROUND_TRIP: Duration = Duration::from_millis(400);

pub(super) fn fault(at: Duration, what: What) -> Fault {
    Fault { at: Span(at), name: None, what }
}

/// When a fault is over.
pub(super) fn end(fault: &Fault) -> Duration {
    let lasting = match &fault.what {
        What::Restart { over, .. } | What::Join { over, .. } => over.0,
        What::Leave { linger, .. } => linger.0,
        what => what.lasting().unwrap_or_default().0,
    };
    fault.at.0 + lasting
}

pub(super) fn draw(dice: &mut Dice, gentle: bool, split: bool, regions: &[Region]) -> Vec<Fault> {
    let span = dice.between(30_000, 90_000);
    let count = dice.between(0, 14);
    let mut faults: Vec<_> = (0..count)
        .map(|_| {
            let at = dice.millis(0, span);
            fault(at, if gentle { gentle_fault(dice) } else { any_fault(dice) })
        })
        .collect();
    if split {
        for _ in 0..dice.between(1, 3) {
            let who = match dice.between(0, 2) {
                0 if !regions.is_empty() => {
                    Who::Region(regions[dice.between(0, regions.len() - 1)].name.clone())
                }
                1 => Who::Count(dice.between(1, 5)),
                _ => Who::Share(percent(dice, 10, 60)),
            };
            let lasting = dice.chance(70).then(|| Span(dice.millis(500, 40_000)));
            let at = dice.millis(0, span);
            faults.push(fault(at, What::Partition { who, one_way: dice.chance(40), lasting }));
        }
    }
    faults
}

fn few(dice: &mut Dice, most: u32) -> Who {
    Who::Count(dice.between(1, most))
}

pub(super) fn death(dice: &mut Dice) -> Death {
    dice.one_of(&[Death::Closed, Death::Reset, Death::Silent])
}

fn gentle_fault(dice: &mut Dice) -> What {
    let over = Span(ROUND_TRIP * 6);
    match dice.between(0, 3) {
        0 => What::Crash { who: few(dice, 1), notice: death(dice) },
        1 => What::Leave { who: few(dice, 1), linger: Span::default() },
        2 => What::Restart { who: few(dice, 2), disk: false, over },
        _ => What::Join { count: dice.between(1, 3), over },
    }
}

fn any_fault(dice: &mut Dice) -> What {
    let while_ = |dice: &mut Dice| Span(dice.millis(2_000, 25_000));
    match dice.between(0, 99) {
        0..=13 => What::Crash { who: few(dice, 4), notice: death(dice) },
        14..=19 => What::Crash { who: Who::Share(percent(dice, 10, 60)), notice: death(dice) },
        20..=31 => {
            let linger = if dice.chance(50) { Span::default() } else { while_(dice) };
            What::Leave { who: few(dice, 3), linger }
        }
        32..=46 => What::Restart {
            who: few(dice, 6),
            disk: dice.chance(40),
            over: Span(dice.millis(0, 5_000)),
        },
        47..=52 => What::Recycle { who: few(dice, 3) },
        53..=54 => crowd(dice),
        55..=64 => What::Join { count: dice.between(1, 8), over: Span(dice.millis(0, 5_000)) },
        65..=72 => {
            let how = churn(dice);
            let (lasting, notice) = (while_(dice), death(dice));
            What::Churn { lasting, how, notice, goodbye: percent(dice, 0, 100) }
        }
        73..=78 => What::Flap {
            who: few(dice, 6),
            up: Span(dice.millis(500, 8_000)),
            down: Span(dice.millis(300, 6_000)),
            lasting: while_(dice),
        },
        79..=83 => What::Loss { share: percent(dice, 0, 25) },
        84..=88 => What::Slow {
            who: few(dice, 4),
            times: f64::from(dice.between(10, 1_000)),
            work: Span(Duration::from_micros(20)),
            lasting: while_(dice),
        },
        89..=93 => What::Stall { who: few(dice, 5), lasting: while_(dice) },
        94..=96 => What::ClockDrift {
            who: few(dice, 5),
            rate: f64::from(dice.between(2, 50)) / 10.0,
            lasting: Some(while_(dice)),
        },
        _ => What::ClockJump { who: few(dice, 5), by: Span(dice.millis(500, 300_000)) },
    }
}

fn churn(dice: &mut Dice) -> Churn {
    if dice.chance(50) {
        return Churn::Poisson { share_per_minute: f64::from(dice.between(1, 20)) / 10.0 };
    }
    let lengths = |dice: &mut Dice, least, most| {
        let mean = Span(dice.millis(least, most));
        match dice.chance(50) {
            true => Lengths::Exponential { mean },
            false => Lengths::Weibull { mean, shape: f64::from(dice.between(4, 20)) / 10.0 },
        }
    };
    Churn::Sessions {
        up: lengths(dice, 5_000, 40_000),
        down: lengths(dice, 1_000, 15_000),
        start: SessionStart::Fresh,
    }
}

/// Extra faults of the kinds that are in focus.
pub(super) fn favourite(dice: &mut Dice, focus: &[Focus]) -> Vec<Fault> {
    // The default strategy alone adds no faults, but draws all the same: so plans with it stay equal.
    let usual = Focus::Strategy(Membership::all()[0].name());
    if ![usual, Focus::Crowds, Focus::Recycled].iter().any(|one| focus.contains(one)) {
        return Vec::new();
    }
    let one = |dice: &mut Dice| match focus {
        _ if focus.contains(&Focus::Crowds) => Some(crowd(dice)),
        _ if focus.contains(&Focus::Recycled) => Some(What::Recycle { who: few(dice, 3) }),
        _ => None,
    };
    let count = dice.between(0, 4);
    let at = |dice: &mut Dice| dice.millis(0, 60_000);
    (0..count).filter_map(|_| Some(fault(at(dice), one(dice)?))).collect()
}

/// Many nodes join at the same moment.
fn crowd(dice: &mut Dice) -> What {
    What::Join { count: dice.between(20, 60), over: Span::default() }
}

/// Whether all nodes that run go on running, in the same incarnation.
pub(super) fn keeps_all(what: &What) -> bool {
    !matches!(
        what,
        What::Crash { .. }
            | What::Leave { .. }
            | What::Restart { .. }
            | What::Recycle { .. }
            | What::Churn { .. }
    )
}

//! Plans drawn from seeds.

use std::ops::Deref;
use std::time::Duration;

use murmurate::broadcast::anti_entropy;

use super::percent;
use super::plan::{FINALE, Plan, Promise};
use super::story::{self, Story};
use super::talk::Talk;
use super::trouble::{end, favourite, keeps_all, trouble};
use super::with::With;
use crate::experiment::scenario::{
    Bandwidth, BitRate, Bursts, Bytes, Class, Fault, LatencyModel, Links, Members, Nodes, Order,
    Pace, Processor, Region, Reorder, RoundTrip, Sender, Share, Span, What, Workload,
};

use crate::model::dice::Dice;
use crate::strategies::{Broadcast, Choice, Listed as _, Membership, broadcast, membership};

/// Longest way between two nodes that a plan draws, without jitter; log-normal latencies rarely
/// exceed it.
const LONGEST_WAY_MS: u64 = 150;

impl Plan {
    /// The plan of a seed, drawn with all of these.
    #[must_use]
    pub fn draw(seed: u64, with: &[With]) -> Self {
        let dice = &mut Dice::new(seed ^ 0x5357_4152_4d01);
        let membership = choose(Membership::all(), with, |one| happens(dice, one.drawn()));
        // Stories are those of the default strategy.
        let usual = membership.name() == Membership::all()[0].name();
        let story = if usual { Story::draw(dice, with) } else { Story::Any };
        let count = story.count(dice, usual);
        // Nothing else would find the other side again.
        let split = dice.chance(40);
        let promotion = story != Story::Lone && (split || dice.chance(50));
        let gentle = match story {
            Story::Any => !promotion && dice.chance(60),
            story => story == Story::Late,
        };
        let regions = regions(dice);
        let joining = Duration::from_millis(story.pause_ms(dice, gentle) * u64::from(count));
        let mut trouble = match story {
            Story::Any => trouble(dice, gentle, split, &regions),
            Story::Pair => story::partings(dice),
            Story::Lone => story::bereaved(dice, joining),
            Story::Cut => story::cut(dice, count, joining),
            Story::Late => story::latecomers(dice),
        };
        if story == Story::Any && !gentle {
            trouble.extend(favourite(dice, with));
        }
        trouble.sort_by_key(|fault| fault.at);
        let contacts = story.contacts(dice, gentle);
        let mut plan = Self {
            seed,
            noise: seed,
            nodes: Nodes { count, joining: Span(joining), contacts, ..Nodes::default() },
            membership: membership.draw(
                dice,
                &membership::Circumstances {
                    nodes: count,
                    newcomers: joins(&trouble),
                    remixes: promotion,
                    pair: story == Story::Pair,
                    lone: story == Story::Lone,
                    cut: story == Story::Cut,
                    longest_way: LONGEST_WAY_MS,
                },
            ),
            broadcast: Broadcast::default(),
            anti_entropy: anti_entropy(seed, with),
            links: links(dice, gentle || matches!(story, Story::Pair | Story::Cut), &regions),
            regions,
            classes: classes(seed),
            trouble,
            load: Vec::new(),
            talk: Talk::default(),
            peace: Duration::ZERO,
            newcomers: if story == Story::Any { 2 } else { 0 },
            discovery: true,
            recovery: Duration::ZERO,
            finale: finale(dice),
            storm: dice.chance(90).then(|| percent(dice, 5, 12)),
            promise: Promise::default(),
            with: with.to_vec(),
            end: None,
            only: None,
        };
        if gentle {
            let joined = plan.joined();
            plan.trouble.iter_mut().for_each(|fault| fault.at = Span(fault.at.0 + joined));
        }
        plan.finish(dice, story, usual, promotion);
        plan
    }

    /// Draws what depends on the trouble: when it is over, what goes on meanwhile, and what follows.
    fn finish(&mut self, dice: &mut Dice, story: Story, usual: bool, promotion: bool) {
        let over = self.trouble.iter().map(end).max().unwrap_or_default() + Duration::from_secs(5);
        self.peace = Duration::from_secs(over.max(self.nodes.joining.0).as_secs() + 1);
        self.load = load(dice, self.peace);
        // It would keep all else from lines that carry little.
        if self.links.bandwidth.is_none() {
            self.talk = Talk::draw(self.seed, self.peace);
        }
        if story == Story::Late {
            let joined = self.joined();
            self.load.iter_mut().for_each(|load| load.from = Span(load.from.0 + joined));
        }
        let drawn = |one: &Broadcast| {
            let (mostly, late) = one.drawn();
            happens(dice, if story == Story::Late { late } else { mostly })
        };
        let broadcast = choose(Broadcast::all(), &self.with, drawn);
        // Where nobody died, everybody's contacts still run.
        let known = promotion && self.trouble.iter().all(|fault| keeps_all(&fault.what));
        self.discovery = match story {
            Story::Any => !usual || !known || dice.chance(30),
            Story::Pair => true,
            Story::Lone | Story::Cut | Story::Late => false,
        };
        let circumstances = broadcast::Circumstances {
            broadcasts: self.broadcasts() as usize,
            longest_way: LONGEST_WAY_MS,
        };
        self.broadcast = broadcast.draw(dice, &circumstances);
        self.recovery = self.recovery();
        self.promise = Promise::of(self);
        self.promise.reunites &= story == Story::Cut;
        if !self.promise.survives {
            self.storm = None;
        }
    }
}

/// Drawn apart from all else, so that with it and without it the same goes wrong.
fn anti_entropy(seed: u64, with: &[With]) -> Option<anti_entropy::Parameters> {
    let dice = &mut Dice::new(seed ^ 0x616e_7469);
    if !dice.chance(50) && !with.contains(&With::AntiEntropy) {
        return None;
    }
    let exchange_interval = dice.millis(200, 1_000);
    let (retention, retained, give_up_after) = if dice.chance(70) {
        (Duration::from_secs(100_000), 100_000, Duration::from_secs(10_000))
    } else {
        (dice.millis(500, 20_000), dice.between(5, 200), dice.millis(2_000, 8_000))
    };
    Some(anti_entropy::Parameters {
        exchange_interval,
        fetch_after: dice.millis(50, 1_000),
        give_up_after,
        retention,
        retained,
        batch: dice.between(2, 500),
        ..anti_entropy::Parameters::default()
    })
}

/// Drawn apart, too: nodes whose processors take their time, but not so much that they fall behind.
fn classes(seed: u64) -> Vec<Class> {
    let dice = &mut Dice::new(seed ^ 0x636c_6173);
    if dice.chance(75) {
        return Vec::new();
    }
    let mut class = |name: &str| Class {
        name: name.into(),
        who: Members::Share(percent(dice, 5, 50)),
        bandwidth: None,
        loss: None,
        shared: None,
        processor: Some(Processor {
            message: Span(Duration::from_micros(dice.between(1, 20))),
            rate: dice.chance(50).then_some(BitRate(1_000_000_000)),
        }),
        nat: None,
    };
    vec![class("one"), class("other")]
}

/// How many nodes join in all.
fn joins(trouble: &[Fault]) -> u32 {
    let joins = trouble.iter().map(|fault| match fault.what {
        What::Join { count, .. } => count,
        _ => 0,
    });
    joins.sum()
}

/// One of the strategies: the first, unless another is drawn or asked for.
fn choose<T: Clone + Deref<Target: Choice>>(
    all: &[T],
    with: &[With],
    mut is_drawn: impl FnMut(&T) -> bool,
) -> T {
    let asked = |one: &&T| with.contains(&With::Strategy(one.name()));
    let drawn: Vec<&T> = all[1..].iter().filter(|one| is_drawn(one)).collect();
    let chosen = all.iter().find(asked).or(drawn.first().copied());
    chosen.unwrap_or(&all[0]).clone()
}

/// Whether something happens that has so many percent. What never happens takes no choice.
fn happens(dice: &mut Dice, percent: u32) -> bool {
    percent > 0 && dice.chance(percent)
}

fn regions(dice: &mut Dice) -> Vec<Region> {
    if !dice.chance(25) {
        return Vec::new();
    }
    let names = ["north", "east", "south", "west", "centre"];
    let count = dice.between(1, names.len());
    let region =
        |name: &&str| Region { name: (*name).to_owned(), weight: f64::from(dice.between(1, 4)) };
    names[..count].iter().map(region).collect()
}

fn links(dice: &mut Dice, gentle: bool, regions: &[Region]) -> Links {
    let ms = |time: Duration| Span(time);
    let latency = match dice.between(0, 2) {
        _ if !regions.is_empty() => {
            let mut row = || {
                let cells = regions
                    .iter()
                    .map(|_| RoundTrip(f64::from(dice.between(1, 2 * LONGEST_WAY_MS as u32))));
                cells.collect::<Vec<_>>()
            };
            LatencyModel::Regions { round_trips_ms: regions.iter().map(|_| row()).collect() }
        }
        0 => LatencyModel::Constant { time: ms(dice.millis(2, LONGEST_WAY_MS)) },
        1 => LatencyModel::Uniform {
            from: ms(dice.millis(2, 20)),
            to: ms(dice.millis(20, LONGEST_WAY_MS)),
        },
        _ => LatencyModel::LogNormal {
            median: ms(dice.millis(2, 20)),
            sigma: f64::from(dice.between(1, 6)) / 10.0,
        },
    };
    let harsh = |dice: &mut Dice, percent| !gentle && dice.chance(percent);
    Links {
        latency,
        jitter: dice.chance(25).then(|| Span(dice.millis(1, 50))),
        order: if dice.chance(60) { Order::Fifo } else { Order::Any },
        loss: if harsh(dice, 40) { percent(dice, 1, 20) } else { Share::NONE },
        bursts: harsh(dice, 15).then(|| Bursts {
            share: percent(dice, 1, 10),
            length: Span(dice.millis(50, 3_000)),
            loss: percent(dice, 30, 100),
        }),
        duplicate: if harsh(dice, 15) { percent(dice, 1, 10) } else { Share::NONE },
        reorder: harsh(dice, 15)
            .then(|| Reorder { share: percent(dice, 1, 20), by: Span(dice.millis(1, 1_000)) }),
        bandwidth: dice.chance(15).then(|| Bandwidth {
            up: BitRate(1_000_000 * dice.between(20, 200)),
            down: BitRate(1_000_000 * dice.between(20, 200)),
            queue: Bytes(1 << 20),
        }),
        ..Links::default()
    }
}

fn payload(dice: &mut Dice) -> Bytes {
    Bytes(if dice.chance(80) { 1_024 } else { dice.between(0, 16 << 10) })
}

/// What is broadcast while things go wrong.
fn load(dice: &mut Dice, until: Duration) -> Vec<Workload> {
    let most = until.as_millis() as u64;
    // Now and then more than fits any list.
    let flood = Workload {
        from: Span(dice.millis(0, most)),
        count: Some(300),
        pace: Pace::Rate(if dice.chance(50) { 100.0 } else { 10_000.0 }),
        sender: Sender::One,
        ..Workload::default()
    };
    let flood = dice.chance(4).then_some(flood);
    let count = dice.one_of(&[0, 1, 1, 2, 3]);
    let one = |_| Workload {
        send: None,
        look_up: None,
        from: Span(dice.millis(0, most)),
        until: None,
        count: Some(dice.between(1, 30)),
        pace: match dice.between(0, 2) {
            0 => Pace::Rate(f64::from(dice.between(1, 50))),
            1 => Pace::Poisson(f64::from(dice.between(1, 5))),
            _ => Pace::Pause(Span(dice.millis(100, 3_000))),
        },
        sender: if dice.chance(30) { Sender::One } else { Sender::Random },
        payload: payload(dice),
    };
    (0..count).map(one).chain(flood).collect()
}

fn finale(dice: &mut Dice) -> Workload {
    let (count, pace) = match dice.between(0, 2) {
        // Many at once.
        0 => (10, Pace::Rate(50.0)),
        1 => (12, Pace::Pause(Span::secs(2))),
        _ => (6, Pace::Pause(Span(FINALE / 6))),
    };
    Workload {
        count: Some(count),
        pace,
        sender: if dice.chance(50) { Sender::One } else { Sender::Random },
        payload: payload(dice),
        ..Workload::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_a_scenario_and_can_be_written() {
        for seed in 0..300 {
            let scenario = Plan::draw(seed, &[]).scenario();
            assert_eq!(scenario.check(), [], "seed {seed}");
            let text = scenario.to_toml().expect("TOML");
            let document =
                crate::experiment::scenario::Document::parse("drawn", &text).expect("TOML");
            let read =
                document.scenario().unwrap_or_else(|error| panic!("{seed}: {error}\n{text}"));
            assert_eq!(read, scenario, "seed {seed}\n{text}");
        }
    }

    #[test]
    fn much_is_tried_and_much_is_promised() {
        let plans: Vec<_> = (0..1_000).map(|seed| Plan::draw(seed, &[])).collect();
        let share = |of: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        assert!(share(&|plan| plan.promise.whole) > 600, "one overlay");
        assert!(share(&|plan| plan.promise.stays_whole) > 500, "at every moment");
        assert!(share(&|plan| plan.promise.complete) > 100, "a full mesh");
        assert!(share(&|plan| plan.storm.is_some()) > 30, "storms");
        assert!(share(&|plan| plan.promise.meets) > 20, "two that meet");
        assert!(share(&is_lone) > 20, "one cut off while many die");
        assert!(share(&|plan| plan.promise.reunites) > 50, "halves that meet again");
        assert!(share(&Plan::is_calm) > 5, "latecomers");
        assert!(share(&|plan| plan.promise.first.is_some()) > 20, "a first broadcast");
        assert!(share(&|plan| plan.promise.settled.is_some()) > 200, "a settled tree");
        assert!(share(&|plan| plan.promise.thrifty) > 5, "a still one");
        let mut kinds: Vec<_> =
            plans.iter().flat_map(|plan| plan.trouble.iter().map(|f| f.what.kind())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 14, "every kind but those that heal: {kinds:?}");
    }

    /// Whether everybody is told of others while one is cut off.
    fn is_lone(plan: &Plan) -> bool {
        let tells = |fault: &Fault| matches!(fault.what, What::Discover { .. });
        plan.trouble.iter().any(tells) && !plan.discovery
    }

    #[test]
    fn what_plans_are_drawn_with_is_there_more_often() {
        let drawn = |of: &dyn Fn(&Plan) -> bool, with: &[With]| {
            (0..500).filter(|seed| of(&Plan::draw(*seed, with))).count()
        };
        let has = |plan: &Plan, is: fn(&What) -> bool| plan.trouble.iter().any(|f| is(&f.what));
        let crowded = |plan: &Plan| has(plan, |w| matches!(w, What::Join { count: 20.., .. }));
        let recycled = |plan: &Plan| has(plan, |what| matches!(what, What::Recycle { .. }));
        for (of, with) in [
            (&(|plan: &Plan| plan.promise.meets) as &dyn Fn(&Plan) -> bool, With::Pairs),
            (&is_lone, With::Lone),
            (&|plan: &Plan| plan.promise.reunites, With::Cut),
            (&crowded, With::Crowds),
            (&recycled, With::Recycled),
            (&Plan::is_calm, With::Late),
        ] {
            let (others, own) = (
                drawn(of, &[With::Strategy("hyparview")]),
                drawn(of, &[With::Strategy("hyparview"), with]),
            );
            assert!(others > 0, "without {with:?}, too");
            assert!(own as f64 > 1.3 * others as f64, "{with:?}: {own} of 500, {others} else");
        }
    }

    #[test]
    fn what_plans_are_always_drawn_with_is_always_there() {
        for seed in 0..200 {
            let with = |one| Plan::draw(seed, &[one]);
            let hyparview = with(With::Strategy("hyparview")).membership;
            assert_eq!(hyparview.name(), "hyparview", "seed {seed}");
            let mesh = with(With::Strategy("full-mesh")).membership;
            assert_eq!(mesh.name(), "full-mesh", "seed {seed}");
            let plumtree = with(With::Strategy("plumtree")).broadcast;
            assert_eq!(plumtree.name(), "plumtree", "seed {seed}");
            assert!(with(With::AntiEntropy).anti_entropy.is_some(), "seed {seed}");
        }
    }
}

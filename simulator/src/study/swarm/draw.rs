//! Plans drawn from seeds.

use std::ops::Deref;
use std::time::Duration;

use murmurate::broadcast::anti_entropy;

use super::faults::{self, end, fault, favourite, keeps_all};
use super::focus::Focus;
use super::percent;
use super::plan::{FINALE, Plan, PlanPromise};
use super::template::Template;
use super::traffic::Traffic;
use crate::experiment::scenario::{
    Bandwidth, BitRate, Bursts, Bytes, Class, Connections, Fault, GraphModel, LatencyModel, Links,
    Members, Nat, Nodes, Order, Pace, Processor, Region, Reorder, RoundTrip, Sender, Share, Span,
    Transport, What, Who, Workload,
};

use crate::model::dice::Dice;
use crate::model::network::mix;
use crate::strategies::{Broadcast, Choice, Listed as _, Membership, broadcast, membership};

/// Longest way between two nodes that a plan draws, without jitter; log-normal latencies rarely
/// exceed it.
const LONGEST_WAY_MS: u64 = 150;

impl Plan {
    /// The plan of a seed, drawn with this focus.
    #[must_use]
    pub fn draw(seed: u64, focus: &[Focus]) -> Self {
        let dice = &mut Dice::new(seed ^ 0x5357_4152_4d01);
        let membership = membership(seed, dice, focus);
        // Templates are for the default strategy.
        let usual = membership.name() == Membership::all()[0].name();
        let template = if usual { Template::draw(dice, focus) } else { Template::Any };
        let count = template.count(dice, usual);
        // Nothing else would find the other side again.
        let split = dice.chance(40);
        let promotion = template != Template::Lone && (split || dice.chance(50));
        let gentle = match template {
            Template::Any => !promotion && dice.chance(60),
            template => template == Template::Late,
        };
        let regions = regions(dice);
        let joining = Duration::from_millis(template.pause_ms(dice, gentle) * u64::from(count));
        let templated = template.faults(dice, count, joining);
        let mut faults = templated.unwrap_or_else(|| faults::draw(dice, gentle, split, &regions));
        if template == Template::Any && !gentle {
            faults.extend(favourite(dice, focus));
        }
        faults.sort_by_key(|fault| fault.at);
        let contacts = template.contacts(dice, gentle);
        let mut plan = Self {
            seed,
            noise: seed,
            nodes: Nodes { count, joining: Span(joining), contacts, ..Nodes::default() },
            membership: membership.draw(
                dice,
                &membership::MembershipNeeds {
                    nodes: count,
                    newcomers: joins(&faults),
                    remixes: promotion,
                    pair: template == Template::Pair,
                    lone: template == Template::Lone,
                    cut: template == Template::Cut,
                    longest_way: LONGEST_WAY_MS,
                },
            ),
            graph: membership.keeps_to_contacts().then(|| graph(seed, count)),
            broadcast: Broadcast::default(),
            anti_entropy: anti_entropy(seed, focus),
            links: links(
                dice,
                gentle || matches!(template, Template::Pair | Template::Cut),
                &regions,
            ),
            regions,
            classes: classes(seed),
            faults,
            load: Vec::new(),
            traffic: Traffic::default(),
            peace: Duration::ZERO,
            newcomers: if template == Template::Any { 2 } else { 0 },
            discovery: true,
            recovery: Duration::ZERO,
            finale: finale(dice),
            storm: dice.chance(90).then(|| percent(dice, 5, 12)),
            promise: PlanPromise::default(),
            focus: focus.to_vec(),
            end: None,
            only: None,
        };
        if gentle {
            let joined = plan.joined();
            plan.faults.iter_mut().for_each(|fault| fault.at = Span(fault.at.0 + joined));
        }
        plan.finish(dice, template, usual, promotion);
        plan
    }

    /// Drawn apart, too: what else a network may be like. Then less is promised.
    fn complicate(&mut self) {
        let dice = &mut Dice::new(self.seed ^ 0x006e_6574_776f_726b);
        if dice.chance(80) {
            return;
        }
        if dice.chance(60) {
            self.links.transport = Transport::Streams;
        }
        self.links.connections = dice.chance(50).then(|| Connections {
            round_trips: dice.between(1, 5),
            timeout: Span(dice.millis(500, 5_000)),
            idle: Span(dice.millis(500, 20_000)),
        });
        if self.classes.is_empty() && dice.chance(75) {
            self.classes = ["one", "other"].map(|name| class(dice, name)).into();
        }
        let dials = self.links.connections.is_some();
        for class in &mut self.classes {
            class.loss = dice.chance(25).then(|| percent(dice, 1, 15));
            class.nat = (dials && dice.chance(40)).then(|| dice.one_of(&[Nat::Reject, Nat::Drop]));
            class.bandwidth = dice.chance(30).then(|| line(dice, 1_000));
            class.shared = dice.chance(50).then(|| line(dice, 500));
        }
        let (peace, most) = (self.peace, self.peace.as_millis() as u64);
        for _ in 0..dice.between(0, 2) {
            let (at, over) = (dice.millis(0, most / 2), dice.millis(0, 5_000));
            let lasting = over * 2 + dice.millis(1, most / 4);
            let who = if dice.chance(40) { Who::All } else { Who::Share(percent(dice, 10, 60)) };
            let to = dice.chance(30).then(|| Who::Count(dice.between(1, 5)));
            let (times, over) = (f64::from(dice.between(2, 20)) / 2.0, Span(over));
            let every = dice.chance(30).then(|| Span(lasting * 2));
            let lasting = Some(Span(lasting)).filter(|_| every.is_some() || at + lasting < peace);
            self.faults.push(fault(at, What::Latency { who, to, times, over, lasting, every }));
        }
        self.faults.sort_by_key(|fault| fault.at);
    }

    /// Draws what depends on the faults: when they are over, the load meanwhile, and what follows.
    fn finish(&mut self, dice: &mut Dice, template: Template, usual: bool, promotion: bool) {
        let over = self.faults.iter().map(end).max().unwrap_or_default() + Duration::from_secs(5);
        self.peace = Duration::from_secs(over.max(self.nodes.joining.0).as_secs() + 1);
        self.load = load(dice, self.peace);
        // It would keep all else from lines that carry little.
        if self.links.bandwidth.is_none() {
            self.traffic = Traffic::draw(self.seed, self.peace);
        }
        if template == Template::Late {
            let joined = self.joined();
            self.load.iter_mut().for_each(|load| load.from = Span(load.from.0 + joined));
        }
        let drawn = |one: &Broadcast| {
            let (mostly, late) = one.drawn();
            let percent = if template == Template::Late { late } else { mostly };
            // As of memberships: the rest is drawn apart.
            let is_first = one.name() == Broadcast::all()[1].name();
            let own = &mut Dice::new(self.seed ^ number_of(one.name()));
            happens(if is_first { &mut *dice } else { own }, percent)
        };
        let broadcast = choose(Broadcast::all(), &self.focus, drawn);
        // Where nobody died, everybody's contacts still run.
        let known = promotion && self.faults.iter().all(|fault| keeps_all(&fault.what));
        self.discovery = match template {
            Template::Any => !usual || !known || dice.chance(30),
            Template::Pair => true,
            Template::Lone | Template::Cut | Template::Late => false,
        };
        let needs = broadcast::BroadcastNeeds {
            broadcasts: self.broadcasts() as usize,
            longest_way: LONGEST_WAY_MS,
        };
        self.broadcast = broadcast.draw(dice, &needs);
        self.recovery = self.recovery();
        if template == Template::Any {
            self.complicate();
        }
        self.promise = PlanPromise::of(self);
        self.promise.reunites &= template == Template::Cut;
        if !self.promise.survives {
            self.storm = None;
        }
    }
}

/// Drawn from a stream of its own, so that the same faults are drawn with it and without it.
fn anti_entropy(seed: u64, focus: &[Focus]) -> Option<anti_entropy::Parameters> {
    let dice = &mut Dice::new(seed ^ 0x616e_7469);
    if !dice.chance(50) && !focus.contains(&Focus::AntiEntropy) {
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
        fetch_after: dice.millis(50, 1_000).min(retention),
        give_up_after,
        retention,
        retained,
        batch: dice.between(2, 500),
        ..anti_entropy::Parameters::default()
    })
}

/// Drawn apart, too: one that there is of any number of nodes.
fn graph(seed: u64, nodes: u32) -> GraphModel {
    let dice = &mut Dice::new(seed ^ 0x6772_6170_6873);
    match dice.between(0, 4) {
        0 => GraphModel::Tree { branches: dice.between(1, 4) },
        1 if nodes > 2 => GraphModel::SmallWorld { neighbors: 2, rewired: percent(dice, 0, 100) },
        2 if nodes > 4 => GraphModel::RandomRegular { degree: 2 * dice.between(1, 2) },
        3 if nodes > 3 => GraphModel::PreferentialAttachment { links: dice.between(1, 3) },
        _ => GraphModel::Ring {},
    }
}

/// A number of a name.
fn number_of(name: &str) -> u64 {
    name.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

/// Drawn apart, too: nodes whose processors take their time, but not so much that they fall behind.
fn classes(seed: u64) -> Vec<Class> {
    let dice = &mut Dice::new(seed ^ 0x636c_6173);
    if dice.chance(75) {
        return Vec::new();
    }
    let working = |dice: &mut Dice, name| {
        let class = class(dice, name);
        let message = Span(Duration::from_micros(dice.between(1, 20)));
        let rate = dice.chance(50).then_some(BitRate(1_000_000_000));
        Class { processor: Some(Processor { message, rate }), ..class }
    };
    vec![working(dice, "one"), working(dice, "other")]
}

fn class(dice: &mut Dice, name: &str) -> Class {
    Class {
        name: name.into(),
        who: Members::Share(percent(dice, 5, 50)),
        bandwidth: None,
        loss: None,
        shared: None,
        processor: None,
        nat: None,
    }
}

/// A line of at least so many kbit/s.
fn line(dice: &mut Dice, least: u64) -> Bandwidth {
    let mut rate = || BitRate(1_000 * least * dice.between(1, 40));
    let (up, down) = (rate(), rate());
    Bandwidth { up, down, queue: Bytes(dice.between(4 << 10, 256 << 10)) }
}

/// The first of the others is drawn with all else, the rest apart: so one more leaves most plans as they are.
fn membership(seed: u64, dice: &mut Dice, focus: &[Focus]) -> Membership {
    choose(Membership::all(), focus, |one| {
        let is_first = one.name() == Membership::all()[1].name();
        let own = &mut Dice::new(seed ^ number_of(one.name()));
        happens(if is_first { &mut *dice } else { own }, one.drawn())
    })
}

/// How many nodes join in all.
fn joins(faults: &[Fault]) -> u32 {
    let joins = faults.iter().map(|fault| match fault.what {
        What::Join { count, .. } => count,
        _ => 0,
    });
    joins.sum()
}

/// One of the strategies: the first, unless another is drawn or asked for.
fn choose<T: Clone + Deref<Target: Choice>>(
    all: &[T],
    focus: &[Focus],
    mut is_drawn: impl FnMut(&T) -> bool,
) -> T {
    let asked = |one: &&T| focus.contains(&Focus::Strategy(one.name()));
    let drawn: Vec<&T> = all[1..].iter().filter(|one| is_drawn(one)).collect();
    let chosen = all.iter().find(asked).or(drawn.first().copied());
    chosen.unwrap_or(&all[0]).clone()
}

/// Whether something with a chance of this many percent happens. What never happens takes no choice.
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
        assert!(share(&|plan| plan.promise.whole) > 450, "one overlay");
        assert!(share(&|plan| plan.promise.stays_whole) > 400, "at every moment");
        assert!(share(&|plan| plan.promise.complete) > 100, "a full mesh");
        assert!(share(&|plan| plan.storm.is_some()) > 30, "storms");
        assert!(share(&|plan| plan.promise.meets) > 20, "two that meet");
        assert!(share(&is_lone) > 20, "one cut off while many die");
        assert!(share(&|plan| plan.promise.reunites) > 50, "halves that meet again");
        assert!(share(&Plan::is_calm) > 5, "latecomers");
        assert!(share(&|plan| plan.promise.first.is_some()) > 20, "a first broadcast");
        assert!(share(&|plan| plan.promise.settled_latency.is_some()) > 200, "a settled tree");
        assert!(share(&|plan| plan.promise.thrifty) > 5, "a still one");
        let mut kinds: Vec<_> =
            plans.iter().flat_map(|plan| plan.faults.iter().map(|f| f.what.kind())).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 15, "every kind but those that heal: {kinds:?}");
    }

    #[test]
    fn networks_are_of_many_kinds() {
        let plans: Vec<_> = (0..1_000).map(|seed| Plan::draw(seed, &[])).collect();
        let count = |of: &dyn Fn(&Plan) -> bool| plans.iter().filter(|plan| of(plan)).count();
        assert!(count(&|plan| plan.links.transport == Transport::Streams) > 60);
        assert!(count(&|plan| plan.links.connections.is_some()) > 40);
        let classes = |of: fn(&Class) -> bool| count(&|plan| plan.classes.iter().any(of));
        assert!(classes(|class| class.shared.is_some()) > 50);
        assert!(classes(|class| class.bandwidth.is_some()) > 30);
        assert!(classes(|class| class.nat.is_some()) > 15);
        assert!(classes(|class| class.loss.is_some()) > 25);
    }

    /// Whether everybody is told of others while one is cut off.
    fn is_lone(plan: &Plan) -> bool {
        let tells = |fault: &Fault| matches!(fault.what, What::Discover { .. });
        plan.faults.iter().any(tells) && !plan.discovery
    }

    #[test]
    fn what_plans_are_drawn_with_is_there_more_often() {
        let drawn = |of: &dyn Fn(&Plan) -> bool, focus: &[Focus]| {
            (0..500).filter(|seed| of(&Plan::draw(*seed, focus))).count()
        };
        let has = |plan: &Plan, is: fn(&What) -> bool| plan.faults.iter().any(|f| is(&f.what));
        let crowded = |plan: &Plan| has(plan, |w| matches!(w, What::Join { count: 20.., .. }));
        let recycled = |plan: &Plan| has(plan, |what| matches!(what, What::Recycle { .. }));
        for (of, focus) in [
            (&(|plan: &Plan| plan.promise.meets) as &dyn Fn(&Plan) -> bool, Focus::Pairs),
            (&is_lone, Focus::Lone),
            (&|plan: &Plan| plan.promise.reunites, Focus::Cut),
            (&crowded, Focus::Crowds),
            (&recycled, Focus::Recycled),
            (&Plan::is_calm, Focus::Late),
        ] {
            let (others, own) = (
                drawn(of, &[Focus::Strategy("hyparview")]),
                drawn(of, &[Focus::Strategy("hyparview"), focus]),
            );
            assert!(others > 0, "without {focus:?}, too");
            assert!(own as f64 > 1.3 * others as f64, "{focus:?}: {own} of 500, {others} else");
        }
    }

    #[test]
    fn what_plans_are_always_drawn_with_is_always_there() {
        for seed in 0..200 {
            let drawn = |one| Plan::draw(seed, &[one]);
            let hyparview = drawn(Focus::Strategy("hyparview")).membership;
            assert_eq!(hyparview.name(), "hyparview", "seed {seed}");
            let mesh = drawn(Focus::Strategy("full-mesh")).membership;
            assert_eq!(mesh.name(), "full-mesh", "seed {seed}");
            let plumtree = drawn(Focus::Strategy("plumtree")).broadcast;
            assert_eq!(plumtree.name(), "plumtree", "seed {seed}");
            assert!(drawn(Focus::AntiEntropy).anti_entropy.is_some(), "seed {seed}");
        }
    }
}

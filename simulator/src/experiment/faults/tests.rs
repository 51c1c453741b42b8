//! Each fault does what it says.

use murmurate::broadcast::plumtree;
use murmurate::membership::{Membership as _, hyparview};

use super::*;
use crate::engine::strategy::{self, Both};
use crate::experiment::scenario::{Churn, Lengths, SessionStart, Share, Span, read_trace};
use crate::model::network::{Latency, Network, Placement};
use crate::observe::{check, overlay};

type Sim = Simulation<Both<hyparview::Parameters, plumtree::Parameters>>;

const NODES: usize = 60;

/// A settled overlay of [`NODES`] nodes in two regions, 10 ms apart.
fn settled() -> Sim {
    let latency = Latency::Constant(Duration::from_millis(10));
    let regions = [("even".to_owned(), 1.0), ("odd".to_owned(), 1.0)];
    let network =
        Network::new(3, latency, 0.0).expect("valid").placed(Placement::regions(&regions));
    let parameters = hyparview::Parameters {
        promotion_interval: Some(Duration::from_secs(10)),
        // What is found again is found by those who start again.
        reunion_interval: None,
        ..hyparview::Parameters::default()
    };
    let make = strategy::nodes(parameters, plumtree::Parameters::default()).expect("valid");
    let mut sim = Simulation::new(3, network, make);
    for index in 0..NODES {
        let contacts: Vec<usize> = (index > 0).then_some(index / 2).into_iter().collect();
        sim.start(&contacts);
        pass(&mut sim, 0.1);
    }
    pass(&mut sim, 20.0);
    sim
}

fn pass(sim: &mut Sim, seconds: f64) {
    sim.run_until(sim.now().after(Duration::from_secs_f64(seconds)));
}

fn random_contacts() -> Arc<Contacts> {
    Arc::new(Contacts::new(3, None))
}

fn ongoing(what: What) -> Ongoing {
    Ongoing::new(Fault { at: Span::secs(30), name: None, what }, 3, random_contacts(), 0)
}

/// Lets a fault strike and do what it plans, up to so many seconds from now.
fn strike(sim: &mut Sim, what: What, seconds: f64) -> Ongoing {
    strike_with(sim, ongoing(what), seconds)
}

fn strike_with(sim: &mut Sim, mut fault: Ongoing, seconds: f64) -> Ongoing {
    let end = sim.now().after(Duration::from_secs_f64(seconds));
    let mut plans = fault.strike(sim.now(), sim);
    loop {
        let next = (0..plans.len()).min_by_key(|&at| plans[at]).filter(|&at| plans[at].0 <= end);
        let Some(next) = next else { break };
        let (time, later) = plans.swap_remove(next);
        sim.run_until(time);
        plans.extend(fault.go_on(sim.now(), sim, later));
    }
    sim.run_until(end);
    fault
}

fn share(share: f64) -> Who {
    Who::Share(Share::new(share).expect("a share"))
}

/// Whether a broadcast of `index` reaches all that run within two seconds.
fn reaches_all(sim: &mut Sim, index: usize) -> bool {
    check::reaches_everyone(sim, index, Duration::from_secs(2)).is_ok()
}

fn neighbors(sim: &Sim, index: usize) -> Vec<usize> {
    let peer = sim.stack(index).expect("it started");
    peer.membership().active().map(SimPeer::index).collect()
}

/// Times a node holds one that does not run among its neighbours.
fn held_dead(sim: &Sim) -> usize {
    let dead = |index| neighbors(sim, index).into_iter().filter(|n| !sim.is_live(*n)).count();
    sim.live_nodes().map(dead).sum()
}

#[test]
fn a_crash_is_noticed_as_it_says() {
    for (notice, at_once, later) in [
        (Death::Closed, true, true),
        // Whoever writes next hears of it: within a keep-alive's two seconds.
        (Death::Reset, false, true),
        (Death::Silent, false, false),
    ] {
        let mut sim = settled();
        let fault = strike(&mut sim, What::Crash { who: share(0.2), notice }, 0.1);
        assert_eq!((fault.struck, sim.live()), (12, 48));
        assert_eq!(held_dead(&sim) == 0, at_once, "{notice:?} after 0.1 s");
        pass(&mut sim, 3.0);
        assert_eq!(held_dead(&sim) == 0, later, "{notice:?} after 3 s");
        pass(&mut sim, 27.0);
        assert_eq!(held_dead(&sim), 0, "{notice:?} after 30 s");
        let first = sim.live_nodes().next().expect("some run");
        assert!(reaches_all(&mut sim, first), "{notice:?}");
    }
}

#[test]
fn who_leaves_says_goodbye() {
    let mut sim = settled();
    let sent = sim.stats().sent("disconnect");
    let fault = strike(&mut sim, What::Leave { who: Who::Count(6), linger: Span::default() }, 0.1);
    assert_eq!((fault.struck, sim.live(), held_dead(&sim)), (6, 54, 0));
    assert!(sim.stats().sent("disconnect") > sent + 6);
}

#[test]
fn faults_strike_whom_they_name() {
    let mut sim = settled();
    strike(&mut sim, What::Leave { who: Who::Nodes(vec![3, 5, 7]), linger: Span::default() }, 0.0);
    assert!([3, 5, 7].iter().all(|index| !sim.is_live(*index)) && sim.live() == 57);
    strike(&mut sim, What::Leave { who: Who::Region("odd".into()), linger: Span::default() }, 0.0);
    assert!(sim.live() == 30 && sim.live_nodes().all(|index| index % 2 == 0));
    strike(&mut sim, What::Leave { who: Who::All, linger: Span::default() }, 0.0);
    assert_eq!(sim.live(), 0);
}

/// With the disk they are back at their former neighbours', without it anywhere.
#[test]
fn a_disk_remembers_the_neighbours() {
    let back = |disk| {
        let mut sim = settled();
        let crash = What::Crash { who: Who::Count(5), notice: Death::Closed };
        strike(&mut sim, crash, 0.1);
        let dead: Vec<usize> = (0..NODES).filter(|index| !sim.is_live(*index)).collect();
        let before: Vec<_> = dead.iter().map(|index| remembered(&sim, *index)).collect();
        let joins = sim.stats().sent("join");
        let restart = What::Restart { who: Who::All, disk, over: Span::secs(1) };
        let fault = strike(&mut sim, restart, 3.0);
        assert_eq!((fault.struck, sim.live()), (5, NODES));
        assert!(sim.stats().sent("join") >= joins + 5);
        assert!(dead.iter().all(|index| sim.peer(*index).expect("it runs").incarnation() == 1));
        let known = |(index, before): (&usize, &Vec<usize>)| {
            neighbors(&sim, *index).iter().filter(|n| before[..5].contains(n)).count()
        };
        dead.iter().zip(&before).map(known).sum::<usize>()
    };
    let (with, without) = (back(true), back(false));
    assert!(with > without, "{with} former neighbours with the disk, {without} without");
}

#[test]
fn strangers_answer_at_recycled_addresses() {
    let mut sim = settled();
    let fault = strike(&mut sim, What::Recycle { who: share(0.1) }, 0.0);
    assert_eq!((fault.struck, sim.live(), sim.len()), (6, NODES, NODES));
    let new: Vec<usize> =
        sim.live_nodes().filter(|i| sim.peer(*i) != Some(SimPeer::new(*i, 0))).collect();
    assert_eq!(new.len(), 6);
    let resets = sim.stats().resets;
    pass(&mut sim, 20.0);
    assert!(sim.stats().resets > resets, "whoever wrote to the old ones was told");
    assert!(reaches_all(&mut sim, new[0]));
}

#[test]
fn a_crowd_joins_evenly() {
    let mut sim = settled();
    let fault = strike(&mut sim, What::Join { count: 40, over: Span::secs(4) }, 2.0);
    assert!((19..=21).contains(&fault.struck), "{} after half of the time", fault.struck);
    assert_eq!(sim.len(), NODES + fault.struck);
}

#[test]
fn poisson_churn_replaces_its_share() {
    let mut sim = settled();
    let how = Churn::Poisson { share_per_minute: 1.0 };
    let what = What::Churn {
        lasting: Span::secs(60),
        how,
        notice: Death::Closed,
        goodbye: Share::new(0.5).expect("a share"),
    };
    strike(&mut sim, what, 90.0);
    assert_eq!(sim.live(), NODES, "who goes is replaced");
    let gone = sim.len() - NODES;
    // 60 in the mean, give or take 8.
    assert!((36..=84).contains(&gone), "{gone} went");
}

#[test]
fn sessions_leave_the_share_up_that_their_lengths_make() {
    let mut sim = settled();
    let exponential = |seconds| Lengths::Exponential { mean: Span::secs(seconds) };
    let how =
        Churn::Sessions { up: exponential(30), down: exponential(10), start: SessionStart::Fresh };
    let (notice, goodbye) = (Death::Closed, Share::NONE);
    let what = What::Churn { lasting: Span::secs(300), how, notice, goodbye };
    let fault = strike(&mut sim, what, 300.0);
    // Three quarters, give or take 3.4.
    assert!((32..=57).contains(&sim.live()), "{} of 60 run", sim.live());
    assert!(fault.struck > 600, "{} times somebody went or came", fault.struck);
    assert_eq!(sim.len(), NODES, "nobody new");
}

/// From the first moment on, also where most sessions are short: fresh ones leave too few up
/// for a while.
#[test]
fn stationary_sessions_have_as_many_nodes_up_at_any_time() {
    let weibull = |seconds| Lengths::Weibull { mean: Span::secs(seconds), shape: 0.5 };
    let share_up = |start, seconds| {
        let (mut up, mut all) = (0, 0);
        for seed in 0..40 {
            let mut sim = settled();
            let how = Churn::Sessions { up: weibull(30), down: weibull(10), start };
            let (notice, goodbye) = (Death::Closed, Share::NONE);
            let what = What::Churn { lasting: Span::secs(300), how, notice, goodbye };
            let fault = Fault { at: Span::secs(30), name: None, what };
            strike_with(&mut sim, Ongoing::new(fault, seed, random_contacts(), 0), seconds);
            (up, all) = (up + sim.live(), all + NODES);
        }
        up as f64 / all as f64
    };
    // 2,400 nodes: give or take 1.8 %.
    for seconds in [0.1, 5.0, 20.0] {
        let share = share_up(SessionStart::Stationary, seconds);
        assert!((0.72..0.78).contains(&share), "after {seconds} s: {share}");
    }
    let share = share_up(SessionStart::Fresh, 20.0);
    assert!(share < 0.73, "fresh sessions: {share}");
}

#[test]
fn a_trace_is_followed_to_the_letter() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("trace.csv");
    std::fs::write(&file, "\u{feff}time,node,state\n1,7,down\n2,9,down\n3.5,7,up\n")
        .expect("written");
    let (notice, goodbye) = (Death::Closed, Share::NONE);
    let what =
        |file| What::Churn { lasting: Span::secs(10), how: Churn::Trace { file }, notice, goodbye };
    let mut sim = settled();
    strike(&mut sim, what(file.clone()), 1.5);
    assert!(!sim.is_live(7) && sim.is_live(9));
    let mut sim = settled();
    strike(&mut sim, what(file), 4.0);
    assert!(sim.is_live(7) && !sim.is_live(9) && sim.live() == NODES - 1);
    for (text, expected) in [
        ("time,node,state\n1,7,gone\n", "gone"),
        ("time,node,state\n-1,7,up\n", "line 2: time -1"),
        ("time,node\n1,7\n", "missing field `state`"),
    ] {
        let wrong = folder.path().join("wrong.csv");
        std::fs::write(&wrong, text).expect("written");
        let error = read_trace(&wrong).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_partition_cuts_both_ways_or_one_and_ends() {
    for (one_way, publisher, crosses) in
        [(false, 0, false), (false, 1, false), (true, 0, false), (true, 1, true)]
    {
        let mut sim = settled();
        sim.log_deliveries();
        let (who, lasting) = (Who::Region("odd".into()), Some(Span::secs(20)));
        let fault = strike(&mut sim, What::Partition { who, one_way, lasting }, 0.0);
        assert_eq!(fault.struck, 30);
        let id = sim.publish(publisher).expect("it runs");
        pass(&mut sim, 2.0);
        let others = (0..NODES).filter(|index| index % 2 != publisher % 2);
        let heard = others.filter(|index| sim.has_delivered(*index, id)).count();
        assert_eq!(heard > 0, crosses, "{heard} across heard node {publisher}: {one_way}");
    }
    let mut sim = settled();
    let who = Who::Count(20);
    strike(&mut sim, What::Partition { who, one_way: false, lasting: Some(Span::secs(2)) }, 60.0);
    assert!(reaches_all(&mut sim, 0), "it ended");
}

#[test]
fn healing_ends_partitions() {
    let mut sim = settled();
    strike(&mut sim, What::Partition { who: share(0.3), one_way: false, lasting: None }, 5.0);
    assert!(!reaches_all(&mut sim, 0));
    strike(&mut sim, What::Heal, 60.0);
    assert!(reaches_all(&mut sim, 0));
}

#[test]
fn flapping_links_lose_their_share() {
    let mut sim = settled();
    let (sent, lost) = (total_sent(&sim), sim.stats().lost);
    let (up, down) = (Span::millis(300), Span::millis(100));
    strike(&mut sim, What::Flap { who: Who::All, up, down, lasting: Span::secs(10) }, 10.0);
    let share = (sim.stats().lost - lost) as f64 / (total_sent(&sim) - sent) as f64;
    assert!((0.2..0.3).contains(&share), "{share} lost with links down for a quarter of the time");
    let lost = sim.stats().lost;
    pass(&mut sim, 10.0);
    assert_eq!(sim.stats().lost, lost, "it ended");
}

fn total_sent(sim: &Sim) -> u64 {
    sim.stats().messages.iter().map(|kind| kind.count).sum()
}

#[test]
fn loss_changes() {
    let mut sim = settled();
    strike(&mut sim, What::Loss { share: Share::new(0.2).expect("a share") }, 0.0);
    let sent = total_sent(&sim);
    pass(&mut sim, 30.0);
    let share = sim.stats().lost as f64 / (total_sent(&sim) - sent) as f64;
    assert!((0.17..0.23).contains(&share), "{share}");
}

/// The last to have a broadcast, in milliseconds from its publication by `index`.
fn slowest(sim: &mut Sim, index: usize) -> u128 {
    sim.clear_latencies();
    sim.publish(index);
    pass(sim, 5.0);
    sim.stats().latency_max().as_millis()
}

#[test]
fn slow_nodes_are_slow_until_it_ends() {
    let mut sim = settled();
    for _ in 0..5 {
        slowest(&mut sim, 0);
    }
    let before = slowest(&mut sim, 0);
    let slow = |work, lasting| What::Slow { who: Who::All, times: 1_000.0, work, lasting };
    strike(&mut sim, slow(Span(Duration::from_micros(50)), Span::secs(4)), 0.0);
    let during = slowest(&mut sim, 0);
    assert!(during >= 2 * before, "{before} ms before, {during} ms with 50 ms a message");
    let mut sim = settled();
    strike(&mut sim, slow(Span(Duration::from_micros(50)), Span::secs(4)), 15.0);
    let after = slowest(&mut sim, 0);
    assert!(after <= 2 * before, "{before} ms before, {after} ms after");
}

#[test]
fn stalled_nodes_do_later_what_they_could_not() {
    let mut sim = settled();
    let who = Who::Nodes(vec![7]);
    strike(&mut sim, What::Stall { who, lasting: Span::secs(3) }, 0.0);
    sim.clear_latencies();
    let id = sim.publish(0).expect("it runs") as usize;
    pass(&mut sim, 2.0);
    assert_eq!(sim.stats().broadcasts[id].delivered as usize, NODES - 1, "all but one");
    pass(&mut sim, 3.0);
    assert_eq!(sim.stats().broadcasts[id].delivered as usize, NODES);
    assert!(sim.stats().latency_max() >= Duration::from_millis(2_900));
    assert!(sim.is_live(7), "nobody stopped");
}

#[test]
fn liars_keep_to_themselves_what_others_say_until_it_ends() {
    // Without its neighbours' lies a broadcast is everywhere in no time.
    for what in [Withheld::Payloads, Withheld::Broadcasts] {
        let mut sim = settled();
        let publisher = 7;
        let others = (0..NODES as u32).filter(|node| *node as usize != publisher).collect();
        let lie = What::Withhold { who: Who::Nodes(others), what, lasting: Some(Span::secs(3)) };
        strike(&mut sim, lie, 0.0);
        let reached = |sim: &mut Sim, from| {
            let id = sim.publish(from).expect("it runs") as usize;
            pass(sim, 2.0);
            sim.stats().broadcasts[id].delivered as usize
        };
        let first = reached(&mut sim, publisher);
        assert!((1..NODES / 2).contains(&first), "{first} nodes, {what:?}: its neighbours keep it");
        let mut sim = settled();
        let lie = What::Withhold { who: Who::Nodes(vec![7]), what, lasting: None };
        strike(&mut sim, lie, 0.0);
        assert_eq!(reached(&mut sim, publisher), NODES, "{what:?}: its own it says");
        assert_eq!(reached(&mut sim, 0), NODES, "{what:?}: others bring it");
        let mut sim = settled();
        let others = (0..NODES as u32).filter(|node| *node as usize != publisher).collect();
        let lie = What::Withhold { who: Who::Nodes(others), what, lasting: Some(Span::secs(3)) };
        strike(&mut sim, lie, 5.0);
        assert_eq!(reached(&mut sim, publisher), NODES, "{what:?}: it is over");
    }
}

#[test]
fn attackers_press_for_links_and_name_only_each_other() {
    let mut sim = settled();
    assert_eq!(overlay::exposure(&sim), None, "nobody attacks");
    let (attackers, rate) = (NODES / 4, 5.0);
    strike(&mut sim, What::Eclipse { who: Who::Count(attackers as u32), rate }, 0.0);
    let before = overlay::exposure(&sim).expect("some attack");
    pass(&mut sim, 30.0);
    let exposure = overlay::exposure(&sim).expect("some attack");
    let fair = attackers as f64 / NODES as f64;
    assert!((before.attacker_links - fair).abs() < 0.1, "{before:?}");
    assert!(exposure.attacker_links > fair + 0.2, "{exposure:?}");
    assert!(exposure.attacker_peers > fair + 0.1, "{exposure:?}");
    let honest = sim.live_nodes().filter_map(|at| sim.peer(at)).filter(|peer| !sim.attacks(*peer));
    assert_eq!(honest.count(), NODES - attackers);
    assert!(exposure.eclipsed <= exposure.cut_off, "{exposure:?}");
}

/// Timers in ten seconds, after what was done to the clocks.
fn timers(sim: &mut Sim) -> u64 {
    let before = sim.stats().timers;
    pass(sim, 10.0);
    sim.stats().timers - before
}

#[test]
fn clocks_that_drift_make_timers_come_sooner_or_later() {
    let right = timers(&mut settled());
    for (rate, least, most) in [(2.0, 1.8, 2.2), (0.5, 0.4, 0.6)] {
        let mut sim = settled();
        let drift = |lasting| What::ClockDrift { who: Who::All, rate, lasting };
        strike(&mut sim, drift(None), 0.0);
        let drifted = timers(&mut sim) as f64 / right as f64;
        assert!((least..most).contains(&drifted), "{drifted} times as many timers at {rate}");
        let mut sim = settled();
        strike(&mut sim, drift(Some(Span::secs(5))), 10.0);
        let after = timers(&mut sim) as f64 / right as f64;
        assert!((0.9..1.1).contains(&after), "{after} times as many after the drift");
    }
}

#[test]
fn a_jump_fires_all_timers_at_once() {
    let mut sim = settled();
    let before = sim.stats().timers;
    let jump = What::ClockJump { who: share(0.5), by: Span::secs(3_600) };
    let fault = strike(&mut sim, jump, 0.02);
    assert_eq!(fault.struck, NODES / 2);
    let fired = sim.stats().timers - before;
    // Each of half of the nodes has a shuffle and a keep-alive before it.
    assert!(fired >= NODES as u64, "{fired} timers fired");
    pass(&mut sim, 30.0);
    assert!(reaches_all(&mut sim, 0));
}

/// What a fault draws depends on nothing but the seed, its kind and its time.
#[test]
fn faults_draw_for_themselves() {
    let struck = |seed, at| {
        let mut sim = settled();
        let what = What::Crash { who: share(0.3), notice: Death::Closed };
        let mut fault = Ongoing::new(Fault { at, name: None, what }, seed, random_contacts(), 0);
        fault.strike(sim.now(), &mut sim);
        sim.live_nodes().collect::<Vec<_>>()
    };
    let first = struck(1, Span::secs(30));
    assert_eq!(first, struck(1, Span::secs(30)));
    assert_ne!(first, struck(2, Span::secs(30)));
    assert_ne!(first, struck(1, Span::secs(31)));
}

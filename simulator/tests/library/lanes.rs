//! Channels in scenarios: what each kind promises, through loss, copies, restarts, cuts and wrong clocks.

use std::num::NonZeroUsize;
use std::time::Duration;

use murmurate::broadcast::plumtree;
use murmurate::membership::hyparview;
use murmurate_simulator::Simulation;
use murmurate_simulator::engine::lanes::ChannelConfig;
use murmurate_simulator::engine::strategy;
use murmurate_simulator::experiment::runner::{self, ChannelReport, Report};
use murmurate_simulator::experiment::scenario::{Document, Scenario};
use murmurate_simulator::model::network::{Latency, Network};
use murmurate_simulator::observe::check;

const KINDS: [&str; 4] = ["best-effort", "acknowledged", "latest", "request"];

fn read(text: &str) -> Scenario {
    let document = Document::parse("test", text).unwrap_or_else(|error| panic!("{error}"));
    document.scenario().unwrap_or_else(|error| panic!("{error}"))
}

/// Twelve nodes that all send to node 0 for 20 s, then 30 s in which nothing new is sent.
fn all_to_one(kind: &str, seed: u64, more: &str) -> Scenario {
    all_to_one_by(0.0, kind, seed, more)
}

/// The same, by paths of which a share is hop by hop.
fn all_to_one_by(relayed: f64, kind: &str, seed: u64, more: &str) -> Scenario {
    read(&format!(
        "seed = {seed}\nduration = '60s'\nnodes = {{ count = 12, joining = '2s' }}\n\
         channels = [{{ name = 'c', kind = '{kind}', timeout = '12s', relayed = {relayed} }}]\n\
         workload = [{{ from = '10s', until = '30s', pace = {{ rate = 8.0 }}, sender = 'all', \
         payload = 100, send = {{ channel = 'c', to = {{ node = 0 }} }} }}]\n{more}"
    ))
}

fn run(scenario: &Scenario) -> Report {
    let report = runner::run(scenario, &mut ()).expect("a valid scenario");
    assert_eq!(report.violation, None, "seed {}", scenario.seed);
    report
}

/// Of a run in which no sender stops: each message has one outcome.
fn only_channel(scenario: &Scenario) -> ChannelReport {
    let report = run(scenario);
    let channel = report.channels.into_iter().next().expect("one channel");
    assert_eq!((channel.open, channel.duplicates), (0, 0), "{channel:?}");
    channel
}

const LOSSY: &str = "[links]\nloss = 0.2\nduplicate = 0.1\njitter = '30ms'\norder = 'any'\n";

#[test]
fn best_effort_loses_what_relays_lose_and_sends_nothing_again() {
    let c = only_channel(&all_to_one_by(1.0, "best-effort", 1, LOSSY));
    assert_eq!((c.sent, c.retransmitted), (c.messages, 0), "{c:?}");
    let share = c.delivered as f64 / c.messages as f64;
    assert!((0.75..0.85).contains(&share), "{c:?}");
    // A stream is sent again what the network loses.
    for more in ["", LOSSY] {
        let all = only_channel(&all_to_one("best-effort", 1, more));
        assert_eq!((all.delivered, all.delivered_again), (all.messages, 0), "{all:?}");
    }
}

#[test]
fn acknowledged_messages_all_get_through_once() {
    let c = only_channel(&all_to_one_by(1.0, "acknowledged", 2, LOSSY));
    assert!(c.messages > 1_500 && c.retransmitted > 100, "{c:?}");
    assert_eq!((c.delivered, c.acknowledged), (c.messages, c.messages), "{c:?}");
    let round_trip = c.round_trip_seconds.expect("words of delivery").p50;
    assert!(round_trip > c.latency_seconds.expect("deliveries").p50);
}

#[test]
fn requests_are_all_answered_and_each_is_asked_once() {
    let c = only_channel(&all_to_one_by(1.0, "request", 3, LOSSY));
    assert!(c.retransmitted > 100, "{c:?}");
    // Two out of three words come through there and back, and there are five attempts in 12 s.
    assert_eq!(c.answered + c.timed_out, c.messages, "{c:?}");
    assert!(c.delivered + 5 > c.messages && c.timed_out < c.messages / 100, "{c:?}");
}

#[test]
fn the_latest_message_takes_the_place_of_those_that_wait() {
    let slow = format!("{LOSSY}latency = {{ model = 'constant', time = '200ms' }}\n");
    let c = only_channel(&all_to_one("latest", 4, &slow));
    assert_eq!(c.acknowledged + c.shed + c.timed_out, c.messages, "{c:?}");
    assert!(c.shed > c.messages / 2 && c.acknowledged > 100 && c.timed_out < 10, "{c:?}");
}

const RESTART: &str = "[[faults]]\nat = '20s'\ndo.crash = { who.nodes = [0] }\n\
     [[faults]]\nat = '22s'\ndo.restart = { who.nodes = [0] }\n";

#[test]
fn a_receiver_that_starts_anew_gets_nothing_that_its_former_self_may_have_had() {
    for kind in KINDS {
        let far = "[links]\nlatency = { model = 'constant', time = '150ms' }\n";
        let c = only_channel(&all_to_one(kind, 5, &format!("{far}{RESTART}")));
        let known = c.sent + c.acknowledged + c.answered + c.gone + c.shed + c.timed_out;
        assert_eq!((known, c.unreachable), (c.messages, 0), "{kind}: it came back: {c:?}");
        match kind {
            "acknowledged" | "request" => {
                assert!(c.gone > 0 && c.timed_out == 0, "{kind}: {c:?}");
                assert!(c.delivered >= c.messages - c.gone, "{kind}: {c:?}");
                assert_eq!(c.delivered_again, 0, "{kind}: {c:?}");
            }
            // What was under way is sent again, also to the new start, unless there is a newer one.
            "latest" => assert!(c.gone + c.shed > 0 && c.timed_out == 0, "{c:?}"),
            _ => assert!(c.delivered < c.messages && c.gone == 0, "{c:?}"),
        }
    }
}

#[test]
fn a_cut_delays_what_is_acknowledged_until_its_time_is_over() {
    let cut = |until: &str| {
        let text = format!(
            "[[faults]]\nat = '15s'\ndo.partition = {{ who.nodes = [0] }}\n\
             [[faults]]\nat = '{until}'\ndo = 'heal'\n"
        );
        only_channel(&all_to_one("acknowledged", 6, &text))
    };
    let short = cut("20s");
    // A greeting that the cut took is said again after ten seconds: too late for a few messages.
    assert_eq!(short.acknowledged + short.timed_out, short.messages, "{short:?}");
    assert!(short.timed_out < short.messages / 50, "{short:?}");
    assert!(short.latency_seconds.expect("deliveries").max > 4.0, "{short:?}");
    let long = cut("50s");
    assert!(long.timed_out > long.messages / 2, "{long:?}");
    assert!(long.latency_seconds.expect("deliveries").max < 1.0, "{long:?}");
}

#[test]
fn nobody_there_and_no_room_are_outcomes_too() {
    let dead = "[[faults]]\nat = '5s'\ndo.crash = { who.nodes = [0], notice = 'silent' }\n";
    let c = only_channel(&all_to_one("acknowledged", 7, dead));
    assert_eq!((c.unreachable, c.delivered), (c.messages, 0), "{c:?}");
    let mut tight = all_to_one(
        "acknowledged",
        7,
        "links.bandwidth = { up = '20 kbit/s', down = '1 Mbit/s', queue = '64 KiB' }",
    );
    tight.channels[0].queue_messages = 5;
    tight.workload[0].payload.0 = 2_000;
    let c = only_channel(&tight);
    assert!(c.refused > c.messages / 2 && c.delivered > 100, "{c:?}");
}

#[test]
fn a_node_that_started_anew_is_found_over_lines_that_take_their_time() {
    let line = "links.bandwidth = { up = '1 Mbit/s', down = '1 Mbit/s' }\n";
    let c = only_channel(&all_to_one("acknowledged", 8, &format!("{line}{RESTART}")));
    assert_eq!((c.unreachable, c.timed_out), (0, 0), "{c:?}");
    assert!(c.delivered >= c.messages - 50, "{c:?}");
}

/// Everything at once, between all nodes: no promise is broken, on any number of threads.
#[test]
fn whatever_goes_wrong_promises_are_kept_on_any_number_of_threads() {
    let mut again = 0;
    for seed in 0..6 {
        let channels = KINDS.map(|kind| {
            let how = "timeout = '8s', relayed = 0.5, work = '20ms', overflow = 'drop-oldest'";
            format!("{{ name = '{kind}', kind = '{kind}', {how} }}")
        });
        let sends = KINDS.map(|kind| {
            format!(
                "{{ from = '5s', pace = {{ poisson = 4.0 }}, sender = 'all', payload = 300, \
                 send = {{ channel = '{kind}', to = {{ node = {} }} }} }},\
                 {{ from = '5s', pace = {{ rate = 20.0 }}, payload = 50, \
                 send = {{ channel = '{kind}' }} }}",
                seed % 3
            )
        });
        let who = "who = { count = 4 }";
        let scenario = read(&format!(
            "seed = {seed}\nduration = '60s'\nnodes = {{ count = 20, joining = '4s' }}\n\
             channels = [{}]\nworkload = [{}]\n\
             [links]\nloss = 0.05\nduplicate = 0.1\njitter = '40ms'\nreorder = {{ share = 0.1, by = '2s' }}\n\
             bandwidth = {{ up = '2 Mbit/s', down = '2 Mbit/s', queue = '64 KiB' }}\n\
             [[faults]]\nat = '10s'\ndo.churn = {{ for = '40s', how.sessions = {{ up.exponential = {{ mean = '15s' }}, down.exponential = {{ mean = '1s' }} }} }}\n\
             [[faults]]\nat = '12s'\ndo.partition = {{ {who}, for = '5s', one_way = true }}\n\
             [[faults]]\nat = '14s'\ndo.clock-drift = {{ {who}, rate = 1.7, for = '20s' }}\n\
             [[faults]]\nat = '15s'\ndo.clock-jump = {{ {who}, by = '3s' }}\n\
             [[faults]]\nat = '18s'\ndo.stall = {{ {who}, for = '2s' }}\n\
             [[faults]]\nat = '22s'\ndo.crash = {{ who.nodes = [0, 1, 2], notice = 'reset' }}\n\
             [[faults]]\nat = '23s'\ndo.restart = {{ who.nodes = [0, 1, 2] }}\n\
             [[faults]]\nat = '30s'\ndo.recycle = {{ {who} }}\n",
            channels.join(","),
            sends.join(",")
        ));
        let report = run(&scenario);
        for c in &report.channels {
            assert!(c.delivered > 700 && c.duplicates == 0, "seed {seed}: {c:?}");
        }
        again += report.channels[2].delivered_again;
        for threads in [2, 3] {
            let threads = NonZeroUsize::new(threads).expect("some");
            let other = runner::run_on_threads(threads, &scenario, &mut ()).expect("valid");
            assert!(other == report, "seed {seed}, {threads} threads:\n{:?}", other.channels);
        }
    }
    assert!(again > 0, "a new start gets the latest message again");
}

#[test]
fn a_clone_goes_on_with_its_lanes() {
    let latency = Latency::Constant(Duration::from_millis(10));
    let network = Network::new(1, latency, 0.0).expect("valid");
    let nodes = strategy::nodes(hyparview::Parameters::default(), plumtree::Parameters::default())
        .expect("defaults");
    let mut sim = Simulation::new(1, network, nodes);
    let channels: Vec<ChannelConfig> = all_to_one("acknowledged", 1, "")
        .channels
        .iter()
        .map(|channel| channel.config(false))
        .collect();
    sim.start(&[]);
    sim.start(&[0]);
    assert!(!sim.send_on(0, 0, 1, 100), "there is no such channel yet");
    sim.open_channels(&channels, &[]);
    let send = |sim: &mut Simulation<_>| {
        assert!(sim.send_on(0, 0, 1, 100));
        assert!(
            !sim.send_on(0, 0, 0, 100) && !sim.send_on(0, 0, 2, 100) && !sim.send_on(1, 0, 1, 9)
        );
    };
    send(&mut sim);
    sim.run_until(sim.now().after(Duration::from_millis(25)));
    let mut clone = sim.clone();
    for sim in [&mut sim, &mut clone] {
        send(sim);
        sim.run_until(sim.now().after(Duration::from_secs(5)));
        assert_eq!(check::safety(sim), Ok(()));
        let tally = &sim.channel_tallies().0[0];
        assert_eq!((tally.messages, tally.acknowledged, tally.duplicates), (2, 2, 0));
    }
}

/// A node sends one message to another that it is not connected with.
fn once(connections: &str, more: &str) -> ChannelReport {
    only_channel(&read(&format!(
        "duration = '60s'\nnodes = {{ count = 60, joining = '2s' }}\n\
         links = {{ latency = {{ model = 'constant', time = '20ms' }}, {connections} }}\n\
         channels = [{{ name = 'c', kind = 'acknowledged', timeout = '12s' }}]\n\
         workload = [{{ from = '30s', count = 1, sender = {{ node = 7 }}, payload = 100, \
         send = {{ channel = 'c', to = {{ node = 50 }} }} }}]\n{more}"
    )))
}

#[test]
fn a_first_message_waits_for_a_dial_if_dials_take_time() {
    let took = |connections| {
        let latency = once(connections, "").latency_seconds.expect("it arrives");
        Duration::from_secs_f64(latency.max).as_millis()
    };
    assert_eq!(took(""), 60, "greeting, answer and message");
    assert_eq!(took("connections = { round_trips = 1 }"), 100);
    assert_eq!(took("connections = { round_trips = 3 }"), 140, "without the overlay's greeting");
}

#[test]
fn who_refuses_dials_is_unreachable_until_it_is_back() {
    let restarted = |at: &str| {
        once(
            "connections = {}",
            &format!(
                "[[faults]]\nat = '20s'\ndo.crash.who.nodes = [50]\n\
                 [[faults]]\nat = '{at}'\ndo.restart.who.nodes = [50]\n"
            ),
        )
    };
    let gone = restarted("40s");
    assert_eq!((gone.delivered, gone.sent, gone.unreachable), (0, 0, 1), "{gone:?}");
    let back = restarted("25s");
    assert_eq!((back.delivered, back.acknowledged), (1, 1), "{back:?}");
}

/// After an idle time a connection is dialled anew, and nobody answers the dial. Whoever sends must not
/// conclude that the process is gone.
#[test]
fn a_dial_without_an_answer_proves_nothing() {
    let c = only_channel(&read(
        "duration = '90s'\nnodes = { count = 60, joining = '2s' }\n\
         links.connections = { timeout = '2s', idle = '5s' }\n\
         channels = [{ name = 'c', kind = 'acknowledged', timeout = '12s' }]\n\
         workload = [{ from = '30s', count = 2, pace = { pause = '15s' }, sender = { node = 7 }, \
         payload = 100, send = { channel = 'c', to = { node = 50 } } }]\n\
         [[faults]]\nat = '40s'\ndo.partition = { who = { nodes = [50] }, for = '40s' }\n",
    ));
    assert_eq!((c.acknowledged, c.timed_out, c.unreachable), (1, 1, 0), "{c:?}");
}

#[test]
fn promises_are_kept_where_connections_are_dialled() {
    let more = "[links]\nloss = 0.1\nconnections = {}\ntransport = 'streams'\n\
        [[faults]]\nat = '14s'\ndo.crash.who.nodes = [0, 3]\n\
        [[faults]]\nat = '18s'\ndo.restart.who.nodes = [0, 3]\n\
        [[faults]]\nat = '22s'\ndo.partition = { who = { nodes = [1, 2] }, for = '4s' }\n";
    for kind in KINDS {
        let report = run(&all_to_one(kind, 5, more));
        let c = &report.channels[0];
        assert!(c.delivered > c.messages / 2 && c.duplicates == 0, "{kind}: {c:?}");
    }
}

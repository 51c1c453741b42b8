//! What the network does to messages.

use super::*;

fn draws(latency: Latency, loss: f64) -> (Network, Vec<Option<u64>>) {
    let network = Network::new(7, latency, loss).expect("valid");
    let (a, b) = (SimPeer::new(1, 0), SimPeer::new(2, 0));
    let draws = (0..20_000).map(|sequence| network.carry(a, b, sequence, 0)).collect();
    (network, draws)
}

#[test]
fn latencies_follow_their_model() {
    let ms = Duration::from_millis;
    let (network, uniform) = draws(Latency::Uniform(ms(10), ms(100)), 0.0);
    let uniform: Vec<u64> = uniform.into_iter().flatten().collect();
    let mean = uniform.iter().sum::<u64>() as f64 / uniform.len() as f64 / 1e6;
    assert!((54.0..56.0).contains(&mean), "mean {mean} ms");
    assert!(uniform.iter().all(|l| (network.least_latency()..=100_000_000).contains(l)));

    let (_, normal) = draws(Latency::LogNormal { median: ms(50), sigma: 0.5 }, 0.0);
    let mut normal: Vec<u64> = normal.into_iter().flatten().collect();
    normal.sort_unstable();
    let quantile = |q: f64| normal[(normal.len() as f64 * q) as usize] as f64 / 1e6;
    assert!((49.0..51.0).contains(&quantile(0.5)), "median {}", quantile(0.5));
    // One sigma up: 50 × e^0.5 = 82.4 ms.
    assert!((80.0..85.0).contains(&quantile(0.8413)), "{}", quantile(0.8413));
}

#[test]
fn loss_is_a_share_and_shifts_no_latency() {
    let uniform = Latency::Uniform(Duration::from_millis(10), Duration::from_millis(100));
    let (_, all) = draws(uniform.clone(), 0.0);
    let (_, lossy) = draws(uniform, 0.3);
    let lost = lossy.iter().filter(|draw| draw.is_none()).count();
    assert!((5_700..6_300).contains(&lost), "{lost} of 20,000 at 30 %");
    assert!(lossy.iter().zip(&all).all(|(lossy, all)| lossy.is_none() || lossy == all));
}

/// Of the losses of two classes the greater one counts, where one has none of its own that of all.
#[test]
fn losses_are_those_of_the_classes() {
    let class = |node, loss| Class {
        name: format!("{node}"),
        members: Members::Nodes(vec![node]),
        bandwidth: None,
        loss,
        shared: None,
        nat: None,
    };
    let latency = Latency::Constant(Duration::from_millis(1));
    let classes =
        vec![class(1, Some(0.05)), class(2, Some(0.2)), class(3, Some(0.0)), class(4, None)];
    let network = Network::new(7, latency, 0.1).expect("valid");
    let mut network =
        network.with(&LinkModel::default()).expect("valid").classed(classes, 7).expect("valid");
    let count = 20_000;
    let lost = |network: &Network, from, to| {
        let packet = |sequence| {
            let (from, to) = (SimPeer::new(from, 0), SimPeer::new(to, 0));
            Packet { from, to, sequence, bytes: 1, now: 0 }
        };
        let sent = (0..count).map(|sequence| network.send(&packet(sequence), None));
        sent.filter(|transmission| *transmission == Transmission::Lost).count() as f64
    };
    for (from, to, share) in [
        (0, 5, 0.1),
        (0, 4, 0.1),
        (0, 1, 0.05),
        (1, 0, 0.05),
        (1, 2, 0.2),
        (2, 1, 0.2),
        (3, 0, 0.0),
        (3, 2, 0.2),
    ] {
        let (mean, sigma) =
            (share * f64::from(count), (f64::from(count) * share * (1.0 - share)).sqrt());
        let found = lost(&network, from, to);
        assert!((found - mean).abs() <= 4.0 * sigma, "{from} to {to}: {found}, {mean} expected");
    }
    network.calm();
    assert_eq!(lost(&network, 1, 2), 0.0);
}

#[test]
fn a_one_way_cut_lets_the_other_way_pass() {
    let latency = Latency::Constant(Duration::from_millis(1));
    let mut network = Network::new(7, latency, 0.0).expect("valid");
    let (near, far) = (SimPeer::new(0, 0), SimPeer::new(9, 0));
    network.cut(10, |index| index >= 5, true);
    assert_eq!(network.carry(near, far, 0, 0), None);
    assert!(network.carry(far, near, 0, 0).is_some());
    network.cut(10, |index| index >= 5, false);
    assert_eq!(network.carry(far, near, 0, 0), None);
    assert!(network.carry(far, SimPeer::new(8, 0), 0, 0).is_some());
    network.heal();
    assert!(network.carry(near, far, 0, 0).is_some());
}

#[test]
fn wrong_values_are_refused() {
    let ms = Duration::from_millis;
    let new = |latency, loss| Network::new(0, latency, loss).expect_err("wrong").to_string();
    assert_eq!(new(Latency::Constant(ms(1)), 1.5), "loss 1.5 is out of range: 0 to 1");
    assert!(new(Latency::Constant(ms(0)), 0.0).starts_with("latency 0ns is out of range"));
    assert!(new(Latency::Uniform(ms(9), ms(3)), 0.0).contains("9ms,3ms"));
}

fn perfect(links: &LinkModel) -> Network {
    let latency = Latency::Constant(Duration::from_millis(10));
    Network::new(7, latency, 0.0).expect("valid").with(links).expect("valid")
}

/// What becomes of `count` messages of `bytes` bytes from node 1 to node 2, sent so many nanoseconds
/// apart.
fn transmissions(network: &Network, count: u32, bytes: u64, apart: u64) -> Vec<Transmission> {
    let mut port = Port::default();
    let (from, to) = (SimPeer::new(1, 0), SimPeer::new(2, 0));
    let packet = |sequence| Packet { from, to, sequence, bytes, now: u64::from(sequence) * apart };
    (0..count).map(|sequence| network.send(&packet(sequence), Some(&mut port))).collect()
}

fn arrivals(transmissions: &[Transmission]) -> Vec<u64> {
    let time = |transmission: &Transmission| match transmission {
        Transmission::Resent { arrives: time, .. }
        | Transmission::Shared { arrives: time, .. }
        | Transmission::Arrives(time)
        | Transmission::Twice(time, _) => Some(*time),
        Transmission::Lost | Transmission::Shed => None,
    };
    transmissions.iter().filter_map(time).collect()
}

#[test]
fn messages_overtake_each_other_unless_links_keep_their_order() {
    let jitter = Duration::from_millis(20);
    let any = perfect(&LinkModel { jitter, ..LinkModel::default() });
    let fifo = perfect(&LinkModel { jitter, fifo: true, ..LinkModel::default() });
    let (any, fifo) =
        (transmissions(&any, 1_000, 1, 1_000_000), transmissions(&fifo, 1_000, 1, 1_000_000));
    let (any, fifo) = (arrivals(&any), arrivals(&fifo));
    assert!(!any.is_sorted() && fifo.is_sorted());
    for (at, (any, fifo)) in any.iter().zip(&fifo).enumerate() {
        let sent = at as u64 * 1_000_000;
        assert!((10_000_000..=30_000_000).contains(&(any - sent)), "message {at}");
        assert!(fifo >= any, "order only delays");
    }
}

#[test]
fn only_those_held_back_are_overtaken() {
    let reorder = Some((0.1, Duration::from_millis(5)));
    let network = perfect(&LinkModel { reorder, fifo: true, ..LinkModel::default() });
    let arrivals = arrivals(&transmissions(&network, 10_000, 1, 1_000_000));
    let late = |(at, time): (usize, &u64)| *time > at as u64 * 1_000_000 + 10_000_000;
    let held = arrivals.iter().enumerate().filter(|a| late(*a)).count();
    assert!((900..1_100).contains(&held), "{held} of 10,000 at 10 %");
    assert!(!arrivals.is_sorted());
}

#[test]
fn copies_come_later_and_never_at_the_same_time() {
    let network = perfect(&LinkModel { duplicate: 0.2, ..LinkModel::default() });
    let transmissions = transmissions(&network, 10_000, 1, 0);
    let copies = transmissions.iter().filter_map(|transmission| match transmission {
        Transmission::Twice(first, second) => Some((*first, *second)),
        _ => None,
    });
    let copies: Vec<_> = copies.collect();
    assert!((1_900..2_100).contains(&copies.len()), "{} of 10,000 at 20 %", copies.len());
    assert!(copies.iter().all(|(first, second)| first < second));
}

/// With bad 20 % of the time for 100 ms, and a message a millisecond: as many are lost, in runs of a
/// hundred. At 100 ms apart the next message knows little of the one before.
#[test]
fn bursts_have_their_share_and_their_length() {
    let length = Duration::from_millis(100);
    let bursts = Some(BurstModel { share: 0.2, length, loss: 1.0 });
    let network = perfect(&LinkModel { bursts, ..LinkModel::default() });
    for (apart, expected_run) in [(1_000_000, 100.0), (100_000_000, 1.752)] {
        let transmissions = transmissions(&network, 200_000, 1, apart);
        let lost: Vec<bool> = transmissions.iter().map(|j| *j == Transmission::Lost).collect();
        let share = lost.iter().filter(|lost| **lost).count() as f64 / lost.len() as f64;
        let runs = lost.windows(2).filter(|pair| pair[0] && !pair[1]).count();
        let run = share * lost.len() as f64 / runs as f64;
        assert!((share - 0.2).abs() < 0.02, "{share} lost");
        assert!((run / expected_run - 1.0).abs() < 0.12, "{run} lost in a row");
    }
}

#[test]
fn a_line_takes_its_time_and_sheds_what_does_not_fit() {
    // A kilobyte takes a millisecond.
    let line = BandwidthModel { up: 8_000_000, down: 8_000_000, queue: 10_000 };
    let network = perfect(&LinkModel { bandwidth: Some(line), ..LinkModel::default() });
    let transmissions = transmissions(&network, 12, 1_000, 0);
    let ms = |n: u64| Transmission::Arrives(10_000_000 + n * 1_000_000);
    assert_eq!(transmissions[..10], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(ms));
    assert_eq!(transmissions[10..], [Transmission::Shed; 2]);
    let mut port = Port::default();
    let whole = |port: &mut Port, now| port.receive(now, 2_000, line);
    assert_eq!(whole(&mut port, 2_000_000), Some(2_000_000), "as it came");
    assert_eq!(whole(&mut port, 2_000_000), Some(4_000_000), "another one at the same time");
    assert_eq!(whole(&mut port, 11_000_000), Some(11_000_000), "it was idle meanwhile");
    let large = 2_000_000_000;
    assert_eq!(port.receive(large, 1 << 20, line), Some(large));
    assert_eq!(port.receive(large, 1 << 20, line), None);
}

/// A line that takes more time than that before it is waited for, and one that takes less is not.
#[test]
fn the_slower_of_two_lines_counts_and_not_both() {
    let mbit = 1_000_000;
    for (up, down, milliseconds) in [(8, 8, 1_000), (8, 16, 1_000), (16, 8, 1_000), (4, 8, 2_000)] {
        let line = BandwidthModel { up: up * mbit, down: down * mbit, queue: 1 << 30 };
        let network = perfect(&LinkModel { bandwidth: Some(line), ..LinkModel::default() });
        let bytes = 1_000_000;
        let Transmission::Arrives(last) = transmissions(&network, 1, bytes, 0)[0] else {
            panic!("it arrives")
        };
        let whole = Port::default().receive(last, bytes, line).unwrap();
        assert_eq!(whole, 10_000_000 + milliseconds * 1_000_000, "{up} up, {down} down");
    }
}

/// One fault more leaves the other draws as they were.
#[test]
fn no_fault_shifts_the_draws_of_another() {
    let plain = perfect(&LinkModel { jitter: Duration::from_millis(20), ..LinkModel::default() });
    let bursts = Some(BurstModel { share: 0.2, length: Duration::from_millis(100), loss: 1.0 });
    let harsh = LinkModel {
        jitter: Duration::from_millis(20),
        bursts,
        duplicate: 0.3,
        ..LinkModel::default()
    };
    let before = transmissions(&plain, 5_000, 1, 1_000_000);
    let after = transmissions(&perfect(&harsh), 5_000, 1, 1_000_000);
    let mut arrived = 0;
    for pair in before.iter().zip(&after) {
        if let (
            Transmission::Arrives(before),
            Transmission::Arrives(after) | Transmission::Twice(after, _),
        ) = pair
        {
            assert_eq!(before, after);
            arrived += 1;
        }
    }
    assert!((3_800..4_200).contains(&arrived), "{arrived} of 5,000 arrived");
}

#[test]
fn a_port_forgets_the_links_that_say_nothing_any_more() {
    let bursts = Some(BurstModel { share: 0.1, length: Duration::from_millis(10), loss: 1.0 });
    let network = perfect(&LinkModel { bursts, ..LinkModel::default() });
    let mut port = Port::default();
    for index in 0..10_000 {
        let (from, to) = (SimPeer::new(0, 0), SimPeer::new(1 + index, 0));
        let now = index as u64 * 1_000_000;
        network.send(&Packet { from, to, sequence: 0, bytes: 1, now }, Some(&mut port));
    }
    assert!(port.links() < 1_000, "{} links remembered", port.links());
}

#[test]
fn links_flap_both_ways_together_and_each_at_its_own_time() {
    let mut network = perfect(&LinkModel::default());
    let ms = Duration::from_millis;
    let flapping = network.flap(Side::of(10, |index| index == 0), ms(300), ms(100));
    let passes = |network: &Network, from: usize, to: usize, at: u64| {
        network.carry(SimPeer::new(from, 0), SimPeer::new(to, 0), 0, at * 1_000_000).is_some()
    };
    let up = |to: usize| (0..4_000).map(move |at| (to, at));
    for to in 1..4 {
        let there: Vec<bool> = up(to).map(|(to, at)| passes(&network, 0, to, at)).collect();
        let back: Vec<bool> = up(to).map(|(to, at)| passes(&network, to, 0, at)).collect();
        assert_eq!(there, back);
        assert_eq!(there.iter().filter(|passes| **passes).count(), 3_000, "three quarters");
    }
    let pattern = |network: &Network, to| {
        up(to).map(|(to, at)| passes(network, 0, to, at)).collect::<Vec<_>>()
    };
    assert_ne!(pattern(&network, 1), pattern(&network, 2));
    assert!(up(2).all(|(_, at)| passes(&network, 1, 2, at)), "the others' links stay up");
    network.heal();
    assert_ne!(pattern(&network, 1), vec![true; 4_000], "healing ends partitions");
    network.mend(flapping);
    assert!(up(1).all(|(_, at)| passes(&network, 0, 1, at)));
}

/// What waits to be sent again keeps no line busy: messages to others leave meanwhile.
#[test]
fn a_line_is_free_until_something_is_sent_again() {
    let bandwidth = Some(BandwidthModel { up: 37_000_000, down: 37_000_000, queue: 1 << 20 });
    let links = LinkModel { streams: true, fifo: true, bandwidth, ..LinkModel::default() };
    let mut network = perfect(&links);
    network.set_loss(0.05).expect("a share");
    let (mut port, mut prompt) = (Port::default(), 0);
    for sequence in 0..20_000 {
        // A hundred streams, and a ninth of what the line carries.
        let (from, to) = (SimPeer::new(1, 0), SimPeer::new(2 + sequence as usize % 100, 0));
        let now = u64::from(sequence) * 1_000_000;
        let packet = Packet { from, to, sequence, bytes: 500, now };
        match network.send(&packet, Some(&mut port)) {
            Transmission::Arrives(arrives) => prompt += u32::from(arrives - now < 12_000_000),
            Transmission::Resent { .. } => {}
            other => panic!("{sequence}: {other:?}"),
        }
    }
    // On its stream each lost one keeps about two others waiting.
    assert!(prompt > 16_000, "{prompt} of 20000 come at once");
}

#[test]
fn streams_lose_nothing_but_time() {
    let links = LinkModel { streams: true, fifo: true, ..LinkModel::default() };
    let mut network = perfect(&links);
    network.set_loss(0.3).expect("a share");
    let transmissions = transmissions(&network, 10_000, 1_000, 1_000_000);
    let (mut sent, mut lost) = (0, 0);
    for transmission in &transmissions {
        match transmission {
            Transmission::Arrives(_) => sent += 1,
            Transmission::Resent { times, .. } => sent += times,
            Transmission::Lost => lost += 1,
            other => panic!("{other:?}"),
        }
    }
    // Eight attempts fail once in 15,000 times.
    assert!(lost < 5, "{lost} lost");
    let each = f64::from(sent as u32) / 10_000.0;
    assert!((each - 1.0 / 0.7).abs() < 0.02, "sent {each} times each");
    let times = arrivals(&transmissions);
    assert!(times.is_sorted(), "those behind wait");
}

//! Shared lines beside what theory says of them.

use std::num::NonZeroUsize;

use super::*;
use crate::model::dice::Dice;

const LEG: u64 = 1_000_000;
const MBIT: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

/// Lines of so many bits a second.
fn lines(rates: &[u64], queue: u64) -> Lines<u32> {
    let all: Vec<_> = rates.iter().map(|&rate| Some(SharedLine { rate, queue })).collect();
    Lines::new(Sharding::new(NonZeroUsize::MIN), 0, &all, LEG, true)
}

fn head(bytes: u64, is_on_stream: bool, next: Option<u16>) -> Head {
    Head { bytes, kind: None, is_on_stream, next }
}

/// Message `number` of a flow, whose first and last bits come to the first line at these times.
fn send(lines: &mut Lines<u32>, flow: u32, number: u32, bytes: u64, times: (u64, u64)) {
    let name = ((flow, 0), number, false);
    let next = (lines.lines.len() > 1).then_some(1);
    let bit = Bit::First(head(bytes, false, next));
    lines.push(Note { line: 0, time: times.0, name, bit });
    lines.push(Note { line: 0, time: times.1, name, bit: Bit::Last(flow) });
}

/// What arrives until then, bucket by bucket: when it left the last line, and its flow. And how much was
/// shed.
fn run(lines: &mut Lines<u32>, until: u64) -> (Vec<(u64, u32)>, usize) {
    let (mut arrived, mut shed) = (Vec::new(), 0);
    for bucket in 1..=until.div_ceil(LEG) {
        for out in lines.run(bucket * LEG) {
            match out {
                Out::Arrives(time, flow) => arrived.push((time - LEG, flow)),
                Out::Shed(..) => shed += 1,
                Out::Note(_) | Out::Lost(..) => {}
            }
        }
    }
    (arrived, shed)
}

/// The max-min fair shares of a line, by filling all alike until the least has what it wants.
fn water_filling(rate: f64, wanted: &[f64]) -> Vec<f64> {
    let mut shares = vec![0.0; wanted.len()];
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut left = rate;
    for (done, &flow) in order.iter().enumerate() {
        shares[flow] = wanted[flow].min(left / (order.len() - done) as f64);
        left -= shares[flow];
    }
    shares
}

#[test]
fn flows_get_max_min_fair_shares() {
    assert_eq!(water_filling(10.0, &[1.0, 20.0, 2.0, 8.0]), [1.0, 3.5, 2.0, 3.5]);
    let mut dice = Dice::new(5);
    for case in 0..20 {
        let rate = dice.between(5, 20) * MBIT;
        let count = dice.between(2, 8);
        let wanted: Vec<u64> = (0..count).map(|_| dice.between(200_000, 8 * MBIT)).collect();
        let mut lines = lines(&[rate], u64::MAX);
        let (bytes, seconds) = (1_250, 10);
        for (flow, wanted) in wanted.iter().enumerate() {
            let time = |number: u64| number * bytes * 8 * SECOND / wanted;
            for number in 0..seconds * wanted / (8 * bytes) {
                let times = (time(number), time(number + 1));
                send(&mut lines, flow as u32, number as u32, bytes, times);
            }
        }
        let (arrived, _) = run(&mut lines, seconds * SECOND);
        let fair =
            water_filling(rate as f64, &wanted.iter().map(|w| *w as f64).collect::<Vec<_>>());
        for (flow, fair) in fair.iter().enumerate() {
            let got = arrived.iter().filter(|(_, of)| *of == flow as u32).count() as u64;
            let got = (8 * bytes * got / seconds) as f64;
            assert!((got / fair - 1.0).abs() < 0.01, "case {case}, {flow}: {got} of {fair}");
        }
    }
}

/// Who begins at the same time is done when the shares say so.
#[test]
fn transfers_take_their_bytes_by_their_shares() {
    let mut lines = lines(&[8 * MBIT], u64::MAX);
    // A megabyte takes a second alone.
    for (flow, megabytes) in [3, 1, 2].into_iter().enumerate() {
        send(&mut lines, flow as u32, 0, megabytes * 1_000_000, (0, 0));
    }
    // Three for a third each, then two for a half, then one for all.
    let (arrived, _) = run(&mut lines, 10 * SECOND);
    let expected = [(3 * SECOND, 1), (5 * SECOND, 2), (6 * SECOND, 0)];
    for ((at, flow), (expected, of)) in arrived.iter().zip(expected) {
        assert!(*flow == of && at.abs_diff(expected) < 100, "{arrived:?}");
    }
    assert_eq!(arrived.len(), 3);
}

/// Each flow goes at its own time: a small one is not held up by a large one.
#[test]
fn a_small_message_does_not_wait_for_a_large_one() {
    let mut lines = lines(&[8 * MBIT], u64::MAX);
    send(&mut lines, 0, 0, 10_000_000, (0, 0));
    send(&mut lines, 0, 1, 1_000, (SECOND, SECOND));
    send(&mut lines, 1, 0, 1_000, (SECOND, SECOND));
    let (arrived, _) = run(&mut lines, 12 * SECOND);
    let flows: Vec<u32> = arrived.iter().map(|(_, flow)| *flow).collect();
    assert_eq!(flows, [1, 0, 0]);
    // Half of the line is its own.
    assert!(arrived[0].0.abs_diff(SECOND + 2_000_000) < 10, "{arrived:?}");
}

#[test]
fn the_slowest_of_the_lines_on_the_way_counts_and_not_all() {
    for (rates, access, seconds) in [
        ([8, 16], 0, 1),
        ([16, 8], 0, 1),
        ([8, 8], 0, 1),
        ([8, 8], 1, 1),
        ([16, 16], 2, 2),
        ([4, 8], 1, 2),
    ] {
        let mut lines = lines(&rates.map(|rate| rate * MBIT), u64::MAX);
        send(&mut lines, 7, 0, 1_000_000, (0, access * SECOND));
        let (arrived, _) = run(&mut lines, 3 * SECOND);
        let expected = seconds * SECOND + LEG;
        assert!(arrived[0].0.abs_diff(expected) < 100, "{rates:?}, {access}: {arrived:?}");
    }
}

fn assert_nothing_is_left(lines: &Lines<u32>) {
    assert_eq!(lines.len(), 0, "messages");
    for line in &lines.lines {
        let parts = (line.notes.len(), line.passing.len(), line.flows.len(), line.finishes.len());
        assert_eq!(parts, (0, 0, 0, 0));
    }
}

#[test]
fn what_does_not_fit_is_shed_and_on_streams_sent_again() {
    for is_on_stream in [false, true] {
        let mut lines = lines(&[8 * MBIT], 30_000);
        for number in 0..4 {
            let name = ((1, 0), number, false);
            let bit = Bit::First(head(10_000, is_on_stream, None));
            lines.push(Note { line: 0, time: 0, name, bit });
            lines.push(Note { line: 0, time: 0, name, bit: Bit::Last(number) });
        }
        let (arrived, shed) = run(&mut lines, SECOND);
        let times: Vec<u64> = arrived.iter().map(|(at, _)| at / 1_000_000).collect();
        let expected: &[u64] = if is_on_stream { &[10, 20, 30, 210] } else { &[10, 20, 30] };
        assert_eq!((times.as_slice(), shed), (expected, 1));
        assert_nothing_is_left(&lines);
    }
}

/// Whatever overflows, over one line or two: the messages of a stream arrive in order, each once, or are
/// told to be lost; each refusal is told, and nothing stays behind.
#[test]
fn streams_keep_their_order_and_lose_nothing_silently() {
    let mut resent = 0;
    for seed in 0..60 {
        let dice = &mut Dice::new(seed);
        let rates: Vec<u64> = (0..dice.between(1, 2)).map(|_| dice.between(50_000, MBIT)).collect();
        let mut lines = lines(&rates, dice.between(1_000, 40_000));
        let next = (rates.len() > 1).then_some(1);
        let (flows, each) = (dice.between(1, 4), dice.between(20, 60));
        for flow in 0..flows {
            let (mut now, mut before) = (0, 0);
            for number in 0..each {
                now += dice.between(0, 40) * 1_000_000;
                // Drawn apart, and kept in order as by the port of the sender.
                let bytes = dice.between(40, 20_000);
                let last = before.max(now + dice.between(1, 100) * 1_000_000);
                let first = before.max(last - last.min(bytes * 8 * SECOND / MBIT));
                before = last;
                let name = ((flow, 0), number, false);
                let is_on_stream = dice.chance(90);
                let bit = Bit::First(head(bytes, is_on_stream, next));
                lines.push(Note { line: 0, time: first, name, bit });
                let what = flow << 16 | number << 1 | u32::from(is_on_stream);
                lines.push(Note { line: 0, time: last, name, bit: Bit::Last(what) });
            }
        }
        let (mut ended, mut comes_again, mut gone) = (Vec::new(), 0, 0);
        for bucket in 1..=400 * SECOND / LEG {
            for out in lines.run(bucket * LEG) {
                match out {
                    Out::Arrives(at, what) => ended.push((what >> 16, at, what, true)),
                    Out::Lost(at, what) => ended.push((what >> 16, at, what, false)),
                    Out::Shed(_, true) => comes_again += 1,
                    Out::Shed(head, false) => gone += u32::from(!head.is_on_stream),
                    Out::Note(_) => {}
                }
            }
        }
        assert_nothing_is_left(&lines);
        assert_eq!(ended.len() as u32 + gone, flows * each, "seed {seed}");
        ended.sort_unstable();
        let of_flows = ended.chunk_by(|one, two| one.0 == two.0);
        for flow in of_flows {
            let arrived = flow.iter().filter(|ended| ended.3 && ended.2 & 1 == 1);
            let arrived = arrived.map(|ended| ended.2);
            assert!(arrived.is_sorted(), "seed {seed}: {flow:?}");
        }
        resent += comes_again;
    }
    assert!(resent > 100, "{resent}");
}

/// Eight times it is sent in all, over 25 s. A line that carries nothing else in that time breaks the stream.
#[test]
fn what_is_refused_too_often_is_told_to_be_lost() {
    let mut lines = lines(&[1_000], 1);
    for (number, bytes) in [(0, 100_000), (1, 100), (2, 100)] {
        let name = ((1, 0), number, false);
        lines.push(Note { line: 0, time: 0, name, bit: Bit::First(head(bytes, true, None)) });
        lines.push(Note { line: 0, time: 0, name, bit: Bit::Last(number) });
    }
    let mut told = Vec::new();
    for bucket in 1..=900 * SECOND / LEG {
        for out in lines.run(bucket * LEG) {
            match out {
                Out::Lost(at, number) => told.push((number, at / 1_000_000_000, false)),
                Out::Arrives(at, number) => told.push((number, at / 1_000_000_000, true)),
                Out::Shed(_, again) => assert!(again || told.len() < 2),
                Out::Note(_) => {}
            }
        }
    }
    // 200 ms and twice as long each time come to 25.4 s.
    assert_eq!(told, [(1, 25, false), (2, 50, false), (0, 800, true)]);
    assert_nothing_is_left(&lines);
}

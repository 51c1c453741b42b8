//! Lanes hop by hop over the overlay, to nodes that no dial reaches.
//!
//! What a stream would carry travels in datagrams: a word, the sending node's number of the lane, and a
//! greeting, its answer, or the number of the receiving half and a frame.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::counts::{LATE, NO_LANE, NONSENSE, UNPROVEN};
use super::demux::Back;
use super::ends::Unattached;
use super::error::{Ended, SendError};
use super::hub::Hub;
use super::inbound::{self, InboundLane, Key};
use super::lane::{Lane, Said};
use super::wire::{self, Answer, HEADER, Head, Hello, Refusal};
use crate::NodeId;
use crate::channel::session::End;
use crate::channel::{Frame, MAX_MESSAGE, Path};
use crate::id::Incarnation;
use crate::node::unreachable::Unreachable;
use crate::node::wire::SIGNATURE;

/// The word before a sending half's greeting, its answer, a frame forth, a frame back, and the news that
/// there is no such half.
const HELLO: u8 = 0;
const ANSWER: u8 = 1;
const FORTH: u8 = 2;
const BACK: u8 = 3;
const UNKNOWN: u8 = 4;

/// Bytes of a datagram before a frame's body.
const OVERHEAD: usize = 1 + 2 * size_of::<u64>() + HEADER;
/// How long a receiving half is served of which nothing is heard.
const SILENCE: Duration = Duration::from_secs(60);

fn greeting<T: Serialize>(word: u8, number: u64, greeting: &T) -> Bytes {
    let mut head = vec![word];
    head.extend_from_slice(&number.to_be_bytes());
    #[allow(clippy::expect_used, reason = "a vector takes anything")]
    let bytes = postcard::to_extend(greeting, head).expect("plain data serializes");
    bytes.into()
}

fn frame(word: u8, number: u64, half: u64, frame: Frame, compressed: bool) -> Bytes {
    let (header, body) = wire::encode(frame, compressed);
    let mut bytes = BytesMut::with_capacity(OVERHEAD + body.len());
    bytes.put_u8(word);
    bytes.put_u64(number);
    bytes.put_u64(half);
    bytes.put_slice(&header);
    bytes.put_slice(&body);
    bytes.freeze()
}

/// The frame in a datagram's rest, if it is one.
fn decode(mut rest: Bytes, max_message: usize) -> Option<Frame> {
    let head = Head::decode(*rest.first_chunk::<HEADER>()?, max_message).ok()?;
    let body = rest.split_off(HEADER);
    if body.len() != head.length { None } else { head.frame(body, max_message).ok() }
}

/// Takes a datagram that a neighbour brought in the name of `from`; what to answer, if anything.
pub(crate) fn on_datagram(
    hub: &Arc<Hub>,
    by: NodeId,
    from: Incarnation,
    data: &Bytes,
) -> Option<Bytes> {
    let taken = take(hub, by, from, data);
    taken.unwrap_or_else(|dropped| {
        hub.relayed_dropped.with_label_values(&[dropped]).inc();
        None
    })
}

/// The answer, or why the datagram is dropped.
fn take(
    hub: &Arc<Hub>,
    by: NodeId,
    from: Incarnation,
    data: &Bytes,
) -> Result<Option<Bytes>, &'static str> {
    let mut rest = data.clone();
    let word = rest.try_get_u8().map_err(|_| NONSENSE)?;
    let number = rest.try_get_u64().map_err(|_| NONSENSE)?;
    match word {
        HELLO => {
            let answer = greet(hub, by, from, number, &rest)?;
            return Ok(Some(greeting(ANSWER, number, &answer)));
        }
        ANSWER => {
            let answer = wire::decode(&rest).map_err(|_| NONSENSE)?;
            hub.demux.back(from, number, Back::Answer(answer))?;
            return Ok(None);
        }
        _ => {}
    }
    let half = rest.try_get_u64().map_err(|_| NONSENSE)?;
    match word {
        FORTH => {
            let frame = decode(rest, MAX_MESSAGE).ok_or(NONSENSE)?;
            match hub.demux.forth(from, half, frame) {
                Err(NO_LANE) => {
                    hub.relayed_dropped.with_label_values(&[NO_LANE]).inc();
                    return Ok(Some(unknown(number, half)));
                }
                given => given?,
            }
        }
        BACK => {
            let frame = decode(rest, MAX_MESSAGE).ok_or(NONSENSE)?;
            hub.demux.back(from, number, Back::Frame(half, frame))?;
        }
        UNKNOWN if rest.is_empty() => hub.demux.back(from, number, Back::Unknown(half))?,
        _ => return Err(NONSENSE),
    }
    Ok(None)
}

/// Says that there is no such half here.
fn unknown(number: u64, half: u64) -> Bytes {
    let mut bytes = BytesMut::with_capacity(OVERHEAD - HEADER);
    bytes.put_u8(UNKNOWN);
    bytes.put_u64(number);
    bytes.put_u64(half);
    bytes.freeze()
}

/// A way that was laid is no more.
pub(crate) fn on_way_lost(hub: &Hub, to: Incarnation) {
    hub.demux.lost(to);
}

/// Takes in a lane that is relayed; what to answer, or why nothing is.
fn greet(
    hub: &Arc<Hub>,
    by: NodeId,
    from: Incarnation,
    number: u64,
    hello: &[u8],
) -> Result<Answer, &'static str> {
    let hello: Hello<'_> = wire::decode(hello).map_err(|_| NONSENSE)?;
    if hello.started != from.started || hello.greeting.epoch != number {
        return Err(NONSENSE);
    }
    let refused = |why: Refusal| {
        hub.shared.note_refusal(wire::HERE, from.node, &hello.channel, &why);
        Ok(Answer::Refused { attempt: hello.greeting.attempt, why })
    };
    let channel = match hub.shared.accepts(None, &hello) {
        Ok(channel) => channel,
        Err(refusal) => return refused(refusal),
    };
    let key = Key { from, channel, lane: hello.lane };
    let (lane, turn, welcome) = match hub.inbound.attach(key, &hello, Some(by)) {
        Ok(attached) => attached,
        Err(Unattached::Unproven) => return Err(UNPROVEN),
        Err(Unattached::Old) => return Err(LATE),
        Err(Unattached::NoRoom) => return refused(Refusal::Busy),
    };
    let half = welcome.half.number;
    let frames = hub.demux.receive(from, half);
    let hub = Arc::clone(hub);
    tokio::spawn(async move {
        receive(&lane, &hub, key, turn, (number, half), frames).await;
        hub.inbound.release(key, &lane, turn);
        hub.demux.ended(from, half);
    });
    Ok(Answer::Welcome(welcome))
}

/// Serves a receiving half until another path replaces this one, or nothing comes any more.
async fn receive(
    lane: &Arc<InboundLane>,
    hub: &Hub,
    key: Key,
    turn: u64,
    (number, half): (u64, u64),
    mut frames: mpsc::Receiver<Frame>,
) {
    let inbox = &hub.inboxes[key.channel];
    let compressed = hub.shared.declared[key.channel].compressed;
    let mut back = Vec::new();
    loop {
        let all = inbox.fill(key.from.node, lane);
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            taken = lane.take(turn, &mut back) => {
                if taken.is_err() {
                    return;
                }
                for answer in back.drain(..) {
                    hub.relay(key.from, frame(BACK, number, half, answer, compressed)).await;
                }
            }
            () = inbox.room(), if !all => {}
            more = timeout(SILENCE, frames.recv()) => {
                let Ok(Some(frame)) = more else { return };
                batch.push(frame);
                // What makes no sense may be any hop's doing: it is dropped.
                if matches!(lane.receive(turn, &mut batch), Err(inbound::Ended::Replaced)) {
                    return;
                }
            }
        }
    }
}

/// Introduces a lane to a node hop by hop, and sends until the way ends.
pub(super) async fn send(lane: &Lane, hub: &Hub, to: Incarnation) -> Ended {
    let (_sends, mut back) = hub.demux.send(lane.epoch(), to);
    lane.opened(Path::Relay);
    let most = hub.shared.limits.max_datagram() - OVERHEAD - SIGNATURE;
    let compressed = lane.declared().compressed;
    let mut frames = Vec::new();
    loop {
        tokio::select! {
            biased;
            came = back.recv() => {
                if let Some(ended) = came_back(lane, came.unwrap_or(Back::Lost)) {
                    return ended;
                }
            }
            said = lane.take(&mut frames) => match said {
                Said::Nothing => return (End::Idle, SendError::Ended),
                Said::Greeting(said) => {
                    let word = greeting(HELLO, said.epoch, &lane.hello(said));
                    hub.relay(to, word).await;
                }
                Said::Frames(half, _) => for next in frames.drain(..) {
                    if next.body.len() > most {
                        let size = next.body.len();
                        let reason = Unreachable::TooLargeToRelay { size, max: most };
                        return (End::Refused, lane.unreachable(reason));
                    }
                    let word = frame(FORTH, lane.epoch(), half.number, next, compressed);
                    hub.relay(to, word).await;
                },
            },
        }
    }
}

/// Takes what came back; why the path ends, if it does. What makes no sense may be any hop's doing: it
/// is dropped.
fn came_back(lane: &Lane, back: Back) -> Option<Ended> {
    let half = lane.attached();
    let is_current = |number: u64| half.is_some_and(|half| half.number == number);
    match back {
        Back::Answer(Answer::Welcome(welcome)) => drop(lane.welcome(welcome)),
        Back::Answer(Answer::Refused { attempt, why }) if lane.awaits(attempt) => {
            return Some((End::Refused, lane.refused(why)));
        }
        Back::Frame(number, frame) if is_current(number) => drop(lane.receive([frame])),
        Back::Unknown(number) if is_current(number) => {
            return Some((
                End::Broken,
                lane.unreachable(Unreachable::failed("it has forgotten the lane")),
            ));
        }
        Back::Lost => {
            let why = if half.is_some() { End::Broken } else { End::Silent };
            return Some((why, lane.unreachable(Unreachable::WayLost)));
        }
        Back::Answer(_) | Back::Frame(..) | Back::Unknown(_) => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::cell::Cell;

    use super::super::ends::RELAYED;
    use super::super::wire::Declared;
    use super::*;
    use crate::channel::session::{Greeting, Half, Welcome};
    use crate::node::admission::{Admission, Gate};
    use crate::node::authorship::Authorship;
    use crate::node::budget::{Budget, Kept, Share};
    use crate::{Channel, Limits, Metrics};

    const ME: u8 = 0;
    const CHANNEL: &str = "c";

    fn node(of: u8) -> NodeId {
        NodeId::from_bytes([of; 32])
    }

    /// What a made-up node says of itself.
    fn origin(started: u64) -> Incarnation {
        Incarnation { node: node(9), started }
    }

    fn key(from: Incarnation) -> Key {
        Key { from, channel: 0, lane: 0 }
    }

    fn message(number: u64) -> Frame {
        Frame { tag: 0, number, body: Bytes::from_static(b"x") }
    }

    struct Fixture {
        hub: Arc<Hub>,
        metrics: Metrics,
        attempts: Cell<u64>,
    }

    impl Fixture {
        fn new() -> Self {
            Self::within(&Budget::plenty())
        }

        fn within(budget: &Arc<Budget>) -> Self {
            let metrics = Metrics::default();
            let me = Incarnation { node: node(ME), started: 1 };
            let (commands, _) = mpsc::channel(1);
            let declared = vec![Channel::acknowledged(CHANNEL)];
            let counters = metrics.counters();
            let gate = Arc::new(Gate::new(me.node, "test", Admission::Open));
            let hub = Hub::new(
                me,
                (gate, Authorship::open()),
                (Limits::default(), Arc::clone(budget)),
                declared,
                &commands,
                &counters.channels,
            );
            Self { hub: Arc::new(hub), metrics, attempts: Cell::new(0) }
        }

        fn hello(&self, from: Incarnation, epoch: u64, proof: Option<Half>) -> Hello<'_> {
            let attempt = self.attempts.get() + 1;
            self.attempts.set(attempt);
            Hello {
                started: from.started,
                channel: Cow::Borrowed(CHANNEL),
                declared: Declared::of(&self.hub.shared.declared[0]),
                lane: 0,
                greeting: Greeting { epoch, attempt, base: 0, proof },
            }
        }

        /// A greeting in the name of `from` comes by this neighbour. Whether it is welcome.
        fn greets(&self, by: NodeId, from: Incarnation, epoch: u64) -> bool {
            self.greets_with_proof(None, by, from, epoch)
        }

        fn greets_with_proof(
            &self,
            proof: Option<Half>,
            by: NodeId,
            from: Incarnation,
            epoch: u64,
        ) -> bool {
            let hello = self.hello(from, epoch, proof);
            let answer = on_datagram(&self.hub, by, from, &greeting(HELLO, epoch, &hello));
            let answer = answer.as_ref().map(|answer| wire::decode::<Answer>(&answer[9..]));
            matches!(answer, Some(Ok(Answer::Welcome(_))))
        }

        /// A node that connected opens a stream: the lane, and whose turn it is.
        fn opens(&self, from: Incarnation, epoch: u64) -> Option<(Arc<InboundLane>, u64, Welcome)> {
            let hello = self.hello(from, epoch, None);
            self.hub.inbound.attach(key(from), &hello, None).ok()
        }

        /// It opens one, sends something, and ends it: a lane that must be remembered.
        fn comes_and_goes(&self, from: Incarnation) -> Option<Arc<InboundLane>> {
            let (lane, turn, _) = self.opens(from, 1)?;
            lane.receive(turn, &mut vec![message(0)]).expect("a message");
            self.hub.inbound.release(key(from), &lane, turn);
            Some(lane)
        }

        fn served(&self) -> usize {
            self.hub.demux.receiving()
        }

        fn refused(&self) -> u64 {
            self.count("murmurate_channel_refusals_total{by=\"here\",reason=\"busy\"} ")
        }

        fn late(&self) -> u64 {
            self.count("murmurate_channel_relayed_dropped_total{reason=\"late\"} ")
        }

        fn count(&self, series: &str) -> u64 {
            let text = self.metrics.render();
            let count = text.lines().find_map(|line| line.strip_prefix(series));
            count.and_then(|count| count.parse().ok()).expect("a series")
        }
    }

    /// Lets the tasks of lanes that were replaced end: the paused clock goes on when there is nothing else to
    /// do.
    async fn run_until_quiet() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_takes_another_s_place_ends_it() {
        let fixture = Fixture::new();
        for epoch in 0..1_000 {
            assert!(fixture.greets(node(1), origin(1), epoch));
        }
        run_until_quiet().await;
        assert_eq!(fixture.served(), 1, "the last one");
        assert!(
            !fixture.greets(node(1), origin(1), 998),
            "a greeting that comes late ends no lane"
        );
        assert!(fixture.greets(node(1), origin(1), 999), "its answer was lost");
        assert!(fixture.opens(origin(1), 999).is_some(), "it is reached after all");
        run_until_quiet().await;
        assert_eq!((fixture.served(), fixture.late(), fixture.refused()), (0, 1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_takes_over_a_lane_of_a_node_that_connected() {
        let fixture = Fixture::new();
        let (lane, ..) = fixture.opens(origin(1), 7).expect("a lane");
        assert!(fixture.greets(node(1), origin(1), 7), "the answer was lost: it knows no half");
        let (same, turn, welcome) = fixture.opens(origin(1), 7).expect("a lane");
        assert!(Arc::ptr_eq(&lane, &same));
        lane.receive(turn, &mut vec![message(0)]).expect("a message");
        assert!(!fixture.greets(node(1), origin(1), 7));
        let wrong = Half { number: welcome.half.number ^ 1, ..welcome.half };
        assert!(!fixture.greets_with_proof(Some(wrong), node(1), origin(1), 7));
        lane.receive(turn, &mut vec![message(1)]).expect("it goes on");
        assert!(fixture.greets_with_proof(Some(welcome.half), node(1), origin(1), 7));
        assert!(lane.receive(turn, &mut Vec::new()).is_err(), "hop by hop from now on");
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_origins_take_no_place_of_others() {
        let fixture = Fixture::new();
        assert!(fixture.opens(origin(0), 5).is_some());
        let welcome = (1..20_000).filter(|started| fixture.greets(node(1), origin(*started), 1));
        let welcome = welcome.count();
        assert_eq!(welcome, RELAYED.each);
        assert_eq!(fixture.refused() as usize, 19_999 - welcome);
        for by in 2..5 {
            let made_up = (1..1_000).map(|at| origin(100_000 * u64::from(by) + at));
            assert_eq!(made_up.filter(|of| fixture.greets(node(by), *of, 1)).count(), RELAYED.each);
        }
        run_until_quiet().await;
        assert_eq!(fixture.served(), RELAYED.all);
        let share = RELAYED.all / 5;
        for at in 0..share as u64 {
            assert!(fixture.greets(node(5), origin(600_000 + at), 1), "{at}: others make room");
        }
        assert!(!fixture.greets(node(5), origin(700_000), 1), "each has as much now");
        run_until_quiet().await;
        assert_eq!(fixture.served(), RELAYED.all);
        for started in 50_000..52_000 {
            assert!(
                fixture.opens(origin(started), 1).is_some(),
                "who connects has room of their own"
            );
        }
        assert!(fixture.greets(node(1), origin(51_000), 1), "and goes on hop by hop if it must");
        run_until_quiet().await;
        assert_eq!(fixture.served(), RELAYED.all + 1);
        tokio::time::sleep(2 * SILENCE).await;
        run_until_quiet().await;
        assert_eq!(fixture.served(), 0, "nothing is heard of them");
    }

    #[tokio::test(start_paused = true)]
    async fn made_up_starts_take_no_place_of_other_nodes() {
        let fixture = Fixture::new();
        let of = |node: u8, started| Incarnation { node: NodeId::from_bytes([node; 32]), started };
        for liar in 1..=5 {
            for started in 0..5_000 {
                assert!(fixture.comes_and_goes(of(liar, started)).is_some(), "{liar}, {started}");
            }
        }
        for honest in 6..=200 {
            let lane = fixture.comes_and_goes(of(honest, 1)).expect("liars make room");
            let (same, ..) = fixture.opens(of(honest, 1), 1).expect("a lane");
            assert!(Arc::ptr_eq(&lane, &same), "it is remembered");
        }
        let standing = (0..5_000).filter(|started| fixture.opens(of(201, *started), 1).is_some());
        let (standing, fair) = (standing.count(), 16_384 / 6);
        assert!((fair - 50..=fair).contains(&standing), "{standing} of six who want all");
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_are_refused_for_want_of_memory_and_known_ones_are_not() {
        let budget = Budget::limited(1 << 20);
        let fixture = Fixture::within(&budget);
        let opened = (0..1_000).take_while(|at| fixture.opens(origin(*at), 1).is_some()).count();
        assert_eq!(opened, (1 << 20) / 5 * 4 / (4 << 10));
        assert!(fixture.opens(origin(0), 1).is_some(), "it goes on");
        assert!(!fixture.greets(node(1), origin(2_000), 1));
        drop(fixture);
        run_until_quiet().await;
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_wait_one_by_one_while_there_is_no_memory() {
        let budget = Budget::limited(100_000);
        let fixture = Fixture::within(&budget);
        let (lane, turn, _) = fixture.opens(origin(1), 1).expect("a lane");
        let mut others = Share::of(&budget, Kept::Frame);
        others.set(90_000);
        lane.receive(turn, &mut (0..5).map(message).collect()).expect("messages");
        let inbox = &fixture.hub.inboxes[0];
        assert!(!inbox.fill(node(9), &lane));
        assert_eq!(inbox.depth().0, 1, "one always fits");
        let reads = async {
            for number in 0..5 {
                let message = inbox.next().await.expect("a message");
                run_until_quiet().await;
                // Enough for all the others, before the next one is read.
                others.set(if number < 2 { 90_000 } else { 0 });
                message.ack();
            }
        };
        futures::join!(inbox.take_all(node(9), &lane), reads);
        assert_eq!(inbox.depth(), (0, 0));
    }
}

//! An application's services on real nodes.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use murmurate::broadcast::flood;
use murmurate::membership::{Peer as _, Sizes, Time, Violation, Wire, full_mesh};
use murmurate::service::{Effects, Input, Service};
use murmurate::{Builder, ConfigError, Event, Incarnation, Node, UnknownService};
use serde::{Deserialize, Serialize};

use crate::wait::{count, soon, until};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Word(Vec<u8>);

impl Wire for Word {
    const KINDS: &'static [&'static str] = &["word"];
    fn kind(&self) -> usize {
        0
    }
    fn wire_len(&self, _: &Sizes) -> usize {
        self.0.len()
    }
}

/// Does what it is told, and tells what it hears.
#[derive(Debug, Default)]
struct Parrot {
    neighbors: Vec<Incarnation>,
}

#[derive(Debug)]
enum Do {
    /// Say so many bytes to all neighbours.
    Say(usize),
    /// Broadcast this, so often.
    Shout(&'static str, usize),
    /// Ring with these numbers, each after so many milliseconds from now.
    Ring(&'static [(u64, u8)]),
    Panic,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    Joins,
    Word(usize),
    Shout(Bytes),
    Rang(u8),
    Down,
}

impl Service<Incarnation, Bytes> for Parrot {
    type Message = Word;
    type Timer = u8;
    type Command = Do;
    type Event = Heard;

    fn handle<E: Effects<Incarnation, Bytes, Self>>(
        &mut self,
        _now: Time,
        input: Input<'_, Incarnation, Bytes, Self>,
        fx: &mut E,
    ) {
        match input {
            Input::Join => fx.emit(Heard::Joins),
            Input::NeighborUp(peer) => self.neighbors.push(peer),
            Input::NeighborDown(peer, _) => {
                self.neighbors.retain(|held| *held != peer);
                fx.emit(Heard::Down);
            }
            Input::Receive { message: Word(bytes), .. } => fx.emit(Heard::Word(bytes.len())),
            Input::Delivered { payload, .. } => fx.emit(Heard::Shout(payload.clone())),
            Input::Expired(number) => fx.emit(Heard::Rang(number)),
            Input::Command(Do::Say(bytes)) => {
                self.neighbors.iter().for_each(|peer| fx.send(*peer, Word(vec![7; bytes])));
            }
            Input::Command(Do::Shout(text, times)) => {
                (0..times).for_each(|_| fx.broadcast(Bytes::from_static(text.as_bytes())));
            }
            Input::Command(Do::Ring(times)) => times
                .iter()
                .for_each(|(millis, number)| fx.arm(Duration::from_millis(*millis), *number)),
            Input::Command(Do::Panic) => panic!("as it was told"),
            _ => {}
        }
    }

    fn check(&self, neighbors: &[Incarnation]) -> Result<(), Violation> {
        Violation::unless(self.neighbors.len() == neighbors.len(), "all are known", String::new)
    }
}

/// Another one.
#[derive(Debug, Default)]
struct Mute;

impl Service<Incarnation, Bytes> for Mute {
    type Message = Word;
    type Timer = u8;
    type Command = ();
    type Event = Heard;

    fn handle<E: Effects<Incarnation, Bytes, Self>>(
        &mut self,
        _now: Time,
        _input: Input<'_, Incarnation, Bytes, Self>,
        _fx: &mut E,
    ) {
    }

    fn check(&self, _neighbors: &[Incarnation]) -> Result<(), Violation> {
        Ok(())
    }
}

fn builder() -> Builder {
    Node::builder().listen("/ip4/127.0.0.1/tcp/0".parse().expect("an address"))
}

async fn parrot() -> Node {
    builder().service("parrot", Parrot::default()).spawn().await.expect("it starts")
}

/// The next event but joins: the node's own start is one, too, if it is still heard.
async fn next(events: &mut tokio::sync::broadcast::Receiver<Heard>) -> Heard {
    loop {
        let next = soon(events.recv()).await;
        match next.expect("the node runs") {
            Heard::Joins => {}
            heard => return heard,
        }
    }
}

#[tokio::test]
async fn a_service_speaks_broadcasts_and_waits() {
    let (one, two) = (parrot().await, parrot().await);
    let (first, second) = (one.service::<Parrot>("parrot"), two.service::<Parrot>("parrot"));
    let (first, second) = (first.expect("a service"), second.expect("a service"));
    let (mut at_first, mut at_second) = (first.events(), second.events());
    two.join(one.addresses()).await.expect("it joins");
    let joins = soon(at_second.recv()).await;
    assert_eq!(joins, Ok(Heard::Joins), "before all else");
    first.command(Do::Say(100_000)).await.expect("it runs");
    assert_eq!(next(&mut at_second).await, Heard::Word(100_000));
    second.command(Do::Shout("hello", 1)).await.expect("it runs");
    assert_eq!(next(&mut at_first).await, Heard::Shout(Bytes::from_static(b"hello")));
    let neighbors = first.look(|parrot| parrot.neighbors.clone()).await.expect("it runs");
    assert_eq!(neighbors.iter().map(|peer| peer.node()).collect::<Vec<_>>(), [two.id()]);
    first.command(Do::Ring(&[(60, 3), (20, 1), (40, 2)])).await.expect("it runs");
    for number in 1..=3 {
        assert_eq!(next(&mut at_first).await, Heard::Rang(number));
    }
    two.leave().await.expect("it leaves");
    assert_eq!(next(&mut at_first).await, Heard::Down);
    assert!(second.command(Do::Say(1)).await.is_err(), "its node has ended");
    assert!(second.look(|_| ()).await.is_err());
    while at_second.recv().await.is_ok() {}
    assert!(second.events().recv().await.is_err(), "nothing comes any more");
}

#[tokio::test]
async fn what_finds_nobody_or_no_room_is_dropped_and_counted() {
    let one = parrot().await;
    let two = builder().spawn().await.expect("it starts");
    let parrot = one.service::<Parrot>("parrot").expect("a service");
    two.join(one.addresses()).await.expect("it joins");
    parrot.command(Do::Say(10)).await.expect("it runs");
    parrot.command(Do::Say(20 << 20)).await.expect("it runs");
    let unknown = "murmurate_service_messages_dropped_total{reason=\"unknown\"}";
    let large = "murmurate_service_messages_dropped_total{reason=\"too_large\"}";
    let refused = "murmurate_broadcasts_total{outcome=\"refused\"}";
    until("both are counted", async || count(&two, unknown) > 0 && count(&one, large) > 0).await;
    // Far more than it may say at once: some are published, the rest refused, none waits for ever.
    parrot.command(Do::Shout("hello", 1_000)).await.expect("it runs");
    parrot.look(|_| ()).await.expect("it runs");
    assert!(count(&one, refused) >= 900, "{}", count(&one, refused));
    one.broadcast("news", "the application has its turn").await.expect("a neighbour");
}

#[tokio::test]
async fn names_and_types_are_checked() {
    let twice = builder().service("a", Mute).service("a", Mute);
    assert!(matches!(twice.validate(), Err(ConfigError::Service(_))));
    let long = builder().service("a".repeat(256), Mute);
    assert!(matches!(long.validate(), Err(ConfigError::Service(_))));
    let node = parrot().await;
    let wrong = node.service::<Mute>("parrot").expect_err("another type");
    assert!(matches!(wrong, UnknownService::Type { .. }), "{wrong}");
    let unknown = node.service::<Mute>("mute").expect_err("no such name");
    assert_eq!(unknown.to_string(), "no service is named \"mute\"; the node runs: parrot");
}

#[tokio::test]
async fn a_service_that_panics_ends_its_node_and_nobody_waits() {
    let node = parrot().await;
    let parrot = node.service::<Parrot>("parrot").expect("a service");
    let mut news = node.subscribe("news").expect("a topic");
    parrot.command(Do::Panic).await.expect("it runs");
    assert!(soon(news.next()).await.is_none());
    assert!(node.info().await.is_err());
    assert!(parrot.look(|_| ()).await.is_err());
}

#[tokio::test]
async fn nodes_of_other_strategies_do_not_mix() {
    let mesh = || builder().membership(full_mesh::Parameters::default());
    let flood = || mesh().broadcast(flood::Parameters::default());
    let limits = murmurate::Limits { join_wait: Duration::from_secs(1), ..Default::default() };
    let one = mesh().spawn().await.expect("it starts");
    let mut events = one.events();
    for other in [builder(), flood()] {
        let other = other.limits(limits.clone()).spawn().await.expect("it starts");
        other.join(one.addresses()).await.expect_err("another strategy");
        assert!(one.active_view().is_empty() && other.active_view().is_empty());
    }
    let told = soon(async {
        loop {
            if let Ok(Event::LinkFailed { reason, .. }) = events.recv().await {
                return reason;
            }
        }
    });
    assert_eq!(told.await, "it runs \"hyparview/plumtree\", not \"full-mesh/plumtree\"");
    let two = mesh().spawn().await.expect("it starts");
    two.join(one.addresses()).await.expect("the same strategies");
}

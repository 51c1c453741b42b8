//! Strangers at the door: a real node on loopback, real sockets, and clients that mean it ill.
//!
//! Whatever they do, the node ends their link, counts why, says so, and goes on serving an honest
//! neighbour.

pub(crate) mod client;
mod flood;
mod forgery;
mod names;
mod rivals;

use std::time::Duration;

use futures::StreamExt;
use libp2p::multiaddr::Protocol;
use murmurate::{Builder, Event, Limits, Multiaddr, Node, NodeId, Subscription};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use crate::wait::{FOREVER, count, soon, until};
use client::{
    Client, PROTOCOL, STRATEGIES, Speaker, answer, frame, hello, line, number, propose, write,
};

const NETWORK: &str = "flock";

/// Strangers may be as slow as the machine makes them.
fn patient() -> Limits {
    Limits {
        handshake_wait: FOREVER,
        proof_wait: FOREVER,
        stall_wait: FOREVER,
        ..Limits::default()
    }
}

/// Whoever is silent is let go, and soon.
fn short_timeouts() -> Limits {
    Limits {
        handshake_wait: Duration::from_secs(1),
        stall_wait: Duration::from_millis(500),
        ..Limits::default()
    }
}

/// A node that strangers come to, and its honest neighbour.
struct House {
    node: Node,
    events: broadcast::Receiver<Event>,
    neighbor: Node,
    news: [Subscription; 2],
}

impl House {
    async fn open() -> Self {
        Self::with(patient()).await
    }

    async fn with(limits: Limits) -> Self {
        Self::built(|builder| builder.limits(limits.clone())).await
    }

    async fn signed() -> Self {
        Self::built(|builder| builder.limits(patient()).signed(true)).await
    }

    async fn built(set_up: impl Fn(Builder) -> Builder) -> Self {
        let start = async || {
            let anywhere = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
            let node = set_up(Node::builder().network(NETWORK).listen(anywhere));
            node.spawn().await.expect("a node")
        };
        let (node, neighbor) = (start().await, start().await);
        neighbor.join(node.addresses()).await.expect("a neighbour");
        let news = [&node, &neighbor].map(|node| node.subscribe("news").expect("a short topic"));
        Self { events: node.events(), node, neighbor, news }
    }

    fn address(&self) -> Multiaddr {
        self.node.addresses().remove(0)
    }

    async fn tcp(&self) -> TcpStream {
        let port = self.address().iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some(port),
            _ => None,
        });
        TcpStream::connect(("127.0.0.1", port.expect("a port"))).await.expect("a connection")
    }

    /// What the node counts under this name and label.
    fn count(&self, series: &str) -> u64 {
        count(&self.node, series)
    }

    async fn counts(&self, series: &str, least: u64) {
        until(series, async || self.count(series) >= least).await;
    }

    /// The node keeps nothing of strangers: its neighbour's connection is the only one.
    async fn keeps_only_its_neighbor(&self) {
        let connections = async || self.node.info().await.expect("it runs").connections;
        until("one connection", async || connections().await == 1).await;
    }

    async fn ended(&self, reason: &str) {
        self.counts(&format!("murmurate_links_ended_total{{reason=\"{reason}\"}}"), 1).await;
    }

    /// The node tells its owner that the link to `stranger` failed; why.
    async fn told_of(&mut self, stranger: NodeId) -> String {
        self.told(|event| match event {
            Event::LinkFailed { node, reason } if node == stranger => Some(reason),
            _ => None,
        })
        .await
    }

    async fn told<T>(&mut self, what: impl Fn(Event) -> Option<T>) -> T {
        let told = async {
            loop {
                if let Some(told) = what(self.events.recv().await.expect("the node runs")) {
                    return told;
                }
            }
        };
        soon(told).await
    }

    /// A broadcast in each direction, both delivered.
    async fn serves(&mut self) {
        assert!(self.node.active_view().contains(&self.neighbor.id()));
        let [here, there] = &mut self.news;
        for (from, to) in [(&self.node, there), (&self.neighbor, here)] {
            let id = from.broadcast("news", "seed at dawn").await.expect("a neighbour");
            let message = soon(to.next()).await.expect("a message").expect("no lag");
            assert_eq!((message.id, &message.data[..]), (id, &b"seed at dawn"[..]));
        }
    }
}

const INBOUND_FAILED: &str = "murmurate_inbound_failed_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn noise_instead_of_noise() {
    let mut house = House::open().await;
    let mut socket = house.tcp().await;
    socket.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100)).await.expect("written");
    house.counts(INBOUND_FAILED, 1).await;
    let mut rest = Vec::new();
    // Closed, maybe with a reset: not kept waiting.
    let _ = soon(socket.read_to_end(&mut rest)).await;
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_is_not_waited_for() {
    let mut house = House::with(short_timeouts()).await;
    let mut silent = house.tcp().await;
    let mut half = house.tcp().await;
    let noise = [line("/multistream/1.0.0"), line("/noise"), vec![0, 32, 1, 2, 3]].concat();
    half.write_all(&noise).await.expect("written");
    house.serves().await;
    house.counts(INBOUND_FAILED, 2).await;
    for socket in [&mut silent, &mut half] {
        let _ = soon(socket.read_to_end(&mut Vec::new())).await;
    }
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_that_says_nothing_is_kept_out() {
    let mut house =
        House::with(Limits { max_connections: 16, max_channel_connections: 8, ..patient() }).await;
    let mut crowd = Vec::new();
    for _ in 0..100 {
        crowd.push(house.tcp().await);
    }
    // Eight may try at a time, and do so for ever: the others are refused without waiting for them.
    house.counts(INBOUND_FAILED, 92).await;
    house.serves().await;
    assert_eq!(house.count(INBOUND_FAILED), 92, "eight still try");
    drop(crowd);
    house.counts(INBOUND_FAILED, 100).await;
    assert_eq!(house.node.info().await.expect("it runs").connections, 1);
    let mut guest = Speaker::greet(&house.address()).await;
    guest.say(&frame(4, &[])).await.expect("there is room again");
    assert_eq!(guest.hear().await.expect("views").0, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_speak_the_protocol_is_let_go() {
    let mut house = House::open().await;
    let mut client = Client::dial(&house.address()).await;
    let mut own = client.open().await.expect("a stream");
    assert!(propose(&mut own, PROTOCOL).await.expect("an answer"));
    let mut asked = client.accept().await.expect("the node's stream");
    answer(&mut asked, false).await.expect("the node listens");
    house.ended("unsupported").await;
    house.told_of(client.id).await;
    client.closed().await;
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_protocols_are_refused_and_silence_is_not_waited_for() {
    let mut house = House::with(short_timeouts()).await;
    let mut client = Client::dial(&house.address()).await;
    let mut other = client.open().await.expect("a stream");
    assert!(!propose(&mut other, "/ipfs/id/1.0.0").await.expect("an answer"));
    house.ended("stalled").await;
    assert_eq!(house.told_of(client.id).await, "no hello, or no goodbye, in time");
    client.closed().await;
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_ends_the_link() {
    let mut house = House::open().await;
    let greeting = hello(STRATEGIES, 1 << 20);
    let keepalive = frame(1, &[8, 5]);
    let after = |bytes: &[u8]| [&greeting, bytes].concat();
    let cases = [
        (after(&[99, 0, 0, 0]), "no frame begins with 99"),
        (after(&[9, 0, 0, 0]), "a Padding frame that is not allowed here"),
        (after(&[3, 0x10, 0, 1]), "Gossip frame of 1048577 bytes: at most 1048576"),
        (after(&[1, 0xff, 0xff, 0xff]), "Membership frame of 16777215 bytes: at most 65536"),
        (keepalive.clone(), "a Membership frame that is not allowed here"),
        (after(&greeting), "a Hello frame that is not allowed here"),
        (after(&frame(1, &[9, 5])), "a Membership frame with an invalid body"),
        (after(&frame(1, &[8, 5, 0])), "a Membership frame with an invalid body"),
        (after(&frame(2, &[1, 1, 0xff, 0xff, 3])), "a Control frame with an invalid body"),
        (after(&frame(3, &[0; 40])), "a Gossip frame with an invalid body"),
        (after(&frame(5, &[65, 0])), "a Views frame with an invalid body"),
        (hello(&"x".repeat(65), 1 << 20), "a Hello frame with an invalid body"),
        (frame(0, &[5; 9]), "a Hello frame with an invalid body"),
    ];
    for (at, (bytes, why)) in cases.into_iter().enumerate() {
        let mut stranger = Speaker::connect(&house.address()).await;
        stranger.say(&bytes).await.expect("the node listens");
        let reason = house.told_of(stranger.client.id).await;
        assert!(reason.contains(why), "{reason}");
        house.counts("murmurate_links_ended_total{reason=\"nonsense\"}", at as u64 + 1).await;
        stranger.client.closed().await;
    }
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_frame_is_not_waited_for() {
    let mut house = House::with(short_timeouts()).await;
    let mut stranger = Speaker::greet(&house.address()).await;
    stranger.say(&[3, 0x0f, 0xff, 0xff, 1, 2, 3]).await.expect("the node listens");
    house.serves().await;
    house.ended("stalled").await;
    let reason = house.told_of(stranger.client.id).await;
    assert_eq!(reason, "the peer paused in the middle of a message for 500ms");
    stranger.client.closed().await;
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_overlay_is_another_overlay() {
    let mut house = House::open().await;
    for (at, (strategies, max_frame, why)) in [
        ("mesh/flood", 1 << 20, "it runs \"mesh/flood\", not \"hyparview/plumtree\""),
        ("", 1 << 20, "it runs \"\", not \"hyparview/plumtree\""),
        (STRATEGIES, 1 << 10, "its max_frame is 1024, not 1048576"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut stranger = Speaker::connect(&house.address()).await;
        // What follows such a hello is not listened to.
        let bytes = [hello(strategies, max_frame), frame(1, &[0, 1])].concat();
        stranger.say(&bytes).await.expect("the node listens");
        assert_eq!(house.told_of(stranger.client.id).await, why);
        let series = "murmurate_links_ended_total{reason=\"mismatch\"}";
        house.counts(series, at as u64 + 1).await;
        stranger.client.closed().await;
    }
    assert_eq!(house.node.active_view(), [house.neighbor.id()]);
    house.serves().await;
}

/// What is said of a newer start of the node itself tells of another process with its identity.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_start_of_the_node_itself_is_told_once() {
    let mut house = House::open().await;
    let mut stranger = Speaker::greet(&house.address()).await;
    let own = house.node.id();
    let key = own.to_peer_id().to_bytes().split_off(6);
    assert_eq!(key.len(), 32, "after what says that it is a key of ed25519");
    let started = |started| [&[7, 1], &key[..], &number(started), &[0]].concat();
    for newer in [1, u64::MAX >> 1, u64::MAX >> 1] {
        stranger.say(&frame(1, &started(newer))).await.expect("the node listens");
    }
    house.counts("murmurate_shared_identities_total", 2).await;
    let mut told = 0;
    while let Ok(event) = house.events.try_recv() {
        told += u32::from(event == Event::SharedIdentity(own));
    }
    assert_eq!((told, house.count("murmurate_shared_identities_total")), (1, 2));
    house.serves().await;
}

/// Whichever way a connection fails to become a link, its life ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_kept_of_strangers() {
    let mut house = House::with(short_timeouts()).await;
    let address = house.address();
    let mut strangers = Vec::new();
    for _ in 0..3 {
        // With other strategies; without a hello; with half a one; silent from the start.
        for said in
            [Some(hello("swarm", 1 << 20)), None, Some(hello(STRATEGIES, 1 << 20)[..5].into())]
        {
            let mut stranger = Speaker::connect(&address).await;
            if let Some(said) = said {
                stranger.say(&said).await.expect("the node listens");
            }
            strangers.push(stranger.client);
        }
        strangers.push(Client::dial(&address).await);
        // Gone during set-up, and after a hello.
        drop(Client::dial(&address).await);
        drop(Speaker::connect(&address).await);
        drop(Speaker::greet(&address).await);
        // Does not speak the protocol.
        let mut client = Client::dial(&address).await;
        let mut own = client.open().await.expect("a stream");
        assert!(propose(&mut own, PROTOCOL).await.expect("an answer"));
        let mut asked = client.accept().await.expect("the node's stream");
        answer(&mut asked, false).await.expect("the node listens");
        strangers.push(client);
    }
    for mut stranger in strangers {
        stranger.closed().await;
    }
    house.keeps_only_its_neighbor().await;
    house.serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_are_too_many() {
    let mut house = House::open().await;
    let stranger = Speaker::greet(&house.address()).await;
    let mut client = stranger.client;
    let mut streams = Vec::new();
    for _ in 0..200 {
        let Some(mut stream) = client.open().await else { break };
        // Opening alone sends nothing.
        if write(&mut stream, &line("/multistream/1.0.0")).await.is_err() {
            break;
        }
        streams.push(stream);
    }
    client.closed().await;
    house.told_of(client.id).await;
    house.serves().await;
}

/// A second stream for the protocol on one connection: there is one for each direction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_stream_is_not_read() {
    let mut house = House::open().await;
    let mut stranger = Speaker::greet(&house.address()).await;
    let mut second = stranger.client.open().await.expect("a stream");
    assert!(propose(&mut second, PROTOCOL).await.expect("an answer"));
    // Whether this is still taken or not: it is not heard.
    let _ = write(&mut second, &[7; 100]).await;
    stranger.say(&frame(4, &[])).await.expect("the node listens");
    assert_eq!(stranger.hear().await.expect("views").0, 5);
    assert_eq!(house.count("murmurate_links_ended_total{reason=\"nonsense\"}"), 0);
    house.serves().await;
}

//! Two connections between the same two nodes: which of them goes on follows from what both sides know,
//! whenever it comes to stand.

use libp2p::identity::Keypair;

use super::client::{Door, STRATEGIES, ordered_hello};
use super::*;

const GREETING: u8 = 0;
const VIEWS: u8 = 5;
const BYE: u8 = 6;

impl Speaker {
    async fn greets(&mut self, dialled: u64, heard: (u64, u64)) {
        let hello = ordered_hello(STRATEGIES, 1 << 20, dialled, heard);
        self.say(&hello).await.expect("the node listens");
    }

    /// The next frame of one of these kinds.
    async fn hears(&mut self, kinds: &[u8]) -> (u8, Vec<u8>) {
        let next = async {
            loop {
                let (kind, body) = self.hear().await.expect("the connection stands");
                if kinds.contains(&kind) {
                    return (kind, body);
                }
            }
        };
        soon(next).await
    }

    /// Whether the node goes on with this connection: it answers, or says goodbye.
    async fn goes_on(&mut self) -> bool {
        // A connection that the node has retired may have ended.
        let _ = self.say(&frame(4, &[])).await;
        self.hears(&[VIEWS, BYE]).await.0 == VIEWS
    }
}

/// A key after that of the node, so that among dials at the same time the node's goes on; or before it.
fn key(of: &Node, after: bool) -> Keypair {
    loop {
        let key = Keypair::generate_ed25519();
        let id = NodeId::try_from(&key.public()).expect("an ed25519 key");
        if (id > of.id()) == after {
            return key;
        }
    }
}

/// The other way round, each side kept another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_one_side_dialled_the_later_dial_goes_on() {
    let house = House::with(Limits::default()).await;
    for after in [true, false] {
        let key = key(&house.node, after);
        let mut dials = Vec::new();
        for _ in 0..2 {
            dials.push(Speaker::on(Client::dial_as(&key, &house.address()).await).await);
        }
        let [first, second] = &mut dials[..] else { panic!("two dials") };
        second.greets(2, (0, 0)).await;
        assert!(second.goes_on().await, "there is no other yet");
        first.greets(1, (0, 0)).await;
        assert!(!first.goes_on().await, "it stands last, and was dialled first");
        assert!(second.goes_on().await);
    }
}

/// The node's dial stands when the stranger dials.
async fn dialled_by_the_node(house: &House, key: &Keypair) -> (Speaker, (u64, u64)) {
    let (mut door, address) = Door::open(key).await;
    let node = house.node.clone();
    tokio::spawn(async move { node.join([address]).await });
    let mut client = soon(door.accept()).await;
    let mut heard = client.accept().await.expect("the node's stream");
    answer(&mut heard, true).await.expect("the node listens");
    let mut out = client.open().await.expect("the connection stands");
    assert!(propose(&mut out, PROTOCOL).await.expect("an answer"));
    let mut dialled = Speaker { client, out, heard };
    dialled.greets(0, (0, 0)).await;
    let (_, hello) = dialled.hears(&[GREETING]).await;
    assert!(dialled.goes_on().await, "there is no other");
    (dialled, order(&hello))
}

/// Which start of the node says it, and how many connections it has dialled.
fn order(hello: &[u8]) -> (u64, u64) {
    // Behind the names, and whether it signs.
    let mut rest = hello[1 + STRATEGIES.len() + 1..].iter();
    let mut number = || {
        let (mut number, mut shift) = (0, 0);
        for byte in rest.by_ref() {
            number |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        number
    };
    let (started, _max_frame, dialled) = (number(), number(), number());
    (started, dialled)
}

/// Whoever lost a connection dials again, and the other side may not have noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_by_whoever_knew_of_the_other_goes_on() {
    let house = House::with(Limits::default()).await;
    for after in [true, false] {
        let key = key(&house.node, after);
        let (mut old, known) = dialled_by_the_node(&house, &key).await;
        let mut again = Speaker::on(Client::dial_as(&key, &house.address()).await).await;
        again.greets(1, known).await;
        assert!(again.goes_on().await, "it replaces what it knew of, after: {after}");
        assert!(!old.goes_on().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_dials_at_the_same_time_the_smaller_node_s_goes_on() {
    let house = House::with(Limits::default()).await;
    for after in [true, false] {
        let key = key(&house.node, after);
        let (mut first, (started, number)) = dialled_by_the_node(&house, &key).await;
        let mut second = Speaker::on(Client::dial_as(&key, &house.address()).await).await;
        // It has heard of one before at most.
        second.greets(1, (started, number - 1)).await;
        assert_eq!(second.goes_on().await, !after);
        assert_eq!(first.goes_on().await, after);
    }
}

/// The rounds that look for other contacts meanwhile leave it alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_contact_that_has_not_greeted_yet_is_not_dialled_again() {
    let node = Node::builder().network(NETWORK).limits(patient()).spawn().await.expect("a node");
    let (mut door, address) = Door::open(&Keypair::generate_ed25519()).await;
    tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            silent.push(door.accept().await);
        }
    });
    let nobody = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
    let joiner = node.clone();
    tokio::spawn(async move { joiner.join([address, nobody]).await });
    let dials = |outcome| count(&node, &format!("murmurate_dials_total{{outcome=\"{outcome}\"}}"));
    until("rounds", async || dials("refused") >= 4).await;
    assert_eq!(dials("ok"), 1);
}

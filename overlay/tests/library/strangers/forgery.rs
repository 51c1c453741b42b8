//! Broadcasts and datagrams in somebody else's name.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use libp2p::identity::Keypair;
use murmurate::{Channel, Event, Node, NodeId};

use super::client::{
    Client, OPEN, Speaker, UNSIGNED, claim, content, content_of, frame, gossip, key_of, proof,
};
use super::{House, NETWORK, patient};
use crate::wait::{count, soon, until, view};

const FORGED: &str = "murmurate_forged_total{kind=\"broadcast\"}";

/// A stranger with a key of its own.
async fn stranger(house: &House) -> (Keypair, NodeId, Speaker) {
    let key = Keypair::generate_ed25519();
    let id = NodeId::try_from(&key.public()).expect("an ed25519 key");
    let speaker = Speaker::greet_signed(&key, &house.address()).await;
    (key, id, speaker)
}

/// Nothing was delivered but what honest nodes say.
async fn serves(house: &mut House) {
    house.serves().await;
    assert!(house.news.iter_mut().all(|news| news.next().now_or_never().is_none()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgery_is_not_delivered_and_its_bearer_is_kept_out() {
    let mut house = House::signed().await;
    house.serves().await;
    let victim = house.neighbor.id();
    let started = house.neighbor.info().await.expect("it runs").me.started;
    let content = content(b"seed at midnight");
    for (at, signs) in [None, Some(false), Some(true)].into_iter().enumerate() {
        let (key, id, mut stranger) = stranger(&house).await;
        // The victim's next broadcast: unsigned, with a signature of something else, or by somebody else.
        let proof = match signs {
            None => UNSIGNED.to_vec(),
            Some(false) => [&[7; 64][..], &[0, 1]].concat(),
            Some(true) => proof(&key, started, 1, &content),
        };
        let forgery = gossip(victim, started, 1, &content, &proof);
        stranger.say(&forgery).await.expect("the node listens");
        let told = house.told(|event| match event {
            Event::Forged { by, origin } => Some((by, origin)),
            _ => None,
        });
        assert_eq!(told.await, (id, victim));
        house.counts("murmurate_links_ended_total{reason=\"forged\"}", at as u64 + 1).await;
        stranger.client.closed().await;
        let again = Client::knock(&key, &house.address()).await;
        let answer = again.prove(&claim(NETWORK, OPEN)).await;
        assert_eq!(answer.expect("an answer"), [1, 1, 10], "it is barred");
        assert_eq!(house.count(FORGED), at as u64 + 1);
    }
    // The number that the forger wanted is still free.
    serves(&mut house).await;
}

/// Otherwise one frame would cost each node that passes it on its neighbours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_could_pass_on_is_not_taken() {
    let mut house = House::signed().await;
    let most = house.node.max_data("news").expect("a short topic");
    // Signed alone it has a shorter proof than the longest: four hashes.
    for (more, taken) in [(4 * 32, true), (4 * 32 + 1, false)] {
        let (key, id, mut stranger) = stranger(&house).await;
        let content = content(&vec![7; most + more]);
        let said = gossip(id, 1, 0, &content, &proof(&key, 1, 0, &content));
        stranger.say(&said).await.expect("the node listens");
        if taken {
            for news in &mut house.news {
                let message = soon(news.next()).await.expect("a message").expect("no lag");
                assert_eq!(message.data.len(), most + more);
            }
        } else {
            let why = house.told_of(id).await;
            assert!(why.contains("a Gossip frame with an invalid body"), "{why}");
        }
    }
    serves(&mut house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_signs_leaves_although_it_has_nothing_to_say() {
    let house = House::signed().await;
    house.node.leave().await.expect("it runs to its end");
    view(&house.neighbor, <[NodeId]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_may_speak_for_itself() {
    let mut house = House::signed().await;
    let (key, id, mut stranger) = stranger(&house).await;
    let content = content(b"who are you?");
    let own = gossip(id, 1, 0, &content, &proof(&key, 1, 0, &content));
    for _ in 0..2 {
        stranger.say(&own).await.expect("the node listens");
    }
    for news in &mut house.news {
        let message = soon(news.next()).await.expect("a message").expect("no lag");
        assert_eq!((message.id.origin.node, &message.data[..]), (id, &b"who are you?"[..]));
    }
    serves(&mut house).await;
    assert_eq!(house.count(FORGED), 0);
}

/// A recorded broadcast is no news after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_heard_before_a_restart_is_not_heard_again() {
    const STALE: &str = "murmurate_stale_broadcasts_total";
    let state = tempfile::tempdir().expect("a directory");
    let key = Keypair::generate_ed25519();
    let id = NodeId::try_from(&key.public()).expect("an ed25519 key");
    let say = |sequence, data: &[u8]| {
        let content = content(data);
        gossip(id, 1, sequence, &content, &proof(&key, 1, sequence, &content))
    };
    let recorded = [say(0, b"first"), say(1, b"second")].concat();
    let expected: [&[&[u8]]; 2] = [&[b"first", b"second"], &[b"third"]];
    for (restart, expected) in expected.into_iter().enumerate() {
        let anywhere = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        let node = Node::builder().network(NETWORK).listen(anywhere).signed(true);
        let node = node.state_dir(state.path()).spawn().await.expect("a node");
        let mut news = node.subscribe("news").expect("a short topic");
        let mut stranger = Speaker::greet_signed(&key, &node.addresses()[0]).await;
        stranger.say(&recorded).await.expect("the node listens");
        if restart == 1 {
            stranger.say(&say(2, b"third")).await.expect("the node listens");
        }
        for data in expected {
            let message = soon(news.next()).await.expect("a message").expect("no lag");
            assert_eq!(message.data, *data);
        }
        assert_eq!(count(&node, STALE), 2 * restart as u64);
        node.shutdown().await.expect("it runs");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_news_is_dropped_and_nobody_is_blamed() {
    let mut house = House::signed().await;
    let (key, id, mut stranger) = stranger(&house).await;
    let years = Duration::from_secs(3 * 365 * 86_400);
    for (sequence, ago) in [(0, years), (1, Duration::ZERO)] {
        let content = content_of(ago, b"hello");
        let said = gossip(id, 1, sequence, &content, &proof(&key, 1, sequence, &content));
        stranger.say(&said).await.expect("the node listens");
    }
    for news in &mut house.news {
        let message = soon(news.next()).await.expect("a message").expect("no lag");
        assert_eq!(message.id.sequence, 1);
    }
    assert_eq!(house.count("murmurate_stale_broadcasts_total"), 1);
    serves(&mut house).await;
}

/// Even where nothing is signed a node knows what it has not published itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_takes_the_numbers_of_whom_it_speaks_to() {
    let mut house = House::open().await;
    let me = house.node.info().await.expect("it runs").me;
    let mut stranger = Speaker::greet(&house.address()).await;
    let by = stranger.client.id;
    for (started, sequence) in [(me.started, 0), (me.started, 7), (me.started + 1, 0)] {
        let forgery = gossip(me.node, started, sequence, &content(b"I said so"), UNSIGNED);
        stranger.say(&forgery).await.expect("the node listens");
        let told = house.told(|event| match event {
            Event::Forged { by, origin } => Some((by, origin)),
            _ => None,
        });
        assert_eq!(told.await, (by, me.node));
    }
    assert_eq!(house.count(FORGED), 3);
    serves(&mut house).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_that_sign_and_those_that_do_not_are_two_overlays() {
    let mut house = House::signed().await;
    let mut stranger = Speaker::connect(&house.address()).await;
    let unsigned = super::hello(super::STRATEGIES, 1 << 20);
    stranger.say(&unsigned).await.expect("the node listens");
    let why = house.told_of(stranger.client.id).await;
    assert_eq!(why, "it does not sign broadcasts, and this node signs them");
    house.ended("mismatch").await;
    serves(&mut house).await;
}

/// A greeting on a channel, hop by hop, in the name of the neighbour.
fn greeting(origin: NodeId, started: u64, to: NodeId, to_started: u64) -> Vec<u8> {
    let peer = |node, started: u64| [key_of(node), started.to_le_bytes().to_vec()].concat();
    let head = [peer(origin, started), peer(to, to_started), vec![1, 0, 0, 0, 0, 0, 0, 0, 3]];
    // That makes no sense: whoever believes the origin counts it as nonsense.
    frame(8, &[head.concat(), vec![99; 80]].concat())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn datagrams_are_believed_by_their_signature() {
    const NONSENSE: &str = "murmurate_channel_relayed_dropped_total{reason=\"nonsense\"}";
    let datagrams = "murmurate_forged_total{kind=\"datagram\"}";
    for signed in [false, true] {
        let declare = |builder: murmurate::Builder| {
            builder.limits(patient()).signed(signed).channel(Channel::acknowledged("orders"))
        };
        let mut house = House::built(declare).await;
        let (me, victim) = (house.node.info().await, house.neighbor.info().await);
        let (me, victim) = (me.expect("it runs").me, victim.expect("it runs").me);
        let mut stranger = match signed {
            true => stranger(&house).await.2,
            false => Speaker::greet(&house.address()).await,
        };
        // It joins: routers listen to neighbours.
        stranger.say(&frame(1, &[0, 1])).await.expect("the node listens");
        view(&house.node, |view| view.contains(&stranger.client.id)).await;
        let forgery = greeting(victim.node, victim.started, me.node, me.started);
        stranger.say(&forgery).await.expect("the node listens");
        until("the datagram is read", async || house.count(datagrams) + house.count(NONSENSE) == 1)
            .await;
        assert_eq!(
            (house.count(datagrams), house.count(NONSENSE)),
            match signed {
                true => (1, 0),
                false => (0, 1),
            }
        );
        // Any hop may have made it up: who brought it goes on.
        stranger.say(&frame(4, &[])).await.expect("the node listens");
        while stranger.hear().await.expect("the connection stands").0 != 5 {}
        serves(&mut house).await;
    }
}

/// What is published in a hurry shares signatures, and nothing of it is lost or late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_arrives_whole_and_in_order_of_numbers() {
    let mut house = House::signed().await;
    let [_, there] = &mut house.news;
    for number in 0..500_u32 {
        house.node.broadcast("news", number.to_le_bytes()).await.expect("a neighbour");
    }
    for number in 0..500_u32 {
        let message = soon(there.next()).await.expect("a message").expect("no lag");
        assert_eq!(
            (message.id.sequence, &message.data[..]),
            (number.into(), &number.to_le_bytes()[..])
        );
    }
    // Nothing waits for more.
    house.node.broadcast("news", "the last").await.expect("a neighbour");
    let last = soon(there.next()).await.expect("a message").expect("no lag");
    assert!(last.published.elapsed().is_ok_and(|took| took < Duration::from_secs(60)));
    house.node.broadcast("news", "farewell").await.expect("a neighbour");
    house.node.leave().await.expect("it runs");
    let farewell = soon(there.next()).await.expect("a message").expect("no lag");
    assert_eq!(farewell.data, "farewell");
}

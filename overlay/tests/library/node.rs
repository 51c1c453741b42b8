//! Real nodes on real sockets: what the embedding API promises.

use std::pin::pin;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use murmurate::membership::{DownReason, static_overlay};
use murmurate::{
    BroadcastError, Builder, ConfigError, DialFailure, Event, JoinError, Limits, Lost, Multiaddr,
    Node, Subscription,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::wait::{soon, until, view};

const MS: Duration = Duration::from_millis(1);

fn builder() -> Builder {
    Node::builder().network("test").listen("/ip4/127.0.0.1/tcp/0".parse().expect("an address"))
}

async fn node() -> Node {
    builder().spawn().await.expect("a node")
}

async fn pair() -> (Node, Node) {
    let (one, two) = (node().await, node().await);
    two.join(one.addresses()).await.expect("joined");
    (one, two)
}

fn hear(node: &Node, topic: &str) -> Subscription {
    node.subscribe(topic).expect("a short topic")
}

async fn event(
    events: &mut tokio::sync::broadcast::Receiver<Event>,
    which: impl Fn(&Event) -> bool,
) -> Event {
    soon(async {
        loop {
            let event = events.recv().await.expect("events go on");
            if which(&event) {
                return event;
            }
        }
    })
    .await
}

#[tokio::test]
async fn both_ends_are_neighbors_and_hear_each_other() {
    let (one, two) = pair().await;
    view(&one, |view| view == [two.id()]).await;
    assert_eq!(two.active_view(), [one.id()]);
    let (mut at_one, mut at_two) = (hear(&one, "t"), hear(&two, "t"));
    let id = one.broadcast("t", "from one").await.expect("published");
    two.broadcast("t", "from two").await.expect("published");
    let heard = at_two.next().await.expect("open").expect("kept up");
    assert_eq!((heard.id, heard.data.as_ref(), heard.hops), (id, "from one".as_bytes(), 1));
    assert_eq!(at_one.next().await.expect("open").expect("kept up").data, "from two");
    assert_eq!(one.info().await.expect("alive").active[0].addresses, two.addresses());
}

#[tokio::test]
async fn quic_carries_the_same() {
    let quic = || {
        Node::builder()
            .network("test")
            .listen("/ip4/127.0.0.1/udp/0/quic-v1".parse().expect("an address"))
    };
    let (one, two) = (quic().spawn().await.expect("a node"), quic().spawn().await.expect("a node"));
    let mut heard = hear(&one, "t");
    two.join(one.addresses()).await.expect("joined");
    let data = vec![7; 500_000];
    two.broadcast("t", &data).await.expect("published");
    assert_eq!(heard.next().await.expect("open").expect("kept up").data, data);
}

#[tokio::test]
async fn a_broadcast_without_neighbors_waits_or_is_refused() {
    let limits = Limits { publish_wait: Duration::from_millis(200), ..Limits::default() };
    let alone = builder().limits(limits).spawn().await.expect("a node");
    assert_eq!(alone.broadcast("t", "x").await, Err(BroadcastError::NoNeighbor));

    let (early, late) = (node().await, node().await);
    let mut heard = hear(&late, "t");
    let mut waiting = pin!(early.broadcast("t", "early"));
    assert!(waiting.as_mut().now_or_never().is_none(), "it has nobody to go to");
    early.info().await.expect("alive");
    assert!(waiting.as_mut().now_or_never().is_none(), "the node has it, and waits");
    late.join(early.addresses()).await.expect("joined");
    soon(waiting).await.expect("published");
    assert_eq!(heard.next().await.expect("open").expect("kept up").data, "early");
}

/// Of broadcasts more than the driver holds and its queue takes.
#[tokio::test(start_paused = true)]
async fn whoever_waits_is_answered_at_the_deadline() {
    let wait = Duration::from_millis(730);
    let limits = Limits { publish_wait: wait, join_wait: wait, ..Limits::default() };
    let alone = Node::builder().network("test").limits(limits).spawn().await.expect("a node");
    let in_time = |took: Duration| (wait..wait + 3 * MS).contains(&took);
    let mut broadcasts = JoinSet::new();
    for _ in 0..400 {
        let (alone, since) = (alone.clone(), Instant::now());
        broadcasts.spawn(async move { (alone.broadcast("t", "x").await, since.elapsed()) });
        tokio::time::sleep(MS).await;
    }
    for (outcome, took) in broadcasts.join_all().await {
        assert_eq!(outcome, Err(BroadcastError::NoNeighbor));
        assert!(in_time(took), "{took:?}");
    }
    let since = Instant::now();
    let nowhere: Multiaddr = "/memory/1".parse().expect("an address");
    assert!(matches!(alone.join([nowhere]).await, Err(JoinError::Unreachable(_))));
    assert!(in_time(since.elapsed()), "{:?}", since.elapsed());
}

#[tokio::test]
async fn an_oversized_broadcast_is_refused_and_harms_nothing() {
    let (one, two) = pair().await;
    let mut heard = hear(&two, "t");
    let max = one.max_data("t").expect("a short topic");
    let error = one.broadcast("t", vec![0; max + 1]).await;
    assert_eq!(error, Err(BroadcastError::TooLarge { size: max + 1, max }));
    assert!(matches!(one.broadcast(&"t".repeat(256), "x").await, Err(BroadcastError::Topic(_))));
    let refused = "murmurate_broadcasts_total{outcome=\"refused\"} 2";
    assert!(one.metrics().render().contains(refused), "{}", one.metrics().render());
    one.broadcast("t", vec![1; max]).await.expect("the largest");
    one.broadcast("t", "small").await.expect("published");
    // A small one may not overtake a large one on the same link.
    assert_eq!(heard.next().await.expect("open").expect("kept up").data.len(), max);
    assert_eq!(heard.next().await.expect("open").expect("kept up").data, "small");
}

#[tokio::test]
async fn a_topic_that_nothing_can_have_is_an_error_whoever_names_it() {
    let one = node().await;
    for length in [256, 2 << 20] {
        let topic = "t".repeat(length);
        let error = one.max_data(&topic).expect_err("a long topic");
        assert_eq!(error.length, length);
        assert_eq!(one.subscribe(&topic).map(drop), Err(error.clone()));
        assert_eq!(one.broadcast(&topic, "x").await, Err(error.clone().into()));
        assert_eq!(builder().catch_up(&topic).validate(), Err(ConfigError::CatchUp(error)));
    }
    let longest = "t".repeat(255);
    assert_eq!(one.max_data(&longest), one.max_data("").map(|max| max - 255));
    assert!(one.subscribe(&longest).is_ok());
}

#[tokio::test]
async fn the_longest_times_are_as_good_as_for_ever() {
    let forever = Limits {
        publish_wait: Duration::MAX,
        join_wait: Duration::MAX,
        handshake_wait: Duration::MAX,
        stall_wait: Duration::MAX,
        idle_wait: Duration::MAX,
        leave_wait: Duration::MAX,
        ..Limits::default()
    };
    let one = node().await;
    let two = builder().limits(forever).spawn().await.expect("a node");
    two.join(one.addresses()).await.expect("joined");
    let mut heard = hear(&one, "t");
    two.broadcast("t", "x").await.expect("published");
    assert_eq!(heard.next().await.expect("open").expect("kept up").data, "x");
    assert_eq!(two.crawl().await.expect("it runs").nodes.len(), 2);
    two.leave().await.expect("it runs");
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_is_told() {
    let limits = Limits { subscription_capacity: 4, ..Limits::default() };
    let one = node().await;
    let two = builder().limits(limits).spawn().await.expect("a node");
    let (mut slow, mut marker) = (hear(&two, "t"), hear(&two, "end"));
    two.join(one.addresses()).await.expect("joined");
    for n in 0..10u8 {
        one.broadcast("t", [n]).await.expect("published");
    }
    one.broadcast("end", "").await.expect("published");
    marker.next().await.expect("open").expect("kept up");
    for n in 0..4 {
        assert_eq!(slow.next().await.expect("open").expect("kept").data.as_ref(), [n]);
    }
    assert_eq!(slow.next().await, Some(Err(Lost::Lagged(6))));
}

/// What was published before a node was there; and its subscriber comes later still.
#[tokio::test]
async fn a_topic_that_catches_up_has_what_came_before() {
    let (a, _b) = pair().await;
    for orders in ["1", "2", "3"] {
        a.broadcast("orders", orders).await.expect("published");
    }
    let late = builder().catch_up("orders").spawn().await.expect("starts");
    late.join(a.addresses()).await.expect("joined");
    a.broadcast("orders", "4").await.expect("published");
    until("all came", async || late.metrics().broadcasts().delivered == 4).await;
    let mut orders = hear(&late, "orders");
    let mut got = Vec::new();
    while got.len() < 4 {
        got.push(orders.next().await.expect("the node runs").expect("nothing is lost").data);
    }
    got.sort();
    assert_eq!(got, ["1", "2", "3", "4"]);
    assert!(hear(&late, "orders").next().now_or_never().is_none(), "the others start at now");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_joined_has_neighbours() {
    let one = node().await;
    for _ in 0..50 {
        let other = node().await;
        other.join(one.addresses()).await.expect("joined");
        assert!(!other.active_view().is_empty(), "joined, and its view is empty");
        other.shutdown().await.expect("ended");
    }
}

/// Why these contacts do not let a node join. If the time is too short to find out, it tries again.
async fn failures(of: &Node, contacts: Vec<Multiaddr>) -> Vec<(Multiaddr, DialFailure)> {
    soon(async {
        loop {
            match of.join(contacts.clone()).await {
                Err(JoinError::Unreachable(failures)) => return failures,
                Err(JoinError::TimedOut { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn joining_says_why_not() {
    let limits = Limits { join_wait: Duration::from_millis(700), ..Limits::default() };
    let lonely = builder().limits(limits).spawn().await.expect("a node");
    let nobody: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
    let failed = failures(&lonely, vec![nobody.clone()]).await;
    assert_eq!(failed[0].0, nobody);
    assert!(matches!(failed[0].1, DialFailure::Refused(_)), "{failed:?}");
    let counted = lonely.metrics().render();
    assert!(counted.contains("murmurate_dials_total{outcome=\"refused\"}"), "{counted}");

    let other = Node::builder().network("other").listen("/ip4/127.0.0.1/tcp/0".parse().unwrap());
    let other = other.spawn().await.expect("a node");
    let failed = failures(&lonely, other.addresses()).await;
    assert!(matches!(failed[0].1, DialFailure::NotAdmitted(_)), "{failed:?}");
    let why = failed[0].1.to_string();
    assert!(why.contains("this node belongs to another network"), "{why}");
    assert!(lonely.active_view().is_empty() && other.active_view().is_empty());
}

#[tokio::test]
async fn a_contact_that_comes_late_is_found() {
    let reserved = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = reserved.local_addr().expect("an address").port();
    drop(reserved);
    let address: Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().expect("an address");
    let early = node().await;
    let (joining, contact) = (early.clone(), address.clone());
    let joined = tokio::spawn(async move { joining.join([contact]).await });
    let mut events = early.events();
    event(&mut events, |event| matches!(event, Event::DialFailed { .. })).await;
    assert!(!joined.is_finished(), "it was tried once only");
    let late = Node::builder().network("test").listen(address).spawn().await.expect("a node");
    joined.await.expect("no panic").expect("joined");
    assert_eq!(early.active_view(), [late.id()]);
}

/// A machine and its copy take each other's place: whoever speaks to both says so.
#[tokio::test]
async fn an_identity_that_runs_twice_is_told() {
    let seed = node().await;
    let mut events = seed.events();
    let key = murmurate::identity::Keypair::generate_ed25519();
    let twin = async || builder().identity(key.clone()).spawn().await.expect("a node");
    let started = async |of: &Node| of.info().await.expect("it runs").me.started;
    let mut twins = [twin().await, twin().await];
    while started(&twins[0]).await == started(&twins[1]).await {
        twins[1] = twin().await;
    }
    let shared = Event::SharedIdentity(twins[0].id());
    for twin in &twins {
        twin.join(seed.addresses()).await.expect("joined");
    }
    event(&mut events, |event| *event == shared).await;
    let counted = seed.metrics().render();
    assert!(!counted.contains("murmurate_shared_identities_total 0"), "{counted}");
}

/// Where a node listens nobody else does, also if both come at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_listened_on_by_one_node() {
    let on = |address: &Multiaddr| Node::builder().network("test").listen(address.clone()).spawn();
    for transport in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let first = on(&transport.parse().expect("an address")).await.expect("a node");
        let mut address = first.addresses().remove(0);
        address.pop();
        let everywhere: Multiaddr =
            address.to_string().replace("127.0.0.1", "0.0.0.0").parse().expect("an address");
        for taken in [&address, &everywhere] {
            let error = on(taken).await.expect_err("it is in use").to_string();
            let named = format!("cannot listen on {taken}: Address already in use");
            assert!(error.starts_with(&named), "{error}");
        }
        first.shutdown().await.expect("it runs");
    }
    let first = node().await;
    let mut address = first.addresses().remove(0);
    address.pop();
    let other = node().await;
    other.join(first.addresses()).await.expect("joined");
    // Its side of their connections holds the port for a while, but nobody listens there.
    first.shutdown().await.expect("it runs");
    let again = on(&address).await.expect("nobody listens there");
    again.shutdown().await.expect("it runs");
    let mut race = JoinSet::new();
    for _ in 0..8 {
        race.spawn(on(&address));
    }
    let started: Vec<_> = race.join_all().await.into_iter().flatten().collect();
    assert_eq!(started.len(), 1, "who comes at the same time does not share either");
}

#[tokio::test]
async fn leaving_is_told_from_dying() {
    let (one, two) = pair().await;
    let three = node().await;
    three.join(one.addresses()).await.expect("joined");
    view(&one, |view| view.len() == 2).await;
    let mut events = one.events();
    two.leave().await.expect("alive");
    let left = event(&mut events, |event| matches!(event, Event::NeighborDown { .. })).await;
    assert_eq!(left, Event::NeighborDown { node: two.id(), reason: DownReason::Left });
    assert!(
        two.broadcast("t", "x").await == Err(BroadcastError::Ended) && two.info().await.is_err()
    );
    three.shutdown().await.expect("alive");
    let died = event(&mut events, |event| matches!(event, Event::NeighborDown { .. })).await;
    assert_eq!(died, Event::NeighborDown { node: three.id(), reason: DownReason::Failed });
    event(&mut events, |event| *event == Event::Isolated).await;
}

#[tokio::test]
async fn dials_from_both_sides_at_once_end_with_one_link() {
    for _ in 0..20 {
        let (one, two) = (node().await, node().await);
        let (a, b) = tokio::join!(one.join(two.addresses()), two.join(one.addresses()));
        a.expect("joined");
        b.expect("joined");
        view(&one, |view| view == [two.id()]).await;
        view(&two, |view| view == [one.id()]).await;
        let mut heard = [hear(&one, "t"), hear(&two, "t")];
        for n in 0..20u8 {
            two.broadcast("t", [n]).await.expect("published");
            one.broadcast("t", [n]).await.expect("published");
        }
        for heard in &mut heard {
            for n in 0..20 {
                let next = soon(heard.next()).await;
                assert_eq!(next.expect("open").expect("kept up").data.as_ref(), [n]);
            }
        }
        until("one connection", async || {
            let connections = async |node: &Node| node.info().await.expect("alive").connections;
            connections(&one).await == 1 && connections(&two).await == 1
        })
        .await;
        assert_eq!((one.active_view(), two.active_view()), (vec![two.id()], vec![one.id()]));
    }
}

#[tokio::test]
async fn a_restarted_node_rejoins_from_its_state() {
    let directory = tempfile::tempdir().expect("a directory");
    let (one, two) = pair().await;
    let start = || builder().state_dir(directory.path()).spawn();
    let before = start().await.expect("a node");
    before.join(one.addresses()).await.expect("joined");
    let (id, started) = (before.id(), before.info().await.expect("alive").me.started);
    assert!(builder().state_dir(directory.path()).spawn().await.is_err(), "it is in use");
    before.shutdown().await.expect("alive");
    let after = start().await.expect("a node");
    assert_eq!(after.id(), id);
    assert!(after.info().await.expect("alive").me.started > started);
    // Without contacts.
    view(&after, |view| !view.is_empty()).await;
    tokio::select! {
        () = view(&one, |view| view.contains(&id)) => {}
        () = view(&two, |view| view.contains(&id)) => {}
    }
}

/// The operator draws the overlay: a link that is taken out of the list of contacts is not there after the next
/// start, whatever the disk remembers.
#[tokio::test]
async fn a_static_node_goes_back_to_its_contacts_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let fixed = || builder().membership(static_overlay::Parameters::default());
    let (one, two) = (fixed().spawn().await.expect("one"), fixed().spawn().await.expect("two"));
    let start = || fixed().state_dir(directory.path()).spawn();
    let before = start().await.expect("a node");
    before.join(one.addresses()).await.expect("joined");
    before.join(two.addresses()).await.expect("joined");
    view(&before, |view| view.len() == 2).await;
    before.shutdown().await.expect("alive");
    let after = start().await.expect("a node");
    after.join(two.addresses()).await.expect("joined");
    view(&after, |view| view.contains(&two.id())).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(after.active_view(), [two.id()]);
}

#[tokio::test]
async fn a_node_starts_whatever_is_left_of_its_peers_and_never_as_somebody_else() {
    let whole = tempfile::tempdir().expect("a directory");
    let (one, _two) = pair().await;
    let before = builder().state_dir(whole.path()).spawn().await.expect("a node");
    before.join(one.addresses()).await.expect("joined");
    before.leave().await.expect("alive");
    for name in ["identity", "peers.json"] {
        let bytes = std::fs::read(whole.path().join(name)).expect("it was saved");
        assert!(bytes.len() > 30, "{name}");
        for length in 0..bytes.len() {
            let directory = tempfile::tempdir().expect("a directory");
            for file in ["identity", "peers.json"] {
                std::fs::copy(whole.path().join(file), directory.path().join(file))
                    .expect("copied");
            }
            std::fs::write(directory.path().join(name), &bytes[..length]).expect("truncated");
            let after = builder().state_dir(directory.path()).spawn().await;
            if name == "identity" {
                let error = after.expect_err("it would be somebody else");
                assert!(error.to_string().contains("is broken"), "{length} bytes: {error}");
                continue;
            }
            let after = after.unwrap_or_else(|error| panic!("{name} of {length} bytes: {error}"));
            assert_eq!(after.id(), before.id(), "{length} bytes");
            after.shutdown().await.expect("alive");
        }
    }
}

#[tokio::test]
async fn the_overlay_can_be_crawled() {
    let first = node().await;
    let mut nodes = vec![first];
    for _ in 1..12 {
        let next = node().await;
        next.join(nodes[0].addresses()).await.expect("joined");
        nodes.push(next);
    }
    let whole = async || {
        let graph = nodes[3].crawl().await.expect("alive");
        graph.nodes.len() == nodes.len()
            && graph.silent.is_empty()
            && graph.nodes.iter().all(|(node, neighbors)| {
                let back = |of| graph.nodes[&of].iter().any(|n| n.node == *node);
                neighbors.iter().all(|neighbor| back(neighbor.node))
            })
    };
    until("a whole, symmetric graph", whole).await;
}

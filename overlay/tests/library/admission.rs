//! Who may speak: real nodes that prove to each other that they belong together, and others that cannot.

use std::time::{Duration, SystemTime};

use data_encoding::BASE64URL_NOPAD;
use futures::StreamExt;
use libp2p::identity::Keypair;
use murmurate::admission::{
    Admission, AdmissionError, Authority, Certificate, Certified, Denial, Revocations, Secret,
    Secrets,
};
use murmurate::{
    Builder, Channel, ConfigError, DialFailure, Event, JoinError, Multiaddr, Node, NodeId,
    SpawnError,
};
use tokio::sync::broadcast::Receiver;

use crate::strangers::client::{Client, PROTOCOL, claim, propose, write};
use crate::wait::{count, soon, until};

const NETWORK: &str = "flock";
const TCP: &str = "/ip4/127.0.0.1/tcp/0";
const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;
const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

fn builder(listen: &str, admission: Admission) -> Builder {
    Node::builder()
        .network(NETWORK)
        .listen(listen.parse().expect("an address"))
        .admission(admission)
}

fn secret(secret: &Secret) -> Admission {
    Admission::Secret(Secrets::new(secret.clone()))
}

fn id(key: &Keypair) -> NodeId {
    NodeId::try_from(&key.public()).expect("an ed25519 key")
}

fn in_time(seconds: u64) -> SystemTime {
    // Of the same clock as the node's.
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    SystemTime::UNIX_EPOCH + now + Duration::from_secs(seconds)
}

fn certified(authority: &Authority, certificate: Certificate) -> Admission {
    Admission::Certified(Box::new(Certified {
        authorities: vec![authority.id()],
        certificate,
        revocations: Revocations::default(),
    }))
}

fn issued(authority: &Authority, key: &Keypair, roles: &[&str]) -> Admission {
    let issued = authority.issue(NETWORK, id(key), EPOCH..in_time(1_000), roles.iter().copied());
    certified(authority, issued.expect("few roles"))
}

async fn hear_each_other(one: &Node, two: &Node) {
    let mut heard = two.subscribe("news").expect("a short topic");
    two.join(one.addresses()).await.expect("joined");
    one.broadcast("news", "hello").await.expect("published");
    assert_eq!(soon(heard.next()).await.expect("open").expect("kept up").data, "hello");
}

#[tokio::test]
async fn those_that_belong_together_meet_in_each_mode_over_each_transport() {
    let authority = Authority::generate();
    let shared = Secret::generate();
    for listen in [TCP, QUIC] {
        let keys = [(); 2].map(|()| Keypair::generate_ed25519());
        let list = Admission::Allowlist(keys.iter().map(id).collect());
        let modes: [&dyn Fn(&Keypair) -> Admission; 4] =
            [&|_| Admission::Open, &|_| secret(&shared), &|_| list.clone(), &|key| {
                issued(&authority, key, &[])
            }];
        for mode in modes {
            let node = async |key: &Keypair| {
                let builder = builder(listen, mode(key)).identity(key.clone());
                builder.spawn().await.expect("a node")
            };
            let (one, two) = (node(&keys[0]).await, node(&keys[1]).await);
            hear_each_other(&one, &two).await;
            one.shutdown().await.expect("it ran");
            two.shutdown().await.expect("it ran");
        }
    }
}

async fn denied(events: &mut Receiver<Event>) -> (NodeId, Denial) {
    soon(async {
        loop {
            if let Event::NotAdmitted { node, denial, .. } = events.recv().await.expect("it runs") {
                return (node, denial);
            }
        }
    })
    .await
}

/// Why a node with this admission cannot join through `house`; the house says the same of it.
async fn refused(house: &Node, builder: Builder, denial: Denial) -> String {
    let mut events = house.events();
    let limits = murmurate::Limits { join_wait: Duration::from_secs(5), ..Default::default() };
    let stranger = builder.limits(limits).spawn().await.expect("a node");
    let mut own = stranger.events();
    let joined = tokio::spawn({
        let (stranger, addresses) = (stranger.clone(), house.addresses());
        async move { stranger.join(addresses).await }
    });
    assert_eq!(denied(&mut events).await, (stranger.id(), denial));
    let why = soon(async {
        loop {
            if let Event::DialFailed { reason, .. } = own.recv().await.expect("it runs") {
                assert!(matches!(reason, DialFailure::NotAdmitted(_)), "{reason:?}");
                return reason.to_string();
            }
        }
    })
    .await;
    assert!(stranger.active_view().is_empty() && house.active_view().is_empty());
    stranger.shutdown().await.expect("it ran");
    assert!(matches!(
        joined.await.expect("no panic"),
        Err(JoinError::Ended | JoinError::Unreachable { .. })
    ));
    why
}

#[tokio::test]
async fn who_does_not_belong_is_told_why_and_nothing_else() {
    let [ours, other] = [Secret::generate(), Secret::generate()];
    for listen in [TCP, QUIC] {
        let house = builder(listen, secret(&ours)).spawn().await.expect("a node");
        let why = refused(&house, builder(listen, secret(&other)), Denial::Secret).await;
        assert!(why.contains("this node's secret is not accepted there: install the"), "{why}");
        let herd = builder(listen, secret(&ours)).network("herd");
        let why = refused(&house, herd, Denial::Network).await;
        assert!(why.contains("this node belongs to another network"), "{why}");
        assert!(!why.contains(NETWORK), "{why}");
        let why = refused(&house, builder(listen, Admission::Open), Denial::Mode).await;
        assert!(why.contains("give both the same admission.mode"), "{why}");
        let house = builder(listen, Admission::Allowlist([].into())).spawn().await.expect("a node");
        let everybody = Admission::Allowlist([house.id()].into());
        let why = refused(&house, builder(listen, everybody), Denial::Unlisted).await;
        assert!(why.contains("this node is not on its allowlist"), "{why}");
    }
}

/// The dialler refuses, too, and the listener hears of it.
#[tokio::test]
async fn a_dialler_does_not_give_itself_to_a_stranger() {
    let key = Keypair::generate_ed25519();
    let welcoming = Admission::Allowlist([id(&key)].into());
    let stranger = builder(TCP, welcoming).spawn().await.expect("a node");
    let careful = builder(TCP, Admission::Allowlist([].into())).identity(key);
    let careful = careful.spawn().await.expect("a node");
    let mut events = careful.events();
    let _ = tokio::time::timeout(Duration::from_secs(1), careful.join(stranger.addresses())).await;
    let failed = soon(async {
        loop {
            if let Event::DialFailed { reason, .. } = events.recv().await.expect("it runs") {
                return reason;
            }
        }
    });
    let failed = failed.await.to_string();
    assert!(failed.contains("is not admitted: it is not on this node's allowlist"), "{failed}");
    assert!(stranger.active_view().is_empty() && careful.active_view().is_empty());
}

fn proof_of(certificate: &Certificate) -> Vec<u8> {
    let bytes = BASE64URL_NOPAD.decode(certificate.to_string().as_bytes()).expect("base64");
    [&[3], &bytes[..]].concat()
}

#[tokio::test]
async fn certificates_that_prove_nothing() {
    let [ours, other] = [Authority::generate(), Authority::generate()];
    let key = Keypair::generate_ed25519();
    let house = builder(TCP, issued(&ours, &key, &[])).identity(key);
    let house = house.spawn().await.expect("a node");
    let mut events = house.events();
    let address = house.addresses().remove(0);
    let stranger = Keypair::generate_ed25519();
    let issue = |by: &Authority, network: &str, to: NodeId, until| {
        by.issue(network, to, EPOCH..until, []).expect("issued")
    };
    let me = id(&stranger);
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for (certificate, network, denial, said) in [
        (issue(&other, NETWORK, me, in_time(9)), NETWORK, Denial::Authority, 4),
        (issue(&ours, NETWORK, house.id(), in_time(9)), NETWORK, Denial::Borrowed, 5),
        (issue(&ours, NETWORK, me, past), NETWORK, Denial::Expired, 6),
        (issue(&ours, "herd", me, in_time(9)), NETWORK, Denial::Network, 0),
        (issue(&ours, NETWORK, me, in_time(9)), "herd", Denial::Network, 0),
    ] {
        let mut client = Client::knock(&stranger, &address).await;
        let answer = client.prove(&claim(network, &proof_of(&certificate))).await;
        // The version, a refusal, and why.
        assert_eq!(answer.expect("an answer"), [1, 1, said], "{denial:?}");
        client.closed().await;
    }
    // The first of each kind is told.
    for denial in [Denial::Authority, Denial::Borrowed, Denial::Expired, Denial::Network] {
        assert_eq!(denied(&mut events).await, (me, denial));
    }
    let fine = Client::knock(&stranger, &address).await;
    let certificate = issue(&ours, NETWORK, me, in_time(9));
    let answer = fine.prove(&claim(NETWORK, &proof_of(&certificate))).await.expect("an answer");
    assert_eq!(answer[..2], [1, 0], "it is admitted");
    let mut stream = fine.open().await.expect("a stream");
    assert!(propose(&mut stream, PROTOCOL).await.expect("an answer"), "and spoken to");
}

/// A stranger that says nothing, or what makes no sense, hears nothing and is soon let go.
#[tokio::test]
async fn silence_and_nonsense_prove_nothing() {
    let house = builder(TCP, secret(&Secret::generate())).spawn().await.expect("a node");
    let address: Multiaddr = house.addresses().remove(0);
    let key = Keypair::generate_ed25519();
    let mut silent = Client::knock(&key, &address).await;
    let mut events = house.events();
    for nonsense in [&b"\x13/multistream/1.0.0\n"[..], &[0, 0], &[0, 2, 2, 0], &[0, 2, 1, 9]] {
        let mut client = Client::knock(&key, &address).await;
        let mut stream = client.open().await.expect("a stream");
        write(&mut stream, nonsense).await.expect("written");
        client.closed().await;
    }
    // The first of a kind is told, the others are counted.
    assert_eq!(denied(&mut events).await, (id(&key), Denial::Malformed));
    assert!(silent.accept().await.is_none(), "nothing was said to it");
    silent.closed().await;
    until("nothing is kept", async || house.info().await.expect("it runs").connections == 0).await;
    let malformed = "murmurate_not_admitted_total{reason=\"malformed\"}";
    until("all are counted", async || count(&house, malformed) == 4).await;
}

#[tokio::test]
async fn a_certificate_of_no_use_is_an_error_at_the_start() {
    let [ours, other] = [Authority::generate(), Authority::generate()];
    let key = Keypair::generate_ed25519();
    let Admission::Certified(mut own) = issued(&other, &key, &[]) else { panic!("certified") };
    own.authorities = vec![ours.id()];
    let spawned = builder(TCP, Admission::Certified(own)).identity(key.clone()).spawn().await;
    let Err(SpawnError::Config(ConfigError::Admission(error))) = spawned else {
        panic!("{spawned:?}")
    };
    assert_eq!(error, AdmissionError::Certificate(Denial::Authority));
    let node = builder(TCP, issued(&ours, &key, &[])).identity(key).spawn().await.expect("a node");
    let foreign = issued(&ours, &Keypair::generate_ed25519(), &[]);
    let refused = node.set_admission(foreign).await;
    assert_eq!(refused, Err(AdmissionError::Certificate(Denial::Borrowed)));
}

/// Three nodes, each of which knows both others.
async fn flock(admissions: [(Keypair, Admission); 3]) -> [Node; 3] {
    let node = async |(key, admission): (Keypair, Admission)| {
        builder(TCP, admission).identity(key).spawn().await.expect("a node")
    };
    let [one, two, three] = admissions;
    let nodes = [node(one).await, node(two).await, node(three).await];
    for from in &nodes[1..] {
        from.join(nodes[0].addresses()).await.expect("joined");
    }
    for node in &nodes {
        until("both others", async || node.active_view().len() == 2).await;
    }
    nodes
}

/// Install, use, remove, each said to one node: nobody is out at any time, and nothing is lost.
#[tokio::test]
async fn secrets_are_rotated_while_nodes_talk() {
    let [old, new] = [Secret::generate(), Secret::generate()];
    let nodes = flock([(); 3].map(|()| (Keypair::generate_ed25519(), secret(&old)))).await;
    let [one, two, three] = &nodes;
    let mut heard = [two, three].map(|node| node.subscribe("count").expect("a short topic"));
    let mut secrets = Secrets::new(old.clone());
    let steps: [&dyn Fn(&mut Secrets); 3] = [
        &|secrets| secrets.install(new.clone()).expect("room"),
        &|secrets| secrets.prefer(new.id()).expect("installed"),
        &|secrets| secrets.remove(old.id()).expect("not in use"),
    ];
    for (at, step) in steps.into_iter().enumerate() {
        step(&mut secrets);
        let admission = Admission::Secret(secrets.clone());
        nodes[at].set_admission(admission.clone()).await.expect("it changes");
        for node in &nodes {
            let has = async || match &*node.admission() {
                Admission::Secret(theirs) => theirs.ids().eq(secrets.ids()),
                _ => false,
            };
            until("all are told", has).await;
        }
        one.broadcast("count", "x").await.expect("published");
        let graph = one.crawl().await.expect("it runs");
        let digests: std::collections::BTreeSet<u64> = graph.notices.into_values().collect();
        assert!(digests.len() == 1 && !digests.contains(&0), "{digests:?}");
        if at == 1 {
            // All links are dialled anew, on which both sides prove the new one.
            let links =
                |node: &Node| count(node, "murmurate_links_ended_total{reason=\"replaced\"}");
            until("new proofs", async || nodes.iter().map(links).sum::<u64>() >= 6).await;
        }
    }
    for heard in &mut heard {
        for _ in 0..3 {
            let next = soon(heard.next()).await.expect("open");
            assert_eq!(next.expect("nothing is lost").data, "x");
        }
    }
    for node in &nodes {
        assert_eq!(node.active_view().len(), 2, "nobody is out");
    }
    let stale = builder(TCP, secret(&old)).spawn().await.expect("a node");
    let mut events = one.events();
    let contacts = one.addresses();
    let join = tokio::spawn(async move { stale.join(contacts).await });
    assert_eq!(denied(&mut events).await.1, Denial::Secret);
    join.abort();
}

#[tokio::test]
async fn a_revoked_node_is_out_everywhere_and_does_not_come_back() {
    let authority = Authority::generate();
    let member = || {
        let key = Keypair::generate_ed25519();
        (key.clone(), issued(&authority, &key, &[]))
    };
    let nodes = flock([member(), member(), member()]).await;
    let [one, two, three] = &nodes;
    let mut events = three.events();
    let Admission::Certified(mut own) = Admission::clone(&one.admission()) else {
        panic!("certified")
    };
    own.revocations = authority.revoke(&own.revocations, two.id(), in_time(0)).expect("room");
    one.set_admission(Admission::Certified(own)).await.expect("it is of the authority");
    for node in [one, three] {
        until("it is out", async || !node.active_view().contains(&two.id())).await;
        assert!(node.active_view().len() == 1);
    }
    assert_eq!(denied(&mut events).await, (two.id(), Denial::Revoked), "it tries again");
    let forged = Authority::generate();
    let Admission::Certified(mut own) = Admission::clone(&one.admission()) else {
        panic!("certified")
    };
    own.revocations = forged.revoke(&own.revocations, three.id(), in_time(0)).expect("room");
    let refused = one.set_admission(Admission::Certified(own)).await;
    assert_eq!(refused, Err(AdmissionError::Revocations));
}

#[tokio::test]
async fn a_channel_may_demand_a_role() {
    let authority = Authority::generate();
    let node = async |roles: &[&str], demanded: bool| {
        let key = Keypair::generate_ed25519();
        let orders = Channel::acknowledged("orders");
        let orders = if demanded { orders.role("writer") } else { orders };
        let builder = builder(TCP, issued(&authority, &key, roles)).identity(key).channel(orders);
        builder.spawn().await.expect("a node")
    };
    let taker = node(&[], true).await;
    let writer = node(&["reader", "writer"], false).await;
    let reader = node(&["reader"], false).await;
    let orders = taker.channel("orders").expect("declared");
    for from in [&writer, &reader] {
        from.join(taker.addresses()).await.expect("joined");
    }
    let sent = writer.channel("orders").expect("declared").send(taker.id(), "a dozen").await;
    let taken = soon(orders.receive()).await.expect("it runs");
    assert_eq!((taken.from, &taken.data[..]), (writer.id(), &b"a dozen"[..]));
    taken.ack();
    soon(sent.expect("taken").into_future()).await.expect("acknowledged");
    let refused = match reader.channel("orders").expect("declared").send(taker.id(), "x").await {
        Err(error) => error.to_string(),
        Ok(receipt) => soon(receipt.into_future()).await.expect_err("refused").to_string(),
    };
    assert!(refused.contains("has not proven that it has the role \"writer\""), "{refused}");
}

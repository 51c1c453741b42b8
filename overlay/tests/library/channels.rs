//! Channels between real nodes on loopback.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use murmurate::{Channel, Limits, Node, Overflow, Refusal, SendError, Undelivered};
use tokio::net::{TcpListener, TcpStream};

use crate::wait::{FOREVER, count, soon, until};

async fn node(channels: impl IntoIterator<Item = Channel>) -> Node {
    node_on("/ip4/127.0.0.1/tcp/0", channels).await
}

async fn node_on(address: &str, channels: impl IntoIterator<Item = Channel>) -> Node {
    let mut builder = Node::builder().listen(address.parse().expect("an address"));
    for channel in channels {
        builder = builder.channel(channel.timeout(FOREVER));
    }
    builder.spawn().await.expect("a node")
}

/// Two nodes that declare the same, joined.
async fn pair(channels: &[Channel]) -> (Node, Node) {
    let [one, two] = [node(channels.to_vec()).await, node(channels.to_vec()).await];
    two.join(one.addresses()).await.expect("joined");
    (one, two)
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_has_to_wait() {
    let orders = Channel::acknowledged("orders").parallelism(4);
    let (one, two) = soon(pair(&[orders])).await;
    let to = one.channel("orders").expect("declared").to(two.id());
    let receives = two.channel("orders").expect("declared");
    assert!(receives.try_receive().is_none(), "nothing was sent");
    let receipts: Vec<_> =
        (0..100_u8).map(|at| to.try_send_keyed("a key", vec![at]).expect("room")).collect();
    let mut taken = Vec::new();
    while taken.len() < 100 {
        match receives.try_receive() {
            Some(received) => {
                taken.push(received.data[0]);
                received.ack();
            }
            None => tokio::task::yield_now().await,
        }
    }
    assert!(taken.is_sorted(), "messages with the same key keep their order: {taken:?}");
    for receipt in receipts {
        soon(receipt).await.expect("delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_runs_where_its_node_does_and_not_where_its_caller_does() {
    let (one, two) = soon(pair(&[Channel::acknowledged("orders")])).await;
    let (to, receives) =
        (one.channel("orders").expect("declared").to(two.id()), two.channel("orders"));
    let receives = receives.expect("declared");
    let sends = to.clone();
    let thread = std::thread::spawn(move || {
        // On no runtime at all, and on one that ends at once.
        let first = sends.try_send("first").expect("taken");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        (first, runtime.expect("a runtime").block_on(sends.send("second")).expect("taken"))
    });
    let (first, second) = thread.join().expect("no panic");
    let third = soon(to.send("third")).await.expect("taken");
    for sent in ["first", "second", "third"] {
        let received = soon(receives.receive()).await.expect("a message");
        assert_eq!(received.data, sent);
        received.ack();
    }
    for receipt in [first, second, third] {
        soon(receipt).await.expect("delivered");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_each_kind_arrive() {
    let channels = [
        Channel::best_effort("plain"),
        Channel::acknowledged("sure").compressed(),
        Channel::latest("newest"),
        Channel::request("ask"),
    ];
    let (one, two) = soon(pair(&channels)).await;
    for name in ["plain", "sure", "newest"] {
        let message = Bytes::from(name.repeat(100));
        let sent = soon(one.channel(name).expect("declared").send(two.id(), message.clone())).await;
        let received = soon(two.channel(name).expect("declared").receive()).await;
        let received = received.expect("a message");
        assert_eq!((received.from, &received.data), (one.id(), &message));
        received.ack();
        assert_eq!(soon(sent.expect("taken")).await, Ok(Bytes::new()), "{name}");
    }
    let asked = two.channel("ask").expect("declared");
    tokio::spawn(async move {
        while let Some(question) = asked.receive().await {
            let answer = [&question.data, " indeed".as_bytes()].concat();
            question.answer(answer).expect("a short answer");
        }
    });
    let ask = one.channel("ask").expect("declared");
    for _ in 0..100 {
        let answer = soon(ask.request(two.id(), "a question")).await;
        assert_eq!(answer, Ok(Bytes::from("a question indeed")));
    }
}

/// Only what its application acknowledges or answers is delivered.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_handler_does_not_acknowledge_is_not_delivered() {
    let channels =
        [Channel::acknowledged("sure"), Channel::latest("newest"), Channel::request("ask")];
    let (one, two) = soon(pair(&channels)).await;
    for name in ["sure", "newest", "ask"] {
        let (to, from) =
            (one.channel(name).expect("declared"), two.channel(name).expect("declared"));
        let send = async || soon(to.send(two.id(), name)).await.expect("taken");
        let receive = async || soon(from.receive()).await.expect("a message");

        let (sent, received) = (send().await, receive().await);
        let handler = tokio::spawn(async move {
            let _received = received;
            panic!("what a handler may do");
        });
        assert!(handler.await.expect_err("it panics").is_panic());
        assert_eq!(soon(sent).await, Err(Undelivered::Dropped), "{name}: a panic");

        let (sent, received) = (send().await, receive().await);
        let handler = tokio::spawn(async move {
            let _received = received;
            std::future::pending::<()>().await;
        });
        handler.abort();
        assert_eq!(soon(sent).await, Err(Undelivered::Dropped), "{name}: an aborted task");

        let (sent, received) = (send().await, receive().await);
        drop(received);
        assert_eq!(soon(sent).await, Err(Undelivered::Dropped), "{name}: an early return");

        let (sent, received) = (send().await, receive().await);
        received.ack();
        assert_eq!(soon(sent).await, Ok(Bytes::new()), "{name}: those after it are not held up");
        let metrics = one.metrics().render();
        for count in ["dropped\"} 3", "acknowledged\"} 1", "lost\"} 0", "retransmitted\"} 0"] {
            let count = format!("channel=\"{name}\",outcome=\"{count}\n");
            assert!(metrics.contains(&count), "{count}{metrics}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_messages_keep_their_order_in_a_small_queue() {
    for channel in [Channel::best_effort("c"), Channel::acknowledged("c")] {
        let (one, two) = soon(pair(&[channel.queue(7, 1 << 20)])).await;
        let to = one.channel("c").expect("declared").to(two.id());
        let sends = async move {
            for number in 0..20_000u32 {
                drop(to.send(number.to_be_bytes().to_vec()).await.expect("taken"));
            }
        };
        let from = two.channel("c").expect("declared");
        let receives = async move {
            for number in 0..20_000u32 {
                let received = from.receive().await.expect("a message");
                assert_eq!(received.data, number.to_be_bytes().to_vec());
                received.ack();
            }
        };
        soon(async { tokio::join!(sends, receives) }).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_messages_and_keys() {
    let channel =
        Channel::acknowledged("c").parallelism(4).max_message(8 << 20).queue(64, 128 << 20);
    let (one, two) = soon(pair(&[channel])).await;
    let to = one.channel("c").expect("declared").to(two.id());
    let mut receipts = Vec::new();
    for number in 0..10u8 {
        let body = vec![number; (8 << 20) - usize::from(number)];
        receipts.push(soon(to.send_keyed("same", body)).await.expect("taken"));
    }
    let from = two.channel("c").expect("declared");
    for number in 0..10u8 {
        let received = soon(from.receive()).await.expect("a message");
        assert_eq!(received.data.len(), (8 << 20) - usize::from(number));
        assert!(received.data.iter().all(|byte| *byte == number));
        received.ack();
    }
    for receipt in receipts {
        assert_eq!(soon(receipt).await, Ok(Bytes::new()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_bytes_goes_both_ways() {
    use futures::{AsyncReadExt, AsyncWriteExt};
    let (one, two) = soon(pair(&[Channel::bytes("files")])).await;
    let accepting = two.channel("files").expect("declared");
    let echo = tokio::spawn(async move {
        let (from, stream) = accepting.accept().await.expect("a stream");
        let (read, mut write) = stream.split();
        futures::io::copy(read, &mut write).await.expect("copied");
        write.close().await.expect("closed");
        from
    });
    let files = one.channel("files").expect("declared");
    let stream = soon(files.open(two.id())).await.expect("a stream");
    let sent: Vec<u8> = (0..3_000_000u32).map(|at| (at / 5) as u8).collect();
    let (mut read, mut write) = stream.split();
    let writes = async {
        write.write_all(&sent).await.expect("written");
        write.close().await.expect("closed");
    };
    let mut back = Vec::new();
    let reads = async { read.read_to_end(&mut back).await.expect("read") };
    soon(async { tokio::join!(writes, reads) }).await;
    assert!(back == sent, "{} of {} bytes", back.len(), sent.len());
    assert_eq!(soon(echo).await.expect("echoed"), one.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_at_once() {
    let ours = [Channel::acknowledged("c"), Channel::latest("d"), Channel::bytes("files")];
    let theirs = [Channel::acknowledged("c").parallelism(2)];
    let [one, two] = [node(ours).await, node(theirs).await];
    soon(two.join(one.addresses())).await.expect("joined");
    let send = |name: &str| {
        let endpoint = one.channel(name).expect("declared");
        let two = two.id();
        async move { soon(endpoint.send(two, "x")).await.map(drop) }
    };
    let Err(SendError::Refused { refusal, channel, node: at }) = send("c").await else {
        panic!("a channel declared differently");
    };
    assert_eq!((channel.as_str(), at), ("c", two.id()));
    assert_eq!(refusal.to_string(), "it declares parallelism = 2, but this node declares 1");
    let unknown = send("d").await;
    assert!(
        matches!(&unknown, Err(SendError::Refused { refusal, .. }) if **refusal == Refusal::UnknownChannel),
        "{unknown:?}"
    );
    for (node, by) in [(&two, "here"), (&one, "there")] {
        let counted = node.metrics().render();
        for reason in ["differs", "unknown_channel"] {
            let line =
                format!("murmurate_channel_refusals_total{{by=\"{by}\",reason=\"{reason}\"}} 1\n");
            assert!(counted.contains(&line), "{line}{counted}");
        }
    }
    assert!(one.channel("e").expect_err("not declared").to_string().contains("c, d, files"));
    let c = one.channel("c").expect("declared");
    assert_eq!(soon(c.send(one.id(), "x")).await.map(drop), Err(SendError::Itself));
    let large = soon(c.send(two.id(), vec![0; (1 << 20) + 1])).await.map(drop);
    assert_eq!(large, Err(SendError::TooLarge { size: (1 << 20) + 1, max: 1 << 20 }));
    let files = soon(send("files")).await;
    assert!(matches!(files, Err(SendError::Carries { .. })), "{files:?}");
    let nobody = murmurate::identity::Keypair::generate_ed25519();
    let nobody = (&nobody.public()).try_into().expect("an id");
    let unreachable = soon(c.send(nobody, "x")).await.map(drop);
    assert!(matches!(unreachable, Err(SendError::Unreachable { .. })), "{unreachable:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_left_is_named_at_once() {
    let (one, two) = soon(pair(&[Channel::acknowledged("c")])).await;
    let to = one.channel("c").expect("declared").to(two.id());
    let delivered = soon(to.send("before")).await.expect("taken");
    soon(two.channel("c").expect("declared").receive()).await.expect("a message").ack();
    assert_eq!(soon(delivered).await, Ok(Bytes::new()));
    let kept = soon(to.send("taken, and not received")).await.expect("taken");
    let came = "murmurate_channel_messages_total{channel=\"c\",outcome=\"delivered\"}";
    until("it came", async || count(&two, came) == 2).await;
    soon(two.leave()).await.expect("left");
    let outcome = soon(kept).await;
    assert!(matches!(outcome, Err(Undelivered::Gone)), "{outcome:?}");
    // Why is remembered for a moment, and then found out again.
    let refused = "murmurate_dials_total{outcome=\"refused\"}";
    let before = count(&one, refused);
    until("it is dialled again", async || {
        let error = soon(to.send("after")).await.map(drop).expect_err("nobody is there");
        assert!(error.to_string().contains(&two.id().to_string()), "{error}");
        count(&one, refused) > before
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_pushes_back_or_sheds_as_declared() {
    let small = |channel: Channel| channel.queue(10, 1 << 20);
    let channels = [
        small(Channel::acknowledged("wait")),
        small(Channel::acknowledged("oldest").overflow(Overflow::DropOldest)),
        small(Channel::acknowledged("newest").overflow(Overflow::DropNewest)),
    ];
    let (one, two) = soon(pair(&channels)).await;
    let to = one.channel("wait").expect("declared").to(two.id());
    // Nobody receives: ten have no outcome.
    for _ in 0..10 {
        drop(soon(to.send("x")).await.expect("taken"));
    }
    assert_eq!(to.try_send("x").map(drop), Err(SendError::Full));
    let mut waits = pin!(to.send("x"));
    assert!(waits.as_mut().now_or_never().is_none(), "it waits for room");
    assert_eq!(to.try_send("x").map(drop), Err(SendError::Full));
    assert!(waits.as_mut().now_or_never().is_none(), "it still does");
    let received = soon(two.channel("wait").expect("declared").receive()).await;
    received.expect("a message").ack();
    assert_eq!(soon(waits).await.map(drop), Ok(()));
    for name in ["oldest", "newest"] {
        let to = one.channel(name).expect("declared").to(two.id());
        for number in 0..50u8 {
            let receipt = soon(to.send(vec![number])).await.expect("taken or shed");
            if number == 49 && name == "newest" {
                assert_eq!(soon(receipt).await, Err(Undelivered::Shed), "there was no room");
            }
        }
        let shed = format!("channel=\"{name}\",outcome=\"shed\"}} 40");
        assert!(one.metrics().render().contains(&shed), "{name}: {}", one.metrics().render());
    }
}

/// Each of those who wait for room is the longest waiting one some day.
#[tokio::test]
async fn whoever_waits_for_room_gets_its_turn() {
    let (one, two) = soon(pair(&[Channel::acknowledged("c").queue(2, 1 << 20)])).await;
    let from = two.channel("c").expect("declared");
    tokio::spawn(async move {
        while let Some(received) = from.receive().await {
            received.ack();
        }
    });
    let to = one.channel("c").expect("declared").to(two.id());
    let all = Arc::new(AtomicUsize::new(0));
    // Each again as soon as it has its receipt, until all together have sent enough.
    let senders = (0..16).map(|_| {
        let (to, all) = (to.clone(), Arc::clone(&all));
        tokio::spawn(async move {
            let mut sent = 0;
            while all.fetch_add(1, Ordering::Relaxed) < 1_600 {
                soon(soon(to.send("me")).await.expect("taken")).await.expect("delivered");
                sent += 1;
            }
            sent
        })
    });
    let senders: Vec<_> = senders.collect();
    let mut sent = Vec::new();
    for sender in senders {
        sent.push(sender.await.expect("a count"));
    }
    // Whoever is late to begin has fewer.
    assert!(sent.iter().all(|count| (50..=200).contains(count)), "{sent:?}");
}

/// Three in a row: the ends are no neighbours, and one can be dialled nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn whom_no_dial_reaches_is_spoken_to_hop_by_hop() {
    let channels = [
        Channel::best_effort("plain"),
        Channel::acknowledged("sure"),
        Channel::latest("newest"),
        Channel::request("ask"),
        Channel::bytes("files"),
    ];
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nodes = soon(row_with_a_hermit(&channels, &silent, Duration::from_secs(2))).await;
    let (one, hermit) = (&nodes[0], &nodes[3]);
    let asked = hermit.channel("ask").expect("declared");
    tokio::spawn(async move {
        while let Some(question) = asked.receive().await {
            let answer = question.data.clone();
            question.answer(answer).expect("a short answer");
        }
    });
    for name in ["plain", "sure", "newest"] {
        for number in 0..200u32 {
            let (from, to) = if number % 2 == 0 { (one, hermit) } else { (hermit, one) };
            let message = vec![number as u8; 1_000];
            let sent = soon(from.channel(name).expect("declared").send(to.id(), message)).await;
            let sent = sent.expect("taken");
            let received = soon(to.channel(name).expect("declared").receive()).await;
            let received = received.expect("a message");
            assert_eq!((received.from, received.data[0]), (from.id(), number as u8));
            received.ack();
            assert_eq!(soon(sent).await, Ok(Bytes::new()), "{name}");
        }
    }
    let ask = one.channel("ask").expect("declared");
    assert_eq!(soon(ask.request(hermit.id(), "echo")).await, Ok(Bytes::from("echo")));
    let files = one.channel("files").expect("declared");
    let refused = soon(files.open(hermit.id())).await.map(drop).expect_err("not relayed");
    assert!(refused.to_string().contains("hop by hop"), "{refused}");
    let relayed = one.metrics().render();
    let relayed = relayed.lines().find(|line| line.contains("kind=\"relay\"")).expect("a metric");
    assert!(!relayed.ends_with(" 0"), "{relayed}");
    let sure = one.channel("sure").expect("declared");
    let large = soon(sure.send(hermit.id(), vec![0; 1 << 20])).await.expect("taken");
    assert_eq!(soon(large).await, Err(Undelivered::Gone), "no relay takes as much: told at once");
}

/// That a dial reached nobody is remembered: only the first lane waited for it.
#[tokio::test(flavor = "multi_thread")]
async fn the_next_lane_to_whom_no_dial_reached_does_not_wait_for_another() {
    let channels = [Channel::acknowledged("first"), Channel::acknowledged("next")];
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nodes = soon(row_with_a_hermit(&channels, &silent, FOREVER)).await;
    let ends = |name: &str| [0, 3].map(|at: usize| nodes[at].channel(name).expect("declared"));
    let hermit = nodes[3].id();

    let [from, to] = ends("first");
    let mut first = pin!(async {
        drop(from.send(hermit, "first").await.expect("taken"));
        to.receive().await.expect("a message").ack();
    });
    let dialled = tokio::select! {
        () = first.as_mut() => panic!("it did not wait for its dial"),
        dialled = soon(dial_for_lanes(&silent, &nodes)) => dialled,
    };
    assert!(first.as_mut().now_or_never().is_none(), "its dial goes on");
    drop(dialled);
    soon(first).await;

    let [from, to] = ends("next");
    drop(soon(from.send(hermit, "next")).await.expect("taken"));
    soon(to.receive()).await.expect("a message").ack();
    // It was tried, and has no end.
    drop(soon(dial_for_lanes(&silent, &nodes)).await);
}

/// The next dial for lanes. Others come from the port where their node listens, and are hung up on.
async fn dial_for_lanes(silent: &TcpListener, nodes: &[Node]) -> TcpStream {
    loop {
        let (dial, from) = silent.accept().await.expect("a dial");
        let port = format!("/tcp/{}/", from.port());
        let listens = |node: &Node| node.addresses().iter().any(|a| a.to_string().contains(&port));
        if !nodes.iter().any(listens) {
            return dial;
        }
    }
}

/// Four nodes with one neighbour or two each; the last tells everybody an address where nobody
/// answers at all.
async fn row_with_a_hermit(
    channels: &[Channel],
    silent: &TcpListener,
    handshake_wait: Duration,
) -> Vec<Node> {
    use murmurate::membership::hyparview;
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..4 {
        let membership = hyparview::Parameters {
            active_capacity: if at == 0 || at == 3 { 1 } else { 2 },
            promotion_interval: None,
            ..murmurate::Builder::default_membership()
        };
        let mut builder = Node::builder()
            .listen("/ip4/127.0.0.1/tcp/0".parse().expect("an address"))
            .limits(Limits { handshake_wait, ..Limits::default() })
            .membership(membership);
        if at == 3 {
            let port = silent.local_addr().expect("bound").port();
            let nowhere = format!("/ip4/127.0.0.1/tcp/{port}");
            builder = builder.advertise(nowhere.parse().expect("an address"));
        }
        for channel in channels {
            builder = builder.channel(channel.clone().timeout(FOREVER));
        }
        let node = builder.spawn().await.expect("a node");
        if let Some(before) = nodes.last() {
            node.join(before.addresses()).await.expect("joined");
        }
        nodes.push(node);
    }
    nodes
}

/// An address nobody told: it is looked for through the overlay.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_known_is_looked_for() {
    let channel = Channel::acknowledged("c");
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..30 {
        let node = node([channel.clone()]).await;
        if at > 0 {
            soon(node.join(nodes[at / 2].addresses())).await.expect("joined");
        }
        nodes.push(node);
    }
    let sends = (0..30).map(|at| {
        let (from, to) = (nodes[at].channel("c").expect("declared"), nodes[(at + 15) % 30].id());
        async move {
            let receipt = from.send(to, at.to_string()).await;
            receipt.expect("taken").await.expect("delivered");
        }
    });
    let receives = nodes.iter().map(|node| async {
        node.channel("c").expect("declared").receive().await.expect("a message").ack();
    });
    let all = futures::future::join(
        futures::future::join_all(sends),
        futures::future::join_all(receives),
    );
    soon(all).await;
}

/// Answers that wait to be sent hold requests back, and let them go on.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_large_answers_are_all_answered() {
    let channel = Channel::request("ask").queue(1_000, 100 << 10);
    let (one, two) = soon(pair(&[channel])).await;
    let asked = two.channel("ask").expect("declared");
    tokio::spawn(async move {
        while let Some(question) = asked.receive().await {
            question.answer(vec![7; 60 << 10]).expect("within the default");
        }
    });
    let ask = one.channel("ask").expect("declared").to(two.id());
    let requests = (0..500).map(|_| ask.request("?"));
    let answers = soon(futures::future::join_all(requests)).await;
    for answer in answers {
        assert_eq!(answer.expect("an answer").len(), 60 << 10);
    }
}

/// The asker would take it for nonsense and end the stream, with all that is under way on it.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_too_large_is_the_answerers_error() {
    let (one, two) = soon(pair(&[Channel::request("ask").max_message(1_000)])).await;
    let (ask, asked) =
        (one.channel("ask").expect("declared"), two.channel("ask").expect("declared"));
    let requests = ["first", "second"].map(|question| {
        let (ask, two) = (ask.clone(), two.id());
        tokio::spawn(async move { ask.request(two, question).await })
    });
    let [other, question] =
        [soon(asked.receive()).await, soon(asked.receive()).await].map(|q| q.expect("a question"));
    let error = question.answer(vec![7; 1_001]).expect_err("larger than a message may be");
    assert_eq!((error.size, error.max), (1_001, 1_000));
    assert_eq!(
        error.to_string(),
        "an answer of 1001 bytes is out of range: 0 to 1000 on this channel"
    );
    error.request.answer(vec![7; 1_000]).expect("it still can be answered");
    other.answer("fine").expect("a short answer");
    let mut answers = Vec::new();
    for request in requests {
        answers.push(soon(request).await.expect("it ran").expect("an answer").len());
    }
    answers.sort_unstable();
    assert_eq!(answers, [4, 1_000]);
}

//! What is believed of broadcasts and datagrams, and what is not.

use bytes::Bytes;
use murmurate_broadcast::plumtree;

use super::*;
use crate::Metrics;
use crate::node::wire::InnerMessage;

const NETWORK: &str = "flock";

const MINUTE: Duration = Duration::from_secs(60);

fn counters(metrics: &Metrics) -> ([IntCounter; 2], IntCounter) {
    (metrics.counters().forged.clone(), metrics.counters().stale.clone())
}

/// A node with a key, and what it believes.
struct Fixture {
    me: Incarnation,
    key: Keypair,
    authorship: Authorship,
    metrics: Metrics,
}

impl Fixture {
    fn new() -> Self {
        Self::of(NETWORK)
    }

    fn of(network: &str) -> Self {
        let (key, metrics) = (Keypair::generate_ed25519(), Metrics::default());
        let node = NodeId::try_from(&key.public()).expect("an ed25519 key");
        let me = Incarnation { node, started: 5 };
        let authorship =
            Authorship::new(me, network, Some(key.clone()), MINUTE, counters(&metrics));
        Self { me, key, authorship, metrics }
    }

    fn id(&self, sequence: u64) -> MessageId {
        MessageId { origin: self.me, sequence }
    }

    /// So many broadcasts, signed together.
    fn published(&self, count: u64) -> Vec<(MessageId, Publication)> {
        let one = |sequence| {
            let data = format!("number {sequence}");
            let now = clock::micros_since_1970();
            let content = Publication::new("t", now, data.as_bytes()).expect("a short topic");
            (self.id(sequence), content)
        };
        let mut together: Vec<_> = (0..count).map(one).collect();
        self.authorship.sign(&mut together);
        together
    }

    fn believes(&self, frame: &Frame) -> bool {
        self.authorship.verify(frame) == Ok(true)
    }

    fn forged(&self) -> [u64; 2] {
        self.metrics.counters().forged.each_ref().map(IntCounter::get)
    }
}

fn gossip((id, payload): (MessageId, Publication)) -> Frame {
    let message = plumtree::Message::Gossip { id, round: 1, payload };
    Frame::Gossip(InnerMessage::of::<plumtree::Parameters>(message))
}

fn reply((id, payload): (MessageId, Publication)) -> Frame {
    Frame::Reply { id, round: 1, age: 0, payload }
}

/// The same with one bit of its bytes flipped, where they still are a publication.
fn altered(content: &Publication, bit: usize) -> Option<Publication> {
    let mut bytes = content.bytes().to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Publication::decode(&bytes)
}

#[test]
fn what_is_published_together_is_believed_one_by_one() {
    let (publisher, other) = (Fixture::new(), Fixture::new());
    for count in 1..=MOST_TOGETHER as u64 {
        for published in publisher.published(count) {
            let again = Publication::decode(published.1.bytes()).expect("a publication");
            assert_eq!(again.data(), format!("number {}", published.0.sequence));
            assert!(other.believes(&gossip((published.0, again))));
            assert!(other.believes(&reply(published)));
        }
    }
    assert_eq!(other.forged(), [0, 0]);
}

#[test]
fn no_bit_of_it_can_be_changed() {
    let (publisher, other) = (Fixture::new(), Fixture::new());
    let (mut forgeries, all) = (0, publisher.published(3));
    // Also when others of its batch are known already.
    assert!(all.iter().all(|published| other.believes(&gossip(published.clone()))));
    for (id, content) in all {
        for bit in 0..8 * content.bytes().len() {
            let Some(altered) = altered(&content, bit) else { continue };
            assert!(!other.believes(&gossip((id, altered))), "bit {bit}");
            forgeries += 1;
        }
    }
    // The upper bits of the time make it one of another century.
    let stale = other.metrics.counters().stale.get();
    assert_eq!(other.forged(), [forgeries - stale, 0]);
    assert!(stale < forgeries / 5, "{stale} of {forgeries}");
}

#[test]
fn a_broadcast_stands_for_itself_alone() {
    let (publisher, other) = (Fixture::new(), Fixture::new());
    let published = publisher.published(2);
    let (id, content) = published[0].clone();
    let forged = |id| other.authorship.verify(&gossip((id, content.clone())));
    assert_eq!(forged(id), Ok(true));
    let origin = publisher.me.node;
    assert_eq!(forged(publisher.id(1)), Err(Forged { origin }), "another number");
    let restarted = Incarnation { started: 6, ..publisher.me };
    assert_eq!(
        forged(MessageId { origin: restarted, ..id }),
        Err(Forged { origin }),
        "another start"
    );
    let origin = other.me.node;
    assert_eq!(forged(other.id(0)), Err(Forged { origin }), "another origin");
    let elsewhere = Fixture::of("prod");
    assert!(!elsewhere.believes(&gossip((id, content.clone()))), "another network");
    let unsigned = Publication::new("t", content.published(), b"number 0").expect("a short topic");
    assert!(!other.believes(&gossip((id, unsigned))));
}

#[test]
fn an_inner_hash_is_no_broadcast() {
    let (publisher, other) = (Fixture::new(), Fixture::new());
    // What a signature of four broadcasts says of the first two cannot be said of one.
    let (id, content) = publisher.published(4).swap_remove(0);
    let proof = content.proof().expect("a proof");
    let mut shorter = content.clone();
    shorter.prove(&proof.path[1..], 0, proof.signature);
    assert!(!other.believes(&gossip((id, shorter))));
}

#[test]
fn an_overlay_that_signs_nothing_believes_everything() {
    let (publisher, metrics) = (Fixture::new(), Metrics::default());
    let open = Authorship::new(publisher.me, NETWORK, None, MINUTE, counters(&metrics));
    let content = Publication::new("t", 1_000, b"number 0").expect("a short topic");
    let mut together = [(publisher.id(0), content.clone())];
    open.sign(&mut together);
    assert_eq!(together[0].1, content);
    let [published] = together;
    assert_eq!(open.verify(&gossip(published)), Ok(true));
    let data = Bytes::from_static(b"hello");
    assert_eq!(open.unsigned(open.sign_datagram(publisher.me, data.clone())), data);
}

#[test]
fn a_datagram_is_its_origin_s_and_for_nobody_else() {
    let (sender, receiver) = (Fixture::new(), Fixture::new());
    let (data, to) = (Bytes::from_static(b"hello"), receiver.me);
    let signed = sender.authorship.sign_datagram(to, data.clone());
    let relayed = |origin, to, data: &Bytes| {
        Frame::Relay(Relayed { origin, to, number: 1, hops_left: 3, data: data.clone() })
    };
    assert!(receiver.believes(&relayed(sender.me, to, &signed)));
    assert_eq!(receiver.authorship.unsigned(signed.clone()), data);
    assert!(!receiver.believes(&relayed(receiver.me, to, &signed)), "another origin");
    let restarted = Incarnation { started: 6, ..sender.me };
    assert!(!receiver.believes(&relayed(restarted, to, &signed)), "another start");
    assert!(!receiver.believes(&relayed(sender.me, to, &data)), "unsigned");
    let other = Fixture::new();
    assert!(other.believes(&relayed(sender.me, to, &data)), "who passes it on does not look");
    assert!(!other.believes(&relayed(sender.me, other.me, &signed)), "for somebody else");
    let statement = sender.authorship.datagram(sender.me, to, &data);
    assert!(sender.key.public().verify(&statement, &signed[data.len()..]), "as the book says it");
    assert_eq!((receiver.forged(), other.forged()), ([0, 3], [0, 1]));
}

#[test]
fn what_is_too_old_or_of_the_future_is_dropped_and_nobody_is_blamed() {
    let (publisher, other) = (Fixture::new(), Fixture::new());
    let now = clock::micros_since_1970();
    let of = |published: u64| {
        let content = Publication::new("t", published, b"old news").expect("a short topic");
        let mut together = [(publisher.id(0), content)];
        publisher.authorship.sign(&mut together);
        let [published] = together;
        other.authorship.verify(&gossip(published))
    };
    let [slack, limit] = [10, 3_600].map(|seconds: u64| seconds * 1_000_000);
    for (published, fresh) in [
        (now, true),
        (now - limit, true),
        (now - limit - 60_000_000 + slack, true),
        (now - limit - 60_000_000 - slack, false),
        (now + limit - slack, true),
        (now + limit + slack, false),
        (0, false),
        (u64::MAX, false),
    ] {
        assert_eq!(of(published), Ok(fresh), "{published}");
    }
    assert_eq!((other.metrics.counters().stale.get(), other.forged()), (4, [0, 0]));
}

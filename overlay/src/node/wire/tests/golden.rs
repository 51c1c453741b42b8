//! One frame of each shape, byte for byte: whoever changes the format changes the version too.

use std::fs;

use murmurate_broadcast::anti_entropy::Message as Exchange;
use murmurate_broadcast::plumtree::{self, Message as Plumtree};
use murmurate_broadcast::{Announcement, flood};
use murmurate_membership::full_mesh::{self, Message as Mesh};
use murmurate_membership::hyparview::{self, Message, Priority};
use murmurate_membership::static_overlay::{self, Message as Static};

use super::super::check::{encode, other_codec, take};
use super::super::*;
use super::codec_of;
use crate::id::NodeId;
use crate::router::Message as Router;

const STARTED: u64 = 1_700_000_000_000;

fn incarnation(first: u8) -> Incarnation {
    let key = std::array::from_fn(|at| first + at as u8);
    Incarnation { node: NodeId::from_bytes(key), started: STARTED }
}

/// Key 00 01 … 1f.
fn one() -> Incarnation {
    incarnation(0)
}

/// Key 20 21 … 3f.
fn two() -> Incarnation {
    incarnation(32)
}

/// The first one with its address.
fn contact() -> Contact {
    Contact { peer: one(), addresses: address() }
}

fn address() -> Addresses {
    ["/ip4/10.0.0.1/tcp/7400".parse().expect("an address")].iter().collect()
}

fn id(sequence: u64) -> MessageId {
    MessageId { origin: incarnation(0), sequence }
}

fn announced(sequence: u64, round: u16) -> Announcement<MessageId> {
    Announcement { id: id(sequence), round }
}

/// With the addresses of those it names: key 00 has one, others none.
fn with_addresses(message: MembershipMessage) -> Frame {
    let of = |peer: &Incarnation| {
        if *peer == one() { address() } else { Addresses::default() }
    };
    let addresses = message.named().iter().map(of).collect();
    Frame::Membership(message, addresses)
}

fn membership(message: Message<Incarnation>) -> Frame {
    with_addresses(MembershipMessage::of::<hyparview::Parameters>(message))
}

fn mesh(message: Mesh<Incarnation>) -> Frame {
    with_addresses(MembershipMessage::of::<full_mesh::Parameters>(message))
}

fn fixed(message: Static) -> Frame {
    with_addresses(MembershipMessage::of::<static_overlay::Parameters>(message))
}

fn control(message: Plumtree<MessageId, Publication>) -> Frame {
    Frame::Control(InnerMessage::of::<plumtree::Parameters>(message))
}

fn hello() -> Frame {
    Frame::Hello(Hello {
        strategies: "hyparview/plumtree".into(),
        signed: true,
        started: STARTED,
        max_frame: 1 << 20,
        order: Order { number: 3, heard: (STARTED, 300) },
        addresses: address(),
    })
}

fn news() -> Publication {
    Publication::new("news", STARTED * 1_000, b"hello").expect("a short topic")
}

fn gossip() -> Frame {
    super::gossip(Plumtree::Gossip { id: id(7), round: 1, payload: news() })
}

/// The second of two that were signed together.
fn proven() -> Frame {
    let (mut payload, [beside, key]) = (news(), [two(), one()].map(|of| of.node.to_bytes()));
    let signature = std::array::from_fn(|at| [key, beside].as_flattened()[at]);
    payload.prove(&[beside], 1, &signature);
    super::gossip(Plumtree::Gossip { id: id(7), round: 1, payload })
}

fn repair() -> Frame {
    super::gossip(Plumtree::Repair { id: id(7), round: 1, payload: news() })
}

/// As a flood says it.
fn flooded() -> Frame {
    let message = flood::Message { id: id(7), round: 1, payload: news() };
    Frame::Gossip(InnerMessage::of::<flood::Parameters>(message))
}

fn reply() -> Frame {
    Frame::Reply { id: id(7), round: 1, age: 300, payload: news() }
}

fn span(from: u64, to: u64) -> anti_entropy::Span<Incarnation> {
    anti_entropy::Span { origin: incarnation(0), from, to }
}

fn summary() -> anti_entropy::Summary {
    anti_entropy::Summary { part: anti_entropy::Part::ALL, digest: [1, 2, 3, 4, 5, 6, 7, 8] }
}

fn relayed() -> Frame {
    let data = bytes::Bytes::from_static(b"hello");
    let (origin, to) = (incarnation(0), incarnation(32));
    Frame::Relay(Relayed { origin, to, number: 7, hops_left: 15, data })
}

/// The keys of the two nodes, so that the lines below stay short.
const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";

/// Each frame in hex, `A` and `B` for the keys.
#[rustfmt::skip]
fn golden() -> Vec<(&'static str, Frame)> {
    vec![
        ("00000030126879706172766965772f706c756d747265650180d095ffbc318080400380d095ffbc31ac020108040a000001061ce8", hello()),
        ("010000020001", membership(Message::Join { link: 1 })),
        ("0100003201 A 80d095ffbc31060108040a000001061ce8", membership(Message::ForwardJoin { joiner: one(), ttl: 6 })),
        ("0100000402ac0200", membership(Message::Neighbor { link: 300, priority: Priority::High })),
        ("0100000402ac0201", membership(Message::Neighbor { link: 300, priority: Priority::Low })),
        ("0100002b02ac0202 B 80d095ffbc3100", membership(Message::Neighbor { link: 300, priority: Priority::Exchange { spare: two() } })),
        ("01000003030200", membership(Message::Accept { link: 2, evicted: None })),
        ("0100002a030201 B 80d095ffbc3100", membership(Message::Accept { link: 2, evicted: Some(two()) })),
        ("010000020403", membership(Message::Reject { link: 3 })),
        ("0100000405040100", membership(Message::Disconnect { link: 4, leaving: true, instead: None })),
        ("0100002b05040001 B 80d095ffbc3100", membership(Message::Disconnect { link: 4, leaving: false, instead: Some(two()) })),
        ("0100005a06 A 80d095ffbc310601 B 80d095ffbc310108040a000001061ce800", membership(Message::Shuffle { origin: one(), ttl: 6, sample: [two()].into_iter().collect() })),
        ("010000320701 A 80d095ffbc310108040a000001061ce8", membership(Message::ShuffleReply { sample: [one()].into_iter().collect() })),
        ("010000020805", membership(Message::Keepalive { link: 5 })),
        ("0200002a0100 A 80d095ffbc310702", control(Plumtree::IHave([announced(7, 2)].into_iter().collect()))),
        ("02000054010102 A 80d095ffbc310702 A 80d095ffbc31ac0201", control(Plumtree::IHave([announced(7, 2), announced(300, 1)].into_iter().collect()))),
        ("020000020200", control(Plumtree::Graft { missing: None })),
        ("0200002a0201 A 80d095ffbc310702", control(Plumtree::Graft { missing: Some(announced(7, 2)) })),
        ("0200000103", control(Plumtree::Prune)),
        ("0200002904 A 80d095ffbc310702", control(Plumtree::Fetch(announced(7, 2)))),
        ("0300003c00 A 80d095ffbc310701046e65777300401e18240a060068656c6c6f00", gossip()),
        ("0300009d00 A 80d095ffbc310701046e65777300401e18240a060068656c6c6f B A B 0102", proven()),
        ("04000000", Frame::AskViews),
        ("0500003401 A 80d095ffbc310108040a000001061ce8011e02", Frame::Views(Views { active: [(contact(), true)].into_iter().collect(), passive: 30, notice: 2 })),
        ("06000000", Frame::Bye),
        ("09000000", Frame::Padding),
        ("0700005500 A 80d095ffbc310108040a000001061ce8ac02 B 0104", Frame::Route(Router::Lookup { origin: contact(), number: 300, target: incarnation(32).node, path: true, hops_left: 4 })),
        ("0700005001 A 80d095ffbc31ac02 B 80d095ffbc3100", Frame::Route(Router::Found { origin: incarnation(0), number: 300, peer: Contact { peer: two(), addresses: Addresses::default() } })),
        ("0700002803 A 80d095ffbc3107", Frame::Route(Router::Lost { origin: incarnation(0), number: 7 })),
        ("0b00001101e80701 0000000000 0102030405060708", Frame::Exchange(Exchange::Compare { uptime: 1_000, parts: [summary()].into_iter().collect() })),
        ("0b000034 02e80701 0000000000 01 A 80d095ffbc310508 01 01", Frame::Exchange(Exchange::Have { uptime: 1_000, parts: [anti_entropy::Part::ALL].into_iter().collect(), origins: [span(5, 8)].into_iter().collect(), sure: 1, answer: true })),
        ("0b00002a 0301 A 80d095ffbc310508", Frame::Exchange(Exchange::Want([span(5, 8)].into_iter().collect()))),
        ("0c00003d A 80d095ffbc310701ac02046e65777300401e18240a060068656c6c6f00", reply()),
        ("0800005eA 0068e5cf8b010000 B 0068e5cf8b01000007000000000000000f68656c6c6f", relayed()),
        ("0a00000b05636c6f636b68656c6c6f", served()),
        ("010000020009", mesh(Mesh::Hello { link: 9 })),
        ("010000020109", mesh(Mesh::Accept { link: 9 })),
        ("010000320201 A 80d095ffbc310108040a000001061ce8", mesh(Mesh::Members([one()].into_iter().collect()))),
        ("01000003030901", mesh(Mesh::Disconnect { link: 9, leaving: true })),
        ("010000020409", mesh(Mesh::Keepalive { link: 9 })),
        ("010000020008", fixed(Static::Hello { link: 8 })),
        ("010000020108", fixed(Static::Accept { link: 8 })),
        ("01000003020801", fixed(Static::Disconnect { link: 8, leaving: true })),
        ("010000020308", fixed(Static::Keepalive { link: 8 })),
        ("0d000002 ac02", Frame::Probe(300)),
        ("0e000003 ac02 28", Frame::Echo(Echo { number: 300, delay: 40 })),
        ("0300003c05 A 80d095ffbc310701046e65777300401e18240a060068656c6c6f00", repair()),
        ("0300003b A 80d095ffbc310701046e65777300401e18240a060068656c6c6f00", flooded()),
    ]
}

/// What a flood says can be read by those who flood.
const FLOODED: &str = "0300003b A 80d095ffbc310701046e65777300401e18240a060068656c6c6f00";

fn served() -> Frame {
    Frame::Service(ServiceMessage { name: "clock".into(), body: (&b"hello"[..]).into() })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Vec<u8> {
    let hex: String = hex.replace('A', A).replace('B', B).split_whitespace().collect();
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16))
        .map(|byte| byte.expect("hex"))
        .collect()
}

#[test]
fn the_format_is_what_it_was() {
    for (written, frame) in golden() {
        let expected = from_hex(written);
        assert_eq!(hex(&encode(&frame)), hex(&expected), "{frame:?}");
        let codec = if written == FLOODED { other_codec() } else { codec_of(&frame) };
        assert_eq!(take(&expected, MAX_BODY, &codec), Some(Ok((frame, expected.len()))));
    }
}

#[test]
fn the_name_of_the_protocol_is_what_it_was() {
    assert_eq!(PROTOCOL, "/murmurate/overlay/7");
}

/// The book shows the same bytes, in groups of any length.
#[test]
fn the_book_says_the_same() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/wire.md");
    // The published crate comes without the book.
    let Ok(page) = fs::read_to_string(page) else { return };
    let page: String = page.split_whitespace().collect();
    for (written, frame) in golden() {
        let expected: String = written.split_whitespace().collect();
        assert!(page.contains(&format!("`{expected}`")), "{written} is missing: {frame:?}");
    }
    for (name, number) in [
        ("MAX_CONTROL", MAX_CONTROL),
        ("PADDING", PADDING),
        ("MAX_BODY", MAX_BODY),
        ("MAX_SAMPLE", hyparview::MAX_SAMPLE),
        ("MAX_ANNOUNCEMENTS", plumtree::MAX_ANNOUNCEMENTS),
        ("MAX_PARTS", anti_entropy::MAX_PARTS),
        ("MAX_ORIGINS", anti_entropy::MAX_ORIGINS),
        ("MAX_ADDRESSES", Addresses::MAX),
        ("MAX_ADDRESS", Addresses::MAX_BYTES),
        ("MAX_STRATEGIES", MAX_STRATEGIES),
        ("MAX_VIEW", MAX_VIEW),
        ("MAX_DEPTH", MAX_DEPTH),
    ] {
        assert!(page.contains(&format!("`{name}`|{number}|")), "{name} = {number} is missing");
    }
}

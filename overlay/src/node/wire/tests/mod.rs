//! The wire format: what is written is read again, and nothing else.

mod golden;
mod mutation;

use libp2p::Multiaddr;
use murmurate_broadcast::Announcement;
use murmurate_broadcast::plumtree::{self, Message as Plumtree};
use murmurate_membership::full_mesh::{self, Message as Mesh};
use murmurate_membership::hyparview::{self, Message, Priority};
use murmurate_membership::static_overlay::{self, Message as Static, StaticOverlay};
use proptest::collection::vec;
use proptest::prelude::*;

use super::check::{codec, encode, hold, other_codec, static_codec, take};
use super::*;
use crate::erased::Boxed;
use crate::id::NodeId;

/// Any frame that a node may send.
fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        1 => any_hello().prop_map(Frame::Hello),
        4 => any_membership(),
        2 => any_control().prop_map(|message| {
            Frame::Control(InnerMessage::of::<plumtree::Parameters>(message))
        }),
        3 => any_payload(),
        2 => any_exchange().prop_map(Frame::Exchange),
        1 => Just(Frame::AskViews),
        1 => (vec((any_contact(), any::<bool>()), 0..=MAX_VIEW), any::<u32>(), any::<u64>()).prop_map(
            |(active, passive, notice)| {
                let active = active.into_iter().collect();
                Frame::Views(Views { active, passive, notice })
            }
        ),
        1 => Just(Frame::Bye),
        1 => Just(Frame::Padding),
        1 => any::<u32>().prop_map(Frame::Probe),
        1 => (any::<u32>(), any::<u16>())
            .prop_map(|(number, delay)| Frame::Echo(Echo { number, delay })),
        2 => any_route().prop_map(Frame::Route),
        1 => any_relayed().prop_map(Frame::Relay),
        1 => any_served().prop_map(Frame::Service),
    ]
}

fn any_address() -> impl Strategy<Value = Multiaddr> {
    let tcp = (any::<[u8; 4]>(), any::<u16>())
        .prop_map(|(ip, port)| format!("/ip4/{}/tcp/{port}", std::net::Ipv4Addr::from(ip)));
    let quic = (any::<[u8; 16]>(), any::<u16>())
        .prop_map(|(ip, port)| format!("/ip6/{}/udp/{port}/quic-v1", std::net::Ipv6Addr::from(ip)));
    let dns =
        ("[a-z]{1,253}", any::<u16>()).prop_map(|(name, port)| format!("/dns/{name}/tcp/{port}"));
    prop_oneof![tcp, quic, dns].prop_map(|text| text.parse().expect("an address"))
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    vec(any_address(), 0..6).prop_map(|all| all.iter().collect())
}

fn any_peer() -> impl Strategy<Value = Incarnation> {
    (any::<[u8; 32]>(), any::<u64>())
        .prop_map(|(key, started)| Incarnation { node: NodeId::from_bytes(key), started })
}

fn any_contact() -> impl Strategy<Value = Contact> {
    (any_peer(), any_addresses()).prop_map(|(peer, addresses)| Contact { peer, addresses })
}

fn any_hello() -> impl Strategy<Value = Hello> {
    let order = any::<(u64, (u64, u64))>().prop_map(|(number, heard)| Order { number, heard });
    (any::<bool>(), any::<u64>(), any::<u32>(), order, any_addresses()).prop_map(
        |(signed, started, max_frame, order, addresses)| Hello {
            strategies: "hyparview/plumtree".into(),
            signed,
            started,
            max_frame,
            order,
            addresses,
        },
    )
}

fn any_membership() -> impl Strategy<Value = Frame> {
    let link = any::<u16>;
    let maybe = || proptest::option::of(any_peer());
    let sample = || vec(any_peer(), 0..40).prop_map(|all| all.into_iter().collect());
    let priority = prop_oneof![
        Just(Priority::High),
        Just(Priority::Low),
        any_peer().prop_map(|spare| Priority::Exchange { spare }),
    ];
    let hyparview =
        prop_oneof![
            link().prop_map(|link| Message::Join { link }),
            (any_peer(), any::<u8>())
                .prop_map(|(joiner, ttl)| Message::ForwardJoin { joiner, ttl }),
            (link(), priority).prop_map(|(link, priority)| Message::Neighbor { link, priority }),
            (link(), maybe()).prop_map(|(link, evicted)| Message::Accept { link, evicted }),
            link().prop_map(|link| Message::Reject { link }),
            (link(), any::<bool>(), maybe()).prop_map(|(link, leaving, instead)| {
                Message::Disconnect { link, leaving, instead }
            }),
            (any_peer(), any::<u8>(), sample())
                .prop_map(|(origin, ttl, sample)| Message::Shuffle { origin, ttl, sample }),
            sample().prop_map(|sample| Message::ShuffleReply { sample }),
            link().prop_map(|link| Message::Keepalive { link }),
        ];
    let mesh = prop_oneof![
        link().prop_map(|link| Mesh::Hello { link }),
        link().prop_map(|link| Mesh::Accept { link }),
        sample().prop_map(Mesh::Members),
        (link(), any::<bool>()).prop_map(|(link, leaving)| Mesh::Disconnect { link, leaving }),
        link().prop_map(|link| Mesh::Keepalive { link }),
    ];
    let fixed = prop_oneof![
        link().prop_map(|link| Static::Hello { link }),
        link().prop_map(|link| Static::Accept { link }),
        (link(), any::<bool>()).prop_map(|(link, leaving)| Static::Disconnect { link, leaving }),
        link().prop_map(|link| Static::Keepalive { link }),
    ];
    let message = prop_oneof![
        2 => hyparview.prop_map(MembershipMessage::of::<hyparview::Parameters>),
        1 => mesh.prop_map(MembershipMessage::of::<full_mesh::Parameters>),
        1 => fixed.prop_map(MembershipMessage::of::<static_overlay::Parameters>),
    ];
    message.prop_flat_map(|message| {
        let addresses = vec(any_addresses(), message.named().len());
        addresses.prop_map(move |addresses| Frame::Membership(message.clone(), addresses))
    })
}

/// Reads a frame: those of a full mesh and of a static overlay by their own codecs.
fn codec_of(frame: &Frame) -> Codec {
    match frame {
        Frame::Membership(message, _)
            if Boxed::<full_mesh::FullMesh<Incarnation>, _>::own(message.clone()).is_some() =>
        {
            other_codec()
        }
        Frame::Membership(message, _)
            if Boxed::<StaticOverlay<Incarnation>, _>::own(message.clone()).is_some() =>
        {
            static_codec()
        }
        _ => codec(),
    }
}

fn any_id() -> impl Strategy<Value = MessageId> {
    (any_peer(), any::<u64>()).prop_map(|(origin, sequence)| MessageId { origin, sequence })
}

fn any_control() -> impl Strategy<Value = Plumtree<MessageId, Publication>> {
    let announced = || (any_id(), any::<u16>()).prop_map(|(id, round)| Announcement { id, round });
    prop_oneof![
        vec(announced(), 0..=plumtree::MAX_ANNOUNCEMENTS)
            .prop_map(|all| Plumtree::IHave(all.into_iter().collect())),
        proptest::option::of(announced()).prop_map(|missing| Plumtree::Graft { missing }),
        announced().prop_map(Plumtree::Fetch),
        Just(Plumtree::Prune),
    ]
}

fn any_exchange() -> impl Strategy<Value = ExchangeMessage> {
    use anti_entropy::{MAX_ORIGINS, MAX_PARTS, Message as Exchange, Part, Span, Summary};
    let part = || {
        vec(0..16usize, 0..4).prop_map(|way| {
            let into = |part: Part, at| part.split().and_then(|mut all| all.nth(at));
            way.into_iter().fold(Part::ALL, |part, at| into(part, at).unwrap_or(part))
        })
    };
    let summary = (part(), any::<[u8; 8]>()).prop_map(|(part, digest)| Summary { part, digest });
    let span = (any_peer(), any::<u64>(), any::<u64>());
    let span = span.prop_map(|(origin, from, to)| Span { origin, from, to }).boxed();
    let origins = vec(span.clone(), 0..=MAX_ORIGINS);
    let have = (any::<u32>(), vec(part(), 0..=MAX_PARTS), origins, any::<u16>(), any::<bool>());
    prop_oneof![
        (any::<u32>(), vec(summary, 0..=MAX_PARTS)).prop_map(|(uptime, parts)| {
            Exchange::Compare { uptime, parts: parts.into_iter().collect() }
        }),
        have.prop_map(|(uptime, parts, origins, sure, answer)| {
            let (parts, origins) = (parts.into_iter().collect(), origins.into_iter().collect());
            Exchange::Have { uptime, parts, origins, sure, answer }
        }),
        vec(span, 0..=MAX_ORIGINS).prop_map(|spans| Exchange::Want(spans.into_iter().collect())),
    ]
}

fn gossip(message: Plumtree<MessageId, Publication>) -> Frame {
    Frame::Gossip(InnerMessage::of::<plumtree::Parameters>(message))
}

fn any_proof() -> impl Strategy<Value = Option<(Vec<[u8; 32]>, u8, [u8; 64])>> {
    let signature = (any::<[u8; 32]>(), any::<[u8; 32]>());
    let signature = signature.prop_map(|both| {
        let both = [both.0, both.1];
        std::array::from_fn(|at| both.as_flattened()[at])
    });
    proptest::option::of((vec(any::<[u8; 32]>(), 0..=MAX_DEPTH), any::<u8>(), signature))
}

fn any_payload() -> impl Strategy<Value = Frame> {
    let content = ("\\PC{0,60}", any::<u64>(), vec(any::<u8>(), 0..2_000));
    (content, any_proof(), any_id(), any::<u16>(), any::<u32>(), 0..3u8).prop_map(
        |((topic, published, data), proof, id, round, age, kind)| {
            let mut payload = Publication::new(&topic, published, &data).expect("a short topic");
            assert_eq!(payload.proof(), None);
            if let Some((path, place, signature)) = &proof {
                let place = place % (1 << path.len());
                payload.prove(path, place, signature);
                assert_eq!(payload.proof(), Some(Proof { path, place, signature }));
            }
            assert_eq!(payload.topic(), topic);
            assert_eq!((payload.published(), &payload.data()[..]), (published, &data[..]));
            match kind {
                0 => Frame::Reply { id, round, age, payload },
                1 => gossip(Plumtree::Repair { id, round, payload }),
                _ => gossip(Plumtree::Gossip { id, round, payload }),
            }
        },
    )
}

fn any_route() -> impl Strategy<Value = RouteMessage> {
    use crate::router::Message as Router;
    let node = || any_peer().prop_map(|peer| peer.node);
    prop_oneof![
        (any_contact(), any::<u64>(), node(), any::<bool>(), any::<u8>()).prop_map(
            |(origin, number, target, path, hops_left)| Router::Lookup {
                origin,
                number,
                target,
                path,
                hops_left
            }
        ),
        (any_peer(), any::<u64>(), any_contact())
            .prop_map(|(origin, number, peer)| Router::Found { origin, number, peer }),
        (any_peer(), any::<u64>()).prop_map(|(origin, number)| Router::Lost { origin, number }),
    ]
}

fn any_relayed() -> impl Strategy<Value = Relayed> {
    (any_peer(), any_peer(), any::<u64>(), any::<u8>(), vec(any::<u8>(), 0..200)).prop_map(
        |(origin, to, number, hops_left, data)| Relayed {
            origin,
            to,
            number,
            hops_left,
            data: data.into(),
        },
    )
}

fn any_served() -> impl Strategy<Value = ServiceMessage> {
    ("\\PC{0,60}", vec(any::<u8>(), 0..200))
        .prop_map(|(name, body)| ServiceMessage { name: name.into(), body: body.into() })
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(frame in any_frame()) {
        let bytes = encode(&frame);
        let codec = codec_of(&frame);
        prop_assert_eq!(take(&bytes, MAX_BODY, &codec), Some(Ok((frame.clone(), bytes.len()))));
        hold(&frame, bytes.len(), &codec);
    }

    #[test]
    fn neither_less_nor_more_than_a_frame_is_one(frame in any_frame(), extra in any::<u8>()) {
        let bytes = encode(&frame);
        let body = &bytes[HEADER..];
        let kind = Kind::ALL[usize::from(bytes[0])];
        let malformed = Err(FrameError::Malformed(kind));
        let codec = codec_of(&frame);
        let payload_ends_anywhere = match &frame {
            Frame::Gossip(_) | Frame::Reply { .. } => frame.broadcast().map_or(0, |(_, content)| {
                content.bytes().len() - (1 + content.topic().len() + size_of::<u64>())
            }),
            Frame::Relay(relayed) => relayed.data.len(),
            Frame::Service(message) => message.body.len(),
            _ => 0,
        };
        for end in 0..body.len() - payload_ends_anywhere {
            prop_assert_eq!(&Frame::decode(kind, &body[..end], &codec), &malformed);
        }
        if !kind.is_content() && kind != Kind::Padding {
            let longer = [body, &[extra]].concat();
            prop_assert_eq!(&Frame::decode(kind, &longer, &codec), &malformed);
        }
    }
}

#[test]
fn headers_are_held_to_their_limits() {
    assert_eq!(header([3, 0x10, 0, 0], 1 << 20), Ok((Kind::Gossip, 1 << 20)));
    assert_eq!(
        header([3, 0x10, 0, 1], 1 << 20),
        Err(FrameError::TooLong { kind: Kind::Gossip, length: (1 << 20) + 1, limit: 1 << 20 })
    );
    assert_eq!(header([3, 0xff, 0xff, 0xff], MAX_BODY), Ok((Kind::Gossip, MAX_BODY)));
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_content()) {
        assert_eq!(header([kind as u8, 1, 0, 0], 1 << 20), Ok((kind, MAX_CONTROL)));
        assert_eq!(
            header([kind as u8, 1, 0, 1], MAX_BODY),
            Err(FrameError::TooLong { kind, length: MAX_CONTROL + 1, limit: MAX_CONTROL })
        );
    }
    for kind in Kind::ALL.len() as u8..=255 {
        assert_eq!(header([kind, 0, 0, 0], MAX_BODY), Err(FrameError::UnknownKind(kind)));
    }
}

/// A frame with `count` of something where `most` are allowed.
fn counted(
    (kind, codec): (Kind, Codec),
    before: &[u8],
    count: usize,
    one: &[u8],
    after: &[u8],
) -> bool {
    let count_bytes = postcard::to_extend(&count, Vec::new()).expect("a number");
    let body = [before, &count_bytes, &one.repeat(count), after].concat();
    Frame::decode(kind, &body, &codec).is_ok()
}

#[test]
fn counts_are_held_to_their_limits() {
    let peer = [&[1; 32][..], &[9]].concat();
    let contact = [&peer[..], &[0]].concat();
    let announced = [&peer[..], &[1, 1]].concat();
    let viewed = [&contact[..], &[1]].concat();
    let shuffle = [&[6][..], &peer, &[3]].concat();
    // Nobody's addresses follow.
    let none = [0; 512];
    for (kind, before, most, one, after) in [
        (
            Kind::Membership,
            &shuffle[..],
            hyparview::MAX_SAMPLE,
            &peer[..],
            &none[..=hyparview::MAX_SAMPLE],
        ),
        (Kind::Membership, &[7], hyparview::MAX_SAMPLE, &peer, &none[..hyparview::MAX_SAMPLE]),
        (Kind::Control, &[1, 1], plumtree::MAX_ANNOUNCEMENTS, &announced, &[]),
        (Kind::Views, &[], MAX_VIEW, &viewed, &[0, 0]),
        (Kind::Exchange, &[1, 0], anti_entropy::MAX_PARTS, &[0; 13], &[]),
        (Kind::Exchange, &[2, 0], anti_entropy::MAX_PARTS, &[0; 5], &[0, 0, 0]),
        (Kind::Exchange, &[3], anti_entropy::MAX_ORIGINS, &[0; 35], &[]),
        (Kind::Hello, &[1, b'y', 0, 0, 0, 0, 0, 0], Addresses::MAX, &[0], &[]),
    ] {
        let one_more = match kind {
            Kind::Membership => &[after, &[0]].concat(),
            _ => after,
        };
        let of = (kind, codec());
        assert!(counted(of, before, most, one, after), "{kind:?}");
        assert!(!counted(of, before, most + 1, one, one_more), "{kind:?}");
        // A count that is a lie costs nothing.
        let lie = [before, &[0xff, 0xff, 0xff, 0xff, 0x0f]].concat();
        let read = || assert!(Frame::decode(kind, &lie, &codec()).is_err());
        let spent = allocation_counter::measure(read);
        assert!(spent.bytes_max < 1 << 10, "{kind:?}: {spent:?}");
    }
}

#[test]
fn a_mesh_names_no_more_than_it_may() {
    let peer = [&[1; 32][..], &[9]].concat();
    let (most, none) = (full_mesh::MAX_GOSSIP_LENGTH, [0; 512]);
    let of = (Kind::Membership, other_codec());
    assert!(counted(of, &[2], most, &peer, &none[..most]));
    assert!(!counted(of, &[2], most + 1, &peer, &none[..=most]));
}

#[test]
fn names_in_a_hello_are_short() {
    let hello = |length: usize| {
        let body = [&[length as u8][..], &vec![b'x'; length], &[0; 7]].concat();
        Frame::decode(Kind::Hello, &body, &codec())
    };
    assert!(hello(MAX_STRATEGIES).is_ok());
    assert_eq!(hello(MAX_STRATEGIES + 1), Err(FrameError::Malformed(Kind::Hello)));
}

/// What a hello with these addresses comes to.
fn heard(addresses: &[&[u8]]) -> Result<Vec<String>, FrameError> {
    let hello = ("y", false, 0_u64, 0_u32, Order::default(), addresses);
    let body = postcard::to_extend(&hello, Vec::new()).expect("data");
    let Frame::Hello(hello) = Frame::decode(Kind::Hello, &body, &codec())? else {
        unreachable!("the kind says so")
    };
    Ok(hello.addresses.iter().map(ToString::to_string).collect())
}

#[test]
fn addresses_from_the_wire_are_those_that_can_be_used() {
    let bytes = |text: &str| text.parse::<Multiaddr>().expect("an address").to_vec();
    let peer = NodeId::from_bytes([7; 32]).to_peer_id();
    let plain = bytes("/ip4/10.0.0.1/tcp/1");
    let named = bytes(&format!("/ip4/10.0.0.1/tcp/1/p2p/{peer}/p2p/{peer}"));
    let only_a_name = bytes(&format!("/p2p/{peer}"));
    let unreadable: &[u8] = &[0xff, 0xff, 0x03, 1];
    let other = bytes("/ip4/10.0.0.2/tcp/1");
    assert_eq!(
        heard(&[&plain, &named, unreadable, &other]),
        Ok(vec!["/ip4/10.0.0.1/tcp/1".into(), "/ip4/10.0.0.2/tcp/1".into()])
    );
    assert_eq!(heard(&[&only_a_name, &[]]), Ok(Vec::new()));
    let dns = |length: usize| bytes(&format!("/dns/{}/tcp/1", "x".repeat(length)));
    assert_eq!(dns(294).len(), Addresses::MAX_BYTES);
    assert_eq!(heard(&[&dns(294)]).map(|all| all.len()), Ok(1));
    assert_eq!(heard(&[&dns(295)]), Err(FrameError::Malformed(Kind::Hello)));
}

#[test]
fn a_payload_in_a_control_frame_is_malformed() {
    let gossip = [&[0][..], &[1; 32], &[0, 0, 0]].concat();
    let malformed = Err(FrameError::Malformed(Kind::Control));
    assert_eq!(Frame::decode(Kind::Control, &gossip, &codec()), malformed);
    let prune = Err(FrameError::Malformed(Kind::Gossip));
    let body = [&[3][..], &[0; 9]].concat();
    assert_eq!(
        Frame::decode(Kind::Gossip, &body, &codec()),
        prune,
        "nor one without in the others"
    );
}

#[test]
fn a_topic_is_text() {
    let frame = |topic: &[u8]| {
        let body = [&[0; 36][..], &[topic.len() as u8], topic, &[0; 9]].concat();
        Frame::decode(Kind::Gossip, &body, &codec())
    };
    assert!(frame("Spatzen".as_bytes()).is_ok());
    assert_eq!(frame(&[0xff]), Err(FrameError::Malformed(Kind::Gossip)));
}

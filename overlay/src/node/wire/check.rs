//! What holds of every frame that decodes, whoever sent it: for tests and fuzzers.

#![allow(clippy::expect_used, reason = "a check panics where something does not hold")]

use std::cell::Cell;

use murmurate_broadcast::plumtree::{self, MAX_ANNOUNCEMENTS};
use murmurate_broadcast::{Carries as _, flood};
use murmurate_membership::full_mesh;
use murmurate_membership::hyparview::{self, MAX_SAMPLE};
use murmurate_membership::static_overlay::{self, StaticOverlay};

use super::*;
use crate::erased::Boxed;
use crate::id::NodeId;

/// Bytes an announcement takes, at most.
const _: () = assert!(
    MAX_ANNOUNCEMENTS * (size_of::<murmurate_broadcast::Announcement<MessageId>>() + 8)
        < MAX_CONTROL,
    "a full batch of announcements fits a control frame"
);

/// Reads what the default strategies say.
pub(crate) fn codec() -> Codec {
    Codec::of_membership::<hyparview::Parameters>().with_broadcast::<plumtree::Parameters>()
}

/// Reads what the others say.
pub(crate) fn other_codec() -> Codec {
    Codec::of_membership::<full_mesh::Parameters>().with_broadcast::<flood::Parameters>()
}

/// Reads what the static overlay says.
pub(crate) fn static_codec() -> Codec {
    Codec::of_membership::<static_overlay::Parameters>().with_broadcast::<flood::Parameters>()
}

/// A frame's bytes, whole.
pub(crate) fn encode(frame: &Frame) -> Vec<u8> {
    match frame {
        Frame::Hello(hello) => hello.encode(),
        Frame::Membership(message, addresses) => {
            let next = Cell::new(0);
            let of_next = |_| addresses[next.replace(next.get() + 1)].clone();
            encode_membership(message, of_next).expect("a short one")
        }
        Frame::Control(message) => {
            let head = message.clone().split().0.expect("plain data");
            encode_control(&head).expect("a short one")
        }
        Frame::Gossip(message) => {
            let (head, payload) = message.clone().split();
            let (head, payload) = (head.expect("plain data"), payload.expect("a payload"));
            let head = Head::of_gossip(&head, &payload).expect("a short head");
            [&head, payload.bytes().as_ref()].concat()
        }
        Frame::Reply { id, round, age, payload } => {
            let head = Head::of_reply(*id, *round, *age, payload).expect("a short head");
            [&head, payload.bytes().as_ref()].concat()
        }
        Frame::Exchange(message) => encode_exchange(message),
        Frame::AskViews => encode_empty(Kind::AskViews).to_vec(),
        Frame::Views(views) => views.encode(),
        Frame::Route(message) => encode_route(message),
        Frame::Relay(relayed) => relayed.encode(),
        Frame::Service(message) => message.encode(),
        Frame::Bye => encode_empty(Kind::Bye).to_vec(),
        Frame::Padding => encode_empty(Kind::Padding).to_vec(),
        Frame::Probe(number) => encode_probe(*number),
        Frame::Echo(echo) => echo.encode(),
    }
}

/// The frame at the start of `bytes`, with the bytes it took; `None` if it goes on after them.
pub(crate) fn take(
    bytes: &[u8],
    max_frame: usize,
    codec: &Codec,
) -> Option<Result<(Frame, usize), FrameError>> {
    let (head, rest) = bytes.split_first_chunk::<HEADER>()?;
    let (kind, length) = match header(*head, max_frame) {
        Ok(announced) => announced,
        Err(error) => return Some(Err(error)),
    };
    let body = rest.get(..length)?;
    Some(Frame::decode(kind, body, codec).map(|frame| (frame, HEADER + length)))
}

/// A hello as a node says it.
pub(crate) fn a_hello() -> Vec<u8> {
    let (order, addresses) = (Order::default(), Addresses::default());
    let strategies = "hyparview/plumtree".into();
    Hello { strategies, signed: true, started: 1, max_frame: 1 << 20, order, addresses }.encode()
}

/// Panics unless a frame that was decoded from `taken` bytes is within all bounds, can be sent on,
/// and grew by nothing.
pub(crate) fn hold(frame: &Frame, taken: usize, codec: &Codec) {
    let again = encode(frame);
    assert!(again.len() <= taken, "{} bytes from {taken}: {frame:?}", again.len());
    assert_eq!(take(&again, MAX_BODY, codec), Some(Ok((frame.clone(), again.len()))));
    match frame {
        Frame::Hello(hello) => {
            assert!(hello.strategies.len() <= MAX_STRATEGIES);
            hold_addresses(&hello.addresses);
        }
        Frame::Membership(message, addresses) => {
            hold_membership(message);
            addresses.iter().for_each(hold_addresses);
        }
        Frame::Control(message) => {
            if let Some(plumtree::Message::IHave(batch)) = Boxed::<(), _>::own(message.clone()) {
                assert!(batch.as_slice().len() <= MAX_ANNOUNCEMENTS);
            }
        }
        Frame::Exchange(anti_entropy::Message::Have { parts, origins, .. }) => {
            assert!(parts.len() <= anti_entropy::MAX_PARTS);
            assert!(origins.len() <= anti_entropy::MAX_ORIGINS);
        }
        Frame::Gossip(message) => {
            hold_payload(&message.clone().split().1.expect("a payload"));
        }
        Frame::Reply { payload, .. } => hold_payload(payload),
        Frame::Views(views) => {
            assert!(views.active.len() <= 64);
            views.active.iter().for_each(|(contact, _)| hold_addresses(&contact.addresses));
        }
        Frame::Route(message) => {
            let _ = message.clone().map(|contact| hold_addresses(&contact.addresses));
        }
        Frame::Exchange(_)
        | Frame::AskViews
        | Frame::Relay(_)
        | Frame::Service(_)
        | Frame::Bye
        | Frame::Padding
        | Frame::Probe(_)
        | Frame::Echo(_) => {}
    }
}

fn hold_payload(payload: &Publication) {
    let parts = (payload.topic(), payload.published(), &payload.data());
    let mut again = Publication::new(parts.0, parts.1, parts.2).expect("a short topic");
    assert_eq!(again.signed(), payload.signed());
    assert!(payload.bytes().len() <= again.bytes().len() + Publication::MAX_PROOF);
    if let Some(proof) = payload.proof() {
        again.prove(proof.path, proof.place, proof.signature);
    }
    assert_eq!(again, *payload);
}

fn hold_membership(message: &MembershipMessage) {
    let view = Boxed::<hyparview::HyParView<Incarnation>, _>::own(message.clone());
    let mesh = Boxed::<full_mesh::FullMesh<Incarnation>, _>::own(message.clone());
    let fixed = Boxed::<StaticOverlay<Incarnation>, _>::own(message.clone());
    assert!(view.is_some() || mesh.is_some() || fixed.is_some());
    if let Some(hyparview::Message::Shuffle { sample, .. })
    | Some(hyparview::Message::ShuffleReply { sample }) = view
    {
        assert!(sample.len() <= MAX_SAMPLE);
    }
    if let Some(full_mesh::Message::Members(members)) = mesh {
        assert!(members.len() <= full_mesh::MAX_GOSSIP_LENGTH);
    }
}

/// Few, short, each once, of use to whoever dials, and fit to be shown.
fn hold_addresses(addresses: &Addresses) {
    assert!(addresses.iter().count() <= Addresses::MAX);
    let again: Addresses = addresses.iter().collect();
    assert_eq!(again, *addresses);
    for address in addresses.full(NodeId::from_bytes([7; 32])) {
        let parts = address.iter().count();
        assert!(parts > 1 && address.len() <= Addresses::MAX_BYTES + 64);
        assert!(address.to_string().starts_with('/'));
    }
}

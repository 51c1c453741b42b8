//! Defects that other implementations of partial views shipped in the handling of single messages,
//! one scenario each, on a host for tests: late, lost, doubled, forged and oversized messages.
//!
//! Scenarios of whole overlays are in `defects_membership.rs`.

use std::collections::BTreeSet;

use crate::common::*;
use murmurate::membership::hyparview::{Parameters, Priority, Timer};
use murmurate::membership::{DownReason, Membership};
use murmurate::stack::{Input, Message, Timer as Armed};
use murmurate::testing::Effect;
use murmurate_simulator::SimPeer;
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use thin_vec::ThinVec;

const BYE: ViewMessage = ViewMessage::Disconnect { link: 0, leaving: false, instead: None };

fn neighbor(link: u16, priority: Priority<SimPeer>) -> ViewMessage {
    ViewMessage::Neighbor { link, priority }
}

fn disconnect(link: u16, leaving: bool) -> ViewMessage {
    ViewMessage::Disconnect { link, leaving, instead: None }
}

/// The links asked for among what was sent: of whom, by which number, how urgently.
fn asked(sent: &[(SimPeer, ViewMessage)]) -> Vec<(SimPeer, u16, Priority<SimPeer>)> {
    let asked = sent.iter().filter_map(|(to, message)| match message {
        ViewMessage::Neighbor { link, priority } => Some((*to, *link, *priority)),
        _ => None,
    });
    asked.collect()
}

/// Partisan: the reply to a shuffle went to the last hop of the walk instead of its origin.
#[test]
fn a_shuffle_reply_goes_to_the_origin() {
    let mut member = Member::with_neighbors(3);
    let sample: ThinVec<SimPeer> = (20..25).map(peer).collect();
    let shuffle = ViewMessage::Shuffle { origin: peer(9), ttl: 1, sample };
    let sent = member.hear(peer(2), shuffle);
    let replies = |to: SimPeer, message: &ViewMessage| {
        matches!(message, ViewMessage::ShuffleReply { .. }) && to == peer(9)
    };
    assert_eq!(sent.iter().filter(|(to, message)| replies(*to, message)).count(), 1, "{sent:?}");
    assert!(sent.iter().all(|(to, _)| *to != peer(2)), "{sent:?}");
}

/// Partisan: shuffles always carried the first k members of the views.
#[test]
fn shuffle_samples_are_not_always_the_first() {
    let mut member = Member::with_neighbors(5);
    member.hear_of((10..40).map(peer));
    let (mut active, mut passive) = (BTreeSet::new(), BTreeSet::new());
    let mut hops = BTreeSet::new();
    for _ in 0..300 {
        for (to, message) in member.expire(secs(1), Timer::Shuffle) {
            if let ViewMessage::Shuffle { sample, .. } = message {
                hops.insert(to);
                assert_eq!(sample.len(), 3 + 4);
                active.extend(sample.iter().filter(|peer| peer.index() < 10).copied());
                passive.extend(sample.iter().filter(|peer| peer.index() >= 10).copied());
            }
        }
    }
    assert_eq!((active.len(), passive.len(), hops.len()), (5, 30, 5), "{active:?} {passive:?}");
}

/// Partisan: a disconnect in flight killed a peer that had been added again meanwhile.
#[test]
fn a_late_disconnect_does_not_end_a_new_link() {
    let mut member = Member::with_neighbors(1);
    // Node 1 ends link 2, but its word is held up. Here it falls silent and is dropped.
    let late = disconnect(2, false);
    for _ in 0..6 {
        member.expire(secs(2), Timer::Keepalive);
    }
    assert!(!member.holds(peer(1)));
    let link = 6;
    member.hear(peer(1), neighbor(link, Priority::High));
    assert!(member.holds(peer(1)));
    member.hear(peer(1), late);
    assert!(member.holds(peer(1)), "link {link} was ended by a word about link 2");
    // The word about the link that exists is heeded.
    member.hear(peer(1), disconnect(link, false));
    assert!(!member.holds(peer(1)));
    assert_eq!(member.downs, [(peer(1), DownReason::Silent), (peer(1), DownReason::Dropped),]);
}

/// Partisan: the first disconnect of a restarted node was ignored, because its counter had started
/// again below what was remembered of it.
#[test]
fn the_first_disconnect_of_a_restarted_node_is_heeded() {
    for says_hello in [true, false] {
        let mut member = Member::with_neighbors(2);
        let (old, new) = (SimPeer::new(9, 0), SimPeer::new(9, 1));
        member.hear(old, neighbor(50_000, Priority::Low));
        assert!(member.holds(old));
        if says_hello {
            member.hear(new, neighbor(0, Priority::Low));
            assert!(member.holds(new) && !member.holds(old));
        }
        // Without a hello its first word answers a keep-alive meant for its former self.
        member.hear(new, BYE);
        assert!(!member.holds(new) && !member.holds(old), "hello: {says_hello}");
    }
}

/// Partisan: a failed dial neither removed the passive entry nor tried the next candidate.
#[test]
fn a_failed_dial_removes_the_candidate_and_tries_the_next() {
    let mut member = Member::with_neighbors(5);
    member.hear_of((10..30).map(peer));
    assert_eq!(member.view().passive().len(), 20);
    let mut candidates = asked(&member.feed(Input::LinkDown(peer(3))));
    let mut tried = BTreeSet::new();
    while let Some((candidate, ..)) = candidates.pop() {
        assert!(tried.insert(candidate), "{candidate:?} failed before");
        assert!(candidates.is_empty(), "one free slot, one request");
        candidates = asked(&member.feed(Input::LinkDown(candidate)));
        assert!(!member.remembers(candidate), "{candidate:?} cannot be reached");
    }
    assert_eq!((tried.len(), member.view().passive().len()), (20, 0));
}

/// The same for a candidate that does not answer at all.
#[test]
fn a_silent_candidate_is_given_up_and_the_next_is_tried() {
    let mut member = Member::with_neighbors(5);
    member.hear_of((10..12).map(peer));
    let first = asked(&member.feed(Input::LinkDown(peer(3))))[0].0;
    let second = asked(&member.expire(secs(1), Timer::Request))[0].0;
    assert!(first != second && !member.remembers(first), "{first:?} {second:?}");
}

/// Partisan: promotion was always of high priority, so that each repair evicted somebody else.
#[test]
fn promotion_is_of_high_priority_only_without_neighbors() {
    let mut member = Member::with_neighbors(3);
    member.hear_of((10..30).map(peer));
    for lost in [2, 3] {
        let sent = member.feed(Input::LinkDown(peer(lost)));
        for (candidate, link, priority) in asked(&sent) {
            assert_eq!(priority, Priority::Low, "{lost} lost");
            member.hear(candidate, ViewMessage::Reject { link });
        }
    }
    member.expire(secs(1), Timer::Request);
    let sent = member.feed(Input::LinkDown(peer(1)));
    assert_eq!(member.view().active().len(), 0);
    let asked = asked(&sent);
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|(.., priority)| *priority == Priority::High), "{asked:?}");
    // And who is full refuses the low ones, and evicts for the high ones.
    let mut full = Member::with_neighbors(5);
    let sent = full.hear(peer(7), neighbor(0, Priority::Low));
    assert!(sent.contains(&(peer(7), ViewMessage::Reject { link: 0 })), "{sent:?}");
    assert!(full.downs.is_empty() && !full.holds(peer(7)));
    full.hear(peer(8), neighbor(0, Priority::High));
    assert!(full.holds(peer(8)) && full.downs.len() == 1);
}

/// A counter of attempts that ends (65,535 of them, a week of isolation) left a peer hammering one
/// contact without a pause; found here.
#[test]
fn contacts_are_asked_in_rounds_with_pauses_for_ever() {
    let contacts = [peer(1), peer(2), peer(3)];
    let mut member = Member::new(peer(0), &[]);
    let mut sent = member.feed(Input::Join(contacts.to_vec()));
    let mut round = Vec::new();
    for attempt in 0..70_000 {
        if sent.is_empty() {
            round.sort_unstable();
            assert_eq!(round, contacts, "a round, at attempt {attempt}");
            round.clear();
            let (due, _) = member.host.armed().last().expect("a pause");
            let after = due.since(member.host.now());
            assert!(after >= secs(1) && after <= secs(45), "{after:?} at attempt {attempt}");
            sent = member.expire(after, Timer::Rejoin);
        }
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (contact, _) = sent[0];
        round.push(contact);
        assert!(round.len() <= 3, "no pause after a round, at attempt {attempt}: {round:?}");
        sent = member.feed(Input::LinkDown(contact));
    }
}

/// Contacts that were all replaced (a rolling deployment) kept the ones discovery found later out,
/// because the list was full of the dead; found here.
#[test]
fn contacts_said_later_take_the_place_of_the_dead() {
    let capacity = Parameters::default().contacts_capacity;
    let gone: Vec<SimPeer> = (1..=capacity).map(peer).collect();
    let mut member = Member::new(peer(0), &gone);
    member.feed(Input::Join(vec![peer(50)]));
    let mut sent = vec![(member.view().me(), BYE)];
    for _ in 0..4 * capacity {
        sent = member.expire(secs(60), Timer::Rejoin);
        sent.extend(member.expire(secs(0), Timer::Request));
        if sent.iter().any(|(to, _)| *to == peer(50)) {
            return;
        }
    }
    panic!("the living contact is never asked: {sent:?}");
}

/// memberlist, Partisan: left members are never reaped, and gossip brings them back.
#[test]
fn a_member_that_left_is_forgotten_and_refuses_to_return() {
    let mut member = Member::with_neighbors(3);
    let link = asked(&member.hear_of([peer(10)].into_iter()))[0].1;
    member.hear(peer(2), disconnect(4, true));
    assert!(!member.holds(peer(2)) && !member.remembers(peer(2)));
    // A candidate that answers that it left is forgotten as well.
    assert!(member.remembers(peer(10)));
    member.hear(peer(10), disconnect(link, true));
    assert!(!member.remembers(peer(10)));

    let mut left = Member::with_neighbors(3);
    left.hear_of((10..30).map(peer));
    let sent = left.feed(Input::Leave);
    assert_eq!(sent.len(), 3, "a goodbye to each: {sent:?}");
    for input in [
        // The neighbours close their connections.
        Input::LinkDown(peer(1)),
        Input::Join(vec![peer(4)]),
        Input::Expired(Armed::Membership(Timer::Keepalive)),
        Input::Expired(Armed::Membership(Timer::Rejoin)),
        Input::Receive {
            from: peer(5),
            message: Message::Membership(ViewMessage::ForwardJoin { joiner: peer(6), ttl: 0 }),
        },
    ] {
        let said = format!("{input:?}");
        let sent = left.feed(input);
        assert!(sent.is_empty(), "after leaving, {said}: {sent:?}");
    }
    let sent = left.hear(peer(5), neighbor(1, Priority::High));
    assert_eq!(sent, [(peer(5), disconnect(1, true))]);
    assert_eq!(left.view().active().len(), 0);
}

/// Partisan and others: numbers from the wire that overflow, unbounded counts, words about links
/// that never were.
#[test]
fn no_number_from_the_wire_overflows() {
    let mut rng = SplitMix64::seed_from_u64(3);
    let mut member = Member::with_neighbors(4);
    let edge = |rng: &mut SplitMix64| match rng.random_range(0..4u8) {
        0 => u16::MAX,
        1 => rng.random_range(0..12),
        2 => u16::MAX - 1,
        _ => rng.next_u32() as u16,
    };
    for step in 0..40_000 {
        let any =
            |rng: &mut SplitMix64| SimPeer::new(rng.random_range(0..40), rng.random_range(0..3));
        let link = edge(&mut rng);
        let (one, two) = (any(&mut rng), any(&mut rng));
        let ttl = if rng.random() { u8::MAX } else { rng.random_range(0..8) };
        let some = rng.random::<bool>().then_some(one);
        let sample: ThinVec<SimPeer> = (0..rng.random_range(0..9)).map(|_| any(&mut rng)).collect();
        let message = match rng.random_range(0..10u8) {
            0 => ViewMessage::Join { link },
            1 => ViewMessage::ForwardJoin { joiner: one, ttl },
            2 => neighbor(link, Priority::Low),
            3 => neighbor(link, Priority::High),
            4 => neighbor(link, Priority::Exchange { spare: one }),
            5 => ViewMessage::Accept { link, evicted: some },
            6 => ViewMessage::Disconnect { link, leaving: rng.random(), instead: some },
            7 => ViewMessage::Shuffle { origin: one, ttl, sample },
            8 => ViewMessage::ShuffleReply { sample },
            _ => ViewMessage::Keepalive { link },
        };
        let sent = member.hear(two, message);
        for (_, message) in &sent {
            let (ViewMessage::ForwardJoin { ttl, .. } | ViewMessage::Shuffle { ttl, .. }) = message
            else {
                continue;
            };
            assert!(*ttl <= 6, "step {step}: {message:?}");
        }
        assert!(sent.len() <= 20, "step {step}: one message made {}", sent.len());
        if step % 50 == 0 {
            member.expire(secs(1), Timer::Request);
        }
    }
}

/// Partisan: counts read from the wire were not bounded.
#[test]
fn oversized_samples_leave_views_within_bounds() {
    let mut member = Member::with_neighbors(5);
    let sample: ThinVec<SimPeer> = (100..10_100).map(peer).collect();
    for ttl in [1, u8::MAX] {
        let shuffle = ViewMessage::Shuffle { origin: peer(9), ttl, sample: sample.clone() };
        for (_, message) in member.hear(peer(2), shuffle) {
            let (ViewMessage::Shuffle { sample, .. } | ViewMessage::ShuffleReply { sample }) =
                message
            else {
                continue;
            };
            assert!(sample.len() <= 30, "passes {} ids on", sample.len());
        }
    }
    member.hear(peer(2), ViewMessage::ShuffleReply { sample });
    assert_eq!(member.view().passive().len(), 30);
}

/// A recycled name: late words of a node's former incarnation changed the views of the new one.
#[test]
fn late_words_of_a_former_incarnation_change_nothing() {
    let mut member = Member::with_neighbors(3);
    let (old, new) = (SimPeer::new(9, 0), SimPeer::new(9, 1));
    member.hear(old, neighbor(2, Priority::High));
    member.hear(new, neighbor(2, Priority::High));
    let before = format!("{:?}", member.view());
    for message in [
        ViewMessage::Join { link: 2 },
        neighbor(2, Priority::High),
        disconnect(2, false),
        disconnect(2, true),
        ViewMessage::Accept { link: 2, evicted: Some(peer(1)) },
        ViewMessage::Reject { link: 2 },
        ViewMessage::Keepalive { link: 2 },
        ViewMessage::ShuffleReply { sample: [peer(44)].into_iter().collect() },
    ] {
        let sent = member.hear(old, message.clone());
        assert!(sent.is_empty(), "{message:?}: {sent:?}");
    }
    member.feed(Input::LinkDown(old));
    member.hear(peer(1), ViewMessage::ForwardJoin { joiner: old, ttl: 3 });
    member.hear_of([old].into_iter());
    assert_eq!(format!("{:?}", member.view()), before);
}

/// HyParView leaves the handshake to TCP; elsewhere a lost answer left one side holding the link
/// for ever.
#[test]
fn a_lost_accept_leaves_no_half_link() {
    for goodbye_lost in [false, true] {
        let mut asker = Member::with_neighbors(2);
        let mut other = Member::new(peer(40), &[]);
        let (_, link, priority) = asked(&asker.hear_of([peer(40)].into_iter()))[0];
        let sent = other.hear(peer(0), neighbor(link, priority));
        assert!(sent.contains(&(peer(0), ViewMessage::Accept { link, evicted: None })));
        assert!(other.holds(peer(0)) && !asker.holds(peer(40)), "the answer is under way");
        // It is lost; the asker's time ends.
        let sent = asker.expire(secs(1), Timer::Request);
        if goodbye_lost {
            // Then the next keep-alive finds out.
            let keepalive = other.expire(secs(2), Timer::Keepalive);
            assert!(keepalive.contains(&(peer(0), ViewMessage::Keepalive { link })));
            let sent = asker.hear(peer(40), ViewMessage::Keepalive { link });
            assert_eq!(sent, [(peer(40), disconnect(link, false))]);
        } else {
            assert!(sent.contains(&(peer(40), disconnect(link, false))), "{sent:?}");
        }
        other.hear(peer(0), disconnect(link, false));
        assert!(!other.holds(peer(0)));
        // And an answer that was only late makes no half link either.
        let sent = asker.hear(peer(40), ViewMessage::Accept { link, evicted: None });
        assert_eq!(sent, [(peer(40), disconnect(link, false))]);
    }
}

/// Found here: a request said twice took the link down and up again, and the tree with it.
#[test]
fn a_request_said_twice_changes_nothing() {
    let mut member = Member::with_neighbors(2);
    for again in [neighbor(4, Priority::High), ViewMessage::Join { link: 4 }] {
        let sent = member.hear(peer(2), again);
        assert_eq!(sent, [(peer(2), ViewMessage::Accept { link: 4, evicted: None })]);
    }
    assert_eq!((member.ups.len(), member.downs.len()), (2, 0));
    // One about another link says that the old one is gone.
    member.hear(peer(2), neighbor(6, Priority::High));
    assert_eq!(member.downs, [(peer(2), DownReason::Renewed)]);
    assert!(member.holds(peer(2)));
}

/// Found here: a contact that had restarted was asked under its old name for ever.
#[test]
fn a_contact_that_restarted_is_asked_under_its_new_name() {
    let (old, new) = (SimPeer::new(1, 0), SimPeer::new(1, 1));
    let mut member = Member::new(peer(0), &[old]);
    member.feed(Input::LinkDown(old));
    member.hear(new, neighbor(2, Priority::High));
    assert!(member.holds(new));
    member.feed(Input::LinkDown(new));
    let sent = member.expire(secs(60), Timer::Rejoin);
    assert!(matches!(sent[..], [(to, ViewMessage::Join { .. })] if to == new), "{sent:?}");
}

/// Found here: a node that was alone for long and whose host found a living contact waited for its own
/// pause, half a minute, before it asked.
#[test]
fn a_contact_found_while_alone_is_asked_at_once() {
    let mut member = Member::new(peer(0), &[peer(1)]);
    member.feed(Input::LinkDown(peer(1)));
    let sent = member.feed(Input::Join(vec![peer(2)]));
    assert!(matches!(sent[..], [(to, ViewMessage::Join { .. })] if to == peer(2)), "{sent:?}");
    assert!(member.feed(Input::Join(vec![peer(3)])).is_empty(), "one at a time");
}

/// Found here: a goodbye about a link of old left the departed in the views.
#[test]
fn a_goodbye_is_final_whatever_link_it_names() {
    let mut member = Member::with_neighbors(2);
    member.hear(peer(2), disconnect(1_000, true));
    assert!(!member.holds(peer(2)) && !member.remembers(peer(2)));
    assert_eq!(member.downs, [(peer(2), DownReason::Left)]);
}

/// The neighbours of a full view, by the numbers of their links.
type Links = Vec<(SimPeer, u16)>;

/// Node 0 with a full view. It joined through node 1, and knows node 2 as another contact.
fn with_another_contact() -> (Member, Links) {
    let mut member = Member::new(peer(0), &[]);
    let sent = member.feed(Input::Join(vec![peer(1), peer(2)]));
    let [(_, ViewMessage::Join { link })] = sent[..] else { panic!("{sent:?}") };
    member.hear(peer(1), ViewMessage::Accept { link, evicted: None });
    let mut links = vec![(peer(1), link)];
    for index in 11..15 {
        member.hear(peer(index), neighbor(index as u16, Priority::High));
        links.push((peer(index), index as u16));
    }
    assert_eq!(member.view().active().len(), 5);
    (member, links)
}

/// Lets so many seconds pass, while all neighbours stay: what is sent to node 2.
fn told(member: &mut Member, links: &Links, seconds: u64) -> Vec<ViewMessage> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        for (to, message) in member.host.pass(secs(1)).into_iter().filter_map(Effect::sent) {
            if let (true, Message::Membership(message)) = (to == peer(2), message) {
                told.push(message);
            }
        }
        for &(from, link) in links {
            member.hear(from, ViewMessage::Keepalive { link });
        }
    }
    told
}

fn reply(names: std::ops::Range<usize>) -> ViewMessage {
    ViewMessage::ShuffleReply { sample: names.map(peer).collect() }
}

/// Each node exchanged a link with each contact that it did not join through, within half a minute; found
/// here. Five hundred that started at once moved their links for so long that no tree grew.
#[test]
fn a_contact_of_the_same_part_costs_no_link() {
    let (mut member, links) = with_another_contact();
    let told_first = told(&mut member, &links, 40);
    assert!(matches!(told_first[0], ViewMessage::Shuffle { ttl: 1, .. }), "{told_first:?}");
    assert!(member.hear(peer(2), reply(1..2)).is_empty(), "both know node 1");
    let told = told(&mut member, &links, 120);
    assert!(told.is_empty(), "it is looked for no longer: {told:?}");
}

/// With its first sample the two know each other's peers, so that later ones tell nothing.
#[test]
fn a_contact_of_another_part_is_linked_by_the_next_random_exchange() {
    let (mut member, links) = with_another_contact();
    told(&mut member, &links, 40);
    for _ in 0..3 {
        let sent = member.hear(peer(2), reply(70..75));
        assert!(!sent.iter().any(|(to, _)| *to == peer(2)), "not at once: {sent:?}");
    }
    // Half of the interval to one and a half.
    let told = told(&mut member, &links, 450);
    let asks = |message: &&ViewMessage| {
        matches!(message, ViewMessage::Neighbor { priority: Priority::Exchange { .. }, .. })
    };
    assert_eq!(told.iter().filter(asks).count(), 1, "and once, unless it answers again: {told:?}");
}

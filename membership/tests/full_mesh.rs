//! The full mesh: scenarios, each a defect seen elsewhere or a promise of the strategy.

#![expect(clippy::unwrap_used, reason = "clippy takes the helpers of a test for production code")]

#[path = "full_mesh/host.rs"]
mod host;
#[path = "full_mesh/hostile.rs"]
mod hostile;

use std::sync::Arc;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_xoshiro::SplitMix64;
use thin_vec::thin_vec;

use murmurate::membership::full_mesh::{Message, Parameters};
use murmurate::membership::{DownReason, Membership as _, Notice, Time};

use host::{Hosted, Id, Input, Lost, World, id, receive, secs};

/// Loses a share of all messages.
fn lossy(share: f64, seed: u64) -> Lost {
    let mut rng = SplitMix64::seed_from_u64(seed);
    Box::new(move |_, _, _| rng.random_bool(share))
}

/// Loses whatever crosses between nodes below `first` and the rest.
fn split(first: u16) -> Lost {
    Box::new(move |from, to, _| (from.node < first) != (to.node < first))
}

fn running(me: Id, parameters: Parameters) -> Hosted {
    let mut hosted = Hosted::new(me, &Arc::new(parameters.check().unwrap()), 1);
    hosted.feed(Time::ZERO, Input::Join(Vec::new()));
    hosted
}

#[test]
fn simultaneous_joins_through_one_contact_become_a_full_mesh() {
    for seed in 0..20 {
        let mut world = World::new(Parameters::default(), seed);
        world.join(id(4), &[]);
        for node in (0..10).filter(|node| *node != 4) {
            world.join(id(node), &[id(4)]);
        }
        world.run(secs(2));
        world.assert_full_mesh();
        let flaps: usize = world.peers.values().map(|hosted| hosted.downs.len()).sum();
        assert_eq!(flaps, 0, "crossing requests end in one link");
    }
}

#[test]
fn lossy_joins_converge_by_gossip() {
    for seed in 0..20 {
        let mut world = World::new(Parameters::default(), seed);
        world.lost = lossy(0.5, seed);
        world.join(id(4), &[]);
        for node in (0..10).filter(|node| *node != 4) {
            world.join(id(node), &[id(4)]);
        }
        world.run(secs(10));
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(120));
        world.assert_full_mesh();
    }
}

#[test]
fn without_the_lists_of_new_links_anti_entropy_suffices() {
    let mut world = World::new(Parameters::default(), 1);
    world.lost = Box::new(|_, _, message| matches!(message, Message::Members(_)));
    world.join(id(0), &[]);
    for node in 1..10 {
        world.join(id(node), &[id(0)]);
    }
    world.run(secs(5));
    assert_eq!(world.active(id(1)), [id(0)].into());
    world.lost = Box::new(|_, _, _| false);
    world.run(secs(180));
    world.assert_full_mesh();
}

#[test]
fn a_member_that_left_is_not_resurrected() {
    let parameters = Parameters { forget_after: secs(60), ..Parameters::default() };
    let mut world = World::mesh(6, parameters, 1);
    let gone = id(5);
    // Peer 1 misses the goodbye and goes on telling others.
    world.lost = Box::new(move |from, to, _| [(gone, id(1)), (id(1), gone)].contains(&(from, to)));
    world.feed(gone, Input::Leave);
    world.peers.remove(&gone);
    world.run(Duration::from_millis(100));
    assert!(world.active(id(1)).contains(&gone));
    for node in [0, 2, 3, 4] {
        assert!(!world.knows(id(node), gone));
        assert_eq!(world.peers[&id(node)].downs, [(gone, DownReason::Left)]);
        let message = Message::Members(thin_vec![gone]);
        world.feed(id(node), receive(id(1), message));
        assert!(!world.knows(id(node), gone), "late gossip");
        let message = Message::Hello { link: 77 };
        world.feed(id(node), receive(gone, message));
        assert!(!world.knows(id(node), gone), "a late word of its own");
    }
    for _ in 0..30 {
        world.run(secs(1));
        assert!([0, 2, 3, 4].iter().all(|node| !world.knows(id(*node), gone)));
    }
    assert_eq!(world.peers[&id(1)].downs, [(gone, DownReason::Silent)]);
    world.run(secs(60));
    for hosted in world.peers.values() {
        assert_eq!(hosted.mesh().passive().len(), 0, "the failed one is forgotten");
    }
    world.assert_full_mesh();
    world.feed(id(0), receive(id(2), Message::Members(thin_vec![gone])));
    assert!(world.knows(id(0), gone), "and so is that it left");
}

#[test]
fn who_left_may_come_back_as_a_new_incarnation() {
    let mut world = World::mesh(4, Parameters::default(), 1);
    world.feed(id(3), Input::Leave);
    world.run(secs(1));
    world.peers.remove(&id(3));
    world.join(Id { node: 3, incarnation: 1 }, &[id(0)]);
    world.run(secs(2));
    world.assert_full_mesh();
}

#[test]
fn after_leaving_everything_is_refused() {
    let mut peer = running(id(1), Parameters::default());
    peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    peer.sent.clear();
    peer.feed(Time::ZERO, Input::Join(vec![id(3)]));
    peer.feed(Time::ZERO, Input::Leave);
    let goodbyes: Vec<_> = peer.sent.iter().skip(1).map(|(to, said)| (*to, said)).collect();
    assert!(goodbyes.iter().all(|(_, m)| matches!(m, Message::Disconnect { leaving: true, .. })));
    assert_eq!(goodbyes.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [id(3), id(2)]);
    for (message, link) in [
        (Message::Hello { link: 7 }, 7),
        (Message::Accept { link: 8 }, 8),
        (Message::Keepalive { link: 9 }, 9),
        (Message::Members(thin_vec![id(5)]), 0),
    ] {
        let said = peer.receive(Time::ZERO, id(4), message);
        assert_eq!(said, [(id(4), Message::Disconnect { link, leaving: true })]);
    }
    assert!(
        peer.receive(Time::ZERO, id(2), Message::Disconnect { link: 4, leaving: false }).is_empty()
    );
    peer.feed(Time::ZERO, Input::LinkDown(id(3)));
    peer.feed(Time::ZERO, Input::Join(vec![id(6)]));
    assert!(peer.sent.is_empty() && peer.mesh().active().len() == 0);
}

#[test]
fn a_crash_and_a_restart_are_told_apart() {
    let mut world = World::mesh(5, Parameters::default(), 1);
    world.crash(id(2));
    assert_eq!(world.peers[&id(1)].downs, [(id(2), DownReason::Failed)]);
    world.run(secs(3));
    assert!(world.peers[&id(1)].mesh().passive().eq([id(2)]), "it is remembered");
    let back = Id { node: 2, incarnation: 1 };
    world.join(back, &[id(0)]);
    world.run(secs(2));
    world.assert_full_mesh();

    // The next restart is too quick for anyone to notice.
    world.peers.remove(&back);
    let again = Id { node: 2, incarnation: 2 };
    world.join(again, &[id(0)]);
    world.run(secs(2));
    world.assert_full_mesh();
    let downs = world.peers[&id(1)].downs.clone();
    assert_eq!(downs.last(), Some(&(back, DownReason::Restarted)));

    // Late words of and about the old one.
    for message in [
        Message::Hello { link: 40 },
        Message::Disconnect { link: 40, leaving: true },
        Message::Members(thin_vec![id(2)]),
    ] {
        world.feed(id(1), receive(back, message.clone()));
        world.feed(id(1), Input::LinkDown(back));
        world.feed(id(1), receive(id(3), Message::Members(thin_vec![back])));
    }
    assert_eq!(world.peers[&id(1)].downs, downs);
    world.assert_full_mesh();
}

#[test]
fn a_contact_that_restarted_and_knows_nobody_is_found() {
    let mut world = World::mesh(2, Parameters::default(), 1);
    world.by_address = true;
    world.crash(id(0));
    assert_eq!(world.peers[&id(1)].notices, [Notice::Joined, Notice::Isolated]);
    world.run(secs(20));
    world.join(Id { node: 0, incarnation: 1 }, &[]);
    world.run(secs(60));
    world.assert_full_mesh();
    assert_eq!(world.peers[&id(1)].notices.last(), Some(&Notice::Joined));
}

#[test]
fn a_lost_accept_leaves_no_half_link() {
    for disconnect_lost in [false, true] {
        let mut world = World::new(Parameters::default(), 1);
        world.lost = Box::new(move |_, to, message| match message {
            Message::Accept { .. } => true,
            Message::Disconnect { .. } => disconnect_lost && to == id(0),
            _ => false,
        });
        world.join(id(0), &[]);
        world.join(id(1), &[id(0)]);
        world.run(Duration::from_millis(500));
        assert_eq!(world.active(id(0)), [id(1)].into(), "half a link");
        if disconnect_lost {
            world.run(Duration::from_millis(600));
            assert_eq!(world.active(id(0)), [id(1)].into(), "still");
            // From now on only new links are refused, and a keep-alive brings the old one to light.
            world.lost =
                Box::new(|_, _, m| matches!(m, Message::Accept { .. } | Message::Hello { .. }));
            world.run(secs(3));
        } else {
            world.run(Duration::from_millis(600));
        }
        assert_eq!(world.active(id(0)), [].into());
        assert_eq!(world.peers[&id(0)].downs, [(id(1), DownReason::Dropped)]);
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(60));
        world.assert_full_mesh();
    }
}

#[test]
fn an_accept_never_asked_for_is_answered() {
    let mut peer = running(id(1), Parameters::default());
    let said = peer.receive(Time::ZERO, id(2), Message::Accept { link: 6 });
    assert_eq!(said[0], (id(2), Message::Disconnect { link: 6, leaving: false }));
    let said = peer.receive(Time::ZERO, id(3), Message::Keepalive { link: 6 });
    assert_eq!(said[0], (id(3), Message::Disconnect { link: 6, leaving: false }));
    assert_eq!(peer.mesh().active().len(), 0);
}

#[test]
fn a_disconnect_in_flight_ends_no_later_link() {
    let mut peer = running(id(1), Parameters::default());
    peer.receive(Time::ZERO, id(2), Message::Hello { link: 2 });
    let said = peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    assert_eq!(said[0], (id(2), Message::Accept { link: 4 }));
    assert_eq!(peer.downs, [(id(2), DownReason::Renewed)]);
    peer.receive(Time::ZERO, id(2), Message::Disconnect { link: 2, leaving: false });
    let said = peer.receive(Time::ZERO, id(2), Message::Hello { link: 4 });
    assert_eq!(said, [(id(2), Message::Accept { link: 4 })]);
    assert_eq!(peer.downs.len(), 1, "a Hello delivered twice renews nothing");
}

#[test]
fn a_split_merges_after_a_long_partition() {
    for seed in 0..10 {
        let mut world = World::mesh(8, Parameters::default(), seed);
        world.lost = split(3);
        world.run(secs(1800));
        assert_eq!(world.active(id(0)), [id(1), id(2)].into());
        assert_eq!(world.active(id(7)).len(), 4);
        assert!(world.peers[&id(0)].downs.contains(&(id(7), DownReason::Silent)));
        world.lost = Box::new(|_, _, _| false);
        world.run(secs(60));
        world.assert_full_mesh();
    }
}

#[test]
fn a_split_longer_than_memory_merges_through_the_contacts() {
    let parameters = Parameters { forget_after: secs(40), ..Parameters::default() };
    let mut world = World::mesh(8, parameters, 1);
    world.lost = split(3);
    world.run(secs(600));
    assert!(!world.knows(id(7), id(0)) && !world.knows(id(0), id(7)));
    world.lost = Box::new(|_, _, _| false);
    world.run(secs(60));
    world.assert_full_mesh();
}

/// Found by the simulator's swarm: with its list full of contacts that had failed, a member took no
/// more, and two sides that did not know each other never met.
#[test]
fn a_contact_found_later_takes_the_place_of_one_that_failed() {
    let parameters = Parameters { contacts_capacity: 1, ..Parameters::default() };
    let mut world = World::new(parameters, 1);
    world.join(id(1), &[id(0)]);
    world.run(secs(60));
    assert_eq!(world.active(id(1)), [].into(), "nobody is there");
    world.join(id(2), &[]);
    world.join(id(1), &[id(2)]);
    world.run(secs(60));
    world.assert_full_mesh();
}

#[test]
fn redials_back_off() {
    let mut world = World::mesh(2, Parameters::default(), 1);
    let count = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = std::rc::Rc::clone(&count);
    world.lost = Box::new(move |from, _, message| {
        let hello = from == id(1) && matches!(message, Message::Hello { .. });
        counted.set(counted.get() + u32::from(hello));
        true
    });
    world.run(secs(3600));
    // As a member and as a contact, each some 30 s apart.
    assert!((120..300).contains(&count.get()), "{}", count.get());
}

#[test]
fn requests_are_bounded_and_go_on_as_answers_come() {
    let mut peer = running(id(0), Parameters::default());
    peer.receive(Time::ZERO, id(1), Message::Hello { link: 1 });
    let hints = |from: u16| Message::Members((from..from + 100).map(id).collect());
    let mut asked = peer.receive(Time::ZERO, id(1), hints(100));
    assert_eq!(asked.len(), 64);
    asked.extend(peer.receive(Time::ZERO, id(1), hints(200)));
    let mut at = 0;
    while at < asked.len() {
        let (to, message) = asked[at].clone();
        let Message::Hello { link } = message else { panic!("{message:?}") };
        let answer = if at % 2 == 0 {
            Message::Accept { link }
        } else {
            Message::Disconnect { link, leaving: false }
        };
        let said = peer.receive(Time::ZERO, to, answer);
        asked.extend(said.into_iter().filter(|(_, m)| matches!(m, Message::Hello { .. })));
        at += 1;
        assert_eq!(asked.len() - at, (200 - at).min(64), "so many have not answered");
    }
    assert_eq!(asked.len(), 200, "each once");
    assert_eq!((peer.mesh().active().len(), peer.mesh().passive().len()), (101, 100));
}

#[test]
fn made_up_names_push_out_nobody_that_was_here() {
    let parameters =
        Parameters { members_capacity: 10, contacts_capacity: 1, ..Parameters::default() };
    let mut peer = running(id(0), parameters);
    let tell = |peer: &mut Hosted, from: u16| {
        let names = (from..from + 50).map(id).collect();
        for (to, _) in peer.receive(Time::ZERO, id(1), Message::Members(names)) {
            peer.feed(Time::ZERO, Input::LinkDown(to));
        }
    };
    for node in 1..=7 {
        peer.receive(Time::ZERO, id(node), Message::Hello { link: 1 });
    }
    (2..=7).for_each(|node| peer.feed(Time::ZERO, Input::LinkDown(id(node))));
    tell(&mut peer, 100);
    tell(&mut peer, 200);
    let known: Vec<Id> = peer.mesh().passive().collect();
    assert_eq!(known[..6], [2, 3, 4, 5, 6, 7].map(id));
    assert!(known.len() == 9 && known[6].node >= 200, "failed hints give way to others");
    // Now all places are taken by peers that were here.
    for node in 8..=10 {
        peer.receive(Time::ZERO, id(node), Message::Hello { link: 1 });
        peer.feed(Time::ZERO, Input::LinkDown(id(node)));
    }
    tell(&mut peer, 300);
    assert!(peer.mesh().passive().eq((2..=10).map(id)));
    // Who speaks itself finds room, until all are linked.
    for node in 11..=19 {
        peer.receive(Time::ZERO, id(node), Message::Hello { link: 1 });
    }
    assert_eq!(peer.mesh().active().len(), 10);
    let said = peer.receive(Time::ZERO, id(20), Message::Hello { link: 1 });
    assert_eq!(said, [(id(20), Message::Disconnect { link: 1, leaving: false })]);
}

#[test]
fn its_own_word_beats_hearsay() {
    let (old, new) = (id(2), Id { node: 2, incarnation: 1 });
    let mut peer = running(id(0), Parameters::default());
    peer.receive(Time::ZERO, id(1), Message::Hello { link: 1 });
    assert!(peer.receive(Time::ZERO, id(9), Message::Members(thin_vec![id(8)])).len() <= 1);
    assert!(!peer.mesh().passive().any(|known| known == id(8)), "no neighbour, no gossip");
    // A later incarnation that only rumour knows of does not silence the one that speaks.
    peer.receive(Time::ZERO, id(1), Message::Members(thin_vec![new]));
    let said = peer.receive(Time::ZERO, old, Message::Hello { link: 3 });
    assert!(said.contains(&(old, Message::Accept { link: 3 })), "{said:?}");
    // One that spoke itself does, linked or not.
    peer.receive(Time::ZERO, new, Message::Hello { link: 5 });
    peer.feed(Time::ZERO, Input::LinkDown(new));
    assert!(peer.receive(Time::ZERO, old, Message::Hello { link: 7 }).is_empty());
    assert!(peer.mesh().passive().any(|known| known == new));
    // An answer from a later incarnation than the one asked: no half link, and asked at once.
    peer.sent.clear();
    peer.feed(Time::ZERO, Input::Join(vec![id(3)]));
    assert!(peer.sent.iter().any(|(to, _)| *to == id(3)));
    let later = Id { node: 3, incarnation: 1 };
    let said = peer.receive(Time::ZERO, later, Message::Accept { link: 0 });
    assert_eq!(said[0], (later, Message::Disconnect { link: 0, leaving: false }));
    assert!(matches!(said[1], (to, Message::Hello { .. }) if to == later), "{said:?}");
}

#[test]
fn a_run_follows_from_its_seed() {
    let run = |seed| {
        let mut world = World::new(Parameters::default(), seed);
        world.lost = lossy(0.2, 1);
        for node in 0..12 {
            world.join(id(node), &[id(0), id(6)]);
        }
        world.run(secs(30));
        format!("{:?}", world.peers)
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

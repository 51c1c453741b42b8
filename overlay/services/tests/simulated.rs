//! Clusters of simulated nodes: what they know after faults is what they should.

mod bed;

use std::time::Duration;

use bed::{Bed, ms, secs};
use bytes::Bytes;
use murmurate_services::{Action, Config, Event, Liveness, News};

#[test]
fn everybody_knows_everybody() {
    let mut bed = Bed::new(1, 60);
    bed.run(secs(20));
    for index in 0..60 {
        let cluster = bed.cluster(index);
        assert_eq!(cluster.roster().len(), 60, "node {index}");
        assert!(cluster.roster().iter().all(|member| member.liveness == Liveness::Alive));
    }
    bed.assert_equal();
    let is_doubt = |event: &Event<_>| {
        matches!(event, Event::Member(News::Suspected | News::Failed | News::Left, _))
    };
    let events = bed.events();
    let failed =
        events.iter().filter(|(.., event)| matches!(event, Event::Member(News::Failed, _)));
    assert_eq!(failed.count(), 0, "nobody was taken for failed while the cluster grew");
    bed.run(secs(600));
    let doubts = bed.events().into_iter().filter(|(.., event)| is_doubt(event));
    assert_eq!(doubts.collect::<Vec<_>>(), [], "nobody was suspected afterwards");
}

#[test]
fn a_killed_node_is_known_to_all_at_once() {
    let mut bed = Bed::new(2, 60);
    bed.run(secs(20));
    bed.events();
    let killed = bed.peer(7);
    let at = bed.now();
    bed.sim.kill(7);
    bed.run(secs(2));
    for index in (0..60).filter(|index| *index != 7) {
        let member = bed.cluster(index).roster().get(7).cloned().expect("it is known");
        assert_eq!((member.peer, member.liveness), (killed, Liveness::Failed), "node {index}");
    }
    let failed = bed
        .events()
        .into_iter()
        .filter(|(.., event)| *event == Event::Member(News::Failed, killed));
    let times: Vec<Duration> = failed.map(|(time, ..)| time.since(at)).collect();
    assert_eq!(times.len(), 59, "each is told once");
    assert!(times.iter().all(|time| *time < secs(2)), "{times:?}");
    // It restarts, and is somebody new.
    bed.restart(7);
    bed.run(secs(10));
    bed.assert_equal();
    assert!((0..60).all(|index| bed.cluster(index).roster().live().count() == 60));
}

#[test]
fn half_of_all_fail_at_once() {
    let mut bed = Bed::new(3, 100);
    bed.run(secs(20));
    for index in 0..50 {
        bed.sim.crash(index);
    }
    bed.run(secs(30));
    for index in 50..100 {
        let live = bed.cluster(index).roster().live().map(|member| member.peer.index());
        assert_eq!(live.collect::<Vec<_>>(), (50..100).collect::<Vec<_>>(), "node {index}");
    }
    bed.assert_equal();
}

#[test]
fn who_leaves_is_gone_everywhere() {
    let mut bed = Bed::new(4, 40);
    bed.run(secs(20));
    bed.tell(5, Action::Join { scope: "s".into(), group: "g".into(), about: Bytes::new() });
    bed.run(secs(1));
    let left = bed.peer(5);
    bed.events();
    bed.sim.leave(5);
    bed.run(ms(900));
    let events = bed.events();
    let told = |of: &Event<_>| events.iter().filter(|(.., event)| event == of).count();
    assert_eq!(
        told(&Event::Member(News::Left, left)),
        39 + 1,
        "each is told once, the node itself too"
    );
    for index in (0..40).filter(|index| *index != 5) {
        let cluster = bed.cluster(index);
        assert_eq!(cluster.roster().len(), 39);
        assert_eq!(cluster.members("s", "g").count(), 0);
    }
    assert!(!events.iter().any(|(.., event)| matches!(event, Event::Member(News::Failed, _))));
}

#[test]
fn both_sides_of_a_partition_go_on_and_agree_when_it_has_healed() {
    let mut bed = Bed::new(5, 60);
    bed.run(secs(20));
    bed.tell(0, Action::Register { name: "leader".into(), about: Bytes::new() });
    bed.tell(40, Action::Join { scope: "s".into(), group: "g".into(), about: Bytes::new() });
    bed.tell(2, Action::Join { scope: "s".into(), group: "g".into(), about: Bytes::new() });
    bed.run(secs(1));
    bed.cut(|index| index < 30);
    bed.run(secs(60));
    for index in 0..60 {
        let cluster = bed.cluster(index);
        let live = cluster.roster().live().map(|member| member.peer.index() < 30);
        assert!(live.eq([index < 30; 30]), "node {index} knows its side");
        assert_eq!(cluster.members("s", "g").count(), 1);
        assert_eq!(cluster.lookup("leader").is_some(), index < 30);
    }
    // Both write. What is registered on the other side is taken again, in good faith.
    bed.tell(45, Action::Register { name: "leader".into(), about: Bytes::new() });
    for (index, key) in [(1, "one"), (50, "other")] {
        bed.tell(
            index,
            Action::Put {
                key: key.into(),
                value: Bytes::from_static(b"x"),
                concurrent: false,
                expected: None,
            },
        );
        bed.tell(index, Action::Count { name: "n".into(), by: 5 });
    }
    bed.run(secs(5));
    bed.events();
    bed.heal();
    bed.run(secs(90));
    bed.assert_equal();
    for index in 0..60 {
        let cluster = bed.cluster(index);
        assert_eq!(cluster.roster().live().count(), 60);
        assert_eq!(cluster.members("s", "g").count(), 2);
        assert!(cluster.get("one").is_some() && cluster.get("other").is_some());
        assert_eq!(cluster.count("n"), 10);
        let holder = cluster.lookup("leader").expect("somebody has it");
        assert_eq!(holder.entry.writer.index(), 0, "who took it first keeps it");
    }
    let lost =
        bed.events().into_iter().filter(|(.., event)| matches!(event, Event::NameLost { .. }));
    let lost: Vec<_> = lost.map(|(_, peer, _)| peer.index()).collect();
    assert_eq!(lost, [45], "the loser is told once");
}

#[test]
fn a_hundred_thousand_additions_survive_a_comparison() {
    let mut bed = Bed::new(6, 2);
    bed.run(secs(2));
    bed.cut(|index| index == 0);
    bed.run(secs(20));
    for index in 0..2 {
        for number in 0..50_000u32 {
            let element = Bytes::copy_from_slice(&(number * 2 + index as u32).to_be_bytes());
            bed.tell(index, Action::Insert { set: "all".into(), element });
        }
    }
    bed.heal();
    bed.run(secs(120));
    for index in 0..2 {
        assert_eq!(bed.cluster(index).elements("all").len(), 100_000);
    }
    bed.assert_equal();
}

#[test]
fn a_node_that_joins_has_everything_soon() {
    let mut bed = Bed::new(7, 20);
    bed.run(secs(10));
    for number in 0..20_000u32 {
        let value = Bytes::from(vec![7; 100]);
        let key = format!("key/{number}");
        bed.tell(
            number as usize % 20,
            Action::Put { key, value, concurrent: false, expected: None },
        );
        if number % 100 == 0 {
            bed.run(ms(20));
        }
    }
    bed.run(secs(15));
    bed.assert_equal();
    let new = bed.start();
    bed.run(secs(5));
    assert_eq!(bed.cluster(new).scan("key/").count(), 20_000);
}

#[test]
fn who_was_taken_for_gone_is_back_with_all_that_it_holds() {
    let config = Config { keep_failed: secs(60), ..Config::default() };
    let mut bed = Bed::with(8, 30, config);
    bed.run(secs(10));
    bed.tell(3, Action::Join { scope: "s".into(), group: "g".into(), about: Bytes::new() });
    bed.run(secs(1));
    bed.cut(|index| index == 3);
    bed.run(secs(100));
    let others = bed.cluster(7);
    assert_eq!((others.roster().len(), others.members("s", "g").count()), (29, 0));
    assert_eq!(others.store().written_by(bed.peer(3)).count(), 0, "nothing of it is kept");
    bed.heal();
    bed.run(secs(120));
    bed.assert_equal();
    for index in 0..30 {
        let cluster = bed.cluster(index);
        assert_eq!(cluster.roster().live().count(), 30, "node {index}");
        assert_eq!(cluster.members("s", "g").count(), 1);
    }
    assert!(bed.cluster(3).counts().rewritten > 0);
    let others = (0..30).filter(|index| *index != 3);
    let rewritten = others.map(|index| bed.cluster(index).counts().rewritten);
    assert_eq!(
        rewritten.sum::<u64>(),
        0,
        "it took nobody else for gone, as it was the one cut off"
    );
}

#[test]
fn what_several_nodes_add_to_a_counter_is_all_added() {
    let mut bed = Bed::new(9, 10);
    bed.run(secs(5));
    for (index, by) in [(1, 5), (2, 7), (1, -1), (3, 2)] {
        bed.tell(index, Action::Count { name: "n".into(), by });
        bed.run(secs(1));
    }
    assert!((0..10).all(|index| bed.cluster(index).count("n") == 13));
}

//! The cluster's state on real nodes.

use std::time::Duration;

use bytes::Bytes;
use murmurate::Node;
use murmurate_services::{
    Cluster, ClusterError, ClusterHandle, Config, Event, Flag, News, Refused, SERVICE,
};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

type Error = Box<dyn std::error::Error>;

async fn node(name: &str) -> Result<(Node, ClusterHandle), Error> {
    let anywhere = "/ip4/127.0.0.1/tcp/0".parse()?;
    let cluster = Cluster::new(Config::named(name));
    let node = Node::builder().listen(anywhere).service(SERVICE, cluster).spawn().await?;
    let cluster = ClusterHandle::of(&node)?;
    Ok((node, cluster))
}

/// Waits for an event for which this holds.
async fn until(
    events: &mut Receiver<Event<murmurate::Incarnation>>,
    is_it: impl Fn(&Event<murmurate::Incarnation>) -> bool,
) -> Result<(), Error> {
    while !is_it(&events.recv().await?) {}
    Ok(())
}

/// Four nodes that know each other.
async fn four() -> Result<Vec<(Node, ClusterHandle)>, Error> {
    let all = vec![node("a").await?, node("b").await?, node("c").await?, node("d").await?];
    for (node, _) in &all[1..] {
        node.join(all[0].0.addresses()).await?;
    }
    for (_, cluster) in &all {
        let mut events = cluster.watch();
        while cluster.members().await?.len() < all.len() {
            until(&mut events, |event| matches!(event, Event::Member(..))).await?;
        }
    }
    Ok(all)
}

async fn in_time(test: impl Future<Output = Result<(), Error>>) {
    let done = timeout(Duration::from_secs(60), test).await;
    assert!(matches!(done, Ok(Ok(()))), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_writes_the_others_read() {
    in_time(async {
        let all = four().await?;
        let [(_, a), (_, b), ..] = &all[..] else { return Err("four nodes".into()) };
        let mut events = b.watch();
        let version = a.put("sky", "blue").await?;
        until(&mut events, |event| matches!(event, Event::Changed(_))).await?;
        assert_eq!(b.get("sky").await?, Some((Bytes::from("blue"), version)));
        let stale = a.put_if("sky", "grey", None).await;
        assert_eq!(stale, Err(ClusterError::Refused(Refused::Changed(Some(version)))));
        b.put_if("sky", "grey", Some(version)).await?;

        a.count("visits", 3).await?;
        b.count("visits", -1).await?;
        a.set_flag("new-nest", Flag::On).await?;
        for (_, cluster) in &all {
            let mut events = cluster.watch();
            loop {
                let seen = cluster.look(|cluster| {
                    let sky = cluster.get("sky").map(|version| version.value.clone());
                    (sky, cluster.count("visits"), cluster.is_enabled("new-nest", "anybody"))
                });
                if seen.await? == (Some(Bytes::from("grey")), 2, true) {
                    break;
                }
                until(&mut events, |event| matches!(event, Event::Changed(_))).await?;
            }
        }
        assert!(a.delete("sky").await? && !a.delete("sky").await?);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memberships_and_names_end_with_their_guard_and_with_their_node() {
    in_time(async {
        let mut all = four().await?;
        let (last, d) = all.pop().ok_or("four nodes")?;
        let (_, a) = &all[0];
        let mut events = a.watch();
        let is_group = |event: &Event<_>, there| {
            matches!(event, Event::Group { is_there, .. } if *is_there == there)
        };
        let guard = d.join_group("birds", "swallows", "fast").await?;
        until(&mut events, |event| is_group(event, true)).await?;
        let members = a.group("birds", "swallows").await?;
        assert_eq!(members.iter().map(|one| &one.about[..]).collect::<Vec<_>>(), [b"fast"]);
        drop(guard);
        until(&mut events, |event| is_group(event, false)).await?;
        assert_eq!(a.group("birds", "swallows").await?, []);

        let name = d.register("king", "d").await?;
        until(&mut events, |event| matches!(event, Event::Name { holder: Some(_), .. })).await?;
        let holder = a.lookup("king").await?.ok_or("somebody has it")?.entry.writer;
        let taken = a.register("king", "a").await.map(|_| ());
        assert_eq!(taken, Err(ClusterError::Refused(Refused::Taken(holder))));
        // The node goes without a goodbye, and with it what it holds.
        last.shutdown().await?;
        until(&mut events, |event| *event == Event::Member(News::Failed, holder)).await?;
        until(&mut events, |event| matches!(event, Event::Name { holder: None, .. })).await?;
        let held = a.register_settled("king", "a", Duration::from_millis(200)).await?;
        held.end().await?;
        assert_eq!(a.lookup("king").await?, None);
        drop(name);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ended_says_so() {
    in_time(async {
        let (node, cluster) = node("alone").await?;
        node.leave().await?;
        assert!(matches!(cluster.put("a", "b").await, Err(ClusterError::Ended(_))));
        assert!(cluster.members().await.is_err());
        Ok(())
    })
    .await;
}

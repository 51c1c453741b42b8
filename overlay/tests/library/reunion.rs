//! Islands that find each other, lists that name the dead or the node itself, and whoever is asked to
//! join once more.

use std::path::Path;
use std::time::Duration;

use futures::future::select_all;
use murmurate::discovery::File;
use murmurate::membership::hyparview;
use murmurate::{Builder, Event, JoinError, Limits, Multiaddr, Node};

use crate::wait::{soon, view};

const INTERVAL: Duration = Duration::from_secs(2);

fn builder() -> Builder {
    let membership = hyparview::Parameters {
        reunion_interval: Some(INTERVAL),
        keepalive_interval: Duration::from_millis(200),
        promotion_interval: None,
        ..Builder::default_membership()
    };
    let limits = Limits { join_wait: Duration::from_millis(500), ..Limits::default() };
    let anywhere = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
    Node::builder().network("test").listen(anywhere).membership(membership).limits(limits)
}

/// Addresses without ids, as people write them.
fn write(path: &Path, addresses: impl IntoIterator<Item = Multiaddr>) {
    let line = |address: Multiaddr| {
        let text = address.to_string();
        text.split("/p2p/").next().map(|address| format!("{address}\n"))
    };
    let text: String = addresses.into_iter().filter_map(line).collect();
    std::fs::write(path, text).expect("a file");
}

/// Waits until these nodes are one overlay.
async fn whole(nodes: &[Node]) {
    let mut views: Vec<_> = nodes.iter().map(Node::watch_active_view).collect();
    soon(async {
        while !is_whole(nodes) {
            let changes = views.iter_mut().map(|view| Box::pin(view.changed()));
            select_all(changes).await.0.expect("the node runs");
        }
    })
    .await;
}

fn is_whole(nodes: &[Node]) -> bool {
    let mut reached = vec![0];
    let mut at = 0;
    while at < reached.len() {
        let view = nodes[reached[at]].active_view();
        let new = (0..nodes.len()).filter(|n| view.contains(&nodes[*n].id()));
        let new: Vec<_> = new.filter(|n| !reached.contains(n)).collect();
        reached.extend(new);
        at += 1;
    }
    reached.len() == nodes.len()
}

/// Two pairs, each with a contact file of its own, and then all four in both files.
#[tokio::test(flavor = "multi_thread")]
async fn islands_meet_once_discovery_names_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let files = ["one", "other"].map(|name| directory.path().join(name));
    let mut nodes = Vec::new();
    for at in 0..4 {
        let file = File::new(&files[at / 2]).every(Duration::from_millis(50));
        nodes.push(builder().discovery(file).spawn().await.expect("a node"));
    }
    let addresses = |nodes: &[Node]| nodes.iter().flat_map(Node::addresses).collect::<Vec<_>>();
    write(&files[0], addresses(&nodes[..2]));
    write(&files[1], addresses(&nodes[2..]));
    for pair in nodes.chunks(2) {
        whole(pair).await;
    }
    assert!(!is_whole(&nodes), "nothing says that there are others");
    files.iter().for_each(|file| write(file, addresses(&nodes)));
    whole(&nodes).await;
}

/// A contact file that once named 250 addresses where nobody is, and then one where somebody is.
#[tokio::test]
async fn what_a_file_names_no_longer_keeps_nobody_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("contacts");
    let dead = (0..250).map(|n| format!("/ip4/127.0.1.{n}/tcp/1").parse().expect("an address"));
    write(&file, dead);
    let seed = builder().spawn().await.expect("a node");
    let found = File::new(&file).every(Duration::from_millis(50));
    let node = builder().discovery(found).spawn().await.expect("a node");
    let mut events = node.events();
    while !matches!(events.recv().await, Ok(Event::DialFailed { .. })) {}
    write(&file, seed.addresses());
    view(&node, |view| !view.is_empty()).await;
}

/// One list for all nodes names each of them, with its id and without.
#[tokio::test]
async fn a_node_that_lists_itself_is_not_told_off() {
    let node = builder().spawn().await.expect("a node");
    let mut events = node.events();
    let named = node.addresses();
    node.join(named.clone()).await.expect("it founds an overlay");
    let bare = named.iter().map(|address| {
        let parts = address.iter().filter(|part| part.tag() != "p2p");
        parts.collect::<Multiaddr>()
    });
    node.join(bare.collect::<Vec<_>>()).await.expect("it founds an overlay");
    let other = builder().spawn().await.expect("a node");
    let list: Vec<_> = named.into_iter().chain(other.addresses()).collect();
    node.join(list).await.expect("the other is there");
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, Event::DialFailed { .. }), "{event:?}");
    }
}

/// A node with neighbours joins another overlay when it is told to, and says when nobody answers.
#[tokio::test]
async fn two_overlays_are_joined_by_hand() {
    let mut nodes = Vec::new();
    for at in 0..4 {
        let node = builder().spawn().await.expect("a node");
        if at % 2 == 1 {
            node.join(nodes.last().map_or_else(Vec::new, Node::addresses)).await.expect("joined");
        }
        nodes.push(node);
    }
    assert!(!is_whole(&nodes));
    let nobody: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
    let failed = nodes[0].join([nobody]).await;
    assert!(matches!(failed, Err(JoinError::Unreachable(_))), "{failed:?}");
    nodes[0].join(nodes[3].addresses()).await.expect("it answers");
    whole(&nodes).await;
}

//! The state that the cluster shares, read and changed through one of its nodes.

use std::collections::BTreeMap;

use murmurate::{Incarnation, Node};
use murmurate_services::{Cluster, ClusterHandle, Event, Liveness, Space, Version};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use tokio::sync::broadcast::error::RecvError;

use super::client::Client;
use super::{Base64, Entry, KeyValue, Reply, RosterMember, StateRequest, text};

fn handle(node: &Node) -> Result<ClusterHandle, String> {
    ClusterHandle::of(node)
        .map_err(|_| "the node has no such state: start it with cluster.enabled = true".into())
}

/// Reads or changes something.
pub(super) async fn answer(node: &Node, request: StateRequest) -> Result<Reply, String> {
    let cluster = handle(node)?;
    let refused = |error: murmurate_services::ClusterError| error.to_string();
    match request {
        StateRequest::Put { key, value } => {
            cluster.put(key, value.0).await.map_err(refused)?;
            Ok(Reply::Done {})
        }
        StateRequest::Delete { key } => {
            cluster.delete(key).await.map(Reply::Deleted).map_err(refused)
        }
        StateRequest::SetFlag { name, flag } => {
            cluster.set_flag(name, flag).await.map_err(refused)?;
            Ok(Reply::Done {})
        }
        read => {
            cluster.look(move |cluster| seen(cluster, read)).await.map_err(|why| why.to_string())
        }
    }
}

fn seen(cluster: &Cluster<Incarnation>, read: StateRequest) -> Reply {
    match read {
        StateRequest::Members {} => Reply::Roster(cluster.roster().iter().map(member).collect()),
        StateRequest::Groups { scope } => Reply::Names(cluster.groups(&scope)),
        StateRequest::Group { scope, group } => {
            Reply::Entries(cluster.members(&scope, &group).map(|one| entry(None, one)).collect())
        }
        StateRequest::Presence { topic } => {
            let all = cluster.present(&topic).into_iter();
            let all = all.flat_map(|(key, entries)| {
                entries.into_iter().map(move |one| entry(Some(key.clone()), one))
            });
            Reply::Entries(all.collect())
        }
        StateRequest::Names {} => {
            let all = cluster.names().into_iter();
            let all =
                all.filter_map(|name| Some(entry(Some(name.clone()), cluster.lookup(&name)?)));
            Reply::Entries(all.collect())
        }
        StateRequest::Get { key } => Reply::Value(value(&key, cluster.get(&key))),
        StateRequest::Flag { name } => Reply::Flag(cluster.flag(&name)),
        // A list is a stream; what changes something is no question.
        StateRequest::List { .. }
        | StateRequest::Watch { .. }
        | StateRequest::Put { .. }
        | StateRequest::Delete { .. }
        | StateRequest::SetFlag { .. } => Reply::Error("this is not asked like that".into()),
    }
}

fn member(member: &murmurate_services::Member<Incarnation>) -> RosterMember {
    let liveness = match member.liveness {
        Liveness::Alive => "alive",
        Liveness::Suspected => "suspected",
        _ => "failed",
    };
    RosterMember {
        node: member.peer.node.to_string(),
        started: member.peer.started,
        name: member.record.name.clone(),
        liveness: liveness.into(),
        region: member.record.region.clone(),
        version: member.record.version.clone(),
        tags: member.record.tags.clone(),
    }
}

fn entry(key: Option<String>, entry: murmurate_services::Entry<Incarnation>) -> Entry {
    let node = entry.entry.writer.node.to_string();
    Entry { key, node, text: text(&entry.about), about: Base64(entry.about.into()) }
}

fn value(key: &str, version: Option<&Version<Incarnation>>) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: version.map(|version| Base64(version.value.to_vec())),
        text: version.and_then(|version| text(&version.value)),
        writer: version.map(|version| version.dot.writer.node.to_string()),
    }
}

/// All values whose keys begin so.
async fn values(
    cluster: &ClusterHandle,
    prefix: &str,
) -> Result<BTreeMap<Vec<u8>, KeyValue>, murmurate::Ended> {
    let prefix = prefix.to_owned();
    let look = move |cluster: &Cluster<Incarnation>| {
        let all = cluster.scan(&prefix);
        let all = all.map(|(key, version)| {
            (key.to_vec(), value(&String::from_utf8_lossy(key), Some(version)))
        });
        all.collect()
    };
    cluster.look(look).await
}

/// Tells all values whose keys begin so.
pub(super) async fn list(client: &mut Client, prefix: &str) -> std::io::Result<()> {
    let listed = match handle(&client.agent.node) {
        Ok(cluster) => values(&cluster, prefix).await.map_err(|why| why.to_string()),
        Err(why) => Err(why),
    };
    match listed {
        Ok(all) => {
            for value in all.into_values() {
                client.say(&Reply::Value(value)).await?;
            }
            client.say(&Reply::Done {}).await
        }
        Err(why) => client.say(&Reply::Error(why)).await,
    }
}

/// Tells all values whose keys begin so, and then each that changes, until the client says something.
pub(super) async fn watch(client: &mut Client, prefix: String) -> std::io::Result<()> {
    let cluster = match handle(&client.agent.node) {
        Ok(cluster) => cluster,
        Err(why) => return client.say(&Reply::Error(why)).await,
    };
    // There may be nothing to tell for long.
    client.say(&Reply::Working(0)).await?;
    let mut events = cluster.watch();
    let mut told: BTreeMap<Vec<u8>, KeyValue> = BTreeMap::new();
    loop {
        let Ok(now) = values(&cluster, &prefix).await else {
            return client.say(&Reply::Error("the node has ended".into())).await;
        };
        let gone: Vec<_> = told.keys().filter(|key| !now.contains_key(*key)).cloned().collect();
        for key in gone {
            client.say(&Reply::Value(value(&String::from_utf8_lossy(&key), None))).await?;
        }
        for (key, value) in &now {
            if told.get(key) != Some(value) {
                client.say(&Reply::Value(value.clone())).await?;
            }
        }
        told = now;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                // Whatever it says now: it no longer watches.
                _ = client.read.fill_buf() => return client.write.shutdown().await,
            };
            match event {
                Ok(Event::Changed(key))
                    if key.space == Space::LATEST && key.name.starts_with(prefix.as_bytes()) =>
                {
                    break;
                }
                Ok(_) => {}
                // Whatever was missed is seen now.
                Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => {
                    return client.say(&Reply::Error("the node has ended".into())).await;
                }
            }
        }
    }
}

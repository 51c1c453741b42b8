//! The nodes.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use murmurate::broadcast::{anti_entropy, plumtree};
use murmurate::{Limits, Metrics, Multiaddr, Node};
use murmurate_services::{Cluster, ClusterHandle, Config, SERVICE};
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

use crate::Error;

/// Nodes that join at a time.
const JOINING: usize = 16;
/// Nodes that answer a question within this keep up.
const KEEPS_UP: Duration = Duration::from_millis(20);
/// Bytes of payloads that all nodes together keep for those who ask.
const KEPT: usize = 128 << 20;

pub(crate) struct Member {
    pub(crate) node: Node,
    pub(crate) cluster: ClusterHandle,
}

/// Starts a node, which joins through `contact`.
pub(crate) async fn spawn(
    nodes: usize,
    metrics: &Metrics,
    contact: Option<&Node>,
) -> Result<Member, Error> {
    let anywhere: Multiaddr = "/ip4/127.0.0.1/tcp/0".parse()?;
    // Open files and copies of payloads are what many nodes in one process run out of.
    // A thousand nodes that join on two cores take their time.
    let (idle_wait, join_wait) = (Duration::from_secs(2), Duration::from_secs(60));
    let limits = Limits { idle_wait, join_wait, ..Limits::default() };
    let broadcast =
        plumtree::Parameters { payload_bytes: KEPT / nodes, ..plumtree::Parameters::default() };
    let retained = anti_entropy::Parameters {
        retained_bytes: KEPT / nodes,
        ..anti_entropy::Parameters::default()
    };
    let node = Node::builder()
        .metrics(metrics.clone())
        .limits(limits)
        .broadcast(broadcast)
        .anti_entropy(retained)
        .service(SERVICE, Cluster::new(Config::default()))
        .listen(anywhere)
        .spawn()
        .await?;
    let cluster = ClusterHandle::of(&node)?;
    if let Some(contact) = contact {
        node.join(contact.addresses()).await?;
    }
    Ok(Member { node, cluster })
}

/// Starts so many.
pub(crate) async fn start(nodes: usize, metrics: &Metrics) -> Result<Vec<Member>, Error> {
    allow_files()?;
    let mut started = vec![spawn(nodes, metrics, None).await?];
    while started.len() < nodes {
        let some = JOINING.min(nodes - started.len());
        let known = &started;
        let joined = futures::stream::iter(0..some)
            .map(async |at| {
                // Contacts all over the cluster.
                let contact = &known[(known.len() * 7 + at * 13) % known.len()];
                spawn(nodes, metrics, Some(&contact.node)).await
            })
            .buffer_unordered(some);
        let joined: Vec<_> = joined.collect().await;
        for member in joined {
            started.push(member?);
        }
        // All share a few cores: those that run are to keep up, as they would on machines of their own.
        loop {
            let asked = Instant::now();
            started[0].cluster.look(|_| ()).await?;
            if asked.elapsed() < KEEPS_UP {
                break;
            }
            tokio::time::sleep(KEEPS_UP).await;
        }
        if started.len() % 100 < JOINING {
            eprintln!("{} of {nodes} nodes have joined", started.len());
        }
    }
    Ok(started)
}

/// Waits until all replicas keep the same and know as many members, or says how many do.
pub(crate) async fn wait_until_equal(members: &[Member], limit: Duration) -> Result<f64, Error> {
    let began = Instant::now();
    loop {
        let mut sums = Vec::new();
        for member in members {
            let seen = member
                .cluster
                .look(|cluster| (cluster.store().sum(), cluster.roster().live().count()));
            sums.push(seen.await?);
        }
        let are_equal = sums.iter().all(|seen| *seen == sums[0] && seen.1 == members.len());
        if are_equal {
            return Ok(began.elapsed().as_secs_f64());
        }
        if began.elapsed() > limit {
            let mut counts: Vec<usize> = sums.iter().map(|(_, live)| *live).collect();
            counts.sort_unstable();
            let same = sums.iter().filter(|(sum, _)| *sum == sums[0].0).count();
            let (least, most) = (counts.first(), counts.last());
            return Err(
                format!("{same} replicas are equal; members known: {least:?} to {most:?}").into()
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Time on all cores since the process began.
pub(crate) fn cpu_time() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let micros = |time: nix::sys::time::TimeVal| {
            (time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs()
        };
        Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
    })
}

fn allow_files() -> Result<(), Error> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?)
}

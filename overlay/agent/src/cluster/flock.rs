//! The nodes of a cluster, and what their views come to.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use futures::StreamExt;
use indicatif::ProgressBar;
use murmurate::admission::{Admission, Authority, Certified, Revocations, Secret, Secrets};
use murmurate::broadcast::{anti_entropy, plumtree};
use murmurate::identity::Keypair;
use murmurate::{Builder, Limits, Metrics, Multiaddr, Node, NodeId};
use rand::seq::SliceRandom;
use tokio::time::Instant;

use super::Transport;
use super::tally::{self, Arrivals, Tally};
use crate::config::{AdmissionMode, BroadcastStrategy, Settings, Strategies};

/// Nodes that join at a time.
const JOINING: usize = 16;
/// Bytes of payloads that all nodes together keep for those who ask: their copies are what many
/// nodes in one process need most memory for.
const KEPT: usize = 128 << 20;
/// Few nodes pass on so many small ones a second that more of them are kept: a gap is asked for after a
/// second.
const SMALL: usize = 128;
/// Longer than a cluster in one process runs, from 1970 on.
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
const NETWORK: &str = "cluster";
/// The topic of all broadcasts.
pub(super) const TOPIC: &str = "cluster";

pub(super) struct Flock {
    pub(super) nodes: Vec<Node>,
    pub(super) metrics: Metrics,
    pub(super) tally: Arc<Tally>,
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) broadcast: BroadcastStrategy,
}

/// What each node proves to the others.
fn members(
    mode: AdmissionMode,
    keys: Vec<Keypair>,
) -> Result<Vec<(Keypair, Admission)>, Box<dyn Error>> {
    let ids: Vec<NodeId> =
        keys.iter().map(|key| NodeId::try_from(&key.public())).collect::<Result<_, _>>()?;
    let secret = Secret::generate();
    let authority = Authority::generate();
    let valid = SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + A_CENTURY;
    let member = |(key, id): (Keypair, &NodeId)| {
        let admission = match mode {
            AdmissionMode::Open => Admission::Open,
            AdmissionMode::Secret => Admission::Secret(Secrets::new(secret.clone())),
            AdmissionMode::Allowlist => Admission::Allowlist(ids.iter().copied().collect()),
            AdmissionMode::Certified => Admission::Certified(Box::new(Certified {
                authorities: vec![authority.id()],
                certificate: authority.issue(NETWORK, *id, valid.clone(), [])?,
                revocations: Revocations::default(),
            })),
        };
        Ok((key, admission))
    };
    keys.into_iter().zip(&ids).map(member).collect()
}

/// What the views of all nodes come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub(super) struct Shape {
    pub(super) components: usize,
    pub(super) asymmetric_links: usize,
    pub(super) mean_degree: f64,
}

impl Shape {
    pub(super) fn is_one(&self) -> bool {
        self.components == 1 && self.asymmetric_links == 0
    }
}

impl Flock {
    /// Starts the nodes; each joins through a random one that was there before it.
    pub(super) async fn start(
        nodes: usize,
        transport: Transport,
        strategies: Strategies,
        (mode, signed): (AdmissionMode, Option<bool>),
        bar: &ProgressBar,
    ) -> Result<Self, Box<dyn Error>> {
        let metrics = Metrics::default();
        let tally = Arc::new(Tally::default());
        let arrivals = Arc::new(Arrivals::default());
        let anywhere: Multiaddr = match transport {
            Transport::Tcp => "/ip4/127.0.0.1/tcp/0",
            Transport::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        }
        .parse()?;
        let keys = (0..nodes).map(|_| Keypair::generate_ed25519()).collect();
        let members = Mutex::new(members(mode, keys)?);
        let spawn = async || {
            let member = members.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let (key, admission) = member.ok_or("there are no more nodes")?;
            let limits = Limits {
                // Open files are what many nodes in one process run out of.
                idle_wait: Duration::from_secs(2),
                // What is counted is what nodes deliver, not how soon a counter's turn comes.
                subscription_capacity: 1 << 14,
                ..Limits::default()
            };
            let kept = plumtree::Parameters {
                payload_bytes: KEPT / nodes,
                ..plumtree::Parameters::default()
            };
            let builder = Node::builder().network(NETWORK).metrics(metrics.clone());
            let mut builder = builder.identity(key).admission(admission);
            if let Some(signed) = signed {
                builder = builder.signed(signed);
            }
            let retained = anti_entropy::Parameters {
                retained_bytes: KEPT / nodes,
                retained: (KEPT / SMALL / nodes).max(1 << 14),
                ..anti_entropy::Parameters::default()
            };
            let settings = Settings { strategies, broadcast: kept, ..Settings::default() };
            let builder = settings.choose(builder);
            let builder = builder.limits(limits).anti_entropy(retained);
            let builder = tally::declared().into_iter().fold(builder, Builder::channel);
            let node = builder.listen(anywhere.clone()).spawn().await?;
            Arc::clone(&tally).count(node.subscribe(TOPIC)?);
            tally::serve(&node, &arrivals);
            Ok::<_, Box<dyn Error>>(node)
        };
        let mut started = vec![spawn().await?];
        while started.len() < nodes {
            let some = JOINING.min(nodes - started.len());
            let known = &started;
            let joined = futures::stream::iter(0..some)
                .map(async |_| {
                    let node = spawn().await?;
                    let contact = &known[rand::random_range(0..known.len())];
                    node.join(contact.addresses()).await?;
                    Ok::<_, Box<dyn Error>>(node)
                })
                .buffer_unordered(some);
            let joined: Vec<_> = joined.collect().await;
            for node in joined {
                started.push(node?);
                bar.inc(1);
            }
        }
        let broadcast = strategies.broadcast;
        Ok(Self { nodes: started, metrics, tally, arrivals, broadcast })
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn shape(&self) -> Shape {
        let views: BTreeMap<NodeId, Vec<NodeId>> =
            self.nodes.iter().map(|node| (node.id(), node.active_view())).collect();
        let links = views.iter().flat_map(|(from, view)| view.iter().map(move |to| (from, to)));
        let asymmetric =
            links.clone().filter(|(from, to)| !views.get(to).is_some_and(|v| v.contains(from)));
        let mut unseen: BTreeSet<NodeId> = views.keys().copied().collect();
        let mut components = 0;
        while let Some(first) = unseen.pop_first() {
            components += 1;
            let mut reached = vec![first];
            while let Some(node) = reached.pop() {
                let next = views.get(&node).into_iter().flatten();
                reached.extend(next.filter(|next| unseen.remove(*next)));
            }
        }
        Shape {
            components,
            asymmetric_links: asymmetric.count(),
            mean_degree: links.count() as f64 / views.len() as f64,
        }
    }

    /// Waits until the nodes are one overlay with symmetric views, and says what they are.
    pub(super) async fn wait_until_steady(&self, limit: Duration) -> Shape {
        let deadline = Instant::now() + limit;
        loop {
            let shape = self.shape();
            if shape.is_one() || Instant::now() > deadline {
                return shape;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Ends so many nodes without a goodbye, never the first.
    pub(super) async fn kill(&mut self, count: usize) {
        self.nodes[1..].shuffle(&mut rand::rng());
        let dead = self.nodes.split_off(self.nodes.len() - count);
        let ends = dead.iter().map(Node::shutdown);
        // A node that has ended already is as dead.
        futures::future::join_all(ends).await;
    }
}

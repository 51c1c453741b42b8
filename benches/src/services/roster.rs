//! How soon all know that a node was killed.

use std::time::{Duration, Instant};

use clap::Args;
use murmurate::{Incarnation, Metrics};
use murmurate_services::{Event, News};
use tokio::sync::mpsc;

use crate::flock::{self, Member};
use crate::{Error, percentile};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Nodes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(3..=2_000))]
    nodes: u16,
    /// Nodes that are killed, one after the other
    #[arg(long, default_value_t = 10)]
    kills: u16,
    /// Seconds that nothing happens and the cost of it is taken
    #[arg(long, default_value_t = 20)]
    idle: u64,
    /// Print one JSON object instead of the lines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> Result<(), Error> {
    let metrics = Metrics::default();
    let began = Instant::now();
    let mut members = flock::start(options.nodes.into(), &metrics).await?;
    let started = began.elapsed().as_secs_f64();
    let equal = flock::wait_until_equal(&members, Duration::from_secs(300)).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (cpu, bytes) = idle(&members, &metrics, options.idle).await;
    let (said, mut heard) = mpsc::unbounded_channel();
    for member in &members {
        listen(member, said.clone());
    }
    let mut times = Vec::new();
    let mut wrong = 0u64;
    for _ in 0..options.kills {
        // One of the middle, which has been there for long.
        let killed = members.remove(members.len() / 2);
        let node = killed.node.id();
        let at = Instant::now();
        killed.node.shutdown().await?;
        let mut know = 0;
        while know < members.len() {
            let event = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
            let Ok(Some((time, peer))) = event else {
                return Err(format!("{know} of {} know that {node} failed", members.len()).into());
            };
            if peer.node == node {
                know += 1;
                times.push(time.duration_since(at).as_secs_f64());
            } else {
                wrong += 1;
            }
        }
    }
    times.sort_unstable_by(f64::total_cmp);
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&times, share));
    let nodes = options.nodes;
    if options.json {
        println!(
            "{}",
            serde_json::json!({
                "nodes": nodes, "started_seconds": started, "equal_after_seconds": equal,
                "idle_cpu_share": cpu, "idle_bytes_a_second": bytes, "kills": options.kills,
                "known_p50": p50, "known_p99": p99, "known_max": max, "false_verdicts": wrong,
            })
        );
    } else {
        println!("{nodes} nodes started in {started:.1} s, and knew each other {equal:.1} s later");
        println!("idle: {:.2} % of a core and {bytes:.0} B/s a node", cpu * 100.0);
        println!(
            "{} killed: known to all others after p50 {p50:.3} s, p99 {p99:.3} s, at most {max:.3} s",
            options.kills
        );
        println!("{wrong} verdicts about nodes that ran");
    }
    Ok(())
}

/// What a node costs while nothing happens: its share of a core, and bytes sent a second.
async fn idle(members: &[Member], metrics: &Metrics, seconds: u64) -> (f64, f64) {
    let (cpu, sent) = (flock::cpu_time(), bytes_sent(metrics));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let each = members.len() as f64 * seconds as f64;
    let cpu = (flock::cpu_time() - cpu).as_secs_f64();
    (cpu / each, (bytes_sent(metrics) - sent) / each)
}

/// Bytes of messages that all nodes sent.
fn bytes_sent(metrics: &Metrics) -> f64 {
    let text = metrics.render();
    let sent = text.lines().filter(|line| line.starts_with("murmurate_message_bytes_total"));
    let sent = sent.filter(|line| line.contains("direction=\"sent\""));
    sent.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Passes on whom a node takes for failed.
fn listen(member: &Member, said: mpsc::UnboundedSender<(Instant, Incarnation)>) {
    let mut events = member.cluster.watch();
    tokio::spawn(async move {
        while let Ok(event) = events.recv().await {
            if let Event::Member(News::Failed, peer) = event
                && said.send((Instant::now(), peer)).is_err()
            {
                break;
            }
        }
    });
}

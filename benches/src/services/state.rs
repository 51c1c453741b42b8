//! How soon all see what one wrote.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use murmurate::Metrics;
use murmurate_services::Event;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use crate::flock::{self, Member};
use crate::{Error, percentile};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Nodes
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(3..=512))]
    nodes: u16,
    /// Values in all when a node joins
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// Bytes of a value
    #[arg(long, default_value_t = 100)]
    bytes: usize,
    /// Values whose way to all is timed
    #[arg(long, default_value_t = 5_000)]
    timed: u64,
    /// Timed values a second, over all nodes that write
    #[arg(long, default_value_t = 1_000)]
    rate: u64,
    /// Nodes that write the timed values
    #[arg(long, default_value_t = 1)]
    writers: u16,
    /// Print one JSON object instead of the lines
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(options: &Options) -> Result<(), Error> {
    let metrics = Metrics::default();
    let nodes = usize::from(options.nodes);
    let mut members = flock::start(nodes, &metrics).await?;
    flock::wait_until_equal(&members, Duration::from_secs(120)).await?;
    let (times, cpu) = timed(&members, options).await?;
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| percentile(&times, share));
    let began = Instant::now();
    let left = options.keys.saturating_sub(options.timed);
    let writes = members.iter().enumerate().map(async |(at, member)| {
        for number in (at as u64..left).step_by(nodes) {
            member.cluster.put(format!("key/{number}"), vec![7; options.bytes]).await?;
        }
        Ok::<_, murmurate_services::ClusterError>(())
    });
    futures::future::try_join_all(writes).await?;
    let written = began.elapsed().as_secs_f64();
    let equal = flock::wait_until_equal(&members, Duration::from_secs(300)).await?;
    let began = Instant::now();
    let new = flock::spawn(nodes, &metrics, Some(&members[0].node)).await?;
    let all = options.keys.max(options.timed) as usize;
    let joined = loop {
        let has = new.cluster.look(|cluster| cluster.scan("").count()).await?;
        if has == all {
            break began.elapsed().as_secs_f64();
        }
        if began.elapsed() > Duration::from_secs(120) {
            return Err(format!("the node that joined has {has} of {all} values").into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    members.push(new);
    if options.json {
        println!(
            "{}",
            serde_json::json!({
                "nodes": nodes, "timed": options.timed, "rate": options.rate, "writers": options.writers,
                "visible_p50": p50, "visible_p99": p99, "visible_max": max,
                "cpu_micros_a_write_and_node": cpu, "keys": options.keys, "written_seconds": written,
                "equal_after_seconds": equal, "joined_seconds": joined,
            })
        );
    } else {
        println!(
            "{} values, {} a second by {} of {nodes} nodes: all have one after p50 {p50:.3} s, p99 {p99:.3} s, at \
             most {max:.3} s; {cpu:.1} µs of a core for each value and node",
            options.timed, options.rate, options.writers
        );
        println!(
            "{} values written in {written:.1} s, everywhere {equal:.1} s later",
            options.keys
        );
        println!("a node that joins has all {all} after {joined:.2} s");
    }
    Ok(())
}

/// Writes values at a rate, and takes the time until the last node has each.
async fn timed(members: &[Member], options: &Options) -> Result<(Vec<f64>, f64), Error> {
    let (said, mut heard) = mpsc::unbounded_channel();
    for member in members {
        let mut events = member.cluster.watch();
        let said = said.clone();
        tokio::spawn(async move {
            loop {
                match events.recv().await {
                    Ok(Event::Changed(key)) => {
                        if said.send((Instant::now(), key.name)).is_err() {
                            break;
                        }
                    }
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
        });
    }
    drop(said);
    let cpu = flock::cpu_time();
    let mut written: BTreeMap<Vec<u8>, Instant> = BTreeMap::new();
    let mut turn = tokio::time::interval(Duration::from_secs_f64(1.0 / options.rate as f64));
    for number in 0..options.timed {
        turn.tick().await;
        let key = format!("timed/{number}");
        written.insert(key.clone().into_bytes(), Instant::now());
        let writer = &members[number as usize % usize::from(options.writers)];
        writer.cluster.put(key, vec![7; options.bytes]).await?;
    }
    let mut seen: BTreeMap<Vec<u8>, (usize, f64)> = BTreeMap::new();
    let mut complete = 0;
    while complete < options.timed {
        let next = tokio::time::timeout(Duration::from_secs(30), heard.recv()).await;
        let Ok(Some((at, key))) = next else {
            return Err(format!("all nodes saw {complete} of {} values", options.timed).into());
        };
        let Some(began) = written.get(&*key) else { continue };
        let (nodes, last) = seen.entry(key.to_vec()).or_default();
        *nodes += 1;
        *last = last.max(at.duration_since(*began).as_secs_f64());
        complete += u64::from(*nodes == members.len());
    }
    let cpu = (flock::cpu_time() - cpu).as_secs_f64() * 1e6;
    let mut times: Vec<f64> = seen.into_values().map(|(_, last)| last).collect();
    times.sort_unstable_by(f64::total_cmp);
    Ok((times, cpu / (options.timed * members.len() as u64) as f64))
}

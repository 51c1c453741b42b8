//! `murmurate cluster`: many real nodes in one process, on real sockets.

mod channels;
mod flock;
mod latency;
mod report;
mod tally;
mod usage;
mod work;

use std::error::Error;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use murmurate::http::{self, Health};
use tokio::net::TcpListener;
use tokio::time::Instant;

use crate::config::{AdmissionMode, BroadcastStrategy, MembershipStrategy, Strategies};
use crate::failure::Outcome;
use flock::Flock;
use report::Report;
use work::Load;

/// How long the overlay may take to form, and to repair itself.
const TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  murmurate cluster                              64 nodes, until Ctrl-C
  murmurate cluster --nodes 16 --transport quic --for 5s
  murmurate cluster --messages 20000 --rate 0 --kill 0 --json
  murmurate cluster --messages 20000 --rate 0 --publishers 1 --kill 0 --json
  murmurate cluster --nodes 32 --membership full-mesh --broadcast flood
  murmurate cluster --metrics 127.0.0.1:9464     curl 127.0.0.1:9464/metrics

The exit status is 0 if one overlay formed, all broadcasts reached all nodes, and all messages \
    on channels arrived, both before nodes were killed and after. It is 1 if not, and 2 if something \
    could not be started. Standard error says why messages on channels were lost, or that none were \
    sent because too few files may be open.")]
pub(crate) struct Options {
    /// Nodes to run. Each takes about a third of a MiB and ten open files.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=5_000))]
    nodes: u32,
    /// The transport of connections.
    #[arg(long, value_enum, default_value_t = Transport::Tcp)]
    transport: Transport,
    /// The strategy that chooses neighbours.
    #[arg(long, value_enum, default_value_t)]
    membership: MembershipStrategy,
    /// The strategy by which broadcasts travel.
    #[arg(long, value_enum, default_value_t)]
    broadcast: BroadcastStrategy,
    /// What nodes prove to each other on every connection.
    #[arg(long, value_enum, default_value_t)]
    admission: AdmissionMode,
    /// Whether nodes sign what they broadcast. Default: unless the admission is open.
    #[arg(long, value_name = "BOOL")]
    signed: Option<bool>,
    /// Broadcasts, spread over the publishers.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    messages: u32,
    /// Bytes of data in each.
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    size: u32,
    /// Broadcasts per second; 0 publishes as fast as the overlay takes them.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    rate: u32,
    /// How many nodes broadcast. Default: all.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=5_000))]
    publishers: Option<u32>,
    /// Messages that each node sends to others at random afterwards, on a channel, and half as many
    /// requests. Default 10, or none where too few files may be open for their connections: a first
    /// message to a node connects to it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    sends: Option<u32>,
    /// Share of the nodes to kill afterwards, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=95))]
    kill: u32,
    /// Serves /metrics, /livez and /readyz here. Counters and gauges are the sums over all nodes.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// How long to keep running afterwards. Default: until Ctrl-C, with --json not at all.
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    keep: Option<Duration>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Transport {
    /// TCP with Noise and Yamux.
    Tcp,
    /// QUIC.
    Quic,
}

const DEFAULT_SENDS: u32 = 10;

/// How many messages each node sends on a channel, as far as files may be open.
fn sends(options: &Options) -> Result<u32, Box<dyn Error>> {
    let nodes = u64::from(options.nodes);
    // Connections for channels come and go; each has two ends here.
    // Links have one end each, and some two nodes dialled at once, or are about to end.
    let links = nodes * (options.membership.links(options.nodes as usize) * 3).div_ceil(2) as u64
        + nodes * 6;
    let files = |sends: u32| links + 256 + (u64::from(sends).min(64) * nodes * 3).min(1 << 14);
    let sends = options.sends.unwrap_or(DEFAULT_SENDS);
    match usage::allow_files(files(sends)) {
        Ok(()) => Ok(sends),
        Err(error) if options.sends.is_some() => Err(error),
        Err(error) => {
            usage::allow_files(files(0))?;
            tracing::warn!("nothing is sent on channels: for that {error}");
            Ok(0)
        }
    }
}

/// Runs the cluster, and keeps it running as long as it was told.
pub(crate) async fn run(options: Options) -> Outcome {
    let sends = sends(&options)?;
    let begun = Instant::now();
    let nodes = options.nodes as usize;
    let bar = bar(options.nodes.into(), "starting nodes");
    let strategies = Strategies { membership: options.membership, broadcast: options.broadcast };
    let mut flock = Flock::start(
        nodes,
        options.transport,
        strategies,
        (options.admission, options.signed),
        &bar,
    )
    .await?;
    if let Some(address) = options.metrics {
        serve(address, &flock).await?;
    }
    bar.set_message("one overlay");
    let formed = flock.wait_until_steady(TIMEOUT).await;
    bar.finish_and_clear();
    let load = Load {
        messages: options.messages,
        size: options.size as usize,
        rate: options.rate,
        publishers: options.publishers.map_or(usize::MAX, |publishers| publishers as usize),
        sends,
    };
    let mut report = Report::new(&options, begun.elapsed(), formed);
    report.whole = Some(work::run(&flock, &load).await);
    if options.kill > 0 {
        let killed = Instant::now();
        flock.kill(nodes * options.kill as usize / 100).await;
        let healed = flock.wait_until_steady(TIMEOUT).await;
        report.repaired(flock.len(), killed.elapsed(), healed);
        report.after = Some(work::run(&flock, &load).await);
    }
    report.print(options.json)?;
    linger(&options).await;
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves the metrics of all, and the health of the first, which is never killed.
async fn serve(address: SocketAddr, flock: &Flock) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    eprintln!("metrics: http://{}/metrics", listener.local_addr()?);
    let first = flock.nodes[0].clone();
    tokio::spawn(http::serve(listener, Health::new(first)));
    Ok(())
}

async fn linger(options: &Options) {
    let stop = tokio::signal::ctrl_c();
    match options.keep {
        Some(time) => {
            let _ = tokio::time::timeout(time, stop).await;
        }
        None if options.json => {}
        None => {
            if std::io::stderr().is_terminal() {
                eprintln!("The nodes keep running. Ctrl-C ends them.");
            }
            let _ = stop.await;
        }
    }
}

/// A bar on standard error, if that is a terminal.
fn bar(steps: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr());
    let template = "{msg:20} [{bar:30}] {pos}/{len}  {elapsed}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

//! `murmurate node`: a node, its HTTP listener and its admin socket.

mod admission;
mod events;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use murmurate::http::{self, Health};
use murmurate::{Multiaddr, SpawnError};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

use crate::admin::socket::{self, Socket};
use crate::admin::{Agent, Kept, server};
use crate::args;
use crate::config::{AdmissionFiles, Config};
use crate::failure::{Outcome, Usage, say};

/// How long leaving may take: the node itself takes 3 s at most.
const LEAVE: Duration = Duration::from_secs(5);

/// Runs a node until it is told to leave.
pub(crate) async fn run(options: &args::Node) -> Outcome {
    let settings = &options.settings;
    let config = Config::load(settings.config.as_deref(), &settings.flags());
    let config = config.map_err(Usage::from)?;
    let log = &config.settings.log;
    crate::log::start(&log.level, log.format)?;
    // From here on a signal is ours, so that none is lost between the start and the loop.
    let signals = Signals {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
    };
    let listener = match config.settings.metrics.0 {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.map_err(|error| format!("cannot listen on metrics = {address}: {error}"))?)
        }
    };
    let metrics = listener.as_ref().map(TcpListener::local_addr).transpose()?;
    let path = match &config.settings.admin {
        Some(path) => path.clone(),
        None => socket::default_for_node().map_err(|error| format!("admin socket: {error}"))?,
    };
    let admin = Socket::bind(&path).await.map_err(|error| format!("admin socket: {error}"))?;
    let node = config.builder().map_err(Usage::from)?.spawn().await.map_err(not_started)?;
    let events = events::log(node.events());
    let health = Health::new(node.clone()).first(config.settings.first);
    if let Some(listener) = listener {
        tokio::spawn(http::serve(listener, health.clone()));
    }
    let admin_path = admin.path.clone();
    let limit = config.settings.limits.leave_wait + LEAVE;
    let agent = Agent {
        node,
        health,
        metrics,
        admin: admin_path,
        channels: config.settings.channels.clone(),
        kept: Kept::default(),
        limit,
        ended: Notify::new(),
    };
    announce(&agent, options.json)?;
    let settings = config.settings;
    serve(Arc::new(agent), &admin, (settings.join, settings.admission), signals, events).await
}

/// Those that would end the process otherwise.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// A wrong configuration is wrong usage; a port in use is not.
fn not_started(error: SpawnError) -> Box<dyn std::error::Error> {
    match error {
        SpawnError::Config(error) => Usage(error.to_string()).into(),
        error => error.into(),
    }
}

/// Says on standard output that the node runs, and where.
fn announce(agent: &Agent, json: bool) -> std::io::Result<()> {
    let addresses: Vec<_> = agent.node.addresses().iter().map(ToString::to_string).collect();
    let metrics = agent.metrics.map(|address| address.to_string());
    let admin = agent.admin.display().to_string();
    let node = agent.node.id().to_string();
    tracing::info!(%node, ?addresses, metrics, admin, "running");
    if json {
        return say(serde_json::json!({
            "node": node, "addresses": addresses, "metrics": metrics, "admin": admin,
        }));
    }
    say(format_args!("node     {node}"))?;
    for address in addresses {
        say(format_args!("address  {address}"))?;
    }
    if let Some(metrics) = metrics {
        say(format_args!("metrics  http://{metrics}/metrics"))?;
    }
    say(format_args!("admin    {admin}"))
}

/// Joins and serves until there is a reason to end.
async fn serve(
    agent: Arc<Agent>,
    admin: &Socket,
    (contacts, admission): (Vec<Multiaddr>, AdmissionFiles),
    mut signals: Signals,
    events: impl Future<Output = ()> + Send + 'static,
) -> Outcome {
    tokio::spawn(events);
    if !contacts.is_empty() {
        let node = agent.node.clone();
        tokio::spawn(async move {
            // The node itself goes on trying.
            if let Err(error) = node.join(contacts).await {
                tracing::warn!(%error, "not joined yet");
            }
        });
    }
    let reload = Notify::new();
    let mut watch = std::pin::pin!(admission::watch(admission, agent.node.clone(), &reload));
    let mut view = agent.node.watch_active_view();
    let ends = async { while view.changed().await.is_ok() {} };
    let mut ends = std::pin::pin!(ends);
    let (mut leaving, mut gone) = (false, false);
    let mut clients = std::pin::pin!(server::serve(&admin.listener, Arc::clone(&agent)));
    loop {
        tokio::select! {
            () = &mut clients => {}
            () = &mut watch => {}
            () = agent.ended.notified() => return Ok(ExitCode::SUCCESS),
            () = &mut ends, if !gone => {
                if agent.health.ready() != Err(http::NotReady::Leaving) {
                    return Err("the node has ended by itself".into());
                }
                gone = true;
                continue;
            }
            _ = signals.terminate.recv() => {}
            _ = signals.interrupt.recv() => {}
            // By convention, to read the configuration again; a terminal that is closed sends it too.
            _ = signals.hangup.recv() => {
                tracing::info!("SIGHUP: the files of admission are read again");
                reload.notify_one();
                continue;
            }
        }
        if leaving {
            tracing::warn!("a second signal: ending at once");
            return Ok(ExitCode::FAILURE);
        }
        leaving = true;
        let agent = Arc::clone(&agent);
        tokio::spawn(async move {
            agent.leave().await;
            agent.end();
        });
    }
}

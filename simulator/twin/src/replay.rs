//! Does to real nodes what was done to simulated ones.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use murmurate::membership::Time;
use murmurate_simulator::engine::{Journal, Operation};
use murmurate_simulator::experiment::scenario::Scenario;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout, timeout_at};

use crate::error::Error;
use crate::observations::Observations;
use crate::protocol::{ControllerMessage, NodeMessage, Setup, now};
use crate::supported::MOST_NODES;
use crate::testbed::{self, Testbed};

/// Where every node listens, each in its namespace.
const PORT: u16 = 4001;
/// From the moment when all processes are ready to the beginning of the run.
const BEFORE: Duration = Duration::from_secs(1);
/// How long processes may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// How long nodes may take to report the rest, and to end.
const TIMEOUT: Duration = Duration::from_secs(10);
/// An operation that is later than this is reported.
const LATE: Duration = Duration::from_millis(50);
/// The machine's clock may be set by at most this many microseconds during a run.
const CLOCK_STEP: u64 = 5_000;
/// Reports of all nodes that may wait to be handled. When there are more, no node's output is read until some
/// are handled, and a node that reports waits once its pipe is full, too.
const MAX_PENDING_REPORTS: usize = 1 << 16;
/// Open files for each node: a device, pipes, and what watches its process.
const FILES: u64 = 6;
/// Marks a process that is gone: it is not continued any more.
const GONE: u64 = u64::MAX;

/// Replays the journal on real nodes, and returns what was observed.
pub(crate) fn run(
    scenario: &Scenario,
    journal: &Journal,
    nodes: usize,
) -> Result<Observations, Error> {
    if nodes > MOST_NODES {
        return Err(format!("{nodes} nodes start: at most {MOST_NODES} real nodes run").into());
    }
    allow_files(64 + FILES * nodes as u64)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            // First: it listens before anything is made that would be left behind.
            biased;
            stopped = stopped() => Err(stopped.err().unwrap_or("stopped".into())),
            observations = replay(scenario, journal, nodes) => observations,
        }
    })
}

fn allow_files(wanted: u64) -> Result<(), Error> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < wanted {
        let why = format!("{wanted} open files are needed, {hard} are allowed: see `ulimit -Hn`");
        return Err(why.into());
    }
    Ok(setrlimit(Resource::RLIMIT_NOFILE, soft.max(wanted), hard)?)
}

/// Waits for a signal to end.
async fn stopped() -> Result<(), Error> {
    let mut terminated = tokio::signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted?,
        _ = terminated.recv() => {}
    }
    Ok(())
}

/// A process that is a node, or will be one.
struct Process {
    child: Child,
    input: ChildStdin,
    incarnation: Option<usize>,
    /// Until when it is stopped, in microseconds since the run began.
    stopped_until: Arc<AtomicU64>,
}

/// The real world. Fields are dropped in this order: processes before their namespaces.
struct World {
    /// Those of nodes that run, and of those that will.
    processes: BTreeMap<usize, Process>,
    /// Processes of nodes that said goodbye, which may take a while.
    leaving: BTreeMap<usize, JoinHandle<()>>,
    testbed: Testbed,
    scenario: String,
    epoch: u64,
    begun: Instant,
    /// By process id: the number of its incarnation.
    incarnations: BTreeMap<u32, usize>,
    reports_tx: mpsc::Sender<(u32, Option<NodeMessage>)>,
    reports: mpsc::Receiver<(u32, Option<NodeMessage>)>,
    observations: Observations,
    /// The longest delay of an operation.
    lag: Duration,
}

async fn replay(
    scenario: &Scenario,
    journal: &Journal,
    nodes: usize,
) -> Result<Observations, Error> {
    let network = scenario.network().map_err(|(key, why)| format!("{key}: {why}"))?;
    let bar = bar(scenario.duration.0);
    bar.set_message("making namespaces");
    let testbed = Testbed::make(nodes)?;
    let (reports_tx, reports) = mpsc::channel(MAX_PENDING_REPORTS);
    let mut world = World {
        processes: BTreeMap::new(),
        leaving: BTreeMap::new(),
        testbed,
        scenario: scenario.to_toml()?,
        epoch: 0,
        begun: Instant::now(),
        incarnations: BTreeMap::new(),
        reports_tx,
        reports,
        observations: Observations::default(),
        lag: Duration::ZERO,
    };
    bar.set_message("starting processes");
    for index in 0..nodes {
        world.spawn(index)?;
    }
    world.all_ready(nodes).await?;
    world.begun = Instant::now() + BEFORE;
    world.epoch = now() + BEFORE.as_micros() as u64;
    world.testbed.connect(network, world.begun);
    for index in 0..nodes {
        world.set_up(index).await?;
    }
    bar.set_message("running");
    for (place, (at, operation)) in journal.iter().enumerate() {
        world.wait_until(*at, &bar).await?;
        world.perform(*at, operation).await?;
        // A node that comes back needs a process, but only after everything that happens now.
        let is_last = journal.get(place + 1).is_none_or(|(next, _)| next > at);
        if is_last {
            world.spawn_returning_nodes(&journal[place + 1..]).await?;
        }
    }
    world.wait_until(Time::ZERO.after(scenario.duration.0), &bar).await?;
    bar.finish_and_clear();
    world.end().await
}

impl World {
    fn at(&self) -> u64 {
        now().saturating_sub(self.epoch)
    }

    /// A process that waits for its setup.
    fn spawn(&mut self, index: usize) -> Result<(), Error> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &testbed::name(index)]);
        command.arg(std::env::current_exe()?).arg("node");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || "a process without pipes";
        let input = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let number = child.id().ok_or_else(missing)?;
        let reports_tx = self.reports_tx.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let message = serde_json::from_str(&line);
                let message =
                    message.unwrap_or_else(|_| NodeMessage::Failed(format!("it said {line:?}")));
                let _ = reports_tx.send((number, Some(message))).await;
            }
            let _ = reports_tx.send((number, None)).await;
        });
        let process = Process { child, input, incarnation: None, stopped_until: Arc::default() };
        self.processes.insert(index, process);
        Ok(())
    }

    async fn all_ready(&mut self, mut awaited: usize) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + STARTING;
        while awaited > 0 {
            match timeout_at(deadline, self.reports.recv()).await {
                Ok(Some((_, Some(NodeMessage::Ready)))) => awaited -= 1,
                Ok(Some((_, Some(NodeMessage::Failed(why))))) => return Err(why.into()),
                Ok(Some((_, Some(_)))) => {}
                Ok(_) => return Err("a node's process ended at its start".into()),
                Err(_) => {
                    let seconds = STARTING.as_secs();
                    return Err(format!("{awaited} processes did not start in {seconds} s").into());
                }
            }
        }
        Ok(())
    }

    async fn set_up(&mut self, index: usize) -> Result<(), Error> {
        let listen = format!("/ip4/{}/tcp/{PORT}", testbed::address(index));
        let (scenario, epoch) = (self.scenario.clone(), self.epoch);
        let setup = serde_json::to_string(&Setup { scenario, index, listen, epoch })?;
        self.send_line(index, &setup).await;
        Ok(())
    }

    /// The run fails if a process ends by itself.
    fn heard(&mut self, number: u32, message: Option<NodeMessage>) -> Result<(), Error> {
        let Some(incarnation) = self.incarnations.get(&number) else { return Ok(()) };
        if let Some(message) = message {
            self.observations.heard(*incarnation, message);
            return Ok(());
        }
        let is_it = |process: &Process| process.incarnation == Some(*incarnation);
        let ended = self.processes.iter().find(|(_, process)| is_it(process));
        let Some((index, _)) = ended else { return Ok(()) };
        let why =
            self.observations.failures.last().map(|why| format!(": {why}")).unwrap_or_default();
        Err(format!("the process of node {index} ended at {} s{why}", self.at() / 1_000_000).into())
    }

    /// Handles the nodes' reports until then.
    async fn wait_until(&mut self, at: Time, bar: &ProgressBar) -> Result<(), Error> {
        let due = tokio::time::Instant::from_std(self.begun + at.since(Time::ZERO));
        loop {
            bar.set_position(self.at() / 1_000);
            tokio::select! {
                biased;
                () = sleep_until(due) => {
                    self.lag = self.lag.max(due.elapsed());
                    return Ok(());
                }
                Some((number, message)) = self.reports.recv() => self.heard(number, message)?,
            }
        }
    }

    /// Performs an operation. For the figures, nodes start and end when they did in the simulation,
    /// although it takes a moment.
    async fn perform(&mut self, at: Time, operation: &Operation) -> Result<(), Error> {
        let at = at.as_nanos() / 1_000;
        let addresses = |contacts: &[usize]| {
            let address =
                |contact: &usize| format!("/ip4/{}/tcp/{PORT}", testbed::address(*contact));
            contacts.iter().map(address).collect()
        };
        match operation {
            Operation::Start { index, contacts } => {
                self.start(*index, at).await?;
                self.send(*index, &ControllerMessage::Start(addresses(contacts))).await;
            }
            Operation::Join { index, contacts } => {
                self.send(*index, &ControllerMessage::Join(addresses(contacts))).await;
            }
            Operation::Kill(index) | Operation::Crash(index) => {
                if let Some(process) = self.processes.get_mut(index) {
                    process.child.start_kill()?;
                }
                drop(self.let_go(*index, at));
            }
            Operation::Leave(index) => {
                self.send(*index, &ControllerMessage::Leave).await;
                let left = self.let_go(*index, at);
                self.leaving.extend(left.map(|left| (*index, left)));
            }
            Operation::LeaveAndStay(index) => {
                self.send(*index, &ControllerMessage::LeaveAndStay).await;
            }
            Operation::Stall(index, lasting) => self.stall(*index, *lasting)?,
            Operation::Publish { index, bytes, id } => {
                if let Some(incarnation) =
                    self.processes.get(index).and_then(|process| process.incarnation)
                {
                    self.observations.publishes(incarnation, *id, *bytes, at);
                }
                self.send(*index, &ControllerMessage::Publish { id: *id, bytes: *bytes }).await;
            }
            Operation::Send { channel, from, to, bytes } => {
                let id = self.observations.sends(*channel, at);
                let (channel, to, bytes) = (*channel, *to, *bytes);
                self.send(*from, &ControllerMessage::Send { id, channel, to, bytes }).await;
            }
            Operation::Network(network) => self.testbed.replace(network.as_ref().clone()),
            Operation::Other(what) => return Err(format!("real nodes cannot have {what}").into()),
            _ => return Err("something was done that real nodes cannot have".into()),
        }
        Ok(())
    }

    async fn start(&mut self, index: usize, at: u64) -> Result<(), Error> {
        // Aborted, its process is killed: two would listen at the same place.
        self.leaving.remove(&index).into_iter().for_each(|left| left.abort());
        // It ended at the same moment.
        if !self.processes.contains_key(&index) {
            self.spawn(index)?;
            self.set_up(index).await?;
        }
        let incarnation = self.observations.started(index, at);
        if let Some(process) = self.processes.get_mut(&index) {
            process.incarnation = Some(incarnation);
            self.incarnations.extend(process.child.id().map(|number| (number, incarnation)));
        }
        Ok(())
    }

    async fn send(&mut self, index: usize, message: &ControllerMessage) {
        if let Ok(line) = serde_json::to_string(message) {
            self.send_line(index, &line).await;
        }
    }

    /// Sends nothing to a node that is gone.
    async fn send_line(&mut self, index: usize, line: &str) {
        if let Some(process) = self.processes.get_mut(&index) {
            let _ = process.input.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    /// Ends the incarnation of a node. Its process is awaited in the background.
    fn let_go(&mut self, index: usize, at: u64) -> Option<JoinHandle<()>> {
        let mut process = self.processes.remove(&index)?;
        process
            .incarnation
            .into_iter()
            .for_each(|incarnation| self.observations.ended(incarnation, at));
        process.stopped_until.store(GONE, Ordering::Relaxed);
        Some(tokio::spawn(async move {
            // Its input stays open until then: the end of that would end it.
            let _ = timeout(TIMEOUT, process.child.wait()).await;
            drop(process.input);
        }))
    }

    async fn spawn_returning_nodes(&mut self, to_come: &[(Time, Operation)]) -> Result<(), Error> {
        for (_, operation) in to_come {
            if let Operation::Start { index, .. } = operation
                && !self.processes.contains_key(index)
            {
                self.spawn(*index)?;
                self.set_up(*index).await?;
            }
        }
        Ok(())
    }

    /// Stops a process for a while. If stops overlap, the one that ends last counts.
    fn stall(&self, index: usize, lasting: Duration) -> Result<(), Error> {
        let Some(process) = self.processes.get(&index) else { return Ok(()) };
        let Some(id) = process.child.id() else { return Ok(()) };
        let pid = Pid::from_raw(i32::try_from(id)?);
        let until = self.at().saturating_add(lasting.as_micros() as u64);
        process.stopped_until.fetch_max(until, Ordering::Relaxed);
        kill(pid, Signal::SIGSTOP)?;
        let stopped_until = Arc::clone(&process.stopped_until);
        tokio::spawn(async move {
            sleep(lasting).await;
            if stopped_until.load(Ordering::Relaxed) <= until {
                let _ = kill(pid, Signal::SIGCONT);
            }
        });
        Ok(())
    }

    /// Has all running nodes report the rest, and ends them.
    async fn end(mut self) -> Result<Observations, Error> {
        let by_clock = self.begun.elapsed().as_micros() as u64;
        if self.at().abs_diff(by_clock) > CLOCK_STEP {
            return Err("the machine's clock was set during the run: run it again".into());
        }
        let mut awaited = BTreeSet::new();
        for index in self.processes.keys().copied().collect::<Vec<_>>() {
            let process = &self.processes[&index];
            let Some(id) = process.child.id().filter(|_| process.incarnation.is_some()) else {
                continue;
            };
            // It may be stopped beyond the end.
            kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGCONT)?;
            awaited.insert(id);
            self.send(index, &ControllerMessage::Flush).await;
        }
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        while !awaited.is_empty() {
            let Ok(Some((number, message))) = timeout_at(deadline, self.reports.recv()).await
            else {
                return Err(format!("nodes that do not answer: {}", awaited.len()).into());
            };
            if matches!(message, Some(NodeMessage::Flushed)) {
                awaited.remove(&number);
            }
            self.heard(number, message)?;
        }
        if self.lag > LATE {
            let lag = self.lag.as_millis();
            let why =
                format!("the machine is too slow: something was done {lag} ms after its time");
            self.observations.failures.push(why);
        }
        let lost = self.testbed.overflowed();
        if lost > 0 {
            self.observations.failures.push(format!("{lost} packets did not fit the switch"));
        }
        Ok(self.observations)
    }
}

fn bar(duration: Duration) -> ProgressBar {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let bar = ProgressBar::with_draw_target(Some(millis), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:20} [{bar:30}] {percent:>3} %  {elapsed}");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

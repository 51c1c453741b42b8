//! What was done to simulated nodes, done to real ones.

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

use crate::bed::{self, Bed};
use crate::error::Error;
use crate::possible::MOST_NODES;
use crate::seen::Seen;
use crate::talk::{Order, Said, Setup, now};

/// Where every node listens, each in its namespace.
const PORT: u16 = 4001;
/// From the moment when all processes are ready to the beginning of the run.
const BEFORE: Duration = Duration::from_secs(1);
/// How long processes may take to start.
const STARTING: Duration = Duration::from_secs(60);
/// How long nodes may take to say what they have not said, and to end.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Later than this, and it is told.
const LATE: Duration = Duration::from_millis(50);
/// By so much the machine's clock may be set during a run.
const CLOCK_STEP: u64 = 5_000;
/// Files that a node takes: a device, pipes, and what watches its process.
const FILES: u64 = 6;
/// Of a process that is gone: it is not woken up any more.
const GONE: u64 = u64::MAX;

/// Does it all, and returns what was seen.
pub(crate) fn run(scenario: &Scenario, journal: &Journal, nodes: usize) -> Result<Seen, Error> {
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
            seen = replay(scenario, journal, nodes) => seen,
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
    orders: ChildStdin,
    life: Option<usize>,
    /// Until when it is stopped, in microseconds since the run began.
    stopped_until: Arc<AtomicU64>,
}

/// The real world. Fields are dropped in this order: processes before what they stand on.
struct World {
    /// Those of nodes that run, and of those that will.
    processes: BTreeMap<usize, Process>,
    /// Processes of nodes that said goodbye, which may take a while.
    leaving: BTreeMap<usize, JoinHandle<()>>,
    bed: Bed,
    scenario: String,
    epoch: u64,
    begun: Instant,
    /// By the number of a process: which life it lives.
    lives: BTreeMap<u32, usize>,
    says: mpsc::UnboundedSender<(u32, Option<Said>)>,
    said: mpsc::UnboundedReceiver<(u32, Option<Said>)>,
    seen: Seen,
    /// The longest that something was done after its time.
    lag: Duration,
}

async fn replay(scenario: &Scenario, journal: &Journal, nodes: usize) -> Result<Seen, Error> {
    let network = scenario.network().map_err(|(key, why)| format!("{key}: {why}"))?;
    let bar = bar(scenario.duration.0);
    bar.set_message("making namespaces");
    let bed = Bed::make(nodes)?;
    let (says, said) = mpsc::unbounded_channel();
    let mut world = World {
        processes: BTreeMap::new(),
        leaving: BTreeMap::new(),
        bed,
        scenario: scenario.to_toml()?,
        epoch: 0,
        begun: Instant::now(),
        lives: BTreeMap::new(),
        says,
        said,
        seen: Seen::default(),
        lag: Duration::ZERO,
    };
    bar.set_message("starting processes");
    for index in 0..nodes {
        world.spawn(index)?;
    }
    world.all_ready(nodes).await?;
    world.begun = Instant::now() + BEFORE;
    world.epoch = now() + BEFORE.as_micros() as u64;
    world.bed.connect(network, world.begun);
    for index in 0..nodes {
        world.set_up(index).await?;
    }
    bar.set_message("running");
    for (place, (at, operation)) in journal.iter().enumerate() {
        world.wait_until(*at, &bar).await?;
        world.perform(*at, operation).await?;
        // Whoever comes back needs a process, but not before all that happens now has happened.
        let is_last = journal.get(place + 1).is_none_or(|(next, _)| next > at);
        if is_last {
            world.spawn_for_those_who_come_back(&journal[place + 1..]).await?;
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
        command.args(["netns", "exec", &bed::name(index)]);
        command.arg(std::env::current_exe()?).arg("node");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || "a process without pipes";
        let orders = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let number = child.id().ok_or_else(missing)?;
        let says = self.says.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(output).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let said = serde_json::from_str(&line);
                let said = said.unwrap_or_else(|_| Said::Failed(format!("it said {line:?}")));
                let _ = says.send((number, Some(said)));
            }
            let _ = says.send((number, None));
        });
        let process = Process { child, orders, life: None, stopped_until: Arc::default() };
        self.processes.insert(index, process);
        Ok(())
    }

    async fn all_ready(&mut self, mut awaited: usize) -> Result<(), Error> {
        let deadline = tokio::time::Instant::now() + STARTING;
        while awaited > 0 {
            match timeout_at(deadline, self.said.recv()).await {
                Ok(Some((_, Some(Said::Ready)))) => awaited -= 1,
                Ok(Some((_, Some(Said::Failed(why))))) => return Err(why.into()),
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
        let listen = format!("/ip4/{}/tcp/{PORT}", bed::address(index));
        let (scenario, epoch) = (self.scenario.clone(), self.epoch);
        let setup = serde_json::to_string(&Setup { scenario, index, listen, epoch })?;
        self.tell(index, &setup).await;
        Ok(())
    }

    /// A process that ends although nobody ended it ends the run.
    fn heard(&mut self, number: u32, said: Option<Said>) -> Result<(), Error> {
        let Some(life) = self.lives.get(&number) else { return Ok(()) };
        if let Some(said) = said {
            self.seen.heard(*life, said);
            return Ok(());
        }
        let lives_it = |process: &Process| process.life == Some(*life);
        let ended = self.processes.iter().find(|(_, process)| lives_it(process));
        let Some((index, _)) = ended else { return Ok(()) };
        let why = self.seen.failures.last().map(|why| format!(": {why}")).unwrap_or_default();
        Err(format!("the process of node {index} ended at {} s{why}", self.at() / 1_000_000).into())
    }

    /// Listens to the nodes until then.
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
                Some((number, said)) = self.said.recv() => self.heard(number, said)?,
            }
        }
    }

    /// Does it. Nodes start and end when they did in the simulation, though it takes a moment.
    async fn perform(&mut self, at: Time, operation: &Operation) -> Result<(), Error> {
        let at = at.as_nanos() / 1_000;
        let addresses = |contacts: &[usize]| {
            let address = |contact: &usize| format!("/ip4/{}/tcp/{PORT}", bed::address(*contact));
            contacts.iter().map(address).collect()
        };
        match operation {
            Operation::Start { index, contacts } => {
                self.start(*index, at).await?;
                self.order(*index, &Order::Start(addresses(contacts))).await;
            }
            Operation::Join { index, contacts } => {
                self.order(*index, &Order::Join(addresses(contacts))).await;
            }
            Operation::Kill(index) | Operation::Crash(index) => {
                if let Some(process) = self.processes.get_mut(index) {
                    process.child.start_kill()?;
                }
                drop(self.let_go(*index, at));
            }
            Operation::Leave(index) => {
                self.order(*index, &Order::Leave).await;
                let left = self.let_go(*index, at);
                self.leaving.extend(left.map(|left| (*index, left)));
            }
            Operation::LeaveAndStay(index) => self.order(*index, &Order::LeaveAndStay).await,
            Operation::Stall(index, lasting) => self.stall(*index, *lasting)?,
            Operation::Publish { index, bytes, id } => {
                if let Some(life) = self.processes.get(index).and_then(|process| process.life) {
                    self.seen.publishes(life, *id, *bytes, at);
                }
                self.order(*index, &Order::Publish { id: *id, bytes: *bytes }).await;
            }
            Operation::Network(network) => self.bed.replace(network.as_ref().clone()),
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
        let life = self.seen.started(index, at);
        if let Some(process) = self.processes.get_mut(&index) {
            process.life = Some(life);
            self.lives.extend(process.child.id().map(|number| (number, life)));
        }
        Ok(())
    }

    async fn order(&mut self, index: usize, order: &Order) {
        if let Ok(line) = serde_json::to_string(order) {
            self.tell(index, &line).await;
        }
    }

    /// Whoever is gone hears nothing any more.
    async fn tell(&mut self, index: usize, line: &str) {
        if let Some(process) = self.processes.get_mut(&index) {
            let _ = process.orders.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    /// The life of a node is over.
    fn let_go(&mut self, index: usize, at: u64) -> Option<JoinHandle<()>> {
        let mut process = self.processes.remove(&index)?;
        process.life.into_iter().for_each(|life| self.seen.ended(life, at));
        process.stopped_until.store(GONE, Ordering::Relaxed);
        Some(tokio::spawn(async move {
            // Its input stays open until then: the end of that would end it.
            let _ = timeout(TIMEOUT, process.child.wait()).await;
            drop(process.orders);
        }))
    }

    async fn spawn_for_those_who_come_back(
        &mut self,
        to_come: &[(Time, Operation)],
    ) -> Result<(), Error> {
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

    /// Stops a process. Of several times the one counts that ends last.
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

    /// Has all nodes that run say the rest, and ends them.
    async fn end(mut self) -> Result<Seen, Error> {
        let by_clock = self.begun.elapsed().as_micros() as u64;
        if self.at().abs_diff(by_clock) > CLOCK_STEP {
            return Err("the machine's clock was set during the run: run it again".into());
        }
        let mut awaited = BTreeSet::new();
        for index in self.processes.keys().copied().collect::<Vec<_>>() {
            let process = &self.processes[&index];
            let Some(id) = process.child.id().filter(|_| process.life.is_some()) else { continue };
            // It may be stopped beyond the end.
            kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGCONT)?;
            awaited.insert(id);
            self.order(index, &Order::Tell).await;
        }
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        while !awaited.is_empty() {
            let Ok(Some((number, said))) = timeout_at(deadline, self.said.recv()).await else {
                return Err(format!("nodes that do not answer: {}", awaited.len()).into());
            };
            if matches!(said, Some(Said::Told)) {
                awaited.remove(&number);
            }
            self.heard(number, said)?;
        }
        if self.lag > LATE {
            let lag = self.lag.as_millis();
            let why =
                format!("the machine is too slow: something was done {lag} ms after its time");
            self.seen.failures.push(why);
        }
        let lost = self.bed.overflowed();
        if lost > 0 {
            self.seen.failures.push(format!("{lost} packets did not fit the switch"));
        }
        Ok(self.seen)
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

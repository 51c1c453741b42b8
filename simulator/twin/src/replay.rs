//! What was done to simulated nodes, done to real ones.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use murmurate::membership::Time;
use murmurate_simulator::engine::{Deed, Journal};
use murmurate_simulator::experiment::scenario::Scenario;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::mpsc;

use crate::bed::{self, Bed};
use crate::error::Error;
use crate::possible::MOST_NODES;
use crate::seen::Seen;
use crate::talk::{Order, Said, Setup, now};

/// Where every node listens, each in its namespace.
const PORT: u16 = 4001;
/// From the last process that is ready to the beginning of the run.
const BEFORE: Duration = Duration::from_secs(1);
/// How long nodes may take to say what they have not said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does it all, and returns what was seen.
pub(crate) fn run(scenario: &Scenario, journal: &Journal, nodes: usize) -> Result<Seen, Error> {
    if nodes > MOST_NODES {
        return Err(format!("{nodes} nodes start: at most {MOST_NODES} real nodes run").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            seen = replay(scenario, journal, nodes) => seen,
            stopped = stopped() => Err(stopped.err().unwrap_or("stopped".into())),
        }
    })
}

/// Waits for a signal to end.
async fn stopped() -> Result<(), Error> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
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
}

/// The real world.
struct World {
    setup: String,
    bed: Bed,
    epoch: u64,
    begun: Instant,
    /// Those of nodes that run, and of those that will.
    processes: BTreeMap<usize, Process>,
    /// Numbers of processes, each with the life that it lives.
    lives: BTreeMap<u32, usize>,
    says: mpsc::UnboundedSender<(u32, Option<Said>)>,
    said: mpsc::UnboundedReceiver<(u32, Option<Said>)>,
    seen: Seen,
}

async fn replay(scenario: &Scenario, journal: &Journal, nodes: usize) -> Result<Seen, Error> {
    let network = scenario.network().map_err(|(key, why)| format!("{key}: {why}"))?;
    let bar = bar(scenario.duration.0);
    bar.set_message("making namespaces");
    let until = |wait: Duration| (now() + wait.as_micros() as u64, Instant::now() + wait);
    // Making them takes a while: only then it is known when the run begins.
    let (epoch, begun) = until(BEFORE + Duration::from_millis(80) * nodes as u32);
    let bed = Bed::make(nodes, network, begun)?;
    let (says, said) = mpsc::unbounded_channel();
    let mut world = World {
        setup: scenario.to_toml()?,
        bed,
        epoch,
        begun,
        processes: BTreeMap::new(),
        lives: BTreeMap::new(),
        says,
        said,
        seen: Seen::default(),
    };
    bar.set_message("starting processes");
    for index in 0..nodes {
        world.spawn(index).await?;
    }
    world.all_ready(nodes).await?;
    if Instant::now() > world.begun {
        return Err(format!("this machine is too slow to start {nodes} processes in time").into());
    }
    bar.set_message("running");
    for (place, (at, deed)) in journal.iter().enumerate() {
        world.wait_until(*at, &bar).await;
        world.perform(*at, deed).await?;
        // Whoever comes back needs a process, but not before all that happens now has happened.
        let is_last = journal.get(place + 1).is_none_or(|(next, _)| next > at);
        if is_last {
            world.spawn_for_those_who_come_back(&journal[place + 1..]).await?;
        }
    }
    world.wait_until(Time::ZERO.after(scenario.duration.0), &bar).await;
    bar.finish_and_clear();
    world.end().await
}

impl World {
    fn at(&self) -> u64 {
        now().saturating_sub(self.epoch)
    }

    /// A process that waits to be a node.
    async fn spawn(&mut self, index: usize) -> Result<(), Error> {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &bed::name(index)])
            .arg(std::env::current_exe()?)
            .arg("node");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let missing = || "a process without pipes";
        let mut orders = child.stdin.take().ok_or_else(missing)?;
        let output = child.stdout.take().ok_or_else(missing)?;
        let number = child.id().ok_or_else(missing)?;
        let listen = format!("/ip4/{}/tcp/{PORT}", bed::address(index));
        let setup = Setup { scenario: self.setup.clone(), index, listen, epoch: self.epoch };
        orders.write_all(format!("{}\n", serde_json::to_string(&setup)?).as_bytes()).await?;
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
        self.processes.insert(index, Process { child, orders, life: None });
        Ok(())
    }

    async fn all_ready(&mut self, mut awaited: usize) -> Result<(), Error> {
        while awaited > 0 {
            match self.said.recv().await {
                Some((_, Some(Said::Ready))) => awaited -= 1,
                Some((_, Some(Said::Failed(why)))) => return Err(why.into()),
                Some((_, None)) | None => return Err("a node's process ended at its start".into()),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn heard(&mut self, number: u32, said: Option<Said>) {
        if let (Some(life), Some(said)) = (self.lives.get(&number), said) {
            self.seen.heard(*life, said);
        }
    }

    /// Listens to the nodes until then.
    async fn wait_until(&mut self, at: Time, bar: &ProgressBar) {
        let due = tokio::time::Instant::from_std(self.begun + at.since(Time::ZERO));
        loop {
            bar.set_position(self.at() / 1_000);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return,
                Some((number, said)) = self.said.recv() => self.heard(number, said),
            }
        }
    }

    /// Does it. Nodes start and end when they did in the simulation, though it takes a moment.
    async fn perform(&mut self, at: Time, deed: &Deed) -> Result<(), Error> {
        let at = at.as_nanos() / 1_000;
        let addresses = |contacts: &[usize]| {
            let address = |contact: &usize| format!("/ip4/{}/tcp/{PORT}", bed::address(*contact));
            contacts.iter().map(address).collect()
        };
        match deed {
            Deed::Start { index, contacts } => {
                let life = self.seen.started(*index, at);
                if let Some(process) = self.processes.get_mut(index) {
                    process.life = Some(life);
                    self.lives.extend(process.child.id().map(|number| (number, life)));
                }
                self.order(*index, &Order::Start(addresses(contacts))).await;
            }
            Deed::Join { index, contacts } => {
                self.order(*index, &Order::Join(addresses(contacts))).await;
            }
            Deed::Kill(index) | Deed::Crash(index) => self.kill(*index, at)?,
            Deed::Leave(index) => {
                self.order(*index, &Order::Leave).await;
                self.let_go(*index, at);
            }
            Deed::LeaveAndStay(index) => self.order(*index, &Order::LeaveAndStay).await,
            Deed::Stall(index, lasting) => self.stall(*index, *lasting)?,
            Deed::Publish { index, bytes, id } => {
                if let Some(life) = self.processes.get(index).and_then(|process| process.life) {
                    self.seen.publishes(life, *id, *bytes, at);
                }
                self.order(*index, &Order::Publish { id: *id, bytes: *bytes }).await;
            }
            Deed::Network(network) => self.bed.replace(network.as_ref().clone()),
            Deed::Other(what) => return Err(format!("real nodes cannot have {what}").into()),
            _ => return Err("something was done that real nodes cannot have".into()),
        }
        Ok(())
    }

    /// Whoever is gone does nothing any more.
    async fn order(&mut self, index: usize, order: &Order) {
        let Some(process) = self.processes.get_mut(&index) else { return };
        if let Ok(line) = serde_json::to_string(order) {
            let _ = process.orders.write_all(format!("{line}\n").as_bytes()).await;
        }
    }

    fn kill(&mut self, index: usize, at: u64) -> Result<(), Error> {
        if let Some(process) = self.processes.get_mut(&index) {
            process.child.start_kill()?;
        }
        self.let_go(index, at);
        Ok(())
    }

    /// The life of a node is over.
    fn let_go(&mut self, index: usize, at: u64) {
        let Some(mut process) = self.processes.remove(&index) else { return };
        if let Some(life) = process.life {
            self.seen.ended(life, at);
        }
        tokio::spawn(async move {
            // Its input stays open until then: its end would end it.
            let _ = tokio::time::timeout(PATIENCE, process.child.wait()).await;
            drop(process.orders);
        });
    }

    async fn spawn_for_those_who_come_back(
        &mut self,
        to_come: &[(Time, Deed)],
    ) -> Result<(), Error> {
        for (_, deed) in to_come {
            if let Deed::Start { index, .. } = deed
                && !self.processes.contains_key(index)
            {
                self.spawn(*index).await?;
            }
        }
        Ok(())
    }

    fn stall(&self, index: usize, lasting: Duration) -> Result<(), Error> {
        let Some(id) = self.processes.get(&index).and_then(|process| process.child.id()) else {
            return Ok(());
        };
        let pid = Pid::from_raw(i32::try_from(id)?);
        kill(pid, Signal::SIGSTOP)?;
        tokio::spawn(async move {
            tokio::time::sleep(lasting).await;
            let _ = kill(pid, Signal::SIGCONT);
        });
        Ok(())
    }

    /// Has all nodes that run say the rest, and ends them.
    async fn end(mut self) -> Result<Seen, Error> {
        let running: Vec<usize> = self.processes.keys().copied().collect();
        let mut awaited = BTreeSet::new();
        for index in running {
            let process = &self.processes[&index];
            if process.life.is_some() {
                awaited.extend(process.child.id());
                self.order(index, &Order::Tell).await;
            }
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !awaited.is_empty() {
            let Ok(Some((number, said))) =
                tokio::time::timeout_at(deadline, self.said.recv()).await
            else {
                return Err(format!("{} nodes do not answer", awaited.len()).into());
            };
            if matches!(said, None | Some(Said::Told)) {
                awaited.remove(&number);
            }
            self.heard(number, said);
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

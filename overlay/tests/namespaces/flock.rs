//! The processes of a scenario, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::bed::Bed;
use crate::talk::{Command, Got, NODE, Said, Setup, View};

/// How often the controller looks again: what other processes see, they tell only when they are asked.
const LOOK: Duration = Duration::from_millis(200);
/// How long a living node may take to answer.
const ANSWER: Duration = Duration::from_secs(20);

#[allow(clippy::disallowed_methods, reason = "real processes take real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The processes of a scenario; dropped, they are gone.
pub(crate) struct Flock {
    name: &'static str,
    pub(crate) bed: Bed,
    members: Vec<Member>,
    begun: Instant,
    bound: Duration,
    marks: u32,
    reports: u64,
}

struct Member {
    process: Child,
    stdin: ChildStdin,
    said: Receiver<Said>,
    /// Acknowledged messages, as they came, read to the end also of one that was killed.
    got: Arc<Mutex<Vec<Got>>>,
    /// By mark, what became of the messages it sent.
    sent: Arc<Mutex<BTreeMap<u32, Outcomes>>>,
    id: String,
    addresses: Vec<String>,
    living: bool,
}

impl Drop for Member {
    fn drop(&mut self) {
        // Ended already, or ended by this: SIGKILL also ends what is stopped.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Numbers of messages, by what became of them.
pub(crate) type Outcomes = BTreeMap<String, Vec<u32>>;

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// So long a fault lasts, or nothing else happens: a scenario is a timeline in real time, and waits here for
/// nothing.
pub(crate) fn lasts(time: Duration) {
    sleep(time);
}

/// Lines that show between those of the harness.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "\n{line}");
}

/// For scenarios that measure latencies or load the machine: one at a time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    lock(&ALONE)
}

impl Flock {
    /// An empty scenario.
    pub(crate) fn new(name: &'static str, homes: usize, bound: Duration) -> Self {
        Self::with_bridges(name, homes, 0, bound)
    }

    /// The same, of nodes with so many addresses that lead nowhere.
    pub(crate) fn with_bridges(
        name: &'static str,
        homes: usize,
        bridges: usize,
        bound: Duration,
    ) -> Self {
        let bed = Bed::make(name, homes, bridges).expect("namespaces");
        let (members, begun) = (Vec::new(), now());
        Self { name, bed, members, begun, bound, marks: 0, reports: 0 }
    }

    pub(crate) fn tell(&self, what: &str) {
        let at = self.begun.elapsed().as_secs_f64();
        tell(&format!("namespaces {} at {at:.1} s: {what}", self.name));
    }

    /// Starts a node in a namespace.
    pub(crate) fn start(&mut self, home: usize, setup: &Setup) -> usize {
        let mut setup = setup.clone();
        if setup.listen.is_empty() {
            setup.listen = "/ip4/ADDRESS/tcp/0".into();
        }
        setup.listen = setup.listen.replace("ADDRESS", &self.bed.address(home));
        let itself = std::env::current_exe().expect("this program");
        let mut process = Process::new("ip")
            .args(["netns", "exec", &self.bed.home(home)])
            .arg(itself)
            .env(NODE, serde_json::to_string(&setup).expect("plain data"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let stdin = process.stdin.take().expect("piped");
        let stdout = process.stdout.take().expect("piped");
        let (send, said) = channel();
        let (got, sent) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<BTreeMap<_, _>>>::default());
        let (heard, became) = (Arc::clone(&got), Arc::clone(&sent));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // Between two of them is an empty line.
                if line.starts_with('{') {
                    match serde_json::from_str(&line).expect("said in our words") {
                        Said::Got(got) => lock(&heard).push(got),
                        Said::Sent { mark, outcomes } => {
                            lock(&became).insert(mark, outcomes);
                        }
                        said => drop(send.send(said)),
                    }
                }
            }
        });
        let (id, addresses) = Default::default();
        self.members.push(Member { process, stdin, said, got, sent, id, addresses, living: true });
        self.members.len() - 1
    }

    /// Waits until the nodes from `first` on are ready.
    pub(crate) fn ready(&mut self, first: usize) {
        for at in first..self.members.len() {
            let said = self.wait(at, |said| match said {
                Said::Ready { id, addresses } => Some((id, addresses)),
                _ => None,
            });
            (self.members[at].id, self.members[at].addresses) = said;
        }
    }

    /// So many nodes, one in each namespace, all of them joined through the first.
    pub(crate) fn gather(&mut self, nodes: usize, setup: &Setup) {
        for home in 0..nodes {
            self.start(home, setup);
        }
        self.ready(0);
        for at in 1..nodes {
            self.join(at, 0);
        }
        let took = self.one_overlay(&self.living(), Duration::from_secs(60));
        self.tell(&format!("{nodes} nodes gathered: {took}"));
    }

    pub(crate) fn join(&mut self, at: usize, contact: usize) {
        let contacts = self.members[contact].addresses.clone();
        self.say(at, &Command::Join { contacts });
    }

    pub(crate) fn id(&self, at: usize) -> &str {
        &self.members[at].id
    }

    /// The member with this id, as failures name it.
    pub(crate) fn who(&self, id: &str) -> String {
        let at = self.members.iter().rposition(|member| member.id == id);
        at.map_or_else(|| id.to_owned(), |at| format!("#{at}"))
    }

    pub(crate) fn living(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|at| self.members[*at].living).collect()
    }

    pub(crate) fn say(&mut self, at: usize, command: &Command) {
        let line = serde_json::to_string(command).expect("plain data");
        let written = writeln!(self.members[at].stdin, "{line}");
        written.unwrap_or_else(|error| panic!("{}: #{at} is gone: {error}", self.name));
    }

    /// Waits until node `at` says it.
    pub(crate) fn wait<T>(&self, at: usize, mut what: impl FnMut(Said) -> Option<T>) -> T {
        let deadline = (now() + ANSWER).min(self.begun + self.bound);
        self.wait_until(at, deadline, &mut what)
    }

    fn wait_until<T>(
        &self,
        at: usize,
        deadline: Instant,
        what: &mut impl FnMut(Said) -> Option<T>,
    ) -> T {
        loop {
            let left = deadline.saturating_duration_since(now());
            match self.members[at].said.recv_timeout(left) {
                Ok(said) => {
                    if let Some(found) = what(said) {
                        return found;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("{}: #{at} does not answer", self.name),
                Err(RecvTimeoutError::Disconnected) => panic!("{}: #{at} has ended", self.name),
            }
        }
    }

    /// Waits until node `at` has published what it was told to, and says what was refused.
    pub(crate) fn published(&self, at: usize, of: u32) -> Vec<String> {
        let deadline = self.begun + self.bound;
        self.wait_until(at, deadline, &mut |said| match said {
            Said::Published { mark, refused } if mark == of => Some(refused),
            _ => None,
        })
    }

    /// Lets a node send to another on a channel under `mark`, and does not wait.
    pub(crate) fn send(
        &mut self,
        from: usize,
        (to, channel): (usize, &str),
        mark: u32,
        (messages, bytes, every): (u32, usize, Duration),
    ) {
        let (channel, to) = (channel.to_owned(), self.id(to).to_owned());
        let every_micros = every.as_micros() as u64;
        self.say(from, &Command::Send { channel, mark, to, messages, bytes, every_micros });
    }

    /// What became of the messages that node `at` was told to send, when all is known.
    pub(crate) fn sent(&self, at: usize, mark: u32) -> Outcomes {
        loop {
            if let Some(outcomes) = lock(&self.members[at].sent).remove(&mark) {
                return outcomes;
            }
            assert!(self.begun.elapsed() < self.bound, "{}: #{at} still sends", self.name);
            sleep(LOOK);
        }
    }

    /// The acknowledged messages that node `at` got so far.
    pub(crate) fn got(&self, at: usize) -> Vec<Got> {
        lock(&self.members[at].got).clone()
    }

    /// The same of several nodes, once these messages are among them: a node says what it got before it
    /// acknowledges it, but its word may come after the sender's.
    pub(crate) fn got_at_last(&self, nodes: &[usize], expected: &BTreeSet<Got>) -> Vec<Got> {
        loop {
            let got: Vec<Got> = nodes.iter().flat_map(|at| self.got(*at)).collect();
            let all: BTreeSet<&Got> = got.iter().collect();
            if expected.iter().all(|one| all.contains(one)) || self.begun.elapsed() > self.bound {
                return got;
            }
            sleep(LOOK);
        }
    }

    fn signal(&self, at: usize, signal: &str) {
        let pid = self.members[at].process.id().to_string();
        let sent = Process::new("kill").args([signal, &pid]).status();
        assert!(sent.expect("kill runs").success(), "{signal} to #{at}");
    }

    /// Ends a process without a word.
    pub(crate) fn kill(&mut self, at: usize) {
        self.members[at].living = false;
        self.members[at].process.kill().expect("it runs");
        self.members[at].process.wait().expect("it has ended");
    }

    pub(crate) fn stop(&mut self, at: usize) {
        self.members[at].living = false;
        self.signal(at, "-STOP");
    }

    pub(crate) fn go_on(&mut self, at: usize) {
        self.signal(at, "-CONT");
        self.members[at].living = true;
    }

    /// Reports of these nodes, with what they heard under `mark`.
    pub(crate) fn reports(&mut self, of: &[usize], mark: u32) -> BTreeMap<usize, View> {
        self.reports += 1;
        let number = self.reports;
        for at in of {
            self.say(*at, &Command::Report { number, mark });
        }
        let answer = |at: &usize| {
            let view = self.wait(*at, |said| match said {
                Said::Report(view) if view.number == number => Some(*view),
                _ => None,
            });
            (*at, view)
        };
        of.iter().map(answer).collect()
    }

    /// Looks until it holds, at most so long; how long it took.
    pub(crate) fn until(
        &mut self,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Duration {
        let begun = now();
        let mut limit = Duration::from_secs(5);
        loop {
            let Err(why) = holds(self) else { return begun.elapsed() };
            if begun.elapsed() > within || self.begun.elapsed() > self.bound {
                self.tell_events(&why);
                panic!("{}: after {:.1?} still: {why}", self.name, begun.elapsed());
            }
            if begun.elapsed() > limit {
                limit += Duration::from_secs(5);
                self.tell(&format!("still waits: {why}"));
            }
            sleep(LOOK);
        }
    }

    /// Looks until it holds, at most so long, and then says why it does not.
    pub(crate) fn wait_for(
        &mut self,
        within: Duration,
        mut holds: impl FnMut(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let begun = now();
        loop {
            let held = holds(self);
            if held.is_ok() || begun.elapsed() > within {
                return held;
            }
            sleep(LOOK);
        }
    }

    /// What happened to the nodes that a failure names, for whoever reads it.
    pub(crate) fn tell_events(&mut self, why: &str) {
        let words = why.split(|c: char| !c.is_ascii_digit() && c != '#');
        let named: BTreeSet<usize> =
            words.filter_map(|word| word.strip_prefix('#')?.parse().ok()).collect();
        let named: Vec<_> = self.living().into_iter().filter(|at| named.contains(at)).collect();
        for (at, view) in self.reports(&named, 0) {
            let own = view.events.iter().map(|(when, event)| format!("{when} {event}"));
            let mut text = format!("#{at} active {:?}\n", view.active);
            own.for_each(|line| text.push_str(&format!("    {line}\n")));
            let names = self.members.iter().enumerate();
            for (at, member) in names.filter(|(_, member)| !member.id.is_empty()) {
                text = text.replace(&member.id, &format!("#{at}"));
            }
            tell(&text);
        }
    }

    /// Whether these nodes are one overlay by themselves.
    pub(crate) fn is_whole(&mut self, members: &[usize]) -> Result<(), String> {
        let views = self.reports(members, 0);
        let ids: BTreeMap<&str, usize> =
            members.iter().map(|at| (self.members[*at].id.as_str(), *at)).collect();
        let mut links = BTreeSet::new();
        for (at, view) in &views {
            for neighbor in &view.active {
                let Some(other) = ids.get(neighbor.as_str()) else {
                    return Err(format!("#{at} holds {}", self.who(neighbor)));
                };
                links.insert((*at, *other));
            }
        }
        if let Some((at, other)) = links.iter().find(|(a, b)| !links.contains(&(*b, *a))) {
            return Err(format!("#{at} holds #{other}, but not the other way round"));
        }
        let mut reached = BTreeSet::from([members[0]]);
        let mut next = vec![members[0]];
        while let Some(at) = next.pop() {
            let new = links.iter().filter(|(a, _)| *a == at).map(|(_, b)| *b);
            next.extend(new.filter(|b| reached.insert(*b)));
        }
        if reached.len() == members.len() {
            return Ok(());
        }
        let apart = members.iter().filter(|at| !reached.contains(at)).map(|at| format!("#{at}"));
        Err(format!("apart from the others: {}", apart.collect::<Vec<_>>().join(" ")))
    }

    /// A mark nobody used.
    pub(crate) fn mark(&mut self) -> u32 {
        self.marks += 1;
        self.marks
    }

    /// Lets these nodes broadcast, and does not wait.
    pub(crate) fn broadcast(
        &mut self,
        from: &[usize],
        messages: u32,
        bytes: usize,
        every: Duration,
    ) -> u32 {
        let mark = self.mark();
        let every_micros = every.as_micros() as u64;
        for at in from {
            self.say(*at, &Command::Broadcast { mark, messages, bytes, every_micros });
        }
        mark
    }

    /// Whether all of `to` have all `messages` that each of `from` broadcast under `mark`.
    pub(crate) fn has_all(
        &mut self,
        to: &[usize],
        from: &[usize],
        (mark, messages): (u32, u32),
    ) -> Result<(), String> {
        let views = self.reports(to, mark);
        let mut missing = Vec::new();
        for (at, view) in &views {
            assert_eq!(view.twice, 0, "#{at} was given a broadcast twice");
            assert_eq!(view.lagged, 0, "#{at} read too slowly to be judged");
            assert_eq!(view.missed, 0, "#{at} was told of losses");
            for sender in from.iter().filter(|sender| *sender != at) {
                let heard = view.heard.from.get(self.id(*sender)).copied().unwrap_or_default();
                if heard != messages {
                    missing.push(format!("#{at} has {heard} of {messages} of #{sender}"));
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let first = missing.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
        Err(format!("{} pairs lack broadcasts: {first}", missing.len()))
    }

    /// These nodes become one overlay by themselves, and a broadcast of each reaches all others.
    pub(crate) fn one_overlay(&mut self, members: &[usize], within: Duration) -> String {
        let begun = now();
        let whole = self.until(within, |flock| flock.is_whole(members));
        let mark = self.broadcast(members, 1, 100, Duration::ZERO);
        for at in members {
            assert_eq!(self.published(*at, mark), [""; 0], "#{at} could not broadcast");
        }
        let left = within.saturating_sub(begun.elapsed()).max(Duration::from_secs(5));
        let heard = self.until(left, |flock| flock.has_all(members, members, (mark, 1)));
        format!("whole after {whole:.1?}, broadcasts of all with all {heard:.1?} later")
    }
}

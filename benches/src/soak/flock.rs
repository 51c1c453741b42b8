//! The processes, seen from the controller.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::Error;
use crate::talk::{Command, Said, Status};

/// How long a node may take to answer: all of them share two cores.
const ANSWER: Duration = Duration::from_secs(60);

/// A node's process; dropped, it is gone.
pub(crate) struct Member {
    process: Child,
    stdin: ChildStdin,
    said: Receiver<Said>,
    pub(crate) origin: String,
    pub(crate) addresses: Vec<String>,
    /// What it was told to publish.
    pub(crate) quota: u64,
    pub(crate) status: Status,
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Member {
    /// Starts a node that keeps its state there, and waits until it listens.
    pub(crate) fn start(state: &Path) -> Result<Self, Error> {
        let mut process = Process::new(std::env::current_exe()?)
            .arg("node")
            .arg(state)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
        let (Some(stdin), Some(stdout)) = (stdin, stdout) else { return Err("no pipes".into()) };
        let (send, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Ok(said) = serde_json::from_str(&line) {
                    let _ = send.send(said);
                }
            }
        });
        let mut member = Self {
            process,
            stdin,
            said,
            origin: String::new(),
            addresses: Vec::new(),
            quota: 0,
            status: Status::default(),
        };
        (member.origin, member.addresses) = member.wait(|said| match said {
            Said::Ready { origin, addresses } => Some((origin, addresses)),
            _ => None,
        })?;
        Ok(member)
    }

    fn say(&mut self, command: &Command) -> Result<(), Error> {
        let line = serde_json::to_string(command)?;
        Ok(writeln!(self.stdin, "{line}")?)
    }

    fn wait<T>(&self, what: impl Fn(Said) -> Option<T>) -> Result<T, Error> {
        loop {
            let said = self.said.recv_timeout(ANSWER);
            let said = said.map_err(|_| format!("{} does not answer", self.origin))?;
            if let Some(found) = what(said) {
                return Ok(found);
            }
        }
    }

    pub(crate) fn join(&mut self, contacts: Vec<String>) -> Result<(), Error> {
        self.say(&Command::Join { contacts })?;
        let failed = self.wait(|said| match said {
            Said::Joined { failed } => Some(failed),
            _ => None,
        })?;
        failed.map_or(Ok(()), |why| Err(why.into()))
    }

    pub(crate) fn publish(&mut self, messages: u64, bytes: usize) -> Result<(), Error> {
        self.quota = messages;
        self.say(&Command::Publish { messages, bytes })
    }

    pub(crate) fn ask(&mut self) -> Result<(), Error> {
        self.say(&Command::Status)
    }

    /// Its answer to [`Member::ask`].
    pub(crate) fn answer(&mut self) -> Result<(), Error> {
        self.status = self.wait(|said| match said {
            Said::Status(status) => Some(status),
            _ => None,
        })?;
        Ok(())
    }

    /// Says goodbye to its neighbours and ends.
    pub(crate) fn leave(&mut self) -> Result<(), Error> {
        self.say(&Command::Leave)?;
        self.wait(|said| matches!(said, Said::Left).then_some(()))?;
        self.process.wait()?;
        Ok(())
    }

    /// Ends without a word.
    pub(crate) fn kill(&mut self) -> Result<(), Error> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Bytes of memory it takes now.
    pub(crate) fn resident(&self) -> Result<u64, Error> {
        let path: PathBuf = format!("/proc/{}/status", self.process.id()).into();
        let status = std::fs::read_to_string(path)?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).ok_or("no VmRSS")?;
        Ok(kib.parse::<u64>()? << 10)
    }
}

//! Agents as processes, for tests. They end with the test, whatever happens to it.

#![allow(dead_code, reason = "each test uses what it needs")]

use std::fs::File;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

pub(crate) use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

/// The binary, with an environment in which nothing is configured.
pub(crate) fn murmurate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_murmurate"));
    command.args(arguments).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// Runs it to its end, which has to come: what should be refused might run.
pub(crate) fn run(arguments: &[&str]) -> Output {
    let (mut out, mut errors) = (tempfile::tempfile(), tempfile::tempfile());
    let [out, errors] = [&mut out, &mut errors].map(|file| file.as_mut().expect("a file"));
    let mut command = murmurate(arguments);
    command.stdin(Stdio::null()).stdout(out.try_clone().expect("a handle"));
    command.stderr(errors.try_clone().expect("a handle"));
    let status = Process(command.spawn().expect("the binary runs")).ends();
    let read = |file: &mut File| {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).expect("a file");
        file.read_to_end(&mut bytes).expect("readable");
        bytes
    };
    Output { status, stdout: read(out), stderr: read(errors) }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Guards against waiting for ever, and decides nothing else.
const TIMEOUT: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);

/// Looks again and again until there is something: other processes wake nobody when it comes to that.
pub(crate) fn comes<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    for _ in 0..TIMEOUT.as_millis() / LOOK.as_millis() {
        let found = look();
        if found.is_some() {
            return found;
        }
        sleep(LOOK);
    }
    None
}

/// What comes, which has to.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    comes(look).unwrap_or_else(|| panic!("not within {TIMEOUT:?}: {what}"))
}

/// A process that is killed when the test is done with it.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Its status once it ends.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        eventually("the process ends", || self.0.try_wait().expect("a child"))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal)
            .unwrap_or_else(|error| panic!("{signal} to {}: {error}", self.pid()));
    }

    /// Stops it, and waits until it stands still: a signal that was sent has not yet reached all threads.
    pub(crate) fn stop(&self) {
        self.signal(Signal::SIGSTOP);
        let status = waitpid(self.pid(), Some(WaitPidFlag::WUNTRACED));
        assert_eq!(status, Ok(WaitStatus::Stopped(self.pid(), Signal::SIGSTOP)));
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id().try_into().expect("a pid"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A node that runs.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) process: Process,
    pub(crate) node: String,
    /// Its first address, the id included.
    pub(crate) address: String,
    pub(crate) metrics: SocketAddr,
    pub(crate) admin: PathBuf,
    log: PathBuf,
}

impl Agent {
    /// Starts a node on free ports, its files in `folder`, and waits until it runs.
    pub(crate) fn start(folder: &Path, name: &str, arguments: &[&str]) -> Self {
        let (admin, log) =
            (folder.join(format!("{name}.sock")), folder.join(format!("{name}.log")));
        let mut command = murmurate(&["node", "--json", "--metrics", "127.0.0.1:0"]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]).arg("--admin").arg(&admin);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(File::create(&log).expect("a log"));
        let mut process = Process(command.spawn().expect("the binary runs"));
        let mut line = String::new();
        let out = process.0.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("readable");
        let why = std::fs::read_to_string(&log).unwrap_or_default();
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line}{why}"));
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            process,
            node: word(&ready["node"]),
            address: word(&ready["addresses"][0]),
            metrics: word(&ready["metrics"]).parse().expect("an address"),
            admin,
            log,
        }
    }

    /// Its address as `host:port`.
    pub(crate) fn host_and_port(&self) -> String {
        format!("127.0.0.1:{}", self.address.split('/').nth(4).expect("a port"))
    }

    /// Runs a command on it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let admin = self.admin.to_str().expect("UTF-8");
        run(&[arguments, &["--admin", admin]].concat())
    }

    /// What a command with `--json` says, which has to work.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.command(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("one object")
    }

    /// Its neighbours.
    pub(crate) fn neighbors(&self) -> Vec<String> {
        let members = self.json(&["members"]);
        let active = members["active"].as_array().expect("a list");
        active.iter().map(|peer| peer["node"].as_str().unwrap_or_default().to_owned()).collect()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("readable")
    }

    /// Status line, headers and body.
    pub(crate) fn get(&self, path: &str) -> String {
        get(self.metrics, path)
    }

    /// The admin socket itself.
    pub(crate) fn connect(&self) -> Raw {
        let stream = UnixStream::connect(&self.admin).expect("a connection");
        stream.set_read_timeout(Some(TIMEOUT)).expect("set");
        Raw { read: BufReader::new(stream.try_clone().expect("a handle")), write: stream }
    }
}

pub(crate) fn get(at: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(at).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("set");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// A client of the admin socket that says what it likes.
#[derive(Debug)]
pub(crate) struct Raw {
    read: BufReader<UnixStream>,
    pub(crate) write: UnixStream,
}

impl Raw {
    pub(crate) fn say(&mut self, line: &str) {
        self.write.write_all(line.as_bytes()).expect("written");
        self.write.write_all(b"\n").expect("written");
    }

    /// The next line; `None` when the node hung up.
    pub(crate) fn hear(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.read.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
            // It hung up on something unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn ask(&mut self, line: &str) -> Value {
        self.say(line);
        self.hear().expect("an answer")
    }
}

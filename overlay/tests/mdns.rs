//! Discovery on the local network: two hosts that share a cable, each a network namespace.

#![expect(clippy::expect_used, reason = "a test says what it expects")]

mod harness;

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use murmurate::NodeId;
use murmurate::discovery::{Announcement, Discovery, Mdns};
use tokio::sync::oneshot;

/// Names the network of a node and the port it claims to listen at.
const ROLE: &str = "MURMURATE_TEST_MDNS";
/// Guards against waiting for ever. Without a goodbye, a node is forgotten after twice as long.
const TIMEOUT: Duration = Duration::from_secs(60);

/// This program, started once more in another namespace, is a node there. It announces itself and says
/// what it finds until its standard input ends.
fn node(role: &str) {
    let (network, port) = role.split_once(' ').expect("a network and a port");
    let node = NodeId::try_from(&Keypair::generate_ed25519().public()).expect("an ed25519 key");
    let addresses =
        [format!("/ip4/0.0.0.0/tcp/{port}"), format!("/ip4/0.0.0.0/udp/{port}/quic-v1")]
            .map(|address| address.parse().expect("an address"));
    say(&format!("id {node}"));
    let me = Announcement { network: network.into(), node, addresses: addresses.to_vec() };

    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = end.send(());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let mut found = Box::new(Mdns::new()).watch(me);
        let watch = async {
            while let Some(finding) = found.next().await {
                match finding {
                    Ok(all) => say(&format!(
                        "found {}",
                        all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
                    )),
                    Err(error) => say(&format!("error {error}")),
                }
            }
        };
        tokio::select! {
            () = watch => {}
            _ = ended => {}
        }
        // The stream is dropped and the process ends at once.
    });
}

fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Two namespaces joined by a cable, gone when dropped.
struct Hosts {
    names: [String; 2],
}

fn ip(arguments: &str) -> Result<(), String> {
    let run = Command::new("ip").args(arguments.split(' ')).stdin(Stdio::null()).output();
    let output = run.map_err(|error| format!("ip does not run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

impl Hosts {
    fn join() -> Result<Self, String> {
        let pid = std::process::id();
        // From here on `Drop` cleans up, whatever fails.
        let hosts = Self { names: ["a", "b"].map(|end| format!("mm-{pid}-{end}")) };
        let [one, other] = &hosts.names;
        ip(&format!("netns add {one}"))?;
        ip(&format!("netns add {other}"))?;
        ip(&format!("-n {one} link add mm-cable type veth peer name mm-cable netns {other}"))?;
        for (name, last) in [(one, 1), (other, 2)] {
            ip(&format!("-n {name} address add 10.77.0.{last}/24 dev mm-cable"))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set mm-cable up"))?;
        }
        Ok(hosts)
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// A node in a namespace, killed when dropped.
struct Node {
    child: Child,
    input: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    id: String,
    /// All it ever found.
    found: Vec<String>,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Node {
    fn start(host: &str, network: &str, port: u16) -> Self {
        let binary = std::env::current_exe().expect("this test");
        let mut child = Command::new("ip")
            .args(["netns", "exec", host])
            .arg(binary)
            .env(ROLE, format!("{network} {port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("ip runs");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = send.send(line);
            }
        });
        let input = child.stdin.take();
        let mut node = Self { child, input, lines, id: String::new(), found: Vec::new() };
        node.id = node.next("id ");
        node
    }

    /// The rest of the next line that begins so.
    fn next(&mut self, prefix: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(TIMEOUT).expect("a line in time");
            assert!(!line.starts_with("error"), "{line}");
            let Some(rest) = line.strip_prefix(prefix) else { continue };
            return rest.into();
        }
    }

    fn find(&mut self, enough: impl Fn(&[String]) -> bool) {
        loop {
            let line = self.next("found ");
            let all: Vec<String> = line.split_whitespace().map(Into::into).collect();
            self.found.extend_from_slice(&all);
            if enough(&all) {
                return;
            }
        }
    }
}

fn nodes_of_a_network_find_each_other() {
    let hosts = Hosts::join().expect("namespaces");
    let [here, there] = &hosts.names;
    let mut stranger = Node::start(here, "magpies", 7403);
    let mut one = Node::start(here, "starlings", 7401);
    let mut other = Node::start(there, "starlings", 7402);
    let mut second = Node::start(there, "magpies", 7404);

    let at = |host: u8, port: u16, node: &Node| {
        ["tcp/PORT", "udp/PORT/quic-v1"].map(|transport| {
            let transport = transport.replace("PORT", &port.to_string());
            format!("/ip4/10.77.0.{host}/{transport}/p2p/{}", node.id)
        })
    };
    let (ones, others) = (at(1, 7401, &one), at(2, 7402, &other));
    other.find(|found| *found == ones);
    one.find(|found| *found == others);
    // The strangers find each other, so they were there to be found.
    let seconds = at(2, 7404, &second);
    stranger.find(|found| *found == seconds);
    second.find(|found| found.len() == 2);

    // It leaves, and says so.
    drop(one.input.take());
    other.find(<[_]>::is_empty);
    assert!(one.child.wait().expect("a child").success());
    for (node, known) in [(&one, &other), (&other, &one)] {
        assert!(node.found.iter().all(|address| address.ends_with(&known.id)), "{:?}", node.found);
    }
}

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        node(&role);
        return ExitCode::SUCCESS;
    }
    harness::run(harness::tests![nodes_of_a_network_find_each_other], || {
        let works = || Hosts::join().map(drop);
        harness::debian(&["iproute2"], || {
            works().map_err(|why| format!("no network namespaces here, which take root: {why}"))
        })
    })
}

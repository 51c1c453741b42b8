//! Discovery by DNS, asked of a real name server: dnsmasq, on a port of its own.

#![expect(clippy::expect_used, reason = "a test says what it expects")]
#![expect(clippy::panic, reason = "a test says what it expects")]

mod harness;

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitCode, Stdio};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use libp2p::identity::Keypair;
use murmurate::NodeId;
use murmurate::discovery::{Announcement, Discovery, Dns, DnsError, Finding, Transport};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

/// Guards against waiting for ever, and decides nothing else.
const TIMEOUT: Duration = Duration::from_secs(120);
const OFTEN: Duration = Duration::from_millis(100);

const CONFIG: &str = "
no-resolv
no-hosts
no-dhcp-interface=*
bind-interfaces
listen-address=127.0.0.1
user=root
local=/test/
host-record=starling.roost.test,10.0.0.2,fd00::2
host-record=thrush.roost.test,10.0.0.3
host-record=wren.roost.test,fd00::4
host-record=pigeon.roost.test,10.0.0.5
srv-host=_murmurate._tcp.roost.test,thrush.roost.test,7401,20,0
srv-host=_murmurate._tcp.roost.test,starling.roost.test,7409,10,0
srv-host=_murmurate._tcp.roost.test,wren.roost.test,7404,30,5
srv-host=_gossip._udp.roost.test,pigeon.roost.test,7405,1,1
srv-host=_murmurate._tcp.half.test,nobody.roost.test,7400,1,1
srv-host=_murmurate._tcp.half.test,thrush.roost.test,7403,2,1
srv-host=_murmurate._tcp.none.test,nobody.roost.test,7400,1,1
";

/// A running dnsmasq, killed when dropped.
struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
    /// What it goes on to say has somewhere to go.
    _log: BufReader<ChildStderr>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dnsmasq() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
    folders.into_iter().map(|folder| folder.join("dnsmasq")).find(|binary| binary.is_file())
}

fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let port = udp.local_addr().expect("bound").port();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Server {
    fn start() -> Self {
        // Somebody else may take a free port before the server does.
        let started = (0..5).find_map(|_| Self::start_at(free_port()));
        started.unwrap_or_else(|| panic!("dnsmasq does not start"))
    }

    /// Nothing if the port is taken.
    fn start_at(port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a directory");
        let config = folder.path().join("dnsmasq.conf");
        let hosts = folder.path().join("hosts");
        fs::write(&config, CONFIG).expect("written");
        fs::write(&hosts, "10.0.1.1 flock.test\n").expect("written");
        let mut child = Command::new(dnsmasq().expect("it is here"))
            .args(["--keep-in-foreground", "--log-facility=-"])
            .arg(format!("--conf-file={}", config.display()))
            .arg(format!("--addn-hosts={}", hosts.display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dnsmasq runs");
        let mut log = BufReader::new(child.stderr.take().expect("piped"));
        let mut said = String::new();
        // It says so once it listens.
        while !said.contains("started, version") {
            if log.read_line(&mut said).expect("readable") == 0 {
                println!("dnsmasq: {}: {said}", child.wait().expect("a child"));
                return None;
            }
        }
        Some(Self { child, port, folder, _log: log })
    }

    fn at(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Replaces who `flock.test` is.
    fn flock(&self, hosts: &str) {
        fs::write(self.folder.path().join("hosts"), hosts).expect("written");
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-HUP", &pid]).status().expect("kill runs");
        assert!(told.success());
    }
}

fn watch(dns: Dns, server: SocketAddr) -> BoxStream<'static, Finding> {
    let node = NodeId::try_from(&Keypair::generate_ed25519().public()).expect("an ed25519 key");
    let me = Announcement { network: "test".into(), node, addresses: Vec::new() };
    Box::new(dns.server(server).every(OFTEN)).watch(me)
}

fn hosts(name: &str, transport: Transport) -> Dns {
    Dns::hosts(name, 7400, transport).expect("a name")
}

fn services(name: &str) -> Dns {
    Dns::services(name, Transport::Tcp).expect("a name")
}

async fn next(stream: &mut BoxStream<'static, Finding>) -> Result<Vec<String>, DnsError> {
    let found = timeout(TIMEOUT, stream.next()).await.expect("it looks").expect("goes on");
    match found {
        Ok(addresses) => Ok(addresses.iter().map(ToString::to_string).collect()),
        Err(error) => Err(*error.downcast().expect("an error of this source")),
    }
}

async fn found(dns: Dns, server: &Server) -> Result<Vec<String>, DnsError> {
    next(&mut watch(dns, server.at())).await
}

#[tokio::main(flavor = "current_thread")]
async fn hosts_are_found_by_both_families() {
    let server = Server::start();
    let both = found(hosts("starling.roost.test", Transport::Tcp), &server).await;
    assert_eq!(both.expect("known"), ["/ip4/10.0.0.2/tcp/7400", "/ip6/fd00::2/tcp/7400"]);
    let four = found(hosts("thrush.roost.test.", Transport::Quic), &server).await;
    assert_eq!(four.expect("known"), ["/ip4/10.0.0.3/udp/7400/quic-v1"]);
    let six = found(hosts("wren.roost.test", Transport::Tcp), &server).await;
    assert_eq!(six.expect("known"), ["/ip6/fd00::4/tcp/7400"]);
}

#[tokio::main(flavor = "current_thread")]
async fn services_are_found_in_their_order() {
    let server = Server::start();
    let all = found(services("roost.test"), &server).await;
    let expected = [
        "/ip4/10.0.0.2/tcp/7409",
        "/ip6/fd00::2/tcp/7409",
        "/ip4/10.0.0.3/tcp/7401",
        "/ip6/fd00::4/tcp/7404",
    ];
    assert_eq!(all.expect("known"), expected);
    let named = Dns::services("_gossip._udp.roost.test", Transport::Quic).expect("a name");
    let named = found(named, &server).await;
    assert_eq!(named.expect("known"), ["/ip4/10.0.0.5/udp/7405/quic-v1"]);
}

#[tokio::main(flavor = "current_thread")]
async fn a_service_without_a_host_does_not_hide_the_others() {
    let server = Server::start();
    let mut stream = watch(services("half.test"), server.at());
    let error = next(&mut stream).await.expect_err("one is unknown");
    assert!(matches!(error, DnsError::Nothing { ref name, .. } if name.contains("nobody")));
    assert_eq!(next(&mut stream).await.expect("the other"), ["/ip4/10.0.0.3/tcp/7403"]);
    let error = found(services("none.test"), &server).await.expect_err("all are unknown");
    assert!(error.to_string().contains("nobody.roost.test"), "{error}");
}

#[tokio::main(flavor = "current_thread")]
async fn changes_are_found_at_the_next_look() {
    let server = Server::start();
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    assert_eq!(next(&mut stream).await.expect("known"), ["/ip4/10.0.1.1/tcp/7400"]);

    for (hosts, expected) in
        [("10.0.1.1 flock.test\n10.0.1.2 flock.test\n", 2), ("", 0), ("10.0.1.3 flock.test\n", 1)]
    {
        server.flock(hosts);
        let changes = async {
            loop {
                match next(&mut stream).await {
                    Ok(addresses) if addresses.len() == expected => break,
                    Err(DnsError::Nothing { .. }) if expected == 0 => break,
                    // What was before.
                    _ => {}
                }
            }
        };
        timeout(TIMEOUT, changes).await.unwrap_or_else(|_| panic!("it never is {hosts:?}"));
    }
}

#[tokio::main(flavor = "current_thread")]
async fn looks_are_spaced() {
    let server = Server::start();
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    next(&mut stream).await.expect("known");
    for _ in 0..5 {
        let start = Instant::now();
        next(&mut stream).await.expect("known");
        assert!(start.elapsed() >= OFTEN.mul_f64(0.89), "{:?}", start.elapsed());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn a_long_answer_is_bounded() {
    let server = Server::start();
    let mut text = String::new();
    for host in 0..200 {
        writeln!(text, "10.1.0.{host} flock.test").expect("written");
    }
    server.flock(&text);
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    let all = async {
        loop {
            let found = next(&mut stream).await.expect("known").len();
            assert!(found <= 64, "{found} addresses");
            if found == 64 {
                break;
            }
        }
    };
    timeout(TIMEOUT, all).await.expect("they are read");
}

#[tokio::main(flavor = "current_thread")]
async fn unknown_names_are_named() {
    let server = Server::start();
    for dns in [hosts("cuckoo.test", Transport::Tcp), services("cuckoo.test")] {
        let error = found(dns, &server).await.expect_err("unknown");
        assert!(matches!(error, DnsError::Nothing { .. }), "{error}");
        assert!(error.to_string().contains("cuckoo.test"), "{error}");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn a_dead_server_is_an_error_until_it_lives() {
    // Somebody else may take a free port before the server does.
    for _ in 0..5 {
        let port = free_port();
        let dns = hosts("flock.test", Transport::Tcp).timeout(Duration::from_secs(2));
        let mut stream = watch(dns, (Ipv4Addr::LOCALHOST, port).into());
        let error = next(&mut stream).await.expect_err("nobody is there");
        assert!(matches!(error, DnsError::Failed { .. } | DnsError::Timeout { .. }), "{error}");
        if let Some(_server) = Server::start_at(port) {
            let lives = async { while next(&mut stream).await.is_err() {} };
            return timeout(TIMEOUT, lives).await.expect("it is asked again");
        }
    }
    panic!("dnsmasq does not start");
}

fn main() -> ExitCode {
    let tests = harness::tests![
        hosts_are_found_by_both_families,
        services_are_found_in_their_order,
        a_service_without_a_host_does_not_hide_the_others,
        changes_are_found_at_the_next_look,
        looks_are_spaced,
        a_long_answer_is_bounded,
        unknown_names_are_named,
        a_dead_server_is_an_error_until_it_lives,
    ];
    harness::run(tests, || {
        harness::debian(&["dnsmasq-base"], || {
            dnsmasq().map(drop).ok_or_else(|| "no dnsmasq here".into())
        })
    })
}

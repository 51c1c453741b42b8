//! Discovery by DNS, asked of a real name server: dnsmasq, on a port of its own.

#![expect(clippy::expect_used, reason = "a test says what it expects")]
#![expect(clippy::panic, reason = "a test says what it expects")]

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use libp2p::identity::Keypair;
use murmurate::NodeId;
use murmurate::discovery::{Announcement, Discovery, Dns, DnsError, Finding, Transport};
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(20);
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
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where dnsmasq is; installed first if it is missing and this may install it.
fn dnsmasq() -> Option<PathBuf> {
    let there = || {
        let path = std::env::var_os("PATH")?;
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from));
        folders.into_iter().map(|folder| folder.join("dnsmasq")).find(|binary| binary.is_file())
    };
    there().or_else(|| {
        // One at a time: tests run side by side. Fails, and is no matter, without root or apt.
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| {
            let mut apt = Command::new("apt-get");
            let apt = apt.args(["install", "-y", "--no-install-recommends", "dnsmasq-base"]);
            let _ = apt.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        });
        there()
    })
}

/// Says so past the test harness, which hides what passing tests print.
fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "SKIPPED: {why}");
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
    /// Nothing if there is no dnsmasq: the test is then skipped, and says so.
    fn start() -> Option<Self> {
        let Some(binary) = dnsmasq() else {
            skipped("no dnsmasq (Debian package dnsmasq-base), so no test of DNS");
            return None;
        };
        // Somebody else may take a free port before the server does.
        (0..5).find_map(|_| Self::start_at(&binary, free_port())).or_else(|| {
            panic!("dnsmasq does not start");
        })
    }

    fn start_at(binary: &PathBuf, port: u16) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a directory");
        let config = folder.path().join("dnsmasq.conf");
        let hosts = folder.path().join("hosts");
        fs::write(&config, CONFIG).expect("written");
        fs::write(&hosts, "10.0.1.1 flock.test\n").expect("written");
        let child = Command::new(binary)
            .arg("--keep-in-foreground")
            .arg(format!("--conf-file={}", config.display()))
            .arg(format!("--addn-hosts={}", hosts.display()))
            .arg(format!("--pid-file={}", folder.path().join("pid").display()))
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dnsmasq runs");
        let mut server = Self { child, port, folder };
        for _ in 0..200 {
            if let Some(status) = server.child.try_wait().expect("a child") {
                let mut said = String::new();
                let _ = server.child.stderr.take().map(|mut from| from.read_to_string(&mut said));
                println!("dnsmasq: {status}: {said}");
                return None;
            }
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
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
    let found = timeout(SOON, stream.next()).await.expect("looked in time").expect("goes on");
    match found {
        Ok(addresses) => Ok(addresses.iter().map(ToString::to_string).collect()),
        Err(error) => Err(*error.downcast().expect("an error of this source")),
    }
}

async fn found(dns: Dns, server: &Server) -> Result<Vec<String>, DnsError> {
    next(&mut watch(dns, server.at())).await
}

#[tokio::test]
async fn hosts_are_found_by_both_families() {
    let Some(server) = Server::start() else { return };
    let both = found(hosts("starling.roost.test", Transport::Tcp), &server).await;
    assert_eq!(both.expect("known"), ["/ip4/10.0.0.2/tcp/7400", "/ip6/fd00::2/tcp/7400"]);
    let four = found(hosts("thrush.roost.test.", Transport::Quic), &server).await;
    assert_eq!(four.expect("known"), ["/ip4/10.0.0.3/udp/7400/quic-v1"]);
    let six = found(hosts("wren.roost.test", Transport::Tcp), &server).await;
    assert_eq!(six.expect("known"), ["/ip6/fd00::4/tcp/7400"]);
}

#[tokio::test]
async fn services_are_found_in_their_order() {
    let Some(server) = Server::start() else { return };
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

#[tokio::test]
async fn a_service_without_a_host_does_not_hide_the_others() {
    let Some(server) = Server::start() else { return };
    let mut stream = watch(services("half.test"), server.at());
    let error = next(&mut stream).await.expect_err("one is unknown");
    assert!(matches!(error, DnsError::Nothing { ref name, .. } if name.contains("nobody")));
    assert_eq!(next(&mut stream).await.expect("the other"), ["/ip4/10.0.0.3/tcp/7403"]);
    let error = found(services("none.test"), &server).await.expect_err("all are unknown");
    assert!(error.to_string().contains("nobody.roost.test"), "{error}");
}

#[tokio::test]
async fn changes_are_found_at_the_next_look() {
    let Some(server) = Server::start() else { return };
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    assert_eq!(next(&mut stream).await.expect("known"), ["/ip4/10.0.1.1/tcp/7400"]);

    for (hosts, expected) in
        [("10.0.1.1 flock.test\n10.0.1.2 flock.test\n", 2), ("", 0), ("10.0.1.3 flock.test\n", 1)]
    {
        server.flock(hosts);
        let start = Instant::now();
        loop {
            match next(&mut stream).await {
                Ok(addresses) if addresses.len() == expected => break,
                Err(DnsError::Nothing { .. }) if expected == 0 => break,
                other => assert!(start.elapsed() < SOON, "{hosts}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn looks_are_spaced() {
    let Some(server) = Server::start() else { return };
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    next(&mut stream).await.expect("known");
    for _ in 0..5 {
        let start = Instant::now();
        next(&mut stream).await.expect("known");
        assert!(start.elapsed() >= OFTEN.mul_f64(0.89), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn a_long_answer_is_bounded() {
    let Some(server) = Server::start() else { return };
    let mut text = String::new();
    for host in 0..200 {
        writeln!(text, "10.1.0.{host} flock.test").expect("written");
    }
    server.flock(&text);
    let mut stream = watch(hosts("flock.test", Transport::Tcp), server.at());
    let start = Instant::now();
    loop {
        let found = next(&mut stream).await.expect("known");
        if found.len() == 64 {
            break;
        }
        assert!(found.len() < 64 && start.elapsed() < SOON, "{found:?}");
    }
}

#[tokio::test]
async fn unknown_names_are_named() {
    let Some(server) = Server::start() else { return };
    for dns in [hosts("cuckoo.test", Transport::Tcp), services("cuckoo.test")] {
        let error = found(dns, &server).await.expect_err("unknown");
        assert!(matches!(error, DnsError::Nothing { .. }), "{error}");
        assert!(error.to_string().contains("cuckoo.test"), "{error}");
    }
}

#[tokio::test]
async fn a_dead_server_is_an_error_until_it_lives() {
    let Some(server) = Server::start() else { return };
    let (port, binary) = (server.port, dnsmasq().expect("it ran"));
    drop(server);
    let dns = hosts("flock.test", Transport::Tcp).timeout(Duration::from_secs(2));
    let mut stream = watch(dns, (Ipv4Addr::LOCALHOST, port).into());
    let error = next(&mut stream).await.expect_err("nobody is there");
    assert!(matches!(error, DnsError::Failed { .. } | DnsError::Timeout { .. }), "{error}");

    let Some(server) = Server::start_at(&binary, port) else {
        skipped("the port was taken meanwhile, so no test of a server's return");
        return;
    };
    let start = Instant::now();
    while next(&mut stream).await.is_err() {
        assert!(start.elapsed() < SOON);
    }
    drop(server);
}

#[tokio::test]
async fn a_silent_server_is_given_up_in_time() -> io::Result<()> {
    let silent = UdpSocket::bind("127.0.0.1:0")?;
    let limit = Duration::from_millis(500);
    let dns = hosts("flock.test", Transport::Tcp).timeout(limit);
    let mut stream = watch(dns, silent.local_addr()?);
    let start = Instant::now();
    let error = next(&mut stream).await.expect_err("nobody answers");
    assert!(matches!(error, DnsError::Failed { .. } | DnsError::Timeout { .. }), "{error}");
    assert!(start.elapsed() < limit * 3, "{:?}", start.elapsed());
    Ok(())
}

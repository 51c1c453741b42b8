//! What the health and metrics listener answers, and that slow clients cost only themselves.

use std::net::SocketAddr;
use std::sync::mpsc;

use futures::FutureExt;
use murmurate::http::{self, CONNECTIONS, Health, TIMEOUT};
use murmurate::{Channel, Multiaddr, Node};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, advance};

use crate::wait;
use crate::wait::soon;

fn anywhere() -> Multiaddr {
    "/ip4/127.0.0.1/tcp/0".parse().expect("an address")
}

async fn node() -> Node {
    Node::builder().listen(anywhere()).spawn().await.expect("a node")
}

async fn serve(health: Health) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(http::serve(listener, health));
    address
}

/// The status and the whole answer.
async fn get(at: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    // It ends by itself: one request a connection.
    soon(stream.read_to_string(&mut answer)).await.expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.expect("a status"), answer)
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_with_a_neighbour_or_as_the_first_and_not_while_leaving() {
    let (one, two) = (node().await, node().await);
    let lonely = serve(Health::new(one.clone())).await;
    let declared = Health::new(two.clone()).first(true);
    let first = serve(declared.clone()).await;
    let (status, answer) = get(lonely, "/readyz").await;
    assert_eq!(status, 503);
    assert!(answer.ends_with("not ready: no neighbour yet\n"), "{answer}");
    assert_eq!(get(lonely, "/livez").await.0, 200, "alive without peers");
    assert_eq!(get(first, "/readyz").await.0, 200);
    one.join(two.addresses()).await.expect("joined");
    assert_eq!(get(lonely, "/readyz").await.0, 200);
    declared.leaving();
    let (status, answer) = get(first, "/readyz").await;
    assert_eq!(status, 503);
    assert!(answer.ends_with("not ready: leaving\n"), "{answer}");
    one.shutdown().await.expect("ended");
    assert_eq!(get(lonely, "/livez").await.0, 503, "its loop is gone");
    assert_eq!(get(lonely, "/readyz").await.0, 503);
    assert_eq!(get(lonely, "/metrics").await.0, 200, "the last counts stay readable");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_their_content_type_and_other_paths_a_hint() {
    let node = Node::builder().listen(anywhere()).channel(Channel::acknowledged("orders"));
    let at = serve(Health::new(node.spawn().await.expect("a node"))).await;
    let (status, answer) = get(at, "/metrics").await;
    assert_eq!(status, 200);
    assert!(answer.contains("\r\ncontent-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\nmurmurate_active_view_peers 0\n"), "{answer}");
    let guide = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let guide = std::fs::read_to_string(guide).expect("readable");
    for line in answer.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').expect("a name and a type");
        let row = format!("| `{name}` | {kind} |");
        assert!(guide.contains(&row), "docs/metrics.md has no {row}");
    }
    let series = |with: &str| {
        let lines = answer.lines().filter(|line| line.starts_with("murmurate_"));
        lines.filter(|line| line.contains(with)).count()
    };
    let of_channel = series("channel=\"orders\"");
    let said = format!("and {of_channel} more for each channel");
    assert!(guide.contains(&said), "docs/metrics.md does not say: {said}");
    assert!((215..240).contains(&(series("") - of_channel)), "{} series", series(""));
    let (status, answer) = get(at, "/").await;
    assert_eq!(status, 404);
    assert!(answer.contains("/metrics, /livez or /readyz"), "{answer}");
}

/// As long as this is not dropped, the paused clock of a test stands still, and nothing happens only because
/// time has passed: a clock that is paused goes on when there is nothing else to do, but not while a task
/// blocks.
fn stop_time() -> mpsc::Sender<()> {
    let (goes_on, stands) = mpsc::channel();
    tokio::task::spawn_blocking(move || stands.recv_timeout(wait::TIMEOUT));
    goes_on
}

#[tokio::test(start_paused = true)]
async fn clients_that_do_not_speak_take_no_place_from_those_that_do() {
    let _stopped = stop_time();
    let begun = Instant::now();
    let at = serve(Health::new(node().await).first(true)).await;
    let mut silent = Vec::new();
    for _ in 0..2 * CONNECTIONS {
        silent.push(TcpStream::connect(at).await.expect("a connection"));
    }
    assert_eq!(get(at, "/readyz").await.0, 200);
    // The last to come was asked for the answer.
    let (first, last) = silent.split_at_mut(CONNECTIONS + 1);
    for stream in first {
        let ended = soon(stream.read(&mut [0])).await;
        assert!(!matches!(ended, Ok(1..)), "the first to come go first: {ended:?}");
    }
    for stream in last {
        assert!(stream.read(&mut [0]).now_or_never().is_none(), "those within the limit stay");
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "nobody ran out of time");
}

#[tokio::test(start_paused = true)]
async fn a_header_that_dribbles_in_ends_in_time() {
    let _stopped = stop_time();
    let at = serve(Health::new(node().await)).await;
    let mut stream = TcpStream::connect(at).await.expect("a connection");
    stream.write_all(b"GET /livez HTTP/1.1\r\nX-Slow: ").await.expect("written");
    assert_eq!(get(at, "/livez").await.0, 200, "whoever came before it is served, too");
    for _ in 1..100 {
        stream.write_all(b"a").await.expect("written");
        advance(TIMEOUT / 100).await;
    }
    get(at, "/livez").await;
    assert!(stream.read(&mut [0]).now_or_never().is_none(), "too early");
    advance(TIMEOUT / 100).await;
    // Closed, maybe with a reset.
    let _ = soon(stream.read_to_end(&mut Vec::new())).await;
}

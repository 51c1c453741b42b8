//! `/metrics`, `/livez` and `/readyz`.
//!
//! | path | 200 | 503 |
//! |---|---|---|
//! | `/livez` | the node's loop answers within a second | it does not, or the node has ended |
//! | `/readyz` | it has a neighbour or was declared the first | it has none, or is leaving |
//! | `/metrics` | always: Prometheus' text format | |
//!
//! Liveness is never a matter of peers: a node that nobody talks to is not helped by a restart.
//!
//! A slow client costs only itself: a connection serves one request and lives for
//! [`TIMEOUT`] at most, header, answer and all; there are at most [`CONNECTIONS`] at a time, and
//! when one more comes, the one that has been there longest goes.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep, timeout};

use crate::Node;

/// Connections at a time.
pub const CONNECTIONS: usize = 64;
/// How long a connection may take from beginning to end.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// How quickly the node must answer to count as alive.
pub const ALIVE_WITHIN: Duration = Duration::from_secs(1);

/// Whether a node is alive, and whether it is ready. Cheap to clone; clones share their state.
#[derive(Debug, Clone)]
pub struct Health {
    node: Node,
    first: bool,
    leaving: Arc<AtomicBool>,
}

/// Why a node is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotReady {
    /// It has no neighbour and was not declared the first node.
    #[error("no neighbour yet")]
    NoNeighbor,
    /// It is leaving.
    #[error("leaving")]
    Leaving,
}

impl Health {
    /// The health of `node`. The node keeps running until this is dropped.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self { node, first: false, leaving: Arc::default() }
    }

    /// Declares the node the first of its overlay: ready without neighbours.
    #[must_use]
    pub fn first(mut self, first: bool) -> Self {
        self.first = first;
        self
    }

    /// From now on the node is not ready: call this before [`Node::leave`].
    pub fn leaving(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// Whether work can be given to the node.
    ///
    /// # Errors
    /// [`NotReady`] says why not.
    pub fn ready(&self) -> Result<(), NotReady> {
        if self.leaving.load(Ordering::Relaxed) {
            Err(NotReady::Leaving)
        } else if self.first || !self.node.active_view().is_empty() {
            Ok(())
        } else {
            Err(NotReady::NoNeighbor)
        }
    }

    /// Whether the node answers within [`ALIVE_WITHIN`].
    ///
    /// # Panics
    /// Outside a Tokio runtime with time enabled.
    ///
    /// # Cancel safety
    /// Dropping the future is safe: it only reads.
    pub async fn is_alive(&self) -> bool {
        matches!(timeout(ALIVE_WITHIN, self.node.info()).await, Ok(Ok(_)))
    }
}

/// Serves metrics and health on `listener` until the future is dropped.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use murmurate::{Node, http};
///
/// let node = Node::builder().spawn().await?;
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// tokio::spawn(http::serve(listener, http::Health::new(node)));
/// # Ok(()) }
/// # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
/// ```
///
/// # Errors
/// None at present: a failure ends one connection, or accepting is tried again.
///
/// # Panics
/// Outside a Tokio runtime with time enabled.
///
/// # Cancel safety
/// Dropping the future closes the listener, and ends the connections that are open.
pub async fn serve(listener: TcpListener, health: Health) -> io::Result<()> {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .fallback(elsewhere)
        .with_state(health);
    axum::serve(Few { listener, open: VecDeque::new() }, routes).await
}

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    let headers: [(HeaderName, &str); 2] =
        [(header::CONTENT_TYPE, kind), (header::CONNECTION, "close")];
    (status, headers, body).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    answer(StatusCode::OK, PROMETHEUS, health.node.metrics().render())
}

async fn livez(State(health): State<Health>) -> Response {
    if health.is_alive().await {
        answer(StatusCode::OK, TEXT, "alive\n".into())
    } else {
        let body = format!("not alive: the node has ended or hangs for {ALIVE_WITHIN:?}\n");
        answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, body)
    }
}

async fn readyz(State(health): State<Health>) -> Response {
    match health.ready() {
        Ok(()) => answer(StatusCode::OK, TEXT, "ready\n".into()),
        Err(why) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
    }
}

async fn elsewhere() -> Response {
    let hint = "nothing here: try /metrics, /livez or /readyz\n";
    answer(StatusCode::NOT_FOUND, TEXT, hint.into())
}

/// Accepts connections and keeps few of them.
struct Few {
    listener: TcpListener,
    /// One for each connection, the longest open first: dropping it ends the connection.
    open: VecDeque<oneshot::Sender<Infallible>>,
}

impl Listener for Few {
    type Io = Brief;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Brief, SocketAddr) {
        let (stream, from) = Listener::accept(&mut self.listener).await;
        self.open.retain(|connection| !connection.is_closed());
        if self.open.len() >= CONNECTIONS {
            self.open.pop_front();
        }
        let (keep, kept) = oneshot::channel();
        self.open.push_back(keep);
        (Brief { stream, kept, end: Box::pin(sleep(TIMEOUT)) }, from)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that ends in time.
struct Brief {
    stream: TcpStream,
    kept: oneshot::Receiver<Infallible>,
    end: Pin<Box<Sleep>>,
}

impl Brief {
    /// An error once the time is over or another connection needs the place.
    fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let over = self.end.as_mut().poll(context).is_ready()
            || Pin::new(&mut self.kept).poll(context).is_ready();
        if over { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Brief {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Brief {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

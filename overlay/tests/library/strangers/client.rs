//! A stranger: libp2p's handshakes, and everything after them by hand, as the book's page "The
//! bytes" describes it. Nothing here uses the node's own encoder.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, SystemTime};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Transport;
use libp2p::core::Endpoint;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};
use murmurate::NodeId;
use sha2::{Digest, Sha256};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{NETWORK, soon};

pub(crate) const PROTOCOL: &str = "/murmurate/overlay/7";
/// What the nodes run.
pub(crate) const STRATEGIES: &str = "hyparview/plumtree";

/// An authenticated, multiplexed connection to a node.
pub(crate) struct Client {
    pub(crate) id: NodeId,
    wanted: mpsc::UnboundedSender<oneshot::Sender<SubstreamBox>>,
    inbound: mpsc::UnboundedReceiver<SubstreamBox>,
    task: JoinHandle<io::Error>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn transport(key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1)
        .authenticate(noise::Config::new(key).expect("a key"))
        .multiplex(yamux::Config::default())
        .boxed()
}

/// Where nodes dial a stranger.
pub(crate) struct Door(Boxed<(PeerId, StreamMuxerBox)>, Keypair);

impl Door {
    pub(crate) async fn open(key: &Keypair) -> (Self, Multiaddr) {
        let mut transport = transport(key);
        let anywhere = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        transport.listen_on(ListenerId::next(), anywhere).expect("a TCP address");
        let event = poll_fn(|context| Pin::new(&mut transport).poll(context)).await;
        let address = event.into_new_address().expect("it listens");
        (Self(transport, key.clone()), address)
    }

    /// The next that comes in.
    pub(crate) async fn accept(&mut self) -> Client {
        loop {
            let event = poll_fn(|context| Pin::new(&mut self.0).poll(context)).await;
            if let Some((upgrade, _)) = event.into_incoming() {
                let (_, muxer) = upgrade.await.expect("a node");
                let mut client = Client::of(&self.1, muxer);
                client.believe().await;
                return client;
            }
        }
    }
}

impl Client {
    pub(crate) async fn dial(address: &Multiaddr) -> Self {
        Self::dial_as(&Keypair::generate_ed25519(), address).await
    }

    pub(crate) async fn dial_as(key: &Keypair, address: &Multiaddr) -> Self {
        let client = Self::knock(key, address).await;
        let admitted = client.prove(&claim(NETWORK, OPEN)).await;
        assert_eq!(admitted.expect("an answer"), [&[1, 0], &claim(NETWORK, OPEN)[1..]].concat());
        client
    }

    /// Authenticated and multiplexed; nothing was proven.
    pub(crate) async fn knock(key: &Keypair, address: &Multiaddr) -> Self {
        let address = address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect();
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let dial = transport(key).dial(address, options).expect("a TCP address");
        let (_, muxer) = dial.await.expect("the node answers");
        Self::of(key, muxer)
    }

    fn of(key: &Keypair, muxer: StreamMuxerBox) -> Self {
        let (wanted, take_wanted) = mpsc::unbounded_channel();
        let (give_inbound, inbound) = mpsc::unbounded_channel();
        let task = tokio::spawn(drive(muxer, take_wanted, give_inbound));
        let id = NodeId::try_from(&key.public()).expect("an ed25519 key");
        Self { id, wanted, inbound, task }
    }

    /// Claims to belong to the overlay, and agrees whatever the node claims; what it answers.
    pub(crate) async fn prove(&self, claim: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.open().await.ok_or(io::ErrorKind::BrokenPipe)?;
        write(&mut stream, &measured(claim)).await?;
        let answer = message(&mut stream).await?;
        write(&mut stream, &measured(&[1, 0])).await?;
        Ok(answer)
    }

    /// Believes what a node claims, and claims the same.
    async fn believe(&mut self) {
        let mut stream = self.accept().await.expect("the node's stream");
        let claim = message(&mut stream).await.expect("a claim");
        write(&mut stream, &measured(&[&[1, 0], &claim[1..]].concat())).await.expect("written");
        assert_eq!(message(&mut stream).await.expect("an answer"), [1, 0]);
    }

    /// A new stream, unless the connection has ended.
    pub(crate) async fn open(&self) -> Option<SubstreamBox> {
        let (reply, opened) = oneshot::channel();
        self.wanted.send(reply).ok()?;
        opened.await.ok()
    }

    /// The next stream that the node opens.
    pub(crate) async fn accept(&mut self) -> Option<SubstreamBox> {
        soon(self.inbound.recv()).await
    }

    /// Waits until the node closes the connection.
    pub(crate) async fn closed(&mut self) {
        soon(&mut self.task).await.expect("the task runs to its end");
    }
}

/// Runs the connection until it fails.
async fn drive(
    mut muxer: StreamMuxerBox,
    mut wanted: mpsc::UnboundedReceiver<oneshot::Sender<SubstreamBox>>,
    inbound: mpsc::UnboundedSender<SubstreamBox>,
) -> io::Error {
    let mut waiting = VecDeque::new();
    poll_fn(|context| {
        while let Poll::Ready(Some(reply)) = wanted.poll_recv(context) {
            waiting.push_back(reply);
        }
        loop {
            let mut idle = true;
            match muxer.poll_unpin(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Ready(Ok(_)) => idle = false,
                Poll::Pending => {}
            }
            if !waiting.is_empty() {
                match muxer.poll_outbound_unpin(context) {
                    Poll::Ready(Err(error)) => return Poll::Ready(error),
                    Poll::Ready(Ok(stream)) => {
                        waiting.pop_front().map(|reply| reply.send(stream));
                        idle = false;
                    }
                    Poll::Pending => {}
                }
            }
            match muxer.poll_inbound_unpin(context) {
                Poll::Ready(Err(error)) => return Poll::Ready(error),
                Poll::Ready(Ok(stream)) => {
                    let _ = inbound.send(stream);
                    idle = false;
                }
                Poll::Pending => {}
            }
            if idle {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Of an open network.
pub(crate) const OPEN: &[u8] = &[0];

/// The first message on a connection: version, hash of the network, proof.
pub(crate) fn claim(network: &str, proof: &[u8]) -> Vec<u8> {
    let hash = Sha256::new().chain_update("murmurate network\0").chain_update(network).finalize();
    [&[1], &hash[..], proof].concat()
}

/// Two bytes of length, and a message.
pub(crate) fn measured(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

async fn message(stream: &mut SubstreamBox) -> io::Result<Vec<u8>> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

pub(crate) async fn write(stream: &mut SubstreamBox, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// A line of the negotiation: length, text, newline.
pub(crate) fn line(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).expect("a short line");
    [&[length], text.as_bytes(), b"\n"].concat()
}

async fn read_line(stream: &mut SubstreamBox) -> io::Result<String> {
    let mut length = [0];
    stream.read_exact(&mut length).await?;
    let mut text = vec![0; usize::from(length[0])];
    stream.read_exact(&mut text).await?;
    Ok(String::from_utf8_lossy(&text).trim_end().to_owned())
}

/// Proposes a protocol on a stream just opened. Whether the node speaks it.
pub(crate) async fn propose(stream: &mut SubstreamBox, protocol: &str) -> io::Result<bool> {
    write(stream, &[line("/multistream/1.0.0"), line(protocol)].concat()).await?;
    assert_eq!(read_line(stream).await?, "/multistream/1.0.0");
    Ok(read_line(stream).await? == protocol)
}

/// Answers what the node proposes on a stream it opened.
pub(crate) async fn answer(stream: &mut SubstreamBox, speaks: bool) -> io::Result<()> {
    assert_eq!(read_line(stream).await?, "/multistream/1.0.0");
    assert_eq!(read_line(stream).await?, PROTOCOL);
    let reply = line(if speaks { PROTOCOL } else { "na" });
    write(stream, &[line("/multistream/1.0.0"), reply].concat()).await
}

/// A stranger that speaks the protocol, as far as it wants to.
pub(crate) struct Speaker {
    pub(crate) client: Client,
    pub(crate) out: SubstreamBox,
    pub(crate) heard: SubstreamBox,
}

impl Speaker {
    /// Both streams stand; nothing was said on them.
    pub(crate) async fn connect(address: &Multiaddr) -> Self {
        Self::on(Client::dial(address).await).await
    }

    pub(crate) async fn on(mut client: Client) -> Self {
        let mut out = client.open().await.expect("the connection stands");
        assert!(propose(&mut out, PROTOCOL).await.expect("an answer"));
        let mut heard = client.accept().await.expect("the connection stands");
        answer(&mut heard, true).await.expect("the node listens");
        Self { client, out, heard }
    }

    /// As any node would: greets, and reads the greeting.
    pub(crate) async fn greet(address: &Multiaddr) -> Self {
        let mut speaker = Self::connect(address).await;
        speaker.say(&hello(STRATEGIES, 1 << 20)).await.expect("the node listens");
        speaker.is_greeted().await;
        speaker
    }

    /// The same in an overlay that signs.
    pub(crate) async fn greet_signed(key: &Keypair, address: &Multiaddr) -> Self {
        let mut speaker = Self::on(Client::dial_as(key, address).await).await;
        speaker.say(&signed_hello()).await.expect("the node listens");
        speaker.is_greeted().await;
        speaker
    }

    async fn is_greeted(&mut self) {
        let speaker = self;
        let (kind, body) = speaker.hear().await.expect("what comes before a hello");
        assert_eq!((kind, body.len()), (9, 4_092));
        let (kind, body) = speaker.hear().await.expect("the node's hello");
        assert_eq!(kind, 0);
        let expected = [&[STRATEGIES.len() as u8], STRATEGIES.as_bytes()].concat();
        assert!(body.starts_with(&expected), "{body:02x?}");
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        write(&mut self.out, bytes).await
    }

    /// The next frame's kind and body.
    pub(crate) async fn hear(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let mut header = [0; 4];
        self.heard.read_exact(&mut header).await?;
        let length = u32::from_be_bytes([0, header[1], header[2], header[3]]);
        let mut body = vec![0; length as usize];
        self.heard.read_exact(&mut body).await?;
        Ok((header[0], body))
    }
}

/// A number of up to 64 bits: seven bits a byte, the low ones first.
pub(crate) fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A frame: kind, three bytes of length, body.
pub(crate) fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

pub(crate) fn hello(strategies: &str, max_frame: u64) -> Vec<u8> {
    ordered_hello(strategies, max_frame, 1, (0, 0))
}

/// That of a connection with this number, dialled by whoever has heard of that one of the other side.
pub(crate) fn ordered_hello(
    strategies: &str,
    max_frame: u64,
    dialled: u64,
    heard: (u64, u64),
) -> Vec<u8> {
    let text = |text: &str| [number(text.len() as u64), text.into()].concat();
    let parts = [text(strategies), number(0), number(1), number(max_frame)];
    let order = [number(dialled), number(heard.0), number(heard.1)];
    frame(0, &[parts.concat(), order.concat(), number(0)].concat())
}

/// That of a node in an overlay that signs, started at 1.
fn signed_hello() -> Vec<u8> {
    let mut hello = hello(STRATEGIES, 1 << 20);
    // Behind the header, the length of the names, and the names.
    hello[4 + 1 + STRATEGIES.len()] = 1;
    hello
}

/// The 32 bytes of a node's key.
pub(crate) fn key_of(node: NodeId) -> Vec<u8> {
    node.to_peer_id().to_bytes().split_off(6)
}

/// Topic `news`, published now, and what comes before a proof.
pub(crate) fn content(data: &[u8]) -> Vec<u8> {
    content_of(Duration::ZERO, data)
}

/// The same, published a while ago.
pub(crate) fn content_of(ago: Duration, data: &[u8]) -> Vec<u8> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    let published = now.saturating_sub(ago).as_micros() as u64;
    [&[4], &b"news"[..], &published.to_le_bytes(), data].concat()
}

/// Proof of nothing.
pub(crate) const UNSIGNED: &[u8] = &[0];

/// Proof that `key` published this alone, under this start and number.
pub(crate) fn proof(key: &Keypair, started: u64, sequence: u64, content: &[u8]) -> Vec<u8> {
    let network =
        Sha256::new().chain_update("murmurate network\0").chain_update(NETWORK).finalize();
    let root = Sha256::new().chain_update([0]).chain_update(started.to_le_bytes());
    let root = root.chain_update(sequence.to_le_bytes()).chain_update(content).finalize();
    let statement = [b"murmurate broadcasts 1\0", &network[..], &root[..]].concat();
    [&key.sign(&statement).expect("a signature")[..], &[0, 1]].concat()
}

/// A broadcast in somebody's name.
pub(crate) fn gossip(
    origin: NodeId,
    started: u64,
    sequence: u64,
    content: &[u8],
    proof: &[u8],
) -> Vec<u8> {
    let id = [key_of(origin), number(started), number(sequence)].concat();
    frame(3, &[&[0], &id[..], &number(1), content, proof].concat())
}

//! The form of `peers.json`.

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use super::{Heard, KnownPeer, MAX_ADDRESSES, MAX_HEARD, MAX_PEERS, Snapshot};
use crate::discovery::MAX_ADDRESS_BYTES;
use crate::id::{Incarnation, NodeId};

/// The version of the form. What is written in another one is not understood.
const FORMAT: u32 = 1;

pub(super) struct Stored {
    pub(super) network: String,
    pub(super) snapshot: Snapshot,
}

/// As in the file. Ids and addresses are text, so that it can be read by people.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    network: String,
    started: u64,
    peers: Vec<Entry>,
    /// Node, start, and one more than the highest number heard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    heard: Vec<(String, u64, u64)>,
    /// Of the document without it: a flipped bit in a number would go unnoticed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checksum: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    node: String,
    addresses: Vec<String>,
}

#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// FNV-1a with 64 bits (RFC 9923): against accidents, not against people.
fn checksum(document: &Document) -> String {
    let bytes = serde_json::to_vec(document).unwrap_or_default();
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

pub(super) fn write(network: &str, snapshot: &Snapshot) -> Vec<u8> {
    let entry = |peer: &KnownPeer| {
        let addresses = peer.addresses.iter().map(ToString::to_string);
        let addresses = addresses.filter(|address| address.len() <= MAX_ADDRESS_BYTES);
        Entry { node: peer.node.to_string(), addresses: addresses.take(MAX_ADDRESSES).collect() }
    };
    let line = |heard: &Heard| (heard.origin.node.to_string(), heard.origin.started, heard.next);
    let mut document = Document {
        format: FORMAT,
        network: network.into(),
        started: snapshot.started,
        peers: snapshot.peers.iter().take(MAX_PEERS).map(entry).collect(),
        heard: snapshot.heard.iter().take(MAX_HEARD).map(line).collect(),
        checksum: None,
    };
    document.checksum = Some(checksum(&document));
    let mut bytes = serde_json::to_vec_pretty(&document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Or what is wrong with it.
pub(super) fn read(bytes: &[u8]) -> Result<Stored, String> {
    if bytes.is_empty() {
        return Err("the file is empty".into());
    }
    let no_json = |error: serde_json::Error| format!("not the JSON expected: {error}");
    let Version { format } = serde_json::from_slice(bytes).map_err(no_json)?;
    if format != FORMAT {
        return Err(format!("format {format}, but this version reads format {FORMAT} only"));
    }
    let mut document: Document = serde_json::from_slice(bytes).map_err(no_json)?;
    let stated = document.checksum.take();
    let actual = checksum(&document);
    if stated.as_deref() != Some(&actual) {
        let stated = stated.as_deref().unwrap_or("absent");
        return Err(format!("the checksum is {stated}, but should be {actual}"));
    }
    let many = |what: &str, count: usize, most: usize| format!("{count} {what}, at most {most}");
    if document.peers.len() > MAX_PEERS {
        return Err(many("peers", document.peers.len(), MAX_PEERS));
    }
    let mut peers = Vec::new();
    for Entry { node, addresses } in document.peers {
        if addresses.len() > MAX_ADDRESSES {
            return Err(many("addresses of a peer", addresses.len(), MAX_ADDRESSES));
        }
        let node: NodeId = node.parse().map_err(|error| format!("a peer: {error}"))?;
        let address = |text: &String| {
            text.parse::<Multiaddr>().map_err(|error| format!("the address {text:?}: {error}"))
        };
        let addresses = addresses.iter().map(address).collect::<Result<_, _>>()?;
        peers.push(KnownPeer { node, addresses });
    }
    if document.heard.len() > MAX_HEARD {
        return Err(many("publishers", document.heard.len(), MAX_HEARD));
    }
    let mut heard = Vec::new();
    for (node, started, next) in document.heard {
        let node: NodeId = node.parse().map_err(|error| format!("a publisher: {error}"))?;
        heard.push(Heard { origin: Incarnation { node, started }, next });
    }
    let snapshot = Snapshot { started: document.started, peers, heard };
    Ok(Stored { network: document.network, snapshot })
}

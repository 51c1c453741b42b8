//! The admin socket: what is said on it. `docs/admin.md` is for those who write their own client.
//!
//! | room | what |
//! |---|---|
//! | here | requests and replies |
//! | `socket` | where the socket is, and how it gets there |
//! | `server` | the node's end |
//! | `channels` | its part that is about channels |
//! | `secrets` | its part that is about the cluster's secrets |
//! | `state` | its part that is about the state that the cluster shares |
//! | `client` | who is connected |
//! | `agent` | the node that they command |

mod agent;
mod channels;
mod client;
mod secrets;
pub(crate) mod server;
pub(crate) mod socket;
mod state;

pub(crate) use agent::{Agent, Kept};

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use murmurate_services::Flag;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What can be asked, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    Info {},
    Members {},
    Broadcast {
        topic: String,
        data: Base64,
    },
    Subscribe {
        topic: String,
    },
    /// A message to one node, on a channel.
    Send {
        to: String,
        channel: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        data: Base64,
    },
    /// A request to one node, on a channel.
    #[serde(rename = "request")]
    Ask {
        to: String,
        channel: String,
        data: Base64,
    },
    /// What arrives on a channel, one message at a time.
    Listen {
        channel: String,
    },
    /// The listener is done with the message it was given.
    Taken {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<Base64>,
    },
    Graph {},
    /// Join through these contacts, too.
    Join {
        contacts: Vec<String>,
    },
    Leave {},
    /// Change the cluster's secrets, or only tell which there are.
    Secret(SecretChange),
    /// Read the state that the cluster shares, or change it.
    State(StateRequest),
}

/// What to do with the state that the cluster shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum StateRequest {
    Members {},
    Groups {
        scope: String,
    },
    Group {
        scope: String,
        group: String,
    },
    Presence {
        topic: String,
    },
    Names {},
    Get {
        key: String,
    },
    Put {
        key: String,
        value: Base64,
    },
    Delete {
        key: String,
    },
    /// All values whose keys begin so.
    List {
        prefix: String,
    },
    /// The same, and then each that changes.
    Watch {
        prefix: String,
    },
    Flag {
        name: String,
    },
    SetFlag {
        name: String,
        flag: Flag,
    },
}

/// What to do with the secrets of all nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum SecretChange {
    Install {
        secret: String,
    },
    Use {
        id: String,
    },
    Remove {
        id: String,
    },
    /// Nothing.
    None {},
}

/// What is answered, one JSON object a line, with one field that says what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    Info(Info),
    Members(Members),
    /// Published, under this name.
    Published {
        id: String,
    },
    /// Messages follow.
    Subscribed {
        topic: String,
    },
    Message(Message),
    /// Messages that were not read in time and are lost.
    Lagged(u64),
    /// Broadcasts that never reached the node and can be had no more.
    Missed {
        origin: String,
        count: u64,
    },
    /// What became of a message.
    Sent(Sent),
    /// What the receiver of a request says.
    Answer(Answer),
    /// Messages follow, each once the one before was taken.
    Listening(Listening),
    Received(Received),
    /// A node of the graph that answered.
    Node(Views),
    /// A node of the graph that did not.
    Silent(String),
    /// The secrets, and who has them.
    Secrets(SecretsHeld),
    /// Nodes of the cluster, also such as have failed.
    Roster(Vec<RosterMember>),
    /// Names of groups, or of keys that somebody has.
    Names(Vec<String>),
    /// Entries of a group, a topic or the registry.
    Entries(Vec<Entry>),
    Value(KeyValue),
    /// Whether there was one.
    Deleted(bool),
    /// What a flag says, or null if nobody set it.
    Flag(Option<Flag>),
    /// Still at it, for so many seconds.
    Working(u64),
    /// That was all, or it is done.
    Done {},
    /// It was not done, or it is over.
    Error(String),
}

/// A node of the cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RosterMember {
    pub(crate) node: String,
    /// Milliseconds since 1970.
    pub(crate) started: u64,
    pub(crate) name: String,
    /// `alive`, `suspected` or `failed`.
    pub(crate) liveness: String,
    pub(crate) region: String,
    pub(crate) version: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Something that a node holds for as long as it lives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The key or the name, if several are listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    pub(crate) node: String,
    pub(crate) about: Base64,
    /// The same, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// A key and its value; none if there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct KeyValue {
    pub(crate) key: String,
    pub(crate) value: Option<Base64>,
    /// The same, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    /// Who wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) writer: Option<String>,
}

/// The ids of the secrets that a node has, the one it proves first, and how many nodes have the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SecretsHeld {
    pub(crate) secrets: Vec<String>,
    pub(crate) holding: usize,
    pub(crate) nodes: usize,
    /// Nodes that did not answer, or answered that they have others.
    pub(crate) without: Vec<String>,
}

/// Who a node is and what it sees.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Info {
    pub(crate) node: String,
    /// Milliseconds since 1970.
    pub(crate) started: u64,
    pub(crate) network: String,
    pub(crate) version: String,
    pub(crate) pid: u32,
    pub(crate) addresses: Vec<String>,
    pub(crate) ready: bool,
    pub(crate) active: usize,
    pub(crate) passive: usize,
    pub(crate) connections: usize,
    pub(crate) outbox_bytes: usize,
    /// Where metrics and health are served.
    pub(crate) metrics: Option<String>,
    pub(crate) admin: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Members {
    pub(crate) active: Vec<Neighbor>,
    pub(crate) passive: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Neighbor {
    pub(crate) node: String,
    /// `eager` or `lazy`.
    pub(crate) tree: Tree,
    pub(crate) addresses: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tree {
    /// Payloads are pushed to it.
    Eager,
    /// It gets announcements.
    Lazy,
}

/// A node and its neighbours, as it tells them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Views {
    pub(crate) node: String,
    pub(crate) neighbors: Vec<Neighbor>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Publisher, its start, and the number of the message, counted by that start.
    pub(crate) id: String,
    pub(crate) from: String,
    pub(crate) topic: String,
    pub(crate) hops: u16,
    /// By the publisher's clock, since 1970.
    pub(crate) published_seconds: f64,
    pub(crate) data: Base64,
    /// The data, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sent {
    pub(crate) outcome: Outcome,
    /// Why, unless it was delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How long that took.
    pub(crate) seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// On its way: its kind knows no more.
    Sent,
    Delivered,
    Dropped,
    Gone,
    TimedOut,
    Shed,
    Unreachable,
    Refused,
}

impl Outcome {
    /// Whether it is what the sender wanted.
    pub(crate) fn is_good(self) -> bool {
        matches!(self, Self::Sent | Self::Delivered)
    }

    /// As people read it.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Dropped => "dropped",
            Self::Gone => "gone",
            Self::TimedOut => "timed out",
            Self::Shed => "shed",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) data: Base64,
    /// The data, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
    pub(crate) seconds: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) channel: String,
    /// As it is configured: requests want answers.
    pub(crate) kind: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Received {
    pub(crate) from: String,
    pub(crate) channel: String,
    pub(crate) data: Base64,
    /// The data, if it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) text: Option<String>,
}

/// Data as text, if it is some.
pub(crate) fn text(data: &[u8]) -> Option<String> {
    std::str::from_utf8(data).ok().map(Into::into)
}

/// Bytes, in JSON as base64 (RFC 4648, section 4, with padding).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text);
        bytes.map(Self).map_err(|error| D::Error::custom(format!("no base64: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_replies_are_written_as_documented() {
        let is = |request: &Request, text: &str| {
            assert_eq!(serde_json::to_string(request).expect("JSON"), text);
            assert_eq!(&serde_json::from_str::<Request>(text).expect("a request"), request);
        };
        is(&Request::Info {}, r#"{"request":"info"}"#);
        let data = Base64(vec![0, 255]);
        let request = Request::Broadcast { topic: "t".into(), data };
        is(&request, r#"{"request":"broadcast","topic":"t","data":"AP8="}"#);
        let (to, channel) = ("n".to_owned(), "c".to_owned());
        let key = Some("k".to_owned());
        let data = Base64(vec![0, 255]);
        let send = Request::Send { to: to.clone(), channel: channel.clone(), key, data };
        is(&send, r#"{"request":"send","to":"n","channel":"c","key":"k","data":"AP8="}"#);
        let request = Request::Ask { to, channel: channel.clone(), data: Base64(vec![]) };
        is(&request, r#"{"request":"request","to":"n","channel":"c","data":""}"#);
        is(&Request::Listen { channel }, r#"{"request":"listen","channel":"c"}"#);
        let join = Request::Join { contacts: vec!["seed:7400".into()] };
        is(&join, r#"{"request":"join","contacts":["seed:7400"]}"#);
        is(&Request::Taken { answer: None }, r#"{"request":"taken"}"#);
        let answer = Some(Base64(vec![0, 255]));
        is(&Request::Taken { answer }, r#"{"request":"taken","answer":"AP8="}"#);
        let reply = |reply| serde_json::to_string(&reply).expect("JSON");
        assert_eq!(reply(Reply::Done {}), r#"{"done":{}}"#);
        assert_eq!(reply(Reply::Lagged(3)), r#"{"lagged":3}"#);
        let sent = Sent { outcome: Outcome::TimedOut, reason: Some("why".into()), seconds: 0.5 };
        let written = r#"{"sent":{"outcome":"timed_out","reason":"why","seconds":0.5}}"#;
        assert_eq!(reply(Reply::Sent(sent)), written);
        assert_eq!(reply(Reply::Error("no".into())), r#"{"error":"no"}"#);
        for wrong in [
            "{}",
            "[]",
            r#"{"request":"quux"}"#,
            r#"{"request":"info","more":1}"#,
            r#"{"request":"broadcast","topic":"t","data":"?"}"#,
        ] {
            assert!(serde_json::from_str::<Request>(wrong).is_err(), "{wrong}");
        }
    }
}

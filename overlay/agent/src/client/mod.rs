//! The commands that talk to a running node through its admin socket.

mod channels;
mod connection;
mod graph;
mod show;
mod state;

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use murmurate::admission::{Secret, SecretError};
use serde_json::json;

use crate::admin::{Base64, Reply, Request, SecretChange};
use crate::args::{self, GraphFormat, SecretCommand};
use crate::failure::{Outcome, Usage, say};
use crate::progress::while_waiting;
use crate::{credentials, secret_file};
pub(crate) use channels::{listen, request, send};
use connection::Connection;
pub(crate) use state::{flag, groups, kv, names, presence};

/// `murmurate members`
pub(crate) async fn members(options: &args::Members) -> Outcome {
    if options.all || !options.tag.is_empty() {
        return state::members(options).await;
    }
    let options = &options.client;
    match ask(options, &Request::Members {}, "asking the node").await? {
        Reply::Members(members) if options.json => say(json!(members))?,
        Reply::Members(members) => say(show::members(&members))?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate info`
pub(crate) async fn info(options: &args::Client) -> Outcome {
    match ask(options, &Request::Info {}, "asking the node").await? {
        Reply::Info(info) if options.json => say(json!(info))?,
        Reply::Info(info) => say(show::info(&info))?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate join`
pub(crate) async fn join(options: &args::Join) -> Outcome {
    let request = Request::Join { contacts: options.contacts.clone() };
    match ask(&options.client, &request, "waiting for a contact to answer").await? {
        Reply::Done {} if options.client.json => say(json!({ "joined": true }))?,
        Reply::Done {} => say("joined")?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate leave`
pub(crate) async fn leave(options: &args::Client) -> Outcome {
    match ask(options, &Request::Leave {}, "leaving").await? {
        Reply::Done {} if options.json => say(json!({ "left": true }))?,
        Reply::Done {} => say("left")?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate broadcast`
pub(crate) async fn broadcast(options: &args::Broadcast) -> Outcome {
    let mut data = options.data.clone().into_bytes();
    if options.data == "-" {
        data.clear();
        let read = std::io::stdin().lock().read_to_end(&mut data);
        read.map_err(|error| format!("cannot read standard input: {error}"))?;
    }
    let request = Request::Broadcast { topic: options.topic.clone(), data: Base64(data) };
    match ask(&options.client, &request, "waiting for a neighbour to take it").await? {
        Reply::Published { id } if options.client.json => say(json!({ "id": id }))?,
        Reply::Published { id } => say(id)?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate subscribe`
pub(crate) async fn subscribe(options: &args::Subscribe) -> Outcome {
    let mut connection = Connection::open(&options.client).await?;
    let request = Request::Subscribe { topic: options.topic.clone() };
    match connection.ask(&request).await? {
        Reply::Subscribed { topic } => eprintln!("subscribed to {topic}: Ctrl-C ends it"),
        reply => return Err(unexpected(&reply)),
    }
    let mut left = options.count.unwrap_or(u64::MAX);
    while left > 0 {
        let reply = tokio::select! {
            reply = connection.next() => reply?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                break;
            }
        };
        match reply {
            Reply::Message(message) => {
                left -= 1;
                if options.client.json {
                    say(json!(message))?;
                } else {
                    say(String::from_utf8_lossy(&message.data.0))?;
                }
            }
            Reply::Lagged(lost) if options.client.json => say(json!({ "lagged": lost }))?,
            Reply::Lagged(lost) => eprintln!("{lost} messages were not read in time and are lost"),
            Reply::Missed { origin, count } if options.client.json => {
                say(json!({ "missed": { "origin": origin, "count": count } }))?;
            }
            Reply::Missed { origin, count } => {
                eprintln!("{count} messages of {origin} never came and can be had no more");
            }
            reply => return Err(unexpected(&reply)),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate secret`
pub(crate) async fn secret(options: &args::Secret) -> Outcome {
    let (change, client) = match &options.command {
        SecretCommand::Generate { file } => return credentials::generate_secret(file.as_deref()),
        SecretCommand::Install { file, client } => {
            (SecretChange::Install { secret: new_secret(file)? }, client)
        }
        SecretCommand::Use { id, client } => (SecretChange::Use { id: id.to_string() }, client),
        SecretCommand::Remove { id, client } => {
            (SecretChange::Remove { id: id.to_string() }, client)
        }
        SecretCommand::List(client) => (SecretChange::None {}, client),
    };
    let mut connection = Connection::open(client).await?;
    let request = Request::Secret(change);
    let asked = connection.ask_for_outcome(&request);
    let reply = while_waiting("waiting for all nodes", asked).await?;
    match reply.ok_or("the node did not answer in time")? {
        Reply::Secrets(held) => {
            if client.json {
                say(json!(held))?;
            } else {
                say(show::secrets(&held))?;
            }
            let is_complete = held.without.is_empty();
            Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        reply => Err(unexpected(&reply)),
    }
}

/// A secret from a file, or from standard input.
fn new_secret(file: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    if file == Path::new("-") {
        let read = std::io::stdin().lock().read_to_string(&mut text);
        read.map_err(|error| format!("cannot read standard input: {error}"))?;
    } else {
        let read = secret_file::read(file).and_then(secret_file::text);
        text = read.map_err(|why| format!("{}: {why}", file.display()))?;
    }
    let secret: Secret =
        text.trim().parse().map_err(|error: SecretError| Usage(error.to_string()))?;
    Ok(secret.to_text().as_str().to_owned())
}

/// `murmurate graph`
pub(crate) async fn graph(options: &args::Graph) -> Outcome {
    let mut connection = Connection::open(&options.client).await?;
    let crawl = async {
        let mut graph = graph::Graph::default();
        let mut reply = connection.ask(&Request::Graph {}).await?;
        loop {
            match reply {
                Reply::Working(_) => {}
                Reply::Node(views) => graph.add(views),
                Reply::Silent(node) => graph.add_silent(node),
                Reply::Done {} => return Ok(graph),
                reply => return Err(unexpected(&reply)),
            }
            reply = connection.answer().await?;
        }
    };
    let graph = while_waiting("asking all nodes for their neighbours", crawl).await?;
    let text = match options.format {
        _ if options.client.json => graph.to_json(),
        GraphFormat::Json => graph.to_json(),
        GraphFormat::Dot => graph.to_dot(),
        GraphFormat::Graphml => graph.to_graphml(),
    };
    say(text.trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// One request, one answer.
async fn ask(
    options: &args::Client,
    request: &Request,
    doing: &str,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let mut connection = Connection::open(options).await?;
    while_waiting(doing, connection.ask(request)).await
}

/// An error that the node told, or something this version does not know.
fn unexpected(reply: &Reply) -> Box<dyn std::error::Error> {
    match reply {
        Reply::Error(error) => error.clone().into(),
        reply => Usage(format!("the node answers {reply:?}: is it of another version?")).into(),
    }
}

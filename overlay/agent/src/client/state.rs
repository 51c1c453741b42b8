//! The commands about the state that the cluster shares.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use murmurate_services::Flag;
use serde_json::json;

use super::connection::Connection;
use super::{ask, show, unexpected};
use crate::admin::{Base64, KeyValue, Reply, Request, RosterMember, StateRequest};
use crate::args::{self, KvCommand};
use crate::failure::{Outcome, say};

const ASKING: &str = "asking the node";

/// `murmurate members --all`
pub(super) async fn members(options: &args::Members) -> Outcome {
    let request = Request::State(StateRequest::Members {});
    let Reply::Roster(mut members) = answer(&options.client, &request).await? else {
        return Err("the node answers something else: is it of another version?".into());
    };
    let has = |member: &RosterMember| {
        options.tag.iter().all(|(key, value)| member.tags.get(key) == Some(value))
    };
    members.retain(has);
    members.sort_by(|a, b| (&a.liveness, &a.name, &a.node).cmp(&(&b.liveness, &b.name, &b.node)));
    if options.client.json {
        for member in &members {
            say(json!(member))?;
        }
    } else {
        say(show::roster(&members))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `murmurate kv`
pub(crate) async fn kv(command: KvCommand) -> Outcome {
    match command {
        KvCommand::Get { key, client } => {
            let request = Request::State(StateRequest::Get { key });
            match answer(&client, &request).await? {
                Reply::Value(KeyValue { value: None, key, .. }) => {
                    if client.json {
                        say(json!({ "key": key, "value": null }))?;
                    }
                    Ok(ExitCode::FAILURE)
                }
                Reply::Value(value) if client.json => done(say(json!(value))),
                Reply::Value(KeyValue { value: Some(Base64(bytes)), .. }) => {
                    let mut output = std::io::stdout().lock();
                    done(output.write_all(&bytes).and_then(|()| output.write_all(b"\n")))
                }
                reply => Err(unexpected(&reply)),
            }
        }
        KvCommand::Put { key, value, client } => {
            let mut bytes = value.clone().into_bytes();
            if value == "-" {
                bytes.clear();
                let read = std::io::stdin().lock().read_to_end(&mut bytes);
                read.map_err(|error| format!("cannot read standard input: {error}"))?;
            }
            let request = Request::State(StateRequest::Put { key, value: Base64(bytes) });
            match answer(&client, &request).await? {
                Reply::Done {} if client.json => done(say(json!({ "put": true }))),
                Reply::Done {} => Ok(ExitCode::SUCCESS),
                reply => Err(unexpected(&reply)),
            }
        }
        KvCommand::Delete { key, client } => {
            let request = Request::State(StateRequest::Delete { key });
            let Reply::Deleted(deleted) = answer(&client, &request).await? else {
                return Err("the node answers something else: is it of another version?".into());
            };
            if client.json {
                say(json!({ "deleted": deleted }))?;
            }
            Ok(if deleted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        }
        KvCommand::List { prefix, client } => {
            stream(&client, &Request::State(StateRequest::List { prefix })).await
        }
        KvCommand::Watch { prefix, client } => {
            stream(&client, &Request::State(StateRequest::Watch { prefix })).await
        }
    }
}

/// Prints values until there are no more.
async fn stream(client: &args::Client, request: &Request) -> Outcome {
    let mut connection = Connection::open(client).await?;
    let mut reply = connection.ask(request).await?;
    loop {
        match reply {
            Reply::Value(value) if client.json => say(json!(value))?,
            Reply::Value(KeyValue { key, value: Some(Base64(bytes)), .. }) => {
                say(format_args!("{key} {}", String::from_utf8_lossy(&bytes)))?;
            }
            Reply::Value(KeyValue { key, value: None, .. }) => say(format_args!("{key} is gone"))?,
            Reply::Working(_) => {}
            Reply::Done {} => return Ok(ExitCode::SUCCESS),
            reply => return Err(unexpected(&reply)),
        }
        reply = tokio::select! {
            reply = connection.next() => reply?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                return Ok(ExitCode::SUCCESS);
            }
        };
    }
}

/// `murmurate flag`
pub(crate) async fn flag(options: args::FlagCommand) -> Outcome {
    let args::FlagCommand { name, set, client } = options;
    let request = match set {
        Some(flag) => StateRequest::SetFlag { name, flag },
        None => StateRequest::Flag { name },
    };
    match answer(&client, &Request::State(request)).await? {
        Reply::Done {} if client.json => done(say(json!({ "set": true }))),
        Reply::Done {} => Ok(ExitCode::SUCCESS),
        Reply::Flag(flag) if client.json => done(say(json!({ "flag": flag }))),
        Reply::Flag(flag) => done(say(words(flag))),
        reply => Err(unexpected(&reply)),
    }
}

fn words(flag: Option<Flag>) -> String {
    match flag {
        Some(Flag::On) => "on".into(),
        Some(Flag::Share(share)) => format!("on for {} % of all keys", f64::from(share) / 100.0),
        Some(Flag::Keys(keys)) => format!("on for {}", keys.join(", ")),
        _ => "off".into(),
    }
}

/// `murmurate groups`
pub(crate) async fn groups(options: args::Groups) -> Outcome {
    let args::Groups { scope, group, client } = options;
    let request = match group {
        Some(group) => StateRequest::Group { scope, group },
        None => StateRequest::Groups { scope },
    };
    match answer(&client, &Request::State(request)).await? {
        Reply::Names(names) if client.json => done(say(json!({ "groups": names }))),
        Reply::Names(names) => {
            names.iter().try_for_each(say)?;
            Ok(ExitCode::SUCCESS)
        }
        reply => entries(&client, reply),
    }
}

/// `murmurate presence`
pub(crate) async fn presence(options: args::Presence) -> Outcome {
    let request = Request::State(StateRequest::Presence { topic: options.topic });
    entries(&options.client, answer(&options.client, &request).await?)
}

/// `murmurate names`
pub(crate) async fn names(client: &args::Client) -> Outcome {
    entries(client, answer(client, &Request::State(StateRequest::Names {})).await?)
}

fn entries(client: &args::Client, reply: Reply) -> Outcome {
    match reply {
        Reply::Entries(entries) if client.json => {
            entries.iter().try_for_each(|entry| say(json!(entry)))?;
        }
        Reply::Entries(entries) => say(show::entries(&entries))?,
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

async fn answer(
    client: &args::Client,
    request: &Request,
) -> Result<Reply, Box<dyn std::error::Error>> {
    match ask(client, request, ASKING).await? {
        Reply::Error(error) => Err(error.into()),
        reply => Ok(reply),
    }
}

fn done(said: std::io::Result<()>) -> Outcome {
    said?;
    Ok(ExitCode::SUCCESS)
}

//! The commands that are about channels: send, request, listen.

use std::error::Error;
use std::io::{IsTerminal as _, Read as _};
use std::process::ExitCode;

use serde_json::json;

use super::connection::Connection;
use super::unexpected;
use crate::admin::{Base64, Outcome, Received, Reply, Request, Sent};
use crate::args;
use crate::failure::{self, Usage, say};
use crate::progress::while_waiting;

/// The largest message of any channel.
const LARGEST: u64 = (1 << 24) - 1;

/// A message from the command line, or else from standard input.
fn message(given: Option<&str>) -> Result<Vec<u8>, Box<dyn Error>> {
    if let Some(text) = given.filter(|text| *text != "-") {
        return Ok(text.into());
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        eprintln!("reading the message from standard input: Ctrl-D ends it");
    }
    let mut data = Vec::new();
    let read = stdin.lock().take(LARGEST + 1).read_to_end(&mut data);
    read.map_err(|error| format!("cannot read standard input: {error}"))?;
    if data.len() as u64 > LARGEST {
        return Err(format!("more than {LARGEST} bytes on standard input").into());
    }
    Ok(data)
}

/// `murmurate send`
pub(crate) async fn send(options: &args::Send) -> failure::Outcome {
    let to = &options.to;
    let request = Request::Send {
        to: to.to.clone(),
        channel: to.channel.clone(),
        key: options.key.clone(),
        data: Base64(message(to.message.as_deref())?),
    };
    match ask(&to.client, &request).await? {
        Reply::Sent(sent) => tell(&sent, to.client.json),
        reply => Err(unexpected(&reply)),
    }
}

/// `murmurate request`
pub(crate) async fn request(options: &args::Request) -> failure::Outcome {
    let to = &options.to;
    let request = Request::Ask {
        to: to.to.clone(),
        channel: to.channel.clone(),
        data: Base64(message(to.message.as_deref())?),
    };
    match ask(&to.client, &request).await? {
        Reply::Answer(answer) if to.client.json => say(json!(answer))?,
        Reply::Answer(answer) => say(String::from_utf8_lossy(&answer.data.0))?,
        Reply::Sent(sent) => return tell(&sent, to.client.json),
        reply => return Err(unexpected(&reply)),
    }
    Ok(ExitCode::SUCCESS)
}

/// What a message comes to, or that nobody knew in time.
async fn ask(options: &args::Client, request: &Request) -> Result<Reply, Box<dyn Error>> {
    let mut connection = Connection::open(options).await?;
    let outcome = connection.ask_for_outcome(request);
    let outcome = while_waiting("waiting for the receiver", outcome).await?;
    Ok(outcome.unwrap_or_else(|| {
        let time = humantime::format_duration(options.timeout);
        let reason = Some(format!("nobody said within {time} what became of it"));
        let seconds = options.timeout.as_secs_f64();
        Reply::Sent(Sent { outcome: Outcome::TimedOut, reason, seconds })
    }))
}

/// Says what became of a message.
fn tell(sent: &Sent, json: bool) -> failure::Outcome {
    let (is_good, words) = (sent.outcome.is_good(), sent.outcome.words());
    if json {
        say(json!(sent))?;
    } else if is_good {
        say(words)?;
    } else {
        let reason = sent.reason.as_deref().unwrap_or("nobody said why");
        return Err(format!("{words}: {reason}").into());
    }
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `murmurate listen`
pub(crate) async fn listen(options: &args::Listen) -> failure::Outcome {
    let mut connection = Connection::open(&options.client).await?;
    let request = Request::Listen { channel: options.channel.clone() };
    match connection.ask(&request).await? {
        Reply::Listening(listening) => {
            let (channel, kind) = (listening.channel, listening.kind);
            let answers = options.echo || options.answer.is_some();
            if kind == "request" && !answers {
                let why =
                    "carries requests: say what they are answered with, --answer TEXT or --echo";
                return Err(Usage(format!("channel {channel:?} {why}")).into());
            }
            if kind != "request" && answers {
                let why =
                    format!("has no answers, its kind is {kind}: leave out --answer and --echo");
                return Err(Usage(format!("channel {channel:?} {why}")).into());
            }
            eprintln!("listening on {channel}: Ctrl-C ends it");
        }
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
        let Reply::Received(received) = reply else { return Err(unexpected(&reply)) };
        left -= 1;
        // It is taken once it is out, not before.
        print(&received, options.client.json)?;
        let answer = match &options.answer {
            Some(text) => Some(Base64(text.clone().into_bytes())),
            None => options.echo.then_some(received.data),
        };
        connection.say(&Request::Taken { answer }).await?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(received: &Received, json: bool) -> std::io::Result<()> {
    if json {
        return say(json!(received));
    }
    say(format_args!("{}: {}", received.from, String::from_utf8_lossy(&received.data.0)))
}

//! Channels through agents: what is sent, listened to and answered from the command line.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;

use std::io::{BufReader, Read as _, Write as _};
use std::process::{ChildStdout, Stdio};

use agent::{Agent, Process, Raw, Signal, eventually, murmurate, run, text};
use serde_json::{Value, json};

const CHANNELS: [&str; 6] = [
    "--channel",
    "plain=best-effort",
    "--channel",
    "sure=acknowledged",
    "--channel",
    "ask=request",
];

/// Two agents that declare the same and are neighbours.
fn pair(folder: &std::path::Path, more: &[&str]) -> [Agent; 2] {
    let one = Agent::start(folder, "one", &[&CHANNELS, more].concat());
    let join = ["--join", &one.address];
    let two = Agent::start(folder, "two", &[&CHANNELS[..], more, &join].concat());
    eventually("they join", || (two.neighbors().len() == 1).then_some(()));
    [one, two]
}

/// A listener that has said that it listens, and what it prints.
fn listen(at: &Agent, arguments: &[&str]) -> (Process, BufReader<ChildStdout>) {
    let admin = at.admin.to_str().expect("UTF-8");
    let mut command = murmurate(&[&["listen", "--admin", admin], arguments].concat());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = Process(command.spawn().expect("the binary runs"));
    let mut line = [0; 9];
    let mut errors = process.0.stderr.take().expect("piped");
    errors.read_exact(&mut line).expect("it says that it listens");
    assert_eq!(text(&line), "listening");
    // It has more to say.
    process.0.stderr = Some(errors);
    let out = BufReader::new(process.0.stdout.take().expect("piped"));
    (process, out)
}

fn all(mut out: impl std::io::Read) -> String {
    let mut said = String::new();
    out.read_to_string(&mut said).expect("UTF-8");
    said
}

#[test]
fn messages_arrive_and_their_senders_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = pair(folder.path(), &[]);
    let (mut listener, out) = listen(&two, &["--channel", "sure", "--count", "2", "--json"]);
    let sent = one.json(&["send", "--to", &two.node, "--channel", "sure", "--key", "k", "hello"]);
    assert_eq!((&sent["outcome"], &sent["reason"]), (&json!("delivered"), &Value::Null), "{sent}");
    assert!(sent["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{sent}");
    // From standard input, bytes and all.
    let admin = one.admin.to_str().expect("UTF-8");
    let mut binary = murmurate(&["send", "--to", &two.node, "--channel", "sure", "--admin", admin]);
    let binary = binary.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut binary = Process(binary.expect("the binary runs"));
    binary.0.stdin.take().expect("piped").write_all(&[0, 255, 10]).expect("written");
    assert!(binary.ends().success());
    assert_eq!(all(binary.0.stdout.take().expect("piped")), "delivered\n");
    assert!(listener.ends().success(), "--count ends it");
    let heard: Vec<Value> =
        all(out).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = json!({ "from": one.node, "channel": "sure", "data": "aGVsbG8=", "text": "hello" });
    assert_eq!(heard[0], first);
    assert_eq!((&heard[1]["data"], &heard[1]["text"]), (&json!("AP8K"), &Value::Null));

    let output = one.command(&["send", "--to", &two.node, "--channel", "plain", "hi"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("sent\n", Some(0)));
    let (mut listener, out) = listen(&two, &["--channel", "plain", "--count", "1"]);
    assert!(listener.ends().success(), "it waited");
    assert_eq!(all(out), format!("{}: hi\n", one.node));
}

#[test]
fn requests_are_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = pair(folder.path(), &[]);
    let request = ["request", "--to", &two.node, "--channel", "ask", "how are you?"];
    let (mut listener, out) =
        listen(&two, &["--channel", "ask", "--answer", "fine", "--count", "1"]);
    assert_eq!(text(&one.command(&request).stdout), "fine\n");
    assert!(listener.ends().success());
    assert_eq!(all(out), format!("{}: how are you?\n", one.node));
    let (_echo, _out) = listen(&two, &["--channel", "ask", "--echo"]);
    let answer = one.json(&request);
    assert_eq!(answer["text"], "how are you?");
    // One who listens to requests answers them.
    let output = two.command(&["listen", "--channel", "ask"]);
    let error = "error: channel \"ask\" carries requests: say what they are answered with, \
                 --answer TEXT or --echo\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (error, Some(2)));
    let output = two.command(&["listen", "--channel", "sure", "--echo"]);
    assert!(text(&output.stderr).contains("has no answers, its kind is acknowledged"));
}

/// Its port refuses: that is known long before the channel's timeout.
#[test]
fn what_was_sent_to_a_process_that_was_killed_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let timeout = ["--set", "channels.sure.timeout=20s"];
    let [one, mut two] = pair(folder.path(), &timeout);
    let node = two.node.clone();
    let send = format!(
        "{{\"request\":\"send\",\"to\":\"{node}\",\"channel\":\"sure\",\"data\":\"aGVsbG8=\"}}"
    );
    let outcome = |mut sender: Raw| {
        let said = std::iter::from_fn(|| sender.hear());
        let sent = said.map(|reply| reply["sent"]["outcome"].clone()).find(Value::is_string);
        sent.expect("an outcome")
    };
    let mut senders = [one.connect(), one.connect()];
    senders.iter_mut().for_each(|sender| sender.say(&send));
    let came = "murmurate_channel_messages_total{channel=\"sure\",outcome=\"delivered\"} 2\n";
    eventually("they came", || two.get("/metrics").contains(came).then_some(()));
    two.process.signal(Signal::SIGKILL);
    two.process.ends();
    for sender in senders {
        assert_eq!(outcome(sender), "gone");
    }
    let mut late = one.connect();
    late.say(&send);
    assert_eq!(outcome(late), "unreachable", "another node can be asked");
}

#[test]
fn what_was_not_taken_waits_for_the_next_listener() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = pair(folder.path(), &[]);
    let mut sender = one.connect();
    let data = "aGVsbG8=";
    let to = &two.node;
    sender.say(&format!(r#"{{"request":"send","to":"{to}","channel":"sure","data":"{data}"}}"#));
    let mut listener = two.connect();
    let listen = r#"{"request":"listen","channel":"sure"}"#;
    assert_eq!(listener.ask(listen)["listening"]["kind"], "acknowledged");
    assert_eq!(listener.hear().expect("a message")["received"]["data"], data);
    // It goes without a word.
    drop(listener);
    let mut next = two.connect();
    assert!(next.ask(listen)["listening"].is_object());
    assert_eq!(next.hear().expect("the same")["received"]["data"], data);
    // It goes too, and another one listens already.
    let mut waits = two.connect();
    assert!(waits.ask(listen)["listening"].is_object());
    drop(next);
    let mut next = waits;
    assert_eq!(next.hear().expect("the same")["received"]["data"], data);
    next.say(r#"{"request":"taken"}"#);
    let outcome = loop {
        let reply = sender.hear().expect("an outcome");
        if reply["working"].is_null() {
            break reply;
        }
    };
    assert_eq!(outcome["sent"]["outcome"], "delivered", "{outcome}");
    // One that says something else is told so.
    next.say(&format!(r#"{{"request":"listen","channel":"{}"}}"#, "sure"));
    assert!(next.hear().is_none(), "it no longer listens");
    let mut other = two.connect();
    let refused = other.ask(r#"{"request":"taken"}"#);
    assert_eq!(refused["error"], "there is nothing to take: listen first");
    assert!(other.ask(r#"{"request":"info"}"#)["info"].is_object(), "it goes on");
}

#[test]
fn an_answer_that_is_too_large_is_refused_and_the_request_waits() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = pair(folder.path(), &["--set", "channels.ask.max_message=100"]);
    let mut asks = one.connect();
    let to = &two.node;
    asks.say(&format!(r#"{{"request":"request","to":"{to}","channel":"ask","data":""}}"#));
    let mut listener = two.connect();
    let listen = r#"{"request":"listen","channel":"ask"}"#;
    assert!(listener.ask(listen)["listening"].is_object());
    assert!(listener.hear().expect("a request")["received"].is_object());
    let large = "A".repeat(136);
    let refused = listener.ask(&format!(r#"{{"request":"taken","answer":"{large}"}}"#));
    assert_eq!(
        refused["error"],
        "an answer of 102 bytes is out of range: 0 to 100 on this channel"
    );
    assert!(listener.ask(listen)["listening"].is_object());
    assert!(listener.hear().expect("the request again")["received"].is_object());
    listener.say(r#"{"request":"taken","answer":"aGk="}"#);
    let answer = loop {
        let reply = asks.hear().expect("an answer");
        if reply["working"].is_null() {
            break reply;
        }
    };
    assert_eq!(answer["answer"]["text"], "hi", "{answer}");
}

#[test]
fn what_is_not_delivered_is_said_and_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = ["--set", "channels.sure.timeout=300ms", "--set", "channels.sure.max_message=10"];
    let [one, mut two] = pair(folder.path(), &more);
    let send = |to: &str, channel: &str, more: &[&str]| {
        let all = ["send", "--to", to, "--channel", channel];
        let output = one.command(&[&all, more].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        text(&output.stderr) + &text(&output.stdout)
    };
    let said = send(&two.node, "sure", &["hello"]);
    let late = "error: timed out: the receiver did not answer in time: it may or may not have got the message\n";
    assert_eq!(said, late, "nobody listens");
    let said: Value =
        serde_json::from_str(&send(&two.node, "sure", &["hello", "--json"])).expect("JSON");
    assert_eq!(said["outcome"], "timed_out");
    let said = send(&two.node, "sure", &["hello, flock"]);
    let large = "error: refused: 12 bytes are out of range: 0 to 10 on this channel\n";
    assert_eq!(said, large);
    assert_eq!(send(&one.node, "sure", &["x"]), "error: refused: a node cannot send to itself\n");
    let said = send(&two.node, "other", &["x"]);
    let unknown = "error: channel \"other\" is not declared; the node declares: ask, plain, sure\n";
    assert_eq!(said, unknown);
    let said = send("bob", "sure", &["x"]);
    assert!(said.starts_with("error: to = \"bob\" is not a node: write an id as"), "{said}");
    let said = send(&two.node, "ask", &["x"]);
    assert!(said.ends_with("carries requests: use `murmurate request`\n"), "{said}");
    let nobody = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    let said = send(nobody, "sure", &["x"]);
    assert!(said.starts_with(&format!("error: unreachable: {nobody} cannot be reached")), "{said}");
    let ask = ["request", "--to", &two.node, "--channel", "ask", "--timeout", "500ms", "x"];
    let output = one.command(&ask);
    let late = "error: timed out: nobody said within 500ms what became of it\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (late, Some(1)));
    // One message is under way, the receiver ends.
    let mut sender = one.connect();
    sender
        .say(&format!(r#"{{"request":"request","to":"{}","channel":"ask","data":""}}"#, two.node));
    two.process.signal(Signal::SIGKILL);
    two.process.ends();
    let outcome = std::iter::from_fn(|| sender.hear()).find(|reply| reply["working"].is_null());
    let outcome = outcome.expect("an outcome")["sent"]["outcome"].clone();
    assert!(["gone", "unreachable"].iter().any(|gone| outcome == *gone), "{outcome}");
}

#[test]
fn an_agent_without_channels_says_how_to_have_some() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Agent::start(folder.path(), "one", &["--first"]);
    let output = one.command(&["listen", "--channel", "orders"]);
    let error = "error: this node declares no channels: start it with --channel NAME=KIND, or with \
                 [channels.NAME] in its configuration\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (error, Some(1)));
    for (arguments, error) in [
        (["--channel", "orders"], "allowed is NAME=KIND, as in orders=acknowledged"),
        (["--channel", "orders=sure"], "expected one of `best-effort`, `acknowledged`"),
        (["--set", "channels.orders.kin=latest"], "did you mean channels.orders.kind?"),
    ] {
        let output = run(&[&["check-config"], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(error), "{}", text(&output.stderr));
    }
}

#[test]
fn a_listener_whose_output_is_closed_takes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two] = pair(folder.path(), &[]);
    let (mut listener, out) = listen(&two, &["--channel", "plain"]);
    drop(out);
    let output = one.command(&["send", "--to", &two.node, "--channel", "plain", "hi"]);
    assert!(output.status.success());
    assert!(listener.ends().success(), "nobody reads what it prints");
    let (mut next, out) = listen(&two, &["--channel", "plain", "--count", "1"]);
    assert!(next.ends().success(), "the message is still there");
    assert_eq!(all(out), format!("{}: hi\n", one.node));
}

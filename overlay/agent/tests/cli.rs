//! The agent, end to end: processes that join, talk and leave, and what they say when told nonsense.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Stdio;

use agent::{Agent, Process, Signal, eventually, murmurate, run, text};
use serde_json::{Value, json};

/// A first node, a second that joins by address and a third that joins by host and port.
fn three(folder: &std::path::Path, more: &[&str]) -> [Agent; 3] {
    let start = |name, joins: &[&str]| Agent::start(folder, name, &[joins, more].concat());
    let one = start("one", &["--first"]);
    let two = start("two", &["--join", &one.address]);
    let three = start("three", &["--join", &one.host_and_port()]);
    let all = [one, two, three];
    for agent in &all {
        eventually("two neighbours each", || (agent.neighbors().len() == 2).then_some(()));
    }
    all
}

#[test]
fn nodes_join_talk_and_leave() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, mut two, mut three] = three(folder.path(), &[]);
    assert!(one.neighbors().contains(&two.node) && two.neighbors().contains(&three.node));
    let info = two.json(&["info"]);
    assert_eq!(info["node"], two.node);
    assert_eq!(info["addresses"], json!([two.address]));
    assert_eq!(info["ready"], true);
    assert_eq!(info["active"], 2);
    assert_eq!(info["metrics"], two.metrics.to_string());
    let shown = text(&two.command(&["info"]).stdout);
    assert!(shown.contains(&format!("node          {}\n", two.node)), "{shown}");
    let shown = text(&one.command(&["members"]).stdout);
    assert!(shown.starts_with("NODE  "), "{shown}");
    assert!(shown.lines().count() == 3 && shown.contains("  active  eager  /ip4/"), "{shown}");

    let admin = three.admin.to_str().expect("UTF-8").to_owned();
    let subscribe = ["subscribe", "news", "--count", "2", "--json", "--admin", &admin];
    let mut subscriber = murmurate(&subscribe);
    let subscriber = subscriber.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut subscriber = Process(subscriber.expect("the binary runs"));
    let mut line = [0; 10];
    let mut errors = subscriber.0.stderr.take().expect("piped");
    std::io::Read::read_exact(&mut errors, &mut line).expect("it says that it listens");
    assert_eq!(text(&line), "subscribed");

    let id = one.json(&["broadcast", "news", "hello, flock"])["id"].clone();
    assert!(id.as_str().is_some_and(|id| id.starts_with(&one.node)), "{id}");
    let admin = two.admin.to_str().expect("UTF-8").to_owned();
    let mut binary = murmurate(&["broadcast", "news", "-", "--admin", &admin]);
    let binary = binary.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut binary = Process(binary.expect("the binary runs"));
    binary.0.stdin.take().expect("piped").write_all(&[0, 255, 10]).expect("written");
    assert!(binary.ends().success());
    assert!(subscriber.ends().success(), "--count ends it");
    let mut said = String::new();
    let mut out = subscriber.0.stdout.take().expect("piped");
    std::io::Read::read_to_string(&mut out, &mut said).expect("UTF-8");
    let heard: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(heard.len(), 2, "{said}");
    assert_eq!(heard[0]["id"], id);
    assert_eq!(heard[0]["from"], one.node);
    assert_eq!(heard[0]["text"], "hello, flock");
    assert_eq!(heard[0]["data"], "aGVsbG8sIGZsb2Nr");
    assert_eq!((&heard[1]["data"], &heard[1]["text"]), (&json!("AP8K"), &Value::Null));

    let output = three.command(&["leave"]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("left\n", Some(0)));
    assert_eq!(three.process.ends().code(), Some(0));
    assert!(!three.admin.exists(), "its socket goes with it");
    let sees_leave = |node: &str| {
        let told = format!("neighbour down node={node} ");
        let line = eventually("one sees it go", || {
            one.log().lines().find(|line| line.contains(&told)).map(ToOwned::to_owned)
        });
        assert!(line.ends_with("reason=\"left\""), "{line}");
    };
    sees_leave(&three.node);
    two.process.signal(Signal::SIGTERM);
    assert_eq!(two.process.ends().code(), Some(0));
    sees_leave(&two.node);
    assert!(one.get("/readyz").starts_with("HTTP/1.1 200"), "declared the first");
}

#[test]
fn the_graph_is_drawn_in_three_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let [one, two, mut three] =
        three(folder.path(), &["--set", "membership.keepalive_interval=1h"]);
    let graph = one.json(&["graph"]);
    let count = |graph: &Value, list: &str| graph[list].as_array().map_or(0, Vec::len);
    assert_eq!((count(&graph, "nodes"), count(&graph, "edges")), (3, 3), "{graph}");
    assert!(graph["edges"].as_array().expect("a list").iter().all(|edge| edge["mutual"] == true));
    let dot = text(&two.command(&["graph"]).stdout);
    assert!(dot.starts_with("graph murmurate {\n") && dot.ends_with("}\n"), "{dot}");
    assert_eq!((dot.matches(" -- ").count(), dot.matches("[label=").count()), (3, 3), "{dot}");
    let xml = text(&two.command(&["graph", "--format", "graphml"]).stdout);
    assert_eq!((xml.matches("<node ").count(), xml.matches("<edge ").count()), (3, 3), "{xml}");
    // A node that does not answer is named, as long as its neighbours hold the link.
    three.process.stop();
    let mut raw = one.connect();
    raw.say(r#"{"request":"graph"}"#);
    let graph = one.json(&["graph"]);
    let told: Vec<_> =
        std::iter::from_fn(|| raw.hear().filter(|line| line["done"].is_null())).collect();
    assert!(told.contains(&json!({ "silent": three.node })), "{told:?}");
    three.process.signal(Signal::SIGCONT);
    let silent = json!({ "id": three.node, "silent": true });
    assert!(graph["nodes"].as_array().expect("a list").contains(&silent), "{graph}");
    three.process.signal(Signal::SIGTERM);
    three.process.ends();
}

#[test]
fn a_neighbour_that_hangs_delays_leaving_and_a_second_signal_does_not_wait() {
    let folder = tempfile::tempdir().expect("a folder");
    let [hangs, mut patient, mut hasty] = three(folder.path(), &[]);
    hangs.process.stop();
    for agent in [&patient, &hasty] {
        agent.process.signal(Signal::SIGTERM);
        let unready = || agent.get("/readyz").ends_with("not ready: leaving\n").then_some(());
        eventually("it says that it leaves", unready);
    }
    hasty.process.signal(Signal::SIGINT);
    // Had it waited, it would have left.
    assert_eq!(hasty.process.ends().code(), Some(1));
    assert_eq!(patient.process.ends().code(), Some(0));
}

#[test]
fn a_killed_node_comes_back_in_its_place_and_a_running_one_keeps_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity = folder.path().join("identity");
    std::fs::write(&identity, [7; 32]).expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&identity, private).expect("set");
    let identity = ["--identity-file", identity.to_str().expect("UTF-8")];
    let mut one = Agent::start(folder.path(), "one", &identity);
    let output = run(&[
        "node",
        "--listen",
        "/ip4/127.0.0.1/tcp/0",
        "--admin",
        one.admin.to_str().expect("UTF-8"),
    ]);
    let error = format!(
        "error: admin socket: cannot listen on {}: another node answers there\n",
        one.admin.display()
    );
    assert_eq!((text(&output.stderr), output.status.code()), (error, Some(1)));
    one.process.signal(Signal::SIGKILL);
    one.process.ends();
    assert!(one.admin.exists(), "it had no time to clean up");
    let again = Agent::start(folder.path(), "one", &identity);
    assert_eq!(again.node, one.node, "the same identity");
    assert_eq!(again.json(&["info"])["node"], again.node);
}

#[test]
fn two_overlays_become_one_by_a_command() {
    let folder = tempfile::tempdir().expect("a folder");
    let short = ["--first", "--set", "limits.join_wait=300ms"];
    let one = Agent::start(folder.path(), "one", &short);
    let two = Agent::start(folder.path(), "two", &["--first"]);
    let output = one.command(&["join", "127.0.0.1:1"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.starts_with("error: ") && error.contains("/ip4/127.0.0.1/tcp/1"), "{error}");
    assert!(one.neighbors().is_empty());
    let output = one.command(&["join", "127.0.0.1:1", &two.host_and_port()]);
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("joined\n", Some(0)));
    let linked = || (two.neighbors() == [one.node.clone()]).then_some(());
    eventually("the other one knows", linked);
    assert_eq!(one.json(&["join", &two.address])["joined"], true);
}

#[test]
fn commands_say_why_they_fail() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("none.sock");
    let path = path.to_str().expect("UTF-8");
    let output = run(&["info", "--admin", path]);
    let error =
        format!("error: no node answers on {path}: No such file or directory (os error 2)\n");
    assert_eq!((text(&output.stderr), output.status.code()), (error, Some(1)));
    let lonely = Agent::start(folder.path(), "one", &["--set", "limits.publish_wait=100ms"]);
    let output = lonely.command(&["broadcast", "news", "hello"]);
    let error = "error: the node has no neighbour to send the broadcast to\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (error, Some(1)));
    let output = lonely.command(&["broadcast", &"x".repeat(256), "hello"]);
    let error = "error: a topic of 256 bytes is out of range: 0 to 255\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (error, Some(1)));
    assert!(lonely.get("/readyz").starts_with("HTTP/1.1 503"), "no neighbour, not the first");
}

#[test]
fn wrong_configurations_are_refused_in_one_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("murmurate.toml");
    std::fs::write(&file, "[membership]\nactive_capasity = 3\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = held.local_addr().expect("an address").port();
    let admin = folder.path().join("a.sock");
    let admin = admin.to_str().expect("UTF-8");
    let tcp = format!("/ip4/127.0.0.1/tcp/{taken}");
    let metrics = format!("127.0.0.1:{taken}");
    let here = "/ip4/127.0.0.1/tcp/0";
    for (arguments, status, error) in [
        (
            vec!["--config", file],
            2,
            format!(
                "{file}: unknown key membership.active_capasity: did you mean membership.active_capacity?"
            ),
        ),
        (
            vec!["--config", "/nonexistent.toml"],
            2,
            "cannot read /nonexistent.toml: No such file or directory (os error 2)".into(),
        ),
        (
            vec!["--set", "membership.active_capacity=65"],
            2,
            "membership.active_capacity = 65 is out of range: 1 to 64 (flag --set)".into(),
        ),
        (
            vec!["--listen", "localhost"],
            2,
            "--listen: listen = [\"localhost\"]: \"localhost\" is not an address: write \
             /ip4/0.0.0.0/tcp/7400 or /ip4/0.0.0.0/udp/7400/quic-v1"
                .into(),
        ),
        (
            vec!["--set", "first"],
            2,
            "invalid value 'first' for '--set <KEY=VALUE>': allowed is KEY=VALUE".into(),
        ),
        (vec!["--quux"], 2, "unexpected argument '--quux' found".into()),
        (
            vec!["--listen", here, "--admin", admin, "--metrics", &metrics],
            1,
            format!("cannot listen on metrics = {metrics}: Address already in use (os error 98)"),
        ),
    ] {
        let output = run(&[&["node"], arguments.as_slice()].concat());
        let expected = (format!("error: {error}\n"), Some(status));
        assert_eq!((text(&output.stderr), output.status.code()), expected, "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
    let quiet = ["node", "--listen", &tcp, "--admin", admin, "--log-level", "error"];
    let output = run(&quiet);
    let error = text(&output.stderr);
    assert!(error.starts_with(&format!("error: cannot listen on {tcp}: ")), "{error}");
    assert!(error.contains("Address already in use") && error.lines().count() == 1, "{error}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!std::path::Path::new(admin).exists(), "nothing is left behind");
    drop(held);
}

/// The network of a node whose environment is broken is not the default one.
#[test]
fn a_variable_that_is_no_text_is_refused_by_name() {
    use std::os::unix::ffi::OsStrExt as _;
    let broken = std::ffi::OsStr::from_bytes(b"fl\xffck");
    let output = murmurate(&["check-config"])
        .env("MURMURATE_NETWORK", broken)
        .output()
        .expect("the binary runs");
    let error = "error: MURMURATE_NETWORK = \"fl\\xFFck\" in the environment is not UTF-8\n";
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), (error, Some(2)));
}

#[test]
fn what_nobody_can_dial_is_not_advertised() {
    for (address, why) in [
        ("/ip4/0.0.0.0/tcp/7400", "is where a node may listen, not where it can be dialled"),
        ("/ip4/192.0.2.1/tcp/0", "is where a node may listen, not where it can be dialled"),
        ("/ip4/192.0.2.1/udp/7400", "is not an address this node can dial"),
    ] {
        let output = run(&["check-config", "--advertise", address]);
        let error = text(&output.stderr);
        assert!(error.starts_with(&format!("error: advertise: {address:?} {why}")), "{error}");
        assert!(error.ends_with(" (flag --advertise)\n"), "{error}");
        assert_eq!(output.status.code(), Some(2));
    }
}

/// Two agents of one machine do not share what comes in, and a hang-up is no goodbye.
#[test]
fn an_agent_keeps_its_port_and_goes_on_when_its_terminal_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Agent::start(folder.path(), "one", &["--first"]);
    let address =
        format!("/ip4/127.0.0.1/tcp/{}", one.host_and_port().rsplit_once(':').expect("a port").1);
    let admin = folder.path().join("two.sock");
    let admin = admin.to_str().expect("UTF-8");
    let second = run(&["node", "--listen", &address, "--admin", admin, "--log-level", "error"]);
    let error =
        format!("error: cannot listen on {address}: Address already in use (os error 98)\n");
    assert_eq!((text(&second.stderr), second.status.code()), (error, Some(1)));
    one.process.signal(Signal::SIGHUP);
    let told = || one.log().contains("the files of admission are read again").then_some(());
    eventually("the log tells of the signal", told);
    assert!(one.get("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("murmurate.toml");
    let settings =
        "network = \"file\"\nfirst = true\n[limits]\nmax_frame = 2048\njoin_wait = \"1s\"\n";
    std::fs::write(&file, settings).expect("written");
    let output = murmurate(&["check-config", "--json", "--network", "flag"])
        .env("MURMURATE_CONFIG", &file)
        .env("MURMURATE_NETWORK", "environment")
        .env("MURMURATE_LIMITS_MAX_FRAME", "4096")
        .env("MURMURATE_SERVICE_HOST", "10.0.0.1")
        .env("MURMURATE_JOIN", "")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let shown: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let (config, sources) = (&shown["config"], &shown["sources"]);
    assert_eq!(
        (&config["network"], &sources["network"]),
        (&json!("flag"), &json!("flag --network"))
    );
    assert_eq!(config["limits"]["max_frame"], 4096);
    assert_eq!(sources["limits.max_frame"], "environment MURMURATE_LIMITS_MAX_FRAME");
    assert_eq!(config["limits"]["join_wait"], "1s");
    assert_eq!(sources["limits.join_wait"], format!("file {}", file.display()));
    assert_eq!((&config["join"], &sources["join"]), (&json!([]), &json!("default")));
}

#[test]
fn help_teaches_and_completions_are_there() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&["completions", shell]);
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("check-config"), "{shell}");
    }
    let output = run(&["--help"]);
    assert!(output.status.success() && output.stderr.is_empty());
    assert!(
        text(&output.stdout)
            .contains("The exit status is 0 on success, 1 if the operation failed,")
    );
    for command in
        ["node", "check-config", "broadcast", "subscribe", "send", "request", "listen", "graph"]
    {
        let help = text(&run(&[command, "--help"]).stdout);
        assert!(help.contains("Examples:\n"), "{command}: {help}");
    }
    assert_eq!(run(&[]).status.code(), Some(2));
}

#[test]
fn the_admin_socket_bounds_what_it_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Agent::start(folder.path(), "one", &["--set", "limits.max_frame=1024"]);
    let mut client = one.connect();
    let refused = client.ask("nonsense");
    assert!(refused["error"].as_str().is_some_and(|e| e.starts_with("no request: ")), "{refused}");
    let refused = client.ask(r#"{"request":"info","more":1}"#);
    assert!(refused["error"].as_str().is_some_and(|e| e.contains("unknown field")), "{refused}");
    assert_eq!(client.ask(r#"{"request":"info"}"#)["info"]["node"], one.node, "it goes on");
    let _ = client.write.write_all(&[b' '; 8_192]);
    let refused = client.hear().expect("an answer");
    assert!(refused["error"].as_str().is_some_and(|e| e.ends_with("bytes")), "{refused}");
    assert!(client.hear().is_none(), "it hangs up");
    let mut all: Vec<_> = (0..32).map(|_| one.connect()).collect();
    for client in &mut all {
        assert!(client.ask(r#"{"request":"members"}"#)["members"].is_object());
    }
    let refused = one.connect().hear().expect("an answer");
    assert_eq!(refused["error"], "32 clients are connected already: try again later");
    drop(all);
    eventually("a place is free again", || {
        let answer = one.command(&["info"]);
        answer.status.success().then_some(())
    });
}

#[test]
fn a_subscriber_that_does_not_read_is_told_what_it_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let few = ["--set", "limits.subscription_capacity=4"];
    let one = Agent::start(folder.path(), "one", &few);
    let two = Agent::start(folder.path(), "two", &["--join", &one.address]);
    eventually("they join", || (two.neighbors().len() == 1).then_some(()));
    let (mut slow, mut publisher) = (one.connect(), two.connect());
    assert!(slow.ask(r#"{"request":"subscribe","topic":"t"}"#)["subscribed"].is_object());
    let data = "AAAA".repeat(16_384);
    for _ in 0..64 {
        let published = publisher
            .ask(&format!("{{\"request\":\"broadcast\",\"topic\":\"t\",\"data\":\"{data}\"}}"));
        assert!(published["published"].is_object(), "{published}");
    }
    let delivered = "murmurate_broadcasts_total{outcome=\"delivered\"} 64";
    eventually("all arrive", || one.get("/metrics").contains(delivered).then_some(()));
    let (mut got, mut lost) = (0, 0);
    while got + lost < 64 {
        let reply = slow.hear().expect("a line");
        got += u64::from(reply["message"].is_object());
        lost += reply["lagged"].as_u64().unwrap_or(0);
    }
    assert!(lost > 0 && got >= 4, "{got} got, {lost} lost");
    assert_eq!(got + lost, 64, "each is delivered or counted");
}

/// Three in a line, by one word and each one's `join`.
#[test]
fn a_static_overlay_is_who_joins_whom_and_is_repaired() {
    let folder = tempfile::tempdir().expect("a folder");
    let identity = folder.path().join("identity");
    std::fs::write(&identity, [7; 32]).expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&identity, private).expect("set");
    let identity = ["--identity-file", identity.to_str().expect("UTF-8")];
    let fixed = [
        "--set",
        "strategies.membership=static",
        "--set",
        "static.keepalive_interval=200ms",
        "--set",
        "static.redial_pause=1s",
    ];
    let start = |name, more: &[&str]| Agent::start(folder.path(), name, &[&fixed, more].concat());
    let first = start("first", &["--first"]);
    let of_middle = ["--join", &first.address];
    let mut middle = start("middle", &[&identity[..], &of_middle].concat());
    let last = start("last", &["--join", &middle.address]);
    let line = |middle: &Agent| {
        eventually("the ends know the middle", || {
            let of_middle = middle.neighbors();
            let both = of_middle.contains(&first.node) && of_middle.contains(&last.node);
            let ends = [&first, &last].map(Agent::neighbors);
            (both && ends.iter().all(|end| *end == [middle.node.clone()])).then_some(())
        });
        assert_eq!(middle.neighbors().len(), 2);
    };
    line(&middle);

    let mut listener = last.connect();
    assert!(listener.ask(r#"{"request":"subscribe","topic":"t"}"#)["subscribed"].is_object());
    let mut publisher = first.connect();
    let mut publish = |data: &str| {
        let said = publisher
            .ask(&format!("{{\"request\":\"broadcast\",\"topic\":\"t\",\"data\":\"{data}\"}}"));
        assert!(said["published"].is_object(), "{said}");
    };
    let mut hears = || listener.hear().expect("a line")["message"]["data"].clone();
    publish("b25l");
    assert_eq!(hears(), "b25l", "over two links");

    // Without the middle the ends are two pieces, and nobody introduces them.
    let at = middle.address.split("/p2p/").next().expect("an address").to_owned();
    middle.process.signal(Signal::SIGKILL);
    middle.process.ends();
    for end in [&first, &last] {
        eventually("it is noticed", || end.neighbors().is_empty().then_some(()));
    }
    let again = start("middle", &[&identity[..], &of_middle, &["--listen", &at]].concat());
    assert_eq!(again.node, middle.node, "the same identity");
    line(&again);
    publish("dHdv");
    assert_eq!(hears(), "dHdv");
}

//! Wrong scenario files, and what is said about each: where, which key, and what is allowed.

use std::path::Path;

use murmurate_simulator::experiment::scenario::{Document, Scenario};

use crate::common::Published;

/// A file, and the message about it.
const WRONG: &[(&str, &str)] = &[
    ("nodes = {", "f:1:10: unclosed inline table, expected `}`"),
    ("[nodes]\ncount = 10\ncount = 20", "f:3:1: duplicate key"),
    ("sed = 5", "f:1:1: sed is not a key: did you mean seed?"),
    ("[nodes]\ncuont = 5", "f:2:1: nodes.cuont is not a key: did you mean count?"),
    (
        "[nodes]\ncount = 5\nzebra = 'red'",
        "f:3:1: nodes.zebra is not a key: allowed are contacts, count, joining, processor",
    ),
    ("[nodes]\ncount = 0", "f:2:9: nodes.count = 0: allowed is a whole number from 1 to 16777216"),
    (
        "[nodes]\n  count = \"many\"",
        "f:2:11: nodes.count = \"many\": allowed is a whole number from 1 to 16777216",
    ),
    ("nodes = 5", "f:1:9: nodes = 5: allowed is a table"),
    (
        "duration = 60",
        "f:1:12: duration = 60: allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\", at least 1ms",
    ),
    (
        "duration = 'soon'",
        "f:1:12: duration = \"soon\": allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\", at least 1ms",
    ),
    ("seed = -1", "f:1:8: seed = -1: allowed is a whole number from 0 to 9223372036854775807"),
    (
        "[membership]\nactive_capacity = 6",
        "f:1:1: membership.strategy is missing: allowed are hyparview, full-mesh, static, cyclon, scamp",
    ),
    (
        "membership.strategy = 'hyperview'",
        "f:1:23: membership.strategy = \"hyperview\": did you mean hyparview?",
    ),
    (
        "[membership]\nstrategy = 'hyparview'\nactive_capcity = 6",
        "f:3:1: membership.active_capcity is not a key: did you mean active_capacity?",
    ),
    (
        "[membership]\nstrategy = 'full-mesh'\nactive_capacity = 6",
        "f:3:1: membership.active_capacity is not a key: did you mean requests_capacity?",
    ),
    (
        "[membership]\nstrategy = 'hyparview'\nactive_capacity = 65",
        "f:3:19: membership.active_capacity = 65: allowed is a whole number from 1 to 64",
    ),
    (
        "[membership]\nstrategy = 'hyparview'\npassive_capacity = 3",
        "f:3:20: membership.passive_capacity: passive_capacity = 3 is less than active_capacity = 5: it must be at least as large",
    ),
    (
        "[membership]\nstrategy = 'hyparview'\npromotion_interval = 'never'",
        "f:3:22: membership.promotion_interval = \"never\": allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\", or \"off\", at least 1ms",
    ),
    (
        "[broadcast]\nstrategy = 'plumtree'\nmend_at_once = 1",
        "f:3:16: broadcast.mend_at_once = 1: allowed is true or false",
    ),
    (
        "links.loss = 1.5",
        "f:1:14: links.loss = 1.5: allowed is a share from 0 to 1, or a percentage such as \"30%\"",
    ),
    (
        "links.loss = '130%'",
        "f:1:14: links.loss = \"130%\": allowed is a share from 0 to 1, or a percentage such as \"30%\"",
    ),
    (
        "links.latency = { model = 'constant', time = '1us' }",
        "f:1:46: links.latency.time = \"1us\": allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\", at least 20us, at most 100s",
    ),
    (
        "links.latency = { model = 'uniform', from = '9ms', to = '3ms' }",
        "f:1:17: links.latency: uniform latency 9ms,3ms: the second must be at least the first",
    ),
    (
        "links.latency = { model = 'log-normal', median = '9ms' }",
        "f:1:17: links.latency.sigma is missing: allowed is a number from 0.0 to 5.0",
    ),
    (
        "links.latency = { model = 'matrix', file = 'nowhere.csv' }",
        "f:1:44: links.latency.file: nowhere.csv: No such file or directory (os error 2)",
    ),
    (
        "links.latency = { model = 'regions', round_trips_ms = [[1, 2], [2, 1]] }",
        "f:1:55: links.latency.round_trips_ms: the matrix must have a row and a column for each of the 0 regions",
    ),
    (
        "links.latency.model = 'aws'\nregions = [{ name = 'atlantis' }]",
        "f:2:21: regions.0.name: \"atlantis\" is not a site of the latency matrix; they are af-south-1,",
    ),
    (
        "regions = [{ name = 'a' }, { name = 'a' }]",
        "f:1:37: regions.1.name: \"a\" must be a name of its own",
    ),
    (
        "links.bandwidth = { up = '10 Mbps', down = '10 Mbit/s' }",
        "f:1:26: links.bandwidth.up = \"10 Mbps\": allowed is a rate such as \"10 Mbit/s\", from 1 kbit/s to 1 Tbit/s",
    ),
    ("links.order = 'lifo'", "f:1:15: links.order = \"lifo\": allowed is \"fifo\", \"any\""),
    (
        "links.bursts = { share = 1, length = '1s' }",
        "f:1:26: links.bursts.share = 1: allowed is a share from 0 to 1, or a percentage such as \"30%\", above 0.0, below 1.0",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\n[[workload]]\nsend = { channel = 'order' }",
        "f:3:20: workload.0.send.channel: \"order\" is not a channel: did you mean orders?",
    ),
    (
        "channels = [{ name = 'a', kind = 'reliable' }]",
        "f:1:34: channels.0.kind = \"reliable\": allowed is \"best-effort\", \"acknowledged\", \"latest\", \"request\"",
    ),
    (
        "channels = [{ name = 'a b', kind = 'latest' }]",
        "f:1:22: channels.0.name: \"a b\": allowed are 1 to 64 letters, digits,",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\n[[workload]]\nsend = { channel = 'orders' }\npayload = 5",
        "f:4:11: workload.0.payload: 5 bytes: on a channel allowed are 16 to 16777215",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\n[[workload]]\nsender.node = 7\nsend = { channel = 'orders', to = { node = 7 } }",
        "f:4:44: workload.0.send.to.node: node 7 does not send to itself",
    ),
    (
        "[[workload]]\nsender.node = 7\nlook_up = { to = { node = 7 } }",
        "f:3:27: workload.0.look_up.to.node: node 7 does not look for itself",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\n[[workload]]\nsend = { channel = 'orders' }\nlook_up = {}",
        "f:4:11: workload.0.look_up: it sends on a channel already: write two",
    ),
    (
        "[[workload]]\npayload = '2 MiB'\nlook_up = { relay = true }",
        "f:2:11: workload.0.payload: a datagram has at most 1048576 bytes",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\nassertions = ['channel.order.delivered == 1']",
        "f:2:15: assertions.0: \"order\" is not a channel: did you mean orders?",
    ),
    (
        "channels = [{ name = 'orders', kind = 'acknowledged' }]\nassertions = ['channel.orders.lost == 1']",
        "f:2:16: assertions.0 = \"channel.orders.lost == 1\": at \"channel.orders.lost\": expected channel.NAME. and one of messages,",
    ),
    (
        "[[workload]]\nsender = 'nobody'",
        "f:2:10: workload.0.sender = \"nobody\": allowed is \"random\", \"one\", \"all\", or a table with one of node, region",
    ),
    (
        "[[workload]]\nsender.region = 'eu'",
        "f:2:17: workload.0.sender.region: \"eu\" is not a region: there are none",
    ),
    (
        "[[workload]]\npace = { rate = 1.0, pause = '1s' }",
        "f:2:8: workload.0.pace has 2 keys: it takes one of rate, poisson, pause",
    ),
    (
        "[[workload]]\npayload = '5 parsecs'",
        "f:2:11: workload.0.payload = \"5 parsecs\": allowed is a whole number of bytes, or a size such as \"64 KiB\", up to 1 GiB",
    ),
    (
        "[[workload]]\nfrom = '10s'\nuntil = '5s'",
        "f:3:9: workload.0.until: 5s is not after from, 10s",
    ),
    (
        "[[faults]]\ndo = 'heal'",
        "f:1:1: faults.0.at is missing: allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\"",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.crush = { who = 'all' }",
        "f:3:4: faults.0.do.crush is not a key: did you mean crash?",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.crash = { who.share = 2 }",
        "f:3:26: faults.0.do.crash.who.share = 2: allowed is a share from 0 to 1, or a percentage such as \"30%\"",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.crash = { who = 'some' }",
        "f:3:20: faults.0.do.crash.who = \"some\": allowed is \"all\", or a table with one of share, count, nodes, region, class",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.crash = { who.nodes = [3, 1000] }",
        "f:3:26: faults.0.do.crash.who.nodes: there is no node 1000: there are 1000, from 0",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.stall = { who = 'all' }",
        "f:3:12: faults.0.do.stall.for is missing: allowed is a time such as \"10s\", \"250ms\" or \"1m 30s\"",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.share = 0.7\n[[classes]]\nname = 'b'\nwho.share = 0.7",
        "f:1:1: classes: the shares of the classes come to 1.4: allowed is 1 at most",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.share = 0.7\n[[classes]]\nname = 'a'\nwho.share = 0.1",
        "f:5:8: classes.1.name: \"a\" must be a name of its own",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.share = 0.5\nnat = 'reject'",
        "f:4:7: classes.0.nat: nobody dials anybody without links.connections: say what they take",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.share = 0.5\nnat = 'cone'",
        "f:4:7: classes.0.nat = \"cone\": allowed is \"reject\", \"drop\"",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.region = 'eu'",
        "f:3:14: classes.0.who.region: \"eu\" is not a region: there are none",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.nodes = [3, 1000]",
        "f:3:13: classes.0.who.nodes: there is no node 1000: there are 1000, from 0",
    ),
    (
        "[[classes]]\nname = 'a'\nwho = 'all'",
        "f:3:7: classes.0.who = \"all\": allowed is a table with one of share, nodes, region",
    ),
    (
        "[[classes]]\nname = 'a'\nwho.share = 1\nshared = { up = '5', down = '1 Mbit/s' }",
        "f:4:17: classes.0.shared.up = \"5\": allowed is a rate such as \"10 Mbit/s\", from 1 kbit/s to 1 Tbit/s",
    ),
    (
        "classes = [{ name = 'a', who.share = 0.1 }]\n[[faults]]\nat = '5s'\ndo.crash.who.class = 'b'",
        "f:4:22: faults.0.do.crash.who.class: \"b\" is not a class; they are a",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.latency = { who = 'all', times = 0.5 }",
        "f:3:37: faults.0.do.latency.times = 0.5: allowed is a number from 1.0 to 1000.0",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.latency = { who = 'all', times = 2.0, over = '6s', for = '10s' }",
        "f:3:49: faults.0.do.latency.over: 6s: allowed is half of for at most, 5s",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.latency = { who = 'all', times = 2.0, every = '6s' }",
        "f:3:50: faults.0.do.latency.every: what comes again must end: set for, too",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.latency = { who = 'all', times = 2.0, for = '9s', every = '6s' }",
        "f:3:62: faults.0.do.latency.every: 6s is less than for, 9s",
    ),
    (
        "[[faults]]\nat = '5s'\ndo.latency = { who = 'all', to.region = 'eu', times = 2.0 }",
        "f:3:41: faults.0.do.latency.to.region: \"eu\" is not a region: there are none",
    ),
    ("[[faults]]\nat = '5m'\ndo = 'heal'", "f:2:6: faults.0.at: 5m is after the end at 1m"),
    (
        "assertions = ['reliabilty >= 1']",
        "f:1:16: assertions.0 = \"reliabilty >= 1\": at \"reliabilty\": expected one of reliability, ",
    ),
    (
        "assertions = [\n  'reliability => 1',\n]",
        "f:2:16: assertions.0 = \"reliability => 1\": at \"=>\": expected one of >=, <=, ==, !=, >, <",
    ),
    (
        "assertions = ['latency_p99 <= 0.2']",
        "f:1:31: assertions.0 = \"latency_p99 <= 0.2\": at \"0.2\": expected a time such as 30s",
    ),
    (
        "assertions = ['components == 1 within 60s of heal']",
        "f:1:15: assertions.0: no entry of the timeline is called \"heal\": there are none",
    ),
    (
        "assertions = ['reliability >= 1 from 90s']",
        "f:1:15: assertions.0: 1m 30s is after the end at 1m",
    ),
    (
        "measure.phases = [{ name = 'a', from = '9s' }, { name = 'b', from = '3s' }]",
        "f:1:69: measure.phases.1.from: 3s is not after \"a\", which begins at 9s",
    ),
];

fn message(text: &str, overrides: &[&str]) -> String {
    let read = || {
        let mut document = Document::parse("f", text)?;
        for assignment in overrides {
            document.set(assignment)?;
        }
        document.scenario()
    };
    read().map(|scenario: Scenario| format!("{scenario:?}")).expect_err(text).to_string()
}

#[test]
fn every_wrong_file_is_told_where_and_what_is_allowed() {
    assert!(WRONG.len() >= 30);
    let mut wrong = Vec::new();
    for (text, expected) in WRONG {
        let found = message(text, &[]);
        // Long lists are given by their beginning.
        let is_it = match expected.ends_with([',', ' ']) {
            true => found.starts_with(expected),
            false => found == *expected,
        };
        if !is_it {
            wrong.push(format!("{text}\n  said:     {found}\n  expected: {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_as_many_classes_as_can_be_told_apart() {
    let classes = |count| {
        let class = |number| format!("[[classes]]\nname = 'c{number}'\nwho.nodes = [{number}]\n");
        (0..count).map(class).collect::<String>()
    };
    let read = |count| Document::parse("f", &classes(count)).expect("TOML").scenario();
    assert!(read(256).is_ok());
    let error = read(257).map(drop).expect_err("too many").to_string();
    assert_eq!(error, "f:1:1: classes: 257 classes: allowed are 256 at most");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let found = message("sed = 1\n[nodes]\ncount = 0\n", &[]);
    assert_eq!(found.lines().count(), 2, "{found}");
}

#[test]
fn what_is_set_is_checked_as_the_file_is() {
    let text = "[nodes]\ncount = 10\n[[faults]]\nat = '5s'\ndo = 'heal'\n";
    for (set, expected) in [
        ("nodes.cuont=5", "--set nodes.cuont=5: nodes.cuont is not a key: did you mean count?"),
        (
            "nodes.count=0",
            "--set nodes.count=0: nodes.count = 0: allowed is a whole number from 1 to 16777216",
        ),
        ("nodes.count", "--set nodes.count: is not KEY=VALUE, as in nodes.count=500"),
        (
            "faults.1.at=3s",
            "--set faults.1.at=3s: faults.1.at: there is no entry 1: there are 1, from 0",
        ),
        (
            "faults.first.at=3s",
            "--set faults.first.at=3s: faults.first.at: \"first\" is not an index",
        ),
        ("faults.0.at=3h", "--set faults.0.at=3h: faults.0.at: 3h is after the end at 1m"),
        (
            "seed=x=y",
            "--set seed=x=y: seed = \"x=y\": allowed is a whole number from 0 to 9223372036854775807",
        ),
    ] {
        assert_eq!(message(text, &[set]), expected);
    }
}

#[test]
fn what_is_set_stands_instead_of_what_the_file_says() {
    let text = "[nodes]\ncount = 10\n[[faults]]\nat = '5s'\ndo.crash = { who = 'all' }\n";
    let mut document = Document::parse("f", text).expect("TOML");
    for set in [
        "nodes.count=20",
        "nodes.joining = 3s",
        "faults.0.at=\"7s\"",
        "faults.0.do={leave={who={share=0.5}}}",
        "links.loss=10%",
        "assertions=[\"lost >= 0\"]",
    ] {
        document.set(set).expect("right");
    }
    let scenario = document.scenario().expect("right");
    let expected = "[nodes]\ncount = 20\njoining = '3s'\n[links]\nloss = 0.1\n[[faults]]\nat = '7s'\n\
        do.leave.who.share = '50%'\n";
    let expected = format!("assertions = ['lost >= 0']\n{expected}");
    assert_eq!(scenario, Document::parse("f", &expected).expect("TOML").scenario().expect("right"));
}

#[test]
fn a_name_that_is_nowhere_is_told_with_the_nearest_of_the_gallery() {
    let error = Scenario::read(Path::new("mass-failur"), &[]).expect_err("no such file");
    let message = error.to_string();
    assert!(message.contains("No such file"), "{message}");
    assert!(message.ends_with("(of the gallery, did you mean mass-failure?)"), "{message}");
}

/// By another implementation than the one that checks files here: what is wrong with a single value
/// is wrong under the published schema, too, as far as JSON Schema can say it.
#[test]
fn the_published_schema_refuses_wrong_keys_and_shapes() {
    let published = Published::schema();
    let mut refused = 0;
    for (text, message) in WRONG {
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        let valid = published.errors_of(&table).is_empty();
        let about_shape =
            ["is not a key", "is missing", "whole number from", "true or false", "has 2 keys"];
        if about_shape.iter().any(|words| message.contains(words)) && !message.contains("--set") {
            assert!(!valid || message.contains("bytes"), "{text}");
            refused += 1;
        }
    }
    assert!(refused >= 15, "{refused}");
}

/// An editor that knows the schema marks the texts that a run would refuse.
#[test]
fn the_published_schema_has_patterns_for_texts() {
    let published = Published::schema();
    let keys = [
        (
            "duration",
            &["10s", "1m 30s", "1m30s", "2.5 min", " 100 ms "][..],
            &["10", "soon", "10 parsecs", "-5s", ""][..],
        ),
        ("nodes.joining", &["1 day", "80us"], &["1 2", "s", "5 s5"]),
        ("links.loss", &["30%", "0.5 %", "1e1%"], &["30", "many", "%", "-3%"]),
        (
            "links.bandwidth.up",
            &["10 Mbit/s", "9600 bit/s", "2.5 Gbit/s"],
            &["10 Mbps", "Mbit/s", "10 mbit/s"],
        ),
        ("workload.payload", &["64 KiB", "7", "1.5kB", "1M"], &["64 KiBit", "KiB", "-1", "5 %"]),
        ("membership.promotion_interval", &["off", "10s"], &["never", "offs", "on"]),
        ("membership.reunion_interval", &["off", "1m"], &["Off", "1mm"]),
        (
            "assertions",
            &[
                "lost == 0",
                "reliability>=99.9% until 30s",
                "components == 1 within 30s of 5s",
                "latency_p99 < 250ms from 10s until 59s500ms",
                "running_nodes != 90 at 20s",
            ],
            &[
                "reliabilty >= 1",
                "reliability => 1",
                "lost = 0",
                "components == 1 since 5s",
                "components == 1 within 60s",
                "lost == 0 at 5s sharp",
                "reliability >= 1 from",
            ],
        ),
    ];
    for (key, right, wrong) in keys {
        for (text, fits) in
            right.iter().map(|text| (text, true)).chain(wrong.iter().map(|text| (text, false)))
        {
            let line = match key.split_once('.') {
                Some(("membership", key)) => {
                    format!("membership = {{ strategy = 'hyparview', {key} = {text:?} }}")
                }
                Some(("workload", key)) => format!("workload = [{{ {key} = {text:?} }}]"),
                _ if key == "links.bandwidth.up" => {
                    format!("links.bandwidth = {{ up = {text:?}, down = '1 Gbit/s' }}")
                }
                _ if key == "assertions" => format!("assertions = [{text:?}]"),
                _ => format!("{key} = {text:?}"),
            };
            let table: toml::Table = line.parse().expect("TOML");
            assert_eq!(published.errors_of(&table).is_empty(), fits, "the schema: {line}");
            let read = Document::parse("f", &line).expect("TOML").scenario();
            assert_eq!(read.is_ok(), fits, "{line}: {read:?}");
        }
    }
}

/// What goes wrong together is told although another value is wrong by itself, as long as neither
/// hangs on it.
#[test]
fn a_wrong_value_hides_no_other() {
    let errors = |text: &str| {
        let error = Document::parse("f", text).expect("TOML").scenario().expect_err("wrong");
        error.0.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = errors(
        "nodes.count = 0\nassertions = ['lost == 0 at 2m']\n[links]\nloss = 2\n[membership]\n\
         strategy = 'hyparview'\npassive_capacity = 3\n[[workload]]\nsender = { node = 7000 }\n\
         [measure]\nphases = [{ name = 'a', from = '2m' }]\n",
    );
    let places: Vec<_> =
        told.iter().map(|line| line.split(": ").nth(1).expect("a message")).collect();
    assert_eq!(places.len(), 5, "{told:#?}");
    for (place, begins) in places.iter().zip([
        "nodes.count = 0",
        "assertions.0",
        "links.loss = 2",
        "membership.passive_capacity",
        "measure.phases.0.from",
    ]) {
        assert!(place.starts_with(begins), "{told:#?}");
    }
    // What hangs on the wrong value is not guessed at: node 7000 may well be there.
    assert!(!told.iter().any(|line| line.contains("7000")), "{told:#?}");
    // And a key that nobody knows may mean any.
    let told = errors("node.count = 9000\n[[workload]]\nsender = { node = 7000 }\n");
    assert_eq!(told, ["f:1:1: node is not a key: did you mean nodes?"]);
}

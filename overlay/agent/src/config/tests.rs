//! Layers, errors, and the example file.

use murmurate::ChannelOptions;

use super::channels::{Channels, Declared, Kind};
use super::*;

fn none(_: &str) -> Option<OsString> {
    None
}

fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("murmurate.toml");
    std::fs::write(&path, text).expect("written");
    (folder, path)
}

/// What a file with this text is refused with, its path taken off.
fn refused(text: &str) -> String {
    let (folder, path) = file(text);
    let error = Config::load(Some(&path), &Flags::default()).map(|_| ()).expect_err(text);
    drop(folder);
    error.to_string().replace(&path.display().to_string(), "FILE")
}

#[test]
fn strategies_that_were_not_chosen_are_checked_too() {
    let said = refused("strategies.membership = \"full-mesh\"\n[membership]\nactive_capacity = 0");
    assert!(said.contains("membership.active_capacity = 0 is out of range"), "{said}");
    let said = refused("[full_mesh]\nmembers_capacity = 3");
    assert!(said.contains("full_mesh.members_capacity = 3 is less than"), "{said}");
}

#[test]
fn a_channel_is_declared_once() {
    let mut flags = Flags::default();
    flags.set("channels.orders.kind", "latest", "--channel");
    flags.set("channels.orders.kind", "request", "--channel");
    let error = Config::load(None, &flags).expect_err("twice");
    assert_eq!(error.to_string(), "--channel: channel \"orders\" is declared twice");
    let variable = |name: &str| (name == "MURMURATE_CHANNELS").then(|| "a=latest, a=latest".into());
    let error = Layers::read(None, variable, &Flags::default()).map(|_| ()).expect_err("twice");
    assert_eq!(error.to_string(), "MURMURATE_CHANNELS: channel \"a\" is declared twice");
}

#[test]
fn a_file_that_does_not_end_is_not_read_to_its_end() {
    let error = Config::load(Some(Path::new("/dev/zero")), &Flags::default()).expect_err("endless");
    assert_eq!(error.to_string(), "cannot read /dev/zero: it has more than 1048576 bytes");
}

#[test]
fn keys_are_exactly_the_settings() {
    let mut all = Settings {
        state_dir: Some("s".into()),
        identity_file: Some("i".into()),
        admin: Some("a".into()),
        ..Settings::default()
    };
    for file in [
        &mut all.admission.secret_file,
        &mut all.admission.allowlist_file,
        &mut all.admission.certificate_file,
        &mut all.admission.revocations_file,
    ] {
        *file = Some("f".into());
    }
    all.admission.signed = Some(true);
    all.discovery.file = Some("f".into());
    all.cluster.expected = Some(1);
    all.discovery.dns.name = Some("n".into());
    all.discovery.dns.server = "10.0.0.2:53".parse().ok();
    let role = Some("r".into());
    let orders = Declared { kind: Some(Kind::Acknowledged), role, ..Declared::default() };
    all.channels.insert("orders".into(), orders);
    let mut table = Table::try_from(&all).expect("a table");
    let declared = table.remove(keys::CHANNELS).expect("channels");
    let mut found = Vec::new();
    leaves("", table, &mut found);
    found.extend(options(declared).expect("tables"));
    let mut names: Vec<_> = found.into_iter().map(|(name, _)| name).collect();
    let mut keys: Vec<_> = keys::all().map(|(key, _)| key.to_owned()).collect();
    keys.extend(keys::of_channel().map(|(key, _)| format!("channels.orders.{key}")));
    names.sort();
    keys.sort();
    assert_eq!(names, keys);
}

#[test]
fn the_example_is_the_defaults_and_names_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("murmurate.toml");
    let layers = Layers::read(Some(&path), none, &Flags::default()).expect("a valid file");
    let settings = Settings::deserialize(layers.table).expect("valid");
    assert_eq!(settings, Settings::default());
    let text = std::fs::read_to_string(&path).expect("readable");
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/agent.md");
    let guide = std::fs::read_to_string(guide).expect("readable");
    for (key, _) in keys::all() {
        let name = key.rsplit('.').next().unwrap_or(key);
        assert!(
            text.lines()
                .any(|line| line.trim_start_matches("# ").starts_with(&format!("{name} = "))),
            "{key} is missing in the example"
        );
        assert!(guide.contains(&format!("| `{key}` |")), "{key} is missing in docs/agent.md");
    }
    // A channel has no default name: its table is commented out, and as complete.
    let (_, table) = text.split_once("# [channels.orders]\n").expect("a table of the example");
    let is_line =
        |line: &&str| keys::of_channel().any(|(key, _)| line.starts_with(&format!("{key} = ")));
    let lines = table.lines().filter_map(|line| line.strip_prefix("# ")).filter(is_line);
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), keys::of_channel().count(), "{lines:?}");
    let (_folder, path) = file(&format!("[channels.orders]\n{}\n", lines.join("\n")));
    let config = Config::load(Some(&path), &Flags::default()).expect("valid");
    // These two have no default either.
    let (kind, role) = (Some(Kind::Acknowledged), Some("writer".into()));
    let orders = Declared { kind, role, ..Declared::default() };
    assert_eq!(config.settings.channels, Channels::from([("orders".to_owned(), orders)]));
    for (key, _) in keys::of_channel() {
        assert!(guide.contains(&format!("| `channels.NAME.{key}` |")), "{key}: docs/agent.md");
    }
}

#[test]
fn channels_come_from_all_layers() {
    let (_folder, path) = file(
        "[channels.orders]\nkind = \"latest\"\nparallelism = 2\n\
         [channels.\"a.b c\"]\nkind = \"request\"\n[channels.prices]\noverflow = \"drop-oldest\"\n",
    );
    let environment = |name: &str| {
        let channels = "orders=acknowledged, samples=best-effort,prices=latest";
        (name == "MURMURATE_CHANNELS").then(|| channels.into())
    };
    let mut flags = Flags::default();
    flags.set("channels.samples.kind", "request", "--channel");
    flags.set("channels.orders.timeout", "5s", "--set");
    let layers = Layers::read(Some(&path), environment, &flags).expect("valid");
    let settings = Settings::deserialize(layers.table).expect("valid");
    let config = Config { settings, sources: layers.sources };
    config.check().expect("valid");
    let channels = &config.settings.channels;
    let kinds: Vec<_> = channels.iter().map(|(name, of)| (name.as_str(), of.kind)).collect();
    let expected = [
        ("a.b c", Some(Kind::Request)),
        ("orders", Some(Kind::Acknowledged)),
        ("prices", Some(Kind::Latest)),
        ("samples", Some(Kind::Request)),
    ];
    assert_eq!(kinds, expected);
    let ChannelOptions { parallelism, timeout, .. } = channels["orders"].options;
    assert_eq!((parallelism, timeout.as_secs()), (2, 5));
    let shown = config.to_toml();
    assert!(shown.contains("\n[channels.\"a.b c\"]\n"), "{shown}");
    assert!(shown.contains("# environment MURMURATE_CHANNELS\n"), "{shown}");
    let (_folder, path) = file(&shown);
    let again = Config::load(Some(&path), &Flags::default()).expect("valid");
    assert_eq!(again.settings, config.settings);
    let sources = &config.to_json()["sources"];
    assert_eq!(sources["channels.orders.timeout"], "flag --set");
    assert_eq!(sources["channels.samples.kind"], "flag --channel");
    assert_eq!(sources["channels.samples.timeout"], "default");
}

#[test]
fn what_is_shown_can_be_read_again() {
    let (_folder, path) =
        file("join = [\"seed:7400\"]\n[membership]\npromotion_interval = \"off\"\n");
    let mut flags = Flags::default();
    flags.set("metrics", "127.0.0.1:7401", "--metrics");
    let config = Config::load(Some(&path), &flags).expect("valid");
    let shown = config.to_toml();
    assert!(shown.contains("# flag --metrics"), "{shown}");
    assert!(shown.contains("/dns/seed/tcp/7400"), "{shown}");
    let (_folder, path) = file(&shown);
    let again = Config::load(Some(&path), &Flags::default()).expect("valid");
    assert_eq!(again.settings, config.settings);
    let json = config.to_json();
    assert_eq!(json["config"]["membership"]["promotion_interval"], "off");
    assert_eq!(json["sources"]["network"], "default");
}

#[test]
fn flags_over_environment_over_file_over_defaults() {
    let (_folder, path) =
        file("network = \"f\"\nfirst = true\n[limits]\nmax_frame = 2048\nidle_wait = \"1s\"\n");
    let environment = |name: &str| match name {
        "MURMURATE_NETWORK" => Some("e".into()),
        "MURMURATE_LIMITS_MAX_FRAME" => Some("4096".into()),
        "MURMURATE_LISTEN" => Some("/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2".into()),
        _ => None,
    };
    let mut flags = Flags::default();
    flags.set("network", "g", "--network");
    flags.set("join", "one:1", "--join");
    flags.set("join", "two:2", "--join");
    let layers = Layers::read(Some(&path), environment, &flags).expect("valid");
    let settings = Settings::deserialize(layers.table).expect("valid");
    assert_eq!(settings.network, "g");
    assert_eq!(settings.limits.max_frame, 4_096);
    assert_eq!(settings.limits.idle_wait.as_secs(), 1);
    assert_eq!(settings.limits.join_wait.as_secs(), 10);
    assert_eq!(settings.listen.len(), 2);
    assert_eq!(settings.join.len(), 2);
    assert!(settings.first);
    let source = |key| layers.sources.get(key).map(ToString::to_string).unwrap_or_default();
    assert_eq!(source("network"), "flag --network");
    assert_eq!(source("limits.max_frame"), "environment MURMURATE_LIMITS_MAX_FRAME");
    assert_eq!(source("first"), format!("file {}", path.display()));
    assert_eq!(source("limits.join_wait"), "default");
}

#[test]
fn errors_name_value_place_and_what_is_allowed() {
    for (text, error) in [
        ("lissten = []\n", "FILE: unknown key lissten: did you mean listen?"),
        (
            "[limits]\nmax_fram = 1\n",
            "FILE: unknown key limits.max_fram: did you mean limits.max_frame?",
        ),
        ("[quux]\nxyz = 1\n", "FILE: unknown key quux: docs/agent.md lists those there are"),
        ("network = \n", "FILE:1: string values must be quoted, expected literal string"),
        ("first = 3\n", "FILE: first = 3: invalid type: integer `3`, expected a boolean"),
        (
            "listen = [\"here\"]\n",
            "FILE: listen = [\"here\"]: \"here\" is not an address: write /ip4/0.0.0.0/tcp/7400 or \
             /ip4/0.0.0.0/udp/7400/quic-v1",
        ),
        (
            "join = [\"seed\"]\n",
            "FILE: join = [\"seed\"]: \"seed\" has no port from 1 to 65535 at its end: write HOST:PORT, \
             192.0.2.1:7400, [2001:db8::1]:7400, or a multiaddr such as /ip4/192.0.2.1/tcp/7400 or \
             /dns/HOST/udp/7400/quic-v1, which /p2p/NODE-ID may follow",
        ),
        (
            "metrics = \"7401\"\n",
            "FILE: metrics = \"7401\": invalid value: string \"7401\", expected an address and a port \
             like 127.0.0.1:7401, or off",
        ),
        (
            "[limits]\nmax_frame = 10\n",
            "limits.max_frame = 10 is out of range: 1024 to 16777215 (file FILE)",
        ),
        (
            "[membership]\npassive_capacity = 3\n",
            "membership.passive_capacity = 3 is less than active_capacity = 5: it must be at least as large (file FILE)",
        ),
        (
            "[broadcast]\ngraft_retry = \"0s\"\n",
            "broadcast.graft_retry = 0ns is out of range: at least 1ms (file FILE)",
        ),
        (
            "[log]\nlevel = \"info,murmurate=loud\"\n",
            "log.level = \"info,murmurate=loud\": \"loud\" is not a level: allowed are off, error, warn, \
             info, debug, trace, each also after TARGET= (file FILE)",
        ),
        (
            "discovery.dns.name = \"flock.example\"\ndiscovery.dns.interval = \"0s\"\n",
            "discovery.dns.interval = 0s is out of range: it must be longer (file FILE)",
        ),
    ] {
        assert_eq!(refused(text), error);
    }
}

#[test]
fn errors_of_channels_do_too() {
    for (text, error) in [
        (
            "[channels.orders]\nparalelism = 2\n",
            "FILE: unknown key channels.orders.paralelism: did you mean channels.orders.parallelism?",
        ),
        (
            "[chanels.orders]\nkind = \"latest\"\n",
            "FILE: unknown key chanels: did you mean channels?",
        ),
        (
            "[channels.orders]\nkind = \"aknowledged\"\n",
            "FILE: channels.orders.kind = \"aknowledged\": unknown variant `aknowledged`, expected \
             one of `best-effort`, `acknowledged`, `latest`, `request`",
        ),
        (
            "[channels]\norders = \"latest\"\n",
            "FILE: channels.orders = \"latest\": write a table, [channels.orders] with kind = \
             \"acknowledged\"",
        ),
        (
            "[channels.orders]\n",
            "FILE: channels.orders says nothing: write a table, [channels.orders] with kind = \
             \"acknowledged\"",
        ),
        (
            "[channels.orders]\nparallelism = 2\n",
            "channels.orders.kind is not set: say one of \"best-effort\", \"acknowledged\", \
             \"latest\", \"request\"",
        ),
        (
            "[channels.orders]\nkind = \"latest\"\nparallelism = 17\n",
            "channels.orders.parallelism = 17 is out of range: 1 to 16 (file FILE)",
        ),
        (
            "[channels.\"my orders\"]\nkind = \"latest\"\nqueue_messages = 0\n",
            "channels.my orders.queue_messages = 0 is out of range: 1 to 1048576 (file FILE)",
        ),
        (
            "[channels.orders]\nkind = \"latest\"\ntimeout = \"0s\"\n",
            "channels.orders.timeout = 0ns is out of range: at least 1ms (file FILE)",
        ),
    ] {
        assert_eq!(refused(text), error);
    }
}

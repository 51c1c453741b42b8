//! Closed clusters, end to end: keys, secrets and certificates as files, and agents that use them.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;

use std::path::{Path, PathBuf};
use std::process::Output;

use agent::{Agent, Signal, eventually, murmurate, run, text};

/// A folder with files.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().expect("UTF-8").to_owned()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    /// For its owner alone.
    fn write(&self, name: &str, content: &str) -> String {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        self.name(name)
    }
}

/// What a command prints, which has to work.
fn says(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).trim_end().to_owned()
}

fn fails(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr).trim_end().to_owned()
}

fn set(key: &str, value: &str) -> [String; 2] {
    ["--set".to_owned(), format!("admission.{key}={value}")]
}

fn start(folder: &Path, name: &str, first: &str, settings: &[[String; 2]]) -> Agent {
    let joins: &[&str] = if first.is_empty() { &["--first"] } else { &["--join", first] };
    let settings = settings.iter().flatten().map(String::as_str);
    let arguments: Vec<_> = joins.iter().copied().chain(settings).collect();
    Agent::start(folder, name, &arguments)
}

#[test]
fn a_secret_keeps_others_out_and_is_rotated_by_commands() {
    let files = Files::new();
    let [old, new, other] = [(); 3].map(|()| says(&["secret", "generate"]));
    let generated = says(&["secret", "generate", &files.name("generated")]);
    assert_eq!((generated.len(), files.read("generated").trim().len()), (16, 64));
    let with = |name: &str, secret: &str| {
        [set("mode", "secret"), set("secret_file", &files.write(name, &format!("{secret}\n")))]
    };
    let folder = files.0.path();
    let one = start(folder, "one", "", &with("one.secret", &old));
    let two = start(folder, "two", &one.address, &with("two.secret", &old));
    let three = start(folder, "three", &one.address, &with("three.secret", &old));
    for agent in [&one, &two, &three] {
        eventually("two neighbours", || (agent.neighbors().len() == 2).then_some(()));
    }
    let stranger = start(folder, "stranger", &one.address, &with("stranger.secret", &other));
    let line = |agent: &Agent, about: &str| {
        let found = |line: &&str| line.contains(about);
        eventually(about, || agent.log().lines().find(found).map(ToOwned::to_owned))
    };
    let at_home = line(&one, "a connection is not admitted");
    assert!(at_home.contains(&stranger.node), "{at_home}");
    assert!(at_home.contains("install the cluster's secret on it"), "{at_home}");
    line(&stranger, "install the cluster's secret on this node");
    assert!(stranger.neighbors().is_empty());
    assert!(one.get("/metrics").contains("murmurate_not_admitted_total{reason=\"secret\"}"));

    let file = files.write("new.secret", &new);
    let installed = two.command(&["secret", "install", &file]);
    assert!(installed.status.success(), "{}", text(&installed.stderr));
    let shown = text(&installed.stdout);
    assert!(shown.ends_with("3 of 3 nodes hold these\n"), "{shown}");
    let ids: Vec<_> =
        shown.lines().map(|line| line.split_whitespace().next().unwrap_or("")).collect();
    let (old_id, new_id) = (ids[0], ids[1]);
    let error = fails(&two.command(&["secret", "remove", old_id]));
    assert_eq!(error, format!("error: secret {old_id} is in use: use another one first"));
    for step in [["secret", "use", new_id], ["secret", "remove", old_id]] {
        let made = one.command(&step);
        let said = text(&made.stdout) + &text(&made.stderr);
        assert!(made.status.success(), "{step:?}: {said}");
        assert!(text(&made.stdout).contains("3 of 3 nodes"), "{}", text(&made.stdout));
    }
    for name in ["one.secret", "two.secret", "three.secret"] {
        eventually("it is written down", || {
            (files.read(name).lines().last() == Some(&new)).then_some(())
        });
    }
    for agent in [&one, &two, &three] {
        assert_eq!(agent.neighbors().len(), 2);
        assert!(!agent.log().contains(&new) && !agent.log().contains(&old));
    }
    // One that stands still has not heard of it.
    three.process.stop();
    let late = files.write("late.secret", &says(&["secret", "generate"]));
    let late = one.command(&["secret", "install", &late]);
    assert_eq!(late.status.code(), Some(1), "{}", text(&late.stdout));
    assert!(text(&late.stdout).contains("2 of 3 nodes hold these"), "{}", text(&late.stdout));
    assert!(text(&late.stdout).contains(&format!("not {}", three.node)));
    three.process.signal(Signal::SIGCONT);
}

#[test]
fn an_authority_issues_renews_and_revokes() {
    let files = Files::new();
    let authority = says(&["ca", "init", &files.name("ca.key")]);
    let again = fails(&run(&["ca", "init", &files.name("ca.key")]));
    assert!(again.ends_with("File exists (os error 17)"), "{again}");
    let agent = |name: &str, first: &str| {
        let [key, certificate] = ["key", "cert"].map(|of| files.name(&format!("{name}.{of}")));
        let node = says(&["keygen", &key]);
        assert_eq!(says(&["id", &key]), node);
        let ca = files.name("ca.key");
        let issue =
            ["ca", "issue", "--ca", &ca, "--network", "murmurate", "--role", "writer", &node];
        std::fs::write(&certificate, says(&issue)).expect("written");
        let shown = says(&["ca", "show", &certificate]);
        assert!(shown.contains(&node) && shown.ends_with("roles        writer"), "{shown}");
        let renew = ["ca", "renew", "--ca", &ca, "--network", "murmurate", &certificate];
        assert!(says(&renew).contains(&node));
        let identity = ["--identity-file".to_owned(), key];
        let settings = [
            set("mode", "certified"),
            set("authorities", &authority),
            set("certificate_file", &certificate),
            set("revocations_file", &files.name(&format!("{name}.revoked"))),
            identity,
        ];
        start(files.0.path(), name, first, &settings)
    };
    let one = agent("one", "");
    let two = agent("two", &one.address);
    let three = agent("three", &one.address);
    for agent in [&one, &two, &three] {
        eventually("two neighbours", || (agent.neighbors().len() == 2).then_some(()));
    }
    let [ca, list] = [files.name("ca.key"), files.name("one.revoked")];
    let revoked = says(&["ca", "revoke", "--ca", &ca, "--list", &list, &three.node]);
    assert!(revoked.ends_with(": 1 nodes are revoked"), "{revoked}");
    // The file is looked at each second, and its content is told to all.
    for agent in [&one, &two] {
        eventually("it is out", || (!agent.neighbors().contains(&three.node)).then_some(()));
    }
    let told = || (files.path("two.revoked").exists()).then(|| files.read("two.revoked"));
    assert_eq!(eventually("it is written down", told), files.read("one.revoked"));
    assert!(one.get("/readyz").starts_with("HTTP/1.1 200"));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let files = Files::new();
    let check = |settings: &[[String; 2]]| {
        let settings = settings.iter().flatten().map(String::as_str);
        let arguments: Vec<_> = ["check-config"].into_iter().chain(settings).collect();
        let output = run(&arguments);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr).trim_end().to_owned()
    };
    let mode = |mode: &str| set("mode", mode);
    assert_eq!(
        check(&[mode("secret")]),
        "error: admission.secret_file is not set: admission.mode = secret needs it"
    );
    let hunter2 = files.write("weak", "hunter2\n");
    let error = check(&[mode("secret"), set("secret_file", &hunter2)]);
    assert!(error.contains("line 1: a secret is 64 hexadecimal digits"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    let error = check(&[mode("certified")]);
    assert!(error.starts_with("error: admission.authorities is empty"), "{error}");
    let error = check(&[mode("allowlist"), set("allowlist_file", &files.name("none"))]);
    assert!(error.contains("No such file"), "{error}");
    let list = files.write("list", "somebody\n");
    let error = check(&[mode("allowlist"), set("allowlist_file", &list)]);
    assert!(error.contains("line 1: \"somebody\" is not a peer id"), "{error}");
    let error = check(&[mode("closed")]);
    assert!(error.contains("open") && error.contains("certified"), "{error}");
    let open = murmurate(&["node", "--listen", "/ip4/0.0.0.0/tcp/0", "--first", "--admin"])
        .arg(files.path("sock"))
        .stderr(std::fs::File::create(files.path("log")).expect("a log"))
        .spawn();
    let _open = agent::Process(open.expect("it runs"));
    eventually("the warning", || {
        files.read("log").contains("admission is open: whoever").then_some(())
    });
}

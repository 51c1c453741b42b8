//! The state that a cluster shares, from the command line.

#![expect(clippy::expect_used, clippy::panic, reason = "a test says what it expects")]

mod agent;

use agent::{Agent, eventually, text};
use serde_json::{Value, json};

fn lines(agent: &Agent, arguments: &[&str]) -> Vec<Value> {
    let output = agent.command(&[arguments, &["--json"]].concat());
    let said = text(&output.stdout);
    said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// What a command prints, without the line's end, and its exit status.
fn say(agent: &Agent, arguments: &[&str]) -> (String, Option<i32>) {
    let output = agent.command(arguments);
    (text(&output.stdout).trim_end().to_owned(), output.status.code())
}

#[test]
fn what_one_node_is_told_the_others_know() {
    let folder = tempfile::tempdir().expect("a folder");
    let on = ["--set", "cluster.enabled=true"];
    let start = |name, more: &[&str]| Agent::start(folder.path(), name, &[&on, more].concat());
    let one = start("one", &["--first", "--set", "cluster.name=wren"]);
    let mut two = start("two", &["--join", &one.address, "--set", "cluster.tags=role=web,zone=b"]);

    let all = || lines(&two, &["members", "--all"]);
    eventually("both are known", || (all().len() == 2).then_some(()));
    let wren = all().into_iter().find(|member| member["name"] == "wren").expect("by its name");
    assert_eq!((&wren["node"], &wren["liveness"]), (&json!(one.node), &json!("alive")));
    let web = eventually("the one with the tag", || {
        lines(&one, &["members", "--tag", "role=web", "--tag", "zone=b"]).pop()
    });
    assert_eq!(web["node"], two.node);
    let (shown, _) = say(&one, &["members", "--all"]);
    assert!(shown.starts_with("NAME") && shown.contains("wren  alive"), "{shown}");

    assert_eq!(say(&one, &["kv", "put", "sky", "blue"]), (String::new(), Some(0)));
    eventually("the other has it", || {
        (say(&two, &["kv", "get", "sky"]) == ("blue".into(), Some(0))).then_some(())
    });
    assert_eq!(say(&two, &["kv", "list", "s"]).0, "sky blue");
    assert_eq!(say(&two, &["kv", "delete", "sky"]).1, Some(0));
    eventually("it is gone", || (say(&one, &["kv", "get", "sky"]).1 == Some(1)).then_some(()));
    assert_eq!(lines(&one, &["kv", "get", "sky"]), [json!({ "key": "sky", "value": null })]);

    assert_eq!(say(&one, &["flag", "nest"]).0, "off");
    assert_eq!(say(&one, &["flag", "nest", "12.5%"]).1, Some(0));
    eventually("the flag", || {
        (say(&two, &["flag", "nest"]).0 == "on for 12.5 % of all keys").then_some(())
    });
    assert_eq!(say(&one, &["groups", "nobody"]), (String::new(), Some(0)));
    assert_eq!(lines(&one, &["names"]), [] as [Value; 0]);

    two.process.0.kill().expect("it runs");
    let failed = eventually("it has failed", || {
        lines(&one, &["members", "--all"]).into_iter().find(|member| member["liveness"] == "failed")
    });
    assert_eq!(failed["node"], two.node);
}

#[test]
fn a_node_without_it_says_how_to_have_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = Agent::start(folder.path(), "one", &["--first"]);
    for command in [&["members", "--all"][..], &["kv", "get", "a"], &["kv", "watch"], &["names"]] {
        let output = one.command(command);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{command:?}: {said}");
        assert!(said.contains("start it with cluster.enabled = true"), "{command:?}: {said}");
    }
    let refused = agent::run(&["node", "--set", "cluster.tags=web"]);
    let said = text(&refused.stderr);
    assert!(said.contains("cluster.tags") && said.contains("KEY=VALUE"), "{said}");
}

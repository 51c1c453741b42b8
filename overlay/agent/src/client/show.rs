//! What people read.

use comfy_table::{ContentArrangement, Table, presets};

use crate::admin::{Entry, Info, Members, RosterMember, SecretsHeld, Tree};

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(head.iter().copied());
    table
}

fn plain(table: &Table) -> String {
    table.lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Neighbours first.
pub(super) fn members(members: &Members) -> String {
    let mut table = table(&["NODE", "VIEW", "TREE", "ADDRESSES"]);
    for neighbor in &members.active {
        let tree = match neighbor.tree {
            Tree::Eager => "eager",
            Tree::Lazy => "lazy",
        };
        table.add_row([&neighbor.node, "active", tree, &neighbor.addresses.join(" ")]);
    }
    for node in &members.passive {
        table.add_row([node, "passive", "", ""]);
    }
    plain(&table)
}

/// Those that run first.
pub(super) fn roster(members: &[RosterMember]) -> String {
    let mut table = table(&["NAME", "STATE", "REGION", "VERSION", "TAGS", "NODE"]);
    for member in members {
        let tags: Vec<_> =
            member.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let RosterMember { name, liveness, region, version, node, .. } = member;
        table.add_row([name, liveness, region, version, &tags.join(","), node]);
    }
    plain(&table)
}

/// What somebody holds, and who.
pub(super) fn entries(entries: &[Entry]) -> String {
    let has_keys = entries.iter().any(|entry| entry.key.is_some());
    let mut table =
        if has_keys { table(&["KEY", "ABOUT", "NODE"]) } else { table(&["ABOUT", "NODE"]) };
    for Entry { key, node, about, text } in entries {
        let about = text.clone().unwrap_or_else(|| format!("{} bytes", about.0.len()));
        match key {
            Some(key) => table.add_row([key, &about, node]),
            None => table.add_row([&about, node]),
        };
    }
    plain(&table)
}

/// The ids, and who has them.
pub(super) fn secrets(held: &SecretsHeld) -> String {
    let proven = held.secrets.iter().enumerate();
    let mut lines: Vec<_> =
        proven.map(|(at, id)| if at == 0 { format!("{id}  in use") } else { id.clone() }).collect();
    lines.push(format!("{} of {} nodes hold these", held.holding, held.nodes));
    lines.extend(held.without.iter().map(|node| format!("not {node}")));
    lines.join("\n")
}

/// One fact a line.
pub(super) fn info(info: &Info) -> String {
    let started = std::time::UNIX_EPOCH + std::time::Duration::from_millis(info.started);
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let metrics = info.metrics.as_ref().map(|address| format!("http://{address}/metrics"));
    for (name, value) in [
        ("node", info.node.clone()),
        ("network", info.network.clone()),
        ("version", info.version.clone()),
        ("started", humantime::format_rfc3339_seconds(started).to_string()),
        ("pid", info.pid.to_string()),
        ("ready", if info.ready { "yes".into() } else { "no".to_owned() }),
        ("active view", info.active.to_string()),
        ("passive view", info.passive.to_string()),
        ("connections", info.connections.to_string()),
        ("outbox bytes", info.outbox_bytes.to_string()),
        ("addresses", info.addresses.join(" ")),
        ("metrics", metrics.unwrap_or_else(|| "off".into())),
        ("admin", info.admin.clone()),
    ] {
        table.add_row([name.to_owned(), value]);
    }
    plain(&table)
}

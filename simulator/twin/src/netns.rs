//! Network namespaces by the command `ip`, each with a device that this process holds the other end of.

use std::error;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::Uid;
use tun_rs::{DeviceBuilder, SyncDevice};

type Error = Box<dyn error::Error + Send + Sync>;

/// Where the kernel makes such devices.
const DEVICES: &str = "/dev/net/tun";

/// Why there can be none here, if so. Removes those that runs left which were killed too hard to clean up:
/// their names begin with this and a process id in hex.
pub(crate) fn check(prefix: &str) -> Result<(), Error> {
    if !Uid::effective().is_root() {
        return Err("network namespaces are made by root only".into());
    }
    if !Path::new(DEVICES).exists() {
        return Err(format!("there is no {DEVICES}: the kernel module `tun` is missing").into());
    }
    for line in String::from_utf8_lossy(&run(&["netns", "list"], "")?).lines() {
        let name = line.split(' ').next().unwrap_or_default();
        let owner = name.strip_prefix(prefix).and_then(|rest| rest.split('-').next());
        let Some(pid) = owner.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            let _ = run(&["netns", "del", name], "");
        }
    }
    Ok(())
}

/// Makes one of this name, and a device in it. Both are the caller's to [`remove`].
pub(crate) fn make(name: &str, device: &str) -> Result<SyncDevice, Error> {
    let other_end = DeviceBuilder::new().name(name).build_sync();
    let other_end = other_end.map_err(|error| format!("{DEVICES}: {error}"))?;
    batch(&[], &format!("netns add {name}\nlink set {name} netns {name} name {device}"))?;
    Ok(other_end)
}

/// Removes both, as far as they are there.
pub(crate) fn remove(name: &str, device: &str) {
    // A namespace alone goes only when its last socket does.
    let _ = run(&["-n", name, "link", "del", device], "");
    let _ = run(&["netns", "del", name], "");
}

/// Runs `ip` with these lines, one after the other.
pub(crate) fn batch(arguments: &[&str], lines: &str) -> Result<(), Error> {
    run(&[arguments, &["-batch", "-"]].concat(), lines).map(drop)
}

/// Runs `ip` to its end: what it printed.
pub(crate) fn run(arguments: &[&str], input: &str) -> Result<Vec<u8>, Error> {
    let failed = |why: String| format!("ip {}: {why}", arguments.join(" "));
    let mut child = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // What ends this program by the terminal must not end its cleaning up.
        .process_group(0)
        .spawn()
        .map_err(|error| match error.kind() {
            ErrorKind::NotFound => "there is no `ip`: install iproute2".into(),
            _ => failed(error.to_string()),
        })?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    let ended = child.wait_with_output()?;
    if !ended.status.success() {
        return Err(failed(String::from_utf8_lossy(&ended.stderr).trim().into()).into());
    }
    Ok(ended.stdout)
}

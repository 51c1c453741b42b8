//! Programs of Debian that a test needs: installed if they may be, or else the test says loudly that
//! it was skipped.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::io::Write as _;
use std::process::{Command, Stdio};

/// Whether `works` succeeds, if need be once these packages are installed. Otherwise says so.
pub(crate) fn there_is(packages: &[&str], works: impl Fn() -> bool) -> bool {
    if works() || (installed(packages) && works()) {
        return true;
    }
    // Not through a macro: the harness would keep it to itself.
    let said = format!("SKIPPED: not here: apt-get install {}\n", packages.join(" "));
    let _ = std::io::stderr().write_all(said.as_bytes());
    false
}

fn installed(packages: &[&str]) -> bool {
    let apt = |arguments: &[&str]| {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        // Another test may be at it.
        apt.args(["-o", "DPkg::Lock::Timeout=300"]);
        succeeds(&mut apt)
    };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let install = ["install", "-y", "--no-install-recommends"];
    is_root && apt(&["update"]) && apt(&[&install[..], packages].concat())
}

/// Whether a command ends well.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

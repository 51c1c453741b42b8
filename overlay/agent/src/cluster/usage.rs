//! What the process uses, and may use.

use std::error::Error;
use std::time::Duration;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit};

/// Time on all cores, in user and kernel, since the process began.
pub(super) fn cpu_time() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let micros = |time: nix::sys::time::TimeVal| {
            (time.tv_sec() * 1_000_000 + time.tv_usec()).unsigned_abs()
        };
        Duration::from_micros(micros(usage.user_time()) + micros(usage.system_time()))
    })
}

/// The most memory the process had so far, in bytes.
pub(super) fn peak_memory() -> u64 {
    // The kernel counts in KiB (on macOS in bytes).
    let unit = if cfg!(target_os = "macos") { 1 } else { 1_024 };
    getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| usage.max_rss().unsigned_abs() * unit)
}

/// Makes sure that so many files may be open at a time.
pub(super) fn allow_files(wanted: u64) -> Result<(), Box<dyn Error>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if hard < wanted {
        return Err(format!(
            "{wanted} open files are needed, {hard} are allowed: see `ulimit -Hn`"
        )
        .into());
    }
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(())
}

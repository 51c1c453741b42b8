//! The memory this process has used.

/// The most physical memory this process ever held, in bytes; `None` where the system does not
/// tell (anywhere but Linux).
#[must_use]
pub fn peak_rss_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().trim_end_matches("kB").trim_end().parse().ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_uses_memory() {
        let peak = super::peak_rss_bytes().expect("Linux tells");
        assert!((1 << 20..1 << 40).contains(&peak), "{peak} bytes");
    }
}

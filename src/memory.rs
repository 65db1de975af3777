//! How much memory there is, and how much of it this process uses.

use std::fs;

/// The bytes that this process may use: the smallest of the container's limits (cgroup v2, then v1) and the
/// machine's memory.
#[must_use]
pub fn container_limit() -> u64 {
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let cgroup = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    cgroup.chain(machine()).min().unwrap_or(u64::MAX)
}

/// `MemTotal` of the machine, in bytes.
fn machine() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The resident memory of this process in bytes (`VmRSS`); `None` where the system doesn't say.
#[must_use]
pub fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

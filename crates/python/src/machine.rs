//! What this machine allows and this process holds: memory. (Threads: `pantile_exec::default_threads`.)

use std::fs::read_to_string;

/// The memory that this process may use: the smallest of the host's and of the limits of its control groups, in bytes.
///
/// Read once: finding out costs more than running a small graph.
pub fn default_memory() -> u64 {
    static MEMORY: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *MEMORY.get_or_init(measure)
}

fn measure() -> u64 {
    let mut best = host().unwrap_or(8 << 30);
    for limit in groups() {
        best = best.min(limit);
    }
    best
}

fn host() -> Option<u64> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib * 1024)
}

/// The limits of the control groups of this process and of the ones around them, versions 1 and 2.
fn groups() -> Vec<u64> {
    let mut limits = Vec::new();
    let number = |path: String| read_to_string(path).ok().and_then(|t| t.trim().parse::<u64>().ok());
    for line in read_to_string("/proc/self/cgroup").unwrap_or_default().lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, mut path) =
            (parts.next(), parts.next().unwrap_or(""), parts.next().unwrap_or("/"));
        let (root, file) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max")
        } else if controllers.split(',').any(|c| c == "memory") {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        } else {
            continue;
        };
        loop {
            limits.extend(number(format!("{root}{}/{file}", path.trim_end_matches('/'))));
            match path.rfind('/') {
                Some(at) if path.len() > 1 => path = if at == 0 { "/" } else { &path[..at] },
                _ => break,
            }
        }
    }
    limits
}

/// Pages of files up to this many bytes count as held: the code of libraries. More are maps of data files, which the system drops
/// when it needs memory.
const LIBRARIES: u64 = 128 << 20;

/// The memory that this process holds now, in bytes: its resident set, without what the system can take back at once.
pub fn resident() -> u64 {
    const PAGE: u64 = 4096;
    let text = read_to_string("/proc/self/statm").unwrap_or_default();
    let field =
        |n: usize| text.split_whitespace().nth(n).and_then(|t| t.parse::<u64>().ok()).unwrap_or(0) * PAGE;
    let (all, mapped) = (field(1), field(2));
    if mapped <= LIBRARIES {
        return all;
    }
    // Memory that processes share is among what is mapped, and cannot be taken back.
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("RssShmem:"));
    let shared = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024;
    all.saturating_sub(mapped.saturating_sub(shared).saturating_sub(LIBRARIES))
}

//! Memory and processor time of this process and its children over time, read by a thread that needs no GIL.

use crate::threads;
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the list of children is made anew: that looks at every process of the machine.
const CHILDREN_EVERY: Duration = Duration::from_millis(500);
/// Linux counts the processor time of other processes in hundredths of a second, whatever its own clock does.
const TICK_NS: u64 = 10_000_000;

/// One look.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// Resident memory, in bytes.
    pub bytes: u64,
    /// Processor time since the look before, as a share of one processor.
    pub cpu: f64,
}

#[derive(Default)]
struct Shared {
    stop: Mutex<bool>,
    wake: Condvar,
    samples: Mutex<Vec<Sample>>,
}

/// Looks again and again until it is stopped or dropped.
pub struct Sampler {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Begins, with a look at once and then one every `every`.
    ///
    /// # Errors
    /// When the system refuses to start a thread.
    pub fn start(every: Duration) -> std::io::Result<Sampler> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let thread = std::thread::Builder::new()
            .name("pantile-sampler".into())
            .spawn(move || watch(&theirs, every.max(Duration::from_millis(1))))?;
        Ok(Sampler { shared, thread: Some(thread) })
    }

    /// Everything seen so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.shared.samples.lock().clone()
    }

    /// Looks once more, so that there are two looks at least, ends the thread and gives everything it saw.
    pub fn stop(&mut self) -> Vec<Sample> {
        *self.shared.stop.lock() = true;
        self.shared.wake.notify_all();
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic; if it did, what it saw is still there.
            let _ = thread.join();
        }
        self.samples()
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop();
    }
}

fn watch(shared: &Shared, every: Duration) {
    let mut children = Vec::new();
    let mut looked: Option<Instant> = None;
    let mut before: HashMap<u32, u64> = HashMap::new();
    let mut last: Option<Instant> = None;
    loop {
        // Two looks at least: one alone tells no share of a processor.
        let stopping = *shared.stop.lock() && last.is_some();
        let at = Instant::now();
        if looked.is_none_or(|t| at - t >= CHILDREN_EVERY) {
            children = descendants(std::process::id());
            looked = Some(at);
        }
        let mut bytes = resident("self");
        let mut now = own_threads();
        // A thread that has begun since did all its work since; a child that has just been found may be old.
        let mut used: u64 =
            now.iter().map(|(tid, ns)| ns.saturating_sub(*before.get(tid).unwrap_or(&0))).sum();
        for &pid in &children {
            let name = pid.to_string();
            bytes += resident(&name);
            if let Some(stat) = stat(&name) {
                used += stat.cpu_ns.saturating_sub(*before.get(&pid).unwrap_or(&stat.cpu_ns));
                now.insert(pid, stat.cpu_ns);
            }
        }
        let cpu = last.map_or(0.0, |t| used as f64 / (at - t).as_nanos().max(1) as f64);
        shared.samples.lock().push(Sample { at, bytes, cpu });
        (before, last) = (now, Some(at));
        if stopping {
            return;
        }
        let mut stop = shared.stop.lock();
        let deadline = at + every;
        while !*stop && !shared.wake.wait_until(&mut stop, deadline).timed_out() {}
    }
}

/// The resident memory of a process, in bytes; 0 when it is gone.
fn resident(pid: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = status.lines().find_map(|l| l.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0u64) * 1024
}

struct Stat {
    parent: u32,
    cpu_ns: u64,
}

fn stat(pid: &str) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program's name may hold anything, also blanks and brackets; the fields follow its last bracket.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |i: usize| fields.get(i)?.parse::<u64>().ok();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, cpu_ns: (ticks(11)? + ticks(12)?) * TICK_NS })
}

/// The children of a process, their children, and so on.
fn descendants(root: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let parents: Vec<(u32, u32)> =
        pids.filter_map(|pid| Some((pid, stat(&pid.to_string())?.parent))).collect();
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found.split_off(1)
}

/// The processor time of each thread of this process. The kernel's account of threads is exact, that of processes is not; where
/// there is none, the process stands for its threads.
fn own_threads() -> HashMap<u32, u64> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let tids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    let ran: HashMap<u32, u64> = tids.filter_map(|tid| Some((tid, threads::account(tid)?.ran_ns))).collect();
    if !ran.is_empty() {
        return ran;
    }
    stat("self").map(|s| (std::process::id(), s.cpu_ns)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_and_its_memory_are_seen() {
        let mut sampler = Sampler::start(Duration::from_millis(20)).unwrap();
        let held = vec![1u8; 64 << 20];
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(120) {
            std::hint::black_box(&held);
        }
        let samples = sampler.stop();
        assert!(samples.len() >= 3, "{samples:?}");
        assert!(samples.windows(2).all(|w| w[0].at < w[1].at));
        assert!(samples.iter().skip(1).any(|s| s.cpu > 0.2), "{samples:?}");
        assert!(samples.last().unwrap().bytes >= 64 << 20);
        assert_eq!(Sampler::start(Duration::from_secs(9)).unwrap().stop().len(), 2);
        // Stopped is stopped.
        assert_eq!(sampler.stop().len(), samples.len());
    }

    #[test]
    fn children_are_found() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let found = descendants(std::process::id()).contains(&child.id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(found);
    }
}

//! Threads by small numbers: what an event says of the thread that ran its task.
//!
//! A worker's number holds within one run only, and the calling thread of every run is worker 0. So that two runs share a row in
//! a picture when they used the same thread, each thread that was ever watched gets a number of its own, for the life of the
//! process.
//!
//! The kernel's account of a thread (`account`) says how long it ran and how long it waited for a processor. What is left
//! of the time it spent blocked.

use parking_lot::Mutex;
use std::cell::Cell;
use std::fs;

/// What is known of a thread.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Thread {
    /// The name, for people.
    pub name: String,
    /// The kernel's number of it; 0 where there is no `/proc`.
    pub tid: u32,
}

/// Processor time of a thread, since it was started.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Account {
    /// Nanoseconds on a processor.
    pub ran_ns: u64,
    /// Nanoseconds ready to run, while the processors were busy with others.
    pub queued_ns: u64,
}

static THREADS: Mutex<Vec<Thread>> = Mutex::new(Vec::new());

thread_local! {
    static NUMBER: Cell<u32> = const { Cell::new(u32::MAX) };
}

/// The calling thread's number.
#[inline]
pub fn number() -> u32 {
    let number = NUMBER.get();
    if number == u32::MAX { register() } else { number }
}

#[cold]
fn register() -> u32 {
    let tid: u32 = fs::read_link("/proc/thread-self")
        .ok()
        .and_then(|path| path.file_name()?.to_str()?.parse().ok())
        .unwrap_or(0);
    let name = match std::thread::current().name() {
        _ if tid == std::process::id() => "main".to_string(),
        Some(name) => name.to_string(),
        None => match fs::read_to_string(format!("/proc/self/task/{tid}/comm")) {
            Ok(name) => format!("{} {tid}", name.trim()),
            Err(_) => format!("thread {tid}"),
        },
    };
    let mut threads = THREADS.lock();
    let number = threads.len() as u32;
    threads.push(Thread { name, tid });
    NUMBER.set(number);
    number
}

/// A thread by its number.
pub fn get(number: u32) -> Option<Thread> {
    THREADS.lock().get(number as usize).cloned()
}

/// The kernel's account of a thread that still exists; none where the kernel keeps none.
pub fn account(tid: u32) -> Option<Account> {
    let text = fs::read_to_string(format!("/proc/self/task/{tid}/schedstat")).ok()?;
    let mut fields = text.split_whitespace().map(str::parse);
    Some(Account { ran_ns: fields.next()?.ok()?, queued_ns: fields.next()?.ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_have_numbers_of_their_own_and_keep_them() {
        let here = number();
        let builder = std::thread::Builder::new().name("weaver".into());
        let there = builder.spawn(|| (number(), number())).unwrap().join().unwrap();
        assert_eq!((here, there.0), (number(), there.1));
        assert_ne!(here, there.0);
        assert_eq!(get(there.0).unwrap().name, "weaver");
        assert_eq!(get(u32::MAX), None);
    }
}

//! Watching runs: what an executor's observer remembers for people to look at.
//!
//! `progress` has counters that threads update while they work and that a progress bar polls; `events` a log of every task, with what it
//! waited for (`waits`) and the thread that ran it (`threads`); `timed` a runner that tells the log what observers cannot see;
//! `resources` memory and processor time. How it looks (bars, pictures, reports) is drawn by the Python package, from these numbers.

pub mod events;
pub mod progress;
pub mod resources;
pub mod threads;
pub mod timed;
pub mod waits;

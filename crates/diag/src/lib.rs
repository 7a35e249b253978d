//! Watching runs: what an executor's observer remembers for people to look at.
//!
//! `progress` has counters that threads update while they work and that a progress bar polls. How it looks (bars, pictures of graphs,
//! explanations) is drawn by the Python package, from these numbers.

pub mod progress;

//! Worker processes: started once, kept warm, called by any thread, with large buffers in shared memory.
//!
//! Reading order: `launch` (how a worker starts and ends, `Worker`), `pool` (who gets which worker), `channel` (messages), `segment`
//! (shared memory), `sys` (the system calls; all unsafe code is there), `error`.
//!
//! A message is a kind, a number and some byte strings. What the bytes mean is the business of those at the two ends; no pickle
//! and no Python here. Both ends run this code: a worker's end is a `Channel` over its standard input.
//!
//! Nothing has a name. Sockets come in pairs, segments are anonymous files whose descriptors travel through the socket, so nothing
//! is left behind, whoever is killed and whenever. Neither end keeps a descriptor for a segment: its mapping keeps it alive.
//!
//! How death is noticed. The caller waits for the socket and for the worker's process descriptor, so a worker's death ends a call
//! even if a grandchild holds the socket. A worker has a thread that waits for the socket's end and for its parent's process
//! descriptor (`Watch`), and ends the process whatever its other threads are doing.

mod channel;
mod error;
mod launch;
mod pool;
mod segment;
mod sys;

pub use channel::{Channel, Frame, Kind, Message, Part};
pub use error::ProcessError;
pub use launch::{Launch, Watch, Worker};
pub use pool::{Keep, Kept, Lease, Pool};
pub use segment::{Shared, Traffic, traffic};

//! The thread pool, the sync and threads executors, the memory ledger and spilling

//! The layers that lowering makes. Reading order: `region` (what a fused group is), `store` (evaluate it), `reduce` (fold
//! it), `op` (everything else).

pub mod op;
pub mod reduce;
pub mod region;
pub mod store;

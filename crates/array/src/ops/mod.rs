//! NumPy's vocabulary, composed from the few kinds of nodes. One family a file.

pub mod assign;
pub mod contract;
pub mod elementwise;
pub mod index;
pub mod join;
pub mod linalg;
pub mod random;
pub mod reduction;
pub mod sampled;
pub mod scan;
mod scatter;
pub mod shape;

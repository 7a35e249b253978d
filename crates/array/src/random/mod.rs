//! Random arrays that depend on the seed and the shape alone, never on chunks, workers or schedule.
//!
//! Every sample is a pure function of a [`Key`] and the element's place in the array's C order, through the
//! counter-based generator Philox4x32-10. So a block can be made anywhere, in any order, and again after it was lost.
//! Every result has the same bits on every machine: see `math` for how.
//!
//! A generator in Python holds `Key::from_seed(words)` and a call counter; its call `n` makes an array with
//! `key.child(n)`: a [`Sampler`] for what a [`Distribution`] describes, or a [`Permutation`]. Numbers are not those of
//! NumPy's generators, whose streams are sequential; names, parameters, dtypes and distributions are.
//!
//! Reading order: `distribution` (what can be asked), `sampler` (the door), `key`, `philox`, `region`, `engine` (the
//! loops), then the kernels: `continuous`, `integers`, `discrete`, `rejection`; `permutation`; `math` underneath.
//!
//! Not here: parameters that are arrays (`ops::sampled` calls a sampler for each element), multivariate distributions, and reading the system's entropy.

mod continuous;
mod discrete;
mod distribution;
mod engine;
mod error;
mod integers;
mod key;
mod math;
mod permutation;
mod philox;
mod region;
mod rejection;
mod sampler;

#[cfg(test)]
mod special;
#[cfg(test)]
mod tests;

pub use distribution::{Distribution, Number};
pub use error::RandomError;
pub use key::Key;
pub use permutation::Permutation;
pub use sampler::Sampler;

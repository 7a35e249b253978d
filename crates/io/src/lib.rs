//! Reading and writing the files that arrays come from: npy, HDF5 chunks, Zarr.
//!
//! Every reader answers one question: copy this strided region of an array into this strided memory, in native byte order. All
//! of them may be called from any thread, hold no lock while they read, never take Python's lock, and leave no threads of their own: the
//! caller's pool decides what runs at once. A damaged file gives an error that names the file and the chunk, as far as damage can
//! be seen: where lengths, headers or compressed streams contradict themselves, and where the file carries a checksum. A flipped
//! byte among uncompressed numbers without one cannot be noticed.
//!
//! This crate knows elements by their size and byte order only; dtypes are the caller's.

mod element;
mod error;
pub mod hdf5;
pub mod npy;
mod npy_header;
mod pipeline;
pub mod zarr;
pub mod zarr_create;

mod contiguous;
mod lzf;
mod region;
mod scratch;
mod shuffle;
pub mod source;
mod zarr_dtype;

pub use element::ElementLayout;
pub use error::{ChunkFault, Error, Family, Result};
pub use pipeline::{Filter, Pipeline};

//! Bags: sequences of text and JSON-like values, and what is done to them without Python.
//!
//! A partition is either [`Strings`] (one buffer and offsets) or [`Values`] (a compact encoding, or flat numbers). A pipeline
//! of [`Step`]s pulls no intermediate partition into being: each element runs through all steps and ends in a [`Sink`], which
//! collects, counts, folds or ranks. So `json.loads`, `pluck`, `split`, `flatten`, `frequencies` make one pass over the text.
//!
//! Reading order: `strings`, `tape` (how a value is stored), `item` (a borrowed value), `values`, `json`, `step`, `pipeline`,
//! then the sinks `keys`, `counts`, `fold`, `rank`, `reduce`; beside them `lines` and `read` (files) and `buckets` (spilling).
//!
//! **Invariant:** what is done natively is what Python does, to the bit. What cannot be done so is not approximated: the
//! pipeline hands the element to its [`Escape`], and what has no form here at all is [`Error::NotNative`].
//!
//! **Invariant:** no input panics, however malformed; a damaged file gives an error that names the file and the offset.
//!
//! Not here: Python, threads, partitions of a bag and their graph. Every function is one task's work on one partition.

mod error;

pub mod buckets;
pub mod counts;
pub mod fold;
pub mod item;
pub mod json;
pub mod keys;
pub mod lines;
mod number;
pub mod order;
pub mod pipeline;
pub mod rank;
pub mod read;
pub mod reduce;
pub mod step;
pub mod strings;
pub mod tape;
pub mod text;
pub mod values;

pub use buckets::Buckets;
pub use counts::Counts;
pub use error::{Error, Result};
pub use fold::{FoldOp, Folds};
pub use item::{Item, Seq};
pub use pipeline::{Collect, Escape, Flow, NoEscape, Pipeline, Sink};
pub use step::{Cmp, Key, Owned, Pluck, Step, StrMethod};
pub use strings::Strings;
pub use tape::Tape;
pub use values::{Part, Values};

//! Buffers and decompressors that one thread keeps between chunks.
//!
//! A fresh page costs more than copying into a warm one, so a thread decodes chunk after chunk in the same memory. What a
//! thread keeps is bounded: buffers above [`KEPT_BYTES`] are given back after the chunk that needed them.

use std::cell::RefCell;

use crate::error::{Error, Result};

/// The most that one buffer keeps when it is not in use.
const KEPT_BYTES: usize = 32 << 20;

/// A byte buffer that grows on demand and does not clear what it held.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// The first `len` bytes, with unspecified content.
    pub fn get(&mut self, len: usize, what: &str) -> Result<&mut [u8]> {
        if self.0.len() < len {
            let missing = len - self.0.len();
            self.0
                .try_reserve_exact(missing)
                .map_err(|_| Error::OutOfMemory { bytes: len as u64, what: what.to_string() })?;
            self.0.resize(len, 0);
        }
        Ok(&mut self.0[..len])
    }

    fn trim(&mut self) {
        if self.0.capacity() > KEPT_BYTES {
            self.0 = Vec::new();
        }
    }
}

/// What decoding a chunk needs besides its input and output.
pub(crate) struct Scratch {
    /// The bytes as stored.
    pub raw: Buffer,
    /// The result of a pipeline stage, and the one after it.
    pub stages: [Buffer; 2],
    /// The decoded chunk, where only a part of it is wanted.
    pub chunk: Buffer,
    /// The deflate decoder, which holds tables that are costly to allocate.
    pub inflater: libdeflater::Decompressor,
}

impl Scratch {
    fn new() -> Self {
        Self {
            raw: Buffer::default(),
            stages: Default::default(),
            chunk: Buffer::default(),
            inflater: libdeflater::Decompressor::new(),
        }
    }
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

/// Lends this thread's scratch space to `work`, which must not ask for it again.
pub(crate) fn with_scratch<T>(work: impl FnOnce(&mut Scratch) -> Result<T>) -> Result<T> {
    SCRATCH.with(|cell| {
        let mut scratch = cell.try_borrow_mut().map_err(|_| Error::Bug("nested use of scratch".into()))?;
        let result = work(&mut scratch);
        let Scratch { raw, stages: [first, second], chunk, inflater: _ } = &mut *scratch;
        [raw, first, second, chunk].into_iter().for_each(Buffer::trim);
        result
    })
}

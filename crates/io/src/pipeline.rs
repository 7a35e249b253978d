//! Undoing HDF5's filter pipeline on the stored bytes of one chunk.
//!
//! Filters are listed in the order in which they were applied when the chunk was written, and undone from the last to the
//! first. A bit in the chunk's filter mask says that a filter was skipped for that chunk. Whatever the bytes are, decoding ends
//! with exactly the promised number of bytes or with a [`ChunkFault`]; nothing larger than the promised chunk is ever allocated.

use crate::error::{ChunkFault, Error, Result};
use crate::lzf;
use crate::scratch::{Buffer, Scratch};
use crate::shuffle::unshuffle;

/// One filter of a dataset's pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Deflate in a zlib envelope, HDF5 filter 1.
    Gzip,
    /// The byte shuffle, HDF5 filter 2.
    Shuffle {
        /// Bytes an element, as stored in the filter's parameters.
        elem: usize,
    },
    /// A checksum after the data, HDF5 filter 3.
    Fletcher32,
    /// h5py's LZF, HDF5 filter 32000.
    Lzf,
    /// Any other filter: the reader refuses to open such a dataset, and the caller reads it through h5py.
    Unsupported {
        /// The filter's registered number.
        id: u32,
        /// Its name in the file.
        name: String,
    },
}

/// Deflate cannot expand by more than 1032 times, LZF by no more than 88.
const MAX_EXPANSION: u64 = 1032;
const CHECKSUM_BYTES: usize = 4;

/// A pipeline that this crate can undo, for chunks of one size.
#[derive(Clone, Debug)]
pub struct Pipeline {
    filters: Vec<Filter>,
    chunk_bytes: usize,
}

/// Either a fault of the chunk's bytes, which the caller turns into an error naming the chunk, or any other error.
#[derive(Debug)]
pub(crate) enum DecodeError {
    Fault(ChunkFault),
    Other(Error),
}

impl From<ChunkFault> for DecodeError {
    fn from(fault: ChunkFault) -> Self {
        DecodeError::Fault(fault)
    }
}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        DecodeError::Other(error)
    }
}

impl Pipeline {
    /// Accepts `filters` for chunks of `chunk_bytes`, or says which filter is beyond this crate.
    pub fn new(filters: Vec<Filter>, chunk_bytes: usize, dataset: &str) -> Result<Self> {
        let unsupported = |what: String, reason: &str| Error::Unsupported {
            what: format!("{what} of dataset '{dataset}'"),
            reason: reason.to_string(),
        };
        let mut compressors = 0;
        for filter in &filters {
            match filter {
                Filter::Gzip | Filter::Lzf => compressors += 1,
                Filter::Shuffle { .. } | Filter::Fletcher32 => {}
                Filter::Unsupported { id, name } => {
                    return Err(unsupported(
                        format!("HDF5 filter {id} ('{name}')"),
                        "the native reader knows gzip, shuffle, fletcher32 and lzf; read it through h5py",
                    ));
                }
            }
        }
        if compressors > 1 {
            return Err(unsupported(
                format!("a pipeline of {compressors} compressors"),
                "the size between them is not stored; read it through h5py",
            ));
        }
        if filters.len() > 32 {
            return Err(unsupported(
                format!("a pipeline of {} filters", filters.len()),
                "HDF5 allows at most 32",
            ));
        }
        Ok(Self { filters, chunk_bytes })
    }

    /// Whether a chunk with this mask is stored as plain bytes.
    pub fn is_plain(&self, filter_mask: u32) -> bool {
        self.filters.iter().enumerate().all(|(position, _)| filter_mask >> position & 1 == 1)
    }

    /// Refuses a stored length from which no whole chunk can come, before anything is allocated for it.
    pub(crate) fn check_stored_len(&self, stored: u64, filter_mask: u32) -> Result<(), ChunkFault> {
        let expected = self.chunk_bytes as u64;
        let (mut compressed, mut checksums) = (false, 0);
        for (_, filter) in self.active(filter_mask) {
            match filter {
                Filter::Gzip | Filter::Lzf => compressed = true,
                Filter::Fletcher32 => checksums += CHECKSUM_BYTES as u64,
                Filter::Shuffle { .. } | Filter::Unsupported { .. } => {}
            }
        }
        if compressed {
            if stored.saturating_mul(MAX_EXPANSION) < expected {
                return Err(ChunkFault::Implausible { stored, expected });
            }
        } else if stored != expected + checksums {
            return Err(ChunkFault::Length {
                stage: "the stored chunk",
                expected: expected + checksums,
                found: stored,
            });
        }
        Ok(())
    }

    /// The filters that were applied, with the length of the data that went into each, first applied first. The length
    /// after a compressor is unknown here and given as zero; nobody asks for it, because there is only one compressor.
    fn active(&self, filter_mask: u32) -> impl DoubleEndedIterator<Item = (usize, &Filter)> {
        let mut length = self.chunk_bytes;
        let mut list = Vec::with_capacity(self.filters.len());
        for (position, filter) in self.filters.iter().enumerate() {
            if filter_mask >> position & 1 == 1 {
                continue;
            }
            list.push((length, filter));
            match filter {
                Filter::Gzip | Filter::Lzf => length = 0,
                Filter::Fletcher32 if length > 0 => length += CHECKSUM_BYTES,
                Filter::Fletcher32 | Filter::Shuffle { .. } | Filter::Unsupported { .. } => {}
            }
        }
        list.into_iter()
    }

    /// Decodes a chunk whose stored bytes are the first `stored` of `scratch.raw` into `output`, which is one chunk long.
    pub(crate) fn decode(
        &self,
        stored: usize,
        filter_mask: u32,
        scratch: &mut Scratch,
        output: &mut [u8],
    ) -> Result<(), DecodeError> {
        if output.len() != self.chunk_bytes {
            return Err(Error::Bug("the output of a chunk has the wrong length".into()).into());
        }
        self.check_stored_len(stored as u64, filter_mask)?;
        let Scratch { raw, stages: [current, next], inflater, .. } = scratch;
        // `current` holds the data after the stages undone so far, except at the start, where it is still in `raw`.
        let mut in_raw = true;
        let mut length = stored;
        let mut remaining: Vec<_> = self.active(filter_mask).collect();
        while let Some((before, filter)) = remaining.pop() {
            let source_buffer: &mut Buffer = if in_raw { &mut *raw } else { &mut *current };
            let source = source_buffer.get(length, "a chunk")?;
            match filter {
                Filter::Fletcher32 => {
                    length = check_fletcher32(source)?;
                    continue;
                }
                Filter::Shuffle { elem } if *elem <= 1 => continue,
                Filter::Gzip | Filter::Lzf | Filter::Shuffle { .. } => {}
                Filter::Unsupported { .. } => {
                    return Err(Error::Bug("an unsupported filter was accepted".into()).into());
                }
            }
            // The last stage writes straight into the output.
            let expected = if matches!(filter, Filter::Shuffle { .. }) { length } else { before };
            let is_last = remaining.is_empty() && expected == output.len();
            let target: &mut [u8] =
                if is_last { &mut *output } else { next.get(expected, "a stage of a chunk")? };
            match filter {
                Filter::Shuffle { elem } => unshuffle(source, target, *elem),
                Filter::Gzip => inflate(inflater, source, target)?,
                Filter::Lzf => unpack_lzf(source, target)?,
                Filter::Fletcher32 | Filter::Unsupported { .. } => {}
            }
            if is_last {
                return Ok(());
            }
            length = expected;
            in_raw = false;
            std::mem::swap(current, next);
        }
        if length != output.len() {
            return Err(ChunkFault::Length {
                stage: "the pipeline",
                expected: output.len() as u64,
                found: length as u64,
            }
            .into());
        }
        let source_buffer = if in_raw { raw } else { current };
        output.copy_from_slice(source_buffer.get(length, "a chunk")?);
        Ok(())
    }
}

fn inflate(
    inflater: &mut libdeflater::Decompressor,
    source: &[u8],
    target: &mut [u8],
) -> Result<(), ChunkFault> {
    use libdeflater::DecompressionError::{BadData, InsufficientSpace};
    let expected = target.len() as u64;
    match inflater.zlib_decompress(source, target) {
        Ok(found) if found as u64 == expected => Ok(()),
        Ok(found) => Err(ChunkFault::Length { stage: "the gzip stream", expected, found: found as u64 }),
        Err(BadData) => {
            Err(ChunkFault::Stream { codec: "gzip", reason: "its data or its checksum is invalid" })
        }
        Err(InsufficientSpace) => {
            Err(ChunkFault::Stream { codec: "gzip", reason: "it holds more data than a chunk" })
        }
    }
}

fn unpack_lzf(source: &[u8], target: &mut [u8]) -> Result<(), ChunkFault> {
    let expected = target.len() as u64;
    match lzf::decompress(source, target) {
        Ok(found) if found as u64 == expected => Ok(()),
        Ok(found) => Err(ChunkFault::Length { stage: "the lzf stream", expected, found: found as u64 }),
        Err(reason) => Err(ChunkFault::Stream { codec: "lzf", reason }),
    }
}

/// Verifies the checksum at the end of `bytes` and returns the length of what comes before it.
fn check_fletcher32(bytes: &[u8]) -> Result<usize, ChunkFault> {
    let Some((data, stored)) = bytes.split_last_chunk::<CHECKSUM_BYTES>() else {
        return Err(ChunkFault::Length {
            stage: "the checksum",
            expected: CHECKSUM_BYTES as u64,
            found: bytes.len() as u64,
        });
    };
    let stored = u32::from_le_bytes(*stored);
    let found = fletcher32(data);
    // Libraries before 1.6.3 stored each half with its bytes reversed on little-endian machines; such files are valid.
    let reversed = ((found & 0x00ff_00ff) << 8) | ((found >> 8) & 0x00ff_00ff);
    if stored == found || stored == reversed {
        Ok(data.len())
    } else {
        Err(ChunkFault::Checksum { stored, found })
    }
}

/// HDF5's Fletcher checksum: sums of big-endian 16-bit words modulo 65535, where a multiple of 65535 stays 65535 unless the data
/// are all zero.
fn fletcher32(data: &[u8]) -> u32 {
    /// How many words both sums take before the second one could exceed 32 bits.
    const WORDS: usize = 360;
    let fold = |sum: u32| (sum & 0xffff) + (sum >> 16);
    let (mut first, mut second) = (0u32, 0u32);
    for block in data.chunks(2 * WORDS) {
        let (words, last) = block.as_chunks::<2>();
        for word in words {
            first += u32::from(u16::from_be_bytes(*word));
            second += first;
        }
        if let [byte] = last {
            first += u32::from(*byte) << 8;
            second += first;
        }
        first = fold(first);
        second = fold(second);
    }
    (fold(second) << 16) | fold(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::with_scratch;

    fn decode(
        filters: &[Filter],
        stored: &[u8],
        chunk_bytes: usize,
        mask: u32,
    ) -> Result<Vec<u8>, DecodeError> {
        let pipeline = Pipeline::new(filters.to_vec(), chunk_bytes, "/x").unwrap();
        let mut output = vec![0xaa; chunk_bytes];
        with_scratch(|scratch| {
            scratch.raw.get(stored.len(), "test")?.copy_from_slice(stored);
            Ok(pipeline.decode(stored.len(), mask, scratch, &mut output))
        })
        .unwrap()
        .map(|()| output)
    }

    fn with_checksum(data: &[u8]) -> Vec<u8> {
        [data, &fletcher32(data).to_le_bytes()].concat()
    }

    #[test]
    fn a_skipped_filter_is_not_undone() {
        let filters = [Filter::Shuffle { elem: 2 }, Filter::Fletcher32];
        let plain = [1, 2, 3, 4];
        assert_eq!(decode(&filters, &plain, 4, 0b11).unwrap(), plain);
        assert_eq!(decode(&filters, &with_checksum(&plain), 4, 0b01).unwrap(), plain);
        assert_eq!(decode(&filters, &plain, 4, 0b10).unwrap(), [1, 3, 2, 4]);
        assert_eq!(decode(&filters, &with_checksum(&plain), 4, 0).unwrap(), [1, 3, 2, 4]);
    }

    #[test]
    fn a_checksum_under_a_compressor_is_checked_too() {
        let filters = [Filter::Fletcher32, Filter::Gzip];
        let plain: Vec<u8> = (0..100).collect();
        let summed = with_checksum(&plain);
        let mut stored = vec![0; 200];
        let used = libdeflater::Compressor::new(libdeflater::CompressionLvl::fastest())
            .zlib_compress(&summed, &mut stored)
            .unwrap();
        assert_eq!(decode(&filters, &stored[..used], 100, 0).unwrap(), plain);
        assert!(decode(&filters, &stored[..used], 99, 0).is_err());
    }

    #[test]
    fn a_flipped_bit_fails_the_checksum() {
        let mut stored = with_checksum(&[5, 6, 7]);
        assert_eq!(decode(&[Filter::Fletcher32], &stored, 3, 0).unwrap(), [5, 6, 7]);
        stored[1] ^= 1;
        let error = decode(&[Filter::Fletcher32], &stored, 3, 0).unwrap_err();
        assert!(matches!(error, DecodeError::Fault(ChunkFault::Checksum { .. })), "{error:?}");
    }

    #[test]
    fn a_tiny_stream_that_promises_a_huge_chunk_is_refused_before_allocation() {
        let pipeline = Pipeline::new(vec![Filter::Gzip], 1 << 40, "/x").unwrap();
        assert!(matches!(pipeline.check_stored_len(1000, 0), Err(ChunkFault::Implausible { .. })));
    }

    #[test]
    fn pipelines_beyond_this_crate_are_refused() {
        let szip = Filter::Unsupported { id: 4, name: "szip".into() };
        let message = Pipeline::new(vec![szip], 8, "/x").unwrap_err().to_string();
        assert!(message.contains("szip") && message.contains("/x"), "{message}");
        assert!(Pipeline::new(vec![Filter::Gzip, Filter::Lzf], 8, "/x").is_err());
    }
}

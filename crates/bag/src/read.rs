//! Files to bytes: ranges of plain files, and compressed files as a whole.
//!
//! Compressed files are read and decompressed in pieces, so that beside the text only a buffer is held. Concatenated streams are
//! one file, as for Python's modules; so is what they ignore (zeros behind gzip, anything behind bz2 that is no stream).

use crate::{Error, Result};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip
    Gzip,
    /// bzip2
    Bz2,
    /// xz
    Xz,
    /// Zstandard
    Zstd,
}

impl Compression {
    /// What the file's name says.
    ///
    /// # Errors
    /// For names of formats that are not read here.
    pub fn infer(path: &Path) -> Result<Compression> {
        let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("").to_ascii_lowercase();
        Ok(match extension.as_str() {
            "gz" => Compression::Gzip,
            "bz2" => Compression::Bz2,
            "xz" => Compression::Xz,
            "zst" => Compression::Zstd,
            "zip" | "lzma" | "lz4" | "snappy" => {
                return Err(Error::not_native(format!(".{extension} files are not read natively")));
            }
            _ => Compression::None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Compression::None => "file",
            Compression::Gzip => "gzip",
            Compression::Bz2 => "bz2",
            Compression::Xz => "xz",
            Compression::Zstd => "zstd",
        }
    }
}

const PIECE: usize = 256 * 1024;

/// Counts what is read, for errors.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.count += n as u64;
        Ok(n)
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error + '_ {
    |source| Error::Io { path: path.into(), source }
}

/// The bytes of a file from `start` to `stop`, or to its end. A compressed file is read as a whole.
///
/// # Errors
/// What the system says, and what is wrong with a compressed file.
pub fn read(path: &Path, start: u64, stop: Option<u64>, compression: Compression) -> Result<Vec<u8>> {
    let mut file = File::open(path).map_err(failed(path))?;
    if compression == Compression::None {
        let size = file.metadata().map_err(failed(path))?.len();
        let length = stop.map_or(u64::MAX, |stop| stop.saturating_sub(start));
        let mut bytes = Vec::new();
        // A hint only: what is no regular file has no size.
        let _ = bytes.try_reserve_exact(length.min(size.saturating_sub(start)) as usize);
        if start > 0 {
            file.seek(SeekFrom::Start(start)).map_err(failed(path))?;
        }
        file.take(length).read_to_end(&mut bytes).map_err(failed(path))?;
        return Ok(bytes);
    }
    if start != 0 || stop.is_some() {
        return Err(Error::Argument("a compressed file is read as a whole, not in blocks".into()));
    }
    let mut reader = BufReader::with_capacity(PIECE, Counted { inner: file, count: 0 });
    let mut bytes = Vec::new();
    decompress(&mut reader, compression, &mut bytes).map_err(|e| {
        // Buffered bytes have been read from the file, but not been looked at.
        let offset = reader.get_ref().count - reader.buffer().len() as u64;
        fault(path, compression, offset, e)
    })?;
    Ok(bytes)
}

/// Decompresses bytes in memory. `name` stands for them in errors.
///
/// # Errors
/// What is wrong with the bytes.
pub fn decompress_bytes(mut bytes: &[u8], compression: Compression, name: &Path) -> Result<Vec<u8>> {
    let total = bytes.len();
    let mut out = Vec::new();
    decompress(&mut bytes, compression, &mut out)
        .map_err(|e| fault(name, compression, (total - bytes.len()) as u64, e))?;
    Ok(out)
}

fn fault(path: &Path, compression: Compression, offset: u64, source: io::Error) -> Error {
    let kind = compression.name();
    if source.raw_os_error().is_some() {
        Error::Io { path: path.into(), source }
    } else if source.kind() == io::ErrorKind::UnexpectedEof {
        Error::Truncated { path: path.into(), kind, offset }
    } else {
        Error::Corrupt { path: path.into(), kind, offset, why: source.to_string() }
    }
}

fn decompress(reader: &mut impl BufRead, compression: Compression, out: &mut Vec<u8>) -> io::Result<()> {
    match compression {
        Compression::None => reader.read_to_end(out).map(drop),
        Compression::Gzip => {
            while !reader.fill_buf()?.is_empty() {
                flate2::bufread::GzDecoder::new(&mut *reader).read_to_end(out)?;
                skip_zeros(reader)?;
            }
            Ok(())
        }
        Compression::Bz2 => {
            let mut first = true;
            loop {
                let next = reader.fill_buf()?;
                if next.is_empty() || !first && next[0] != b'B' {
                    return Ok(());
                }
                first = false;
                bzip2::bufread::BzDecoder::new(&mut *reader).read_to_end(out)?;
            }
        }
        Compression::Xz => {
            if reader.fill_buf()?.is_empty() {
                return Ok(());
            }
            liblzma::bufread::XzDecoder::new_multi_decoder(reader).read_to_end(out)?;
            Ok(())
        }
        Compression::Zstd => zstd::stream::read::Decoder::with_buffer(reader)?.read_to_end(out).map(drop),
    }
}

fn skip_zeros(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = reader.fill_buf()?;
        let zeros = bytes.iter().take_while(|&&b| b == 0).count();
        let done = zeros < bytes.len() || bytes.is_empty();
        reader.consume(zeros);
        if done {
            return Ok(());
        }
    }
}

/// Ranges of about `block` bytes that together are the file, each ending behind a delimiter (or at the file's end).
///
/// Cuts are made as Dask makes them: evenly, then moved to the end of the first delimiter behind. A line that is longer than a
/// block leaves blocks without lines; they are left out.
///
/// # Errors
/// What the system says.
pub fn cut(path: &Path, block: u64, delimiter: &[u8]) -> Result<Vec<(u64, u64)>> {
    if block == 0 || delimiter.is_empty() {
        return Err(Error::Argument("blocks need a size and a delimiter".into()));
    }
    let mut file = File::open(path).map_err(failed(path))?;
    let size = file.metadata().map_err(failed(path))?.len();
    let blocks = (size / block).max(1);
    let mut ranges = Vec::new();
    let mut from = 0;
    for i in 1..=blocks {
        let target = (size as u128 * i as u128 / blocks as u128) as u64;
        if target < from {
            continue;
        }
        let to = if i == blocks {
            size
        } else {
            behind(&mut file, target, delimiter, size).map_err(failed(path))?
        };
        if to > from {
            ranges.push((from, to));
        }
        from = to;
    }
    Ok(ranges)
}

/// The end of the first delimiter that begins at `from` or later; the file's end if there is none.
fn behind(file: &mut File, from: u64, delimiter: &[u8], size: u64) -> io::Result<u64> {
    file.seek(SeekFrom::Start(from))?;
    let mut window: Vec<u8> = Vec::with_capacity(64 * 1024 + delimiter.len());
    let mut start = from;
    loop {
        let n = (&mut *file).take(64 * 1024).read_to_end(&mut window)?;
        if let Some(at) = memchr::memmem::find(&window, delimiter) {
            return Ok(start + (at + delimiter.len()) as u64);
        }
        if n == 0 {
            return Ok(size);
        }
        // A delimiter may lie across two reads.
        let keep = window.len().min(delimiter.len() - 1);
        start += (window.len() - keep) as u64;
        window.drain(..window.len() - keep);
    }
}

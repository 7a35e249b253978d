//! Buckets of bytes that live in memory up to a limit and in files beyond: the shuffle of `groupby`.
//!
//! Adding is safe from many threads. What exceeds the limit is appended to the fullest buckets' files, each opened only while it
//! is written, so that thousands of buckets need no more file handles than threads. Files go when the buckets are closed.

use crate::{Error, Result};
use parking_lot::Mutex;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

#[derive(Default)]
struct Bucket {
    pending: Vec<Vec<u8>>,
    bytes: usize,
    spilled: bool,
}

/// A fixed number of buckets, in a folder of their own.
pub struct Buckets {
    folder: PathBuf,
    limit: usize,
    held: AtomicUsize,
    spilled: AtomicU64,
    closed: AtomicBool,
    buckets: Vec<Mutex<Bucket>>,
}

impl Buckets {
    /// Makes a new folder below `folder` for `n` buckets that together hold up to `limit` bytes in memory.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path, n: usize, limit: usize) -> Result<Buckets> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = folder.join(format!("pantile-buckets-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|source| Error::Io { path: folder.clone(), source })?;
        let buckets = (0..n).map(|_| Mutex::default()).collect();
        Ok(Buckets {
            folder,
            limit,
            held: AtomicUsize::new(0),
            spilled: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            buckets,
        })
    }

    /// How many buckets.
    pub fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Where the files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bytes in memory.
    pub fn held_bytes(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Bytes written to files so far.
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    fn bucket(&self, i: usize) -> Result<&Mutex<Bucket>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Argument("the buckets are closed".into()));
        }
        let n = self.buckets.len();
        self.buckets.get(i).ok_or_else(|| Error::Argument(format!("bucket {i} of {n}")))
    }

    fn path(&self, i: usize) -> PathBuf {
        self.folder.join(format!("{i}.bin"))
    }

    /// Adds bytes to a bucket, and writes the fullest buckets to their files while memory is over the limit.
    ///
    /// # Errors
    /// What the system says, for instance that the disk is full.
    pub fn add(&self, i: usize, bytes: Vec<u8>) -> Result<()> {
        let size = bytes.len();
        {
            let mut bucket = self.bucket(i)?.lock();
            bucket.bytes += size;
            bucket.pending.push(bytes);
        }
        let mut held = self.held.fetch_add(size, Ordering::Relaxed) + size;
        while held > self.limit {
            // Another thread may have emptied the bucket meanwhile; then the loop looks again.
            let fullest = (0..self.buckets.len()).max_by_key(|&i| self.buckets[i].lock().bytes);
            let Some(fullest) = fullest else { break };
            if self.spill(fullest)? == 0 {
                break;
            }
            held = self.held.load(Ordering::Relaxed);
        }
        Ok(())
    }

    fn spill(&self, i: usize) -> Result<usize> {
        let path = self.path(i);
        let mut bucket = self.buckets[i].lock();
        if bucket.bytes == 0 {
            return Ok(0);
        }
        let write = |pending: &[Vec<u8>]| -> io::Result<()> {
            let mut file = OpenOptions::new().append(true).create(true).open(&path)?;
            let before = file.metadata()?.len();
            let written = pending.iter().try_for_each(|record| {
                file.write_all(&(record.len() as u64).to_le_bytes())?;
                file.write_all(record)
            });
            if written.is_err() {
                // Half a record must not stay: the caller may make room and try again.
                let _ = file.set_len(before);
            }
            written
        };
        write(&bucket.pending).map_err(|source| Error::Io { path: path.clone(), source })?;
        let size = std::mem::take(&mut bucket.bytes);
        bucket.pending = Vec::new();
        bucket.spilled = true;
        self.held.fetch_sub(size, Ordering::Relaxed);
        self.spilled.fetch_add(size as u64, Ordering::Relaxed);
        Ok(size)
    }

    /// What was added to a bucket, in order.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, i: usize) -> Result<Vec<Vec<u8>>> {
        let path = self.path(i);
        let bucket = self.bucket(i)?.lock();
        let mut records = Vec::new();
        if bucket.spilled {
            let read = |records: &mut Vec<Vec<u8>>| -> io::Result<()> {
                let mut file = io::BufReader::new(fs::File::open(&path)?);
                let mut left = file.get_ref().metadata()?.len();
                while left > 0 {
                    let mut header = [0; 8];
                    file.read_exact(&mut header)?;
                    let length = u64::from_le_bytes(header);
                    left = left
                        .checked_sub(8)
                        .and_then(|left| left.checked_sub(length))
                        .ok_or(io::ErrorKind::UnexpectedEof)?;
                    let mut record = vec![0; length as usize];
                    file.read_exact(&mut record)?;
                    records.push(record);
                }
                Ok(())
            };
            read(&mut records).map_err(|source| Error::Io { path: path.clone(), source })?;
        }
        records.extend(bucket.pending.iter().cloned());
        Ok(records)
    }

    /// Forgets everything and removes the files. Closing twice is allowed.
    ///
    /// # Errors
    /// When the files cannot be removed.
    pub fn close(&self) -> Result<()> {
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        for bucket in &self.buckets {
            *bucket.lock() = Bucket::default();
        }
        self.held.store(0, Ordering::Relaxed);
        match fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { path: self.folder.clone(), source: e })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Buckets {
    fn drop(&mut self) {
        // Nobody is there to hear about it.
        let _ = self.close();
    }
}

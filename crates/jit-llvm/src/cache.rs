//! Object files on disk, so that a kernel is compiled once a machine rather than once a process.
//!
//! A file is named after the digest of everything that the code depends on. It appears under that name complete (written
//! aside, then renamed), and carries a digest of its content, so that a damaged file is noticed and compiled again. The
//! cache never makes a compilation fail: what cannot be read is a miss, what cannot be written is not kept.

use crate::error::LlvmError;
use crate::llvm::digest;
use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

/// The digest of everything that a kernel's code depends on.
pub(crate) type Key = [u8; 32];

/// The start of every file; the digit changes with the layout.
const MAGIC: &[u8; 8] = b"PANTILE1";
/// Magic, digest.
const HEADER: usize = 8 + 32;

/// How often the cache had what was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CacheCounts {
    /// Kernels loaded from disk.
    pub hits: u64,
    /// Kernels that had to be compiled although the cache is on.
    pub misses: u64,
    /// Misses because a file was damaged. It has been replaced.
    pub damaged: u64,
}

/// A folder of object files.
pub(crate) struct Cache {
    folder: PathBuf,
    limit_bytes: u64,
    /// The size of the folder as far as we know: other processes may write too. Measured when first needed.
    size_bytes: Mutex<Option<u64>>,
    hits: AtomicU64,
    misses: AtomicU64,
    damaged: AtomicU64,
}

impl Cache {
    /// Opens the folder, which is made if it does not exist.
    pub fn open(folder: &Path, limit_bytes: u64) -> Result<Cache, LlvmError> {
        fs::create_dir_all(folder).map_err(|e| LlvmError::CacheFolder {
            path: folder.display().to_string(),
            reason: e.to_string(),
        })?;
        Ok(Cache {
            folder: folder.to_path_buf(),
            limit_bytes,
            size_bytes: Mutex::new(None),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            damaged: AtomicU64::new(0),
        })
    }

    /// Hits and misses so far.
    pub fn counts(&self) -> CacheCounts {
        CacheCounts {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            damaged: self.damaged.load(Ordering::Relaxed),
        }
    }

    /// The object file kept under this key.
    pub fn get(&self, key: &Key) -> Option<Vec<u8>> {
        let path = self.path(key);
        let Ok(mut bytes) = fs::read(&path) else {
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let intact = bytes.len() > HEADER
            && bytes.starts_with(MAGIC)
            && digest(&[key, &bytes[HEADER..]]) == bytes[MAGIC.len()..HEADER];
        if !intact {
            self.reject(key);
            self.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        self.hits.fetch_add(1, Ordering::Relaxed);
        // The oldest files go first when room is needed, and this one has just proved useful. Failing to say so is harmless.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        bytes.drain(..HEADER);
        Some(bytes)
    }

    /// Counts a file as damaged and removes it.
    pub fn reject(&self, key: &Key) {
        self.damaged.fetch_add(1, Ordering::Relaxed);
        let _ = fs::remove_file(self.path(key));
    }

    /// Keeps an object file. Disk errors are not errors: the kernel is in memory already.
    pub fn put(&self, key: &Key, object: &[u8]) {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let mut bytes = Vec::with_capacity(HEADER + object.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&digest(&[key, object]));
        bytes.extend_from_slice(object);
        let n = COUNTER.fetch_add(1, Ordering::Relaxed);
        let aside = self.folder.join(format!("{}.{}.{n}.tmp", hex(key), std::process::id()));
        if fs::write(&aside, &bytes).is_err() || fs::rename(&aside, self.path(key)).is_err() {
            let _ = fs::remove_file(&aside);
            return;
        }
        self.make_room(bytes.len() as u64);
    }

    /// Removes the oldest files when the folder has outgrown its limit, down to three quarters of it.
    fn make_room(&self, added: u64) {
        let mut size = self.size_bytes.lock();
        let known = match *size {
            Some(bytes) => bytes + added,
            None => self.list().iter().map(|f| f.bytes).sum(),
        };
        *size = Some(known);
        if known <= self.limit_bytes {
            return;
        }
        let mut files = self.list();
        let mut total: u64 = files.iter().map(|f| f.bytes).sum();
        files.sort_by_key(|f| f.modified);
        for f in files {
            if total <= self.limit_bytes / 4 * 3 {
                break;
            }
            if fs::remove_file(&f.path).is_ok() {
                total -= f.bytes;
            }
        }
        *size = Some(total);
    }

    fn list(&self) -> Vec<CacheFile> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let ours = |p: &Path| p.extension().is_some_and(|e| e == "o" || e == "tmp");
        entries
            .flatten()
            .filter(|e| ours(&e.path()))
            .filter_map(|e| {
                let meta = e.metadata().ok()?;
                Some(CacheFile { path: e.path(), bytes: meta.len(), modified: meta.modified().ok()? })
            })
            .collect()
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.folder.join(format!("{}.o", hex(key)))
    }
}

struct CacheFile {
    path: PathBuf,
    bytes: u64,
    modified: SystemTime,
}

fn hex(key: &Key) -> String {
    key.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pantile-cache-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn gives_back_what_was_put_and_notices_damage() {
        let folder = folder("damage");
        let cache = Cache::open(&folder, 1 << 20).unwrap();
        let key = digest(&[b"a kernel"]);
        assert_eq!(cache.get(&key), None);
        cache.put(&key, b"its code");
        assert_eq!(cache.get(&key).as_deref(), Some(&b"its code"[..]));

        let path = cache.path(&key);
        let whole = fs::read(&path).unwrap();
        for damage in [whole[..whole.len() - 1].to_vec(), Vec::new(), b"nonsense".to_vec(), {
            let mut flipped = whole.clone();
            *flipped.last_mut().unwrap() ^= 1;
            flipped
        }] {
            fs::write(&path, damage).unwrap();
            assert_eq!(cache.get(&key), None);
            assert!(!path.exists(), "a damaged file is removed");
        }
        assert_eq!(cache.counts(), CacheCounts { hits: 1, misses: 5, damaged: 4 });
        // A file under another kernel's name is damage too.
        cache.put(&key, b"its code");
        let other = digest(&[b"another"]);
        fs::rename(&path, cache.path(&other)).unwrap();
        assert_eq!(cache.get(&other), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_oldest_files_make_room() {
        let folder = folder("room");
        let cache = Cache::open(&folder, 10_000).unwrap();
        let keys: Vec<Key> = (0..30u8).map(|i| digest(&[&[i]])).collect();
        for (age, key) in keys.iter().enumerate() {
            cache.put(key, &[7; 960]);
            if let Ok(f) = fs::File::options().append(true).open(cache.path(key)) {
                f.set_modified(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(age as u64)).unwrap();
            }
        }
        assert!(cache.list().iter().map(|f| f.bytes).sum::<u64>() <= 10_000);
        assert!(cache.get(&keys[29]).is_some(), "the newest stays");
        assert!(cache.get(&keys[0]).is_none(), "the oldest went");
        fs::remove_dir_all(folder).unwrap();
    }
}

//! The files that spilled values are in.
//!
//! A run that spills makes one private folder, `pantile-spill-PID-N`, when the first value is spilled, and removes it at
//! its end. A file is removed as soon as its value is back in memory; whoever has it open keeps it alive through the handle. A
//! process that is killed leaves its folders behind: the next run that spills into the same place removes them. It takes
//! a folder for abandoned when no process has its number and nobody holds the lock on the `lock` file in it; the number
//! alone would be wrong between containers that share a disk. Who removes a folder holds that lock meanwhile (and makes the
//! file if there is none), and who makes one looks, once it holds the lock, whether the folder is still there: so a folder
//! that is just being made is either left alone or given up and made anew.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

const PREFIX: &str = "pantile-spill-";
const LOCK: &str = "lock";

/// What went wrong: what was being done, where, and what the system said.
#[derive(Debug)]
pub(crate) struct SpillError {
    pub(crate) doing: &'static str,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// A run's folder, made on first use and removed when dropped.
pub(crate) struct SpillFolder {
    parent: PathBuf,
    made: Mutex<Option<Made>>,
    files: AtomicU64,
}

struct Made {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// A value on disk. Dropping it removes the file.
pub(crate) struct SpilledFile {
    path: PathBuf,
    len: u64,
}

impl SpillFolder {
    pub(crate) fn new(parent: PathBuf) -> SpillFolder {
        SpillFolder { parent, made: Mutex::new(None), files: AtomicU64::new(0) }
    }

    /// Writes a new file. `Ok(None)` when `write` declines.
    pub(crate) fn write(
        &self,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<bool>,
    ) -> Result<Option<SpilledFile>, SpillError> {
        let path = self.folder()?.join(self.files.fetch_add(1, Ordering::Relaxed).to_string());
        let error = |source| SpillError { doing: "write", path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(error)?;
        // From here on the file is removed on every way out.
        let mut spilled = SpilledFile { path: path.clone(), len: 0 };
        let mut to = io::BufWriter::with_capacity(1 << 16, file);
        if !write(&mut to).map_err(error)? {
            return Ok(None);
        }
        let file = to.into_inner().map_err(|unflushed| error(unflushed.into_error()))?;
        spilled.len = file.metadata().map_err(error)?.len();
        Ok(Some(spilled))
    }

    fn folder(&self) -> Result<PathBuf, SpillError> {
        let mut made = self.made.lock();
        if let Some(made) = &*made {
            return Ok(made.path.clone());
        }
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        remove_abandoned(&self.parent, is_running);
        loop {
            let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
            let path = self.parent.join(format!("{PREFIX}{}-{number}", process::id()));
            let error = |source| SpillError { doing: "create", path: path.clone(), source };
            DirBuilder::new().mode(0o700).create(&path).map_err(error)?;
            match claim(&path, File::create_new(path.join(LOCK))) {
                Ok(Some(lock)) => {
                    *made = Some(Made { path: path.clone(), _lock: lock });
                    return Ok(path);
                }
                // Somebody who cannot see this process took the folder for abandoned. The next one has another name.
                Ok(None) => {}
                Err(source) => {
                    let _ = fs::remove_dir_all(&path);
                    return Err(error(source));
                }
            }
        }
    }
}

/// Locks a new folder's lock file. `None` if the folder was, or is being, removed by somebody else.
fn claim(folder: &Path, lock: io::Result<File>) -> io::Result<Option<File>> {
    let lock = match lock {
        Ok(lock) => lock,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    // Waits for who is removing it.
    lock.lock()?;
    let ours = lock.metadata()?;
    let there = fs::metadata(folder.join(LOCK));
    Ok(there.is_ok_and(|there| there.dev() == ours.dev() && there.ino() == ours.ino()).then_some(lock))
}

impl Drop for SpillFolder {
    fn drop(&mut self) {
        if let Some(made) = self.made.get_mut().take() {
            // There is nobody left to tell; the next run tries again.
            let _ = fs::remove_dir_all(&made.path);
        }
    }
}

impl SpilledFile {
    /// Opens the file for reading. It stays readable when its name is removed.
    pub(crate) fn open(&self) -> Result<File, SpillError> {
        File::open(&self.path).map_err(|source| SpillError { doing: "read", path: self.path.clone(), source })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}

impl Drop for SpilledFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether a process of this number runs, as far as this process can see.
fn is_running(pid: u32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Removes folders of processes that were killed. What cannot be read or removed is left alone.
fn remove_abandoned(parent: &Path, is_running: impl Fn(u32) -> bool) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let pid =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)).and_then(|rest| rest.split('-').next());
        let Some(pid) = pid.and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if is_running(pid) {
            continue;
        }
        // Made if it is missing: nobody else can lock the folder while it is removed.
        let lock = OpenOptions::new().append(true).create(true).mode(0o600).open(entry.path().join(LOCK));
        if let Ok(lock) = lock
            && lock.try_lock().is_ok()
        {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("pantile-spill-test-{}-{name}", process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn a_folder_is_made_on_first_use_and_removed_at_the_end() {
        let parent = scratch("lazy");
        let folder = SpillFolder::new(parent.clone());
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        let file = folder.write(|to| to.write_all(b"tile").map(|()| true)).unwrap().unwrap();
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 1);
        let opened = file.open().unwrap();
        assert_eq!(file.len(), 4);
        drop(file);
        assert_eq!(io::read_to_string(opened).unwrap(), "tile");
        let kept = folder.write(|_| Ok(true)).unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(&parent).unwrap().count(), 0);
        drop(kept);
        fs::remove_dir(&parent).unwrap();
    }

    #[test]
    fn declining_and_failing_leave_no_file() {
        let parent = scratch("decline");
        let folder = SpillFolder::new(parent.clone());
        assert!(folder.write(|to| to.write_all(b"x").map(|()| false)).unwrap().is_none());
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(folder.write(|_| Err(full)).err().unwrap().source.kind(), io::ErrorKind::StorageFull);
        let made = folder.folder().unwrap();
        let names: Vec<_> = fs::read_dir(made).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [LOCK]);
        drop(folder);
        fs::remove_dir(&parent).unwrap();
    }

    #[test]
    fn folders_of_dead_processes_are_removed_and_those_of_living_ones_kept() {
        let parent = scratch("stale");
        // No process has a number beyond the kernel's largest possible one.
        let dead = parent.join(format!("{PREFIX}4194999-0"));
        let elsewhere = parent.join(format!("{PREFIX}4194998-0"));
        let alive = parent.join(format!("{PREFIX}{}-999", process::id()));
        let other = parent.join("other");
        for path in [&dead, &elsewhere, &alive, &other] {
            fs::create_dir(path).unwrap();
        }
        fs::write(dead.join("7"), b"left").unwrap();
        let lock = File::create_new(elsewhere.join(LOCK)).unwrap();
        lock.lock().unwrap();
        remove_abandoned(&parent, is_running);
        assert!(!dead.exists() && elsewhere.exists() && alive.exists() && other.exists());
        fs::remove_dir_all(&parent).unwrap();
    }

    /// What a process in another container sees: no process of any number.
    fn nobody(_pid: u32) -> bool {
        false
    }

    #[test]
    fn a_folder_that_is_removed_while_it_is_made_is_not_used() {
        let parent = scratch("race");
        let folder = parent.join(format!("{PREFIX}4194997-0"));
        // Removed before there is a lock file, then before it is locked.
        fs::create_dir(&folder).unwrap();
        remove_abandoned(&parent, nobody);
        assert!(claim(&folder, File::create_new(folder.join(LOCK))).unwrap().is_none());
        fs::create_dir(&folder).unwrap();
        let lock = File::create_new(folder.join(LOCK));
        remove_abandoned(&parent, nobody);
        assert!(!folder.exists());
        assert!(claim(&folder, lock).unwrap().is_none());
        // Once it is claimed, nobody removes it.
        fs::create_dir(&folder).unwrap();
        let claimed = claim(&folder, File::create_new(folder.join(LOCK))).unwrap();
        assert!(claimed.is_some());
        remove_abandoned(&parent, nobody);
        assert!(folder.exists());
        fs::remove_dir_all(&parent).unwrap();
    }

    #[test]
    fn folders_can_be_made_while_somebody_removes_what_looks_abandoned() {
        let parent = scratch("storm");
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|s| {
            s.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    remove_abandoned(&parent, nobody);
                }
            });
            for _ in 0..200 {
                let folder = SpillFolder::new(parent.clone());
                let file = folder.write(|to| to.write_all(b"tile").map(|()| true)).unwrap().unwrap();
                assert_eq!(io::read_to_string(file.open().unwrap()).unwrap(), "tile");
            }
            done.store(true, Ordering::Relaxed);
        });
        fs::remove_dir_all(&parent).unwrap();
    }
}

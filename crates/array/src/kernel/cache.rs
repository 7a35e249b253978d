//! Kernels by what they compute: interpreted while the work is small, compiled once it is not.
//!
//! Compiling takes about ten milliseconds; the interpreter needs some ten nanoseconds an instruction. So a kernel is
//! interpreted until the work that it has been given would have paid for compiling it.

use super::{Mode, build};
use crate::error::{ArrayError, Result};
use crate::program::Program;
use crate::reduce::Reducer;
use pantile_jit::ir::{FuncId, Module, Stride};
use pantile_jit::{Backend, Executable, Interpreter};
use parking_lot::{Mutex, RwLock};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, OnceLock};

/// Element-steps that a kernel interprets before it is compiled.
const WORTH_COMPILING: u64 = 300_000;

/// What a kernel depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// What is computed.
    pub program: Arc<Program>,
    /// What becomes of it.
    pub mode: Mode,
    /// The layout class.
    pub classes: SmallVec<[Stride; 6]>,
    /// Whether it runs in tiles.
    pub tiled: bool,
    /// Whether the inner loop is reduced.
    pub inner_reduced: bool,
}

struct Entry {
    module: Module,
    work: AtomicU64,
    interpreted: OnceLock<Arc<dyn Executable>>,
    compiled: OnceLock<Arc<dyn Executable>>,
    compiling: Mutex<()>,
}

/// What the cache did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// Kernels compiled to machine code.
    pub compiled: u64,
    /// Calls answered by the interpreter.
    pub interpreted_calls: u64,
    /// Calls answered by machine code.
    pub compiled_calls: u64,
}

struct Table<K> {
    map: RwLock<FxHashMap<K, Arc<Entry>>>,
}

impl<K: Eq + Hash + Clone> Table<K> {
    fn get(&self, key: K, make: impl FnOnce(&K) -> Module) -> Arc<Entry> {
        if let Some(e) = self.map.read().get(&key) {
            return e.clone();
        }
        let module = make(&key);
        let entry = Arc::new(Entry {
            module,
            work: AtomicU64::new(0),
            interpreted: OnceLock::new(),
            compiled: OnceLock::new(),
            compiling: Mutex::new(()),
        });
        self.map.write().entry(key).or_insert(entry).clone()
    }
}

static BACKEND: OnceLock<Arc<dyn Backend>> = OnceLock::new();
static KERNELS: LazyLock<Table<Key>> = LazyLock::new(|| Table { map: RwLock::default() });
static MERGES: LazyLock<Table<(Reducer, bool)>> = LazyLock::new(|| Table { map: RwLock::default() });
static COMPILED: AtomicU64 = AtomicU64::new(0);
static INTERPRETED_CALLS: AtomicU64 = AtomicU64::new(0);
static COMPILED_CALLS: AtomicU64 = AtomicU64::new(0);

/// Sets what compiles kernels, once per process. Without it everything is interpreted.
pub fn set_backend(backend: Arc<dyn Backend>) {
    let _ = BACKEND.set(backend);
}

/// What the cache did so far.
pub fn stats() -> KernelStats {
    KernelStats {
        compiled: COMPILED.load(Relaxed),
        interpreted_calls: INTERPRETED_CALLS.load(Relaxed),
        compiled_calls: COMPILED_CALLS.load(Relaxed),
    }
}

/// Forgets all kernels; their code is freed when the last call ends.
pub fn clear() {
    KERNELS.map.write().clear();
    MERGES.map.write().clear();
}

/// The kernel for a call with this much work (elements times steps).
pub fn get(key: Key, work: u64) -> Result<Arc<dyn Executable>> {
    let entry = KERNELS.get(key, |k| build::kernel(&k.program, k.mode, &k.classes, k.tiled, k.inner_reduced));
    executable(&entry, work)
}

/// The function that merges `n` states.
pub fn get_merge(reducer: Reducer, n: u64) -> Result<Arc<dyn Executable>> {
    let entry = MERGES.get((reducer, false), |k| single(build::merge(k.0)));
    executable(&entry, n * 16)
}

/// The function that finishes `n` states.
pub fn get_finish(reducer: Reducer, n: u64) -> Result<Arc<dyn Executable>> {
    let entry = MERGES.get((reducer, true), |k| single(build::finish(k.0)));
    executable(&entry, n * 16)
}

fn single(f: pantile_jit::ir::Function) -> Module {
    let mut module = Module::default();
    module.add(f);
    module
}

fn executable(entry: &Entry, work: u64) -> Result<Arc<dyn Executable>> {
    if let Some(code) = entry.compiled.get() {
        COMPILED_CALLS.fetch_add(1, Relaxed);
        return Ok(code.clone());
    }
    let so_far = entry.work.fetch_add(work, Relaxed) + work;
    if let Some(backend) = BACKEND.get().filter(|_| so_far > WORTH_COMPILING) {
        let _one_at_a_time = entry.compiling.lock();
        if entry.compiled.get().is_none() {
            check(&entry.module)?;
            let code =
                backend.compile(&entry.module, FuncId(0)).map_err(|e| ArrayError::bug(e.to_string()))?;
            COMPILED.fetch_add(1, Relaxed);
            let _ = entry.compiled.set(code);
        }
        COMPILED_CALLS.fetch_add(1, Relaxed);
        return Ok(entry.compiled.get().expect("it was just set").clone());
    }
    if entry.interpreted.get().is_none() {
        check(&entry.module)?;
        let code =
            Interpreter.compile(&entry.module, FuncId(0)).map_err(|e| ArrayError::bug(e.to_string()))?;
        let _ = entry.interpreted.set(code);
    }
    INTERPRETED_CALLS.fetch_add(1, Relaxed);
    Ok(entry.interpreted.get().expect("it was just set").clone())
}

/// Kernels are our own code: what the verifier finds is our bug, found in tests.
fn check(module: &Module) -> Result<()> {
    if cfg!(debug_assertions) {
        pantile_jit::verify::verify(module)
            .map_err(|e| ArrayError::bug(format!("a fused kernel is malformed: {e}")))?;
    }
    Ok(())
}

//! Plans: layers of tasks over blocks, and the runner that carries them out.
//!
//! A plan is what lowering makes of expressions. The graph crate expands its layers into tasks, the exec crate runs them
//! through `PlanRunner`. Everything here works on blocks and knows no expression any more.

use crate::block::Block;
use crate::error::{ArrayError, Result};
use crate::expr::Origin;
use crate::value::Value;
use pantile_graph::{Layer, Runner, TaskRef};
use pantile_linalg::{Question, Stopped, stoppable};
use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A layer that can run its tasks.
pub trait PlanLayer: Layer {
    /// Runs one task.
    fn run(&self, index: u32, inputs: &mut Vec<Value>) -> Result<Value>;

    /// Where in the user's program the operation was built.
    fn origin(&self) -> Option<&Arc<Origin>>;

    /// Where the block of a task is in its array, for messages; empty where a task is no single block.
    fn position(&self, _index: u32) -> Vec<u32> {
        Vec::new()
    }

    /// Whether tasks run Python code, and so take the GIL.
    fn is_python(&self) -> bool {
        false
    }

    /// What a task computes, as text, for `explain`.
    fn describe(&self) -> String;
}

/// Layers, and which tasks make the outputs.
pub struct Plan {
    /// The layers; `LayerId(i)` is `layers[i]`.
    pub layers: Vec<Box<dyn PlanLayer>>,
    /// For each expression asked for, its blocks in C order.
    pub outputs: Vec<Vec<TaskRef>>,
    /// How many nodes lowering looked at, counting each look: what lowering cost, whatever the machine.
    pub visits: u64,
}

impl Plan {
    /// The layers as the graph crate wants them.
    pub fn graph_layers(&self) -> Vec<&dyn Layer> {
        self.layers.iter().map(|l| &**l as &dyn Layer).collect()
    }

    /// The tasks of all outputs, one after the other.
    pub fn output_tasks(&self) -> Vec<TaskRef> {
        self.outputs.iter().flatten().copied().collect()
    }
}

/// Runs the tasks of a plan.
pub struct PlanRunner<'a> {
    plan: &'a Plan,
    stopped: Arc<AtomicBool>,
    question: Question,
}

impl<'a> PlanRunner<'a> {
    /// A runner for one run. Dense kernels inside tasks stop when the run is stopped, or when `also` says so.
    pub fn new(plan: &'a Plan, also: Option<Question>) -> PlanRunner<'a> {
        let stopped = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&stopped);
        let question: Question = match also {
            None => Arc::new(move || set.load(Relaxed)),
            Some(also) => Arc::new(move || set.load(Relaxed) || also()),
        };
        PlanRunner { plan, stopped, question }
    }
}

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Which plan the calling thread runs a task of: a number that no other plan has while this one lives; 0 for none.
pub fn current() -> usize {
    CURRENT.get()
}

impl Plan {
    /// The number that `current` gives inside its tasks.
    pub fn number(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }
}

/// Sets `current` for a task, and back to what it was: a task may run another plan.
struct Current {
    before: usize,
}

impl Current {
    fn enter(plan: &Plan) -> Current {
        Current { before: CURRENT.replace(plan.number()) }
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(self.before);
    }
}

/// A task's failure, with the place where it happened.
#[derive(Debug, Clone)]
pub struct TaskError {
    /// Why.
    pub error: ArrayError,
    /// The operation.
    pub label: String,
    /// Which task of it.
    pub index: u32,
    /// The task's block, by its position along each axis; empty where the task is no single block.
    pub position: Vec<u32>,
    /// Where the user built it.
    pub origin: Option<Arc<Origin>>,
}

impl std::fmt::Display for TaskError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.error, self.note())
    }
}

impl TaskError {
    /// A sentence naming the operation, the block and the user's line: what is added to the exception as a note.
    pub fn note(&self) -> String {
        let block = match self.position.as_slice() {
            [] => self.index.to_string(),
            [single] => format!("({single},)"),
            several => {
                let all: Vec<String> = several.iter().map(u32::to_string).collect();
                format!("({})", all.join(", "))
            }
        };
        let mut text = format!("while computing block {block} of `{}`", self.label);
        if let Some(o) = &self.origin {
            text.push_str(&format!(", built at {}:{} in {}", o.file, o.line, o.function));
        }
        text
    }
}

impl Runner for PlanRunner<'_> {
    type Value = Value;
    type Error = TaskError;

    fn run(&self, task: TaskRef, inputs: &mut Vec<Value>) -> std::result::Result<Value, TaskError> {
        let layer = &self.plan.layers[task.layer.0 as usize];
        let _current = Current::enter(self.plan);
        let ran = stoppable(&self.question, || layer.run(task.index, inputs));
        ran.unwrap_or_else(|Stopped| Err(ArrayError::Stopped)).map_err(|error| TaskError {
            error,
            label: layer.label().to_string(),
            index: task.index,
            position: layer.position(task.index),
            origin: layer.origin().cloned(),
        })
    }

    fn stop(&self) {
        self.stopped.store(true, Relaxed);
    }

    fn nbytes(&self, value: &Value) -> u64 {
        value.owned_bytes()
    }

    fn spill(&self, value: &Value, to: &mut dyn io::Write) -> io::Result<bool> {
        if !can_spill(value) {
            return Ok(false);
        }
        spill_value(value, to).map(|()| true)
    }

    fn restore(&self, mut file: std::fs::File, _len: u64) -> io::Result<Value> {
        restore_value(&mut file)
    }
}

/// Whether a value consists of blocks only.
fn can_spill(value: &Value) -> bool {
    match value {
        Value::Block(_) => true,
        Value::Many(parts) => parts.iter().all(can_spill),
        Value::Unit | Value::Foreign(_) => false,
    }
}

/// A spilled value: 0 and a block, or 1, the number of parts, and these.
fn spill_value(value: &Value, to: &mut dyn io::Write) -> io::Result<()> {
    match value {
        Value::Block(block) => {
            to.write_all(&0u64.to_le_bytes())?;
            spill_block(block, to)
        }
        Value::Many(parts) => {
            to.write_all(&1u64.to_le_bytes())?;
            to.write_all(&(parts.len() as u64).to_le_bytes())?;
            parts.iter().try_for_each(|p| spill_value(p, to))
        }
        Value::Unit | Value::Foreign(_) => {
            Err(io::Error::other("a value that cannot be spilled was. This is a bug in Pantile"))
        }
    }
}

fn restore_value(file: &mut std::fs::File) -> io::Result<Value> {
    match number(file)? {
        0 => restore_block(file).map(Value::Block),
        1 => {
            let count = number(file)?;
            if count > 1 << 20 {
                return Err(corrupt("number of parts"));
            }
            let parts = (0..count).map(|_| restore_value(file)).collect::<io::Result<Vec<_>>>()?;
            Ok(Value::Many(Arc::new(parts)))
        }
        _ => Err(corrupt("kind")),
    }
}

fn corrupt(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("a spilled value has a corrupt {what}"))
}

fn number(file: &mut std::fs::File) -> io::Result<u64> {
    use io::Read;
    let mut word = [0u8; 8];
    file.read_exact(&mut word)?;
    Ok(u64::from_le_bytes(word))
}

/// A spilled block: dtype in NumPy's spelling, lengths, then the elements in C order.
fn spill_block(block: &Block, to: &mut dyn io::Write) -> io::Result<()> {
    let descr = block.dtype().descr();
    to.write_all(&(descr.len() as u64).to_le_bytes())?;
    to.write_all(descr.as_bytes())?;
    to.write_all(&(block.ndim() as u64).to_le_bytes())?;
    for &n in block.shape() {
        to.write_all(&(n as u64).to_le_bytes())?;
    }
    let contiguous = block.to_contiguous().map_err(|e| io::Error::other(e.to_string()))?;
    // SAFETY: the block is contiguous, and its bytes are initialised by the task that made it.
    let bytes = unsafe { std::slice::from_raw_parts(contiguous.ptr(), contiguous.nbytes() as usize) };
    to.write_all(bytes)
}

/// Reads the block back into memory of the pool. Mapping the file instead would leave pages that nobody accounts for.
fn restore_block(file: &mut std::fs::File) -> io::Result<Block> {
    use io::Read;
    let n = number(file)?;
    if n > 64 {
        return Err(corrupt("dtype"));
    }
    let mut descr = vec![0u8; n as usize];
    file.read_exact(&mut descr)?;
    let text = std::str::from_utf8(&descr).map_err(|_| corrupt("dtype"))?;
    let (dtype, _) = pantile_types::DType::parse_descr(text).map_err(|_| corrupt("dtype"))?;
    let ndim = number(file)?;
    if ndim > 64 {
        return Err(corrupt("shape"));
    }
    let mut shape = Vec::new();
    for _ in 0..ndim {
        shape.push(number(file)? as usize);
    }
    let block =
        Block::alloc(dtype, &shape).map_err(|e| io::Error::new(io::ErrorKind::OutOfMemory, e.to_string()))?;
    // SAFETY: the block is fresh and contiguous with this many bytes, and nobody else sees it yet.
    unsafe { read_exact(file, block.ptr(), block.nbytes() as usize)? };
    Ok(block)
}

/// Reads exactly `len` bytes into memory that nobody has written yet: `Read` takes initialised slices only, and to clear memory
/// that is overwritten at once would cost a second pass over it.
///
/// # Safety
/// `to` is valid for writes of `len` bytes, and nobody else reads or writes them meanwhile.
unsafe fn read_exact(file: &std::fs::File, to: *mut u8, len: usize) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let mut done = 0;
    while done < len {
        // SAFETY: the caller's promise; the descriptor is open as long as `file` is borrowed.
        let n = unsafe { libc::read(file.as_raw_fd(), to.wrapping_add(done).cast(), len - done) };
        match n {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n if n > 0 => done += n as usize,
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use pantile_types::{DType, Scalar};

    #[test]
    fn a_spilled_value_that_was_cut_short_is_an_error() {
        let path = std::env::temp_dir().join(format!("pantile-spill-cut-test-{}", std::process::id()));
        let block = Block::full(DType::F64, &[1000], Scalar::F64(2.5)).unwrap();
        let mut file = std::fs::File::create_new(&path).unwrap();
        spill_value(&Value::Block(block), &mut file).unwrap();
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        let error = restore_value(&mut std::fs::File::open(&path).unwrap()).err().expect("an error");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn a_spilled_value_comes_back() {
        let block = Block::full(DType::F64, &[3, 4], Scalar::F64(2.5)).unwrap().slice_axis(1, 3, -1, 4);
        let path = std::env::temp_dir().join(format!("pantile-spill-test-{}", std::process::id()));
        let value = Value::Many(Arc::new(vec![Value::Block(block.clone()), Value::Block(block)]));
        spill_value(&value, &mut std::fs::File::create(&path).unwrap()).unwrap();
        let back = restore_value(&mut std::fs::File::open(&path).unwrap()).unwrap();
        std::fs::remove_file(&path).unwrap();
        let back = back.parts().unwrap()[1].clone().into_block().unwrap();
        assert_eq!(back.shape(), [3, 4]);
        assert_eq!(back.slice_axis(0, 2, 1, 1).slice_axis(1, 1, 1, 1).item(), Scalar::F64(2.5));
    }
}

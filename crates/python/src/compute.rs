//! Running: lower, expand, order, check against the limit, run, and hand the results to NumPy.

use crate::block::{from_numpy, to_numpy};
use crate::budget::Budget;
use crate::convert::node;
use crate::error::{MemoryLimitError, OrRaise, array_error, raised, run_error, task_error};
use crate::expr::Expr;
use crate::files::NativeTarget;
use crate::interrupt::{Interrupts, interruptible};
use crate::pyop::PythonValue;
use crate::record::LayerRow;
use crate::watch::{self, Watching};
use pantile_array::block::{Block, Dims};
use pantile_array::chunks::{AxisChunks, Chunks, block_count, unravel};
use pantile_array::error::ArrayError;
use pantile_array::kernel::cache as kernels;
use pantile_array::layers::store::Destination;
use pantile_array::leaf::{BoxAxis, block_box};
use pantile_array::lower::{self, lower};
use pantile_array::op::{BlockOp, Request};
use pantile_array::ops::linalg::share::share;
use pantile_array::plan::{Plan, PlanLayer, PlanRunner};
use pantile_array::source::{MemorySource, Source};
use pantile_array::{Expr as Node, Kind, Value, pool};
use pantile_diag::waits;
use pantile_exec::{Executor, Options, Pool, check_fits, run_with_stats};
use pantile_graph::{Family, Graph, GraphError, Order, Runner, order, order_or_stop, peak_memory_workers};
use pantile_jit::backend::CompileError;
use pantile_jit::ir::{FuncId, Module};
use pantile_jit::{Backend, Executable};
use pantile_jit_llvm::{LlvmBackend, LlvmOptions};
use pantile_linalg::Question;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PySlice, PyTuple};
use smallvec::SmallVec;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add_function(wrap_pyfunction!(compute, m)?)?;
    m.add_function(wrap_pyfunction!(persist, m)?)?;
    m.add_function(wrap_pyfunction!(store, m)?)?;
    m.add_function(wrap_pyfunction!(store_hazards, m)?)?;
    m.add_function(wrap_pyfunction!(explain, m)?)?;
    m.add_function(wrap_pyfunction!(graph, m)?)?;
    m.add_function(wrap_pyfunction!(expressions, m)?)?;
    m.add_function(wrap_pyfunction!(kernel_stats, m)?)?;
    m.add_function(wrap_pyfunction!(pool_stats, m)?)?;
    m.add_function(wrap_pyfunction!(memory_left, m)?)?;
    m.add_function(wrap_pyfunction!(trim_pool, m)?)?;
    m.add_function(wrap_pyfunction!(reset_peak, m)?)?;
    m.add_function(wrap_pyfunction!(default_threads, m)?)?;
    m.add_function(wrap_pyfunction!(default_memory, m)?)?;
    m.add_function(wrap_pyfunction!(set_threads, m)?)?;
    m.add_function(wrap_pyfunction!(set_cache_dir, m)?)?;
    m.add_function(wrap_pyfunction!(set_pool_capacity, m)?)?;
    Ok(())
}

/// What the Python layer chose for a run.
pub struct RunOptions {
    sync: bool,
    threads: usize,
    limit: Option<u64>,
    spill_dir: Option<PathBuf>,
    /// Whether calls of Python functions go to worker processes.
    pub processes: bool,
    /// How often a Python call that fails is tried again.
    pub retries: u32,
}

impl RunOptions {
    pub fn new(options: &Bound<'_, PyDict>) -> PyResult<RunOptions> {
        let get = |key: &str| -> PyResult<Option<Bound<'_, PyAny>>> {
            Ok(options.get_item(key)?.filter(|v| !v.is_none()))
        };
        let executor: Option<String> = get("executor")?.map(|v| v.extract()).transpose()?;
        Ok(RunOptions {
            sync: executor.as_deref() == Some("sync"),
            threads: get("threads")?.map(|v| v.extract()).transpose()?.unwrap_or(0),
            limit: get("limit")?.map(|v| v.extract()).transpose()?,
            spill_dir: get("spill_dir")?.map(|v| v.extract()).transpose()?,
            processes: executor.as_deref() == Some("processes"),
            retries: get("retries")?.map(|v| v.extract()).transpose()?.unwrap_or(0),
        })
    }

    /// The threads of this run: the process' pool, or one of another size where the user changed the number afterwards.
    fn pool(&self) -> PyResult<&'static Pool> {
        static OTHERS: parking_lot::Mutex<Vec<&'static Pool>> = parking_lot::Mutex::new(Vec::new());
        if self.threads == 0 {
            return Ok(Pool::global());
        }
        let global = Pool::init_global(self.threads);
        if global.threads() == self.threads {
            return Ok(global);
        }
        let mut others = OTHERS.lock();
        if let Some(pool) = others.iter().find(|p| p.threads() == self.threads) {
            return Ok(pool);
        }
        let pool = Pool::new(self.threads).map_err(|e| {
            pyo3::exceptions::PyRuntimeError::new_err(format!("cannot start {} threads: {e}", self.threads))
        })?;
        // Kept for the process' life, as the number of different sizes is small.
        let pool: &'static Pool = Box::leak(Box::new(pool));
        others.push(pool);
        Ok(pool)
    }

    /// How many threads the run has.
    pub fn width(&self) -> PyResult<usize> {
        if self.sync { Ok(1) } else { Ok(self.pool()?.threads()) }
    }

    /// How many worker processes there may be: as many as threads, each of which waits for one.
    pub fn workers(&self) -> usize {
        if self.threads == 0 { Pool::global().threads() } else { self.threads }
    }

    /// The memory limit, in bytes.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    fn lowering(&self) -> lower::Options {
        let limit = self.limit.unwrap_or_else(crate::machine::default_memory);
        lower::Options { keep_bytes: limit / 4, task_bytes: limit / 8 }
    }
}

/// Made when the first graph runs, not at import. `None` where this machine has none: then everything is interpreted.
static BACKEND: OnceLock<Option<Arc<LlvmBackend>>> = OnceLock::new();

fn backend() {
    BACKEND.get_or_init(|| {
        let options = llvm_options();
        let plain = LlvmOptions { cache_folder: None, ..options.clone() };
        // The folder was there when it was set. If it has gone since, kernels are compiled each time.
        let backend = Arc::new(LlvmBackend::new(options).or_else(|_| LlvmBackend::new(plain)).ok()?);
        kernels::set_backend(Arc::new(CountedBackend(backend.clone())));
        Some(backend)
    });
}

/// The backend, whose work is counted as compiling with the task that needs the kernel.
struct CountedBackend(Arc<LlvmBackend>);

impl Backend for CountedBackend {
    fn name(&self) -> &'static str {
        self.0.name()
    }
    fn compile(&self, module: &Module, entry: FuncId) -> Result<Arc<dyn Executable>, CompileError> {
        let _wait = waits::wait(waits::Kind::Compile);
        self.0.compile(module, entry)
    }
}

static CACHE_DIR: parking_lot::Mutex<Option<PathBuf>> = parking_lot::Mutex::new(None);

fn llvm_options() -> LlvmOptions {
    LlvmOptions { cache_folder: CACHE_DIR.lock().clone(), ..Default::default() }
}

/// Runs a plan with the GIL released, and gives the outputs' values.
/// `made` are the bytes of results that have been allocated already.
fn run_plan(
    py: Python<'_>,
    plan: &Plan,
    options: &RunOptions,
    budget: &Budget,
    made: u64,
) -> PyResult<Vec<Value>> {
    backend();
    let (graph, order) = expand_and_order(py, plan)?;
    if let Some(limit) = budget.must_fit(made) {
        py.detach(|| check_fits(&graph, &order, limit, options.spill_dir.is_some()))
            .map_err(|e| MemoryLimitError::new_err(format!("{e}{}", budget.explanation(made))))?;
    }
    let limit = budget.ledger(made);
    budget.bound_pool();
    let watching = watch::begin(py, &graph, options.width()?, || {
        let labels: Vec<String> = plan.layers.iter().map(|l| l.label().to_string()).collect();
        Arc::new(move |task| format!("{}-{}[{}]", labels[task.layer.0 as usize], task.layer.0, task.index))
    })?;
    let signal = Signal::default();
    // While this thread runs a task itself, nobody else looks after signals: the task's kernels do.
    let runner = PlanRunner::new(plan, Some(signals_seen(Arc::clone(&signal))));
    let mut setting = Setting { options, limit, watching, number: plan.number(), signal };
    if setting.watching.is_recorded() {
        setting.watching.describe(layer_rows(plan, &graph));
    }
    run_graph(py, &graph, &order, runner, setting, shown, |e| task_error(py, e))
}

/// How one graph is run.
pub struct Setting<'a> {
    pub options: &'a RunOptions,
    /// What values and running tasks may take, in bytes.
    pub limit: Option<u64>,
    /// Who watches; its token stops the run.
    pub watching: Watching,
    /// Tells this run's calls of Python functions from those of others.
    pub number: usize,
    /// What a signal handler raised while it ran.
    pub signal: Signal,
}

/// What a signal handler raised.
pub type Signal = Arc<parking_lot::Mutex<Option<PyErr>>>;

/// Runs a graph with the GIL released, and gives the values of its outputs. `show` makes Python's view of a value for those who
/// watch, `task_error` an exception of a task's error.
pub fn run_graph<R: Runner>(
    py: Python<'_>,
    graph: &Graph,
    order: &Order,
    runner: R,
    setting: Setting<'_>,
    show: impl Fn(Python<'_>, &R::Value) -> PyResult<Py<PyAny>> + Send + Sync,
    task_error: impl FnOnce(R::Error) -> PyErr,
) -> PyResult<Vec<R::Value>>
where
    R::Error: std::fmt::Display,
{
    let Setting { options, limit, watching, number, signal } = setting;
    let threads = if options.sync { None } else { Some(options.pool()?) };
    let runner = watching.runner(runner, show);
    let interrupts = Interrupts::of(number);
    let result = py.detach(|| {
        let interrupted = || {
            Python::attach(|py| match py.check_signals() {
                Ok(()) => false,
                Err(e) => {
                    *signal.lock() = Some(e);
                    watching.cancel.cancel();
                    interrupts.raise(py);
                    true
                }
            })
        };
        let options = Options {
            executor: threads.map_or(Executor::Sync, Executor::Threads),
            limit_bytes: limit,
            spill_dir: options.spill_dir.clone(),
            cancel: Some(watching.cancel.clone()),
            check_interrupt: Some(&interrupted),
            observers: &watching.observers,
        };
        run_with_stats(graph, order, &runner, &options)
    });
    drop(runner);
    let raised = signal.lock().take();
    let result = match (result.0, raised) {
        // What the user's signal handler raised, whichever task noticed first.
        (Err(_), Some(raised)) => Err(raised),
        (result, _) => result.map_err(|e| run_error(py, e, task_error)),
    };
    watching.end(py, graph, result.as_ref().err())?;
    result
}

/// A value as callbacks get it: blocks as NumPy arrays that cannot be written to.
fn shown(py: Python<'_>, value: &Value) -> PyResult<Py<PyAny>> {
    Ok(match value {
        Value::Block(block) => to_numpy(py, block.clone(), false)?.unbind(),
        Value::Foreign(f) => match f.as_any().downcast_ref::<PythonValue>() {
            Some(value) => value.object.clone_ref(py),
            None => py.None(),
        },
        Value::Many(parts) => {
            let parts = parts.iter().map(|p| shown(py, p)).collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, parts)?.into_any().unbind()
        }
        Value::Unit => py.None(),
    })
}

/// The layers of a plan with what they make, as `explain` and recordings show them.
fn layer_rows(plan: &Plan, graph: &Graph) -> Vec<LayerRow> {
    let row = |layer: &dyn PlanLayer| LayerRow {
        label: layer.label().to_string(),
        tasks: 0,
        bytes: 0,
        python: layer.is_python(),
        describe: layer.describe(),
        origin: layer.origin().map(|o| (o.file.to_string(), o.line, o.function.to_string())),
    };
    let mut rows: Vec<LayerRow> = plan.layers.iter().map(|l| row(&**l)).collect();
    for id in graph.ids() {
        let row = &mut rows[graph.task(id).layer.0 as usize];
        row.tasks += 1;
        row.bytes += graph.bytes(id);
    }
    rows
}

/// The graph of a plan, and its order, made with the GIL released; a signal handler that raises ends it.
fn expand_and_order(py: Python<'_>, plan: &Plan) -> PyResult<(Graph, Order)> {
    let mut raised = None;
    let planned = py.detach(|| {
        let mut signalled = || {
            Python::attach(|py| {
                raised = py.check_signals().err();
                raised.is_some()
            })
        };
        let graph = Graph::expand_or_stop(&plan.graph_layers(), &plan.output_tasks(), &mut signalled)?;
        let order = order_or_stop(&graph, &mut signalled).ok_or(GraphError::Stopped)?;
        Ok((graph, order))
    });
    planned.map_err(|e: GraphError| match raised {
        Some(raised) => raised,
        None if e.family() == Family::Resource => MemoryLimitError::new_err(e.to_string()),
        None => array_error(py, ArrayError::bug(e.to_string())),
    })
}

/// Asks Python for signals, on the thread that calls this and at most every 20 ms. Once a handler has raised, what it raised is
/// kept and the answer stays yes.
pub fn signals_seen(signal: Signal) -> Question {
    let caller = std::thread::current().id();
    let asked = parking_lot::Mutex::new(Instant::now());
    Arc::new(move || {
        if std::thread::current().id() != caller {
            return false;
        }
        if signal.lock().is_some() {
            return true;
        }
        {
            let mut asked = asked.lock();
            if asked.elapsed() < Duration::from_millis(20) {
                return false;
            }
            *asked = Instant::now();
        }
        let raised = Python::attach(|py| py.check_signals().err());
        let seen = raised.is_some();
        if seen {
            *signal.lock() = raised;
        }
        seen
    })
}

/// Splits the values of a run by output.
fn split(plan: &Plan, values: Vec<Value>) -> Vec<Vec<Value>> {
    let mut values = values.into_iter();
    plan.outputs.iter().map(|tasks| values.by_ref().take(tasks.len()).collect()).collect()
}

#[pyfunction]
fn compute<'py>(
    py: Python<'py>,
    exprs: Vec<Bound<'py, PyAny>>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyList>> {
    let options = RunOptions::new(options)?;
    let nodes = exprs.iter().map(node).collect::<PyResult<Vec<Node>>>()?;
    let nodes = share(&nodes);
    let mut budget = Budget::begin(options.limit);
    let mut made = 0;
    let mut destinations = Vec::with_capacity(nodes.len());
    let mut blocks: Vec<Option<Block>> = Vec::with_capacity(nodes.len());
    for n in &nodes {
        let shape = n.known_shape().filter(|_| n.dtype().scalar().is_some());
        let Some(shape) = shape else {
            destinations.push(Destination::Fresh);
            blocks.push(None);
            continue;
        };
        made += budget.add_result(n, &shape)?;
        let shape: Dims = shape.iter().map(|&n| n as usize).collect();
        let block = Block::alloc(n.dtype(), &shape).map_err(ArrayError::from).or_raise(py)?;
        destinations.push(Destination::Into(block.clone()));
        blocks.push(Some(block));
    }
    let plan = lower(&nodes, &destinations, options.lowering()).or_raise(py)?;
    drop(destinations);
    let values = run_plan(py, &plan, &options, &budget, made)?;
    let values = split(&plan, values);
    drop(plan);
    let out = PyList::empty(py);
    for ((n, block), values) in nodes.iter().zip(blocks).zip(values) {
        out.append(match block {
            Some(block) => to_numpy(py, block, true)?,
            None => gather(py, n, values, &mut budget)?,
        })?;
    }
    budget.succeeded();
    Ok(out)
}

/// Blocks of unknown shape, or of Python's making, as one array.
fn gather<'py>(
    py: Python<'py>,
    n: &Node,
    values: Vec<Value>,
    budget: &mut Budget,
) -> PyResult<Bound<'py, PyAny>> {
    if n.dtype().scalar().is_some() {
        let blocks = values.into_iter().map(Value::into_block).collect::<Result<Vec<_>, _>>().or_raise(py)?;
        let chunks = actual_chunks(n.chunks(), &blocks).or_raise(py)?;
        let shape: Dims = chunks.iter().map(|c| c.len().unwrap_or(0) as usize).collect();
        let lengths: Vec<u64> = shape.iter().map(|&n| n as u64).collect();
        let bytes = budget.add_result(n, &lengths)?;
        budget.check_copy(bytes.saturating_mul(2))?;
        let out = Block::alloc(n.dtype(), &shape).map_err(ArrayError::from).or_raise(py)?;
        for (i, block) in blocks.iter().enumerate() {
            let mut part = out.clone();
            for (axis, &k) in unravel(&chunks, i as u32).iter().enumerate() {
                let k = k as usize;
                part = part.slice_axis(
                    axis,
                    chunks[axis].start(k) as usize,
                    1,
                    chunks[axis].sizes()[k] as usize,
                );
            }
            // SAFETY: `out` is fresh; each block has its own part.
            unsafe { part.assign(block) };
        }
        return to_numpy(py, out, true);
    }
    // Nested lists in the shape of the grid, for numpy.block.
    let mut objects: Vec<Bound<'py, PyAny>> = Vec::with_capacity(values.len());
    for v in values {
        match v {
            Value::Foreign(f) => match f.as_any().downcast_ref::<PythonValue>() {
                Some(v) => objects.push(v.object.bind(py).clone()),
                None => return Err(array_error(py, ArrayError::bug("a value of another engine"))),
            },
            Value::Block(b) => objects.push(to_numpy(py, b, true)?),
            Value::Unit | Value::Many(_) => {
                return Err(array_error(py, ArrayError::bug("an output is no array")));
            }
        }
    }
    if n.ndim() == 0 {
        return objects
            .into_iter()
            .next()
            .ok_or_else(|| array_error(py, ArrayError::bug("an output has no block")));
    }
    for c in n.chunks().iter().rev() {
        objects = objects
            .chunks(c.count())
            .map(|row| PyResult::Ok(PyList::new(py, row)?.into_any()))
            .collect::<PyResult<_>>()?;
    }
    crate::convert::numpy(py)?.call_method1("block", (&objects[0],))
}

/// The cuts of blocks that have been computed, where the expression did not know them.
fn actual_chunks(chunks: &Chunks, blocks: &[Block]) -> Result<Chunks, ArrayError> {
    let mut out: Chunks = SmallVec::new();
    for (axis, c) in chunks.iter().enumerate() {
        if c.is_known() {
            out.push(c.clone());
            continue;
        }
        let mut sizes = vec![None; c.count()];
        for (i, b) in blocks.iter().enumerate() {
            let at = unravel(chunks, i as u32)[axis] as usize;
            let n = b.shape()[axis] as u64;
            if *sizes[at].get_or_insert(n) != n {
                return Err(ArrayError::value(format!(
                    "blocks along axis {axis} have different lengths, so they do not make up one array"
                )));
            }
        }
        out.push(AxisChunks::new(sizes.into_iter().map(|s| s.unwrap_or(0)).collect()));
    }
    Ok(out)
}

/// An array whose blocks are in memory.
struct PersistedOp {
    chunks: Chunks,
    blocks: Vec<Value>,
}

impl BlockOp for PersistedOp {
    fn name(&self) -> &str {
        "persisted"
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, _at: &[u32], _out: &mut Vec<Request>) {}
    fn run(&self, at: &[u32], _inputs: &mut Vec<Value>) -> pantile_array::Result<Value> {
        Ok(self.blocks[pantile_array::chunks::ravel(&self.chunks, at) as usize].clone())
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        // They are in memory anyway.
        0
    }
}

#[pyfunction]
fn persist(py: Python<'_>, exprs: Vec<Bound<'_, PyAny>>, options: &Bound<'_, PyDict>) -> PyResult<Vec<Expr>> {
    let options = RunOptions::new(options)?;
    let nodes = exprs.iter().map(node).collect::<PyResult<Vec<Node>>>()?;
    let nodes = share(&nodes);
    let mut budget = Budget::begin(options.limit);
    for n in &nodes {
        if let Some(shape) = n.known_shape() {
            budget.add_result(n, &shape)?;
        }
    }
    let destinations = vec![Destination::Fresh; nodes.len()];
    let plan = lower(&nodes, &destinations, options.lowering()).or_raise(py)?;
    let values = run_plan(py, &plan, &options, &budget, 0)?;
    let mut out = Vec::with_capacity(nodes.len());
    for (n, mut values) in nodes.iter().zip(split(&plan, values)) {
        // What is persisted must not change with the user's arrays.
        for value in &mut values {
            if let Value::Block(block) = value
                && !block.is_engines()
            {
                *value = Value::Block(block.to_owned_block().map_err(ArrayError::from).or_raise(py)?);
            }
        }
        let mut chunks = n.chunks().clone();
        if chunks.iter().any(|c| !c.is_known()) && n.dtype().scalar().is_some() {
            let blocks =
                values.iter().cloned().map(Value::into_block).collect::<Result<Vec<_>, _>>().or_raise(py)?;
            chunks = actual_chunks(&chunks, &blocks).or_raise(py)?;
        }
        let single = match values.as_slice() {
            [Value::Block(b)] if b.ndim() > 0 => Some(b.clone()),
            _ => None,
        };
        let kind = match single {
            // One block is an array in memory like any other.
            Some(block) => Kind::Source(Arc::new(MemorySource::new(block)) as Arc<dyn Source>),
            None => Kind::Op(Arc::new(PersistedOp { chunks: chunks.clone(), blocks: values }), Vec::new()),
        };
        out.push(Node::new(kind, n.dtype(), chunks).into());
    }
    budget.succeeded();
    Ok(out)
}

/// Where blocks are stored.
enum Place {
    Native(Py<NativeTarget>),
    /// Anything with `__setitem__`.
    Python {
        object: Py<PyAny>,
        lock: Option<Arc<parking_lot::Mutex<()>>>,
    },
}

/// Writes each block of its input to a target.
struct StoreOp {
    chunks: Chunks,
    place: Place,
    /// Where the array's first element goes, and the distance between elements, for each axis.
    offset: Vec<(u64, u64)>,
}

impl BlockOp for StoreOp {
    fn name(&self) -> &str {
        "store"
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(Request::Chunk { input: 0, at: at.into() });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> pantile_array::Result<Value> {
        let block = inputs.pop().ok_or_else(|| ArrayError::bug("a store task got no block"))?.into_block()?;
        let mut start = Vec::with_capacity(at.len());
        for b in block_box(&self.chunks, at) {
            match b {
                BoxAxis::Range(r) => start.push(r.start),
                BoxAxis::Chunk(_) => return Err(ArrayError::value("cannot store an array of unknown shape")),
            }
        }
        match &self.place {
            Place::Native(target) => {
                let _wait = waits::wait(waits::Kind::Io);
                let first: Vec<u64> = start.iter().zip(&self.offset).map(|(s, (o, _))| s + o).collect();
                target.get().write(&first, &block)?;
            }
            Place::Python { object, lock } => {
                let _wait = waits::wait(waits::Kind::Io);
                let _guard = lock.as_ref().map(|l| l.lock());
                let write = |py: Python<'_>| -> PyResult<()> {
                    let mut key = Vec::with_capacity(start.len());
                    for ((&s, &n), &(offset, step)) in start.iter().zip(block.shape()).zip(&self.offset) {
                        let (first, step) = ((offset + s * step) as isize, step as isize);
                        key.push(PySlice::new(py, first, first + step * n as isize, step));
                    }
                    let array = to_numpy(py, block, false)?;
                    object.bind(py).set_item(PyTuple::new(py, key)?, array)
                };
                let gil = waits::wait(waits::Kind::Gil);
                Python::attach(|py| {
                    drop(gil);
                    interruptible(py, || write(py)).map_err(|e| raised(py, e))
                })?;
            }
        }
        Ok(Value::Unit)
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        0
    }
    fn is_python(&self) -> bool {
        matches!(self.place, Place::Python { .. })
    }
}

type StorePair<'py> = (Py<Expr>, Bound<'py, PyAny>, Option<Vec<Bound<'py, PySlice>>>);

#[pyfunction]
fn store(py: Python<'_>, pairs: Vec<StorePair<'_>>, lock: bool, options: &Bound<'_, PyDict>) -> PyResult<()> {
    let options = RunOptions::new(options)?;
    let shared_lock = lock.then(|| Arc::new(parking_lot::Mutex::new(())));
    let mut nodes = Vec::with_capacity(pairs.len());
    for (e, target, region) in pairs {
        let mut node = e.get().node.clone();
        let shape = node
            .known_shape()
            .ok_or_else(|| {
                ArrayError::value("cannot store an array of unknown shape: call compute_chunk_sizes() first")
            })
            .or_raise(py)?;
        let native = target.cast::<NativeTarget>().ok().map(|t| t.clone().unbind());
        let target_shape: Vec<u64> = match &native {
            Some(t) => t.get().shape(),
            None => target.getattr("shape")?.extract()?,
        };
        let mut offset = vec![(0, 1); shape.len()];
        if let Some(region) = &region {
            for (axis, s) in region.iter().enumerate().take(shape.len()) {
                let n = target_shape.get(axis).copied().unwrap_or(0) as isize;
                let i = s.indices(n)?;
                if i.step < 1 || i.slicelength as u64 != shape[axis] {
                    let text = format!(
                        "the region {s} of axis {axis} has {} positions for {}",
                        i.slicelength, shape[axis]
                    );
                    return Err(ArrayError::value(text)).or_raise(py);
                }
                offset[axis] = (i.start as u64, i.step as u64);
            }
        } else if target_shape != shape.to_vec() {
            let text = format!(
                "cannot store an array of shape {:?} in a target of shape {target_shape:?}",
                shape.to_vec()
            );
            return Err(ArrayError::value(text)).or_raise(py);
        }
        if let Some(stored) = native.as_ref().and_then(|t| t.get().stored_chunks()) {
            node = node.rechunk(whole_chunks(&node, &stored));
        }
        let place = match native {
            Some(t) => Place::Native(t),
            None => Place::Python { object: target.unbind(), lock: shared_lock.clone() },
        };
        let chunks = node.chunks().clone();
        let op = StoreOp { chunks: chunks.clone(), place, offset };
        let dtype = node.dtype();
        nodes.push(Node::new(Kind::Op(Arc::new(op), vec![node]), dtype, chunks));
    }
    let nodes = share(&nodes);
    let destinations = vec![Destination::Fresh; nodes.len()];
    let plan = lower(&nodes, &destinations, options.lowering()).or_raise(py)?;
    run_plan(py, &plan, &options, &Budget::begin(options.limit), 0)?;
    Ok(())
}

/// Which arrays of a `store` must be whole before the first block is written, since they are made from what a target overwrites.
/// No such care is needed where each position is made from the same position of its own target: a block's readers all come before
/// its writer.
#[pyfunction]
fn store_hazards(py: Python<'_>, pairs: Vec<StorePair<'_>>) -> PyResult<Vec<bool>> {
    let ndarray = crate::convert::numpy(py)?.getattr("ndarray")?;
    let mut targets = Vec::with_capacity(pairs.len());
    for (_, target, region) in &pairs {
        let memory = match target.is_instance(&ndarray)? {
            true => Some((addresses(target)?, from_numpy(target, false).ok())),
            false => None,
        };
        targets.push((target.as_ptr() as usize, memory, region.is_none()));
    }
    let reads = |s: &Arc<dyn Source>, (object, memory, _): &Target| match (s.in_memory(), memory) {
        (Some(block), Some((to, _))) => {
            let from = block.address_range();
            from.start < to.end && to.start < from.end
        }
        _ => s.outside() == Some(*object),
    };
    let same = |s: &Arc<dyn Source>, (_, memory, whole): &Target| {
        let views = s.in_memory().zip(memory.as_ref().and_then(|(_, view)| view.as_ref()));
        *whole && views.is_none_or(|(block, view)| view.is_same_view(block))
    };
    let hazard = |(of, (e, _, _)): (usize, &StorePair<'_>)| {
        let root = &e.get().node;
        let pointwise = pointwise_inputs(root);
        pantile_array::expr::topological(std::slice::from_ref(root)).iter().any(|n| {
            let Kind::Source(s) = n.kind() else { return false };
            let in_place = |at, t| at == of && pointwise.contains(&n.id()) && same(s, t);
            targets.iter().enumerate().any(|(at, t)| reads(s, t) && !in_place(at, t))
        })
    };
    Ok(pairs.iter().enumerate().map(hazard).collect())
}

/// Which object a target is, what memory it has if it is NumPy's, as a block if it is native, and whether all of it is written.
type Target = (usize, Option<(std::ops::Range<usize>, Option<Block>)>, bool);

/// The addresses that an array of NumPy's reaches.
fn addresses(array: &Bound<'_, PyAny>) -> PyResult<std::ops::Range<usize>> {
    let interface = array.getattr("__array_interface__")?.cast_into::<PyDict>()?;
    let data: Option<(usize, bool)> = interface.get_item("data")?.map(|d| d.extract()).transpose()?;
    let (mut low, itemsize): (isize, isize) =
        (data.map_or(0, |(address, _)| address as isize), array.getattr("itemsize")?.extract()?);
    let mut high = low + itemsize;
    let (shape, strides): (Vec<isize>, Vec<isize>) =
        (array.getattr("shape")?.extract()?, array.getattr("strides")?.extract()?);
    if shape.contains(&0) {
        return Ok(0..0);
    }
    for (n, stride) in shape.iter().zip(strides) {
        let reach = stride * (n - 1);
        if reach < 0 { low += reach } else { high += reach }
    }
    Ok(low as usize..high as usize)
}

/// The nodes that an array is made from position by position, and in no other way.
fn pointwise_inputs(root: &Node) -> HashSet<u64> {
    let nodes = pantile_array::expr::topological(std::slice::from_ref(root));
    let mut found: HashSet<u64> = [root.id()].into();
    let mut otherwise: HashSet<u64> = HashSet::new();
    for n in nodes.iter().rev() {
        let passes = found.contains(&n.id()) && matches!(n.kind(), Kind::Map(..) | Kind::Rechunk(..));
        let to = if passes { &mut found } else { &mut otherwise };
        to.extend(n.inputs().iter().map(|i| i.id()));
    }
    found.retain(|id| !otherwise.contains(id));
    found
}

/// Cuts at multiples of the stored chunks, so that no two tasks write parts of one.
fn whole_chunks(node: &Node, stored: &[u64]) -> Chunks {
    node.chunks()
        .iter()
        .zip(stored)
        .map(|(c, &s)| {
            let len = c.len().unwrap_or(0);
            let aligned = c.is_known() && (0..c.count()).all(|i| c.start(i) % s.max(1) == 0);
            if aligned {
                c.clone()
            } else {
                AxisChunks::uniform(len, c.longest().max(1).div_ceil(s.max(1)) * s.max(1))
            }
        })
        .collect()
}

/// A plan for looking at: nothing is allocated for its outputs.
fn plan_for(
    py: Python<'_>,
    exprs: &[Bound<'_, PyAny>],
    options: lower::Options,
) -> PyResult<(Vec<Node>, Plan)> {
    let nodes = exprs.iter().map(node).collect::<PyResult<Vec<Node>>>()?;
    let nodes = share(&nodes);
    let plan = lower(&nodes, &vec![Destination::Fresh; nodes.len()], options).or_raise(py)?;
    Ok((nodes, plan))
}

#[pyfunction]
fn explain<'py>(
    py: Python<'py>,
    exprs: Vec<Bound<'py, PyAny>>,
    options: &Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyDict>> {
    let options = RunOptions::new(options)?;
    let (nodes, plan) = plan_for(py, &exprs, options.lowering())?;
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks())
        .map_err(|e| array_error(py, ArrayError::bug(e.to_string())))?;
    let order = order(&graph);
    let layers = PyList::empty(py);
    for row in layer_rows(&plan, &graph) {
        layers.append(row.to_dict(py)?)?;
    }
    let mut sources = Vec::new();
    let mut source_bytes = 0;
    for n in pantile_array::expr::topological(&nodes) {
        if let Kind::Source(s) = n.kind() {
            source_bytes += s.shape().iter().product::<u64>() * s.dtype().size() as u64;
            sources.push(s.describe());
        }
    }
    let workers = if options.sync { 1 } else { options.pool()?.threads() };
    let d = PyDict::new(py);
    d.set_item("layers", layers)?;
    d.set_item("tasks", graph.len())?;
    d.set_item("edges", graph.edges())?;
    d.set_item("peak_bytes", peak_memory_workers(&graph, &order, workers).bytes)?;
    d.set_item("limit", options.limit)?;
    d.set_item("inputs_bytes", source_bytes)?;
    d.set_item("sources", sources)?;
    Ok(d)
}

#[pyfunction]
fn graph<'py>(py: Python<'py>, exprs: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyDict>> {
    let (_, plan) = plan_for(py, &exprs, lower::Options::default())?;
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks())
        .map_err(|e| array_error(py, ArrayError::bug(e.to_string())))?;
    let order = order(&graph);
    let d = PyDict::new(py);
    let tasks: Vec<(u32, u32)> =
        graph.ids().map(|id| (graph.task(id).layer.0, graph.task(id).index)).collect();
    let inputs: Vec<Vec<u32>> =
        graph.ids().map(|id| graph.inputs(id).iter().map(|i| i.0).collect()).collect();
    d.set_item("tasks", tasks)?;
    d.set_item("inputs", inputs)?;
    d.set_item("labels", plan.layers.iter().map(|l| l.label().to_string()).collect::<Vec<_>>())?;
    d.set_item("order", graph.ids().map(|id| order.rank(id)).collect::<Vec<_>>())?;
    d.set_item("bytes", graph.ids().map(|id| graph.bytes(id)).collect::<Vec<_>>())?;
    Ok(d)
}

#[pyfunction]
fn expressions<'py>(py: Python<'py>, exprs: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyList>> {
    let nodes = exprs.iter().map(node).collect::<PyResult<Vec<Node>>>()?;
    let roots = lower::roots(&nodes, lower::Options::default());
    let list = PyList::empty(py);
    for n in pantile_array::expr::topological(&nodes) {
        let d = PyDict::new(py);
        d.set_item("id", n.id())?;
        d.set_item("label", n.label())?;
        d.set_item("inputs", n.inputs().iter().map(|i| i.id()).collect::<Vec<_>>())?;
        d.set_item("shape", PyTuple::new(py, n.shape())?)?;
        d.set_item("dtype", n.dtype().descr())?;
        d.set_item("chunks", n.chunks().iter().map(AxisChunks::count).collect::<Vec<_>>())?;
        d.set_item("blocks", block_count(n.chunks()))?;
        d.set_item("root", roots.contains(&n.id()))?;
        d.set_item(
            "python",
            match n.kind() {
                Kind::Source(s) => s.is_python(),
                Kind::Op(op, _) => op.is_python(),
                _ => false,
            },
        )?;
        list.append(d)?;
    }
    Ok(list)
}

#[pyfunction]
fn kernel_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let s = kernels::stats();
    let d = PyDict::new(py);
    d.set_item("compiled", s.compiled)?;
    d.set_item("interpreted_calls", s.interpreted_calls)?;
    d.set_item("compiled_calls", s.compiled_calls)?;
    let backend = BACKEND.get().and_then(Option::as_ref);
    d.set_item("built", backend.map_or(0, |b| b.kernels_compiled()))?;
    d.set_item("loaded", backend.and_then(|b| b.cache_counts()).map_or(0, |c| c.hits))?;
    Ok(d)
}

#[pyfunction]
fn pool_stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let s = pool::stats();
    let d = PyDict::new(py);
    d.set_item("live_bytes", s.live_bytes)?;
    d.set_item("peak_bytes", s.peak_bytes)?;
    d.set_item("cached_bytes", s.cached_bytes)?;
    d.set_item("fresh", s.fresh)?;
    d.set_item("reused", s.reused)?;
    Ok(d)
}

/// What of a memory limit a run that began now would get at most.
#[pyfunction]
fn memory_left(limit: u64) -> Option<u64> {
    pool::trim_allocator();
    Budget::begin(Some(limit)).must_fit(0)
}

#[pyfunction]
fn trim_pool(keep: usize) {
    pool::trim(keep);
}

#[pyfunction]
fn reset_peak() {
    pool::reset_peak();
}

#[pyfunction]
fn set_pool_capacity(n: u64) {
    pool::set_capacity(n);
}

#[pyfunction]
fn default_threads() -> usize {
    pantile_exec::default_threads()
}

#[pyfunction]
fn default_memory() -> u64 {
    crate::machine::default_memory()
}

#[pyfunction]
fn set_threads(n: usize) -> usize {
    Pool::init_global(n).threads()
}

/// Sets the folder for compiled kernels; false if it is too late for another one.
#[pyfunction]
fn set_cache_dir(path: Option<PathBuf>) -> bool {
    let mut folder = CACHE_DIR.lock();
    if *folder == path {
        return true;
    }
    if BACKEND.get().is_some() {
        return false;
    }
    *folder = path;
    true
}

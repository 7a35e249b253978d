//! Running nodes: layers for the graph, calls for the tasks, exceptions with the user's line.

use super::collect::Collected;
use super::node::{Delayed, Kind};
use super::pack::{Packed, fingerprint, unpack};
use super::value::Object;
use super::{groups, rebuild};
use crate::budget::Budget;
use crate::compute::{RunOptions, Setting, Signal, run_graph, signals_seen};
use crate::error::InternalError;
use crate::interrupt::{InCall, interrupt, is_interrupted};
use crate::processes::{Functions, Workers, call};
use crate::watch;
use pantile_diag::waits;
use pantile_exec::CancelToken;
use pantile_graph::{Graph, Layer, LayerId, Order, Runner, TaskRef, order};
use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

pyo3::create_exception!(
    pantile,
    ArgumentChangedError,
    PyRuntimeError,
    "An argument was changed that others rely on."
);

/// Sizes of results are not known beforehand. All the same, so that the order goes by the shape of the graph.
const UNKNOWN_BYTES: u64 = 64;

/// The nodes that some outputs need, ready to run, to be drawn or to be counted.
#[pyclass(frozen, module = "pantile._native")]
pub struct DelayedGraph {
    nodes: Collected,
}

/// The graph behind some nodes.
#[pyfunction]
pub fn delayed_graph(py: Python<'_>, outputs: Vec<Bound<'_, Delayed>>) -> PyResult<DelayedGraph> {
    let mut nodes = Collected::new(py, &outputs);
    nodes.merge_pure(py)?;
    Ok(DelayedGraph { nodes })
}

/// The name that identifies a node's result.
pub fn key(node: &Bound<'_, Delayed>) -> PyResult<String> {
    let py = node.py();
    let this = node.get();
    if let Some(key) = this.more.as_ref().and_then(|m| m.key.as_ref()) {
        return Ok(key.to_string());
    }
    let alone = || Collected {
        nodes: vec![node.clone().unbind()],
        start: vec![0, 0],
        inputs: Vec::new(),
        outputs: vec![0],
    };
    let nodes = if this.pure { Collected::new(py, std::slice::from_ref(node)) } else { alone() };
    let token = nodes.tokens(py)?.pop().unwrap_or_default();
    Ok(format!("{}-{token:032x}", this.name(py)))
}

#[pymethods]
impl DelayedGraph {
    fn __len__(&self) -> usize {
        self.nodes.nodes.len()
    }

    /// The arrays that calls need, in the order in which `run` wants their values.
    #[getter]
    fn arrays(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        let arrays = self.nodes.nodes.iter().filter(|n| n.get().kind == Kind::Array);
        arrays.map(|n| n.get().func.clone_ref(py)).collect()
    }

    /// For each node its name, its inputs, and whether it is a call.
    fn rows(&self, py: Python<'_>) -> Vec<(String, Vec<u32>, bool)> {
        let row = |(at, node): (usize, &Py<Delayed>)| {
            let node = node.get();
            (node.name(py), self.nodes.inputs(at as u32).to_vec(), node.kind == Kind::Call)
        };
        self.nodes.nodes.iter().enumerate().map(row).collect()
    }

    /// The numbers of the nodes that were asked for.
    #[getter]
    fn outputs(&self) -> Vec<u32> {
        self.nodes.outputs.clone()
    }

    /// A node.
    fn node(&self, py: Python<'_>, at: usize) -> PyResult<Py<Delayed>> {
        let node = self.nodes.nodes.get(at).ok_or_else(|| PyValueError::new_err("there is no such node"))?;
        Ok(node.clone_ref(py))
    }

    /// What the tasks of a run are called, by node.
    fn task_names(&self, py: Python<'_>) -> Vec<String> {
        let plan = Plan::new(py, &self.nodes);
        let names = self.names(py, &plan);
        plan.tasks.iter().map(|&task| names(task)).collect()
    }

    /// Boxes that stand for all nodes, as the names and numbers of theirs and the boxes that these need; and the box of each node.
    #[allow(clippy::type_complexity)]
    fn groups(
        &self,
        py: Python<'_>,
        most: usize,
    ) -> (Vec<(Vec<(String, usize)>, Vec<u32>)>, Vec<Option<u32>>) {
        let plan = Plan::new(py, &self.nodes);
        let (made, of) = groups::groups(&self.nodes, &|node| plan.tasks[node].layer.0, most);
        let named = |counts: Vec<(u32, usize)>| {
            counts.into_iter().map(|(l, n)| (plan.layers[l as usize].label.clone(), n)).collect()
        };
        (made.into_iter().map(|(counts, inputs)| (named(counts), inputs)).collect(), of)
    }

    /// The first `count` outputs, made anew. See `rebuild`.
    #[pyo3(signature = (count, seed=None, after=None, whole=false))]
    fn rebuilt(
        &self,
        py: Python<'_>,
        count: usize,
        seed: Option<&[u8]>,
        after: Option<Py<Delayed>>,
        whole: bool,
    ) -> PyResult<Vec<Py<Delayed>>> {
        rebuild::rebuilt(py, &self.nodes, count, seed, after, whole)
    }

    /// For each node its place in the order in which they run; None for those that equal others.
    fn ranks(&self, py: Python<'_>) -> PyResult<Vec<Option<u32>>> {
        let run = Plan::new(py, &self.nodes);
        let (graph, order) = run.expand(py)?;
        let mut ranks = vec![None; self.nodes.nodes.len()];
        for id in graph.ids() {
            ranks[run.node_of(graph.task(id)) as usize] = Some(order.rank(id));
        }
        Ok(ranks)
    }

    /// Computes the nodes that were asked for. `arrays` holds the values of `arrays`.
    fn run<'py>(
        &self,
        py: Python<'py>,
        options: &Bound<'py, PyDict>,
        arrays: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyList>> {
        let options = RunOptions::new(options)?;
        let plan = Plan::new(py, &self.nodes);
        let (graph, order) = plan.expand(py)?;
        let mut shared = vec![false; self.nodes.nodes.len()];
        for id in graph.ids() {
            shared[plan.node_of(graph.task(id)) as usize] = graph.dependents(id).len() > 1;
        }
        for &output in graph.outputs() {
            shared[plan.node_of(graph.task(output)) as usize] = true;
        }
        let watching = watch::begin(py, &graph, options.width()?, || self.names(py, &plan))?;
        let mut given = FxHashMap::default();
        let of_arrays = self.nodes.nodes.iter().enumerate().filter(|(_, n)| n.get().kind == Kind::Array);
        for ((at, _), value) in of_arrays.zip(arrays) {
            given.insert(at as u32, Object::new(value));
        }
        let signal = Signal::default();
        let runner = Calls {
            nodes: &self.nodes.nodes,
            plan: &plan,
            shared,
            given,
            options: &options,
            functions: Functions::default(),
            cancel: watching.cancel.clone(),
            failed: AtomicBool::new(false),
            signalled: signals_seen(Signal::clone(&signal)),
        };
        let number = runner.number();
        let budget = Budget::begin(options.limit());
        budget.bound_pool();
        let limit = budget.ledger(0);
        let setting = Setting { options: &options, limit, watching, number, signal };
        let show = |py: Python<'_>, value: &Object| value.get(py).map(Bound::unbind);
        let failed = |error: CallError| error.into_err(py, &self.nodes.nodes);
        let values = run_graph(py, &graph, &order, runner, setting, show, failed)?;
        let out = PyList::empty(py);
        for value in values {
            out.append(value.get(py)?)?;
        }
        Ok(out)
    }
}

impl DelayedGraph {
    /// What tasks are called: by their keys, where the user chose them, else by their functions and a number.
    fn names(&self, py: Python<'_>, plan: &Plan<'_>) -> watch::Names {
        let nodes = &self.nodes.nodes;
        let layers: Vec<(String, Vec<u32>)> =
            plan.layers.iter().map(|l| (l.label.clone(), l.nodes.clone())).collect();
        let ids: Vec<u64> = nodes.iter().map(|n| n.get().id).collect();
        let key = |n: &Py<Delayed>| {
            n.get().more.as_ref().and_then(|m| m.key.as_ref().map(|k| k.bind(py).to_string()))
        };
        let keys: FxHashMap<u32, String> =
            nodes.iter().enumerate().filter_map(|(at, n)| Some((at as u32, key(n)?))).collect();
        std::sync::Arc::new(move |task| {
            let (label, nodes) = &layers[task.layer.0 as usize];
            let node = nodes[task.index as usize];
            keys.get(&node).cloned().unwrap_or_else(|| format!("{label}-{}", ids[node as usize]))
        })
    }
}

/// Nodes as layers: one for each function, so that whoever watches sees names.
struct Plan<'n> {
    nodes: &'n Collected,
    layers: Vec<Calling>,
    /// The task of each node.
    tasks: Vec<TaskRef>,
}

struct Calling {
    label: String,
    nodes: Vec<u32>,
}

/// A layer, as the graph crate wants it.
struct Asked<'p>(&'p Plan<'p>, usize);

impl Layer for Asked<'_> {
    fn len(&self) -> u32 {
        self.0.layers[self.1].nodes.len() as u32
    }
    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        let node = self.0.layers[self.1].nodes[index as usize];
        out.extend(self.0.nodes.inputs(node).iter().map(|&i| self.0.tasks[i as usize]));
    }
    fn bytes(&self, _index: u32) -> u64 {
        UNKNOWN_BYTES
    }
    fn label(&self) -> &str {
        &self.0.layers[self.1].label
    }
}

impl<'n> Plan<'n> {
    fn new(py: Python<'_>, nodes: &'n Collected) -> Plan<'n> {
        let mut plan = Plan { nodes, layers: Vec::new(), tasks: Vec::with_capacity(nodes.nodes.len()) };
        let mut by_function: FxHashMap<usize, u32> = FxHashMap::default();
        let mut by_name: FxHashMap<String, u32> = FxHashMap::default();
        for (at, node) in nodes.nodes.iter().enumerate() {
            let node = node.get();
            let named = node.kind != Kind::Call || node.more.as_ref().is_some_and(|m| m.name.is_some());
            let known = (!named).then(|| by_function.get(&(node.func.as_ptr() as usize))).flatten();
            let layer = known.copied().unwrap_or_else(|| {
                let label = node.name(py);
                let layer = *by_name.entry(label.clone()).or_insert_with(|| {
                    plan.layers.push(Calling { label, nodes: Vec::new() });
                    plan.layers.len() as u32 - 1
                });
                if !named {
                    by_function.insert(node.func.as_ptr() as usize, layer);
                }
                layer
            });
            let of_layer = &mut plan.layers[layer as usize].nodes;
            plan.tasks.push(TaskRef { layer: LayerId(layer), index: of_layer.len() as u32 });
            of_layer.push(at as u32);
        }
        plan
    }

    fn node_of(&self, task: TaskRef) -> u32 {
        self.layers[task.layer.0 as usize].nodes[task.index as usize]
    }

    /// The graph, and the order in which its tasks run: that of the graph crate, those with higher priority before.
    fn expand(&self, py: Python<'_>) -> PyResult<(Graph, Order)> {
        let layers: Vec<Asked<'_>> = (0..self.layers.len()).map(|at| Asked(self, at)).collect();
        let layers: Vec<&dyn Layer> = layers.iter().map(|l| l as &dyn Layer).collect();
        let outputs: Vec<TaskRef> = self.nodes.outputs.iter().map(|&o| self.tasks[o as usize]).collect();
        let graph = Graph::expand(&layers, &outputs)
            .map_err(|e| InternalError::new_err(format!("{e}. This is a bug in Pantile")))?;
        let order = order(&graph);
        match self.priorities(py, &graph)? {
            Some(priorities) => Ok(prioritised(graph, &order, &priorities)),
            None => Ok((graph, order)),
        }
    }

    /// What `annotate(priority=...)` said of each task, by task; `None` if nothing.
    fn priorities(&self, py: Python<'_>, graph: &Graph) -> PyResult<Option<Vec<i64>>> {
        if self.nodes.nodes.iter().all(|n| n.get().annotations().is_none()) {
            return Ok(None);
        }
        let mut any = false;
        let mut priorities = Vec::with_capacity(graph.len());
        for id in graph.ids() {
            let node = self.nodes.nodes[self.node_of(graph.task(id)) as usize].get();
            let said = match node.annotations() {
                Some(a) => a.bind(py).get_item(intern!(py, "priority"))?,
                None => None,
            };
            any |= said.is_some();
            priorities.push(said.map_or(Ok(0), |p| p.extract())?);
        }
        Ok(any.then_some(priorities))
    }
}

/// Of the tasks whose inputs are there, the one with the highest priority goes first; among equals the given order decides.
///
/// A task inherits the highest priority of what needs it, else it would hold that up.
fn prioritised(graph: Graph, order: &Order, priorities: &[i64]) -> (Graph, Order) {
    let mut wanted = priorities.to_vec();
    for id in graph.ids().rev() {
        let of_consumers = graph.dependents(id).iter().map(|d| wanted[d.0 as usize]).max();
        wanted[id.0 as usize] = wanted[id.0 as usize].max(of_consumers.unwrap_or(i64::MIN));
    }
    let mut missing: Vec<u32> = graph.ids().map(|id| graph.inputs(id).len() as u32).collect();
    let place = |id: pantile_graph::TaskId| (wanted[id.0 as usize], std::cmp::Reverse(order.rank(id)), id);
    let mut ready: std::collections::BinaryHeap<_> =
        graph.ids().filter(|id| missing[id.0 as usize] == 0).map(place).collect();
    let mut sequence = Vec::with_capacity(graph.len());
    while let Some((_, _, id)) = ready.pop() {
        sequence.push(id);
        for &d in graph.dependents(id) {
            missing[d.0 as usize] -= 1;
            if missing[d.0 as usize] == 0 {
                ready.push(place(d));
            }
        }
    }
    let order = Order::from_sequence(&graph, sequence).unwrap_or_else(|| order.clone());
    (graph, order)
}

/// A call that failed.
pub struct CallError {
    error: PyErr,
    node: u32,
    attempts: u32,
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.error.fmt(f)
    }
}

impl CallError {
    /// The exception, with a note of which call it was and where the user built it.
    fn into_err(self, py: Python<'_>, nodes: &[Py<Delayed>]) -> PyErr {
        let node = nodes[self.node as usize].get();
        let mut note = format!("while computing `{}`", node.name(py));
        if let Some(key) = node.more.as_ref().and_then(|m| m.key.as_ref()) {
            note.push_str(&format!(" ({key})"));
        }
        if let Some(line) = node.place.line(py) {
            note.push_str(&format!(", built at {}:{} in {}", line.file, line.line, line.function));
        }
        if self.attempts > 1 {
            note.push_str(&format!(", after {} attempts", self.attempts));
        }
        let _ = self.error.value(py).call_method1(intern!(py, "add_note"), (note,));
        self.error
    }
}

/// Runs calls.
struct Calls<'a> {
    nodes: &'a [Py<Delayed>],
    plan: &'a Plan<'a>,
    /// Whether a node's result goes to more than one call, or to a call and to the user.
    shared: Vec<bool>,
    /// The values of arrays.
    given: FxHashMap<u32, Object>,
    options: &'a RunOptions,
    /// Pickles of functions, made once a run.
    functions: Functions,
    cancel: CancelToken,
    /// A call has failed: the others' workers need not go on.
    failed: AtomicBool,
    /// Whether a signal handler has raised: the calling thread, when it waits for a worker itself, has to look for that.
    signalled: pantile_linalg::Question,
}

thread_local! {
    /// Whether this thread has told `interrupt` of the run already: then calls in the batch need not.
    static TOLD: Cell<usize> = const { Cell::new(0) };
}

impl Calls<'_> {
    /// Which run this is, for `interrupt`: no other has the number while this one lasts.
    fn number(&self) -> usize {
        std::ptr::from_ref(self.plan) as usize
    }

    fn call<'py>(&self, py: Python<'py>, at: u32, inputs: &mut Vec<Object>) -> PyResult<Bound<'py, PyAny>> {
        let node = self.nodes[at as usize].bind(py).get();
        match node.kind {
            Kind::Value => return Ok(node.func.bind(py).clone()),
            Kind::Array => {
                let value = self.given.get(&at);
                return value.ok_or_else(|| InternalError::new_err("an array has no value"))?.get(py);
            }
            Kind::Call | Kind::Attribute => {}
        }
        self.check_unchanged(py, node)?;
        if !node.has_inputs {
            let kwargs = node.kwargs.as_ref().map(|k| k.bind(py));
            return self.place(py, node, node.func.bind(py), node.args.bind(py), kwargs, false);
        }
        // A shared result is handed out so that whoever changes it is found out.
        let numbers = self.plan.nodes.inputs(at);
        let mut watched: Vec<(Bound<'py, PyAny>, u64)> = Vec::new();
        let mut read_only = false;
        let mut objects = inputs.drain(..).zip(numbers);
        let mut next = || -> PyResult<Bound<'py, PyAny>> {
            let (object, &from) =
                objects.next().ok_or_else(|| InternalError::new_err("a call has too few inputs"))?;
            let value = object.get(py)?;
            if self.shared[from as usize] { guarded(value, &mut watched, &mut read_only) } else { Ok(value) }
        };
        let mut fill = |value: Bound<'py, PyAny>| -> PyResult<Bound<'py, PyAny>> {
            if value.is_exact_instance_of::<Delayed>() {
                return next();
            }
            match value.cast_exact::<Packed>() {
                Ok(packed) => unpack(packed, &mut next),
                Err(_) => Ok(value),
            }
        };
        let func = fill(node.func.bind(py).clone())?;
        let args =
            node.args.bind(py).iter().map(&mut fill).collect::<PyResult<smallvec::SmallVec<[_; 4]>>>()?;
        let args = PyTuple::new(py, args)?;
        let kwargs = match &node.kwargs {
            Some(given) => {
                let kwargs = PyDict::new(py);
                for (name, value) in given.bind(py).iter() {
                    kwargs.set_item(name, fill(value)?)?;
                }
                Some(kwargs)
            }
            None => None,
        };
        drop(objects);
        let result = self.place(py, node, &func, &args, kwargs.as_ref(), read_only)?;
        for (value, print) in watched {
            if fingerprint(&value)? != print {
                return Err(ArgumentChangedError::new_err(format!(
                    "`{}` changed its argument, a {} that is the result of another call and that others need too; let it work on \
                     a copy",
                    node.name(py),
                    value.get_type().name()?
                )));
            }
        }
        Ok(result)
    }

    /// Containers among the arguments must hold what they held when the call was built.
    fn check_unchanged(&self, py: Python<'_>, node: &Delayed) -> PyResult<()> {
        let Some(more) = &node.more else { return Ok(()) };
        for &(at, print) in &more.prints {
            let args = node.args.bind(py);
            let count = args.len();
            let (name, value) = match (&node.kwargs, (at as usize).checked_sub(count)) {
                (Some(kwargs), Some(rest)) => {
                    let (name, value) = kwargs
                        .bind(py)
                        .iter()
                        .nth(rest)
                        .ok_or_else(|| InternalError::new_err("a remembered argument is not there"))?;
                    (format!("argument {name}"), value)
                }
                _ => (format!("argument {at}"), args.get_item(at as usize)?),
            };
            if fingerprint(&value)? != print {
                return Err(ArgumentChangedError::new_err(format!(
                    "{name} of `{}`, a {}, was changed after the call was built; build the call after the change, or pass a copy",
                    node.name(py),
                    value.get_type().name()?
                )));
            }
        }
        Ok(())
    }

    /// Calls the function where the node shall run. `read_only`: whether it gets an array as a read-only view for others' sake.
    fn place<'py>(
        &self,
        py: Python<'py>,
        node: &Delayed,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
        read_only: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        if self.in_process(py, node)? {
            let workers = Workers { pool: None, most: self.options.workers() };
            let stop =
                || self.cancel.is_cancelled() || self.failed.load(Ordering::Relaxed) || (self.signalled)();
            return call(py, func, args, kwargs, Some(&self.functions), workers, &stop)
                .map(|r| r.into_bound(py));
        }
        func.call(args, kwargs).inspect_err(|e| {
            // An array that the user made read-only is another matter.
            if read_only && e.is_instance_of::<PyValueError>(py) && e.to_string().contains("read-only") {
                let note = "results that several calls need are passed to them read-only, so that none changes what the others see; \
                            copy the array before you change it";
                let _ = e.value(py).call_method1(intern!(py, "add_note"), (note,));
            }
        })
    }

    /// Whether a node's function runs in a worker process. What puts results together runs here: it would only copy them.
    fn in_process(&self, py: Python<'_>, node: &Delayed) -> PyResult<bool> {
        if node.local {
            return Ok(false);
        }
        if let Some(annotations) = node.annotations()
            && let Some(named) = annotations.bind(py).get_item(intern!(py, "executor"))?
        {
            return Ok(named.extract::<String>()? == "processes");
        }
        Ok(self.options.processes)
    }

    fn retries(&self, py: Python<'_>, node: &Delayed) -> u32 {
        let said = node
            .annotations()
            .and_then(|a| a.bind(py).get_item(intern!(py, "retries")).ok().flatten())
            .and_then(|r| r.extract().ok());
        said.unwrap_or(self.options.retries)
    }
}

impl Runner for Calls<'_> {
    type Value = Object;
    type Error = CallError;

    fn run(&self, task: TaskRef, inputs: &mut Vec<Object>) -> Result<Object, CallError> {
        let at = self.plan.node_of(task);
        let waiting = waits::wait(waits::Kind::Gil);
        Python::attach(|py| {
            drop(waiting);
            let node = self.nodes[at as usize].get();
            let _call = (TOLD.get() != self.number()).then(|| InCall::begin(py, self.number()));
            let retries = self.retries(py, node);
            let again = if retries > 0 { inputs.clone() } else { Vec::new() };
            let mut attempts = 1;
            loop {
                if is_interrupted(self.number()) {
                    return Err(CallError { error: PyKeyboardInterrupt::new_err(()), node: at, attempts });
                }
                match self.call(py, at, inputs) {
                    Ok(value) => return Ok(Object::new(value)),
                    Err(error) => {
                        let interrupted = error.is_instance_of::<PyKeyboardInterrupt>(py);
                        if interrupted {
                            // It reached this call alone; the others' functions do not hear of it otherwise.
                            interrupt(py, self.number());
                        }
                        let ordinary = error.is_instance_of::<pyo3::exceptions::PyException>(py);
                        if attempts > retries || !ordinary || error.is_instance_of::<ArgumentChangedError>(py)
                        {
                            self.failed.store(true, Ordering::Relaxed);
                            return Err(CallError { error, node: at, attempts });
                        }
                        attempts += 1;
                        inputs.clear();
                        inputs.extend(again.iter().cloned());
                    }
                }
            }
        })
    }

    fn batches(&self, _task: TaskRef) -> bool {
        // A call that waits for a process does not hold the lock.
        !self.options.processes
    }

    fn batch(&self, body: &mut dyn FnMut()) {
        Python::attach(|py| {
            let before = TOLD.replace(self.number());
            let call = (before != self.number()).then(|| InCall::begin(py, self.number()));
            body();
            drop(call);
            TOLD.set(before);
        });
    }

    fn nbytes(&self, value: &Object) -> u64 {
        value.nbytes()
    }

    fn spill(&self, value: &Object, to: &mut dyn io::Write) -> io::Result<bool> {
        value.spill(to)
    }

    fn restore(&self, file: std::fs::File, _len: u64) -> io::Result<Object> {
        Object::restore(file)
    }
}

/// A shared result as a call may see it: arrays as read-only views, and containers remembered by what they hold.
fn guarded<'py>(
    value: Bound<'py, PyAny>,
    watched: &mut Vec<(Bound<'py, PyAny>, u64)>,
    read_only: &mut bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if is_container(&value) {
        watched.push((value.clone(), fingerprint(&value)?));
        return Ok(value);
    }
    if is_ndarray(&value)?
        && value.getattr(intern!(py, "flags"))?.getattr(intern!(py, "writeable"))?.is_truthy()?
    {
        let view = value.call_method0(intern!(py, "view"))?;
        let flags = PyDict::new(py);
        flags.set_item(intern!(py, "write"), false)?;
        view.call_method(intern!(py, "setflags"), (), Some(&flags))?;
        *read_only = true;
        return Ok(view);
    }
    Ok(value)
}

fn is_container(value: &Bound<'_, PyAny>) -> bool {
    use pyo3::types::PySet;
    value.is_exact_instance_of::<PyList>()
        || value.is_exact_instance_of::<PyDict>()
        || value.is_exact_instance_of::<PySet>()
}

/// Whether this is NumPy's array itself, without importing NumPy for those who do not use it.
fn is_ndarray(value: &Bound<'_, PyAny>) -> PyResult<bool> {
    static NDARRAY: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let py = value.py();
    let ty = value.get_type();
    if let Some(known) = NDARRAY.get(py) {
        return Ok(ty.is(known));
    }
    if ty.qualname()? != "ndarray" || ty.module()? != "numpy" {
        return Ok(false);
    }
    let _ = NDARRAY.set(py, ty.unbind());
    Ok(true)
}

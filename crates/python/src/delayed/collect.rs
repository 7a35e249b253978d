//! From nodes to flat arrays of integers: a walk that keeps its own stack, so that a chain of a million calls is no deeper than one.
//!
//! Each node remembers the walk that saw it last and its number in it, which is cheaper than a table of a million addresses. No
//! Python code runs during the walk, so nobody else's walk can come between. What pure calls are equal is found afterwards, on the
//! numbers.

use super::node::{Delayed, Kind};
use super::pack::{Packed, Part, nodes_in, visit};
use crate::tokenize::token;
use parking_lot::Mutex;
use pyo3::ffi;
use pyo3::prelude::*;
use rustc_hash::FxHashMap;
use std::sync::atomic::Ordering;
use twox_hash::XxHash3_128;

/// Nodes that some outputs need, inputs first.
pub struct Collected {
    pub nodes: Vec<Py<Delayed>>,
    /// The inputs of node `i` are `inputs[start[i]..start[i + 1]]`.
    pub start: Vec<u32>,
    pub inputs: Vec<u32>,
    pub outputs: Vec<u32>,
}

/// The walks so far. Held during a walk.
static WALKS: Mutex<u32> = Mutex::new(0);

struct Frame {
    node: *mut ffi::PyObject,
    start: usize,
    next: usize,
}

/// A node by its address. Nodes are kept alive by the outputs' arguments, which cannot change.
fn borrowed<'a, 'py>(py: Python<'py>, node: &'a *mut ffi::PyObject) -> &'a Bound<'py, Delayed> {
    // SAFETY: the addresses in a walk are those of nodes that the outputs hold; `Bound` is a pointer.
    unsafe { Bound::ref_from_ptr(py, node).cast_unchecked::<Delayed>() }
}

/// Calls `each` for every node that this one's call needs, in the order in which values are put in: function, positional
/// arguments, keyword arguments; last what it only waits for.
pub fn inputs_of<'py>(node: &Bound<'py, Delayed>, each: &mut dyn FnMut(&Bound<'py, Delayed>)) {
    let py = node.py();
    let this = node.get();
    if !this.has_inputs || this.kind == Kind::Value {
        return;
    }
    if let Ok(func) = this.func.bind(py).cast_exact::<Delayed>() {
        each(func);
    }
    let mut argument = |value: &Bound<'py, PyAny>| {
        if let Ok(node) = value.cast_exact::<Delayed>() {
            each(node);
        } else if let Ok(packed) = value.cast_exact::<Packed>() {
            nodes_in(packed, each);
        }
    };
    this.args.bind(py).iter().for_each(|a| argument(&a));
    if let Some(kwargs) = &this.kwargs {
        kwargs.bind(py).iter().for_each(|(_, v)| argument(&v));
    }
    if let Some(after) = this.more.as_ref().and_then(|m| m.after.as_ref()) {
        each(after.bind(py));
    }
}

impl Collected {
    /// Walks from the outputs.
    pub fn new<'py>(py: Python<'py>, outputs: &[Bound<'py, Delayed>]) -> Collected {
        let mut walks = WALKS.lock();
        *walks = walks.wrapping_add(1).max(1);
        let walk = u64::from(*walks) << 32;
        let mut c = Collected { nodes: Vec::new(), start: vec![0], inputs: Vec::new(), outputs: Vec::new() };
        // Inputs of the open frames: addresses, replaced by numbers once they are known.
        let mut pending: Vec<usize> = Vec::new();
        let mut frames: Vec<Frame> = Vec::new();
        let number = |node: &Bound<'py, Delayed>| {
            let mark = node.get().mark.load(Ordering::Relaxed);
            (mark & !0xffff_ffff == walk).then_some(mark as u32)
        };
        let open = |node: &Bound<'py, Delayed>, pending: &mut Vec<usize>, frames: &mut Vec<Frame>| {
            let start = pending.len();
            inputs_of(node, &mut |input| pending.push(input.as_ptr() as usize));
            frames.push(Frame { node: node.as_ptr(), start, next: start });
        };
        for output in outputs {
            if number(output).is_none() {
                open(output, &mut pending, &mut frames);
            }
            while let Some(frame) = frames.last_mut() {
                if frame.next < pending.len() {
                    let address = pending[frame.next] as *mut ffi::PyObject;
                    let input = borrowed(py, &address);
                    match number(input) {
                        Some(known) => {
                            pending[frame.next] = known as usize;
                            frame.next += 1;
                        }
                        None => open(input, &mut pending, &mut frames),
                    }
                    continue;
                }
                let (address, start) = (frame.node, frame.start);
                frames.pop();
                let node = borrowed(py, &address);
                c.inputs.extend(pending.drain(start..).map(|n| n as u32));
                c.start.push(c.inputs.len() as u32);
                node.get().mark.store(walk | c.nodes.len() as u64, Ordering::Relaxed);
                c.nodes.push(node.clone().unbind());
            }
            let known = number(output).unwrap_or_default();
            c.outputs.push(known);
        }
        c
    }

    pub fn inputs(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.inputs[self.start[node] as usize..self.start[node + 1] as usize]
    }

    /// Lets equal pure calls be one: every input and output names the first of them.
    pub fn merge_pure(&mut self, py: Python<'_>) -> PyResult<()> {
        if !self.nodes.iter().any(|n| n.get().pure) {
            return Ok(());
        }
        let tokens = self.tokens(py)?;
        let mut first: FxHashMap<u128, u32> = FxHashMap::default();
        let mut same: Vec<u32> = (0..self.nodes.len() as u32).collect();
        for (at, node) in self.nodes.iter().enumerate() {
            if node.get().pure {
                same[at] = *first.entry(tokens[at]).or_insert(at as u32);
            }
        }
        for n in self.inputs.iter_mut().chain(&mut self.outputs) {
            *n = same[*n as usize];
        }
        Ok(())
    }

    /// For each node a token: of what it does for a pure one, of itself for another.
    pub fn tokens(&self, py: Python<'_>) -> PyResult<Vec<u128>> {
        let mut tokens: Vec<u128> = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let node = node.bind(py);
            let this = node.get();
            if let Some(key) = this.more.as_ref().and_then(|m| m.key.as_ref()) {
                tokens.push(token(py, key.bind(py).as_any())?);
            } else if this.pure {
                let mut inputs = self.inputs(at as u32).iter().map(|&i| tokens[i as usize]);
                let made = call_token(node, &mut inputs)?;
                tokens.push(made);
            } else {
                let mut bytes = process_nonce(py)?.to_le_bytes().to_vec();
                bytes.extend(this.id.to_le_bytes());
                tokens.push(XxHash3_128::oneshot(&bytes));
            }
        }
        Ok(tokens)
    }
}

/// The token of a call: what is called with what. Nodes stand for the tokens of their own calls.
fn call_token(node: &Bound<'_, Delayed>, inputs: &mut dyn Iterator<Item = u128>) -> PyResult<u128> {
    let py = node.py();
    let this = node.get();
    let mut bytes = vec![this.kind as u8];
    if this.kind == Kind::Value {
        bytes.extend(token(py, this.func.bind(py))?.to_le_bytes());
        return Ok(XxHash3_128::oneshot(&bytes));
    }
    let mut part = |value: &Bound<'_, PyAny>, bytes: &mut Vec<u8>| argument_token(value, inputs, bytes);
    part(this.func.bind(py), &mut bytes)?;
    for value in this.args.bind(py).iter() {
        part(&value, &mut bytes)?;
    }
    if let Some(kwargs) = &this.kwargs {
        for (name, value) in kwargs.bind(py).iter() {
            bytes.extend(token(py, &name)?.to_le_bytes());
            part(&value, &mut bytes)?;
        }
    }
    Ok(XxHash3_128::oneshot(&bytes))
}

fn argument_token(
    value: &Bound<'_, PyAny>,
    inputs: &mut dyn Iterator<Item = u128>,
    bytes: &mut Vec<u8>,
) -> PyResult<()> {
    if value.is_exact_instance_of::<Delayed>() {
        bytes.push(1);
        bytes.extend(inputs.next().unwrap_or_default().to_le_bytes());
        return Ok(());
    }
    let Ok(packed) = value.cast_exact::<Packed>() else {
        bytes.push(3);
        bytes.extend(token(value.py(), value)?.to_le_bytes());
        return Ok(());
    };
    let mut failed = Ok(());
    visit(packed, &mut |part| match part {
        Part::Open(packed) => {
            bytes.extend([2, packed.shape as u8]);
            bytes.extend((packed.items.bind(value.py()).len() as u64).to_le_bytes());
        }
        Part::Node(_) => {
            bytes.push(1);
            bytes.extend(inputs.next().unwrap_or_default().to_le_bytes());
        }
        Part::Other(item) => {
            bytes.push(3);
            match token(value.py(), item) {
                Ok(made) => bytes.extend(made.to_le_bytes()),
                Err(error) => failed = Err(error),
            }
        }
    });
    failed
}

/// Tells this process's impure calls from those of any other.
fn process_nonce(py: Python<'_>) -> PyResult<u64> {
    static NONCE: pyo3::sync::PyOnceLock<u64> = pyo3::sync::PyOnceLock::new();
    let nonce = NONCE.get_or_try_init(py, || -> PyResult<u64> {
        let bytes: Vec<u8> = py.import("os")?.call_method1("urandom", (8,))?.extract()?;
        Ok(bytes.iter().fold(0, |word, &b| word << 8 | u64::from(b)))
    })?;
    Ok(*nonce)
}

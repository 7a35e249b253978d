//! The same graph of other nodes: copies that are computed independently, that wait for something, or that share equal calls.
//!
//! Nodes cannot be changed, so whatever needs a node that is made anew is made anew too. What a node calls and where the user built
//! it stay the same.

use super::collect::Collected;
use super::node::{Delayed, Kind};
use super::pack::{Packed, repack};
use super::place::Place;
use crate::error::InternalError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use twox_hash::XxHash3_128;

/// The first `count` outputs made anew; further outputs are kept as they are.
///
/// With a seed every node is another one, which the node and the seed name; what needs none of these waits for `after`. Without a
/// seed nodes are made anew only where an input has been replaced by an equal one, and keep their keys. With `whole`, what the kept
/// outputs need is kept too, even where something else needs it.
pub fn rebuilt(
    py: Python<'_>,
    nodes: &Collected,
    count: usize,
    seed: Option<&[u8]>,
    after: Option<Py<Delayed>>,
    whole: bool,
) -> PyResult<Vec<Py<Delayed>>> {
    let (outputs, kept_outputs) = nodes
        .outputs
        .split_at_checked(count)
        .ok_or_else(|| InternalError::new_err("there are fewer outputs than are to be made anew"))?;
    let len = nodes.nodes.len();
    let mut kept = vec![false; len];
    kept_outputs.iter().for_each(|&k| kept[k as usize] = true);
    let mut needed = vec![false; len];
    outputs.iter().for_each(|&o| needed[o as usize] = true);
    // Inputs have lower numbers.
    for at in (0..len).rev() {
        for &input in nodes.inputs(at as u32) {
            kept[input as usize] |= whole && kept[at];
        }
    }
    for at in (0..len).rev() {
        if needed[at] && !kept[at] {
            nodes.inputs(at as u32).iter().for_each(|&i| needed[i as usize] = true);
        }
    }
    let tokens = nodes.tokens(py)?;
    let mut made: Vec<Option<Py<Delayed>>> = (0..len).map(|_| None).collect();
    for at in (0..len).filter(|&at| needed[at] && !kept[at]) {
        let old = nodes.nodes[at].bind(py);
        let this = old.get();
        // Arrays have an engine of their own, which computes them before any call.
        if this.kind == Kind::Array {
            continue;
        }
        let inputs = nodes.inputs(at as u32);
        let now: Vec<Py<Delayed>> = inputs
            .iter()
            .map(|&i| made[i as usize].as_ref().unwrap_or(&nodes.nodes[i as usize]).clone_ref(py))
            .collect();
        let is_new = inputs.iter().any(|&i| made[i as usize].is_some());
        let node = match seed {
            Some(seed) => {
                let mut bytes = tokens[at].to_le_bytes().to_vec();
                bytes.extend(seed);
                let token = XxHash3_128::oneshot(&bytes);
                let wait = after.as_ref().filter(|_| !is_new);
                let mut node = renewed(old, &now, wait)?;
                // Copies with the same seed are the same.
                node.pure |= node.kind != Kind::Value;
                set_key(py, &mut node, token);
                node
            }
            None if is_new || others(old, &now) => {
                let mut node = renewed(old, &now, None)?;
                if !this.pure && this.more.as_ref().is_none_or(|m| m.key.is_none()) {
                    set_key(py, &mut node, tokens[at]);
                }
                node
            }
            None => continue,
        };
        made[at] = Some(Py::new(py, node)?);
    }
    Ok(outputs
        .iter()
        .map(|&o| made[o as usize].as_ref().unwrap_or(&nodes.nodes[o as usize]).clone_ref(py))
        .collect())
}

fn set_key(py: Python<'_>, node: &mut Delayed, token: u128) {
    let key = PyString::new(py, &format!("{}-{token:032x}", node.name(py)));
    node.more_mut().key = Some(key.unbind());
}

/// Whether these are other nodes than the inputs that a node has.
fn others(node: &Bound<'_, Delayed>, inputs: &[Py<Delayed>]) -> bool {
    let mut now = inputs.iter();
    let mut differ = false;
    super::collect::inputs_of(node, &mut |input| differ |= now.next().is_none_or(|n| !n.is(input)));
    differ
}

/// The node with other inputs, and with something more to wait for.
fn renewed<'py>(
    old: &Bound<'py, Delayed>,
    inputs: &[Py<Delayed>],
    wait: Option<&Py<Delayed>>,
) -> PyResult<Delayed> {
    let py = old.py();
    let this = old.get();
    let name = this.name(py);
    if this.kind == Kind::Value {
        let value = this.func.bind(py);
        let mut node = match wait {
            None => Delayed::value(value),
            Some(wait) => {
                let identity = py.import("pantile._delayed")?.getattr("identity")?;
                let mut node = Delayed::value(&identity);
                node.kind = Kind::Call;
                node.args = PyTuple::new(py, [value])?.unbind();
                node.has_inputs = true;
                node.local = true;
                node.more_mut().after = Some(wait.clone_ref(py));
                node.more_mut().name = Some(PyString::new(py, &name).unbind());
                node
            }
        };
        node.place = this.place.clone();
        node.pure = this.pure;
        node.calls_pure = this.calls_pure;
        copy_more(py, this, &mut node);
        return Ok(node);
    }
    let mut next = inputs.iter();
    let mut input = || -> PyResult<Bound<'py, PyAny>> {
        let node = next.next().ok_or_else(|| InternalError::new_err("a node has too few inputs"))?;
        Ok(node.bind(py).clone().into_any())
    };
    let mut fill = |value: Bound<'py, PyAny>| -> PyResult<Bound<'py, PyAny>> {
        if value.is_exact_instance_of::<Delayed>() {
            return input();
        }
        match value.cast_exact::<Packed>() {
            Ok(packed) => repack(packed, &mut input),
            Err(_) => Ok(value),
        }
    };
    let mut node = Delayed::value(&fill(this.func.bind(py).clone())?);
    let args = this.args.bind(py).iter().map(&mut fill).collect::<PyResult<Vec<_>>>()?;
    node.args = PyTuple::new(py, args)?.unbind();
    if let Some(kwargs) = &this.kwargs {
        let own = PyDict::new(py);
        for (name, value) in kwargs.bind(py).iter() {
            own.set_item(name, fill(value)?)?;
        }
        node.kwargs = Some(own.unbind());
    }
    node.kind = this.kind;
    node.place = this.place.clone();
    node.pure = this.pure;
    node.has_inputs = this.has_inputs || wait.is_some();
    node.local = this.local;
    copy_more(py, this, &mut node);
    if this.more.as_ref().is_some_and(|m| m.after.is_some()) {
        let after = input()?;
        node.more_mut().after = Some(after.cast_into::<Delayed>()?.unbind());
    }
    if let Some(wait) = wait {
        let before = node.more_mut().after.take();
        node.more_mut().after = Some(match before {
            None => wait.clone_ref(py),
            // One place to wait for two.
            Some(before) => {
                let both = py.import("pantile.graph_manipulation")?.getattr("_done")?;
                let args = PyTuple::new(py, [before.bind(py), wait.bind(py)])?;
                let mut both = Delayed::call(&both, args, None)?;
                both.local = true;
                both.place = Place::NOWHERE;
                Py::new(py, both)?
            }
        });
        // Called, an attribute becomes a method of its object, which would not wait.
        if node.kind == Kind::Attribute {
            node.kind = Kind::Call;
            node.more_mut().name = Some(PyString::new(py, &name).unbind());
        }
    }
    Ok(node)
}

/// What few nodes have, but for what they wait for.
fn copy_more(py: Python<'_>, from: &Delayed, to: &mut Delayed) {
    let Some(more) = &from.more else { return };
    let own = to.more_mut();
    own.key = more.key.as_ref().map(|k| k.clone_ref(py));
    if let Some(name) = &more.name {
        own.name = Some(name.clone_ref(py));
    }
    own.nout = more.nout;
    own.prints = more.prints.clone();
    own.annotations = more.annotations.as_ref().map(|a| a.clone_ref(py));
}

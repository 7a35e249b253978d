//! Kernels: a program, a way to use its results and a layout class, compiled to one function.
//!
//! Reading order: `layout` (how a call's axes are sorted and merged into two loops), `build` (the IR of the two loops),
//! `cache` (compiled once, interpreted while too small to be worth it), and below: how a block's operands become calls.

pub mod build;
pub mod cache;
pub mod layout;

use crate::block::Block;
use crate::error::{ArrayError, Result};
use crate::program::Program;
use crate::reduce::Reducer;
use layout::{Axis, Plan};
use pantile_types::{Scalar, ScalarType};
use smallvec::SmallVec;
use std::sync::Arc;

/// What becomes of the program's outputs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// They are stored.
    Store,
    /// The first is folded into a state; the second, if there is one, says whether it counts.
    Reduce(Reducer),
}

/// A coordinate as a kernel sees it: a value that grows by a step along each axis.
#[derive(Clone, Debug)]
pub struct Coordinate {
    /// The value at the box' first position.
    pub base: i64,
    /// How much it grows along each axis.
    pub steps: SmallVec<[i64; 4]>,
}

/// Everything that one run of a kernel works on. All blocks have the same axes.
pub struct Call<'a> {
    /// What is computed.
    pub program: &'a Arc<Program>,
    /// What becomes of it.
    pub mode: Mode,
    /// The lengths of the axes.
    pub shape: &'a [usize],
    /// Which axes are reduced; all false for `Store`.
    pub reduced: &'a [bool],
    /// One block a leaf, of this shape (broadcast axes have stride zero).
    pub leaves: &'a [Block],
    /// One a coordinate of the program, then the position for reducers that need one.
    pub coords: &'a [Coordinate],
    /// The program's constants.
    pub consts: &'a [Scalar],
    /// The outputs, or the states (with stride zero along reduced axes).
    pub outputs: &'a [Block],
}

/// Runs a kernel over a block. The outputs must not be shared with anybody who reads them meanwhile.
pub fn run(call: &Call<'_>) -> Result<()> {
    if call.shape.contains(&0) {
        return Ok(());
    }
    let memory: SmallVec<[&Block; 6]> = call.leaves.iter().chain(call.outputs).collect();
    let mut strides: SmallVec<[SmallVec<[isize; 4]>; 6]> =
        memory.iter().map(|b| b.strides().iter().copied().collect()).collect();
    strides.extend(
        call.coords.iter().map(|c| c.steps.iter().map(|&s| s as isize).collect::<SmallVec<[isize; 4]>>()),
    );
    let sizes: SmallVec<[usize; 6]> = memory.iter().map(|b| b.dtype().size()).collect();
    let mut axes: SmallVec<[Axis; 6]> = (0..call.shape.len())
        .map(|k| Axis {
            len: call.shape[k],
            reduced: call.reduced[k],
            strides: strides.iter().map(|s| s[k]).collect(),
        })
        .collect();
    if axes.is_empty() {
        // Only axes tell how many operands there are, coordinates included: a single position is an axis of length one.
        let still = SmallVec::from_elem(0, strides.len());
        axes.push(Axis { len: 1, reduced: matches!(call.mode, Mode::Reduce(_)), strides: still });
    }
    let arg_reduction = matches!(call.mode, Mode::Reduce(r) if r.needs_position());
    let plan = Plan::new(axes, &sizes, call.leaves.len(), matches!(call.mode, Mode::Store), !arg_reduction);
    let key = cache::Key {
        program: call.program.clone(),
        mode: call.mode,
        classes: plan.classes.clone(),
        tiled: plan.tiled,
        inner_reduced: plan.inner_reduced,
    };
    let elements: u64 = call.shape.iter().map(|&n| n as u64).product();
    let kernel = cache::get(key, elements * call.program.steps.len() as u64)?;

    let mut pointers: SmallVec<[usize; 6]> = memory.iter().map(|b| b.ptr() as usize).collect();
    let mut bases: SmallVec<[i64; 2]> = call.coords.iter().map(|c| c.base).collect();
    let mut args: SmallVec<[u64; 40]> = SmallVec::new();
    let mut failed = Ok(());
    plan.for_each_pair(&mut |offsets| {
        for (i, p) in pointers.iter_mut().enumerate() {
            *p = (memory[i].ptr() as usize).wrapping_add_signed(offsets[i]);
        }
        for (i, base) in bases.iter_mut().enumerate() {
            *base = call.coords[i].base + offsets[memory.len() + i] as i64;
        }
        args.clear();
        slots(call, &plan, &pointers, &bases, &mut args);
        // SAFETY: the slots follow the signature that `build` gave the kernel; views reach only elements of their blocks,
        // because `plan` merely renames and merges axes; outputs are written by this call alone (the caller's promise).
        if let Err(trap) = unsafe { kernel.call(&args, &mut []) } {
            failed = Err(ArrayError::bug(format!("a fused kernel trapped: {trap:?}")));
        }
    });
    failed
}

fn slots(call: &Call<'_>, plan: &Plan, pointers: &[usize], bases: &[i64], args: &mut SmallVec<[u64; 40]>) {
    let (n0, n1) = (plan.outer.len as u64, plan.inner.len as u64);
    args.extend([n0, n1]);
    let leaves = call.leaves.len();
    let view = |i: usize, args: &mut SmallVec<[u64; 40]>| {
        args.push(pointers[i] as u64);
        args.extend([n0, n1]);
        args.extend([plan.outer.strides[i] as u64, plan.inner.strides[i] as u64]);
    };
    for i in 0..leaves {
        view(i, args);
    }
    let memory = pointers.len();
    for (i, &base) in bases.iter().enumerate() {
        args.extend([
            base as u64,
            plan.outer.strides[memory + i] as u64,
            plan.inner.strides[memory + i] as u64,
        ]);
    }
    for c in call.consts {
        push_scalar(*c, args);
    }
    for i in leaves..memory {
        view(i, args);
    }
}

fn push_scalar(c: Scalar, args: &mut SmallVec<[u64; 40]>) {
    let bits = c.bits();
    match c.ty() {
        ScalarType::C64 => args.extend([bits as u32 as u64, (bits >> 32) as u32 as u64]),
        ScalarType::C128 => args.extend([bits as u64, (bits >> 64) as u64]),
        _ => args.push(bits as u64),
    }
}

/// Merges states: `into[i] = merge(into[i], from[i])`, elementwise over C-contiguous blocks of one shape.
pub fn merge_states(reducer: Reducer, into: &[Block], from: &[Block]) -> Result<()> {
    let n = into[0].len() as u64;
    let kernel = cache::get_merge(reducer, n)?;
    let mut args: SmallVec<[u64; 24]> = SmallVec::new();
    args.push(n);
    for b in into.iter().chain(from) {
        args.extend([b.ptr() as u64, n, b.dtype().size() as u64]);
    }
    // SAFETY: all blocks are contiguous with `n` elements; `into` is owned by the caller alone.
    unsafe { kernel.call(&args, &mut []) }
        .map_err(|t| ArrayError::bug(format!("merging states trapped: {t:?}")))
}

/// The results of states: `out[i] = finish(state[i])`, elementwise over C-contiguous blocks of one shape.
pub fn finish_states(reducer: Reducer, states: &[Block], out: &Block) -> Result<()> {
    let n = out.len() as u64;
    let kernel = cache::get_finish(reducer, n)?;
    let mut args: SmallVec<[u64; 24]> = SmallVec::new();
    args.push(n);
    for b in states.iter().chain(std::iter::once(out)) {
        args.extend([b.ptr() as u64, n, b.dtype().size() as u64]);
    }
    // SAFETY: all blocks are contiguous with `n` elements; `out` is owned by the caller alone.
    unsafe { kernel.call(&args, &mut []) }
        .map_err(|t| ArrayError::bug(format!("finishing states trapped: {t:?}")))
}

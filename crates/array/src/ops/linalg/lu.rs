//! LU with partial pivoting, by panels: blocks of columns that hold all rows.
//!
//! Task `(k, k)` factorises panel `k` below its diagonal; task `(k, j)` brings panel `j` right of it up to date: rows
//! exchanged, the upper part divided, the lower part updated, in place. Rows are exchanged only from panel `k` on, never in the
//! finished panels left of it, so a system is solved with the same steps: exchange, divide, update, panel by panel.
//!
//! A whole panel in one task makes pivoting what it is in LAPACK, at the price that a panel must fit one task.

use super::blocks::{
    Num, cols, in_block, kernel_error, mat, mat_mut, matrix, positions, read_positions, rows, with_num,
    writable,
};
use super::nodes::{chunk, next, opaque};
use super::{Limits, Matrix, count, too_large};
use crate::block::Block;
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::Expr;
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::{Mat, MatMut, MatRef, Par, Trans, gemm, lu, solve_triangular};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// Exchanges rows: row `i` becomes what row `perm[i]` was. Few rows move, and only those are copied.
fn permute<T: Num>(a: &mut MatMut<'_, T>, perm: &[i64]) {
    let moved: Vec<(usize, usize)> =
        perm.iter().enumerate().map(|(i, &p)| (i, p as usize)).filter(|(i, p)| i != p).collect();
    let width = a.ncols();
    let mut copy = Mat::<T>::zeros(moved.len(), width);
    for (k, &(_, from)) in moved.iter().enumerate() {
        copy.as_mut().sub(k, 0, 1, width).copy_from(a.rb().sub(from, 0, 1, width));
    }
    for (k, &(to, _)) in moved.iter().enumerate() {
        a.rb_mut().sub(to, 0, 1, width).copy_from(copy.as_ref().sub(k, 0, 1, width));
    }
}

/// A factorised panel: its block, where its diagonal begins, and the exchanges from there on.
pub(super) struct Panel<'a> {
    pub block: Block,
    pub start: usize,
    perm: &'a [i64],
}

impl<'a> Panel<'a> {
    /// From a task's value.
    pub fn new<T: Num>(value: &'a Value, start: u64) -> Result<Panel<'a>> {
        let parts = value.parts()?;
        Ok(Panel {
            block: matrix::<T>(parts[0].clone())?,
            start: start as usize,
            perm: read_positions(&parts[1])?,
        })
    }
    /// The tile on the diagonal: L below its diagonal, U on and above it.
    pub fn diagonal(&self) -> Block {
        rows(&self.block, self.start, self.block.shape()[1])
    }
    /// Whether the number of exchanges is odd.
    pub fn is_odd(&self) -> bool {
        let mut seen = vec![false; self.perm.len()];
        let mut odd = false;
        for first in 0..self.perm.len() {
            let (mut i, mut length) = (first, 0);
            while !seen[i] {
                seen[i] = true;
                i = self.perm[i] as usize;
                length += 1;
            }
            // A cycle of even length is an odd permutation.
            odd ^= length > 0 && length % 2 == 0;
        }
        odd
    }
    /// The step of elimination on other columns: exchange, divide, update.
    pub fn eliminate<T: Num>(&self, state: MatMut<'_, T>) -> Result<()> {
        let (_, mut active) = state.split_at_row(self.start);
        permute(&mut active, self.perm);
        let width = self.block.shape()[1];
        let below = self.block.shape()[0] - self.start - width;
        let (mut top, rest) = active.split_at_row(width);
        let diagonal = self.diagonal();
        let x = solve_triangular(mat::<T>(&diagonal), top.rb(), true, Trans::No, true, Par::Seq)
            .map_err(kernel_error)?;
        top.copy_from(x.as_ref());
        let l = rows(&self.block, self.start + width, below);
        gemm(rest, true, -T::ONE, mat(&l), x.as_ref(), Par::Seq).map_err(kernel_error)
    }
    /// The step of back substitution: divide by the diagonal tile of U, update the rows above.
    pub fn substitute<T: Num>(&self, state: MatMut<'_, T>, k: u32) -> Result<()> {
        let width = self.block.shape()[1];
        let (above, active) = state.split_at_row(self.start);
        let (mut top, _) = active.split_at_row(width);
        let diagonal = self.diagonal();
        let x = solve_triangular(mat::<T>(&diagonal), top.rb(), false, Trans::No, false, Par::Seq).map_err(
            |e| {
                let e = match e {
                    pantile_linalg::Error::Singular { op, index } => {
                        pantile_linalg::Error::Singular { op, index: self.start + index }
                    }
                    other => other,
                };
                in_block(e, k, k)
            },
        )?;
        top.copy_from(x.as_ref());
        let u = rows(&self.block, 0, self.start);
        gemm(above, true, -T::ONE, mat(&u), x.as_ref(), Par::Seq).map_err(kernel_error)
    }
}

struct Panels {
    dtype: DType,
    size: u64,
    cuts: AxisChunks,
    par: Par,
}

impl Panels {
    fn run_as<T: Num>(&self, k: u32, j: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let start = self.cuts.start(k as usize);
        let mut given = inputs.drain(..);
        if k < j {
            let factor = next(&mut given)?;
            let mut state = writable::<T>(next(&mut given)?)?;
            Panel::new::<T>(&factor, start)?.eliminate::<T>(mat_mut(&mut state))?;
            return Ok(Value::Block(state));
        }
        let mut panel = writable::<T>(next(&mut given)?)?;
        let active = rows(&panel, start as usize, (self.size - start) as usize);
        let factors = lu(mat::<T>(&active), self.par);
        drop(active);
        let (_, mut active) = mat_mut::<T>(&mut panel).split_at_row(start as usize);
        active.copy_from(factors.lu.as_ref());
        let perm: Vec<i64> = factors.perm.iter().map(|&p| p as i64).collect();
        Ok(Value::Many(Arc::new(vec![Value::Block(panel), Value::Block(positions(&perm)?)])))
    }
    fn panel_bytes(&self, j: u32) -> u64 {
        self.size * self.cuts.sizes()[j as usize] * self.dtype.size() as u64
    }
}

impl BlockOp for Panels {
    fn name(&self) -> &str {
        "lu-panels"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("lu-panels {:?}", self.par))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.cuts.count() as u32, self.cuts.count() as u32]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (k, j, n) = (at[0], at[1], self.cuts.count() as u32);
        if k < j {
            out.push(Request::Own(k * n + k));
        }
        out.push(if k == 0 { chunk(0, &[0, j]) } else { Request::Own((k - 1) * n + j) });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(at[0], at[1], inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.panel_bytes(at[1]) + if at[0] == at[1] { 8 * self.size } else { 0 }
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        // The factorisation works in a copy by columns and returns one by rows. An update copies the rows that move
        // and the upper part.
        let width = self.cuts.sizes()[at[0] as usize];
        let share = if at[0] == at[1] { 2 * self.size } else { 4 * width };
        share.min(2 * self.size) * self.cuts.sizes()[at[1] as usize] * self.dtype.size() as u64
    }
}

/// A factorised square matrix.
pub(super) struct Lu {
    /// Task `(k, k)` holds panel `k`: `Many[block, exchanges]`.
    pub panels: Expr,
    /// The cuts of the columns into panels.
    pub cuts: AxisChunks,
    /// The number of rows.
    pub size: u64,
}

/// Factorises a square matrix that is not empty.
///
/// # Errors
/// When not even a narrow panel fits one task.
pub(super) fn factorise(op: &'static str, a: &Matrix, limits: &Limits) -> Result<Lu> {
    let (size, dtype) = (a.rows, a.expr.dtype());
    let need = |side: u64| (count(4) * count(size) * count(side.min(size)) * count(dtype.size() as u64)).0;
    let mut side = limits.tile(a.expr.chunks());
    while side > 32 && need(side) > limits.max_dense_bytes {
        side /= 2;
    }
    if need(side) > limits.max_dense_bytes {
        return Err(too_large(
            op,
            size,
            size,
            need(side),
            limits,
            "a block of columns must fit; raise the memory limit",
        ));
    }
    let cuts = AxisChunks::try_uniform(size, side)?;
    let chunks: Chunks = smallvec![AxisChunks::whole(size), cuts.clone()];
    let panels = Panels { dtype, size, cuts: cuts.clone(), par: limits.par() };
    let panels = opaque(Arc::new(panels), vec![a.expr.rechunk(chunks)], dtype)?;
    Ok(Lu { panels, cuts, size })
}

/// The diagonal of U in a panel, its first element negated if the exchanges are odd: their product is the panel's share of
/// the determinant.
pub(super) fn signed_diagonal<T: Num>(value: &Value, start: u64) -> Result<Vec<T>> {
    let panel = Panel::new::<T>(value, start)?;
    let tile = cols(&panel.diagonal(), 0, panel.block.shape()[1]);
    let u: MatRef<'_, T> = mat(&tile);
    let mut diagonal: Vec<T> = (0..u.nrows()).map(|i| u.at(i, i)).collect();
    if let (true, Some(first)) = (panel.is_odd(), diagonal.first_mut()) {
        *first = -*first;
    }
    Ok(diagonal)
}

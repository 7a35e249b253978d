//! What follows from LU: linear systems, inverses, determinants.

use super::blocks::{Num, mat_mut, matrix, real_dtype, vector, with_num, writable};
use super::lu::{Lu, Panel, factorise, signed_diagonal};
use super::nodes::{as_vector, at as place, chunk, collect, eye, next, opaque, pick};
use super::qr::zeros;
use super::{Limits, Matrix, cast, common_dtype, count, right_side, square};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::RealScalar;
use pantile_types::{DType, Scalar};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// A right-hand side on its way through the panels: forwards, then backwards. Task `(s, c)` is step `s` of its block column `c`.
struct Steps {
    dtype: DType,
    size: u64,
    cuts: AxisChunks,
    right: AxisChunks,
}

impl Steps {
    fn panels(&self) -> u32 {
        self.cuts.count() as u32
    }
    fn panel(&self, step: u32) -> u32 {
        if step < self.panels() { step } else { 2 * self.panels() - 1 - step }
    }
    fn area(&self, at: &[u32]) -> u64 {
        (count(self.size) * count(self.right.sizes()[at[1] as usize]) * count(self.dtype.size() as u64)).0
    }
    fn run_as<T: Num>(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let mut given = inputs.drain(..);
        let k = self.panel(at[0]);
        let factor = next(&mut given)?;
        let panel = Panel::new::<T>(&factor, self.cuts.start(k as usize))?;
        let mut state = writable::<T>(next(&mut given)?)?;
        if at[0] < self.panels() {
            panel.eliminate::<T>(mat_mut(&mut state))?;
        } else {
            panel.substitute::<T>(mat_mut(&mut state), k)?;
        }
        Ok(Value::Block(state))
    }
}

impl BlockOp for Steps {
    fn name(&self) -> &str {
        "lu-solve"
    }
    fn identity(&self) -> Option<String> {
        Some("lu-solve".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![2 * self.panels(), self.right.count() as u32]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let (k, width) = (self.panel(at[0]), self.right.count() as u32);
        out.push(chunk(0, &[k, k]));
        out.push(if at[0] == 0 { chunk(1, &[0, at[1]]) } else { Request::Own((at[0] - 1) * width + at[1]) });
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(at, inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.area(at)
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        let width = self.cuts.sizes()[self.panel(at[0]) as usize];
        let rows = count((4 * width).min(2 * self.size));
        (rows * count(self.right.sizes()[at[1] as usize]) * count(self.dtype.size() as u64)).0
    }
}

fn solve_with(lu: &Lu, right: &Expr, name: &'static str) -> Result<Expr> {
    let dtype = lu.panels.dtype();
    let cuts = right.chunks()[1].clone();
    let steps = Steps { dtype, size: lu.size, cuts: lu.cuts.clone(), right: cuts.clone() };
    let last = 2 * steps.panels() - 1;
    let solved = opaque(Arc::new(steps), vec![lu.panels.clone(), right.clone()], dtype)?;
    let chunks: Chunks = smallvec![AxisChunks::whole(lu.size), cuts];
    Ok(collect(name, &solved, chunks, move |at| Some(place(&[last, at[1]]))))
}

/// The solution of `A X = B`, B a vector or a matrix.
///
/// # Errors
/// Unsupported dtypes, not square, shapes that do not fit, unknown chunk lengths. When run: a singular matrix.
pub fn solve(a: &Expr, b: &Expr, limits: &Limits) -> Result<Expr> {
    let dtype = common_dtype(a.dtype(), b.dtype())?;
    let a = square("solve", a)?;
    let b = right_side("solve", b, a.rows, dtype)?;
    let cuts = AxisChunks::try_uniform(b.cols, limits.tile(a.expr.chunks()))?;
    let right = b.expr.rechunk(smallvec![AxisChunks::whole(a.rows), cuts]);
    let x = if a.rows == 0 || b.cols == 0 {
        zeros(dtype, right.chunks().clone())
    } else {
        let a = Matrix { expr: cast(&a.expr, dtype), ..a };
        solve_with(&factorise("solve", &a, limits)?, &right, "solve")?
    };
    Ok(if b.vector { as_vector(&x) } else { x })
}

/// The inverse.
///
/// # Errors
/// Unsupported dtypes, not square, unknown chunk lengths. When run: a singular matrix.
pub fn inv(a: &Expr, limits: &Limits) -> Result<Expr> {
    let a = square("inv", a)?;
    let dtype = a.expr.dtype();
    if a.rows == 0 {
        return Ok(zeros(dtype, a.expr.chunks().clone()));
    }
    let lu = factorise("inv", &a, limits)?;
    let one = eye(dtype, smallvec![AxisChunks::whole(a.rows), lu.cuts.clone()]);
    solve_with(&lu, &one, "inv")
}

/// The panels' shares of the determinant: task `k` takes them from panel `k`, so that no two panels are needed at a time.
struct Diagonals {
    dtype: DType,
    cuts: AxisChunks,
}

impl BlockOp for Diagonals {
    fn name(&self) -> &str {
        "lu-diagonal"
    }
    fn identity(&self) -> Option<String> {
        Some("lu-diagonal".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.cuts.count() as u32]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &[at[0], at[0]]));
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => {
            let value = next(&mut inputs.drain(..))?;
            let diagonal = signed_diagonal::<T>(&value, self.cuts.start(at[0] as usize))?;
            Ok(Value::Block(vector(&diagonal)?.reshape(&[diagonal.len(), 1])?))
        })
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.cuts.sizes()[at[0] as usize] * self.dtype.size() as u64
    }
}

/// `Many[determinant, sign, logarithm of the modulus]`, each without axes.
struct Determinant {
    dtype: DType,
    panels: u32,
}

impl Determinant {
    fn run_as<T: Num>(&self, inputs: &mut Vec<Value>) -> Result<Value>
    where
        T::Re: Num,
    {
        let zero = <T::Re as pantile_linalg::Scalar>::ZERO;
        let (mut sign, mut log) = (T::ONE, zero);
        // The product, as a number of moderate size and a power of two: determinants overflow easily on the way.
        let (mut product, mut exponent) = (T::ONE, 0i64);
        for value in inputs.drain(..) {
            let block = matrix::<T>(value)?;
            let diagonal = super::blocks::mat::<T>(&block);
            for i in 0..diagonal.nrows() {
                let x = diagonal.at(i, 0);
                let size = x.modulus();
                log = log + size.log();
                sign = if size == zero { T::ZERO } else { sign * x.over(size) };
                product = product * x;
                let size = product.modulus();
                if size > zero && size.to_f64().is_finite() {
                    let e = size.exponent();
                    product = product.scale(RealScalar::power_of_two(-e));
                    exponent += i64::from(e);
                }
            }
        }
        // Beyond these the result is infinite or zero anyway. In two halves, since the power alone may overflow.
        let exponent = exponent.clamp(-4000, 4000) as i32;
        for part in split(exponent) {
            product = product.scale(RealScalar::power_of_two(part));
        }
        let scalar = |b: crate::block::Block| Ok::<_, ArrayError>(Value::Block(b.reshape(&[])?));
        Ok(Value::Many(Arc::new(vec![
            scalar(vector(&[product])?)?,
            scalar(vector(&[sign])?)?,
            scalar(vector(&[log])?)?,
        ])))
    }
}

/// An exponent as a sum of small ones.
fn split(mut exponent: i32) -> impl Iterator<Item = i32> {
    std::iter::from_fn(move || {
        let part = exponent.clamp(-100, 100);
        exponent -= part;
        (part != 0).then_some(part)
    })
}

impl BlockOp for Determinant {
    fn name(&self) -> &str {
        "determinant"
    }
    fn identity(&self) -> Option<String> {
        Some("determinant".into())
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![1]
    }
    fn requests(&self, _at: &[u32], out: &mut Vec<Request>) {
        out.extend((0..self.panels).map(|k| chunk(0, &[k])));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(inputs))
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        3 * self.dtype.size() as u64
    }
}

fn determinant(op: &'static str, a: &Expr, limits: &Limits) -> Result<(DType, Option<Expr>)> {
    let a = square(op, a)?;
    let dtype = a.expr.dtype();
    if a.rows == 0 {
        return Ok((dtype, None));
    }
    let lu = factorise(op, &a, limits)?;
    let panels = lu.cuts.count() as u32;
    let diagonals = opaque(Arc::new(Diagonals { dtype, cuts: lu.cuts }), vec![lu.panels], dtype)?;
    Ok((dtype, Some(opaque(Arc::new(Determinant { dtype, panels }), vec![diagonals], dtype)?)))
}

/// An array without axes.
fn constant(dtype: DType, value: i64) -> Result<Expr> {
    let ty = dtype.scalar().ok_or_else(|| ArrayError::bug(format!("linear algebra in {}", dtype.name())))?;
    let scalar = Scalar::from_i64(ty, value);
    Ok(Expr::new(Kind::Fill(scalar), dtype, Chunks::new()))
}

/// The determinant, without axes; one for the empty matrix, zero for a singular one.
///
/// # Errors
/// Unsupported dtypes, not square, unknown chunk lengths.
pub fn det(a: &Expr, limits: &Limits) -> Result<Expr> {
    match determinant("det", a, limits)? {
        (dtype, None) => constant(dtype, 1),
        (dtype, Some(all)) => Ok(pick("det", &all, &[0], Some(0), (dtype, &[]), None)),
    }
}

/// The determinant's sign (a complex number of modulus one, or zero) and the logarithm of its modulus.
///
/// # Errors
/// As `det`.
pub fn slogdet(a: &Expr, limits: &Limits) -> Result<(Expr, Expr)> {
    match determinant("slogdet", a, limits)? {
        (dtype, None) => Ok((constant(dtype, 1)?, constant(real_dtype(dtype), 0)?)),
        (dtype, Some(all)) => Ok((
            pick("slogdet-sign", &all, &[0], Some(1), (dtype, &[]), None),
            pick("slogdet-log", &all, &[0], Some(2), (real_dtype(dtype), &[]), None),
        )),
    }
}

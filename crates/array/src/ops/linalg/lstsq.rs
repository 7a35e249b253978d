//! Least squares: R of the matrix `[A b]` from the tree QR, in which the reflections act on `b` without a Q being
//! formed, and then a dense problem of the size of R.
//!
//! The small problem is solved by singular values, so that rank and the solution of least norm come out as in NumPy.

use super::blocks::{Num, with_num, zeros as zero_block};
use super::blocks::{
    block, cols, kernel_error, mat, mat_mut, matrix, positions, real_dtype, rows, vector, with_adjoint,
};
use super::nodes::{as_vector, chunk, next, opaque, pick};
use super::qr::zeros;
use super::{Limits, cast, common_dtype, count, matrix as checked, right_side, too_large, tsqr};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request};
use crate::value::Value;
use pantile_linalg::{Par, RealScalar, gemm, svd};
use pantile_types::{DType, Scalar, ScalarType};
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// What `lstsq` returns.
pub struct Lstsq {
    /// The solution of least norm, `(n,)` or `(n, p)`.
    pub x: Expr,
    /// The squared residual of each column if `m > n`, else empty. NumPy leaves it empty for a rank-deficient matrix
    /// too, which is not known before the computation.
    pub residuals: Expr,
    /// The rank, an `int64` without axes.
    pub rank: Expr,
    /// The singular values of A.
    pub s: Expr,
}

/// The dense problem `[R11 R12; 0 R22]`: `Many[x, residuals, rank, s]`.
struct Small {
    dtype: DType,
    rows: u64,
    cols: u64,
    right: u64,
    residuals: bool,
    rcond: f64,
    par: Par,
}

impl Small {
    fn run_as<T: Num>(&self, inputs: &mut Vec<Value>) -> Result<Value>
    where
        T::Re: Num,
    {
        let r = matrix::<T>(next(&mut inputs.drain(..))?)?;
        let (n, p, k) = (self.cols as usize, self.right as usize, self.rows.min(self.cols) as usize);
        let right = cols(&r, n, p);
        let f = svd(mat::<T>(&cols(&rows(&r, 0, k), 0, n)), false, self.par).map_err(kernel_error)?;
        let largest = f.s.first().map_or(0.0, |s| s.to_f64());
        let rank = f.s.iter().take_while(|s| s.to_f64() > self.rcond * largest).count();
        // c = Uᴴ R12; x = V (c / s), of which only the first `rank` rows count.
        let mut c = zero_block::<T>(k, p)?;
        let top = rows(&right, 0, k);
        with_adjoint(f.u.as_ref(), |u| gemm(mat_mut(&mut c), false, T::ONE, u, mat(&top), self.par))
            .map_err(kernel_error)?;
        let squared = |x: T| x.modulus() * x.modulus();
        let mut sums = vec![<T::Re as pantile_linalg::Scalar>::ZERO; if self.residuals { p } else { 0 }];
        for (j, sum) in sums.iter_mut().enumerate() {
            let (left_over, below) = (mat::<T>(&c), mat::<T>(&right));
            (rank..k).for_each(|i| *sum = *sum + squared(left_over.at(i, j)));
            (k..below.nrows()).for_each(|i| *sum = *sum + squared(below.at(i, j)));
        }
        let mut m = mat_mut::<T>(&mut c);
        for i in 0..rank {
            for j in 0..p {
                let scaled = m.at(i, j).over(f.s[i]);
                m.set(i, j, scaled);
            }
        }
        let used = rows(&c, 0, rank);
        let mut x = zero_block::<T>(n, p)?;
        with_adjoint(f.vh.as_ref().sub(0, 0, rank, n), |v| {
            gemm(mat_mut(&mut x), false, T::ONE, v, mat(&used), self.par)
        })
        .map_err(kernel_error)?;
        let parts = vec![
            block(mat::<T>(&x))?,
            vector(&sums)?,
            positions(&[rank as i64])?.reshape(&[])?,
            vector(&f.s)?,
        ];
        Ok(Value::Many(Arc::new(parts.into_iter().map(Value::Block).collect())))
    }
}

impl BlockOp for Small {
    fn name(&self) -> &str {
        "lstsq"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("lstsq {} {:e} {:?}", self.cols, self.rcond, self.par))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![1]
    }
    fn requests(&self, _at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &[0, 0]));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.dtype, T => self.run_as::<T>(inputs))
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        let (n, right) = (count(self.cols), count(self.right));
        ((n * right + count(2) * right + n) * count(self.dtype.size() as u64) + count(8)).0
    }
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        let (n, k) = (count(self.cols), count(self.rows.min(self.cols)));
        let elements = count(8) * n * k + count(4) * k * k + (n + k) * count(self.right);
        (elements * count(self.dtype.size() as u64)).0
    }
}

/// The least-squares solution of `A x = b`, of least norm. Singular values up to `rcond` times the largest count as zero
/// (machine precision times the longer side by default).
///
/// # Errors
/// Unsupported dtypes, shapes that do not fit, unknown chunk lengths, a dense step beyond `limits.max_dense_bytes`.
pub fn lstsq(a: &Expr, b: &Expr, rcond: Option<f64>, limits: &Limits) -> Result<Lstsq> {
    let dtype = common_dtype(a.dtype(), b.dtype())?;
    let a = checked("lstsq", a)?;
    let b = right_side("lstsq", b, a.rows, dtype)?;
    let (m, n, p, real) = (a.rows, a.cols, b.cols, real_dtype(dtype));
    let eps = if real == DType::F32 { <f32 as RealScalar>::EPS.to_f64() } else { f64::EPS };
    let rcond = rcond.unwrap_or(eps * m.max(n) as f64);
    let many = if m > n { p } else { 0 };
    let shaped = |x: Expr| if b.vector { as_vector(&x) } else { x };
    let line = |n: u64| -> Chunks { smallvec![AxisChunks::whole(n)] };
    if m == 0 || n + p == 0 {
        return Ok(Lstsq {
            x: shaped(zeros(dtype, smallvec![AxisChunks::whole(n), AxisChunks::whole(p)])),
            residuals: zeros(real, line(many)),
            rank: Expr::new(Kind::Fill(Scalar::from_i64(ScalarType::I64, 0)), DType::I64, Chunks::new()),
            s: zeros(real, line(m.min(n))),
        });
    }
    let small =
        Small { dtype, rows: m.min(n + p), cols: n, right: p, residuals: m > n, rcond, par: limits.par() };
    let stacked = count(small.rows) * (count(n) + count(p)) * count(dtype.size() as u64);
    let need = tsqr::working_bytes(&a.expr.chunks()[0], n.saturating_add(p), dtype)
        .max((stacked + count(small.bytes(&[0])) + count(small.scratch_bytes(&[0]))).0);
    if need > limits.max_dense_bytes {
        return Err(too_large(
            "lstsq",
            m,
            n,
            need,
            limits,
            "raise the memory limit, or solve for fewer right-hand sides",
        ));
    }
    let r = tsqr::tsqr_beside(&cast(&a.expr, dtype), &b.expr, limits)?;
    let all = opaque(Arc::new(small), vec![r], dtype)?;
    Ok(Lstsq {
        x: shaped(pick("lstsq-x", &all, &[0], Some(0), (dtype, &[n, p]), None)),
        residuals: pick("lstsq-residuals", &all, &[0], Some(1), (real, &[many]), None),
        rank: pick("lstsq-rank", &all, &[0], Some(2), (DType::I64, &[]), None),
        s: pick("lstsq-s", &all, &[0], Some(3), (real, &[m.min(n)]), None),
    })
}

//! The singular value decomposition.
//!
//! Tall: a tree QR first, then the dense decomposition of the small R; U is Q times U of R, formed on the tree's way down
//! without forming Q. Wide: the transpose. Nearly square: the whole matrix in one task, which may use several threads.
//! There is no method for a matrix whose smaller side squared does not fit one task: a bidiagonal form tile by tile would be one.
//!
//! Singular values alone have a node of their own, which forms no vectors; if the vectors are computed as well, `share`
//! takes the values from there. The values alone cost most of what everything costs (`pantile_linalg`'s svd says why), so
//! computing both would be the worst choice.

use super::blocks::{Num, block, kernel_error, mat, matrix, real_dtype, vector, with_num};
use super::nodes::{chunk, eye, next, opaque, pick, transpose};
use super::qr::zeros;
use super::{Limits, Matrix, count, matrix as checked, too_large, tsqr};
use crate::chunks::AxisChunks;
use crate::error::Result;
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request, Shared};
use crate::value::Value;
use pantile_linalg::{Par, svd as dense_svd, svdvals as dense_svdvals};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::sync::Arc;

/// How much taller than wide a matrix must be for a QR first.
const TALL: u64 = 2;

/// The dense decomposition of a single block: `Many[U, S, Vh]`, or S alone.
struct Dense {
    dtype: DType,
    rows: u64,
    cols: u64,
    full: bool,
    vectors: bool,
    par: Par,
    shared: Option<Shared>,
}

impl Dense {
    fn inner(&self) -> u64 {
        self.rows.min(self.cols)
    }
    /// Elements of U and Vh together.
    fn vector_elements(&self) -> u64 {
        let (u, v) = if self.full { (self.rows, self.cols) } else { (self.inner(), self.inner()) };
        self.rows.saturating_mul(u).saturating_add(v.saturating_mul(self.cols))
    }
    fn run_as<T: Num>(&self, inputs: &mut Vec<Value>) -> Result<Value>
    where
        T::Re: Num,
    {
        let a = matrix::<T>(next(&mut inputs.drain(..))?)?;
        if !self.vectors {
            let s = dense_svdvals(mat::<T>(&a), self.par).map_err(kernel_error)?;
            return Ok(Value::Block(vector(&s)?));
        }
        let parts = dense_svd(mat::<T>(&a), self.full, self.par).map_err(kernel_error)?;
        let blocks = vec![
            Value::Block(block(parts.u.as_ref())?),
            Value::Block(vector(&parts.s)?),
            Value::Block(block(parts.vh.as_ref())?),
        ];
        Ok(Value::Many(Arc::new(blocks)))
    }
}

impl BlockOp for Dense {
    fn name(&self) -> &str {
        if self.vectors { "svd" } else { "svdvals" }
    }
    fn identity(&self) -> Option<String> {
        Some(format!("{} {} {:?}", self.name(), self.full, self.par))
    }
    fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
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
        let values = self.inner().saturating_mul(real_dtype(self.dtype).size() as u64);
        let vectors = self.vector_elements().saturating_mul(self.dtype.size() as u64);
        if self.vectors { vectors.saturating_add(values) } else { values }
    }
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        // The working copy and its bidiagonal form; with vectors, those twice (in columns, then in rows) and the
        // divide and conquer's square matrices.
        let (mn, kk) = (count(self.rows) * count(self.cols), count(self.inner()) * count(self.inner()));
        let two = count(2);
        let elements =
            if self.vectors { two * (mn + count(self.vector_elements()) + two * kk) } else { two * mn + kk };
        (elements * count(self.dtype.size() as u64)).0
    }
}

/// What `svd` returns.
struct Factors {
    u: Expr,
    s: Expr,
    vh: Expr,
}

/// The dense decomposition of one block. Values computed without the vectors come from `values_of`, which has the singular
/// values of `a`.
fn dense(
    a: &Expr,
    values_of: &Expr,
    (m, n): (u64, u64),
    full: bool,
    limits: &Limits,
) -> Result<(Expr, Factors)> {
    let whole = |e: &Expr| e.rechunk([AxisChunks::whole(m), AxisChunks::whole(n)].into_iter().collect());
    let a = whole(a);
    let (dtype, real, k) = (a.dtype(), real_dtype(a.dtype()), m.min(n));
    let op = |vectors, full, shared| {
        Arc::new(Dense { dtype, rows: m, cols: n, full, vectors, par: limits.par(), shared })
    };
    let all = opaque(op(true, full, None), vec![a], dtype)?;
    let (left, right) = if full { (m, n) } else { (k, k) };
    let u = pick("svd-u", &all, &[0], Some(0), (dtype, &[m, left]), None);
    let vh = pick("svd-vh", &all, &[0], Some(2), (dtype, &[right, n]), None);
    let instead = pick("svd-s", &all, &[0], Some(1), (real, &[k]), None);
    let values = op(false, full, Some(Shared { anchor: all.clone(), instead }));
    let chunks = [AxisChunks::whole(k)].into_iter().collect();
    let s = Expr::new(Kind::Op(values, vec![whole(values_of)]), real, chunks);
    Ok((all, Factors { u, s, vh }))
}

/// The memory that a dense decomposition takes in all.
fn dense_bytes(m: u64, n: u64, full: bool, vectors: bool, dtype: DType) -> u64 {
    let op = Dense { dtype, rows: m, cols: n, full, vectors, par: Par::Seq, shared: None };
    (count(m) * count(n) * count(dtype.size() as u64) + count(op.bytes(&[0])) + count(op.scratch_bytes(&[0])))
        .0
}

fn decompose(a: &Matrix, full: bool, vectors: bool, limits: &Limits) -> Result<Factors> {
    let (m, n, dtype) = (a.rows, a.cols, a.expr.dtype());
    if m < n {
        // The transpose of U S Vh is Vhᵀ S Uᵀ, without conjugates.
        let t = Matrix { expr: transpose(&a.expr), rows: n, cols: m };
        let f = decompose(&t, full, vectors, limits)?;
        return Ok(Factors { u: transpose(&f.vh), s: f.s, vh: transpose(&f.u) });
    }
    if n == 0 {
        let none = AxisChunks::whole(0);
        let rows = a.expr.chunks()[0].clone();
        let u = if full {
            eye(dtype, [rows.clone(), rows].into_iter().collect())
        } else {
            zeros(dtype, [rows, none.clone()].into_iter().collect())
        };
        let s = zeros(real_dtype(dtype), [none.clone()].into_iter().collect());
        return Ok(Factors { u, s, vh: zeros(dtype, [none.clone(), none].into_iter().collect()) });
    }
    let fits = |bytes: u64| bytes <= limits.max_dense_bytes;
    let rows = &a.expr.chunks()[0];
    let square = dense_bytes(n, n, false, vectors, dtype);
    let by_tree = (!full || m == n) && fits(square) && fits(tsqr::working_bytes(rows, n, dtype));
    let whole = dense_bytes(m, n, full, vectors, dtype);
    if by_tree && ((m >= TALL * n && rows.count() > 1) || !fits(whole)) {
        let factors = tsqr::tsqr(&a.expr, limits)?;
        let (_, small) = dense(&factors.r, &factors.r_any_signs, (n, n), false, limits)?;
        return Ok(Factors { u: factors.q(Some(&small.u))?, s: small.s, vh: small.vh });
    }
    if fits(whole) {
        return Ok(dense(&a.expr, &a.expr, (m, n), full, limits)?.1);
    }
    // What each way would need; the tree's tasks count where they are larger than the square that they leave.
    let tree = |vectors| {
        dense_bytes(n, n, false, vectors, dtype)
            .max(tsqr::working_bytes(rows, n, dtype))
            .min(dense_bytes(m, n, false, vectors, dtype))
    };
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let need = if full && m > n { whole } else { tree(vectors) };
    let mut advice = format!("set memory_limit to {} MiB or more", mib(need.saturating_mul(2)));
    if full && m > n {
        advice += &format!(", or take full_matrices=False ({} MiB)", mib(tree(vectors)));
    }
    if vectors {
        advice += &format!(", or ask for the singular values alone ({} MiB)", mib(tree(false)));
    }
    advice += ", or decompose a product with a random thin matrix, which keeps the largest singular values";
    Err(too_large("svd", m, n, need, limits, &advice))
}

/// The singular value decomposition `A = U diag(S) Vh`, singular values descending. Thin by default: U of shape `(m, k)`
/// and Vh of shape `(k, n)` with `k = min(m, n)`; square with `full_matrices`. What is not asked for is not formed.
///
/// # Errors
/// Unsupported dtypes, other than two dimensions, unknown chunk lengths, a matrix whose dense step exceeds
/// `limits.max_dense_bytes`.
pub fn svd(a: &Expr, full_matrices: bool, limits: &Limits) -> Result<(Expr, Expr, Expr)> {
    let f = decompose(&checked("svd", a)?, full_matrices, true, limits)?;
    Ok((f.u, f.s, f.vh))
}

/// The singular values, descending. The same node as the S of the thin `svd` with the same limits, unless that one needs
/// another method to make room for the vectors.
///
/// # Errors
/// As `svd`, but the vectors need no room.
pub fn svdvals(a: &Expr, limits: &Limits) -> Result<Expr> {
    Ok(decompose(&checked("svd", a)?, false, false, limits)?.s)
}

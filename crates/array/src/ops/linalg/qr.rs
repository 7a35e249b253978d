//! QR: which method for which matrix.
//!
//! | matrix | method | tasks for R | and for Q |
//! |---|---|---|---|
//! | columns in one chunk, at least as tall as wide | tree over `b` blocks of rows | b + (b-1)/7 | as many again |
//! | rows in one chunk, wider than tall | leading square first | 1 + blocks of columns | 1 |
//! | cut both ways | square tiles, `m` by `n` of them, `m >= n` | about m n² - n³/3 | as many again |
//!
//! One chunk along an axis is not enough: a task must also be able to hold it. Otherwise tiles are cut.

use super::{Limits, linalg_dtype, matrix, tile_qr, tsqr, wide_qr};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::{Expr, Kind};
use pantile_types::{DType, Scalar};

/// An array of zeros.
pub(super) fn zeros(dtype: DType, chunks: Chunks) -> Expr {
    let zero = Scalar::from_bits(dtype.scalar().expect("the four dtypes of linear algebra are native"), 0);
    Expr::new(Kind::Fill(zero), dtype, chunks)
}

/// The reduced QR factorisation: Q of shape `(m, k)` with orthonormal columns, R of shape `(k, n)` upper trapezoidal, with
/// `k = min(m, n)`. Either is made only if asked for.
///
/// # Errors
/// Unsupported dtypes, other than two dimensions, unknown chunk lengths.
pub fn qr(a: &Expr, limits: &Limits) -> Result<(Expr, Expr)> {
    let a = matrix("qr", a)?;
    let (m, n, dtype) = (a.rows, a.cols, linalg_dtype(a.expr.dtype())?);
    let (rows, cols) = (a.expr.chunks()[0].clone(), a.expr.chunks()[1].clone());
    if m == 0 || n == 0 {
        let none = AxisChunks::whole(0);
        return Ok((
            zeros(dtype, [rows, none.clone()].into_iter().collect()),
            zeros(dtype, [none, cols].into_iter().collect()),
        ));
    }
    let side = limits.tile(a.expr.chunks());
    let fits = |bytes: u64| bytes <= limits.max_dense_bytes;
    // A matrix that is one tile is one task, however it was cut.
    let small = side >= m.max(n);
    if m >= n && (cols.count() == 1 || small) && fits(tsqr::working_bytes(&rows, n, dtype)) {
        let factors = tsqr::tsqr(&a.expr, limits)?;
        return Ok((factors.q(None)?, factors.r));
    }
    if m < n && (rows.count() == 1 || small) && fits(wide_qr::working_bytes(m, cols.longest(), dtype)) {
        return wide_qr::wide_qr(&a.expr, limits);
    }
    tile_qr::tile_qr(&a.expr, side)
}

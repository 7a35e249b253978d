//! Dense products and factorisations on strided two-dimensional blocks, called from tasks.
//!
//! A caller wraps its memory in [`MatRef`] or [`MatMut`] (pointer, shape, strides in elements, either sign) and says
//! with [`Par`] how much of the pool it runs on may help. Results are written to the caller's memory (products) or
//! returned as a row-major [`Mat`] (factorisations). Shapes with a zero are handled as NumPy handles them; singular or
//! non-finite input is an [`Error`], never a panic or an endless loop.
//!
//! Kernels that run under [`stoppable`] can be stopped between two steps.
//!
//! The crate knows nothing of chunks, graphs or Python. It is the only one that names `faer`, and no public item shows
//! it. Methods for arrays that no memory holds are built by the caller from [`qr_r_only`], [`tsqr_merge`] (tall and
//! skinny) and the tile kernels [`geqrt`] and [`tsqrt`] (chunked in both directions).

mod bidiagonal;
mod bridge;
mod cholesky;
mod columns;
mod dispatch;
mod divide;
mod eigh;
mod error;
mod gemm;
mod householder;
mod lu;
mod mat;
mod matmul_int;
mod qr;
mod scalar;
mod secular;
mod stop;
mod svd;
mod tall;
mod team;
mod tile;
mod view;

pub use bridge::Par;
pub use dispatch::{
    Elem, cholesky, det, eigh, eigvalsh, gemm, inv, lu, qr, qr_r_any_signs, qr_r_only, slogdet, solve,
    solve_triangular, svd, svdvals, tsqr_merge, tsqr_merge_r_only,
};
pub use eigh::Triangle;
pub use error::{Error, Family, Result};
pub use householder::Side;
pub use lu::{Lu, Trans};
pub use mat::Mat;
pub use matmul_int::{IntElem, matmul_int};
pub use scalar::{RealScalar, Scalar};
pub use stop::{Question, Stopped, stoppable};
pub use svd::Svd;
pub use tile::{GeReflectors, TsReflectors, apply_geqrt, apply_tsqrt, geqrt, tsqrt};
pub use view::{MatMut, MatRef};

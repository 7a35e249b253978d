//! Small nodes that the factorisations are joined with: opaque grids, picking a part of a factorisation, the identity.

use super::blocks::with_num;
use crate::chunks::{AxisChunks, Chunks, block_bytes, elements};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request, Shared};
use crate::value::Value;
use crate::view::{View, ViewAxis};
use pantile_graph::MAX_TASKS;
use pantile_types::DType;
use smallvec::SmallVec;
use std::sync::Arc;

/// A position in a grid.
pub(super) type At = SmallVec<[u32; 4]>;

/// A position from a list.
pub(super) fn at(position: &[u32]) -> At {
    position.iter().copied().collect()
}

/// A whole block of an input.
pub(super) fn chunk(input: usize, position: &[u32]) -> Request {
    Request::Chunk { input, at: at(position) }
}

/// The next of a task's inputs.
pub(super) fn next(inputs: &mut std::vec::Drain<'_, Value>) -> Result<Value> {
    inputs
        .next()
        .ok_or_else(|| ArrayError::bug("a task of linear algebra got fewer inputs than it asked for"))
}

/// A node whose tasks make opaque values; its grid says how many there are.
///
/// # Errors
/// More tasks than can be numbered.
pub(super) fn opaque(op: Arc<dyn BlockOp>, inputs: Vec<Expr>, dtype: DType) -> Result<Expr> {
    let grid = op.grid();
    let count = elements(grid.iter().map(|&n| u64::from(n)));
    if count > MAX_TASKS {
        return Err(ArrayError::Unsupported(format!(
            "{} over a grid of {grid:?} tiles has {count} tasks, more than a graph can hold; rechunk to larger blocks",
            op.name()
        )));
    }
    let chunks: Chunks = grid.iter().map(|&n| AxisChunks::unknown(n as usize)).collect();
    Ok(Expr::new(Kind::Op(op, inputs), dtype, chunks))
}

/// The transpose of a matrix, as a view.
pub(super) fn transpose(a: &Expr) -> Expr {
    let view = View {
        axes: [
            ViewAxis::Along { input: 1, start: 0, step: 1 },
            ViewAxis::Along { input: 0, start: 0, step: 1 },
        ]
        .into_iter()
        .collect(),
        fixed: SmallVec::from_elem(None, 2),
    };
    let chunks = [a.chunks()[1].clone(), a.chunks()[0].clone()].into_iter().collect();
    a.view(view, chunks)
}

/// A vector as a matrix of one column, as a view.
pub(super) fn as_column(b: &Expr) -> Expr {
    let view = View {
        axes: [ViewAxis::Along { input: 0, start: 0, step: 1 }, ViewAxis::New].into_iter().collect(),
        fixed: SmallVec::from_elem(None, 1),
    };
    b.view(view, [b.chunks()[0].clone(), AxisChunks::whole(1)].into_iter().collect())
}

/// The only column of a matrix as a vector, as a view.
pub(super) fn as_vector(b: &Expr) -> Expr {
    let view = View {
        axes: [ViewAxis::Along { input: 0, start: 0, step: 1 }].into_iter().collect(),
        fixed: [None, Some(0)].into_iter().collect(),
    };
    b.view(view, [b.chunks()[0].clone()].into_iter().collect())
}

/// One part of one task's value, as an array of a single block. `part` is `None` where the value is the block itself.
struct Pick {
    name: &'static str,
    from: At,
    part: Option<usize>,
    ndim: usize,
    bytes: u64,
    shared: Option<Shared>,
}

impl BlockOp for Pick {
    fn name(&self) -> &str {
        self.name
    }
    fn identity(&self) -> Option<String> {
        Some(format!("{} {:?} {:?}", self.name, self.from, self.part))
    }
    fn shared(&self) -> Option<&Shared> {
        self.shared.as_ref()
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        SmallVec::from_elem(1, self.ndim)
    }
    fn requests(&self, _at: &[u32], out: &mut Vec<Request>) {
        out.push(chunk(0, &self.from));
    }
    fn run(&self, _at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let value = next(&mut inputs.drain(..))?;
        match self.part {
            None => Ok(value),
            Some(part) => Ok(value.parts()?[part].clone()),
        }
    }
    fn bytes(&self, _at: &[u32]) -> u64 {
        self.bytes
    }
}

/// The array that is one part of one task's value.
pub(super) fn pick(
    name: &'static str,
    input: &Expr,
    from: &[u32],
    part: Option<usize>,
    (dtype, shape): (DType, &[u64]),
    shared: Option<Shared>,
) -> Expr {
    let bytes = elements(shape.iter().copied()).saturating_mul(dtype.size() as u64);
    let op = Pick { name, from: at(from), part, ndim: shape.len(), bytes, shared };
    let chunks = shape.iter().map(|&n| AxisChunks::whole(n)).collect();
    Expr::new(Kind::Op(Arc::new(op), vec![input.clone()]), dtype, chunks)
}

/// The identity matrix in these chunks.
struct Eye {
    dtype: DType,
    chunks: Chunks,
}

impl BlockOp for Eye {
    fn name(&self) -> &str {
        "identity"
    }
    fn identity(&self) -> Option<String> {
        Some(format!("identity {} {:?}", self.dtype.name(), self.chunks))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, _at: &[u32], _out: &mut Vec<Request>) {}
    fn run(&self, at: &[u32], _inputs: &mut Vec<Value>) -> Result<Value> {
        let place = |axis: usize| {
            let i = at[axis] as usize;
            (self.chunks[axis].start(i) as usize, self.chunks[axis].sizes()[i] as usize)
        };
        let ((row, rows), (col, cols)) = (place(0), place(1));
        with_num!(self.dtype, T => {
            let mut out = super::blocks::zeros::<T>(rows, cols)?;
            let mut m = super::blocks::mat_mut::<T>(&mut out);
            for i in row.max(col)..(row + rows).min(col + cols) {
                m.set(i - row, i - col, <T as pantile_linalg::Scalar>::ONE);
            }
            Ok(Value::Block(out))
        })
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.chunks, at, self.dtype)
    }
}

/// The identity matrix in these chunks.
pub(super) fn eye(dtype: DType, chunks: Chunks) -> Expr {
    Expr::new(Kind::Op(Arc::new(Eye { dtype, chunks: chunks.clone() }), Vec::new()), dtype, chunks)
}

/// Blocks of an output taken from tasks of an input; zeros where there is none.
struct Collect<F> {
    name: &'static str,
    dtype: DType,
    chunks: Chunks,
    from: F,
}

impl<F: Fn(&[u32]) -> Option<At> + Send + Sync> Collect<F> {
    fn sides(&self, at: &[u32]) -> (usize, usize) {
        let side = |axis: usize| self.chunks[axis].sizes()[at[axis] as usize] as usize;
        (side(0), side(1))
    }
}

impl<F: Fn(&[u32]) -> Option<At> + Send + Sync> BlockOp for Collect<F> {
    fn name(&self) -> &str {
        self.name
    }
    fn identity(&self) -> Option<String> {
        // Which task serves which block follows from the name and the input's grid.
        Some(format!("collect {}", self.name))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        self.chunks.iter().map(|c| c.count() as u32).collect()
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        out.extend((self.from)(at).map(|from| Request::Chunk { input: 0, at: from }));
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let (rows, cols) = self.sides(at);
        match inputs.pop() {
            Some(value) => Ok(value),
            None => with_num!(self.dtype, T => Ok(Value::Block(super::blocks::zeros::<T>(rows, cols)?))),
        }
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        block_bytes(&self.chunks, at, self.dtype)
    }
}

/// The matrix whose blocks are the values of these tasks of an opaque node. The name must say which.
pub(super) fn collect(
    name: &'static str,
    input: &Expr,
    chunks: Chunks,
    from: impl Fn(&[u32]) -> Option<At> + Send + Sync + 'static,
) -> Expr {
    let dtype = input.dtype();
    let op = Collect { name, dtype, chunks: chunks.clone(), from };
    Expr::new(Kind::Op(Arc::new(op), vec![input.clone()]), dtype, chunks)
}

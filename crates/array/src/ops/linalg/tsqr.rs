//! QR of a tall and skinny matrix (all columns in one chunk): a tree.
//!
//! Each block of rows is factorised alone; the triangles are stacked, a few at a time, and factorised again, until one is
//! left: R. On the way down, Q is a product: the root starts from the identity (or any small matrix: U of R for an SVD), each
//! merge hands every child its rows, and a leaf's rows times the leaf's own reflections are a block of Q. Q is never formed
//! before that, so nothing is multiplied that reflections can do.
//!
//! Three variants of the way up: with reflections kept, for whoever wants Q; without, at less memory traffic, for R
//! alone, with the same bits in R; and the fastest, whose R has rows of either sign, for singular values and least squares,
//! which do not depend on them. The third must not meet a Q, or vectors of R, from another variant.

use super::blocks::{Num, block, identity, kernel_error, mat, mat_mut, matrix, rows, with_num, zeros};
use super::nodes::{chunk, next, opaque, pick};
use super::{Limits, count};
use crate::block::Block;
use crate::chunks::{AxisChunks, Chunks};
use crate::error::Result;
use crate::expr::{Expr, Kind};
use crate::op::{BlockOp, Request, Shared};
use crate::value::Value;
use pantile_linalg::{Par, Side, apply_geqrt, geqrt, qr_r_any_signs, qr_r_only};
use pantile_types::DType;
use smallvec::{SmallVec, smallvec};
use std::ops::Range;
use std::sync::Arc;

/// The shape of the tree: leaves first, then each level of merges, the root last.
#[derive(Debug)]
struct Tree {
    dtype: DType,
    cols: u64,
    /// First node and number of nodes of each level.
    levels: Vec<(u32, u32)>,
    fan_in: u32,
    /// Rows that go into the factorisation of each node.
    rows_in: Vec<u64>,
    par: Par,
}

impl Tree {
    fn new(dtype: DType, blocks: &[u64], cols: u64, fan_in: u32, par: Par) -> Tree {
        let mut tree = Tree {
            dtype,
            cols,
            levels: vec![(0, blocks.len() as u32)],
            fan_in,
            rows_in: blocks.to_vec(),
            par: if blocks.len() == 1 { par } else { Par::Seq },
        };
        while let Some(&(first, count)) = tree.levels.last().filter(|l| l.1 > 1) {
            tree.levels.push((first + count, count.div_ceil(fan_in)));
            for parent in first + count..first + count + count.div_ceil(fan_in) {
                let stacked = tree.children(parent).map(|c| tree.rows_out(c)).sum();
                tree.rows_in.push(stacked);
            }
        }
        tree
    }
    fn leaves(&self) -> u32 {
        self.levels[0].1
    }
    fn len(&self) -> u32 {
        self.rows_in.len() as u32
    }
    fn root(&self) -> u32 {
        self.len() - 1
    }
    fn level(&self, node: u32) -> usize {
        self.levels.partition_point(|l| l.0 <= node) - 1
    }
    fn children(&self, node: u32) -> Range<u32> {
        let level = self.level(node);
        if level == 0 {
            return 0..0;
        }
        let (first, count) = self.levels[level - 1];
        let from = (node - self.levels[level].0) * self.fan_in;
        first + from..first + (from + self.fan_in).min(count)
    }
    /// The parent, and where the node's rows begin among those of its siblings.
    fn parent(&self, node: u32) -> Option<(u32, u64)> {
        let level = self.level(node);
        let &(above, _) = self.levels.get(level + 1)?;
        let parent = above + (node - self.levels[level].0) / self.fan_in;
        let before = (self.children(parent).start..node).map(|n| self.rows_out(n)).sum();
        Some((parent, before))
    }
    /// Rows of the triangle that a node makes.
    fn rows_out(&self, node: u32) -> u64 {
        self.rows_in[node as usize].min(self.cols)
    }
    fn bytes(&self, rows: u64, cols: u64) -> u64 {
        rows * cols * self.dtype.size() as u64
    }
    fn describe(&self) -> String {
        format!("{} {} {:?}", self.fan_in, self.cols, self.par)
    }
}

/// What the way up makes of each node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// R and the reflections.
    Reflections,
    /// The same R alone.
    R,
    /// R with rows of either sign.
    RAnySigns,
}

/// The way up.
struct Up {
    tree: Arc<Tree>,
    made: Made,
    /// Columns of a second matrix that stands right of the first in each leaf; part of `tree.cols`.
    beside: u64,
}

impl Up {
    /// What a node factorises.
    fn gather<T: Num>(&self, node: u32, inputs: &mut Vec<Value>) -> Result<Block> {
        let mut given = inputs.drain(..);
        if node < self.tree.leaves() {
            let a = matrix::<T>(next(&mut given)?)?;
            if self.beside == 0 {
                return Ok(a);
            }
            let b = matrix::<T>(next(&mut given)?)?;
            let (left, right) = (a.shape()[1], b.shape()[1]);
            let mut both = Block::alloc(T::DTYPE, &[a.shape()[0], left + right])?;
            let mut m = mat_mut::<T>(&mut both);
            m.rb_mut().sub(0, 0, a.shape()[0], left).copy_from(mat(&a));
            m.rb_mut().sub(0, left, a.shape()[0], right).copy_from(mat(&b));
            return Ok(both);
        }
        let mut all =
            Block::alloc(T::DTYPE, &[self.tree.rows_in[node as usize] as usize, self.tree.cols as usize])?;
        let mut row = 0;
        for child in given {
            let r = match child {
                Value::Many(parts) => matrix::<T>(parts[0].clone())?,
                other => matrix::<T>(other)?,
            };
            let (n, cols) = (r.shape()[0], r.shape()[1]);
            mat_mut::<T>(&mut all).sub(row, 0, n, cols).copy_from(mat(&r));
            row += n;
        }
        Ok(all)
    }

    fn factor<T: Num>(&self, node: u32, inputs: &mut Vec<Value>) -> Result<Value> {
        let a = self.gather::<T>(node, inputs)?;
        let (a, par) = (mat::<T>(&a), self.tree.par);
        let (r, reflections) = match self.made {
            Made::Reflections => geqrt(a, par),
            Made::R => return Ok(Value::Block(block(qr_r_only(a, par).as_ref())?)),
            Made::RAnySigns => return Ok(Value::Block(block(qr_r_any_signs(a, par).as_ref())?)),
        };
        let (v, t) = reflections.into_parts();
        let parts =
            [r, v, t].iter().map(|m| block(m.as_ref()).map(Value::Block)).collect::<Result<Vec<_>>>()?;
        Ok(Value::Many(Arc::new(parts)))
    }
}

impl BlockOp for Up {
    fn name(&self) -> &str {
        match self.made {
            Made::Reflections => "qr-tree",
            Made::R => "qr-tree-r",
            Made::RAnySigns => "qr-tree-r-any-signs",
        }
    }
    fn identity(&self) -> Option<String> {
        Some(format!("{} {} {}", self.name(), self.tree.describe(), self.beside))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        smallvec![self.tree.len()]
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        if at[0] < self.tree.leaves() {
            out.push(chunk(0, &[at[0], 0]));
            if self.beside > 0 {
                out.push(chunk(1, &[at[0], 0]));
            }
        }
        out.extend(self.tree.children(at[0]).map(Request::Own));
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        with_num!(self.tree.dtype, T => self.factor::<T>(at[0], inputs))
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        let (m, n) = (self.tree.rows_in[at[0] as usize], self.tree.cols);
        let r = self.tree.bytes(m.min(n), n);
        if self.made == Made::Reflections { r + self.tree.bytes(m + 64, m.min(n)) } else { r }
    }
    fn scratch_bytes(&self, at: &[u32]) -> u64 {
        // A working copy, the reflections, and what is stacked or put side by side first.
        let (m, n) = (self.tree.rows_in[at[0] as usize], self.tree.cols);
        let gathered = if at[0] >= self.tree.leaves() || self.beside > 0 { self.tree.bytes(m, n) } else { 0 };
        gathered + 2 * self.tree.bytes(m, n) + self.tree.bytes(m.min(n), n)
    }
}

/// The reflections of a node times the rows that come from above, over zeros.
fn descend<T: Num>(factor: &Value, from_above: Option<Block>, tree: &Tree, node: u32) -> Result<Block> {
    let parts = factor.parts()?;
    let (v, t) = (matrix::<T>(parts[1].clone())?, matrix::<T>(parts[2].clone())?);
    let (m, k) = (tree.rows_in[node as usize] as usize, tree.rows_out(tree.root()) as usize);
    let mut out = match from_above {
        None => identity::<T>(m, k)?,
        Some(top) => {
            let mut out = zeros::<T>(m, k)?;
            mat_mut::<T>(&mut out).sub(0, 0, top.shape()[0], k).copy_from(mat(&top));
            out
        }
    };
    apply_geqrt(mat(&v), mat(&t), Side::Q, mat_mut::<T>(&mut out), tree.par).map_err(kernel_error)?;
    Ok(out)
}

/// The way down through the merges (`leaves` false: task `i` is the `i`-th merge) or at the leaves, which are blocks of Q.
///
/// Inputs: the way up; at the leaves, the way down through the merges if there is one; what the root starts from,
/// unless it is the identity.
struct Down {
    tree: Arc<Tree>,
    leaves: bool,
    from_root: bool,
}

impl Down {
    fn node(&self, at: &[u32]) -> u32 {
        if self.leaves { at[0] } else { self.tree.leaves() + at[0] }
    }
}

impl BlockOp for Down {
    fn name(&self) -> &str {
        if self.leaves { "qr-tree-q" } else { "qr-tree-down" }
    }
    fn identity(&self) -> Option<String> {
        Some(format!("{} {}", self.name(), self.tree.describe()))
    }
    fn grid(&self) -> SmallVec<[u32; 4]> {
        if self.leaves {
            smallvec![self.tree.leaves(), 1]
        } else {
            smallvec![self.tree.len() - self.tree.leaves()]
        }
    }
    fn requests(&self, at: &[u32], out: &mut Vec<Request>) {
        let node = self.node(at);
        out.push(chunk(0, &[node]));
        match self.tree.parent(node) {
            Some((parent, _)) if self.leaves => out.push(chunk(1, &[parent - self.tree.leaves()])),
            Some((parent, _)) => out.push(Request::Own(parent - self.tree.leaves())),
            None if self.from_root => out.push(chunk(1, &[0, 0])),
            None => {}
        }
    }
    fn run(&self, at: &[u32], inputs: &mut Vec<Value>) -> Result<Value> {
        let node = self.node(at);
        with_num!(self.tree.dtype, T => {
            let mut given = inputs.drain(..);
            let factor = next(&mut given)?;
            let from_above = match self.tree.parent(node) {
                Some((_, start)) => {
                    let all = matrix::<T>(next(&mut given)?)?;
                    Some(rows(&all, start as usize, self.tree.rows_out(node) as usize))
                }
                None if self.from_root => Some(matrix::<T>(next(&mut given)?)?),
                None => None,
            };
            Ok(Value::Block(descend::<T>(&factor, from_above, &self.tree, node)?))
        })
    }
    fn bytes(&self, at: &[u32]) -> u64 {
        self.tree.bytes(self.tree.rows_in[self.node(at) as usize], self.tree.rows_out(self.tree.root()))
    }
    fn scratch_bytes(&self, _at: &[u32]) -> u64 {
        // The products of one panel of reflections with the block.
        self.tree.bytes(2 * 64, self.tree.rows_out(self.tree.root()))
    }
}

/// A factorised tall matrix.
pub(super) struct Tsqr {
    tree: Arc<Tree>,
    up: Expr,
    rows: AxisChunks,
    /// R, upper trapezoidal, one block.
    pub r: Expr,
    /// R with rows of either sign, which costs less; for whoever uses neither Q nor vectors of R.
    pub r_any_signs: Expr,
}

/// Cuts of the rows that suit the tree: as they are if each has at least as many rows as there are columns, else
/// coarser, since the triangle of a flat block is as large as the block and nothing would be gained by it.
fn row_cuts(rows: &AxisChunks, cols: u64) -> AxisChunks {
    let len = rows.len().unwrap_or(0);
    if rows.count() == 1 || rows.sizes().iter().all(|&n| n >= cols) {
        return rows.clone();
    }
    let size = rows.longest().max(cols.saturating_mul(2));
    if len < size.saturating_add(cols) { AxisChunks::whole(len) } else { AxisChunks::uniform(len, size) }
}

/// The memory that the largest task of the tree needs.
pub(super) fn working_bytes(rows: &AxisChunks, cols: u64, dtype: DType) -> u64 {
    let longest = row_cuts(rows, cols).longest();
    let (longest, cols) = (count(longest), count(cols));
    ((count(4) * longest * cols).max(count(7) * cols * cols) * count(dtype.size() as u64)).0
}

fn fan_in(cols: u64, dtype: DType) -> u32 {
    // Stacked triangles of up to 64 MiB; two at least, and more than eight bring nothing.
    ((64 << 20) / (count(cols) * count(cols) * count(dtype.size() as u64)).0.max(1)).clamp(2, 8) as u32
}

/// Factorises a matrix, with all its columns in one chunk whatever they are now. Neither rows nor columns may be empty.
pub(super) fn tsqr(a: &Expr, limits: &Limits) -> Result<Tsqr> {
    let (rows, cols) =
        (row_cuts(&a.chunks()[0], a.chunks()[1].len().unwrap_or(0)), a.chunks()[1].len().unwrap_or(0));
    let a = a.rechunk([rows.clone(), AxisChunks::whole(cols)].into_iter().collect());
    let dtype = a.dtype();
    let tree = Arc::new(Tree::new(dtype, rows.sizes(), cols, fan_in(cols, dtype), limits.par()));
    let up = opaque(
        Arc::new(Up { tree: tree.clone(), made: Made::Reflections, beside: 0 }),
        vec![a.clone()],
        dtype,
    )?;
    let bare = opaque(Arc::new(Up { tree: tree.clone(), made: Made::R, beside: 0 }), vec![a.clone()], dtype)?;
    let fast = opaque(Arc::new(Up { tree: tree.clone(), made: Made::RAnySigns, beside: 0 }), vec![a], dtype)?;
    let shape = (dtype, &[tree.rows_out(tree.root()), cols][..]);
    let instead = pick("qr-r", &up, &[tree.root()], Some(0), shape, None);
    let shared = Shared { anchor: up.clone(), instead };
    let r = pick("qr-r", &bare, &[tree.root()], None, shape, Some(shared));
    let r_any_signs = pick("qr-r", &fast, &[tree.root()], None, shape, None);
    Ok(Tsqr { tree, up, rows, r, r_any_signs })
}

/// R of the matrix `[a b]`, with rows of either sign and without Q. Both have the same rows; neither is empty.
pub(super) fn tsqr_beside(a: &Expr, b: &Expr, limits: &Limits) -> Result<Expr> {
    let (n, p) = (a.chunks()[1].len().unwrap_or(0), b.chunks()[1].len().unwrap_or(0));
    let (rows, dtype) = (row_cuts(&a.chunks()[0], n + p), a.dtype());
    let cut =
        |e: &Expr, cols| e.rechunk([rows.clone(), AxisChunks::whole(cols)].into_iter().collect::<Chunks>());
    let tree = Arc::new(Tree::new(dtype, rows.sizes(), n + p, fan_in(n + p, dtype), limits.par()));
    let op = Arc::new(Up { tree: tree.clone(), made: Made::RAnySigns, beside: p });
    let up = opaque(op, vec![cut(a, n), cut(b, p)], dtype)?;
    Ok(pick("qr-r", &up, &[tree.root()], None, (dtype, &[tree.rows_out(tree.root()), n + p]), None))
}

impl Tsqr {
    /// Q times a small matrix of as many rows and columns as R has rows; Q itself without one.
    pub fn q(&self, times: Option<&Expr>) -> Result<Expr> {
        let (tree, dtype) = (&self.tree, self.tree.dtype);
        let mut inputs = vec![self.up.clone()];
        let from_root = times.is_some();
        if tree.leaves() > 1 {
            let mut down = vec![self.up.clone()];
            down.extend(times.cloned());
            inputs.push(opaque(
                Arc::new(Down { tree: tree.clone(), leaves: false, from_root }),
                down,
                dtype,
            )?);
        } else {
            inputs.extend(times.cloned());
        }
        let chunks: Chunks =
            [self.rows.clone(), AxisChunks::whole(tree.rows_out(tree.root()))].into_iter().collect();
        let op = Down { tree: tree.clone(), leaves: true, from_root };
        Ok(Expr::new(Kind::Op(Arc::new(op), inputs), dtype, chunks))
    }
}

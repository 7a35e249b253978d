//! Array expressions: an immutable, hash-consed DAG.
//!
//! A node knows its dtype and its cuts; nothing is computed when one is made. Building the same node twice gives the same
//! node, so that common subexpressions are common without a search. There are few kinds: everything in NumPy's
//! vocabulary is a composition of them, made in `ops/`.
//!
//! Broadcasting and dtype conversion are explicit here: the inputs of a `Map` have its shape (through a `View`) and the
//! dtypes that the operation computes in (through a cast). `ops/` sees to that.

use crate::chunks::{AxisChunks, Chunks, block_count, elements, shape_of};
use crate::op::BlockOp;
use crate::program::MapOp;
use crate::reduce::Reducer;
use crate::source::Source;
use crate::view::View;
use pantile_types::{DType, Scalar};
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Weak};

/// What a node computes.
pub enum Kind {
    /// An array from outside.
    Source(Arc<dyn Source>),
    /// One value everywhere.
    Fill(Scalar),
    /// `0, 1, 2, ...` along the single axis, as `int64`.
    Coord,
    /// An elementwise operation on inputs of this node's shape.
    Map(MapOp, SmallVec<[Expr; 3]>),
    /// The same elements at other places.
    View(Expr, View),
    /// The same elements in other chunks.
    Rechunk(Expr),
    /// A reduction along axes.
    Reduce(Reduction),
    /// Anything else that works on blocks.
    Op(Arc<dyn BlockOp>, Vec<Expr>),
}

/// A reduction: of what, how, along which axes.
pub struct Reduction {
    /// How values are accumulated.
    pub reducer: Reducer,
    /// The values, of the reducer's input type.
    pub input: Expr,
    /// Which values count (`bool`, the input's shape); all if absent.
    pub mask: Option<Expr>,
    /// Ascending, without repetition.
    pub axes: SmallVec<[usize; 4]>,
    /// Whether reduced axes stay with length one.
    pub keepdims: bool,
    /// Whether reducing no elements is an error that only the run can find: a smallest element along an axis of unknown
    /// length.
    pub nonempty: bool,
}

/// The place in the user's program where a node was built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The function.
    pub function: String,
}

/// A node. See `Kind`.
pub struct Node {
    /// Unique in the process, ascending: inputs have smaller ids than what uses them.
    pub id: u64,
    /// What it computes.
    pub kind: Kind,
    /// The dtype of its elements.
    pub dtype: DType,
    /// How its axes are cut.
    pub chunks: Chunks,
    /// Where the user built it, if known.
    pub origin: Option<Arc<Origin>>,
    hash: u64,
}

/// A reference to a node: an array that has not been computed.
#[derive(Clone)]
pub struct Expr(Arc<Node>);

static NEXT_ID: AtomicU64 = AtomicU64::new(1);
/// The nodes that are alive, by hash.
type Table = FxHashMap<u64, SmallVec<[Weak<Node>; 1]>>;

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Default::default);

thread_local! {
    static ORIGIN: std::cell::RefCell<Option<Arc<Origin>>> = const { std::cell::RefCell::new(None) };
}

/// Nodes built on this thread from now on carry this origin.
pub fn set_origin(origin: Option<Arc<Origin>>) {
    ORIGIN.with(|o| *o.borrow_mut() = origin);
}

impl Expr {
    /// The node of this kind: a new one, or the one that exists already.
    pub fn new(kind: Kind, dtype: DType, chunks: Chunks) -> Expr {
        let hash = hash_of(&kind, dtype, &chunks);
        let mut table = TABLE.lock();
        let slot = table.entry(hash).or_default();
        // An upgraded candidate that is not ours must outlive the lock: dropping the last reference to a node takes it.
        let mut others: SmallVec<[Arc<Node>; 1]> = SmallVec::new();
        let mut found = None;
        for weak in slot.iter() {
            if let Some(node) = weak.upgrade() {
                if node.dtype == dtype && node.chunks == chunks && same(&node.kind, &kind) {
                    found = Some(Expr(node));
                    break;
                }
                others.push(node);
            }
        }
        if let Some(expr) = found {
            // Nothing may be dropped while the table is locked: the last reference to a node locks it again.
            drop(table);
            return expr;
        }
        let origin = ORIGIN.with(|o| o.borrow().clone());
        let node = Arc::new(Node { id: NEXT_ID.fetch_add(1, Relaxed), kind, dtype, chunks, origin, hash });
        slot.push(Arc::downgrade(&node));
        drop(table);
        Expr(node)
    }

    /// The node.
    pub fn node(&self) -> &Node {
        &self.0
    }

    /// The node's unique number.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// What it computes.
    pub fn kind(&self) -> &Kind {
        &self.0.kind
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// The cuts.
    pub fn chunks(&self) -> &Chunks {
        &self.0.chunks
    }

    /// The number of axes.
    pub fn ndim(&self) -> usize {
        self.0.chunks.len()
    }

    /// Lengths, `None` where unknown.
    pub fn shape(&self) -> SmallVec<[Option<u64>; 4]> {
        shape_of(&self.0.chunks)
    }

    /// Lengths, if all are known.
    pub fn known_shape(&self) -> Option<SmallVec<[u64; 4]>> {
        self.0.chunks.iter().map(AxisChunks::len).collect()
    }

    /// The number of elements, if known.
    pub fn size(&self) -> Option<u64> {
        Some(elements(self.known_shape()?))
    }

    /// The number of blocks.
    pub fn block_count(&self) -> u64 {
        block_count(&self.0.chunks)
    }

    /// The inputs, in order.
    pub fn inputs(&self) -> SmallVec<[&Expr; 3]> {
        match &self.0.kind {
            Kind::Source(_) | Kind::Fill(_) | Kind::Coord => SmallVec::new(),
            Kind::Map(_, inputs) => inputs.iter().collect(),
            Kind::View(input, _) | Kind::Rechunk(input) => [input].into_iter().collect(),
            Kind::Reduce(r) => std::iter::once(&r.input).chain(r.mask.as_ref()).collect(),
            Kind::Op(_, inputs) => inputs.iter().collect(),
        }
    }

    /// The operation's name, for people.
    pub fn label(&self) -> String {
        match &self.0.kind {
            Kind::Source(_) => "source".into(),
            Kind::Fill(_) => "fill".into(),
            Kind::Coord => "arange".into(),
            Kind::Map(op, _) => op.name().into(),
            Kind::View(..) => "view".into(),
            Kind::Rechunk(_) => "rechunk".into(),
            Kind::Reduce(r) => r.reducer.name().into(),
            Kind::Op(op, _) => op.name().into(),
        }
    }

    /// A node that is a view of this one; views of views become one view.
    pub fn view(&self, view: View, chunks: Chunks) -> Expr {
        if view.is_identity() && chunks == *self.chunks() {
            return self.clone();
        }
        if let Kind::View(input, inner) = self.kind() {
            return input.view(view.compose(inner), chunks);
        }
        Expr::new(Kind::View(self.clone(), view), self.dtype(), chunks)
    }

    /// The same array in other chunks; nothing if they are the same.
    pub fn rechunk(&self, chunks: Chunks) -> Expr {
        if chunks == *self.chunks() {
            return self.clone();
        }
        match self.kind() {
            Kind::Rechunk(input) => input.rechunk(chunks),
            // What can be made in any chunks is made in these.
            Kind::Fill(v) => Expr::new(Kind::Fill(*v), self.dtype(), chunks),
            Kind::Coord => Expr::new(Kind::Coord, self.dtype(), chunks),
            _ => Expr::new(Kind::Rechunk(self.clone()), self.dtype(), chunks),
        }
    }
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Expr {}
impl Hash for Expr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.id);
    }
}
impl std::fmt::Debug for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}={}{:?}", self.id(), self.label(), self.shape())
    }
}

fn hash_of(kind: &Kind, dtype: DType, chunks: &Chunks) -> u64 {
    let mut h = FxHasher::default();
    discriminant(kind).hash(&mut h);
    dtype.hash(&mut h);
    chunks.hash(&mut h);
    match kind {
        Kind::Source(s) => Arc::as_ptr(s).cast::<u8>().hash(&mut h),
        Kind::Fill(v) => v.hash(&mut h),
        Kind::Coord => {}
        Kind::Map(op, inputs) => {
            op.hash(&mut h);
            inputs.hash(&mut h);
        }
        Kind::View(input, view) => {
            input.hash(&mut h);
            view.hash(&mut h);
        }
        Kind::Rechunk(input) => input.hash(&mut h),
        Kind::Reduce(r) => {
            r.reducer.hash(&mut h);
            r.input.hash(&mut h);
            r.mask.hash(&mut h);
            r.axes.hash(&mut h);
        }
        Kind::Op(op, inputs) => {
            match op.identity() {
                Some(id) => id.hash(&mut h),
                None => Arc::as_ptr(op).cast::<u8>().hash(&mut h),
            }
            inputs.hash(&mut h);
        }
    }
    h.finish()
}

fn same(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::Source(a), Kind::Source(b)) => std::ptr::addr_eq(Arc::as_ptr(a), Arc::as_ptr(b)),
        (Kind::Fill(a), Kind::Fill(b)) => a == b,
        (Kind::Coord, Kind::Coord) => true,
        (Kind::Map(f, a), Kind::Map(g, b)) => f == g && a == b,
        (Kind::View(a, v), Kind::View(b, w)) => a == b && v == w,
        (Kind::Rechunk(a), Kind::Rechunk(b)) => a == b,
        (Kind::Reduce(a), Kind::Reduce(b)) => {
            a.reducer == b.reducer
                && a.input == b.input
                && a.mask == b.mask
                && a.axes == b.axes
                && a.keepdims == b.keepdims
                && a.nonempty == b.nonempty
        }
        (Kind::Op(f, a), Kind::Op(g, b)) => {
            let same_op = match (f.identity(), g.identity()) {
                (Some(x), Some(y)) => x == y,
                _ => std::ptr::addr_eq(Arc::as_ptr(f), Arc::as_ptr(g)),
            };
            same_op && a == b
        }
        _ => false,
    }
}

impl Drop for Node {
    /// Forgets the node in the table, and takes long chains apart in a loop: dropping them by recursion would overflow
    /// the stack.
    fn drop(&mut self) {
        forget(self.hash);
        let mut stack: Vec<Expr> = Vec::new();
        take_inputs(&mut self.kind, &mut stack);
        while let Some(expr) = stack.pop() {
            if let Some(mut node) = Arc::into_inner(expr.0) {
                take_inputs(&mut node.kind, &mut stack);
            }
        }
    }
}

/// Removes dead entries. An entry whose node is being dropped cannot be upgraded any more.
fn forget(hash: u64) {
    let mut table = TABLE.lock();
    if let Some(slot) = table.get_mut(&hash) {
        slot.retain(|w| w.strong_count() > 0);
        if slot.is_empty() {
            table.remove(&hash);
        }
    }
}

fn take_inputs(kind: &mut Kind, into: &mut Vec<Expr>) {
    match std::mem::replace(kind, Kind::Coord) {
        Kind::Source(_) | Kind::Fill(_) | Kind::Coord => {}
        Kind::Map(_, inputs) => into.extend(inputs),
        Kind::View(input, _) | Kind::Rechunk(input) => into.push(input),
        Kind::Reduce(r) => {
            into.push(r.input);
            into.extend(r.mask);
        }
        Kind::Op(_, inputs) => into.extend(inputs),
    }
}

/// All nodes that `roots` need, each after its inputs.
pub fn topological(roots: &[Expr]) -> Vec<Expr> {
    let mut seen: rustc_hash::FxHashSet<u64> = Default::default();
    let mut order = Vec::new();
    let mut stack: Vec<Expr> = roots.to_vec();
    while let Some(e) = stack.pop() {
        if seen.insert(e.id()) {
            stack.extend(e.inputs().into_iter().cloned());
            order.push(e);
        }
    }
    // Inputs are built before what uses them.
    order.sort_by_key(Expr::id);
    order
}

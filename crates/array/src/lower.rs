//! Lowering: from expressions to layers.
//!
//! Some nodes must be evaluated into blocks of their own: outputs, reductions, operations on blocks and what these take
//! in. The rest is *fused*: evaluated inside the task of whoever needs it. Between a node and whoever evaluates it lie only
//! elementwise operations, views and rechunks, and a chain of views is one view, so a fused group is a program over leaves,
//! each with one view.
//!
//! A fused node that several groups need, or one group at several places, is computed once for each, unless that is
//! dear: then it gets blocks of its own. The same holds for reading files.

use crate::chunks::{Chunks, check_size, elements};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind, topological};
use crate::layers::op::{OpInput, OpLayer};
use crate::layers::reduce::{FoldLayer, MergeLayer, Shape};
use crate::layers::region::{CoordAxis, Region};
use crate::layers::store::{Destination, StoreLayer};
use crate::leaf::{Leaf, Producer};
use crate::plan::{Plan, PlanLayer};
use crate::program::{Program, Step};
use crate::rechunk::stages;
use crate::view::{View, ViewAxis};
use pantile_graph::{LayerId, MAX_TASKS, TaskRef};
use pantile_types::{Scalar, ScalarType};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::cell::Cell;
use std::sync::Arc;

/// Elementwise operations in one program, at most. Beyond that a group is cut: compiling is not linear in the size.
const MAX_STEPS: u32 = 200;

/// What lowering may assume.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Blocks of a source that is read by several groups are kept between them if the whole source is at most this
    /// large, or if the groups do not wait for each other.
    pub keep_bytes: u64,
    /// The most memory that one task of a rechunk should hold.
    pub task_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { keep_bytes: u64::MAX, task_bytes: u64::MAX }
    }
}

/// Makes a plan for these expressions. `destinations` has one entry an output.
pub fn lower(outputs: &[Expr], destinations: &[Destination], options: Options) -> Result<Plan> {
    let nodes = topological(outputs);
    for node in &nodes {
        check_node(node)?;
    }
    let visits = Cell::new(nodes.len() as u64);
    let roots = find_roots(&nodes, outputs, options, &visits);
    let mut lowering = Lowering {
        layers: Vec::new(),
        made: FxHashMap::default(),
        roots,
        direct: FxHashSet::default(),
        options,
        visits,
    };
    let mut plan_outputs = Vec::with_capacity(outputs.len());
    let read: FxHashSet<u64> = nodes.iter().flat_map(|n| n.inputs().into_iter().map(Expr::id)).collect();
    let mut positions: FxHashMap<u64, SmallVec<[usize; 1]>> = FxHashMap::default();
    for (i, output) in outputs.iter().enumerate() {
        positions.entry(output.id()).or_default().push(i);
    }
    for node in &nodes {
        if lowering.roots.contains(&node.id()) {
            let plain_store = is_region(node);
            let destination = match positions.get(&node.id()).map(SmallVec::as_slice) {
                Some([only]) if plain_store => destinations[*only].clone(),
                _ => Destination::Fresh,
            };
            // A node that others read must have blocks of its own, even if it is also an output.
            let destination = if read.contains(&node.id()) { Destination::Fresh } else { destination };
            lowering.root(node, destination)?;
        }
    }
    for (expr, destination) in outputs.iter().zip(destinations) {
        let mut layer = lowering.made[&expr.id()];
        if let Destination::Into(_) = destination
            && (!lowering.direct.contains(&layer) || positions[&expr.id()].len() > 1)
        {
            layer = lowering.copy_into(expr, layer, destination.clone())?;
        }
        let count = lowering.layers[layer.0 as usize].len();
        plan_outputs.push((0..count).map(|index| TaskRef { layer, index }).collect());
    }
    Ok(Plan { layers: lowering.layers, outputs: plan_outputs, visits: lowering.visits.get() })
}

/// The nodes that get blocks of their own when these expressions are computed together.
pub fn roots(outputs: &[Expr], options: Options) -> FxHashSet<u64> {
    find_roots(&topological(outputs), outputs, options, &Cell::new(0))
}

/// Counts a look at some nodes.
fn visit(visits: &Cell<u64>, nodes: usize) {
    visits.set(visits.get() + nodes as u64);
}

/// Whether the node's blocks can be numbered and held (`check_size`), and the tasks of its operation numbered.
fn check_node(node: &Expr) -> Result<()> {
    check_size(node.chunks(), node.dtype().size() as u64)?;
    if let Kind::Op(op, _) = node.kind() {
        let grid = op.grid();
        let tasks = elements(grid.iter().map(|&n| u64::from(n)));
        if tasks > MAX_TASKS {
            return Err(ArrayError::value(format!(
                "{} over a grid of {grid:?} has {tasks} tasks, and at most {MAX_TASKS} are possible; use larger chunks",
                op.name()
            )));
        }
    }
    Ok(())
}

fn is_region(node: &Expr) -> bool {
    !matches!(node.kind(), Kind::Reduce(_) | Kind::Op(..))
}

/// Who evaluates a fused node, and through which view.
#[derive(Clone, PartialEq)]
struct Access {
    root: u64,
    view: View,
    /// The root is an operation on blocks, which can look through views but not compute.
    by_op: bool,
}

/// The nodes that get blocks of their own.
fn find_roots(nodes: &[Expr], outputs: &[Expr], options: Options, visits: &Cell<u64>) -> FxHashSet<u64> {
    let mut roots: FxHashSet<u64> = outputs.iter().map(Expr::id).collect();
    let mut weights: FxHashMap<u64, u32> = FxHashMap::default();
    let mut costly: FxHashSet<u64> = FxHashSet::default();
    // What needs blocks that were computed: any box of the rest can be had from a source.
    let mut computed: FxHashSet<u64> = FxHashSet::default();
    for node in nodes {
        visit(visits, 1 + node.inputs().len());
        if node.inputs().iter().any(|i| roots.contains(&i.id()) || computed.contains(&i.id())) {
            computed.insert(node.id());
        }
        let (mut weight, mut is_costly) = (0, false);
        for input in node.inputs() {
            if !roots.contains(&input.id()) {
                weight += weights.get(&input.id()).copied().unwrap_or(0);
                is_costly |= costly.contains(&input.id());
            }
        }
        match node.kind() {
            Kind::Map(op, _) => {
                weight += 1;
                is_costly |= op.is_costly();
                if weight > MAX_STEPS {
                    roots.insert(node.id());
                }
            }
            Kind::Reduce(_) | Kind::Op(..) => {
                roots.insert(node.id());
            }
            Kind::Rechunk(input) if computed.contains(&node.id()) && takes_steps(input, node, options) => {
                roots.insert(input.id());
                roots.insert(node.id());
            }
            Kind::Source(_) | Kind::Fill(_) | Kind::Coord | Kind::View(..) | Kind::Rechunk(_) => {}
        }
        weights.insert(node.id(), weight);
        if is_costly || weight > 12 {
            costly.insert(node.id());
        }
    }
    let depends = Dependencies::new(nodes, visits);
    let mut accesses: FxHashMap<u64, Vec<Access>> = FxHashMap::default();
    for node in nodes.iter().rev() {
        let id = node.id();
        let mine = accesses.remove(&id).unwrap_or_default();
        visit(visits, 1 + mine.len() * node.inputs().len());
        if !roots.contains(&id) {
            let several = mine.len() > 1;
            let by_op = mine.iter().any(|a| a.by_op);
            let keep = match node.kind() {
                Kind::Map(..) => by_op || (several && costly.contains(&id)),
                Kind::Fill(_) | Kind::Coord => by_op,
                Kind::Source(s) => {
                    let bytes = node.size().unwrap_or(0).saturating_mul(node.dtype().size() as u64);
                    let together = bytes <= options.keep_bytes
                        || !mine.iter().any(|a| mine.iter().any(|b| depends.on(a.root, b.root)));
                    s.in_memory().is_none() && several && together
                }
                Kind::View(..) | Kind::Rechunk(_) | Kind::Reduce(_) | Kind::Op(..) => false,
            };
            if keep {
                roots.insert(id);
            }
        }
        let own = |by_op| vec![Access { root: id, view: View::identity(node.ndim()), by_op }];
        let (passed, fresh) = if roots.contains(&id) { (own(false), true) } else { (mine, false) };
        match node.kind() {
            Kind::Reduce(r) => {
                for input in std::iter::once(&r.input).chain(r.mask.as_ref()) {
                    let view = View::identity(input.ndim());
                    add(&mut accesses, input, Access { root: id, view, by_op: false });
                }
            }
            Kind::Op(_, inputs) => {
                for input in inputs {
                    let view = View::identity(input.ndim());
                    add(&mut accesses, input, Access { root: id, view, by_op: true });
                }
            }
            Kind::Map(_, inputs) => {
                for input in inputs {
                    for a in &passed {
                        add(&mut accesses, input, Access { by_op: a.by_op && !fresh, ..a.clone() });
                    }
                }
            }
            Kind::View(input, view) => {
                for a in &passed {
                    add(&mut accesses, input, Access { view: a.view.compose(view), ..a.clone() });
                }
            }
            Kind::Rechunk(input) => {
                for a in &passed {
                    add(&mut accesses, input, a.clone());
                }
            }
            Kind::Source(_) | Kind::Fill(_) | Kind::Coord => {}
        }
    }
    roots
}

/// Whether a rechunk of computed blocks goes over intermediate chunks.
fn takes_steps(input: &Expr, node: &Expr, options: Options) -> bool {
    stages(input.chunks(), node.chunks(), node.dtype().size() as u64, options.task_bytes).len() > 1
}

fn add(accesses: &mut FxHashMap<u64, Vec<Access>>, node: &Expr, access: Access) {
    let list = accesses.entry(node.id()).or_default();
    // Two are enough to know that there are several; a few more make the check for dependencies better.
    if list.len() < 8 && !list.contains(&access) {
        list.push(access);
    }
}

/// Which nodes need which, directly or not.
struct Dependencies<'a> {
    position: FxHashMap<u64, usize>,
    inputs: Vec<Vec<usize>>,
    visits: &'a Cell<u64>,
}

impl Dependencies<'_> {
    fn new<'a>(nodes: &[Expr], visits: &'a Cell<u64>) -> Dependencies<'a> {
        let position: FxHashMap<u64, usize> = nodes.iter().enumerate().map(|(i, n)| (n.id(), i)).collect();
        let inputs = nodes.iter().map(|n| n.inputs().iter().map(|i| position[&i.id()]).collect()).collect();
        Dependencies { position, inputs, visits }
    }

    /// Whether `a` needs `b`. Costs a walk over what lies between.
    fn on(&self, a: u64, b: u64) -> bool {
        let (a, b) = (self.position[&a], self.position[&b]);
        if a <= b {
            return false;
        }
        let mut stack = vec![a];
        let mut seen = FxHashSet::default();
        while let Some(i) = stack.pop() {
            visit(self.visits, 1);
            if i == b {
                return true;
            }
            stack.extend(self.inputs[i].iter().copied().filter(|&j| j >= b && seen.insert(j)));
        }
        false
    }
}

struct Lowering {
    layers: Vec<Box<dyn PlanLayer>>,
    made: FxHashMap<u64, LayerId>,
    roots: FxHashSet<u64>,
    /// Layers whose tasks write into an output's array themselves.
    direct: FxHashSet<LayerId>,
    options: Options,
    visits: Cell<u64>,
}

impl Lowering {
    fn push(&mut self, layer: Box<dyn PlanLayer>) -> LayerId {
        self.layers.push(layer);
        LayerId(self.layers.len() as u32 - 1)
    }

    /// Makes the layers of a node that gets blocks of its own.
    fn root(&mut self, node: &Expr, destination: Destination) -> Result<()> {
        let layer = match node.kind() {
            Kind::Reduce(r) => {
                let starts: SmallVec<[&Expr; 2]> = std::iter::once(&r.input).chain(r.mask.as_ref()).collect();
                let region = self.region(None, &starts, r.input.chunks().clone())?;
                let shape = Arc::new(Shape {
                    reducer: r.reducer,
                    reduced: (0..r.input.ndim()).map(|axis| r.axes.contains(&axis)).collect(),
                    keepdims: r.keepdims,
                    nonempty: r.nonempty,
                    dtype: node.dtype(),
                    label: node.label(),
                    origin: node.node().origin.clone(),
                });
                self.reduction(region, shape)
            }
            Kind::Op(op, inputs) => {
                let inputs = inputs.iter().map(|i| self.op_input(i)).collect::<Result<Vec<_>>>()?;
                let id = LayerId(self.layers.len() as u32);
                self.push(Box::new(OpLayer::new(id, op.clone(), inputs, node.node().origin.clone())))
            }
            Kind::Rechunk(input) if self.made.contains_key(&input.id()) => {
                self.rechunk(input, node, destination)?
            }
            _ => {
                let region = self.region(Some(node), &[node], node.chunks().clone())?;
                let direct = matches!(destination, Destination::Into(_));
                let layer = self.push(Box::new(StoreLayer {
                    region,
                    dtype: node.dtype(),
                    destination,
                    label: node.label(),
                    origin: node.node().origin.clone(),
                }));
                if direct {
                    self.direct.insert(layer);
                }
                layer
            }
        };
        self.made.insert(node.id(), layer);
        Ok(())
    }

    fn reduction(&mut self, region: Region, shape: Arc<Shape>) -> LayerId {
        let fold = FoldLayer::new(region, shape.clone());
        let results = crate::chunks::block_count(fold.kept()) as u32;
        let result_len = elements(fold.kept().iter().map(|c| c.longest().max(1)));
        let mut states = fold.runs();
        let mut below = self.push(Box::new(fold));
        while states > 1 {
            let merge = MergeLayer { below, states, results, result_len, shape: shape.clone() };
            states = merge.left();
            below = self.push(Box::new(merge));
        }
        below
    }

    /// A layer that copies the blocks of another into an output's array.
    fn copy_into(&mut self, expr: &Expr, layer: LayerId, destination: Destination) -> Result<LayerId> {
        let chunks = expr.chunks().clone();
        self.copy(expr, "collect", (layer, chunks.clone()), chunks, destination)
    }

    /// The layers that put blocks that were computed into other chunks, step by step.
    fn rechunk(&mut self, input: &Expr, node: &Expr, destination: Destination) -> Result<LayerId> {
        let mut from = (self.made[&input.id()], input.chunks().clone());
        let mut steps = stages(&from.1, node.chunks(), node.dtype().size() as u64, self.options.task_bytes);
        let last = steps.pop().expect("a rechunk has at least one step");
        for grid in steps {
            from = (self.copy(node, "rechunk", from, grid.clone(), Destination::Fresh)?, grid);
        }
        self.copy(node, "rechunk", from, last, destination)
    }

    /// A layer that copies the elements of another one, cut as it likes.
    fn copy(
        &mut self,
        expr: &Expr,
        label: &str,
        (layer, chunks): (LayerId, Chunks),
        grid: Chunks,
        destination: Destination,
    ) -> Result<LayerId> {
        check_size(&grid, expr.dtype().size() as u64)?;
        let ty = expr.dtype().scalar().unwrap_or(ScalarType::I64);
        let mut program = Program { leaves: vec![ty], ..Program::default() };
        let out = program.push(Step::Leaf(0), ty);
        program.outputs.push(out);
        let leaf = Leaf {
            producer: Producer::Layer(layer, chunks),
            view: View::identity(expr.ndim()),
            dtype: expr.dtype(),
        };
        let region = Region {
            program: Arc::new(program),
            leaves: vec![leaf],
            coords: Vec::new(),
            consts: Vec::new(),
            grid,
        };
        let direct = matches!(destination, Destination::Into(_));
        let layer = self.push(Box::new(StoreLayer {
            region,
            dtype: expr.dtype(),
            destination,
            label: label.into(),
            origin: expr.node().origin.clone(),
        }));
        if direct {
            self.direct.insert(layer);
        }
        Ok(layer)
    }

    /// An input of an operation on blocks: a layer or a source, perhaps through a view.
    fn op_input(&self, input: &Expr) -> Result<OpInput> {
        let mut view = View::identity(input.ndim());
        let mut at = input;
        let producer = loop {
            visit(&self.visits, 1);
            if let Some(&layer) = self.made.get(&at.id()) {
                break Producer::Layer(layer, at.chunks().clone());
            }
            match at.kind() {
                Kind::Source(s) => break Producer::Source(s.clone()),
                Kind::View(inner, v) => {
                    view = view.compose(v);
                    at = inner;
                }
                Kind::Rechunk(inner) => at = inner,
                _ => {
                    return Err(ArrayError::bug(format!(
                        "the input {at:?} of an operation on blocks has no blocks"
                    )));
                }
            }
        };
        Ok(OpInput { leaf: Leaf { producer, view, dtype: input.dtype() }, chunks: input.chunks().clone() })
    }

    /// The fused group that computes `starts` over `grid`. `root` is the start that is being made itself.
    fn region(&self, root: Option<&Expr>, starts: &[&Expr], grid: Chunks) -> Result<Region> {
        let mut builder = Fusion {
            lowering: self,
            root: root.map(Expr::id),
            program: Program::default(),
            leaves: Vec::new(),
            coords: Vec::new(),
            consts: Vec::new(),
            memo: FxHashMap::default(),
        };
        for start in starts {
            let out = builder.step(start, &View::identity(start.ndim()))?;
            builder.program.outputs.push(out);
        }
        let Fusion { mut program, leaves, coords, consts, .. } = builder;
        program.coords = coords.len();
        Ok(Region { program: Arc::new(program), leaves, coords, consts, grid })
    }
}

/// Builds the program of one fused group.
struct Fusion<'a> {
    lowering: &'a Lowering,
    root: Option<u64>,
    program: Program,
    leaves: Vec<Leaf>,
    coords: Vec<CoordAxis>,
    consts: Vec<Scalar>,
    memo: FxHashMap<(u64, View), u16>,
}

impl Fusion<'_> {
    /// The step for a node seen through a view. Views and rechunks are walked in a loop; the depth of the recursion is that
    /// of elementwise operations, which `find_roots` bounds.
    fn step(&mut self, node: &Expr, view: &View) -> Result<u16> {
        let (mut node, mut view) = (node, view.clone());
        let made = loop {
            visit(&self.lowering.visits, 1);
            let made = self.lowering.made.get(&node.id()).filter(|_| self.root != Some(node.id()));
            match node.kind() {
                Kind::View(input, inner) if made.is_none() => {
                    view = view.compose(inner);
                    node = input;
                }
                Kind::Rechunk(input) if made.is_none() => node = input,
                _ => break made,
            }
        };
        let key = (node.id(), view.clone());
        if let Some(&step) = self.memo.get(&key) {
            return Ok(step);
        }
        let step = if let Some(&layer) = made {
            self.leaf(Producer::Layer(layer, node.chunks().clone()), node, &view)?
        } else {
            match node.kind() {
                Kind::Source(s) => self.leaf(Producer::Source(s.clone()), node, &view)?,
                Kind::Fill(v) => self.constant(*v),
                Kind::Coord => self.coord(&view),
                Kind::Map(op, inputs) => {
                    let mut args: SmallVec<[u16; 3]> = SmallVec::new();
                    for input in inputs {
                        args.push(self.step(input, &view)?);
                    }
                    let ty = self.scalar(node)?;
                    self.program.push(Step::Op(op.clone(), args), ty)
                }
                Kind::View(..) | Kind::Rechunk(_) | Kind::Reduce(_) | Kind::Op(..) => {
                    return Err(ArrayError::bug(format!("{node:?} was not evaluated before it is used")));
                }
            }
        };
        self.memo.insert(key, step);
        Ok(step)
    }

    fn scalar(&self, node: &Expr) -> Result<ScalarType> {
        node.dtype().scalar().ok_or_else(|| {
            ArrayError::ty(format!("dtype {} has no native operations; use map_blocks", node.dtype().name()))
        })
    }

    fn leaf(&mut self, producer: Producer, node: &Expr, view: &View) -> Result<u16> {
        let ty = self.scalar(node)?;
        self.leaves.push(Leaf { producer, view: view.clone(), dtype: node.dtype() });
        self.program.leaves.push(ty);
        Ok(self.program.push(Step::Leaf(self.leaves.len() as u16 - 1), ty))
    }

    fn constant(&mut self, v: Scalar) -> u16 {
        let known = self.program.steps.iter().position(|s| match s {
            Step::Const(k) => self.consts[*k as usize] == v,
            _ => false,
        });
        if let Some(step) = known {
            return step as u16;
        }
        self.consts.push(v);
        self.program.consts.push(v.ty());
        self.program.push(Step::Const(self.consts.len() as u16 - 1), v.ty())
    }

    fn coord(&mut self, view: &View) -> u16 {
        let along = view.axes.iter().enumerate().find_map(|(axis, a)| match *a {
            ViewAxis::Along { start, step, .. } => Some(CoordAxis::Along { axis, start: start as i64, step }),
            ViewAxis::New => None,
        });
        self.coords.push(along.unwrap_or(CoordAxis::Fixed(view.fixed[0].unwrap_or(0) as i64)));
        self.program.push(Step::Coord(self.coords.len() as u16 - 1), ScalarType::I64)
    }
}

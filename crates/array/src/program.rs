//! Programs: what a fused group computes for one position, as straight-line code over leaves, coordinates and constants.
//!
//! A program is what remains of a group of expressions once every view has been moved to its leaves. Constants are not
//! part of it: `x + 1` and `x + 2` are one program, and so one kernel.

use pantile_jit::FuncBuilder;
use pantile_types::catalogue::{Accuracy, Op, Signature};
use pantile_types::{DType, Scalar, ScalarType, Val, cast};
use smallvec::SmallVec;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An elementwise operation, with its types chosen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum MapOp {
    /// An operation of the catalogue.
    Call {
        /// Which.
        op: &'static Op,
        /// The dtypes it computes with; the inputs have them already.
        signature: Arc<Signature>,
        /// Which of its outputs.
        output: u8,
    },
    /// Conversion from one dtype to another.
    Cast(DType, DType),
}

impl MapOp {
    /// The name, for people.
    pub fn name(&self) -> &'static str {
        match self {
            MapOp::Call { op, .. } => op.name,
            MapOp::Cast(..) => "astype",
        }
    }

    /// Whether it costs much more than a load: then computing it twice is worse than keeping its result.
    pub fn is_costly(&self) -> bool {
        match self {
            MapOp::Call { op, .. } => op.accuracy != Accuracy::Exact,
            MapOp::Cast(..) => false,
        }
    }

    fn emit(&self, b: &mut FuncBuilder, args: &[Val]) -> Val {
        match self {
            MapOp::Call { op, signature, output } => op.build(b, args, signature)[*output as usize],
            MapOp::Cast(from, to) => cast::build(b, args[0], *from, *to)
                .expect("`astype` tried this conversion before it made the node"),
        }
    }
}

/// One step; later steps refer to it by its position.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// An element of a leaf.
    Leaf(u16),
    /// The value of a coordinate.
    Coord(u16),
    /// A constant, passed in when the kernel is called.
    Const(u16),
    /// An operation on earlier steps.
    Op(MapOp, SmallVec<[u16; 3]>),
}

/// Straight-line code for one position.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Program {
    /// The steps.
    pub steps: Vec<Step>,
    /// The type of each step's value.
    pub types: Vec<ScalarType>,
    /// The types of the leaves.
    pub leaves: Vec<ScalarType>,
    /// How many coordinates there are.
    pub coords: usize,
    /// The types of the constants.
    pub consts: Vec<ScalarType>,
    /// The steps whose values leave the program.
    pub outputs: SmallVec<[u16; 2]>,
}

impl Hash for Program {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.steps.hash(state);
        self.leaves.hash(state);
        self.outputs.hash(state);
        self.consts.hash(state);
    }
}

impl Program {
    /// Appends a step.
    pub fn push(&mut self, step: Step, ty: ScalarType) -> u16 {
        self.steps.push(step);
        self.types.push(ty);
        (self.steps.len() - 1) as u16
    }

    /// Whether the program only copies its single leaf.
    pub fn is_copy(&self) -> bool {
        matches!(self.steps.as_slice(), [Step::Leaf(0)])
    }

    /// Emits the program. `leaf` and `coord` give the values at the current position.
    pub fn emit(
        &self,
        b: &mut FuncBuilder,
        consts: &[Val],
        leaf: &mut dyn FnMut(&mut FuncBuilder, usize) -> Val,
        coord: &mut dyn FnMut(&mut FuncBuilder, usize) -> Val,
    ) -> SmallVec<[Val; 2]> {
        let mut values: Vec<Val> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let v = match step {
                Step::Leaf(i) => leaf(b, *i as usize),
                Step::Coord(i) => coord(b, *i as usize),
                Step::Const(i) => consts[*i as usize],
                Step::Op(op, args) => {
                    let args: SmallVec<[Val; 3]> = args.iter().map(|&a| values[a as usize]).collect();
                    op.emit(b, &args)
                }
            };
            values.push(v);
        }
        self.outputs.iter().map(|&o| values[o as usize]).collect()
    }

    /// The program as text, for `explain` and for tests.
    pub fn describe(&self, consts: &[Scalar]) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for (i, step) in self.steps.iter().enumerate() {
            let t = self.types[i].name();
            let _ = match step {
                Step::Leaf(k) => writeln!(text, "  %{i}: {t} = leaf {k}"),
                Step::Coord(k) => writeln!(text, "  %{i}: {t} = coordinate {k}"),
                Step::Const(k) => match consts.get(*k as usize) {
                    Some(c) => writeln!(text, "  %{i}: {t} = {c:?}"),
                    None => writeln!(text, "  %{i}: {t} = constant {k}"),
                },
                Step::Op(op, args) => {
                    let args: Vec<String> = args.iter().map(|a| format!("%{a}")).collect();
                    writeln!(text, "  %{i}: {t} = {}({})", op.name(), args.join(", "))
                }
            };
        }
        let outputs: Vec<String> = self.outputs.iter().map(|o| format!("%{o}")).collect();
        let _ = writeln!(text, "  -> {}", outputs.join(", "));
        text
    }
}

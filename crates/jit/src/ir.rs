//! The typed SSA intermediate representation: the data, nothing else.
//!
//! A module is a list of functions. A function is a control-flow graph whose basic blocks take parameters (there are no
//! phi nodes): entering a block passes it values, as calling a function does. Every value has one type and one
//! definition, and the definition dominates every use.
//!
//! One IR serves compiled Python functions and fused array kernels: a fused kernel is an ordinary function over array
//! views. The invariants that hold for every function are in prose at the top of `verify.rs`, the text form is described
//! in `text.rs`, what each instruction computes is defined by `interp.rs`, and the only other opinion about that, the
//! LLVM backend's, is compared with it.

use pantile_types::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp, Val};
use smallvec::SmallVec;
use std::sync::Arc;

macro_rules! entity {
    ($(#[$m:meta])* $name:ident) => {
        $(#[$m])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);

        impl $name {
            /// The position in its arena.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    };
}

entity! {
    /// A function of a module.
    FuncId
}
entity! {
    /// A basic block of a function. `BlockId(0)` is the entry; its parameters are the function's.
    BlockId
}
entity! {
    /// An instruction of a function.
    InstId
}

/// A list of values: most instructions have few.
pub type Vals = SmallVec<[Val; 4]>;

/// The type of a value.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Type {
    /// A number or truth value in a register.
    Scalar(ScalarType),
    /// An immutable sequence of values of these types.
    Tuple(Arc<[Type]>),
    /// A window onto memory: a pointer, and a length and a stride for each axis.
    View(ViewType),
}

impl Type {
    /// `i64`, the type of indices, lengths and loop counters.
    pub const I64: Type = Type::Scalar(ScalarType::I64);
    /// `bool`, the type of branch conditions.
    pub const BOOL: Type = Type::Scalar(ScalarType::Bool);

    /// The scalar type, if it is one.
    pub fn scalar(&self) -> Option<ScalarType> {
        match self {
            Type::Scalar(s) => Some(*s),
            Type::Tuple(_) | Type::View(_) => None,
        }
    }

    /// How many 64-bit slots the value takes at the boundary to the caller. See `backend.rs`.
    pub fn slots(&self) -> usize {
        match self {
            Type::Scalar(ScalarType::C128 | ScalarType::C64) => 2,
            Type::Scalar(_) => 1,
            Type::Tuple(parts) => parts.iter().map(Type::slots).sum(),
            Type::View(v) => 1 + 2 * v.strides.len(),
        }
    }
}

/// The static part of an array view.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ViewType {
    /// What the elements are. Elements are aligned to their natural alignment.
    pub elem: ScalarType,
    /// What is known of the stride of each axis; its length is the number of axes.
    pub strides: SmallVec<[Stride; 4]>,
}

/// What is known at compile time of one axis' stride.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stride {
    /// A run-time value, in bytes, of either sign.
    Dynamic,
    /// The element size: neighbouring elements touch.
    Unit,
    /// Zero: one element stands for all.
    Zero,
}

/// Promises about a parameter, kept by the caller. They are for views only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ParamAttrs {
    /// The memory behind this view is reached during the call through no other view that is written.
    pub noalias: bool,
    /// The function does not write through this view.
    pub readonly: bool,
}

/// Whether an access is known to be inside the view.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Bounds {
    /// Every index is known to be in `0 .. length`.
    Known,
    /// Checked when it runs: outside traps with `TrapCode::IndexOutOfBounds`. No negative wrap-around here.
    Checked,
}

/// What a floating-point operation may do beyond IEEE 754.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FpFlags {
    /// The order of a chain of these may change, so that a sum can run in several lanes.
    pub reassoc: bool,
    /// A product and a sum may become one fused operation.
    pub contract: bool,
}

/// Why a function stopped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TrapCode {
    /// An index outside its axis.
    IndexOutOfBounds,
    /// Division by zero where Python raises.
    DivisionByZero,
    /// Integer overflow in checked mode.
    Overflow,
    /// Shapes that do not broadcast.
    ShapeMismatch,
    /// A control-flow edge that the front end proved impossible.
    Unreachable,
    /// Calls nested deeper than the backend's stack allows.
    StackOverflow,
    /// A code that the front end gave a meaning: an index into its table of exceptions.
    User(u16),
}

/// An instruction: what it does and to which values. Its results are in `InstData`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Inst {
    /// A constant.
    Const(Scalar),
    /// A primitive operation on one scalar.
    Un(UnOp, Val),
    /// A primitive operation on two scalars of one type. Flags matter for floats only.
    Bin(BinOp, Val, Val, FpFlags),
    /// A comparison of two scalars of one type.
    Cmp(CmpOp, Val, Val),
    /// The second if the first (a `bool`) is true, else the third. Any one type.
    Select(Val, Val, Val),
    /// Conversion to a scalar type; see `Emit::cast`.
    Cast(Val, ScalarType),
    /// The same bits as another scalar type of the same size.
    Bitcast(Val, ScalarType),
    /// A complex number from real and imaginary part.
    Complex(Val, Val),
    /// A library function.
    Lib(LibFn, Vals),
    /// A tuple of these values.
    Tuple(Vals),
    /// One element of a tuple.
    TupleGet(Val, u32),
    /// The length of an axis of a view, `i64`.
    ViewLen(Val, u32),
    /// A new uninitialised array of fixed length in the function's frame: `view<elem; 1>` with a unit stride. The memory lives until
    /// the function returns. Placed in the entry block only, so that a loop does not grow the frame.
    LocalArray(ScalarType, u32),
    /// A view from parts: pointer and lengths of `base`, offset by `offsets` elements along each axis, with these
    /// lengths. Type and strides are those of the base.
    ///
    /// The offset window is not checked against the base: whoever makes it knows that it is inside.
    SubView {
        /// The view that the window is cut from.
        base: Val,
        /// Where the window starts, in elements, one an axis.
        offsets: Vals,
        /// The lengths of the window.
        lens: Vals,
    },
    /// The element at these indices (one `i64` an axis).
    Load(Val, Vals, Bounds),
    /// Writes an element: view, indices, value.
    Store(Val, Vals, Val, Bounds),
    /// A call of another function of the module. The results are the callee's.
    Call(FuncId, Vals),
    /// A parallel loop over `lo .. hi`. The range is cut into pieces of at least `grain` iterations; `body` is called once
    /// a piece with `(piece_lo, piece_hi, captures..., accumulators...)`, starting from `init`, and returns the accumulators. `combine`
    /// (present when there are accumulators) takes two sets of accumulators and returns one. Pieces are combined in ascending
    /// order, so that the result depends on `grain` and the range, never on the number of threads.
    ///
    /// Exactly: the pieces are those of `Pieces::new(lo, hi, grain)`. Each piece's body starts from `init` itself, so
    /// `init` is the identity of `combine`. With results `r0, r1, ...` of the pieces, the instruction gives
    /// `combine(...combine(combine(r0, r1), r2)...)`; with one piece `r0`, without `combine` called; with an
    /// empty range `init`, without `body` called. When a piece traps, the instruction traps: with the code of the first
    /// piece, in ascending order, among those that trapped; later pieces may or may not have run.
    ParFor {
        /// First iteration.
        lo: Val,
        /// One past the last iteration.
        hi: Val,
        /// The fewest iterations worth a piece.
        grain: Val,
        /// Runs one piece.
        body: FuncId,
        /// Passed to every piece unchanged.
        captures: Vals,
        /// Where the accumulators of every piece start.
        init: Vals,
        /// Merges the accumulators of two pieces.
        combine: Option<FuncId>,
    },
}

/// How a parallel loop's range is cut: the one rule that every backend follows, because floating-point results depend on it.
///
/// With `n = hi - lo` iterations (none when `hi <= lo`) there are `clamp(n / max(grain, 1), 1, MAX)` contiguous pieces
/// whose lengths differ by at most one, the longer ones first. So each piece has at least `grain` iterations, unless
/// the whole range has fewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pieces {
    lo: i64,
    len: u64,
    count: u64,
}

impl Pieces {
    /// The most pieces: enough to keep a large machine busy and to even out uneven iterations, few enough that handing
    /// them out costs nothing beside the work.
    pub const MAX: u64 = 256;

    /// The pieces of `lo .. hi`.
    pub fn new(lo: i64, hi: i64, grain: i64) -> Pieces {
        if hi <= lo {
            return Pieces { lo, len: 0, count: 0 };
        }
        let len = hi.wrapping_sub(lo) as u64;
        let count = (len / grain.max(1) as u64).clamp(1, Pieces::MAX);
        Pieces { lo, len, count }
    }

    /// How many pieces there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The bounds of the piece with this number, counted from zero.
    pub fn get(&self, piece: u64) -> (i64, i64) {
        debug_assert!(piece < self.count);
        let (base, longer) = (self.len / self.count, self.len % self.count);
        let start = piece * base + piece.min(longer);
        let len = base + u64::from(piece < longer);
        (self.lo.wrapping_add(start as i64), self.lo.wrapping_add((start + len) as i64))
    }
}

/// An instruction with the values it defines: none for a store, one for most, several for calls and parallel loops.
#[derive(Clone, PartialEq, Debug)]
pub struct InstData {
    /// What it does.
    pub inst: Inst,
    /// The values it defines.
    pub results: Vals,
}

/// A transfer of control to a block, with a value for each of its parameters.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The block entered.
    pub block: BlockId,
    /// One value for each of its parameters.
    pub args: Vals,
}

/// How a block ends.
#[derive(Clone, PartialEq, Debug)]
pub enum Terminator {
    /// Go on there.
    Jump(Target),
    /// Go on at the first target if the `bool` is true, else at the second.
    Branch(Val, Target, Target),
    /// Leave the function with these values.
    Return(Vals),
    /// Stop.
    Trap(TrapCode),
}

/// A basic block.
#[derive(Clone, PartialEq, Debug)]
pub struct Block {
    /// The values passed in by whoever jumps here.
    pub params: Vals,
    /// What it does, in order.
    pub insts: Vec<InstId>,
    /// How it ends. `None` only while the function is being built.
    pub end: Option<Terminator>,
}

/// A function: blocks, instructions and values in arenas.
#[derive(Clone, PartialEq, Debug)]
pub struct Function {
    /// The name, for people and for the text form.
    pub name: String,
    /// Promises about each parameter.
    pub param_attrs: Vec<ParamAttrs>,
    /// The types of the values returned.
    pub returns: Vec<Type>,
    /// The basic blocks; the first is the entry.
    pub blocks: Vec<Block>,
    /// All instructions, including ones that a pass has unlinked from their block.
    pub insts: Vec<InstData>,
    /// The type of each value.
    pub value_types: Vec<Type>,
}

impl Function {
    /// The parameters of the function.
    pub fn params(&self) -> &[Val] {
        &self.blocks[0].params
    }

    /// The type of a value.
    pub fn ty(&self, v: Val) -> &Type {
        &self.value_types[v.0 as usize]
    }
}

/// Functions that may call each other.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Module {
    /// The functions, by `FuncId`.
    pub functions: Vec<Function>,
}

impl Module {
    /// Adds a function.
    pub fn add(&mut self, f: Function) -> FuncId {
        self.functions.push(f);
        FuncId(self.functions.len() as u32 - 1)
    }

    /// The function with this id.
    pub fn get(&self, id: FuncId) -> &Function {
        &self.functions[id.index()]
    }
}

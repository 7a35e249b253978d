//! Reducers: how a reduction accumulates, in terms of the typed IR.
//!
//! A reducer has a *state* of a few scalars. A kernel folds pieces of up to `PIECE` elements into it: inside a piece values
//! are accumulated in a fixed number of lanes, which is how vectors do it and is part of the program, so that the interpreter and
//! every vector width give the same bits; between pieces it is done carefully (compensated sums, merged moments). States of
//! different blocks are merged in the same way, and `finish` turns a state into the result. So a sum of n elements has the error
//! of one piece, whatever n is: NumPy's pairwise grade or better.
//!
//! Sources: compensated summation as in A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
//! Summen", ZAMM 54 (1974); merged moments as in T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a
//! pairwise algorithm for computing sample variances", COMPSTAT (1982).

use pantile_jit::FuncBuilder;
use pantile_jit::ir::{Bounds, FpFlags, Type};
use pantile_types::catalogue::{Builder, complex_before, complex_extremum};
use pantile_types::{BinOp, CmpOp, Emit, Scalar, ScalarType, UnOp, Val};
use smallvec::SmallVec;

/// Elements that a kernel accumulates before it folds the result into the state. 8 KB of doubles: a quarter of the
/// first-level cache, since the variance reads its piece twice.
pub const PIECE: u32 = 1024;

/// What is accumulated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReduceKind {
    /// Sum.
    Sum,
    /// Product.
    Prod,
    /// Smallest, NaN if there is one.
    Min,
    /// Largest, NaN if there is one.
    Max,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
    /// Position of the first smallest (or first NaN) in C order over the reduced axes.
    ArgMin,
    /// Position of the first largest (or first NaN).
    ArgMax,
    /// Arithmetic mean.
    Mean,
    /// Variance; the divisor is the count less this (the bits of an `f64`).
    Var(u64),
}

/// A reduction's way of accumulating, for one input type.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Reducer {
    /// What.
    pub kind: ReduceKind,
    /// The type of the values that go in. `Any` and `All` take `Bool`; `Mean` and `Var` take floats (`Mean` complex too).
    pub ty: ScalarType,
}

/// The values of one position, as a kernel's program computes them.
#[derive(Clone, Copy)]
pub struct Element {
    /// The value.
    pub value: Val,
    /// Whether it counts; absent if all do.
    pub mask: Option<Val>,
    /// Its position in C order over the reduced axes, where the reducer asks for it.
    pub position: Option<Val>,
}

/// Accumulators that run side by side. Eight vectors of doubles where vectors are widest, so that none waits for another.
const LANES: u32 = 64;

/// Fewer values than this are not worth setting up the lanes.
const FEW: i64 = 16;

const ANY_ORDER: FpFlags = FpFlags { reassoc: true, contract: false };

/// Programs of at most this many steps are evaluated where their values are accumulated. The lanes need the program three
/// times (short pieces, whole rounds, the rest), which a long program would pay for when it is compiled.
const SHORT_PROGRAM: usize = 12;

/// The local arrays of a kernel that accumulates in a fixed order.
#[derive(Clone, Copy)]
pub struct Scratch {
    values: Val,
    masks: Val,
    lanes: [Val; 2],
}

impl Scratch {
    /// Local arrays for values of a type.
    pub fn new(b: &mut FuncBuilder, ty: ScalarType) -> Scratch {
        Scratch {
            values: b.local_array(ty, PIECE),
            masks: b.local_array(ScalarType::Bool, PIECE),
            lanes: [b.local_array(ty, LANES), b.local_array(ty, LANES)],
        }
    }

    /// The element that was kept at a position.
    pub fn element(&self, b: &mut FuncBuilder, at: Val, masked: bool) -> Element {
        Element {
            value: b.load(self.values, &[at], Bounds::Known),
            mask: masked.then(|| b.load(self.masks, &[at], Bounds::Known)),
            position: None,
        }
    }

    /// Keeps an element at a position of the piece; gives the count with it.
    pub fn keep(&self, b: &mut FuncBuilder, at: Val, e: Element, count: Val) -> Val {
        b.store(self.values, &[at], e.value, Bounds::Known);
        let Some(m) = e.mask else { return count };
        b.store(self.masks, &[at], m, Bounds::Known);
        let one = b.cast(m, ScalarType::I64);
        b.bin(BinOp::Add, count, one)
    }
}

/// Accumulates `len` values (several at once, one for each array of lanes): value `i` goes to lane `i % LANES`, and the lanes
/// are joined in a tree; a few values are accumulated one by one. The order is part of the program, so vectorising it needs no permission to reorder.
fn in_lanes<F>(b: &mut FuncBuilder, op: BinOp, neutral: Val, lanes: &[Val], len: Val, values: F) -> Vec<Val>
where
    F: FnMut(&mut FuncBuilder, Val) -> Vec<Val>,
{
    let few = b.const_i64(FEW);
    let short = b.cmp(CmpOp::Lt, len, few);
    let types: Vec<Type> = lanes.iter().map(|_| Type::Scalar(b.ty(neutral))).collect();
    let start: Vec<Val> = lanes.iter().map(|_| neutral).collect();
    let values = std::cell::RefCell::new(values);
    let one_by_one = |b: &mut FuncBuilder| {
        b.counted_loop(len, &start, |b, i, acc| {
            let v = values.borrow_mut()(b, i);
            acc.iter().zip(v).map(|(&a, v)| b.bin(op, a, v)).collect()
        })
    };
    b.if_else(short, &types, one_by_one, |b| {
        long_in_lanes(b, op, neutral, lanes, len, &mut *values.borrow_mut())
    })
}

fn long_in_lanes(
    b: &mut FuncBuilder,
    op: BinOp,
    neutral: Val,
    lanes: &[Val],
    len: Val,
    values: &mut dyn FnMut(&mut FuncBuilder, Val) -> Vec<Val>,
) -> Vec<Val> {
    let width = b.const_i64(LANES as i64);
    b.counted_loop(width, &[], |b, j, _| {
        for &l in lanes {
            b.store(l, &[j], neutral, Bounds::Known);
        }
        vec![]
    });
    let mut add = |b: &mut FuncBuilder, first: Val, count: Val| {
        b.counted_loop(count, &[], |b, j, _| {
            let i = b.bin(BinOp::Add, first, j);
            for (&l, v) in lanes.iter().zip(values(b, i)) {
                let so_far = b.load(l, &[j], Bounds::Known);
                let next = b.bin(op, so_far, v);
                b.store(l, &[j], next, Bounds::Known);
            }
            vec![]
        });
    };
    let shift = b.const_i64(LANES.ilog2() as i64);
    let rounds = b.bin(BinOp::Shr, len, shift);
    b.counted_loop(rounds, &[], |b, k, _| {
        let first = b.bin(BinOp::Mul, k, width);
        add(b, first, width);
        vec![]
    });
    let done = b.bin(BinOp::Mul, rounds, width);
    let rest = b.bin(BinOp::Sub, len, done);
    add(b, done, rest);
    let mut half = LANES / 2;
    while half > 0 {
        let count = b.const_i64(half as i64);
        b.counted_loop(count, &[], |b, j, _| {
            let other = b.bin(BinOp::Add, j, count);
            for &l in lanes {
                let (x, y) = (b.load(l, &[j], Bounds::Known), b.load(l, &[other], Bounds::Known));
                let both = b.bin(op, x, y);
                b.store(l, &[j], both, Bounds::Known);
            }
            vec![]
        });
        half /= 2;
    }
    let zero = b.const_i64(0);
    lanes.iter().map(|&l| b.load(l, &[zero], Bounds::Known)).collect()
}

impl Reducer {
    /// The name, for people.
    pub fn name(&self) -> &'static str {
        match self.kind {
            ReduceKind::Sum => "sum",
            ReduceKind::Prod => "prod",
            ReduceKind::Min => "min",
            ReduceKind::Max => "max",
            ReduceKind::Any => "any",
            ReduceKind::All => "all",
            ReduceKind::ArgMin => "argmin",
            ReduceKind::ArgMax => "argmax",
            ReduceKind::Mean => "mean",
            ReduceKind::Var(_) => "var",
        }
    }

    /// Whether elements come with their position.
    pub fn needs_position(&self) -> bool {
        matches!(self.kind, ReduceKind::ArgMin | ReduceKind::ArgMax)
    }

    /// The type of the result.
    pub fn output(&self) -> ScalarType {
        match self.kind {
            ReduceKind::Any | ReduceKind::All => ScalarType::Bool,
            ReduceKind::ArgMin | ReduceKind::ArgMax => ScalarType::I64,
            _ => self.ty,
        }
    }

    fn compensated(&self) -> bool {
        self.ty.is_float()
    }

    /// The types of the state.
    pub fn state(&self) -> SmallVec<[ScalarType; 3]> {
        let t = self.ty;
        match self.kind {
            ReduceKind::Sum if self.compensated() => [t, t].into_iter().collect(),
            ReduceKind::Mean if self.compensated() => [t, t, ScalarType::I64].into_iter().collect(),
            ReduceKind::Mean => [t, ScalarType::I64].into_iter().collect(),
            ReduceKind::ArgMin | ReduceKind::ArgMax => [t, ScalarType::I64].into_iter().collect(),
            // The mean and its low part, the sum of squared distances, the count.
            ReduceKind::Var(_) => [t, t, t, ScalarType::I64].into_iter().collect(),
            ReduceKind::Any | ReduceKind::All => [ScalarType::Bool].into_iter().collect(),
            ReduceKind::Sum | ReduceKind::Prod | ReduceKind::Min | ReduceKind::Max => {
                [t].into_iter().collect()
            }
        }
    }

    /// The state of no elements.
    pub fn identity(&self) -> SmallVec<[Scalar; 3]> {
        let zero = |t| Scalar::from_i64(t, 0);
        match self.kind {
            ReduceKind::Prod => [Scalar::from_i64(self.ty, 1)].into_iter().collect(),
            ReduceKind::Min => [extreme(self.ty, true)].into_iter().collect(),
            ReduceKind::Max => [extreme(self.ty, false)].into_iter().collect(),
            ReduceKind::All => [Scalar::Bool(true)].into_iter().collect(),
            ReduceKind::ArgMin => {
                [extreme(self.ty, true), Scalar::Int(ScalarType::I64, i64::MAX)].into_iter().collect()
            }
            ReduceKind::ArgMax => {
                [extreme(self.ty, false), Scalar::Int(ScalarType::I64, i64::MAX)].into_iter().collect()
            }
            ReduceKind::Sum | ReduceKind::Any | ReduceKind::Mean | ReduceKind::Var(_) => {
                self.state().into_iter().map(zero).collect()
            }
        }
    }

    /// Whether the order of accumulation shows in the result. Then a piece is first evaluated into a local array, and
    /// accumulated from there in a fixed order: the same bits from the interpreter, from any vector width, at any time.
    pub fn is_ordered(&self) -> bool {
        let inexact = self.ty.is_float() || self.ty.is_complex();
        match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => inexact,
            // Complex products do not vectorise, so they run one after the other anyway.
            ReduceKind::Prod => self.ty.is_float(),
            ReduceKind::Var(_) => true,
            _ => false,
        }
    }

    /// The local arrays that `piece` and `fold` work with, where they need any.
    pub fn scratch(&self, b: &mut FuncBuilder) -> Option<Scratch> {
        self.is_ordered().then(|| Scratch::new(b, self.ty))
    }

    /// Whether pieces of a program of so many steps are accumulated as they are evaluated, without a local array between: memory
    /// is then read all the time, not by turns. The variance reads its values twice.
    pub fn is_direct(&self, steps: usize) -> bool {
        self.is_ordered() && !matches!(self.kind, ReduceKind::Var(_)) && steps <= SHORT_PROGRAM
    }

    /// Folds a piece into `state`, in the order in which `fold` does it, without keeping its values.
    pub fn direct_piece<F>(
        &self,
        b: &mut FuncBuilder,
        scratch: &Scratch,
        len: Val,
        state: &[Val],
        mut element: F,
    ) -> Vec<Val>
    where
        F: FnMut(&mut FuncBuilder, Val) -> Val,
    {
        let neutral = b.constant(self.neutral());
        let total =
            in_lanes(b, self.lane_op(), neutral, &scratch.lanes[..1], len, |b, i| vec![element(b, i)])[0];
        if self.kind == ReduceKind::Prod {
            return vec![b.bin(BinOp::Mul, state[0], total)];
        }
        self.merge_sum(b, state, total, None, len)
    }

    fn lane_op(&self) -> BinOp {
        if self.kind == ReduceKind::Prod { BinOp::Mul } else { BinOp::Add }
    }

    /// Folds a piece of `len` (at most `PIECE`) elements into `state`. `element` gives the element at a position of the piece.
    pub fn piece<F>(
        &self,
        b: &mut FuncBuilder,
        scratch: Option<&Scratch>,
        len: Val,
        state: &[Val],
        mut element: F,
    ) -> Vec<Val>
    where
        F: FnMut(&mut FuncBuilder, Val) -> Element,
    {
        if let Some(scratch) = scratch {
            let none = b.const_i64(0);
            let masked = std::cell::Cell::new(false);
            let counted = b.counted_loop(len, &[none], |b, i, count| {
                let e = element(b, i);
                masked.set(e.mask.is_some());
                vec![scratch.keep(b, i, e, count[0])]
            });
            let count = if masked.get() { counted[0] } else { len };
            return self.fold(b, scratch, len, count, masked.get(), state);
        }
        match self.kind {
            ReduceKind::ArgMin | ReduceKind::ArgMax => self.in_turn(b, len, state, element),
            // Of several complex NaNs the first is the result.
            ReduceKind::Min | ReduceKind::Max if self.ty.is_complex() => self.in_turn(b, len, state, element),
            // Integers, truth values and extrema: any order gives the same.
            _ => {
                let start = b.constant(self.neutral());
                let none = b.const_i64(0);
                let masked = std::cell::Cell::new(false);
                let out = b.counted_loop(len, &[start, none], |b, i, acc| {
                    let e = element(b, i);
                    let (v, count) = match e.mask {
                        Some(m) => {
                            masked.set(true);
                            let one = b.cast(m, ScalarType::I64);
                            (b.select(m, e.value, start), b.bin(BinOp::Add, acc[1], one))
                        }
                        None => (e.value, acc[1]),
                    };
                    vec![self.combine(b, acc[0], v, ANY_ORDER), count]
                });
                let count = if masked.get() { out[1] } else { len };
                match self.kind {
                    ReduceKind::Sum | ReduceKind::Mean => self.merge_sum(b, state, out[0], None, count),
                    _ => vec![self.combine(b, state[0], out[0], FpFlags::default())],
                }
            }
        }
    }

    /// Folds elements one after the other.
    fn in_turn<F>(&self, b: &mut FuncBuilder, len: Val, state: &[Val], mut element: F) -> Vec<Val>
    where
        F: FnMut(&mut FuncBuilder, Val) -> Element,
    {
        b.counted_loop(len, state, |b, i, acc| {
            let e = element(b, i);
            self.step(b, acc, e)
        })
    }

    /// Folds the `len` values that are kept in the local arrays, of which `count` count.
    pub fn fold(
        &self,
        b: &mut FuncBuilder,
        scratch: &Scratch,
        len: Val,
        count: Val,
        masked: bool,
        state: &[Val],
    ) -> Vec<Val> {
        let neutral = b.constant(self.neutral());
        let keep = |b: &mut FuncBuilder, i: Val, v: Val| {
            if !masked {
                return v;
            }
            let m = b.load(scratch.masks, &[i], Bounds::Known);
            b.select(m, v, neutral)
        };
        let total = in_lanes(b, self.lane_op(), neutral, &scratch.lanes[..1], len, |b, i| {
            let v = b.load(scratch.values, &[i], Bounds::Known);
            vec![keep(b, i, v)]
        })[0];
        match self.kind {
            ReduceKind::Prod => vec![b.bin(BinOp::Mul, state[0], total)],
            ReduceKind::Var(_) => {
                let n = b.cast(count, self.ty);
                let mean = b.bin(BinOp::Div, total, n);
                let sums = in_lanes(b, BinOp::Add, neutral, &scratch.lanes, len, |b, i| {
                    let v = b.load(scratch.values, &[i], Bounds::Known);
                    let d = b.bin(BinOp::Sub, v, mean);
                    let d = keep(b, i, d);
                    vec![b.bin(BinOp::Mul, d, d), d]
                });
                // The distances would add up to zero if the mean were exact; what they add up to corrects it. Without this
                // a piece's mean is off by the rounding of its sum, which shows where the offset is large.
                let off = b.bin(BinOp::Div, sums[1], n);
                let excess = b.bin(BinOp::Mul, sums[1], off);
                let squares = b.bin(BinOp::Sub, sums[0], excess);
                let squares = b.bin(BinOp::Max, squares, neutral);
                self.merge_moments(b, state, &[mean, off, squares, count])
            }
            _ => self.merge_sum(b, state, total, None, count),
        }
    }

    /// What changes nothing when it is accumulated.
    fn neutral(&self) -> Scalar {
        match self.kind {
            ReduceKind::Sum | ReduceKind::Mean | ReduceKind::Var(_) => Scalar::from_i64(self.ty, 0),
            _ => self.identity()[0],
        }
    }

    /// Folds one element into `state`. Used where neighbouring elements belong to different results, so that the vector
    /// lanes run over results.
    pub fn step(&self, b: &mut FuncBuilder, state: &[Val], e: Element) -> Vec<Val> {
        let next = match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => {
                let mut next = state.to_vec();
                next[0] = b.bin(BinOp::Add, state[0], e.value);
                if self.kind == ReduceKind::Mean {
                    let last = next.len() - 1;
                    let one = b.const_i64(1);
                    next[last] = b.bin(BinOp::Add, state[last], one);
                }
                next
            }
            ReduceKind::Prod | ReduceKind::Min | ReduceKind::Max | ReduceKind::Any | ReduceKind::All => {
                vec![self.combine(b, state[0], e.value, FpFlags::default())]
            }
            ReduceKind::ArgMin | ReduceKind::ArgMax => {
                let position = e.position.expect("an arg-reduction's elements have positions");
                self.earlier(b, state, &[e.value, position])
            }
            ReduceKind::Var(_) => {
                let one = b.const_i64(1);
                let n = b.bin(BinOp::Add, state[3], one);
                let n_float = b.cast(n, self.ty);
                let d = b.bin(BinOp::Sub, e.value, state[0]);
                let d = b.bin(BinOp::Sub, d, state[1]);
                let part = b.bin(BinOp::Div, d, n_float);
                let (mean, lost) = two_sum(b, state[0], part);
                let low = b.bin(BinOp::Add, state[1], lost);
                let rest = b.bin(BinOp::Sub, e.value, mean);
                let rest = b.bin(BinOp::Sub, rest, low);
                let square = b.bin(BinOp::Mul, d, rest);
                vec![mean, low, b.bin(BinOp::Add, state[2], square), n]
            }
        };
        match e.mask {
            Some(m) => next.iter().zip(state).map(|(&new, &old)| b.select(m, new, old)).collect(),
            None => next,
        }
    }

    /// Merges two states; `other` covers later elements.
    pub fn merge(&self, b: &mut FuncBuilder, state: &[Val], other: &[Val]) -> Vec<Val> {
        match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => {
                let c = self.compensated().then(|| other[1]);
                let count = other[other.len() - 1];
                self.merge_sum(b, state, other[0], c, count)
            }
            ReduceKind::Prod | ReduceKind::Min | ReduceKind::Max | ReduceKind::Any | ReduceKind::All => {
                vec![self.combine(b, state[0], other[0], FpFlags::default())]
            }
            ReduceKind::ArgMin | ReduceKind::ArgMax => self.earlier(b, state, other),
            ReduceKind::Var(_) => self.merge_moments(b, state, other),
        }
    }

    /// The result of a state.
    pub fn finish(&self, b: &mut FuncBuilder, state: &[Val]) -> Val {
        match self.kind {
            ReduceKind::Sum => self.total(b, state),
            ReduceKind::Mean => {
                let total = self.total(b, state);
                let n = b.cast(state[state.len() - 1], self.ty.part());
                if self.ty.is_complex() {
                    let (re, im) = (b.un(UnOp::Re, total), b.un(UnOp::Im, total));
                    let (re, im) = (b.bin(BinOp::Div, re, n), b.bin(BinOp::Div, im, n));
                    return b.complex(re, im);
                }
                b.bin(BinOp::Div, total, n)
            }
            ReduceKind::Var(ddof) => {
                let n = b.cast(state[3], self.ty);
                let ddof =
                    b.constant(Scalar::from_f64(self.ty, f64::from_bits(ddof)).expect("var works on floats"));
                let zero = b.constant(Scalar::from_i64(self.ty, 0));
                let divisor = b.bin(BinOp::Sub, n, ddof);
                let divisor = b.bin(BinOp::Max, divisor, zero);
                b.bin(BinOp::Div, state[2], divisor)
            }
            ReduceKind::ArgMin | ReduceKind::ArgMax => state[1],
            ReduceKind::Prod | ReduceKind::Min | ReduceKind::Max | ReduceKind::Any | ReduceKind::All => {
                state[0]
            }
        }
    }

    fn combine(&self, b: &mut FuncBuilder, x: Val, y: Val, flags: FpFlags) -> Val {
        if self.ty.is_complex() && matches!(self.kind, ReduceKind::Min | ReduceKind::Max) {
            let op = if self.kind == ReduceKind::Min { BinOp::Min } else { BinOp::Max };
            return complex_extremum(&mut Builder::new(b), op, x, y);
        }
        let op = match self.kind {
            ReduceKind::Prod => BinOp::Mul,
            ReduceKind::Min if self.ty == ScalarType::Bool => BinOp::And,
            ReduceKind::Max if self.ty == ScalarType::Bool => BinOp::Or,
            ReduceKind::Min => BinOp::Min,
            ReduceKind::Max => BinOp::Max,
            ReduceKind::Sum | ReduceKind::Mean => BinOp::Add,
            ReduceKind::Any => BinOp::Or,
            _ => BinOp::And,
        };
        b.bin_with(op, x, y, flags)
    }

    fn merge_sum(
        &self,
        b: &mut FuncBuilder,
        state: &[Val],
        sum: Val,
        sum_low: Option<Val>,
        count: Val,
    ) -> Vec<Val> {
        let mut next = state.to_vec();
        if !self.compensated() {
            next[0] = b.bin(BinOp::Add, state[0], sum);
        } else {
            let (high, lost) = two_sum(b, state[0], sum);
            next[0] = high;
            next[1] = b.bin(BinOp::Add, state[1], lost);
            if let Some(low) = sum_low {
                next[1] = b.bin(BinOp::Add, next[1], low);
            }
        }
        if self.kind == ReduceKind::Mean {
            let last = next.len() - 1;
            next[last] = b.bin(BinOp::Add, state[last], count);
        }
        next
    }

    fn total(&self, b: &mut FuncBuilder, state: &[Val]) -> Val {
        if !self.compensated() {
            return state[0];
        }
        // An infinite sum makes the low part NaN.
        let both = b.bin(BinOp::Add, state[0], state[1]);
        let magnitude = b.un(UnOp::Abs, state[0]);
        let inf = b.constant(Scalar::from_f64(self.ty, f64::INFINITY).expect("compensated sums are floats"));
        let finite = b.cmp(CmpOp::Lt, magnitude, inf);
        b.select(finite, both, state[0])
    }

    fn merge_moments(&self, b: &mut FuncBuilder, state: &[Val], other: &[Val]) -> Vec<Val> {
        let t = self.ty;
        let zero = b.const_i64(0);
        let n = b.bin(BinOp::Add, state[3], other[3]);
        let (n_float, na, nb) = (b.cast(n, t), b.cast(state[3], t), b.cast(other[3], t));
        // Means carry a low part: where they are large and the distances small, the rounding of a mean would be felt.
        let high = b.bin(BinOp::Sub, other[0], state[0]);
        let low = b.bin(BinOp::Sub, other[1], state[1]);
        let delta = b.bin(BinOp::Add, high, low);
        let weight = b.bin(BinOp::Div, nb, n_float);
        let shift = b.bin(BinOp::Mul, delta, weight);
        let (mean, lost) = two_sum(b, state[0], shift);
        let mean_low = b.bin(BinOp::Add, state[1], lost);
        let between = b.bin(BinOp::Mul, delta, shift);
        let between = b.bin(BinOp::Mul, between, na);
        let within = b.bin(BinOp::Add, state[2], other[2]);
        let m2 = b.bin(BinOp::Add, within, between);
        let nothing = b.cmp(CmpOp::Eq, other[3], zero);
        let first = b.cmp(CmpOp::Eq, state[3], zero);
        let merged = [mean, mean_low, m2];
        let mut next: Vec<Val> = Vec::with_capacity(4);
        for (i, value) in merged.into_iter().enumerate() {
            let value = b.select(first, other[i], value);
            next.push(b.select(nothing, state[i], value));
        }
        next.push(n);
        next
    }

    /// The better of two (value, position) pairs: the earlier among equals; NaN beats everything.
    fn earlier(&self, b: &mut FuncBuilder, state: &[Val], other: &[Val]) -> Vec<Val> {
        let op = if self.kind == ReduceKind::ArgMin { CmpOp::Lt } else { CmpOp::Gt };
        let better = if self.ty.is_complex() {
            complex_before(&mut Builder::new(b), op, other[0], state[0])
        } else {
            b.cmp(op, other[0], state[0])
        };
        let equal = b.cmp(CmpOp::Eq, other[0], state[0]);
        let before = b.cmp(CmpOp::Lt, other[1], state[1]);
        let (mut take, mut tie) = (better, equal);
        if self.ty.is_float() || self.ty.is_complex() {
            let other_nan = b.cmp(CmpOp::Ne, other[0], other[0]);
            let state_nan = b.cmp(CmpOp::Ne, state[0], state[0]);
            let state_number = b.un(UnOp::Not, state_nan);
            let wins = b.bin(BinOp::And, other_nan, state_number);
            let both = b.bin(BinOp::And, other_nan, state_nan);
            take = b.bin(BinOp::Or, take, wins);
            tie = b.bin(BinOp::Or, tie, both);
        }
        let earlier_tie = b.bin(BinOp::And, tie, before);
        let take = b.bin(BinOp::Or, take, earlier_tie);
        vec![b.select(take, other[0], state[0]), b.select(take, other[1], state[1])]
    }
}

/// A sum and what its rounding lost, exactly (Knuth's two-sum).
fn two_sum(b: &mut FuncBuilder, x: Val, y: Val) -> (Val, Val) {
    let sum = b.bin(BinOp::Add, x, y);
    let other = b.bin(BinOp::Sub, sum, x);
    let back = b.bin(BinOp::Sub, sum, other);
    let lost_x = b.bin(BinOp::Sub, x, back);
    let lost_y = b.bin(BinOp::Sub, y, other);
    (sum, b.bin(BinOp::Add, lost_x, lost_y))
}

/// The largest (or smallest) value of a type: infinite for floats.
pub fn extreme(ty: ScalarType, largest: bool) -> Scalar {
    let inf = if largest { f64::INFINITY } else { f64::NEG_INFINITY };
    match ty {
        ScalarType::C64 => return Scalar::C64(inf as f32, inf as f32),
        ScalarType::C128 => return Scalar::C128(inf, inf),
        _ => {}
    }
    if let Some(v) = Scalar::from_f64(ty, inf) {
        return v;
    }
    if ty == ScalarType::Bool {
        return Scalar::Bool(largest);
    }
    let bits = ty.size() as u32 * 8;
    let max = if ty.is_signed() { (1u128 << (bits - 1)) - 1 } else { (1u128 << bits) - 1 };
    let min = if ty.is_signed() { 1u128 << (bits - 1) } else { 0 };
    Scalar::from_bits(ty, if largest { max } else { min })
}

//! Reducers: how a reduction accumulates, in terms of the typed IR.
//!
//! A reducer has a *state* of a few scalars. A kernel folds pieces of up to `PIECE` elements into it: inside a piece the
//! accumulation may be reordered and so runs in vector lanes; between pieces it is done carefully (compensated sums,
//! merged moments). States of different blocks are merged in the same way, and `finish` turns a state into the result. So
//! a sum of n elements has the error of one piece, whatever n is: NumPy's pairwise grade or better.
//!
//! Sources: compensated summation as in A. Neumaier, "Rundungsfehleranalyse einiger Verfahren zur Summation endlicher
//! Summen", ZAMM 54 (1974); merged moments as in T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating formulae and a
//! pairwise algorithm for computing sample variances", COMPSTAT (1982).

use pantile_jit::FuncBuilder;
use pantile_jit::ir::{Bounds, FpFlags};
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

const LANES: FpFlags = FpFlags { reassoc: true, contract: false };

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

    /// Folds a piece of `len` (at most `PIECE`) elements into `state`. `element` gives the element at a position of the piece.
    pub fn piece<F>(
        &self,
        b: &mut FuncBuilder,
        scratch: &[Val],
        len: Val,
        state: &[Val],
        mut element: F,
    ) -> Vec<Val>
    where
        F: FnMut(&mut FuncBuilder, Val) -> Element,
    {
        let t = self.ty;
        match self.kind {
            ReduceKind::Sum | ReduceKind::Mean => {
                let zero = b.constant(Scalar::from_i64(t, 0));
                let none = b.const_i64(0);
                let masked = std::cell::Cell::new(false);
                let out = b.counted_loop(len, &[zero, none], |b, i, acc| {
                    let e = element(b, i);
                    let (v, count) = match e.mask {
                        Some(m) => {
                            masked.set(true);
                            let one = b.cast(m, ScalarType::I64);
                            (b.select(m, e.value, zero), b.bin(BinOp::Add, acc[1], one))
                        }
                        None => (e.value, acc[1]),
                    };
                    vec![b.bin_with(BinOp::Add, acc[0], v, LANES), count]
                });
                let count = if masked.get() { out[1] } else { len };
                self.merge_sum(b, state, out[0], None, count)
            }
            ReduceKind::Prod | ReduceKind::Min | ReduceKind::Max | ReduceKind::Any | ReduceKind::All => {
                let start = b.constant(self.identity()[0]);
                let out = b.counted_loop(len, &[start], |b, i, acc| {
                    let e = element(b, i);
                    let v = match e.mask {
                        Some(m) => b.select(m, e.value, start),
                        None => e.value,
                    };
                    vec![self.combine(b, acc[0], v, LANES)]
                });
                vec![self.combine(b, state[0], out[0], FpFlags::default())]
            }
            ReduceKind::ArgMin | ReduceKind::ArgMax => b.counted_loop(len, state, |b, i, acc| {
                let e = element(b, i);
                self.step(b, acc, e)
            }),
            ReduceKind::Var(_) => {
                let zero = b.constant(Scalar::from_i64(t, 0));
                let none = b.const_i64(0);
                let masked = std::cell::Cell::new(false);
                let sums = b.counted_loop(len, &[zero, none], |b, i, acc| {
                    let e = element(b, i);
                    b.store(scratch[0], &[i], e.value, Bounds::Known);
                    let (v, count) = match e.mask {
                        Some(m) => {
                            masked.set(true);
                            b.store(scratch[1], &[i], m, Bounds::Known);
                            let one = b.cast(m, ScalarType::I64);
                            (b.select(m, e.value, zero), b.bin(BinOp::Add, acc[1], one))
                        }
                        None => (e.value, acc[1]),
                    };
                    vec![b.bin_with(BinOp::Add, acc[0], v, LANES), count]
                });
                let count = if masked.get() { sums[1] } else { len };
                let n = b.cast(count, t);
                let mean = b.bin(BinOp::Div, sums[0], n);
                let second = b.counted_loop(len, &[zero, zero], |b, i, acc| {
                    let v = b.load(scratch[0], &[i], Bounds::Known);
                    let mut d = b.bin(BinOp::Sub, v, mean);
                    if masked.get() {
                        let m = b.load(scratch[1], &[i], Bounds::Known);
                        d = b.select(m, d, zero);
                    }
                    let d2 = b.bin(BinOp::Mul, d, d);
                    vec![b.bin_with(BinOp::Add, acc[0], d2, LANES), b.bin_with(BinOp::Add, acc[1], d, LANES)]
                });
                // The distances would add up to zero if the mean were exact; what they add up to corrects it. Without this a
                // piece's mean is off by the rounding of its sum, which shows where the offset is large.
                let off = b.bin(BinOp::Div, second[1], n);
                let excess = b.bin(BinOp::Mul, second[1], off);
                let squares = b.bin(BinOp::Sub, second[0], excess);
                let squares = b.bin(BinOp::Max, squares, zero);
                self.merge_moments(b, state, &[mean, off, squares, count])
            }
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
        let op = match self.kind {
            ReduceKind::Prod => BinOp::Mul,
            ReduceKind::Min if self.ty == ScalarType::Bool => BinOp::And,
            ReduceKind::Max if self.ty == ScalarType::Bool => BinOp::Or,
            ReduceKind::Min => BinOp::Min,
            ReduceKind::Max => BinOp::Max,
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
        let better = b.cmp(op, other[0], state[0]);
        let equal = b.cmp(CmpOp::Eq, other[0], state[0]);
        let before = b.cmp(CmpOp::Lt, other[1], state[1]);
        let (mut take, mut tie) = (better, equal);
        if self.ty.is_float() {
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
    if let Some(v) = Scalar::from_f64(ty, if largest { f64::INFINITY } else { f64::NEG_INFINITY }) {
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

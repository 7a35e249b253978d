//! Order, extrema, truth, choice.
//!
//! Complex numbers are ordered by their real parts, then by their imaginary parts. 64-bit integers of different
//! signedness are compared by value.

use crate::catalogue::build::Builder;
use crate::catalogue::op::{Build, Chapter, Identity, Loops, Op, Quirk, row};
use crate::catalogue::time::TimeRule;
use crate::emit::Val;
use crate::prim::{BinOp, CmpOp, ScalarType};

const COMPARE: &[Loops] = &[
    Loops { over: "?bBhHiIqQ", form: "xx->?" },
    Loops { over: "x", form: "qQ->?" },
    Loops { over: "x", form: "Qq->?" },
    Loops { over: "efdFD", form: "xx->?" },
];
const ANY: &[Loops] = &[Loops { over: "?bBhHiIqQefdFD", form: "xx->x" }];
const TRUTH: &[Loops] = &[Loops { over: "?bBhHiIqQefdFD", form: "xx->?" }];

const fn op(name: &'static str, nin: usize, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Comparison, name, nin, loops, build, doc)
}

const fn compare(
    name: &'static str,
    symbol: &'static str,
    cmp: CmpOp,
    build: Build,
    doc: &'static str,
) -> Op {
    op(name, 2, COMPARE, build, doc).symbol(symbol).quirk(Quirk::Compare).time(TimeRule::Compare(cmp))
}

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    compare(
        "equal",
        "==",
        CmpOp::Eq,
        Build::One(|b, v| order(b, CmpOp::Eq, v)),
        "Whether the values are equal.",
    )
    .commutative(),
    compare(
        "not_equal",
        "!=",
        CmpOp::Ne,
        Build::One(|b, v| order(b, CmpOp::Ne, v)),
        "Whether the values differ.",
    )
    .commutative(),
    compare("less", "<", CmpOp::Lt, Build::One(|b, v| order(b, CmpOp::Lt, v)), "Whether the first is less."),
    compare(
        "less_equal",
        "<=",
        CmpOp::Le,
        Build::One(|b, v| order(b, CmpOp::Le, v)),
        "Whether the first is less or equal.",
    ),
    compare(
        "greater",
        ">",
        CmpOp::Gt,
        Build::One(|b, v| order(b, CmpOp::Gt, v)),
        "Whether the first is greater.",
    ),
    compare(
        "greater_equal",
        ">=",
        CmpOp::Ge,
        Build::One(|b, v| order(b, CmpOp::Ge, v)),
        "Whether the first is greater or equal.",
    ),
    op("maximum", 2, ANY, Build::One(|b, v| extremum(b, BinOp::Max, v)), "The greater; NaN if either is.")
        .time(TimeRule::Extremum(BinOp::Max))
        .associative()
        .commutative(),
    op("minimum", 2, ANY, Build::One(|b, v| extremum(b, BinOp::Min, v)), "The smaller; NaN if either is.")
        .time(TimeRule::Extremum(BinOp::Min))
        .associative()
        .commutative(),
    op(
        "fmax",
        2,
        ANY,
        Build::One(|b, v| extremum_no_nan(b, BinOp::Max, v)),
        "The greater; the other one if one is NaN.",
    )
    .time(TimeRule::ExtremumNoNat(BinOp::Max))
    .associative()
    .commutative(),
    op(
        "fmin",
        2,
        ANY,
        Build::One(|b, v| extremum_no_nan(b, BinOp::Min, v)),
        "The smaller; the other one if one is NaN.",
    )
    .time(TimeRule::ExtremumNoNat(BinOp::Min))
    .associative()
    .commutative(),
    op(
        "clip",
        3,
        &[Loops { over: "?bBhHiIqQefdFD", form: "xxx->x" }],
        Build::One(clip),
        "The value, no less than the second and no greater than the third argument.",
    )
    .quirk(Quirk::Common)
    .time(TimeRule::Clip)
    .function(),
    op(
        "where",
        3,
        &[Loops { over: "?bBhHiIqQefdFD", form: "?xx->x" }],
        Build::One(|b, v| b.select(v[0], v[1], v[2])),
        "The second argument where the first is true, else the third.",
    )
    .quirk(Quirk::Where)
    .time(TimeRule::Where)
    .function(),
    op("logical_and", 2, TRUTH, Build::One(|b, v| logical(b, BinOp::And, v)), "Whether both are true.")
        .quirk(Quirk::Truth)
        .time(TimeRule::Truth)
        .identity(Identity::One)
        .associative()
        .commutative(),
    op("logical_or", 2, TRUTH, Build::One(|b, v| logical(b, BinOp::Or, v)), "Whether either is true.")
        .quirk(Quirk::Truth)
        .time(TimeRule::Truth)
        .identity(Identity::Zero)
        .associative()
        .commutative(),
    op("logical_xor", 2, TRUTH, Build::One(|b, v| logical(b, BinOp::Xor, v)), "Whether exactly one is true.")
        .quirk(Quirk::Truth)
        .time(TimeRule::Truth)
        .identity(Identity::Zero)
        .associative()
        .commutative(),
    op(
        "logical_not",
        1,
        &[Loops { over: "?bBhHiIqQefdFD", form: "x->?" }],
        Build::One(logical_not),
        "Whether it is false.",
    )
    .quirk(Quirk::Truth),
];

/// A comparison of any numbers.
pub(crate) fn order(b: &mut Builder<'_>, op: CmpOp, v: &[Val]) -> Val {
    let (x, y) = (v[0], v[1]);
    match (b.ty(x), b.ty(y)) {
        (ScalarType::I64, ScalarType::U64) => mixed(b, op, x, y),
        (ScalarType::U64, ScalarType::I64) => mixed(b, swapped(op), y, x),
        (ty, _) if ty.is_complex() && !matches!(op, CmpOp::Eq | CmpOp::Ne) => lexicographic(b, op, x, y),
        _ => b.cmp(op, x, y),
    }
}

/// The comparison that holds for (y, x) when `op` holds for (x, y).
fn swapped(op: CmpOp) -> CmpOp {
    match op {
        CmpOp::Eq | CmpOp::Ne => op,
        CmpOp::Lt => CmpOp::Gt,
        CmpOp::Le => CmpOp::Ge,
        CmpOp::Gt => CmpOp::Lt,
        CmpOp::Ge => CmpOp::Le,
    }
}

/// `I64` with `U64`: a negative number is below every unsigned one, and the others compare unsigned.
fn mixed(b: &mut Builder<'_>, op: CmpOp, signed: Val, unsigned: Val) -> Val {
    let negative = b.is_negative(signed);
    let positive = b.cast(signed, ScalarType::U64);
    let plain = b.cmp(op, positive, unsigned);
    if matches!(op, CmpOp::Lt | CmpOp::Le | CmpOp::Ne) {
        b.or(negative, plain)
    } else {
        let not_negative = b.not(negative);
        b.and(not_negative, plain)
    }
}

/// The real parts decide unless equal; where they decide, a NaN in an imaginary part makes the comparison false.
fn lexicographic(b: &mut Builder<'_>, op: CmpOp, x: Val, y: Val) -> Val {
    let (xr, xi, yr, yi) = (b.re(x), b.im(x), b.re(y), b.im(y));
    let strict = if matches!(op, CmpOp::Lt | CmpOp::Le) { CmpOp::Lt } else { CmpOp::Gt };
    let decided = b.cmp(strict, xr, yr);
    let (x_valid, y_valid) = (b.eq(xi, xi), b.eq(yi, yi));
    let valid = b.and(x_valid, y_valid);
    let decided = b.and(decided, valid);
    let tie = b.eq(xr, yr);
    let second = b.cmp(op, xi, yi);
    let by_second = b.and(tie, second);
    b.or(decided, by_second)
}

/// The greater or smaller of two complex numbers in lexicographic order, the first NaN if there is one.
pub fn complex_extremum(b: &mut Builder<'_>, op: BinOp, x: Val, y: Val) -> Val {
    let nan = b.is_nan(x);
    let wins = lexicographic(b, if op == BinOp::Max { CmpOp::Ge } else { CmpOp::Le }, x, y);
    let first = b.or(nan, wins);
    b.select(first, x, y)
}

/// Whether a complex number comes strictly before (or after) another one in lexicographic order, neither being NaN.
pub fn complex_before(b: &mut Builder<'_>, op: CmpOp, x: Val, y: Val) -> Val {
    lexicographic(b, op, x, y)
}

/// The greater or smaller of two, the first NaN if there is one.
pub(crate) fn extremum(b: &mut Builder<'_>, op: BinOp, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if ty == ScalarType::Bool {
        return if op == BinOp::Max { b.or(v[0], v[1]) } else { b.and(v[0], v[1]) };
    }
    if ty.is_complex() {
        return complex_extremum(b, op, v[0], v[1]);
    }
    b.bin(op, v[0], v[1])
}

fn extremum_no_nan(b: &mut Builder<'_>, op: BinOp, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    if !ty.is_float() && !ty.is_complex() {
        return extremum(b, op, v);
    }
    let plain = extremum(b, op, v);
    let (first, second) = (b.is_nan(v[0]), b.is_nan(v[1]));
    let rest = b.select(first, v[1], plain);
    b.select(second, v[0], rest)
}

fn clip(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let low = extremum(b, BinOp::Max, &v[..2]);
    extremum(b, BinOp::Min, &[low, v[2]])
}

/// Whether a value is true: everything but zero is, NaN included.
pub(crate) fn truth(b: &mut Builder<'_>, v: Val) -> Val {
    b.cast(v, ScalarType::Bool)
}

fn logical(b: &mut Builder<'_>, op: BinOp, v: &[Val]) -> Val {
    let (x, y) = (truth(b, v[0]), truth(b, v[1]));
    b.bin(op, x, y)
}

fn logical_not(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let x = truth(b, v[0]);
    b.not(x)
}

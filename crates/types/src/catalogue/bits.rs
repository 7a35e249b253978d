//! Bits, shifts, greatest common divisors.

use crate::catalogue::build::Builder;
use crate::catalogue::op::{Build, Chapter, Identity, Loops, Op, Quirk, row};
use crate::emit::Val;
use crate::prim::{BinOp, LibFn, ScalarType, UnOp};

const BITS: &[Loops] = &[Loops { over: "?bBhHiIqQ", form: "xx->x" }];
const INTS: &[Loops] = &[Loops { over: "bBhHiIqQ", form: "xx->x" }];

const fn op(name: &'static str, nin: usize, loops: &'static [Loops], build: Build, doc: &'static str) -> Op {
    row(Chapter::Bits, name, nin, loops, build, doc)
}

/// The rows of this chapter.
pub(crate) static ROWS: &[Op] = &[
    op(
        "bitwise_and",
        2,
        BITS,
        Build::One(|b, v| b.and(v[0], v[1])),
        "Bits set in both; logical and of booleans.",
    )
    .symbol("&")
    .identity(Identity::AllOnes)
    .associative()
    .commutative(),
    op(
        "bitwise_or",
        2,
        BITS,
        Build::One(|b, v| b.or(v[0], v[1])),
        "Bits set in either; logical or of booleans.",
    )
    .symbol("|")
    .identity(Identity::Zero)
    .associative()
    .commutative(),
    op(
        "bitwise_xor",
        2,
        BITS,
        Build::One(|b, v| b.xor(v[0], v[1])),
        "Bits set in one only; inequality of booleans.",
    )
    .symbol("^")
    .identity(Identity::Zero)
    .associative()
    .commutative(),
    op(
        "invert",
        1,
        &[Loops { over: "?bBhHiIqQ", form: "x->x" }],
        Build::One(|b, v| b.not(v[0])),
        "All bits flipped; logical not of booleans.",
    )
    .alias(&["bitwise_not", "bitwise_invert"])
    .symbol("~"),
    op(
        "left_shift",
        2,
        INTS,
        Build::One(|b, v| b.bin(BinOp::Shl, v[0], v[1])),
        "Shift left; by the width or more, or by a negative count: 0.",
    )
    .alias(&["bitwise_left_shift"])
    .symbol("<<"),
    op(
        "right_shift",
        2,
        INTS,
        Build::One(|b, v| b.bin(BinOp::Shr, v[0], v[1])),
        "Shift right, keeping the sign; by the width or more, or by a negative count: 0 or -1.",
    )
    .alias(&["bitwise_right_shift"])
    .symbol(">>"),
    op(
        "bitwise_count",
        1,
        &[Loops { over: "bBhHiIqQ", form: "x->B" }],
        Build::One(bitwise_count),
        "Number of one bits of the absolute value.",
    ),
    op("gcd", 2, INTS, Build::One(gcd), "Greatest common divisor of the absolute values.")
        .quirk(Quirk::Exact)
        .identity(Identity::Zero)
        .associative()
        .commutative(),
    op("lcm", 2, INTS, Build::One(lcm), "Least common multiple of the absolute values; wraps.")
        .quirk(Quirk::Exact)
        .commutative(),
];

/// The absolute value as `U64`, the smallest integer included.
fn magnitude(b: &mut Builder<'_>, v: Val) -> Val {
    if b.ty(v).is_unsigned() {
        return b.cast(v, ScalarType::U64);
    }
    let wide = b.cast(v, ScalarType::I64);
    let abs = b.abs(wide);
    b.cast(abs, ScalarType::U64)
}

fn bitwise_count(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let abs = if b.ty(v[0]).is_signed() { b.abs(v[0]) } else { v[0] };
    let count = b.un(UnOp::Popcount, abs);
    b.cast(count, ScalarType::U8)
}

fn gcd(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    let (x, y) = (magnitude(b, v[0]), magnitude(b, v[1]));
    let divisor = b.lib(LibFn::Gcd, &[x, y]);
    b.cast(divisor, ty)
}

fn lcm(b: &mut Builder<'_>, v: &[Val]) -> Val {
    let ty = b.ty(v[0]);
    let (x, y) = (magnitude(b, v[0]), magnitude(b, v[1]));
    let divisor = b.lib(LibFn::Gcd, &[x, y]);
    // Both zero: the divisor is zero, and so is the quotient.
    let reduced = b.div(x, divisor);
    let multiple = b.mul(reduced, y);
    b.cast(multiple, ty)
}

//! The builder: its structured helpers, its folding, and its messages.

use pantile_jit::ir::*;
use pantile_jit::testing::{Layout, Value, call};
use pantile_jit::{Backend, FuncBuilder, Interpreter, ParFor, verify};
use pantile_types::{BinOp, CmpOp, Emit, Scalar, ScalarType};

const I64: Type = Type::I64;

fn int(v: i64) -> Value {
    Value::Scalar(Scalar::Int(ScalarType::I64, v))
}

fn plain(t: Type) -> (Type, ParamAttrs) {
    (t, ParamAttrs::default())
}

fn run(module: &Module, id: FuncId, args: &[Value]) -> Result<Vec<Value>, TrapCode> {
    verify(module).unwrap();
    let code = Interpreter.compile(module, id).unwrap();
    call(&*code, module.get(id), args, Layout::Compact).unwrap().results
}

fn one(f: Function) -> (Module, FuncId) {
    let mut module = Module::default();
    let id = module.add(f);
    (module, id)
}

#[test]
fn counted_loops() {
    let mut b = FuncBuilder::new("f", &[plain(I64), plain(I64)], &[I64, I64]);
    let (lo, hi, zero) = (b.param(0), b.param(1), b.const_i64(0));
    let got = b.counted_loop_step(lo, hi, 3, &[zero, zero], |b, i, c| {
        let inner = b.counted_loop(i, &[c[1]], |b, _, c| {
            let one = b.const_i64(1);
            vec![b.bin(BinOp::Add, c[0], one)]
        });
        vec![b.bin(BinOp::Add, c[0], i), inner[0]]
    });
    b.ret(&got);
    let (module, id) = one(b.finish());
    assert_eq!(run(&module, id, &[int(0), int(10)]), Ok(vec![int(18), int(18)]));
    assert_eq!(run(&module, id, &[int(-4), int(3)]), Ok(vec![int(-3), int(2)]));
    assert_eq!(run(&module, id, &[int(4), int(4)]), Ok(vec![int(0), int(0)]));
}

#[test]
fn arms_may_end_by_themselves() {
    let mut b = FuncBuilder::new("f", &[plain(I64)], &[I64]);
    let (x, zero) = (b.param(0), b.const_i64(0));
    let negative = b.cmp(CmpOp::Lt, x, zero);
    let got = b.if_else(
        negative,
        &[I64],
        |b| {
            b.trap(TrapCode::User(3));
            vec![]
        },
        |b| vec![b.bin(BinOp::Mul, x, x)],
    );
    b.ret(&got);
    let (module, id) = one(b.finish());
    assert_eq!(run(&module, id, &[int(5)]), Ok(vec![int(25)]));
    assert_eq!(run(&module, id, &[int(-5)]), Err(TrapCode::User(3)));

    // Where both arms end by themselves, what follows cannot be reached and goes away.
    let mut b = FuncBuilder::new("f", &[plain(Type::BOOL)], &[I64]);
    let c = b.param(0);
    let got = b.if_else(
        c,
        &[I64],
        |b| {
            let v = b.const_i64(1);
            b.ret(&[v]);
            vec![]
        },
        |b| {
            b.trap(TrapCode::Unreachable);
            vec![]
        },
    );
    b.ret(&got);
    let f = b.finish();
    assert_eq!(f.blocks.len(), 3);
    let (module, id) = one(f);
    assert_eq!(run(&module, id, &[Value::Scalar(Scalar::Bool(true))]), Ok(vec![int(1)]));
}

#[test]
fn repeated_and_trivial_operations_are_free() {
    let mut b = FuncBuilder::new("f", &[plain(I64), plain(I64)], &[I64]);
    let (x, y) = (b.param(0), b.param(1));
    let (zero, one_) = (b.const_i64(0), b.const_i64(1));
    assert_eq!(zero, b.const_i64(0));
    assert_eq!(b.bin(BinOp::Add, x, y), b.bin(BinOp::Add, x, y));
    assert_eq!(b.bin(BinOp::Add, x, zero), x);
    assert_eq!(b.bin(BinOp::Mul, one_, x), x);
    assert_eq!(b.bin(BinOp::Mul, x, zero), zero);
    assert_eq!(b.cast(x, ScalarType::I64), x);
    let (yes, same) = (b.const_bool(true), b.cmp(CmpOp::Eq, x, y));
    assert_eq!(b.select(same, x, x), x);
    assert_eq!(b.select(yes, x, y), x);
    let three = b.const_i64(3);
    let max = b.const_i64(i64::MAX);
    let wrapped = b.bin(BinOp::Add, max, three);
    assert_eq!(b.as_constant(wrapped), Some(Scalar::Int(ScalarType::I64, i64::MIN + 2)));
    // -0.0 + 0.0 is not -0.0: floats are not folded.
    let (f, g) = (b.const_f64(-0.0), b.const_f64(0.0));
    assert_ne!(b.bin(BinOp::Add, f, g), f);
    b.ret(&[x]);
    verify(&one(b.finish()).0).unwrap();
}

#[test]
fn local_arrays_land_in_the_entry_block() {
    let mut b = FuncBuilder::new("f", &[plain(I64)], &[I64]);
    let (n, zero) = (b.param(0), b.const_i64(0));
    let got = b.counted_loop(n, &[zero], |b, i, c| {
        let a = b.local_array(ScalarType::I64, 4);
        let at = b.const_i64(2);
        b.store(a, &[at], i, Bounds::Known);
        let v = b.load(a, &[at], Bounds::Checked);
        vec![b.bin(BinOp::Add, c[0], v)]
    });
    b.ret(&got);
    let (module, id) = one(b.finish());
    assert_eq!(run(&module, id, &[int(5)]), Ok(vec![int(10)]));
}

#[test]
fn calls_tuples_and_parallel_loops() {
    let mut module = Module::default();
    let mut b = FuncBuilder::new("piece", &[plain(I64), plain(I64), plain(I64), plain(I64)], &[I64]);
    let (lo, hi, factor, acc) = (b.param(0), b.param(1), b.param(2), b.param(3));
    let got = b.counted_loop_step(lo, hi, 1, &[acc], |b, i, c| {
        let v = b.bin(BinOp::Mul, i, factor);
        vec![b.bin(BinOp::Add, c[0], v)]
    });
    b.ret(&got);
    let body = module.add(b.finish());
    let mut b = FuncBuilder::new("merge", &[plain(I64), plain(I64)], &[I64]);
    let (x, y) = (b.param(0), b.param(1));
    let sum = b.bin(BinOp::Add, x, y);
    b.ret(&[sum]);
    let combine = module.add(b.finish());
    let mut b = FuncBuilder::new("f", &[plain(I64), plain(I64)], &[I64]);
    let (n, factor) = (b.param(0), b.param(1));
    let (zero, grain) = (b.const_i64(0), b.const_i64(4));
    let p =
        ParFor { lo: zero, hi: n, grain, body, captures: &[factor], init: &[zero], combine: Some(combine) };
    let total = b.par_for(&module, p)[0];
    let pair = b.tuple(&[total, n]);
    let (first, second) = (b.tuple_get(pair, 0), b.tuple_get(pair, 1));
    let got = b.call(&module, combine, &[first, second]);
    b.ret(&got);
    let id = module.add(b.finish());
    assert_eq!(run(&module, id, &[int(100), int(2)]), Ok(vec![int(10_000)]));
}

fn panic_message(f: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = std::panic::catch_unwind(f).unwrap_err();
    payload.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn misuse_panics_with_the_place() {
    let message = panic_message(|| {
        let mut b = FuncBuilder::new("f", &[plain(I64)], &[]);
        let (x, y) = (b.param(0), b.const_f64(1.0));
        b.bin(BinOp::Add, x, y);
    });
    assert_eq!(message, "@f, b0: `add` takes two values of one type, not i64 and f64");
    let message = panic_message(|| {
        let mut b = FuncBuilder::new("f", &[], &[I64]);
        b.ret(&[]);
    });
    assert_eq!(message, "@f, b0: results: 1 expected, 0 given");
    let message = panic_message(|| {
        let mut b = FuncBuilder::new("f", &[], &[]);
        b.ret(&[]);
        b.const_i64(1);
    });
    assert_eq!(message, "@f, b0: the block has ended already");
    let message = panic_message(|| {
        let mut b = FuncBuilder::new("f", &[], &[]);
        let next = b.create_block(&[]);
        b.jump(next, &[]);
        b.finish();
    });
    assert_eq!(message, "@f: block b1 has no terminator");
}

//! Parallel loops: the same numbers whoever runs the pieces, and the first trap in order.

mod common;

use common::vector;
use pantile_jit::ir::{Bounds, FpFlags, FuncId, Module, ParamAttrs, Pieces, TrapCode, Type};
use pantile_jit::{Backend, Executable, FuncBuilder, Interpreter, ParFor};
use pantile_jit_llvm::{RunPiece, set_parallel_runtime};
use pantile_types::{BinOp, CmpOp, Emit, ScalarType::F64};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

/// `sum(x[lo..hi])` in pieces of at least `grain`; a negative element traps with its index.
fn checked_sum() -> (Module, FuncId) {
    let (f64_type, none) = (Type::Scalar(F64), ParamAttrs::default());
    let mut m = Module::default();
    let mut b = FuncBuilder::new(
        "piece",
        &[(Type::I64, none), (Type::I64, none), (vector(F64), none), (f64_type.clone(), none)],
        std::slice::from_ref(&f64_type),
    );
    let (lo, hi, x, start) = (b.param(0), b.param(1), b.param(2), b.param(3));
    let sum = b.counted_loop_step(lo, hi, 1, &[start], |b, i, acc| {
        let v = b.load(x, &[i], Bounds::Checked);
        let zero = b.const_f64(0.0);
        let negative = b.cmp(CmpOp::Lt, v, zero);
        let minus_two = b.const_f64(-2.0);
        let very = b.cmp(CmpOp::Lt, v, minus_two);
        b.if_else(
            negative,
            &[],
            |b| {
                b.if_else(
                    very,
                    &[],
                    |b| {
                        b.trap(TrapCode::User(2));
                        vec![]
                    },
                    |b| {
                        b.trap(TrapCode::User(1));
                        vec![]
                    },
                );
                vec![]
            },
            |_| vec![],
        );
        vec![b.bin_with(BinOp::Add, acc[0], v, FpFlags::default())]
    });
    b.ret(&sum);
    let body = m.add(b.finish());

    let mut b = FuncBuilder::new(
        "merge",
        &[(f64_type.clone(), none), (f64_type.clone(), none)],
        std::slice::from_ref(&f64_type),
    );
    let sum = b.bin(BinOp::Add, b.param(0), b.param(1));
    b.ret(&[sum]);
    let combine = m.add(b.finish());

    let params = [(vector(F64), none), (Type::I64, none), (Type::I64, none), (Type::I64, none)];
    let mut b = FuncBuilder::new("sum", &params, &[f64_type]);
    let (x, lo, hi, grain, zero) = (b.param(0), b.param(1), b.param(2), b.param(3), b.const_f64(0.0));
    let sum =
        b.par_for(&m, ParFor { lo, hi, grain, body, captures: &[x], init: &[zero], combine: Some(combine) });
    b.ret(&sum);
    let entry = m.add(b.finish());
    pantile_jit::verify::assert_verified(&m, "building a parallel sum");
    (m, entry)
}

static PIECES_RUN: AtomicU64 = AtomicU64::new(0);

/// Four threads take pieces from the end, so that nothing happens in order.
unsafe extern "C" fn backwards(pieces: u64, context: *mut c_void, run_piece: RunPiece) {
    let (next, context) = (AtomicU64::new(pieces), context as usize);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Ok(n) =
                    next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                {
                    PIECES_RUN.fetch_add(1, Ordering::Relaxed);
                    run_piece(context as *mut c_void, n - 1);
                }
            });
        }
    });
}

fn run(code: &dyn Executable, x: &[f64], lo: i64, hi: i64, grain: i64) -> Result<u64, TrapCode> {
    let args = [x.as_ptr() as u64, x.len() as u64, 8, lo as u64, hi as u64, grain as u64];
    let mut results = [0];
    // SAFETY: the array has the length beside it.
    unsafe { code.call(&args, &mut results) }.map(|()| results[0])
}

#[test]
fn threads_change_nothing() {
    let (m, entry) = checked_sum();
    let oracle = Interpreter.compile(&m, entry).expect("verified");
    let code = common::backend().compile(&m, entry).expect("compiles");
    let x: Vec<f64> = (0..5000).map(|i| 1.0 / f64::from(i + 1)).collect();
    let ranges = [(0, 5000), (17, 4001), (3, 3), (9, 2), (0, 1), (4000, 5000)];
    let cases: Vec<(i64, i64, i64)> = ranges
        .iter()
        .flat_map(|(lo, hi)| [1, 7, 100, 5000, 1 << 40, 0, -3].map(|grain| (*lo, *hi, grain)))
        .collect();
    for threads in [false, true] {
        if threads {
            set_parallel_runtime(backwards);
        }
        for (lo, hi, grain) in &cases {
            let before = PIECES_RUN.load(Ordering::Relaxed);
            let got = run(code.as_ref(), &x, *lo, *hi, *grain);
            assert_eq!(got, run(oracle.as_ref(), &x, *lo, *hi, *grain), "{lo}..{hi} by {grain}");
            let pieces = Pieces::new(*lo, *hi, *grain).count();
            let expected = if threads && pieces > 1 { pieces } else { 0 };
            assert_eq!(PIECES_RUN.load(Ordering::Relaxed) - before, expected);
        }
        // The first trap in order wins, whichever happened first.
        let mut bad = x.clone();
        (bad[4000], bad[1000]) = (-1.0, -3.0);
        assert_eq!(run(code.as_ref(), &bad, 0, 5000, 10), Err(TrapCode::User(2)));
        assert_eq!(run(code.as_ref(), &bad, 1500, 5000, 10), Err(TrapCode::User(1)));
        assert_eq!(run(code.as_ref(), &x, 0, 5001, 10), Err(TrapCode::IndexOutOfBounds));
    }
}

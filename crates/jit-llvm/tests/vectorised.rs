//! Loops that must become vector code, so that a change which silently makes them scalar fails here.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

mod common;

use common::{FAST, alone, fold, map, multiply_add, sine};
use pantile_jit::ir::Function;
use pantile_jit_llvm::{Dump, LlvmBackend, LlvmOptions, Pipeline};
use pantile_types::ScalarType::{self, F32, F64, I32, U8};
use pantile_types::{BinOp, CmpOp, Emit, UnOp};

/// The widest vectors that this machine has, as LLVM writes a type of them: `<8 x double>`.
fn wide(b: &LlvmBackend, element: &str) -> String {
    let bits = match element {
        "double" | "i64" => 64,
        "float" | "i32" => 32,
        "i8" => 8,
        other => panic!("{other}"),
    };
    format!("<{} x {element}>", b.vector_bits() / bits)
}

#[track_caller]
fn contains(f: impl Fn() -> Function, element: &str, op: &str) {
    for pipeline in [Pipeline::Lean, Pipeline::O3] {
        let b = LlvmBackend::new(LlvmOptions { pipeline, ..LlvmOptions::default() }).expect("supported");
        let (m, id) = alone(f());
        let text = b.dump(&m, id, Dump::LlvmIr).expect("compiles");
        let vector = wide(&b, element);
        let found = text.lines().any(|l| l.contains(op) && l.contains(&vector));
        assert!(found, "{pipeline:?}: no `{op}` of {vector} in\n{text}");
    }
}

#[test]
fn sums() {
    contains(|| fold("sum", F64, BinOp::Add, 0.0), "double", "fadd");
    contains(|| fold("sum", F32, BinOp::Add, 0.0), "float", "fadd");
}

#[test]
fn maxima_with_nan() {
    contains(|| fold("max", F64, BinOp::Max, f64::NEG_INFINITY), "double", "llvm.maximum");
    contains(|| fold("min", F32, BinOp::Min, f64::INFINITY), "float", "llvm.minimum");
}

#[test]
fn arithmetic() {
    contains(multiply_add, "double", "fmul");
    contains(multiply_add, "double", "fadd");
    contains(|| map("rint", &[F64], F64, |e, v| e.un(UnOp::Rint, v[0])), "double", "llvm.roundeven");
}

#[test]
fn fused_multiply_add_is_one_instruction() {
    let b = common::backend();
    let (m, id) = alone(multiply_add());
    let asm = b.dump(&m, id, Dump::Asm).expect("compiles");
    assert!(asm.contains("vfmadd"), "{asm}");
}

#[test]
fn elementary_functions() {
    contains(sine, "double", "@_ZGV");
    contains(|| map("exp", &[F32], F32, |e, v| e.un(UnOp::Exp, v[0])), "float", "@_ZGV");
    contains(|| map("pow", &[F64; 2], F64, |e, v| e.bin(BinOp::Pow, v[0], v[1])), "double", "@_ZGV");
}

#[test]
fn shifts_conversions_and_choices() {
    contains(|| map("shl", &[I32; 2], I32, |e, v| e.bin(BinOp::Shl, v[0], v[1])), "i32", "shl");
    contains(|| map("to i32", &[F32], I32, |e, v| e.cast(v[0], I32)), "float", "fptosi");
    contains(|| map("to f64", &[I32], F64, |e, v| e.cast(v[0], F64)), "double", "sitofp");
    contains(
        || {
            map("mask", &[F64; 2], ScalarType::Bool, |e, v| {
                let sum = e.bin_with(BinOp::Add, v[0], v[1], FAST);
                e.cmp(CmpOp::Lt, sum, v[0])
            })
        },
        "double",
        "fcmp",
    );
    contains(|| map("bytes", &[U8; 2], U8, |e, v| e.bin(BinOp::Add, v[0], v[1])), "i8", "add");
}

#[test]
fn half_precision_uses_the_machine() {
    let f = || {
        map("scale", &[ScalarType::F16], ScalarType::F16, |e, v| {
            let x = e.cast(v[0], F32);
            let y = e.bin_with(BinOp::Add, x, x, FAST);
            e.cast(y, ScalarType::F16)
        })
    };
    let (m, id) = alone(f());
    let asm = common::backend().dump(&m, id, Dump::Asm).expect("compiles");
    assert!(asm.contains("vcvtph2ps") && asm.contains("vcvtps2ph") && !asm.contains("@PLT"), "{asm}");
    let narrow = map("narrow", &[F64], ScalarType::F16, |e, v| e.cast(v[0], ScalarType::F16));
    let (m, id) = alone(narrow);
    let asm = common::backend().dump(&m, id, Dump::Asm).expect("compiles");
    assert!(asm.contains("vcvtps2ph") && !asm.contains("@PLT"), "{asm}");
}

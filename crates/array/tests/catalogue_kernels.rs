//! Every operation of the catalogue, for every data type that it has a loop for, as a kernel: interpreted and compiled, on
//! special values and on ordinary ones, the results must be the same bits (elementary functions: within their ulps).

use pantile_array::kernel::{Mode, build};
use pantile_array::program::{MapOp, Program, Step};
use pantile_jit::ir::{FuncId, Stride};
use pantile_jit::testing::Value;
use pantile_jit::{Backend, Executable, Interpreter};
use pantile_jit_llvm::{LlvmBackend, LlvmOptions};
use pantile_types::catalogue::{Accuracy, Op, Signature, all, resolve};
use pantile_types::{DType, Operand, Scalar, ScalarType};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// The special values of each type, which the catalogue's own tests use as well.
fn values() -> BTreeMap<String, Vec<Scalar>> {
    let mut out = BTreeMap::new();
    for line in include_str!("../../types/tests/data/values.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let ["in", name, hex] = words.as_slice() else { continue };
        let dtype = DType::parse(name).expect("a dtype");
        let t = dtype.scalar().expect("native");
        let digits = 2 * t.size();
        let list = (0..hex.len() / digits).map(|i| {
            let mut bits = 0u128;
            for k in (0..t.size()).rev() {
                let at = i * digits + 2 * k;
                bits = bits << 8 | u128::from_str_radix(&hex[at..at + 2], 16).expect("hex");
            }
            Scalar::from_bits(t, bits)
        });
        out.insert(dtype.name(), list.collect());
    }
    out
}

/// The operand types to try: those of NumPy's loops, and those of times.
fn signatures(op: &'static Op) -> Vec<Vec<DType>> {
    let natives = [
        DType::Bool,
        DType::I8,
        DType::U8,
        DType::I16,
        DType::U16,
        DType::I32,
        DType::U32,
        DType::I64,
        DType::U64,
        DType::F16,
        DType::F32,
        DType::F64,
        DType::C64,
        DType::C128,
    ];
    let times = ["<M8[D]", "<m8[s]", "<m8[D]"].map(|t| DType::parse(t).expect("a time"));
    let mut lists: Vec<Vec<DType>> = Vec::new();
    for t in natives.into_iter().chain(times) {
        lists.push(vec![t; op.nin]);
        if op.nin >= 2 {
            // A mixture: conditions, shift counts, exponents, spans of time by numbers.
            for u in [DType::Bool, DType::I64, DType::F64].into_iter().chain(times) {
                let mut mixed = vec![t; op.nin];
                mixed[0] = u;
                lists.push(mixed.clone());
                mixed = vec![t; op.nin];
                mixed[op.nin - 1] = u;
                lists.push(mixed);
            }
        }
    }
    // What an operation computes with, not what it is given: conversions have tests of their own.
    let resolved = lists.into_iter().filter_map(|l| {
        let operands: Vec<Operand> = l.iter().map(|d| Operand::Typed(*d)).collect();
        Some(resolve(op, &operands).ok()?.inputs.to_vec())
    });
    let mut seen = HashSet::new();
    resolved.filter(|l| seen.insert(l.clone())).collect()
}

/// The operands, as columns of the same length: all pairs of special values; for more operands a walk through them.
fn columns(lists: &[&Vec<Scalar>]) -> Vec<Vec<Scalar>> {
    let count = match lists {
        [one] => one.len(),
        [a, b] => a.len() * b.len(),
        more => more.iter().map(|l| l.len()).max().unwrap_or(0) * 31,
    };
    (0..lists.len())
        .map(|k| {
            let place = |i: usize| match (lists.len(), k) {
                (1, _) => i,
                (2, 0) => i / lists[1].len(),
                (2, _) => i,
                _ => i / [1, 7, 3][k % 3],
            };
            (0..count).map(|i| lists[k][place(i) % lists[k].len()]).collect()
        })
        .collect()
}

fn bytes(column: &[Scalar]) -> Vec<u128> {
    let size = column[0].ty().size();
    let mut out = vec![0u128; (column.len() * size).div_ceil(16) + 1];
    for (i, v) in column.iter().enumerate() {
        let bits = v.bits().to_le_bytes();
        // SAFETY: the vector has room for every element, and any bytes are numbers.
        unsafe {
            std::ptr::copy_nonoverlapping(bits.as_ptr(), out.as_mut_ptr().cast::<u8>().add(i * size), size);
        }
    }
    out
}

fn scalars(memory: &[u128], t: ScalarType, n: usize) -> Vec<Scalar> {
    (0..n)
        .map(|i| {
            let mut bits = [0u8; 16];
            let from = memory.as_ptr().cast::<u8>().wrapping_add(i * t.size());
            // SAFETY: element `i` lies inside the vector.
            unsafe { std::ptr::copy_nonoverlapping(from, bits.as_mut_ptr(), t.size()) };
            Scalar::from_bits(t, u128::from_le_bytes(bits))
        })
        .collect()
}

/// Runs an elementwise kernel over columns; gives its outputs.
fn run(code: &dyn Executable, inputs: &[Vec<Scalar>], outputs: &[ScalarType]) -> Vec<Vec<Scalar>> {
    let n = inputs[0].len();
    let columns: Vec<Vec<u128>> = inputs.iter().map(|c| bytes(c)).collect();
    let mut results: Vec<Vec<u128>> =
        outputs.iter().map(|t| vec![0; (n * t.size()).div_ceil(16) + 1]).collect();
    let mut args = vec![1, n as u64];
    let mut view = |p: *const u128, t: ScalarType| args.extend([p as u64, 1, n as u64, 0, t.size() as u64]);
    for (memory, column) in columns.iter().zip(inputs) {
        view(memory.as_ptr(), column[0].ty());
    }
    for (memory, t) in results.iter_mut().zip(outputs) {
        view(memory.as_mut_ptr(), *t);
    }
    // SAFETY: every view has one row of `n` elements of its type, and the outputs are their own.
    unsafe { code.call(&args, &mut []) }.expect("kernels do not trap");
    results.iter().zip(outputs).map(|(memory, t)| scalars(memory, *t, n)).collect()
}

fn program(op: &'static Op, signature: &Signature) -> Program {
    let mut program = Program::default();
    let signature = Arc::new(signature.clone());
    for d in &signature.inputs {
        let t = d.scalar().expect("native");
        program.leaves.push(t);
        program.push(Step::Leaf(program.leaves.len() as u16 - 1), t);
    }
    for output in 0..op.nout {
        let call = MapOp::Call { op, signature: signature.clone(), output: output as u8 };
        let t = signature.outputs[output].scalar().expect("native");
        let step = program.push(Step::Op(call, (0..op.nin as u16).collect()), t);
        program.outputs.push(step);
    }
    program
}

/// Whether two results are the same, or near enough: for complex numbers in units of the larger part.
fn near(a: Scalar, b: Scalar, ulps: u64) -> bool {
    if Value::Scalar(a).close(&Value::Scalar(b), ulps) {
        return true;
    }
    let (parts, epsilon) = match (a, b) {
        (Scalar::C64(ar, ai), Scalar::C64(br, bi)) => {
            ([ar, ai, br, bi].map(f64::from), f64::from(f32::EPSILON))
        }
        (Scalar::C128(ar, ai), Scalar::C128(br, bi)) => ([ar, ai, br, bi], f64::EPSILON),
        _ => return false,
    };
    let scale = parts.iter().fold(0.0f64, |m, v| if v.is_finite() { m.max(v.abs()) } else { m });
    let same = |x: f64, y: f64| {
        x == y || (x.is_nan() && y.is_nan()) || (x - y).abs() <= ulps as f64 * epsilon * scale
    };
    ulps > 0 && same(parts[0], parts[2]) && same(parts[1], parts[3])
}

#[test]
fn every_operation_is_the_same_interpreted_and_compiled() {
    let values = values();
    let llvm = LlvmBackend::new(LlvmOptions::default()).expect("this machine is supported");
    let (mut kernels, mut compared) = (0, 0);
    let mut untried = Vec::new();
    let mut wrong = Vec::new();
    for op in all() {
        let before = kernels;
        for inputs in signatures(op) {
            let operands: Vec<Operand> = inputs.iter().map(|d| Operand::Typed(*d)).collect();
            let Ok(signature) = resolve(op, &operands) else { continue };
            let lists: Option<Vec<&Vec<Scalar>>> =
                signature.inputs.iter().map(|d| values.get(&d.name())).collect();
            let (Some(lists), true) = (lists, signature.outputs.iter().all(|d| d.scalar().is_some())) else {
                continue;
            };
            let program = program(op, &signature);
            let outputs: Vec<ScalarType> =
                program.outputs.iter().map(|&o| program.types[o as usize]).collect();
            let classes = vec![Stride::Unit; op.nin + op.nout];
            let module = build::kernel(&program, Mode::Store, &classes, false, false);
            let name = format!("{} of {:?}", op.name, signature.inputs);
            pantile_jit::verify(&module).unwrap_or_else(|e| panic!("{name}: {e}"));
            let interpreted = Interpreter.compile(&module, FuncId(0)).expect("it compiles");
            let compiled =
                Backend::compile(&llvm, &module, FuncId(0)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let columns = columns(&lists);
            let wanted = run(&*interpreted, &columns, &outputs);
            let got = run(&*compiled, &columns, &outputs);
            kernels += 1;
            let complex = signature.inputs.iter().any(|d| d.is_complex());
            let ulps = match op.accuracy {
                // The sign of a complex number divides by its length, which is an elementary function.
                Accuracy::Exact if complex => 2,
                Accuracy::Exact => 0,
                Accuracy::Ulp(n) => u64::from(n),
            };
            for (w, g) in wanted.iter().zip(&got) {
                compared += w.len();
                let off = (0..w.len()).find(|&i| !near(w[i], g[i], ulps));
                if let Some(i) = off {
                    let args: Vec<Scalar> = columns.iter().map(|c| c[i]).collect();
                    wrong.push(format!("{name} at {args:?}: interpreted {:?}, compiled {:?}", w[i], g[i]));
                }
            }
        }
        if kernels == before {
            untried.push(op.name);
        }
    }
    println!("{kernels} kernels, {compared} results");
    assert!(untried.is_empty(), "no data types were found for {untried:?}");
    assert!(kernels > 500 && compared > 100_000, "{kernels} kernels, {compared} results");
    assert!(wrong.is_empty(), "{} of {kernels} kernels differ:\n{}", wrong.len(), wrong.join("\n"));
}

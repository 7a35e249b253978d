//! Small kernels and helpers that several test files share.
#![allow(dead_code)]

use pantile_jit::ir::{Bounds, FpFlags, FuncId, Function, Module, ParamAttrs, Stride, Type, ViewType};
use pantile_jit::{Executable, FuncBuilder};
use pantile_jit_llvm::{LlvmBackend, LlvmKernel, LlvmOptions};
use pantile_types::{BinOp, Emit, ScalarType, UnOp, Val};

/// What reductions allow.
pub const FAST: FpFlags = FpFlags { reassoc: true, contract: true };

/// A one-dimensional view with neighbouring elements.
pub fn vector(elem: ScalarType) -> Type {
    Type::View(ViewType { elem, strides: [Stride::Unit].into_iter().collect() })
}

/// A module of one function.
pub fn alone(f: Function) -> (Module, FuncId) {
    let mut m = Module::default();
    let id = m.add(f);
    pantile_jit::verify::assert_verified(&m, "building a test kernel");
    (m, id)
}

/// A backend without a cache on disk.
pub fn backend() -> LlvmBackend {
    LlvmBackend::new(LlvmOptions::default()).expect("this machine is supported")
}

/// `out[i] = f(inputs[0][i], inputs[1][i], ...)`: parameters are the inputs, then the output.
pub fn map(
    name: &str,
    inputs: &[ScalarType],
    output: ScalarType,
    f: impl FnOnce(&mut FuncBuilder, &[Val]) -> Val,
) -> Function {
    let mut params: Vec<(Type, ParamAttrs)> =
        inputs.iter().map(|t| (vector(*t), ParamAttrs { noalias: true, readonly: true })).collect();
    params.push((vector(output), ParamAttrs { noalias: true, readonly: false }));
    let mut b = FuncBuilder::new(name, &params, &[]);
    let views = b.params();
    let (out, ins) = views.split_last().expect("there is an output");
    let n = b.view_len(*out, 0);
    b.counted_loop(n, &[], |b, i, _| {
        let values: Vec<Val> = ins.iter().map(|v| b.load(*v, &[i], Bounds::Known)).collect();
        let result = f(b, &values);
        b.store(*out, &[i], result, Bounds::Known);
        vec![]
    });
    b.ret(&[]);
    b.finish()
}

/// A fold of one vector with an operation that may be reordered.
pub fn fold(name: &str, elem: ScalarType, op: BinOp, start: f64) -> Function {
    let readonly = ParamAttrs { noalias: true, readonly: true };
    let mut b = FuncBuilder::new(name, &[(vector(elem), readonly)], &[Type::Scalar(elem)]);
    let x = b.param(0);
    let n = b.view_len(x, 0);
    let start = b.constant(pantile_types::Scalar::from_f64(elem, start).expect("a float"));
    let out = b.counted_loop(n, &[start], |b, i, acc| {
        let v = b.load(x, &[i], Bounds::Known);
        vec![b.bin_with(op, acc[0], v, FAST)]
    });
    b.ret(&out);
    b.finish()
}

/// `a + b * c`.
pub fn multiply_add() -> Function {
    map("multiply_add", &[ScalarType::F64; 3], ScalarType::F64, |b, v| {
        let product = b.bin_with(BinOp::Mul, v[1], v[2], FAST);
        b.bin_with(BinOp::Add, v[0], product, FAST)
    })
}

/// `sin(x)`.
pub fn sine() -> Function {
    map("sine", &[ScalarType::F64], ScalarType::F64, |b, v| b.un(UnOp::Sin, v[0]))
}

/// The sum of `(x + y)` over two-dimensional arrays of which the second is transposed: strides known only at run time.
pub fn transposed_sum() -> Function {
    let rows = Type::View(ViewType {
        elem: ScalarType::F64,
        strides: [Stride::Dynamic, Stride::Unit].into_iter().collect(),
    });
    let columns = Type::View(ViewType {
        elem: ScalarType::F64,
        strides: [Stride::Unit, Stride::Dynamic].into_iter().collect(),
    });
    let readonly = ParamAttrs { noalias: true, readonly: true };
    let f64_type = Type::Scalar(ScalarType::F64);
    let mut b = FuncBuilder::new("transposed_sum", &[(rows, readonly), (columns, readonly)], &[f64_type]);
    let (x, y) = (b.param(0), b.param(1));
    let (n, m) = (b.view_len(x, 0), b.view_len(x, 1));
    let zero = b.const_f64(0.0);
    let out = b.counted_loop(n, &[zero], |b, i, acc| {
        b.counted_loop(m, acc, |b, j, acc| {
            let (p, q) = (b.load(x, &[i, j], Bounds::Known), b.load(y, &[i, j], Bounds::Known));
            let s = b.bin_with(BinOp::Add, p, q, FAST);
            vec![b.bin_with(BinOp::Add, acc[0], s, FAST)]
        })
    });
    b.ret(&out);
    b.finish()
}

/// A chain of operations of the size of a Black-Scholes formula.
pub fn long_chain() -> Function {
    map("long_chain", &[ScalarType::F64; 3], ScalarType::F64, |b, v| {
        let ratio = b.bin_with(BinOp::Div, v[0], v[1], FAST);
        let log = b.un(UnOp::Log, ratio);
        let root = b.un(UnOp::Sqrt, v[2]);
        let half = b.const_f64(0.5);
        let drift = b.bin_with(BinOp::Mul, v[2], half, FAST);
        let top = b.bin_with(BinOp::Add, log, drift, FAST);
        let d1 = b.bin_with(BinOp::Div, top, root, FAST);
        let d2 = b.bin_with(BinOp::Sub, d1, root, FAST);
        let (e1, e2) = (b.un(UnOp::Tanh, d1), b.un(UnOp::Exp, d2));
        let (a, c) = (b.bin_with(BinOp::Mul, v[0], e1, FAST), b.bin_with(BinOp::Mul, v[1], e2, FAST));
        b.bin_with(BinOp::Sub, a, c, FAST)
    })
}

/// Does nothing: what every compilation costs.
pub fn nothing() -> Function {
    let mut b = FuncBuilder::new("nothing", &[], &[]);
    b.ret(&[]);
    b.finish()
}

/// Runs a kernel made by `map`: the inputs as raw elements, of which there are `n`; gives the output's raw elements.
pub fn run_map(kernel: &LlvmKernel, inputs: &[(ScalarType, Vec<u128>)], output: ScalarType) -> Vec<u128> {
    let n = inputs[0].1.len();
    let buffers: Vec<Vec<u8>> = inputs.iter().map(|(t, values)| to_bytes(*t, values)).collect();
    // An odd prefix keeps the arrays off any wide alignment.
    let mut out = vec![0xa5u8; 64 + n * output.size() + 64];
    let start = out.as_ptr().align_offset(64) + output.size();
    let mut args = Vec::new();
    for (b, (t, _)) in buffers.iter().zip(inputs) {
        args.extend([b.as_ptr() as u64, n as u64, t.size() as u64]);
    }
    args.extend([out[start..].as_mut_ptr() as u64, n as u64, output.size() as u64]);
    // SAFETY: every array has `n` elements of the parameter's type.
    unsafe { kernel.call(&args, &mut []) }.expect("maps do not trap");
    from_bytes(output, &out[start..start + n * output.size()])
}

/// Elements, each given by its bits, one after the other in memory. Over-aligned, so that any element type may be there.
pub fn to_bytes(t: ScalarType, values: &[u128]) -> Vec<u8> {
    let mut words = vec![0u8; values.len() * t.size()];
    for (chunk, v) in words.chunks_exact_mut(t.size()).zip(values) {
        chunk.copy_from_slice(&v.to_le_bytes()[..t.size()]);
    }
    words
}

/// The inverse of `to_bytes`.
pub fn from_bytes(t: ScalarType, bytes: &[u8]) -> Vec<u128> {
    bytes
        .chunks_exact(t.size())
        .map(|c| {
            let mut word = [0; 16];
            word[..c.len()].copy_from_slice(c);
            u128::from_le_bytes(word)
        })
        .collect()
}

/// A small generator of pseudo-random numbers (xorshift64*).
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

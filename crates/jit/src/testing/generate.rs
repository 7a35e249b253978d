//! Random programs, for comparing backends with each other and for testing whatever reads modules.
//!
//! A seed gives one verified module, its entry function and arguments, always the same. The programs end, and use
//! only operations whose results are specified to the bit (no sine), with NaN kept away from the few that would show its
//! sign or payload, so that two backends must agree exactly. Some programs trap; their parallel loops do not, because
//! which other pieces then run is left open.

use crate::builder::{FuncBuilder, ParFor};
use crate::ir::{Bounds, FpFlags, FuncId, Module, ParamAttrs, Stride, TrapCode, Type, ViewType};
use crate::testing::value::Value;
use crate::typing;
use pantile_types::{BinOp, CmpOp, Emit, LibFn, Scalar, ScalarType, UnOp, Val};
use smallvec::SmallVec;

/// A module, its entry function, and arguments for it.
pub fn random_module(seed: u64) -> (Module, FuncId, Vec<Value>) {
    let mut g =
        Generator { state: seed ^ 0x9e37_79b9_7f4a_7c15, module: Module::default(), helpers: Vec::new() };
    g.recursive_helper();
    for i in 0..1 + g.below(3) {
        g.helper(i);
    }
    g.entry()
}

/// Arithmetic and storage types, those that loops use most more than once.
const TYPES: [ScalarType; 18] = [
    ScalarType::Bool,
    ScalarType::I8,
    ScalarType::I16,
    ScalarType::I32,
    ScalarType::I64,
    ScalarType::I64,
    ScalarType::U8,
    ScalarType::U16,
    ScalarType::U32,
    ScalarType::U64,
    ScalarType::F16,
    ScalarType::F32,
    ScalarType::F32,
    ScalarType::F64,
    ScalarType::F64,
    ScalarType::F64,
    ScalarType::C64,
    ScalarType::C128,
];

const EXACT_UN: [UnOp; 13] = [
    UnOp::Neg,
    UnOp::Not,
    UnOp::Abs,
    UnOp::Sqrt,
    UnOp::Floor,
    UnOp::Ceil,
    UnOp::Trunc,
    UnOp::Rint,
    UnOp::SignBit,
    UnOp::Popcount,
    UnOp::Re,
    UnOp::Im,
    UnOp::Neg,
];

const EXACT_BIN: [BinOp; 14] = [
    BinOp::Add,
    BinOp::Sub,
    BinOp::Mul,
    BinOp::Div,
    BinOp::Rem,
    BinOp::And,
    BinOp::Or,
    BinOp::Xor,
    BinOp::Shl,
    BinOp::Shr,
    BinOp::Min,
    BinOp::Max,
    BinOp::Copysign,
    BinOp::Nextafter,
];

struct Generator {
    state: u64,
    module: Module,
    /// Functions of scalars that may be called.
    helpers: Vec<FuncId>,
}

/// Values at hand where an instruction is made.
type Pool = Vec<Val>;

impl Generator {
    // ---- randomness ----

    /// SplitMix64: small, and the same everywhere for ever.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn scalar_type(&mut self) -> ScalarType {
        self.pick(&TYPES)
    }

    fn scalar(&mut self, t: ScalarType) -> Scalar {
        let float = |g: &mut Generator| {
            let noise = g.next() as i64 as f64;
            let specials = [
                0.0,
                -0.0,
                1.0,
                -1.0,
                f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                0.5,
                255.0,
                3e9,
                -1e19,
                1e-310,
            ];
            match g.below(4) {
                0 => g.pick(&specials),
                1 => noise,
                _ => (noise / 2f64.powi(58) * 8.0).round() / 8.0,
            }
        };
        match t {
            ScalarType::Bool => Scalar::Bool(self.below(2) == 1),
            ScalarType::F16 | ScalarType::F32 | ScalarType::F64 => {
                let v = float(self);
                Scalar::from_f64(t, v).unwrap_or(Scalar::F64(v))
            }
            ScalarType::C64 => Scalar::C64(float(self) as f32, float(self) as f32),
            ScalarType::C128 => Scalar::C128(float(self), float(self)),
            _ => {
                let bits = self.next();
                let top = 1u64 << (8 * t.size() - 1);
                let v = match self.below(4) {
                    0 => self.pick(&[0, 1, u64::MAX, top, top - 1]),
                    1 => bits,
                    _ => bits % 17,
                };
                Scalar::from_bits(t, v as u128)
            }
        }
    }

    fn array(&mut self, t: ScalarType, shape: &[usize]) -> Value {
        let n = shape.iter().product();
        Value::Array(shape.to_vec(), (0..n).map(|_| self.scalar(t)).collect())
    }

    // ---- instructions ----

    /// A value of this type: one from the pool, one converted, or a constant.
    fn value(&mut self, b: &mut FuncBuilder, pool: &Pool, t: ScalarType) -> Val {
        let fitting: Vec<Val> = pool.iter().copied().filter(|v| *b.type_of(*v) == Type::Scalar(t)).collect();
        if !fitting.is_empty() && self.below(8) > 0 {
            return self.pick(&fitting);
        }
        let scalars: Vec<Val> = pool.iter().copied().filter(|v| b.type_of(*v).scalar().is_some()).collect();
        if !scalars.is_empty() && self.below(3) > 0 {
            let v = self.pick(&scalars);
            return b.cast(v, t);
        }
        let s = self.scalar(t);
        b.constant(s)
    }

    /// The value, or one in place of NaN.
    fn not_nan(&mut self, b: &mut FuncBuilder, v: Val) -> Val {
        match *b.type_of(v) {
            Type::Scalar(t @ (ScalarType::F32 | ScalarType::F64)) => {
                let fine = b.cmp(CmpOp::Eq, v, v);
                let other = b.constant(Scalar::from_i64(t, 2));
                b.select(fine, v, other)
            }
            _ => v,
        }
    }

    /// Adds the result of one random operation to the pool.
    fn operation(&mut self, b: &mut FuncBuilder, pool: &mut Pool) {
        let t = self.scalar_type();
        let a = self.value(b, pool, t);
        let result = match self.below(12) {
            0 | 1 => {
                let op = self.pick(&EXACT_UN);
                if typing::un(op, t).is_err() {
                    return;
                }
                let a = if op == UnOp::SignBit { self.not_nan(b, a) } else { a };
                b.un(op, a)
            }
            2..=5 => {
                let op = self.pick(&EXACT_BIN);
                if typing::bin(op, t, t).is_err() {
                    return;
                }
                let (a, mut c) = (a, self.value(b, pool, t));
                if matches!(op, BinOp::Shl | BinOp::Shr) && self.below(2) == 0 {
                    let few = self.below(8 * t.size() + 1) as i64;
                    c = b.constant(Scalar::from_i64(t, few));
                }
                if op == BinOp::Copysign {
                    c = self.not_nan(b, c);
                }
                b.bin_with(op, a, c, FpFlags::default())
            }
            6 | 7 => {
                let op = self.pick(CmpOp::ALL);
                if typing::cmp(op, t, t).is_err() {
                    return;
                }
                let c = self.value(b, pool, t);
                b.cmp(op, a, c)
            }
            8 => {
                let condition = self.value(b, pool, ScalarType::Bool);
                let c = self.value(b, pool, t);
                b.select(condition, a, c)
            }
            9 => {
                let to = self.scalar_type();
                if t != ScalarType::F16 && typing::bitcast(t, to).is_ok() && self.below(2) == 0 {
                    let a = self.not_nan(b, a);
                    b.bitcast(a, to)
                } else {
                    b.cast(a, to)
                }
            }
            10 => match self.below(3) {
                0 => {
                    let re = self.value(b, pool, ScalarType::F64);
                    let im = self.value(b, pool, ScalarType::F64);
                    b.complex(re, im)
                }
                1 => {
                    let c = self.value(b, pool, ScalarType::Bool);
                    let pair = b.tuple(&[a, c]);
                    let nested = b.tuple(&[pair, c]);
                    let inner = b.tuple_get(nested, 0);
                    let which = self.below(2);
                    b.tuple_get(inner, which)
                }
                _ => {
                    let f = self.pick(&[
                        LibFn::Gcd,
                        LibFn::PowU64,
                        LibFn::Ldexp,
                        LibFn::FrexpFraction,
                        LibFn::FrexpExponent,
                    ]);
                    let args: Vec<Val> = f.signature().0.iter().map(|t| self.value(b, pool, *t)).collect();
                    b.lib(f, &args)
                }
            },
            _ if self.helpers.is_empty() => return,
            _ => {
                let callee = self.pick(&self.helpers.clone());
                let types = typing::param_types(self.module.get(callee));
                let mut args = Vec::new();
                for (i, t) in types.iter().enumerate() {
                    let t = t.scalar().unwrap_or(ScalarType::I64);
                    // The first parameter of the recursive helper is its depth.
                    let depth = callee.0 == 0 && i == 0;
                    args.push(if depth { b.const_i64(self.below(9) as i64) } else { self.value(b, pool, t) });
                }
                let results = b.call(&self.module, callee, &args);
                pool.extend(&results[1..]);
                results[0]
            }
        };
        pool.push(result);
    }

    /// Some operations, with a choice between two arms now and then.
    fn operations(&mut self, b: &mut FuncBuilder, pool: &mut Pool, n: usize) {
        for _ in 0..n {
            if self.below(10) > 0 {
                self.operation(b, pool);
                continue;
            }
            let condition = self.value(b, pool, ScalarType::Bool);
            let types = [self.scalar_type(), self.scalar_type()];
            let results = types.map(Type::Scalar);
            let mut seeds = [self.next(), self.next()];
            let arm = |g: &mut Generator, b: &mut FuncBuilder, pool: &Pool| {
                let mut inner = pool.clone();
                g.operation(b, &mut inner);
                g.operation(b, &mut inner);
                types.iter().map(|t| g.value(b, &inner, *t)).collect::<Vec<Val>>()
            };
            // Both closures need the generator; each gets a copy with a state of its own.
            let mut copies = seeds.each_mut().map(|s| Generator {
                state: *s,
                module: self.module.clone(),
                helpers: self.helpers.clone(),
            });
            let [then, otherwise] = &mut copies;
            let got = b.if_else(condition, &results, |b| arm(then, b, pool), |b| arm(otherwise, b, pool));
            pool.extend(got);
        }
    }

    // ---- functions ----

    /// `f(n, x)`: calls itself until `n` is gone.
    fn recursive_helper(&mut self) {
        let params = [Type::I64, Type::Scalar(ScalarType::F64)];
        let returns = [Type::Scalar(ScalarType::F64)];
        let mut b = FuncBuilder::new("recursive", &params.clone().map(plain), &returns);
        let (n, x) = (b.param(0), b.param(1));
        let one = b.const_i64(1);
        let done = b.cmp(CmpOp::Lt, n, one);
        let me = FuncId(self.module.functions.len() as u32);
        let step = self.scalar(ScalarType::F64);
        let result = b.if_else(
            done,
            &returns,
            |_| vec![x],
            |b| {
                let less = b.bin(BinOp::Sub, n, one);
                let c = b.constant(step);
                let y = b.bin(BinOp::Mul, x, c);
                let y = b.call_signature(me, &params, &returns, &[less, y])[0];
                vec![b.bin(BinOp::Add, y, x)]
            },
        );
        b.ret(&result);
        let id = self.module.add(b.finish());
        self.helpers.push(id);
    }

    fn helper(&mut self, number: usize) {
        let params: Vec<Type> = (0..self.below(4)).map(|_| Type::Scalar(self.scalar_type())).collect();
        let returns: Vec<Type> = (0..1 + self.below(2)).map(|_| Type::Scalar(self.scalar_type())).collect();
        let with_attrs: Vec<_> = params.iter().cloned().map(plain).collect();
        let mut b = FuncBuilder::new(&format!("helper{number}"), &with_attrs, &returns);
        let mut pool: Pool = b.params().to_vec();
        let n = 3 + self.below(10);
        self.operations(&mut b, &mut pool, n);
        let values: Vec<Val> = returns
            .iter()
            .map(|t| self.value(&mut b, &pool, t.scalar().unwrap_or(ScalarType::I64)))
            .collect();
        b.ret(&values);
        let id = self.module.add(b.finish());
        self.helpers.push(id);
    }

    /// The body and the combine function of a parallel loop over two views of one length.
    fn parallel_body(&mut self, input: &Type, output: &Type, acc: ScalarType) -> (FuncId, FuncId) {
        let acc_type = Type::Scalar(acc);
        let params = [Type::I64, Type::I64, input.clone(), output.clone(), acc_type.clone()].map(plain);
        let mut b = FuncBuilder::new("piece", &params, std::slice::from_ref(&acc_type));
        let (lo, hi, x, y, start) = (b.param(0), b.param(1), b.param(2), b.param(3), b.param(4));
        let end = b.counted_loop_step(lo, hi, 1, &[start], |b, i, carried| {
            let v = b.load(x, &[i], Bounds::Known);
            let mut pool = vec![v, i, carried[0]];
            self.operations(b, &mut pool, 4);
            let out = elem(output);
            let out = self.value(b, &pool, out);
            b.store(y, &[i], out, Bounds::Known);
            vec![self.value(b, &pool, acc)]
        });
        b.ret(&end);
        let body = self.module.add(b.finish());

        let mut b =
            FuncBuilder::new("combine", &[plain(acc_type.clone()), plain(acc_type.clone())], &[acc_type]);
        let mut pool = b.params().to_vec();
        self.operations(&mut b, &mut pool, 3);
        let result = self.value(&mut b, &pool, acc);
        b.ret(&[result]);
        (body, self.module.add(b.finish()))
    }

    fn entry(mut self) -> (Module, FuncId, Vec<Value>) {
        let n = self.pick(&[0, 1, 2, 7, 33]);
        let rows = 1 + self.below(4);
        let view =
            |elem, strides: &[Stride]| Type::View(ViewType { elem, strides: SmallVec::from_slice(strides) });
        let line = |g: &mut Generator| {
            let stride = g.pick(&[Stride::Dynamic, Stride::Unit]);
            let t = g.scalar_type();
            view(t, &[stride])
        };
        let (input, output) = (line(&mut self), line(&mut self));
        let grid_strides =
            [self.pick(&[Stride::Dynamic, Stride::Zero]), self.pick(&[Stride::Dynamic, Stride::Unit])];
        let grid = view(self.scalar_type(), &grid_strides);
        let extra = [self.scalar_type(), self.scalar_type(), ScalarType::F64];
        let acc = self.scalar_type();
        let (body, combine) = self.parallel_body(&input, &output, acc);

        let reads = ParamAttrs { noalias: true, readonly: true };
        let writes = ParamAttrs { noalias: true, readonly: false };
        let mut params = vec![(input.clone(), reads), (output.clone(), writes), (grid.clone(), reads)];
        params.extend(extra.map(|t| plain(Type::Scalar(t))));
        let returns = [self.scalar_type(), self.scalar_type(), acc];
        let mut b = FuncBuilder::new("entry", &params, &returns.map(Type::Scalar));
        let (x, y, z) = (b.param(0), b.param(1), b.param(2));
        let mut pool: Pool = b.params()[3..].to_vec();
        self.operations(&mut b, &mut pool, 8);

        // A local array, written before it is read.
        let local_type = self.scalar_type();
        let local = b.local_array(local_type, 8);
        let eight = b.const_i64(8);
        b.counted_loop(eight, &[], |b, i, _| {
            let v = self.value(b, &[pool.clone(), vec![i]].concat(), local_type);
            b.store(local, &[i], v, Bounds::Known);
            vec![]
        });

        // A reduction over the grid, rows by columns.
        let sum_type = self.scalar_type();
        let zero = b.constant(Scalar::from_i64(sum_type, 0));
        let (row_count, column_count) = (b.view_len(z, 0), b.view_len(z, 1));
        let sum = b.counted_loop(row_count, &[zero], |b, i, sums| {
            b.counted_loop_step(i, column_count, 2, sums, |b, j, sums| {
                let v = b.load(z, &[i, j], Bounds::Known);
                let mut inner = [pool.clone(), vec![v, i, j, sums[0]]].concat();
                self.operations(b, &mut inner, 3);
                vec![self.value(b, &inner, sum_type)]
            })
        });
        pool.extend(sum);

        // An elementwise loop through a sub-view that leaves out the first element.
        let len = b.view_len(x, 0);
        let one = b.const_i64(1);
        let none = b.const_i64(0);
        let some = b.cmp(CmpOp::Lt, none, len);
        let from = b.select(some, one, none);
        let rest = b.bin(BinOp::Sub, len, from);
        let window = b.sub_view(y, &[from], &[rest]);
        b.counted_loop(rest, &[], |b, i, _| {
            let v = b.load(x, &[i], Bounds::Known);
            let mask = b.const_i64(7);
            let slot = b.bin(BinOp::And, i, mask);
            let w = b.load(local, &[slot], Bounds::Checked);
            let mut inner = [pool.clone(), vec![v, w, i]].concat();
            self.operations(b, &mut inner, 4);
            let t = elem(&output);
            let out = self.value(b, &inner, t);
            b.store(window, &[i], out, Bounds::Checked);
            vec![]
        });

        if self.below(2) == 0 {
            let grain = b.const_i64(1 + self.below(9) as i64);
            let init = b.constant(Scalar::from_i64(acc, 0));
            let p = ParFor {
                lo: none,
                hi: len,
                grain,
                body,
                captures: &[x, y],
                init: &[init],
                combine: Some(combine),
            };
            pool.extend(b.par_for(&self.module, p));
        }
        match self.below(8) {
            0 => {
                // An index that may be outside.
                let at = self.value(&mut b, &pool, ScalarType::I64);
                pool.push(b.load(x, &[at], Bounds::Checked));
            }
            1 => {
                let stop = self.value(&mut b, &pool, ScalarType::Bool);
                b.if_else(
                    stop,
                    &[],
                    |b| {
                        b.trap(TrapCode::User(7));
                        vec![]
                    },
                    |_| vec![],
                );
            }
            _ => {}
        }
        self.operations(&mut b, &mut pool, 5);
        let values: Vec<Val> = returns.iter().map(|t| self.value(&mut b, &pool, *t)).collect();
        b.ret(&values);
        let id = self.module.add(b.finish());

        let mut args = vec![self.array(elem(&input), &[n]), self.array(elem(&output), &[n])];
        // Along an axis of stride zero all elements are one.
        let width = self.pick(&[1, 3, 5]);
        let grid_arg = match (self.array(elem(&grid), &[rows, width]), grid_strides[0]) {
            (Value::Array(shape, elems), Stride::Zero) => {
                let row = elems[..width].to_vec();
                Value::Array(shape, row.repeat(rows))
            }
            (other, _) => other,
        };
        args.push(grid_arg);
        args.extend(extra.map(|t| Value::Scalar(self.scalar(t))));
        (self.module, id, args)
    }
}

fn plain(t: Type) -> (Type, ParamAttrs) {
    (t, ParamAttrs::default())
}

fn elem(t: &Type) -> ScalarType {
    match t {
        Type::View(v) => v.elem,
        Type::Scalar(_) | Type::Tuple(_) => ScalarType::I64,
    }
}

//! The IR of kernels: two loops around a program.
//!
//! # Parameters of a kernel
//! `n0, n1` (lengths of the outer and the inner loop); a two-dimensional read-only view for each leaf; `base, step0, step1` for
//! each coordinate; the constants; a two-dimensional view for each output or state.

use super::Mode;
use crate::program::Program;
use crate::reduce::{Element, PIECE, Reducer, Scratch};
use pantile_jit::FuncBuilder;
use pantile_jit::ir::{Bounds, Function, Module, ParamAttrs, Stride, Type, ViewType};
use pantile_types::{BinOp, CmpOp, Emit, ScalarType, Val};
use smallvec::SmallVec;

/// The side of a tile; its square is `PIECE`.
const TILE: i64 = 32;

struct Params {
    n0: Val,
    n1: Val,
    leaves: Vec<Val>,
    coords: Vec<[Val; 3]>,
    consts: Vec<Val>,
    outputs: Vec<Val>,
}

fn view(elem: ScalarType, inner: Stride) -> Type {
    Type::View(ViewType { elem, strides: [Stride::Dynamic, inner].into_iter().collect() })
}

fn min_i64(b: &mut FuncBuilder, x: Val, y: Val) -> Val {
    let less = b.cmp(CmpOp::Lt, x, y);
    b.select(less, x, y)
}

/// The kernel for a program, a mode and a layout class.
pub fn kernel(program: &Program, mode: Mode, classes: &[Stride], tiled: bool, inner_reduced: bool) -> Module {
    let output_types: SmallVec<[ScalarType; 3]> = match mode {
        Mode::Store => program.outputs.iter().map(|&o| program.types[o as usize]).collect(),
        Mode::Reduce(r) => r.state(),
    };
    let positions = usize::from(matches!(mode, Mode::Reduce(r) if r.needs_position()));
    let coords = program.coords + positions;
    let mut types: Vec<(Type, ParamAttrs)> = vec![(Type::I64, ParamAttrs::default()); 2];
    let readonly = ParamAttrs { noalias: false, readonly: true };
    let written = ParamAttrs { noalias: true, readonly: false };
    for (i, &t) in program.leaves.iter().enumerate() {
        types.push((view(t, classes[i]), readonly));
    }
    for _ in 0..coords * 3 {
        types.push((Type::I64, ParamAttrs::default()));
    }
    for &t in &program.consts {
        types.push((Type::Scalar(t), ParamAttrs::default()));
    }
    for (i, &t) in output_types.iter().enumerate() {
        types.push((view(t, classes[program.leaves.len() + i]), written));
    }
    let mut b = FuncBuilder::new("kernel", &types, &[]);
    let all = b.params();
    let mut at = 2;
    let mut take = |n: usize| {
        at += n;
        all[at - n..at].to_vec()
    };
    let params = Params {
        n0: all[0],
        n1: all[1],
        leaves: take(program.leaves.len()),
        coords: take(coords * 3).chunks(3).map(|c| [c[0], c[1], c[2]]).collect(),
        consts: take(program.consts.len()),
        outputs: take(output_types.len()),
    };
    match mode {
        Mode::Store if tiled => store_tiled(&mut b, program, &params),
        Mode::Store => store(&mut b, program, &params),
        Mode::Reduce(r) if tiled => reduce_tiled(&mut b, program, &params, r),
        Mode::Reduce(r) if inner_reduced => reduce_rows(&mut b, program, &params, r),
        Mode::Reduce(r) => reduce_columns(&mut b, program, &params, r),
    }
    b.ret(&[]);
    let mut module = Module::default();
    module.add(b.finish());
    module
}

fn coordinate(b: &mut FuncBuilder, c: [Val; 3], i0: Val, i1: Val) -> Val {
    let outer = b.bin(BinOp::Mul, i0, c[1]);
    let inner = b.bin(BinOp::Mul, i1, c[2]);
    let sum = b.bin(BinOp::Add, c[0], outer);
    b.bin(BinOp::Add, sum, inner)
}

fn evaluate(b: &mut FuncBuilder, program: &Program, p: &Params, i0: Val, i1: Val) -> SmallVec<[Val; 2]> {
    program.emit(b, &p.consts, &mut |b, k| b.load(p.leaves[k], &[i0, i1], Bounds::Known), &mut |b, k| {
        coordinate(b, p.coords[k], i0, i1)
    })
}

fn element(b: &mut FuncBuilder, program: &Program, p: &Params, i0: Val, i1: Val) -> Element {
    let values = evaluate(b, program, p, i0, i1);
    let position = p.coords.get(program.coords).map(|&c| coordinate(b, c, i0, i1));
    Element { value: values[0], mask: values.get(1).copied(), position }
}

fn store(b: &mut FuncBuilder, program: &Program, p: &Params) {
    b.counted_loop(p.n0, &[], |b, i0, _| {
        b.counted_loop(p.n1, &[], |b, i1, _| {
            let values = evaluate(b, program, p, i0, i1);
            for (out, v) in p.outputs.iter().zip(values) {
                b.store(*out, &[i0, i1], v, Bounds::Known);
            }
            vec![]
        });
        vec![]
    });
}

/// Calls `body` for each tile with its first row, first column, height and width.
fn tiles<F>(b: &mut FuncBuilder, p: &Params, carried: &[Val], mut body: F) -> Vec<Val>
where
    F: FnMut(&mut FuncBuilder, [Val; 4], &[Val]) -> Vec<Val>,
{
    let zero = b.const_i64(0);
    let side = b.const_i64(TILE);
    b.counted_loop_step(zero, p.n0, TILE, carried, |b, t0, carried| {
        let rest = b.bin(BinOp::Sub, p.n0, t0);
        let height = min_i64(b, rest, side);
        b.counted_loop_step(zero, p.n1, TILE, carried, |b, t1, carried| {
            let rest = b.bin(BinOp::Sub, p.n1, t1);
            let width = min_i64(b, rest, side);
            body(b, [t0, t1, height, width], carried)
        })
    })
}

fn store_tiled(b: &mut FuncBuilder, program: &Program, p: &Params) {
    tiles(b, p, &[], |b, [t0, t1, height, width], _| {
        b.counted_loop(height, &[], |b, i, _| {
            let i0 = b.bin(BinOp::Add, t0, i);
            b.counted_loop(width, &[], |b, j, _| {
                let i1 = b.bin(BinOp::Add, t1, j);
                let values = evaluate(b, program, p, i0, i1);
                for (out, v) in p.outputs.iter().zip(values) {
                    b.store(*out, &[i0, i1], v, Bounds::Known);
                }
                vec![]
            });
            vec![]
        });
        vec![]
    });
}

fn load_state(b: &mut FuncBuilder, p: &Params, i0: Val, i1: Val) -> Vec<Val> {
    p.outputs.iter().map(|&s| b.load(s, &[i0, i1], Bounds::Known)).collect()
}

fn store_state(b: &mut FuncBuilder, p: &Params, i0: Val, i1: Val, state: &[Val]) {
    for (&s, &v) in p.outputs.iter().zip(state) {
        b.store(s, &[i0, i1], v, Bounds::Known);
    }
}

/// The inner loop is reduced: its pieces are accumulated in registers.
fn reduce_rows(b: &mut FuncBuilder, program: &Program, p: &Params, r: Reducer) {
    let scratch = r.scratch(b);
    let zero = b.const_i64(0);
    let direct = program.outputs.len() == 1 && r.is_direct(program.steps.len());
    let most = b.const_i64(PIECE as i64);
    b.counted_loop(p.n0, &[], |b, i0, _| {
        let state = load_state(b, p, i0, zero);
        let state = b.counted_loop_step(zero, p.n1, PIECE as i64, &state, |b, start, state| {
            let rest = b.bin(BinOp::Sub, p.n1, start);
            let len = min_i64(b, rest, most);
            if let Some(scratch) = scratch.as_ref().filter(|_| direct) {
                return r.direct_piece(b, scratch, len, state, |b, i| {
                    let i1 = b.bin(BinOp::Add, start, i);
                    element(b, program, p, i0, i1).value
                });
            }
            r.piece(b, scratch.as_ref(), len, state, |b, i| {
                let i1 = b.bin(BinOp::Add, start, i);
                element(b, program, p, i0, i1)
            })
        });
        store_state(b, p, i0, zero, &state);
        vec![]
    });
}

/// The inner loop runs over results: each has its state in memory.
fn reduce_columns(b: &mut FuncBuilder, program: &Program, p: &Params, r: Reducer) {
    b.counted_loop(p.n0, &[], |b, i0, _| {
        b.counted_loop(p.n1, &[], |b, i1, _| {
            let state = load_state(b, p, i0, i1);
            let e = element(b, program, p, i0, i1);
            let state = r.step(b, &state, e);
            store_state(b, p, i0, i1, &state);
            vec![]
        });
        vec![]
    });
}

/// Both loops are reduced and some operand runs across them: each tile is evaluated into a local array, which is a piece.
fn reduce_tiled(b: &mut FuncBuilder, program: &Program, p: &Params, r: Reducer) {
    let scratch = Scratch::new(b, r.ty);
    let zero = b.const_i64(0);
    let masked = program.outputs.len() > 1;
    let state = load_state(b, p, zero, zero);
    let state = tiles(b, p, &state, |b, [t0, t1, height, width], state| {
        let counted = b.counted_loop(height, &[zero], |b, i, count| {
            let i0 = b.bin(BinOp::Add, t0, i);
            let row = b.bin(BinOp::Mul, i, width);
            b.counted_loop(width, &[count[0]], |b, j, count| {
                let i1 = b.bin(BinOp::Add, t1, j);
                let e = element(b, program, p, i0, i1);
                let k = b.bin(BinOp::Add, row, j);
                vec![scratch.keep(b, k, e, count[0])]
            })
        });
        let len = b.bin(BinOp::Mul, height, width);
        if r.is_ordered() {
            let count = if masked { counted[0] } else { len };
            return r.fold(b, &scratch, len, count, masked, state);
        }
        r.piece(b, None, len, state, |b, k| scratch.element(b, k, masked))
    });
    store_state(b, p, zero, zero, &state);
}

fn line(elem: ScalarType) -> Type {
    Type::View(ViewType { elem, strides: [Stride::Unit].into_iter().collect() })
}

/// `into[i] = merge(into[i], from[i])`. Parameters: `n`, the states, the other states.
pub fn merge(r: Reducer) -> Function {
    let state = r.state();
    let mut types = vec![(Type::I64, ParamAttrs::default())];
    types.extend(state.iter().map(|&t| (line(t), ParamAttrs { noalias: true, readonly: false })));
    types.extend(state.iter().map(|&t| (line(t), ParamAttrs { noalias: false, readonly: true })));
    let mut b = FuncBuilder::new("merge", &types, &[]);
    let p = b.params();
    let (into, from) = p[1..].split_at(state.len());
    b.counted_loop(p[0], &[], |b, i, _| {
        let x: Vec<Val> = into.iter().map(|&v| b.load(v, &[i], Bounds::Known)).collect();
        let y: Vec<Val> = from.iter().map(|&v| b.load(v, &[i], Bounds::Known)).collect();
        for (&v, s) in into.iter().zip(r.merge(b, &x, &y)) {
            b.store(v, &[i], s, Bounds::Known);
        }
        vec![]
    });
    b.ret(&[]);
    b.finish()
}

/// `out[i] = finish(state[i])`. Parameters: `n`, the states, the output.
pub fn finish(r: Reducer) -> Function {
    let state = r.state();
    let mut types = vec![(Type::I64, ParamAttrs::default())];
    types.extend(state.iter().map(|&t| (line(t), ParamAttrs { noalias: false, readonly: true })));
    types.push((line(r.output()), ParamAttrs { noalias: true, readonly: false }));
    let mut b = FuncBuilder::new("finish", &types, &[]);
    let p = b.params();
    b.counted_loop(p[0], &[], |b, i, _| {
        let x: Vec<Val> = p[1..p.len() - 1].iter().map(|&v| b.load(v, &[i], Bounds::Known)).collect();
        let out = r.finish(b, &x);
        b.store(p[p.len() - 1], &[i], out, Bounds::Known);
        vec![]
    });
    b.ret(&[]);
    b.finish()
}

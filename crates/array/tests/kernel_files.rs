//! File tests of kernels: fused groups described in `kernels/*.txt`, run by the interpreter and by LLVM, and compared with
//! each other and with naive arithmetic.
//!
//! ```text
//! case rows                                    a name; everything up to the next `case` belongs to it
//! for N 1 1023 1024 1025                       the case is run for each value of each of these names
//! for T f32 f64
//! shape 3 N                                    the box that is computed
//! leaf x T C                                   an input: name, type, layout
//! leaf m bool C
//! coord i 1 5 -2                               a coordinate: name, axis, start, step
//! data wild                                    which numbers: small (default), signs, wild
//! y = add x 2:T                                a step: an operation of the catalogue on names and constants
//! reduce sum axes 1 y mask m                   or: store y
//! expect rows                                  which of the kernel's forms it must take, and the layout classes
//! golden                                       the IR is kept in `kernels/golden/`; UPDATE_EXPECT=1 writes it
//! ```
//! Layouts: `C`, `F`, `neg` (every axis backwards), `gaps` (every axis strided), `zero0`/`zero1`/... (that axis broadcast).

mod common;

use common::elements;
use pantile_array::Block;
use pantile_array::block::{Dims, Strides};
use pantile_array::kernel::layout::{Axis, Plan};
use pantile_array::kernel::{Call, Coordinate, Mode, build, cache, finish_states, merge_states, run};
use pantile_array::program::{MapOp, Program, Step};
use pantile_array::reduce::{ReduceKind, Reducer};
use pantile_jit::testing::Value;
use pantile_jit_llvm::{LlvmBackend, LlvmOptions};
use pantile_types::catalogue::{self, Accuracy};
use pantile_types::{DType, Operand, Scalar, ScalarType};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

// ---- reading ----

/// A case as it stands in its file.
#[derive(Clone, Debug, Default)]
struct Text {
    name: String,
    loops: Vec<(String, Vec<String>)>,
    lines: Vec<String>,
}

fn read(text: &str) -> Vec<Text> {
    let mut cases: Vec<Text> = Vec::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or("").trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            ["case", name] => cases.push(Text { name: name.to_string(), ..Text::default() }),
            ["for", name, values @ ..] => {
                let values = values.iter().map(|v| v.to_string()).collect();
                cases.last_mut().expect("a case first").loops.push((name.to_string(), values));
            }
            _ => cases.last_mut().expect("a case first").lines.push(words.join(" ")),
        }
    }
    cases
}

/// Every combination of the values of the loops.
fn expand(case: &Text) -> Vec<(String, Vec<String>)> {
    let mut all: Vec<BTreeMap<&str, &str>> = vec![BTreeMap::new()];
    for (name, values) in &case.loops {
        all = all
            .iter()
            .flat_map(|chosen| {
                values.iter().map(move |v| {
                    let mut next = chosen.clone();
                    next.insert(name, v);
                    next
                })
            })
            .collect();
    }
    let replace = |chosen: &BTreeMap<&str, &str>, line: &String| {
        let word = |w: &str| match w.split_once(':') {
            Some((value, t)) => format!("{value}:{}", chosen.get(t).unwrap_or(&t)),
            None => chosen.get(w).unwrap_or(&w).to_string(),
        };
        line.split(' ').map(word).collect::<Vec<_>>().join(" ")
    };
    let name = |chosen: &BTreeMap<&str, &str>| {
        let values: Vec<String> = chosen.iter().map(|(k, v)| format!("{k}={v}")).collect();
        format!("{}[{}]", case.name, values.join(" "))
    };
    all.iter().map(|c| (name(c), case.lines.iter().map(|l| replace(c, l)).collect())).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Data {
    Small,
    Signs,
    Wild,
}

/// A case ready to run.
struct Case {
    name: String,
    shape: Vec<usize>,
    leaves: Vec<Block>,
    coords: Vec<(usize, i64, i64)>,
    consts: Vec<Scalar>,
    program: Arc<Program>,
    mode: Mode,
    reduced: Vec<bool>,
    /// Units in the last place that the two backends may differ by.
    ulps: u64,
    expect: Vec<String>,
    golden: bool,
}

struct Random(u64);

impl Random {
    fn next(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }
}

fn scalar(t: ScalarType, data: Data, random: &mut Random) -> Scalar {
    let part = |random: &mut Random| -> f64 {
        const WILD: [f64; 12] = [
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            0.0,
            -0.0,
            1.0,
            -1.0,
            f64::MAX,
            f64::MIN_POSITIVE,
            0.1,
            -2.5,
            1e-40,
        ];
        match data {
            Data::Small => random.next(41) as f64 - 20.0,
            Data::Signs => [1.0, -1.0, 1.0, -1.0, 1.0, 2.0, 0.5][random.next(7) as usize],
            Data::Wild => WILD[random.next(12) as usize],
        }
    };
    if t == ScalarType::Bool {
        return Scalar::Bool(random.next(3) == 0);
    }
    if t.is_complex() {
        let (re, im) = match data {
            // Units of length one: their products are exact.
            Data::Signs => [(1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0)][random.next(4) as usize],
            Data::Small | Data::Wild => (part(random), part(random)),
        };
        return if t == ScalarType::C64 { Scalar::C64(re as f32, im as f32) } else { Scalar::C128(re, im) };
    }
    if t.is_float() {
        return Scalar::from_f64(t, part(random)).expect("a float");
    }
    match data {
        Data::Wild => Scalar::from_bits(t, random.0 as u128 * u128::from(random.next(u64::MAX))),
        Data::Signs => Scalar::from_i64(t, [1, -1, 3, -3][random.next(4) as usize]),
        Data::Small => Scalar::from_i64(t, random.next(41) as i64 - if t.is_signed() { 20 } else { 0 }),
    }
}

fn put(block: &Block, at: &[usize], value: Scalar) {
    let offset: isize = at.iter().zip(block.strides()).map(|(&i, &s)| i as isize * s).sum();
    let bits = value.bits().to_le_bytes();
    // SAFETY: the position is inside the block, which this test owns.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bits.as_ptr(),
            block.ptr().wrapping_offset(offset),
            block.dtype().size(),
        );
    }
}

fn get(block: &Block, at: &[usize]) -> Scalar {
    let mut one = block.clone();
    for (axis, &i) in at.iter().enumerate() {
        one = one.slice_axis(axis, i, 1, 1);
    }
    one.item()
}

/// Calls `f` with every position of a shape, in C order.
fn positions(shape: &[usize], mut f: impl FnMut(&[usize])) {
    let mut at = vec![0; shape.len()];
    for _ in 0..shape.iter().product::<usize>() {
        f(&at);
        for axis in (0..shape.len()).rev() {
            at[axis] += 1;
            if at[axis] < shape[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}

/// A block of a shape in a layout, with random elements.
fn leaf(t: ScalarType, shape: &[usize], layout: &str, data: Data, random: &mut Random) -> Block {
    let dtype = DType::from_scalar(t);
    let alloc = |s: &[usize]| Block::alloc(dtype, s).expect("memory");
    let block = match layout {
        "C" => alloc(shape),
        "F" => {
            let turned: Vec<usize> = shape.iter().rev().copied().collect();
            alloc(&turned).transpose(&(0..shape.len()).rev().collect::<Vec<_>>())
        }
        "neg" => {
            let start = alloc(shape);
            (0..shape.len()).fold(start, |b, k| b.slice_axis(k, shape[k].saturating_sub(1), -1, shape[k]))
        }
        "gaps" => {
            let wide: Vec<usize> = shape.iter().map(|n| 2 * n + 1).collect();
            (0..shape.len()).fold(alloc(&wide), |b, k| b.slice_axis(k, 1, 2, shape[k]))
        }
        zero => {
            let axis: usize = zero.strip_prefix("zero").expect("a layout").parse().expect("an axis");
            let mut one: Vec<usize> = shape.to_vec();
            one[axis] = 1;
            let block = alloc(&one);
            let mut strides: Strides = block.strides().into();
            strides[axis] = 0;
            positions(&one, |at| put(&block, at, scalar(t, data, random)));
            // SAFETY: the axis of stride zero repeats the elements that there are.
            return unsafe { block.restride(0, Dims::from_slice(shape), strides) };
        }
    };
    positions(shape, |at| put(&block, at, scalar(t, data, random)));
    block
}

fn kind(name: &str) -> ReduceKind {
    match name {
        "sum" => ReduceKind::Sum,
        "prod" => ReduceKind::Prod,
        "min" => ReduceKind::Min,
        "max" => ReduceKind::Max,
        "any" => ReduceKind::Any,
        "all" => ReduceKind::All,
        "argmin" => ReduceKind::ArgMin,
        "argmax" => ReduceKind::ArgMax,
        "mean" => ReduceKind::Mean,
        "var" => ReduceKind::Var(1f64.to_bits()),
        other => panic!("no reduction {other}"),
    }
}

/// The type of a name in a program, and which step it is.
type Names = BTreeMap<String, (u16, ScalarType)>;

fn operand(word: &str, names: &Names, program: &mut Program, consts: &mut Vec<Scalar>) -> (u16, ScalarType) {
    if let Some(&known) = names.get(word) {
        return known;
    }
    let (value, t) = word.split_once(':').unwrap_or_else(|| panic!("no name and no constant: {word}"));
    let t = ScalarType::from_name(t).expect("a type");
    let number: f64 = value.parse().expect("a number");
    let value = Scalar::from_f64(t, number).unwrap_or_else(|| Scalar::from_i64(t, number as i64));
    consts.push(value);
    program.consts.push(t);
    (program.push(Step::Const(consts.len() as u16 - 1), t), t)
}

fn build_case(name: &str, lines: &[String]) -> Case {
    let hash =
        name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let mut random = Random(hash | 1);
    let mut case = Case {
        name: name.to_string(),
        shape: Vec::new(),
        leaves: Vec::new(),
        coords: Vec::new(),
        consts: Vec::new(),
        program: Arc::default(),
        mode: Mode::Store,
        reduced: Vec::new(),
        ulps: 0,
        expect: Vec::new(),
        golden: false,
    };
    let mut program = Program::default();
    let mut names = Names::new();
    let mut data = Data::Small;
    for line in lines {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["shape", lengths @ ..] => {
                case.shape = lengths.iter().map(|n| n.parse().expect("a length")).collect();
                case.reduced = vec![false; case.shape.len()];
            }
            ["data", "small"] => data = Data::Small,
            ["data", "signs"] => data = Data::Signs,
            ["data", "wild"] => data = Data::Wild,
            ["leaf", name, t, layout] => {
                let t = ScalarType::from_name(t).expect("a type");
                case.leaves.push(leaf(t, &case.shape, layout, data, &mut random));
                program.leaves.push(t);
                let step = program.push(Step::Leaf(program.leaves.len() as u16 - 1), t);
                names.insert(name.to_string(), (step, t));
            }
            ["coord", name, axis, start, step] => {
                let number = |w: &str| w.parse::<i64>().expect("a number");
                case.coords.push((number(axis) as usize, number(start), number(step)));
                let at = program.push(Step::Coord(case.coords.len() as u16 - 1), ScalarType::I64);
                names.insert(name.to_string(), (at, ScalarType::I64));
            }
            [name, "=", op, args @ ..] => {
                let op = catalogue::find(op).unwrap_or_else(|| panic!("no operation {op}"));
                let args: Vec<(u16, ScalarType)> =
                    args.iter().map(|w| operand(w, &names, &mut program, &mut case.consts)).collect();
                let operands: Vec<Operand> =
                    args.iter().map(|a| Operand::Typed(DType::from_scalar(a.1))).collect();
                let signature = Arc::new(catalogue::resolve(op, &operands).expect("a loop"));
                let mut inputs: SmallVec<[u16; 3]> = SmallVec::new();
                for ((step, t), &to) in args.iter().zip(&signature.inputs) {
                    let from = DType::from_scalar(*t);
                    inputs.push(if from == to {
                        *step
                    } else {
                        let cast = MapOp::Cast(from, to);
                        program
                            .push(Step::Op(cast, [*step].into_iter().collect()), to.scalar().expect("native"))
                    });
                }
                let t = signature.outputs[0].scalar().expect("native");
                if op.accuracy != Accuracy::Exact {
                    case.ulps += 4;
                }
                let call = MapOp::Call { op, signature, output: 0 };
                let step = program.push(Step::Op(call, inputs), t);
                names.insert(name.to_string(), (step, t));
            }
            ["store", results @ ..] => {
                program.outputs = results.iter().map(|r| names[*r].0).collect();
            }
            ["reduce", what, "axes", rest @ ..] => {
                let count = rest.iter().take_while(|w| w.parse::<usize>().is_ok()).count();
                for axis in &rest[..count] {
                    case.reduced[axis.parse::<usize>().expect("an axis")] = true;
                }
                let (step, ty) = names[rest[count]];
                program.outputs.push(step);
                if let ["mask", mask] = &rest[count + 1..] {
                    program.outputs.push(names[*mask].0);
                }
                case.mode = Mode::Reduce(Reducer { kind: kind(what), ty });
            }
            ["expect", what @ ..] => case.expect = what.iter().map(|w| w.to_string()).collect(),
            ["golden"] => case.golden = true,
            other => panic!("{name}: cannot read {other:?}"),
        }
    }
    program.coords = case.coords.len();
    case.program = Arc::new(program);
    case
}

// ---- running ----

impl Case {
    fn kept(&self) -> Vec<usize> {
        (0..self.shape.len()).filter(|&a| !self.reduced[a]).map(|a| self.shape[a]).collect()
    }

    fn coordinates(&self) -> Vec<Coordinate> {
        let mut out: Vec<Coordinate> = self
            .coords
            .iter()
            .map(|&(axis, base, step)| {
                let mut steps: SmallVec<[i64; 4]> = SmallVec::from_elem(0, self.shape.len());
                steps[axis] = step;
                Coordinate { base, steps }
            })
            .collect();
        if matches!(self.mode, Mode::Reduce(r) if r.needs_position()) {
            let mut steps: SmallVec<[i64; 4]> = SmallVec::from_elem(0, self.shape.len());
            let mut step = 1;
            for axis in (0..self.shape.len()).rev().filter(|&a| self.reduced[a]) {
                steps[axis] = step;
                step *= self.shape[axis] as i64;
            }
            out.push(Coordinate { base: 0, steps });
        }
        out
    }

    /// The outputs (or states, spread over the reduced axes), and the plain blocks behind them.
    fn outputs(&self) -> (Vec<Block>, Vec<Block>) {
        match self.mode {
            Mode::Store => {
                let types = self.program.outputs.iter().map(|&o| self.program.types[o as usize]);
                let blocks: Vec<Block> = types
                    .map(|t| {
                        Block::full(DType::from_scalar(t), &self.shape, Scalar::from_i64(t, 0))
                            .expect("memory")
                    })
                    .collect();
                (blocks.clone(), blocks)
            }
            Mode::Reduce(r) => {
                let states: Vec<Block> = r
                    .state()
                    .into_iter()
                    .zip(r.identity())
                    .map(|(t, v)| Block::full(DType::from_scalar(t), &self.kept(), v).expect("memory"))
                    .collect();
                let spread = |s: &Block| {
                    let mut own = s.strides().iter();
                    let strides: Strides = self
                        .reduced
                        .iter()
                        .map(|&r| if r { 0 } else { *own.next().expect("kept") })
                        .collect();
                    // SAFETY: reduced axes repeat the state's elements.
                    unsafe { s.restride(0, Dims::from_slice(&self.shape), strides) }
                };
                (states.iter().map(spread).collect(), states)
            }
        }
    }

    fn plan(&self, outputs: &[Block]) -> Plan {
        let memory: Vec<&Block> = self.leaves.iter().chain(outputs).collect();
        let coords = self.coordinates();
        let axes = (0..self.shape.len())
            .map(|k| Axis {
                len: self.shape[k],
                reduced: self.reduced[k],
                strides: memory
                    .iter()
                    .map(|b| b.strides()[k])
                    .chain(coords.iter().map(|c| c.steps[k] as isize))
                    .collect(),
            })
            .collect();
        let sizes: Vec<usize> = memory.iter().map(|b| b.dtype().size()).collect();
        let positions = matches!(self.mode, Mode::Reduce(r) if r.needs_position());
        Plan::new(axes, &sizes, self.leaves.len(), matches!(self.mode, Mode::Store), !positions)
    }

    fn key(&self, plan: &Plan) -> cache::Key {
        cache::Key {
            program: self.program.clone(),
            mode: self.mode,
            classes: plan.classes.clone(),
            tiled: plan.tiled,
            inner_reduced: plan.inner_reduced,
        }
    }

    /// The results as the kernel cache computes them now.
    fn run(&self) -> Vec<Block> {
        let (spread, plain) = self.outputs();
        run(&Call {
            program: &self.program,
            mode: self.mode,
            shape: &self.shape,
            reduced: &self.reduced,
            leaves: &self.leaves,
            coords: &self.coordinates(),
            consts: &self.consts,
            outputs: &spread,
        })
        .unwrap_or_else(|e| panic!("{}: {e}", self.name));
        match self.mode {
            Mode::Store => plain,
            Mode::Reduce(r) => vec![finish(r, &plain)],
        }
    }

    /// What a loop over positions gives. `values` gives the value and the mask of every position, in C order.
    fn naive(&self, values: &[Block]) -> Option<Block> {
        let Mode::Reduce(r) = self.mode else { return None };
        let kept = self.kept();
        let out = Block::alloc(DType::from_scalar(r.output()), &kept).expect("memory");
        let mut groups: BTreeMap<Vec<usize>, Vec<(usize, Scalar)>> = BTreeMap::new();
        positions(&kept, |at| {
            groups.insert(at.to_vec(), Vec::new());
        });
        let inner: Vec<usize> = (0..self.shape.len()).filter(|&a| self.reduced[a]).collect();
        positions(&self.shape, |at| {
            let counts = values.get(1).is_none_or(|m| get(m, at) == Scalar::Bool(true));
            if counts {
                let own: Vec<usize> = (0..at.len()).filter(|&a| !self.reduced[a]).map(|a| at[a]).collect();
                let position = inner.iter().fold(0, |sum, &a| sum * self.shape[a] + at[a]);
                groups.get_mut(&own).expect("a group").push((position, get(&values[0], at)));
            }
        });
        for (at, group) in &groups {
            put(&out, at, naive_reduce(r, group));
        }
        Some(out)
    }
}

fn finish(r: Reducer, states: &[Block]) -> Block {
    let out = Block::alloc(DType::from_scalar(r.output()), states[0].shape()).expect("memory");
    finish_states(r, states, &out).expect("it runs");
    out
}

fn as_f64(v: Scalar) -> (f64, f64) {
    match v {
        Scalar::Bool(b) => (f64::from(u8::from(b)), 0.0),
        Scalar::Int(_, v) => (v as f64, 0.0),
        Scalar::UInt(_, v) => (v as f64, 0.0),
        Scalar::F16(b) => panic!("halves are not reduced: {b}"),
        Scalar::F32(v) => (f64::from(v), 0.0),
        Scalar::F64(v) => (v, 0.0),
        Scalar::C64(re, im) => (f64::from(re), f64::from(im)),
        Scalar::C128(re, im) => (re, im),
    }
}

fn as_int(v: Scalar) -> i128 {
    match v {
        Scalar::Bool(b) => i128::from(b),
        Scalar::Int(_, v) => i128::from(v),
        Scalar::UInt(_, v) => i128::from(v),
        other => panic!("{other:?} is no integer"),
    }
}

fn from_parts(t: ScalarType, (re, im): (f64, f64)) -> Scalar {
    match t {
        ScalarType::C64 => Scalar::C64(re as f32, im as f32),
        ScalarType::C128 => Scalar::C128(re, im),
        _ => Scalar::from_f64(t, re).expect("a float"),
    }
}

fn naive_reduce(r: Reducer, group: &[(usize, Scalar)]) -> Scalar {
    let t = r.ty;
    let exact = t.is_int() || t == ScalarType::Bool;
    let better = |a: Scalar, b: Scalar| -> bool {
        // Whether `b` replaces `a`.
        let less = matches!(r.kind, ReduceKind::Min | ReduceKind::ArgMin);
        if exact {
            return if less { as_int(b) < as_int(a) } else { as_int(b) > as_int(a) };
        }
        let (x, y) = (as_f64(a).0, as_f64(b).0);
        let zero = x == 0.0 && y == 0.0 && matches!(r.kind, ReduceKind::Min | ReduceKind::Max);
        if x.is_nan() || y.is_nan() {
            !x.is_nan()
        } else if zero {
            x.is_sign_negative() != y.is_sign_negative() && y.is_sign_negative() == less
        } else if less {
            y < x
        } else {
            y > x
        }
    };
    match r.kind {
        ReduceKind::Sum if exact => {
            let sum = group.iter().fold(0i128, |s, (_, v)| s.wrapping_add(as_int(*v)));
            Scalar::from_bits(t, sum as u128)
        }
        ReduceKind::Prod if exact => {
            let product = group.iter().fold(1i128, |s, (_, v)| s.wrapping_mul(as_int(*v)) as u64 as i128);
            Scalar::from_bits(t, product as u128)
        }
        ReduceKind::Sum | ReduceKind::Mean => {
            let (re, im) = group.iter().fold((0.0, 0.0), |s, (_, v)| {
                let (re, im) = as_f64(*v);
                (s.0 + re, s.1 + im)
            });
            let n = if r.kind == ReduceKind::Mean { group.len() as f64 } else { 1.0 };
            from_parts(t, (re / n, im / n))
        }
        ReduceKind::Prod => from_parts(
            t,
            group.iter().fold((1.0, 0.0), |(a, b), (_, v)| {
                let (c, d) = as_f64(*v);
                if t.is_complex() { (a * c - b * d, a * d + b * c) } else { (a * c, 0.0) }
            }),
        ),
        ReduceKind::Any => Scalar::Bool(group.iter().any(|(_, v)| *v == Scalar::Bool(true))),
        ReduceKind::All => Scalar::Bool(group.iter().all(|(_, v)| *v == Scalar::Bool(true))),
        ReduceKind::Min | ReduceKind::Max => {
            group.iter().fold(r.identity()[0], |s, (_, v)| if better(s, *v) { *v } else { s })
        }
        ReduceKind::ArgMin | ReduceKind::ArgMax => {
            let best = group.iter().copied().reduce(|s, v| if better(s.1, v.1) { v } else { s });
            Scalar::Int(ScalarType::I64, best.map_or(i64::MAX, |b| b.0 as i64))
        }
        ReduceKind::Var(ddof) => {
            let n = group.len() as f64;
            let mean = group.iter().map(|(_, v)| as_f64(*v).0).sum::<f64>() / n;
            let squares = group.iter().map(|(_, v)| (as_f64(*v).0 - mean).powi(2)).sum::<f64>();
            from_parts(t, (squares / (n - f64::from_bits(ddof)).max(0.0), 0.0))
        }
    }
}

fn list(block: &Block) -> Vec<Scalar> {
    let mut out = Vec::new();
    positions(block.shape(), |at| out.push(get(block, at)));
    out
}

#[track_caller]
fn same(name: &str, what: &str, a: &Block, b: &Block, ulps: u64, tolerance: f64) {
    let (x, y) = (list(a), list(b));
    assert_eq!(x.len(), y.len(), "{name}: {what}");
    for (i, (p, q)) in x.iter().zip(&y).enumerate() {
        let near = tolerance > 0.0 && {
            let ((p, _), (q, _)) = (as_f64(*p), as_f64(*q));
            (p - q).abs() <= tolerance * q.abs() || p == q
        };
        let close = Value::Scalar(*p).close(&Value::Scalar(*q), ulps);
        assert!(near || close, "{name}: {what}: element {i} is {p:?}, not {q:?}");
    }
}

/// The tolerance where the order of additions shows: variances, whose squares are not whole.
fn tolerance(mode: Mode) -> f64 {
    match mode {
        Mode::Reduce(Reducer { kind: ReduceKind::Var(_), ty: ScalarType::F32 }) => 1e-5,
        Mode::Reduce(Reducer { kind: ReduceKind::Var(_), .. }) => 1e-12,
        Mode::Store | Mode::Reduce(_) => 0.0,
    }
}

/// The values that the program has at every position, from a C-ordered copy of everything, position by position for small
/// cases.
fn values(case: &Case) -> Vec<Block> {
    let (mut spread, coords) = (Vec::new(), case.coordinates());
    for &o in &case.program.outputs {
        let dtype = DType::from_scalar(case.program.types[o as usize]);
        spread.push(Block::alloc(dtype, &case.shape).expect("memory"));
    }
    let small = case.shape.iter().product::<usize>() <= 120;
    let leaves: Vec<Block> = case.leaves.iter().map(|b| b.to_contiguous().expect("memory")).collect();
    let none = vec![false; case.shape.len()];
    let call = |shape: &[usize], leaves: &[Block], coords: &[Coordinate], outputs: &[Block]| {
        run(&Call {
            program: &case.program,
            mode: Mode::Store,
            shape,
            reduced: &none[..shape.len()],
            leaves,
            coords,
            consts: &case.consts,
            outputs,
        })
        .expect("it runs");
    };
    if !small {
        call(&case.shape, &leaves, &coords[..case.coords.len()], &spread);
        return spread;
    }
    positions(&case.shape, |at| {
        let one = |b: &Block| {
            let b = at.iter().enumerate().fold(b.clone(), |b, (axis, &i)| b.slice_axis(axis, i, 1, 1));
            b.reshape(&[]).expect("memory")
        };
        let leaves: Vec<Block> = case.leaves.iter().map(one).collect();
        let coords: Vec<Coordinate> = coords[..case.coords.len()]
            .iter()
            .map(|c| {
                let here: i64 = at.iter().zip(&c.steps).map(|(&i, s)| i as i64 * s).sum();
                Coordinate { base: c.base + here, steps: SmallVec::new() }
            })
            .collect();
        let outputs: Vec<Block> =
            spread.iter().map(|b| Block::alloc(b.dtype(), &[]).expect("memory")).collect();
        call(&[], &leaves, &coords, &outputs);
        for (all, one) in spread.iter().zip(&outputs) {
            put(all, at, one.item());
        }
    });
    spread
}

fn check_form(case: &Case, plan: &Plan) {
    let form = match case.mode {
        Mode::Store if plan.tiled => "tiled",
        Mode::Store => "store",
        Mode::Reduce(_) if plan.tiled => "tiled",
        Mode::Reduce(_) if plan.inner_reduced => "rows",
        Mode::Reduce(_) => "columns",
    };
    if let [wanted, classes @ ..] = case.expect.as_slice() {
        assert_eq!(form, wanted, "{}: {plan:?}", case.name);
        if !classes.is_empty() {
            let got: Vec<String> = plan.classes.iter().map(|c| format!("{c:?}").to_lowercase()).collect();
            assert_eq!(got, classes, "{}", case.name);
        }
    }
}

fn check_golden(case: &Case, plan: &Plan) {
    let module = build::kernel(&case.program, case.mode, &plan.classes, plan.tiled, plan.inner_reduced);
    pantile_jit::verify(&module).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    if !case.golden {
        return;
    }
    let text = pantile_jit::print_module(&module);
    let name = case.name.split('[').next().expect("a name");
    let path = format!("{}/tests/kernels/golden/{name}.ir", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &text).expect("the golden file can be written");
    }
    let wanted = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, wanted, "{path} differs; UPDATE_EXPECT=1 writes it anew");
}

#[test]
fn kernels_give_the_same_interpreted_compiled_and_naively() {
    let folder = format!("{}/tests/kernels", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|f| f.expect("a file").path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 5, "{files:?}");
    let mut cases = Vec::new();
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a file");
        for case in read(&text) {
            for (name, lines) in expand(&case) {
                let stem = file.file_stem().and_then(|s| s.to_str()).expect("a name");
                cases.push(build_case(&format!("{stem}_{name}"), &lines));
            }
        }
    }

    // No backend is set yet: everything is interpreted.
    let mut interpreted = Vec::new();
    for case in &cases {
        let plan = case.plan(&case.outputs().0);
        check_form(case, &plan);
        check_golden(case, &plan);
        let got = case.run();
        let values = values(case);
        match case.naive(&values) {
            Some(naive) => {
                same(&case.name, "interpreted, not naive", &got[0], &naive, 0, tolerance(case.mode))
            }
            None => {
                for (a, b) in got.iter().zip(&values) {
                    same(&case.name, "interpreted at once, not one by one", a, b, 0, 0.0);
                }
            }
        }
        interpreted.push(got);
    }
    assert_eq!(cache::stats().compiled_calls, 0);

    let backend = LlvmBackend::new(LlvmOptions::default()).expect("this machine is supported");
    cache::set_backend(Arc::new(backend));
    for (case, wanted) in cases.iter().zip(&interpreted) {
        let plan = case.plan(&case.outputs().0);
        cache::get(case.key(&plan), 1 << 40).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        if let Mode::Reduce(r) = case.mode {
            cache::get_finish(r, 1 << 30).unwrap_or_else(|e| panic!("{}: {e}", case.name));
            cache::get_merge(r, 1 << 30).unwrap_or_else(|e| panic!("{}: {e}", case.name));
        }
        let before = cache::stats().interpreted_calls;
        let got = case.run();
        assert_eq!(cache::stats().interpreted_calls, before, "{}: it was interpreted again", case.name);
        for (a, b) in got.iter().zip(wanted) {
            same(&case.name, "compiled, not interpreted", a, b, case.ulps, tolerance(case.mode));
        }
        if let Mode::Reduce(r) = case.mode {
            check_merge(case, r, &got[0]);
        }
    }
    println!("{} kernels, {:?}", cases.len(), cache::stats());
    assert!(elements::<u8>(&Block::zeros(DType::Bool, &[1]).expect("memory"))[0] == 0);
}

/// Merging the states of all elements with those of none, on either side, changes nothing.
fn check_merge(case: &Case, r: Reducer, wanted: &Block) {
    let empty = || case.outputs().1;
    let full = || {
        let (spread, plain) = case.outputs();
        run(&Call {
            program: &case.program,
            mode: case.mode,
            shape: &case.shape,
            reduced: &case.reduced,
            leaves: &case.leaves,
            coords: &case.coordinates(),
            consts: &case.consts,
            outputs: &spread,
        })
        .expect("it runs");
        plain
    };
    for (into, from) in [(empty(), full()), (full(), empty())] {
        merge_states(r, &into, &from).expect("it runs");
        // One times a complex number may turn the sign of a zero.
        let ulps = u64::from(r.ty.is_complex());
        same(&case.name, "merged with nothing", &finish(r, &into), wanted, ulps, 0.0);
    }
}

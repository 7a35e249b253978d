//! Random plans against naive arithmetic: whatever is composed, the elements are those that a loop over indices gives.
//!
//! A list of small numbers is read as a program: each step takes arrays made before (as an expression and as plain
//! numbers in C order) and makes a new one. Values stay whole numbers far below 2^53, so that every order of summation gives
//! the same bits and the comparison is exact.

mod common;
mod support;

use common::{elements, run, source};
use pantile_array::chunks::{AxisChunks, Chunks, unravel};
use pantile_array::layers::store::Destination;
use pantile_array::lower::{Options, lower};
use pantile_array::ops::assign::assign;
use pantile_array::ops::contract::{matmul, tensordot};
use pantile_array::ops::elementwise::{Arg, Weak, astype, broadcast_to, coord};
use pantile_array::ops::index::{Index, index, take};
use pantile_array::ops::join::concatenate;
use pantile_array::ops::reduction::{Params, reduce};
use pantile_array::ops::scan::scan;
use pantile_array::ops::shape::{expand_dims, reshape, squeeze, transpose};
use pantile_array::{Block, Expr};
use pantile_types::DType;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed};
use support::{foreign, map, run_plan, with};

/// An array as plain numbers.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    shape: Vec<usize>,
    data: Vec<f64>,
}

impl Plain {
    fn from_fn(shape: &[usize], mut f: impl FnMut(&[usize]) -> f64) -> Plain {
        let count: usize = shape.iter().product();
        let mut at = vec![0; shape.len()];
        let mut data = Vec::with_capacity(count);
        for _ in 0..count {
            data.push(f(&at));
            for axis in (0..shape.len()).rev() {
                at[axis] += 1;
                if at[axis] < shape[axis] {
                    break;
                }
                at[axis] = 0;
            }
        }
        Plain { shape: shape.to_vec(), data }
    }

    fn at(&self, at: &[usize]) -> f64 {
        self.data[at.iter().zip(&self.shape).fold(0, |sum, (i, n)| sum * n + i)]
    }

    /// The element that broadcasting puts at a position of a larger shape.
    fn spread(&self, at: &[usize]) -> f64 {
        let own = &at[at.len() - self.shape.len()..];
        let own: Vec<usize> =
            own.iter().zip(&self.shape).map(|(&i, &n)| if n == 1 { 0 } else { i }).collect();
        self.at(&own)
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Plain {
        Plain { shape: self.shape.clone(), data: self.data.iter().map(|&v| f(v)).collect() }
    }

    /// Folds along some axes in C order.
    fn fold(&self, axes: &[usize], keepdims: bool, f: impl Fn(&[f64]) -> f64) -> Plain {
        let kept: Vec<usize> = (0..self.shape.len()).filter(|a| !axes.contains(a)).collect();
        let inner: Vec<usize> = axes.iter().map(|&a| self.shape[a]).collect();
        let shape: Vec<usize> = kept.iter().map(|&a| self.shape[a]).collect();
        let mut out = Plain::from_fn(&shape, |outer| {
            let values = Plain::from_fn(&inner, |reduced| {
                let mut at = vec![0; self.shape.len()];
                kept.iter().zip(outer).for_each(|(&a, &i)| at[a] = i);
                axes.iter().zip(reduced).for_each(|(&a, &i)| at[a] = i);
                self.at(&at)
            });
            f(&values.data)
        });
        if keepdims {
            out.shape =
                (0..self.shape.len()).map(|a| if axes.contains(&a) { 1 } else { self.shape[a] }).collect();
        }
        out
    }
}

fn broadcast(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let n = a.len().max(b.len());
    let of = |s: &[usize], k: usize| (k + s.len()).checked_sub(n).map_or(1, |k| s[k]);
    (0..n)
        .map(|k| match (of(a, k), of(b, k)) {
            (x, y) if x == y => Some(x),
            (1, y) => Some(y),
            (x, 1) => Some(x),
            _ => None,
        })
        .collect()
}

type Pair = (Expr, Plain);
/// Where an element of a view comes from.
type Locate = Box<dyn Fn(&[usize]) -> Vec<usize>>;

/// Reads a program from a list of numbers; when it is at its end everything is zero.
struct Reader<'a> {
    genes: &'a [u16],
    pool: Vec<Pair>,
    /// Whether some length was known to the run alone, so that estimates are guesses.
    guessed: bool,
    text: Vec<String>,
}

impl Reader<'_> {
    fn next(&mut self, below: usize) -> usize {
        let Some((&first, rest)) = self.genes.split_first() else { return 0 };
        self.genes = rest;
        first as usize % below.max(1)
    }

    fn pick(&mut self) -> Pair {
        // Rather what was made last, so that programs are deep.
        let n = self.pool.len();
        let back = self.next(n).min(self.next(n));
        self.pool[n - 1 - back].clone()
    }

    fn push(&mut self, what: &str, e: Expr, p: Plain) {
        self.text.push(format!("{}: {what} -> {:?} {:?}", self.pool.len(), p.shape, e.chunks()));
        let shape: Vec<usize> = e.known_shape().expect("known").iter().map(|&n| n as usize).collect();
        assert_eq!(shape, p.shape, "{}", self.text.join("\n"));
        // Large numbers are made small again.
        if p.data.iter().any(|v| v.abs() > 1e6) {
            let small = p.map(|v| v - (v / 101.0).floor() * 101.0);
            self.pool.push((with("remainder", &e, 101.0), small));
        } else {
            self.pool.push((e, p));
        }
    }

    fn cut(&mut self, len: usize) -> AxisChunks {
        let mut sizes = Vec::new();
        let mut rest = len as u64;
        while rest > 0 {
            if self.next(9) == 8 {
                sizes.push(0);
            }
            let n = (1 + self.next(5) as u64).min(rest);
            sizes.push(n);
            rest -= n;
        }
        if sizes.is_empty() { AxisChunks::whole(0) } else { AxisChunks::new(sizes) }
    }

    fn cuts(&mut self, shape: &[usize]) -> Chunks {
        shape.iter().map(|&n| self.cut(n)).collect()
    }

    fn source(&mut self, shape: &[usize]) -> Pair {
        let salt = self.next(1000);
        let mut k = salt;
        let p = Plain::from_fn(shape, |_| {
            k = (k * 31 + 17) % 211;
            k as f64 - 100.0
        });
        let cuts = self.cuts(shape);
        // Memory in C order, or backwards, or with the axes in another order.
        let block = match self.next(3) {
            0 => foreign(p.data.clone(), shape),
            1 => {
                let back: Vec<f64> = p.data.iter().rev().copied().collect();
                let mut block = foreign(back, shape);
                for (axis, &n) in shape.iter().enumerate() {
                    block = block.slice_axis(axis, n.saturating_sub(1), -1, n);
                }
                block
            }
            _ => {
                let turned: Vec<usize> = (0..shape.len()).rev().collect();
                let other: Vec<usize> = shape.iter().rev().copied().collect();
                let data = Plain::from_fn(&other, |at| p.at(&at.iter().rev().copied().collect::<Vec<_>>()));
                foreign(data.data, &other).transpose(&turned)
            }
        };
        (source(block, cuts), p)
    }

    fn slice(&mut self, n: usize) -> (Index, Vec<usize>) {
        let step = [1, 1, 2, 3, -1, -2][self.next(6)];
        let (a, b) = (self.next(n + 1), self.next(n + 1));
        let (lo, hi) = if self.next(3) == 0 { (0, n) } else { (a.min(b), a.max(b)) };
        if step > 0 {
            let positions = (lo..hi).step_by(step as usize).collect();
            return (Index::Slice(Some(lo as i64), Some(hi as i64), Some(step)), positions);
        }
        let positions = (lo..hi).rev().step_by(step.unsigned_abs() as usize).collect();
        let stop = if lo == 0 { None } else { Some(lo as i64 - 1) };
        // An empty slice backwards has no simple spelling from position zero.
        let start = if hi == 0 { Some(0) } else { Some(hi as i64 - 1) };
        let stop = if hi <= lo { start } else { stop };
        (Index::Slice(start, stop, Some(step)), positions)
    }

    /// Basic indices for an array: integers, slices, new axes; and where each element comes from.
    fn basic(&mut self, shape: &[usize]) -> (Vec<Index>, Vec<usize>, Locate) {
        let mut indices = Vec::new();
        let mut out = Vec::new();
        // For each input axis: the output axis and its positions, or one fixed position.
        let mut from: Vec<(Option<usize>, Vec<usize>)> = Vec::new();
        for &n in shape {
            if self.next(6) == 5 {
                indices.push(Index::NewAxis);
                out.push(1);
            }
            if n > 0 && self.next(4) == 3 {
                let at = self.next(n);
                indices.push(Index::Int(if self.next(2) == 0 { at as i64 } else { at as i64 - n as i64 }));
                from.push((None, vec![at]));
            } else {
                let (slice, positions) = self.slice(n);
                indices.push(slice);
                from.push((Some(out.len()), positions.clone()));
                out.push(positions.len());
            }
        }
        let locate = move |at: &[usize]| {
            from.iter().map(|(axis, positions)| positions[axis.map_or(0, |k| at[k])]).collect()
        };
        (indices, out, Box::new(locate))
    }

    fn axes(&mut self, ndim: usize) -> Vec<usize> {
        if self.next(3) == 0 {
            (0..ndim).collect()
        } else {
            (0..ndim).filter(|_| self.next(2) == 1).collect()
        }
    }

    fn step(&mut self) {
        let (e, p) = self.pick();
        let arg = |e: &Expr| Arg::Array(e.clone());
        match self.next(16) {
            0 => {
                let shape: Vec<usize> = (0..self.next(4)).map(|_| [1, 2, 5, 9, 0, 3][self.next(6)]).collect();
                let (e, p) = self.source(&shape);
                self.push("source", e, p);
            }
            1 | 2 => {
                let name = ["add", "subtract", "multiply", "minimum", "maximum", "greater"][self.next(6)];
                let offset = self.next(self.pool.len());
                let fits = (0..self.pool.len())
                    .map(|k| self.pool[(k + offset) % self.pool.len()].clone())
                    .find(|(_, q)| {
                        broadcast(&p.shape, &q.shape).is_some_and(|s| s.iter().product::<usize>() <= 2000)
                    });
                let (f, q) = fits.unwrap_or((e.clone(), p.clone()));
                let shape = broadcast(&p.shape, &q.shape).expect("it fits");
                let result = Plain::from_fn(&shape, |at| {
                    let (x, y) = (p.spread(at), q.spread(at));
                    match name {
                        "add" => x + y,
                        "subtract" => x - y,
                        "multiply" => x * y,
                        "minimum" => x.min(y),
                        "maximum" => x.max(y),
                        _ => f64::from(u8::from(x > y)),
                    }
                });
                let made = astype(&map(name, &[&e, &f]), DType::F64).expect("it converts");
                // No zero with a sign: the naive minimum does not say which it takes.
                self.push(name, with("add", &made, 0.0), result.map(|v| v + 0.0));
            }
            3 => {
                let (indices, shape, locate) = self.basic(&p.shape);
                let result = Plain::from_fn(&shape, |at| p.at(&locate(at)));
                self.push(&format!("index {indices:?}"), index(&e, &indices).expect("an index"), result);
            }
            4 => {
                let mut perm: Vec<usize> = (0..p.shape.len()).collect();
                for k in (1..perm.len()).rev() {
                    perm.swap(k, self.next(k + 1));
                }
                let shape: Vec<usize> = perm.iter().map(|&k| p.shape[k]).collect();
                let result = Plain::from_fn(&shape, |at| {
                    let mut own = vec![0; at.len()];
                    perm.iter().zip(at).for_each(|(&k, &i)| own[k] = i);
                    p.at(&own)
                });
                self.push(&format!("transpose {perm:?}"), transpose(&e, &perm), result);
            }
            5 => {
                let cuts = self.cuts(&p.shape);
                self.push("rechunk", e.rechunk(cuts), p);
            }
            6 | 7 => {
                let axes = self.axes(p.shape.len());
                let name = ["sum", "min", "max", "any", "mean", "argmax"][self.next(6)];
                if name == "argmax" && axes.len() != p.shape.len() && axes.len() != 1 {
                    return;
                }
                let keepdims = self.next(2) == 1;
                let params =
                    Params { axes: Some(axes.iter().copied().collect()), keepdims, ..Params::default() };
                let empty = axes.iter().any(|&a| p.shape[a] == 0);
                let made = match reduce(name, &e, &params) {
                    Ok(made) => made,
                    Err(error) => {
                        assert!(empty && ["min", "max", "argmax"].contains(&name), "{error}");
                        return;
                    }
                };
                if empty && name == "mean" {
                    return;
                }
                let result = p.fold(&axes, keepdims, |v| match name {
                    "sum" => v.iter().sum::<f64>() + 0.0,
                    "min" => v.iter().copied().fold(f64::INFINITY, f64::min),
                    "max" => v.iter().copied().fold(f64::NEG_INFINITY, f64::max),
                    "any" => f64::from(u8::from(v.iter().any(|&x| x != 0.0))),
                    "mean" => (v.iter().sum::<f64>() / v.len() as f64).floor(),
                    _ => (0..v.len()).rfold(0, |best, k| if v[k] >= v[best] { k } else { best }) as f64,
                });
                let made = if name == "mean" { map("floor", &[&made]) } else { made };
                let made = with("add", &astype(&made, DType::F64).expect("it converts"), 0.0);
                self.push(&format!("{name} {axes:?}"), made, result.map(|v| v + 0.0));
            }
            8 => {
                let size: usize = p.shape.iter().product();
                let mut to: Vec<i64> = Vec::new();
                let mut rest = size;
                for d in [2usize, 3, 5, 1, 4] {
                    if rest > 0 && rest.is_multiple_of(d) && self.next(2) == 1 {
                        to.push(d as i64);
                        rest /= d;
                    }
                }
                to.insert(self.next(to.len() + 1), rest as i64);
                let shape: Vec<usize> = to.iter().map(|&n| n as usize).collect();
                let result = Plain { shape, data: p.data };
                self.push(&format!("reshape {to:?}"), reshape(&e, &to).expect("it fits"), result);
            }
            9 => {
                let Some(axis) = (!p.shape.is_empty()).then(|| self.next(p.shape.len())) else { return };
                let other = self.pool.iter().rev().find(|(_, q)| {
                    q.shape.len() == p.shape.len()
                        && (0..q.shape.len()).all(|k| k == axis || q.shape[k] == p.shape[k])
                });
                let (f, q) = other.expect("the array itself fits").clone();
                let mut shape = p.shape.clone();
                shape[axis] += q.shape[axis];
                if shape.iter().product::<usize>() > 2000 {
                    return;
                }
                let result = Plain::from_fn(&shape, |at| {
                    let mut own = at.to_vec();
                    if own[axis] < p.shape[axis] {
                        return p.at(&own);
                    }
                    own[axis] -= p.shape[axis];
                    q.at(&own)
                });
                self.push(
                    &format!("concatenate {axis}"),
                    concatenate(&[e, f], axis, None).expect("it fits"),
                    result,
                );
            }
            10 => {
                let Some(axis) = (!p.shape.is_empty()).then(|| self.next(p.shape.len())) else { return };
                if p.shape[axis] == 0 {
                    return;
                }
                let positions: Vec<usize> = (0..self.next(7)).map(|_| self.next(p.shape[axis])).collect();
                let mut shape = p.shape.clone();
                shape[axis] = positions.len();
                let result = Plain::from_fn(&shape, |at| {
                    let mut own = at.to_vec();
                    own[axis] = positions[own[axis]];
                    p.at(&own)
                });
                let wrapped: Vec<i64> = positions.iter().map(|&k| k as i64).collect();
                let made = take(&e, &wrapped, axis, axis).expect("positions inside");
                self.push(&format!("take {positions:?} along {axis}"), made, result);
            }
            11 => {
                // What a mask leaves has no known length; its sum and its running sums have.
                let bound = self.next(100) as f64 - 50.0;
                let left = index(&e, &[Index::Mask(with("greater", &e, bound))]).expect("a mask");
                let kept: Vec<f64> = p.data.iter().copied().filter(|&v| v > bound).collect();
                self.guessed = true;
                let sum = kept.iter().sum::<f64>() + 0.0;
                if self.next(2) == 0 || kept.is_empty() {
                    let made = reduce("sum", &left, &Params::default()).expect("a sum");
                    self.push("sum of a mask", made, Plain { shape: vec![], data: vec![sum] });
                } else {
                    let running = scan(&left, 0, false, None).expect("a scan");
                    let largest = reduce("max", &running, &Params::default()).expect("a maximum");
                    let mut so_far = 0.0;
                    let best = kept.iter().map(|v| {
                        so_far += v;
                        so_far
                    });
                    let best = best.fold(f64::NEG_INFINITY, f64::max);
                    let made = with("add", &largest, 0.0);
                    self.push(
                        "running maximum of a mask",
                        made,
                        Plain { shape: vec![], data: vec![best + 0.0] },
                    );
                }
            }
            12 => {
                let (indices, shape, locate) = self.basic(&p.shape);
                let value = self.next(2000) as f64 - 1000.0;
                let mut result = p.clone();
                // A value that differs from element to element, if there is one that broadcasts.
                let fits = self.pool.iter().find(|(_, q)| {
                    q.shape.len() <= shape.len() && broadcast(&q.shape, &shape).as_ref() == Some(&shape)
                });
                let fits = if self.genes.len().is_multiple_of(2) { fits.cloned() } else { None };
                Plain::from_fn(&shape, |at| {
                    let own = locate(at);
                    let place = own.iter().zip(&p.shape).fold(0, |sum, (i, n)| sum * n + i);
                    result.data[place] = fits.as_ref().map_or(value, |(_, q)| q.spread(at));
                    0.0
                });
                let value = fits.map_or(Arg::Weak(Weak::Float(value)), |(f, _)| arg(&f));
                let made = assign(&e, &indices, &value).expect("it fits");
                self.push(&format!("assign to {indices:?}"), made, result);
            }
            13 => {
                let Some(k) = p.shape.last().copied() else { return };
                let inner = |q: &Plain| {
                    if q.shape.len() < 2 {
                        q.shape.first().copied()
                    } else {
                        Some(q.shape[q.shape.len() - 2])
                    }
                };
                let small = |q: &Plain| q.data.iter().all(|v| v.abs() < 1e5);
                let other = self
                    .pool
                    .iter()
                    .rev()
                    .find(|(_, q)| inner(q) == Some(k) && q.shape.len() <= 2 && small(q));
                let Some((f, q)) = other.filter(|_| p.shape.len() <= 2 && small(&p)).cloned() else { return };
                let rows: Vec<usize> = p.shape[..p.shape.len() - 1].to_vec();
                let columns: Vec<usize> = q.shape[1..].to_vec();
                let shape: Vec<usize> = rows.iter().chain(&columns).copied().collect();
                let result = Plain::from_fn(&shape, |at| {
                    let (row, column) = at.split_at(rows.len());
                    let term = |i: usize| p.at(&[row, &[i]].concat()) * q.at(&[&[i], column].concat());
                    (0..k).map(term).sum::<f64>() + 0.0
                });
                let made = if self.next(2) == 0 {
                    matmul(&e, &f).expect("it fits")
                } else {
                    tensordot(&e, &f, &[p.shape.len() - 1], &[0]).expect("it fits")
                };
                self.push("product", with("add", &made, 0.0), result);
            }
            14 => {
                let Some(axis) = (!p.shape.is_empty()).then(|| self.next(p.shape.len())) else { return };
                let result = Plain::from_fn(&p.shape, |at| {
                    let mut own = at.to_vec();
                    (0..=at[axis])
                        .map(|i| {
                            own[axis] = i;
                            p.at(&own)
                        })
                        .sum::<f64>()
                });
                let made = scan(&e, axis, false, None).expect("a scan");
                self.push(&format!("cumsum {axis}"), with("add", &made, 0.0), result.map(|v| v + 0.0));
            }
            _ => match self.next(4) {
                0 => {
                    let n = self.next(8);
                    let cut = self.cut(n);
                    let made = astype(&coord(cut), DType::F64).expect("it converts");
                    self.push("arange", made, Plain::from_fn(&[n], |at| at[0] as f64));
                }
                1 => {
                    let mut shape = vec![1 + self.next(3)];
                    shape.extend(&p.shape);
                    if shape.iter().product::<usize>() > 2000 {
                        return;
                    }
                    let cuts = self.cuts(&shape);
                    let made = broadcast_to(&e, cuts).expect("it broadcasts");
                    self.push("broadcast", made, Plain::from_fn(&shape, |at| p.spread(at)));
                }
                2 => {
                    let at = self.next(p.shape.len() + 1);
                    let mut shape = p.shape.clone();
                    shape.insert(at, 1);
                    self.push(&format!("expand {at}"), expand_dims(&e, &[at]), Plain { shape, data: p.data });
                }
                _ => {
                    let ones: Vec<usize> = (0..p.shape.len()).filter(|&k| p.shape[k] == 1).collect();
                    let shape: Vec<usize> = p.shape.iter().copied().filter(|&n| n != 1).collect();
                    self.push("squeeze", squeeze(&e, &ones).expect("ones"), Plain { shape, data: p.data });
                }
            },
        }
    }
}

/// Runs a program and compares the last few arrays that it makes.
fn check(genes: &[u16]) -> Result<(), String> {
    let mut reader = Reader { genes, pool: Vec::new(), guessed: false, text: Vec::new() };
    for shape in [vec![5, 9], vec![9]] {
        let (e, p) = reader.source(&shape);
        reader.push("source", e, p);
    }
    while !reader.genes.is_empty() && reader.pool.len() < 14 {
        reader.step();
    }
    let text = reader.text.join("\n");
    let last = &reader.pool[reader.pool.len().saturating_sub(4)..];
    let outputs: Vec<Expr> = last.iter().map(|(e, _)| e.clone()).collect();
    let run = run(&outputs).map_err(|e| format!("{e}\n{text}"))?;
    for ((e, p), block) in last.iter().zip(&run.outputs) {
        let got: Vec<f64> = elements(&shaped(block, &p.shape));
        if got != p.data {
            return Err(format!("{e:?} is\n{got:?}, not\n{:?}\n{text}", p.data));
        }
    }
    // The same again where nothing is kept and rechunks go in many small steps.
    let tight = Options { keep_bytes: 0, task_bytes: 100 };
    let plan = lower(&outputs, &vec![Destination::Fresh; outputs.len()], tight)
        .map_err(|e| format!("{e}\n{text}"))?;
    let mut blocks = run_plan(&plan).map_err(|e| format!("{e}\n{text}"))?.into_iter();
    for (e, whole) in outputs.iter().zip(&run.outputs) {
        for index in 0..e.block_count() as u32 {
            let mut part = whole.clone();
            for (axis, &i) in unravel(e.chunks(), index).iter().enumerate() {
                let cut = &e.chunks()[axis];
                part = part.slice_axis(
                    axis,
                    cut.start(i as usize) as usize,
                    1,
                    cut.sizes()[i as usize] as usize,
                );
            }
            let block = blocks.next().expect("a block");
            if block.shape() != part.shape() || elements::<f64>(&block) != elements::<f64>(&part) {
                return Err(format!("in small steps block {index} of {e:?} is another\n{text}"));
            }
        }
    }
    // A view may keep up to twice its own size alive before it is copied, and small ones what they like.
    let wrong = run.underestimated.iter().find(|(_, estimate, truth)| *truth > 2 * estimate.max(&64));
    match wrong {
        Some(wrong) if !reader.guessed => Err(format!("an estimate is too low: {wrong:?}\n{text}")),
        _ => Ok(()),
    }
}

fn shaped(block: &Block, shape: &[usize]) -> Block {
    assert_eq!(block.shape(), shape);
    block.clone()
}

proptest! {
    #![proptest_config(Config { cases: 6000, failure_persistence: None, rng_seed: RngSeed::Fixed(7), ..Config::default() })]

    #[test]
    fn random_programs_compute_what_loops_compute(genes in prop::collection::vec(any::<u16>(), 0..120)) {
        if let Err(message) = check(&genes) {
            return Err(TestCaseError::fail(message));
        }
    }
}

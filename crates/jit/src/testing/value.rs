//! Arguments and results as data: read from text, laid out in memory, passed through the calling convention, compared.

use crate::backend::Executable;
use crate::ir::{Function, Stride, TrapCode, Type, ViewType};
use crate::text::print_scalar;
use pantile_types::{Scalar, ScalarType};

/// An argument or a result.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// A number or truth value.
    Scalar(Scalar),
    /// A tuple.
    Tuple(Vec<Value>),
    /// An array: its shape, and its elements with the last axis running fastest.
    Array(Vec<usize>, Vec<Scalar>),
}

/// How array arguments lie in memory where their type leaves it open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Layout {
    /// One element after the other.
    Compact,
    /// Axes with run-time strides run backwards, with gaps that must stay untouched.
    Scattered,
}

/// What a call did.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The results, or why it stopped.
    pub results: Result<Vec<Value>, TrapCode>,
    /// The arguments as they are after the call: arrays may have changed.
    pub args: Vec<Value>,
}

impl Value {
    /// Whether two values are the same: bit for bit, but any NaN is as good as another.
    pub fn same(&self, other: &Value) -> bool {
        self.close(other, 0)
    }

    /// Whether two values are the same but for floats that are at most `ulps` apart.
    pub fn close(&self, other: &Value, ulps: u64) -> bool {
        match (self, other) {
            (Value::Scalar(a), Value::Scalar(b)) => close_scalars(*a, *b, ulps),
            (Value::Tuple(a), Value::Tuple(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.close(b, ulps))
            }
            (Value::Array(shape, a), Value::Array(other_shape, b)) => {
                shape == other_shape && a.iter().zip(b).all(|(a, b)| close_scalars(*a, *b, ulps))
            }
            _ => false,
        }
    }
}

fn close_scalars(a: Scalar, b: Scalar, ulps: u64) -> bool {
    /// Bits as a number that grows by one from each float to the next.
    fn rank(bits: i64, width: u32) -> i64 {
        let top = 1i64 << (width - 2) << 1;
        if bits & top != 0 { top.wrapping_sub(bits) } else { bits }
    }
    let parts = |a: f64, b: f64, near: bool| (a.is_nan() && b.is_nan()) || near || (ulps > 0 && a == b);
    match (a, b) {
        (Scalar::F16(x), Scalar::F16(y)) => {
            let (fx, fy) = (half::f16::from_bits(x).to_f64(), half::f16::from_bits(y).to_f64());
            parts(fx, fy, x == y || (ulps > 0 && rank(x as i64, 16).abs_diff(rank(y as i64, 16)) <= ulps))
        }
        (Scalar::F32(x), Scalar::F32(y)) => {
            let (i, j) = (x.to_bits() as i64, y.to_bits() as i64);
            parts(x as f64, y as f64, i == j || (ulps > 0 && rank(i, 32).abs_diff(rank(j, 32)) <= ulps))
        }
        (Scalar::F64(x), Scalar::F64(y)) => {
            let (i, j) = (x.to_bits() as i64, y.to_bits() as i64);
            let rank = |i: i64| if i < 0 { i64::MIN.wrapping_sub(i) } else { i };
            parts(x, y, i == j || (ulps > 0 && rank(i).abs_diff(rank(j)) <= ulps))
        }
        (Scalar::C64(xr, xi), Scalar::C64(yr, yi)) => {
            close_scalars(Scalar::F32(xr), Scalar::F32(yr), ulps)
                && close_scalars(Scalar::F32(xi), Scalar::F32(yi), ulps)
        }
        (Scalar::C128(xr, xi), Scalar::C128(yr, yi)) => {
            close_scalars(Scalar::F64(xr), Scalar::F64(yr), ulps)
                && close_scalars(Scalar::F64(xi), Scalar::F64(yi), ulps)
        }
        _ => a == b,
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Scalar(s) => f.write_str(&print_scalar(*s)),
            Value::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(Value::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
            Value::Array(shape, elems) => {
                fn walk(shape: &[usize], elems: &[Scalar]) -> String {
                    match shape {
                        [] => print_scalar(elems[0]),
                        [n, rest @ ..] => {
                            let step: usize = rest.iter().product();
                            let rows: Vec<String> =
                                (0..*n).map(|i| walk(rest, &elems[i * step..(i + 1) * step])).collect();
                            format!("[{}]", rows.join(", "))
                        }
                    }
                }
                f.write_str(&walk(shape, elems))
            }
        }
    }
}

// ---- memory ----

/// The bytes between and around elements, by which stray writes are found out.
const GAP: u8 = 0x5a;

/// An array argument in memory.
struct Buffer {
    /// Aligned for every element type.
    memory: Vec<u128>,
    ty: ViewType,
    shape: Vec<usize>,
    strides: Vec<isize>,
    /// Where element 0 is, in bytes from the start of the memory.
    origin: usize,
}

impl Buffer {
    fn new(ty: &ViewType, shape: &[usize], elems: &[Scalar], layout: Layout) -> Result<Buffer, String> {
        let size = ty.elem.size();
        if shape.len() != ty.strides.len() {
            return Err(format!("an array of {} axes for {}", shape.len(), Type::View(ty.clone())));
        }
        let units = ty.strides.iter().zip(shape).filter(|(s, n)| **s == Stride::Unit && **n > 1).count();
        if units > 1 {
            return Err(format!("no array has two axes of touching elements: {}", Type::View(ty.clone())));
        }
        // The axis with touching elements is innermost; the others follow from the last to the first.
        let unit_len =
            ty.strides.iter().zip(shape).filter(|(s, _)| **s == Stride::Unit).map(|(_, n)| *n).max();
        let mut extent = (size * unit_len.unwrap_or(1).max(1)) as isize;
        let mut strides = vec![0; shape.len()];
        for axis in (0..shape.len()).rev() {
            strides[axis] = match ty.strides[axis] {
                Stride::Unit => size as isize,
                Stride::Zero => 0,
                Stride::Dynamic => {
                    let step = match layout {
                        Layout::Compact => extent,
                        Layout::Scattered => -(extent + 2 * size as isize),
                    };
                    extent = step.abs() * shape[axis].max(1) as isize;
                    step
                }
            };
        }
        let reach = |sign: isize| -> isize {
            let far = strides.iter().zip(shape).map(|(s, n)| s * (n.max(&1) - 1) as isize);
            far.filter(|d| d * sign > 0).sum()
        };
        // A margin on both sides, which nothing may touch.
        let origin = (-reach(-1)) as usize + 32;
        let bytes = origin + reach(1) as usize + size + 32;
        let mut buffer = Buffer {
            memory: vec![u128::from_ne_bytes([GAP; 16]); bytes.div_ceil(16)],
            ty: ty.clone(),
            shape: shape.to_vec(),
            strides,
            origin: origin.next_multiple_of(size.min(16)),
        };
        buffer.memory.push(u128::from_ne_bytes([GAP; 16]));
        for (i, e) in elems.iter().enumerate() {
            let at = buffer.place(i);
            let bits = e.bits().to_le_bytes();
            buffer.bytes_mut()[at..at + size].copy_from_slice(&bits[..size]);
        }
        Ok(buffer)
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.memory.len() * 16;
        // SAFETY: the vector's memory is initialised, exclusively borrowed, and any bytes are valid numbers.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_mut_ptr().cast(), len) }
    }

    /// The byte position of the element with this number, last axis fastest.
    fn place(&self, mut i: usize) -> usize {
        let mut at = self.origin as isize;
        for axis in (0..self.shape.len()).rev() {
            at += (i % self.shape[axis]) as isize * self.strides[axis];
            i /= self.shape[axis];
        }
        at as usize
    }

    fn read(&mut self) -> Vec<Scalar> {
        let (n, size, elem) = (self.shape.iter().product(), self.ty.elem.size(), self.ty.elem);
        (0..n)
            .map(|i| {
                let at = self.place(i);
                let mut bits = [0; 16];
                bits[..size].copy_from_slice(&self.bytes_mut()[at..at + size]);
                Scalar::from_bits(elem, u128::from_le_bytes(bits))
            })
            .collect()
    }

    /// Whether something was written outside the elements.
    fn stray_write(&mut self) -> bool {
        let (n, size) = (self.shape.iter().product(), self.ty.elem.size());
        let mut own = vec![false; self.memory.len() * 16];
        for i in 0..n {
            let at = self.place(i);
            own[at..at + size].fill(true);
        }
        self.bytes_mut().iter().zip(&own).any(|(b, own)| !own && *b != GAP)
    }
}

// ---- the calling convention ----

fn push(
    value: &Value,
    ty: &Type,
    layout: Layout,
    out: &mut Vec<u64>,
    buffers: &mut Vec<Buffer>,
) -> Result<(), String> {
    match (value, ty) {
        (Value::Scalar(s), Type::Scalar(t)) if s.ty() == *t => {
            let bits = s.bits();
            match t {
                ScalarType::C64 => out.extend([bits as u32 as u64, (bits >> 32) as u64]),
                ScalarType::C128 => out.extend([bits as u64, (bits >> 64) as u64]),
                _ => out.push(bits as u64),
            }
            Ok(())
        }
        (Value::Tuple(values), Type::Tuple(types)) if values.len() == types.len() => {
            values.iter().zip(types.iter()).try_for_each(|(v, t)| push(v, t, layout, out, buffers))
        }
        (Value::Array(shape, elems), Type::View(t)) => {
            let mut buffer = Buffer::new(t, shape, elems, layout)?;
            let origin = buffer.origin;
            out.push(buffer.bytes_mut()[origin..].as_mut_ptr() as u64);
            out.extend(shape.iter().map(|n| *n as u64));
            for (axis, s) in buffer.strides.iter().enumerate() {
                // What a type fixes the callee must not read.
                out.push(if t.strides[axis] == Stride::Dynamic { *s as u64 } else { 0xdead_beef });
            }
            buffers.push(buffer);
            Ok(())
        }
        _ => Err(format!("{value} is no {ty}")),
    }
}

fn pop(ty: &Type, slots: &mut &[u64]) -> Result<Value, String> {
    let mut take = || {
        let first = slots[0];
        *slots = &slots[1..];
        first
    };
    match ty {
        Type::Scalar(t @ (ScalarType::C64 | ScalarType::C128)) => {
            let (re, im) = (take() as u128, take() as u128);
            Ok(Value::Scalar(Scalar::from_bits(*t, re | im << (t.part().size() * 8))))
        }
        Type::Scalar(t) => {
            let bits = take();
            let scalar = Scalar::from_bits(*t, bits as u128);
            if scalar.bits() != bits as u128 {
                return Err(format!("a result of type {ty} with more bits than that: {bits:#x}"));
            }
            Ok(Value::Scalar(scalar))
        }
        Type::Tuple(types) => {
            Ok(Value::Tuple(types.iter().map(|t| pop(t, slots)).collect::<Result<_, _>>()?))
        }
        Type::View(_) => Err("a result that is a view cannot be compared".into()),
    }
}

fn after(value: &Value, buffers: &mut std::vec::IntoIter<Buffer>) -> Result<Value, String> {
    match value {
        Value::Scalar(s) => Ok(Value::Scalar(*s)),
        Value::Tuple(parts) => {
            Ok(Value::Tuple(parts.iter().map(|p| after(p, buffers)).collect::<Result<_, _>>()?))
        }
        Value::Array(shape, _) => {
            let Some(mut buffer) = buffers.next() else { return Err("an array without a buffer".into()) };
            if buffer.stray_write() {
                return Err("something was written outside the elements of an array".into());
            }
            Ok(Value::Array(shape.clone(), buffer.read()))
        }
    }
}

/// Calls a function with these values. An error is a mistake of the test, or of the backend.
pub fn call(
    code: &dyn Executable,
    function: &Function,
    args: &[Value],
    layout: Layout,
) -> Result<Outcome, String> {
    let params = crate::typing::param_types(function);
    if params.len() != args.len() {
        return Err(format!("@{} takes {} arguments, {} given", function.name, params.len(), args.len()));
    }
    let (mut slots, mut buffers) = (Vec::new(), Vec::new());
    for (value, ty) in args.iter().zip(&params) {
        push(value, ty, layout, &mut slots, &mut buffers)?;
    }
    let mut results = vec![0; function.returns.iter().map(Type::slots).sum()];
    // SAFETY: the slots follow the signature, and the views' memory lives in `buffers`, each in its own.
    let ended = unsafe { code.call(&slots, &mut results) };
    let mut left = &results[..];
    let results = match ended {
        Err(code) => Err(code),
        Ok(()) => Ok(function.returns.iter().map(|t| pop(t, &mut left)).collect::<Result<_, _>>()?),
    };
    let mut buffers = buffers.into_iter();
    let args = args.iter().map(|a| after(a, &mut buffers)).collect::<Result<_, _>>()?;
    Ok(Outcome { results, args })
}

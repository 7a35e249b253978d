//! Elementwise operations: typing, broadcasting, and agreeing on chunks.

use crate::chunks::{AxisChunks, Chunks};
use crate::error::{ArrayError, Result, UserKind};
use crate::expr::{Expr, Kind};
use crate::program::MapOp;
use crate::view::{View, ViewAxis};
use pantile_jit::FuncBuilder;
use pantile_jit::ir::{ParamAttrs, Type};
use pantile_types::catalogue::{self, Op, Quirk};
use pantile_types::error::PythonKind;
use pantile_types::{DType, Operand, Scalar, ScalarType, TypeError};
use smallvec::SmallVec;
use std::sync::Arc;

/// A Python number: it has a kind, but takes its dtype from the arrays around it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Weak {
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i128),
    /// `int` beyond 128 bits, as the nearest double; infinite where it is beyond those too.
    Huge(f64),
    /// `float`.
    Float(f64),
    /// `complex`.
    Complex(f64, f64),
}

/// An argument of an elementwise operation.
#[derive(Clone, Debug)]
pub enum Arg {
    /// An array, or a NumPy scalar as an array without axes.
    Array(Expr),
    /// A Python number.
    Weak(Weak),
}

impl From<TypeError> for ArrayError {
    fn from(e: TypeError) -> ArrayError {
        let kind = match e.python_kind() {
            PythonKind::Type => UserKind::Type,
            PythonKind::Value => UserKind::Value,
            PythonKind::Overflow => UserKind::Overflow,
        };
        ArrayError::User(kind, e.to_string())
    }
}

impl Weak {
    fn operand(self) -> Operand {
        match self {
            Weak::Bool(_) => Operand::PyBool,
            Weak::Int(v) => Operand::PyInt(v),
            // It is out of the bounds of every integer dtype, as these are.
            Weak::Huge(v) => Operand::PyInt(if v < 0.0 { i128::MIN } else { i128::MAX }),
            Weak::Float(_) => Operand::PyFloat,
            Weak::Complex(..) => Operand::PyComplex,
        }
    }

    /// The number as a value of a dtype. Integers that do not fit an integer dtype are an `OverflowError`.
    pub fn to_scalar(self, dtype: DType) -> Result<Scalar> {
        let ty = native(dtype)?;
        Ok(match self {
            Weak::Bool(v) => Scalar::from_i64(ty, v as i64),
            Weak::Int(v) => {
                if ty.is_int() {
                    pantile_types::promote::check_bounds(v, dtype)?;
                    Scalar::from_bits(ty, v as u128)
                } else if ty == ScalarType::Bool {
                    Scalar::Bool(v != 0)
                } else {
                    Scalar::from_f64(ty, v as f64).expect("floats and complex numbers are left")
                }
            }
            Weak::Huge(v) => {
                if ty.is_int() {
                    let bound = if v < 0.0 { i128::MIN } else { i128::MAX };
                    pantile_types::promote::check_bounds(bound, dtype)?;
                }
                if ty != ScalarType::Bool && v.is_infinite() {
                    return Err(ArrayError::User(
                        UserKind::Overflow,
                        "int too large to convert to float".into(),
                    ));
                }
                return Weak::Float(v).to_scalar(dtype);
            }
            Weak::Float(v) => match Scalar::from_f64(ty, v) {
                Some(s) => s,
                None if ty == ScalarType::Bool => Scalar::Bool(v != 0.0),
                None => Scalar::from_i64(ty, v as i64),
            },
            Weak::Complex(re, im) => match ty {
                ScalarType::C64 => Scalar::C64(re as f32, im as f32),
                ScalarType::C128 => Scalar::C128(re, im),
                ScalarType::Bool => Scalar::Bool(re != 0.0 || im != 0.0),
                _ => {
                    return Err(ArrayError::ty(format!(
                        "cannot use the complex number {re}{im:+}j as a value of dtype {}",
                        dtype.name()
                    )));
                }
            },
        })
    }

    /// The dtype that the number has on its own.
    pub fn dtype(self) -> DType {
        match self {
            Weak::Bool(_) => DType::Bool,
            Weak::Int(_) | Weak::Huge(_) => DType::I64,
            Weak::Float(_) => DType::F64,
            Weak::Complex(..) => DType::C128,
        }
    }
}

impl Arg {
    fn operand(&self) -> Operand {
        match self {
            Arg::Array(e) => Operand::Typed(e.dtype()),
            Arg::Weak(w) => w.operand(),
        }
    }

    /// The argument as an array of a dtype.
    pub fn to_expr(&self, dtype: DType) -> Result<Expr> {
        match self {
            Arg::Array(e) => astype(e, dtype),
            Arg::Weak(w) => Ok(fill(w.to_scalar(dtype)?, dtype, Chunks::new())),
        }
    }
}

fn native(dtype: DType) -> Result<ScalarType> {
    dtype.scalar().ok_or_else(|| {
        ArrayError::ty(format!(
            "dtype {} has no native operations; use map_blocks with a NumPy function",
            dtype.name()
        ))
    })
}

/// One value everywhere.
pub fn fill(value: Scalar, dtype: DType, chunks: Chunks) -> Expr {
    Expr::new(Kind::Fill(value), dtype, chunks)
}

/// `0, 1, 2, ...` of type `int64`.
pub fn coord(chunks: AxisChunks) -> Expr {
    Expr::new(Kind::Coord, DType::I64, [chunks].into_iter().collect())
}

/// The operation of this name in the catalogue.
pub fn find(name: &str) -> Result<&'static Op> {
    catalogue::find(name)
        .ok_or_else(|| ArrayError::value(format!("there is no elementwise operation `{name}`")))
}

/// An operation of the catalogue on arrays and numbers: one array for each of its outputs.
///
/// # Errors
/// No loop for the dtypes; shapes that do not broadcast; unknown chunk sizes that cannot be matched.
pub fn map(op: &'static Op, args: &[Arg]) -> Result<SmallVec<[Expr; 2]>> {
    if args.len() != op.nin {
        return Err(ArrayError::ty(format!(
            "{} takes {} arguments, {} were given",
            op.name,
            op.nin,
            args.len()
        )));
    }
    if let Some(simpler) = strength_reduced(op, args) {
        return simpler;
    }
    if let ("power", [Arg::Array(base), Arg::Weak(Weak::Int(v))]) = (op.name, args)
        && *v < 0
        && base.chunks().iter().any(AxisChunks::is_empty)
    {
        // Without elements there is no power that would not be an integer.
        return map(op, &[args[0].clone(), Arg::Weak(Weak::Int(1))]);
    }
    let operands: SmallVec<[Operand; 3]> = args.iter().map(Arg::operand).collect();
    let signature = Arc::new(catalogue::resolve(op, &operands)?);
    let mut inputs: SmallVec<[Expr; 3]> = SmallVec::new();
    // Compared with integers, a whole number beyond every double is what an infinity is.
    let whole = |arg: &Arg| match arg {
        Arg::Array(e) => e.dtype().is_int(),
        Arg::Weak(_) => true,
    };
    let compares_whole = op.quirk == Quirk::Compare && args.iter().all(whole);
    for (arg, &dtype) in args.iter().zip(&signature.inputs) {
        inputs.push(match arg {
            Arg::Weak(Weak::Huge(v)) if compares_whole => Arg::Weak(Weak::Float(*v)).to_expr(dtype)?,
            _ => arg.to_expr(dtype)?,
        });
    }
    let (chunks, inputs) = unify(&inputs).map_err(|e| match e {
        ArrayError::User(UserKind::Value, text) => ArrayError::value(text),
        other => other,
    })?;
    for &dtype in &signature.outputs {
        native(dtype)?;
    }
    Ok((0..op.nout)
        .map(|output| {
            let call = MapOp::Call { op, signature: signature.clone(), output: output as u8 };
            Expr::new(Kind::Map(call, inputs.clone()), signature.outputs[output], chunks.clone())
        })
        .collect())
}

/// An operation with one output, by name.
pub fn call(name: &str, args: &[Arg]) -> Result<Expr> {
    Ok(map(find(name)?, args)?.swap_remove(0))
}

/// Powers that are a cheaper operation with the same dtype and, as in NumPy, the same special values.
fn strength_reduced(op: &'static Op, args: &[Arg]) -> Option<Result<SmallVec<[Expr; 2]>>> {
    if op.name != "power" {
        return None;
    }
    let (Arg::Array(base), Arg::Weak(exponent)) = (&args[0], &args[1]) else { return None };
    let float = matches!(base.dtype(), DType::F32 | DType::F64);
    let simpler = match *exponent {
        Weak::Int(2) if base.dtype() != DType::Bool => "square",
        Weak::Float(2.0) if float => "square",
        Weak::Int(1) if base.dtype() != DType::Bool => "positive",
        Weak::Float(1.0) if float => "positive",
        Weak::Float(0.5) if float => "sqrt",
        Weak::Int(-1) if float => "reciprocal",
        Weak::Float(-1.0) if float => "reciprocal",
        _ => return None,
    };
    if !base.dtype().is_numeric() {
        return None;
    }
    Some(find(simpler).and_then(|op| map(op, &args[..1])))
}

/// The array with another dtype; the same node if it has it already.
pub fn astype(e: &Expr, dtype: DType) -> Result<Expr> {
    if e.dtype() == dtype {
        return Ok(e.clone());
    }
    native(e.dtype())?;
    native(dtype)?;
    if e.dtype().is_time() || dtype.is_time() {
        try_cast(e.dtype(), dtype)?;
    }
    if let Kind::Fill(v) = e.kind() {
        // Exactly representable small integers need no kernel to be converted.
        if let (Scalar::Bool(_) | Scalar::Int(..) | Scalar::UInt(..), Some(ty)) = (v, dtype.scalar()) {
            let int = match *v {
                Scalar::Bool(b) => b as i64,
                Scalar::Int(_, v) => v,
                Scalar::UInt(_, v) => v as i64,
                _ => 0,
            };
            if (0..=64).contains(&int) && !dtype.is_time() && !e.dtype().is_time() {
                return Ok(fill(Scalar::from_i64(ty, int), dtype, e.chunks().clone()));
            }
        }
    }
    let inputs = [e.clone()].into_iter().collect();
    Ok(Expr::new(Kind::Map(MapOp::Cast(e.dtype(), dtype), inputs), dtype, e.chunks().clone()))
}

/// Conversions between units of time may be impossible: the code that does it knows.
fn try_cast(from: DType, to: DType) -> Result<()> {
    let param = (Type::Scalar(native(from)?), ParamAttrs::default());
    let mut b = FuncBuilder::new("cast", &[param], &[]);
    let v = b.param(0);
    pantile_types::cast::build(&mut b, v, from, to)?;
    Ok(())
}

/// The text of a shape, with `None` for unknown lengths, as `shape` shows it.
pub fn shape_text(shape: &[Option<u64>]) -> String {
    let parts: Vec<String> = shape.iter().map(|n| n.map_or("None".to_string(), |n| n.to_string())).collect();
    match parts.as_slice() {
        [one] => format!("({one},)"),
        many => format!("({})", many.join(",")),
    }
}

/// Broadcasts arrays against each other and cuts them alike. Gives the common cuts and the arrays with the common shape.
pub fn unify(inputs: &[Expr]) -> Result<(Chunks, SmallVec<[Expr; 3]>)> {
    let ndim = inputs.iter().map(Expr::ndim).max().unwrap_or(0);
    let incompatible = || {
        let shapes: Vec<String> =
            inputs.iter().filter(|e| e.ndim() > 0).map(|e| shape_text(&e.shape())).collect();
        ArrayError::value(format!(
            "operands could not be broadcast together with shapes {}",
            shapes.join(" ")
        ))
    };
    let mut chunks: Chunks = SmallVec::new();
    for axis in 0..ndim {
        let mut common: Option<AxisChunks> = None;
        for e in inputs {
            let Some(own) = (axis + e.ndim()).checked_sub(ndim) else { continue };
            let cut = &e.chunks()[own];
            let merged = match &common {
                None => cut.clone(),
                Some(c) if c == cut => continue,
                Some(c) if cut.len() == Some(1) => c.clone(),
                Some(c) if c.len() == Some(1) => cut.clone(),
                Some(c) if !c.is_known() || !cut.is_known() => {
                    return Err(ArrayError::value(format!(
                        "operands with unknown chunk sizes along axis {axis} cannot be matched ({} and {} chunks); \
                         call compute_chunk_sizes() on them first",
                        c.count(),
                        cut.count()
                    )));
                }
                Some(c) if c.len() != cut.len() => return Err(incompatible()),
                Some(c) => c.refine(cut),
            };
            common = Some(merged);
        }
        chunks.push(common.expect("some array has the axis"));
    }
    let inputs = inputs.iter().map(|e| broadcast_to_chunks(e, &chunks)).collect();
    Ok((chunks, inputs))
}

/// The array broadcast to these cuts, whose shape it broadcasts to.
pub fn broadcast_to_chunks(e: &Expr, chunks: &Chunks) -> Expr {
    if e.chunks() == chunks {
        return e.clone();
    }
    let extra = chunks.len() - e.ndim();
    let mut view = View { axes: SmallVec::from_elem(ViewAxis::New, extra), fixed: SmallVec::new() };
    let mut own: Chunks = SmallVec::new();
    let mut is_view = extra > 0;
    for (axis, cut) in e.chunks().iter().enumerate() {
        let target = &chunks[extra + axis];
        if cut.len() == Some(1) && target.len() != Some(1) {
            view.axes.push(ViewAxis::New);
            view.fixed.push(Some(0));
            own.push(AxisChunks::whole(1));
            is_view = true;
        } else {
            view.axes.push(ViewAxis::Along { input: axis as u32, start: 0, step: 1 });
            view.fixed.push(None);
            own.push(target.clone());
        }
    }
    let same_cuts = e.rechunk(own);
    if !is_view {
        return same_cuts;
    }
    if let Kind::Fill(v) = e.kind() {
        return fill(*v, e.dtype(), chunks.clone());
    }
    same_cuts.view(view, chunks.clone())
}

/// The array broadcast to a shape.
pub fn broadcast_to(e: &Expr, chunks: Chunks) -> Result<Expr> {
    let fits = e.ndim() <= chunks.len()
        && e.chunks()
            .iter()
            .rev()
            .zip(chunks.iter().rev())
            .all(|(a, b)| a.len() == Some(1) || a == b || (a.is_known() && a.len() == b.len()));
    if !fits {
        let to: SmallVec<[Option<u64>; 4]> = chunks.iter().map(AxisChunks::len).collect();
        return Err(ArrayError::value(format!(
            "operands could not be broadcast together with remapped shapes [original->remapped]: {} and requested shape {}",
            shape_text(&e.shape()),
            shape_text(&to)
        )));
    }
    Ok(broadcast_to_chunks(e, &chunks))
}

//! Reductions over axes, with NumPy's dtypes and NumPy's complaints about nothing to reduce.

use super::elementwise::{Arg, Weak, astype, broadcast_to, broadcast_to_chunks, call, fill, shape_text};
use crate::chunks::{AxisChunks, Chunks};
use crate::error::{ArrayError, Result};
use crate::expr::{Expr, Kind, Reduction};
use crate::reduce::{ReduceKind, Reducer};
use pantile_types::{DType, Scalar, ScalarType};
use smallvec::SmallVec;

/// What a reduction takes besides the array.
#[derive(Clone, Debug, Default)]
pub struct Params {
    /// The axes, checked and ascending; all of them if `None`.
    pub axes: Option<SmallVec<[usize; 4]>>,
    /// Whether reduced axes stay with length one.
    pub keepdims: bool,
    /// The dtype asked for.
    pub dtype: Option<DType>,
    /// Delta degrees of freedom, for `var` and `std`.
    pub ddof: f64,
    /// Which elements count, broadcast against the array.
    pub mask: Option<Expr>,
    /// A value that takes part beside the elements.
    pub initial: Option<Weak>,
    /// Whether NaN does not count.
    pub skip_nan: bool,
}

/// A reduction by NumPy's name: `sum prod min max any all argmin argmax mean var std`.
///
/// # Errors
/// An axis of length zero where there is no identity; dtypes without the operation.
pub fn reduce(name: &str, e: &Expr, params: &Params) -> Result<Expr> {
    let axes: SmallVec<[usize; 4]> = params.axes.clone().unwrap_or_else(|| (0..e.ndim()).collect());
    let mut params = Params { axes: Some(axes.clone()), ..params.clone() };
    if let Some(mask) = &params.mask {
        params.mask = Some(counting(mask, e)?);
    }
    let is_float = e.dtype().scalar().is_some_and(|t| t.is_float() || t.is_complex());
    // NumPy's sums and positions know no NaT: only these extrema pass over it.
    let passes_nat = e.dtype().is_time() && matches!(name, "min" | "max");
    if params.skip_nan && (is_float || passes_nat) {
        let number = call("isnan", &[Arg::Array(e.clone())])?;
        let number = call("logical_not", &[Arg::Array(number)])?;
        params.mask = Some(match &params.mask {
            Some(m) => call("logical_and", &[Arg::Array(m.clone()), Arg::Array(number)])?,
            None => number,
        });
    }
    let empty = axes.iter().any(|&a| e.chunks()[a].is_empty());
    match name {
        "mean" => mean(e, &params),
        "var" => var(e, &params),
        "std" => {
            let v = var(e, &params)?;
            call("sqrt", &[Arg::Array(v)])
        }
        "argmin" | "argmax" => {
            if empty {
                return Err(ArrayError::value(format!("attempt to get {name} of an empty sequence")));
            }
            arg(name, e, &params)
        }
        "min" | "max" => {
            if empty && params.initial.is_none() {
                return Err(ArrayError::value(format!(
                    "zero-size array to reduction operation {name}imum which has no identity"
                )));
            }
            extremum(name, e, &params)
        }
        "any" | "all" => {
            let input = if e.dtype() == DType::Bool { e.clone() } else { truth(e)? };
            let kind = if name == "any" { ReduceKind::Any } else { ReduceKind::All };
            Ok(node(kind, input, &params, DType::Bool))
        }
        "sum" | "prod" => sum(name, e, &params),
        other => Err(ArrayError::value(format!("there is no reduction `{other}`"))),
    }
}

/// The mask of a reduction, broadcast to the array.
fn counting(mask: &Expr, e: &Expr) -> Result<Expr> {
    if mask.dtype() != DType::Bool {
        return Err(ArrayError::ty(format!(
            "where= must be a boolean array, not one of {}",
            mask.dtype().name()
        )));
    }
    broadcast_to(mask, e.chunks().clone()).map_err(|_| {
        ArrayError::value(format!(
            "where= has shape {}, which does not broadcast to the array's shape {}",
            shape_text(&mask.shape()),
            shape_text(&e.shape())
        ))
    })
}

fn truth(e: &Expr) -> Result<Expr> {
    if e.dtype().is_time() {
        // Everything but no duration at all is true, NaT too.
        return astype(e, DType::Bool);
    }
    let no = call("logical_not", &[Arg::Array(e.clone())])?;
    call("logical_not", &[Arg::Array(no)])
}

/// The node itself: the input has the reducer's type, the result is labelled with `dtype`, of the same storage.
fn node(kind: ReduceKind, input: Expr, params: &Params, dtype: DType) -> Expr {
    let ty = input.dtype().scalar().expect("the callers convert to native dtypes");
    let axes = params.axes.clone().expect("the axes were filled in");
    let mut chunks: Chunks = SmallVec::new();
    for (axis, cut) in input.chunks().iter().enumerate() {
        if !axes.contains(&axis) {
            chunks.push(cut.clone());
        } else if params.keepdims {
            chunks.push(AxisChunks::whole(1));
        }
    }
    let mask = params.mask.as_ref().map(|m| broadcast_to_chunks(m, input.chunks()));
    let nonempty = matches!(kind, ReduceKind::Min | ReduceKind::Max)
        && params.initial.is_none()
        && axes.iter().any(|&a| !input.chunks()[a].is_known());
    let reducer = Reducer { kind, ty };
    let reduction = Reduction { reducer, input, mask, axes, keepdims: params.keepdims, nonempty };
    Expr::new(Kind::Reduce(reduction), dtype, chunks)
}

/// Sums and products of small integers are made in 64 bits, as NumPy does.
fn accumulator(dtype: DType) -> DType {
    match dtype {
        DType::Bool | DType::I8 | DType::I16 | DType::I32 => DType::I64,
        DType::U8 | DType::U16 | DType::U32 => DType::U64,
        other => other,
    }
}

fn with_initial(e: Expr, name: &str, initial: Option<Weak>) -> Result<Expr> {
    match initial {
        None => Ok(e),
        Some(w) => {
            let dtype = e.dtype();
            let out = call(name, &[Arg::Array(e), Arg::Weak(w)])?;
            astype(&out, dtype)
        }
    }
}

/// `initial` where times are counted: whole numbers of the array's unit.
fn whole_initial(e: &Expr, initial: Option<Weak>) -> Result<Option<Weak>> {
    match initial {
        None | Some(Weak::Int(_)) => Ok(initial),
        Some(Weak::Bool(v)) => Ok(Some(Weak::Int(v.into()))),
        Some(_) => Err(ArrayError::ty(format!(
            "initial must be a whole number of units, or a value of dtype {}",
            e.dtype().name()
        ))),
    }
}

/// The integers that times are stored as.
fn counts(e: &Expr) -> Result<Expr> {
    astype(e, DType::I64)
}

fn nat(dtype: DType) -> Arg {
    Arg::Array(fill(Scalar::Int(ScalarType::I64, i64::MIN), dtype, Chunks::new()))
}

/// The sum of durations: NaT if there is one.
fn time_sum(e: &Expr, params: &Params) -> Result<Expr> {
    let missing = call("isnat", &[Arg::Array(e.clone())])?;
    let mut missing = node(ReduceKind::Any, missing, params, DType::Bool);
    if params.initial == Some(Weak::Int(i64::MIN.into())) {
        missing = call("logical_or", &[Arg::Array(missing), Arg::Weak(Weak::Bool(true))])?;
    }
    let total = node(ReduceKind::Sum, counts(e)?, params, DType::I64);
    let total = with_initial(total, "add", whole_initial(e, params.initial)?)?;
    let total = astype(&total, e.dtype())?;
    call("where", &[Arg::Array(missing), nat(e.dtype()), Arg::Array(total)])
}

fn sum(name: &str, e: &Expr, params: &Params) -> Result<Expr> {
    let dtype = params.dtype.unwrap_or(accumulator(e.dtype()));
    if matches!(e.dtype(), DType::DateTime(_)) || (name == "prod" && e.dtype().is_time()) {
        return Err(ArrayError::ty(format!(
            "ufunc '{name}' cannot use operands of dtype {}",
            e.dtype().name()
        )));
    }
    if e.dtype().is_time() {
        // NumPy has no other loop for durations, so a dtype asked for changes at most the unit.
        return match params.dtype.filter(|d| d.is_time()) {
            Some(unit) => time_sum(&astype(e, unit)?, params),
            None => time_sum(e, params),
        };
    }
    // Halves are summed as singles: NumPy's pairwise sum of halves does the same inside.
    let wide = if dtype == DType::F16 { DType::F32 } else { dtype };
    let input = astype(e, wide)?;
    let (kind, ufunc) = if name == "sum" { (ReduceKind::Sum, "add") } else { (ReduceKind::Prod, "multiply") };
    let kind = if wide == DType::Bool {
        if name == "sum" { ReduceKind::Any } else { ReduceKind::All }
    } else {
        kind
    };
    let out = node(kind, input, params, wide);
    astype(&with_initial(out, ufunc, params.initial)?, dtype)
}

fn extremum(name: &str, e: &Expr, params: &Params) -> Result<Expr> {
    let (kind, ufunc) =
        if name == "min" { (ReduceKind::Min, "minimum") } else { (ReduceKind::Max, "maximum") };
    let ty = e
        .dtype()
        .scalar()
        .ok_or_else(|| ArrayError::ty(format!("{name} of dtype {} is not native", e.dtype().name())))?;
    let wide = if ty == ScalarType::F16 { DType::F32 } else { e.dtype() };
    if e.dtype().is_time() {
        return time_extremum(kind, e, params);
    }
    let out = node(kind, astype(e, wide)?, params, wide);
    astype(&with_initial(out, ufunc, params.initial)?, e.dtype())
}

/// NaT is the smallest integer and must win both ways, as NaN does. Less one it is the largest (the subtraction wraps), and
/// the order of all others stays.
fn nat_last(e: &Expr) -> Result<Expr> {
    call("subtract", &[Arg::Array(counts(e)?), Arg::Weak(Weak::Int(1))])
}

fn time_extremum(kind: ReduceKind, e: &Expr, params: &Params) -> Result<Expr> {
    let initial = whole_initial(e, params.initial)?;
    let count = if kind == ReduceKind::Min {
        let smallest = node(kind, counts(e)?, params, DType::I64);
        with_initial(smallest, "minimum", initial)?
    } else {
        let largest = node(kind, nat_last(e)?, params, DType::I64);
        let initial = initial.map(|w| match w {
            Weak::Int(v) => Weak::Int(if v == i64::MIN.into() { i64::MAX.into() } else { v - 1 }),
            other => other,
        });
        let largest = with_initial(largest, "maximum", initial)?;
        call("add", &[Arg::Array(largest), Arg::Weak(Weak::Int(1))])?
    };
    astype(&count, e.dtype())
}

fn arg(name: &str, e: &Expr, params: &Params) -> Result<Expr> {
    let kind = if name == "argmin" { ReduceKind::ArgMin } else { ReduceKind::ArgMax };
    let ty = e
        .dtype()
        .scalar()
        .ok_or_else(|| ArrayError::ty(format!("{name} of dtype {} is not native", e.dtype().name())))?;
    if params.axes.as_ref().is_some_and(|axes| axes.iter().any(|&a| !e.chunks()[a].is_known())) {
        return Err(ArrayError::value(format!(
            "{name} along an axis of unknown length: call compute_chunk_sizes() first"
        )));
    }
    let wide = match ty {
        ScalarType::Bool => DType::U8,
        ScalarType::F16 => DType::F32,
        _ => e.dtype(),
    };
    let input = match kind {
        ReduceKind::ArgMax if e.dtype().is_time() => nat_last(e)?,
        _ if e.dtype().is_time() => counts(e)?,
        _ => astype(e, wide)?,
    };
    Ok(node(kind, input, params, DType::I64))
}

/// The type that means and variances are computed in, and the dtype of the result.
fn moment_types(e: &Expr, params: &Params) -> Result<(DType, DType)> {
    let dtype = params.dtype.unwrap_or_else(|| match e.dtype().scalar() {
        Some(t) if t.is_float() || t.is_complex() => e.dtype(),
        _ => DType::F64,
    });
    let wide = match dtype {
        DType::F16 => DType::F32,
        other if other.scalar().is_some_and(|t| t.is_int() || t == ScalarType::Bool) => DType::F64,
        other => other,
    };
    if wide.is_time() || e.dtype().is_time() {
        return Err(ArrayError::Unsupported(format!(
            "mean and var of {} are not native; convert to float64 seconds first",
            e.dtype().name()
        )));
    }
    Ok((wide, dtype))
}

fn mean(e: &Expr, params: &Params) -> Result<Expr> {
    let (wide, dtype) = moment_types(e, params)?;
    let out = node(ReduceKind::Mean, astype(e, wide)?, params, wide);
    astype(&out, dtype)
}

fn var(e: &Expr, params: &Params) -> Result<Expr> {
    let (wide, dtype) = moment_types(e, params)?;
    let kind = ReduceKind::Var(params.ddof.to_bits());
    if let Some(ty) = wide.scalar().filter(|t| t.is_complex()) {
        // |z - mean|^2 is the sum of the parts' squared deviations.
        let part = DType::from_scalar(ty.part());
        let wide = astype(e, wide)?;
        let re = node(kind, call("real", &[Arg::Array(wide.clone())])?, params, part);
        let im = node(kind, call("imag", &[Arg::Array(wide)])?, params, part);
        return call("add", &[Arg::Array(re), Arg::Array(im)]);
    }
    let out = node(kind, astype(e, wide)?, params, wide);
    astype(&out, dtype)
}

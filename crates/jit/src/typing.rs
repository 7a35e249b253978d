//! Which operand types each operation takes, and what it gives.
//!
//! One place, used by the builder (which panics: a misuse is our bug), by the verifier (which reports) and by the text
//! parser (which infers the types that the text leaves out).

use crate::ir::{Inst, Module, Type, Vals, ViewType};
use pantile_types::{BinOp, CmpOp, LibFn, ScalarType, UnOp, Val};
use smallvec::{SmallVec, smallvec};

/// Types of results: most instructions have one.
pub type Types = SmallVec<[Type; 2]>;

fn is_arith_float(t: ScalarType) -> bool {
    matches!(t, ScalarType::F32 | ScalarType::F64)
}

fn wrong<T>(op: &str, takes: &str, got: ScalarType) -> Result<T, String> {
    let hint = if got == ScalarType::F16 { " (f16 is for storage: cast to f32 first)" } else { "" };
    Err(format!("`{op}` takes {takes}, not {}{hint}", got.name()))
}

/// The result type of an operation on one scalar.
pub fn un(op: UnOp, t: ScalarType) -> Result<ScalarType, String> {
    let (ok, takes) = match op {
        UnOp::Neg => {
            (t.is_int() || is_arith_float(t) || t.is_complex(), "an integer, f32, f64 or a complex type")
        }
        UnOp::Not => (t.is_int() || t == ScalarType::Bool, "an integer or bool"),
        UnOp::Abs => (t.is_int() || is_arith_float(t), "an integer, f32 or f64"),
        UnOp::Popcount => (t.is_int(), "an integer"),
        UnOp::Re | UnOp::Im => (t.is_complex(), "a complex type"),
        UnOp::Sqrt
        | UnOp::Floor
        | UnOp::Ceil
        | UnOp::Trunc
        | UnOp::Rint
        | UnOp::SignBit
        | UnOp::Sin
        | UnOp::Cos
        | UnOp::Tan
        | UnOp::Asin
        | UnOp::Acos
        | UnOp::Atan
        | UnOp::Sinh
        | UnOp::Cosh
        | UnOp::Tanh
        | UnOp::Asinh
        | UnOp::Acosh
        | UnOp::Atanh
        | UnOp::Exp
        | UnOp::Exp2
        | UnOp::Expm1
        | UnOp::Log
        | UnOp::Log2
        | UnOp::Log10
        | UnOp::Log1p
        | UnOp::Cbrt => (is_arith_float(t), "f32 or f64"),
    };
    if !ok {
        return wrong(op.name(), takes, t);
    }
    Ok(match op {
        UnOp::SignBit => ScalarType::Bool,
        UnOp::Re | UnOp::Im => t.part(),
        _ => t,
    })
}

/// The result type of an operation on two scalars.
pub fn bin(op: BinOp, a: ScalarType, b: ScalarType) -> Result<ScalarType, String> {
    if a != b {
        return Err(format!(
            "`{}` takes two values of one type, not {} and {}",
            op.name(),
            a.name(),
            b.name()
        ));
    }
    let (ok, takes) = match op {
        BinOp::Add | BinOp::Sub | BinOp::Mul => {
            (a.is_int() || is_arith_float(a) || a.is_complex(), "integers, f32, f64 or complex types")
        }
        BinOp::Div | BinOp::Rem | BinOp::Min | BinOp::Max => {
            (a.is_int() || is_arith_float(a), "integers, f32 or f64")
        }
        BinOp::And | BinOp::Or | BinOp::Xor => (a.is_int() || a == ScalarType::Bool, "integers or bool"),
        BinOp::Shl | BinOp::Shr => (a.is_int(), "integers"),
        BinOp::Pow | BinOp::Atan2 | BinOp::Hypot | BinOp::Copysign | BinOp::Nextafter => {
            (is_arith_float(a), "f32 or f64")
        }
    };
    if ok { Ok(a) } else { wrong(op.name(), takes, a) }
}

/// Checks the operands of a comparison; the result is always `bool`.
pub fn cmp(op: CmpOp, a: ScalarType, b: ScalarType) -> Result<ScalarType, String> {
    if a != b {
        return Err(format!(
            "`{}` compares two values of one type, not {} and {}",
            op.name(),
            a.name(),
            b.name()
        ));
    }
    let ok = match op {
        CmpOp::Eq | CmpOp::Ne => a != ScalarType::F16,
        CmpOp::Lt | CmpOp::Le | CmpOp::Gt | CmpOp::Ge => a != ScalarType::F16 && !a.is_complex(),
    };
    if ok { Ok(ScalarType::Bool) } else { wrong(op.name(), "bool, integers, f32 or f64", a) }
}

/// Checks a reinterpretation of bits.
pub fn bitcast(from: ScalarType, to: ScalarType) -> Result<ScalarType, String> {
    if from.size() != to.size() {
        return Err(format!("`bitcast` from {} to {}: the sizes differ", from.name(), to.name()));
    }
    if from.is_complex() || to.is_complex() {
        return Err("`bitcast` does not take complex types: use `re`, `im` and `complex`".into());
    }
    if to == ScalarType::Bool && from != ScalarType::Bool {
        return Err("`bitcast` to bool would make truth values other than 0 and 1: compare with zero".into());
    }
    Ok(to)
}

/// The complex type with these parts.
pub fn complex(re: ScalarType, im: ScalarType) -> Result<ScalarType, String> {
    match (re, im) {
        (ScalarType::F32, ScalarType::F32) => Ok(ScalarType::C64),
        (ScalarType::F64, ScalarType::F64) => Ok(ScalarType::C128),
        _ => Err(format!("`complex` takes two f32 or two f64, not {} and {}", re.name(), im.name())),
    }
}

/// The result type of a library function.
pub fn lib(f: LibFn, args: &[ScalarType]) -> Result<ScalarType, String> {
    let (params, result) = f.signature();
    if args == params {
        return Ok(result);
    }
    let list = |types: &[ScalarType]| types.iter().map(|t| t.name()).collect::<Vec<_>>().join(", ");
    Err(format!("`{}` takes ({}), not ({})", f.name(), list(params), list(args)))
}

/// Checks that a list of values has these types: arguments against parameters, for instance.
pub fn match_types(what: &str, expected: &[Type], got: &[Type]) -> Result<(), String> {
    if expected.len() != got.len() {
        return Err(format!("{what}: {} expected, {} given", expected.len(), got.len()));
    }
    for (i, (e, g)) in expected.iter().zip(got).enumerate() {
        if e != g {
            return Err(format!("{what}: number {i} should be {e}, not {g}"));
        }
    }
    Ok(())
}

/// The types of an instruction's results, given the types of its operands, or why it is wrong.
///
/// `ty` gives the type of a value and may itself fail (the value is not defined yet, or not at all).
pub fn results<F>(module: &Module, inst: &Inst, ty: F) -> Result<Types, String>
where
    F: Fn(Val) -> Result<Type, String>,
{
    let scalar = |v: Val| -> Result<ScalarType, String> {
        match ty(v)? {
            Type::Scalar(s) => Ok(s),
            other => Err(format!("v{} should be a scalar, not {other}", v.0)),
        }
    };
    let view = |v: Val| -> Result<ViewType, String> {
        match ty(v)? {
            Type::View(t) => Ok(t),
            other => Err(format!("v{} should be a view, not {other}", v.0)),
        }
    };
    let indices = |what: &str, view: &ViewType, values: &Vals| -> Result<(), String> {
        if values.len() != view.strides.len() {
            return Err(format!(
                "{what}: a view of {} axes takes as many, {} given",
                view.strides.len(),
                values.len()
            ));
        }
        for v in values {
            match ty(*v)? {
                Type::I64 => {}
                other => return Err(format!("{what}: v{} should be i64, not {other}", v.0)),
            }
        }
        Ok(())
    };
    let list = |values: &[Val]| values.iter().map(|v| ty(*v)).collect::<Result<Vec<Type>, String>>();
    let function = |id: crate::ir::FuncId| {
        module.functions.get(id.index()).ok_or_else(|| format!("there is no function number {}", id.0))
    };
    let one = |s: ScalarType| -> Types { smallvec![Type::Scalar(s)] };
    Ok(match inst {
        Inst::Const(s) => one(s.ty()),
        Inst::Un(op, a) => one(un(*op, scalar(*a)?)?),
        Inst::Bin(op, a, b, _) => one(bin(*op, scalar(*a)?, scalar(*b)?)?),
        Inst::Cmp(op, a, b) => one(cmp(*op, scalar(*a)?, scalar(*b)?)?),
        Inst::Select(c, a, b) => {
            let (c, a, b) = (ty(*c)?, ty(*a)?, ty(*b)?);
            if c != Type::BOOL {
                return Err(format!("the condition of `select` should be bool, not {c}"));
            }
            if a != b {
                return Err(format!("`select` chooses between values of one type, not {a} and {b}"));
            }
            smallvec![a]
        }
        Inst::Cast(v, to) => {
            scalar(*v)?;
            one(*to)
        }
        Inst::Bitcast(v, to) => one(bitcast(scalar(*v)?, *to)?),
        Inst::Complex(re, im) => one(complex(scalar(*re)?, scalar(*im)?)?),
        Inst::Lib(f, args) => {
            let args = args.iter().map(|v| scalar(*v)).collect::<Result<Vec<_>, _>>()?;
            one(lib(*f, &args)?)
        }
        Inst::Tuple(parts) => {
            let t = Type::Tuple(list(parts)?.into());
            check_size(&t)?;
            smallvec![t]
        }
        Inst::TupleGet(v, i) => match ty(*v)? {
            Type::Tuple(parts) => match parts.get(*i as usize) {
                Some(t) => smallvec![t.clone()],
                None => return Err(format!("element {i} of a tuple of {}", parts.len())),
            },
            other => return Err(format!("v{} should be a tuple, not {other}", v.0)),
        },
        Inst::ViewLen(v, axis) => {
            let t = view(*v)?;
            if *axis as usize >= t.strides.len() {
                return Err(format!("axis {axis} of a view of {} axes", t.strides.len()));
            }
            smallvec![Type::I64]
        }
        Inst::LocalArray(elem, _) => {
            smallvec![Type::View(ViewType { elem: *elem, strides: smallvec![crate::ir::Stride::Unit] })]
        }
        Inst::SubView { base, offsets, lens } => {
            let t = view(*base)?;
            indices("the offsets of `subview`", &t, offsets)?;
            indices("the lengths of `subview`", &t, lens)?;
            smallvec![Type::View(t)]
        }
        Inst::Load(v, at, _) => {
            let t = view(*v)?;
            indices("the indices of `load`", &t, at)?;
            one(t.elem)
        }
        Inst::Store(v, at, value, _) => {
            let t = view(*v)?;
            indices("the indices of `store`", &t, at)?;
            let got = ty(*value)?;
            if got != Type::Scalar(t.elem) {
                return Err(format!("`store` of {got} into {}", Type::View(t)));
            }
            smallvec![]
        }
        Inst::Call(id, args) => {
            let callee = function(*id)?;
            match_types(&format!("arguments of @{}", callee.name), &param_types(callee), &list(args)?)?;
            callee.returns.iter().cloned().collect()
        }
        Inst::ParFor { lo, hi, grain, body, captures, init, combine } => {
            for (what, v) in [("lower bound", lo), ("upper bound", hi), ("grain", grain)] {
                let t = ty(*v)?;
                if t != Type::I64 {
                    return Err(format!("the {what} of `parfor` should be i64, not {t}"));
                }
            }
            let body = function(*body)?;
            let accumulators = list(init)?;
            let mut expected = vec![Type::I64, Type::I64];
            expected.extend(list(captures)?);
            expected.extend(accumulators.iter().cloned());
            match_types(
                &format!("parameters of the `parfor` body @{}", body.name),
                &expected,
                &param_types(body),
            )?;
            match_types(
                &format!("results of the `parfor` body @{}", body.name),
                &accumulators,
                &body.returns,
            )?;
            match (combine, accumulators.is_empty()) {
                (None, true) => {}
                (None, false) => return Err("`parfor` with accumulators needs a `combine` function".into()),
                (Some(_), true) => {
                    return Err("`parfor` without accumulators takes no `combine` function".into());
                }
                (Some(id), false) => {
                    let f = function(*id)?;
                    let twice: Vec<Type> = accumulators.iter().chain(&accumulators).cloned().collect();
                    match_types(
                        &format!("parameters of the combine function @{}", f.name),
                        &twice,
                        &param_types(f),
                    )?;
                    match_types(
                        &format!("results of the combine function @{}", f.name),
                        &accumulators,
                        &f.returns,
                    )?;
                }
            }
            accumulators.into_iter().collect()
        }
    })
}

/// The most slots that one value may take.
///
/// Tuples of tuples share their parts, so a few instructions can spell a type of astronomic size; the bound keeps whatever
/// walks a type (printing, comparing, copying a value) cheap.
pub const MAX_SLOTS: usize = 4096;

/// The most tuples around one value.
pub const MAX_DEPTH: usize = 32;

/// Refuses a type that is too large. The walk itself is bounded.
pub fn check_size(t: &Type) -> Result<(), String> {
    fn walk(t: &Type, depth: usize, left: &mut usize) -> bool {
        let own = match t {
            Type::Scalar(_) | Type::Tuple(_) => 1,
            Type::View(v) => 1 + 2 * v.strides.len(),
        };
        match left.checked_sub(own) {
            Some(rest) => *left = rest,
            None => return false,
        }
        match t {
            Type::Scalar(_) | Type::View(_) => true,
            Type::Tuple(parts) => depth < MAX_DEPTH && parts.iter().all(|p| walk(p, depth + 1, left)),
        }
    }
    let mut left = MAX_SLOTS;
    if walk(t, 0, &mut left) {
        Ok(())
    } else {
        Err(format!("a type of more than {MAX_SLOTS} parts, or more than {MAX_DEPTH} tuples deep"))
    }
}

/// The parameter types of a function. Empty for a function without blocks (which the verifier rejects).
pub fn param_types(f: &crate::ir::Function) -> Vec<Type> {
    f.blocks.first().map_or_else(Vec::new, |entry| {
        entry.params.iter().map(|p| f.value_types.get(p.0 as usize).cloned().unwrap_or(Type::I64)).collect()
    })
}

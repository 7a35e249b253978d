//! Which loop an operation runs for given operands: NumPy's ufunc type resolution.
//!
//! Weak operands (Python scalars) first take the type that all operands promote to; then the first loop in NumPy's order
//! that every operand casts to safely is chosen. `Quirk` names the departures. Checked for every tuple of data types by
//! `tests/typing.rs`.

use smallvec::SmallVec;

use crate::catalogue::op::{Op, Quirk, Signature};
use crate::dtype::DType;
use crate::error::TypeError;
use crate::promote::{Casting, Operand, can_cast, check_bounds, result_type};

/// The signature with which an operation is evaluated on these operands.
pub fn resolve(op: &Op, operands: &[Operand]) -> Result<Signature, TypeError> {
    if operands.len() != op.nin {
        return Err(TypeError::Arity { op: op.name, expected: op.nin, given: operands.len() });
    }
    let typed = |o: &Operand| if let Operand::Typed(d) = o { Some(*d) } else { None };
    if let Some(foreign) = operands.iter().filter_map(typed).find(|d| d.is_foreign()) {
        return Err(TypeError::foreign(op.name, foreign));
    }
    let signature = if operands.iter().filter_map(typed).any(DType::is_time) {
        op.time.resolve(op, operands)?
    } else {
        numeric(op, operands)?
    };
    for (operand, dtype) in operands.iter().zip(&signature.inputs) {
        if let Operand::PyInt(value) = *operand {
            check_bounds(value, *dtype)?;
        }
    }
    if op.quirk == Quirk::Power
        && signature.inputs[1].is_int()
        && matches!(operands[1], Operand::PyInt(v) if v < 0)
    {
        return Err(TypeError::NegativeIntegerPower);
    }
    Ok(signature)
}

fn numeric(op: &Op, operands: &[Operand]) -> Result<Signature, TypeError> {
    let mut dtypes = concrete(op, operands)?;
    match op.quirk {
        Quirk::TrueDivide if dtypes.iter().all(|d| d.is_int() || *d == DType::Bool) => {
            dtypes.fill(DType::F64)
        }
        Quirk::NotBool if dtypes.iter().all(|d| *d == DType::Bool) => return Err(no_loop(op, operands)),
        Quirk::Exact | Quirk::Common => {
            let operands: SmallVec<[Operand; 3]> = dtypes.iter().map(|d| Operand::Typed(*d)).collect();
            let common = result_type(&operands)?;
            dtypes.fill(common);
        }
        // Truth values are taken one operand at a time, unless the operands are of one type already.
        Quirk::Truth if operands.iter().any(|o| *o != operands[0]) => dtypes.fill(DType::Bool),
        Quirk::Where => {
            let operands = [Operand::Typed(dtypes[1]), Operand::Typed(dtypes[2])];
            let common = result_type(&operands)?;
            dtypes = SmallVec::from_slice(&[DType::Bool, common, common]);
        }
        _ => {}
    }
    let casting = if op.quirk == Quirk::Exact { Casting::No } else { Casting::Safe };
    search(op, &dtypes, casting).ok_or_else(|| no_loop(op, operands))
}

const BOOL: Operand = Operand::Typed(DType::Bool);

/// The operands' data types, with weak ones decided.
fn concrete(op: &Op, operands: &[Operand]) -> Result<SmallVec<[DType; 3]>, TypeError> {
    let all_typed = |os: &[Operand]| os.iter().all(|o| matches!(o, Operand::Typed(_) | Operand::PyBool));
    // A condition says nothing about the type of what it chooses.
    let deciding = if op.quirk == Quirk::Where { &operands[1..] } else { operands };
    let weak = if all_typed(deciding) { DType::Bool } else { decide(op, deciding)? };
    Ok(operands
        .iter()
        .enumerate()
        .map(|(i, operand)| match *operand {
            Operand::Typed(dtype) => dtype,
            Operand::PyBool => DType::Bool,
            // NumPy's own choices: a Python integer is the smallest number, and an exponent of the usual type; beside a
            // boolean it is an int64.
            Operand::PyInt(_)
                if op.quirk == Quirk::Ldexp && weak == DType::I64 && operands.contains(&BOOL) =>
            {
                weak
            }
            Operand::PyInt(_) if op.quirk == Quirk::Ldexp => [DType::Bool, DType::I32][i],
            Operand::PyInt(value) if op.quirk == Quirk::Compare && check_bounds(value, weak).is_err() => {
                // The comparison is with the value, whatever the other side can hold. Beyond 64 bits a float keeps the
                // order with every 64-bit integer, which is all that is asked.
                [DType::I64, DType::U64]
                    .into_iter()
                    .find(|d| check_bounds(value, *d).is_ok())
                    .unwrap_or(DType::F64)
            }
            _ => weak,
        })
        .collect())
}

/// What weak operands become; integers beyond 64 bits are reported against the type they would have had.
fn decide(op: &Op, operands: &[Operand]) -> Result<DType, TypeError> {
    let shrunk: SmallVec<[Operand; 3]> = operands
        .iter()
        .map(|o| match *o {
            Operand::PyInt(v)
                if op.quirk == Quirk::Compare && check_bounds(v, DType::I64).is_err() && v >= 0 =>
            {
                Operand::PyInt(i128::from(u64::MAX))
            }
            Operand::PyInt(v) if op.quirk == Quirk::Compare && v < 0 => Operand::PyInt(-1),
            other => other,
        })
        .collect();
    result_type(&shrunk)
}

/// NumPy's type code of a numeric data type.
const fn code(dtype: DType) -> u8 {
    match dtype {
        DType::Bool => b'?',
        DType::I8 => b'b',
        DType::U8 => b'B',
        DType::I16 => b'h',
        DType::U16 => b'H',
        DType::I32 => b'i',
        DType::U32 => b'I',
        DType::I64 => b'q',
        DType::U64 => b'Q',
        DType::F16 => b'e',
        DType::F32 => b'f',
        DType::F64 => b'd',
        DType::C64 => b'F',
        DType::C128 => b'D',
        DType::DateTime(_) | DType::TimeDelta(_) | DType::Foreign(_) => 0,
    }
}

fn decode(letter: u8, x: u8) -> Option<DType> {
    let letter = if letter == b'x' { x } else { letter };
    DType::NUMERIC.into_iter().find(|d| code(*d) == letter)
}

/// `resolve` with the caller's `dtype=`: the loop that gives it anyway, or else the first whose every output has it. To a
/// loop of one type the operands are cast within their kinds, to others safely. Datetimes and timedeltas take the first
/// way only.
pub fn resolve_for_output(op: &Op, operands: &[Operand], output: DType) -> Result<Signature, TypeError> {
    let usual = resolve(op, operands);
    if usual.as_ref().is_ok_and(|signature| signature.outputs.iter().all(|d| *d == output)) {
        return usual;
    }
    let dtypes = concrete(op, operands)?;
    if let Some(other) = dtypes.iter().find(|d| !d.is_numeric()) {
        return Err(TypeError::NoCommonDType { a: *other, b: output });
    }
    let found = matching(op, |signature| {
        // The output's type says what the inputs are only where they are of one type.
        let one_type = signature.inputs.iter().all(|d| *d == output);
        let casting = if one_type { Casting::SameKind } else { Casting::Safe };
        signature.outputs.iter().all(|d| *d == output)
            && signature.inputs.iter().zip(&dtypes).all(|(to, from)| can_cast(*from, *to, casting))
    });
    found.ok_or_else(|| no_loop(op, operands))
}

fn search(op: &Op, dtypes: &[DType], casting: Casting) -> Option<Signature> {
    matching(op, |signature| {
        signature.inputs.iter().zip(dtypes).all(|(to, from)| can_cast(*from, *to, casting))
    })
}

/// The first loop in NumPy's order that will do.
fn matching(op: &Op, will_do: impl Fn(&Signature) -> bool) -> Option<Signature> {
    for loops in op.loops {
        let (inputs, outputs) = loops.form.split_once("->")?;
        for x in loops.over.bytes() {
            let signature = Signature {
                inputs: inputs.bytes().filter_map(|l| decode(l, x)).collect(),
                outputs: outputs.bytes().filter_map(|l| decode(l, x)).collect(),
            };
            if will_do(&signature) {
                return Some(signature);
            }
        }
    }
    None
}

/// The error that no loop fits.
pub(crate) fn no_loop(op: &Op, operands: &[Operand]) -> TypeError {
    let name = |o: &Operand| match o {
        Operand::Typed(d) => d.name(),
        Operand::PyBool => "bool".to_owned(),
        Operand::PyInt(_) => "Python int".to_owned(),
        Operand::PyFloat => "Python float".to_owned(),
        Operand::PyComplex => "Python complex".to_owned(),
    };
    let is_bool = |o: &Operand| matches!(o, Operand::PyBool | Operand::Typed(DType::Bool));
    let hint = match op.name {
        "subtract" if operands.iter().all(is_bool) => {
            ": numpy boolean subtract, the `-` operator, is not supported, use the bitwise_xor, the `^` operator, or the logical_xor function instead"
        }
        "negative" if operands.iter().all(is_bool) => {
            ": the numpy boolean negative, the `-` operator, is not supported, use the `~` operator or the logical_not function instead"
        }
        "invert" | "bitwise_and" | "bitwise_or" | "bitwise_xor" | "left_shift" | "right_shift" | "gcd"
        | "lcm" | "bitwise_count" => "; it takes integers",
        "isnat" => "; it takes datetime64 and timedelta64",
        _ => "",
    };
    TypeError::NoLoop { op: op.name, inputs: operands.iter().map(name).collect::<Vec<_>>().join(", "), hint }
}

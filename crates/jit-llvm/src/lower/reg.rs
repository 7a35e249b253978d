//! Registers: how an IR value is spread over LLVM values.
//!
//! Every IR value is flattened into *components*, each of which LLVM holds in one register: a scalar is one, a complex
//! number its two parts, a tuple its elements in order, a view its pointer, then a length an axis, then a stride an axis
//! whose stride is `Dynamic`. No aggregate ever reaches a loop, so that LLVM's vectoriser sees plain arithmetic.

use pantile_jit::ir::{Stride, Type, ViewType};
use pantile_types::ScalarType;
use std::fmt;
use std::rc::Rc;

/// The LLVM type of one component.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reg {
    I1,
    I8,
    I16,
    I32,
    I64,
    Half,
    Float,
    Double,
    Ptr,
}

impl Reg {
    /// The register of a real scalar; `None` for complex types, which take two.
    pub fn of(t: ScalarType) -> Option<Reg> {
        Some(match t {
            ScalarType::Bool => Reg::I1,
            ScalarType::I8 | ScalarType::U8 => Reg::I8,
            ScalarType::I16 | ScalarType::U16 => Reg::I16,
            ScalarType::I32 | ScalarType::U32 => Reg::I32,
            ScalarType::I64 | ScalarType::U64 => Reg::I64,
            ScalarType::F16 => Reg::Half,
            ScalarType::F32 => Reg::Float,
            ScalarType::F64 => Reg::Double,
            ScalarType::C64 | ScalarType::C128 => return None,
        })
    }

    /// The register of a scalar that is not complex, or of the parts of one that is.
    pub fn part(t: ScalarType) -> Reg {
        Reg::of(t.part()).expect("the parts of a complex number are real")
    }

    /// The width in bits; pointers have 64.
    pub fn bits(self) -> u32 {
        match self {
            Reg::I1 => 1,
            Reg::I8 => 8,
            Reg::I16 | Reg::Half => 16,
            Reg::I32 | Reg::Float => 32,
            Reg::I64 | Reg::Double | Reg::Ptr => 64,
        }
    }

    /// The integer register of the same width.
    pub fn as_int(self) -> Reg {
        match self {
            Reg::Half => Reg::I16,
            Reg::Float => Reg::I32,
            Reg::Double | Reg::Ptr => Reg::I64,
            int => int,
        }
    }

    /// LLVM's suffix for overloaded intrinsics: `f64`, `i32`.
    pub fn suffix(self) -> &'static str {
        match self {
            Reg::Half => "f16",
            Reg::Float => "f32",
            Reg::Double => "f64",
            Reg::Ptr => "p0",
            Reg::I1 => "i1",
            Reg::I8 => "i8",
            Reg::I16 => "i16",
            Reg::I32 => "i32",
            Reg::I64 => "i64",
        }
    }
}

impl fmt::Display for Reg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reg::Half => "half",
            Reg::Float => "float",
            Reg::Double => "double",
            Reg::Ptr => "ptr",
            int => int.suffix(),
        })
    }
}

/// Appends the registers of a type's components.
pub(crate) fn push_components(ty: &Type, out: &mut Vec<Reg>) {
    match ty {
        Type::Scalar(t) => {
            let part = Reg::part(*t);
            out.push(part);
            if t.is_complex() {
                out.push(part);
            }
        }
        Type::Tuple(parts) => parts.iter().for_each(|p| push_components(p, out)),
        Type::View(v) => {
            out.push(Reg::Ptr);
            out.extend(std::iter::repeat_n(Reg::I64, v.strides.len() + dynamic_strides(v)));
        }
    }
}

/// The registers of a type's components.
pub(crate) fn components(ty: &Type) -> Vec<Reg> {
    let mut out = Vec::new();
    push_components(ty, &mut out);
    out
}

/// How many axes of a view have a stride that is known only when it runs.
pub(crate) fn dynamic_strides(v: &ViewType) -> usize {
    v.strides.iter().filter(|s| **s == Stride::Dynamic).count()
}

/// An operand as it is written in LLVM's text: a register of the function or a literal.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Opd {
    /// `%t7`.
    Tmp(u32),
    /// A literal, as written.
    Lit(Rc<str>),
}

impl Opd {
    /// An integer literal.
    pub fn int(v: i64) -> Opd {
        Opd::Lit(v.to_string().into())
    }

    /// A literal as written.
    pub fn lit(text: impl Into<Rc<str>>) -> Opd {
        Opd::Lit(text.into())
    }
}

impl fmt::Display for Opd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Opd::Tmp(n) => write!(f, "%t{n}"),
            Opd::Lit(text) => f.write_str(text),
        }
    }
}

/// The literal for a component with these bits. Floats are written as bits, so that NaN payloads survive.
pub(crate) fn literal(reg: Reg, bits: u64) -> Opd {
    Opd::lit(match reg {
        Reg::I1 => (if bits != 0 { "true" } else { "false" }).to_string(),
        Reg::I8 => (bits as i8).to_string(),
        Reg::I16 => (bits as i16).to_string(),
        Reg::I32 => (bits as i32).to_string(),
        Reg::I64 => (bits as i64).to_string(),
        Reg::Half => format!("0xH{:04X}", bits as u16),
        // A `float` is written as the double of the same value, which cannot say every NaN; its bits can.
        Reg::Float => format!("bitcast (i32 {} to float)", bits as i32),
        Reg::Double => format!("0x{bits:016X}"),
        Reg::Ptr => (if bits == 0 { "null" } else { "poison" }).to_string(),
    })
}

//! The reductions: which data types they read, accumulate in and give.
//!
//! A row names the catalogue operation that combines two partial results, where there is one (`mean`, `var` and the
//! `arg` reductions keep more than one number). Checked for all data types against NumPy by `tests/reduce.rs`.

use crate::dtype::DType;
use crate::error::TypeError;
use crate::prim::{Scalar, ScalarType};

/// What is computed over the elements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// The sum.
    Sum,
    /// The product.
    Prod,
    /// The smallest; NaN if there is one.
    Min,
    /// The largest; NaN if there is one.
    Max,
    /// Whether any is true.
    Any,
    /// Whether all are true.
    All,
    /// Position of the first smallest; of the first NaN if there is one.
    ArgMin,
    /// Position of the first largest; of the first NaN if there is one.
    ArgMax,
    /// The sum over the count.
    Mean,
    /// The mean squared distance from the mean.
    Var,
    /// The square root of the variance.
    Std,
    /// Largest less smallest.
    Ptp,
    /// How many are true.
    CountNonzero,
}

/// What a reduction of no elements gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Empty {
    /// The identity.
    Identity,
    /// NaN, with a `RuntimeWarning`: `Reduction::empty_message`.
    NanWithWarning,
    /// A `ValueError`: `Reduction::empty_message`.
    Error,
}

/// One reduction.
#[derive(Clone, Copy, Debug)]
pub struct Reduction {
    /// NumPy's name.
    pub name: &'static str,
    /// NumPy's other names for it.
    pub aliases: &'static [&'static str],
    /// What is computed.
    pub kind: Kind,
    /// Whether NaN (and NaT) are left out.
    pub skip_nan: bool,
    /// What no elements give.
    pub empty: Empty,
    /// The catalogue operation that combines two elements or partial results.
    pub combine: Option<&'static str>,
    /// One line.
    pub doc: &'static str,
}

/// The data types of one reduction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReduceSignature {
    /// What each element is converted to.
    pub input: DType,
    /// What partial results have. For `Mean`, `Var` and `Std` the sum's; for complex `Var` the squares are of its parts.
    /// For `ArgMin` and `ArgMax` the value's; the position is `I64`.
    pub accumulator: DType,
    /// What the result has.
    pub output: DType,
}

const fn row(
    name: &'static str,
    kind: Kind,
    empty: Empty,
    combine: Option<&'static str>,
    doc: &'static str,
) -> Reduction {
    Reduction { name, aliases: &[], kind, skip_nan: false, empty, combine, doc }
}

impl Reduction {
    const fn skip_nan(mut self) -> Reduction {
        self.skip_nan = true;
        self
    }

    const fn alias(mut self, aliases: &'static [&'static str]) -> Reduction {
        self.aliases = aliases;
        self
    }
}

static ROWS: &[Reduction] = &[
    row("sum", Kind::Sum, Empty::Identity, Some("add"), "Sum; of small integers in 64 bits."),
    row("prod", Kind::Prod, Empty::Identity, Some("multiply"), "Product; of small integers in 64 bits."),
    row("min", Kind::Min, Empty::Error, Some("minimum"), "Smallest element; NaN if there is one.")
        .alias(&["amin"]),
    row("max", Kind::Max, Empty::Error, Some("maximum"), "Largest element; NaN if there is one.")
        .alias(&["amax"]),
    row("any", Kind::Any, Empty::Identity, Some("logical_or"), "Whether any element is true."),
    row("all", Kind::All, Empty::Identity, Some("logical_and"), "Whether all elements are true."),
    row(
        "argmin",
        Kind::ArgMin,
        Empty::Error,
        None,
        "Position of the first smallest element, or of the first NaN.",
    ),
    row(
        "argmax",
        Kind::ArgMax,
        Empty::Error,
        None,
        "Position of the first largest element, or of the first NaN.",
    ),
    row("mean", Kind::Mean, Empty::NanWithWarning, None, "Sum over count."),
    row("var", Kind::Var, Empty::NanWithWarning, None, "Mean squared distance from the mean."),
    row("std", Kind::Std, Empty::NanWithWarning, None, "Square root of the variance."),
    row("ptp", Kind::Ptp, Empty::Error, None, "Largest less smallest element."),
    row("count_nonzero", Kind::CountNonzero, Empty::Identity, Some("add"), "How many elements are true."),
    row("nansum", Kind::Sum, Empty::Identity, Some("add"), "Sum without NaN.").skip_nan(),
    row("nanprod", Kind::Prod, Empty::Identity, Some("multiply"), "Product without NaN.").skip_nan(),
    row("nanmin", Kind::Min, Empty::Error, Some("fmin"), "Smallest element but NaN.").skip_nan(),
    row("nanmax", Kind::Max, Empty::Error, Some("fmax"), "Largest element but NaN.").skip_nan(),
    row("nanargmin", Kind::ArgMin, Empty::Error, None, "Position of the first smallest element but NaN.")
        .skip_nan(),
    row("nanargmax", Kind::ArgMax, Empty::Error, None, "Position of the first largest element but NaN.")
        .skip_nan(),
    row("nanmean", Kind::Mean, Empty::NanWithWarning, None, "Mean without NaN.").skip_nan(),
    row("nanvar", Kind::Var, Empty::NanWithWarning, None, "Variance without NaN.").skip_nan(),
    row("nanstd", Kind::Std, Empty::NanWithWarning, None, "Standard deviation without NaN.").skip_nan(),
];

/// Every row.
pub fn all() -> impl Iterator<Item = &'static Reduction> {
    ROWS.iter()
}

/// The row with this name or alias.
pub fn find(name: &str) -> Option<&'static Reduction> {
    ROWS.iter().find(|r| r.name == name || r.aliases.contains(&name))
}

impl Reduction {
    /// The data types for elements of `dtype`, `requested` being the caller's `dtype=` (sums, products, means and
    /// variances only; elsewhere it is ignored, as those functions do not take it).
    pub fn resolve(&self, dtype: DType, requested: Option<DType>) -> Result<ReduceSignature, TypeError> {
        if let Some(foreign) = [Some(dtype), requested].into_iter().flatten().find(|d| d.is_foreign()) {
            return Err(TypeError::foreign(self.name, foreign));
        }
        let none =
            |hint| Err(TypeError::NoReduction { op: self.name, dtype: requested.unwrap_or(dtype), hint });
        let same = |d| Ok(ReduceSignature { input: d, accumulator: d, output: d });
        let is_moment = |d| matches!(d, DType::DateTime(_));
        match self.kind {
            Kind::Sum | Kind::Prod => {
                let output = requested.unwrap_or(match dtype {
                    DType::Bool => DType::I64,
                    d if d.is_signed() => DType::I64,
                    d if d.is_unsigned() => DType::U64,
                    d => d,
                });
                if is_moment(output) || is_moment(dtype) {
                    return none("; subtract an origin first, and add durations");
                }
                if self.kind == Kind::Prod && (output.is_time() || dtype.is_time()) {
                    return none("; durations have no product");
                }
                Ok(ReduceSignature { input: output, accumulator: wide(output), output })
            }
            Kind::Min | Kind::Max => same(dtype),
            Kind::Any | Kind::All => same(DType::Bool),
            Kind::CountNonzero => {
                Ok(ReduceSignature { input: DType::Bool, accumulator: DType::I64, output: DType::I64 })
            }
            Kind::ArgMin | Kind::ArgMax => {
                Ok(ReduceSignature { input: dtype, accumulator: dtype, output: DType::I64 })
            }
            Kind::Ptp => match dtype {
                DType::Bool => none("; booleans cannot be subtracted: use max ^ min"),
                DType::DateTime(unit) => {
                    Ok(ReduceSignature { input: dtype, accumulator: dtype, output: DType::TimeDelta(unit) })
                }
                d => same(d),
            },
            Kind::Mean => {
                if is_moment(dtype) {
                    return none("; subtract an origin first, and average durations");
                }
                let output = requested.unwrap_or(if dtype == DType::Bool || dtype.is_int() {
                    DType::F64
                } else {
                    dtype
                });
                Ok(ReduceSignature { input: output, accumulator: wide(output), output })
            }
            Kind::Var | Kind::Std => {
                if dtype.is_time() {
                    return none("; convert to a number in a unit first");
                }
                let input = requested.unwrap_or(if dtype == DType::Bool || dtype.is_int() {
                    DType::F64
                } else {
                    dtype
                });
                Ok(ReduceSignature {
                    input,
                    accumulator: wide(input),
                    output: requested.unwrap_or(input.part()),
                })
            }
        }
    }

    /// The value that no elements give and that changes no sum; `None` where there is none.
    pub fn identity(&self, accumulator: DType) -> Option<Scalar> {
        let ty = accumulator.scalar()?;
        match self.kind {
            Kind::Sum | Kind::Any | Kind::CountNonzero => Some(Scalar::from_i64(ty, 0)),
            Kind::Prod | Kind::All => Some(Scalar::from_i64(ty, 1)),
            Kind::Min
            | Kind::Max
            | Kind::ArgMin
            | Kind::ArgMax
            | Kind::Mean
            | Kind::Var
            | Kind::Std
            | Kind::Ptp => None,
        }
    }

    /// A value that a loop may start from: combined with any element it gives the element. For `nanmin` and `nanmax` and
    /// floats it is NaN, which also says that there was nothing else. `None` where nothing combines.
    pub fn start(&self, accumulator: DType) -> Option<Scalar> {
        let ty = accumulator.scalar()?;
        let lowest = matches!(self.kind, Kind::Max | Kind::ArgMax);
        if !lowest && !matches!(self.kind, Kind::Min | Kind::ArgMin) {
            return self.identity(accumulator);
        }
        let inf = if lowest { f64::NEG_INFINITY } else { f64::INFINITY };
        let inf = if self.skip_nan { f64::NAN } else { inf };
        Some(match ty {
            ScalarType::Bool => Scalar::Bool(!lowest),
            // NaT is the smallest integer: `fmax` and `fmin` pass over it, the others must not start with it.
            _ if accumulator.is_time() && self.skip_nan => Scalar::Int(ty, i64::MIN),
            _ if accumulator.is_time() => Scalar::Int(ty, if lowest { i64::MIN + 1 } else { i64::MAX }),
            ScalarType::C64 => Scalar::C64(inf as f32, inf as f32),
            ScalarType::C128 => Scalar::C128(inf, inf),
            _ if ty.is_float() => Scalar::from_f64(ty, inf)?,
            _ => {
                let bits = ty.size() as u32 * 8;
                let top = 1u128 << (bits - 1);
                Scalar::from_bits(
                    ty,
                    match (lowest, ty.is_signed()) {
                        (true, true) => top,
                        (true, false) => 0,
                        (false, true) => top - 1,
                        (false, false) => u128::MAX,
                    },
                )
            }
        })
    }

    /// What to say when there are no elements: the error's or the warning's text.
    pub fn empty_message(&self) -> Option<String> {
        Some(match self.kind {
            Kind::Min | Kind::Max | Kind::Ptp => {
                let ufunc = match (self.kind, self.skip_nan) {
                    (Kind::Min, false) => "minimum",
                    (Kind::Min, true) => "fmin",
                    (_, false) => "maximum",
                    (_, true) => "fmax",
                };
                format!("zero-size array to reduction operation {ufunc} which has no identity")
            }
            Kind::ArgMin => "attempt to get argmin of an empty sequence".to_owned(),
            Kind::ArgMax => "attempt to get argmax of an empty sequence".to_owned(),
            Kind::Mean => "Mean of empty slice".to_owned(),
            Kind::Var | Kind::Std if self.skip_nan => "Degrees of freedom <= 0 for slice.".to_owned(),
            Kind::Var | Kind::Std => "Degrees of freedom <= 0 for slice".to_owned(),
            Kind::Sum | Kind::Prod | Kind::Any | Kind::All | Kind::CountNonzero => return None,
        })
    }
}

/// Halves are summed as singles, as NumPy does; other types as themselves, in pairs.
const fn wide(dtype: DType) -> DType {
    match dtype {
        DType::F16 => DType::F32,
        other => other,
    }
}

//! What a row of the catalogue holds.
//!
//! A row is a constant: `row("add", ...)` and then what is special about it, one method a fact.

use smallvec::{SmallVec, smallvec};

use crate::catalogue::build::Builder;
use crate::catalogue::time::TimeRule;
use crate::dtype::DType;
use crate::emit::{Emit, Val};
use crate::prim::{Scalar, ScalarType};

/// The values that an evaluation of an operation gives; two for `divmod`, `modf` and `frexp`.
pub type Outputs = SmallVec<[Val; 2]>;

/// How an operation is spelt in primitives, for arguments of the signature's input types.
#[derive(Clone, Copy, Debug)]
pub enum Build {
    /// One result.
    One(fn(&mut Builder<'_>, &[Val]) -> Val),
    /// Two results.
    Two(fn(&mut Builder<'_>, &[Val]) -> [Val; 2]),
}

/// NumPy's loops of one shape: `form` with each letter of `over` in the place of `x`, in this order.
///
/// Letters are NumPy's type codes `?bBhHiIqQefdFD`. The first loop whose inputs take the operands safely is chosen.
#[derive(Clone, Copy, Debug)]
pub struct Loops {
    /// The type codes to go through.
    pub over: &'static str,
    /// Inputs, `->`, outputs.
    pub form: &'static str,
}

/// What typing does beyond the search through the loops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Quirk {
    /// Nothing.
    None,
    /// Integers and booleans divide as `float64`.
    TrueDivide,
    /// Booleans alone are refused, though a loop would take them: the operator means something else for them.
    NotBool,
    /// The operands must have a common type that the operation has a loop for, as it stands.
    Exact,
    /// Compares the values even where no type holds both, Python integers of any size included.
    Compare,
    /// Takes anything that has a truth value.
    Truth,
    /// The second operand's Python integers are exponents of type `int32`.
    Ldexp,
    /// Integers have no negative powers.
    Power,
    /// A condition, and two operands that meet in their common type.
    Where,
    /// All operands meet in their common type.
    Common,
}

/// The rows' chapters in the documentation, and their files here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Chapter {
    /// Sums, products, quotients, powers, absolute values.
    Arithmetic,
    /// Bits, shifts, greatest common divisors.
    Bits,
    /// Order, extrema, truth, choice.
    Comparison,
    /// Rounding and the pieces of floating-point numbers.
    Float,
    /// Exponentials, logarithms, roots, trigonometry, hyperbolics.
    Elementary,
    /// Parts of complex numbers.
    Complex,
}

impl Chapter {
    /// The heading.
    pub const fn title(self) -> &'static str {
        match self {
            Chapter::Arithmetic => "Arithmetic",
            Chapter::Bits => "Bits and divisors",
            Chapter::Comparison => "Comparison, logic and choice",
            Chapter::Float => "Rounding and floating point",
            Chapter::Elementary => "Elementary functions",
            Chapter::Complex => "Complex numbers",
        }
    }
}

/// How close the result is to the exact one, rounded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Accuracy {
    /// The bits that NumPy gives.
    Exact,
    /// Within so many units in the last place (of the larger part, for complex numbers).
    Ulp(u8),
}

/// The value that changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    /// 0, or false.
    Zero,
    /// 1, or true.
    One,
    /// -1: all bits set.
    AllOnes,
    /// Minus infinity.
    MinusInfinity,
}

impl Identity {
    /// The identity in this type; `None` when the type does not have it.
    pub fn scalar(self, ty: ScalarType) -> Option<Scalar> {
        match self {
            Identity::Zero => Some(Scalar::from_i64(ty, 0)),
            Identity::One => Some(Scalar::from_i64(ty, 1)),
            Identity::AllOnes => Some(Scalar::from_i64(ty, -1)),
            Identity::MinusInfinity => Scalar::from_f64(ty, f64::NEG_INFINITY),
        }
    }
}

/// One elementwise operation.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// NumPy's name.
    pub name: &'static str,
    /// NumPy's other names for it.
    pub aliases: &'static [&'static str],
    /// Python's operator.
    pub symbol: Option<&'static str>,
    /// Where it is documented.
    pub chapter: Chapter,
    /// One line.
    pub doc: &'static str,
    /// How many inputs.
    pub nin: usize,
    /// How many outputs: 1 or 2.
    pub nout: usize,
    /// Whether NumPy has it as a `numpy.ufunc` object.
    pub is_ufunc: bool,
    /// NumPy's loops.
    pub loops: &'static [Loops],
    /// Typing beyond the loops.
    pub quirk: Quirk,
    /// What it means for datetimes and timedeltas.
    pub time: TimeRule,
    /// The value that `reduce` starts with.
    pub identity: Option<Identity>,
    /// Whether `(a op b) op c` may be computed as `a op (b op c)`.
    pub associative: bool,
    /// Whether `a op b` is `b op a`.
    pub commutative: bool,
    /// How close the result is.
    pub accuracy: Accuracy,
    /// Whether the builder works on the bits of halves; otherwise they are computed as singles.
    pub(crate) raw_half: bool,
    pub(crate) build: Build,
}

impl PartialEq for Op {
    fn eq(&self, other: &Op) -> bool {
        self.name == other.name
    }
}
impl Eq for Op {}
impl std::hash::Hash for Op {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// The data types of one evaluation.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Signature {
    /// What each operand is converted to (`cast::build`).
    pub inputs: SmallVec<[DType; 3]>,
    /// What each result has.
    pub outputs: SmallVec<[DType; 2]>,
}

impl Signature {
    /// The data type that names the loop: the first input's.
    pub fn loop_dtype(&self) -> DType {
        self.inputs[0]
    }
}

impl Op {
    /// Appends one evaluation. `args` have the stored types of `signature.inputs`, the results those of
    /// `signature.outputs`. The signature comes from `resolve` for this operation.
    pub fn build(&self, emit: &mut dyn Emit, args: &[Val], signature: &Signature) -> Outputs {
        let b = &mut Builder::new(emit);
        if signature.inputs.iter().any(|d| d.is_time()) {
            return self.time.build(b, args, signature);
        }
        let mut widened: SmallVec<[Val; 3]> = SmallVec::from_slice(args);
        if !self.raw_half {
            for v in &mut widened {
                if b.ty(*v) == ScalarType::F16 {
                    *v = b.cast(*v, ScalarType::F32);
                }
            }
        }
        let mut outputs: Outputs = match self.build {
            Build::One(f) => smallvec![f(b, &widened)],
            Build::Two(f) => SmallVec::from(f(b, &widened)),
        };
        for (v, dtype) in outputs.iter_mut().zip(&signature.outputs) {
            if *dtype == DType::F16 {
                *v = b.cast(*v, ScalarType::F16);
            }
        }
        outputs
    }
}

/// A row with the usual facts; the methods below add what is special.
pub(crate) const fn row(
    chapter: Chapter,
    name: &'static str,
    nin: usize,
    loops: &'static [Loops],
    build: Build,
    doc: &'static str,
) -> Op {
    let nout = match build {
        Build::One(_) => 1,
        Build::Two(_) => 2,
    };
    Op {
        name,
        aliases: &[],
        symbol: None,
        chapter,
        doc,
        nin,
        nout,
        is_ufunc: true,
        loops,
        quirk: Quirk::None,
        time: TimeRule::None,
        identity: None,
        associative: false,
        commutative: false,
        accuracy: Accuracy::Exact,
        raw_half: false,
        build,
    }
}

impl Op {
    pub(crate) const fn alias(mut self, aliases: &'static [&'static str]) -> Op {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn symbol(mut self, symbol: &'static str) -> Op {
        self.symbol = Some(symbol);
        self
    }

    pub(crate) const fn quirk(mut self, quirk: Quirk) -> Op {
        self.quirk = quirk;
        self
    }

    pub(crate) const fn time(mut self, time: TimeRule) -> Op {
        self.time = time;
        self
    }

    pub(crate) const fn identity(mut self, identity: Identity) -> Op {
        self.identity = Some(identity);
        self
    }

    pub(crate) const fn associative(mut self) -> Op {
        self.associative = true;
        self
    }

    pub(crate) const fn commutative(mut self) -> Op {
        self.commutative = true;
        self
    }

    pub(crate) const fn ulp(mut self, ulp: u8) -> Op {
        self.accuracy = Accuracy::Ulp(ulp);
        self
    }

    pub(crate) const fn raw_half(mut self) -> Op {
        self.raw_half = true;
        self
    }

    pub(crate) const fn function(mut self) -> Op {
        self.is_ufunc = false;
        self
    }
}

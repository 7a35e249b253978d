//! Mathematical functions: which symbol computes what, and which vector forms the running C library has.
//!
//! Scalar code calls glibc's libm. Vectorised code calls glibc's libmvec, whose functions process 2, 4, 8 or 16 values; a
//! call is annotated with the vector forms that exist (the *vector function ABI*), and LLVM's vectoriser picks one. Forms
//! that are missing from the running glibc, or that this machine cannot execute, are simply not offered, and the loop
//! calls the scalar function.
//!
//! Every form offered here is accurate to 4 ulp and treats NaN, infinities, signed zeros, subnormal and huge arguments as
//! C does: `tests/accuracy.rs` checks that on the running library, and `DISTRUSTED` lists the ones that failed it.

use crate::host::Host;
use crate::symbols;
use pantile_types::{BinOp, LibFn, UnOp};
use rustc_hash::FxHashMap;

/// The name in libm of the double-precision function; `None` for operations that are instructions.
pub(crate) fn un_symbol(op: UnOp) -> Option<&'static str> {
    Some(match op {
        UnOp::Sin => "sin",
        UnOp::Cos => "cos",
        UnOp::Tan => "tan",
        UnOp::Asin => "asin",
        UnOp::Acos => "acos",
        UnOp::Atan => "atan",
        UnOp::Sinh => "sinh",
        UnOp::Cosh => "cosh",
        UnOp::Tanh => "tanh",
        UnOp::Asinh => "asinh",
        UnOp::Acosh => "acosh",
        UnOp::Atanh => "atanh",
        UnOp::Exp => "exp",
        UnOp::Exp2 => "exp2",
        UnOp::Expm1 => "expm1",
        UnOp::Log => "log",
        UnOp::Log2 => "log2",
        UnOp::Log10 => "log10",
        UnOp::Log1p => "log1p",
        UnOp::Cbrt => "cbrt",
        UnOp::Neg
        | UnOp::Not
        | UnOp::Abs
        | UnOp::Sqrt
        | UnOp::Floor
        | UnOp::Ceil
        | UnOp::Trunc
        | UnOp::Rint
        | UnOp::SignBit
        | UnOp::Popcount
        | UnOp::Re
        | UnOp::Im => return None,
    })
}

/// Like `un_symbol`, for operations on two values.
pub(crate) fn bin_symbol(op: BinOp) -> Option<&'static str> {
    match op {
        BinOp::Pow => Some("pow"),
        BinOp::Atan2 => Some("atan2"),
        BinOp::Hypot => Some("hypot"),
        BinOp::Nextafter => Some("nextafter"),
        BinOp::Rem => Some("fmod"),
        _ => None,
    }
}

/// The symbol that computes a library function.
pub(crate) fn lib_symbol(f: LibFn) -> &'static str {
    match f {
        LibFn::FrexpFraction => symbols::Runtime::FrexpFraction.name(),
        LibFn::FrexpExponent => symbols::Runtime::FrexpExponent.name(),
        LibFn::Gcd => symbols::Runtime::Gcd.name(),
        LibFn::PowU64 => symbols::Runtime::PowU64.name(),
        other => other.name(),
    }
}

/// One vector form of a function.
#[derive(Clone, Debug)]
pub(crate) struct Variant {
    /// The symbol, which by the vector function ABI spells instruction set, width and parameters: `_ZGVdN4v_sin`.
    pub symbol: String,
    /// The type of each parameter and of the result: `<4 x double>`.
    pub llvm_type: String,
    /// How many parameters there are.
    pub arity: usize,
}

impl Variant {
    /// The entry in LLVM's `vector-function-abi-variant` attribute.
    pub fn mapping(&self) -> String {
        format!("{0}({0})", self.symbol)
    }
}

/// The vector forms that may be called on this machine, by the scalar function's name.
#[derive(Default, Debug)]
pub(crate) struct VectorMath {
    variants: FxHashMap<String, Vec<Variant>>,
}

/// Scalar functions with a libmvec counterpart that the IR has, and how many arguments they take.
const CANDIDATES: [(&str, usize); 23] = [
    ("sin", 1),
    ("cos", 1),
    ("tan", 1),
    ("asin", 1),
    ("acos", 1),
    ("atan", 1),
    ("sinh", 1),
    ("cosh", 1),
    ("tanh", 1),
    ("asinh", 1),
    ("acosh", 1),
    ("atanh", 1),
    ("exp", 1),
    ("exp2", 1),
    ("expm1", 1),
    ("log", 1),
    ("log2", 1),
    ("log10", 1),
    ("log1p", 1),
    ("cbrt", 1),
    ("pow", 2),
    ("atan2", 2),
    ("hypot", 2),
];

/// Functions whose vector forms are wrong somewhere: not used, whatever the library offers.
const DISTRUSTED: [&str; 0] = [];

impl VectorMath {
    /// No vector forms at all.
    pub fn none() -> VectorMath {
        VectorMath::default()
    }

    /// The forms that the running libmvec has and that this machine executes.
    pub fn probe(host: &Host) -> VectorMath {
        // The letter of the instruction set and the width of its registers, in bits.
        let mut sets = vec![('b', 128)];
        if host.has("avx2") {
            sets.push(('d', 256));
        }
        if host.has("avx512f") {
            sets.push(('e', 512));
        }
        let mut variants: FxHashMap<String, Vec<Variant>> = FxHashMap::default();
        for (base, arity) in CANDIDATES {
            for (suffix, bits, element) in [("", 64, "double"), ("f", 32, "float")] {
                let scalar = format!("{base}{suffix}");
                if DISTRUSTED.contains(&scalar.as_str()) {
                    continue;
                }
                for (letter, width) in &sets {
                    let lanes = width / bits;
                    let symbol = format!("_ZGV{letter}N{lanes}{}_{scalar}", "v".repeat(arity));
                    if symbols::address(&symbol).is_some() {
                        let llvm_type = format!("<{lanes} x {element}>");
                        variants.entry(scalar.clone()).or_default().push(Variant {
                            symbol,
                            llvm_type,
                            arity,
                        });
                    }
                }
            }
        }
        VectorMath { variants }
    }

    /// The vector forms of a scalar function.
    pub fn variants(&self, scalar: &str) -> &[Variant] {
        self.variants.get(scalar).map_or(&[], Vec::as_slice)
    }
}

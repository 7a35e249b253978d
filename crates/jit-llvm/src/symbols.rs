//! What compiled code may call: libm, libmvec, a few functions of libc, and our runtime. Nothing else resolves.
//!
//! An explicit table rather than a search of the process: a kernel that names anything unexpected fails when it is
//! loaded, with the name, instead of calling whatever some other extension module happens to export.

use crate::runtime;
use std::ffi::{CStr, CString, c_void};
use std::sync::OnceLock;

/// Our own functions that compiled code calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Runtime {
    RunPieces,
    FrexpFraction,
    FrexpExponent,
    Gcd,
    PowU64,
    StackLimit,
}

impl Runtime {
    const ALL: [Runtime; 6] = [
        Runtime::RunPieces,
        Runtime::FrexpFraction,
        Runtime::FrexpExponent,
        Runtime::Gcd,
        Runtime::PowU64,
        Runtime::StackLimit,
    ];

    /// The symbol.
    pub fn name(self) -> &'static str {
        match self {
            Runtime::RunPieces => "pantile_run_pieces",
            Runtime::FrexpFraction => "pantile_frexp_fraction",
            Runtime::FrexpExponent => "pantile_frexp_exponent",
            Runtime::Gcd => "pantile_gcd",
            Runtime::PowU64 => "pantile_pow_u64",
            Runtime::StackLimit => "pantile_stack_limit",
        }
    }

    fn address(self) -> usize {
        match self {
            Runtime::RunPieces => runtime::run_pieces as *const () as usize,
            Runtime::FrexpFraction => runtime::frexp_fraction as *const () as usize,
            Runtime::FrexpExponent => runtime::frexp_exponent as *const () as usize,
            Runtime::Gcd => runtime::gcd as *const () as usize,
            Runtime::PowU64 => runtime::pow_u64 as *const () as usize,
            Runtime::StackLimit => runtime::stack_limit as *const () as usize,
        }
    }
}

/// Functions of libm that the lowering calls, or that LLVM makes of those (`sincos` of a sine and a cosine).
const LIBM: [&str; 40] = [
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "exp",
    "exp2",
    "exp10",
    "expm1",
    "log",
    "log2",
    "log10",
    "log1p",
    "cbrt",
    "pow",
    "atan2",
    "hypot",
    "nextafter",
    "fmod",
    "sincos",
    "ldexp",
    "floor",
    "ceil",
    "trunc",
    "rint",
    "roundeven",
    "nearbyint",
    "round",
    "sqrt",
    "fabs",
    "fmin",
    "fmax",
    "copysign",
];

/// Complex functions of libm, in double precision only.
const LIBM_COMPLEX: [&str; 16] = [
    "cexp", "clog", "csqrt", "cpow", "csin", "ccos", "ctan", "casin", "cacos", "catan", "csinh", "ccosh",
    "ctanh", "casinh", "cacosh", "catanh",
];

/// What LLVM makes of loops that copy or fill.
const LIBC: [&str; 4] = ["memcpy", "memmove", "memset", "memcmp"];

/// The address of a symbol that compiled code may call.
pub(crate) fn address(name: &str) -> Option<usize> {
    if let Some(r) = Runtime::ALL.into_iter().find(|r| r.name() == name) {
        return Some(r.address());
    }
    if name.starts_with("_ZGV") {
        return find(*libmvec().as_ref()?, name);
    }
    let single = name.strip_suffix('f').unwrap_or(name);
    if LIBM.contains(&name) || LIBM.contains(&single) || LIBM_COMPLEX.contains(&name) || LIBC.contains(&name)
    {
        return find(libm().unwrap_or(Library(std::ptr::null_mut())), name);
    }
    None
}

/// A handle from `dlopen`; null searches the process, as `RTLD_DEFAULT` does.
#[derive(Clone, Copy)]
struct Library(*mut c_void);

// SAFETY: a handle is never closed, and `dlsym` may be called from any thread.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

fn libm() -> Option<Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    *LIBRARY.get_or_init(|| open(c"libm.so.6"))
}

fn libmvec() -> &'static Option<Library> {
    static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
    LIBRARY.get_or_init(|| open(c"libmvec.so.1"))
}

fn open(name: &CStr) -> Option<Library> {
    // SAFETY: the C library's own parts, whose initialisers have no effect on us.
    let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    (!handle.is_null()).then_some(Library(handle))
}

fn find(library: Library, name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    // SAFETY: the handle is open (or null, which is `RTLD_DEFAULT`), the name is terminated.
    let address = unsafe { libc::dlsym(library.0, name.as_ptr()) };
    (!address.is_null()).then_some(address as usize)
}

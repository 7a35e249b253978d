//! The backend: options, compiling, calling, showing what was made.

use crate::cache::{Cache, CacheCounts, Key};
use crate::engine::Code;
use crate::error::LlvmError;
use crate::host::Host;
use crate::llvm::{Machine, Unit, digest, version};
use crate::lower::{Target, decode_trap, lower};
use crate::math::VectorMath;
use llvm_sys::target_machine::LLVMCodeGenFileType::{LLVMAssemblyFile, LLVMObjectFile};
use pantile_jit::ir::{FuncId, Module, TrapCode};
use pantile_jit::{Backend, CompileError, Executable};
use std::ffi::CStr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How hard LLVM tries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pipeline {
    /// The passes that kernels profit from, in one round: what is measurably worth its time.
    #[default]
    Lean,
    /// LLVM's own `-O3`.
    O3,
}

/// One round of the passes that matter to numeric loops. Kernels come from our own front end as clean SSA with flattened
/// values, so that most of `-O3`, which cleans up after C++, finds nothing to do. It takes about 0.7 of the time of
/// `-O3`'s passes, for the same code on the kernels of `examples/measure.rs`; the greater part of a compilation is
/// instruction selection and later, which neither the pipeline nor the code generator's level changes much.
const LEAN: &CStr = c"always-inline,cgscc(inline),\
    function<eager-inv>(sroa<modify-cfg>,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg,\
    reassociate,\
    loop-mssa(loop-instsimplify,loop-rotate<header-duplication;no-prepare-for-lto>,licm<allowspeculation>,\
    simple-loop-unswitch<nontrivial>),\
    simplifycfg,instcombine<no-verify-fixpoint>,\
    loop(loop-idiom,indvars,loop-deletion,loop-unroll-full),\
    gvn,sccp,instcombine<no-verify-fixpoint>,dse,\
    loop-mssa(licm<allowspeculation>),simplifycfg),\
    function<eager-inv>(float2int,\
    loop(loop-rotate<header-duplication;no-prepare-for-lto>),\
    loop-vectorize<no-interleave-forced-only;no-vectorize-forced-only>,\
    infer-alignment,instcombine<no-verify-fixpoint>,\
    simplifycfg<bonus-inst-threshold=1;forward-switch-cond;switch-range-to-icmp;no-keep-loops;hoist-common-insts;sink-common-insts>,\
    slp-vectorizer,vector-combine,instcombine<no-verify-fixpoint>,\
    loop-unroll<O3>,sroa<preserve-cfg>,instcombine<no-verify-fixpoint>,\
    loop-mssa(licm<allowspeculation>),\
    loop-sink,instsimplify,div-rem-pairs,simplifycfg),globaldce";

impl Pipeline {
    fn passes(self) -> &'static CStr {
        match self {
            Pipeline::Lean => LEAN,
            Pipeline::O3 => c"default<O3>",
        }
    }
}

/// What can be chosen about a backend.
#[derive(Clone, Debug)]
pub struct LlvmOptions {
    /// Where object files are kept between processes; `None` for nowhere.
    pub cache_folder: Option<PathBuf>,
    /// How large that folder may grow.
    pub cache_limit_bytes: u64,
    /// The width of vectors, in bits: 128, 256 or 512. `None` for the machine's best.
    pub vector_bits: Option<u32>,
    /// Whether loops may call libmvec.
    pub vector_math: bool,
    /// How hard LLVM tries.
    pub pipeline: Pipeline,
}

impl Default for LlvmOptions {
    fn default() -> LlvmOptions {
        LlvmOptions {
            cache_folder: None,
            cache_limit_bytes: 256 << 20,
            vector_bits: None,
            vector_math: true,
            pipeline: Pipeline::default(),
        }
    }
}

/// What `LlvmBackend::dump` shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Dump {
    /// The LLVM IR as lowered.
    Lowered,
    /// The LLVM IR after optimisation.
    LlvmIr,
    /// The assembly.
    Asm,
}

/// Goes up with every change to how code is made that shows neither in the lowered text nor in the pipeline: files that an
/// older build left in the cache are then not found.
const CODE_REVISION: u32 = 1;

/// Compiles for the processor this runs on. Use it from as many threads as wanted.
pub struct LlvmBackend {
    host: Arc<Host>,
    options: LlvmOptions,
    vector_bits: u32,
    math: VectorMath,
    cache: Option<Cache>,
    /// Everything but the kernel's text that its code depends on.
    build: String,
    compiled: AtomicU64,
}

impl LlvmBackend {
    /// A backend for this machine.
    pub fn new(options: LlvmOptions) -> Result<LlvmBackend, LlvmError> {
        let host = Host::detect()?;
        let vector_bits = match options.vector_bits {
            Some(bits @ (128 | 256 | 512)) => bits,
            Some(bits) => return Err(LlvmError::VectorBits { bits }),
            None => best_vector_bits(&host),
        };
        let math = if options.vector_math { VectorMath::probe(&host) } else { VectorMath::none() };
        let cache = match &options.cache_folder {
            Some(folder) => Some(Cache::open(folder, options.cache_limit_bytes)?),
            None => None,
        };
        let build = format!(
            "pantile {} code {CODE_REVISION} llvm {} {} {} {}",
            env!("CARGO_PKG_VERSION"),
            version(),
            host.cpu.to_string_lossy(),
            host.features.to_string_lossy(),
            options.pipeline.passes().to_string_lossy(),
        );
        Ok(LlvmBackend { host, options, vector_bits, math, cache, build, compiled: AtomicU64::new(0) })
    }

    /// How many kernels this backend has compiled; those loaded from the cache do not count.
    pub fn kernels_compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    /// How often the cache on disk had a kernel; `None` when there is no cache.
    pub fn cache_counts(&self) -> Option<CacheCounts> {
        self.cache.as_ref().map(Cache::counts)
    }

    /// The processor that code is made for, as LLVM calls it.
    pub fn cpu(&self) -> String {
        self.host.cpu.to_string_lossy().into_owned()
    }

    /// The width of the vectors that loops use, in bits.
    pub fn vector_bits(&self) -> u32 {
        self.vector_bits
    }

    /// What the backend makes of a function, for people to read.
    pub fn dump(&self, module: &Module, entry: FuncId, what: Dump) -> Result<String, CompileError> {
        let text = self.lower(module, entry)?;
        if what == Dump::Lowered {
            return Ok(text);
        }
        let shown = Machine::with(&self.host, |machine| {
            let unit = Unit::parse(&text)?;
            unit.optimize(machine, self.options.pipeline.passes())?;
            match what {
                Dump::Asm => Ok(String::from_utf8_lossy(&unit.emit(machine, LLVMAssemblyFile)?).into_owned()),
                Dump::Lowered | Dump::LlvmIr => Ok(unit.print()),
            }
        });
        shown.map_err(|e| error(module, entry, &e))
    }

    /// Compiles a function; like `Backend::compile`, with the type known.
    pub fn compile_kernel(&self, module: &Module, entry: FuncId) -> Result<LlvmKernel, CompileError> {
        let text = self.lower(module, entry)?;
        let loaded = match &self.cache {
            Some(cache) => {
                let key: Key = digest(&[self.build.as_bytes(), text.as_bytes()]);
                self.load_or_make(cache, &key, &text)
            }
            None => self.object(&text).and_then(|object| Code::load(&object)),
        };
        let code = loaded.map_err(|e| error(module, entry, &e))?;
        let f = module.get(entry);
        let args = f.params().iter().map(|p| f.ty(*p).slots()).sum();
        let results = f.returns.iter().map(|t| t.slots()).sum();
        Ok(LlvmKernel { code, args, results })
    }

    fn lower(&self, module: &Module, entry: FuncId) -> Result<String, CompileError> {
        let target = Target {
            triple: self.host.triple.to_str().unwrap_or_default(),
            data_layout: &self.host.data_layout,
            vector_bits: self.vector_bits,
            math: &self.math,
        };
        lower(module, entry, &target)
    }

    fn load_or_make(&self, cache: &Cache, key: &Key, text: &str) -> Result<Code, LlvmError> {
        if let Some(object) = cache.get(key) {
            // A file with the right digest that does not link was made under other circumstances than the key says
            // (a C library without a function it had, say).
            match Code::load(&object) {
                Ok(code) => return Ok(code),
                Err(_) => cache.reject(key),
            }
        }
        let object = self.object(text)?;
        let code = Code::load(&object)?;
        cache.put(key, &object);
        Ok(code)
    }

    fn object(&self, text: &str) -> Result<Vec<u8>, LlvmError> {
        let object = Machine::with(&self.host, |machine| {
            let unit = Unit::parse(text)?;
            unit.optimize(machine, self.options.pipeline.passes())?;
            unit.emit(machine, LLVMObjectFile)
        })?;
        self.compiled.fetch_add(1, Ordering::Relaxed);
        Ok(object)
    }
}

/// The widest vectors that the processor has. Measured on Zen 5 (`examples/measure.rs`): out of memory 256 and 512 bits
/// are equal; in cache 512 bits take 0.6 of the time for sums, and 0.53 for a chain of elementary functions.
fn best_vector_bits(host: &Host) -> u32 {
    if host.has("avx512f") {
        512
    } else if host.has("avx2") {
        256
    } else {
        128
    }
}

fn error(module: &Module, entry: FuncId, e: &LlvmError) -> CompileError {
    CompileError { backend: "llvm", function: module.get(entry).name.clone(), reason: e.to_string() }
}

impl Backend for LlvmBackend {
    fn name(&self) -> &'static str {
        "llvm"
    }

    fn compile(&self, module: &Module, entry: FuncId) -> Result<Arc<dyn Executable>, CompileError> {
        Ok(Arc::new(self.compile_kernel(module, entry)?))
    }
}

/// A compiled function. Its code is freed with it.
pub struct LlvmKernel {
    code: Code,
    args: usize,
    results: usize,
}

impl Executable for LlvmKernel {
    unsafe fn call(&self, args: &[u64], results: &mut [u64]) -> Result<(), TrapCode> {
        assert!(
            args.len() == self.args && results.len() == self.results,
            "a kernel with {} argument and {} result slots was called with {} and {}",
            self.args,
            self.results,
            args.len(),
            results.len()
        );
        // SAFETY: the code was compiled with this signature; the slots were counted above; what they point to is the
        // caller's promise.
        let status = unsafe { (self.code.entry)(args.as_ptr(), results.as_mut_ptr()) };
        match status {
            0 => Ok(()),
            other => Err(decode_trap(other).expect("compiled code returns the statuses that were encoded")),
        }
    }
}

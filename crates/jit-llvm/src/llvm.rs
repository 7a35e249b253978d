//! The room with LLVM's C interface for compiling: text in; optimised text, assembly or an object file out.
//!
//! A context lives for one compilation, so that compilations on several threads share nothing. A target machine is costly
//! to make and belongs to one thread at a time: each thread keeps one.

use crate::error::LlvmError;
use crate::host::Host;
use llvm_sys::blake3::{
    llvm_blake3_hasher, llvm_blake3_hasher_finalize, llvm_blake3_hasher_init, llvm_blake3_hasher_update,
};
use llvm_sys::core::{
    LLVMContextCreate, LLVMContextDispose, LLVMContextSetDiagnosticHandler,
    LLVMCreateMemoryBufferWithMemoryRangeCopy, LLVMDisposeMemoryBuffer, LLVMDisposeMessage,
    LLVMDisposeModule, LLVMGetBufferSize, LLVMGetBufferStart, LLVMGetVersion, LLVMPrintModuleToString,
};
use llvm_sys::error::{LLVMDisposeErrorMessage, LLVMErrorRef, LLVMGetErrorMessage};
use llvm_sys::ir_reader::LLVMParseIRInContext2;
use llvm_sys::prelude::{LLVMContextRef, LLVMDiagnosticInfoRef, LLVMMemoryBufferRef, LLVMModuleRef};
use llvm_sys::target::{
    LLVMCopyStringRepOfTargetData, LLVMDisposeTargetData, LLVMInitializeX86AsmPrinter,
    LLVMInitializeX86Target, LLVMInitializeX86TargetInfo, LLVMInitializeX86TargetMC,
};
use llvm_sys::target_machine::{
    LLVMCodeGenFileType, LLVMCodeGenOptLevel, LLVMCodeModel, LLVMCreateTargetDataLayout,
    LLVMCreateTargetMachine, LLVMDisposeTargetMachine, LLVMGetTargetFromTriple, LLVMRelocMode,
    LLVMTargetMachineEmitToMemoryBuffer, LLVMTargetMachineRef,
};
use llvm_sys::transforms::pass_builder::{
    LLVMCreatePassBuilderOptions, LLVMDisposePassBuilderOptions, LLVMPassBuilderOptionsSetLoopInterleaving,
    LLVMPassBuilderOptionsSetLoopUnrolling, LLVMPassBuilderOptionsSetLoopVectorization,
    LLVMPassBuilderOptionsSetSLPVectorization, LLVMRunPasses,
};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::Once;

/// Registers the X86 target. Costs microseconds, and happens once.
pub(crate) fn initialize() {
    static ONCE: Once = Once::new();
    // SAFETY: registration touches LLVM's global tables, which `Once` keeps to one thread.
    ONCE.call_once(|| unsafe {
        LLVMInitializeX86TargetInfo();
        LLVMInitializeX86Target();
        LLVMInitializeX86TargetMC();
        LLVMInitializeX86AsmPrinter();
    });
}

/// LLVM's version: `22.1.8`.
pub(crate) fn version() -> String {
    let (mut major, mut minor, mut patch) = (0, 0, 0);
    // SAFETY: three locals are written.
    unsafe { LLVMGetVersion(&mut major, &mut minor, &mut patch) };
    format!("{major}.{minor}.{patch}")
}

/// A string that LLVM allocated for us, as ours.
///
/// # Safety
/// The pointer is null or came from a function that says to free it with `LLVMDisposeMessage`; nobody else uses it.
pub(crate) unsafe fn take_message(message: *mut c_char) -> String {
    if message.is_null() {
        return String::new();
    }
    // SAFETY: a terminated string, by the contract.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: ours to free, by the contract.
    unsafe { LLVMDisposeMessage(message) };
    text
}

/// The message of an LLVM error, which is consumed; `None` for success.
///
/// # Safety
/// The error came from LLVM and nobody else uses it.
pub(crate) unsafe fn take_error(error: LLVMErrorRef) -> Option<String> {
    if error.is_null() {
        return None;
    }
    // SAFETY: consumes the error; the message is ours until it is disposed below.
    let message = unsafe { LLVMGetErrorMessage(error) };
    // SAFETY: a terminated string.
    let text = unsafe { CStr::from_ptr(message) }.to_string_lossy().into_owned();
    // SAFETY: ours to free.
    unsafe { LLVMDisposeErrorMessage(message) };
    Some(text)
}

/// 256 bits of BLAKE3 over the parts, each preceded by its length.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = MaybeUninit::<llvm_blake3_hasher>::uninit();
    let mut out = [0; 32];
    // SAFETY: `init` fills the hasher, which then is used as its interface asks.
    unsafe {
        let hasher = hasher.as_mut_ptr();
        llvm_blake3_hasher_init(hasher);
        for part in parts {
            let len = (part.len() as u64).to_le_bytes();
            llvm_blake3_hasher_update(hasher, len.as_ptr().cast(), len.len());
            llvm_blake3_hasher_update(hasher, part.as_ptr().cast(), part.len());
        }
        llvm_blake3_hasher_finalize(hasher, out.as_mut_ptr(), out.len());
    }
    out
}

/// Makes code for one processor.
pub(crate) struct Machine(LLVMTargetMachineRef);

impl Machine {
    pub fn new(host: &Host) -> Result<Machine, LlvmError> {
        let (mut target, mut message) = (null_mut(), null_mut());
        // SAFETY: the triple is terminated; target and message are locals.
        if unsafe { LLVMGetTargetFromTriple(host.triple.as_ptr(), &mut target, &mut message) } != 0 {
            // SAFETY: the failing call filled the message for us to free.
            let reason = unsafe { take_message(message) };
            return Err(LlvmError::Llvm { what: "find the target", reason });
        }
        // Position-independent code of the small model: the linker routes calls to libm, which lies anywhere, through
        // stubs beside the code.
        // SAFETY: the target is registered for good, the strings are terminated.
        let machine = unsafe {
            LLVMCreateTargetMachine(
                target,
                host.triple.as_ptr(),
                host.cpu.as_ptr(),
                host.features.as_ptr(),
                LLVMCodeGenOptLevel::LLVMCodeGenLevelDefault,
                LLVMRelocMode::LLVMRelocPIC,
                LLVMCodeModel::LLVMCodeModelSmall,
            )
        };
        if machine.is_null() {
            return Err(LlvmError::Llvm { what: "make a target machine", reason: format!("{host:?}") });
        }
        Ok(Machine(machine))
    }

    /// LLVM's description of sizes and alignments.
    pub fn data_layout(&self) -> String {
        // SAFETY: the machine is alive; the layout is ours until disposed, its string until taken.
        unsafe {
            let layout = LLVMCreateTargetDataLayout(self.0);
            let text = take_message(LLVMCopyStringRepOfTargetData(layout));
            LLVMDisposeTargetData(layout);
            text
        }
    }

    /// Runs `f` with this thread's machine.
    pub fn with<R>(host: &Host, f: impl FnOnce(&Machine) -> Result<R, LlvmError>) -> Result<R, LlvmError> {
        thread_local! {
            static MACHINE: RefCell<Option<Machine>> = const { RefCell::new(None) };
        }
        MACHINE.with(|cell| {
            let mut slot = cell.borrow_mut();
            if slot.is_none() {
                *slot = Some(Machine::new(host)?);
            }
            f(slot.as_ref().expect("just filled"))
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // SAFETY: made by `new`, disposed once.
        unsafe { LLVMDisposeTargetMachine(self.0) };
    }
}

/// A module in a context of its own.
pub(crate) struct Unit {
    context: LLVMContextRef,
    module: LLVMModuleRef,
}

/// LLVM prints remarks and warnings to the standard error stream unless somebody listens.
extern "C" fn ignore_diagnostic(_: LLVMDiagnosticInfoRef, _: *mut c_void) {}

impl Unit {
    /// Parses LLVM IR.
    pub fn parse(text: &str) -> Result<Unit, LlvmError> {
        // SAFETY: the context is ours; the parser copies what it needs from the buffer, which we free. The copy of the
        // text is terminated, as the parser asks.
        unsafe {
            let context = LLVMContextCreate();
            LLVMContextSetDiagnosticHandler(context, Some(ignore_diagnostic), null_mut());
            let mut unit = Unit { context, module: null_mut() };
            let buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(
                text.as_ptr().cast(),
                text.len(),
                c"kernel".as_ptr(),
            );
            let mut message = null_mut();
            let failed = LLVMParseIRInContext2(context, buffer, &mut unit.module, &mut message) != 0;
            LLVMDisposeMemoryBuffer(buffer);
            if failed {
                unit.module = null_mut();
                return Err(LlvmError::Llvm { what: "read the lowered text", reason: take_message(message) });
            }
            Ok(unit)
        }
    }

    /// Runs a pipeline of passes, in the notation of `opt -passes`.
    pub fn optimize(&self, machine: &Machine, passes: &CStr) -> Result<(), LlvmError> {
        // SAFETY: module and machine are alive; the options are ours until disposed.
        let error = unsafe {
            let options = LLVMCreatePassBuilderOptions();
            LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
            LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
            LLVMPassBuilderOptionsSetLoopInterleaving(options, 1);
            LLVMPassBuilderOptionsSetLoopUnrolling(options, 1);
            let error = LLVMRunPasses(self.module, passes.as_ptr(), machine.0, options);
            LLVMDisposePassBuilderOptions(options);
            take_error(error)
        };
        match error {
            Some(reason) => Err(LlvmError::Llvm { what: "optimise", reason }),
            None => Ok(()),
        }
    }

    /// The module as text.
    pub fn print(&self) -> String {
        // SAFETY: the module is alive; the string is ours.
        unsafe { take_message(LLVMPrintModuleToString(self.module)) }
    }

    /// The module as an object file, or as assembly.
    pub fn emit(&self, machine: &Machine, kind: LLVMCodeGenFileType) -> Result<Vec<u8>, LlvmError> {
        let (mut message, mut buffer): (_, LLVMMemoryBufferRef) = (null_mut(), null_mut());
        // SAFETY: module and machine are alive; on success the buffer is ours until disposed, on failure the message.
        unsafe {
            if LLVMTargetMachineEmitToMemoryBuffer(machine.0, self.module, kind, &mut message, &mut buffer)
                != 0
            {
                return Err(LlvmError::Llvm { what: "make machine code", reason: take_message(message) });
            }
            let (start, len) = (LLVMGetBufferStart(buffer), LLVMGetBufferSize(buffer));
            let bytes = std::slice::from_raw_parts(start.cast::<u8>(), len).to_vec();
            LLVMDisposeMemoryBuffer(buffer);
            Ok(bytes)
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // SAFETY: the module, if parsing made one, lives in the context; both are ours and disposed once, in that order.
        unsafe {
            if !self.module.is_null() {
                LLVMDisposeModule(self.module);
            }
            LLVMContextDispose(self.context);
        }
    }
}

/// A C string from text without zero bytes.
pub(crate) fn c_string(text: &str) -> CString {
    CString::new(text).expect("our own text holds no zero byte")
}

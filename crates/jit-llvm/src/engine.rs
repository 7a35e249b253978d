//! Code memory: object files are linked into this process and freed with their last user.
//!
//! One ORC session serves the process. Each kernel is linked into a dynamic library of its own (in ORC's sense: a
//! namespace), because every kernel exports the same name. A library cannot be destroyed through LLVM's C interface, but
//! what was linked into it can be removed: an emptied library is kept for the next kernel, so that there are as many
//! as kernels were ever alive together.

use crate::error::LlvmError;
use crate::llvm::{c_string, initialize, take_error};
use crate::lower::ENTRY;
use crate::symbols;
use llvm_sys::core::LLVMCreateMemoryBufferWithMemoryRangeCopy;
use llvm_sys::error::{LLVMConsumeError, LLVMErrorRef};
use llvm_sys::orc2::lljit::{
    LLVMOrcCreateLLJIT, LLVMOrcLLJITAddObjectFileWithRT, LLVMOrcLLJITGetExecutionSession, LLVMOrcLLJITRef,
};
use llvm_sys::orc2::{
    LLVMJITEvaluatedSymbol, LLVMJITSymbolFlags, LLVMJITSymbolGenericFlags, LLVMOrcAbsoluteSymbols,
    LLVMOrcCJITDylibSearchOrderElement, LLVMOrcCLookupSet, LLVMOrcCLookupSetElement, LLVMOrcCSymbolMapPair,
    LLVMOrcCSymbolMapPairs, LLVMOrcCreateCustomCAPIDefinitionGenerator, LLVMOrcDefinitionGeneratorRef,
    LLVMOrcDisposeMaterializationUnit, LLVMOrcExecutionSessionCreateBareJITDylib,
    LLVMOrcExecutionSessionIntern, LLVMOrcExecutionSessionLookup, LLVMOrcExecutionSessionRef,
    LLVMOrcExecutionSessionSetErrorReporter, LLVMOrcJITDylibAddGenerator,
    LLVMOrcJITDylibCreateResourceTracker, LLVMOrcJITDylibDefine, LLVMOrcJITDylibLookupFlags,
    LLVMOrcJITDylibRef, LLVMOrcLookupKind, LLVMOrcLookupStateRef, LLVMOrcReleaseResourceTracker,
    LLVMOrcResourceTrackerRef, LLVMOrcResourceTrackerRemove, LLVMOrcRetainSymbolStringPoolEntry,
    LLVMOrcSymbolLookupFlags, LLVMOrcSymbolStringPoolEntryStr,
};
use parking_lot::{Condvar, Mutex};
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What a kernel's exported function looks like.
pub(crate) type EntryFn = unsafe extern "C" fn(args: *const u64, results: *mut u64) -> i32;

/// How many kernels are now in memory.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How many kernels are now in memory.
pub fn live_kernels() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The process' ORC session.
struct Engine {
    jit: LLVMOrcLLJITRef,
    session: LLVMOrcExecutionSessionRef,
    /// Libraries with nothing linked into them, and how many there are in all.
    empty: Mutex<(Vec<LLVMOrcJITDylibRef>, usize)>,
}

// SAFETY: ORC's session is made for use from several threads; the free list has a lock.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

impl Engine {
    fn get() -> Result<&'static Engine, LlvmError> {
        static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
        let engine = ENGINE.get_or_init(|| {
            initialize();
            let mut jit = null_mut();
            // SAFETY: a null builder asks for the defaults; the result is a local. The session lives as long as the process.
            unsafe {
                if let Some(reason) = take_error(LLVMOrcCreateLLJIT(&mut jit, null_mut())) {
                    return Err(reason);
                }
                let session = LLVMOrcLLJITGetExecutionSession(jit);
                // Failures also reach whoever asked for the symbol; printing them as well would be noise.
                LLVMOrcExecutionSessionSetErrorReporter(session, ignore_error, null_mut());
                Ok(Engine { jit, session, empty: Mutex::new((Vec::new(), 0)) })
            }
        });
        engine.as_ref().map_err(|reason| LlvmError::Llvm { what: "start its linker", reason: reason.clone() })
    }

    /// A library with nothing linked into it.
    fn take_library(&self) -> LLVMOrcJITDylibRef {
        let mut empty = self.empty.lock();
        if let Some(library) = empty.0.pop() {
            return library;
        }
        empty.1 += 1;
        let name = c_string(&format!("kernel{}", empty.1));
        // SAFETY: the session is alive, the name is unique; the library takes over the generator, whose context is null.
        unsafe {
            let library = LLVMOrcExecutionSessionCreateBareJITDylib(self.session, name.as_ptr());
            let generator =
                LLVMOrcCreateCustomCAPIDefinitionGenerator(define_symbols, null_mut(), dispose_nothing);
            LLVMOrcJITDylibAddGenerator(library, generator);
            library
        }
    }
}

extern "C" fn ignore_error(_: *mut c_void, error: LLVMErrorRef) {
    // SAFETY: the reporter owns the error that it is handed.
    unsafe { LLVMConsumeError(error) };
}

extern "C" fn dispose_nothing(_: *mut c_void) {}

/// Called by the linker with the names that an object file does not define itself. Names outside our table stay undefined,
/// and linking fails with them in the message.
extern "C" fn define_symbols(
    _: LLVMOrcDefinitionGeneratorRef,
    _: *mut c_void,
    _: *mut LLVMOrcLookupStateRef,
    _: LLVMOrcLookupKind,
    library: LLVMOrcJITDylibRef,
    _: LLVMOrcJITDylibLookupFlags,
    wanted: LLVMOrcCLookupSet,
    count: usize,
) -> LLVMErrorRef {
    // SAFETY: ORC hands `count` elements, whose names stay alive during this call. Each name that is defined gets a
    // reference of its own, which the materialisation unit takes over; the library takes over the unit unless it reports
    // an error.
    unsafe {
        let mut found = Vec::new();
        for element in std::slice::from_raw_parts(wanted, count) {
            let name = CStr::from_ptr(LLVMOrcSymbolStringPoolEntryStr(element.Name));
            if let Some(address) = name.to_str().ok().and_then(symbols::address) {
                LLVMOrcRetainSymbolStringPoolEntry(element.Name);
                let flags = LLVMJITSymbolGenericFlags::LLVMJITSymbolGenericFlagsExported as u8
                    | LLVMJITSymbolGenericFlags::LLVMJITSymbolGenericFlagsCallable as u8;
                found.push(LLVMOrcCSymbolMapPair {
                    Name: element.Name,
                    Sym: LLVMJITEvaluatedSymbol {
                        Address: address as u64,
                        Flags: LLVMJITSymbolFlags { GenericFlags: flags, TargetFlags: 0 },
                    },
                });
            }
        }
        if found.is_empty() {
            return null_mut();
        }
        let unit = LLVMOrcAbsoluteSymbols(found.as_mut_ptr(), found.len());
        let error = LLVMOrcJITDylibDefine(library, unit);
        if !error.is_null() {
            LLVMOrcDisposeMaterializationUnit(unit);
        }
        error
    }
}

/// A kernel's code in memory; freed when dropped.
pub(crate) struct Code {
    library: LLVMOrcJITDylibRef,
    tracker: LLVMOrcResourceTrackerRef,
    /// The exported function.
    pub entry: EntryFn,
}

// SAFETY: code is not written after it was linked; removal happens once, in `drop`, through the thread-safe session.
unsafe impl Send for Code {}
// SAFETY: as above.
unsafe impl Sync for Code {}

/// Where the answer to a lookup arrives.
#[derive(Default)]
struct Answer {
    address: Mutex<Option<Result<u64, String>>>,
    arrived: Condvar,
}

impl Answer {
    fn wait(&self) -> Result<u64, String> {
        let mut address = self.address.lock();
        loop {
            match address.take() {
                Some(answer) => return answer,
                None => self.arrived.wait(&mut address),
            }
        }
    }
}

extern "C" fn report_lookup(
    error: LLVMErrorRef,
    pairs: LLVMOrcCSymbolMapPairs,
    count: usize,
    answer: *mut c_void,
) {
    // SAFETY: `answer` is the reference that `Code::load` gave away for this one call; ORC hands `count` pairs on success,
    // and the error to consume otherwise.
    let (answer, found) = unsafe {
        let answer = Arc::from_raw(answer.cast_const().cast::<Answer>());
        let found = match take_error(error) {
            Some(reason) => Err(reason),
            None if count == 1 => Ok((*pairs).Sym.Address),
            None => Err(format!("{count} entries where one was asked for")),
        };
        (answer, found)
    };
    *answer.address.lock() = Some(found);
    answer.arrived.notify_one();
}

impl Code {
    /// Links an object file made by this crate.
    pub fn load(object: &[u8]) -> Result<Code, LlvmError> {
        let engine = Engine::get()?;
        let library = engine.take_library();
        let fail = |reason| LlvmError::Llvm { what: "link a kernel", reason };
        // SAFETY: the library is ours alone until it goes back to the free list. ORC takes over the buffer and the name.
        // The arrays are read before the lookup returns. The session has no threads of its own, but its queue of work is
        // shared: another thread that is linking just now may take our work over and report after the lookup has
        // returned here. So we wait, and what the report is written to is counted, not borrowed.
        unsafe {
            let tracker = LLVMOrcJITDylibCreateResourceTracker(library);
            let mut code = Code { library, tracker, entry: never_linked };
            LIVE.fetch_add(1, Ordering::Relaxed);
            let buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(
                object.as_ptr().cast(),
                object.len(),
                c"kernel".as_ptr(),
            );
            if let Some(reason) = take_error(LLVMOrcLLJITAddObjectFileWithRT(engine.jit, tracker, buffer)) {
                return Err(fail(reason));
            }
            let mut order = [LLVMOrcCJITDylibSearchOrderElement {
                JD: library,
                JDLookupFlags: LLVMOrcJITDylibLookupFlags::LLVMOrcJITDylibLookupFlagsMatchAllSymbols,
            }];
            let mut names = [LLVMOrcCLookupSetElement {
                Name: LLVMOrcExecutionSessionIntern(engine.session, c_string(ENTRY).as_ptr()),
                LookupFlags: LLVMOrcSymbolLookupFlags::LLVMOrcSymbolLookupFlagsRequiredSymbol,
            }];
            let answer = Arc::new(Answer::default());
            LLVMOrcExecutionSessionLookup(
                engine.session,
                LLVMOrcLookupKind::LLVMOrcLookupKindStatic,
                order.as_mut_ptr(),
                order.len(),
                names.as_mut_ptr(),
                names.len(),
                report_lookup,
                Arc::into_raw(answer.clone()).cast_mut().cast(),
            );
            let address = answer.wait().map_err(fail)?;
            code.entry = std::mem::transmute::<usize, EntryFn>(address as usize);
            Ok(code)
        }
    }
}

/// Stands where the entry of a kernel will be until it is linked; never called.
unsafe extern "C" fn never_linked(_: *const u64, _: *mut u64) -> i32 {
    -1
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the tracker is ours; nobody runs the code any more, since whoever can call it holds this value.
        let error = unsafe {
            let error = take_error(LLVMOrcResourceTrackerRemove(self.tracker));
            LLVMOrcReleaseResourceTracker(self.tracker);
            error
        };
        LIVE.fetch_sub(1, Ordering::Relaxed);
        // A library that could not be emptied is not used again: its memory is lost, which is better than a wrong entry.
        if let (None, Ok(engine)) = (error, Engine::get()) {
            engine.empty.lock().0.push(self.library);
        }
    }
}

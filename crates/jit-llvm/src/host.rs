//! The machine that code is made for: the one this runs on.

use crate::error::LlvmError;
use crate::llvm::{self, take_message};
use llvm_sys::target_machine::{LLVMGetDefaultTargetTriple, LLVMGetHostCPUFeatures, LLVMGetHostCPUName};
use std::ffi::CString;
use std::sync::{Arc, OnceLock};

/// The processor, as LLVM names it.
#[derive(Debug)]
pub(crate) struct Host {
    pub triple: CString,
    pub cpu: CString,
    /// `+avx2,-sse4a,...`
    pub features: CString,
    pub data_layout: String,
}

impl Host {
    /// The machine this runs on. Asked once a process.
    pub fn detect() -> Result<Arc<Host>, LlvmError> {
        static HOST: OnceLock<Arc<Host>> = OnceLock::new();
        if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
            let target = format!("{} on {}", std::env::consts::ARCH, std::env::consts::OS);
            return Err(LlvmError::Machine { target });
        }
        if let Some(host) = HOST.get() {
            return Ok(host.clone());
        }
        llvm::initialize();
        // SAFETY: these return strings that the caller owns; `take_message` frees them.
        let [triple, cpu, features] = unsafe {
            [
                take_message(LLVMGetDefaultTargetTriple()),
                take_message(LLVMGetHostCPUName()),
                take_message(LLVMGetHostCPUFeatures()),
            ]
        }
        .map(|s| CString::new(s).expect("LLVM's strings hold no zero byte"));
        let mut host = Host { triple, cpu, features, data_layout: String::new() };
        host.data_layout = llvm::Machine::new(&host)?.data_layout();
        Ok(HOST.get_or_init(|| Arc::new(host)).clone())
    }

    /// Whether the processor has an instruction set extension, by LLVM's name.
    pub fn has(&self, feature: &str) -> bool {
        let wanted = format!("+{feature}");
        self.features.to_string_lossy().split(',').any(|f| f == wanted)
    }
}

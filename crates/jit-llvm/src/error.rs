//! Why the backend could not be made, or could not do what was asked besides compiling.

use pantile_types::Family;

/// The backend's own errors. Compiling reports `pantile_jit::CompileError`.
#[derive(Debug, thiserror::Error)]
pub enum LlvmError {
    /// The processor is not one that the backend makes code for.
    #[error("the llvm backend makes code for x86-64 on Linux, and this machine is {target}")]
    Machine {
        /// Its architecture and system.
        target: String,
    },
    /// The code cache's folder cannot be used.
    #[error("the code cache folder `{path}` cannot be used: {reason}")]
    CacheFolder {
        /// The folder.
        path: String,
        /// The system's words.
        reason: String,
    },
    /// An option has a value that makes no sense.
    #[error("vectors of {bits} bits: the llvm backend takes 128, 256 or 512")]
    VectorBits {
        /// The value given.
        bits: u32,
    },
    /// LLVM refused what it should accept.
    #[error("LLVM failed to {what}: {reason}. This is a bug in Pantile")]
    Llvm {
        /// What it was doing.
        what: &'static str,
        /// LLVM's words.
        reason: String,
    },
}

impl LlvmError {
    /// Whose error it is.
    pub fn family(&self) -> Family {
        match self {
            LlvmError::Machine { .. } => Family::Unsupported,
            LlvmError::CacheFolder { .. } => Family::Resource,
            LlvmError::VectorBits { .. } => Family::User,
            LlvmError::Llvm { .. } => Family::Bug,
        }
    }
}

//! The typed SSA IR: builder, verifier, text format, interpreter, Backend trait

//! LLVM backend: IR to machine code through ORCv2

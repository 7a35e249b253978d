//! Dense factorisations and products on strided blocks

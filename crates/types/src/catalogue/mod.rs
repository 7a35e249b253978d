//! The operation catalogue: one row an elementwise operation.
//!
//! Python's functions, the lowering to kernels and the table in the documentation are derived from these rows; adding an
//! operation is adding a row to its chapter's file. A row says how NumPy types it (`loops`, `quirk`, `time`) and what it
//! computes (`build`), in primitives. Reading order: `op`, a chapter such as `arithmetic`, `typing`, `time`.

mod arithmetic;
mod bits;
pub mod build;
mod comparison;
mod complex;
mod docs;
mod elementary;
mod float;
pub mod op;
mod time;
mod typing;

pub use arithmetic::power_by_constant;
pub use build::Builder;
pub use comparison::{complex_before, complex_extremum};
pub use docs::docs_table;
pub use op::{Accuracy, Build, Chapter, Identity, Loops, Op, Outputs, Quirk, Signature};
pub use time::TimeRule;
pub use typing::{resolve, resolve_for_output};

static CHAPTERS: [&[Op]; 6] =
    [arithmetic::ROWS, bits::ROWS, comparison::ROWS, float::ROWS, elementary::ROWS, complex::ROWS];

/// Every row, chapter by chapter.
pub fn all() -> impl Iterator<Item = &'static Op> {
    CHAPTERS.iter().copied().flatten()
}

/// The row with this name or alias.
pub fn find(name: &str) -> Option<&'static Op> {
    all().find(|op| op.name == name || op.aliases.contains(&name))
}

/// The row behind a Python operator: `+`, `//`, `<=`; the unary ones are `-x`, `+x`, `~`.
pub fn find_symbol(symbol: &str) -> Option<&'static Op> {
    all().find(|op| op.symbol == Some(symbol))
}

//! Estimates of memory: what a task needs while it runs, whatever its blocks look like.

mod common;
mod support;

use pantile_array::block::Block;
use pantile_array::error::Result;
use pantile_array::layers::store::Destination;
use pantile_array::lower::{Options, lower};
use pantile_array::source::{Range, Source};
use pantile_array::{Expr, Kind};
use pantile_types::DType;
use std::sync::Arc;
use support::{cut, fold};

/// Zeros that are read, as a file's elements are.
struct Stored(Vec<u64>);

impl Source for Stored {
    fn dtype(&self) -> DType {
        DType::F64
    }
    fn shape(&self) -> &[u64] {
        &self.0
    }
    fn read(&self, _ranges: &[Range], out: &Block) -> Result<()> {
        let zeros = Block::zeros(DType::F64, out.shape())?;
        // SAFETY: the caller's fresh block.
        unsafe { out.assign(&zeros) };
        Ok(())
    }
    fn describe(&self) -> String {
        "zeros".into()
    }
}

fn stored(sizes: &[u64]) -> Expr {
    let source = Arc::new(Stored(vec![sizes.iter().sum()]));
    Expr::new(Kind::Source(source), DType::F64, cut(&[sizes]))
}

#[test]
fn a_run_of_uneven_blocks_needs_what_its_largest_one_needs() {
    for sizes in [[1, 1, 5000, 1], [5000, 1, 1, 1], [1, 1, 1, 5000]] {
        let sum = fold("sum", &stored(&sizes), None);
        let plan = lower(&[sum], &[Destination::Fresh], Options::default()).expect("a plan");
        let needs: Vec<u64> =
            (0..plan.layers[0].len()).map(|index| plan.layers[0].scratch_bytes(index)).collect();
        assert_eq!(needs, [5000 * 8], "{sizes:?}: one run of four blocks");
    }
}

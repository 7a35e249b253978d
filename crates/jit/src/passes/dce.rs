//! Dead code elimination: instructions and block parameters whose values reach no effect.
//!
//! Effects are stores, calls, parallel loops, checked loads (which may trap) and terminators. An argument of a jump
//! counts only when the parameter that it becomes does, so a value that only a loop passes to itself goes away.

use crate::canonical::canonicalize;
use crate::ir::{Bounds, Function, Inst, Terminator};
use pantile_types::Val;

/// Removes what cannot matter. Brings the function into canonical form.
pub fn remove_dead_code(f: &mut Function) {
    let live = live_values(f);
    let is_live = |v: &Val| live[v.0 as usize];
    // Which parameters stay, a block at a time; the entry's are the signature.
    let kept: Vec<Vec<bool>> = f
        .blocks
        .iter()
        .enumerate()
        .map(|(b, block)| block.params.iter().map(|p| b == 0 || is_live(p)).collect())
        .collect();
    for (block, kept_params) in f.blocks.iter_mut().zip(&kept) {
        let mut keep = kept_params.iter();
        block.params.retain(|_| keep.next() == Some(&true));
        let insts = &f.insts;
        block.insts.retain(|id| {
            let data = &insts[id.index()];
            has_effect(&data.inst) || data.results.iter().any(is_live)
        });
        for target in block.end.iter_mut().flat_map(Terminator::targets_mut) {
            let mut keep = kept[target.block.index()].iter();
            target.args.retain(|_| keep.next() == Some(&true));
        }
    }
    canonicalize(f);
}

fn has_effect(inst: &Inst) -> bool {
    match inst {
        Inst::Load(_, _, bounds) => *bounds == Bounds::Checked,
        // Memory that nobody writes or reads is nothing.
        Inst::LocalArray(..) => false,
        other => !other.is_pure(),
    }
}

fn live_values(f: &Function) -> Vec<bool> {
    /// Where a value comes from: an instruction, or a parameter (block, position).
    #[derive(Clone, Copy)]
    enum Source {
        Nothing,
        Inst(usize),
        Param(usize, usize),
    }
    let mut sources = vec![Source::Nothing; f.value_types.len()];
    // For each block, the argument lists that become its parameters.
    let mut incoming: Vec<Vec<&[Val]>> = vec![Vec::new(); f.blocks.len()];
    let mut live = vec![false; f.value_types.len()];
    let mut work: Vec<Val> = Vec::new();
    for (b, block) in f.blocks.iter().enumerate() {
        for (i, p) in block.params.iter().enumerate() {
            sources[p.0 as usize] = Source::Param(b, i);
        }
        for id in &block.insts {
            let data = &f.insts[id.index()];
            for r in &data.results {
                sources[r.0 as usize] = Source::Inst(id.index());
            }
            if has_effect(&data.inst) {
                data.inst.visit_operands(|v| work.push(v));
            }
        }
        match &block.end {
            Some(Terminator::Branch(c, ..)) => work.push(*c),
            Some(Terminator::Return(values)) => work.extend(values),
            Some(Terminator::Jump(_) | Terminator::Trap(_)) | None => {}
        }
        for target in block.end.iter().flat_map(Terminator::targets) {
            incoming[target.block.index()].push(&target.args);
        }
    }
    while let Some(v) = work.pop() {
        if std::mem::replace(&mut live[v.0 as usize], true) {
            continue;
        }
        match sources[v.0 as usize] {
            Source::Nothing => {}
            Source::Inst(i) => f.insts[i].inst.visit_operands(|v| work.push(v)),
            Source::Param(b, i) => work.extend(incoming[b].iter().map(|args| args[i])),
        }
    }
    live
}

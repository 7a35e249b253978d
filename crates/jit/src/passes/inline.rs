//! Inlining: a call of a small function becomes its body.
//!
//! Small helpers cost more to call than to run, and hide from the vectoriser what a loop does. Callees come first, so that
//! a chain of small functions collapses. Left alone are functions that recurse, and functions with local arrays, whose
//! memory would have to move to the caller. Promises on a callee's parameters (`noalias`) are lost, which is safe.

use crate::canonical::canonicalize;
use crate::ir::{Block, BlockId, FuncId, Function, Inst, InstData, InstId, Module, Target, Terminator};
use pantile_types::Val;

/// Inlines calls of functions of at most `max_insts` instructions, in every function. Brings those that change into
/// canonical form. Functions that nobody calls any more stay in the module.
pub fn inline_small_calls(module: &mut Module, max_insts: usize) {
    for id in callees_first(module) {
        let mut f = module.get(id).clone();
        let inlinable = |callee: FuncId| {
            let c = module.get(callee);
            let small = c.blocks.iter().map(|b| b.insts.len()).sum::<usize>() <= max_insts;
            let plain = !c.insts.iter().any(|d| matches!(d.inst, Inst::LocalArray(..)));
            small && plain && !calls(c).any(|inner| reaches(module, inner, callee)) && callee != id
        };
        let mut changed = false;
        let mut block = 0;
        // Splitting a block appends the rest of it at the end, where this loop comes to it; inlined blocks are
        // skipped, because the callee's own calls have been decided on already.
        let mut skip = vec![false; f.blocks.len()];
        while block < f.blocks.len() {
            let found = if skip[block] {
                None
            } else {
                f.blocks[block].insts.iter().enumerate().find_map(|(pos, inst)| {
                    match &f.insts[inst.index()].inst {
                        Inst::Call(callee, _) if inlinable(*callee) => Some((pos, *callee)),
                        _ => None,
                    }
                })
            };
            if let Some((pos, callee)) = found {
                splice(&mut f, block, pos, module.get(callee));
                // The continuation is the last block; those between are the callee's.
                skip.resize(f.blocks.len() - 1, true);
                skip.push(false);
                changed = true;
            }
            block += 1;
        }
        if changed {
            canonicalize(&mut f);
            module.functions[id.index()] = f;
        }
    }
}

fn calls(f: &Function) -> impl Iterator<Item = FuncId> + '_ {
    f.blocks.iter().flat_map(|b| &b.insts).filter_map(|id| match &f.insts[id.index()].inst {
        Inst::Call(callee, _) => Some(*callee),
        _ => None,
    })
}

/// Whether a chain of calls leads from one function to another.
fn reaches(module: &Module, from: FuncId, to: FuncId) -> bool {
    let mut seen = vec![false; module.functions.len()];
    let mut stack = vec![from];
    while let Some(id) = stack.pop() {
        if id == to {
            return true;
        }
        if !std::mem::replace(&mut seen[id.index()], true) {
            stack.extend(calls(module.get(id)));
        }
    }
    false
}

/// All functions, each after those that it calls (as far as recursion lets it).
fn callees_first(module: &Module) -> Vec<FuncId> {
    let mut order = Vec::new();
    let mut seen = vec![false; module.functions.len()];
    for i in 0..module.functions.len() {
        let root = FuncId(i as u32);
        if std::mem::replace(&mut seen[i], true) {
            continue;
        }
        let mut stack = vec![(root, calls(module.get(root)).collect::<Vec<_>>())];
        while let Some((id, rest)) = stack.last_mut() {
            match rest.pop() {
                Some(next) if !seen[next.index()] => {
                    seen[next.index()] = true;
                    stack.push((next, calls(module.get(next)).collect()));
                }
                Some(_) => {}
                None => {
                    order.push(*id);
                    stack.pop();
                }
            }
        }
    }
    order
}

/// Replaces the call at this place by a copy of the callee's blocks, and the rest of the block by a new last block whose
/// parameters are the call's results.
fn splice(f: &mut Function, block: usize, pos: usize, callee: &Function) {
    let mut rest = f.blocks[block].insts.split_off(pos);
    let call_inst = rest.remove(0);
    // Local arrays stand in the entry block only, so those after the call stay behind; they have no operands.
    let is_local = |id: &InstId| matches!(f.insts[id.index()].inst, Inst::LocalArray(..));
    let locals: Vec<InstId> = rest.iter().copied().filter(is_local).collect();
    rest.retain(|id| !is_local(id));
    f.blocks[block].insts.extend(locals);
    let call = f.insts[call_inst.index()].clone();
    let Inst::Call(_, args) = call.inst else { unreachable!("the caller has found a call here") };
    let (first_value, first_block) = (f.value_types.len() as u32, f.blocks.len() as u32);
    let continuation = BlockId(first_block + callee.blocks.len() as u32);
    let enter = Terminator::Jump(Target { block: BlockId(first_block), args });
    let end = f.blocks[block].end.replace(enter);

    f.value_types.extend(callee.value_types.iter().cloned());
    let rename = |v: &mut Val| v.0 += first_value;
    for original in &callee.blocks {
        let mut copy =
            Block { params: original.params.clone(), insts: Vec::new(), end: original.end.clone() };
        copy.params.iter_mut().for_each(rename);
        for id in &original.insts {
            let InstData { mut inst, mut results } = callee.insts[id.index()].clone();
            inst.visit_operands_mut(rename);
            results.iter_mut().for_each(rename);
            copy.insts.push(InstId(f.insts.len() as u32));
            f.insts.push(InstData { inst, results });
        }
        if let Some(end) = &mut copy.end {
            end.visit_operands_mut(rename);
            end.targets_mut().for_each(|t| t.block.0 += first_block);
            if let Terminator::Return(values) = end {
                *end = Terminator::Jump(Target { block: continuation, args: std::mem::take(values) });
            }
        }
        f.blocks.push(copy);
    }
    f.blocks.push(Block { params: call.results, insts: rest, end });
}

//! The canonical form of a function, and the visitors over an instruction's operands that it needs.
//!
//! Canonical: every block is reachable from the entry, and values and instructions are numbered in the order in which the
//! blocks list them, with nothing else in the arenas. Two functions that differ only in numbering have equal canonical
//! forms. Nothing else is changed: no instruction goes away.

use crate::ir::{BlockId, Function, Inst, InstId, Target, Terminator};
use pantile_types::Val;

impl Inst {
    /// Calls `f` on every operand, in the order of the text form.
    pub fn visit_operands(&self, mut f: impl FnMut(Val)) {
        // The mutable form is the one list of operands; this one runs it over a copy, which for all but calls with many
        // arguments lives on the stack.
        self.clone().visit_operands_mut(|v| f(*v));
    }

    /// Calls `f` on every operand, which it may replace.
    pub fn visit_operands_mut(&mut self, mut f: impl FnMut(&mut Val)) {
        match self {
            Inst::Const(_) | Inst::LocalArray(..) => {}
            Inst::Un(_, a)
            | Inst::Cast(a, _)
            | Inst::Bitcast(a, _)
            | Inst::TupleGet(a, _)
            | Inst::ViewLen(a, _) => {
                f(a);
            }
            Inst::Bin(_, a, b, _) | Inst::Cmp(_, a, b) | Inst::Complex(a, b) => {
                f(a);
                f(b);
            }
            Inst::Select(c, a, b) => {
                f(c);
                f(a);
                f(b);
            }
            Inst::Lib(_, args) | Inst::Tuple(args) | Inst::Call(_, args) => args.iter_mut().for_each(f),
            Inst::SubView { base, offsets, lens } => {
                f(base);
                offsets.iter_mut().for_each(&mut f);
                lens.iter_mut().for_each(&mut f);
            }
            Inst::Load(view, at, _) => {
                f(view);
                at.iter_mut().for_each(&mut f);
            }
            Inst::Store(view, at, value, _) => {
                f(view);
                at.iter_mut().for_each(&mut f);
                f(value);
            }
            Inst::ParFor { lo, hi, grain, captures, init, .. } => {
                f(lo);
                f(hi);
                f(grain);
                captures.iter_mut().for_each(&mut f);
                init.iter_mut().for_each(&mut f);
            }
        }
    }

    /// Whether the instruction only computes its results: it may be repeated, moved, or dropped when unused.
    ///
    /// `LocalArray` is not pure (each one is a different array), nor is `Load` (memory changes).
    pub fn is_pure(&self) -> bool {
        match self {
            Inst::Const(_)
            | Inst::Un(..)
            | Inst::Bin(..)
            | Inst::Cmp(..)
            | Inst::Select(..)
            | Inst::Cast(..)
            | Inst::Bitcast(..)
            | Inst::Complex(..)
            | Inst::Lib(..)
            | Inst::Tuple(_)
            | Inst::TupleGet(..)
            | Inst::ViewLen(..)
            | Inst::SubView { .. } => true,
            Inst::LocalArray(..)
            | Inst::Load(..)
            | Inst::Store(..)
            | Inst::Call(..)
            | Inst::ParFor { .. } => false,
        }
    }
}

impl Terminator {
    /// The blocks that may come next.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let (a, b) = match self {
            Terminator::Jump(t) => (Some(t), None),
            Terminator::Branch(_, t, e) => (Some(t), Some(e)),
            Terminator::Return(_) | Terminator::Trap(_) => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// The blocks that may come next, to be changed.
    pub fn targets_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        let (a, b) = match self {
            Terminator::Jump(t) => (Some(t), None),
            Terminator::Branch(_, t, e) => (Some(t), Some(e)),
            Terminator::Return(_) | Terminator::Trap(_) => (None, None),
        };
        a.into_iter().chain(b)
    }

    /// Calls `f` on every operand.
    pub fn visit_operands(&self, mut f: impl FnMut(Val)) {
        self.clone().visit_operands_mut(|v| f(*v));
    }

    /// Calls `f` on every operand, which it may replace.
    pub fn visit_operands_mut(&mut self, mut f: impl FnMut(&mut Val)) {
        match self {
            Terminator::Jump(t) => t.args.iter_mut().for_each(f),
            Terminator::Branch(c, t, e) => {
                f(c);
                t.args.iter_mut().for_each(&mut f);
                e.args.iter_mut().for_each(&mut f);
            }
            Terminator::Return(values) => values.iter_mut().for_each(f),
            Terminator::Trap(_) => {}
        }
    }
}

/// The blocks reachable from the entry, in reverse postorder: each block comes after those that dominate it.
pub fn reverse_postorder(f: &Function) -> Vec<BlockId> {
    let successors = |b: BlockId| -> Vec<BlockId> {
        let end = f.blocks[b.index()].end.as_ref();
        end.map_or_else(Vec::new, |end| end.targets().map(|t| t.block).collect())
    };
    let mut order = Vec::new();
    if f.blocks.is_empty() {
        return order;
    }
    let mut seen = vec![false; f.blocks.len()];
    seen[0] = true;
    // An explicit stack: a function can have more blocks in a chain than the thread's stack has frames.
    let mut stack = vec![(BlockId(0), successors(BlockId(0)))];
    while let Some((block, rest)) = stack.last_mut() {
        match rest.pop() {
            Some(next) => {
                if next.index() < seen.len() && !std::mem::replace(&mut seen[next.index()], true) {
                    stack.push((next, successors(next)));
                }
            }
            None => {
                order.push(*block);
                stack.pop();
            }
        }
    }
    order.reverse();
    order
}

/// Brings a function into canonical form. The function must be well formed, except that blocks may lack terminators.
pub fn canonicalize(f: &mut Function) {
    let mut block_map = vec![None; f.blocks.len()];
    for b in reverse_postorder(f) {
        block_map[b.index()] = Some(BlockId(0));
    }
    for (kept, slot) in block_map.iter_mut().flatten().enumerate() {
        *slot = BlockId(kept as u32);
    }
    let mut keep = block_map.iter().map(Option::is_some);
    f.blocks.retain(|_| keep.next() == Some(true));

    let mut value_map = vec![None; f.value_types.len()];
    let mut value_types = Vec::new();
    let mut insts = Vec::new();
    let mut define = |v: &mut Val| {
        let new = Val(value_types.len() as u32);
        value_types.push(f.value_types[v.0 as usize].clone());
        value_map[v.0 as usize] = Some(new);
        *v = new;
    };
    for block in &mut f.blocks {
        block.params.iter_mut().for_each(&mut define);
        for id in &mut block.insts {
            let mut data = f.insts[id.index()].clone();
            data.results.iter_mut().for_each(&mut define);
            *id = InstId(insts.len() as u32);
            insts.push(data);
        }
    }
    let rename = |v: &mut Val| {
        // A value without a definition in a reachable block breaks dominance; it keeps a number that the verifier
        // will find undefined.
        *v = value_map[v.0 as usize].unwrap_or(Val(u32::MAX));
    };
    for data in &mut insts {
        data.inst.visit_operands_mut(rename);
    }
    for end in f.blocks.iter_mut().filter_map(|b| b.end.as_mut()) {
        end.visit_operands_mut(rename);
        for target in end.targets_mut() {
            if let Some(new) = block_map[target.block.index()] {
                target.block = new;
            }
        }
    }
    f.insts = insts;
    f.value_types = value_types;
}

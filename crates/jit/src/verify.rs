//! The rules that every function keeps, and their checker.
//!
//! Backends and passes rely on these without asking again. Whatever makes or changes functions is checked against them
//! in tests, and once before a module is compiled.
//!
//! **Structure**
//! - A function has at least one block. Block 0 is the entry: its parameters are the function's, and nothing jumps to it.
//! - Every block can be reached from the entry and ends with exactly one terminator.
//! - An instruction is listed by at most one block, once. One listed by none is dead: it is ignored.
//! - Every value is defined once: by a block's parameter list or by a listed instruction's results.
//! - The names of a module's functions differ.
//!
//! **Types**
//! - Operands and results have the types that `typing.rs` states; no type is larger than its `MAX_SLOTS` and `MAX_DEPTH`.
//! - A jump passes its target as many values as it has parameters, of their types; `return` gives the function's results.
//! - Calls match their callee's signature. The body and the combine function of a parallel loop have the signatures that
//!   `Inst::ParFor` states.
//!
//! **Dominance**
//! - The definition of a value dominates each use: it is earlier in the same block, or in a block through which every path
//!   from the entry to the use leads.
//!
//! **Memory**
//! - `LocalArray` stands in the entry block only, and a function's local arrays take at most `MAX_LOCAL_BYTES` together.
//! - Only view parameters are `noalias` or `readonly`, and nothing is stored through a `readonly` parameter or a
//!   sub-view of one. (A store through a view that took a detour, such as a block parameter, is the producer's duty.)
//! - A local array, or a sub-view of one, is not returned. (The same detours apply.)
//!
//! **Calls**
//! - Functions may recurse through calls, but not through the body or combine function of a parallel loop: the depth of
//!   nested parallelism is known from the module.

use crate::canonical::reverse_postorder;
use crate::ir::{BlockId, FuncId, Function, Inst, InstId, Module, Terminator, Type};
use crate::text::{print_inst, print_module};
use crate::typing::{self, match_types};
use pantile_types::Val;
use rustc_hash::FxHashSet;

/// The most bytes that the local arrays of one function may take.
pub const MAX_LOCAL_BYTES: u64 = 1 << 20;

/// A module that breaks a rule: a bug in whatever made it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {reason}", place(function, block, inst))]
pub struct VerifyError {
    /// The function.
    pub function: String,
    /// The block, where one is to blame.
    pub block: Option<BlockId>,
    /// The instruction or terminator as text, where one is to blame.
    pub inst: Option<String>,
    /// Which rule is broken, and how.
    pub reason: String,
}

fn place(function: &str, block: &Option<BlockId>, inst: &Option<String>) -> String {
    let block = block.map_or_else(String::new, |b| format!(", b{}", b.0));
    let inst = inst.as_ref().map_or_else(String::new, |i| format!(", `{i}`"));
    format!("@{function}{block}{inst}")
}

/// Checks a module against every rule.
pub fn verify(module: &Module) -> Result<(), VerifyError> {
    let mut names = FxHashSet::default();
    for f in &module.functions {
        if !names.insert(f.name.as_str()) {
            return Err(of_function(f, "another function has the same name".into()));
        }
        // Callers look at the parameters of every function, so these come before any body.
        Checker { module, f, definitions: Vec::new() }.signature()?;
    }
    for f in &module.functions {
        Checker { module, f, definitions: vec![None; f.value_types.len()] }.check()?;
    }
    check_parallel_recursion(module)
}

/// Checks a module and panics with its text when it is wrong: for passes, between which a broken function is our bug.
pub fn assert_verified(module: &Module, after: &str) {
    if let Err(e) = verify(module) {
        panic!("after {after}: {e}\n{}", print_module(module));
    }
}

fn of_function(f: &Function, reason: String) -> VerifyError {
    VerifyError { function: f.name.clone(), block: None, inst: None, reason }
}

/// Where a value is defined: the block, and the position in it (parameters come before instruction 0).
type Definition = (BlockId, usize);

struct Checker<'a> {
    module: &'a Module,
    f: &'a Function,
    definitions: Vec<Option<Definition>>,
}

impl Checker<'_> {
    fn in_block(&self, block: BlockId, reason: String) -> VerifyError {
        VerifyError { block: Some(block), ..of_function(self.f, reason) }
    }

    fn at(&self, block: BlockId, id: InstId, reason: String) -> VerifyError {
        let inst = Some(print_inst(self.module, &self.f.insts[id.index()]));
        VerifyError { inst, ..self.in_block(block, reason) }
    }

    fn at_end(&self, block: BlockId, end: &Terminator, reason: String) -> VerifyError {
        let inst = Some(crate::text::print_terminator(end));
        VerifyError { inst, ..self.in_block(block, reason) }
    }

    fn signature(&self) -> Result<(), VerifyError> {
        let f = self.f;
        let Some(entry) = f.blocks.first() else {
            return Err(of_function(f, "a function without blocks".into()));
        };
        if entry.params.len() != f.param_attrs.len() {
            let (params, attrs) = (entry.params.len(), f.param_attrs.len());
            return Err(of_function(f, format!("{params} parameters, but attributes of {attrs}")));
        }
        for (i, p) in entry.params.iter().enumerate() {
            let Some(t) = f.value_types.get(p.0 as usize) else {
                return Err(of_function(f, format!("parameter {i} is v{}, which does not exist", p.0)));
            };
            let attrs = f.param_attrs[i];
            if (attrs.noalias || attrs.readonly) && !matches!(t, Type::View(_)) {
                let reason = format!("parameter {i} is noalias or readonly, but no view: {t}");
                return Err(of_function(f, reason));
            }
        }
        for t in f.value_types.iter().chain(&f.returns) {
            typing::check_size(t).map_err(|e| of_function(f, e))?;
        }
        Ok(())
    }

    fn check(mut self) -> Result<(), VerifyError> {
        self.structure()?;
        self.define_all()?;
        let order = reverse_postorder(self.f);
        if order.len() < self.f.blocks.len() {
            let mut reached = vec![false; self.f.blocks.len()];
            order.iter().for_each(|b| reached[b.index()] = true);
            let lost = reached.iter().position(|r| !r).unwrap_or(0);
            return Err(
                self.in_block(BlockId(lost as u32), "the block cannot be reached from the entry".into())
            );
        }
        let dominators = Dominators::new(self.f, &order);
        let mut local_bytes = 0;
        for (i, block) in self.f.blocks.iter().enumerate() {
            let b = BlockId(i as u32);
            for (pos, id) in block.insts.iter().enumerate() {
                self.uses(&dominators, (b, pos), |f| self.f.insts[id.index()].inst.visit_operands(f))
                    .map_err(|e| self.at(b, *id, e))?;
                self.types(*id).map_err(|e| self.at(b, *id, e))?;
                self.memory(b, *id, &mut local_bytes).map_err(|e| self.at(b, *id, e))?;
            }
            // `structure` has seen that the terminator is there.
            if let Some(end) = &block.end {
                self.uses(&dominators, (b, block.insts.len()), |f| end.visit_operands(f))
                    .map_err(|e| self.at_end(b, end, e))?;
                self.end_types(end).map_err(|e| self.at_end(b, end, e))?;
            }
        }
        Ok(())
    }

    /// Ids are in range, blocks end, and nothing is listed twice.
    fn structure(&self) -> Result<(), VerifyError> {
        let f = self.f;
        let mut listed = vec![false; f.insts.len()];
        for (i, block) in f.blocks.iter().enumerate() {
            let b = BlockId(i as u32);
            for id in &block.insts {
                match listed.get_mut(id.index()) {
                    None => return Err(self.in_block(b, format!("there is no instruction number {}", id.0))),
                    Some(true) => return Err(self.at(b, *id, "the instruction is listed twice".into())),
                    Some(seen) => *seen = true,
                }
            }
            let Some(end) = &block.end else {
                return Err(self.in_block(b, "the block has no terminator".into()));
            };
            for target in end.targets() {
                if target.block.index() >= f.blocks.len() {
                    return Err(self.at_end(b, end, format!("there is no block b{}", target.block.0)));
                }
                if target.block.0 == 0 {
                    return Err(self.at_end(b, end, "the entry block cannot be jumped to".into()));
                }
            }
        }
        Ok(())
    }

    fn define_all(&mut self) -> Result<(), VerifyError> {
        let f = self.f;
        for (i, block) in f.blocks.iter().enumerate() {
            let b = BlockId(i as u32);
            for p in &block.params {
                self.define(*p, (b, 0)).map_err(|e| self.in_block(b, e))?;
            }
            for (pos, id) in block.insts.iter().enumerate() {
                for r in &f.insts[id.index()].results {
                    // One past the instruction: usable from the next on, and not by the instruction itself.
                    self.define(*r, (b, pos + 1)).map_err(|e| self.at(b, *id, e))?;
                }
            }
        }
        Ok(())
    }

    fn define(&mut self, v: Val, at: Definition) -> Result<(), String> {
        match self.definitions.get_mut(v.0 as usize) {
            None => Err(format!("v{} has no type", v.0)),
            Some(Some(_)) => Err(format!("v{} is defined twice", v.0)),
            Some(slot) => {
                *slot = Some(at);
                Ok(())
            }
        }
    }

    fn uses(
        &self,
        dominators: &Dominators,
        at: Definition,
        visit: impl FnOnce(&mut dyn FnMut(Val)),
    ) -> Result<(), String> {
        let mut wrong = Ok(());
        visit(&mut |v| {
            if wrong.is_ok() {
                wrong = match self.definitions.get(v.0 as usize).copied().flatten() {
                    None => Err(format!("v{} is not defined", v.0)),
                    Some((block, pos)) if block == at.0 => {
                        if pos <= at.1 {
                            Ok(())
                        } else {
                            Err(format!("v{} is used before it is defined", v.0))
                        }
                    }
                    Some((block, _)) if dominators.dominates(block, at.0) => Ok(()),
                    Some((block, _)) => Err(format!(
                        "v{} is defined in b{}, which does not lead here on every path",
                        v.0, block.0
                    )),
                };
            }
        });
        wrong
    }

    fn types(&self, id: InstId) -> Result<(), String> {
        let data = &self.f.insts[id.index()];
        let expected = typing::results(self.module, &data.inst, |v| Ok(self.f.ty(v).clone()))?;
        match_types("results", &expected, &self.types_of(&data.results))
    }

    fn types_of(&self, values: &[Val]) -> Vec<Type> {
        values.iter().map(|v| self.f.ty(*v).clone()).collect()
    }

    fn end_types(&self, end: &Terminator) -> Result<(), String> {
        match end {
            Terminator::Jump(_) | Terminator::Trap(_) => {}
            Terminator::Branch(c, ..) => {
                let t = self.f.ty(*c);
                if *t != Type::BOOL {
                    return Err(format!("the condition of a branch should be bool, not {t}"));
                }
            }
            Terminator::Return(values) => {
                match_types("results", &self.f.returns, &self.types_of(values))?;
                for v in values {
                    if matches!(self.root(*v), Root::Local) {
                        return Err(format!("v{} is in a local array, which dies with the function", v.0));
                    }
                }
            }
        }
        for target in end.targets() {
            let params = self.types_of(&self.f.blocks[target.block.index()].params);
            let what = format!("arguments of b{}", target.block.0);
            match_types(&what, &params, &self.types_of(&target.args))?;
        }
        Ok(())
    }

    fn memory(&self, block: BlockId, id: InstId, local_bytes: &mut u64) -> Result<(), String> {
        match &self.f.insts[id.index()].inst {
            Inst::LocalArray(elem, len) => {
                if block.0 != 0 {
                    return Err("a local array outside the entry block".into());
                }
                *local_bytes += elem.size() as u64 * *len as u64;
                if *local_bytes > MAX_LOCAL_BYTES {
                    return Err(format!("the local arrays take more than {MAX_LOCAL_BYTES} bytes"));
                }
                Ok(())
            }
            Inst::Store(view, ..) => match self.root(*view) {
                Root::Parameter(i) if self.f.param_attrs[i].readonly => {
                    Err(format!("a store through v{}, parameter {i}, which is readonly", view.0))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Where a view's memory comes from, as far as sub-views lead.
    fn root(&self, view: Val) -> Root {
        let mut v = view;
        loop {
            let Some((block, pos)) = self.definitions[v.0 as usize] else { return Root::Unknown };
            let block = &self.f.blocks[block.index()];
            // Position 0 means a parameter of the block.
            let Some(id) = pos.checked_sub(1).map(|i| block.insts[i]) else {
                let parameter = self.f.params().iter().position(|p| *p == v);
                return parameter.map_or(Root::Unknown, Root::Parameter);
            };
            match &self.f.insts[id.index()].inst {
                Inst::SubView { base, .. } => v = *base,
                Inst::LocalArray(..) => return Root::Local,
                _ => return Root::Unknown,
            }
        }
    }
}

enum Root {
    Parameter(usize),
    Local,
    Unknown,
}

/// The dominator tree, by the iteration of Cooper, Harvey and Kennedy over reverse postorder.
struct Dominators {
    /// The position of each block in reverse postorder.
    number: Vec<usize>,
    /// The immediate dominator of each position.
    parent: Vec<usize>,
}

impl Dominators {
    fn new(f: &Function, order: &[BlockId]) -> Dominators {
        let mut number = vec![usize::MAX; f.blocks.len()];
        for (i, b) in order.iter().enumerate() {
            number[b.index()] = i;
        }
        let mut predecessors: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
        for (i, b) in order.iter().enumerate() {
            for target in f.blocks[b.index()].end.iter().flat_map(Terminator::targets) {
                predecessors[number[target.block.index()]].push(i);
            }
        }
        let mut parent = vec![usize::MAX; order.len()];
        parent[0] = 0;
        let mut changed = true;
        while changed {
            changed = false;
            for i in 1..order.len() {
                let mut best = usize::MAX;
                for &p in predecessors[i].iter().filter(|p| parent[**p] != usize::MAX) {
                    best = if best == usize::MAX { p } else { intersect(&parent, p, best) };
                }
                if parent[i] != best {
                    parent[i] = best;
                    changed = true;
                }
            }
        }
        Dominators { number, parent }
    }

    /// Whether every path from the entry to `b` leads through `a`.
    fn dominates(&self, a: BlockId, b: BlockId) -> bool {
        let a = self.number[a.index()];
        let mut b = self.number[b.index()];
        while b > a {
            b = self.parent[b];
        }
        a == b
    }
}

fn intersect(parent: &[usize], mut a: usize, mut b: usize) -> usize {
    while a != b {
        while a > b {
            a = parent[a];
        }
        while b > a {
            b = parent[b];
        }
    }
    a
}

/// Finds a parallel loop that its own body leads back to.
fn check_parallel_recursion(module: &Module) -> Result<(), VerifyError> {
    let callees = |f: &Function, parallel_only: bool| -> Vec<(FuncId, BlockId, InstId)> {
        let mut list = Vec::new();
        for (b, block) in f.blocks.iter().enumerate() {
            for id in &block.insts {
                let mut add = |callee: FuncId| list.push((callee, BlockId(b as u32), *id));
                match &f.insts[id.index()].inst {
                    Inst::Call(callee, _) if !parallel_only => add(*callee),
                    Inst::ParFor { body, combine, .. } => {
                        add(*body);
                        combine.iter().for_each(|c| add(*c));
                    }
                    _ => {}
                }
            }
        }
        list
    };
    for (i, f) in module.functions.iter().enumerate() {
        for (callee, block, inst) in callees(f, true) {
            let mut seen = vec![false; module.functions.len()];
            let mut stack = vec![callee];
            while let Some(id) = stack.pop() {
                if std::mem::replace(&mut seen[id.index()], true) {
                    continue;
                }
                stack.extend(callees(module.get(id), false).into_iter().map(|(c, ..)| c));
            }
            if seen[i] {
                let checker = Checker { module, f, definitions: Vec::new() };
                let name = &module.get(callee).name;
                return Err(checker.at(
                    block,
                    inst,
                    format!("the parallel loop's @{name} leads back to @{}", f.name),
                ));
            }
        }
    }
    Ok(())
}

//! Lowering: a module of the typed IR becomes LLVM IR text.
//!
//! Text rather than LLVM's builder calls: the lowering then is safe code that anyone can read beside its output, the
//! text is the content that the code cache hashes, and parsing it costs under a twentieth of what optimising it does.
//!
//! # Shape of the output
//! - Each IR function becomes an `internal` LLVM function `@f<id>` whose parameters and results are flattened to
//!   components (see `reg.rs`). Names of IR functions do not appear, so that they do not influence the cache.
//! - A function that can trap returns an `i32` status before its results: 0, or a trap code (see `encode_trap`).
//! - `@pantile_entry(ptr args, ptr results) -> i32` unpacks the slots that `pantile_jit::backend` describes. The function
//!   it calls is not inlined into it: `noalias` on parameters is worth more than the call costs.
//! - Block parameters become phis. Blocks are emitted in reverse postorder, so that definitions come before uses.
//!
//! Reading order: `reg` (components and operands), `function` (control flow), `scalar` (arithmetic), `cast`, `memory`,
//! `parallel`, `entry`.

mod cast;
mod entry;
mod function;
mod memory;
mod parallel;
mod reg;
mod scalar;

use crate::math::VectorMath;
use crate::symbols;
use pantile_jit::CompileError;
use pantile_jit::ir::{Bounds, FuncId, Function, Inst, Module, Terminator, TrapCode};
use reg::{Reg, components};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The name of the exported function.
pub(crate) const ENTRY: &str = "pantile_entry";

/// What the lowering must know of the machine.
pub(crate) struct Target<'a> {
    /// LLVM's target triple.
    pub triple: &'a str,
    /// LLVM's data layout string.
    pub data_layout: &'a str,
    /// How many bits wide vectors should be.
    pub vector_bits: u32,
    /// The vector forms of mathematical functions that may be called.
    pub math: &'a VectorMath,
}

/// The LLVM text of `entry` and everything it reaches.
pub(crate) fn lower(module: &Module, entry: FuncId, target: &Target<'_>) -> Result<String, CompileError> {
    let reachable = reachable(module, entry);
    let mut unit = Unit {
        module,
        target,
        entry,
        can_trap: Vec::new(),
        recursive: reachable.iter().map(|id| (*id, is_recursive(module, *id))).collect(),
        declarations: BTreeSet::new(),
        math_groups: BTreeMap::new(),
        text: String::new(),
    };
    unit.can_trap = can_trap(module, &reachable, &unit.recursive);
    for id in &reachable {
        function::lower_function(&mut unit, *id)?;
    }
    entry::lower_entry(&mut unit);
    Ok(unit.finish())
}

/// The module under construction.
pub(crate) struct Unit<'a> {
    module: &'a Module,
    target: &'a Target<'a>,
    entry: FuncId,
    /// Indexed by function: whether it returns a status.
    can_trap: Vec<bool>,
    /// Whether a function can call itself, directly or not: such a function watches the stack.
    recursive: BTreeMap<FuncId, bool>,
    /// `declare` lines, without duplicates.
    declarations: BTreeSet<String>,
    /// The attribute group of calls of each mathematical function that has vector forms, and its number.
    math_groups: BTreeMap<String, usize>,
    text: String,
}

/// The number of the first attribute group that belongs to a mathematical function.
const FIRST_MATH_GROUP: usize = 10;

impl Unit<'_> {
    /// The attribute group for calls of a mathematical function: pure, and with the vector forms it has.
    fn math_group(&mut self, name: &str) -> usize {
        let variants = self.target.math.variants(name);
        if variants.is_empty() {
            return 2;
        }
        for v in variants {
            let args = vec![v.llvm_type.as_str(); v.arity].join(", ");
            self.declarations.insert(format!("declare {} @{}({args}) #2", v.llvm_type, v.symbol));
        }
        let next = FIRST_MATH_GROUP + self.math_groups.len();
        *self.math_groups.entry(name.to_string()).or_insert(next)
    }

    /// The LLVM type that a function returns, flattened, behind a status if it can trap.
    fn return_type(&self, id: FuncId) -> String {
        let f = self.module.get(id);
        let mut parts: Vec<String> = Vec::new();
        if self.can_trap[id.index()] {
            parts.push("i32".into());
        }
        for ty in &f.returns {
            parts.extend(components(ty).iter().map(Reg::to_string));
        }
        if parts.is_empty() { "void".into() } else { format!("{{ {} }}", parts.join(", ")) }
    }

    /// Puts the parts together.
    fn finish(mut self) -> String {
        let mut out = String::with_capacity(self.text.len() + 4096);
        let target = self.target;
        let _ = writeln!(out, "target datalayout = \"{}\"", target.data_layout);
        let _ = writeln!(out, "target triple = \"{}\"\n", target.triple);
        let groups = std::mem::take(&mut self.math_groups);
        let mut used = Vec::new();
        for name in groups.keys() {
            used.extend(target.math.variants(name).iter().map(|v| format!("ptr @{}", v.symbol)));
        }
        if !used.is_empty() {
            // The vectoriser looks the vector forms up in the module, from which they would be dropped as unused.
            let _ = writeln!(
                out,
                "@llvm.compiler.used = appending global [{} x ptr] [{}], section \"llvm.metadata\"\n",
                used.len(),
                used.join(", ")
            );
        }
        for line in &self.declarations {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&self.text);
        let common = format!(
            "nounwind \"no-trapping-math\"=\"true\" \"prefer-vector-width\"=\"{}\"",
            target.vector_bits
        );
        let _ = writeln!(out, "attributes #0 = {{ {common} }}");
        let _ = writeln!(out, "attributes #1 = {{ noinline {common} }}");
        let _ = writeln!(out, "attributes #2 = {{ nounwind willreturn memory(none) }}");
        let _ = writeln!(out, "attributes #3 = {{ nounwind }}");
        for (name, n) in groups {
            let mappings: Vec<String> = target.math.variants(&name).iter().map(|v| v.mapping()).collect();
            let _ = writeln!(
                out,
                "attributes #{n} = {{ nounwind willreturn memory(none) \"vector-function-abi-variant\"=\"{}\" }}",
                mappings.join(",")
            );
        }
        // A trap is where an exception will be raised: the loop around the check should not pay for it.
        out.push_str("\n!0 = !{!\"branch_weights\", i32 1, i32 1048575}\n");
        out
    }

    /// The signature text of a runtime function, declared.
    fn runtime(&mut self, declaration: &str, symbol: symbols::Runtime) -> &'static str {
        self.declarations.insert(format!("declare {declaration} #3"));
        symbol.name()
    }
}

/// The functions that `entry` reaches, in ascending order.
fn reachable(module: &Module, entry: FuncId) -> Vec<FuncId> {
    let mut seen = vec![false; module.functions.len()];
    let mut work = vec![entry];
    while let Some(id) = work.pop() {
        if std::mem::replace(&mut seen[id.index()], true) {
            continue;
        }
        work.extend(callees(module.get(id)));
    }
    (0..module.functions.len()).filter(|i| seen[*i]).map(|i| FuncId(i as u32)).collect()
}

/// The functions that a function calls directly.
fn callees(f: &Function) -> Vec<FuncId> {
    let mut out = Vec::new();
    for inst in f.blocks.iter().flat_map(|b| &b.insts).map(|i| &f.insts[i.index()].inst) {
        match inst {
            Inst::Call(callee, _) => out.push(*callee),
            Inst::ParFor { body, combine, .. } => {
                out.push(*body);
                out.extend(*combine);
            }
            _ => {}
        }
    }
    out
}

/// Whether a function can be reached from what it calls.
fn is_recursive(module: &Module, id: FuncId) -> bool {
    callees(module.get(id)).iter().any(|callee| reachable(module, *callee).contains(&id))
}

/// Which functions can trap, themselves or through what they call.
fn can_trap(module: &Module, reachable: &[FuncId], recursive: &BTreeMap<FuncId, bool>) -> Vec<bool> {
    let mut traps = vec![false; module.functions.len()];
    for id in reachable {
        let f = module.get(*id);
        traps[id.index()] = recursive[id]
            || f.blocks.iter().any(|b| {
                matches!(b.end, Some(Terminator::Trap(_)))
                    || b.insts.iter().any(|i| {
                        matches!(
                            f.insts[i.index()].inst,
                            Inst::Load(_, _, Bounds::Checked) | Inst::Store(_, _, _, Bounds::Checked)
                        )
                    })
            });
    }
    // Trapping spreads from callees to callers until nothing changes; recursion makes one pass insufficient.
    loop {
        let mut changed = false;
        for id in reachable {
            if !traps[id.index()] && callees(module.get(*id)).iter().any(|c| traps[c.index()]) {
                traps[id.index()] = true;
                changed = true;
            }
        }
        if !changed {
            return traps;
        }
    }
}

/// A trap as the status that compiled code returns; never 0.
pub(crate) fn encode_trap(code: TrapCode) -> i32 {
    match code {
        TrapCode::IndexOutOfBounds => 1,
        TrapCode::DivisionByZero => 2,
        TrapCode::Overflow => 3,
        TrapCode::ShapeMismatch => 4,
        TrapCode::Unreachable => 5,
        TrapCode::StackOverflow => 6,
        TrapCode::User(n) => 0x1_0000 + i32::from(n),
    }
}

/// The inverse of `encode_trap`; `None` for 0 and for what no compiled code returns.
pub(crate) fn decode_trap(status: i32) -> Option<TrapCode> {
    Some(match status {
        1 => TrapCode::IndexOutOfBounds,
        2 => TrapCode::DivisionByZero,
        3 => TrapCode::Overflow,
        4 => TrapCode::ShapeMismatch,
        5 => TrapCode::Unreachable,
        6 => TrapCode::StackOverflow,
        n if (0x1_0000..0x2_0000).contains(&n) => TrapCode::User((n - 0x1_0000) as u16),
        _ => return None,
    })
}

/// The error for a construct that the verifier should have refused.
fn bug(f: &Function, reason: impl Into<String>) -> CompileError {
    CompileError { backend: "llvm", function: f.name.clone(), reason: reason.into() }
}

//! From the data to its text form.

use crate::ir::{
    Bounds, FpFlags, FuncId, Function, Inst, InstData, Module, Target, Terminator, TrapCode, Type,
};
use crate::text::literal::print_scalar;
use pantile_types::Val;
use std::fmt::{self, Display, Write};

/// The whole module, functions separated by empty lines.
pub fn print_module(module: &Module) -> String {
    let functions: Vec<String> = module.functions.iter().map(|f| print_function(module, f)).collect();
    functions.join("\n")
}

/// One function. The module names its callees.
pub fn print_function(module: &Module, f: &Function) -> String {
    let mut out = String::new();
    // Writing into a string cannot fail.
    let _ = write_function(&mut out, module, f);
    out
}

/// One instruction, without indentation or line end: for messages.
pub fn print_inst(module: &Module, data: &InstData) -> String {
    let mut out = String::new();
    let _ = write_inst(&mut out, module, data);
    out
}

/// One terminator: for messages.
pub(crate) fn print_terminator(end: &Terminator) -> String {
    let mut out = String::new();
    let _ = write_terminator(&mut out, end);
    out
}

fn write_function(out: &mut String, module: &Module, f: &Function) -> fmt::Result {
    write!(out, "func {}(", Name(&f.name))?;
    let params = f.blocks.first().map_or(&[][..], |b| &b.params);
    for (i, p) in params.iter().enumerate() {
        write!(out, "{}{}", comma(i), Typed(f, *p))?;
        let attrs = f.param_attrs.get(i).copied().unwrap_or_default();
        out.push_str(if attrs.noalias { " noalias" } else { "" });
        out.push_str(if attrs.readonly { " readonly" } else { "" });
    }
    out.push_str(") -> (");
    for (i, t) in f.returns.iter().enumerate() {
        write!(out, "{}{t}", comma(i))?;
    }
    out.push_str(") {\n");
    for (b, block) in f.blocks.iter().enumerate() {
        write!(out, "b{b}")?;
        if b > 0 && !block.params.is_empty() {
            out.push('(');
            for (i, p) in block.params.iter().enumerate() {
                write!(out, "{}{}", comma(i), Typed(f, *p))?;
            }
            out.push(')');
        }
        out.push_str(":\n");
        for id in &block.insts {
            out.push_str("  ");
            match f.insts.get(id.index()) {
                Some(data) => write_inst(out, module, data)?,
                None => write!(out, "; no instruction number {}", id.0)?,
            }
            out.push('\n');
        }
        match &block.end {
            Some(end) => {
                out.push_str("  ");
                write_terminator(out, end)?;
                out.push('\n');
            }
            None => out.push_str("  ; no terminator\n"),
        }
    }
    out.push_str("}\n");
    Ok(())
}

fn write_inst(out: &mut String, module: &Module, data: &InstData) -> fmt::Result {
    for (i, r) in data.results.iter().enumerate() {
        write!(out, "{}v{}", comma(i), r.0)?;
    }
    if !data.results.is_empty() {
        out.push_str(" = ");
    }
    let bounds = |b: &Bounds| match b {
        Bounds::Known => "known",
        Bounds::Checked => "checked",
    };
    match &data.inst {
        Inst::Const(s) => write!(out, "const {} {}", s.ty().name(), print_scalar(*s)),
        Inst::Un(op, a) => write!(out, "{} v{}", op.name(), a.0),
        Inst::Bin(op, a, b, FpFlags { reassoc, contract }) => {
            let reassoc = if *reassoc { " reassoc" } else { "" };
            let contract = if *contract { " contract" } else { "" };
            write!(out, "{}{reassoc}{contract} v{}, v{}", op.name(), a.0, b.0)
        }
        Inst::Cmp(op, a, b) => write!(out, "{} v{}, v{}", op.name(), a.0, b.0),
        Inst::Select(c, a, b) => write!(out, "select v{}, v{}, v{}", c.0, a.0, b.0),
        Inst::Cast(v, to) => write!(out, "cast v{} to {}", v.0, to.name()),
        Inst::Bitcast(v, to) => write!(out, "bitcast v{} to {}", v.0, to.name()),
        Inst::Complex(re, im) => write!(out, "complex v{}, v{}", re.0, im.0),
        Inst::Lib(f, args) => write!(out, "{} {}", f.name(), Values(args)),
        Inst::Tuple(parts) => write!(out, "tuple ({})", Values(parts)),
        Inst::TupleGet(v, i) => write!(out, "get v{}, {i}", v.0),
        Inst::ViewLen(v, axis) => write!(out, "len v{}, {axis}", v.0),
        Inst::LocalArray(elem, len) => write!(out, "local {}, {len}", elem.name()),
        Inst::SubView { base, offsets, lens } => {
            write!(out, "subview v{}[{}; {}]", base.0, Values(offsets), Values(lens))
        }
        Inst::Load(v, at, b) => write!(out, "load v{}[{}] {}", v.0, Values(at), bounds(b)),
        Inst::Store(v, at, value, b) => {
            write!(out, "store v{}[{}], v{} {}", v.0, Values(at), value.0, bounds(b))
        }
        Inst::Call(id, args) => write!(out, "call {}({})", Callee(module, *id), Values(args)),
        Inst::ParFor { lo, hi, grain, body, captures, init, combine } => {
            let body = Callee(module, *body);
            write!(out, "parfor v{} .. v{} grain v{} {body}({})", lo.0, hi.0, grain.0, Values(captures))?;
            if !init.is_empty() {
                write!(out, " init({})", Values(init))?;
            }
            if let Some(id) = combine {
                write!(out, " combine {}", Callee(module, *id))?;
            }
            Ok(())
        }
    }
}

fn write_terminator(out: &mut String, end: &Terminator) -> fmt::Result {
    match end {
        Terminator::Jump(t) => write!(out, "jump {t}"),
        Terminator::Branch(c, t, e) => write!(out, "branch v{}, {t}, {e}", c.0),
        Terminator::Return(values) if values.is_empty() => out.write_str("return"),
        Terminator::Return(values) => write!(out, "return {}", Values(values)),
        Terminator::Trap(code) => write!(out, "trap {code}"),
    }
}

fn comma(i: usize) -> &'static str {
    if i == 0 { "" } else { ", " }
}

/// Whether a name needs no quotes.
pub(super) fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_' || c == b'.')
}

struct Name<'a>(&'a str);
impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_plain_name(self.0) {
            return write!(f, "@{}", self.0);
        }
        f.write_str("@\"")?;
        for c in self.0.chars() {
            if c == '"' || c == '\\' {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_str("\"")
    }
}

struct Callee<'a>(&'a Module, FuncId);
impl Display for Callee<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.functions.get(self.1.index()) {
            Some(callee) => write!(f, "{}", Name(&callee.name)),
            // Only for a module that the verifier rejects.
            None => write!(f, "@\"function number {}\"", self.1.0),
        }
    }
}

struct Typed<'a>(&'a Function, Val);
impl Display for Typed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.value_types.get(self.1.0 as usize) {
            Some(t) => write!(f, "v{}: {t}", self.1.0),
            None => write!(f, "v{}: ?", self.1.0),
        }
    }
}

struct Values<'a>(&'a [Val]);
impl Display for Values<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, v) in self.0.iter().enumerate() {
            write!(f, "{}v{}", comma(i), v.0)?;
        }
        Ok(())
    }
}

impl Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b{}", self.block.0)?;
        if self.args.is_empty() { Ok(()) } else { write!(f, "({})", Values(&self.args)) }
    }
}

impl TrapCode {
    /// The name in the text form; `User` codes are `user` and a number.
    pub fn name(self) -> &'static str {
        match self {
            TrapCode::IndexOutOfBounds => "index_out_of_bounds",
            TrapCode::DivisionByZero => "division_by_zero",
            TrapCode::Overflow => "overflow",
            TrapCode::ShapeMismatch => "shape_mismatch",
            TrapCode::Unreachable => "unreachable",
            TrapCode::StackOverflow => "stack_overflow",
            TrapCode::User(_) => "user",
        }
    }
}

impl Display for TrapCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TrapCode::User(n) => write!(f, "user {n}"),
            other => f.write_str(other.name()),
        }
    }
}

impl Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Scalar(s) => f.write_str(s.name()),
            Type::Tuple(parts) => {
                f.write_str("tuple<")?;
                for (i, part) in parts.iter().enumerate() {
                    write!(f, "{}{part}", comma(i))?;
                }
                f.write_str(">")
            }
            Type::View(v) => write!(f, "{v}"),
        }
    }
}

impl Display for crate::ir::ViewType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::ir::Stride;
        write!(f, "view<{};", self.elem.name())?;
        for s in &self.strides {
            f.write_str(match s {
                Stride::Dynamic => " dyn",
                Stride::Unit => " unit",
                Stride::Zero => " zero",
            })?;
        }
        f.write_str(">")
    }
}

//! Functions and control flow: blocks, phis, calls, traps.
//!
//! Text of a block is collected until every block is lowered, because a phi names values of blocks that come later.
//! A check in the middle of an IR block splits it; `Lowering::label` is the LLVM block that text now goes to, which is
//! the one that the phis of a successor name.

use super::reg::{Opd, Reg, components, dynamic_strides, literal};
use super::{Unit, bug, encode_trap};
use crate::symbols::Runtime;
use pantile_jit::CompileError;
use pantile_jit::canonical::reverse_postorder;
use pantile_jit::ir::{
    FuncId, Function, Inst, InstData, Stride, Target, Terminator, TrapCode, Type, ViewType,
};
use pantile_types::{ScalarType, Val};
use std::collections::BTreeSet;
use std::fmt::{Display, Write};
use std::rc::Rc;

/// The components of one IR value.
pub(super) type Parts = Rc<[Opd]>;

/// One function being lowered.
pub(super) struct Lowering<'u, 'a> {
    pub unit: &'u mut Unit<'a>,
    pub f: &'a Function,
    pub id: FuncId,
    /// Text of the LLVM blocks that make up the current IR block.
    pub body: String,
    /// The LLVM block that `body` now ends in.
    pub label: String,
    /// `alloca`s, which go to the LLVM entry block so that no loop repeats them.
    pub allocas: String,
    next_tmp: u32,
    next_label: u32,
    values: Vec<Option<Parts>>,
    /// For each IR block: who enters it, and with which components.
    edges: Vec<Vec<(String, Vec<Opd>)>>,
    /// The traps that have a block of their own at the end of the function.
    traps: BTreeSet<i32>,
}

/// Appends the function to the unit's text.
pub(super) fn lower_function(unit: &mut Unit<'_>, id: FuncId) -> Result<(), CompileError> {
    let f = unit.module.get(id);
    let mut low = Lowering {
        unit,
        f,
        id,
        body: String::new(),
        label: String::new(),
        allocas: String::new(),
        next_tmp: 0,
        next_label: 0,
        values: vec![None; f.value_types.len()],
        edges: vec![Vec::new(); f.blocks.len()],
        traps: BTreeSet::new(),
    };
    let signature = low.signature();
    let order = reverse_postorder(f);
    // A block's parameters get their registers first: a back edge is not needed to name them.
    for b in order.iter().map(|b| &f.blocks[b.index()]) {
        for p in &b.params {
            let parts: Vec<Opd> = components(f.ty(*p)).iter().map(|_| low.tmp()).collect();
            low.values[p.0 as usize] = Some(parts.into());
        }
    }
    let mut texts = Vec::new();
    for b in &order {
        low.label = format!("b{}", b.0);
        low.body.clear();
        let block = &f.blocks[b.index()];
        for i in &block.insts {
            low.inst(&f.insts[i.index()])?;
        }
        match &block.end {
            Some(end) => low.terminator(end)?,
            None => return Err(bug(f, format!("block {} has no end", b.0))),
        }
        texts.push(std::mem::take(&mut low.body));
    }
    let (mut out, allocas) = (String::new(), std::mem::take(&mut low.allocas));
    let _ = writeln!(out, "{signature} {{\nentry:\n{allocas}{}", low.enter());
    for (b, text) in order.iter().zip(&texts) {
        let _ = writeln!(out, "b{}:", b.0);
        low.phis(b.index(), &mut out);
        out.push_str(text);
    }
    for status in &low.traps {
        let value = low.trap_value(&Opd::int(i64::from(*status)));
        let _ = writeln!(out, "trap{status}:\n{value}");
    }
    out.push_str("}\n\n");
    low.unit.text.push_str(&out);
    Ok(())
}

impl<'a> Lowering<'_, 'a> {
    /// A fresh register.
    pub fn tmp(&mut self) -> Opd {
        self.next_tmp += 1;
        Opd::Tmp(self.next_tmp)
    }

    /// Appends an instruction that defines a register.
    pub fn def(&mut self, text: impl Display) -> Opd {
        let t = self.tmp();
        let _ = writeln!(self.body, "  {t} = {text}");
        t
    }

    /// Appends an instruction that defines nothing.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.body, "  {text}");
    }

    /// A call of an LLVM intrinsic on registers of one type, which is also the result's.
    pub fn intrinsic(&mut self, name: &str, flags: &str, reg: Reg, args: &[&Opd]) -> Opd {
        let types = vec![reg.to_string(); args.len()].join(", ");
        self.unit.declarations.insert(format!("declare {reg} @llvm.{name}.{}({types})", reg.suffix()));
        let args: Vec<String> = args.iter().map(|a| format!("{reg} {a}")).collect();
        self.def(format_args!("call {flags}{reg} @llvm.{name}.{}({})", reg.suffix(), args.join(", ")))
    }

    /// Begins a new LLVM block in the current IR block.
    pub fn start_label(&mut self, label: String) {
        let _ = writeln!(self.body, "{label}:");
        self.label = label;
    }

    /// A label nobody else has.
    pub fn fresh_label(&mut self) -> String {
        self.next_label += 1;
        format!("l{}", self.next_label)
    }

    /// The components of a value.
    pub fn parts(&self, v: Val) -> Result<Parts, CompileError> {
        self.values[v.0 as usize]
            .clone()
            .ok_or_else(|| bug(self.f, format!("v{} is used before its definition", v.0)))
    }

    /// The only component of a value.
    pub fn one(&self, v: Val) -> Result<Opd, CompileError> {
        let parts = self.parts(v)?;
        match &*parts {
            [only] => Ok(only.clone()),
            _ => Err(bug(self.f, format!("v{} is not a real scalar", v.0))),
        }
    }

    /// The only component of each of these values.
    pub fn ones(&self, values: &[Val]) -> Result<Vec<Opd>, CompileError> {
        values.iter().map(|v| self.one(*v)).collect()
    }

    /// The type of a value that must be a scalar.
    pub fn scalar(&self, v: Val) -> Result<ScalarType, CompileError> {
        self.f.ty(v).scalar().ok_or_else(|| bug(self.f, format!("v{} is not a scalar", v.0)))
    }

    /// The type of a value that must be a view.
    pub fn view(&self, v: Val) -> Result<&'a ViewType, CompileError> {
        match self.f.ty(v) {
            Type::View(t) => Ok(t),
            _ => Err(bug(self.f, format!("v{} is not a view", v.0))),
        }
    }

    /// Components of several values, each with its register: `double %t1`.
    pub fn typed(&self, values: &[Val]) -> Result<Vec<(Reg, Opd)>, CompileError> {
        let mut out = Vec::new();
        for v in values {
            out.extend(components(self.f.ty(*v)).into_iter().zip(self.parts(*v)?.iter().cloned()));
        }
        Ok(out)
    }

    fn define(&mut self, v: Val, parts: Vec<Opd>) {
        self.values[v.0 as usize] = Some(parts.into());
    }

    /// `define internal ... @f3(...)`, which also hands the parameters to the first block.
    fn signature(&mut self) -> String {
        let mut params = Vec::new();
        let mut incoming = Vec::new();
        for (i, p) in self.f.params().iter().enumerate() {
            let attrs = self.f.param_attrs.get(i).copied().unwrap_or_default();
            let ty = self.f.ty(*p);
            for (k, reg) in components(ty).into_iter().enumerate() {
                let t = self.tmp();
                let mut text = format!("{reg} noundef");
                if let (Type::View(view), 0) = (ty, k) {
                    let _ = write!(text, " align {}", view.elem.part().size());
                    text.push_str(if attrs.noalias { " noalias" } else { "" });
                    text.push_str(if attrs.readonly { " readonly" } else { "" });
                }
                params.push(format!("{text} {t}"));
                incoming.push(t);
            }
        }
        self.edges[0].push(("entry".into(), incoming));
        let group = if self.id == self.unit.entry { 1 } else { 0 };
        let ret = self.unit.return_type(self.id);
        format!("define internal {ret} @f{}({}) #{group}", self.id.0, params.join(", "))
    }

    fn phis(&self, block: usize, out: &mut String) {
        let mut k = 0;
        for p in &self.f.blocks[block].params {
            let parts =
                self.values[p.0 as usize].as_ref().expect("block parameters were given registers first");
            for (reg, part) in components(self.f.ty(*p)).into_iter().zip(parts.iter()) {
                let incoming: Vec<String> = self.edges[block]
                    .iter()
                    .map(|(from, args)| format!("[ {}, %{from} ]", args[k]))
                    .collect();
                let _ = writeln!(out, "  {part} = phi {reg} {}", incoming.join(", "));
                k += 1;
            }
        }
    }

    /// Records that the current LLVM block enters the target.
    fn edge(&mut self, target: &Target) -> Result<(), CompileError> {
        let mut args = Vec::new();
        for v in &target.args {
            args.extend(self.parts(*v)?.iter().cloned());
        }
        self.edges[target.block.index()].push((self.label.clone(), args));
        Ok(())
    }

    fn terminator(&mut self, end: &Terminator) -> Result<(), CompileError> {
        match end {
            Terminator::Jump(t) => {
                self.edge(t)?;
                self.line(format_args!("br label %b{}", t.block.0));
            }
            // Two edges from one block to one block would be one edge to LLVM, with two opinions in its phis.
            Terminator::Branch(c, a, b) if a.block == b.block => {
                let c = self.one(*c)?;
                let mut args = Vec::new();
                for ((reg, x), (_, y)) in self.typed(&a.args)?.into_iter().zip(self.typed(&b.args)?) {
                    args.push(self.def(format_args!("select i1 {c}, {reg} {x}, {reg} {y}")));
                }
                self.edges[a.block.index()].push((self.label.clone(), args));
                self.line(format_args!("br label %b{}", a.block.0));
            }
            Terminator::Branch(c, a, b) => {
                let c = self.one(*c)?;
                self.edge(a)?;
                self.edge(b)?;
                self.line(format_args!("br i1 {c}, label %b{}, label %b{}", a.block.0, b.block.0));
            }
            Terminator::Return(values) => {
                let mut parts = self.typed(values)?;
                if self.unit.can_trap[self.id.index()] {
                    parts.insert(0, (Reg::I32, Opd::int(0)));
                }
                self.return_parts(&parts);
            }
            Terminator::Trap(code) => {
                let label = self.trap_label(*code);
                self.line(format_args!("br label %{label}"));
            }
        }
        Ok(())
    }

    fn return_parts(&mut self, parts: &[(Reg, Opd)]) {
        if parts.is_empty() {
            self.line("ret void");
            return;
        }
        let ty = self.unit.return_type(self.id);
        let mut whole = Opd::lit("poison");
        for (i, (reg, part)) in parts.iter().enumerate() {
            whole = self.def(format_args!("insertvalue {ty} {whole}, {reg} {part}, {i}"));
        }
        self.line(format_args!("ret {ty} {whole}"));
    }

    /// Text that goes from the LLVM entry block to the first block; through a look at the stack if this function can call
    /// itself, since running out of it would end the process.
    fn enter(&mut self) -> String {
        if !self.unit.recursive[&self.id] {
            return "  br label %b0".into();
        }
        self.unit.declarations.insert("declare ptr @llvm.frameaddress.p0(i32 immarg)".into());
        let limit = Runtime::StackLimit.name();
        // The limit is one number a thread: declared pure, it is read once where calls were inlined.
        self.unit.declarations.insert(format!("declare i64 @{limit}() #2"));
        let trap = self.trap_label(TrapCode::StackOverflow);
        format!(
            "  %frame = call ptr @llvm.frameaddress.p0(i32 0)\n  %depth = ptrtoint ptr %frame to i64\n  \
             %limit = call i64 @{limit}() #2\n  %too_deep = icmp ult i64 %depth, %limit\n  \
             br i1 %too_deep, label %{trap}, label %b0, !prof !0"
        )
    }

    /// The block that returns this trap.
    pub fn trap_label(&mut self, code: TrapCode) -> String {
        let status = encode_trap(code);
        self.traps.insert(status);
        format!("trap{status}")
    }

    /// Text that returns a status with results that nobody reads.
    fn trap_value(&self, status: &Opd) -> String {
        let ty = self.unit.return_type(self.id);
        format!("  %s{status} = insertvalue {ty} poison, i32 {status}, 0\n  ret {ty} %s{status}")
    }

    /// Leaves the function with a status unless it is 0, and goes on in a new block.
    pub fn check_status(&mut self, status: &Opd) {
        let (stop, go_on) = (self.fresh_label(), self.fresh_label());
        let bad = self.def(format_args!("icmp ne i32 {status}, 0"));
        self.line(format_args!("br i1 {bad}, label %{stop}, label %{go_on}, !prof !0"));
        self.start_label(stop);
        let ty = self.unit.return_type(self.id);
        let whole = self.def(format_args!("insertvalue {ty} poison, i32 {status}, 0"));
        self.line(format_args!("ret {ty} {whole}"));
        self.start_label(go_on);
    }

    fn inst(&mut self, data: &InstData) -> Result<(), CompileError> {
        let parts: Vec<Opd> = match &data.inst {
            Inst::Const(s) => {
                let (reg, bits) = (Reg::part(s.ty()), s.bits());
                if s.ty().is_complex() {
                    vec![literal(reg, bits as u64), literal(reg, (bits >> reg.bits()) as u64)]
                } else {
                    vec![literal(reg, bits as u64)]
                }
            }
            Inst::Un(op, a) => self.un(*op, *a)?,
            Inst::Bin(op, a, b, flags) => self.bin(*op, *a, *b, *flags)?,
            Inst::Cmp(op, a, b) => vec![self.cmp(*op, *a, *b)?],
            Inst::Select(c, a, b) => {
                let c = self.one(*c)?;
                let both = self.typed(&[*a])?.into_iter().zip(self.parts(*b)?.to_vec());
                both.map(|((reg, x), y)| self.def(format_args!("select i1 {c}, {reg} {x}, {reg} {y}")))
                    .collect()
            }
            Inst::Cast(v, to) => self.cast(*v, *to)?,
            Inst::Bitcast(v, to) => vec![self.bitcast(*v, *to)?],
            Inst::Complex(re, im) => vec![self.one(*re)?, self.one(*im)?],
            Inst::Lib(f, args) => self.lib(*f, args)?,
            Inst::Tuple(values) => self.typed(values)?.into_iter().map(|(_, part)| part).collect(),
            Inst::TupleGet(v, i) => self.tuple_get(*v, *i as usize)?,
            Inst::ViewLen(v, axis) => vec![self.parts(*v)?[1 + *axis as usize].clone()],
            Inst::LocalArray(elem, len) => self.local_array(*elem, *len),
            Inst::SubView { base, offsets, lens } => self.sub_view(*base, offsets, lens)?,
            Inst::Load(v, at, bounds) => self.load(*v, at, *bounds)?,
            Inst::Store(v, at, value, bounds) => {
                self.store(*v, at, *value, *bounds)?;
                Vec::new()
            }
            Inst::Call(callee, args) => {
                let args = self.typed(args)?;
                let parts = self.call(*callee, &args);
                return self.define_results(data, parts);
            }
            Inst::ParFor { .. } => {
                let parts = self.par_for(&data.inst)?;
                return self.define_results(data, parts);
            }
        };
        self.define_results(data, parts)
    }

    /// Deals components out to the results of an instruction.
    fn define_results(&mut self, data: &InstData, parts: Vec<Opd>) -> Result<(), CompileError> {
        let mut rest = parts.into_iter();
        for v in &data.results {
            let count = components(self.f.ty(*v)).len();
            let mine: Vec<Opd> = rest.by_ref().take(count).collect();
            if mine.len() != count {
                return Err(bug(self.f, format!("v{} has too few components", v.0)));
            }
            self.define(*v, mine);
        }
        Ok(())
    }

    fn tuple_get(&mut self, v: Val, i: usize) -> Result<Vec<Opd>, CompileError> {
        let Type::Tuple(types) = self.f.ty(v) else {
            return Err(bug(self.f, format!("v{} is not a tuple", v.0)));
        };
        let start: usize = types[..i].iter().map(|t| components(t).len()).sum();
        Ok(self.parts(v)?[start..start + components(&types[i]).len()].to_vec())
    }

    /// A call of a function of the module; gives the components of its results. Leaves this function if it traps.
    pub fn call(&mut self, callee: FuncId, args: &[(Reg, Opd)]) -> Vec<Opd> {
        let ty = self.unit.return_type(callee);
        let list: Vec<String> = args.iter().map(|(reg, a)| format!("{reg} {a}")).collect();
        let call = format!("call {ty} @f{}({})", callee.0, list.join(", "));
        if ty == "void" {
            self.line(call);
            return Vec::new();
        }
        let whole = self.def(call);
        let count: usize = self.unit.module.get(callee).returns.iter().map(|t| components(t).len()).sum();
        let first = usize::from(self.unit.can_trap[callee.index()]);
        if first == 1 {
            let status = self.def(format_args!("extractvalue {ty} {whole}, 0"));
            self.check_status(&status);
        }
        (first..first + count).map(|i| self.def(format_args!("extractvalue {ty} {whole}, {i}"))).collect()
    }

    /// The stride of an axis in bytes, given the view's components.
    pub fn stride(view: &ViewType, parts: &[Opd], axis: usize) -> Opd {
        match view.strides[axis] {
            Stride::Unit => Opd::int(view.elem.size() as i64),
            Stride::Zero => Opd::int(0),
            Stride::Dynamic => {
                let before = view.strides[..axis].iter().filter(|s| **s == Stride::Dynamic).count();
                debug_assert!(before < dynamic_strides(view));
                parts[1 + view.strides.len() + before].clone()
            }
        }
    }
}

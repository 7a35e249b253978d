//! Parallel loops.
//!
//! The loop becomes a *context* in the caller's frame (bounds, captures, initial accumulators, and a slot for the results
//! of each piece) and a *piece function* `void(ptr context, i64 piece)` that runs the body on one piece and fills its
//! slot. `pantile_run_pieces` calls it for every piece, on whichever threads it has. Afterwards the caller looks at the
//! slots in ascending order: the first that trapped wins; otherwise they are combined.
//!
//! How the range is cut is `pantile_jit::ir::Pieces`; the arithmetic here is the same, and the tests compare the two.

use super::bug;
use super::function::Lowering;
use super::reg::{Opd, Reg};
use crate::symbols::Runtime;
use pantile_jit::CompileError;
use pantile_jit::ir::{FuncId, Inst, Pieces};
use std::fmt::Write;

impl Lowering<'_, '_> {
    pub(super) fn par_for(&mut self, inst: &Inst) -> Result<Vec<Opd>, CompileError> {
        let Inst::ParFor { lo, hi, grain, body, captures, init, combine } = inst else {
            return Err(bug(self.f, "not a parallel loop"));
        };
        let (lo, hi, grain) = (self.one(*lo)?, self.one(*hi)?, self.one(*grain)?);
        let (captures, init) = (self.typed(captures)?, self.typed(init)?);
        let traps = self.unit.can_trap[body.index()];

        // The slot of a piece: its status, then its accumulators. The context: the start, the length of the shorter pieces, how many
        // are longer by one, then what every piece is passed, then the slots.
        let accumulators: Vec<Reg> = init.iter().map(|(reg, _)| *reg).collect();
        let slot = struct_type(std::iter::once(Reg::I32).chain(accumulators.iter().copied()));
        let fixed: Vec<(Reg, Opd)> = captures.iter().chain(&init).cloned().collect();
        let head = [Reg::I64; 3].into_iter().chain(fixed.iter().map(|(reg, _)| *reg));
        let context = format!("{{ {}, [{} x {slot}] }}", list_types(head), Pieces::MAX);
        let slots_field = 3 + fixed.len();
        let piece_function = self.piece_function(*body, &context, &slot, captures.len(), &fixed, traps);

        let frame = self.tmp();
        let _ = writeln!(self.allocas, "  {frame} = alloca {context}, align 64");

        // clamp(len / max(grain, 1), 1, MAX) pieces, none for an empty range.
        let any = self.def(format_args!("icmp slt i64 {lo}, {hi}"));
        let (run, done) = (self.fresh_label(), self.fresh_label());
        let before = self.label.clone();
        self.line(format_args!("br i1 {any}, label %{run}, label %{done}"));
        self.start_label(run);
        let len = self.def(format_args!("sub i64 {hi}, {lo}"));
        let one = Opd::int(1);
        let grain = self.intrinsic("smax", "", Reg::I64, &[&grain, &one]);
        let fit = self.def(format_args!("udiv i64 {len}, {grain}"));
        let at_least = self.intrinsic("umax", "", Reg::I64, &[&fit, &one]);
        let pieces = self.intrinsic("umin", "", Reg::I64, &[&at_least, &Opd::int(Pieces::MAX as i64)]);
        let base = self.def(format_args!("udiv i64 {len}, {pieces}"));
        let longer = self.def(format_args!("urem i64 {len}, {pieces}"));
        let shared =
            [(Reg::I64, lo), (Reg::I64, base), (Reg::I64, longer)].into_iter().chain(fixed.iter().cloned());
        for (i, (reg, value)) in shared.enumerate() {
            let p = self.def(format_args!("getelementptr inbounds {context}, ptr {frame}, i64 0, i32 {i}"));
            self.line(format_args!("store {reg} {value}, ptr {p}"));
        }
        let runner = self.unit.runtime("void @pantile_run_pieces(i64, ptr, ptr)", Runtime::RunPieces);
        self.line(format_args!("call void @{runner}(i64 {pieces}, ptr {frame}, ptr @{piece_function})"));

        let slots =
            self.def(format_args!("getelementptr inbounds {context}, ptr {frame}, i64 0, i32 {slots_field}"));
        if traps {
            self.first_trap(&slot, &slots, &pieces);
        }
        let results = match combine {
            Some(combine) => self.combine_slots(*combine, &slot, &slots, &pieces, &accumulators),
            None => Vec::new(),
        };
        let after = self.label.clone();
        self.line(format_args!("br label %{done}"));
        self.start_label(done);
        let both = init.into_iter().zip(results);
        Ok(both
            .map(|((reg, initial), result)| {
                self.def(format_args!("phi {reg} [ {initial}, %{before} ], [ {result}, %{after} ]"))
            })
            .collect())
    }

    /// Leaves the function with the status of the first piece that trapped, if one did.
    fn first_trap(&mut self, slot: &str, slots: &Opd, pieces: &Opd) {
        let (head, next, found, clean) =
            (self.fresh_label(), self.fresh_label(), self.fresh_label(), self.fresh_label());
        let (i, i_next) = (self.tmp(), self.tmp());
        let before = self.label.clone();
        self.line(format_args!("br label %{head}"));
        self.start_label(head.clone());
        self.line(format_args!("{i} = phi i64 [ 0, %{before} ], [ {i_next}, %{next} ]"));
        let p = self.def(format_args!("getelementptr inbounds {slot}, ptr {slots}, i64 {i}, i32 0"));
        let status = self.def(format_args!("load i32, ptr {p}"));
        let bad = self.def(format_args!("icmp ne i32 {status}, 0"));
        self.line(format_args!("br i1 {bad}, label %{found}, label %{next}, !prof !0"));
        self.start_label(next);
        self.line(format_args!("{i_next} = add nuw nsw i64 {i}, 1"));
        let more = self.def(format_args!("icmp ult i64 {i_next}, {pieces}"));
        self.line(format_args!("br i1 {more}, label %{head}, label %{clean}"));
        self.start_label(found);
        self.check_status(&status);
        // The status is known to be bad here; this edge only keeps the block well formed.
        self.line(format_args!("br label %{clean}"));
        self.start_label(clean);
    }

    /// Combines the slots in ascending order.
    fn combine_slots(
        &mut self,
        combine: FuncId,
        slot: &str,
        slots: &Opd,
        pieces: &Opd,
        accumulators: &[Reg],
    ) -> Vec<Opd> {
        let first = self.load_slot(slot, slots, &Opd::int(0), accumulators);
        let (head, step, end) = (self.fresh_label(), self.fresh_label(), self.fresh_label());
        let (i, i_next) = (self.tmp(), self.tmp());
        let sums: Vec<Opd> = accumulators.iter().map(|_| self.tmp()).collect();
        let before = self.label.clone();
        self.line(format_args!("br label %{head}"));
        // The loop's phis name the combined values, which are known after the rest of the loop is written.
        let text_before = std::mem::take(&mut self.body);
        self.start_label(step.clone());
        let other = self.load_slot(slot, slots, &i, accumulators);
        let args: Vec<(Reg, Opd)> = accumulators
            .iter()
            .copied()
            .chain(accumulators.iter().copied())
            .zip(sums.iter().cloned().chain(other))
            .collect();
        let combined = self.call(combine, &args);
        self.line(format_args!("{i_next} = add nuw nsw i64 {i}, 1"));
        self.line(format_args!("br label %{head}"));
        let latch = self.label.clone();
        let text_step = std::mem::replace(&mut self.body, text_before);
        self.start_label(head);
        self.line(format_args!("{i} = phi i64 [ 1, %{before} ], [ {i_next}, %{latch} ]"));
        for (k, reg) in accumulators.iter().enumerate() {
            let (sum, a, b) = (&sums[k], &first[k], &combined[k]);
            self.line(format_args!("{sum} = phi {reg} [ {a}, %{before} ], [ {b}, %{latch} ]"));
        }
        let more = self.def(format_args!("icmp ult i64 {i}, {pieces}"));
        self.line(format_args!("br i1 {more}, label %{step}, label %{end}"));
        self.body.push_str(&text_step);
        self.start_label(end);
        sums
    }

    fn load_slot(&mut self, slot: &str, slots: &Opd, i: &Opd, accumulators: &[Reg]) -> Vec<Opd> {
        let mut out = Vec::new();
        for (k, reg) in accumulators.iter().enumerate() {
            let p =
                self.def(format_args!("getelementptr inbounds {slot}, ptr {slots}, i64 {i}, i32 {}", k + 1));
            out.push(self.def(format_args!("load {reg}, ptr {p}")));
        }
        out
    }

    /// Appends the piece function to the unit and gives its name.
    fn piece_function(
        &mut self,
        body: FuncId,
        context: &str,
        slot: &str,
        captures: usize,
        fixed: &[(Reg, Opd)],
        traps: bool,
    ) -> String {
        let label = self.fresh_label();
        let name = format!("f{}.{label}", self.id.0);
        let mut out = String::new();
        let _ = writeln!(out, "define internal void @{name}(ptr noundef %context, i64 noundef %piece) #0 {{");
        let field = |i: usize| format!("getelementptr inbounds {context}, ptr %context, i64 0, i32 {i}");
        let mut args = vec!["i64 %from".to_string(), "i64 %to".to_string()];
        for (i, reg) in [Reg::I64; 3].into_iter().chain(fixed.iter().map(|(reg, _)| *reg)).enumerate() {
            let _ = writeln!(out, "  %p{i} = {}\n  %c{i} = load {reg}, ptr %p{i}", field(i));
            if i >= 3 {
                args.push(format!("{reg} %c{i}"));
            }
        }
        // piece * base + min(piece, longer) iterations come before this piece.
        self.unit.declarations.insert("declare i64 @llvm.umin.i64(i64, i64)".into());
        out.push_str(
            "  %whole = mul i64 %piece, %c1\n  %extra = call i64 @llvm.umin.i64(i64 %piece, i64 %c2)\n  \
             %skip = add i64 %whole, %extra\n  %from = add i64 %c0, %skip\n  %is_longer = icmp ult i64 %piece, %c2\n  \
             %one_more = zext i1 %is_longer to i64\n  %count = add i64 %c1, %one_more\n  %to = add i64 %from, %count\n",
        );
        let ret = self.unit.return_type(body);
        let call = format!("call {ret} @f{}({})", body.0, args.join(", "));
        if ret == "void" {
            let _ = writeln!(out, "  {call}");
        } else {
            let slots = field(3 + fixed.len());
            let _ = writeln!(out, "  %r = {call}\n  %slots = {slots}");
            let mut source = 0;
            let results = fixed[captures..].iter().map(|(reg, _)| *reg);
            for (k, reg) in std::iter::once(Reg::I32).chain(results).enumerate() {
                if k == 0 && !traps {
                    continue;
                }
                let _ = writeln!(
                    out,
                    "  %v{k} = extractvalue {ret} %r, {source}\n  \
                     %q{k} = getelementptr inbounds {slot}, ptr %slots, i64 %piece, i32 {k}\n  \
                     store {reg} %v{k}, ptr %q{k}"
                );
                source += 1;
            }
        }
        out.push_str("  ret void\n}\n\n");
        self.unit.text.push_str(&out);
        name
    }
}

fn list_types(regs: impl Iterator<Item = Reg>) -> String {
    regs.map(|r| r.to_string()).collect::<Vec<_>>().join(", ")
}

fn struct_type(regs: impl Iterator<Item = Reg>) -> String {
    format!("{{ {} }}", list_types(regs))
}

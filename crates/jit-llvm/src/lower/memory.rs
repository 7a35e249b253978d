//! Views: addresses, loads, stores, sub-views, arrays in the frame.

use super::function::Lowering;
use super::reg::{Opd, Reg};
use pantile_jit::CompileError;
use pantile_jit::ir::{Bounds, Stride, TrapCode, ViewType};
use pantile_types::{ScalarType, Val};
use std::fmt::Write;

impl Lowering<'_, '_> {
    /// Traps unless every index is inside its axis. A negative index is too large as an unsigned number.
    fn check_bounds(&mut self, parts: &[Opd], at: &[Opd]) {
        for (axis, i) in at.iter().enumerate() {
            let len = &parts[1 + axis];
            let inside = self.def(format_args!("icmp ult i64 {i}, {len}"));
            let outside = self.def(format_args!("xor i1 {inside}, true"));
            let (trap, go_on) = (self.trap_label(TrapCode::IndexOutOfBounds), self.fresh_label());
            self.line(format_args!("br i1 {outside}, label %{trap}, label %{go_on}, !prof !0"));
            self.start_label(go_on);
        }
    }

    /// The address of an element that exists. Adding the axes one by one, each step lands on an element of the view
    /// (indices are in range), so that every step is `inbounds`.
    fn address(&mut self, view: &ViewType, parts: &[Opd], at: &[Opd]) -> Opd {
        let mut p = parts[0].clone();
        for (axis, i) in at.iter().enumerate() {
            p = match view.strides[axis] {
                Stride::Zero => p,
                Stride::Unit => self.def(format_args!(
                    "getelementptr inbounds nuw {}, ptr {p}, i64 {i}",
                    memory_type(view.elem)
                )),
                Stride::Dynamic => {
                    let stride = Self::stride(view, parts, axis);
                    let offset = self.def(format_args!("mul nsw i64 {i}, {stride}"));
                    self.def(format_args!("getelementptr inbounds i8, ptr {p}, i64 {offset}"))
                }
            };
        }
        p
    }

    pub(super) fn load(&mut self, v: Val, at: &[Val], bounds: Bounds) -> Result<Vec<Opd>, CompileError> {
        let (view, parts, at) = (self.view(v)?, self.parts(v)?, self.ones(at)?);
        if bounds == Bounds::Checked {
            self.check_bounds(&parts, &at);
        }
        let p = self.address(view, &parts, &at);
        let (reg, size) = (Reg::part(view.elem), view.elem.part().size());
        if view.elem == ScalarType::Bool {
            let byte = self.def(format_args!("load i8, ptr {p}, align 1"));
            return Ok(vec![self.def(format_args!("icmp ne i8 {byte}, 0"))]);
        }
        let mut out = vec![self.def(format_args!("load {reg}, ptr {p}, align {size}"))];
        if view.elem.is_complex() {
            let q = self.def(format_args!("getelementptr inbounds nuw i8, ptr {p}, i64 {size}"));
            out.push(self.def(format_args!("load {reg}, ptr {q}, align {size}")));
        }
        Ok(out)
    }

    pub(super) fn store(
        &mut self,
        v: Val,
        at: &[Val],
        value: Val,
        bounds: Bounds,
    ) -> Result<(), CompileError> {
        let (view, parts, at) = (self.view(v)?, self.parts(v)?, self.ones(at)?);
        if bounds == Bounds::Checked {
            self.check_bounds(&parts, &at);
        }
        let p = self.address(view, &parts, &at);
        let value = self.parts(value)?;
        let (reg, size) = (Reg::part(view.elem), view.elem.part().size());
        if view.elem == ScalarType::Bool {
            let byte = self.def(format_args!("zext i1 {} to i8", value[0]));
            self.line(format_args!("store i8 {byte}, ptr {p}, align 1"));
            return Ok(());
        }
        self.line(format_args!("store {reg} {}, ptr {p}, align {size}", value[0]));
        if view.elem.is_complex() {
            let q = self.def(format_args!("getelementptr inbounds nuw i8, ptr {p}, i64 {size}"));
            self.line(format_args!("store {reg} {}, ptr {q}, align {size}", value[1]));
        }
        Ok(())
    }

    /// The pointer of an empty sub-view may lie outside the base, so that nothing is promised about these steps.
    pub(super) fn sub_view(
        &mut self,
        base: Val,
        offsets: &[Val],
        lens: &[Val],
    ) -> Result<Vec<Opd>, CompileError> {
        let (view, parts) = (self.view(base)?, self.parts(base)?);
        let (offsets, lens) = (self.ones(offsets)?, self.ones(lens)?);
        let mut p = parts[0].clone();
        for (axis, i) in offsets.iter().enumerate() {
            p = match view.strides[axis] {
                Stride::Zero => p,
                Stride::Unit => {
                    self.def(format_args!("getelementptr {}, ptr {p}, i64 {i}", memory_type(view.elem)))
                }
                Stride::Dynamic => {
                    let stride = Self::stride(view, &parts, axis);
                    let offset = self.def(format_args!("mul i64 {i}, {stride}"));
                    self.def(format_args!("getelementptr i8, ptr {p}, i64 {offset}"))
                }
            };
        }
        let mut out = vec![p];
        out.extend(lens);
        out.extend_from_slice(&parts[1 + view.strides.len()..]);
        Ok(out)
    }

    pub(super) fn local_array(&mut self, elem: ScalarType, len: u32) -> Vec<Opd> {
        let p = self.tmp();
        // Whole cache lines, so that vector loads from small tables do not straddle two.
        let _ = writeln!(self.allocas, "  {p} = alloca [{len} x {}], align 64", memory_type(elem));
        vec![p, Opd::int(i64::from(len))]
    }
}

/// The type of an element in memory, for its size in address arithmetic.
fn memory_type(elem: ScalarType) -> String {
    match elem {
        ScalarType::Bool => "i8".into(),
        ScalarType::C64 => "{ float, float }".into(),
        ScalarType::C128 => "{ double, double }".into(),
        other => Reg::part(other).to_string(),
    }
}

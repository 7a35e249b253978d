//! The exported function: unpacks argument slots, calls, packs result slots.

use super::reg::{Opd, Reg, components};
use super::{ENTRY, Unit};
use pantile_jit::ir::{Stride, Type};
use std::fmt::{Display, Write};

/// Appends the exported function to the unit's text.
pub(super) fn lower_entry(unit: &mut Unit<'_>) {
    let f = unit.module.get(unit.entry);
    let mut e = Entry { text: String::new(), next: 0, slot: 0 };
    let mut args = Vec::new();
    for p in f.params() {
        e.unpack(f.ty(*p), &mut args);
    }
    let ret = unit.return_type(unit.entry);
    let call = format!("call {ret} @f{}({})", unit.entry.0, args.join(", "));
    let can_trap = unit.can_trap[unit.entry.index()];
    if ret == "void" {
        e.line(call);
    } else {
        let whole = e.def(call);
        if can_trap {
            let status = e.def(format_args!("extractvalue {ret} {whole}, 0"));
            let bad = e.def(format_args!("icmp ne i32 {status}, 0"));
            e.line(format_args!(
                "br i1 {bad}, label %trap, label %done, !prof !0\ntrap:\n  ret i32 {status}\ndone:"
            ));
        }
        let mut index = usize::from(can_trap);
        e.slot = 0;
        for ty in &f.returns {
            e.pack(ty, &ret, &whole, &mut index);
        }
    }
    e.line("ret i32 0");
    let _ = write!(
        unit.text,
        "define i32 @{ENTRY}(ptr noalias readonly align 8 %args, ptr noalias align 8 %results) #0 {{\n{}}}\n\n",
        e.text
    );
}

struct Entry {
    text: String,
    next: u32,
    slot: usize,
}

impl Entry {
    fn def(&mut self, text: impl Display) -> Opd {
        self.next += 1;
        let t = Opd::Tmp(self.next);
        let _ = writeln!(self.text, "  {t} = {text}");
        t
    }

    fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.text, "  {text}");
    }

    /// The address of the next slot.
    fn next_slot(&mut self, of: &str) -> Opd {
        let slot = self.slot;
        let p = self.def(format_args!("getelementptr inbounds nuw i64, ptr %{of}, i64 {slot}"));
        self.slot += 1;
        p
    }

    /// Loads one component from the next slot: its low bytes, since slots are little-endian.
    fn load(&mut self, reg: Reg) -> String {
        let p = self.next_slot("args");
        let value = if reg == Reg::I1 {
            let word = self.def(format_args!("load i64, ptr {p}, align 8"));
            self.def(format_args!("icmp ne i64 {word}, 0"))
        } else {
            self.def(format_args!("load {reg}, ptr {p}, align 8"))
        };
        format!("{reg} {value}")
    }

    fn unpack(&mut self, ty: &Type, args: &mut Vec<String>) {
        match ty {
            Type::Scalar(_) => {
                args.extend(components(ty).into_iter().map(|reg| self.load(reg)).collect::<Vec<_>>())
            }
            Type::Tuple(parts) => parts.iter().for_each(|p| self.unpack(p, args)),
            Type::View(view) => {
                let pointer = self.load(Reg::Ptr);
                args.push(pointer);
                for _ in &view.strides {
                    let len = self.load(Reg::I64);
                    args.push(len);
                }
                for stride in &view.strides {
                    if *stride == Stride::Dynamic {
                        let stride = self.load(Reg::I64);
                        args.push(stride);
                    } else {
                        self.slot += 1;
                    }
                }
            }
        }
    }

    /// Stores the next component, zero-extended, in the next slot.
    fn store(&mut self, reg: Reg, value: Opd) {
        let word = match reg {
            Reg::I64 => value,
            Reg::Ptr => self.def(format_args!("ptrtoint ptr {value} to i64")),
            _ => {
                let int = reg.as_int();
                let bits =
                    if int == reg { value } else { self.def(format_args!("bitcast {reg} {value} to {int}")) };
                if int == Reg::I64 { bits } else { self.def(format_args!("zext {int} {bits} to i64")) }
            }
        };
        let p = self.next_slot("results");
        self.line(format_args!("store i64 {word}, ptr {p}, align 8"));
    }

    fn pack(&mut self, ty: &Type, ret: &str, whole: &Opd, index: &mut usize) {
        let mut take = |e: &mut Entry| {
            let value = e.def(format_args!("extractvalue {ret} {whole}, {index}"));
            *index += 1;
            value
        };
        match ty {
            Type::Scalar(_) => {
                for reg in components(ty) {
                    let value = take(self);
                    self.store(reg, value);
                }
            }
            Type::Tuple(parts) => parts.iter().for_each(|p| self.pack(p, ret, whole, index)),
            Type::View(view) => {
                let pointer = take(self);
                self.store(Reg::Ptr, pointer);
                for _ in &view.strides {
                    let len = take(self);
                    self.store(Reg::I64, len);
                }
                for stride in &view.strides {
                    let bytes = match stride {
                        Stride::Dynamic => take(self),
                        Stride::Unit => Opd::int(view.elem.size() as i64),
                        Stride::Zero => Opd::int(0),
                    };
                    self.store(Reg::I64, bytes);
                }
            }
        }
    }
}

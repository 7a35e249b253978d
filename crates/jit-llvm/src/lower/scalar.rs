//! Scalar arithmetic: each primitive operation as LLVM instructions that mean exactly what `pantile_types::prim` says.
//!
//! LLVM leaves out-of-range shifts, division by zero and overflowing conversions undefined. Each is made defined by a
//! `select` around it, which vectorises, and which LLVM drops where it can prove the range.

use super::bug;
use super::function::Lowering;
use super::reg::{Opd, Reg, literal};
use crate::math;
use pantile_jit::CompileError;
use pantile_jit::ir::FpFlags;
use pantile_types::{BinOp, CmpOp, LibFn, ScalarType, UnOp, Val};

/// LLVM's fast-math words for our flags, with a trailing space.
fn fp_flags(flags: FpFlags) -> &'static str {
    match (flags.reassoc, flags.contract) {
        (false, false) => "",
        (true, false) => "reassoc ",
        (false, true) => "contract ",
        (true, true) => "reassoc contract ",
    }
}

impl Lowering<'_, '_> {
    pub(super) fn un(&mut self, op: UnOp, a: Val) -> Result<Vec<Opd>, CompileError> {
        let t = self.scalar(a)?;
        let parts = self.parts(a)?;
        if t.is_complex() {
            return match op {
                UnOp::Re => Ok(vec![parts[0].clone()]),
                UnOp::Im => Ok(vec![parts[1].clone()]),
                UnOp::Neg => {
                    let reg = Reg::part(t);
                    Ok(parts.iter().map(|p| self.def(format_args!("fneg {reg} {p}"))).collect())
                }
                other => Err(bug(self.f, format!("`{}` of {}", other.name(), t.name()))),
            };
        }
        let (x, reg) = (&parts[0], Reg::part(t));
        let float = t.is_float();
        let result = match op {
            UnOp::Neg if float => self.def(format_args!("fneg {reg} {x}")),
            UnOp::Neg => self.def(format_args!("sub {reg} 0, {x}")),
            UnOp::Not if t == ScalarType::Bool => self.def(format_args!("xor i1 {x}, true")),
            UnOp::Not => self.def(format_args!("xor {reg} {x}, -1")),
            UnOp::Abs if float => self.intrinsic("fabs", "", reg, &[x]),
            UnOp::Abs if t.is_unsigned() => x.clone(),
            UnOp::Abs => {
                let s = reg.suffix();
                self.unit.declarations.insert(format!("declare {reg} @llvm.abs.{s}({reg}, i1 immarg)"));
                self.def(format_args!("call {reg} @llvm.abs.{s}({reg} {x}, i1 false)"))
            }
            UnOp::Sqrt => self.intrinsic("sqrt", "", reg, &[x]),
            UnOp::Floor => self.intrinsic("floor", "", reg, &[x]),
            UnOp::Ceil => self.intrinsic("ceil", "", reg, &[x]),
            UnOp::Trunc => self.intrinsic("trunc", "", reg, &[x]),
            UnOp::Rint => self.intrinsic("roundeven", "", reg, &[x]),
            UnOp::SignBit => {
                let int = reg.as_int();
                let bits = self.def(format_args!("bitcast {reg} {x} to {int}"));
                self.def(format_args!("icmp slt {int} {bits}, 0"))
            }
            UnOp::Popcount => self.intrinsic("ctpop", "", reg, &[x]),
            UnOp::Re | UnOp::Im => return Err(bug(self.f, format!("`{}` of {}", op.name(), t.name()))),
            _ => match math::un_symbol(op) {
                Some(name) => self.math_call(name, reg, &[x]),
                None => return Err(bug(self.f, format!("`{}` of {}", op.name(), t.name()))),
            },
        };
        Ok(vec![result])
    }

    /// A call of a libm function, which the vectoriser may replace by a vector form.
    fn math_call(&mut self, base: &str, reg: Reg, args: &[&Opd]) -> Opd {
        let name = if reg == Reg::Float { format!("{base}f") } else { base.to_string() };
        let types = vec![reg.to_string(); args.len()].join(", ");
        self.unit.declarations.insert(format!("declare {reg} @{name}({types}) #2"));
        let group = self.unit.math_group(&name);
        let args: Vec<String> = args.iter().map(|a| format!("{reg} {a}")).collect();
        self.def(format_args!("call {reg} @{name}({}) #{group}", args.join(", ")))
    }

    pub(super) fn bin(
        &mut self,
        op: BinOp,
        a: Val,
        b: Val,
        flags: FpFlags,
    ) -> Result<Vec<Opd>, CompileError> {
        let t = self.scalar(a)?;
        let (pa, pb, fast) = (self.parts(a)?, self.parts(b)?, fp_flags(flags));
        let reg = Reg::part(t);
        if t.is_complex() {
            return self.complex_bin(op, reg, &pa, &pb, fast);
        }
        let (x, y) = (&pa[0], &pb[0]);
        let result =
            if t.is_float() { self.float_bin(op, reg, x, y, fast) } else { self.int_bin(op, t, reg, x, y) };
        match result {
            Some(r) => Ok(vec![r]),
            None => Err(bug(self.f, format!("`{}` of {}", op.name(), t.name()))),
        }
    }

    fn float_bin(&mut self, op: BinOp, reg: Reg, x: &Opd, y: &Opd, fast: &str) -> Option<Opd> {
        let word = match op {
            BinOp::Add => "fadd",
            BinOp::Sub => "fsub",
            BinOp::Mul => "fmul",
            BinOp::Div => "fdiv",
            BinOp::Rem => return Some(self.math_call("fmod", reg, &[x, y])),
            BinOp::Min => return Some(self.intrinsic("minimum", fast, reg, &[x, y])),
            BinOp::Max => return Some(self.intrinsic("maximum", fast, reg, &[x, y])),
            BinOp::Copysign => return Some(self.intrinsic("copysign", "", reg, &[x, y])),
            _ => return math::bin_symbol(op).map(|name| self.math_call(name, reg, &[x, y])),
        };
        Some(self.def(format_args!("{word} {fast}{reg} {x}, {y}")))
    }

    fn int_bin(&mut self, op: BinOp, t: ScalarType, reg: Reg, x: &Opd, y: &Opd) -> Option<Opd> {
        let signed = t.is_signed();
        let word = match op {
            BinOp::Add => "add",
            BinOp::Sub => "sub",
            BinOp::Mul => "mul",
            BinOp::And => "and",
            BinOp::Or => "or",
            BinOp::Xor => "xor",
            BinOp::Min => {
                return Some(self.intrinsic(if signed { "smin" } else { "umin" }, "", reg, &[x, y]));
            }
            BinOp::Max => {
                return Some(self.intrinsic(if signed { "smax" } else { "umax" }, "", reg, &[x, y]));
            }
            BinOp::Div | BinOp::Rem => return Some(self.int_div(op, signed, reg, x, y)),
            BinOp::Shl | BinOp::Shr => return Some(self.shift(op, signed, reg, x, y)),
            _ => return None,
        };
        Some(self.def(format_args!("{word} {reg} {x}, {y}")))
    }

    /// Divides by one instead of by zero, and instead of `MIN / -1`: the latter two agree with what is asked for
    /// (`MIN / 1` is `MIN`, `MIN % 1` is 0), and so does the remainder by zero (`x % 1` is 0).
    fn int_div(&mut self, op: BinOp, signed: bool, reg: Reg, x: &Opd, y: &Opd) -> Opd {
        let zero = self.def(format_args!("icmp eq {reg} {y}, 0"));
        let mut unsafe_divisor = zero.clone();
        if signed {
            let least = literal(reg, 1 << (reg.bits() - 1));
            let minus_one = self.def(format_args!("icmp eq {reg} {y}, -1"));
            let min = self.def(format_args!("icmp eq {reg} {x}, {least}"));
            let overflow = self.def(format_args!("and i1 {minus_one}, {min}"));
            unsafe_divisor = self.def(format_args!("or i1 {zero}, {overflow}"));
        }
        let divisor = self.def(format_args!("select i1 {unsafe_divisor}, {reg} 1, {reg} {y}"));
        let sign = if signed { 's' } else { 'u' };
        if op == BinOp::Rem {
            return self.def(format_args!("{sign}rem {reg} {x}, {divisor}"));
        }
        let quotient = self.def(format_args!("{sign}div {reg} {x}, {divisor}"));
        self.def(format_args!("select i1 {zero}, {reg} 0, {reg} {quotient}"))
    }

    /// An out-of-range shift is poison to LLVM, which is harmless in the arm of a `select` that is not chosen. A negative
    /// count is out of range as an unsigned number.
    fn shift(&mut self, op: BinOp, signed: bool, reg: Reg, x: &Opd, count: &Opd) -> Opd {
        let bits = reg.bits();
        if op == BinOp::Shr && signed {
            let most = Opd::int(i64::from(bits - 1));
            let count = self.intrinsic("umin", "", reg, &[count, &most]);
            return self.def(format_args!("ashr {reg} {x}, {count}"));
        }
        let word = if op == BinOp::Shl { "shl" } else { "lshr" };
        let fits = self.def(format_args!("icmp ult {reg} {count}, {bits}"));
        let shifted = self.def(format_args!("{word} {reg} {x}, {count}"));
        self.def(format_args!("select i1 {fits}, {reg} {shifted}, {reg} 0"))
    }

    fn complex_bin(
        &mut self,
        op: BinOp,
        reg: Reg,
        a: &[Opd],
        b: &[Opd],
        fast: &str,
    ) -> Result<Vec<Opd>, CompileError> {
        let mut float = |word: &str, x: &Opd, y: &Opd| self.def(format_args!("{word} {fast}{reg} {x}, {y}"));
        Ok(match op {
            BinOp::Add => vec![float("fadd", &a[0], &b[0]), float("fadd", &a[1], &b[1])],
            BinOp::Sub => vec![float("fsub", &a[0], &b[0]), float("fsub", &a[1], &b[1])],
            BinOp::Mul => {
                let (rr, ii) = (float("fmul", &a[0], &b[0]), float("fmul", &a[1], &b[1]));
                let (ri, ir) = (float("fmul", &a[0], &b[1]), float("fmul", &a[1], &b[0]));
                vec![float("fsub", &rr, &ii), float("fadd", &ri, &ir)]
            }
            other => return Err(bug(self.f, format!("`{}` of complex numbers", other.name()))),
        })
    }

    pub(super) fn cmp(&mut self, op: CmpOp, a: Val, b: Val) -> Result<Opd, CompileError> {
        let t = self.scalar(a)?;
        let (pa, pb, reg) = (self.parts(a)?, self.parts(b)?, Reg::part(t));
        let (x, y) = (&pa[0], &pb[0]);
        if t.is_float() || t.is_complex() {
            let predicate = match op {
                CmpOp::Eq => "oeq",
                CmpOp::Ne => "une",
                CmpOp::Lt => "olt",
                CmpOp::Le => "ole",
                CmpOp::Gt => "ogt",
                CmpOp::Ge => "oge",
            };
            let first = self.def(format_args!("fcmp {predicate} {reg} {x}, {y}"));
            if !t.is_complex() {
                return Ok(first);
            }
            let second = self.def(format_args!("fcmp {predicate} {reg} {}, {}", pa[1], pb[1]));
            return match op {
                CmpOp::Eq => Ok(self.def(format_args!("and i1 {first}, {second}"))),
                CmpOp::Ne => Ok(self.def(format_args!("or i1 {first}, {second}"))),
                other => Err(bug(self.f, format!("`{}` of complex numbers", other.name()))),
            };
        }
        let signed = t.is_signed();
        let predicate = match op {
            CmpOp::Eq => "eq",
            CmpOp::Ne => "ne",
            CmpOp::Lt if signed => "slt",
            CmpOp::Le if signed => "sle",
            CmpOp::Gt if signed => "sgt",
            CmpOp::Ge if signed => "sge",
            CmpOp::Lt => "ult",
            CmpOp::Le => "ule",
            CmpOp::Gt => "ugt",
            CmpOp::Ge => "uge",
        };
        Ok(self.def(format_args!("icmp {predicate} {reg} {x}, {y}")))
    }

    /// A call of a C library function. The x86-64 C ABI passes and returns a complex double as two doubles in registers,
    /// which is what LLVM does with a pair.
    pub(super) fn lib(&mut self, f: LibFn, args: &[Val]) -> Result<Vec<Opd>, CompileError> {
        let args = self.typed(args)?;
        let result = match f.signature().1 {
            ScalarType::C128 => "{ double, double }".to_string(),
            other => Reg::part(other).to_string(),
        };
        let types: Vec<String> = args.iter().map(|(reg, _)| reg.to_string()).collect();
        let symbol = math::lib_symbol(f);
        self.unit.declarations.insert(format!("declare {result} @{symbol}({}) #2", types.join(", ")));
        let list: Vec<String> = args.iter().map(|(reg, a)| format!("{reg} {a}")).collect();
        let whole = self.def(format_args!("call {result} @{symbol}({}) #2", list.join(", ")));
        if f.signature().1 != ScalarType::C128 {
            return Ok(vec![whole]);
        }
        Ok((0..2).map(|i| self.def(format_args!("extractvalue {result} {whole}, {i}"))).collect())
    }
}

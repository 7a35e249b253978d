//! Conversions between scalar types, as `Emit::cast` defines them.

use super::bug;
use super::function::Lowering;
use super::reg::{Opd, Reg, literal};
use pantile_jit::CompileError;
use pantile_types::{ScalarType, Val};

impl Lowering<'_, '_> {
    pub(super) fn cast(&mut self, v: Val, to: ScalarType) -> Result<Vec<Opd>, CompileError> {
        let from = self.scalar(v)?;
        let parts = self.parts(v)?;
        if from == to {
            return Ok(parts.to_vec());
        }
        if to.is_complex() {
            let re = self.cast_part(from.part(), to.part(), &parts[0]);
            let im = match parts.get(1) {
                Some(im) => self.cast_part(from.part(), to.part(), im),
                None => literal(Reg::part(to), 0),
            };
            return Ok(vec![re, im]);
        }
        if from.is_complex() && to == ScalarType::Bool {
            let re = self.cast_part(from.part(), to, &parts[0]);
            let im = self.cast_part(from.part(), to, &parts[1]);
            return Ok(vec![self.def(format_args!("or i1 {re}, {im}"))]);
        }
        Ok(vec![self.cast_part(from.part(), to, &parts[0])])
    }

    /// Converts between types that are not complex.
    fn cast_part(&mut self, from: ScalarType, to: ScalarType, x: &Opd) -> Opd {
        let (a, b) = (Reg::part(from), Reg::part(to));
        if from == to {
            return x.clone();
        }
        if to == ScalarType::Bool {
            return if from.is_float() {
                let zero = literal(a, 0);
                self.def(format_args!("fcmp une {a} {x}, {zero}"))
            } else {
                self.def(format_args!("icmp ne {a} {x}, 0"))
            };
        }
        match (from.is_float(), to.is_float()) {
            (true, true) => self.float_to_float(a, b, x),
            (true, false) => self.float_to_int(a, to, x),
            (false, true) => {
                let word = if from.is_signed() { "sitofp" } else { "uitofp" };
                // Any integer that fits a half is exact as a single; any other is infinite in both.
                if b == Reg::Half {
                    let single = self.def(format_args!("{word} {a} {x} to float"));
                    return self.def(format_args!("fptrunc float {single} to half"));
                }
                self.def(format_args!("{word} {a} {x} to {b}"))
            }
            (false, false) if b.bits() < a.bits() => self.def(format_args!("trunc {a} {x} to {b}")),
            (false, false) if b.bits() == a.bits() => x.clone(),
            (false, false) => {
                let word = if from.is_signed() { "sext" } else { "zext" };
                self.def(format_args!("{word} {a} {x} to {b}"))
            }
        }
    }

    fn float_to_float(&mut self, a: Reg, b: Reg, x: &Opd) -> Opd {
        match (a, b) {
            (Reg::Double, Reg::Half) => self.double_to_half(x),
            // The machine converts halves to singles and back; the second step of the way up is exact.
            (Reg::Half, Reg::Double) => {
                let single = self.def(format_args!("fpext half {x} to float"));
                self.def(format_args!("fpext float {single} to double"))
            }
            _ if a.bits() < b.bits() => self.def(format_args!("fpext {a} {x} to {b}")),
            _ => self.def(format_args!("fptrunc {a} {x} to {b}")),
        }
    }

    /// Converts without rounding twice: the single in between is rounded to odd (towards zero, with the last bit set if
    /// anything was lost), from which rounding to half gives what rounding the double would. LLVM's own way is a library
    /// call an element.
    fn double_to_half(&mut self, x: &Opd) -> Opd {
        let near = self.def(format_args!("fptrunc double {x} to float"));
        let back = self.def(format_args!("fpext float {near} to double"));
        let inexact = self.def(format_args!("fcmp one double {back}, {x}"));
        let (size_back, size_x) = (
            self.intrinsic("fabs", "", Reg::Double, &[&back]),
            self.intrinsic("fabs", "", Reg::Double, &[x]),
        );
        let above = self.def(format_args!("fcmp ogt double {size_back}, {size_x}"));
        let bits = self.def(format_args!("bitcast float {near} to i32"));
        let less = self.def(format_args!("sext i1 {above} to i32"));
        let towards_zero = self.def(format_args!("add i32 {bits}, {less}"));
        let lost = self.def(format_args!("zext i1 {inexact} to i32"));
        let odd = self.def(format_args!("or i32 {towards_zero}, {lost}"));
        let single = self.def(format_args!("bitcast i32 {odd} to float"));
        self.def(format_args!("fptrunc float {single} to half"))
    }

    /// Truncates, through the 32- or 64-bit signed conversion whose out-of-range result is the least integer.
    ///
    /// LLVM's conversion is poison out of range, so that it sits in the arm of a `select` not chosen there. One comparison
    /// suffices: what it excludes although it is in range truncates to the least integer, which is the other arm.
    fn float_to_int(&mut self, a: Reg, to: ScalarType, x: &Opd) -> Opd {
        let (a, x) = match a {
            Reg::Half => (Reg::Float, self.def(format_args!("fpext half {x} to float"))),
            _ => (a, x.clone()),
        };
        if to == ScalarType::U64 {
            return self.float_to_u64(a, &x);
        }
        self.float_to_signed(a, to, &x)
    }

    /// Values of 2^63 and more are converted less 2^63, and the top bit is flipped after.
    fn float_to_u64(&mut self, a: Reg, x: &Opd) -> Opd {
        let limit = power_of_two(a, 63);
        let large = self.def(format_args!("fcmp oge {a} {x}, {limit}"));
        let less = self.def(format_args!("fsub {a} {x}, {limit}"));
        let small = self.def(format_args!("select i1 {large}, {a} {less}, {a} {x}"));
        let converted = self.float_to_signed(a, ScalarType::I64, &small);
        let flipped = self.def(format_args!("xor i64 {converted}, {}", i64::MIN));
        self.def(format_args!("select i1 {large}, i64 {flipped}, i64 {converted}"))
    }

    fn float_to_signed(&mut self, a: Reg, to: ScalarType, x: &Opd) -> Opd {
        let wide = match to {
            ScalarType::I8 | ScalarType::I16 | ScalarType::U8 | ScalarType::U16 | ScalarType::I32 => Reg::I32,
            _ => Reg::I64,
        };
        let limit = power_of_two(a, wide.bits() as i32 - 1);
        let least = literal(wide, 1 << (wide.bits() - 1));
        let size = self.intrinsic("fabs", "", a, &[x]);
        let fits = self.def(format_args!("fcmp olt {a} {size}, {limit}"));
        let converted = self.def(format_args!("fptosi {a} {x} to {wide}"));
        let whole = self.def(format_args!("select i1 {fits}, {wide} {converted}, {wide} {least}"));
        let b = Reg::part(to);
        if b == wide { whole } else { self.def(format_args!("trunc {wide} {whole} to {b}")) }
    }

    pub(super) fn bitcast(&mut self, v: Val, to: ScalarType) -> Result<Opd, CompileError> {
        let from = self.scalar(v)?;
        let x = self.one(v)?;
        let (a, b) = (Reg::part(from), Reg::part(to));
        Ok(match (a, b) {
            _ if a == b => x,
            (Reg::I1, _) => self.def(format_args!("zext i1 {x} to {b}")),
            (_, Reg::I1) => return Err(bug(self.f, "a bitcast to bool")),
            _ => self.def(format_args!("bitcast {a} {x} to {b}")),
        })
    }
}

fn power_of_two(reg: Reg, exponent: i32) -> Opd {
    match reg {
        Reg::Double => literal(reg, 2f64.powi(exponent).to_bits()),
        _ => literal(reg, u64::from(2f32.powi(exponent).to_bits())),
    }
}

//! File tests: a program in the text form, and lines that say what calling it gives.
//!
//! ```text
//! ; run: @f(1, 2.5) -> 3.5                                    results, separated by commas
//! ; run: @sum([[1.0, 2.0], [3.0, 4.0]]) -> 10.0               an array for a view
//! ; run: @sin(1.0) -> ~0.8414709848078965                     at most 4 ulp away
//! ; run: @fill([0, 0], 7) -> nothing where arg0 = [7, 7]      an argument after the call
//! ; run: @get([1], 3) -> trap index_out_of_bounds
//! ```
//! Values are written as literals of the text form; a tuple and a complex number are in parentheses. An array without
//! elements has its shape written as that of nested empty lists. Arrays that no `where` mentions must not change.
//!
//! Every call is made twice: with compact arrays, and with arrays that lie backwards in memory with gaps.
//! The module is printed, parsed again and compared first, so that every file also tests the text form.

use crate::backend::{Backend, Executable};
use crate::ir::{FuncId, Module, Type};
use crate::testing::value::{Layout, Value, call};
use crate::text::{parse_module, parse_scalar, print_module};
use crate::typing::param_types;
use crate::verify::verify;
use pantile_types::{Scalar, ScalarType};
use rustc_hash::FxHashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// Runs every `run:` line of a file through a backend. Gives their number, or what went wrong.
pub fn run_file(name: &str, text: &str, backend: &dyn Backend) -> Result<usize, String> {
    let module = parse_module(text).map_err(|e| format!("{name}: {e}"))?;
    verify(&module).map_err(|e| format!("{name}: {e}"))?;
    let printed = print_module(&module);
    match parse_module(&printed) {
        Ok(again) if again == module => {}
        Ok(_) => return Err(format!("{name}: printed and parsed again it is another module\n{printed}")),
        Err(e) => return Err(format!("{name}: its printed form does not parse: {e}")),
    }
    let mut runs = 0;
    // A file calls each of its functions many times, and compiling is what takes time.
    let mut compiled = FxHashMap::default();
    for (i, line) in text.lines().enumerate() {
        if let Some(run) = line.trim_start().strip_prefix("; run:") {
            run_line(&module, run, backend, &mut compiled)
                .map_err(|e| format!("{name}, line {}, {}: {e}", i + 1, backend.name()))?;
            runs += 1;
        }
    }
    if runs == 0 { Err(format!("{name} has no `; run:` line")) } else { Ok(runs) }
}

type Compiled = FxHashMap<FuncId, Arc<dyn Executable>>;

fn run_line(
    module: &Module,
    run: &str,
    backend: &dyn Backend,
    compiled: &mut Compiled,
) -> Result<(), String> {
    let mut reader = Reader { rest: run.trim() };
    let id = reader.function(module)?;
    let function = module.get(id);
    let params = param_types(function);
    let args = reader.list(&params, "(", ")")?;
    reader.expect("->")?;
    let expected = Expected::read(&mut reader, &function.returns, &params, &args)?;
    let code = match compiled.entry(id) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => entry.insert(backend.compile(module, id).map_err(|e| e.to_string())?),
    };
    for layout in [Layout::Compact, Layout::Scattered] {
        let got = call(&**code, function, &args, layout).map_err(|e| format!("{layout:?} arrays: {e}"))?;
        expected.check(&got).map_err(|e| format!("{layout:?} arrays: {e}"))?;
    }
    Ok(())
}

/// A value, and whether 4 ulp make no difference.
type Wanted = (Value, bool);

struct Expected {
    results: Result<Vec<Wanted>, String>,
    args: Vec<Wanted>,
}

impl Expected {
    fn read(
        reader: &mut Reader<'_>,
        returns: &[Type],
        params: &[Type],
        before: &[Value],
    ) -> Result<Expected, String> {
        let mut args: Vec<Wanted> = before.iter().map(|v| (v.clone(), false)).collect();
        let results = if reader.accept("trap") {
            let end = reader.rest.find(" where ").unwrap_or(reader.rest.len());
            let (code, rest) = reader.rest.split_at(end);
            reader.rest = rest.trim_start();
            Err(code.to_string())
        } else if reader.accept("nothing") {
            if !returns.is_empty() {
                return Err(format!("the function gives {} values, not nothing", returns.len()));
            }
            Ok(Vec::new())
        } else {
            let mut results = Vec::new();
            for (i, t) in returns.iter().enumerate() {
                if i > 0 {
                    reader.expect(",")?;
                }
                results.push(reader.wanted(t)?);
            }
            Ok(results)
        };
        if reader.accept("where") {
            loop {
                reader.expect("arg")?;
                let i: usize =
                    reader.word().parse().map_err(|_| "an argument is `arg` and a number".to_string())?;
                reader.expect("=")?;
                let t = params.get(i).ok_or_else(|| format!("there is no argument {i}"))?;
                args[i] = reader.wanted(t)?;
                if !reader.accept(",") {
                    break;
                }
            }
        }
        if !reader.rest.is_empty() {
            return Err(format!("cannot read `{}`", reader.rest));
        }
        Ok(Expected { results, args })
    }

    fn check(&self, got: &crate::testing::Outcome) -> Result<(), String> {
        let matches = |(wanted, about): &Wanted, got: &Value| wanted.close(got, if *about { 4 } else { 0 });
        match (&self.results, &got.results) {
            (Ok(wanted), Ok(got)) => {
                for (i, (w, g)) in wanted.iter().zip(got).enumerate() {
                    if !matches(w, g) {
                        return Err(format!("result {i} is {g}, not {}", w.0));
                    }
                }
            }
            (Err(wanted), Err(code)) if *wanted == code.to_string() => {}
            (Err(wanted), Err(code)) => return Err(format!("trap {code}, not {wanted}")),
            (Ok(_), Err(code)) => return Err(format!("trap {code}")),
            (Err(wanted), Ok(_)) => return Err(format!("no trap, where {wanted} was expected")),
        }
        for (i, (w, g)) in self.args.iter().zip(&got.args).enumerate() {
            if !matches(w, g) {
                return Err(format!("argument {i} is {g} after the call, not {}", w.0));
            }
        }
        Ok(())
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn accept(&mut self, text: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.accept(text) { Ok(()) } else { Err(format!("expected `{text}` before `{}`", self.rest)) }
    }

    fn word(&mut self) -> &'a str {
        let end =
            self.rest.find(|c: char| !(c.is_alphanumeric() || "_.+-".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        word
    }

    fn function(&mut self, module: &Module) -> Result<FuncId, String> {
        self.expect("@")?;
        let name = self.word();
        let found = module.functions.iter().position(|f| f.name == name);
        found.map(|i| FuncId(i as u32)).ok_or_else(|| format!("there is no function @{name}"))
    }

    fn list(&mut self, types: &[Type], open: &str, close: &str) -> Result<Vec<Value>, String> {
        self.expect(open)?;
        let mut values = Vec::new();
        for (i, t) in types.iter().enumerate() {
            if i > 0 {
                self.expect(",")?;
            }
            values.push(self.value(t)?);
        }
        self.expect(close)?;
        Ok(values)
    }

    fn wanted(&mut self, t: &Type) -> Result<Wanted, String> {
        let about = self.accept("~");
        Ok((self.value(t)?, about))
    }

    fn value(&mut self, t: &Type) -> Result<Value, String> {
        match t {
            Type::Scalar(s) => Ok(Value::Scalar(self.scalar(*s)?)),
            Type::Tuple(types) => Ok(Value::Tuple(self.list(types, "(", ")")?)),
            Type::View(v) => {
                let mut shape = vec![None; v.strides.len()];
                let mut elems = Vec::new();
                self.array(v.elem, &mut shape, 0, &mut elems)?;
                Ok(Value::Array(shape.into_iter().map(|n| n.unwrap_or(0)).collect(), elems))
            }
        }
    }

    fn array(
        &mut self,
        t: ScalarType,
        shape: &mut [Option<usize>],
        axis: usize,
        elems: &mut Vec<Scalar>,
    ) -> Result<(), String> {
        if axis == shape.len() {
            elems.push(self.scalar(t)?);
            return Ok(());
        }
        self.expect("[")?;
        let mut n = 0;
        while !self.accept("]") {
            if n > 0 {
                self.expect(",")?;
            }
            self.array(t, shape, axis + 1, elems)?;
            n += 1;
        }
        if shape[axis].is_some_and(|known| known != n) {
            return Err("the rows of an array differ in length".into());
        }
        shape[axis] = Some(n);
        Ok(())
    }

    fn scalar(&mut self, t: ScalarType) -> Result<Scalar, String> {
        if t.is_complex() {
            self.expect("(")?;
            let re = self.scalar(t.part())?;
            self.expect(",")?;
            let im = self.scalar(t.part())?;
            self.expect(")")?;
            return Ok(Scalar::from_bits(t, re.bits() | im.bits() << (t.part().size() * 8)));
        }
        let word = self.word();
        if word == "nan" && self.rest.starts_with('(') {
            let end = self.rest.find(')').ok_or("a NaN's bits are written nan(0x...)")? + 1;
            let (bits, rest) = self.rest.split_at(end);
            self.rest = rest.trim_start();
            return parse_scalar(t, &format!("nan{bits}"));
        }
        parse_scalar(t, word)
    }
}

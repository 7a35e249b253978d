//! From text to data.
//!
//! In two steps. The first reads the text as it stands, with names in place of values, blocks and functions. The second,
//! when all signatures are known, resolves names and infers the types of results in an order in which definitions come
//! before uses.

use crate::canonical::reverse_postorder;
use crate::ir::{
    Block, BlockId, Bounds, FpFlags, FuncId, Function, Inst, InstData, InstId, Module, ParamAttrs, Stride,
    Target, Terminator, TrapCode, Type, Vals, ViewType,
};
use crate::text::lex::{Kind, Token, lex};
use crate::text::literal::parse_scalar;
use crate::typing;
use pantile_types::{BinOp, CmpOp, LibFn, Scalar, ScalarType, UnOp, Val};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// Text that is no module. Displayed with the line and a caret under the place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The line, counted from one.
    pub line: usize,
    /// The column in characters, counted from one.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The text of the line.
    pub source: String,
}

impl std::error::Error for ParseError {}

impl std::fmt::Display for ParseError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ParseError { line, column, message, source } = self;
        let margin = " ".repeat(line.to_string().len());
        writeln!(f, "line {line}, column {column}: {message}")?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{line} | {source}")?;
        write!(f, "{margin} | {}^", " ".repeat(column - 1))
    }
}

/// Reads a module. The result is canonical, and not yet verified.
pub fn parse_module(text: &str) -> Result<Module, ParseError> {
    let mut parser = Parser { text, tokens: lex(text), pos: 0, callees: Vec::new() };
    parser.module().map_err(|(at, message)| error_at(text, at, message))
}

fn error_at(text: &str, at: usize, message: String) -> ParseError {
    let start = text[..at].rfind('\n').map_or(0, |i| i + 1);
    let end = text[at..].find('\n').map_or(text.len(), |i| at + i);
    ParseError {
        line: text[..start].matches('\n').count() + 1,
        column: text[start..at].chars().count() + 1,
        message,
        // A tab would put the caret under the wrong character; a very long line would drown the message.
        source: text[start..end].replace(['\t', '\r'], " ").chars().take(400).collect(),
    }
}

/// Where in the text, and what is wrong there.
type Failure = (usize, String);
type Parsed<T> = Result<T, Failure>;

/// A function as read: values and blocks have the numbers that the text gives them.
struct Raw<'a> {
    at: usize,
    name: String,
    params: Vec<(u32, Type)>,
    attrs: Vec<ParamAttrs>,
    returns: Vec<Type>,
    blocks: Vec<RawBlock<'a>>,
}

struct RawBlock<'a> {
    at: usize,
    label: &'a str,
    params: Vec<(u32, Type)>,
    insts: Vec<(usize, InstData)>,
    end: (usize, Terminator),
    /// The labels of the terminator's targets; its block numbers are made from them later.
    targets: SmallVec<[&'a str; 2]>,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token<'a>>,
    pos: usize,
    /// Names of called functions, by the provisional `FuncId` in the raw instruction.
    callees: Vec<(usize, String)>,
}

impl<'a> Parser<'a> {
    // ---- tokens ----

    fn peek(&self) -> Token<'a> {
        self.tokens[self.pos]
    }

    fn next(&mut self) -> Token<'a> {
        let t = self.peek();
        if t.kind != Kind::End {
            self.pos += 1;
        }
        t
    }

    fn fail<T>(&self, t: Token<'a>, expected: &str) -> Parsed<T> {
        let found = match t.kind {
            Kind::End => "the end of the text".to_string(),
            Kind::Function => format!("`@{}`", t.text),
            _ => format!("`{}`", t.text),
        };
        Err((t.at, format!("expected {expected}, found {found}")))
    }

    fn accept(&mut self, text: &str) -> bool {
        let t = self.peek();
        let yes = matches!(t.kind, Kind::Sign | Kind::Word) && t.text == text;
        if yes {
            self.pos += 1;
        }
        yes
    }

    fn expect(&mut self, text: &str) -> Parsed<()> {
        if self.accept(text) { Ok(()) } else { self.fail(self.peek(), &format!("`{text}`")) }
    }

    fn word(&mut self, expected: &str) -> Parsed<&'a str> {
        let t = self.next();
        if t.kind == Kind::Word { Ok(t.text) } else { self.fail(t, expected) }
    }

    fn integer(&mut self) -> Parsed<u32> {
        let t = self.next();
        match t.text.parse() {
            Ok(n) if t.kind == Kind::Number => Ok(n),
            _ => self.fail(t, "a number below 4294967296"),
        }
    }

    fn is_value(t: Token<'a>) -> Option<u32> {
        let digits = t.text.strip_prefix('v')?;
        let plain = t.kind == Kind::Word && digits.bytes().all(|c| c.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    }

    fn value(&mut self) -> Parsed<Val> {
        let t = self.next();
        match Self::is_value(t) {
            Some(n) => Ok(Val(n)),
            None => self.fail(t, "a value (v0, v1, ...)"),
        }
    }

    /// Values separated by commas, up to a sign that the caller checks.
    fn values(&mut self) -> Parsed<Vals> {
        let mut list = Vals::new();
        if Self::is_value(self.peek()).is_some() {
            list.push(self.value()?);
            while self.accept(",") {
                list.push(self.value()?);
            }
        }
        Ok(list)
    }

    fn is_label(t: Token<'a>) -> bool {
        t.kind == Kind::Word
            && t.text
                .strip_prefix('b')
                .is_some_and(|d| !d.is_empty() && d.bytes().all(|c| c.is_ascii_digit()))
    }

    fn label(&mut self) -> Parsed<&'a str> {
        let t = self.next();
        if Self::is_label(t) { Ok(t.text) } else { self.fail(t, "a block (b0, b1, ...)") }
    }

    fn function_name(&mut self) -> Parsed<String> {
        let t = self.next();
        if t.kind != Kind::Function || t.text.is_empty() {
            return self.fail(t, "a function (@name)");
        }
        let Some(quoted) = t.text.strip_prefix('"') else {
            return Ok(t.text.to_string());
        };
        let mut name = String::new();
        let mut chars = quoted.chars();
        loop {
            match chars.next() {
                Some('"') if chars.as_str().is_empty() => return Ok(name),
                Some('\\') => match chars.next() {
                    Some(c @ ('"' | '\\')) => name.push(c),
                    _ => return Err((t.at, "only `\\\"` and `\\\\` are escapes in a name".into())),
                },
                Some(c) => name.push(c),
                None => return Err((t.at, "a name without a closing quote".into())),
            }
        }
    }

    fn callee(&mut self) -> Parsed<FuncId> {
        let at = self.peek().at;
        let name = self.function_name()?;
        self.callees.push((at, name));
        Ok(FuncId(self.callees.len() as u32 - 1))
    }

    // ---- types ----

    fn scalar_type(&mut self) -> Parsed<ScalarType> {
        let t = self.next();
        match ScalarType::from_name(t.text) {
            Some(s) if t.kind == Kind::Word => Ok(s),
            _ => self.fail(t, "a scalar type (bool, i8 ... u64, f16, f32, f64, c64, c128)"),
        }
    }

    fn ty(&mut self, depth: usize) -> Parsed<Type> {
        let at = self.peek().at;
        if depth > typing::MAX_DEPTH {
            return Err((at, format!("tuples nested more than {} deep", typing::MAX_DEPTH)));
        }
        if self.accept("tuple") {
            self.expect("<")?;
            let mut parts = Vec::new();
            if !self.accept(">") {
                parts.push(self.ty(depth + 1)?);
                while self.accept(",") {
                    parts.push(self.ty(depth + 1)?);
                }
                self.expect(">")?;
            }
            return Ok(Type::Tuple(parts.into()));
        }
        if self.accept("view") {
            self.expect("<")?;
            let elem = self.scalar_type()?;
            self.expect(";")?;
            let mut strides = SmallVec::new();
            while !self.accept(">") {
                let t = self.next();
                strides.push(match t.text {
                    "dyn" => Stride::Dynamic,
                    "unit" => Stride::Unit,
                    "zero" => Stride::Zero,
                    _ => return self.fail(t, "`dyn`, `unit`, `zero` or `>`"),
                });
            }
            return Ok(Type::View(ViewType { elem, strides }));
        }
        match ScalarType::from_name(self.peek().text) {
            Some(_) => Ok(Type::Scalar(self.scalar_type()?)),
            None => self.fail(self.peek(), "a type (f64, view<f64; dyn>, tuple<i64, f64>, ...)"),
        }
    }

    fn whole_type(&mut self) -> Parsed<Type> {
        let at = self.peek().at;
        let t = self.ty(0)?;
        typing::check_size(&t).map_err(|e| (at, e))?;
        Ok(t)
    }

    fn literal(&mut self, ty: ScalarType) -> Parsed<Scalar> {
        let at = self.peek().at;
        if ty.is_complex() {
            self.expect("(")?;
            let re = self.literal(ty.part())?;
            self.expect(",")?;
            let im = self.literal(ty.part())?;
            self.expect(")")?;
            let bits = re.bits() | im.bits() << (ty.part().size() * 8);
            return Ok(Scalar::from_bits(ty, bits));
        }
        let t = self.next();
        if !matches!(t.kind, Kind::Word | Kind::Number) {
            return self.fail(t, &format!("a literal of type {}", ty.name()));
        }
        let mut end = t.at + t.text.len();
        if t.text == "nan" && self.accept("(") {
            let bits = self.next();
            self.expect(")")?;
            end = bits.at + bits.text.len() + 1;
            if self.text.as_bytes().get(end - 1) != Some(&b')') || bits.at != t.at + 4 {
                return Err((at, "the bits of a NaN are written nan(0x...), without spaces".into()));
            }
        }
        parse_scalar(ty, &self.text[at..end]).map_err(|e| (at, e))
    }

    // ---- functions ----

    fn function(&mut self) -> Parsed<Raw<'a>> {
        self.expect("func")?;
        let at = self.peek().at;
        let name = self.function_name()?;
        self.expect("(")?;
        let (mut params, mut attrs) = (Vec::new(), Vec::new());
        while !self.accept(")") {
            if !params.is_empty() {
                self.expect(",")?;
            }
            params.push(self.parameter()?);
            let noalias = self.accept("noalias");
            let readonly = self.accept("readonly");
            attrs.push(ParamAttrs { noalias, readonly });
        }
        self.expect("->")?;
        self.expect("(")?;
        let mut returns = Vec::new();
        while !self.accept(")") {
            if !returns.is_empty() {
                self.expect(",")?;
            }
            returns.push(self.whole_type()?);
        }
        self.expect("{")?;
        let mut blocks = vec![self.block()?];
        while !self.accept("}") {
            blocks.push(self.block()?);
        }
        Ok(Raw { at, name, params, attrs, returns, blocks })
    }

    fn parameter(&mut self) -> Parsed<(u32, Type)> {
        let v = self.value()?;
        self.expect(":")?;
        Ok((v.0, self.whole_type()?))
    }

    fn block(&mut self) -> Parsed<RawBlock<'a>> {
        let start = self.peek().at;
        let label = self.label()?;
        let mut params = Vec::new();
        if self.accept("(") {
            params.push(self.parameter()?);
            while self.accept(",") {
                params.push(self.parameter()?);
            }
            self.expect(")")?;
        }
        self.expect(":")?;
        let mut insts = Vec::new();
        loop {
            let at = self.peek().at;
            let mut targets = SmallVec::new();
            if let Some(end) = self.terminator(&mut targets)? {
                return Ok(RawBlock { at: start, label, params, insts, end: (at, end), targets });
            }
            let results = self.values()?;
            if !results.is_empty() {
                self.expect("=")?;
            }
            let inst = self.inst()?;
            insts.push((at, InstData { inst, results }));
        }
    }

    fn target(&mut self, targets: &mut SmallVec<[&'a str; 2]>) -> Parsed<Target> {
        targets.push(self.label()?);
        let mut args = Vals::new();
        if self.accept("(") {
            args = self.values()?;
            self.expect(")")?;
        }
        Ok(Target { block: BlockId(0), args })
    }

    fn terminator(&mut self, targets: &mut SmallVec<[&'a str; 2]>) -> Parsed<Option<Terminator>> {
        if self.accept("jump") {
            return Ok(Some(Terminator::Jump(self.target(targets)?)));
        }
        if self.accept("branch") {
            let c = self.value()?;
            self.expect(",")?;
            let then = self.target(targets)?;
            self.expect(",")?;
            return Ok(Some(Terminator::Branch(c, then, self.target(targets)?)));
        }
        if self.accept("return") {
            // A value after `return` that is followed by `=` would start an instruction, but a block ends here.
            return Ok(Some(Terminator::Return(self.values()?)));
        }
        if !self.accept("trap") {
            return Ok(None);
        }
        let t = self.next();
        Ok(Some(Terminator::Trap(match t.text {
            "index_out_of_bounds" => TrapCode::IndexOutOfBounds,
            "division_by_zero" => TrapCode::DivisionByZero,
            "overflow" => TrapCode::Overflow,
            "shape_mismatch" => TrapCode::ShapeMismatch,
            "unreachable" => TrapCode::Unreachable,
            "stack_overflow" => TrapCode::StackOverflow,
            "user" => {
                let t = self.peek();
                match u16::try_from(self.integer()?) {
                    Ok(n) => TrapCode::User(n),
                    Err(_) => return self.fail(t, "a number below 65536"),
                }
            }
            _ => {
                return self.fail(
                    t,
                    "a trap code (index_out_of_bounds, division_by_zero, overflow, shape_mismatch, unreachable, \
                     stack_overflow, user N)",
                );
            }
        })))
    }

    fn bounds(&mut self) -> Parsed<Bounds> {
        if self.accept("known") {
            Ok(Bounds::Known)
        } else if self.accept("checked") {
            Ok(Bounds::Checked)
        } else {
            self.fail(self.peek(), "`known` or `checked`")
        }
    }

    fn two(&mut self) -> Parsed<(Val, Val)> {
        let a = self.value()?;
        self.expect(",")?;
        Ok((a, self.value()?))
    }

    fn value_and_number(&mut self) -> Parsed<(Val, u32)> {
        let v = self.value()?;
        self.expect(",")?;
        Ok((v, self.integer()?))
    }

    fn indexed(&mut self) -> Parsed<(Val, Vals)> {
        let v = self.value()?;
        self.expect("[")?;
        let at = self.values()?;
        self.expect("]")?;
        Ok((v, at))
    }

    fn arguments(&mut self) -> Parsed<Vals> {
        self.expect("(")?;
        let args = self.values()?;
        self.expect(")")?;
        Ok(args)
    }

    fn inst(&mut self) -> Parsed<Inst> {
        let t = self.peek();
        let op = self.word("an instruction")?;
        if let Some(op) = UnOp::from_name(op) {
            return Ok(Inst::Un(op, self.value()?));
        }
        if let Some(op) = BinOp::from_name(op) {
            let reassoc = self.accept("reassoc");
            let contract = self.accept("contract");
            let (a, b) = self.two()?;
            return Ok(Inst::Bin(op, a, b, FpFlags { reassoc, contract }));
        }
        if let Some(op) = CmpOp::from_name(op) {
            let (a, b) = self.two()?;
            return Ok(Inst::Cmp(op, a, b));
        }
        if let Some(f) = LibFn::from_name(op) {
            return Ok(Inst::Lib(f, self.values()?));
        }
        Ok(match op {
            "const" => {
                let ty = self.scalar_type()?;
                Inst::Const(self.literal(ty)?)
            }
            "select" => {
                let c = self.value()?;
                self.expect(",")?;
                let (a, b) = self.two()?;
                Inst::Select(c, a, b)
            }
            "cast" | "bitcast" => {
                let v = self.value()?;
                self.expect("to")?;
                let to = self.scalar_type()?;
                if op == "cast" { Inst::Cast(v, to) } else { Inst::Bitcast(v, to) }
            }
            "complex" => {
                let (re, im) = self.two()?;
                Inst::Complex(re, im)
            }
            "tuple" => Inst::Tuple(self.arguments()?),
            "get" => {
                let (v, i) = self.value_and_number()?;
                Inst::TupleGet(v, i)
            }
            "len" => {
                let (v, axis) = self.value_and_number()?;
                Inst::ViewLen(v, axis)
            }
            "local" => {
                let elem = self.scalar_type()?;
                self.expect(",")?;
                Inst::LocalArray(elem, self.integer()?)
            }
            "subview" => {
                let base = self.value()?;
                self.expect("[")?;
                let offsets = self.values()?;
                self.expect(";")?;
                let lens = self.values()?;
                self.expect("]")?;
                Inst::SubView { base, offsets, lens }
            }
            "load" => {
                let (v, at) = self.indexed()?;
                Inst::Load(v, at, self.bounds()?)
            }
            "store" => {
                let (v, at) = self.indexed()?;
                self.expect(",")?;
                let value = self.value()?;
                Inst::Store(v, at, value, self.bounds()?)
            }
            "call" => {
                let callee = self.callee()?;
                Inst::Call(callee, self.arguments()?)
            }
            "parfor" => {
                let lo = self.value()?;
                self.expect("..")?;
                let hi = self.value()?;
                self.expect("grain")?;
                let grain = self.value()?;
                let body = self.callee()?;
                let captures = self.arguments()?;
                let init = if self.accept("init") { self.arguments()? } else { Vals::new() };
                let combine = if self.accept("combine") { Some(self.callee()?) } else { None };
                Inst::ParFor { lo, hi, grain, body, captures, init, combine }
            }
            _ => return self.fail(t, "an instruction"),
        })
    }

    // ---- the second step ----

    fn module(&mut self) -> Parsed<Module> {
        let mut raws = Vec::new();
        while self.peek().kind != Kind::End {
            raws.push(self.function()?);
        }
        let mut ids: FxHashMap<String, FuncId> = FxHashMap::default();
        for (i, raw) in raws.iter().enumerate() {
            if ids.insert(raw.name.clone(), FuncId(i as u32)).is_some() {
                return Err((raw.at, format!("two functions named @{}", raw.name)));
            }
        }
        let mut callees = Vec::with_capacity(self.callees.len());
        for (at, name) in &self.callees {
            match ids.get(name) {
                Some(id) => callees.push(*id),
                None => return Err((*at, format!("there is no function @{name}"))),
            }
        }
        let mut module = Module::default();
        let mut spans = Vec::new();
        for raw in raws {
            let (f, at) = resolve(raw, &callees)?;
            module.add(f);
            spans.push(at);
        }
        for (i, at) in spans.iter().enumerate() {
            let types = infer(&module, &module.functions[i], at)?;
            module.functions[i].value_types = types;
        }
        Ok(module)
    }
}

/// Where the pieces of a function stand in the text.
struct Spans {
    blocks: Vec<usize>,
    insts: Vec<usize>,
    /// The types that the text gives: those of parameters.
    given: Vec<Option<Type>>,
}

/// Gives values and blocks their final numbers. Types of results stay open; parameters have theirs.
fn resolve(raw: Raw<'_>, callees: &[FuncId]) -> Parsed<(Function, Spans)> {
    let mut labels = FxHashMap::default();
    for (i, block) in raw.blocks.iter().enumerate() {
        if labels.insert(block.label, BlockId(i as u32)).is_some() {
            return Err((block.at, format!("two blocks named {}", block.label)));
        }
    }
    if !raw.blocks[0].params.is_empty() {
        return Err((
            raw.blocks[0].at,
            "the first block's parameters are the function's: it lists none".into(),
        ));
    }
    let mut names: FxHashMap<u32, Val> = FxHashMap::default();
    let mut given: Vec<Option<Type>> = Vec::new();
    let mut define = |at: usize, name: u32, t: Option<Type>| -> Parsed<Val> {
        let v = Val(given.len() as u32);
        given.push(t);
        match names.insert(name, v) {
            None => Ok(v),
            Some(_) => Err((at, format!("v{name} is defined twice"))),
        }
    };
    let mut blocks = Vec::with_capacity(raw.blocks.len());
    let (mut insts, mut inst_at, mut block_at) = (Vec::new(), Vec::new(), Vec::new());
    let mut function_params = Some(raw.params);
    let mut ends = Vec::new();
    for block in raw.blocks {
        let list = function_params.take().unwrap_or(block.params);
        let mut params = Vals::new();
        for (name, t) in list {
            params.push(define(block.at, name, Some(t))?);
        }
        let mut ids = Vec::with_capacity(block.insts.len());
        for (at, mut data) in block.insts {
            for r in &mut data.results {
                *r = define(at, r.0, None)?;
            }
            match &mut data.inst {
                Inst::Call(id, _) => *id = callees[id.index()],
                Inst::ParFor { body, combine, .. } => {
                    *body = callees[body.index()];
                    if let Some(c) = combine {
                        *c = callees[c.index()];
                    }
                }
                _ => {}
            }
            ids.push(InstId(insts.len() as u32));
            insts.push(data);
            inst_at.push(at);
        }
        let (at, mut end) = block.end;
        for (target, label) in end.targets_mut().zip(&block.targets) {
            target.block = match labels.get(label) {
                Some(b) => *b,
                None => return Err((at, format!("there is no block {label}"))),
            };
        }
        blocks.push(Block { params, insts: ids, end: Some(end) });
        ends.push(at);
        block_at.push(block.at);
    }
    let rename = |at: usize, v: &mut Val, failure: &mut Option<Failure>| match names.get(&v.0) {
        Some(new) => *v = *new,
        None => *failure = failure.take().or_else(|| Some((at, format!("v{} is not defined", v.0)))),
    };
    let mut failure = None;
    for (data, at) in insts.iter_mut().zip(&inst_at) {
        data.inst.visit_operands_mut(|v| rename(*at, v, &mut failure));
    }
    for (block, at) in blocks.iter_mut().zip(&ends) {
        if let Some(end) = &mut block.end {
            end.visit_operands_mut(|v| rename(*at, v, &mut failure));
        }
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    // Callers look up parameter types before this function's own types are inferred; results are not looked up.
    let value_types = given.iter().map(|t| t.clone().unwrap_or(Type::I64)).collect();
    let f =
        Function { name: raw.name, param_attrs: raw.attrs, returns: raw.returns, blocks, insts, value_types };
    Ok((f, Spans { blocks: block_at, insts: inst_at, given }))
}

/// The types of all values.
fn infer(module: &Module, f: &Function, spans: &Spans) -> Parsed<Vec<Type>> {
    let mut types = spans.given.clone();
    let order = reverse_postorder(f);
    if order.len() < f.blocks.len() {
        let mut reached = vec![false; f.blocks.len()];
        order.iter().for_each(|b| reached[b.index()] = true);
        let lost = reached.iter().position(|r| !r).unwrap_or(0);
        return Err((spans.blocks[lost], "this block cannot be reached".into()));
    }
    for block in order {
        for id in &f.blocks[block.index()].insts {
            let data = &f.insts[id.index()];
            let at = spans.insts[id.index()];
            let ty = |v: Val| match &types[v.0 as usize] {
                Some(t) => Ok(t.clone()),
                None => Err("an operand is used before it is defined".to_string()),
            };
            let found = typing::results(module, &data.inst, ty).map_err(|e| (at, e))?;
            if found.len() != data.results.len() {
                let message = format!("gives {} values, not {}", found.len(), data.results.len());
                return Err((at, message));
            }
            for (r, t) in data.results.iter().zip(found) {
                types[r.0 as usize] = Some(t);
            }
        }
    }
    // Every block was visited, so every value has its type.
    Ok(types.into_iter().map(|t| t.unwrap_or(Type::I64)).collect())
}

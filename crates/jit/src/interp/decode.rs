//! From functions to a compact register form.
//!
//! A function's values live in a frame of slots: constants first (copied in when the function is entered), then the
//! parameters in the layout of the calling convention, then everything else. Values that are parts of others (elements of
//! tuples, lengths of views, parts of complex numbers, the same bits as another type) share their slots: in SSA form a
//! path from a value's redefinition to a use of its part passes the part's definition, so the slots cannot change
//! in between. An edge becomes a list of slot moves.

use crate::canonical::reverse_postorder;
use crate::interp::scalar::{self, F1, F2, LibCall, Pair};
use crate::ir::{
    Bounds, FuncId, Function, Inst, InstData, Module, Stride, Target, Terminator, TrapCode, Type,
};
use crate::typing::param_types;
use pantile_types::{BinOp, CmpOp, ScalarType, UnOp, Val};
use rustc_hash::FxHashMap;

/// A slot of the frame.
pub(super) type Slot = u32;

/// How an element lies in memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Elem {
    Bool,
    B1,
    B2,
    B4,
    B8,
    /// Two parts of four bytes.
    C64,
    /// Two parts of eight bytes.
    C128,
}

impl Elem {
    fn of(t: ScalarType) -> Elem {
        match t {
            ScalarType::Bool => Elem::Bool,
            ScalarType::C64 => Elem::C64,
            ScalarType::C128 => Elem::C128,
            _ => match t.size() {
                1 => Elem::B1,
                2 => Elem::B2,
                4 => Elem::B4,
                _ => Elem::B8,
            },
        }
    }
}

/// A run of the function's pool of slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub start: u32,
    pub len: u32,
}

/// One step. Fields: `d` destination, `a` `b` operands, `c` condition.
pub(super) enum Op {
    F1 {
        f: F1,
        d: Slot,
        a: Slot,
    },
    F2 {
        f: F2,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    // The steps that loops are made of, without the call through a pointer.
    AddI64 {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    LtI64 {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    AddF64 {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    SubF64 {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    MulF64 {
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Complex1 {
        f: fn(Pair) -> Pair,
        d: Slot,
        a: Slot,
    },
    Complex2 {
        f: fn(Pair, Pair) -> Pair,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    ComplexTest {
        f: fn(Pair) -> u64,
        d: Slot,
        a: Slot,
    },
    ComplexCmp {
        f: fn(Pair, Pair) -> u64,
        d: Slot,
        a: Slot,
        b: Slot,
    },
    Select {
        d: Slot,
        c: Slot,
        a: Slot,
        b: Slot,
    },
    SelectMany {
        d: Slot,
        c: Slot,
        a: Slot,
        b: Slot,
        n: u32,
    },
    Copy {
        d: Slot,
        a: Slot,
    },
    Zero {
        d: Slot,
    },
    /// Destinations and sources in turn, moved one after the other.
    Moves {
        list: List,
    },
    Load1 {
        d: Slot,
        view: Slot,
        i: Slot,
        elem: Elem,
        checked: bool,
    },
    Load {
        d: Slot,
        view: Slot,
        at: List,
        elem: Elem,
        checked: bool,
    },
    Store1 {
        view: Slot,
        i: Slot,
        a: Slot,
        elem: Elem,
        checked: bool,
    },
    Store {
        view: Slot,
        at: List,
        a: Slot,
        elem: Elem,
        checked: bool,
    },
    /// Offsets, then lengths.
    SubView {
        d: Slot,
        base: Slot,
        list: List,
    },
    Local {
        d: Slot,
        offset: u32,
        len: u32,
        elem_size: u32,
    },
    Call {
        f: u32,
        args: List,
        d: Slot,
    },
    ParFor {
        site: u32,
    },
    Jump {
        to: u32,
    },
    /// Goes on with the next step if `c` holds.
    Branch {
        c: Slot,
        otherwise: u32,
    },
    Return {
        list: List,
    },
    Trap {
        code: TrapCode,
    },
}

/// A parallel loop's operands.
pub(super) struct ParForSite {
    pub lo: Slot,
    pub hi: Slot,
    pub grain: Slot,
    pub body: u32,
    pub captures: List,
    pub init: List,
    pub combine: Option<u32>,
    pub d: Slot,
}

/// A decoded function.
pub(super) struct Code {
    pub ops: Vec<Op>,
    pub pool: Vec<Slot>,
    pub par_fors: Vec<ParForSite>,
    pub constants: Vec<u64>,
    pub frame_len: u32,
    pub param_len: u32,
    pub local_bytes: u32,
}

/// The decoded entry function, which is the first, and all that it calls.
pub(super) struct Program {
    pub functions: Vec<Code>,
    pub params: Vec<Type>,
}

/// Writes the strides that the types fix, which callers leave out, into the slots of arguments.
pub(super) fn fix_strides(types: &[Type], slots: &mut [u64]) {
    fn walk(t: &Type, slots: &mut [u64], at: &mut usize) {
        match t {
            Type::Scalar(_) => *at += t.slots(),
            Type::Tuple(parts) => parts.iter().for_each(|p| walk(p, slots, at)),
            Type::View(v) => {
                let strides = *at + 1 + v.strides.len();
                for (axis, s) in v.strides.iter().enumerate() {
                    match s {
                        Stride::Dynamic => {}
                        Stride::Unit => slots[strides + axis] = v.elem.size() as u64,
                        Stride::Zero => slots[strides + axis] = 0,
                    }
                }
                *at += t.slots();
            }
        }
    }
    let mut at = 0;
    types.iter().for_each(|t| walk(t, slots, &mut at));
}

/// Decodes a verified module.
pub(super) fn decode(module: &Module, entry: FuncId) -> Program {
    let mut numbers = FxHashMap::default();
    numbers.insert(entry, 0);
    let mut order = vec![entry];
    let mut functions = Vec::new();
    while functions.len() < order.len() {
        let f = module.get(order[functions.len()]);
        functions.push(Decoder::new(f, &mut numbers, &mut order).run());
    }
    Program { functions, params: param_types(module.get(entry)) }
}

struct Decoder<'a> {
    f: &'a Function,
    numbers: &'a mut FxHashMap<FuncId, u32>,
    order: &'a mut Vec<FuncId>,
    /// The first slot of each value.
    slots: Vec<Slot>,
    code: Code,
    /// The first op of each block, once it is decoded.
    starts: Vec<u32>,
    /// Ops whose target is a block number until the end.
    patches: Vec<usize>,
    /// Free slots at the end of the frame for edges whose moves would overwrite each other.
    scratch: u32,
}

impl<'a> Decoder<'a> {
    fn new(f: &'a Function, numbers: &'a mut FxHashMap<FuncId, u32>, order: &'a mut Vec<FuncId>) -> Self {
        let code = Code {
            ops: Vec::new(),
            pool: Vec::new(),
            par_fors: Vec::new(),
            constants: Vec::new(),
            frame_len: 0,
            param_len: f.params().iter().map(|p| f.ty(*p).slots() as u32).sum(),
            local_bytes: 0,
        };
        let slots = vec![Slot::MAX; f.value_types.len()];
        let starts = vec![0; f.blocks.len()];
        Decoder { f, numbers, order, slots, code, starts, patches: Vec::new(), scratch: 0 }
    }

    fn run(mut self) -> Code {
        let blocks = reverse_postorder(self.f);
        self.place_constants();
        for b in &blocks {
            for p in &self.f.blocks[b.index()].params {
                self.allocate(*p);
            }
        }
        for b in &blocks {
            self.starts[b.index()] = self.code.ops.len() as u32;
            let block = &self.f.blocks[b.index()];
            for id in &block.insts {
                self.inst(&self.f.insts[id.index()]);
            }
            if let Some(end) = &block.end {
                self.terminator(end);
            }
        }
        for at in std::mem::take(&mut self.patches) {
            match &mut self.code.ops[at] {
                Op::Jump { to } => *to = self.starts[*to as usize],
                _ => unreachable!("only jumps wait for the place of a block"),
            }
        }
        let top = self.code.frame_len;
        for slot in self.code.pool.iter_mut().filter(|s| **s > Slot::MAX - self.scratch) {
            *slot = top + (Slot::MAX - *slot);
        }
        self.code.frame_len += self.scratch;
        self.code
    }

    // ---- slots ----

    /// Equal constants share slots.
    fn place_constants(&mut self) {
        let mut known = FxHashMap::default();
        for id in self.f.blocks.iter().flat_map(|b| &b.insts) {
            let data = &self.f.insts[id.index()];
            if let Inst::Const(s) = data.inst {
                let constants = &mut self.code.constants;
                let slot = *known.entry(s).or_insert_with(|| {
                    let at = constants.len() as Slot;
                    let bits = s.bits();
                    match s.ty() {
                        ScalarType::C64 => constants.extend([bits as u32 as u64, (bits >> 32) as u64]),
                        ScalarType::C128 => constants.extend([bits as u64, (bits >> 64) as u64]),
                        _ => constants.push(bits as u64),
                    }
                    at
                });
                self.slots[data.results[0].0 as usize] = slot;
            }
        }
        self.code.frame_len = self.code.constants.len() as u32;
    }

    fn allocate(&mut self, v: Val) -> Slot {
        let slot = self.code.frame_len;
        self.slots[v.0 as usize] = slot;
        self.code.frame_len += self.len(v);
        slot
    }

    fn share(&mut self, v: Val, slot: Slot) {
        self.slots[v.0 as usize] = slot;
    }

    fn slot(&self, v: Val) -> Slot {
        self.slots[v.0 as usize]
    }

    fn len(&self, v: Val) -> u32 {
        self.f.ty(v).slots() as u32
    }

    fn scalar(&self, v: Val) -> ScalarType {
        match self.f.ty(v) {
            Type::Scalar(s) => *s,
            other => unreachable!("the verifier has seen that v{} is a scalar, not {other}", v.0),
        }
    }

    fn elem(&self, view: Val) -> Elem {
        match self.f.ty(view) {
            Type::View(v) => Elem::of(v.elem),
            other => unreachable!("the verifier has seen that v{} is a view, not {other}", view.0),
        }
    }

    /// All slots of these values, in order.
    fn list(&mut self, values: &[Val]) -> List {
        let start = self.code.pool.len() as u32;
        for v in values {
            let first = self.slot(*v);
            self.code.pool.extend(first..first + self.len(*v));
        }
        List { start, len: self.code.pool.len() as u32 - start }
    }

    fn function(&mut self, id: FuncId) -> u32 {
        let order = &mut *self.order;
        *self.numbers.entry(id).or_insert_with(|| {
            order.push(id);
            order.len() as u32 - 1
        })
    }

    // ---- instructions ----

    fn inst(&mut self, data: &InstData) {
        let op = match &data.inst {
            Inst::Const(_) => return,
            Inst::Un(op, a) => match self.un(*op, *a, data.results[0]) {
                Some(op) => op,
                None => return,
            },
            Inst::Bin(op, a, b, _) => self.bin(*op, *a, *b, data.results[0]),
            Inst::Cmp(op, a, b) => self.cmp(*op, *a, *b, data.results[0]),
            Inst::Select(c, a, b) => {
                let (c, a, b, n) = (self.slot(*c), self.slot(*a), self.slot(*b), self.len(*a));
                let d = self.allocate(data.results[0]);
                if n == 1 { Op::Select { d, c, a, b } } else { Op::SelectMany { d, c, a, b, n } }
            }
            Inst::Cast(v, to) => return self.cast(*v, *to, data.results[0]),
            Inst::Bitcast(v, _) => return self.share(data.results[0], self.slot(*v)),
            Inst::Complex(re, im) => {
                let list = self.moves_into(data.results[0], &[*re, *im]);
                Op::Moves { list }
            }
            Inst::Tuple(parts) => {
                let list = self.moves_into(data.results[0], parts);
                Op::Moves { list }
            }
            Inst::TupleGet(v, i) => {
                let before = match self.f.ty(*v) {
                    Type::Tuple(parts) => parts[..*i as usize].iter().map(|t| t.slots() as u32).sum::<u32>(),
                    other => unreachable!("the verifier has seen that v{} is a tuple, not {other}", v.0),
                };
                return self.share(data.results[0], self.slot(*v) + before);
            }
            Inst::ViewLen(v, axis) => return self.share(data.results[0], self.slot(*v) + 1 + axis),
            Inst::LocalArray(elem, len) => {
                // Each array starts at a multiple of 16 bytes, which suits every element type.
                let offset = self.code.local_bytes.next_multiple_of(16);
                self.code.local_bytes = offset + elem.size() as u32 * len;
                let d = self.allocate(data.results[0]);
                Op::Local { d, offset, len: *len, elem_size: elem.size() as u32 }
            }
            Inst::Lib(f, args) => {
                let a = self.slot(args[0]);
                let b = args.get(1).map_or(a, |v| self.slot(*v));
                let d = self.allocate(data.results[0]);
                match scalar::lib(*f) {
                    LibCall::One(f) => Op::F1 { f, d, a },
                    LibCall::Two(f) => Op::F2 { f, d, a, b },
                    LibCall::Complex(f) => Op::Complex1 { f, d, a },
                    LibCall::Complex2(f) => Op::Complex2 { f, d, a, b },
                }
            }
            Inst::SubView { base, offsets, lens } => {
                let both: Vec<Val> = offsets.iter().chain(lens).copied().collect();
                let list = self.list(&both);
                let base = self.slot(*base);
                Op::SubView { d: self.allocate(data.results[0]), base, list }
            }
            Inst::Load(v, at, bounds) => {
                let (view, elem, checked) = (self.slot(*v), self.elem(*v), *bounds == Bounds::Checked);
                let list = self.list(at);
                let first = at.first().map(|i| self.slot(*i));
                let d = self.allocate(data.results[0]);
                match (first, at.len()) {
                    (Some(i), 1) => Op::Load1 { d, view, i, elem, checked },
                    _ => Op::Load { d, view, at: list, elem, checked },
                }
            }
            Inst::Store(v, at, value, bounds) => {
                let (view, elem, checked) = (self.slot(*v), self.elem(*v), *bounds == Bounds::Checked);
                let a = self.slot(*value);
                match at[..] {
                    [i] => Op::Store1 { view, i: self.slot(i), a, elem, checked },
                    _ => Op::Store { view, at: self.list(at), a, elem, checked },
                }
            }
            Inst::Call(id, args) => {
                let (f, args) = (self.function(*id), self.list(args));
                Op::Call { f, args, d: self.allocate_all(&data.results) }
            }
            Inst::ParFor { lo, hi, grain, body, captures, init, combine } => {
                let site = ParForSite {
                    lo: self.slot(*lo),
                    hi: self.slot(*hi),
                    grain: self.slot(*grain),
                    body: self.function(*body),
                    captures: self.list(captures),
                    init: self.list(init),
                    combine: combine.map(|c| self.function(c)),
                    d: self.allocate_all(&data.results),
                };
                self.code.par_fors.push(site);
                Op::ParFor { site: self.code.par_fors.len() as u32 - 1 }
            }
        };
        self.code.ops.push(op);
    }

    /// Slots for several values, one after the other.
    fn allocate_all(&mut self, values: &[Val]) -> Slot {
        let first = self.code.frame_len;
        for v in values {
            self.allocate(*v);
        }
        first
    }

    fn moves_into(&mut self, result: Val, parts: &[Val]) -> List {
        let sources = self.list(parts);
        let d = self.allocate(result);
        let start = self.code.pool.len() as u32;
        for i in 0..sources.len {
            let source = self.code.pool[(sources.start + i) as usize];
            self.code.pool.extend([d + i, source]);
        }
        List { start, len: 2 * sources.len }
    }

    fn un(&mut self, op: UnOp, v: Val, result: Val) -> Option<Op> {
        let t = self.scalar(v);
        let a = self.slot(v);
        match op {
            UnOp::Re => {
                self.share(result, a);
                return None;
            }
            UnOp::Im => {
                self.share(result, a + 1);
                return None;
            }
            _ => {}
        }
        let d = self.allocate(result);
        Some(match (scalar::un(op, t), scalar::complex_neg(t)) {
            (Some(f), _) => Op::F1 { f, d, a },
            (None, Some(f)) if op == UnOp::Neg => Op::Complex1 { f, d, a },
            _ => unreachable!("the verifier has seen the operands of {op:?}"),
        })
    }

    fn bin(&mut self, op: BinOp, x: Val, y: Val, result: Val) -> Op {
        let t = self.scalar(x);
        let (a, b) = (self.slot(x), self.slot(y));
        let d = self.allocate(result);
        match (op, t) {
            (BinOp::Add, ScalarType::I64) => Op::AddI64 { d, a, b },
            (BinOp::Add, ScalarType::F64) => Op::AddF64 { d, a, b },
            (BinOp::Sub, ScalarType::F64) => Op::SubF64 { d, a, b },
            (BinOp::Mul, ScalarType::F64) => Op::MulF64 { d, a, b },
            _ => match (scalar::bin(op, t), scalar::complex_bin(op, t)) {
                (Some(f), _) => Op::F2 { f, d, a, b },
                (None, Some(f)) => Op::Complex2 { f, d, a, b },
                (None, None) => unreachable!("the verifier has seen the operands of {op:?}"),
            },
        }
    }

    fn cmp(&mut self, op: CmpOp, x: Val, y: Val, result: Val) -> Op {
        let t = self.scalar(x);
        let (a, b) = (self.slot(x), self.slot(y));
        let d = self.allocate(result);
        if (op, t) == (CmpOp::Lt, ScalarType::I64) {
            return Op::LtI64 { d, a, b };
        }
        match (scalar::cmp(op, t), scalar::complex_cmp(op, t)) {
            (Some(f), _) => Op::F2 { f, d, a, b },
            (None, Some(f)) => Op::ComplexCmp { f, d, a, b },
            (None, None) => unreachable!("the verifier has seen the operands of {op:?}"),
        }
    }

    fn cast(&mut self, v: Val, to: ScalarType, result: Val) {
        let from = self.scalar(v);
        let a = self.slot(v);
        if from == to {
            return self.share(result, a);
        }
        let d = self.allocate(result);
        if let (Some(f), ScalarType::Bool) = (scalar::complex_to_bool(from), to) {
            self.code.ops.push(Op::ComplexTest { f, d, a });
            return;
        }
        let Some(f) = scalar::cast(from.part(), to.part()) else {
            unreachable!("parts of numbers are real");
        };
        self.code.ops.push(Op::F1 { f, d, a });
        match (from.is_complex(), to.is_complex()) {
            (true, true) => self.code.ops.push(Op::F1 { f, d: d + 1, a: a + 1 }),
            (false, true) => self.code.ops.push(Op::Zero { d: d + 1 }),
            (_, false) => {}
        }
    }

    // ---- control ----

    fn terminator(&mut self, end: &Terminator) {
        match end {
            Terminator::Jump(t) => self.edge(t),
            Terminator::Branch(c, then, otherwise) => {
                let at = self.code.ops.len();
                self.code.ops.push(Op::Branch { c: self.slot(*c), otherwise: 0 });
                self.edge(then);
                let here = self.code.ops.len() as u32;
                if let Op::Branch { otherwise, .. } = &mut self.code.ops[at] {
                    *otherwise = here;
                }
                self.edge(otherwise);
            }
            Terminator::Return(values) => {
                let list = self.list(values);
                self.code.ops.push(Op::Return { list });
            }
            Terminator::Trap(code) => self.code.ops.push(Op::Trap { code: *code }),
        }
    }

    fn edge(&mut self, target: &Target) {
        let params = &self.f.blocks[target.block.index()].params;
        let mut moves = Vec::new();
        for (p, a) in params.iter().zip(&target.args) {
            let (d, s) = (self.slot(*p), self.slot(*a));
            moves.extend((0..self.len(*p)).map(|i| (d + i, s + i)).filter(|(d, s)| d != s));
        }
        // The moves happen at once; one after the other is the same unless a later one reads what an earlier one wrote.
        let written: rustc_hash::FxHashSet<Slot> = moves.iter().map(|(d, _)| *d).collect();
        if moves.len() > 1 && moves.iter().any(|(_, s)| written.contains(s)) {
            self.scratch = self.scratch.max(moves.len() as u32);
            // The scratch area follows the frame, whose length is known only at the end; counted from the top until then.
            let high = |i: usize| Slot::MAX - i as u32;
            let out: Vec<_> = moves.iter().enumerate().map(|(i, (_, s))| (high(i), *s)).collect();
            let back: Vec<_> = moves.iter().enumerate().map(|(i, (d, _))| (*d, high(i))).collect();
            moves = out;
            moves.extend(back);
        }
        match moves[..] {
            [] => {}
            [(d, a)] => self.code.ops.push(Op::Copy { d, a }),
            _ => {
                let start = self.code.pool.len() as u32;
                self.code.pool.extend(moves.iter().flat_map(|(d, s)| [*d, *s]));
                self.code.ops.push(Op::Moves { list: List { start, len: 2 * moves.len() as u32 } });
            }
        }
        self.patches.push(self.code.ops.len());
        self.code.ops.push(Op::Jump { to: target.block.0 });
    }
}

//! Builds a function of the typed IR, instruction by instruction.
//!
//! The builder checks the types of everything it is handed and panics with a clear message: its callers are our own front
//! end and fusion code, whose mistakes are bugs, never a user's. It keeps values local: a pure operation repeated in one
//! block is one instruction, and trivial ones (a cast to the same type, adding integer zero) are none. Anything cleverer
//! is left to passes and to LLVM.
//!
//! `finish` removes blocks that cannot be reached and renumbers values and instructions in reading order, so that the
//! text form of a built function parses back to an equal one. A `Val` taken from the builder means nothing afterwards.

use crate::canonical::canonicalize;
use crate::ir::{
    Block, BlockId, Bounds, FpFlags, FuncId, Function, Inst, InstData, InstId, Module, ParamAttrs, Target,
    Terminator, TrapCode, Type, Vals,
};
use crate::typing::{self, match_types, param_types};
use pantile_types::{BinOp, CmpOp, Emit, LibFn, Scalar, ScalarType, UnOp, Val};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

/// A function under construction. Instructions go to the end of the current block.
pub struct FuncBuilder {
    func: Function,
    current: BlockId,
    flags: FpFlags,
    /// Pure instructions already in a block, for local value numbering.
    known: FxHashMap<(BlockId, Inst), Val>,
    constants: FxHashMap<Val, Scalar>,
    /// Instructions know the module for calls only; those are checked where they are built.
    no_module: Module,
}

/// What a parallel loop is made of. See `Inst::ParFor`.
#[derive(Clone, Copy, Debug)]
pub struct ParFor<'a> {
    /// First iteration, `i64`.
    pub lo: Val,
    /// One past the last iteration, `i64`.
    pub hi: Val,
    /// The fewest iterations worth handing to a thread, `i64`.
    pub grain: Val,
    /// Called once a piece.
    pub body: FuncId,
    /// Passed to every piece unchanged.
    pub captures: &'a [Val],
    /// Where each piece's accumulators start: the identity of `combine`.
    pub init: &'a [Val],
    /// Merges the accumulators of two pieces. Present exactly when there are accumulators.
    pub combine: Option<FuncId>,
}

impl FuncBuilder {
    /// A function with an empty entry block, which is the current one.
    pub fn new(name: &str, params: &[(Type, ParamAttrs)], returns: &[Type]) -> FuncBuilder {
        let mut b = FuncBuilder {
            func: Function {
                name: name.to_string(),
                param_attrs: params.iter().map(|(_, attrs)| *attrs).collect(),
                returns: returns.to_vec(),
                blocks: Vec::new(),
                insts: Vec::new(),
                value_types: Vec::new(),
            },
            current: BlockId(0),
            flags: FpFlags::default(),
            known: FxHashMap::default(),
            constants: FxHashMap::default(),
            no_module: Module::default(),
        };
        for (t, attrs) in params {
            let promises = attrs.noalias || attrs.readonly;
            assert!(
                !promises || matches!(t, Type::View(_)),
                "@{name}: only views can be noalias or readonly, not {t}"
            );
        }
        let types: Vec<Type> = params.iter().map(|(t, _)| t.clone()).collect();
        b.create_block(&types);
        b
    }

    /// The function's parameter with this number.
    pub fn param(&self, i: usize) -> Val {
        self.func.params()[i]
    }

    /// All parameters of the function.
    pub fn params(&self) -> Vals {
        self.func.params().into()
    }

    /// The type of a value, which may be a view or a tuple. (`Emit::ty` is for scalars.)
    pub fn type_of(&self, v: Val) -> &Type {
        self.func.ty(v)
    }

    /// What every float operation emitted through `Emit::bin` may do beyond IEEE 754 from here on. Nothing, at first.
    pub fn set_fp_flags(&mut self, flags: FpFlags) {
        self.flags = flags;
    }

    /// The value, if it is a constant.
    pub fn as_constant(&self, v: Val) -> Option<Scalar> {
        self.constants.get(&v).copied()
    }

    // ---- blocks ----

    /// A new block with parameters of these types. The current block stays the same.
    pub fn create_block(&mut self, params: &[Type]) -> BlockId {
        let params = params.iter().map(|t| self.new_value(t.clone())).collect();
        self.func.blocks.push(Block { params, insts: Vec::new(), end: None });
        BlockId(self.func.blocks.len() as u32 - 1)
    }

    /// The parameters of a block.
    pub fn block_params(&self, block: BlockId) -> Vals {
        self.func.blocks[block.index()].params.clone()
    }

    /// Makes a block the current one.
    pub fn switch_to(&mut self, block: BlockId) {
        assert!(block.index() < self.func.blocks.len(), "{}no block b{}", self.place(), block.0);
        self.current = block;
    }

    /// The block that instructions go to.
    pub fn current_block(&self) -> BlockId {
        self.current
    }

    /// Whether the current block has its terminator already.
    pub fn is_terminated(&self) -> bool {
        self.func.blocks[self.current.index()].end.is_some()
    }

    /// Ends the current block: go on in `block`.
    pub fn jump(&mut self, block: BlockId, args: &[Val]) {
        let target = self.target(block, args);
        self.terminate(Terminator::Jump(target));
    }

    /// Ends the current block: go on in the first target if `condition` holds, else in the second.
    pub fn branch(&mut self, condition: Val, then: (BlockId, &[Val]), otherwise: (BlockId, &[Val])) {
        let t = self.type_of(condition);
        assert!(*t == Type::BOOL, "{}the condition of a branch should be bool, not {t}", self.place());
        let (then, otherwise) = (self.target(then.0, then.1), self.target(otherwise.0, otherwise.1));
        self.terminate(Terminator::Branch(condition, then, otherwise));
    }

    /// Ends the current block: leave the function with these values.
    pub fn ret(&mut self, values: &[Val]) {
        let got = self.types_of(values);
        self.require(match_types("results", &self.func.returns, &got));
        self.terminate(Terminator::Return(values.into()));
    }

    /// Ends the current block: stop.
    pub fn trap(&mut self, code: TrapCode) {
        self.terminate(Terminator::Trap(code));
    }

    // ---- memory ----

    /// The element of a view at these indices.
    pub fn load(&mut self, view: Val, at: &[Val], bounds: Bounds) -> Val {
        self.append_one(Inst::Load(view, at.into(), bounds))
    }

    /// Writes an element of a view.
    pub fn store(&mut self, view: Val, at: &[Val], value: Val, bounds: Bounds) {
        self.append(Inst::Store(view, at.into(), value, bounds));
    }

    /// An uninitialised array in the function's frame. It is made in the entry block wherever this is called.
    pub fn local_array(&mut self, elem: ScalarType, len: u32) -> Val {
        let here = std::mem::replace(&mut self.current, BlockId(0));
        let inst = Inst::LocalArray(elem, len);
        let types = self.require(typing::results(&self.no_module, &inst, |v| Ok(self.func.ty(v).clone())));
        // Straight to the entry block, which may have its terminator already.
        let v = self.place_inst(inst, types)[0];
        self.current = here;
        v
    }

    /// A window of a view: `offsets` elements into it along each axis, with these lengths.
    pub fn sub_view(&mut self, base: Val, offsets: &[Val], lens: &[Val]) -> Val {
        self.pure(Inst::SubView { base, offsets: offsets.into(), lens: lens.into() })
    }

    /// The length of an axis of a view.
    pub fn view_len(&mut self, view: Val, axis: usize) -> Val {
        self.pure(Inst::ViewLen(view, axis as u32))
    }

    // ---- values ----

    /// A constant index or length.
    pub fn const_i64(&mut self, v: i64) -> Val {
        self.constant(Scalar::Int(ScalarType::I64, v))
    }

    /// A constant truth value.
    pub fn const_bool(&mut self, v: bool) -> Val {
        self.constant(Scalar::Bool(v))
    }

    /// A constant double.
    pub fn const_f64(&mut self, v: f64) -> Val {
        self.constant(Scalar::F64(v))
    }

    /// An operation on two scalars with its own floating-point permissions.
    pub fn bin_with(&mut self, op: BinOp, a: Val, b: Val, flags: FpFlags) -> Val {
        let integer =
            self.type_of(a).scalar().is_some_and(ScalarType::is_int) && self.type_of(a) == self.type_of(b);
        if integer {
            if let Some(v) = self.fold_int(op, a, b) {
                return v;
            }
            // Permissions mean nothing for integers: one spelling, so that equal instructions are equal.
            return self.pure(Inst::Bin(op, a, b, FpFlags::default()));
        }
        self.pure(Inst::Bin(op, a, b, flags))
    }

    /// A tuple.
    pub fn tuple(&mut self, parts: &[Val]) -> Val {
        self.pure(Inst::Tuple(parts.into()))
    }

    /// An element of a tuple.
    pub fn tuple_get(&mut self, tuple: Val, i: usize) -> Val {
        self.pure(Inst::TupleGet(tuple, i as u32))
    }

    // ---- calls ----

    /// Calls a function that the module already has.
    pub fn call(&mut self, module: &Module, callee: FuncId, args: &[Val]) -> Vals {
        let f = module.get(callee);
        self.call_signature(callee, &param_types(f), &f.returns, args)
    }

    /// Calls a function whose signature is known before its body is: itself, for instance.
    pub fn call_signature(
        &mut self,
        callee: FuncId,
        params: &[Type],
        returns: &[Type],
        args: &[Val],
    ) -> Vals {
        let got = self.types_of(args);
        self.require(match_types("arguments of a call", params, &got));
        self.open_block();
        self.place_inst(Inst::Call(callee, args.into()), returns.iter().cloned().collect())
    }

    /// A parallel loop. Gives the accumulators.
    pub fn par_for(&mut self, module: &Module, p: ParFor<'_>) -> Vals {
        let inst = Inst::ParFor {
            lo: p.lo,
            hi: p.hi,
            grain: p.grain,
            body: p.body,
            captures: p.captures.into(),
            init: p.init.into(),
            combine: p.combine,
        };
        let types = self.require(typing::results(module, &inst, |v| Ok(self.func.ty(v).clone())));
        self.open_block();
        self.place_inst(inst, types)
    }

    // ---- structure ----

    /// Runs `body` for `i` in `0 .. n`, carrying values from one iteration to the next; gives their final values.
    ///
    /// The loop is guarded and tests at the bottom, with one latch and one induction variable: the form in which LLVM
    /// recognises the trip count without help. A negative `n` runs nothing. The body may create blocks; it goes on from
    /// whichever is current when it returns.
    pub fn counted_loop<F>(&mut self, n: Val, carried: &[Val], body: F) -> Vec<Val>
    where
        F: FnOnce(&mut FuncBuilder, Val, &[Val]) -> Vec<Val>,
    {
        let zero = self.const_i64(0);
        self.counted_loop_step(zero, n, 1, carried, body)
    }

    /// Runs `body` for `i` in `lo .. hi` by `step`, which is positive; otherwise like `counted_loop`. `hi + step` must not
    /// overflow.
    pub fn counted_loop_step<F>(&mut self, lo: Val, hi: Val, step: i64, carried: &[Val], body: F) -> Vec<Val>
    where
        F: FnOnce(&mut FuncBuilder, Val, &[Val]) -> Vec<Val>,
    {
        assert!(step > 0, "{}a loop's step should be positive, not {step}", self.place());
        let types = self.types_of(carried);
        let mut loop_types = vec![Type::I64];
        loop_types.extend(types.iter().cloned());
        let head = self.create_block(&loop_types);
        let exit = self.create_block(&types);

        let enter = self.cmp(CmpOp::Lt, lo, hi);
        let mut args: Vals = SmallVec::from_slice(&[lo]);
        args.extend_from_slice(carried);
        self.branch(enter, (head, &args), (exit, carried));

        self.switch_to(head);
        let params = self.block_params(head);
        let next_carried = body(self, params[0], &params[1..]);
        if !self.is_terminated() {
            let got = self.types_of(&next_carried);
            self.require(match_types("values carried by a loop", &types, &got));
            let by = self.const_i64(step);
            let next = self.bin(BinOp::Add, params[0], by);
            let again = self.cmp(CmpOp::Lt, next, hi);
            let mut args: Vals = SmallVec::from_slice(&[next]);
            args.extend_from_slice(&next_carried);
            self.branch(again, (head, &args), (exit, &next_carried));
        }
        self.switch_to(exit);
        self.block_params(exit).to_vec()
    }

    /// Runs one of two arms; gives the values that it returns, which have the types `results`.
    ///
    /// An arm may end its block itself (with a trap or a return); what it gives is then ignored.
    pub fn if_else<T, E>(&mut self, condition: Val, results: &[Type], then: T, otherwise: E) -> Vec<Val>
    where
        T: FnOnce(&mut FuncBuilder) -> Vec<Val>,
        E: FnOnce(&mut FuncBuilder) -> Vec<Val>,
    {
        let then_block = self.create_block(&[]);
        let else_block = self.create_block(&[]);
        let join = self.create_block(results);
        self.branch(condition, (then_block, &[]), (else_block, &[]));
        self.switch_to(then_block);
        let values = then(self);
        if !self.is_terminated() {
            self.jump(join, &values);
        }
        self.switch_to(else_block);
        let values = otherwise(self);
        if !self.is_terminated() {
            self.jump(join, &values);
        }
        self.switch_to(join);
        self.block_params(join).to_vec()
    }

    /// The finished function. Panics when a reachable block has no terminator.
    pub fn finish(mut self) -> Function {
        canonicalize(&mut self.func);
        for (i, block) in self.func.blocks.iter().enumerate() {
            assert!(block.end.is_some(), "@{}: block b{i} has no terminator", self.func.name);
        }
        self.func
    }

    // ---- inside ----

    fn place(&self) -> String {
        format!("@{}, b{}: ", self.func.name, self.current.0)
    }

    fn require<T>(&self, checked: Result<T, String>) -> T {
        match checked {
            Ok(t) => t,
            Err(reason) => panic!("{}{reason}", self.place()),
        }
    }

    fn types_of(&self, values: &[Val]) -> Vec<Type> {
        values.iter().map(|v| self.func.ty(*v).clone()).collect()
    }

    fn new_value(&mut self, t: Type) -> Val {
        self.func.value_types.push(t);
        Val(self.func.value_types.len() as u32 - 1)
    }

    fn target(&self, block: BlockId, args: &[Val]) -> Target {
        let expected = self.types_of(&self.func.blocks[block.index()].params);
        self.require(match_types(
            &format!("arguments of block b{}", block.0),
            &expected,
            &self.types_of(args),
        ));
        assert!(block.0 != 0, "{}the entry block cannot be entered again", self.place());
        Target { block, args: args.into() }
    }

    fn open_block(&self) {
        assert!(!self.is_terminated(), "{}the block has ended already", self.place());
    }

    fn terminate(&mut self, end: Terminator) {
        self.open_block();
        self.func.blocks[self.current.index()].end = Some(end);
    }

    fn place_inst(&mut self, inst: Inst, types: typing::Types) -> Vals {
        let results: Vals = types.into_iter().map(|t| self.new_value(t)).collect();
        let id = InstId(self.func.insts.len() as u32);
        self.func.insts.push(InstData { inst, results: results.clone() });
        self.func.blocks[self.current.index()].insts.push(id);
        results
    }

    fn append(&mut self, inst: Inst) -> Vals {
        let types = self.require(typing::results(&self.no_module, &inst, |v| Ok(self.func.ty(v).clone())));
        self.open_block();
        self.place_inst(inst, types)
    }

    fn append_one(&mut self, inst: Inst) -> Val {
        self.append(inst)[0]
    }

    /// Appends an instruction without effects, or finds an equal one in this block.
    fn pure(&mut self, inst: Inst) -> Val {
        self.open_block();
        if let Some(v) = self.known.get(&(self.current, inst.clone())) {
            return *v;
        }
        let v = self.append_one(inst.clone());
        if let Inst::Const(s) = inst {
            self.constants.insert(v, s);
        }
        self.known.insert((self.current, inst), v);
        v
    }

    /// The index arithmetic that would otherwise litter every kernel: constants, `+ 0`, `* 1`, `* 0`.
    fn fold_int(&mut self, op: BinOp, a: Val, b: Val) -> Option<Val> {
        let t = self.type_of(a).scalar()?;
        let int = |s: Scalar| match s {
            Scalar::Int(_, v) => Some(v as i128),
            Scalar::UInt(_, v) => Some(v as i128),
            _ => None,
        };
        let (ca, cb) = (self.as_constant(a).and_then(int), self.as_constant(b).and_then(int));
        if let (Some(x), Some(y)) = (ca, cb) {
            let exact = match op {
                BinOp::Add => x.wrapping_add(y),
                BinOp::Sub => x.wrapping_sub(y),
                BinOp::Mul => x.wrapping_mul(y),
                BinOp::Min => x.min(y),
                BinOp::Max => x.max(y),
                _ => return None,
            };
            return Some(self.constant(Scalar::from_bits(t, exact as u128)));
        }
        match (op, ca, cb) {
            (BinOp::Add | BinOp::Sub, _, Some(0)) | (BinOp::Mul | BinOp::Div, _, Some(1)) => Some(a),
            (BinOp::Add, Some(0), _) | (BinOp::Mul, Some(1), _) => Some(b),
            (BinOp::Mul, Some(0), _) => Some(a),
            (BinOp::Mul, _, Some(0)) => Some(b),
            _ => None,
        }
    }
}

impl Emit for FuncBuilder {
    fn ty(&self, v: Val) -> ScalarType {
        match self.type_of(v).scalar() {
            Some(t) => t,
            None => panic!("{}v{} should be a scalar, not {}", self.place(), v.0, self.type_of(v)),
        }
    }

    fn constant(&mut self, s: Scalar) -> Val {
        self.pure(Inst::Const(s))
    }

    fn un(&mut self, op: UnOp, a: Val) -> Val {
        self.pure(Inst::Un(op, a))
    }

    fn bin(&mut self, op: BinOp, a: Val, b: Val) -> Val {
        self.bin_with(op, a, b, self.flags)
    }

    fn cmp(&mut self, op: CmpOp, a: Val, b: Val) -> Val {
        self.pure(Inst::Cmp(op, a, b))
    }

    fn select(&mut self, condition: Val, a: Val, b: Val) -> Val {
        if a == b && *self.type_of(condition) == Type::BOOL {
            return a;
        }
        match self.as_constant(condition) {
            Some(Scalar::Bool(c)) if self.type_of(a) == self.type_of(b) => {
                if c {
                    a
                } else {
                    b
                }
            }
            _ => self.pure(Inst::Select(condition, a, b)),
        }
    }

    fn cast(&mut self, v: Val, to: ScalarType) -> Val {
        if *self.type_of(v) == Type::Scalar(to) {
            return v;
        }
        self.pure(Inst::Cast(v, to))
    }

    fn bitcast(&mut self, v: Val, to: ScalarType) -> Val {
        if *self.type_of(v) == Type::Scalar(to) {
            return v;
        }
        self.pure(Inst::Bitcast(v, to))
    }

    fn complex(&mut self, re: Val, im: Val) -> Val {
        self.pure(Inst::Complex(re, im))
    }

    fn lib(&mut self, f: LibFn, args: &[Val]) -> Val {
        self.pure(Inst::Lib(f, args.into()))
    }
}

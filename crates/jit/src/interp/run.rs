//! The loop that executes decoded functions.
//!
//! Calls do not use the thread's stack: frames lie in one growing vector, so that deep recursion ends in a trap and not in
//! a crash. Only a parallel loop runs a machine within the machine, and the verifier bounds how deep those nest.

use crate::interp::MAX_STACK_BYTES;
use crate::interp::decode::{Code, Elem, List, Op, Program};
use crate::ir::{Pieces, TrapCode};

/// A caller waiting for its callee.
struct Waiting {
    function: u32,
    pc: usize,
    base: usize,
    /// Where the results go, in the caller's frame.
    d: u32,
    locals: Vec<u128>,
}

/// One chain of calls.
pub(super) struct Machine<'a> {
    program: &'a Program,
    /// The frames of the active functions, one after the other.
    stack: Vec<u64>,
    waiting: Vec<Waiting>,
    /// The bytes of all local arrays of waiting functions.
    local_bytes: usize,
}

impl<'a> Machine<'a> {
    pub(super) fn new(program: &'a Program) -> Machine<'a> {
        Machine { program, stack: Vec::new(), waiting: Vec::new(), local_bytes: 0 }
    }

    /// Makes room for a frame and fills in its constants.
    fn enter(&mut self, code: &Code, base: usize) -> Result<Vec<u128>, TrapCode> {
        let top = base + code.frame_len as usize;
        let waiting_bytes = self.waiting.len() * size_of::<Waiting>();
        if top * 8 + waiting_bytes + self.local_bytes + code.local_bytes as usize > MAX_STACK_BYTES {
            return Err(TrapCode::StackOverflow);
        }
        if self.stack.len() < top {
            self.stack.resize(top, 0);
        }
        self.stack[base..base + code.constants.len()].copy_from_slice(&code.constants);
        Ok(vec![u128::from_ne_bytes([0xa5; 16]); (code.local_bytes as usize).div_ceil(16)])
    }

    /// Runs a function to its end.
    ///
    /// # Safety
    /// As `Executable::call`; strides that types fix are filled in.
    pub(super) unsafe fn call(&mut self, f: u32, args: &[u64], results: &mut [u64]) -> Result<(), TrapCode> {
        let program = self.program;
        let mut function = f;
        let mut code = &program.functions[f as usize];
        self.waiting.clear();
        self.local_bytes = 0;
        let mut base = 0;
        let mut pc = 0;
        let mut locals = self.enter(code, base)?;
        let at = code.constants.len();
        self.stack[at..at + code.param_len as usize].copy_from_slice(&args[..code.param_len as usize]);
        loop {
            let op = &code.ops[pc];
            pc += 1;
            let regs = &mut self.stack[base..base + code.frame_len as usize];
            match *op {
                Op::F1 { f, d, a } => regs[d as usize] = f(regs[a as usize]),
                Op::F2 { f, d, a, b } => regs[d as usize] = f(regs[a as usize], regs[b as usize]),
                Op::AddI64 { d, a, b } => regs[d as usize] = regs[a as usize].wrapping_add(regs[b as usize]),
                Op::LtI64 { d, a, b } => {
                    regs[d as usize] = ((regs[a as usize] as i64) < regs[b as usize] as i64) as u64;
                }
                Op::AddF64 { d, a, b } => {
                    let v = f64::from_bits(regs[a as usize]) + f64::from_bits(regs[b as usize]);
                    regs[d as usize] = v.to_bits();
                }
                Op::SubF64 { d, a, b } => {
                    let v = f64::from_bits(regs[a as usize]) - f64::from_bits(regs[b as usize]);
                    regs[d as usize] = v.to_bits();
                }
                Op::MulF64 { d, a, b } => {
                    let v = f64::from_bits(regs[a as usize]) * f64::from_bits(regs[b as usize]);
                    regs[d as usize] = v.to_bits();
                }
                Op::Complex1 { f, d, a } => put_pair(regs, d, f(pair(regs, a))),
                Op::Complex2 { f, d, a, b } => put_pair(regs, d, f(pair(regs, a), pair(regs, b))),
                Op::ComplexTest { f, d, a } => regs[d as usize] = f(pair(regs, a)),
                Op::ComplexCmp { f, d, a, b } => regs[d as usize] = f(pair(regs, a), pair(regs, b)),
                Op::Select { d, c, a, b } => {
                    regs[d as usize] = regs[if regs[c as usize] != 0 { a } else { b } as usize];
                }
                Op::SelectMany { d, c, a, b, n } => {
                    let from = if regs[c as usize] != 0 { a } else { b } as usize;
                    regs.copy_within(from..from + n as usize, d as usize);
                }
                Op::Copy { d, a } => regs[d as usize] = regs[a as usize],
                Op::Zero { d } => regs[d as usize] = 0,
                Op::Moves { list } => {
                    for m in slots(code, list).chunks_exact(2) {
                        regs[m[0] as usize] = regs[m[1] as usize];
                    }
                }
                Op::Load1 { d, view, i, elem, checked } => {
                    let p = address1(regs, view, i, checked)?;
                    // SAFETY: the index is inside the view (checked, or known to whoever wrote `known`), and the caller
                    // vouches for the view.
                    unsafe { load(p, elem, regs, d) };
                }
                Op::Load { d, view, at, elem, checked } => {
                    let p = address(regs, view, slots(code, at), checked)?;
                    // SAFETY: as for `Load1`.
                    unsafe { load(p, elem, regs, d) };
                }
                Op::Store1 { view, i, a, elem, checked } => {
                    let p = address1(regs, view, i, checked)?;
                    // SAFETY: as for `Load1`; the caller vouches that views that are written are writable.
                    unsafe { store(p, elem, regs, a) };
                }
                Op::Store { view, at, a, elem, checked } => {
                    let p = address(regs, view, slots(code, at), checked)?;
                    // SAFETY: as for `Store1`.
                    unsafe { store(p, elem, regs, a) };
                }
                Op::SubView { d, base: from, list } => {
                    let (d, from) = (d as usize, from as usize);
                    let list = slots(code, list);
                    let axes = list.len() / 2;
                    let mut p = regs[from];
                    for axis in 0..axes {
                        let stride = regs[from + 1 + axes + axis];
                        p = p.wrapping_add(regs[list[axis] as usize].wrapping_mul(stride));
                        regs[d + 1 + axis] = regs[list[axes + axis] as usize];
                        regs[d + 1 + axes + axis] = stride;
                    }
                    regs[d] = p;
                }
                Op::Local { d, offset, len, elem_size } => {
                    let d = d as usize;
                    // The vector does not move while its function is active: it is moved as a whole, not its contents.
                    regs[d] = locals.as_mut_ptr() as u64 + offset as u64;
                    regs[d + 1] = len as u64;
                    regs[d + 2] = elem_size as u64;
                }
                Op::Call { f, args, d } => {
                    let callee = &program.functions[f as usize];
                    let top = base + code.frame_len as usize;
                    self.local_bytes += code.local_bytes as usize;
                    let caller_locals = std::mem::take(&mut locals);
                    self.waiting.push(Waiting { function, pc, base, d, locals: caller_locals });
                    locals = self.enter(callee, top)?;
                    let (below, frame) = self.stack.split_at_mut(top);
                    let params = &mut frame[callee.constants.len()..];
                    for (p, a) in params.iter_mut().zip(slots(code, args)) {
                        *p = below[base + *a as usize];
                    }
                    (function, code, base, pc) = (f, callee, top, 0);
                }
                Op::ParFor { site } => {
                    // SAFETY: pointers reach the body through captures only, which come from our own caller.
                    unsafe { par_for(program, code, site, regs)? };
                }
                Op::Jump { to } => pc = to as usize,
                Op::Branch { c, otherwise } => {
                    if regs[c as usize] == 0 {
                        pc = otherwise as usize;
                    }
                }
                Op::Return { list } => match self.waiting.pop() {
                    None => {
                        for (r, s) in results.iter_mut().zip(slots(code, list)) {
                            *r = regs[*s as usize];
                        }
                        return Ok(());
                    }
                    Some(caller) => {
                        let (below, frame) = self.stack.split_at_mut(base);
                        let to = &mut below[caller.base + caller.d as usize..];
                        for (r, s) in to.iter_mut().zip(slots(code, list)) {
                            *r = frame[*s as usize];
                        }
                        code = &program.functions[caller.function as usize];
                        self.local_bytes -= code.local_bytes as usize;
                        (function, pc, base, locals) =
                            (caller.function, caller.pc, caller.base, caller.locals);
                    }
                },
                Op::Trap { code } => return Err(code),
            }
        }
    }
}

fn slots(code: &Code, list: List) -> &[u32] {
    &code.pool[list.start as usize..(list.start + list.len) as usize]
}

fn pair(regs: &[u64], at: u32) -> [u64; 2] {
    [regs[at as usize], regs[at as usize + 1]]
}

fn put_pair(regs: &mut [u64], at: u32, v: [u64; 2]) {
    regs[at as usize..at as usize + 2].copy_from_slice(&v);
}

fn address1(regs: &[u64], view: u32, i: u32, checked: bool) -> Result<u64, TrapCode> {
    let view = view as usize;
    let i = regs[i as usize];
    // As unsigned numbers: a negative index is beyond every length.
    let inside = i < regs[view + 1];
    if checked && !inside {
        return Err(TrapCode::IndexOutOfBounds);
    }
    debug_assert!(inside, "an index that was said to be known is outside: {i} of {}", regs[view + 1]);
    Ok(regs[view].wrapping_add(i.wrapping_mul(regs[view + 2])))
}

fn address(regs: &[u64], view: u32, at: &[u32], checked: bool) -> Result<u64, TrapCode> {
    let view = view as usize;
    let mut p = regs[view];
    for (axis, i) in at.iter().enumerate() {
        let i = regs[*i as usize];
        let len = regs[view + 1 + axis];
        if checked && i >= len {
            return Err(TrapCode::IndexOutOfBounds);
        }
        debug_assert!(i < len, "an index that was said to be known is outside: {i} of {len}");
        p = p.wrapping_add(i.wrapping_mul(regs[view + 1 + at.len() + axis]));
    }
    Ok(p)
}

/// # Safety
/// `p` is readable for an element.
unsafe fn load(p: u64, elem: Elem, regs: &mut [u64], d: u32) {
    let d = d as usize;
    // SAFETY: by this function's contract; `read_unaligned` asks for no alignment.
    unsafe {
        match elem {
            Elem::Bool => regs[d] = (*(p as *const u8) != 0) as u64,
            Elem::B1 => regs[d] = *(p as *const u8) as u64,
            Elem::B2 => regs[d] = (p as *const u16).read_unaligned() as u64,
            Elem::B4 => regs[d] = (p as *const u32).read_unaligned() as u64,
            Elem::B8 => regs[d] = (p as *const u64).read_unaligned(),
            Elem::C64 => {
                let parts = (p as *const [u32; 2]).read_unaligned();
                (regs[d], regs[d + 1]) = (parts[0] as u64, parts[1] as u64);
            }
            Elem::C128 => {
                let parts = (p as *const [u64; 2]).read_unaligned();
                (regs[d], regs[d + 1]) = (parts[0], parts[1]);
            }
        }
    }
}

/// # Safety
/// `p` is writable for an element.
unsafe fn store(p: u64, elem: Elem, regs: &[u64], a: u32) {
    let a = a as usize;
    // SAFETY: by this function's contract; `write_unaligned` asks for no alignment.
    unsafe {
        match elem {
            Elem::Bool | Elem::B1 => *(p as *mut u8) = regs[a] as u8,
            Elem::B2 => (p as *mut u16).write_unaligned(regs[a] as u16),
            Elem::B4 => (p as *mut u32).write_unaligned(regs[a] as u32),
            Elem::B8 => (p as *mut u64).write_unaligned(regs[a]),
            Elem::C64 => (p as *mut [u32; 2]).write_unaligned([regs[a] as u32, regs[a + 1] as u32]),
            Elem::C128 => (p as *mut [u64; 2]).write_unaligned([regs[a], regs[a + 1]]),
        }
    }
}

/// # Safety
/// As `Machine::call`.
unsafe fn par_for(program: &Program, code: &Code, site: u32, regs: &mut [u64]) -> Result<(), TrapCode> {
    let site = &code.par_fors[site as usize];
    let get = |s: &u32| regs[*s as usize];
    let pieces = Pieces::new(get(&site.lo) as i64, get(&site.hi) as i64, get(&site.grain) as i64);
    let init: Vec<u64> = slots(code, site.init).iter().map(get).collect();
    let mut args = vec![0, 0];
    args.extend(slots(code, site.captures).iter().map(get));
    args.extend(&init);
    let width = init.len();
    let mut machine = Machine::new(program);
    // Left operand, then right: the accumulators so far and those of the newest piece.
    let mut both = init;
    both.resize(2 * width, 0);
    for piece in 0..pieces.count() {
        let (lo, hi) = pieces.get(piece);
        (args[0], args[1]) = (lo as u64, hi as u64);
        let to = if piece == 0 { 0 } else { width };
        // SAFETY: as for the caller; the verifier has matched the signatures.
        unsafe { machine.call(site.body, &args, &mut both[to..to + width])? };
        if let (Some(combine), true) = (site.combine, piece > 0) {
            let operands = both.clone();
            // SAFETY: as above.
            unsafe { machine.call(combine, &operands, &mut both[..width])? };
        }
    }
    let d = site.d as usize;
    regs[d..d + width].copy_from_slice(&both[..width]);
    Ok(())
}

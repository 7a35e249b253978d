//! Tokens: 128 bits that say what a Python object is, the same in every process.
//!
//! An object is written as bytes, depth first, and the bytes are hashed. Scalars are written out with a tag for their type;
//! everything that has parts is hashed by itself first and stands in its parent as 16 bytes, so that equal parts give equal
//! tokens wherever they are, and an object that is reached twice is walked once. Sets, and the keys of dictionaries, are sorted
//! by their tokens, since the order in which Python gives them says nothing. What is no builtin type comes as a rule from
//! `pantile._tokenize` (NumPy, pandas, dataclasses, hooks of users) or is taken apart as pickle would (`__reduce_ex__`): the
//! walk looks at the parts instead of at pickle's bytes, because those also tell which parts are the same object.
//!
//! **No recursion.** Frames are on the heap, so depth is limited by memory only.
//!
//! **Cycles.** `open` is Tarjan's stack: objects that are being walked, or that were but lead back to one that is. Reaching one of
//! them again writes its distance from the top. An object from which nothing leads further down is the root of its component:
//! then the component leaves the stack, and its other members are known from here on by the root's token and their number in it.
//! That number depends on where the walk entered the component, which is why two elements of a set may not share one.
//!
//! **Why XXH3.** Tokens tell results apart, they do not protect against forgers. XXH3 reads about ten bytes a cycle where BLAKE3 reads
//! one or two; with 128 bits, 10¹³ objects collide with probability 10⁻¹³. The crate was in the lock file already.
//!
//! Not here: what a token is used for; what the parts of an array of NumPy's stranger dtypes or of a data frame are.

use crate::expr::Expr;
use pantile_array::copy::copy_strided;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyMemoryError, PyRecursionError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyComplex, PyComplexMethods, PyDict, PyEllipsis, PyFloat, PyFrozenSet,
    PyInt, PyList, PyModule, PyNotImplemented, PyRange, PySet, PySlice, PyString, PyTuple, PyType,
};
use pyo3::{ffi, intern};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use std::cell::Cell;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use twox_hash::XxHash3_128;

pyo3::create_exception!(
    pantile,
    TokenizationError,
    PyRuntimeError,
    "An object has no token that every process would give it, and one was asked for."
);

pub fn register(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("TokenizationError", m.py().get_type::<TokenizationError>())?;
    m.add_function(wrap_pyfunction!(tokenize, m)?)?;
    m.add_function(wrap_pyfunction!(forget_token_rules, m)?)
}

/// What a part of an object is: the first byte of what is written for it.
#[repr(u8)]
#[derive(Clone, Copy)]
enum Tag {
    None,
    False,
    True,
    Int,
    LargeInt,
    Float,
    Complex,
    Str,
    LongStr,
    Bytes,
    LongBytes,
    ByteArray,
    Ellipsis,
    NotImplemented,
    /// Sixteen bytes: the token of something that has parts.
    Parts,
    /// An object that is open, as its distance from the top of the stack.
    Back,
    /// A member of a component that is closed.
    Member,
    /// Something that is found under a name in a module.
    Global,
    Array,
    /// Sixteen random bytes.
    Random,
    /// An object that is itself and nothing else, in this process.
    Identity,
    /// A node of the expression graph, in this process.
    Expression,
    // The rest begin a frame.
    Tuple,
    List,
    Dict,
    Set,
    FrozenSet,
    Slice,
    Range,
    Code,
    Function,
    Builtin,
    Cell,
    Class,
    /// What a rule or a hook gave.
    Rule,
    /// What `__reduce_ex__` gave.
    Reduced,
    Call,
}

/// Strings and bytes up to this length are written out, longer ones as their hash.
const SHORT: usize = 64;
/// From here on hashing lets other threads have the GIL.
const DETACH_BYTES: usize = 256 << 10;
/// Strided memory is gathered in pieces of this size, which fit the second-level cache.
const PIECE_BYTES: usize = 512 << 10;
/// Rules and `__reduce_ex__` may give a new object each time, and so go on for ever: this many inside each other are a mistake.
const UNFOLDED: usize = 200_000;
/// Entries of the tables that live as long as the process; they are emptied when full.
const TABLE: usize = 4096;

thread_local! {
    /// What the outermost call of this thread was asked for; hooks that ask for tokens themselves inherit it.
    static STRICT: Cell<Option<bool>> = const { Cell::new(None) };
}

/// The token of an object, under the setting `tokenize.ensure_deterministic`.
pub fn token(py: Python<'_>, object: &Bound<'_, PyAny>) -> PyResult<u128> {
    within(None, || {
        let mut walker = Walker::new(py);
        let mark = walker.bytes.len();
        walker.walk(object)?;
        Ok((XxHash3_128::oneshot(&walker.bytes[mark..]), walker.reduced))
    })
}

/// The token of a call's arguments, as 32 hexadecimal digits.
#[pyfunction]
fn tokenize(args: &Bound<'_, PyTuple>, kwargs: &Bound<'_, PyDict>, strict: Option<bool>) -> PyResult<String> {
    let token = within(strict, || {
        let mut walker = Walker::new(args.py());
        walker.bytes.push(Tag::Call as u8);
        walker.walk(args)?;
        if !kwargs.is_empty() {
            walker.walk(kwargs)?;
        }
        Ok((XxHash3_128::oneshot(&walker.bytes), walker.reduced))
    })?;
    Ok(format!("{token:032x}"))
}

/// Runs a walk, which tells whether it had to take objects apart that nobody has made a rule for. Then a strict caller gets a second
/// walk: an object that is taken apart differently each time has no token.
fn within(strict: Option<bool>, walk: impl Fn() -> PyResult<(u128, bool)>) -> PyResult<u128> {
    struct Restore(Option<bool>);
    impl Drop for Restore {
        fn drop(&mut self) {
            STRICT.set(self.0);
        }
    }
    let before = STRICT.get();
    let _restore = Restore(before);
    STRICT.set(strict.or(before));
    let (token, reduced) = walk()?;
    if reduced && STRICT.get() == Some(true) && walk()?.0 != token {
        return Err(TokenizationError::new_err(
            "the parts of an object differ from one look to the next, so it has no token; give its class a method \
             __pantile_tokenize__ that returns what it is",
        ));
    }
    Ok(token)
}

fn strict(py: Python<'_>) -> PyResult<bool> {
    match STRICT.get() {
        Some(strict) => Ok(strict),
        None => py
            .import(intern!(py, "pantile.config"))?
            .call_method1(intern!(py, "get"), (intern!(py, "tokenize.ensure_deterministic"),))?
            .extract(),
    }
}

/// What is known of an object that has parts.
#[derive(Clone, Copy)]
enum Known {
    /// At this place of the stack.
    Open(usize),
    Closed {
        token: u128,
        /// The token depends on where the walk entered a cycle.
        shared: bool,
    },
}

/// What a frame still has to walk.
enum Work<'py> {
    Items(Vec<Bound<'py, PyAny>>, usize),
    List(Bound<'py, PyList>, usize),
    Tuple(Bound<'py, PyTuple>, usize),
    Set {
        items: Vec<Bound<'py, PyAny>>,
        next: usize,
        tokens: Vec<u128>,
    },
    /// First the keys, then, sorted by their tokens, the values.
    Keys {
        pairs: Vec<Pair<'py>>,
        next: usize,
    },
    Values {
        pairs: Vec<Pair<'py>>,
        next: usize,
    },
}

struct Pair<'py> {
    token: u128,
    key: Bound<'py, PyAny>,
    value: Bound<'py, PyAny>,
}

/// An object whose parts are being walked.
struct Frame<'py> {
    work: Work<'py>,
    /// Where its bytes begin.
    start: usize,
    /// Its address, where it may be reached again.
    address: Option<usize>,
    /// Its place on the stack of open objects.
    position: usize,
    /// The lowest place that its parts lead back to.
    low: usize,
    /// Some part's token depends on where the walk entered a cycle.
    shared: bool,
    /// The same two of the part that is being walked.
    part: (usize, bool),
    /// How many of the frames up to here come from rules or `__reduce_ex__`.
    unfolded: usize,
    /// Of a set's elements or a dictionary's keys: how many lead back, and how many are shared.
    unsorted: (usize, usize),
}

struct Walker<'py> {
    py: Python<'py>,
    bytes: Vec<u8>,
    frames: Vec<Frame<'py>>,
    /// Addresses; zero for what cannot be reached again.
    open: Vec<usize>,
    /// The objects are kept, so that no address is used twice.
    known: FxHashMap<usize, (Bound<'py, PyAny>, Known)>,
    reduced: bool,
}

impl<'py> Walker<'py> {
    fn new(py: Python<'py>) -> Walker<'py> {
        Walker {
            py,
            bytes: Vec::new(),
            frames: Vec::new(),
            open: Vec::new(),
            known: FxHashMap::default(),
            reduced: false,
        }
    }

    fn walk(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let below = self.frames.len();
        self.visit(object.clone())?;
        let mut steps = 0u32;
        while self.frames.len() > below {
            steps = steps.wrapping_add(1);
            if steps.is_multiple_of(1 << 20) {
                self.py.check_signals()?;
            }
            match self.next() {
                Some(object) => {
                    let mark = self.bytes.len();
                    let frame = self.frames.len();
                    self.visit(object)?;
                    if self.frames.len() == frame {
                        self.written(mark);
                    }
                }
                None => self.close()?,
            }
        }
        Ok(())
    }

    /// The next part of the innermost object.
    fn next(&mut self) -> Option<Bound<'py, PyAny>> {
        let frame = self.frames.last_mut()?;
        if let Work::Keys { pairs, next } = &mut frame.work
            && *next == pairs.len()
        {
            pairs.sort_by_key(|p| p.token);
            frame.work = Work::Values { pairs: std::mem::take(pairs), next: 0 };
        }
        match &mut frame.work {
            Work::Items(items, next) => step(next, items.len()).map(|i| items[i].clone()),
            // Lists may shrink meanwhile: hooks run other code.
            Work::List(list, next) => step(next, list.len()).and_then(|i| list.get_item(i).ok()),
            Work::Tuple(tuple, next) => step(next, tuple.len()).and_then(|i| tuple.get_item(i).ok()),
            Work::Set { items, next, .. } => step(next, items.len()).map(|i| items[i].clone()),
            Work::Keys { pairs, next } => step(next, pairs.len()).map(|i| pairs[i].key.clone()),
            Work::Values { pairs, next } => step(next, pairs.len()).map(|i| {
                self.bytes.extend_from_slice(&pairs[i].token.to_le_bytes());
                pairs[i].value.clone()
            }),
        }
    }

    /// A part has been written from `mark` on. Parts that will be sorted are taken away again and kept as tokens.
    fn written(&mut self, mark: usize) {
        let Some(frame) = self.frames.last_mut() else { return };
        let (low, shared) = std::mem::replace(&mut frame.part, (usize::MAX, false));
        frame.low = frame.low.min(low);
        frame.shared |= shared;
        let place = match &mut frame.work {
            Work::Set { tokens, .. } => {
                tokens.push(0);
                tokens.last_mut()
            }
            Work::Keys { pairs, next } => pairs.get_mut(*next - 1).map(|p| &mut p.token),
            _ => None,
        };
        if let Some(place) = place {
            *place = XxHash3_128::oneshot(&self.bytes[mark..]);
            self.bytes.truncate(mark);
            frame.unsorted.0 += usize::from(low <= frame.position);
            frame.unsorted.1 += usize::from(shared);
        }
    }

    /// The innermost object is complete: what was written for it becomes its token, and stands in its parent.
    fn close(&mut self) -> PyResult<()> {
        let Some(mut frame) = self.frames.pop() else { return Ok(()) };
        let elements = match &mut frame.work {
            Work::Set { tokens, .. } => {
                tokens.sort_unstable();
                for token in tokens.iter() {
                    self.bytes.extend_from_slice(&token.to_le_bytes());
                }
                tokens.len()
            }
            Work::Values { pairs, .. } => pairs.len(),
            _ => 0,
        };
        if frame.unsorted.0 > 1 || frame.unsorted.1 > 0 && elements > 1 {
            self.bytes.truncate(frame.start);
            let what = self.py.get_type::<PySet>();
            self.unstable(
                &what,
                "elements of a set, or keys of a dictionary, that are parts of one cycle have no order",
            )?;
        }
        let token = XxHash3_128::oneshot(&self.bytes[frame.start..]);
        self.bytes.truncate(frame.start);
        let closed = frame.low >= frame.position;
        if closed {
            for (number, address) in self.open.drain(frame.position..).enumerate().skip(1) {
                if let Some((_, known)) = self.known.get_mut(&address) {
                    let mut member = [0u8; 25];
                    member[0] = Tag::Member as u8;
                    member[1..17].copy_from_slice(&token.to_le_bytes());
                    member[17..].copy_from_slice(&(number as u64).to_le_bytes());
                    *known = Known::Closed { token: XxHash3_128::oneshot(&member), shared: true };
                }
            }
            if let Some((_, known)) = frame.address.and_then(|a| self.known.get_mut(&a)) {
                *known = Known::Closed { token, shared: frame.shared };
            }
        }
        let mark = self.bytes.len();
        if let Some(parent) = self.frames.last_mut() {
            parent.part = (if closed { usize::MAX } else { frame.low }, frame.shared);
        }
        self.parts(token);
        self.written(mark);
        Ok(())
    }

    // ---- writing ----

    fn tag(&mut self, tag: Tag) {
        self.bytes.push(tag as u8);
    }

    fn number(&mut self, n: u64) {
        self.bytes.extend_from_slice(&n.to_le_bytes());
    }

    fn parts(&mut self, token: u128) {
        self.tag(Tag::Parts);
        self.bytes.extend_from_slice(&token.to_le_bytes());
    }

    /// Text or bytes, out in full or as their hash.
    fn text(&mut self, short: Tag, long: Tag, text: &[u8]) {
        if text.len() <= SHORT {
            self.tag(short);
            self.bytes.push(text.len() as u8);
            self.bytes.extend_from_slice(text);
        } else {
            let token = if text.len() < DETACH_BYTES {
                XxHash3_128::oneshot(text)
            } else {
                self.py.detach(|| XxHash3_128::oneshot(text))
            };
            self.tag(long);
            self.number(text.len() as u64);
            self.bytes.extend_from_slice(&token.to_le_bytes());
        }
    }

    fn string(&mut self, s: &Bound<'py, PyString>) -> PyResult<()> {
        match s.to_str() {
            Ok(text) => self.text(Tag::Str, Tag::LongStr, text.as_bytes()),
            Err(_) => {
                // Lone surrogates have no UTF-8; their bytes here are no valid UTF-8, so no other string has them.
                let bytes = s.call_method1(intern!(self.py, "encode"), ("utf-8", "surrogatepass"))?;
                self.text(Tag::Str, Tag::LongStr, bytes.cast::<PyBytes>()?.as_bytes());
            }
        }
        Ok(())
    }

    fn float(&mut self, value: f64) {
        let value = if value.is_nan() { f64::NAN } else { value };
        self.number(value.to_bits());
    }

    fn int(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let mut overflow = 0;
        // SAFETY: `object` is an int; the call sets no error for one, and tells in `overflow` that it does not fit.
        let value = unsafe { ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow) };
        if overflow == 0 {
            self.tag(Tag::Int);
            self.bytes.extend_from_slice(&value.to_le_bytes());
            return Ok(());
        }
        let bits: usize = object.call_method0(intern!(self.py, "bit_length"))?.extract()?;
        let options = PyDict::new(self.py);
        options.set_item(intern!(self.py, "signed"), true)?;
        let bytes =
            object.call_method(intern!(self.py, "to_bytes"), (bits / 8 + 1, "little"), Some(&options))?;
        self.tag(Tag::LargeInt);
        self.text(Tag::Bytes, Tag::LongBytes, bytes.cast::<PyBytes>()?.as_bytes());
        Ok(())
    }

    /// An object that no other process can name. Gets a token of its own, unless that is not wanted.
    fn unstable(&mut self, kind: &Bound<'py, PyType>, why: &str) -> PyResult<()> {
        if strict(self.py)? {
            return Err(refusal(kind, why)?);
        }
        let random =
            self.py.import(intern!(self.py, "os"))?.call_method1(intern!(self.py, "urandom"), (16,))?;
        self.tag(Tag::Random);
        self.bytes.extend_from_slice(random.cast::<PyBytes>()?.as_bytes());
        Ok(())
    }

    /// Which process this is, for what is only known in it. A forked child is another one.
    fn process(&mut self) -> PyResult<()> {
        static NONCE: PyOnceLock<[u8; 16]> = PyOnceLock::new();
        let nonce = NONCE.get_or_try_init(self.py, || -> PyResult<[u8; 16]> {
            let random = self.py.import("os")?.call_method1("urandom", (16,))?;
            let mut nonce = [0; 16];
            nonce.copy_from_slice(random.cast::<PyBytes>()?.as_bytes());
            Ok(nonce)
        })?;
        self.bytes.extend_from_slice(nonce);
        self.number(u64::from(std::process::id()));
        Ok(())
    }

    // ---- parts ----

    /// Begins an object with parts, unless it is known already.
    fn enter(
        &mut self,
        object: &Bound<'py, PyAny>,
        tag: Tag,
        work: impl FnOnce() -> PyResult<Work<'py>>,
    ) -> PyResult<()> {
        let address = object.as_ptr() as usize;
        // One reference is ours. If only one container has another, nothing leads here a second time.
        // SAFETY: `object` is alive.
        let once = !self.frames.is_empty() && unsafe { ffi::Py_REFCNT(object.as_ptr()) } <= 2;
        if !once && let Some(&(_, known)) = self.known.get(&address) {
            self.again(known);
            return Ok(());
        }
        let work = work()?;
        let position = self.open.len();
        if once {
            self.open.push(0);
        } else {
            self.open.push(address);
            match self.known.entry(address) {
                Entry::Vacant(entry) => _ = entry.insert((object.clone(), Known::Open(position))),
                // A hook of the object has walked it by other means; it is the same object still.
                Entry::Occupied(mut entry) => entry.get_mut().1 = Known::Open(position),
            }
        }
        let start = self.bytes.len();
        let unfolds = matches!(tag, Tag::Rule | Tag::Reduced);
        let unfolded = self.frames.last().map_or(0, |f| f.unfolded) + usize::from(unfolds);
        if unfolded > UNFOLDED {
            let name = object.get_type().fully_qualified_name()?;
            return Err(PyRecursionError::new_err(format!(
                "an object of type {name} seems to consist of objects like itself without end"
            )));
        }
        self.tag(tag);
        self.frames.push(Frame {
            unfolded,
            work,
            start,
            address: (!once).then_some(address),
            position,
            low: usize::MAX,
            shared: false,
            part: (usize::MAX, false),
            unsorted: (0, 0),
        });
        Ok(())
    }

    /// Writes an object that was reached before.
    fn again(&mut self, known: Known) {
        match known {
            Known::Open(position) => {
                self.tag(Tag::Back);
                self.number((self.open.len() - position) as u64);
                if let Some(frame) = self.frames.last_mut() {
                    frame.part.0 = frame.part.0.min(position);
                }
            }
            Known::Closed { token, shared } => {
                self.parts(token);
                if let Some(frame) = self.frames.last_mut() {
                    frame.part.1 |= shared;
                }
            }
        }
    }

    fn visit(&mut self, object: Bound<'py, PyAny>) -> PyResult<()> {
        if let Ok(s) = object.cast_exact::<PyString>() {
            self.string(s)?;
        } else if object.is_exact_instance_of::<PyInt>() {
            self.int(&object)?;
        } else if let Ok(f) = object.cast_exact::<PyFloat>() {
            self.tag(Tag::Float);
            self.float(f.value());
        } else if object.is_none() {
            self.tag(Tag::None);
        } else if let Ok(b) = object.cast_exact::<PyBool>() {
            self.tag(if b.is_true() { Tag::True } else { Tag::False });
        } else if let Ok(t) = object.cast_exact::<PyTuple>() {
            self.enter(&object, Tag::Tuple, || Ok(Work::Tuple(t.clone(), 0)))?;
        } else if let Ok(l) = object.cast_exact::<PyList>() {
            self.enter(&object, Tag::List, || Ok(Work::List(l.clone(), 0)))?;
        } else if let Ok(d) = object.cast_exact::<PyDict>() {
            self.enter(&object, Tag::Dict, || Ok(keys(d)))?;
        } else if let Ok(b) = object.cast_exact::<PyBytes>() {
            self.text(Tag::Bytes, Tag::LongBytes, b.as_bytes());
        } else if let Ok(s) = object.cast_exact::<PySet>() {
            self.enter(&object, Tag::Set, || Ok(set(s.iter().collect())))?;
        } else if let Ok(s) = object.cast_exact::<PyFrozenSet>() {
            self.enter(&object, Tag::FrozenSet, || Ok(set(s.iter().collect())))?;
        } else if let Ok(c) = object.cast_exact::<PyComplex>() {
            self.tag(Tag::Complex);
            self.float(c.real());
            self.float(c.imag());
        } else if let Ok(b) = object.cast_exact::<PyByteArray>() {
            self.tag(Tag::ByteArray);
            self.text(Tag::Bytes, Tag::LongBytes, &b.to_vec());
        } else if object.is_exact_instance_of::<PySlice>() {
            let names = ["start", "stop", "step"];
            self.enter(&object, Tag::Slice, || attributes(&object, &names))?;
        } else if object.is_exact_instance_of::<PyRange>() {
            let names = ["start", "stop", "step"];
            self.enter(&object, Tag::Range, || attributes(&object, &names))?;
        } else if object.is_exact_instance_of::<PyEllipsis>() {
            self.tag(Tag::Ellipsis);
        } else if object.is_exact_instance_of::<PyNotImplemented>() {
            self.tag(Tag::NotImplemented);
        } else if let Ok(class) = object.cast::<PyType>() {
            self.class(class)?;
        } else if let Ok(e) = object.cast_exact::<Expr>() {
            if strict(self.py)? {
                let why = "a lazy array is known by its place in this process' graph, and other processes have other graphs";
                return Err(refusal(&object.get_type(), why)?);
            }
            self.tag(Tag::Expression);
            self.process()?;
            self.number(e.get().node.id());
        } else {
            self.other(&object)?;
        }
        Ok(())
    }

    /// Objects of types that are told apart at run time.
    fn other(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        let kinds = Kinds::get(self.py)?;
        let kind = object.get_type();
        if kind.is(&kinds.function) {
            return self.function(object);
        }
        if kind.is(&kinds.builtin) {
            return self.builtin(object);
        }
        if kind.is(&kinds.code) {
            let token = code_facts(object)?.token;
            self.parts(token);
            return Ok(());
        }
        if kind.is(&kinds.cell) {
            return self.enter(object, Tag::Cell, || {
                Ok(Work::Items(
                    object.getattr(intern!(object.py(), "cell_contents")).into_iter().collect(),
                    0,
                ))
            });
        }
        if kind.is(&kinds.object) {
            return self.identity(object);
        }
        if kinds.is_array(&kind)? && self.array(object)? {
            return Ok(());
        }
        if let Some(&(_, known)) = self.known.get(&(object.as_ptr() as usize)) {
            self.again(known);
            return Ok(());
        }
        match rule(&kind)? {
            Some(rule) => {
                let parts = rule.bind(self.py).call1((object,))?;
                self.enter(object, Tag::Rule, || Ok(Work::Items(vec![parts], 0)))
            }
            None => self.reduce(object, &kind),
        }
    }

    /// `object()`: used as a mark that is compared with `is`. Its token is the same for the rest of this process, for which it is kept.
    fn identity(&mut self, object: &Bound<'py, PyAny>) -> PyResult<()> {
        static KEPT: Mutex<Vec<Py<PyAny>>> = Mutex::new(Vec::new());
        static SEEN: Mutex<Option<FxHashMap<usize, ()>>> = Mutex::new(None);
        if strict(self.py)? {
            return Err(refusal(&object.get_type(), "object() is nothing but itself")?);
        }
        let address = object.as_ptr() as usize;
        if SEEN.lock().get_or_insert_default().insert(address, ()).is_none() {
            KEPT.lock().push(object.clone().unbind());
        }
        self.tag(Tag::Identity);
        self.process()?;
        self.number(address as u64);
        Ok(())
    }

    fn global(&mut self, module: &Bound<'py, PyString>, name: &Bound<'py, PyString>) -> PyResult<()> {
        self.tag(Tag::Global);
        self.string(module)?;
        self.string(name)
    }

    fn class(&mut self, class: &Bound<'py, PyType>) -> PyResult<()> {
        let module = class.getattr(intern!(self.py, "__module__"));
        let name = class.qualname()?;
        if let Ok(module) = module.and_then(|m| Ok(m.cast_into::<PyString>()?)) {
            // SAFETY: `class` is a type.
            let heap = unsafe { ffi::PyType_GetFlags(class.as_type_ptr()) } & ffi::Py_TPFLAGS_HEAPTYPE != 0;
            // Types in C are what they are, also where no module has them under their name (`builtins.function`).
            if !heap || importable(&module, &name, class)? {
                return self.global(&module, &name);
            }
        }
        self.enter(class, Tag::Class, || {
            Ok(Work::Items(
                vec![rules(class.py())?.call_method1(intern!(class.py(), "class_parts"), (class,))?],
                0,
            ))
        })
    }

    /// A function that a module has under its name is that name and its code. Any other one, and one of a script or a notebook, is
    /// also what it closes over, its defaults, and the values of the globals that its code loads.
    fn function(&mut self, f: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = self.py;
        let code = f.getattr(intern!(py, "__code__"))?;
        let facts = code_facts(&code)?;
        let name = f.getattr(intern!(py, "__qualname__"))?.cast_into::<PyString>()?;
        if let Ok(module) = f.getattr(intern!(py, "__module__"))?.cast::<PyString>()
            && importable(module, &name, f)?
        {
            self.global(module, &name)?;
            self.parts(facts.token);
            return Ok(());
        }
        self.enter(f, Tag::Function, || {
            let globals = f.getattr(intern!(py, "__globals__"))?.cast_into::<PyDict>()?;
            let used = PyDict::new(py);
            for name in &facts.globals {
                if let Some(value) = globals.get_item(name)? {
                    used.set_item(name, value)?;
                }
            }
            let mut items = vec![name.into_any(), code, used.into_any()];
            for part in ["__defaults__", "__kwdefaults__", "__closure__", "__dict__"] {
                items.push(f.getattr(part)?);
            }
            Ok(Work::Items(items, 0))
        })
    }

    fn builtin(&mut self, f: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = self.py;
        let owner = f.getattr(intern!(py, "__self__"))?;
        let name = f.getattr(intern!(py, "__qualname__"))?.cast_into::<PyString>()?;
        if owner.is_none() || owner.is_instance_of::<PyModule>() {
            let module = f.getattr(intern!(py, "__module__"))?;
            let module = match module.cast_into::<PyString>() {
                Ok(module) => module,
                Err(_) => owner.getattr(intern!(py, "__name__"))?.str()?,
            };
            return self.global(&module, &name);
        }
        self.enter(f, Tag::Builtin, || Ok(Work::Items(vec![owner, name.into_any()], 0)))
    }

    /// Takes an object apart as pickle would.
    fn reduce(&mut self, object: &Bound<'py, PyAny>, kind: &Bound<'py, PyType>) -> PyResult<()> {
        let py = self.py;
        self.reduced = true;
        let kinds = Kinds::get(py)?;
        let reducer = kinds.dispatch_table.bind(py).get_item(kind)?;
        let reduced = match reducer {
            Some(reducer) => reducer.call1((object,)),
            None => object.call_method1(intern!(py, "__reduce_ex__"), (5,)),
        };
        let reduced = match reduced {
            Ok(reduced) => reduced,
            Err(e) if e.is_instance_of::<PyException>(py) && !e.is_instance_of::<PyMemoryError>(py) => {
                return self.unstable(kind, &format!("it cannot be pickled: {e}"));
            }
            Err(e) => return Err(e),
        };
        if let Ok(name) = reduced.cast::<PyString>() {
            let module = py
                .import(intern!(py, "pickle"))?
                .call_method1(intern!(py, "whichmodule"), (object, name))?
                .cast_into::<PyString>()?;
            if resolve(&module, name)?.is_some_and(|found| found.is(object)) {
                return self.global(&module, name);
            }
            return self.unstable(kind, &format!("it calls itself {name}, which module {module} has not"));
        }
        let Ok(reduced) = reduced.cast_into::<PyTuple>() else {
            return self.unstable(kind, "its __reduce_ex__ gives neither a string nor a tuple");
        };
        self.enter(object, Tag::Reduced, || {
            let mut items = Vec::with_capacity(reduced.len());
            for (i, item) in reduced.iter().enumerate() {
                items.push(match i {
                    _ if item.is_none() => item,
                    3 => PyList::new(py, item.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.into_any(),
                    // Dictionaries are the same in any order, except where the class is about order.
                    4 if object.is_instance(kinds.ordered_dict.bind(py))? => {
                        PyList::new(py, item.try_iter()?.collect::<PyResult<Vec<_>>>()?)?.into_any()
                    }
                    4 => {
                        let dict = PyDict::new(py);
                        for pair in item.try_iter()? {
                            let pair = pair?;
                            dict.set_item(pair.get_item(0)?, pair.get_item(1)?)?;
                        }
                        dict.into_any()
                    }
                    _ => item,
                });
            }
            Ok(Work::Items(items, 0))
        })
    }

    /// An array of NumPy's whose elements are bytes and nothing more; false for others, which a rule takes apart.
    fn array(&mut self, array: &Bound<'py, PyAny>) -> PyResult<bool> {
        let py = self.py;
        let dtype = array.getattr(intern!(py, "dtype"))?;
        let kind = dtype.getattr(intern!(py, "char"))?;
        let kind = kind.cast::<PyString>()?.to_str()?;
        // Not here: objects and strings of variable length (pointers), long doubles (six bytes of nothing), records and user types.
        if kind.len() != 1 || !"?bhilqpBHILQPefdFDSUmM".contains(kind) {
            return Ok(false);
        }
        let interface = array.getattr(intern!(py, "__array_interface__"))?.cast_into::<PyDict>()?;
        let get = |key: &Bound<'py, PyString>| -> PyResult<Bound<'py, PyAny>> {
            interface
                .get_item(key)?
                .ok_or_else(|| PyRuntimeError::new_err("NumPy's array interface is incomplete"))
        };
        let (pointer, _): (usize, bool) = get(intern!(py, "data"))?.extract()?;
        let shape: SmallVec<[usize; 6]> =
            get(intern!(py, "shape"))?.try_iter()?.map(|n| n?.extract()).collect::<PyResult<_>>()?;
        let strides = get(intern!(py, "strides"))?;
        let itemsize: usize = dtype.getattr(intern!(py, "itemsize"))?.extract()?;
        let bytes = shape.iter().product::<usize>() * itemsize;
        let token = if bytes == 0 {
            0
        } else if strides.is_none() {
            let hash = move || {
                // SAFETY: the interface of a contiguous array, which is alive, describes this many bytes. As with every array
                // that Pantile is given, writing into it meanwhile is the user's mistake, and changes the token only.
                let memory = unsafe { std::slice::from_raw_parts(pointer as *const u8, bytes) };
                XxHash3_128::oneshot(memory)
            };
            if bytes < DETACH_BYTES { hash() } else { py.detach(hash) }
        } else {
            let strides: SmallVec<[isize; 6]> =
                strides.try_iter()?.map(|n| n?.extract()).collect::<PyResult<_>>()?;
            let memory = Strided { pointer, itemsize, shape: &shape, strides: &strides };
            let hash = move || memory.hash();
            if bytes < DETACH_BYTES { hash() } else { py.detach(hash) }
        };
        self.tag(Tag::Array);
        self.string(dtype.getattr(intern!(py, "str"))?.cast::<PyString>()?)?;
        self.number(shape.len() as u64);
        for n in shape {
            self.number(n as u64);
        }
        self.bytes.extend_from_slice(&token.to_le_bytes());
        Ok(true)
    }
}

fn step(next: &mut usize, len: usize) -> Option<usize> {
    let i = *next;
    *next += 1;
    (i < len).then_some(i)
}

fn keys<'py>(dict: &Bound<'py, PyDict>) -> Work<'py> {
    Work::Keys { pairs: dict.iter().map(|(key, value)| Pair { token: 0, key, value }).collect(), next: 0 }
}

fn set(items: Vec<Bound<'_, PyAny>>) -> Work<'_> {
    let tokens = Vec::with_capacity(items.len());
    Work::Set { items, next: 0, tokens }
}

fn attributes<'py>(object: &Bound<'py, PyAny>, names: &[&str]) -> PyResult<Work<'py>> {
    Ok(Work::Items(names.iter().map(|&n| object.getattr(n)).collect::<PyResult<_>>()?, 0))
}

fn refusal(kind: &Bound<'_, PyType>, why: &str) -> PyResult<PyErr> {
    let name = kind.fully_qualified_name()?;
    Ok(TokenizationError::new_err(format!(
        "an object of type {name} has no token that every process would give it: {why}. Give its class a method \
         __pantile_tokenize__ that returns what it is, or register a function for it with pantile.normalize_token"
    )))
}

/// Memory that is not in the order of its indices.
#[derive(Clone, Copy)]
struct Strided<'a> {
    pointer: usize,
    itemsize: usize,
    shape: &'a [usize],
    strides: &'a [isize],
}

impl Strided<'_> {
    /// The hash of the elements in the order of their indices: what a contiguous copy would have.
    fn hash(self) -> u128 {
        let mut hasher = xxh();
        let mut piece = Vec::new();
        self.feed(&mut hasher, &mut piece);
        hasher.finish_128()
    }

    fn feed(self, hasher: &mut twox_hash::xxhash3_128::Hasher, piece: &mut Vec<u8>) {
        let inner = self.shape.iter().skip(1).product::<usize>() * self.itemsize;
        let Some((&len, &stride)) = self.shape.first().zip(self.strides.first()) else { return };
        let rows = (PIECE_BYTES / inner.max(1)).clamp(1, len);
        for first in (0..len).step_by(rows) {
            let pointer = self.pointer.wrapping_add_signed(stride * first as isize);
            if rows == 1 && self.shape.len() > 1 && inner > PIECE_BYTES {
                Strided { pointer, shape: &self.shape[1..], strides: &self.strides[1..], ..self }
                    .feed(hasher, piece);
                continue;
            }
            let mut shape: SmallVec<[usize; 6]> = self.shape.into();
            shape[0] = rows.min(len - first);
            let mut to: SmallVec<[isize; 6]> = shape.iter().map(|_| 0).collect();
            let mut bytes = self.itemsize;
            for axis in (0..shape.len()).rev() {
                to[axis] = bytes as isize;
                bytes *= shape[axis];
            }
            piece.resize(bytes, 0);
            // SAFETY: the array, which is alive, has its elements there; `piece` is ours and large enough.
            unsafe {
                copy_strided(
                    self.itemsize,
                    &shape,
                    piece.as_mut_ptr(),
                    &to,
                    pointer as *const u8,
                    self.strides,
                );
            }
            hasher.write(piece);
        }
    }
}

fn xxh() -> twox_hash::xxhash3_128::Hasher {
    twox_hash::xxhash3_128::Hasher::new()
}

// ---- what Python knows ----

/// Types and objects that are looked up once.
struct Kinds {
    function: Py<PyAny>,
    builtin: Py<PyAny>,
    code: Py<PyAny>,
    cell: Py<PyAny>,
    object: Py<PyAny>,
    ordered_dict: Py<PyAny>,
    dispatch_table: Py<PyDict>,
    modules: Py<PyDict>,
}

impl Kinds {
    fn get(py: Python<'_>) -> PyResult<&'static Kinds> {
        static KINDS: PyOnceLock<Kinds> = PyOnceLock::new();
        KINDS.get_or_try_init(py, || {
            let types = py.import("types")?;
            let of = |name: &str| -> PyResult<Py<PyAny>> { Ok(types.getattr(name)?.unbind()) };
            Ok(Kinds {
                function: of("FunctionType")?,
                builtin: of("BuiltinFunctionType")?,
                code: of("CodeType")?,
                cell: of("CellType")?,
                object: py.import("builtins")?.getattr("object")?.unbind(),
                ordered_dict: py.import("collections")?.getattr("OrderedDict")?.unbind(),
                dispatch_table: py
                    .import("copyreg")?
                    .getattr("dispatch_table")?
                    .cast_into::<PyDict>()?
                    .unbind(),
                modules: py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?.unbind(),
            })
        })
    }

    /// Whether this is `numpy.ndarray`, without importing NumPy: who has no NumPy has no arrays.
    fn is_array(&self, kind: &Bound<'_, PyType>) -> PyResult<bool> {
        static NDARRAY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let py = kind.py();
        if let Some(ndarray) = NDARRAY.get(py) {
            return Ok(kind.is(ndarray));
        }
        match self.modules.bind(py).get_item("numpy")? {
            Some(numpy) => match numpy.getattr("ndarray") {
                Ok(ndarray) => Ok(kind.is(NDARRAY.get_or_init(py, || ndarray.unbind()))),
                // NumPy is just being imported.
                Err(_) => Ok(false),
            },
            None => Ok(false),
        }
    }
}

fn rules(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    py.import(intern!(py, "pantile._tokenize"))
}

/// A table from addresses to something, with the objects at these addresses, which it keeps.
type Table<T> = Mutex<Option<FxHashMap<usize, (Py<PyAny>, T)>>>;

fn look_up<T: Clone>(table: &Table<T>, object: &Bound<'_, PyAny>) -> Option<T> {
    table.lock().as_ref()?.get(&(object.as_ptr() as usize)).map(|(_, value)| value.clone())
}

fn keep<T>(table: &Table<T>, object: &Bound<'_, PyAny>, value: T) {
    let mut lock = table.lock();
    let map = lock.get_or_insert_default();
    let full = if map.len() >= TABLE { std::mem::take(map) } else { FxHashMap::default() };
    let replaced = map.insert(object.as_ptr() as usize, (object.clone().unbind(), value));
    // Objects die without the lock: their finalisers may come here again.
    drop(lock);
    drop((full, replaced));
}

static RULES: Table<Option<Arc<Py<PyAny>>>> = Mutex::new(None);

/// Forgets which rule belongs to which class: there is a new one.
#[pyfunction]
fn forget_token_rules() {
    let old = RULES.lock().take();
    drop(old);
}

/// The function that takes objects of this class apart, if there is one.
fn rule(kind: &Bound<'_, PyType>) -> PyResult<Option<Arc<Py<PyAny>>>> {
    if let Some(rule) = look_up(&RULES, kind) {
        return Ok(rule);
    }
    let found = rules(kind.py())?.call_method1(intern!(kind.py(), "rule_for"), (kind,))?;
    let rule = (!found.is_none()).then(|| Arc::new(found.unbind()));
    keep(&RULES, kind, rule.clone());
    Ok(rule)
}

/// What a module has under a dotted name.
fn resolve<'py>(
    module: &Bound<'py, PyString>,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = module.py();
    let modules = Kinds::get(py)?.modules.bind(py);
    let mut found = match modules.get_item(module)? {
        Some(found) => found,
        None => {
            // Packages import parts of themselves late, and tokens must not depend on whether they have. A name without its
            // package here may be anything, such as a script beside us, which is not to be run for a token.
            let Some((package, _)) = module.to_str()?.split_once('.') else { return Ok(None) };
            if !modules.contains(package)? {
                return Ok(None);
            }
            match py.import(module) {
                Ok(found) => found.into_any(),
                Err(_) => return Ok(None),
            }
        }
    };
    let Ok(name) = name.to_str() else { return Ok(None) };
    for part in name.split('.') {
        match found.getattr(part) {
            Ok(next) => found = next,
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(found))
}

/// Whether other processes find this object under its name. A script's own objects they do not, or find others.
fn importable(
    module: &Bound<'_, PyString>,
    name: &Bound<'_, PyString>,
    object: &Bound<'_, PyAny>,
) -> PyResult<bool> {
    if matches!(module.to_str(), Ok("__main__" | "__mp_main__") | Err(_))
        || name.to_str().is_ok_and(|n| n.contains('<'))
    {
        return Ok(false);
    }
    Ok(resolve(module, name)?.is_some_and(|found| found.is(object)))
}

/// What is known of a code object, which never changes.
struct CodeFacts {
    token: u128,
    /// The globals that it loads, with those of the functions inside it.
    globals: Vec<Py<PyString>>,
}

/// Everything that tells what code does; not where it stands, so that a function keeps its token when it moves in its file.
const CODE_PARTS: [&str; 12] = [
    "co_qualname",
    "co_argcount",
    "co_posonlyargcount",
    "co_kwonlyargcount",
    "co_flags",
    "co_code",
    "co_consts",
    "co_names",
    "co_varnames",
    "co_freevars",
    "co_cellvars",
    "co_exceptiontable",
];

/// Recursion here is as deep as functions are nested in the source, which the compiler limits.
fn code_facts(code: &Bound<'_, PyAny>) -> PyResult<Arc<CodeFacts>> {
    static CODES: Table<Arc<CodeFacts>> = Mutex::new(None);
    if let Some(facts) = look_up(&CODES, code) {
        return Ok(facts);
    }
    let py = code.py();
    let mut walker = Walker::new(py);
    walker.tag(Tag::Code);
    for part in CODE_PARTS {
        walker.walk(&code.getattr(part)?)?;
    }
    let token = XxHash3_128::oneshot(&walker.bytes);
    let names = code.getattr(intern!(py, "co_names"))?.cast_into::<PyTuple>()?;
    let mut globals = Vec::new();
    for index in global_loads(code)? {
        globals.push(names.get_item(index)?.cast_into::<PyString>()?.unbind());
    }
    for constant in code.getattr(intern!(py, "co_consts"))?.cast_into::<PyTuple>()? {
        if constant.get_type().is(&Kinds::get(py)?.code) {
            globals.extend(code_facts(&constant)?.globals.iter().map(|name| name.clone_ref(py)));
        }
    }
    let facts = Arc::new(CodeFacts { token, globals });
    keep(&CODES, code, facts.clone());
    Ok(facts)
}

/// Indices into `co_names` of what the instructions load from globals. Attributes are in `co_names` too, and are none.
fn global_loads(code: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    static OPCODES: PyOnceLock<[Option<u8>; 4]> = PyOnceLock::new();
    let py = code.py();
    let [extended, global, name, class_global] =
        *OPCODES.get_or_try_init(py, || -> PyResult<[Option<u8>; 4]> {
            let map = py.import("opcode")?.getattr("opmap")?.cast_into::<PyDict>()?;
            let of = |name: &str| -> PyResult<Option<u8>> {
                map.get_item(name)?.map(|opcode| opcode.extract()).transpose()
            };
            Ok([of("EXTENDED_ARG")?, of("LOAD_GLOBAL")?, of("LOAD_NAME")?, of("LOAD_FROM_DICT_OR_GLOBALS")?])
        })?;
    let bytes = code.getattr(intern!(py, "co_code"))?.cast_into::<PyBytes>()?;
    let mut found = Vec::new();
    let mut high = 0usize;
    // Two bytes an instruction; inline caches are instructions without meaning.
    for pair in bytes.as_bytes().chunks_exact(2) {
        let opcode = Some(pair[0]);
        let argument = high << 8 | usize::from(pair[1]);
        high = 0;
        if opcode == extended {
            high = argument;
        } else if opcode == global {
            // The lowest bit says that a call follows.
            found.push(argument >> 1);
        } else if opcode == name || opcode == class_global {
            found.push(argument);
        }
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

//! Arguments: which of them are nodes, which hold nodes inside, and which must not change until the call runs.
//!
//! A list that holds a node is replaced by a `Packed`, which has a copy of the list's structure; when the call runs, it is built
//! anew with values in the nodes' places. A list without nodes stays the user's own; what it held is remembered, so that a change
//! between building and running is noticed.

use super::node::Delayed;
use crate::error::InternalError;
use parking_lot::Mutex;
use pyo3::exceptions::{PyException, PyRecursionError, PyTypeError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet, PyList, PySet, PySlice, PyTuple, PyType};
use rustc_hash::FxHashMap;
use std::hash::{Hash, Hasher};

/// Containers may be nested so deep.
const DEEPEST: usize = 2000;

/// What can be built anew.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    List,
    Tuple,
    Set,
    FrozenSet,
    /// Keys and values in turn.
    Dict,
    Slice,
    /// A namedtuple: its class comes first.
    Named,
    /// A dataclass: the instance comes first, then names and values in turn.
    Dataclass,
}

/// A container that holds nodes at some depth.
#[pyclass(frozen, module = "pantile._native")]
pub struct Packed {
    pub shape: Shape,
    pub items: Py<PyTuple>,
}

#[pymethods]
impl Packed {
    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.items)
    }
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let make = py.get_type::<Packed>().getattr("_restored")?.unbind();
        (make, (self.shape as u8, self.items.clone_ref(py))).into_pyobject(py)
    }
    #[staticmethod]
    fn _restored(shape: u8, items: Py<PyTuple>) -> PyResult<Packed> {
        use Shape::{Dataclass, Dict, FrozenSet, List, Named, Set, Slice, Tuple};
        let shapes = [List, Tuple, Set, FrozenSet, Dict, Slice, Named, Dataclass];
        let shape = *shapes.get(usize::from(shape)).ok_or_else(|| {
            PyTypeError::new_err("a pickled argument of a shape that this version does not know")
        })?;
        Ok(Packed { shape, items })
    }
}

/// What a type means as an argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    Plain,
    Node,
    Packed,
    List,
    Tuple,
    Set,
    FrozenSet,
    Dict,
    Slice,
    Named,
    Dataclass,
    Collection,
    /// What can be gone through once: generators and other iterators.
    Iterator,
}

/// Types that were looked at. They are kept alive, so that an address stands for one type only.
static CLASSES: Mutex<Option<Classes>> = Mutex::new(None);

type Classes = FxHashMap<usize, (Class, Py<PyType>)>;

/// So many types are remembered; a program that makes more of them starts again.
const MOST_CLASSES: usize = 4096;

fn class_of(value: &Bound<'_, PyAny>) -> PyResult<Class> {
    // SAFETY: every object has a type.
    let address = unsafe { ffi::Py_TYPE(value.as_ptr()) } as usize;
    if let Some((class, _)) = CLASSES.lock().as_ref().and_then(|known| known.get(&address)) {
        return Ok(*class);
    }
    let class = classify(value)?;
    let ty = value.get_type().unbind();
    let forgotten = {
        let mut known = CLASSES.lock();
        let known = known.get_or_insert_with(FxHashMap::default);
        let forgotten = (known.len() >= MOST_CLASSES).then(|| std::mem::take(known));
        known.insert(address, (class, ty));
        forgotten
    };
    // Outside the lock: the end of a type may run code.
    drop(forgotten);
    Ok(class)
}

fn classify(value: &Bound<'_, PyAny>) -> PyResult<Class> {
    let py = value.py();
    let ty = value.get_type();
    let exact = [
        (py.get_type::<PyList>(), Class::List),
        (py.get_type::<PyTuple>(), Class::Tuple),
        (py.get_type::<PySet>(), Class::Set),
        (py.get_type::<PyFrozenSet>(), Class::FrozenSet),
        (py.get_type::<PyDict>(), Class::Dict),
        (py.get_type::<PySlice>(), Class::Slice),
        (py.get_type::<Delayed>(), Class::Node),
        (py.get_type::<Packed>(), Class::Packed),
    ];
    if let Some((_, class)) = exact.iter().find(|(t, _)| t.is(&ty)) {
        return Ok(*class);
    }
    // A class whose metaclass raises something of its own has no such attribute either.
    let ask = |name: &str| match ty.getattr(name) {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(None),
        Err(error) => Err(error),
    };
    if ask("__pantile_graph__")?.is_some() {
        return Ok(Class::Collection);
    }
    if ask("__dataclass_fields__")?.is_some_and(|fields| fields.is_instance_of::<PyDict>()) {
        return Ok(Class::Dataclass);
    }
    if value.is_instance_of::<PyTuple>() && ask("_fields")?.is_some() && ask("_make")?.is_some() {
        return Ok(Class::Named);
    }
    // An iterator is its own iterator, which a mock that has every method is not. Also where there is no `__iter__`: `next` has one
    // effect only once, whoever calls it.
    let own = |it: PyResult<Bound<'_, pyo3::types::PyIterator>>| it.is_ok_and(|it| it.is(value));
    let once = ask("__next__")?.is_some() && (ask("__iter__")?.is_none() || own(value.try_iter()));
    if once || ask("ag_frame")?.is_some() {
        return Ok(Class::Iterator);
    }
    Ok(Class::Plain)
}

/// What was found in an argument.
pub enum Found<'py> {
    /// No node, and nothing that can change.
    Plain,
    /// No node; the fingerprint of a container that can change.
    Changeable(u64),
    /// This stands for the argument.
    Instead(Bound<'py, PyAny>),
    /// The argument is itself a node.
    Node,
}

/// Looks into an argument. Without `traverse` containers are taken as they are.
pub fn look<'py>(value: &Bound<'py, PyAny>, traverse: bool) -> PyResult<Found<'py>> {
    if is_simple(value) {
        return Ok(Found::Plain);
    }
    match class_of(value)? {
        Class::Plain => Ok(Found::Plain),
        Class::Node => Ok(Found::Node),
        Class::Packed => Ok(Found::Instead(value.clone())),
        Class::Collection => collection(value).map(Found::Instead),
        Class::Iterator => refuse_iterator(value).map(|()| Found::Plain),
        _ if !traverse => Ok(Found::Plain),
        Class::Dataclass if value.is_instance_of::<PyType>() => Ok(Found::Plain),
        _ => {
            let mut print = Print::default();
            match pack(value, &mut print)? {
                Some(packed) => Ok(Found::Instead(packed)),
                None if print.changeable => Ok(Found::Changeable(print.hash.finish())),
                None => Ok(Found::Plain),
            }
        }
    }
}

/// The fingerprint of a container, as `look` gave it.
pub fn fingerprint(value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let mut print = Print::default();
    pack(value, &mut print)?;
    Ok(print.hash.finish())
}

/// Numbers, strings and None: most arguments, told without a look-up.
fn is_simple(value: &Bound<'_, PyAny>) -> bool {
    let p = value.as_ptr();
    // SAFETY: these look at the object's type only.
    unsafe {
        ffi::PyLong_CheckExact(p) != 0
            || ffi::PyFloat_CheckExact(p) != 0
            || ffi::PyUnicode_CheckExact(p) != 0
            || ffi::PyBool_Check(p) != 0
            || value.is_none()
            || ffi::PyBytes_CheckExact(p) != 0
    }
}

/// Fails for what can be used only once, which is every iterator but a file that can only be written to.
fn refuse_iterator(value: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = value.py();
    let says = |name| value.call_method0(name).and_then(|said: Bound<'_, PyAny>| said.is_truthy());
    let is_file = value.is_instance(&py.import("io")?.getattr("IOBase")?)?;
    if is_file && says("writable").unwrap_or(false) && !says("readable").unwrap_or(true) {
        return Ok(());
    }
    let ty = value.get_type();
    let type_name = ty.name()?;
    let (what, advice) = if is_file {
        (format!("a file ({type_name})"), "its path, or what it holds,".to_owned())
    } else if ty.hasattr(intern!(py, "ag_frame"))? {
        (format!("an asynchronous generator ({type_name})"), "a list of what it gives".to_owned())
    } else if ty.hasattr(intern!(py, "gi_frame"))? {
        let name = value.getattr("__name__").and_then(|n| n.extract::<String>()).unwrap_or_default();
        (format!("a generator ({name})"), format!("list({name})"))
    } else {
        (format!("an iterator ({type_name})"), "a list of what it gives".to_owned())
    };
    Err(PyTypeError::new_err(format!(
        "{what} cannot be an argument of a delayed call: it can be used once only, and the call may run on another thread, in \
         another process or more than once. Pass {advice} instead"
    )))
}

/// The node that gives a collection's value. An array gives no nodes: it has an engine of its own.
fn collection<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let graph = value.call_method0(intern!(py, "__pantile_graph__"))?;
    if graph.is_none() {
        return Ok(Bound::new(py, Delayed::array(value))?.into_any());
    }
    let (nodes, finish): (Bound<'py, PyAny>, Bound<'py, PyAny>) = graph.extract()?;
    let mut node = Delayed::call(&finish, PyTuple::new(py, [nodes])?, None)?;
    node.local = true;
    Ok(Bound::new(py, node)?.into_any())
}

/// What a container holds, by identity.
#[derive(Default)]
struct Print {
    hash: rustc_hash::FxHasher,
    changeable: bool,
}

/// A container that is being looked into.
struct Open<'py> {
    shape: Shape,
    children: Vec<Bound<'py, PyAny>>,
    /// The next child.
    at: usize,
    holds_node: bool,
}

/// The `Packed` for a container that holds a node somewhere, else `None`. It keeps its own stack: threads may have small ones.
fn pack<'py>(value: &Bound<'py, PyAny>, print: &mut Print) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = value.py();
    let mut open: Vec<Open<'py>> = Vec::new();
    let mut now = value.clone();
    loop {
        // What stands for `now`, where that is not itself.
        let mut instead = match enter(&now, print, open.len())? {
            Entered::Container(container) => {
                open.push(container);
                None
            }
            Entered::Done(None) if open.is_empty() => return Ok(None),
            Entered::Done(instead) => {
                put(&mut open, instead.as_ref());
                if open.is_empty() { instead } else { None }
            }
        };
        loop {
            let Some(top) = open.last_mut() else { return Ok(instead) };
            if top.at < top.children.len() {
                now = top.children[top.at].clone();
                break;
            }
            (top.shape as u8, top.children.len()).hash(&mut print.hash);
            let done = open.pop().filter(|o| o.holds_node);
            instead = match done {
                Some(o) => {
                    let packed = Packed { shape: o.shape, items: PyTuple::new(py, o.children)?.unbind() };
                    Some(Bound::new(py, packed)?.into_any())
                }
                None => None,
            };
            put(&mut open, instead.as_ref());
        }
    }
}

/// Puts what stands for the innermost container's child there, and goes on to the next child.
fn put<'py>(open: &mut [Open<'py>], instead: Option<&Bound<'py, PyAny>>) {
    if let Some(parent) = open.last_mut() {
        if let Some(instead) = instead {
            parent.children[parent.at] = instead.clone();
            parent.holds_node = true;
        }
        parent.at += 1;
    }
}

enum Entered<'py> {
    Container(Open<'py>),
    /// No container; what stands for it.
    Done(Option<Bound<'py, PyAny>>),
}

fn enter<'py>(value: &Bound<'py, PyAny>, print: &mut Print, depth: usize) -> PyResult<Entered<'py>> {
    if is_simple(value) {
        (value.as_ptr() as usize).hash(&mut print.hash);
        return Ok(Entered::Done(None));
    }
    let class = class_of(value)?;
    let shape = match class {
        Class::Node | Class::Packed => return Ok(Entered::Done(Some(value.clone()))),
        Class::Collection => return collection(value).map(|node| Entered::Done(Some(node))),
        Class::Plain | Class::Iterator => {
            if class == Class::Iterator {
                refuse_iterator(value)?;
            }
            (value.as_ptr() as usize).hash(&mut print.hash);
            return Ok(Entered::Done(None));
        }
        Class::List => Shape::List,
        Class::Tuple => Shape::Tuple,
        Class::Set => Shape::Set,
        Class::FrozenSet => Shape::FrozenSet,
        Class::Dict => Shape::Dict,
        Class::Slice => Shape::Slice,
        Class::Named => Shape::Named,
        Class::Dataclass if value.is_instance_of::<PyType>() => return Ok(Entered::Done(None)),
        Class::Dataclass => Shape::Dataclass,
    };
    if depth == DEEPEST {
        return Err(PyRecursionError::new_err(format!(
            "an argument of a delayed call has containers nested more than {DEEPEST} deep (or one that holds itself)"
        )));
    }
    print.changeable |= matches!(shape, Shape::List | Shape::Set | Shape::Dict);
    // The first child of some says what to build, and is not looked at.
    let at = usize::from(matches!(shape, Shape::Named | Shape::Dataclass));
    Ok(Entered::Container(Open { shape, children: children(value, shape)?, at, holds_node: false }))
}

/// What a container holds, in the order in which `build` wants it.
fn children<'py>(value: &Bound<'py, PyAny>, shape: Shape) -> PyResult<Vec<Bound<'py, PyAny>>> {
    let py = value.py();
    Ok(match shape {
        Shape::List => value.cast::<PyList>()?.iter().collect(),
        Shape::Tuple => value.cast::<PyTuple>()?.iter().collect(),
        Shape::Set | Shape::FrozenSet => value.try_iter()?.collect::<PyResult<_>>()?,
        Shape::Dict => value.cast::<PyDict>()?.iter().flat_map(|(k, v)| [k, v]).collect(),
        Shape::Slice => {
            ["start", "stop", "step"].iter().map(|a| value.getattr(*a)).collect::<PyResult<_>>()?
        }
        Shape::Named => {
            let mut all = vec![value.get_type().into_any()];
            all.extend(value.cast::<PyTuple>()?.iter());
            all
        }
        Shape::Dataclass => {
            let mut all = vec![value.clone()];
            for name in value.getattr(intern!(py, "__dataclass_fields__"))?.try_iter()? {
                let name = name?;
                // A field that was declared but not set has nothing to look at.
                if let Some(field) = value.getattr_opt(name.cast::<pyo3::types::PyString>()?)? {
                    all.push(name);
                    all.push(field);
                }
            }
            all
        }
    })
}

/// What `visit` meets.
pub enum Part<'a, 'py> {
    /// A packed container, whose items follow.
    Open(&'a Packed),
    Node(&'a Bound<'py, Delayed>),
    Other(&'a Bound<'py, PyAny>),
}

/// Goes through a packed container and those in it, in the order in which `unpack` asks for values.
pub fn visit<'py>(packed: &Bound<'py, Packed>, each: &mut dyn FnMut(Part<'_, 'py>)) {
    let items = |p: &Packed| p.items.bind(packed.py()).clone();
    each(Part::Open(packed.get()));
    let mut open = vec![(items(packed.get()), 0)];
    while let Some((of, at)) = open.last_mut() {
        let Ok(item) = of.get_item(*at) else {
            open.pop();
            continue;
        };
        *at += 1;
        if let Ok(node) = item.cast_exact::<Delayed>() {
            each(Part::Node(node));
        } else if let Ok(inner) = item.cast_exact::<Packed>() {
            each(Part::Open(inner.get()));
            open.push((items(inner.get()), 0));
        } else {
            each(Part::Other(&item));
        }
    }
}

/// Calls `each` for every node in a packed container.
pub fn nodes_in<'py>(packed: &Bound<'py, Packed>, each: &mut dyn FnMut(&Bound<'py, Delayed>)) {
    visit(packed, &mut |part| {
        if let Part::Node(node) = part {
            each(node);
        }
    });
}

/// Builds a container with values in the nodes' places.
pub fn unpack<'py>(
    packed: &Bound<'py, Packed>,
    value: &mut dyn FnMut() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    rebuilt(packed, value, &mut |shape, items| build(packed.py(), shape, items))
}

/// The same packed container with other nodes.
pub fn repack<'py>(
    packed: &Bound<'py, Packed>,
    node: &mut dyn FnMut() -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = packed.py();
    rebuilt(packed, node, &mut |shape, items| {
        Ok(Bound::new(py, Packed { shape, items: PyTuple::new(py, items)?.unbind() })?.into_any())
    })
}

/// Replaces nodes by what `node` gives and packed containers by what `build` makes of their items, innermost first.
fn rebuilt<'py>(
    packed: &Bound<'py, Packed>,
    node: &mut dyn FnMut() -> PyResult<Bound<'py, PyAny>>,
    build: &mut dyn FnMut(Shape, Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = packed.py();
    let start = |p: &Packed| {
        let items = p.items.bind(py).clone();
        let built = Vec::with_capacity(items.len());
        (p.shape, items, built)
    };
    let mut open = vec![start(packed.get())];
    loop {
        let Some((_, items, built)) = open.last_mut() else {
            return Err(InternalError::new_err("an argument has no container"));
        };
        if built.len() < items.len() {
            let item = items.get_item(built.len())?;
            if item.is_exact_instance_of::<Delayed>() {
                built.push(node()?);
            } else if let Ok(inner) = item.cast_exact::<Packed>() {
                open.push(start(inner.get()));
            } else {
                built.push(item);
            }
            continue;
        }
        let (shape, _, built) = open.pop().unwrap_or_else(|| start(packed.get()));
        let made = build(shape, built)?;
        match open.last_mut() {
            Some((_, _, parent)) => parent.push(made),
            None => return Ok(made),
        }
    }
}

fn build<'py>(py: Python<'py>, shape: Shape, built: Vec<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match shape {
        Shape::List => PyList::new(py, built)?.into_any(),
        Shape::Tuple => PyTuple::new(py, built)?.into_any(),
        Shape::Set => PySet::new(py, built)?.into_any(),
        Shape::FrozenSet => PyFrozenSet::new(py, built)?.into_any(),
        Shape::Dict => {
            let dict = PyDict::new(py);
            for pair in built.chunks_exact(2) {
                dict.set_item(&pair[0], &pair[1])?;
            }
            dict.into_any()
        }
        Shape::Slice => py.get_type::<PySlice>().call1(PyTuple::new(py, built)?)?,
        Shape::Named => built[0].call_method1("_make", (PyTuple::new(py, &built[1..])?,))?,
        Shape::Dataclass => {
            // A copy that fields are set in, as dataclasses.replace() would run __init__ and refuse fields with init=False.
            let copy = py.import("copy")?.call_method1("copy", (&built[0],))?;
            let set = py.import("builtins")?.getattr("object")?.getattr("__setattr__")?;
            for pair in built[1..].chunks_exact(2) {
                set.call1((&copy, &pair[0], &pair[1]))?;
            }
            copy
        }
    })
}

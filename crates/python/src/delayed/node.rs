//! The class `Delayed`: a call that has not been made, and what can be done with its result before there is one.

use super::pack::{self, Found, Packed};
use super::place::Place;
use super::run;
use pyo3::class::basic::CompareOp;
use pyo3::exceptions::{PyAttributeError, PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyString, PyTuple};
use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// An object that is there already.
    Value,
    /// A call.
    Call,
    /// A lazy array, which is computed by the engine of arrays.
    Array,
    /// An attribute of another node's result, which becomes a method when it is called.
    Attribute,
}

/// What few nodes have.
#[derive(Default)]
pub struct More {
    /// The key, as the user named it.
    pub key: Option<Py<PyString>>,
    /// The name for people, where it is not the function's.
    pub name: Option<Py<PyString>>,
    /// How many values the result has.
    pub nout: Option<usize>,
    /// Containers among the arguments that must not change: position among positional and then keyword arguments, fingerprint.
    pub prints: Vec<(u32, u64)>,
    /// `annotate`d when the node was built.
    pub annotations: Option<Py<PyDict>>,
    /// A node that must have run before, and whose result is not used.
    pub after: Option<Py<Delayed>>,
}

/// A call that runs when its result is computed.
#[pyclass(frozen, weakref, module = "pantile._native")]
pub struct Delayed {
    /// What is called; for a value, the value.
    pub func: Py<PyAny>,
    pub args: Py<PyTuple>,
    pub kwargs: Option<Py<PyDict>>,
    pub place: Place,
    pub more: Option<Box<More>>,
    pub id: u64,
    /// Scratch for `collect`: which walk saw the node last, and the number that it gave.
    pub mark: AtomicU64,
    pub kind: Kind,
    /// Whether equal calls give equal results.
    pub pure: bool,
    /// Of a value: what `delayed(function, pure=...)` said of its calls.
    pub calls_pure: Option<bool>,
    /// Whether the function or an argument is a node, or holds one.
    pub has_inputs: bool,
    /// Whether it runs in this process whatever the executor: it puts together what others have made.
    pub local: bool,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(1);

fn no_arguments(py: Python<'_>) -> Py<PyTuple> {
    static EMPTY: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    EMPTY.get_or_init(py, || PyTuple::empty(py).unbind()).clone_ref(py)
}

/// Functions of the module `operator`, and two of our own.
fn known<'py>(
    py: Python<'py>,
    cell: &'static PyOnceLock<Py<PyAny>>,
    module: &str,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let found = cell.get_or_try_init(py, || PyResult::Ok(py.import(module)?.getattr(name)?.unbind()))?;
    Ok(found.bind(py).clone())
}

macro_rules! function {
    ($py:expr, $module:expr, $name:expr) => {{
        static CELL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        known($py, &CELL, $module, $name)
    }};
}

/// What tells the annotations in force; set when `pantile.annotations` is imported, since before that there are none.
static ANNOTATIONS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

/// Says who tells the annotations in force: a function that gives a dictionary or None.
#[pyfunction(name = "_annotations_from")]
pub fn annotations_from(py: Python<'_>, current: Py<PyAny>) {
    let _ = ANNOTATIONS.set(py, current);
}

/// What `annotate` says now.
fn annotated(py: Python<'_>) -> PyResult<Option<Py<PyDict>>> {
    let Some(current) = ANNOTATIONS.get(py) else { return Ok(None) };
    let now = current.bind(py).call0()?;
    if now.is_none() { Ok(None) } else { Ok(Some(now.cast_into::<PyDict>()?.unbind())) }
}

/// The setting `delayed_pure`. Every call that is built asks for it, so its two dictionaries are looked into without a call.
fn pure_by_default(py: Python<'_>) -> PyResult<bool> {
    let name = intern!(py, "delayed_pure");
    let set = function!(py, "pantile.config", "_values")?;
    if let Some(value) = set.cast::<PyDict>()?.get_item(name)? {
        return value.is_truthy();
    }
    static CONFIG: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let config = CONFIG.get_or_try_init(py, || PyResult::Ok(py.import("pantile.config")?.unbind()))?.bind(py);
    if let Some(value) = config.getattr(intern!(py, "_cache"))?.cast::<PyDict>()?.get_item(name)? {
        return value.is_truthy();
    }
    config.call_method1(intern!(py, "get"), (name,))?.is_truthy()
}

impl Delayed {
    fn plain(py: Python<'_>, kind: Kind, func: Py<PyAny>, args: Py<PyTuple>) -> Delayed {
        Delayed {
            func,
            args,
            kwargs: None,
            place: Place::here(py),
            more: None,
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            mark: AtomicU64::new(0),
            kind,
            pure: false,
            calls_pure: None,
            has_inputs: false,
            local: false,
        }
    }

    /// A node for an object.
    pub fn value(value: &Bound<'_, PyAny>) -> Delayed {
        let py = value.py();
        Delayed::plain(py, Kind::Value, value.clone().unbind(), no_arguments(py))
    }

    /// A node for a lazy array.
    pub fn array(array: &Bound<'_, PyAny>) -> Delayed {
        let mut node = Delayed::value(array);
        node.kind = Kind::Array;
        node
    }

    /// A node for a call, whose arguments are looked into.
    pub fn call<'py>(
        func: &Bound<'py, PyAny>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Delayed> {
        let py = func.py();
        let mut has_inputs = func.is_exact_instance_of::<Delayed>();
        let mut prints: Vec<(u32, u64)> = Vec::new();
        let mut instead: Option<Vec<Bound<'py, PyAny>>> = None;
        let count = args.len();
        for at in 0..count {
            // SAFETY of the borrow: the tuple holds its items, and nobody else can change it.
            let item = args.get_borrowed_item(at)?;
            match pack::look(&item, true)? {
                Found::Plain => {}
                Found::Node => has_inputs = true,
                Found::Changeable(print) => prints.push((at as u32, print)),
                Found::Instead(packed) => {
                    has_inputs = true;
                    instead.get_or_insert_with(|| args.iter().collect())[at] = packed;
                }
            }
        }
        let args = match instead {
            Some(items) => PyTuple::new(py, items)?,
            None => args,
        };
        let mut own_kwargs = None;
        if let Some(kwargs) = kwargs.filter(|k| !k.is_empty()) {
            let own = PyDict::new(py);
            for (at, (name, value)) in kwargs.iter().enumerate() {
                let value = match pack::look(&value, true)? {
                    Found::Plain => value,
                    Found::Node => {
                        has_inputs = true;
                        value
                    }
                    Found::Changeable(print) => {
                        prints.push(((count + at) as u32, print));
                        value
                    }
                    Found::Instead(packed) => {
                        has_inputs = true;
                        packed
                    }
                };
                own.set_item(name, value)?;
            }
            own_kwargs = Some(own.unbind());
        }
        let mut node = Delayed::plain(py, Kind::Call, func.clone().unbind(), args.unbind());
        node.kwargs = own_kwargs;
        node.has_inputs = has_inputs;
        let annotations = annotated(py)?;
        if !prints.is_empty() || annotations.is_some() {
            node.more = Some(Box::new(More { prints, annotations, ..More::default() }));
        }
        Ok(node)
    }

    /// What `annotate` said when the node was built.
    pub fn annotations(&self) -> Option<&Py<PyDict>> {
        self.more.as_ref().and_then(|m| m.annotations.as_ref())
    }

    pub fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_with(Box::default)
    }

    fn nout(&self) -> Option<usize> {
        self.more.as_ref().and_then(|m| m.nout)
    }

    /// An operator's node: pure, as operators are.
    fn operator<'py>(func: PyResult<Bound<'py, PyAny>>, args: Bound<'py, PyTuple>) -> PyResult<Delayed> {
        let mut node = Delayed::call(&func?, args, None)?;
        node.pure = true;
        Ok(node)
    }

    /// The function's name, for people.
    pub fn name(&self, py: Python<'_>) -> String {
        if let Some(name) = self.more.as_ref().and_then(|m| m.name.as_ref()) {
            return name.to_string();
        }
        match self.kind {
            Kind::Value if self.func.bind(py).is_callable() => function_name(self.func.bind(py)),
            Kind::Value | Kind::Array => match self.func.bind(py).get_type().name() {
                Ok(name) => name.to_string(),
                Err(_) => "value".to_string(),
            },
            Kind::Attribute => match self.args.bind(py).get_item(1) {
                Ok(name) => format!("getattr-{name}"),
                Err(_) => "getattr".to_string(),
            },
            Kind::Call => function_name(self.func.bind(py)),
        }
    }

    /// Says what a node cannot be used for, and what to do instead.
    fn not_yet(&self, py: Python<'_>, what: &str) -> PyErr {
        let mut text = format!(
            "{what} of a Delayed ({}) is not known before it is computed; call .compute() first, or put the code that needs it \
             into a delayed function",
            self.name(py)
        );
        if let Some(line) = self.place.line(py) {
            text.push_str(&format!(". Built at {}:{}", line.file, line.line));
        }
        PyTypeError::new_err(text)
    }
}

/// The keyword arguments of a call that are for us and not for the function.
#[derive(Default)]
struct Own<'py> {
    key: Option<Bound<'py, PyString>>,
    pure: Option<bool>,
}

impl<'py> Own<'py> {
    fn take(kwargs: Option<&Bound<'py, PyDict>>) -> PyResult<(Own<'py>, Option<Bound<'py, PyDict>>)> {
        let mut own = Own::default();
        let Some(kwargs) = kwargs else { return Ok((own, None)) };
        let py = kwargs.py();
        let mut rest = kwargs.clone();
        let ours = [intern!(py, "pantile_key_name"), intern!(py, "dask_key_name"), intern!(py, "pure")];
        for (at, name) in ours.into_iter().enumerate() {
            let Some(given) = kwargs.get_item(name)? else { continue };
            if rest.is(kwargs) {
                rest = kwargs.copy()?;
            }
            rest.del_item(name)?;
            if at == 2 {
                own.pure = given.extract::<Option<bool>>()?;
            } else {
                let wrong = |_| PyTypeError::new_err(format!("{name} must be a string"));
                own.key = Some(given.cast_into::<PyString>().map_err(wrong)?);
            }
        }
        Ok((own, Some(rest)))
    }
}

/// A callable's name, for people.
pub fn function_name(func: &Bound<'_, PyAny>) -> String {
    let py = func.py();
    if let Ok(node) = func.cast_exact::<Delayed>() {
        return node.get().name(py);
    }
    if let Ok(name) = func.getattr(intern!(py, "__name__")) {
        return name.to_string();
    }
    // A partial may hold another; anything else with an attribute `func` may have it without end, as mocks do.
    if let Ok(partial) = function!(py, "functools", "partial")
        && func.is_instance(&partial).unwrap_or(false)
        && let Ok(inner) = func.getattr(intern!(py, "func"))
    {
        return function_name(&inner);
    }
    func.get_type().name().map_or_else(|_| "call".to_string(), |n| n.to_string())
}

macro_rules! binary {
    ($slf:expr, $other:expr, $name:expr) => {{
        let py = $slf.py();
        Delayed::operator(function!(py, "operator", $name), PyTuple::new(py, [$slf.as_any(), $other])?)
    }};
}

#[pymethods]
impl Delayed {
    #[pyo3(signature = (*args, **kwargs))]
    fn __call__<'py>(
        slf: &Bound<'py, Self>,
        args: Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Delayed> {
        let py = slf.py();
        let this = slf.get();
        let (own, kwargs) = Own::take(kwargs)?;
        let kwargs = kwargs.as_ref();
        let mut node = match this.kind {
            Kind::Value => Delayed::call(this.func.bind(py), args, kwargs)?,
            Kind::Call | Kind::Array => Delayed::call(slf.as_any(), args, kwargs)?,
            Kind::Attribute => {
                let mut all: Vec<Bound<'py, PyAny>> = this.args.bind(py).iter().collect();
                all.extend(args.iter());
                let method = function!(py, "pantile._delayed", "call_method")?;
                Delayed::call(&method, PyTuple::new(py, all)?, kwargs)?
            }
        };
        node.pure = match own.pure.or(this.calls_pure) {
            Some(said) => said,
            None => pure_by_default(py)?,
        };
        if let Some(more) = &this.more
            && this.kind == Kind::Value
        {
            if more.nout.is_some() {
                node.more_mut().nout = more.nout;
            }
            if let Some(name) = &more.name {
                node.more_mut().name = Some(name.clone_ref(py));
            }
        }
        if this.kind == Kind::Attribute {
            let name = this.args.bind(py).get_item(1)?.cast_into::<PyString>()?;
            node.more_mut().name = Some(name.unbind());
        }
        if let Some(key) = own.key {
            node.more_mut().key = Some(key.unbind());
        }
        Ok(node)
    }

    fn __getattr__<'py>(slf: &Bound<'py, Self>, name: Bound<'py, PyString>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let text = name.to_cow()?;
        if text.starts_with('_') {
            // A decorated function keeps its names.
            let func = slf.get().func.bind(py);
            match &*text {
                "__wrapped__" if slf.get().kind == Kind::Value => return Ok(func.clone()),
                "__name__" | "__qualname__" if slf.get().kind == Kind::Value => return func.getattr(&name),
                _ => {}
            }
            return Err(PyAttributeError::new_err(format!("a Delayed has no attribute {text}")));
        }
        let mut node = Delayed::operator(
            function!(py, "builtins", "getattr"),
            PyTuple::new(py, [slf.as_any(), name.as_any()])?,
        )?;
        node.kind = Kind::Attribute;
        Ok(Bound::new(py, node)?.into_any())
    }

    fn __setattr__(
        slf: &Bound<'_, Self>,
        name: &Bound<'_, PyString>,
        _value: Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = slf;
        Err(PyTypeError::new_err(format!(
            "Delayed objects are immutable: the attribute {name} cannot be set before the object is computed"
        )))
    }

    fn __setitem__(&self, _key: Bound<'_, PyAny>, _value: Bound<'_, PyAny>) -> PyResult<()> {
        Err(PyTypeError::new_err(
            "Delayed objects are immutable: assign to an item inside a delayed function, which returns the changed object",
        ))
    }

    fn __getitem__<'py>(slf: &Bound<'py, Self>, key: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &key, "getitem")
    }

    fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let Some(nout) = slf.get().nout() else {
            return Err(PyTypeError::new_err(format!(
                "how many values a Delayed ({}) has is not known before it is computed, so it cannot be iterated; say how many with \
                 delayed(function, nout=...)",
                slf.get().name(py)
            )));
        };
        let items = (0..nout)
            .map(|i| binary!(slf, i.into_pyobject(py)?.as_any(), "getitem"))
            .collect::<PyResult<Vec<_>>>()?;
        let items = items.into_iter().map(|n| Bound::new(py, n)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, items)?.try_iter()?.into_any())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.nout().ok_or_else(|| self.not_yet(py, "the length"))
    }

    fn __bool__(&self, py: Python<'_>) -> PyResult<bool> {
        Err(self.not_yet(py, "the truth"))
    }

    fn __contains__(&self, py: Python<'_>, _item: Bound<'_, PyAny>) -> PyResult<bool> {
        Err(self.not_yet(py, "the contents"))
    }

    fn __format__(&self, py: Python<'_>, _spec: &str) -> PyResult<String> {
        Err(self.not_yet(py, "the text (in an f-string or format)"))
    }

    fn __int__(&self, py: Python<'_>) -> PyResult<i64> {
        Err(self.not_yet(py, "the value"))
    }

    fn __float__(&self, py: Python<'_>) -> PyResult<f64> {
        Err(self.not_yet(py, "the value"))
    }

    fn __index__(&self, py: Python<'_>) -> PyResult<i64> {
        Err(self.not_yet(py, "the value"))
    }

    fn __hash__(&self) -> u64 {
        self.id
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let key = PyString::new(slf.py(), &run::key(slf)?);
        Ok(format!("Delayed({})", key.repr()?))
    }

    fn __richcmp__<'py>(
        slf: &Bound<'py, Self>,
        other: Bound<'py, PyAny>,
        op: CompareOp,
    ) -> PyResult<Delayed> {
        match op {
            CompareOp::Lt => binary!(slf, &other, "lt"),
            CompareOp::Le => binary!(slf, &other, "le"),
            CompareOp::Eq => binary!(slf, &other, "eq"),
            CompareOp::Ne => binary!(slf, &other, "ne"),
            CompareOp::Gt => binary!(slf, &other, "gt"),
            CompareOp::Ge => binary!(slf, &other, "ge"),
        }
    }

    /// A decorated function in a class is a method.
    fn __get__<'py>(
        slf: Bound<'py, Self>,
        instance: Option<Bound<'py, PyAny>>,
        _class: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match instance.filter(|i| !i.is_none()) {
            None => Ok(slf.into_any()),
            Some(instance) => function!(py, "types", "MethodType")?.call1((slf, instance)),
        }
    }

    fn __traverse__(&self, visit: pyo3::PyVisit<'_>) -> Result<(), pyo3::PyTraverseError> {
        visit.call(&self.func)?;
        visit.call(&self.args)?;
        if let Some(kwargs) = &self.kwargs {
            visit.call(kwargs)?;
        }
        if let Some(annotations) = self.more.as_ref().and_then(|m| m.annotations.as_ref()) {
            visit.call(annotations)?;
        }
        if let Some(after) = self.more.as_ref().and_then(|m| m.after.as_ref()) {
            visit.call(after)?;
        }
        Ok(())
    }

    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let py = slf.py();
        let this = slf.get();
        let make = py.import("pantile._native")?.getattr("_restored_delayed")?;
        let kind = match this.kind {
            Kind::Value => 0u8,
            Kind::Call => 1,
            Kind::Attribute => 2,
            Kind::Array => 3,
        };
        let more = this.more.as_ref();
        let kwargs = this.kwargs.as_ref().map(|k| k.clone_ref(py));
        let key = run::key(slf)?;
        let name = more.and_then(|m| m.name.as_ref().map(|n| n.clone_ref(py)));
        let nout = more.and_then(|m| m.nout);
        let annotations = more.and_then(|m| m.annotations.as_ref().map(|a| a.clone_ref(py)));
        let after = more.and_then(|m| m.after.as_ref().map(|a| a.clone_ref(py)));
        let rest = (
            kind,
            this.func.clone_ref(py),
            this.args.clone_ref(py),
            kwargs,
            this.pure,
            key,
            name,
            nout,
            annotations,
            after,
        );
        Ok((make, rest.into_pyobject(py)?))
    }

    /// The name that identifies this result: the function's name and a token, or what the user chose.
    #[getter]
    fn key(slf: &Bound<'_, Self>) -> PyResult<String> {
        run::key(slf)
    }

    /// Computes the result.
    #[pyo3(signature = (**kwargs))]
    fn compute<'py>(
        slf: &Bound<'py, Self>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        function!(py, "pantile._run", "compute")?.call((slf,), kwargs)?.get_item(0)
    }

    /// Computes the result and keeps it: the same as a node that has its value.
    #[pyo3(signature = (**kwargs))]
    fn persist<'py>(
        slf: &Bound<'py, Self>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        function!(py, "pantile._run", "persist")?.call((slf,), kwargs)?.get_item(0)
    }

    /// Draws the graph.
    #[pyo3(signature = (*args, **kwargs))]
    fn visualize<'py>(
        slf: &Bound<'py, Self>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let draw = py.import("pantile._delayed")?.getattr("visualize_method")?;
        let mut all = vec![slf.as_any().clone()];
        all.extend(args.iter());
        draw.call(PyTuple::new(py, all)?, kwargs)
    }

    #[getter]
    fn _origin(&self, py: Python<'_>) -> Option<(String, u32, String)> {
        self.place.line(py).map(|l| (l.file, l.line, l.function))
    }

    #[getter]
    fn _is_value(&self) -> bool {
        self.kind == Kind::Value
    }

    #[getter]
    fn _parts(&self, py: Python<'_>) -> (Py<PyAny>, Py<PyTuple>, Option<Py<PyDict>>) {
        (self.func.clone_ref(py), self.args.clone_ref(py), self.kwargs.as_ref().map(|k| k.clone_ref(py)))
    }

    fn _repr_html_(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        function!(py, "pantile._delayed", "repr_html")?.call1((slf,))?.extract()
    }

    fn __neg__<'py>(slf: &Bound<'py, Self>) -> PyResult<Delayed> {
        Delayed::operator(function!(slf.py(), "operator", "neg"), PyTuple::new(slf.py(), [slf])?)
    }
    fn __pos__<'py>(slf: &Bound<'py, Self>) -> PyResult<Delayed> {
        Delayed::operator(function!(slf.py(), "operator", "pos"), PyTuple::new(slf.py(), [slf])?)
    }
    fn __abs__<'py>(slf: &Bound<'py, Self>) -> PyResult<Delayed> {
        Delayed::operator(function!(slf.py(), "operator", "abs"), PyTuple::new(slf.py(), [slf])?)
    }
    fn __invert__<'py>(slf: &Bound<'py, Self>) -> PyResult<Delayed> {
        Delayed::operator(function!(slf.py(), "operator", "invert"), PyTuple::new(slf.py(), [slf])?)
    }
    fn __add__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "add")
    }
    fn __sub__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "sub")
    }
    fn __mul__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "mul")
    }
    fn __truediv__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "truediv")
    }
    fn __floordiv__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "floordiv")
    }
    fn __mod__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "mod")
    }
    fn __matmul__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "matmul")
    }
    fn __pow__<'py>(
        slf: &Bound<'py, Self>,
        other: Bound<'py, PyAny>,
        modulo: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Delayed> {
        match modulo.filter(|m| !m.is_none()) {
            None => binary!(slf, &other, "pow"),
            Some(modulo) => Delayed::operator(
                function!(slf.py(), "builtins", "pow"),
                PyTuple::new(slf.py(), [slf.as_any(), &other, &modulo])?,
            ),
        }
    }
    fn __and__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "and_")
    }
    fn __or__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "or_")
    }
    fn __xor__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "xor")
    }
    fn __lshift__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "lshift")
    }
    fn __rshift__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        binary!(slf, &other, "rshift")
    }
    fn __divmod__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        pair(slf, slf.as_any(), &other)
    }
    fn __rdivmod__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        pair(slf, &other, slf.as_any())
    }
    fn __radd__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "add"))
    }
    fn __rsub__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "sub"))
    }
    fn __rmul__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "mul"))
    }
    fn __rtruediv__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "truediv"))
    }
    fn __rfloordiv__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "floordiv"))
    }
    fn __rmod__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "mod"))
    }
    fn __rmatmul__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "matmul"))
    }
    fn __rpow__<'py>(
        slf: &Bound<'py, Self>,
        other: Bound<'py, PyAny>,
        _modulo: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "pow"))
    }
    fn __rand__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "and_"))
    }
    fn __ror__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "or_"))
    }
    fn __rxor__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "xor"))
    }
    fn __rlshift__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "lshift"))
    }
    fn __rrshift__<'py>(slf: &Bound<'py, Self>, other: Bound<'py, PyAny>) -> PyResult<Delayed> {
        reflected(slf, &other, function!(slf.py(), "operator", "rshift"))
    }
}

fn reflected<'py>(
    slf: &Bound<'py, Delayed>,
    other: &Bound<'py, PyAny>,
    func: PyResult<Bound<'py, PyAny>>,
) -> PyResult<Delayed> {
    Delayed::operator(func, PyTuple::new(slf.py(), [other, slf.as_any()])?)
}

/// `divmod`, whose result is known to be a pair.
fn pair<'py>(slf: &Bound<'py, Delayed>, x: &Bound<'py, PyAny>, y: &Bound<'py, PyAny>) -> PyResult<Delayed> {
    let py = slf.py();
    let mut node = Delayed::operator(function!(py, "builtins", "divmod"), PyTuple::new(py, [x, y])?)?;
    node.more_mut().nout = Some(2);
    Ok(node)
}

/// See `pantile._delayed.delayed`, which documents and checks the arguments.
#[pyfunction]
#[pyo3(signature = (obj, name=None, pure=None, nout=None, traverse=true))]
pub fn delayed<'py>(
    obj: &Bound<'py, PyAny>,
    name: Option<Bound<'py, PyString>>,
    pure: Option<bool>,
    nout: Option<&Bound<'py, PyAny>>,
    traverse: bool,
) -> PyResult<Bound<'py, PyAny>> {
    let py = obj.py();
    if obj.is_exact_instance_of::<Delayed>() {
        return Ok(obj.clone());
    }
    let nout = match nout.filter(|n| !n.is_none()) {
        None => None,
        Some(n) => match n.extract::<usize>() {
            Ok(count) if n.is_exact_instance_of::<pyo3::types::PyInt>() => Some(count),
            _ => {
                return Err(PyValueError::new_err(format!(
                    "nout must be None or an integer from zero on, not {}",
                    n.repr()?
                )));
            }
        },
    };
    let mut node = match pack::look(obj, traverse)? {
        Found::Instead(packed) => {
            // SAFETY of meaning: a packed container is built anew by a call that gives back its argument.
            let identity = function!(py, "pantile._delayed", "identity")?;
            if packed.is_exact_instance_of::<Delayed>() {
                return Ok(packed);
            }
            let mut node = Delayed::call(&identity, PyTuple::new(py, [packed])?, None)?;
            node.has_inputs = true;
            node.local = true;
            node
        }
        Found::Plain | Found::Changeable(_) | Found::Node => Delayed::value(obj),
    };
    node.calls_pure = pure;
    node.pure = match pure {
        Some(said) => said,
        None => pure_by_default(py)?,
    };
    if nout.is_some() || name.is_some() {
        let value = node.kind == Kind::Value && !obj.is_callable();
        let more = node.more_mut();
        more.nout = nout;
        if let Some(name) = name {
            if value {
                more.key = Some(name.clone().unbind());
            }
            more.name = Some(name.unbind());
        }
    }
    Ok(Bound::new(py, node)?.into_any())
}

/// A node from what `__reduce__` gave.
#[pyfunction(name = "_restored_delayed")]
#[allow(clippy::too_many_arguments)]
pub fn restored(
    py: Python<'_>,
    kind: u8,
    func: Py<PyAny>,
    args: Py<PyTuple>,
    kwargs: Option<Py<PyDict>>,
    pure: bool,
    key: Py<PyString>,
    name: Option<Py<PyString>>,
    nout: Option<usize>,
    annotations: Option<Py<PyDict>>,
    after: Option<Py<Delayed>>,
) -> PyResult<Delayed> {
    let kind = match kind {
        0 => Kind::Value,
        1 => Kind::Call,
        2 => Kind::Attribute,
        3 => Kind::Array,
        _ => {
            return Err(PyValueError::new_err("a pickled Delayed of a kind that this version does not know"));
        }
    };
    let is_input = |value: &Bound<'_, PyAny>| {
        value.is_exact_instance_of::<Delayed>() || value.is_exact_instance_of::<Packed>()
    };
    let has_inputs = !matches!(kind, Kind::Value | Kind::Array)
        && (after.is_some()
            || is_input(func.bind(py))
            || args.bind(py).iter().any(|a| is_input(&a))
            || kwargs.as_ref().is_some_and(|k| k.bind(py).values().iter().any(|v| is_input(&v))));
    let mut node = Delayed::plain(py, kind, func, args);
    node.place = Place::NOWHERE;
    node.kwargs = kwargs;
    node.pure = pure;
    node.calls_pure = (kind == Kind::Value && pure).then_some(true);
    node.has_inputs = has_inputs;
    let more = node.more_mut();
    more.key = Some(key);
    more.name = name;
    more.nout = nout;
    more.annotations = annotations;
    more.after = after;
    Ok(node)
}

thread_local! {
    /// Functions that were nodes, of nodes that are going away; `Some` while somebody lets them go.
    static LEAVING: RefCell<Option<Vec<Py<PyAny>>>> = const { RefCell::new(None) };
}

/// Python lets go of long chains through tuples and dictionaries without a deep stack. A node whose function is a node has no
/// tuple between them, so such chains are let go of here, one after the other.
impl Drop for Delayed {
    fn drop(&mut self) {
        if !self.has_inputs {
            return;
        }
        // SAFETY: nodes are built and let go of by threads that are attached: references that a detached thread gives up
        // wait for one that is.
        let py = unsafe { Python::assume_attached() };
        if !self.func.bind(py).is_exact_instance_of::<Delayed>() {
            return;
        }
        let func = std::mem::replace(&mut self.func, py.None());
        // A thread that ends has no list any more; then a chain is as deep as it is.
        let first = LEAVING.try_with(|leaving| match &mut *leaving.borrow_mut() {
            Some(others) => {
                others.push(func);
                None
            }
            leaving => {
                *leaving = Some(Vec::new());
                Some(func)
            }
        });
        // Nothing is borrowed while a node goes, since its end may run code.
        let mut next = first.unwrap_or(None);
        while let Some(func) = next {
            drop(func);
            next = LEAVING.with_borrow_mut(|leaving| {
                let func = leaving.as_mut().and_then(Vec::pop);
                if func.is_none() {
                    *leaving = None;
                }
                func
            });
        }
    }
}

/// The attribute `__doc__` of the class `Delayed`: the class's own text, and of a node for a function that function's.
#[pyclass(frozen, module = "pantile._native")]
pub struct Doc(Py<PyAny>);

#[pymethods]
impl Doc {
    fn __get__<'py>(
        &self,
        node: Option<Bound<'py, PyAny>>,
        class: Option<Bound<'py, PyAny>>,
        py: Python<'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let _ = class;
        match node.as_ref().and_then(|n| n.cast_exact::<Delayed>().ok()).map(Bound::get) {
            Some(node) if node.kind == Kind::Value && node.func.bind(py).is_callable() => {
                node.func.bind(py).getattr(intern!(py, "__doc__"))
            }
            _ => Ok(self.0.bind(py).clone()),
        }
    }
}

/// Lets nodes for functions show those functions' documentation.
pub fn document(py: Python<'_>) -> PyResult<()> {
    let class = py.get_type::<Delayed>();
    let text = class.getattr(intern!(py, "__doc__"))?.unbind();
    class.setattr(intern!(py, "__doc__"), Bound::new(py, Doc(text))?)
}

// A node costs this much beside its arguments; a million of them must fit a gigabyte together with theirs.
const _: () = assert!(size_of::<Delayed>() <= 96, "a node has become larger");
const _: () = assert!(size_of::<ffi::PyObject>() == 16);

//! Tuples to steps, and steps done by Python itself where they have no native way.

use super::value::{from_python, owned, text, to_python};
use super::{NotNative, carried, note};
use pantile_bag::step::Ends;
use pantile_bag::text::{CaseMap, CharSet};
use pantile_bag::{Cmp, Escape, Item, Key, Owned, Pluck, Result, Step, StrMethod, Tape};
use pyo3::exceptions::{PyIndexError, PyKeyError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyList, PyString, PyTuple};
use std::sync::Arc;

/// The names of steps; methods of `str` as `str.name`.
pub const STEPS: [&str; 21] = [
    "json.loads",
    "json.dumps",
    "pluck",
    "len",
    "int",
    "float",
    "flatten",
    "filter",
    "remove",
    "filter_eq",
    "filter_ne",
    "take",
    "distinct",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "str",
    "str_unbound",
];

/// The methods of `str` that are steps.
pub const METHODS: [&str; 27] = [
    "split",
    "rsplit",
    "splitlines",
    "partition",
    "strip",
    "lstrip",
    "rstrip",
    "lower",
    "upper",
    "casefold",
    "startswith",
    "endswith",
    "replace",
    "removeprefix",
    "removesuffix",
    "count",
    "find",
    "isalpha",
    "isalnum",
    "isdigit",
    "isdecimal",
    "isnumeric",
    "isspace",
    "isprintable",
    "isascii",
    "islower",
    "isupper",
];

/// A list of steps, one step (a tuple), or none.
pub fn steps_of(obj: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Step>> {
    let Some(obj) = obj.filter(|obj| !obj.is_none()) else { return Ok(Vec::new()) };
    if let Ok(tuple) = obj.cast::<PyTuple>() {
        let one = tuple.get_item(0).is_ok_and(|first| first.is_instance_of::<PyString>());
        if one {
            return Ok(vec![step(tuple)?]);
        }
    }
    obj.try_iter()?.map(|item| step(item?.cast::<PyTuple>()?)).collect()
}

/// What elements are ranked by: nothing, a field, a place, or steps.
pub fn key_of(obj: Option<&Bound<'_, PyAny>>) -> PyResult<Vec<Step>> {
    match obj {
        Some(key) if key.is_instance_of::<PyString>() || key.is_instance_of::<PyInt>() => {
            Ok(vec![Step::Pluck(Pluck::One(one_key(key)?), None)])
        }
        other => steps_of(other),
    }
}

fn step(tuple: &Bound<'_, PyTuple>) -> PyResult<Step> {
    let name: String = tuple.get_item(0)?.extract()?;
    let args: Vec<Bound<'_, PyAny>> = tuple.iter().skip(1).collect();
    let compare = |cmp, value: &Bound<'_, PyAny>| -> PyResult<Step> { Ok(Step::Compare(cmp, owned(value)?)) };
    Ok(match (name.as_str(), &args[..]) {
        ("json.loads", []) => Step::JsonLoads,
        ("json.dumps", []) => Step::JsonDumps,
        ("pluck", [key]) => Step::Pluck(keys(key)?, None),
        ("pluck", [key, default]) => Step::Pluck(keys(key)?, Some(owned(default)?)),
        ("len", []) => Step::Len,
        ("int", []) => Step::Int,
        ("float", []) => Step::Float,
        ("flatten", []) => Step::Flatten,
        ("filter", inner) => Step::Filter(inner_steps(inner)?, true),
        ("remove", inner) => Step::Filter(inner_steps(inner)?, false),
        ("filter_eq", [value]) => Step::Filter(vec![compare(Cmp::Eq, value)?], true),
        ("filter_ne", [value]) => Step::Filter(vec![compare(Cmp::Ne, value)?], true),
        ("eq", [value]) => compare(Cmp::Eq, value)?,
        ("ne", [value]) => compare(Cmp::Ne, value)?,
        ("lt", [value]) => compare(Cmp::Lt, value)?,
        ("le", [value]) => compare(Cmp::Le, value)?,
        ("gt", [value]) => compare(Cmp::Gt, value)?,
        ("ge", [value]) => compare(Cmp::Ge, value)?,
        ("take", [n]) => Step::Take(n.extract()?),
        ("distinct", []) => Step::Distinct,
        ("str", [method, args @ ..]) => str_step(method, args, false)?,
        ("str_unbound", [method, args @ ..]) => str_step(method, args, true)?,
        _ => return Err(NotNative::new_err(format!("no native step {}", tuple.repr()?))),
    })
}

/// The steps of a predicate: several tuples, or one list of them.
fn inner_steps(args: &[Bound<'_, PyAny>]) -> PyResult<Vec<Step>> {
    match args {
        [list] => steps_of(Some(list)),
        tuples => tuples.iter().map(|t| step(t.cast::<PyTuple>()?)).collect(),
    }
}

fn keys(key: &Bound<'_, PyAny>) -> PyResult<Pluck> {
    match key.cast::<PyList>() {
        Ok(list) => Ok(Pluck::Many(list.iter().map(|key| one_key(&key)).collect::<PyResult<_>>()?)),
        Err(_) => Ok(Pluck::One(one_key(key)?)),
    }
}

fn one_key(key: &Bound<'_, PyAny>) -> PyResult<Key> {
    if let Ok(name) = key.cast_exact::<PyString>() {
        Ok(Key::Name(text(name)?.to_owned()))
    } else if key.is_exact_instance_of::<PyInt>() {
        key.extract().map(Key::Index).map_err(|_| NotNative::new_err("an index beyond 64 bits"))
    } else {
        Err(NotNative::new_err(format!("pluck takes a str or an int natively, not {}", key.repr()?)))
    }
}

fn str_step(method: &Bound<'_, PyAny>, args: &[Bound<'_, PyAny>], unbound: bool) -> PyResult<Step> {
    let py = method.py();
    let name: String = method.extract()?;
    let unknown = || NotNative::new_err(format!("str.{name} with these arguments is not native"));
    let string = |arg: &Bound<'_, PyAny>| -> PyResult<String> {
        Ok(text(arg.cast_exact::<PyString>().map_err(|_| unknown())?)?.to_owned())
    };
    let count = |arg: &Bound<'_, PyAny>| -> PyResult<i64> {
        if arg.is_exact_instance_of::<PyInt>() {
            arg.extract().map_err(|_| unknown())
        } else {
            Err(unknown())
        }
    };
    let separator = |arg: &Bound<'_, PyAny>| -> PyResult<String> {
        Some(string(arg)?).filter(|sep| !sep.is_empty()).ok_or_else(unknown)
    };
    let prefixes = |arg: &Bound<'_, PyAny>| -> PyResult<Vec<String>> {
        match arg.cast_exact::<PyTuple>() {
            Ok(tuple) => tuple.iter().map(|p| string(&p)).collect(),
            Err(_) => Ok(vec![string(arg)?]),
        }
    };
    let method = match (name.as_str(), args) {
        ("split", []) => StrMethod::Split(None, -1),
        ("split", [sep]) if sep.is_none() => StrMethod::Split(None, -1),
        ("split", [sep, max]) if sep.is_none() => StrMethod::Split(None, count(max)?),
        ("split", [sep]) => StrMethod::Split(Some(separator(sep)?), -1),
        ("split", [sep, max]) => StrMethod::Split(Some(separator(sep)?), count(max)?),
        ("rsplit", [] | [_]) if args.iter().all(|sep| sep.is_none()) => StrMethod::Split(None, -1),
        ("rsplit", [sep]) => StrMethod::Rsplit(separator(sep)?, -1),
        ("rsplit", [sep, max]) => StrMethod::Rsplit(separator(sep)?, count(max)?),
        ("splitlines", []) => StrMethod::Splitlines(false),
        ("splitlines", [keep]) => {
            StrMethod::Splitlines(keep.cast_exact::<PyBool>().map_err(|_| unknown())?.is_true())
        }
        ("partition", [sep]) => StrMethod::Partition(separator(sep)?),
        ("strip" | "lstrip" | "rstrip", [] | [_]) => {
            let ends = match name.as_str() {
                "strip" => Ends::Both,
                "lstrip" => Ends::Left,
                _ => Ends::Right,
            };
            StrMethod::Strip(ends, args.first().filter(|a| !a.is_none()).map(string).transpose()?)
        }
        ("lower" | "upper" | "casefold", []) => StrMethod::Case(case_map(py, &name)?),
        ("startswith", [prefix]) => StrMethod::Starts(prefixes(prefix)?),
        ("endswith", [suffix]) => StrMethod::Ends(prefixes(suffix)?),
        ("replace", [old, new]) => StrMethod::Replace(string(old)?, string(new)?, -1),
        ("replace", [old, new, max]) => StrMethod::Replace(string(old)?, string(new)?, count(max)?),
        ("removeprefix", [prefix]) => StrMethod::RemovePrefix(string(prefix)?),
        ("removesuffix", [suffix]) => StrMethod::RemoveSuffix(string(suffix)?),
        ("count", [sub]) => StrMethod::Count(string(sub)?),
        ("find", [sub]) => StrMethod::Find(string(sub)?),
        ("isascii", []) => StrMethod::Ascii,
        ("isprintable", []) => StrMethod::All(char_set(py, &name)?, true),
        ("isalpha" | "isalnum" | "isdigit" | "isdecimal" | "isnumeric" | "isspace", []) => {
            StrMethod::All(char_set(py, &name)?, false)
        }
        ("islower", []) => StrMethod::Cased(char_set(py, "islower")?, char_set(py, "istitle")?),
        ("isupper", []) => StrMethod::Cased(char_set(py, "isupper")?, char_set(py, "not upper")?),
        _ => return Err(unknown()),
    };
    let args = owned(PyTuple::new(py, args)?.as_any())?;
    Ok(Step::Str { name, args, unbound, method })
}

/// Tables by the name of the method.
type Tables<T> = PyOnceLock<parking_lot::Mutex<Vec<(String, Arc<T>)>>>;

/// Which characters this Python's `str` says yes to; asked once a process.
fn char_set(py: Python<'_>, name: &str) -> PyResult<Arc<CharSet>> {
    static SETS: Tables<CharSet> = PyOnceLock::new();
    let sets = SETS.get_or_init(py, Default::default);
    if let Some((_, set)) = sets.lock().iter().find(|(n, _)| n == name) {
        return Ok(set.clone());
    }
    let condition = match name {
        // Lower case, or title case: what `isupper` must not meet.
        "not upper" => "c.islower() or (c.istitle() and not c.isupper())".to_owned(),
        name => format!("c.{name}()"),
    };
    let code = format!("''.join(c for c in map(chr, range(0x110000)) if {condition})");
    let chars = py.eval(&std::ffi::CString::new(code)?, None, None)?;
    let chars: std::collections::HashSet<char> = text(chars.cast::<PyString>()?)?.chars().collect();
    let set = Arc::new(CharSet::new(|c| chars.contains(&c)));
    sets.lock().push((name.to_owned(), set.clone()));
    Ok(set)
}

/// What `lower`, `upper` or `casefold` of this Python makes of each character; asked once a process.
fn case_map(py: Python<'_>, name: &str) -> PyResult<Arc<CaseMap>> {
    static MAPS: Tables<CaseMap> = PyOnceLock::new();
    let maps = MAPS.get_or_init(py, Default::default);
    if let Some((_, map)) = maps.lock().iter().find(|(n, _)| n == name) {
        return Ok(map.clone());
    }
    // All characters in one string, apart from each other by line ends, which have no case and are no letters.
    let all: Vec<char> = ('\0'..=char::MAX).filter(|&c| c != '\n').collect();
    let mut joined = String::with_capacity(all.len() * 5);
    for &c in &all {
        joined.push(c);
        joined.push('\n');
    }
    let changed = PyString::new(py, &joined).call_method0(name)?;
    let changed = text(changed.cast::<PyString>()?)?.to_owned();
    let changes = all.iter().zip(changed.split('\n')).filter_map(|(&c, to)| {
        let mut buffer = [0; 4];
        (c.encode_utf8(&mut buffer) != to).then(|| (c, to.to_owned()))
    });
    // The small sigma has a form for the end of words.
    let context = (name == "lower").then_some('\u{3a3}');
    let map = Arc::new(CaseMap::new(changes, context));
    maps.lock().push((name.to_owned(), map.clone()));
    Ok(map)
}

/// Does steps in Python, taking the GIL for one element.
pub struct InPython;

impl Escape for InPython {
    fn call(&mut self, steps: &[Step], index: usize, item: Item<'_>, out: &mut Tape) -> Result<()> {
        Python::attach(|py| {
            let mut run = || -> PyResult<()> {
                let mut value = to_python(py, item)?;
                for step in steps {
                    value = apply(py, step, value)?;
                }
                from_python(&value, out)
            };
            run().map_err(|e| {
                note(py, &e, &format!("in element {index} of the partition"));
                carried(py, e)
            })
        })
    }
}

fn apply<'py>(py: Python<'py>, step: &Step, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    match step {
        Step::JsonLoads => py.import("json")?.call_method1("loads", (value,)),
        Step::JsonDumps => py.import("json")?.call_method1("dumps", (value,)),
        Step::Pluck(Pluck::One(key), default) => pick(&value, key, default.as_ref()),
        Step::Pluck(Pluck::Many(keys), default) => {
            let items =
                keys.iter().map(|key| pick(&value, key, default.as_ref())).collect::<PyResult<Vec<_>>>()?;
            Ok(PyTuple::new(py, items)?.into_any())
        }
        Step::Str { name, args, unbound, .. } => {
            let args = to_python(py, args.item())?.cast_into::<PyTuple>()?;
            if *unbound {
                let all: Vec<_> = std::iter::once(value).chain(args.iter()).collect();
                py.get_type::<PyString>().getattr(name.as_str())?.call1(PyTuple::new(py, all)?)
            } else {
                value.getattr(name.as_str())?.call1(args)
            }
        }
        Step::Len => Ok(value.len()?.into_pyobject(py)?.into_any()),
        Step::Int => py.get_type::<PyInt>().call1((value,)),
        Step::Float => py.get_type::<PyFloat>().call1((value,)),
        Step::Flatten => py.get_type::<PyList>().call1((value,)),
        Step::Compare(cmp, other) => {
            use pyo3::basic::CompareOp;
            let op = match cmp {
                Cmp::Eq => CompareOp::Eq,
                Cmp::Ne => CompareOp::Ne,
                Cmp::Lt => CompareOp::Lt,
                Cmp::Le => CompareOp::Le,
                Cmp::Gt => CompareOp::Gt,
                Cmp::Ge => CompareOp::Ge,
            };
            value.rich_compare(to_python(py, other.item())?, op)
        }
        Step::Hash => {
            value.hash()?;
            Ok(value)
        }
        Step::Filter(..) | Step::Take(_) | Step::Distinct => {
            Err(PyValueError::new_err("a step that does not change elements was to be done in Python"))
        }
    }
}

/// `value[key]`; with a default, that where Python raises `KeyError` or `IndexError`.
fn pick<'py>(value: &Bound<'py, PyAny>, key: &Key, default: Option<&Owned>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    let found = match key {
        Key::Name(name) => value.get_item(name),
        Key::Index(at) => value.get_item(at),
    };
    match (found, default) {
        (Err(e), Some(default))
            if e.is_instance_of::<PyKeyError>(py) || e.is_instance_of::<PyIndexError>(py) =>
        {
            to_python(py, default.item())
        }
        (found, _) => found,
    }
}

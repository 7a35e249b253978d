//! Python objects to native values and back. Only the plain types themselves have a native form, not subclasses of them.

use super::{NotNative, OrRaise};
use pantile_bag::tape::MAX_DEPTH;
use pantile_bag::{Item, Owned, Part, Strings, Tape, Values};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// The Python object of a value.
pub fn to_python<'py>(py: Python<'py>, item: Item<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match item {
        Item::None => py.None().into_bound(py),
        Item::Bool(b) => PyBool::new(py, b).to_owned().into_any(),
        Item::Int(v) => v.into_pyobject(py)?.into_any(),
        Item::Big(digits) => py.get_type::<PyInt>().call1((digits,))?,
        Item::Float(v) => PyFloat::new(py, v).into_any(),
        Item::Str(s) => PyString::new(py, s).into_any(),
        Item::List(seq) => {
            let list = PyList::empty(py);
            seq.iter().try_for_each(|item| list.append(to_python(py, item)?))?;
            list.into_any()
        }
        Item::Tuple(seq) => {
            let items = seq.iter().map(|item| to_python(py, item)).collect::<PyResult<Vec<_>>>()?;
            PyTuple::new(py, items)?.into_any()
        }
        Item::Dict(seq) => {
            let dict = PyDict::new(py);
            let mut items = seq.iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                dict.set_item(to_python(py, key)?, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

/// Writes an object to a tape.
pub fn from_python(obj: &Bound<'_, PyAny>, tape: &mut Tape) -> PyResult<()> {
    write(obj, tape, 0)
}

fn write(obj: &Bound<'_, PyAny>, tape: &mut Tape, depth: usize) -> PyResult<()> {
    let py = obj.py();
    if depth > MAX_DEPTH {
        return Err(NotNative::new_err("containers nested too deeply"));
    }
    if let Ok(s) = obj.cast_exact::<PyString>() {
        tape.str(text(s)?);
    } else if obj.is_none() {
        tape.none();
    } else if let Ok(b) = obj.cast_exact::<PyBool>() {
        tape.bool(b.is_true());
    } else if obj.is_exact_instance_of::<PyInt>() {
        match obj.extract::<i64>() {
            Ok(v) => tape.int(v),
            Err(_) => {
                let digits = obj.str().map_err(|_| NotNative::new_err("an int of very many digits"))?;
                tape.big(text(&digits)?);
            }
        }
    } else if let Ok(v) = obj.cast_exact::<PyFloat>() {
        tape.float(v.value());
    } else if let Ok(list) = obj.cast_exact::<PyList>() {
        let mark = tape.begin_list();
        let mut count = 0;
        for item in list.iter() {
            write(&item, tape, depth + 1)?;
            count += 1;
        }
        tape.end(mark, count).or_raise(py)?;
    } else if let Ok(tuple) = obj.cast_exact::<PyTuple>() {
        let mark = tape.begin_tuple();
        for item in tuple.iter_borrowed() {
            write(&item, tape, depth + 1)?;
        }
        tape.end(mark, tuple.len()).or_raise(py)?;
    } else if let Ok(dict) = obj.cast_exact::<PyDict>() {
        let mark = tape.begin_dict();
        let mut count = 0;
        for (key, value) in dict.iter() {
            match key.cast_exact::<PyString>() {
                Ok(key) => tape.str(text(key)?),
                Err(_) => return Err(NotNative::new_err("a dict with a key that is not a str")),
            }
            write(&value, tape, depth + 1)?;
            count += 1;
        }
        tape.end(mark, count).or_raise(py)?;
    } else {
        let class = obj.get_type().name()?;
        return Err(NotNative::new_err(format!("a value of type {class} has no native form")));
    }
    Ok(())
}

/// The text of a str without lone surrogates.
pub fn text<'a>(s: &'a Bound<'_, PyString>) -> PyResult<&'a str> {
    s.to_str().map_err(|_| NotNative::new_err("a str with a lone surrogate has no native form"))
}

/// A single object, as a value that lives by itself.
pub fn owned(obj: &Bound<'_, PyAny>) -> PyResult<Owned> {
    let mut tape = Tape::new();
    from_python(obj, &mut tape)?;
    Ok(Owned::new(tape))
}

/// A sequence of objects as a partition.
pub fn part_from_list(list: &Bound<'_, PyAny>) -> PyResult<Part> {
    let py = list.py();
    let mut strings = Strings::new();
    let mut values: Option<Values> = None;
    let mut tape = Tape::new();
    for item in list.try_iter()? {
        let item = item?;
        if values.is_none() {
            if let Ok(s) = item.cast_exact::<PyString>() {
                strings.push(text(s)?);
                continue;
            }
            let mut all = Values::new();
            strings.iter().try_for_each(|s| all.push(Item::Str(s))).or_raise(py)?;
            values = Some(all);
        }
        if let Some(values) = &mut values {
            tape.clear();
            from_python(&item, &mut tape)?;
            values.push(tape.first()).or_raise(py)?;
        }
    }
    Ok(values.map_or(Part::Strings(strings), Part::Values))
}

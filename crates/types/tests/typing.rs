//! Every line of `data/typing.txt`, which NumPy wrote: the loop of each operation for all tuples of data types.

use pantile_types::catalogue::{self, resolve, resolve_for_output};
use pantile_types::{DType, Operand, PythonKind, TypeError};

fn operand(name: &str) -> Operand {
    match name {
        "int" => Operand::PyInt(1),
        "float" => Operand::PyFloat,
        "complex" => Operand::PyComplex,
        other => Operand::Typed(DType::parse(other).unwrap()),
    }
}

fn list(dtypes: &[DType]) -> Vec<String> {
    dtypes.iter().map(|d| d.descr()).collect()
}

#[test]
fn typing_is_numpys() {
    let mut wrong = Vec::new();
    let mut cases = 0;
    let mut columns: [Vec<&str>; 2] = [Vec::new(), Vec::new()];
    for line in include_str!("data/typing.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[0] {
            "names" => columns[0] = words[1..].to_vec(),
            "numbers" => columns[1] = words[1..].to_vec(),
            kind => {
                let colon = words.iter().position(|w| *w == ":").unwrap();
                let op = catalogue::find(words[1])
                    .unwrap_or_else(|| panic!("{} is not in the catalogue", words[1]));
                if kind == "d" {
                    let operands: Vec<Operand> = words[2..colon].iter().map(|n| operand(n)).collect();
                    for (output, expected) in DType::NUMERIC.iter().zip(&words[colon + 1..]) {
                        cases += 1;
                        let got = match resolve_for_output(op, &operands, *output) {
                            Ok(s) => [list(&s.inputs), list(&s.outputs)].concat().join(","),
                            Err(_) => "!".to_owned(),
                        };
                        if got != *expected {
                            let given = words[2..colon].join(" ");
                            wrong.push(format!(
                                "{} {given} as {output}: numpy {expected}, ours {got}",
                                words[1]
                            ));
                        }
                    }
                    continue;
                }
                let names = &columns[usize::from(kind == "f")];
                for (last, expected) in names.iter().zip(&words[colon + 1..]) {
                    if *expected == "-" {
                        continue;
                    }
                    cases += 1;
                    let mut given: Vec<&str> = words[2..colon].to_vec();
                    given.push(last);
                    let operands: Vec<Operand> = given.iter().map(|n| operand(n)).collect();
                    let got = match resolve(op, &operands) {
                        Ok(s) if kind == "u" => [list(&s.inputs), list(&s.outputs)].concat().join(","),
                        Ok(s) => list(&s.outputs).join(","),
                        Err(_) => "!".to_owned(),
                    };
                    if got != *expected {
                        wrong.push(format!("{} {}: numpy {expected}, ours {got}", words[1], given.join(" ")));
                    }
                }
            }
        }
    }
    assert!(cases > 20_000, "{cases}");
    assert!(
        wrong.is_empty(),
        "{} of {cases} differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(80)].join("\n")
    );
}

fn resolved(name: &str, operands: &[Operand]) -> Result<String, TypeError> {
    let s = resolve(catalogue::find(name).unwrap(), operands)?;
    Ok(format!("{} -> {}", list(&s.inputs).join(" "), list(&s.outputs).join(" ")))
}

#[test]
fn python_integers_must_fit_where_they_are_computed_with() {
    let typed = Operand::Typed;
    let error = resolved("add", &[typed(DType::U8), Operand::PyInt(300)]).unwrap_err();
    assert_eq!(error.to_string(), "Python integer 300 out of bounds for uint8");
    assert_eq!(error.python_kind(), PythonKind::Overflow);
    assert!(resolved("add", &[typed(DType::U8), Operand::PyInt(-1)]).is_err());
    assert!(resolved("add", &[typed(DType::Bool), Operand::PyInt(1 << 70)]).is_err());
    assert_eq!(resolved("add", &[typed(DType::F16), Operand::PyInt(1 << 100)]).unwrap(), "<f2 <f2 -> <f2");
    // The integer becomes a half at once: int8 never holds it.
    assert_eq!(resolved("copysign", &[typed(DType::I8), Operand::PyInt(300)]).unwrap(), "<f2 <f2 -> <f2");
    assert_eq!(
        resolved("power", &[typed(DType::I32), Operand::PyInt(-2)]).unwrap_err().to_string(),
        "Integers to negative integer powers are not allowed."
    );
    assert_eq!(resolved("power", &[typed(DType::F32), Operand::PyInt(-2)]).unwrap(), "<f4 <f4 -> <f4");
}

#[test]
fn comparisons_take_python_integers_of_any_size() {
    let with = |d, v| resolved("less", &[Operand::Typed(d), Operand::PyInt(v)]).unwrap();
    assert_eq!(with(DType::I8, 5), "|i1 |i1 -> |b1");
    assert_eq!(with(DType::I8, 300), "<i8 <i8 -> |b1");
    assert_eq!(with(DType::U8, -1), "<i8 <i8 -> |b1");
    assert_eq!(with(DType::U64, -1), "<u8 <i8 -> |b1");
    assert_eq!(with(DType::I64, 1 << 63), "<i8 <u8 -> |b1");
    assert_eq!(with(DType::I64, 1 << 70), "<f8 <f8 -> |b1");
    assert_eq!(with(DType::I64, i128::MIN), "<f8 <f8 -> |b1");
}

#[test]
fn errors_say_what_to_do() {
    let bools = [Operand::Typed(DType::Bool), Operand::PyBool];
    assert!(resolved("subtract", &bools).unwrap_err().to_string().contains("use the bitwise_xor"));
    let error = resolved("add", &[Operand::Typed(DType::F64)]).unwrap_err();
    assert_eq!(error.to_string(), "add() takes 2 inputs, but 1 were given");
    let error = resolved("bitwise_and", &[Operand::Typed(DType::F64), Operand::PyInt(1)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "ufunc 'bitwise_and' not supported for the input types (float64, Python int); it takes integers"
    );
    let error = resolved("add", &[Operand::Typed(DType::OBJECT), Operand::PyInt(1)]).unwrap_err();
    assert_eq!(error.family(), pantile_types::Family::Unsupported);
}

#[test]
fn names_aliases_and_symbols_are_unique() {
    let mut seen = std::collections::HashSet::new();
    for op in catalogue::all() {
        for name in std::iter::once(&op.name).chain(op.aliases) {
            assert!(seen.insert(*name), "{name} twice");
            assert_eq!(catalogue::find(name), Some(op));
        }
        if let Some(symbol) = op.symbol {
            assert!(seen.insert(symbol), "{symbol} twice");
            assert_eq!(catalogue::find_symbol(symbol), Some(op));
        }
        assert!(op.doc.ends_with('.') && !op.doc.contains('\n'), "{}", op.name);
    }
    assert!(catalogue::all().count() >= 90, "{}", catalogue::all().count());
}

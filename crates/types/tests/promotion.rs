//! Every line of `data/promotion.txt`, which NumPy wrote: promotion and casting of all pairs, weak Python scalars.

use pantile_types::promote::{check_cast, check_output_cast, promote, required_casting, result_type};
use pantile_types::{Casting, DType, Operand, PythonKind, TypeError};

fn show(result: Result<DType, TypeError>) -> String {
    match result {
        Ok(dtype) => dtype.descr(),
        Err(error) => match error.python_kind() {
            PythonKind::Type => "!TypeError".to_owned(),
            PythonKind::Value => "!ValueError".to_owned(),
            PythonKind::Overflow => "!OverflowError".to_owned(),
        },
    }
}

fn weak(kind: &str) -> Operand {
    match kind {
        "bool" => Operand::PyBool,
        "int" => Operand::PyInt(1),
        "-int" => Operand::PyInt(-1),
        "float" => Operand::PyFloat,
        "complex" => Operand::PyComplex,
        other => panic!("unknown kind {other}"),
    }
}

#[test]
fn promotion_is_numpys() {
    let dtype = |text: &str| DType::parse(text).unwrap();
    let mut wrong = Vec::new();
    let mut lines = 0;
    for line in include_str!("data/promotion.txt").lines() {
        lines += 1;
        let words: Vec<&str> = line.split(' ').collect();
        let got = match words[0] {
            "pair" => {
                let (a, b) = (dtype(words[1]), dtype(words[2]));
                format!(
                    "pair {} {} {} {}",
                    words[1],
                    words[2],
                    show(promote(a, b)),
                    required_casting(a, b).name()
                )
            }
            "weak" => {
                let operands = [Operand::Typed(dtype(words[1])), weak(words[2])];
                format!("weak {} {} {}", words[1], words[2], show(result_type(&operands)))
            }
            "triple" => {
                let operands = [1, 2, 3].map(|i| Operand::Typed(dtype(words[i])));
                format!("triple {} {}", words[1..4].join(" "), show(result_type(&operands)))
            }
            "only" => {
                let kinds = &words[1..words.len() - 1];
                let operands: Vec<Operand> = kinds.iter().map(|k| weak(k)).collect();
                format!("only {} {}", kinds.join(" "), show(result_type(&operands)))
            }
            other => panic!("unknown line {other}"),
        };
        if got != line {
            wrong.push(format!("numpy: {line}\n ours: {got}"));
        }
    }
    assert!(lines > 5000);
    assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn castings_are_ordered() {
    let names = ["no", "equiv", "safe", "same_kind", "unsafe"];
    let castings = names.map(|n| Casting::from_name(n).unwrap());
    assert!(castings.is_sorted());
    assert_eq!(castings.map(Casting::name), names);
    assert_eq!(Casting::from_name("same_value"), None);
}

#[test]
fn forbidden_casts_say_so_in_numpys_words() {
    let error = check_output_cast("add", DType::F64, DType::I64, Casting::SameKind).unwrap_err();
    let text = "Cannot cast ufunc 'add' output from dtype('float64') to dtype('int64') with casting rule 'same_kind'";
    assert_eq!(error.to_string(), text);
    let error = check_cast(DType::F64, DType::I32, Casting::Safe).unwrap_err();
    let text = "Cannot cast array data from dtype('float64') to dtype('int32') according to the rule 'safe'";
    assert_eq!((error.to_string().as_str(), error.python_kind()), (text, PythonKind::Type));
    assert!(check_cast(DType::I32, DType::F64, Casting::Safe).is_ok());
}

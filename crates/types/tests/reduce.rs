//! Every line of `data/reductions.txt`, which NumPy wrote: result types, `dtype=`, and reductions of no elements.

use pantile_types::catalogue;
use pantile_types::reduce::{self, Empty, Kind};
use pantile_types::{DType, Scalar};

#[test]
fn reductions_are_numpys() {
    let dtype = |text: &str| DType::parse(text).unwrap();
    let mut wrong = Vec::new();
    let mut lines = 0;
    for line in include_str!("data/reductions.txt").lines() {
        lines += 1;
        let words: Vec<&str> = line.split(' ').collect();
        let row = reduce::find(words[1]).unwrap();
        let output =
            |given, requested| row.resolve(given, requested).map_or("!".to_owned(), |s| s.output.descr());
        let got = match words[0] {
            "type" => format!("type {} {} {}", words[1], words[2], output(dtype(words[2]), None)),
            "as" => {
                let result = output(dtype(words[2]), Some(dtype(words[3])));
                format!("as {} {} {} {result}", words[1], words[2], words[3])
            }
            "empty" => {
                let result = match (row.empty, row.identity(DType::F64)) {
                    (Empty::Error, _) => format!("!{}", row.empty_message().unwrap()),
                    (Empty::NanWithWarning, _) => format!("nan {}", row.empty_message().unwrap()),
                    (Empty::Identity, Some(Scalar::F64(v))) => match row.kind {
                        Kind::Any | Kind::All => if v == 1.0 { "True" } else { "False" }.to_owned(),
                        Kind::CountNonzero => format!("{v}"),
                        _ => format!("{v:.1}"),
                    },
                    other => panic!("{other:?}"),
                };
                format!("empty {} {result}", words[1])
            }
            other => panic!("unknown line {other}"),
        };
        if got != line {
            wrong.push(format!("numpy: {line}\n ours: {got}"));
        }
    }
    assert!(lines > 500);
    assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong[..wrong.len().min(60)].join("\n"));
}

#[test]
fn halves_are_accumulated_as_singles() {
    let of = |name: &str, d| reduce::find(name).unwrap().resolve(d, None).unwrap().accumulator;
    assert_eq!(of("sum", DType::F16), DType::F32);
    assert_eq!(of("nanmean", DType::F16), DType::F32);
    assert_eq!(of("var", DType::F16), DType::F32);
    assert_eq!(of("max", DType::F16), DType::F16);
    assert_eq!(of("sum", DType::I8), DType::I64);
    assert_eq!(of("mean", DType::U64), DType::F64);
}

#[test]
fn combining_operations_exist() {
    for row in reduce::all() {
        if let Some(name) = row.combine {
            let op = catalogue::find(name).unwrap();
            assert!(op.associative && op.commutative, "{}: {name}", row.name);
        }
    }
}

#[test]
fn loops_start_below_or_above_everything() {
    let start = |name: &str, d| reduce::find(name).unwrap().start(d).unwrap();
    assert_eq!(start("max", DType::I8), Scalar::Int(pantile_types::ScalarType::I8, -128));
    assert_eq!(start("min", DType::I8), Scalar::Int(pantile_types::ScalarType::I8, 127));
    assert_eq!(start("max", DType::U16), Scalar::UInt(pantile_types::ScalarType::U16, 0));
    assert_eq!(start("min", DType::U16), Scalar::UInt(pantile_types::ScalarType::U16, 0xffff));
    assert_eq!(start("max", DType::F64), Scalar::F64(f64::NEG_INFINITY));
    assert_eq!(start("min", DType::Bool), Scalar::Bool(true));
    assert!(matches!(start("nanmin", DType::F32), Scalar::F32(v) if v.is_nan()));
    let moments = DType::parse("M8[s]").unwrap();
    assert_eq!(start("max", moments), Scalar::Int(pantile_types::ScalarType::I64, i64::MIN + 1));
    assert_eq!(start("nanmin", moments), Scalar::Int(pantile_types::ScalarType::I64, i64::MIN));
    assert_eq!(start("prod", DType::C64), Scalar::C64(1.0, 0.0));
    assert!(reduce::find("mean").unwrap().start(DType::F64).is_none());
}

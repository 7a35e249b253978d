//! The interpreter where files do not reach: its stack, its speed of a kind, random programs, and concurrent calls.

use pantile_jit::ir::*;
use pantile_jit::testing::{Layout, Value, call, random_module};
use pantile_jit::{Backend, Interpreter, parse_module, print_module, verify};
use pantile_types::{Scalar, ScalarType};
use proptest::prelude::*;

fn int(v: i64) -> Value {
    Value::Scalar(Scalar::Int(ScalarType::I64, v))
}

#[test]
fn endless_recursion_is_a_trap() {
    let text = "
func @f(v0: i64) -> (i64) {
b0:
  v1 = local f64, 100
  v2 = call @f(v0)
  return v2
}
func @deep(v0: i64) -> (i64) {
b0:
  v1 = const i64 0
  v2 = const i64 1
  v3 = lt v1, v0
  branch v3, b1, b2
b1:
  v4 = sub v0, v2
  v5 = call @deep(v4)
  v6 = add v5, v2
  return v6
b2:
  return v1
}";
    let module = parse_module(text).unwrap();
    verify(&module).unwrap();
    let code = Interpreter.compile(&module, FuncId(0)).unwrap();
    let got = call(&*code, module.get(FuncId(0)), &[int(1)], Layout::Compact).unwrap();
    assert_eq!(got.results, Err(TrapCode::StackOverflow));
    // Depth itself is no reason to stop: this is far deeper than a thread's stack would allow.
    let code = Interpreter.compile(&module, FuncId(1)).unwrap();
    let got = call(&*code, module.get(FuncId(1)), &[int(200_000)], Layout::Compact).unwrap();
    assert_eq!(got.results, Ok(vec![int(200_000)]));
}

#[test]
fn pieces_cover_the_range() {
    for (lo, hi, grain) in [
        (0, 10, 3),
        (-7, 1000, 1),
        (0, 256, 1),
        (0, 257, 1),
        (i64::MIN, i64::MAX, 1),
        (5, 5, 1),
        (9, -9, 2),
        (0, 7, i64::MIN),
    ] {
        let pieces = Pieces::new(lo, hi, grain);
        let mut next = lo;
        let mut lens = vec![];
        for i in 0..pieces.count() {
            let (a, b) = pieces.get(i);
            assert_eq!(a, next);
            assert!(b > a);
            lens.push(b.wrapping_sub(a) as u64);
            next = b;
        }
        assert_eq!(next, if hi > lo { hi } else { lo });
        if let (Some(min), Some(max)) = (lens.iter().min(), lens.iter().max()) {
            assert!(max - min <= 1);
            assert!(*min >= grain.max(1) as u64 || lens.len() == 1);
        }
    }
}

#[test]
fn one_executable_on_many_threads() {
    let (module, entry, args) = random_module(4);
    let code = Interpreter.compile(&module, entry).unwrap();
    let expected = call(&*code, module.get(entry), &args, Layout::Compact).unwrap();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                let got = call(&*code, module.get(entry), &args, Layout::Compact).unwrap();
                assert_same(&expected, &got);
            });
        }
    });
}

fn assert_same(a: &pantile_jit::testing::Outcome, b: &pantile_jit::testing::Outcome) {
    assert!(a.args.iter().zip(&b.args).all(|(a, b)| a.same(b)), "{:?}\n{:?}", a.args, b.args);
    match (&a.results, &b.results) {
        (Ok(a), Ok(b)) => assert!(a.iter().zip(b).all(|(a, b)| a.same(b)), "{a:?}\n{b:?}"),
        (a, b) => assert_eq!(a, b),
    }
}

#[test]
fn random_programs_are_worth_running() {
    // Most seeds should end normally, some trap, and results should differ.
    let (mut ended, mut trapped) = (0, 0);
    let mut results = std::collections::HashSet::new();
    for seed in 0..300 {
        let (module, entry, args) = random_module(seed);
        let code = Interpreter.compile(&module, entry).unwrap();
        let got = call(&*code, module.get(entry), &args, Layout::Compact).unwrap();
        match got.results {
            Ok(values) => {
                ended += 1;
                results.insert(format!("{values:?}"));
            }
            Err(_) => trapped += 1,
        }
    }
    assert!(ended > 200 && trapped > 5 && results.len() > 150, "{ended} {trapped} {}", results.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// The layout of arrays changes nothing, and neither does a trip through the text form.
    #[test]
    fn layout_and_text_change_nothing(seed: u64) {
        let (module, entry, args) = random_module(seed);
        let code = Interpreter.compile(&module, entry).unwrap();
        let compact = call(&*code, module.get(entry), &args, Layout::Compact).unwrap();
        let scattered = call(&*code, module.get(entry), &args, Layout::Scattered).unwrap();
        assert_same(&compact, &scattered);
        let again = parse_module(&print_module(&module)).unwrap();
        let code = Interpreter.compile(&again, entry).unwrap();
        assert_same(&compact, &call(&*code, again.get(entry), &args, Layout::Compact).unwrap());
    }
}

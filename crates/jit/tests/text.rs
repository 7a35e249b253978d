//! The text form: what it looks like, that it round-trips, and that no text can hurt the parser.

use expect_test::{Expect, expect};
use pantile_jit::ir::*;
use pantile_jit::testing::random_module;
use pantile_jit::{FuncBuilder, parse_module, print_module, verify};
use pantile_types::{BinOp, Emit, Scalar, ScalarType};
use proptest::prelude::*;

fn check_error(text: &str, expect: Expect) {
    expect.assert_eq(&parse_module(text).unwrap_err().to_string());
}

#[test]
fn a_built_function_as_text() {
    let view =
        Type::View(ViewType { elem: ScalarType::F64, strides: [Stride::Dynamic].into_iter().collect() });
    let attrs = ParamAttrs { noalias: true, readonly: true };
    let mut b = FuncBuilder::new("sum", &[(view, attrs)], &[Type::Scalar(ScalarType::F64)]);
    let x = b.param(0);
    let n = b.view_len(x, 0);
    let zero = b.const_f64(0.0);
    b.set_fp_flags(FpFlags { reassoc: true, contract: false });
    let total = b.counted_loop(n, &[zero], |b, i, sums| {
        let v = b.load(x, &[i], Bounds::Known);
        vec![b.bin(BinOp::Add, sums[0], v)]
    });
    b.ret(&total);
    let mut module = Module::default();
    module.add(b.finish());
    verify(&module).unwrap();
    expect![[r#"
        func @sum(v0: view<f64; dyn> noalias readonly) -> (f64) {
        b0:
          v1 = len v0, 0
          v2 = const f64 0.0
          v3 = const i64 0
          v4 = lt v3, v1
          branch v4, b1(v3, v2), b2(v2)
        b1(v5: i64, v6: f64):
          v7 = load v0[v5] known
          v8 = add reassoc v6, v7
          v9 = const i64 1
          v10 = add v5, v9
          v11 = lt v10, v1
          branch v11, b1(v10, v8), b2(v8)
        b2(v12: f64):
          return v12
        }
    "#]]
    .assert_eq(&print_module(&module));
    assert_eq!(parse_module(&print_module(&module)).unwrap(), module);
}

#[test]
fn literals_keep_their_bits() {
    let scalars = [
        Scalar::F64(f64::from_bits(0x7ff8_0000_0000_0123)),
        Scalar::F64(f64::from_bits(0xfff0_0000_0000_0001)),
        Scalar::F64(f64::NAN),
        Scalar::F64(-0.0),
        Scalar::F64(f64::MIN_POSITIVE / 4.0),
        Scalar::F64(f64::MAX),
        Scalar::F64(0.1),
        Scalar::F32(f32::from_bits(0xffc0_0001)),
        Scalar::F32(16777217.0),
        Scalar::F32(f32::NEG_INFINITY),
        Scalar::F16(0x0001),
        Scalar::F16(0x7bff),
        Scalar::F16(0xfe01),
        Scalar::C64(f32::NAN, -0.0),
        Scalar::C128(f64::from_bits(0x7ff8_0000_0000_0123), f64::INFINITY),
        Scalar::Int(ScalarType::I64, i64::MIN),
        Scalar::Int(ScalarType::I8, -128),
        Scalar::UInt(ScalarType::U64, u64::MAX),
        Scalar::Bool(true),
    ];
    for s in scalars {
        let mut b = FuncBuilder::new("f", &[], &[Type::Scalar(s.ty())]);
        let v = b.constant(s);
        b.ret(&[v]);
        let mut module = Module::default();
        module.add(b.finish());
        assert_eq!(parse_module(&print_module(&module)).unwrap(), module, "{s:?}");
    }
    // All halves, since they are few: each prints as a decimal that reads back.
    for bits in 0..=u16::MAX {
        let s = Scalar::F16(bits);
        let text = pantile_jit::text::print_scalar(s);
        assert_eq!(pantile_jit::text::parse_scalar(ScalarType::F16, &text), Ok(s), "{text}");
    }
}

#[test]
fn names_of_any_kind() {
    for name in ["a.b_1", "", "a b", "quote\" and \\", "ünïcode;@{", "1"] {
        let mut b = FuncBuilder::new(name, &[], &[]);
        b.ret(&[]);
        let mut module = Module::default();
        module.add(b.finish());
        assert_eq!(parse_module(&print_module(&module)).unwrap(), module, "{name:?}");
    }
}

#[test]
fn errors_point_at_the_place() {
    check_error(
        "func @f() -> () {\nb0:\n  v0 = bogus v1\n  return\n}",
        expect![[r#"
            line 3, column 8: expected an instruction, found `bogus`
              |
            3 |   v0 = bogus v1
              |        ^"#]],
    );
    check_error(
        "func @f(v0: f64) -> () {\nb0:\n  v1 = add v0, v9\n  return\n}",
        expect![[r#"
            line 3, column 3: v9 is not defined
              |
            3 |   v1 = add v0, v9
              |   ^"#]],
    );
    check_error(
        "func @f(v0: f64, v1: i64) -> () {\nb0:\n  v2 = add v0, v1\n  return\n}",
        expect![[r#"
            line 3, column 3: `add` takes two values of one type, not f64 and i64
              |
            3 |   v2 = add v0, v1
              |   ^"#]],
    );
    check_error(
        "func @f() -> () {\nb0:\n  v0 = const i8 300\n",
        expect![[r#"
            line 3, column 17: 300 does not fit i8
              |
            3 |   v0 = const i8 300
              |                 ^"#]],
    );
    check_error(
        "func @f() -> () {\nb0:\n  jump b7\n}",
        expect![[r#"
            line 3, column 3: there is no block b7
              |
            3 |   jump b7
              |   ^"#]],
    );
    check_error(
        "func @f() -> () {\nb0:\n  call @g()\n  return\n}",
        expect![[r#"
            line 3, column 8: there is no function @g
              |
            3 |   call @g()
              |        ^"#]],
    );
    check_error(
        "func @f() -> () {\nb0:\n  return\nb1:\n  return\n}",
        expect![[r#"
            line 4, column 1: this block cannot be reached
              |
            4 | b1:
              | ^"#]],
    );
    check_error(
        "func @f() -> () {\nb0:\n  return",
        expect![[r#"
            line 3, column 9: expected a block (b0, b1, ...), found the end of the text
              |
            3 |   return
              |         ^"#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn modules_round_trip(seed: u64) {
        let (module, _, _) = random_module(seed);
        verify(&module).unwrap();
        prop_assert_eq!(parse_module(&print_module(&module)).unwrap(), module);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Valid text with pieces cut out, doubled, or replaced: never a panic, neither in the parser nor in the verifier.
    #[test]
    fn mangled_text_is_harmless(seed in 0..50u64, edits in prop::collection::vec((any::<u32>(), any::<u32>(), 0..6u8), 1..6)) {
        let mut text = print_module(&random_module(seed).0);
        for (at, from, kind) in edits {
            let words: Vec<&str> = text.split_inclusive([' ', '\n', ',', '(']).collect();
            let (at, from) = (at as usize % words.len(), from as usize % words.len());
            let mut words = words;
            match kind {
                0 => { words.remove(at); }
                1 => words[at] = words[from],
                2 => words.insert(at, words[from]),
                3 => words.swap(at, from),
                4 => words[at] = "4294967295 ",
                _ => words[at] = "\u{e9}\"\\ ",
            }
            text = words.concat();
        }
        if let Ok(module) = parse_module(&text)
            && verify(&module).is_ok()
        {
            prop_assert_eq!(parse_module(&print_module(&module)).unwrap(), module);
        }
    }

    #[test]
    fn any_text_is_harmless(text in "(?s).{0,200}") {
        let _ = parse_module(&text);
    }

    #[test]
    fn any_words_are_harmless(words in prop::collection::vec(prop::sample::select(vec![
        "func", "@f", "(", ")", "->", "{", "}", "b0", ":", "v0", "v1", "=", "const", "f64", "view", "<", ";", ">", "tuple",
        "dyn", ",", "[", "]", "return", "jump", "branch", "trap", "user", "99999999999", "-", "nan", "..", "parfor", "call",
        "load", "known", "\n", "@\"", "\\",
    ]), 0..60)) {
        let _ = parse_module(&words.join(" "));
        let _ = parse_module(&words.concat());
    }
}

#[test]
fn nesting_is_bounded() {
    let deep = format!(
        "func @f(v0: {}f64{}) -> () {{\nb0:\n  return\n}}",
        "tuple<".repeat(100_000),
        ">".repeat(100_000)
    );
    assert!(parse_module(&deep).unwrap_err().message.contains("nested more than 32 deep"));
    let mut long = String::from("func @f() -> () {\nb0:\n  jump b1\n");
    for i in 1..50_000 {
        long.push_str(&format!("b{i}:\n  jump b{}\n", i + 1));
    }
    long.push_str("b50000:\n  return\n}\n");
    let module = parse_module(&long).unwrap();
    verify(&module).unwrap();
}

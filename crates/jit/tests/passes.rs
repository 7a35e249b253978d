//! Passes: small examples to read, and random programs that must do the same after as before.

use expect_test::{Expect, expect};
use pantile_jit::passes::{inline_small_calls, remove_dead_code};
use pantile_jit::testing::{Layout, call, random_module};
use pantile_jit::verify::assert_verified;
use pantile_jit::{Backend, Interpreter, parse_module, print_module};
use proptest::prelude::*;

fn check(text: &str, pass: impl FnOnce(&mut pantile_jit::ir::Module), expect: Expect) {
    let mut module = parse_module(text).unwrap();
    assert_verified(&module, "parsing");
    pass(&mut module);
    assert_verified(&module, "the pass");
    expect.assert_eq(&print_module(&module));
}

#[test]
fn dead_code_goes_away() {
    check(
        "
func @f(v0: view<f64; dyn>, v1: i64, v2: f64) -> (f64) {
b0:
  v3 = const i64 0
  v4 = local f64, 8
  v5 = sin v2
  v6 = load v0[v3] known
  v7 = load v0[v3] checked
  jump b1(v3, v2, v5)
b1(v8: i64, v9: f64, v10: f64):
  v11 = mul v10, v5
  v12 = add v9, v9
  v13 = const i64 1
  v14 = add v8, v13
  v15 = lt v14, v1
  branch v15, b1(v14, v12, v11), b2(v12)
b2(v16: f64):
  return v16
}",
        |m| remove_dead_code(&mut m.functions[0]),
        expect![[r#"
            func @f(v0: view<f64; dyn>, v1: i64, v2: f64) -> (f64) {
            b0:
              v3 = const i64 0
              v4 = load v0[v3] checked
              jump b1(v3, v2)
            b1(v5: i64, v6: f64):
              v7 = add v6, v6
              v8 = const i64 1
              v9 = add v5, v8
              v10 = lt v9, v1
              branch v10, b1(v9, v7), b2(v7)
            b2(v11: f64):
              return v11
            }
        "#]],
    );
}

#[test]
fn small_calls_become_bodies() {
    check(
        "
func @f(v0: i64) -> (i64) {
b0:
  v1 = call @clip(v0)
  v2 = call @clip(v1)
  v3 = call @loop(v2)
  return v3
}
func @clip(v0: i64) -> (i64) {
b0:
  v1 = const i64 9
  v2 = lt v0, v1
  branch v2, b1, b2
b1:
  return v0
b2:
  return v1
}
func @loop(v0: i64) -> (i64) {
b0:
  v1 = call @loop(v0)
  return v1
}",
        |m| inline_small_calls(m, 10),
        expect![[r#"
            func @f(v0: i64) -> (i64) {
            b0:
              jump b1(v0)
            b1(v1: i64):
              v2 = const i64 9
              v3 = lt v1, v2
              branch v3, b2, b3
            b2:
              jump b4(v1)
            b3:
              jump b4(v2)
            b4(v4: i64):
              jump b5(v4)
            b5(v5: i64):
              v6 = const i64 9
              v7 = lt v5, v6
              branch v7, b6, b7
            b6:
              jump b8(v5)
            b7:
              jump b8(v6)
            b8(v8: i64):
              v9 = call @loop(v8)
              return v9
            }

            func @clip(v0: i64) -> (i64) {
            b0:
              v1 = const i64 9
              v2 = lt v0, v1
              branch v2, b1, b2
            b1:
              return v0
            b2:
              return v1
            }

            func @loop(v0: i64) -> (i64) {
            b0:
              v1 = call @loop(v0)
              return v1
            }
        "#]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_the_same(seed: u64) {
        let (module, entry, args) = random_module(seed);
        let run = |m: &pantile_jit::ir::Module| {
            let code = Interpreter.compile(m, entry).unwrap();
            call(&*code, m.get(entry), &args, Layout::Compact).unwrap()
        };
        let before = run(&module);
        let mut changed = module.clone();
        inline_small_calls(&mut changed, 30);
        assert_verified(&changed, "inlining");
        changed.functions.iter_mut().for_each(remove_dead_code);
        assert_verified(&changed, "dead code elimination");
        let after = run(&changed);
        // Scalars compare by bits, and the interpreter is deterministic: NaNs agree too.
        prop_assert_eq!(before, after);
    }
}

//! Each rule of the verifier: a good module is broken in one place, and the message is compared.

use expect_test::{Expect, expect};
use pantile_jit::ir::*;
use pantile_jit::{parse_module, verify};
use pantile_types::{Scalar, ScalarType, Val};

/// A module with a bit of everything: v0..v2 parameters of @f, a loop b1, an exit b2.
const GOOD: &str = "
func @f(v0: view<f64; dyn> noalias readonly, v1: i64, v2: view<f64; unit>) -> (f64) {
b0:
  v3 = const f64 0.0
  v4 = const i64 0
  v5 = const bool true
  v6 = local f64, 8
  branch v5, b1(v4, v3), b2(v3)
b1(v7: i64, v8: f64):
  v9 = load v0[v7] known
  v10 = add v8, v9
  v11 = const i64 1
  v12 = add v7, v11
  store v2[v7], v10 checked
  v13 = lt v12, v1
  branch v13, b1(v12, v10), b2(v10)
b2(v14: f64):
  v15 = call @g(v14)
  return v15
}
func @g(v0: f64) -> (f64) {
b0:
  return v0
}
func @body(v0: i64, v1: i64, v2: f64) -> (f64) {
b0:
  return v2
}
func @merge(v0: f64, v1: f64) -> (f64) {
b0:
  v2 = add v0, v1
  return v2
}
func @outer(v0: i64, v1: f64) -> (f64) {
b0:
  v2 = parfor v0 .. v0 grain v0 @body() init(v1) combine @merge
  return v2
}
";

fn check(break_it: impl FnOnce(&mut Module), expect: Expect) {
    let mut module = parse_module(GOOD).unwrap();
    verify(&module).unwrap();
    break_it(&mut module);
    expect.assert_eq(&verify(&module).unwrap_err().to_string());
}

/// The instruction of @f that defines this value.
fn inst(m: &mut Module, v: u32) -> &mut Inst {
    defining(&mut m.functions[0], v)
}

fn defining(f: &mut Function, v: u32) -> &mut Inst {
    &mut f.insts.iter_mut().find(|d| d.results.contains(&Val(v))).unwrap().inst
}

#[test]
fn no_blocks() {
    check(|m| m.functions[1].blocks.clear(), expect!["@g: a function without blocks"]);
}

#[test]
fn same_names() {
    check(|m| m.functions[1].name = "f".into(), expect!["@f: another function has the same name"]);
}

#[test]
fn attributes_of_each_parameter() {
    check(|m| m.functions[1].param_attrs.clear(), expect!["@g: 1 parameters, but attributes of 0"]);
}

#[test]
fn noalias_is_for_views() {
    check(
        |m| m.functions[1].param_attrs[0].noalias = true,
        expect!["@g: parameter 0 is noalias or readonly, but no view: f64"],
    );
}

#[test]
fn terminators() {
    check(|m| m.functions[0].blocks[1].end = None, expect!["@f, b1: the block has no terminator"]);
}

#[test]
fn targets_exist() {
    check(
        |m| m.functions[0].blocks[0].end.as_mut().unwrap().targets_mut().next().unwrap().block = BlockId(9),
        expect!["@f, b0, `branch v5, b9(v4, v3), b2(v3)`: there is no block b9"],
    );
}

#[test]
fn entry_is_not_entered_again() {
    check(
        |m| m.functions[0].blocks[1].end.as_mut().unwrap().targets_mut().next().unwrap().block = BlockId(0),
        expect!["@f, b1, `branch v13, b0(v12, v10), b2(v10)`: the entry block cannot be jumped to"],
    );
}

#[test]
fn blocks_are_reachable() {
    check(
        |m| {
            let lost = Block {
                params: Vals::new(),
                insts: vec![],
                end: Some(Terminator::Trap(TrapCode::Unreachable)),
            };
            m.functions[0].blocks.push(lost);
        },
        expect!["@f, b3: the block cannot be reached from the entry"],
    );
}

#[test]
fn instructions_exist_and_are_listed_once() {
    check(
        |m| m.functions[0].blocks[0].insts.push(InstId(99)),
        expect!["@f, b0: there is no instruction number 99"],
    );
    check(
        |m| m.functions[0].blocks[0].insts.push(InstId(0)),
        expect!["@f, b0, `v3 = const f64 0.0`: the instruction is listed twice"],
    );
}

#[test]
fn values_are_defined_once() {
    check(
        |m| {
            let f = &mut m.functions[0];
            f.insts[0].results[0] = Val(0);
        },
        expect!["@f, b0, `v0 = const f64 0.0`: v0 is defined twice"],
    );
    check(
        |m| m.functions[0].insts[0].results[0] = Val(77),
        expect!["@f, b0, `v77 = const f64 0.0`: v77 has no type"],
    );
    // Unlinking an instruction undefines its value.
    check(
        |m| {
            m.functions[0].blocks[0].insts.remove(0);
        },
        expect!["@f, b0, `branch v5, b1(v4, v3), b2(v3)`: v3 is not defined"],
    );
}

#[test]
fn dominance() {
    check(
        |m| *inst(m, 10) = Inst::Bin(pantile_types::BinOp::Add, Val(8), Val(10), FpFlags::default()),
        expect!["@f, b1, `v10 = add v8, v10`: v10 is used before it is defined"],
    );
    check(
        |m| *inst(m, 15) = Inst::Call(FuncId(1), Vals::from_slice(&[Val(10)])),
        expect!["@f, b2, `v15 = call @g(v10)`: v10 is defined in b1, which does not lead here on every path"],
    );
}

#[test]
fn operand_and_result_types() {
    check(
        |m| *inst(m, 10) = Inst::Bin(pantile_types::BinOp::And, Val(8), Val(9), FpFlags::default()),
        expect!["@f, b1, `v10 = and v8, v9`: `and` takes integers or bool, not f64"],
    );
    check(
        |m| *inst(m, 9) = Inst::Load(Val(0), Vals::new(), Bounds::Known),
        expect![
            "@f, b1, `v9 = load v0[] known`: the indices of `load`: a view of 1 axes takes as many, 0 given"
        ],
    );
    check(
        |m| m.functions[0].value_types[9] = Type::Scalar(ScalarType::F32),
        expect!["@f, b1, `v9 = load v0[v7] known`: results: number 0 should be f64, not f32"],
    );
    check(
        |m| *inst(m, 13) = Inst::Const(Scalar::F64(1.0)),
        expect!["@f, b1, `v13 = const f64 1.0`: results: number 0 should be f64, not bool"],
    );
}

#[test]
fn block_arguments() {
    check(
        |m| m.functions[0].blocks[1].end.as_mut().unwrap().targets_mut().next().unwrap().args.truncate(1),
        expect!["@f, b1, `branch v13, b1(v12), b2(v10)`: arguments of b1: 2 expected, 1 given"],
    );
    check(
        |m| m.functions[0].blocks[1].end.as_mut().unwrap().targets_mut().next().unwrap().args.swap(0, 1),
        expect![
            "@f, b1, `branch v13, b1(v10, v12), b2(v10)`: arguments of b1: number 0 should be i64, not f64"
        ],
    );
}

#[test]
fn branches_and_returns() {
    check(
        |m| {
            if let Some(Terminator::Branch(c, ..)) = &mut m.functions[0].blocks[1].end {
                *c = Val(12);
            }
        },
        expect![
            "@f, b1, `branch v12, b1(v12, v10), b2(v10)`: the condition of a branch should be bool, not i64"
        ],
    );
    check(
        |m| m.functions[1].blocks[0].end = Some(Terminator::Return(Vals::new())),
        expect!["@g, b0, `return`: results: 1 expected, 0 given"],
    );
}

#[test]
fn calls() {
    check(
        |m| *inst(m, 15) = Inst::Call(FuncId(7), Vals::new()),
        expect![[r#"@f, b2, `v15 = call @"function number 7"()`: there is no function number 7"#]],
    );
    check(
        |m| *inst(m, 15) = Inst::Call(FuncId(1), Vals::from_slice(&[Val(1)])),
        expect!["@f, b2, `v15 = call @g(v1)`: arguments of @g: number 0 should be f64, not i64"],
    );
}

#[test]
fn parallel_loops() {
    let change = |m: &mut Module, g: fn(&mut FuncId, &mut Vals, &mut Option<FuncId>)| {
        if let Inst::ParFor { body, init, combine, .. } = defining(&mut m.functions[4], 2) {
            g(body, init, combine);
        }
    };
    check(
        |m| change(m, |body, _, _| *body = FuncId(3)),
        expect![
            "@outer, b0, `v2 = parfor v0 .. v0 grain v0 @merge() init(v1) combine @merge`: parameters of the `parfor` body @merge: 3 expected, 2 given"
        ],
    );
    check(
        |m| change(m, |_, _, combine| *combine = None),
        expect![
            "@outer, b0, `v2 = parfor v0 .. v0 grain v0 @body() init(v1)`: `parfor` with accumulators needs a `combine` function"
        ],
    );
    check(
        |m| change(m, |_, _, combine| *combine = Some(FuncId(1))),
        expect![
            "@outer, b0, `v2 = parfor v0 .. v0 grain v0 @body() init(v1) combine @g`: parameters of the combine function @g: 2 expected, 1 given"
        ],
    );
    // @merge calls @outer, and so the combine function leads back to the loop.
    check(
        |m| {
            let f = &mut m.functions[3];
            let (a, b) = (f.params()[0], f.params()[1]);
            f.value_types.push(Type::I64);
            let lo = Val(f.value_types.len() as u32 - 1);
            let results = Vals::from_slice(&[lo]);
            f.insts.push(InstData { inst: Inst::Const(Scalar::Int(ScalarType::I64, 0)), results });
            f.blocks[0].insts.insert(0, InstId(f.insts.len() as u32 - 1));
            *defining(f, 2) = Inst::Call(FuncId(4), Vals::from_slice(&[lo, b]));
            let _ = a;
        },
        expect![
            "@outer, b0, `v2 = parfor v0 .. v0 grain v0 @body() init(v1) combine @merge`: the parallel loop's @merge leads back to @outer"
        ],
    );
}

#[test]
fn local_arrays() {
    check(
        |m| {
            let f = &mut m.functions[0];
            let id = f.blocks[0].insts.pop().unwrap();
            f.blocks[1].insts.push(id);
        },
        expect!["@f, b1, `v6 = local f64, 8`: a local array outside the entry block"],
    );
    check(
        |m| *inst(m, 6) = Inst::LocalArray(ScalarType::F64, 200_000),
        expect!["@f, b0, `v6 = local f64, 200000`: the local arrays take more than 1048576 bytes"],
    );
    let text = "
func @f() -> (view<f64; unit>) {
b0:
  v0 = local f64, 8
  v1 = const i64 4
  v2 = subview v0[v1; v1]
  return v2
}";
    let e = verify(&parse_module(text).unwrap()).unwrap_err().to_string();
    expect!["@f, b0, `return v2`: v2 is in a local array, which dies with the function"].assert_eq(&e);
}

#[test]
fn readonly_parameters() {
    check(
        |m| {
            m.functions[0].param_attrs[2].readonly = true;
        },
        expect!["@f, b1, `store v2[v7], v10 checked`: a store through v2, parameter 2, which is readonly"],
    );
}

#[test]
fn types_stay_small() {
    // Each tuple holds the one before it twice: forty instructions would spell a type of 2^40 parts.
    let mut text = String::from("func @f(v0: f64) -> () {\nb0:\n");
    for i in 1..40 {
        text.push_str(&format!("  v{i} = tuple (v{}, v{})\n", i - 1, i - 1));
    }
    text.push_str("  return\n}\n");
    let e = parse_module(&text).unwrap_err().to_string();
    expect![[r#"
        line 14, column 3: a type of more than 4096 parts, or more than 32 tuples deep
           |
        14 |   v12 = tuple (v11, v11)
           |   ^"#]]
    .assert_eq(&e);
}

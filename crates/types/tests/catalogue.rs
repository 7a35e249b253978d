//! What the tables of NumPy's results do not show: every loop builds, documented departures, the documentation's table.

mod eval;

use eval::Eval;
use pantile_types::catalogue::{self, Builder, Signature, docs_table, find, power_by_constant, resolve};
use pantile_types::{DType, Emit, Operand, Scalar, ScalarType, Val, reduce};

/// Evaluates an operation on constants of one type.
fn compute(name: &str, args: &[Scalar]) -> Vec<Scalar> {
    let op = find(name).unwrap();
    let operands: Vec<Operand> = args.iter().map(|s| Operand::Typed(DType::from_scalar(s.ty()))).collect();
    let signature = resolve(op, &operands).unwrap();
    let mut eval = Eval::default();
    let values: Vec<Val> = args
        .iter()
        .zip(&signature.inputs)
        .map(|(s, to)| {
            let v = eval.push(*s);
            eval.cast(v, to.scalar().unwrap())
        })
        .collect();
    op.build(&mut eval, &values, &signature).into_iter().map(|v| eval.get(v)).collect()
}

#[test]
fn every_loop_builds_with_the_types_of_its_signature() {
    let mut built = 0;
    for op in catalogue::all() {
        for dtype in DType::NUMERIC.into_iter().chain(["M8[s]", "m8[D]"].map(|t| DType::parse(t).unwrap())) {
            let Ok(signature) = resolve(op, &vec![Operand::Typed(dtype); op.nin]) else { continue };
            for bits in [0, 1, u128::MAX] {
                let mut eval = Eval::default();
                let args: Vec<Val> = signature
                    .inputs
                    .iter()
                    .map(|d| eval.push(Scalar::from_bits(d.scalar().unwrap(), bits)))
                    .collect();
                let outputs = op.build(&mut eval, &args, &signature);
                let types: Vec<ScalarType> = outputs.iter().map(|v| eval.ty(*v)).collect();
                let expected: Vec<ScalarType> = signature.outputs.iter().filter_map(|d| d.scalar()).collect();
                assert_eq!(types, expected, "{} {dtype}", op.name);
            }
            built += 1;
        }
    }
    assert!(built > 800, "{built}");
}

#[test]
fn negative_integer_powers_are_truncated_quotients() {
    let power = |x: i64, n: i64| {
        compute("power", &[Scalar::Int(ScalarType::I64, x), Scalar::Int(ScalarType::I64, n)])[0]
    };
    let int = |v| Scalar::Int(ScalarType::I64, v);
    assert_eq!(power(2, -1), int(0));
    assert_eq!(power(1, -5), int(1));
    assert_eq!(power(-1, -5), int(-1));
    assert_eq!(power(-1, i64::MIN), int(1));
    assert_eq!(power(0, -1), int(0));
    assert_eq!(power(-3, 3), int(-27));
}

#[test]
fn constant_powers_agree_with_power() {
    for x in [-7i64, -1, 0, 1, 2, 3, 10, i64::MAX, i64::MIN] {
        for n in 0..70u32 {
            let mut eval = Eval::default();
            let v = eval.push(Scalar::Int(ScalarType::I64, x));
            let v = power_by_constant(&mut Builder::new(&mut eval), v, n);
            assert_eq!(eval.get(v), Scalar::Int(ScalarType::I64, x.wrapping_pow(n)), "{x} ** {n}");
            let by_power =
                compute("power", &[Scalar::Int(ScalarType::I64, x), Scalar::Int(ScalarType::I64, n.into())]);
            assert_eq!(by_power[0], eval.get(v));
        }
    }
}

#[test]
fn comparisons_between_signs_are_exact() {
    let less = |x: i64, y: u64| {
        compute("less", &[Scalar::Int(ScalarType::I64, x), Scalar::UInt(ScalarType::U64, y)])[0]
    };
    assert_eq!(less(-1, u64::MAX), Scalar::Bool(true));
    assert_eq!(less(i64::MAX, 1 << 63), Scalar::Bool(true));
    assert_eq!(less(i64::MAX, i64::MAX as u64), Scalar::Bool(false));
}

#[test]
fn reductions_may_start_with_their_start() {
    // The start combined with an element is the element.
    for row in reduce::all() {
        let Some(combine) = row.combine else { continue };
        for dtype in DType::NUMERIC {
            let Ok(types) = row.resolve(dtype, None) else { continue };
            let (Some(start), Some(ty)) = (row.start(types.accumulator), types.accumulator.scalar()) else {
                continue;
            };
            for value in [0, 1, 77] {
                let value = Scalar::from_i64(ty, value);
                let op = find(combine).unwrap();
                let signature = Signature {
                    inputs: [types.accumulator; 2].as_slice().into(),
                    outputs: [types.accumulator].as_slice().into(),
                };
                let mut eval = Eval::default();
                let args = [eval.push(start), eval.push(value)];
                let out = op.build(&mut eval, &args, &signature);
                assert_eq!(eval.get(out[0]), value, "{} {dtype}", row.name);
            }
        }
    }
}

#[test]
fn the_table_lists_every_operation_once() {
    let table = docs_table();
    assert_eq!(table, docs_table());
    for name in catalogue::all().map(|op| op.name).chain(reduce::all().map(|r| r.name)) {
        let rows = table.lines().filter(|l| l.starts_with(&format!("| `{name}`"))).count();
        assert_eq!(rows, 1, "{name}");
    }
    assert!(
        table.starts_with("### Arithmetic\n\n| name | operator | types | accuracy | what it gives |\n|---|")
    );
    let row = "| `bitwise_or` | `\\|` | bool, int | exact | Bits set in either; logical or of booleans. |";
    assert!(table.lines().any(|l| l == row), "{table}");
    let columns = |l: &str| l.replace("\\|", "").matches('|').count();
    assert!(table.lines().filter(|l| l.starts_with('|')).all(|l| matches!(columns(l), 4 | 6)), "{table}");
}

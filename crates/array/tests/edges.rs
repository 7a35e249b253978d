//! Edges of the vocabulary: axes without elements, arrays without axes, lengths that only the run tells, empty chunks.

mod common;
mod support;

use common::{block_of, elements, run, source, task_counts};
use pantile_array::chunks::AxisChunks;
use pantile_array::error::{ArrayError, UserKind};
use pantile_array::ops::assign::assign;
use pantile_array::ops::contract::matmul;
use pantile_array::ops::elementwise::{Arg, Weak, broadcast_to, map as map_op};
use pantile_array::ops::index::{Index, index, take};
use pantile_array::ops::join::concatenate;
use pantile_array::ops::reduction::{Params, reduce};
use pantile_array::ops::scan::scan;
use pantile_array::ops::shape::reshape;
use pantile_array::{Expr, Kind};
use pantile_types::DType;
use pantile_types::catalogue::find;
use support::{blocks, cut, f64s, fold, line, map, number, params, ramp, with};

const ALL: Index = Index::Slice(None, None, None);

fn bools(data: &[bool], sizes: &[&[u64]]) -> Expr {
    let shape: Vec<usize> = sizes.iter().map(|s| s.iter().sum::<u64>() as usize).collect();
    source(block_of(DType::Bool, &shape, data), cut(sizes))
}

fn masked(e: &Expr, mask: &Expr) -> Expr {
    index(e, &[Index::Mask(mask.clone())]).expect("a mask")
}

/// An array's elements in C order, put together from its blocks.
fn all(e: &Expr) -> Vec<f64> {
    elements(&run(std::slice::from_ref(e)).expect("it runs").outputs[0])
}

#[track_caller]
fn is_value_error(result: Result<impl Sized, ArrayError>, words: &str) {
    match result {
        Err(ArrayError::User(UserKind::Value, text)) => assert!(text.contains(words), "{text}"),
        Err(e) => panic!("not a ValueError: {e:?}"),
        Ok(_) => panic!("no error"),
    }
}

/// A run that must fail with a user's error with these words.
#[track_caller]
fn fails(e: &Expr, words: &str) {
    let error = blocks(e).expect_err("it should fail");
    assert_eq!(error.error.family(), "user", "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

// ---- unknown lengths ----

#[test]
fn arrays_masked_alike_can_be_combined() {
    let x = ramp(&[&[5, 4, 3]]);
    let mask = with("greater", &x, 5.5);
    let sum = map("add", &[&masked(&x, &mask), &masked(&with("multiply", &x, 10.0), &mask)]);
    assert_eq!(sum.shape().as_slice(), [None]);
    assert_eq!(line::<f64>(&sum), [66.0, 77.0, 88.0, 99.0, 110.0, 121.0]);
    let more = with("add", &sum, 1.0);
    assert_eq!(number(&fold("sum", &more, None)), 561.0 + 6.0);
}

#[test]
fn arrays_masked_differently_cannot_be_combined() {
    let x = ramp(&[&[5, 4, 3]]);
    let few = masked(&x, &with("greater", &x, 9.5));
    let many = masked(&x, &with("greater", &x, 0.5));
    fails(&map("add", &[&few, &many]), "could not be broadcast");
    fails(&map("add", &[&many, &few]), "could not be broadcast");
    // A single element is no scalar: NumPy would stretch it, but the blocks around it could not be stretched alike.
    let one = masked(&x, &with("greater", &x, 10.5));
    fails(&map("add", &[&one, &many]), "could not be broadcast");
    fails(&fold("sum", &map("add", &[&one, &many]), None), "could not be broadcast");
}

#[test]
fn a_mask_over_an_array_of_another_unknown_length_is_refused() {
    let x = ramp(&[&[4, 4]]);
    let few = masked(&x, &with("greater", &x, 5.5));
    let many = masked(&x, &with("greater", &x, 0.5));
    fails(&masked(&few, &with("less", &many, 100.0)), "boolean index did not match");
    let again = masked(&many, &with("less", &many, 3.0));
    assert_eq!(line::<f64>(&again), [1.0, 2.0]);
}

#[test]
fn reductions_after_a_mask() {
    let x = ramp(&[&[5, 4, 3]]);
    let y = masked(&x, &with("greater", &x, 7.5));
    assert_eq!(number(&fold("sum", &y, None)), 38.0);
    assert_eq!(number(&fold("mean", &y, None)), 9.5);
    assert_eq!(number(&fold("min", &y, None)), 8.0);
    assert_eq!(number(&fold("var", &y, None)), 1.25);
    is_value_error(reduce("argmin", &y, &params(None)), "unknown length");
}

#[test]
fn the_smallest_of_nothing_is_an_error_as_in_numpy() {
    let x = ramp(&[&[5, 4, 3]]);
    let nothing = masked(&x, &with("greater", &x, 100.0));
    fails(
        &fold("min", &nothing, None),
        "zero-size array to reduction operation minimum which has no identity",
    );
    fails(
        &fold("max", &nothing, None),
        "zero-size array to reduction operation maximum which has no identity",
    );
    assert_eq!(number(&fold("sum", &nothing, None)), 0.0);
    assert!(number(&fold("mean", &nothing, None)).is_nan());
    let with_initial = Params { initial: Some(Weak::Float(3.0)), ..params(None) };
    assert_eq!(number(&reduce("min", &nothing, &with_initial).unwrap()), 3.0);
    // Many blocks, so that states are merged.
    let x = ramp(&[&[3; 60]]);
    let nothing = masked(&x, &with("less", &x, 0.0));
    fails(&fold("min", &nothing, None), "zero-size array");
    let some = masked(&x, &with("greater", &x, 176.0));
    assert_eq!(number(&fold("min", &some, None)), 177.0);
}

#[test]
fn a_mask_may_empty_rows_but_not_results() {
    let x = ramp(&[&[2, 2], &[3]]);
    let rows = bools(&[false, true, false, false], &[&[2, 2]]);
    let y = index(&x, &[Index::Mask(rows), ALL]).unwrap();
    assert_eq!(all(&fold("max", &y, Some(&[0]))), [3.0, 4.0, 5.0]);
    assert_eq!(line::<f64>(&fold("max", &y, Some(&[1]))), [5.0]);
}

#[test]
fn a_reduction_after_a_mask_folds_each_block_by_itself() {
    let x = ramp(&[&[3; 40]]);
    let y = masked(&x, &with("greater", &x, 7.5));
    let folds = task_counts(&[fold("sum", &y, None)]);
    // How long the blocks are nobody knows, so that no task may be given all of them.
    assert_eq!(folds["sum"], 40 + 3 + 1, "{folds:?}");
}

#[test]
fn concatenating_masked_arrays() {
    let x = ramp(&[&[4, 4]]);
    let y = masked(&x, &with("greater", &x, 5.5));
    let joined = concatenate(&[x.clone(), y.clone(), y], 0, None).unwrap();
    assert_eq!(joined.shape().as_slice(), [None]);
    assert_eq!(line::<f64>(&joined), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 6.0, 7.0, 6.0, 7.0]);
    assert_eq!(number(&fold("sum", &joined, None)), 28.0 + 26.0);
}

#[test]
fn cumulative_sums_go_on_after_an_empty_block() {
    let x = ramp(&[&[4, 4, 4]]);
    let mask = map("logical_or", &[&with("less", &x, 2.5), &with("greater", &x, 9.5)]);
    let y = masked(&x, &mask);
    assert_eq!(line::<f64>(&scan(&y, 0, false, None).unwrap()), [0.0, 1.0, 3.0, 13.0, 24.0]);
    let empty_chunk = ramp(&[&[2, 0, 2, 0, 0, 1]]);
    assert_eq!(all(&scan(&empty_chunk, 0, false, None).unwrap()), [0.0, 1.0, 3.0, 6.0, 10.0]);
    let first = ramp(&[&[0, 3]]);
    assert_eq!(all(&scan(&first, 0, false, None).unwrap()), [0.0, 1.0, 3.0]);
}

#[test]
fn an_axis_beside_one_of_unknown_length_can_be_rechunked() {
    let x = ramp(&[&[2, 2], &[3, 2]]);
    let rows = bools(&[true, false, true, true], &[&[2, 2]]);
    let y = index(&x, &[Index::Mask(rows), ALL]).unwrap();
    let mut chunks = y.chunks().clone();
    chunks[1] = AxisChunks::whole(5);
    let wide = y.rechunk(chunks);
    assert_eq!(
        line::<f64>(&wide),
        [0.0, 1.0, 2.0, 3.0, 4.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0, 18.0, 19.0]
    );
    let reversed = index(&y, &[ALL, Index::Slice(None, None, Some(-2))]).unwrap();
    let mut chunks = reversed.chunks().clone();
    chunks[1] = AxisChunks::whole(3);
    assert_eq!(line::<f64>(&reversed.rechunk(chunks)), [4.0, 2.0, 0.0, 14.0, 12.0, 10.0, 19.0, 17.0, 15.0]);
}

#[test]
fn a_known_length_that_turns_out_wrong_is_an_error() {
    let x = ramp(&[&[4, 4]]);
    let y = masked(&x, &with("greater", &x, 5.5));
    // Nobody checked this: the plan must notice when it runs.
    let wrong = Expr::new(Kind::Rechunk(y), DType::F64, cut(&[&[8]]));
    assert!(blocks(&wrong).is_err());
}

#[test]
fn positions_along_an_unknown_axis_are_refused() {
    let x = ramp(&[&[4, 4]]);
    let y = masked(&x, &with("greater", &x, 5.5));
    is_value_error(index(&y, &[Index::Int(0)]), "unknown length");
    is_value_error(index(&y, &[Index::Slice(Some(1), None, None)]), "unknown length");
    is_value_error(take(&y, &[0], 0, 0), "unknown length");
    is_value_error(reshape(&y, &[1, -1]), "length is unknown");
    is_value_error(assign(&y, &[Index::Int(0)], &Arg::Weak(Weak::Float(1.0))), "unknown length");
    let three = masked(&ramp(&[&[4, 2, 2]]), &bools(&[true; 8], &[&[4, 2, 2]]));
    let args = [Arg::Array(y.clone()), Arg::Array(three)];
    is_value_error(map_op(find("add").unwrap(), &args), "unknown chunk sizes");
    assert_eq!(line::<f64>(&index(&y, &[ALL]).unwrap()), [6.0, 7.0]);
}

#[test]
fn masks_of_all_axes() {
    let x = ramp(&[&[2, 1], &[2, 2]]);
    let y = masked(&x, &with("greater", &with("remainder", &x, 3.0), 0.5));
    assert_eq!(line::<f64>(&y), [1.0, 2.0, 4.0, 5.0, 7.0, 8.0, 10.0, 11.0]);
    // An array without axes has one element.
    let scalar = f64s(&[5.0], &[]);
    assert_eq!(line::<f64>(&masked(&scalar, &bools(&[true], &[]))), [5.0]);
    assert!(line::<f64>(&masked(&scalar, &bools(&[false], &[]))).is_empty());
    let none = ramp(&[&[0], &[3]]);
    assert!(line::<f64>(&masked(&none, &with("greater", &none, 0.0))).is_empty());
}

#[test]
fn assignment_through_a_mask() {
    let x = ramp(&[&[2, 1], &[2, 2]]);
    let y = assign(&x, &[Index::Mask(with("greater", &x, 8.5))], &Arg::Weak(Weak::Float(-1.0))).unwrap();
    assert_eq!(all(&y), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, -1.0, -1.0, -1.0]);
    let rows = bools(&[false, true, false], &[&[3]]);
    let y = assign(&x, &[Index::Mask(rows)], &Arg::Weak(Weak::Float(9.0))).unwrap();
    assert_eq!(all(&y), [0.0, 1.0, 2.0, 3.0, 9.0, 9.0, 9.0, 9.0, 8.0, 9.0, 10.0, 11.0]);
}

// ---- assignment ----

#[test]
fn assigning_into_a_broadcast_array_changes_one_row() {
    let x = ramp(&[&[3], &[4]]);
    // The cumulative sum has blocks of its own, which the assignment may overwrite.
    let sums = scan(&x, 1, false, None).unwrap();
    let row = index(&sums, &[Index::Int(1)]).unwrap();
    let spread = broadcast_to(&row, cut(&[&[3], &[4]])).unwrap();
    let y = assign(&spread, &[Index::Int(2)], &Arg::Weak(Weak::Float(-1.0))).unwrap();
    assert_eq!(all(&y), [4.0, 9.0, 15.0, 22.0, 4.0, 9.0, 15.0, 22.0, -1.0, -1.0, -1.0, -1.0]);
}

#[test]
fn assignment_through_views() {
    let x = ramp(&[&[2, 3], &[4]]);
    let slice = |a, b, s| Index::Slice(a, b, s);
    let y = assign(
        &x,
        &[slice(None, None, Some(-2)), slice(Some(1), Some(3), None)],
        &Arg::Array(f64s(&[100.0, 200.0], &[&[2]])),
    )
    .unwrap();
    let mut expected: Vec<f64> = (0..20).map(f64::from).collect();
    for row in [0, 2, 4] {
        expected[row * 4 + 1] = 100.0;
        expected[row * 4 + 2] = 200.0;
    }
    assert_eq!(all(&y), expected);
    // A part of itself, reversed.
    let head = index(&x, &[slice(None, None, Some(-1))]).unwrap();
    let y = assign(&x, &[Index::Ellipsis], &Arg::Array(head)).unwrap();
    assert_eq!(&all(&y)[..4], [16.0, 17.0, 18.0, 19.0]);
    // Nothing is assigned to no elements.
    let y = assign(&x, &[slice(Some(3), Some(3), None)], &Arg::Weak(Weak::Float(1.0))).unwrap();
    assert_eq!(y, x);
    let scalar = f64s(&[5.0], &[]);
    let y = assign(&scalar, &[Index::Ellipsis], &Arg::Weak(Weak::Float(1.0))).unwrap();
    assert_eq!(all(&y), [1.0]);
    is_value_error(
        assign(&x, &[Index::Int(0)], &Arg::Array(ramp(&[&[3]]))),
        "could not broadcast input array from shape (3,) into shape (4,)",
    );
}

// ---- reductions ----

#[test]
fn masks_of_reductions_are_broadcast_or_refused() {
    let x = ramp(&[&[2, 1], &[2, 2]]);
    let mask = |m: Expr| Params { mask: Some(m), ..params(Some(&[0])) };
    let columns = bools(&[true, false, true, false], &[&[4]]);
    assert_eq!(all(&reduce("sum", &x, &mask(columns)).unwrap()), [12.0, 0.0, 18.0, 0.0]);
    for wrong in [vec![3u64], vec![1, 3, 4], vec![2, 4]] {
        let sizes: Vec<&[u64]> = wrong.iter().map(std::slice::from_ref).collect();
        let n = wrong.iter().product::<u64>() as usize;
        is_value_error(reduce("sum", &x, &mask(bools(&vec![true; n], &sizes))), "where");
    }
}

#[test]
fn nan_aware_extrema_leave_nan_out() {
    // Where there is nothing but NaN the answer is the identity; callers that want NaN or an error there ask `any`.
    let nan = f64::NAN;
    let x = f64s(&[nan, 1.0, 3.0, nan, 2.0, nan], &[&[1, 1], &[2, 1]]);
    let skip = |axes: Option<&[usize]>| Params { skip_nan: true, ..params(axes) };
    assert_eq!(all(&reduce("min", &x, &skip(Some(&[0]))).unwrap()), [f64::INFINITY, 1.0, 3.0]);
    assert_eq!(all(&reduce("max", &x, &skip(Some(&[0]))).unwrap()), [f64::NEG_INFINITY, 2.0, 3.0]);
    assert_eq!(number(&reduce("max", &x, &skip(None)).unwrap()), 3.0);
    assert_eq!(all(&reduce("mean", &x, &skip(Some(&[1]))).unwrap()), [2.0, 2.0]);
    let infinite = f64s(&[nan, nan, f64::INFINITY, f64::INFINITY], &[&[2, 2]]);
    assert_eq!(number(&reduce("min", &infinite, &skip(None)).unwrap()), f64::INFINITY);
    assert_eq!(line::<i64>(&reduce("argmin", &infinite, &skip(None)).unwrap()), [2]);
    let both = f64s(&[nan, 1.0, f64::NEG_INFINITY, f64::INFINITY], &[&[2, 2]]);
    assert_eq!(line::<i64>(&reduce("argmin", &both, &skip(None)).unwrap()), [2]);
    assert_eq!(line::<i64>(&reduce("argmax", &both, &skip(None)).unwrap()), [3]);
}

#[test]
fn reductions_without_elements() {
    let x = ramp(&[&[0], &[3]]);
    assert_eq!(all(&fold("sum", &x, Some(&[0]))), [0.0; 3]);
    assert_eq!(all(&fold("prod", &x, Some(&[0]))), [1.0; 3]);
    assert!(all(&fold("mean", &x, Some(&[0]))).iter().all(|v| v.is_nan()));
    assert!(all(&fold("sum", &x, Some(&[1]))).is_empty());
    assert!(all(&fold("max", &x, Some(&[1]))).is_empty());
    is_value_error(reduce("max", &x, &params(Some(&[0]))), "zero-size array to reduction operation maximum");
    is_value_error(reduce("argmax", &x, &params(None)), "attempt to get argmax of an empty sequence");
    let scalar = f64s(&[5.0], &[]);
    assert_eq!(number(&fold("sum", &scalar, None)), 5.0);
    assert_eq!(number(&fold("var", &scalar, None)), 0.0);
    assert_eq!(line::<i64>(&fold("argmax", &scalar, None)), [0]);
    // No axes at all: every element is its own result.
    assert_eq!(all(&fold("sum", &ramp(&[&[2, 1]]), Some(&[]))), [0.0, 1.0, 2.0]);
}

#[test]
fn empty_chunks_change_nothing() {
    let x = ramp(&[&[2, 0, 3], &[0, 2]]);
    assert_eq!(all(&fold("sum", &x, None)), [45.0]);
    assert_eq!(all(&fold("max", &x, Some(&[1]))), [1.0, 3.0, 5.0, 7.0, 9.0]);
    assert_eq!(line::<i64>(&fold("argmax", &x, None)), [9]);
    assert_eq!(all(&fold("mean", &x, Some(&[0]))), [4.0, 5.0]);
    assert_eq!(all(&fold("var", &x, Some(&[0]))), [8.0, 8.0]);
    let back = index(&x, &[Index::Slice(None, None, Some(-1)), Index::Int(1)]).unwrap();
    assert_eq!(all(&back), [9.0, 7.0, 5.0, 3.0, 1.0]);
    assert_eq!(all(&take(&x, &[4, 0, 2, 2], 0, 0).unwrap()), [8.0, 9.0, 0.0, 1.0, 4.0, 5.0, 4.0, 5.0]);
    assert_eq!(all(&reshape(&x, &[2, 5]).unwrap()), (0..10).map(f64::from).collect::<Vec<_>>());
    assert_eq!(
        all(&map("add", &[&x, &ramp(&[&[5], &[1, 1]])])),
        (0..10).map(|v| 2.0 * v as f64).collect::<Vec<_>>()
    );
}

// ---- shapes ----

#[test]
fn axes_of_length_one_do_not_glue_chunks_together() {
    let x = ramp(&[&[4, 4, 4]]);
    for to in [vec![1i64, 12], vec![12, 1], vec![1, 1, 12, 1], vec![1, 12, 1]] {
        let y = reshape(&x, &to).unwrap();
        assert_eq!(y.block_count(), 3, "{to:?}: {:?}", y.chunks());
        assert_eq!(all(&y), all(&x));
        let back = reshape(&y, &[-1]).unwrap();
        assert_eq!(back.block_count(), 3, "{to:?} and back: {:?}", back.chunks());
        assert_eq!(all(&back), all(&x));
    }
    let y = reshape(&ramp(&[&[1], &[4, 4], &[6]]), &[8, 1, 2, 3]).unwrap();
    assert_eq!(y.block_count(), 2, "{:?}", y.chunks());
    assert_eq!(all(&y), (0..48).map(f64::from).collect::<Vec<_>>());
}

#[test]
fn reshaping_nothing_and_single_elements() {
    let scalar = f64s(&[5.0], &[]);
    assert_eq!(all(&reshape(&scalar, &[1, 1]).unwrap()), [5.0]);
    assert_eq!(all(&reshape(&reshape(&scalar, &[1, 1]).unwrap(), &[]).unwrap()), [5.0]);
    let empty = ramp(&[&[0], &[3, 1]]);
    let y = reshape(&empty, &[2, 0, 7]).unwrap();
    assert_eq!(y.known_shape().unwrap().as_slice(), [2, 0, 7]);
    assert!(all(&y).is_empty());
    assert!(all(&reshape(&empty, &[-1]).unwrap()).is_empty());
    is_value_error(reshape(&empty, &[0, -1]), "cannot reshape array of size 0 into shape (0,-1)");
    is_value_error(reshape(&ramp(&[&[4]]), &[3, -1]), "cannot reshape array of size 4");
    is_value_error(reshape(&ramp(&[&[4]]), &[-1, -1]), "one unknown dimension");
}

#[test]
fn taking_nothing_and_everything() {
    let x = ramp(&[&[2, 3], &[2]]);
    let nothing = take(&x, &[], 0, 0).unwrap();
    assert_eq!(nothing.known_shape().unwrap().as_slice(), [0, 2]);
    assert!(all(&nothing).is_empty());
    assert_eq!(all(&take(&x, &[-1], 0, 0).unwrap()), [8.0, 9.0]);
    assert_eq!(all(&take(&x, &[1, 1, 1], 1, 1).unwrap()).len(), 15);
    assert_eq!(all(&take(&x, &[4, 3, 2, 1, 0], 0, 0).unwrap())[..2], [8.0, 9.0]);
    match take(&x, &[5], 0, 0) {
        Err(ArrayError::User(UserKind::Index, text)) => {
            assert_eq!(text, "index 5 is out of bounds for axis 0 with size 5");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn concatenating_nothing() {
    let empty = ramp(&[&[0]]);
    let x = ramp(&[&[2, 1]]);
    assert_eq!(
        all(&concatenate(&[empty.clone(), x.clone(), empty.clone()], 0, None).unwrap()),
        [0.0, 1.0, 2.0]
    );
    assert!(all(&concatenate(&[empty.clone(), empty], 0, None).unwrap()).is_empty());
    is_value_error(concatenate(&[], 0, None), "at least one array");
    is_value_error(concatenate(&[x.clone(), ramp(&[&[2], &[2]])], 0, None), "dimension");
}

#[test]
fn concatenating_blocks_of_different_unknown_lengths_is_noticed() {
    let x = ramp(&[&[2, 2], &[1]]);
    let masked = |flags: [bool; 4]| index(&x, &[Index::Mask(bools(&flags, &[&[2, 2]])), ALL]).unwrap();
    let joined = concatenate(&[masked([true; 4]), masked([true, false, true, true])], 1, None).unwrap();
    let mut chunks = joined.chunks().clone();
    chunks[1] = AxisChunks::whole(2);
    fails(&joined.rechunk(chunks), "lengths");
}

#[test]
fn products_over_nothing_are_zero() {
    let a = ramp(&[&[2], &[0]]);
    let b = ramp(&[&[0], &[3]]);
    assert_eq!(all(&matmul(&a, &b).unwrap()), [0.0; 6]);
    assert!(all(&matmul(&b, &ramp(&[&[3], &[2]])).unwrap()).is_empty());
    assert_eq!(all(&matmul(&ramp(&[&[0]]), &b).unwrap()), [0.0; 3]);
    assert_eq!(all(&matmul(&ramp(&[&[1, 2]]), &ramp(&[&[2, 1]])).unwrap()), [5.0]);
}

#[test]
fn elementwise_without_elements_or_axes() {
    let empty = ramp(&[&[0], &[3]]);
    assert!(all(&map("add", &[&empty, &ramp(&[&[3]])])).is_empty());
    assert!(all(&map("add", &[&empty, &ramp(&[&[1], &[1]])])).is_empty());
    let scalar = f64s(&[5.0], &[]);
    assert_eq!(all(&map("add", &[&scalar, &scalar])), [10.0]);
    assert_eq!(all(&map("add", &[&scalar, &ramp(&[&[1, 1]])])), [5.0, 6.0]);
    is_value_error(
        map_op(find("add").unwrap(), &[Arg::Array(ramp(&[&[2]])), Arg::Array(ramp(&[&[3]]))]),
        "operands could not be broadcast together with shapes (2,) (3,)",
    );
}

//! Chunked linear algebra against its definitions and against the dense kernels, over shapes, cuts and dtypes.

mod common;

use common::{block_of, cuts, elements, run, source, task_counts};
use num_complex::{Complex32, Complex64};
use pantile_array::chunks::AxisChunks;
use pantile_array::error::{ArrayError, UserKind};
use pantile_array::ops::linalg::{
    Limits, cholesky, det, inv, lstsq, qr, slogdet, solve, solve_triangular, svd, svdvals,
};
use pantile_array::{Block, Expr};
use pantile_linalg::{Elem, Mat, Par, RealScalar, Scalar, Trans, gemm};
use pantile_types::DType;

/// An element type with its dtype and the error that a test allows, in units of one.
trait Num: Elem {
    const DTYPE: DType;
    const REAL: DType;
    const TOLERANCE: f64;
}
macro_rules! nums {
    ($($t:ident $dtype:ident $real:ident $tol:expr;)*) => {$(impl Num for $t {
        const DTYPE: DType = DType::$dtype;
        const REAL: DType = DType::$real;
        const TOLERANCE: f64 = $tol;
    })*};
}
nums! { f32 F32 F32 2e-4; f64 F64 F64 1e-11; Complex32 C64 F32 2e-4; Complex64 C128 F64 1e-11; }

/// Small tiles and small trees, so that small matrices take the paths of large ones.
const LIMITS: Limits = Limits { max_dense_bytes: 1 << 24, threads: 1, min_tile: 1, max_tile: 5 };

/// Numbers between -1 and 1 that depend on nothing but the seed.
fn noise<T: Num>(rows: usize, cols: usize, seed: u64) -> Mat<T> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        <T::Re as RealScalar>::from_f64((state >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
    };
    Mat::from_fn(rows, cols, |_, _| {
        let re = draw();
        T::from_parts(re, draw())
    })
}

fn expr<T: Num>(m: &Mat<T>, row_cuts: &[u64], col_cuts: &[u64]) -> Expr {
    source(block_of(T::DTYPE, &[m.nrows(), m.ncols()], m.as_slice()), cuts(&[row_cuts, col_cuts]))
}

fn mat<T: Num>(block: &Block) -> Mat<T> {
    assert_eq!(block.dtype(), T::DTYPE);
    Mat::from_vec(elements(block), block.shape()[0], block.shape()[1])
}

fn reals<T: Num>(block: &Block) -> Vec<f64> {
    assert_eq!(block.dtype(), T::REAL);
    elements::<T::Re>(block).into_iter().map(RealScalar::to_f64).collect()
}

fn times<T: Num>(a: &Mat<T>, b: &Mat<T>) -> Mat<T> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    gemm(out.as_mut(), false, T::ONE, a.as_ref(), b.as_ref(), Par::Seq).unwrap();
    out
}

fn adjoint<T: Num>(a: &Mat<T>) -> Mat<T> {
    Mat::from_fn(a.ncols(), a.nrows(), |i, j| a.at(j, i).conjugate())
}

#[track_caller]
fn close<T: Num>(what: &str, a: &Mat<T>, b: &Mat<T>) {
    assert_eq!((a.nrows(), a.ncols()), (b.nrows(), b.ncols()), "{what}");
    for i in 0..a.nrows() {
        for j in 0..a.ncols() {
            let off = (a.at(i, j) - b.at(i, j)).modulus().to_f64();
            assert!(
                off <= T::TOLERANCE * (1.0 + b.at(i, j).modulus().to_f64()),
                "{what}[{i}, {j}] is off by {off:e}"
            );
        }
    }
}

#[track_caller]
fn close_reals<T: Num>(what: &str, a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        assert!((x - y).abs() <= T::TOLERANCE * (1.0 + y.abs()), "{what}[{i}]: {x} and {y}");
    }
}

#[track_caller]
fn orthonormal<T: Num>(what: &str, q: &Mat<T>) {
    close(what, &times(&adjoint(q), q), &Mat::eye(q.ncols(), q.ncols()));
}

/// Shapes and cuts: tall, wide, square, cut either way or both, unevenly, single rows, columns and elements.
fn cases() -> Vec<(Vec<u64>, Vec<u64>)> {
    let uneven = |n: u64, step: u64| AxisChunks::uniform(n, step).sizes().to_vec();
    vec![
        (vec![1], vec![1]),
        (vec![7], vec![3]),
        (vec![3], vec![7]),
        (uneven(60, 9), vec![4]),
        (vec![1, 30, 2, 7], vec![6]),
        (uneven(200, 7), vec![3]),
        (vec![2; 9], vec![4]),
        (vec![4], uneven(23, 5)),
        (vec![4], vec![2, 1, 9]),
        (uneven(12, 4), uneven(12, 4)),
        (uneven(13, 4), uneven(13, 4)),
        (uneven(17, 4), uneven(9, 4)),
        (uneven(9, 4), uneven(17, 4)),
        (uneven(10, 4), uneven(9, 4)),
        (uneven(9, 4), uneven(10, 4)),
        (uneven(31, 3), uneven(5, 3)),
        (vec![1, 6, 2], vec![3, 3, 5, 1]),
        (uneven(20, 13), uneven(20, 11)),
        (vec![1, 1, 1], vec![1]),
        (vec![1], vec![1, 2]),
    ]
}

fn each_dtype(check: impl Fn(&[u64], &[u64], u64, DType)) {
    for (seed, (rows, cols)) in cases().iter().enumerate() {
        for dtype in [DType::F32, DType::F64, DType::C64, DType::C128] {
            check(rows, cols, seed as u64 + 1, dtype);
        }
    }
}

macro_rules! for_dtype {
    ($dtype:expr, $f:ident($($arg:expr),*)) => {
        match $dtype {
            DType::F32 => $f::<f32>($($arg),*),
            DType::F64 => $f::<f64>($($arg),*),
            DType::C64 => $f::<Complex32>($($arg),*),
            _ => $f::<Complex64>($($arg),*),
        }
    };
}

fn check_qr<T: Num>(rows: &[u64], cols: &[u64], seed: u64) {
    let (m, n) = (rows.iter().sum::<u64>() as usize, cols.iter().sum::<u64>() as usize);
    let a = noise::<T>(m, n, seed);
    let (q, r) = qr(&expr(&a, rows, cols), &LIMITS).unwrap();
    let what = format!("qr {} {rows:?} x {cols:?}", T::DTYPE.name());
    let done = run(&[q.clone(), r.clone()]).unwrap();
    assert!(done.underestimated.is_empty(), "{what}: {:?}", done.underestimated);
    let (qm, rm) = (mat::<T>(&done.outputs[0]), mat::<T>(&done.outputs[1]));
    assert_eq!((qm.nrows(), qm.ncols(), rm.nrows(), rm.ncols()), (m, m.min(n), m.min(n), n), "{what}");
    orthonormal(&what, &qm);
    close(&what, &times(&qm, &rm), &a);
    for i in 0..rm.nrows() {
        for j in 0..i.min(n) {
            assert_eq!(rm.at(i, j), T::ZERO, "{what}: R[{i}, {j}]");
        }
    }
    // Each alone is the same as both together.
    let alone = run(&[r]).unwrap();
    assert_eq!(mat::<T>(&alone.outputs[0]), rm, "{what}: R alone");
    assert!(alone.total() <= done.total(), "{what}");
    assert_eq!(alone.count("qr-q") + alone.count("qr-tree-q") + alone.count("qr-tiles-apply"), 0, "{what}");
    assert_eq!(mat::<T>(&run(&[q]).unwrap().outputs[0]), qm, "{what}: Q alone");
}

#[test]
fn qr_of_every_shape() {
    each_dtype(|rows, cols, seed, dtype| for_dtype!(dtype, check_qr(rows, cols, seed)));
}

fn check_svd<T: Num>(rows: &[u64], cols: &[u64], seed: u64) {
    let (m, n) = (rows.iter().sum::<u64>() as usize, cols.iter().sum::<u64>() as usize);
    let a = noise::<T>(m, n, seed);
    let dense = pantile_linalg::svdvals(a.as_ref(), Par::Seq).unwrap();
    let dense: Vec<f64> = dense.into_iter().map(RealScalar::to_f64).collect();
    for full in [false, true] {
        let what = format!("svd {} {rows:?} x {cols:?} full {full}", T::DTYPE.name());
        let a_expr = expr(&a, rows, cols);
        let (u, s, vh) = svd(&a_expr, full, &LIMITS).unwrap();
        let done = run(&[u.clone(), s.clone(), vh]).unwrap();
        assert!(done.underestimated.is_empty(), "{what}: {:?}", done.underestimated);
        assert_eq!((done.count("svd"), done.count("svdvals")), (1, 0), "{what}: {:?}", done.tasks);
        let (um, sm, vm) =
            (mat::<T>(&done.outputs[0]), reals::<T>(&done.outputs[1]), mat::<T>(&done.outputs[2]));
        close_reals::<T>(&what, &sm, &dense);
        orthonormal(&what, &um);
        orthonormal(&what, &adjoint(&vm));
        let k = m.min(n);
        let (left, right) = if full { (m, n) } else { (k, k) };
        assert_eq!((um.ncols(), vm.nrows()), (left, right), "{what}");
        let scaled = Mat::from_fn(m, k, |i, j| um.at(i, j).scale(<T::Re as RealScalar>::from_f64(sm[j])));
        close(&what, &times(&scaled, &Mat::copied(vm.as_ref().sub(0, 0, k, n))), &a);
        // The values alone need no vectors; U alone needs no second decomposition.
        let alone = run(&[s]).unwrap();
        assert_eq!((alone.count("svd"), alone.count("svdvals")), (0, 1), "{what}: {:?}", alone.tasks);
        assert_eq!(alone.count("qr-tree-q") + alone.count("qr-tree"), 0, "{what}: {:?}", alone.tasks);
        close_reals::<T>(&what, &reals::<T>(&alone.outputs[0]), &dense);
        assert_eq!(mat::<T>(&run(&[u]).unwrap().outputs[0]), um, "{what}: U alone");
        let values = svdvals(&a_expr, &LIMITS).unwrap();
        close_reals::<T>(&what, &reals::<T>(&run(&[values]).unwrap().outputs[0]), &dense);
    }
}

#[test]
fn svd_of_every_shape() {
    each_dtype(|rows, cols, seed, dtype| for_dtype!(dtype, check_svd(rows, cols, seed)));
}

/// A positive definite matrix.
fn definite<T: Num>(n: usize, seed: u64) -> Mat<T> {
    let g = noise::<T>(n, n, seed);
    let mut a = times(&g, &adjoint(&g));
    for i in 0..n {
        let d = a.at(i, i) + T::ONE;
        a.as_mut().set(i, i, T::from_parts(d.re(), T::Re::ZERO));
    }
    a
}

const SQUARES: [&[u64]; 6] = [&[1], &[7], &[4, 4, 4], &[5, 5, 3], &[2, 9, 1], &[20]];

fn check_square<T: Num>(row_cuts: &[u64], seed: u64) {
    let n = row_cuts.iter().sum::<u64>() as usize;
    let what = format!("{} {row_cuts:?}", T::DTYPE.name());
    let a = definite::<T>(n, seed);
    // What lies above the diagonal must not matter.
    let lower_only =
        Mat::from_fn(n, n, |i, j| if j <= i { a.at(i, j) } else { T::from_parts(T::Re::NAN, T::Re::NAN) });
    let done = run(&[cholesky(&expr(&lower_only, row_cuts, row_cuts), &LIMITS).unwrap()]).unwrap();
    assert!(done.underestimated.is_empty(), "{what}: {:?}", done.underestimated);
    let l = mat::<T>(&done.outputs[0]);
    close(&what, &times(&l, &adjoint(&l)), &a);
    assert!((0..n).all(|i| (i + 1..n).all(|j| l.at(i, j) == T::ZERO)), "{what}: L is lower triangular");

    for width in [1usize, 3, 12] {
        let b = noise::<T>(n, width, seed + 100);
        let b_expr = expr(&b, &[n as u64], AxisChunks::uniform(width as u64, 2).sizes());
        for lower in [true, false] {
            for unit in [true, false] {
                let t = Mat::from_fn(n, n, |i, j| match i.cmp(&j) {
                    std::cmp::Ordering::Equal => a.at(i, j),
                    side => {
                        if (side == std::cmp::Ordering::Greater) == lower {
                            a.at(i, j).scale(<T::Re as RealScalar>::from_f64(0.1))
                        } else {
                            T::from_parts(T::Re::NAN, T::Re::NAN)
                        }
                    }
                });
                for trans in [Trans::No, Trans::Transpose, Trans::Adjoint] {
                    let x =
                        solve_triangular(&expr(&t, row_cuts, row_cuts), &b_expr, lower, trans, unit, &LIMITS)
                            .unwrap();
                    let want = pantile_linalg::solve_triangular(
                        t.as_ref(),
                        b.as_ref(),
                        lower,
                        trans,
                        unit,
                        Par::Seq,
                    );
                    let done = run(&[x]).unwrap();
                    assert!(done.underestimated.is_empty(), "{what}: {:?}", done.underestimated);
                    close(
                        &format!("{what} {lower} {unit} {trans:?}"),
                        &mat::<T>(&done.outputs[0]),
                        &want.unwrap(),
                    );
                }
            }
        }
        // A matrix that needs its rows exchanged.
        let g = Mat::from_fn(n, n, |i, j| a.at((i + n / 2) % n, j));
        let g_expr = expr(&g, row_cuts, row_cuts);
        let done = run(&[solve(&g_expr, &b_expr, &LIMITS).unwrap()]).unwrap();
        assert!(done.underestimated.is_empty(), "{what}: {:?}", done.underestimated);
        close(&what, &times(&g, &mat::<T>(&done.outputs[0])), &b);
        let vector = source(block_of(T::DTYPE, &[n], &b.as_slice()[..n]), cuts(&[row_cuts]));
        let x = run(&[solve(&g_expr, &vector, &LIMITS).unwrap()]).unwrap();
        assert_eq!(x.outputs[0].shape(), [n]);
        let x = Mat::from_vec(elements::<T>(&x.outputs[0]), n, 1);
        close(&what, &times(&g, &x), &Mat::from_vec(b.as_slice()[..n].to_vec(), n, 1));
        let inverse = run(&[inv(&g_expr, &LIMITS).unwrap()]).unwrap();
        close(&what, &times(&g, &mat::<T>(&inverse.outputs[0])), &Mat::eye(n, n));

        let scaled = noise::<T>(n, n, seed + 7);
        let s_expr = expr(&scaled, row_cuts, row_cuts);
        let (sign, log) = slogdet(&s_expr, &LIMITS).unwrap();
        let done = run(&[det(&s_expr, &LIMITS).unwrap(), sign, log]).unwrap();
        let (want_sign, want_log) = pantile_linalg::slogdet(scaled.as_ref(), Par::Seq).unwrap();
        let one = |b: &Block| Mat::from_vec(elements::<T>(b), 1, 1);
        close(
            &what,
            &one(&done.outputs[0]),
            &Mat::filled(1, 1, pantile_linalg::det(scaled.as_ref(), Par::Seq).unwrap()),
        );
        close(&what, &one(&done.outputs[1]), &Mat::filled(1, 1, want_sign));
        close_reals::<T>(&what, &reals::<T>(&done.outputs[2]), &[want_log.to_f64()]);
        assert_eq!(done.outputs[0].shape(), [0usize; 0]);
        assert_eq!(done.count("determinant"), 1, "{what}: one factorisation serves all three");
    }
}

#[test]
fn square_systems_of_every_dtype() {
    for (seed, sizes) in SQUARES.iter().enumerate() {
        check_square::<f32>(sizes, seed as u64);
        check_square::<f64>(sizes, seed as u64);
        check_square::<Complex32>(sizes, seed as u64);
        check_square::<Complex64>(sizes, seed as u64);
    }
}

#[test]
fn least_squares_agrees_with_the_normal_equations() {
    let (a, b) = (noise::<f64>(40, 6, 3), noise::<f64>(40, 2, 4));
    let rows = [9, 9, 9, 9, 4];
    let all = lstsq(&expr(&a, &rows, &[6]), &expr(&b, &rows, &[1, 1]), None, &LIMITS).unwrap();
    let done = run(&[all.x, all.residuals, all.rank, all.s]).unwrap();
    let x = mat::<f64>(&done.outputs[0]);
    let at = adjoint(&a);
    close("normal equations", &times(&at, &times(&a, &x)), &times(&at, &b));
    let fit = times(&a, &x);
    let sums: Vec<f64> = (0..2).map(|j| (0..40).map(|i| (fit.at(i, j) - b.at(i, j)).powi(2)).sum()).collect();
    close_reals::<f64>("residuals", &reals::<f64>(&done.outputs[1]), &sums);
    assert_eq!(elements::<i64>(&done.outputs[2]), [6]);
    assert_eq!(done.count("qr-tree-q"), 0);

    // Rank two of three, more columns than rows: the solution of least norm lies in the row space.
    let half = noise::<f64>(3, 2, 5);
    let a = times(&half, &noise::<f64>(2, 8, 6));
    let b = noise::<f64>(3, 1, 7);
    let vector = source(block_of(DType::F64, &[3], b.as_slice()), cuts(&[&[2, 1]]));
    let all = lstsq(&expr(&a, &[1, 2], &[3, 5]), &vector, None, &LIMITS).unwrap();
    let done = run(&[all.x, all.residuals, all.rank]).unwrap();
    assert_eq!((done.outputs[0].shape(), done.outputs[1].len()), (&[8][..], 0));
    assert_eq!(elements::<i64>(&done.outputs[2]), [2]);
    let x = Mat::from_vec(elements::<f64>(&done.outputs[0]), 8, 1);
    let at = adjoint(&a);
    close("deficient", &times(&at, &times(&a, &x)), &times(&at, &b));
    let (null, _) = pantile_linalg::qr(at.as_ref(), Par::Seq);
    let row_space = Mat::copied(null.as_ref().sub(0, 0, 8, 2));
    close("least norm", &times(&row_space, &times(&adjoint(&row_space), &x)), &x);
}

#[test]
fn empty_matrices_have_empty_factors() {
    for (m, n) in [(0usize, 3usize), (3, 0), (0, 0)] {
        let a = expr(&noise::<f64>(m, n, 1), &[m as u64], &[n as u64]);
        let (q, r) = qr(&a, &LIMITS).unwrap();
        let (u, s, vh) = svd(&a, true, &LIMITS).unwrap();
        let done = run(&[q, r, u, s, vh]).unwrap();
        let shapes: Vec<&[usize]> = done.outputs.iter().map(Block::shape).collect();
        assert_eq!(shapes, [&[m, 0][..], &[0, n], &[m, m], &[0], &[n, n]]);
        close("full U", &mat::<f64>(&done.outputs[2]), &Mat::eye(m, m));
    }
    let none = expr(&noise::<f64>(0, 0, 1), &[0], &[0]);
    let (sign, log) = slogdet(&none, &LIMITS).unwrap();
    let all = [
        cholesky(&none, &LIMITS).unwrap(),
        inv(&none, &LIMITS).unwrap(),
        solve(&none, &none, &LIMITS).unwrap(),
        det(&none, &LIMITS).unwrap(),
        sign,
        log,
    ];
    let done = run(&all).unwrap();
    assert!(done.outputs[..3].iter().all(|b| b.shape() == [0, 0]));
    let numbers: Vec<f64> = done.outputs[3..].iter().flat_map(elements::<f64>).collect();
    assert_eq!(numbers, [1.0, 1.0, 0.0]);
}

#[test]
fn what_is_not_asked_for_is_not_made() {
    // 64 blocks of rows: a tree of 64 leaves, 8 merges and a root.
    let a = expr(&noise::<f64>(640, 4, 1), &[10; 64], &[4]);
    let (q, r) = qr(&a, &LIMITS).unwrap();
    let r_alone = task_counts(std::slice::from_ref(&r));
    assert_eq!((r_alone["qr-tree-r"], r_alone["qr-r"], r_alone.len()), (73, 1, 2), "{r_alone:?}");
    let both = task_counts(&[q, r]);
    assert_eq!((both["qr-tree"], both["qr-tree-down"], both["qr-tree-q"]), (73, 9, 64), "{both:?}");
    assert!(!both.contains_key("qr-tree-r"), "R comes from the same tree: {both:?}");

    let (u, s, vh) = svd(&a, false, &LIMITS).unwrap();
    let values = task_counts(std::slice::from_ref(&s));
    assert_eq!(
        (values["qr-tree-r-any-signs"], values["qr-r"], values["svdvals"], values.len()),
        (73, 1, 1, 3),
        "{values:?}"
    );
    let all = task_counts(&[u, s, vh]);
    assert_eq!((all["qr-tree"], all["svd"], all["svd-s"]), (73, 1, 1), "{all:?}");
    assert!(!all.keys().any(|k| k == "svdvals" || k.starts_with("qr-tree-r")), "{all:?}");

    // Four by four tiles: Q doubles the work, R alone does without.
    let b = expr(&noise::<f64>(20, 20, 1), &[5; 4], &[5; 4]);
    let (q, r) = qr(&b, &LIMITS).unwrap();
    let r_alone = task_counts(&[r]);
    // 16 + 9 + 4 + 1 tiles, and a pick for each lower tile that a later panel reads.
    assert_eq!((r_alone["qr-tiles"], r_alone["qr-r"]), (30 + 14, 16), "{r_alone:?}");
    assert!(!r_alone.contains_key("qr-tiles-apply"));
    assert!(task_counts(&[q])["qr-tiles-apply"] > 0);
}

#[test]
fn integers_compute_in_float64() {
    let a = source(block_of(DType::I32, &[2, 2], &[4i32, 2, 2, 3]), cuts(&[&[1, 1], &[2]]));
    let l = run(&[cholesky(&a, &LIMITS).unwrap()]).unwrap();
    close("l", &mat::<f64>(&l.outputs[0]), &Mat::from_vec(vec![2.0, 0.0, 1.0, 2f64.sqrt()], 2, 2));
    let b = source(block_of(DType::Bool, &[2], &[1u8, 0]), cuts(&[&[2]]));
    let x = run(&[solve(&a, &b, &LIMITS).unwrap()]).unwrap();
    close_reals::<f64>("x", &elements::<f64>(&x.outputs[0]), &[0.375, -0.25]);
}

#[track_caller]
fn fails<T>(result: Result<T, ArrayError>, kind: Option<UserKind>, words: &[&str]) {
    let error = result.err().expect("an error");
    match (&error, kind) {
        (ArrayError::User(found, _), Some(kind)) => assert_eq!(*found, kind, "{error}"),
        (ArrayError::Unsupported(_), None) => {}
        _ => panic!("another family: {error:?}"),
    }
    for word in words {
        assert!(error.to_string().contains(word), "{word:?} is not in: {error}");
    }
}

#[test]
fn bad_input_is_named() {
    let a = expr(&noise::<f64>(4, 3, 1), &[4], &[3]);
    let b = expr(&noise::<f64>(3, 1, 1), &[3], &[1]);
    let lin = Some(UserKind::LinAlg);
    fails(cholesky(&a, &LIMITS), lin, &["Last 2 dimensions of the array must be square", "(4, 3)"]);
    fails(det(&a, &LIMITS), lin, &["square"]);
    fails(inv(&a, &LIMITS), lin, &["square"]);
    fails(solve(&a, &b, &LIMITS), lin, &["square"]);
    let square = expr(&noise::<f64>(4, 4, 1), &[2, 2], &[4]);
    fails(solve(&square, &b, &LIMITS), Some(UserKind::Value), &["4 rows", "has 3"]);
    let line = source(Block::zeros(DType::F64, &[4]).unwrap(), cuts(&[&[4]]));
    fails(qr(&line, &LIMITS), lin, &["1-dimensional array given", "two-dimensional"]);
    let stack = source(Block::zeros(DType::F64, &[2, 2, 2]).unwrap(), cuts(&[&[2], &[2], &[2]]));
    fails(svd(&stack, false, &LIMITS), None, &["3-dimensional", "map_blocks"]);
    let half = source(Block::zeros(DType::F16, &[2, 2]).unwrap(), cuts(&[&[2], &[2]]));
    fails(qr(&half, &LIMITS), Some(UserKind::Type), &["array type float16 is unsupported in linalg"]);
    let unknown = Expr::new(
        pantile_array::Kind::Rechunk(line),
        DType::F64,
        [AxisChunks::unknown(2), AxisChunks::whole(2)].into_iter().collect(),
    );
    fails(qr(&unknown, &LIMITS), Some(UserKind::Value), &["axis 0", "compute_chunk_sizes"]);
    let large = expr(&noise::<f64>(40, 40, 1), &[20, 20], &[20, 20]);
    // 104 and 32 bytes an element of the square; the limits that would do hold twice that.
    let tight = Limits { max_dense_bytes: 1 << 20, ..LIMITS };
    let larger = expr(&noise::<f64>(300, 200, 1), &[300], &[200]);
    fails(
        svd(&larger, false, &tight),
        None,
        &[
            "svd",
            "(300, 200)",
            "4 MiB",
            "may use 1 MiB, half of the memory limit",
            "memory_limit to 8 MiB",
            "(2 MiB)",
        ],
    );
    fails(svd(&larger, true, &tight), None, &["full_matrices=False (4 MiB)"]);
    let tight = Limits { max_dense_bytes: 1000, ..LIMITS };
    fails(solve(&large, &large, &tight), None, &["solve", "(40, 40)"]);
}

#[test]
fn what_only_the_numbers_tell_is_raised_when_run() {
    let message = |e: Expr| match run(&[e]).err().expect("an error").error {
        ArrayError::User(UserKind::LinAlg, text) => text,
        other => panic!("{other:?}"),
    };
    let mut a = definite::<f64>(12, 1);
    a.as_mut().set(7, 7, -1.0);
    let text = message(cholesky(&expr(&a, &[5, 5, 2], &[12]), &LIMITS).unwrap());
    assert!(
        text.contains("not positive definite") && text.contains("order 8") && text.contains("block (1, 1)"),
        "{text}"
    );
    let ones = Mat::filled(12, 12, 1.0f64);
    let ones = expr(&ones, &[5, 5, 2], &[5, 5, 2]);
    for e in [inv(&ones, &LIMITS).unwrap(), solve(&ones, &ones, &LIMITS).unwrap()] {
        let text = message(e);
        assert!(text.starts_with("Singular matrix"), "{text}");
    }
    let text = message(
        solve_triangular(
            &expr(&Mat::<f64>::zeros(12, 12), &[12], &[12]),
            &ones,
            true,
            Trans::No,
            false,
            &LIMITS,
        )
        .unwrap(),
    );
    assert!(text.starts_with("Singular matrix") && text.contains("block (0, 0)"), "{text}");
    let text = message(svdvals(&expr(&Mat::filled(6, 6, f64::NAN), &[3, 3], &[6]), &LIMITS).unwrap());
    assert!(text.starts_with("SVD did not converge"), "{text}");
    // The determinant of a singular matrix is zero, and no error.
    let (sign, log) = slogdet(&ones, &LIMITS).unwrap();
    let done = run(&[det(&ones, &LIMITS).unwrap(), sign, log]).unwrap();
    let numbers: Vec<f64> = done.outputs.iter().flat_map(elements::<f64>).collect();
    assert_eq!(numbers, [0.0, 0.0, f64::NEG_INFINITY]);
}

#[test]
fn a_determinant_does_not_overflow_on_the_way() {
    let diagonal: Vec<f64> = (0..12).map(|i| if i < 6 { 1e200 } else { 1e-200 }).collect();
    let a = Mat::from_fn(12, 12, |i, j| if i == j { diagonal[i] } else { 0.0 });
    let done = run(&[det(&expr(&a, &[4; 3], &[4; 3]), &LIMITS).unwrap()]).unwrap();
    let got = elements::<f64>(&done.outputs[0])[0];
    assert!((got - 1.0).abs() < 1e-12, "{got}");
}

#[test]
fn the_same_factorisation_twice_is_one_node() {
    let a = expr(&noise::<f64>(12, 5, 1), &[6, 6], &[5]);
    let (first, second) = (svd(&a, false, &LIMITS).unwrap(), svd(&a, false, &LIMITS).unwrap());
    assert!(first.0 == second.0 && first.1 == second.1 && first.2 == second.2);
    assert!(svdvals(&a, &LIMITS).unwrap() == first.1);
    assert!(qr(&a, &LIMITS).unwrap() == qr(&a, &LIMITS).unwrap());
}

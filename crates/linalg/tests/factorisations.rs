//! Factorisations: reconstruct the input, orthogonality, agreement of the variants, degenerate and hostile input.

mod common;
use common::*;
use pantile_linalg::*;

const SHAPES: [(usize, usize); 13] = [
    (0, 0),
    (0, 4),
    (4, 0),
    (1, 1),
    (1, 5),
    (5, 1),
    (7, 7),
    (40, 33),
    (33, 40),
    (150, 150),
    (300, 20),
    (20, 300),
    (200, 135),
];

/// Random matrices of each shape, of full rank and of rank two.
fn inputs<T: Elem>() -> Vec<Mat<T>> {
    let mut random = Random(7);
    let mut all = Vec::new();
    for (m, n) in SHAPES {
        all.push(random.matrix(m, n));
        let (a, b) = (random.matrix::<T>(m, 2), random.matrix::<T>(2, n));
        all.push(product(a.as_ref(), b.as_ref()));
    }
    all.push(Mat::zeros(30, 30));
    all.push(Mat::eye(140, 140));
    all
}

fn check_qr<T: Elem>() {
    for (index, a) in inputs::<T>().iter().enumerate() {
        let (m, n) = (a.nrows(), a.ncols());
        let k = m.min(n);
        let (q, r) = qr(Layout::of(index % 4, a).view(), Par::Seq);
        assert_eq!((q.nrows(), q.ncols(), r.nrows(), r.ncols()), (m, k, k, n));
        let tol = tolerance::<T>(m + n);
        assert!(orthogonality(&q) < tol, "{m}x{n}: {}", orthogonality(&q));
        let back = product(q.as_ref(), r.as_ref());
        assert!(distance(back.as_ref(), a.as_ref()) < tol, "{m}x{n}: reconstruct");
        for i in 0..k {
            assert!((0..i).all(|j| r.at(i, j) == T::ZERO));
            assert!(r.at(i, i).im() == T::Re::ZERO || i + 1 == m, "LAPACK's R has a real diagonal");
        }
        assert_eq!(qr_r_only(Layout::of(index % 4, a).view(), Par::Seq), r);
    }
}

fn check_tsqr<T: Elem>() {
    let a = Random(8).matrix::<T>(130, 12);
    let blocks: Vec<_> =
        [(0, 50), (50, 50), (100, 30)].map(|(at, rows)| a.as_ref().sub(at, 0, rows, 12)).into();
    let (qs, rs): (Vec<_>, Vec<_>) = blocks.iter().map(|b| qr(*b, Par::Seq)).unzip();
    let views: Vec<_> = rs.iter().map(Mat::as_ref).collect();
    let (pieces, r) = tsqr_merge(&views, Par::Seq).unwrap();
    for ((block, q), piece) in blocks.iter().zip(&qs).zip(&pieces) {
        let q = product(q.as_ref(), piece.as_ref());
        assert!(distance(product(q.as_ref(), r.as_ref()).as_ref(), *block) < tolerance::<T>(130));
    }
    assert_eq!(tsqr_merge_r_only(&views, Par::Seq).unwrap(), r);
}

fn check_svd<T: Elem>() {
    for (index, a) in inputs::<T>().iter().enumerate() {
        let (m, n) = (a.nrows(), a.ncols());
        let k = m.min(n);
        let tol = tolerance::<T>(m + n) * 4.0;
        let layout = Layout::of(index % 4, a);
        let s_only = svdvals(layout.view(), Par::Seq).unwrap();
        for full in [false, true] {
            let f = svd(layout.view(), full, Par::Seq).unwrap();
            let (uc, vr) = if full { (m, n) } else { (k, k) };
            assert_eq!((f.u.nrows(), f.u.ncols(), f.vh.nrows(), f.vh.ncols(), f.s.len()), (m, uc, vr, n, k));
            assert!(orthogonality(&f.u) < tol && orthogonality(&adjoint(&f.vh)) < tol, "{m}x{n} {full}");
            let us = Mat::from_fn(m, k, |i, j| f.u.at(i, j).scale(f.s[j]));
            let back = product(us.as_ref(), f.vh.as_ref().sub(0, 0, k, n));
            let size = f.s.first().map_or(1.0, |s| s.to_f64().max(1.0));
            assert!(distance(back.as_ref(), a.as_ref()) < tol * size, "{m}x{n} {full}");
            assert!(f.s.windows(2).all(|w| w[0] >= w[1]) && f.s.iter().all(|&s| s >= T::Re::ZERO));
            for (x, y) in f.s.iter().zip(&s_only) {
                assert!((x.to_f64() - y.to_f64()).abs() < tol * size);
            }
        }
    }
}

fn check_eigh<T: Elem>() {
    for n in [0, 1, 2, 5, 40, 150] {
        let x = Random(n as u64).matrix::<T>(n, n);
        let a = Mat::from_fn(n, n, |i, j| x.at(i, j) + x.at(j, i).conjugate());
        // The triangle that is not read holds something else.
        let lower = Mat::from_fn(n, n, |i, j| if j > i { T::ONE } else { a.at(i, j) });
        let upper = Mat::from_fn(n, n, |i, j| if j < i { T::ONE } else { a.at(i, j) });
        for (given, triangle) in [(lower, Triangle::Lower), (upper, Triangle::Upper)] {
            let (w, v) = eigh(given.as_ref(), triangle, Par::Seq).unwrap();
            let tol = tolerance::<T>(n) * 10.0;
            assert!(orthogonality(&v) < tol);
            let vw = Mat::from_fn(n, n, |i, j| v.at(i, j).scale(w[j]));
            assert!(distance(product(a.as_ref(), v.as_ref()).as_ref(), vw.as_ref()) < tol, "{n}");
            assert!(w.windows(2).all(|p| p[0] <= p[1]));
            for (x, y) in w.iter().zip(eigvalsh(given.as_ref(), triangle, Par::Seq).unwrap()) {
                assert!((x.to_f64() - y.to_f64()).abs() < tol);
            }
        }
    }
}

fn check_cholesky<T: Elem>() {
    for n in [0, 1, 3, 50, 200] {
        let x = Random(n as u64).matrix::<T>(n, n);
        let gram = product(x.as_ref(), adjoint(&x).as_ref());
        let a = Mat::from_fn(n, n, |i, j| if i == j { gram.at(i, j) + T::ONE } else { gram.at(i, j) });
        let l = cholesky(Layout::of(n % 4, &a).view(), Par::Seq).unwrap();
        let back = product(l.as_ref(), adjoint(&l).as_ref());
        assert!(distance(back.as_ref(), a.as_ref()) < tolerance::<T>(n) * (n as f64 + 1.0));
        assert!((0..n).all(|i| (i + 1..n).all(|j| l.at(i, j) == T::ZERO)));
    }
    let bad = Mat::from_fn(3, 3, |i, j| {
        if i != j {
            T::ZERO
        } else if i == 1 {
            -T::ONE
        } else {
            T::ONE
        }
    });
    assert_eq!(cholesky(bad.as_ref(), Par::Seq), Err(Error::NotPositiveDefinite { order: 2 }));
}

fn check_lu<T: Elem>() {
    for (index, a) in inputs::<T>().iter().enumerate() {
        let (m, n) = (a.nrows(), a.ncols());
        let k = m.min(n);
        let f = lu(Layout::of(index % 4, a).view(), Par::Seq);
        let l = Mat::from_fn(m, k, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Less => T::ZERO,
            std::cmp::Ordering::Equal => T::ONE,
            std::cmp::Ordering::Greater => f.lu.at(i, j),
        });
        let u = Mat::from_fn(k, n, |i, j| if j >= i { f.lu.at(i, j) } else { T::ZERO });
        let permuted = Mat::from_fn(m, n, |i, j| a.at(f.perm[i], j));
        let back = product(l.as_ref(), u.as_ref());
        assert!(distance(back.as_ref(), permuted.as_ref()) < tolerance::<T>(m + n) * 4.0, "{m}x{n}");
    }
}

fn check_solve<T: Elem>() {
    for n in [0usize, 1, 4, 60, 130] {
        let mut random = Random(n as u64);
        let x = random.matrix::<T>(n, n);
        let a = Mat::from_fn(n, n, |i, j| {
            if i == j { x.at(i, j) + T::ONE.scale(T::Re::from_f64(n as f64)) } else { x.at(i, j) }
        });
        let tol = tolerance::<T>(n) * 4.0;
        for columns in [0, 1, 5] {
            let b = random.matrix::<T>(n, columns);
            let y =
                solve(Layout::of(n % 4, &a).view(), Layout::of(columns % 4, &b).view(), Par::Seq).unwrap();
            assert!(distance(product(a.as_ref(), y.as_ref()).as_ref(), b.as_ref()) < tol);
            for lower in [true, false] {
                for unit in [true, false] {
                    let t = Mat::from_fn(n, n, |i, j| {
                        if i == j && unit {
                            T::ONE
                        } else if i == j || lower == (j < i) {
                            // A small triangle keeps the unit systems well conditioned.
                            if i == j {
                                a.at(i, j)
                            } else {
                                a.at(i, j).scale(T::Re::from_f64(1.0 / n as f64))
                            }
                        } else {
                            T::ZERO
                        }
                    });
                    let transpose = Mat::copied(t.as_ref().transpose());
                    let adjoint = adjoint(&t);
                    for (trans, op) in
                        [(Trans::No, &t), (Trans::Transpose, &transpose), (Trans::Adjoint, &adjoint)]
                    {
                        let y =
                            solve_triangular(t.as_ref(), b.as_ref(), lower, trans, unit, Par::Seq).unwrap();
                        let back = product(op.as_ref(), y.as_ref());
                        assert!(distance(back.as_ref(), b.as_ref()) < tol, "{n} {lower} {unit} {trans:?}");
                    }
                }
            }
        }
        let inverse = inv(a.as_ref(), Par::Seq).unwrap();
        assert!(distance(product(a.as_ref(), inverse.as_ref()).as_ref(), Mat::eye(n, n).as_ref()) < tol);
        let (sign, log) = slogdet(a.as_ref(), Par::Seq).unwrap();
        if n <= 4 {
            let d = det(a.as_ref(), Par::Seq).unwrap();
            let from_log = sign.scale(T::Re::from_f64(log.to_f64().exp()));
            assert!((d - from_log).modulus().to_f64() < 1e3 * tol);
        }
    }
    let small = Mat::from_vec(vec![T::ONE, T::ONE + T::ONE, T::ONE + T::ONE, T::ONE], 2, 2);
    assert!(
        (det(small.as_ref(), Par::Seq).unwrap() + T::from_parts(T::Re::from_f64(3.0), T::Re::ZERO))
            .modulus()
            .to_f64()
            < 1e-5
    );
    let singular = Mat::from_fn(3, 3, |i, j| if i == 1 || j == 1 { T::ZERO } else { T::ONE });
    assert_eq!(det(singular.as_ref(), Par::Seq).unwrap(), T::ZERO);
    assert_eq!(slogdet(singular.as_ref(), Par::Seq).unwrap().0, T::ZERO);
    assert!(matches!(inv(singular.as_ref(), Par::Seq), Err(Error::Singular { op: "inv", .. })));
    assert!(matches!(
        solve_triangular(singular.as_ref(), singular.as_ref(), true, Trans::No, false, Par::Seq),
        Err(Error::Singular { index: 1, .. })
    ));
}

fn check_hostile<T: Elem>() {
    for value in [f64::NAN, f64::INFINITY] {
        for n in [1, 6, 150] {
            let mut a = Random(4).matrix::<T>(n, n);
            a.as_mut().set(n / 2, n / 2, T::from_parts(T::Re::from_f64(value), T::Re::ZERO));
            assert!(matches!(svd(a.as_ref(), false, Par::Seq), Err(Error::NonFinite { .. })));
            assert!(matches!(svdvals(a.as_ref(), Par::Seq), Err(Error::NonFinite { .. })));
            assert!(matches!(eigh(a.as_ref(), Triangle::Lower, Par::Seq), Err(Error::NonFinite { .. })));
            assert!(cholesky(a.as_ref(), Par::Seq).is_err());
            let (q, r) = qr(a.as_ref(), Par::Seq);
            assert!(q.at(0, 0) != q.at(0, 0) && r.at(0, n - 1) != r.at(0, n - 1));
            // What matters for the eliminations is that they end.
            let _ = solve(a.as_ref(), a.as_ref(), Par::Seq);
            let _ = det(a.as_ref(), Par::Seq).unwrap();
            let _ = geqrt(a.as_ref(), Par::Seq);
        }
    }
    // The extremes of the exponent's range.
    let plain = Random(5).matrix::<T>(30, 20);
    let s = svdvals(plain.as_ref(), Par::Seq).unwrap();
    for size in [T::Re::TINY.to_f64() * 1e4, 1.0 / (T::Re::TINY.to_f64() * 1e4)] {
        let a = Mat::from_fn(30, 20, |i, j| plain.at(i, j).scale(T::Re::from_f64(size)));
        for (x, y) in svdvals(a.as_ref(), Par::Seq).unwrap().iter().zip(&s) {
            assert!((x.to_f64() / size - y.to_f64()).abs() < 1e-3, "{size}");
        }
        let (q, _) = qr(a.as_ref(), Par::Seq);
        assert!(orthogonality(&q) < tolerance::<T>(50), "{size}: {}", orthogonality(&q));
    }
}

for_all_types! {
    qr_reconstructs => check_qr;
    tsqr_reconstructs => check_tsqr;
    svd_reconstructs => check_svd;
    eigh_reconstructs => check_eigh;
    cholesky_reconstructs => check_cholesky;
    lu_reconstructs => check_lu;
    solving_solves => check_solve;
    hostile_input_ends_in_errors => check_hostile;
}

#[test]
fn a_nearly_dependent_column_keeps_its_direction() {
    // 1e-13 of a column's length is small, yet information: the last diagonal entry of R must carry it.
    let a: Mat<f64> = Mat::from_fn(2000, 2, |i, j| 1.0 + if j == 1 && i % 2 == 0 { 1e-12 } else { 0.0 });
    let (q, r) = qr(a.as_ref(), Par::Seq);
    assert!((r.at(1, 1).abs() / (0.5e-12 * 2000f64.sqrt()) - 1.0).abs() < 0.01);
    // Householder's method: a few EPS a column, whatever the length and however dependent the columns are.
    let bound = 8.0 * q.ncols() as f64 * f64::EPSILON;
    assert!(orthogonality(&q) < bound, "{:e} is not below {bound:e}", orthogonality(&q));
}

#[test]
fn errors_name_the_shape() {
    let a = Mat::<f64>::zeros(2, 3);
    let error = inv(a.as_ref(), Par::Seq).unwrap_err();
    assert_eq!(error.to_string(), "inv: the matrix must be square, it is 2x3");
    assert_eq!(error.family(), Family::User);
}

#[test]
fn threads_agree_with_one() {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(2).build().unwrap();
    let a = Random(9).matrix::<f64>(400, 300);
    let alone = svd(a.as_ref(), false, Par::Seq).unwrap();
    // Several at once, so that the pool is busy with other tasks while each asks for help.
    let results: Vec<_> = pool.install(|| {
        let (x, y) = rayon_core::join(
            || svd(a.as_ref(), false, Par::Threads(2)).unwrap(),
            || svd(a.as_ref(), false, Par::Threads(2)).unwrap(),
        );
        vec![x, y]
    });
    for r in results {
        assert!(r.s.iter().zip(&alone.s).all(|(x, y)| (x - y).abs() < 1e-11));
        assert!(orthogonality(&r.u) < 1e-11);
    }
}

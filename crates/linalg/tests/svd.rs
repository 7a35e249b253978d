//! The singular value decomposition beyond the sizes that faer takes: shapes, spectra and scales that are hard, on one
//! thread and on two.

mod common;
use common::*;
use pantile_linalg::*;

fn on_two_threads<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    rayon_core::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(f)
}

fn fast_product<T: Elem>(a: MatRef<'_, T>, b: MatRef<'_, T>) -> Mat<T> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    gemm(out.as_mut(), false, T::ONE, a, b, Par::Seq).unwrap();
    out
}

fn gram_distance<T: Elem>(q: &Mat<T>) -> f64 {
    let gram = fast_product(adjoint(q).as_ref(), q.as_ref());
    distance(gram.as_ref(), Mat::eye(q.ncols(), q.ncols()).as_ref())
}

/// Checks both functions in all their forms against the matrix and, if given, against known singular values.
fn check<T: Elem>(name: &str, a: &Mat<T>, known: Option<&[f64]>) {
    let (m, n) = (a.nrows(), a.ncols());
    let k = m.min(n);
    let mut first: Option<Vec<T::Re>> = None;
    for (threads, full) in [(1, false), (1, true), (2, false)] {
        let par = if threads == 1 { Par::Seq } else { Par::Threads(2) };
        let (f, values) =
            on_two_threads(|| (svd(a.as_ref(), full, par).unwrap(), svdvals(a.as_ref(), par).unwrap()));
        let tol = tolerance::<T>(m + n);
        let size = f.s[0].to_f64();
        let (left, right) = (gram_distance(&f.u), gram_distance(&adjoint(&f.vh)));
        assert!(left < tol && right < tol, "{name} {m}x{n} {threads} {full}: {left} {right}");
        assert_eq!((f.u.ncols(), f.vh.nrows()), if full { (m, n) } else { (k, k) });
        // In units of the largest value, so that extreme scales stay in range.
        let unit = |x: T::Re| if size > 0.0 { T::Re::from_f64(x.to_f64() / size) } else { x };
        let us = Mat::from_fn(m, k, |i, j| f.u.at(i, j).scale(unit(f.s[j])));
        let back = fast_product(us.as_ref(), f.vh.as_ref().sub(0, 0, k, n));
        let want = Mat::from_fn(m, n, |i, j| T::from_parts(unit(a.at(i, j).re()), unit(a.at(i, j).im())));
        let off = distance(back.as_ref(), want.as_ref());
        assert!(off < tol, "{name} {m}x{n} {threads} {full}: restored to {off}");
        assert!(f.s.windows(2).all(|w| w[0] >= w[1]) && f.s.iter().all(|&s| s >= T::Re::ZERO), "{name}");
        let reference = first.get_or_insert_with(|| f.s.clone());
        for i in 0..k {
            let s = f.s[i].to_f64();
            let near = |x: f64, what: &str| {
                assert!((s - x).abs() <= tol * size, "{name} {m}x{n} {threads} {full}: {what} {i}: {s} {x}")
            };
            near(values[i].to_f64(), "values alone");
            near(reference[i].to_f64(), "another way");
            if let Some(known) = known {
                near(known[i], "known");
            }
        }
    }
}

/// A matrix with orthonormal columns.
fn orthonormal<T: Elem>(m: usize, k: usize, seed: u64) -> Mat<T> {
    qr(Random(seed).matrix::<T>(m, k).as_ref(), Par::Seq).0
}

/// A matrix with the given singular values.
fn with_values<T: Elem>(m: usize, n: usize, s: &[f64]) -> Mat<T> {
    let k = m.min(n);
    let (u, v) = (orthonormal::<T>(m, k, 1), orthonormal::<T>(n, k, 2));
    let us = Mat::from_fn(m, k, |i, j| u.at(i, j).scale(T::Re::from_f64(s[j])));
    fast_product(us.as_ref(), adjoint(&v).as_ref())
}

const SHAPES: [(usize, usize); 7] =
    [(33, 33), (64, 64), (65, 65), (100, 97), (97, 130), (230, 225), (300, 61)];

fn check_spectra<T: Elem>() {
    for (m, n) in SHAPES {
        let k = m.min(n);
        let of = |f: &dyn Fn(usize) -> f64| (0..k).map(f).collect::<Vec<f64>>();
        let spectra = [
            ("even", of(&|i| 1.0 - i as f64 / k as f64)),
            ("graded", of(&|i| 10f64.powf(-20.0 * i as f64 / k as f64))),
            ("one value", of(&|_| 1.0)),
            ("two values", of(&|i| if i < k / 2 { 2.0 } else { 1.0 })),
            ("clusters", of(&|i| (4 - 4 * i / k) as f64 - 1e-13 * (i % 7) as f64)),
            ("half the rank", of(&|i| if i < k / 2 { 1.0 + (k - i) as f64 } else { 0.0 })),
            ("rank one", of(&|i| if i == 0 { 3.0 } else { 0.0 })),
        ];
        for (name, mut s) in spectra {
            s.sort_by(|a, b| b.total_cmp(a));
            check(name, &with_values::<T>(m, n, &s), Some(&s));
        }
    }
}

fn check_structure<T: Elem>() {
    for (m, n) in SHAPES {
        let random = Random(3).matrix::<T>(m, n);
        let each = |f: &dyn Fn(usize, usize) -> f64| {
            Mat::from_fn(m, n, |i, j| random.at(i, j).scale(T::Re::from_f64(f(i, j))))
        };
        check("random", &random, None);
        check("zero", &Mat::<T>::zeros(m, n), Some(&vec![0.0; m.min(n)]));
        check("identity", &Mat::<T>::eye(m, n), Some(&vec![1.0; m.min(n)]));
        check("upper triangle", &each(&|i, j| if j >= i { 1.0 } else { 0.0 }), None);
        check("lower triangle", &each(&|i, j| if j <= i { 1.0 } else { 0.0 }), None);
        check("zero columns", &each(&|_, j| if j % 3 == 0 { 0.0 } else { 1.0 }), None);
        check("zero rows", &each(&|i, _| if i % 3 == 0 { 0.0 } else { 1.0 }), None);
        // Rows so small that the products of their entries leave the range of the type.
        let tiny = T::Re::TINY.to_f64().log10() * 0.95;
        check("graded rows", &each(&|i, _| 10f64.powf(tiny * i as f64 / m as f64)), None);
        check("graded columns", &each(&|_, j| 10f64.powf(tiny * j as f64 / n as f64)), None);
        check("one large row", &each(&|i, _| if i == 5 { 1e15 } else { 1.0 }), None);
        check("ones", &Mat::<T>::filled(m, n, T::ONE), None);
        for size in [T::Re::TINY.to_f64() * 1e6, 1e-25, 1e25, 1.0 / (T::Re::TINY.to_f64() * 1e6)] {
            check("scaled", &each(&|_, _| size), None);
        }
    }
}

for_all_types! {
    spectra_are_found => check_spectra;
    structured_matrices_are_restored => check_structure;
}

#[test]
fn values_agree_with_an_analytic_formula() {
    // Ones on the diagonal and above it: 2 cos(i pi / (2 n + 1)).
    let n = 240;
    let a = Mat::from_fn(n, n, |i, j| if i == j || i + 1 == j { 1.0f64 } else { 0.0 });
    let known: Vec<f64> =
        (1..=n).map(|i| 2.0 * (i as f64 * std::f64::consts::PI / (2 * n + 1) as f64).cos()).collect();
    check("ones", &a, Some(&known));
}

#[test]
fn values_agree_with_numpys() {
    // numpy.linalg.svd of cos(((i*i + 3*j*j + i*j) % 97) / 10), i and j from 0 to 47.
    let a = Mat::from_fn(48, 48, |i, j| (((i * i + 3 * j * j + i * j) % 97) as f64 / 10.0).cos());
    let s = svdvals(a.as_ref(), Par::Seq).unwrap();
    let numpy = [
        (0, 9.294686755203074),
        (1, 8.875794433330634),
        (10, 6.74211507210526),
        (30, 3.102551756374818),
        (46, 0.31431661007507644),
        (47, 0.09486215459045418),
    ];
    for (at, value) in numpy {
        assert!((s[at] - value).abs() < 1e-13, "{at}: {} {value}", s[at]);
    }
    check("numpy", &a, None);
}

#[test]
fn a_large_matrix_on_two_threads() {
    let a = Random(11).matrix::<f64>(720, 700);
    check("large", &a, None);
    let a = Random(12).matrix::<num_complex::Complex32>(330, 410);
    check("large complex", &a, None);
}

//! R with rows of either sign against the signed R: shapes around the sizes of panels and groups, columns that vanish or
//! depend on each other, extreme scales, NaN.

mod common;
use common::*;
use pantile_linalg::*;

/// Both factors have the same size everywhere, columns measured on their own scale.
fn same_up_to_signs<T: Elem>(a: &Mat<T>, what: &str) {
    let (m, n) = (a.nrows(), a.ncols());
    let want = qr_r_only(a.as_ref(), Par::Seq);
    for kind in 0..LAYOUTS {
        let r = qr_r_any_signs(Layout::of(kind, a).view(), Par::Seq);
        assert_eq!((r.nrows(), r.ncols()), (m.min(n), n), "{what}");
        for j in 0..n {
            let size = (0..m).fold(T::Re::ZERO, |s, i| s.hypotenuse(a.at(i, j).modulus()));
            for i in 0..m.min(n) {
                let (x, y) = (r.at(i, j).modulus(), want.at(i, j).modulus());
                assert!(i <= j || x == T::Re::ZERO, "{what}: triangular");
                if size > T::Re::ZERO {
                    let off = ((x - y) / size).magnitude().to_f64();
                    assert!(off < 400.0 * T::Re::EPS.to_f64(), "{what} {m}x{n} ({i}, {j}): {off}");
                } else {
                    assert!(x == T::Re::ZERO, "{what}: a column of zeros");
                }
            }
        }
    }
}

/// The columns of both Rs have the same inner products as those of A.
fn same_gram<T: Elem>(a: &Mat<T>, what: &str) {
    let r = qr_r_any_signs(a.as_ref(), Par::Seq);
    let (want, got) = (product(adjoint(a).as_ref(), a.as_ref()), product(adjoint(&r).as_ref(), r.as_ref()));
    let size = (0..a.ncols()).fold(0.0f64, |s, j| s.max(want.at(j, j).modulus().to_f64()));
    let off = distance(got.as_ref(), want.as_ref());
    assert!(off <= 450.0 * T::Re::EPS.to_f64() * size, "{what}: {off} of {size}");
}

fn check_shapes<T: Elem>() {
    let mut random = Random(11);
    for (m, n) in
        [(64, 1), (64, 32), (63, 8), (65, 8), (200, 7), (256, 9), (513, 12), (700, 20), (1100, 27), (40, 30)]
    {
        // Well conditioned, so that R is determined to rounding.
        let a = random.matrix::<T>(m, n);
        same_gram(&a, "shapes");
        if m >= 2 * n + 30 {
            same_up_to_signs(&a, "shapes");
        }
    }
    for (m, n) in [(0, 3), (3, 0), (2, 5)] {
        let a = random.matrix::<T>(m, n);
        assert_eq!(qr_r_any_signs(a.as_ref(), Par::Seq), qr_r_only(a.as_ref(), Par::Seq));
    }
}

fn check_degenerate<T: Elem>() {
    let mut random = Random(12);
    let a = random.matrix::<T>(600, 19);
    let with = |f: &dyn Fn(usize, usize) -> T| Mat::from_fn(600, 19, f);
    // R is not unique here: only the products of columns are, and that columns of zeros stay so.
    let gaps = with(&|i, j| if j % 5 == 2 { T::ZERO } else { a.at(i, j) });
    same_gram(&gaps, "columns of zeros");
    let r = qr_r_any_signs(gaps.as_ref(), Par::Seq);
    assert!((0..19).all(|i| r.at(i, 2) == T::ZERO && r.at(i, 17) == T::ZERO));
    same_up_to_signs(&with(&|i, j| if i < 500 { T::ZERO } else { a.at(i, j) }), "rows of zeros");
    same_gram(&with(&|i, j| a.at(i, j % 4)), "repeated columns");
    let thin = (random.matrix::<T>(600, 2), random.matrix::<T>(2, 19));
    same_gram(&product(thin.0.as_ref(), thin.1.as_ref()), "rank two");
    same_gram(&Mat::<T>::zeros(600, 19), "zeros");
    same_gram(&Mat::filled(600, 19, T::ONE), "ones");
}

fn check_scales<T: Elem>(exponents: &[i32]) {
    let a = Random(13).matrix::<T>(600, 19);
    let power = |e: i32| T::Re::power_of_two(e);
    for &e in exponents {
        let all = Mat::from_fn(600, 19, |i, j| a.at(i, j).scale(power(e)));
        same_up_to_signs(&all, &format!("all times 2^{e}"));
        let some = Mat::from_fn(600, 19, |i, j| a.at(i, j).scale(power(if j % 3 == 1 { e } else { 0 })));
        same_up_to_signs(&some, &format!("some columns times 2^{e}"));
        let late = Mat::from_fn(600, 19, |i, j| a.at(i, j).scale(power(if i > 550 { e } else { 0 })));
        if e < 0 {
            same_up_to_signs(&late, &format!("the last rows times 2^{e}"));
        }
    }
}

fn check_not_finite<T: Elem>() {
    let a = Random(14).matrix::<T>(600, 19);
    for bad in [T::Re::NAN, T::Re::ONE / T::Re::ZERO] {
        for (at, column) in [(0, 0), (599, 18), (300, 7), (300, 8)] {
            let bad = T::from_parts(bad, T::Re::ZERO);
            let a = Mat::from_fn(600, 19, |i, j| if (i, j) == (at, column) { bad } else { a.at(i, j) });
            let r = qr_r_any_signs(a.as_ref(), Par::Seq);
            for j in 0..19 {
                assert!((0..=j).all(|i| !r.at(i, j).finite()), "{at} {column}");
            }
        }
    }
}

#[test]
fn shapes() {
    check_shapes::<f32>();
    check_shapes::<f64>();
    check_shapes::<num_complex::Complex32>();
    check_shapes::<num_complex::Complex64>();
}

#[test]
fn degenerate() {
    check_degenerate::<f32>();
    check_degenerate::<f64>();
    check_degenerate::<num_complex::Complex64>();
}

#[test]
fn scales() {
    check_scales::<f32>(&[-80, -40, -20, 20, 50, 100]);
    check_scales::<f64>(&[-665, -500, -300, 300, 480, 665]);
}

#[test]
fn not_finite() {
    check_not_finite::<f32>();
    check_not_finite::<f64>();
    check_not_finite::<num_complex::Complex32>();
}

//! Products against triple loops: every type, layout, degenerate shape, one thread and several.

mod common;
use common::*;
use pantile_linalg::{Elem, Mat, MatMut, MatRef, Par, RealScalar, gemm, matmul_int};
use proptest::prelude::*;

const SHAPES: [(usize, usize, usize); 10] = [
    (0, 3, 2),
    (3, 0, 2),
    (3, 2, 0),
    (1, 1, 1),
    (5, 1, 7),
    (1, 6, 5),
    (4, 4, 1),
    (17, 33, 9),
    (64, 64, 64),
    (70, 5, 130),
];

fn check_gemm<T: Elem>() {
    let mut random = Random(1);
    for (m, n, k) in SHAPES {
        let (a, b, c) = (random.matrix::<T>(m, k), random.matrix::<T>(k, n), random.matrix::<T>(m, n));
        let plain = product(a.as_ref(), b.as_ref());
        let two = T::ONE + T::ONE;
        for kind in 0..LAYOUTS * LAYOUTS * LAYOUTS {
            let (ka, kb, kc) = (kind % 4, kind / 4 % 4, kind / 16);
            let (la, lb) = (Layout::of(ka, &a), Layout::of(kb, &b));
            let mut lc = Layout::of(kc, &c);
            gemm(lc.view_mut(), false, T::ONE, la.view(), lb.view(), Par::Seq).unwrap();
            let error = distance(lc.view(), plain.as_ref());
            assert!(error <= tolerance::<T>(k), "{m}x{n}x{k} layouts {ka}{kb}{kc}: {error}");
            gemm(lc.view_mut(), true, two, la.view(), lb.view(), Par::Seq).unwrap();
            let triple = Mat::from_fn(m, n, |i, j| plain.at(i, j).scale(T::Re::from_f64(3.0)));
            assert!(distance(lc.view(), triple.as_ref()) <= 3.0 * tolerance::<T>(k));
        }
    }
}

fn check_threads<T: Elem>() {
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    let mut random = Random(2);
    for (m, n, k) in [(300, 200, 100), (90, 400, 120), (20, 30, 4000)] {
        let (a, b) = (random.matrix::<T>(m, k), random.matrix::<T>(k, n));
        let plain = product(a.as_ref(), b.as_ref());
        let mut c = Mat::filled(m, n, T::ONE);
        pool.install(|| {
            gemm(c.as_mut(), false, T::ONE, a.as_ref(), b.as_ref(), Par::Threads(3)).unwrap();
        });
        assert!(distance(c.as_ref(), plain.as_ref()) <= tolerance::<T>(k));
        pool.install(|| {
            gemm(c.as_mut(), true, -T::ONE, a.as_ref(), b.as_ref(), Par::Threads(2)).unwrap();
        });
        assert!(distance(c.as_ref(), Mat::zeros(m, n).as_ref()) <= tolerance::<T>(k));
    }
}

for_all_types! {
    gemm_equals_loops_in_every_layout => check_gemm;
    gemm_on_a_pool_equals_loops => check_threads;
}

#[test]
fn broadcast_operands_are_read_correctly() {
    let row = [1.0, 2.0, 3.0];
    // SAFETY: a zero stride repeats the row; all positions are inside of it.
    let lhs = unsafe { MatRef::from_raw(row.as_ptr(), 50, 3, 0, 1) };
    let rhs = Random(3).matrix::<f64>(3, 40);
    let mut out = Mat::zeros(50, 40);
    gemm(out.as_mut(), false, 1.0, lhs, rhs.as_ref(), Par::Seq).unwrap();
    assert!(distance(out.as_ref(), product(lhs, rhs.as_ref()).as_ref()) < 1e-14);
}

#[test]
fn wrong_shapes_are_named() {
    let (a, b) = (Mat::<f64>::zeros(2, 3), Mat::<f64>::zeros(4, 5));
    let mut c = Mat::<f64>::zeros(2, 5);
    let error = gemm(c.as_mut(), false, 1.0, a.as_ref(), b.as_ref(), Par::Seq).unwrap_err();
    assert_eq!(error.to_string(), "matmul: shapes do not fit: 2x3 times 4x5 into 2x5");
}

#[test]
fn boolean_product_is_or_of_ands() {
    let a = MatRef::from_slice(&[true, false, true, false, false, false], 2, 3);
    let b = MatRef::from_slice(&[false, true, true, true, true, false], 3, 2);
    let mut out = [true; 4];
    matmul_int(MatMut::from_slice(&mut out, 2, 2), false, a, b, Par::Seq).unwrap();
    assert_eq!(out, [true, true, false, false]);
}

macro_rules! int_property {
    ($($name:ident: $t:ty;)*) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(24))]
            $(
                #[test]
                fn $name(m in 0usize..20, n in 0usize..530, k in 0usize..270, kinds in 0usize..64, seed: u64) {
                    let mut random = Random(seed);
                    let mut value = || (random.next() * 2e18) as i64 as $t;
                    let a = Mat::from_fn(m, k, |_, _| value());
                    let b = Mat::from_fn(k, n, |_, _| value());
                    let expected = Mat::from_fn(m, n, |i, j| (0..k).fold(0 as $t, |sum, p| {
                        sum.wrapping_add(a.at(i, p).wrapping_mul(b.at(p, j)))
                    }));
                    let mut out = Layout::new(kinds / 16, m, n, |_, _| 7);
                    matmul_int(
                        out.view_mut(),
                        false,
                        Layout::of(kinds % 4, &a).view(),
                        Layout::of(kinds / 4 % 4, &b).view(),
                        Par::Seq,
                    ).unwrap();
                    for i in 0..m {
                        for j in 0..n {
                            prop_assert_eq!(out.view().at(i, j), expected.at(i, j));
                        }
                    }
                }
            )*
        }
    };
}

int_property! {
    i8_wraps: i8;
    u16_wraps: u16;
    i32_wraps: i32;
    i64_wraps: i64;
    u64_wraps: u64;
}

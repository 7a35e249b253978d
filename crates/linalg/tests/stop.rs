//! Stopping kernels. Nothing here measures time: what counts is how often a kernel asks, and that it does no more once the
//! answer was yes.

use pantile_linalg::{
    Lu, Mat, Par, Question, Stopped, Trans, gemm, lu, matmul_int, qr, qr_r_any_signs, qr_r_only,
    solve_triangular, stoppable, svd, svdvals,
};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A question that says yes from the `yes_from`th time on, and how often it was asked.
fn question(yes_from: usize) -> (Question, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    (Arc::new(move || count.fetch_add(1, Ordering::SeqCst) + 1 >= yes_from), asked)
}

fn matrix(m: usize, n: usize) -> Mat<f64> {
    let mut state = 1u64;
    Mat::from_fn(m, n, |_, _| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 24) - 0.5
    })
}

fn product(a: &Mat<f64>, par: Par) -> Mat<f64> {
    let mut out = Mat::filled(a.nrows(), a.nrows(), 0.0);
    let view = a.as_ref();
    gemm(out.as_mut(), false, 1.0, view, view.transpose(), par).unwrap();
    out
}

fn pool() -> rayon_core::ThreadPool {
    rayon_core::ThreadPoolBuilder::new().num_threads(2).build().expect("a pool")
}

/// The kernel asks at least so often when it runs to its end, and when the answer is yes it stops: each thread asks once more
/// at most.
fn check(name: &str, at_least: usize, kernel: impl Fn(Par) + Send + Sync) {
    for par in [Par::Seq, Par::Threads(2)] {
        pool().install(|| {
            let (never, asked) = question(usize::MAX);
            assert_eq!(stoppable(&never, || kernel(par)), Ok(()), "{name} {par:?}");
            let all = asked.load(Ordering::SeqCst);
            assert!(all >= at_least, "{name} {par:?} asked {all} times");
            for yes_from in [1, all / 2, all] {
                let (soon, asked) = question(yes_from.max(1));
                assert_eq!(
                    stoppable(&soon, || kernel(par)),
                    Err(Stopped),
                    "{name} {par:?} {yes_from} of {all}"
                );
                let asked = asked.load(Ordering::SeqCst);
                assert!(
                    asked <= yes_from.max(1) + 1,
                    "{name} {par:?} went on: asked {asked}, yes from {yes_from}"
                );
            }
        });
    }
}

#[test]
fn products_stop_between_pieces() {
    let a = matrix(1000, 2500);
    // 2.5e9 multiplications.
    check("gemm", 4, |par| drop(product(&a, par)));
    let ints = Mat::filled(200, 200, 3i64);
    check("matmul_int", 200, |par| {
        let mut out = Mat::filled(200, 200, 0i64);
        matmul_int(out.as_mut(), false, ints.as_ref(), ints.as_ref(), par).unwrap();
    });
}

#[test]
fn singular_values_stop_between_columns() {
    let a = matrix(300, 260);
    check("svd", 260, |par| drop(svd(a.as_ref(), false, par)));
    check("svdvals", 260, |par| drop(svdvals(a.as_ref(), par)));
}

#[test]
fn factorisations_stop_between_panels() {
    let a = matrix(600, 300);
    check("qr", 5, |par| drop(qr(a.as_ref(), par)));
    check("qr_r_only", 5, |par| drop(qr_r_only(a.as_ref(), par)));
    let tall = matrix(20_000, 20);
    check("qr_r_any_signs", 5, |par| drop(qr_r_any_signs(tall.as_ref(), par)));
    check("lu", 100, |par| drop::<Lu<f64>>(lu(a.as_ref(), par)));
}

#[test]
fn triangular_systems_stop_between_columns() {
    let l = Mat::from_fn(600, 600, |i, j| if i == j { 2.0 } else { 1e-3 });
    let b = matrix(600, 6000);
    check("solve_triangular", 4, |par| {
        drop(solve_triangular(l.as_ref(), b.as_ref(), true, Trans::No, false, par));
    });
}

#[test]
fn pieces_give_the_product() {
    // Cut along the inner dimension, the rows, the columns; each is more than one piece.
    for (m, k, n) in [(600, 1800, 600), (3000, 450, 450), (450, 450, 3000)] {
        let (a, b) = (matrix(m, k), matrix(k, n));
        for accumulate in [false, true] {
            let mut out = Mat::filled(m, n, 1.0);
            gemm(out.as_mut(), accumulate, 1.0, a.as_ref(), b.as_ref(), Par::Seq).unwrap();
            for i in [0, 47, 48, m / 2, m - 1] {
                for j in [0, 47, 48, n / 2, n - 1] {
                    let start = if accumulate { 1.0 } else { 0.0 };
                    let direct = (0..k).fold(start, |sum, p| sum + a.at(i, p) * b.at(p, j));
                    assert!((out.at(i, j) - direct).abs() < 1e-11, "{m}x{k}x{n} at {i}, {j}");
                }
            }
        }
    }
}

#[test]
fn other_panics_go_on() {
    let (never, _) = question(usize::MAX);
    let outcome =
        std::panic::catch_unwind(AssertUnwindSafe(|| stoppable(&never, || panic!("another reason"))));
    assert_eq!(outcome.unwrap_err().downcast_ref(), Some(&"another reason"));
}

#[test]
fn outside_of_stoppable_nobody_is_asked() {
    let (yes, asked) = question(1);
    assert_eq!(stoppable(&yes, || drop(svdvals(matrix(60, 60).as_ref(), Par::Seq))), Err(Stopped));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(svdvals(matrix(60, 60).as_ref(), Par::Seq).is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

//! Times the dense kernels on random input, for comparison with NumPy: `cargo run --release -p pantile-linalg
//! --example bench [threads]`. Prints one line a kernel: name, best seconds of a few runs.

use pantile_linalg::{Mat, Par, gemm, qr, svd, svdvals};
use std::time::Instant;

fn best<R>(runs: usize, mut f: impl FnMut() -> R) -> f64 {
    let mut least = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        std::hint::black_box(f());
        least = least.min(start.elapsed().as_secs_f64());
    }
    least
}

fn random(m: usize, n: usize) -> Mat<f64> {
    let mut state = 1u64;
    Mat::from_fn(m, n, |_, _| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn main() {
    let threads = std::env::args().nth(1).map_or(2, |t| t.parse().expect("threads: a number"));
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let par = Par::Threads(threads);
        let (a, b) = (random(4000, 4000), random(4000, 4000));
        let mut c = Mat::zeros(4000, 4000);
        let t = best(3, || gemm(c.as_mut(), false, 1.0, a.as_ref(), b.as_ref(), par));
        println!("gemm 4000 {t:.4}");
        let t = best(3, || gemm(c.as_mut(), false, 1.0, a.as_ref(), b.as_ref().transpose(), par));
        println!("gemm_t 4000 {t:.4}");
        let tall = random(4000, 100);
        println!("svdvals 4000x100 {:.4}", best(5, || svdvals(tall.as_ref(), par)));
        println!("qr 4000x100 {:.4}", best(5, || qr(tall.as_ref(), par)));
        let square = random(2000, 2000);
        println!("qr 2000 {:.4}", best(2, || qr(square.as_ref(), par)));
        println!("svd 2000 {:.4}", best(2, || svd(square.as_ref(), true, par)));
    });
}

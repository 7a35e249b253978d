//! Times the singular value decomposition, for comparison with NumPy: `cargo run --release -p pantile-linalg --example
//! svd [threads] [runs]`. Prints one line a case: name, least and median seconds.

use pantile_linalg::{Mat, Par, svd, svdvals};
use std::time::Instant;

fn time<R>(name: &str, runs: usize, mut f: impl FnMut() -> R) {
    let mut seconds: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(f());
            start.elapsed().as_secs_f64()
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    println!("{name}: min {:.4} median {:.4}", seconds[0], seconds[seconds.len() / 2]);
}

fn random(m: usize, n: usize) -> Mat<f64> {
    let mut state = 1u64;
    Mat::from_fn(m, n, |_, _| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    })
}

fn main() {
    let number =
        |at: usize, default| std::env::args().nth(at).map_or(default, |t| t.parse().expect("a number"));
    let (threads, runs) = (number(1, 2), number(2, 3));
    let pool = rayon_core::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
    pool.install(|| {
        let par = Par::Threads(threads);
        for n in [500, 1000, 2000] {
            let a = random(n, n);
            time(&format!("svd {n}"), runs, || svd(a.as_ref(), true, par));
            time(&format!("svdvals {n}"), runs, || svdvals(a.as_ref(), par));
        }
        let tall = random(4000, 100);
        time("svd 4000x100 thin", runs, || svd(tall.as_ref(), false, par));
    });
}

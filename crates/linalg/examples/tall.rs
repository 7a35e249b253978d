//! Times R of tall blocks on one thread: `cargo run --release -p pantile-linalg --example tall [runs]`. Prints one line a
//! shape: milliseconds and GFLOP/s (of `2 m n²`) of `qr_r_only` and of `qr_r_any_signs`, the best of the runs.

use pantile_linalg::{Mat, Par, qr_r_any_signs, qr_r_only};
use std::time::Instant;

fn best<R>(runs: usize, mut f: impl FnMut() -> R) -> f64 {
    let one = |_| {
        let start = Instant::now();
        std::hint::black_box(f());
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(one).fold(f64::INFINITY, f64::min)
}

fn main() {
    let runs = std::env::args().nth(1).map_or(5, |t| t.parse().expect("a number"));
    for (m, n) in [(20_000, 20), (20_000, 100), (5_000, 100), (800, 100), (20_000, 300), (4_000, 1_000)] {
        let mut state = 1u64;
        let a = Mat::from_fn(m, n, |_, _| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        });
        let work = 2e-9 * (m * n * n) as f64;
        let [signed, any] = [
            best(runs, || qr_r_only(a.as_ref(), Par::Seq)),
            best(runs, || qr_r_any_signs(a.as_ref(), Par::Seq)),
        ];
        println!(
            "{m}x{n}: {:.2} ms {:.1} GFLOP/s, any signs {:.2} ms {:.1} GFLOP/s",
            signed * 1e3,
            work / signed,
            any * 1e3,
            work / any
        );
    }
}

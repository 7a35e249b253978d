//! How long compiling takes, phase by phase, and how fast loops run at each vector width. CPU time of this thread, the
//! median of several runs. `cargo run --release -p pantile-jit-llvm --example measure`

#[path = "../tests/common/mod.rs"]
mod common;

use pantile_jit::Executable;
use pantile_jit::ir::Function;
use pantile_jit_llvm::{Dump, LlvmBackend, LlvmKernel, LlvmOptions, Pipeline};
use pantile_types::BinOp;
use pantile_types::ScalarType::F64;

fn main() {
    let kernels: Vec<fn() -> Function> = vec![
        common::nothing,
        || common::fold("sum", F64, BinOp::Add, 0.0),
        common::multiply_add,
        common::sine,
        common::transposed_sum,
        common::long_chain,
    ];
    println!("compile, ms of CPU:  lowering / + parse and optimise / whole / from the cache on disk");
    let folder = std::env::temp_dir().join(format!("pantile-measure-{}", std::process::id()));
    for pipeline in [Pipeline::Lean, Pipeline::O3] {
        let backend =
            LlvmBackend::new(LlvmOptions { pipeline, ..LlvmOptions::default() }).expect("supported");
        for make in &kernels {
            let (m, id) = common::alone(make());
            let name = &m.get(id).name;
            let lower = median(|| drop(backend.dump(&m, id, Dump::Lowered).expect("lowers")));
            let opt = median(|| drop(backend.dump(&m, id, Dump::LlvmIr).expect("optimises")));
            let whole = median(|| drop(backend.compile_kernel(&m, id).expect("compiles")));
            let options =
                LlvmOptions { cache_folder: Some(folder.clone()), pipeline, ..LlvmOptions::default() };
            let cached = LlvmBackend::new(options).expect("supported");
            let hit = median(|| drop(cached.compile_kernel(&m, id).expect("compiles")));
            let ms = [lower, opt, whole, hit].map(|t| format!("{:7.3}", t * 1e3)).join(" ");
            println!("{pipeline:?} {name:15} {ms}");
        }
    }
    std::fs::remove_dir_all(folder).expect("the folder is ours");
    println!("run, ns an element:  in L1 / in memory");
    for bits in [128, 256, 512] {
        let backend = LlvmBackend::new(LlvmOptions { vector_bits: Some(bits), ..LlvmOptions::default() })
            .expect("supported");
        for make in &kernels[1..] {
            let (m, id) = common::alone(make());
            let kernel = backend.compile_kernel(&m, id).expect("compiles");
            let name = m.get(id).name.clone();
            let (inside, outside) = (run(&kernel, &name, 1024, 2000), run(&kernel, &name, 1 << 22, 3));
            println!("{bits} {name:15} {inside:8.4} {outside:8.4}");
        }
    }
}

fn run(kernel: &LlvmKernel, name: &str, n: usize, repeat: usize) -> f64 {
    let data: Vec<Vec<f64>> =
        (0..4).map(|k| (0..n).map(|i| 1.0 + (i % 97 + k) as f64 / 97.0).collect()).collect();
    let pointer = |i: usize| data[i].as_ptr() as u64;
    let mut args = Vec::new();
    let mut results = Vec::new();
    match name {
        "transposed_sum" => {
            let side = n.isqrt() as u64;
            args.extend([pointer(0), side, side, side * 8, 8, pointer(1), side, side, 8, side * 8]);
            results.push(0);
        }
        "sum" => {
            args.extend([pointer(0), n as u64, 8]);
            results.push(0);
        }
        _ => {
            let inputs = if name == "sine" { 1 } else { 3 };
            for i in (0..inputs).chain([3]) {
                args.extend([pointer(i), n as u64, 8]);
            }
        }
    }
    // SAFETY: the slots are those of the kernel's signature, and every array has `n` elements.
    median(|| (0..repeat).for_each(|_| unsafe { kernel.call(&args, &mut results).expect("no traps") })) * 1e9
        / (n * repeat) as f64
}

fn median(mut f: impl FnMut()) -> f64 {
    f();
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = cpu_seconds();
            f();
            cpu_seconds() - start
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn cpu_seconds() -> f64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a local is written.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut t) };
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}

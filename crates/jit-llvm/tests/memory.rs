//! Code memory and the cache on disk: what is compiled when, and that it goes away. One test function, because the count
//! of live kernels is the process'.

mod common;

use common::{alone, fold, map};
use pantile_jit::ir::{FuncId, Module};
use pantile_jit::{Backend, Executable};
use pantile_jit_llvm::{LlvmBackend, LlvmOptions, live_kernels};
use pantile_types::{BinOp, Emit, ScalarType::F64, UnOp};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn add(k: f64) -> (Module, FuncId) {
    alone(map("add", &[F64], F64, |e, v| {
        let k = e.const_f64(k);
        e.bin(BinOp::Add, v[0], k)
    }))
}

fn apply(kernel: &dyn Executable, x: f64) -> f64 {
    let (input, mut output) = ([x; 3], [0.0; 3]);
    let args = [input.as_ptr() as u64, 3, 8, output.as_mut_ptr() as u64, 3, 8];
    // SAFETY: both arrays have three elements.
    unsafe { kernel.call(&args, &mut []) }.expect("does not trap");
    output[1]
}

fn cached(folder: &Path) -> LlvmBackend {
    let options = LlvmOptions { cache_folder: Some(folder.to_path_buf()), ..LlvmOptions::default() };
    LlvmBackend::new(options).expect("the folder can be made")
}

fn resident_bytes() -> usize {
    let pages: usize = std::fs::read_to_string("/proc/self/statm")
        .expect("Linux")
        .split(' ')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("the second field is the resident set");
    pages * 4096
}

#[test]
fn kernels_come_and_go() {
    many_die();
    threads_compile_together();
    disk_remembers();
    assert_eq!(live_kernels(), 0);
}

fn many_die() {
    let backend = common::backend();
    let (m, id) = add(1.0);
    // All alive together, twice: the second time finds room where the first time was.
    let mut resident = Vec::new();
    for _ in 0..2 {
        let kernels: Vec<Arc<dyn Executable>> =
            (0..50).map(|_| backend.compile(&m, id).expect("compiles")).collect();
        assert_eq!(live_kernels(), 50);
        assert!(kernels.iter().all(|k| apply(k.as_ref(), 2.0) == 3.0));
        drop(kernels);
        assert_eq!(live_kernels(), 0);
        resident.push(resident_bytes());
    }
    assert_eq!(backend.kernels_compiled(), 100);
    // Made and dropped one by one, through the cache so that the test takes no minute.
    let folder = temporary("many");
    let backend = cached(&folder);
    for _ in 0..1000 {
        assert_eq!(apply(backend.compile(&m, id).expect("compiles").as_ref(), 2.0), 3.0);
    }
    assert_eq!((live_kernels(), backend.kernels_compiled()), (0, 1));
    let grown = resident_bytes().saturating_sub(resident[1]);
    assert!(grown < 8 << 20, "{grown} bytes more after 1000 kernels that are gone");
    std::fs::remove_dir_all(folder).expect("ours");
}

fn threads_compile_together() {
    let backend = common::backend();
    std::thread::scope(|scope| {
        for t in 0..4 {
            let backend = &backend;
            scope.spawn(move || {
                for i in 0..8 {
                    let k = f64::from(t * 100 + i);
                    let (m, id) = add(k);
                    let kernel = backend.compile(&m, id).expect("compiles");
                    assert_eq!(apply(kernel.as_ref(), 0.5), k + 0.5);
                }
            });
        }
    });
    assert_eq!((backend.kernels_compiled(), live_kernels()), (32, 0));
    // Linking alone, from the disk, so that the threads meet inside the linker all the time.
    let folder = temporary("threads");
    let backend = cached(&folder);
    let (m, id) = add(2.0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..300 {
                    assert_eq!(apply(backend.compile(&m, id).expect("links").as_ref(), 0.5), 2.5);
                }
            });
        }
    });
    assert_eq!(live_kernels(), 0);
    std::fs::remove_dir_all(folder).expect("ours");
}

fn disk_remembers() {
    let folder = temporary("disk");
    let (m, id) = add(4.0);
    let first = cached(&folder);
    assert_eq!(apply(first.compile(&m, id).expect("compiles").as_ref(), 1.0), 5.0);
    let counts = first.cache_counts().expect("a cache");
    assert_eq!((counts.hits, counts.misses, first.kernels_compiled()), (0, 1, 1));

    // Another process would see this. The name of a function is for people and changes nothing.
    let second = cached(&folder);
    let mut renamed = m.clone();
    renamed.functions[0].name = "another name".into();
    assert_eq!(apply(second.compile(&renamed, id).expect("compiles").as_ref(), 1.0), 5.0);
    let counts = second.cache_counts().expect("a cache");
    assert_eq!((counts.hits, counts.misses, second.kernels_compiled()), (1, 0, 0));

    // Other constants, options or functions are other kernels.
    let (other, other_id) = add(5.0);
    assert_eq!(apply(second.compile(&other, other_id).expect("compiles").as_ref(), 1.0), 6.0);
    let narrow =
        LlvmOptions { cache_folder: Some(folder.clone()), vector_bits: Some(128), ..LlvmOptions::default() };
    let narrow = LlvmBackend::new(narrow).expect("128 bits are a choice");
    drop(narrow.compile(&m, id).expect("compiles"));
    assert_eq!((second.kernels_compiled(), narrow.kernels_compiled()), (1, 1));

    // A kernel that calls libmvec and one that returns a value, through the disk.
    let functions =
        [map("tanh", &[F64], F64, |e, v| e.un(UnOp::Tanh, v[0])), fold("sum", F64, BinOp::Add, 0.0)];
    for f in functions {
        let (m, id) = alone(f);
        for _ in 0..2 {
            drop(second.compile(&m, id).expect("compiles"));
        }
    }
    assert_eq!(second.cache_counts().expect("a cache").hits, 3);

    // Every file cut short: everything is compiled again, and remembered again.
    for file in std::fs::read_dir(&folder).expect("exists") {
        let path = file.expect("readable").path();
        let bytes = std::fs::read(&path).expect("readable");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).expect("writable");
    }
    let third = cached(&folder);
    assert_eq!(apply(third.compile(&m, id).expect("compiles").as_ref(), 1.0), 5.0);
    assert_eq!(apply(third.compile(&m, id).expect("compiles").as_ref(), 1.0), 5.0);
    let counts = third.cache_counts().expect("a cache");
    assert_eq!((counts.hits, counts.misses, counts.damaged), (1, 1, 1));
    std::fs::remove_dir_all(folder).expect("ours");
}

fn temporary(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("pantile-kernels-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

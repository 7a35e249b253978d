//! One program, two opinions: the file tests of `pantile-jit`, and random programs, through the interpreter and LLVM.

mod common;

use pantile_jit::ir::{FuncId, TrapCode};
use pantile_jit::testing::{Layout, Outcome, call, random_module, run_file};
use pantile_jit::text::print_module;
use pantile_jit::{Backend, Interpreter};
use pantile_jit_llvm::{LlvmBackend, LlvmOptions, Pipeline};

#[test]
fn files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../jit/tests/files");
    // A file is compiled once a line that runs it: the cache on disk makes that once a function.
    let cache = std::env::temp_dir().join(format!("pantile-filetests-{}", std::process::id()));
    let options = LlvmOptions { cache_folder: Some(cache.clone()), ..LlvmOptions::default() };
    let backend = LlvmBackend::new(options).expect("supported");
    let mut failures = Vec::new();
    let mut runs = 0;
    for entry in std::fs::read_dir(folder).expect("the files are beside the interpreter's tests") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("readable");
        match run_file(&path.file_name().unwrap_or_default().to_string_lossy(), &text, &backend) {
            Ok(n) => runs += n,
            Err(e) => failures.push(e),
        }
    }
    let _ = std::fs::remove_dir_all(cache);
    assert!(failures.is_empty(), "{} files fail:\n{}", failures.len(), failures.join("\n"));
    assert!(runs >= 100, "only {runs} runs: is the folder complete?");
}

fn same(a: &Outcome, b: &Outcome) -> bool {
    let results = match (&a.results, &b.results) {
        (Ok(x), Ok(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| x.same(y)),
        (Err(x), Err(y)) => x == y,
        _ => false,
    };
    results && a.args.iter().zip(&b.args).all(|(x, y)| x.same(y))
}

fn random_programs(seeds: std::ops::Range<u64>, pipeline: Pipeline) {
    let backend = LlvmBackend::new(LlvmOptions { pipeline, ..LlvmOptions::default() }).expect("supported");
    for seed in seeds {
        let (module, entry, args) = random_module(seed);
        let f = module.get(entry);
        let oracle = Interpreter.compile(&module, entry).expect("the interpreter takes verified modules");
        let code = backend
            .compile(&module, entry)
            .unwrap_or_else(|e| panic!("seed {seed}: {e}\n{}", print_module(&module)));
        for layout in [Layout::Compact, Layout::Scattered] {
            let expected = call(oracle.as_ref(), f, &args, layout).expect("the interpreter runs it");
            let got = call(code.as_ref(), f, &args, layout).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert!(
                same(&expected, &got),
                "seed {seed}, {layout:?}: interpreter {expected:?}\nllvm {got:?}\n{}",
                print_module(&module)
            );
        }
    }
}

#[test]
fn random_programs_lean() {
    random_programs(0..150, Pipeline::Lean);
}

#[test]
fn random_programs_o3() {
    random_programs(1000..1100, Pipeline::O3);
}

#[test]
fn endless_recursion_is_an_error() {
    let text = "func @down(v0: i64, v1: view<i64; unit>) -> (i64) {\nb0:\n  v2 = const i64 1\n  v3 = add v0, v2\n  \
                v4 = call @down(v3, v1)\n  v5 = const i64 0\n  store v1[v5], v4 known\n  return v3\n}\n";
    let module = pantile_jit::text::parse_module(text).expect("parses");
    let code = common::backend().compile(&module, FuncId(0)).expect("compiles");
    let run = move || {
        let mut cell = [7u64];
        let args = [0, cell.as_mut_ptr() as u64, 1, 8];
        // SAFETY: the slots are those of the signature; the view has one element.
        unsafe { code.call(&args, &mut [0]) }
    };
    assert_eq!(run(), Err(TrapCode::StackOverflow));
    // A thread with another stack has another limit.
    let thread = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    assert_eq!(thread.join().expect("it returns"), Err(TrapCode::StackOverflow));
}

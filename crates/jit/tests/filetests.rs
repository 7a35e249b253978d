//! Runs every file of `tests/files` through the interpreter.

use pantile_jit::Interpreter;
use pantile_jit::testing::run_file;

#[test]
fn files() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let mut failures = Vec::new();
    let (mut files, mut runs) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        files += 1;
        match run_file(&path.file_name().unwrap().to_string_lossy(), &text, &Interpreter) {
            Ok(n) => runs += n,
            Err(e) => failures.push(e),
        }
    }
    assert!(failures.is_empty(), "{} of {files} files fail:\n{}", failures.len(), failures.join("\n"));
    assert!(files >= 30 && runs >= 1000, "only {runs} runs in {files} files: is the folder complete?");
}

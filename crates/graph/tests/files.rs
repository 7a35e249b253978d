//! File tests: a graph, the order it gets, and what is alive at the worst moment.
//!
//! Each file in `tests/files` is a graph in the text format, then a line `---`, then what is expected. To make or renew
//! the expectations: `UPDATE_EXPECT=1 cargo test -p pantile-graph --test files`.

use std::fs;
use std::path::PathBuf;

use pantile_graph::{Graph, order, parse, peak_memory, peak_memory_workers};
use proptest::prelude::*;

fn outcome(graph: &Graph) -> String {
    let order = order(graph);
    let names: Vec<String> = order.sequence().iter().map(|id| format!("t{}", id.0)).collect();
    let mut text = String::from("order");
    let mut width = text.len();
    for name in names {
        if width + 1 + name.len() > 100 {
            text += "\n     ";
            width = 5;
        }
        text += " ";
        text += &name;
        width += 1 + name.len();
    }
    let peak = peak_memory(graph, &order);
    text += &format!("\nalive {} values, {} bytes", peak.values, peak.bytes);
    if let Some(at) = peak.at {
        text += &format!(" at t{} {}", at.0, graph.describe(at));
    }
    text + &format!("\nalive with 4 workers {} bytes\n", peak_memory_workers(graph, &order, 4).bytes)
}

#[test]
fn files() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/files");
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "graph") {
            continue;
        }
        seen += 1;
        let text = fs::read_to_string(&path).unwrap();
        let (input, expected) = text.split_once("---\n").unwrap_or((&text, ""));
        let graph = parse(input).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(parse(&graph.to_string()).as_ref(), Ok(&graph), "{}: round trip", path.display());
        let got = outcome(&graph);
        if update {
            fs::write(&path, format!("{input}---\n{got}")).unwrap();
        } else {
            assert_eq!(got, expected, "{}; renew with UPDATE_EXPECT=1", path.display());
        }
    }
    assert!(seen >= 6, "the files are there");
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), expected);
}

#[test]
fn errors_name_the_line_and_what_was_expected() {
    check_error("", "line 1: expected `graph 1`, found the end");
    check_error("graph 2\n", "line 1: expected `graph 1`, found `graph 2`");
    check_error("graph 1\n", "line 2: expected a task or `out`, found the end");
    check_error("graph 1\nlayer x\n", "line 2: expected a label in double quotes, found `x`");
    check_error("graph 1\nlayer \"x\" y\n", "line 2: expected a label in double quotes, found `\"x\" y`");
    let with = |line: &str| format!("graph 1\nlayer \"x\"\n# a remark\nt0 = 0[0] bytes=1\n{line}\nout t0\n");
    check_error(&with("task"), "line 5: expected `layer`, `out` or the task `t1`, found `task`");
    check_error(&with("t2 = 0[0] bytes=1"), "line 5: expected `layer`, `out` or the task `t1`, found `t2`");
    check_error(&with("t1 0[0]"), "line 5: expected `=` after `t1`, found `0[0]`");
    check_error(&with("t1 = x[0]"), "line 5: expected `layer[index]` with two numbers, found `x[0]`");
    check_error(&with("t1 = 1[0] bytes=1"), "line 5: layer 1 is not among the 1 layers above");
    check_error(&with("t1 = 0[0]"), "line 5: `bytes=N` is missing");
    check_error(&with("t1 = 0[0] bytes=+1"), "line 5: expected a number of bytes, found `+1`");
    check_error(&with("t1 = 0[0] bytes=1 bytes=2"), "line 5: `bytes=2` is given twice");
    check_error(
        &with("t1 = 0[0] size=1"),
        "line 5: expected `bytes=N`, `scratch=N` or `<-` with inputs, found `size=1`",
    );
    check_error(
        &with("t1 = 0[0] bytes=1 <- t1"),
        "line 5: task t1 is not among the tasks above (t0 to t1, exclusive)",
    );
    check_error(&with("t1 = 0[0] bytes=1 <- x"), "line 5: expected a task such as `t0`, found `x`");
    check_error(&with("out t0"), "line 6: expected nothing after `out`, found `out t0`");
}

#[test]
fn labels_may_hold_anything() {
    let labels = ["", "a \"b\" \\ c", "line\nline\r\t\0", "日本 \u{7f}\u{200b}\u{2028}", "'"];
    let mut text = String::from("graph 1\n");
    for label in labels {
        text += &format!("layer {label:?}\n");
    }
    let graph = parse(&(text.clone() + "out\n")).unwrap();
    assert_eq!(graph.labels().iter().map(|l| &**l).collect::<Vec<_>>(), labels);
    assert_eq!(graph.to_string(), text + "out\n");
}

/// Lines as they might be, with words exchanged.
fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("graph 1\n"),
        Just("layer"),
        Just(" \"x\""),
        Just("\n"),
        Just("out"),
        Just(" "),
        Just("t0"),
        Just("t1"),
        Just(" t0 = 0[0] bytes=1"),
        Just("t1 = 0[1] bytes=18446744073709551615"),
        Just(" scratch=2"),
        Just(" <-"),
        Just(" = "),
        Just("0[4294967296]"),
        Just("\"\\u{110000}\""),
        Just("#"),
        Just("é"),
        Just("\\"),
        Just("-1"),
    ];
    proptest::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_safe_to_parse(text in ".*") {
        let _ = parse(&text);
    }

    #[test]
    fn what_parses_is_a_sound_graph(text in text(), begun in any::<bool>()) {
        let text = if begun { format!("graph 1\nlayer \"x\"\n{text}\nout") } else { text };
        if let Ok(graph) = parse(&text) {
            prop_assert_eq!(&parse(&graph.to_string()).unwrap(), &graph);
            let order = order(&graph);
            prop_assert_eq!(order.len(), graph.len());
            let _ = peak_memory_workers(&graph, &order, 3);
        }
    }
}

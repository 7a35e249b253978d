//! The documentation's table of operations, made from the rows.

use std::fmt::Write;

use crate::catalogue::op::{Accuracy, Op};
use crate::catalogue::{TimeRule, all};
use crate::reduce;

/// All operations and reductions as Markdown, the same text on every call.
pub fn docs_table() -> String {
    let mut text = String::new();
    let mut chapter = None;
    for op in all() {
        if chapter != Some(op.chapter) {
            chapter = Some(op.chapter);
            heading(
                &mut text,
                op.chapter.title(),
                "| name | operator | types | accuracy | what it gives |\n|---|---|---|---|---|",
            );
        }
        let names: Vec<String> =
            std::iter::once(&op.name).chain(op.aliases).map(|n| format!("`{n}`")).collect();
        let symbol = op.symbol.map_or(String::new(), |s| format!("`{}`", s.replace('|', "\\|")));
        let accuracy = match op.accuracy {
            Accuracy::Exact => "exact".to_owned(),
            Accuracy::Ulp(n) => format!("{n} ulp"),
        };
        push(
            &mut text,
            &format!("| {} | {symbol} | {} | {accuracy} | {} |", names.join(", "), types(op), op.doc),
        );
    }
    heading(&mut text, "Reductions", "| name | without elements | what it gives |\n|---|---|---|");
    for row in reduce::all() {
        let empty = match row.empty {
            reduce::Empty::Identity => "identity",
            reduce::Empty::NanWithWarning => "NaN",
            reduce::Empty::Error => "error",
        };
        push(&mut text, &format!("| `{}` | {empty} | {} |", row.name, row.doc));
    }
    text
}

fn push(text: &mut String, line: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{line}");
}

fn heading(text: &mut String, title: &str, table: &str) {
    if !text.is_empty() {
        push(text, "");
    }
    push(text, &format!("### {title}\n\n{table}"));
}

/// The kinds of numbers that have loops of their own.
fn types(op: &Op) -> String {
    let letters: String =
        op.loops.iter().map(|l| [l.over, l.form.split_once("->").map_or("", |f| f.0)].concat()).collect();
    let kinds = [("bool", "?"), ("int", "bq"), ("float", "efd"), ("complex", "FD")];
    let mut names: Vec<&str> = kinds
        .iter()
        .filter(|(_, codes)| letters.contains(|c| codes.contains(c)))
        .map(|(name, _)| *name)
        .collect();
    if op.time != TimeRule::None {
        names.push("time");
    }
    names.join(", ")
}

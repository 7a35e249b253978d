//! Graphs as text: what tests read and write, and what a bug report can carry.
//!
//! ```text
//! graph 1
//! layer "load"
//! layer "sum"
//! t0 = 0[0] bytes=800
//! t1 = 0[1] bytes=800 scratch=16
//! t2 = 1[0] bytes=8 <- t0 t1
//! out t2
//! ```
//!
//! A task line names the layer by its number and the index in the layer. Tasks come in order, inputs first. Lines that
//! are empty or start with `#` are skipped. `parse(&graph.to_string())` gives the same graph back.

use std::fmt;

use crate::arena::Builder;
use crate::{Graph, GraphError, TaskId, TaskRef};

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "graph 1")?;
        for label in self.labels() {
            writeln!(f, "layer {label:?}")?;
        }
        for id in self.ids() {
            let TaskRef { layer, index } = self.task(id);
            write!(f, "t{} = {}[{index}] bytes={}", id.0, layer.0, self.bytes(id))?;
            if self.scratch_bytes(id) > 0 {
                write!(f, " scratch={}", self.scratch_bytes(id))?;
            }
            if !self.inputs(id).is_empty() {
                write!(f, " <-")?;
            }
            for input in self.inputs(id) {
                write!(f, " t{}", input.0)?;
            }
            writeln!(f)?;
        }
        write!(f, "out")?;
        for output in self.outputs() {
            write!(f, " t{}", output.0)?;
        }
        writeln!(f)
    }
}

/// Reads a graph from its text form.
///
/// # Errors
/// `GraphError::Syntax` with the line and what was expected there. Any text is safe to parse.
pub fn parse(text: &str) -> Result<Graph, GraphError> {
    let mut arena = Builder::new();
    let mut labels: Vec<Box<str>> = Vec::new();
    let mut outputs: Option<Vec<TaskId>> = None;
    let mut begun = false;
    let mut last_line = 0;
    for (at, line) in text.lines().enumerate() {
        let line_number = at + 1;
        last_line = line_number;
        let syntax = |message: String| GraphError::Syntax { line: line_number, message };
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !begun {
            if line != "graph 1" {
                return Err(syntax(format!("expected `graph 1`, found `{}`", shown(line))));
            }
            begun = true;
            continue;
        }
        if outputs.is_some() {
            return Err(syntax(format!("expected nothing after `out`, found `{}`", shown(line))));
        }
        if let Some(rest) = keyword(line, "layer") {
            labels.push(label(rest).map_err(syntax)?);
        } else if let Some(rest) = keyword(line, "out") {
            outputs = Some(ids(rest, arena.len()).map_err(syntax)?);
        } else {
            let task = task(line, arena.len(), labels.len()).map_err(syntax)?;
            arena.push(task.what, task.bytes, task.scratch, task.inputs.into_iter())?;
        }
    }
    match outputs {
        Some(outputs) => Ok(arena.finish(outputs, labels)),
        None => Err(GraphError::Syntax {
            line: last_line + 1,
            message: format!(
                "expected {}, found the end",
                if begun { "a task or `out`" } else { "`graph 1`" }
            ),
        }),
    }
}

struct TaskLine {
    what: TaskRef,
    bytes: u64,
    scratch: u64,
    inputs: Vec<TaskId>,
}

fn keyword<'t>(line: &'t str, word: &str) -> Option<&'t str> {
    let rest = line.strip_prefix(word)?;
    if rest.is_empty() || rest.starts_with(char::is_whitespace) { Some(rest.trim()) } else { None }
}

/// `t3 = 1[0] bytes=8 scratch=16 <- t0 t1`
fn task(line: &str, next: usize, layers: usize) -> Result<TaskLine, String> {
    let (head, inputs) = match line.split_once("<-") {
        Some((head, inputs)) => (head, ids(inputs, next)?),
        None => (line, Vec::new()),
    };
    let mut words = head.split_whitespace();
    let name = words.next().unwrap_or_default();
    if name != format!("t{next}") {
        return Err(format!("expected `layer`, `out` or the task `t{next}`, found `{}`", shown(name)));
    }
    match words.next() {
        Some("=") => {}
        other => return Err(format!("expected `=` after `{name}`, found `{}`", shown(other.unwrap_or("")))),
    }
    let what = words.next().unwrap_or_default();
    let parts = what.strip_suffix(']').and_then(|what| what.split_once('['));
    let Some((Some(layer), Some(index))) = parts.map(|(l, i)| (number::<u32>(l), number::<u32>(i))) else {
        return Err(format!("expected `layer[index]` with two numbers, found `{}`", shown(what)));
    };
    if layer as usize >= layers {
        return Err(format!("layer {layer} is not among the {layers} layers above"));
    }
    let (mut bytes, mut scratch) = (None, None);
    for word in words {
        let (slot, digits) = match word.split_once('=') {
            Some(("bytes", digits)) => (&mut bytes, digits),
            Some(("scratch", digits)) => (&mut scratch, digits),
            _ => {
                return Err(format!(
                    "expected `bytes=N`, `scratch=N` or `<-` with inputs, found `{}`",
                    shown(word)
                ));
            }
        };
        let Some(value) = number::<u64>(digits) else {
            return Err(format!("expected a number of bytes, found `{}`", shown(digits)));
        };
        if slot.replace(value).is_some() {
            return Err(format!("`{}` is given twice", shown(word)));
        }
    }
    let bytes = bytes.ok_or_else(|| "`bytes=N` is missing".to_string())?;
    Ok(TaskLine { what: TaskRef::from((layer, index)), bytes, scratch: scratch.unwrap_or(0), inputs })
}

/// `t0 t4 t4`, each of them below `next`.
fn ids(text: &str, next: usize) -> Result<Vec<TaskId>, String> {
    text.split_whitespace()
        .map(|word| match word.strip_prefix('t').and_then(number::<u32>) {
            Some(id) if (id as usize) < next => Ok(TaskId(id)),
            Some(id) => Err(format!("task t{id} is not among the tasks above (t0 to t{next}, exclusive)")),
            None => Err(format!("expected a task such as `t0`, found `{}`", shown(word))),
        })
        .collect()
}

/// Digits only: no sign, which `str::parse` would allow.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// A label as `{:?}` writes it.
fn label(text: &str) -> Result<Box<str>, String> {
    let wrong = || format!("expected a label in double quotes, found `{}`", shown(text));
    let inner = text.strip_prefix('"').ok_or_else(wrong)?;
    let mut label = String::new();
    let mut chars = inner.chars();
    loop {
        match chars.next().ok_or_else(wrong)? {
            '"' if chars.as_str().is_empty() => return Ok(label.into()),
            '"' => return Err(wrong()),
            '\\' => match chars.next().ok_or_else(wrong)? {
                'n' => label.push('\n'),
                'r' => label.push('\r'),
                't' => label.push('\t'),
                '0' => label.push('\0'),
                plain @ ('"' | '\\' | '\'') => label.push(plain),
                'u' => {
                    let (code, rest) = chars
                        .as_str()
                        .strip_prefix('{')
                        .and_then(|rest| rest.split_once('}'))
                        .ok_or_else(wrong)?;
                    let code = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
                    label.push(code.ok_or_else(wrong)?);
                    chars = rest.chars();
                }
                _ => return Err(wrong()),
            },
            plain => label.push(plain),
        }
    }
}

/// At most forty characters of something that did not parse.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    match text.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_string(),
    }
}

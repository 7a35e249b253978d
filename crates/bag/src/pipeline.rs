//! Runs elements through steps, one element at a time, into a sink.
//!
//! A step calls the next one with what it made, so results live in the step's scratch memory only as long as they are looked
//! at: nothing is allocated for an element once the scratch has grown. Steps that meet often are fused: `json.loads` with the
//! `pluck`s behind it parses only what is asked for, a splitting method with `flatten` passes pieces on as they are found.
//!
//! What a step cannot do as Python does (another type, a key that is missing, text that only Python has a rule for) goes to the
//! [`Escape`]: it does the step in Python for this one element, and thereby raises exactly what Python raises.

use crate::item::Item;
use crate::json::{self, Found};
use crate::keys::{Interned, Keys};
use crate::order::{compare, equal};
use crate::step::{Cmp, Key, Owned, Pluck, Step, StrMethod};
use crate::tape::Tape;
use crate::values::{Part, Values};
use crate::{Error, Result, number, text};
use std::cmp::Ordering;

/// Whether a sink or step wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    More,
    /// Nothing that comes later matters.
    Stop,
}

/// Does steps in Python.
pub trait Escape {
    /// Does `steps` to `item`, the partition's `index`-th element or what earlier steps made of it, and writes the result to
    /// `out`. For steps that end in [`Step::Flatten`] the result is the list of the elements.
    ///
    /// # Errors
    /// What Python raises; [`Error::NotNative`] when the result has no native form.
    fn call(&mut self, steps: &[Step], index: usize, item: Item<'_>, out: &mut Tape) -> Result<()>;
}

/// An escape that has no Python: all that needs it is [`Error::NotNative`].
pub struct NoEscape;

impl Escape for NoEscape {
    fn call(&mut self, steps: &[Step], index: usize, _: Item<'_>, _: &mut Tape) -> Result<()> {
        Err(Error::not_native(format!("element {index} needs Python for {steps:?}")))
    }
}

/// What accompanies an element.
pub struct Context<'e> {
    /// Does what is not native.
    pub escape: &'e mut dyn Escape,
    /// The element's place in the partition.
    pub index: usize,
}

impl Context<'_> {
    /// Raises what Python raises for an unhashable key.
    pub(crate) fn unhashable(&mut self, item: Item<'_>) -> Error {
        match self.escape.call(&[Step::Hash], self.index, item, &mut Tape::new()) {
            Err(e) => e,
            Ok(()) => Error::not_native("a key of a kind that is not counted natively"),
        }
    }
}

/// Where elements end.
pub trait Sink {
    /// Takes one.
    ///
    /// # Errors
    /// What the sink cannot take.
    fn push(&mut self, item: Item<'_>, cx: &mut Context<'_>) -> Result<Flow>;
}

/// Collects elements into [`Values`].
#[derive(Default)]
pub struct Collect(pub Values);

impl Sink for Collect {
    #[inline]
    fn push(&mut self, item: Item<'_>, _: &mut Context<'_>) -> Result<Flow> {
        self.0.push(item)?;
        Ok(Flow::More)
    }
}

impl Collect {
    /// What was collected; strings as [`Part::Strings`].
    pub fn part(self) -> Part {
        match self.0 {
            Values::Strs(mut strings) => {
                strings.shrink();
                Part::Strings(strings)
            }
            values => Part::Values(values),
        }
    }
}

/// How a step, or several fused ones, are done.
enum Kind {
    Loads,
    /// `json.loads` and then these single fields, one inside the other.
    LoadsPath(Vec<String>),
    /// `json.loads` and then these fields as a tuple.
    LoadsMany(Vec<String>),
    Dumps,
    Pluck(Pluck, Option<Owned>),
    Str(StrMethod),
    StrEach(StrMethod),
    Len,
    Int,
    Float,
    Flatten,
    Compare(Cmp, Owned),
    Filter(Vec<Op>, bool),
    Take(usize),
    Distinct(Box<Keys>),
    Hash,
}

struct Op {
    kind: Kind,
    steps: Vec<Step>,
    tape: Tape,
    text: String,
}

/// Steps, ready to run once.
pub struct Pipeline {
    ops: Vec<Op>,
}

impl Pipeline {
    /// Prepares steps.
    ///
    /// # Errors
    /// When a filter's steps do not make one element of each.
    pub fn new(steps: &[Step]) -> Result<Pipeline> {
        Ok(Pipeline { ops: compile(steps)? })
    }

    /// Runs all elements of a part into a sink.
    ///
    /// # Errors
    /// The first element's error.
    pub fn run(&mut self, part: &Part, escape: &mut dyn Escape, sink: &mut dyn Sink) -> Result<()> {
        let mut cx = Context { escape, index: 0 };
        if self.ops.iter().any(|op| matches!(op.kind, Kind::Take(0))) {
            return Ok(());
        }
        for i in 0..part.len() {
            cx.index = i;
            if push(&mut self.ops, part.get(i), &mut cx, sink)? == Flow::Stop {
                break;
            }
        }
        Ok(())
    }
}

fn compile(steps: &[Step]) -> Result<Vec<Op>> {
    let mut ops = Vec::new();
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let (kind, used) = match step {
            Step::JsonLoads => fuse_loads(&steps[at + 1..]),
            Step::JsonDumps => (Kind::Dumps, 1),
            Step::Pluck(what, default) => (Kind::Pluck(what.clone(), default.clone()), 1),
            Step::Str { method, .. } => {
                let splits =
                    matches!(method, StrMethod::Split(..) | StrMethod::Rsplit(..) | StrMethod::Splitlines(_));
                if splits && matches!(steps.get(at + 1), Some(Step::Flatten)) {
                    (Kind::StrEach(method.clone()), 2)
                } else {
                    (Kind::Str(method.clone()), 1)
                }
            }
            Step::Len => (Kind::Len, 1),
            Step::Int => (Kind::Int, 1),
            Step::Float => (Kind::Float, 1),
            Step::Flatten => (Kind::Flatten, 1),
            Step::Compare(cmp, value) => (Kind::Compare(*cmp, value.clone()), 1),
            Step::Filter(inner, keep) => {
                if !inner.iter().all(Step::maps) {
                    return Err(Error::Argument(
                        "a filter's steps must make one element of each element".into(),
                    ));
                }
                (Kind::Filter(compile(inner)?, *keep), 1)
            }
            Step::Take(n) => (Kind::Take(*n), 1),
            Step::Distinct => (Kind::Distinct(Box::default()), 1),
            Step::Hash => (Kind::Hash, 1),
        };
        ops.push(Op { kind, steps: steps[at..at + used].to_vec(), tape: Tape::new(), text: String::new() });
        at += used;
    }
    Ok(ops)
}

/// `json.loads` with what follows it: a run of single fields, or one `pluck` of several.
fn fuse_loads(next: &[Step]) -> (Kind, usize) {
    if let Some(Step::Pluck(Pluck::Many(keys), None)) = next.first() {
        let names: Option<Vec<String>> = keys
            .iter()
            .map(|key| match key {
                Key::Name(name) => Some(name.clone()),
                Key::Index(_) => None,
            })
            .collect();
        if let Some(names) = names.filter(|names| !names.is_empty()) {
            return (Kind::LoadsMany(names), 2);
        }
    }
    let path: Vec<String> = next
        .iter()
        .map_while(|step| match step {
            Step::Pluck(Pluck::One(Key::Name(name)), None) => Some(name.clone()),
            _ => None,
        })
        .collect();
    let used = path.len() + 1;
    if path.is_empty() { (Kind::Loads, 1) } else { (Kind::LoadsPath(path), used) }
}

/// Follows a path of fields into a document.
fn follow<'a>(line: &'a str, path: &[String]) -> Option<Found<'a>> {
    let mut found = Vec::with_capacity(1);
    let (first, rest) = path.split_first()?;
    json::project(line, &[first], &mut found).ok()?;
    let mut at = found[0]?;
    for name in rest {
        at.project(&[name], &mut found).ok()?;
        at = found[0]?;
    }
    Some(at)
}

/// Does one step to `item`, then the rest.
fn push(ops: &mut [Op], item: Item<'_>, cx: &mut Context<'_>, sink: &mut dyn Sink) -> Result<Flow> {
    let Some((op, rest)) = ops.split_first_mut() else { return sink.push(item, cx) };
    let Op { kind, steps, tape, text } = op;
    let made: Option<Item<'_>> = match (&mut *kind, item) {
        (Kind::Loads, Item::Str(s)) => {
            tape.clear();
            json::loads(s, tape).ok().map(|()| tape.first())
        }
        (Kind::LoadsPath(path), Item::Str(s)) => match follow(s, path) {
            Some(found) => found.item(tape).ok(),
            None => None,
        },
        (Kind::LoadsMany(names), Item::Str(s)) => many(s, names, tape).map(|()| tape.first()),
        (Kind::Dumps, item) => {
            text.clear();
            json::dumps(item, text);
            Some(Item::Str(text))
        }
        (Kind::Pluck(Pluck::One(key), default), item) => pick(item, key, default.as_ref()),
        (Kind::Pluck(Pluck::Many(keys), default), item) => {
            tape.clear();
            let mark = tape.begin_tuple();
            let mut complete = true;
            for key in keys.iter() {
                match pick(item, key, default.as_ref()) {
                    Some(value) => tape.item(value)?,
                    None => complete = false,
                }
            }
            tape.end(mark, keys.len())?;
            complete.then(|| tape.first())
        }
        (Kind::Str(method), Item::Str(s)) => text::call(method, s, text, tape),
        (Kind::StrEach(method), Item::Str(s)) => {
            // Failing is how the loop stops early, too.
            let mut end = Ok(Flow::More);
            let _ = text::each(method, s, |piece| {
                end = push(rest, Item::Str(piece), cx, sink);
                if matches!(end, Ok(Flow::More)) { Ok(()) } else { Err(()) }
            });
            return end;
        }
        (Kind::Len, Item::Str(s)) => Some(Item::Int(s.chars().count() as i64)),
        (Kind::Len, Item::List(s) | Item::Tuple(s) | Item::Dict(s)) => Some(Item::Int(s.len() as i64)),
        (Kind::Int, Item::Int(_) | Item::Big(_)) => Some(item),
        (Kind::Int, Item::Bool(b)) => Some(Item::Int(b as i64)),
        (Kind::Int, Item::Float(v)) => number::as_int(v.trunc()).map(Item::Int),
        (Kind::Int, Item::Str(s)) => parse_int(s).map(Item::Int),
        (Kind::Float, Item::Float(_)) => Some(item),
        (Kind::Float, Item::Int(v)) => Some(Item::Float(v as f64)),
        (Kind::Float, Item::Bool(b)) => Some(Item::Float(b as u8 as f64)),
        (Kind::Float, Item::Str(s)) => parse_float(s).map(Item::Float),
        (Kind::Flatten, Item::Str(s)) => {
            for (at, c) in s.char_indices() {
                if push(rest, Item::Str(&s[at..at + c.len_utf8()]), cx, sink)? == Flow::Stop {
                    return Ok(Flow::Stop);
                }
            }
            return Ok(Flow::More);
        }
        (Kind::Flatten, Item::List(seq) | Item::Tuple(seq)) => {
            return push_all(rest, seq.iter(), cx, sink);
        }
        (Kind::Flatten, Item::Dict(seq)) => return push_all(rest, seq.iter().step_by(2), cx, sink),
        (Kind::Compare(Cmp::Eq, value), item) => Some(Item::Bool(equal(item, value.item()))),
        (Kind::Compare(Cmp::Ne, value), item) => Some(Item::Bool(!equal(item, value.item()))),
        (Kind::Compare(cmp, value), item) => compare(item, value.item()).map(|order| {
            Item::Bool(match cmp {
                Cmp::Lt => order == Ordering::Less,
                Cmp::Le => order != Ordering::Greater,
                Cmp::Gt => order == Ordering::Greater,
                _ => order != Ordering::Less,
            })
        }),
        (Kind::Filter(inner, keep), item) => {
            let mut truth = Truth(false);
            push(inner, item, cx, &mut truth)?;
            if truth.0 != *keep {
                return Ok(Flow::More);
            }
            Some(item)
        }
        (Kind::Take(left), item) => {
            *left -= 1;
            let last = *left == 0;
            let flow = push(rest, item, cx, sink)?;
            return Ok(if last { Flow::Stop } else { flow });
        }
        (Kind::Distinct(seen), item) => match seen.intern(item)? {
            Interned::New(_) => Some(item),
            Interned::Known(_) => return Ok(Flow::More),
            Interned::Unhashable => return Err(cx.unhashable(item)),
        },
        (Kind::Hash, item) => Some(item),
        _ => None,
    };
    if let Some(made) = made {
        return push(rest, made, cx, sink);
    }
    let mut out = Tape::new();
    cx.escape.call(steps, cx.index, item, &mut out)?;
    match (&*kind, out.first()) {
        (Kind::Flatten | Kind::StrEach(_), Item::List(seq)) => push_all(rest, seq.iter(), cx, sink),
        (_, made) => push(rest, made, cx, sink),
    }
}

fn push_all<'a>(
    rest: &mut [Op],
    items: impl Iterator<Item = Item<'a>>,
    cx: &mut Context<'_>,
    sink: &mut dyn Sink,
) -> Result<Flow> {
    for item in items {
        if push(rest, item, cx, sink)? == Flow::Stop {
            return Ok(Flow::Stop);
        }
    }
    Ok(Flow::More)
}

fn many(line: &str, names: &[String], tape: &mut Tape) -> Option<()> {
    let keys: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = Vec::new();
    json::project(line, &keys, &mut found).ok()?;
    tape.clear();
    let mark = tape.begin_tuple();
    for value in &found {
        (*value)?.append(tape).ok()?;
    }
    tape.end(mark, keys.len()).ok()
}

/// `item[key]`, or the default where the container lacks it; `None` where Python must say.
fn pick<'a>(item: Item<'a>, key: &Key, default: Option<&'a Owned>) -> Option<Item<'a>> {
    let found = match (item, key) {
        (Item::Dict(seq), Key::Name(name)) => seq.lookup(name),
        (Item::List(seq) | Item::Tuple(seq), Key::Index(at)) => seq.index(*at),
        (Item::Str(s), Key::Index(at)) => {
            let place = if *at < 0 { s.chars().count() as i64 + at } else { *at };
            usize::try_from(place)
                .ok()
                .and_then(|place| s.char_indices().nth(place))
                .map(|(from, c)| Item::Str(&s[from..from + c.len_utf8()]))
        }
        (Item::Dict(_), Key::Index(_)) => None,
        _ => return None,
    };
    found.or_else(|| default.map(Owned::item))
}

/// `int(s)` for plain decimals of up to 18 digits.
fn parse_int(s: &str) -> Option<i64> {
    let s = s.trim_matches(text::is_space);
    let digits = s.strip_prefix(['-', '+']).unwrap_or(s);
    let plain = (1..=18).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { s.parse().ok() } else { None }
}

/// `float(s)` for plain decimals.
fn parse_float(s: &str) -> Option<f64> {
    let s = s.trim_matches(text::is_space);
    let plain = s.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E'));
    if plain { s.parse().ok() } else { None }
}

struct Truth(bool);

impl Sink for Truth {
    fn push(&mut self, item: Item<'_>, _: &mut Context<'_>) -> Result<Flow> {
        self.0 = item.truth();
        Ok(Flow::More)
    }
}

/// A function as a sink.
struct Each<F>(F);

impl<F: FnMut(Item<'_>, &mut Context<'_>) -> Result<()>> Sink for Each<F> {
    fn push(&mut self, item: Item<'_>, cx: &mut Context<'_>) -> Result<Flow> {
        (self.0)(item, cx)?;
        Ok(Flow::More)
    }
}

/// Steps that make one element of each, as a function: the key or value of a fold.
#[derive(Default)]
pub struct Function {
    ops: Vec<Op>,
}

impl Function {
    /// Prepares steps.
    ///
    /// # Errors
    /// When they do not make one element of each.
    pub fn new(steps: &[Step]) -> Result<Function> {
        if !steps.iter().all(Step::maps) {
            return Err(Error::Argument("a key's steps must make one element of each element".into()));
        }
        Ok(Function { ops: compile(steps)? })
    }

    /// Passes the result for `item` to `f`.
    ///
    /// # Errors
    /// What the steps or `f` fail with.
    pub fn call(
        &mut self,
        item: Item<'_>,
        cx: &mut Context<'_>,
        f: impl FnMut(Item<'_>, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        push(&mut self.ops, item, cx, &mut Each(f)).map(drop)
    }
}

//! Pipelines, counting, ranking, folding, spilling, against plain loops.

use pantile_bag::counts::By;
use pantile_bag::fold::FoldBy;
use pantile_bag::keys::{Interned, Keys};
use pantile_bag::pipeline::Function;
use pantile_bag::rank::Rank;
use pantile_bag::reduce::{Reduce, Reduction};
use pantile_bag::{
    Buckets, Collect, Counts, Error, Escape, FoldOp, Folds, Item, Key, NoEscape, Owned, Part, Pipeline,
    Pluck, Step, StrMethod, Strings, Tape, Values,
};
use proptest::prelude::*;
use std::collections::HashMap;

fn strings(items: &[&str]) -> Part {
    Part::Strings(items.iter().copied().collect::<Strings>())
}

fn ints(items: &[i64]) -> Part {
    Part::Values(Values::Ints(items.to_vec()))
}

fn pluck(name: &str) -> Step {
    Step::Pluck(Pluck::One(Key::Name(name.into())), None)
}

fn method(method: StrMethod) -> Step {
    let mut tape = Tape::new();
    let mark = tape.begin_tuple();
    tape.end(mark, 0).unwrap();
    Step::Str { name: "split".into(), args: Owned::new(tape), unbound: false, method }
}

fn words() -> Vec<Step> {
    vec![method(StrMethod::Split(None, -1)), Step::Flatten]
}

fn apply(steps: &[Step], part: &Part) -> Result<Vec<String>, Error> {
    let mut sink = Collect::default();
    Pipeline::new(steps)?.run(part, &mut NoEscape, &mut sink)?;
    let part = sink.part();
    Ok((0..part.len()).map(|i| show(part.get(i))).collect())
}

fn show(item: Item<'_>) -> String {
    let mut text = String::new();
    pantile_bag::json::dumps(item, &mut text);
    text
}

#[test]
fn fused_and_unfused_agree() {
    let lines = strings(&[r#"{"t": "a b", "n": {"k": [1, "x"]}}"#, r#"{"n": {"k": {}}, "t": ""}"#]);
    assert_eq!(apply(&[Step::JsonLoads, pluck("t")], &lines).unwrap(), [r#""a b""#, r#""""#]);
    assert_eq!(apply(&[Step::JsonLoads, pluck("n"), pluck("k")], &lines).unwrap(), [r#"[1, "x"]"#, "{}"]);
    let both = Step::Pluck(Pluck::Many(vec![Key::Name("t".into()), Key::Name("n".into())]), None);
    let fused = apply(&[Step::JsonLoads, both.clone()], &lines).unwrap();
    assert_eq!(fused, [r#"["a b", {"k": [1, "x"]}]"#, r#"["", {"k": {}}]"#]);
    // `take` between them keeps them from being fused.
    assert_eq!(apply(&[Step::JsonLoads, Step::Take(9), both], &lines).unwrap(), fused);
    let mut steps = vec![Step::JsonLoads, pluck("t")];
    steps.extend(words());
    assert_eq!(apply(&steps, &lines).unwrap(), [r#""a""#, r#""b""#]);
}

#[test]
fn take_stops_before_what_is_broken() {
    let lines = strings(&["[1, 2, 3]", "[4]", "broken"]);
    assert_eq!(apply(&[Step::JsonLoads, Step::Flatten, Step::Take(2)], &lines).unwrap(), ["1", "2"]);
    assert_eq!(apply(&[Step::Take(0), Step::JsonLoads], &lines).unwrap(), [""; 0]);
    assert!(matches!(apply(&[Step::JsonLoads], &lines), Err(Error::NotNative(_))));
}

#[test]
fn filters_take_steps_that_map() {
    let part = ints(&[1, 2, 0, 3]);
    let mut two = Tape::new();
    two.int(2);
    let less = Step::Compare(pantile_bag::Cmp::Lt, Owned::new(two));
    assert_eq!(apply(&[Step::Filter(vec![less.clone()], true)], &part).unwrap(), ["1", "0"]);
    assert_eq!(apply(&[Step::Filter(vec![less], false)], &part).unwrap(), ["2", "3"]);
    assert!(matches!(apply(&[Step::Filter(vec![Step::Flatten], true)], &part), Err(Error::Argument(_))));
}

/// Gives what cannot be done as the text of the item's JSON, so that a test sees what came by.
struct Spell(Vec<usize>);

impl Escape for Spell {
    fn call(&mut self, _: &[Step], index: usize, item: Item<'_>, out: &mut Tape) -> pantile_bag::Result<()> {
        self.0.push(index);
        out.str(&show(item));
        Ok(())
    }
}

#[test]
fn what_is_not_native_escapes_and_comes_back() {
    let mut values = Values::new();
    for item in [Item::Str("12"), Item::Str("1_2"), Item::None, Item::Float(2.5)] {
        values.push(item).unwrap();
    }
    let (mut sink, mut escape) = (Collect::default(), Spell(Vec::new()));
    let part = Part::Values(values);
    Pipeline::new(&[Step::Int]).unwrap().run(&part, &mut escape, &mut sink).unwrap();
    assert_eq!(escape.0, [1, 2]);
    assert_eq!(sink.0.iter().map(show).collect::<Vec<_>>(), ["12", r#""\"1_2\"""#, r#""null""#, "2"]);
}

#[test]
fn equal_keys_are_one() {
    let mut keys = Keys::default();
    let add = |keys: &mut Keys, item| keys.intern(item).unwrap();
    assert_eq!(add(&mut keys, Item::Bool(true)), Interned::New(0));
    assert_eq!(add(&mut keys, Item::Int(1)), Interned::Known(0));
    assert_eq!(add(&mut keys, Item::Float(1.0)), Interned::Known(0));
    assert!(matches!(keys.get(0), Item::Bool(true)), "the first seen stays");
    assert_eq!(add(&mut keys, Item::Float(-0.0)), Interned::New(1));
    assert_eq!(add(&mut keys, Item::Int(0)), Interned::Known(1));
    assert_eq!(add(&mut keys, Item::Float(2f64.powi(70))), Interned::New(2));
    assert_eq!(add(&mut keys, Item::Big("1180591620717411303424")), Interned::Known(2));
    assert_eq!(add(&mut keys, Item::Str("1")), Interned::New(3));
    assert_eq!(add(&mut keys, Item::None), Interned::New(4));
    assert!(keys.intern(Item::Float(f64::NAN)).is_err());
}

#[test]
fn texts_of_all_lengths_are_told_apart() {
    // Zero bytes at either end must not be taken for padding.
    let mut texts: Vec<String> = Vec::new();
    for n in 0..40 {
        for c in ["a", "\0"] {
            texts.push(c.repeat(n));
            for at in 0..n {
                texts.push(format!("{}b{}", c.repeat(at), c.repeat(n - at - 1)));
            }
        }
    }
    texts.sort();
    texts.dedup();
    let mut keys = Keys::default();
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(keys.intern(Item::Str(text)).unwrap(), Interned::New(i), "{text:?}");
    }
    for (i, text) in texts.iter().enumerate() {
        assert_eq!(keys.intern(Item::Str(text)).unwrap(), Interned::Known(i));
        assert!(matches!(keys.get(i), Item::Str(s) if s == text));
    }
}

#[test]
fn buckets_spill_and_go() {
    let buckets = Buckets::new(&std::env::temp_dir(), 3, 100).unwrap();
    for i in 0..50u8 {
        buckets.add(i as usize % 3, vec![i; 10]).unwrap();
    }
    assert!(buckets.held_bytes() <= 100 && buckets.spilled_bytes() >= 400);
    for b in 0..3u8 {
        let wanted: Vec<Vec<u8>> = (0..50).filter(|i| i % 3 == b).map(|i| vec![i; 10]).collect();
        assert_eq!(buckets.read(b as usize).unwrap(), wanted);
    }
    assert!(buckets.add(3, vec![]).is_err());
    let folder = buckets.folder().to_owned();
    assert!(folder.exists());
    buckets.close().unwrap();
    buckets.close().unwrap();
    assert!(!folder.exists() && buckets.read(0).is_err());
    let folder = Buckets::new(&std::env::temp_dir(), 1, 0).unwrap().folder().to_owned();
    assert!(!folder.exists(), "dropping removes it");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_are_those_of_a_plain_loop(text in "[ab\t\u{1c}\u{a0}\u{2003}é€\u{85}\u{0}\u{1b} ]{0,60}") {
        let space = pantile_bag::text::is_space;
        let plain: Vec<&str> = text.split(space).filter(|w| !w.is_empty()).collect();
        let mut got = Vec::new();
        pantile_bag::text::words::<()>(&text, |w| { got.push(w); Ok(()) }).unwrap();
        prop_assert_eq!(got, plain);
    }

    #[test]
    fn counting_is_a_hash_map(lines in prop::collection::vec("[abc ]{0,30}|[a-z]{9,40}", 0..30), cut in any::<prop::sample::Index>(), k in 0..6usize) {
        let refs: Vec<&str> = lines.iter().map(String::as_str).collect();
        let cut = cut.index(refs.len() + 1);
        let parts: Vec<Counts> = [&refs[..cut], &refs[cut..]].iter().map(|half| {
            let mut counts = Counts::default();
            Pipeline::new(&words()).unwrap().run(&strings(half), &mut NoEscape, &mut counts).unwrap();
            counts
        }).collect();
        let all = Counts::merge(&parts).unwrap();
        let mut plain: Vec<(String, u64)> = Vec::new();
        let mut places: HashMap<&str, usize> = HashMap::new();
        for word in refs.iter().flat_map(|l| l.split_whitespace()) {
            let at = *places.entry(word).or_insert_with(|| { plain.push((word.to_owned(), 0)); plain.len() - 1 });
            plain[at].1 += 1;
        }
        let got: Vec<(String, u64)> = (0..all.len()).map(|i| match all.get(i) {
            (Item::Str(s), n) => (s.to_owned(), n),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(&got, &plain);
        let mut by_count: Vec<usize> = (0..plain.len()).collect();
        by_count.sort_by_key(|&i| std::cmp::Reverse(plain[i].1));
        by_count.truncate(k);
        prop_assert_eq!(all.topk(k, By::Count).unwrap(), by_count);
        let mut by_key: Vec<usize> = (0..plain.len()).collect();
        by_key.sort_by(|&a, &b| plain[b].0.cmp(&plain[a].0));
        by_key.truncate(k);
        prop_assert_eq!(all.topk(k, By::Key).unwrap(), by_key);
    }

    #[test]
    fn ranking_is_a_stable_sort(items in prop::collection::vec("[ab]{0,5}", 0..40), k in 0..8usize) {
        let refs: Vec<&str> = items.iter().map(String::as_str).collect();
        let mut rank = Rank::new(k, Function::new(&[Step::Len]).unwrap());
        Pipeline::new(&[]).unwrap().run(&strings(&refs), &mut NoEscape, &mut rank).unwrap();
        let mut plain = refs.clone();
        plain.sort_by_key(|s| std::cmp::Reverse(s.len()));
        plain.truncate(k);
        let got: Vec<String> = rank.into_items().map(|item| show(item.item())).collect();
        prop_assert_eq!(got, plain.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>());
    }

    #[test]
    fn folds_and_sums(items in prop::collection::vec(any::<i64>(), 1..40), cut in any::<prop::sample::Index>()) {
        let cut = cut.index(items.len());
        for op in [FoldOp::Count, FoldOp::Sum, FoldOp::Min, FoldOp::Max] {
            let parts: Vec<Folds> = [&items[..cut], &items[cut..]].iter().map(|half| {
                // The key is the last bit, as a comparison would give it.
                let pairs = half.iter().map(|v| format!("[{}, {v}]", v & 1)).collect::<Vec<_>>();
                let refs: Vec<&str> = pairs.iter().map(String::as_str).collect();
                let at = |i| Step::Pluck(Pluck::One(Key::Index(i)), None);
                let mut fold = FoldBy::new(op, Function::new(&[at(0)]).unwrap(), Function::new(&[at(1)]).unwrap());
                Pipeline::new(&[Step::JsonLoads]).unwrap().run(&strings(&refs), &mut NoEscape, &mut fold).unwrap();
                fold.folds
            }).collect();
            let all = Folds::merge(op, &parts).unwrap();
            for i in 0..all.len() {
                let Item::Int(bit) = all.key(i) else { panic!("no int") };
                let mine = items.iter().filter(|v| **v & 1 == bit).map(|&v| v as i128);
                let wanted = match op {
                    FoldOp::Count => mine.count() as i128,
                    FoldOp::Sum => mine.sum(),
                    FoldOp::Min => mine.min().unwrap(),
                    FoldOp::Max => mine.max().unwrap(),
                };
                let mut tape = Tape::new();
                all.value(i, &mut tape).unwrap();
                prop_assert_eq!(show(tape.first()), wanted.to_string());
            }
        }
        let mut sum = Reduce::new(Reduction::Sum, false);
        Pipeline::new(&[]).unwrap().run(&ints(&items), &mut NoEscape, &mut sum).unwrap();
        let (total, count) = sum.finish();
        let wanted: i128 = items.iter().map(|&v| v as i128).sum();
        prop_assert_eq!((show(total.item()), count), (wanted.to_string(), items.len() as u64));
    }

    /// Bytes that claim to be values are refused or read, never trusted.
    #[test]
    fn pickled_rubbish_is_checked(bytes in prop::collection::vec(prop_oneof![0..10u8, any::<u8>()], 0..40)) {
        if pantile_bag::tape::check(&bytes) {
            let mut ends = pantile_bag::strings::Offsets::new();
            ends.push(bytes.len());
            let values = Values::from_tape(bytes, ends).unwrap();
            values.iter().for_each(|item| drop(show(item)));
        }
    }
}

//! JSON: compared with serde_json on random and on damaged documents. A fixed number of runs; a failure prints its seed.

use pantile_bag::json::{self, Decline, Found};
use pantile_bag::{Item, Tape};
use proptest::prelude::*;
use serde_json::{Map, Number, Value};

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |v| Number::from_f64(v).map(Value::Number)),
        ".{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((".{0,4}", inner), 0..6)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// What an item is for serde_json.
fn back(item: Item<'_>) -> Value {
    match item {
        Item::None => Value::Null,
        Item::Bool(b) => Value::Bool(b),
        Item::Int(v) => Value::from(v),
        Item::Big(digits) => Value::String(format!("int {digits}")),
        Item::Float(v) => Number::from_f64(v).map_or(Value::Null, Value::Number),
        Item::Str(s) => Value::from(s),
        Item::List(seq) | Item::Tuple(seq) => Value::Array(seq.iter().map(back).collect()),
        Item::Dict(seq) => {
            let items: Vec<Item<'_>> = seq.iter().collect();
            let pairs = items.chunks(2).map(|pair| match pair[0] {
                Item::Str(key) => (key.to_owned(), back(pair[1])),
                _ => panic!("a key that is no string"),
            });
            Value::Object(pairs.collect())
        }
    }
}

fn loads(text: &str) -> Result<Value, Decline> {
    let mut tape = Tape::new();
    json::loads(text, &mut tape).map(|()| back(tape.first()))
}

#[test]
fn python_reads_more_than_json() {
    for (text, python) in [("NaN", true), ("[Infinity, -Infinity]", true), ("-NaN", false), ("nan", false)] {
        assert_eq!(json::loads(text, &mut Tape::new()).is_ok(), python, "{text}");
    }
    assert_eq!(loads("123456789012345678901"), Ok(Value::from("int 123456789012345678901")));
    assert_eq!(loads("-0"), Ok(Value::from(0)));
    assert_eq!(loads(&"9".repeat(641)), Err(Decline), "Python may be told to refuse it");
}

#[test]
fn malformed_documents_are_declined() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[1 2]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "\"a",
        "\"\n\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12é\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "tru",
        "nul",
        "truefalse",
        "1 2",
        "\u{feff}1",
        "'a'",
        "[1]]",
    ] {
        assert_eq!(loads(text), Err(Decline), "{text:?}");
        assert!(json::project(text, &["a"], &mut Vec::new()).is_err(), "{text:?}");
    }
}

#[test]
fn depth_is_bounded_and_no_stack_overflows() {
    for n in [800, 2_000, 1_000_000] {
        let text = "[".repeat(n) + &"]".repeat(n);
        assert_eq!(json::loads(&text, &mut Tape::new()).is_ok(), n < 900);
        let inside = format!("{{\"a\": {text}}}");
        assert_eq!(json::project(&inside, &["b"], &mut Vec::new()).is_ok(), n < 900);
    }
}

#[test]
fn equal_keys_keep_the_first_place_and_the_last_value() {
    for n in [1, 10, 100] {
        let keys: Vec<String> = (0..n).map(|i| format!("\"k{i}\": {i}")).collect();
        let text = format!("{{{}, \"k\\u0030\": [1], \"z\": 2}}", keys.join(", "));
        let mut tape = Tape::new();
        json::loads(&text, &mut tape).unwrap();
        let Item::Dict(seq) = tape.first() else { panic!("no dict") };
        assert_eq!(seq.len(), n + 1);
        let items: Vec<Item<'_>> = seq.iter().collect();
        assert!(matches!(items[0], Item::Str("k0")) && matches!(items[1], Item::List(_)));
        let mut found = Vec::new();
        json::project(&text, &["k0", "none"], &mut found).unwrap();
        assert!(found[1].is_none());
        let mut scratch = Tape::new();
        assert!(matches!(found[0].map(|f| f.item(&mut scratch)), Some(Ok(Item::List(_)))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_what_serde_writes(value in value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        prop_assert_eq!(loads(&text), Ok(value));
    }

    #[test]
    fn serde_reads_what_we_write(value in value()) {
        let mut tape = Tape::new();
        json::loads(&value.to_string(), &mut tape).unwrap();
        let mut text = String::new();
        json::dumps(tape.first(), &mut text);
        prop_assert!(text.is_ascii());
        prop_assert_eq!(loads(&text), Ok(value.clone()));
        // serde_json reads floats to the last bit but one by default, so it only says that this is JSON.
        prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
    }

    #[test]
    fn projecting_is_reading_and_picking(value in prop::collection::vec((".{0,3}", value()), 0..8), key in ".{0,3}") {
        let object = Value::Object(value.into_iter().collect());
        let text = object.to_string();
        let some = object.as_object().unwrap().keys().next().cloned().unwrap_or_default();
        let mut found: Vec<Option<Found<'_>>> = Vec::new();
        json::project(&text, &[&key, &some], &mut found).unwrap();
        for (name, found) in [key, some].iter().zip(found) {
            let mut scratch = Tape::new();
            let got = found.map(|f| back(f.item(&mut scratch).unwrap()));
            prop_assert_eq!(got.as_ref(), object.get(name));
        }
    }

    /// Whatever is done to a document, we and serde_json agree on whether it is one, but for what only Python allows.
    #[test]
    fn damaged_documents(value in value(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}\",:0-9eE.+\\-\\\\ tfnul]{0,2}") {
        let text = value.to_string();
        let places: Vec<usize> = text.char_indices().map(|(i, _)| i).chain([text.len()]).collect();
        let from = places[at.index(places.len())];
        let to = text[from..].chars().next().map_or(from, |c| from + c.len_utf8());
        let damaged = format!("{}{}{}", &text[..from], with, &text[to..]);
        let ours = loads(&damaged);
        let theirs = serde_json::from_str::<Value>(&damaged);
        match (&ours, &theirs) {
            (Ok(_), Ok(_)) | (Err(_), Err(_)) => {}
            // Floats beyond the range are infinite in Python.
            (Ok(_), Err(e)) => prop_assert!(e.to_string().contains("out of range"), "{damaged:?}: {e}"),
            (Err(_), Ok(_)) => prop_assert!(false, "{damaged:?}"),
        }
        if damaged.starts_with('{') {
            prop_assert_eq!(json::project(&damaged, &["a"], &mut Vec::new()).is_ok(), ours.is_ok());
        }
    }

    #[test]
    fn any_text_at_all(text in ".{0,40}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            prop_assert_eq!(loads(&text), Ok(value));
        }
    }
}

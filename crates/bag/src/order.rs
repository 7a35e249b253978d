//! Equality and order of values, as Python's `==` and `<` have them.

use crate::item::{Item, Seq};
use crate::number::{compare_big_float, compare_digits, compare_int_float};
use std::cmp::Ordering;

/// How `a` stands to `b`; `None` where Python has no order (other kinds, NaN, dicts).
pub fn compare(a: Item<'_>, b: Item<'_>) -> Option<Ordering> {
    match (a, b) {
        (Item::Str(a), Item::Str(b)) => Some(a.cmp(b)),
        (Item::Bool(a), b) => compare(Item::Int(a as i64), b),
        (a, Item::Bool(b)) => compare(a, Item::Int(b as i64)),
        (Item::Int(a), Item::Int(b)) => Some(a.cmp(&b)),
        (Item::Float(a), Item::Float(b)) => a.partial_cmp(&b),
        (Item::Int(a), Item::Float(b)) => compare_int_float(a, b),
        (Item::Float(a), Item::Int(b)) => compare_int_float(b, a).map(Ordering::reverse),
        (Item::Big(a), Item::Big(b)) => Some(compare_digits(a, b)),
        (Item::Big(a), Item::Int(_)) => {
            Some(if a.starts_with('-') { Ordering::Less } else { Ordering::Greater })
        }
        (Item::Int(_), Item::Big(b)) => {
            Some(if b.starts_with('-') { Ordering::Greater } else { Ordering::Less })
        }
        (Item::Big(a), Item::Float(b)) => compare_big_float(a, b),
        (Item::Float(a), Item::Big(b)) => compare_big_float(b, a).map(Ordering::reverse),
        (Item::List(a), Item::List(b)) | (Item::Tuple(a), Item::Tuple(b)) => compare_seq(a, b),
        _ => None,
    }
}

/// Python's rule: the first values that are not equal decide, then the lengths.
fn compare_seq(a: Seq<'_>, b: Seq<'_>) -> Option<Ordering> {
    let (mut a, mut b) = (a.iter(), b.iter());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Some(Ordering::Equal),
            (None, Some(_)) => return Some(Ordering::Less),
            (Some(_), None) => return Some(Ordering::Greater),
            (Some(a), Some(b)) if equal(a, b) => {}
            (Some(a), Some(b)) => return compare(a, b),
        }
    }
}

/// `a == b` for values that are not the same object: NaN equals nothing.
pub fn equal(a: Item<'_>, b: Item<'_>) -> bool {
    match (a, b) {
        (Item::None, Item::None) => true,
        (Item::List(a), Item::List(b)) | (Item::Tuple(a), Item::Tuple(b)) => {
            a.len() == b.len() && a.iter().zip(b.iter()).all(|(a, b)| equal(a, b))
        }
        (Item::Dict(a), Item::Dict(b)) => {
            let mut items = a.iter();
            let mut same = a.len() == b.len();
            while let (true, Some(Item::Str(key)), Some(value)) = (same, items.next(), items.next()) {
                same = b.lookup(key).is_some_and(|other| equal(value, other));
            }
            same
        }
        (a, b) => compare(a, b) == Some(Ordering::Equal),
    }
}

/// `a < b`, which is `False` for NaN; `None` where Python raises `TypeError` or looks at identity.
pub fn less(a: Item<'_>, b: Item<'_>) -> Option<bool> {
    let number = |x| matches!(x, Item::Bool(_) | Item::Int(_) | Item::Big(_) | Item::Float(_));
    match compare(a, b) {
        Some(order) => Some(order == Ordering::Less),
        None if number(a) && number(b) => Some(false),
        None => None,
    }
}

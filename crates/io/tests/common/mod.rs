//! What the tests on fixture files share: the manifest, and slicing by a naive loop.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::PathBuf;

use pantile_io::ElementLayout;
use serde_json::Value;

pub fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The manifest's entries for one format.
pub fn manifest(group: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(data("manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&text).unwrap();
    manifest[group].as_array().unwrap().clone()
}

pub fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect()
}

pub fn element(entry: &Value) -> ElementLayout {
    let element = &entry["element"];
    ElementLayout {
        itemsize: element["itemsize"].as_u64().unwrap() as usize,
        swap_unit: element["swap_unit"].as_u64().unwrap() as usize,
        big_endian: element["big_endian"].as_bool().unwrap(),
    }
}

/// The array's bytes in native, row-major order, as the Python library read them.
pub fn values(entry: &Value) -> Vec<u8> {
    let all = std::fs::read(data("values.bin")).unwrap();
    let offset = entry["values"]["offset"].as_u64().unwrap() as usize;
    let len = entry["values"]["len"].as_u64().unwrap() as usize;
    all[offset..offset + len].to_vec()
}

/// A region of an array.
#[derive(Clone, Debug)]
pub struct Box {
    pub start: Vec<u64>,
    pub step: Vec<u64>,
    pub count: Vec<u64>,
}

impl Box {
    /// The whole array.
    pub fn all(shape: &[u64]) -> Self {
        Self { start: vec![0; shape.len()], step: vec![1; shape.len()], count: shape.to_vec() }
    }

    /// Every index of the box in row-major order.
    pub fn indices(&self) -> Vec<Vec<u64>> {
        let mut indices = vec![vec![]];
        for &n in &self.count {
            indices = indices
                .into_iter()
                .flat_map(|index: Vec<u64>| (0..n).map(move |i| [index.as_slice(), &[i]].concat()))
                .collect();
        }
        indices
    }

    /// The region of a row-major array, element by element.
    pub fn slice(&self, values: &[u8], shape: &[u64], itemsize: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for index in self.indices() {
            let mut position = 0;
            for axis in 0..shape.len() {
                position = position * shape[axis] + self.start[axis] + index[axis] * self.step[axis];
            }
            let at = position as usize * itemsize;
            out.extend_from_slice(&values[at..at + itemsize]);
        }
        out
    }
}

/// A deterministic sequence of regions of an array: a small generator is enough, and a failure prints the region.
pub fn regions(shape: &[u64], how_many: usize) -> Vec<Box> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64 ^ shape.iter().sum::<u64>();
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut list = vec![Box::all(shape)];
    for _ in 0..how_many {
        let (mut start, mut step, mut count) = (vec![], vec![], vec![]);
        for &n in shape {
            let first = random(n + 1);
            let distance = [1, 1, 2, 3, 7][random(5) as usize];
            let most = (n - first).div_ceil(distance);
            start.push(first);
            step.push(distance);
            count.push(random(most + 1));
        }
        list.push(Box { start, step, count });
    }
    list
}

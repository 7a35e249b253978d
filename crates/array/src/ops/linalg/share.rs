//! A rewrite before lowering: what can be had as a by-product of something that is computed anyway is taken from there.
//!
//! Asking for singular values alone must not form the vectors, so they are a node of their own. Asked for beside the vectors they
//! would be computed twice. Which of the two holds is known only when all outputs are known. An operation says
//! with `BlockOp::shared` what would serve in its place if some other node, the anchor, is computed as well.
//!
//! The rewrite never adds work: it applies only where the anchor is needed without it.

use crate::expr::{Expr, Kind, Reduction, set_origin, topological};
use rustc_hash::{FxHashMap, FxHashSet};

/// The outputs, with by-products taken from where they fall off. Applying it twice changes nothing.
pub fn share(outputs: &[Expr]) -> Vec<Expr> {
    let nodes = topological(outputs);
    let present: FxHashSet<u64> = nodes.iter().map(Expr::id).collect();
    let mut changed: FxHashMap<u64, Expr> = FxHashMap::default();
    for node in &nodes {
        let instead = match node.kind() {
            Kind::Op(op, _) => op.shared().filter(|s| present.contains(&s.anchor.id())).map(|s| &s.instead),
            _ => None,
        };
        // The anchor was built before the node that names it, so what becomes of it is known by now.
        let source = instead.unwrap_or(node);
        let rebuilt = rebuild(source, &changed);
        if instead.is_some() || rebuilt.is_some() {
            changed.insert(node.id(), rebuilt.unwrap_or_else(|| source.clone()));
        }
    }
    outputs.iter().map(|o| changed.get(&o.id()).unwrap_or(o).clone()).collect()
}

/// The node over the changed inputs, or `None` if none of them changed.
fn rebuild(node: &Expr, changed: &FxHashMap<u64, Expr>) -> Option<Expr> {
    if !node.inputs().iter().any(|i| changed.contains_key(&i.id())) {
        return None;
    }
    let new = |e: &Expr| changed.get(&e.id()).unwrap_or(e).clone();
    let kind = match node.kind() {
        Kind::Source(_) | Kind::Fill(_) | Kind::Coord => return None,
        Kind::Map(op, inputs) => Kind::Map(op.clone(), inputs.iter().map(new).collect()),
        Kind::View(input, view) => Kind::View(new(input), view.clone()),
        Kind::Rechunk(input) => Kind::Rechunk(new(input)),
        Kind::Reduce(r) => Kind::Reduce(Reduction {
            reducer: r.reducer,
            input: new(&r.input),
            mask: r.mask.as_ref().map(new),
            axes: r.axes.clone(),
            keepdims: r.keepdims,
            nonempty: r.nonempty,
        }),
        Kind::Op(op, inputs) => Kind::Op(op.clone(), inputs.iter().map(new).collect()),
    };
    set_origin(node.node().origin.clone());
    let rebuilt = Expr::new(kind, node.dtype(), node.chunks().clone());
    set_origin(None);
    Some(rebuilt)
}

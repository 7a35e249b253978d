//! From layers to the arena: culling, numbering, duplicates, errors.

mod common;

use common::Plan;
use pantile_graph::{Family, Graph, GraphError, Layer, LayerId, TaskId, TaskRef, arena, order_or_stop};
use proptest::prelude::*;

#[test]
fn only_what_the_outputs_need_is_expanded() {
    let mut plan = Plan::default();
    let x = plan.layer("x", 1_000_000_000, 8, |_| vec![]);
    let _unused = plan.layer("unused", 5, 8, |_| vec![]);
    let y = plan.layer("y", 1_000_000_000, 8, move |i| vec![(x, i), (x, i / 2), (x, i)]);
    let z = plan.layer("z", 1, 8, move |_| vec![(y, 999_999_999), (y, 7)]);
    let graph = plan.graph(&[z]);
    assert_eq!(
        graph.to_string(),
        "graph 1\nlayer \"x\"\nlayer \"unused\"\nlayer \"y\"\nlayer \"z\"\n\
         t0 = 0[999999999] bytes=8\nt1 = 0[499999999] bytes=8\nt2 = 2[999999999] bytes=8 <- t0 t1 t0\n\
         t3 = 0[7] bytes=8\nt4 = 0[3] bytes=8\nt5 = 2[7] bytes=8 <- t3 t4 t3\nt6 = 3[0] bytes=8 <- t2 t5\nout t6\n"
    );
    assert_eq!(graph.dependents(TaskId(0)), [TaskId(2), TaskId(2)]);
    assert_eq!(graph.describe(TaskId(5)), "y[7]");
}

#[test]
fn a_chain_of_a_million_does_not_use_the_stack() {
    let mut plan = Plan::default();
    plan.layer("chain", 1_000_000, 8, |i| if i == 0 { vec![] } else { vec![(0, i - 1)] });
    let layers = plan.graph(&[0]);
    assert_eq!(layers.len(), 1_000_000);
}

/// Planning asks now and then, and does not go on after a yes.
#[test]
fn planning_can_be_stopped() {
    const TASKS: u32 = 1_000_000;
    let chain = common::Made {
        label: "chain",
        len: TASKS,
        bytes: 8,
        inputs: Box::new(|i| if i == 0 { vec![] } else { vec![(0, i - 1)] }),
    };
    let layers = [&chain as &dyn Layer];
    let last = [TaskRef::from((0, TASKS - 1))];
    let mut asked = 0;
    let mut never = || {
        asked += 1;
        false
    };
    let graph = Graph::expand_or_stop(&layers, &last, &mut never).unwrap();
    let expanding = asked;
    assert!((5..50).contains(&expanding), "{expanding}");
    let mut asked = 0;
    let mut never = || {
        asked += 1;
        false
    };
    assert!(order_or_stop(&graph, &mut never).is_some());
    let ordering = asked;
    assert!((15..150).contains(&ordering), "two surveys and the play: {ordering}");
    for yes_from in 1..=expanding {
        let mut asked = 0;
        let mut soon = || {
            asked += 1;
            asked >= yes_from
        };
        assert_eq!(Graph::expand_or_stop(&layers, &last, &mut soon).unwrap_err(), GraphError::Stopped);
        assert_eq!(asked, yes_from);
    }
    for yes_from in 1..=ordering {
        let mut asked = 0;
        let mut soon = || {
            asked += 1;
            asked >= yes_from
        };
        assert!(order_or_stop(&graph, &mut soon).is_none());
        assert_eq!(asked, yes_from);
    }
}

#[test]
fn a_large_layer_changes_from_hashing_to_an_array() {
    let mut plan = Plan::default();
    let x = plan.layer("x", 200_000, 8, |_| vec![]);
    let y = plan.layer("y", 1, 8, move |_| (0..100_000).map(|i| (x, (i * 7919) % 200_000)).collect());
    let graph = plan.graph(&[y]);
    let inputs = graph.inputs(graph.outputs()[0]);
    let named: Vec<u32> = inputs.iter().map(|&id| graph.task(id).index).collect();
    assert_eq!(named, (0..100_000u32).map(|i| (i * 7919) % 200_000).collect::<Vec<_>>());
}

#[test]
fn the_arena_keeps_its_size_promise() {
    let n = 100_000;
    let mut plan = Plan::default();
    let x = plan.layer("x", n, 8, |_| vec![]);
    let y = plan.layer("y", n, 8, move |i| (i.saturating_sub(1)..(i + 2).min(n)).map(|j| (x, j)).collect());
    let z = plan.reduce("z", y, n, 4, 8);
    let graph = plan.graph(&[z]);
    let most = graph.len() * arena::TASK_BYTES + graph.edges() * arena::EDGE_BYTES;
    assert!(graph.memory_bytes() <= most + 1024, "{} bytes, promised {most}", graph.memory_bytes());
    assert!(graph.memory_bytes() <= 64 * graph.len() + 4 * graph.edges());
    assert_eq!(arena::TASK_BYTES, 32);
    assert_eq!(arena::EDGE_BYTES, 8);
}

struct Circle;

impl Layer for Circle {
    fn len(&self) -> u32 {
        4
    }
    fn inputs(&self, index: u32, out: &mut Vec<TaskRef>) {
        out.push(TaskRef { layer: LayerId(0), index: [1, 2, 3, 1][index as usize] });
    }
    fn bytes(&self, _index: u32) -> u64 {
        1
    }
    fn label(&self) -> &str {
        "circle"
    }
}

#[test]
fn a_cycle_is_named() {
    let error = Graph::expand(&[&Circle as &dyn Layer], &[TaskRef::from((0, 0))]).unwrap_err();
    assert_eq!(error.family(), Family::Bug);
    assert_eq!(
        error.to_string(),
        "the graph has a cycle: circle[1] -> circle[2] -> circle[3] -> circle[1]. This is a bug in Pantile; please \
         report it"
    );
}

#[test]
fn inputs_that_do_not_exist_are_named() {
    let mut plan = Plan::default();
    plan.layer("x", 3, 8, |i| if i == 2 { vec![(0, 3)] } else { vec![(7, 0)] });
    let layers: Vec<Box<dyn Layer>> = vec![Box::new(common::Made {
        label: "x",
        len: 3,
        bytes: 8,
        inputs: Box::new(|i| vec![(7 * (i % 2), 9)]),
    })];
    let message = |index| {
        let error = Graph::expand(&layers, &[TaskRef::from((0, index))]).unwrap_err();
        assert!(matches!(error, GraphError::UnknownTask { .. }));
        error.to_string()
    };
    assert!(message(0).starts_with("x[0] needs x[9], but layer 0 `x` has only 3 tasks."));
    assert!(message(1).starts_with("x[1] needs task 9 of layer 7, but there are only 1 layers."));
    assert!(message(5).starts_with("the list of outputs needs x[5], but layer 0 `x` has only 3 tasks."));
}

proptest! {
    /// Random layered plans: ids are topological, both directions agree, nothing is culled wrongly or left over.
    #[test]
    fn the_arena_agrees_with_the_layers(
        edges in proptest::collection::vec(proptest::collection::vec(0u32..40, 0..4), 1..40),
        outputs in proptest::collection::vec(0u32..40, 0..4),
    ) {
        let n = edges.len() as u32;
        // Task i may need tasks below it only.
        let needs: Vec<Vec<u32>> = edges
            .iter()
            .enumerate()
            .map(|(i, to)| to.iter().filter(|_| i > 0).map(|&t| t % (i as u32).max(1)).collect())
            .collect();
        let outputs: Vec<u32> = outputs.iter().map(|o| o % n).collect();
        let of = needs.clone();
        let made = common::Made {
            label: "x", len: n, bytes: 8,
            inputs: Box::new(move |i| of[i as usize].iter().map(|&t| (0, t)).collect()),
        };
        let refs: Vec<TaskRef> = outputs.iter().map(|&o| TaskRef::from((0, o))).collect();
        let graph = Graph::expand(&[&made as &dyn Layer], &refs).unwrap();

        let mut wanted = vec![false; n as usize];
        for &o in &outputs { wanted[o as usize] = true; }
        for i in (0..n as usize).rev() {
            if wanted[i] { for &t in &needs[i] { wanted[t as usize] = true; } }
        }
        prop_assert_eq!(graph.len(), wanted.iter().filter(|w| **w).count());
        for id in graph.ids() {
            prop_assert!(wanted[graph.task(id).index as usize]);
            let named: Vec<u32> = graph.inputs(id).iter().map(|&t| graph.task(t).index).collect();
            prop_assert_eq!(&named, &needs[graph.task(id).index as usize]);
            for &input in graph.inputs(id) {
                prop_assert!(input < id);
                let there = graph.dependents(input).iter().filter(|d| **d == id).count();
                let here = graph.inputs(id).iter().filter(|i| **i == input).count();
                prop_assert_eq!(there, here);
            }
            prop_assert!(graph.dependents(id).is_sorted());
        }
        let named: Vec<u32> = graph.outputs().iter().map(|&t| graph.task(t).index).collect();
        prop_assert_eq!(named, outputs);

        let order = pantile_graph::order(&graph);
        let again = pantile_graph::Order::from_sequence(&graph, order.sequence().to_vec());
        prop_assert_eq!(again, Some(order));
        let text = graph.to_string();
        prop_assert_eq!(pantile_graph::parse(&text).unwrap(), graph);
    }
}

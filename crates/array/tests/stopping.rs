//! A run that is stopped while one of its tasks is inside a dense kernel.

mod common;
mod support;

use common::plan;
use pantile_array::error::ArrayError;
use pantile_array::ops::contract::matmul;
use pantile_array::ops::linalg::{Limits, svdvals};
use pantile_array::plan::{PlanRunner, TaskError};
use pantile_array::{Expr, Value};
use pantile_graph::{Graph, Runner};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::ramp;

/// Runs the tasks in order until one fails.
fn run(runner: &PlanRunner<'_>, graph: &Graph) -> Result<(), TaskError> {
    let mut values: Vec<Value> = Vec::new();
    for id in graph.ids() {
        let mut inputs = graph.inputs(id).iter().map(|i| values[i.0 as usize].clone()).collect();
        values.push(runner.run(graph.task(id), &mut inputs)?);
    }
    Ok(())
}

fn examples() -> [Expr; 2] {
    let x = ramp(&[&[90], &[80]]);
    let wide = ramp(&[&[80], &[90]]);
    [svdvals(&x, &Limits::default()).expect("values"), matmul(&x, &wide).expect("a product")]
}

#[test]
fn dense_tasks_give_up_once_the_run_is_stopped() {
    for e in examples() {
        let plan = plan(&[e]);
        let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks()).expect("a graph");
        let runner = PlanRunner::new(&plan, None);
        assert!(run(&runner, &graph).is_ok());
        runner.stop();
        let error = run(&runner, &graph).expect_err("it should stop");
        assert!(matches!(error.error, ArrayError::Stopped), "{error}");
        // Another run of the same plan is not stopped.
        assert!(run(&PlanRunner::new(&plan, None), &graph).is_ok());
    }
}

#[test]
fn somebody_else_can_stop_it_in_the_middle_of_a_task() {
    let [values, _] = examples();
    let plan = plan(&[values]);
    let graph = Graph::expand(&plan.graph_layers(), &plan.output_tasks()).expect("a graph");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let also = Arc::new(move || count.fetch_add(1, Ordering::SeqCst) >= 20);
    let error = run(&PlanRunner::new(&plan, Some(also)), &graph).expect_err("it should stop");
    assert!(matches!(error.error, ArrayError::Stopped), "{error}");
    assert_eq!(asked.load(Ordering::SeqCst), 21, "nothing is done after the first yes");
}

//! Which task goes first: a static priority that keeps little memory alive.
//!
//! The order is made by playing the graph through once, sequentially, with four rules. They are tried in this order:
//!
//! 1. *Free.* A task whose inputs are all there, and that lets go of at least as many bytes as it makes, runs at once.
//!    It can only lower what is alive. This is what finishes `(j, i)` of `x + x.T` right after `(i, j)`, and what drains
//!    `x - x.mean(0)` as soon as a column's mean is known.
//! 2. *Close.* When every consumer of a value could run, and together they make no more than they let go, they all run.
//!    This splits a block for an all-to-all right after it was loaded, and computes `x.mean()` and `x.std()` in one pass.
//! 3. *Complete.* When a few sources more would let every consumer of the value run, with nothing large left over, those
//!    are made next. Without this, `(u * u).mean()` and `(u * v).mean()` would keep all of `u` until `v` is looked at.
//! 4. *Descend.* Otherwise go on depth first towards the outputs; of the inputs of a task, and of the outputs, those that
//!    need far more than the others beyond their results go first (Sethi and Ullman's rule), else as they were named. Before
//!    that, layers of outputs whose tasks look at little of the graph go before those that look at far more: `x.sum()`
//!    takes the blocks in any order, and is made on the way, while `x - x.mean(0)` must have them column by column.
//!
//! What a task "makes" is judged at the end of the chain it starts (`settled`): a block that only feeds a sum counts as
//! that sum. Bytes decide everywhere, counts nowhere.
//!
//! The cost is O(V + E): each event (a value has one consumer left, all consumers of a value are ready, a value appears)
//! happens once a value and is handled in constant time or by one pass over its consumers. Rule 3 looks at graph
//! neighbourhoods of bounded size only. Sorting a task's inputs is linear when they are alike, which they nearly always
//! are.

use std::cmp::Reverse;

use crate::expand::ASK_EVERY;
use crate::{Graph, TaskId};

/// The order in which tasks should run: rank 0 first. Made by `order`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    rank: Vec<u32>,
    sequence: Vec<TaskId>,
}

impl Order {
    /// An order given by hand; `None` unless `sequence` names each task of the graph once, inputs before consumers.
    pub fn from_sequence(graph: &Graph, sequence: Vec<TaskId>) -> Option<Order> {
        const UNSET: u32 = u32::MAX;
        let mut rank = vec![UNSET; graph.len()];
        if sequence.len() != graph.len() {
            return None;
        }
        for (at, &id) in sequence.iter().enumerate() {
            if *rank.get(id.0 as usize)? != UNSET {
                return None;
            }
            rank[id.0 as usize] = at as u32;
            if graph.inputs(id).iter().any(|input| rank[input.0 as usize] == UNSET) {
                return None;
            }
        }
        Some(Order { rank, sequence })
    }

    /// The task's place; lower runs first.
    #[inline]
    pub fn rank(&self, id: TaskId) -> u32 {
        self.rank[id.0 as usize]
    }

    /// All tasks, first to last.
    pub fn sequence(&self) -> &[TaskId] {
        &self.sequence
    }

    /// How many tasks there are.
    pub fn len(&self) -> usize {
        self.sequence.len()
    }

    /// Whether there is no task.
    pub fn is_empty(&self) -> bool {
        self.sequence.is_empty()
    }
}

/// Orders the tasks of a graph so that little memory is alive at a time.
pub fn order(graph: &Graph) -> Order {
    order_counted(graph).0
}

/// As `order`, with how many edges were followed, counting each time: what ordering cost, whatever the machine.
pub fn order_counted(graph: &Graph) -> (Order, u64) {
    ordered(graph, &mut || false).expect("nobody stops it")
}

/// As `order`; `stopped` is asked every hundred thousand tasks or so. `None` if it said so.
pub fn order_or_stop(graph: &Graph, stopped: &mut dyn FnMut() -> bool) -> Option<Order> {
    ordered(graph, stopped).map(|(order, _)| order)
}

fn ordered(graph: &Graph, stopped: &mut dyn FnMut() -> bool) -> Option<(Order, u64)> {
    let mut play = Play::new(graph, stopped)?;
    // As if a last task needed all outputs: the first one that was asked for goes first, unless another needs far more.
    let outputs = play.narrow_first(graph.outputs());
    play.push_goals(&outputs);
    play.descend()?;
    // A graph from a file may have tasks that no output needs; they come last.
    for id in graph.ids() {
        if play.nodes[id.0 as usize].rank == NOT_RUN {
            play.goals.push(id);
            play.descend()?;
        }
    }
    let rank = play.nodes.iter().map(|node| node.rank).collect();
    Some((Order { rank, sequence: play.sequence }, play.visits))
}

const NOT_RUN: u32 = u32::MAX;

/// Rule 3 looks at no more consumers of a value, and no more inputs of a task, than this.
const NEIGHBOURS: usize = 6;

/// The state of a task and of the value it makes. One cache line.
#[derive(Clone)]
#[repr(align(64))]
struct Node {
    /// The size of the value, and its size at the end of the chain of sole consumers that it feeds.
    bytes: u64,
    settled: u64,
    /// What the subtree below the task takes at its peak, as if nothing in it were shared.
    need: u64,
    /// The bytes of inputs of which this is the only consumer that has not run.
    frees: u64,
    rank: u32,
    /// Different inputs that have not been made.
    missing: u32,
    /// Different consumers that have not run, and the exclusive or of their ids: when one is left, that is its id.
    consumers: u32,
    consumers_xor: u32,
    /// Consumers of which some input is missing.
    unready: u32,
    /// The last pass that saw this task; how a pass tells apart duplicates.
    seen: u32,
    /// Tasks below, and this one, as if nothing were shared.
    reach: u32,
    /// Outputs are never let go.
    output: bool,
}

const _: () = assert!(size_of::<Node>() == 64);

struct Play<'g> {
    graph: &'g Graph,
    stopped: &'g mut dyn FnMut() -> bool,
    nodes: Vec<Node>,
    sequence: Vec<TaskId>,
    /// Depth-first targets, the next one last.
    goals: Vec<TaskId>,
    /// What rules 1 and 2 found, the next one last.
    eager: Vec<TaskId>,
    /// Values whose consumers have just all become ready.
    closable: Vec<TaskId>,
    /// Values that rule 3 has still to look at.
    fresh: Vec<TaskId>,
    sortable: Vec<(u64, TaskId)>,
    pass: u32,
    /// Edges followed.
    visits: u64,
}

impl<'g> Play<'g> {
    fn new(graph: &'g Graph, stopped: &'g mut dyn FnMut() -> bool) -> Option<Play<'g>> {
        let mut play = Play {
            graph,
            stopped,
            nodes: Vec::with_capacity(graph.len()),
            sequence: Vec::with_capacity(graph.len()),
            goals: Vec::new(),
            eager: Vec::new(),
            closable: Vec::new(),
            fresh: Vec::new(),
            sortable: Vec::new(),
            pass: 0,
            visits: 0,
        };
        play.survey_inputs()?;
        play.survey_consumers()?;
        Some(play)
    }

    /// Whether to go on, after `done` tasks of a pass.
    fn go_on(&mut self, done: u32) -> Option<()> {
        (done % ASK_EVERY != ASK_EVERY - 1 || !(self.stopped)()).then_some(())
    }

    /// Inputs before consumers: counts, and what each subtree needs.
    fn survey_inputs(&mut self) -> Option<()> {
        let graph = self.graph;
        for id in graph.ids() {
            self.go_on(id.0)?;
            let inputs = graph.inputs(id);
            self.visits += inputs.len() as u64;
            let bytes = graph.bytes(id);
            let own = bytes.saturating_add(graph.scratch_bytes(id));
            let mut need = 0u64;
            let mut missing = 0;
            let mut reach = 1u32;
            if let [input] = inputs {
                let node = &mut self.nodes[input.0 as usize];
                node.consumers += 1;
                node.consumers_xor ^= id.0;
                need = node.need.max(node.bytes.saturating_add(own));
                reach = reach.saturating_add(node.reach);
                missing = 1;
            } else {
                self.pass += 1;
                self.sortable.clear();
                for &input in inputs {
                    let node = &mut self.nodes[input.0 as usize];
                    if node.seen == self.pass {
                        continue;
                    }
                    node.seen = self.pass;
                    node.consumers += 1;
                    node.consumers_xor ^= id.0;
                    missing += 1;
                    reach = reach.saturating_add(node.reach);
                    self.sortable.push((node.need.saturating_sub(node.bytes), input));
                }
                hungriest_last(&mut self.sortable);
                let mut held = 0u64;
                for &(_, input) in self.sortable.iter().rev() {
                    let node = &self.nodes[input.0 as usize];
                    need = need.max(held.saturating_add(node.need));
                    held = held.saturating_add(node.bytes);
                }
                need = need.max(held.saturating_add(own));
            }
            self.nodes.push(Node {
                bytes,
                settled: bytes,
                need,
                frees: 0,
                rank: NOT_RUN,
                missing,
                consumers: 0,
                consumers_xor: 0,
                unready: 0,
                seen: 0,
                reach,
                output: false,
            });
        }
        for output in graph.outputs() {
            self.nodes[output.0 as usize].output = true;
        }
        Some(())
    }

    /// Consumers before inputs: where chains end, and who lets go of what from the start.
    fn survey_consumers(&mut self) -> Option<()> {
        for id in self.graph.ids().rev() {
            self.go_on(id.0)?;
            let node = &mut self.nodes[id.0 as usize];
            node.unready = node.consumers;
            if node.output {
                continue;
            }
            match node.consumers {
                0 => node.settled = 0,
                1 => {
                    let bytes = node.bytes;
                    let consumer_at = node.consumers_xor as usize;
                    let consumer = &mut self.nodes[consumer_at];
                    consumer.frees = consumer.frees.saturating_add(bytes);
                    if consumer.missing == 1 {
                        let settled = consumer.settled;
                        let node = &mut self.nodes[id.0 as usize];
                        node.settled = bytes.min(settled);
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    /// The outputs, layers of tasks that reach little before layers of tasks that reach far more.
    ///
    /// Only factors of four count, reckoned from the largest, and inside a layer the order stays: at the edges of a grid tasks
    /// reach less than inside, and the grid's order is worth more.
    fn narrow_first(&self, outputs: &[TaskId]) -> Vec<TaskId> {
        let reach = |id: TaskId| self.nodes[id.0 as usize].reach;
        let mut of_layer: Vec<u32> = vec![0; self.graph.labels().len()];
        let (mut least, mut most) = (u32::MAX, 0);
        for &output in outputs {
            let layer = &mut of_layer[self.graph.task(output).layer.0 as usize];
            *layer = (*layer).max(reach(output));
        }
        for &layer in of_layer.iter().filter(|&&layer| layer > 0) {
            least = least.min(layer);
            most = most.max(layer);
        }
        let mut ordered = outputs.to_vec();
        if most / 4 >= least.max(1) {
            ordered.sort_by_key(|&id| {
                let layer = of_layer[self.graph.task(id).layer.0 as usize];
                Reverse((most / layer.max(1)).ilog2() / 2)
            });
        }
        ordered
    }

    /// Reaches the goals, top first.
    fn descend(&mut self) -> Option<()> {
        while let Some(&goal) = self.goals.last() {
            let node = &self.nodes[goal.0 as usize];
            if node.rank != NOT_RUN {
                self.goals.pop();
            } else if node.missing == 0 {
                self.goals.pop();
                self.run(goal)?;
                self.settle()?;
            } else {
                self.push_missing(goal);
            }
        }
        Some(())
    }

    /// Makes the missing inputs of `goal` the next goals.
    fn push_missing(&mut self, goal: TaskId) {
        if let [input] = self.graph.inputs(goal) {
            self.visits += 1;
            self.goals.push(*input);
        } else {
            self.push_goals(self.graph.inputs(goal));
        }
    }

    /// Adds goals that are not reached, the one that needs most beyond its result on top.
    fn push_goals(&mut self, goals: &[TaskId]) {
        self.visits += goals.len() as u64;
        self.sortable.clear();
        for &goal in goals.iter().rev() {
            let node = &self.nodes[goal.0 as usize];
            if node.rank == NOT_RUN {
                self.sortable.push((node.need.saturating_sub(node.bytes), goal));
            }
        }
        hungriest_last(&mut self.sortable);
        self.goals.extend(self.sortable.iter().map(|&(_, goal)| goal));
    }

    /// Rules 1 to 3, until none applies.
    fn settle(&mut self) -> Option<()> {
        loop {
            while let Some(id) = self.eager.pop() {
                if self.nodes[id.0 as usize].rank == NOT_RUN {
                    self.run(id)?;
                }
            }
            // Latest first, like the goals: what was just made is what is best finished.
            let Some(value) = self.fresh.pop() else { return Some(()) };
            let goals = self.goals.len();
            self.complete(value);
            if self.goals.len() > goals {
                // The other fresh values are looked at when these goals are reached, if they are still of interest.
                return Some(());
            }
        }
    }

    /// Gives `id` the next rank and sees what follows from it.
    fn run(&mut self, id: TaskId) -> Option<()> {
        let graph = self.graph;
        let rank = self.sequence.len() as u32;
        self.go_on(rank)?;
        self.sequence.push(id);
        self.nodes[id.0 as usize].rank = rank;
        let eager_before = self.eager.len();
        self.visits += (graph.dependents(id).len() + graph.inputs(id).len()) as u64;

        // What goes on with this task's value comes before what else its inputs are good for.
        let mut previous = None;
        for &consumer in graph.dependents(id) {
            if previous.replace(consumer) == Some(consumer) {
                continue;
            }
            let node = &mut self.nodes[consumer.0 as usize];
            node.missing -= 1;
            if node.missing == 0 {
                if node.frees >= node.settled {
                    self.eager.push(consumer);
                }
                self.became_ready(consumer);
            }
        }

        self.pass += 1;
        let pass = self.pass;
        for &input in graph.inputs(id) {
            let node = &mut self.nodes[input.0 as usize];
            if node.seen == pass {
                continue;
            }
            node.seen = pass;
            node.consumers -= 1;
            node.consumers_xor ^= id.0;
            if node.consumers == 1 && !node.output {
                let (bytes, last) = (node.bytes, node.consumers_xor);
                let last_node = &mut self.nodes[last as usize];
                last_node.frees = last_node.frees.saturating_add(bytes);
                if last_node.missing == 0 && last_node.frees >= last_node.settled {
                    self.eager.push(TaskId(last));
                }
            }
        }
        self.eager[eager_before..].reverse();

        while let Some(value) = self.closable.pop() {
            self.close(value);
        }
        let node = &self.nodes[id.0 as usize];
        if node.unready > 0 && node.consumers > 1 {
            self.fresh.push(id);
        }
        Some(())
    }

    fn became_ready(&mut self, id: TaskId) {
        self.visits += self.graph.inputs(id).len() as u64;
        self.pass += 1;
        let pass = self.pass;
        for &input in self.graph.inputs(id) {
            let node = &mut self.nodes[input.0 as usize];
            if node.seen == pass {
                continue;
            }
            node.seen = pass;
            node.unready -= 1;
            // With one consumer left, rule 1 has judged already.
            if node.unready == 0 && node.consumers > 1 {
                self.closable.push(input);
            }
        }
    }

    /// Rule 2: all consumers of `value` are ready.
    fn close(&mut self, value: TaskId) {
        let node = &self.nodes[value.0 as usize];
        let mut frees = if node.output { 0 } else { node.bytes };
        let mut makes = 0u64;
        let consumers = self.graph.dependents(value);
        self.visits += consumers.len() as u64;
        let mut previous = None;
        for &consumer in consumers {
            let node = &self.nodes[consumer.0 as usize];
            if node.rank == NOT_RUN && previous.replace(consumer) != Some(consumer) {
                makes = makes.saturating_add(node.settled);
                frees = frees.saturating_add(node.frees);
            }
        }
        if makes <= tolerated(frees) {
            // The first consumer goes on top. Those that have run, and duplicates, are skipped when popped.
            self.eager.extend(consumers.iter().rev());
        }
    }

    /// Whether the task is a source, could run now, or is a step or two away from that.
    ///
    /// Nothing with more behind it: that would be another part of the graph, which may be what is being descended into
    /// already, and to begin it again for every value would take quadratic time.
    fn is_near(&self, mut task: TaskId) -> bool {
        for _ in 0..3 {
            match (self.nodes[task.0 as usize].missing, self.graph.inputs(task)) {
                (0, _) => return true,
                (_, &[input]) => task = input,
                _ => return false,
            }
        }
        self.nodes[task.0 as usize].missing == 0
    }

    /// Rule 3: adds goals that let go of `value`, if that takes only a few sources and leaves nothing large.
    fn complete(&mut self, value: TaskId) {
        let graph = self.graph;
        let node = &self.nodes[value.0 as usize];
        let consumers = graph.dependents(value);
        if node.unready == 0 || node.output || node.bytes == 0 || consumers.len() > NEIGHBOURS {
            return;
        }
        let mut missing: [TaskId; NEIGHBOURS] = [TaskId(0); NEIGHBOURS];
        let mut missing_len = 0;
        let mut holds = node.bytes;
        let mut makes = 0u64;
        for &consumer in consumers {
            let consumer_node = &self.nodes[consumer.0 as usize];
            if consumer_node.rank != NOT_RUN {
                continue;
            }
            makes = makes.saturating_add(consumer_node.settled);
            let inputs = graph.inputs(consumer);
            self.visits += inputs.len().min(NEIGHBOURS) as u64;
            if makes > tolerated(node.bytes) || inputs.len() > NEIGHBOURS {
                return;
            }
            for &input in inputs {
                let input_node = &self.nodes[input.0 as usize];
                if input_node.rank != NOT_RUN || missing[..missing_len].contains(&input) {
                    continue;
                }
                let wide = graph.dependents(input).len() > NEIGHBOURS;
                if missing_len == NEIGHBOURS || wide || !self.is_near(input) {
                    return;
                }
                missing[missing_len] = input;
                missing_len += 1;
                holds = holds.saturating_add(input_node.bytes);
            }
        }
        // The other consumers of what would be made must then be ready as well, or it would stay in turn.
        for &input in &missing[..missing_len] {
            if self.nodes[input.0 as usize].output {
                return;
            }
            for &other in graph.dependents(input) {
                if consumers.contains(&other) {
                    continue;
                }
                makes = makes.saturating_add(self.nodes[other.0 as usize].settled);
                let inputs = graph.inputs(other);
                let done = |task: &TaskId| {
                    self.nodes[task.0 as usize].rank != NOT_RUN || missing[..missing_len].contains(task)
                };
                if makes > tolerated(holds) || inputs.len() > NEIGHBOURS || !inputs.iter().all(done) {
                    return;
                }
            }
        }
        for &consumer in consumers.iter().rev() {
            if self.nodes[consumer.0 as usize].rank == NOT_RUN {
                self.goals.push(consumer);
            }
        }
    }
}

/// Sorts goals by what they need beyond their results, the one that goes first last.
///
/// Only differences by a factor of four count, reckoned from the largest, and the order of the rest stays: neighbours in
/// a grid need a little more or less than each other at its edges, and to visit them in another order than the grid's
/// would cost far more than it saves.
fn hungriest_last(goals: &mut [(u64, TaskId)]) {
    let (mut least, mut most) = (u64::MAX, 0);
    for &(beyond, _) in goals.iter() {
        least = least.min(beyond);
        most = most.max(beyond);
    }
    if most / 4 >= least.max(1) {
        goals.sort_by_key(|&(beyond, _)| Reverse((most / beyond.max(1)).ilog2() / 2));
    }
}

/// Up to an eighth more may be made than is let go: a block and its partial sums may stand for a block.
fn tolerated(frees: u64) -> u64 {
    frees.saturating_add(frees / 8)
}

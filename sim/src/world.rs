//! A world: its nodes, its network, its time, and what scenarios do with them.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::confined::Confined;
use evidence::{NodeName, What};
use madsim::runtime::{Handle, NodeHandle};
use model::{Planted, Time, coverage};

use crate::buggify::Buggify;
use crate::clock::{Clock, Sleep};
use crate::digest::{Digest, NodeIndex, Recording};
use crate::life::Life;
use crate::network::{Fabric, Network};
use crate::node::{Node, NodeState};
use crate::run::{Keep, Observer, Outcome};
use crate::streams::{Stream, Streams};
use crate::tasks::{Crew, Tasks};
use crate::trace::Trace;

/// The world itself, as a node of the trace.
const WORLD: &str = "world";

/// One world, for the scenario that lives in it. Cheap to clone.
#[derive(Clone)]
pub struct World {
    core: Arc<Core>,
    network: Network,
}

/// What holds for every node of a world.
#[derive(Clone, Copy)]
pub(crate) struct Nodes {
    pub(crate) planted: Planted,
    pub(crate) buggify: bool,
}

/// What everything in one world shares.
pub(crate) struct Core {
    seed: u64,
    pub(crate) planted: Planted,
    pub(crate) buggify: Buggify,
    pub(crate) streams: Streams,
    pub(crate) clock: Clock,
    pub(crate) digest: Digest,
    pub(crate) trace: Arc<Trace>,
    pub(crate) fabric: Fabric,
    pub(crate) madsim: Handle,
    /// Where tasks of the world itself run.
    keeper: NodeHandle,
    own_tasks: Crew,
    /// By name, in the order of their making; the world itself is not among them.
    nodes: Confined<Vec<Arc<NodeState>>>,
    pub(crate) tasks: Tasks,
}

impl World {
    pub(crate) fn new(core: Arc<Core>) -> World {
        let network = Network::new(core.fabric.clone());
        World { core, network }
    }

    pub fn seed(&self) -> u64 {
        self.core.seed
    }

    /// The node of this name: a machine with its disk. Made if there is none, with power and without a process.
    pub fn node(&self, name: &str) -> Node {
        let nodes = &mut *self.core.nodes.lock();
        if let Some(state) = nodes.iter().find(|state| *state.name.0 == *name) {
            return Node::new(self.core.clone(), state.clone());
        }
        let index = self.core.fabric.add_machine(name);
        let state = Arc::new(NodeState::new(&self.core, index, name));
        nodes.push(state.clone());
        Node::new(self.core.clone(), state)
    }

    /// All nodes, in the order of their making.
    pub fn nodes(&self) -> Vec<Node> {
        self.core.nodes.lock().iter().map(|state| Node::new(self.core.clone(), state.clone())).collect()
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// A stream of chance: the same label gives the same draws again.
    pub fn stream(&self, label: &str) -> Stream {
        self.core.streams.stream(label)
    }

    /// World time since the run began.
    pub fn now(&self) -> Time {
        self.core.clock.now()
    }

    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.core.clock.sleep(duration)
    }

    pub fn sleep_until(&self, deadline: Time) -> Sleep {
        self.core.clock.sleep_until(deadline)
    }

    /// Runs `future` beside the scenario, on no node.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.core.tasks.spawn(self.core.own_tasks, future);
    }

    /// Writes an entry of the world's own into the trace: a fault that begins, a phase that is over.
    pub fn note(&self, what: What) {
        self.core.trace.write(NodeIndex(0), &NodeName(WORLD.into()), what);
    }

    /// From now on no broker does what it may do and hardly ever does.
    pub fn stop_buggify(&self) {
        self.core.buggify.stop();
    }

    /// Forgets which points of the code were passed: what was preparation does not count.
    pub fn count_points_anew(&self) {
        coverage::begin();
    }

    /// Waits until the observer has asked the run to stop.
    pub async fn stopped(&self) {
        self.core.trace.stopped().await;
    }
}

impl Core {
    pub(crate) fn new(seed: u64, nodes: Nodes, keep: Keep, observer: Observer) -> Arc<Core> {
        let madsim = Handle::current();
        let keeper = madsim.create_node().name(WORLD).build();
        let clock = Clock::new(&keeper);
        let streams = Streams::new(seed);
        let digest = Digest::new(clock.clone(), keep.every_event);
        let trace = Arc::new(Trace::new(clock.clone(), digest.clone(), observer, keep.trace));
        let fabric = Fabric::new(clock.clone(), digest.clone(), streams.stream("network"));
        let world = fabric.add_machine(WORLD);
        assert_eq!(world, NodeIndex(0));
        let Nodes { planted, buggify } = nodes;
        let buggify = Buggify::new(buggify, streams);
        let tasks = Tasks::new(clock.clone(), streams.stream("tasks"));
        let own_tasks = tasks.begin(&keeper, Life::begin(), None);
        Arc::new(Core {
            seed,
            planted,
            buggify,
            streams,
            clock,
            digest,
            trace,
            fabric,
            madsim,
            keeper,
            own_tasks,
            nodes: Confined::default(),
            tasks,
        })
    }

    /// What is left of the run; it is over.
    pub(crate) fn take_outcome(&self) -> Outcome<()> {
        let mut nodes = vec![WORLD.to_owned()];
        nodes.extend(self.nodes.lock().iter().map(|state| state.name.0.to_string()));
        Outcome {
            seed: self.seed,
            value: (),
            digest: self.digest.value(),
            events: self.digest.events(),
            world_time: self.clock.now(),
            tally: self.digest.tally(self.tasks.polls(), &nodes),
            entries: self.trace.take_entries(),
            points: coverage::end(),
            recording: self.digest.take_recording().map(|records| Recording { nodes, records }),
        }
    }

    /// Kills all tasks; madsim drops them a moment later.
    pub(crate) fn end(&self) {
        for state in self.nodes.lock().iter() {
            state.end(&self.madsim);
        }
        self.madsim.kill(self.keeper.id());
        self.forget_waits();
    }

    /// Lets go of all that waits for something, or the world would hold its tasks and they the world.
    pub(crate) fn forget_waits(&self) {
        self.fabric.clear();
        self.clock.clear();
        self.tasks.forget_poll();
    }
}

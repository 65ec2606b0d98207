//! A node: a machine that may lose its power, with a process on it that may crash, pause and start again.
//!
//! Fault model. A *crash* ends the process at once: sockets are closed, the page cache lives on. A *loss of power* is silent:
//! peers see no end of their connections, and the disk keeps what its own model says; several nodes on one line lose it at the
//! same moment. A *paused* process (a long collection, a laptop lid, a virtual machine that moves house) runs no task until it
//! is resumed, late by as much, while its machine still answers for it. A *restart* may run another program than before:
//! another version, or another configuration. The disk may be another one too: empty (see `disk.rs`).
//!
//! A broker must survive any of this on any node, at any moment, also in the middle of the next start. While too few nodes run
//! there need be no service, and nothing that was acknowledged may be lost.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::confined::Confined;
use evidence::{NodeName, What};
use madsim::runtime::{Handle, NodeHandle};

use crate::digest::{Kind, NodeIndex};
use crate::disk::DiskState;
use crate::life::Life;
use crate::panics;
use crate::process::{Process, SimHost};
use crate::seam::DiskSeam;
use crate::tasks::OnPanic;
use crate::wall_clock::WallClock;
use crate::world::Core;

/// How far apart the origins of monotonic clocks may be: one node's time means nothing to another.
const ORIGIN_MAX: Duration = Duration::from_secs(1_000);

/// What a process runs, made anew for every start.
type Program = Arc<dyn Fn(SimHost) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// A node of the world. Cheap to clone.
#[derive(Clone)]
pub struct Node {
    core: Arc<Core>,
    state: Arc<NodeState>,
}

pub(crate) struct NodeState {
    pub(crate) name: NodeName,
    index: NodeIndex,
    pub(crate) disk: DiskState,
    wall_clock: Arc<Confined<WallClock>>,
    machine: Confined<Machine>,
}

struct Machine {
    has_power: bool,
    /// Of the monotonic clock; another one after each loss of power.
    origin: Duration,
    boots: u32,
    starts: u32,
    program: Option<Program>,
    process: Option<Running>,
}

struct Running {
    life: Life,
    madsim: NodeHandle,
    is_paused: bool,
}

impl Node {
    pub(crate) fn new(core: Arc<Core>, state: Arc<NodeState>) -> Node {
        Node { core, state }
    }

    pub fn name(&self) -> &str {
        &self.state.name.0
    }

    /// Its place in [`crate::Links`].
    pub fn index(&self) -> NodeIndex {
        self.state.index
    }

    /// The disk, which outlives every process: for faults.
    pub fn disk(&self) -> &DiskState {
        &self.state.disk
    }

    /// Starts a process that runs `program`; when that ends, so does the process, with all its tasks.
    ///
    /// # Panics
    /// If a process runs already.
    pub fn start<F, P>(&self, program: F)
    where
        F: Fn(SimHost) -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        assert!(!self.is_running(), "{} runs already: crash it first", self.name());
        self.state.machine.lock().program = Some(Arc::new(move |host| Box::pin(program(host))));
        self.launch();
    }

    /// Starts the last program again, ends it before if it still runs, and brings back the power if that is lost.
    ///
    /// # Panics
    /// If nothing was ever started here.
    pub fn restart(&self) {
        self.crash();
        self.launch();
    }

    /// The process dies at once. Its machine lives on: sockets are closed, written bytes stay.
    pub fn crash(&self) {
        if self.end_process() {
            self.state.disk.crash();
            self.core.fabric.process_ended(self.index());
            self.charge(Kind::Crashed, 0);
            self.note(What::NodeCrashed);
        }
    }

    /// The machine goes dark, silently. Synced bytes stay, and of the others what chance leaves.
    pub fn power_loss(&self) {
        if !std::mem::replace(&mut self.state.machine.lock().has_power, false) {
            return;
        }
        self.end_process();
        self.state.disk.power_loss();
        self.core.fabric.power_lost(self.index());
        self.charge(Kind::PowerLost, 0);
        self.note(What::PowerLost);
    }

    /// The process stands still: no task of it runs until [`Node::resume`]. Its machine still answers for it.
    pub fn pause(&self) {
        if let Some(running) = &mut self.state.machine.lock().process
            && !std::mem::replace(&mut running.is_paused, true)
        {
            self.core.madsim.pause(running.madsim.id());
            self.charge(Kind::Paused, 0);
            self.note(What::NodePaused);
        }
    }

    pub fn resume(&self) {
        if let Some(running) = &mut self.state.machine.lock().process
            && std::mem::replace(&mut running.is_paused, false)
        {
            self.core.madsim.resume(running.madsim.id());
            self.charge(Kind::Resumed, 0);
            self.note(What::NodeResumed);
        }
    }

    /// True while a process is there, paused or not.
    pub fn is_running(&self) -> bool {
        self.state.machine.lock().process.is_some()
    }

    pub fn is_paused(&self) -> bool {
        self.state.machine.lock().process.as_ref().is_some_and(|running| running.is_paused)
    }

    pub fn has_power(&self) -> bool {
        self.state.machine.lock().has_power
    }

    /// Makes the wall clock wrong by this many milliseconds: ahead if positive, behind if negative.
    pub fn set_clock_offset(&self, milliseconds: i64) {
        self.state.wall_clock.lock().set_offset(milliseconds, self.core.clock.now());
        self.charge(Kind::ClockSet, milliseconds as u64);
    }

    /// Makes the wall clock gain this many microseconds in a second, or lose them if negative.
    pub fn set_clock_drift(&self, ppm: i64) {
        self.state.wall_clock.lock().set_drift(ppm, self.core.clock.now());
        self.charge(Kind::ClockDrifts, ppm as u64);
    }

    /// Writes an entry of this node into the trace.
    pub fn note(&self, what: What) {
        self.core.trace.write(self.index(), &self.state.name, what);
    }

    #[expect(clippy::expect_used, reason = "the contract of `restart`")]
    fn launch(&self) {
        let (program, process) = {
            let machine = &mut *self.state.machine.lock();
            let program = machine.program.clone().expect("a program that was started before");
            if !std::mem::replace(&mut machine.has_power, true) {
                machine.boots += 1;
                machine.origin = self.state.origin(&self.core, machine.boots);
                self.core.fabric.power_back(self.index());
            }
            machine.starts += 1;
            let life = Life::begin();
            let madsim = self.core.madsim.create_node().name(self.name()).build();
            let crew = self.core.tasks.begin(&madsim, life.clone(), self.end_by_panic(life.clone()));
            machine.process = Some(Running { life: life.clone(), madsim, is_paused: false });
            let entropy = self.core.streams.stream(&format!("entropy/{}/{}", self.name(), machine.starts));
            self.charge(Kind::Started, u64::from(machine.starts));
            let process = Process {
                core: self.core.clone(),
                node: self.index(),
                name: self.state.name.clone(),
                disk: self.state.disk.mount(life.clone()),
                life,
                crew,
                origin: machine.origin,
                wall_clock: self.state.wall_clock.clone(),
                entropy: Confined::new(entropy),
            };
            (program, process)
        };
        self.note(What::NodeStarted);
        let (node, crew, life) = (self.clone(), process.crew, process.life.clone());
        self.core.tasks.spawn(crew, async move {
            let result = program(SimHost::new(process)).await;
            node.stopped(&life, result);
        });
    }

    /// What becomes of the process when a task of it panics.
    fn end_by_panic(&self, life: Life) -> OnPanic {
        panics::watch();
        let node = self.clone();
        Some(Box::new(move |panic| node.stopped(&life, Err(panic))))
    }

    /// The program has ended by itself, or panicked.
    fn stopped(&self, life: &Life, result: Result<(), String>) {
        if life.is_on() && self.end_process() {
            self.state.disk.crash();
            self.core.fabric.process_ended(self.index());
            self.charge(Kind::Stopped, 0);
            self.note(What::NodeStopped { error: result.err() });
        }
    }

    /// True if there was one.
    fn end_process(&self) -> bool {
        self.state.kill(&self.core.madsim)
    }

    fn charge(&self, kind: Kind, number: u64) {
        self.core.digest.event(kind, self.index(), number, 0);
    }
}

impl NodeState {
    pub(crate) fn new(core: &Core, index: NodeIndex, name: &str) -> NodeState {
        let seam = DiskSeam {
            node: index,
            name: NodeName(name.into()),
            clock: core.clock.clone(),
            digest: core.digest.clone(),
            trace: core.trace.clone(),
            stream: core.streams.stream(&format!("disk/{name}")),
        };
        let machine =
            Machine { has_power: true, origin: Duration::ZERO, boots: 0, starts: 0, program: None, process: None };
        let state = NodeState {
            name: NodeName(name.into()),
            index,
            disk: DiskState::new(seam),
            wall_clock: Arc::default(),
            machine: Confined::new(machine),
        };
        state.machine.lock().origin = state.origin(core, 0);
        state
    }

    fn origin(&self, core: &Core, boots: u32) -> Duration {
        core.streams.stream(&format!("origin/{}/{boots}", self.name)).duration(Duration::ZERO..ORIGIN_MAX)
    }

    /// Nothing runs there any more, or ever will: what it would run may hold the world that it is in.
    pub(crate) fn end(&self, madsim: &Handle) {
        self.kill(madsim);
        let program = self.machine.lock().program.take();
        drop(program);
    }

    /// Ends the process, if there is one: its tasks are dropped in a moment, and nothing that they do then matters.
    pub(crate) fn kill(&self, madsim: &Handle) -> bool {
        let process = self.machine.lock().process.take();
        if let Some(running) = &process {
            running.life.end();
            madsim.kill(running.madsim.id());
        }
        process.is_some()
    }
}

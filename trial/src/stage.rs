//! The stage: every node of a run, and what may befall it. Whatever befalls one is undone by [`Stage::heal`].

use std::sync::Arc;
use std::time::Duration;

use evidence::{Action, Recorder};
use parking_lot::Mutex;
use server::Config;
use sim::{LinkSettings, Links, Node, NodeIndex, SimHost, World};
use tokio::sync::watch;

use crate::cluster::Plan;
use crate::selection::Role;

/// What a disk holds that is not full.
const DISK_CAPACITY: u64 = 1 << 40;

/// All nodes of a run: brokers, controllers, clients, in this order.
pub(crate) struct Stage {
    pub(crate) world: World,
    members: Vec<Member>,
    roles: Vec<Role>,
    /// Changes to links, in the order in which they came.
    overlays: Vec<(u32, Overlay)>,
    next_overlay: u32,
}

struct Member {
    node: Node,
    /// Asks the process to end in order; brokers and controllers listen.
    stop: watch::Sender<bool>,
    /// What a client's process is called in the history.
    life: ClientLife,
}

/// A change to some links.
#[derive(Clone)]
pub(crate) struct Overlay {
    pub(crate) links: Vec<(NodeIndex, NodeIndex)>,
    pub(crate) change: LinkChange,
}

#[derive(Clone, Copy)]
pub(crate) enum LinkChange {
    Latency { min: Duration, max: Duration },
    Loss(f64),
}

/// Which process of the history a client is now; none while it is nobody.
#[derive(Clone, Default)]
pub(crate) struct ClientLife(Arc<Mutex<Option<u64>>>);

impl ClientLife {
    /// The client acts as `process` from now on.
    pub(crate) fn is(&self, process: u64) {
        *self.0.lock() = Some(process);
    }

    /// The client acts no more as `process`.
    pub(crate) fn ended(&self, process: u64) {
        self.0.lock().take_if(|current| *current == process);
    }
}

impl Stage {
    pub(crate) fn new(world: World) -> Stage {
        Stage { world, members: Vec::new(), roles: Vec::new(), overlays: Vec::new(), next_overlay: 0 }
    }

    /// Starts a broker or a controller.
    pub(crate) fn start_server(&mut self, plan: &Plan) {
        let node = self.world.node(&plan.name);
        let role = if plan.config.is_broker { Role::Broker(plan.id) } else { Role::Controller(plan.id) };
        let stop = watch::Sender::new(false);
        let (config, stopping) = (plan.config.clone(), stop.clone());
        node.start(move |host| serve(config.clone(), host, stopping.subscribe()));
        self.admit(role, node, stop, ClientLife::default());
    }

    /// Starts a client that runs `program` from the beginning each time its node starts.
    pub(crate) fn start_client<F, P>(&mut self, role: Role, name: &str, life: ClientLife, program: F)
    where
        F: Fn(SimHost) -> P + Send + Sync + 'static,
        P: Future<Output = Result<(), String>> + Send + 'static,
    {
        let node = self.world.node(name);
        node.start(program);
        self.admit(role, node, watch::Sender::new(false), life);
    }

    fn admit(&mut self, role: Role, node: Node, stop: watch::Sender<bool>, life: ClientLife) {
        self.members.push(Member { node, stop, life });
        self.roles.push(role);
    }

    pub(crate) fn roles(&self) -> &[Role] {
        &self.roles
    }

    pub(crate) fn node(&self, member: usize) -> &Node {
        &self.members[member].node
    }

    pub(crate) fn indexes(&self, members: &[usize]) -> Vec<NodeIndex> {
        members.iter().map(|&member| self.node(member).index()).collect()
    }

    /// True if a process runs there and does not stand still.
    pub(crate) fn is_up(&self, member: usize) -> bool {
        self.node(member).is_running() && !self.node(member).is_paused()
    }

    /// True if a process is there, be it paused.
    pub(crate) fn is_running(&self, member: usize) -> bool {
        self.node(member).is_running()
    }

    pub(crate) fn crash(&self, member: usize, recorder: &Recorder) {
        self.members[member].node.crash();
        self.bury(member, recorder);
    }

    pub(crate) fn power_loss(&self, member: usize, recorder: &Recorder) {
        self.members[member].node.power_loss();
        self.bury(member, recorder);
    }

    /// Asks a server to stop in order; a client knows no such thing, and dies.
    pub(crate) fn stop(&self, member: usize, recorder: &Recorder) {
        if self.roles[member].is_client() {
            self.crash(member, recorder);
        } else {
            self.members[member].stop.send_replace(true);
        }
    }

    /// Starts what is down.
    pub(crate) fn revive(&self, member: usize) {
        let Member { node, stop, .. } = &self.members[member];
        if !node.is_running() {
            stop.send_replace(false);
            node.restart();
        }
    }

    /// The history learns that a client died.
    fn bury(&self, member: usize, recorder: &Recorder) {
        if let Some(process) = self.members[member].life.0.lock().take() {
            recorder.notice(self.world.now(), process, Action::Crash);
        }
    }

    /// Changes links until [`Stage::remove`].
    pub(crate) fn overlay(&mut self, overlay: Overlay) -> u32 {
        let id = self.next_overlay;
        self.next_overlay += 1;
        self.overlays.push((id, overlay.clone()));
        self.set_links(&overlay.links);
        id
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(place) = self.overlays.iter().position(|(known, _)| *known == id) {
            let (_, overlay) = self.overlays.remove(place);
            self.set_links(&overlay.links);
        }
    }

    /// Each of these links as the changes in force make it.
    fn set_links(&self, links: &[(NodeIndex, NodeIndex)]) {
        for link in links {
            let mut settings = LinkSettings::LOCAL;
            for (_, overlay) in self.overlays.iter().filter(|(_, overlay)| overlay.links.contains(link)) {
                match overlay.change {
                    LinkChange::Latency { min, max } => {
                        settings = LinkSettings {
                            latency_min: min,
                            latency_mean_extra: (max - min) / 2,
                            tail_chance: 0.0,
                            ..settings
                        };
                    }
                    LinkChange::Loss(loss) => settings.loss = loss,
                }
            }
            self.world.network().set_links(&Links::one_way(&[link.0], &[link.1]), settings);
        }
    }

    /// Not a byte more can be written to the disk of a node.
    pub(crate) fn fill_disk(&self, member: usize) {
        self.node(member).disk().set_capacity(0);
    }

    pub(crate) fn free_disk(&self, member: usize) {
        self.node(member).disk().set_capacity(DISK_CAPACITY);
    }

    /// Ends whatever still goes wrong: links, clocks, sleepers, and every server that is down.
    pub(crate) fn heal(&mut self) {
        self.world.network().lift_all();
        while let Some((id, _)) = self.overlays.first() {
            self.remove(*id);
        }
        for (member, role) in self.roles.iter().enumerate() {
            let node = self.node(member);
            node.set_clock_offset(0);
            node.resume();
            if !role.is_client() {
                self.free_disk(member);
                self.revive(member);
            }
        }
    }
}

async fn serve(config: Config, host: SimHost, mut stopping: watch::Receiver<bool>) -> Result<(), String> {
    let stop = async move {
        let _told = stopping.wait_for(|stop| *stop).await;
    };
    server::run(config, host, stop, |_| {}).await.map_err(|error| error.to_string())
}

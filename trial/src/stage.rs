//! The stage: every node of a run, and what may befall it. Whatever befalls one is undone by [`Stage::heal`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use evidence::{Action, Recorder};
use model::BrokerId;
use parking_lot::Mutex;
use scenarios::{ConfigValue, LogDir, PartitionName};
use server::Config;
use sim::{LinkSettings, Links, Node, NodeIndex, Operation, SimHost, World};
use tokio::sync::watch;

use crate::cluster::{self, Plan};
use crate::scene::Scene;
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
    /// Logs that lay on a disk which was replaced while their owner was in sync.
    begun_anew: Mutex<BTreeSet<(usize, PartitionName)>>,
}

struct Member {
    node: Node,
    /// Asks the process to end in order; brokers and controllers listen.
    stop: watch::Sender<bool>,
    /// What a client's process is called in the history.
    life: ClientLife,
    /// What a server starts with.
    config: Option<Arc<Mutex<Config>>>,
    /// The fault atlas looks after its disk.
    is_spared: bool,
}

/// A change to some links.
#[derive(Clone)]
pub(crate) struct Overlay {
    pub(crate) links: Vec<(NodeIndex, NodeIndex)>,
    /// Whole network cards, for a bandwidth.
    pub(crate) cards: Vec<NodeIndex>,
    pub(crate) change: LinkChange,
}

#[derive(Clone, Copy)]
pub(crate) enum LinkChange {
    Latency {
        min: Duration,
        max: Duration,
    },
    Loss(f64),
    /// Bytes a second.
    Bandwidth(u64),
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
        Stage {
            world,
            members: Vec::new(),
            roles: Vec::new(),
            overlays: Vec::new(),
            next_overlay: 0,
            begun_anew: Mutex::default(),
        }
    }

    /// Starts a broker or a controller.
    pub(crate) fn start_server(&mut self, plan: &Plan) {
        let node = self.world.node(&plan.name);
        let role = if plan.config.is_broker { Role::Broker(plan.id) } else { Role::Controller(plan.id) };
        let stop = watch::Sender::new(false);
        let config = Arc::new(Mutex::new(plan.config.clone()));
        let (starting, stopping) = (config.clone(), stop.clone());
        node.start(move |host| serve(starting.lock().clone(), host, stopping.subscribe()));
        self.admit(role, node, stop, ClientLife::default());
        if let Some(member) = self.members.last_mut() {
            member.config = Some(config);
        }
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
        self.members.push(Member { node, stop, life, config: None, is_spared: true });
        self.roles.push(role);
    }

    pub(crate) fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The number of a broker; none for anybody else.
    pub(crate) fn broker(&self, member: usize) -> Option<BrokerId> {
        match self.roles[member] {
            Role::Broker(id) => Some(id),
            Role::Controller(_) | Role::Producer(_) | Role::Consumer(_) => None,
        }
    }

    /// Who the broker of this number is here.
    pub(crate) fn member_of(&self, broker: BrokerId) -> Option<usize> {
        self.roles.iter().position(|role| *role == Role::Broker(broker))
    }

    /// Where a server keeps the log of a partition.
    pub(crate) fn log_directory(&self, member: usize, partition: &PartitionName) -> String {
        let roots = self.log_dirs(member);
        let mut places = roots.iter().map(|root| format!("{root}/{}-{}", partition.topic, partition.index)).rev();
        let disk = self.node(member).disk();
        let first = places.next_back().unwrap_or_default();
        places.find(|place| disk.has_directory(place)).unwrap_or(first)
    }

    /// The log directories of a server.
    pub(crate) fn log_dirs(&self, member: usize) -> Vec<String> {
        self.members[member].config.as_ref().map_or_else(Vec::new, |config| config.lock().log_directories.clone())
    }

    /// The log directory that a fault means.
    pub(crate) fn log_dir(&self, member: usize, named: &LogDir) -> String {
        match named {
            LogDir::Number(number) => {
                let place = usize::try_from(*number).unwrap_or(usize::MAX).saturating_sub(1);
                self.log_dirs(member).get(place).cloned().unwrap_or_default()
            }
            LogDir::Of(partition) => {
                let log = self.log_directory(member, partition);
                log.rsplit_once('/').map_or_else(String::new, |(root, _)| root.to_owned())
            }
        }
    }

    /// Does it vote in the metadata quorum, or might it?
    pub(crate) fn votes(&self, member: usize) -> bool {
        self.members[member].config.as_ref().is_some_and(|config| {
            let config = config.lock();
            config.is_controller() || config.may_join_quorum
        })
    }

    /// Sets keys of the configuration that it will start with.
    pub(crate) fn configure(&self, member: usize, with: &BTreeMap<String, ConfigValue>) {
        if let Some(config) = &self.members[member].config {
            with.iter().for_each(|(key, value)| cluster::set(&mut config.lock(), key, value));
        }
    }

    /// Does the fault atlas look after its disk?
    pub(crate) fn is_spared(&self, member: usize) -> bool {
        self.members[member].is_spared
    }

    /// The log of this partition counts as no copy any more, though metadata may say that its owner is in sync.
    pub(crate) fn begin_anew(&self, member: usize, partition: PartitionName) {
        self.begun_anew.lock().insert((member, partition));
    }

    pub(crate) fn has_begun_anew(&self, member: usize, partition: &PartitionName) -> bool {
        self.begun_anew.lock().contains(&(member, partition.clone()))
    }

    /// A scenario that wants to lose too much says so.
    pub(crate) fn spare_no_more(&mut self, member: usize) {
        self.members[member].is_spared = false;
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
        self.set_links(&overlay);
        id
    }

    pub(crate) fn remove(&mut self, id: u32) {
        if let Some(place) = self.overlays.iter().position(|(known, _)| *known == id) {
            let (_, overlay) = self.overlays.remove(place);
            self.set_links(&overlay);
        }
    }

    /// Each link and card of a change as the changes in force make it.
    fn set_links(&self, changed: &Overlay) {
        for card in &changed.cards {
            let in_force = self.overlays.iter().filter(|(_, overlay)| overlay.cards.contains(card));
            let limits = in_force.filter_map(|(_, overlay)| match overlay.change {
                LinkChange::Bandwidth(rate) => Some(rate),
                LinkChange::Latency { .. } | LinkChange::Loss(_) => None,
            });
            self.world.network().set_card(*card, limits.min());
        }
        for link in &changed.links {
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
                    LinkChange::Bandwidth(rate) => settings.bandwidth = Some(rate),
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

    pub(crate) fn set_clock_right(&self, member: usize) {
        self.node(member).set_clock_drift(0);
        self.node(member).set_clock_offset(0);
    }

    /// Every disk works, and all that the atlas looks after have what was ever written to them.
    pub(crate) fn mend_disks(&self) {
        let servers = self.roles.iter().enumerate().filter(|(_, role)| !role.is_client());
        for (member, _) in servers {
            let disk = self.node(member).disk();
            [Operation::Read, Operation::Write, Operation::Sync]
                .iter()
                .for_each(|&operation| disk.fail_no_more(operation));
            disk.come_back();
            disk.go_on();
            disk.set_slowness(1);
            disk.tell_the_truth();
            if self.is_spared(member) {
                disk.undo_damage();
            }
        }
    }

    /// The disks of log directories that died are in their places again.
    pub(crate) fn bring_disks_back(&self) {
        let servers = self.roles.iter().enumerate().filter(|(_, role)| !role.is_client());
        servers.for_each(|(member, _)| self.node(member).disk().come_back());
    }

    /// A broker that gave up a log directory takes it again when it starts.
    pub(crate) fn restart_those_that_lost_a_directory(&self, scene: &Scene) {
        for member in &self.members {
            if scene.has_lost_directory(member.node.name()) && member.node.is_running() {
                member.node.crash();
            }
        }
    }

    /// Ends whatever still goes wrong: links, clocks, sleepers, and every server that is down.
    pub(crate) fn heal(&mut self) {
        self.world.network().lift_all();
        while let Some((id, _)) = self.overlays.first() {
            self.remove(*id);
        }
        for (member, role) in self.roles.iter().enumerate() {
            let node = self.node(member);
            self.set_clock_right(member);
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

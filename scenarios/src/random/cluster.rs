//! Random clusters: mostly three brokers that are controllers too, and often impatient.
//!
//! With the usual timeouts most faults are over before anybody is given up; with short ones a run of half a minute sees many
//! elections. Small segments make logs roll, so that recovery and truncation meet their edges.

use std::collections::BTreeMap;

use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use crate::cluster::{Cluster, ConfigValue, FlushPolicy};

/// What may be turned: keys that belong together, and settings of them that a cluster in good health lives with. Heartbeats fit into
/// sessions, and waiting for records into what replicas may lag and requests may take, whatever is drawn of the others.
const KNOBS: &[Knob] = &[
    Knob {
        keys: &["broker.heartbeat.interval.ms", "broker.session.timeout.ms"],
        settings: &[&[100, 1000], &[300, 1500], &[500, 3000]],
    },
    Knob { keys: &["replica.lag.time.max.ms"], settings: &[&[500], &[1500], &[3000]] },
    Knob { keys: &["replica.fetch.wait.max.ms"], settings: &[&[50], &[100], &[200]] },
    Knob {
        keys: &["controller.quorum.election.timeout.ms", "controller.quorum.fetch.timeout.ms"],
        settings: &[&[300, 700], &[500, 1000], &[1000, 2000]],
    },
    Knob { keys: &["request.timeout.ms"], settings: &[&[2000], &[5000]] },
    Knob { keys: &["log.segment.bytes"], settings: &[&[16_384], &[65_536], &[1_048_576]] },
    // Those without a session name everything in each fetch.
    Knob { keys: &["max.incremental.fetch.session.cache.slots"], settings: &[&[0], &[2], &[4], &[1_000]] },
];

struct Knob {
    keys: &'static [&'static str],
    settings: &'static [&'static [i64]],
}

/// Some knobs turned: hardly any, half of them, or most.
fn config() -> impl Strategy<Value = BTreeMap<String, ConfigValue>> {
    select(&[0.05, 0.5, 0.9][..]).prop_flat_map(|likely| {
        let turned: Vec<_> = KNOBS.iter().map(|knob| weighted(likely, select(knob.settings))).collect();
        turned.prop_map(|turned| {
            let turned = KNOBS.iter().zip(turned).filter_map(|(knob, setting)| Some((knob, setting?)));
            let pairs = turned.flat_map(|(knob, setting)| knob.keys.iter().zip(setting));
            pairs.map(|(key, value)| ((*key).to_owned(), ConfigValue::Number(*value))).collect()
        })
    })
}

pub(super) fn clusters() -> impl Strategy<Value = Cluster> {
    let brokers = prop_oneof![8 => Just(3), 1 => Just(4), 1 => Just(5)];
    let controllers = prop_oneof![5 => Just(0), 1 => Just(3)];
    let buggify = proptest::bool::weighted(0.8);
    (brokers, controllers, config(), buggify).prop_map(|(brokers, controllers, config, buggify)| Cluster {
        brokers,
        controllers,
        log_dirs: 1,
        voters: None,
        flush_policy: FlushPolicy::Commit,
        buggify,
        racks: Vec::new(),
        duration: None,
        config,
    })
}

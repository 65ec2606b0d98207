//! Promises over the trace: what brokers witnessed of themselves, judged event by event.
//!
//! Each promise sees an event together with the [`World`] as it was just before. They use what brokers say of their logs,
//! never what they say of each other's, and stay silent about stretches of a log that nobody witnessed.

mod acks_are_honest;
mod committed_prefix_never_changes;
mod compaction_keeps_the_last;
mod converges_after_healing;
mod deposed_controller_steps_down;
mod disks_hold_what_logs_say;
mod elected_leader_is_complete;
mod epochs_never_fall;
mod frequent;
mod high_watermark_waits_for_in_sync;
mod in_sync_set_is_sane;
mod indexes_equal_a_scan;
mod leaders_count_what_followers_have;
mod metadata_agrees;
mod metadata_is_understood;
mod nothing_comes_from_nowhere;
mod offsets_keep_their_order;
mod one_leader_an_epoch;
mod producer_state_is_its_rebuild;
mod quorum_commits_by_majority;
mod recovery_keeps_synced;
mod replicas_agree;
mod retention_takes_what_it_may;
mod shadow;
mod snapshots_stand_for_the_committed;
mod throttles_spare_those_in_sync;
mod truncation_spares_committed;
mod voters_change_one_at_a_time;
mod what_waits_is_answered;
mod whereabouts;
mod world;

use evidence::{Acks, Entry};

use crate::Expectations;
pub(crate) use compaction_keeps_the_last::NAME as COMPACTION;
pub(crate) use converges_after_healing::ConvergesAfterHealing;
pub(crate) use frequent::Frequent;
pub(crate) use retention_takes_what_it_may::NAME as RETENTION;
pub(crate) use whereabouts::whereabouts;
pub(crate) use world::{NodeId, World};

/// One promise over the trace.
pub(crate) trait Promise: Send {
    /// The promise, a sentence.
    fn name(&self) -> &'static str;

    /// Which of the facts that come by the thousand it must see. It sees every other entry anyway.
    fn frequent(&self) -> &'static [Frequent] {
        &[]
    }

    /// Takes the next entry; `before` is the world without it.
    ///
    /// # Errors
    /// Why the promise is broken.
    fn observe(&mut self, entry: &Entry, node: NodeId, before: &World) -> Result<(), String>;

    /// Judges the world as the run left it.
    ///
    /// # Errors
    /// As above.
    fn at_end(&self, _world: &World) -> Result<(), String> {
        Ok(())
    }

    /// How many facts were judged; with none the promise is unknown.
    fn judged(&self) -> u64;

    /// What was not kept and the claims allow.
    fn allowed(&self) -> Option<String> {
        None
    }
}

/// True of a promise that is judged by what brokers witnessed.
pub(crate) fn is_of_the_trace(promise: &str) -> bool {
    let strictest = Expectations {
        claims: evidence::Claims::default(),
        flush_on_commit: true,
        producers_retry: false,
        unavailable_at_most: None,
    };
    promises(&strictest).iter().any(|known| known.name() == promise)
}

/// All of them.
pub(crate) fn promises(expectations: &Expectations) -> Vec<Box<dyn Promise>> {
    let unclean = expectations.claims.unclean_election;
    let mut promises: Vec<Box<dyn Promise>> = vec![
        Box::<one_leader_an_epoch::OneLeaderAnEpoch>::default(),
        Box::<epochs_never_fall::EpochsNeverFall>::default(),
        Box::<committed_prefix_never_changes::CommittedPrefixNeverChanges>::default(),
        Box::<replicas_agree::ReplicasAgree>::default(),
        Box::new(elected_leader_is_complete::ElectedLeaderIsComplete::new(unclean)),
        Box::new(high_watermark_waits_for_in_sync::HighWatermarkWaitsForInSync::new(unclean)),
        Box::<in_sync_set_is_sane::InSyncSetIsSane>::default(),
        Box::new(leaders_count_what_followers_have::LeadersCountWhatFollowersHave::new(expectations.flush_on_commit)),
        Box::<throttles_spare_those_in_sync::ThrottlesSpareThoseInSync>::default(),
        Box::<truncation_spares_committed::TruncationSparesCommitted>::default(),
        Box::<offsets_keep_their_order::OffsetsKeepTheirOrder>::default(),
        Box::<nothing_comes_from_nowhere::NothingComesFromNowhere>::default(),
        Box::<recovery_keeps_synced::RecoveryKeepsSynced>::default(),
        Box::<indexes_equal_a_scan::IndexesEqualAScan>::default(),
        Box::<disks_hold_what_logs_say::DisksHoldWhatLogsSay>::default(),
        Box::<retention_takes_what_it_may::RetentionTakesWhatItMay>::default(),
        Box::new(producer_state_is_its_rebuild::ProducerStateIsItsRebuild::new(expectations.flush_on_commit)),
        Box::<compaction_keeps_the_last::CompactionKeepsTheLast>::default(),
        Box::<metadata_agrees::MetadataAgrees>::default(),
        Box::<metadata_is_understood::MetadataIsUnderstood>::default(),
        Box::<snapshots_stand_for_the_committed::SnapshotsStandForTheCommitted>::default(),
        Box::<quorum_commits_by_majority::QuorumCommitsByMajority>::default(),
        Box::<voters_change_one_at_a_time::VotersChangeOneAtATime>::default(),
        Box::<deposed_controller_steps_down::DeposedControllerStepsDown>::default(),
        Box::new(what_waits_is_answered::WhatWaitsIsAnswered::new(expectations.flush_on_commit)),
    ];
    // With acks=0 nobody is told anything.
    if expectations.claims.acks != Acks::None {
        promises.push(Box::new(acks_are_honest::AcksAreHonest::new(expectations.flush_on_commit)));
    }
    promises
}

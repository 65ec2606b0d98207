//! The active controller on this node, while its quorum's leader is here, and the answers that wait for their commit.

use std::collections::VecDeque;

use model::{Offset, Time};
use roles::controller::{Command, Controller, Image, Record, Refusal, Reply, Settings};
use roles::quorum::VoterSet;
use tokio::sync::oneshot;

use super::SubmitError;

/// How a submitter hears; nobody waits for what this node does of its own accord.
pub(super) type Submitter = Option<oneshot::Sender<Result<Reply, SubmitError>>>;

pub(super) struct Active {
    controller: Controller,
    /// By rising end.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    /// Answered once the image has come this far.
    end: Offset,
    reply: Reply,
    submitter: Submitter,
}

impl Active {
    pub(super) fn new(settings: Settings, image: Image, now: Time) -> Active {
        Active { controller: Controller::new(settings, image, now), waiting: VecDeque::new() }
    }

    /// What must be appended now, and the reply that waits for it.
    pub(super) fn decide(
        &mut self,
        now: Time,
        chance: u64,
        command: &Command,
    ) -> Result<(Vec<Record>, Reply), Refusal> {
        let decision = self.controller.step(now, chance, command)?;
        Ok((decision.records, decision.reply))
    }

    /// The quorum has appended who votes.
    pub(super) fn take_voters(&mut self, voters: &VoterSet) {
        self.controller.take_voters(voters);
    }

    /// The cluster as decided so far, committed or not.
    pub(super) fn image(&self) -> &Image {
        self.controller.image()
    }

    /// Where the log ends once all that was decided is appended.
    pub(super) fn end(&self) -> Offset {
        self.controller.image().end
    }

    /// Also a reply without records waits: what it says may rest on records that are not committed yet.
    pub(super) fn wait(&mut self, reply: Reply, submitter: Submitter) {
        let end = self.end();
        self.waiting.push_back(Waiting { end, reply, submitter });
    }

    pub(super) fn answer_committed(&mut self, committed: Offset) {
        while self.waiting.front().is_some_and(|waiting| waiting.end <= committed) {
            if let Some(Waiting { reply, submitter, .. }) = self.waiting.pop_front() {
                answer(submitter, Ok(reply));
            }
        }
    }

    /// When something is due if nothing is heard.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.controller.deadline()
    }

    /// What is due by now.
    pub(super) fn due(&self, now: Time) -> Option<Command> {
        self.controller.due(now)
    }

    /// Leadership is lost: what waits may be committed by the next leader, or not.
    pub(super) fn abandon(self) {
        if !self.waiting.is_empty() {
            model::reached!("a controller lost its office with decisions that were not committed");
        }
        self.waiting.into_iter().for_each(|waiting| answer(waiting.submitter, Err(SubmitError::InDoubt)));
    }
}

pub(super) fn answer(submitter: Submitter, result: Result<Reply, SubmitError>) {
    if let Some(submitter) = submitter {
        // Whoever asked may be gone.
        let _ = submitter.send(result);
    }
}

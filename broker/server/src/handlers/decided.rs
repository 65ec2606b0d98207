//! What the active controller decides: here, if it is this node; otherwise the request is passed on to it as it came.

use std::time::Duration;

use host::Host;
use protocol::ErrorCode;
use protocol::messages::RequestMessage;
use roles::controller::{Command, Image, Reply};

use crate::controller_channel::ControllerError;
use crate::errors::{submit_code, submit_message};
use crate::metadata::SubmitError;
use crate::node::Node;

/// An error of the whole request: its code, and what to do about it.
pub(super) struct Undecided {
    pub(super) code: i16,
    pub(super) message: String,
}

/// The answer to `request`, which says the same as `command`; `version` is what it is passed on in.
pub(super) async fn decide<H: Host, R: RequestMessage + Sync>(
    node: &Node<H>,
    version: i16,
    request: &R,
    command: Command,
    answer: impl FnOnce(Reply) -> Option<R::Response>,
) -> Result<R::Response, Undecided> {
    match node.metadata.submit(command).await {
        Ok(reply) => answer(reply).ok_or_else(|| Undecided {
            code: ErrorCode::UnknownServerError.code(),
            message: "the controller answered another question".into(),
        }),
        Err(SubmitError::NotController) => pass_on(node, version, request).await,
        Err(error) => Err(Undecided { code: submit_code(&error), message: submit_message(&error) }),
    }
}

/// The controller's answer to `request`, which is passed on to it as it came.
pub(super) async fn pass_on<H: Host, R: RequestMessage + Sync>(
    node: &Node<H>,
    version: i16,
    request: &R,
) -> Result<R::Response, Undecided> {
    node.controller.call(version, request).await.map_err(|error| {
        tracing::debug!(%error, "cannot pass a request on to the controller");
        let code = match error {
            ControllerError::Unknown | ControllerError::Unreachable(_) => ErrorCode::NotController,
            ControllerError::InDoubt(_) => ErrorCode::RequestTimedOut,
        };
        Undecided { code: code.code(), message: error.to_string() }
    })
}

/// Waits until this node has applied what was decided: whoever asks it next should find it here.
pub(super) async fn wait_until_applied<H: Host>(
    node: &Node<H>,
    wait_max: Duration,
    is_there: impl Fn(&Image) -> bool + Send + Sync,
) {
    let mut applied = node.applied.subscribe();
    let there = applied.wait_for(|image| is_there(image));
    if host::timeout(&node.host, wait_max, there).await.is_err() {
        tracing::debug!("what was decided is not applied here yet");
    }
}

/// How long a client is willing to wait.
pub(super) fn patience(timeout_ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0))
}

//! Why an operation other than a send did not succeed.

use protocol::ErrorCode;
use thiserror::Error;

use crate::CallError;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClientError {
    #[error("no broker of the cluster answers; the last one tried: {0}")]
    NoBroker(CallError),
    #[error("no bootstrap server is configured")]
    NoBootstrap,
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the broker speaks no version of {0} that this client speaks: upgrade the older of the two")]
    Version(&'static str),
    #[error("refused: {code}{}", reason(message))]
    Refused { code: ErrorCode, message: Option<String> },
    #[error("{topic}/{partition} has no leader")]
    NoLeader { topic: String, partition: i32 },
    #[error("there is no topic \"{0}\"")]
    Unknown(String),
    #[error("the answer leaves out what was asked for")]
    Missing,
}

fn reason(message: &Option<String>) -> String {
    message.as_ref().map_or(String::new(), |message| format!(": {message}"))
}

impl ClientError {
    /// True if asking again, later and perhaps elsewhere, may succeed.
    pub fn is_retriable(&self) -> bool {
        match self {
            ClientError::NoBroker(_) | ClientError::NoLeader { .. } | ClientError::Missing => true,
            ClientError::Call(error) => !matches!(error, CallError::Request(_)),
            ClientError::Refused { code, .. } => code.is_retriable() || *code == ErrorCode::NotController,
            ClientError::NoBootstrap | ClientError::Version(_) | ClientError::Unknown(_) => false,
        }
    }

    /// The refusal that an error code of an answer means, if it means one.
    pub(crate) fn from_code(code: i16, message: Option<&str>) -> Option<ClientError> {
        let code = ErrorCode::try_from_code(code)?;
        Some(ClientError::Refused { code, message: message.map(str::to_owned) })
    }
}

//! The client's side: requests to frames, frames to answers.

use bytes::{BufMut, Bytes};
use proto_kafka::ProtoError;
use proto_kafka::messages::ResponseHeader;
use proto_kafka::protocol::{Decodable, HeaderVersion};
use thiserror::Error;

use crate::bounded::Bounded;
use crate::errors::ErrorCode;
use crate::limits::ANSWER_STRUCTURE_BYTES_MAX;
use crate::messages::{ApiKey, RequestMessage, StrBytes};
use crate::response::{EncodeError, begin_frame, end_frame};

/// How the answer to an ApiVersions request begins that was too new for its server: it is written as version 0 (KIP-511).
const UNSUPPORTED_VERSION: [u8; 2] = ErrorCode::UnsupportedVersion.code().to_be_bytes();

/// Why a frame is not the answer that was waited for: close the connection.
#[derive(Debug, Error)]
pub enum CallFormatError {
    #[error("the answer is cut short")]
    Short,
    #[error("bytes follow the answer")]
    Trailing,
    #[error("the answer is malformed: {0}")]
    Message(#[from] ProtoError),
}

/// Writes a request as one frame, length included.
///
/// # Errors
/// If a field is set that the version does not have.
pub fn encode_request<R: RequestMessage>(
    version: i16,
    correlation_id: i32,
    client_id: &StrBytes,
    request: &R,
) -> Result<Bytes, EncodeError> {
    let failed = |source| EncodeError::Message { api_key: R::KEY, version, source };
    let client_id_length = i16::try_from(client_id.len()).map_err(|_| EncodeError::TooLarge(client_id.len()))?;
    let tagged_fields = usize::from(R::header_version(version) >= 2);
    let mut out = begin_frame();
    out.put_i16(R::KEY);
    out.put_i16(version);
    out.put_i32(correlation_id);
    out.put_i16(client_id_length);
    out.put_slice(client_id.as_bytes());
    out.put_bytes(0, tagged_fields);
    if !request.encode_plainly(version, &mut out) {
        request.encode(&mut out, version).map_err(failed)?;
    }
    end_frame(out)
}

/// The correlation id of an answer's frame.
///
/// # Errors
/// `Short` if the frame has none.
pub fn correlation_id(frame: &Bytes) -> Result<i32, CallFormatError> {
    let bytes = frame.first_chunk::<4>().ok_or(CallFormatError::Short)?;
    Ok(i32::from_be_bytes(*bytes))
}

/// Reads the answer to a request that was sent as `version`. Strings and records are slices of the frame.
///
/// # Errors
/// See [`CallFormatError`].
pub fn decode_response<R: RequestMessage>(version: i16, frame: Bytes) -> Result<R::Response, CallFormatError> {
    let mut body = Bounded::new(frame, ANSWER_STRUCTURE_BYTES_MAX);
    ResponseHeader::decode(&mut body, R::Response::header_version(version))?;
    if let Some(plain) = R::decode_plain_response(body.bytes(), version) {
        return Ok(plain);
    }
    let is_other_version = R::KEY == ApiKey::ApiVersions as i16 && body.bytes().starts_with(&UNSUPPORTED_VERSION);
    let version = if is_other_version { 0 } else { version };
    let response = R::Response::decode(&mut body, version)?;
    if !body.is_empty() {
        return Err(CallFormatError::Trailing);
    }
    Ok(response)
}

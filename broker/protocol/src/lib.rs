//! Kafka's wire protocol: bytes to requests and back, the versions we speak, error codes, and record batches.
//!
//! ```text
//! socket ── next_frame ── decode_request ──> (Header, Request)          a server
//! socket <───────────── encode_response ──── (Header, Response)
//!
//! socket <───────────── encode_request ────── R                         a client or a peer
//! socket ── next_frame ── decode_response ──> R::Response
//! ```
//! Whatever comes from the wire is refused with a named error and never costs more memory than [`limits`] say.
//! Absent from here: sockets, waiting, and any decision about a request.

mod apis;
mod bounded;
mod call;
mod errors;
mod fetch_parts;
mod fetch_plain;
mod frame;
pub mod limits;
pub mod messages;
pub mod records;
mod request;
mod request_message;
mod response;

pub use apis::{Api, SUPPORTED, api, api_versions_response, refuse_api_versions};
pub use call::{CallFormatError, correlation_id, decode_response, encode_request};
pub use errors::{ErrorCode, NO_ERROR};
pub use fetch_parts::Piece;
pub use frame::{FrameError, next_frame};
pub use request::{Header, Request, RequestError, decode_request, decode_request_as};
pub use response::{EncodeError, Response, encode_response, encode_response_around};

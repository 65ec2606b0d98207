//! ApiVersions: what we speak.

use protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::{ErrorCode, Response, api_versions_response};

pub(crate) fn handle(version: i16, request: &ApiVersionsRequest) -> Response {
    // KIP-511: a client of version 3 or later says who it is, in words that fit into metrics.
    if version >= 3 && !(is_word(&request.client_software_name) && is_word(&request.client_software_version)) {
        let refused = ApiVersionsResponse::default().with_error_code(ErrorCode::InvalidRequest.code());
        return Response::ApiVersions(refused);
    }
    Response::ApiVersions(api_versions_response())
}

fn is_word(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.chars().all(|c| alphanumeric(c) || c == '-' || c == '.')
}

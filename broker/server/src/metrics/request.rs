//! The little of HTTP that a scraper and a prober speak: one GET or HEAD, one answer, and the connection ends.

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Metrics,
    Health,
    Readiness,
}

/// A request that was read whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) page: Result<Page, Refused>,
    /// False if only the head of the answer is wanted.
    pub(super) wants_body: bool,
}

/// Why a request gets no page: a status, and what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: &'static str,
    pub(super) remedy: &'static str,
}

/// The longest head of a request that is read, in bytes.
pub(super) const HEAD_MAX: usize = 8 << 10;
const HEADERS_MAX: usize = 64;

const PATHS: &str = "ask for /metrics, /health or /ready\n";

/// Reads a request; none while more of it is to come.
pub(super) fn parse(bytes: &[u8]) -> Option<Asked> {
    let refused = |status, remedy, wants_body| Asked { page: Err(Refused { status, remedy }), wants_body };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() <= HEAD_MAX => return None,
        Ok(httparse::Status::Partial) => {
            return Some(refused("431 Request Header Fields Too Large", "send fewer headers\n", true));
        }
        Err(_) => {
            return Some(refused(
                "400 Bad Request",
                "this speaks HTTP/1.1; clients of the log connect to `listeners`\n",
                true,
            ));
        }
    }
    let wants_body = match request.method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Some(refused("405 Method Not Allowed", "use GET\n", true)),
    };
    let path = request.path.unwrap_or_default();
    let page = match path.split_once('?').map_or(path, |(path, _)| path) {
        "/metrics" => Page::Metrics,
        "/health" => Page::Health,
        "/ready" => Page::Readiness,
        _ => return Some(refused("404 Not Found", PATHS, wants_body)),
    };
    Some(Asked { page: Ok(page), wants_body })
}

/// The bytes of an answer.
pub(super) fn answer(status: &str, content_type: &str, body: &str, wants_body: bool) -> String {
    let length = body.len();
    let body = if wants_body { body } else { "" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn status(bytes: &[u8]) -> Option<&'static str> {
        parse(bytes).and_then(|asked| asked.page.err()).map(|refused| refused.status)
    }

    #[test]
    fn a_request_is_read_once_its_head_is_whole() {
        let whole = b"GET /metrics?x=1 HTTP/1.1\r\nHost: here\r\nAccept: */*\r\n\r\n";
        assert_eq!(parse(whole), Some(Asked { page: Ok(Page::Metrics), wants_body: true }));
        for cut in 0..whole.len() {
            assert_eq!(parse(&whole[..cut]), None, "{cut} bytes are not all");
        }
        let head = b"HEAD /ready HTTP/1.0\r\n\r\n";
        assert_eq!(parse(head), Some(Asked { page: Ok(Page::Readiness), wants_body: false }));
    }

    #[test]
    fn whatever_else_comes_is_refused_with_a_remedy() {
        assert_eq!(status(b"GET /nothing HTTP/1.1\r\n\r\n"), Some("404 Not Found"));
        assert_eq!(status(b"POST /metrics HTTP/1.1\r\n\r\n"), Some("405 Method Not Allowed"));
        // A client of the log: a length and an API key.
        assert_eq!(status(&[0, 0, 0, 40, 0, 18, 0, 4]), Some("400 Bad Request"));
        let endless = [b"GET /metrics HTTP/1.1\r\nX: ".as_slice(), &[b'x'; HEAD_MAX]].concat();
        assert_eq!(status(&endless), Some("431 Request Header Fields Too Large"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _whatever = parse(&bytes);
        }
    }
}

//! Zstd with contexts that are used again: to make one takes longer than most batches do, since it clears a megabyte of tables.
//!
//! A thread keeps one context of each kind, and makes another only while that is in use. What a context did before does not show in
//! the bytes of the levels that people use, and never between threads.

use std::cell::Cell;
use std::io::{self, BufRead, ErrorKind, Read};

use zstd::stream::raw::{InBuffer, Operation, OutBuffer, WriteBuf};
use zstd::stream::zio::Reader;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, ResetDirective, SafeResult};

/// A larger one is not kept: high levels, and windows that others chose, take hundreds of megabytes.
const KEPT_BYTES_MAX: usize = 8 << 20;

thread_local! {
    static COMPRESSING: Cell<Option<CCtx<'static>>> = const { Cell::new(None) };
    static DECOMPRESSING: Cell<Option<DCtx<'static>>> = const { Cell::new(None) };
}

/// Appends `plain` to `out`, compressed. Level zero stands for the usual one.
pub(crate) fn compress(level: i32, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let mut context = COMPRESSING.take().unwrap_or_default();
    in_order(context.reset(ResetDirective::SessionOnly))?;
    in_order(context.set_parameter(CParameter::CompressionLevel(level)))?;
    out.reserve(zstd_safe::compress_bound(plain.len()));
    let mut input = InBuffer::around(plain);
    // All of it before the end is told: so the context goes by its level, and not by how long the input is.
    while input.pos() < plain.len() {
        write_on(out, |out| context.compress_stream(out, &mut input))?;
    }
    while 0 < write_on(out, |out| context.end_stream(out))? {}
    if context.sizeof() <= KEPT_BYTES_MAX {
        COMPRESSING.set(Some(context));
    }
    Ok(())
}

/// Has something written behind what is in `out`, where there is room for it.
fn write_on(out: &mut Vec<u8>, write: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> SafeResult) -> io::Result<usize> {
    if out.len() == out.capacity() {
        out.reserve(CCtx::out_size());
    }
    let position = out.len();
    in_order(write(&mut OutBuffer::around_pos(out, position)))
}

/// What `bytes` were before they were compressed, as it is read.
pub(crate) fn plain(bytes: impl BufRead) -> impl Read {
    Reader::new(bytes, Decompressing(Some(DECOMPRESSING.take().unwrap_or_default())))
}

/// A context for as long as somebody reads from it; none once that is over.
struct Decompressing(Option<DCtx<'static>>);

impl Decompressing {
    fn context(&mut self) -> &mut DCtx<'static> {
        self.0.get_or_insert_default()
    }
}

impl Drop for Decompressing {
    fn drop(&mut self) {
        if let Some(mut context) = self.0.take_if(|context| context.sizeof() <= KEPT_BYTES_MAX)
            && context.reset(ResetDirective::SessionOnly).is_ok()
        {
            DECOMPRESSING.set(Some(context));
        }
    }
}

impl Operation for Decompressing {
    fn run<C: WriteBuf + ?Sized>(
        &mut self,
        input: &mut InBuffer<'_>,
        output: &mut OutBuffer<'_, C>,
    ) -> io::Result<usize> {
        in_order(self.context().decompress_stream(output, input))
    }

    fn reinit(&mut self) -> io::Result<()> {
        in_order(self.context().reset(ResetDirective::SessionOnly)).map(|_| ())
    }

    fn finish<C: WriteBuf + ?Sized>(&mut self, _: &mut OutBuffer<'_, C>, finished_frame: bool) -> io::Result<usize> {
        if finished_frame { Ok(0) } else { Err(io::Error::new(ErrorKind::UnexpectedEof, "incomplete frame")) }
    }
}

fn in_order(result: SafeResult) -> io::Result<usize> {
    result.map_err(|code| io::Error::other(zstd_safe::get_error_name(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text of which some comes again, and some does not.
    fn text(seed: u64, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as u8 % 23 + b'a'
        };
        let mut text: Vec<u8> = (0..length.div_ceil(2)).map(|_| next()).collect();
        text.extend_from_within(..length / 2);
        text
    }

    #[test]
    fn a_context_that_was_used_writes_what_a_new_one_does() {
        for (seed, length) in (0..).zip([0, 1, 70, 3_000, 500_000, 70, 200_000, 8, 40_000, 3_000_000, 1_000]) {
            for level in [0, 1, 3, -5, 0] {
                let plain_text = text(seed, length);
                let mut out = b"before".to_vec();
                compress(level, &plain_text, &mut out).unwrap();
                let anew = zstd::stream::encode_all(&plain_text[..], level).unwrap();
                assert_eq!(&out[..6], b"before");
                assert!(out[6..] == anew, "{length} bytes at level {level}");
                let mut back = Vec::new();
                plain(&out[6..]).read_to_end(&mut back).unwrap();
                assert!(back == plain_text, "{length} bytes at level {level}");
            }
        }
    }

    #[test]
    fn whoever_stops_in_the_middle_leaves_nothing_to_the_next() {
        let mut packed = Vec::new();
        compress(0, &text(1, 300_000), &mut packed).unwrap();
        let mut some = [0; 1000];
        plain(&packed[..]).read_exact(&mut some).unwrap();
        plain(&packed[..200]).read_to_end(&mut Vec::new()).unwrap_err();
        plain(&b"no such thing"[..]).read_to_end(&mut Vec::new()).unwrap_err();
        let (mut one, mut two) = (plain(&packed[..]), plain(&packed[..]));
        let (mut first, mut second) = (Vec::new(), Vec::new());
        one.read_to_end(&mut first).unwrap();
        two.read_to_end(&mut second).unwrap();
        assert!(first == text(1, 300_000) && first == second);
    }
}

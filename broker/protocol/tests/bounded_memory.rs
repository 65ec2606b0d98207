//! The most that one hostile frame can make us hold, measured by an allocator that counts.
#![allow(unsafe_code, reason = "an allocator that counts is the only way to see what was asked for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use model::BatchHeader;
use protocol::limits::DECOMPRESSED_BYTES_MAX;
use protocol::records::{
    Compression, DecodeError, DecompressError, ProducerFields, Record, check_records, encode_batch,
};
use protocol::{SUPPORTED, decode_request};

struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as our caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as our caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes beyond the frame itself that reading it took at its peak.
fn cost(frame: Bytes) -> usize {
    peak_of(|| drop(decode_request(frame))).0
}

/// Bytes that were held at the peak beyond those before, and what came of it.
fn peak_of<T>(act: impl FnOnce() -> T) -> (usize, T) {
    PEAK.store(HELD.load(Ordering::Relaxed), Ordering::Relaxed);
    let before = HELD.load(Ordering::Relaxed);
    let result = act();
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// One test, since the counter is one: the allocations of a second would be counted too.
#[test]
fn no_frame_and_no_batch_costs_more_than_the_limits_allow() {
    const FOUR_BYTES_THAT_CLAIM_TWO_BILLION: [u8; 14] = [0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff];
    assert!(cost(Bytes::from_static(&FOUR_BYTES_THAT_CLAIM_TWO_BILLION)) <= 4096);

    // Well past the budget for structure, so that a larger frame would cost no more.
    const FRAME: usize = 8 << 20;
    let mut worst = 0;
    for fill in [0_u8, 1, 2, 3, 0x7f] {
        for api in SUPPORTED {
            for version in [api.min, api.max] {
                // The header, then a large array, then entries as small as they get.
                for count in [&[0, 1, 0, 0][..], &[0xff, 0xff, 0x07], &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0]] {
                    let mut frame = BytesMut::with_capacity(FRAME);
                    frame.put_i16(api.key as i16);
                    frame.put_i16(version);
                    frame.put_slice(&[0, 0, 0, 1, 0xff, 0xff, 0]);
                    frame.put_slice(count);
                    frame.put_bytes(fill, FRAME - frame.len());
                    worst = worst.max(cost(frame.freeze()));
                }
            }
        }
    }
    assert!(worst <= 128 << 20, "{} MiB", worst >> 20);

    // Batches of some kilobytes that would become 129 MiB: they are walked through, and never in memory.
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bomb = bomb(codec);
        let (peak, checked) = peak_of(|| BatchHeader::verify(&bomb).map(|header| check_records(&header, &bomb)));
        let refused = Err(DecodeError::Decompress(DecompressError::Bomb { max: DECOMPRESSED_BYTES_MAX }));
        assert_eq!(checked, Ok(refused), "{codec:?}");
        assert!(peak <= 1 << 20, "{codec:?} took {} KiB", peak >> 10);
    }
}

fn bomb(codec: Compression) -> Bytes {
    let huge = Record { value: Some(vec![0; DECOMPRESSED_BYTES_MAX + 1].into()), ..Record::default() };
    encode_batch(&[huge], codec, ProducerFields::default())
}

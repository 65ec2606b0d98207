//! The bytes of a file beside whole copies of it.

use proptest::prelude::*;

use super::content::{Content, SyncId};
use crate::streams::{Stream, Streams};

const SECTOR: usize = 512;

#[derive(Clone, Debug)]
enum Step {
    Write { position: usize, length: usize },
    Append { length: usize },
    SetLength { length: usize },
    BeginSync,
    FinishSync,
    GiveUpSync,
    LosePower,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0..4000usize, 1..1500usize).prop_map(|(position, length)| Step::Write { position, length }),
        4 => (1..1500usize).prop_map(|length| Step::Append { length }),
        1 => (0..5000usize).prop_map(|length| Step::SetLength { length }),
        3 => Just(Step::BeginSync),
        3 => Just(Step::FinishSync),
        1 => Just(Step::GiveUpSync),
        1 => Just(Step::LosePower),
    ];
    prop::collection::vec(step, 1..40)
}

fn seen(content: &Content) -> Vec<u8> {
    let mut bytes = vec![0; content.length() as usize];
    assert_eq!(content.read(0, &mut bytes), bytes.len());
    bytes
}

/// A sector up to `length`, with zeros where the file does not reach.
fn padded(bytes: &[u8], sector: usize, length: usize) -> Vec<u8> {
    (sector * SECTOR..((sector + 1) * SECTOR).min(length)).map(|at| bytes.get(at).copied().unwrap_or(0)).collect()
}

fn stream() -> Stream {
    Streams::new(7).stream("disk")
}

proptest! {
    #[test]
    fn every_sector_has_what_was_synced_or_what_was_written(steps in steps(), seed in any::<u64>()) {
        let mut stream = Streams::new(seed).stream("disk");
        let mut content = Content::default();
        let (mut now, mut safe): (Vec<u8>, Vec<u8>) = Default::default();
        let mut syncs: Vec<(SyncId, Vec<u8>)> = Vec::new();
        for (mark, step) in (1..).zip(steps) {
            let mut write = |content: &mut Content, position: usize, length: usize| {
                let end = position + length;
                now.resize(now.len().max(end), 0);
                now[position..end].fill(mark);
                content.write(position as u64, &vec![mark; length]);
            };
            match step {
                Step::Write { position, length } => write(&mut content, position, length),
                Step::Append { length } => {
                    let position = content.length() as usize;
                    write(&mut content, position, length);
                },
                Step::SetLength { length } => {
                    now.resize(length, 0);
                    content.set_length(length as u64);
                }
                Step::BeginSync => syncs.push((content.begin_sync().0, now.clone())),
                Step::FinishSync => {
                    if !syncs.is_empty() {
                        let index = stream.below(syncs.len() as u64) as usize;
                        let (id, bytes) = syncs.drain(..=index).next_back().unwrap();
                        content.finish_sync(id);
                        safe = bytes;
                    }
                }
                Step::GiveUpSync => {
                    if let Some((id, _)) = syncs.pop() {
                        content.give_up_sync(id);
                    }
                }
                Step::LosePower => {
                    content.lose_power(&mut stream);
                    let left = seen(&content);
                    prop_assert!(now.len().min(safe.len()) <= left.len() && left.len() <= now.len().max(safe.len()));
                    for sector in 0..left.len().div_ceil(SECTOR) {
                        let is = padded(&left, sector, left.len());
                        let may_be = [padded(&now, sector, left.len()), padded(&safe, sector, left.len())];
                        prop_assert!(may_be.contains(&is), "sector {}", sector);
                    }
                    now = left.clone();
                    safe = left;
                    syncs.clear();
                }
            }
            prop_assert_eq!(&seen(&content), &now);
        }
    }
}

#[test]
fn what_was_synced_is_there_after_every_loss_of_power() {
    let mut stream = stream();
    for _ in 0..200 {
        let mut content = Content::default();
        content.write(0, &[1; 700]);
        let (id, _) = content.begin_sync();
        content.write(700, &[2; 700]);
        content.finish_sync(id);
        content.lose_power(&mut stream);
        assert_eq!(seen(&content)[..700], [1; 700]);
    }
}

#[test]
fn a_failed_sync_leaves_bytes_that_no_later_sync_makes_safe() {
    let mut stream = stream();
    let mut lost = 0;
    for _ in 0..200 {
        let mut content = Content::default();
        content.write(0, &[1; 5 * SECTOR]);
        let (id, _) = content.begin_sync();
        content.fail_sync(&mut stream);
        content.give_up_sync(id);
        assert_eq!(seen(&content), [1; 5 * SECTOR], "the page cache still shows them");
        let (id, _) = content.begin_sync();
        content.finish_sync(id);
        content.lose_power(&mut stream);
        lost += usize::from(seen(&content) != [1; 5 * SECTOR]);
    }
    assert!(100 < lost);
}

#[test]
fn bytes_written_again_after_a_failed_sync_can_be_made_safe() {
    let mut stream = stream();
    for _ in 0..50 {
        let mut content = Content::default();
        content.write(0, &[1; 5 * SECTOR]);
        content.fail_sync(&mut stream);
        content.write(0, &[2; 5 * SECTOR]);
        let (id, _) = content.begin_sync();
        content.finish_sync(id);
        content.lose_power(&mut stream);
        assert_eq!(seen(&content), [2; 5 * SECTOR]);
    }
}

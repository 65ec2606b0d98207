//! What is sent from a file is what would have been read.

use host::Host;
use host::real::{RealDisk, RealHost};
use model::Offset;
use storage::{Log, LogConfig, Records};
use tokio::runtime::Builder;

use crate::batch::batch;

/// Batches of all sizes, some larger than what is worth sending from a file.
fn filled(disk: &RealDisk) -> Log<RealDisk> {
    let config = LogConfig { segment_bytes: 700_000, ..LogConfig::default() };
    let opened = Log::open(disk, "orders-0", config);
    let (mut log, _) = Builder::new_current_thread().build().unwrap().block_on(opened).unwrap();
    for at in 0..120 {
        let value_bytes = [300, 5_000, 90_000, 17_000][at as usize % 4];
        log.append(&batch(log.end().0, 1, 2, value_bytes)).unwrap();
    }
    log
}

#[test]
fn many_batches_are_sent_from_their_file_and_are_those_that_a_read_gives() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let host = runtime.block_on(async { RealHost::new(directory.path()).unwrap() });
    let log = filled(host.disk());
    let mut in_file = 0;
    for from in 0..log.end().0 {
        for below in [from + 1, from + 7, from + 40, log.end().0] {
            for bytes_max in [0, 60_000, 70_000, 200_000, 1_000_000] {
                let (from, below) = (Offset(from), Offset(below));
                let read = log.read(from, below, bytes_max).unwrap();
                let sent = log.read_to_send(from, below, bytes_max).unwrap();
                assert_eq!(sent.len(), read.len(), "{from} {below} {bytes_max}");
                match sent {
                    Records::InFile(range) => {
                        in_file += 1;
                        assert!(range.read().unwrap() == read, "{from} {below} {bytes_max}");
                    }
                    Records::InMemory(bytes) => {
                        assert!(bytes == read);
                        assert!(bytes.len() < 64 << 10, "{from} {below} {bytes_max}");
                    }
                }
            }
        }
    }
    assert!(1_000 < in_file, "{in_file}");
}

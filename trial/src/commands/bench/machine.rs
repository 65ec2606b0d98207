//! What the machine says of this process: the time that it took, and the peak of its memory.

use std::ops::Range;
use std::process::Command;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, WrapErr};
use rustix::time::{ClockId, clock_gettime};

/// What some work took. On an idle machine both are the same for one worker; on a busy one only the second tells of the work.
#[derive(Clone, Copy, Default)]
pub(super) struct Spent {
    pub(super) wall: Duration,
    /// Time of cores.
    pub(super) cores: Duration,
}

/// Does `work` and says what it took. Nothing else may happen in the process meanwhile.
#[allow(clippy::disallowed_methods, reason = "it measures the real machine, outside every world")]
pub(super) fn measured<T>(work: impl FnOnce() -> T) -> (T, Spent) {
    let (began, cores) = (Instant::now(), cores());
    let value = work();
    (value, Spent { wall: began.elapsed(), cores: self::cores().saturating_sub(cores) })
}

fn cores() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// The peak of this process's memory after `work`, in bytes. None where the system does not say.
pub(super) fn peak_of<T>(work: impl FnOnce() -> T) -> Option<u64> {
    let _its_memory_counts = work();
    #[allow(clippy::disallowed_methods, reason = "it asks the real machine, outside every world")]
    let status = std::fs::read("/proc/self/status").ok()?;
    let status = String::from_utf8(status).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<u64>().ok()? * 1024)
}

/// The highest peak of any of these seeds, each run in a process of its own.
pub(super) fn peak_of_children(seeds: Range<u64>) -> miette::Result<Option<u64>> {
    let this = std::env::current_exe().into_diagnostic()?;
    let mut highest = None;
    for seed in seeds {
        let output = Command::new(&this).args(["bench", "--peak-of", &seed.to_string()]).output();
        let output = output.into_diagnostic().wrap_err("cannot start a process of its own for one run")?;
        highest = highest.max(String::from_utf8_lossy(&output.stdout).trim().parse::<u64>().ok());
    }
    Ok(highest)
}

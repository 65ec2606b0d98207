//! Spans of time, and ranges of them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{WordError, word};

const UNITS: [(&str, u64); 6] = [
    ("h", 3_600_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// One length of time: `4s`, `250ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A length of time that the seed chooses between two bounds, both included: `5s..9s`; `4s` is a range of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Range {
    pub from: Duration,
    pub to: Duration,
}

word!(Span, "a span of time such as \"4s\" or \"250ms\"", r"^[0-9]+(ns|us|ms|s|min|h)$");
word!(
    Range,
    "a span of time such as \"4s\", or a range such as \"5s..9s\"",
    r"^[0-9]+(ns|us|ms|s|min|h)(\.\.[0-9]+(ns|us|ms|s|min|h))?$"
);

impl Range {
    /// Always this long.
    pub fn exactly(span: Duration) -> Range {
        Range { from: span, to: span }
    }

    /// # Panics
    /// If `to` is below `from`.
    pub fn between(from: Duration, to: Duration) -> Range {
        assert!(from <= to, "a range goes forward");
        Range { from, to }
    }

    /// One span of the range, all equally likely. Takes exactly one draw, even from a range of one.
    pub fn draw(&self, random: &mut impl rand_core::Rng) -> Duration {
        let width = nanoseconds(self.to - self.from);
        let drawn = (u128::from(random.next_u64()) * (u128::from(width) + 1)) >> 64;
        self.from + Duration::from_nanos(drawn as u64)
    }
}

impl From<Duration> for Range {
    fn from(span: Duration) -> Range {
        Range::exactly(span)
    }
}

/// Whole nanoseconds; a span that was read always fits.
fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

pub(super) fn write_span(f: &mut fmt::Formatter<'_>, span: Duration) -> fmt::Result {
    let nanos = nanoseconds(span);
    if nanos == 0 {
        return f.write_str("0s");
    }
    let (unit, size) = UNITS.into_iter().find(|(_, size)| nanos.is_multiple_of(*size)).unwrap_or(("ns", 1));
    write!(f, "{}{unit}", nanos / size)
}

pub(super) fn read_span(text: &str) -> Result<Duration, WordError> {
    let help = "write a whole number and a unit (ns, us, ms, s, min, h), such as \"4s\" or \"250ms\"";
    let wrong = || WordError::new(format!("\"{text}\" is not a span of time"), help);
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let size = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let nanos = number.checked_mul(size).filter(|nanos| *nanos <= SPAN_MAX);
    nanos.map(Duration::from_nanos).ok_or_else(|| {
        WordError::new(format!("\"{text}\" is longer than any run"), "write a span of at most 10000h, such as \"90s\"")
    })
}

/// Ten thousand hours: no run is longer, and sums of such spans stay far from overflow.
const SPAN_MAX: u64 = 10_000 * 3_600_000_000_000;

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_span(f, self.0)
    }
}

impl FromStr for Span {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Span, WordError> {
        read_span(text).map(Span)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_span(f, self.from)?;
        if self.from < self.to {
            f.write_str("..")?;
            write_span(f, self.to)?;
        }
        Ok(())
    }
}

impl FromStr for Range {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Range, WordError> {
        let Some((from, to)) = text.split_once("..") else {
            return read_span(text).map(Range::exactly);
        };
        let (from, to) = (read_span(from)?, read_span(to)?);
        if to < from {
            let (from, to) = (Span(from), Span(to));
            let message = format!("the range \"{text}\" goes backward");
            return Err(WordError::new(message, format!("write \"{to}..{from}\"")));
        }
        Ok(Range { from, to })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha8Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn a_range_draws_both_of_its_ends_and_nothing_outside() {
        let range: Range = "3ns..5ns".parse().unwrap();
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut seen: Vec<u128> = (0..100).map(|_| range.draw(&mut random).as_nanos()).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [3, 4, 5]);
    }

    #[test]
    fn a_range_of_one_takes_one_draw_as_any_other() {
        use rand_core::Rng;
        let (mut one, mut other) = (ChaCha8Rng::seed_from_u64(1), ChaCha8Rng::seed_from_u64(1));
        Range::exactly(Duration::from_secs(4)).draw(&mut one);
        Range::between(Duration::ZERO, Duration::from_secs(9)).draw(&mut other);
        assert_eq!(one.next_u64(), other.next_u64());
    }

    #[test]
    fn a_span_is_written_in_its_largest_whole_unit() {
        for text in ["0s", "1ns", "1500us", "250ms", "4s", "90s", "2min", "1h"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("5000ms".parse::<Span>().unwrap().to_string(), "5s");
    }

    proptest! {
        #[test]
        fn every_range_reads_back_as_it_was_written(from in 0..SPAN_MAX, width in 0..SPAN_MAX) {
            let from = Duration::from_nanos(from);
            let to = from.saturating_add(Duration::from_nanos(width)).min(Duration::from_nanos(SPAN_MAX));
            let range = Range::between(from, to);
            prop_assert_eq!(range.to_string().parse::<Range>().unwrap(), range);
        }

        #[test]
        fn no_text_makes_a_range_panic(text in ".{0,20}") {
            let _ = text.parse::<Range>();
        }
    }
}

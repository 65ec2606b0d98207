//! Rates, chances, and how far a clock is off.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::span::{read_span, write_span};
use super::{WordError, word};

/// So many in a second, a minute or an hour: `200/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    /// One second, one minute or one hour.
    pub per: Duration,
}

word!(Rate, "a rate such as \"200/s\" or \"30/min\"", r"^[0-9]+/(s|min|h)$");

impl Rate {
    pub fn per_second(count: u32) -> Rate {
        Rate { count, per: Duration::from_secs(1) }
    }

    /// Time from one to the next.
    pub fn interval(&self) -> Duration {
        self.per / self.count.max(1)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            3600 => "h",
            60 => "min",
            _ => "s",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl FromStr for Rate {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Rate, WordError> {
        let wrong = || {
            WordError::new(
                format!("\"{text}\" is not a rate"),
                "write a whole number above zero, a slash and s, min or h, such as \"200/s\"",
            )
        };
        let (count, unit) = text.split_once('/').ok_or_else(wrong)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
        let seconds = match unit {
            "s" => 1,
            "min" => 60,
            "h" => 3600,
            _ => return Err(wrong()),
        };
        if count > RATE_MAX {
            let message = format!("\"{text}\" is more than a simulated client can send");
            return Err(WordError::new(message, format!("write at most \"{RATE_MAX}/s\"")));
        }
        Ok(Rate { count, per: Duration::from_secs(seconds) })
    }
}

/// A simulated client sends at most one record in ten microseconds.
const RATE_MAX: u32 = 100_000;

/// So many bytes in a second: `1MB/s`. Units are decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput(pub u64);

word!(Throughput, "bytes in a second such as \"1MB/s\" or \"64KB/s\"", r"^[0-9]+(B|KB|MB|GB)/s$");

const SIZES: [(&str, u64); 4] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("KB", 1_000), ("B", 1)];

/// No link is faster.
const THROUGHPUT_MAX: u64 = 1_000 * 1_000_000_000;

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) = SIZES.into_iter().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(("B", 1));
        write!(f, "{}{unit}/s", self.0 / size)
    }
}

impl FromStr for Throughput {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Throughput, WordError> {
        let wrong = || {
            let help = "write a whole number above zero, a unit (B, KB, MB, GB) and /s, such as \"1MB/s\"";
            WordError::new(format!("\"{text}\" is not a bandwidth"), help)
        };
        let amount = text.strip_suffix("/s").ok_or_else(wrong)?;
        let digits = amount.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = amount.split_at(digits);
        let size = SIZES.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
        let number: u64 = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
        number.checked_mul(size).filter(|bytes| *bytes <= THROUGHPUT_MAX).map(Throughput).ok_or_else(|| {
            WordError::new(format!("\"{text}\" is more than any link carries"), "write at most \"1000GB/s\"")
        })
    }
}

/// How likely something is: `5%`, `0.25%`. Holds millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance(u32);

word!(Chance, "a chance such as \"5%\" or \"0.25%\"", r"^[0-9]{1,3}(\.[0-9]{1,4})?%$");

impl Chance {
    /// # Panics
    /// Above 100.
    pub fn percent(percent: u32) -> Chance {
        assert!(percent <= 100, "nothing is more than certain");
        Chance(percent * 10_000)
    }

    /// Between 0 and 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl fmt::Display for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 10_000, self.0 % 10_000);
        if fraction == 0 {
            return write!(f, "{whole}%");
        }
        let fraction = format!("{fraction:04}");
        write!(f, "{whole}.{}%", fraction.trim_end_matches('0'))
    }
}

impl FromStr for Chance {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Chance, WordError> {
        let wrong = || {
            WordError::new(
                format!("\"{text}\" is not a chance"),
                "write a percentage from 0% to 100% with at most four decimals, such as \"5%\" or \"0.25%\"",
            )
        };
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let numeric = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !numeric(whole) || !numeric(fraction) || whole.len() > 3 || fraction.len() > 4 {
            return Err(wrong());
        }
        let whole: u32 = whole.parse().map_err(|_| wrong())?;
        let fraction: u32 = format!("{fraction:0<4}").parse().map_err(|_| wrong())?;
        let millionths = whole * 10_000 + fraction;
        if millionths > 1_000_000 { Err(wrong()) } else { Ok(Chance(millionths)) }
    }
}

/// How far a clock is from the truth, drawn from the seed: `+3s`, `-5s..+5s`. Nanoseconds, both bounds included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockOffset {
    pub from: i64,
    pub to: i64,
}

word!(
    ClockOffset,
    "a clock's offset such as \"+3s\", \"-250ms\" or \"-5s..+5s\"",
    r"^[+-]?[0-9]+(ns|us|ms|s|min|h)(\.\.[+-]?[0-9]+(ns|us|ms|s|min|h))?$"
);

impl ClockOffset {
    /// Nanoseconds ahead of the truth (behind it, if negative). Takes exactly one draw.
    pub fn draw(&self, random: &mut impl rand_core::Rng) -> i64 {
        let width = self.to.abs_diff(self.from);
        let drawn = (u128::from(random.next_u64()) * (u128::from(width) + 1)) >> 64;
        self.from.saturating_add_unsigned(drawn as u64)
    }
}

fn write_offset(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    f.write_str(if nanos < 0 { "-" } else { "+" })?;
    write_span(f, Duration::from_nanos(nanos.unsigned_abs()))
}

impl fmt::Display for ClockOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_offset(f, self.from)?;
        if self.from < self.to {
            f.write_str("..")?;
            write_offset(f, self.to)?;
        }
        Ok(())
    }
}

impl FromStr for ClockOffset {
    type Err = WordError;

    fn from_str(text: &str) -> Result<ClockOffset, WordError> {
        let one = |text: &str| -> Result<i64, WordError> {
            let (sign, span) = match text.strip_prefix('-') {
                Some(span) => (-1, span),
                None => (1, text.strip_prefix('+').unwrap_or(text)),
            };
            let span = read_span(span).ok().and_then(|span| i64::try_from(span.as_nanos()).ok());
            let help = "write a sign, a whole number and a unit, such as \"+3s\" or \"-5s..+5s\"";
            span.map(|span| sign * span)
                .ok_or_else(|| WordError::new(format!("\"{text}\" is not a clock's offset"), help))
        };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to) = (one(from)?, one(to)?);
        if to < from {
            let turned = ClockOffset { from: to, to: from };
            let message = format!("the range \"{text}\" goes backward");
            return Err(WordError::new(message, format!("write \"{turned}\"")));
        }
        Ok(ClockOffset { from, to })
    }
}

/// How many millionths a clock is too fast (too slow, if negative), drawn from the seed: `+200ppm`, `-50ppm..+50ppm`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockDrift {
    pub from: i64,
    pub to: i64,
}

word!(
    ClockDrift,
    "a clock's drift such as \"+200ppm\" or \"-50ppm..+50ppm\"",
    r"^[+-]?[0-9]{1,6}ppm(\.\.[+-]?[0-9]{1,6}ppm)?$"
);

/// No clock that is sold runs at double speed.
const DRIFT_MAX: i64 = 500_000;

impl fmt::Display for ClockDrift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+}ppm", self.from)?;
        if self.from < self.to { write!(f, "..{:+}ppm", self.to) } else { Ok(()) }
    }
}

impl FromStr for ClockDrift {
    type Err = WordError;

    fn from_str(text: &str) -> Result<ClockDrift, WordError> {
        let one = |text: &str| -> Result<i64, WordError> {
            let number = text.strip_suffix("ppm").and_then(|number| number.parse().ok());
            number.filter(|ppm: &i64| ppm.abs() <= DRIFT_MAX).ok_or_else(|| {
                let help = format!("write a sign, a whole number up to {DRIFT_MAX} and ppm, such as \"+200ppm\"");
                WordError::new(format!("\"{text}\" is not a clock's drift"), help)
            })
        };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to) = (one(from)?, one(to)?);
        if to < from {
            let turned = ClockDrift { from: to, to: from };
            let message = format!("the range \"{text}\" goes backward");
            return Err(WordError::new(message, format!("write \"{turned}\"")));
        }
        Ok(ClockDrift { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_read_back_as_they_were_written() {
        for text in ["200/s", "30/min", "1/h"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["1B/s", "1500B/s", "64KB/s", "1MB/s", "1000GB/s"] {
            assert_eq!(text.parse::<Throughput>().unwrap().to_string(), text);
        }
        for text in ["0%", "5%", "0.25%", "99.9999%", "100%"] {
            assert_eq!(text.parse::<Chance>().unwrap().to_string(), text);
        }
        for text in ["+0s", "-250ms", "+3s", "-5s..+5s", "-9s..-2s"] {
            assert_eq!(text.parse::<ClockOffset>().unwrap().to_string(), text);
        }
        for text in ["+0ppm", "-250ppm", "-50ppm..+50ppm"] {
            assert_eq!(text.parse::<ClockDrift>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in ["0/s", "200", "200/d", "-1/s", "100001/s", "99999999999/s"] {
            text.parse::<Rate>().unwrap_err();
        }
        for text in ["0MB/s", "1MB", "1mb/s", "MB/s", "1001GB/s", "99999999999999999999B/s", "1.5MB/s"] {
            text.parse::<Throughput>().unwrap_err();
        }
        for text in ["5", "101%", "100.0001%", "%", ".5%", "1.%", "-1%", "0.00001%", "999999999%"] {
            text.parse::<Chance>().unwrap_err();
        }
        for text in ["3", "+-3s", "+5s..-5s", "..", ""] {
            text.parse::<ClockOffset>().unwrap_err();
        }
        for text in ["3", "ppm", "1000000ppm", "+5ppm..-5ppm", "..", ""] {
            text.parse::<ClockDrift>().unwrap_err();
        }
    }

    #[test]
    fn a_rate_says_how_long_from_one_to_the_next() {
        assert_eq!(Rate::per_second(200).interval(), Duration::from_millis(5));
    }
}

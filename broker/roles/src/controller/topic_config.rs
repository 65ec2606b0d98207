//! The settings that a topic may have of its own, and which values they take.

use super::Refusal;

enum Kind {
    /// A whole number of at least this.
    Number(i64),
    Bool,
    OneOf(&'static [&'static str]),
}

/// Kafka's names and values.
const KNOWN: &[(&str, Kind)] = &[
    ("cleanup.policy", Kind::OneOf(&["delete", "compact", "compact,delete", "delete,compact"])),
    ("compression.type", Kind::OneOf(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"])),
    ("delete.retention.ms", Kind::Number(0)),
    ("file.delete.delay.ms", Kind::Number(0)),
    ("flush.messages", Kind::Number(1)),
    ("flush.ms", Kind::Number(0)),
    ("max.compaction.lag.ms", Kind::Number(1)),
    ("max.message.bytes", Kind::Number(0)),
    ("message.timestamp.type", Kind::OneOf(&["CreateTime", "LogAppendTime"])),
    ("min.compaction.lag.ms", Kind::Number(0)),
    ("min.insync.replicas", Kind::Number(1)),
    ("preallocate", Kind::Bool),
    ("retention.bytes", Kind::Number(-1)),
    ("retention.ms", Kind::Number(-1)),
    ("segment.bytes", Kind::Number(14)),
    ("segment.ms", Kind::Number(1)),
    ("unclean.leader.election.enable", Kind::OneOf(&["false"])),
];

/// The settings with their values, if each is one that a topic may have.
pub(super) fn check(configs: &[(String, Option<String>)]) -> Result<Vec<(String, String)>, Refusal> {
    let mut checked: Vec<(String, String)> = Vec::new();
    for (name, value) in configs {
        let Some((_, kind)) = KNOWN.iter().find(|(known, _)| known == name) else {
            return Err(Refusal::InvalidConfig(format!("a topic has no setting \"{name}\"")));
        };
        let Some(value) = value else {
            return Err(Refusal::InvalidConfig(format!("\"{name}\" has no value")));
        };
        if checked.iter().any(|(other, _)| other == name) {
            return Err(Refusal::InvalidConfig(format!("\"{name}\" is set twice")));
        }
        kind.check(name, value)?;
        checked.push((name.clone(), value.clone()));
    }
    Ok(checked)
}

impl Kind {
    fn check(&self, name: &str, value: &str) -> Result<(), Refusal> {
        let expected = match self {
            Kind::Number(least) if value.parse::<i64>().is_ok_and(|number| *least <= number) => return Ok(()),
            Kind::Bool if ["true", "false"].contains(&value) => return Ok(()),
            Kind::OneOf(words) if words.contains(&value) => return Ok(()),
            Kind::Number(least) => format!("a whole number of at least {least}"),
            Kind::Bool => "true or false".into(),
            Kind::OneOf(words) => format!("one of {}", words.join(", ")),
        };
        Err(Refusal::InvalidConfig(format!("\"{name}\" cannot be \"{value}\": it takes {expected}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: Option<&str>) -> Result<Vec<(String, String)>, Refusal> {
        check(&[(name.into(), value.map(Into::into))])
    }

    #[test]
    fn a_setting_is_known_and_in_its_range_or_refused() {
        assert!(one("min.insync.replicas", Some("2")).is_ok());
        assert!(one("retention.ms", Some("-1")).is_ok());
        for (name, value) in [
            ("min.insync.replicas", Some("0")),
            ("min.insync.replicas", Some("two")),
            ("min.insync.replicas", None),
            ("cleanup.policy", Some("hoard")),
            ("colour", Some("blue")),
        ] {
            assert!(matches!(one(name, value), Err(Refusal::InvalidConfig(_))), "{name} = {value:?}");
        }
    }
}

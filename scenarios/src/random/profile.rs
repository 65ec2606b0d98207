//! Profiles: what a random scenario may hold.

use crate::words::{WordError, nearest};

/// What a random scenario may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// Everything that goes wrong with nodes, networks, disks and clocks: three brokers, four clients and over a hundred requests a
    /// second in the mean.
    #[default]
    Standard,
    /// The same, for a whole minute.
    Long,
    /// Nothing goes wrong.
    Calm,
    /// Crashes, power loss, restarts, pauses.
    Nodes,
    /// Cuts of every shape, slow and lossy links, connections that die or do not come.
    Network,
    /// Disks that fail.
    Disk,
}

impl Profile {
    pub const ALL: &'static [Profile] =
        &[Profile::Standard, Profile::Long, Profile::Calm, Profile::Nodes, Profile::Network, Profile::Disk];

    /// The word for it on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Standard => "standard",
            Profile::Long => "long",
            Profile::Calm => "calm",
            Profile::Nodes => "nodes",
            Profile::Network => "network",
            Profile::Disk => "disk",
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Profile, WordError> {
        let names = || Profile::ALL.iter().map(|profile| profile.name());
        Profile::ALL.iter().find(|profile| profile.name() == text).copied().ok_or_else(|| {
            let help = match nearest(text, names()) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!("write one of: {}", names().collect::<Vec<_>>().join(", ")),
            };
            WordError::new(format!("there is no profile \"{text}\""), help)
        })
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

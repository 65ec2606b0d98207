//! The quiet phase after the faults: what is left broken, and how soon the rest must have found itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::words::{Selector, Span};

/// After the workload the faults end. What is left broken stays so while the rest, the core, must serve and agree again; then it is
/// healed as well, and all of the cluster must.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quiet {
    /// Who is left broken: down, standing still, or cut off. Whoever the rest cannot do without is healed all the same: a majority of
    /// voters, and `min_insync_replicas` of each partition.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leave: Vec<Selector>,
    /// How soon each of the two must have come about; a minute, if nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Span>,
}

impl Quiet {
    pub(crate) fn is_usual(&self) -> bool {
        *self == Quiet::default()
    }
}

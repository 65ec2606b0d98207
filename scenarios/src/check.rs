//! Sense: what the types allow and no run could do.

use crate::error::Mistake;
use crate::parse::Step;
use crate::scenario::Scenario;

/// The first mistake, and the path to it.
pub(crate) fn first_mistake(scenario: &Scenario) -> Option<(Vec<Step>, Mistake)> {
    let _ = scenario;
    None
}

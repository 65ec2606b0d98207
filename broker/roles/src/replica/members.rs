//! Members of an in-sync set, in order. There are a handful of them, and every step of a leader walks through them.

use model::BrokerId;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(Vec<BrokerId>);

impl Members {
    pub(crate) fn contains(&self, id: BrokerId) -> bool {
        self.0.contains(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = BrokerId> {
        self.0.iter().copied()
    }

    pub(crate) fn to_vec(&self) -> Vec<BrokerId> {
        self.0.clone()
    }

    pub(crate) fn is_subset(&self, other: &Members) -> bool {
        self.iter().all(|id| other.contains(id))
    }
}

impl Extend<BrokerId> for Members {
    fn extend<I: IntoIterator<Item = BrokerId>>(&mut self, ids: I) {
        self.0.extend(ids);
        self.0.sort_unstable();
        self.0.dedup();
    }
}

impl FromIterator<BrokerId> for Members {
    fn from_iter<I: IntoIterator<Item = BrokerId>>(ids: I) -> Members {
        let mut members = Members::default();
        members.extend(ids);
        members
    }
}

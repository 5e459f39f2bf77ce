//! A set of numeric ids kept as ranges, small enough for a cursor. Knows nothing of what the ids name.

use serde::{Deserialize, Serialize};

/// Ids as inclusive ranges, in order, never touching each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct IdSet(Vec<(u64, u64)>);

impl IdSet {
    /// Adds one.
    pub(crate) fn insert(&mut self, id: u64) {
        let at = self.0.partition_point(|(_, end)| *end < id);
        if self.0.get(at).is_some_and(|(start, _)| *start <= id) {
            return;
        }
        let joins_left = at > 0 && self.0[at - 1].1.checked_add(1) == Some(id);
        let joins_right = self.0.get(at).is_some_and(|(start, _)| id.checked_add(1) == Some(*start));
        match (joins_left, joins_right) {
            (true, true) => {
                self.0[at - 1].1 = self.0[at].1;
                self.0.remove(at);
            }
            (true, false) => self.0[at - 1].1 = id,
            (false, true) => self.0[at].0 = id,
            (false, false) => self.0.insert(at, (id, id)),
        }
    }

    /// How many.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start + 1).sum()
    }

    /// How many ranges it takes to write it down.
    pub(crate) fn ranges(&self) -> usize {
        self.0.len()
    }

    /// What is in this set and not in the other.
    pub(crate) fn minus<'a>(&'a self, other: &'a IdSet) -> impl Iterator<Item = u64> + 'a {
        (self.0.iter().flat_map(|(start, end)| *start..=*end)).filter(|id| !other.contains(*id))
    }

    /// Whether it is in.
    pub(crate) fn contains(&self, id: u64) -> bool {
        let at = self.0.partition_point(|(_, end)| *end < id);
        self.0.get(at).is_some_and(|(start, _)| *start <= id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn holds_what_was_put_in(ids in prop::collection::vec(0u64..60, 0..80), other in prop::collection::vec(0u64..60, 0..80)) {
            let fill = |ids: &[u64]| {
                let mut set = IdSet::default();
                ids.iter().for_each(|id| set.insert(*id));
                set
            };
            let (set, gone) = (fill(&ids), fill(&other));
            let (plain, without): (BTreeSet<_>, BTreeSet<_>) = (ids.into_iter().collect(), other.into_iter().collect());
            prop_assert_eq!(set.len(), plain.len() as u64);
            prop_assert!((0..60).all(|id| set.contains(id) == plain.contains(&id)));
            prop_assert_eq!(set.minus(&gone).collect::<Vec<_>>(), plain.difference(&without).copied().collect::<Vec<_>>());
            prop_assert!(set.0.windows(2).all(|w| w[0].1 + 1 < w[1].0));
        }
    }
}

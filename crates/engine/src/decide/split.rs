//! Which way a run goes at a split: by hash, so that a customer keeps theirs over all runs, or with `again` over one
//! (rule R16). A split that learns draws by the shares that hold now, and only who has no way yet.

use sha2::{Digest, Sha256};

use super::Work;
use crate::experiment::{Drawn, Experiment, How, WHOLE};
use crate::playbook::{Journey, Node, Way};

impl Work<'_> {
    pub(super) fn take_way<'w>(
        &self,
        index: usize,
        journey: &'w Journey,
        node: &'w Node,
        ways: &'w [Way],
        again: bool,
    ) -> Option<(&'w Way, Drawn)> {
        let drawn = |way: &'w Way, how| Some((way, Drawn { way: way.name.clone(), how }));
        let draw = |weights: &[u32]| {
            let place = place_of(self.number(index, journey, &node.id, again), weights)?;
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            let share = u64::from(weights[place]) * u64::from(WHOLE) / total.max(1);
            Some((&ways[place], share as u32))
        };
        let written: Vec<u32> = ways.iter().map(|way| way.weight).collect();
        let Some(experiment) = Experiment::of(journey, node) else {
            return drawn(draw(&written)?.0, How::Plain);
        };
        if let Some(way) = experiment.kept(&self.runs, &self.runs[index]) {
            return drawn(way, How::Kept);
        }
        match experiment.weights(self.book, self.now) {
            Some(shares) => draw(&shares).and_then(|(way, share)| drawn(way, How::Learned(share))),
            None => draw(&written).and_then(|(way, share)| drawn(way, How::Written(share))),
        }
    }

    /// A number that is evenly any, and always the same.
    fn number(&self, index: usize, journey: &Journey, step: &str, again: bool) -> u64 {
        let mut hash = Sha256::new();
        for part in [self.book.settings.seed.as_bytes(), journey.root().as_bytes(), step.as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.update(journey.epoch.to_be_bytes());
        hash.update(self.snapshot.customer.id.uuid().as_bytes());
        if again {
            hash.update(self.runs[index].id.uuid().as_bytes());
        }
        let digest = hash.finalize();
        let mut head = [0u8; 8];
        head.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(head)
    }
}

/// Where a number falls among weights laid end to end.
fn place_of(number: u64, weights: &[u32]) -> Option<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut rest = number % total.max(1);
    weights.iter().position(|weight| {
        let weight = u64::from(*weight);
        let here = rest < weight;
        rest = rest.saturating_sub(weight);
        here
    })
}

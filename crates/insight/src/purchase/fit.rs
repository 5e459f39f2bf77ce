//! What a nightly job calls: from a shop's customers to a model that its orders carry, on the highest rung of a ladder.
//!
//! The rungs: the full model by maximum likelihood; the same with weak expectations of what shops are like; the model in
//! which nobody leaves; what the shop's customers did on average. Every answer says which rung it stands on and which
//! doubts kept it from the ones above. Never fails: there is always a last rung.

use serde::{Deserialize, Serialize};

use super::gate::{CUSTOMERS, Doubt, FEWEST, GAIN, REPEATERS, doubt};
use super::{BaseRates, BgNbd, MbgNbd, Model, Nbd, ParetoNbd, Prior, Sample};
use crate::matrix::{Square, inverse};
use crate::optimise::{End, Minimum, curvature, minimise};
use crate::span::{Span, Unit};

/// The longest history is as long as this in the fits, so that all parameters are of one order of magnitude.
const LONGEST: f64 = 10.0;
/// The logarithms of the parameters where a search begins.
const START: [f64; 4] = [-0.7, 0.5, -0.3, 0.7];
/// More repeats than ten times what 99 of 100 customers have, and than this, count as so many.
const OUTLYING: u32 = 20;
/// With less data than a full fit needs, leaving is believed though staying is that much likelier: all shops lose some.
const BENEFIT: f64 = 2.0;

/// Which model to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Kind {
    /// BG/NBD.
    Bg,
    /// MBG/NBD: the cheapest that knows that one-time buyers leave, too. On CDNOW it tells nearly as well as Pareto/NBD who will
    /// order again.
    #[default]
    Mbg,
    /// Pareto/NBD: ten times the work, a little better, and the only one with a P(alive) worth showing.
    Pareto,
}

type Likelihood<const N: usize> = fn(&Sample, &[f64; N]) -> (f64, [f64; N]);

impl Kind {
    fn likelihood(self) -> Likelihood<4> {
        match self {
            Kind::Bg => BgNbd::likelihood,
            Kind::Mbg => MbgNbd::likelihood,
            Kind::Pareto => ParetoNbd::likelihood,
        }
    }

    fn names(self) -> [char; 4] {
        match self {
            Kind::Bg | Kind::Mbg => ['r', 'α', 'a', 'b'],
            Kind::Pareto => ['r', 'α', 's', 'β'],
        }
    }

    /// The model with these logarithms of parameters, of times multiplied by `scale`.
    fn model(self, logs: &[f64; 4], scale: f64) -> Model {
        let [one, two, three, four] = logs.map(f64::exp);
        let alpha = Span::computed(two / scale);
        match self {
            Kind::Bg => Model::Bg(BgNbd { r: one, alpha, a: three, b: four }),
            Kind::Mbg => Model::Mbg(MbgNbd { r: one, alpha, a: three, b: four }),
            Kind::Pareto => {
                Model::Pareto(ParetoNbd { r: one, alpha, s: three, beta: Span::computed(four / scale) })
            }
        }
    }

    /// The logarithms of a model's parameters, scales in days, if it is of this kind.
    pub(crate) fn logs_of(self, model: &Model) -> Option<[f64; 4]> {
        let parameters = match (self, model) {
            (Kind::Bg, Model::Bg(m)) => [m.r, m.alpha.as_days(), m.a, m.b],
            (Kind::Mbg, Model::Mbg(m)) => [m.r, m.alpha.as_days(), m.a, m.b],
            (Kind::Pareto, Model::Pareto(m)) => [m.r, m.alpha.as_days(), m.s, m.beta.as_days()],
            _ => return None,
        };
        Some(parameters.map(f64::ln))
    }
}

/// How much work a fit may be: evaluations of the likelihood over all customers. A search takes about 20.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// For each search.
    pub evaluations: u32,
}

impl Default for Budget {
    fn default() -> Self {
        Self { evaluations: 300 }
    }
}

/// What to fit, and with what.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which model.
    pub kind: Kind,
    /// What is expected where there are few data: [`Prior::published`] if nothing is given.
    pub prior: Option<Prior>,
    /// How much work it may be.
    pub budget: Budget,
    /// Base rates that were counted, for the last rung; otherwise one rate for everybody.
    pub base: Option<BaseRates>,
}

/// The rung that a fit stands on, and why on none above.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Rung {
    /// The full model by maximum likelihood.
    Full {
        /// How much higher the log-likelihood is than without leaving.
        gain: f64,
        /// Largest by smallest curvature at the maximum.
        condition: f64,
    },
    /// The full model, held near what is expected.
    Shrunk {
        /// Against the full fit.
        full: Doubt,
    },
    /// The model without leaving.
    NobodyLeaves {
        /// Against the full fit.
        full: Doubt,
        /// Against the one that is held.
        shrunk: Doubt,
    },
    /// What customers did on average.
    BaseRates {
        /// Against any model.
        doubt: Doubt,
    },
}

/// Customers with so many repeats that they would have outweighed the others.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Capped {
    /// How many.
    pub customers: f64,
    /// What their repeats counted as.
    pub repeats: u32,
}

/// A shop's fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fit {
    /// The model.
    pub model: Model,
    /// Which rung, and why.
    pub rung: Rung,
    /// Customers it was fitted to.
    pub customers: f64,
    /// Those of them with repeat purchases.
    pub repeaters: f64,
    /// The log-likelihood as a density per day; nothing for base rates.
    pub log_likelihood: Option<f64>,
    /// Outliers that were capped.
    pub capped: Option<Capped>,
    /// Evaluations of likelihoods.
    pub evaluations: u32,
    /// Of the logarithms of the parameters, row by row; as many rows as the model has parameters.
    pub(crate) covariance: Vec<Vec<f64>>,
}

impl Fit {
    /// The standard errors of the logarithms of the parameters (r, alpha, and those of leaving): 0.1 says that the
    /// parameter is known to about 10 %. From the curvature at the maximum; none for base rates.
    pub fn standard_errors(&self) -> Vec<f64> {
        self.covariance.iter().enumerate().map(|(i, row)| row[i].max(0.0).sqrt()).collect()
    }
}

/// A search's result and what it is worth.
struct Climbed<const N: usize> {
    found: Minimum<N>,
    curved: Square<N>,
    /// Without what is expected.
    log_likelihood: f64,
    evaluations: u32,
}

fn climb<const N: usize>(
    sample: &Sample,
    start: [f64; N],
    likelihood: Likelihood<N>,
    prior: Option<(&Prior, f64)>,
    budget: Budget,
) -> Climbed<N> {
    let weight = sample.weight;
    let downhill = |logs: &[f64; N]| {
        let (mut value, mut slopes) = likelihood(sample, logs);
        if let Some((prior, scale)) = prior {
            let (expected, by) = prior.density(logs, scale);
            value += expected;
            slopes.iter_mut().zip(by).for_each(|(slope, by)| *slope += by);
        }
        (-value / weight, slopes.map(|slope| -slope / weight))
    };
    let found = minimise(start, budget.evaluations, downhill);
    let curved = if found.end == End::Converged {
        curvature(&found.at, |logs| downhill(logs).1).map(|row| row.map(|entry| entry * weight))
    } else {
        [[f64::NAN; N]; N]
    };
    let log_likelihood = likelihood(sample, &found.at).0;
    Climbed { found, curved, log_likelihood, evaluations: found.evaluations + 1 + 2 * N as u32 }
}

fn rows<const N: usize>(curved: &Square<N>) -> Vec<Vec<f64>> {
    inverse(curved).map(|rows| rows.map(|row| row.to_vec()).to_vec()).unwrap_or_default()
}

/// The sample without customers who would outweigh the others.
fn without_outliers(sample: &Sample) -> (Sample, Option<Capped>) {
    let most = sample.quantile(0.99).saturating_mul(10).max(OUTLYING);
    let customers = sample.more_than.get(most as usize).copied().unwrap_or(0.0);
    if customers > 0.0 {
        (sample.capped(most), Some(Capped { customers, repeats: most }))
    } else {
        (sample.clone(), None)
    }
}

/// Fits the model of `options` to a shop's customers, or what stands in for it.
pub fn fit(sample: &Sample, options: &Options) -> Fit {
    let (kind, budget) = (options.kind, options.budget);
    let (capped, outliers) = without_outliers(sample);
    let scale = LONGEST / capped.longest();
    let sample = capped.scaled(scale);
    let per_day = sample.repeats * scale.ln();
    let answer = |model, rung, log_likelihood: Option<f64>, covariance, evaluations| Fit {
        model,
        rung,
        customers: sample.weight,
        repeaters: sample.repeaters,
        log_likelihood: log_likelihood.map(|value| value + per_day).filter(|value| value.is_finite()),
        capped: outliers,
        evaluations,
        covariance,
    };
    let base = |doubt, evaluations| {
        let rates = options.base.clone().unwrap_or_else(|| BaseRates::pooled(&capped));
        answer(Model::Base(rates), Rung::BaseRates { doubt }, None, Vec::new(), evaluations)
    };
    if sample.repeaters < FEWEST {
        return base(Doubt::FewRepeaters { repeaters: sample.repeaters, needed: FEWEST }, 0);
    }
    let prior = options.prior.filter(|prior| prior.kind() == kind).unwrap_or(Prior::published(kind));
    let staying = climb(&sample, [START[0], START[1]], Nbd::likelihood, None, budget);
    let mut evaluations = staying.evaluations;

    // Rung 1.
    let enough = enough(&sample);
    let full = enough.and_then(|()| {
        let climbed = climb(&sample, START, kind.likelihood(), None, budget);
        evaluations += climbed.evaluations;
        let gain = climbed.log_likelihood - staying.log_likelihood;
        let condition = doubt(&climbed.found, kind.names(), &climbed.curved)?;
        if gain.is_nan() || gain <= GAIN {
            return Err(Doubt::NoGain { gain, needed: GAIN });
        }
        Ok((climbed, gain, condition))
    });
    let full = match full {
        Ok((climbed, gain, condition)) => {
            let model = kind.model(&climbed.found.at, scale);
            let rung = Rung::Full { gain, condition };
            let covariance = rows(&climbed.curved);
            return answer(model, rung, Some(climbed.log_likelihood), covariance, evaluations);
        }
        Err(doubt) => doubt,
    };

    // Rung 2. What a large shop's orders say about leaving is not to be talked over by what is expected.
    let held = climb(&sample, prior.centre(scale), kind.likelihood(), Some((&prior, scale)), budget);
    evaluations += held.evaluations;
    let gain = held.log_likelihood - staying.log_likelihood;
    let needed = if enough.is_ok() { 0.0 } else { -BENEFIT };
    let shrunk = match doubt(&held.found, kind.names(), &held.curved) {
        Ok(_) if gain >= needed => {
            let model = kind.model(&held.found.at, scale);
            let covariance = rows(&held.curved);
            return answer(model, Rung::Shrunk { full }, Some(held.log_likelihood), covariance, evaluations);
        }
        Ok(_) => Doubt::NoGain { gain, needed },
        Err(doubt) => doubt,
    };

    // Rung 3, held as well unless customers differ measurably.
    let rung = Rung::NobodyLeaves { full, shrunk };
    let names = ['r', 'α'];
    let model = |climbed: &Climbed<2>| {
        let [r, alpha] = climbed.found.at.map(f64::exp);
        Model::Nbd(Nbd { r, alpha: Span::computed(alpha / scale) })
    };
    if doubt(&staying.found, names, &staying.curved).is_ok() {
        let covariance = rows(&staying.curved);
        return answer(model(&staying), rung, Some(staying.log_likelihood), covariance, evaluations);
    }
    let centre = prior.centre(scale);
    let staying = climb(&sample, [centre[0], centre[1]], Nbd::likelihood, Some((&prior, scale)), budget);
    evaluations += staying.evaluations;
    match doubt(&staying.found, names, &staying.curved) {
        Ok(_) => {
            let covariance = rows(&staying.curved);
            answer(model(&staying), rung, Some(staying.log_likelihood), covariance, evaluations)
        }
        Err(doubt) => base(doubt, evaluations),
    }
}

fn enough(sample: &Sample) -> Result<(), Doubt> {
    if sample.weight < CUSTOMERS {
        return Err(Doubt::FewCustomers { customers: sample.weight, needed: CUSTOMERS });
    }
    if sample.repeaters < REPEATERS {
        return Err(Doubt::FewRepeaters { repeaters: sample.repeaters, needed: REPEATERS });
    }
    Ok(())
}

/// Fits a model to all customers without any ladder or cap, where the maximum may lie anywhere: for comparisons with
/// published figures. The log-likelihood is per `unit`.
#[doc(hidden)]
pub fn maximum(sample: &Sample, kind: Kind, unit: Unit) -> (Model, f64) {
    let scale = LONGEST / sample.longest();
    let scaled = sample.scaled(scale);
    let climbed = climb(&scaled, START, kind.likelihood(), None, Budget::default());
    let per = sample.repeats * scale.ln() + sample.per(unit);
    (kind.model(&climbed.found.at, scale), climbed.log_likelihood + per)
}

//! The Pareto/NBD model: customers leave at rates of their own, at any time.
//!
//! D. Schmittlein, D. Morrison, R. Colombo, "Counting your customers: who are they and what will they do next?",
//! Management Science 33(1), 1987; P. Fader, B. Hardie, "A note on deriving the Pareto/NBD model and related
//! expressions", 2005. Never evaluates a hypergeometric function: the integral behind it is done by quadrature, over
//! which its derivatives are weighted means.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::model::NextOrder;
use super::sample::Sample;
use crate::rfm::Rfm;
use crate::span::{Span, Unit};
use crate::special::{gauss_legendre, worn};

/// Gauss-Legendre rules: the full one, and two for integrands that hardly bend.
static FULL: LazyLock<[(f64, f64); 24]> = LazyLock::new(gauss_legendre);
static MEDIUM: LazyLock<[(f64, f64); 12]> = LazyLock::new(gauss_legendre);
static SHORT: LazyLock<[(f64, f64); 8]> = LazyLock::new(gauss_legendre);

/// The rule for an integrand over a `length` that falls by at most e^-`fall`. A rule of n points errs by about ρ^(-2n),
/// where the nearest singularity, π beside the interval, gives ρ = 2π/length + √((2π/length)² + 1); and by
/// fall^2n (n!)^4 / ((2n+1) (2n)!^3) for the falling itself. Either way less than 1e-13.
fn rule(length: f64, fall: f64) -> &'static [(f64, f64)] {
    if length < 1.2 && fall < 2.0 {
        &*SHORT
    } else if length < 3.0 && fall < 6.0 {
        &*MEDIUM
    } else {
        &*FULL
    }
}

/// Where the integrand has fallen by e^-this, the integral ends.
const NEGLIGIBLE: f64 = 45.0;
/// An order that takes longer than a century does not come. In days.
const CENTURY: f64 = 36_525.0;

/// A shop's model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ParetoNbd {
    pub(crate) r: f64,
    pub(crate) alpha: Span,
    pub(crate) s: f64,
    pub(crate) beta: Span,
}

/// A customer's two histories in one: still there, or left since the last order; and the derivatives by r, alpha, s,
/// beta of the logarithm of their sum.
struct Ways {
    ln_sum: f64,
    alive: f64,
    by: [f64; 4],
}

/// What is in common of all customers of an evaluation.
#[derive(Clone, Copy)]
struct Rates {
    r: f64,
    alpha: f64,
    s: f64,
    beta: f64,
}

impl Rates {
    /// (α+T)^-(r+x) (β+T)^-s  +  ∫ from t_x to T of  s (α+u)^-(r+x) (β+u)^-(s+1) du. Substituting
    /// v = ln((m+u) / (m+t_x)) with m = min(α, β) leaves an integrand that falls evenly.
    fn ways(&self, repeats: f64, last: f64, age: f64) -> Ways {
        let Rates { r, alpha, s, beta } = *self;
        let shape = r + repeats;
        let base = alpha.min(beta);
        let (alpha_last, beta_last, base_last) = (alpha + last, beta + last, base + last);
        let (ln_alpha_last, ln_beta_last) = (alpha_last.ln(), beta_last.ln());
        // Everything relative to the integrand at the last order.
        let (ln_alpha_age, ln_beta_age) =
            ((alpha + age).ln() - ln_alpha_last, (beta + age).ln() - ln_beta_last);
        let here = -shape * ln_alpha_age - s * ln_beta_age;
        let there = s.ln() - ln_beta_last + base_last.ln();
        let mut length = ((base + age) / base_last).ln();
        let fall = base_last * (shape / alpha_last + (s + 1.0) / beta_last) - 1.0;
        if fall > 0.0 {
            length = length.min(NEGLIGIBLE / fall);
        }
        let stay = here.exp();
        let (mut gone, mut sums) = (0.0, [0.0; 4]);
        let scale = there.exp() * length;
        // The logarithm of the one with the smaller scale is known, it is v; the other is `base` further.
        let further = alpha_last.max(beta_last) - base_last;
        let ln_start = ln_alpha_last.max(ln_beta_last);
        let alpha_is_base = alpha <= beta;
        let (falls, bends) = if alpha_is_base { (shape - 1.0, s + 1.0) } else { (s, shape) };
        for &(knot, weight) in rule(length, (shape + s) * length) {
            let v = knot * length;
            let near = base_last * v.exp();
            let far = near + further;
            let ln_far = far.ln() - ln_start;
            let part = weight * scale * (-falls * v - bends * ln_far).exp();
            gone += part;
            let by_both = part / (near * far);
            sums[0] += part * v;
            sums[1] += by_both * far;
            sums[2] += part * ln_far;
            sums[3] += by_both * near;
        }
        if !alpha_is_base {
            sums = [sums[2], sums[3], sums[0], sums[1]];
        }
        let all = stay + gone;
        let (alive, left) = (stay / all, gone / all);
        let mean = sums.map(|sum| sum / all);
        Ways {
            ln_sum: all.ln() - shape * ln_alpha_last - s * ln_beta_last,
            alive,
            by: [
                -ln_alpha_last - alive * ln_alpha_age - mean[0],
                -shape * (alive / (alpha + age) + mean[1]),
                -ln_beta_last - alive * ln_beta_age - mean[2] + left / s,
                -s * alive / (beta + age) - (s + 1.0) * mean[3],
            ],
        }
    }
}

impl ParetoNbd {
    /// The model with these parameters: order rates are gamma-distributed with shape `r` and scale `alpha`, rates of
    /// leaving with shape `s` and scale `beta`. Nothing unless all are positive and finite.
    pub fn new(r: f64, alpha: Span, s: f64, beta: Span) -> Option<Self> {
        let all = [r, alpha.as_days(), s, beta.as_days()];
        all.iter().all(|p| *p > 0.0 && p.is_finite()).then_some(Self { r, alpha, s, beta })
    }

    /// Shape of the order rates.
    pub fn r(&self) -> f64 {
        self.r
    }

    /// Scale of the order rates.
    pub fn alpha(&self) -> Span {
        self.alpha
    }

    /// Shape of the rates of leaving.
    pub fn s(&self) -> f64 {
        self.s
    }

    /// Scale of the rates of leaving.
    pub fn beta(&self) -> Span {
        self.beta
    }

    /// The log-likelihood of a shop's customers, as a density of purchase times in `per` (Fader and Hardie 2005,
    /// by quadrature).
    pub fn log_likelihood(&self, sample: &Sample, per: Unit) -> f64 {
        let logs = [self.r.ln(), self.alpha.as_days().ln(), self.s.ln(), self.beta.as_days().ln()];
        Self::likelihood(sample, &logs).0 + sample.per(per)
    }

    /// The log-likelihood at the logarithms of r, alpha, s and beta (in the sample's unit of time), and its gradient.
    pub(crate) fn likelihood(sample: &Sample, logs: &[f64; 4]) -> (f64, [f64; 4]) {
        let [r, alpha, s, beta] = logs.map(f64::exp);
        let rates = Rates { r, alpha, s, beta };
        let (rising, rising_r) = sample.rising(r);
        let mut value = rising + sample.weight * (r * logs[1] + s * logs[3]);
        let mut by = [
            rising_r + sample.weight * logs[1],
            sample.weight * r / alpha,
            sample.weight * logs[3],
            sample.weight * s / beta,
        ];
        for row in &sample.rows {
            let (last, age) = (sample.times[row.recency as usize], sample.times[row.age as usize]);
            let ways = rates.ways(f64::from(row.repeats), last, age);
            value += row.weight * ways.ln_sum;
            for (sum, part) in by.iter_mut().zip(ways.by) {
                *sum += row.weight * part;
            }
        }
        (value, [by[0] * r, by[1] * alpha, by[2] * s, by[3] * beta])
    }

    fn rates(&self) -> Rates {
        Rates { r: self.r, alpha: self.alpha.as_days(), s: self.s, beta: self.beta.as_days() }
    }

    /// The rates as they stand after a customer's history, if the customer is still there.
    fn after(&self, rfm: &Rfm) -> Rates {
        let age = rfm.age().as_days();
        Rates {
            r: self.r + f64::from(rfm.repeats()),
            alpha: self.alpha.as_days() + age,
            s: self.s,
            beta: self.beta.as_days() + age,
        }
    }

    /// The chance that the customer has not left (Schmittlein et al. 1987).
    pub fn p_alive(&self, rfm: &Rfm) -> f64 {
        let ways = self.rates().ways(f64::from(rfm.repeats()), rfm.recency().as_days(), rfm.age().as_days());
        ways.alive
    }

    /// Expected orders within `horizon` (Fader and Hardie 2005).
    pub fn expected_orders(&self, rfm: &Rfm, horizon: Span) -> f64 {
        let Rates { r, alpha, s, beta } = self.after(rfm);
        let y = (horizon.as_days() / beta).ln_1p();
        self.p_alive(rfm) * r * beta / alpha * worn(s - 1.0, y)
    }

    /// The chance of an order within `days`, of a customer who is still there: one minus that of a history of that
    /// length without any.
    fn arrives(own: Rates, days: f64) -> f64 {
        if days <= 0.0 {
            return 0.0;
        }
        let none = own.ways(0.0, 0.0, days).ln_sum + own.r * own.alpha.ln() + own.s * own.beta.ln();
        (-none.exp_m1()).clamp(0.0, 1.0)
    }

    /// The chance of at least one order within `horizon`.
    pub fn any_order(&self, rfm: &Rfm, horizon: Span) -> f64 {
        self.p_alive(rfm) * Self::arrives(self.after(rfm), horizon.as_days())
    }

    /// When the next order will have come with a chance of `share`; what would take more than a century is never.
    pub fn next_order(&self, rfm: &Rfm, share: f64) -> NextOrder {
        let own = self.after(rfm);
        let needed = share / self.p_alive(rfm);
        if share.is_nan() || needed >= Self::arrives(own, CENTURY) {
            return NextOrder::Never;
        }
        // Bisection of the logarithm: to a hundredth of a second, or a relative 1e-12.
        let (mut low, mut high) = (1e-7_f64.ln(), CENTURY.ln());
        for _ in 0..48 {
            let middle = f64::midpoint(low, high);
            if Self::arrives(own, middle.exp()) < needed { low = middle } else { high = middle }
        }
        NextOrder::In(Span::computed(high.exp()))
    }

    /// The chances of 0, 1, … `most` orders within `horizon`, and in the last place of more: stays all the time, or
    /// leaves at a time that is integrated over.
    pub(crate) fn order_counts(&self, rfm: &Rfm, horizon: Span, most: usize) -> Vec<f64> {
        let own = self.after(rfm);
        let alive = self.p_alive(rfm);
        let wear = (horizon.as_days() / own.beta).ln_1p();
        let stays = (-own.s * wear).exp();
        let mut found = super::nbd::counts(own.r, own.alpha, horizon.as_days(), most);
        found.iter_mut().for_each(|chance| *chance *= stays);
        // Leaving at u has density s β^s (β+u)^-(s+1) du, and du = (m+u) dv in v = ln((m+u) / m), m = min(α, β).
        let base = own.alpha.min(own.beta);
        let length = (horizon.as_days() / base).ln_1p();
        for &(knot, weight) in FULL.iter() {
            let until = base * (knot * length).exp_m1();
            let worn = (until / own.beta).ln_1p();
            let share = own.s * (-own.s * worn).exp() * (base + until) / (own.beta + until);
            let density = weight * length * share;
            for (chance, part) in found.iter_mut().zip(super::nbd::counts(own.r, own.alpha, until, most)) {
                *chance += density * part;
            }
        }
        found.iter_mut().for_each(|chance| *chance *= alive);
        found[0] += 1.0 - alive;
        found
    }
}

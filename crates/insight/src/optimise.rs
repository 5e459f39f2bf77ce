//! Minimising a smooth function of a handful of parameters, and the curvature at its minimum.
//!
//! BFGS with a line search that needs nothing but bisection for the weak Wolfe conditions: A. Lewis and M. Overton,
//! "Nonsmooth optimization via quasi-Newton methods", Mathematical Programming 141 (2013), algorithm 2.6. Never starts
//! from chance: the same function gives the same answer.

use crate::matrix::{Square, product};

/// Share of the expected decrease that a step must bring, and share of the slope that it may leave (weak Wolfe).
const DECREASE: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
/// Relative error of a sum over all customers: less than that is no increase. Near the minimum the gradient is the better
/// guide (W. Hager and H. Zhang, "A new conjugate gradient method with guaranteed descent", SIAM Journal on Optimization
/// 16(1), 2005, make the same allowance).
const NOISE: f64 = 1e-12;
/// So many halvings or doublings find a step, or there is none.
const TRIES: u32 = 40;
/// A gradient smaller than this in every direction is none. Functions are means over customers, parameters logarithms.
const FLAT: f64 = 1e-9;
/// Rounding may keep a line search from finding anything better; with a gradient below this it has arrived all the same.
const NEARLY_FLAT: f64 = 1e-6;
/// Logarithms of parameters beyond this have run away: e^25 is 7e10.
const FAR: f64 = 25.0;
/// No step changes a parameter by more than a factor of e^this.
const LONGEST: f64 = 3.0;
/// Step of the central differences of the gradient.
const DIFFERENCE: f64 = 1e-4;

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The gradient vanishes.
    Converged,
    /// A parameter runs towards zero or infinity.
    Escaped,
    /// As many evaluations as were allowed.
    Exhausted,
    /// No step helps although the gradient says so, or the function is no number where the search begins.
    Stuck,
}

/// Where the search ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Minimum<const N: usize> {
    pub(crate) at: [f64; N],
    pub(crate) evaluations: u32,
    pub(crate) end: End,
}

fn dot<const N: usize>(one: &[f64; N], other: &[f64; N]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn largest<const N: usize>(of: &[f64; N]) -> f64 {
    of.iter().fold(0.0, |most, value| value.abs().max(most))
}

/// Looks for the minimum of `value`, which returns its gradient too, with at most `allowed` evaluations.
pub(crate) fn minimise<const N: usize>(
    start: [f64; N],
    allowed: u32,
    mut value: impl FnMut(&[f64; N]) -> (f64, [f64; N]),
) -> Minimum<N> {
    let mut at = start;
    let (mut best, mut gradient) = value(&at);
    let mut evaluations: u32 = 1;
    let mut inverse = identity::<N>();
    let mut fresh = true;
    let end = loop {
        if !best.is_finite() || gradient.iter().any(|slope| !slope.is_finite()) {
            break End::Stuck;
        }
        if largest(&gradient) < FLAT {
            break End::Converged;
        }
        if largest(&at) > FAR {
            break End::Escaped;
        }
        let mut direction = product(&inverse, &gradient).map(|slope| -slope);
        if dot(&direction, &gradient) >= 0.0 {
            inverse = identity::<N>();
            direction = gradient.map(|slope| -slope);
        }
        let length = largest(&direction);
        if length > LONGEST {
            direction = direction.map(|part| part * LONGEST / length);
        }
        let slope = dot(&direction, &gradient);
        let (mut low, mut high, mut step) = (0.0, f64::INFINITY, 1.0);
        let mut found = None;
        let most = allowed.min(evaluations.saturating_add(TRIES));
        while evaluations < most && found.is_none() {
            let next: [f64; N] = std::array::from_fn(|i| at[i] + step * direction[i]);
            if next == at {
                break;
            }
            let (there, slopes) = value(&next);
            evaluations += 1;
            let lower = there <= best + DECREASE * step * slope + NOISE * best.abs();
            if !lower || slopes.iter().any(|slope| !slope.is_finite()) {
                high = step;
            } else if dot(&slopes, &direction) < CURVATURE * slope && largest(&next) <= FAR {
                low = step;
            } else {
                found = Some((next, there, slopes));
            }
            step = if high.is_finite() { f64::midpoint(low, high) } else { 2.0 * low };
        }
        let Some((next, there, slopes)) = found else {
            let arrived = largest(&gradient) < NEARLY_FLAT;
            let used_up = evaluations >= allowed;
            break if arrived {
                End::Converged
            } else if used_up {
                End::Exhausted
            } else {
                End::Stuck
            };
        };
        let moved: [f64; N] = std::array::from_fn(|i| next[i] - at[i]);
        let bent: [f64; N] = std::array::from_fn(|i| slopes[i] - gradient[i]);
        if fresh {
            let scale = dot(&moved, &bent) / dot(&bent, &bent);
            inverse = identity::<N>().map(|row| row.map(|entry| entry * scale));
            fresh = false;
        }
        update(&mut inverse, &moved, &bent);
        (at, best, gradient) = (next, there, slopes);
    };
    Minimum { at, evaluations, end }
}

fn identity<const N: usize>() -> Square<N> {
    std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))))
}

/// The BFGS update of the inverse curvature (Nocedal and Wright, Numerical Optimization, 2006, equation 6.17).
fn update<const N: usize>(inverse: &mut Square<N>, moved: &[f64; N], bent: &[f64; N]) {
    let along = dot(moved, bent);
    if along.is_nan() || along <= 0.0 {
        return;
    }
    let through = product(inverse, bent);
    let factor = (1.0 + dot(bent, &through) / along) / along;
    for i in 0..N {
        for j in 0..N {
            inverse[i][j] +=
                factor * moved[i] * moved[j] - (through[i] * moved[j] + moved[i] * through[j]) / along;
        }
    }
}

/// The second derivatives at a place, as central differences of the gradient.
pub(crate) fn curvature<const N: usize>(
    at: &[f64; N],
    mut gradient: impl FnMut(&[f64; N]) -> [f64; N],
) -> Square<N> {
    let mut raw = [[0.0; N]; N];
    for i in 0..N {
        let mut beside = |by: f64| {
            let mut place = *at;
            place[i] += by;
            gradient(&place)
        };
        let (after, before) = (beside(DIFFERENCE), beside(-DIFFERENCE));
        for j in 0..N {
            raw[i][j] = (after[j] - before[j]) / (2.0 * DIFFERENCE);
        }
    }
    std::array::from_fn(|i| std::array::from_fn(|j| f64::midpoint(raw[i][j], raw[j][i])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curved_valley_is_followed_to_its_end() {
        // Rosenbrock's function.
        let valley = |p: &[f64; 2]| {
            let (x, y) = (p[0], p[1]);
            let value = (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2);
            (value, [-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)])
        };
        let minimum = minimise([-1.2, 1.0], 500, valley);
        assert_eq!(minimum.end, End::Converged);
        assert!((minimum.at[0] - 1.0).abs() < 1e-7 && (minimum.at[1] - 1.0).abs() < 1e-7);
        let curved = curvature(&minimum.at, |p| valley(p).1);
        assert!((curved[0][0] - 802.0).abs() < 1e-3 && (curved[0][1] + 400.0).abs() < 1e-3);
    }

    #[test]
    fn what_has_no_minimum_escapes_and_what_is_no_number_is_stuck() {
        assert_eq!(minimise([0.0], 500, |p| (-p[0], [-1.0])).end, End::Escaped);
        assert_eq!(minimise([0.0], 500, |_| (f64::NAN, [1.0])).end, End::Stuck);
        assert_eq!(minimise([9.0], 3, |p| (p[0].powi(4), [4.0 * p[0].powi(3)])).end, End::Exhausted);
    }
}

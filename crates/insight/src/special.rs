//! The special functions that the models cannot do without; of those of gamma, none inside the purchase models' fits.
//!
//! Asymptotic series in Bernoulli numbers after shifting the argument up (Abramowitz and Stegun, Handbook of
//! Mathematical Functions, 1964: 6.1.40, 6.3.18, 6.4.11).

/// From here on the series below are exact to the last digits.
const LARGE: f64 = 12.0;

/// ln Γ(x) for x > 0.
pub(crate) fn ln_gamma(x: f64) -> f64 {
    // Γ(x) = Γ(x + n) / (x (x+1) … (x+n-1)); the product of at most 12 small numbers does not overflow.
    let (mut at, mut below) = (x, 1.0);
    while at < LARGE {
        below *= at;
        at += 1.0;
    }
    let i = 1.0 / (at * at);
    let series = (1.0 / 12.0
        - i * (1.0 / 360.0
            - i * (1.0 / 1260.0 - i * (1.0 / 1680.0 - i * (1.0 / 1188.0 - i * 691.0 / 360_360.0)))))
        / at;
    let half_ln_two_pi = 0.918_938_533_204_672_8;
    (at - 0.5) * at.ln() - at + half_ln_two_pi + series - below.ln()
}

/// ψ(x), the derivative of ln Γ, for x > 0.
pub(crate) fn digamma(x: f64) -> f64 {
    let (mut at, mut below) = (x, 0.0);
    while at < LARGE {
        below += 1.0 / at;
        at += 1.0;
    }
    let i = 1.0 / (at * at);
    let series = i
        * (1.0 / 12.0
            - i * (1.0 / 120.0
                - i * (1.0 / 252.0 - i * (1.0 / 240.0 - i * (1.0 / 132.0 - i * 691.0 / 32_760.0)))));
    at.ln() - 0.5 / at - series - below
}

/// ψ'(x), for x > 0.
pub(crate) fn trigamma(x: f64) -> f64 {
    let (mut at, mut below) = (x, 0.0);
    while at < LARGE {
        below += 1.0 / (at * at);
        at += 1.0;
    }
    let i = 1.0 / (at * at);
    let series =
        (1.0 / 6.0 - i * (1.0 / 30.0 - i * (1.0 / 42.0 - i * (1.0 / 30.0 - i * 5.0 / 66.0)))) * i / at;
    1.0 / at + 0.5 * i + series + below
}

/// (1 - e^(-k·y)) / k, which is y where k vanishes: growth that wears off at rate k.
pub(crate) fn worn(k: f64, y: f64) -> f64 {
    if k == 0.0 { y } else { -(-k * y).exp_m1() / k }
}

/// ln(1 + e^u) and its derivative e^u / (1 + e^u), without overflow.
pub(crate) fn softplus(u: f64) -> (f64, f64) {
    let small = (-u.abs()).exp();
    let share = 1.0 / (1.0 + small);
    (u.max(0.0) + small.ln_1p(), if u < 0.0 { small * share } else { share })
}

/// The knots in (0, 1) and weights of Gauss-Legendre quadrature with `N` points: Newton's method on Legendre's
/// polynomial (Press et al., Numerical Recipes, 2007, 4.6.1).
pub(crate) fn gauss_legendre<const N: usize>() -> [(f64, f64); N] {
    let count = N as f64;
    std::array::from_fn(|i| {
        let mut z = (std::f64::consts::PI * (i as f64 + 0.75) / (count + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..20 {
            let (mut one, mut before) = (1.0, 0.0);
            for j in 0..N {
                let j = j as f64;
                (one, before) = (((2.0 * j + 1.0) * z * one - j * before) / (j + 1.0), one);
            }
            slope = count * (z * one - before) / (z * z - 1.0);
            z -= one / slope;
        }
        (f64::midpoint(1.0, z), 1.0 / ((1.0 - z * z) * slope * slope))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_known_values() {
        let close = |found: f64, known: f64| {
            assert!((found - known).abs() < 1e-14 * known.abs().max(1.0), "{found} {known}")
        };
        close(ln_gamma(0.5), std::f64::consts::PI.ln() / 2.0);
        close(ln_gamma(1.0), 0.0);
        close(ln_gamma(11.0), 3_628_800.0_f64.ln());
        close(digamma(1.0), -0.577_215_664_901_532_9);
        close(trigamma(1.0), std::f64::consts::PI.powi(2) / 6.0);
    }

    #[test]
    fn derivatives_follow_their_functions() {
        for x in [0.03, 0.7, 3.9, 11.9, 12.1, 250.0] {
            let h = 1e-5 * x;
            let slope = (ln_gamma(x + h) - ln_gamma(x - h)) / (2.0 * h);
            assert!((slope - digamma(x)).abs() < 1e-8 * digamma(x).abs().max(1.0), "ψ({x})");
            let slope = (digamma(x + h) - digamma(x - h)) / (2.0 * h);
            assert!((slope - trigamma(x)).abs() < 1e-8 * trigamma(x), "ψ'({x})");
        }
    }

    #[test]
    fn growth_wears_off_without_a_gap_at_no_wear() {
        assert_eq!(worn(0.0, 3.0), 3.0);
        assert!((worn(1e-12, 3.0) - 3.0).abs() < 1e-11);
        assert!((worn(-1e-12, 3.0) - 3.0).abs() < 1e-11);
        assert_eq!(softplus(1000.0), (1000.0, 1.0));
        assert_eq!(softplus(-1000.0), (0.0, 0.0));
    }

    #[test]
    fn quadrature_is_exact_for_polynomials() {
        let knots = gauss_legendre::<24>();
        let integral = |power: i32| knots.iter().map(|(at, weight)| weight * at.powi(power)).sum::<f64>();
        for power in [0, 1, 7, 47] {
            assert!((integral(power) * f64::from(power + 1) - 1.0).abs() < 1e-13, "x^{power}");
        }
    }
}

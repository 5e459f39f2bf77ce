//! Distribution functions and their inverses: normal, Student's t, beta. Numbers in, numbers out; probabilities
//! outside (0, 1) give the distribution's ends.

/// The standard normal distribution function.
pub(crate) fn normal_below(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The standard normal density.
pub(crate) fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// The standard normal quantile: a bisection's bracket, tightened by Newton steps as soon as they stay inside.
/// Works on the smaller tail, so that it is as exact for 1e-12 as for 0.3.
pub(crate) fn normal(p: f64) -> f64 {
    if p > 0.5 {
        return -normal(1.0 - p);
    }
    if p.is_nan() || p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    invert(normal_below, normal_density, p, -39.0, 0.0)
}

/// Student's t quantile for `df` > 0 degrees of freedom. As exact in the lower tail as [`normal`] is.
pub(crate) fn student(p: f64, df: f64) -> f64 {
    if p > 0.5 {
        return -student(1.0 - p, df);
    }
    if df > 1e7 {
        return normal(p);
    }
    // P(T < −t) = I_{df/(df+t²)}(df/2, 1/2) / 2 (Abramowitz and Stegun 1964, 26.7.1); found by its x, not by t.
    let x = beta(2.0 * p, df / 2.0, 0.5);
    -(df * (1.0 - x) / x).sqrt()
}

/// The regularised incomplete beta function I_x(a, b): Lentz's continued fraction (Press et al. 2007, 6.4.5).
pub(crate) fn beta_below(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_below(1.0 - x, b, a);
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp() / a;
    let tiny = 1e-300;
    let away = |value: f64| if value.abs() < tiny { tiny } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..5_000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let factor = d * c;
        fraction *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

/// The quantile of Beta(a, b).
pub(crate) fn beta(p: f64, a: f64, b: f64) -> f64 {
    let density = |x: f64| ((a - 1.0) * x.ln() + (b - 1.0) * (-x).ln_1p() - ln_beta(a, b)).exp();
    invert(|x| beta_below(x, a, b), density, p, 0.0, 1.0)
}

/// The logarithm of the beta function.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// Where the rising function `below` reaches `p` between `low` and `high`: Newton steps that leave the bracket
/// are replaced by halving it.
fn invert(below: impl Fn(f64) -> f64, density: impl Fn(f64) -> f64, p: f64, low: f64, high: f64) -> f64 {
    let (mut low, mut high) = (low, high);
    let mut at = 0.5 * (low + high);
    for _ in 0..200 {
        let error = below(at) - p;
        if error == 0.0 {
            break;
        }
        if error < 0.0 {
            low = at;
        } else {
            high = at;
        }
        let newton = at - error / density(at);
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        let moved = (next - at).abs();
        at = next;
        if moved <= 1e-15 * at.abs() {
            break;
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{found}, not {expected}");
    }

    /// scipy 1.17: norm.ppf, t.ppf, betainc, beta.ppf.
    #[test]
    fn quantiles_are_those_of_scipy() {
        near(normal(0.5), 0.0);
        near(normal(1e-12), -7.034_483_825_301_131);
        near(normal(0.3), -0.524_400_512_708_040_9);
        near(normal(0.975), 1.959_963_984_540_054);
        near(student(0.975, 1.0), 12.706_204_736_174_694);
        near(student(0.975, 2.5), 3.574_654_842_003_681_7);
        near(student(0.995, 30.0), 2.749_995_653_567_225_4);
        near(student(0.975, 1000.0), 1.962_339_080_826_408_3);
        near(student(0.6, 5.0), 0.267_180_865_704_145_1);
        near(student(0.025, 5.0), -2.570_581_835_636_314);
        near(beta_below(0.3, 0.5, 0.5), 0.369_010_119_565_545_36);
        near(beta_below(0.2, 2.0, 5.0), 0.344_64);
        near(beta_below(0.01, 0.5, 40.0), 0.628_613_976_746_015_5);
        near(beta_below(0.5, 5001.0, 4980.0), 0.416_752_419_183_669_3);
        near(beta(0.025, 0.5, 0.5), 0.001_541_333_133_436_012);
        near(beta(0.5, 2.0, 5.0), 0.264_449_983_295_660_05);
        near(beta(0.975, 30.0, 12.0), 0.838_701_430_285_692_3);
    }

    #[test]
    fn quantiles_of_nonsense_are_the_ends() {
        assert_eq!(normal(0.0), f64::NEG_INFINITY);
        assert_eq!(normal(1.0), f64::INFINITY);
        assert_eq!(normal(f64::NAN), f64::NEG_INFINITY);
        assert_eq!(beta_below(-1.0, 2.0, 3.0), 0.0);
        assert_eq!(beta_below(2.0, 2.0, 3.0), 1.0);
    }
}

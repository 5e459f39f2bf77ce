//! How surely two things go together, from counts alone. Never says how strongly: a figure here is evidence, and grows
//! with the number of cases.

/// The log-likelihood ratio (G²) of a table of two yes-or-no questions.
///
/// `both` cases said yes to both, `first_only` and `second_only` to one, `neither` to none. Zero when the two are
/// exactly as often together as chance would have it, or when one of them never (or always) happens; it is
/// distributed about as chi-square with one degree of freedom when there is no connection.
///
/// Source: T. Dunning, "Accurate Methods for the Statistics of Surprise and Coincidence", Computational Linguistics
/// 19(1), 1993, section 4; in the form 2 (Σ k ln k − Σ row ln row − Σ column ln column + N ln N).
#[must_use]
pub fn g2(both: u64, first_only: u64, second_only: u64, neither: u64) -> f64 {
    let cells = x_ln_x(both) + x_ln_x(first_only) + x_ln_x(second_only) + x_ln_x(neither);
    let add = |a: u64, b: u64| a.saturating_add(b);
    let rows = x_ln_x(add(both, first_only)) + x_ln_x(add(second_only, neither));
    let columns = x_ln_x(add(both, second_only)) + x_ln_x(add(first_only, neither));
    let all = x_ln_x(add(add(both, first_only), add(second_only, neither)));
    // Cancellation can leave a trace below zero, which no ratio of likelihoods has.
    (2.0 * (cells + all - rows - columns)).max(0.0)
}

/// Whether the two happen together more often than chance would have it.
#[must_use]
pub fn attracts(both: u64, first_only: u64, second_only: u64, neither: u64) -> bool {
    u128::from(both) * u128::from(neither) > u128::from(first_only) * u128::from(second_only)
}

/// `x ln x`, and 0 for 0, which is its limit.
pub(crate) fn x_ln_x(x: u64) -> f64 {
    if x == 0 { 0.0 } else { (x as f64) * (x as f64).ln() }
}

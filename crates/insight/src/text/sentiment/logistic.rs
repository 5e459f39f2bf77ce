//! Logistic regression with an L2 penalty. Never draws a number: the same rows give the same weights to the last bit.
//!
//! Minimises Σ ½ w² + Σ c ln(1 + exp(−y z)) by a truncated Newton method: directions by conjugate gradients with
//! Hessian times vector, steps by halving until the decrease is sufficient. Source: J. Nocedal and S. Wright,
//! Numerical Optimization, 2nd ed. 2006, algorithm 7.1; for this loss C.-J. Lin, R. Weng, S. Keerthi, "Trust Region
//! Newton Method for Large-Scale Logistic Regression", JMLR 9, 2008, whose equations 4 to 6 are the gradient and the
//! Hessian.

/// One text: its features by place in the weights, its label and how much it counts.
pub(super) struct Row {
    pub(super) features: Vec<(usize, f64)>,
    pub(super) praise: bool,
    pub(super) cost: f64,
}

/// Weights, and the constant, which is not penalised.
#[derive(Debug, Clone)]
pub(super) struct Fit {
    pub(super) weights: Vec<f64>,
    pub(super) constant: f64,
}

/// 1 / (1 + e^−x) without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        let e = x.exp();
        e / (1.0 + e)
    }
}

/// ln(1 + e^x) without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

const MOST_STEPS: usize = 60;
const MOST_DIRECTIONS: usize = 200;
const MOST_HALVINGS: usize = 40;

/// Fits `size` weights. Both labels must occur, or the constant has no end to run to and is stopped by the steps.
pub(super) fn fit(rows: &[Row], size: usize) -> Fit {
    // The constant is the last weight.
    let mut w = vec![0.0; size + 1];
    let mut z = scores(rows, &w);
    let mut value = objective(rows, &w, &z);
    let mut first = None;
    for _ in 0..MOST_STEPS {
        let gradient = gradient(rows, &w, &z);
        let norm = dot(&gradient, &gradient).sqrt();
        let start = *first.get_or_insert(norm);
        if norm <= 1e-7 * start.max(1e-30) {
            break;
        }
        let curvature: Vec<f64> =
            rows.iter().zip(&z).map(|(row, z)| row.cost * sigmoid(*z) * sigmoid(-*z)).collect();
        let direction = direction(rows, &curvature, &gradient, norm);
        let slope = dot(&gradient, &direction);
        let along = scores(rows, &direction);
        let mut step = 1.0;
        let mut moved = false;
        for _ in 0..MOST_HALVINGS {
            let next: Vec<f64> = w.iter().zip(&direction).map(|(w, d)| w + step * d).collect();
            let next_z: Vec<f64> = z.iter().zip(&along).map(|(z, d)| z + step * d).collect();
            let next_value = objective(rows, &next, &next_z);
            if next_value <= value + 1e-4 * step * slope {
                (w, z, value, moved) = (next, next_z, next_value, true);
                break;
            }
            step *= 0.5;
        }
        if !moved {
            break;
        }
    }
    let constant = w.pop().unwrap_or(0.0);
    Fit { weights: w, constant }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn score(row: &Row, w: &[f64]) -> f64 {
    row.features.iter().map(|(place, value)| value * w[*place]).sum::<f64>() + w[w.len() - 1]
}

fn scores(rows: &[Row], w: &[f64]) -> Vec<f64> {
    rows.iter().map(|row| score(row, w)).collect()
}

fn objective(rows: &[Row], w: &[f64], z: &[f64]) -> f64 {
    let (_, penalised) = w.split_last().unwrap_or((&0.0, &[]));
    let loss = |(row, z): (&Row, &f64)| row.cost * softplus(if row.praise { -z } else { *z });
    0.5 * dot(penalised, penalised) + rows.iter().zip(z).map(loss).sum::<f64>()
}

/// Adds `factor` times a row to a vector.
fn add(row: &Row, factor: f64, to: &mut [f64]) {
    for (place, value) in &row.features {
        to[*place] += factor * value;
    }
    if let Some(constant) = to.last_mut() {
        *constant += factor;
    }
}

/// What the penalty alone gives.
fn penalty(w: &[f64]) -> Vec<f64> {
    let mut made = w.to_vec();
    if let Some(constant) = made.last_mut() {
        *constant = 0.0;
    }
    made
}

fn gradient(rows: &[Row], w: &[f64], z: &[f64]) -> Vec<f64> {
    let mut gradient = penalty(w);
    for (row, z) in rows.iter().zip(z) {
        let pull = if row.praise { -sigmoid(-*z) } else { sigmoid(*z) };
        add(row, row.cost * pull, &mut gradient);
    }
    gradient
}

/// A descent direction: the Newton equation solved as far as is worth while.
fn direction(rows: &[Row], curvature: &[f64], gradient: &[f64], norm: f64) -> Vec<f64> {
    let enough = norm * norm.sqrt().min(0.5);
    let mut solution = vec![0.0; gradient.len()];
    let mut rest: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut search = rest.clone();
    let mut square = dot(&rest, &rest);
    for _ in 0..MOST_DIRECTIONS {
        if square.sqrt() <= enough {
            break;
        }
        let mut bent = penalty(&search);
        for (row, curvature) in rows.iter().zip(curvature) {
            add(row, curvature * score(row, &search), &mut bent);
        }
        let bend = dot(&search, &bent);
        if bend <= 0.0 {
            break;
        }
        let step = square / bend;
        solution.iter_mut().zip(&search).for_each(|(s, d)| *s += step * d);
        rest.iter_mut().zip(&bent).for_each(|(r, b)| *r -= step * b);
        let next = dot(&rest, &rest);
        let keep = next / square;
        search.iter_mut().zip(&rest).for_each(|(d, r)| *d = r + keep * *d);
        square = next;
    }
    // Without a single step: straight down.
    if dot(&solution, gradient) >= 0.0 { gradient.iter().map(|g| -g).collect() } else { solution }
}

/// Slope and constant with which scores become log-odds, fitted to scores of rows that were not learnt from.
///
/// Source: J. Platt, "Probabilistic Outputs for Support Vector Machines", 1999, with his softened targets; by
/// Newton's method as H.-T. Lin, C.-J. Lin, R. Weng, "A note on Platt's probabilistic outputs", Machine Learning 68,
/// 2007, have it.
pub(super) fn calibrate(scores: &[(f64, bool)]) -> (f64, f64) {
    let count =
        |praise: bool| scores.iter().fold(0.0, |sum, score| sum + f64::from(u8::from(score.1 == praise)));
    let (good, bad) = (count(true), count(false));
    let (high, low) = ((good + 1.0) / (good + 2.0), 1.0 / (bad + 2.0));
    let target = |praise: bool| if praise { high } else { low };
    let value = |slope: f64, constant: f64| {
        let loss = |(z, praise): &(f64, bool)| {
            let odds = slope * z + constant;
            target(*praise) * softplus(-odds) + (1.0 - target(*praise)) * softplus(odds)
        };
        scores.iter().map(loss).sum::<f64>()
    };
    let (mut slope, mut constant) = (0.0, ((good + 1.0) / (bad + 1.0)).ln());
    let mut now = value(slope, constant);
    for _ in 0..100 {
        // A trace on the diagonal keeps the equations solvable.
        let (mut h11, mut h22, mut h21, mut g1, mut g2) = (1e-12, 1e-12, 0.0, 0.0, 0.0);
        for (z, praise) in scores {
            let p = sigmoid(slope * z + constant);
            let (bend, miss) = (p * (1.0 - p), p - target(*praise));
            h11 += z * z * bend;
            h22 += bend;
            h21 += z * bend;
            g1 += z * miss;
            g2 += miss;
        }
        if g1.abs() < 1e-9 && g2.abs() < 1e-9 {
            break;
        }
        let determinant = h11 * h22 - h21 * h21;
        let (d1, d2) = (-(h22 * g1 - h21 * g2) / determinant, -(h11 * g2 - h21 * g1) / determinant);
        let descent = g1 * d1 + g2 * d2;
        let mut step = 1.0;
        while step >= 1e-10 {
            let next = value(slope + step * d1, constant + step * d2);
            if next < now + 1e-4 * step * descent {
                (slope, constant, now) = (slope + step * d1, constant + step * d2, next);
                break;
            }
            step *= 0.5;
        }
        if step < 1e-10 {
            break;
        }
    }
    (slope, constant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minimum_is_that_of_another_method() {
        // The same sum minimised by BFGS of SciPy 1.17.1 (`scipy.optimize.minimize`, gtol 1e-13).
        let rows = [
            (1.0, 0.0, true, 2.0),
            (0.5, 0.5, true, 1.0),
            (0.0, 1.0, false, 2.0),
            (0.2, 0.9, false, 1.0),
            (0.9, 0.3, true, 1.0),
            (0.4, 0.1, false, 3.0),
            (0.1, 0.4, true, 1.5),
        ];
        let rows = rows.map(|(a, b, praise, cost)| Row { features: vec![(0, a), (1, b)], praise, cost });
        let found = fit(&rows, 2);
        let wanted = [0.787_338_266_904_999_5, -0.426_369_892_701_281_4, -0.258_708_659_448_943_95];
        for (found, wanted) in found.weights.iter().chain([&found.constant]).zip(wanted) {
            assert!((found - wanted).abs() < 1e-7, "{found}, not {wanted}");
        }
    }

    #[test]
    fn the_calibration_is_that_of_another_method() {
        // As above.
        let scores = [-2.0, -1.0, -0.5, 0.2, 0.8, 1.5, 2.2, 0.1, -0.3, 1.1];
        let praise = [false, false, true, false, true, true, true, true, false, false];
        let scores: Vec<(f64, bool)> = scores.into_iter().zip(praise).collect();
        let (slope, constant) = calibrate(&scores);
        assert!((slope - 0.708_105_467_073_624_1).abs() < 1e-7, "{slope}");
        assert!((constant + 0.153_394_163_786_330_17).abs() < 1e-7, "{constant}");
    }

    #[test]
    fn extremes_stay_finite() {
        assert!(sigmoid(1e300) <= 1.0 && sigmoid(-1e300) >= 0.0 && softplus(1e300).is_finite());
        // Perfectly told apart, without a penalty on the constant; one label only; nothing at all.
        let row = |praise| Row { features: vec![(0, 1e3)], praise, cost: 1e6 };
        for rows in [vec![row(true), row(false)], vec![row(true)], vec![]] {
            let found = fit(&rows, 1);
            assert!(found.weights[0].is_finite() && found.constant.is_finite());
        }
        let (slope, constant) = calibrate(&[(5.0, true); 3]);
        assert!(slope.is_finite() && constant.is_finite());
    }
}

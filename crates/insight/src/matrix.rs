//! Symmetric matrices of a few rows: inverse and condition. Never for large ones.

/// Rows of a square matrix.
pub(crate) type Square<const N: usize> = [[f64; N]; N];

/// A matrix times a vector.
pub(crate) fn product<const N: usize>(matrix: &Square<N>, by: &[f64; N]) -> [f64; N] {
    std::array::from_fn(|i| matrix[i].iter().zip(by).map(|(entry, part)| entry * part).sum())
}

/// Eigenvalues of a symmetric matrix, by Jacobi's rotations (Golub and Van Loan, Matrix Computations, 2013, 8.5).
fn eigenvalues<const N: usize>(matrix: &Square<N>) -> [f64; N] {
    let mut a = *matrix;
    for _ in 0..60 {
        for p in 0..N {
            for q in p + 1..N {
                if a[p][q] == 0.0 {
                    continue;
                }
                let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = tau.signum() / (tau.abs() + 1.0_f64.hypot(tau));
                let c = 1.0 / 1.0_f64.hypot(t);
                let s = t * c;
                for row in &mut a {
                    let (one, other) = (row[p], row[q]);
                    row[p] = c * one - s * other;
                    row[q] = s * one + c * other;
                }
                let (one, other) = (a[p], a[q]);
                a[p] = std::array::from_fn(|k| c * one[k] - s * other[k]);
                a[q] = std::array::from_fn(|k| s * one[k] + c * other[k]);
            }
        }
    }
    std::array::from_fn(|i| a[i][i])
}

/// Largest by smallest eigenvalue; infinite unless all are positive.
pub(crate) fn condition<const N: usize>(matrix: &Square<N>) -> f64 {
    if matrix.iter().flatten().any(|entry| !entry.is_finite()) {
        return f64::INFINITY;
    }
    let values = eigenvalues(matrix);
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    if least > 0.0 { most / least } else { f64::INFINITY }
}

/// The inverse of a symmetric positive matrix by Cholesky's factors; nothing if it is not positive.
pub(crate) fn inverse<const N: usize>(matrix: &Square<N>) -> Option<Square<N>> {
    let mut factor = [[0.0; N]; N];
    for i in 0..N {
        for j in 0..=i {
            let known: f64 = (0..j).map(|k| factor[i][k] * factor[j][k]).sum();
            let left = matrix[i][j] - known;
            if i == j {
                if !(left > 0.0 && left.is_finite()) {
                    return None;
                }
                factor[i][i] = left.sqrt();
            } else {
                factor[i][j] = left / factor[j][j];
            }
        }
    }
    // Row by row, which for a symmetric matrix is column by column.
    let inverse: Square<N> = std::array::from_fn(|column| {
        let mut solved = [0.0; N];
        for i in 0..N {
            let known: f64 = (0..i).map(|k| factor[i][k] * solved[k]).sum();
            solved[i] = (f64::from(u8::from(i == column)) - known) / factor[i][i];
        }
        let mut found = [0.0; N];
        for i in (0..N).rev() {
            let known: f64 = (i + 1..N).map(|k| factor[k][i] * found[k]).sum();
            found[i] = (solved[i] - known) / factor[i][i];
        }
        found
    });
    inverse.iter().flatten().all(|entry| entry.is_finite()).then_some(inverse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_and_condition_are_those_of_a_known_matrix() {
        let matrix = [[4.0, 1.0, 0.0], [1.0, 3.0, -1.0], [0.0, -1.0, 2.0]];
        let inverse = inverse(&matrix).unwrap();
        for (i, column) in inverse.iter().enumerate() {
            for (j, entry) in product(&matrix, column).into_iter().enumerate() {
                assert!((entry - f64::from(u8::from(i == j))).abs() < 1e-14);
            }
        }
        // Eigenvalues 1 and 3.
        assert!((condition(&[[2.0, 1.0], [1.0, 2.0]]) - 3.0).abs() < 1e-14);
    }

    #[test]
    fn a_matrix_that_is_not_positive_has_no_inverse_and_an_infinite_condition() {
        let saddle = [[1.0, 2.0], [2.0, 1.0]];
        assert_eq!(super::inverse(&saddle), None);
        assert_eq!(condition(&saddle), f64::INFINITY);
        assert_eq!(condition(&[[f64::NAN, 0.0], [0.0, 1.0]]), f64::INFINITY);
    }
}

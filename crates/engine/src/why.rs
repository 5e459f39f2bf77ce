//! Explanations: why a customer stands where they stand, what they are kept out of, and what comes next.


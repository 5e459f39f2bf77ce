//! "Did you mean": the known word a mistyped one stands for. Never guesses when nothing is like it.

/// The word among `known` that `word` is a slip of the pen of, if there is one.
///
/// Upper and lower case count the same, and so do `-` and `_`. The distance is Damerau's and Levenshtein's: one for
/// each letter that is added, left out, replaced or swapped with its neighbour. It may be a third of the word's
/// length, and one letter may always be wrong. Of several equally near words the first in the alphabet is taken, so
/// that messages do not depend on the order of `known`.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    nearest_within(word, (word.chars().count() / 3).max(1), known)
}

/// The known name nearest to a word, when at most so many letters differ.
pub fn nearest_within<'k>(
    word: &str,
    limit: usize,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<&'k str> {
    let word = folded(word);
    known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&word, &folded(name)), name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_similar_words_are_offered() {
        let known = ["url", "page_size", "password"];
        assert_eq!(nearest("page-size", known), Some("page_size"));
        assert_eq!(nearest("pasword", known), Some("password"));
        assert_eq!(nearest("ulr", known), Some("url"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("Passwort", known), Some("password"));
    }

    #[test]
    fn a_third_of_the_word_may_be_wrong() {
        assert_eq!(nearest("abcxyz", ["abcdef"]), None);
        assert_eq!(nearest("abcdxy", ["abcdef"]), Some("abcdef"));
        assert_eq!(nearest("ab", ["cb"]), Some("cb"));
        assert_eq!(nearest("ab", ["cd"]), None);
        assert_eq!(nearest("", ["cd"]), None);
    }

    #[test]
    fn of_equally_near_words_the_first_in_the_alphabet_is_taken() {
        assert_eq!(nearest("cart-l", ["cart-2", "cart-1"]), Some("cart-1"));
        assert_eq!(nearest("cart-l", ["cart-1", "cart-2"]), Some("cart-1"));
    }
}

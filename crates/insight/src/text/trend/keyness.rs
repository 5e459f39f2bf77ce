//! Words that are used more, or less, than before. Never counts a word twice in a comment: one angry customer who says
//! "never" ten times is one customer.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::association::g2;
use crate::text::tokens::Token;

/// In how many comments of a period each word stands.
#[derive(Debug, Clone, Default)]
pub struct WordCounts {
    comments: u64,
    /// By stem: in how many comments, and each form it was seen in with its number.
    words: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
}

impl WordCounts {
    /// Counts a comment's words. A denied word is another word: "not good" is not "good".
    pub fn add(&mut self, tokens: &[Token]) {
        self.comments += 1;
        let mut seen: BTreeMap<String, String> = BTreeMap::new();
        for token in tokens {
            let mark = if token.negated { "not " } else { "" };
            seen.entry(format!("{mark}{}", token.stem)).or_insert_with(|| format!("{mark}{}", token.text));
        }
        for (stem, form) in seen {
            let word = self.words.entry(stem).or_default();
            word.0 += 1;
            *word.1.entry(form).or_default() += 1;
        }
    }

    /// How many comments were counted.
    #[must_use]
    pub fn comments(&self) -> u64 {
        self.comments
    }

    fn count(&self, stem: &str) -> u64 {
        self.words.get(stem).map_or(0, |word| word.0)
    }
}

/// Which words are worth telling.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KeyOptions {
    /// In so many comments of both periods together a word has to stand.
    pub least_comments: u64,
    /// The least evidence. 10.83 is one wrong word among a thousand that did not change; the chi-square distribution
    /// with one degree of freedom gives others (6.63: one in a hundred, 15.13: one in ten thousand).
    pub least_g2: f64,
    /// The least effect, as a logarithm to base 2 of how many times as often, in either direction: 1 is twice as often.
    pub least_log_ratio: f64,
}

impl Default for KeyOptions {
    fn default() -> Self {
        Self { least_comments: 5, least_g2: 10.83, least_log_ratio: 0.5 }
    }
}

/// A word whose use has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// The form it is seen in most, with "not " before it where it is denied.
    pub word: String,
    /// In how many comments before.
    pub before: u64,
    /// And now.
    pub now: u64,
    /// How sure it is: Dunning's G² over comments with and without the word.
    pub g2: f64,
    /// How large it is: the logarithm to base 2 of the share now by the share before, above zero for more. Half a
    /// comment is put in place of none. Source: A. Hardie, "Log Ratio: an informal introduction", CASS 2014.
    pub log_ratio: f64,
}

/// The words whose use has changed, surest first. Empty when one of the periods has no comments.
#[must_use]
pub fn keys(before: &WordCounts, now: &WordCounts, options: &KeyOptions) -> Vec<Key> {
    if before.comments == 0 || now.comments == 0 {
        return Vec::new();
    }
    let mut stems: Vec<&String> = before.words.keys().chain(now.words.keys()).collect();
    stems.sort_unstable();
    stems.dedup();
    let mut found = Vec::new();
    for stem in stems {
        let (was, is) = (before.count(stem), now.count(stem));
        if was + is < options.least_comments.max(1) {
            continue;
        }
        let g2 = g2(is, now.comments - is, was, before.comments - was);
        let share = |count: u64, of: u64| if count == 0 { 0.5 } else { count as f64 } / of as f64;
        let log_ratio = (share(is, now.comments) / share(was, before.comments)).log2();
        if g2 >= options.least_g2 && log_ratio.abs() >= options.least_log_ratio {
            found.push(Key { word: form(stem, before, now), before: was, now: is, g2, log_ratio });
        }
    }
    found.sort_by(|a, b| b.g2.total_cmp(&a.g2).then(a.word.cmp(&b.word)));
    found
}

/// The form of a stem seen most often in both periods; of several the first of the alphabet.
fn form(stem: &str, before: &WordCounts, now: &WordCounts) -> String {
    let mut forms: BTreeMap<&String, u64> = BTreeMap::new();
    for counts in [before, now] {
        for (form, count) in counts.words.get(stem).into_iter().flat_map(|word| &word.1) {
            *forms.entry(form).or_default() += count;
        }
    }
    let best = forms.into_iter().max_by(|a, b| a.1.cmp(&b.1).then(b.0.cmp(a.0)));
    best.map_or_else(|| stem.to_owned(), |(form, _)| form.clone())
}

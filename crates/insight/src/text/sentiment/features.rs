//! A text as a sparse vector: hashed words, pairs of words and groups of letters. Never keeps the words themselves.
//!
//! Hashing into a fixed number of places instead of keeping a vocabulary: K. Weinberger et al., "Feature Hashing for
//! Large Scale Multitask Learning", ICML 2009. Groups of letters reach what German builds by joining, and what is
//! misspelt.

use std::collections::BTreeMap;

use crate::text::language::Language;
use crate::text::tokens::{Token, tokens};

/// How many places there are: a shop's reviews have some ten thousand different words and groups.
const PLACES: u64 = 1 << 18;

/// How often each feature of a text occurs, by its place.
#[derive(Debug, Clone, Default)]
pub(super) struct Counts {
    pub(super) words: BTreeMap<u32, u32>,
    pub(super) letters: BTreeMap<u32, u32>,
}

impl Counts {
    pub(super) fn of(text: &str, language: Option<Language>) -> Self {
        let tokens = tokens(text, language);
        let mut counts = Self::default();
        let marked = |token: &Token| format!("{}{}", if token.negated { "\u{ac}" } else { "" }, token.stem);
        let mut before: Option<String> = None;
        for token in &tokens {
            let word = marked(token);
            *counts.words.entry(place('w', &word)).or_default() += 1;
            if let Some(before) = before {
                *counts.words.entry(place('p', &format!("{before} {word}"))).or_default() += 1;
            }
            before = Some(word);
            let padded: Vec<char> = std::iter::once(' ').chain(token.text.chars()).chain([' ']).collect();
            for length in 3..=5 {
                for group in padded.windows(length) {
                    let group: String = group.iter().collect();
                    *counts.letters.entry(place('l', &group)).or_default() += 1;
                }
            }
        }
        counts
    }

    /// The places that occur, each once, rising.
    pub(super) fn places(&self) -> impl Iterator<Item = u32> + '_ {
        let both: std::collections::BTreeSet<u32> =
            self.words.keys().chain(self.letters.keys()).copied().collect();
        both.into_iter()
    }

    /// The vector: (1 + ln count) times the rarity of the place, words and letters each of length 1 (G. Salton and C.
    /// Buckley, "Term-weighting approaches in automatic text retrieval", 1988). Places without a rarity are left out.
    pub(super) fn vector(&self, rarity: impl Fn(u32) -> Option<f64>) -> Vec<(u32, f64)> {
        let mut vector: BTreeMap<u32, f64> = BTreeMap::new();
        for block in [&self.words, &self.letters] {
            let weighted = block.iter().filter_map(|(place, count)| {
                rarity(*place).map(|rarity| (*place, (1.0 + f64::from(*count).ln()) * rarity))
            });
            let weighted: Vec<(u32, f64)> = weighted.collect();
            let length = weighted.iter().map(|(_, value)| value * value).sum::<f64>().sqrt();
            if length > 0.0 {
                for (place, value) in weighted {
                    *vector.entry(place).or_default() += value / length;
                }
            }
        }
        vector.into_iter().collect()
    }
}

/// How rare each place is among texts: ln((1 + n) / (1 + texts with it)) + 1, so that nothing is infinite.
pub(super) fn rarities<'c>(texts: impl Iterator<Item = &'c Counts>) -> BTreeMap<u32, f64> {
    let mut number = 0.0;
    let mut with: BTreeMap<u32, f64> = BTreeMap::new();
    for counts in texts {
        number += 1.0;
        for place in counts.places() {
            *with.entry(place).or_default() += 1.0;
        }
    }
    with.into_iter().map(|(place, with)| (place, ((1.0 + number) / (1.0 + with)).ln() + 1.0)).collect()
}

/// FNV-1a with 64 bits (G. Fowler, L. Noll, P. Vo), the upper half folded onto the lower one.
pub(super) fn hash(kind: char, text: &str) -> u64 {
    let mut kind_bytes = [0; 4];
    let kind = kind.encode_utf8(&mut kind_bytes);
    let bytes = kind.bytes().chain(text.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^ (hash >> 32)
}

fn place(kind: char, text: &str) -> u32 {
    u32::try_from(hash(kind, text) % PLACES).expect("fewer places than numbers")
}

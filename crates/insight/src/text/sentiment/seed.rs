//! Words of praise and blame of our own, for a shop that has too few reviews to learn from. Never taken from a
//! lexicon: the German ones may not be passed on.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Probability;
use crate::text::language::Language;
use crate::text::tokens::tokens;
use crate::text::words::{Pattern, Read};

/// How the words stand in `seed.toml`, by how much they say.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lists {
    praise_3: Vec<String>,
    praise_2: Vec<String>,
    praise_1: Vec<String>,
    blame_1: Vec<String>,
    blame_2: Vec<String>,
    blame_3: Vec<String>,
}

/// Our words, in English and German.
#[derive(Debug, Clone)]
pub struct Seed {
    /// Phrases first: the longest that fits is taken.
    languages: BTreeMap<Language, Vec<(Pattern, f64)>>,
}

impl Seed {
    /// What a denied word keeps of its force, on the other side: "not good" is not quite "bad".
    const DENIED: f64 = -0.7;
    /// How much a word at strength 1 changes the log-odds. Chosen by hand so that two plain words of praise are about
    /// 90 % sure.
    const SLOPE: f64 = 0.75;

    /// Reads the words.
    #[must_use]
    pub fn new() -> Self {
        let lists: BTreeMap<Language, Lists> =
            toml::from_str(include_str!("seed.toml")).expect("a test reads the same text");
        let mut languages = BTreeMap::new();
        for (language, lists) in lists {
            let by_strength = [
                (lists.praise_3, 3.0),
                (lists.praise_2, 2.0),
                (lists.praise_1, 1.0),
                (lists.blame_1, -1.0),
                (lists.blame_2, -2.0),
                (lists.blame_3, -3.0),
            ];
            let mut patterns: Vec<(Pattern, f64)> = Vec::new();
            for (words, strength) in by_strength {
                let read = words.iter().filter_map(|word| Pattern::read(word, language));
                patterns.extend(read.map(|pattern| (pattern, strength)));
            }
            patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.length()));
            languages.insert(language, patterns);
        }
        Self { languages }
    }

    /// How likely a text is praise, and the words that say so; `None` when it has none of them, or in a language
    /// that has no list. Of a language that is not known, the list that finds more words is asked.
    #[must_use]
    pub fn praise(&self, text: &str, language: Option<Language>) -> Option<(Probability, Vec<String>)> {
        let asked =
            self.languages.iter().filter(|(known, _)| language.is_none_or(|language| language == **known));
        let found = asked.map(|(known, patterns)| Self::found(text, *known, patterns));
        // Of two with as many words the first.
        let (sum, words) =
            found.reduce(|best, next| if next.1.len() > best.1.len() { next } else { best })?;
        if words.is_empty() {
            return None;
        }
        // Ten words do not make it ten times as sure: they are of one mind.
        let number = f64::from(u32::try_from(words.len()).unwrap_or(u32::MAX));
        Some((Probability::of_log_odds(Self::SLOPE * sum / number.sqrt())?, words))
    }

    fn found(text: &str, language: Language, patterns: &[(Pattern, f64)]) -> (f64, Vec<String>) {
        let tokens = tokens(text, Some(language));
        let read = Read::of(&tokens, language);
        let (mut sum, mut words, mut at) = (0.0, Vec::new(), 0);
        while at < tokens.len() {
            let (stems, forms) = (&read.stems[at..], &read.forms[at..]);
            let fitting = patterns.iter().find_map(|(pattern, strength)| {
                pattern.matches(stems, forms).map(|length| (length, *strength))
            });
            let sign = match tokens[at].text.as_str() {
                ":)" => Some((1, 2.0)),
                ":(" => Some((1, -2.0)),
                _ => None,
            };
            let Some((length, strength)) = sign.or(fitting) else {
                at += 1;
                continue;
            };
            let said = &tokens[at..at + length];
            // A phrase says itself what it denies.
            let denied = length == 1 && said[0].negated;
            sum += if denied { Self::DENIED * strength } else { strength };
            let text: Vec<&str> = said.iter().map(|token| token.text.as_str()).collect();
            words.push(text.join(" "));
            at += length;
        }
        (sum, words)
    }
}

impl Default for Seed {
    fn default() -> Self {
        Self::new()
    }
}

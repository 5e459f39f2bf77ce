//! What a comment is about: topics by word lists, ours and the operator's. Never says whether it is praise or blame;
//! that is [`super::sentiment`]'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::language::Language;
use super::tokens::{Token, tokens};
use super::words::{Pattern, Read};

/// Topics as they stand in a file:
///
/// ```toml
/// [topics.packaging]
/// label = { en = "Packaging", de = "Verpackung" }
/// words = { en = ["packaging", "box"], de = ["verpack-", "-karton", "ohne Plastik"] }
/// ```
///
/// A word stands for all with its stem; `verpack-` for words that begin so, `-karton` for those that end so,
/// `-qualität-` for those that hold it; several words for a phrase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topics {
    /// By id.
    #[serde(default)]
    pub topics: BTreeMap<String, Topic>,
}

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// What people call it, by language.
    #[serde(default)]
    pub label: BTreeMap<Language, String>,
    /// The words that speak for it, by language.
    #[serde(default)]
    pub words: BTreeMap<Language, Vec<String>>,
}

/// What is wrong with topics.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// An entry that means no word.
    #[error("topics.{topic}.words: {word:?} means no word; parts of words need three letters or more")]
    NoWord {
        /// The topic.
        topic: String,
        /// The entry.
        word: String,
    },
    /// A topic that nothing could speak for.
    #[error("topics.{topic} has no words, so no comment can be about it")]
    NoWords {
        /// The topic.
        topic: String,
    },
}

impl Topics {
    /// Our own: delivery, quality, fit, price, service and returns, in English and German.
    #[must_use]
    pub fn seed() -> Self {
        toml::from_str(include_str!("topics.toml")).expect("a test reads the same text")
    }

    /// These and others: a topic that both have gets the words of both, and the other's labels.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        for (id, other) in others.topics {
            let topic = self.topics.entry(id).or_default();
            topic.label.extend(other.label);
            for (language, words) in other.words {
                topic.words.entry(language).or_default().extend(words);
            }
        }
        self
    }
}

/// Topics ready to be looked for.
#[derive(Debug, Clone)]
pub struct Lexicon {
    topics: Vec<(String, BTreeMap<Language, Vec<Pattern>>)>,
    languages: BTreeSet<Language>,
}

/// A topic of a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mention {
    /// The topic's id.
    pub topic: String,
    /// The words of the comment that spoke for it, each once, in their order.
    pub words: Vec<String>,
}

impl Lexicon {
    /// Reads the word lists.
    ///
    /// # Errors
    /// [`TopicError`] for the first entry that could never be found.
    pub fn new(topics: &Topics) -> Result<Self, TopicError> {
        let mut made = Self { topics: Vec::new(), languages: BTreeSet::new() };
        for (id, topic) in &topics.topics {
            let mut patterns: BTreeMap<Language, Vec<Pattern>> = BTreeMap::new();
            for (language, words) in &topic.words {
                for word in words {
                    let no_word = || TopicError::NoWord { topic: id.clone(), word: word.clone() };
                    let pattern = Pattern::read(word, *language).ok_or_else(no_word)?;
                    patterns.entry(*language).or_default().push(pattern);
                }
            }
            if patterns.is_empty() {
                return Err(TopicError::NoWords { topic: id.clone() });
            }
            made.languages.extend(patterns.keys());
            made.topics.push((id.clone(), patterns));
        }
        Ok(made)
    }

    /// The topics of a comment by their id. Of a language that is not known, or has no lists, all lists are tried.
    #[must_use]
    pub fn topics_of(&self, text: &str, language: Option<Language>) -> Vec<Mention> {
        let tokens: Vec<Token> = tokens(text, language);
        let known = language.filter(|language| self.languages.contains(language));
        let readings: Vec<(Language, Read)> = self
            .languages
            .iter()
            .filter(|language| known.is_none_or(|known| known == **language))
            .map(|language| (*language, Read::of(&tokens, *language)))
            .collect();
        let mut mentions = Vec::new();
        for (id, patterns) in &self.topics {
            let mut spoke: BTreeSet<usize> = BTreeSet::new();
            for (language, read) in &readings {
                for pattern in patterns.get(language).into_iter().flatten() {
                    for at in 0..tokens.len() {
                        if let Some(length) = pattern.matches(&read.stems[at..], &read.forms[at..]) {
                            spoke.extend(at..at + length);
                        }
                    }
                }
            }
            let mut words: Vec<String> = Vec::new();
            for at in spoke {
                if !words.contains(&tokens[at].text) {
                    words.push(tokens[at].text.clone());
                }
            }
            if !words.is_empty() {
                mentions.push(Mention { topic: id.clone(), words });
            }
        }
        mentions
    }
}

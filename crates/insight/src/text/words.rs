//! How a word list says which words it means. Never matches across languages.
//!
//! `deliver` means every word with the same stem; `liefer-` one that begins like that, `-preis` one that ends like
//! that, `-qualität-` one that has it anywhere, which is what German compounds need; several words mean a phrase,
//! whose words follow each other.

use super::language::Language;
use super::tokens::{Token, fold, stem, umlauts};

/// One entry of a word list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pattern {
    /// Every word with this stem.
    Stem(String),
    /// A word that begins so.
    Begins(String),
    /// A word that ends so.
    Ends(String),
    /// A word with this in it.
    Holds(String),
    /// Words with these stems, one after the other.
    Phrase(Vec<String>),
}

impl Pattern {
    /// Reads an entry; `None` for one that says nothing, or a part of a word so short that it is in everything.
    pub(super) fn read(entry: &str, language: Language) -> Option<Self> {
        let folded = fold(entry.trim());
        let part = |part: &str| {
            let part = in_one_form(part, language);
            (part.chars().count() >= 3 && part.chars().all(char::is_alphanumeric)).then_some(part)
        };
        match (folded.strip_prefix('-'), folded.strip_suffix('-')) {
            (Some(_), Some(_)) => part(folded.trim_matches('-')).map(Self::Holds),
            (Some(end), None) => part(end).map(Self::Ends),
            (None, Some(start)) => part(start).map(Self::Begins),
            (None, None) => {
                let mut stems: Vec<String> = super::tokens::tokens(&folded, Some(language))
                    .into_iter()
                    .map(|token| token.stem)
                    .collect();
                match stems.len() {
                    0 => None,
                    1 => stems.pop().map(Self::Stem),
                    _ => Some(Self::Phrase(stems)),
                }
            }
        }
    }

    /// How many words it takes.
    pub(super) fn length(&self) -> usize {
        match self {
            Self::Phrase(stems) => stems.len(),
            Self::Stem(_) | Self::Begins(_) | Self::Ends(_) | Self::Holds(_) => 1,
        }
    }

    /// How many tokens at the beginning of `tokens` are meant; `stems` and `forms` stand beside them.
    pub(super) fn matches(&self, stems: &[String], forms: &[String]) -> Option<usize> {
        let (stem, form) = (stems.first()?, forms.first()?);
        let one = match self {
            Self::Stem(known) => known == stem,
            Self::Begins(part) => form.starts_with(part.as_str()),
            Self::Ends(part) => form.ends_with(part.as_str()),
            Self::Holds(part) => form.contains(part.as_str()),
            Self::Phrase(known) => return stems.starts_with(known).then_some(known.len()),
        };
        one.then_some(1)
    }
}

/// A word in the form parts are looked for in.
fn in_one_form(word: &str, language: Language) -> String {
    match language {
        Language::German => umlauts(word),
        _ => word.to_owned(),
    }
}

/// Tokens as one language's patterns want to see them.
pub(super) struct Read {
    pub(super) stems: Vec<String>,
    pub(super) forms: Vec<String>,
}

impl Read {
    pub(super) fn of(tokens: &[Token], language: Language) -> Self {
        let is_word = |token: &Token| token.text.chars().any(char::is_alphanumeric);
        let stem = |token: &Token| {
            if is_word(token) { stem(&token.text, Some(language)) } else { token.text.clone() }
        };
        Self {
            stems: tokens.iter().map(stem).collect(),
            forms: tokens.iter().map(|token| in_one_form(&token.text, language)).collect(),
        }
    }
}

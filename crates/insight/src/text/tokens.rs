//! A comment as words: normalised, reduced to stems, and marked where they are denied. Never throws a word away as too
//! common; whoever counts decides that.

use rust_stemmers::{Algorithm, Stemmer};
use unicode_normalization::UnicodeNormalization;

use super::language::Language;

/// A word or a sign of mood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// As written, in lower case and one form of Unicode.
    pub text: String,
    /// Its stem in the comment's language; the word itself for signs and where there is no stemmer.
    pub stem: String,
    /// Whether the words around it deny it: `good` in "not good".
    pub negated: bool,
}

/// One form of Unicode (NFKC), lower case, straight apostrophes.
#[must_use]
pub fn fold(text: &str) -> String {
    let straight =
        text.nfkc().map(|letter| if matches!(letter, '’' | '‘' | '`' | '´') { '\'' } else { letter });
    // Lower case of some capitals is two characters, which one more pass puts together again.
    straight.flat_map(char::to_lowercase).nfkc().collect()
}

/// The stem of one folded word.
///
/// German words lose what writers vary in before they are cut: `ß` is `ss`, and `ae`, `oe`, `ue` are `ä`, `ö`, `ü`
/// unless the `ue` follows a `q` (the German2 variant of the Snowball stemmer, M. Porter, snowballstem.org). Their
/// dots, which that stemmer takes away at last, stay: `schon` (already) is not `schön` (beautiful), nor `wurde`
/// `würde`.
#[must_use]
pub fn stem(word: &str, language: Option<Language>) -> String {
    let algorithm = match language {
        Some(Language::English) => Algorithm::English,
        Some(Language::German) => Algorithm::German,
        Some(Language::French) => Algorithm::French,
        Some(Language::Spanish) => Algorithm::Spanish,
        Some(Language::Italian) => Algorithm::Italian,
        Some(Language::Portuguese) => Algorithm::Portuguese,
        Some(Language::Dutch) => Algorithm::Dutch,
        Some(Language::Danish) => Algorithm::Danish,
        Some(Language::Swedish) => Algorithm::Swedish,
        Some(Language::Polish) | None => return word.to_owned(),
    };
    let stemmer = Stemmer::create(algorithm);
    if language == Some(Language::German) {
        // The stemmer only cuts, and makes `ö` an `o`: letter by letter the stem is the beginning of the word.
        let umlauts = umlauts(word);
        let cut = stemmer.stem(&umlauts).chars().count();
        return umlauts.chars().take(cut).collect();
    }
    stemmer.stem(word).into_owned()
}

/// A German word with its umlauts as one letter each.
pub(super) fn umlauts(word: &str) -> String {
    let mut made = String::with_capacity(word.len());
    let mut letters = word.chars().peekable();
    let mut before = ' ';
    while let Some(letter) = letters.next() {
        let umlaut = match letter {
            'a' => Some('ä'),
            'o' => Some('ö'),
            'u' if before != 'q' => Some('ü'),
            _ => None,
        };
        match umlaut {
            Some(umlaut) if letters.peek() == Some(&'e') => {
                letters.next();
                made.push(umlaut);
                before = 'e';
                continue;
            }
            _ if letter == 'ß' => made.push_str("ss"),
            _ => made.push(letter),
        }
        before = letter;
    }
    made
}

/// What stands in a text, before anything is known of it.
enum Piece {
    Word(String),
    Sign(&'static str),
    /// The end of a clause: no denial reaches over it.
    Stop,
}

/// The words of a comment.
#[must_use]
pub fn tokens(text: &str, language: Option<Language>) -> Vec<Token> {
    let mut found = Vec::new();
    let mut clause: Vec<Token> = Vec::new();
    for piece in pieces(&fold(text)) {
        match piece {
            Piece::Word(text) => {
                if turns(&text) {
                    close(&mut clause, &mut found);
                }
                clause.push(Token { stem: stem(&text, language), text, negated: false });
            }
            Piece::Sign(sign) => {
                // A sign speaks for the whole comment, and is never denied.
                close(&mut clause, &mut found);
                found.push(Token { text: sign.to_owned(), stem: sign.to_owned(), negated: false });
            }
            Piece::Stop => close(&mut clause, &mut found),
        }
    }
    close(&mut clause, &mut found);
    found
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let letters: Vec<char> = text.chars().collect();
    let mut at = 0;
    while let Some(&letter) = letters.get(at) {
        if letter.is_alphanumeric() {
            let from = at;
            // An apostrophe between letters is part of the word: don't
            while letters.get(at).is_some_and(|letter| letter.is_alphanumeric() || is_mark(*letter))
                || (matches!(letters.get(at), Some('\''))
                    && letters.get(at + 1).is_some_and(|letter| letter.is_alphabetic()))
            {
                at += 1;
            }
            found.push(Piece::Word(letters[from..at].iter().collect()));
            continue;
        }
        if let Some((length, sign)) = sign(&letters[at..]) {
            found.push(Piece::Sign(sign));
            at += length;
            continue;
        }
        if matches!(letter, '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '\n' | '–' | '—' | '…') {
            found.push(Piece::Stop);
        }
        at += 1;
    }
    found
}

/// Marks that sit on the letter before.
fn is_mark(letter: char) -> bool {
    matches!(letter, '\u{300}'..='\u{36f}')
}

/// The mood of what begins here, if it is a sign of one, and how long it is.
fn sign(letters: &[char]) -> Option<(usize, &'static str)> {
    const GLAD: &str = ":)";
    const CROSS: &str = ":(";
    match letters {
        [':' | ';' | '=', '-', ')' | 'd' | 'p', ..] => Some((3, GLAD)),
        [':' | '=', '-', '(' | '/' | '[', ..] => Some((3, CROSS)),
        [':' | ';' | '=', ')', ..] => Some((2, GLAD)),
        [':' | '=', '(' | '[', ..] => Some((2, CROSS)),
        [
            '👍' | '😀'..='😄' | '😊' | '😍' | '🥰' | '❤' | '♥' | '🎉' | '👌' | '🙂' | '🤩' | '💕' | '👏',
            ..,
        ] => Some((1, GLAD)),
        [
            '👎' | '😠' | '😡' | '😞' | '😢' | '😭' | '🙁' | '☹' | '🤬' | '😤' | '💩' | '🤮' | '😒' | '😕',
            ..,
        ] => Some((1, CROSS)),
        _ => None,
    }
}

/// Words that deny what follows in their clause.
const DENIES: &[&str] = &[
    "not", "no", "never", "cannot", "cant", "dont", "didnt", "doesnt", "wasnt", "isnt", "wont", "without",
    "neither", "nor", "hardly", "nothing", "nobody", "nicht", "nich", "kein", "keine", "keinen", "keinem",
    "keiner", "keines", "nie", "niemals", "ohne", "weder", "kaum", "nix", "nichts", "niemand",
];

/// Words with which a new thought begins.
const TURNS: &[&str] = &[
    "but",
    "however",
    "although",
    "though",
    "aber",
    "sondern",
    "jedoch",
    "obwohl",
    "allerdings",
    "trotzdem",
    "doch",
];

/// How far a denial reaches: about a noun phrase.
const REACH: usize = 4;

fn denies(word: &str) -> bool {
    DENIES.contains(&word) || word.ends_with("n't")
}

fn turns(word: &str) -> bool {
    TURNS.contains(&word)
}

/// Marks what a clause denies and hands it on.
///
/// What follows a denial is denied (B. Pang, L. Lee, S. Vaithyanathan, "Thumbs up?", EMNLP 2002, section 6.1), up to
/// [`REACH`] words. German puts it last ("gefällt mir nicht"): one that ends its clause denies what comes before.
/// "Not only" and "nicht nur" deny nothing.
fn close(clause: &mut Vec<Token>, found: &mut Vec<Token>) {
    for at in 0..clause.len() {
        if !denies(&clause[at].text) {
            continue;
        }
        let next = clause.get(at + 1).map(|token| token.text.as_str());
        if matches!(next, Some("only" | "nur" | "just")) {
            continue;
        }
        let range = if next.is_some() {
            at + 1..(at + 1 + REACH).min(clause.len())
        } else {
            at.saturating_sub(REACH)..at
        };
        for token in &mut clause[range] {
            token.negated = !denies(&token.text);
        }
    }
    found.append(clause);
}

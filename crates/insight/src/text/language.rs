//! In which language a comment is. Never guesses: what is too short or fits two languages is not known.
//!
//! Two witnesses: the small words that only English or only German has, which decide a comment of three words that
//! letters cannot, and whatlang's letter trigrams (W. Cavnar and J. Trenkle, "N-Gram-Based Text Categorization", SDAIR
//! 1994) over the languages a European shop hears. Together they tell nine of ten short reviews and leave the tenth open.
//! lingua tells nearly all of them, but brings 52 MB of models for these languages (whatlang: 0.3 MB), more than
//! the rest of the program.

use serde::{Deserialize, Serialize};
use whatlang::{Detector, Lang};

/// A language comments are told apart in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Language {
    /// English.
    #[serde(rename = "en")]
    English,
    /// German.
    #[serde(rename = "de")]
    German,
    /// French.
    #[serde(rename = "fr")]
    French,
    /// Spanish.
    #[serde(rename = "es")]
    Spanish,
    /// Italian.
    #[serde(rename = "it")]
    Italian,
    /// Portuguese.
    #[serde(rename = "pt")]
    Portuguese,
    /// Dutch.
    #[serde(rename = "nl")]
    Dutch,
    /// Danish.
    #[serde(rename = "da")]
    Danish,
    /// Swedish.
    #[serde(rename = "sv")]
    Swedish,
    /// Polish.
    #[serde(rename = "pl")]
    Polish,
}

impl Language {
    /// Every language, in the order of their code.
    pub const ALL: [Self; 10] = [
        Self::English,
        Self::German,
        Self::French,
        Self::Spanish,
        Self::Italian,
        Self::Portuguese,
        Self::Dutch,
        Self::Danish,
        Self::Swedish,
        Self::Polish,
    ];

    /// Its code, as it is written in files: `en`, `de`.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.whatlang_and_code().1
    }

    /// The language with that code.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    fn whatlang(self) -> Lang {
        self.whatlang_and_code().0
    }

    fn whatlang_and_code(self) -> (Lang, &'static str) {
        match self {
            Self::English => (Lang::Eng, "en"),
            Self::German => (Lang::Deu, "de"),
            Self::French => (Lang::Fra, "fr"),
            Self::Spanish => (Lang::Spa, "es"),
            Self::Italian => (Lang::Ita, "it"),
            Self::Portuguese => (Lang::Por, "pt"),
            Self::Dutch => (Lang::Nld, "nl"),
            Self::Danish => (Lang::Dan, "da"),
            Self::Swedish => (Lang::Swe, "sv"),
            Self::Polish => (Lang::Pol, "pl"),
        }
    }
}

/// What was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Detected {
    /// It is this one.
    Is(Language),
    /// There are too few words.
    TooShort,
    /// It could be several, or none of those we know.
    Unsure,
}

impl Detected {
    /// The language, if it is known.
    #[must_use]
    pub fn language(self) -> Option<Language> {
        match self {
            Self::Is(language) => Some(language),
            Self::TooShort | Self::Unsure => None,
        }
    }
}

/// Small words of one language that none of the others writes the same way, or that are not small words there.
const ENGLISH: &str = "\
    the and not it this that with very my but have has they you your would again i of were been it's \
    don't didn't doesn't wasn't isn't which what from good great never too are their because after \
    really love thanks thank fast nice bad happy easy poor quick arrived lovely excellent as be than \
    only no just still could feel more well made looks always had away out when did on at by other any \
    does";
const GERMAN: &str = "\
    und nicht ist sehr der das ich mit auch aber noch nur wieder ein eine einen zu auf für fuer sich mir \
    habe wurde gut gute guter gutes alles schnell schnelle leider nie mehr kein keine gerne gern bei \
    nach wie danke schlecht schlechte schön schoen bin wird wir sind dem den zum zur vom immer prima \
    einfach gefällt gefaellt passt lieferung ware würde wuerde etwas über bestellt schon kann viel \
    obwohl sonst mein meine weil dass hat haben werden wäre hätte dann jetzt ganz völlig kam bis beim \
    einer einem oder er";

/// The language of a comment, among all of [`Language::ALL`].
#[must_use]
pub fn detect(text: &str) -> Detected {
    detect_among(text, &Language::ALL)
}

/// The language of a comment, among those a shop expects. The fewer they are, the shorter a text may be.
#[must_use]
pub fn detect_among(text: &str, expected: &[Language]) -> Detected {
    let lower = super::tokens::fold(text);
    let words: Vec<&str> = lower
        .split(|letter: char| !letter.is_alphabetic() && letter != '\'')
        .filter(|word| !word.is_empty())
        .collect();
    let letters: usize = words.iter().map(|word| word.chars().count()).sum();
    if letters < 4 {
        return Detected::TooShort;
    }
    let votes = |language: Language, known: &str| {
        let asked = expected.contains(&language);
        words.iter().filter(|word| asked && known.split(' ').any(|known| known == **word)).count()
    };
    let (english, german) = (votes(Language::English, ENGLISH), votes(Language::German, GERMAN));
    let (most, least) = (english.max(german), english.min(german));
    // Half as many votes against as for is a mixture.
    if least > 0 && 2 * least >= most {
        return Detected::Unsure;
    }
    let voted = if english > german { Language::English } else { Language::German };
    let voted = (5 * most >= words.len() && most > 0).then_some(voted);
    let detector = Detector::with_allowlist(expected.iter().map(|language| language.whatlang()).collect());
    let info = detector.detect(&lower);
    let by_letters = info.and_then(|info| {
        let language = expected.iter().copied().find(|language| language.whatlang() == info.lang())?;
        Some((language, info.is_reliable(), info.confidence()))
    });
    match (voted, by_letters) {
        // Trigrams of a long text are surer than a single small word in it.
        (Some(voted), Some((other, true, _))) if voted != other && letters >= 60 => Detected::Unsure,
        (Some(voted), _) => Detected::Is(voted),
        (None, Some((language, true, _))) if letters >= 20 => Detected::Is(language),
        (None, Some((language, _, confidence))) if letters >= 40 && confidence >= 0.5 => {
            Detected::Is(language)
        }
        (None, _) if letters < 20 => Detected::TooShort,
        (None, _) => Detected::Unsure,
    }
}

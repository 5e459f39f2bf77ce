//! Words, stems and denials.

use proptest::prelude::*;
use zyklus_insight::text::Language;
use zyklus_insight::text::tokens::{fold, stem, tokens};

use super::{any_text, config};

/// The words of a text, denied ones with `-` before them.
fn marked(text: &str, language: Language) -> String {
    let one = |token: zyklus_insight::text::tokens::Token| {
        format!("{}{}", if token.negated { "-" } else { "" }, token.text)
    };
    tokens(text, Some(language)).into_iter().map(one).collect::<Vec<_>>().join(" ")
}

#[test]
fn denials_reach_to_the_end_of_their_clause_or_back_over_it() {
    let check = |text: &str, language, wanted: &str| assert_eq!(marked(text, language), wanted);
    check("Not good, but fast", Language::English, "not -good but fast");
    check("I don’t like it. Great colour!", Language::English, "i don't -like -it great colour");
    check("not only good but great", Language::English, "not only good but great");
    check("Das ist nicht gut, aber schnell", Language::German, "das ist nicht -gut aber schnell");
    check("Gefällt mir nicht. Schade", Language::German, "-gefällt -mir nicht schade");
    check("nicht nur gut sondern günstig", Language::German, "nicht nur gut sondern günstig");
    check(
        "Never had any problem with it so far",
        Language::English,
        "never -had -any -problem -with it so far",
    );
}

#[test]
fn spellings_of_a_word_are_one() {
    let check = |one: &str, other: &str, language| {
        let stems =
            |text: &str| tokens(text, Some(language)).into_iter().map(|token| token.stem).collect::<Vec<_>>();
        assert_eq!(stems(one), stems(other), "{one} and {other}");
    };
    check("Größe", "GROESSE", Language::German);
    check("Gro\u{308}ße", "Größe", Language::German);
    check("schöner", "schoen", Language::German);
    check("deliveries", "Delivery", Language::English);
    check("schöne", "schönes", Language::German);
    assert_ne!(stem("schon", Some(Language::German)), stem("schön", Some(Language::German)));
    assert_eq!(stem("qualität", Some(Language::German)), stem("qualitaet", Some(Language::German)));
    assert_eq!(stem("delivered", None), "delivered");
}

#[test]
fn signs_of_mood_are_words() {
    let check = |text: &str, wanted: &str| assert_eq!(marked(text, Language::English), wanted);
    check("nice :-) 👍🏽", "nice :) :)");
    check("broken :( 😡", "broken :( :(");
    check("(see: below)", "see below");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn folding_twice_is_folding_once_and_tokens_are_folded(text in any_text()) {
        let once = fold(&text);
        prop_assert_eq!(fold(&once), once.clone());
        for language in Language::ALL.into_iter().map(Some).chain([None]) {
            let found = tokens(&text, language);
            prop_assert_eq!(&found, &tokens(&once, language));
            prop_assert!(found.iter().all(|token| !token.text.is_empty()));
        }
    }
}

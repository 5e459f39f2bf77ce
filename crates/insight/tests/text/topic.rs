//! Topics, ours and others'.

use proptest::prelude::*;
use zyklus_insight::text::topic::Mention;
use zyklus_insight::text::{Language, Lexicon, TopicError, Topics};

use super::{LEXICON, any_text, config};

fn found(lexicon: &Lexicon, text: &str, language: Option<Language>) -> Vec<(String, Vec<String>)> {
    lexicon.topics_of(text, language).into_iter().map(|Mention { topic, words }| (topic, words)).collect()
}

#[test]
fn words_of_a_comment_speak_for_topics() {
    let lexicon = &*LEXICON;
    let check = |text: &str, language, wanted: &[(&str, &[&str])]| {
        let wanted: Vec<(String, Vec<String>)> = wanted
            .iter()
            .map(|(topic, words)| {
                ((*topic).to_owned(), words.iter().map(|word| (*word).to_owned()).collect())
            })
            .collect();
        assert_eq!(found(lexicon, text, language), wanted, "{text}");
    };
    let (english, german) = (Some(Language::English), Some(Language::German));
    check("Die Lieferzeit war kurz.", german, &[("delivery", &["lieferzeit"])]);
    check(
        "Der Versandkostenpreis!",
        german,
        &[("delivery", &["versandkostenpreis"]), ("price", &["versandkostenpreis"])],
    );
    check("Ruecksendeetikett fehlte", german, &[("returns", &["ruecksendeetikett"])]);
    check("Materialqualitaet lässt nach", german, &[("quality", &["materialqualitaet"])]);
    check(
        "Too small, so I want my money back",
        english,
        &[("fit", &["too", "small"]), ("price", &["money"]), ("returns", &["money", "back"])],
    );
    check("small, too", english, &[]);
    check("Super!", None, &[]);
    check("Lieferung late", None, &[("delivery", &["lieferung"])]);
    check("", english, &[]);
}

#[test]
fn operators_add_topics_and_words() {
    let more: Topics = toml::from_str(
        r#"
        [topics.taste]
        label = { en = "Taste", de = "Geschmack" }
        words = { en = ["taste"], de = ["schmeck-", "-geschmack"] }
        [topics.delivery]
        words = { de = ["Drohne"] }
        "#,
    )
    .unwrap();
    let topics = Topics::seed().with(more);
    assert_eq!(topics.topics["delivery"].label[&Language::German], "Lieferung");
    let lexicon = Lexicon::new(&topics).unwrap();
    let german = Some(Language::German);
    assert_eq!(found(&lexicon, "Schmeckt gut", german)[0].0, "taste");
    assert_eq!(
        found(&lexicon, "Mit der Drohne!", german),
        [("delivery".to_owned(), vec!["drohne".to_owned()])]
    );
    assert_eq!(toml::from_str::<Topics>(&toml::to_string(&topics).unwrap()).unwrap(), topics);
}

#[test]
fn what_could_never_be_found_is_refused() {
    let refused = |text: &str| Lexicon::new(&toml::from_str(text).unwrap()).unwrap_err();
    let topic = "x".to_owned();
    assert_eq!(
        refused("[topics.x]\nwords = { en = [\"-ab-\"] }"),
        TopicError::NoWord { topic: topic.clone(), word: "-ab-".to_owned() }
    );
    assert_eq!(
        refused("[topics.x]\nwords = { de = [\"!\"] }"),
        TopicError::NoWord { topic: topic.clone(), word: "!".to_owned() }
    );
    assert_eq!(refused("[topics.x]"), TopicError::NoWords { topic });
    assert!(toml::from_str::<Topics>("[topics.x]\nwords = { klingon = [\"a\"] }").is_err());
    assert!(toml::from_str::<Topics>("[topics.x]\nword = { en = [\"a\"] }").is_err());
}

#[test]
fn every_topic_of_ours_has_both_languages() {
    let topics = Topics::seed().topics;
    let ids: Vec<&str> = topics.keys().map(String::as_str).collect();
    assert_eq!(ids, ["delivery", "fit", "price", "quality", "returns", "service"]);
    for topic in topics.values() {
        for language in [Language::English, Language::German] {
            assert!(!topic.label[&language].is_empty() && topic.words[&language].len() >= 20);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn topics_come_once_with_words_of_the_comment(text in any_text(), word in "(Lieferung|size|teuer|Umtausch)") {
        let text = format!("{text} {word}");
        for language in [None, Some(Language::German), Some(Language::Polish)] {
            let found = LEXICON.topics_of(&text, language);
            prop_assert!(found.windows(2).all(|pair| pair[0].topic < pair[1].topic));
            let folded = zyklus_insight::text::tokens::fold(&text);
            prop_assert!(found.iter().flat_map(|mention| &mention.words).all(|word| folded.contains(word)));
        }
    }
}

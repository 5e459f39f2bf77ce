//! Conditions on what a customer's words say: mood, trouble and contradiction, by score, by our words and by a shop's own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::sync::Arc;

use zyklus_engine::condition::{Condition, Expression, Group, Scope, Value};
use zyklus_engine::facts::View;
use zyklus_engine::playtest::run;
use zyklus_engine::settings::Settings;
use zyklus_engine::source::{Source, Table};
use zyklus_engine::voice::{Voice, seed};
use zyklus_engine::{Book, Playbook, Problem};
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::{Polarity, Review, ShopModel};
use zyklus_model::{At, DAY_MICROS, Feedback, FeedbackId, FeedbackKind, Snapshot};

use crate::world::{LIFECYCLE, World, at, lifecycle};

/// A late parcel, in words of blame.
const LATE: &str = "Die Lieferung kam drei Wochen zu spät, so ein schlechter Versand. Nie wieder!";
/// A poor teapot.
const BROKEN: &str = "Terrible quality: the handle broke on the first day and I am really disappointed.";
const LOVELY: &str = "Wunderbarer Tee, ich bin begeistert und bestelle gerne wieder.";

fn said(days: i64, kind: FeedbackKind, score: Option<f64>, text: Option<&str>) -> Feedback {
    Feedback {
        id: FeedbackId::derive(&[days.to_string().as_bytes()]),
        kind,
        score,
        text: text.map(str::to_owned),
        product: None,
        at: day(days),
    }
}

fn day(days: i64) -> At {
    at("2026-03-01T10:00:00Z").plus_micros(days * DAY_MICROS)
}

fn book(settings: Settings, playbook: &str) -> Result<Book, Vec<Problem>> {
    let (playbook, _) = Playbook::parse("p.toml", playbook, &BTreeMap::new())?;
    Book::assemble(lifecycle(LIFECYCLE), vec![playbook], settings, 2)
}

fn ours() -> Book {
    book(Settings::default(), "").unwrap()
}

fn of(feedback: Vec<Feedback>) -> Snapshot {
    Snapshot { feedback, ..World::new("").snapshot.clone() }
}

/// What a field says on a day, and when it may say something else.
fn asked(book: &Book, snapshot: &Snapshot, field: &str, days: i64) -> (Value, Option<At>) {
    let expression = Expression::parse(field, Scope::Segment).unwrap();
    let view = View::new(snapshot, day(days), 2, None).with_book(book);
    let verdict = expression.eval(&view, day(days));
    (verdict.value, verdict.revisit_at)
}

fn sentiment(book: &Book, feedback: Vec<Feedback>) -> Value {
    asked(book, &of(feedback), "feedback.sentiment", 0).0
}

fn topics(ids: &[&str]) -> Value {
    Value::texts(ids.iter().copied())
}

#[test]
fn the_score_comes_first_and_words_speak_only_without_one() {
    use FeedbackKind::{Comment, Csat, Nps, Review};
    let book = ours();
    let one = |kind, score, text| sentiment(&book, vec![said(-1, kind, score, text)]);
    assert_eq!(one(Review, Some(5.0), Some(LATE)), Value::text("positive"));
    assert_eq!(one(Review, Some(3.0), None), Value::text("neutral"));
    assert_eq!(one(Csat, Some(2.0), Some(LOVELY)), Value::text("negative"));
    assert_eq!(one(Nps, Some(9.0), None), Value::text("positive"));
    assert_eq!(one(Nps, Some(6.0), None), Value::text("negative"));
    assert_eq!(one(Comment, None, Some(LATE)), Value::text("negative"));
    assert_eq!(one(Comment, None, Some(LOVELY)), Value::text("positive"));
    assert_eq!(one(Review, None, Some(BROKEN)), Value::text("negative"));
    // A score that is none is none.
    assert_eq!(one(Review, Some(9.0), Some(BROKEN)), Value::text("negative"));
    // Nobody can say, and nothing was said.
    assert_eq!(one(Comment, None, Some("Der Tisch ist aus Holz.")), Value::Absent);
    assert_eq!(one(Comment, None, Some("  ")), Value::Absent);
    assert_eq!(sentiment(&book, Vec::new()), Value::Absent);
}

#[test]
fn the_last_word_counts_and_none_of_later() {
    use FeedbackKind::{Comment, Review};
    let book = ours();
    let all = || {
        vec![
            said(-9, Review, Some(5.0), None),
            said(-3, Comment, None, Some(LATE)),
            // It has neither score nor words.
            said(-2, Review, None, None),
            said(4, Review, Some(4.0), None),
        ]
    };
    assert_eq!(sentiment(&book, all()), Value::text("negative"));
    assert_eq!(asked(&book, &of(all()), "feedback.sentiment", -5).0, Value::text("positive"));
    assert_eq!(asked(&book, &of(all()), "feedback.sentiment", 5).0, Value::text("positive"));
}

#[test]
fn trouble_is_remembered_for_ninety_days_to_the_microsecond() {
    use FeedbackKind::{Comment, Review};
    let book = ours();
    let snapshot = of(vec![
        said(-80, Comment, None, Some(BROKEN)),
        said(-20, Review, Some(1.0), Some(LATE)),
        said(-10, Review, Some(5.0), Some("Great price, friendly service.")),
        said(-5, Review, Some(1.0), None),
    ]);
    let (both, turns) = asked(&book, &snapshot, "feedback.topics", 0);
    assert_eq!(both, topics(&["delivery", "quality"]));
    assert_eq!(turns, Some(day(10)), "the older one leaves");
    assert_eq!(asked(&book, &snapshot, "feedback.topics", 10), (topics(&["delivery"]), Some(day(70))));
    assert_eq!(asked(&book, &snapshot, "feedback.topics", 70), (topics(&[]), None));
    // Whoever only praises has no trouble, whatever they praise; and whoever said nothing.
    let happy = of(vec![said(-1, Review, Some(5.0), Some("Great price, fast delivery"))]);
    assert_eq!(asked(&book, &happy, "feedback.topics", 0), (topics(&[]), None));
    assert_eq!(asked(&book, &of(Vec::new()), "feedback.topics", 0), (topics(&[]), None));
}

#[test]
fn score_and_words_that_do_not_go_together_are_seen() {
    use FeedbackKind::Review;
    let book = ours();
    let contradicts = |feedback| asked(&book, &of(feedback), "feedback.contradicts", 0).0;
    assert_eq!(contradicts(vec![said(-1, Review, Some(5.0), Some(BROKEN))]), Value::Bool(true));
    assert_eq!(contradicts(vec![said(-1, Review, Some(1.0), Some(LOVELY))]), Value::Bool(true));
    assert_eq!(contradicts(vec![said(-1, Review, Some(1.0), Some(BROKEN))]), Value::Bool(false));
    assert_eq!(contradicts(vec![said(-1, Review, None, Some(BROKEN))]), Value::Bool(false));
    assert_eq!(contradicts(vec![said(-1, Review, Some(5.0), None)]), Value::Bool(false));
    assert_eq!(contradicts(Vec::new()), Value::Bool(false));
    // What was said before is settled.
    let then = said(-2, Review, Some(5.0), Some(BROKEN));
    assert_eq!(contradicts(vec![then, said(-1, Review, Some(4.0), Some(LOVELY))]), Value::Bool(false));
}

/// A shop whose customers have words of their own for praise (`blorp`) and blame (`zimt`).
fn shop_model() -> ShopModel {
    let text = |number: usize, mood: &str| {
        let thing = ["tavo", "merik", "sola", "pidun", "hest"][number % 5];
        let verb = ["esti", "fara", "noki"][number % 3];
        format!("{thing} {verb} {mood} {number}")
    };
    let texts: Vec<(String, Polarity)> = (0..40)
        .flat_map(|n| [(text(n, "blorp"), Polarity::Positive), (text(n, "zimt"), Polarity::Negative)])
        .collect();
    let reviews: Vec<Review<'_>> =
        texts.iter().map(|(text, polarity)| Review { text, language: None, polarity: *polarity }).collect();
    ShopModel::train(&reviews, seed()).unwrap()
}

#[test]
fn what_the_shop_learned_counts_from_when_it_was_learned() {
    use FeedbackKind::{Comment, Review};
    let mut book = ours();
    let voice = Voice { reviews: 80, model: Some(shop_model()) };
    book.voice = vec![(day(-1), Arc::new(voice))].into();
    let angry = of(vec![said(-5, Comment, None, Some("sola fara zimt, der Versand"))]);
    let scored = of(vec![said(-5, Review, Some(5.0), Some("sola fara zimt"))]);
    assert_eq!(asked(&book, &angry, "feedback.sentiment", -2), (Value::Absent, Some(day(-1))));
    assert_eq!(asked(&book, &angry, "feedback.sentiment", 0), (Value::text("negative"), None));
    assert_eq!(asked(&book, &angry, "feedback.topics", -2), (topics(&[]), Some(day(-1))));
    assert_eq!(asked(&book, &angry, "feedback.topics", 0).0, topics(&["delivery"]));
    assert_eq!(asked(&book, &scored, "feedback.contradicts", -2), (Value::Bool(false), Some(day(-1))));
    assert_eq!(asked(&book, &scored, "feedback.contradicts", 0), (Value::Bool(true), None));
    // A score stays what it is, whatever is learned.
    assert_eq!(asked(&book, &scored, "feedback.sentiment", -2), (Value::text("positive"), None));
}

/// Reads a `[topics]` table, as `zyklus.toml` has it.
fn read(topics: &str) -> (Settings, Vec<Problem>) {
    let mut source = Source::new("zyklus.toml", topics);
    let document = source.parse().unwrap();
    let mut root = Table::new("", document.span(), document.get_ref());
    let mut settings = Settings::default();
    settings.read_topics(&mut source, root.take("topics").unwrap());
    (settings, source.problems)
}

#[test]
fn topics_of_the_operators_own_are_found_beside_ours() {
    let (settings, problems) = read(
        "[topics.taste]\nlabel = { en = \"Taste\", de = \"Geschmack\" }\n\
         words = { en = [\"bitter\", \"too weak\"], de = [\"geschmack-\", \"-aroma\"] }\n\
         [topics.delivery]\nwords = { en = [\"drone\"] }\n",
    );
    assert_eq!(problems, []);
    assert_eq!(settings.topics.topics().topics["taste"].label[&Language::German], "Geschmack");
    let book = book(settings, "").unwrap();
    let one = |text: &str| {
        asked(&book, &of(vec![said(-1, FeedbackKind::Review, Some(1.0), Some(text))]), "feedback.topics", 0).0
    };
    assert_eq!(one("Das Teearoma ist furchtbar, der Versand auch."), topics(&["delivery", "taste"]));
    assert_eq!(one("The tea was too weak, and the drone never came."), topics(&["delivery", "taste"]));
    assert_eq!(one("Terrible, weak colours."), topics(&[]));
}

#[test]
fn mistakes_in_topics_are_told_with_their_place() {
    let told = |topics: &str| {
        let (_, problems) = read(topics);
        let told: Vec<String> =
            problems.iter().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).collect();
        told.join("; ")
    };
    assert_eq!(
        told("[topics.taste]\nwords = { en = [\"bitter\", \"-x\"] }"),
        "2:27 `topics.taste.words`: \"-x\" means no word"
    );
    assert_eq!(
        told("[topics.taste]\nwords = { xx = [\"bitter\"] }"),
        "2:11 `topics.taste.words.xx` is no language that is told apart"
    );
    assert_eq!(
        told("[topics.taste]\nwords = { en = [] }"),
        "2:9 `topics.taste.words` has no words, so nothing could be about it"
    );
    assert_eq!(told("[topics.taste]\nlabel = { en = \"Taste\" }"), "1:1 `topics.taste.words` is missing");
    assert_eq!(
        told("[topics.\"Great Taste\"]\nwords = { en = [\"bitter\"] }"),
        "1:9 `topics.Great Taste`: \"Great Taste\" is not an id; use lower-case letters, digits and -"
    );
    assert_eq!(
        told("[topics.taste]\nwords = { en = \"bitter\" }"),
        "2:16 `topics.taste.words` is a text, not a list"
    );
}

fn journey(when: &str) -> String {
    format!(
        "[journeys.sorry]\nlabel = {{ en = \"Sorry\" }}\nstart = {{ event = \"feedback.received\" }}\n\
         when = \"{when}\"\nsteps = [{{ send = \"sorry\", purpose = \"service\" }}]\n"
    )
}

#[test]
fn moods_and_topics_that_there_are_not_are_misspelt() {
    let error = |text: &str| Condition::parse(text, Scope::Segment).unwrap_err();
    let wrong = error("feedback.sentiment == 'negativ'");
    assert_eq!(wrong.message, "`feedback.sentiment` is never \"negativ\"");
    assert_eq!(wrong.help.as_deref(), Some("did you mean 'negative'?"));
    assert_eq!(
        error("feedback.sentiment in ['neutral', 'bad']").help.as_deref(),
        Some("it is 'positive', 'neutral', 'negative' or absent")
    );
    let problems = book(Settings::default(), &journey("'delivry' in feedback.topics")).unwrap_err();
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.message, "journey `sorry`: there is no topic \"delivry\"");
    assert_eq!(problem.help.as_deref(), Some("did you mean \"delivery\"?"));
    let (settings, _) = read("[topics.taste]\nwords = { en = [\"bitter\"] }");
    assert!(book(settings, &journey("'taste' in feedback.topics")).is_ok());
    assert!(book(Settings::default(), &journey("'taste' in feedback.topics")).is_err());
}

#[test]
fn only_books_that_ask_for_it_read_what_words_say() {
    let reads = |when: &str| book(Settings::default(), &journey(when)).unwrap().reads(Group::Voice);
    assert!(!reads("feedback.nps <= 6 && feedback.rating < 3.0"));
    assert!(reads("feedback.contradicts") && reads("'fit' in feedback.topics"));
}

#[test]
fn help_is_offered_after_an_unhappy_review_about_the_delivery() {
    let when = "feedback.sentiment == 'negative' && 'delivery' in feedback.topics";
    let tests = format!(
        "{}[[tests]]\nname = \"late\"\ngiven = [{{ at = \"0h\", feedback = \"review\", score = 2, text = \"{LATE}\" }}]\n\
         expect = [{{ at = \"0h\", send = \"sorry\" }}]\n\
         [[tests]]\nname = \"broken\"\ngiven = [{{ at = \"0h\", feedback = \"review\", score = 1, text = \"{BROKEN}\" }}]\n\
         expect = [{{ nothing = true }}]\n\
         [[tests]]\nname = \"lovely\"\ngiven = [{{ at = \"0h\", feedback = \"comment\", text = \"{LOVELY}\" }}]\n\
         expect = [{{ nothing = true }}]\n",
        journey(when)
    );
    let book = book(Settings::default(), &tests).unwrap();
    assert_eq!(book.tests.len(), 3);
    for test in &book.tests {
        let verdict = run(&book, test);
        assert!(verdict.passed, "{}: {verdict}", test.name);
    }
}

#[test]
fn the_journeys_of_the_guide_do_what_it_says() {
    let guide = include_str!("../../../../config/README.md");
    let (_, rest) = guide.split_once("```toml\n# playbooks/21-make-good.toml\n").unwrap();
    let (text, _) = rest.split_once("```").unwrap();
    let (playbook, warnings) =
        Playbook::parse("playbooks/21-make-good.toml", text, &BTreeMap::new()).unwrap();
    assert_eq!(warnings, []);
    let book = Book::assemble(lifecycle(LIFECYCLE), vec![playbook], Settings::default(), 2).unwrap();
    assert_eq!(book.tests.len(), 4);
    for test in &book.tests {
        let verdict = run(&book, test);
        assert!(verdict.passed, "{}: {verdict}", test.name);
    }
}

#[test]
fn whoever_asks_only_the_happy_for_a_review_is_told() {
    for when in ["feedback.sentiment == 'positive'", "size(feedback.topics) == 0", "!feedback.contradicts"] {
        let asking =
            journey(when).replace("send = \"sorry\", purpose = \"service\"", "send = \"review-request\"");
        let warnings = zyklus_engine::lint::playbook("p.toml", &asking, &jiff::tz::TimeZone::UTC);
        assert!(
            warnings.iter().any(|w| w.message.contains("only to customers with certain scores")),
            "{when}"
        );
    }
}

#[test]
fn every_language_that_is_told_apart_can_have_words() {
    use zyklus_engine::keys::{Kind, ZYKLUS};
    let topics = ZYKLUS.root.keys.iter().find(|key| key.name == "topics").unwrap();
    let Kind::Named(_, Kind::Table(topic)) = topics.kind else { panic!("{topics:?}") };
    for key in topic.keys {
        let Kind::Chosen(languages, _) = key.kind else { panic!("{key:?}") };
        assert_eq!(languages, Language::ALL.map(Language::code), "{}", key.name);
    }
}

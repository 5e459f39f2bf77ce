//! What a shop's customers say, from the store to the report and into conditions. The reviews are those that `insight`
//! is tested on, and some of a strike. Sends nothing.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use zyklus_engine::Book;
use zyklus_engine::condition::{Expression, Scope, Value};
use zyklus_engine::facts::View;
use zyklus_host::{ConfigOptions, Registry};
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::Contradiction;
use zyklus_insight::text::trend::Change;
use zyklus_model::{
    At, Currency, CustomerRef, DAY_MICROS, FeedbackKind, FeedbackRecord, Money, OrderRecord, Origin, Rates,
    Record,
};
use zyklus_runtime::feedback::{Ears, Untaught};
use zyklus_runtime::{FeedbackReport, Project, book_for_reading, feedback, learn};
use zyklus_store::{Ingest, OpenOptions, Store};

/// Monday, 30 November 2026, noon.
fn now() -> At {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn ago(days: i64) -> At {
    now().plus_micros(-days * DAY_MICROS)
}

struct Bed {
    dir: tempfile::TempDir,
    store: Store,
}

impl Bed {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", dir.path().join("zyklus.db").display());
        let store = Store::open(&url, OpenOptions::default()).await.unwrap();
        store.migrate().await.unwrap();
        Bed { dir, store }
    }

    async fn take(&self, records: Vec<Record>) {
        let ingest = Ingest::of("shop", "all", records, Origin::History, ago(0), Rates::only(Currency::EUR));
        self.store.ingest(ingest).await.unwrap();
    }

    fn project(&self, more: &str, playbook: &str) -> Project {
        let file = self.dir.path().join("zyklus.toml");
        let head = "[shop]\nname = \"Teehaus\"\ncurrency = \"EUR\"\ntime_zone = \"Europe/Berlin\"\n";
        std::fs::write(&file, format!("{head}{more}")).unwrap();
        std::fs::create_dir_all(self.dir.path().join("playbooks")).unwrap();
        std::fs::write(self.dir.path().join("playbooks/01.toml"), playbook).unwrap();
        Project::load(&file, &Registry::new(), &ConfigOptions::new(self.dir.path())).unwrap()
    }

    async fn report(&self) -> FeedbackReport {
        let project = self.project("", "");
        learn(&self.store, &project, now()).await.unwrap();
        feedback(&self.store, &project.book, now(), 90).await.unwrap()
    }
}

fn who(name: &str) -> CustomerRef {
    CustomerRef { external_id: Some(name.to_owned()), email: None, email_verified: false }
}

fn said(name: &str, days: i64, score: Option<f64>, text: Option<&str>) -> Record {
    Record::Feedback(FeedbackRecord {
        external_id: format!("{name}-{days}"),
        customer: who(name),
        kind: if score.is_some() { FeedbackKind::Review } else { FeedbackKind::Comment },
        score,
        text: text.map(str::to_owned),
        product: None,
        at: ago(days),
    })
}

fn reviews() -> impl Iterator<Item = (f64, &'static str)> {
    let lines = include_str!("../../insight/tests/data/reviews.tsv").lines().skip(1);
    lines.map(|line| {
        let [_, stars, _, text] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (stars.parse().unwrap(), text)
    })
}

/// The reviews, two days apart: from yesterday to 319 days ago.
fn of_a_year() -> Vec<Record> {
    let one = |(n, (stars, text))| said(&format!("r{n}"), 2 * n as i64 + 1, Some(stars), Some(text));
    reviews().enumerate().map(one).collect()
}

/// What customers write in the weeks of a strike.
const STRIKE: [(f64, &str); 8] = [
    (1.0, "Wegen Streik kam die Lieferung drei Wochen zu spät, sehr ärgerlich."),
    (2.0, "Immer noch keine Lieferung, angeblich ein Streik. Schlecht informiert."),
    (1.0, "Streik hin oder her, so eine schlechte Lieferung habe ich noch nie erlebt."),
    (1.0, "The strike delayed my delivery for weeks, terrible."),
    (2.0, "Delivery was late because of the strike and nobody told me. Disappointing."),
    (1.0, "Das Paket liegt wegen Streik im Lager, und niemand weiß wo. Furchtbar."),
    (2.0, "My parcel is stuck, a strike they say. Poor delivery, never again."),
    (1.0, "Lieferung kaputt und verspätet, der Streik ist keine Entschuldigung."),
];

#[tokio::test]
async fn a_strike_is_seen_in_what_customers_say() {
    let bed = Bed::new().await;
    bed.take(of_a_year()).await;
    for round in 0..3 {
        let one = |(n, (stars, text))| {
            said(&format!("s{round}-{n}"), n as i64 + 2 * round, Some(stars), Some(text))
        };
        bed.take(STRIKE.into_iter().enumerate().map(one).collect()).await;
    }
    bed.take(vec![
        said("irony", 3, Some(5.0), Some("Terrible quality, the handle broke at once. Never again!")),
        said("mute", 4, Some(1.0), None),
        said("comment", 5, None, Some("Würde ich gerne wieder bestellen, sehr lecker und schön verpackt.")),
        said("nobody-can-say", 6, None, Some("Der Tisch ist aus Holz.")),
        said("of-old", 900, Some(5.0), Some("Alles bestens, vielen Dank.")),
        said("to-come", -3, Some(1.0), Some("Streik")),
    ])
    .await;
    let report = bed.report().await;

    let Ears::ShopModel { reviews, quality } = &report.ears else { panic!("{:?}", report.ears) };
    // 148 of the 160 are praise or blame, 24 of the strike, the ironical one and the old one.
    assert_eq!(*reviews, 148 + 24 + 2);
    assert!(quality.balanced_accuracy > 0.7, "{quality:?}");

    assert_eq!(report.ever, 160 + 24 + 5);
    assert_eq!(
        report.period.all + report.before.all,
        report.ever - 1,
        "what is older than both is in neither"
    );
    assert_eq!(report.period.texts, report.period.all - 1, "one says nothing");
    let judged = report.judged;
    assert_eq!(judged.score + judged.shop_model + judged.seed + judged.unknown, report.period.all);
    assert_eq!(judged.score, report.period.all - 2, "all but two gave stars");
    let told = &report.languages.known;
    assert!(told[&Language::German] > 20 && told[&Language::English] > 5, "{told:?}");
    let languages = told.values().sum::<u64>() + report.languages.too_short + report.languages.unsure;
    assert_eq!(languages, report.period.texts);

    assert_eq!(report.topics[0].topic, "delivery");
    let unhappy = report.topics[0].unhappy.unwrap();
    assert!(unhappy.share.low > 0.5 && unhappy.count >= 24, "{unhappy:?}");
    let worse = &report.complaints[0];
    assert_eq!((worse.topic.as_str(), worse.shift.change), ("delivery", Change::More), "{worse:?}");
    let others = &report.complaints[1..];
    assert!(others.iter().all(|one| one.shift.change != Change::More), "{others:?}");
    assert_eq!(report.displeased.unwrap().change, Change::More);
    let strike = report.words.iter().find(|key| key.word == "streik").unwrap();
    assert_eq!((strike.before, strike.now), (0, 15), "and not what is still to come");

    let odd = report.contradictions.iter().find(|one| one.what == Contradiction::GoodScoreAngryText).unwrap();
    let ids = bed.store.customer_ids(None, 10_000).await.unwrap();
    let theirs = bed.store.snapshots(&ids).await.unwrap();
    let theirs = theirs.iter().find(|one| one.customer.id == odd.customer).unwrap();
    assert!(theirs.feedback[0].text.as_deref().unwrap().starts_with("Terrible quality"), "{odd:?}");

    let months: Vec<String> = report.months.iter().map(|month| month.month.to_string()).collect();
    assert_eq!((months[0].as_str(), months.last().unwrap().as_str()), ("2026-01", "2026-11"));
    assert!(report.months.windows(2).all(|pair| pair[0].month < pair[1].month));
}

#[tokio::test]
async fn no_text_is_given_away() {
    let bed = Bed::new().await;
    bed.take(of_a_year()).await;
    let json = serde_json::to_string(&bed.report().await).unwrap();
    let long = reviews().map(|(_, text)| text).filter(|text| text.contains(' '));
    for text in long {
        assert!(!json.contains(text), "{text}");
    }
}

#[tokio::test]
async fn few_reviews_are_judged_by_words_of_ours() {
    let bed = Bed::new().await;
    bed.take(of_a_year().into_iter().take(20).collect()).await;
    let report = bed.report().await;
    let Ears::SeedWords { because: Untaught::TooFew { praise, blame, least } } = report.ears else {
        panic!("{:?}", report.ears)
    };
    let stars = |wanted: fn(f64) -> bool| reviews().take(20).filter(|(stars, _)| wanted(*stars)).count();
    assert_eq!((praise, blame), (stars(|stars| stars >= 4.0), stars(|stars| stars <= 2.0)));
    assert!(least > praise.max(blame));
    assert!(Bed::new().await.report().await.topics.is_empty(), "nothing said is no mistake");
}

fn order() -> Record {
    Record::Order(OrderRecord::placed("1", who("r0"), ago(30), Money::new(1_000, Currency::EUR)))
}

const SORRY: &str = "[journeys.sorry]\nlabel = { en = \"Sorry\" }\nstart = { event = \"feedback.received\" }\n\
    when = \"feedback.sentiment == 'negative' && 'taste' in feedback.topics\"\nsteps = [{ tag = \"sorry\" }]\n";
const TASTE: &str = "[topics.taste]\nwords = { de = [\"geschmack-\"] }\n";

#[tokio::test]
async fn each_night_hears_what_is_new_and_conditions_hear_it_too() {
    let bed = Bed::new().await;
    bed.take(vec![order()]).await;
    let project = bed.project(TASTE, SORRY);
    let learned = async |days: i64| learn(&bed.store, &project, ago(days)).await.unwrap().unwrap().reviews;
    assert_eq!(learned(9).await, None, "nobody has said anything");
    bed.take(of_a_year()).await;
    assert_eq!(learned(0).await, Some(148));
    assert_eq!(learned(0).await, None, "nobody has said anything since");

    let book = book_for_reading(&bed.store, &project).await.unwrap();
    let voice = &book.voice.last().unwrap().1;
    assert_eq!(voice.model.as_ref().unwrap().quality().reviews, 148);
    // Whoever does not ask does not read it.
    let deaf = bed.project("", "");
    assert!(book_for_reading(&bed.store, &deaf).await.unwrap().voice.is_empty());

    let text = "Schrecklicher Geschmack, den trinke ich nie wieder.";
    bed.take(vec![said("t", 0, None, Some(text))]).await;
    let ask = async |book: &Book, field: &str| {
        let ids = bed.store.customer_ids(None, 10_000).await.unwrap();
        let all = bed.store.snapshots(&ids).await.unwrap();
        let has = |f: &zyklus_model::Feedback| f.text.as_deref() == Some(text);
        let theirs = all.iter().find(|one| one.feedback.iter().any(has)).unwrap();
        let view = View::new(theirs, now(), 2, None).with_book(book);
        Expression::parse(field, Scope::Segment).unwrap().eval(&view, now()).value
    };
    assert_eq!(ask(&book, "feedback.sentiment").await, Value::text("negative"));
    assert_eq!(ask(&book, "feedback.topics").await, Value::texts(["taste"]));
    // The same words in the report.
    let report = feedback(&bed.store, &book, now(), 90).await.unwrap();
    let taste = report.topics.iter().find(|one| one.topic == "taste").unwrap();
    assert_eq!(taste.unhappy.map(|share| share.count), Some(taste.texts));

    // A comment teaches nothing; a tenth more reviews do.
    assert_eq!(learned(0).await, None);
    let more = reviews().filter(|(stars, _)| *stars != 3.0).take(15).enumerate();
    bed.take(more.map(|(n, (stars, text))| said(&format!("m{n}"), 1, Some(stars), Some(text))).collect())
        .await;
    assert_eq!(learned(0).await, Some(163));
}

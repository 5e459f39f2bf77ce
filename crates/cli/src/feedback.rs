//! `zyklus insight feedback`: what customers say, in words and tables. Never computes a figure and never prints a text.

use std::fmt::Write as _;
use std::path::Path;

use jiff::tz::TimeZone;
use zyklus_insight::text::Language;
use zyklus_insight::text::sentiment::Contradiction;
use zyklus_insight::text::trend::{Change, Interval, Share, Shift};
use zyklus_model::At;
use zyklus_runtime::feedback::{Ears, TopicReport, Untaught};
use zyklus_runtime::{FeedbackReport, feedback};
use zyklus_store::OpenOptions;

use crate::args::Now;
use crate::commands::{Done, clock, load, open, print, print_json};
use crate::show::{counted, table};

/// So many words, and so many contradictions, are shown; `--json` has all of them.
const MOST: usize = 15;

pub(crate) async fn run(config: &Path, now: Option<Now>, days: u32, json: bool) -> Done {
    let project = load(config, false)?;
    let store = open(&project, OpenOptions::reading()).await?;
    let report = feedback(&store, &project.book, clock(now, &project).now(), days).await;
    store.close().await;
    let report = report?;
    if json {
        return print_json(&report);
    }
    print(&told(&report, &project.shop.zone, &project.shop.locale))
}

fn day(at: At, zone: &TimeZone) -> String {
    at.timestamp().to_zoned(zone.clone()).date().to_string()
}

fn per_cent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A share, and where it lies in 95 of 100 cases.
fn share(share: &Share) -> String {
    let Interval { low, middle, high } = share.share;
    format!("{} ({} to {})", per_cent(middle), per_cent(low), per_cent(high))
}

/// A difference of two shares in percentage points, and where it lies.
fn difference(shift: &Shift) -> String {
    let points = |share: f64| format!("{:+.0}", share * 100.0);
    let Interval { low, middle, high } = shift.difference;
    format!("{} points ({} to {})", points(middle), points(low), points(high))
}

fn told(report: &FeedbackReport, zone: &TimeZone, locale: &str) -> String {
    let mut text = format!(
        "What customers said from {} to {}, held against the year before (from {}).\n",
        day(report.from, zone),
        day(report.at, zone),
        day(report.before_from, zone),
    );
    let said = |count: &zyklus_runtime::feedback::Count| {
        format!(
            "{} spoke, {}, of which {} with words",
            counted(count.customers, "customer"),
            counted(count.all, "time"),
            count.texts
        )
    };
    let _ = writeln!(text, "\nPeriod        {}", said(&report.period));
    let _ = writeln!(text, "Year before   {}", said(&report.before));
    if report.ever == 0 {
        text.push_str("\nNo customer has said anything yet: no review, no answer, no comment.\n");
        return text;
    }
    ears(&mut text, report);
    languages(&mut text, report);
    if let Some(shift) = &report.displeased {
        let how = match shift.change {
            Change::More => "which is more",
            Change::Less => "which is less",
            Change::Unclear => "and chance could have made the difference",
        };
        let _ = writeln!(
            text,
            "Unhappy       {}, before {}: {}, {how}",
            share(&shift.now),
            share(&shift.before),
            difference(shift)
        );
    }
    topics(&mut text, report, locale);
    complaints(&mut text, report);
    words(&mut text, report);
    contradictions(&mut text, report, zone);
    text
}

fn ears(text: &mut String, report: &FeedbackReport) {
    let judged = &report.judged;
    let _ = writeln!(
        text,
        "Judged by     the score {}, the shop's model {}, words of ours {}; of {} nobody can say",
        judged.score, judged.shop_model, judged.seed, judged.unknown
    );
    let by = match &report.ears {
        Ears::ShopModel { reviews, quality } => format!(
            "the shop's model, from {}; on reviews it had not seen {} were told right, {} as the mean of the \
             good and the bad ones (always saying \"good\" gets {} right)",
            counted(*reviews, "review"),
            per_cent(quality.accuracy),
            per_cent(quality.balanced_accuracy),
            per_cent(quality.praise_share),
        ),
        Ears::SeedWords { because: Untaught::TooFew { praise, blame, least } } => format!(
            "words of ours in English and German: the shop has {praise} different reviews with good stars and {blame} with bad \
             ones, and a model of its own takes {least} of each"
        ),
        Ears::SeedWords { because: Untaught::NotYet } => {
            "words of ours; the next night, or `zyklus insight fit`, learns from the shop's own reviews"
                .to_owned()
        }
        Ears::SeedWords { because: Untaught::NoSkill } => {
            "words of ours in English and German: what the shop's \
             reviews say does not go with their stars, so they teach no model"
                .to_owned()
        }
    };
    let _ = writeln!(text, "Words         {by}.");
}

fn languages(text: &mut String, report: &FeedbackReport) {
    let mut known: Vec<(&Language, &u64)> = report.languages.known.iter().collect();
    known.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let mut parts: Vec<String> =
        known.into_iter().map(|(language, count)| format!("{} {count}", language.code())).collect();
    let others = [("too short to tell", report.languages.too_short), ("unsure", report.languages.unsure)];
    parts
        .extend(others.iter().filter(|(_, count)| *count > 0).map(|(what, count)| format!("{what} {count}")));
    if !parts.is_empty() {
        let _ = writeln!(text, "Languages     {}", parts.join(", "));
    }
}

/// What people call a topic, in the shop's language.
fn label(topic: &TopicReport, locale: &str) -> String {
    let own = Language::of_code(locale.split(['-', '_']).next().unwrap_or_default());
    let mut labels = [own, Some(Language::English)].into_iter().flatten();
    let found = labels.find_map(|language| topic.label.get(&language));
    found.cloned().unwrap_or_default()
}

fn topics(text: &mut String, report: &FeedbackReport, locale: &str) {
    if report.topics.is_empty() {
        return;
    }
    let mut all = table(&["topic", "", "texts", "unhappy of them"]);
    for topic in &report.topics {
        all.add_row(vec![
            topic.topic.clone(),
            label(topic, locale),
            topic.texts.to_string(),
            topic.unhappy.as_ref().map_or("–".into(), share),
        ]);
    }
    let _ = writeln!(
        text,
        "\nWhat customers speak about (a share lies within the brackets in 95 of 100 cases):\n{all}"
    );
}

fn complaints(text: &mut String, report: &FeedbackReport) {
    let changed = report.complaints.iter().filter(|one| one.shift.change != Change::Unclear);
    let mut rows = table(&["complaints about", "before", "now", "difference"]);
    let mut count = 0;
    for one in changed {
        count += 1;
        let Shift { before, now, .. } = &one.shift;
        let of = |share: &Share| format!("{} of {} texts", share.count, share.of);
        rows.add_row(vec![one.topic.clone(), of(before), of(now), difference(&one.shift)]);
    }
    if count > 0 {
        let _ = writeln!(text, "\nWhat they complain about more, or less, than before:\n{rows}");
    } else if !report.complaints.is_empty() {
        text.push_str(
            "\nThey complain about nothing more, or less, than before that chance could not explain.\n",
        );
    }
}

fn words(text: &mut String, report: &FeedbackReport) {
    if report.words.is_empty() {
        return;
    }
    let mut rows = table(&["word", "texts before", "texts now", ""]);
    for key in report.words.iter().take(MOST) {
        let times =
            if key.before == 0 { "new".to_owned() } else { format!("× {:.1}", key.log_ratio.exp2()) };
        rows.add_row(vec![key.word.clone(), key.before.to_string(), key.now.to_string(), times]);
    }
    let _ = writeln!(text, "\nWords that are said more than before:\n{rows}");
    more(text, report.words.len());
}

fn contradictions(text: &mut String, report: &FeedbackReport, zone: &TimeZone) {
    if report.contradictions.is_empty() {
        return;
    }
    let mut rows = table(&["customer", "on", "score", ""]);
    for one in report.contradictions.iter().take(MOST) {
        let what = match one.what {
            Contradiction::GoodScoreAngryText => "good score, angry words",
            Contradiction::BadScoreKindText => "bad score, friendly words",
        };
        let score = format!("{} {}", one.kind.as_str(), one.score);
        rows.add_row(vec![one.customer.to_string(), day(one.at, zone), score, what.to_owned()]);
    }
    let _ = writeln!(
        text,
        "\nScore and words do not go together; `zyklus customer show ID` has the words, and somebody should read them:\n{rows}"
    );
    more(text, report.contradictions.len());
}

fn more(text: &mut String, count: usize) {
    if count > MOST {
        let _ = writeln!(text, "{} more are in `--json`.", count - MOST);
    }
}

//! The operator's rules that hold for every journey: caps, quiet hours, time zone, test recipients.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;
use zyklus_insight::text::Language;
use zyklus_insight::text::topic::{Topic, Topics};
use zyklus_model::{Channel, Currency, Rates};

use crate::lifecycle::identifier;
use crate::playbook_file::positive;
use crate::source::{Source, Table};
use crate::voice::{Subjects, means_a_word};
use crate::wait::{Length, time_of_day};

/// How a frequency cap counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapWindow {
    /// The calendar day in the customer's zone.
    Day,
    /// The last so long, rolling.
    Rolling(Length),
}

/// At most `max` marketing messages per window, on one channel or in all (rule R14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrequencyCap {
    /// The channel; `None` = all together.
    pub channel: Option<Channel>,
    /// How many.
    pub max: u32,
    /// In which time.
    pub per: CapWindow,
}

/// Local hours in which nothing but transactional messages is sent (rule R15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuietHours {
    /// The channel.
    pub channel: Channel,
    /// From this local time …
    pub from: Time,
    /// … until this one, on the next day if it is earlier.
    pub until: Time,
    /// Days that are quiet as a whole.
    pub weekdays: Vec<Weekday>,
    /// Dates that are quiet as a whole.
    pub holidays: BTreeSet<Date>,
}

/// Who gets no marketing at all, to be compared with (rule R16).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GlobalHoldout {
    /// Per cent of customers, 0 to 50.
    pub share: u8,
    /// Another number draws anew.
    pub epoch: i64,
}

/// The operator's rules that hold for every journey.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The shop's time zone.
    pub zone: TimeZone,
    /// Frequency caps.
    pub caps: Vec<FrequencyCap>,
    /// Messages to one customer on one channel that are due within so long of each other contend for being the one
    /// that goes (rule R13).
    pub contend: Length,
    /// Who gets no marketing at all.
    pub holdout: GlobalHoldout,
    /// Quiet hours by channel.
    pub quiet: Vec<QuietHours>,
    /// Whether customers who bought may get advertising for similar goods without consent (UWG §7(3)); off
    /// unless the operator says so.
    pub existing_customers: bool,
    /// What currencies are worth. Facts come converted out of the store; the playbooks' tests convert what they give.
    pub rates: Rates,
    /// The only addresses that journeys in test mode write to.
    pub test_recipients: BTreeSet<String>,
    /// The topics that customers' words are searched for.
    pub topics: Arc<Subjects>,
    /// Makes splits and holdouts differ from shop to shop, and the same from run to run.
    pub seed: String,
}

impl Default for Settings {
    /// UTC; one marketing e-mail a day and three a week, two text messages a week; German quiet hours for text
    /// messages; two hours of contention; nobody held out; our topics.
    fn default() -> Self {
        let cap = |channel, max, per| FrequencyCap { channel: Some(channel), max, per };
        let quiet = |channel| QuietHours {
            channel,
            from: Time::constant(21, 0, 0, 0),
            until: Time::constant(8, 0, 0, 0),
            weekdays: Vec::new(),
            holidays: BTreeSet::new(),
        };
        Settings {
            zone: TimeZone::UTC,
            caps: vec![
                cap(Channel::Email, 1, CapWindow::Day),
                cap(Channel::Email, 3, CapWindow::Rolling(Length::days(7))),
                cap(Channel::Sms, 2, CapWindow::Rolling(Length::days(7))),
            ],
            contend: Length::hours(2),
            holdout: GlobalHoldout::default(),
            quiet: vec![quiet(Channel::Sms)],
            existing_customers: false,
            rates: Rates::only(Currency::EUR),
            test_recipients: BTreeSet::new(),
            topics: Subjects::ours(),
            seed: "zyklus".to_owned(),
        }
    }
}

pub(crate) const CHANNELS: &[(&str, Channel)] = &[
    ("email", Channel::Email),
    ("sms", Channel::Sms),
    ("social", Channel::Social),
    ("push", Channel::Push),
    ("post", Channel::Post),
];

const WEEKDAYS: &[(&str, Weekday)] = &[
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

impl Settings {
    /// Reads `[caps]`: `email = { max = 3, per = "7d" }` or an array of such, and `total` for all channels.
    /// What is named replaces the default for that channel; an empty array switches it off. `contend = "2h"` is how
    /// near to each other messages contend.
    pub fn read_caps<'a>(&mut self, source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) {
        let Some(mut table) = source.table("caps", value) else { return };
        if let Some(value) = table.take("contend")
            && let Some(contend) = source.length("caps.contend", value, positive)
        {
            self.contend = contend;
        }
        for (name, span, value) in table.rest() {
            let channel = match (name.as_str(), CHANNELS.iter().find(|(word, _)| *word == name)) {
                ("total", _) => None,
                (_, Some((_, channel))) => Some(*channel),
                (_, None) => {
                    source.problem_help(
                        span,
                        format!("`caps.{name}` is no channel"),
                        "known are email, sms, social, push, post and total, and beside them contend",
                    );
                    continue;
                }
            };
            self.caps.retain(|cap| cap.channel != channel);
            let items = match value.get_ref() {
                DeValue::Array(items) => items.iter().collect(),
                _ => vec![value],
            };
            for item in items {
                let path = format!("caps.{name}");
                let Some(mut cap) = source.table(&path, item) else { continue };
                let max = cap
                    .need(source, "max")
                    .and_then(|v| source.int_of(&format!("{path}.max"), v, 0..1_000_000));
                let per = cap.need(source, "per").and_then(|v| {
                    source.parsed(&format!("{path}.per"), v, |text| match text {
                        "day" => Ok(CapWindow::Day),
                        _ => match positive(text)? {
                            none if none.count == 0 => Err(format!("\"{text}\" is no time at all")),
                            length => Ok(CapWindow::Rolling(length)),
                        },
                    })
                });
                cap.finish(source);
                if let (Some(max), Some(per)) = (max, per) {
                    self.caps.push(FrequencyCap { channel, max: max as u32, per });
                }
            }
        }
    }

    /// Reads `[topics.NAME]`: `label = { de = "…" }`, `words = { de = ["…"] }`. What has the name of one of ours is added to
    /// it.
    pub fn read_topics<'a>(&mut self, source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) {
        let Some(mut table) = source.table("topics", value) else { return };
        let before = source.problems.len();
        let mut others = Topics::default();
        for (name, span, value) in table.rest() {
            let path = format!("topics.{name}");
            if let Err(message) = identifier(&name) {
                source.problem(span, format!("`{path}`: {message}"));
            }
            others.topics.extend(read_topic(source, &path, value).map(|topic| (name, topic)));
        }
        match Subjects::with(others) {
            Ok(subjects) => self.topics = Arc::new(subjects),
            // Said already, with the place.
            Err(_) if source.problems.len() > before => {}
            Err(error) => source.problem(value.span(), error.to_string()),
        }
    }

    /// Reads `[holdout]`: `share = 5` per cent, `epoch = 1`.
    pub fn read_holdout<'a>(&mut self, source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) {
        let Some(mut table) = source.table("holdout", value) else { return };
        let share = table.need(source, "share").and_then(|v| source.int_of("holdout.share", v, 0..51));
        let epoch = table.take("epoch").and_then(|v| source.int_of("holdout.epoch", v, 0..1_000_000));
        table.finish(source);
        let share = u8::try_from(share.unwrap_or(0)).unwrap_or(0);
        self.holdout = GlobalHoldout { share, epoch: epoch.unwrap_or(0) };
    }

    /// Reads `[quiet]`: `sms = { from = "21:00", until = "08:00", weekdays = ["sunday"], holidays = […] }`, or
    /// `false` to have none on that channel.
    pub fn read_quiet<'a>(&mut self, source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) {
        let Some(mut table) = source.table("quiet", value) else { return };
        for (name, span, value) in table.rest() {
            let Some((_, channel)) = CHANNELS.iter().find(|(word, _)| *word == name) else {
                source.problem_help(
                    span,
                    format!("`quiet.{name}` is no channel"),
                    "known are email, sms, social, push, post",
                );
                continue;
            };
            self.quiet.retain(|quiet| quiet.channel != *channel);
            if matches!(value.get_ref(), DeValue::Boolean(false)) {
                continue;
            }
            if let Some(quiet) = read_quiet_hours(source, &format!("quiet.{name}"), *channel, value) {
                self.quiet.push(quiet);
            }
        }
    }
}

/// Reads the values of a table with a language as each key.
fn by_language<'d, 'a>(
    source: &mut Source<'a>,
    path: &str,
    value: &'d Spanned<DeValue<'a>>,
) -> Vec<(Language, &'d Spanned<DeValue<'a>>)> {
    let Some(mut table) = source.table(path, value) else { return Vec::new() };
    let mut found = Vec::new();
    for (name, span, value) in table.rest() {
        match Language::of_code(&name) {
            Some(language) => found.push((language, value)),
            None => {
                let known = Language::ALL.map(Language::code).join(", ");
                let message = format!("`{path}.{name}` is no language that is told apart");
                source.problem_help(span, message, format!("known are {known}"));
            }
        }
    }
    found
}

fn read_topic<'a>(source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<Topic> {
    let mut table = source.table(path, value)?;
    let mut topic = Topic::default();
    let label = format!("{path}.label");
    for (language, value) in table.take("label").map(|v| by_language(source, &label, v)).unwrap_or_default() {
        topic.label.extend(source.text_of(&label, value).map(|text| (language, text)));
    }
    let all = table.need(source, "words");
    let path = format!("{path}.words");
    let before = source.problems.len();
    for (language, value) in all.map(|v| by_language(source, &path, v)).unwrap_or_default() {
        let words = topic.words.entry(language).or_default();
        for value in source.array_of(&path, value).unwrap_or_default() {
            let Some(word) = source.text_of(&path, value) else { continue };
            if means_a_word(&word, language) {
                words.push(word);
            } else {
                let help = "write a word, several for a phrase, or a part of three letters or more with a hyphen \
                            where it goes on: \"verpack-\", \"-karton\"";
                source.problem_help(value.span(), format!("`{path}`: {word:?} means no word"), help);
            }
        }
    }
    if let Some(all) = all
        && topic.words.values().all(Vec::is_empty)
        && source.problems.len() == before
    {
        source.problem(all.span(), format!("`{path}` has no words, so nothing could be about it"));
    }
    table.finish(source);
    Some(topic)
}

fn read_quiet_hours<'a>(
    source: &mut Source<'a>,
    path: &str,
    channel: Channel,
    value: &Spanned<DeValue<'a>>,
) -> Option<QuietHours> {
    let mut table: Table<'_, 'a> = source.table(path, value)?;
    let time = |source: &mut Source<'a>, table: &mut Table<'_, 'a>, key: &'static str| {
        table.need(source, key).and_then(|v| source.parsed(&format!("{path}.{key}"), v, time_of_day))
    };
    let from = time(source, &mut table, "from");
    let until = time(source, &mut table, "until");
    let mut weekdays = Vec::new();
    if let Some(days) = table.take("weekdays").and_then(|v| source.array_of(&format!("{path}.weekdays"), v)) {
        weekdays.extend(
            days.into_iter().filter_map(|day| source.word_of(&format!("{path}.weekdays"), day, WEEKDAYS)),
        );
    }
    let mut holidays = BTreeSet::new();
    if let Some(dates) = table.take("holidays").and_then(|v| source.array_of(&format!("{path}.holidays"), v))
    {
        for date in dates {
            let text = match date.get_ref() {
                DeValue::Datetime(date) => Some(date.to_string()),
                _ => source.text_of(&format!("{path}.holidays"), date),
            };
            match text.map(|text| text.parse::<Date>()) {
                Some(Ok(day)) => {
                    holidays.insert(day);
                }
                Some(Err(_)) => source.problem(date.span(), "a holiday is written as 2026-12-25"),
                None => {}
            }
        }
    }
    table.finish(source);
    Some(QuietHours { channel, from: from?, until: until?, weekdays, holidays })
}

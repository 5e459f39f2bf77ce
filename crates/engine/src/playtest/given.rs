//! Reads `given`: what happens in a test, and when. Makes no facts of it: `facts` does.

use std::ops::Range;

use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json};
use toml::Spanned;
use toml::de::DeValue;
use zyklus_model::{
    At, Channel, ConsentState, Currency, DAY_MICROS, FeedbackKind, MarkKind, Money, Purpose, nearest,
};

use super::file::texts;
use super::{Amount, Fact, Given, Moment};
use crate::playbook_file::event_name;
use crate::settings::CHANNELS;
use crate::source::{Source, Table};
use crate::steps::{PURPOSES, to_json};

const KINDS: [&str; 7] = ["event", "cart", "consent", "feedback", "tag", "untag", "sent"];

const STATES: &[(&str, ConsentState)] = &[
    ("granted", ConsentState::Granted),
    ("requested", ConsentState::Pending),
    ("withdrawn", ConsentState::Withdrawn),
];

const WORDS: &[(&str, FeedbackKind)] = &[
    ("review", FeedbackKind::Review),
    ("nps", FeedbackKind::Nps),
    ("csat", FeedbackKind::Csat),
    ("comment", FeedbackKind::Comment),
];

/// Events that follow from facts: given as such, they make the fact.
const FACTUAL: [&str; 11] = [
    "order.placed",
    "order.paid",
    "order.shipped",
    "order.delivered",
    "order.refunded",
    "order.cancelled",
    "cart.updated",
    "consent.granted",
    "consent.requested",
    "consent.withdrawn",
    "feedback.received",
];

pub(super) fn read_given<'a>(
    source: &mut Source<'a>,
    path: &str,
    item: &Spanned<DeValue<'a>>,
) -> Option<Given> {
    let mut table = source.table(path, item)?;
    let at = match table.take("at") {
        Some(value) => source.parsed(&format!("{path}.at"), value, str::parse::<Moment>),
        None => {
            let help =
                "say when, counted from the start of the test: at = \"0h\", \"2d\", \"-30d\", \"3d 18:00\"";
            source.problem_help(item.span(), format!("`{path}` has no `at`"), help);
            None
        }
    };
    if let Some(value) = table.take("answer") {
        let help = "answers belong to `ask`, which comes with a later version; give feedback instead";
        source.problem_help(value.span(), "`answer` cannot be given yet", help);
        return None;
    }
    // An order may name its cart; only an entry without an event is about the cart itself.
    let named: Vec<&'static str> =
        KINDS.into_iter().filter(|key| table.has(key) && !(*key == "cart" && table.has("event"))).collect();
    let (fact, told) = match named.as_slice() {
        [] => (Some(Fact::Clock), "the clock".to_owned()),
        ["event"] => {
            let value = table.take("event")?;
            let name = source.parsed(&format!("{path}.event"), value, event_name)?;
            (read_event(source, &mut table, &name, value), name)
        }
        ["cart"] => {
            let value = table.take("cart")?;
            let id = source.text_of(&format!("{path}.cart"), value)?;
            let told = format!("cart {id}");
            (read_cart(source, &mut table, id), told)
        }
        ["consent"] => {
            let value = table.take("consent")?;
            let state = source.word_of(&format!("{path}.consent"), value, STATES)?;
            (read_consent(source, &mut table, state), format!("consent {state}"))
        }
        ["feedback"] => {
            let value = table.take("feedback")?;
            let kind = source.word_of(&format!("{path}.feedback"), value, WORDS)?;
            (read_feedback(source, &mut table, kind), format!("feedback {kind}"))
        }
        [key @ ("tag" | "untag")] => {
            let value = table.take(key)?;
            let tag = source.text_of(&format!("{path}.{key}"), value)?;
            let told = format!("{key} {tag}");
            (Some(Fact::Tag { tag, is_on: *key == "tag" }), told)
        }
        ["sent"] => {
            let value = table.take("sent")?;
            let template = source.text_of(&format!("{path}.sent"), value)?;
            if at.is_some_and(|at| at.length.count >= 0) {
                let help = "write a time before the start, as in at = \"-30d\"; afterwards the journeys send";
                source.problem_help(value.span(), format!("`{path}.sent` tells of the past"), help);
            }
            let told = format!("sent {template}");
            (Some(Fact::Sent(template)), told)
        }
        several => {
            let message = format!("`{path}` names {}; one entry gives one thing", several.join(" and "));
            source.problem_help(item.span(), message, format!("write one of {}", KINDS.join(", ")));
            return None;
        }
    };
    if named.is_empty() {
        // So that a misspelt one is told from a clock-only entry.
        for key in KINDS {
            table.take(key);
        }
    }
    table.finish(source);
    Some(Given { at: at?, fact: fact?, told })
}

fn read_event<'a>(
    source: &mut Source<'a>,
    table: &mut Table<'_, 'a>,
    name: &str,
    value: &Spanned<DeValue<'a>>,
) -> Option<Fact> {
    let (family, word) = name.split_once('.').unwrap_or((name, ""));
    match (family, word) {
        ("order", "placed") => {
            let order = order_id(source, table);
            let total = amount(source, table, "total");
            let products = texts(source, table, "products");
            let categories = texts(source, table, "categories");
            let coupons = texts(source, table, "coupons");
            let cart = table.take("cart").and_then(|v| source.text_of(&table.join("cart"), v));
            Some(Fact::Order { order, total, products, categories, coupons, cart })
        }
        ("order", word) if MarkKind::parse(word).is_some() => {
            let kind = MarkKind::parse(word)?;
            let order = order_id(source, table);
            let amount = if kind == MarkKind::Refunded { amount(source, table, "amount") } else { None };
            Some(Fact::Step { kind, order, amount })
        }
        ("cart", "updated") => {
            let id = table.take("cart_id").and_then(|v| source.text_of(&table.join("cart_id"), v));
            read_cart(source, table, id.unwrap_or_else(|| "cart".to_owned()))
        }
        ("consent", word) if STATES.iter().any(|(known, _)| *known == word) => {
            let state = STATES.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)?;
            read_consent(source, table, state)
        }
        ("feedback", "received") => {
            let kind = table.need(source, "kind")?;
            let kind = source.word_of(&table.join("kind"), kind, WORDS)?;
            read_feedback(source, table, kind)
        }
        ("order" | "cart" | "consent" | "feedback", _) => {
            let help = match nearest(name, FACTUAL) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("known are {}", FACTUAL.join(", ")),
            };
            source.problem_help(value.span(), format!("there is no event \"{name}\""), help);
            None
        }
        _ => {
            let mut data = Map::new();
            for (key, span, value) in table.rest() {
                match to_json(value.get_ref()) {
                    Some(json) => {
                        data.insert(key, json);
                    }
                    None => source.problem(span, format!("`{}` cannot be in an event", table.join(&key))),
                }
            }
            Some(Fact::Event { name: name.to_owned(), data })
        }
    }
}

/// Refuses what happens to an order that was not given before. `named` has the place of each entry's `order`. Without an
/// `order` it is the last one given, or one that nobody speaks of.
pub(super) fn known_orders(source: &mut Source<'_>, given: &[Given], named: Vec<Option<Range<usize>>>) {
    let placed: Vec<(usize, &Given, &str)> = given
        .iter()
        .enumerate()
        .filter_map(|(index, given)| match &given.fact {
            Fact::Order { order: Some(order), .. } => Some((index, given, order.as_str())),
            _ => None,
        })
        .collect();
    for (index, (step, span)) in given.iter().zip(named).enumerate() {
        let (Fact::Step { order: Some(order), .. }, Some(span)) = (&step.fact, span) else { continue };
        let before: Vec<&str> = placed
            .iter()
            .filter(|(number, placed, _)| is_before((*number, placed.at), (index, step.at)))
            .map(|(_, _, order)| *order)
            .collect();
        if before.contains(&order.as_str()) {
            continue;
        }
        let later = placed.iter().find(|(_, _, known)| *known == order.as_str());
        let (message, help) = match (later, nearest(order, before.iter().copied())) {
            (Some((_, placed, _)), _) => {
                let message = format!("order \"{order}\" is placed only at {}, after this", placed.at);
                (message, "give an earlier `at` to its order.placed, or a later one to this".to_owned())
            }
            (None, Some(near)) => {
                (format!("no order \"{order}\" was given before"), format!("did you mean \"{near}\"?"))
            }
            (None, None) => {
                let help = match before.as_slice() {
                    [] => format!("give it first: event = \"order.placed\", order = \"{order}\""),
                    known => format!("known are {}", known.join(", ")),
                };
                (format!("no order \"{order}\" was given before"), help)
            }
        };
        source.problem_help(span, message, help);
    }
}

/// Whether an entry comes before another one, by number and moment. Where the customer's clock would have to tell, it does.
fn is_before((number, moment): (usize, Moment), (other_number, other): (usize, Moment)) -> bool {
    let instant = |moment: Moment| moment.at(At::from_micros(0), &TimeZone::UTC);
    if moment.time.is_some() != other.time.is_some() {
        return instant(moment) < instant(other).plus_micros(DAY_MICROS);
    }
    (instant(moment), number) < (instant(other), other_number)
}

fn order_id<'a>(source: &mut Source<'a>, table: &mut Table<'_, 'a>) -> Option<String> {
    let value = table.take("order")?;
    source.text_of(&table.join("order"), value)
}

fn read_cart<'a>(source: &mut Source<'a>, table: &mut Table<'_, 'a>, cart: String) -> Option<Fact> {
    let total = amount(source, table, "total");
    let products = texts(source, table, "products");
    let is_open = table.take("open").and_then(|v| source.bool_of(&table.join("open"), v)).unwrap_or(true);
    Some(Fact::Cart { cart, total, products, is_open })
}

fn read_consent<'a>(source: &mut Source<'a>, table: &mut Table<'_, 'a>, state: ConsentState) -> Option<Fact> {
    let channel = table.take("channel").map(|v| source.word_of(&table.join("channel"), v, CHANNELS));
    let purpose = table.take("purpose").map(|v| source.word_of(&table.join("purpose"), v, PURPOSES));
    let channel = channel.unwrap_or(Some(Channel::Email))?;
    let purpose = purpose.unwrap_or(Some(Purpose::Marketing))?;
    Some(Fact::Consent { channel, purpose, state })
}

fn read_feedback<'a>(source: &mut Source<'a>, table: &mut Table<'_, 'a>, kind: FeedbackKind) -> Option<Fact> {
    let score = table.take("score").and_then(|v| source.number_of(&table.join("score"), v));
    let text = table.take("text").and_then(|v| source.text_of(&table.join("text"), v));
    let product = table.take("product").and_then(|v| source.text_of(&table.join("product"), v));
    Some(Fact::Feedback { kind, score, text, product })
}

/// An amount: a number, or a text as `"49.90 EUR"` or `"49.90"`.
fn amount<'a>(source: &mut Source<'a>, table: &mut Table<'_, 'a>, key: &'static str) -> Option<Amount> {
    let value = table.take(key)?;
    let path = table.join(key);
    let DeValue::String(text) = value.get_ref() else {
        return source.number_of(&path, value).map(Amount::Plain);
    };
    let read = match text.split_once(' ') {
        Some((number, currency)) => currency
            .parse::<Currency>()
            .and_then(|currency| Money::parse(number, currency).map(Amount::Money)),
        // Whose decimals are not known here: only that it is an amount.
        None => Money::parse(text, Currency::EUR).map(|money| Amount::Plain(money.major())),
    };
    read.map_err(|error| source.problem(value.span(), format!("`{path}`: {error}"))).ok()
}

/// The data of an event as a JSON object, from pairs.
pub(super) fn object(pairs: &[(&str, Json)]) -> Map<String, Json> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect()
}

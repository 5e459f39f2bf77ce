//! Reads a journey's steps and flattens their tree (rule R11: trees only, no jumps back).

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;
use zyklus_model::{Channel, Purpose, nearest};

use crate::condition::{Named, Scope};
use crate::lifecycle::identifier;
use crate::playbook::{Daytime, Learn, Measure, Node, Send, Verb, Way};
use crate::playbook_file::{event_name, positive};
use crate::settings::CHANNELS;
use crate::source::{Source, Table};
use crate::wait::{Length, time_of_day};

const VERBS: [&str; 11] =
    ["wait", "send", "if", "split", "tag", "untag", "call", "exit", "ask", "coupon", "audience"];

/// Keys that stand beside a verb and are no misspelt one.
const BESIDES: [&str; 16] = [
    "id", "at", "until", "via", "purpose", "expires", "fallback", "with", "cap", "then", "else", "ways",
    "for", "do", "learn", "again",
];

/// What a split can learn by beside the journey's goal, as it is written.
const LEARNS: &str =
    "{ event = \"mail.clicked\", within = \"5d\" } or { orders = \"value\", within = \"30d\" }";

pub(crate) const PURPOSES: &[(&str, Purpose)] = &[
    ("marketing", Purpose::Marketing),
    ("service", Purpose::Service),
    ("transactional", Purpose::Transactional),
];

/// What a journey says of its goal's window, for the splits that learn.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Window {
    /// It has no goal.
    None,
    /// So long after the run's start.
    Of(Length),
    /// It has one that cannot be read.
    Broken,
}

/// Collects the nodes of one journey.
pub(crate) struct Steps {
    path: String,
    window: Window,
    nodes: Vec<(Node, Range<usize>)>,
    /// A step could not be read. What it was is unknown, and so is which waits stood in front of what.
    has_gaps: bool,
}

impl Steps {
    pub(crate) fn new(path: &str, window: Window) -> Self {
        Steps { path: path.to_owned(), window, nodes: Vec::new(), has_gaps: false }
    }

    /// Reads the outermost list.
    pub(crate) fn read<'a>(&mut self, source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) {
        let first = self.list(source, path, value, None);
        if first.is_none() && value.get_ref().as_array().is_some_and(|items| items.is_empty()) {
            source.problem(value.span(), format!("`{path}` is empty"));
        }
        // The list was laid down back to front, so that each step knows what follows it.
        let last = self.nodes.len().saturating_sub(1);
        let turn = |index: Option<usize>| index.map(|i| last - i);
        self.nodes.reverse();
        for (node, _) in &mut self.nodes {
            node.next = turn(node.next);
            match &mut node.verb {
                Verb::If { then, otherwise, .. } => {
                    *then = turn(*then);
                    *otherwise = turn(*otherwise);
                }
                Verb::Split { ways, .. } => {
                    for way in ways {
                        way.first = turn(way.first);
                    }
                }
                Verb::Wait { .. }
                | Verb::Send(_)
                | Verb::Call { .. }
                | Verb::Tag { .. }
                | Verb::Untag(_)
                | Verb::Exit(_) => {}
            }
        }
    }

    /// The nodes, first step first, and the longest sum of waits in days.
    pub(crate) fn finish(mut self, source: &mut Source<'_>) -> (Vec<Node>, f64) {
        crate::place::name_waits(&mut self.nodes);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for (node, span) in &self.nodes {
            let count = seen.entry(node.id.as_str()).or_default();
            *count += 1;
            let is_guess = self.has_gaps && node.id.starts_with("wait:");
            if *count == 2 && !is_guess {
                let help = format!("give one of them a name, for example id = \"{}-2\"", plain(&node.id));
                source.problem_help(
                    span.clone(),
                    format!("`{}` has two steps `{}`", self.path, node.id),
                    help,
                );
            }
        }
        let mut nodes: Vec<Node> = self.nodes.into_iter().map(|(node, _)| node).collect();
        crate::place::lay_branches(&mut nodes);
        let mut longest = vec![0.0f64; nodes.len() + 1];
        for index in (0..nodes.len()).rev() {
            let after = |next: Option<usize>| next.map_or(0.0, |n| longest[n]);
            let node = &nodes[index];
            longest[index] = match &node.verb {
                Verb::Wait { length, at, .. } => {
                    length.rough_days() + f64::from(u8::from(at.is_some())) + after(node.next)
                }
                Verb::If { then, otherwise, .. } => after(*then).max(after(*otherwise)),
                Verb::Split { ways, .. } => ways.iter().map(|w| after(w.first)).fold(0.0, f64::max),
                Verb::Exit(_) => 0.0,
                Verb::Send(_) | Verb::Call { .. } | Verb::Tag { .. } | Verb::Untag(_) => after(node.next),
            };
        }
        let sum = longest.first().copied().unwrap_or(0.0);
        (nodes, sum)
    }

    /// Lays a list down back to front and gives the index of its first step (before turning round).
    fn list<'a>(
        &mut self,
        source: &mut Source<'a>,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        follows: Option<usize>,
    ) -> Option<usize> {
        let items = source.array_of(path, value)?;
        let mut next = follows;
        let exits: Vec<usize> = items
            .iter()
            .enumerate()
            .filter(|(_, item)| {
                item.get_ref().as_table().is_some_and(|t| t.iter().any(|(k, _)| k.get_ref() == "exit"))
            })
            .map(|(i, _)| i)
            .collect();
        if let Some(exit) = exits.first().filter(|exit| **exit + 1 < items.len()) {
            source.problem_help(
                items[exit + 1].span(),
                "this step is never reached: the one before it ends the run",
                "take it out, or put the `exit` into an `if`",
            );
        }
        for (index, item) in items.iter().enumerate().rev() {
            let step_path = format!("{path}[{index}]");
            if let Some(node) = self.step(source, &step_path, item, next) {
                self.nodes.push((node, item.span()));
                next = Some(self.nodes.len() - 1);
            } else {
                self.has_gaps = true;
            }
        }
        next
    }

    fn step<'a>(
        &mut self,
        source: &mut Source<'a>,
        path: &str,
        value: &Spanned<DeValue<'a>>,
        next: Option<usize>,
    ) -> Option<Node> {
        let mut table = source.table(path, value)?;
        let named: Vec<&'static str> = VERBS.into_iter().filter(|verb| table.has(verb)).collect();
        // `ask` has a `wait` of its own.
        let named: Vec<&'static str> = if named.contains(&"ask") { vec!["ask"] } else { named };
        let verb = match named.as_slice() {
            [verb] => *verb,
            [] => {
                let rest = table.rest();
                let odd = rest.iter().filter(|(key, ..)| !BESIDES.contains(&key.as_str()));
                let near = odd.filter_map(|(key, span, _)| Some((nearest(key, VERBS)?, key, span))).next();
                match near {
                    Some((verb, key, span)) => source.problem_help(
                        span.clone(),
                        format!("there is no verb `{key}`"),
                        format!("did you mean `{verb}`?"),
                    ),
                    None => source.problem_help(
                        value.span(),
                        "this step has no verb",
                        format!("write one of {}", VERBS.join(", ")),
                    ),
                }
                return None;
            }
            several => {
                let help = "a step does one thing; write two steps";
                source.problem_help(
                    value.span(),
                    format!("this step has {} verbs: {}", several.len(), several.join(" and ")),
                    help,
                );
                return None;
            }
        };
        let id = table.take("id").and_then(|v| source.parsed(&format!("{path}.id"), v, identifier));
        let (target, verb) = match verb {
            "wait" => self.wait(source, path, &mut table)?,
            "send" => send(source, path, &mut table)?,
            "call" => call(source, path, &mut table)?,
            "if" => self.branch(source, path, &mut table, next)?,
            "split" => self.split(source, path, &mut table, next)?,
            "tag" => {
                let tag = table.take("tag").and_then(|v| source.text_of(&format!("{path}.tag"), v))?;
                let lasts =
                    table.take("for").and_then(|v| source.length(&format!("{path}.for"), v, positive));
                (format!("tag:{tag}"), Verb::Tag { tag, lasts })
            }
            "untag" => {
                let tag = table.take("untag").and_then(|v| source.text_of(&format!("{path}.untag"), v))?;
                (format!("untag:{tag}"), Verb::Untag(tag))
            }
            "exit" => {
                let reason = table.take("exit").and_then(|v| source.text_of(&format!("{path}.exit"), v))?;
                (format!("exit:{reason}"), Verb::Exit(reason))
            }
            later => {
                let help = "take this step out for now";
                source.problem_help(value.span(), format!("this version cannot run `{later}` yet"), help);
                return None;
            }
        };
        table.finish(source);
        Some(Node { id: id.unwrap_or(target), branch: Vec::new(), verb, next })
    }

    fn wait<'a>(
        &mut self,
        source: &mut Source<'a>,
        path: &str,
        table: &mut Table<'_, 'a>,
    ) -> Option<(String, Verb)> {
        let length = table.take("wait").and_then(|v| source.length(&format!("{path}.wait"), v, positive))?;
        let at = match table.take("at") {
            Some(v) if v.get_ref().as_str() == Some("best") => Some(Daytime::Best),
            Some(v) => source.parsed(&format!("{path}.at"), v, time_of_day).map(Daytime::At),
            None => None,
        };
        let until =
            table.take("until").and_then(|v| source.condition(&format!("{path}.until"), v, Scope::Until));
        // Named when all steps are known: after the step it leads to, and not after its length, which may change.
        Some((crate::place::WAIT.to_owned(), Verb::Wait { length, at, until }))
    }

    fn branch<'a>(
        &mut self,
        source: &mut Source<'a>,
        path: &str,
        table: &mut Table<'_, 'a>,
        next: Option<usize>,
    ) -> Option<(String, Verb)> {
        let value = table.take("if")?;
        let condition = source.condition(&format!("{path}.if"), value, Scope::If);
        let otherwise = match table.take("else") {
            Some(v) => self.list(source, &format!("{path}.else.steps"), v, next),
            None => next,
        };
        let then = match table.need(source, "then") {
            Some(v) => self.list(source, &format!("{path}.then.steps"), v, next),
            None => next,
        };
        let condition = condition?;
        Some((format!("if:{}", condition.text()), Verb::If { condition, then, otherwise }))
    }

    fn split<'a>(
        &mut self,
        source: &mut Source<'a>,
        path: &str,
        table: &mut Table<'_, 'a>,
        next: Option<usize>,
    ) -> Option<(String, Verb)> {
        let id = table.take("split").and_then(|v| source.parsed(&format!("{path}.split"), v, identifier))?;
        let learn_at = table.take("learn");
        let learn = learn_at.and_then(|v| self.learn(source, &format!("{path}.learn"), v));
        let again = table.take("again").and_then(|v| source.bool_of(&format!("{path}.again"), v));
        let items = table.need(source, "ways").and_then(|v| source.array_of(&format!("{path}.ways"), v))?;
        let mut ways = Vec::new();
        for (index, item) in items.iter().enumerate().rev() {
            let way_path = format!("{path}.ways[{index}]");
            let Some(mut way) = source.table(&way_path, item) else { continue };
            let name = way
                .need(source, "name")
                .and_then(|v| source.parsed(&format!("{way_path}.name"), v, identifier));
            let weight = way.take("weight").and_then(|v| {
                if matches!(v.get_ref(), DeValue::Float(_)) {
                    let help = "weights are whole numbers that count against each other: 1 and 1 are halves, 1 and 3 a \
                                quarter and the rest";
                    source.problem_help(v.span(), format!("`{way_path}.weight` is not a whole number"), help);
                    return None;
                }
                source.int_of(&format!("{way_path}.weight"), v, 0..10_001)
            });
            let first = match way.need(source, "steps") {
                Some(v) => self.list(source, &format!("{way_path}.steps"), v, next),
                None => next,
            };
            way.finish(source);
            if let Some(name) = name {
                ways.push(Way { name, weight: weight.unwrap_or(1) as u32, first });
            }
        }
        ways.reverse();
        if ways.iter().map(|w| u64::from(w.weight)).sum::<u64>() == 0 {
            let help = "give at least one of them a weight above 0";
            source.problem_help(table.span.clone(), format!("`{path}.ways` have no weight at all"), help);
            return None;
        }
        if let Some(value) = learn_at.filter(|v| v.get_ref().as_bool() != Some(false))
            && ways.iter().filter(|way| way.weight > 0).count() < 2
        {
            let help = "add a way, for example { name = \"nothing\", steps = [] }, or take `learn` out";
            let message = format!("`{path}.learn` has nothing to compare: fewer than two ways have a weight");
            source.problem_help(value.span(), message, help);
        }
        Some((format!("split:{id}"), Verb::Split { ways, again: again.unwrap_or(false), learn }))
    }

    /// By what a split learns: the journey's goal, an event, or what is ordered.
    fn learn<'a>(&self, source: &mut Source<'a>, path: &str, value: &Spanned<DeValue<'a>>) -> Option<Learn> {
        if !matches!(value.get_ref(), DeValue::Table(_)) {
            let by = match value.get_ref() {
                DeValue::Boolean(false) => return None,
                DeValue::Boolean(true) => Measure::Goal,
                _ => {
                    let word = source.text_of(path, value)?;
                    if word != "goal" {
                        let help = format!("write \"goal\", {LEARNS}");
                        source.problem_help(value.span(), format!("`{path}` cannot be \"{word}\""), help);
                        return None;
                    }
                    Measure::Goal
                }
            };
            let within = match self.window {
                Window::Of(within) => within,
                Window::Broken => return None,
                Window::None => {
                    let help = "write one, goal = { when = \"…\", within = \"14d\" }, or learn by something else: \
                                { event = \"mail.clicked\", within = \"5d\" }";
                    source.problem_help(value.span(), format!("`{path}`: the journey has no goal"), help);
                    return None;
                }
            };
            return Some(Learn { by, within });
        }
        let mut table = source.table(path, value)?;
        let by = match (table.has("event"), table.has("orders")) {
            (true, false) => table.take("event").and_then(|event| {
                let name = source.parsed(&format!("{path}.event"), event, event_name)?;
                source.mention(Named::Event, &name, event.span());
                Some(Measure::Event(name))
            }),
            (false, true) => table.take("orders").and_then(|orders| {
                let by = source.word_of(&format!("{path}.orders"), orders, &[("value", ())]);
                by.map(|()| Measure::Orders)
            }),
            (false, false) | (true, true) => {
                let help = format!("write {LEARNS}");
                source.problem_help(value.span(), format!("`{path}` must name one thing to learn by"), help);
                return None;
            }
        };
        let within = table.take("within");
        table.finish(source);
        let within = match (within, self.window) {
            (Some(within), _) => {
                let at = within.span();
                let length = source.length(&format!("{path}.within"), within, positive)?;
                if length.count == 0 {
                    let help =
                        "say how long it still counts after the start of a run, for example within = \"5d\"";
                    source.problem_help(at, format!("`{path}.within` is no time at all"), help);
                }
                length
            }
            (None, Window::Of(within)) => within,
            (None, Window::Broken) => return None,
            (None, Window::None) => {
                let help = "say how long it counts after the start of a run, for example within = \"5d\"";
                source.problem_help(
                    value.span(),
                    format!("`{path}` has no `within`, and the journey no goal"),
                    help,
                );
                return None;
            }
        };
        Some(Learn { by: by?, within })
    }
}

fn send<'a>(source: &mut Source<'a>, path: &str, table: &mut Table<'_, 'a>) -> Option<(String, Verb)> {
    let template = table.take("send").and_then(|v| source.text_of(&format!("{path}.send"), v))?;
    let channel = match table.take("via") {
        Some(v) => source.word_of(&format!("{path}.via"), v, CHANNELS)?,
        None => Channel::Email,
    };
    let purpose = match table.take("purpose") {
        Some(v) => source.word_of(&format!("{path}.purpose"), v, PURPOSES)?,
        None => Purpose::Marketing,
    };
    let expires = table.take("expires").and_then(|v| source.length(&format!("{path}.expires"), v, positive));
    let fallback = table.take("fallback").and_then(|v| source.text_of(&format!("{path}.fallback"), v));
    let with = read_with(source, path, table);
    let counts = &[("count", true), ("ignore", false)];
    let capped = table.take("cap").and_then(|v| source.word_of(&format!("{path}.cap"), v, counts));
    let default = if purpose == Purpose::Marketing { Length::hours(24) } else { Length::hours(72) };
    Some((
        format!("send:{template}"),
        Verb::Send(Box::new(Send {
            template,
            channel,
            purpose,
            expires: expires.unwrap_or(default),
            fallback,
            with,
            capped: capped.unwrap_or(true) && purpose == Purpose::Marketing,
        })),
    ))
}

fn call<'a>(source: &mut Source<'a>, path: &str, table: &mut Table<'_, 'a>) -> Option<(String, Verb)> {
    let value = table.take("call")?;
    let target = source.text_of(&format!("{path}.call"), value)?;
    let Some((connector, action)) = target.split_once('.') else {
        let help = "write the connector's name, a dot and the action, as in \"shop.note\"";
        source.problem_help(value.span(), format!("\"{target}\" names no action"), help);
        return None;
    };
    let expires = table.take("expires").and_then(|v| source.length(&format!("{path}.expires"), v, positive));
    let with = read_with(source, path, table);
    let verb = Verb::Call {
        connector: connector.to_owned(),
        action: action.to_owned(),
        with,
        expires: expires.unwrap_or(Length::hours(72)),
    };
    Some((format!("call:{target}"), verb))
}

fn read_with<'a>(
    source: &mut Source<'a>,
    path: &str,
    table: &mut Table<'_, 'a>,
) -> BTreeMap<String, serde_json::Value> {
    let mut with = BTreeMap::new();
    let Some(value) = table.take("with") else { return with };
    let path = format!("{path}.with");
    if let Some(mut inner) = source.table(&path, value) {
        for (key, span, value) in inner.rest() {
            match to_json(value.get_ref()) {
                Some(json) => {
                    with.insert(key, json);
                }
                None => source.problem(span, format!("`{path}.{key}` cannot be passed on")),
            }
        }
    }
    with
}

/// A value as JSON; `None` for a number that is none.
pub(crate) fn to_json(value: &DeValue<'_>) -> Option<serde_json::Value> {
    Some(match value {
        DeValue::String(text) => serde_json::Value::from(text.as_ref()),
        DeValue::Integer(i) => serde_json::Value::from(i64::from_str_radix(i.as_str(), i.radix()).ok()?),
        DeValue::Float(f) => serde_json::Value::from(f.as_str().parse::<f64>().ok()?),
        DeValue::Boolean(flag) => serde_json::Value::from(*flag),
        DeValue::Datetime(date) => serde_json::Value::from(date.to_string()),
        DeValue::Array(items) => {
            serde_json::Value::Array(items.iter().map(|v| to_json(v.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Table(table) => serde_json::Value::Object(
            table
                .iter()
                .map(|(k, v)| Some((k.get_ref().to_string(), to_json(v.get_ref())?)))
                .collect::<Option<_>>()?,
        ),
    })
}

fn plain(id: &str) -> String {
    let cleaned: String =
        id.chars().map(|c| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' }).collect();
    cleaned.trim_matches('-').to_owned()
}

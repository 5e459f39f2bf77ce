//! Everything the operator wrote, read and checked together: what `decide` decides by.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zyklus_insight::learned::Learned;
use zyklus_insight::recommend::Pairings;
use zyklus_model::{At, CustomerId, Run, nearest};

use crate::condition::{Condition, Group, Named};
use crate::experiment::Shares;
use crate::lifecycle::Lifecycle;
use crate::playbook::{Daytime, Journey, Node, OnChange, Playbook, Start, Verb};
use crate::playtest::{Playtest, unknown_names};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::source::Mention;
use crate::voice::Voice;

/// Everything the operator wrote.
#[derive(Debug, Clone)]
pub struct Book {
    /// The lifecycle.
    pub lifecycle: Lifecycle,
    /// Journeys of all playbooks, highest priority first.
    pub journeys: Vec<Journey>,
    /// Rules for every journey.
    pub settings: Settings,
    /// Decimals of the reporting currency.
    pub decimals: u8,
    /// Since when each journey (by root id) starts runs; one that is missing starts none (rule R3).
    pub active_from: BTreeMap<String, At>,
    /// Products that cannot be bought now, by their id in the shop.
    pub sold_out: BTreeSet<String>,
    /// What was learned of the shop, and from which instant on it counts, earliest first. The daemon has what it learned
    /// last; whoever replays the past has one after another.
    pub learned: Arc<[(At, Arc<Learned>)]>,
    /// Which of the shop's products go together, in the same way.
    pub pairings: Arc<[(At, Arc<Pairings>)]>,
    /// How the shop's customers praise and blame, in the same way.
    pub voice: Arc<[(At, Arc<Voice>)]>,
    /// The shares that splits have learned, and from which instant on they hold, earliest first.
    pub shares: Arc<[(At, Arc<Shares>)]>,
    /// What journeys were before, by the hash that runs keep (rule R10); those no run needs may be missing.
    pub definitions: BTreeMap<String, Arc<Journey>>,
    /// Who may be let into a journey (by root id) although they came before it (rule R18).
    pub admitted: BTreeMap<String, BTreeSet<CustomerId>>,
    /// The `[[tests]]` of all playbooks, in the order of the files. They decide nothing.
    pub tests: Vec<Playtest>,
}

impl Book {
    /// Puts the parts together and checks what they say of each other.
    ///
    /// # Errors
    /// Phases and journeys that are named and do not exist, ids used twice.
    pub fn assemble(
        lifecycle: Lifecycle,
        playbooks: Vec<Playbook>,
        settings: Settings,
        decimals: u8,
    ) -> Result<Self, Vec<Problem>> {
        let (mut journeys, mut mentions, mut tests) = (Vec::new(), Vec::new(), Vec::new());
        for playbook in playbooks {
            journeys.extend(playbook.journeys);
            tests.extend(playbook.tests);
            mentions.extend(playbook.mentions);
        }
        let mut problems = Vec::new();
        let mut roots: BTreeMap<&str, &str> = BTreeMap::new();
        for journey in &journeys {
            if let Some(other) = roots.insert(journey.root(), &journey.place) {
                problems.push(twice(journey, other));
            }
        }
        problems
            .extend(mentions.iter().filter_map(|mention| unknown(mention, &lifecycle, &journeys, &settings)));
        problems.extend(unknown_names(&tests, &lifecycle, &journeys));
        if !problems.is_empty() {
            return Err(problems);
        }
        journeys.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.id.cmp(&b.id)));
        Ok(Book {
            lifecycle,
            journeys,
            settings,
            decimals,
            active_from: BTreeMap::new(),
            sold_out: BTreeSet::new(),
            learned: Arc::from([]),
            pairings: Arc::from([]),
            voice: Arc::from([]),
            shares: Arc::from([]),
            definitions: BTreeMap::new(),
            admitted: BTreeMap::new(),
            tests,
        })
    }

    /// Whether any phase, segment or journey reads a group of fields.
    pub fn reads(&self, group: Group) -> bool {
        let phases = self.lifecycle.phases.iter().map(|p| &p.when);
        phases.chain(self.journeys_lived_by().flat_map(conditions)).any(|c| c.reads().contains(group))
    }

    /// Whether any journey waits for the hour at which its customer is most likely to act.
    pub fn waits_for_best_hours(&self) -> bool {
        let waits = |node: &Node| matches!(node.verb, Verb::Wait { at: Some(Daytime::Best), .. });
        self.journeys_lived_by().any(|journey| journey.nodes.iter().any(waits))
    }

    /// The journeys, and what they were where runs still live by that.
    fn journeys_lived_by(&self) -> impl Iterator<Item = &Journey> {
        let finishing = self.definitions.values().map(AsRef::as_ref).filter(|old| {
            self.journey(old.root()).is_some_and(|journey| journey.on_change == OnChange::Finish)
        });
        self.journeys.iter().chain(finishing)
    }

    /// Whether after `before` and until `now` the shop's customers began to be judged by another measure (see
    /// [`Learned::is_unlike`] and [`Pairings::is_unlike`]). What moves then has not happened: it starts nothing.
    pub(crate) fn is_measured_anew(&self, before: At, now: At) -> bool {
        turned(&self.learned, before, now, Learned::is_unlike)
            || turned(&self.pairings, before, now, Pairings::is_unlike)
    }

    /// The journey whose runs are kept under a root id.
    pub fn journey(&self, root: &str) -> Option<&Journey> {
        self.journeys.iter().find(|j| j.root() == root)
    }

    /// What a run lives by: its journey, or what that was if its runs finish by what they have (rule R10).
    pub(crate) fn lived_by(&self, run: &Run) -> Option<&Journey> {
        let journey = self.journey(&run.journey)?;
        if journey.definition == run.definition || journey.on_change != OnChange::Finish {
            return Some(journey);
        }
        Some(self.definitions.get(&run.definition).map_or(journey, Arc::as_ref))
    }

    /// Takes what journeys were before, by hash (rule R10). Whether a journey acts is the files' word even for runs
    /// that stay on an old definition; what no journey of the files was is left out.
    pub fn remember<'t>(&mut self, definitions: impl IntoIterator<Item = (&'t str, &'t str)>) {
        for (hash, text) in definitions {
            if self.journeys.iter().any(|journey| journey.definition == hash) {
                continue;
            }
            let Some(mut old) = Journey::rebuild(hash, text) else { continue };
            let Some(mode) = self.journey(old.root()).map(|journey| journey.mode) else { continue };
            old.mode = mode;
            self.definitions.insert(hash.to_owned(), Arc::new(old));
        }
    }

    /// Templates the playbooks name, with the journey that does.
    pub fn templates(&self) -> Vec<(&str, &Journey)> {
        let mut templates = Vec::new();
        for journey in &self.journeys {
            for node in &journey.nodes {
                if let Verb::Send(send) = &node.verb {
                    templates.push((send.template.as_str(), journey));
                    templates.extend(send.fallback.as_deref().map(|f| (f, journey)));
                }
            }
        }
        templates
    }
}

/// What counts at an instant of what was learned, and when that is replaced.
pub(crate) fn counting<T>(lessons: &[(At, Arc<T>)], at: At) -> (Option<&T>, Option<At>) {
    let place = lessons.partition_point(|(from, _)| *from <= at);
    let now = place.checked_sub(1).map(|last| &*lessons[last].1);
    (now, lessons.get(place).map(|(from, _)| *from))
}

/// Whether after `before` and until `now` one of the lessons took the place of one that it is unlike.
fn turned<T>(
    lessons: &[(At, Arc<T>)],
    before: At,
    now: At,
    is_unlike: impl Fn(&T, Option<&T>) -> bool,
) -> bool {
    let (mut earlier, _) = counting(lessons, before);
    let first = lessons.partition_point(|(at, _)| *at <= before);
    for (_, lesson) in lessons[first..].iter().take_while(|(at, _)| *at <= now) {
        if is_unlike(lesson, earlier) {
            return true;
        }
        earlier = Some(lesson);
    }
    false
}

/// Every condition of a journey.
fn conditions(journey: &Journey) -> Vec<&Condition> {
    let mut all: Vec<&Condition> = Vec::new();
    match &journey.start {
        Start::Event { filter, .. } => all.extend(filter),
        Start::Segment { condition, .. } => all.push(condition),
        Start::Phase(_) | Start::Left(_) | Start::Schedule { .. } | Start::Date { .. } => {}
    }
    all.extend(&journey.when);
    all.extend(&journey.exit);
    all.extend(journey.goal.as_ref().map(|g| &g.when));
    for node in &journey.nodes {
        match &node.verb {
            Verb::If { condition, .. } => all.push(condition),
            Verb::Wait { until, .. } => all.extend(until),
            Verb::Send(_)
            | Verb::Call { .. }
            | Verb::Split { .. }
            | Verb::Tag { .. }
            | Verb::Untag(_)
            | Verb::Exit(_) => {}
        }
    }
    all
}

/// What is wrong with naming this, if anything is.
fn unknown(
    mention: &Mention,
    lifecycle: &Lifecycle,
    journeys: &[Journey],
    settings: &Settings,
) -> Option<Problem> {
    let id = &*mention.id;
    let known: Vec<&str> = match mention.named {
        Named::Phase => lifecycle.phases.iter().map(|p| &*p.id).collect(),
        Named::Journey => journeys.iter().map(|j| &*j.id).collect(),
        Named::Step => {
            let journey = journeys.iter().find(|j| Some(&j.id) == mention.journey.as_ref())?;
            let steps = journey.nodes.iter().map(|n| n.id.as_str());
            // A step that sends can be named by its template alone.
            steps.clone().filter_map(|step| step.strip_prefix("send:")).chain(steps).collect()
        }
        Named::Topic => settings.topics.ids().collect(),
        Named::Event | Named::Tag => return None,
    };
    if known.contains(&id) {
        return None;
    }
    let what = match mention.named {
        Named::Phase => "phase",
        Named::Journey => "journey",
        Named::Topic => "topic",
        Named::Step | Named::Event | Named::Tag => "step",
    };
    let within = mention.journey.as_ref().map_or(String::new(), |journey| format!("journey `{journey}`: "));
    let mut problem = mention.place.clone();
    problem.message = format!("{within}there is no {what} \"{id}\"");
    problem.help = match nearest(id, known.iter().copied()) {
        Some(near) => Some(format!("did you mean \"{near}\"?")),
        None if mention.named == Named::Phase => {
            Some(format!("the lifecycle `{}` has {}", lifecycle.id, known.join(", ")))
        }
        None if mention.named == Named::Topic => {
            Some(format!("known are {}; `[topics]` in zyklus.toml takes others", known.join(", ")))
        }
        None => None,
    };
    Some(problem)
}

fn twice(journey: &Journey, other: &str) -> Problem {
    let (file, line) = journey.place.rsplit_once(':').unwrap_or((&journey.place, "1"));
    Problem {
        file: file.into(),
        line: line.parse().unwrap_or(1),
        column: 1,
        span: 0..0,
        message: format!("journey `{}`: there is another journey `{}`", journey.id, journey.root()),
        help: Some(format!("it stands at {other}; give one of them another name")),
        is_warning: false,
        is_secret: false,
    }
}

//! The properties that every single outcome is held against, each by its number. They ask the model what must and must
//! not be, never the engine.

use std::collections::{BTreeMap, BTreeSet};

use zyklus_engine::Mode;
use zyklus_model::{At, DeliveryId, DeliveryKind, DeliveryState, GuardReason, Purpose, Run, RunId, RunState};

use super::lives::{Fate, MOMENT, Side, Told};
use super::model::{Model, Per, View};
use super::playbooks::Journey;
use super::tally::count;

/// What has been found out so far.
#[derive(Default)]
pub(crate) struct Record {
    /// How many of the side's outcomes were judged.
    judged: usize,
    /// Each run and step that went out.
    went: BTreeMap<(RunId, String), At>,
    /// Places in the side's outcomes of what went out.
    sent: Vec<usize>,
    /// What each delivery came to in the end.
    ended: BTreeMap<DeliveryId, Fate>,
}

/// What outcomes are held against.
pub(crate) struct Court<'a> {
    pub(crate) model: &'a Model,
    pub(crate) side: &'a Side,
    /// Journeys by definition.
    pub(crate) described: &'a BTreeMap<String, Journey>,
}

/// What is recorded of each step of each run.
type Outcomes<'s> = BTreeMap<(RunId, &'s str), Vec<(DeliveryState, Option<GuardReason>)>>;

fn channel_of(told: &Told) -> &'static str {
    told.delivery.channel.map_or("email", |channel| channel.as_str())
}

impl Court<'_> {
    fn view(&self, told: &Told) -> View<'_> {
        self.model.view(told.who, told.both, told.known, told.at)
    }

    /// The journey as the files have it now.
    fn journey(&self, root: &str) -> Option<&Journey> {
        let index: usize = root.trim_start_matches('j').parse().ok()?;
        self.model.journeys[index].as_ref()
    }

    /// Judges what has happened since the last time.
    pub(crate) fn judge(&self, record: &mut Record) {
        for place in record.judged..self.side.told.len() {
            let told = &self.side.told[place];
            match told.fate {
                Fate::HandedOver => {
                    count("send");
                    self.once(told, record);
                    self.not_over(told);
                    self.within_caps(told, record);
                    self.lawful(told);
                    record.sent.push(place);
                }
                Fate::Refused => {
                    if let Some(reason) = told.delivery.reason {
                        count(format!("refused: {reason}"));
                    }
                    self.refused_rightly(told, record);
                }
                Fate::Withdrawn => {
                    count("withdrawn");
                    self.withdrawn_rightly(told);
                }
                Fate::Shown => {
                    count(if told.run.as_ref().is_some_and(|run| run.held.is_some()) {
                        "ghost"
                    } else {
                        "shown"
                    });
                }
                Fate::Delayed(reason) => {
                    count(format!("delayed: {reason}"));
                    assert!(told.delivery.due_at > told.at, "a delay lies ahead: {told:#?}");
                    continue;
                }
            }
            let again = record.ended.insert(told.delivery.id, told.fate);
            assert_eq!(again, None, "property 9: two ends are recorded of one delivery: {told:#?}");
        }
        record.judged = self.side.told.len();
    }

    /// Property 3.
    fn once(&self, told: &Told, record: &mut Record) {
        let run = told.delivery.run.expect("every delivery here is a run's");
        let before = record.went.insert((run, told.delivery.step.clone()), told.at);
        assert_eq!(before, None, "property 3: a step of a run went twice: {told:#?}");
        // Rule R20: nor does what the other half's run has sent since this one began, if they came together.
        let came_with_half = |run: &&Run| told.both && !self.side.begun_as_one.contains(&run.id);
        let Some(run) = told.run.as_ref().filter(came_with_half) else { return };
        let is_parallel = self.journey(&run.journey).is_some_and(|j| j.overlap == "parallel");
        let owner = self.side.owner(Some(run.id));
        let its = record.sent.iter().map(|place| &self.side.told[*place]).find(|other| {
            let other_run = other.run.as_ref().expect("it had a run");
            other.delivery.step == told.delivery.step
                && (&other_run.journey, &other_run.key) == (&run.journey, &run.key)
                && self.side.owner(Some(other_run.id)) != owner
                && other.at >= run.started_at
        });
        assert!(
            is_parallel || its.is_none(),
            "property 3: the other half got it before: {told:#?}\n{its:#?}"
        );
    }

    /// Property 4.
    fn not_over(&self, told: &Told) {
        let run = told.before.as_ref().expect("it stood somewhere");
        assert_eq!(run.state, RunState::Live, "property 4: {told:#?}");
        let journey = &self.described[&run.definition];
        let over = self.view(told).over(journey, run.started_at);
        assert_eq!(over, None, "property 4: claimed after goal or exit came true: {told:#?}\n{journey:#?}");
        let current = self.side.book.journey(&run.journey).expect("it is in the files");
        // Whether it acts at all is the files' word, also of runs that finish by what they have.
        let acts = matches!(current.mode, Mode::Live | Mode::Test);
        assert!(acts, "property 4: its journey does not act: {told:#?}");
        assert!(!run.ghost, "property 7: somebody held out gets nothing: {told:#?}");
    }

    /// Property 5.
    fn within_caps(&self, told: &Told, record: &Record) {
        let is_counted = |told: &Told| {
            let d = &told.delivery;
            d.kind == DeliveryKind::Message && d.purpose == Purpose::Marketing && d.capped
        };
        let Some((max, channel, per)) = self.model.house.cap.filter(|_| is_counted(told)) else { return };
        if channel.is_some_and(|wanted| wanted != channel_of(told)) {
            return;
        }
        let view = self.view(told);
        let date = |at: At| at.timestamp().to_zoned(view.zone()).date();
        let falls_within = |at: At| match per {
            Per::Day => date(at) == date(told.at),
            Per::Days(days) => view.days_after(at, days) > told.at,
            Per::Hours(hours) => at.plus_seconds(hours * 3_600) > told.at,
        };
        let same = record.sent.iter().map(|place| &self.side.told[*place]).filter(|other| {
            is_counted(other)
                && channel.is_none_or(|wanted| wanted == channel_of(other))
                && (told.both || self.side.owner(other.delivery.run) == Some(told.who))
                && falls_within(other.at)
        });
        let before = same.count();
        if before > 0 {
            count("beside another under a cap");
        }
        assert!((before as u32) < max, "property 5: {before} went before, {max} may: {told:#?}");
    }

    /// Property 6.
    fn lawful(&self, told: &Told) {
        if told.delivery.kind == DeliveryKind::Message {
            let unlawful = self.view(told).unlawful(channel_of(told), told.delivery.purpose);
            assert_eq!(unlawful, None, "property 6: {told:#?}");
            let mode = self.side.book.journey(&told.delivery.journey).map(|j| j.mode);
            let is_tester = mode != Some(Mode::Test) || told.who == 0;
            assert!(is_tester, "property 6: only testers get what a journey in test mode sends: {told:#?}");
        }
    }

    /// Property 9 of what a guard refused: there is a reason, and it holds.
    fn refused_rightly(&self, told: &Told, record: &Record) {
        let d = &told.delivery;
        let reason = d.reason.unwrap_or_else(|| panic!("property 9: nothing says why not: {told:#?}"));
        let view = self.view(told);
        let unlawful = view.unlawful(channel_of(told), d.purpose);
        let journey = self.journey(&d.journey);
        let run = told.run.as_ref();
        let holds = match reason {
            GuardReason::Suppressed | GuardReason::NoAddress | GuardReason::NoConsent => {
                unlawful == Some(reason.as_str())
            }
            GuardReason::GlobalHoldout => {
                self.model.house.global_holdout > 0 && d.purpose == Purpose::Marketing
            }
            GuardReason::JourneyHoldout => {
                journey.is_some_and(|j| j.holdout > 0) || run.is_some_and(|run| run.ghost)
            }
            GuardReason::AlreadySent => {
                let (owner, step) = (self.side.owner(d.run), &d.step);
                let mut sent = record.sent.iter().map(|place| &self.side.told[*place]);
                sent.any(|other| other.delivery.step == *step && self.side.owner(other.delivery.run) != owner)
            }
            GuardReason::Expired => told.at >= d.expires_at,
            GuardReason::Missed => told.at > d.expires_at,
            GuardReason::QuietHours => self.model.house.quiet == Some(channel_of(told)),
            GuardReason::Capped => {
                self.model.house.cap.is_some() && d.capped && d.purpose == Purpose::Marketing
            }
            GuardReason::TestMode => journey.is_some_and(|j| j.mode == "test") && told.who != 0,
            GuardReason::Over => {
                run.is_some_and(|run| view.over(&self.described[&run.definition], run.started_at).is_some())
            }
            GuardReason::Paused | GuardReason::Outranked => false,
        };
        assert!(holds, "property 9: the reason does not hold ({unlawful:?}): {told:#?}");
        assert_eq!(
            d.state == DeliveryState::Expired,
            reason == GuardReason::Expired,
            "property 9: {told:#?}"
        );
    }

    /// Property 9 of what was taken back: a guard's word, or its run or its step is no more.
    fn withdrawn_rightly(&self, told: &Told) {
        let (before, run) = (told.before.as_ref(), told.run.as_ref());
        let ended = run.is_some_and(|run| run.state == RunState::Ended);
        let moved = before.zip(run).is_some_and(|(before, run)| before.definition != run.definition);
        let mode = self.journey(&told.delivery.journey).map(|j| j.mode);
        let only_shown = matches!(mode, Some("shadow" | "test"));
        let why = usize::from(told.delivery.reason.is_some()) + usize::from(ended || moved || only_shown);
        assert!(why >= 1, "property 9: nothing says why it was taken back: {told:#?}");
    }

    /// Property 9 of what each run has behind it: one delivery for each step that sends, and the run's word is the
    /// delivery's. And rule R7 of those that go on: none has goal or exit behind it.
    pub(crate) fn inspect(&self) {
        for (who, life) in self.side.lives.iter().enumerate() {
            let view = self.model.view(who, self.side.is_one(), self.side.known, life.now);
            let mut of_run: Outcomes<'_> = BTreeMap::new();
            for d in &life.snapshot.deliveries {
                if let Some(run) = d.run {
                    of_run.entry((run, &d.step)).or_default().push((d.state, d.reason));
                }
                let refused = matches!(d.state, DeliveryState::Refused | DeliveryState::Expired);
                assert!(!refused || d.reason.is_some(), "property 9: {d:#?}");
            }
            for run in &life.snapshot.runs {
                self.accounted_for(run, &of_run);
                let mode = self.side.book.journey(&run.journey).map(|j| j.mode);
                let is_judged = self.side.is_awake && mode.is_some_and(|mode| mode != Mode::Off);
                if is_judged && run.state.goes_on() {
                    let journey = &self.described[&run.definition];
                    let over = view.over(journey, run.started_at);
                    assert_eq!(
                        over, None,
                        "property 4: it goes on after goal or exit came true at {}: {run:#?}\n{journey:#?}",
                        view.now
                    );
                }
            }
        }
    }

    fn accounted_for(&self, run: &Run, of_run: &Outcomes<'_>) {
        let steps: BTreeSet<&String> = run.acted.iter().map(|(step, _)| step).collect();
        assert_eq!(steps.len(), run.acted.len(), "property 3: a step acted twice: {run:#?}");
        for (step, outcome) in &run.acted {
            let sends = step.starts_with('m') || step.starts_with('c');
            let found = of_run.get(&(run.id, step.as_str()));
            let unsent = outcome == "sent-before" || outcome == "missed" && found.is_none();
            if !sends || unsent {
                continue;
            }
            let found =
                found.unwrap_or_else(|| panic!("property 9: nothing is recorded of {step}: {run:#?}"));
            assert_eq!(found.len(), 1, "property 9: {step} is recorded more than once: {run:#?}");
            let word = match found[0] {
                (state, _) if state.counts() => "sent",
                (DeliveryState::Refused, Some(reason)) => reason.as_str(),
                (state, _) => state.as_str(),
            };
            assert_eq!(word, outcome, "property 9: run and delivery differ about {step}: {run:#?}");
        }
    }
}

/// Property 7: the same steps at the same instants for the same customer, held out and not.
pub(crate) fn twins(held: &Side, treated: &Side) {
    let (ghosts, alive) = (&held.lives[0].snapshot, &treated.lives[0].snapshot);
    let plain = |run: &Run| {
        let acted: Vec<(String, String)> = run
            .acted
            .iter()
            .map(|(step, word)| (step.clone(), if word == "shadow" { "sent".into() } else { word.clone() }))
            .collect();
        let what = (run.id, run.state, run.end, run.position.step.clone(), acted);
        (what, [Some(run.started_at), Some(run.position.reached_at)])
    };
    let runs = |snapshot: &zyklus_model::Snapshot| {
        let mut all: Vec<_> = snapshot.runs.iter().map(plain).collect();
        all.sort_by_key(|(what, _)| what.0);
        all
    };
    same(runs(ghosts), runs(alive));
    let done = |snapshot: &zyklus_model::Snapshot| {
        let done = snapshot.deliveries.iter();
        let done = done.filter(|d| !matches!(d.state, DeliveryState::Pending | DeliveryState::Cancelled));
        let mut all: Vec<_> = done
            .map(|d| {
                let went = d.state.counts() || d.state == DeliveryState::Shadow;
                ((d.id, d.step.clone(), went, d.reason.filter(|_| !went)), [d.done_at])
            })
            .collect();
        all.sort();
        all
    };
    same(done(ghosts), done(alive));
    let ghost = |run: &&Run| run.ghost;
    assert_eq!(
        ghosts.runs.iter().filter(ghost).count(),
        ghosts.runs.len(),
        "property 7: all of them are ghosts"
    );
    assert_eq!(alive.runs.iter().filter(ghost).count(), 0, "property 7: none of them is a ghost");
}

/// The same, at the same instants but for the few microseconds that what follows at once takes.
fn same<T, const N: usize>(held: Vec<(T, [Option<At>; N])>, treated: Vec<(T, [Option<At>; N])>)
where
    T: std::fmt::Debug + PartialEq,
{
    let near = |(a, b): (&Option<At>, &Option<At>)| match (a, b) {
        (Some(a), Some(b)) => a.micros_since(*b).abs() <= MOMENT,
        (a, b) => a == b,
    };
    let is_same = held.len() == treated.len()
        && held.iter().zip(&treated).all(|(a, b)| a.0 == b.0 && a.1.iter().zip(&b.1).all(near));
    assert!(is_same, "property 7: held out {held:#?}\nand treated {treated:#?}");
}

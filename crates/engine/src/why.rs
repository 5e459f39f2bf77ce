//! Why a customer stands where they stand, what they are kept out of, and what happens next: the explanation
//! behind `zyklus why`. Decides nothing; it asks the same functions the decision asks.

use serde::Serialize;
use zyklus_model::{
    At, Channel, CustomerId, Delivery, DeliveryState, GuardReason, Holdout, Origin, Run, RunEnd, RunState,
    Snapshot,
};

use crate::book::Book;
use crate::condition::Explained;
use crate::contend::outranked;
use crate::decide::{KeptOut, LastStart, decide_and_tell};
use crate::experiment::{Drawn, Experiment};
use crate::facts::{RunFacts, Standing, View, events_of};
use crate::guards::{Permit, admits, lawful};
use crate::holdout::meets;
use crate::playbook::{Journey, Mode, Reenter, Start, Verb};
use crate::zone::zone_of;

/// Everything `zyklus why` says of one customer.
#[derive(Debug, Clone, Serialize)]
pub struct Why {
    /// Who.
    pub customer: CustomerId,
    /// As of when.
    pub at: At,
    /// The lifecycle's id.
    pub lifecycle: String,
    /// The phase that holds and why; `None` when nothing is known of the customer yet.
    pub phase: Option<PhaseWhy>,
    /// Journeys the customer is in.
    pub inside: Vec<RunWhy>,
    /// Starts of journeys the customer is in that became no run of their own: the last of each journey.
    pub turned_away: Vec<TurnedAwayWhy>,
    /// Journeys the customer is not in, and what keeps them out.
    pub outside: Vec<OutsideWhy>,
    /// Messages and actions that are waiting.
    pub waiting: Vec<WaitingWhy>,
    /// What happens next and when, soonest first. Without new facts nothing changes before.
    pub next: Vec<NextWhy>,
}

/// Why a phase holds.
#[derive(Debug, Clone, Serialize)]
pub struct PhaseWhy {
    /// The phase.
    pub phase: String,
    /// Since when.
    pub since: At,
    /// The one before.
    pub previous: Option<String>,
    /// Whether the store has not been evaluated since something changed: what is shown is what the next
    /// evaluation will find.
    pub is_ahead_of_store: bool,
    /// Until when the phase's `hold` keeps the customer, if it does.
    pub held_until: Option<At>,
    /// The rule that won (or that would be asked first after the hold).
    pub rule: RuleWhy,
    /// The rules asked before it, which failed, with how far they are from holding.
    pub lost: Vec<RuleWhy>,
}

/// A phase's rule and what it came to.
#[derive(Debug, Clone, Serialize)]
pub struct RuleWhy {
    /// The phase it leads to.
    pub phase: String,
    /// Value by value.
    pub explained: Explained,
}

/// A run going on.
#[derive(Debug, Clone, Serialize)]
pub struct RunWhy {
    /// The journey.
    pub journey: String,
    /// Since when.
    pub since: At,
    /// Its key, if the journey has one.
    pub key: String,
    /// The step it stands at.
    pub step: Option<String>,
    /// When that step acts, if time alone decides.
    pub due_at: Option<At>,
    /// Whether it goes on, waits for its turn, or has given way.
    pub state: RunState,
    /// The journey whose run it waits for.
    pub waits_for: Option<String>,
    /// Whether it only records: held out, or shadow mode.
    pub is_ghost: bool,
    /// The holdout group it was drawn into.
    pub held: Option<Holdout>,
    /// The steps behind it and how each ended.
    pub acted: Vec<(String, String)>,
    /// How it came by its ways of splits that learn.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ways: Vec<WayWhy>,
}

/// How a run came by its way of a split that learns.
#[derive(Debug, Clone, Serialize)]
pub struct WayWhy {
    /// The split's step.
    pub step: String,
    /// The way, and the share it was drawn by.
    #[serde(flatten)]
    pub drawn: Drawn,
    /// What the split learns by.
    pub learns_by: String,
    /// The learned share it would be drawn by now, of [`crate::experiment::WHOLE`], and since when that holds.
    pub share_now: Option<(u32, At)>,
}

/// A start that became no run, because the customer is in the journey already.
#[derive(Debug, Clone, Serialize)]
pub struct TurnedAwayWhy {
    /// The journey.
    pub journey: String,
    /// When it happened.
    pub happened_at: At,
    /// What kept it out.
    pub because: Outside,
}

/// A journey the customer is not in.
#[derive(Debug, Clone, Serialize)]
pub struct OutsideWhy {
    /// The journey.
    pub journey: String,
    /// What keeps them out.
    pub because: Outside,
    /// The last run, if there was one: when it ended and how.
    pub last_run: Option<(At, RunEnd)>,
    /// Since when it went on.
    pub last_run_since: Option<At>,
    /// Whether it, or a message of it, was only recorded: shadow mode, test mode, held out.
    pub last_run_recorded: bool,
    /// Whether it only recorded from its first step to its last, so that it put no labels on and took none off.
    pub last_run_is_ghost: bool,
    /// Its steps and how each ended.
    pub last_run_acted: Vec<(String, String)>,
    /// What a message of this journey would meet now.
    pub guard: Option<GuardReason>,
}

/// What keeps a customer out of a journey.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Outside {
    /// The journey is switched off.
    Off,
    /// The daemon has not started it yet.
    NotActive,
    /// What starts it has not happened.
    NotStarted {
        /// What would.
        start: String,
    },
    /// The last event of its name does not fit its `where`.
    DoesNotFit {
        /// When it happened.
        happened_at: At,
        /// The condition, value by value.
        explained: Box<Explained>,
    },
    /// What starts it happened before the journey went live, or came with history (rule R3).
    BeforeActive {
        /// When it happened.
        happened_at: At,
        /// When the journey went live.
        active_from: At,
    },
    /// It arrived too late.
    TooLate {
        /// When it happened.
        happened_at: At,
    },
    /// The customer was in it before and may not enter again, or not yet.
    Reentry {
        /// When they may.
        again_at: Option<At>,
    },
    /// A run of the journey was going on.
    Running,
    /// A run of the journey was going on, and another one was waiting for its turn.
    QueueFull {
        /// Since when.
        waiting_since: At,
    },
    /// Another run of the same group goes on.
    GroupTaken {
        /// Of which journey.
        journey: String,
    },
    /// `when` does not hold.
    DoesNotQualify {
        /// Value by value.
        explained: Box<Explained>,
    },
}

/// A delivery that is waiting.
#[derive(Debug, Clone, Serialize)]
pub struct WaitingWhy {
    /// The delivery.
    pub delivery: zyklus_model::DeliveryId,
    /// Of which journey.
    pub journey: String,
    /// What it sends or does.
    pub target: String,
    /// When it may go.
    pub due_at: At,
    /// The guard that delays or refuses it now.
    pub guard: Option<GuardReason>,
    /// The message that goes first, or last did.
    pub outranked_by: Option<WinnerWhy>,
}

/// The message another one gives way to.
#[derive(Debug, Clone, Serialize)]
pub struct WinnerWhy {
    /// The delivery.
    pub delivery: zyklus_model::DeliveryId,
    /// Of which journey.
    pub journey: String,
    /// What it sends.
    pub target: String,
}

/// Something that happens by itself.
#[derive(Debug, Clone, Serialize)]
pub struct NextWhy {
    /// When.
    pub at: At,
    /// What.
    #[serde(flatten)]
    pub what: NextKind,
}

/// What happens by itself.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum NextKind {
    /// A message goes out, or an action is done.
    Delivery {
        /// Of which journey.
        journey: String,
        /// What.
        target: String,
    },
    /// A run's step is due.
    Step {
        /// Of which journey.
        journey: String,
        /// Which.
        step: String,
    },
    /// A message is due only if nothing else happens; the engine looks again.
    Evaluation,
}

/// Explains a customer as of an instant.
pub fn why(book: &Book, snapshot: &Snapshot, now: At) -> Why {
    let (decision, starts) = decide_and_tell(book, snapshot, now);
    let state = decision.phase.as_ref().or(snapshot.phase.as_ref());
    let state = state.filter(|p| p.lifecycle == *book.lifecycle.id);
    let standing = state.map(|p| Standing {
        phase: p.phase.as_str().into(),
        since: p.since,
        previous: p.previous.as_deref().map(Into::into),
    });
    let mut runs = snapshot.runs.clone();
    for run in &decision.runs {
        match runs.iter_mut().find(|r| r.id == run.id) {
            Some(known) => known.clone_from(run),
            None => runs.push(run.clone()),
        }
    }
    let asker = Asker { book, snapshot, now, standing, runs: &runs };
    let inside: Vec<RunWhy> =
        runs.iter().filter(|r| r.state != RunState::Ended).map(|run| asker.run(run)).collect();
    let turned_away = book.journeys.iter().zip(&starts).filter_map(|(journey, start)| {
        let is_inside = inside.iter().any(|run| run.journey == journey.root());
        start.as_ref().filter(|_| is_inside).and_then(|start| turned_away(journey, start))
    });
    let turned_away = turned_away.collect();
    let outside = book
        .journeys
        .iter()
        .zip(&starts)
        .filter(|(journey, _)| !inside.iter().any(|run| run.journey == journey.root()))
        .map(|(journey, start)| asker.outside(journey, start.as_ref()))
        .collect();
    let pending = snapshot.deliveries.iter().filter(|d| {
        d.state == DeliveryState::Pending && !decision.withdrawals.iter().any(|w| w.delivery == d.id)
    });
    let planned = decision.deliveries.iter().filter(|d| d.state == DeliveryState::Pending);
    let waiting: Vec<WaitingWhy> = pending.chain(planned).map(|d| asker.waiting(d)).collect();
    let mut next: Vec<NextWhy> = Vec::new();
    for delivery in &waiting {
        let what = NextKind::Delivery { journey: delivery.journey.clone(), target: delivery.target.clone() };
        next.push(NextWhy { at: delivery.due_at, what });
    }
    for run in &inside {
        if let (Some(at), Some(step)) = (run.due_at, &run.step) {
            next.push(NextWhy {
                at,
                what: NextKind::Step { journey: run.journey.clone(), step: step.clone() },
            });
        }
    }
    if let Some(at) = decision.revisit_at {
        next.push(NextWhy { at, what: NextKind::Evaluation });
    }
    next.sort_by_key(|n| n.at);
    Why {
        customer: snapshot.customer.id,
        at: now,
        lifecycle: book.lifecycle.id.to_string(),
        phase: asker.phase(state, decision.phase.is_some()),
        inside,
        turned_away,
        outside,
        waiting,
        next,
    }
}

/// What a start was turned away for while a run of the journey goes on.
fn turned_away(journey: &Journey, start: &LastStart) -> Option<TurnedAwayWhy> {
    let because = match &start.kept_out {
        Some(KeptOut::Running) => Outside::Running,
        Some(KeptOut::QueueFull(since)) => Outside::QueueFull { waiting_since: *since },
        _ => return None,
    };
    let happened_at = start.occurrence.at;
    Some(TurnedAwayWhy { journey: journey.id.to_string(), happened_at, because })
}

struct Asker<'a> {
    book: &'a Book,
    snapshot: &'a Snapshot,
    now: At,
    standing: Option<Standing>,
    runs: &'a [Run],
}

impl<'a> Asker<'a> {
    fn view<'v>(&'v self, facts: RunFacts<'v>) -> View<'v> {
        View::new(self.snapshot, self.now, self.book.decimals, self.standing.clone())
            .with_runs(self.runs)
            .with_book(self.book)
            .for_run(facts)
    }

    fn phase(&self, state: Option<&zyklus_model::PhaseState>, is_ahead: bool) -> Option<PhaseWhy> {
        let state = state?;
        let lifecycle = &self.book.lifecycle;
        let zone = zone_of(&self.snapshot.customer, &self.book.settings.zone);
        let held = lifecycle.phases.iter().find(|p| *p.id == *state.phase).and_then(|p| p.hold);
        let held_until = held.map(|hold| hold.after(state.since, &zone)).filter(|until| self.now < *until);
        let view = self.view(RunFacts::default());
        let mut lost = Vec::new();
        let mut winner = None;
        for phase in &lifecycle.phases {
            let explained = phase.when.explain(&view, self.now);
            let holds = explained.value.is_true();
            let rule = RuleWhy { phase: phase.id.to_string(), explained };
            if holds || *phase.id == *state.phase && held_until.is_some() {
                winner = Some(rule);
                break;
            }
            lost.push(rule);
        }
        let rule = winner.or_else(|| lost.pop())?;
        Some(PhaseWhy {
            phase: state.phase.clone(),
            since: state.since,
            previous: state.previous.clone(),
            is_ahead_of_store: is_ahead,
            held_until,
            rule,
            lost,
        })
    }

    fn run(&self, run: &Run) -> RunWhy {
        let group = |root: &str| self.book.journey(root).and_then(|j| j.group.as_deref());
        let rival = self.runs.iter().find(|other| match run.state {
            RunState::Queued => other.state.goes_on() && other.journey == run.journey && other.key == run.key,
            RunState::Waiting => {
                other.state == RunState::Live && group(&other.journey) == group(&run.journey)
            }
            RunState::Live | RunState::Ended => false,
        });
        RunWhy {
            journey: run.journey.clone(),
            since: run.started_at,
            key: run.key.clone(),
            step: run.position.step.clone(),
            due_at: run.position.due_at,
            state: run.state,
            waits_for: rival.map(|other| other.journey.clone()),
            is_ghost: run.ghost,
            held: run.held,
            acted: run.acted.clone(),
            ways: self.ways(run),
        }
    }

    fn ways(&self, run: &Run) -> Vec<WayWhy> {
        let Some(journey) = self.book.lived_by(run) else { return Vec::new() };
        let experiments = journey.nodes.iter().filter_map(|node| Experiment::of(journey, node));
        let taken = experiments.filter_map(|experiment| {
            let (_, outcome) = run.acted.iter().find(|(step, _)| step == experiment.step)?;
            let drawn = Drawn::parse(outcome)?;
            let share_now = self.book.shares_at(self.now).and_then(|(at, shares)| {
                let ways = &experiment.found_in(shares)?.ways;
                Some((ways.iter().find(|way| way.name == drawn.way)?.share, at))
            });
            let (step, learns_by) = (experiment.step.to_owned(), experiment.learn.to_string());
            Some(WayWhy { step, drawn, learns_by, share_now })
        });
        taken.collect()
    }

    fn waiting(&self, delivery: &Delivery) -> WaitingWhy {
        let guard = match admits(self.book, self.snapshot, delivery, self.now) {
            Permit::Go => None,
            Permit::Delay(_, reason) | Permit::Refuse(reason) => Some(reason),
        };
        let winner = outranked(self.book, self.snapshot, delivery, self.now).map(|(winner, _)| winner);
        let guard = guard.or(winner.map(|_| GuardReason::Outranked));
        let known = |id| self.snapshot.deliveries.iter().find(|d| d.id == id);
        let winner = winner.or_else(|| delivery.outranked_by.and_then(known));
        WaitingWhy {
            delivery: delivery.id,
            journey: delivery.journey.clone(),
            target: delivery.target.clone(),
            due_at: delivery.due_at,
            guard,
            outranked_by: winner.map(|w| WinnerWhy {
                delivery: w.id,
                journey: w.journey.clone(),
                target: w.target.clone(),
            }),
        }
    }

    fn outside(&self, journey: &Journey, last_start: Option<&LastStart>) -> OutsideWhy {
        let last = self
            .runs
            .iter()
            .filter(|r| r.journey == journey.root() && r.state == RunState::Ended)
            .max_by_key(|r| (r.ended_at, r.started_at));
        let is_recorded = |run: &Run| {
            let mut theirs = self.snapshot.deliveries.iter().filter(|d| d.run == Some(run.id));
            run.ghost || theirs.any(|d| d.state == DeliveryState::Shadow)
        };
        OutsideWhy {
            journey: journey.id.to_string(),
            because: self.because(journey, last_start),
            last_run: last.and_then(|r| Some((r.ended_at?, r.end?))),
            last_run_since: last.map(|r| r.started_at),
            last_run_recorded: last.is_some_and(is_recorded),
            last_run_is_ghost: last.is_some_and(|r| r.ghost),
            last_run_acted: last.map_or_else(Vec::new, |r| r.acted.clone()),
            guard: self.guard(journey),
        }
    }

    /// What the journey's first message would meet.
    fn guard(&self, journey: &Journey) -> Option<GuardReason> {
        let send = journey.nodes.iter().find_map(|node| match &node.verb {
            Verb::Send(send) => Some(send),
            _ => None,
        })?;
        let channel: Channel = send.channel;
        let held = || meets(self.book, self.snapshot, Some(journey), send.purpose).map(GuardReason::from);
        lawful(self.book, self.snapshot, channel, send.purpose, self.now).or_else(held)
    }

    fn because(&self, journey: &Journey, last: Option<&LastStart>) -> Outside {
        let start = || Outside::NotStarted { start: started_by(&journey.start) };
        let active_from = match (journey.mode, self.book.active_from.get(journey.root())) {
            (Mode::Off, _) => return Outside::Off,
            (Mode::Live | Mode::Shadow | Mode::Test, None) => return Outside::NotActive,
            (Mode::Live | Mode::Shadow | Mode::Test, Some(active_from)) => *active_from,
        };
        if let Some(unfit) = self.does_not_fit(journey, last.map(|last| last.occurrence.at)) {
            return unfit;
        }
        // Whoever waits for it to happen again may not enter again before.
        let start = || match self.again_at(journey, active_from) {
            Some(again_at) => Outside::Reentry { again_at: Some(again_at) },
            None => start(),
        };
        let Some(LastStart { occurrence, key, kept_out }) = last else { return start() };
        let happened_at = occurrence.at;
        match kept_out {
            // Judged when it happened, and it would have to happen again.
            None | Some(KeptOut::Running | KeptOut::QueueFull(_)) => start(),
            Some(KeptOut::AlreadyStarted) => match journey.reentry() {
                Reenter::Never => Outside::Reentry { again_at: None },
                Reenter::Always | Reenter::After(_) => start(),
            },
            Some(KeptOut::NotActive) => Outside::NotActive,
            Some(KeptOut::TooEarly(_)) => Outside::BeforeActive { happened_at, active_from },
            Some(KeptOut::TooLate) => Outside::TooLate { happened_at },
            // It was refused then; the next would not be.
            Some(KeptOut::Reentry(Some(again_at))) if *again_at <= self.now => start(),
            Some(KeptOut::Reentry(again_at)) => Outside::Reentry { again_at: *again_at },
            Some(KeptOut::GroupTaken(rival)) => Outside::GroupTaken { journey: rival.clone() },
            Some(KeptOut::DoesNotQualify) => {
                let key = journey.key.is_some().then_some(key.as_str());
                let view = self.view(RunFacts { event: Some(&occurrence.event), key, run: None });
                match &journey.when {
                    Some(when) => {
                        Outside::DoesNotQualify { explained: Box::new(when.explain(&view, self.now)) }
                    }
                    None => start(),
                }
            }
        }
    }
}

impl Asker<'_> {
    /// The last event of the name that starts a journey, if it is newer than the last that fitted and does not fit.
    fn does_not_fit(&self, journey: &Journey, fitted: Option<At>) -> Option<Outside> {
        let Start::Event { name, filter: Some(filter) } = &journey.start else { return None };
        let is_of_name = |event: &str, at: At, _: At, _: Origin| {
            event == name && at <= self.now && fitted.is_none_or(|fitted| at > fitted)
        };
        let events = events_of(self.snapshot, is_of_name, self.book.decimals);
        let event = events.into_iter().max_by_key(|event| event.occurred_at)?;
        let view = self.view(RunFacts { event: Some(&event.data), ..RunFacts::default() });
        let explained = Box::new(filter.explain(&view, self.now));
        let happened_at = event.occurred_at;
        (!explained.value.is_true()).then_some(Outside::DoesNotFit { happened_at, explained })
    }

    /// When the customer may enter a journey without a key again, if that is later than now.
    fn again_at(&self, journey: &Journey, active_from: At) -> Option<At> {
        let Reenter::After(length) = journey.reentry() else { return None };
        if journey.key.is_some() {
            return None;
        }
        // What only ran in the shadow before the journey went live is no earlier entry (rule R19).
        let is_dropped = |run: &Run| {
            run.ghost && run.held.is_none() && journey.mode == Mode::Live && run.started_at < active_from
        };
        let runs = self.runs.iter().filter(|run| run.journey == journey.root() && !is_dropped(run));
        let last = runs.map(|run| run.started_at).max()?;
        let again_at = length.after(last, &zone_of(&self.snapshot.customer, &self.book.settings.zone));
        (again_at > self.now).then_some(again_at)
    }
}

/// What starts a journey, in the playbook's words.
pub fn started_by(start: &Start) -> String {
    match start {
        Start::Phase(phase) => format!("entering the phase {phase}"),
        Start::Left(phase) => format!("leaving the phase {phase}"),
        Start::Event { name, filter: None } => format!("the event {name}"),
        Start::Event { name, filter: Some(filter) } => format!("the event {name} with {}", filter.text()),
        Start::Segment { id, .. } => format!("entering the segment {id}"),
        Start::Schedule { .. } => "its next day in the calendar".to_owned(),
        Start::Date { field, .. } => format!("the date in {}", field.text()),
    }
}

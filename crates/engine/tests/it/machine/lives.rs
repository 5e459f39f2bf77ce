//! Two customers as the daemon sees them: lives under a book, told what they are told, made one and taken apart as the
//! store does it, and brought back after a crash from what was written down. Judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use zyklus_engine::playbook::Mode;
use zyklus_engine::sim::{Happening, Life};
use zyklus_engine::{Book, candidates, decide};
use zyklus_model::{
    At, CustomerId, Delivery, DeliveryState, Email, GuardReason, Origin, PhoneNumber, Run, RunId, Snapshot,
    Tag,
};

use super::model::Model;
use super::tally::count;
use crate::world::{LIFECYCLE, World};

/// So often at most something is due on the way to one instant.
const RESTLESS: u32 = 60_000;
/// What follows within so many microseconds follows at once.
pub(crate) const MOMENT: i64 = 100;
/// A decision can ask to be looked at again at once; so often at most before anything is claimed, as in the daemon.
const LOOKS: u32 = 8;
/// After a crash the daemon is away for so many seconds.
pub(crate) const AWAY: i64 = 90;

/// What happened to a delivery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    HandedOver,
    Shown,
    Delayed(GuardReason),
    Refused,
    Withdrawn,
}

/// A delivery's fate, and what was known then.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) who: usize,
    pub(crate) both: bool,
    pub(crate) known: u32,
    pub(crate) at: At,
    pub(crate) fate: Fate,
    pub(crate) delivery: Delivery,
    /// Its run as it stood before and after.
    pub(crate) before: Option<Run>,
    pub(crate) run: Option<Run>,
}

/// Something the daemon does.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Pass(At),
    /// A page with all up to a number that somebody said.
    Commit {
        who: usize,
        known: u32,
        live: bool,
        history: bool,
    },
    Repeat {
        who: usize,
    },
    Files(Arc<Book>),
    Merge,
    Unmerge,
    Sleep,
    Wake,
    /// With what the first customer said just before, if they did.
    Crash {
        until: At,
        point: u8,
        known: Option<u32>,
    },
}

/// How a side hears and goes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Style {
    Plain,
    /// The facts of a page in the other order, everything repeated, the second customer first.
    Turned,
    /// From what is written down each time, and looked at more often than need be.
    Replayed,
}

pub(crate) fn customer(who: usize) -> CustomerId {
    CustomerId::derive(&[b"machine", &[who as u8]])
}

/// Somebody as all tests know them, of whom nothing has been said yet.
pub(crate) fn somebody() -> &'static Snapshot {
    static SOMEBODY: OnceLock<Snapshot> = OnceLock::new();
    SOMEBODY.get_or_init(|| World::unseen(LIFECYCLE, "").snapshot.clone())
}

/// Both customers.
pub(crate) struct Side {
    style: Style,
    pub(crate) book: Arc<Book>,
    /// Two, or one of what were two.
    pub(crate) lives: Vec<Life>,
    away: Option<Life>,
    /// For whom each run began.
    owners: BTreeMap<RunId, usize>,
    /// Runs that began while the two were one.
    pub(crate) begun_as_one: BTreeSet<RunId>,
    pub(crate) is_awake: bool,
    pub(crate) known: u32,
    pub(crate) told: Vec<Told>,
}

impl Side {
    pub(crate) fn new(style: Style, book: Arc<Book>, model: &Model) -> Self {
        let mut lives = Vec::new();
        for who in 0..2 {
            let mut snapshot = somebody().clone();
            snapshot.customer.id = customer(who);
            snapshot.customer.email = Email::parse(&format!("person{who}@example.com")).ok();
            snapshot.customer.phone = PhoneNumber::parse("+4915112345678").filter(|_| model.house.phone);
            snapshot.mark.due_at = model.now;
            model.view(who, false, 2, model.now).write(&mut snapshot, false);
            lives.push(Life::new(snapshot, model.now));
        }
        let owners = BTreeMap::new();
        let mut side = Side {
            style,
            book,
            lives,
            away: None,
            owners,
            begun_as_one: BTreeSet::new(),
            is_awake: true,
            known: 2,
            told: Vec::new(),
        };
        side.pass(model.now);
        side
    }

    pub(crate) fn is_one(&self) -> bool {
        self.away.is_some()
    }

    /// Who of the lives a customer's facts go to.
    fn holder(&self, who: usize) -> usize {
        if self.is_one() { 0 } else { who }
    }

    pub(crate) fn take(&mut self, op: &Op, model: &Model) {
        match op {
            Op::Pass(to) => self.pass(*to),
            Op::Commit { who, known, live, history } => {
                self.known = *known;
                self.commit(*who, model, *live, *history);
                if self.style == Style::Turned {
                    self.commit(*who, model, *live, *history);
                }
            }
            Op::Repeat { who } => {
                // What says nothing new is no news, though it is looked at.
                if self.style == Style::Turned {
                    let holder = self.holder(*who);
                    let life = &mut self.lives[holder];
                    touch(&mut life.snapshot, life.now);
                }
            }
            Op::Files(book) => {
                self.book = Arc::clone(book);
                self.lives.iter_mut().for_each(|life| touch(&mut life.snapshot, life.now));
            }
            Op::Merge => self.merge(model),
            Op::Unmerge => self.unmerge(model),
            Op::Sleep => self.is_awake = false,
            Op::Wake => self.is_awake = true,
            Op::Crash { until, point, known } => {
                if let Some(known) = known {
                    self.known = *known;
                    self.commit(0, model, true, false);
                }
                self.crash(*until, *point);
            }
        }
        if self.style == Style::Replayed {
            self.lives.iter_mut().for_each(from_what_is_written);
        }
        self.pass(self.lives[0].now);
    }

    fn commit(&mut self, who: usize, model: &Model, live: bool, history: bool) {
        let (holder, both, known) = (self.holder(who), self.is_one(), self.known);
        let life = &mut self.lives[holder];
        let view = model.view(holder, both, known, life.now);
        let turned = self.style == Style::Turned;
        if history {
            life.commit(Origin::History, |s| view.write(s, turned));
        }
        if live || !history {
            life.commit(Origin::Live, |s| view.write(s, turned));
        }
    }

    /// As the store moves rows: everything follows the one who remains, and the other's evaluation is put away.
    fn merge(&mut self, model: &Model) {
        let Some(other) = self.lives.pop() else { return };
        let life = &mut self.lives[0];
        let snapshot = &mut life.snapshot;
        let id = snapshot.customer.id;
        snapshot.runs.extend(other.snapshot.runs.iter().map(|run| Run { customer: id, ..run.clone() }));
        let its = other.snapshot.deliveries.iter();
        snapshot.deliveries.extend(its.map(|delivery| Delivery { customer: id, ..delivery.clone() }));
        snapshot.tags.extend(other.snapshot.tags.iter().cloned());
        sort(snapshot);
        let mark = other.snapshot.mark;
        // Who was up to date is so as of when the other was judged: what was refused them is not asked for again.
        let (now, its) = (life.now, &mut snapshot.mark);
        if its.due_at > now && !its.live_pending && !its.history_pending {
            its.evaluated_at = its.evaluated_at.max(mark.evaluated_at);
        }
        self.away = Some(other);
        self.commit(0, model, true, mark.history_pending);
    }

    /// The way back: what began for the other goes back to them, and their evaluation is as it was.
    fn unmerge(&mut self, model: &Model) {
        let Some(mut other) = self.away.take() else { return };
        let (owners, life) = (&self.owners, &mut self.lives[0]);
        let is_its = |run: RunId| owners.get(&run) == Some(&1);
        let id = other.snapshot.customer.id;
        let runs = std::mem::take(&mut life.snapshot.runs);
        let (its, kept) = runs.into_iter().partition::<Vec<Run>, _>(|run| is_its(run.id));
        life.snapshot.runs = kept;
        other.snapshot.runs = its.into_iter().map(|run| Run { customer: id, ..run }).collect();
        let deliveries = std::mem::take(&mut life.snapshot.deliveries);
        let (its, kept) = deliveries.into_iter().partition::<Vec<Delivery>, _>(|d| d.run.is_some_and(is_its));
        life.snapshot.deliveries = kept;
        other.snapshot.deliveries =
            its.into_iter().map(|delivery| Delivery { customer: id, ..delivery }).collect();
        // Labels that are still the ones the other came with.
        let brought = std::mem::take(&mut other.snapshot.tags);
        let (its, kept): (Vec<Tag>, Vec<Tag>) =
            std::mem::take(&mut life.snapshot.tags).into_iter().partition(|tag| brought.contains(tag));
        (other.snapshot.tags, life.snapshot.tags) = (its, kept);
        sort(&mut other.snapshot);
        other.now = life.now;
        // While they were one there was nobody whose calendar could have come round.
        let evaluated_at = &mut other.snapshot.mark.evaluated_at;
        *evaluated_at = evaluated_at.map(|at| at.max(life.now.plus_micros(-1)));
        life.snapshot.mark.evaluated_at = life.snapshot.mark.evaluated_at.map(|at| at.plus_micros(1));
        self.lives.push(other);
        for who in 0..2 {
            self.commit(who, model, false, true);
        }
    }

    fn pass(&mut self, to: At) {
        let order: &[usize] = match (self.lives.len(), self.style) {
            (1, _) => &[0],
            (_, Style::Turned) => &[1, 0],
            _ => &[0, 1],
        };
        for who in order {
            // Never at the very instant at which something is heard.
            let is_later = to > self.lives[*who].now.plus_seconds(1);
            if self.style == Style::Replayed && self.is_awake && is_later {
                let now = self.lives[*who].now;
                let half = to.micros_since(now) / 2;
                self.go(*who, now.plus_micros(half));
                // Looked at in between although nothing is due.
                if self.lives[*who].snapshot.mark.due_at > self.lives[*who].now {
                    self.evaluate(*who);
                }
            }
            self.go(*who, to);
        }
    }

    /// Lets somebody's time pass, deciding and handing over whenever that is due.
    fn go(&mut self, who: usize, to: At) {
        let mut moments = 0;
        while self.is_awake && self.step(who, to) {
            moments += 1;
            assert!(moments < RESTLESS, "property 10: never at rest on the way to {to}");
        }
        let life = &mut self.lives[who];
        life.now = life.now.max(to);
    }

    /// Does what is due next, if that is before an instant or at it.
    fn step(&mut self, who: usize, to: At) -> bool {
        let life = &mut self.lives[who];
        // What follows at once is done a moment later, and the clock shows what it showed.
        let now = life.now;
        let at = match life.next_at() {
            Some(at) if at <= to.max(now.plus_micros(MOMENT)) => at.max(now),
            _ => return false,
        };
        // As in the daemon's round: what is to be looked at a microsecond later, and after that, is looked at before
        // anything is claimed.
        let due_at = life.snapshot.mark.due_at;
        if due_at <= at.plus_micros(1) {
            let mut look = at.max(due_at);
            for _ in 0..LOOKS {
                self.lives[who].now = look;
                self.evaluate(who);
                look = look.plus_micros(1);
                if self.lives[who].snapshot.mark.due_at > look {
                    break;
                }
            }
        } else {
            life.now = at;
            self.dispatch(who);
        }
        self.lives[who].now = if at <= now.plus_micros(MOMENT) { now } else { at };
        true
    }

    fn evaluate(&mut self, who: usize) {
        let before = self.lives[who].snapshot.runs.clone();
        let book = Arc::clone(&self.book);
        self.watched(who, before, |life, watch| life.evaluate(&book, watch));
        let is_one = self.is_one();
        for run in &self.lives[who].snapshot.runs {
            let owners = &mut self.owners;
            if owners.insert(run.id, owners.get(&run.id).copied().unwrap_or(who)).is_none() && is_one {
                self.begun_as_one.insert(run.id);
            }
        }
    }

    fn dispatch(&mut self, who: usize) {
        let before = self.lives[who].snapshot.runs.clone();
        let book = Arc::clone(&self.book);
        self.watched(who, before, |life, watch| {
            assert!(life.dispatch(&book, watch), "something is due");
        });
    }

    fn watched(
        &mut self,
        who: usize,
        before: Vec<Run>,
        act: impl FnOnce(&mut Life, &mut zyklus_engine::sim::Watch<'_>),
    ) {
        let mut seen: Vec<(At, Fate, Delivery)> = Vec::new();
        let life = &mut self.lives[who];
        act(life, &mut |at, happening| match happening {
            Happening::HandedOver(delivery) => seen.push((at, Fate::HandedOver, delivery.clone())),
            Happening::Shown(delivery) => seen.push((at, Fate::Shown, delivery.clone())),
            Happening::Delayed(delivery, reason) => seen.push((at, Fate::Delayed(reason), delivery.clone())),
            Happening::Refused(delivery) => seen.push((at, Fate::Refused, delivery.clone())),
            Happening::Withdrawn(delivery) => seen.push((at, Fate::Withdrawn, delivery.clone())),
            _ => {}
        });
        let (both, known) = (self.is_one(), self.known);
        let life = &self.lives[who];
        let of =
            |runs: &[Run], delivery: &Delivery| runs.iter().find(|run| delivery.run == Some(run.id)).cloned();
        self.told.extend(seen.into_iter().map(|(at, fate, delivery)| {
            let (before, run) = (of(&before, &delivery), of(&life.snapshot.runs, &delivery));
            Told { who, both, known, at, fate, delivery, before, run }
        }));
    }

    /// The daemon dies when something is due, and another comes a little later.
    fn crash(&mut self, until: At, point: u8) {
        for who in 0..self.lives.len() {
            if point > 1 {
                self.go_to_a_claim(who, until);
            }
            let next = self.lives[who].next_at().filter(|at| *at <= until);
            if let Some(at) = next {
                let life = &mut self.lives[who];
                life.now = life.now.max(at);
                let is_due = life.snapshot.mark.due_at <= life.now;
                match point {
                    // What was decided, or claimed only, is as if it had never been.
                    0 | 1 => drop(decide(&self.book, &life.snapshot, life.now)),
                    _ if is_due => self.evaluate(who),
                    _ => {
                        let told = self.told.len();
                        self.dispatch(who);
                        // Handed over, and the answer is lost.
                        let gone: Vec<_> = self.told[told..]
                            .iter()
                            .filter(|told| told.fate == Fate::HandedOver)
                            .map(|told| told.delivery.id)
                            .collect();
                        for delivery in &mut self.lives[who].snapshot.deliveries {
                            if gone.contains(&delivery.id) {
                                delivery.state = DeliveryState::Unknown;
                                if self.style == Style::Plain {
                                    count("answer lost");
                                }
                            }
                        }
                    }
                }
                let life = &mut self.lives[who];
                life.now = life.now.plus_seconds(AWAY).min(until.max(life.now));
            }
            from_what_is_written(&mut self.lives[who]);
            self.go(who, until);
        }
    }

    /// On to the next instant at which a claim is due.
    fn go_to_a_claim(&mut self, who: usize, until: At) {
        for _ in 0..200 {
            let life = &self.lives[who];
            if life.snapshot.mark.due_at > until || life.next_at() < Some(life.snapshot.mark.due_at) {
                return;
            }
            self.step(who, until);
        }
    }

    /// Who would be let in now although they came before a journey, by journey.
    pub(crate) fn candidates(&self) -> Vec<(String, CustomerId)> {
        let of = |life: &Life| {
            let id = life.snapshot.customer.id;
            candidates(&self.book, &life.snapshot, life.now)
                .into_iter()
                .map(move |(root, _)| (root, id))
                .collect::<Vec<_>>()
        };
        self.lives.iter().flat_map(of).collect()
    }

    /// The way to the end: nothing starts any more, nothing is switched off, nobody sleeps.
    pub(crate) fn run_out(&mut self) {
        let mut book = (*self.book).clone();
        for journey in &mut book.journeys {
            if journey.mode == Mode::Off {
                journey.mode = Mode::Live;
            }
        }
        book.active_from.values_mut().for_each(|from| *from = At::MAX);
        book.admitted.clear();
        self.book = Arc::new(book);
        self.is_awake = true;
        let end = self.lives[0].now.plus_days(1_500);
        self.lives.iter_mut().for_each(|life| touch(&mut life.snapshot, life.now));
        self.pass(end);
    }

    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        self.lives.iter().flat_map(|life| &life.snapshot.runs)
    }

    /// For whom a run began.
    pub(crate) fn owner(&self, run: Option<RunId>) -> Option<usize> {
        self.owners.get(&run?).copied()
    }
}

/// What the store would give back: the snapshot through JSON.
fn from_what_is_written(life: &mut Life) {
    let written = serde_json::to_string(&life.snapshot).expect("it can be written");
    let read: Snapshot = serde_json::from_str(&written).expect("it can be read");
    assert_eq!(read, life.snapshot, "property 2: what is written is what is read");
    life.snapshot = read;
}

fn touch(snapshot: &mut Snapshot, now: At) {
    snapshot.mark.seq += 1;
    snapshot.mark.due_at = snapshot.mark.due_at.min(now);
}

fn sort(snapshot: &mut Snapshot) {
    snapshot.runs.sort_by_key(|run| (run.started_at, run.id));
    snapshot.deliveries.sort_by_key(|delivery| (delivery.created_at, delivery.id));
}

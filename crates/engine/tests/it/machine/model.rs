//! The model: a ledger of what was said and when it was heard, and what rules R7, R12 and R14 make of it in words. It is
//! independent of the engine: it never asks it anything, and shares none of its code but the nouns.

use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Map, Value as Json, json};
use zyklus_model::consent::SuppressionReason;
use zyklus_model::{
    At, Channel, Consent, ConsentState, DAY_MICROS, Event, EventId, LegalBasis, Mark, MarkKind, Order,
    OrderState, Origin, Purpose, Refund, Snapshot, Suppression,
};

use super::letters::{Draft, How, Letter};
use super::lives::{AWAY, MOMENT};
use super::playbooks::{Goal, GoalWhen, Journey, Step};
use crate::world::{START, at, order};

/// What somebody says.
#[derive(Debug, Clone)]
pub(crate) enum What {
    Order { minor: i64 },
    Refund { order: u32, minor: i64 },
    Cancel { order: u32 },
    Event { name: &'static str },
    Consent { channel: &'static str, state: ConsentState, basis: LegalBasis },
    Suppress { channel: Option<&'static str>, all_purposes: bool },
    Zone(Option<&'static str>),
}

/// One entry of the ledger.
#[derive(Debug, Clone)]
pub(crate) struct Fact {
    /// Counts from one: what is known is known up to a number.
    pub(crate) number: u32,
    pub(crate) who: usize,
    pub(crate) at: At,
    pub(crate) heard: At,
    pub(crate) live: bool,
    pub(crate) what: What,
}

/// Rules for every journey, as the operator chose them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct House {
    /// Most messages, on this channel or all, in so many days on the calendar or hours on the clock.
    pub(crate) cap: Option<(u32, Option<&'static str>, Per)>,
    pub(crate) quiet: Option<&'static str>,
    pub(crate) existing_customers: bool,
    pub(crate) contends: bool,
    pub(crate) global_holdout: u8,
    pub(crate) phone: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Per {
    Day,
    Days(i64),
    Hours(i64),
}

/// The state of the model.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) house: House,
    pub(crate) now: At,
    pub(crate) facts: Vec<Fact>,
    /// `None` = gone from the files.
    pub(crate) journeys: Vec<Option<Journey>>,
    pub(crate) is_off: Vec<bool>,
    pub(crate) is_merged: bool,
    pub(crate) is_awake: bool,
}

impl Model {
    pub(crate) fn new(house: House, journeys: Vec<Journey>) -> Self {
        let now = at(START);
        let is_off = vec![false; 3];
        let mut journeys: Vec<Option<Journey>> = journeys.into_iter().map(Some).collect();
        journeys.resize(3, None);
        let mut model =
            Model { house, now, facts: Vec::new(), journeys, is_off, is_merged: false, is_awake: true };
        for who in 0..2 {
            let what =
                What::Consent { channel: "email", state: ConsentState::Granted, basis: LegalBasis::Consent };
            model.push(who, at("2026-01-10T08:00:00Z"), false, what);
        }
        model
    }

    fn push(&mut self, who: usize, at: At, live: bool, what: What) {
        let number = u32::try_from(self.facts.len()).unwrap_or_default() + 1;
        self.facts.push(Fact { number, who, at, heard: self.now, live, what });
    }

    /// How much is known.
    pub(crate) fn known(&self) -> u32 {
        u32::try_from(self.facts.len()).unwrap_or_default()
    }

    /// Orders of somebody that are not cancelled.
    fn open_orders(&self, who: usize) -> Vec<u32> {
        let cancelled =
            |number| self.facts.iter().any(|f| matches!(f.what, What::Cancel { order } if order == number));
        let is_order = |f: &&Fact| f.who == who && matches!(f.what, What::Order { .. });
        self.facts.iter().filter(is_order).map(|f| f.number).filter(|n| !cancelled(*n)).collect()
    }

    /// What a letter makes of it.
    pub(crate) fn apply(&mut self, letter: &Letter) {
        // Never at the very instant of something else: whether that has been seen would be chance.
        self.now = match letter.after() {
            0 => self.now.plus_micros(1_000),
            after => self.now.plus_seconds(after),
        };
        match letter {
            Letter::Facts { who, facts, .. } => {
                for (place, draft) in facts.iter().enumerate() {
                    // Each at its own instant, the last of them now. Further apart than what follows at once: with an
                    // order a microsecond after what a run began with, an exit can come true between a message that
                    // falls due and its claim, and only whoever is held out has done it by then.
                    let apart = 2 * MOMENT;
                    let at = self.now.plus_micros(apart * (place as i64 + 1 - facts.len() as i64));
                    self.say(*who, at, draft);
                }
            }
            Letter::Edit { index, journey, how, .. } => {
                let known = &mut self.journeys[*index];
                match (journey, known.as_mut(), how) {
                    (Some(new), Some(known), How::NewSteps) => known.steps.clone_from(&new.steps),
                    (Some(_), Some(known), How::FirstLast) => known.steps.rotate_left(1),
                    (Some(_), Some(known), How::Backwards) => known.steps.reverse(),
                    (Some(_), Some(known), How::Shorter) if known.steps.len() > 1 => {
                        let wait = known.steps.iter().position(|step| matches!(step, Step::Wait { .. }));
                        known.steps.remove(wait.unwrap_or(0));
                    }
                    (new, ..) => *known = new.as_ref().map(|new| (**new).clone()),
                }
            }
            Letter::Pause { index, .. } => self.is_off[*index] = true,
            Letter::Resume { index, .. } => self.is_off[*index] = false,
            Letter::Merge { .. } => self.is_merged = true,
            Letter::Unmerge { .. } => self.is_merged = false,
            Letter::Sleep { .. } => self.is_awake = false,
            Letter::Wake { .. } => self.is_awake = true,
            Letter::Crash { hears: true, .. } => {
                self.say(0, self.now, &Draft::Event { name: "go", late_seconds: 0 });
                self.now = self.now.plus_seconds(AWAY);
            }
            Letter::Pass { .. } | Letter::Duplicate { .. } | Letter::Admit { .. } | Letter::Crash { .. } => {}
        }
    }

    fn say(&mut self, who: usize, at: At, draft: &Draft) {
        let orders = self.open_orders(who);
        let chosen = |index: usize| (!orders.is_empty()).then(|| orders[index % orders.len()]);
        let (at, live, what) = match *draft {
            Draft::Order { minor, late_seconds, live } => {
                (at.plus_seconds(-late_seconds), live, What::Order { minor })
            }
            Draft::Event { name, late_seconds } => {
                (at.plus_seconds(-late_seconds), true, What::Event { name })
            }
            Draft::Refund { index, minor } => match chosen(index) {
                Some(order) => (at, true, What::Refund { order, minor }),
                None => return,
            },
            Draft::Cancel { index } => match chosen(index) {
                Some(order) => (at, true, What::Cancel { order }),
                None => return,
            },
            Draft::Consent { channel, state, basis } => (at, true, What::Consent { channel, state, basis }),
            Draft::Suppress { channel, all_purposes } => (at, true, What::Suppress { channel, all_purposes }),
            Draft::Zone(zone) => (at, true, What::Zone(zone)),
        };
        self.push(who, at, live, what);
    }

    /// What is known of somebody (of both, where they are one) at an instant.
    pub(crate) fn view(&self, who: usize, both: bool, known: u32, now: At) -> View<'_> {
        View { model: self, who, both, known, now }
    }
}

/// What is known of one customer at an instant.
#[derive(Clone, Copy)]
pub(crate) struct View<'m> {
    model: &'m Model,
    who: usize,
    both: bool,
    known: u32,
    pub(crate) now: At,
}

impl<'m> View<'m> {
    fn facts(&self) -> impl DoubleEndedIterator<Item = &'m Fact> + use<'m> {
        let (who, both, known) = (self.who, self.both, self.known);
        self.model.facts.iter().filter(move |f| f.number <= known && (both || f.who == who))
    }

    /// When the orders that count were placed.
    pub(crate) fn orders_placed(&self) -> Vec<At> {
        let now = self.now;
        let cancelled =
            |n| self.facts().any(|f| matches!(f.what, What::Cancel { order } if order == n) && f.at <= now);
        let is_order = |f: &&Fact| matches!(f.what, What::Order { .. }) && f.at <= now;
        self.facts().filter(is_order).filter(|f| !cancelled(f.number)).map(|f| f.at).collect()
    }

    pub(crate) fn days_since_order(&self) -> Option<i64> {
        let last = self.orders_placed().into_iter().max()?;
        Some(self.now.micros_since(last).div_euclid(DAY_MICROS))
    }

    pub(crate) fn viewed(&self, days: i64) -> i64 {
        let after = self.now.plus_days(-days);
        let views = self.facts().filter(|f| matches!(f.what, What::Event { name: "page.viewed" }));
        views.filter(|f| f.at > after && f.at <= self.now).count() as i64
    }

    /// The last word on marketing by a channel: yes or no, and why it would be lawful.
    pub(crate) fn last_word(&self, channel: &str) -> Option<(bool, LegalBasis)> {
        let mut last: Option<(At, u32, bool, LegalBasis)> = None;
        for fact in self.facts() {
            let What::Consent { channel: its, state, basis } = &fact.what else { continue };
            let is_newer =
                last.as_ref().is_none_or(|(at, number, ..)| (fact.at, fact.number) >= (*at, *number));
            if *its == channel && *state != ConsentState::Pending && fact.at <= self.now && is_newer {
                last = Some((fact.at, fact.number, *state == ConsentState::Granted, *basis));
            }
        }
        last.map(|(_, _, yes, basis)| (yes, basis))
    }

    /// Rule R12's first two guards in words: nobody who is never to be contacted, nobody without an address, no
    /// advertising without permission.
    pub(crate) fn unlawful(&self, channel: &str, purpose: Purpose) -> Option<&'static str> {
        let house = &self.model.house;
        let never = self.facts().any(|f| match &f.what {
            What::Suppress { channel: its, all_purposes } => {
                its.is_none_or(|its| its == channel) && (*all_purposes || purpose == Purpose::Marketing)
            }
            _ => false,
        });
        if never {
            return Some("suppressed");
        }
        if channel == "sms" && !house.phone {
            return Some("no_address");
        }
        if purpose != Purpose::Marketing {
            return None;
        }
        let bought = !self.orders_placed().is_empty() && house.existing_customers;
        let may = match self.last_word(channel) {
            Some((false, _)) => false,
            Some((true, LegalBasis::ExistingCustomer)) => bought,
            Some((true, LegalBasis::Consent | LegalBasis::Contract)) => true,
            None => channel == "email" && bought,
        };
        (!may).then_some("no_consent")
    }

    /// The customer's own zone, which has the last word; without one they live in Germany, as the shop does.
    pub(crate) fn zone_name(&self) -> &'static str {
        let of = |who: usize| {
            let mut said = self.facts().filter(|f| f.who == who).filter_map(|f| match f.what {
                What::Zone(zone) => Some(zone),
                _ => None,
            });
            said.next_back().flatten()
        };
        let zone = if self.both { of(0).or_else(|| of(1)) } else { of(self.who) };
        zone.unwrap_or("Europe/Berlin")
    }

    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(self.zone_name()).expect("a zone")
    }

    pub(crate) fn days_after(&self, from: At, days: i64) -> At {
        let zoned = from.timestamp().to_zoned(self.zone());
        At::from_timestamp(zoned.checked_add(days.days()).expect("not that late").timestamp())
    }

    /// Rule R7 in words: why a run that began then and goes by that journey is over, if it is.
    pub(crate) fn over(&self, journey: &Journey, started_at: At) -> Option<&'static str> {
        if let Some(goal) = journey.goal.as_ref().filter(|goal| !goal.stay)
            && self.reached(goal, started_at)
        {
            return Some("goal");
        }
        journey.exit.as_ref().is_some_and(|exit| exit.holds(self)).then_some("exit")
    }

    fn reached(&self, goal: &Goal, started_at: At) -> bool {
        let until = self.days_after(started_at, goal.within_days);
        match &goal.when {
            GoalWhen::State(cond) => self.now <= until && cond.holds(self),
            GoalWhen::Happens(wanted) => {
                let accepted = until.plus_days(7);
                self.now <= accepted
                    && self.facts().any(|f| {
                        let name = match f.what {
                            What::Order { .. } => "order.placed",
                            What::Event { name } => name,
                            _ => return false,
                        };
                        name == *wanted
                            && f.at > started_at
                            && f.at <= until.min(self.now)
                            && f.heard <= accepted
                    })
            }
        }
    }

    /// Puts all that is known into a snapshot as a connector would say it; `turned` in the other order.
    pub(crate) fn write(&self, snapshot: &mut Snapshot, turned: bool) {
        let s = snapshot;
        s.customer.time_zone = (self.zone_name() != "Europe/Berlin").then(|| self.zone_name().to_owned());
        (s.orders, s.events, s.consents, s.suppressions) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for fact in self.facts() {
            let origin = if fact.live { Origin::Live } else { Origin::History };
            match &fact.what {
                What::Order { minor } => {
                    let mut order = order(&fact.number.to_string(), *minor, fact.at, fact.heard, origin);
                    self.finish_order(fact.number, &mut order);
                    s.orders.push(order);
                }
                What::Event { name } => {
                    let mut data = Map::new();
                    data.insert("n".into(), json!((fact.number % 3).to_string()));
                    s.events.push(Event {
                        id: EventId::derive(&[&fact.number.to_be_bytes()]),
                        name: (*name).into(),
                        occurred_at: fact.at,
                        received_at: fact.heard,
                        origin,
                        data,
                    });
                }
                What::Consent { channel, state, basis } => s.consents.push(Consent {
                    channel: Channel::parse(channel).expect("a channel"),
                    purpose: Purpose::Marketing,
                    state: *state,
                    basis: *basis,
                    at: fact.at,
                    source: "test".into(),
                    evidence: Json::Null,
                }),
                What::Suppress { channel, all_purposes } => s.suppressions.push(Suppression {
                    channel: channel.and_then(Channel::parse),
                    all_purposes: *all_purposes,
                    reason: SuppressionReason::Manual,
                    at: fact.at,
                }),
                What::Refund { .. } | What::Cancel { .. } | What::Zone(_) => {}
            }
        }
        if turned {
            s.orders.reverse();
            s.events.reverse();
            s.consents.reverse();
            s.suppressions.reverse();
        }
    }

    fn finish_order(&self, number: u32, order: &mut Order) {
        for fact in self.facts() {
            match fact.what {
                What::Refund { order: its, minor } if its == number => {
                    let (external_id, at) = (fact.number.to_string(), fact.at);
                    order.refunds.push(Refund { external_id, at, amount_minor: minor, reason: None });
                }
                What::Cancel { order: its } if its == number => {
                    order.state = OrderState::Cancelled;
                    let (kind, origin) = (MarkKind::Cancelled, Origin::Live);
                    order.marks.push(Mark { kind, at: fact.at, received_at: fact.heard, origin });
                }
                _ => {}
            }
        }
    }
}

//! Steps are never late, and predictions are of the day and the orders asked for.

use jiff::tz::TimeZone;
use zyklus_insight::learned::Learned;
use zyklus_insight::purchase::Model;
use zyklus_insight::purchase::fit::{Budget, Kind};
use zyklus_insight::rfm::{Day, History};
use zyklus_model::At;

use super::{Falling, Outlook, Stepped, day_of, fall, start_of};

/// One thing to ask of an outlook.
type Figure = fn(&Outlook<'_>) -> Option<Stepped<f64>>;

/// A figure after so many days.
type Curve = fn(f64) -> f64;

/// Customers who order at rates of their own and leave some time, the same every time.
fn histories(customers: u64) -> Vec<History> {
    let mut state = 7u64;
    let mut roll = move |end: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % end
    };
    let one = |_| {
        let (first, pace, share) = (roll(400) as Day, 5 + roll(90), roll(100));
        let mut days = vec![(first, 1_000 + roll(9_000) as i64)];
        let mut day = first;
        while roll(100) >= 10 + share / 3 {
            day += 1 + roll(2 * pace) as Day;
            days.push((day, 1_000 + roll(9_000) as i64));
        }
        days.retain(|(day, _)| *day < 500);
        History::new(days)
    };
    (0..customers).filter_map(one).collect()
}

fn learned(customers: u64) -> Learned {
    Learned::of(&histories(customers), 500, Kind::Mbg, Budget::default()).unwrap()
}

#[test]
fn days_are_those_of_the_shops_calendar() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    for (text, day) in [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T22:59:59Z", 0),
        ("1970-01-01T23:00:00Z", 1),
        ("1969-12-31T22:59:59Z", -1),
        ("2026-03-29T21:59:59Z", 20_541),
        ("2026-03-29T22:00:00Z", 20_542),
    ] {
        let at: At = text.parse().unwrap();
        assert_eq!(day_of(at, &berlin), day, "{text}");
        let (begins, ends) = (start_of(day, &berlin), start_of(day + 1, &berlin));
        assert!(begins <= at && at < ends, "{text}: {begins} to {ends}");
    }
}

#[test]
fn a_step_lasts_until_it_says_and_not_a_day_longer() {
    let learned = learned(2_000);
    assert!(
        learned.is_telling() && matches!(learned.purchase.model, Model::Mbg(_)),
        "{:?}",
        learned.purchase.rung
    );
    for history in [&[0][..], &[0, 30], &[0, 5, 11, 20, 300], &[400, 480]] {
        let orders: Vec<(Day, i64)> = history.iter().map(|day| (*day, 2_500)).collect();
        let on = |day| Outlook::new(&learned, orders.clone(), day).unwrap();
        let last = *history.last().unwrap();
        let figures: [Figure; 5] = [
            |o| o.chance(),
            |o| o.chance_in_a_year(),
            |o| o.orders_in_a_year(),
            |o| o.value(),
            |o| o.overdue().map(|s| Stepped { value: s.value as f64, until: s.until }),
        ];
        for (n, figure) in figures.iter().enumerate() {
            for today in (last..last + 700).step_by(23) {
                let Some(step) = figure(&on(today)) else { continue };
                assert!(step.value.is_finite() && step.value >= 0.0 && step.until > today);
                let same = |day| figure(&on(day)).is_some_and(|other| other.value == step.value);
                let first_other = (today + 1..step.until).find(|day| !same(*day));
                assert_eq!(first_other, None, "figure {n} of {history:?} on {today}: {step:?}");
                if step.until < today + 3_660 {
                    assert!(!same(step.until), "figure {n} of {history:?} on {today}: {step:?}");
                }
            }
        }
    }
}

#[test]
fn the_day_of_a_fall_is_found_whatever_the_curve() {
    let curves: [(&str, Curve); 5] = [
        ("steep, then flat", |days| 0.9 / (1.0 + days / 3.0)),
        ("slow", |days| 0.9 * (-days / 400.0).exp()),
        ("in a line", |days| 0.9 - days / 4_000.0),
        ("flat, then steep", |days| 0.9 - (days / 3_000.0).powi(4)),
        ("hardly", |days| 0.9 - days / 1e9),
    ];
    for (name, curve) in curves {
        for today in [0, 1, 7, 300, 2_000] {
            let on = |day: Day| curve(f64::from(day));
            let step = |figure: f64| (figure * 100.0).floor() / 100.0;
            let floor = step(on(today));
            let is_below = |day: Day| step(on(day)) != floor;
            let first = (today + 1..=today + 3_660).find(|day| is_below(*day)).unwrap_or(today + 3_660);
            let looks = std::cell::Cell::new(0);
            let found = fall((today, on(today)), floor, |day| {
                looks.set(looks.get() + 1);
                (on(day), is_below(day))
            });
            assert_eq!(found, first, "{name} from day {today}");
            assert!(looks.get() <= 40, "{name} from day {today}: {} looks", looks.get());
        }
    }
}

#[test]
fn a_comparison_is_told_the_day_it_turns() {
    let learned = learned(2_000);
    let figures: [(Falling, Figure, [f64; 4]); 4] = [
        (Falling::Chance, |o| o.chance(), [0.0, 0.05, 0.123, 0.9]),
        (Falling::ChanceInAYear, |o| o.chance_in_a_year(), [0.0, 0.05, 0.5, 1.0]),
        (Falling::OrdersInAYear, |o| o.orders_in_a_year(), [0.0, 0.012, 0.5, 3.0]),
        (Falling::Value, |o| o.value(), [0.0, 120.0, 2_500.0, 1e6]),
    ];
    for history in [&[0][..], &[0, 30], &[0, 5, 11, 20, 300]] {
        let orders: Vec<(Day, i64)> = history.iter().map(|day| (*day, 2_500)).collect();
        let on = |day| Outlook::new(&learned, orders.clone(), day).unwrap();
        let last = *history.last().unwrap();
        for today in [last, last + 3, last + 90, last + 400] {
            for (which, figure, limits) in figures {
                let told = |day| figure(&on(day)).unwrap().value;
                for (limit, or_at) in limits.into_iter().flat_map(|limit| [(limit, false), (limit, true)]) {
                    let is_past = |told: f64| if or_at { told <= limit } else { told < limit };
                    let (value, day) = on(today).falls_past(which, limit, is_past).unwrap();
                    assert_eq!(value, told(today));
                    let case = format!("{which:?} of {history:?} on {today}: {value}, {limit}, {or_at}");
                    let Some(day) = day else {
                        assert!(is_past(value), "{case}");
                        continue;
                    };
                    assert!(!is_past(value) && day > today, "{case}: {day}");
                    assert!(!is_past(told(day - 1)), "{case}: {day} is late");
                    assert!(is_past(told(day)) || day == today + 3_660, "{case}: {day} is early");
                }
            }
        }
    }
}

#[test]
fn a_shop_that_tells_nobody_apart_says_nothing() {
    let once: Vec<History> = (0..90).filter_map(|n| History::new(vec![(n * 5, 2_000)])).collect();
    let counted = Learned::of(&once, 500, Kind::Mbg, Budget::default()).unwrap();
    for learned in [learned(6), counted] {
        assert!(!learned.is_telling(), "{:?}", learned.purchase.rung);
        assert!(Outlook::new(&learned, vec![(0, 2_500), (30, 2_500)], 60).is_none());
    }
}

#[test]
fn an_order_counts_the_day_it_comes() {
    let learned = learned(2_000);
    let chance = |orders: &[Day], today| {
        let orders = orders.iter().map(|day| (*day, 2_500)).collect();
        Outlook::new(&learned, orders, today).unwrap().chance().unwrap().value
    };
    assert!(chance(&[0, 40, 70], 400) < chance(&[0, 40, 70, 400], 400));
    assert!(chance(&[0, 40], 60) > chance(&[0, 40], 300));
}

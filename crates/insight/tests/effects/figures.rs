//! Key figures on shops small enough to count by hand.

use zyklus_insight::experiment::{Arms, Boundary};
use zyklus_insight::interval::{Level, Moments, Tally, Unknown};
use zyklus_insight::kpi::{
    Beat, BeatKind, Chance, Limits, Move, Order, Split, Transition, active_seconds, average_order,
    churn_by_gap, churn_by_model, confirmation_rate, conversion, csat, discount_rate, dwell, gap_curve,
    gap_days, moved_between, per_recipient, phase_times, purchase_frequency, rate, repeat_rate,
    response_rate, score, second_order_curve, stays_in, weakest_links, win_back,
};
use zyklus_insight::survival::Stay;
use zyklus_model::At;

use super::near;

const L: Level = Level::P95;
const EVER: (At, At) = (At::MIN, At::MAX);

fn day(n: i64) -> At {
    At::from_seconds(n * 86_400)
}

fn order(customer: u64, at: At, net_minor: i64) -> Order {
    Order { customer, at, net_minor, gross_minor: net_minor + 100, discount_minor: 100 }
}

fn orders(rows: &[(u64, i64)]) -> Vec<Order> {
    rows.iter().map(|(customer, at)| order(*customer, day(*at), 1_000)).collect()
}

fn tally(hits: u64, of: u64) -> Tally {
    Tally::new(hits, of).unwrap()
}

fn stay(entered: i64, left: Option<(i64, &'static str)>) -> Stay<&'static str> {
    Stay { entered: day(entered), left: left.map(|(at, to)| (day(at), to)) }
}

/// Ten entered; by day 5 two were won, one lost; the young ones are not taken for failures.
#[test]
fn conversion_does_not_count_who_is_still_waiting_as_lost() {
    let mut stays = vec![
        stay(0, Some((3, "won"))),
        stay(0, Some((4, "won"))),
        stay(0, Some((5, "lost"))),
        stay(0, None),
        stay(0, None),
        stay(50, Some((51, "won"))),
    ];
    stays.extend([stay(18, None); 4]);
    let found = conversion(&stays, (day(0), day(30)), "won", 10.0, day(20), L);
    assert_eq!((found.entered, found.arrived, found.elsewhere, found.waiting), (9, 2, 1, 6));
    // Of nine, four are lost from sight after two days: five are left at day 3. 1/5 + 4/5 · 1/4.
    near(found.share.unwrap().value(), 0.4);
    let later = conversion(&stays, (day(0), day(30)), "won", 30.0, day(20), L);
    assert_eq!(later.share, Err(Unknown::TooYoung { days: 20.0 }));
    let times = phase_times(&stays, (day(0), day(30)), day(20), L).unwrap();
    assert_eq!((times.n, times.quarter.days(), times.median.days()), (9, Some(4.0), Some(5.0)));
    assert_eq!(times.three_quarters.days(), None);
}

#[test]
fn moves_make_stays_and_flows() {
    let moves = [(1, 5, "active"), (1, 0, "new"), (1, 3, "new"), (2, 2, "new"), (1, 9, "new"), (3, 8, "new")]
        .map(|(customer, at, to)| Move { customer, at: day(at), to });
    let new = [stay(0, Some((5, "active"))), stay(9, None), stay(2, None), stay(8, None)];
    assert_eq!(stays_in("new", &moves), new);
    assert_eq!(stays_in("active", &moves), [stay(5, Some((9, "new")))]);
    assert_eq!(stays_in("lost", &moves), []);
    let flows: Vec<_> = moved_between(&moves, (day(1), day(8))).into_iter().collect();
    assert_eq!(flows, [((None, Some("new")), 2), ((Some("new"), Some("active")), 1)]);
}

#[test]
fn repeat_rate_leaves_the_young_out_and_counts_a_split_order_once() {
    let mut all = orders(&[(1, 0), (1, 20), (2, 0), (3, 0), (3, 50), (4, 95), (4, 96)]);
    all.push(order(2, day(0).plus_seconds(3_600), 500));
    let found = |split| repeat_rate(&all, EVER, 30, day(100), split, L);
    // 1 of 1, 2, 3; the second of 3 came late, 4 is young.
    near(found(Split::Merged).share.unwrap().value(), 1.0 / 3.0);
    assert_eq!(found(Split::Merged).too_young, 1);
    near(found(Split::Apart).share.unwrap().value(), 2.0 / 3.0);
    let curve = second_order_curve(&all, EVER, day(100), Split::Merged, L).unwrap();
    assert_eq!(curve.n(), 4);
    // 4 after a day, 1 after 20, 3 after 50.
    near(curve.gone_by(1.0).unwrap().value(), 0.25);
    near(curve.gone_by(50.0).unwrap().value(), 0.75);
}

/// Gaps 10, 10, 10 and three that are still open: the finished ones alone would say that everybody is back after ten days.
#[test]
fn gaps_that_are_still_open_count() {
    let all = orders(&[(1, 0), (1, 10), (2, 0), (2, 10), (3, 0), (3, 10)]);
    let found = gap_days(&all, 0.5, day(60), Split::Merged, L).unwrap();
    assert_eq!(found.days(), Some(10.0));
    assert_eq!(gap_days(&all, 0.9, day(60), Split::Merged, L).unwrap().days(), None);
    assert_eq!(gap_curve(&all, day(60), Split::Merged, L).unwrap().n(), 6);
    assert_eq!(gap_days(&[], 0.9, day(60), Split::Merged, L), Err(Unknown::Empty));
}

#[test]
fn frequency_is_of_those_who_bought_and_says_how_many() {
    let all = orders(&[(1, 0), (1, 400), (1, 500), (2, 450), (3, 10)]);
    let found = purchase_frequency(&all, day(600), Split::Merged, L).unwrap();
    near(found.value(), 1.5);
    assert_eq!(found.n(), 2);
}

#[test]
fn baskets_have_a_mean_and_a_median_and_discounts_a_share() {
    let values = [1_000, 1_100, 1_200, 1_300, 1_400, 90_000];
    let all: Vec<Order> =
        values.iter().zip(0..).map(|(value, at)| order(at as u64, day(at), *value)).collect();
    let found = average_order(&all, EVER, L);
    near(found.mean_minor.unwrap().value(), 16_000.0);
    near(found.median_minor.unwrap().value(), 1_250.0);
    assert_eq!(found.orders, 6);
    near(discount_rate(&all[..5], EVER, L).unwrap().value(), 500.0 / 6_500.0);
    // With the large one, what the sum would be in another month is anybody's guess.
    assert_eq!(discount_rate(&all, EVER, L), Err(Unknown::Unbounded));
    assert_eq!(average_order(&all, (day(9), day(10)), L).mean_minor, Err(Unknown::Empty));
}

/// Gone means more than 30 days: at day 100 customers 1 to 3 are active, 4 and 5 are gone; 2 and 3 leave, 5 returns.
#[test]
fn churn_counts_who_left_and_who_returned() {
    let all = orders(&[(1, 90), (1, 170), (2, 80), (3, 95), (3, 110), (4, 10), (5, 20), (5, 150), (6, 160)]);
    let found = churn_by_gap(&all, 30.0, (day(100), day(180)), Split::Merged, L);
    near(found.share.unwrap().value(), 2.0 / 3.0);
    assert_eq!(found.reactivated, 1);
    near(found.reactivation.unwrap().value(), 0.5);
    let alive = |before, after, ordered| Chance { before, after, ordered };
    let model = [
        alive(0.9, 0.2, false),
        alive(0.8, 0.7, false),
        alive(0.1, 0.9, true),
        alive(0.2, 0.1, false),
        alive(f64::NAN, 0.1, false),
    ];
    let found = churn_by_model(&model, 0.5, L);
    near(found.share.unwrap().value(), 0.5);
    near(found.reactivation.unwrap().value(), 0.5);
}

#[test]
fn win_back_is_what_the_ghosts_did_not_do() {
    let found = win_back(Arms { treated: tally(120, 1_000), held: tally(20, 200) }, Boundary::Once(L));
    near(found.treated.unwrap().value(), 0.12);
    near(found.ghosts.unwrap().value(), 0.10);
    let gained = found.gained.unwrap();
    near(gained.value(), 0.02);
    assert!(gained.holds(0.0));
    let alone = win_back(Arms { treated: tally(120, 1_000), held: Tally::default() }, Boundary::Once(L));
    assert!(alone.treated.is_ok() && alone.gained == Err(Unknown::Empty));
}

#[test]
fn revenue_per_recipient_stands_beside_what_was_gained() {
    let values = |high: f64| Moments::of((0..300).map(|at| if at % 10 == 0 { high } else { 0.0 }));
    let arms = Arms { treated: values(5_000.0), held: values(4_500.0) };
    let found = per_recipient(&values(5_000.0), &arms, Boundary::Once(L));
    near(found.attributed_minor.unwrap().value(), 500.0);
    near(found.gained_minor.unwrap().value(), 50.0);
    assert!(found.gained_minor.unwrap().holds(0.0));
}

#[test]
fn complaints_have_limits() {
    let reached = |hits| {
        let found = rate(tally(hits, 10_000), Limits::COMPLAINTS, L);
        (found.notice, found.harm)
    };
    assert_eq!([9, 10, 29, 30].map(reached), [(false, false), (true, false), (true, false), (true, true)]);
    assert!(!rate(Tally::default(), Limits::COMPLAINTS, L).notice);
}

#[test]
fn answers_are_of_those_asked() {
    near(score([10, 10, 9, 8, 0], L).unwrap().nps.unwrap().value(), 40.0);
    assert!(score([12], L).is_err());
    near(csat(&[5, 4, 3, 1], L).unwrap().value(), 0.5);
    assert_eq!(csat(&[0], L), Err(Unknown::Impossible));
    assert_eq!(csat(&[], L), Err(Unknown::Empty));
    assert_eq!(response_rate(tally(12, 80), L).silent, 68);
    let requests = [
        (day(0), Some(day(1))),
        (day(0), Some(day(8))),
        (day(0), None),
        (day(0), Some(day(7))),
        (day(19), Some(day(19))),
    ];
    near(confirmation_rate(&requests, day(20), L).unwrap().value(), 0.5);
}

#[test]
fn dwell_time_stops_half_a_minute_after_the_last_input() {
    let beat = |visit, second, kind| Beat { visit, at: At::from_seconds(second), kind };
    let beats = [
        // 10 + 30 (of 100) + 5, then hidden for an hour, then 20.
        beat(1, 0, BeatKind::Shown),
        beat(1, 10, BeatKind::Input),
        beat(1, 110, BeatKind::Input),
        beat(1, 115, BeatKind::Hidden),
        beat(1, 3_715, BeatKind::Shown),
        beat(1, 3_735, BeatKind::Hidden),
        // Nothing is known after the only report.
        beat(2, 0, BeatKind::Shown),
    ];
    let found = active_seconds(&beats);
    assert_eq!((found[&1], found[&2]), (65.0, 0.0));
    let mut many = Vec::new();
    for visit in 0..7 {
        many.extend([beat(visit, 0, BeatKind::Shown), beat(visit, visit as i64, BeatKind::Hidden)]);
    }
    near(dwell(&many, L).median_seconds.unwrap().value(), 3.0);
    assert_eq!(dwell(&beats, L).visits, 2);
}

/// The lowest rate is not the weakest link: bringing one back is worth little beside losing one in ten of many.
#[test]
fn the_weakest_link_is_where_the_money_is() {
    let link = |key, now: Tally, cohorts: &[Tally], customers, value_minor| Transition {
        key,
        now,
        cohorts: cohorts.to_vec(),
        customers,
        value_minor,
    };
    let cohorts = [30, 35, 40, 45, 50].map(|hits| tally(hits, 100));
    let (links, unknown) = weakest_links(
        &[
            link("win-back", tally(4, 100), &[tally(5, 100)], 200, 2_000),
            link("second order", tally(300, 1_000), &cohorts, 1_000, 3_000),
            link("at its best", tally(60, 100), &cohorts, 1_000, 3_000),
            link("new", tally(1, 10), &[], 10, 100),
            link("nobody", Tally::default(), &cohorts, 10, 100),
        ],
        L,
    );
    let ranked: Vec<_> = links.iter().map(|link| (link.key, link.worth_minor, link.sure)).collect();
    // (0.45 − 0.30) · 1,000 · 30.00; (0.05 − 0.04) · 200 · 20.00.
    assert_eq!(
        ranked,
        [("second order", 450_000, true), ("win-back", 4_000, false), ("at its best", 0, false)]
    );
    assert_eq!(unknown, [("new", Unknown::TooFew { n: 0, needed: 1 }), ("nobody", Unknown::Empty)]);
}

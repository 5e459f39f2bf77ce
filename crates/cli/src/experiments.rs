//! Splits that learn, in words: how their ways stand, and how one run came by its way. Never computes a figure.

use std::fmt::Write as _;

use jiff::tz::TimeZone;
use zyklus_engine::experiment::{How, Range, Shares, SplitShares};
use zyklus_engine::why::WayWhy;
use zyklus_model::{At, Currency, Money};
use zyklus_runtime::Project;

use crate::show::{as_of, counted, table};

/// All splits of the files that learn.
pub(crate) fn experiments(found: Option<&(At, std::sync::Arc<Shares>)>, project: &Project) -> String {
    let mut text = String::new();
    for experiment in project.book.experiments() {
        let (journey, step) = (&experiment.journey.id, experiment.step);
        let _ = writeln!(text, "\nExperiment    {step} of {journey}, by {}.", experiment.learn);
        let found = found.and_then(|(at, shares)| Some((*at, experiment.found_in(shares)?)));
        match found {
            None => text.push_str("              No run tells anything yet: the weights in the file hold.\n"),
            Some((at, split)) => {
                text.push_str(&one(at, split, project.shop.currency, &project.shop.zone));
            }
        }
    }
    text
}

fn one(at: At, split: &SplitShares, currency: Currency, zone: &TimeZone) -> String {
    let money = |minor: f64| Money::new(minor.round() as i64, currency).decimal();
    let percent = |share: f64| format!("{:.1}", share * 100.0);
    let between = |range: Option<Range>, show: &dyn Fn(f64) -> String| {
        range.map_or("–".to_owned(), |r| format!("{} ({} to {})", show(r.value), show(r.low), show(r.high)))
    };
    let has_values = split.ways.iter().any(|way| way.value.is_some());
    let value = format!("{} a run", currency.code());
    let mut heads = vec!["way", "runs", "successes", "per cent"];
    heads.extend(has_values.then_some(value.as_str()));
    heads.extend(["the best", "share now"]);
    let mut rows = table(&heads);
    for way in &split.ways {
        let mut row =
            vec![way.name.clone(), way.runs.to_string(), way.hits.to_string(), between(way.rate, &percent)];
        row.extend(has_values.then(|| between(way.value, &money)));
        row.push(format!("{:.0} %", way.best * 100.0));
        row.push(format!("{} %", f64::from(way.share) / 100.0));
        rows.add_row(row);
    }
    let more = match split.more_runs {
        Some(0) => "The best is told from the next one.".to_owned(),
        Some(more) => {
            format!("About {} until the best is told from the next one.", counted(more, "more run"))
        }
        None => "How many more runs it takes cannot be said yet.".to_owned(),
    };
    format!("{rows}\n{more} These shares hold since {}.\n", as_of(at, zone))
}

/// How a run came by its way.
pub(crate) fn way(way: &WayWhy, zone: &TimeZone) -> String {
    let percent = |share: u32| format!("{} %", f64::from(share) / 100.0);
    let how = match way.drawn.how {
        How::Plain => "drawn by the weights in the file".to_owned(),
        How::Written(share) => {
            format!("drawn by the weights in the file, of which it had {}", percent(share))
        }
        How::Learned(share) => format!("drawn by a learned share of {}", percent(share)),
        How::Kept => "which an earlier run had been drawn into".to_owned(),
    };
    let now = way.share_now.map_or(String::new(), |(share, at)| {
        format!("; since {} its share is {}, by {}", as_of(at, zone), percent(share), way.learns_by)
    });
    format!("    went the way {} of {}, {how}{now}\n", way.drawn.way, way.step)
}

#[cfg(test)]
mod tests {
    use zyklus_engine::experiment::{Drawn, WayShare};

    use super::*;

    fn split() -> SplitShares {
        let range = |value: f64, by: f64| Some(Range { value, low: value - by, high: value + by });
        let way = |name: &str, share, best, (runs, hits), rate, value| WayShare {
            name: name.into(),
            share,
            best,
            runs,
            hits,
            rate,
            value,
        };
        SplitShares {
            journey: "j".into(),
            step: "split:s".into(),
            epoch: 0,
            measure: "the goal within 10d".into(),
            ways: vec![
                way("care", 8_725, 0.93, (400, 60), range(0.15, 0.03), range(1_234.0, 250.0)),
                way("nothing", 1_275, 0.07, (0, 0), None, None),
            ],
            more_runs: Some(1),
        }
    }

    #[test]
    fn a_split_is_told_with_its_intervals_and_what_it_takes() {
        let told = one(At::from_seconds(0), &split(), Currency::EUR, &TimeZone::UTC);
        let words = told.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "care 400 60 15.0 (12.0 to 18.0) 12.34 (9.84 to 14.84) 93 % 87.25 %",
            "nothing 0 0 – – 7 % 12.75 %",
            "EUR a run",
            "About 1 more run until the best is told from the next one. These shares hold since 1970-01-01 00:00:00 UTC.",
        ] {
            assert!(words.replace("│ ", "").replace("┆ ", "").contains(part), "{part}\n{told}");
        }
        let mut known = split();
        known.ways.iter_mut().for_each(|way| way.value = None);
        known.more_runs = Some(0);
        let told = one(At::from_seconds(0), &known, Currency::EUR, &TimeZone::UTC);
        assert!(told.contains("The best is told from the next one.") && !told.contains("EUR"), "{told}");
    }

    #[test]
    fn a_way_is_told_with_the_share_it_was_drawn_by_and_the_one_that_holds() {
        let told = |how, share_now| {
            let drawn = Drawn { way: "care".into(), how };
            let learns_by = "the goal within 10d".to_owned();
            way(&WayWhy { step: "split:s".into(), drawn, learns_by, share_now }, &TimeZone::UTC)
        };
        assert_eq!(
            told(How::Learned(8_725), Some((500, At::from_seconds(0)))),
            "    went the way care of split:s, drawn by a learned share of 87.25 %; \
             since 1970-01-01 00:00:00 UTC its share is 5 %, by the goal within 10d\n"
        );
        assert_eq!(
            told(How::Written(5_000), None),
            "    went the way care of split:s, drawn by the weights in the file, of which it had 50 %\n"
        );
        assert_eq!(
            told(How::Kept, None),
            "    went the way care of split:s, which an earlier run had been drawn into\n"
        );
    }
}

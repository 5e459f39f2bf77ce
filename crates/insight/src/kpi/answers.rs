//! What customers say: NPS, satisfaction, how many answer. One wave at a time.

use serde::Serialize;
use zyklus_model::At;

use crate::interval::{Answers, Figure, Level, Tally, Unknown, figure, nps, share};

/// A wave's net promoter score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// The answers by group, for the stacked bar.
    pub answers: Answers,
    /// From −100 to 100.
    #[serde(serialize_with = "figure")]
    pub nps: Figure,
}

/// The score of one wave's answers, 0 to 10 each.
///
/// # Errors
/// [`Unknown::Impossible`] if one is above ten.
pub fn score(answers: impl IntoIterator<Item = u8>, level: Level) -> Result<Score, Unknown> {
    let answers = Answers::of(answers)?;
    Ok(Score { answers, nps: nps(answers, level) })
}

/// The share of fours and fives of five.
///
/// # Errors
/// [`Unknown::Empty`] without answers, [`Unknown::Impossible`] for one that is not 1 to 5.
pub fn csat(answers: &[u8], level: Level) -> Figure {
    if answers.iter().any(|answer| !(1..=5).contains(answer)) {
        return Err(Unknown::Impossible);
    }
    share(Tally::count(answers.iter().map(|answer| *answer >= 4)), level)
}

/// How a survey, or a sign-up, is answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AnswerRates {
    /// Answers per delivered question. Delivered, not opened: opens are guesses.
    #[serde(serialize_with = "figure")]
    pub answered: Figure,
    /// How many were asked and said nothing.
    pub silent: u64,
}

/// Answers, or confirmations, of those asked.
pub fn response_rate(answered: Tally, level: Level) -> AnswerRates {
    AnswerRates { answered: share(answered, level), silent: answered.of() - answered.hits() }
}

/// For how many days a request for sign-up may be confirmed.
const CONFIRM_DAYS: i64 = 7;

/// The share of sign-up requests confirmed (double opt-in) within seven days, of those at least that old: when each was
/// made, and when it was confirmed.
///
/// # Errors
/// [`Unknown::Empty`] if none is old enough.
pub fn confirmation_rate(requests: &[(At, Option<At>)], now: At, level: Level) -> Figure {
    let until = |made: &At| made.plus_days(CONFIRM_DAYS);
    let old = requests.iter().filter(|(made, _)| until(made) <= now);
    share(Tally::count(old.map(|(made, at)| at.is_some_and(|at| at <= until(made)))), level)
}

//! Circuit breakers: a connector that is stuck as a whole, or that refuses one message after the other, gets nothing
//! for a while and is then tried with one. What it is to blame for costs no delivery a try. Never sends or writes.

use std::collections::BTreeMap;

use zyklus_model::{At, DeliveryId};

/// So many refusals without a success between are taken for the sender's fault, not the recipients'.
pub(crate) const IN_A_ROW: usize = 5;
/// The first rest, in microseconds; each one after it is twice as long …
const FIRST_REST: i64 = 30_000_000;
/// … up to this: it is also how late the first mail can be after a mail server is back.
const LONGEST_REST: i64 = 15 * 60_000_000;
/// The longest rest a connector may ask for.
pub(crate) const LONGEST_ASKED: i64 = 3_600_000_000;

/// How one connector has been doing since its last success.
#[derive(Debug, Default)]
struct Standing {
    /// Until when it gets nothing.
    until: Option<At>,
    /// How often in a row it was given a rest.
    times: u32,
    /// What it refused.
    refused: Vec<DeliveryId>,
    /// How many ended without an answer.
    silent: usize,
    /// Whether its refusals are no longer believed.
    is_open: bool,
}

/// How all connectors have been doing.
#[derive(Debug, Default)]
pub(crate) struct Breakers(BTreeMap<String, Standing>);

impl Breakers {
    /// Until when a connector gets nothing; `None` = it may have something.
    pub(crate) fn paused_until(&self, connector: &str, now: At) -> Option<At> {
        self.0.get(connector).and_then(|s| s.until).filter(|until| *until > now)
    }

    /// Whether a connector comes out of a rest and has to show first that it works.
    pub(crate) fn is_on_trial(&self, connector: &str) -> bool {
        self.0.get(connector).is_some_and(|s| s.times > 0)
    }

    /// It did something: all is well.
    pub(crate) fn succeeded(&mut self, connector: &str) {
        self.0.remove(connector);
    }

    /// Gives it a rest: half a minute, then twice as long every time, or as long as it asked for, an hour at most.
    /// Returns its end.
    pub(crate) fn pause(&mut self, connector: &str, now: At, asked: i64) -> At {
        let standing = self.0.entry(connector.to_owned()).or_default();
        match standing.until {
            Some(until) if until > now => until,
            _ => {
                let rest = (FIRST_REST << standing.times.min(10)).min(LONGEST_REST);
                let until = now.plus_micros(rest.max(asked.min(LONGEST_ASKED)));
                (standing.until, standing.times) = (Some(until), standing.times + 1);
                until
            }
        }
    }

    /// It refused these, the last it was given. Once they are too many in a row, refusals are no longer believed:
    /// then those that came before these are returned, to be taken back.
    pub(crate) fn refused(&mut self, connector: &str, these: &[DeliveryId]) -> Option<Vec<DeliveryId>> {
        let standing = self.0.entry(connector.to_owned()).or_default();
        if standing.is_open {
            return Some(Vec::new());
        }
        if standing.refused.len() + these.len() >= IN_A_ROW {
            standing.is_open = true;
            return Some(std::mem::take(&mut standing.refused));
        }
        standing.refused.extend_from_slice(these);
        None
    }

    /// So many of the last it was given ended without an answer; whether these are too many in a row.
    pub(crate) fn silent(&mut self, connector: &str, count: usize) -> bool {
        let standing = self.0.entry(connector.to_owned()).or_default();
        standing.silent += count;
        count > 0 && standing.silent >= IN_A_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_grow_to_a_quarter_of_an_hour_and_end_with_a_success() {
        let mut breakers = Breakers::default();
        let mut now = At::from_seconds(0);
        for seconds in [30, 60, 120, 240, 480, 900, 900] {
            assert_eq!(breakers.paused_until("mail", now), None);
            let until = breakers.pause("mail", now, 0);
            assert_eq!(until, now.plus_seconds(seconds));
            assert_eq!(breakers.pause("mail", now.plus_seconds(1), 0), until, "others of the same batch");
            assert_eq!(breakers.paused_until("mail", now.plus_seconds(seconds - 1)), Some(until));
            assert!(breakers.is_on_trial("mail"));
            now = until;
        }
        breakers.succeeded("mail");
        assert!(!breakers.is_on_trial("mail"));
        assert_eq!(breakers.pause("mail", now, 0), now.plus_seconds(30));
    }

    #[test]
    fn a_connector_cannot_ask_for_more_than_an_hour() {
        let now = At::from_seconds(0);
        assert_eq!(Breakers::default().pause("mail", now, i64::MAX), now.plus_seconds(3_600));
        assert_eq!(Breakers::default().pause("mail", now, 120_000_000), now.plus_seconds(120));
    }

    #[test]
    fn refusals_are_believed_until_there_are_five_in_a_row() {
        let id = |n: u8| DeliveryId::derive(&[&[n]]);
        let mut breakers = Breakers::default();
        assert_eq!(breakers.refused("mail", &[id(1), id(2)]), None);
        breakers.succeeded("mail");
        assert_eq!(breakers.refused("mail", &[id(3), id(4)]), None);
        assert_eq!(breakers.refused("mail", &[id(5), id(6), id(7)]), Some(vec![id(3), id(4)]));
        assert_eq!(breakers.refused("mail", &[id(8)]), Some(Vec::new()), "until it works again");
        breakers.succeeded("mail");
        assert_eq!(breakers.refused("mail", &[id(9)]), None);
    }
}

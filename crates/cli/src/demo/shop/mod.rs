//! The shop that `zyklus demo` brings along: "Lindenmoos", tea, coffee, spices and stoneware. Everything about
//! it is invented by a seeded generator: the same seed, newest instant and size give the same shop on every
//! machine. Its addresses lie under reserved domains. Never reads a clock or the system's randomness.
//!
//! A generated shop knows its whole past up to its newest instant. [`Shop::write`] writes its export as it
//! looked at any instant before, so that the last days can arrive step by step ([`Shop::moments`]).

mod calendar;
mod catalog;
mod dice;
mod export;
mod life;
mod people;
mod table;
mod trade;
mod words;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use zyklus_model::At;

use calendar::Calendar;
use catalog::PRODUCTS;
use dice::Dice;
use life::World;
use trade::{Fate, Trade};

/// The shop's name.
pub const NAME: &str = "Lindenmoos";
/// Its address, under a reserved top-level domain.
pub const URL: &str = "https://lindenmoos.example";
/// Its e-mail address.
pub const EMAIL: &str = "hallo@lindenmoos.example";
/// Where it stands, for its imprint. Invented.
pub const POSTAL_ADDRESS: &str = "Lindenmoos, Inh. Marit Ostwald, Am Alten Speicher 7, 99999 Musterstedt";
/// Its time zone.
pub const TIME_ZONE: &str = "Europe/Berlin";
/// The seed `zyklus demo` uses.
pub const SEED: u64 = 20_240_229;

/// Remembers which shop a folder holds.
const ANCHOR: &str = "shop.json";

/// How big a shop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// How many customers turn up in all; a handful who come on the last day come after the newest instant.
    pub customers: u32,
    /// Over how many months.
    pub months: u32,
}

impl Default for Size {
    fn default() -> Self {
        Size { customers: 2_500, months: 24 }
    }
}

/// What an export holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// People with an address, guests included.
    pub customers: usize,
    /// Products on offer.
    pub products: usize,
    /// Orders, cancelled ones included.
    pub orders: usize,
    /// Carts, ordered ones included.
    pub carts: usize,
    /// Reviews and answers.
    pub feedback: usize,
    /// Entries of the consent list.
    pub consents: usize,
    /// Visits, views and wishes.
    pub events: usize,
}

/// What a folder says about its shop.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Anchor {
    seed: u64,
    until: At,
    size: Size,
    /// The instant the folder's files show.
    written: At,
}

/// A generated shop.
pub struct Shop {
    seed: u64,
    until: At,
    size: Size,
    calendar: Calendar,
    trade: Trade,
}

impl Shop {
    /// Makes up a shop whose newest possible fact is at `until`.
    pub fn generate(seed: u64, until: At, size: Size) -> Self {
        let calendar = Calendar::new(until, size.months);
        let mut trade = Trade::default();
        let arrivals = calendar.arrivals(size.customers, &mut Dice::new(seed, 0));
        let mut taken: HashMap<String, u32> = HashMap::new();
        let mut unique = |mailbox: &str, domain: &str| {
            let count = taken.entry(format!("{mailbox}@{domain}")).or_insert(0);
            *count += 1;
            if *count == 1 { format!("{mailbox}@{domain}") } else { format!("{mailbox}{count}@{domain}") }
        };
        let world = World { calendar: &calendar, until };
        for (stream, arrival) in (1..).zip(arrivals) {
            life::live(&world, &mut trade, Dice::new(seed, stream), arrival, &mut unique);
        }
        trade.sort();
        Shop { seed, until, size, calendar, trade }
    }

    /// The shop whose export lies in a folder, with the instant its files show; `None` if none was written
    /// there yet. So a second run goes on with the same shop instead of inventing another.
    ///
    /// # Errors
    /// When `shop.json` cannot be read or is not one of ours.
    pub fn resume(dir: &Path) -> io::Result<Option<(Shop, At)>> {
        let text = match fs::read_to_string(dir.join(ANCHOR)) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        };
        let anchor: Anchor =
            serde_json::from_str(&text).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(Some((Shop::generate(anchor.seed, anchor.until, anchor.size), anchor.written)))
    }

    /// Its newest possible instant.
    pub fn until(&self) -> At {
        self.until
    }

    /// Writes the export as it looked at `upto` into a folder: files that would not change are left alone,
    /// months that had not begun are removed. Each file is replaced in one step. Returns how many changed.
    ///
    /// # Errors
    /// When the folder cannot be written; files already replaced stay so, and writing again completes it.
    pub fn write(&self, dir: &Path, upto: At) -> io::Result<usize> {
        let files = export::files(self, upto);
        let mut changed = 0;
        for folder in ["orders", "carts", "events"] {
            fs::create_dir_all(dir.join(folder))?;
            for entry in fs::read_dir(dir.join(folder))? {
                let entry = entry?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if is_month(&name) && !files.contains_key(&format!("{folder}/{name}")) {
                    fs::remove_file(entry.path())?;
                    changed += 1;
                }
            }
        }
        for (name, text) in &files {
            changed += usize::from(replace(dir, name, text)?);
        }
        let anchor = Anchor { seed: self.seed, until: self.until, size: self.size, written: upto };
        let text = serde_json::to_string_pretty(&anchor).map_err(io::Error::other)?;
        replace(dir, ANCHOR, &text)?;
        Ok(changed)
    }

    /// The instants after `after`, up to the newest, at which the export changes; ascending, each once.
    pub fn moments(&self, after: At) -> Vec<At> {
        let trade = &self.trade;
        let mut moments: Vec<At> = (0..PRODUCTS.len()).filter_map(|i| self.added_at(i)).collect();
        moments
            .extend(trade.people.iter().flat_map(|p| [p.listed_at, p.account_at, p.confirmed_at]).flatten());
        moments.extend(trade.carts.iter().flat_map(|c| [c.opened_at, c.closed_at]));
        moments.extend(trade.feedback.iter().map(|f| f.at));
        moments.extend(trade.consents.iter().map(|c| c.at));
        moments.extend(trade.events.iter().map(|e| e.at));
        for order in &trade.orders {
            moments.extend([order.placed_at, order.paid_at]);
            match &order.fate {
                Fate::Cancelled(at) => moments.push(*at),
                Fate::Delivered { shipped_at, delivered_at, refund } => {
                    moments.extend([*shipped_at, *delivered_at]);
                    moments.extend(refund.as_ref().map(|r| r.at));
                }
            }
        }
        moments.retain(|at| *at > after && *at <= self.until);
        moments.sort_unstable();
        moments.dedup();
        moments
    }

    /// What the export of an instant holds.
    pub fn counts(&self, upto: At) -> Counts {
        let trade = &self.trade;
        let mut seen: Vec<bool> =
            trade.people.iter().map(|p| p.listed_at.is_some_and(|l| l <= upto)).collect();
        for order in trade.orders.iter().filter(|o| o.placed_at <= upto) {
            seen[order.person] = true;
        }
        Counts {
            customers: seen.into_iter().filter(|s| *s).count(),
            products: (0..PRODUCTS.len()).filter(|i| self.added_at(*i).is_none_or(|at| at <= upto)).count(),
            orders: trade.orders.iter().filter(|o| o.placed_at <= upto).count(),
            carts: trade.carts.iter().filter(|c| c.opened_at <= upto).count(),
            feedback: trade.feedback.iter().filter(|f| f.at <= upto).count(),
            consents: trade.consents.iter().filter(|c| c.at <= upto).count(),
            events: trade.events.iter().filter(|e| e.at <= upto).count(),
        }
    }

    /// When a product was added; `None` if it was there from the start.
    fn added_at(&self, product: usize) -> Option<At> {
        let added = PRODUCTS[product].added;
        (added > 0).then(|| self.calendar.at(self.calendar.last - added, 8, 0, 0))
    }
}

/// The `[connectors.shop]` section that reads an export lying in the folder `shop` beside the configuration.
pub fn csv_section() -> &'static str {
    include_str!("connector.toml")
}

/// Whether a file name is one of ours, as `2026-03.csv`.
fn is_month(name: &str) -> bool {
    name.strip_suffix(".csv").is_some_and(|stem| {
        stem.len() == 7
            && stem.bytes().enumerate().all(|(i, b)| if i == 4 { b == b'-' } else { b.is_ascii_digit() })
    })
}

/// Puts a text into a file unless it is there already.
fn replace(dir: &Path, name: &str, text: &str) -> io::Result<bool> {
    let path = dir.join(name);
    match fs::read(&path) {
        Ok(old) if old == text.as_bytes() => return Ok(false),
        Ok(_) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    // The connector passes over names that begin with a dot.
    let half = dir.join(format!(".{}.part", name.replace('/', "-")));
    fs::write(&half, text)?;
    fs::rename(&half, &path)?;
    Ok(true)
}

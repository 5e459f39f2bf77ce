//! What is computed on, as files of whole numbers that Rust and Python read in the same way: one a column, four bytes
//! an entry, the lowest first. Invented where it is not the CDNOW log, and the same each time. Never measures.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use zyklus_insight::rfm::summarise;
use zyklus_model::At;

use crate::dice::Dice;

/// What customers and orders follow from.
const SEED: u64 = 0x5a79_6b6c_7573_0002;
/// The last day, counted from the first one: 104 weeks.
pub(crate) const LAST: u32 = 728;

/// A column's entries.
pub(crate) fn read(folder: &Path, name: &str) -> Result<Vec<u32>> {
    let path = folder.join(name);
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let (entries, rest) = bytes.as_chunks::<4>();
    ensure!(rest.is_empty(), "{} is cut off", path.display());
    Ok(entries.iter().map(|entry| u32::from_le_bytes(*entry)).collect())
}

/// Columns that are being written.
struct Columns<const N: usize>([BufWriter<File>; N]);

impl<const N: usize> Columns<N> {
    fn create(folder: &Path, names: [&str; N]) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let files: Vec<_> = names
            .iter()
            .map(|name| File::create(folder.join(name)).map(BufWriter::new))
            .collect::<Result<_, _>>()?;
        files.try_into().map(Columns).ok().context("a file for each name")
    }

    fn push(&mut self, row: [u32; N]) -> Result<()> {
        for (file, entry) in self.0.iter_mut().zip(row) {
            file.write_all(&entry.to_le_bytes())?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.0.iter_mut().try_for_each(|file| Ok(file.flush()?))
    }
}

/// A customer as BG/NBD has it, with the parameters that CDNOW's customers have (Fader, Hardie and Lee 2005, table 2).
struct Buyer {
    dice: Dice,
    /// Days since the first order.
    age: u32,
    /// The days after it on which there was another one, each once.
    days: Vec<u32>,
}

impl Buyer {
    fn invent(number: u64) -> Self {
        let mut dice = Dice::of(SEED, number);
        let age = 7 + dice.below(i64::from(LAST) - 6) as u32;
        let a_day = dice.gamma(0.243) / (4.414 * 7.0);
        let leaves = dice.beta(0.793, 2.426);
        let (mut at, mut days) = (0.0, Vec::new());
        loop {
            at += dice.wait() / a_day;
            // Not a number when a rate is too small for one: never, too.
            if at.is_nan() || at > f64::from(age) {
                break;
            }
            days.push(at.ceil() as u32);
            if dice.even() < leaves {
                break;
            }
        }
        days.dedup();
        Self { dice, age, days }
    }
}

/// Summaries of so many customers.
pub(crate) fn write_customers(folder: &Path, count: u64) -> Result<()> {
    let mut columns = Columns::create(folder, ["repeats", "recency", "age"])?;
    for buyer in (0..count).map(Buyer::invent) {
        let last = buyer.days.last().copied().unwrap_or(0);
        columns.push([u32::try_from(buyer.days.len())?, last, buyer.age])?;
    }
    columns.finish()
}

/// So many orders of such customers, day by day, as a shop's export has them.
pub(crate) fn write_orders(folder: &Path, count: usize) -> Result<()> {
    let mut orders = Vec::with_capacity(count + 1_000);
    for number in 0.. {
        let mut buyer = Buyer::invent(number);
        let customer = u32::try_from(number)?;
        for day in std::iter::once(0).chain(buyer.days) {
            let minor = 490 + buyer.dice.below(3_500) as u32;
            orders.push((LAST - buyer.age + day, customer, minor));
        }
        if orders.len() >= count {
            break;
        }
    }
    orders.truncate(count);
    // Of one day in no order.
    orders.sort_unstable_by_key(|(day, customer, _)| (*day, customer.wrapping_mul(0x9e37_79b1)));
    let mut columns = Columns::create(folder, ["customers", "days", "minors"])?;
    orders.iter().try_for_each(|(day, customer, minor)| columns.push([*customer, *day, *minor]))?;
    columns.finish()
}

/// So many order lines, 25 a customer on average, some items bought by nearly everybody and most by few.
pub(crate) fn write_lines(folder: &Path, count: u64) -> Result<()> {
    let items = (count / 250).max(100) as f64;
    let mut columns = Columns::create(folder, ["customers", "items", "days"])?;
    let mut written = 0;
    for number in 0.. {
        let mut dice = Dice::of(SEED, number);
        let customer = u32::try_from(number)?;
        // Each on a day of its own: buying an item twice is buying it on two days.
        let own = (1.0 + 24.0 * dice.wait()).min(f64::from(LAST)) as u32;
        for day in 0..own {
            if written == count {
                return columns.finish();
            }
            columns.push([customer, (items * dice.even().powi(2)) as u32, day])?;
            written += 1;
        }
    }
    columns.finish()
}

/// The customers of the unpacked CDNOW log as of the end of September 1997, each one or each tenth.
pub(crate) fn write_cdnow(folder: &Path, log: &Path, tenth: bool) -> Result<()> {
    let day = |word: &str| -> Result<i32> {
        let (year, month, day) = (word.get(..4), word.get(4..6), word.get(6..));
        let (year, month, day) = (year.context("a year")?, month.context("a month")?, day.context("a day")?);
        let at: At = format!("{year}-{month}-{day}T00:00:00Z").parse()?;
        Ok(i32::try_from(at.as_micros() / 86_400_000_000)?)
    };
    let (mut customers, mut days) = (Vec::new(), Vec::new());
    for line in std::fs::read_to_string(log)?.lines() {
        let mut words = line.split(' ');
        let (customer, date) = (words.next().context("a customer")?, words.next().context("a day")?);
        let customer: u32 = customer.parse()?;
        if !tenth || customer.is_multiple_of(10) {
            customers.push(customer);
            days.push(day(date)?);
        }
    }
    let summaries = summarise(&customers, &days, &vec![0; days.len()], day("19970930")?)?;
    let mut columns = Columns::create(folder, ["repeats", "recency", "age"])?;
    for (_, rfm) in &summaries {
        columns.push([rfm.repeats(), rfm.recency().as_days() as u32, rfm.age().as_days() as u32])?;
    }
    columns.finish()
}

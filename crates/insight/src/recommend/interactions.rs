//! Order lines as a sparse matrix of customers and items in compressed rows, with the days of every purchase. Never
//! keeps anything dense: its size follows the number of lines.

use std::ops::Range;

/// One line of an order that stands: cancelled and returned lines are the caller's to leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// The caller's number for the customer.
    pub customer: u32,
    /// The caller's number for the item.
    pub item: u32,
    /// The day of the order, counted from any fixed day, on the shop's calendar.
    pub day: i32,
    /// Pieces. A line of none says nothing and is dropped.
    pub quantity: u32,
}

/// One cell of the matrix: a customer's purchases of one item.
#[derive(Debug, Clone, Copy)]
struct Cell {
    /// Dense number of the item.
    item: u32,
    /// Pieces in all.
    quantity: u32,
    /// Where its days begin; they end where the next cell's begin.
    days_from: u32,
}

/// One customer's purchases of one item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purchases<'a> {
    /// The caller's number for the item.
    pub item: u32,
    /// Pieces in all.
    pub quantity: u32,
    /// The days it was bought on, rising, each once. Never empty.
    pub days: &'a [i32],
}

impl Purchases<'_> {
    /// How many separate purchases: days, not pieces and not lines.
    #[must_use]
    pub fn times(&self) -> u32 {
        u32::try_from(self.days.len()).unwrap_or(u32::MAX)
    }

    /// The last of them.
    #[must_use]
    pub fn last_day(&self) -> i32 {
        self.days.last().copied().unwrap_or(i32::MIN)
    }
}

/// Who bought what and when. The order in which lines are given makes no difference.
#[derive(Debug, Clone)]
pub struct Interactions {
    customers: Vec<u32>,
    items: Vec<u32>,
    /// Where each customer's cells begin, and at the end where the last one's end.
    rows: Vec<u32>,
    cells: Vec<Cell>,
    days: Vec<i32>,
}

impl Interactions {
    /// Sorts and compresses the lines. At most 2³² of them are kept, which no shop has.
    #[must_use]
    pub fn from_lines(mut lines: Vec<Line>) -> Self {
        lines.retain(|line| line.quantity > 0);
        lines.truncate(u32::MAX as usize);
        lines.sort_unstable_by_key(|line| {
            // The three keys as one number: comparing once is most of the time of sorting. The day's sign bit is
            // turned round so that days before the first come first.
            let day = line.day.cast_unsigned() ^ (1 << 31);
            u128::from(line.customer) << 64 | u128::from(line.item) << 32 | u128::from(day)
        });
        let items = Keys::of(&lines);
        let mut made = Self {
            customers: Vec::new(),
            items: Vec::new(),
            rows: Vec::new(),
            cells: Vec::new(),
            days: Vec::new(),
        };
        made.cells.reserve(lines.len());
        made.days.reserve(lines.len());
        let mut before: Option<Line> = None;
        for line in &lines {
            let same_customer = before.is_some_and(|before| before.customer == line.customer);
            if !same_customer {
                made.customers.push(line.customer);
                made.rows.push(count(made.cells.len()));
            }
            let same_item = same_customer && before.is_some_and(|before| before.item == line.item);
            if !same_item {
                let cell =
                    Cell { item: items.dense(line.item), quantity: 0, days_from: count(made.days.len()) };
                made.cells.push(cell);
            }
            if !same_item || before.is_some_and(|before| before.day != line.day) {
                made.days.push(line.day);
            }
            if let Some(cell) = made.cells.last_mut() {
                cell.quantity = cell.quantity.saturating_add(line.quantity);
            }
            before = Some(*line);
        }
        made.rows.push(count(made.cells.len()));
        made.items = items.sorted;
        made.cells.shrink_to_fit();
        made.days.shrink_to_fit();
        made
    }

    /// The customers' numbers, rising.
    #[must_use]
    pub fn customers(&self) -> &[u32] {
        &self.customers
    }

    /// The items' numbers, rising.
    #[must_use]
    pub fn items(&self) -> &[u32] {
        &self.items
    }

    /// What a customer bought, by rising item; nothing for one who is not known.
    pub fn purchases_of(&self, customer: u32) -> impl Iterator<Item = Purchases<'_>> {
        let row = self.customers.binary_search(&customer).map_or(0..0, |row| self.row(row));
        row.map(|cell| self.purchases(cell))
    }

    /// The cells of the customer at a place.
    pub(super) fn row(&self, row: usize) -> Range<usize> {
        self.rows[row] as usize..self.rows[row + 1] as usize
    }

    /// The dense number of a cell's item.
    pub(super) fn item_at(&self, cell: usize) -> u32 {
        self.cells[cell].item
    }

    /// The number of cells.
    pub(super) fn cell_count(&self) -> usize {
        self.cells.len()
    }

    /// The days of a cell, rising.
    pub(super) fn days_at(&self, cell: usize) -> &[i32] {
        let to = self.cells.get(cell + 1).map_or(self.days.len(), |next| next.days_from as usize);
        &self.days[self.cells[cell].days_from as usize..to]
    }

    fn purchases(&self, cell: usize) -> Purchases<'_> {
        let Cell { item, quantity, .. } = self.cells[cell];
        Purchases { item: self.items[item as usize], quantity, days: self.days_at(cell) }
    }
}

/// A number of lines or fewer, of which there are at most 2³².
pub(super) fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The distinct items and the place of each.
struct Keys {
    sorted: Vec<u32>,
    /// The places by number less the smallest one; empty when the numbers lie too far apart for a table.
    places: Vec<u32>,
}

impl Keys {
    fn of(lines: &[Line]) -> Self {
        let mut sorted: Vec<u32> = lines.iter().map(|line| line.item).collect();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.shrink_to_fit();
        let mut places = Vec::new();
        if let (Some(first), Some(last)) = (sorted.first(), sorted.last()) {
            let span = (last - first) as usize + 1;
            if span <= lines.len().saturating_mul(2) {
                places.resize(span, 0);
                for (place, item) in sorted.iter().enumerate() {
                    places[(item - first) as usize] = count(place);
                }
            }
        }
        Self { sorted, places }
    }

    fn dense(&self, item: u32) -> u32 {
        match (self.places.is_empty(), self.sorted.first()) {
            (false, Some(first)) => self.places[(item - first) as usize],
            _ => self.sorted.binary_search(&item).map_or(0, count),
        }
    }
}

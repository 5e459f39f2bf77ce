//! Items that the same customers buy, by BM25 or by log-likelihood ratio, the nearest few of each. Never holds more
//! than one row of the product of the matrix with itself.

use serde::{Deserialize, Serialize};

use super::interactions::{Interactions, count};
use crate::association::x_ln_x;

/// How two items are compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// The scalar product of the items' columns after BM25 weighting: an item's customers count less the more of
    /// them it has and the more they buy altogether.
    ///
    /// Source: S. Robertson and H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations
    /// and Trends in Information Retrieval 3(4), 2009, section 3.2; with items as documents, customers as terms and
    /// ln N − ln(1 + n) as the rarity of a term, as the `BM25Recommender` of the Python package implicit has it.
    Bm25 {
        /// How soon repeated purchases stop counting; 1.2 is usual.
        k1: f64,
        /// How much an item with many sales is marked down, 0 to 1; 0.75 is usual.
        b: f64,
    },
    /// Dunning's G² of "bought the one" and "bought the other" over customers, for pairs that attract each other.
    LogLikelihood,
}

impl Measure {
    /// BM25 with its usual constants.
    pub const BM25: Self = Self::Bm25 { k1: 1.2, b: 0.75 };
}

/// How neighbours are looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NeighbourOptions {
    /// The comparison.
    pub measure: Measure,
    /// How many neighbours an item keeps. 20 is usual.
    pub keep: usize,
    /// A pair counts from so many customers on. With one, a single customer's basket is a recommendation.
    pub least_customers: u32,
    /// Of a customer with more items than this only the most recently bought are looked at: a wholesaler's thousands
    /// of items would cost their square, and say little about what goes together.
    pub most_items: usize,
}

impl Default for NeighbourOptions {
    fn default() -> Self {
        Self { measure: Measure::BM25, keep: 20, least_customers: 2, most_items: 1000 }
    }
}

/// One neighbour of an item.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Dense number of the neighbour.
    pub(super) item: u32,
    /// How many customers bought both.
    pub times: u32,
    /// Above zero; comparable only within one measure and shop.
    pub score: f64,
}

/// Something a customer already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owned {
    /// The item.
    pub item: u32,
    /// How often they bought it.
    pub times: u32,
}

/// The nearest neighbours of every item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Neighbours {
    items: Vec<u32>,
    /// Those of one item after those of another.
    kept: Vec<Neighbour>,
    /// Where each item's begin, and at the end where the last one's end.
    starts: Vec<usize>,
}

impl Neighbours {
    /// Learns them. The work grows with the sum over customers of the square of their number of items, the memory
    /// with the number of cells and with `keep` times the number of items.
    #[must_use]
    pub fn learn(interactions: &Interactions, options: &NeighbourOptions) -> Self {
        let table = Table::of(interactions, options.most_items);
        let customers = interactions.customers().len();
        let item_count = interactions.items().len();
        let mut found = Heaps::new(item_count, options.keep.min(item_count));
        let least = options.least_customers.max(1);
        match options.measure {
            Measure::Bm25 { k1, b } => {
                let weighted = weighted(&table, k1.max(0.0), b.clamp(0.0, 1.0));
                table.pairs(
                    &weighted,
                    |(item, weight)| (*item, *weight),
                    |first, second, score, times| {
                        if times >= least && score.is_finite() && score > 0.0 {
                            found.offer(first, second, score, times);
                        }
                    },
                );
            }
            Measure::LogLikelihood => {
                let ratio = Ratio::of(&table, customers);
                table.pairs(
                    &table.items,
                    |item| (*item, 0.0),
                    |first, second, _, times| {
                        if times >= least
                            && let Some(score) = ratio.between(first, second, times)
                        {
                            found.offer(first, second, score, times);
                        }
                    },
                );
            }
        }
        found.sorted(interactions.items().to_vec())
    }

    /// The neighbours of an item and their numbers, nearest first; none for an item that is not known.
    pub fn of(&self, item: u32) -> impl Iterator<Item = (u32, Neighbour)> + '_ {
        let found = self.items.binary_search(&item).map_or(&[][..], |place| self.row(place));
        found.iter().map(|neighbour| (self.items[neighbour.item as usize], *neighbour))
    }

    /// What goes with the things a customer owns, best first: for each neighbour the sum of its scores, each times how
    /// often the customer bought what it is a neighbour of. With it the owned item that spoke for it most, and how many
    /// customers bought both. What is owned itself is not left out.
    #[must_use]
    pub fn cross_sell(&self, owned: &[Owned]) -> Vec<(u32, f64, Owned)> {
        let mut found: Vec<(u32, f64, Owned)> = Vec::new();
        for Owned { item, times } in owned {
            for (other, neighbour) in self.of(*item) {
                let with = Owned { item: *item, times: neighbour.times };
                found.push((other, neighbour.score * f64::from(*times), with));
            }
        }
        // By item, then best part first: the sum does not depend on the order of `owned`.
        found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.item.cmp(&b.2.item)));
        found.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        found
    }

    fn row(&self, place: usize) -> &[Neighbour] {
        &self.kept[self.starts[place]..self.starts[place + 1]]
    }
}

/// The matrix both ways, with what is more than `most_items` of a customer left out.
struct Table {
    /// Where each customer's items begin.
    rows: Vec<u32>,
    /// The items of each customer, rising.
    items: Vec<u32>,
    /// How often each was bought, beside `items`.
    times: Vec<u32>,
    /// Where each item's customers begin.
    columns: Vec<u32>,
    /// For each item, in rising order of customers: where the customer's items begin, and its own place among them.
    sales: Vec<(u32, u32)>,
}

impl Table {
    fn of(interactions: &Interactions, most_items: usize) -> Self {
        let item_count = interactions.items().len();
        let mut rows = Vec::with_capacity(interactions.customers().len() + 1);
        let mut items = Vec::with_capacity(interactions.cell_count());
        let mut times = Vec::with_capacity(interactions.cell_count());
        let mut cells: Vec<usize> = Vec::new();
        for row in 0..interactions.customers().len() {
            rows.push(count(items.len()));
            cells.clear();
            cells.extend(interactions.row(row));
            if cells.len() > most_items {
                cells.sort_by_key(|cell| {
                    (std::cmp::Reverse(interactions.days_at(*cell).last().copied()), *cell)
                });
                cells.truncate(most_items);
                cells.sort_unstable();
            }
            for cell in &cells {
                items.push(interactions.item_at(*cell));
                times.push(count(interactions.days_at(*cell).len()));
            }
        }
        rows.push(count(items.len()));
        let mut columns = vec![0u32; item_count + 1];
        for item in &items {
            columns[*item as usize + 1] += 1;
        }
        for item in 0..item_count {
            columns[item + 1] += columns[item];
        }
        let mut next = columns.clone();
        let mut sales = vec![(0, 0); items.len()];
        for row in 0..rows.len() - 1 {
            for place in rows[row]..rows[row + 1] {
                let slot = &mut next[items[place as usize] as usize];
                sales[*slot as usize] = (rows[row], place);
                *slot += 1;
            }
        }
        Self { rows, items, times, columns, sales }
    }

    fn item_count(&self) -> usize {
        self.columns.len() - 1
    }

    fn customers_of(&self, item: usize) -> u32 {
        self.columns[item + 1] - self.columns[item]
    }

    /// Calls `tell` once with every two items that share a customer, the later one first: the sum over their shared
    /// customers of the product of their weights, and how many those are. `cells` stand as `items` do; `read` gives the
    /// item and the weight of one, which are best kept side by side: fetching rows is most of the work.
    fn pairs<C>(
        &self,
        cells: &[C],
        read: impl Fn(&C) -> (u32, f64),
        mut tell: impl FnMut(usize, usize, f64, u32),
    ) {
        #[derive(Clone, Copy, Default)]
        struct Sum {
            score: f64,
            times: u32,
        }
        let mut sums = vec![Sum::default(); self.item_count()];
        let mut touched: Vec<u32> = Vec::new();
        for first in 0..self.item_count() {
            let sales = &self.sales[self.columns[first] as usize..self.columns[first + 1] as usize];
            for (from, place) in sales {
                // The product is symmetric and rows rise: what lies before this item's own place is half the work.
                let (others, own) = cells[*from as usize..].split_at((place - from) as usize);
                let own = own.first().map_or(0.0, |own| read(own).1);
                for (other, weight) in others.iter().map(&read) {
                    let sum = &mut sums[other as usize];
                    if sum.times == 0 {
                        touched.push(other);
                    }
                    sum.score += own * weight;
                    sum.times += 1;
                }
            }
            for other in touched.drain(..) {
                let sum = std::mem::take(&mut sums[other as usize]);
                tell(first, other as usize, sum.score, sum.times);
            }
        }
    }
}

/// Every cell's item and BM25 weight, as `items` stand.
fn weighted(table: &Table, k1: f64, b: f64) -> Vec<(u32, f64)> {
    let mut lengths = vec![0.0; table.item_count()];
    for (item, times) in table.items.iter().zip(&table.times) {
        lengths[*item as usize] += f64::from(*times);
    }
    let item_count = f64::from(count(table.item_count()));
    let average = lengths.iter().sum::<f64>() / item_count.max(1.0);
    let norms: Vec<f64> = lengths.iter().map(|length| k1 * (1.0 - b + b * length / average)).collect();
    let mut weighted = Vec::with_capacity(table.items.len());
    for row in table.rows.windows(2) {
        let range = row[0] as usize..row[1] as usize;
        // One who bought everything would be below zero, where two such customers speak for a pair instead of
        // against it. (Here implicit differs.)
        let rarity = (item_count.ln() - f64::from(count(range.len())).ln_1p()).max(0.0);
        for place in range {
            let (item, times) = (table.items[place], f64::from(table.times[place]));
            weighted.push((item, times * (k1 + 1.0) / (norms[item as usize] + times) * rarity));
        }
    }
    weighted
}

/// What every log-likelihood ratio of a matrix shares.
struct Ratio {
    customers: u64,
    sales: Vec<u64>,
    /// `x ln x` of small numbers, which are nearly all that are asked for.
    known: Vec<f64>,
    /// Of each item: `x ln x` of those who bought it plus that of those who did not.
    margins: Vec<f64>,
}

impl Ratio {
    const KNOWN: u64 = 1 << 20;

    fn of(table: &Table, customers: usize) -> Self {
        let customers = customers as u64;
        let known = (0..(customers + 1).min(Self::KNOWN)).map(x_ln_x).collect();
        let sales: Vec<u64> =
            (0..table.item_count()).map(|item| u64::from(table.customers_of(item))).collect();
        let margins = sales.iter().map(|sales| x_ln_x(*sales) + x_ln_x(customers - sales)).collect();
        Self { customers, sales, known, margins }
    }

    fn x_ln_x(&self, x: u64) -> f64 {
        usize::try_from(x).ok().and_then(|x| self.known.get(x)).copied().unwrap_or_else(|| x_ln_x(x))
    }

    /// The ratio, when the two attract each other.
    fn between(&self, first: usize, second: usize, both: u32) -> Option<f64> {
        let both = u64::from(both);
        let (one, other) = (self.sales[first] - both, self.sales[second] - both);
        let neither = self.customers - both - one - other;
        if u128::from(both) * u128::from(neither) <= u128::from(one) * u128::from(other) {
            return None;
        }
        let cells = self.x_ln_x(both) + self.x_ln_x(one) + self.x_ln_x(other) + self.x_ln_x(neither);
        let all = self.x_ln_x(self.customers);
        let score = 2.0 * (cells + all - self.margins[first] - self.margins[second]);
        (score > 0.0).then_some(score)
    }
}

/// The best few of every item so far, the worst of them on top.
struct Heaps {
    kept: Vec<Neighbour>,
    counts: Vec<u32>,
    /// The score of the worst kept one, once all places are taken: nearly all that is offered fails here, without
    /// touching the heap, which is too large for the processor's caches.
    least: Vec<f64>,
    keep: usize,
}

/// Whether `a` is the worse neighbour: lower score, then the later item, so that the outcome is always the same.
fn worse(a: &Neighbour, b: &Neighbour) -> bool {
    a.score < b.score || (a.score <= b.score && a.item > b.item)
}

impl Heaps {
    fn new(item_count: usize, keep: usize) -> Self {
        let nobody = Neighbour { item: 0, times: 0, score: 0.0 };
        let least = if keep == 0 { f64::INFINITY } else { f64::NEG_INFINITY };
        Self {
            kept: vec![nobody; item_count * keep],
            counts: vec![0; item_count],
            least: vec![least; item_count],
            keep,
        }
    }

    fn offer(&mut self, first: usize, second: usize, score: f64, times: u32) {
        if score >= self.least[first] {
            self.push(first, Neighbour { item: count(second), times, score });
        }
        if score >= self.least[second] {
            self.push(second, Neighbour { item: count(first), times, score });
        }
    }

    fn push(&mut self, item: usize, new: Neighbour) {
        let taken = self.counts[item] as usize;
        let heap = &mut self.kept[item * self.keep..(item + 1) * self.keep];
        if taken < heap.len() {
            self.counts[item] += 1;
            heap[taken] = new;
            let mut at = taken;
            while at > 0 && worse(&heap[at], &heap[(at - 1) / 2]) {
                heap.swap(at, (at - 1) / 2);
                at = (at - 1) / 2;
            }
            if taken + 1 == heap.len() {
                self.least[item] = heap[0].score;
            }
            return;
        }
        if worse(&new, &heap[0]) {
            return;
        }
        heap[0] = new;
        let mut at = 0;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let Some(left_one) = heap.get(left) else { break };
            let child = match heap.get(right) {
                Some(right_one) if worse(right_one, left_one) => right,
                _ => left,
            };
            if !worse(&heap[child], &heap[at]) {
                break;
            }
            heap.swap(at, child);
            at = child;
        }
        self.least[item] = heap[0].score;
    }

    fn sorted(mut self, items: Vec<u32>) -> Neighbours {
        let (mut kept, mut starts) = (Vec::new(), vec![0]);
        for (place, taken) in self.counts.iter().enumerate() {
            let heap = &mut self.kept[place * self.keep..][..*taken as usize];
            heap.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.item.cmp(&b.item)));
            kept.extend_from_slice(heap);
            starts.push(kept.len());
        }
        Neighbours { items, kept, starts }
    }
}

//! One customer's life with the shop, from the first visit to the last: how often they buy, what, and what
//! goes wrong. The shares are chosen to look like a small shop of consumables and presents; they copy nobody's.

use zyklus_model::At;

use super::calendar::Calendar;
use super::catalog::{CATEGORIES, PRESENTS, PRODUCTS};
use super::dice::Dice;
use super::people::{phone, somebody};
use super::trade::{Cart, Consent, Event, Fate, Feedback, Line, Order, Person, Refund, Trade};
use super::words;

const HOUR: i64 = 3600;
/// After so many days the shop clears a cart.
const CART_DAYS: i64 = 30;
const FOUND_BY: [(&str, u64); 5] =
    [("search", 38), ("recommendation", 22), ("social", 18), ("market stall", 12), ("press", 10)];
const NETWORKS: [&str; 3] = ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"];

/// How somebody buys.
#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Never, though the address is known.
    Looks,
    /// Once.
    Once,
    /// Every so many days, and stops after each order with this likelihood (in thousandths).
    Buys { every: i64, stops: u64 },
    /// Before Christmas.
    Presents,
}

impl Habit {
    fn draw(dice: &mut Dice) -> Self {
        match dice.weighted([13, 39, 31, 11, 6].into_iter()) {
            0 => Habit::Looks,
            1 => Habit::Once,
            2 => Habit::Buys { every: dice.between(60, 140), stops: 240 },
            3 => Habit::Buys { every: dice.between(26, 58), stops: 55 },
            _ => Habit::Presents,
        }
    }
}

/// What all lives share.
pub(super) struct World<'a> {
    pub(super) calendar: &'a Calendar,
    pub(super) until: At,
}

/// One customer while they are being made up.
struct Life<'a> {
    world: &'a World<'a>,
    trade: &'a mut Trade,
    dice: Dice,
    who: usize,
    habit: Habit,
    favourite: usize,
    /// From 0 to 100.
    content: i64,
    orders: u32,
    asked: bool,
    confirmed: bool,
    count: u32,
}

/// Lives the `who`-th customer's life, who turns up on a day.
pub(super) fn live(world: &World<'_>, trade: &mut Trade, mut dice: Dice, arrival: i64, unique: Unique<'_>) {
    let person = somebody(&mut dice);
    let email = unique(&person.mailbox, person.domain);
    let who = trade.people.len();
    let asks_phone = dice.chance(300);
    let (found_by, _) = FOUND_BY[dice.weighted(FOUND_BY.iter().map(|f| f.1))];
    trade.people.push(Person {
        first: person.first,
        last: person.last,
        email,
        phone: if asks_phone { phone(person.home.country, who) } else { None },
        home: person.home,
        found_by,
        listed_at: None,
        account_at: None,
        confirmed_at: None,
    });
    let habit = Habit::draw(&mut dice);
    let favourite = dice.weighted(CATEGORIES.iter().map(|c| c.1));
    let content =
        dice.between(35, 95) + if matches!(habit, Habit::Buys { stops: ..100, .. }) { 12 } else { 0 };
    let (orders, asked, confirmed, count) = (0, false, false, 0);
    Life { world, trade, dice, who, habit, favourite, content, orders, asked, confirmed, count }.run(arrival);
}

/// Makes an address nobody else has from a mailbox and a domain.
pub(super) type Unique<'a> = &'a mut dyn FnMut(&str, &str) -> String;

impl Life<'_> {
    fn run(&mut self, arrival: i64) {
        let mut day = arrival;
        if self.habit == Habit::Looks || self.dice.chance(260) {
            let at = self.moment(arrival);
            if at > self.world.until {
                return;
            }
            self.person().listed_at = Some(at);
            if self.dice.chance(250) {
                self.person().account_at = Some(at);
            } else {
                self.sign_up(at, "footer");
            }
            let visits = self.dice.between(1, 4);
            self.browse(arrival, arrival + 30, visits);
            if self.dice.chance(320) {
                self.abandon(arrival, arrival + 20);
            }
            day = self.world.calendar.near(arrival + 1, arrival + 21, &mut self.dice);
        }
        if self.habit != Habit::Looks {
            self.buy(day);
        }
    }

    /// Orders until the habit ends or the present is reached.
    fn buy(&mut self, mut day: i64) {
        let mut returned = false;
        loop {
            let placed_at = self.moment(day);
            if placed_at > self.world.until {
                return;
            }
            self.order(day, placed_at);
            let next = match self.habit {
                Habit::Buys { every, stops } if !self.dice.chance(stops) => {
                    let gap = self.dice.gap(every);
                    self.near(day + (gap - gap / 6).max(1), day + gap + gap / 4 + 2)
                }
                Habit::Presents if self.dice.chance(640) => {
                    let season = self.next_advent(day + 90);
                    self.near(season, season + 30)
                }
                habit => {
                    // Some come back after a long while.
                    let comes = if habit == Habit::Once { 55 } else { 170 };
                    let visits = self.dice.between(0, 2);
                    self.browse(day + 20, day + 220, visits);
                    if returned || !self.dice.chance(comes) {
                        return;
                    }
                    returned = true;
                    if habit == Habit::Once && self.dice.chance(400) {
                        self.habit = Habit::Buys { every: 90, stops: 300 };
                    }
                    self.near(day + 190, day + 400)
                }
            };
            let visits = self.dice.between(0, 3);
            self.browse(day + 3, next, visits);
            if self.dice.chance(200) && next - day > 12 {
                self.abandon(day + 5, next - 4);
            }
            day = next;
        }
    }

    fn order(&mut self, day: i64, placed_at: At) {
        self.orders += 1;
        self.register(placed_at);
        let mut lines = self.basket(day);
        let coupon = (self.orders == 1 && self.confirmed && self.dice.chance(550)).then(|| {
            lines.iter_mut().for_each(|line| line.cents -= (line.cents + 5) / 10);
            if self.trade.people[self.who].home.is_german() { "WILLKOMMEN10" } else { "WELCOME10" }
        });
        let value: i64 = lines.iter().map(|l| l.cents).sum();
        let (postage, free_from) = self.trade.people[self.who].home.postage;
        let postage = if value >= free_from { 0 } else { postage };
        let cart = self.dice.chance(340).then(|| {
            let earlier = self.dice.chance(260);
            let before =
                if earlier { self.dice.between(20 * HOUR, 70 * HOUR) } else { self.dice.between(300, HOUR) };
            self.cart(placed_at.plus_seconds(-before), placed_at, lines.clone())
        });
        let prepaid = self.dice.chance(110);
        let wait = if prepaid { self.dice.between(20 * HOUR, 66 * HOUR) } else { self.dice.between(15, 280) };
        let paid_at = placed_at.plus_seconds(wait);
        if !self.asked && self.dice.chance(380) {
            self.sign_up(placed_at, "checkout");
        }
        let fate = if self.dice.chance(22) {
            Fate::Cancelled(placed_at.plus_seconds(self.dice.between(HOUR / 2, 20 * HOUR)))
        } else {
            self.deliver(paid_at, &lines)
        };
        let person = self.who;
        self.trade.orders.push(Order { person, placed_at, paid_at, fate, lines, postage, coupon, cart });
    }

    /// Opens an account at the checkout, or buys as a guest.
    fn register(&mut self, placed_at: At) {
        let known = self.person().listed_at.is_some();
        let willing = match (known, self.orders) {
            (false, 1) => 740,
            (false, _) => 480,
            (true, _) => 620,
        };
        if self.person().account_at.is_none() && self.dice.chance(willing) {
            let at = placed_at.plus_seconds(-self.dice.between(40, 240));
            let person = self.person();
            person.account_at = Some(at);
            person.listed_at = person.listed_at.or(Some(at));
        }
    }

    /// Packs, sends and delivers; money may go back, opinions may follow.
    fn deliver(&mut self, paid_at: At, lines: &[Line]) -> Fate {
        let calendar = self.world.calendar;
        let home = self.trade.people[self.who].home;
        let paid = calendar.day(paid_at);
        let early = calendar.is_workday(paid) && paid_at < calendar.at(paid, 11, 0, 0);
        let day = if early { paid } else { calendar.workdays_after(paid, 1) };
        let shipped_at = calendar.at(day, self.dice.between(13, 16), self.dice.between(0, 59), 0);
        let arrives = calendar.workdays_after(day, self.dice.between(home.days.0, home.days.1));
        let delivered_at = calendar.at(arrives, self.dice.between(9, 18), self.dice.between(0, 59), 0);
        let refund = self.dice.chance(62).then(|| {
            self.content -= 20;
            let day = arrives + self.dice.between(3, 18);
            let at = self.moment(day);
            let cents = if self.dice.chance(400) {
                lines.iter().map(|l| l.cents).sum()
            } else {
                self.dice.pick(lines).cents
            };
            let reason = *self.dice.pick(&words::REASONS);
            Refund { at, cents, reason }
        });
        if self.dice.chance(170) {
            let product = self.dice.pick(lines).product;
            self.review(arrives, product);
        }
        if matches!(self.orders, 1 | 3 | 7 | 13) && self.dice.chance(190) {
            self.recommend(arrives);
        }
        Fate::Delivered { shipped_at, delivered_at, refund }
    }

    fn review(&mut self, arrived: i64, product: usize) {
        let mood = (self.content + self.dice.between(-25, 25)).clamp(0, 100);
        let score = match mood {
            ..15 => 1,
            15..24 => 2,
            24..40 => 3,
            40..62 => 4,
            _ => 5,
        };
        self.say(arrived + 5, arrived + 24, Some(product), score, words::reviews, 720);
    }

    fn recommend(&mut self, arrived: i64) {
        let mood = (self.content + self.dice.between(-22, 22)).clamp(0, 100);
        self.say(arrived + 12, arrived + 20, None, (mood + 8) * 10 / 108, words::answers, 350);
    }

    fn say(
        &mut self,
        from: i64,
        to: i64,
        product: Option<usize>,
        score: i64,
        texts: fn(bool, i64) -> &'static [&'static str],
        talks: u64,
    ) {
        let day = self.near(from, to);
        let at = self.moment(day);
        let german = self.trade.people[self.who].home.is_german();
        let text = if self.dice.chance(talks) { *self.dice.pick(texts(german, score)) } else { "" };
        let id = self.name(if product.is_some() { 'R' } else { 'N' });
        self.trade.feedback.push(Feedback { id, person: self.who, at, product, score, text });
    }

    /// Asks for the newsletter; most confirm, some leave again.
    fn sign_up(&mut self, at: At, form: &'static str) {
        self.asked = true;
        let wording = if self.world.calendar.day(at) * 2 < self.world.calendar.last { "v3" } else { "v4" };
        let network = *self.dice.pick(&NETWORKS);
        let person = self.who;
        let asked = Consent { person, at, state: "pending", form, wording, network, asked_at: None };
        self.trade.consents.push(asked);
        if !self.dice.chance(840) {
            return;
        }
        let quick = self.dice.chance(700);
        let wait = if quick { self.dice.between(40, 1200) } else { self.dice.between(1200, 30 * HOUR) };
        let granted = at.plus_seconds(wait);
        self.confirmed = true;
        self.person().confirmed_at = Some(granted);
        let entry =
            Consent { person, at: granted, state: "granted", form, wording, network, asked_at: Some(at) };
        self.trade.consents.push(entry);
        if self.dice.chance(150) {
            let day = self.world.calendar.day(granted) + self.dice.between(12, 420);
            let at = self.moment(day);
            let form = "unsubscribe link";
            let entry = Consent { person, at, state: "withdrawn", form, wording, network, asked_at: None };
            self.trade.consents.push(entry);
        }
    }

    /// Puts things into a cart and leaves.
    fn abandon(&mut self, from: i64, to: i64) {
        let day = self.near(from, to);
        let at = self.moment(day);
        let listed = self.person().listed_at.is_some_and(|l| l < at);
        if at > self.world.until || !listed {
            return;
        }
        let lines = self.basket(day);
        self.cart(at, at.plus_days(CART_DAYS), lines);
    }

    fn cart(&mut self, opened_at: At, closed_at: At, lines: Vec<Line>) -> String {
        let id = self.name('C');
        self.trade.carts.push(Cart { id: id.clone(), person: self.who, opened_at, closed_at, lines });
        id
    }

    /// What somebody puts into a cart.
    fn basket(&mut self, day: i64) -> Vec<Line> {
        let (month, last) = (self.world.calendar.date(day).month(), self.world.calendar.last);
        let advent = month >= 11;
        let mut count = 1 + self.dice.weighted([42, 31, 18, 9].into_iter());
        count += usize::from(advent && self.dice.chance(300));
        let mut lines: Vec<Line> = Vec::new();
        for _ in 0..count {
            let category = if self.dice.chance(560) {
                self.favourite
            } else {
                let more = |i: usize| if i == PRESENTS && advent { 5 } else { 1 };
                self.dice.weighted(CATEGORIES.iter().enumerate().map(|(i, c)| c.1 * more(i)))
            };
            let weight = |i: usize| {
                let product = &PRODUCTS[i];
                let old = product.added == 0 || day > last - product.added;
                let sold = product.category == category && old && product.sells_in(month);
                if sold { product.weight } else { 0 }
            };
            let product = self.dice.weighted((0..PRODUCTS.len()).map(weight));
            let quantity = 1 + self.dice.weighted([82, 14, 4].into_iter()) as i64;
            if lines.iter().all(|l| l.product != product) {
                lines.push(Line { product, quantity, cents: PRODUCTS[product].cents * quantity });
            }
        }
        lines
    }

    /// Visits the shop's pages; only those it knows leave a trace.
    fn browse(&mut self, from: i64, to: i64, visits: i64) {
        for _ in 0..visits {
            let day = self.near(from, to);
            let at = self.moment(day);
            let known = self.person().listed_at.is_some_and(|l| l < at);
            if at > self.world.until || !known {
                continue;
            }
            let category = self.favourite;
            let seconds = self.dice.between(15, 420);
            self.event(at, "site.visited", None, category, seconds);
            if self.dice.chance(550) {
                let product = self.basket(day)[0].product;
                let category = PRODUCTS[product].category;
                let seen = at.plus_seconds(self.dice.between(10, 90));
                let seconds = self.dice.between(5, 90);
                self.event(seen, "product.viewed", Some(product), category, seconds);
                if self.dice.chance(90) {
                    self.event(seen.plus_seconds(20), "wishlist.added", Some(product), category, 0);
                }
            }
        }
    }

    fn event(&mut self, at: At, name: &'static str, product: Option<usize>, category: usize, seconds: i64) {
        let id = self.name('E');
        self.trade.events.push(Event { id, person: self.who, at, name, product, category, seconds });
    }

    fn person(&mut self) -> &mut Person {
        &mut self.trade.people[self.who]
    }

    fn moment(&mut self, day: i64) -> At {
        self.world.calendar.moment(day, &mut self.dice)
    }

    fn near(&mut self, from: i64, to: i64) -> i64 {
        self.world.calendar.near(from, to, &mut self.dice)
    }

    /// The next 12th of November from a day on.
    fn next_advent(&self, from: i64) -> i64 {
        let is_start = |day: &i64| {
            let date = self.world.calendar.date(*day);
            (date.month(), date.day()) == (11, 12)
        };
        (from..from + 366).find(is_start).unwrap_or(from + 366)
    }

    /// An id of something of this customer's.
    fn name(&mut self, kind: char) -> String {
        self.count += 1;
        format!("{kind}{:05}-{}", self.who + 1, self.count)
    }
}

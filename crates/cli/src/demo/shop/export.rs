//! The shop's export: every file as it looked at some instant. Never changes the trade it shows.

use std::collections::BTreeMap;

use zyklus_model::At;

use super::catalog::{CATEGORIES, PRODUCTS, id};
use super::table::Table;
use super::trade::{Fate, Line, Order};
use super::{Shop, URL};

/// Files by their name below the export's folder.
pub(super) type Files = BTreeMap<String, String>;

const LINES: &str = "product_no,product,quantity,line_total,categories,product_url";

/// All files at an instant.
pub(super) fn files(shop: &Shop, at: At) -> Files {
    let view = View { shop, at };
    let mut files = Files::new();
    files.insert("products.csv".into(), view.products());
    files.insert("customers.csv".into(), view.customers());
    files.insert("consents.csv".into(), view.consents());
    files.insert("reviews.csv".into(), view.reviews());
    view.orders(&mut files);
    view.carts(&mut files);
    view.events(&mut files);
    files
}

struct View<'a> {
    shop: &'a Shop,
    at: At,
}

impl View<'_> {
    /// An instant, once it has come.
    fn once(&self, at: At) -> Option<At> {
        (at <= self.at).then_some(at)
    }

    /// The customer's number, as far as the shop had listed them when something happened.
    fn number(&self, person: usize, when: At) -> String {
        let listed = self.shop.trade.people[person].listed_at.is_some_and(|l| l <= when);
        if listed { customer_no(person) } else { String::new() }
    }

    fn products(&self) -> String {
        let mut table = Table::new("product_no,title,title_en,price,category,in_stock,added_at,url");
        let calendar = &self.shop.calendar;
        let month = calendar.date(calendar.day(self.at)).month();
        for (i, product) in PRODUCTS.iter().enumerate() {
            let added_at = self.shop.added_at(i);
            if added_at.is_some_and(|added| added > self.at) {
                continue;
            }
            table.text(&id(i)).text(product.de).text(product.en).euros(product.cents);
            table.text(CATEGORIES[product.category].0).show(product.sells_in(month)).at(added_at);
            table.show(format_args!("{URL}/produkt/{}", product.slug)).end();
        }
        table.into_text()
    }

    fn customers(&self) -> String {
        let columns = "customer_no,email,email_confirmed,first_name,last_name,phone,language,country,\
                       time_zone,since,changed_at,has_account,found_by";
        let mut table = Table::new(columns);
        let people = &self.shop.trade.people;
        let mut listed: Vec<(At, usize)> =
            (0..people.len()).filter_map(|i| Some((self.once(people[i].listed_at?)?, i))).collect();
        listed.sort_unstable();
        for (since, i) in listed {
            let person = &people[i];
            let account = person.account_at.and_then(|at| self.once(at));
            let confirmed = person.confirmed_at.and_then(|at| self.once(at));
            let changed = since.max(account.unwrap_or(since)).max(confirmed.unwrap_or(since));
            let is_proven = account.is_some() || confirmed.is_some();
            table.text(&customer_no(i)).text(&person.email).show(is_proven).text(person.first);
            table.text(person.last).text(person.phone.as_deref().unwrap_or_default());
            table.text(person.home.locale).text(person.home.country).text(person.home.zone);
            table.show(since).show(changed).show(account.is_some()).text(person.found_by).end();
        }
        table.into_text()
    }

    fn consents(&self) -> String {
        let columns = "customer_no,email,status,at,channel,purpose,form,wording,network,requested_at";
        let mut table = Table::new(columns);
        for entry in self.shop.trade.consents.iter().filter(|c| c.at <= self.at) {
            table.text(&self.number(entry.person, entry.at));
            table.text(&self.shop.trade.people[entry.person].email).text(entry.state).show(entry.at);
            table.text("email").text("marketing").text(entry.form).text(entry.wording);
            table.text(entry.network).at(entry.asked_at).end();
        }
        table.into_text()
    }

    fn reviews(&self) -> String {
        let mut table = Table::new("id,customer_no,email,kind,score,text,product_no,at");
        for said in self.shop.trade.feedback.iter().filter(|f| f.at <= self.at) {
            let kind = if said.product.is_some() { "review" } else { "nps" };
            table.text(&said.id).text(&self.number(said.person, said.at));
            table.text(&self.shop.trade.people[said.person].email).text(kind).show(said.score);
            table.text(said.text).text(&said.product.map(id).unwrap_or_default()).show(said.at).end();
        }
        table.into_text()
    }

    fn orders(&self, files: &mut Files) {
        let columns = "order_no,customer_no,email,first_name,last_name,country,language,ordered_at,changed_at,\
                       status,paid_at,shipped_at,delivered_at,cancelled_at,total,refunded,refunded_at,\
                       refund_reason,coupon,cart_no,";
        let columns = format!("{columns}{LINES}");
        let mut months = Months::new("orders", &columns);
        for (i, order) in self.shop.trade.orders.iter().enumerate() {
            if order.placed_at > self.at {
                break;
            }
            let table = months.of(self.shop, order.placed_at);
            for line in &order.lines {
                self.order(table, i, order);
                self.line(table, order.person, line);
            }
        }
        months.into_files(files);
    }

    fn order(&self, table: &mut Table, i: usize, order: &Order) {
        let person = &self.shop.trade.people[order.person];
        let (mut shipped, mut delivered, mut cancelled, mut refund) = (None, None, None, None);
        match &order.fate {
            Fate::Cancelled(at) => cancelled = self.once(*at),
            Fate::Delivered { shipped_at, delivered_at, refund: back } => {
                (shipped, delivered) = (self.once(*shipped_at), self.once(*delivered_at));
                refund = back.as_ref().filter(|r| r.at <= self.at);
            }
        }
        // An order cancelled before it was paid for never was.
        let paid = self.once(order.paid_at).filter(|p| cancelled.is_none_or(|c| *p < c));
        let status = match (cancelled, delivered, shipped, paid) {
            (Some(_), ..) => "cancelled",
            (_, Some(_), ..) => "delivered",
            (_, _, Some(_), _) => "shipped",
            (.., Some(_)) => "paid",
            (.., None) => "open",
        };
        let changes = [paid, shipped, delivered, cancelled, refund.map(|r| r.at)];
        let changed = changes.into_iter().flatten().fold(order.placed_at, At::max);
        let total = order.lines.iter().map(|l| l.cents).sum::<i64>() + order.postage;
        table.text(&order_no(i)).text(&self.number(order.person, order.placed_at)).text(&person.email);
        table.text(person.first).text(person.last).text(person.home.country).text(person.home.locale);
        table.show(order.placed_at).show(changed).text(status);
        table.at(paid).at(shipped).at(delivered).at(cancelled).euros(total);
        match refund {
            Some(back) => table.euros(back.cents).show(back.at).text(back.reason),
            None => table.text("").text("").text(""),
        };
        table.text(order.coupon.unwrap_or_default()).text(order.cart.as_deref().unwrap_or_default());
    }

    fn line(&self, table: &mut Table, person: usize, line: &Line) {
        let product = &PRODUCTS[line.product];
        let german = self.shop.trade.people[person].home.is_german();
        table.text(&id(line.product)).text(if german { product.de } else { product.en });
        table.show(line.quantity).euros(line.cents).text(CATEGORIES[product.category].0);
        table.show(format_args!("{URL}/produkt/{}", product.slug)).end();
    }

    fn carts(&self, files: &mut Files) {
        let columns = "cart_no,customer_no,email,first_name,last_name,language,is_open,changed_at,cart_url,";
        let columns = format!("{columns}{LINES}");
        let mut months = Months::new("carts", &columns);
        for cart in self.shop.trade.carts.iter().take_while(|c| c.opened_at <= self.at) {
            let person = &self.shop.trade.people[cart.person];
            let closed = self.once(cart.closed_at);
            let table = months.of(self.shop, cart.opened_at);
            for line in &cart.lines {
                table.text(&cart.id).text(&self.number(cart.person, cart.opened_at)).text(&person.email);
                table.text(person.first).text(person.last).text(person.home.locale);
                table.show(closed.is_none()).show(closed.unwrap_or(cart.opened_at));
                table.show(format_args!("{URL}/warenkorb/{}", cart.id));
                self.line(table, cart.person, line);
            }
        }
        months.into_files(files);
    }

    fn events(&self, files: &mut Files) {
        let mut months = Months::new("events", "id,customer_no,name,at,category,product,seconds");
        for event in self.shop.trade.events.iter().take_while(|e| e.at <= self.at) {
            let table = months.of(self.shop, event.at);
            table.text(&event.id).text(&customer_no(event.person)).text(event.name).show(event.at);
            table.text(CATEGORIES[event.category].0).text(&event.product.map(id).unwrap_or_default());
            if event.seconds > 0 { table.show(event.seconds) } else { table.text("") }.end();
        }
        months.into_files(files);
    }
}

/// A folder with a file per month (of the shop's time zone).
struct Months<'a> {
    folder: &'a str,
    columns: &'a str,
    tables: BTreeMap<(i16, i8), Table>,
}

impl<'a> Months<'a> {
    fn new(folder: &'a str, columns: &'a str) -> Self {
        Months { folder, columns, tables: BTreeMap::new() }
    }

    fn of(&mut self, shop: &Shop, at: At) -> &mut Table {
        let date = shop.calendar.date(shop.calendar.day(at));
        self.tables.entry((date.year(), date.month())).or_insert_with(|| Table::new(self.columns))
    }

    fn into_files(self, files: &mut Files) {
        for ((year, month), table) in self.tables {
            files.insert(format!("{}/{year}-{month:02}.csv", self.folder), table.into_text());
        }
    }
}

/// A customer's number.
pub(super) fn customer_no(person: usize) -> String {
    format!("K{}", 10_001 + person)
}

/// An order's number.
pub(super) fn order_no(order: usize) -> String {
    format!("B-{}", 20_001 + order)
}

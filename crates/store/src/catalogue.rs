//! What the shops sell: products and coupons, and the money nobody could convert. Never recommends anything.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use uuid::Uuid;
use zyklus_model::address::clean_text;
use zyklus_model::{CouponRecord, Currency, Money, Product, ProductId, ProductRecord, Record};

use crate::arg::{Arg, Stamp, args};
use crate::column::named;
use crate::error::{Result, StoreError};
use crate::identity::name_of;
use crate::ingest::{Ingest, IngestReport, content_hash, json_text};
use crate::open::Store;
use crate::past;
use crate::tx::{CHUNK, Sql, Tx};

const PRODUCT: &str =
    "SELECT system, external_id, id, title, url, image_url, price_minor, currency, categories,
    available FROM product";

named! {
    struct ProductRow {
        system: String,
        external_id: String,
        id: Uuid,
        title: String,
        url: Option<String>,
        image_url: Option<String>,
        price_minor: Option<i64>,
        currency: Option<String>,
        categories: String,
        available: bool,
    }
}

impl ProductRow {
    fn read(self) -> Result<Product> {
        let price = match (self.price_minor, &self.currency) {
            (Some(minor), Some(code)) => {
                Some(Money::new(minor, code.parse().map_err(|e| StoreError::unreadable("currency", e))?))
            }
            _ => None,
        };
        let categories = serde_json::from_str(&self.categories);
        Ok(Product {
            id: ProductId::from_uuid(self.id),
            system: self.system,
            external_id: self.external_id,
            title: self.title,
            url: self.url,
            image_url: self.image_url,
            price,
            categories: categories.map_err(|e| StoreError::unreadable("product", e))?,
            available: self.available,
        })
    }
}

impl Store {
    /// Products by connector and the shop's id, in the order asked for; unknown ones are left out.
    ///
    /// # Errors
    /// The database.
    pub async fn products(&self, ids: &[(String, String)]) -> Result<Vec<Product>> {
        let wanted: Vec<(ProductId, usize)> =
            ids.iter().enumerate().map(|(n, (system, id))| (product_id(system, id), n)).collect();
        let mut by_system: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (system, id) in ids {
            by_system.entry(system).or_default().insert(id);
        }
        let mut found: HashMap<ProductId, Product> = HashMap::new();
        let mut tx = self.reader().await?;
        for (system, ids) in by_system {
            for some in ids.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
                let mut sql = Sql::new(tx.dialect(), PRODUCT);
                sql.push(" WHERE system = ")
                    .bind(system)
                    .push(" AND external_id IN ")
                    .list(some.iter().copied());
                for row in tx.rows::<ProductRow>(sql).await? {
                    let product = row.read()?;
                    found.insert(product.id, product);
                }
            }
        }
        tx.commit().await?;
        Ok(wanted.into_iter().filter_map(|(id, _)| found.get(&id).cloned()).collect())
    }

    /// The products that can be bought, the last changed first.
    ///
    /// # Errors
    /// The database.
    pub async fn newest_products(&self, limit: u32) -> Result<Vec<Product>> {
        let sql = "SELECT system, external_id, id, title, url, image_url, price_minor, currency, categories, available
                   FROM product WHERE available ORDER BY coalesce(updated_at, $2) DESC, system, external_id LIMIT $1";
        let limit = args![i64::from(limit), zyklus_model::At::MIN];
        let rows: Vec<ProductRow> = self.peek().await?.fetch(sql, limit).await?;
        rows.into_iter().map(ProductRow::read).collect()
    }

    /// System and id of all products that can be bought now.
    ///
    /// # Errors
    /// The database.
    pub async fn on_offer(&self) -> Result<HashSet<(String, String)>> {
        let sql = "SELECT system, external_id FROM product WHERE available";
        Ok(self.peek().await?.fetch(sql, args![]).await?.into_iter().collect())
    }

    /// Products that cannot be bought now, by their id in the shop.
    ///
    /// # Errors
    /// The database.
    pub async fn sold_out(&self) -> Result<BTreeSet<String>> {
        let sql = "SELECT external_id FROM product WHERE NOT available";
        let rows: Vec<(String,)> = self.peek().await?.fetch(sql, args![]).await?;
        Ok(rows.into_iter().map(|(id,)| id).collect())
    }

    /// How many orders and carts have an amount without a rate into the reporting currency, by currency.
    ///
    /// # Errors
    /// The database.
    pub async fn unrated(&self) -> Result<BTreeMap<Currency, u64>> {
        let sql =
            "SELECT currency, count(*) FROM orders WHERE total_reporting_minor IS NULL GROUP BY currency
                   UNION ALL
                   SELECT currency, count(*) FROM cart WHERE total_reporting_minor IS NULL GROUP BY currency";
        let rows: Vec<(String, i64)> = self.peek().await?.fetch(sql, args![]).await?;
        let mut unrated = BTreeMap::new();
        for (code, count) in rows {
            let currency: Currency = code.parse().map_err(|e| StoreError::unreadable("currency", e))?;
            *unrated.entry(currency).or_default() += u64::try_from(count).unwrap_or(0);
        }
        Ok(unrated)
    }
}

/// Our id of a product.
fn product_id(system: &str, external_id: &str) -> ProductId {
    ProductId::derive(&[system.as_bytes(), clean_text(external_id, 255).as_bytes()])
}

named! {
    struct KnownRow {
        external_id: String,
        updated_at: Option<Stamp>,
        content_hash: i64,
    }
}

/// A product or coupon to be written.
struct Item<'r> {
    row: Vec<Arg<'r>>,
    hash: i64,
    updated_at: Option<zyklus_model::At>,
}

/// Writes a page's products and coupons.
pub(crate) async fn write(tx: &mut Tx, ingest: &Ingest, report: &mut IngestReport) -> Result<()> {
    let system = ingest.connector.as_str();
    // `None` = gone.
    let mut products: BTreeMap<String, Vec<Option<Item<'_>>>> = BTreeMap::new();
    let mut coupons: BTreeMap<String, Vec<Option<Item<'_>>>> = BTreeMap::new();
    for record in &ingest.records {
        let (table, external_id, item) = match record {
            Record::Product(r) => (&mut products, &r.external_id, Some(product(r, ingest)?)),
            Record::Coupon(r) => (&mut coupons, &r.external_id, Some(coupon(r, system)?)),
            Record::Deleted(r) if r.kind == "product" => (&mut products, &r.external_id, None),
            Record::Deleted(r) if r.kind == "coupon" => (&mut coupons, &r.external_id, None),
            _ => continue,
        };
        table.entry(clean_text(external_id, 255)).or_default().push(item);
    }
    let head = "INSERT INTO product
        (system, external_id, id, title, url, image_url, price_minor, currency, categories, available, updated_at,
         content_hash, written_at)";
    let select = "SELECT external_id, updated_at, content_hash FROM product WHERE system = ";
    report.changed += replace(tx, ingest, "product", select, head, products).await?;
    let head = "INSERT INTO coupon
        (system, external_id, code, name, enabled, starts_at, ends_at, percent, amount_minor, currency, used,
         content_hash)";
    let select = "SELECT external_id, starts_at AS updated_at, content_hash FROM coupon WHERE system = ";
    report.changed += replace(tx, ingest, "coupon", select, head, coupons).await?;
    Ok(())
}

async fn replace(
    tx: &mut Tx,
    ingest: &Ingest,
    table: &str,
    select: &str,
    head: &str,
    items: BTreeMap<String, Vec<Option<Item<'_>>>>,
) -> Result<u64> {
    let system = ingest.connector.as_str();
    let ids: Vec<String> = items.keys().cloned().collect();
    let mut known: HashMap<String, KnownRow> = HashMap::new();
    for some in ids.chunks(CHUNK) {
        let mut sql = Sql::new(tx.dialect(), select);
        sql.bind(system).push(" AND external_id IN ").list(some.iter());
        for row in tx.rows::<KnownRow>(sql).await? {
            known.insert(row.external_id.clone(), row);
        }
    }
    let mut gone: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    let mut count = 0;
    for (id, words) in items {
        let stored = known.get(&id);
        let mut now: Option<(i64, Option<zyklus_model::At>)> =
            stored.map(|row| (row.content_hash, row.updated_at.as_ref().map(|at| at.0)));
        let mut row = None;
        for word in words {
            match word {
                None => (now, row) = (None, None),
                Some(item) => {
                    let is_stale = table == "product"
                        && item
                            .updated_at
                            .zip(now.and_then(|(_, at)| at))
                            .is_some_and(|(new, old)| new < old);
                    if !is_stale && now.map(|(hash, _)| hash) != Some(item.hash) {
                        now = Some((item.hash, item.updated_at));
                        row = Some(item.row);
                    }
                }
            }
        }
        let is_gone = now.is_none() && stored.is_some();
        count += u64::from(row.is_some() || is_gone);
        if stored.is_some() && (row.is_some() || is_gone) {
            gone.push(id);
        }
        rows.extend(row);
    }
    // Nobody asks what a coupon was.
    let kept: &[&str] = if table == "product" { &["written_at"] } else { &[] };
    for some in gone.chunks(CHUNK) {
        let theirs = |sql: &mut Sql| {
            sql.push(" WHERE system = ").bind(system).push(" AND external_id IN ").list(some.iter());
        };
        past::remove(tx, table, kept, ingest.received_at, theirs).await?;
    }
    tx.insert(head, rows, "").await?;
    Ok(count)
}

fn product<'r>(record: &'r ProductRecord, ingest: &'r Ingest) -> Result<Item<'r>> {
    let system = ingest.connector.as_str();
    // A clock that is ahead must not make every later change look older.
    let updated_at = record.updated_at.map(|at| at.min(ingest.received_at));
    let hash = content_hash(record, None)?;
    let categories: Vec<String> = record.categories.iter().filter_map(|c| name_of(c)).collect();
    let row = args![
        system,
        clean_text(&record.external_id, 255),
        product_id(system, &record.external_id),
        clean_text(&record.title, 500),
        record.url.as_deref().map(|url| clean_text(url, 2000)),
        record.image_url.as_deref().map(|url| clean_text(url, 2000)),
        record.price.map(|p| p.amount_minor),
        record.price.as_ref().map(|p| p.currency.code()),
        json_text(&categories)?,
        record.available,
        updated_at,
        hash,
        ingest.received_at,
    ];
    Ok(Item { row, hash, updated_at })
}

fn coupon<'r>(record: &'r CouponRecord, system: &'r str) -> Result<Item<'r>> {
    let hash = content_hash(record, None)?;
    let row = args![
        system,
        clean_text(&record.external_id, 255),
        record.code.as_deref().and_then(name_of),
        clean_text(&record.name, 500),
        record.enabled,
        record.starts_at,
        record.ends_at,
        record.percent,
        record.amount.map(|a| a.amount_minor),
        record.amount.as_ref().map(|a| a.currency.code()),
        record.used,
        hash,
    ];
    Ok(Item { row, hash, updated_at: None })
}

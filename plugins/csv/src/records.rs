//! Rows into records, one function a stream. Never reads a file.

use serde_json::json;
use zyklus_connect::model::{
    CartRecord, Channel, ConsentRecord, ConsentState, CustomerRecord, EventRecord, FeedbackKind,
    FeedbackRecord, LegalBasis, LineRecord, Money, OrderRecord, OrderState, ProductRecord, Purpose, Record,
    RefundRecord,
};

use crate::fields::Stream;
use crate::view::{Problem, View};

/// What a row became: records, and what had to be left out of them.
#[derive(Debug, Default)]
pub(crate) struct Built {
    pub(crate) records: Vec<Record>,
    pub(crate) remarks: Vec<String>,
}

/// One row as records; an order's or cart's row without the rows that may follow it.
pub(crate) fn build(view: &View<'_>) -> Problem<Built> {
    let mut built = Built::default();
    let remarks = &mut built.remarks;
    let record = match view.table.stream {
        Stream::Products => product(view).map(Record::Product)?,
        Stream::Customers => {
            let customer = customer(view, remarks)?;
            let consent = newsletter(view, &customer, remarks)?.map(Record::Consent);
            built.records = std::iter::once(Record::Customer(customer)).chain(consent).collect();
            return Ok(built);
        }
        Stream::Consents => consent(view, remarks).map(Record::Consent)?,
        Stream::Orders => order(view, remarks).map(Record::Order)?,
        Stream::Carts => cart(view, remarks).map(Record::Cart)?,
        Stream::Reviews => review(view, remarks).map(Record::Feedback)?,
        Stream::Events => event(view, remarks).map(Record::Event)?,
    };
    built.records.push(record);
    Ok(built)
}

fn customer(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<CustomerRecord> {
    let has_account = view.yes_no("has_account")?;
    let by_default = view.table.emails_verified && has_account != Some(false);
    let verified = view.yes_no("email_verified")?.unwrap_or(by_default);
    Ok(CustomerRecord {
        customer: view.customer("id", verified, remarks)?,
        phone: view.string("phone"),
        first_name: view.string("first_name"),
        last_name: view.string("last_name"),
        locale: view.string("locale"),
        country: view.string("country").map(|c| c.to_ascii_uppercase()),
        time_zone: view.string("time_zone"),
        created_at: view.at("created_at")?,
        updated_at: view.at("updated_at")?,
        has_account,
        tags: view.list("tags"),
        attributes: kept(view).into_iter().collect(),
    })
}

/// The consent a customer's row carries: yes is granted, no is withdrawn, nothing is nothing.
fn newsletter(
    view: &View<'_>,
    customer: &CustomerRecord,
    remarks: &mut Vec<String>,
) -> Problem<Option<ConsentRecord>> {
    let Some(granted) = view.yes_no("consent_email")? else { return Ok(None) };
    let said_at = view.at("consent_at")?;
    let Some(at) = said_at.or(customer.updated_at).or(customer.created_at) else {
        remarks.push("consent without a date (consent_at, created_at); the row was taken without it".into());
        return Ok(None);
    };
    let source = view.text("consent_source").unwrap_or("customer list");
    Ok(Some(ConsentRecord {
        customer: customer.customer.clone(),
        channel: Channel::Email,
        purpose: Purpose::Marketing,
        state: if granted { ConsentState::Granted } else { ConsentState::Withdrawn },
        basis: LegalBasis::Consent,
        at,
        undated: said_at.is_none(),
        evidence: json!({ "source": source, "row": view.place }),
    }))
}

fn consent(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<ConsentRecord> {
    let unknown = |word: &str, words: &str| format!("`{word}` is none of: {words}");
    let channel = match view.text("channel") {
        None => Channel::Email,
        Some(w) => Channel::parse(w).ok_or_else(|| unknown(w, "email, sms, social, push, post"))?,
    };
    let purpose = match view.text("purpose") {
        None => Purpose::Marketing,
        Some(w) => Purpose::parse(w).ok_or_else(|| unknown(w, "marketing, service, transactional"))?,
    };
    let basis = match view.text("basis") {
        None => LegalBasis::Consent,
        Some(w) => LegalBasis::parse(w).ok_or_else(|| unknown(w, "consent, existing_customer, contract"))?,
    };
    let word = view.required("state")?;
    let state = match ConsentState::parse(word) {
        Some(state) => state,
        None => match view.yes_no("state")? {
            Some(true) => ConsentState::Granted,
            _ => ConsentState::Withdrawn,
        },
    };
    // The file's own columns first: where the row stands is our word and wins.
    let mut evidence = kept(view);
    evidence.insert("source".into(), view.text("source").unwrap_or("consent list").into());
    evidence.insert("row".into(), view.place.into());
    Ok(ConsentRecord {
        customer: view.customer("customer_id", view.table.emails_verified, remarks)?,
        channel,
        purpose,
        state,
        basis,
        at: view.required_at("at")?,
        undated: false,
        evidence: evidence.into(),
    })
}

fn product(view: &View<'_>) -> Problem<ProductRecord> {
    let price = match view.text("price") {
        Some(_) => view.money("price", view.currency()?)?,
        None => None,
    };
    Ok(ProductRecord {
        external_id: view.required("id")?.to_owned(),
        title: view.required("title")?.to_owned(),
        url: view.string("url"),
        image_url: view.string("image_url"),
        price,
        categories: view.list("categories").unwrap_or_default(),
        available: view.yes_no("available")?.unwrap_or(true),
        updated_at: view.at("updated_at")?,
    })
}

/// The line a row of an order or cart carries; `None` when all its line columns are empty.
pub(crate) fn line(view: &View<'_>) -> Problem<Option<LineRecord>> {
    let product = view.string("line_product");
    let sku = view.string("line_sku");
    let title = view.text("line_title");
    let total = view.money("line_total", view.currency()?)?;
    let quantity = view.integer("line_quantity")?;
    if product.is_none() && sku.is_none() && title.is_none() && total.is_none() && quantity.is_none() {
        return Ok(None);
    }
    let name = title.or(product.as_deref()).or(sku.as_deref());
    let title = name.ok_or("a line without a product, a sku or a title")?.to_owned();
    Ok(Some(LineRecord {
        title,
        product,
        sku,
        quantity: quantity.unwrap_or(1),
        total_minor: total.map_or(0, |t| t.amount_minor),
        categories: view.list("line_categories").unwrap_or_default(),
        image_url: view.string("line_image_url"),
        url: view.string("line_url"),
    }))
}

/// What an order or cart costs when no column says it: what its lines cost.
fn sum_of_lines(lines: &[LineRecord]) -> i64 {
    lines.iter().fold(0, |sum, l| sum.saturating_add(l.total_minor))
}

fn order(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<OrderRecord> {
    let currency = view.currency()?;
    let external_id = view.text("id").unwrap_or(view.place).to_owned();
    if view.columns.has("id") {
        view.required("id")?;
    }
    let lines: Vec<LineRecord> = line(view)?.into_iter().collect();
    let total = match view.money("total", currency)? {
        Some(total) => total,
        None if view.columns.has("line_total") => Money::new(sum_of_lines(&lines), currency),
        None => return Err(view.required("total").err().unwrap_or_default()),
    };
    let cancelled_at = view.at("cancelled_at")?;
    let state = match view.text("state") {
        Some(word) if view.table.cancelled_states.contains(&word.to_lowercase()) => OrderState::Cancelled,
        _ if cancelled_at.is_some() => OrderState::Cancelled,
        _ => OrderState::Placed,
    };
    let mut refunds = Vec::new();
    if let Some(refunded) = view.money("refunded", currency)?.filter(|m| m.amount_minor != 0) {
        refunds.push(RefundRecord {
            external_id: format!("{external_id}:refund"),
            at: view.at("refunded_at")?,
            amount_minor: refunded.amount_minor.saturating_abs(),
            reason: view.string("refund_reason"),
        });
    }
    Ok(OrderRecord {
        number: view.text("number").unwrap_or(&external_id).to_owned(),
        customer: view.customer("customer_id", view.table.emails_verified, remarks)?,
        profile: view.profile(),
        state,
        placed_at: view.required_at("placed_at")?,
        updated_at: view.at("updated_at")?,
        paid_at: view.at("paid_at")?,
        shipped_at: view.at("shipped_at")?,
        delivered_at: view.at("delivered_at")?,
        cancelled_at,
        total,
        lines,
        item_count: view.integer("item_count")?,
        refunds,
        coupons: view.list("coupons").unwrap_or_default(),
        cart: view.string("cart_id"),
        external_id,
    })
}

fn cart(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<CartRecord> {
    let currency = view.currency()?;
    let lines: Vec<LineRecord> = line(view)?.into_iter().collect();
    let total = match view.money("total", currency)? {
        Some(total) => total,
        None if view.columns.has("line_total") => Money::new(sum_of_lines(&lines), currency),
        None => return Err(view.required("total").err().unwrap_or_default()),
    };
    Ok(CartRecord {
        external_id: view.required("id")?.to_owned(),
        customer: view.customer("customer_id", view.table.emails_verified, remarks)?,
        profile: view.profile(),
        is_open: view.yes_no("is_open")?.unwrap_or(true),
        updated_at: view.required_at("updated_at")?,
        total,
        lines,
        url: view.string("url"),
    })
}

/// Adds a following row's line to an order or cart; without a total of its own, that grows too.
pub(crate) fn add_line(record: &mut Record, line: LineRecord, total_is_sum: bool) {
    let (lines, total) = match record {
        Record::Order(order) => (&mut order.lines, &mut order.total),
        Record::Cart(cart) => (&mut cart.lines, &mut cart.total),
        other => unreachable!("only orders and carts have lines, this is a {}", other.kind()),
    };
    if total_is_sum {
        total.amount_minor = total.amount_minor.saturating_add(line.total_minor);
    }
    lines.push(line);
}

fn review(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<FeedbackRecord> {
    let score = view.number("score")?;
    let kind = match view.text("kind") {
        Some(word) => FeedbackKind::parse(&word.to_lowercase())
            .ok_or_else(|| format!("`{word}` is none of: review, nps, csat, comment"))?,
        None if score.is_some() => FeedbackKind::Review,
        None => FeedbackKind::Comment,
    };
    let (low, high) = if kind == FeedbackKind::Nps { (0.0, 10.0) } else { (1.0, 5.0) };
    if let Some(score) = score
        && !(low..=high).contains(&score)
    {
        return Err(format!("score {score} is outside {low} to {high}, the scale of a {kind}"));
    }
    let text = view.string("text");
    if score.is_none() && text.is_none() {
        return Err("neither a score nor a text".into());
    }
    Ok(FeedbackRecord {
        external_id: view.text("id").unwrap_or(view.place).to_owned(),
        customer: view.customer("customer_id", view.table.emails_verified, remarks)?,
        kind,
        score,
        text,
        product: view.string("product_id"),
        at: view.required_at("at")?,
    })
}

fn event(view: &View<'_>, remarks: &mut Vec<String>) -> Problem<EventRecord> {
    let name = view.required("name")?;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if !name.bytes().all(plain) {
        return Err(format!("`{name}` is not an event's name; write lower case with dots, as page.viewed"));
    }
    Ok(EventRecord {
        external_id: view.string("id"),
        customer: view.customer("customer_id", view.table.emails_verified, remarks)?,
        name: name.to_owned(),
        at: view.required_at("at")?,
        data: kept(view),
    })
}

/// The columns kept by their own name, as far as the row fills them.
fn kept(view: &View<'_>) -> serde_json::Map<String, serde_json::Value> {
    let columns = view.columns.kept.iter();
    columns.filter_map(|(column, index)| Some((column.clone(), view.value(*index)?))).collect()
}

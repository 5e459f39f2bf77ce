//! Invented customers to check templates with: one about whom everything is known, one about whom hardly anything.
//!
//! The complete one is also the schema: a field it does not have does not exist. No real person or shop is in here.

use serde_json::Value;
use zyklus_model::{Currency, Money};

use super::context::{
    CartContext, CustomerContext, JourneyContext, LineContext, MailContext, OrderContext, ProductContext,
    Reason, ShopContext, unsubscribe_by_mail,
};
use super::locale::TemplateLocale;

const SHOP: &str = "https://shop.example";

/// A context in which everything is known, for previews, checks and tests of the template `name`.
pub fn sample(name: &str, locale: TemplateLocale) -> MailContext {
    let german = locale != TemplateLocale::En;
    let pick = |en: &str, de: &str| if german { de.to_owned() } else { en.to_owned() };
    let euro = |cents| Some(Money { amount_minor: cents, currency: Currency::EUR });
    let product = |id: &str, title: String, summary: String, cents| ProductContext {
        id: id.to_owned(),
        title,
        url: Some(format!("{SHOP}/p/{id}")),
        price: euro(cents),
        image_url: Some(format!("{SHOP}/media/{id}.jpg")),
        summary: Some(summary),
        because: None,
    };
    let products = vec![
        product(
            "kettle",
            pick("Enamel kettle, 1.5 l", "Emaille-Kessel, 1,5 l"),
            pick("Boils quietly, pours without dripping.", "Kocht leise, gießt, ohne zu tropfen."),
            5490,
        ),
        product(
            "teapot",
            pick("Stoneware teapot “Morning”", "Teekanne „Morgen“ aus Steinzeug"),
            pick("Thrown by hand, holds four cups.", "Von Hand gedreht, fasst vier Tassen."),
            4990,
        ),
        product(
            "assam",
            pick("Assam, loose leaf, 250 g", "Assam, lose, 250 g"),
            pick("Strong and malty, second flush.", "Kräftig und malzig, Second Flush."),
            1290,
        ),
        product(
            "towel",
            pick("Linen tea towels, set of 3", "Geschirrtücher aus Leinen, 3 Stück"),
            pick("Dry at once, last for years.", "Trocknen sofort, halten Jahre."),
            2400,
        ),
    ];
    let line = |product: &ProductContext, quantity: i64| LineContext {
        title: product.title.clone(),
        quantity,
        price: product.price.map(|price| Money { amount_minor: price.amount_minor * quantity, ..price }),
        image_url: product.image_url.clone(),
        url: product.url.clone(),
    };
    let lines = vec![line(&products[1], 1), line(&products[2], 2)];
    MailContext {
        shop: ShopContext {
            name: "Kessel & Blatt".to_owned(),
            url: SHOP.to_owned(),
            legal_name: "Kessel & Blatt GmbH".to_owned(),
            address_lines: vec![
                "Musterstraße 12".to_owned(),
                pick("04109 Leipzig, Germany", "04109 Leipzig"),
            ],
            email: "hallo@shop.example".to_owned(),
            phone: Some("+49 341 0000000".to_owned()),
            register: Some("Amtsgericht Leipzig, HRB 00000".to_owned()),
            vat_id: Some("DE000000000".to_owned()),
            imprint_url: Some(format!("{SHOP}/impressum")),
            representative: Some("Mara Beispiel".to_owned()),
            logo_url: Some(format!("{SHOP}/media/logo.png")),
        },
        customer: CustomerContext {
            first_name: Some("Anna".to_owned()),
            last_name: Some("Lindqvist".to_owned()),
            name: Some("Anna Lindqvist".to_owned()),
            email: "anna@customer.example".to_owned(),
            locale: Some(pick("en-GB", "de-DE")),
            ..CustomerContext::default()
        },
        journey: JourneyContext { id: name.to_owned(), label: Some(label(name, german).to_owned()) },
        reason: if name == "confirm-signup" { Reason::Request } else { Reason::Consent },
        unsubscribe_url: Some(format!("{SHOP}/mail/u/0123456789abcdef")),
        preferences_url: Some(format!("{SHOP}/mail/p/0123456789abcdef")),
        cart: Some(CartContext {
            url: Some(format!("{SHOP}/cart/8f2c")),
            lines: lines.clone(),
            total: euro(7570),
        }),
        order: Some(OrderContext {
            number: "10427".to_owned(),
            placed_at: "2026-12-10T18:20:00Z".to_owned(),
            lines,
            total: euro(7570),
            url: Some(format!("{SHOP}/account/orders/10427")),
        }),
        recommend: products[2..]
            .iter()
            .chain(&products[..1])
            .map(|product| ProductContext { because: Some(because(locale)), ..product.clone() })
            .collect(),
        related: products[2..].to_vec(),
        because: Some(products[1].clone()),
        about: Some(products[2].clone()),
        products,
        confirm_url: Some(format!("{SHOP}/mail/c/0123456789abcdef")),
        requested_at: Some("2026-12-24T09:15:00Z".to_owned()),
        keep_url: Some(format!("{SHOP}/mail/k/0123456789abcdef")),
        pause_url: Some(format!("{SHOP}/mail/w/0123456789abcdef")),
        review_url: Some(format!("{SHOP}/account/orders/10427/review")),
        with: [("care_url".to_owned(), Value::String(format!("{SHOP}/care")))].into_iter().collect(),
        now: "2026-12-24T10:00:00Z".to_owned(),
        time_zone: "Europe/Berlin".to_owned(),
        ..MailContext::default()
    }
}

fn because(locale: TemplateLocale) -> String {
    if locale == TemplateLocale::En { "Popular at the moment" } else { "Zurzeit beliebt" }.to_owned()
}

/// A context with only what a delivery of its kind always has: no name, no pictures, no logo, no page to click on but
/// the shop's. There is an order and a cart with bare lines.
pub fn sparse_sample(name: &str, locale: TemplateLocale) -> MailContext {
    let mut context = sample(name, locale);
    context.customer.first_name = None;
    context.customer.last_name = None;
    context.customer.name = None;
    context.customer.locale = None;
    context.shop.phone = None;
    context.shop.register = None;
    context.shop.vat_id = None;
    context.shop.representative = None;
    context.shop.logo_url = None;
    context.journey.label = None;
    context.reason = if name == "confirm-signup" { Reason::Request } else { Reason::ExistingCustomer };
    context.because = None;
    context.about = None;
    context.with.clear();
    context.unsubscribe_url = unsubscribe_by_mail(&context.shop.email, locale);
    context.preferences_url = None;
    context.confirm_url = None;
    context.keep_url = None;
    context.review_url = None;
    context.pause_url = None;
    context.requested_at = None;
    context.shop.imprint_url = None;
    context.time_zone = String::new();
    if let Some(order) = &mut context.order {
        order.url = None;
        order.total = None;
    }
    if let Some(cart) = &mut context.cart {
        cart.url = None;
        cart.total = None;
    }
    let lines = context.cart.iter_mut().flat_map(|cart| &mut cart.lines);
    for line in lines.chain(context.order.iter_mut().flat_map(|order| &mut order.lines)) {
        line.image_url = None;
        line.url = None;
        line.price = None;
    }
    let offered = context.products.iter_mut().chain(&mut context.related);
    for product in offered.chain(&mut context.recommend) {
        product.image_url = None;
        product.url = None;
        product.price = None;
        product.summary = None;
    }
    context
}

/// Every field there is, with a value; `subject` and `preview` are what the front matter made.
pub(super) fn schema() -> Value {
    let mut schema = sample("", TemplateLocale::En).bounded(&[]);
    let fields = schema.as_object_mut().expect("a context is a record");
    fields.insert("subject".to_owned(), Value::String(String::new()));
    fields.insert("preview".to_owned(), Value::String(String::new()));
    schema
}

fn label(name: &str, german: bool) -> &'static str {
    let (en, de) = match name.split('-').next().unwrap_or_default() {
        "confirm" => ("Confirm sign-up", "Anmeldung bestätigen"),
        "welcome" => ("Welcome", "Willkommen"),
        "convert" => ("First order", "Erste Bestellung"),
        "cart" => ("Abandoned cart", "Warenkorb-Erinnerung"),
        "care" | "review" => ("After the first order", "Nach der ersten Bestellung"),
        "cross" => ("Goes well with", "Passt dazu"),
        "replenish" => ("Running low", "Geht zur Neige"),
        "loyal" => ("Thank you", "Danke"),
        "advocate" => ("Tell a friend", "Weitersagen"),
        "at" => ("News", "Neues"),
        "win" => ("We miss you", "Wiedersehen"),
        "won" => ("Welcome back", "Willkommen zurück"),
        "sunset" => ("Keep in touch", "In Verbindung bleiben"),
        _ => ("News", "Neues"),
    };
    if german { de } else { en }
}

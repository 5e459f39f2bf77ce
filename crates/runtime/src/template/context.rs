//! What a template may speak about: the shop, the customer, and what the journey is about.
//!
//! Plain data, filled by the runtime. It never fetches, and everything in it is bounded before a template sees
//! it: strings are cut, control characters removed, picture links checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zyklus_model::Money;

use super::locale::TemplateLocale;

/// Longest text of one value, in characters; what is longer is cut with an ellipsis.
const MAX_TEXT: usize = 2_000;
/// Most elements of one list; what is more is left out.
const MAX_ITEMS: usize = 100;
/// Deepest nesting of free attributes; what is deeper is left out.
const MAX_DEPTH: usize = 8;

/// Everything one mail is rendered from. `Default` is empty; fill what the delivery knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MailContext {
    /// The sender, for header, footer and imprint.
    pub shop: ShopContext,
    /// The recipient.
    pub customer: CustomerContext,
    /// The journey that sends.
    pub journey: JourneyContext,
    /// Why this mail may be sent; the footer says it in words.
    pub reason: Reason,
    /// Where to say "no more mails": a page, or a prepared e-mail to the shop ([`unsubscribe_by_mail`]). Every
    /// marketing template needs it; without one no such mail is rendered.
    pub unsubscribe_url: Option<String>,
    /// Where the customer chooses what to receive; none without a web page for it.
    pub preferences_url: Option<String>,
    /// The open cart.
    pub cart: Option<CartContext>,
    /// The order the mail is about.
    pub order: Option<OrderContext>,
    /// The shop's best sellers of the last 90 days that can be bought and that the customer has not bought, most
    /// often bought first. Without prices.
    pub products: Vec<ProductContext>,
    /// Those of them that share a category with the order.
    pub related: Vec<ProductContext>,
    /// What to offer this customer, best first: what is running out, what goes with what they have, and best sellers. Only
    /// what can be bought; without prices. `recommend(4)` is the first four.
    pub recommend: Vec<ProductContext>,
    /// The product that recommendations start from.
    pub because: Option<ProductContext>,
    /// The product the journey is about (`event.product_id`), if the customer has ordered it and it can be bought.
    pub about: Option<ProductContext>,
    /// Confirms a sign-up (`confirm-signup`); without it the mail asks for an answer.
    pub confirm_url: Option<String>,
    /// When consent was asked for, or else given: RFC 3339.
    pub requested_at: Option<String>,
    /// Keeps the mails coming (`sunset-keep-me`); without it the mail asks for an answer.
    pub keep_url: Option<String>,
    /// Pauses the mails (`win-back-3-stay-or-go`).
    pub pause_url: Option<String>,
    /// Where to write a review; falls back to the shop's address.
    pub review_url: Option<String>,
    /// The `with` table of the `send` step, as it was expanded (`care-how-to` knows `care_url`).
    pub with: Map<String, Value>,
    /// The event that started the run: its name and data.
    pub event: Map<String, Value>,
    /// The instant of rendering: RFC 3339.
    pub now: String,
    /// IANA time zone that dates are shown in; UTC when empty or unknown.
    pub time_zone: String,
}

/// The sender: what the footer must say about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ShopContext {
    /// Name customers know.
    pub name: String,
    /// Front page.
    pub url: String,
    /// Name with legal form. The law wants it in every mail.
    pub legal_name: String,
    /// Postal address, a line an element. The law wants it in every mail.
    pub address_lines: Vec<String>,
    /// E-mail address for questions.
    pub email: String,
    /// Telephone number.
    pub phone: Option<String>,
    /// Court and number of the commercial register.
    pub register: Option<String>,
    /// VAT identification number.
    pub vat_id: Option<String>,
    /// Page with the full imprint.
    pub imprint_url: Option<String>,
    /// Person who represents the company.
    pub representative: Option<String>,
    /// Logo, on the shop's own host; text is used without one.
    pub logo_url: Option<String>,
}

/// The recipient.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CustomerContext {
    /// Given name.
    pub first_name: Option<String>,
    /// Family name.
    pub last_name: Option<String>,
    /// Full name.
    pub name: Option<String>,
    /// Address the mail goes to.
    pub email: String,
    /// Locale as the shop knows it (`de-AT`).
    pub locale: Option<String>,
    /// Free attributes.
    pub attributes: Map<String, Value>,
}

/// The journey that sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct JourneyContext {
    /// Its id; empty outside a journey.
    pub id: String,
    /// Its label in the mail's language; a word of the operator's, which customers need not see.
    pub label: Option<String>,
}

/// Why a mail may be sent. Footers turn it into a sentence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The customer agreed to receive it.
    #[default]
    Consent,
    /// The customer bought something similar (§ 7 (3) UWG).
    ExistingCustomer,
    /// It belongs to something the customer asked for or ordered.
    Request,
}

/// The open cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CartContext {
    /// Opens the cart; templates fall back to the shop's front page.
    pub url: Option<String>,
    /// What lies in it.
    pub lines: Vec<LineContext>,
    /// Sum of the lines.
    pub total: Option<Money>,
}

/// An order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OrderContext {
    /// Number customers see.
    pub number: String,
    /// When: RFC 3339.
    pub placed_at: String,
    /// What was bought.
    pub lines: Vec<LineContext>,
    /// Sum paid.
    pub total: Option<Money>,
    /// Shows the order.
    pub url: Option<String>,
}

/// A line of a cart or an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineContext {
    /// Product's name.
    pub title: String,
    /// How many.
    pub quantity: i64,
    /// Price of the line.
    pub price: Option<Money>,
    /// Picture.
    pub image_url: Option<String>,
    /// Product page.
    pub url: Option<String>,
}

/// A product.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProductContext {
    /// Id in the shop.
    pub id: String,
    /// Name.
    pub title: String,
    /// Product page.
    pub url: Option<String>,
    /// Current price.
    pub price: Option<Money>,
    /// Picture.
    pub image_url: Option<String>,
    /// One sentence about it.
    pub summary: Option<String>,
    /// Why it is offered, in the mail's language: "Goes with Assam". Only in `recommend`.
    pub because: Option<String>,
}

impl MailContext {
    /// The context as templates see it: bounded, clean, every optional field present (null), pictures only from
    /// the shop's own hosts or `hosts`. A product's picture from elsewhere is left out, as if it had none; so is
    /// every other link that leads nowhere.
    pub(super) fn bounded(&self, hosts: &[String]) -> Value {
        let mut value = serde_json::to_value(self).expect("a context is plain data with string keys");
        bound(&mut value, "", 0, &|link| self.may_load(link, hosts));
        value
    }

    /// True if a mail may make the reader's mail program fetch this address.
    pub(super) fn may_load(&self, link: &str, hosts: &[String]) -> bool {
        let Some(host) = host(link) else { return false };
        let own = self::host(&self.shop.url);
        let own = own.as_deref().map(|own| own.strip_prefix("www.").unwrap_or(own));
        own.into_iter().chain(hosts.iter().map(String::as_str)).any(|known| is_below(&host, known))
    }
}

/// True if a host is another, or a name below it.
pub(super) fn is_below(host: &str, known: &str) -> bool {
    let known = known.to_ascii_lowercase();
    host == known
        || host.strip_suffix(known.as_str()).is_some_and(|rest| !known.is_empty() && rest.ends_with('.'))
}

/// A link that opens a prepared e-mail to the shop, for shops without a page to unsubscribe on: the shop reads the
/// answer. None if the address cannot stand in a link.
pub fn unsubscribe_by_mail(shop_email: &str, locale: TemplateLocale) -> Option<String> {
    let subject = match locale {
        TemplateLocale::En => "unsubscribe",
        TemplateLocale::De | TemplateLocale::DeDu => "Abmelden",
    };
    let link = format!("mailto:{shop_email}?subject={subject}");
    is_mail_link(&link).then_some(link)
}

fn bound(value: &mut Value, key: &str, depth: usize, may_load: &dyn Fn(&str) -> bool) {
    match value {
        Value::String(text) => {
            *text = clean(text);
            if key == "image_url" || key == "logo_url" {
                if !may_load(text) {
                    *value = Value::Null;
                }
            } else if key == "url" || key.ends_with("_url") {
                // What a shop says is no reason to keep a mail back: a link that cannot be used is none.
                *value = usable_link(text).map_or(Value::Null, Value::String);
            }
        }
        Value::Array(items) => {
            items.truncate(if depth < MAX_DEPTH { MAX_ITEMS } else { 0 });
            items.iter_mut().for_each(|item| bound(item, key, depth + 1, may_load));
        }
        Value::Object(fields) => {
            if depth >= MAX_DEPTH {
                fields.clear();
            }
            while fields.len() > MAX_ITEMS {
                let last = fields.keys().next_back().cloned().expect("not empty");
                fields.remove(&last);
            }
            for (key, field) in fields.iter_mut() {
                bound(field, key, depth + 1, may_load);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A value's text without control characters and direction overrides, line breaks as spaces, at most
/// [`MAX_TEXT`] characters.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len().min(4 * MAX_TEXT));
    let mut count = 0;
    for character in text.chars() {
        let character = match character {
            '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => continue,
            other if other.is_control() => continue,
            other => other,
        };
        if count == MAX_TEXT {
            out.push('…');
            break;
        }
        out.push(character);
        count += 1;
    }
    out
}

/// True for an absolute http or https address with a host.
pub(super) fn is_web_link(text: &str) -> bool {
    host(text).is_some()
}

/// A link as it may stand in a mail, blanks in it written as links write them; none when it is no link to anywhere.
fn usable_link(text: &str) -> Option<String> {
    let text = text.trim().replace(' ', "%20");
    (is_web_link(&text) || is_mail_link(&text)).then_some(text)
}

/// True for `mailto:` with one plain address, and a subject or body without anything that could end an attribute.
pub(super) fn is_mail_link(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("mailto:") else { return false };
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"'\\^`{}".contains(&b));
    let parts =
        address.split_once('@').filter(|(name, host)| !name.is_empty() && host.contains(|c: char| c != '@'));
    parts.is_some()
        && address.matches('@').count() == 1
        && !address.contains(['&', ',', ';', '%'])
        && plain(rest)
        && query
            .split('&')
            .all(|part| part.is_empty() || part.starts_with("subject=") || part.starts_with("body="))
}

/// The host of an absolute http or https address, in lower case, without its port; none for anything a mail program
/// could read in two ways.
pub(super) fn host(link: &str) -> Option<String> {
    let (scheme, rest) = link.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("https") && !scheme.eq_ignore_ascii_case("http") {
        return None;
    }
    let unsafe_in_link =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\' | '^' | '`');
    if rest.contains(unsafe_in_link) {
        return None;
    }
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[').and_then(|v6| v6.split_once(']')) {
        Some((address, _)) => address,
        None => authority.split(':').next().unwrap_or_default(),
    };
    let known = host.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_' | ':'));
    (!authority.contains('@') && known && host.starts_with(|c: char| c.is_alphanumeric() || c == ':'))
        .then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_mail_programs_read_them() {
        let cases = [
            ("https://Shop.Example/a?b=c@d", Some("shop.example")),
            ("http://localhost:3000/x.png", Some("localhost")),
            ("http://[::1]:80/", Some("::1")),
            ("https://shop.example@evil.example/", None),
            ("https://shop.example\\@evil.example/", None),
            ("https:///x", None),
            ("//shop.example/", None),
            ("ftp://shop.example/", None),
            ("https://", None),
        ];
        for (link, expected) in cases {
            assert_eq!(host(link).as_deref(), expected, "{link}");
        }
    }

    #[test]
    fn pictures_come_from_the_shop_or_a_named_host() {
        let shop = ShopContext { url: "https://www.shop.example/de".to_owned(), ..ShopContext::default() };
        let context = MailContext { shop, ..MailContext::default() };
        let hosts = ["cdn.example".to_owned()];
        for (link, expected) in [
            ("https://www.shop.example/a.png", true),
            ("https://media.shop.example/a.png", true),
            ("https://cdn.example/a.png", true),
            ("https://evilshop.example/a.png", false),
            ("https://shop.example.evil.example/a.png", false),
            ("data:image/png;base64,x", false),
        ] {
            assert_eq!(context.may_load(link, &hosts), expected, "{link}");
        }
        assert!(!MailContext::default().may_load("https://a.example/x.png", &[]));
        assert!(!MailContext::default().may_load("https://a.example/x.png", &[String::new()]));
    }

    #[test]
    fn a_link_that_cannot_be_used_is_left_out_and_blanks_in_one_are_encoded() {
        for (link, expected) in [
            (" https://shop.example/cart?q=a b ", Some("https://shop.example/cart?q=a%20b")),
            ("/cart", None),
            ("data:text/html,x", None),
            ("javascript:alert(1)", None),
            ("", None),
        ] {
            let line = LineContext { url: Some(link.to_owned()), ..LineContext::default() };
            let cart = CartContext { url: Some(link.to_owned()), lines: vec![line], total: None };
            let context = MailContext { cart: Some(cart), ..MailContext::default() };
            let bounded = context.bounded(&[]);
            assert_eq!(bounded["cart"]["url"].as_str(), expected, "{link}");
            assert_eq!(bounded["cart"]["lines"][0]["url"].as_str(), expected, "{link}");
        }
    }

    #[test]
    fn unsubscribing_by_mail_needs_a_plain_address() {
        let link = unsubscribe_by_mail("hallo@shop.example", TemplateLocale::De);
        assert_eq!(link.as_deref(), Some("mailto:hallo@shop.example?subject=Abmelden"));
        for bad in [
            "",
            "@",
            "a@",
            "@b",
            "a@b@c",
            "a b@c.example",
            "a@b.example?bcc=x@y",
            "a@b\"x",
            "a@b,c@d",
            "a%0a@b",
        ] {
            assert_eq!(unsubscribe_by_mail(bad, TemplateLocale::En), None, "{bad}");
        }
    }
}

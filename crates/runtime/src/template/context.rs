//! What a template may speak about: the shop, the customer, and what the journey is about.
//!
//! Plain data, filled by the runtime. It never fetches, and everything in it is bounded before a template sees
//! it: strings are cut, control characters removed, picture links checked.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zyklus_model::Money;

/// Longest text of one value, in characters; what is longer is cut with an ellipsis.
pub const MAX_TEXT: usize = 2_000;
/// Most elements of one list; what is more is left out.
pub const MAX_ITEMS: usize = 100;
/// Deepest nesting of free attributes; what is deeper is left out.
const MAX_DEPTH: usize = 8;

/// Everything one mail is rendered from. `Default` is empty; fill what the delivery knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The sender, for header, footer and imprint.
    pub shop: ShopContext,
    /// The recipient.
    pub customer: CustomerContext,
    /// The journey that sends.
    pub journey: JourneyContext,
    /// Why this mail may be sent; the footer says it in words.
    pub reason: Reason,
    /// One click and no more mails. Required by every marketing template.
    pub unsubscribe_url: Option<String>,
    /// Where the customer chooses what to receive. Required by every marketing template.
    pub preferences_url: Option<String>,
    /// The open cart.
    pub cart: Option<CartContext>,
    /// The order the mail is about.
    pub order: Option<OrderContext>,
    /// Products the journey names, or the shop's best sellers.
    pub products: Vec<ProductContext>,
    /// Products recommended for this customer.
    pub recommend: Vec<ProductContext>,
    /// The product that recommendations start from.
    pub because: Option<ProductContext>,
    /// The coupon minted for this run; none until coupons exist.
    pub coupon: Option<CouponContext>,
    /// Confirms a sign-up (`confirm-signup`).
    pub confirm_url: Option<String>,
    /// When the sign-up was asked for: RFC 3339.
    pub requested_at: Option<String>,
    /// Keeps the mails coming (`sunset-keep-me`).
    pub keep_url: Option<String>,
    /// Pauses the mails (`win-back-3-stay-or-go`).
    pub pause_url: Option<String>,
    /// Where to write a review; falls back to the shop's address.
    pub review_url: Option<String>,
    /// The `with` table of the `send` step, as it was expanded.
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
    /// Name with legal form.
    pub legal_name: String,
    /// Postal address, a line an element.
    pub address_lines: Vec<String>,
    /// E-mail address for questions.
    pub email: String,
    /// Telephone number.
    pub phone: Option<String>,
    /// Court and number of the commercial register.
    pub register: Option<String>,
    /// VAT identification number.
    pub vat_id: Option<String>,
    /// Full imprint.
    pub imprint_url: String,
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
    /// Its label in the mail's language; shown in the footer.
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
    /// Opens the cart.
    pub url: String,
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
    pub url: String,
    /// Current price.
    pub price: Option<Money>,
    /// Picture.
    pub image_url: Option<String>,
    /// One sentence about it.
    pub summary: Option<String>,
    /// How to use and care for it.
    pub care_url: Option<String>,
}

/// A coupon. Its conditions must be in the mail, so templates print it through one partial.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CouponContext {
    /// What to type at the checkout.
    pub code: String,
    /// What it gives, in words (`10 %`).
    pub value: String,
    /// All its conditions, in words.
    pub conditions: String,
    /// Last moment: RFC 3339.
    pub expires_at: String,
}

impl Context {
    /// The context as templates see it: bounded, clean, every optional field present (null).
    pub(super) fn bounded(&self) -> Value {
        let mut value = serde_json::to_value(self).expect("a context is plain data with string keys");
        bound(&mut value, "", 0);
        value
    }
}

fn bound(value: &mut Value, key: &str, depth: usize) {
    match value {
        Value::String(text) => {
            *text = clean(text);
            if (key == "image_url" || key == "logo_url") && !is_web_link(text) {
                *value = Value::Null;
            }
        }
        Value::Array(items) => {
            items.truncate(if depth < MAX_DEPTH { MAX_ITEMS } else { 0 });
            items.iter_mut().for_each(|item| bound(item, key, depth + 1));
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
                bound(field, key, depth + 1);
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
    let lower = text.get(..8).unwrap_or(text).to_ascii_lowercase();
    let rest = if lower.starts_with("https://") {
        &text[8..]
    } else if lower.starts_with("http://") {
        &text[7..]
    } else {
        return false;
    };
    rest.starts_with(|c: char| c.is_alphanumeric() || c == '[')
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | '\\' | '^' | '`'))
}

//! Our side of the mapping: which streams there are and which fields each one has. Never reads a row.

/// A stream this connector can read, in the order they should be read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stream {
    Products,
    Customers,
    Consents,
    Orders,
    Carts,
    Reviews,
    Events,
}

const CUSTOMERS: &[&str] = &[
    "id",
    "email",
    "email_verified",
    "phone",
    "first_name",
    "last_name",
    "locale",
    "country",
    "time_zone",
    "created_at",
    "updated_at",
    "has_account",
    "tags",
    "consent_email",
    "consent_at",
    "consent_source",
];
const ORDERS: &[&str] = &[
    "id",
    "number",
    "customer_id",
    "email",
    "first_name",
    "last_name",
    "phone",
    "country",
    "locale",
    "placed_at",
    "updated_at",
    "total",
    "currency",
    "state",
    "item_count",
    "paid_at",
    "shipped_at",
    "delivered_at",
    "cancelled_at",
    "refunded",
    "refunded_at",
    "refund_reason",
    "coupons",
    "cart_id",
    "line_product",
    "line_title",
    "line_sku",
    "line_quantity",
    "line_total",
    "line_categories",
    "line_url",
    "line_image_url",
];
const PRODUCTS: &[&str] =
    &["id", "title", "url", "image_url", "price", "currency", "categories", "available", "updated_at"];
const REVIEWS: &[&str] = &["id", "customer_id", "email", "kind", "score", "text", "product_id", "at"];
const EVENTS: &[&str] = &["id", "customer_id", "email", "name", "at"];
const CONSENTS: &[&str] = &["customer_id", "email", "channel", "purpose", "state", "basis", "at", "source"];
const CARTS: &[&str] = &[
    "id",
    "customer_id",
    "email",
    "first_name",
    "last_name",
    "phone",
    "country",
    "locale",
    "updated_at",
    "is_open",
    "total",
    "currency",
    "url",
    "line_product",
    "line_title",
    "line_sku",
    "line_quantity",
    "line_total",
    "line_categories",
    "line_url",
    "line_image_url",
];

impl Stream {
    /// Every stream, in the order they should be read first.
    pub(crate) const ALL: &'static [Stream] = &[
        Stream::Products,
        Stream::Customers,
        Stream::Consents,
        Stream::Orders,
        Stream::Carts,
        Stream::Reviews,
        Stream::Events,
    ];

    /// Its name in the configuration and in the manifest.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Stream::Products => "products",
            Stream::Customers => "customers",
            Stream::Consents => "consents",
            Stream::Orders => "orders",
            Stream::Carts => "carts",
            Stream::Reviews => "reviews",
            Stream::Events => "events",
        }
    }

    /// Our fields, which `map` may name.
    pub(crate) const fn fields(self) -> &'static [&'static str] {
        match self {
            Stream::Products => PRODUCTS,
            Stream::Customers => CUSTOMERS,
            Stream::Consents => CONSENTS,
            Stream::Orders => ORDERS,
            Stream::Carts => CARTS,
            Stream::Reviews => REVIEWS,
            Stream::Events => EVENTS,
        }
    }

    /// What a file must carry: of each group at least one field.
    pub(crate) const fn required(self) -> &'static [&'static [&'static str]] {
        match self {
            Stream::Products => &[&["id"], &["title"]],
            Stream::Customers => &[&["id", "email"]],
            Stream::Consents => &[&["customer_id", "email"], &["state"], &["at"]],
            Stream::Orders => &[&["customer_id", "email"], &["placed_at"], &["total", "line_total"]],
            Stream::Carts => &[&["id"], &["customer_id", "email"], &["updated_at"], &["total", "line_total"]],
            Stream::Reviews => &[&["customer_id", "email"], &["at"], &["score", "text"]],
            Stream::Events => &[&["customer_id", "email"], &["name"], &["at"]],
        }
    }
}

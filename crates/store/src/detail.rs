//! What lies in the `detail` columns of orders and carts: the parts nobody filters by, as JSON. Written by the
//! ingesting half and read by the reading half, which reads every order of everybody: so what an order has most of is
//! written as lists without names, and instants as numbers. Either way is read.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zyklus_model::{At, CartLine, Mark, MarkKind, OrderLine, Origin, Refund};

/// The `detail` of an order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OrderDetail {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) refunds: Vec<Refund>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "write_lines")]
    pub(crate) lines: Vec<OrderLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) coupons: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cart: Option<String>,
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "write_marks",
        deserialize_with = "read_marks"
    )]
    pub(crate) marks: Vec<Mark>,
}

/// The `detail` of a cart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CartDetail {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) lines: Vec<CartLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) url: Option<String>,
}

/// Each as the list of its fields.
fn write_lines<S: Serializer>(lines: &[OrderLine], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(lines.iter().map(|line| {
        let OrderLine { product, sku, title, quantity, total_minor, categories } = line;
        (product, sku, title, quantity, total_minor, categories)
    }))
}

fn write_marks<S: Serializer>(marks: &[Mark], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(marks.iter().map(|mark| {
        let Mark { kind, at, received_at, origin } = mark;
        (kind, at.as_micros(), received_at.as_micros(), origin)
    }))
}

fn read_marks<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<Mark>, D::Error> {
    #[derive(Deserialize)]
    struct Stored {
        kind: MarkKind,
        at: Instant,
        received_at: Instant,
        origin: Origin,
    }
    let marks = Vec::<Stored>::deserialize(from)?;
    let mark = |Stored { kind, at, received_at, origin }: Stored| Mark {
        kind,
        at: at.0,
        received_at: received_at.0,
        origin,
    };
    Ok(marks.into_iter().map(mark).collect())
}

/// An instant, in microseconds since 1970 or as a text.
struct Instant(At);

impl<'d> Deserialize<'d> for Instant {
    fn deserialize<D: Deserializer<'d>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(InstantVisitor)
    }
}

struct InstantVisitor;

impl Visitor<'_> for InstantVisitor {
    type Value = Instant;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("microseconds since 1970, or an instant as RFC 3339 writes it")
    }

    fn visit_i64<E: Error>(self, micros: i64) -> Result<Instant, E> {
        Ok(Instant(At::from_micros(micros)))
    }

    fn visit_u64<E: Error>(self, micros: u64) -> Result<Instant, E> {
        i64::try_from(micros).map(|micros| Instant(At::from_micros(micros))).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Instant, E> {
        text.parse().map(Instant).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_detail_is_written_short_and_read_either_way() {
        let detail = OrderDetail {
            lines: vec![OrderLine {
                product: Some("p1".to_owned()),
                sku: None,
                title: "Assam".to_owned(),
                quantity: 2,
                total_minor: 980,
                categories: vec!["tea".to_owned()],
            }],
            marks: vec![Mark {
                kind: MarkKind::Paid,
                at: At::from_micros(1_725_843_967_000_000),
                received_at: At::from_micros(-1),
                origin: Origin::Live,
            }],
            ..OrderDetail::default()
        };
        let short =
            r#"{"lines":[["p1",null,"Assam",2,980,["tea"]]],"marks":[["paid",1725843967000000,-1,"live"]]}"#;
        assert_eq!(serde_json::to_string(&detail).unwrap(), short);
        assert_eq!(serde_json::from_str::<OrderDetail>(short).unwrap(), detail);
        let named = r#"{"lines":[{"product":"p1","sku":null,"title":"Assam","quantity":2,"total_minor":980,
            "categories":["tea"]}],"marks":[{"kind":"paid","at":"2024-09-09T01:06:07Z",
            "received_at":"1969-12-31T23:59:59.999999Z","origin":"live"}]}"#;
        assert_eq!(serde_json::from_str::<OrderDetail>(named).unwrap(), detail);
        assert!(serde_json::from_str::<OrderDetail>(r#"{"marks":[["paid","soon",0,"live"]]}"#).is_err());
    }
}

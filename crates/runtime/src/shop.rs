//! The operator's own shop as `zyklus.toml` describes it: name, currency, imprint. Reading only.

use jiff::tz::TimeZone;
use toml::Spanned;
use toml::de::DeValue;
use zyklus_engine::source::{Source, Table};
use zyklus_model::{Currency, Email, Rates};

use crate::template::{Salutation, ShopContext};

/// The operator's own shop.
#[derive(Debug, Clone, PartialEq)]
pub struct ShopSettings {
    /// What every mail says about it: name, addresses, imprint.
    pub imprint: ShopContext,
    /// The currency everything is reported in.
    pub currency: Currency,
    /// The language of customers whose language is not known.
    pub locale: String,
    /// The time zone of customers whose zone is not known.
    pub zone: TimeZone,
    /// How German mails address customers.
    pub salutation: Salutation,
}

const SALUTATIONS: &[(&str, Salutation)] = &[("formal", Salutation::Sie), ("informal", Salutation::Du)];

/// Reads `[shop]`.
pub(crate) fn read_shop<'a>(source: &mut Source<'a>, value: &Spanned<DeValue<'a>>) -> Option<ShopSettings> {
    let mut table = source.table("shop", value)?;
    let mut need = |source: &mut Source<'a>, key: &'static str| {
        let value = table.need(source, key)?;
        source.text_of(&format!("shop.{key}"), value)
    };
    let name = need(source, "name");
    let currency = {
        let value = table.need(source, "currency");
        value.and_then(|v| source.parsed("shop.currency", v, str::parse::<Currency>))
    };
    let text = |source: &mut Source<'a>, table: &mut Table<'_, 'a>, key: &'static str| {
        let value = table.take(key)?;
        source.text_of(&format!("shop.{key}"), value)
    };
    let url = text(source, &mut table, "url").unwrap_or_default();
    let locale = text(source, &mut table, "locale").unwrap_or_else(|| "en".to_owned());
    let zone = match table.take("time_zone") {
        None => Some(TimeZone::UTC),
        Some(value) => source.parsed("shop.time_zone", value, |name| {
            TimeZone::get(name).map_err(|_| {
                format!("`{name}` is no time zone; write one as Europe/Berlin or America/New_York")
            })
        }),
    };
    let salutation = match table.take("salutation") {
        None => Some(Salutation::default()),
        Some(value) => source.word_of("shop.salutation", value, SALUTATIONS),
    };
    let legal_name = text(source, &mut table, "legal_name").unwrap_or_default();
    let email = match table.take("email") {
        None => String::new(),
        Some(value) => source
            .parsed("shop.email", value, |text| match text {
                "" => Ok(String::new()),
                text => Email::parse(text).map(|_| text.to_owned()),
            })
            .unwrap_or_default(),
    };
    let mut address_lines = Vec::new();
    if let Some(lines) = table.take("address_lines").and_then(|v| source.array_of("shop.address_lines", v)) {
        address_lines.extend(lines.into_iter().filter_map(|line| source.text_of("shop.address_lines", line)));
    }
    let phone = text(source, &mut table, "phone");
    let register = text(source, &mut table, "register");
    let vat_id = text(source, &mut table, "vat_id");
    let representative = text(source, &mut table, "representative");
    let imprint_url = text(source, &mut table, "imprint_url");
    let logo_url = text(source, &mut table, "logo_url");
    table.finish(source);
    let imprint = ShopContext {
        name: name?,
        url,
        legal_name,
        address_lines,
        email,
        phone,
        register,
        vat_id,
        imprint_url,
        representative,
        logo_url,
    };
    Some(ShopSettings { imprint, currency: currency?, locale, zone: zone?, salutation: salutation? })
}

/// Reads `[rates]`: what one unit of a currency is worth in the reporting currency.
pub(crate) fn read_rates<'a>(source: &mut Source<'a>, value: &Spanned<DeValue<'a>>, rates: &mut Rates) {
    let Some(mut table) = source.table("rates", value) else { return };
    for (name, span, value) in table.rest() {
        let rate = source.number_of(&format!("rates.{name}"), value);
        match (name.parse::<Currency>(), rate) {
            (Err(error), _) => source.problem(span, format!("`rates.{name}`: {error}")),
            (Ok(_), None) => {}
            (Ok(currency), Some(rate)) if rate.is_finite() && rate > 0.0 => {
                rates.rates.insert(currency, rate);
            }
            (Ok(_), Some(_)) => source.problem(value.span(), format!("`rates.{name}` must be above zero")),
        }
    }
}

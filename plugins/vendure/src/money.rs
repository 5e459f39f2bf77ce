//! Vendure's integers into minor units of the currency. Exact or refused, never rounded.

use zyklus_connect::model::{Currency, Money};

/// An amount as Vendure counts it, with `precision` decimals for every currency, in the currency's own minor
/// units.
///
/// Vendure's default precision is 2 for every currency: 500000 JPY means ¥5000, and 1500 KWD means 15.000.
pub(crate) fn minor(amount: i64, currency: Currency, precision: u8) -> Result<i64, String> {
    let exponent = currency.exponent();
    let wrong =
        || format!("the amount {amount} with {precision} decimals cannot be written exactly in {currency}");
    if exponent >= precision {
        let factor = 10i64.checked_pow(u32::from(exponent - precision)).ok_or_else(wrong)?;
        return amount.checked_mul(factor).ok_or_else(wrong);
    }
    let divisor = 10i64.checked_pow(u32::from(precision - exponent)).ok_or_else(wrong)?;
    if amount % divisor == 0 { Ok(amount / divisor) } else { Err(wrong()) }
}

/// The same, with its currency.
pub(crate) fn money(amount: i64, currency: Currency, precision: u8) -> Result<Money, String> {
    Ok(Money::new(minor(amount, currency, precision)?, currency))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vendures_decimals_become_the_currencys_own() {
        let yen: Currency = "JPY".parse().unwrap();
        let dinar: Currency = "KWD".parse().unwrap();
        assert_eq!(minor(281_084, Currency::USD, 2), Ok(281_084));
        assert_eq!(minor(500_000, yen, 2), Ok(5000));
        assert_eq!(minor(1500, dinar, 2), Ok(15_000));
        assert_eq!(minor(281_084_000, Currency::USD, 5), Ok(281_084));
        assert_eq!(minor(-150, yen, 0), Ok(-150));
    }

    #[test]
    fn what_the_currency_cannot_hold_is_refused() {
        let yen: Currency = "JPY".parse().unwrap();
        assert!(minor(150, yen, 2).unwrap_err().contains("JPY"));
        assert!(minor(1_001, Currency::EUR, 3).is_err());
        assert!(minor(i64::MAX, "KWD".parse().unwrap(), 2).is_err());
    }
}

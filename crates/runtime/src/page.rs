//! A report as one page of HTML that needs nothing else: no script, nothing loaded, light and dark, English or German.
//! Never computes a figure; what is not known says why.

mod charts;
mod forecasts;
mod html;
mod parts;
mod teller;

pub use forecasts::forecasts_page;
use html::{Html, escape};
pub use teller::Language;
use teller::Teller;

use crate::report::Report;
use crate::shop::ShopSettings;

/// Looks, for the page itself: no policy lets it load another.
const STYLE: &str = include_str!("page/style.css");

/// A page up to its heading.
fn opened(title: &str, t: &Teller) -> Html {
    let mut html = Html::default();
    html.raw(&format!(
        "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<header>",
        t.say("en", "de"),
        escape(title)
    ));
    html.element("h1", title);
    html
}

/// A report as a page, in the language of the shop's locale.
pub fn page(report: &Report, shop: &ShopSettings) -> String {
    let t = Teller::of(shop);
    let title = format!("{} – {}", shop.imprint.name, t.say("lifecycle report", "Lebenszyklus-Bericht"));
    let mut html = opened(&title, &t);
    let kpis = &report.kpis;
    html.classed(
        "p",
        "note",
        &format!(
            "{} {}. {} {} {} {}.",
            t.say("As of", "Stand"),
            t.instant(report.at),
            t.say(
                "Unless said otherwise, figures are of the days from",
                "Wo nichts anderes steht, gelten die Zahlen für die Tage von"
            ),
            t.day(kpis.from),
            t.say("to", "bis"),
            t.day(kpis.to),
        ),
    );
    html.raw("</header>\n<main>");
    if report.customers == 0 {
        html.element(
            "p",
            t.say(
                "No customers are known yet, so there is nothing to report. Connect a shop in zyklus.toml, run `zyklus sync`, and make this page again.",
                "Noch sind keine Kunden bekannt, also gibt es nichts zu berichten. Binden Sie in zyklus.toml einen Shop an, rufen Sie `zyklus sync` auf und erstellen Sie diese Seite neu.",
            ),
        );
    } else {
        parts::glance(&mut html, report, &t);
        parts::weakest(&mut html, report, &t);
        parts::phases(&mut html, report, &t);
        parts::buying(&mut html, report, &t);
        parts::cohorts(&mut html, report, &t);
        parts::value(&mut html, report, &t);
        parts::journeys(&mut html, report, &t);
        parts::voices(&mut html, report, &t);
        parts::notes(&mut html, report, &t);
    }
    html.raw("</main>\n</body>\n</html>");
    html.finish()
}

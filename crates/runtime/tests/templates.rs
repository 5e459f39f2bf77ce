//! The shipped templates: what every mail must be, and what each one says (snapshots of the text parts).
//!
//! It renders invented customers only; nothing is sent.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use zyklus_runtime::template::{
    CustomerContext, LoadOptions, MailContext, RenderedMail, Salutation, Template, TemplateClass,
    TemplateLocale, Templates, sample, sparse_sample,
};

/// What journeys of the shipped playbooks send.
const NAMES: [&str; 18] = [
    "advocate-thanks",
    "at-risk-news",
    "care-how-to",
    "cart-1",
    "cart-2",
    "confirm-signup",
    "convert-first-look",
    "cross-sell-category",
    "loyal-thank-you",
    "replenish",
    "review-request",
    "sunset-keep-me",
    "welcome-1",
    "welcome-2-bestsellers",
    "welcome-3-reminder",
    "win-back-1-news",
    "win-back-3-stay-or-go",
    "won-back-welcome",
];

fn shipped() -> Templates {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/templates");
    Templates::load(&folder, &LoadOptions::default())
        .unwrap_or_else(|errors| panic!("{}", errors.iter().map(|e| format!("{e}\n")).collect::<String>()))
}

/// A context with the shop, the address and nothing else: no order, no cart, no product.
fn minimal_sample(locale: TemplateLocale) -> MailContext {
    let known = sparse_sample("", locale);
    MailContext {
        customer: CustomerContext { email: known.customer.email, ..CustomerContext::default() },
        shop: known.shop,
        unsubscribe_url: known.unsubscribe_url,
        now: known.now,
        ..MailContext::default()
    }
}

/// Every template, in every locale: with everything known, with hardly anything, with nothing but the address.
fn every(check: impl Fn(&Template, &MailContext, &RenderedMail, &str)) {
    let templates = shipped();
    for template in templates.list() {
        let (name, locale) = (template.name(), template.locale());
        for context in [sample(name, locale), sparse_sample(name, locale), minimal_sample(locale)] {
            let rendered = templates.pick(name, &[locale]).unwrap().render(&context).unwrap();
            assert_eq!((rendered.locale, rendered.language), (locale, locale.language()));
            assert!(!rendered.text.trim().is_empty() && !rendered.subject.is_empty(), "{}", template.file());
            let html = rendered.html.clone().expect("shipped templates are mails");
            check(template, &context, &rendered, &html);
        }
    }
}

/// The values of an attribute in HTML.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.match_indices(&start).filter_map(|(at, _)| html[at + start.len()..].split('"').next()).collect()
}

#[test]
fn every_template_exists_in_every_locale() {
    let templates = shipped();
    assert_eq!(templates.names().into_iter().collect::<Vec<_>>(), NAMES);
    for name in NAMES {
        for locale in TemplateLocale::ALL {
            assert!(templates.pick(name, &[locale]).is_ok(), "{name} lacks {}", locale.as_str());
        }
    }
    let german = TemplateLocale::chain(Some("de_AT"), "en", Salutation::Du);
    assert_eq!(templates.pick("cart-1", &german).unwrap().locale(), TemplateLocale::DeDu);
    let error = templates.pick("cart-l", &german).unwrap_err();
    assert!(error.to_string().contains("did you mean `cart-1`"), "{error}");
    assert!(templates.has("cart-1") && !templates.has("cart-l"));
    assert_eq!(templates.nearest("cart-l"), Some("cart-1"));
    for name in NAMES {
        assert_eq!(templates.has_footer(name), name != "confirm-signup", "{name}");
        let class = if name == "confirm-signup" { TemplateClass::Service } else { TemplateClass::Marketing };
        assert_eq!(templates.pick(name, &german).unwrap().class(), class, "{name}");
    }
    assert!(!templates.has_footer("cart-l"));
}

#[test]
fn a_missing_locale_falls_back_to_the_nearest() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/templates");
    let mut files = BTreeMap::new();
    for partial in std::fs::read_dir(folder.join("partials")).unwrap() {
        let path = partial.unwrap().path();
        let name = format!("partials/{}", path.file_name().unwrap().to_string_lossy());
        files.insert(name, std::fs::read_to_string(path).unwrap());
    }
    let text =
        |locale: &str| std::fs::read_to_string(folder.join(format!("welcome-1/{locale}.mjml"))).unwrap();
    files.insert("a/de.mjml".to_owned(), text("de"));
    files.insert("b/en.mjml".to_owned(), text("en"));
    files.insert("c/de.mjml".to_owned(), text("de"));
    files.insert("c/de-du.mjml".to_owned(), text("de-du"));
    let templates = Templates::from_files(&files, &LoadOptions::default()).unwrap();
    let locale = |name: &str, customer: Option<&str>, shop: &str, salutation| {
        let template = templates.pick(name, &TemplateLocale::chain(customer, shop, salutation)).unwrap();
        template.render(&minimal_sample(template.locale())).unwrap().locale.as_str()
    };
    assert_eq!(locale("a", Some("de-CH"), "en", Salutation::Du), "de");
    assert_eq!(locale("a", Some("en-GB"), "de", Salutation::Sie), "de");
    assert_eq!(locale("a", Some("fr"), "en", Salutation::Sie), "de");
    assert_eq!(locale("c", Some("en"), "de", Salutation::Du), "de-du");
    assert_eq!(locale("c", Some("en"), "de", Salutation::Sie), "de");
    assert_eq!(locale("b", None, "de", Salutation::Sie), "en");
    assert_eq!(locale("b", Some("EN_us"), "de", Salutation::Sie), "en");
}

#[test]
fn text_parts_read_as_written() {
    let templates = shipped();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for template in templates.list() {
            let rendered = template.render(&sample(template.name(), template.locale())).unwrap();
            let name = format!("{}.{}", template.name(), template.locale().as_str());
            insta::assert_snapshot!(name, format!("Subject: {}\n\n{}", rendered.subject, rendered.text));
        }
        let sparse = |name| {
            shipped()
                .pick(name, &[TemplateLocale::De])
                .unwrap()
                .render(&sparse_sample(name, TemplateLocale::De))
                .unwrap()
                .text
        };
        insta::assert_snapshot!("cart-1.de.sparse", sparse("cart-1"));
        insta::assert_snapshot!("confirm-signup.de.sparse", sparse("confirm-signup"));
        insta::assert_snapshot!("win-back-3-stay-or-go.de.sparse", sparse("win-back-3-stay-or-go"));
        let minimal = |name| {
            let templates = shipped();
            let template = templates.pick(name, &[TemplateLocale::De]).unwrap();
            template.render(&minimal_sample(TemplateLocale::De)).unwrap().text
        };
        insta::assert_snapshot!("care-how-to.de.minimal", minimal("care-how-to"));
        insta::assert_snapshot!("cart-1.de.minimal", minimal("cart-1"));
    });
}

#[test]
fn no_mail_requests_a_foreign_host() {
    every(|template, _, _, html| {
        for source in values(html, "src").into_iter().chain(values(html, "background")) {
            assert!(source.starts_with("https://shop.example/"), "{} loads {source}", template.file());
        }
        for bad in ["url(", "@import", "<link", "<script", "<iframe", "googleapis", "mailjet"] {
            assert!(!html.contains(bad), "{} contains {bad}", template.file());
        }
        for link in values(html, "href") {
            let ok = ["https://shop.example", "mailto:hallo@shop.example", "tel:+493410000000"];
            assert!(ok.iter().any(|known| link.starts_with(known)), "{} links to {link}", template.file());
        }
    });
}

#[test]
fn nothing_is_left_unfilled() {
    every(|template, _, rendered, html| {
        for part in [&rendered.subject, html, &rendered.text] {
            for bad in ["{{", "}}", "{%", "%}", "undefined", "None", "null", "&amp;amp;", "&lt;p"] {
                assert!(!part.contains(bad), "{} contains {bad}", template.file());
            }
        }
        assert!(!rendered.text.contains('<') && !rendered.text.contains("  "), "{}", template.file());
    });
}

#[test]
fn every_mail_is_accessible_and_small() {
    every(|template, context, rendered, html| {
        let file = template.file();
        assert!(html.len() < 80_000, "{file}: {} bytes", html.len());
        assert!((8..=50).contains(&rendered.subject.chars().count()), "{file}: {}", rendered.subject);
        assert!(rendered.subject.chars().filter(|c| *c == '!').count() == 0, "{file}");
        let language = template.locale().language();
        assert!(html.contains(&format!("<html lang=\"{language}\"")), "{file}");
        assert!(html.contains("role=\"article\"") && html.matches("<h1").count() == 1, "{file}");
        for image in html.match_indices("<img").map(|(at, _)| html[at..].split('>').next().unwrap()) {
            assert!(image.contains(" alt=\"") && image.contains(" width=\""), "{file}: {image}");
        }
        // Tables lay out unless they have headed columns.
        for table in html.match_indices("<table").map(|(at, _)| &html[at..]) {
            let tag = table.split('>').next().unwrap();
            let data = tag.contains("role=\"presentation\"")
                || table[..600.min(table.len())].contains("scope=\"col\"");
            assert!(data, "{file}: {tag}");
        }
        let title = html.split("<title>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
        assert_eq!(title.trim().replace("&amp;", "&"), rendered.subject, "{file}");
        let preview =
            html.split("overflow:hidden;\">").nth(1).and_then(|rest| rest.split('<').next()).unwrap();
        assert!((25..=95).contains(&preview.chars().count()), "{file}: {preview}");
        assert!(html.contains("prefers-color-scheme") && html.contains("name=\"color-scheme\""), "{file}");
        let long = rendered.text.lines().find(|line| line.chars().count() > 74 && !line.contains("://"));
        assert_eq!(long, None, "{file}");
        if let Some(imprint) = &context.shop.imprint_url {
            assert!(html.contains(imprint), "{file}");
        }
    });
}

#[test]
fn marketing_mails_say_why_and_how_to_stop() {
    every(|template, context, rendered, html| {
        let file = template.file();
        let unsubscribe = context.unsubscribe_url.as_ref().unwrap();
        match template.class() {
            TemplateClass::Marketing => {
                for part in [html, &rendered.text] {
                    assert!(part.contains(unsubscribe), "{file}");
                    if let Some(preferences) = &context.preferences_url {
                        assert!(part.contains(preferences), "{file}");
                    }
                    assert!(part.contains("Basistarifen") || part.contains("basic rates"), "{file}");
                    assert!(part.contains("weil") || part.contains("because"), "{file}");
                }
            }
            TemplateClass::Service => {
                assert_eq!(template.name(), "confirm-signup");
                assert!(!html.contains(unsubscribe), "{file}");
                // No advertising: no product, no coupon, and nothing to open but the confirmation and the sender.
                let products = context.products.iter().chain(&context.recommend);
                assert!(
                    !products.filter_map(|product| product.url.as_ref()).any(|url| html.contains(url)),
                    "{file}"
                );
                assert_eq!(
                    html.matches("class=\"wide\"").count() + html.matches(" wide\"").count(),
                    1,
                    "{file}"
                );
            }
        }
        assert!(
            rendered.text.contains(&context.shop.legal_name) && rendered.text.contains("04109 Leipzig"),
            "{file}"
        );
    });
}

#[test]
fn every_template_uses_what_it_is_about() {
    let templates = shipped();
    let wanted: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("cart-1", &["/cart/8f2c", "Assam", "75"][..]),
        ("cart-2", &["/cart/8f2c", "Assam", "75"]),
        ("confirm-signup", &["/mail/c/"]),
        ("care-how-to", &["10427", "/p/assam", "/care"]),
        ("review-request", &["/orders/10427/review", "Assam"]),
        ("sunset-keep-me", &["/mail/k/"]),
        ("win-back-3-stay-or-go", &["/mail/w/", "/mail/p/"]),
        ("welcome-1", &["hallo@shop.example", "/mail/p/"]),
        ("welcome-2-bestsellers", &["/p/kettle", "/p/teapot", "/p/assam", "/p/towel", "54"]),
        ("cross-sell-category", &["/p/assam", "/p/towel", "24"]),
        ("replenish", &["/p/assam", "Assam"]),
        ("win-back-1-news", &["/p/assam"]),
        ("won-back-welcome", &["10427", "/p/assam"]),
        ("loyal-thank-you", &["hallo@shop.example"]),
    ]);
    for (name, parts) in wanted {
        for locale in TemplateLocale::ALL {
            let text = templates.pick(name, &[locale]).unwrap().render(&sample(name, locale)).unwrap().text;
            for part in parts {
                assert!(text.contains(part), "{name} {} lacks {part}", locale.as_str());
            }
        }
    }
}

#[test]
fn nothing_is_promised_that_this_version_cannot_keep() {
    every(|template, _, rendered, _| {
        let text = format!("{} {} {}", rendered.subject, rendered.preview, rendered.text).to_lowercase();
        for word in [
            "coupon",
            "gutschein",
            "rabatt",
            "discount",
            "code",
            "punkte",
            "points",
            "prämie gibt es für",
            " % ",
        ] {
            assert!(!text.contains(word), "{} speaks of {word}", template.file());
        }
    });
}

#[test]
fn without_pages_mails_ask_for_an_answer() {
    let templates = shipped();
    for locale in TemplateLocale::ALL {
        let context = sparse_sample("", locale);
        for name in NAMES {
            let html = templates.pick(name, &[locale]).unwrap().render(&context).unwrap().html.unwrap();
            for link in values(&html, "href") {
                let known = link == "https://shop.example" || link.starts_with("mailto:hallo@shop.example");
                assert!(known, "{name} {}: {link} leads nowhere", locale.as_str());
            }
        }
        for name in ["confirm-signup", "sunset-keep-me"] {
            let text =
                templates.pick(name, &[locale]).unwrap().render(&context).unwrap().text.replace('\n', " ");
            assert!(text.contains("Antwort auf diese E-Mail") || text.contains("answer"), "{text}");
            assert!(!text.contains("click is enough") && !text.contains("genügt ein Klick"), "{text}");
        }
    }
}

#[test]
fn no_marketing_mail_without_a_way_to_stop() {
    let templates = shipped();
    for name in NAMES.into_iter().filter(|name| *name != "confirm-signup") {
        let context = MailContext { unsubscribe_url: None, ..sample(name, TemplateLocale::De) };
        let error = templates.pick(name, &[TemplateLocale::De]).unwrap().render(&context).unwrap_err();
        let place = if name == "win-back-3-stay-or-go" {
            "win-back-3-stay-or-go/de.mjml:32:28: "
        } else {
            "partials/footer.de.mjml:6:22: "
        };
        assert!(error.to_string().starts_with(place), "{name}: {error}");
        assert!(error.to_string().contains("unsubscribe_url"), "{name}: {error}");
    }
}

#[test]
fn pictures_from_elsewhere_are_left_out() {
    let templates = shipped();
    let mut context = sample("welcome-2-bestsellers", TemplateLocale::En);
    for (index, product) in context.products.iter_mut().enumerate() {
        product.image_url = Some(format!("https://tracker.example/{index}.png"));
    }
    let html = templates
        .pick("welcome-2-bestsellers", &[TemplateLocale::En])
        .unwrap()
        .render(&context)
        .unwrap()
        .html
        .unwrap();
    assert!(!html.contains("tracker.example") && html.contains("Enamel kettle"));
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/templates");
    let options = LoadOptions { asset_hosts: vec!["Tracker.Example".to_owned()] };
    let templates = Templates::load(&folder, &options).unwrap();
    let html = templates
        .pick("welcome-2-bestsellers", &[TemplateLocale::En])
        .unwrap()
        .render(&context)
        .unwrap()
        .html
        .unwrap();
    assert!(html.contains("https://tracker.example/3.png"));
}

#[test]
fn german_addresses_customers_in_one_way() {
    let formal = ["Sie", "Ihnen", "Ihr", "Ihre", "Ihrer", "Ihrem", "Ihren"];
    let informal = ["du", "Du", "dir", "dich", "dein", "deine", "deiner", "deinem", "deinen"];
    every(|template, _, rendered, _| {
        let forbidden: &[&str] = match template.locale() {
            TemplateLocale::De => &informal,
            TemplateLocale::DeDu => &formal,
            TemplateLocale::En => &[],
        };
        let text = format!("{} {}", rendered.subject, rendered.text);
        let word = text.split(|c: char| !c.is_alphanumeric()).find(|word| forbidden.contains(word));
        assert_eq!(word, None, "{}", template.file());
    });
}

#[test]
fn colours_have_enough_contrast() {
    let head = std::fs::read_to_string(
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../config/templates/partials/head.mjml"),
    )
    .unwrap();
    // Text, background: as the head partial sets them, light and dark.
    let pairs = [
        ("#2b2622", "#fffdf9"),
        ("#655b52", "#fffdf9"),
        ("#8a3a1c", "#fffdf9"),
        ("#fffaf5", "#97401f"),
        ("#2b2622", "#f3efe8"),
        ("#655b52", "#f3efe8"),
        ("#ece5dc", "#25221f"),
        ("#b8aea3", "#25221f"),
        ("#e8ad88", "#25221f"),
        ("#201611", "#d9906a"),
        ("#ece5dc", "#191715"),
        ("#b8aea3", "#191715"),
        ("#e8ad88", "#191715"),
    ];
    for (text, background) in pairs {
        let ratio = contrast(text, background);
        assert!(ratio >= 4.5, "{text} on {background} is {ratio:.2}:1");
        assert!(head.contains(text), "{text} is not in the head partial any more");
        assert!(![text, background].contains(&"#000000") && ![text, background].contains(&"#ffffff"));
    }
}

/// Contrast ratio of two colours, WCAG 2.2, 1.4.3.
fn contrast(a: &str, b: &str) -> f64 {
    let luminance = |colour: &str| {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    };
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

#[test]
fn hostile_names_stay_text() {
    let templates = shipped();
    let names = [
        "<script>alert(1)</script>",
        "\" onmouseover=\"x",
        "Eve\r\nBcc: victim@customer.example\r\n\r\nbody",
        "{{ shop.email }}{% for x in products %}",
        "a\u{0}b\u{202e}c\u{1b}[31m",
        "' style='background:url(https://evil.example/x)",
    ];
    for template in templates.list() {
        for name in names {
            let mut context = sample(template.name(), template.locale());
            context.customer.first_name = Some(name.to_owned());
            context.customer.name = Some(name.to_owned());
            context.shop.name = name.to_owned();
            for product in context.products.iter_mut().chain(&mut context.recommend) {
                product.title = name.to_owned();
                product.image_url = Some("javascript:alert(1)".to_owned());
            }
            context.because = context.products.first().cloned();
            let rendered = template.render(&context).unwrap();
            let html = rendered.html.unwrap();
            for bad in ["<script", "\" onmouseover", "javascript:", "' style='"] {
                assert!(!html.contains(bad), "{} lets {bad} through", template.file());
            }
            for part in [&rendered.subject, &html, &rendered.text] {
                let control = part.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
                assert_eq!(control, None, "{}", template.file());
            }
            assert!(!rendered.subject.contains('\n'));
        }
    }
}

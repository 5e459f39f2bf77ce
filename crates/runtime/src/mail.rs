//! What a mail's template is given: the shop, the customer, the cart or order it is about. Never decides whether
//! it is sent.

use serde_json::{Map, Value};
use zyklus_connect::{ListUnsubscribe, Mailbox, Message, Recipient};
use zyklus_engine::Book;
use zyklus_model::{
    At, Cart, Channel, ConsentState, Currency, Customer, Delivery, LegalBasis, Money, Order, Purpose,
    Snapshot,
};

use crate::offers::{Offer, context};
use crate::project::Project;
use crate::shelf::Shelf;
use crate::template::{
    CartContext, CustomerContext, JourneyContext, LineContext, MailContext, OrderContext, Reason,
    RenderError, TemplateLocale, TemplateProblem, Templates, expand_text, unsubscribe_by_mail,
};

/// Renders a delivery's message with the templates of its run's definition.
///
/// # Errors
/// The template's, when neither it nor the step's fallback can be rendered.
pub(crate) fn render(
    project: &Project,
    templates: &Templates,
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    shelf: &Shelf,
) -> Result<Message, RenderError> {
    let customer = &snapshot.customer;
    let shop = &project.shop;
    let locales = TemplateLocale::chain(customer.locale.as_deref(), &shop.locale, shop.salutation);
    // In the language of the template that is found, the label and the prepared reply are written too.
    let written = |name: &str| {
        let template = templates.pick(name, &locales)?;
        let mut context = context_of(project, book, snapshot, delivery, shelf, template.locale());
        context.with = expanded(delivery, template.locale(), &context)?;
        template.render(&context)
    };
    let fallback = delivery.payload.get("fallback").and_then(Value::as_str);
    let mail = match (written(&delivery.target), fallback) {
        (Err(_), Some(fallback)) => written(fallback)?,
        (rendered, _) => rendered?,
    };
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let email = customer.email.as_ref().map(|e| e.as_str().to_owned()).unwrap_or_default();
    let name = full_name(customer);
    let to = match (channel, &customer.phone) {
        (Channel::Sms, Some(phone)) => Recipient::Phone(phone.as_str().to_owned()),
        _ => Recipient::Email(Mailbox { name, email }),
    };
    let is_marketing = delivery.purpose == Purpose::Marketing;
    Ok(Message {
        delivery: delivery.id.to_string(),
        channel,
        purpose: delivery.purpose,
        to,
        from: None,
        reply_to: (!shop.imprint.email.is_empty())
            .then(|| Mailbox { name: Some(shop.imprint.name.clone()), email: shop.imprint.email.clone() }),
        subject: Some(mail.subject),
        html: mail.html,
        text: mail.text,
        locale: Some(mail.language.to_owned()),
        list_unsubscribe: is_marketing.then(|| ListUnsubscribe {
            url: None,
            mailto: unsubscribe_by_mail(&shop.imprint.email, mail.locale),
        }),
        tag: Some(format!("{}/{}", delivery.journey, delivery.step)),
        // Known when it is handed over.
        sent_at: None,
    })
}

/// The step's `with`, each text of it expanded as the template language has it. Its texts do not see each other.
fn expanded(
    delivery: &Delivery,
    locale: TemplateLocale,
    context: &MailContext,
) -> Result<Map<String, Value>, RenderError> {
    let given = delivery.payload.get("with").and_then(Value::as_object);
    given
        .into_iter()
        .flatten()
        .map(|(key, value)| {
            let value = expand_value(value, locale, context).map_err(|problem| RenderError::With {
                journey: delivery.journey.clone(),
                step: delivery.step.clone(),
                key: key.clone(),
                problem: format!("{}; {}", problem.message, problem.help),
            })?;
            Ok((key.clone(), value))
        })
        .collect()
}

fn expand_value(
    value: &Value,
    locale: TemplateLocale,
    context: &MailContext,
) -> Result<Value, TemplateProblem> {
    match value {
        Value::String(text) => expand_text("with", text, locale, context).map(Value::String),
        Value::Array(items) => items.iter().map(|item| expand_value(item, locale, context)).collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| Ok((key.clone(), expand_value(value, locale, context)?)))
            .collect::<Result<Map<_, _>, _>>()
            .map(Value::Object),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

fn full_name(customer: &Customer) -> Option<String> {
    match (&customer.first_name, &customer.last_name) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    }
}

fn context_of(
    project: &Project,
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    shelf: &Shelf,
    locale: TemplateLocale,
) -> MailContext {
    let shop = &project.shop;
    let customer = &snapshot.customer;
    let language = if locale == TemplateLocale::En { "en" } else { "de" };
    let label = book
        .journey(&delivery.journey)
        .and_then(|j| j.label.get(language).or_else(|| j.label.get("en")).cloned());
    let payload =
        |key: &str| delivery.payload.get(key).and_then(|v| v.as_object()).cloned().unwrap_or_default();
    let event = payload("event");
    let consent = delivery.channel.and_then(|channel| snapshot.last_word(channel, delivery.purpose, At::MAX));
    let reason = match (delivery.purpose, consent) {
        (Purpose::Marketing, Some(c))
            if c.state == ConsentState::Granted && c.basis == LegalBasis::Consent =>
        {
            Reason::Consent
        }
        (Purpose::Marketing, _) => Reason::ExistingCustomer,
        (Purpose::Service | Purpose::Transactional, _) => Reason::Request,
    };
    // A request for consent is no word yet, and the mail that answers it has a purpose of its own.
    let asked_for =
        event.get("purpose").and_then(Value::as_str).and_then(Purpose::parse).unwrap_or(Purpose::Marketing);
    let requested = snapshot.consents.iter().rfind(|c| {
        c.state == ConsentState::Pending && delivery.channel == Some(c.channel) && c.purpose == asked_for
    });
    let order = event
        .get("order_id")
        .and_then(|v| v.as_str())
        .and_then(|id| snapshot.orders.iter().find(|o| o.external_id == id))
        .or_else(|| snapshot.orders.last());
    let cart = event
        .get("cart_id")
        .and_then(|v| v.as_str())
        .and_then(|id| snapshot.carts.iter().find(|c| c.external_id == id))
        .or_else(|| snapshot.carts.iter().rfind(|c| c.is_open));
    MailContext {
        shop: shop.imprint.clone(),
        customer: CustomerContext {
            first_name: customer.first_name.clone(),
            last_name: customer.last_name.clone(),
            name: full_name(customer),
            email: customer.email.as_ref().map(|e| e.as_str().to_owned()).unwrap_or_default(),
            locale: customer.locale.clone(),
            attributes: customer.attributes.clone().into_iter().collect(),
        },
        journey: JourneyContext { id: delivery.journey.clone(), label },
        reason,
        unsubscribe_url: unsubscribe_by_mail(&shop.imprint.email, locale),
        requested_at: requested.or(consent).map(|c| c.at.to_string()),
        cart: cart.map(|c| cart_of(c, shelf)),
        order: order.map(|o| order_of(o, shelf)),
        products: shelf.new_to(snapshot),
        related: shelf.related_to(order, snapshot),
        recommend: shelf.offers.iter().map(|offer| offer.shown(locale)).collect(),
        because: shelf.offers.iter().find_map(Offer::origin),
        about: shelf.about.as_ref().map(context),
        event,
        now: delivery.due_at.to_string(),
        time_zone: shop.zone.iana_name().unwrap_or_default().to_owned(),
        ..MailContext::default()
    }
}

fn cart_of(cart: &Cart, shelf: &Shelf) -> CartContext {
    let line = |line: &zyklus_model::CartLine| {
        let product = shelf.named(line.product.as_deref(), &cart.system);
        LineContext {
            title: line.title.clone(),
            quantity: line.quantity,
            price: Some(Money::new(line.total_minor, cart.total.currency)),
            image_url: line.image_url.clone().or_else(|| product?.image_url.clone()),
            url: line.url.clone().or_else(|| product?.url.clone()),
        }
    };
    CartContext {
        url: cart.url.clone(),
        lines: cart.lines.iter().map(line).collect(),
        total: Some(cart.total),
    }
}

fn order_of(order: &Order, shelf: &Shelf) -> OrderContext {
    let currency: Currency = order.total.currency;
    let line = |line: &zyklus_model::OrderLine| {
        let product = shelf.named(line.product.as_deref(), &order.system);
        LineContext {
            title: line.title.clone(),
            quantity: line.quantity,
            price: Some(Money::new(line.total_minor, currency)),
            image_url: product.and_then(|p| p.image_url.clone()),
            url: product.and_then(|p| p.url.clone()),
        }
    };
    OrderContext {
        number: order.number.clone(),
        placed_at: order.placed_at.to_string(),
        lines: order.lines.iter().map(line).collect(),
        total: Some(order.total),
        url: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Arc;

    use serde_json::json;
    use zyklus_engine::{Lifecycle, Settings};
    use zyklus_model::{
        At, Consent, CustomerId, DeliveryId, DeliveryKind, DeliveryState, Email, OrderId, OrderLine,
        OrderState, Origin, Product, ProductId, Rates,
    };

    use super::*;
    use crate::shelf::product_of_event;
    use crate::shop::ShopSettings;
    use crate::starter::starter_lifecycle;
    use crate::template::{LoadOptions, Salutation, ShopContext};

    /// A German shop that says "du", with text messages only.
    fn project(files: &[(&str, &str)]) -> Project {
        let text = |(path, body): &(&str, &str)| ((*path).to_owned(), format!("+++\n+++\n{body}\n"));
        let files: BTreeMap<String, String> = files.iter().map(text).collect();
        let (lifecycle, _) =
            Lifecycle::parse("ecommerce", "ecommerce.toml", &starter_lifecycle("ecommerce").unwrap())
                .unwrap();
        let imprint = ShopContext {
            name: "Kessel".into(),
            email: "hallo@shop.example".into(),
            ..ShopContext::default()
        };
        Project {
            file: PathBuf::from("zyklus.toml"),
            base_dir: PathBuf::from("."),
            store_url: "sqlite:zyklus.db".into(),
            past_days: 760,
            shop: ShopSettings {
                imprint,
                currency: Currency::EUR,
                locale: "de".into(),
                zone: jiff::tz::TimeZone::UTC,
                salutation: Salutation::Du,
            },
            rates: Rates::only(Currency::EUR),
            book: Book::assemble(lifecycle, Vec::new(), Settings::default(), 2).unwrap(),
            templates: Templates::from_files(&files, &LoadOptions::default()).unwrap(),
            connectors: Vec::new(),
            plugins: zyklus_host::PluginOptions::beside(std::path::Path::new(".")),
            warnings: Vec::new(),
        }
    }

    fn anna() -> Snapshot {
        Snapshot::of(Customer {
            id: CustomerId::derive(&[b"anna"]),
            email: Some(Email::parse("anna@customer.example").unwrap()),
            phone: None,
            first_name: Some("Anna".into()),
            last_name: None,
            locale: Some("en-GB".into()),
            country: None,
            time_zone: None,
            created_at: At::from_seconds(1_800_000_000),
            has_account: true,
            attributes: BTreeMap::new(),
        })
    }

    /// A message to Anna from the template `note`.
    fn note(purpose: Purpose, payload: Value) -> Delivery {
        let at = At::from_seconds(1_800_000_000);
        Delivery {
            id: DeliveryId::derive(&[b"note"]),
            customer: CustomerId::derive(&[b"anna"]),
            run: None,
            journey: "care".into(),
            step: "how-to".into(),
            kind: DeliveryKind::Message,
            channel: Some(Channel::Email),
            connector: None,
            target: "note".into(),
            purpose,
            capped: true,
            state: DeliveryState::Pending,
            reason: None,
            outranked_by: None,
            created_at: at,
            due_at: at,
            expires_at: at.plus_days(1),
            done_at: None,
            attempt_count: 0,
            payload,
        }
    }

    /// What an English customer called Anna gets from the template `note` with some `with`.
    fn sent(files: &[(&str, &str)], with: Value) -> Result<Message, RenderError> {
        let project = project(files);
        let delivery = note(Purpose::Marketing, json!({ "with": with, "event": { "name": "order.placed" } }));
        render(&project, &project.templates, &project.book, &anna(), &delivery, &Shelf::default())
    }

    #[test]
    fn a_mail_that_asks_for_consent_says_when_it_was_requested() {
        let body = "{% if requested_at %}{{ requested_at|date('short') }}{% else %}never{% endif %}";
        let project = project(&[("note/en.txt", body)]);
        let mut snapshot = anna();
        let delivery = note(
            Purpose::Service,
            json!({ "event": { "name": "consent.requested", "channel": "email", "purpose": "marketing" } }),
        );
        let written = |snapshot: &Snapshot| {
            render(&project, &project.templates, &project.book, snapshot, &delivery, &Shelf::default())
        };
        assert_eq!(written(&snapshot).unwrap().text, "never");
        for (day, state, purpose) in [
            (1, ConsentState::Pending, Purpose::Marketing),
            (2, ConsentState::Pending, Purpose::Marketing),
            (3, ConsentState::Pending, Purpose::Service),
        ] {
            snapshot.consents.push(Consent {
                channel: Channel::Email,
                purpose,
                state,
                basis: LegalBasis::Consent,
                at: At::from_seconds(1_800_000_000).plus_days(day),
                source: "shop".into(),
                evidence: Value::Null,
            });
        }
        // The last request for advertising: neither an earlier one nor one for something else.
        assert_eq!(written(&snapshot).unwrap().text, "17 Jan 2027");
    }

    #[test]
    fn a_mail_names_best_sellers_the_customer_has_not_bought_and_those_of_the_same_category() {
        let product = |id: &str, category: &str| Product {
            id: ProductId::derive(&[id.as_bytes()]),
            system: "shop".into(),
            external_id: id.into(),
            title: id.to_uppercase(),
            url: None,
            image_url: None,
            price: Some(Money::new(990, Currency::EUR)),
            categories: vec![category.into()],
            available: true,
        };
        let best = [product("assam", "tea"), product("pot", "ware"), product("darjeeling", "tea")];
        let shelf = Shelf { named: vec![product("assam", "tea")], best: Arc::from(best), ..Shelf::default() };
        let body = "{% for p in products %}{{ p.title }}{% if p.price %} {{ p.price|money }}{% endif %} {% endfor %}| \
                    {% for p in related %}{{ p.title }} {% endfor %}";
        let project = project(&[("note/en.txt", body)]);
        let mut snapshot = anna();
        let written = |snapshot: &Snapshot| {
            let delivery = note(Purpose::Service, json!({}));
            render(&project, &project.templates, &project.book, snapshot, &delivery, &shelf).unwrap().text
        };
        assert_eq!(written(&snapshot).trim(), "ASSAM POT DARJEELING |");
        let at = At::from_seconds(1_800_000_000);
        snapshot.orders.push(Order {
            id: OrderId::derive(&[b"1"]),
            system: "shop".into(),
            external_id: "1".into(),
            number: "1".into(),
            state: OrderState::Placed,
            placed_at: at,
            total: Money::new(990, Currency::EUR),
            total_reporting_minor: Some(990),
            refunds: Vec::new(),
            lines: vec![OrderLine {
                product: Some("assam".into()),
                sku: None,
                title: "Assam".into(),
                quantity: 1,
                total_minor: 990,
                categories: Vec::new(),
            }],
            item_count: 1,
            coupons: Vec::new(),
            cart: None,
            marks: Vec::new(),
            received_at: at,
            origin: Origin::Live,
        });
        assert_eq!(written(&snapshot), "POT DARJEELING | DARJEELING");
        // A journey that something they have ordered started is about that.
        let named = |product: &str| {
            let payload = json!({ "event": { "name": "date", "product_id": product } });
            product_of_event(&snapshot, &note(Purpose::Service, payload))
        };
        assert_eq!(named("assam"), Some(("shop".to_owned(), "assam".to_owned())));
        assert_eq!((named("pot"), named("")), (None, None));
        assert_eq!(product_of_event(&snapshot, &note(Purpose::Service, json!({}))), None);
    }

    #[test]
    fn an_english_customer_of_a_du_shop_without_english_is_written_to_with_du() {
        let files =
            [("note/de.txt", "Sie {{ unsubscribe_url }}"), ("note/de-du.txt", "du {{ unsubscribe_url }}")];
        let message = sent(&files, json!({})).unwrap();
        assert!(message.text.starts_with("du mailto:hallo@shop.example"), "{}", message.text);
        // What comes with the text is in its language, too.
        assert!(message.text.contains("Abmelden"), "{}", message.text);
        assert_eq!(message.locale.as_deref(), Some("de"));
        let mailto = message.list_unsubscribe.unwrap().mailto.unwrap();
        assert!(mailto.contains("Abmelden"), "{mailto}");
    }

    #[test]
    fn texts_of_with_are_expanded_before_the_template_sees_them() {
        let body = "{{ with.greeting|default('') }} {{ with.plain|default('') }} {{ with.count|default(0) }} \
                    {% if with.deep|default('') %}{{ with.deep.texts|join(', ') }}{% endif %}";
        let with = json!({
            "greeting": "Dear {{ customer.first_name|upper }} of {{ event.name }}",
            "plain": "as it is",
            "count": 3,
            "deep": { "texts": ["{{ shop.name }}", "x"] },
        });
        let message = sent(&[("note/en.txt", body)], with).unwrap();
        assert_eq!(message.text, "Dear ANNA of order.placed as it is 3 Kessel, x");
    }

    #[test]
    fn a_text_of_with_that_cannot_be_expanded_names_journey_step_and_key() {
        for (text, reason) in [
            ("{{ customer.frist_name }}", "did you mean `first_name`?"),
            ("{{ customer.last_name }}", "is empty"),
            ("{{ with.other }}", "is empty"),
        ] {
            let error = sent(&[("note/en.txt", "Hello")], json!({ "name": text })).unwrap_err();
            assert!(matches!(&error, RenderError::With { key, .. } if key == "name"), "{error:?}");
            let message = error.to_string();
            assert!(message.starts_with("journey `care`, step `how-to`: with.name: "), "{message}");
            assert!(message.contains(reason), "{message}");
        }
    }
}

//! What a mail's template is given: the shop, the customer, the cart or order it is about. Never decides whether
//! it is sent.

use zyklus_connect::{ListUnsubscribe, Mailbox, Message, Recipient};
use zyklus_engine::Book;
use zyklus_model::{
    Cart, Channel, Consent, ConsentState, Currency, Delivery, LegalBasis, Money, Order, Product, Purpose,
    Snapshot,
};

use crate::project::Project;
use crate::template::{
    CartContext, CustomerContext, JourneyContext, LineContext, MailContext, OrderContext, ProductContext,
    Reason, RenderError, TemplateLocale, unsubscribe_by_mail,
};

/// Renders a delivery's message.
///
/// # Errors
/// The template's, when neither it nor the step's fallback can be rendered.
pub(crate) fn render(
    project: &Project,
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    products: &[Product],
) -> Result<Message, RenderError> {
    let customer = &snapshot.customer;
    let shop = &project.shop;
    let locale = TemplateLocale::preferred(customer.locale.as_deref(), &shop.locale, shop.salutation);
    let context = context_of(project, book, snapshot, delivery, products, locale);
    let fallback = book.journey(&delivery.journey).and_then(|journey| {
        let node = &journey.nodes[journey.node(&delivery.step)?];
        match &node.verb {
            zyklus_engine::playbook::Verb::Send(send) => send.fallback.as_deref(),
            _ => None,
        }
    });
    let mail = match (project.templates.render(&delivery.target, locale, &context), fallback) {
        (Err(_), Some(fallback)) => project.templates.render(fallback, locale, &context)?,
        (rendered, _) => rendered?,
    };
    let channel = delivery.channel.unwrap_or(Channel::Email);
    let email = customer.email.as_ref().map(|e| e.as_str().to_owned()).unwrap_or_default();
    let name = context.customer.name.clone();
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
        list_unsubscribe: is_marketing
            .then(|| ListUnsubscribe { url: None, mailto: unsubscribe_by_mail(&shop.imprint.email, locale) }),
        tag: Some(format!("{}/{}", delivery.journey, delivery.step)),
        sent_at: Some(delivery.created_at),
    })
}

fn context_of(
    project: &Project,
    book: &Book,
    snapshot: &Snapshot,
    delivery: &Delivery,
    products: &[Product],
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
    let name = match (&customer.first_name, &customer.last_name) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    };
    let consent = snapshot
        .consents
        .iter()
        .rfind(|c: &&Consent| Some(c.channel) == delivery.channel && c.purpose == delivery.purpose);
    let reason = match (delivery.purpose, consent) {
        (Purpose::Marketing, Some(c))
            if c.state == ConsentState::Granted && c.basis == LegalBasis::Consent =>
        {
            Reason::Consent
        }
        (Purpose::Marketing, _) => Reason::ExistingCustomer,
        (Purpose::Service | Purpose::Transactional, _) => Reason::Request,
    };
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
            name,
            email: customer.email.as_ref().map(|e| e.as_str().to_owned()).unwrap_or_default(),
            locale: customer.locale.clone(),
            attributes: customer.attributes.clone().into_iter().collect(),
        },
        journey: JourneyContext { id: delivery.journey.clone(), label },
        reason,
        unsubscribe_url: unsubscribe_by_mail(&shop.imprint.email, locale),
        requested_at: consent.map(|c| c.at.to_string()),
        cart: cart.map(|c| cart_of(c, products)),
        order: order.map(|o| order_of(o, products)),
        with: payload("with"),
        event,
        now: delivery.due_at.to_string(),
        time_zone: shop.zone.iana_name().unwrap_or_default().to_owned(),
        ..MailContext::default()
    }
}

fn cart_of(cart: &Cart, products: &[Product]) -> CartContext {
    let line = |line: &zyklus_model::CartLine| {
        let product = product_of(line.product.as_deref(), &cart.system, products);
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

fn order_of(order: &Order, products: &[Product]) -> OrderContext {
    let currency: Currency = order.total.currency;
    let line = |line: &zyklus_model::OrderLine| {
        let product = product_of(line.product.as_deref(), &order.system, products);
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

fn product_of<'p>(id: Option<&str>, system: &str, products: &'p [Product]) -> Option<&'p Product> {
    let id = id?;
    products.iter().find(|p| p.external_id == id && p.system == system)
}

/// The products a mail's cart and order name, to be looked up before rendering.
pub(crate) fn products_named(snapshot: &Snapshot) -> Vec<(String, String)> {
    let mut named = Vec::new();
    for cart in snapshot.carts.iter().rev().take(3) {
        named.extend(cart.lines.iter().filter_map(|l| Some((cart.system.clone(), l.product.clone()?))));
    }
    for order in snapshot.orders.iter().rev().take(3) {
        named.extend(order.lines.iter().filter_map(|l| Some((order.system.clone(), l.product.clone()?))));
    }
    named.sort();
    named.dedup();
    named
}

/// A product as templates see it.
pub fn product_context(product: &Product) -> ProductContext {
    ProductContext {
        id: product.external_id.clone(),
        title: product.title.clone(),
        url: product.url.clone(),
        price: product.price,
        image_url: product.image_url.clone(),
        ..ProductContext::default()
    }
}

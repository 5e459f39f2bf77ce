//! Templates that are wrong or hostile: each is refused with file, line and advice, in bounded time and memory.
//!
//! The inputs are written here; the shipped templates are in `templates.rs`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use zyklus_runtime::template::{
    CustomerContext, LoadOptions, MailContext, ProductContext, RenderError, TemplateLocale, TemplateProblem,
    Templates, expand_text, sample,
};

const FRONT: &str = "+++\nsubject = \"Hello\"\npreview = \"A preview\"\n+++\n";
const HEAD: &str = "<mj-attributes><mj-all font-family=\"Arial, sans-serif\" /></mj-attributes>";
const FOOTER: &str = "<mj-section><mj-column><mj-text>{{ shop.legal_name }} {{ shop.address_lines|join(', ') }} \
    {{ shop.imprint_url|default('') }} {{ reason }} <a href=\"{{ unsubscribe_url|url }}\">u</a></mj-text></mj-column></mj-section>";

/// A mail around some content; the content starts on line 8 of `x/en.mjml`.
fn mail(content: &str) -> String {
    format!(
        "{FRONT}<mjml lang=\"en\"><mj-head>{HEAD}</mj-head>\n<mj-body><mj-section><mj-column>\n<mj-text>\n{content}\n</mj-text>\n\
         </mj-column></mj-section><mj-include path=\"footer\" /></mj-body></mjml>\n"
    )
}

fn load(template: &str) -> Result<Templates, Vec<TemplateProblem>> {
    load_with(template, &LoadOptions::default())
}

fn load_with(template: &str, options: &LoadOptions) -> Result<Templates, Vec<TemplateProblem>> {
    let files = BTreeMap::from([
        ("x/en.mjml".to_owned(), template.to_owned()),
        ("partials/footer.mjml".to_owned(), FOOTER.to_owned()),
    ]);
    Templates::from_files(&files, options)
}

/// The one error a template has.
fn refused(template: &str) -> TemplateProblem {
    let mut errors = load(template).expect_err("this template must be refused");
    assert_eq!(errors.len(), 1, "{errors:?}");
    errors.remove(0)
}

/// Loads a mail around some content, which must be refused on its first line for a reason that is named.
fn content_refused(content: &str, reason: &str) {
    let error = refused(&mail(content));
    assert_eq!((error.file.as_str(), error.line), ("x/en.mjml", 8), "{content}: {error}");
    assert!(error.to_string().contains(reason), "{content}: {error}");
}

#[test]
fn a_plain_template_loads() {
    let templates =
        load(&mail("{{ customer.email }} {% for line in cart.lines %}{{ line.price }}{% endfor %}"));
    // Money must be formatted; that is the only thing wrong with it.
    assert!(templates.unwrap_err()[0].to_string().contains("write it with |money"));
    let templates = load(&mail("Dear {{ customer.first_name|default('customer')|upper }}")).unwrap();
    let template = templates.pick("x", &[TemplateLocale::En]).unwrap();
    let rendered = template.render(&sample("x", TemplateLocale::En)).unwrap();
    assert!(rendered.text.starts_with("Dear ANNA\n"), "{}", rendered.text);
    assert_eq!(rendered.subject, "Hello");
}

#[test]
fn mistakes_have_a_column_even_in_a_partial() {
    let error = refused(&mail("ä <b>{{ shop.name }}</b> {{ shop.nmae }}"));
    assert_eq!(error.to_string(), "x/en.mjml:8:29: there is no field `nmae` here; did you mean `name`?");
    let error = refused(&mail("one\n  <p>two <mj-txet>x</mj-txet></p>"));
    assert_eq!((error.line, error.column), (9, 10), "{error}");
    let files = BTreeMap::from([
        ("x/en.mjml".to_owned(), mail("x")),
        ("y/en.mjml".to_owned(), mail("y")),
        ("partials/footer.mjml".to_owned(), FOOTER.replace("{{ reason }}", "{{ reason }}\n  {{ raeson }}")),
    ]);
    let errors = Templates::from_files(&files, &LoadOptions::default()).unwrap_err();
    assert_eq!(errors.len(), 1, "one broken partial, two templates: {errors:?}");
    assert_eq!((errors[0].file.as_str(), errors[0].line, errors[0].column), ("partials/footer.mjml", 2, 6));
    assert_eq!(errors[0].help, "did you mean `reason`?");
}

#[test]
fn mistakes_name_file_line_and_the_right_word() {
    content_refused("{{ customer.frist_name }}", "did you mean `first_name`?");
    content_refused("{{ custmer.email }}", "did you mean `customer`?");
    content_refused("{{ customer.email|uper }}", "did you mean `upper`?");
    content_refused("{% for line in cart.lines %}{{ line.titel }}{% endfor %}", "did you mean `title`?");
    content_refused("{{ cart.lines }}", "not a text");
    content_refused("{% if customer.email %}", "{% if %} is not closed");
    content_refused("<mj-txt>x</mj-txt>", "did you mean <mj-text>?");
    content_refused("<p colour='red'>x</p>", "has no attribute `colour`");
    content_refused("<p>x", "<p> is not closed before </mj-text>; add </p>");
    content_refused("<img src=\"{{ shop.logo_url|url }}\" width=\"1\" />", "has no alt");
    content_refused("<img alt=\"\" width=\"1\" src=\"https://cdn.example/a.png\" />", "foreign host");
    content_refused("<a href=\"{{ shop.url }}\">x</a>", "is not checked");
    content_refused("<a href=\"javascript:alert(1)\">x</a>", "is not a link");
    content_refused("<a href=\"https://x.example/{{ customer.email }}\">x</a>", "is not checked");
    content_refused("<p onclick=\"x\">x</p>", "has no attribute `onclick`");
    content_refused("<p style=\"background:url(https://x.example)\">x</p>", "may not fetch");
    content_refused("<p style=\"color:{{ customer.email }}\">x</p>", "may not fetch or contain values");
    content_refused("<script>x</script>", "<script> is unknown");
    content_refused("<mj-hero>x</mj-hero>", "mj-section with an mj-image");
    content_refused("<mj-social>x</mj-social>", "another host");
    content_refused("<mj-include path=\"foter\" />", "did you mean `footer`?");
}

#[test]
fn rules_hold_for_the_whole_file() {
    let spacing = mail("x").replace("<mj-text>\nx", "<mj-text padding=\"0 24px\">\nx");
    assert!(refused(&spacing).to_string().contains("write 0px"));
    let no_footer = mail("x").replace("<mj-include path=\"footer\" />", "");
    assert!(refused(&no_footer).to_string().contains("needs the footer"));
    let no_font = mail("x").replace(HEAD, "");
    assert!(refused(&no_font).to_string().contains("font-family"));
    assert!(refused(&mail("x")[4..]).to_string().contains("front matter is missing"));
    let typo = refused(&mail("x").replace("preview =", "preveiw ="));
    assert_eq!((typo.line, typo.column), (3, 1), "{typo}");
    let subject = refused(&mail("x").replace("\"Hello\"", "\"{{ nobody }}\""));
    assert_eq!((subject.line, subject.column), (2, 15), "{subject}");
    let image = mail("<img alt=\"\" width=\"1\" src=\"https://shop.example/a.png\" />");
    let options = LoadOptions { asset_hosts: vec!["shop.example".to_owned()] };
    assert!(load(&image).is_err() && load_with(&image, &options).is_ok());
    // A footer that does not say how to stop.
    let files = BTreeMap::from([
        ("x/en.mjml".to_owned(), mail("x")),
        ("partials/footer.mjml".to_owned(), FOOTER.replace("{{ unsubscribe_url|url }}", "https://x.example")),
    ]);
    let errors = Templates::from_files(&files, &LoadOptions::default()).unwrap_err();
    assert!(errors[0].to_string().contains("unsubscribe_url"), "{}", errors[0]);
}

#[test]
fn what_could_grow_is_not_in_the_language() {
    for content in [
        "{% set x = 'a' %}",
        "{% set ns.x = ns.x ~ ns.x %}",
        "{% with x = 'a' %}{% endwith %}",
        "{{ 'x' * 50000000000 }}",
        "{{ (('x' * 99999) * 99999)|length }}",
        "{{ shop.name ~ shop.name }}",
        "{{ shop.name + shop.name }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ range(1000000) }}",
        "{% for a in [shop.name, shop.name] %}{% endfor %}",
        "{% for a in (shop.name, shop.name) %}{% endfor %}",
        "{{ {'a': shop.name} }}",
        "{{ shop.name|replace('a', 'b') }}",
        "{{ shop.name|indent(50000000) }}",
        "{{ debug() }}",
        "{{ shop.name.upper() }}",
        "{% filter upper %}x{% endfilter %}",
        "{% macro m() %}{{ m() }}{% endmacro %}",
        "{% include 'x' %}",
        "{% for a in products recursive %}{{ loop(products) }}{% endfor %}",
        "{% for a in products %}{% for b in products %}{% for c in products %}x{% endfor %}{% endfor %}{% endfor %}",
    ] {
        let error = refused(&mail(content));
        assert_eq!((error.file.as_str(), error.line), ("x/en.mjml", 8), "{content}: {error}");
    }
    // Twenty-two doublings, as a loop variable would carry them.
    let mut doubling = "{% for a0 in products %}".to_owned();
    for step in 1..=22 {
        doubling.push_str(&format!("{{% for a{step} in [a{} ~ a{}] %}}", step - 1, step - 1));
    }
    doubling.push_str("{{ a22 }}");
    doubling.push_str(&"{% endfor %}".repeat(23));
    refused(&mail(&doubling));
    #[cfg(target_os = "linux")]
    assert!(peak_memory_kib() < 300_000, "{} KiB", peak_memory_kib());
}

#[cfg(target_os = "linux")]
fn peak_memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

#[test]
fn nested_markup_cannot_overflow_the_stack() {
    for depth in [250, 5_000, 10_000] {
        let nested = format!("{}x{}", "<b>".repeat(depth), "</b>".repeat(depth));
        let error = refused(&mail(&nested));
        assert!(error.to_string().contains("nested deeper"), "{error}");
    }
    refused(&mail(&"<div>".repeat(20_000)));
    let error = refused(&mail(&"<b>x</b>".repeat(100_000)));
    assert!(error.message.contains("larger than"), "{error}");
    let ifs = format!("{}x{}", "{% if shop.name %}".repeat(2_000), "{% endif %}".repeat(2_000));
    refused(&mail(&ifs));
    refused(&mail(&format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000))));
}

#[test]
fn a_loop_that_does_not_end_is_stopped() {
    let body = "{% for a in products %}{% for b in products %}{% if a.title == b.title %}x{% endif %}{% endfor %}{% endfor %}";
    let templates = load(&mail(&body.repeat(3))).unwrap();
    let mut context = sample("x", TemplateLocale::En);
    context.products = vec![ProductContext::default(); 5_000];
    let error = templates.pick("x", &[TemplateLocale::En]).unwrap().render(&context).unwrap_err();
    assert!(matches!(error, RenderError::Endless { .. }), "{error}");
    assert!(error.to_string().contains("x/en.mjml"), "{error}");
}

#[test]
fn a_mail_that_grows_too_large_is_stopped() {
    let body = "{% for a in products %}{{ a.title }}{{ a.title }}{% endfor %}";
    let templates = load(&mail(body)).unwrap();
    let mut context = sample("x", TemplateLocale::En);
    let product = ProductContext { title: "<".repeat(1_000_000), ..ProductContext::default() };
    context.products = vec![product; 200];
    let error = templates.pick("x", &[TemplateLocale::En]).unwrap().render(&context).unwrap_err();
    assert!(matches!(error, RenderError::TooLarge { .. }), "{error}");
}

#[test]
fn a_missing_value_stops_the_mail_and_a_bad_link_is_left_out() {
    let body = "{{ customer.attributes.size }}\n<a href=\"{{ review_url|default(shop.url)|url }}\">x</a>";
    let errors = load(&mail(body)).unwrap_err();
    assert_eq!((errors[0].line, errors[0].column), (8, 4), "{}", errors[0]);
    assert!(errors[0].message.contains("is empty for some customers"), "{}", errors[0]);
    let templates = load(&mail(&body.replace("size }}", "size|default('M') }}"))).unwrap();
    let template = templates.pick("x", &[TemplateLocale::En]).unwrap();
    let mut context = sample("x", TemplateLocale::En);
    for bad in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "https://",
        "ftp://x.example",
        " jAvascript:x",
        "https://a.example/\"x",
        "vbscript:x",
        "https:evil",
        "java\nscript:x",
    ] {
        // A shop's odd link is left out, as if there were none; the mail goes all the same.
        context.review_url = Some(bad.to_owned());
        let left_out = template.render(&context).map(|mail| format!("{mail:?}"));
        context.review_url = None;
        assert_eq!(left_out.ok(), template.render(&context).map(|mail| format!("{mail:?}")).ok(), "{bad}");
    }
    context.review_url = Some("https://shop.example/a?b=1&c='2'".to_owned());
    let html = template.render(&context).unwrap().html.unwrap();
    assert!(html.contains("href=\"https://shop.example/a?b=1&amp;c=%272%27\""));
    // What was found must not be rendered for a customer without it.
    let templates = load(&mail("{% if customer.first_name %}{{ customer.first_name }}{% endif %}")).unwrap();
    let nobody = MailContext { customer: CustomerContext::default(), ..sample("x", TemplateLocale::En) };
    assert!(templates.pick("x", &[TemplateLocale::En]).unwrap().render(&nobody).is_ok());
    assert!(
        load(&mail("Dear {{ customer.first_name }}")).unwrap_err()[0].message.contains("is empty for some")
    );
}

#[test]
fn a_value_of_the_event_is_asked_for_with_is_defined() {
    let help = |body: &str| load(&mail(body)).unwrap_err().remove(0).help;
    let asked = "ask first whether it is there: {% if event.number is defined %}";
    assert_eq!(help("{% if event.number %}{{ event.number }}{% endif %}"), asked);
    let elif = "{% if shop.phone %}x{% elif with.tone %}y{% endif %}";
    assert_eq!(help(elif), "ask first whether it is there: {% elif with.tone is defined %}");
    let wrapped = "wrap it in {% if event.number is defined %} or add |default('…')";
    assert_eq!(help("No. {{ event.number }}"), wrapped);
    assert!(load(&mail("{% if event.number is defined %}No. {{ event.number }}{% endif %}")).is_ok());
    // What is always known by name can simply be asked.
    assert_eq!(help("Dear {{ customer.first_name }}"), "wrap it in {% if %} or add |default('…')");
}

#[test]
fn a_picture_of_the_data_is_checked_when_the_mail_is_finished() {
    let body = "<img alt=\"\" width=\"1\" src=\"{{ with.picture|default(shop.url)|url }}\" />";
    let templates = load(&mail(body)).unwrap();
    let mut context = sample("x", TemplateLocale::En);
    context.with.insert("picture".to_owned(), "https://pixel.example/t.gif".into());
    let error = templates.pick("x", &[TemplateLocale::En]).unwrap().render(&context).unwrap_err();
    assert!(matches!(&error, RenderError::ForeignHost { host, .. } if host == "pixel.example"), "{error}");
    context.with.insert("picture".to_owned(), "https://media.shop.example/t.gif".into());
    assert!(templates.pick("x", &[TemplateLocale::En]).unwrap().render(&context).is_ok());
}

#[test]
fn text_templates_and_short_texts_use_the_same_language() {
    let text = "+++\n+++\nHi {{ customer.first_name|default('there') }}, {{ shop.name }}: {{ cart.url|default(shop.url) }} {% if cart.total %}{{ cart.total|money }}{% endif %}\n";
    let files = BTreeMap::from([("sms/en.txt".to_owned(), text.to_owned())]);
    let templates = Templates::from_files(&files, &LoadOptions::default()).unwrap();
    let context = sample("sms", TemplateLocale::En);
    let rendered = templates.pick("sms", &[TemplateLocale::En]).unwrap().render(&context).unwrap();
    assert_eq!(rendered.text, "Hi Anna, Kessel & Blatt: https://shop.example/cart/8f2c €75.70");
    assert_eq!(rendered.html, None);
    let expand = |text| expand_text("playbooks/06-vip.toml", text, TemplateLocale::En, &context);
    assert_eq!(expand("order-{{ order.number }}").unwrap(), "order-10427");
    assert_eq!(expand("plain").unwrap(), "plain");
    let error = expand("tier-{{ order.nubmer }}").unwrap_err();
    assert!(error.to_string().starts_with("playbooks/06-vip.toml:1:9: "), "{error}");
    assert!(expand("{{ 'x' * 9 }}").is_err());
}

#[test]
fn a_text_message_has_a_footer_only_if_it_says_how_to_stop() {
    let has_footer = |class: &str, body: &str| {
        let text = format!("+++\nclass = \"{class}\"\n+++\n{body}\n");
        let files = BTreeMap::from([("x/en.txt".to_owned(), text)]);
        Templates::from_files(&files, &LoadOptions::default()).unwrap().has_footer("x")
    };
    assert!(!has_footer("marketing", "News of {{ shop.name }}"));
    assert!(!has_footer("marketing", "No unsubscribe_url, {{ shop.name }}, unsubscribe_url"));
    assert!(has_footer("marketing", "News. Stop: {{ unsubscribe_url|url }}"));
    assert!(has_footer("service", "News. Stop: {{ unsubscribe_url }}"));
    // A mail says so by the partial, whatever it calls itself.
    assert!(load(&mail("x")).unwrap().has_footer("x"));
}

#[test]
fn every_broken_template_is_reported() {
    let files = BTreeMap::from([
        ("a/en.mjml".to_owned(), "no front matter".to_owned()),
        ("a/fr.mjml".to_owned(), mail("x")),
        ("stray.mjml".to_owned(), mail("x")),
        ("b/en.mjml".to_owned(), mail("x")),
        ("partials/footer.mjml".to_owned(), FOOTER.to_owned()),
    ]);
    let errors = Templates::from_files(&files, &LoadOptions::default()).unwrap_err();
    let files: Vec<_> = errors.iter().map(|error| error.file.as_str()).collect();
    assert_eq!(files, ["a/en.mjml", "a/fr.mjml", "stray.mjml"]);
    let missing = Templates::load(std::path::Path::new("/nonexistent"), &LoadOptions::default()).unwrap_err();
    assert!(missing[0].message.starts_with("cannot be read"), "{}", missing[0]);
}

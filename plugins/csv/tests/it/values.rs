//! Mapping and values: what a row becomes, and which rows are refused with which words.

use zyklus_connect::model::{ConsentState, FeedbackKind, OrderState, Record};

use crate::support::{Shop, orders};

fn one(config: &str, stream: &str, text: &str) -> Result<Vec<Record>, String> {
    let shop = Shop::new(&format!("[{stream}]\npath = \"f.csv\"\n{config}")).with("f.csv", text);
    let read = shop.backfill(stream);
    match read.rejects.into_iter().next() {
        Some((place, message)) => Err(format!("{place}: {message}")),
        None => Ok(read.records),
    }
}

fn placed_at(config: &str, date: &str) -> Result<String, String> {
    let text = format!("customer_id,placed_at,total\n1,{date},1\n");
    let records = one(&format!("currency = \"EUR\"\n{config}"), "orders", &text)?;
    let [Record::Order(order)] = records.as_slice() else { panic!("{records:?}") };
    Ok(order.placed_at.to_string())
}

fn total(config: &str, amount: &str) -> Result<i64, String> {
    let text = format!("customer_id;placed_at;total\n1;2026-01-01;{amount}\n");
    let records = one(&format!("delimiter = \";\"\ncurrency = \"EUR\"\n{config}"), "orders", &text)?;
    let [Record::Order(order)] = records.as_slice() else { panic!("{records:?}") };
    Ok(order.total.amount_minor)
}

#[test]
fn dates_are_read_in_their_format_and_time_zone() {
    assert_eq!(placed_at("", "2026-03-01").unwrap(), "2026-03-01T00:00:00Z");
    assert_eq!(placed_at("", "2026-03-01 10:30").unwrap(), "2026-03-01T10:30:00Z");
    assert_eq!(placed_at("", "2026-03-01T10:30:00+01:00").unwrap(), "2026-03-01T09:30:00Z");
    let berlin = "time_zone = \"Europe/Berlin\"\n";
    assert_eq!(placed_at(berlin, "2026-07-01").unwrap(), "2026-06-30T22:00:00Z");
    assert_eq!(placed_at(berlin, "2026-07-01T10:00:00Z").unwrap(), "2026-07-01T10:00:00Z");
    let german = format!("{berlin}date_format = \"%d.%m.%Y %H:%M\"\n");
    assert_eq!(placed_at(&german, "01.12.2026 08:00").unwrap(), "2026-12-01T07:00:00Z");
    let error = placed_at(&german, "31.02.2026 08:00").unwrap_err();
    assert_eq!(
        error,
        "f.csv:2: column `placed_at`: `31.02.2026 08:00` is not a date of the form `%d.%m.%Y %H:%M`"
    );
    assert!(placed_at("", "01.03.2026").unwrap_err().contains("set `date_format`"));
}

#[test]
fn local_times_around_clock_changes_are_instants() {
    let berlin = "time_zone = \"Europe/Berlin\"\n";
    // Skipped at 02:00 on 2026-03-29: half past two is half past three.
    assert_eq!(placed_at(berlin, "2026-03-29 02:30").unwrap(), "2026-03-29T01:30:00Z");
    // Twice on 2026-10-25: the first one.
    assert_eq!(placed_at(berlin, "2026-10-25 02:30").unwrap(), "2026-10-25T00:30:00Z");
}

#[test]
fn amounts_are_exact_or_refused() {
    assert_eq!(total("", "49.9"), Ok(4990));
    assert_eq!(total("", "0.00"), Ok(0));
    assert_eq!(total("decimal = \",\"", "1234,56"), Ok(123_456));
    let error = total("decimal = \",\"", "1.234,56").unwrap_err();
    assert!(error.contains("write it without points, as 1234,56"), "{error}");
    let error = total("", "49,90").unwrap_err();
    assert!(error.contains("`49,90` is not an amount") && error.contains("set `decimal = \",\"`"), "{error}");
    assert!(total("", "1,234,567").unwrap_err().contains("without thousands separators"));
    let error = total("decimal = \",\"", "49,905").unwrap_err();
    assert!(error.contains("`49,905` has more decimals than EUR has (2)"), "the file's own text: {error}");
    let error = total("decimal = \",\"", "cheap").unwrap_err();
    assert!(error.contains("`cheap` is not an amount; write it as 1234,56"), "{error}");
    assert!(total("", "49.905").unwrap_err().contains("more decimals"));
    assert!(total("", "").unwrap_err().contains("column `total` is empty"));
}

#[test]
fn customers_carry_profile_attributes_and_consent() {
    let text = "Nr;E-Mail;Vorname;Land;Newsletter;Seit;Gruppen;Punkte\n\
                7;Ann@Example.com;Ann;de;ja;2026-01-02;vip|b2b;12\n\
                8;;Bob;;nein;2026-01-03;;007\n\
                9;c@example.com;;;;2026-01-03;;\n";
    let config = "delimiter = \";\"\nattributes = [\"Punkte\"]\nmap = { id = \"Nr\", email = \"E-Mail\", \
                  first_name = \"Vorname\", country = \"Land\", consent_email = \"Newsletter\", \
                  consent_at = \"Seit\", created_at = \"Seit\", tags = \"Gruppen\" }";
    let records = one(config, "customers", text).unwrap();
    let [
        Record::Customer(ann),
        Record::Consent(yes),
        Record::Customer(bob),
        Record::Consent(no),
        Record::Customer(cem),
    ] = records.as_slice()
    else {
        panic!("{records:?}")
    };
    assert_eq!(ann.customer.email.as_deref(), Some("Ann@Example.com"));
    assert!(ann.customer.email_verified);
    assert_eq!((ann.country.as_deref(), ann.first_name.as_deref()), (Some("DE"), Some("Ann")));
    assert_eq!(ann.tags, Some(vec!["vip".to_owned(), "b2b".to_owned()]));
    assert_eq!(ann.attributes["Punkte"], 12);
    assert_eq!((yes.state, yes.customer.external_id.as_deref()), (ConsentState::Granted, Some("7")));
    assert_eq!(yes.at.to_string(), "2026-01-02T00:00:00Z");
    assert_eq!(yes.evidence["row"], "f.csv:2");
    assert_eq!(no.state, ConsentState::Withdrawn);
    assert!(!bob.customer.email_verified, "no address, nothing verified");
    assert_eq!(bob.attributes["Punkte"], "007", "a number with leading zeroes is a name");
    assert_eq!(cem.tags, Some(vec![]));
}

#[test]
fn a_text_that_is_no_address_is_left_out_and_reported() {
    let shop = Shop::new("[customers]\npath = \"f.csv\"")
        .with("f.csv", "id,email\n1,nobody\n,nobody\n2,a@b.example\n");
    let read = shop.backfill("customers");
    assert_eq!(read.records.len(), 2);
    assert_eq!(read.records[0].customer().unwrap().email, None);
    assert!(read.rejects[0].1.ends_with("the row was taken without it"), "{:?}", read.rejects);
    assert_eq!(read.rejects[1].0, "f.csv:3");
    assert!(!format!("{:?}", read.rejects).contains("nobody"), "reports carry no addresses");
}

#[test]
fn rows_of_one_order_become_one_order() {
    let text = "id,customer_id,placed_at,total,line_product,line_title,line_quantity,line_total,line_categories\n\
                A,1,2026-01-01,30,p1,Tea,2,20,Tea|Green\nA,1,2026-01-01,30,p2,Cup,1,10,\n\
                B,2,2026-01-02,,p1,Tea,1,10,\nB,2,2026-01-02,,p3,Pot,1,25.5,\n";
    let records = one("currency = \"EUR\"", "orders", text).unwrap();
    assert_eq!(orders(&records), ["A 1 30.00 EUR 2", "B 2 35.50 EUR 2"]);
    let Record::Order(a) = &records[0] else { panic!() };
    assert_eq!(a.lines[0].categories, ["Tea", "Green"]);
    assert_eq!((a.lines[0].quantity, a.lines[0].total_minor), (2, 2000));
}

#[test]
fn an_order_with_a_bad_row_is_refused_whole() {
    let text = "id,customer_id,placed_at,total,line_title,line_total\n\
                A,1,2026-01-01,30,Tea,20\nA,1,2026-01-01,30,Cup,ten\nB,2,2026-01-02,5,Tea,5\n\
                C,3,2026-01-02,9,Tea,5\nC,3\nC,3,2026-01-02,9,Cup,4\nD,4,2026-01-02,1,Tea,1\n";
    let shop = Shop::new("[orders]\npath = \"f.csv\"\ncurrency = \"EUR\"").with("f.csv", text);
    let read = shop.backfill("orders");
    assert_eq!(orders(&read.records), ["B 2 5.00 EUR 1", "D 4 1.00 EUR 1"]);
    let rejects: Vec<_> = read.rejects.iter().map(|(p, m)| format!("{p} {m}")).collect();
    assert_eq!(
        rejects,
        [
            "f.csv:2 line 3, of the same `A`, could not be read",
            "f.csv:3 column `line_total`: `ten` is not an amount; write it as 1234.56",
            "f.csv:6 2 fields where the header has 6",
            "f.csv:5 line 6, of the same `C`, could not be read",
            "f.csv:7 line 6, of the same `C`, could not be read",
        ]
    );
}

#[test]
fn order_states_marks_and_refunds_are_read() {
    let text = "id,email,first_name,placed_at,total,state,delivered_at,refunded,refunded_at,coupons\n\
                A,g@b.example,Gil,2026-01-01,30,complete,2026-01-04,-5,2026-01-09,TEN|X\n\
                B,g@b.example,Gil,2026-01-01,30,Storniert,,,,\n";
    let records = one("currency = \"EUR\"", "orders", text).unwrap();
    let [Record::Order(a), Record::Order(b)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(a.delivered_at.unwrap().to_string(), "2026-01-04T00:00:00Z");
    assert_eq!((a.refunds[0].amount_minor, a.refunds[0].external_id.as_str()), (500, "A:refund"));
    assert_eq!(a.coupons, ["TEN", "X"]);
    assert!(!a.customer.email_verified, "nobody verified a guest's address");
    assert_eq!(a.profile.as_ref().unwrap().first_name.as_deref(), Some("Gil"));
    assert_eq!((a.state, b.state), (OrderState::Placed, OrderState::Cancelled));
}

#[test]
fn events_keep_their_other_columns_as_data() {
    let text = "id,customer_id,name,at,page,seconds,price,new\ne1,7,page.viewed,2026-01-01T10:00:00Z,/tea,12,1.5,true\n";
    let records = one("", "events", text).unwrap();
    let [Record::Event(event)] = records.as_slice() else { panic!("{records:?}") };
    let data = serde_json::to_string(&event.data).unwrap();
    assert_eq!(data, r#"{"page":"/tea","seconds":12,"price":1.5,"new":true}"#);
    let error = one("", "events", "customer_id,name,at\n7,Page Viewed,2026-01-01\n").unwrap_err();
    assert!(error.contains("page.viewed"), "{error}");
}

#[test]
fn reviews_products_carts_and_consents_are_read() {
    let reviews = "id,customer_id,kind,score,text,at\nr,7,nps,9,,2026-01-01\ns,7,,,fine,2026-01-01\n";
    let records = one("", "reviews", reviews).unwrap();
    let [Record::Feedback(nps), Record::Feedback(comment)] = records.as_slice() else {
        panic!("{records:?}")
    };
    assert_eq!((nps.kind, nps.score), (FeedbackKind::Nps, Some(9.0)));
    assert_eq!((comment.kind, comment.score), (FeedbackKind::Comment, None));
    let error = one("", "reviews", "customer_id,score,at\n7,6,2026-01-01\n").unwrap_err();
    assert_eq!(error, "f.csv:2: score 6 is outside 1 to 5, the scale of a review");

    let records =
        one("", "products", "id,title,price,currency,categories,available\np,Tea,4.5,chf,A|B,no\n").unwrap();
    let [Record::Product(tea)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(tea.price.unwrap().to_string(), "4.50 CHF");
    assert_eq!((tea.categories.len(), tea.available), (2, false));
    let error = one("", "products", "id,title,price,currency\np,Tea,4.5,EURO\n").unwrap_err();
    assert!(error.contains("is not a currency"), "{error}");

    let carts = "id,customer_id,updated_at,is_open,line_title,line_total\nc,7,2026-01-01,1,Tea,4\nc,7,2026-01-01,1,Cup,6\n";
    let records = one("currency = \"EUR\"", "carts", carts).unwrap();
    let [Record::Cart(cart)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((cart.total.amount_minor, cart.lines.len(), cart.is_open), (1000, 2, true));

    let records =
        one("", "consents", "email,state,at,channel\na@b.example,withdrawn,2026-01-01,sms\n").unwrap();
    let [Record::Consent(consent)] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((consent.state, consent.channel.as_str()), (ConsentState::Withdrawn, "sms"));
}

#[test]
fn other_columns_of_consents_are_evidence() {
    let text = "email,state,at,form,wording,row\na@b.example,granted,2026-01-01,footer,v4,x\n";
    let records = one("map = { source = \"form\" }", "consents", text).unwrap();
    let [Record::Consent(consent)] = records.as_slice() else { panic!("{records:?}") };
    let evidence = serde_json::to_string(&consent.evidence).unwrap();
    assert_eq!(evidence, r#"{"wording":"v4","row":"f.csv:2","source":"footer"}"#);
}

#[test]
fn a_consent_without_a_date_of_its_own_says_so() {
    let config = "map = { consent_email = \"newsletter\" }";
    let undated = one(config, "customers", "id,created_at,newsletter\n7,2026-01-02,ja\n").unwrap();
    let Record::Consent(consent) = &undated[1] else { panic!("{undated:?}") };
    assert_eq!((consent.undated, consent.at.to_string()), (true, "2026-01-02T00:00:00Z".to_owned()));
    let dated = "id,created_at,newsletter,consent_at\n7,2026-01-02,ja,2026-01-05\n";
    let dated = one(config, "customers", dated).unwrap();
    let Record::Consent(consent) = &dated[1] else { panic!("{dated:?}") };
    assert_eq!((consent.undated, consent.at.to_string()), (false, "2026-01-05T00:00:00Z".to_owned()));
}

//! What customers say: reviews and answers, short, in their language. Invented.

/// Reviews by stars from 1 to 5, German.
const REVIEWS_DE: [&[&str]; 5] = [
    &[
        "Kam zerbrochen an, die Verpackung war zu dünn.",
        "Leider überhaupt nicht mein Geschmack.",
        "Drei Wochen gewartet, und dann das Falsche im Paket.",
        "Für den Preis eine Enttäuschung.",
    ],
    &["Ganz ordentlich, aber zu teuer.", "Kleiner als erwartet.", "Riecht gut, schmeckt aber flach."],
    &[
        "In Ordnung, mehr nicht.",
        "Gute Ware, die Lieferung hat gedauert.",
        "Ganz nett. Habe schon Besseres gehabt.",
        "Farbe weicht vom Bild ab, sonst gut.",
    ],
    &[
        "Sehr gut, nur die Tüte lässt sich schlecht verschließen.",
        "Gefällt mir, bestelle ich wieder.",
        "Schöne Qualität und schnelle Lieferung.",
        "Tolles Geschenk, kam gut an.",
        "Schmeckt prima, ein Punkt Abzug für den Preis.",
    ],
    &[
        "Wunderbar, genau wie beschrieben!",
        "Mein neuer Liebling am Morgen.",
        "Liebevoll verpackt und sehr schnell da.",
        "Die ganze Familie ist begeistert.",
        "Schon die dritte Bestellung und immer wieder gut.",
        "Handwerklich sehr schön gemacht.",
        "Frisch, kräftig, einfach gut.",
        "Endlich gefunden, was ich lange gesucht habe.",
    ],
];

/// The same, English.
const REVIEWS_EN: [&[&str]; 5] = [
    &["Arrived broken, poorly packed.", "Not what I ordered.", "Really not to my taste."],
    &["Decent, but overpriced.", "Smaller than I expected."],
    &["It's fine.", "Good product, slow delivery.", "Nice, though the colour differs from the picture."],
    &[
        "Very good, I'd order it again.",
        "Lovely quality and quick delivery.",
        "A great present.",
        "Tastes great, a bit pricey.",
    ],
    &[
        "Wonderful, exactly as described!",
        "My new favourite in the morning.",
        "Beautifully packed.",
        "Third order and still delighted.",
        "Fresh and full of flavour.",
        "Beautifully made.",
    ],
];

/// Answers to "would you recommend us": critics, the undecided, promoters. German.
const ANSWERS_DE: [&[&str]; 3] = [
    &["Die Lieferung war viel zu langsam.", "Kundendienst hat nie geantwortet.", "Versandkosten zu hoch."],
    &["Gute Auswahl, aber nicht günstig.", "Alles in Ordnung.", "Mehr Sorten ohne Koffein, bitte."],
    &[
        "Macht weiter so!",
        "Habe euch schon zwei Freundinnen empfohlen.",
        "Man merkt, dass hier jemand seine Ware liebt.",
        "Schnell, freundlich, lecker.",
    ],
];

/// The same, English.
const ANSWERS_EN: [&[&str]; 3] = [
    &["Delivery took far too long.", "Postage is too expensive."],
    &["Good choice, not cheap.", "All fine."],
    &["Keep it up!", "I've told all my friends.", "You can tell they love what they sell."],
];

/// Why things come back.
pub(super) const REASONS: [&str; 5] =
    ["broken on arrival", "not as expected", "wrong item sent", "changed mind", "arrived too late"];

/// Texts for so many stars.
pub(super) fn reviews(german: bool, stars: i64) -> &'static [&'static str] {
    let by_stars = if german { &REVIEWS_DE } else { &REVIEWS_EN };
    by_stars[(stars.clamp(1, 5) - 1) as usize]
}

/// Texts for a score from 0 to 10.
pub(super) fn answers(german: bool, score: i64) -> &'static [&'static str] {
    let by_group = if german { &ANSWERS_DE } else { &ANSWERS_EN };
    match score {
        ..=6 => by_group[0],
        7 | 8 => by_group[1],
        _ => by_group[2],
    }
}

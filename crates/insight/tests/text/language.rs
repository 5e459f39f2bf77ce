//! Languages of small and strange texts.

use proptest::prelude::*;
use zyklus_insight::text::Language;
use zyklus_insight::text::language::{Detected, detect, detect_among};

use super::{any_text, config};

#[test]
fn languages_of_short_comments() {
    let check = |text: &str, wanted: Detected| assert_eq!(detect(text), wanted, "{text}");
    check("Sehr gut", Detected::Is(Language::German));
    check("very good", Detected::Is(Language::English));
    check("Gerne wieder!", Detected::Is(Language::German));
    check("NICHT ZU EMPFEHLEN!!!", Detected::Is(Language::German));
    check("I don’t like it", Detected::Is(Language::English));
    check("", Detected::TooShort);
    check("ok", Detected::TooShort);
    check("Top!!!", Detected::TooShort);
    check("5*", Detected::TooShort);
    check("Super", Detected::TooShort);
}

#[test]
fn other_languages_are_not_taken_for_ours() {
    let check = |text: &str, wanted: Language| {
        let found = detect(text);
        assert!(matches!(found, Detected::Unsure) || found == Detected::Is(wanted), "{text}: {found:?}");
    };
    check("Livraison rapide et produit de très bonne qualité, je recommande ce vendeur.", Language::French);
    check("De bestelling is snel geleverd en de kwaliteit is prima, ik ben erg tevreden.", Language::Dutch);
    check("El producto llegó roto y nadie contesta a mis correos electrónicos.", Language::Spanish);
    check("Il pacco è arrivato in ritardo e la scatola era completamente rovinata.", Language::Italian);
    check("O produto chegou antes do prazo e a qualidade é muito boa.", Language::Portuguese);
    check("Varen kom hurtigt frem, og kvaliteten er rigtig god.", Language::Danish);
    check("Produkten kom snabbt och kvaliteten är mycket bra.", Language::Swedish);
    check("Produkt dotarł bardzo szybko i jest dobrej jakości, polecam.", Language::Polish);
}

#[test]
fn a_mixture_is_neither() {
    assert_eq!(detect("The delivery was sehr schnell und the quality is gut"), Detected::Unsure);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn only_expected_languages_are_found(text in any_text(), chosen in prop::sample::subsequence(Language::ALL.to_vec(), 0..4)) {
        if let Detected::Is(language) = detect_among(&text, &chosen) {
            prop_assert!(chosen.contains(&language));
        }
    }
}

//! What the shop sells: its categories and products, in German and English. Invented, like the shop.

/// A product.
pub(super) struct Product {
    /// German title.
    pub(super) de: &'static str,
    /// English title.
    pub(super) en: &'static str,
    /// Last part of its address.
    pub(super) slug: &'static str,
    /// Index into [`CATEGORIES`].
    pub(super) category: usize,
    /// Price with tax, in cents.
    pub(super) cents: i64,
    /// How well it sells beside the others of its category.
    pub(super) weight: u64,
    /// How many days before the newest instant it was added; 0 = it was always there.
    pub(super) added: i64,
    /// Sold only in these months, if not all year.
    pub(super) months: Option<(i8, i8)>,
}

impl Product {
    /// Whether it is sold in this month.
    pub(super) fn sells_in(&self, month: i8) -> bool {
        self.months.is_none_or(|(from, to)| (from..=to).contains(&month))
    }
}

/// The categories, and how many of a hundred customers like each best.
pub(super) const CATEGORIES: [(&str, u64); 6] =
    [("Tee", 28), ("Kaffee", 24), ("Gewürze", 16), ("Keramik", 14), ("Küche", 10), ("Geschenke", 8)];
/// The category of presents, wanted most in December.
pub(super) const PRESENTS: usize = 5;

const fn p(
    category: usize,
    slug: &'static str,
    de: &'static str,
    en: &'static str,
    cents: i64,
    weight: u64,
) -> Product {
    Product { de, en, slug, category, cents, weight, added: 0, months: None }
}

const fn new(added: i64, product: Product) -> Product {
    Product { added, ..product }
}

const fn only(from: i8, to: i8, product: Product) -> Product {
    Product { months: Some((from, to)), ..product }
}

/// Everything the shop sells; the position gives the product its id.
pub(super) const PRODUCTS: [Product; 48] = [
    p(0, "assam-morgenrot", "Assam Morgenrot, 250 g", "Assam Morning Red, 250 g", 1190, 30),
    p(
        0,
        "darjeeling-first-flush",
        "Darjeeling First Flush, 100 g",
        "Darjeeling First Flush, 100 g",
        1450,
        16,
    ),
    p(
        0,
        "earl-grey-bergamotte",
        "Earl Grey mit Bergamotte, 250 g",
        "Earl Grey with Bergamot, 250 g",
        1090,
        26,
    ),
    p(0, "ostfriesische-mischung", "Ostfriesische Mischung, 500 g", "East Frisian Blend, 500 g", 1690, 22),
    p(0, "sencha-fruehling", "Sencha Frühlingsernte, 100 g", "Spring Harvest Sencha, 100 g", 1290, 18),
    p(0, "kraeutergarten", "Kräutergarten, 80 g", "Herb Garden Infusion, 80 g", 790, 24),
    p(0, "rooibos-vanille", "Rooibos Vanille, 250 g", "Vanilla Rooibos, 250 g", 990, 20),
    only(
        9,
        12,
        p(0, "winterabend", "Winterabend, Früchtetee, 200 g", "Winter Evening Fruit Tea, 200 g", 990, 40),
    ),
    p(1, "hausmischung", "Hausmischung, ganze Bohne, 1 kg", "House Blend, Whole Bean, 1 kg", 2490, 34),
    p(1, "espresso-dunkel", "Espresso Dunkel, 500 g", "Dark Roast Espresso, 500 g", 1490, 30),
    p(1, "aethiopien-sidamo", "Äthiopien Sidamo, 250 g", "Ethiopia Sidamo, 250 g", 1090, 16),
    p(1, "guatemala-hochland", "Guatemala Hochland, 250 g", "Guatemala Highland, 250 g", 1050, 14),
    p(1, "entkoffeiniert", "Entkoffeiniert, mild, 500 g", "Mild Decaf, 500 g", 1590, 12),
    p(1, "filterkaffee-gemahlen", "Filterkaffee, gemahlen, 500 g", "Ground Filter Coffee, 500 g", 1290, 24),
    new(140, p(1, "kaltbrueh", "Kaltbrüh-Röstung, 250 g", "Cold Brew Roast, 250 g", 1190, 14)),
    p(1, "probierset-kaffee", "Probierset Kaffee, 4 × 100 g", "Coffee Tasting Set, 4 × 100 g", 1890, 18),
    p(2, "garam-masala", "Garam Masala, 90 g", "Garam Masala, 90 g", 690, 22),
    p(2, "tellicherry-pfeffer", "Tellicherry-Pfeffer, 100 g", "Tellicherry Pepper, 100 g", 890, 24),
    p(2, "raeucherpaprika", "Räucherpaprika, 80 g", "Smoked Paprika, 80 g", 650, 20),
    p(2, "ceylon-zimt", "Ceylon-Zimt, gemahlen, 60 g", "Ground Ceylon Cinnamon, 60 g", 590, 20),
    p(2, "safran", "Safranfäden, 1 g", "Saffron Threads, 1 g", 1290, 6),
    p(2, "fleur-de-sel", "Fleur de Sel, 150 g", "Fleur de Sel, 150 g", 990, 18),
    only(5, 8, p(2, "grillgewuerz", "Grillgewürz, 120 g", "Barbecue Rub, 120 g", 790, 34)),
    only(10, 12, p(2, "lebkuchengewuerz", "Lebkuchengewürz, 70 g", "Gingerbread Spice, 70 g", 590, 36)),
    p(3, "becher-moosgruen", "Becher Moosgrün, 300 ml", "Mug Moss Green, 300 ml", 1990, 26),
    p(3, "becher-schiefer", "Becher Schiefer, 300 ml", "Mug Slate, 300 ml", 1990, 22),
    p(3, "teekanne-lehm", "Teekanne Lehm, 1,2 l", "Clay Teapot, 1.2 l", 5490, 8),
    p(3, "espressotassen", "Espressotassen, 2 Stück", "Espresso Cups, Set of 2", 2490, 16),
    p(3, "schale-welle", "Schale Welle, 18 cm", "Wave Bowl, 18 cm", 2790, 12),
    p(3, "milchkaennchen", "Milchkännchen Sand", "Sand Milk Jug", 1790, 10),
    new(75, p(3, "teller-flut", "Teller Flut, 24 cm", "Tide Plate, 24 cm", 2690, 12)),
    p(3, "handfilter", "Handfilter aus Steinzeug", "Stoneware Dripper", 2990, 12),
    p(4, "teesieb", "Teesieb, fein", "Fine Tea Strainer", 1290, 22),
    p(4, "handmuehle", "Kaffeemühle mit Kurbel", "Hand Coffee Grinder", 6900, 8),
    p(4, "moerser-granit", "Mörser aus Granit", "Granite Mortar", 3490, 9),
    p(4, "geschirrtuecher", "Geschirrtücher Leinen, 2 Stück", "Linen Tea Towels, Set of 2", 1990, 16),
    p(4, "vorratsglas", "Vorratsglas mit Korken, 1 l", "Cork Storage Jar, 1 l", 1190, 18),
    p(4, "wasserkessel", "Wasserkessel, 1,5 l", "Stovetop Kettle, 1.5 l", 4990, 7),
    p(4, "kaffeeloeffel", "Kaffeelot aus Olivenholz", "Olive Wood Coffee Scoop", 1150, 16),
    new(24, p(4, "thermoskanne", "Thermoskanne, 1 l", "Thermos Flask, 1 l", 3890, 11)),
    p(5, "geschenk-teestunde", "Geschenkset Teestunde", "Tea Time Gift Set", 3990, 18),
    p(5, "geschenk-kaffeepause", "Geschenkset Kaffeepause", "Coffee Break Gift Set", 4290, 18),
    p(5, "geschenk-kuechenreise", "Geschenkset Küchenreise", "Kitchen Journey Gift Set", 3490, 12),
    only(
        10,
        12,
        p(
            5,
            "adventskalender-tee",
            "Adventskalender Tee, 24 Sorten",
            "Tea Advent Calendar, 24 Blends",
            2990,
            46,
        ),
    ),
    p(5, "gutschein-25", "Geschenkgutschein 25 €", "Gift Voucher €25", 2500, 12),
    p(5, "kostprobe", "Kleine Kostprobe, 6 Tütchen", "Little Tasting Box, 6 Sachets", 1290, 20),
    only(10, 12, p(5, "winterkiste", "Große Winterkiste", "Grand Winter Crate", 7990, 12)),
    new(9, p(5, "geschenk-fruehaufsteher", "Geschenkset Frühaufsteher", "Early Riser Gift Set", 3690, 14)),
];

/// A product's id in the shop.
pub(super) fn id(product: usize) -> String {
    format!("LM-{}", 101 + product)
}

//! Who buys: names, languages, countries, time zones, addresses nobody owns. Nobody here is a real person.

use super::dice::Dice;

/// A place customers live in.
pub(super) struct Home {
    /// Two capital letters.
    pub(super) country: &'static str,
    /// BCP 47.
    pub(super) locale: &'static str,
    pub(super) zone: &'static str,
    names: &'static Names,
    weight: u64,
    /// Postage, and from which value on there is none, in cents.
    pub(super) postage: (i64, i64),
    /// Working days a parcel takes, at least and at most.
    pub(super) days: (i64, i64),
}

impl Home {
    /// Whether mail is written in German.
    pub(super) fn is_german(&self) -> bool {
        self.locale.starts_with("de")
    }
}

struct Names {
    first: &'static [&'static str],
    last: &'static [&'static str],
}

const fn home(
    country: &'static str,
    locale: &'static str,
    zone: &'static str,
    names: &'static Names,
    weight: u64,
    postage: (i64, i64),
    days: (i64, i64),
) -> Home {
    Home { country, locale, zone, names, weight, postage, days }
}

const HOMES: [Home; 9] = [
    home("DE", "de-DE", "Europe/Berlin", &GERMAN, 660, (490, 4900), (1, 3)),
    home("AT", "de-AT", "Europe/Vienna", &GERMAN, 70, (790, 7900), (2, 4)),
    home("CH", "de-CH", "Europe/Zurich", &GERMAN, 40, (1290, 12_000), (3, 6)),
    home("DE", "en", "Europe/Berlin", &ENGLISH, 50, (490, 4900), (1, 3)),
    home("GB", "en-GB", "Europe/London", &ENGLISH, 80, (1190, 12_000), (4, 8)),
    home("IE", "en-IE", "Europe/Dublin", &ENGLISH, 35, (990, 9900), (3, 6)),
    home("NL", "en", "Europe/Amsterdam", &DUTCH, 35, (790, 7900), (2, 4)),
    home("SE", "en", "Europe/Stockholm", &SWEDISH, 20, (990, 9900), (3, 6)),
    home("US", "en-US", "America/New_York", &ENGLISH, 10, (1990, 19_900), (7, 14)),
];

const GERMAN: Names = Names {
    first: &[
        "Anna",
        "Sabine",
        "Lena",
        "Julia",
        "Katharina",
        "Petra",
        "Claudia",
        "Heike",
        "Johanna",
        "Mia",
        "Hannah",
        "Susanne",
        "Birgit",
        "Laura",
        "Sophie",
        "Monika",
        "Andrea",
        "Nele",
        "Franziska",
        "Greta",
        "Ute",
        "Elif",
        "Agnieszka",
        "Ayşe",
        "Magdalena",
        "Charlotte",
        "Renate",
        "Lisa",
        "Marlene",
        "Silke",
        "Clara",
        "Thomas",
        "Michael",
        "Stefan",
        "Andreas",
        "Jan",
        "Lukas",
        "Felix",
        "Markus",
        "Jonas",
        "Peter",
        "Paul",
        "Tobias",
        "Uwe",
        "Matthias",
        "Jürgen",
        "Florian",
        "Sebastian",
        "Maximilian",
        "Emre",
        "Björn",
        "Ralf",
        "Piotr",
        "Moritz",
        "Henrik",
        "Günter",
        "Dennis",
        "Simon",
        "Philipp",
        "Anton",
        "Karl",
        "Till",
    ],
    last: &[
        "Müller",
        "Schmidt",
        "Schneider",
        "Fischer",
        "Weber",
        "Meyer",
        "Wagner",
        "Becker",
        "Schulz",
        "Hoffmann",
        "Schäfer",
        "Koch",
        "Bauer",
        "Richter",
        "Klein",
        "Wolf",
        "Schröder",
        "Neumann",
        "Schwarz",
        "Zimmermann",
        "Braun",
        "Krüger",
        "Hofmann",
        "Hartmann",
        "Lange",
        "Schmitt",
        "Werner",
        "Krause",
        "Lehmann",
        "Köhler",
        "Herrmann",
        "König",
        "Walter",
        "Mayer",
        "Huber",
        "Kaiser",
        "Fuchs",
        "Peters",
        "Lang",
        "Scholz",
        "Möller",
        "Weiß",
        "Jung",
        "Hahn",
        "Vogel",
        "Friedrich",
        "Keller",
        "Günther",
        "Frank",
        "Berger",
        "Winkler",
        "Roth",
        "Beck",
        "Lorenz",
        "Baumann",
        "Franke",
        "Albrecht",
        "Schuster",
        "Simon",
        "Ludwig",
        "Böhm",
        "Winter",
        "Kraus",
        "Martin",
        "Schumacher",
        "Krämer",
        "Vogt",
        "Stein",
        "Jäger",
        "Otto",
        "Sommer",
        "Groß",
        "Seidel",
        "Heinrich",
        "Brandt",
        "Haas",
        "Schreiber",
        "Graf",
        "Dietrich",
        "Ziegler",
        "Yılmaz",
        "Kowalski",
        "Nowak",
        "Kaya",
        "Petersen",
        "Hansen",
        "Bergmann",
        "Pohl",
        "Engel",
        "Horn",
        "Busch",
        "Sauer",
        "Arnold",
        "Wolff",
        "Pfeiffer",
        "Demir",
        "Lindner",
        "Thomsen",
        "Marx",
        "Ahrens",
    ],
};

const ENGLISH: Names = Names {
    first: &[
        "Emily",
        "Olivia",
        "Charlotte",
        "Amelia",
        "Grace",
        "Sarah",
        "Hannah",
        "Alice",
        "Niamh",
        "Aoife",
        "Rachel",
        "Rebecca",
        "Lucy",
        "Priya",
        "Zoe",
        "Megan",
        "Helen",
        "Fiona",
        "Laura",
        "Victoria",
        "James",
        "Oliver",
        "Thomas",
        "William",
        "Jack",
        "Daniel",
        "Conor",
        "Liam",
        "Samuel",
        "George",
        "Arjun",
        "Matthew",
        "Andrew",
        "Peter",
        "Robert",
        "Callum",
        "Ewan",
        "Sean",
        "Patrick",
        "Henry",
    ],
    last: &[
        "Smith",
        "Jones",
        "Taylor",
        "Brown",
        "Williams",
        "Wilson",
        "Johnson",
        "Davies",
        "Patel",
        "Wright",
        "Walker",
        "White",
        "Edwards",
        "Hughes",
        "Green",
        "Hall",
        "Lewis",
        "Harris",
        "Clarke",
        "Jackson",
        "Murphy",
        "Kelly",
        "O'Sullivan",
        "Walsh",
        "O'Brien",
        "Byrne",
        "Ryan",
        "Campbell",
        "Stewart",
        "Anderson",
        "Scott",
        "Reid",
        "Murray",
        "Khan",
        "Singh",
        "Baker",
        "Turner",
        "Cooper",
        "Ward",
        "Morgan",
        "Bell",
        "Bailey",
        "Parker",
        "Collins",
        "Shaw",
        "Marshall",
        "Hunt",
        "Palmer",
        "Mills",
        "Fletcher",
    ],
};

const DUTCH: Names = Names {
    first: &[
        "Sanne", "Emma", "Femke", "Lotte", "Anouk", "Marieke", "Daan", "Bram", "Sem", "Jeroen", "Pieter",
        "Ruben",
    ],
    last: &[
        "de Jong",
        "Jansen",
        "de Vries",
        "van den Berg",
        "Bakker",
        "Visser",
        "Smit",
        "Meijer",
        "Mulder",
        "Bos",
        "Vos",
        "Dekker",
        "Hendriks",
        "van Dijk",
        "Kuipers",
    ],
};

const SWEDISH: Names = Names {
    first: &["Elsa", "Astrid", "Maja", "Ebba", "Linnéa", "Oskar", "Erik", "Axel", "Nils", "Johan"],
    last: &[
        "Andersson",
        "Johansson",
        "Karlsson",
        "Nilsson",
        "Eriksson",
        "Larsson",
        "Olsson",
        "Persson",
        "Svensson",
        "Lindberg",
        "Bergström",
        "Sjöberg",
    ],
};

/// Domains kept free of real mailboxes (RFC 2606 and RFC 6761).
const DOMAINS: [(&str, u64); 5] = [
    ("example.com", 34),
    ("example.org", 24),
    ("example.net", 20),
    ("post.example", 14),
    ("buero.example", 8),
];

/// A name, a home and an address.
pub(super) struct Somebody {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    pub(super) home: &'static Home,
    /// What stands before and after the @; the shop makes it unique.
    pub(super) mailbox: String,
    pub(super) domain: &'static str,
}

/// Draws somebody.
pub(super) fn somebody(dice: &mut Dice) -> Somebody {
    let home = &HOMES[dice.weighted(HOMES.iter().map(|h| h.weight))];
    let (first, last) = (*dice.pick(home.names.first), *dice.pick(home.names.last));
    let (domain, _) = DOMAINS[dice.weighted(DOMAINS.iter().map(|d| d.1))];
    let (f, l) = (plain(first), plain(last));
    let mailbox = match dice.below(5) {
        0 => format!("{}.{l}", &f[..1]),
        1 => format!("{f}{l}"),
        _ => format!("{f}.{l}"),
    };
    Somebody { first, last, home, mailbox, domain }
}

/// A telephone number of those kept for fiction, the n-th of a country; `None` where there are none (left).
///
/// Germany: Bundesnetzagentur, numbers for media productions; United Kingdom: Ofcom, numbers for drama use.
pub(super) fn phone(country: &str, n: usize) -> Option<String> {
    match (country, n) {
        ("DE", 0..1000) => Some(format!("+49 30 23125 {n:03}")),
        ("GB", 0..1000) => Some(format!("+44 7700 900{n:03}")),
        _ => None,
    }
}

/// A name as it is written in an address.
fn plain(name: &str) -> String {
    let mut text = String::new();
    for c in name.to_lowercase().chars() {
        match c {
            'ä' => text.push_str("ae"),
            'ö' => text.push_str("oe"),
            'ü' => text.push_str("ue"),
            'ß' => text.push_str("ss"),
            'ş' => text.push('s'),
            'ı' => text.push('i'),
            'é' => text.push('e'),
            'a'..='z' => text.push(c),
            _ => {}
        }
    }
    text
}

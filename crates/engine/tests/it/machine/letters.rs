//! The alphabet: everything that can happen to two customers, their shop's files and the daemon.

use proptest::prelude::*;
use zyklus_model::{ConsentState, LegalBasis};

use super::model::{House, Model, Per};
use super::playbooks::{Journey, journey};

/// One thing somebody says.
#[derive(Debug, Clone)]
pub(crate) enum Draft {
    Order { minor: i64, late_seconds: i64, live: bool },
    Refund { index: usize, minor: i64 },
    Cancel { index: usize },
    Event { name: &'static str, late_seconds: i64 },
    Consent { channel: &'static str, state: ConsentState, basis: LegalBasis },
    Suppress { channel: Option<&'static str>, all_purposes: bool },
    Zone(Option<&'static str>),
}

/// How a journey changes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Anew,
    NewSteps,
    FirstLast,
    Backwards,
    Shorter,
}

/// What happens next, after so many seconds.
#[derive(Debug, Clone)]
pub(crate) enum Letter {
    /// One page of facts.
    Facts {
        after: i64,
        who: usize,
        facts: Vec<Draft>,
    },
    /// Everything known of somebody comes once more.
    Duplicate {
        after: i64,
        who: usize,
    },
    /// Only the clock goes on.
    Pass {
        seconds: i64,
    },
    /// The files say something else of a journey, or nothing.
    Edit {
        after: i64,
        index: usize,
        journey: Option<Box<Journey>>,
        how: How,
    },
    Pause {
        after: i64,
        index: usize,
    },
    Resume {
        after: i64,
        index: usize,
    },
    /// Who was there before a journey has their turn.
    Admit {
        after: i64,
    },
    Merge {
        after: i64,
    },
    Unmerge {
        after: i64,
    },
    /// The daemon stops, or is there again.
    Sleep {
        after: i64,
    },
    Wake {
        after: i64,
    },
    /// The daemon dies when something is due: before it has written its decision down, after claiming, or after
    /// handing over. That it hears of something is often why.
    Crash {
        after: i64,
        point: u8,
        hears: bool,
    },
}

impl Letter {
    pub(crate) fn after(&self) -> i64 {
        match self {
            Letter::Pass { seconds } => *seconds,
            Letter::Facts { after, .. }
            | Letter::Duplicate { after, .. }
            | Letter::Edit { after, .. }
            | Letter::Pause { after, .. }
            | Letter::Resume { after, .. }
            | Letter::Admit { after }
            | Letter::Merge { after }
            | Letter::Unmerge { after }
            | Letter::Sleep { after }
            | Letter::Wake { after }
            | Letter::Crash { after, .. } => *after,
        }
    }

    /// Whether it can happen now.
    pub(crate) fn fits(&self, model: &Model) -> bool {
        match self {
            Letter::Pause { index, .. } => !model.is_off[*index],
            Letter::Resume { index, .. } => model.is_off[*index],
            // Connectors are asked who is whom by a daemon that works.
            Letter::Merge { .. } => !model.is_merged && model.is_awake,
            Letter::Unmerge { .. } => model.is_merged,
            Letter::Sleep { .. } => model.is_awake,
            Letter::Wake { .. } => !model.is_awake,
            // Files are read and people are let in by a daemon that works.
            Letter::Edit { .. } | Letter::Admit { .. } | Letter::Crash { .. } | Letter::Duplicate { .. } => {
                model.is_awake
            }
            Letter::Facts { .. } | Letter::Pass { .. } => true,
        }
    }

    /// Its name, and for facts theirs.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        match self {
            Letter::Facts { facts, .. } => facts
                .iter()
                .map(|fact| match fact {
                    Draft::Order { late_seconds: 0, .. } => "order",
                    Draft::Order { .. } => "late order",
                    Draft::Refund { .. } => "refund",
                    Draft::Cancel { .. } => "cancellation",
                    Draft::Event { late_seconds: 0, .. } => "event",
                    Draft::Event { .. } => "late event",
                    Draft::Consent { .. } => "consent change",
                    Draft::Suppress { .. } => "suppression",
                    Draft::Zone(_) => "zone",
                })
                .collect(),
            Letter::Duplicate { .. } => vec!["duplicate"],
            Letter::Pass { .. } => vec!["clock step"],
            Letter::Edit { journey: Some(_), .. } => vec!["edit"],
            Letter::Edit { journey: None, .. } => vec!["removal"],
            Letter::Pause { .. } => vec!["pause"],
            Letter::Resume { .. } => vec!["resume"],
            Letter::Admit { .. } => vec!["admission"],
            Letter::Merge { .. } => vec!["merge"],
            Letter::Unmerge { .. } => vec!["un-merge"],
            Letter::Sleep { .. } => vec!["sleep"],
            Letter::Wake { .. } => vec!["wake"],
            Letter::Crash { point: 0, .. } => vec!["crash before writing"],
            Letter::Crash { point: 1, .. } => vec!["crash after claiming"],
            Letter::Crash { .. } => vec!["crash after handing over"],
        }
    }
}

const ZONES: [&str; 5] =
    ["Australia/Lord_Howe", "Africa/Cairo", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"];

fn after() -> BoxedStrategy<i64> {
    prop_oneof![
        2 => Just(0i64),
        4 => 1i64..7_200,
        3 => 3_600i64..100_000,
        // Exact days put facts on the edges of windows.
        1 => (1i64..4).prop_map(|days| days * 86_400),
    ]
    .boxed()
}

fn draft() -> BoxedStrategy<Draft> {
    let late = || prop_oneof![6 => Just(0i64), 1 => 1i64..86_400, 1 => 80_000i64..900_000];
    let consent = (
        prop::sample::select(vec!["email", "email", "email", "sms"]),
        prop::sample::select(vec![
            ConsentState::Granted,
            ConsentState::Granted,
            ConsentState::Granted,
            ConsentState::Granted,
            ConsentState::Granted,
            ConsentState::Withdrawn,
            ConsentState::Pending,
        ]),
        prop::sample::select(vec![
            LegalBasis::Consent,
            LegalBasis::Consent,
            LegalBasis::Consent,
            LegalBasis::ExistingCustomer,
        ]),
    );
    prop_oneof![
        4 => (100i64..20_000, late(), prop::bool::weighted(0.9))
            .prop_map(|(minor, late_seconds, live)| Draft::Order { minor, late_seconds, live }),
        1 => (0usize..6, 1i64..20_000).prop_map(|(index, minor)| Draft::Refund { index, minor }),
        1 => (0usize..6).prop_map(|index| Draft::Cancel { index }),
        12 => (prop::sample::select(vec!["go", "go", "go", "go", "go", "page.viewed"]), late())
            .prop_map(|(name, late_seconds)| Draft::Event { name, late_seconds }),
        2 => consent.prop_map(|(channel, state, basis)| Draft::Consent { channel, state, basis }),
        1 => prop::option::weighted(0.8, prop::sample::select(ZONES.to_vec())).prop_map(Draft::Zone),
    ]
    .boxed()
}

fn facts() -> BoxedStrategy<Vec<Draft>> {
    let never = (prop::option::of(prop::sample::select(vec!["email", "sms"])), any::<bool>())
        .prop_map(|(channel, all_purposes)| vec![Draft::Suppress { channel, all_purposes }]);
    prop_oneof![
        60 => draft().prop_map(|one| vec![one]),
        20 => prop::collection::vec(draft(), 2..5),
        1 => never,
    ]
    .boxed()
}

/// What can happen next.
pub(crate) fn letters(model: &Model) -> BoxedStrategy<Letter> {
    let who = prop_oneof![3 => Just(0usize), 1 => Just(1usize)];
    let index = || 0usize..3;
    let edited = prop::option::weighted(0.9, journey().prop_map(Box::new));
    let how = prop::sample::select(vec![
        How::Anew,
        How::NewSteps,
        How::FirstLast,
        How::FirstLast,
        How::Backwards,
        How::Shorter,
    ]);
    let seconds = prop_oneof![3 => 3_600i64..200_000, 1 => 200_000i64..4_000_000];
    let mut choices = vec![
        (
            22,
            (after(), who.clone(), facts())
                .prop_map(|(after, who, facts)| Letter::Facts { after, who, facts })
                .boxed(),
        ),
        (5, seconds.prop_map(|seconds| Letter::Pass { seconds }).boxed()),
    ];
    let mut one = |weight, make: fn(i64) -> Letter| choices.push((weight, after().prop_map(make).boxed()));
    if model.is_merged {
        one(4, |after| Letter::Unmerge { after });
    }
    if !model.is_merged && model.is_awake {
        one(3, |after| Letter::Merge { after });
    }
    if model.is_awake {
        one(1, |after| Letter::Sleep { after });
        one(2, |after| Letter::Admit { after });
        let repeated = (after(), who).prop_map(|(after, who)| Letter::Duplicate { after, who });
        choices.push((1, repeated.boxed()));
        choices.push((
            4,
            (after(), 0u8..3, any::<bool>())
                .prop_map(|(after, point, hears)| Letter::Crash { after, point, hears })
                .boxed(),
        ));
        let edit = (0i64..90_000, index(), edited, how);
        choices.push((
            4,
            edit.prop_map(|(after, index, journey, how)| Letter::Edit { after, index, journey, how }).boxed(),
        ));
    } else {
        one(12, |after| Letter::Wake { after });
    }
    let paused = model.is_off.iter().filter(|off| **off).count() as u32;
    if paused > 0 {
        let off: Vec<usize> = (0..3).filter(|i| model.is_off[*i]).collect();
        let resume = (after(), prop::sample::select(off));
        choices.push((3, resume.prop_map(|(after, index)| Letter::Resume { after, index }).boxed()));
    }
    if paused < 3 {
        let on: Vec<usize> = (0..3).filter(|i| !model.is_off[*i]).collect();
        let pause = (after(), prop::sample::select(on));
        choices.push((1, pause.prop_map(|(after, index)| Letter::Pause { after, index }).boxed()));
    }
    prop::strategy::Union::new_weighted(choices).boxed()
}

/// How a case begins: the operator's rules and one to three journeys.
pub(crate) fn beginnings() -> BoxedStrategy<Model> {
    let cap = prop::sample::select(vec![
        None,
        Some((1, Some("email"), Per::Day)),
        Some((1, Some("email"), Per::Day)),
        Some((2, None, Per::Days(7))),
        Some((1, None, Per::Hours(48))),
    ]);
    let house = (
        cap,
        prop::sample::select(vec![None, None, Some("email"), Some("sms")]),
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![0u8, 0, 40]),
        prop::bool::weighted(0.8),
    )
        .prop_map(|(cap, quiet, existing_customers, contends, global_holdout, phone)| House {
            cap,
            quiet,
            existing_customers,
            contends,
            global_holdout,
            phone,
        });
    (house, prop::collection::vec(journey(), 1..4))
        .prop_map(|(house, journeys)| Model::new(house, journeys))
        .boxed()
}

//! Rows as they are stored, and the model's types they become. Never decides which rows are read.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;
use zyklus_model::snapshot::Mark;
use zyklus_model::{
    At, Attempt, AttemptId, Cart, Channel, Consent, ConsentState, Currency, Customer, CustomerId, Delivery,
    DeliveryId, DeliveryKind, DeliveryState, Email, Event, EventId, Feedback, FeedbackId, FeedbackKind,
    GuardReason, Holdout, IdentityKind, LegalBasis, Money, Order, OrderId, OrderState, Origin, PhaseState,
    PhoneNumber, Purpose, Run, RunEnd, RunId, RunPosition, RunState, SegmentState, Suppression,
    SuppressionReason, Tag, Transition, TransitionCause, TransitionId,
};

use crate::arg::Stamp;
use crate::column::{Doc, Word, columns};
use crate::detail::{CartDetail, OrderDetail};
use crate::suppress::reached_at;

fn at(stamp: Option<Stamp>) -> Option<At> {
    stamp.map(|s| s.0)
}

columns!(CustomerRow {
    id: Uuid,
    email: Option<String>,
    phone: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    locale: Option<String>,
    country: Option<String>,
    time_zone: Option<String>,
    created_at: Stamp,
    has_account: bool,
    attributes: Doc<BTreeMap<String, Value>>,
});

pub(crate) const CUSTOMER_COLUMNS: &str = "c.id, c.email, c.phone, c.first_name, c.last_name, c.locale, \
     c.country, c.time_zone, c.created_at, c.has_account, c.attributes";

impl CustomerRow {
    /// How many columns it takes.
    pub(crate) const WIDTH: usize = 11;

    pub(crate) fn customer(self) -> Customer {
        Customer {
            id: CustomerId::from_uuid(self.id),
            email: self.email.map(Email::from_folded),
            phone: self.phone.as_deref().and_then(PhoneNumber::parse),
            first_name: self.first_name,
            last_name: self.last_name,
            locale: self.locale,
            country: self.country,
            time_zone: self.time_zone,
            created_at: self.created_at.0,
            has_account: self.has_account,
            attributes: self.attributes.0,
        }
    }
}

columns!(EvaluationRow {
    seq: i64,
    evaluated_at: Option<Stamp>,
    due_at: Stamp,
    live_pending: bool,
    history_pending: bool,
    lifecycle: Option<String>,
    definition: Option<String>,
    phase: Option<String>,
    phase_since: Option<Stamp>,
    phase_previous: Option<String>,
    phase_moves: i64,
    phase_live: bool,
    phase_has_live: bool,
    segments: Doc<Vec<SegmentState>>,
});

pub(crate) const EVALUATION_COLUMNS: &str = "e.seq, e.evaluated_at, e.due_at, e.live_pending, \
     e.history_pending, e.lifecycle, e.definition, e.phase, e.phase_since, e.phase_previous, e.phase_moves, \
     e.phase_live, e.phase_has_live, e.segments";

impl EvaluationRow {
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            seq: self.seq,
            evaluated_at: at(self.evaluated_at),
            due_at: self.due_at.0,
            live_pending: self.live_pending,
            history_pending: self.history_pending,
        }
    }

    pub(crate) fn phase(self) -> Option<PhaseState> {
        Some(PhaseState {
            lifecycle: self.lifecycle?,
            definition: self.definition?,
            phase: self.phase?,
            since: self.phase_since?.0,
            previous: self.phase_previous,
            moves: self.phase_moves,
            has_live_moves: self.phase_has_live,
            live: self.phase_live,
        })
    }
}

columns!(IdentityRow { customer_id: Uuid, kind: Word<IdentityKind>, value: String, system: String });

columns!(ConsentRow {
    customer_id: Uuid,
    id: Uuid,
    channel: Word<Channel>,
    purpose: Word<Purpose>,
    state: Word<ConsentState>,
    basis: Word<LegalBasis>,
    at: Stamp,
    source: String,
    evidence: Doc<Value>,
    received_at: Stamp,
});

impl ConsentRow {
    pub(crate) fn consent(self) -> Consent {
        Consent {
            channel: self.channel.0,
            purpose: self.purpose.0,
            state: self.state.0,
            basis: self.basis.0,
            at: self.at.0,
            source: self.source,
            evidence: self.evidence.0,
        }
    }
}

columns!(SuppressionRow {
    customer_id: Uuid,
    id: Uuid,
    channel: Option<Word<Channel>>,
    all_purposes: bool,
    reason: Word<SuppressionReason>,
    at: Stamp,
    address_hash: Option<String>,
});

impl SuppressionRow {
    /// Whether a refusal on a customer's name still concerns them: an address that does not exist, or that was
    /// unsubscribed, says nothing about the one they have now, a complaint does. (Who unsubscribed has withdrawn
    /// their consent besides, and that holds whatever their address.)
    pub(crate) fn holds_for(&self, customer: &Customer) -> bool {
        let Some(hash) = &self.address_hash else { return true };
        !matches!(self.reason.0, SuppressionReason::Bounced | SuppressionReason::Unsubscribed)
            || [Channel::Email, Channel::Sms]
                .into_iter()
                .any(|channel| reached_at(Some(channel), customer).as_ref() == Some(hash))
    }

    pub(crate) fn suppression(&self) -> Suppression {
        Suppression {
            channel: self.channel.map(|c| c.0),
            all_purposes: self.all_purposes,
            reason: self.reason.0,
            at: self.at.0,
        }
    }
}

columns!(OrderRow {
    customer_id: Uuid,
    id: Uuid,
    system: String,
    external_id: String,
    number: String,
    state: Word<OrderState>,
    placed_at: Stamp,
    total_minor: i64,
    currency: Word<Currency>,
    total_reporting_minor: Option<i64>,
    item_count: i64,
    detail: Doc<OrderDetail>,
    received_at: Stamp,
    origin: Word<Origin>,
});

impl OrderRow {
    pub(crate) fn order(self) -> Order {
        let detail = self.detail.0;
        Order {
            id: OrderId::from_uuid(self.id),
            system: self.system,
            external_id: self.external_id,
            number: self.number,
            state: self.state.0,
            placed_at: self.placed_at.0,
            total: Money::new(self.total_minor, self.currency.0),
            total_reporting_minor: self.total_reporting_minor,
            refunds: detail.refunds,
            lines: detail.lines,
            item_count: self.item_count,
            coupons: detail.coupons,
            cart: detail.cart,
            marks: detail.marks,
            received_at: self.received_at.0,
            origin: self.origin.0,
        }
    }
}

columns!(CartRow {
    customer_id: Uuid,
    id: Uuid,
    system: String,
    external_id: String,
    is_open: bool,
    updated_at: Stamp,
    total_minor: i64,
    currency: Word<Currency>,
    total_reporting_minor: Option<i64>,
    detail: Doc<CartDetail>,
});

impl CartRow {
    pub(crate) fn cart(self) -> Cart {
        Cart {
            system: self.system,
            external_id: self.external_id,
            is_open: self.is_open,
            updated_at: self.updated_at.0,
            total: Money::new(self.total_minor, self.currency.0),
            total_reporting_minor: self.total_reporting_minor,
            lines: self.detail.0.lines,
            url: self.detail.0.url,
        }
    }
}

columns!(FeedbackRow {
    customer_id: Uuid,
    id: Uuid,
    kind: Word<FeedbackKind>,
    score: Option<f64>,
    body: Option<String>,
    product: Option<String>,
    at: Stamp,
});

impl FeedbackRow {
    pub(crate) fn feedback(self) -> Feedback {
        Feedback {
            id: FeedbackId::from_uuid(self.id),
            kind: self.kind.0,
            score: self.score,
            text: self.body,
            product: self.product,
            at: self.at.0,
        }
    }
}

columns!(EventRow {
    customer_id: Uuid,
    id: Uuid,
    name: String,
    occurred_at: Stamp,
    received_at: Stamp,
    origin: Word<Origin>,
    data: Doc<Map<String, Value>>,
});

impl EventRow {
    pub(crate) fn event(self) -> Event {
        Event {
            id: EventId::from_uuid(self.id),
            name: self.name,
            occurred_at: self.occurred_at.0,
            received_at: self.received_at.0,
            origin: self.origin.0,
            data: self.data.0,
        }
    }
}

columns!(TagRow {
    customer_id: Uuid,
    source: String,
    tag: String,
    source_customer_id: Uuid,
    since: Stamp,
    until: Option<Stamp>,
});

impl TagRow {
    pub(crate) fn tag(self) -> Tag {
        Tag { tag: self.tag, since: self.since.0, until: at(self.until), source: self.source }
    }
}

columns!(RunRow {
    customer_id: Uuid,
    id: Uuid,
    source_customer_id: Uuid,
    journey: String,
    run_key: String,
    occurrence: String,
    definition: String,
    epoch: i64,
    ghost: bool,
    held: Option<Word<Holdout>>,
    state: Word<RunState>,
    end_kind: Option<Word<RunEnd>>,
    end_reason: Option<String>,
    started_at: Stamp,
    ended_at: Option<Stamp>,
    queued_at: Option<Stamp>,
    yielded_at: Option<Stamp>,
    step: Option<String>,
    reached_at: Stamp,
    due_at: Option<Stamp>,
    acted: Doc<Vec<(String, String)>>,
    event: Doc<Map<String, Value>>,
});

pub(crate) const RUN_COLUMNS: &str = "r.customer_id, r.id, r.source_customer_id, r.journey, r.run_key, \
     r.occurrence, r.definition, r.epoch, r.ghost, r.held, r.state, r.end_kind, r.end_reason, r.started_at, r.ended_at, r.queued_at, \
     r.yielded_at, r.step, r.reached_at, r.due_at, r.acted, r.event";

impl RunRow {
    pub(crate) fn run(self) -> Run {
        Run {
            id: RunId::from_uuid(self.id),
            customer: CustomerId::from_uuid(self.customer_id),
            began_for: CustomerId::from_uuid(self.source_customer_id),
            journey: self.journey,
            key: self.run_key,
            occurrence: self.occurrence,
            definition: self.definition,
            epoch: self.epoch,
            ghost: self.ghost,
            held: self.held.map(|h| h.0),
            state: self.state.0,
            end: self.end_kind.map(|e| e.0),
            end_reason: self.end_reason,
            started_at: self.started_at.0,
            ended_at: at(self.ended_at),
            queued_at: at(self.queued_at),
            yielded_at: at(self.yielded_at),
            position: RunPosition { step: self.step, reached_at: self.reached_at.0, due_at: at(self.due_at) },
            acted: self.acted.0,
            event: self.event.0,
        }
    }
}

columns!(DeliveryRow {
    customer_id: Uuid,
    id: Uuid,
    run_id: Option<Uuid>,
    journey: String,
    step: String,
    kind: Word<DeliveryKind>,
    channel: Option<Word<Channel>>,
    connector: Option<String>,
    target: String,
    purpose: Word<Purpose>,
    capped: bool,
    state: Word<DeliveryState>,
    reason: Option<Word<GuardReason>>,
    outranked_by: Option<Uuid>,
    created_at: Stamp,
    due_at: Stamp,
    expires_at: Stamp,
    done_at: Option<Stamp>,
    attempt_count: i64,
    payload: Doc<Value>,
});

pub(crate) const DELIVERY_COLUMNS: &str = "d.customer_id, d.id, d.run_id, d.journey, d.step, d.kind, \
     d.channel, d.connector, d.target, d.purpose, d.capped, d.state, d.reason, d.outranked_by, \
     d.created_at, d.due_at, d.expires_at, d.done_at, d.attempt_count, d.payload";

impl DeliveryRow {
    /// How many columns it takes.
    pub(crate) const WIDTH: usize = 20;

    pub(crate) fn delivery(self) -> Delivery {
        Delivery {
            id: DeliveryId::from_uuid(self.id),
            customer: CustomerId::from_uuid(self.customer_id),
            run: self.run_id.map(RunId::from_uuid),
            journey: self.journey,
            step: self.step,
            kind: self.kind.0,
            channel: self.channel.map(|c| c.0),
            connector: self.connector,
            target: self.target,
            purpose: self.purpose.0,
            capped: self.capped,
            state: self.state.0,
            reason: self.reason.map(|r| r.0),
            outranked_by: self.outranked_by.map(DeliveryId::from_uuid),
            created_at: self.created_at.0,
            due_at: self.due_at.0,
            expires_at: self.expires_at.0,
            done_at: at(self.done_at),
            attempt_count: self.attempt_count,
            payload: self.payload.0,
        }
    }
}

columns!(AttemptRow {
    id: Uuid,
    delivery_id: Uuid,
    number: i64,
    owner: String,
    started_at: Stamp,
    handed_at: Option<Stamp>,
    ended_at: Option<Stamp>,
    outcome: Option<String>,
    detail: Option<String>,
});

pub(crate) const ATTEMPT_COLUMNS: &str =
    "a.id, a.delivery_id, a.number, a.owner, a.started_at, a.handed_at, a.ended_at, a.outcome, a.detail";

impl AttemptRow {
    /// How many columns it has.
    pub(crate) const WIDTH: usize = 9;

    pub(crate) fn attempt(self) -> Attempt {
        Attempt {
            id: AttemptId::from_uuid(self.id),
            delivery: DeliveryId::from_uuid(self.delivery_id),
            number: self.number,
            owner: self.owner,
            started_at: self.started_at.0,
            handed_at: at(self.handed_at),
            ended_at: at(self.ended_at),
            outcome: self.outcome,
            detail: self.detail,
        }
    }
}

columns!(TransitionRow {
    customer_id: Uuid,
    id: Uuid,
    lifecycle: String,
    from_phase: Option<String>,
    to_phase: String,
    at: Stamp,
    recorded_at: Stamp,
    cause: Word<TransitionCause>,
    origin: Word<Origin>,
});

impl TransitionRow {
    pub(crate) fn transition(self) -> Transition {
        Transition {
            id: TransitionId::from_uuid(self.id),
            lifecycle: self.lifecycle,
            from: self.from_phase,
            to: self.to_phase,
            at: self.at.0,
            recorded_at: self.recorded_at.0,
            cause: self.cause.0,
            origin: self.origin.0,
        }
    }
}

//! The one table of what a condition can read: fields, their types, what they mean and where they are known. Holds no values.

use std::fmt;

use serde::Serialize;

use super::Scope;

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// True or false.
    Bool,
    /// A whole number, or never.
    Int,
    /// A number with decimals.
    Double,
    /// A text.
    Text,
    /// An instant.
    Instant,
    /// A stretch of time.
    Span,
    /// A list of texts.
    Texts,
    /// A list of something else, or of mixed things.
    List,
    /// Named values.
    Map,
    /// Known only when evaluated: the fields of events and attributes.
    Any,
    /// The literal `null`.
    Null,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "true or false",
            Type::Int => "a whole number",
            Type::Double => "a number",
            Type::Text => "a text",
            Type::Instant => "an instant",
            Type::Span => "a duration",
            Type::Texts => "a list of texts",
            Type::List => "a list",
            Type::Map => "a set of named values",
            Type::Any => "a value of any type",
            Type::Null => "null",
        })
    }
}

/// A group of fields that are read together, so that the engine can skip what nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// The customer's profile.
    Customer,
    /// The customer's orders.
    Orders,
    /// The customer's open cart.
    Cart,
    /// The customer's events.
    Events,
    /// Consents per channel and purpose.
    Consent,
    /// Ratings, reviews and survey answers.
    Feedback,
    /// What the customer's words say, as the shop's models and word lists hear them.
    Voice,
    /// What was sent and what was clicked.
    Engagement,
    /// Where the customer stands in the lifecycle.
    Phase,
    /// Runs of journeys.
    Journeys,
    /// Products of the shop.
    Products,
    /// What the shop's models say of the customer, and what they hold it against.
    Prediction,
    /// What could be recommended to the customer.
    Recommend,
    /// The event that started the run; in a goal, the later event.
    Event,
    /// The run's key.
    Key,
    /// The run itself.
    Run,
}

impl Group {
    /// All groups, in the order of the reference.
    pub const ALL: [Group; 16] = [
        Group::Customer,
        Group::Orders,
        Group::Cart,
        Group::Events,
        Group::Consent,
        Group::Feedback,
        Group::Voice,
        Group::Engagement,
        Group::Phase,
        Group::Journeys,
        Group::Products,
        Group::Prediction,
        Group::Recommend,
        Group::Event,
        Group::Key,
        Group::Run,
    ];
}

/// A set of [`Group`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(u32);

impl FieldSet {
    /// No group.
    pub const EMPTY: FieldSet = FieldSet(0);

    /// Adds a group.
    pub fn insert(&mut self, group: Group) {
        self.0 |= 1 << group as u32;
    }

    /// Whether a group is in it.
    pub fn contains(self, group: Group) -> bool {
        self.0 & (1 << group as u32) != 0
    }

    /// Both together.
    #[must_use]
    pub fn union(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 | other.0)
    }

    /// Whether the two share a group.
    pub fn intersects(self, other: FieldSet) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether it has no group that the other has not.
    pub fn is_within(self, other: FieldSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether it is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Group> for FieldSet {
    fn from_iter<I: IntoIterator<Item = Group>>(groups: I) -> Self {
        groups.into_iter().fold(FieldSet::EMPTY, |mut set, group| {
            set.insert(group);
            set
        })
    }
}

/// Whether a field moves while nothing is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moves {
    /// Only records change it.
    No,
    /// It counts up as time passes.
    Counts,
    /// It falls as what it counts leaves its window, or turns when something runs out.
    Expires,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct FieldSpec {
    /// Which field.
    pub id: FieldId,
    /// Its name in conditions.
    pub path: &'static str,
    /// Its type.
    pub kind: Type,
    /// Its group.
    pub group: Group,
    /// Whether time alone moves it.
    pub moves: Moves,
    /// Its unit, or empty.
    pub unit: &'static str,
    /// What it means.
    pub doc: &'static str,
}

macro_rules! fields {
    ($($id:ident $path:literal $kind:ident $group:ident $moves:ident $unit:literal $doc:literal;)+) => {
        /// A field that conditions can read.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum FieldId {
            $(#[doc = concat!("`", $path, "`: ", $doc, ".")] $id,)+
        }

        /// Every field, in the order of [`FieldId`].
        pub static FIELDS: &[FieldSpec] = &[
            $(FieldSpec {
                id: FieldId::$id,
                path: $path,
                kind: Type::$kind,
                group: Group::$group,
                moves: Moves::$moves,
                unit: $unit,
                doc: $doc,
            },)+
        ];
    };
}

fields! {
    CustomerEmail "customer.email" Text Customer No "" "the address mail goes to";
    CustomerPhone "customer.phone" Text Customer No "" "the telephone number";
    CustomerFirstName "customer.first_name" Text Customer No "" "the first name";
    CustomerLastName "customer.last_name" Text Customer No "" "the last name";
    CustomerLocale "customer.locale" Text Customer No "" "the language, as `de` or `de-AT`";
    CustomerCountry "customer.country" Text Customer No "" "the country, as two capital letters";
    CustomerTimeZone "customer.time_zone" Text Customer No "" "the time zone, as `Europe/Berlin`";
    CustomerTags "customer.tags" Texts Customer Expires "" "the tags the customer has now";
    CustomerCreatedAt "customer.created_at" Instant Customer No "" "when the shop first knew the customer";
    CustomerDaysSinceCreated "customer.days_since_created" Int Customer Counts "days" "whole days since then";
    CustomerHasAccount "customer.has_account" Bool Customer No "" "has an account, not only guest orders";
    CustomerAttributes "customer.attributes" Map Customer No "" "whatever else connectors deliver: `customer.attributes.size == 'M'`";

    OrdersCount "orders.count" Int Orders No "orders" "orders that count: placed and not cancelled";
    OrdersRevenue "orders.revenue" Double Orders No "reporting currency" "what they brought, net of refunds";
    OrdersAverage "orders.average" Double Orders No "reporting currency" "revenue per order; absent without orders";
    OrdersFirstAt "orders.first_at" Instant Orders No "" "when the first was placed";
    OrdersLastAt "orders.last_at" Instant Orders No "" "when the last was placed";
    OrdersDaysSinceFirst "orders.days_since_first" Int Orders Counts "days" "whole days since the first; never without orders";
    OrdersDaysSinceLast "orders.days_since_last" Int Orders Counts "days" "whole days since the last; never without orders";
    OrdersMeanGapDays "orders.mean_gap_days" Double Orders No "days" "mean days from one order to the next; absent below two";
    OrdersRefundCount "orders.refund_count" Int Orders No "refunds" "refunds given";
    OrdersRefundShare "orders.refund_share" Double Orders No "0 to 1" "refunded share of all money paid; absent without orders";
    OrdersProducts "orders.products" Texts Orders No "" "the ids of all products ever bought";
    OrdersCategories "orders.categories" Texts Orders No "" "the categories of all products ever bought";

    ReplenishDueAt "replenish.due_at" Instant Orders Expires "" "when the product the customer buys again and again, and will use up next, will be used up by their own rhythm; it takes purchases of it on three days, and after three rhythms without it nobody waits for it; absent without such a product; in a journey that it starts, that of the run's own product";
    ReplenishProductId "replenish.product_id" Text Orders Expires "" "the id of that product";
    ReplenishEveryDays "replenish.every_days" Int Orders Expires "days" "their rhythm: days from one purchase of it to the next";
    ReplenishConfidence "replenish.confidence" Double Orders Expires "0 to 1" "how much there is to tell the rhythm from: 0.5 for three purchases, 0.67 for five, 0.8 for nine";

    CartIsOpen "cart.is_open" Bool Cart Expires "" "there is a cart with something in it, not yet ordered";
    CartValue "cart.value" Double Cart No "reporting currency" "what is in it is worth; absent without a cart";
    CartUpdatedAt "cart.updated_at" Instant Cart No "" "when it last changed";
    CartHoursIdle "cart.hours_idle" Int Cart Counts "hours" "whole hours since it last changed; never without a cart";
    CartProducts "cart.products" Texts Cart No "" "the ids of the products in it";

    ConsentEmailMarketing "consent.email.marketing" Bool Consent Expires "" "may get advertising by e-mail";
    ConsentEmailService "consent.email.service" Bool Consent Expires "" "may get service messages by e-mail";
    ConsentSmsMarketing "consent.sms.marketing" Bool Consent Expires "" "may get advertising by text message";
    ConsentSmsService "consent.sms.service" Bool Consent Expires "" "may get service messages by text message";
    ConsentSocialMarketing "consent.social.marketing" Bool Consent Expires "" "may get advertising on social networks";
    ConsentSocialService "consent.social.service" Bool Consent Expires "" "may get service messages on social networks";
    ConsentPushMarketing "consent.push.marketing" Bool Consent Expires "" "may get advertising as push messages";
    ConsentPushService "consent.push.service" Bool Consent Expires "" "may get service messages as push messages";
    ConsentPostMarketing "consent.post.marketing" Bool Consent Expires "" "may get advertising by post";
    ConsentPostService "consent.post.service" Bool Consent Expires "" "may get service messages by post";

    FeedbackNps "feedback.nps" Int Feedback No "0 to 10" "the latest answer to \"would you recommend us\"";
    FeedbackRating "feedback.rating" Double Feedback No "1 to 5" "the mean of the ratings given";
    FeedbackCount "feedback.count" Int Feedback No "items" "ratings, reviews and answers given";
    FeedbackDaysSinceLast "feedback.days_since_last" Int Feedback Counts "days" "whole days since the last of them; never without";
    FeedbackDaysSinceAsked "feedback.days_since_asked" Int Feedback Counts "days" "whole days since a survey was last sent; never without";

    FeedbackSentiment "feedback.sentiment" Text Voice No "" "how the customer felt who last gave a score or wrote something: `'positive'`, `'neutral'` or `'negative'`; by the score, only without one by the words; absent without either, and where the words say nothing";
    FeedbackTopics "feedback.topics" Texts Voice Expires "" "the ids of the topics of what unhappy customers wrote in the last 90 days: `delivery`, `quality`, `fit`, `price`, `service`, `returns`, and those of `[topics]`";
    FeedbackContradicts "feedback.contradicts" Bool Voice No "" "the last thing said has a good score and angry words, or a bad score and friendly ones: somebody should read it";

    EngagementSent30d "engagement.sent_30d" Int Engagement Expires "messages" "messages sent in the last 30 days";
    EngagementSent365d "engagement.sent_365d" Int Engagement Expires "messages" "messages sent in the last 365 days";
    EngagementClicked30d "engagement.clicked_30d" Int Engagement Expires "clicks" "clicks in the last 30 days";
    EngagementClicked365d "engagement.clicked_365d" Int Engagement Expires "clicks" "clicks in the last 365 days";
    EngagementDaysSinceClick "engagement.days_since_click" Int Engagement Counts "days" "whole days since the last click; never without";
    EngagementDaysSinceSent "engagement.days_since_sent" Int Engagement Counts "days" "whole days since the last message; never without";

    PhaseId "phase.id" Text Phase No "" "the phase the customer is in";
    PhaseDays "phase.days" Int Phase Counts "days" "whole days in it";
    PhasePrevious "phase.previous" Text Phase No "" "the phase before; absent in the first";

    PredictionIsKnown "prediction.is_known" Bool Prediction No "" "the shop's orders carry a model, and the customer has ordered; where it is false (young shops), the other predictions are absent";
    PredictionPOrder "prediction.p_order" Double Prediction Expires "0 to 1" "the chance of at least one order within the next `shop.horizon_days`, in whole hundredths";
    PredictionPOrder365d "prediction.p_order_365d" Double Prediction Expires "0 to 1" "the chance of at least one order within a year, in whole hundredths";
    PredictionOrders365d "prediction.orders_365d" Double Prediction Expires "orders" "the orders to be expected within a year, in two digits";
    PredictionOverduePercentile "prediction.overdue_percentile" Int Prediction Counts "percent" "how many of 100 waits from one order to the next are shorter than the customer's present one: their own waits and, as three more, the shop's";
    CustomerValueExpected "customer.value.expected" Double Prediction Expires "reporting currency" "what the orders to be expected within a year are worth today, in two digits; absent without a model";

    ShopBaseRate "shop.base_rate" Double Prediction No "0 to 1" "the share of all customers who ordered within the last `shop.horizon_days`, as of the last learning; absent before";
    ShopHorizonDays "shop.horizon_days" Int Prediction No "days" "80 of 100 next orders come within so many days, but it is at least 30 and at most 180; absent before anything was learned";
    ShopNewDays "shop.new_days" Int Prediction No "days" "within so many days half of all first orders are followed by a second, or `shop.horizon_days` where it takes longer; absent before anything was learned";

    RecommendCount "recommend.count" Int Recommend No "products" "how many products could be recommended for a reason: the shop's customers buy them together with what this one has bought, or next, this one has not bought them, and they could be bought when that was learned; what merely sells well does not count; 0 without orders, absent before anything was learned";

    Event "event" Map Event No "" "the event that started the run, in a goal the later one: `event.name`, `event.total`, …";
    Key "key" Text Key No "" "the run's key";
    RunStartedAt "run.started_at" Instant Run No "" "when the run started";
    RunStep "run.step" Text Run No "" "the step the run is at";
}

impl FieldId {
    /// The field's line in the table.
    pub fn spec(self) -> &'static FieldSpec {
        &FIELDS[self as usize]
    }

    /// Its name in conditions.
    pub fn path(self) -> &'static str {
        self.spec().path
    }

    /// The field of that name.
    pub fn find(path: &str) -> Option<FieldId> {
        FIELDS.iter().find(|field| field.path == path).map(|field| field.id)
    }

    /// For `consent.<channel>.<purpose>`: the channel and the purpose, as they are written.
    pub fn consent(self) -> Option<(&'static str, &'static str)> {
        self.path().strip_prefix("consent.")?.split_once('.')
    }
}

impl Scope {
    /// Whether a group's fields are known where the condition stands.
    pub fn shows(self, group: Group) -> bool {
        match group {
            Group::Event => !matches!(self, Scope::Phase | Scope::Segment),
            Group::Key => !matches!(self, Scope::Phase | Scope::Segment | Scope::StartWhere | Scope::Key),
            Group::Run => matches!(self, Scope::Goal | Scope::Exit | Scope::If | Scope::Until),
            Group::Products
            | Group::Prediction
            | Group::Recommend
            | Group::Customer
            | Group::Orders
            | Group::Cart
            | Group::Events
            | Group::Consent
            | Group::Feedback
            | Group::Voice
            | Group::Engagement
            | Group::Phase
            | Group::Journeys => true,
        }
    }
}

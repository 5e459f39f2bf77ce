//! Every GraphQL text the connector sends, with the permission it needs. No logic.

use crate::api::Op;

pub(crate) const CUSTOMERS: Op = Op::query(
    "query($o:CustomerListOptions){list:customers(options:$o){totalItems items{id createdAt updatedAt title \
     firstName lastName emailAddress phoneNumber user{id verified} groups{name} \
     addresses{country{code} defaultShippingAddress defaultBillingAddress}}}}",
    "ReadCustomer",
);

pub(crate) const ORDERS: Op = Op::query(
    "query($o:OrderListOptions){list:orders(options:$o){totalItems items{id code state active type createdAt \
     updatedAt orderPlacedAt currencyCode couponCodes totalWithTax \
     customer{id firstName lastName emailAddress phoneNumber user{id verified}} \
     shippingAddress{countryCode} billingAddress{countryCode} \
     lines{id quantity proratedLinePriceWithTax featuredAsset{preview} \
     productVariant{id sku name product{id slug}}} \
     payments{id state amount createdAt updatedAt refunds{id state total reason createdAt updatedAt}} \
     fulfillments{id state createdAt updatedAt} \
     history(options:{take:100,sort:{createdAt:ASC},filter:{type:{eq:\"ORDER_STATE_TRANSITION\"}}}){\
     items{createdAt data}}}}}",
    "ReadOrder",
);

/// Only what tells whether money or goods have moved since.
pub(crate) const ORDER_MOVES: Op = Op::query(
    "query($o:OrderListOptions){list:orders(options:$o){totalItems items{id \
     payments{updatedAt refunds{updatedAt}} fulfillments{updatedAt}}}}",
    "ReadOrder",
);

pub(crate) const PRODUCTS: Op = Op::query(
    "query($o:ProductListOptions){list:products(options:$o){totalItems items{id name slug enabled createdAt \
     updatedAt featuredAsset{preview} collections{name isPrivate} \
     variants{id sku enabled priceWithTax currencyCode stockLevel}}}}",
    "ReadCatalog or ReadProduct",
);

pub(crate) const PROMOTIONS: Op = Op::query(
    "query($o:PromotionListOptions){list:promotions(options:$o){totalItems items{id createdAt updatedAt name \
     couponCode enabled startsAt endsAt actions{code args{name value}}}}}",
    "ReadPromotion",
);

pub(crate) const CUSTOMER_IDS: Op = Op::query(
    "query($o:CustomerListOptions){list:customers(options:$o){totalItems items{id}}}",
    "ReadCustomer",
);

pub(crate) const PRODUCT_IDS: Op = Op::query(
    "query($o:ProductListOptions){list:products(options:$o){totalItems items{id}}}",
    "ReadCatalog or ReadProduct",
);

pub(crate) const COUNT_CUSTOMERS: Op = Op::query("{list:customers{totalItems}}", "ReadCustomer");
pub(crate) const COUNT_ORDERS: Op = Op::query("{list:orders{totalItems}}", "ReadOrder");
pub(crate) const COUNT_PRODUCTS: Op = Op::query("{list:products{totalItems}}", "ReadCatalog or ReadProduct");
pub(crate) const COUNT_PROMOTIONS: Op = Op::query("{list:promotions{totalItems}}", "ReadPromotion");

pub(crate) const CUSTOMER_GROUPS: Op =
    Op::query("query($id:ID!){customer(id:$id){id groups{id name}}}", "ReadCustomer");

pub(crate) const CUSTOMER_NOTES: Op = Op::query(
    "query($id:ID!,$key:String!){customer(id:$id){id history(options:{take:100,sort:{createdAt:DESC},\
     filter:{type:{eq:$key}}}){items{id data}}}}",
    "ReadCustomer",
);

pub(crate) const GROUP_BY_NAME: Op = Op::query(
    "query($name:String!){customerGroups(options:{take:1,sort:{id:ASC},filter:{name:{eq:$name}}}){items{id}}}",
    "ReadCustomerGroup",
);

pub(crate) const CREATE_GROUP: Op = Op::mutation(
    "mutation($name:String!){createCustomerGroup(input:{name:$name}){id}}",
    "CreateCustomerGroup",
);

/// Adding twice is the same as adding once, so it may be repeated.
pub(crate) const ADD_TO_GROUP: Op = Op {
    idempotent: true,
    ..Op::mutation(
        "mutation($group:ID!,$id:ID!){addCustomersToGroup(customerGroupId:$group,customerIds:[$id]){id}}",
        "UpdateCustomerGroup",
    )
};

/// Removing twice is refused the second time, which the caller takes for done.
pub(crate) const REMOVE_FROM_GROUP: Op = Op {
    idempotent: true,
    ..Op::mutation(
        "mutation($group:ID!,$id:ID!){removeCustomersFromGroup(customerGroupId:$group,customerIds:[$id]){id}}",
        "UpdateCustomerGroup",
    )
};

pub(crate) const ADD_NOTE: Op = Op::mutation(
    "mutation($id:ID!,$note:String!,$public:Boolean!){addNoteToCustomer(input:{id:$id,note:$note,\
     isPublic:$public}){id}}",
    "UpdateCustomer",
);

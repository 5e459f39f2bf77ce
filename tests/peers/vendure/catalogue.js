// What the shop sells, ships and taxes before a test touches it. Small on purpose: every figure is
// easy to check by hand, all of it is in euros with 19 % German tax included.
'use strict';

const shop = {
  defaultLanguage: 'en',
  defaultZone: 'Europe',
  countries: [
    { name: 'Germany', code: 'DE', zone: 'Europe' },
    { name: 'Austria', code: 'AT', zone: 'Europe' },
    { name: 'United Kingdom', code: 'GB', zone: 'Europe' },
  ],
  taxRates: [{ name: 'Standard', percentage: 19 }],
  shippingMethods: [{ name: 'Parcel', price: 490 }],
  paymentMethods: [
    {
      name: 'Test payment',
      handler: { code: 'dummy-payment-handler', arguments: [{ name: 'automaticSettle', value: 'true' }] },
    },
  ],
  collections: [],
};

// name, slug, facet, option group, [option value, sku, price] …
const products = [
  ['House Espresso', 'house-espresso', 'category:coffee', 'weight', [['250 g', 'ESP-250', '8.90'], ['1 kg', 'ESP-1000', '29.90']]],
  ['Filter Roast', 'filter-roast', 'category:coffee', 'weight', [['250 g', 'FIL-250', '9.90'], ['1 kg', 'FIL-1000', '33.50']]],
  ['Hand Grinder', 'hand-grinder', 'category:tools', '', [['', 'GRI-1', '79.00']]],
  ['Pour-over Cone', 'pour-over-cone', 'category:tools', '', [['', 'CON-1', '24.50']]],
  ['Paper Filters', 'paper-filters', 'category:tools', 'pack', [['40', 'PAP-40', '3.20'], ['100', 'PAP-100', '6.40']]],
  ['Gift Card', 'gift-card', 'category:gifts', '', [['', 'GIF-25', '25.00']]],
];

function productsCsv() {
  const rows = ['name,slug,description,assets,facets,optionGroups,optionValues,sku,price,taxCategory,stockOnHand,trackInventory,variantAssets,variantFacets'];
  for (const [name, slug, facet, group, variants] of products) {
    variants.forEach(([value, sku, price], at) => {
      const head = at === 0 ? [name, slug, `${name}.`, '', facet, group] : ['', '', '', '', '', ''];
      rows.push([...head, value, sku, price, 'Standard', '100000', 'false', '', ''].join(','));
    });
  }
  return rows.join('\n') + '\n';
}

module.exports = { shop, productsCsv };

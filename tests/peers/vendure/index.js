// One Vendure shop for one test: SQLite, loopback only, no telemetry, no assets, no workers.
//
//   node index.js populate    fills ZYKLUS_SHOP_DB with the catalogue and ends
//   node index.js             serves it; prints one line, `ready PORT`, once both APIs answer
//
// ZYKLUS_SHOP_DB             the database file (required)
// ZYKLUS_SHOP_PORT           the port on 127.0.0.1 (required to serve)
// ZYKLUS_SHOP_VERIFICATION   `true`: a registration must be confirmed by mail before the login works
// ZYKLUS_SHOP_VERBOSE        `true`: print what Vendure logs at level Info too
'use strict';

process.env.VENDURE_DISABLE_TELEMETRY = 'true';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const vendure = require('@vendure/core');
const { populate } = require('@vendure/core/cli');
const { shop, productsCsv } = require('./catalogue');

const populating = process.argv[2] === 'populate';

function need(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

const config = {
  apiOptions: {
    hostname: '127.0.0.1',
    port: populating ? 0 : Number(need('ZYKLUS_SHOP_PORT')),
    adminApiPath: 'admin-api',
    shopApiPath: 'shop-api',
  },
  authOptions: {
    tokenMethod: ['bearer', 'api-key'],
    superadminCredentials: { identifier: 'superadmin', password: 'superadmin' },
    requireVerification: process.env.ZYKLUS_SHOP_VERIFICATION === 'true',
  },
  dbConnectionOptions: {
    type: 'better-sqlite3',
    database: need('ZYKLUS_SHOP_DB'),
    synchronize: populating,
    logging: false,
  },
  paymentOptions: { paymentMethodHandlers: [vendure.dummyPaymentHandler] },
  logger: new vendure.DefaultLogger({
    level: process.env.ZYKLUS_SHOP_VERBOSE === 'true' ? vendure.LogLevel.Info : vendure.LogLevel.Warn,
  }),
  plugins: [vendure.DefaultJobQueuePlugin.init({ pollInterval: 200 })],
};

// The default channel starts out in US dollars and net prices; the catalogue is in euros, tax included.
async function inEuros(app) {
  const ctx = await app.get(vendure.RequestContextService).create({ apiType: 'admin' });
  const channels = app.get(vendure.ChannelService);
  const channel = await channels.getDefaultChannel(ctx);
  const result = await channels.update(ctx, {
    id: channel.id,
    defaultCurrencyCode: 'EUR',
    availableCurrencyCodes: ['EUR'],
    pricesIncludeTax: true,
  });
  if (result.errorCode) throw new Error(result.message);
}

async function fill() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zyklus-shop-'));
  const csv = path.join(folder, 'products.csv');
  fs.writeFileSync(csv, productsCsv());
  try {
    const start = async () => {
      const app = await vendure.bootstrap(config);
      await inEuros(app);
      return app;
    };
    const app = await populate(start, shop, csv);
    await app.close();
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

async function serve() {
  const app = await vendure.bootstrap(config);
  await app.get(vendure.JobQueueService).start();
  const stop = () => app.close().then(() => process.exit(0), () => process.exit(1));
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  console.log(`ready ${config.apiOptions.port}`);
}

(populating ? fill() : serve()).then(
  () => populating && process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

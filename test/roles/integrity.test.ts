import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { openDatabase } from '../../daemon/ledger/database.ts';
import { LEDGER_KIND, LEDGER_OBJECTS } from '../../daemon/ledger/schema.ts';
import { ask, type Role, until, World } from '../world.ts';

const TIMEOUT = 120_000;
let world: World;

beforeAll(async () => {
  world = await World.make();
  const config = JSON.parse(readFileSync(world.paths.config, 'utf8')) as JsonObject;
  // Never by schedule while this runs; a first pass begins with the daemon.
  config.integrity = { schedule: '0 0 29 2 *', entries_per_second: 5_000 };
  writeFileSync(world.paths.config, JSON.stringify(config));
}, TIMEOUT);
afterAll(() => world?.close(), TIMEOUT);

/** Somebody with the file changes one entry, behind everybody's back. */
function change(index: number): void {
  const database = openDatabase(world.paths.ledger, { kind: LEDGER_KIND });
  const guard = LEDGER_OBJECTS.find(({ name }) => name === 'entries_update');
  database.exec('DROP TRIGGER entries_update');
  database
    .prepare(
      `UPDATE entries SET bytes = CAST(replace(CAST(bytes AS TEXT), 'test a', 'test b') AS BLOB) WHERE idx = ?`,
    )
    .run(index);
  database.exec(guard?.sql ?? '');
  database.close();
}

const integrity = async (): Promise<JsonObject> => {
  const { host } = (await world.client('operator').status()) as unknown as { host: JsonObject };
  return host.integrity as JsonObject;
};

async function passed(least: number): Promise<void> {
  await until('a whole pass', async () => {
    const { done, checked } = await integrity();
    return done === true && Number(checked) >= least;
  });
}

test(
  'the background check follows the ledger, and halts the site when an old entry was changed',
  async () => {
    let daemon: Role = await world.daemon();
    for (let round = 0; round < 75; round++) {
      await Promise.all(
        Array.from({ length: 8 }, (_, at) =>
          world.client('request').createDecision(ask('unheard_of', `m-${round}-${at}`)),
        ),
      );
    }
    await daemon.kill('SIGTERM');
    daemon = await world.daemon();
    await passed(600);
    expect(await integrity()).toMatchObject({ findings: 0 });
    await daemon.kill('SIGTERM');
    // Where the check had come to is kept; so that it begins anew, as by schedule, that is taken away.
    change(300);
    writeFileSync(`${world.paths.state}/integrity.json`, '{}');
    daemon = await world.daemon();
    await until('an incident', async () => {
      const { incidents } = await world.client('operator').incidents();
      return incidents.length > 0;
    });
    const { incidents } = await world.client('operator').incidents();
    expect(incidents).toMatchObject([{ cause: 'ledger_damaged', halt: { scope: 'site' } }]);
    expect(incidents[0]?.detail).toMatch(/entries\[300\]|tile\/0\/1/);
    const status = await world.holdfast('status', '--all');
    expect(status.stdout).toMatch(/checked +\d+ findings?: DAMAGED/);
    const asked = await world.client('request').createDecision(ask('mark', 'after'));
    expect(asked.status).toBe('denied');
  },
  TIMEOUT,
);

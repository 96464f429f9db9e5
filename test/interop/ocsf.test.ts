import { beforeAll, describe, expect, it } from 'vitest';
import { securityEvent } from '../../daemon/core/siem-event.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { toOcsf } from '../../daemon/formats/ocsf.ts';
import { EVERY_TYPE, entryOf, ORIGIN } from '../siem/entries.ts';
import { OcsfSchema, ocsfSchemaDir } from './ocsf-schema.ts';

const dir = ocsfSchemaDir();

/** The published schema, from a checkout of its repository: `OCSF_SCHEMA_DIR`. */
describe.skipIf(dir === null)('the published OCSF schema', () => {
  let schema: OcsfSchema;
  beforeAll(() => {
    schema = new OcsfSchema(dir ?? '');
  });

  it.each(EVERY_TYPE)('has nothing against an event of %s', (type) => {
    const event = toOcsf(securityEvent(ORIGIN, 3, entryOf(type, 3)), '0.1.0');
    expect(schema.defects(event as JsonObject)).toEqual([]);
  });

  it('would find what is wrong', () => {
    const event = toOcsf(securityEvent(ORIGIN, 3, entryOf('decision.denied', 3)), '0.1.0') as JsonObject;
    const { actor: _, ...without } = event;
    expect(schema.defects(without)).toContain('/actor is missing');
    expect(schema.defects({ ...event, severity_id: 42 })).toEqual([
      '/severity_id is 42, which is not listed',
    ]);
    expect(schema.defects({ ...event, time: 'now' })).toEqual(['/time is not of type timestamp_t']);
    expect(schema.defects({ ...event, verdict: 1 })).toEqual(['/verdict is no attribute']);
    expect(schema.defects({ ...event, metadata: {} })).toContain('/metadata/product is missing');
  });
});

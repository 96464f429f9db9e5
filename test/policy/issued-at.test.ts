import { describe, expect, test } from 'vitest';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { JsonObject } from '../../daemon/formats/json.ts';
import { temporaryDir } from '../host/temporary.ts';
import { bundleBytes, NOW, PublisherWorld } from './publisher-world.ts';
import { SiteWorld } from './site-world.ts';

const HOUR = 3_600_000;

function issuedAt(version: number, issued_at: string): Uint8Array {
  const bundle = JSON.parse(Buffer.from(bundleBytes(version)).toString('utf8')) as { metadata: JsonObject };
  bundle.metadata.issued_at = issued_at;
  return canonicalBytes(bundle as unknown as JsonObject);
}

describe('the date that somebody wrote into a bundle', () => {
  test('of later today, as by an author who writes local time, puts no doubt on the clock of a site', async () => {
    const publisher = new PublisherWorld(temporaryDir());
    const site = new SiteWorld(publisher.root);
    publisher.publish(1);
    expect(await site.import(publisher.dir)).toMatchObject({ applied: true });
    const ahead = `${new Date(NOW + 9 * HOUR).toISOString().slice(0, 19)}Z`;
    publisher.publish(2, { bytes: issuedAt(2, ahead) });
    expect(await site.import(publisher.dir)).toMatchObject({ applied: true });
    site.clock.advance(2_000);
    const { time } = await site.ask('status.get');
    expect(time).toMatchObject({ trust: 'floor' });
    expect(Date.parse((time as { floor: string }).floor)).toBeLessThan(NOW + HOUR);
  });

  test.each(['2026-99-99T99:99:99Z', '2026-02-30T12:00:00Z', '2026-11-20T24:00:00Z'])(
    'is no date: %s is refused, and nothing is put in force',
    async (issued_at) => {
      const publisher = new PublisherWorld(temporaryDir());
      const site = new SiteWorld(publisher.root);
      publisher.publish(1);
      await site.import(publisher.dir);
      publisher.publish(2, { bytes: issuedAt(2, issued_at) });
      expect(await site.import(publisher.dir)).toMatchObject({
        applied: false,
        code: expect.stringMatching(/^update\.bundle_(issued|defective)$/),
      });
      expect(await site.ask('status.get')).toMatchObject({ policy: { serial: 1 } });
    },
  );
});

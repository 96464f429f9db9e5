import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parsePolicy } from '../../daemon/formats/tlog-policy.ts';
import { verifyProof } from '../../daemon/formats/tlog-proof.ts';
import type { RoundReport } from '../../sync/round.ts';
import { must } from '../demo/narrator.ts';
import { SITE, Stage } from '../demo/stage.ts';
import { checkLedger } from '../oracle.ts';
import { makeCertificates } from './certificates.ts';
import { WitnessServer } from './witness-server.ts';

/* A whole site: its daemon exports and records, its sync process speaks to a witness, neither does the other's work. */

describe('a site with a witness', () => {
  const stage = new Stage();
  const witness = new WitnessServer('witness.example/w1', 7);
  witness.time = Math.floor(Date.now() / 1_000);

  beforeAll(async () => {
    const certificates = makeCertificates(stage.dir, 'hq');
    await done('init', '--site', SITE, '--profile', 'dev', '--policy', stage.writePolicy());
    const vkey = readFileSync(join(stage.paths.trust, 'ledger.vkey'), 'utf8').trim();
    witness.trust(vkey);
    const url = await witness.start(certificates);
    const config = JSON.parse(readFileSync(stage.paths.config, 'utf8')) as Record<string, unknown>;
    const sync = {
      mirror: new URL('/repository/', url).href,
      hosts: ['localhost'],
      ...certificates.client,
      ca: certificates.ca,
      witnesses: [{ name: 'w1', url }],
    };
    writeFileSync(stage.paths.config, JSON.stringify({ ...config, sync }));
    const policy = `log ${vkey}\nwitness w1 ${witness.vkey}\nquorum w1\n`;
    writeFileSync(join(stage.paths.trust, 'tlog-policy'), policy);
    await stage.start('daemon');
  }, 120_000);
  afterAll(async () => {
    await witness.stop();
    expect(await stage.clear()).toEqual([]);
  });

  async function done(...args: string[]): Promise<string> {
    const ran = await stage.holdfast(...args);
    must(ran.code === 0, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
    return ran.stdout;
  }

  /** One round; there is no mirror there, which keeps nothing back. */
  async function round(): Promise<RoundReport['witnessed']> {
    const { stdout } = await stage.holdfast('sync', '--once', '--json');
    return (JSON.parse(stdout) as RoundReport).witnessed;
  }

  /** Something is allowed; its permit. */
  async function something(): Promise<string> {
    const { permit } = await stage.requests.createDecision({
      action: {
        class: 'read_telemetry',
        intent: 'look',
        target: { type: 'sensor', id: 'pump-1' },
        payload: {},
      },
      context: { actor: { id: 'agent:ops-1' }, environment: 'production' },
    } as never);
    return permit?.proof ?? '';
  }

  async function exported(): Promise<number> {
    return (JSON.parse(await done('anchor', 'export', '--json')) as { size: number }).size;
  }

  const recorded = (): number[] => {
    const { ledger, head, trust } = stage.paths;
    const vkeys = [readFileSync(join(trust, 'ledger.vkey'), 'utf8').trim()];
    const { entries } = checkLedger({ ledger, head }, { origin: `${SITE}/ledger`, vkeys });
    return entries.filter(({ type }) => type === 'anchor.cosigned').map(({ data }) => Number(data.size));
  };

  it('has its anchors cosigned and recorded, round by round', async () => {
    expect(await round()).toMatchObject([{ outcome: 'nothing' }]);
    await something();
    const size = await exported();
    expect(await round()).toMatchObject([{ outcome: 'cosigned', size }]);
    await stage.until('the daemon to record it', async () => recorded().includes(size));
    const inbox = join(stage.paths.inbox, 'cosignatures');
    await stage.until('the inbox to be empty', async () => readdirSync(inbox).length === 0);
    expect(await round()).toMatchObject([{ outcome: 'cosigned', size }]);
    expect(witness.asked.filter(({ path }) => path.endsWith('add-checkpoint'))).toHaveLength(1);
  }, 120_000);

  it('serves a witness that stands between two anchors: sync asks, the daemon proves', async () => {
    await something();
    // Somebody else brought it a tree that no anchor of this site was made of.
    const old = witness.known.get(`${SITE}/ledger`)?.size ?? 0;
    expect(witness.addCheckpoint(await stage.operator.anchorFrom(old)).status).toBe(200);
    const stands = witness.known.get(`${SITE}/ledger`)?.size ?? 0;
    expect(stands).toBeGreaterThan(old);
    await something();
    const size = await exported();
    expect(await round()).toMatchObject([{ outcome: 'waiting', size: stands }]);
    const anchors = join(stage.paths.inbox, 'anchors');
    await stage.until('the daemon to answer', async () => readdirSync(anchors).length === 0);
    const [witnessed] = await round();
    expect(witnessed).toMatchObject({ outcome: 'cosigned', size });
    await stage.until('the daemon to record it', async () => recorded().includes(size));
  }, 120_000);

  it('tells a permit that no witness stands behind yet from a forged one', async () => {
    const permit = await something();
    const file = join(stage.dir, 'fresh.permit');
    const verified = async (text: string): Promise<number | null> => {
      writeFileSync(file, text);
      return (
        await stage.holdfast('permit', 'verify', file, '--policy', join(stage.paths.trust, 'tlog-policy'))
      ).code;
    };
    expect(await verified(permit)).toBe(12);
    expect(await verified(permit.replace(/^index .*$/m, 'index 2'))).toBe(10);
    expect(await verified(permit.replace(/(— \S+ \S{20})./, '$1_'))).toBe(10);
    await exported();
    await round();
    const index = Number(/^index (\d+)$/m.exec(permit)?.[1]);
    await stage.until('the daemon to record it', async () => (recorded().at(-1) ?? 0) > index);
    const later = join(stage.dir, 'later.permit');
    await done('ledger', 'prove', String(index), '--cosigned', '-o', later);
    expect(await verified(readFileSync(later, 'utf8'))).toBe(0);
  }, 120_000);

  it('then proves what happened under what was witnessed', async () => {
    const file = join(stage.dir, 'entry.tlog-proof');
    await done('ledger', 'prove', String(recorded()[0]), '--cosigned', '-o', file);
    const policy = parsePolicy(readFileSync(join(stage.paths.trust, 'tlog-policy'), 'utf8'));
    expect(verifyProof(readFileSync(file, 'utf8'), { policy }).checkpoint.size).toBe(recorded().at(-1));
    const { stdout } = await stage.holdfast('status', '--json');
    const { daemon } = JSON.parse(stdout) as { daemon: { witnesses: unknown; time: unknown } };
    expect(daemon.witnesses).toMatchObject({ quorum: 'w1', newest: { by: ['witness.example/w1'] } });
    expect(daemon.time).toMatchObject({ trust: 'trusted' });
  });
});

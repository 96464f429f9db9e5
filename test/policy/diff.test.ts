import { describe, expect, it } from 'vitest';
import type { Bundle } from '../../daemon/core/bundle.ts';
import { describeChanges } from '../../daemon/policy/diff.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { sampleBundle } from '../core/sample.ts';
import { FIELD_SITE } from './policy-dir.ts';

const LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFr/G/huoyTcvDIMzeJrip7Wb2iL5Lc3hyLTxnVwlpiQ a@b';
const FINGERPRINT = 'SHA256:0Wdyn75torT1qCB/tMUKOpW+KXdKO0RfG3SHTsAujo8';

/** The sentences for a change to the starter policy. */
function changes(change: (bundle: Bundle) => void, from: Bundle = fieldSite()): string[] {
  const after = structuredClone(from);
  change(after);
  return describeChanges(from, after);
}

function fieldSite(): Bundle {
  return structuredClone(readPolicyDirectory(FIELD_SITE).bundle);
}

describe('the changes between two bundles', () => {
  it('are none for another version of the same rules', () => {
    const next = (bundle: Bundle) => {
      bundle.metadata.version += 1;
      bundle.metadata.issued_at = '2027-01-01T00:00:00Z';
    };
    expect(changes(next)).toEqual([]);
  });

  it('speak of authority by class, environment and risk', () => {
    const found = changes(({ authority }) => {
      authority.routes
        .find(({ id }) => id === 'firmware-safety')
        ?.require.push({ group: 'lead', roles: ['L4'], min_signatures: 1 });
    });
    expect(found).toEqual(['install_firmware in production now needs L4 (lead) as well.']);
  });

  it('do not take a rule that is written otherwise for another demand', () => {
    const found = changes(({ authority }) => {
      const [low] = authority.routes;
      if (low !== undefined) authority.routes.push({ ...low, id: 'low-again', classes: ['read_telemetry'] });
    });
    expect(found).toEqual([]);
  });

  it('show what a moved band does to authority', () => {
    const found = changes(({ risk }) => {
      const medium = risk.bands[1];
      if (medium !== undefined) medium.below = 0.5;
    });
    expect(found[0]).toMatch(/^Risk bands are now: .*high from 0.5/);
    expect(found).toContain(
      'install_firmware and change_network in staging at risk 0.5 to 0.6 now need L3, L4 or L5 (peer) instead of L2, L3, L4 or L5 (operator).',
    );
  });

  it('say when nobody has authority any more', () => {
    const found = changes(({ authority }) => {
      authority.routes = authority.routes.filter(({ id }) => id !== 'low-risk');
    });
    expect(found).toContain(
      'read_telemetry and agent_tool_call everywhere at low risk are now denied: no route names who may authorize it.',
    );
  });

  it('name classes that come and go', () => {
    const found = changes((bundle) => {
      const { wipe_storage, ...rest } = bundle.actions;
      bundle.gates = bundle.gates.filter(({ classes }) => classes?.includes('wipe_storage') !== true);
      bundle.authority.routes = bundle.authority.routes.filter(({ id }) => id !== 'wipe-safety');
      bundle.actions = rest;
      if (wipe_storage !== undefined) bundle.actions.format_disk = wipe_storage;
    });
    expect(found).toContain('wipe_storage is no longer listed: every request for it is denied.');
    expect(found.some((line) => line.startsWith('format_disk may now be asked for'))).toBe(true);
  });

  it('name keys, roles and status of people', () => {
    const found = changes(({ principals }) => {
      const { operator, alice, carol } = principals;
      const [key] = operator?.keys ?? [];
      if (key !== undefined) key.status = 'revoked';
      if (alice !== undefined) alice.roles = ['L4'];
      if (carol !== undefined) carol.status = 'suspended';
    });
    expect(found).toEqual([
      `operator's key ${FINGERPRINT} no longer counts.`,
      'alice now holds L4.',
      'alice no longer holds L3.',
      'carol is suspended: requests and approvals of carol no longer count.',
    ]);
  });

  it('tell what a gate now does', () => {
    const found = changes(({ gates }) => {
      const gate = gates.find(({ id }) => id === 'retention-period');
      if (gate !== undefined) {
        gate.environments = ['production', 'staging'];
        gate.condition = 'payload.older_than_days >= 7';
      }
    });
    expect(found).toEqual([
      'The gate retention-period now applies to delete_files in production and staging (was delete_files in production).',
      'The gate retention-period now demands "payload.older_than_days >= 7" instead of "payload.older_than_days >= 30".',
    ]);
  });

  it('describe a first policy whole', () => {
    const found = describeChanges(null, fieldSite());
    expect(found[0]).toBe('There was no policy before: everything was denied.');
    expect(found).toContain('agent:ops-1 joins the roster (agent) as agent.');
    expect(found).toContain(
      'install_firmware in production at high risk needs L3, L4 or L5 (peer) and safety_officer (safety).',
    );
  });
});

/** Every leaf of a value with a way to set it. */
function leaves(value: unknown, path: string[] = []): string[][] {
  if (typeof value !== 'object' || value === null) return [path];
  return Object.entries(value).flatMap(([key, member]) => leaves(member, [...path, key]));
}

function change(bundle: Bundle, path: readonly string[]): void {
  let at = bundle as unknown as Record<string, unknown>;
  for (const key of path.slice(0, -1)) at = at[key] as Record<string, unknown>;
  const key = path.at(-1) ?? '';
  const old = at[key];
  if (typeof old === 'number') at[key] = old === 0 || old === 1 ? old + 1 : old / 2;
  else if (typeof old === 'boolean') at[key] = !old;
  else if (key === 'condition') at[key] = `!(${String(old)})`;
  else at[key] = OTHER[String(old)] ?? `${String(old)}x`;
}

/** Values that must stay of their kind. */
const OTHER: Record<string, string> = {
  active: 'suspended',
  revoked: 'active',
  human: 'agent',
  [LINE]:
    'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJzXt966VFMx2DMn2pewF89V7dgdmGQsRrPKpy9CJkcS alice@outpost-7.example',
  '1d': '5h',
  '2d': '36h',
  '4h': '5h',
  '5m': '6m',
  '5s': '6s',
  fail: 'requires_exception',
  requires_exception: 'fail',
  deny: 'queue',
  allow: 'queue',
  exec: 'exec',
};

/** Names that only tie sections together, and a route that adds nothing to what another one demands. */
const SILENT =
  /^(schema|authority\/routes\/1\/(bands\/0|require\/0\/min_signatures)|metadata\/(version|issued_at)|authority\/routes\/\d+\/id|tools\/\w+\/connector)$/;

describe('no change goes unsaid', () => {
  const whole = sampleBundle();
  whole.principals.alice = {
    ...sampleBundle().principals.alice,
    keys: [{ public_key: LINE, require_pin: true }],
    uid: 1000,
    spiffe_id: 'spiffe://x/a',
    display_name: 'Alice',
  } as never;
  whole.approvals = { require_pin_for: ['L3'] };
  whole.limits = { requests_per_second: 10, pending_per_actor: 20, approvals_per_decision: 30 };
  const paths = leaves(whole).filter((path) => !SILENT.test(path.join('/')));

  it.each(paths.map((path) => [path.join('/'), path] as const))('%s', (_, path) => {
    const after = structuredClone(whole);
    change(after, path);
    expect(describeChanges(whole, after).length).toBeGreaterThan(0);
  });
});

describe('changes to incidents', () => {
  it('are told: who reports, who resumes, how far a halt reaches', () => {
    const found = changes(({ incidents }) => {
      if (incidents === undefined) return;
      incidents.resume_roles = ['L3'];
      incidents.reporter_roles = ['L2', 'L3', 'L4'];
      incidents.halt = { unpermitted_act: 'site', tool_changed: 'tool' };
      incidents.canary_actor = 'alice';
    });
    expect(found).toEqual([
      'safety_officer may no longer report what was done without a permit.',
      'L3 may now let a halted site or target go on.',
      'L4 may no longer let a halted site or target go on.',
      'A reported act without a permit now halts the site (was: the target).',
      'The self-test asks in the name of alice.',
    ]);
  });

  it('are told when nobody is left to resume', () => {
    const found = changes((bundle) => {
      delete bundle.incidents;
    });
    expect(found).toContain('Nobody may let a halted site or target go on any more.');
  });

  it('are told of a pinned program', () => {
    const digest = 'a'.repeat(64);
    const pin = ({ tools }: Bundle) => {
      const tool = tools['restart-service'];
      if (tool?.connector === 'exec') tool.sha256 = digest;
    };
    expect(changes(pin)).toEqual([
      `restart_service (tool restart-service) runs only the program with the digest ${digest}.`,
    ]);
  });
});

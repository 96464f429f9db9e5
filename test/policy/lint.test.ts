import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Bundle, BundleRoute } from '../../daemon/core/bundle.ts';
import { compileBundle } from '../../daemon/core/compile.ts';
import { concat, sshString } from '../../daemon/formats/ssh-wire.ts';
import { lintBundle } from '../../daemon/policy/lint.ts';
import { readPolicyDirectory } from '../../daemon/policy/source.ts';
import { Ed25519SecurityKey } from '../security-key.ts';
import { FIELD_SITE } from './policy-dir.ts';

/** Errors and warnings of the starter policy after a change, as `severity check: what was found`. */
function lint(change: (bundle: Bundle) => void, severities = ['error', 'warning']): string[] {
  const bundle = structuredClone(readPolicyDirectory(FIELD_SITE).bundle);
  change(bundle);
  compileBundle(bundle, '0'.repeat(64));
  return lintBundle(bundle)
    .filter(({ severity }) => severities.includes(severity))
    .map(({ severity, check, pointer, found }) => `${severity} ${check} ${pointer}: ${found}`);
}

const ROUTE: BundleRoute = { id: 'more', require: [] };

function addRoute(route: Partial<BundleRoute>): (bundle: Bundle) => void {
  return ({ authority }) => authority.routes.push({ ...ROUTE, ...route });
}

function gate(condition: string, rest: Partial<Bundle['gates'][number]> = {}): (bundle: Bundle) => void {
  const common = { id: 'new', otherwise: 'fail', reason: 'Because.' } as const;
  return ({ gates }) => gates.push({ ...common, condition, ...rest });
}

describe('lint', () => {
  it('finds nothing to complain of in the starter policy', () => {
    expect(lint(() => {})).toEqual([]);
  });

  it('tells a note about routes that add up and an approver who asks', () => {
    expect(lint(() => {}, ['note'])).toEqual([
      expect.stringContaining(
        'route.overlap /authority/routes/4: the route firmware-safety, which meets high-risk',
      ),
      expect.stringContaining('route.overlap /authority/routes/5: the route wipe-safety'),
      expect.stringContaining('when bob asks (missing: 1 safety_officer (safety))'),
    ]);
  });
});

describe('gates', () => {
  it('that no class reaches', () => {
    const only = ({ actions }: Bundle) => {
      if (actions.delete_files !== undefined) actions.delete_files.environments = ['staging'];
    };
    expect(lint(only)).toEqual([
      'warning gate.unreachable /gates/2: the gate retention-period, which is never asked: none of delete_files is done in production',
    ]);
  });

  it('that always or never pass', () => {
    expect(lint(gate('environment != "moon"'))).toEqual([
      expect.stringContaining('gate.always_passes /gates/9'),
    ]);
    expect(lint(gate('false', { classes: ['read_telemetry'] }))).toEqual([
      expect.stringContaining('the gate new, which never passes: read_telemetry in production and staging'),
    ]);
    expect(lint(gate('actor.kind == "human"'))).toEqual([]);
  });

  it('whose exception another gate makes pointless', () => {
    const exception = gate('actor.kind == "human"', {
      classes: ['wipe_storage'],
      otherwise: 'requires_exception',
      exception_role: 'L4',
    });
    expect(lint(exception)).toEqual([expect.stringContaining('wipe-by-people-only fails outright')]);
  });

  it('whose exception nobody can grant', () => {
    const found = lint((bundle) => {
      const { carol, dave } = bundle.principals;
      if (carol !== undefined) carol.status = 'suspended';
      if (dave !== undefined) dave.roles = ['L5', 'L4'];
      gate('environment == "staging"', { otherwise: 'requires_exception', exception_role: 'service' })(
        bundle,
      );
    });
    expect(found).toContainEqual(expect.stringContaining('error exception.unsatisfiable /gates/9'));
  });
});

describe('risk factors', () => {
  it('that never apply or count nothing', () => {
    const factor = (condition: string, weight: number, classes?: string[]) => (bundle: Bundle) => {
      const scope = classes === undefined ? {} : { classes, environments: ['staging'] };
      bundle.risk.factors.push({ id: 'new', condition, weight, reason: 'Because.', ...scope });
      if (bundle.actions.wipe_storage !== undefined)
        bundle.actions.wipe_storage.environments = ['production'];
    };
    const own = (found: string[]) => found.filter((line) => line.includes('factor'));
    expect(own(lint(factor('environment == "moon"', 0.1)))).toEqual([
      expect.stringContaining('factor.never_applies /risk/factors/7'),
    ]);
    expect(own(lint(factor('true', 0.1, ['wipe_storage'])))).toEqual([
      expect.stringContaining('none of wipe_storage is done in staging'),
    ]);
    expect(own(lint(factor('true', 0)))).toEqual([expect.stringContaining('factor.no_weight')]);
  });
});

describe('routes', () => {
  it('that are missing for a risk that a class can reach', () => {
    const found = lint(({ actions, authority }) => {
      if (actions.wipe_storage !== undefined) actions.wipe_storage.base_risk = 0.9;
      authority.routes = authority.routes.filter(({ id }) => id !== 'critical-risk' && id !== 'wipe-safety');
    });
    expect(found).toEqual([
      expect.stringContaining('error route.missing /actions/wipe_storage'),
      expect.stringMatching(
        /^warning route.missing \/actions\/restart_service: .* in production at critical risk/,
      ),
      expect.stringContaining('delete_files'),
      expect.stringContaining('install_firmware in staging at critical risk'),
      expect.stringContaining('change_network'),
    ]);
  });

  it('that no class reaches, or that add nothing', () => {
    expect(lint(addRoute({ classes: ['read_telemetry'], bands: ['critical'] }))).toEqual([
      expect.stringContaining('route.unreachable /authority/routes/6'),
    ]);
    expect(lint(addRoute({ classes: ['read_telemetry'], bands: ['low'] }))).toEqual([
      expect.stringContaining('the route more, which adds nothing to low-risk'),
    ]);
  });

  it('that name one group with different roles', () => {
    const require = [{ group: 'peer', roles: ['L4'], min_signatures: 1 }];
    expect(lint(addRoute({ classes: ['install_firmware'], bands: ['high'], require }))).toEqual([
      expect.stringContaining('the group peer is named with different roles'),
    ]);
  });
});

describe('authority', () => {
  it('that nobody in the roster can give', () => {
    const found = lint(({ principals }) => {
      if (principals.bob !== undefined) principals.bob.status = 'revoked';
    });
    expect(found).toEqual([
      expect.stringMatching(
        /^error authority.unsatisfiable \/authority\/routes\/[45]: .*\(missing: 1 safety_officer \(safety\)\), for install_firmware in production/,
      ),
    ]);
  });

  it('that takes people with keys, and each of them once', () => {
    const keyless = lint(({ principals }) => {
      if (principals.bob !== undefined) principals.bob.keys = [];
    });
    expect(keyless).toEqual([expect.stringContaining('missing: 1 safety_officer')]);
    const twice = lint(({ principals }) => {
      // One person for both groups of critical risk, and nobody beside.
      for (const id of ['carol', 'dave', 'alice']) delete principals[id];
      if (principals.bob !== undefined) principals.bob.roles = ['L3', 'L4', 'L5', 'safety_officer'];
    });
    expect(twice).toContainEqual(
      expect.stringMatching(/error authority.unsatisfiable .*restart_service in production at critical/),
    );
  });

  it('that only the owner of the agent that asks could give', () => {
    const found = lint(({ principals }) => {
      const agent = principals['agent:ops-1'];
      if (agent !== undefined) agent.owner = 'bob';
    });
    expect(found).toEqual([
      expect.stringMatching(/^warning authority.unsatisfiable .*when agent:ops-1 asks/),
    ]);
  });
});

describe('what nothing uses', () => {
  it('tools and environments', () => {
    const found = lint((bundle) => {
      bundle.tools.spare = { connector: 'exec', argv: ['/usr/bin/true'] };
      bundle.environments.moon = { description: 'Far away.' };
      for (const action of Object.values(bundle.actions)) action.environments ??= ['production', 'staging'];
    });
    expect(found).toEqual([
      'warning tool.unused /tools/spare: the tool spare, which no class uses',
      'warning environment.unused /environments/moon: the environment moon, in which nothing is done',
    ]);
  });
});

describe('keys', () => {
  const line = (blob: Uint8Array, type: string) => `${type} ${Buffer.from(blob).toString('base64')}`;
  const enrol =
    (id: string, public_key: string, rest: { require_pin?: boolean; status?: 'revoked' } = {}) =>
    ({ principals }: Bundle): void => {
      Object.assign(principals[id] ?? {}, { keys: [{ public_key, ...rest }] });
    };
  const token = new Ed25519SecurityKey();

  it('that can show no PIN where one is demanded', () => {
    const demand = (bundle: Bundle): void => {
      bundle.approvals = { require_pin_for: ['L4'] };
    };
    expect(lint(demand)).toEqual([
      'warning keys.no_pin /principals/carol/keys: carol, who holds L4 but has no security key: without a PIN no signature counts there',
    ]);
    expect(
      lint((bundle) => {
        demand(bundle);
        enrol('carol', token.line)(bundle);
      }),
    ).toEqual([]);
    const alice =
      structuredClone(readPolicyDirectory(FIELD_SITE).bundle).principals.alice?.keys?.[0]?.public_key ?? '';
    expect(lint(enrol('alice', alice, { require_pin: true }))).toEqual([
      expect.stringContaining('error keys.no_pin /principals/alice/keys/0/require_pin'),
    ]);
    expect(lint(enrol('alice', token.line, { require_pin: true }))).toEqual([]);
  });

  it('whose signatures count nowhere', () => {
    const { x = '', y = '' } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
      format: 'jwk',
    });
    const point = Buffer.concat([Buffer.of(4), Buffer.from(x, 'base64url'), Buffer.from(y, 'base64url')]);
    const type = 'ecdsa-sha2-nistp256';
    const blob = concat(sshString(type), sshString('nistp256'), sshString(new Uint8Array(point)));
    expect(lint(enrol('alice', line(blob, type)))).toEqual([
      expect.stringContaining('warning keys.never_count /principals/alice/keys/0'),
    ]);
    blob[blob.length - 1] = (blob[blob.length - 1] ?? 0) ^ 1;
    expect(() => lint(enrol('alice', line(blob, type)))).toThrow(/no point of its curve/);
  });
});

describe('incidents', () => {
  it('that nobody could end', () => {
    const none = ({ incidents }: Bundle) => {
      if (incidents !== undefined) delete incidents.resume_roles;
    };
    expect(lint(none)).toEqual([
      'warning incidents.nobody_resumes /incidents/resume_roles: nobody may let a halted site go on',
    ]);
    const suspended = ({ principals }: Bundle) => {
      if (principals.carol !== undefined) principals.carol.status = 'suspended';
    };
    expect(lint(suspended)).toContainEqual(expect.stringContaining('no active person with a key holds L4'));
  });
});

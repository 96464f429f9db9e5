import { describe, expect, it } from 'vitest';
import { type Bundle, parseBundle } from '../../daemon/core/bundle.ts';
import { BundleDefects } from '../../daemon/core/bundle-defects.ts';
import { canonicalBytes } from '../../daemon/formats/canonical-json.ts';
import type { Json } from '../../daemon/formats/json.ts';
import { ed25519Blob, SK_ED25519 } from '../../daemon/formats/ssh-public-key.ts';
import { concat, sshString } from '../../daemon/formats/ssh-wire.ts';
import { EcdsaSecurityKey, Ed25519SecurityKey } from '../security-key.ts';
import { compileSample, sampleBundle } from './sample.ts';

const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl';

function keyLine(raw: Uint8Array): string {
  return `ssh-ed25519 ${Buffer.from(ed25519Blob(raw)).toString('base64')}`;
}

function securityKeyLine(raw: Uint8Array): string {
  const blob = concat(sshString(SK_ED25519), sshString(raw), sshString('ssh:'));
  return `${SK_ED25519} ${Buffer.from(blob).toString('base64')}`;
}

/** Defects as `pointer: found`, after a change that a type checker would not allow everywhere. */
// biome-ignore lint/suspicious/noExplicitAny: the changes are wrong on purpose
type Change = (bundle: any) => void;

function defectsOf(change: Change): { pointer: string; found: string }[] {
  try {
    compileSample(change as (bundle: Bundle) => void);
  } catch (error) {
    if (error instanceof BundleDefects)
      return error.defects.map(({ pointer, found }) => ({ pointer, found }));
    throw error;
  }
  return [];
}

function condition(source: string): Change {
  return (bundle) => {
    bundle.gates[0].condition = source;
  };
}

describe('a bundle without defects', () => {
  it('compiles, and knows its name', () => {
    const { bundle, digest } = parseBundle(canonicalBytes(sampleBundle() as unknown as Json));
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    expect(bundle).toEqual(sampleBundle());
    expect(compileSample().version).toBe('sample@3');
  });
});

describe('references and ranges', () => {
  const cases: [string, Change, string, RegExp][] = [
    [
      'a tool',
      (b) => {
        b.actions.read.tool = 'nothing';
      },
      '/actions/read/tool',
      /unknown tool "nothing"/,
    ],
    [
      'an environment of a class',
      (b) => {
        b.actions.read.environments = ['moon'];
      },
      '/actions/read/environments/0',
      /unknown environment/,
    ],
    [
      'a class of a gate',
      (b) => {
        b.gates[0].classes = ['nothing'];
      },
      '/gates/0/classes/0',
      /unknown class/,
    ],
    [
      'an environment of a factor',
      (b) => {
        b.risk.factors[0].environments = ['moon'];
      },
      '/risk/factors/0/environments/0',
      /unknown environment/,
    ],
    [
      'a band of a route',
      (b) => {
        b.authority.routes[0].bands = ['extreme'];
      },
      '/authority/routes/0/bands/0',
      /unknown band/,
    ],
    [
      'a role of a route',
      (b) => {
        b.authority.routes[1].require[0].roles = ['L9'];
      },
      '/authority/routes/1/require/0/roles/0',
      /unknown role "L9"/,
    ],
    [
      'an exception role',
      (b) => {
        b.gates[1].exception_role = 'L9';
      },
      '/gates/1/exception_role',
      /unknown role/,
    ],
    [
      'a name of every object',
      (b) => {
        b.gates[0].classes = ['constructor'];
      },
      '/gates/0/classes/0',
      /unknown class/,
    ],
    [
      'a class of a scope',
      (b) => {
        b.principals['service:cron'].scope.classes = ['x'];
      },
      '/principals/service:cron/scope/classes/0',
      /unknown class/,
    ],
    [
      'a target of a scope',
      (b) => {
        b.principals['service:cron'].scope.targets = ['pump-1'];
      },
      '/principals/service:cron/scope/targets/0',
      /target "pump-1"/,
    ],
    [
      'two gates of one id',
      (b) => {
        b.gates[1].id = 'short-grace';
      },
      '/gates/1/id',
      /a second time/,
    ],
    [
      'two factors of one id',
      (b) => {
        b.risk.factors[1].id = 'production';
      },
      '/risk/factors/1/id',
      /a second time/,
    ],
    [
      'two routes of one id',
      (b) => {
        b.authority.routes[1].id = 'low';
      },
      '/authority/routes/1/id',
      /a second time/,
    ],
    [
      'two groups of one name',
      (b) => {
        b.authority.routes[2].require[1].group = 'peer';
      },
      '/authority/routes/2/require/1/group',
      /a second time/,
    ],
    [
      'bands that fall',
      (b) => {
        b.risk.bands[1].below = 0.3;
      },
      '/risk/bands/1/below',
      /0.3 after 0.35/,
    ],
    [
      'bands that end early',
      (b) => {
        b.risk.bands[2].below = 1;
      },
      '/risk/bands/2/below',
      /^1$/,
    ],
    [
      'freshness that falls',
      (b) => {
        b.metadata.freshness.warn_after = '9d';
      },
      '/metadata/freshness',
      /9d, 2d, 3d/,
    ],
    [
      'an exception without a role',
      (b) => {
        delete b.gates[1].exception_role;
      },
      '/gates/1',
      /without exception_role/,
    ],
    [
      'a role without an exception',
      (b) => {
        b.gates[0].exception_role = 'L4';
      },
      '/gates/0/exception_role',
      /fails outright/,
    ],
    [
      'a permit for years',
      (b) => {
        b.actions.read.permit_ttl = '900d';
      },
      '/actions/read/permit_ttl',
      /900d/,
    ],
    [
      'a tool that runs for a week',
      (b) => {
        b.tools.read.timeout = '7d';
      },
      '/tools/read/timeout',
      /7d/,
    ],
  ];
  it.each(cases)('find %s', (_, change, pointer, found) => {
    expect(defectsOf(change)).toEqual([{ pointer, found: expect.stringMatching(found) }]);
  });
});

it('two bands of one name are found', () => {
  const defects = defectsOf((bundle) => {
    bundle.risk.bands[0].band = 'medium';
    bundle.authority.routes = [];
  });
  expect(defects).toEqual([{ pointer: '/risk/bands/1/band', found: 'the band "medium" a second time' }]);
});

describe('payload fields', () => {
  const field =
    (rule: Json): Change =>
    (bundle) => {
      bundle.actions.restart_service.payload.extra = rule;
    };
  const at = '/actions/restart_service/payload/extra';
  it.each([
    ['a pattern on a number', field({ type: 'integer', pattern: 'a' }), `${at}/pattern`],
    ['a minimum on text', field({ type: 'string', minimum: 1 }), `${at}/minimum`],
    ['max_items on text', field({ type: 'string', max_items: 1 }), `${at}/max_items`],
    ['an empty range', field({ type: 'integer', minimum: 2, maximum: 1 }), `${at}/minimum`],
    ['a pattern that is none', field({ type: 'string', pattern: '[' }), `${at}/pattern`],
    ['a look-ahead, which RE2 does not have', field({ type: 'string', pattern: '(?=a)b' }), `${at}/pattern`],
    [
      'a pattern that explodes',
      field({ type: 'string', pattern: '(a{1,30}){1,30}', max_length: 16_000 }),
      `${at}/pattern`,
    ],
  ])('refuse %s', (_, change, pointer) => {
    expect(defectsOf(change).map((defect) => defect.pointer)).toEqual([pointer]);
  });

  it('refuse a target pattern and a secret pattern that do not compile', () => {
    expect(
      defectsOf((b) => {
        b.actions.read.target.id_pattern = '(';
      })[0]?.pointer,
    ).toBe('/actions/read/target/id_pattern');
    expect(
      defectsOf((b) => {
        b.secrets.patterns[0].pattern = 'x?';
      })[0]?.pointer,
    ).toBe('/secrets/patterns/0/pattern');
  });
});

describe('templates', () => {
  const argv =
    (...elements: string[]): Change =>
    (bundle) => {
      bundle.tools.restart.argv = elements;
    };
  const cases: [string, Change, string, RegExp][] = [
    ['a relative program', argv('systemctl'), '/tools/restart/argv/0', /the program "systemctl"/],
    ['a program from the request', argv('{{target.id}}'), '/tools/restart/argv/0', /the program/],
    [
      'a program from the request, in part',
      argv('/opt/{{target.id}}'),
      '/tools/restart/argv/0',
      /the program/,
    ],
    ['a way up in the program', argv('/usr/../bin/x'), '/tools/restart/argv/0', /the program/],
    ['a shell', argv('/bin/sh', '-c', 'reboot'), '/tools/restart/argv/0', /the shell/],
    [
      'a placeholder that nobody knows',
      argv('/bin/x', '{{env.HOME}}'),
      '/tools/restart/argv/1',
      /placeholder/,
    ],
    [
      'a field that the class does not have',
      argv('/bin/x', '{{payload.nope}}'),
      '/tools/restart/argv/1',
      /does not have/,
    ],
    [
      'an optional field inside of an element',
      argv('/bin/x', 'a{{payload.mode}}'),
      '/tools/restart/argv/1',
      /optional/,
    ],
    [
      'a list inside of an element',
      argv('/bin/x', '--u={{payload.units}}'),
      '/tools/restart/argv/1',
      /a list/,
    ],
    [
      'a sensitive field in argv',
      (b) => {
        b.tools.join.argv.push('{{payload.psk}}');
      },
      '/tools/join/argv/2',
      /sensitive/,
    ],
    [
      'a sensitive field that goes nowhere',
      (b) => {
        b.tools.join.stdin = ['ssid'];
      },
      '/actions/join_network/payload/psk',
      /never handed/,
    ],
    [
      'a field on stdin that the class does not have',
      (b) => {
        b.tools.join.stdin.push('nope');
      },
      '/tools/join/stdin/2',
      /does not have/,
    ],
    [
      'an optional field in a path',
      (b) => {
        b.tools.restart = { connector: 'http', address: 'unix:/a', method: 'GET', path: '/{{payload.mode}}' };
      },
      '/tools/restart/path',
      /optional/,
    ],
  ];
  it.each(cases)('refuse %s', (_, change, pointer, found) => {
    expect(defectsOf(change)).toEqual([{ pointer, found: expect.stringMatching(found) }]);
  });
});

describe('principals', () => {
  const withKey =
    (line: string, other?: string): Change =>
    (bundle) => {
      bundle.principals.alice.keys = [{ public_key: line }];
      if (other !== undefined) bundle.principals['agent:ops-1'].keys = [{ public_key: other }];
    };
  it('take an Ed25519 key, in a file or in a security key', () => {
    expect(defectsOf(withKey(KEY))).toEqual([]);
    expect(defectsOf(withKey(new Ed25519SecurityKey().line))).toEqual([]);
    expect(defectsOf(withKey(new EcdsaSecurityKey().line))).toEqual([]);
  });
  it.each([
    ['no key line', withKey('hello'), '/principals/alice/keys/0/public_key'],
    ['options before the key', withKey(`no-pty ${KEY}`), '/principals/alice/keys/0/public_key'],
    [
      'an RSA key',
      withKey('ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQE='),
      '/principals/alice/keys/0/public_key',
    ],
    ['a key of small order', withKey(keyLine(new Uint8Array(32))), '/principals/alice/keys/0/public_key'],
    [
      'the neutral element',
      withKey(keyLine(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 1 : 0)))),
      '/principals/alice/keys/0/public_key',
    ],
    [
      'an encoding that is not canonical',
      withKey(keyLine(Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? 0xee : i === 31 ? 0x7f : 0xff)))),
      '/principals/alice/keys/0/public_key',
    ],
    [
      'a security key of small order',
      withKey(securityKeyLine(new Uint8Array(32))),
      '/principals/alice/keys/0/public_key',
    ],
    ['one key of two people', withKey(KEY, `${KEY} comment`), '/principals/alice/keys/0/public_key'],
    [
      'one uid of two',
      (b: Parameters<Change>[0]) => {
        b.principals.alice.uid = 7;
        b.principals['agent:old'].uid = 7;
      },
      '/principals/alice/uid',
    ],
    [
      'one SPIFFE id of two',
      (b: Parameters<Change>[0]) => {
        b.principals.alice.spiffe_id = 'spiffe://a/b';
        b.principals['agent:old'].spiffe_id = 'spiffe://a/b';
      },
      '/principals/alice/spiffe_id',
    ],
    [
      'an enrolment until a day that never comes',
      (b: Parameters<Change>[0]) => {
        b.principals.alice.expires_at = '2027-02-30T00:00:00Z';
      },
      '/principals/alice/expires_at',
    ],
    [
      'a date of issue that is none',
      (b: Parameters<Change>[0]) => {
        b.metadata.issued_at = '2026-99-99T99:99:99Z';
      },
      '/metadata/issued_at',
    ],
    [
      'its own owner',
      (b: Parameters<Change>[0]) => {
        b.principals.alice.owner = 'alice';
      },
      '/principals/alice/owner',
    ],
  ])('refuse %s', (_, change, pointer) => {
    expect(defectsOf(change).map((defect) => defect.pointer)).toEqual([pointer]);
  });
});

describe('conditions', () => {
  it.each([
    'environment in ["production", "staging"]',
    'actor.kind == "agent" && "agent" in actor.roles',
    'has(payload.units) && payload.units.all(u, u.size() < 5)',
    'has(payload.load) && payload.load * 2.0 < 1.5',
    'payload["note"] != "" && payload.note.contains("x")',
    '!("mission" in labels) || labels.mission == "a"',
    'time.hour >= 6 && time.weekday != 0 && time.trust == "trusted"',
    'context.request_source == "cli" && !context.environment_assumed',
    'action.target.id.matches("^relay-[0-9]+$")',
    'has(payload.force) ? payload.force : true',
    '["a", "b"].exists(x, x == action.intent)',
  ])('may be %s', (source) => {
    expect(defectsOf(condition(source))).toEqual([]);
  });

  const refused: [string, RegExp][] = [
    ['environment ==', /CEL does not read it/],
    ['"yes"', /of type string/],
    ['payload.grace_seconds', /grace_seconds, which is optional/],
    ['has(payload.grace_seconds) && payload.grace_seconds == "5"', /type-check/],
    ['enviroment == "production"', /type-check.*enviroment/],
    ['actor.name == "x"', /type-check.*name/],
    ['payload.grace <= 5', /payload.grace, which the class does not have/],
    ['has(payload.grace)', /payload.grace, which the class does not have/],
    ['payload.mode == "hard"', /payload.mode, which is optional/],
    ['"mode" in payload && payload.mode == "hard"', /type-check/],
    ['labels.mission == "a"', /labels.mission, which is never certain/],
    ['has(labels.tenant)', /undeclared label/],
    ['payload == payload', /through its members/],
    ['labels.size() > 1', /through its members/],
    ['action.intent.lowerAscii() == "x"', /no function "lowerAscii"/],
    ['dyn(environment) == 1', /no function "dyn"/],
    ['type(environment) == string', /no function "type"/],
    ['environment.matches(action.intent)', /pattern as a text literal/],
    ['environment.matches("(?=a)")', /RE2/],
    ['environment.matches("(a{1,30}){1,30}")', /steps/],
    ['{"a": 1}.size() == 1', /Maps and messages/],
    [
      'has(payload.units) && payload.units.all(a, payload.units.all(b, payload.units.all(c, true)))',
      /at most 2 deep/,
    ],
    ['has(payload.units) && payload.units.map(a, a).all(b, true)', /Loops run over a member/],
    ['["x"].all(payload, true)', /hides the variable/],
    [Array.from({ length: 400 }, () => 'true').join(' && '), /more than 400 parts/],
    [`[${Array.from({ length: 101 }, () => '1').join(',')}].size() > 1`, /at most 100 items/],
    [`${'('.repeat(200)}true${')'.repeat(200)}`, /nest at most 24 deep/],
  ];
  it.each(refused)('may not be %.60s', (source, found) => {
    const defects = defectsOf(condition(source));
    expect(defects).toEqual([{ pointer: '/gates/0/condition', found: expect.stringMatching(found) }]);
  });

  it('may not read a sensitive field', () => {
    const change: Change = (bundle) => {
      bundle.gates[0].classes = ['join_network'];
      bundle.gates[0].condition = 'payload.psk != ""';
    };
    expect(defectsOf(change)[0]?.found).toMatch(/payload.psk, which is sensitive/);
  });

  it('are checked against each class that they apply to', () => {
    const change: Change = (bundle) => {
      delete bundle.gates[0].classes;
    };
    expect(defectsOf(change)[0]?.found).toMatch(/\(for join_network\)/);
    const types: Change = (bundle) => {
      bundle.actions.read.payload = { note: { type: 'integer', required: true } };
      bundle.gates.push({
        id: 'g',
        classes: ['restart_service', 'read'],
        condition: 'payload.note == "x"',
        otherwise: 'fail',
        reason: 'r',
      });
    };
    expect(defectsOf(types)[0]?.found).toMatch(/\(for read\)/);
  });

  it('are all reported, with everything else that is wrong', () => {
    const pointers = defectsOf((bundle) => {
      bundle.gates[0].condition = 'nope';
      bundle.risk.factors[1].condition = '1';
      bundle.actions.read.tool = 'nothing';
      bundle.tools.join.argv[0] = 'join';
    }).map(({ pointer }) => pointer);
    expect(pointers.sort()).toEqual([
      '/actions/read/tool',
      '/gates/0/condition',
      '/risk/factors/1/condition',
      '/tools/join/argv/0',
    ]);
  });
});

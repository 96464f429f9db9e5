import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { idOfRefused, readFrame } from '../../../daemon/api/frame.ts';
import { parseManifest } from '../../../daemon/backup/manifest.ts';
import { signedOf } from '../../../daemon/commands/carried.ts';
import { parseBundle } from '../../../daemon/core/bundle.ts';
import { compileBundle } from '../../../daemon/core/compile.ts';
import { parseCondition } from '../../../daemon/core/condition.ts';
import { parseCursor, parseSearch } from '../../../daemon/core/search-request.ts';
import { parseTemplate } from '../../../daemon/core/template.ts';
import { type BreakglassPlace, formatScope, parseScope } from '../../../daemon/formats/breakglass-scope.ts';
import { assertCanonical, canonicalBytes } from '../../../daemon/formats/canonical-json.ts';
import { decodeEntry, encodeEntry } from '../../../daemon/formats/entry.ts';
import {
  type EvidenceIndex,
  formatIndex,
  formatSums,
  parseIndex,
  parseSums,
} from '../../../daemon/formats/evidence.ts';
import {
  codeOf,
  commitCode,
  formatGrant,
  formatSealedGrant,
  normalCode,
  parseGrant,
  parseSealedGrant,
} from '../../../daemon/formats/grant.ts';
import type { Json, JsonObject } from '../../../daemon/formats/json.ts';
import { permitOf } from '../../../daemon/formats/permit.ts';
import { parseSeen } from '../../../daemon/formats/seen-checkpoint.ts';
import { formatAct, parseAct, type SignedAct } from '../../../daemon/formats/signed-act.ts';
import { formatSiteTarget, parseSiteTarget } from '../../../daemon/formats/site-target.ts';
import { parseSpiffeId } from '../../../daemon/formats/spiffe.ts';
import { parseStrict } from '../../../daemon/formats/strict-json.ts';
import { parseConfig } from '../../../daemon/host/config.ts';
import { readYaml } from '../../../daemon/policy/yaml-value.ts';
import { recordedEntry } from '../../core/recorded.ts';
import { compileSample, sampleBundle } from '../../core/sample.ts';
import { bytes, refusedAs, type Target, text } from '../target.ts';

/* Documents: JSON in all its uses, and YAML. */

const ID = '01980000-0000-7000-8000-000000000001';
const DIGEST = 'ab'.repeat(32);
const POLICY = join(import.meta.dirname, '../../../policies/field-site');
const CONFIG = JSON.stringify({
  version: 1,
  site: 'outpost-7.example',
  profile: 'dev',
  sockets: { mode: '0660' },
  gateway: { audience: 'gateway', path: '/usr/bin:/bin' },
  limits: { body_bytes: 65_536 },
  log: { level: 'info' },
});
const SITE_TARGET = JSON.stringify({
  schema: 'holdfast/site/v1',
  site: 'outpost-7.example',
  serial: 4,
  issued_at: '2026-11-01T00:00:00Z',
  environments: { production: { name: 'base', version: 1, digest: DIGEST, path: 'bundles/base/1.json' } },
});
const MANIFEST = {
  format: 'holdfast/backup/v1',
  version: '0.1.0',
  site: 'outpost-7.example',
  profile: 'dev',
  made_at: '2026-11-21T08:00:00.000Z',
  ledger: { origin: 'outpost-7.example/ledger', size: 3, root: DIGEST },
  keys: false,
};
const LIMITS = { maxBytes: 65_536, maxDepth: 16 };
const PLACE: BreakglassPlace = {
  actor: null,
  class: 'restart_service',
  environment: 'production',
  target: { type: 'service', id: 'relay' },
  ttl_seconds: 900,
};
const ACT: SignedAct = {
  type: 'holdfast/act/v1',
  kind: 'approval',
  site: 'outpost-7.example',
  subject: `dec_${ID}`,
  subject_digest: { action: DIGEST, policy: DIGEST },
  answer: 'approve',
  role: 'l3',
  reason: 'looked at it',
  issued_at: '2026-11-21T08:00:00.000Z',
  ttl_seconds: 3600,
  nonce: 'abcdefghijklmnop',
  seen_checkpoint: null,
};
const INDEX: EvidenceIndex = {
  v: 1,
  type: 'holdfast/evidence/v1',
  site: 'outpost-7.example',
  origin: 'outpost-7.example/ledger',
  decision: `dec_${ID}`,
  tree_size: 12,
  entries: [{ index: 3, role: 'decision', type: 'decision.denied', stream: `dec_${ID}` }],
  policy: { update_id: DIGEST, digest: DIGEST, file: 'policy/targets/a.json' },
  fields: { disclosed: ['note'], withheld: ['psk'], shredded: [] },
  omitted: 0,
  unsearched: 0,
  export: { record: 11, at: '2026-11-21T08:00:00.000Z', by: 'alice', reason: 'audit' },
};
const BODY: JsonObject = {
  action: {
    class: 'restart_service',
    intent: 'unstick it',
    target: { type: 'service', id: 'relay' },
    payload: { grace_seconds: 5, note: 'a note' },
  },
  context: {
    actor: { id: 'agent:ops-1', role: 'agent' },
    environment: 'production',
    request_source: 'test',
  },
};

const strict = text<Json>('strict-json', {
  covers: ['parseStrict'],
  seeds: [
    '{"a":[1,2.5,"x",true,null],"b":{"c":"\\u0061"}}',
    '[{"a":"\\ud83d\\ude00"}]',
    '-0',
    '"x"',
    '[1e-400]',
  ],
  read(input) {
    const value = parseStrict(input, LIMITS);
    if (!isDeepStrictEqual(value, JSON.parse(input))) throw new Error('another value than JSON.parse gives');
    return value;
  },
});

const canonical = bytes<Json>('canonical-json', {
  covers: ['assertCanonical'],
  seeds: [canonicalBytes({ b: [1, -1.5e-7, 'é'], a: { z: null } }), canonicalBytes(BODY)],
  read(input) {
    const value = assertCanonical(input);
    if (!Buffer.from(canonicalBytes(value)).equals(input)) throw new Error('two forms of one value');
    return value;
  },
  write: canonicalBytes,
});

/** The bundle as sites get it, and the one of the starter policy's tests. */
const bundle = bytes('bundle', {
  covers: ['parseBundle', 'compileBundle'],
  seeds: [canonicalBytes(sampleBundle() as unknown as JsonObject)],
  read(input) {
    const read = parseBundle(input);
    compileBundle(read.bundle, read.digest);
    return read;
  },
  words: ['(a+)+$', '{{site}}', 'payload.note.matches("(x+x+)+y")', '365d', 'true || false', 'a.b.c', '=='],
});

/** What a site writes of any request, and what may stand in an entry's data. */
function entryTargets(): Target[] {
  const compiled = compileSample();
  const recorded = [
    recordedEntry(BODY, compiled),
    recordedEntry({ ...BODY, action: { class: 'no_such' } } as never, compiled),
  ];
  const seeds = recorded.map((entry) => encodeEntry(entry));
  return [
    bytes('entry', {
      covers: ['decodeEntry', 'permitOf', 'parseSeen'],
      seeds,
      read(input) {
        const entry = decodeEntry(input);
        permitOf(entry);
        parseSeen(entry.data);
        return entry;
      },
      write: (entry) => encodeEntry(entry),
    }),
    text('request', {
      covers: ['normalizeRequest'],
      seeds: [JSON.stringify(BODY), JSON.stringify({ action: {}, context: {} })],
      read: (input) => recordedEntry(objectIn(input), compiled),
      words: ['$commitment', '$credential', 'credential:holdfast', 'dec_', 'service', '\\u0000'],
    }),
  ];
}

function objectIn(input: string): JsonObject {
  const value = parseStrict(input, LIMITS);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? value
    : refusedAs('no.object');
}

const signed: Target[] = [
  text('signed-act', {
    covers: ['parseAct'],
    seeds: [formatAct(ACT), formatAct({ ...ACT, kind: 'grant', seen_checkpoint: 'x/ledger\n1\nAAAA\n' })],
    read: parseAct,
    write: formatAct,
  }),
  text('carried-act', {
    covers: ['signedOf'],
    seeds: [JSON.stringify({ act: formatAct(ACT), signature: '-----BEGIN SSH SIGNATURE-----\n' })],
    read: signedOf,
    write: (value) => JSON.stringify(value),
  }),
  text('breakglass-scope', {
    covers: ['parseScope', 'readCanonical'],
    seeds: [formatScope(PLACE, { hazard: 'the line is under water' })],
    read: parseScope,
    write: ({ type: _, reason, ...place }) => formatScope(place, reason),
  }),
  text('grant', {
    covers: ['parseGrant'],
    seeds: [
      formatGrant({
        ...PLACE,
        id: `grant_${ID}`,
        site: 'outpost-7.example',
        log: 'outpost-7.example/ledger',
        commitment: commitCode(`grant_${ID}`, codeOf(new Uint8Array(20))),
        expires_at: '2027-01-01T00:00:00.000Z',
      }),
    ],
    read: parseGrant,
    write: ({ type: _, ...grant }) => formatGrant(grant),
  }),
  bytes('sealed-grant', {
    covers: ['parseSealedGrant'],
    seeds: [Buffer.from(formatSealedGrant({ grant: '{}', act: '{}', signature: 'x', code: null }))],
    read: parseSealedGrant,
    write: formatSealedGrant,
  }),
  text('grant-code', {
    covers: ['normalCode'],
    seeds: [codeOf(new Uint8Array(20).fill(77))],
    read: normalCode,
    write: (code) => code,
  }),
];

const small: Target[] = [
  text('condition', {
    covers: ['parseCondition'],
    seeds: ['payload.grace_seconds > 5 && target.id.startsWith("a")', 'labels.exists(l, l == "mission")'],
    read: parseCondition,
    words: [
      '.all(x, ',
      '.matches("',
      '(a+)+$',
      ' ? ',
      ' in ',
      'size(',
      '!!',
      '((((((((',
      '{1:2}',
      'duration("1h")',
    ],
  }),
  text('template', {
    covers: ['parseTemplate'],
    seeds: ['--unit={{target.id}}', '{{payload.note}} and {{payload.units}}'],
    read: parseTemplate,
    words: ['{{', '}}', '{{{', 'payload.'],
  }),
  text('spiffe-id', {
    covers: ['parseSpiffeId'],
    seeds: ['spiffe://outpost-7.example/gateway/east'],
    read: parseSpiffeId,
  }),
  text('search', {
    covers: ['parseSearch', 'parseCursor'],
    seeds: ['{"q":"pump restart","since":"2026-11-21T08:00:00Z","type":"x"}', '"n12"'],
    read(input) {
      const value = parseStrict(input, LIMITS);
      if (typeof value === 'string') return parseCursor(value, true);
      const parameters = objectIn(input);
      if (Object.values(parameters).some((one) => typeof one !== 'string')) refusedAs('no.text');
      return parseSearch(parameters as Record<string, string>);
    },
  }),
  text('frame', {
    covers: ['readFrame', 'idOfRefused'],
    seeds: [
      '{"id":1,"method":"decisions.get","params":{"id":"dec_1"}}',
      '{"id":"a","method":"events.subscribe"}',
    ],
    read(input) {
      idOfRefused(input);
      const frame = readFrame(input, LIMITS);
      if (frame.paramsText !== null) parseStrict(frame.paramsText, LIMITS);
      return frame;
    },
  }),
  text('config', {
    covers: ['parseConfig'],
    seeds: [CONFIG, '{"version":1,"site":"a.example","profile":"node"}'],
    read: (input) => parseConfig(input, 'holdfast.json'),
  }),
  text('yaml', {
    covers: ['readYaml'],
    seeds: ['gates', 'actions', 'authority', 'breakglass'].map((name) =>
      readFileSync(join(POLICY, `${name}.yaml`), 'utf8'),
    ),
    read(input) {
      const { value, defects } = readYaml(input);
      return defects.length === 0 ? value : refusedAs(`yaml ${defects[0]?.found.slice(0, 30)}`);
    },
    words: [
      '&a ',
      '*a',
      '<<: *a',
      '!!js/function ',
      '? ',
      '|\n',
      '>-\n',
      '%YAML 1.1\n',
      '---\n',
      '...\n',
      '- - - - ',
    ],
  }),
  bytes('site-target', {
    covers: ['parseSiteTarget'],
    seeds: [Buffer.from(SITE_TARGET)],
    read: parseSiteTarget,
    write: formatSiteTarget,
  }),
  bytes('evidence-index', {
    covers: ['parseIndex'],
    seeds: [formatIndex(INDEX)],
    read: parseIndex,
    write: formatIndex,
  }),
  bytes('evidence-sums', {
    covers: ['parseSums'],
    seeds: [
      formatSums(
        new Map([
          ['README.txt', Buffer.from('a')],
          ['entries/000000000001.json', Buffer.from('b')],
        ]),
      ),
    ],
    read: parseSums,
  }),
  bytes('backup-manifest', {
    covers: ['parseManifest'],
    seeds: [Buffer.from(JSON.stringify(MANIFEST))],
    read: parseManifest,
    write: (value) => JSON.stringify(value),
  }),
];

export async function targets(): Promise<Target[]> {
  return [strict, canonical, bundle, ...entryTargets(), ...signed, ...small];
}

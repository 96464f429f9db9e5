import {
  anchorHead,
  anchorName,
  continues,
  formatAnchor,
  parseAnchor,
  parseAnchorName,
} from '../../../daemon/formats/anchor.ts';
import {
  formatRequest,
  isRequest,
  parseRequest,
  verifyRequest,
} from '../../../daemon/formats/approval-request.ts';
import { BoundaryError } from '../../../daemon/formats/boundary-error.ts';
import {
  formatCheckpoint,
  openCheckpoint,
  parseCheckpoint,
  parseDecimal,
} from '../../../daemon/formats/checkpoint.ts';
import {
  appendAnswer,
  cosign,
  mergeNotes,
  notedHead,
  openCosigned,
  witnessSigner,
} from '../../../daemon/formats/cosignature.ts';
import { toBase64 } from '../../../daemon/formats/digest.ts';
import { formatDisclosure, parseDisclosure, verifyDisclosure } from '../../../daemon/formats/disclosure.ts';
import { openEnrolment } from '../../../daemon/formats/enrolment.ts';
import { decodeEntry, encodeEntry } from '../../../daemon/formats/entry.ts';
import type { JsonObject } from '../../../daemon/formats/json.ts';
import { followRotations, openRotation, signRotation } from '../../../daemon/formats/key-rotation.ts';
import { firstLineage, parseLogs, parseLogVkey, rotated } from '../../../daemon/formats/log-keys.ts';
import { verifyConsistency, verifyInclusion } from '../../../daemon/formats/merkle.ts';
import { verifyPermit } from '../../../daemon/formats/permit.ts';
import { openNote, parseNote, parseVkey } from '../../../daemon/formats/signed-note.ts';
import { parseStrict } from '../../../daemon/formats/strict-json.ts';
import { decodeEntryBundle, encodeEntryBundle, parseTilePath } from '../../../daemon/formats/tile.ts';
import { meetsQuorum, openTrustedCheckpoint, parsePolicy } from '../../../daemon/formats/tlog-policy.ts';
import { formatProof, parseProof, verifyProof } from '../../../daemon/formats/tlog-proof.ts';
import { recordedEntry } from '../../core/recorded.ts';
import { compileSample } from '../../core/sample.ts';
import { FakeLog } from '../../fake-log.ts';
import { FakeLog as EntryLog } from '../../gateway/fake-engine.ts';
import { bytes, refusedAs, type Target, text } from '../target.ts';

/* Everything of transparency logs: notes, checkpoints, proofs, anchors, cosignatures, tiles. */

const log = new FakeLog().grow(21);
const other = new FakeLog('north.example/ledger', 3).grow(5);
const successor = new FakeLog(log.origin, 9);
const witness = witnessSigner(new FakeLog('witness.example', 5).signer);
const trust = { origin: log.origin, vkeys: [log.signer.vkey] };
const witnesses = [parseVkey(witness.vkey)];
const cosigned = cosign(log.checkpoint(), witness, 1_795_248_000);
const POLICY = `log ${log.signer.vkey} https://log.example/\nwitness w1 ${witness.vkey}\ngroup g 1 w1\nquorum g\n`;
const WORDS = [
  'old 0\n',
  '\u2014 ',
  'extra ',
  'index 0\n',
  'c2sp.org/tlog-proof@v1\n',
  'cosignature/v1\n',
  'quorum none\n',
];

const entryLog = new EntryLog();
const granted = recordedEntry(
  {
    action: {
      class: 'read',
      intent: 'look',
      target: { type: 'sensor', id: 'temperature-1' },
      payload: {},
    },
    context: {
      actor: { id: 'agent:ops-1', role: 'agent' },
      environment: 'production',
      request_source: 'test',
    },
  },
  compileSample(),
);
entryLog.append('system.started', 'system', {});
entryLog.append(granted.type, granted.stream, granted.data, { at: granted.at });
entryLog.append('system.heartbeat', 'system', {});
const proof = entryLog.proof(1);
const entryTrust = { vkeys: [entryLog.vkey] };

const notes: Target[] = [
  text('vkey', {
    covers: ['parseVkey', 'parseLogVkey'],
    seeds: [log.signer.vkey, witness.vkey],
    read: (input) => [parseVkey(input), parseLogVkey(input)],
  }),
  bytes('signed-note', {
    covers: ['parseNote', 'openNote'],
    seeds: [Buffer.from(log.checkpoint()), Buffer.from(cosigned)],
    read(input) {
      parseNote(input);
      return openNote(input, [log.signer.vkey, witness.vkey]);
    },
    words: WORDS,
  }),
  text('checkpoint', {
    covers: ['parseCheckpoint', 'parseDecimal'],
    seeds: [formatCheckpoint({ origin: log.origin, size: 21, root: log.root() })],
    read(input) {
      parseDecimal(input.split('\n')[1] ?? '');
      return parseCheckpoint(input);
    },
    write: formatCheckpoint,
  }),
  bytes('signed-checkpoint', {
    covers: ['openCheckpoint', 'notedHead'],
    seeds: [Buffer.from(log.checkpoint()), Buffer.from(other.checkpoint())],
    read(input) {
      notedHead(input);
      return openCheckpoint(input, trust);
    },
    words: WORDS,
  }),
  bytes('cosigned-checkpoint', {
    covers: ['openCosigned'],
    seeds: [Buffer.from(cosigned), Buffer.from(log.checkpoint())],
    read: (input) => openCosigned(input, { log: trust, witnesses }),
    words: WORDS,
  }),
  text('witness-answer', {
    covers: ['appendAnswer', 'mergeNotes'],
    seeds: [cosigned.slice(log.checkpoint().length)],
    read: (input) => mergeNotes([log.checkpoint(), appendAnswer(log.checkpoint(), input)]),
    words: WORDS,
  }),
  text('key-rotation', {
    covers: ['openRotation', 'followRotations'],
    seeds: [signRotation({ origin: log.origin, size: 30 }, log.signer, successor.signer)],
    read(input) {
      followRotations(firstLineage(log.origin, log.signer.vkey), [input]);
      return openRotation(input);
    },
  }),
];

const proofs: Target[] = [
  text('tlog-proof', {
    covers: ['parseProof'],
    seeds: [proof],
    read: parseProof,
    write: formatProof,
    words: WORDS,
  }),
  text('proof-in-log', {
    covers: ['verifyProof'],
    seeds: [proof],
    read: (input) => verifyProof(input, entryTrust),
    words: WORDS,
  }),
  text('permit', {
    covers: ['verifyPermit'],
    seeds: [proof],
    read: (input) => verifyPermit(input, entryTrust),
    words: WORDS,
  }),
  bytes('permit-entry', {
    covers: ['verifyPermit'],
    // A site that lies signs whatever it likes: the entry is the input, the log is right.
    seeds: [encodeEntry(granted)],
    read(input) {
      const lying = new EntryLog();
      lying.leaves.push(input);
      return verifyPermit(lying.proof(0), entryTrust);
    },
  }),
  bytes('anchor', {
    covers: ['parseAnchor', 'anchorHead', 'continues', 'parseAnchorName'],
    seeds: [log.anchorText(8), log.anchorText(0), log.anchorText(21)].map((one) => Buffer.from(one)),
    read(input) {
      const anchor = parseAnchor(input);
      const { size } = anchorHead(anchor);
      continues(anchor, log.root(Math.min(anchor.old, 21)));
      parseAnchorName(anchorName({ old: anchor.old, size }));
      return anchor;
    },
    write: formatAnchor,
    words: WORDS,
  }),
  text('merkle-proof', {
    covers: ['verifyInclusion', 'verifyConsistency'],
    seeds: [
      JSON.stringify({ a: 8, b: 21, hashes: log.anchor(8).proof.map(toBase64) }),
      '{"a":0,"b":1,"hashes":[]}',
    ],
    read(input) {
      const value: unknown = parseStrict(input, { maxBytes: 65_536, maxDepth: 3 });
      const { a, b, hashes } = (value ?? {}) as Record<string, unknown>;
      if (!Array.isArray(hashes) || typeof a !== 'number' || typeof b !== 'number')
        return refusedAs('no.proof');
      const path = hashes.map((one) => Uint8Array.from(Buffer.from(String(one), 'base64')));
      return [
        verifyInclusion(log.root(1), a, b, path, log.root()),
        verifyConsistency(a, b, path, log.root(8), log.root()),
      ];
    },
  }),
  text('disclosure', {
    covers: ['parseDisclosure', 'verifyDisclosure'],
    seeds: [
      formatDisclosure({
        decision_id: granted.stream,
        values: { psk: { salt: toBase64(new Uint8Array(32)), value: 'secret' } },
        proof,
      }),
    ],
    read(input) {
      const parsed = parseDisclosure(input);
      try {
        verifyDisclosure(input, entryTrust);
      } catch (error) {
        // None holds a true value: what counts is how that is said.
        if (!(error instanceof BoundaryError)) throw error;
      }
      return parsed;
    },
  }),
];

function approvalRequest(): Target {
  const leaves = entryLog.leaves;
  const head = parseProof(proof);
  const request = formatRequest({
    site: 'outpost-7.example',
    decision: granted.stream,
    checkpoint: head.checkpoint,
    entries: [
      { index: 1, entry: decodeEntry(leaves[1] ?? new Uint8Array()), proof: head.proof.map(toBase64) },
    ],
    signers: [{ principal: 'alice', roles: ['l3'], keys: ['SHA256:x'] }],
  });
  return bytes('approval-request', {
    covers: ['parseRequest', 'isRequest', 'verifyRequest'],
    seeds: [Buffer.from(request)],
    read(input) {
      isRequest(input);
      const parsed = parseRequest(input);
      verifyRequest(parsed, entryTrust);
      return parsed;
    },
    write: ({ type: _, ...rest }) => formatRequest(rest),
  });
}

/** A new site's first entry, as it may be; its log is right. */
function enrolment(): Target {
  const data = {
    site: 'outpost-7.example',
    profile: 'appliance',
    origin: entryLog.origin,
    vkey: entryLog.vkey,
    root_digest: 'ab'.repeat(32),
    provisioning: null,
  };
  return text('enrolment', {
    covers: ['openEnrolment'],
    seeds: [JSON.stringify(data)],
    read(input) {
      const fresh = new EntryLog();
      const given: unknown = parseStrict(input, { maxBytes: 30_000, maxDepth: 8 });
      // The data of an entry is an object: nothing else can be appended.
      const object = typeof given === 'object' && given !== null && !Array.isArray(given);
      fresh.append('system.initialized', 'system', object ? (given as JsonObject) : {});
      return openEnrolment(fresh.proof(0));
    },
  });
}

const rest: Target[] = [
  text('tlog-policy', {
    covers: ['parsePolicy', 'meetsQuorum', 'openTrustedCheckpoint'],
    seeds: [POLICY, `log ${log.signer.vkey}\nquorum none\n`, `# a comment\n\n${POLICY}`],
    read(input) {
      const policy = parsePolicy(input);
      meetsQuorum(policy, new Set([witness.vkey]));
      return policy;
    },
    words: [
      'group g2 all w1 g\n',
      'group a any a\n',
      'witness none x\n',
      'quorum g2\n',
      'log ',
      'constructor',
    ],
  }),
  text('checkpoint-by-policy', {
    covers: ['openTrustedCheckpoint'],
    seeds: [cosigned, log.checkpoint()],
    read: (input) => openTrustedCheckpoint(input, { policy: parsePolicy(POLICY) }),
    words: WORDS,
  }),
  text('log-keys', {
    covers: ['parseLogs'],
    seeds: [
      JSON.stringify([
        rotated(firstLineage(log.origin, log.signer.vkey), {
          vkey: successor.signer.vkey,
          size: 30,
          rotation: signRotation({ origin: log.origin, size: 30 }, log.signer, successor.signer),
        }),
      ]),
      JSON.stringify([firstLineage(log.origin, log.signer.vkey)]),
    ],
    read: (input) => parseLogs(parseStrict(input, { maxBytes: 1_048_576, maxDepth: 6 })),
    write: (logs) => JSON.stringify(logs),
  }),
  text('tile-path', {
    covers: ['parseTilePath'],
    seeds: ['tile/0/x001/x234/067.p/5', 'tile/entries/000', 'tile/3/001'],
    read: parseTilePath,
  }),
  bytes('entry-bundle', {
    covers: ['decodeEntryBundle'],
    seeds: [encodeEntryBundle([Buffer.from('a'), new Uint8Array(300), ...entryLog.leaves])],
    read: decodeEntryBundle,
    write: encodeEntryBundle,
  }),
];

export async function targets(): Promise<Target[]> {
  return [...notes, ...proofs, approvalRequest(), enrolment(), ...rest];
}

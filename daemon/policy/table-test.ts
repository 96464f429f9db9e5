import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { BundleDefects } from '../core/bundle-defects.ts';
import { structureDefects } from '../core/bundle-structure.ts';
import type { CompiledBundle } from '../core/compile.ts';
import { normalizeRequest } from '../core/normalize.ts';
import { redactPayload } from '../core/sensitive.ts';
import type { Verdict } from '../core/verdict.ts';
import { BoundaryError } from '../formats/boundary-error.ts';
import { SALT_BYTES } from '../formats/commitment.ts';
import type { Json, JsonObject } from '../formats/json.ts';
import { readBounded } from '../host/durable-file.ts';
import { readYaml } from './yaml-value.ts';

const closed = { additionalProperties: false } as const;
const FILE_MAX_BYTES = 1_048_576;
const FILES_MAX = 200;
/** A Wednesday noon: cases that do not speak of time do not depend on it. */
const DEFAULT_NOW = '2026-11-18T12:00:00Z';
const DECISION_ID = 'dec_00000000-0000-7000-8000-000000000000';

const object = (description: string) =>
  Type.Record(Type.String({ pattern: '^[\\s\\S]*$' }), Type.Unknown(), { description });

const Outcome = Type.Union([Type.Literal('pass'), Type.Literal('fail'), Type.Literal('requires_exception')]);
const Expectation = Type.Object(
  {
    result: Type.Union([
      Type.Literal('allow'),
      Type.Literal('deny'),
      Type.Literal('queue'),
      Type.Literal('escalate'),
    ]),
    /** Gates by id; others may say what they like. */
    gates: Type.Optional(Type.Record(Type.String({ pattern: '^[a-z][a-z0-9_.-]*$' }), Outcome, closed)),
    band: Type.Optional(Type.String()),
    /** Names of the groups whose approval is required, all of them, in any order. */
    required: Type.Optional(Type.Array(Type.String())),
    /** What the tool would be run with. */
    argv: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
const Case = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200 }),
    request: object('a request as POST /v1/decisions takes it, laid over the defaults'),
    facts: Type.Optional(
      Type.Object(
        {
          now: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' })),
          time_trust: Type.Optional(
            Type.Union([Type.Literal('trusted'), Type.Literal('floor'), Type.Literal('uncertain')]),
          ),
        },
        closed,
      ),
    ),
    expect: Expectation,
  },
  closed,
);
const TestFile = Type.Object(
  {
    defaults: Type.Optional(object('a request that every case starts from')),
    cases: Type.Array(Case, { minItems: 1, maxItems: 1_000 }),
  },
  closed,
);

type TestCase = Static<typeof Case>;

/** How one case went. `differences` is empty when the verdict was as expected. */
export interface CaseResult {
  file: string;
  line: number;
  name: string;
  result: Verdict['result'];
  band: string | null;
  reasons: string[];
  differences: string[];
}

/**
 * Runs a policy directory's own table tests (`tests/*.yaml`) against its bundle, file by file in name order. Throws
 * `BundleDefects` with file and line when a test file is not as it should be. No test file is no error: the list is empty.
 */
export function runTableTests(dir: string, bundle: CompiledBundle): CaseResult[] {
  return testFiles(dir).flatMap((file) => {
    const { defaults, cases, lines } = readTestFile(dir, file);
    return cases.map((testCase, index) => ({
      file,
      line: lines.get(`/cases/${index}`) ?? 1,
      name: testCase.name,
      ...runCase(bundle, defaults, testCase),
    }));
  });
}

function testFiles(dir: string): string[] {
  const tests = join(dir, 'tests');
  if (lstatSync(tests, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  const names = readdirSync(tests).filter((name) => /\.(?:ya?ml|json)$/i.test(name));
  // Cases that nobody runs would be believed to pass.
  const foreign = names.filter((name) => !name.endsWith('.yaml'));
  if (foreign.length > 0) {
    const write_instead = 'call it NAME.yaml, or move it elsewhere';
    throw new BundleDefects(
      foreign.map((name) => ({
        pointer: '',
        file: `tests/${name}`,
        found: 'a file that is not run',
        write_instead,
      })),
    );
  }
  if (names.length > FILES_MAX) {
    throw new BoundaryError('policy.too_many_tests', `${tests} holds more than ${FILES_MAX} test files.`, {
      at: tests,
    });
  }
  return names.sort().map((name) => `tests/${name}`);
}

function readTestFile(dir: string, file: string) {
  const text = Buffer.from(readBounded(join(dir, file), FILE_MAX_BYTES)).toString('utf8');
  const { value, lines, defects } = readYaml(text);
  if (defects.length > 0)
    throw new BundleDefects(defects.map((defect) => ({ pointer: '', file, ...defect })));
  if (!Compile(TestFile).Check(value)) {
    const wrong = structureDefects(TestFile, value).map((defect) => {
      const line = lineOf(lines, defect.pointer);
      return { ...defect, file, line };
    });
    throw new BundleDefects(wrong);
  }
  const { defaults, cases } = value as Static<typeof TestFile>;
  return { defaults: (defaults ?? {}) as JsonObject, cases, lines };
}

function lineOf(lines: ReadonlyMap<string, number>, pointer: string): number {
  for (let at = pointer; at !== ''; at = at.slice(0, at.lastIndexOf('/'))) {
    const line = lines.get(at);
    if (line !== undefined) return line;
  }
  return 1;
}

function runCase(
  bundle: CompiledBundle,
  defaults: JsonObject,
  { request: own, facts, expect }: TestCase,
): Omit<CaseResult, 'file' | 'line' | 'name'> {
  const request = normalizeRequest(overlay(defaults, own as JsonObject));
  const { class: name, payload } = request.action;
  const { actions } = bundle.bundle;
  const actionClass = name !== null && Object.hasOwn(actions, name) ? actions[name] : undefined;
  const redacted =
    actionClass === undefined
      ? payload
      : redactPayload(payload, actionClass, () => new Uint8Array(SALT_BYTES)).payload;
  const verdict = bundle.evaluate(request, {
    decision_id: DECISION_ID,
    now_ms: Date.parse(facts?.now ?? DEFAULT_NOW),
    time_trust: facts?.time_trust ?? 'trusted',
    redacted,
  });
  const { result, risk, reasons } = verdict;
  return { result, band: risk.band, reasons, differences: differences(verdict, expect) };
}

/** Lays `own` over `base`: objects member by member, everything else replaced; null takes a member away. */
function overlay(base: JsonObject, own: JsonObject): JsonObject {
  const merged: JsonObject = { ...base };
  for (const [key, value] of Object.entries(own)) {
    const under = merged[key];
    if (value === null) delete merged[key];
    else merged[key] = isObject(under) && isObject(value) ? overlay(under, value) : value;
  }
  return merged;
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function differences(verdict: Verdict, expect: TestCase['expect']): string[] {
  const found: string[] = [];
  const compare = (what: string, actual: string, expected: string) => {
    if (actual !== expected) found.push(`${what}: expected ${expected}, got ${actual}`);
  };
  compare('result', verdict.result, expect.result);
  if (expect.band !== undefined) compare('band', String(verdict.risk.band), expect.band);
  for (const [id, outcome] of Object.entries(expect.gates ?? {})) {
    // A built-in gate is listed only when it fails, and may fail for several fields.
    const gates = verdict.gates.filter((gate) => gate.id === id);
    const actual =
      gates.length === 0 ? 'not listed' : [...new Set(gates.map(({ result }) => result))].join('+');
    compare(`gate ${id}`, actual, outcome);
  }
  if (expect.required !== undefined) {
    const groups = verdict.authority.required.map(({ group }) => group);
    compare('required', listed(groups), listed(expect.required));
  }
  if (expect.argv !== undefined) {
    const argv = verdict.call?.connector === 'exec' ? verdict.call.argv : null;
    compare('argv', JSON.stringify(argv), JSON.stringify(expect.argv));
  }
  return found;
}

function listed(names: readonly string[]): string {
  return names.length === 0 ? 'nobody' : [...names].sort().join(', ');
}

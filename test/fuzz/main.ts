import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { sha256Hex } from '../../daemon/formats/digest.ts';
import { campaign } from './campaign.ts';
import { type Finding, tryInput } from './fuzzer.ts';
import { GROUPS, TARGET_NAMES, targetNamed } from './table.ts';

/*
 * `npm run fuzz -- [--seconds N] [--target NAME]… [--seed N]`: throws changed inputs at every reader of untrusted bytes,
 * for N seconds in all (or FUZZ_SECONDS; 60), and exits 1 with what was found. `--target NAME --input FILE` runs one input.
 */

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: process.env.FUZZ_SECONDS ?? '60' },
    seed: { type: 'string', default: process.env.FUZZ_SEED ?? String(Date.now() % 2 ** 31) },
    target: { type: 'string', multiple: true, default: [] },
    input: { type: 'string' },
    list: { type: 'boolean', default: false },
  },
});

if (values.list) for (const name of TARGET_NAMES) console.log(name);
else if (values.input !== undefined) await replay(values.target[0] ?? '', values.input);
else await run();

async function run(): Promise<void> {
  const seconds = Number(values.seconds);
  const seed = Number(values.seed);
  if (!(seconds > 0) || !Number.isSafeInteger(seed)) throw new Error('--seconds and --seed take numbers');
  console.log(`fuzzing for ${seconds} s, seed ${seed}`);
  const total = { runs: 0, targets: 0 };
  const findings = await campaign({
    seconds,
    seed,
    only: values.target,
    done(name, { runs, places }) {
      total.runs += runs;
      total.targets += 1;
      console.log(
        `${name.padEnd(28)} ${String(runs).padStart(9)} inputs ${String(places).padStart(5)} answers`,
      );
    },
    found: show,
  });
  console.log(
    `${total.targets} targets of ${Object.keys(GROUPS).length} groups, ${total.runs} inputs, ${findings.length} findings`,
  );
  process.exitCode = findings.length === 0 ? 0 : 1;
}

function show({ target, what, input }: Finding): void {
  const dir = process.env.FUZZ_OUT ?? join(tmpdir(), 'holdfast-fuzz');
  mkdirSync(dir, { recursive: true });
  const file = join(dir, `${target}-${sha256Hex(input).slice(0, 12)}`);
  writeFileSync(file, input);
  console.error(`FOUND ${target}: ${what}`);
  console.error(`  ${input.length} bytes: npm run fuzz -- --target ${target} --input ${file}`);
  if (input.length <= 600) console.error(`  base64: ${Buffer.from(input).toString('base64')}`);
}

async function replay(name: string, path: string): Promise<void> {
  const target = await targetNamed(name);
  const { bug, place } = await tryInput(target, readFileSync(path));
  console.log(bug === undefined ? `as it should be: ${place?.split('|')[0]}` : `FOUND ${bug}`);
  process.exitCode = bug === undefined ? 0 : 1;
}

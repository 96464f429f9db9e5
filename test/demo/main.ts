/*
 * The demonstration: a whole site in a temporary directory, real processes, real files, real signatures. Every step says
 * what must happen and fails the run when it does not; at the end nothing is left running and nothing left behind.
 */
import {
  changeNetwork,
  denials,
  installFirmware,
  leakedKey,
  makeSite,
  readTelemetry,
  restartService,
} from './actions.ts';
import { changedAction, flippedByte, replay } from './attacks.ts';
import { crashUnderLoad, gatewayKilled } from './crash.ts';
import { DemoFailure, must, Narrator } from './narrator.ts';
import { provePast } from './proofs.ts';
import { Stage } from './stage.ts';

/** Without the step under load: for an executable on an emulated processor. */
const SHORT = process.argv.includes('--short');

async function play(stage: Stage, tell: Narrator): Promise<void> {
  await makeSite(stage, tell);
  await readTelemetry(stage, tell);
  const restarted = await restartService(stage, tell);
  await installFirmware(stage, tell);
  await changeNetwork(stage, tell);
  await denials(stage, tell);
  await leakedKey(stage, tell);
  await replay(stage, tell, restarted);
  await changedAction(stage, tell);
  const promised = SHORT ? [] : await crashUnderLoad(stage, tell);
  await gatewayKilled(stage, tell);
  const entries = await provePast(stage, tell, promised);
  await flippedByte(stage, tell);
  tell.say();
  tell.say(
    `${tell.steps} steps, ${entries} ledger entries, ${promised.length} permits checked one by one: all as it should be.`,
  );
}

async function main(): Promise<number> {
  const started = performance.now();
  const tell = new Narrator();
  const stage = new Stage();
  let code = 1;
  const interrupted = new Promise<never>((_, fail) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => fail(new DemoFailure(`interrupted by ${signal}`)));
    }
  });
  try {
    await Promise.race([play(stage, tell), interrupted]);
    code = 0;
  } catch (error) {
    tell.bad(
      `\nStep ${tell.steps} failed: ${error instanceof DemoFailure ? error.message : String(error instanceof Error ? error.stack : error)}`,
    );
    for (const [name, text] of stage.lastWords()) tell.say(`--- ${name}\n${text}`);
  }
  const left = await stage.clear();
  must(left.length === 0, `still running: ${left.join(', ')}`);
  tell.say(`Nothing is left running. ${((performance.now() - started) / 1_000).toFixed(1)} s`);
  return code;
}

process.exitCode = await main();

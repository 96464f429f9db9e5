import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, later, mustBeDenied, mustRun, mustSign, mustWait } from './asking.ts';
import { must, type Narrator } from './narrator.ts';
import { SITE, type Stage } from './stage.ts';

/* What a site does all day: asks, waits, signs, runs, and is told no. */

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export async function makeSite(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A site is made',
    'Keys, ledger, a pinned policy root, and a policy that came the signed way: there is no other.',
  );
  stage.makeThings();
  const made = await stage.holdfast(
    'init',
    '--site',
    SITE,
    '--profile',
    'dev',
    '--policy',
    stage.writePolicy(),
    '--json',
  );
  must(made.code === 0, `init failed: ${made.stderr}`);
  tell.line('made', `${SITE} in ${stage.paths.root}`, made.ms);
  tell.line('daemon', 'decides and records; no network, no tools', await stage.start('daemon'));
  tell.line(
    'gateway',
    'holds the tools; believes nothing that it has not verified',
    await stage.start('gateway'),
  );
  const socket = join(stage.work, 'network.sock');
  await stage.startService('network', 'network.mjs', [socket, join(stage.work, 'network.log')], socket);
  await stage.startService(
    'relay',
    'relay.mjs',
    [join(stage.work, 'services'), 'relay-2'],
    join(stage.work, 'services/relay-2.pid'),
  );
  tell.line('things', 'a telemetry log, a relay service, a device with firmware, a Wi-Fi interface');
}

export async function readTelemetry(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A read is allowed at once',
    'Low risk, no approval needed; still decided by policy, recorded, and run under a permit.',
  );
  writeFileSync(join(stage.work, 'telemetry/pump-1.log'), '07:58 3.1 bar\n07:59 3.2 bar\n08:00 3.1 bar\n');
  const done = await stage.act(ask('read_telemetry', 'sensor:pump-1', 'morning check', { lines: 2 }));
  mustRun(tell, done);
  must(
    done.output?.stdout === '07:59 3.2 bar\n08:00 3.1 bar\n',
    'the last two lines of the log should come back',
  );
}

export async function restartService(stage: Stage, tell: Narrator): Promise<string> {
  tell.step(
    'A restart waits for one approval',
    'Medium risk: a person has to sign, with an SSH key that the policy knows.',
  );
  const pid = () => Number(readFileSync(join(stage.work, 'services/relay-2.pid'), 'utf8'));
  const before = pid();
  const asked = await stage.act(
    ask('restart_service', 'service:relay-2', 'recover the telemetry relay', { grace_seconds: 5 }),
  );
  const { decision_id } = mustWait(tell, asked);
  must(pid() === before, 'nothing may be restarted before it is approved');
  mustSign(tell, 'alice', await stage.approve(decision_id, 'alice', 'telemetry is stale'));
  const done = mustRun(tell, await stage.act(later(decision_id)));
  must(pid() !== before, 'the service should run as another process now');
  return done.decision_id;
}

export async function installFirmware(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'Firmware needs two people of two roles',
    'The digest of the image is part of what they sign; the tool checks it again.',
  );
  const image = randomBytes(64 * 1024);
  writeFileSync(join(stage.work, 'incoming/pump-2.4.1.bin'), image);
  const payload = { file: 'pump-2.4.1.bin', sha256: sha256(image), version: '2.4.1' };
  const { decision_id } = mustWait(
    tell,
    await stage.act(ask('install_firmware', 'device:pump-1', 'fix the valve timing', payload)),
  );
  const first = mustSign(tell, 'alice', await stage.approve(decision_id, 'alice', 'release notes read'));
  must(first.status === 'pending_authority', 'one signature must not be enough');
  const early = await stage.act(later(decision_id));
  must(
    early.outcome === null && early.decision?.status === 'pending_authority',
    'the gateway must not run it yet',
  );
  tell.line('gateway', 'asked too early: waits, runs nothing', early.ms);
  const again = await stage.approve(decision_id, 'alice', 'once more');
  must(again.code === 3, 'the same person must not count twice');
  tell.line('alice', 'signs once more: refused, and the attempt is recorded', again.ms);
  mustSign(tell, 'bob', await stage.approve(decision_id, 'bob', 'pump is isolated'));
  mustRun(tell, await stage.act(later(decision_id)));
  const installed = sha256(readFileSync(join(stage.work, 'firmware/pump-1.bin')));
  must(installed === payload.sha256, 'the installed file should be the approved one');
  tell.line('checked', `firmware/pump-1.bin has sha256 ${installed.slice(0, 32)}…, as approved`);
}

export async function changeNetwork(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A Wi-Fi key reaches the tool, and nothing else',
    'Record and permit hold a salted commitment; the value travels beside the permit.',
  );
  const psk = `demo-${randomBytes(12).toString('hex')}`;
  const { decision_id } = mustWait(
    tell,
    await stage.act(
      ask('change_network', 'interface:wlan0', 'move to the new mast', { ssid: 'mast-2', psk }),
    ),
  );
  mustSign(tell, 'alice', await stage.approve(decision_id, 'alice', 'mast 2 is up'));
  mustRun(tell, await stage.act(later(decision_id)));
  must(
    readFileSync(join(stage.work, 'network.log'), 'utf8').includes(psk),
    'the network service should have got the key',
  );
  const leaks = stage.whereIs(psk);
  must(leaks.length === 0, `the key stands in ${leaks.join(', ')}`);
  tell.line('searched', 'ledger, journal, state and logs: the key is in none of them');
}

export async function denials(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A wipe is denied',
    'An agent may not ask for it, and nobody may in production without an exception.',
  );
  mustBeDenied(
    tell,
    await stage.act(ask('wipe_storage', 'block_device:sdz', 'make room')),
    'wipe-by-people-only',
  );

  tell.step(
    'An unknown class is denied',
    'What the policy does not list does not exist; that somebody asked is recorded.',
  );
  const unknown = await stage.act(ask('reboot_satellite', 'device:sat-1', 'turn it off and on again'));
  must(
    unknown.decision?.status === 'denied' && unknown.outcome === null,
    'an unknown class should be denied',
  );
  tell.good('DENIED', unknown.decision.enforcement.reasons[0] ?? '', unknown.ms);
}

export async function leakedKey(stage: Stage, tell: Narrator): Promise<void> {
  tell.step(
    'A payload that carries a private key is denied',
    'The record names the field and the rule, never the value.',
  );
  const pem = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const secret = pem.split('\n')[1] ?? '';
  const denied = await stage.act(
    ask('agent_tool_call', 'tool:notify', 'tell the others', { arguments: ['deploy key', pem] }),
  );
  const decision = mustBeDenied(tell, denied, 'secrets.pattern');
  must(!JSON.stringify(denied).includes(secret), 'the answer must not hold the key');
  const leaks = stage.whereIs(secret);
  must(leaks.length === 0, `the key stands in ${leaks.join(', ')}`);
  tell.line(
    'searched',
    `ledger, journal, state and logs: the key is in none of them (entry ${decision.ledger.record_id})`,
  );
}

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { concat, SshReader, sshString, sshUint32 } from '../../daemon/formats/ssh-wire.ts';
import { formatSshSignature, sshsigToSign, verifySshSignature } from '../../daemon/formats/sshsig.ts';
import { SshAgent } from '../../daemon/host/ssh-agent.ts';
import { EcdsaSecurityKey, Ed25519SecurityKey } from '../security-key.ts';

/* Real agents are met in test/commands/ssh-key.test.ts; these answer what a real one would only with a token, or never. */

const open: { server: Server; dir: string; sockets: Set<Socket> }[] = [];
afterEach(() => {
  for (const { server, dir, sockets } of open.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(dir, { recursive: true, force: true });
  }
});

type Answer = Uint8Array | { raw: Uint8Array } | null;

/** An agent whose answers the test makes: a message, raw bytes, or null to hang up. */
async function agent(answer: (request: Uint8Array) => Answer): Promise<SshAgent> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-agent-'));
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('data', (bytes) => {
      const reply = answer(new Uint8Array(bytes.subarray(4)));
      if (reply === null) socket.destroy();
      else socket.end('raw' in reply ? reply.raw : sshString(reply));
    });
  });
  open.push({ server, dir, sockets });
  const path = join(dir, 'agent.sock');
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return new SshAgent(path);
}

type Token = Ed25519SecurityKey | EcdsaSecurityKey;

function holding(token: Token) {
  return (request: Uint8Array): Uint8Array => {
    if (request[0] === 11)
      return concat(Uint8Array.of(12), sshUint32(1), sshString(token.blob), sshString('token'));
    const reader = new SshReader(request.subarray(1), 'test');
    expect(reader.string()).toEqual(token.blob);
    return concat(Uint8Array.of(14), sshString(token.signature(reader.string())));
  };
}

describe.each([
  ['sk-ssh-ed25519', () => new Ed25519SecurityKey()],
  ['sk-ecdsa-sha2-nistp256', () => new EcdsaSecurityKey()],
])('an agent with a security key (%s)', (_type, make) => {
  it('signs with it', async () => {
    const token = make();
    const client = await agent(holding(token));
    const [key] = await client.keys();
    expect(key).toMatchObject({ type: token.type, comment: 'token', fingerprint: token.fingerprint });
    if (key === undefined) return;
    const message = new TextEncoder().encode('{"answer":"approve"}');
    const namespace = 'approval@holdfast';
    const signature = await client.sign(key, sshsigToSign({ namespace, message }));
    const armor = formatSshSignature({ publicKey: key.blob, namespace }, signature);
    expect(verifySshSignature({ armor, message, namespace })).toMatchObject({
      ok: true,
      key: token.fingerprint,
      flags: 5,
      counter: 1,
    });
  });
});

describe('an agent that', () => {
  const key = { type: 'ssh-ed25519', blob: new Uint8Array(51), comment: '', fingerprint: 'SHA256:x' };

  const answers: [name: string, answer: () => Answer, code: string][] = [
    ['refuses', () => Uint8Array.of(5), 'agent.failed'],
    ['hangs up', () => null, 'agent.failed'],
    ['answers another question', () => concat(Uint8Array.of(12), sshUint32(0)), 'agent.failed'],
    ['claims a huge answer', () => ({ raw: sshUint32(0x7fffffff) }), 'agent.failed'],
    [
      'says more than its message holds',
      () => ({ raw: concat(sshString(Uint8Array.of(5)), Uint8Array.of(0)) }),
      'agent.failed',
    ],
    ['stops in the middle', () => ({ raw: concat(sshUint32(40), Uint8Array.of(14)) }), 'agent.failed'],
    ['answers less than it says', () => concat(Uint8Array.of(14), sshUint32(9)), 'agent.malformed'],
  ];

  it.each(answers)('%s signs nothing', async (_name, answer, code) => {
    const client = await agent(answer);
    await expect(client.sign(key, Uint8Array.of(1))).rejects.toMatchObject({ name: 'BoundaryError', code });
  });

  it('lists more keys than there are is not believed', async () => {
    const client = await agent(() => concat(Uint8Array.of(12), sshUint32(0xffffffff)));
    await expect(client.keys()).rejects.toMatchObject({ code: 'agent.failed' });
    const short = await agent(() => concat(Uint8Array.of(12), sshUint32(3)));
    await expect(short.keys()).rejects.toMatchObject({ code: 'agent.malformed' });
  });

  it('is not there is named', async () => {
    const nobody = new SshAgent(join(tmpdir(), 'no-such-agent.sock'));
    await expect(nobody.keys()).rejects.toMatchObject({
      code: 'agent.unreachable',
      message: expect.stringContaining('no-such-agent.sock'),
    });
  });
});

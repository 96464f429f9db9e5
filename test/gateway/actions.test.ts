import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ActionDesk } from '../../daemon/gateway/actions.ts';
import type { ToolRun } from '../../daemon/gateway/connectors/run.ts';
import { makeWorld, request, succeeded, until, type World } from './world.ts';

let world: World;
beforeEach(async () => {
  world = await makeWorld();
});
afterEach(() => world.close());

/** A desk whose tools run until `finish` is called. */
function slowDesk(limit: number): { desk: ActionDesk; tools: () => number; finish: () => void } {
  const waiting: (() => void)[] = [];
  const run = () => new Promise<ToolRun>((resolve) => waiting.push(() => resolve(succeeded)));
  const finish = () => {
    for (const end of waiting.splice(0)) end();
  };
  return { desk: new ActionDesk({ ...world.gate, run }, limit), tools: () => waiting.length, finish };
}

const printed = async (stdout: Uint8Array, truncated: boolean) => {
  const run = async (): Promise<ToolRun> => ({
    ...succeeded,
    output: { stdout, stderr: new Uint8Array(), truncated },
  });
  const { body } = await new ActionDesk({ ...world.gate, run }, 1).answer(request(), null);
  return JSON.parse(body).output;
};

describe('the desk', () => {
  it('lets in as many as it is allowed to, and turns the rest away before anything is asked', async () => {
    const { desk, tools, finish } = slowDesk(2);
    const running = [desk.answer(request(), null), desk.answer(request(), null)];
    expect(desk.running).toBe(2);
    const { status, body } = await desk.answer(request(), null);
    expect([status, JSON.parse(body).code]).toEqual([503, 'gateway.overloaded']);
    await until(() => tools() === 2);
    expect(world.engine.decisions.size).toBe(2);
    finish();
    expect((await Promise.all(running)).map((answer) => answer.status)).toEqual([200, 200]);
    expect(desk.running).toBe(0);
  });

  it('closes when what is under way has ended, and lets nothing new in', async () => {
    const { desk, tools, finish } = slowDesk(2);
    const running = desk.answer(request(), null);
    await until(() => tools() === 1);
    let closed = false;
    const closing = desk.close().then(() => {
      closed = true;
    });
    const { status, body } = await desk.answer(request(), null);
    expect([status, JSON.parse(body).code]).toEqual([503, 'gateway.stopping']);
    expect(closed).toBe(false);
    finish();
    await closing;
    expect((await running).status).toBe(200);
  });
});

describe('the output', () => {
  it('is text where it is text', async () => {
    expect(await printed(Buffer.from('grün'), false)).toEqual({
      stdout: 'grün',
      stderr: '',
      encoding: 'utf8',
      truncated: false,
    });
  });

  it('stays text when the limit cuts a character in two', async () => {
    expect(await printed(Buffer.from('grün').subarray(0, 3), true)).toMatchObject({
      stdout: 'gr',
      encoding: 'utf8',
    });
  });

  it('is base64 where it is not text, a byte order mark and all', async () => {
    expect(await printed(Buffer.from([0xc3]), false)).toMatchObject({ stdout: 'ww==', encoding: 'base64' });
    expect(await printed(Buffer.from([0xef, 0xbb, 0xbf, 0x61]), false)).toMatchObject({
      stdout: '\ufeffa',
      encoding: 'utf8',
    });
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BoundaryError } from '../../daemon/formats/boundary-error.ts';
import { joinFrames, splitFrames } from '../../daemon/formats/qr-frames.ts';

const bytes = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 37 + 11) % 256);
const code = (code: string) => expect.objectContaining({ name: 'BoundaryError', code });

describe('frames of QR codes', () => {
  it('carry any bytes, whatever their order and however often each is seen', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 600 }),
        fc.integer({ min: 60, max: 500 }),
        fc.func(fc.nat()),
        (data, chars, order) => {
          const frames = splitFrames('R', data, chars);
          expect(frames.every((frame) => frame.length <= chars)).toBe(true);
          expect(frames.every((frame) => /^[A-Z2-7.0-9]+$/.test(frame))).toBe(true);
          const shuffled = [...frames, ...frames].sort((a, b) => order(a) - order(b));
          expect(joinFrames(shuffled)).toEqual({ kind: 'R', bytes: data });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('say in plain text what they are and which one of how many', () => {
    const [first, second] = splitFrames('S', bytes(60), 100);
    expect(first).toMatch(/^HF1\.S\.[A-Z2-7]{26}\.1\.2\.[A-Z2-7]+$/);
    expect(second).toMatch(/^HF1\.S\.[A-Z2-7]{26}\.2\.2\.[A-Z2-7]+$/);
  });

  it('name those that are missing', () => {
    const frames = splitFrames('R', bytes(200), 90);
    expect(frames.length).toBeGreaterThan(4);
    expect(() => joinFrames(frames.filter((_, i) => i !== 1 && i !== 3))).toThrow(
      expect.objectContaining({ code: 'qr.missing', message: expect.stringContaining('number 2, 4') }),
    );
    expect(() => joinFrames([])).toThrow(code('qr.missing'));
  });

  it('are not mixed: another kind, other data, another count', () => {
    const frames = splitFrames('R', bytes(100), 90);
    const others = [
      splitFrames('S', bytes(100), 90),
      splitFrames('R', bytes(101), 90),
      splitFrames('R', bytes(100), 200),
    ];
    for (const [other = ''] of others)
      expect(() => joinFrames([...frames.slice(1), other])).toThrow(code('qr.mixed'));
  });

  it('show every change of what they carry', () => {
    const frames = splitFrames('R', bytes(100), 110);
    fc.assert(
      fc.property(
        fc.nat(frames.length - 1),
        fc.nat(500),
        fc.constantFrom('A', 'Z', '7', '.', 'a', ' '),
        (n, at, put) => {
          const frame = frames[n] ?? '';
          const changed = frame.slice(0, at % frame.length) + put + frame.slice((at % frame.length) + 1);
          if (changed === frame) return;
          expect(() => joinFrames(frames.map((one, i) => (i === n ? changed : one)))).toThrow(BoundaryError);
        },
      ),
    );
    expect(() =>
      joinFrames([...frames, frames[0]?.replace(/.$/, (c) => (c === 'A' ? 'B' : 'A')) ?? '']),
    ).toThrow(code('qr.damaged'));
  });

  it('take no text but their own, and no more than fits', () => {
    for (const line of [
      '',
      'HF1',
      'hello',
      'HF2.R.A.1.1.A',
      `HF1.X.${'A'.repeat(26)}.1.1.AA`,
      `HF1.R.${'A'.repeat(26)}.2.1.AA`,
      `HF1.R.${'A'.repeat(26)}.1.65.AA`,
      `HF1.R.${'A'.repeat(26)}.01.1.AA`,
    ])
      expect(() => joinFrames([line]), line).toThrow(code('qr.malformed'));
    expect(() => splitFrames('R', bytes(3_000), 60)).toThrow(code('qr.too_large'));
  });

  it('leave no second way to write the same bytes', () => {
    const [frame = ''] = splitFrames('R', bytes(1), 200);
    const last = frame.at(-1) ?? '';
    const other =
      'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'['ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(last) + 1] ?? '';
    expect(() => joinFrames([frame.slice(0, -1) + other])).toThrow(code('qr.damaged'));
    expect(() => joinFrames([`${frame}A`])).toThrow(code('qr.damaged'));
  });
});
